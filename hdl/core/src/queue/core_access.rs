//! Who talks to the core's host port.

use rmt_isa::card::regions::ADDRESS_BITS;
use rmt_isa::device::CORE_TIMEOUT_CYCLES;
use rtl_builder::prelude::*;

use crate::engine::ports::HostAnswer;
use crate::host::HostCommand;

/// An access that a client wants; it keeps it until it is done.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct CoreRequest {
    /// It wants one
    pub valid: Bool,
    /// To write
    pub write: Bool,
    /// Word of 64 bits
    pub address: UInt,
    /// What is written
    pub data: UInt,
}

impl CoreRequest {
    /// The shape.
    pub fn shape() -> Self {
        Self { valid: boolean(), write: boolean(), address: uint(ADDRESS_BITS), data: uint(64) }
    }
}

/// The end of an access.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct CoreReply {
    /// It is done in this cycle
    pub done: Bool,
    /// The core did not answer
    pub failed: Bool,
    /// What was read
    pub data: UInt,
}

impl CoreReply {
    /// The shape.
    pub fn shape() -> Self {
        Self { done: boolean(), failed: boolean(), data: uint(64) }
    }
}

/// Gives the host port to one client after the other; a core that does not answer in time is
/// left alone until the function is reset, and every access then fails at once.
pub struct CoreAccess;

/// Ports of [`CoreAccess`].
#[derive(Clone, Ports)]
pub struct CoreAccessIo {
    /// What the clients want; the first one goes first
    pub requests: Vec<Input<CoreRequest>>,
    /// What they get
    pub replies: Vec<Output<CoreReply>>,
    /// To the core
    pub host: Output<HostCommand>,
    /// From the core
    pub answer: Input<HostAnswer>,
    /// The core did not answer
    pub timed_out: Output<Bool>,
}

#[derive(Clone, Copy, Debug, State)]
enum Step {
    Idle,
    Wait,
    Done,
}

impl Component for CoreAccess {
    type Io = CoreAccessIo;

    fn name(&self) -> String {
        "core_access".into()
    }

    fn doc(&self) -> String {
        "Who talks to the core's host port".into()
    }

    fn io(&self) -> CoreAccessIo {
        CoreAccessIo {
            requests: (0..2).map(|_| input(CoreRequest::shape())).collect(),
            replies: (0..2).map(|_| output(CoreReply::shape())).collect(),
            host: output(HostCommand::shape()),
            answer: input(HostAnswer::shape()),
            timed_out: output(boolean()),
        }
    }

    fn build(&self, io: CoreAccessIo) {
        let step = fsm("step", Step::Idle);
        let second = reg("second", boolean(), false).doc("The second client is served");
        let age = reg("age", uint(17), 0);
        let stuck = reg("stuck", boolean(), false);
        // Whose access is done stands beside the step.
        let done: Vec<_> =
            (0..2).map(|client| reg(format!("done_{client}"), boolean(), false)).collect();
        for done in &done {
            done.next(false);
        }
        let failed = reg("failed", boolean(), false);
        let data = reg_uninit("data", uint(64));
        let (first, other) = (io.requests[0].value(), io.requests[1].value());
        let asks = mux(first.valid, first, other);
        let begins = step.is(Step::Idle) & asks.valid;
        let gives_up = step.is(Step::Wait) & age.eq(u64::from(CORE_TIMEOUT_CYCLES));
        step.switch()
            .on(Step::Idle, || {
                when(asks.valid, || {
                    second.next(!first.valid);
                    age.next(0);
                    failed.next(stuck);
                    step.go(Step::Wait);
                    when(stuck, || {
                        done[0].next(first.valid);
                        done[1].next(!first.valid);
                        step.go(Step::Done);
                    });
                });
            })
            .on(Step::Wait, || {
                age.next(age.wrapping_add(1));
                when(io.answer.valid | gives_up, || {
                    done[0].next(!second);
                    done[1].next(second);
                });
                when(io.answer.valid, || {
                    data.next(io.answer.rdata);
                    step.go(Step::Done);
                })
                .elsewhen(gives_up, || {
                    stuck.next(true);
                    failed.next(true);
                    step.go(Step::Done);
                });
            })
            .on(Step::Done, || step.go(Step::Idle));
        io.host.set(HostCommand {
            valid: begins & !stuck,
            write: asks.write,
            address: asks.address,
            wdata: asks.data,
        });
        for (done, reply) in done.iter().zip(&io.replies) {
            reply.set(CoreReply { done: done.value(), failed: failed.value(), data: data.value() });
        }
        io.timed_out.set(gives_up & !io.answer.valid);
    }
}
