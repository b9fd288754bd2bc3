//! What the JIT does in its own way, against the interpreter where it could differ: chains of
//! layers in one vector register, division in floating point, the count of instructions.
#![cfg(feature = "jit")]

use rmt_isa::{Event, Program};
use rmt_vm::conformance::parse;
use rmt_vm::engine::InterpreterEngine;
use rmt_vm::generate::Random;
use rmt_vm::jit::Jit;
use rmt_vm::state::{Change, FieldValue};
use rmt_vm::{Engine, verifier};

fn program(text: &str) -> Program {
    let cases = parse("edges", text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    cases.into_iter().next().unwrap().program
}

/// Both engines on all events: decisions and numbers of instructions.
fn compare(program: &Program, events: impl Iterator<Item = Event>) {
    let (mut jit, mut interpreter) = (Jit::default(), InterpreterEngine::default());
    jit.load(program).unwrap_or_else(|error| panic!("{error}"));
    interpreter.load(program).unwrap();
    for event in events {
        let expected = (interpreter.run(&event).unwrap(), interpreter.steps());
        assert_eq!((jit.run(&event).unwrap(), jit.steps()), expected, "{event:?}");
    }
}

/// An event whose arguments are random; small numbers of 16 bits are as likely as large ones.
fn random_event(random: &mut Random) -> Event {
    let mut event = Event::new(0, 0, 0);
    for place in 0..24 {
        let value = random.bits() >> (random.below(16) + 48);
        event.store(16 + 2 * place, 2, if random.one_in(2) { value } else { !value });
    }
    event
}

fn list(random: &mut Random, count: usize, of: impl Fn(&mut Random) -> i64) -> String {
    let values: Vec<_> = (0..count).map(|_| of(random).to_string()).collect();
    values.join(", ")
}

/// A network of up to 16 lanes, with a scale for each lane or one for all: between an event and
/// outputs that hash every lane. The range analysis refuses some, which is no loss.
fn random_network(random: &mut Random) -> String {
    let element = *random.pick(&["i8", "i16"]);
    let (inputs, hidden, outputs) =
        (random.between(1, 16), random.between(1, 16), random.between(1, 16));
    let scale = |random: &mut Random, lanes: usize| {
        let channels = if random.one_in(3) { 1 } else { lanes };
        let channels: Vec<_> = (0..channels)
            .map(|_| {
                let (multiplier, shift) = (random.below(1 << 31), random.between(1, 62));
                format!("{{\"multiplier\": {multiplier}, \"shift\": {shift}}}")
            })
            .collect();
        let zero_point = random.below(200) as i64 - 100;
        format!("scale {{\"channels\": [{}], \"zero_point\": {zero_point}}}\n", channels.join(", "))
    };
    let weight = |random: &mut Random| i64::from(random.bits() as i8);
    let bias = |random: &mut Random| i64::from(random.bits() as i32 >> 4);
    let mut text = format!(
        "test network\n    RMT_VECTOR_LD_EVENT v0, x{inputs}, {element}, event+16\n    \
         RMT_VECTOR_CVT v0, v0, i32\n    RMT_REQUANT v0, v0, {}, scale0\n    \
         RMT_MAT_MUL v0, v0, tensor0, tensor1\n    RMT_REQUANT v0, v0, {}, scale1\n    \
         RMT_VECTOR_RELU v0, v0\n    RMT_MAT_MUL v0, v0, tensor2, none\n    movi r0, 0\n",
        random.pick(&["i8", "i16"]),
        random.pick(&["i8", "i16"]),
    );
    for lane in 0..outputs {
        text += &format!(
            "    muli r0, r0, 31\n    RMT_SCALAR_VAL r1, v0, lane{lane}\n    add r0, r0, r1\n"
        );
    }
    text += "    out out0, r0\n    exit decided\n";
    text += &format!(
        "tensor {{\"element\": \"I8\", \"shape\": [{hidden}, {inputs}], \"values\": [{}]}}\n",
        list(random, hidden * inputs, weight)
    );
    text += &format!(
        "tensor {{\"name\": \"bias\", \"element\": \"I32\", \"shape\": [{hidden}], \"values\": [{}]}}\n",
        list(random, hidden, bias)
    );
    text += &format!(
        "tensor {{\"name\": \"last\", \"element\": \"I8\", \"shape\": [{outputs}, {hidden}], \"values\": [{}]}}\n",
        list(random, outputs * hidden, weight)
    );
    text += &scale(random, inputs);
    text += &scale(random, hidden).replace("scale {", "scale {\"name\": \"second\", ");
    text
}

#[test]
fn short_networks_run_as_in_the_interpreter() {
    let mut random = Random::new(1);
    let mut ran = 0;
    for _ in 0..150 {
        let program = program(&random_network(&mut random));
        if verifier::verify(&program, &Default::default()).is_err() {
            continue;
        }
        ran += 1;
        let hook = program.hook.number;
        let events = (0..100).map(|_| {
            let mut event = random_event(&mut random);
            event.store(0, 2, hook.into());
            event
        });
        compare(&program, events.collect::<Vec<_>>().into_iter());
    }
    assert!(ran > 100, "the verifier accepts {ran} of 150 networks");
}

/// Quotients that are nearly whole, on both sides of the numbers that go through floating point.
#[test]
fn divisions_run_as_in_the_interpreter() {
    let text = "fields a:i64@16 b:i64@24\ntest division\n    ld_event r1, event+16, i64\n    \
        ld_event r2, event+24, i64\n    div r3, r1, r2\n    rem r4, r1, r2\n    \
        muli r4, r4, 3\n    xor r3, r3, r4\n    out out0, r3\n    divu r3, r1, r2\n    \
        out out1, r3\n    remu r3, r1, r2\n    out out2, r3\n    exit decided\n";
    let program = program(text);
    let mut random = Random::new(2);
    let edges = [0, 1, 2, 3, 1 << 31, 1 << 51, 1 << 52, 1 << 53, 1 << 62, i64::MAX as u64];
    let mut number = move || match random.below(3) {
        0 => random.pick(&edges).wrapping_add(random.below(5) as u64).wrapping_sub(2),
        1 => random.bits() >> random.below(64),
        _ => (random.bits() as i64 >> random.below(64)) as u64,
    };
    let hook = program.hook.number;
    let events = (0..200_000).map(|case| {
        let (quotient, divisor) = (number(), number());
        let dividend = match case % 4 {
            0 => quotient,
            near => quotient.wrapping_mul(divisor).wrapping_add(near).wrapping_sub(2),
        };
        let mut event = Event::new(hook, 0, 0);
        event.store(16, 8, dividend);
        event.store(24, 8, divisor);
        event
    });
    compare(&program, events);
}

/// Ways of different length that meet again and again: a branch into a place that a shorter way
/// leads to as well is counted on the way.
#[test]
fn instructions_are_counted_on_every_way() {
    let text = "fields a:u64@16\ntest ways\n    ld_event r1, event+16, u64\n    movi r2, 0\n    \
        andi r3, r1, 1\n    jeqi r3, 0, +4\n    addi r2, r2, 1\n    andi r3, r1, 2\n    \
        jeqi r3, 0, +3\n    jump +1\n    addi r2, r2, 5\n    addi r2, r2, 7\n    andi r3, r1, 4\n    \
        jnei r3, 0, +2\n    addi r2, r2, 9\n    jump +3\n    andi r3, r1, 8\n    \
        jeqi r3, 0, +1\n    addi r2, r2, 11\n    out out0, r2\n    exit decided\n    exit abstain\n";
    let program = program(text);
    let hook = program.hook.number;
    let events = (0..16).map(|ways| {
        let mut event = Event::new(hook, 0, 0);
        event.store(16, 8, ways);
        event
    });
    compare(&program, events);
}

/// Code remembers the record that it matched last; what others change, it must look up again.
#[test]
fn a_record_that_others_changed_is_looked_up_again() {
    let text = "test visits\n    ld_event r1, event+8, u64\n    RMT_MATCH_CTXT r2, ctxt0, r1\n    \
        RMT_LD_CTXT r3, ctxt0.0\n    addi r4, r3, 1\n    RMT_ST_CTXT ctxt0.0, r4\n    \
        out out0, r2\n    out out1, r3\n    exit decided\n\
        context {\"capacity\": 4, \"fields\": [{\"name\": \"visits\", \"kind\": \"U32\"}]}\n";
    let program = program(text);
    let mut jit = Jit::default();
    jit.load(&program).unwrap();
    let visit = |jit: &mut Jit, key| {
        let decision = jit.run(&Event::new(program.hook.number, 0, key)).unwrap();
        [decision.outputs[0], decision.outputs[1]]
    };
    assert_eq!(visit(&mut jit, 0), [0, 0], "no key is there, also not that of an unused cache");
    assert_eq!(visit(&mut jit, 0), [1, 1]);
    let others = jit.current_state().unwrap().contents();
    assert_eq!(visit(&mut jit, 7), [0, 0]);
    assert_eq!(visit(&mut jit, 7), [1, 1]);
    jit.commit(&[Change::RemoveRecord { context: 0, key: 7 }]).unwrap();
    assert_eq!(visit(&mut jit, 7), [0, 0]);
    jit.commit(&[Change::PutRecord { context: 0, key: 7, fields: vec![FieldValue::Scalar(40)] }])
        .unwrap();
    assert_eq!(visit(&mut jit, 7), [1, 40]);
    jit.replace_contents(&others).unwrap();
    assert_eq!(visit(&mut jit, 7), [0, 0]);
    assert_eq!(visit(&mut jit, 0), [1, 2]);
}

/// Lanes that are written one by one are values of their own to whoever reads them.
#[test]
fn lanes_written_one_by_one_are_read_as_in_the_interpreter() {
    let text = "fields a:i64@16 b:i16@24\ntest lanes\n    ld_event r1, event+16, i64\n    \
        ld_event r2, event+24, i16\n    addi r2, r2, 3\n    RMT_VECTOR_FILL v0, x4, i16, 9\n    \
        RMT_VECTOR_SET v0, lane0, r1\n    RMT_VECTOR_SET v0, lane1, r2\n    \
        RMT_SCALAR_VAL r3, v0, lane0\n    RMT_VECTOR_FILL v1, x4, i8, 0\n    \
        RMT_VECTOR_SET v1, lane0, r2\n    RMT_VECTOR_SET v1, lane1, r2\n    \
        RMT_VECTOR_SET v1, lane2, r2\n    RMT_VECTOR_SET v1, lane3, r2\n    \
        RMT_VECTOR_SUM r4, v1\n    RMT_VECTOR_SUM r5, v0\n    jlti r1, 0, +1\n    \
        RMT_VECTOR_SET v0, lane0, r2\n    RMT_SCALAR_VAL r6, v0, lane0\n    muli r5, r5, 1000\n    \
        add r5, r5, r6\n    out out0, r3\n    out out1, r4\n    out out2, r5\n    exit decided\n";
    let program = program(text);
    let mut random = Random::new(3);
    let events = (0..5000).map(|_| {
        let mut event = Event::new(program.hook.number, 0, 0);
        event.store(16, 8, random.bits() >> random.below(64));
        event.store(24, 2, random.bits());
        if random.one_in(2) {
            event.store(16, 8, !event.load(16, 8));
        }
        event
    });
    compare(&program, events);
}
