//! Which event goes to the core next, and whose decision comes back.

use rmt_isa::Status;
use rmt_isa::event::{decision_layout, event_layout};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;
use rtl_builder::stock::{StreamMerge, lowest_set};

use super::pair::PairView;
use crate::bits::any;
use crate::tlp::join;

/// An event and the pair that it came from.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct PairEvent {
    /// The pair
    pub pair: UInt,
    /// The event, byte i in bits 8i+7..8i
    pub event: UInt,
}

impl PairEvent {
    /// The shape.
    pub fn shape() -> Self {
        Self { pair: uint(4), event: uint(512) }
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
}

/// Ports of [`Dispatch`].
#[derive(Clone, Ports)]
pub struct DispatchIo {
    /// Inline events
    pub inline: StreamIn<PairEvent>,
    /// Events of rings
    pub ring: StreamIn<PairEvent>,
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
        format!("event_dispatch_q{}_n{}", self.queues, self.in_flight)
    }

    fn doc(&self) -> String {
        "Which event goes to the core, and whose decision comes back".into()
    }

    fn io(&self) -> DispatchIo {
        DispatchIo {
            inline: stream_in(PairEvent::shape()),
            ring: stream_in(PairEvent::shape()),
            views: (0..self.queues).map(|_| input(PairView::shape())).collect(),
            event: stream_out(uint(512)),
            decision: stream_in(uint(256)),
            decided: stream_out(PairRecord::shape()),
            refused: stream_out(PairRecord::shape()),
            idle: output(boolean()),
            hook_refused: output(boolean()),
        }
    }

    fn build(&self, io: DispatchIo) {
        let merge = instance("merge", StreamMerge::<Main>::new(516, 2));
        for (source, port) in [&io.inline, &io.ring].into_iter().zip(&merge.sources) {
            port.offer(source.valid(), pack(source.payload()));
            source.accept(port.ready.value());
        }
        let valid = reg("valid", boolean(), false);
        let held = reg_uninit("held", PairEvent::shape());
        // An event comes at most every other cycle, a stream of 128 bits brings one in four: so nothing that the
        // core decides lies before what the sources see.
        let moves = wire("moves", boolean());
        merge.sink.ready.set(!valid);
        when(!valid, || {
            valid.next(merge.sink.valid);
            held.next(unpack(&PairEvent::shape(), merge.sink.payload));
        });
        when(moves, || valid.next(false));

        let event = held.event;
        let part = |field: rmt_isa::event::WireField| {
            event.bits(8 * field.offset as u32..8 * (field.offset + field.bytes) as u32)
        };
        let views: Vec<PairView> = io.views.iter().map(Input::value).collect();
        let view = select(held.pair, &views);
        let hook = part(event_layout::HOOK);
        let allowed: Vec<Bool> = (0..4_u32)
            .map(|place| {
                view.hook_count.gt(place) & hook.eq(view.hooks.bits(16 * place..16 * place + 16))
            })
            .collect();
        let allowed = any(&allowed).named("allowed");
        let tag = part(event_layout::TAG);

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
        let (mut used, mut clashes, mut matches, mut owners) = (vec![], vec![], vec![], vec![]);
        for index in 0..self.in_flight {
            scope(format!("origin{index}"), || {
                let busy = reg("busy", boolean(), false);
                let own_tag = reg_uninit("tag", uint(32));
                let owner = reg_uninit("owner", uint(4));
                when(enters.value() & entry.eq(index), || {
                    busy.next(true);
                    own_tag.next(tag);
                    owner.next(held.pair);
                });
                when(leaves.value() & exit.eq(index), || busy.next(false));
                used.push(busy.as_uint());
                clashes.push(busy & own_tag.value().eq(tag) & owner.value().ne(held.pair));
                matches.push((busy & own_tag.value().eq(decided_tag)).as_uint());
                owners.push(owner.value());
            });
        }
        let used = join(&used).named("used");
        let (room, free_entry) = lowest_set(!used);
        let (_, matched) = lowest_set(join(&matches));
        entry.set(free_entry);
        exit.set(matched);
        let may_enter = room & !any(&clashes) & allowed & view.enabled;
        // Once offered, an event stays offered: clashes only go away.
        let goes = (valid & may_enter).named("goes");
        let refuses = (valid & (!allowed | !view.enabled)).named("refuses");
        io.event.offer(goes, event);
        let fields = [
            (decision_layout::TAG, tag),
            (decision_layout::STATUS, UInt::lit(Status::HookRefused as u64, 8)),
        ];
        let record = join(&[fields[0].1, fields[1].1]).zext(256);
        io.refused.offer(refuses, PairRecord { pair: held.pair.zext(5), record });
        let entered = goes & io.event.ready();
        let refused = refuses & io.refused.ready();
        enters.set(entered);
        moves.set(entered | refused);
        io.hook_refused.set(refused & view.enabled);

        let pair = select(matched, &owners);
        io.decided.offer(io.decision.valid(), PairRecord { pair: pair.zext(5), record: decision });
        io.decision.accept(io.decided.ready());
        leaves.set(io.decision.valid() & io.decided.ready());
        io.idle.set(!valid & used.is_zero());
        let _ = merge.chosen;
    }
}
