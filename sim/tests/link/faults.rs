//! Faults: after each, no event is lost without a status, and the card is usable again.

use rmt_isa::card::CardShape;
use rmt_isa::device::QueueError;
use rmt_isa::device::registers::{
    COMPLETION_HEAD, DECISIONS, ERRORS, EVENT_HEAD, EVENT_RING, EVENT_TAIL, FAILED_PAIRS, MAGIC,
    PAIR_CONTROL, READ_TIMEOUT, READS_REFUSED, TIMEOUTS, UNEXPECTED,
};
use rmt_isa::event::EVENT_BYTES;
use rmt_sim::root_complex::{CardBus, ConfigState, EvaluatedLink, Latency, ReadFault};

use super::host::{Host, LOG2, evaluated};
use super::programs::{HOOK, event, image};

fn ready() -> Host<EvaluatedLink> {
    let shape = CardShape { stream_bits: 128, ..CardShape::tiny() };
    let mut host = evaluated(&shape);
    setup(&mut host);
    host
}

/// From a card after its reset to one that takes events.
fn setup(host: &mut Host<EvaluatedLink>) {
    let image = image(&host.shape);
    host.install(&image);
    host.set(READ_TIMEOUT, 0, 2000);
    for pair in 0..host.shape.queues {
        host.start(pair, &[HOOK], None);
    }
}

fn events(tags: std::ops::Range<u32>) -> Vec<[u8; EVENT_BYTES]> {
    tags.map(|tag| event(tag).bytes).collect()
}

/// The card works: both ways of an event, on all pairs.
fn works(host: &mut Host<EvaluatedLink>) {
    for pair in 0..host.shape.queues {
        host.send_inline(pair, &event(1));
        assert_eq!(host.decision(pair).tag, 1);
        host.push(pair, &events(2..5));
        let mut tags: Vec<u32> = (0..3).map(|_| host.decision(pair).tag).collect();
        tags.sort_unstable();
        assert_eq!(tags, [2, 3, 4]);
        host.tell_head(pair);
    }
}

/// Every event is accounted for: those before `EVENT_HEAD` have decisions, the others none.
fn accounted(host: &mut Host<EvaluatedLink>, sent: u32) -> u32 {
    host.card.advance(4000).unwrap();
    let head = host.get(EVENT_HEAD, 0) as u32;
    for tag in 0..head {
        assert_eq!(host.decision(0).tag, tag);
    }
    assert_eq!(host.poll(0), None);
    assert!(head <= sent);
    head
}

#[test]
fn a_read_that_fails_stops_its_pair_and_no_other() {
    for (fault, error, counter) in [
        (ReadFault::Lost, QueueError::ReadTimeout, TIMEOUTS),
        (ReadFault::Poisoned, QueueError::ReadPoisoned, ERRORS),
        (ReadFault::Refused, QueueError::ReadRefused, READS_REFUSED),
        (ReadFault::Aborted, QueueError::ReadRefused, READS_REFUSED),
        (ReadFault::Late(3000), QueueError::ReadTimeout, TIMEOUTS),
    ] {
        let mut host = ready();
        // The second batch fails; the third is fetched, and given back.
        host.card.inject([None, Some(fault)]);
        host.push(0, &events(0..24));
        assert_eq!(accounted(&mut host, 24), 8, "{fault:?}");
        assert_eq!(host.error(0), error, "{fault:?}");
        assert_ne!(host.get(counter, 0), 0, "{fault:?}");
        assert_eq!(host.get(FAILED_PAIRS, 0), 1);
        host.send_inline(1, &event(1));
        assert_eq!(host.decision(1).tag, 1);
        // Stopped and started, the pair works again.
        host.stop(0);
        host.start(0, &[HOOK], None);
        works(&mut host);
    }
}

#[test]
fn an_answer_that_nobody_waits_for_is_dropped() {
    let mut host = ready();
    host.card.inject([Some(ReadFault::Stray)]);
    host.push(0, &events(0..8));
    assert_eq!(accounted(&mut host, 8), 8);
    assert_eq!(host.get(UNEXPECTED, 0), 1);
    works(&mut host);
}

#[test]
fn a_ring_that_is_not_mapped_stops_its_pair() {
    let mut host = ready();
    host.stop(0);
    host.set(EVENT_RING, 0, 0xdead_0000);
    host.set(PAIR_CONTROL, 0, 1 | 1 << 8);
    host.set(EVENT_TAIL, 0, 3);
    host.card.advance(500).unwrap();
    assert_eq!(host.error(0), QueueError::ReadRefused);
    host.stop(0);
    host.start(0, &[HOOK], None);
    works(&mut host);
    // A completion ring that is not mapped loses its own decisions only; the host counts them.
    let ring = Host::<EvaluatedLink>::completion_ring(1);
    host.card.memory().unmap(ring, 4096);
    host.send_inline(1, &event(1));
    host.send_inline(0, &event(2));
    assert_eq!(host.decision(0).tag, 2);
    host.card.advance(200).unwrap();
    assert_eq!(host.card.traffic().refused_writes, 1);
}

#[test]
fn rings_out_of_bounds_stop_their_pair() {
    let size = 1_u64 << LOG2;
    let mut host = ready();
    host.set(EVENT_TAIL, 0, size + 1);
    assert_eq!(host.error(0), QueueError::EventOverrun);
    host.set(COMPLETION_HEAD, 1, 1);
    assert_eq!(host.error(1), QueueError::BadCompletionHead);
    for pair in 0..2 {
        host.stop(pair);
        host.start(pair, &[HOOK], None);
    }
    // Without a word of what was taken, the ring is full after so many decisions.
    for tag in 0..size as u32 {
        let place = rmt_isa::device::registers::INLINE.at(0);
        host.card.bar_write(0, place.into(), &event(tag).bytes).unwrap();
        assert_eq!(host.decision(0).tag, tag);
    }
    host.card.bar_write(0, 0x10800, &event(99).bytes).unwrap();
    assert_eq!(host.error(0), QueueError::InlineOverrun);
    host.card.advance(300).unwrap();
    assert_eq!(host.poll(0), None);
    for bad in [3, 13] {
        host.stop(0);
        host.set(rmt_isa::device::registers::RINGS, 0, bad | 5 << 8);
        host.set(PAIR_CONTROL, 0, 1);
        assert_eq!(host.error(0), QueueError::BadConfiguration);
    }
    host.stop(0);
    host.start(0, &[HOOK], None);
    works(&mut host);
}

#[test]
fn a_reset_under_load_leaves_a_card_that_works() {
    let mut host = ready();
    host.card.set_latency(Latency::measured(250.0));
    for round in 0..6 {
        host.push(0, &events(0..20));
        for tag in 0..6 {
            host.send_inline(1, &event(tag));
        }
        // In the middle of reads, events and decisions.
        host.card.advance(60 + 53 * round).unwrap();
        if round % 2 == 0 {
            host.card.function_reset().unwrap();
        } else {
            host.set(rmt_isa::device::registers::CONTROL, 0, 1);
        }
        host.card.advance(40).unwrap();
        assert_eq!(host.get(DECISIONS, 0), 0, "counters are reset");
        assert_eq!(host.get(MAGIC, 0), rmt_isa::card::shape::MAGIC);
        setup(&mut host);
        works(&mut host);
    }
}

#[test]
fn without_bus_mastering_the_card_asks_for_nothing() {
    let mut host = ready();
    let config = host.card.config();
    host.card.set_config(ConfigState { bus_master: false, ..config });
    let before = host.card.traffic();
    host.push(0, &events(0..3));
    host.send_inline(1, &event(7));
    host.card.advance(1500).unwrap();
    let after = host.card.traffic();
    assert_eq!((before.card_reads, before.card_writes), (after.card_reads, after.card_writes));
    // Registers answer meanwhile; what waited goes on afterwards.
    assert_eq!(host.get(MAGIC, 0), rmt_isa::card::shape::MAGIC);
    host.card.set_config(config);
    assert_eq!(host.decision(1).tag, 7);
    for tag in 0..3 {
        assert_eq!(host.decision(0).tag, tag);
    }
}

#[test]
fn bus_mastering_may_be_taken_away_while_the_card_sends() {
    let mut host = ready();
    let config = host.card.config();
    for cycles in 0..64 {
        host.push(0, &events(0..3));
        host.card.advance(cycles).unwrap();
        host.card.set_config(ConfigState { bus_master: false, ..config });
        host.card.advance(300).unwrap();
        host.card.set_config(config);
        for tag in 0..3 {
            assert_eq!(host.decision(0).tag, tag, "{cycles} cycles after the doorbell");
        }
        host.tell_head(0);
    }
}

#[test]
fn a_link_that_goes_down_ends_everything_and_comes_back() {
    let mut host = ready();
    host.push(0, &events(0..9));
    host.card.advance(30).unwrap();
    host.card.set_link_up(false);
    host.card.advance(2000).unwrap();
    host.card.set_link_up(true);
    host.card.advance(40).unwrap();
    setup(&mut host);
    works(&mut host);
}
