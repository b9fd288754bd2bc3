//! Every preset can be built, and what cannot be built is refused with its rule.

use crate::engine::Engine;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

#[test]
fn the_tiny_and_the_small_engine_pass_all_checks_of_the_builder() {
    for shape in [EngineShape::tiny(), EngineShape::small()] {
        let design =
            elaborate(Engine { shape, event_beats: 4 }).unwrap_or_else(|error| panic!("{error}"));
        let cells = design.module_names().iter().filter(|name| **name == "mac_cell").count();
        assert_eq!(cells, 1, "one module serves all cells");
    }
}

#[test]
fn an_engine_that_cannot_be_built_is_refused_with_the_rule() {
    let shape = EngineShape { vector_lanes: 2, ..EngineShape::tiny() };
    let error = elaborate(Engine { shape, event_beats: 4 }).map(|_| ()).unwrap_err().to_string();
    assert!(
        error.contains("`vector_lanes` is 2; it must be a power of two from 4 to 256"),
        "{error}"
    );
}
