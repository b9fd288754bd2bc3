//! The simulated card with its engine as the daemon has it, for measurements by its own clock.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rmt_core::CoreConfig;
use rmt_daemon::engines::{CardEngine, CardError};
use rmt_driver::{Device as _, QueueConfig, Transport};
use rmt_isa::program::Ordering;
use rmt_isa::{Decision, Event, Program};
use rmt_sim::root_complex::Latency;
use rmt_vm::state::Contents;

use crate::card::SimulatedDevice;

/// The queue's budget in the card's time: never the reason for an answer here.
const BUDGET_MICROSECONDS: u32 = 1_000_000;
/// Binary logarithm of the ring's places: each of its two rings stands in one page, which the
/// IOMMU's cache holds after the first event.
const RING_LOG2: u32 = 6;
/// Cycles between two looks while a program is written.
const INSTALL_RELAX_CYCLES: u64 = 64;

/// The card.
pub struct CardBench {
    device: Arc<SimulatedDevice>,
    engine: CardEngine,
    latency: Latency,
}

impl CardBench {
    /// Builds the model of a card, or takes it from the cache.
    pub fn new(config: &CoreConfig, latency: Latency, transport: Transport) -> Result<Self> {
        let device = SimulatedDevice::new(config, Latency::zero())?;
        let queue = QueueConfig {
            transport,
            ring_log2: RING_LOG2,
            budget_microseconds: BUDGET_MICROSECONDS,
            ..QueueConfig::default()
        };
        let engine = CardEngine::open(Arc::new(device.clone()), queue)?;
        Ok(Self { device, engine, latency })
    }

    /// Puts a program onto the card, without the link's time: that is not measured.
    pub fn install(&mut self, program: &Program) -> Result<u32, CardError> {
        self.device.link().set_latency(Latency::zero());
        self.device.set_relax_cycles(INSTALL_RELAX_CYCLES);
        let slot = self.engine.install(program, Ordering::Pure, &Contents::default())?;
        self.device.link().set_latency(self.latency);
        // Each cycle is looked at, so that times are exact.
        self.device.set_relax_cycles(1);
        Ok(slot)
    }

    /// Takes it off again.
    pub fn remove(&mut self, slot: u32) {
        self.engine.remove(slot);
    }

    /// Decides a batch: its time by the card's clock, and the last decision. The outputs must be
    /// those that are expected.
    pub fn decide(
        &mut self,
        slot: u32,
        events: &[Event],
        expected: &[Decision],
    ) -> Result<(Duration, Option<Decision>)> {
        let begun = self.device.now();
        let (mut wrong, mut last) = (None, None);
        self.engine.decide(slot, events, |place, result| match result {
            Ok(decision) if decision.outputs == expected[place].outputs => last = Some(decision),
            other => wrong = Some((place, other)),
        });
        let time = self.device.now() - begun;
        ensure!(wrong.is_none(), "the card's answer is not the interpreter's: {wrong:?}");
        Ok((time, last))
    }
}
