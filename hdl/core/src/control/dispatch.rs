//! Takes events, gives each a thread, and keeps events in the order that the program needs.

use rmt_isa::Status;
use rmt_isa::card::fields::control_enable;
use rmt_isa::event::event_layout::{FLAGS, HOOK, KEY};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use crate::bits::{any, crc32c, field, flag, lowest_set, one_hot};
use crate::config::Widths;
use crate::signals::{End, ThreadPulse};

/// The dispatcher. Events are taken in order of arrival. One is taken when a thread is free
/// and, as the program's ordering says,
/// - pure: at once;
/// - per key: when no running thread holds the lock of its key, the masked hash of the key;
/// - total: when no other event runs.
///
/// A thread holds its lock until its event has ended.
pub struct Dispatcher {
    pub(crate) widths: Widths,
}

/// Ports of [`Dispatcher`].
#[derive(Clone, Ports)]
pub struct DispatcherIo {
    /// Events of 64 bytes, byte i in bits 8i+7..8i
    pub event: StreamIn<UInt>,
    /// Control word 0
    pub control: Input<UInt>,
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
    /// An event waits for a thread
    pub waits_for_thread: Output<Bool>,
    /// An event waits for a lock or its turn
    pub waits_for_lock: Output<Bool>,
}

impl Component for Dispatcher {
    type Io = DispatcherIo;

    fn name(&self) -> String {
        format!("dispatcher_t{}", self.widths.threads)
    }

    fn doc(&self) -> String {
        "Takes events, gives each a thread, keeps the order of events that share state".into()
    }

    fn io(&self) -> DispatcherIo {
        DispatcherIo {
            event: stream_in(uint(512)),
            control: input(uint(64)),
            hold: input(boolean()),
            accept: output(ThreadPulse::shape(&self.widths)),
            refuse: output(End::shape(&self.widths)),
            ended: input(uint(self.widths.threads)),
            free: input(ThreadPulse::shape(&self.widths)),
            busy: output(uint(self.widths.threads)),
            waits_for_thread: output(boolean()),
            waits_for_lock: output(boolean()),
        }
    }

    fn build(&self, io: DispatcherIo) {
        let threads = self.widths.threads;
        let (event, control) = (io.event.payload(), io.control.value());
        let bits = |offset: usize, bytes: usize| {
            event.bits(8 * offset as u32..8 * (offset + bytes) as u32)
        };
        let hash = crc32c(u32::MAX, bits(KEY.offset, KEY.bytes));
        let lock = (hash & field(control, control_enable::LOCK_MASK)).named("lock");

        let mut free = Vec::new();
        let mut conflicts = Vec::new();
        let mut running = Vec::new();
        let mut busy_bits = Vec::new();
        let accepts = wire("accepts", boolean());
        let thread = wire("thread", uint(self.widths.thread));
        let frees = one_hot(io.free.valid, io.free.thread, threads);
        for index in 0..threads {
            let busy = reg(format!("busy_{index}"), boolean(), false);
            let held = reg(format!("lock_{index}"), uint(32), 0);
            let taken = accepts.value() & thread.eq(index);
            when(taken, || {
                busy.next(true);
                held.next(lock);
            })
            .elsewhen(frees[index as usize], || busy.next(false));
            let runs = busy.value() & !io.ended.bit(index);
            free.push(!busy.value());
            conflicts.push(runs & held.eq(lock));
            running.push(runs);
            busy_bits.push(busy.as_uint());
        }
        busy_bits.reverse();
        io.busy.set(cat(&busy_bits));
        let ordering = field(control, control_enable::ORDERING);
        let blocked =
            lookup(ordering, &[(0, Bool::lit(false)), (1, any(&conflicts))], any(&running));
        let some_free = any(&free);
        let ready = some_free & !blocked & !io.hold.value() & !Bool::reset();
        io.event.accept(ready);
        thread.set(lowest_set(&free));
        accepts.set(ready & io.event.valid());
        io.accept.set(ThreadPulse { valid: accepts.value(), thread: thread.value() });
        io.waits_for_thread.set(io.event.valid() & !some_free);
        io.waits_for_lock.set(io.event.valid() & some_free & blocked);

        let malformed = !bits(FLAGS.offset, FLAGS.bytes).is_zero();
        let served = flag(control, control_enable::ENABLE)
            & bits(HOOK.offset, HOOK.bytes).eq(field(control, control_enable::HOOK));
        io.refuse.set(End {
            valid: accepts.value() & (malformed | !served),
            thread: thread.value(),
            status: mux(
                malformed,
                UInt::lit(Status::BadEvent as u64, 8),
                UInt::lit(Status::NoProgram as u64, 8),
            ),
        });
    }
}
