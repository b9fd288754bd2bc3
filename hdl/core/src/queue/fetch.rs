//! Events of rings are fetched in batches.

use rmt_isa::device::{FETCH_EVENTS, QueueError};
use rtl_builder::prelude::*;
use rtl_builder::stock::RoundRobinArbiter;
use rtl_builder::stock::stream::Stream;

use super::dispatch::PairLine;
use super::inline::pair_bits;
use super::lines;
use super::pair::{PairStrobes, PairView};
use crate::bits::{few_sum, low_ones, one_less, one_more_of_few};
use crate::tlp::request::outcome;
use crate::tlp::{FETCH_SLOTS, ReadOrder, join};

/// Reads up to eight events at once from the ring of a pair that has some, pairs in turn, and
/// hands them on in the order in which they were asked for. A place in the completion ring is
/// promised for each event when it is asked for.
///
/// Batches are aligned to their size, so that none crosses 4 KiB, the end of a ring or the
/// largest read request.
pub struct Fetcher {
    /// Queue pairs.
    pub queues: u32,
    /// Bits of a line's row.
    pub row_bits: u32,
}

/// Ports of [`Fetcher`].
#[derive(Clone, Ports)]
pub struct FetcherIo {
    /// All pairs
    pub views: Vec<Input<PairView>>,
    /// Of the strobes, those of fetching: fetched, accepted, returned, error
    pub strobes: Vec<Output<PairStrobes>>,
    /// An inline event ends, which may take a completion place
    pub inline_ends: Input<Bool>,
    /// Largest read request, as in the sideband
    pub max_read_request: Input<UInt>,
    /// Reads
    pub order: StreamOut<ReadOrder>,
    /// Bit s: slot s has ended
    pub ended: Input<UInt>,
    /// How
    pub outcomes: Vec<Input<UInt>>,
    /// Bit s: slot s is free again
    pub release: Output<UInt>,
    /// An event is here
    pub waits: Output<Bool>,
    /// It
    pub event: Output<PairLine>,
    /// It is taken
    pub takes: Input<Bool>,
    /// Nothing is under way
    pub idle: Output<Bool>,
}

#[derive(Clone, Copy, Debug, State)]
enum Step {
    Choose,
    Size,
    Count,
    Order,
}

#[derive(Clone, Copy, Debug, State)]
enum Drain {
    Wait,
    Offer,
}

impl Component for Fetcher {
    type Io = FetcherIo;

    fn name(&self) -> String {
        format!("event_fetcher_q{}_r{}", self.queues, self.row_bits)
    }

    fn doc(&self) -> String {
        "Events of rings are fetched in batches".into()
    }

    fn io(&self) -> FetcherIo {
        let pairs = 0..self.queues;
        FetcherIo {
            views: pairs.clone().map(|_| input(PairView::shape())).collect(),
            strobes: pairs.map(|_| output(PairStrobes::shape())).collect(),
            inline_ends: input(boolean()),
            max_read_request: input(uint(3)),
            order: stream_out(ReadOrder::shape()),
            ended: input(uint(FETCH_SLOTS)),
            outcomes: (0..FETCH_SLOTS).map(|_| input(uint(2))).collect(),
            release: output(uint(FETCH_SLOTS)),
            waits: output(boolean()),
            event: output(PairLine::shape(self.row_bits)),
            takes: input(boolean()),
            idle: output(boolean()),
        }
    }

    fn build(&self, io: FetcherIo) {
        let views: Vec<PairView> = io.views.iter().map(Input::value).collect();
        let bits = pair_bits(self.queues);
        let slot_bits = FETCH_SLOTS.ilog2();

        // Slots are used in turn, and drained in the same order.
        let next_slot = reg("next_slot", uint(slot_bits), 0);
        let drain_slot = reg("drain_slot", uint(slot_bits), 0);
        let used = reg("used", uint(slot_bits + 1), 0).doc("Slots that are in use");
        let owners: Vec<_> = (0..FETCH_SLOTS)
            .map(|slot| {
                (
                    reg(format!("owner_{slot}"), uint(bits), 0),
                    reg(format!("batch_{slot}"), uint(4), 0),
                )
            })
            .collect();

        // Choose a pair, look how much there is, then size the batch by what is free.
        let step = fsm("step", Step::Choose);
        let chosen = reg("chosen", uint(bits), 0);
        let wishing: Vec<UInt> = views
            .iter()
            .map(|view| (view.running & view.has_events & !view.free.is_zero()).as_uint())
            .collect();
        // Who has events and places is known a cycle late; how many there are is looked at again.
        let wishes = reg("wishes", uint(self.queues), 0);
        wishes.next(join(&wishing));
        let arbiter = instance("arbiter", RoundRobinArbiter::<Main>::new(self.queues));
        arbiter.request.set(wishes);
        let open = step.is(Step::Choose) & used.ne(u64::from(FETCH_SLOTS));
        arbiter.accept.set(open);
        let view = select(chosen.value(), &views);
        // Largest batch: 128, 256 or 512 bytes. So many events are left of the one that the next event is in.
        let wide = io.max_read_request.value();
        let inside = lookup(
            wide,
            &[(0, UInt::lit(1, 3)), (1, UInt::lit(3, 3))],
            UInt::lit(u64::from(FETCH_EVENTS) - 1, 3),
        );
        let sizes: Vec<UInt> =
            (1..=u64::from(FETCH_EVENTS)).map(|size| UInt::lit(size, 4)).collect();
        let few = |limit: UInt| limit.sat(4);
        let aligned = delayed("aligned", select(!view.fetch_index.bits(0..3) & inside, &sizes));
        let waiting = delayed("few_waiting", few(view.waiting));
        let free = delayed("few_free", few(view.free));
        // The least of the three: each two are compared, then one is chosen. Only the fetcher makes events fewer. Places
        // become fewer with inline events too: if one ended since the places were looked at, all is looked at again.
        let least = mux(
            aligned.le(waiting),
            mux(aligned.le(free), aligned, free),
            mux(waiting.le(free), waiting, free),
        );
        let count = delayed("count", least);
        // Of the event that is next there is always one.
        let some = delayed("some_fit", !waiting.is_zero() & !free.is_zero());
        let ended_before = reg("ended_before", boolean(), false).doc("An inline event ended");
        ended_before.next(io.inline_ends);
        let disturbed = reg("disturbed", boolean(), false).doc("One ended in the last two cycles");
        disturbed.next(io.inline_ends | ended_before);
        let mask = low_ones(view.event_log2, 16);
        let offset = (view.fetch_index & mask).concat(UInt::lit(0, 6));
        let address =
            view.event_ring.bits(24..64).concat(view.event_ring.bits(0..24) | offset.zext(24));
        let order = reg_uninit("order_out", ReadOrder::shape());
        let order_valid = reg("order_waits", boolean(), false);
        let calm = !disturbed & !io.inline_ends.value();
        // What was counted before a pair was stopped does not count behind it.
        let ran = delayed("ran", view.running & delayed("ran_before", view.running));
        // An error of this cycle is as one of the next: the batch is given back.
        let runs = view.enabled & ran;
        let issues = step.is(Step::Order) & !order_valid & runs & some & calm;
        let drained = wire("drained", boolean());
        step.switch()
            .on(Step::Choose, || {
                when(open & arbiter.valid, || {
                    chosen.next(arbiter.index);
                    step.go(Step::Size);
                });
            })
            .on(Step::Size, || step.go(Step::Count))
            .on(Step::Count, || step.go(Step::Order))
            .on(Step::Order, || {
                when(!order_valid & calm, || step.go(Step::Choose));
            });
        when(io.order.ready(), || order_valid.next(false));
        when(issues, || {
            order_valid.next(true);
            order.next(ReadOrder::new(next_slot.zext(3), address, count));
            next_slot.next(next_slot.wrapping_add(1));
            for (slot, (owner, batch)) in owners.iter().enumerate() {
                when(next_slot.eq(slot), || {
                    owner.next(chosen);
                    batch.next(count);
                });
            }
        });
        // A slot that was drained is free a cycle later; its end is not looked at again before it is used again.
        let freed =
            reg("freed", uint(FETCH_SLOTS), 0).doc("Slot that was drained in the last cycle");
        let frees = freed.value().reduce_or();
        when(issues & !frees, || used.next(one_more_of_few(used.value())))
            .elsewhen(frees & !issues, || used.next(one_less(used.value())));
        io.order.offer(order_valid.value(), order.value());

        // Drain the oldest slot.
        let drain = fsm("drain", Drain::Wait);
        let pair = select(
            drain_slot.value(),
            &owners.iter().map(|(owner, _)| owner.value()).collect::<Vec<_>>(),
        );
        let batch = select(
            drain_slot.value(),
            &owners.iter().map(|(_, batch)| batch.value()).collect::<Vec<_>>(),
        );
        let place = reg("place", uint(4), 0).doc("Event of the batch that comes next");
        let owner = select(pair, &views);
        let ended = !used.is_zero() & io.ended.bit_at(drain_slot.value());
        let outcomes: Vec<UInt> = io.outcomes.iter().map(Input::value).collect();
        let how = select(drain_slot.value(), &outcomes).named("how");
        let bad = !how.eq(outcome::DONE);
        let accepted = wire("accepted", boolean());
        let gives_up = wire("gives_up", boolean());
        accepted.set(false);
        gives_up.set(false);
        drained.set(false);
        drain
            .switch()
            .on(Drain::Wait, || {
                when(ended, || {
                    place.next(0);
                    when(bad | !owner.running, || {
                        gives_up.set(true);
                        drained.set(true);
                    })
                    .otherwise(|| drain.go(Drain::Offer));
                });
            })
            .on(Drain::Offer, || {
                when(io.takes, || {
                    accepted.set(true);
                    place.next(place.wrapping_add(1));
                    when(place.eq(one_less(batch)), || {
                        drained.set(true);
                        drain.go(Drain::Wait);
                    })
                    // The rest of a pair that failed meanwhile is given back.
                    .elsewhen(!owner.running, || {
                        place.next(place.wrapping_add(1));
                        gives_up.set(true);
                        drained.set(true);
                        drain.go(Drain::Wait);
                    });
                });
            });
        when(drained, || drain_slot.next(drain_slot.wrapping_add(1)));
        io.waits.set(drain.is(Drain::Offer));
        let row = cat(&[UInt::lit(0, 3 - slot_bits), drain_slot.value(), place.bits(0..3)]);
        io.event.set(PairLine { pair: pair.zext(4), row: lines::read_row(row, self.row_bits) });
        let released = UInt::lit(1, FETCH_SLOTS).shift_left(drain_slot.value());
        freed.next(mux(drained, released, UInt::lit(0, FETCH_SLOTS)));
        io.release.set(freed);
        io.idle.set(used.is_zero() & step.is(Step::Choose));

        let error = lookup(
            how,
            &[
                (outcome::REFUSED, UInt::lit(QueueError::ReadRefused as u64, 8)),
                (outcome::POISONED, UInt::lit(QueueError::ReadPoisoned as u64, 8)),
                (outcome::TIMEOUT, UInt::lit(QueueError::ReadTimeout as u64, 8)),
            ],
            UInt::lit(0, 8),
        );
        // A batch that was begun is given back only as one of its events leaves, which counts as accepted already.
        let left = few_sum(batch, !place.value()).named("left");
        for (index, strobes) in io.strobes.iter().enumerate() {
            let mine = pair.eq(index as u64);
            let fetched = mux(issues & chosen.eq(index as u64), count, UInt::lit(0, 4));
            let given = mux(drain.is(Drain::Wait), batch, left);
            strobes.set(PairStrobes {
                fetched,
                accepted: accepted.value() & mine,
                returned: mux(gives_up.value() & mine, given, UInt::lit(0, 4)),
                error: mux(gives_up.value() & mine & drain.is(Drain::Wait), error, UInt::lit(0, 8)),
                ..zero(&PairStrobes::shape())
            });
        }
        let _ = arbiter.grant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_is_promised_twice_when_inline_events_come_between() {
        let mut sim = elaborate(Fetcher { queues: 1, row_bits: 7 }).unwrap().simulator();
        sim.reset();
        for (port, value) in [
            ("views_0_enabled", 1),
            ("views_0_running", 1),
            ("views_0_has_events", 1),
            ("views_0_waiting", 8),
            ("max_read_request", 2),
            ("order_ready", 1),
            ("ended", (1 << FETCH_SLOTS) - 1),
            ("takes", 1),
        ] {
            sim.poke(port, value);
        }
        let mut random = fastrand::Rng::with_seed(9);
        let (mut free, mut fetched, mut last_places) = (0_u64, 0, 0);
        // Inline events may come more often than a link brings them.
        let mut since_inline = 0;
        for cycle in 0..20_000 {
            sim.poke("views_0_free", free);
            let inline = since_inline >= 4 && random.u8(..3) == 0;
            since_inline = if inline { 0 } else { since_inline + 1 };
            sim.poke("inline_ends", inline.into());
            let batch = sim.peek("strobes_0_fetched");
            let promised = batch + u64::from(inline && free > 0);
            assert!(promised <= free, "cycle {cycle}: {promised} of {free}");
            free -= promised;
            fetched += batch;
            last_places += u64::from(free == 0 && batch > 0);
            free += if random.u8(..8) == 0 { random.u64(..4) } else { 0 };
            sim.step();
        }
        assert!(fetched > 1000 && last_places > 100, "{fetched} {last_places}");
    }
}
