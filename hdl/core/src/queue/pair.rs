//! State of one queue pair.

use rmt_isa::device::fields::{
    pair_control, pair_domain, pair_interrupt, pair_moderation, pair_rings, pair_status,
};
use rmt_isa::device::registers::{
    COMPLETION_HEAD, COMPLETION_RING, COMPLETION_TAIL, DOMAIN, EVENT_HEAD, EVENT_RING, EVENT_TAIL,
    HOOKS, INLINE_LINES, INTERRUPT, MODERATION, OUTSTANDING, PAIR_CONTROL, PAIR_STATUS, RINGS,
    Register,
};
use rmt_isa::device::{
    MAX_RING_LOG2, MIN_RING_LOG2, MODERATION_CYCLES, QueueError, RING_ALIGNMENT,
};
use rtl_builder::prelude::*;

use crate::bits::{at_most, field, flag, word_of};
use crate::tlp::{LineBytes, join, shown};

/// What other units must know of a pair.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct PairView {
    /// It is enabled: decisions are written
    pub enabled: Bool,
    /// It takes events
    pub running: Bool,
    /// Bus address of the event ring
    pub event_ring: UInt,
    /// Bus address of the completion ring
    pub completion_ring: UInt,
    /// Binary logarithm of the events in the event ring
    pub event_log2: UInt,
    /// Binary logarithm of the decisions in the completion ring
    pub completion_log2: UInt,
    /// Events are in the ring and not fetched
    pub has_events: Bool,
    /// How many: those that came in the last cycle are not counted yet
    pub waiting: UInt,
    /// Index of the first of them
    pub fetch_index: UInt,
    /// Index of the next decision
    pub completion_tail: UInt,
    /// Completion places that are not promised; those that became free in the last four cycles are not counted yet
    pub free: UInt,
    /// Allowed hooks, the first one lowest
    pub hooks: UInt,
    /// How many of them count
    pub hook_count: UInt,
}

impl PairView {
    /// The shape.
    pub fn shape() -> Self {
        Self {
            enabled: boolean(),
            running: boolean(),
            event_ring: uint(64),
            completion_ring: uint(64),
            event_log2: uint(4),
            completion_log2: uint(4),
            has_events: boolean(),
            waiting: uint(16),
            fetch_index: uint(16),
            completion_tail: uint(16),
            free: uint(16),
            hooks: uint(64),
            hook_count: uint(3),
        }
    }
}

/// What happens to a pair in a cycle.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct PairStrobes {
    /// An inline event is complete and has a place
    pub inline_taken: Bool,
    /// An inline event was written to this line, whether or not it had a place
    pub inline_seen: Bool,
    /// The line
    pub inline_line: UInt,
    /// So many events of the ring are being fetched
    pub fetched: UInt,
    /// An event of the ring was accepted
    pub accepted: Bool,
    /// So many promised places are given back unused
    pub returned: UInt,
    /// A decision was written or dropped
    pub written: Bool,
    /// It fails with this error
    pub error: UInt,
    /// It is stopped by the admin queue
    pub stop: Bool,
}

impl PairStrobes {
    /// The shape.
    pub fn shape() -> Self {
        Self {
            inline_taken: boolean(),
            inline_seen: boolean(),
            inline_line: uint(INLINE_LINES.ilog2()),
            fetched: uint(4),
            accepted: boolean(),
            returned: uint(4),
            written: boolean(),
            error: uint(8),
            stop: boolean(),
        }
    }
}

/// One queue pair, or the rings of the admin queue.
pub struct Pair {
    /// Width of a word that is written, bits.
    pub bits: u32,
}

/// Ports of [`Pair`].
#[derive(Clone, Ports)]
pub struct PairIo {
    /// Bytes in the line with the pair's rings and rights are written
    pub write_config: Input<Bool>,
    /// Bytes in the line with its doorbells are written
    pub write_page: Input<Bool>,
    /// The bytes
    pub bytes: Input<LineBytes>,
    /// What happens
    pub strobes: Input<PairStrobes>,
    /// What others must know
    pub view: Output<PairView>,
    /// DW of a line that is read
    pub read_dw: Input<UInt>,
    /// Its state in the line with rings and rights; all else there reads as it was written
    pub control: Output<UInt>,
    /// It, in the line with doorbells and state
    pub page: Output<UInt>,
    /// It has an error
    pub failed: Output<Bool>,
    /// Events of it are inside
    pub busy: Output<Bool>,
    /// An interrupt is due in this cycle
    pub announces: Output<Bool>,
    /// Its vector
    pub vector: Output<UInt>,
}

impl Component for Pair {
    type Io = PairIo;

    fn name(&self) -> String {
        format!("queue_pair_w{}", self.bits)
    }

    fn doc(&self) -> String {
        "State of one queue pair".into()
    }

    fn io(&self) -> PairIo {
        PairIo {
            write_config: input(boolean()),
            write_page: input(boolean()),
            bytes: input(LineBytes::shape(self.bits)),
            strobes: input(PairStrobes::shape()),
            view: output(PairView::shape()),
            read_dw: input(uint(4)),
            control: output(uint(32)),
            page: output(uint(32)),
            failed: output(boolean()),
            busy: output(boolean()),
            announces: output(boolean()),
            vector: output(uint(8)),
        }
    }

    fn build(&self, io: PairIo) {
        let bytes = io.bytes.value();
        let (data, enables) = (bytes.line(), bytes.line_enables());
        // A register that the host writes; writes may cover any of its bytes.
        let writable = |register: Register, write: Bool| {
            let bits = 8 * register.bytes;
            let value = reg(
                format!("{}_register", register.name.to_lowercase()),
                uint(bits),
                UInt::lit(0, bits),
            )
            .doc(register.doc.trim());
            when(write, || value.next(merge(register, value.value(), data, enables)));
            value
        };
        let config = io.write_config.value();
        let event_ring = writable(EVENT_RING, config);
        let completion_ring = writable(COMPLETION_RING, config);
        let rings = writable(RINGS, config);
        let interrupt = writable(INTERRUPT, config);
        let moderation = writable(MODERATION, config);
        let domain = writable(DOMAIN, config);
        let hooks = writable(HOOKS, config);
        let control = writable(PAIR_CONTROL, config);

        let event_log2 = field(rings.value(), pair_rings::EVENT_LOG2);
        let completion_log2 = field(rings.value(), pair_rings::COMPLETION_LOG2);
        let size = |log2: UInt| UInt::lit(1, 16).shift_left(log2);
        let in_range = |log2: UInt| {
            !at_most(log2, u64::from(MIN_RING_LOG2) - 1) & at_most(log2, MAX_RING_LOG2.into())
        };
        let aligned = |address: UInt| address.bits(0..RING_ALIGNMENT.ilog2()).is_zero();
        let sound = (in_range(event_log2)
            & in_range(completion_log2)
            & aligned(event_ring.value())
            & aligned(completion_ring.value()))
        .named("sound");

        let strobes = io.strobes.value();
        let enabled = reg("enabled", boolean(), false);
        let error = reg("error", uint(8), 0).doc("Why it stopped, a `QueueError`");
        let event_tail = reg("event_tail", uint(16), 0);
        let event_head = reg("event_head", uint(16), 0);
        let fetch_index = reg("fetch_index", uint(16), 0).doc("First event that is not fetched");
        let head = reg("completion_head", uint(16), 0);
        let tail = reg("completion_tail", uint(16), 0);
        let outstanding = reg("outstanding", uint(16), 0).doc("Promised completion places");
        let busy = !outstanding.is_zero();
        let running = (enabled & error.is_zero()).named("running");
        let unread = tail.wrapping_sub(head.value()).named("unread");

        // Places are promised and given back.
        // Of each kind there are several of a batch and one alone, which is the carry into the sum.
        let more = strobes.fetched.concat(strobes.inline_taken.as_uint());
        // What is given back or written counts a cycle later, so that no place is free too early and one sum is made of what
        // comes late.
        let fewer = reg("fewer", uint(strobes.returned.width() + 1), 0);
        fewer.next(strobes.returned.concat(strobes.written.as_uint()));
        let minus = |value: UInt, pulses: UInt| {
            value.concat(UInt::lit(0, 1)).wrapping_sub(pulses).bits(1..17)
        };
        let kept = minus(outstanding.value(), fewer.value());
        outstanding.next(kept.concat(UInt::lit(1, 1)).wrapping_add(more).bits(1..17));
        fetch_index.next(fetch_index.wrapping_add(strobes.fetched));
        when(strobes.accepted, || event_head.next(event_head.wrapping_add(1)));
        when(strobes.written & enabled, || tail.next(tail.wrapping_add(1)));

        // How many events wait and how many places are free stands in registers. What is fetched or promised in a cycle
        // is counted at its end, what the host or the core adds later: so neither is ever too large. A decision that is
        // written takes the place that it was promised.
        let waiting = reg("waiting", uint(16), 0).doc("Events that are not fetched");
        let free = reg("free", uint(16), 0).doc("Completion places that are not promised");
        let unfetched = event_tail.wrapping_sub(fetch_index.value()).wrapping_sub(strobes.fetched);
        waiting.next(mux(enabled, unfetched, UInt::lit(0, 16)));
        // Places without a decision are a cycle late, as is what leaves the promised ones.
        let empty = delayed("empty", size(completion_log2).wrapping_sub(unread));
        free.next(minus(empty.wrapping_sub(outstanding), more));

        // Doorbells.
        let doorbell = |register: Register| {
            let rung = io.write_page.value()
                & enables.bits(register.offset..register.offset + 2).reduce_and();
            let low = 8 * register.offset;
            (rung & enabled, data.bits(low..low + 16))
        };
        let fail = |code: QueueError| {
            when(error.is_zero(), || error.next(UInt::lit(code as u64, 8)));
        };
        let (rung, new_tail) = doorbell(EVENT_TAIL);
        let pending = new_tail.wrapping_sub(event_head.value());
        when(rung, || {
            when(!pending.gt(size(event_log2)), || event_tail.next(new_tail));
        });
        // The tail stays, and the pair fails a cycle later.
        let overrun = reg("tail_overrun", boolean(), false);
        overrun.next(rung & pending.gt(size(event_log2)));
        when(overrun & enabled, || fail(QueueError::EventOverrun));
        // A head is checked in the cycle after it came. The line of an inline event says one too, see
        // `ring::head_after_line`; the next line takes longer to come.
        let (rung, new_head) = doorbell(COMPLETION_HEAD);
        let unit = completion_log2.wrapping_sub(MIN_RING_LOG2).trunc(4);
        let known = delayed("known_units", head.value().shift_right(unit));
        let (units, low) = (strobes.inline_line, known.bits(0..5));
        let steps = units.wrapping_sub(low).named("line_steps");
        // The next units that end in the line's number; they become places a cycle later.
        let high = known.bits(5..16);
        let said = mux(units.lt(low), high.wrapping_add(1), high).concat(units);
        let units_said = delayed("units_of_line", said);
        let said = units_said.shift_left(unit).named("head_of_line");
        let moves = !steps.is_zero() & steps.le(1 << MIN_RING_LOG2);
        // A doorbell in the same cycle or the next one is newer than what a line says, and until a doorbell's head is known a
        // line says nothing: its units begin before that head.
        let rung_lately = reg("rung_lately", uint(3), 0);
        rung_lately.next(rung_lately.bits(0..2).concat(rung.as_uint()));
        let line_seen = reg("line_seen", boolean(), false);
        line_seen.next(strobes.inline_seen & moves & !rung & rung_lately.is_zero());
        let seen = reg("head_seen", boolean(), false);
        seen.next(rung | line_seen);
        let said = delayed("said", mux(rung, new_head, said));
        // Whether it is sound is known a cycle later still. A decision that comes meanwhile makes no head unsound.
        let checked = reg("head_checked", boolean(), false);
        checked.next(seen & enabled);
        let unsound = delayed("head_unsound", tail.wrapping_sub(said).gt(unread));
        let checked_head = delayed("checked_head", said);
        when(checked & enabled, || {
            when(unsound, || fail(QueueError::BadCompletionHead))
                .otherwise(|| head.next(checked_head));
        });
        when(!strobes.error.is_zero() & running, || error.next(strobes.error));

        // Start and stop.
        let wants = flag(merge(PAIR_CONTROL, control.value(), data, enables), pair_control::ENABLE);
        let touched = config & enables.bit(PAIR_CONTROL.offset);
        let draining = (busy & !enabled).named("draining");
        when(touched & wants & !enabled & !draining, || {
            enabled.next(true);
            error.next(mux(
                sound,
                UInt::lit(0, 8),
                UInt::lit(QueueError::BadConfiguration as u64, 8),
            ));
            for index in [&event_tail, &event_head, &fetch_index, &head, &tail] {
                index.next(0);
            }
        });
        when((touched & !wants) | strobes.stop, || {
            enabled.next(false);
            error.next(0);
        });

        // Moderation: decisions since the last interrupt, and time since the first of them.
        let count = reg("unannounced", uint(16), 0).doc("Decisions since the last interrupt");
        let time = reg("unannounced_time", uint(16 + MODERATION_CYCLES.ilog2()), 0);
        let bound = field(moderation.value(), pair_moderation::DECISIONS);
        let limit = field(moderation.value(), pair_moderation::TIME);
        let asked = flag(interrupt.value(), pair_interrupt::ENABLE);
        // Whether an interrupt is due is known a cycle late, and not of what it has told already.
        let reached = reg("reached", boolean(), false).doc("So many decisions came");
        let waited = reg("waited", boolean(), false).doc("So much time went by");
        let due = (asked & (reached | waited.value())).named("due");
        let open = !count.is_zero() & asked & enabled & !due;
        reached.next(open & count.ge(bound));
        let past = time.bits(MODERATION_CYCLES.ilog2()..16 + MODERATION_CYCLES.ilog2()).ge(limit);
        waited.next(open & !limit.is_zero() & past);
        let news = (strobes.written & enabled).as_uint();
        when(due | !asked | !enabled, || {
            count.next(mux(asked, news.zext(16), UInt::lit(0, 16)));
            time.next(0);
        })
        .otherwise(|| {
            count.next((count + news).sat(16));
            when(!count.is_zero(), || time.next((time + 1).sat(time.width())));
        });
        io.announces.set(due);
        io.vector.set(field(interrupt.value(), pair_interrupt::VECTOR));

        io.view.set(PairView {
            enabled: enabled.value(),
            running,
            event_ring: event_ring.value(),
            completion_ring: completion_ring.value(),
            event_log2,
            completion_log2,
            has_events: event_tail.ne(fetch_index.value()),
            waiting: waiting.value(),
            fetch_index: fetch_index.value(),
            completion_tail: tail.value(),
            free: free.value(),
            hooks: hooks.value(),
            hook_count: field(control.value(), pair_control::HOOK_COUNT),
        });
        io.failed.set(enabled & !error.is_zero());
        io.busy.set(busy);
        let shown_control = word_of(
            &[
                (pair_control::ENABLE, enabled.as_uint()),
                (pair_control::HOOK_COUNT, field(control.value(), pair_control::HOOK_COUNT)),
            ],
            32,
        );
        io.control.set(shown_control);
        let status = word_of(
            &[
                (pair_status::RUNNING, running.as_uint()),
                (pair_status::DRAINING, draining.as_uint()),
                (pair_status::ERROR, error.value()),
                (pair_status::DOMAIN, field(domain.value(), pair_domain::DOMAIN)),
            ],
            32,
        );
        let page_line = line(&[
            (EVENT_TAIL, event_tail.zext(32)),
            (COMPLETION_HEAD, head.zext(32)),
            (PAIR_STATUS, status),
            (EVENT_HEAD, event_head.zext(32)),
            (COMPLETION_TAIL, tail.zext(32)),
            (OUTSTANDING, outstanding.zext(32)),
        ]);
        io.page.set(shown(page_line, io.read_dw.value(), 32));
    }
}

/// A register's value after a write of some bytes of its line.
pub(crate) fn merge(register: Register, old: UInt, data: UInt, enables: UInt) -> UInt {
    let bytes: Vec<UInt> = (0..register.bytes)
        .map(|byte| {
            let place = register.offset + byte;
            let new = data.bits(8 * place..8 * place + 8);
            mux(enables.bit(place), new, old.bits(8 * byte..8 * byte + 8))
        })
        .collect();
    join(&bytes)
}

/// A line of 64 bytes with registers in it.
pub(crate) fn line(registers: &[(Register, UInt)]) -> UInt {
    registers.iter().fold(UInt::lit(0, 512), |line, (register, value)| {
        let high = 512 - 8 * register.offset - value.width();
        let low = 8 * register.offset;
        let mut parts = vec![value.zext(value.width())];
        if low > 0 {
            parts.insert(0, UInt::lit(0, low));
        }
        if high > 0 {
            parts.push(UInt::lit(0, high));
        }
        line | join(&parts)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a register of a line, with bytes of one word.
    fn write(sim: &mut Simulator, line: &str, register: Register, value: u64) {
        let place = register.offset % 8;
        sim.poke(line, 1);
        sim.poke("bytes_place", u64::from(register.offset / 8));
        sim.poke("bytes_word", value << (8 * place));
        sim.poke("bytes_enables", ((1 << register.bytes) - 1) << place);
    }

    #[test]
    fn no_event_and_no_place_is_counted_before_it_is_there_or_twice() {
        let mut sim = elaborate(Pair { bits: 64 }).unwrap().simulator();
        sim.reset();
        let size = 1 << MIN_RING_LOG2;
        let logs = u64::from(MIN_RING_LOG2);
        let rings = logs << pair_rings::EVENT_LOG2.low | logs << pair_rings::COMPLETION_LOG2.low;
        for (register, value) in [(RINGS, rings), (PAIR_CONTROL, 1)] {
            write(&mut sim, "write_config", register, value);
            sim.step();
        }
        sim.poke("write_config", 0);
        sim.step();
        let mut random = fastrand::Rng::with_seed(5);
        // Events that were put into the ring, fetched, accepted; places that are promised; decisions that were
        // written, and read.
        let (mut put, mut fetched, mut accepted) = (0, 0, 0);
        let (mut promised, mut written, mut read) = (0, 0, 0);
        // Cycles in which nothing happened, until now.
        let (mut quiet, mut full) = (0, 0);
        for cycle in 0..40_000 {
            let waiting = put - fetched;
            let free = size - (written - read) - promised;
            let (seen_waiting, seen_free) = (sim.peek("view_waiting"), sim.peek("view_free"));
            assert!(seen_waiting <= waiting && seen_free <= free, "cycle {cycle}");
            assert!(quiet < 1 || seen_waiting == waiting, "cycle {cycle}");
            assert!(quiet < 4 || seen_free == free, "cycle {cycle}");
            assert_eq!(sim.peek("view_has_events"), u64::from(waiting > 0), "cycle {cycle}");
            full += u64::from(free == 0);
            quiet = if random.u8(..4) == 0 { quiet + 1 } else { 0 };
            let is_quiet = quiet > 0;
            let mut upto = |most: u64| if is_quiet { 0 } else { random.u64(0..=most) };
            let fetches = upto(seen_waiting.min(seen_free).min(8));
            let takes = upto(1).min(seen_free - fetches);
            let writes = upto(1).min(promised);
            let returns = upto(8).min(promised - writes) / 4;
            let accepts = upto(1).min(fetched - accepted);
            let (rings, reads) = (upto(size - (put - accepted)), upto(written - read));
            let rings_tail = upto(1) == 1;
            sim.poke("write_page", 0);
            if !is_quiet && rings_tail {
                put += rings;
                write(&mut sim, "write_page", EVENT_TAIL, put & 0xffff);
            } else if !is_quiet {
                read += reads;
                write(&mut sim, "write_page", COMPLETION_HEAD, read & 0xffff);
            }
            for (strobe, count) in [
                ("fetched", fetches),
                ("inline_taken", takes),
                ("written", writes),
                ("returned", returns),
                ("accepted", accepts),
            ] {
                sim.poke(&format!("strobes_{strobe}"), count);
            }
            fetched += fetches;
            accepted += accepts;
            promised = promised + fetches + takes - writes - returns;
            written += writes;
            sim.step();
        }
        assert_eq!(sim.peek("failed"), 0);
        assert!(full > 100 && written > 1000, "{full} {written}");
    }
}
