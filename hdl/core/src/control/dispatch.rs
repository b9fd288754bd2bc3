//! Takes events, gives each a thread, and keeps events in the order that the program needs.

use rmt_isa::Status;
use rmt_isa::event::event_layout::FLAGS;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::slots::SlotChoice;
use crate::bits::{any, count_ones, lowest_set, one_hot};
use crate::config::Widths;
use crate::event::EVENT_BITS;
use crate::signals::{End, ThreadPulse};

/// The dispatcher. Events are taken in order of arrival. One is taken when a thread is free
/// and, as the ordering of its program slot says,
/// - pure: at once;
/// - per key: when no running thread of the slot holds the lock of its key, the masked hash
///   of the key;
/// - total: when no other event of the slot runs.
///
/// The event goes to the stage with the fewest events, the first of them when several have.
///
/// A thread holds its lock until its event has ended.
///
/// Where others run before which it may not, slot and lock of an event are compared with theirs in the cycle in which it comes,
/// and it is taken in the next one at the earliest.
pub struct Dispatcher {
    pub(crate) widths: Widths,
}

/// Ports of [`Dispatcher`].
#[derive(Clone, Ports)]
pub struct DispatcherIo {
    /// Events of 64 bytes, byte i in bits 8i+7..8i
    pub event: StreamIn<UInt>,
    /// What the event's program slot says
    pub choice: Input<SlotChoice>,
    /// Its lock
    pub lock: Input<UInt>,
    /// The match unit is taken by a tail call in this cycle
    pub hold: Input<Bool>,
    /// An event is taken for this thread
    pub accept: Output<ThreadPulse>,
    /// The event ends at once: malformed, or not for the program
    pub refuse: Output<End>,
    /// Threads whose event has ended; their locks are free
    pub ended: Input<UInt>,
    /// A decision left: the thread is free
    pub free: Input<ThreadPulse>,
    /// Threads with an event
    pub busy: Output<UInt>,
    /// An event was taken and has not ended
    pub running: Output<Bool>,
    /// An event waits for a thread
    pub waits_for_thread: Output<Bool>,
    /// An event waits for a lock or its turn
    pub waits_for_lock: Output<Bool>,
}

impl Component for Dispatcher {
    type Io = DispatcherIo;

    fn name(&self) -> String {
        format!("dispatcher_s{}_t{}", self.widths.stages, self.widths.threads)
    }

    fn doc(&self) -> String {
        "Takes events, gives each a thread, keeps the order of events that share state".into()
    }

    fn io(&self) -> DispatcherIo {
        DispatcherIo {
            event: stream_in(uint(EVENT_BITS)),
            choice: input(SlotChoice::shape(&self.widths)),
            lock: input(uint(32)),
            hold: input(boolean()),
            accept: output(ThreadPulse::shape(&self.widths)),
            refuse: output(End::shape(&self.widths)),
            ended: input(uint(self.widths.threads)),
            free: input(ThreadPulse::shape(&self.widths)),
            busy: output(uint(self.widths.threads)),
            running: output(boolean()),
            waits_for_thread: output(boolean()),
            waits_for_lock: output(boolean()),
        }
    }

    fn build(&self, io: DispatcherIo) {
        let threads = self.widths.threads;
        let (event, choice) = (io.event.payload(), io.choice.value());
        let bits = |offset: usize, bytes: usize| {
            event.bits(8 * offset as u32..8 * (offset + bytes) as u32)
        };
        let lock = io.lock.value();

        let mut free = Vec::new();
        let mut conflicts = Vec::new();
        let mut same_slot = Vec::new();
        let mut running = Vec::new();
        let mut busy_bits = Vec::new();
        let mut busy_flags = Vec::new();
        let accepts = wire("accepts", boolean());
        let thread = wire("thread", uint(self.widths.thread));
        let compared = reg("compared", boolean(), false);
        compared.next(io.event.valid() & !accepts.value());
        let frees = one_hot(io.free.valid, io.free.thread, threads);
        for index in 0..threads {
            let busy = reg(format!("busy_{index}"), boolean(), false);
            let held = reg(format!("lock_{index}"), uint(32), 0);
            let slot = reg(format!("slot_{index}"), choice.slot, 0);
            let taken = accepts.value() & thread.eq(index);
            when(taken, || {
                busy.next(true);
                held.next(lock);
                slot.next(choice.slot);
            })
            .elsewhen(frees[index as usize], || busy.next(false));
            let runs = busy.value() & !io.ended.bit(index);
            free.push(!busy.value());
            let mates = runs & delayed(format!("same_slot_{index}"), slot.eq(choice.slot));
            conflicts.push(mates & delayed(format!("same_lock_{index}"), held.eq(lock)));
            same_slot.push(mates);
            running.push(runs);
            busy_bits.push(busy.as_uint());
            busy_flags.push(busy.value());
        }
        busy_bits.reverse();
        io.busy.set(cat(&busy_bits));
        io.running.set(any(&running));
        let in_order = lookup(
            choice.ordering,
            &[(0, Bool::lit(false)), (1, any(&conflicts))],
            any(&same_slot),
        );
        let may_wait = choice.served & !choice.ordering.is_zero() & any(&running);
        let blocked = (may_wait & (in_order | !compared.value())).named("blocked");
        let some_free = any(&free);
        let ready = some_free & !blocked & !io.hold.value() & !Bool::reset();
        io.event.accept(ready);
        thread.set(self.choose(&free, &busy_flags));
        accepts.set(ready & io.event.valid());
        io.accept.set(ThreadPulse { valid: accepts.value(), thread: thread.value() });
        io.waits_for_thread.set(io.event.valid() & !some_free);
        io.waits_for_lock.set(io.event.valid() & some_free & blocked & compared.value());

        let malformed = !bits(FLAGS.offset, FLAGS.bytes).is_zero();
        io.refuse.set(End {
            valid: accepts.value() & (malformed | !choice.served),
            thread: thread.value(),
            status: mux(
                malformed,
                UInt::lit(Status::BadEvent as u64, 8),
                UInt::lit(Status::NoProgram as u64, 8),
            ),
        });
    }
}

impl Dispatcher {
    /// The lowest free thread of the stage with the fewest events.
    fn choose(&self, free: &[Bool], busy: &[Bool]) -> UInt {
        let each = (self.widths.threads / self.widths.stages) as usize;
        let stages = free.chunks(each).zip(busy.chunks(each)).enumerate();
        let mut candidates: Vec<(UInt, UInt)> = stages
            .map(|(stage, (free, busy))| {
                let bits: Vec<UInt> = busy.iter().map(|busy| busy.as_uint()).collect();
                let first = UInt::lit((stage * each) as u64, self.widths.thread);
                (count_ones(cat(&bits)), first | lowest_set(free).zext(self.widths.thread))
            })
            .collect();
        while candidates.len() > 1 {
            candidates = candidates
                .chunks(2)
                .map(|pair| match *pair {
                    [(left, own), (right, other)] => {
                        let fewer = right.lt(left);
                        (mux(fewer, right, left), mux(fewer, other, own))
                    }
                    ref single => single[0],
                })
                .collect();
        }
        candidates[0].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_isa::arithmetic::hash_key;
    use rmt_isa::card::CardShape;

    struct Bench {
        sim: Simulator,
    }

    fn with_threads(threads: u32) -> CardShape {
        let mut shape = CardShape::tiny();
        shape.engine.threads = threads;
        shape
    }

    impl Bench {
        fn new(ordering: u64) -> Self {
            Self::of_shape(&CardShape { stages: 1, ..with_threads(4) }, ordering)
        }

        fn of_shape(shape: &CardShape, ordering: u64) -> Self {
            let widths = Widths::of(shape);
            let mut sim = elaborate(Dispatcher { widths }).unwrap().simulator();
            sim.poke("choice_served", 1);
            sim.poke("choice_ordering", ordering);
            Self { sim }
        }

        /// Offers an event of hook 3 for two cycles at most; the thread that takes it.
        fn offer(&mut self, key: u64) -> Option<u64> {
            self.sim.poke("event_valid", 1);
            self.sim.poke("lock", u64::from(hash_key(key)) & 7);
            self.sim.poke_bits(
                "event_payload",
                &Bits::from_words(EVENT_BITS, &[3, key, 0, 0, 0, 0, 0, 0]),
            );
            if self.sim.peek("event_ready") == 0 {
                self.sim.step();
            }
            let taken = self.sim.peek("accept_valid") == 1;
            assert_eq!(taken, self.sim.peek("event_ready") == 1);
            let thread = taken.then(|| self.sim.peek("accept_thread"));
            self.sim.step();
            self.sim.poke("event_valid", 0);
            self.sim.step();
            thread
        }

        fn free(&mut self, thread: u64) {
            self.sim.poke("free_valid", 1);
            self.sim.poke("free_thread", thread);
            self.sim.step();
            self.sim.poke("free_valid", 0);
        }
    }

    #[test]
    fn pure_events_take_all_threads_at_once() {
        let mut bench = Bench::new(0);
        assert_eq!(
            [1, 1, 1, 1, 1].map(|key| bench.offer(key)),
            [Some(0), Some(1), Some(2), Some(3), None]
        );
        bench.free(2);
        assert_eq!(bench.offer(1), Some(2));
    }

    #[test]
    fn an_event_goes_to_the_stage_with_the_fewest() {
        let mut bench = Bench::of_shape(&CardShape { stages: 4, ..with_threads(8) }, 0);
        let taken = [(); 6].map(|()| bench.offer(1));
        assert_eq!(taken, [0, 2, 4, 6, 1, 3].map(Some));
        bench.free(2);
        bench.free(3);
        bench.free(6);
        assert_eq!([(); 4].map(|()| bench.offer(1)), [2, 6, 3, 5].map(Some));
        assert_eq!([(); 2].map(|()| bench.offer(1)), [Some(7), None]);
    }

    #[test]
    fn events_of_one_lock_wait_and_others_pass() {
        let mut bench = Bench::new(1);
        let lock = |key: u64| hash_key(key) & 7;
        let mate = (2..).find(|&key| lock(key) == lock(1)).unwrap();
        let other = (2..).find(|&key| lock(key) != lock(1)).unwrap();
        assert_eq!(bench.offer(1), Some(0));
        assert_eq!(bench.offer(1), None);
        assert_eq!(bench.offer(mate), None);
        assert_eq!(bench.offer(other), Some(1));
        // The event has ended, its decision has not left: the lock is free, the thread not.
        bench.sim.poke("ended", 1);
        assert_eq!(bench.offer(mate), Some(2));
        bench.sim.poke("ended", 0);
        bench.free(0);
        assert_eq!(bench.offer(1), None, "the mate runs now");
        bench.free(2);
        assert_eq!(bench.offer(1), Some(0));
    }

    #[test]
    fn total_order_runs_one_event_at_a_time() {
        let mut bench = Bench::new(2);
        assert_eq!(bench.offer(1), Some(0));
        assert_eq!(bench.offer(2), None);
        bench.free(0);
        assert_eq!(bench.offer(2), Some(0));
    }

    #[test]
    fn slots_do_not_wait_for_each_other() {
        let mut bench = Bench::new(2);
        assert_eq!(bench.offer(1), Some(0));
        bench.sim.poke("choice_slot", 5);
        assert_eq!(bench.offer(1), Some(1));
        assert_eq!(bench.offer(1), None);
        bench.sim.poke("choice_served", 0);
        assert_eq!(bench.offer(1), Some(2), "an event for nobody ends whatever runs");
    }

    #[test]
    fn events_for_nobody_end_at_once() {
        let mut bench = Bench::new(0);
        bench.sim.poke("event_valid", 1);
        for (word, served, status) in
            [(4, 0, Status::NoProgram), (3 | 1 << 16, 1, Status::BadEvent)]
        {
            bench.sim.poke("choice_served", served);
            bench.sim.poke_bits(
                "event_payload",
                &Bits::from_words(EVENT_BITS, &[word, 0, 0, 0, 0, 0, 0, 0]),
            );
            assert_eq!(bench.sim.peek("refuse_valid"), 1);
            assert_eq!(bench.sim.peek("refuse_status"), status as u64);
            bench.sim.step();
        }
    }
}
