//! A `.rmt` program that runs a network on the lanes of an event.

use std::fmt::Write as _;

use rmt_isa::event::event_layout;
use rmt_isa::operand::Element;

use super::integer::{IntegerNetwork, Lanes, Step};
use crate::error::{LearnError, Result};

/// Hook number of generated programs; a program for a real hook names its own.
pub const HOOK_NUMBER: u16 = 100;

/// The source text: event field `x`, model file `model_file` beside it, outputs `class` and the
/// first two output lanes (of more than two: the largest lane as `best`).
///
/// # Errors
/// [`LearnError::Model`] if the network is not valid, or its inputs do not fit an event.
pub fn program_text(network: &IntegerNetwork, name: &str, model_file: &str) -> Result<String> {
    let lanes = network.check()?;
    check_name(name)?;
    let room = event_layout::ARGUMENTS.bytes;
    let bytes = network.inputs * network.input_element.bytes();
    if bytes > room {
        return Err(LearnError::model(
            name,
            format!(
                "{} inputs of {} take {bytes} bytes, an event has {room}; use narrower inputs, or write a program that keeps them in a context record",
                network.inputs, network.input_element
            ),
        ));
    }
    let outputs = lanes.last().map_or(0, |lanes| lanes.count);
    let mut text = format!(
        "// Runs the network of {model_file}: {} inputs, {outputs} outputs, {} multiply-accumulates.\n\
         // Written by rmt import; the hook is a placeholder.\n\nprogram {name};\n\n\
         hook {name} = {HOOK_NUMBER} {{\n    key id: u64;\n    x: {}[{}];\n}}\n\n",
        network.inputs,
        network.macs(),
        network.input_element,
        network.inputs,
    );
    let named = match outputs {
        1 => "    y0: i64;\n",
        2 => "    y0: i64;\n    y1: i64;\n",
        _ => "    best: i64;\n",
    };
    let _ = write!(
        text,
        "decision {{\n    class: u32;\n{named}}}\n\nmodel network = \"{model_file}\";\n\n\
         table {name} {{\n    actions = {{ infer }};\n    default = infer();\n}}\n\naction infer() {{\n"
    );
    text += &steps_text(network, &lanes, "event.x");
    let last = network.steps.len();
    let value = if last == 0 { "event.x".to_owned() } else { format!("v{last}") };
    match outputs {
        1 => {
            let _ = writeln!(
                text,
                "    out.class = ({value}[0] > 0) as u32;\n    out.y0 = {value}[0] as i64;"
            );
        }
        2 => {
            let _ = writeln!(
                text,
                "    out.class = argmax({value});\n    out.y0 = {value}[0] as i64;\n    out.y1 = {value}[1] as i64;"
            );
        }
        _ => {
            let _ = writeln!(
                text,
                "    let class = argmax({value});\n    out.class = class;\n    out.best = {value}[class] as i64;"
            );
        }
    }
    text += "}\n";
    Ok(text)
}

/// Refuses what is no name of the language.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let mut characters = name.chars();
    let begins = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if begins && characters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(LearnError::model(
        name,
        "is no name of the language: it needs letters, digits and `_`, no digit first",
    ))
}

/// One statement for each step, from `input` to the variable of the last step.
fn steps_text(network: &IntegerNetwork, lanes: &[Lanes], input: &str) -> String {
    let mut text = String::new();
    let mut from = input.to_owned();
    for (index, step) in network.steps.iter().enumerate() {
        let before = lanes[index];
        let wide = match before.element {
            Element::I32 => from.clone(),
            _ => format!("{from} as i32"),
        };
        let value = match step {
            Step::Requantise { element, .. } => {
                format!("requant({wide}, network.s{index}) as {element}")
            }
            Step::MatMul { .. } => format!("matmul(network.w{index}, {from}, network.b{index})"),
            Step::Convolve { .. } => {
                format!("conv2d(network.w{index}, {from}, network.g{index}, network.b{index})")
            }
            Step::PoolMax(_) => format!("pool_max({from}, network.g{index})"),
            Step::PoolSum(_) => format!("pool_sum({from}, network.g{index})"),
            Step::Relu => format!("relu({from})"),
            Step::AtLeast(least) => format!("max({from}, [{least}; {}])", before.count),
            Step::AtMost(most) => format!("min({from}, [{most}; {}])", before.count),
        };
        from = format!("v{}", index + 1);
        let _ = writeln!(text, "    let {from} = {value};");
    }
    text
}
