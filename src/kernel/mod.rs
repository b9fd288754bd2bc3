//! `rmt kernel`: the kernel module: build it, look at its hooks, set their modes, answer them.

mod answer;
mod load;
mod overhead;
mod status;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use rmt_driver::shim::ShimControl;
use rmt_isa::shim::control::{Counter, Mode, Settings};
use rmt_isa::shim::{self, KernelHook};

/// The module's name.
pub const MODULE: &str = "rmt_shim";

/// Build and control the kernel module.
///
/// Example: rmt kernel status
#[derive(Args)]
pub struct KernelCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the module for the guest's kernel
    ///
    /// Example: rmt kernel build -o rmt_shim.ko
    Build {
        /// The module's sources
        #[arg(long, default_value = "driver/kernel")]
        sources: PathBuf,
        /// Where the module goes
        #[arg(short, long, default_value = "rmt_shim.ko")]
        output: PathBuf,
    },
    /// Show the hooks: modes, why they were put off, counters
    ///
    /// Example: rmt kernel status
    Status(status::Status),
    /// Print one counter of a hook, for scripts
    ///
    /// Example: rmt kernel count can_migrate_task calls
    Count {
        /// Name or number of the hook
        #[arg(value_parser = KernelHook::parse)]
        hook: &'static KernelHook,
        /// Name of the counter, as `rmt kernel status` shows it
        counter: Counter,
    },
    /// Set the mode of a hook, and what puts it off
    ///
    /// Example: rmt kernel set can_migrate_task act --window 256 --min-agreement 900
    Set {
        /// Name or number of the hook
        #[arg(value_parser = KernelHook::parse)]
        hook: &'static KernelHook,
        /// The mode: off, shadow, advise or act
        mode: Mode,
        #[command(flatten)]
        limits: Limits,
    },
    /// Put all hooks off
    ///
    /// Example: rmt kernel kill
    Kill,
    /// Answer hooks by programs in this process: the JIT decides, without card and daemon
    ///
    /// Example: rmt kernel answer firmware/can_migrate_task.rmt --mode shadow --seconds 10
    Answer(answer::AnswerHooks),
    /// Measure what a hook adds to the hooked function, as root, with no daemon
    ///
    /// Under `rmt guest run --kernel --count-instructions` a nanosecond is one instruction.
    ///
    /// Example: rmt kernel overhead --file /dev/sda
    Overhead(overhead::Overhead),
    /// Make work for the scheduler or the swap device, and tell how long it took
    ///
    /// Example: rmt kernel load black-scholes --threads 8 --work 200
    Load(load::Load),
}

/// What limits a hook.
#[derive(Args, Clone, Copy)]
pub struct Limits {
    /// Longest time that the hook waits for an answer, ns
    #[arg(long, default_value_t = shim::DEFAULT_BUDGET_NS)]
    budget_ns: u32,
    /// Events of a window on each processor, after which the limits below are looked at; 0: never
    #[arg(long, default_value_t = 0)]
    window: u32,
    /// Least share of answers that agree with the kernel's, in thousandths
    #[arg(long, default_value_t = 0)]
    min_agreement: u16,
    /// Greatest share of late and missing answers, in thousandths
    #[arg(long, default_value_t = 1000)]
    max_late: u16,
    /// Greatest number of errors
    #[arg(long, default_value_t = u32::MAX)]
    max_errors: u32,
    /// Only events of this key, for example a process; 0: all
    #[arg(long, default_value_t = 0)]
    key: u64,
}

impl Limits {
    /// The settings of a hook in a mode.
    fn settings(self, hook: u16, mode: Mode) -> Settings {
        let Self { budget_ns, window, min_agreement, max_late, max_errors, key } = self;
        Settings {
            budget_ns,
            window,
            min_agreement,
            max_late,
            max_errors,
            key,
            ..Settings::unwatched(hook, mode)
        }
    }
}

impl KernelCommand {
    pub fn run(self) -> Result<()> {
        match self.action {
            Action::Build { sources, output } => {
                let system = crate::guest::set_up()?;
                let module = system.build_module(&sources, MODULE)?;
                crate::program::write_whole(&output, &module)?;
                println!("{} for kernel {}", output.display(), system.release());
                Ok(())
            }
            Action::Status(status) => status.run(),
            Action::Count { hook, counter } => {
                let counters = ShimControl::open()?.counters(hook.number)?;
                println!("{}", status::value(&counters, counter));
                Ok(())
            }
            Action::Set { hook, mode, limits } => {
                let control = ShimControl::open()?;
                control.set(&limits.settings(hook.number, mode))?;
                Ok(())
            }
            Action::Kill => Ok(ShimControl::open()?.kill()?),
            Action::Answer(answer) => answer.run(),
            Action::Load(load) => load.run(),
            Action::Overhead(overhead) => overhead.run(),
        }
    }
}
