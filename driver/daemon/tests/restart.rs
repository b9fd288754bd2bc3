//! A daemon that is started again is in the state that was acknowledged.

mod common;

use std::fs;
use std::time::Instant;

use common::{Daemon, firmware_program, small_event, small_program};
use rmt_daemon::client::add_entry;
use rmt_daemon::engines::Engines;
use rmt_daemon::plane::Plane;
use rmt_daemon::protocol::{Answer, NamedChange, Request, Wish};
use rmt_daemon::worker::Worker;
use rmt_vm::verifier::Limits;

fn entry(pid: u64) -> NamedChange {
    add_entry("t", &format!("pid={pid}"), format!("answer({pid})").parse().unwrap())
}

#[test]
fn what_was_acknowledged_is_there_again_and_quickly() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.install(&small_program(), Wish::Auto);
    daemon.install(&firmware_program("page_prefetch.rmt"), Wish::Interpreter);
    daemon.install(&firmware_program("can_migrate_task.rmt"), Wish::Jit);
    for pid in 0..50 {
        daemon.client().commit("small", vec![entry(pid)]).unwrap();
    }
    // A refused one leaves nothing behind.
    daemon.client().commit("small", vec![entry(50), entry(7)]).unwrap_err();
    let before = daemon.state("small");
    let list = daemon.client().ask(&Request::List).unwrap();
    // As after `kill -9`: nothing is saved at the end.
    drop(daemon);
    let begun = Instant::now();
    let daemon = Daemon::start(folder.path());
    let time = begun.elapsed();
    println!("restored {} records in {} ms", daemon.restored.records, time.as_millis());
    assert!(daemon.restored.warnings.is_empty(), "{:?}", daemon.restored.warnings);
    assert_eq!(before.first_difference(&daemon.state("small")), None);
    assert_eq!(daemon.client().ask(&Request::List).unwrap(), list);
    // Handles go on where they were.
    let handles = daemon.client().commit("small", vec![entry(51)]).unwrap();
    assert_eq!(handles[0].0, 50);
}

#[test]
fn a_saved_journal_keeps_what_events_have_written() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.install(&small_program(), Wish::Auto);
    daemon.client().commit("small", vec![entry(1), entry(2)]).unwrap();
    let events = (0..1000).map(|n| small_event(n, u64::from(n) % 90, n as u16));
    daemon.decide(events.collect());
    daemon.plane.save().unwrap();
    let before = daemon.state("small");
    daemon.client().commit("small", vec![entry(3)]).unwrap();
    drop(daemon);
    let daemon = Daemon::start(folder.path());
    assert_eq!(daemon.restored.records, 2);
    let after = daemon.state("small");
    assert_eq!((&after.contexts, &after.maps), (&before.contexts, &before.maps));
    assert_eq!(after.tables[0].entries.len(), 3);
}

/// The journal is cut at every place: the daemon starts with what is whole before it.
#[test]
fn every_torn_journal_gives_the_state_before_the_tear() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("state/journal");
    let (mut ends, mut states) = (Vec::new(), Vec::new());
    {
        let daemon = Daemon::start(folder.path());
        daemon.install(&small_program(), Wish::Interpreter);
        for pid in 0..4 {
            daemon.client().commit("small", vec![entry(pid)]).unwrap();
            ends.push(fs::metadata(&journal).unwrap().len() as usize);
            states.push(daemon.state("small"));
        }
    }
    let bytes = fs::read(&journal).unwrap();
    assert_eq!(bytes.len(), ends[3]);
    let start = || {
        let limits = Limits::default();
        let engines = Engines::new(None, common::platform(), limits.clone());
        let worker = Worker::start(engines, vec![]).unwrap();
        Plane::start(worker, &folder.path().join("state"), limits)
    };
    // Every third place: the others are tested on the journal alone.
    for length in (ends[0]..bytes.len()).step_by(3) {
        fs::write(&journal, &bytes[..length]).unwrap();
        let (plane, restored) = start().unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(restored.warnings.is_empty(), ends.contains(&length), "{length}");
        let Ok(Answer::State(state)) = plane.handle(Request::State { program: "small".into() })
        else {
            panic!()
        };
        assert_eq!(states[whole - 1].first_difference(&state), None, "{length}");
    }
    // Damage in the middle is no tear.
    let mut damaged = bytes.clone();
    damaged[ends[1] + 20] ^= 4;
    fs::write(&journal, &damaged).unwrap();
    let message = start().map(|_| ()).unwrap_err().to_string();
    assert!(message.contains(&format!("byte {}", ends[1])), "{message}");
    assert!(message.contains("restore the file from a backup"), "{message}");
    assert_eq!(fs::read(&journal).unwrap(), damaged);
}
