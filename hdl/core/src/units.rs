//! How the stages share a unit: each asks with what stands in its execute stage, an arbiter
//! chooses one of them in each cycle, and the unit's verdict goes back to all.
//!
//! ```text
//!  stage 0 ─ UnitCall ─►┐
//!  stage 1 ─ UnitCall ─►┤ UnitArbiter ─► request, fault, soon, posted ─ unit
//!      …                ┘
//!  stages ◄──────────────── completions, by thread number ◄──────────────┘
//! ```
//!
//! A unit looks at one request in a cycle and says of it, in the same cycle: taken or not
//! (`ready`), whether it will be soon, whether it breaks a rule, and whether anything comes
//! back. What it sends back carries the thread's number, whose high bits are the stage.

use rtl_builder::prelude::*;
use rtl_builder::stock::RoundRobinArbiter;
use rtl_builder::stock::stream::Stream;

use crate::signals::Completion;

/// What becomes of a stage's request in this cycle; none of it: the instruction is fetched
/// again.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Verdict {
    /// The unit takes it
    pub taken: Bool,
    /// It is another one's turn, or the unit is ready soon: the request stays
    pub stays: Bool,
    /// It breaks a rule: the event ends
    pub fault: Bool,
    /// Nothing comes back: when it is taken it is done
    pub posted: Bool,
}

impl Verdict {
    pub(crate) fn shape() -> Self {
        Self { taken: boolean(), stays: boolean(), fault: boolean(), posted: boolean() }
    }
}

/// A stage's side of a shared unit.
#[derive(Clone, Copy, Debug, Ports)]
pub struct UnitCall<T: Bundle> {
    /// There is a request; it does not depend on the verdict
    pub wants: Output<Bool>,
    /// The request
    pub payload: Output<T>,
    /// What becomes of it
    pub verdict: Input<Verdict>,
}

/// The same, seen by what answers it.
#[derive(Clone, Copy, Debug, Ports)]
pub struct UnitServe<T: Bundle> {
    /// There is a request
    pub wants: Input<Bool>,
    /// The request
    pub payload: Input<T>,
    /// What becomes of it
    pub verdict: Output<Verdict>,
}

/// Declares a stage's side.
pub(crate) fn unit_call<T: Bundle>(payload: T) -> UnitCall<T> {
    UnitCall {
        wants: output(boolean()),
        payload: output(payload),
        verdict: input(Verdict::shape()),
    }
}

impl<T: Bundle> UnitCall<T> {
    /// Inside a module: asks.
    #[track_caller]
    pub(crate) fn ask(&self, wants: Bool, payload: T) {
        self.wants.set(wants);
        self.payload.set(payload);
    }

    /// Inside a module: passes the call of an instance on, its payload changed.
    #[track_caller]
    pub(crate) fn forward(&self, inner: &Self, change: impl FnOnce(T) -> T) {
        self.ask(inner.wants.value(), change(inner.payload.value()));
        inner.verdict.set(self.verdict.value());
    }
}

/// Chooses among the stages, round robin: one request each cycle. With one stage it is
/// wires alone.
pub struct UnitArbiter<T: Bundle> {
    /// Name of the unit.
    pub(crate) unit: &'static str,
    /// Number of stages.
    pub(crate) stages: u32,
    /// Threads of all stages, which with the name tells the payload's widths.
    pub(crate) threads: u32,
    /// Shape of a request.
    pub(crate) payload: T,
}

/// Ports of [`UnitArbiter`].
#[derive(Clone, Ports)]
pub struct UnitArbiterIo<T: Bundle> {
    /// The stages
    pub stages: Vec<UnitServe<T>>,
    /// To the unit: the request that is chosen, unless it breaks a rule
    pub request: StreamOut<T>,
    /// The unit takes a request soon, if not now
    pub soon: Input<Bool>,
    /// The request that is there breaks a rule
    pub fault: Input<Bool>,
    /// Nothing comes back for the request that is there
    pub posted: Input<Bool>,
}

impl<T: Bundle> Component for UnitArbiter<T> {
    type Io = UnitArbiterIo<T>;

    fn name(&self) -> String {
        format!("{}_arbiter_s{}_t{}", self.unit, self.stages, self.threads)
    }

    fn doc(&self) -> String {
        format!("Chooses which stage's request goes to the {}, round robin", self.unit)
    }

    fn io(&self) -> UnitArbiterIo<T> {
        let stage = || UnitServe {
            wants: input(boolean()),
            payload: input(self.payload.clone()),
            verdict: output(Verdict::shape()),
        };
        UnitArbiterIo {
            stages: (0..self.stages).map(|_| stage()).collect(),
            request: stream_out(self.payload.clone()),
            soon: input(boolean()),
            fault: input(boolean()),
            posted: input(boolean()),
        }
    }

    fn build(&self, io: UnitArbiterIo<T>) {
        let settled = wire("settled", boolean()).doc("The chosen request is taken or refused");
        let wants: Vec<Bool> = io.stages.iter().map(|stage| stage.wants.value()).collect();
        let payloads: Vec<T> = io.stages.iter().map(|stage| stage.payload.value()).collect();
        let (some, chosen): (Bool, Vec<Bool>) = if let [only] = wants[..] {
            (only, vec![Bool::lit(true)])
        } else {
            let arbiter = instance("arbiter", RoundRobinArbiter::<Main>::new(self.stages));
            let bits: Vec<UInt> = wants.iter().rev().map(|wants| wants.as_uint()).collect();
            arbiter.request.set(cat(&bits));
            arbiter.accept.set(settled.value());
            let _ = arbiter.index;
            (arbiter.valid.value(), arbiter.grant.to_bools())
        };
        let choices: Vec<_> = chosen.iter().copied().zip(payloads.iter().cloned()).collect();
        let payload = match &payloads[..] {
            [only] => only.clone(),
            _ => one_hot_mux(&choices),
        };
        let fault = io.fault.value();
        io.request.offer(some & !fault, payload);
        let taken = io.request.fire();
        settled.set(some & (taken | fault));
        for (stage, &own) in io.stages.iter().zip(&chosen) {
            let others_turn = !own & (io.soon | io.request.ready());
            stage.verdict.set(Verdict {
                taken: own & taken,
                stays: stage.wants & ((own & !fault & !taken & io.soon) | others_turn),
                fault: stage.wants & own & fault,
                posted: io.posted.value(),
            });
        }
    }
}

/// Joins the stages' calls to an arbiter.
#[track_caller]
pub(crate) fn join_calls<'a, T: Bundle + 'a>(
    calls: impl IntoIterator<Item = &'a UnitCall<T>>,
    arbiter: &UnitArbiterIo<T>,
) {
    for (call, stage) in calls.into_iter().zip(&arbiter.stages) {
        stage.wants.set(call.wants.value());
        stage.payload.set(call.payload.value());
        call.verdict.set(stage.verdict.value());
    }
}

/// Which stage a thread belongs to, and its number there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadSplit {
    stages: u32,
    local: u32,
}

impl ThreadSplit {
    /// For so many stages and threads in all, powers of two both.
    pub(crate) fn new(stages: u32, threads: u32) -> Self {
        Self { stages, local: (threads / stages).ilog2() }
    }

    /// Whether a thread is one of a stage's; `stage` is absent when there is only one.
    pub(crate) fn is_of(self, thread: UInt, stage: Option<UInt>) -> Bool {
        match stage {
            None => Bool::lit(true),
            Some(stage) => self.stage(thread).eq(stage),
        }
    }

    /// A thread's stage; 0 when there is only one.
    pub(crate) fn stage(self, thread: UInt) -> UInt {
        if self.stages == 1 { UInt::lit(0, 1) } else { thread.bits(self.local..thread.width()) }
    }

    /// A thread's number in its stage.
    pub(crate) fn local(self, thread: UInt) -> UInt {
        thread.trunc(self.local)
    }

    /// A thread's number among all.
    pub(crate) fn global(self, stage: Option<UInt>, local: UInt) -> UInt {
        stage.map_or(local, |stage| stage.concat(local))
    }
}

/// Offers a completion from a register, so that what a unit reads in a cycle need not reach a stage's registers in
/// the same one; gives whether the register takes it.
#[track_caller]
pub(crate) fn complete(port: &StreamOut<Completion>, valid: Bool, completion: Completion) -> Bool {
    let waits = reg("completion_waits", boolean(), false);
    let thread = uint(completion.thread.width());
    let shape = Completion { thread, value: uint(64), status: uint(8) };
    let held = reg_uninit("completion_held", shape);
    let free = !waits.value() | port.ready();
    when(free, || {
        waits.next(valid);
        held.next(completion);
    });
    port.offer(waits.value(), held.value());
    valid & free
}

/// Sends completions to the stage of their thread.
#[track_caller]
pub(crate) fn route_completions(
    split: ThreadSplit,
    source: &impl Stream<Completion, Main>,
    sinks: &[StreamIn<Completion>],
) {
    let [only] = sinks else {
        let stage = split.stage(source.payload().thread);
        return rtl_builder::stock::stream::route(source, stage, sinks);
    };
    connect(source, only);
}
