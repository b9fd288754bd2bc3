//! Processor time of the driver for an event, on the recording mock: `cargo bench -p rmt-driver`.
//!
//! The mock works on the same thread, inside the doorbell's write. So each figure is the difference
//! of two loops: the driver with the mock, and the mock alone, given the same doorbells. Of many
//! rounds the fastest counts, because the others were disturbed. Ends with an error when a target is missed.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rmt_driver::card::Card;
use rmt_driver::device::Device;
use rmt_driver::memory::DmaMemory;
use rmt_driver::mock::MockCard;
use rmt_driver::queue::QueuePair;
use rmt_driver::{QueueConfig, Transport};
use rmt_isa::card::CardShape;
use rmt_isa::device::registers::EVENT_TAIL;
use rmt_isa::event::Status;
use rmt_isa::{Decision, Event};

/// Events of a round, a multiple of all batches.
const EVENTS: u32 = 1 << 16;
const ROUNDS: u32 = 30;
/// Batch, and most nanoseconds for an event in it.
const TARGETS: [(u32, f64); 2] = [(1, 100.0), (32, 25.0)];

type Mock = MockCard<fn(&Event) -> Decision>;

fn decide(event: &Event) -> Decision {
    let (tag, outputs) = (event.tag(), [event.key(), 0, 0]);
    Decision { tag, status: Status::Decided, written: 1, cycles: 0, outputs }
}

/// The fastest of many rounds, nanoseconds for each event.
fn fastest(mut round: impl FnMut()) -> f64 {
    let time = |_| {
        let begun = Instant::now();
        round();
        begun.elapsed()
    };
    let best = (0..ROUNDS).map(time).min().unwrap_or(Duration::ZERO);
    best.as_secs_f64() * 1e9 / f64::from(EVENTS)
}

fn queue(mock: &Arc<Mock>, pair: u32) -> QueuePair<Mock> {
    let config = QueueConfig {
        transport: Transport::Ring,
        hooks: vec![1],
        budget_microseconds: 60_000_000,
        ..QueueConfig::default()
    };
    let card = Card::open(mock.clone()).expect("the mock is a card");
    card.queue(pair, config).expect("the mock has the pair")
}

/// Driver and mock: every event is submitted, decided and handed out.
fn driven(queue: &mut QueuePair<Mock>, batch: u32) {
    for first in (0..EVENTS).step_by(batch as usize) {
        for key in first..first + batch {
            let event = Event::new(1, key, key.into());
            queue.submit(black_box(&event)).expect("the ring has room");
        }
        queue.flush();
        let mut decided = 0;
        while decided < batch {
            queue.poll(|ended| {
                black_box(ended.result.is_ok());
                decided += 1;
            });
        }
    }
}

/// The mock alone: the same doorbells, by whatever stands in the ring.
fn undriven(mock: &Mock, pair: u32, tail: &mut u16, batch: u32) {
    for _ in (0..EVENTS).step_by(batch as usize) {
        *tail = tail.wrapping_add(batch as u16);
        mock.write(EVENT_TAIL, pair, (*tail).into());
    }
}

/// What no driver can do without: an event into memory and a decision out of it.
fn copied(memory: &DmaMemory) {
    for key in 0..EVENTS {
        let event = Event::new(1, key, key.into());
        memory.store(8 * (key as usize % 64), black_box(&event.bytes));
        let record = &memory.words()[4 * (key as usize % 64)..][..4];
        black_box([0, 1, 2, 3].map(|word: usize| record[word].load(Ordering::Relaxed)));
    }
}

fn main() -> ExitCode {
    let mock = MockCard::new(&CardShape::tiny(), decide as fn(&Event) -> Decision);
    let mut driven_queue = queue(&mock, 0);
    // Kept so that its rings stay; nobody takes its decisions.
    let _undriven_queue = queue(&mock, 1);
    let mut tail = 0;
    let copy = fastest(|| copied(&DmaMemory::in_process(4096, 0)));
    let clock = fastest(|| {
        (0..EVENTS).for_each(|_| {
            black_box(mock.now());
        })
    });
    println!("copying an event and a decision: {copy:.1} ns; reading the clock: {clock:.1} ns");
    println!("batch   driver   target   with the mock   times the copy");
    let mut met = true;
    for (batch, target) in TARGETS {
        let both = fastest(|| driven(&mut driven_queue, batch));
        let alone = fastest(|| undriven(&mock, 1, &mut tail, batch));
        let driver = both - alone;
        let ratio = driver / copy;
        println!(
            "{batch:>5}  {driver:>4.1} ns   {target:>3.0} ns   {both:>10.1} ns   {ratio:>14.1}"
        );
        met &= driver <= target;
    }
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
