//! The driver before the card's RTL: its suite on a simulated card, and drivers and virtual cards
//! that are killed.

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{firmware, rmt};
use rmt_driver::card::Card;
use rmt_driver::served::ServedDevice;
use rmt_driver::{Decider, DriverError, Miss, QueueConfig, Source};
use rmt_isa::card::lower;
use rmt_isa::{Decision, Event, Program};
use rmt_vm::Machine;
use rmt_vm::events::EventReader;
use rmt_vm::verifier::{Limits, verify};
use serde_json::Value;

/// A Verilated card is built within this time, on a machine with much other work.
const BUILD_PATIENCE: Duration = Duration::from_secs(900);

/// Runs the suite; each case must pass or say why this card cannot show it. Which could not.
fn suite(card: &[&str], events: usize, more: &[&str]) -> Vec<String> {
    let events = events.to_string();
    let words = ["card", "test", "--simulated", "--events", &events, "--json"];
    let output = rmt(&[&words[..], card, more].concat()).succeeds();
    let result: Value = serde_json::from_str(&output).expect("the suite prints JSON");
    let cases = result["cases"].as_array().expect("a list of cases");
    assert_eq!(cases.len(), 18, "{result}");
    let not_here = cases.iter().filter(|case| case["verdict"] != "ok");
    not_here
        .map(|case| {
            assert_eq!(case["verdict"], "n/a", "{case}");
            case["case"].as_str().expect("a name").to_owned()
        })
        .collect()
}

#[test]
fn the_driver_passes_its_suite_on_a_simulated_card() {
    assert_eq!(suite(&["--preset", "small"], 40, &[]), [""; 0]);
}

#[test]
fn the_driver_passes_its_suite_on_a_card_with_a_slower_or_a_faster_clock_than_its_link() {
    let slower = suite(&["--preset", "tiny"], 40, &["--own-clock", "2:5"]);
    assert_eq!(slower, ["page_prefetch"]);
    // With a third clock, that of the array.
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("card.toml");
    let tiny = rmt(&["gen", "--preset", "tiny", "--print-config"]).succeeds();
    let changed = tiny.replace("array_clock_ratio = 1", "array_clock_ratio = 4");
    assert_ne!(tiny, changed);
    std::fs::write(&config, changed).expect("the configuration is written");
    let config = config.to_str().expect("a name in UTF-8");
    let faster = suite(&["--config", config], 40, &["--own-clock", "7:3"]);
    assert_eq!(faster, ["page_prefetch"]);
}

#[test]
#[ignore = "minutes of simulation; ./x test --all runs it"]
fn the_driver_passes_its_suite_on_cards_of_other_sizes_and_with_thousands_of_events() {
    // The prefetcher's records need more words than the smallest card has.
    assert_eq!(suite(&["--preset", "tiny"], 500, &[]), ["page_prefetch"]);
    assert_eq!(suite(&["--preset", "small"], 10_000, &[]), [""; 0]);
}

/// `rmt card serve` on a socket of its own.
struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    fn start(folder: &Path) -> Self {
        let socket = folder.join("card.sock");
        // That of a server that was killed would look as if this one listened already.
        let _ = std::fs::remove_file(&socket);
        let child = Command::new(env!("CARGO_BIN_EXE_rmt"))
            .args(["card", "serve", "--preset", "small", "--socket"])
            .arg(&socket)
            .stdin(Stdio::null())
            .spawn()
            .expect("the server starts");
        let server = Self { child, socket };
        let begun = Instant::now();
        while !server.socket.exists() {
            assert!(begun.elapsed() < BUILD_PATIENCE, "the server does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn kill(&mut self) {
        self.child.kill().expect("the server runs");
        self.child.wait().expect("the server ends");
    }

    /// `rmt card test` on it.
    fn test(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rmt"));
        command.args(["card", "test", "--firmware", &firmware(""), "--socket"]);
        command.arg(&self.socket).args(arguments);
        command
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_driver_that_is_killed_under_load_leaves_a_card_that_works() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    // The suite says when a case has ended; the one behind the first runs until it is killed.
    let mut driver = server.test(&["--events", "100000"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let admin = lines.find_map(|line| line.ok().filter(|line| line.starts_with("admin queue")));
    assert!(admin.as_ref().is_some_and(|line| line.contains("ok")), "{admin:?}");
    // Now it installs a program and sends thousands of events: somewhere in that it ends.
    std::thread::sleep(Duration::from_secs(3));
    // A second owner is told of the first.
    let refused = server.test(&["--only", "identity"]).output().unwrap();
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    let number = driver.id().to_string();
    assert!(message.contains(&format!("process {number} (rmt)")), "{message}");
    assert!(message.contains(&format!("kill {number}")), "{message}");
    driver.kill().unwrap();
    driver.wait().unwrap();
    let next = server.test(&["--events", "50", "--only", "can_migrate_task"]).output().unwrap();
    let output = String::from_utf8_lossy(&next.stdout);
    assert!(next.status.success() && output.contains("50 decisions equal"), "{output}");
}

/// A program of the firmware and events for it.
fn migrations(count: usize) -> (Program, rmt_isa::program::Ordering, Vec<Event>) {
    let path = PathBuf::from(firmware("can_migrate_task.rmt"));
    let text = std::fs::read_to_string(&path).unwrap();
    let loader = rmt_lang::DirectoryLoader::beside(&path);
    let Ok(program) = rmt_lang::compile("can_migrate_task.rmt", &text, &loader) else {
        panic!("the firmware compiles")
    };
    let report = verify(&program, &Limits::default()).unwrap();
    let trace = PathBuf::from(firmware("traces/migrations.csv.zst"));
    let events = EventReader::open(&trace, &program.hook).unwrap().take(count);
    let events = events.collect::<Result<_, _>>().unwrap();
    (program, report.ordering.class, events)
}

#[test]
fn a_virtual_card_that_is_killed_under_load_is_answered_for() {
    const INSIDE: usize = 64;
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path());
    let (program, ordering, events) = migrations(INSIDE);
    let config = QueueConfig {
        hooks: vec![program.hook.number],
        budget_microseconds: 2_000_000,
        ..QueueConfig::default()
    };
    let open = |server: &Server| {
        let mut card = Card::open(ServedDevice::open(&server.socket).unwrap()).unwrap();
        let image = lower(&program, ordering, card.shape()).unwrap();
        card.install(&image.writes).unwrap();
        let queue = card.queue(0, config.clone()).unwrap();
        (card, queue)
    };
    let (mut card, mut queue) = open(&server);
    for event in &events {
        queue.submit(event).unwrap();
    }
    queue.flush();
    server.kill();
    let begun = Instant::now();
    let (mut ended, mut lost) = (0, 0);
    while queue.is_waiting() {
        queue.poll(|one| {
            ended += 1;
            lost += usize::from(one.result == Err(Miss::Lost));
        });
        std::thread::sleep(Duration::from_micros(100));
    }
    assert_eq!(ended, INSIDE);
    assert!(lost > 0, "the card was faster than its end");
    // The budget, and what a busy machine may add.
    assert!(begun.elapsed() < config.budget() + Duration::from_secs(3), "{:?}", begun.elapsed());
    // What comes from now on is answered at once, by the interpreter.
    let mut machine = Machine::new(&program).unwrap();
    let mut decider = Decider::new(queue, |event: &Event| machine.run(event));
    let answers: Vec<(Source, Decision)> = events
        .iter()
        .map(|event| decider.decide(event))
        .map(|answer| (answer.source, answer.decision))
        .collect();
    let mut expected = Machine::new(&program).unwrap();
    for (event, (source, decision)) in events.iter().zip(answers) {
        assert_eq!(source, Source::Fallback(Miss::Lost));
        assert_eq!(decision, expected.run(event));
    }
    let gone = card.reset().unwrap_err();
    assert!(matches!(gone, DriverError::Lost { .. }), "{gone}");
    assert!(decider.recover().is_err());
    drop((card, decider));
    // Another card in its place.
    let server = Server::start(folder.path());
    let (_card, mut queue) = open(&server);
    queue.submit(&events[0]).unwrap();
    queue.flush();
    let (begun, mut decided) = (Instant::now(), 0);
    while decided == 0 && begun.elapsed() < config.budget() {
        queue.poll(|one| decided += usize::from(one.result.is_ok()));
        std::thread::sleep(Duration::from_micros(100));
    }
    assert_eq!(decided, 1, "the new card decides");
}

#[test]
fn a_socket_without_a_card_names_the_command_that_starts_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("none.sock").display().to_string();
    let message = rmt(&["card", "info", "--socket", &socket]).fails();
    assert!(message.contains(&format!("rmt card serve --socket {socket}")), "{message}");
}

#[test]
fn the_latencies_of_all_engines_are_printed_and_the_rtl_keeps_to_its_parts() {
    let output = rmt(&["bench", "latency", "--events", "12", "--json"]).succeeds();
    let result: Value = serde_json::from_str(&output).unwrap();
    let list = result["latency"].as_array().unwrap();
    let engines: Vec<&str> = list.iter().map(|one| one["engine"].as_str().unwrap()).collect();
    assert_eq!(engines, ["interpreter", "JIT", "RTL", "RTL", "RTL", "RTL", "RTL", "RTL"]);
    for one in list {
        let ns = |name: &str| one["nanoseconds"][name].as_f64().unwrap();
        assert!(0.0 < ns("p50") && ns("p50") <= ns("p99") && ns("p99") <= ns("max"), "{one}");
    }
    // The command has compared each event with the sum of its parts; here only that they are there.
    for one in &list[2..] {
        let cycles = |name: &str| one["cycles"][name].as_u64().unwrap();
        let sum = cycles("host") + cycles("link") + cycles("queue") + cycles("pipeline");
        assert!(sum.abs_diff(cycles("measured")) <= 1, "{one}");
        assert_eq!(cycles("host") > 0, one["link"] == "IOMMU misses", "{one}");
    }
}
