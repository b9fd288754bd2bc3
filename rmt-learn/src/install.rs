//! From a learnt model to a running program: checked by the verifier, then one commit.

use rmt_isa::Program;
use rmt_isa::program::Forest;
use rmt_vm::state::{Change, ModelObjects};
use rmt_vm::verifier::{Limits, Report, verify};

use crate::error::{LearnError, Result};

/// The change that puts `objects` in the place of a model of `program`, after the verifier accepted
/// the program with them.
///
/// # Errors
/// [`LearnError::Model`] if the objects have other names or shapes than the model, or the verifier
/// refuses the program with them: over budget, for example.
pub fn swap_model(
    program: &Program,
    model: &str,
    objects: ModelObjects,
    limits: &Limits,
) -> Result<(Change, Report)> {
    let refuse = |reason: String| LearnError::model(model, reason);
    let changed = objects.applied_to(program, model).map_err(|error| refuse(error.to_string()))?;
    let report = verify(&changed, limits).map_err(|violations| {
        let list: Vec<_> = violations.iter().map(ToString::to_string).collect();
        refuse(format!("the verifier refuses it: {}", list.join("\n")))
    })?;
    Ok((Change::SwapModel { model: model.to_owned(), objects }, report))
}

/// As [`swap_model`], for a model that is one forest.
///
/// # Errors
/// As [`swap_model`].
pub fn swap_forest(
    program: &Program,
    model: &str,
    forest: Forest,
    limits: &Limits,
) -> Result<(Change, Report)> {
    let objects = ModelObjects { forests: vec![forest], ..ModelObjects::default() };
    swap_model(program, model, objects, limits)
}
