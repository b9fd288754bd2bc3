//! The state of a core, read through its host port, in the interpreter's terms.

use rmt_isa::card::read_back::{read_map, read_store};
use rmt_isa::card::regions::{MATCH, PARAMETERS, PROGRAM, RANGE, REGIONS, Region, TABLES, TERNARY};
use rmt_isa::card::{CardImage, HostWrite};
use rmt_vm::State;
use rmt_vm::state::StateDump;
use rmt_vm::state::card_form::sets_of_records;
use rmt_vm::state::dump::{ContextDump, Difference, MapDump, map_of_card};

use crate::card::{Card, CardError, Pins};

/// Regions whose words events cannot change: they must hold what the loader wrote.
const FIXED_REGIONS: [Region; 6] = [PROGRAM, TABLES, MATCH, TERNARY, RANGE, PARAMETERS];

/// The first difference between the state of the interpreter and that of the core: context
/// records with their order of eviction, maps, then, with `words`, tables, parameters and code.
///
/// # Errors
/// When the core does not answer.
pub fn first_difference<P: Pins>(
    state: &State,
    card: &mut Card<P>,
    image: &CardImage,
    words: bool,
) -> Result<Option<Difference>, CardError> {
    first_state_difference(state, image, words, |address| card.read(address))
}

/// The same for a core whose words `read` gives, by whatever way.
///
/// # Errors
/// Those of `read`.
pub fn first_state_difference<E>(
    state: &State,
    image: &CardImage,
    words: bool,
    mut read: impl FnMut(u32) -> Result<u64, E>,
) -> Result<Option<Difference>, E> {
    let found = state_by(state, image, &mut read)?;
    match state.dump().first_difference(&found) {
        None if words => first_changed_word(image, &mut read),
        difference => Ok(difference),
    }
}

/// The state of a core: contexts and maps as the core holds them, all else, which events
/// cannot change, as the interpreter does.
///
/// # Errors
/// When the core does not answer.
pub fn read_state<P: Pins>(
    state: &State,
    card: &mut Card<P>,
    image: &CardImage,
) -> Result<StateDump, CardError> {
    state_by(state, image, &mut |address| card.read(address))
}

fn state_by<E>(
    state: &State,
    image: &CardImage,
    read: &mut impl FnMut(u32) -> Result<u64, E>,
) -> Result<StateDump, E> {
    let mut dump = state.dump();
    dump.contexts = read_contexts(&dump.contexts, image, read)?;
    dump.maps = read_maps(&dump.maps, image, read)?;
    Ok(dump)
}

fn read_contexts<E>(
    declared: &[ContextDump],
    image: &CardImage,
    read: &mut impl FnMut(u32) -> Result<u64, E>,
) -> Result<Vec<ContextDump>, E> {
    let mut contexts = Vec::new();
    for (plan, dump) in image.contexts.iter().zip(declared) {
        let records = read_store(plan, &mut *read)?;
        contexts.push(ContextDump { sets: sets_of_records(records), ..dump.clone() });
    }
    Ok(contexts)
}

fn read_maps<E>(
    declared: &[MapDump],
    image: &CardImage,
    read: &mut impl FnMut(u32) -> Result<u64, E>,
) -> Result<Vec<MapDump>, E> {
    let mut maps = Vec::new();
    for (plan, dump) in image.maps.iter().zip(declared) {
        let content = read_map(plan, &mut *read)?;
        let values = map_of_card(plan.kind, content);
        maps.push(MapDump { values, ..dump.clone() });
    }
    Ok(maps)
}

/// The first word that the loader wrote and that has changed since.
fn first_changed_word<E>(
    image: &CardImage,
    read: &mut impl FnMut(u32) -> Result<u64, E>,
) -> Result<Option<Difference>, E> {
    for &HostWrite { address, value } in &image.writes {
        let Some(region) = region_of(address) else { continue };
        if !FIXED_REGIONS.contains(&region) || !region.readable {
            continue;
        }
        let found = read(address)?;
        if found != value {
            return Ok(Some(Difference {
                place: format!("card.{}[{}]", region.name, address - region.base()),
                left: format!("{value:#018x}"),
                right: format!("{found:#018x}"),
            }));
        }
    }
    Ok(None)
}

fn region_of(address: u32) -> Option<Region> {
    let inside =
        |region: &&Region| (region.base()..region.base() + region.words()).contains(&address);
    REGIONS.iter().find(inside).copied()
}
