//! Events, policies and metrics together: a process appears, predicts badly, leaves.

mod common;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use common::{Daemon, firmware, firmware_program};
use rmt_daemon::metrics::{Endpoint, Metrics};
use rmt_daemon::policy::{Policies, Policy};
use rmt_daemon::protocol::{Answer, Request, Wish};
use rmt_daemon::rights::Rights;
use rmt_daemon::source::replay::Replay;
use rmt_isa::Event;
use rmt_vm::events::EventReader;

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn entries(daemon: &Daemon) -> Vec<(String, String)> {
    let table = "page_prefetch".to_owned();
    let request = Request::Table { program: table.clone(), table };
    let Answer::Table(view) = daemon.client().ask(&request).unwrap() else { panic!() };
    view.entries.iter().map(|e| (e.matcher.clone(), e.call.to_string())).collect()
}

/// A process whose pages follow a pattern, and one whose pages follow none that lasts.
#[test]
fn policies_follow_what_processes_do() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let program = firmware_program("page_prefetch.rmt");
    let vpn = program.hook.fields.iter().find(|field| field.name == "vpn").unwrap().offset;
    daemon.install(&program, Wish::Auto);
    let policy = Policy {
        program: "page_prefetch".into(),
        table: "page_prefetch".into(),
        levels: vec!["predict()".into(), "leave_to_kernel()".into()],
        page: Some("vpn".into()),
        accuracy: 0.5,
        window: 64,
        stale_events: 20_000,
    };
    let _policies = Policies::start(daemon.plane.clone(), vec![policy]).unwrap();
    let event = |pid: u64, page: u64| {
        let mut event = Event::new(1, 0, pid);
        event.store(vpn.into(), 8, page);
        event
    };
    wait_for("the watch", || {
        let watched =
            |host: &mut rmt_daemon::worker::Host| host.engines.programs()[0].watch.is_some();
        daemon.plane.worker().ask(watched).unwrap()
    });
    // 42 reads page after page; 43 begins to and then jumps, each time.
    let mut page = 1 << 20;
    let mut jumps = || {
        let events = (0..24_u64).map(|n| {
            page += if n == 0 { 100_000 } else { 1 };
            page
        });
        events.collect::<Vec<_>>()
    };
    let mut step = 0;
    wait_for("the conservative entry", || {
        let mut events = Vec::new();
        for _ in 0..8 {
            let mut burst = jumps();
            burst.truncate(8);
            events.extend(burst.into_iter().map(|page| event(43, page)));
            events.extend((0..8).map(|_| {
                step += 1;
                event(42, 5000 + step)
            }));
        }
        daemon.decide(events);
        entries(&daemon).contains(&("pid=43".into(), "leave_to_kernel()".into()))
    });
    assert!(entries(&daemon).contains(&("pid=42".into(), "predict()".into())));
    // Both leave: others run for long enough.
    wait_for("leaving", || {
        daemon.decide((0..4096).map(|n| event(99, n)).collect());
        entries(&daemon).iter().all(|(matcher, _)| matcher == "pid=99")
    });
}

#[test]
fn a_replayed_trace_is_decided_and_shown_in_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let program = firmware_program("can_migrate_task.rmt");
    let trace = firmware("traces/migrations.csv.zst");
    let events = EventReader::open(&trace, &program.hook).unwrap().take(2000);
    let events: Vec<Event> = events.collect::<Result<_, _>>().unwrap();
    let count = events.len() as u64;
    assert!(count > 100);
    let replay = Replay::new("migrations", events, Some(1e6), None);
    let rights = Rights::new(None).unwrap();
    let daemon = Daemon::with(folder.path(), None, vec![Box::new(replay)], rights);
    daemon.install(&program, Wish::Auto);
    let endpoint: Endpoint = "127.0.0.1:0".parse().unwrap();
    let metrics = Metrics::start(&endpoint, daemon.plane.clone()).unwrap();
    let scrape = |request: &[u8]| {
        let mut stream = std::net::TcpStream::connect(metrics.address().unwrap()).unwrap();
        stream.write_all(request).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let get = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let value = |name: &str| {
        let text = scrape(get);
        assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
        let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    let decided = "rmt_program_decided_total{program=\"can_migrate_task\"}";
    wait_for("decisions", || value(decided).is_some_and(|found| found >= 3.0 * count as f64));
    assert!(value("rmt_event_seconds{program=\"can_migrate_task\",quantile=\"0.5\"}").is_some());
    // The program is pure and the trace repeats: most decisions are remembered ones.
    wait_for("remembered decisions", || {
        value("rmt_program_from_cache_total{program=\"can_migrate_task\"}").is_some_and(|n| n > 0.0)
    });
    assert!(scrape(b"POST / HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
    // One that says nothing holds nobody up for long.
    let silent = std::net::TcpStream::connect(metrics.address().unwrap()).unwrap();
    assert!(value(decided).is_some());
    drop(silent);
}
