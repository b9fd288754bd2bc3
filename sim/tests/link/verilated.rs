//! The card in Verilator: the same host, hundreds of events of the firmware programs.

use std::path::Path;

use rmt_core::CoreConfig;
use rmt_isa::card::{CardShape, lower};
use rmt_isa::event::event_layout;
use rmt_isa::{Decision, Event};
use rmt_sim::root_complex::behaviour::Liberties;
use rmt_sim::root_complex::{Latency, VerilatedLink};
use rmt_sim::verilated::{Toolchain, Trace, VerilatedModel};
use rmt_vm::Machine;
use rmt_vm::events::EventReader;
use rmt_vm::verifier::{Limits, verify};

use super::host::Host;

/// Events that are on their way at once.
const IN_FLIGHT: usize = 14;

/// Runs events of a firmware program over one way, and compares with the interpreter.
fn run(model: &VerilatedModel, shape: &CardShape, name: &str, trace: &str, count: usize) {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
    let path = firmware.join(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let loader = rmt_lang::DirectoryLoader::beside(&path);
    let program = rmt_lang::compile(name, &text, &loader).unwrap();
    let report = verify(&program, &Limits::default()).unwrap();
    let image = lower(&program, report.ordering.class, shape).unwrap();
    let reader = EventReader::open(&firmware.join(trace), &program.hook).unwrap();
    let recorded: Vec<Event> = reader.take(500).map(Result::unwrap).collect();
    let tagged = |number: usize| {
        let mut event = recorded[number % recorded.len()];
        event.store(event_layout::TAG.offset, 4, number as u64);
        event
    };
    for ring in [false, true] {
        let mut host = Host::new(VerilatedLink::new(model, shape.stream_bits).unwrap(), shape);
        host.install(&image);
        host.start(0, &[program.hook.number], None);
        host.card.set_liberties(Liberties { seed: Some(5) });
        host.card.set_latency(Latency::measured(250.0));
        let mut machine = Machine::new(&program).unwrap();
        let mut sent = 0;
        let mut expected = Vec::new();
        let mut done = 0;
        while done < count {
            while sent < count && expected.len() < IN_FLIGHT {
                let event = tagged(sent);
                expected.push(machine.run(&event));
                if ring {
                    host.push(0, &[event.bytes]);
                } else {
                    host.send_inline(0, &event);
                }
                sent += 1;
            }
            let decision = Decision { cycles: 0, ..host.decision(0) };
            let place = expected.iter().position(|other| other.tag == decision.tag);
            let place = place.unwrap_or_else(|| panic!("{decision:?} was not expected"));
            assert_eq!(decision, expected.swap_remove(place), "{name}, event {}", decision.tag);
            done += 1;
            if ring && done % 8 == 0 {
                host.tell_head(0);
            }
        }
        println!("{name}, ring {ring}: {count} events, {} cycles", host.card.cycle());
    }
}

#[test]
#[ignore = "builds a Verilated card; ./x test --all runs it"]
fn firmware_programs_equal_the_interpreter_over_both_ways() {
    let toolchain = match Toolchain::locate() {
        Ok(toolchain) => toolchain,
        Err(error) => {
            assert!(std::env::var_os("RMT_TEST_ALL").is_none(), "{error}");
            eprintln!("skipped: {error}");
            return;
        }
    };
    let shape = CardShape { stream_bits: 128, ..CardShape::small() };
    let design = rmt_core::elaborate_card(&CoreConfig::new(shape.clone())).unwrap();
    let model = VerilatedLink::model(&design, shape.stream_bits, Trace::None, &toolchain).unwrap();
    run(&model, &shape, "page_prefetch.rmt", "traces/pages/column.test.csv.zst", 500);
    run(&model, &shape, "can_migrate_task.rmt", "traces/migrations.csv.zst", 500);
}
