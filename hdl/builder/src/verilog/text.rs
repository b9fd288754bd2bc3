//! Small pieces of Verilog text.

use crate::bits::Bits;

/// ` signed [7:0]`, with a blank in front; nothing for a single unsigned bit.
pub(super) fn range(width: u32, signed: bool) -> String {
    match (signed, width) {
        (false, 1) => String::new(),
        (false, _) => format!(" [{}:0]", width - 1),
        (true, _) => format!(" signed [{}:0]", width - 1),
    }
}

/// An attribute, with a blank behind it.
pub(super) fn attribute(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!("(* {text} *) "))
}

/// Appends `text` as comment lines.
pub(super) fn comment(out: &mut String, indent: &str, text: &str) {
    for line in text.trim().lines() {
        out.push_str(format!("{indent}// {line}").trim_end());
        out.push('\n');
    }
}

/// A sized literal.
pub(super) fn constant(value: &Bits, signed: bool) -> String {
    let width = value.width();
    if signed {
        let number = value.to_i128();
        let small = width <= 64;
        let lowest = value.bit(width - 1) && value.slice(0, width - 1).is_zero();
        return match number {
            n if small && n >= 0 => format!("{width}'sd{n}"),
            n if small && !lowest => format!("-{width}'sd{}", -n),
            _ => format!("{width}'sh{}", value.to_hex()),
        };
    }
    match width {
        1 => format!("1'b{}", value.to_u64()),
        _ if value.significant_bits() <= 10 => format!("{width}'d{}", value.to_u64()),
        _ => format!("{width}'h{}", value.to_hex()),
    }
}

/// Bits of a net of `width` bits.
pub(super) fn select(name: &str, width: u32, low: u32, count: u32) -> String {
    match count {
        _ if count == width => name.to_owned(),
        1 => format!("{name}[{low}]"),
        _ => format!("{name}[{}:{low}]", low + count - 1),
    }
}

/// The constant for a state: `Step::WaitAck` is `STEP_WAIT_ACK`.
pub(super) fn state_name(machine: &str, state: &str) -> String {
    let mut out = String::new();
    for part in [machine, state] {
        if !out.is_empty() {
            out.push('_');
        }
        let mut before_lower = false;
        for c in part.chars() {
            if c.is_ascii_uppercase() && before_lower {
                out.push('_');
            }
            before_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
            out.push(c.to_ascii_uppercase());
        }
    }
    out
}

/// A set of bit positions, as sorted runs.
#[derive(Default, Clone)]
pub(super) struct BitSet {
    /// First bit and the one after the last; apart from each other.
    runs: Vec<(u32, u32)>,
}

impl BitSet {
    pub(super) fn insert(&mut self, low: u32, count: u32) {
        let (mut start, mut end) = (low, low + count);
        self.runs.retain(|&(from, to)| {
            let apart = to < start || from > end;
            if !apart {
                start = start.min(from);
                end = end.max(to);
            }
            apart
        });
        let at = self.runs.partition_point(|&(from, _)| from < start);
        self.runs.insert(at, (start, end));
    }

    /// Runs below `width` that are not in the set: first bit and number.
    pub(super) fn gaps(&self, width: u32) -> Vec<(u32, u32)> {
        let mut gaps = Vec::new();
        let mut at = 0;
        for &(from, to) in &self.runs {
            if from > at {
                gaps.push((at, from - at));
            }
            at = to;
        }
        if at < width {
            gaps.push((at, width - at));
        }
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_sets_merge_runs_and_show_gaps() {
        let mut set = BitSet::default();
        assert_eq!(set.gaps(8), [(0, 8)]);
        set.insert(0, 2);
        set.insert(6, 1);
        assert_eq!(set.gaps(8), [(2, 4), (7, 1)]);
        set.insert(2, 4);
        assert_eq!(set.gaps(8), [(7, 1)]);
    }

    #[test]
    fn literals() {
        assert_eq!(constant(&Bits::from_i128(8, -128), true), "8'sh80");
        assert_eq!(constant(&Bits::from_i128(8, -127), true), "-8'sd127");
        assert_eq!(constant(&Bits::new(1, 1), false), "1'b1");
        assert_eq!(constant(&Bits::new(32, 0xdead), false), "32'hdead");
        assert_eq!(state_name("Step", "WaitAck2Done"), "STEP_WAIT_ACK2_DONE");
    }
}
