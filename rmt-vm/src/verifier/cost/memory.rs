//! What the declared objects take.

use rmt_isa::Program;
use rmt_isa::program::{Context, MapKind, MatchKind, Table};
use serde::Serialize;

/// Bytes of a program's objects when they are packed tightly; engines may take more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Instructions, 8 bytes each.
    pub code_bytes: u64,
    /// Entries of all tables at full capacity: key or keys, priority, action, parameters.
    pub table_bytes: u64,
    /// Records of all context stores with their keys.
    pub context_bytes: u64,
    /// Values of all maps, with keys for hash maps.
    pub map_bytes: u64,
    /// Tensors and scales.
    pub tensor_bytes: u64,
    /// Nodes of trees.
    pub tree_nodes: u64,
}

impl Memory {
    /// All together, a tree node taking 8 bytes.
    pub fn total_bytes(&self) -> u64 {
        let parts = [
            self.code_bytes,
            self.table_bytes,
            self.context_bytes,
            self.map_bytes,
            self.tensor_bytes,
        ];
        parts.into_iter().fold(self.tree_nodes.saturating_mul(8), u64::saturating_add)
    }

    /// Of a whole program.
    pub(in crate::verifier) fn of(program: &Program) -> Self {
        let sum = |bytes: &mut dyn Iterator<Item = u64>| bytes.fold(0, u64::saturating_add);
        Self {
            code_bytes: sum(&mut program.actions.iter().map(|a| a.code.len() as u64 * 8)),
            table_bytes: sum(&mut program.tables.iter().map(|table| table_bytes(program, table))),
            context_bytes: sum(&mut program.contexts.iter().map(|context| {
                (record_bytes(context) + 8).saturating_mul(context.capacity.into())
            })),
            map_bytes: sum(&mut program.maps.iter().map(|map| {
                let keyed = matches!(map.kind, MapKind::Hash | MapKind::LruHash);
                let slot = map.value.bytes() as u64 + if keyed { 8 } else { 0 };
                slot.saturating_mul(map.capacity.into())
            })),
            tensor_bytes: sum(&mut program.tensors.iter().map(|tensor| {
                (tensor.values.len() as u64).saturating_mul(tensor.element.bytes() as u64)
            }))
            // A channel's multiplier and shift take 5 bytes.
            .saturating_add(sum(&mut program.scales.iter().map(|s| s.channels.len() as u64 * 5))),
            tree_nodes: sum(&mut program.forests.iter().map(|forest| forest.nodes.len() as u64)),
        }
    }
}

/// Bytes of the fields of one record.
pub(super) fn record_bytes(context: &Context) -> u64 {
    let fields = context.fields.iter();
    fields.map(|f| f.kind.bytes() as u64 * f.ring.map_or(1, u64::from)).sum()
}

fn table_bytes(program: &Program, table: &Table) -> u64 {
    let key = u64::from(table.key_bits().div_ceil(8));
    let (keys, priority) = match table.kind {
        MatchKind::Exact => (1, 0),
        // The prefix length takes one byte.
        MatchKind::LongestPrefix => (1, 1),
        MatchKind::Ternary | MatchKind::Range => (2, 4),
    };
    let parameters = |&action: &u16| {
        program.actions.get(usize::from(action)).map_or(0, |a| a.parameters.len() as u64 * 8)
    };
    let call = 2 + table.actions.iter().map(parameters).max().unwrap_or(0);
    (keys * key + priority + call).saturating_mul(table.capacity.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::testing::Fixture;

    #[test]
    fn objects_count_by_capacity() {
        let mut program = Fixture::new("exit decided").program;
        program.contexts.truncate(1);
        program.maps.truncate(2);
        program.tables.truncate(1);
        let memory = Memory::of(&program);
        assert_eq!(memory.context_bytes, 64 * (48 + 8));
        assert_eq!(memory.map_bytes, 64 * 8 + 64 * 16);
        assert_eq!(memory.table_bytes, 64 * (8 + 2 + 8));
        assert_eq!(memory.tensor_bytes, 32 + 4 * 4 + 24 * 2 + 54 + 5 * 5);
        assert_eq!(memory.code_bytes, 16);
    }
}
