//! Which event goes to the core next, and whose decision comes back.

use rmt_isa::Status;
use rmt_isa::event::{decision_layout, event_layout};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;
use rtl_builder::stock::{RoundRobinArbiter, lowest_set};

use super::pair::PairView;
use crate::bits::{any, at_most};
use crate::tlp::{LINE_WIDTH, join};

/// Where an event waits, and the pair that it came from.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct PairLine {
    /// The pair
    pub pair: UInt,
    /// Row of [`super::lines::Lines`]
    pub row: UInt,
}

impl PairLine {
    /// The shape for rows of `bits` bits.
    pub fn shape(bits: u32) -> Self {
        Self { pair: uint(4), row: uint(bits) }
    }
}

/// A record for a completion ring, without its phase bit.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct PairRecord {
    /// The pair; the number of pairs is the admin queue
    pub pair: UInt,
    /// The record, byte i in bits 8i+7..8i
    pub record: UInt,
}

impl PairRecord {
    /// The shape.
    pub fn shape() -> Self {
        Self { pair: uint(5), record: uint(256) }
    }
}

/// Sources of events: inline ones, and rings.
const SOURCES: u32 = 2;

/// Takes inline events and events of rings in turn, checks their hooks, and remembers which pair
/// each event in the core belongs to.
///
/// The core gives an event's tag back, which programs may read, so it cannot be changed on the
/// way: the tag names the event. While two pairs use one tag at a time, the second event waits.
pub struct Dispatch {
    /// Queue pairs.
    pub queues: u32,
    /// Events that can be in the core at once.
    pub in_flight: u32,
    /// Bits of a line's row.
    pub row_bits: u32,
}

/// Ports of [`Dispatch`].
#[derive(Clone, Ports)]
pub struct DispatchIo {
    /// Events wait: inline ones, and ones of rings
    pub waits: Vec<Input<Bool>>,
    /// The next one of each
    pub next: Vec<Input<PairLine>>,
    /// It is taken
    pub takes: Vec<Output<Bool>>,
    /// Reads a line: in the next cycle it is in `data`
    pub read: Output<Bool>,
    /// Its row
    pub row: Output<UInt>,
    /// The line: the event, byte i in bits 8i+7..8i
    pub data: Input<UInt>,
    /// Lines are read by somebody else in this cycle
    pub read_busy: Input<Bool>,
    /// All pairs
    pub views: Vec<Input<PairView>>,
    /// Events to the core
    pub event: StreamOut<UInt>,
    /// Decisions of the core
    pub decision: StreamIn<UInt>,
    /// Decisions with their pair
    pub decided: StreamOut<PairRecord>,
    /// Events that end here
    pub refused: StreamOut<PairRecord>,
    /// No event is here or in the core
    pub idle: Output<Bool>,
    /// A hook was refused
    pub hook_refused: Output<Bool>,
}

impl Component for Dispatch {
    type Io = DispatchIo;

    fn name(&self) -> String {
        format!("event_dispatch_q{}_n{}_r{}", self.queues, self.in_flight, self.row_bits)
    }

    fn doc(&self) -> String {
        "Which event goes to the core, and whose decision comes back".into()
    }

    fn io(&self) -> DispatchIo {
        DispatchIo {
            waits: (0..SOURCES).map(|_| input(boolean())).collect(),
            next: (0..SOURCES).map(|_| input(PairLine::shape(self.row_bits))).collect(),
            takes: (0..SOURCES).map(|_| output(boolean())).collect(),
            read: output(boolean()),
            row: output(uint(self.row_bits)),
            data: input(uint(LINE_WIDTH)),
            read_busy: input(boolean()),
            views: (0..self.queues).map(|_| input(PairView::shape())).collect(),
            event: stream_out(uint(LINE_WIDTH)),
            decision: stream_in(uint(256)),
            decided: stream_out(PairRecord::shape()),
            refused: stream_out(PairRecord::shape()),
            idle: output(boolean()),
            hook_refused: output(boolean()),
        }
    }

    fn build(&self, io: DispatchIo) {
        // An event is chosen, in the next cycle its line is there, then it is held. That is one in three cycles,
        // and a stream of 128 bits brings one in four: so nothing that the core decides lies before the choice.
        let arbiter = instance("arbiter", RoundRobinArbiter::<Main>::new(SOURCES));
        let reading = reg("reading", boolean(), false);
        let valid = reg("valid", boolean(), false);
        let held = reg_uninit("held", uint(LINE_WIDTH));
        let held_pair = reg_uninit("held_pair", uint(4));
        let moves = wire("moves", boolean());
        let free = !valid & !reading & !io.read_busy;
        let waits: Vec<UInt> = io.waits.iter().map(|waits| waits.value().as_uint()).collect();
        arbiter.request.set(join(&waits));
        arbiter.accept.set(free);
        let chooses = (free & arbiter.valid).named("chooses");
        let next: Vec<PairLine> = io.next.iter().map(Input::value).collect();
        let chosen = select(arbiter.index.value(), &next);
        for (source, takes) in (0..).zip(&io.takes) {
            takes.set(chooses & arbiter.grant.bit(source));
        }
        io.read.set(chooses);
        io.row.set(chosen.row);
        reading.next(chooses);
        when(chooses, || held_pair.next(chosen.pair));
        let views: Vec<PairView> = io.views.iter().map(Input::value).collect();
        let view = select(held_pair.value(), &views);
        let part = |event: UInt, field: rmt_isa::event::WireField| {
            event.bits(8 * field.offset as u32..8 * (field.offset + field.bytes) as u32)
        };
        // An event's hook is looked at as its line comes, its bytes side by side behind the memory: where the event goes is known
        // while it is held.
        let hook = part(io.data.value(), event_layout::HOOK);
        let hooks: Vec<Bool> = (0..4_u32)
            .map(|place| {
                let own = view.hooks.bits(16 * place..16 * place + 16);
                let low = reg_uninit(format!("is_hook{place}_low"), boolean());
                let high = reg_uninit(format!("is_hook{place}_high"), boolean());
                let known = reg_uninit(format!("is_hook{place}_known"), boolean());
                when(reading, || {
                    low.next(hook.bits(0..8).eq(own.bits(0..8)));
                    high.next(hook.bits(8..16).eq(own.bits(8..16)));
                    known.next(!at_most(view.hook_count, place.into()));
                });
                low & high.value() & known.value()
            })
            .collect();
        let allowed = any(&hooks).named("allowed");
        when(reading, || {
            valid.next(true);
            held.next(io.data);
        });
        when(moves, || valid.next(false));

        let event = held.value();
        let tag = part(event, event_layout::TAG);

        // Which pair each event in the core is of.
        let (decided_tag, decision) = (
            io.decision.payload.value().bits(
                8 * decision_layout::TAG.offset as u32
                    ..8 * (decision_layout::TAG.offset + decision_layout::TAG.bytes) as u32,
            ),
            io.decision.payload.value(),
        );
        let enters = wire("enters", boolean());
        let leaves = wire("leaves", boolean());
        let entry = wire("entry", uint(bits_for(self.in_flight.into()).max(1)));
        let exit = wire("exit", uint(bits_for(self.in_flight.into()).max(1)));
        // A decision gives its place back a cycle later: so the choice among completions does not lie before it. The next one is
        // taken two cycles later at the earliest, as a completion is.
        let (left, left_entry) =
            (reg("left", boolean(), false), delayed("left_entry", exit.value()));
        left.next(leaves.value());
        let (mut used, mut clashes, mut matches, mut owners) = (vec![], vec![], vec![], vec![]);
        for index in 0..self.in_flight {
            scope(format!("origin{index}"), || {
                let busy = reg("busy", boolean(), false);
                let own_tag = reg_uninit("tag", uint(32));
                let owner = reg_uninit("owner", uint(4));
                when(enters.value() & entry.eq(index), || {
                    busy.next(true);
                    own_tag.next(tag);
                    owner.next(held_pair);
                });
                when(left & left_entry.eq(index), || busy.next(false));
                used.push(busy.as_uint());
                clashes.push(busy & own_tag.value().eq(tag) & owner.value().ne(held_pair.value()));
                matches.push((busy & own_tag.value().eq(decided_tag)).as_uint());
                owners.push(owner.value());
            });
        }
        let used = join(&used).named("used");
        let (room, free_entry) = lowest_set(!used);
        let (_, matched) = lowest_set(join(&matches));
        entry.set(free_entry);
        exit.set(matched);
        // An event that may go is offered a cycle later, so that what lets it go does not lie before the core; then it stays
        // offered, also if its pair is stopped meanwhile. Clashes only go away, and so does room.
        let goes = reg("goes", boolean(), false).doc("The held event is offered to the core");
        let may_enter = room & !any(&clashes) & allowed & view.enabled;
        // So is one that may not: its end does not lie before the choice among decisions.
        let refuses = reg("refuses", boolean(), false).doc("The held event ends here");
        let undecided = valid & !goes & !refuses;
        io.event.offer(goes.value(), event);
        let fields = [
            (decision_layout::TAG, tag),
            (decision_layout::STATUS, UInt::lit(Status::HookRefused as u64, 8)),
        ];
        let record = join(&[fields[0].1, fields[1].1]).zext(256);
        io.refused.offer(refuses.value(), PairRecord { pair: held_pair.zext(5), record });
        let entered = goes & io.event.ready();
        let refused = refuses & io.refused.ready();
        goes.next((goes & !entered) | (undecided & may_enter));
        refuses.next((refuses & !refused) | (undecided & (!allowed | !view.enabled)));
        // It has its place as soon as it is offered, not when it is taken: the core's answer does not lie before all places.
        let placed = reg("placed", boolean(), false).doc("The offered event has its place");
        placed.next(goes & !entered);
        enters.set(goes & !placed);
        moves.set(entered | refused);
        io.hook_refused.set(refused & view.enabled);

        let pair = select(matched, &owners);
        io.decided.offer(io.decision.valid(), PairRecord { pair: pair.zext(5), record: decision });
        io.decision.accept(io.decided.ready());
        leaves.set(io.decision.valid() & io.decided.ready());
        io.idle.set(!valid & !reading & used.is_zero());
    }
}
