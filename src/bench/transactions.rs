//! Packets on the PCIe link for each decision, counted at the card's boundary.

use anyhow::{Result, ensure};
use rmt_core::CoreConfig;
use rmt_driver::card::Card;
use rmt_driver::decide::{Decider, Source};
use rmt_driver::{QueueConfig, Transport};
use rmt_isa::card::lower;
use rmt_isa::program::Ordering;
use rmt_isa::{Decision, Event, Status};
use rmt_sim::root_complex::Latency;

use super::programs;
use crate::card::simulated::SimulatedDevice;

/// Decisions that are counted: more than a ring holds.
const DECISIONS: u32 = 200;

/// Packets in both directions for each event that the driver writes inline and each decision
/// that it gets, one at a time.
pub fn of_inline_decision(config: &CoreConfig) -> Result<f64> {
    let device = SimulatedDevice::new(config, Latency::zero())?;
    let mut card = Card::open(device.clone())?;
    let program = programs::look_up(0)?;
    card.install(&lower(&program, Ordering::Pure, card.shape())?.writes)?;
    let hooks = vec![programs::HOOK];
    let transport = Transport::Inline;
    // Simulated time is slow: nothing is late here.
    let budget_microseconds = 1_000_000;
    let queue =
        card.queue(0, QueueConfig { transport, hooks, budget_microseconds, ..Default::default() })?;
    let mut decider = Decider::new(queue, |event: &Event| Decision {
        tag: event.tag(),
        status: Status::NoProgram,
        written: 0,
        cycles: 0,
        outputs: [0; 3],
    });
    let before = device.link().traffic().packets();
    for tag in 0..DECISIONS {
        let answer = decider.decide(&Event::new(programs::HOOK, tag, 1));
        ensure!(answer.source == Source::Card, "event {tag} was not decided by the card");
        ensure!(answer.decision.status == Status::Decided, "event {tag}: {:?}", answer.decision);
    }
    let packets = device.link().traffic().packets() - before;
    Ok(packets as f64 / f64::from(DECISIONS))
}
