//! The evaluator: runs a design cycle by cycle in Rust, with no tool installed.
//!
//! `flatten` lays the hierarchy out flat and orders it, `compile` turns it into a list of operations on 64-bit words,
//! `run` executes the list; this file is what a test bench sees.
//!
//! ```
//! # use rtl_builder::prelude::*;
//! # #[derive(Clone, Ports)] struct Io { en: Input<Bool>, n: Output<UInt> }
//! # struct Count;
//! # impl Component for Count {
//! #     type Io = Io;
//! #     fn name(&self) -> String { "count".into() }
//! #     fn io(&self) -> Io { Io { en: input(boolean()), n: output(uint(4)) } }
//! #     fn build(&self, io: Io) {
//! #         let count = reg("count", uint(4), 0);
//! #         when(io.en, || count.next(count.wrapping_add(1)));
//! #         io.n.set(count);
//! #     }
//! # }
//! let mut sim = elaborate(Count)?.simulator();
//! sim.poke("en", 1);
//! sim.step_n(20);
//! assert_eq!(sim.peek("n"), 4);
//! # Ok::<(), Error>(())
//! ```

mod compile;
mod flatten;
mod run;

use crate::bits::{Bits, words_for};
use crate::design::Design;
use crate::domain::{Domain, DomainInfo};
use crate::ir::Module;
use compile::Program;
use std::rc::Rc;

/// What can be wrong with a request of a test bench.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// No signal has this path.
    #[error("no signal `{path}`; `{scope}` has: {known}")]
    UnknownSignal {
        /// What was asked for.
        path: String,
        /// The deepest instance that was found.
        scope: String,
        /// What it has.
        known: String,
    },
    /// Only inputs of the top module and resets are driven by a test bench.
    #[error("`{path}` is not an input of the top module")]
    NotAnInput {
        /// The signal.
        path: String,
    },
    /// The value has more bits than the signal.
    #[error("the value {value} does not fit the {width} bits of the signal")]
    ValueTooWide {
        /// The value.
        value: String,
        /// Width of the signal, bits.
        width: u32,
    },
    /// No memory has this path, or not this word.
    #[error("no word {word} in a memory `{path}`")]
    UnknownWord {
        /// The memory.
        path: String,
        /// The word.
        word: u64,
    },
}

/// A signal that was looked up once, for test benches that must be fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    slot: u32,
    width: u32,
    driven: bool,
}

impl Handle {
    /// Width of the signal, bits.
    pub fn width(self) -> u32 {
        self.width
    }
}

/// A design in execution. Signals are named by their path: `port`, or `instance.instance.signal`.
///
/// It starts as after a reset: registers at their reset value, those without one and memories without contents at zero.
///
/// The methods that take a name panic if there is no such signal or the value does not fit, like indexing does, at the
/// test bench's line; [`find`](Self::find), [`get`](Self::get) and [`set`](Self::set) return errors instead.
#[derive(Clone, Debug)]
pub struct Simulator {
    modules: Rc<Vec<Module>>,
    program: Rc<Program>,
    /// Values of all signals.
    words: Vec<u64>,
    /// Contents of all memories.
    memories: Vec<Vec<u64>>,
    /// What registers and read ports take at the edge.
    staged: Vec<u64>,
    /// True if an input or the state changed since the last evaluation.
    dirty: bool,
    cycles: u64,
}

impl Simulator {
    /// An evaluator of `design`.
    pub fn new(design: &Design) -> Self {
        let program = compile::compile(design.modules());
        let mut simulator = Self {
            modules: design.modules().clone(),
            words: program.initial_words.clone(),
            memories: program.memories.iter().map(compile::MemoryPlan::initial).collect(),
            staged: vec![0; program.staged_words],
            program: Rc::new(program),
            dirty: true,
            cycles: 0,
        };
        simulator.settle();
        simulator
    }

    /// Looks a signal up by its path.
    ///
    /// # Errors
    /// [`SimError::UnknownSignal`], with the names there are.
    pub fn find(&self, path: &str) -> Result<Handle, SimError> {
        flatten::find(&self.modules, &self.program, path)
    }

    /// The value of a signal.
    pub fn get(&mut self, signal: Handle) -> Bits {
        self.settle();
        let at = signal.slot as usize;
        Bits::from_words(signal.width, &self.words[at..at + words_for(signal.width)])
    }

    /// The 64 low bits of a signal: the fast way.
    pub fn get_u64(&mut self, signal: Handle) -> u64 {
        self.settle();
        self.words[signal.slot as usize]
    }

    /// Drives an input of the top module, until it is driven again.
    ///
    /// # Errors
    /// [`SimError::NotAnInput`] or [`SimError::ValueTooWide`].
    pub fn set(&mut self, signal: Handle, value: &Bits) -> Result<(), SimError> {
        if !signal.driven {
            return Err(SimError::NotAnInput { path: format!("signal of {} bits", signal.width) });
        }
        if value.significant_bits() > signal.width {
            return Err(SimError::ValueTooWide { value: value.to_string(), width: signal.width });
        }
        let at = signal.slot as usize;
        for i in 0..words_for(signal.width) {
            self.words[at + i] = value.words().get(i).copied().unwrap_or(0);
        }
        self.dirty = true;
        Ok(())
    }

    /// Drives an input of up to 64 bits: the fast way.
    ///
    /// # Errors
    /// [`SimError::NotAnInput`] or [`SimError::ValueTooWide`].
    pub fn set_u64(&mut self, signal: Handle, value: u64) -> Result<(), SimError> {
        if signal.driven && signal.width <= 64 && value & !crate::bits::low_mask(signal.width) == 0
        {
            self.dirty |= self.words[signal.slot as usize] != value;
            self.words[signal.slot as usize] = value;
            return Ok(());
        }
        self.set(signal, &Bits::new(64, value))
    }

    /// Drives an input of the top module, or a domain's reset.
    ///
    /// # Panics
    /// If there is no such input or the value does not fit.
    #[track_caller]
    pub fn poke(&mut self, path: &str, value: u64) {
        self.poke_bits(path, &Bits::new(64, value));
    }

    /// Drives a signed input of the top module.
    ///
    /// # Panics
    /// If there is no such input or the value does not fit.
    #[track_caller]
    pub fn poke_signed(&mut self, path: &str, value: i64) {
        let width = self.find(path).map_or(64, Handle::width);
        let bits = Bits::from_i128(width, i128::from(value));
        assert!(
            bits.to_i128() == i128::from(value),
            "poke of `{path}`: {value} does not fit {width} bits, signed"
        );
        self.poke_bits(path, &bits);
    }

    /// Drives an input of any width.
    ///
    /// # Panics
    /// If there is no such input or the value does not fit.
    #[track_caller]
    pub fn poke_bits(&mut self, path: &str, value: &Bits) {
        let result = self.find(path).and_then(|signal| match signal.driven {
            true => self.set(signal, value),
            false => Err(SimError::NotAnInput { path: path.to_owned() }),
        });
        if let Err(error) = result {
            panic!("poke of `{path}`: {error}");
        }
    }

    /// The 64 low bits of a signal.
    ///
    /// # Panics
    /// If there is no such signal.
    #[track_caller]
    pub fn peek(&mut self, path: &str) -> u64 {
        self.peek_bits(path).to_u64()
    }

    /// A signal read as two's complement; the 64 low bits of it if it is wider.
    ///
    /// # Panics
    /// If there is no such signal.
    #[track_caller]
    pub fn peek_signed(&mut self, path: &str) -> i64 {
        self.peek_bits(path).to_i64()
    }

    /// A signal of any width.
    ///
    /// # Panics
    /// If there is no such signal.
    #[track_caller]
    pub fn peek_bits(&mut self, path: &str) -> Bits {
        match self.find(path) {
            Ok(signal) => self.get(signal),
            Err(error) => panic!("peek: {error}"),
        }
    }

    /// One rising edge of all clocks at once, after those of multiples of the main clock that lie between it and the last
    /// one ([`Domain::MULTIPLE`]).
    pub fn step(&mut self) {
        self.edge(None);
    }

    /// `cycles` rising edges of all clocks.
    pub fn step_n(&mut self, cycles: u64) {
        for _ in 0..cycles {
            self.step();
        }
    }

    /// One rising edge of the clock of `D` alone; the main clock goes with its multiples.
    pub fn step_domain<D: Domain>(&mut self) {
        self.edge(Some(&[DomainInfo::of::<D>()]));
    }

    /// One rising edge of several clocks at once.
    pub fn step_domains(&mut self, domains: &[DomainInfo]) {
        self.edge(Some(domains));
    }

    /// Holds all resets for one edge of all clocks. Memories and registers without reset keep what they have.
    pub fn reset(&mut self) {
        for (_, slot) in &self.program.resets {
            self.words[*slot as usize] = 1;
        }
        self.dirty = true;
        self.step();
        for (_, slot) in &self.program.resets {
            self.words[*slot as usize] = 0;
        }
        self.dirty = true;
    }

    /// Number of edges so far.
    pub fn cycles(&self) -> u64 {
        self.cycles
    }

    /// A word of a memory, by the memory's path.
    ///
    /// # Panics
    /// If there is no such memory or word.
    #[track_caller]
    pub fn peek_mem(&self, path: &str, word: u64) -> Bits {
        match self.memory_word(path, word) {
            Ok((memory, at, width)) => {
                Bits::from_words(width, &self.memories[memory][at..at + words_for(width)])
            }
            Err(error) => panic!("peek_mem: {error}"),
        }
    }

    /// Replaces a word of a memory.
    ///
    /// # Panics
    /// If there is no such memory or word, or the value does not fit.
    #[track_caller]
    pub fn poke_mem(&mut self, path: &str, word: u64, value: &Bits) {
        match self.memory_word(path, word) {
            Ok((memory, at, width)) => {
                assert!(
                    value.significant_bits() <= width,
                    "poke_mem: {value} does not fit {width} bits"
                );
                let count = words_for(width);
                self.memories[memory][at..at + count].copy_from_slice(value.zext(width).words());
                self.dirty = true;
            }
            Err(error) => panic!("poke_mem: {error}"),
        }
    }

    fn memory_word(&self, path: &str, word: u64) -> Result<(usize, usize, u32), SimError> {
        let unknown = || SimError::UnknownWord { path: path.to_owned(), word };
        let memory =
            flatten::find_memory(&self.modules, &self.program, path).ok_or_else(unknown)?;
        let plan = &self.program.memories[memory];
        if word >= plan.depth {
            return Err(unknown());
        }
        Ok((memory, word as usize * plan.words(), plan.width))
    }
}
