//! A daemon in this process, on a socket in a temporary folder.

#![allow(dead_code, reason = "each test file uses a part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rmt_daemon::client::{Client, ClientError};
use rmt_daemon::engines::{CardEngine, Engines};
use rmt_daemon::placement::{CardCost, Platform, SoftwareCost};
use rmt_daemon::plane::{Plane, Restored};
use rmt_daemon::protocol::{Answer, Refusal, Request, Wish};
use rmt_daemon::rights::Rights;
use rmt_daemon::server::Server;
use rmt_daemon::source::Source;
use rmt_daemon::worker::Worker;
use rmt_isa::{Event, Program};
use rmt_vm::state::StateDump;
use rmt_vm::verifier::Limits;

/// A folder of the repository.
pub fn firmware(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware").join(name)
}

/// A program of the firmware.
pub fn firmware_program(name: &str) -> Program {
    let path = firmware(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let files = rmt_lang::DirectoryLoader::beside(&path);
    rmt_lang::compile(name, &text, &files).unwrap_or_else(|e| panic!("{}", e.render(false)))
}

/// The image of a program.
pub fn image(program: &Program) -> Vec<u8> {
    rmt_isa::image::write(program).unwrap()
}

/// Figures by which the JIT always wins.
pub fn platform() -> Platform {
    let software = |scale: f64| SoftwareCost {
        event_ns: scale,
        instruction_ns: scale,
        mac_ns: scale,
        comparison_ns: scale,
    };
    let card = CardCost {
        name: "test".into(),
        round_trip_ns: 1e9,
        interval_ns: 1e9,
        cycle_ns: 4.0,
        threads: 1.0,
    };
    let processor = "test".into();
    Platform { processor, interpreter: software(10.0), jit: software(1.0), card: Some(card) }
}

/// A daemon.
pub struct Daemon {
    pub server: Option<Server>,
    pub plane: Arc<Plane>,
    pub socket: PathBuf,
    pub restored: Restored,
}

impl Daemon {
    pub fn start(folder: &Path) -> Self {
        Self::with(folder, None, Vec::new(), Rights::new(None).unwrap())
    }

    pub fn with(
        folder: &Path,
        card: Option<CardEngine>,
        sources: Vec<Box<dyn Source>>,
        rights: Rights,
    ) -> Self {
        let mut limits = Limits::default();
        if let Some(card) = &card {
            limits.card = card.shape().clone();
        }
        let engines = Engines::new(card, platform(), limits.clone());
        let worker = Worker::start(engines, sources).unwrap();
        let (plane, restored) = Plane::start(worker, &folder.join("state"), limits).unwrap();
        let plane = Arc::new(plane);
        let socket = folder.join("control");
        let server = Some(Server::start(&socket, plane.clone(), rights).unwrap());
        Self { server, plane, socket, restored }
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket).unwrap()
    }

    pub fn install(&self, program: &Program, place: Wish) -> Answer {
        let image = image(program);
        self.client().ask(&Request::Install { image, place, replace: false }).unwrap()
    }

    /// Decides events on the worker.
    pub fn decide(&self, events: Vec<Event>) -> Vec<rmt_isa::Decision> {
        let decide = move |host: &mut rmt_daemon::worker::Host| {
            let mut decisions = Vec::new();
            for batch in events.chunks(64) {
                host.engines.decide(batch, &mut decisions);
            }
            decisions
        };
        self.plane.worker().ask(decide).unwrap()
    }

    /// The bytes of its journal.
    pub fn journal(&self) -> Vec<u8> {
        std::fs::read(self.socket.with_file_name("state").join("journal")).unwrap()
    }

    pub fn state(&self, program: &str) -> StateDump {
        match self.client().ask(&Request::State { program: program.into() }).unwrap() {
            Answer::State(state) => state,
            other => panic!("{other:?}"),
        }
    }
}

/// The refusal of a request that must be refused.
pub fn refused(result: Result<impl std::fmt::Debug, ClientError>) -> Refusal {
    match result.unwrap_err() {
        ClientError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

/// A small program with a table, a context, maps and a model.
pub fn small_program() -> Program {
    small_with(SMALL)
}

/// A variant of it.
pub fn small_with(text: &str) -> Program {
    let model = r#"{ "format": "rmt-model", "version": 1,
        "tensors": [{ "name": "w", "element": "i8", "shape": [1, 2], "values": [3, 4] }] }"#;
    let files = [("m.json".to_owned(), model.to_owned())];
    let files = rmt_lang::MemoryLoader { files: files.into() };
    rmt_lang::compile("small.rmt", text, &files).unwrap_or_else(|e| panic!("{}", e.render(false)))
}

/// An event of it.
pub fn small_event(tag: u32, pid: u64, value: u16) -> Event {
    let mut event = Event::new(7, tag, pid);
    event.store(16, 2, value.into());
    event
}

/// Each answer is the entry's parameter and 11 of the model.
pub const SMALL: &str = "
program small;
hook test_hook = 7 { key pid: u64; value: i16; }
decision { answer: u64; }
model m = \"m.json\";
context seen[64] { count: u32; ring last: i16[4]; }
map by_pid: hash<u64>[64];
table t { key = { pid: exact }; actions = { answer, leave }; default = answer(1); size = 2048; }
action leave() { abstain; }
action answer(p: u16) {
    let record = seen.match(event.pid);
    record.count += 1;
    record.last.push(event.value);
    by_pid.add(event.pid, 1);
    let x: i8[2] = [1, 2];
    let y = matmul(m.w, x);
    out.answer = p as u64 + y[0] as u64;
}
";
