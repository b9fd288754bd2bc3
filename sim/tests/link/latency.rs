//! Round trips: what the host, the link, the queues and the core each add.

use rmt_isa::card::CardShape;
use rmt_sim::root_complex::round_trip::{RoundTrip, Way};
use rmt_sim::root_complex::{CardBus, EvaluatedLink, Latency};

use super::host::{Host, evaluated};
use super::programs::{HOOK, event, image};

/// The clock of the figures.
const CLOCK_MHZ: f64 = 250.0;

/// A round trip in cycles, and the part of it that the core counts itself.
#[derive(Clone, Copy, Debug)]
struct Trip {
    total: u64,
    core: u64,
}

fn ready(stream_bits: u32, latency: Latency) -> Host<EvaluatedLink> {
    let shape = CardShape { stream_bits, ..CardShape::tiny() };
    let mut host = evaluated(&shape);
    host.install(&image(&shape));
    for pair in 0..shape.queues {
        host.start(pair, &[HOOK], None);
    }
    host.card.set_latency(latency);
    host
}

/// From the host's write to the decision in its memory, for an event alone, with or without what
/// the IOMMU's cache holds of the rings.
fn trip(host: &mut Host<EvaluatedLink>, way: Way, tag: u32, misses: bool) -> Trip {
    host.card.advance(200).unwrap();
    if misses {
        host.card.clear_iommu_cache();
    }
    let begun = host.card.cycle();
    match way {
        Way::Ring => host.push(0, &[event(tag).bytes]),
        Way::Inline => host.send_inline(0, &event(tag)),
    }
    loop {
        if let Some(record) = host.poll(0) {
            let decision = rmt_isa::Decision::from_bytes(&record).unwrap().0;
            return Trip { total: host.card.cycle() - begun, core: decision.cycles.into() };
        }
        host.card.advance(1).unwrap();
        assert!(host.card.cycle() - begun < 20_000);
    }
}

#[test]
fn a_round_trip_is_the_sum_of_its_parts() {
    let measured = Latency::measured(CLOCK_MHZ);
    println!("| way | stream | link | host | link time | queue | pipeline | round trip | ns |");
    for stream_bits in [64, 128] {
        for (name, latency, misses) in [
            ("zero", Latency::zero(), false),
            ("measured", measured, false),
            ("IOMMU misses", measured, true),
        ] {
            let mut host = ready(stream_bits, latency);
            for (way, addresses) in [(Way::Inline, 1), (Way::Ring, 2)] {
                // The first one fills the IOMMU's cache.
                trip(&mut host, way, 0, misses);
                for tag in 1..4 {
                    let Trip { total, core } = trip(&mut host, way, tag, misses);
                    let misses = if misses { addresses } else { 0 };
                    let parts = RoundTrip::of(way, stream_bits, &latency, misses, core);
                    assert!(
                        total.abs_diff(parts.sum()) <= 1,
                        "{way:?}, {stream_bits} bits, {name}: {total} cycles, predicted {parts:?}"
                    );
                    if tag == 1 {
                        let RoundTrip { host, link, queue, pipeline } = parts;
                        let ns = total as f64 * 1000.0 / CLOCK_MHZ;
                        println!(
                            "| {way:?} | {stream_bits} | {name} | {host} | {link} | {queue} | \
                             {pipeline} | {total} | {ns:.0} |"
                        );
                    }
                }
            }
        }
    }
}
