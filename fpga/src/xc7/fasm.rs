//! Lines of FASM, as far as nextpnr writes them.

/// The widest vector there is; initial words of a memory have 256 bits.
const LARGEST: u32 = 4096;

/// A line that sets features.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set<'a> {
    /// The tile.
    pub tile: &'a str,
    /// The feature in it.
    pub feature: &'a str,
    /// The index of the vector's lowest bit.
    low: u32,
    /// Bits from the lowest on.
    bits: Vec<bool>,
}

impl Set<'_> {
    /// The indices that are one.
    pub fn indices(&self) -> impl Iterator<Item = u32> {
        (self.low..).zip(&self.bits).filter(|(_, bit)| **bit).map(|(index, _)| index)
    }
}

/// A line; nothing when it is empty or a comment.
///
/// # Errors
/// What is wrong with it.
pub fn line(text: &str) -> Result<Option<Set<'_>>, String> {
    let text = text.split('#').next().unwrap_or_default().trim();
    if text.is_empty() {
        return Ok(None);
    }
    let problem = |what: &str| format!("`{text}` {what}");
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (text, None),
    };
    let (name, range) = match name.split_once('[') {
        Some((name, range)) => {
            (name, Some(range.strip_suffix(']').ok_or_else(|| problem("has no `]`"))?))
        }
        None => (name, None),
    };
    let (tile, feature) = name.split_once('.').ok_or_else(|| problem("names no tile"))?;
    if tile.is_empty() || feature.is_empty() || name.contains(char::is_whitespace) {
        return Err(problem("is no feature"));
    }
    let number = |text: &str| text.parse::<u32>().map_err(|_| problem("has a bad index"));
    let (high, low) = match range.map(|range| range.split_once(':').unwrap_or((range, range))) {
        Some((high, low)) => (number(high)?, number(low)?),
        None => (0, 0),
    };
    let width = high.checked_sub(low).and_then(|width| width.checked_add(1));
    let width =
        width.filter(|width| *width <= LARGEST).ok_or_else(|| problem("has a bad range"))?;
    let bits = match value {
        Some(value) => bits(value, width).ok_or_else(|| problem("has a bad value"))?,
        None if width == 1 => vec![true],
        None => return Err(problem("has no value")),
    };
    Ok(Some(Set { tile, feature, low, bits }))
}

/// Bits of a value, the lowest first: `0`, `1`, or Verilog's `4'b0110` and `8'h6f`.
fn bits(value: &str, width: u32) -> Option<Vec<bool>> {
    let (radix_bits, digits) = match value.split_once('\'') {
        Some((_, rest)) => match rest.split_at_checked(1)? {
            ("b", digits) => (1, digits),
            ("h", digits) => (4, digits),
            _ => return None,
        },
        None if matches!(value, "0" | "1") => (1, value),
        None => return None,
    };
    let mut bits = Vec::new();
    for digit in digits.chars().rev().filter(|digit| *digit != '_') {
        let digit = digit.to_digit(1 << radix_bits)?;
        bits.extend((0..radix_bits).map(|bit| digit >> bit & 1 == 1));
    }
    if bits.is_empty() || bits.iter().skip(width as usize).any(|bit| *bit) {
        return None;
    }
    bits.resize(width as usize, false);
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(text: &str) -> Vec<u32> {
        line(text).unwrap().unwrap().indices().collect()
    }

    #[test]
    fn features_and_vectors_are_read() {
        assert_eq!(line(""), Ok(None));
        assert_eq!(line("  # only a comment"), Ok(None));
        let set = line("CLBLL_L_X2Y3.SLICEL_X0.AFF.ZINI # why").unwrap().unwrap();
        assert_eq!((set.tile, set.feature), ("CLBLL_L_X2Y3", "SLICEL_X0.AFF.ZINI"));
        assert_eq!(indices("T.F"), [0]);
        assert_eq!(indices("T.F[7:4] = 4'b1010"), [5, 7]);
        assert_eq!(indices("T.F[7:0] = 8'h8_1"), [0, 7]);
        assert_eq!(indices("T.F[3]"), [3]);
        assert_eq!(indices("T.F = 1"), [0]);
        assert_eq!(indices("T.F[1:0]=2'b00"), Vec::<u32>::new());
    }

    #[test]
    fn what_is_no_feature_is_refused() {
        for text in [
            "T",
            ".F",
            "T.",
            "a b.F",
            "T.F[3",
            "T.F[x]",
            "T.F[0:3] = 4'b0000",
            "T.F[4000000000:0] = 1'b0",
            "T.F[3:0]",
            "T.F = 2",
            "T.F = 4'o1",
            "T.F = 1'b",
            "T.F = '",
            "T.F = 1'é",
            "T.F[1:0] = 4'b0100",
            "T.F[4294967295:0] = 1",
        ] {
            assert!(line(text).is_err(), "{text}");
        }
    }
}
