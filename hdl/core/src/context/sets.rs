//! One set of four records: which way has a key, which one a new key takes, and the order
//! of use. Combinational; `rmt_vm::state::sets` is the definition.

use rmt_isa::card::fields::context_set;
use rmt_isa::limits::WAYS;
use rtl_builder::prelude::*;

use crate::bits::{any, field, lowest_set};

/// What a look-up in a set gives.
pub struct SetLookUp {
    /// A way has the key
    pub found: Bool,
    /// The way that has it, or that a new key takes
    pub way: UInt,
    /// A new key takes the place of another one
    pub evicts: Bool,
    /// The state of the set after a match: the way is the most recently used
    pub matched: UInt,
}

/// Looks a key up in a set. `state` has the fields of `context_set`.
pub fn look_up(state: UInt, keys: &[UInt], key: UInt) -> SetLookUp {
    let occupied = field(state, context_set::OCCUPIED).to_bools();
    let ranks_word = field(state, context_set::RANKS);
    let ranks: Vec<UInt> =
        (0..WAYS as u32).map(|way| ranks_word.bits(2 * way..2 * way + 2)).collect();
    let hits: Vec<Bool> =
        keys.iter().zip(&occupied).map(|(stored, &occupied)| occupied & stored.eq(key)).collect();
    let free: Vec<Bool> = occupied.iter().map(|&occupied| !occupied).collect();
    let oldest: Vec<Bool> = ranks.iter().map(|rank| rank.eq(WAYS as u64 - 1)).collect();
    let (found, room) = (any(&hits), any(&free));
    let way = mux(found, lowest_set(&hits), mux(room, lowest_set(&free), lowest_set(&oldest)));

    // Ways that were used more recently than this one move back by one. A new key counts as
    // the least recently used before.
    let rank = mux(found, select(way, &ranks), UInt::lit(WAYS as u64 - 1, 2));
    let mut state: Vec<UInt> = Vec::new();
    for index in (0..WAYS).rev() {
        let moves = ranks[index].lt(rank);
        let moved = mux(moves, ranks[index].wrapping_add(1), ranks[index]);
        state.push(mux(way.eq(index), UInt::lit(0, 2), moved));
    }
    for index in (0..WAYS).rev() {
        state.push((occupied[index] | way.eq(index)).as_uint());
    }
    SetLookUp { found, way, evicts: !found & !room, matched: cat(&state) }
}
