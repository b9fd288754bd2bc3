//! The pins of a core in the Rust evaluator: no tool installed, but slower than Verilator.

use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};
use rtl_builder::bits::Bits;
use rtl_builder::design::Design;
use rtl_builder::eval::{Handle, SimError, Simulator};

use super::ports::{DECISION, EVENT, HOST, HOST_ANSWER};
use super::{CardError, HostRequest, Pins};

/// A core in the evaluator.
pub struct EvaluatedPins {
    simulator: Simulator,
    event_valid: Handle,
    event_payload: Handle,
    event_ready: Handle,
    decision_ready: Handle,
    decision_valid: Handle,
    decision_payload: Handle,
    host_valid: Handle,
    host_write: Handle,
    host_address: Handle,
    host_wdata: Handle,
    answer_valid: Handle,
    answer_data: Handle,
}

fn fault(error: SimError) -> CardError {
    CardError::Evaluator(error.to_string())
}

impl EvaluatedPins {
    /// A core of a design.
    ///
    /// # Errors
    /// [`CardError::Evaluator`] when the design lacks a port.
    pub fn new(design: &Design) -> Result<Self, CardError> {
        let simulator = design.simulator();
        let find = |name: &str| simulator.find(name).map_err(fault);
        Ok(Self {
            event_valid: find(EVENT.valid)?,
            event_payload: find(EVENT.payload)?,
            event_ready: find(EVENT.ready)?,
            decision_ready: find(DECISION.ready)?,
            decision_valid: find(DECISION.valid)?,
            decision_payload: find(DECISION.payload)?,
            host_valid: find(HOST.valid)?,
            host_write: find(HOST.write)?,
            host_address: find(HOST.address)?,
            host_wdata: find(HOST.wdata)?,
            answer_valid: find(HOST_ANSWER.valid)?,
            answer_data: find(HOST_ANSWER.data)?,
            simulator,
        })
    }

    fn set(&mut self, port: Handle, value: u64) -> Result<(), CardError> {
        self.simulator.set_u64(port, value).map_err(fault)
    }
}

impl Pins for EvaluatedPins {
    fn reset(&mut self) -> Result<(), CardError> {
        self.set_event(None)?;
        self.set_decision_ready(false)?;
        self.set_host(None)?;
        self.simulator.reset();
        Ok(())
    }

    fn set_event(&mut self, event: Option<&[u8; EVENT_BYTES]>) -> Result<(), CardError> {
        self.set(self.event_valid, event.is_some().into())?;
        if let Some(event) = event {
            let mut words = [0; EVENT_BYTES / 8];
            for (word, bytes) in words.iter_mut().zip(event.chunks_exact(8)) {
                *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
            }
            let value = Bits::from_words(8 * EVENT_BYTES as u32, &words);
            self.simulator.set(self.event_payload, &value).map_err(fault)?;
        }
        Ok(())
    }

    fn event_ready(&mut self) -> Result<bool, CardError> {
        Ok(self.simulator.get_u64(self.event_ready) != 0)
    }

    fn set_decision_ready(&mut self, ready: bool) -> Result<(), CardError> {
        self.set(self.decision_ready, ready.into())
    }

    fn decision(&mut self) -> Result<Option<[u8; DECISION_BYTES]>, CardError> {
        if self.simulator.get_u64(self.decision_valid) == 0 {
            return Ok(None);
        }
        let mut bytes = [0; DECISION_BYTES];
        let payload = self.simulator.get(self.decision_payload);
        for (place, word) in bytes.chunks_exact_mut(8).zip(payload.words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Ok(Some(bytes))
    }

    fn set_host(&mut self, request: Option<HostRequest>) -> Result<(), CardError> {
        self.set(self.host_valid, request.is_some().into())?;
        if let Some(HostRequest { address, write }) = request {
            self.set(self.host_write, write.is_some().into())?;
            self.set(self.host_address, address.into())?;
            self.set(self.host_wdata, write.unwrap_or(0))?;
        }
        Ok(())
    }

    fn host_answer(&mut self) -> Result<Option<u64>, CardError> {
        let valid = self.simulator.get_u64(self.answer_valid) != 0;
        Ok(valid.then(|| self.simulator.get_u64(self.answer_data)))
    }

    fn settle(&mut self) -> Result<(), CardError> {
        // Reading an output settles the design.
        Ok(())
    }

    fn cycle(&mut self) -> Result<(), CardError> {
        self.simulator.step();
        Ok(())
    }
}
