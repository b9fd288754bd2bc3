//! How the stages share a unit: each offers a request, an arbiter chooses one of them in each cycle, and what the unit
//! has to say comes back as a completion.
//!
//! ```text
//!  stage 0 ─ request ─►┐
//!  stage 1 ─ request ─►┤ UnitArbiter ─► unit
//!      …               ┘                 │
//!  stages ◄─ completions, by thread ◄────┘
//! ```
//!
//! A completion carries the thread's number, whose high bits are the stage. The execute stage offers a command of the ML engine
//! as it is and waits until it is taken, which is soon. All other requests go through [`ask`]: their unit may be busy for
//! longer, or says only after a look at its descriptors what it makes of them. Which stage's goes first is decided in a cycle of
//! its own.

use rtl_builder::prelude::*;
use rtl_builder::stock::RoundRobinArbiter;
use rtl_builder::stock::skid;
use rtl_builder::stock::stream::{Channel, Stream};

use crate::signals::Completion;

/// Chooses among the stages, round robin: one request each cycle, in the next one when it is [held](Self::held). With one
/// stage it is wires alone.
pub struct UnitArbiter<T: Bundle> {
    /// Name of the unit.
    pub(crate) unit: &'static str,
    /// Number of stages.
    pub(crate) stages: u32,
    /// A request that was chosen waits for the unit in a register.
    pub(crate) held: bool,
    /// Threads of all stages, which with the name tells the payload's widths.
    pub(crate) threads: u32,
    /// Shape of a request.
    pub(crate) payload: T,
}

/// Ports of [`UnitArbiter`].
#[derive(Clone, Ports)]
pub struct UnitArbiterIo<T: Bundle> {
    /// Requests of the stages
    pub stages: Vec<StreamIn<T>>,
    /// The request that is chosen
    pub request: StreamOut<T>,
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
        UnitArbiterIo {
            stages: (0..self.stages).map(|_| stream_in(self.payload.clone())).collect(),
            request: stream_out(self.payload.clone()),
        }
    }

    fn build(&self, io: UnitArbiterIo<T>) {
        if let [only] = &io.stages[..] {
            connect(only, &io.request);
            return;
        }
        let arbiter = instance("arbiter", RoundRobinArbiter::<Main>::new(self.stages));
        let valid: Vec<UInt> =
            io.stages.iter().rev().map(|stage| stage.valid().as_uint()).collect();
        arbiter.request.set(cat(&valid));
        let _ = arbiter.index;
        let granted = arbiter.grant.to_bools();
        let choices: Vec<_> =
            granted.iter().copied().zip(io.stages.iter().map(Stream::payload)).collect();
        let (valid, request) = (arbiter.valid.value(), one_hot_mux(&choices));
        let free = if self.held {
            let waits = reg("waits", boolean(), false);
            let held = reg_uninit("held", self.payload.clone());
            let free = !waits.value() | io.request.ready();
            when(free, || {
                waits.next(valid);
                held.next(request);
            });
            io.request.offer(waits.value(), held.value());
            free
        } else {
            io.request.offer(valid, request);
            io.request.ready()
        };
        arbiter.accept.set(free);
        for (stage, granted) in io.stages.iter().zip(granted) {
            stage.accept(granted & free);
        }
    }
}

/// Joins the stages' requests to an arbiter.
#[track_caller]
pub(crate) fn join_requests<'a, T: Bundle + 'a>(
    requests: impl IntoIterator<Item = &'a StreamOut<T>>,
    arbiter: &UnitArbiterIo<T>,
) {
    for (request, stage) in requests.into_iter().zip(&arbiter.stages) {
        connect(request, stage);
    }
}

/// Offers a request from a register, so that what its unit makes of it need not reach the execute stage in the same
/// cycle; gives whether the register takes it.
#[track_caller]
pub(crate) fn ask<T: Bundle>(
    port: &StreamOut<T>,
    name: &str,
    valid: Bool,
    request: T,
    shape: T,
) -> Bool {
    let waits = reg(format!("{name}_waits"), boolean(), false);
    let held = reg_uninit(format!("{name}_held"), shape);
    let taken = valid & !waits.value();
    when(taken, || {
        waits.next(true);
        held.next(request);
    })
    .elsewhen(port.ready(), || waits.next(false));
    port.offer(waits.value(), held.value());
    taken
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
/// the same one; gives whether there is room for one in this cycle. There are two registers: whether the stage takes a completion
/// is known late, and need not reach the unit.
#[track_caller]
pub(crate) fn complete(port: &StreamOut<Completion>, valid: Bool, completion: Completion) -> Bool {
    let completed = Channel::new("completed", valid, completion);
    connect(&skid("completions", &completed), port);
    completed.ready()
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
