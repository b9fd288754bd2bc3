//! The targets of the JIT as one table of ratios, measured in one run.
//!
//! ```text
//! cargo bench -p rmt-vm --features jit --bench ratios
//! cargo bench -p rmt-vm --features jit --bench ratios -- product
//! ```
//!
//! An argument runs only the parts whose name holds it: `page_prefetch`, `can_migrate_task`,
//! `scalar`, `product`, `load`, `table`.
//!
//! Candidates take turns in slices of a few milliseconds; a ratio is the median of the ratios
//! of all rounds.

mod common;

use std::hint::black_box;

use common::firmware::{Firmware, can_migrate_task, page_prefetch};
use common::timing::{Candidate, interleaved, median, ratio};
use common::{product, scalar};
use cpu_time::ThreadTime;
use rmt_isa::program::{ActionCall, Entry, Matcher};
use rmt_isa::{Event, Instruction, Program};
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::jit::Jit;
use rmt_vm::state::State;
use rmt_vm::verifier::{Limits, verify};
use rmt_vm::{Engine, Machine};

const ROUNDS: usize = 31;

fn main() {
    // Cargo adds `--bench` to the arguments.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!("{:<58} {:>10} {:>10}  met", "what", "found", "target");
    let parts: [(&str, fn()); 6] = [
        ("page_prefetch", || on_firmware(&page_prefetch())),
        ("can_migrate_task", || on_firmware(&can_migrate_task())),
        ("scalar", against_rbpf),
        ("product", integer_product),
        ("load", verified_load),
        ("table", exact_look_up),
    ];
    for (name, measure) in parts {
        if wanted.as_ref().is_none_or(|wanted| name.contains(wanted.as_str())) {
            measure();
        }
    }
}

/// One line of the table. `met`: whether the target is reached.
fn line(what: &str, found: String, target: &str, met: bool) {
    println!("{what:<58} {found:>10} {target:>10}  {}", if met { "yes" } else { "NO" });
}

fn run_all<E: Engine>(engine: &mut E, events: &[Event]) {
    for event in events {
        black_box(&engine.run(black_box(event)));
    }
}

fn on_firmware(firmware: &Firmware) {
    let Firmware { name, program, events } = firmware;
    let mut jit = Jit::default();
    jit.load(program).unwrap();
    let mut interpreter = InterpreterEngine::default();
    interpreter.load(program).unwrap();
    for event in events {
        assert_eq!(jit.run(event).unwrap(), interpreter.run(event).unwrap(), "{name}");
    }
    let times = interleaved(
        vec![
            Candidate::new(events.len(), || run_all(&mut interpreter, events)),
            Candidate::new(events.len(), || run_all(&mut jit, events)),
        ],
        ROUNDS,
    );
    let found = ratio(&times[0], &times[1]);
    line(
        &format!("{name}: JIT against interpreter"),
        format!("{found:.1} x"),
        ">= 20 x",
        found >= 20.0,
    );
    let (slow, fast) = (median(&times[0]), median(&times[1]));
    println!("    interpreter {slow:.0} ns, JIT {fast:.1} ns for one event");
    if *name == "can_migrate_task" {
        let found = format!("{fast:.1} ns");
        line("15-10-1 network, one event in steady state", found, "<= 60 ns", fast <= 60.0);
    }
}

fn against_rbpf() {
    const EVENTS: usize = 64;
    let program = scalar::rmt_program();
    let code = scalar::ebpf_code();
    let events: Vec<Event> = (0..EVENTS as u64)
        .map(|i| {
            scalar::event(rmt_isa::arithmetic::split_mix_64(i), i.wrapping_mul(0x1234_5678_9abc))
        })
        .collect();
    let mut packets: Vec<_> = events.iter().map(|event| event.bytes).collect();
    let mut jit = Jit::default();
    jit.load(&program).unwrap();
    let mut interpreter = Machine::new(&program).unwrap();
    let interpreted = rbpf::EbpfVmRaw::new(Some(&code)).unwrap();
    let mut compiled = rbpf::EbpfVmRaw::new(Some(&code)).unwrap();
    compiled.jit_compile().unwrap();
    for (event, packet) in events.iter().zip(&mut packets) {
        let expected = interpreted.execute_program(packet).unwrap();
        assert_eq!(jit.run(event).unwrap().outputs[0], expected);
        assert_eq!(interpreter.run(event).outputs[0], expected);
    }
    let mut more_packets = packets.clone();
    let times = interleaved(
        vec![
            Candidate::new(EVENTS, || run_all(&mut jit, &events)),
            Candidate::new(EVENTS, || {
                for packet in &mut packets {
                    // SAFETY: the program reads bytes 16 to 31 of the packet's 64 only.
                    black_box(&unsafe { compiled.execute_program_jit(black_box(packet)) });
                }
            }),
            Candidate::new(EVENTS, || {
                for event in &events {
                    black_box(&interpreter.run(black_box(event)));
                }
            }),
            Candidate::new(EVENTS, || {
                for packet in &mut more_packets {
                    black_box(&interpreted.execute_program(black_box(packet)));
                }
            }),
        ],
        ROUNDS,
    );
    let found = ratio(&times[1], &times[0]);
    line("scalar work: JIT against rbpf's JIT", format!("{found:.2} x"), ">= 1.0 x", found >= 1.0);
    let found = ratio(&times[3], &times[2]);
    let met = found >= 1.0;
    line("scalar work: interpreter against rbpf's", format!("{found:.2} x"), ">= 1.0 x", met);
    let [jit, rbpf_jit, interpreter, rbpf] = [0, 1, 2, 3].map(|i| median(&times[i]));
    println!(
        "    JIT {jit:.0} ns, rbpf's {rbpf_jit:.0} ns, interpreter {interpreter:.0} ns, rbpf's {rbpf:.0} ns"
    );
}

fn integer_product() {
    let (kernel, inputs, mut out) = product::product();
    let Some(times) = product::peak() else {
        println!("256 x 256 x 256 i8 product: skipped, there is no peak loop for this machine");
        return;
    };
    let times = interleaved(
        vec![
            Candidate::new(product::MACS, || {
                kernel.multiply(black_box(&inputs), false, &mut out);
            }),
            Candidate::new(product::PEAK_MACS * times, || {
                product::peak();
            }),
        ],
        ROUNDS,
    );
    let found = 100.0 * ratio(&times[1], &times[0]);
    line(
        &format!("256 x 256 x 256 i8 product on {:?}, share of peak", kernel.unit()),
        format!("{found:.0} %"),
        ">= 50 %",
        found >= 50.0,
    );
    let rate = |times: &[f64]| 1.0 / median(times);
    println!(
        "    {:.1} of {:.1} billion multiply-accumulates a second",
        rate(&times[0]),
        rate(&times[1])
    );
}

/// A program of 4,096 instructions: the scalar work ten times over.
fn long_program() -> Program {
    let mut program = scalar::rmt_program();
    let work = std::mem::take(&mut program.actions[0].code);
    let (body, end) = work.split_at(work.len() - 2);
    let mut code: Vec<Instruction> = body.iter().copied().cycle().take(4094).collect();
    code.extend(end);
    program.actions[0].lines = vec![0; code.len()];
    program.actions[0].code = code;
    program
}

fn verified_load() {
    let program = long_program();
    assert_eq!(program.actions[0].code.len(), 4096);
    let mut verified = Vec::new();
    let mut compiled = Vec::new();
    for _ in 0..ROUNDS {
        let start = ThreadTime::now();
        verify(black_box(&program), &Limits::default()).unwrap();
        State::new(std::sync::Arc::new(program.clone())).unwrap();
        verified.push(start.elapsed().as_secs_f64() * 1e3);
        let start = ThreadTime::now();
        Jit::default().load(black_box(&program)).unwrap();
        compiled.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let found = median(&verified);
    let met = found <= 10.0;
    line("verified load of 4,096 instructions", format!("{found:.2} ms"), "<= 10 ms", met);
    println!("    with machine code by the JIT {:.1} ms", median(&compiled));
}

fn exact_look_up() {
    const ENTRIES: u64 = 1 << 20;
    const LOOK_UPS: usize = 4096;
    let mut program = scalar::rmt_program();
    let table = &mut program.tables[0];
    table.capacity = ENTRIES as u32;
    table.key = vec![rmt_isa::program::KeyField {
        name: "a".into(),
        kind: rmt_isa::operand::IntType::U64,
        source: rmt_isa::program::KeySource::Event { offset: 16 },
    }];
    let key = |i: u64| rmt_isa::arithmetic::split_mix_64(i);
    let call = ActionCall { action: 0, parameters: vec![] };
    table.entries = (0..ENTRIES)
        .map(|i| Entry {
            matcher: Matcher::Exact { key: key(i).into() },
            priority: 0,
            call: call.clone(),
        })
        .collect();
    let state = State::new(std::sync::Arc::new(program)).unwrap();
    let table = &state.tables()[0];
    let plain: hashbrown::HashMap<u64, u64> = (0..ENTRIES).map(|i| (key(i), i)).collect();
    let events: Vec<Event> =
        (0..LOOK_UPS as u64).map(|i| scalar::event(key(i * 255 % ENTRIES), 0)).collect();
    let times = interleaved(
        vec![
            Candidate::new(LOOK_UPS, || {
                for event in &events {
                    black_box(table.look_up_event(black_box(event), &[0; 4]));
                }
            }),
            Candidate::new(LOOK_UPS, || {
                for event in &events {
                    black_box(plain.get(&black_box(event).load(16, 8)));
                }
            }),
        ],
        ROUNDS,
    );
    let found = ratio(&times[0], &times[1]);
    let what = "exact look-up in 1 M entries against hashbrown's";
    line(what, format!("{found:.2} x"), "<= 2 x", found <= 2.0);
    println!("    {:.0} ns against {:.0} ns", median(&times[0]), median(&times[1]));
}
