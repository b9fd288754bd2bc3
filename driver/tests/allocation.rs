//! No path of the driver allocates for an event: an allocator that counts is asked.

use std::alloc::{GlobalAlloc, Layout, System};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rmt_driver::card::Card;
use rmt_driver::future::AsyncQueue;
use rmt_driver::mock::MockCard;
use rmt_driver::{Decider, Device as _, QueueConfig, Source, Transport};
use rmt_isa::card::CardShape;
use rmt_isa::event::Status;
use rmt_isa::{Decision, Event};

struct Counting;

thread_local! {
    static ALLOCATIONS: AtomicU64 = const { AtomicU64::new(0) };
}

// SAFETY: all work is done by the system's allocator; counting does not touch the memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.fetch_add(1, Ordering::Relaxed));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations_in(work: impl FnOnce()) -> u64 {
    let count = || ALLOCATIONS.with(|count| count.load(Ordering::Relaxed));
    let before = count();
    work();
    count() - before
}

fn decide(event: &Event) -> Decision {
    Decision {
        tag: event.tag(),
        status: Status::Decided,
        written: 1,
        cycles: 0,
        outputs: [event.key(), 0, 0],
    }
}

fn config(transport: Transport) -> QueueConfig {
    QueueConfig { transport, hooks: vec![1], ..QueueConfig::default() }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations_in(|| drop(std::hint::black_box(Box::new(5)))), 1);
}

#[test]
fn polling_allocates_nothing() {
    for transport in [Transport::Ring, Transport::Inline] {
        let mock = MockCard::new(&CardShape::tiny(), decide);
        let card = Card::open(mock.clone()).unwrap();
        let mut decider = Decider::new(card.queue(0, config(transport)).unwrap(), decide);
        let events = (0..10_000).map(|key| Event::new(1, 0, key));
        let mut decided = 0;
        let allocations = allocations_in(|| {
            decider.decide_all(events, 8, |_, answer| {
                decided += u64::from(answer.source == Source::Card);
            });
        });
        assert_eq!((decided, allocations), (10_000, 0));
        // Neither does answering for a card that is gone.
        mock.faults.gone.store(true, Ordering::Relaxed);
        let event = Event::new(1, 0, 0);
        let allocations = allocations_in(|| {
            for _ in 0..100 {
                assert_ne!(decider.decide(&event).source, Source::Card);
            }
        });
        assert_eq!(allocations, 0);
    }
}

#[test]
fn futures_allocate_nothing() {
    let mock = MockCard::new(&CardShape::tiny(), decide);
    let card = Card::open(mock).unwrap();
    let queue = AsyncQueue::new(card.queue(0, config(Transport::Ring)).unwrap());
    let mut context = Context::from_waker(Waker::noop());
    let allocations = allocations_in(|| {
        let mut driving = pin!(queue.drive(Duration::ZERO));
        for key in 0..1000 {
            let mut pending = pin!(queue.submit(&Event::new(1, 7, key)).unwrap());
            assert!(pending.as_mut().poll(&mut context).is_pending());
            assert!(driving.as_mut().poll(&mut context).is_pending());
            let Poll::Ready(Ok(decision)) = pending.as_mut().poll(&mut context) else {
                panic!("event {key} has no decision");
            };
            assert_eq!((decision.tag, decision.outputs[0]), (7, key));
        }
    });
    assert_eq!(allocations, 0);
}

#[test]
fn futures_woken_by_interrupts_allocate_nothing() {
    let mock = MockCard::new(&CardShape::tiny(), decide);
    let card = Card::open(mock.clone()).unwrap();
    card.device().enable_interrupts(card.identity().vectors).unwrap();
    let config = QueueConfig {
        interrupts: true,
        budget_microseconds: 60_000_000,
        ..config(Transport::Ring)
    };
    let queue = AsyncQueue::new(card.queue(0, config).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let work = async {
            let send = |key: u64| {
                let (queue, mock) = (&queue, &mock);
                async move {
                    mock.faults.silent.store(true, Ordering::Relaxed);
                    let pending = queue.submit(&Event::new(1, 7, key)).unwrap();
                    // Lets the driving task fall asleep before the card answers.
                    tokio::task::yield_now().await;
                    mock.faults.silent.store(false, Ordering::Relaxed);
                    mock.ring_doorbell(0);
                    assert_eq!(pending.await.unwrap().outputs[0], key);
                }
            };
            // The first ones fill the runtime's own lists.
            for key in 0..100 {
                send(key).await;
            }
            let count = || ALLOCATIONS.with(|count| count.load(Ordering::Relaxed));
            let before = count();
            for key in 0..1000 {
                send(key).await;
            }
            assert_eq!(count() - before, 0);
            queue.close();
        };
        let (driven, ()) = tokio::join!(queue.drive_by_interrupts(), work);
        driven.unwrap();
    });
}
