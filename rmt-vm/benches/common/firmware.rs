//! The programs of `firmware/` with their recorded events.

use std::path::{Path, PathBuf};

use rmt_isa::{Event, Program};
use rmt_lang::DirectoryLoader;
use rmt_vm::events::EventReader;

/// A program and events of its trace, in the order in which they were recorded.
pub struct Firmware {
    pub name: &'static str,
    pub program: Program,
    pub events: Vec<Event>,
}

/// Events taken from each trace: few enough to stay in the cache beside the program.
const EVENTS: usize = 2048;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware")
}

fn load(name: &'static str, trace: &str) -> Firmware {
    let path = folder().join(format!("{name}.rmt"));
    let text = std::fs::read_to_string(&path).unwrap();
    let program = rmt_lang::compile(name, &text, &DirectoryLoader::beside(&path))
        .unwrap_or_else(|diagnostics| panic!("{}", diagnostics.render(false)));
    let events = EventReader::open(&folder().join(trace), &program.hook).unwrap();
    let events: Vec<_> = events.take(EVENTS).map(Result::unwrap).collect();
    assert_eq!(events.len(), EVENTS, "{trace} is too short");
    Firmware { name, program, events }
}

pub fn page_prefetch() -> Firmware {
    load("page_prefetch", "traces/pages/conv.test.csv.zst")
}

pub fn can_migrate_task() -> Firmware {
    load("can_migrate_task", "traces/migrations.csv.zst")
}
