//! What the round trip of a lone event is made of, computed beforehand.
//!
//! From the driver's write to the decision in the host's memory, in cycles of the card. The
//! pipeline's part is what the core counts itself and gives back with the decision; all others follow
//! from the packets, the stream's width and the host's latency.

use super::behaviour::Latency;

/// DWs of the packets: headers of three or, to an address above 4 GiB, four.
const EVENT_WRITE_DWS: u64 = 3 + 16;
const DOORBELL_DWS: u64 = 3 + 1;
const READ_DWS: u64 = 4;
const EVENT_COMPLETION_DWS: u64 = 3 + 16;
const DECISION_WRITE_DWS: u64 = 4 + 8;

/// Cycles in endpoint and queue logic of an event that comes inline: from the cycle after its
/// packet's last beat to the core, and from the core to the decision's first beat.
const INLINE_QUEUE_CYCLES: u64 = 12;
/// The same for an event of a ring: from the doorbell to the read's first beat, too.
const RING_QUEUE_CYCLES: u64 = 23;

/// How an event gets to the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In one write.
    Inline,
    /// By a doorbell and a read of the ring.
    Ring,
}

/// The parts, in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// Translations that the host's IOMMU had to look up.
    pub host: u64,
    /// Packets on their way: their beats, and the time of the link.
    pub link: u64,
    /// Endpoint, rings, dispatch and completion.
    pub queue: u64,
    /// The core, from taking the event to its decision.
    pub pipeline: u64,
}

impl RoundTrip {
    /// The parts for a card with streams of some width. `misses` is how many addresses the
    /// IOMMU's cache does not hold, `pipeline` the cycles of the event in the core.
    pub fn of(way: Way, stream_bits: u32, latency: &Latency, misses: u64, pipeline: u64) -> Self {
        let lanes = u64::from(stream_bits / 32);
        let beats = |packets: &[u64]| packets.iter().map(|dws| dws.div_ceil(lanes)).sum::<u64>();
        let (packets, reads, queue) = match way {
            Way::Inline => (&[EVENT_WRITE_DWS, DECISION_WRITE_DWS][..], 0, INLINE_QUEUE_CYCLES),
            Way::Ring => (
                &[DOORBELL_DWS, READ_DWS, EVENT_COMPLETION_DWS, DECISION_WRITE_DWS][..],
                1,
                RING_QUEUE_CYCLES,
            ),
        };
        let flight = 2 * latency.write_cycles + reads * latency.read_cycles;
        Self {
            host: misses * latency.iommu_miss_cycles,
            link: beats(packets) + flight,
            queue,
            pipeline,
        }
    }

    /// All of it.
    pub fn sum(&self) -> u64 {
        self.host + self.link + self.queue + self.pipeline
    }
}
