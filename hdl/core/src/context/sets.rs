//! One set of four records: which way has a key, which one a new key takes, and the order
//! of use. Combinational; `rmt_vm::state::sets` is the definition.

use rmt_isa::card::fields::context_set;
use rmt_isa::limits::WAYS;
use rtl_builder::prelude::*;

use crate::bits::{any, field, first_alone};

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

/// Which ways of a set have a key. `state` has the fields of `context_set`.
fn hits(state: UInt, keys: &[UInt], key: UInt) -> Vec<Bool> {
    let occupied = field(state, context_set::OCCUPIED).to_bools();
    keys.iter().zip(occupied).map(|(stored, occupied)| occupied & stored.eq(key)).collect()
}

/// The state of a set that was read in the last cycle, and which of its ways have the key: a memory gives late in a
/// cycle what it reads, so keys are compared in that cycle, and what follows from it is done in the next.
#[track_caller]
pub fn compared(state: UInt, keys: &[UInt], key: UInt) -> (UInt, Vec<Bool>) {
    let hits = hits(state, keys, key).into_iter().enumerate();
    let hits = hits.map(|(way, hit)| delayed(format!("hit_{way}"), hit)).collect();
    (delayed("set_state", state), hits)
}

/// What becomes of a set in which these ways have the key.
pub fn look_up(state: UInt, hits: &[Bool]) -> SetLookUp {
    let occupied = field(state, context_set::OCCUPIED).to_bools();
    let ranks_word = field(state, context_set::RANKS);
    let ranks: Vec<UInt> =
        (0..WAYS as u32).map(|way| ranks_word.bits(2 * way..2 * way + 2)).collect();
    let free: Vec<Bool> = occupied.iter().map(|&occupied| !occupied).collect();
    let oldest: Vec<Bool> = ranks.iter().map(|rank| rank.eq(WAYS as u64 - 1)).collect();
    let (found, room) = (any(hits), any(&free));
    // One bit for each way: which one it is need not be a number before the state follows from it.
    let (hit, first_free, mut last) = (first_alone(hits), first_alone(&free), first_alone(&oldest));
    last[WAYS - 1] = !any(&oldest[..WAYS - 1]);
    let chosen: Vec<Bool> =
        (0..WAYS).map(|way| mux(found, hit[way], mux(room, first_free[way], last[way]))).collect();
    let numbers = (0..).zip(&chosen).map(|(way, &chosen)| (chosen, UInt::lit(way, 2)));
    let way = one_hot_mux(&numbers.collect::<Vec<_>>());

    // Ways that were used more recently than this one move back by one. A new key counts as
    // the least recently used before.
    let hit_ranks: Vec<_> = hit.iter().copied().zip(ranks.iter().copied()).collect();
    let rank = mux(found, one_hot_mux(&hit_ranks), UInt::lit(WAYS as u64 - 1, 2));
    let mut state: Vec<UInt> = Vec::new();
    for index in (0..WAYS).rev() {
        let moves = ranks[index].lt(rank);
        let moved = mux(moves, ranks[index].wrapping_add(1), ranks[index]);
        state.push(mux(chosen[index], UInt::lit(0, 2), moved));
    }
    for index in (0..WAYS).rev() {
        state.push((occupied[index] | chosen[index]).as_uint());
    }
    SetLookUp { found, way, evicts: !found & !room, matched: cat(&state) }
}

/// The state of a set after the key of a way was removed: ways that were used less recently
/// move up by one.
pub fn removed(state: UInt, way: UInt) -> UInt {
    let occupied = field(state, context_set::OCCUPIED);
    let ranks_word = field(state, context_set::RANKS);
    let ranks: Vec<UInt> =
        (0..WAYS as u32).map(|way| ranks_word.bits(2 * way..2 * way + 2)).collect();
    let rank = select(way, &ranks);
    let ranks = ranks.iter().rev().map(|&own| mux(own.gt(rank), own.wrapping_sub(1), own));
    let stays = (0..WAYS as u32).rev().map(|own| (occupied.bit(own) & !way.eq(own)).as_uint());
    cat(&ranks.chain(stays).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::arithmetic::split_mix_64;
    use rmt_vm::state::sets::Sets;

    struct Probe;

    #[derive(Clone, Ports)]
    struct ProbeIo {
        state: Input<UInt>,
        keys: Vec<Input<UInt>>,
        key: Input<UInt>,
        found: Output<Bool>,
        way: Output<UInt>,
        evicts: Output<Bool>,
        matched: Output<UInt>,
        removed: Output<UInt>,
    }

    impl Component for Probe {
        type Io = ProbeIo;
        fn name(&self) -> String {
            "probe".into()
        }
        fn io(&self) -> ProbeIo {
            ProbeIo {
                state: input(uint(12)),
                keys: (0..WAYS).map(|_| input(uint(64))).collect(),
                key: input(uint(64)),
                found: output(boolean()),
                way: output(uint(2)),
                evicts: output(boolean()),
                matched: output(uint(12)),
                removed: output(uint(12)),
            }
        }
        fn build(&self, io: ProbeIo) {
            let keys: Vec<UInt> = io.keys.iter().map(Input::value).collect();
            let hits = hits(io.state.value(), &keys, io.key.value());
            let set = look_up(io.state.value(), &hits);
            io.found.set(set.found);
            io.way.set(set.way);
            io.evicts.set(set.evicts);
            io.matched.set(set.matched);
            io.removed.set(removed(io.state.value(), set.way));
        }
    }

    /// Matches and removals at random, in one set.
    #[test]
    fn a_set_equals_the_interpreters() {
        let mut sim = elaborate(Probe).unwrap().simulator();
        let mut sets = Sets::new(WAYS as u32);
        let (mut state, mut keys) = (0_u64, [0_u64; WAYS]);
        for step in 0..3000 {
            let random = split_mix_64(step);
            let key = random >> 8 & 7;
            sim.poke("state", state);
            (0..WAYS).for_each(|way| sim.poke(&format!("keys_{way}"), keys[way]));
            sim.poke("key", key);
            if random.is_multiple_of(16) {
                assert_eq!(sim.peek("found") == 1, sets.find(key).is_some(), "step {step}");
                if let Some(slot) = sets.remove(key) {
                    assert_eq!(sim.peek("way"), slot as u64, "step {step}");
                    state = sim.peek("removed");
                }
                continue;
            }
            let (expected, evicted) = match sets.find(key) {
                Some(slot) => {
                    sets.touch(slot);
                    assert_eq!(sim.peek("found"), 1, "step {step}");
                    (slot, None)
                }
                None => {
                    assert_eq!(sim.peek("found"), 0, "step {step}");
                    let inserted = sets.insert(key, true).unwrap();
                    (inserted.slot, inserted.evicted)
                }
            };
            assert_eq!(sim.peek("way"), expected as u64, "step {step}");
            assert_eq!(sim.peek("evicts") == 1, evicted.is_some(), "step {step}");
            state = sim.peek("matched");
            keys[expected] = key;
            for (rank, &way) in sets.sets()[0].order().iter().enumerate() {
                assert_eq!(state >> (4 + 2 * way) & 3, rank as u64, "step {step}");
            }
        }
    }
}
