//! Names of the core's top-level ports, in one place for all simulators.

use rmt_isa::card::regions::ADDRESS_BITS;
use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};
use rtl_builder::design::Design;

use crate::verilated::{Port, Source, VerilatedBuild};

/// The clock.
pub const CLOCK: &str = "clk";
/// The synchronous reset, active high.
pub const RESET: &str = "rst";
/// Cycles for which the reset is held.
pub const RESET_CYCLES: u64 = 4;

/// Ports of a stream.
pub struct StreamNames {
    /// The payload is there.
    pub valid: &'static str,
    /// The other side takes it.
    pub ready: &'static str,
    /// The payload.
    pub payload: &'static str,
}

/// Events into the core.
pub const EVENT: StreamNames =
    StreamNames { valid: "event_valid", ready: "event_ready", payload: "event_payload" };
/// Decisions out of the core.
pub const DECISION: StreamNames =
    StreamNames { valid: "decision_valid", ready: "decision_ready", payload: "decision_payload" };

/// Ports of host requests.
pub struct HostNames {
    /// A request is made in this cycle.
    pub valid: &'static str,
    /// It writes.
    pub write: &'static str,
    /// Its word address.
    pub address: &'static str,
    /// The word to write.
    pub wdata: &'static str,
}

/// Host requests into the core.
pub const HOST: HostNames = HostNames {
    valid: "host_valid",
    write: "host_write",
    address: "host_address",
    wdata: "host_wdata",
};

/// Ports of host answers.
pub struct HostAnswerNames {
    /// The answer comes in this cycle.
    pub valid: &'static str,
    /// The word read.
    pub data: &'static str,
}

/// Host answers out of the core.
pub const HOST_ANSWER: HostAnswerNames =
    HostAnswerNames { valid: "host_answer_valid", data: "host_answer_rdata" };

/// Chooses the mutation of a core that has some.
pub const MUTATION: &str = "mutation";
/// Its width.
pub const MUTATION_BITS: u32 = 16;

/// All ports, as the Verilated model must have them.
pub fn model_ports() -> Vec<Port> {
    vec![
        Port::input(CLOCK, 1),
        Port::input(RESET, 1),
        Port::input(EVENT.valid, 1),
        Port::output(EVENT.ready, 1),
        Port::input(EVENT.payload, 8 * EVENT_BYTES as u32),
        Port::output(DECISION.valid, 1),
        Port::input(DECISION.ready, 1),
        Port::output(DECISION.payload, 8 * DECISION_BYTES as u32),
        Port::input(HOST.valid, 1),
        Port::input(HOST.write, 1),
        Port::input(HOST.address, ADDRESS_BITS),
        Port::input(HOST.wdata, 64),
        Port::output(HOST_ANSWER.valid, 1),
        Port::output(HOST_ANSWER.data, 64),
    ]
}

/// The build of a design with these ports beside the clocks that go with its own.
pub(crate) fn build_of(design: &Design, sources: Vec<Source>, ports: Vec<Port>) -> VerilatedBuild {
    VerilatedBuild::new(design.top_name(), sources, ports)
        .with_multiples(CLOCK, &design.multiples())
}
