//! Transactions through the socket: what they do, and that a refused one does nothing.

mod common;

use common::{Daemon, image, refused, small_event, small_program, small_with};
use rmt_daemon::client::{add_entry, remove_entry};
use rmt_daemon::protocol::{
    Answer, Call, EngineName, EntryName, Match, NamedChange, RefusalKind, Request, Wish,
};
use rmt_daemon::rights::Rights;
use rmt_isa::operand::Element;
use rmt_isa::program::Tensor;
use rmt_vm::Engine as _;
use rmt_vm::jit::{Jit, ReadyModels};
use rmt_vm::state::{Change, FieldValue, ModelObjects};
use rmt_vm::verifier::Limits;

fn call(parameter: u64) -> Call {
    Call { action: "answer".into(), parameters: vec![parameter] }
}

fn model(values: [i32; 2]) -> ModelObjects {
    let (name, shape) = ("w".into(), vec![1, 2]);
    let tensor = Tensor { name, model: 0, element: Element::I8, shape, values: values.into() };
    ModelObjects { tensors: vec![tensor], ..ModelObjects::default() }
}

fn answers(daemon: &Daemon, pids: &[u64]) -> Vec<u64> {
    let events = pids.iter().map(|&pid| small_event(0, pid, 5)).collect();
    daemon.decide(events).iter().map(|decision| decision.outputs[0]).collect()
}

#[test]
fn a_program_lives_through_all_requests() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let mut client = daemon.client();
    let installed = daemon.install(&small_program(), Wish::Auto);
    let expected =
        Answer::Installed { program: "small".into(), engine: EngineName::Jit, note: None };
    assert_eq!(installed, expected);
    assert_eq!(answers(&daemon, &[1, 2]), [12, 12]);

    let changes = vec![
        add_entry("t", "pid=1", call(100)),
        add_entry("t", "pid=3", "leave".parse().unwrap()),
        NamedChange::SetDefault { table: "t".into(), call: Some(call(7)) },
        NamedChange::PushModel { model: "m".into(), objects: model([10, 20]) },
        NamedChange::PutRecord {
            context: "seen".into(),
            key: 9,
            fields: vec![FieldValue::Scalar(40), FieldValue::Ring(vec![2, 1])],
        },
        NamedChange::StoreMap { map: "by_pid".into(), key: 9, value: 70 },
    ];
    let added = client.commit("small", changes).unwrap();
    assert_eq!(added.len(), 2);
    assert_eq!(answers(&daemon, &[1, 2, 9]), [150, 57, 57]);

    // Entries are changed by handle or by what they match.
    let change = NamedChange::ChangeEntry {
        table: "t".into(),
        entry: EntryName::Handle(added[0]),
        call: call(200),
    };
    client.commit("small", vec![change, remove_entry("t", "pid=3")]).unwrap();
    let table = Request::Table { program: "small".into(), table: "t".into() };
    let Answer::Table(view) = client.ask(&table).unwrap() else { panic!() };
    assert_eq!((view.entries.len(), view.entries[0].matcher.as_str()), (1, "pid=1"));
    assert_eq!(view.entries[0].call.to_string(), "answer(200)");
    assert_eq!(view.default, Some(call(7)));

    let context =
        Request::Context { program: "small".into(), context: "seen".into(), key: Some(9) };
    let Answer::Context(records) = client.ask(&context).unwrap() else { panic!() };
    let ring = FieldValue::Ring(vec![5, 2, 1]);
    assert_eq!(records.sets[0].ways[0].value, [FieldValue::Scalar(41), ring]);
    let map = Request::Map { program: "small".into(), map: "by_pid".into() };
    let Answer::Map(map) = client.ask(&map).unwrap() else { panic!() };
    assert!(format!("{map:?}").contains("key: 9, value: 71"), "{map:?}");

    let Answer::Counters(counters) = client.ask(&Request::Counters).unwrap() else { panic!() };
    let of_program = &counters.programs["small"].counters;
    assert_eq!((of_program.events, of_program.decided, of_program.commits), (5, 5, 2));

    // It goes on as it was on the other engine.
    let place = Request::Place { program: "small".into(), place: Wish::Interpreter };
    let before = daemon.state("small");
    let Answer::Placed { engine, note: None } = client.ask(&place).unwrap() else { panic!() };
    assert_eq!(engine, EngineName::Interpreter);
    assert_eq!(before.first_difference(&daemon.state("small")), None);
    assert_eq!(answers(&daemon, &[1]), [250]);

    assert_eq!(client.ask(&Request::Remove { program: "small".into() }).unwrap(), Answer::Removed);
    assert_eq!(client.ask(&Request::List).unwrap(), Answer::Programs(vec![]));
    let statuses: Vec<_> = daemon.decide(vec![small_event(0, 1, 1)]);
    assert_eq!(statuses[0].status, rmt_isa::Status::NoProgram);
}

/// One change of a list is refused: the others have not happened.
#[test]
fn what_does_not_fit_is_refused_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.install(&small_program(), Wish::Auto);
    answers(&daemon, &[1, 2, 3]);
    let mut client = daemon.client();
    client.commit("small", vec![add_entry("t", "pid=1", call(5))]).unwrap();
    let before = daemon.state("small");
    let journal = daemon.journal();
    let matcher = |text: &str| Match::Text(text.into());
    let add = |text: &str, call: Call| NamedChange::AddEntry {
        table: "t".into(),
        matcher: matcher(text),
        priority: 0,
        call,
    };
    let wider = ModelObjects {
        tensors: vec![Tensor {
            shape: vec![1, 3],
            values: vec![1; 3],
            ..model([0; 2]).tensors[0].clone()
        }],
        ..ModelObjects::default()
    };
    let push = |objects| NamedChange::PushModel { model: "m".into(), objects };
    let cases = [
        // An entry that does not fit its table.
        (add("uid=1", call(1)), "no key field `uid`"),
        (add("pid=1", call(6)), "the same matcher"),
        (add("pid=2", call(1 << 16)), "65536"),
        (add("pid=2", "answer".parse().unwrap()), "parameter"),
        (add("pid=2", "sleep()".parse().unwrap()), "no action `sleep`"),
        (add_entry("u", "pid=1", call(1)), "no table `u`"),
        (remove_entry("t", "pid=77"), "no entry `pid=77`"),
        // A model of another shape, or none of this program.
        (push(wider), "[1, 3]"),
        (NamedChange::PushModel { model: "n".into(), objects: model([1, 2]) }, "no model `n`"),
        (push(ModelObjects::default()), "give every object"),
        // Records and maps.
        (NamedChange::ClearMap { map: "total".into() }, "no map `total`"),
        (
            NamedChange::PutRecord { context: "seen".into(), key: 1, fields: vec![] },
            "one for each of its 2 fields",
        ),
    ];
    for (change, part) in cases {
        let good = vec![
            add_entry("t", "pid=1000", call(3)),
            NamedChange::StoreMap { map: "by_pid".into(), key: 1, value: 99 },
        ];
        let list = good.into_iter().chain([change]).collect();
        let refusal = refused(client.commit("small", list));
        assert!(refusal.to_string().contains(part), "{part}: {refusal}");
        assert!(!refusal.remedy.is_empty());
        assert_eq!(before.first_difference(&daemon.state("small")), None, "{part}");
    }
    assert_eq!(daemon.journal(), journal);
}

#[test]
fn a_program_for_another_hook_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.install(&small_program(), Wish::Auto);
    answers(&daemon, &[1, 2, 3]);
    let (before, journal) = (daemon.state("small"), daemon.journal());
    let install = |text: String, replace| {
        let image = image(&small_with(&text));
        refused(daemon.client().ask(&Request::Install { image, place: Wish::Auto, replace }))
    };
    let other = common::SMALL.replace("test_hook = 7", "test_hook = 8");
    let refusal = install(other, true);
    assert_eq!(refusal.kind, RefusalKind::Taken);
    assert!(refusal.reason.contains("serves hook 7"), "{refusal}");
    let same = install(common::SMALL.replace("program small", "program other"), false);
    assert!(same.reason.contains("hook 7 is served by program `small`"), "{same}");
    // A hook of the kernel under another number, and with an argument that it does not have.
    let name = common::SMALL.replace("program small", "program other");
    let wrong = install(name.replace("test_hook = 7", "can_migrate_task = 9"), false);
    assert!(wrong.reason.contains("`can_migrate_task` is number 2"), "{wrong}");
    let fields = install(name.replace("test_hook = 7", "can_migrate_task = 2"), false);
    assert!(fields.reason.contains("`value: i16`"), "{fields}");
    for refusal in [refusal, same, wrong, fields] {
        assert!(!refusal.remedy.is_empty(), "{refusal}");
    }
    let Answer::Programs(list) = daemon.client().ask(&Request::List).unwrap() else { panic!() };
    assert_eq!((list.len(), list[0].name.as_str()), (1, "small"));
    assert_eq!(before.first_difference(&daemon.state("small")), None);
    assert_eq!(daemon.journal(), journal);
}

#[test]
fn an_image_that_is_none_or_is_not_verified_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    let install = |image: Vec<u8>| {
        let request = Request::Install { image, place: Wish::Auto, replace: false };
        refused(daemon.client().ask(&request))
    };
    let good = image(&small_program());
    assert_eq!(install(vec![1, 2, 3]).kind, RefusalKind::DoesNotFit);
    assert_eq!(install(good[..good.len() / 2].to_vec()).kind, RefusalKind::DoesNotFit);
    let mut program = small_program();
    program.actions[0].code = rmt_isa::assembly::assemble("add r1, r2, r3\nexit decided").unwrap();
    program.actions[0].lines = vec![0; 2];
    let refusal = install(image(&program));
    assert_eq!(refusal.kind, RefusalKind::NotVerified);
    assert!(refusal.reason.contains("r2"), "{refusal}");
    assert_eq!(daemon.client().ask(&Request::List).unwrap(), Answer::Programs(vec![]));
}

/// Nobody has the right to change anything: this process reads only.
#[test]
fn a_client_without_rights_reads_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::with(folder.path(), None, vec![], Rights::nobody());
    let image = image(&small_program());
    let install = Request::Install { image: image.clone(), place: Wish::Auto, replace: false };
    daemon.plane.handle(install).unwrap();
    answers(&daemon, &[1, 2, 3]);
    let (before, journal) = (daemon.state("small"), daemon.journal());
    let mut client = daemon.client();
    let list = client.ask(&Request::List).unwrap();
    let entry = add_entry("t", "pid=1", call(5));
    let requests = [
        Request::Install { image, place: Wish::Auto, replace: true },
        Request::Remove { program: "small".into() },
        Request::Commit { program: "small".into(), changes: vec![entry] },
        Request::Place { program: "small".into(), place: Wish::Interpreter },
    ];
    for request in requests {
        let refusal = refused(client.ask(&request));
        assert_eq!(refusal.kind, RefusalKind::NotAllowed);
        assert!(refusal.reason.contains("may read but not change"), "{refusal}");
        assert!(!refusal.remedy.is_empty(), "{refusal}");
    }
    assert_eq!(client.ask(&Request::List).unwrap(), list);
    assert_eq!(before.first_difference(&daemon.state("small")), None);
    assert_eq!(daemon.journal(), journal);
}

/// A replaced program keeps what events have written into what both declare alike.
#[test]
fn a_replaced_program_keeps_records_that_are_declared_alike() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.install(&small_program(), Wish::Auto);
    answers(&daemon, &[1, 1, 2]);
    let before = daemon.state("small");
    let text = common::SMALL.replace("default = answer(1)", "default = answer(2)");
    let text = text.replace("hash<u64>[64]", "hash<u64>[32]");
    let image = image(&small_with(&text));
    let request = Request::Install { image, place: Wish::Auto, replace: true };
    daemon.client().ask(&request).unwrap();
    let after = daemon.state("small");
    assert_eq!(after.contexts, before.contexts);
    assert_ne!(after.maps, before.maps);
    assert_eq!(answers(&daemon, &[1]), [13]);
}

/// Many entries at once, as the issue asks: the time that events wait is printed, and bounded here
/// far above the target, for machines under load.
#[test]
fn a_thousand_entries_are_one_transaction() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path());
    daemon.install(&small_program(), Wish::Auto);
    let mut least = u64::MAX;
    for round in 0..2 {
        let pids = 1000 * round..1000 * (round + 1);
        let changes = pids.map(|pid| add_entry("t", &format!("pid={pid}"), call(pid))).collect();
        let request = Request::Commit { program: "small".into(), changes };
        let Answer::Committed { added, nanoseconds } = daemon.client().ask(&request).unwrap()
        else {
            panic!()
        };
        assert_eq!(added.len(), 1000);
        least = least.min(nanoseconds);
    }
    println!("1,000 entries: events waited {} µs", least / 1000);
    assert!(least < 100_000_000, "{least}");
    assert_eq!(answers(&daemon, &[999, 1999, 5000]), [1010, 2010, 12]);
}

/// Code that was made for one model does not decide with another.
#[test]
fn code_made_ahead_is_used_for_its_own_models_only() {
    let limits = Limits::default();
    let program = small_program();
    let with = |values| model(values).applied_to(&program, "m").unwrap();
    let ready = |values| ReadyModels::new(&with(values), &limits).unwrap();
    let swap = [Change::SwapModel { model: "m".into(), objects: model([10, 20]) }];
    for ready in [ready([10, 20]), ready([1, 1])] {
        let mut jit = Jit::default();
        jit.load(&program).unwrap();
        jit.commit_ready(&swap, ready).unwrap();
        assert_eq!(jit.run(&small_event(0, 1, 5)).unwrap().outputs[0], 51);
    }
}
