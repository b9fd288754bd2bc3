//! A `.rmt` program that evaluates imported forests on the lanes of an event.

use std::fmt::Write as _;

use rmt_isa::event::event_layout;

use super::ImportedForest;
use crate::error::{LearnError, Result};
use crate::network::program_text::{HOOK_NUMBER, check_name};

/// The source text: event field `x`, model file `model_file` beside it, outputs `class` and `score`
/// (the largest sum, or the only one).
///
/// # Errors
/// [`LearnError::Model`] if the name is none, or the features do not fit an event.
pub fn forest_program_text(
    forest: &ImportedForest,
    name: &str,
    model_file: &str,
) -> Result<String> {
    check_name(name)?;
    let room = event_layout::ARGUMENTS.bytes;
    let lane = match forest.features {
        count if count * 4 <= room => "i32",
        count if count * 2 <= room => "i16",
        count => {
            return Err(LearnError::model(
                name,
                format!(
                    "{count} features do not fit the {room} bytes of an event, even with 16 bits each; train on fewer features, or write a program that keeps them in a context record"
                ),
            ));
        }
    };
    let mut text = format!(
        "// Evaluates the trees of {model_file}. Sums are in 1/{:.0}.\n\
         // Written by rmt import; the hook is a placeholder.\n\nprogram {name};\n\n\
         hook {name} = {HOOK_NUMBER} {{\n    key id: u64;\n    x: {lane}[{}];\n}}\n\n\
         decision {{\n    class: u32;\n    score: i64;\n}}\n\nmodel network = \"{model_file}\";\n\n\
         table {name} {{\n    actions = {{ infer }};\n    default = infer();\n}}\n\naction infer() {{\n",
        forest.one, forest.features
    );
    let widened = if lane == "i32" { "event.x" } else { "event.x as i32" };
    let _ = writeln!(text, "    let x = {widened};");
    for (index, (object, base)) in forest.forests.iter().zip(&forest.base).enumerate() {
        let base = match base {
            0 => String::new(),
            base if *base < 0 => format!(" - {}", base.unsigned_abs()),
            base => format!(" + {base}"),
        };
        let _ = writeln!(text, "    let s{index} = tree(network.{}, x){base};", object.name);
    }
    if forest.forests.len() == 1 {
        let class = if forest.is_classifier { "(s0 > 0) as u32" } else { "0" };
        let _ = writeln!(text, "    out.class = {class};\n    out.score = s0;\n}}");
        return Ok(text);
    }
    text += "    let mut class: u32 = 0;\n    let mut best: i64 = s0;\n";
    for index in 1..forest.forests.len() {
        let _ = writeln!(
            text,
            "    if s{index} > best {{\n        best = s{index};\n        class = {index};\n    }}"
        );
    }
    text += "    out.class = class;\n    out.score = best;\n}\n";
    Ok(text)
}
