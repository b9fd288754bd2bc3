//! A built and loaded model: hands out port handles and makes instances.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::cache::Cache;
use super::compile::{BuildReport, LIBRARY};
use super::error::Error;
use super::ffi::{Library, RawInstance};
use super::instance::Instance;
use super::spec::{Direction, Port, Trace, VerilatedBuild};
use super::toolchain::Toolchain;

/// What registers and memories without an initial value hold before the first cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InitialState {
    /// Zero everywhere.
    #[default]
    Zero,
    /// Random bits, the same ones for the same seed: a design that reads what it never wrote then
    /// shows it.
    Random {
        /// Any number.
        seed: u32,
    },
}

/// An input port of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Input(pub(super) Handle);

/// An output port of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Output(pub(super) Handle);

/// An input port of one bit that serves as a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clock(pub(super) Handle);

/// A port's place in the list of the model with this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Handle {
    pub(super) model: u32,
    pub(super) index: u32,
}

/// What all instances of a model share.
pub(super) struct Shared {
    pub(super) number: u32,
    pub(super) top: String,
    pub(super) ports: Vec<Port>,
    pub(super) trace: Trace,
    library: Arc<Library>,
}

/// A Verilated model in this process. Cheap to clone; any number of threads may make instances of
/// it.
#[derive(Clone)]
pub struct VerilatedModel {
    shared: Arc<Shared>,
    report: BuildReport,
}

impl VerilatedBuild {
    /// Builds the model, or takes it from `cache_dir` (see [`super::default_cache_dir`]), and loads
    /// it.
    ///
    /// Several threads and processes may ask for the same model at once: one builds, the others
    /// wait for it. A damaged cache entry is built again, a failed build leaves nothing behind.
    ///
    /// # Errors
    /// [`Error::InvalidSpec`], [`Error::Verilog`], [`Error::PortMismatch`] for faults of the
    /// description; [`Error::ToolFailed`], [`Error::ToolTimeout`], [`Error::LockTimeout`],
    /// [`Error::Io`], [`Error::Load`] for faults of the machine.
    pub fn build(&self, toolchain: &Toolchain, cache_dir: &Path) -> Result<VerilatedModel, Error> {
        static NUMBERS: AtomicU32 = AtomicU32::new(0);

        self.check()?;
        let cache = Cache::open(cache_dir, toolchain.limits.lock)?;
        let mut report =
            BuildReport { from_cache: true, runtime_from_cache: true, ..BuildReport::default() };
        let title = format!("{} from {} sources", self.top, self.sources.len());
        let entry = cache.entry(&self.key(toolchain), &title, |output, scratch| {
            report = self.make(toolchain, &cache, output, scratch)?;
            Ok(())
        })?;
        let library = Arc::new(Library::load(&entry.folder.join(LIBRARY), &self.ports)?);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let shared = Shared {
            number,
            top: self.top.clone(),
            ports: self.ports.clone(),
            trace: self.trace,
            library,
        };
        Ok(VerilatedModel { shared: Arc::new(shared), report })
    }
}

impl VerilatedModel {
    /// Makes an instance of the design, with all inputs zero and settled.
    ///
    /// # Errors
    /// [`Error::Construct`] if the C++ constructor fails, as it does when memory runs out.
    pub fn instantiate(&self, initial: InitialState) -> Result<Instance, Error> {
        let seed = match initial {
            InitialState::Zero => None,
            InitialState::Random { seed } => Some(seed),
        };
        let raw = RawInstance::create(&self.shared.library, &self.shared.ports, seed)
            .map_err(|reason| Error::Construct { top: self.shared.top.clone(), reason })?;
        Ok(Instance::new(raw, self.shared.clone()))
    }

    /// The input called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownPort`] with the names that there are.
    pub fn input(&self, name: &str) -> Result<Input, Error> {
        self.find("input", name, |port| port.direction == Direction::Input).map(Input)
    }

    /// The output called `name`.
    ///
    /// # Errors
    /// [`Error::UnknownPort`] with the names that there are.
    pub fn output(&self, name: &str) -> Result<Output, Error> {
        self.find("output", name, |port| port.direction == Direction::Output).map(Output)
    }

    /// The input of one bit called `name`, as a clock.
    ///
    /// # Errors
    /// [`Error::UnknownPort`] with the names that there are.
    pub fn clock(&self, name: &str) -> Result<Clock, Error> {
        let is_clock = |port: &Port| port.direction == Direction::Input && port.width == 1;
        self.find("clock (input of 1 bit)", name, is_clock).map(Clock)
    }

    /// The declared ports, in their order.
    pub fn ports(&self) -> &[Port] {
        &self.shared.ports
    }

    /// The top module's name.
    pub fn top(&self) -> &str {
        &self.shared.top
    }

    /// What the build did, and how long it took.
    pub fn report(&self) -> BuildReport {
        self.report
    }

    fn find(
        &self,
        wanted: &'static str,
        name: &str,
        fits: impl Fn(&Port) -> bool,
    ) -> Result<Handle, Error> {
        let found = self.shared.ports.iter().position(|port| port.name == name && fits(port));
        if let Some(index) = found.and_then(|index| u32::try_from(index).ok()) {
            return Ok(Handle { model: self.shared.number, index });
        }
        let names: Vec<_> = self
            .shared
            .ports
            .iter()
            .filter(|port| fits(port))
            .map(|port| port.name.as_str())
            .collect();
        let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(Error::UnknownPort {
            top: self.shared.top.clone(),
            wanted,
            port: name.to_owned(),
            available,
        })
    }
}

impl std::fmt::Debug for VerilatedModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerilatedModel")
            .field("top", &self.shared.top)
            .field("report", &self.report)
            .finish()
    }
}
