//! The admin queue: commands, one after the other. Its ports; [`steps`] says what is done in which order.

mod steps;

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::{StreamOut, stream_out};

use super::core_access::{CoreReply, CoreRequest};
use super::dispatch::PairRecord;
use super::pair::{PairStrobes, PairView};
use crate::tlp::request::ROW_BITS;
use crate::tlp::{LINE_WIDTH, PostedWrite, ReadOrder, beat_bits};

/// Fetches a command, does it, and writes its completion; then the next.
///
/// Of what was fetched one word is taken at a time, into one register, and goes from there to where it belongs. What the
/// host is given is gathered word by word in a small memory. So no line of 64 bytes stands in registers.
pub struct Admin {
    /// Queue pairs for events.
    pub queues: u32,
    /// Width of the stream to the host, bits.
    pub bits: u32,
}

/// Ports of [`Admin`].
#[derive(Clone, Ports)]
pub struct AdminIo {
    /// The admin queue's rings
    pub view: Input<PairView>,
    /// What happens to them
    pub strobes: Output<PairStrobes>,
    /// Largest read request, as in the sideband
    pub max_read_request: Input<UInt>,
    /// Reads of host memory
    pub order: StreamOut<ReadOrder>,
    /// The read has ended
    pub ended: Input<Bool>,
    /// How
    pub outcome: Input<UInt>,
    /// Its slot is free again
    pub release: Output<Bool>,
    /// Reads a line of the slot: in the next cycle it is in `data`
    pub read: Output<Bool>,
    /// Slot and line
    pub read_row: Output<UInt>,
    /// The line
    pub data: Input<UInt>,
    /// Access to the core
    pub core: Output<CoreRequest>,
    /// Its end
    pub reply: Input<CoreReply>,
    /// Writes to host memory
    pub write: StreamOut<PostedWrite>,
    /// Beat of its data that is wanted
    pub beat: Input<UInt>,
    /// Completions
    pub record: StreamOut<PairRecord>,
    /// Bit q: queue pair q is stopped
    pub stop: Output<UInt>,
    /// Bit q: events of pair q are inside
    pub busy_pairs: Input<UInt>,
    /// Counters are read
    pub counter_asked: Output<Bool>,
    /// Number of the counter
    pub counter_number: Output<UInt>,
    /// The counter
    pub counter: Input<UInt>,
    /// Results of a health command
    pub health: Vec<Input<UInt>>,
    /// A command ended
    pub finished: Output<Bool>,
    /// No command is under way
    pub idle: Output<Bool>,
}

/// Counters of 32 bits in a line.
const COUNTERS_PER_LINE: u32 = LINE_WIDTH / 32;
/// Bits of the number of a counter in its line.
pub(super) const COUNTER_NUMBER_BITS: u32 = COUNTERS_PER_LINE.ilog2();
impl Component for Admin {
    type Io = AdminIo;

    fn name(&self) -> String {
        format!("admin_queue_q{}_w{}", self.queues, self.bits)
    }

    fn doc(&self) -> String {
        "Admin commands, one after the other".into()
    }

    fn io(&self) -> AdminIo {
        AdminIo {
            view: input(PairView::shape()),
            strobes: output(PairStrobes::shape()),
            max_read_request: input(uint(3)),
            order: stream_out(ReadOrder::shape()),
            ended: input(boolean()),
            outcome: input(uint(2)),
            release: output(boolean()),
            read: output(boolean()),
            read_row: output(uint(ROW_BITS)),
            data: input(uint(LINE_WIDTH)),
            core: output(CoreRequest::shape()),
            reply: input(CoreReply::shape()),
            write: stream_out(PostedWrite::shape(self.bits)),
            beat: input(uint(beat_bits(self.bits))),
            record: stream_out(PairRecord::shape()),
            stop: output(uint(self.queues)),
            busy_pairs: input(uint(self.queues)),
            counter_asked: output(boolean()),
            counter_number: output(uint(COUNTER_NUMBER_BITS)),
            counter: input(uint(32)),
            health: (0..3).map(|_| input(uint(64))).collect(),
            finished: output(boolean()),
            idle: output(boolean()),
        }
    }

    fn build(&self, io: AdminIo) {
        steps::build(self, &io);
    }
}
