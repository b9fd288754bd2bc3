//! The driver on the mock card: opening, installing, queues, answers within a bound, futures.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rmt_driver::card::Card;
use rmt_driver::future::AsyncQueue;
use rmt_driver::mock::{MOCK_QUEUES, MockCard};
use rmt_driver::{Decider, Device as _, DriverError, Miss, QueueConfig, Source, Transport};
use rmt_isa::card::shape::VERSION;
use rmt_isa::card::{CardShape, HostWrite};
use rmt_isa::device::QueueError;
use rmt_isa::event::Status;
use rmt_isa::{Decision, Event};

const HOOK: u16 = 3;

/// Decides that the output is the key plus one.
fn successor(event: &Event) -> Decision {
    Decision {
        tag: event.tag(),
        status: Status::Decided,
        written: 1,
        cycles: 7,
        outputs: [event.key() + 1, 0, 0],
    }
}

type Mock = MockCard<fn(&Event) -> Decision>;

fn mock() -> Arc<Mock> {
    MockCard::new(&CardShape::tiny(), successor as fn(&Event) -> Decision)
}

fn config(transport: Transport) -> QueueConfig {
    QueueConfig { transport, ring_log2: 4, hooks: vec![HOOK], ..QueueConfig::default() }
}

fn events(count: u64) -> impl Iterator<Item = Event> {
    (0..count).map(|number| Event::new(HOOK, 1000 + number as u32, number))
}

/// The fallback of these tests is told apart by its cycles.
fn fallback(event: &Event) -> Decision {
    Decision { cycles: 0, ..successor(event) }
}

#[test]
fn a_card_says_what_it_is() {
    let card = Card::open(mock()).unwrap();
    assert_eq!(card.shape(), &CardShape::tiny());
    assert_eq!(card.identity().queues, MOCK_QUEUES);
    assert!(card.health().is_ok());
    let message = card.queue(9, config(Transport::Ring)).err().unwrap().to_string();
    assert!(message.contains("no pair 9"), "{message}");
}

#[test]
fn a_pair_that_its_owner_left_running_is_taken_over() {
    let card = Card::open(mock()).unwrap();
    for transport in [Transport::Ring, Transport::Inline, Transport::Ring] {
        let mut queue = card.queue(1, config(transport)).unwrap();
        // More than a ring holds: the indices of the next owner are not those of this one.
        for event in events(40) {
            queue.submit(&event).unwrap();
            queue.flush();
            let mut results = Vec::new();
            queue.poll(|ended| results.push(ended.result));
            assert_eq!(results, [Ok(successor(&event))], "{transport:?}");
        }
    }
}

#[test]
fn another_card_is_refused_with_the_difference() {
    let tiny = CardShape::tiny();
    let (has, asked) = (tiny.tables, 2 * tiny.tables);
    let other = CardShape { tables: asked, ..tiny };
    let refused = Card::open_with_shape(mock(), &other).err().unwrap().to_string();
    assert!(refused.contains(&format!("`tables` is {has}, asked for was {asked}")), "{refused}");
    assert!(refused.contains("rmt card info"), "{refused}");

    let other_version = mock();
    other_version.set_core_word(1, VERSION + 1);
    let refused = Card::open(other_version).err().unwrap().to_string();
    assert!(refused.contains("speaks version"), "{refused}");

    let other_contract = mock();
    let next = rmt_isa::device::VERSION + 1;
    other_contract.set_register(rmt_isa::device::registers::VERSION, next);
    let refused = Card::open(other_contract).err().unwrap();
    assert!(matches!(refused, DriverError::WrongVersion { found, .. } if found == next));
    let refused = refused.to_string();
    assert!(refused.contains(&format!("version {next}")), "{refused}");
    assert!(refused.contains("rmt gen --card"), "{refused}");

    let gone = mock();
    gone.faults.gone.store(true, Ordering::Relaxed);
    let refused = Card::open(gone).err().unwrap();
    assert!(matches!(refused, DriverError::NotACard { found: u64::MAX, .. }), "{refused}");
    assert!(refused.to_string().contains("rescan"), "{refused}");
}

#[test]
fn installing_writes_all_words_in_order() {
    let mock = mock();
    let mut card = Card::open(mock.clone()).unwrap();
    // More than one command holds, and a word that is written twice.
    let mut writes: Vec<HostWrite> =
        (0..10_000).map(|n| HostWrite { address: 0x3_0000 + n, value: 7 * u64::from(n) }).collect();
    writes.push(HostWrite { address: 0x3_0000, value: 99 });
    card.install(&writes).unwrap();
    assert_eq!(mock.core_word(0x3_0000), 99);
    let mut words = vec![0; 9_999];
    card.admin().read_block(0x3_0001, &mut words).unwrap();
    assert!((1..).zip(&words).all(|(n, word)| *word == 7 * n));
}

#[test]
fn each_event_gets_its_own_decision_by_both_transports() {
    for (transport, batch) in [(Transport::Ring, 16), (Transport::Inline, 4), (Transport::Ring, 1)]
    {
        let mock = mock();
        let card = Card::open(mock.clone()).unwrap();
        let mut decider = Decider::new(card.queue(1, config(transport)).unwrap(), fallback);
        let mut seen = vec![0; 1000];
        decider.decide_all(events(1000), batch, |event, answer| {
            assert_eq!(answer.source, Source::Card);
            assert_eq!(answer.decision, successor(event));
            seen[event.key() as usize] += 1;
        });
        assert!(seen.iter().all(|&count| count == 1));
        assert_eq!(decider.queue().statistics().decided, 1000);
        let lines = if transport == Transport::Inline { 1000 } else { 0 };
        assert_eq!(mock.accesses().lines, lines);
    }
}

#[test]
fn a_batch_takes_one_doorbell() {
    let mock = mock();
    let card = Card::open(mock.clone()).unwrap();
    let big = QueueConfig { ring_log2: 8, ..config(Transport::Ring) };
    let mut decider = Decider::new(card.queue(0, big).unwrap(), fallback);
    let before = mock.accesses();
    decider.decide_all(events(320), 32, |_, _| {});
    let after = mock.accesses();
    // Ten doorbells for events, two for the half rings of decisions taken; nothing is read.
    assert_eq!((after.writes - before.writes, after.reads - before.reads), (12, 0));
}

#[test]
fn a_late_card_is_answered_for_and_its_late_decisions_are_dropped() {
    let mock = mock();
    let card = Card::open(mock.clone()).unwrap();
    let mut decider = Decider::new(card.queue(0, config(Transport::Ring)).unwrap(), fallback);
    mock.faults.silent.store(true, Ordering::Relaxed);
    let budget = decider.queue().config().budget();
    let begun = std::time::Instant::now();
    let answer = decider.decide(&Event::new(HOOK, 5, 41));
    assert_eq!(answer.source, Source::Fallback(Miss::Late));
    assert_eq!(answer.decision, fallback(&Event::new(HOOK, 5, 41)));
    assert!(begun.elapsed() >= budget);
    // Fills up while the card is silent; nothing is lost.
    let mut misses = Vec::new();
    decider.decide_all(events(40), 16, |_, answer| misses.push(answer.source));
    assert_eq!(misses.len(), 40);
    assert!(misses.contains(&Source::Fallback(Miss::Full)));
    // The card wakes up: its answers to events that ended are dropped, new ones count.
    mock.faults.silent.store(false, Ordering::Relaxed);
    mock.ring_doorbell(0);
    decider.queue_mut().poll(|_| panic!("nothing waits"));
    assert_eq!(decider.queue().statistics().too_late, 16);
    assert_eq!(decider.decide(&Event::new(HOOK, 5, 41)).source, Source::Card);
}

#[test]
fn a_lost_card_and_a_failed_pair_are_answered_for_until_recovery() {
    let mock = mock();
    let card = Card::open(mock.clone()).unwrap();
    let mut decider = Decider::new(card.queue(2, config(Transport::Ring)).unwrap(), fallback);
    let event = Event::new(HOOK, 1, 1);
    mock.fail_pair(2, QueueError::ReadRefused);
    let failed = Miss::Failed(QueueError::ReadRefused);
    for _ in 0..3 {
        assert_eq!(decider.decide(&event).source, Source::Fallback(failed));
    }
    decider.recover().unwrap();
    assert_eq!(decider.decide(&event).source, Source::Card);

    mock.faults.gone.store(true, Ordering::Relaxed);
    let mut sources = Vec::new();
    decider.decide_all(events(100), 8, |_, answer| sources.push(answer.source));
    assert_eq!(sources, [Source::Fallback(Miss::Lost); 100]);
    assert!(decider.recover().is_err());
    mock.faults.gone.store(false, Ordering::Relaxed);
    decider.recover().unwrap();
    assert_eq!(decider.decide(&event).source, Source::Card);
}

#[test]
fn garbled_and_doubled_records_do_no_harm() {
    let mock = mock();
    let card = Card::open(mock.clone()).unwrap();
    let mut decider = Decider::new(card.queue(0, config(Transport::Ring)).unwrap(), fallback);
    mock.faults.doubled.store(true, Ordering::Relaxed);
    let mut count = 0;
    decider.decide_all(events(100), 4, |event, answer| {
        assert_eq!(answer.decision.outputs, successor(event).outputs);
        count += 1;
    });
    assert_eq!(count, 100);
    assert_eq!(decider.queue().statistics().stray, 100);
    mock.faults.garbled.store(true, Ordering::Relaxed);
    let answer = decider.decide(&Event::new(HOOK, 1, 1));
    assert_eq!(answer.source, Source::Fallback(Miss::Late));
}

#[test]
fn a_status_that_is_no_decision_is_answered_for() {
    let refuse = |event: &Event| Decision { status: Status::Watchdog, ..successor(event) };
    let mock = MockCard::new(&CardShape::tiny(), refuse);
    let card = Card::open(mock).unwrap();
    let mut decider = Decider::new(card.queue(0, config(Transport::Inline)).unwrap(), fallback);
    let answer = decider.decide(&Event::new(HOOK, 1, 1));
    assert_eq!(answer.source, Source::Fallback(Miss::Refused(Status::Watchdog)));
    assert_eq!(answer.decision.status, Status::Decided);
}

#[test]
fn a_reset_under_load_ends_all_events_and_the_pair_starts_again() {
    let mock = mock();
    let mut card = Card::open(mock.clone()).unwrap();
    let mut queue = card.queue(0, config(Transport::Ring)).unwrap();
    mock.faults.silent.store(true, Ordering::Relaxed);
    let tickets: Vec<_> = events(5).map(|event| queue.submit(&event).unwrap()).collect();
    queue.flush();
    assert!(queue.cancel(tickets[4]) && !queue.cancel(tickets[4]));
    card.reset().unwrap();
    let mut ended = Vec::new();
    let result = queue.check(|end| ended.push((end.event.tag(), end.result)));
    assert_eq!(result, Err(Miss::Stopped));
    let expected: Vec<_> = (0..4).map(|tag| (1000 + tag, Err(Miss::Stopped))).collect();
    assert_eq!(ended, expected);
    assert_eq!(queue.submit(&Event::new(HOOK, 1, 1)), Err(Miss::Stopped));
    mock.faults.silent.store(false, Ordering::Relaxed);
    queue.restart(|_| panic!("nothing waits")).unwrap();
    queue.submit(&Event::new(HOOK, 1, 1)).unwrap();
    queue.flush();
    assert_eq!(queue.poll(|end| assert!(end.result.is_ok())), 1);
}

#[tokio::test]
async fn futures_end_with_their_decisions_and_dropping_one_cancels_it() {
    let mock = mock();
    let card = Card::open(mock.clone()).unwrap();
    let queue = AsyncQueue::new(card.queue(0, config(Transport::Ring)).unwrap());
    let work = async {
        let pending: Vec<_> = events(10).map(|event| queue.submit(&event).unwrap()).collect();
        for (number, pending) in (0..).zip(pending) {
            let decision = pending.await.unwrap();
            assert_eq!((decision.tag, decision.outputs[0]), (1000 + number, u64::from(number) + 1));
        }
        // Cancelled and dropped events are not handed out, and their places come back.
        mock.faults.silent.store(true, Ordering::Relaxed);
        assert!(queue.submit(&Event::new(HOOK, 1, 1)).unwrap().cancel());
        let held = queue.submit(&Event::new(HOOK, 2, 2)).unwrap();
        let shorter = tokio::time::timeout(Duration::from_micros(10), held).await;
        // Either the caller's own limit or the queue's budget ended it.
        assert!(matches!(shorter, Err(_) | Ok(Err(Miss::Late))), "{shorter:?}");
        mock.faults.silent.store(false, Ordering::Relaxed);
        let decision = queue.submit(&Event::new(HOOK, 3, 30)).unwrap().await.unwrap();
        assert_eq!(decision.outputs[0], 31);
        let statistics = queue.statistics();
        assert_eq!((statistics.decided, statistics.submitted), (11, 13));
        queue.close();
    };
    tokio::join!(queue.drive(Duration::from_micros(50)), work);
}

fn with_interrupts(transport: Transport) -> QueueConfig {
    QueueConfig { interrupts: true, ..config(transport) }
}

#[tokio::test]
async fn an_interrupt_wakes_the_task_that_drives_the_queue() {
    let mock = mock();
    let card = Card::open(mock.clone()).unwrap();
    card.device().enable_interrupts(card.identity().vectors).unwrap();
    // The budget is so long that only interrupts can end an event in this test's time.
    let patient =
        QueueConfig { budget_microseconds: 600_000_000, ..with_interrupts(Transport::Ring) };
    let queue = AsyncQueue::new(card.queue(1, patient).unwrap());
    let work = async {
        for number in 0..100 {
            // The card is silent until the driving task sleeps.
            mock.faults.silent.store(true, Ordering::Relaxed);
            let pending = queue.submit(&Event::new(HOOK, 1, number)).unwrap();
            let wake = async {
                tokio::time::sleep(Duration::from_millis(u64::from(number == 50))).await;
                mock.faults.silent.store(false, Ordering::Relaxed);
                mock.ring_doorbell(1);
            };
            let (decision, ()) = tokio::join!(pending, wake);
            assert_eq!(decision.unwrap().outputs[0], number + 1);
        }
        queue.close();
    };
    let (driven, ()) = tokio::join!(queue.drive_by_interrupts(), work);
    driven.unwrap();
}

#[tokio::test]
async fn without_an_interrupt_the_budget_ends_an_event_and_closing_ends_the_drive() {
    let mock = mock();
    let card = Card::open(mock.clone()).unwrap();
    card.device().enable_interrupts(card.identity().vectors).unwrap();
    let queue = AsyncQueue::new(card.queue(1, with_interrupts(Transport::Ring)).unwrap());
    mock.faults.silent.store(true, Ordering::Relaxed);
    let work = async {
        let begun = std::time::Instant::now();
        let late = queue.submit(&Event::new(HOOK, 1, 1)).unwrap().await;
        assert_eq!(late, Err(Miss::Late));
        assert!(begun.elapsed() >= Duration::from_millis(1));
        // One that waits does not hold up the end of the drive.
        let _held = queue.submit(&Event::new(HOOK, 1, 1)).unwrap();
        tokio::task::yield_now().await;
        queue.close();
    };
    let (driven, ()) = tokio::join!(queue.drive_by_interrupts(), work);
    driven.unwrap();
}

#[tokio::test]
async fn a_queue_without_interrupts_is_not_waited_for() {
    let card = Card::open(mock()).unwrap();
    let queue = AsyncQueue::new(card.queue(0, config(Transport::Ring)).unwrap());
    let refused = queue.drive_by_interrupts().await.unwrap_err().to_string();
    assert!(refused.contains("`interrupts`"), "{refused}");
    let queue = AsyncQueue::new(card.queue(1, with_interrupts(Transport::Ring)).unwrap());
    let refused = queue.drive_by_interrupts().await.unwrap_err().to_string();
    assert!(refused.contains("0 interrupts"), "{refused}");
}
