//! State machines from Rust enums, with the states' names in the Verilog.
//!
//! ```
//! use rtl_builder::prelude::*;
//!
//! #[derive(Clone, Copy, Debug, State)]
//! enum Step {
//!     Idle,
//!     Run,
//!     Done,
//! }
//! # #[derive(Clone, Ports)] struct Io { start: Input<Bool>, busy: Output<Bool> }
//! # struct Machine;
//! # impl Component for Machine {
//! #     type Io = Io;
//! #     fn name(&self) -> String { "machine".into() }
//! #     fn io(&self) -> Io { Io { start: input(boolean()), busy: output(boolean()) } }
//! #     fn build(&self, io: Io) {
//! let step = fsm("step", Step::Idle);
//! step.switch()
//!     .on(Step::Idle, || {
//!         when(io.start, || step.go(Step::Run));
//!     })
//!     .on(Step::Run, || step.go(Step::Done))
//!     .on(Step::Done, || step.go(Step::Idle));
//! io.busy.set(!step.is(Step::Idle));
//! #     }
//! # }
//! # let text = elaborate(Machine)?.verilog();
//! # assert!(text.contains("localparam [1:0] STEP_IDLE = 2'd0;"), "{text}");
//! # assert!(text.contains("step <= STEP_RUN;"), "{text}");
//! # Ok::<(), Error>(())
//! ```

use crate::control::{self, Switch};
use crate::domain::{Domain, Main};
use crate::ir::{Kind, StateNames};
use crate::session;
use crate::signal::{Bool, UInt, bits_for};
use crate::state::{Reg, reg};
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

pub use rtl_builder_derive::State;

/// The states of a machine; derive it for an enum without payload.
pub trait State: Copy + 'static {
    /// Name of the enum.
    const NAME: &'static str;
    /// Names of the states, by code.
    const STATES: &'static [&'static str];
    /// The states, by code.
    const ALL: &'static [Self];

    /// The number that stands for the state in the register.
    fn code(self) -> u64;
}

/// A state register; binary code, in the order of the enum.
#[derive(Clone, Copy, Debug)]
pub struct Fsm<S: State, D: Domain = Main> {
    register: Reg<UInt<D>>,
    states: PhantomData<S>,
}

/// The arms of a machine.
pub struct FsmSwitch<S: State> {
    switch: Switch,
    states: PhantomData<S>,
}

/// A state register in the main domain that resets to `initial`.
#[track_caller]
pub fn fsm<S: State>(name: impl AsRef<str>, initial: S) -> Fsm<S, Main> {
    Fsm::new(name, initial)
}

impl<S: State, D: Domain> Fsm<S, D> {
    /// A state register that resets to `initial`.
    #[track_caller]
    pub fn new(name: impl AsRef<str>, initial: S) -> Self {
        let shape = UInt::<D>::of(Self::code_width());
        let register = reg(name, shape, UInt::lit(initial.code(), shape.width()));
        let place = Location::caller();
        session::with(|s| {
            let node = s.resolve(register.value().raw, place)?;
            let module = &mut s.stack.last_mut()?.module;
            let Kind::Reg(index) = module.node(node).kind else { return None };
            let values = S::STATES.iter().map(|&state| state.to_owned()).collect();
            module.regs[index].states =
                Some(Rc::new(StateNames { name: S::NAME.to_owned(), values }));
            Some(())
        });
        Self { register, states: PhantomData }
    }

    /// Bits of the state register.
    pub fn code_width() -> u32 {
        bits_for(S::STATES.len() as u64).max(1)
    }

    /// True in `state`.
    #[track_caller]
    pub fn is(&self, state: S) -> Bool<D> {
        self.register.eq(state.code())
    }

    /// True in one of `states`.
    #[track_caller]
    pub fn is_any(&self, states: &[S]) -> Bool<D> {
        states.iter().fold(Bool::lit(false), |any, &state| any | self.is(state))
    }

    /// The next state is `state`, unless a later assignment says otherwise.
    #[track_caller]
    pub fn go(&self, state: S) {
        self.register.next(state.code());
    }

    /// The state register's bits, for traces and counters.
    pub fn code(&self) -> UInt<D> {
        self.register.value()
    }

    /// Opens the choice by state.
    #[track_caller]
    pub fn switch(&self) -> FsmSwitch<S> {
        FsmSwitch { switch: control::switch(self.register), states: PhantomData }
    }
}

impl<S: State> FsmSwitch<S> {
    /// What happens in `state`.
    #[track_caller]
    pub fn on(self, state: S, body: impl FnOnce()) -> Self {
        Self { switch: self.switch.is(state.code(), body), states: PhantomData }
    }

    /// What happens in each of `states`.
    #[track_caller]
    pub fn on_any(self, states: &[S], body: impl FnOnce()) -> Self {
        let codes: Vec<u64> = states.iter().map(|state| state.code()).collect();
        Self { switch: self.switch.any_of(&codes, body), states: PhantomData }
    }

    /// What happens in all other states.
    pub fn default(self, body: impl FnOnce()) {
        self.switch.default(body);
    }
}
