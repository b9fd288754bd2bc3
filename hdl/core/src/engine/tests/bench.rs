//! An engine on the evaluator, and the small things that tests need to drive it.

use crate::engine::Engine;
use crate::engine::event_copy::EventCopy;
use rmt_isa::Instruction;
use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::HostWrite;
use rmt_isa::card::engine::{EngineRegion, EngineShape};
use rmt_isa::event::Event;
use rtl_builder::prelude::*;

/// Cycles after which a test gives up waiting.
const PATIENCE: u64 = 4000;

/// Random numbers that are the same in every run.
pub struct Random(u64);

impl Random {
    /// A sequence for a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        split_mix_64(self.0)
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.bits() % end.max(1)
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of some items.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// A value of `bits` bits, signed, often at an edge.
    pub fn value(&mut self, bits: u32) -> i32 {
        let (min, max) = (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits));
        let value = match self.below(8) {
            0 => min,
            1 => max,
            2 => self.below(5) as i64 - 2,
            3 => self.bits() as i64 >> (64 - bits / 2),
            _ => self.bits() as i64 >> (64 - bits),
        };
        value.clamp(min, max) as i32
    }
}

/// An answer of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub thread: u64,
    pub value: u64,
    pub status: u8,
}

/// An engine under test.
pub struct Bench {
    pub sim: Simulator,
    pub shape: EngineShape,
}

/// Parts in which events come.
const EVENT_BEATS: u32 = 4;

impl Bench {
    pub fn new(shape: EngineShape) -> Self {
        let design = elaborate(Engine { shape: shape.clone(), event_beats: EVENT_BEATS })
            .unwrap_or_else(|error| panic!("{error}"));
        let mut bench = Self { sim: design.simulator(), shape };
        bench.sim.poke("lanes_out_ready", 1);
        bench.fill_memories();
        bench
    }

    /// Memories hold anything at power-up: what nobody wrote must not matter.
    fn fill_memories(&mut self) {
        let (shape, random) = (self.shape.clone(), &mut Random::new(77));
        let n = shape.array;
        let extent = |region| shape.extent(region).words.into();
        let thread_bits = shape.threads.trailing_zeros();
        let word_bits = shape.words_per_register().trailing_zeros().max(1);
        let words = shape.words_per_register().into();
        let registers = u64::from(shape.threads) * 8 * words;
        let mut memories: Vec<(String, u64, u32)> = (0..n)
            .flat_map(|lane| {
                [
                    (format!("registers.lane{lane}"), registers, 32),
                    (format!("window_unit.input{lane}"), words, 32),
                ]
            })
            .collect();
        let others: [(&str, u64, u32); 13] = [
            ("constants", extent(EngineRegion::Constants), n * 32),
            ("product.loader.weights", extent(EngineRegion::Weights), n * 8),
            (
                "product.vectors",
                (shape.threads * shape.words_per_register()).into(),
                n * shape.activation_bits(),
            ),
            ("product.partial_sums", shape.partial_sums().into(), n * 32),
            ("product.batcher.members", shape.threads.into(), thread_bits + 20),
            ("product.batcher.last_outputs", shape.threads.into(), word_bits),
            ("product.batcher.jobs", shape.threads.into(), 32 + 2 * word_bits),
            ("requantiser.scales", extent(EngineRegion::Scales), shape.requantise_lanes * 37),
            ("forest_unit.low_features", shape.words_per_register().into(), n * 32),
            ("forest_unit.high_features", shape.words_per_register().into(), n * 32),
            ("forest_unit.votes", 256, 16),
            ("forest_unit.seen", 16, 16),
            ("decoder.vector_types", (shape.threads * 8).into(), 11),
        ];
        memories.extend(others.map(|(name, words, bits)| (name.to_owned(), words, bits)));
        let banks = EventCopy { shape: shape.clone(), beats: EVENT_BEATS }.banks();
        let rows = u64::from(shape.threads * EVENT_BEATS / banks);
        let bits = 512 / EVENT_BEATS;
        memories.extend((0..banks).map(|bank| (format!("event_copy.events_{bank}"), rows, bits)));
        for (memory, words, bits) in memories {
            for word in 0..words {
                let garbage: Vec<u64> = (0..16).map(|_| random.bits()).collect();
                let garbage = Bits::from_words(1024, &garbage).slice(0, bits);
                self.sim.poke_mem(&memory, word, &garbage);
            }
        }
    }

    pub fn write(&mut self, writes: &[HostWrite]) {
        for write in writes {
            self.sim.poke("host_valid", 1);
            self.sim.poke("host_write", 1);
            self.sim.poke("host_address", write.address.into());
            self.sim.poke("host_wdata", write.value);
            self.sim.step();
            self.sim.poke("host_valid", 0);
            let waited = (0..16).find(|_| {
                let answered = self.sim.peek("host_answer_valid") == 1;
                self.sim.step();
                answered
            });
            assert!(waited.is_some(), "the host's write was not answered within 16 cycles");
        }
    }

    pub fn read(&mut self, address: u32) -> u64 {
        self.sim.poke("host_valid", 1);
        self.sim.poke("host_write", 0);
        self.sim.poke("host_address", address.into());
        self.sim.step();
        self.sim.poke("host_valid", 0);
        for _ in 0..16 {
            if self.sim.peek("host_answer_valid") == 1 {
                return self.sim.peek("host_answer_rdata");
            }
            self.sim.step();
        }
        panic!("the host's read was not answered within 16 cycles");
    }

    pub fn start(&mut self, thread: u64, event: &Event) {
        self.sim.poke("beat_valid", 1);
        self.sim.poke("beat_thread", thread);
        self.sim.poke("start_thread", thread);
        let words: Vec<u64> = (0..8).map(|word| event.load(word * 8, 8)).collect();
        let words_of_beat = words.len() / EVENT_BEATS as usize;
        for (number, part) in (0..).zip(words.chunks(words_of_beat)) {
            self.sim.poke("beat_number", number);
            self.sim.poke_bits("beat_data", &Bits::from_words(512 / EVENT_BEATS, part));
            self.sim.poke("start_valid", (number + 1 == u64::from(EVENT_BEATS)).into());
            self.sim.step();
        }
        self.sim.poke("beat_valid", 0);
        self.sim.poke("start_valid", 0);
    }

    /// Offers a command in this cycle; it is taken, since the engine is always ready.
    pub fn offer(&mut self, thread: u64, word: u64, a: u64, b: u64) {
        assert_eq!(self.sim.peek("command_ready"), 1);
        self.sim.poke("command_valid", 1);
        self.sim.poke("command_payload_thread", thread);
        self.sim.poke("command_payload_instruction", word);
        self.sim.poke("command_payload_a", a);
        self.sim.poke("command_payload_b", b);
    }

    pub fn withdraw(&mut self) {
        self.sim.poke("command_valid", 0);
        // What stands on the wires without `valid` must not matter.
        self.sim.poke("command_payload_instruction", u64::MAX);
    }

    /// The answer of this cycle.
    pub fn answer(&mut self) -> Option<Answer> {
        (self.sim.peek("response_valid") == 1).then(|| Answer {
            thread: self.sim.peek("response_thread"),
            value: self.sim.peek("response_value"),
            status: self.sim.peek("response_status") as u8,
        })
    }

    /// Runs one command; gives its answer and the cycles from the command to it.
    pub fn run(&mut self, thread: u64, instruction: Instruction, a: u64, b: u64) -> (Answer, u64) {
        self.run_word(thread, instruction.encode(), a, b)
    }

    pub fn run_word(&mut self, thread: u64, word: u64, a: u64, b: u64) -> (Answer, u64) {
        self.offer(thread, word, a, b);
        self.sim.step();
        self.withdraw();
        for cycle in 1..PATIENCE {
            let answer = self.answer();
            self.sim.step();
            if let Some(answer) = answer {
                assert_eq!(answer.thread, thread);
                return (answer, cycle);
            }
        }
        panic!("no answer to {word:#x}");
    }

    /// Steps until no operation is under way.
    pub fn drain(&mut self) {
        for _ in 0..PATIENCE {
            if (0..self.shape.threads).all(|t| self.sim.peek(&format!("busy_t{t}")) == 0) {
                // The last word is on its way to the registers.
                self.sim.step();
                return;
            }
            self.sim.step();
        }
        panic!("an operation does not end");
    }

    /// Some lanes of a register, as they stand in the memory.
    pub fn lanes(&self, thread: u64, register: usize, count: usize) -> Vec<i32> {
        let words = self.shape.words_per_register() as usize;
        let n = self.shape.array as usize;
        (0..count)
            .map(|lane| {
                let word = (thread as usize * 8 + register) * words + lane / n;
                let memory = format!("registers.lane{}", lane % n);
                self.sim.peek_mem(&memory, word as u64).to_u64() as u32 as i32
            })
            .collect()
    }
}
