//! The core as software sees it: events in, decisions out, host words read and written.
//!
//! [`pins`] is the boundary: what the ports of the generated module do in one clock cycle,
//! whatever simulates it. [`verilated`] drives a Verilated model, [`evaluated`] the Rust
//! evaluator of `rtl-builder`. [`Card`] speaks the protocols above the pins: handshakes,
//! installing a program, reading the state back. Every wait has a bound in clock cycles.

mod card_error;
mod evaluated;
mod host;
mod pins;
mod ports;
mod verilated;

use std::collections::VecDeque;

use host::HostSteps;
use rmt_core::CoreConfig;
use rmt_isa::card::engine::{ENGINE_COUNTERS, EngineRegion};
use rmt_isa::card::fields::control_commit;
use rmt_isa::card::regions::{CONTROL, COUNTERS as REGION, ENGINE_BASE};
use rmt_isa::card::shape::COUNTERS;
use rmt_isa::card::update::Update;
use rmt_isa::card::{CardImage, CardShape, HostWrite};
use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};
use rmt_isa::{Decision, Event};

pub use card_error::CardError;
pub use evaluated::EvaluatedPins;
pub use pins::{HostRequest, Pins};
pub(crate) use ports::build_of;
pub use ports::{MUTATION, MUTATION_BITS};
pub use verilated::VerilatedPins;

/// Cycles within which the card must answer a host request, take an event when it is idle,
/// and end an event: far above its own watchdog.
pub const PATIENCE_CYCLES: u64 = 1 << 20;

/// A decision with the cycles at which its event went in and it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedDecision {
    /// The decision.
    pub decision: Decision,
    /// Cycle in which the card took the event.
    pub accepted_cycle: u64,
    /// Cycle in which the decision left the card.
    pub decided_cycle: u64,
}

/// An event inside the card.
#[derive(Clone, Copy, Debug)]
struct Pending {
    tag: u32,
    accepted_cycle: u64,
}

/// A core in simulation, with a program or none.
pub struct Card<P> {
    pins: P,
    shape: CardShape,
    cycle: u64,
    pending: VecDeque<Pending>,
    host: HostSteps,
    /// An event is offered that was not taken yet.
    offers: bool,
}

impl<P: Pins> Card<P> {
    /// Resets the core and reads what it was built with.
    ///
    /// # Errors
    /// [`CardError::WrongCard`] when the capability words are not those of `config`, and
    /// those of the pins.
    pub fn reset(mut pins: P, config: &CoreConfig) -> Result<Self, CardError> {
        pins.reset()?;
        let shape = config.shape().clone();
        let host = HostSteps::default();
        let mut card =
            Self { pins, shape, cycle: 0, pending: VecDeque::new(), host, offers: false };
        let expected = card.shape.capability_words();
        let mut found = Vec::with_capacity(expected.len());
        for index in 0..expected.len() as u32 {
            found.push(card.read(rmt_isa::card::regions::CAPABILITIES.base() + index)?);
        }
        let read = CardShape::from_capability_words(&found)?;
        if read != card.shape {
            return Err(CardError::WrongCard { expected: expected.to_vec(), found });
        }
        Ok(card)
    }

    /// What the core was built with.
    pub fn shape(&self) -> &CardShape {
        &self.shape
    }

    /// Clock cycles since reset.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// The pins, for waveforms.
    pub fn pins_mut(&mut self) -> &mut P {
        &mut self.pins
    }

    /// Events inside the card.
    pub fn in_flight(&self) -> usize {
        self.pending.len()
    }

    /// Writes the words that install a program. Only while no event is inside.
    ///
    /// # Errors
    /// Those of [`Card::write`].
    pub fn install(&mut self, image: &CardImage) -> Result<(), CardError> {
        self.install_words(&image.writes)
    }

    /// The same with some of the writes, see [`rmt_isa::card::update::BankMirror::install`].
    ///
    /// # Errors
    /// Those of [`Card::write`].
    pub fn install_words(&mut self, writes: &[HostWrite]) -> Result<(), CardError> {
        writes.iter().try_for_each(|&HostWrite { address, value }| self.write(address, value))?;
        // Nothing runs that the commit at the end would wait for.
        let begun = self.cycle;
        while control_commit::COMMIT.extract(self.read(CONTROL.word(0))?) == 1 {
            if self.cycle - begun > PATIENCE_CYCLES {
                let (address, cycles) = (CONTROL.word(0), PATIENCE_CYCLES);
                return Err(CardError::HostTimeout { address, cycles });
            }
        }
        Ok(())
    }

    /// Carries a commit out while events go on: [`Card::exchange`] makes one access after the
    /// other, until [`Card::commits`] says no.
    pub fn commit(&mut self, update: &Update) {
        self.host.push(update);
    }

    /// Whether a commit was asked for since this was asked last: events that were taken before
    /// it are decided by the program before it, those that are taken from now on by the new one.
    pub fn take_boundary(&mut self) -> bool {
        self.host.take_boundary()
    }

    /// Whether a commit is being carried out. Until it is done the host port is taken.
    pub fn commits(&self) -> bool {
        !self.host.is_empty()
    }

    /// Reads a word through the host port.
    ///
    /// # Errors
    /// [`CardError::HostTimeout`], and those of the pins.
    pub fn read(&mut self, address: u32) -> Result<u64, CardError> {
        self.host(HostRequest { address, write: None })
    }

    /// All counters of the card, by name: those of the control side, then those of the engine.
    ///
    /// # Errors
    /// Those of [`Card::read`].
    pub fn counters(&mut self) -> Result<Vec<(&'static str, u64)>, CardError> {
        let control = (0..).zip(COUNTERS).map(|(word, (name, _))| (*name, REGION.word(word)));
        let engine = (0..).zip(ENGINE_COUNTERS).map(|(word, name)| {
            let address = self.shape.engine.host_address(EngineRegion::Counters, word, 0);
            (*name, ENGINE_BASE + address)
        });
        let addresses: Vec<_> = control.chain(engine).collect();
        addresses.into_iter().map(|(name, address)| Ok((name, self.read(address)?))).collect()
    }

    /// Writes a word through the host port.
    ///
    /// # Errors
    /// [`CardError::HostTimeout`], and those of the pins.
    pub fn write(&mut self, address: u32, value: u64) -> Result<(), CardError> {
        self.host(HostRequest { address, write: Some(value) }).map(|_| ())
    }

    /// One request and its answer; the port takes one at a time.
    fn host(&mut self, request: HostRequest) -> Result<u64, CardError> {
        let begun = self.cycle;
        self.pins.set_host(Some(request))?;
        self.tick()?;
        self.pins.set_host(None)?;
        loop {
            if let Some(value) = self.pins.host_answer()? {
                self.tick()?;
                return Ok(value);
            }
            if self.cycle - begun > PATIENCE_CYCLES {
                return Err(CardError::HostTimeout {
                    address: request.address,
                    cycles: PATIENCE_CYCLES,
                });
            }
            self.tick()?;
        }
    }

    /// One cycle with an event offered (or none) and decisions taken.
    ///
    /// The first result says whether the card took the event. The second is the decision
    /// that left in this cycle.
    ///
    /// # Errors
    /// [`CardError::BadDecision`] when bytes come out that are no decision,
    /// [`CardError::StrayDecision`] when no event of that tag is inside, and those of the pins.
    pub fn exchange(
        &mut self,
        offered: Option<&Event>,
    ) -> Result<(bool, Option<TimedDecision>), CardError> {
        self.exchange_when(offered, true)
    }

    /// The same; decisions are taken only when `ready`. An event that was offered and not
    /// taken must be offered again.
    ///
    /// # Errors
    /// As [`Card::exchange`].
    pub fn exchange_when(
        &mut self,
        offered: Option<&Event>,
        ready: bool,
    ) -> Result<(bool, Option<TimedDecision>), CardError> {
        let may_offer = self.host.drive(&mut self.pins, self.offers)?;
        let offered = offered.filter(|_| may_offer);
        let bytes: Option<&[u8; EVENT_BYTES]> = offered.map(|event| &event.bytes);
        self.pins.set_event(bytes)?;
        self.pins.set_decision_ready(ready)?;
        self.pins.settle()?;
        let accepted = offered.is_some() && self.pins.event_ready()?;
        let decision = if ready { self.pins.decision()? } else { None };
        if let (true, Some(event)) = (accepted, offered) {
            self.pending.push_back(Pending { tag: event.tag(), accepted_cycle: self.cycle });
        }
        self.offers = offered.is_some() && !accepted;
        let timed = decision.map(|bytes| self.take_decision(&bytes)).transpose()?;
        self.tick()?;
        if accepted {
            self.pins.set_event(None)?;
        }
        Ok((accepted, timed))
    }

    fn take_decision(&mut self, bytes: &[u8; DECISION_BYTES]) -> Result<TimedDecision, CardError> {
        let decided_cycle = self.cycle;
        let (decision, _phase) = Decision::from_bytes(bytes)
            .map_err(|source| CardError::BadDecision { cycle: decided_cycle, source })?;
        let position = self.pending.iter().position(|pending| pending.tag == decision.tag);
        let stray = CardError::StrayDecision { cycle: decided_cycle, tag: decision.tag };
        let pending = position.and_then(|n| self.pending.remove(n)).ok_or(stray)?;
        Ok(TimedDecision { decision, accepted_cycle: pending.accepted_cycle, decided_cycle })
    }

    /// Runs one event alone, from an idle card to its decision.
    ///
    /// # Errors
    /// [`CardError::EventTimeout`], and those of [`Card::exchange`].
    pub fn run_alone(&mut self, event: &Event) -> Result<TimedDecision, CardError> {
        let begun = self.cycle;
        let mut offered = Some(event);
        while self.cycle - begun <= PATIENCE_CYCLES {
            let (accepted, decision) = self.exchange(offered)?;
            if accepted {
                offered = None;
            }
            if let Some(decision) = decision {
                return Ok(decision);
            }
        }
        Err(CardError::EventTimeout { tag: event.tag(), cycles: PATIENCE_CYCLES })
    }

    fn tick(&mut self) -> Result<(), CardError> {
        self.pins.cycle()?;
        self.cycle += 1;
        Ok(())
    }
}
