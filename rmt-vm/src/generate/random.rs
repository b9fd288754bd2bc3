//! Random numbers that are the same everywhere and for ever: SplitMix64, the same function
//! as the helper `random` of the machine.

use rmt_isa::arithmetic::split_mix_64;

/// Step of the state of SplitMix64.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The stream of a seed; seeds that differ by little give streams that differ by much.
    pub fn new(seed: u64) -> Self {
        Self { state: split_mix_64(seed) }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        let output = split_mix_64(self.state);
        self.state = self.state.wrapping_add(GAMMA);
        output
    }

    /// A number below `bound`, which is at least 1.
    pub fn below(&mut self, bound: usize) -> usize {
        // The high half of a product: nearly uniform, with no division.
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True in one of `n` cases.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of the items, of which there is at least one.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// One of the items, if there is one.
    pub fn choose<T: Copy>(&mut self, items: impl IntoIterator<Item = T>) -> Option<T> {
        let items: Vec<T> = items.into_iter().collect();
        if items.is_empty() { None } else { Some(*self.pick(&items)) }
    }

    /// 64 bits in which small numbers, limits of types and single bits are likely.
    pub fn value(&mut self) -> u64 {
        match self.below(6) {
            0 => self.bits(),
            1 => self.below(16) as u64,
            2 => (self.below(16) as u64).wrapping_neg(),
            3 => (1_u64 << self.below(64)).wrapping_sub(self.below(3) as u64),
            4 => self.bits() >> self.below(64),
            _ => (self.bits() as i64 >> self.below(64)) as u64,
        }
    }

    /// A signed number from `-limit` to `limit`, small ones more likely.
    pub fn signed(&mut self, limit: i32) -> i32 {
        let narrowed = limit >> self.below(1 + limit.ilog2() as usize);
        self.below(2 * narrowed as usize + 1) as i32 - narrowed
    }
}
