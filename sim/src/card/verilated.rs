//! The pins of a Verilated core.

use std::path::Path;

use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};
use rtl_builder::design::Design;

use super::ports::{
    CLOCK, DECISION, EVENT, HOST, HOST_ANSWER, MUTATION, MUTATION_BITS, RESET, RESET_CYCLES,
    build_of, model_ports,
};
use super::{CardError, HostRequest, Pins};
use crate::verilated::{
    Clock, InitialState, Input, Instance, Output, Port, Source, Toolchain, Trace, VerilatedBuild,
    VerilatedModel,
};

/// A Verilated core.
pub struct VerilatedPins {
    instance: Instance,
    clock: Clock,
    reset: Input,
    event_valid: Input,
    event_payload: Input,
    event_ready: Output,
    decision_ready: Input,
    decision_valid: Output,
    decision_payload: Output,
    host_valid: Input,
    host_write: Input,
    host_address: Input,
    host_wdata: Input,
    answer_valid: Output,
    answer_data: Output,
    mutation: Option<Input>,
    driven: Driven,
    /// An input changed since the outputs were brought up to date.
    unsettled: bool,
}

/// What the inputs hold: to drive the same again costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Driven {
    event: Option<[u8; EVENT_BYTES]>,
    decision_ready: bool,
    host: Option<HostRequest>,
}

impl Driven {
    const NOTHING: Self = Self { event: None, decision_ready: false, host: None };
}

impl VerilatedPins {
    /// Builds the model of a core from its Verilog, or takes it from the cache. `sources` are those of the design, or
    /// what somebody made of them.
    ///
    /// # Errors
    /// When Verilator or the compiler is missing or refuses the design.
    pub fn model(
        design: &Design,
        sources: Vec<Source>,
        trace: Trace,
        toolchain: &Toolchain,
        cache: &Path,
    ) -> Result<VerilatedModel, CardError> {
        let build = build_of(design, sources, model_ports());
        Ok(VerilatedBuild { trace, ..build }.build(toolchain, cache)?)
    }

    /// The model of a core with mutations: its Verilog has one more input, [`MUTATION`], whose
    /// value chooses one of them; 0 is none.
    ///
    /// # Errors
    /// As [`VerilatedPins::model`].
    pub fn mutable_model(
        design: &Design,
        sources: Vec<Source>,
        toolchain: &Toolchain,
        cache: &Path,
    ) -> Result<VerilatedModel, CardError> {
        let mut ports = model_ports();
        ports.push(Port::input(MUTATION, MUTATION_BITS));
        Ok(build_of(design, sources, ports).build(toolchain, cache)?)
    }

    /// Chooses the mutation of a core that has some.
    ///
    /// # Errors
    /// When there are not as many.
    pub fn mutate(&mut self, number: u64) -> Result<(), CardError> {
        match self.mutation {
            Some(port) => {
                self.unsettled = true;
                Ok(self.instance.poke(port, number)?)
            }
            None => Ok(()),
        }
    }

    /// A new core of a model.
    ///
    /// Memories begin with random bits: a core that reads what nobody wrote then shows it.
    ///
    /// # Errors
    /// When memory runs out or the model has other ports.
    pub fn new(model: &VerilatedModel) -> Result<Self, CardError> {
        let instance = model.instantiate(InitialState::Random { seed: 1 })?;
        Ok(Self {
            clock: model.clock(CLOCK)?,
            reset: model.input(RESET)?,
            event_valid: model.input(EVENT.valid)?,
            event_payload: model.input(EVENT.payload)?,
            event_ready: model.output(EVENT.ready)?,
            decision_ready: model.input(DECISION.ready)?,
            decision_valid: model.output(DECISION.valid)?,
            decision_payload: model.output(DECISION.payload)?,
            host_valid: model.input(HOST.valid)?,
            host_write: model.input(HOST.write)?,
            host_address: model.input(HOST.address)?,
            host_wdata: model.input(HOST.wdata)?,
            answer_valid: model.output(HOST_ANSWER.valid)?,
            answer_data: model.output(HOST_ANSWER.data)?,
            // Only a model with mutations has it.
            mutation: model.input(MUTATION).ok(),
            driven: Driven::NOTHING,
            unsettled: true,
            instance,
        })
    }

    /// Starts to write all signals to an FST file.
    ///
    /// # Errors
    /// When the model was built without waveforms, or the file cannot be written.
    pub fn open_waveform(&mut self, path: &Path) -> Result<(), CardError> {
        Ok(self.instance.open_waveform(path)?)
    }
}

impl Pins for VerilatedPins {
    fn reset(&mut self) -> Result<(), CardError> {
        // At first inputs hold what the initial state gave them, too.
        for port in [self.event_valid, self.decision_ready, self.host_valid] {
            self.instance.poke(port, 0)?;
        }
        self.driven = Driven::NOTHING;
        self.instance.poke(self.reset, 1)?;
        self.instance.cycles(self.clock, RESET_CYCLES)?;
        self.instance.poke(self.reset, 0)?;
        self.unsettled = true;
        self.settle()
    }

    fn set_event(&mut self, event: Option<&[u8; EVENT_BYTES]>) -> Result<(), CardError> {
        if self.driven.event.as_ref() == event {
            return Ok(());
        }
        (self.driven.event, self.unsettled) = (event.copied(), true);
        self.instance.poke(self.event_valid, event.is_some().into())?;
        if let Some(event) = event {
            let mut words = [0; EVENT_BYTES / 4];
            for (word, bytes) in words.iter_mut().zip(event.chunks_exact(4)) {
                *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            self.instance.poke_words(self.event_payload, &words)?;
        }
        Ok(())
    }

    fn event_ready(&mut self) -> Result<bool, CardError> {
        Ok(self.instance.peek(self.event_ready)? != 0)
    }

    fn set_decision_ready(&mut self, ready: bool) -> Result<(), CardError> {
        if self.driven.decision_ready == ready {
            return Ok(());
        }
        (self.driven.decision_ready, self.unsettled) = (ready, true);
        Ok(self.instance.poke(self.decision_ready, ready.into())?)
    }

    fn decision(&mut self) -> Result<Option<[u8; DECISION_BYTES]>, CardError> {
        if self.instance.peek(self.decision_valid)? == 0 {
            return Ok(None);
        }
        let mut bytes = [0; DECISION_BYTES];
        let words = self.instance.words(self.decision_payload)?;
        for (place, word) in bytes.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        Ok(Some(bytes))
    }

    fn set_host(&mut self, request: Option<HostRequest>) -> Result<(), CardError> {
        if self.driven.host == request {
            return Ok(());
        }
        (self.driven.host, self.unsettled) = (request, true);
        self.instance.poke(self.host_valid, request.is_some().into())?;
        if let Some(HostRequest { address, write }) = request {
            self.instance.poke(self.host_write, write.is_some().into())?;
            self.instance.poke(self.host_address, address.into())?;
            self.instance.poke(self.host_wdata, write.unwrap_or(0))?;
        }
        Ok(())
    }

    fn host_answer(&mut self) -> Result<Option<u64>, CardError> {
        let valid = self.instance.peek(self.answer_valid)? != 0;
        Ok(if valid { Some(self.instance.peek(self.answer_data)?) } else { None })
    }

    fn settle(&mut self) -> Result<(), CardError> {
        if std::mem::take(&mut self.unsettled) {
            self.instance.eval()?;
        }
        Ok(())
    }

    fn cycle(&mut self) -> Result<(), CardError> {
        // The outputs follow both edges.
        self.unsettled = false;
        Ok(self.instance.cycle(self.clock)?)
    }
}
