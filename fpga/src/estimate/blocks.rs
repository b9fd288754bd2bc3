//! Memory blocks and multipliers of the ECP5: how yosys divides memories and products among them.

use rtl_builder::statistics::{MemoryStatistics, ProductStatistics};

/// Words and bits of a word of distributed memory.
const DISTRIBUTED: (u64, u64) = (16, 4);
/// Tables that a cell of distributed memory takes.
const DISTRIBUTED_TABLES: u64 = 4;
/// What yosys reckons for a block, for a cell of distributed memory, and for two bits of the choice behind several.
const COSTS: (u64, u64, u64) = (128, 4, 1);
/// Operands of a MULT18X18D, and the least bits of the longer one: yosys leaves products of less than 9 bits to tables.
const MULTIPLIER_BITS: u32 = 18;
const LEAST_MULTIPLIER_BITS: u32 = 9;

/// Where a memory stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Storage {
    /// DP16KD blocks.
    pub blocks: u64,
    /// Tables, of distributed memory and of the choice among its parts.
    pub tables: u64,
}

/// The storage of a memory: blocks where each read has its data a cycle later and blocks cost less.
pub fn storage(memory: &MemoryStatistics) -> Storage {
    let (depth, width) = (memory.depth, u64::from(memory.width));
    let reads = (memory.synchronous_reads + memory.asynchronous_reads) as u64;
    let later = memory.asynchronous_reads == memory.registered_reads;
    let blocks = memory.blocks_18k();
    let rows = depth.div_ceil(DISTRIBUTED.0);
    let cells = reads * rows * width.div_ceil(DISTRIBUTED.1);
    // The choice among the rows: two-way choices for each bit.
    let choices = reads * (rows - 1) * width;
    let (block, cell, two_choices) = COSTS;
    if later && blocks * block < cells * cell + choices * two_choices / 2 {
        Storage { blocks, tables: 0 }
    } else {
        Storage { blocks: 0, tables: cells * DISTRIBUTED_TABLES + choices * 2 / 3 }
    }
}

/// The multipliers of a product.
pub fn multipliers(product: &ProductStatistics) -> u64 {
    let [longer, _] = product.bits;
    if longer < LEAST_MULTIPLIER_BITS {
        return 0;
    }
    product.bits.map(|bits| u64::from(bits.div_ceil(MULTIPLIER_BITS))).iter().product()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(depth: u64, width: u32, lanes: u32) -> MemoryStatistics {
        MemoryStatistics {
            depth,
            width,
            synchronous_reads: 1,
            asynchronous_reads: 0,
            registered_reads: 0,
            writes: 1,
            lanes,
        }
    }

    #[test]
    fn a_memory_stands_where_it_costs_less() {
        // Twelve cells of distributed memory and their choices cost less than a block, 32 more.
        assert_eq!(storage(&memory(64, 12, 1)).blocks, 0);
        assert_eq!(storage(&memory(64, 32, 1)), Storage { blocks: 1, tables: 0 });
        assert_eq!(storage(&memory(4096, 64, 1)).blocks, 16);
        // 16 lanes of 32 bits take 16 times four bytes of nine bits.
        assert_eq!(storage(&memory(64, 512, 16)).blocks, 16);
        let at_once =
            MemoryStatistics { synchronous_reads: 0, asynchronous_reads: 1, ..memory(128, 64, 1) };
        assert_eq!(storage(&at_once), Storage { blocks: 0, tables: 512 + 298 });
        assert_eq!(storage(&MemoryStatistics { registered_reads: 1, ..at_once }).blocks, 2);
    }

    #[test]
    fn wide_products_take_several_multipliers() {
        let product = |a, b| multipliers(&ProductStatistics { bits: [a, b], signed: false });
        assert_eq!([product(8, 8), product(16, 8), product(18, 18), product(32, 32)], [0, 1, 1, 4]);
    }
}
