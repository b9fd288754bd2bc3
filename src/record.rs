//! `rmt record`: what the kernel's hooks see and decide, as tables that `rmt train` reads.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rmt_driver::shim::{CpuRings, Shim, ShimControl};
use rmt_isa::Event;
use rmt_isa::shim::KernelHook;
use rmt_isa::shim::control::{Counter, Mode, Settings};
use rmt_isa::shim::hooks::CAN_MIGRATE_TASK;
use rmt_isa::shim::layout::{Outcome, outcome_layout};
use rmt_learn::quantise::migration::{DELTA_FAULTS, FEATURE_NAMES};

use crate::program;

/// A sleep ends after this time at the latest, to look at clock and command.
const SLEEP: Duration = Duration::from_millis(50);

/// Record what a hook of the kernel sees, and what the kernel decides.
///
/// The hook is in shadow mode without a program; the kernel module must be loaded. Page faults
/// become the columns time_us, pid, vpn, swap_offset; decisions of can_migrate_task the columns of
/// firmware/traces/migrations.csv.zst; other hooks their arguments and the kernel's answer.
///
/// Example: rmt record do_swap_page -o faults.csv.zst -- python3 job.py
#[derive(Args)]
pub struct Record {
    /// Name or number of the hook
    #[arg(value_parser = KernelHook::parse)]
    hook: &'static KernelHook,
    /// The table; compressed when its name ends with .zst
    #[arg(short, long)]
    output: PathBuf,
    /// Stop after so many rows
    #[arg(long)]
    rows: Option<u64>,
    /// Stop after this time
    #[arg(long)]
    seconds: Option<u64>,
    /// Only events of this key; 0: all
    #[arg(long, default_value_t = 0)]
    key: u64,
    /// Name of the load, for the column `phase`
    #[arg(long, default_value = "load")]
    phase: String,
    /// Record while this command runs
    #[arg(last = true)]
    command: Vec<String>,
}

impl Record {
    pub fn run(self) -> Result<()> {
        if self.rows.is_none() && self.seconds.is_none() && self.command.is_empty() {
            bail!("say when to stop: --rows, --seconds, or a command behind --");
        }
        if self.phase.contains([',', '\n', '"']) {
            bail!("--phase {:?} cannot stand in a table; use letters and digits", self.phase);
        }
        let (shim, mut rings) = ShimControl::open()?.attach()?;
        let mut table = Table::new(self.hook, &self.phase);
        shim.set(&Settings {
            key: self.key,
            ..Settings::unwatched(self.hook.number, Mode::Shadow)
        })?;
        let mut child = self.start()?;
        let recorded = self.record(&shim, &mut rings, &mut table, child.as_mut());
        if let Some(child) = &mut child {
            // A command that outlives the recording is not needed any more.
            let _ = child.kill();
            let _ = child.wait();
        }
        recorded?;
        shim.set(&Settings::unwatched(self.hook.number, Mode::Off))?;
        let counters = shim.counters(self.hook.number)?;
        let missing =
            counters[Counter::RingFull as usize] + counters[Counter::OutcomesLost as usize];
        let compressed = self.output.extension().is_some_and(|kind| kind == "zst");
        let text = table.text.into_bytes();
        let content = if compressed { compress(&text) } else { text };
        program::write_whole(&self.output, &content)?;
        println!("{}: {} rows, {missing} events lost", self.output.display(), table.rows);
        if missing > 0 {
            eprintln!("some events found their ring full; load the module with ring_log2=16");
        }
        Ok(())
    }

    fn start(&self) -> Result<Option<Child>> {
        let Some((name, arguments)) = self.command.split_first() else { return Ok(None) };
        let child = Command::new(name).args(arguments).spawn();
        child.map(Some).with_context(|| format!("cannot run {name}"))
    }

    fn record(
        &self,
        shim: &Shim,
        rings: &mut [CpuRings],
        table: &mut Table,
        mut child: Option<&mut Child>,
    ) -> Result<()> {
        let begun = Instant::now();
        let limit = self.seconds.map_or(Duration::MAX, Duration::from_secs);
        let most = self.rows.unwrap_or(u64::MAX);
        while table.rows < most && begun.elapsed() < limit {
            let ended = match &mut child {
                Some(child) => child.try_wait()?.is_some(),
                None => false,
            };
            // An event comes before its outcome, each in its own ring.
            for ring in &mut *rings {
                while let Some(event) = ring.take_event() {
                    table.event(ring.cpu(), event);
                }
                while let Some(outcome) = ring.take_outcome() {
                    if table.rows < most {
                        table.outcome(ring.cpu(), &outcome);
                    }
                }
            }
            if ended {
                break;
            }
            shim.sleep(rings, SLEEP)?;
        }
        Ok(())
    }
}

/// The study's features in their order, each ratio by what it is made of.
fn migration_columns() -> impl Iterator<Item = &'static str> {
    let (ratio, others) = FEATURE_NAMES.split_at(DELTA_FAULTS + 1);
    ratio.iter().chain(&["total_faults"]).chain(others).copied()
}

/// The rows so far.
struct Table<'r> {
    hook: &'static KernelHook,
    phase: &'r str,
    /// Events without outcome, by processor and tag.
    open: HashMap<(u32, u32), Event>,
    text: String,
    rows: u64,
    first_ns: Option<u64>,
}

impl<'r> Table<'r> {
    fn new(hook: &'static KernelHook, phase: &'r str) -> Self {
        let names: Vec<&str> = hook.arguments.iter().map(|row| row.field.name).collect();
        let header = if *hook == CAN_MIGRATE_TASK {
            let columns: Vec<_> = migration_columns().collect();
            format!("phase,pid,{},hard_pass,can_migrate", columns.join(","))
        } else if hook.argument("vpn").is_some() {
            format!("time_us,pid,{}", names.join(","))
        } else {
            format!("time_us,key,{},answer", names.join(","))
        };
        Self { hook, phase, open: HashMap::new(), text: header + "\n", rows: 0, first_ns: None }
    }

    fn event(&mut self, cpu: u32, event: Event) {
        if event.hook() == self.hook.number {
            self.open.insert((cpu, event.tag()), event);
        }
    }

    fn outcome(&mut self, cpu: u32, outcome: &Outcome) {
        // The outcome of another hook, or of an event from before this table.
        let Some(event) = self.open.remove(&(cpu, outcome.tag)) else { return };
        let first = *self.first_ns.get_or_insert(outcome.time_ns);
        let time_us = outcome.time_ns.saturating_sub(first) / 1000;
        let key = event.key();
        let is_migration = *self.hook == CAN_MIGRATE_TASK;
        if is_migration {
            let _ = write!(self.text, "{},{key}", self.phase);
            for name in migration_columns() {
                self.argument(name, &event);
            }
            let hard_pass = u8::from(outcome.flags & outcome_layout::FORBIDDEN == 0);
            let _ = writeln!(self.text, ",{hard_pass},{}", outcome.kernel);
        } else {
            let _ = write!(self.text, "{time_us},{key}");
            for argument in self.hook.arguments {
                self.argument(argument.field.name, &event);
            }
            if self.hook.argument("vpn").is_none() {
                let _ = write!(self.text, ",{}", outcome.kernel);
            }
            self.text.push('\n');
        }
        self.rows += 1;
    }

    fn argument(&mut self, name: &str, event: &Event) {
        let Some(argument) = self.hook.argument(name) else { return };
        let (offset, bytes) = (argument.field.offset, argument.field.bytes);
        let value = event.load(offset, bytes);
        if argument.signed {
            let unused = 64 - 8 * bytes as u32;
            let _ = write!(self.text, ",{}", (value << unused) as i64 >> unused);
        } else {
            let _ = write!(self.text, ",{value}");
        }
    }
}

/// A zstd frame.
fn compress(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::shim::hooks::{DO_SWAP_PAGE, PAGE_CACHE_RA};

    fn outcome(tag: u32, time_ns: u64, kernel: u32, flags: u16) -> Outcome {
        let (hook, program, hook_ns, answer_ns) = (2, 0, 0, None);
        Outcome { tag, hook, flags, time_ns, kernel, program, hook_ns, answer_ns }
    }

    #[test]
    fn page_faults_have_the_traces_columns() {
        let mut table = Table::new(&DO_SWAP_PAGE, "load");
        for (tag, vpn) in [(1, 100), (2, 101)] {
            let mut event = Event::new(1, tag, 77);
            event.store(16, 8, vpn);
            event.store(24, 8, 5);
            table.event(0, event);
            // The same tag on another processor is another event.
            table.outcome(1, &outcome(tag, 0, 0, 0));
            table.outcome(0, &outcome(tag, u64::from(tag) * 3_000_000, 0, 0));
        }
        assert_eq!(table.text, "time_us,pid,vpn,swap_offset\n0,77,100,5\n3000,77,101,5\n");
        assert!(table.open.is_empty() && table.rows == 2);
    }

    #[test]
    fn migrations_have_the_traces_columns() {
        let mut table = Table::new(&CAN_MIGRATE_TASK, "burst");
        let mut event = Event::new(2, 9, 5);
        event.store(32, 2, 3);
        event.store(56, 4, -2_i32 as u32 as u64);
        table.event(0, event);
        table.outcome(0, &outcome(9, 0, 1, outcome_layout::FORBIDDEN));
        assert!(table.text.starts_with("phase,pid,src_non_pref_nr,delta_hot,cpu_idle,"));
        assert!(
            table.text.ends_with("\nburst,5,0,0,0,0,0,0,0,0,3,0,0,0,-2,0,0,0,0,1\n"),
            "{}",
            table.text
        );
        // What the recorded sample begins with, a reader of it also finds here.
        let sample = include_bytes!("../firmware/traces/migrations.csv.zst");
        let mut frame = &sample[..];
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut frame).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
        assert_eq!(text.lines().next(), table.text.lines().next());
    }

    #[test]
    fn compressed_tables_are_read_back() {
        let mut table = Table::new(&PAGE_CACHE_RA, "load");
        for tag in 1..2000 {
            table.event(0, Event::new(5, tag, 1));
            table.outcome(0, &outcome(tag, 0, tag, 0));
        }
        let frame = compress(table.text.as_bytes());
        assert!(frame.len() < table.text.len() / 2);
        let mut frame = &frame[..];
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(&mut frame).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
        assert_eq!(text, table.text);
    }
}
