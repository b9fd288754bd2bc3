//! How the host behaves: its latency, its liberties, its faults.

use rmt_isa::arithmetic::split_mix_64;

/// Time that transactions take, in clock cycles of the card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// A write, from one side to the other.
    pub write_cycles: u64,
    /// A read of host memory, from the card's request to the first data.
    pub read_cycles: u64,
    /// More for a page that the IOMMU's cache does not hold.
    pub iommu_miss_cycles: u64,
}

impl Latency {
    /// The time of a 64-byte read of host memory, ns.
    pub const READ_NS: f64 = 547.0;
    /// The time of a write that is followed by a read of the same place, ns.
    pub const WRITE_READ_NS: f64 = 773.0;
    /// What an IOMMU miss adds to either, ns.
    pub const IOMMU_MISS_NS: f64 = 230.0;

    /// No time at all: what remains is the card's own.
    pub const fn zero() -> Self {
        Self { write_cycles: 0, read_cycles: 0, iommu_miss_cycles: 0 }
    }

    /// The medians measured by Neugebauer et al. (SIGCOMM 2018) on a Haswell server: 547 ns for
    /// a read, 773 ns for write and read, so 226 ns for a write; 230 ns more on an IOMMU miss.
    pub fn measured(clock_mhz: f64) -> Self {
        let cycles = |ns: f64| (ns * clock_mhz / 1000.0).round() as u64;
        Self {
            write_cycles: cycles(Self::WRITE_READ_NS - Self::READ_NS),
            read_cycles: cycles(Self::READ_NS),
            iommu_miss_cycles: cycles(Self::IOMMU_MISS_NS),
        }
    }
}

/// What the host does to one read of the card, instead of answering it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFault {
    /// No answer.
    Lost,
    /// The data is poisoned.
    Poisoned,
    /// `Unsupported request`.
    Refused,
    /// `Completer abort`.
    Aborted,
    /// The answer comes after so many cycles.
    Late(u64),
    /// An answer with a tag that no read has, before the true one.
    Stray,
}

/// Liberties that the specification gives a host, taken at random.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Liberties {
    /// Seed; `None` takes none: packets follow back to back, completions are whole and in order.
    pub seed: Option<u64>,
}

/// A small random source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(Option<u64>);

impl Chance {
    pub(super) fn new(liberties: Liberties) -> Self {
        Self(liberties.seed)
    }

    /// True one time in `of`; never without a seed.
    pub(super) fn once_in(&mut self, of: u64) -> bool {
        self.0.is_some() && self.below(of) == 0
    }

    /// A number below `limit`; 0 without a seed.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let Some(state) = &mut self.0 else { return 0 };
        *state = split_mix_64(*state);
        *state % limit.max(1)
    }
}
