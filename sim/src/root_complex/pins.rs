//! The pins of a card at the boundary of its PCIe block, cycle by cycle.

use rmt_core::pcie;
use rtl_builder::bits::Bits;
use rtl_builder::design::Design;
use rtl_builder::domain::Domain;
use rtl_builder::eval::{Handle, SimError, Simulator};

use super::interface::ConfigState;
use crate::card::{CardError, build_of};
use crate::verilated::{
    Clock, InitialState, Input, Instance, Output, Port, Toolchain, Trace, VerilatedBuild,
    VerilatedModel, default_cache_dir,
};

/// DWs of the widest stream.
const LANES: usize = 4;
/// Cycles for which the reset is held.
const RESET_CYCLES: u64 = 4;

/// A beat of a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beat {
    /// DWs, the first `lanes` of them count.
    pub dws: [u32; LANES],
    /// DWs that are there.
    pub lanes: usize,
    /// The packet's last beat.
    pub last: bool,
    /// BARs that are hit, by number.
    pub bar_hit: u8,
}

/// What the host's side drives in a cycle.
#[derive(Clone, Copy, Debug)]
pub struct Drive {
    /// A beat to the card; it stays until it is taken.
    pub rx: Option<Beat>,
    /// A beat of the card would be taken.
    pub tx_ready: bool,
    /// Configuration.
    pub config: ConfigState,
    /// The link is up.
    pub link_up: bool,
    /// Function-level reset.
    pub function_reset: bool,
}

/// What the card drives in the same cycle.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The beat to the card was taken.
    pub rx_ready: bool,
    /// The beat that the card offers.
    pub tx: Option<Beat>,
}

/// A card's pins.
pub trait LinkPins {
    /// DWs of a beat.
    fn lanes(&self) -> usize;

    /// Holds the reset.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn reset(&mut self) -> Result<(), CardError>;

    /// One clock cycle.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn cycle(&mut self, drive: &Drive) -> Result<Sample, CardError>;
}

impl<P: LinkPins + ?Sized> LinkPins for Box<P> {
    fn lanes(&self) -> usize {
        (**self).lanes()
    }

    fn reset(&mut self) -> Result<(), CardError> {
        (**self).reset()
    }

    fn cycle(&mut self, drive: &Drive) -> Result<Sample, CardError> {
        (**self).cycle(drive)
    }
}

/// All pins: a name, whether the card drives it, and its bits. One list for all simulators.
fn pins(lanes: u32) -> Vec<(&'static str, bool, u32)> {
    let bits = 32 * lanes;
    vec![
        ("rx_valid", false, 1),
        ("rx_payload_data", false, bits),
        ("rx_payload_keep", false, bits / 8),
        ("rx_payload_last", false, 1),
        ("rx_payload_bar_hit", false, 7),
        ("tx_ready", false, 1),
        ("sideband_completer_id", false, 16),
        ("sideband_max_payload", false, 3),
        ("sideband_max_read_request", false, 3),
        ("sideband_bus_master", false, 1),
        ("sideband_msix_enable", false, 1),
        ("sideband_msix_mask", false, 1),
        ("sideband_link_up", false, 1),
        ("sideband_function_reset", false, 1),
        ("rx_ready", true, 1),
        ("tx_valid", true, 1),
        ("tx_payload_data", true, bits),
        ("tx_payload_keep", true, bits / 8),
        ("tx_payload_last", true, 1),
    ]
}

/// Number of pins that the host drives; the card's follow.
const DRIVEN: usize = 14;

/// Values of the driven pins, in the order of [`pins`].
fn values(drive: &Drive) -> [[u32; LANES]; DRIVEN] {
    let beat = drive.rx.unwrap_or_default();
    let code = |bytes: u32| (bytes / 128).max(1).ilog2();
    let keep = (1_u64 << (4 * beat.lanes)) - 1;
    let config = drive.config;
    let one = |value: u32| [value, 0, 0, 0];
    [
        one(drive.rx.is_some().into()),
        beat.dws,
        one(keep as u32),
        one(beat.last.into()),
        one(beat.bar_hit.into()),
        one(drive.tx_ready.into()),
        one(config.completer_id.into()),
        one(code(config.max_payload)),
        one(code(config.max_read_request)),
        one(config.bus_master.into()),
        one(config.msix_enable.into()),
        one(config.msix_function_mask.into()),
        one(drive.link_up.into()),
        one(drive.function_reset.into()),
    ]
}

/// What the card's pins say, from the values behind [`DRIVEN`].
fn sample(rx_ready: bool, valid: bool, dws: [u32; LANES], keep: u64, last: bool) -> Sample {
    let lanes = (keep.count_ones() / 4) as usize;
    let tx = valid.then_some(Beat { dws, lanes, last, bar_hit: 0 });
    Sample { rx_ready, tx }
}

/// A card in the Rust evaluator: no tool installed, but slow.
pub struct EvaluatedLink {
    simulator: Simulator,
    handles: Vec<(Handle, u32)>,
    lanes: usize,
}

impl EvaluatedLink {
    /// A card of a design from [`rmt_core::elaborate_card`].
    ///
    /// # Errors
    /// [`CardError::Evaluator`] when the design lacks a pin.
    pub fn new(design: &Design, stream_bits: u32) -> Result<Self, CardError> {
        let simulator = design.simulator();
        let handles = pins(stream_bits / 32)
            .into_iter()
            .map(|(name, _, bits)| Ok((simulator.find(name).map_err(fault)?, bits)))
            .collect::<Result<_, CardError>>()?;
        Ok(Self { simulator, handles, lanes: stream_bits as usize / 32 })
    }

    /// The evaluator, to look at signals inside.
    pub fn simulator(&mut self) -> &mut Simulator {
        &mut self.simulator
    }
}

fn fault(error: SimError) -> CardError {
    CardError::Evaluator(error.to_string())
}

impl LinkPins for EvaluatedLink {
    fn lanes(&self) -> usize {
        self.lanes
    }

    fn reset(&mut self) -> Result<(), CardError> {
        self.simulator.reset();
        Ok(())
    }

    fn cycle(&mut self, drive: &Drive) -> Result<Sample, CardError> {
        for (&(handle, bits), dws) in self.handles.iter().zip(values(drive)) {
            let word = |at: usize| u64::from(dws[at]) | u64::from(dws[at + 1]) << 32;
            let value = Bits::from_words(bits, &[word(0), word(2)]);
            self.simulator.set(handle, &value).map_err(fault)?;
        }
        let [rx_ready, valid, data, keep, last] =
            [0, 1, 2, 3, 4].map(|pin: usize| self.handles[DRIVEN + pin].0);
        let mut dws = [0; LANES];
        for (at, word) in self.simulator.get(data).words().iter().enumerate() {
            dws[2 * at] = *word as u32;
            dws[2 * at + 1] = (*word >> 32) as u32;
        }
        let mut get = |handle| self.simulator.get_u64(handle);
        let sample = sample(get(rx_ready) != 0, get(valid) != 0, dws, get(keep), get(last) != 0);
        self.simulator.step();
        Ok(sample)
    }
}

/// The clock of a card that has another than its PCIe block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnClock {
    /// The card's, in any unit; more than 0.
    pub card: u32,
    /// The link's, in the same unit; more than 0.
    pub link: u32,
}

/// The card's clock beside the link's.
struct CardClock {
    clock: Clock,
    reset: Input,
    speed: OwnClock,
    /// Of a cycle of the card, in [`OwnClock::link`]ths: what has passed.
    passed: u64,
}

impl CardClock {
    /// Lets the card run for a cycle of the link.
    fn follow(&mut self, instance: &mut Instance) -> Result<(), CardError> {
        self.passed += u64::from(self.speed.card);
        let cycles = self.passed / u64::from(self.speed.link);
        self.passed %= u64::from(self.speed.link);
        Ok(instance.cycles(self.clock, cycles)?)
    }
}

/// A Verilated card.
pub struct VerilatedLink {
    instance: Instance,
    /// The link's, and the card's if it has no other.
    clock: Clock,
    reset: Input,
    driven: Vec<Input>,
    sampled: Vec<Output>,
    lanes: usize,
    card_clock: Option<CardClock>,
    last_drive: [[u32; LANES]; DRIVEN],
}

impl VerilatedLink {
    /// Builds the model of a card from [`rmt_core::elaborate_card`] or [`rmt_core::elaborate_pcie_card`], or takes
    /// it from the cache.
    ///
    /// # Errors
    /// When Verilator or the compiler is missing or refuses the design.
    pub fn model(
        design: &Design,
        stream_bits: u32,
        trace: Trace,
        toolchain: &Toolchain,
    ) -> Result<VerilatedModel, CardError> {
        let mut ports = vec![Port::input("clk", 1), Port::input("rst", 1)];
        ports.extend(pins(stream_bits / 32).into_iter().map(|(name, output, bits)| {
            if output { Port::output(name, bits) } else { Port::input(name, bits) }
        }));
        if design.top_name() == pcie::card::TOP {
            ports.extend([pcie::Link::CLOCK, pcie::Link::RESET].map(|name| Port::input(name, 1)));
        }
        let build = VerilatedBuild { trace, ..build_of(design, design.files(), ports) };
        Ok(build.build(toolchain, &default_cache_dir())?)
    }

    /// A new card of a model. Memories begin with random bits: a card that reads what nobody
    /// wrote then shows it.
    ///
    /// # Errors
    /// When memory runs out or the model has other ports.
    pub fn new(model: &VerilatedModel, stream_bits: u32) -> Result<Self, CardError> {
        let pins = pins(stream_bits / 32);
        let (driven, sampled) = pins.split_at(DRIVEN);
        Ok(Self {
            instance: model.instantiate(InitialState::Random { seed: 1 })?,
            clock: model.clock("clk")?,
            reset: model.input("rst")?,
            driven: driven.iter().map(|(name, ..)| model.input(name)).collect::<Result<_, _>>()?,
            sampled: sampled
                .iter()
                .map(|(name, ..)| model.output(name))
                .collect::<Result<_, _>>()?,
            lanes: stream_bits as usize / 32,
            card_clock: None,
            last_drive: [[u32::MAX; LANES]; DRIVEN],
        })
    }

    /// A new card of a model from [`rmt_core::elaborate_pcie_card`]. Cycles are those of the link.
    ///
    /// # Errors
    /// As [`VerilatedLink::new`].
    pub fn with_own_clock(
        model: &VerilatedModel,
        stream_bits: u32,
        speed: OwnClock,
    ) -> Result<Self, CardError> {
        let mut link = Self::new(model, stream_bits)?;
        let card = CardClock { clock: link.clock, reset: link.reset, speed, passed: 0 };
        (link.clock, link.reset) =
            (model.clock(pcie::Link::CLOCK)?, model.input(pcie::Link::RESET)?);
        link.card_clock = Some(card);
        Ok(link)
    }

    /// A cycle of the link, and what of the card's own clock passes in it.
    fn clock_cycle(&mut self) -> Result<(), CardError> {
        self.instance.cycle(self.clock)?;
        match &mut self.card_clock {
            Some(card) => card.follow(&mut self.instance),
            None => Ok(()),
        }
    }

    /// Starts to write all signals to an FST file.
    ///
    /// # Errors
    /// When the model was built without waveforms, or the file cannot be written.
    pub fn open_waveform(&mut self, path: &std::path::Path) -> Result<(), CardError> {
        Ok(self.instance.open_waveform(path)?)
    }
}

impl LinkPins for VerilatedLink {
    fn lanes(&self) -> usize {
        self.lanes
    }

    fn reset(&mut self) -> Result<(), CardError> {
        let both = [Some(self.reset), self.card_clock.as_ref().map(|card| card.reset)];
        let all = || both.into_iter().flatten();
        all().try_for_each(|reset| self.instance.poke(reset, 1))?;
        // The slower clock counts.
        let speed = self.card_clock.as_ref().map(|card| card.speed);
        let longer = speed.map_or(1, |speed| speed.link.div_ceil(speed.card).max(1));
        for _ in 0..RESET_CYCLES * u64::from(longer) {
            self.clock_cycle()?;
        }
        Ok(all().try_for_each(|reset| self.instance.poke(reset, 0))?)
    }

    fn cycle(&mut self, drive: &Drive) -> Result<Sample, CardError> {
        for ((&pin, value), last) in self.driven.iter().zip(values(drive)).zip(&mut self.last_drive)
        {
            // Most pins keep their value for long.
            if value == *last {
                continue;
            }
            *last = value;
            if pin == self.driven[1] {
                self.instance.poke_words(pin, &value[..self.lanes])?;
            } else {
                self.instance.poke(pin, value[0].into())?;
            }
        }
        self.instance.eval()?;
        let [rx_ready, valid, data, keep, last] =
            [0, 1, 2, 3, 4].map(|pin: usize| self.sampled[pin]);
        let rx_ready = self.instance.peek(rx_ready)? != 0;
        let sample = if self.instance.peek(valid)? == 0 {
            Sample { rx_ready, tx: None }
        } else {
            let mut dws = [0; LANES];
            self.instance.peek_words(data, &mut dws[..self.lanes])?;
            let keep = self.instance.peek(keep)?;
            sample(rx_ready, true, dws, keep, self.instance.peek(last)? != 0)
        };
        self.clock_cycle()?;
        Ok(sample)
    }
}
