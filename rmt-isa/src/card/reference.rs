//! The reference page of the card, made from the tables.

use std::fmt::Write as _;

use super::engine::{ENGINE_COUNTERS, ENGINE_FIELDS, EngineRegion};
use super::fields::WORDS;
use super::regions::{ADDRESS_BITS, ENGINE_BASE};
use super::shape::{CAPABILITIES, COUNTERS, CardShape, PARAMETERS_OF_CONTROL};

/// The page `docs/reference/card.md`.
pub fn page(header: &str) -> String {
    let mut page = String::from(header);
    let default = CardShape::default_card();
    let _ = write!(
        page,
        "# The card as the host sees it\n\n\
         The host port has addresses of {ADDRESS_BITS} bits that count words of 64 bits. Every \
         request gets one answer. Words that are not there read as zero and ignore writes.\n\n\
         ## Memory map\n\nWords as of the default card.\n\n\
         | first word | words | region | access | content |\n| --- | --- | --- | --- | --- |\n"
    );
    for (region, words) in default.regions() {
        let access = match (region.readable, region.writable) {
            (true, true) if region.banked => "read, write, banked",
            (true, true) => "read, write",
            (true, false) => "read",
            _ => "write",
        };
        let (base, name, doc) = (region.base(), region.name, region.doc);
        let _ = writeln!(page, "| {base:#08x} | {words} | {name} | {access} |{doc} |");
    }
    for &region in EngineRegion::ALL {
        let extent = default.engine.extent(region);
        let base = ENGINE_BASE + default.engine.host_address(region, 0, 0);
        let (words, name, doc) = (extent.words * extent.stride, region.name(), region.doc());
        let _ = writeln!(page, "| {base:#08x} | {words} | engine: {name} | see text |{doc} |");
    }
    page.push_str("\n## Parameters of the control side\n\n| parameter | tiny | small | default | meaning |\n| --- | --- | --- | --- | --- |\n");
    let values =
        [CardShape::tiny(), CardShape::small(), default].map(|shape| shape.capability_words());
    for (name, doc) in PARAMETERS_OF_CONTROL {
        let place = CAPABILITIES.iter().position(|capability| capability == name).unwrap_or(0);
        let [tiny, small, default] = [0, 1, 2].map(|preset: usize| values[preset][place]);
        let _ = writeln!(page, "| {name} | {tiny} | {small} | {default} |{doc} |");
    }
    page.push_str("\n## Capability words\n\n| word | value |\n| --- | --- |\n");
    for (index, name) in CAPABILITIES.iter().enumerate() {
        let _ = writeln!(page, "| {index} | {name} |");
    }
    page.push_str("\n## Counters\n\n| word | counter | meaning |\n| --- | --- | --- |\n");
    for (index, (name, doc)) in COUNTERS.iter().enumerate() {
        let _ = writeln!(page, "| {index} | {name} |{doc} |");
    }
    page.push_str(
        "\nCounters of the engine, in its own region:\n\n| word | counter |\n| --- | --- |\n",
    );
    for (index, name) in ENGINE_COUNTERS.iter().enumerate() {
        let _ = writeln!(page, "| {index} | {name} |");
    }
    page.push_str("\n## Words\n");
    for word in WORDS {
        let _ = write!(
            page,
            "\n{}\n\n| bits | field | meaning |\n| --- | --- | --- |\n",
            word.title.trim()
        );
        for field in word.fields {
            let high = field.low + field.bits - 1;
            let _ = writeln!(page, "| {high}..{} | {} |{} |", field.low, field.name, field.doc);
        }
    }
    page.push_str(
        "\nDescriptors of the engine.\n\n| bits | field | meaning |\n| --- | --- | --- |\n",
    );
    for field in ENGINE_FIELDS {
        let high = field.low + field.bits - 1;
        let _ = writeln!(page, "| {high}..{} | {} |{} |", field.low, field.name, field.doc);
    }
    page
}
