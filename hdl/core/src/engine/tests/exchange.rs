//! Lanes that the context unit brings and takes.

use super::bench::{Bench, Random};
use rmt_isa::card::engine::EngineShape;
use rmt_isa::operand::{Element, Lanes, Vector};
use rmt_isa::{Event, Instruction, Status};

/// Sends a history ring into a register, at random speed.
fn send(
    bench: &mut Bench,
    random: &mut Random,
    thread: u64,
    register: u64,
    element: Element,
    values: &[i64],
) {
    for (lane, value) in values.iter().enumerate() {
        while random.one_in(3) {
            bench.sim.poke("lanes_in_valid", 0);
            bench.sim.step();
        }
        bench.sim.poke("lanes_in_valid", 1);
        bench.sim.poke("lanes_in_payload_thread", thread);
        bench.sim.poke("lanes_in_payload_register", register);
        bench.sim.poke("lanes_in_payload_lane", lane as u64);
        bench.sim.poke("lanes_in_payload_element", element as u64);
        bench.sim.poke("lanes_in_payload_lanes", values.len() as u64);
        bench.sim.poke("lanes_in_payload_value", *value as u64);
        bench.sim.poke("lanes_in_payload_last", u64::from(lane + 1 == values.len()));
        let taken = (0..200).find(|_| {
            let ready = bench.sim.peek("lanes_in_ready") == 1;
            bench.sim.step();
            ready
        });
        assert!(taken.is_some(), "a lane was never taken");
    }
    bench.sim.poke("lanes_in_valid", 0);
}

/// Asks for a register; gives its lanes, or nothing when it is undefined.
fn take(bench: &mut Bench, random: &mut Random, thread: u64, register: u64) -> Option<Vec<i32>> {
    bench.sim.poke("lanes_request_valid", 1);
    bench.sim.poke("lanes_request_payload_thread", thread);
    bench.sim.poke("lanes_request_payload_register", register);
    assert_eq!(bench.sim.peek("lanes_request_ready"), 1);
    bench.sim.step();
    bench.sim.poke("lanes_request_valid", 0);
    let mut lanes = Vec::new();
    for _ in 0..2000 {
        let ready = random.one_in(2);
        bench.sim.poke("lanes_out_ready", u64::from(ready));
        if ready && bench.sim.peek("lanes_out_valid") == 1 {
            assert_eq!(bench.sim.peek("lanes_out_payload_thread"), thread);
            let last = bench.sim.peek("lanes_out_payload_last") == 1;
            if bench.sim.peek("lanes_out_payload_empty") == 1 {
                assert!(last && lanes.is_empty());
                bench.sim.step();
                return None;
            }
            assert_eq!(bench.sim.peek("lanes_out_payload_lane"), lanes.len() as u64);
            lanes.push(bench.sim.peek_signed("lanes_out_payload_value") as i32);
            if last {
                bench.sim.step();
                return Some(lanes);
            }
        }
        bench.sim.step();
    }
    panic!("the lanes never end");
}

#[test]
fn lanes_come_in_saturated_and_go_out_as_they_are() {
    let random = &mut Random::new(1);
    let mut bench = Bench::new(EngineShape::tiny());
    bench.start(1, &Event::new(0, 0, 0));
    for round in 0..40 {
        let element = random.pick(&[Element::I8, Element::I16, Element::I32]);
        let count = 1 + random.below(32);
        let values: Vec<i64> = (0..count)
            .map(|_| if random.one_in(4) { random.bits() as i64 } else { random.value(16).into() })
            .collect();
        let register = random.below(8);
        // An operation under way must neither lose nor mix anything.
        let (one, other) = (Vector::new(6).unwrap(), Vector::new(7).unwrap());
        let lanes = Lanes::new(32).unwrap();
        bench.run(1, Instruction::VectorFill { d: one, lanes, element, imm: round }, 0, 0);
        bench.run(1, Instruction::VectorRelu { d: other, a: one }, 0, 0);
        send(&mut bench, random, 1, register, element, &values);
        let expected: Vec<i32> = values.iter().map(|&value| element.saturate(value)).collect();
        assert_eq!(take(&mut bench, random, 1, register), Some(expected), "round {round}");
        let sum: i64 = values.iter().map(|&value| i64::from(element.saturate(value))).sum();
        let d = rmt_isa::operand::Scalar::new(0).unwrap();
        let a = Vector::new(register as u16).unwrap();
        let (answer, _) = bench.run(1, Instruction::VectorSum { d, a }, 0, 0);
        assert_eq!((answer.value as i64, answer.status), (sum, 0));
    }
}

#[test]
fn a_new_event_leaves_no_register_defined() {
    let random = &mut Random::new(2);
    let mut bench = Bench::new(EngineShape::tiny());
    send(&mut bench, random, 0, 3, Element::I16, &[1, 2, 3]);
    bench.start(1, &Event::new(0, 0, 0));
    assert_eq!(take(&mut bench, random, 0, 3), Some(vec![1, 2, 3]), "another thread's start");
    bench.start(0, &Event::new(0, 0, 0));
    assert_eq!(take(&mut bench, random, 0, 3), None);
    let relu = Instruction::VectorRelu { d: Vector::new(1).unwrap(), a: Vector::new(3).unwrap() };
    let (answer, _) = bench.run(0, relu, 0, 0);
    assert_eq!(answer.status, Status::OutOfRange as u8);
}

#[test]
fn words_that_do_not_decode_are_refused_and_the_thread_goes_on() {
    let random = &mut Random::new(4);
    let mut bench = Bench::new(EngineShape::tiny());
    bench.start(0, &Event::new(0, 0, 0));
    let mut refused = 0;
    for _ in 0..4000 {
        let opcode = u64::from(random.pick(rmt_isa::card::engine::OPCODES));
        // Few bits beside the opcode, so that many words do decode.
        let mask = random.bits() & random.bits() & random.bits();
        let word = (random.bits() & mask & !0xff) | opcode;
        let decodes = Instruction::decode(word).is_ok();
        let (answer, _) = bench.run_word(0, word, 0, 0);
        assert_eq!(answer.status == Status::BadInstruction as u8, !decodes, "{word:#018x}");
        refused += u32::from(!decodes);
    }
    assert!(refused > 500 && refused < 3900, "{refused} refused: the words are not mixed");
    let (answer, _) = bench.run_word(0, 0xff, 0, 0);
    assert_eq!(answer.status, Status::BadInstruction as u8);
}
