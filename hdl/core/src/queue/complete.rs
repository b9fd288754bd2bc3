//! Decisions become writes into completion rings.

use rmt_isa::device::ring::PHASE_BIT;
use rmt_isa::event::{DECISION_BYTES, decision_layout};
use rtl_builder::prelude::*;
use rtl_builder::stock::StreamMerge;
use rtl_builder::stock::stream::Stream;

use super::dispatch::PairRecord;
use super::pair::PairView;
use crate::bits::low_ones;
use crate::tlp::{PostedWrite, beat_bits, is_long, shown};

/// Writes records to the completion rings of their pairs, in order of arrival; those of stopped
/// pairs are dropped.
pub struct CompletionWriter {
    /// Queue pairs, without the admin queue.
    pub queues: u32,
    /// Width of the stream to the host, bits.
    pub bits: u32,
}

/// Ports of [`CompletionWriter`].
#[derive(Clone, Ports)]
pub struct CompletionWriterIo {
    /// Records: decisions, refused events, admin completions
    pub sources: Vec<StreamIn<PairRecord>>,
    /// All pairs, the admin queue last
    pub views: Vec<Input<PairView>>,
    /// Writes
    pub write: StreamOut<PostedWrite>,
    /// Beat of its data that is wanted
    pub beat: Input<UInt>,
    /// Bit p: in the last cycle a record of pair p was written or dropped
    pub written: Output<UInt>,
    /// It was dropped
    pub dropped: Output<Bool>,
    /// Nothing waits here
    pub idle: Output<Bool>,
}

impl Component for CompletionWriter {
    type Io = CompletionWriterIo;

    fn name(&self) -> String {
        format!("completion_writer_q{}_w{}", self.queues, self.bits)
    }

    fn doc(&self) -> String {
        "Decisions become writes into completion rings".into()
    }

    fn io(&self) -> CompletionWriterIo {
        CompletionWriterIo {
            sources: (0..3).map(|_| stream_in(PairRecord::shape())).collect(),
            views: (0..=self.queues).map(|_| input(PairView::shape())).collect(),
            write: stream_out(PostedWrite::shape(self.bits)),
            beat: input(uint(beat_bits(self.bits))),
            written: output(uint(self.queues + 1)),
            dropped: output(boolean()),
            idle: output(boolean()),
        }
    }

    fn build(&self, io: CompletionWriterIo) {
        let width = 5 + 8 * DECISION_BYTES as u32;
        let merge = instance("merge", StreamMerge::<Main>::new(width, 3));
        for (source, port) in io.sources.iter().zip(&merge.sources) {
            port.offer(source.valid(), pack(source.payload()));
            source.accept(port.ready.value());
        }
        let valid = reg("valid", boolean(), false);
        let held = reg_uninit("held", PairRecord::shape());
        let views: Vec<PairView> = io.views.iter().map(Input::value).collect();
        let view = select(held.pair, &views);
        // Where it goes stands in registers before it is offered: the pair's state does not lie before the link. An
        // offered write stays; a pair that is stopped meanwhile still gets it.
        let offers = reg("offers", boolean(), false);
        let sends = (valid & view.enabled & !offers).named("sends");
        let drops = (valid & !view.enabled & !offers).named("drops");
        let done = (offers & io.write.ready()) | drops;
        offers.next(sends | (offers & !io.write.ready()));
        // A record takes three beats of a stream of 128 bits: one in three cycles is enough, and its pair's state
        // does not lie before what the sources see.
        merge.sink.ready.set(!valid);
        when(done, || valid.next(false));
        when(!valid, || {
            valid.next(merge.sink.valid);
            held.next(unpack(&PairRecord::shape(), merge.sink.payload));
        });

        let tail = view.completion_tail;
        let mask = low_ones(view.completion_log2, 16);
        let slot = (tail & mask).named("slot");
        let phase = reg_uninit("phase", boolean());
        let address = reg_uninit("address", uint(64));
        let long = reg_uninit("long", boolean());
        let phase_at = 8 * decision_layout::FLAGS.offset as u32 + PHASE_BIT;
        let record = held.record;
        let stamped = crate::tlp::join(&[
            record.bits(0..phase_at),
            phase.value().as_uint(),
            record.bits(phase_at + 1..256),
        ]);
        let offset = slot.concat(UInt::lit(0, DECISION_BYTES.ilog2()));
        let ring = view.completion_ring;
        when(sends, || {
            phase.next(!tail.bit_at(view.completion_log2));
            address.next(ring.bits(24..64).concat(ring.bits(0..24) | offset.zext(24)));
            long.next(is_long(ring));
        });
        io.write.offer(
            offers.value(),
            PostedWrite::new(
                address.value(),
                long.value(),
                UInt::lit(DECISION_BYTES as u64 / 4, 5),
                shown(stamped, io.beat.value(), self.bits),
            ),
        );
        let one = UInt::lit(1, self.queues + 1).shift_left(held.pair);
        // The pair learns of it a cycle later, which is before its next record looks at the tail: so the link does not lie
        // before the pair's sums.
        let written = reg("written_last", uint(self.queues + 1), 0);
        written.next(mux(done, one, UInt::lit(0, self.queues + 1)));
        let dropped = reg("dropped_last", boolean(), false);
        dropped.next(done & !offers);
        io.written.set(written);
        io.dropped.set(dropped);
        io.idle.set(!valid);
        let _ = merge.chosen;
    }
}
