//! The architectural limits. A card may be built smaller, never larger: what it was built
//! with stands in its capability registers.

/// Scalar registers of a thread, 64 bits each.
pub const SCALAR_REGISTERS: usize = 16;
/// Vector registers of a thread.
pub const VECTOR_REGISTERS: usize = 8;
/// Lanes of a vector register. A lane holds 32 bits whatever its element type.
pub const VECTOR_LANES: usize = 256;
/// Instructions of one action.
pub const MAX_ACTION_INSTRUCTIONS: usize = 4096;
/// Tables that one event may visit: the first one and the tail calls after it.
pub const MAX_TABLE_VISITS: usize = 8;
/// Parameters (action data) of one table entry, 64 bits each.
pub const MAX_PARAMETERS: usize = 4;
/// Scalars that a tail call hands over, in `r1` and up.
pub const MAX_ARGUMENTS: usize = 4;
/// Output words of a decision, 64 bits each.
pub const MAX_OUTPUTS: usize = 3;
/// Context stores of one program.
pub const MAX_CONTEXTS: usize = 4;
/// Fields of one context record.
pub const MAX_CONTEXT_FIELDS: usize = 32;
/// Values that one history ring keeps.
pub const MAX_RING_DEPTH: usize = 256;
/// Fields that make up the key of one table.
pub const MAX_KEY_FIELDS: usize = 4;
/// Bits of the key of one table, all fields together.
pub const MAX_KEY_BITS: u32 = 128;
/// Ways of a set in context stores and hash maps: a key lives in one of so many places.
pub const WAYS: usize = 4;
/// Dimensions of a tensor.
pub const MAX_DIMENSIONS: usize = 4;
/// Depth of a decision tree, counted in comparisons.
pub const MAX_TREE_DEPTH: usize = 32;
/// Nodes of one forest, all trees together.
pub const MAX_FOREST_NODES: usize = 65536;
/// Tables, actions, maps, tensors, scales, windows or forests of one program, each.
pub const MAX_OBJECTS: usize = 1024;
/// Entries or records of one table, context store or map.
pub const MAX_CAPACITY: usize = 1 << 24;
