//! Queue pairs, admin queue and interrupts.

use std::collections::VecDeque;

use rmt_isa::card::CardShape;
use rmt_isa::card::regions::{COUNTERS, PROGRAM};
use rmt_isa::device::registers::{
    DECISIONS, INLINE, MSIX_CONTROL, MSIX_PENDING_BITS, RX_TLPS, TX_TLPS,
};
use rmt_isa::device::{AdminCommand, AdminOpcode, AdminStatus, QueueError};
use rmt_isa::{Decision, Status};
use rmt_sim::root_complex::behaviour::Liberties;
use rmt_sim::root_complex::{CardBus, ConfigState, HostMemory, Latency, LinkPins};
use rmt_vm::Machine;

use super::host::{DATA_AT, Host, evaluated};
use super::programs::{HOOK, event, image, program};

fn expected(tags: impl Iterator<Item = u32>) -> VecDeque<Decision> {
    let mut machine = Machine::new(&program()).unwrap();
    tags.map(|tag| machine.run(&event(tag))).collect()
}

fn ready(shape: &CardShape) -> Host<rmt_sim::root_complex::EvaluatedLink> {
    let mut host = evaluated(shape);
    host.install(&image(shape));
    for pair in 0..shape.queues {
        host.start(pair, &[7, HOOK], None);
    }
    host
}

#[test]
fn an_inline_decision_takes_two_packets() {
    for stream_bits in [64, 128] {
        let shape = CardShape { stream_bits, ..CardShape::tiny() };
        let mut host = ready(&shape);
        host.card.advance(100).unwrap();
        let counters = (host.get(RX_TLPS, 0), host.get(TX_TLPS, 0));
        let before = host.card.traffic();
        // More than the ring holds: the lines of the window are the only word of what was taken.
        for tag in 0..100 {
            host.send_inline(0, &event(tag));
            host.expect(0, expected(tag..tag + 1));
        }
        let after = host.card.traffic();
        assert_eq!(after.packets() - before.packets(), 200, "{before:?} {after:?}");
        assert_eq!(
            (after.host_writes - before.host_writes, after.card_writes - before.card_writes),
            (100, 100)
        );
        // The card counts alike: the two reads of counters before, and their answers, are in.
        assert_eq!(host.get(RX_TLPS, 0) - counters.0, 102);
        assert_eq!(host.get(TX_TLPS, 0) - counters.1, 102);
        assert_eq!(host.get(DECISIONS, 0), 100);
        assert_eq!(host.error(0), QueueError::None);
    }
}

fn inline_and_ring<P: LinkPins>(host: &mut Host<P>, rounds: u32) {
    let mut tag = 0;
    for round in 0..rounds {
        for pair in 0..host.shape.queues {
            let count = 1 + (round * 7 + pair * 3) % 12;
            let split = tag + count / 3;
            // The same tags on all pairs: decisions must find their way nevertheless.
            for tag in tag..split {
                host.send_inline(pair, &event(tag));
            }
            let records: Vec<_> = (split..tag + count).map(|tag| event(tag).bytes).collect();
            host.push(pair, &records);
        }
        for pair in 0..host.shape.queues {
            let count = 1 + (round * 7 + pair * 3) % 12;
            host.expect(pair, expected(tag..tag + count));
            host.tell_head(pair);
        }
        tag += 12;
    }
    for pair in 0..host.shape.queues {
        assert_eq!(host.error(pair), QueueError::None);
    }
}

#[test]
fn inline_and_ring_events_equal_the_interpreter() {
    for (stream_bits, max_read_request) in [(64, 128), (128, 512)] {
        let shape = CardShape { stream_bits, ..CardShape::tiny() };
        let mut host = ready(&shape);
        let config = host.card.config();
        host.card.set_config(ConfigState { max_read_request, ..config });
        inline_and_ring(&mut host, 6);
        host.card.set_liberties(Liberties { seed: Some(u64::from(stream_bits)) });
        inline_and_ring(&mut host, 6);
        host.card.set_latency(Latency::measured(250.0));
        inline_and_ring(&mut host, 2);
    }
}

#[test]
fn events_in_pieces_are_put_together_and_incomplete_ones_stop_the_pair() {
    let mut host = ready(&CardShape::tiny());
    let event = event(5);
    for (index, part) in event.bytes.chunks(8).enumerate() {
        host.card.bar_write(INLINE.bar, u64::from(INLINE.at(1)) + 8 * index as u64, part).unwrap();
    }
    host.expect(1, expected(5..6));
    // The head is now 1 and still in line 0.
    host.card.bar_write(INLINE.bar, u64::from(INLINE.at(1)) + 32, &event.bytes[32..]).unwrap();
    assert_eq!(host.error(1), QueueError::InlinePartial);
    assert_eq!(host.error(0), QueueError::None);
    host.stop(1);
    host.start(1, &[HOOK], None);
    host.send_inline(1, &event);
    host.expect(1, expected(5..6));
}

#[test]
fn other_hooks_are_refused_with_a_status() {
    let mut host = ready(&CardShape::tiny());
    let mut other = event(1);
    other.store(0, 2, 8);
    host.send_inline(0, &other);
    assert_eq!(host.decision(0).status, Status::HookRefused);
    other.store(0, 2, 7);
    host.push(0, &[other.bytes]);
    // Allowed, but the program serves another hook.
    assert_eq!(host.decision(0).status, Status::NoProgram);
    let mut malformed = event(2);
    malformed.store(2, 2, 1);
    host.push(0, &[malformed.bytes]);
    let decision = host.decision(0);
    assert_eq!((decision.tag, decision.status), (2, Status::BadEvent));
}

#[test]
fn admin_commands_do_what_they_say() {
    let shape = CardShape::tiny();
    let mut host = ready(&shape);
    let run = |host: &mut Host<_>, opcode, change: &dyn Fn(&mut AdminCommand)| {
        let mut command = AdminCommand::new(opcode, 0xabcd);
        change(&mut command);
        let done = host.admin(&command);
        (done.status, done.results)
    };
    assert_eq!(run(&mut host, AdminOpcode::Nop, &|_| {}), (AdminStatus::Done, [0; 3]));
    // A block goes out and comes back, over several lines and reads.
    let words: Vec<u64> = (0..77).map(|n| n * 0x0101_0101_0101).collect();
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    host.card.memory().poke(DATA_AT + 0x240, &bytes).unwrap();
    let at = |core_word, count, host_address| {
        move |command: &mut AdminCommand| {
            (command.core_word, command.count, command.host_address) =
                (core_word, count, host_address);
        }
    };
    let block = PROGRAM.word(300);
    let wrote = run(&mut host, AdminOpcode::WriteBlock, &at(block, 77, DATA_AT + 0x240));
    assert_eq!(wrote.0, AdminStatus::Done);
    let read = run(&mut host, AdminOpcode::ReadBlock, &at(block, 77, DATA_AT + 0x8000));
    assert_eq!(read.0, AdminStatus::Done);
    let mut back = vec![0; bytes.len()];
    host.card.memory().read(DATA_AT + 0x8000, &mut back).unwrap();
    assert_eq!(back, bytes);
    let commit = run(&mut host, AdminOpcode::Commit, &|command| {
        (command.core_word, command.value) = (block, 42);
    });
    assert_eq!(commit, (AdminStatus::Done, [42, 0, 0]));
    let counters = run(&mut host, AdminOpcode::ReadCounters, &at(0, 0, DATA_AT));
    assert_eq!(counters.0, AdminStatus::Done);
    let mut line = [0; 64];
    host.card.memory().read(DATA_AT, &mut line).unwrap();
    assert_ne!(line[..4], [0; 4]);
    let (status, [health, failed, cycles]) = run(&mut host, AdminOpcode::Health, &|_| {});
    assert_eq!((status, health >> 32, failed), (AdminStatus::Done, 0, 0));
    assert!(health & 1 == 1 && cycles > 100);
    // The core's own counters are words like others.
    let (status, _) = run(&mut host, AdminOpcode::ReadBlock, &at(COUNTERS.base(), 2, DATA_AT));
    assert_eq!(status, AdminStatus::Done);

    for (opcode, change) in [
        (AdminOpcode::WriteBlock, at(0, 1, DATA_AT + 8)),
        (AdminOpcode::ReadBlock, at(0, 0, DATA_AT)),
        (AdminOpcode::WriteList, at(0, u32::MAX, DATA_AT)),
        (AdminOpcode::ReadBlock, at(1 << 30, 1, DATA_AT)),
    ] {
        assert_eq!(run(&mut host, opcode, &change).0, AdminStatus::BadArgument, "{opcode}");
    }
    let pair = host.admin_pair();
    let mut unknown = AdminCommand::new(AdminOpcode::Nop, 1).to_bytes();
    unknown[0] = 77;
    let mut reserved = AdminCommand::new(AdminOpcode::Nop, 2).to_bytes();
    reserved[50] = 1;
    host.push(pair, &[unknown, reserved]);
    for _ in 0..2 {
        assert_eq!(host.wait(pair)[4], AdminStatus::BadCommand as u8);
    }
    // A data page that is not there: the card says so and goes on.
    let lost = run(&mut host, AdminOpcode::WriteBlock, &at(block, 9, 0x5000));
    assert_eq!(lost.0, AdminStatus::HostReadFailed);
    let reset = run(&mut host, AdminOpcode::ResetQueue, &|command| command.value = 1);
    assert_eq!(reset.0, AdminStatus::Done);
    let reset = run(&mut host, AdminOpcode::ResetQueue, &|command| command.value = 9);
    assert_eq!(reset.0, AdminStatus::BadArgument);
}

#[test]
fn interrupts_are_moderated_and_masked() {
    let shape = CardShape::tiny();
    let mut host = ready(&shape);
    host.set_vector(1, 0x41);
    host.stop(0);
    // One interrupt for four decisions, or 64 units of 16 cycles after the first.
    host.start(0, &[HOOK], Some((1, 4, 64)));
    for tag in 0..8 {
        host.send_inline(0, &event(tag));
    }
    host.expect(0, expected(0..8));
    host.card.advance(60).unwrap();
    assert_eq!(host.card.memory().interrupts, [(0xfee0_0010, 0x41); 2]);
    host.send_inline(0, &event(8));
    host.expect(0, expected(8..9));
    host.card.advance(800).unwrap();
    assert_eq!(host.card.memory().interrupts.len(), 2);
    host.card.advance(400).unwrap();
    assert_eq!(host.card.memory().interrupts.len(), 3);
    // Masked, the vector waits in the pending bits.
    host.set(MSIX_CONTROL, 1, 1);
    for tag in 0..4 {
        host.send_inline(0, &event(tag));
    }
    host.expect(0, expected(0..4));
    host.card.advance(100).unwrap();
    assert_eq!(host.card.memory().interrupts.len(), 3);
    assert_eq!(host.get(MSIX_PENDING_BITS, 0), 2);
    host.set(MSIX_CONTROL, 1, 0);
    host.card.advance(100).unwrap();
    assert_eq!(host.card.memory().interrupts.len(), 4);
    assert_eq!(host.get(MSIX_PENDING_BITS, 0), 0);
}
