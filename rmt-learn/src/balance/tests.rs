//! Splits do not leak, counts are right, the kernel's form of a network decides as the network.

use std::path::Path;

use super::measure::Confusion;
use super::models::{network_decides, to_kernel_model, train_integer_network, train_network};
use super::split::{Parting, by_family, by_run, by_time, family, rows};
use super::study::run_study;
use crate::network::train::TrainSettings;
use crate::quantise::migration::{MigrationDecision, RawFeatures, read_migrations};

fn decision(phase: &str, pid: u32, src_len: i32, can_migrate: bool) -> MigrationDecision {
    let mut features = RawFeatures::default();
    features.values[8] = src_len;
    features.values[9] = pid as i32;
    MigrationDecision {
        phase: phase.into(),
        pid,
        features,
        hard_pass: pid.is_multiple_of(2),
        can_migrate,
    }
}

#[test]
fn counts_by_hand() {
    let mut confusion = Confusion::default();
    for (kernel, model) in [(true, true), (true, true), (true, false), (false, false)] {
        confusion.count(kernel, model);
    }
    assert_eq!((confusion.rows(), confusion.accuracy(), confusion.majority()), (4, 0.75, 0.75));
    assert_eq!(confusion.balanced_accuracy(), (2.0 / 3.0 + 1.0) / 2.0);
    assert_eq!(Confusion::default().accuracy(), 0.0);
}

#[test]
fn splits_part_by_time_and_by_load() {
    let recorded: Vec<_> = (0..50)
        .map(|row| decision(["st50", "st100", "burst4"][row as usize % 3], row, 3, row % 4 == 0))
        .collect();
    let all = rows(&recorded, false);
    assert_eq!((all.len(), rows(&recorded, true).len()), (50, 25));
    let split = by_time(&all);
    assert_eq!(split.train.len() + split.test.len(), 50);
    for test in &split.test {
        let later = split.train.iter().filter(|train| train.phase == test.phase);
        assert!(later.clone().count() > 0 && later.clone().all(|train| train.pid < test.pid));
    }
    let families = by_family(&all);
    assert_eq!(families.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["burst", "st"]);
    for (name, split) in families {
        assert!(split.test.iter().all(|row| family(&row.phase) == name));
        assert!(split.train.iter().all(|row| family(&row.phase) != name));
    }
}

#[test]
fn the_last_run_of_each_load_is_the_test() {
    let phases = ["fib1", "matrix1", "fib2", "matrix2", "fib3", "burst1"];
    let recorded: Vec<_> =
        (0..60).map(|row| decision(phases[row as usize / 10], row, 3, true)).collect();
    let split = by_run(&rows(&recorded, false));
    let names = |rows: &[&MigrationDecision]| {
        let mut names: Vec<_> = rows.iter().map(|row| row.phase.clone()).collect();
        names.dedup();
        names
    };
    assert_eq!(names(&split.test), ["matrix2", "fib3"]);
    assert_eq!(names(&split.train), ["fib1", "matrix1", "fib2", "burst1"]);
    assert_eq!(Parting::ByRun.part(&rows(&recorded, false)).test.len(), 20);
}

/// Short training on the recorded decisions: the kernel's form of the network goes through the
/// compiler and decides alike; one class and no rows are refused.
#[test]
fn a_trained_network_takes_the_place_of_the_shipped_one() {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
    let recorded = read_migrations(&firmware.join("traces/migrations.csv.zst")).unwrap();
    let open = rows(&recorded, true);
    let some: Vec<_> = open.iter().copied().step_by(9).collect();
    let all: Vec<usize> = (0..15).collect();
    let settings = TrainSettings { epochs: 3, ..TrainSettings::default() };
    let network = train_network(&some, &all, 10, &settings).unwrap();
    let file = to_kernel_model(&network, Vec::new()).unwrap();

    let source = std::fs::read_to_string(firmware.join("can_migrate_task.rmt")).unwrap();
    let files = rmt_lang::DirectoryLoader::beside(&firmware.join("can_migrate_task.rmt"));
    let program = rmt_lang::compile("can_migrate_task.rmt", &source, &files).unwrap();
    let objects = rmt_vm::state::ModelObjects {
        tensors: file.tensors,
        scales: file.scales,
        ..Default::default()
    };
    let limits = rmt_vm::verifier::Limits::default();
    let (change, _) = crate::install::swap_model(&program, "network", objects, &limits).unwrap();
    let mut machine = rmt_vm::Machine::new(&program).unwrap();
    machine.state_mut().commit(&[change]).unwrap();
    let trace = firmware.join("traces/migrations.csv.zst");
    let events = rmt_vm::events::EventReader::open(&trace, &program.hook).unwrap();
    let mut migrations = 0;
    for (event, row) in events.zip(&recorded).step_by(17) {
        let expected = network_decides(&network, &super::models::lanes(row, &all));
        let decision = machine.run(&event.unwrap());
        assert_eq!(decision.outputs[0] != 0, expected, "{row:?}");
        migrations += u64::from(expected);
    }
    assert!(migrations > 100);

    let two = train_integer_network(&some, &[8, 9]).unwrap();
    assert!(to_kernel_model(&two, Vec::new()).is_err(), "two inputs");
    let yes: Vec<_> = some.iter().copied().filter(|row| row.can_migrate).collect();
    let message = train_network(&yes, &all, 10, &settings).unwrap_err().to_string();
    assert!(message.contains("class 1"), "{message}");
    assert!(train_network(&[], &all, 10, &settings).is_err());
    assert!(train_integer_network(&[], &all).is_err());
    assert!(run_study(&[], false, Parting::ByRun, |_| {}).is_err());
}
