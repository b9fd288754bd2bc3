//! Decisions that are remembered: for programs whose decision depends on the event alone.
//!
//! The verifier's ordering class says which programs these are: they write nothing, so that
//! contexts and maps change by commits only, and each commit empties the cache. Of the event only
//! those bytes count that the program reads.

use rmt_isa::event::{EVENT_BYTES, event_layout};
use rmt_isa::instruction::Instruction;
use rmt_isa::program::{KeySource, Ordering};
use rmt_isa::{Decision, Event, Program};

/// Places, a power of two.
const PLACES: usize = 4096;
/// Look-ups after which the cache is judged.
const TRIAL: u32 = 4096;
/// Least share of hits, as a divisor, at which it stays in use.
const LEAST_HITS: u32 = 4;
/// Look-ups for which a cache that does not pay is out of use.
const REST: u32 = 16 * TRIAL;

const WORDS: usize = EVENT_BYTES / 8;

/// Remembered decisions of one program.
pub struct ResultCache {
    mask: [u64; WORDS],
    places: Vec<Option<([u64; WORDS], Decision)>>,
    lookups: u32,
    hits: u32,
    /// Look-ups until it is tried again; 0 while it is in use.
    rest: u32,
}

impl ResultCache {
    /// A cache for a program, if its decisions can be remembered.
    pub fn for_program(program: &Program, ordering: Ordering) -> Option<Self> {
        (ordering == Ordering::Pure).then(|| Self {
            mask: words(&read_bytes(program)),
            places: vec![None; PLACES],
            lookups: 0,
            hits: 0,
            rest: 0,
        })
    }

    /// The decision that an equal event had.
    #[inline]
    pub fn find(&mut self, event: &Event) -> Option<Decision> {
        if self.rest > 0 {
            self.rest -= 1;
            return None;
        }
        self.lookups += 1;
        let key = self.key(event);
        let found = match &self.places[place(&key)] {
            Some((known, decision)) if *known == key => {
                self.hits += 1;
                Some(Decision { tag: event.tag(), ..*decision })
            }
            _ => None,
        };
        if self.lookups == TRIAL {
            if self.hits < TRIAL / LEAST_HITS {
                self.rest = REST;
            }
            (self.lookups, self.hits) = (0, 0);
        }
        found
    }

    /// Remembers a decision.
    #[inline]
    pub fn remember(&mut self, event: &Event, decision: &Decision) {
        if self.rest == 0 {
            let key = self.key(event);
            self.places[place(&key)] = Some((key, *decision));
        }
    }

    /// Forgets everything: the program has changed.
    pub fn clear(&mut self) {
        self.places.fill(None);
    }

    fn key(&self, event: &Event) -> [u64; WORDS] {
        let mut key = words(&event.bytes);
        key.iter_mut().zip(&self.mask).for_each(|(word, mask)| *word &= mask);
        key
    }
}

fn words(bytes: &[u8; EVENT_BYTES]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

fn place(key: &[u64; WORDS]) -> usize {
    // A multiplicative hash: odd constant, the upper bits are the good ones.
    let mixed = key.iter().fold(0_u64, |hash, word| {
        (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    });
    (mixed >> 32) as usize & (PLACES - 1)
}

/// The bytes of the event that decide: all bits set where one counts.
fn read_bytes(program: &Program) -> [u8; EVENT_BYTES] {
    let mut read = [0; EVENT_BYTES];
    let mut mark = |offset: usize, bytes: usize| {
        let end = (offset + bytes).min(EVENT_BYTES);
        read[offset.min(end)..end].fill(u8::MAX);
    };
    mark(event_layout::HOOK.offset, event_layout::HOOK.bytes);
    mark(event_layout::FLAGS.offset, event_layout::FLAGS.bytes);
    for field in program.tables.iter().flat_map(|table| &table.key) {
        if let KeySource::Event { offset } = field.source {
            mark(offset.into(), field.kind.bytes());
        }
    }
    for &instruction in program.actions.iter().flat_map(|action| &action.code) {
        match instruction {
            Instruction::LoadEvent { offset, kind, .. } => mark(offset.index(), kind.bytes()),
            Instruction::VectorLoadEvent { lanes, element, offset, .. } => {
                mark(offset.index(), lanes.count() * element.bytes());
            }
            _ => {}
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_vm::Machine;
    use rmt_vm::generate::{Options, Step, verified_case};
    use rmt_vm::verifier::{Limits, verify};

    /// On pure programs a cache that is emptied by commits never tells.
    #[test]
    fn a_remembered_decision_is_the_one_that_the_program_would_make() {
        let (mut pure, mut hits) = (0, 0);
        for seed in 0..300 {
            let case = verified_case(seed, &Options::default());
            let ordering = verify(&case.program, &Limits::default()).unwrap().ordering.class;
            let Some(mut cache) = ResultCache::for_program(&case.program, ordering) else {
                continue;
            };
            pure += 1;
            let mut machine = Machine::new(&case.program).unwrap();
            // Twice, so that every event comes again.
            for step in case.steps.iter().flat_map(|step| [step, step]) {
                match step {
                    Step::Event(event) => {
                        let expected = machine.run(event);
                        match cache.find(event) {
                            Some(found) => {
                                assert_eq!(found, expected, "seed {seed}");
                                hits += 1;
                            }
                            None => cache.remember(event, &expected),
                        }
                    }
                    Step::Commit(changes) => {
                        _ = machine.state_mut().commit(changes);
                        cache.clear();
                    }
                }
            }
        }
        assert!(pure > 5 && hits > 100, "{pure} pure programs, {hits} hits");
    }

    #[test]
    fn a_cache_that_does_not_hit_rests() {
        let program = Program::default();
        let mut cache = ResultCache::for_program(&program, Ordering::Pure).unwrap();
        assert!(ResultCache::for_program(&program, Ordering::PerKey).is_none());
        cache.mask = [u64::MAX; WORDS];
        let event = |n: u32| Event::new(1, 0, n.into());
        for n in 0..TRIAL {
            assert_eq!(cache.find(&event(n)), None);
        }
        assert_eq!(cache.rest, REST);
        cache.remember(&event(1), &crate::engines::no_program(&event(1)));
        assert_eq!(cache.find(&event(1)), None);
    }
}
