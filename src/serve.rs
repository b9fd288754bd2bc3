//! `rmt serve`: the daemon.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use clap::Args;
use rmt_daemon::engines::{CardEngine, Engines};
use rmt_daemon::log::say;
use rmt_daemon::metrics::{Endpoint, Metrics};
use rmt_daemon::placement::{Platform, calibrate, processor};
use rmt_daemon::plane::Plane;
use rmt_daemon::policy::{Policies, Policy};
use rmt_daemon::protocol::{RefusalKind, Request, Wish};
use rmt_daemon::rights::Rights;
use rmt_daemon::server::Server;
use rmt_daemon::source::Source;
use rmt_daemon::source::kernel::{KernelSource, parse_mode};
use rmt_daemon::source::replay::Replay;
use rmt_daemon::worker::Worker;
use rmt_driver::QueueConfig;
use rmt_isa::shim::Mode;
use rmt_vm::events::EventReader;
use rmt_vm::verifier::Limits;
use serde::Deserialize;

use crate::card::CardArguments;
use crate::learner::Learner;
use crate::{ctl, program};

/// Run the daemon: programs decide for events of the kernel, `rmt ctl` changes them.
///
/// It ends in good order on SIGTERM and SIGINT: hooks are put off, what events have learnt is saved.
///
/// Example: rmt serve --program firmware/page_prefetch.rmt
///          --replay firmware/page_prefetch.rmt=firmware/traces/pages/conv.test.csv.zst
///          --rate 10000
#[derive(Args)]
pub struct Serve {
    /// The socket for `rmt ctl`
    #[arg(long, default_value_os_t = rmt_daemon::paths::socket())]
    socket: PathBuf,
    /// The folder of the journal and of the platform's figures
    #[arg(long, default_value_os_t = rmt_daemon::paths::state())]
    state: PathBuf,
    /// A group whose members may change something, beside root and the daemon's own user
    #[arg(long)]
    group: Option<String>,
    /// Settings of the card's queue and policies, TOML; docs/daemon.md shows what it may hold
    #[arg(long)]
    settings: Option<PathBuf>,
    /// Show metrics for Prometheus on this address or Unix socket
    #[arg(long)]
    metrics: Option<Endpoint>,
    /// A program to run, unless one serves its hook already; a .rmt source or an image
    #[arg(long = "program")]
    programs: Vec<PathBuf>,
    /// Take events from the kernel module, /dev/rmt
    #[arg(long)]
    kernel: bool,
    /// With --kernel: a hook and its mode, off, shadow, advise or act
    #[arg(long = "hook", value_name = "HOOK=MODE", value_parser = parse_mode, requires = "kernel")]
    hooks: Vec<(u16, Mode)>,
    /// Take events from a recorded trace: the program whose hook names its columns, and the file
    #[arg(long, value_name = "PROGRAM=TRACE", value_parser = program_and_trace)]
    replay: Vec<(PathBuf, PathBuf)>,
    /// With --replay: events per second; without, as fast as they are decided
    #[arg(long)]
    rate: Option<f64>,
    /// With --replay: how often the trace is repeated; without, for ever
    #[arg(long)]
    rounds: Option<u64>,
    /// Learn the tree of page_prefetch on line from the faults that it decides on; it begins with
    /// a tree that asks for nothing
    #[arg(long)]
    learn_pages: bool,
    #[command(flatten)]
    card: CardArguments,
}

/// What the file of settings holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// The card's queue.
    queue: QueueConfig,
    /// Policies.
    policy: Vec<Policy>,
}

fn program_and_trace(text: &str) -> Result<(PathBuf, PathBuf), String> {
    let (program, trace) =
        text.split_once('=').ok_or_else(|| format!("`{text}` is no `PROGRAM=TRACE`"))?;
    Ok((program.into(), trace.into()))
}

impl Serve {
    pub fn run(self) -> Result<()> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, stop.clone())?;
        }
        let begun = Instant::now();
        let settings = self.settings()?;
        let rights = Rights::new(self.group.as_deref()).map_err(anyhow::Error::msg)?;
        let mut limits = Limits::default();
        let mut card = match self.card.open()? {
            None => None,
            Some((device, budget)) => {
                let budget_microseconds = u32::try_from(budget.as_micros()).unwrap_or(u32::MAX);
                let queue = match self.card.simulated() {
                    // Its time passes in calls only; a budget of real time says nothing.
                    true => QueueConfig { budget_microseconds, ..settings.queue.clone() },
                    false => settings.queue.clone(),
                };
                Some(CardEngine::open(device, queue)?)
            }
        };
        if let Some(card) = &card {
            limits.card = card.shape().clone();
        }
        std::fs::create_dir_all(&self.state)
            .with_context(|| format!("cannot make {}", self.state.display()))?;
        let platform = self.platform(card.as_mut())?;
        let worker = Worker::start(Engines::new(card, platform, limits.clone()), Vec::new())?;
        let (plane, restored) = Plane::start(worker, &self.state, limits)?;
        let plane = Arc::new(plane);
        restored.warnings.iter().for_each(|warning| say(format_args!("warning: {warning}")));
        self.install(&plane)?;
        // Events only now: none meets a daemon whose programs are not there yet.
        let mut sources = self.sources()?;
        let learner = self.learn_pages.then(|| Learner::start(plane.clone())).transpose()?;
        if let Some(learner) = &learner {
            sources = sources.into_iter().map(|source| learner.observe(source)).collect();
        }
        plane.worker().ask(move |host| host.sources = sources)?;
        let policies = Policies::start(plane.clone(), settings.policy)?;
        let server = Server::start(&self.socket, plane.clone(), rights)
            .with_context(|| format!("cannot listen on {}", self.socket.display()))?;
        let metrics = match &self.metrics {
            None => None,
            Some(endpoint) => Some(
                Metrics::start(endpoint, plane.clone())
                    .with_context(|| format!("cannot show metrics on {endpoint:?}"))?,
            ),
        };
        say(format_args!(
            "ready after {} ms: {} records restored; `rmt ctl --socket {} list`",
            begun.elapsed().as_millis(),
            restored.records,
            self.socket.display()
        ));
        while !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        say("stopping");
        drop((metrics, policies, server, learner));
        plane.save()?;
        Ok(())
    }

    fn settings(&self) -> Result<Settings> {
        let Some(path) = &self.settings else { return Ok(Settings::default()) };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| path.display().to_string())
    }

    /// The figures of the file, or measured and written there.
    fn platform(&self, card: Option<&mut CardEngine>) -> Result<Platform> {
        let path = self.state.join("platform.toml");
        let known = Platform::load(&path).map_err(anyhow::Error::msg)?;
        let name = card.as_ref().map(|card| card.name());
        let fits = |platform: &Platform| {
            let measured = platform.card.as_ref().map(|card| card.name.clone());
            platform.processor == processor() && (name.is_none() || measured == name)
        };
        if let Some(platform) = known.filter(fits) {
            return Ok(platform);
        }
        say(format_args!("measuring what events cost here, for {}", path.display()));
        let platform = calibrate::measure(card)?;
        platform.save(&path).map_err(anyhow::Error::msg)?;
        Ok(platform)
    }

    fn sources(&self) -> Result<Vec<Box<dyn Source>>> {
        let mut sources: Vec<Box<dyn Source>> = Vec::new();
        if self.kernel {
            sources.push(Box::new(KernelSource::attach(&self.hooks)?));
        }
        for (source, trace) in &self.replay {
            let program = program::load(source)?;
            let events = EventReader::open(trace, &program.hook)?.collect::<Result<Vec<_>, _>>()?;
            let name = trace.display().to_string();
            sources.push(Box::new(Replay::new(name, events, self.rate, self.rounds)));
        }
        Ok(sources)
    }

    /// Runs the programs of the command line whose hooks nobody serves.
    fn install(&self, plane: &Plane) -> Result<()> {
        for file in &self.programs {
            let image = ctl::image(file)?;
            let request = Request::Install { image, place: Wish::Auto, replace: false };
            match plane.handle(request) {
                Ok(_) => {}
                Err(refusal) if refusal.kind == RefusalKind::Taken => {
                    say(format_args!("{}: {refusal}", file.display()));
                }
                Err(refusal) => return Err(anyhow!("{}: {refusal}", file.display())),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use std::path::Path;

    use rmt_core::CoreConfig;
    use rmt_daemon::engines::{Prepared, Ready, Software};
    use rmt_daemon::protocol::EngineName;
    use rmt_isa::card::CardShape;
    use rmt_isa::program::{ActionCall, Entry, Matcher};
    use rmt_isa::{Event, Program};
    use rmt_vm::Machine;
    use rmt_vm::state::Change;
    use rmt_vm::verifier::verify;

    use super::*;
    use crate::card::{LatencyPreset, SimulatedDevice};

    #[test]
    fn the_settings_of_the_page_are_some() {
        let page = include_str!("../docs/daemon.md");
        let text = page.split("```toml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let settings: Settings = toml::from_str(text).unwrap();
        assert_eq!(settings.queue.budget_microseconds, 500);
        assert_eq!(settings.policy[0].levels.len(), 2);
        assert!(toml::from_str::<Settings>("[cache]").is_err());
        assert!(program_and_trace("a.rmt").is_err());
    }

    /// Engines with a card whose RTL is simulated.
    pub fn simulated_engines() -> Engines {
        let limits = Limits { card: CardShape::small(), ..Limits::default() };
        let config = CoreConfig::new(CardShape::small());
        let device = SimulatedDevice::new(&config, LatencyPreset::Zero.latency()).unwrap();
        let queue = QueueConfig { budget_microseconds: 1_000_000, ..QueueConfig::default() };
        let mut card = CardEngine::open(Arc::new(device), queue).unwrap();
        let platform = calibrate::measure(Some(&mut card)).unwrap();
        Engines::new(Some(card), platform, limits)
    }

    /// A program of the firmware with an interpreter that stays, and the events of a trace.
    struct Staying {
        program: Arc<Program>,
        machine: Machine,
        events: Vec<Event>,
    }

    impl Staying {
        fn new(program: &str, trace: &str, events: usize) -> Self {
            let folder = Path::new("firmware");
            let program = Arc::new(program::load(&folder.join(program)).unwrap());
            let trace = EventReader::open(&folder.join(trace), &program.hook).unwrap();
            let events = trace.take(events).collect::<Result<Vec<_>, _>>().unwrap();
            Self { machine: Machine::new(&program).unwrap(), program, events }
        }

        fn install(&self, engines: &mut Engines) {
            let program = self.program.clone();
            let installed = engines.install(Prepared {
                report: verify(&program, &engines.limits).unwrap(),
                software: Software::new(program.clone(), None, &engines.limits).unwrap(),
                image: Arc::new([]),
                wish: Wish::Jit,
                program,
            });
            assert_eq!(installed, (EngineName::Jit, None));
        }

        fn place(&self, engines: &mut Engines, wish: Wish) {
            let (engine, note) = engines.place_program(&self.program.name, wish).unwrap();
            assert_eq!((note, engine == EngineName::Card), (None, wish == Wish::Card));
        }

        fn commit(&mut self, engines: &mut Engines, changes: &[Change]) {
            let applied = engines.commit(&self.program.name, changes, Ready::default()).unwrap();
            assert_eq!(applied, self.machine.state_mut().commit(changes).unwrap());
        }

        fn decide(&mut self, engines: &mut Engines, events: std::ops::Range<usize>) {
            for batch in self.events[events].chunks(32) {
                let mut decisions = Vec::new();
                engines.decide(batch, &mut decisions);
                for (event, found) in batch.iter().zip(decisions) {
                    let told = |d: &rmt_isa::Decision| (d.tag, d.status, d.written, d.outputs);
                    assert_eq!(told(&found), told(&self.machine.run(event)));
                }
            }
        }

        /// All events were decided where they should be, and nothing was forgotten.
        fn check(&self, engines: &mut Engines, on_card: usize) {
            let (hosted, _) = engines.program(&self.program.name).unwrap();
            let counters = &hosted.counters;
            assert_eq!(
                (counters.on_card, counters.card_late, counters.card_refused, counters.card_losses),
                (on_card as u64, 0, 0, 0)
            );
            let state = hosted.prepared.software.state().dump();
            assert_eq!(self.machine.state().dump().first_difference(&state), None);
        }
    }

    /// Events in software, on the RTL, with transactions there, beside another program that comes and
    /// goes, and back in software: each decision and the state at the end are those of an
    /// interpreter that stays.
    #[test]
    #[ignore = "simulates the RTL of a card: minutes"]
    fn a_program_moves_to_the_card_and_back_and_nobody_can_tell() {
        const EVENTS: usize = 100;
        const BESIDE: usize = 40;
        let mut engines = simulated_engines();

        let mut pages =
            Staying::new("page_prefetch.rmt", "traces/pages/conv.test.csv.zst", 6 * EVENTS);
        let mut tasks =
            Staying::new("can_migrate_task.rmt", "traces/migrations.csv.zst", 6 * BESIDE);
        pages.install(&mut engines);
        tasks.install(&mut engines);
        let pid = pages.events[0].key();
        let leave = Entry {
            matcher: Matcher::Exact { key: pid.into() },
            priority: 0,
            call: ActionCall { action: 1, parameters: vec![] },
        };
        let handle = rmt_vm::state::EntryHandle(0);
        // Where the two are, and what changes for the first one.
        let steps: [(Wish, Wish, Vec<Change>); 6] = [
            (Wish::Jit, Wish::Jit, vec![]),
            (Wish::Card, Wish::Jit, vec![]),
            (Wish::Card, Wish::Card, vec![Change::AddEntry { table: 0, entry: leave }]),
            (Wish::Card, Wish::Card, vec![Change::RemoveEntry { table: 0, handle }]),
            (Wish::Card, Wish::Interpreter, vec![Change::RemoveRecord { context: 0, key: pid }]),
            (Wish::Interpreter, Wish::Card, vec![]),
        ];
        for (number, (wish, beside, changes)) in steps.into_iter().enumerate() {
            pages.place(&mut engines, wish);
            tasks.place(&mut engines, beside);
            if !changes.is_empty() {
                pages.commit(&mut engines, &changes);
            }
            pages.decide(&mut engines, number * EVENTS..(number + 1) * EVENTS);
            tasks.decide(&mut engines, number * BESIDE..(number + 1) * BESIDE);
            println!("step {number} is done");
        }
        tasks.place(&mut engines, Wish::Jit);
        pages.check(&mut engines, 4 * EVENTS);
        tasks.check(&mut engines, 3 * BESIDE);
    }
}
