//! The daemon as a process: `rmt serve` and `rmt ctl`, killed, started again, stopped.

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{firmware, rmt};

/// A daemon that replays recorded faults.
struct Serve {
    child: Child,
    folder: std::path::PathBuf,
    ready: String,
}

impl Serve {
    fn start(folder: &Path) -> Self {
        let trace = format!(
            "{0}={1}",
            firmware("page_prefetch.rmt"),
            firmware("traces/pages/conv.test.csv.zst")
        );
        let mut child = Command::new(env!("CARGO_BIN_EXE_rmt"))
            .args(["serve", "--program", &firmware("page_prefetch.rmt"), "--replay", &trace])
            .args(["--rate", "20000", "--metrics"])
            .arg(folder.join("metrics"))
            .arg("--socket")
            .arg(folder.join("control"))
            .arg("--state")
            .arg(folder.join("state"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let mut ready = String::new();
        for line in lines.map_while(Result::ok) {
            ready = line;
            if ready.starts_with("ready after") {
                break;
            }
        }
        assert!(ready.starts_with("ready after"), "{ready}");
        Self { child, folder: folder.to_owned(), ready }
    }

    fn ctl(&self, arguments: &[&str]) -> common::Rmt {
        let socket = self.folder.join("control").display().to_string();
        rmt(&[&["ctl", "--socket", &socket], arguments].concat())
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let text = self.ctl(&[&["--json"], arguments].concat()).succeeds();
        serde_json::from_str(&text).expect("it is JSON")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It has ended already where a test waited for it.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

const TABLE: [&str; 2] = ["page_prefetch", "page_prefetch"];

#[test]
fn a_daemon_is_asked_killed_restarted_and_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(folder.path());
    let list = serve.ctl(&["list"]).succeeds();
    assert!(list.contains("do_swap_page (1)"), "{list}");
    let add = [&["add"], &TABLE[..], &["pid=42", "leave_to_kernel()"]].concat();
    serve.ctl(&add).succeeds();
    let twice = serve.ctl(&add).fails();
    assert!(twice.contains("same matcher"), "{twice}");
    let wrong = [&["add"], &TABLE[..], &["uid=42", "leave_to_kernel()"]].concat();
    assert!(serve.ctl(&wrong).fails().contains("write it as `pid=1`"));
    let before = serve.json(&[&["table"], &TABLE[..]].concat());
    let begun = Instant::now();
    loop {
        let counters = serve.json(&["counters"]);
        let of = &counters["counters"]["programs"]["page_prefetch"]["counters"];
        if of["decided"].as_u64().is_some_and(|decided| decided > 1000) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{counters}");
    }
    let top = rmt(&["top", "--rounds", "2", "--interval", "0.1", "--socket"]
        .map(str::to_owned)
        .iter()
        .map(String::as_str)
        .chain([serve.folder.join("control").display().to_string().as_str()])
        .collect::<Vec<_>>())
    .succeeds();
    assert!(top.contains("events/s") && top.contains("page_prefetch"), "{top}");

    serve.child.kill().unwrap();
    serve.child.wait().unwrap();
    let message = serve.ctl(&["list"]).fails();
    assert!(message.contains("rmt serve"), "{message}");

    let mut serve = Serve::start(folder.path());
    assert!(serve.ready.contains(" 2 records restored"), "{}", serve.ready);
    assert_eq!(serve.json(&[&["table"], &TABLE[..]].concat()), before);
    let pid = serve.child.id().to_string();
    let stopped = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(stopped.success());
    assert!(serve.child.wait().unwrap().success());
    assert!(!folder.path().join("control").exists() && !folder.path().join("metrics").exists());

    // What events had learnt was saved: the journal is one record now.
    let serve = Serve::start(folder.path());
    assert!(serve.ready.contains(" 1 records restored"), "{}", serve.ready);
    assert_eq!(serve.json(&[&["table"], &TABLE[..]].concat()), before);
    let records = serve.ctl(&["context", "page_prefetch", "processes"]).succeeds();
    assert!(records.contains("steps_0") && records.lines().count() > 4, "{records}");
}
