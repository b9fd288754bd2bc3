//! Context stores and maps.

use rmt_isa::limits::{MAX_CAPACITY, MAX_RING_DEPTH, WAYS};
use rmt_isa::program::MapKind;

use crate::verifier::findings::{Findings, group_digits, quote};
use crate::verifier::rules::Rule;
use crate::verifier::violation::Place;

/// Capacities of context stores, and depths of their history rings.
pub(super) fn check_contexts(findings: &mut Findings<'_>) {
    for (index, context) in findings.program.contexts.iter().enumerate() {
        let place = findings.object("context store", index, &context.name);
        check_sets(findings, &place, context.capacity);
        for field in &context.fields {
            let Some(depth) = field.ring.map(usize::from) else { continue };
            if depth == 0 || depth > MAX_RING_DEPTH {
                let reason = format!("ring `{}` keeps {depth} values", quote(&field.name));
                let remedy = format!("give it a depth from 1 to {MAX_RING_DEPTH}");
                findings.refuse(Rule::RingDepth, place.clone(), reason, remedy);
            }
        }
    }
}

/// Capacities of maps.
pub(super) fn check_maps(findings: &mut Findings<'_>) {
    for (index, map) in findings.program.maps.iter().enumerate() {
        if findings.full() {
            return;
        }
        let place = findings.object("map", index, &map.name);
        match map.kind {
            MapKind::Hash | MapKind::LruHash => check_sets(findings, &place, map.capacity),
            MapKind::Array | MapKind::RingBuffer | MapKind::Histogram => {
                check_capacity(findings, &place, map.capacity, 1);
            }
        }
    }
}

/// A store in sets of four ways: a power of two, so that the hash's low bits choose the set.
fn check_sets(findings: &mut Findings<'_>, place: &Place, capacity: u32) {
    if check_capacity(findings, place, capacity, WAYS) && !capacity.is_power_of_two() {
        let reason = format!("{} is no power of two", group_digits(capacity));
        let remedy = format!("use {}", group_digits(capacity.next_power_of_two()));
        findings.refuse(Rule::BadCapacity, place.clone(), reason, remedy);
    }
}

fn check_capacity(findings: &mut Findings<'_>, place: &Place, capacity: u32, least: usize) -> bool {
    let fits = (least..=MAX_CAPACITY).contains(&(capacity as usize));
    if !fits {
        let reason = format!("the capacity is {}", group_digits(capacity));
        let most = group_digits(MAX_CAPACITY as u32);
        let remedy = format!("use a capacity from {least} to {most}");
        findings.refuse(Rule::BadCapacity, place.clone(), reason, remedy);
    }
    fits
}

#[cfg(test)]
mod tests {
    use rmt_isa::program::MapKind;

    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    #[test]
    fn ring_depths_are_checked() {
        for (depth, good) in [(0, false), (1, true), (256, true), (257, false)] {
            let mut fixture = Fixture::new("exit decided");
            fixture.program.contexts[0].fields[3].ring = Some(depth);
            match good {
                true => _ = fixture.accepted(),
                false => refused_by(&fixture, Rule::RingDepth, &format!("keeps {depth} values")),
            }
        }
    }

    #[test]
    fn capacities_of_contexts_are_checked() {
        for (capacity, good) in
            [(2, false), (4, true), (48, false), (1 << 24, true), (1 << 25, false)]
        {
            let mut fixture = Fixture::new("exit decided");
            fixture.program.contexts[0].capacity = capacity;
            fixture.limits.memory_bytes = u64::MAX;
            match good {
                true => _ = fixture.accepted(),
                false => refused_by(&fixture, Rule::BadCapacity, "context store 0 `proc`"),
            }
        }
    }

    #[test]
    fn capacities_of_maps_are_checked() {
        for (kind, capacity, good) in [
            (MapKind::Array, 1, true),
            (MapKind::Array, 0, false),
            (MapKind::RingBuffer, 3, true),
            (MapKind::Histogram, 65, true),
            (MapKind::Hash, 3, false),
            (MapKind::Hash, 64, true),
            (MapKind::LruHash, 12, false),
            (MapKind::Array, u32::MAX, false),
        ] {
            let mut fixture = Fixture::new("exit decided");
            fixture.limits.memory_bytes = u64::MAX;
            fixture.program.maps[0].kind = kind;
            fixture.program.maps[0].capacity = capacity;
            match good {
                true => _ = fixture.accepted(),
                false => refused_by(&fixture, Rule::BadCapacity, "map 0 `array`"),
            }
        }
    }
}
