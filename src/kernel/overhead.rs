//! What a hook costs, measured on the hook of file read-ahead, which a process can make fire at will.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use rmt_driver::shim::{CpuRings, ShimControl};
use rmt_isa::shim::control::{Counter, Mode, Settings};
use rmt_isa::shim::hooks::PAGE_CACHE_RA;
use rustix::fs::{Advice, fadvise};

/// Bytes that one call wants read ahead.
const PAGE: u64 = 4096;
/// Measurements of each mode, of which the least counts.
const REPEATS: usize = 5;

/// Measure what a hook adds to the hooked function.
#[derive(Args)]
pub struct Overhead {
    /// A file, or a disk, of at least one page
    #[arg(long, default_value = "/dev/vda")]
    file: PathBuf,
    /// Calls of one measurement; no more than the ring has places
    #[arg(long, default_value_t = 500)]
    calls: u32,
}

impl Overhead {
    pub fn run(&self) -> Result<()> {
        let file = File::open(&self.file)
            .with_context(|| format!("cannot open {}", self.file.display()))?;
        let (shim, mut rings) = ShimControl::open()?.attach()?;
        let hook = PAGE_CACHE_RA.number;
        // The first call reads the page; all others find it.
        let none = self.measure(&file, &mut rings)?;
        // No inode has this number: the probe is there, and no event is sent.
        let nobody = Settings { key: u64::MAX, ..Settings::unwatched(hook, Mode::Shadow) };
        shim.set(&nobody)?;
        let probe = self.measure(&file, &mut rings)?;
        shim.set(&Settings::unwatched(hook, Mode::Shadow))?;
        let before = shim.counters(hook)?;
        let event = self.measure(&file, &mut rings)?;
        let after = shim.counters(hook)?;
        shim.set(&Settings::unwatched(hook, Mode::Off))?;
        let sent = after[Counter::Sent as usize] - before[Counter::Sent as usize];
        let expected = u64::from(self.calls) * REPEATS as u64;
        ensure!(
            sent >= expected,
            "only {sent} of {expected} calls sent an event; give fewer --calls than the ring has places"
        );
        println!("read-ahead of a page that is there: {none:.0} ns, all per call");
        println!(
            "with the kernel's probe, and the module sending nothing: + {:.0} ns",
            probe - none
        );
        println!("with an event and an outcome in shadow mode: + {:.0} ns", event - none);
        println!("of these for the module's event and outcome: {:.0} ns", event - probe);
        Ok(())
    }

    /// The least time of a call, ns.
    fn measure(&self, file: &File, rings: &mut [CpuRings]) -> Result<f64> {
        let mut least = f64::MAX;
        for _ in 0..REPEATS {
            let begun = Instant::now();
            for _ in 0..self.calls {
                fadvise(file, 0, std::num::NonZeroU64::new(PAGE), Advice::WillNeed)?;
            }
            least = least.min(begun.elapsed().as_nanos() as f64 / f64::from(self.calls));
            for ring in &mut *rings {
                while ring.take_event().is_some() || ring.take_outcome().is_some() {}
            }
        }
        Ok(least)
    }
}
