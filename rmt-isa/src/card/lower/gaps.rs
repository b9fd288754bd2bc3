//! First fit: pieces of a memory that several programs share.

/// A memory with the pieces of it that are taken.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    size: u32,
    /// First unit and number of units of each piece, ascending.
    taken: Vec<(u32, u32)>,
}

impl Gaps {
    pub(super) fn new(size: u32) -> Self {
        Self { size, taken: Vec::new() }
    }

    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// Marks a piece that is in use.
    pub(super) fn reserve(&mut self, first: u32, units: u32) {
        if units > 0 {
            let place = self.taken.partition_point(|&(start, _)| start < first);
            self.taken.insert(place, (first, units));
        }
    }

    /// Takes the first gap that is large enough.
    ///
    /// # Errors
    /// How many units the memory would need to have.
    pub(super) fn take(&mut self, units: u64) -> Result<u32, usize> {
        let mut first = 0_u64;
        for &(start, length) in &self.taken {
            if first + units <= start.into() {
                break;
            }
            first = u64::from(start) + u64::from(length);
        }
        let end = first + units;
        if end > self.size.into() {
            return Err(end as usize);
        }
        self.reserve(first as u32, units as u32);
        Ok(first as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gap_that_is_large_enough_is_taken() {
        let mut gaps = Gaps::new(16);
        gaps.reserve(8, 2);
        gaps.reserve(2, 2);
        assert_eq!(gaps.take(4), Ok(4));
        assert_eq!(gaps.take(2), Ok(0));
        assert_eq!(gaps.take(7), Err(17));
        assert_eq!(gaps.take(6), Ok(10));
        assert_eq!(gaps.take(0), Ok(0));
        assert_eq!(gaps.take(1), Err(17));
    }
}
