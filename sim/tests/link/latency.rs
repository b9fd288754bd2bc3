//! Round trips: what the host, the link and the card each add.

use rmt_isa::card::CardShape;
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

fn ready(latency: Latency) -> Host<EvaluatedLink> {
    let shape = CardShape { stream_bits: 128, ..CardShape::tiny() };
    let mut host = evaluated(&shape);
    host.install(&image(&shape));
    for pair in 0..shape.queues {
        host.start(pair, &[HOOK], None);
    }
    host.card.set_latency(latency);
    host
}

/// From the host's write to the decision in its memory, for an event alone. The third of three,
/// so that the IOMMU's cache holds the rings; or the first.
fn trip(host: &mut Host<EvaluatedLink>, ring: bool, warm: bool) -> Trip {
    let mut trip = Trip { total: 0, core: 0 };
    for tag in 0..if warm { 3 } else { 1 } {
        host.card.advance(200).unwrap();
        let begun = host.card.cycle();
        if ring {
            host.push(0, &[event(tag).bytes]);
        } else {
            host.send_inline(0, &event(tag));
        }
        loop {
            if let Some(record) = host.poll(0) {
                let decision = rmt_isa::Decision::from_bytes(&record).unwrap().0;
                trip = Trip { total: host.card.cycle() - begun, core: decision.cycles.into() };
                break;
            }
            host.card.advance(1).unwrap();
            assert!(host.card.cycle() - begun < 20_000);
        }
    }
    trip
}

#[test]
fn a_round_trip_is_the_sum_of_its_parts() {
    let latency = Latency::measured(CLOCK_MHZ);
    let ns = |cycles: u64| cycles as f64 * 1000.0 / CLOCK_MHZ;
    println!("| way | core | queues and endpoint | link | round trip | ns at 250 MHz |");
    for (name, ring, warm) in
        [("inline", false, true), ("ring", true, true), ("ring, IOMMU misses", true, false)]
    {
        let own = trip(&mut ready(Latency::zero()), ring, warm);
        let real = trip(&mut ready(latency), ring, warm);
        // A write in, a write out; a ring adds a read.
        let misses = if warm { 0 } else { 2 * latency.iommu_miss_cycles };
        let read = if ring { latency.read_cycles } else { 0 };
        let link = 2 * latency.write_cycles + read + misses;
        let expected = own.total + link;
        assert!(real.total.abs_diff(expected) <= 1, "{name}: {real:?}, expected {expected}");
        assert_eq!(real.core, own.core, "{name}");
        let queues = own.total - own.core;
        println!(
            "| {name} | {} | {queues} | {link} | {} | {:.0} |",
            own.core,
            real.total,
            ns(real.total)
        );
    }
}
