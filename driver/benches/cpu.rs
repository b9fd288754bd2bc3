//! Processor time of the driver for an event, on the recording mock: `cargo bench -p rmt-driver`.
//!
//! The mock only records while the driver works: it decides between two stretches that are timed,
//! from the first event of a batch to its doorbell, and from there to the last decision handed out.
//! What reading the clock takes is measured and taken off. Of many short rounds the fastest counts,
//! because the others were disturbed. Ends with an error when a target is missed.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rmt_driver::card::Card;
use rmt_driver::memory::DmaMemory;
use rmt_driver::mock::MockCard;
use rmt_driver::queue::QueuePair;
use rmt_driver::{QueueConfig, Transport};
use rmt_isa::card::CardShape;
use rmt_isa::event::Status;
use rmt_isa::{Decision, Event};

/// Events of a round, a multiple of all batches: so few that a round fits into one turn of the
/// processor.
const EVENTS: u32 = 1 << 10;
const ROUNDS: u32 = 2000;
/// Batch, and most nanoseconds for an event in it.
const TARGETS: [(u32, f64); 2] = [(1, 100.0), (32, 25.0)];

type Mock = MockCard<fn(&Event) -> Decision>;

fn decide(event: &Event) -> Decision {
    let (tag, outputs) = (event.tag(), [event.key(), 0, 0]);
    Decision { tag, status: Status::Decided, written: 1, cycles: 0, outputs }
}

/// The fastest of many rounds, nanoseconds for each event.
fn fastest(round: impl FnMut(u32) -> Duration) -> f64 {
    let best = (0..ROUNDS).map(round).min().unwrap_or(Duration::ZERO);
    best.as_secs_f64() * 1e9 / f64::from(EVENTS)
}

/// The time of some work.
fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn queue(mock: &Arc<Mock>) -> QueuePair<Mock> {
    let config = QueueConfig {
        transport: Transport::Ring,
        hooks: vec![1],
        budget_microseconds: 60_000_000,
        ..QueueConfig::default()
    };
    let card = Card::open(mock.clone()).expect("the mock is a card");
    card.queue(0, config).expect("the mock has the pair")
}

/// All events of a round: the driver's part of the time.
fn driven(queue: &mut QueuePair<Mock>, mock: &Mock, events: &[Event], batch: u32) -> Duration {
    let mut time = Duration::ZERO;
    for some in events.chunks(batch as usize) {
        mock.faults.silent.store(true, Ordering::Relaxed);
        time += timed(|| {
            for event in some {
                queue.submit(black_box(event)).expect("the ring has room");
            }
            queue.flush();
        });
        mock.faults.silent.store(false, Ordering::Relaxed);
        mock.ring_doorbell(0);
        let mut decided = 0;
        time += timed(|| {
            queue.poll(|ended| decided += u32::from(black_box(ended.result.is_ok())));
        });
        assert_eq!(decided, batch, "the mock decides all of a batch at once");
    }
    time
}

/// What no driver can do without: an event into memory and a decision out of it.
fn copied(memory: &DmaMemory, events: &[Event]) -> Duration {
    timed(|| {
        for (number, event) in events.iter().enumerate() {
            memory.store(8 * (number % 64), black_box(&event.bytes));
            let record = &memory.words()[4 * (number % 64)..][..4];
            black_box([0, 1, 2, 3].map(|word: usize| record[word].load(Ordering::Relaxed)));
        }
    })
}

fn main() -> ExitCode {
    let mock = MockCard::new(&CardShape::tiny(), decide as fn(&Event) -> Decision);
    let mut queue = queue(&mock);
    let events: Vec<Event> = (0..EVENTS).map(|key| Event::new(1, key, key.into())).collect();
    let memory = DmaMemory::in_process(4096, 0);
    let copy = fastest(|_| copied(&memory, &events));
    // One measured stretch without work, for each event.
    let clock = fastest(|_| (0..EVENTS).map(|_| timed(|| ())).sum());
    println!("copying an event and a decision: {copy:.1} ns; measuring nothing: {clock:.1} ns");
    println!("batch   driver   target   times the copy");
    let mut met = true;
    for (batch, target) in TARGETS {
        let measured = fastest(|_| driven(&mut queue, &mock, &events, batch));
        let driver = measured - 2.0 * clock / f64::from(batch);
        println!("{batch:>5}  {driver:>4.1} ns   {target:>3.0} ns   {:>14.1}", driver / copy);
        met &= driver <= target;
    }
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
