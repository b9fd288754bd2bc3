//! `rmt card`: cards of this machine, and the simulated one.

mod serial;
pub mod simulated;
mod suite;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};
use rmt_driver::card::Card;
use rmt_driver::discovery::{PciBus, PciCard};
use rmt_driver::serial::SerialDevice;
use rmt_driver::serial::tty::Tty;
use rmt_driver::served::ServedDevice;
use rmt_driver::{Device, binding, vfio::VfioDevice};
use rmt_isa::card::shape::CAPABILITIES;
use rmt_isa::device::pci::msix_vectors;
use rmt_isa::device::serial::DEFAULT_BAUD;
use rmt_sim::root_complex::{Latency, OwnClock};
use rmt_sim::virtual_card::function::VirtualCard;
use rmt_sim::virtual_card::simulation::Simulation;
use rmt_sim::virtual_card::{SharedMemory, serve};
use serde_json::json;

use crate::r#gen::ConfigArguments;
pub use simulated::{CLOCK_MHZ, SimulatedDevice};

/// Time that an event may take on a simulated serial line, with those before it.
const SERIAL_BUDGET: Duration = Duration::from_millis(10);

/// A card of whatever kind.
pub type AnyDevice = Arc<dyn Device + Send + Sync>;

/// Find, bind, test and simulate cards.
///
/// Example: rmt card test --simulated
#[derive(Args)]
pub struct CardCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// List the cards of this machine, their drivers and IOMMU groups
    ///
    /// Example: rmt card list
    List {
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a card is, its state and its counters
    ///
    /// Example: rmt card info 01:00.0
    Info {
        #[command(flatten)]
        target: Target,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
    /// Give a card to vfio-pci, so that a process can use it
    ///
    /// Example: rmt card bind 01:00.0
    Bind(Which),
    /// Take a card from its driver and let the kernel choose one
    ///
    /// Example: rmt card unbind 01:00.0
    Unbind(Which),
    /// Reset a card
    ///
    /// Example: rmt card reset 01:00.0
    Reset(Which),
    /// Run the driver's test suite on a card
    ///
    /// Example: rmt card test --simulated --preset small; on a board: rmt card test --serial /dev/ttyUSB1
    Test {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        options: suite::SuiteOptions,
    },
    /// Show a simulated card to a virtual machine or a driver, as a vfio-user server
    ///
    /// It serves one client after the other, until it is ended.
    ///
    /// Example: rmt card serve --socket /tmp/card.sock
    Serve {
        /// The socket to listen on
        #[arg(long)]
        socket: PathBuf,
        #[command(flatten)]
        simulation: SimulationArguments,
    },
}

#[derive(Args)]
struct Which {
    /// PCI address; without it, the first card
    address: Option<String>,
}

/// A card of this machine or a simulated one.
#[derive(Args)]
struct Target {
    #[command(flatten)]
    which: Which,
    /// A simulated card in this process, instead of one of this machine
    #[arg(long, conflicts_with_all = ["address", "socket"])]
    simulated: bool,
    /// The card that `rmt card serve` shows on this socket
    #[arg(long, conflicts_with = "address")]
    socket: Option<PathBuf>,
    /// The simulated card behind a serial line, instead of PCIe
    #[arg(long, requires = "simulated", conflicts_with = "own_clock")]
    over_serial: bool,
    /// The card of a board without PCIe, behind this serial port
    #[arg(long, value_name = "PORT", conflicts_with_all = ["address", "simulated"])]
    serial: Option<PathBuf>,
    /// Bits a second on the serial port
    #[arg(long, default_value_t = DEFAULT_BAUD)]
    baud: u32,
    #[command(flatten)]
    simulation: SimulationArguments,
}

/// The card of a daemon, if any.
#[derive(Args)]
pub struct CardArguments {
    /// Use a card of this machine: its PCI address, or `first`
    #[arg(long = "card", value_name = "ADDRESS", conflicts_with = "simulated")]
    address: Option<String>,
    /// Use a simulated card in this process
    #[arg(long)]
    simulated: bool,
    #[command(flatten)]
    simulation: SimulationArguments,
}

impl CardArguments {
    /// The device with a budget for its events, as [`Target`] opens it; none when none was named.
    pub fn open(&self) -> Result<Option<(AnyDevice, Duration)>> {
        if self.simulated {
            let device = self.simulation.device()?;
            return Ok(Some((Arc::new(device), Duration::from_millis(8))));
        }
        let Some(address) = &self.address else { return Ok(None) };
        let address = (address != "first").then(|| address.clone());
        let (_, card) = Which { address }.find()?;
        Ok(Some((Arc::new(VfioDevice::open(&card, true)?), Duration::from_millis(1))))
    }

    /// Whether it is a simulated one.
    pub fn simulated(&self) -> bool {
        self.simulated
    }
}

/// How a card is simulated.
#[derive(Args)]
struct SimulationArguments {
    #[command(flatten)]
    config: ConfigArguments,
    /// How long transactions take on the link
    #[arg(long, value_enum, default_value_t = LatencyPreset::Zero)]
    latency: LatencyPreset,
    /// Give the card a clock of its own, as boards with PCIe do: so many cycles in so many of the link's (2:5)
    #[arg(long, value_name = "CARD:LINK", value_parser = own_clock)]
    own_clock: Option<OwnClock>,
}

impl SimulationArguments {
    fn device(&self) -> Result<Arc<SimulatedDevice>> {
        SimulatedDevice::with_clock(&self.config.load()?, self.latency.latency(), self.own_clock)
    }
}

/// Reads a ratio of clocks.
fn own_clock(text: &str) -> Result<OwnClock, String> {
    let number = |text: &str| text.parse().ok().filter(|number| (1..=1000).contains(number));
    let (card, link) = text.split_once(':').unwrap_or((text, ""));
    match (number(card), number(link)) {
        (Some(card), Some(link)) => Ok(OwnClock { card, link }),
        _ => Err(format!("`{text}` is not two numbers from 1 to 1000, as in 2:5")),
    }
}

/// Latencies of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LatencyPreset {
    /// No time at all: what remains is the card's own
    Zero,
    /// As measured on a server: 547 ns for a read, 773 ns for a write and a read
    Measured,
}

impl LatencyPreset {
    /// In cycles of the card.
    pub fn latency(self) -> Latency {
        match self {
            Self::Zero => Latency::zero(),
            Self::Measured => Latency::measured(CLOCK_MHZ),
        }
    }
}

impl CardCommand {
    pub fn run(self) -> Result<()> {
        match self.action {
            Action::List { json } => list(json),
            Action::Info { target, json } => info(&target, json),
            Action::Bind(which) => {
                let (bus, card) = which.find()?;
                binding::bind(&bus, &card, |step| println!("{step}"))?;
                let bound = bus.find(Some(&card.address))?;
                match bound.driver.as_deref() {
                    Some(binding::VFIO_DRIVER) => Ok(()),
                    other => bail!(
                        "card {} has {} after this, not vfio-pci; the kernel says why: dmesg | grep {}",
                        card.address,
                        other.unwrap_or("no driver"),
                        card.address
                    ),
                }
            }
            Action::Unbind(which) => {
                let (bus, card) = which.find()?;
                Ok(binding::unbind(&bus, &card, |step| println!("{step}"))?)
            }
            Action::Reset(which) => {
                let (_, card) = which.find()?;
                Card::open(VfioDevice::open(&card, true)?)?.reset_function()?;
                println!("{} is ready", card.address);
                Ok(())
            }
            Action::Test { target, options } => options.run(target.open()?),
            Action::Serve { socket, simulation } => {
                let config = simulation.config.load()?;
                let (latency, own_clock) = (simulation.latency.latency(), simulation.own_clock);
                let vectors = msix_vectors(config.shape().queues);
                let memory = SharedMemory::default();
                let simulation = Simulation::start(memory.clone(), move |memory| {
                    simulated::link(&config, latency, own_clock, memory)
                });
                match serve(&socket, VirtualCard::new(simulation, memory, vectors))? {}
            }
        }
    }
}

impl Which {
    fn find(&self) -> Result<(PciBus, PciCard)> {
        let bus = PciBus::default();
        let card = bus.find(self.address.as_deref())?;
        Ok((bus, card))
    }
}

/// A card that was opened.
pub struct Opened {
    /// The card.
    pub device: AnyDevice,
    /// A budget for its events: in time of a simulated card, or for a card that may be a
    /// simulated one in front of this machine.
    pub budget: Duration,
    /// Its simulation, if it runs in this process.
    pub simulated: Option<Arc<SimulatedDevice>>,
}

impl Target {
    fn open(&self) -> Result<Opened> {
        if let Some(port) = &self.serial {
            let device = Arc::new(SerialDevice::open(Tty::open(port, self.baud)?)?);
            return Ok(Opened { device, budget: Duration::from_secs(20), simulated: None });
        }
        if self.over_serial {
            let device = Arc::new(serial::simulated(&self.simulation.config.load()?)?);
            return Ok(Opened { device, budget: SERIAL_BUDGET, simulated: None });
        }
        if self.simulated {
            let device = self.simulation.device()?;
            let budget = Duration::from_millis(1);
            return Ok(Opened {
                device: Arc::new(device.clone()),
                budget,
                simulated: Some(device),
            });
        }
        let budget = Duration::from_secs(20);
        if let Some(socket) = &self.socket {
            let device = Arc::new(ServedDevice::open(socket)?);
            return Ok(Opened { device, budget, simulated: None });
        }
        let (_, card) = self.which.find()?;
        let device = Arc::new(VfioDevice::open(&card, true)?);
        Ok(Opened { device, budget, simulated: None })
    }
}

fn list(as_json: bool) -> Result<()> {
    let cards = PciBus::default().cards()?;
    if as_json {
        let list: Vec<_> = cards
            .iter()
            .map(|card| {
                json!({ "address": card.address, "driver": card.driver,
                        "iommu_group": card.iommu_group, "revision": card.revision })
            })
            .collect();
        println!("{}", json!(list));
        return Ok(());
    }
    if cards.is_empty() {
        println!("no cards; `rmt card test --simulated` uses a simulated one");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["address", "driver", "IOMMU group", "contract version"]);
    for card in cards {
        let group = card.iommu_group.map_or("none".to_owned(), |group| group.to_string());
        let driver = card.driver.unwrap_or_else(|| "none".to_owned());
        table.add_row([card.address, driver, group, card.revision.to_string()]);
    }
    println!("{table}");
    Ok(())
}

fn info(target: &Target, as_json: bool) -> Result<()> {
    let device = target.open()?.device;
    let card = Card::open(Arc::new(device)).context("this card cannot be used")?;
    let (identity, health) = (card.identity(), card.health()?);
    let parameters: Vec<(&str, u64)> =
        CAPABILITIES.iter().copied().zip(card.shape().capability_words()).collect();
    if as_json {
        let result = json!({
            "name": card.device().name(), "version": identity.version, "queues": identity.queues,
            "vectors": identity.vectors, "stream_bits": identity.stream_bits,
            "status": health.status, "errors": health.errors, "failed_pairs": health.failed_pairs,
            "cycles": health.cycles,
            "parameters": parameters.iter().map(|(n, v)| ((*n).to_owned(), json!(v)))
                .collect::<serde_json::Map<_, _>>(),
            "counters": card.counters().into_iter().map(|(n, v)| (n.to_owned(), json!(v)))
                .collect::<serde_json::Map<_, _>>(),
        });
        println!("{result}");
        return Ok(());
    }
    println!(
        "{}: contract version {}, {} queue pairs, {} interrupts, {}-bit streams",
        card.device().name(),
        identity.version,
        identity.queues,
        identity.vectors,
        identity.stream_bits
    );
    println!(
        "status {:#x}, errors {:#x}, failed pairs {:#x}, {} cycles since the reset",
        health.status, health.errors, health.failed_pairs, health.cycles
    );
    // The first seven words say which instructions there are; the others are numbers.
    for (name, value) in parameters.iter().skip(7) {
        println!("  {name} = {value}");
    }
    for (name, value) in card.counters() {
        println!("  {name}: {value}");
    }
    Ok(())
}

/// A firmware file, with a message that says where it was looked for.
fn firmware_file(folder: &std::path::Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if path.exists() {
        return Ok(path);
    }
    Err(anyhow!("{} is missing; give the folder with --firmware", path.display()))
}
