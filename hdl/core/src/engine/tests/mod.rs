//! Tests of the engine's blocks and of the whole, on the evaluator of `rtl-builder`.

mod construction;
