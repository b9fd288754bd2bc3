//! Bounds of the lanes of a vector.

use std::rc::Rc;

use super::interval::Interval;

/// Bounds of all lanes together, or of each by itself. The second is exact where lanes come
/// from different rows of weights or are set one by one; the first is small and fast.
#[derive(Clone, Debug)]
pub(super) enum LaneRanges {
    /// One range for all lanes.
    All(Interval),
    /// One range for each lane; shared between the states of the pass.
    Each(Rc<Vec<Interval>>),
}

impl LaneRanges {
    pub(super) fn each(lanes: Vec<Interval>) -> Self {
        Self::Each(Rc::new(lanes))
    }

    /// Bounds of one lane.
    pub(super) fn lane(&self, index: usize) -> Interval {
        match self {
            Self::All(range) => *range,
            Self::Each(lanes) => lanes.get(index).copied().unwrap_or(Interval::ALL),
        }
    }

    /// Bounds that hold for every lane.
    pub(super) fn hull(&self) -> Interval {
        match self {
            Self::All(range) => *range,
            Self::Each(lanes) => {
                let hull = lanes.iter().copied().reduce(Interval::join);
                hull.unwrap_or(Interval::ALL)
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All(a), Self::All(b)) => a == b,
            (Self::Each(a), Self::Each(b)) => Rc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// How much work the pass may still do lane by lane. When it is used up, ranges are kept for
/// all lanes together: coarser, never wrong.
#[derive(Debug)]
pub(super) struct Effort {
    left: u64,
}

impl Effort {
    pub(super) fn new(lane_operations: u64) -> Self {
        Self { left: lane_operations }
    }

    /// Whether so many operations on lanes may be done; takes them when they may.
    pub(super) fn take(&mut self, lane_operations: u64) -> bool {
        let enough = self.left >= lane_operations;
        if enough {
            self.left -= lane_operations;
        }
        enough
    }

    /// What `f` makes of each lane of one vector.
    pub(super) fn map(
        &mut self,
        a: &LaneRanges,
        f: impl Fn(usize, Interval) -> Interval,
    ) -> LaneRanges {
        match a {
            LaneRanges::Each(lanes) if self.take(lanes.len() as u64) => {
                LaneRanges::each(lanes.iter().enumerate().map(|(i, &lane)| f(i, lane)).collect())
            }
            other => LaneRanges::All(f(0, other.hull())),
        }
    }

    /// What `f` makes of each pair of lanes of two vectors of `lanes` lanes.
    pub(super) fn zip(
        &mut self,
        a: &LaneRanges,
        b: &LaneRanges,
        lanes: usize,
        f: impl Fn(Interval, Interval) -> Interval,
    ) -> LaneRanges {
        if let (LaneRanges::All(a), LaneRanges::All(b)) = (a, b) {
            return LaneRanges::All(f(*a, *b));
        }
        if self.take(lanes as u64) {
            LaneRanges::each((0..lanes).map(|index| f(a.lane(index), b.lane(index))).collect())
        } else {
            LaneRanges::All(f(a.hull(), b.hull()))
        }
    }

    /// What holds of both.
    pub(super) fn join(&mut self, a: &LaneRanges, b: &LaneRanges) -> LaneRanges {
        if a.is_same(b) {
            return a.clone();
        }
        let lanes = match (a, b) {
            (LaneRanges::Each(lanes), _) | (_, LaneRanges::Each(lanes)) => lanes.len(),
            _ => 0,
        };
        self.zip(a, b, lanes, Interval::join)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(bounds: &[(i64, i64)]) -> LaneRanges {
        LaneRanges::each(bounds.iter().map(|&(low, high)| Interval::new(low, high)).collect())
    }

    #[test]
    fn lanes_are_kept_apart_while_effort_is_left() {
        let (a, b) = (ranges(&[(0, 1), (5, 9)]), LaneRanges::All(Interval::new(1, 1)));
        let mut effort = Effort::new(2);
        let sum = effort.zip(&a, &b, 2, Interval::add);
        assert_eq!((sum.lane(0), sum.lane(1)), (Interval::new(1, 2), Interval::new(6, 10)));
        let coarse = effort.zip(&a, &b, 2, Interval::add);
        assert_eq!((coarse.lane(0), coarse.lane(1)), (Interval::new(1, 10), Interval::new(1, 10)));
    }

    #[test]
    fn joining_keeps_both() {
        let (a, b) = (ranges(&[(0, 1), (5, 9)]), ranges(&[(-1, 0), (7, 20)]));
        let joined = Effort::new(10).join(&a, &b);
        assert_eq!((joined.lane(0), joined.lane(1)), (Interval::new(-1, 1), Interval::new(5, 20)));
    }
}
