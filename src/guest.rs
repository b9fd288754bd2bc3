//! `rmt guest`: a virtual machine with a stock kernel and the virtual card in it.

mod study;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand};
use rmt_guest::{Initramfs, Machine, System};

use crate::r#gen::ConfigArguments;

/// Where the set-up goes when `RMT_TOOLS` does not say.
const TOOLS: &str = ".tools";
/// What stands before both tests.
const COMMON: &str = include_str!("../guest/common.sh");
/// What the guest runs with `rmt guest test`: every line is shown, the first that fails ends it.
const TEST: &str = include_str!("../guest/test.sh");
/// The same for the kernel module.
const KERNEL_TEST: &str = include_str!("../guest/kernel_test.sh");
/// The same for all together: module, daemon and card.
const DAEMON_TEST: &str = include_str!("../guest/daemon_test.sh");
/// Memory of the guest for the kernel module's test: little, so that it swaps.
const KERNEL_MEMORY_MIB: u32 = 512;
/// The disk that it swaps to.
const KERNEL_SWAP_MIB: u32 = 1024;
/// The virtual card must listen after this time; the first time its model is built.
const CARD_PATIENCE: Duration = Duration::from_secs(400);

/// Test the driver in a virtual machine with a stock kernel.
///
/// Example: rmt guest test
#[derive(Args)]
pub struct GuestCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Unpack QEMU, a stock kernel and its compiler into the cache
    ///
    /// Example: rmt guest setup
    Setup,
    /// Boot with the virtual card behind a root port and run the driver's test suite there
    ///
    /// Example: rmt guest test --preset small
    Test {
        #[command(flatten)]
        options: GuestOptions,
        /// Events of each program that are compared with the interpreter
        #[arg(long, default_value_t = 10_000)]
        events: usize,
        /// Test the kernel module instead, without card: hooks, modes, unloading under load
        #[arg(long)]
        kernel: bool,
        /// Test the daemon between kernel module and card: faults decided on the card, prefetches, faults
        #[arg(long, conflicts_with = "kernel")]
        daemon: bool,
        /// Decisions of can_migrate_task that are compared in shadow mode
        #[arg(long, default_value_t = 30_000)]
        decisions: u32,
    },
    /// Boot with the virtual card and run a shell command there
    ///
    /// Example: rmt guest run 'lspci -vv'
    Run {
        #[command(flatten)]
        options: GuestOptions,
        /// With the kernel module, two NUMA nodes and a disk to swap to, without card
        #[arg(long)]
        kernel: bool,
        /// With --kernel: with the card as well
        #[arg(long, requires = "kernel")]
        card: bool,
        /// Take back the files that the command leaves in /results, into this folder
        #[arg(long)]
        results: Option<PathBuf>,
        /// The command
        command: String,
    },
    /// Run a case study live, with the kernel module
    ///
    /// Example: rmt guest study prefetch -o report/live
    Study(study::Study),
}

#[derive(Args)]
struct GuestOptions {
    #[command(flatten)]
    config: ConfigArguments,
    /// Seconds within which the guest must end
    #[arg(long, default_value_t = 900)]
    limit: u64,
    /// Without an IOMMU: the driver must refuse to work
    #[arg(long)]
    no_iommu: bool,
    /// Folder of programs and traces
    #[arg(long, default_value = "firmware")]
    firmware: PathBuf,
    /// Let the guest's clock count instructions, 1 ns each (slow)
    #[arg(long)]
    count_instructions: bool,
    /// Folder of the kernel module's sources
    #[arg(long, default_value = "driver/kernel")]
    module: PathBuf,
}

impl GuestCommand {
    pub fn run(self) -> Result<()> {
        match self.action {
            Action::Setup => {
                let system = set_up()?;
                println!("kernel {} in {}", system.release(), system.folder().display());
                Ok(())
            }
            Action::Test { options, kernel, daemon, decisions, events } => {
                let (parts, test) = match (kernel, daemon) {
                    (true, _) => {
                        let decisions = decisions.to_string();
                        (Parts::MODULE, KERNEL_TEST.replace("@DECISIONS@", &decisions))
                    }
                    (_, true) => (Parts::ALL, DAEMON_TEST.to_owned()),
                    _ => (Parts::CARD, TEST.replace("@EVENTS@", &events.to_string())),
                };
                options.boot(&Task::new(parts, format!("{COMMON}{test}"))).map(|_| ())
            }
            Action::Run { options, kernel, card, results, command } => {
                let card = card || !kernel;
                let task = Task::new(Parts { card, module: kernel }, command);
                let files = options.boot(&Task { takes_results: results.is_some(), ..task })?;
                results.map_or(Ok(()), |folder| study::save(&folder, &files))
            }
            Action::Study(study) => study.run(),
        }
    }
}

/// What the guest has.
#[derive(Clone, Copy)]
struct Parts {
    /// The virtual card, behind a root port.
    card: bool,
    /// The kernel module, two NUMA nodes, and a disk to swap to.
    module: bool,
}

impl Parts {
    const CARD: Self = Self { card: true, module: false };
    const MODULE: Self = Self { card: false, module: true };
    const ALL: Self = Self { card: true, module: true };
}

/// What the guest does.
struct Task {
    parts: Parts,
    /// A shell script.
    script: String,
    /// Whether the files that it leaves in `/results` are wanted.
    takes_results: bool,
    /// A folder of the host that it finds as `/study`.
    study: Option<PathBuf>,
    /// The processor on which programs answer while hooks wait for them.
    favoured_processor: Option<u32>,
}

impl Task {
    /// A script that brings nothing and leaves nothing.
    fn new(parts: Parts, script: String) -> Self {
        Self { parts, script, takes_results: false, study: None, favoured_processor: None }
    }
}

/// The unpacked system in the cache.
pub fn set_up() -> Result<System> {
    let tools = std::env::var_os("RMT_TOOLS").map_or_else(|| PathBuf::from(TOOLS), PathBuf::from);
    Ok(System::set_up(&tools.join("guest"), |text| eprintln!("{text}"))?)
}

impl GuestOptions {
    /// Boots, runs a task and takes its exit code for the verdict; returns the files that it left in
    /// `/results`, if they are wanted.
    fn boot(&self, task: &Task) -> Result<Vec<(String, Vec<u8>)>> {
        let parts = task.parts;
        let system = set_up()?;
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("card.sock");
        let card = match parts.card {
            true => Some(VirtualCardProcess::start(&socket, &self.config)?),
            false => None,
        };
        let mut machine = Machine {
            count_instructions: self.count_instructions,
            iommu: parts.card && !self.no_iommu,
            limit: Duration::from_secs(self.limit),
            takes_results: task.takes_results,
            favoured_processor: task.favoured_processor,
            ..Machine::default()
        };
        let mut initramfs = self.initramfs(&system, task)?;
        if parts.module {
            let module = system.build_module(&self.module, crate::kernel::MODULE)?;
            initramfs.add(&format!("{}.ko", crate::kernel::MODULE), module);
            machine.memory_mib = KERNEL_MEMORY_MIB;
            machine.processors = 4;
            machine.nodes = 2;
            machine.swap_mib = KERNEL_SWAP_MIB;
        }
        let image = folder.path().join("initramfs");
        initramfs.write(&image)?;
        if let Some(card) = &card {
            card.wait_for(&socket)?;
            machine.card = Some(socket);
        }
        verdict(&system, &machine, &image)
    }

    /// The guest's file system: this very program, the firmware, the task.
    fn initramfs(&self, system: &System, task: &Task) -> Result<Initramfs> {
        let mut initramfs = Initramfs::new(system)?;
        initramfs.add_host_program("rmt", &std::env::current_exe()?)?;
        initramfs.add("task", task.script.as_str());
        add_folder(&mut initramfs, "firmware", &self.firmware)?;
        if let Some(folder) = &task.study {
            add_folder(&mut initramfs, "study", folder)?;
        }
        Ok(initramfs)
    }
}

/// Runs the guest and takes its task's exit code for the verdict.
fn verdict(system: &System, machine: &Machine, image: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let verdict = machine.run(system, image)?;
    eprintln!("guest: kernel {}, {:.1} s", system.release(), verdict.elapsed.as_secs_f64());
    match verdict.code {
        0 => Ok(verdict.results),
        code => bail!("the guest's task ended with code {code}"),
    }
}

/// Adds all files of a folder and those below it.
fn add_folder(initramfs: &mut Initramfs, name: &str, folder: &Path) -> Result<()> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read {}; give it with --firmware", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let name = format!("{name}/{}", path.file_name().unwrap_or_default().to_string_lossy());
        if path.is_dir() {
            add_folder(initramfs, &name, &path)?;
        } else {
            initramfs.add_file(&name, &path)?;
        }
    }
    Ok(())
}

/// `rmt card serve` as a process of its own, ended with this value.
struct VirtualCardProcess {
    child: Child,
}

impl VirtualCardProcess {
    fn start(socket: &Path, config: &ConfigArguments) -> Result<Self> {
        // What is wrong with it is said before a process that nobody looks at finds out.
        config.load()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["card", "serve", "--socket"]).arg(socket).args(config.to_arguments());
        let child =
            command.stdin(Stdio::null()).spawn().context("cannot start the virtual card")?;
        Ok(Self { child })
    }

    /// Waits until it listens.
    fn wait_for(&self, socket: &Path) -> Result<()> {
        let deadline = Instant::now() + CARD_PATIENCE;
        while !socket.exists() {
            if Instant::now() > deadline {
                bail!("the virtual card does not listen after {} s", CARD_PATIENCE.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for VirtualCardProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
