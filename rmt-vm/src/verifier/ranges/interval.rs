//! Bounds of one value.

use rmt_isa::operand::{Element, IntType};

/// All integers from `low` to `high`, both included. Scalars are seen as signed; a range of
/// unsigned values that do not fit becomes [`Interval::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Interval {
    pub(super) const ALL: Self = Self { low: i64::MIN, high: i64::MAX };
    pub(super) const BIT: Self = Self { low: 0, high: 1 };

    pub(super) const fn new(low: i64, high: i64) -> Self {
        Self { low, high }
    }

    pub(super) const fn constant(value: i64) -> Self {
        Self { low: value, high: value }
    }

    /// The values of an integer type, as a 64-bit register holds them.
    pub(super) const fn of_type(kind: IntType) -> Self {
        let bits = kind.bits();
        match (kind.signed(), bits) {
            (_, 64) => Self::ALL,
            (true, _) => Self { low: -1 << (bits - 1), high: (1 << (bits - 1)) - 1 },
            (false, _) => Self { low: 0, high: (1 << bits) - 1 },
        }
    }

    pub(super) fn of_element(element: Element) -> Self {
        Self { low: element.min().into(), high: element.max().into() }
    }

    /// The range when it fits 64 bits; arithmetic that may wrap can give any value.
    pub(super) fn wrapping(low: i128, high: i128) -> Self {
        match (i64::try_from(low), i64::try_from(high)) {
            (Ok(low), Ok(high)) => Self { low, high },
            _ => Self::ALL,
        }
    }

    /// The single value, if there is only one.
    pub(super) fn single(self) -> Option<i64> {
        (self.low == self.high).then_some(self.low)
    }

    pub(super) const fn is_nonnegative(self) -> bool {
        self.low >= 0
    }

    pub(super) fn contains(self, other: Self) -> bool {
        self.low <= other.low && other.high <= self.high
    }

    /// The smallest range with both.
    pub(super) fn join(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    /// The values in both; `None` when there are none.
    pub(super) fn meet(self, other: Self) -> Option<Self> {
        let both = Self { low: self.low.max(other.low), high: self.high.min(other.high) };
        (both.low <= both.high).then_some(both)
    }

    /// Every value saturated to `bounds`.
    pub(super) fn clamp(self, bounds: Self) -> Self {
        self.map(|value| value.clamp(bounds.low, bounds.high))
    }

    /// What a monotone function makes of it.
    pub(super) fn map(self, f: impl Fn(i64) -> i64) -> Self {
        Self { low: f(self.low), high: f(self.high) }
    }

    pub(super) fn add(self, other: Self) -> Self {
        match (self.low.checked_add(other.low), self.high.checked_add(other.high)) {
            (Some(low), Some(high)) => Self { low, high },
            _ => Self::ALL,
        }
    }

    pub(super) fn sub(self, other: Self) -> Self {
        match (self.low.checked_sub(other.high), self.high.checked_sub(other.low)) {
            (Some(low), Some(high)) => Self { low, high },
            _ => Self::ALL,
        }
    }

    pub(super) fn mul(self, other: Self) -> Self {
        let product = |a: i64, b: i64| i128::from(a) * i128::from(b);
        let corners = [
            product(self.low, other.low),
            product(self.low, other.high),
            product(self.high, other.low),
            product(self.high, other.high),
        ];
        let low = corners.into_iter().fold(i128::MAX, i128::min);
        Self::wrapping(low, corners.into_iter().fold(i128::MIN, i128::max))
    }

    /// Every value times a constant: what weights do, and they are many.
    pub(super) fn scale(self, by: i64) -> Self {
        let (low, high) = if by < 0 { (self.high, self.low) } else { (self.low, self.high) };
        match (low.checked_mul(by), high.checked_mul(by)) {
            (Some(low), Some(high)) => Self { low, high },
            _ => Self::ALL,
        }
    }

    /// The smaller of a value of each.
    pub(super) fn min(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.min(other.high) }
    }

    /// The larger of a value of each.
    pub(super) fn max(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.max(other.high) }
    }
}

/// `-5 to 12`, or the single value.
impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use crate::verifier::findings::group_digits;
        match self.single() {
            Some(value) => f.write_str(&group_digits(value)),
            None => write!(f, "{} to {}", group_digits(self.low), group_digits(self.high)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_their_bounds() {
        assert_eq!(Interval::of_type(IntType::U8), Interval::new(0, 255));
        assert_eq!(Interval::of_type(IntType::I16), Interval::new(-32768, 32767));
        assert_eq!(Interval::of_type(IntType::U32), Interval::new(0, u32::MAX.into()));
        assert_eq!(Interval::of_type(IntType::U64), Interval::ALL);
    }

    #[test]
    fn arithmetic_that_may_wrap_knows_nothing() {
        let near = Interval::new(i64::MAX - 1, i64::MAX);
        assert_eq!(near.add(Interval::BIT), Interval::ALL);
        assert_eq!(near.mul(near), Interval::ALL);
        assert_eq!(Interval::new(-2, 3).mul(Interval::new(-5, 4)), Interval::new(-15, 12));
        assert_eq!(Interval::new(-2, 3).sub(Interval::new(-5, 4)), Interval::new(-6, 8));
        assert_eq!(Interval::new(-2, 3).scale(-5), Interval::new(-15, 10));
        assert_eq!(near.scale(2), Interval::ALL);
    }
}
