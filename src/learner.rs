//! The tree of `page_prefetch.rmt`, learnt on line while the daemon serves the faults.
//!
//! The worker's events pass through [`Observed`], which hands a copy of each fault to the learner's
//! thread and never waits for it. That thread learns as `rmt_learn::prefetch::online` does, and
//! commits each new tree as a model swap, which the verifier checks before. The program begins with
//! a tree that asks for nothing: no fault is known before it was decided on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rmt_daemon::log::say;
use rmt_daemon::plane::Plane;
use rmt_daemon::protocol::{NamedChange, Refusal};
use rmt_daemon::source::{Source, SourceError};
use rmt_driver::memory::run_when_idle;
use rmt_isa::shim::hooks::DO_SWAP_PAGE;
use rmt_isa::{Decision, Event};
use rmt_learn::prefetch::learned::FEATURES;
use rmt_learn::prefetch::online::{OnlinePrefetch, OnlinePrefetchConfig};
use rmt_learn::prefetch::trace::PageAccess;
use rmt_learn::tree::{DecisionTree, Node};
use rmt_vm::state::ModelObjects;

/// The program, its model, and the forest in it.
const PROGRAM: &str = "page_prefetch";
const MODEL: &str = "prefetch";
const FOREST: &str = "walk";
/// Faults that wait for the learner; what comes beyond them is not learnt from.
const WAITING: usize = 1 << 15;
/// How often the thread looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);

/// What was counted.
#[derive(Debug, Default)]
struct Counts {
    /// Faults that the learner saw.
    learnt_from: AtomicU64,
    /// Faults that found no place.
    dropped: AtomicU64,
    /// Trees that took the place of the one before.
    swapped: AtomicU64,
    /// Trees that were refused.
    refused: AtomicU64,
}

/// The learner's thread, until it is dropped.
pub struct Learner {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    faults: SyncSender<PageAccess>,
    counts: Arc<Counts>,
}

impl Learner {
    /// Puts a tree that asks for nothing in the place of the program's, and starts the thread.
    ///
    /// # Errors
    /// When no program `page_prefetch` with its model runs, or the system has no thread.
    pub fn start(plane: Arc<Plane>) -> Result<Self> {
        let nothing = DecisionTree::new(FEATURES, vec![Node::Leaf { value: 0 }])?;
        swap(&plane, &nothing).map_err(|refusal| anyhow!("{refusal}")).context(
            "--learn-pages needs the program page_prefetch; give --program firmware/page_prefetch.rmt",
        )?;
        let (faults, inbox) = sync_channel(WAITING);
        let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let policy = OnlinePrefetch::new(OnlinePrefetchConfig::default())?;
        let (stopped, shared) = (stop.clone(), counts.clone());
        let thread = std::thread::Builder::new()
            .name("rmt-learner".into())
            .spawn(move || learn(&plane, policy, &inbox, &stopped, &shared))?;
        Ok(Self { stop, thread: Some(thread), faults, counts })
    }

    /// A source whose faults are learnt from.
    pub fn observe(&self, source: Box<dyn Source>) -> Box<dyn Source> {
        Box::new(Observed {
            source,
            faults: self.faults.clone(),
            counts: self.counts.clone(),
            begun: Instant::now(),
        })
    }
}

impl Drop for Learner {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

fn learn(
    plane: &Plane,
    mut policy: OnlinePrefetch,
    inbox: &Receiver<PageAccess>,
    stop: &AtomicBool,
    counts: &Counts,
) {
    // A background thread: it must not keep the processor from those that decide. Where that cannot
    // be had it learns nonetheless.
    _ = run_when_idle();
    while !stop.load(Ordering::Relaxed) {
        let access = match inbox.recv_timeout(LOOK) {
            Ok(access) => access,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Err(error) = policy.decide(&access) {
            say(format_args!("the page tree is not learnt any more: {error}"));
            return;
        }
        counts.learnt_from.fetch_add(1, Ordering::Relaxed);
        let Some(tree) = policy.take_new_tree() else { continue };
        let counter = match swap(plane, &tree) {
            Ok(()) => &counts.swapped,
            Err(refusal) => {
                say(format_args!("a tree that was learnt is refused: {refusal}"));
                &counts.refused
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Commits a tree. It need not be on the disk at once: another one comes soon.
fn swap(plane: &Plane, tree: &DecisionTree) -> Result<(), Refusal> {
    let objects = ModelObjects { forests: vec![tree.to_forest(FOREST)], ..ModelObjects::default() };
    let change = NamedChange::PushModel { model: MODEL.into(), objects };
    plane.commit(PROGRAM.into(), vec![change], false).map(|_| ())
}

/// A source whose faults are handed to the learner as well.
struct Observed {
    source: Box<dyn Source>,
    faults: SyncSender<PageAccess>,
    counts: Arc<Counts>,
    begun: Instant,
}

/// The fault of an event; none when it is of another hook.
fn fault(event: &Event, time_us: u64) -> Option<PageAccess> {
    let argument = |name| {
        let field = DO_SWAP_PAGE.argument(name)?.field;
        Some(event.load(field.offset, field.bytes))
    };
    (event.hook() == DO_SWAP_PAGE.number).then_some(PageAccess {
        time_us,
        pid: u32::try_from(event.key()).ok()?,
        vpn: argument("vpn")?,
        swap_offset: argument("swap_offset")?,
    })
}

impl Source for Observed {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn take(&mut self, events: &mut Vec<Event>, most: usize) -> Result<(), SourceError> {
        self.source.take(events, most)
    }

    fn answer(&mut self, events: &[Event], decisions: &[Decision]) {
        self.source.answer(events, decisions);
        // Answers first: learning has time.
        let time_us = self.begun.elapsed().as_micros() as u64;
        for access in events.iter().filter_map(|event| fault(event, time_us)) {
            if self.faults.try_send(access).is_err() {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { learnt_from, dropped, swapped, refused } = &*self.counts;
        let mut counters = self.source.counters();
        counters.extend([
            ("faults_learnt_from", load(learnt_from)),
            ("faults_not_learnt_from", load(dropped)),
            ("trees_swapped", load(swapped)),
            ("trees_refused", load(refused)),
        ]);
        counters
    }

    fn sleep(&mut self, limit: Duration) -> bool {
        self.source.sleep(limit)
    }

    fn finished(&self) -> bool {
        self.source.finished()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rmt_daemon::engines::Engines;
    use rmt_daemon::placement::calibrate;
    use rmt_daemon::protocol::{Request, Wish};
    use rmt_daemon::source::replay::Replay;
    use rmt_daemon::worker::Worker;
    use rmt_learn::balance::models::{HIDDEN, to_kernel_model, train_network};
    use rmt_learn::balance::split::rows;
    use rmt_learn::balance::study::train_settings;
    use rmt_learn::prefetch::online::SWAP_LEAVES;
    use rmt_learn::prefetch::trace::read_page_trace;
    use rmt_learn::quantise::migration::read_migrations;
    use rmt_vm::Machine;
    use rmt_vm::events::EventReader;
    use rmt_vm::state::Change;
    use rmt_vm::verifier::Limits;

    use super::*;
    use crate::serve::tests::simulated_engines;

    fn plane(folder: &Path) -> Arc<Plane> {
        let platform = calibrate::measure(None).unwrap();
        let engines = Engines::new(None, platform, Limits::default());
        let worker = Worker::start(engines, Vec::new()).unwrap();
        Arc::new(Plane::start(worker, folder, Limits::default()).unwrap().0)
    }

    /// A recorded program's faults in the daemon: as many trees as the policy learns by itself, and
    /// the last of them is the model that runs.
    #[test]
    fn trees_are_learnt_from_the_faults_that_the_daemon_serves() {
        let folder = tempfile::tempdir().unwrap();
        let plane = plane(folder.path());
        let message = format!("{:#}", Learner::start(plane.clone()).err().unwrap());
        assert!(message.contains("--program firmware/page_prefetch.rmt"), "{message}");

        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware/page_prefetch.rmt");
        let image = crate::ctl::image(&path).unwrap();
        plane.handle(Request::Install { image, place: Wish::Jit, replace: false }).unwrap();
        let learner = Learner::start(plane.clone()).unwrap();
        let program = crate::program::load(&path).unwrap();
        let trace = path.with_file_name("traces/pages/conv.test.csv.zst");
        let events: Vec<Event> = (EventReader::open(&trace, &program.hook).unwrap().take(3000))
            .collect::<Result<_, _>>()
            .unwrap();
        let mut alone = OnlinePrefetch::new(OnlinePrefetchConfig::default()).unwrap();
        let mut newest = None;
        for event in &events {
            alone.decide(&fault(event, 0).unwrap()).unwrap();
            newest = alone.take_new_tree().or(newest);
        }
        assert!(alone.trees_learnt() >= 4);
        let replay = Replay::new("trace", events, None, Some(1));
        let source = learner.observe(Box::new(replay));
        plane.worker().ask(move |host| host.sources = vec![source]).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let counters = || {
            let counters = plane.worker().ask(|host| host.sources[0].counters()).unwrap();
            move |name| counters.iter().find(|(known, _)| *known == name).unwrap().1
        };
        while counters()("faults_learnt_from") < 3000 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(learner);
        let counters = counters();
        assert_eq!(counters("trees_swapped"), alone.trees_learnt() as u64);
        assert_eq!((counters("trees_refused"), counters("faults_not_learnt_from")), (0, 0));
        let runs = plane.worker().ask(|host| {
            let (hosted, _) = host.engines.program(PROGRAM).unwrap();
            hosted.prepared.software.state().current_program().forests
        });
        let newest = newest.unwrap().to_forest(FOREST);
        assert_eq!(runs.unwrap()[0].nodes, newest.nodes);
        // A larger tree may follow a smaller one, up to what the program came with.
        let comb = |leaves: u16| {
            let mut nodes = Vec::new();
            for level in 1..leaves {
                let left = 2 * level - 1;
                nodes.push(Node::Split { feature: 0, threshold: level.into(), left });
                nodes.push(Node::Leaf { value: 0 });
            }
            // Each split stands behind its sibling.
            nodes.push(Node::Leaf { value: 0 });
            DecisionTree::new(FEATURES, nodes).unwrap()
        };
        for leaves in [2, SWAP_LEAVES as u16, 1, SWAP_LEAVES as u16] {
            swap(&plane, &comb(leaves)).unwrap();
        }
        assert!(swap(&plane, &comb(SWAP_LEAVES as u16 + 1)).is_err());
        // Events of other hooks are no faults.
        assert_eq!(fault(&Event::new(2, 1, 7), 0), None);
    }

    /// A program with the model that was trained, put in by the control plane, on interpreter, JIT
    /// and the RTL of a card one after the other: each decision is that of a machine that shares no
    /// code with the last two.
    fn runs_alike_everywhere(
        plane: &Plane,
        file: &str,
        trace: &str,
        model: &str,
        objects: ModelObjects,
    ) {
        const EVENTS: usize = 60;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware").join(file);
        let image = crate::ctl::image(&path).unwrap();
        let program = crate::program::load(&path).unwrap();
        let name = program.name.clone();
        plane.handle(Request::Install { image, place: Wish::Interpreter, replace: false }).unwrap();
        let change = NamedChange::PushModel { model: model.into(), objects: objects.clone() };
        let changes = vec![change];
        plane.handle(Request::Commit { program: name.clone(), changes }).unwrap();
        let mut stays = Machine::new(&program).unwrap();
        let change = Change::SwapModel { model: model.into(), objects };
        stays.state_mut().commit(&[change]).unwrap();
        let trace = path.with_file_name("traces").join(trace);
        let events = EventReader::open(&trace, &program.hook).unwrap().skip(600).take(4 * EVENTS);
        let events: Vec<Event> = events.collect::<Result<_, _>>().unwrap();
        let mut answers = std::collections::BTreeSet::new();
        let places = [Wish::Interpreter, Wish::Jit, Wish::Card, Wish::Interpreter];
        for (events, place) in events.chunks(EVENTS).zip(places) {
            plane.handle(Request::Place { program: name.clone(), place }).unwrap();
            let batch = events.to_vec();
            let found = plane.worker().ask(move |host| {
                let mut found = Vec::new();
                host.engines.decide(&batch, &mut found);
                found
            });
            let found = found.unwrap();
            assert_eq!(found.len(), EVENTS);
            for (event, found) in events.iter().zip(found) {
                let expected = stays.run(event);
                let told = |d: &Decision| (d.tag, d.status, d.written, d.outputs);
                assert_eq!(told(&found), told(&expected), "{file} on {place:?}");
                answers.insert(found.outputs);
            }
        }
        assert!(answers.len() > 1, "{file} says something");
        let asked = name.clone();
        let counters = plane.worker().ask(move |host| {
            let (hosted, _) = host.engines.program(&asked).unwrap();
            hosted.counters.clone()
        });
        // Decisions of a program that writes nothing are remembered for equal events.
        let counters = counters.unwrap();
        let ran = [counters.on_interpreter, counters.on_jit, counters.on_card];
        assert!(ran.iter().all(|count| *count > EVENTS as u64 / 4), "{file}: {ran:?}");
        let all = ran.iter().sum::<u64>() + counters.from_cache;
        assert_eq!((all, counters.card_late), (4 * EVENTS as u64, 0), "{file}");
        plane.handle(Request::Remove { program: name }).unwrap();
    }

    #[test]
    #[ignore = "simulates the RTL of a card: minutes"]
    fn models_of_both_studies_run_alike_on_interpreter_jit_and_rtl() {
        let engines = simulated_engines();
        let limits = engines.limits.clone();
        let worker = Worker::start(engines, Vec::new()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (plane, _) = Plane::start(worker, folder.path(), limits).unwrap();

        let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("firmware/traces");
        let mut policy = OnlinePrefetch::new(OnlinePrefetchConfig::default()).unwrap();
        for access in read_page_trace(&traces.join("pages/conv.test.csv.zst")).unwrap() {
            policy.decide(&access).unwrap();
        }
        let tree = policy.take_new_tree().unwrap();
        assert!(tree.leaf_count() > 3);
        let objects =
            ModelObjects { forests: vec![tree.to_forest(FOREST)], ..ModelObjects::default() };
        let trace = "pages/conv.test.csv.zst";
        runs_alike_everywhere(&plane, "page_prefetch.rmt", trace, MODEL, objects);

        let recorded = read_migrations(&traces.join("migrations.csv.zst")).unwrap();
        let open = rows(&recorded, true);
        let some: Vec<_> = open.iter().copied().step_by(5).collect();
        let all: Vec<usize> = (0..15).collect();
        let network = train_network(&some, &all, HIDDEN, &train_settings()).unwrap();
        let file = to_kernel_model(&network, Vec::new()).unwrap();
        let objects =
            ModelObjects { tensors: file.tensors, scales: file.scales, ..ModelObjects::default() };
        let trace = "migrations.csv.zst";
        runs_alike_everywhere(&plane, "can_migrate_task.rmt", trace, "network", objects);
    }
}
