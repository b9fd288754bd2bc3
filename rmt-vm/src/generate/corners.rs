//! The corners of the ML engine that instructions go through: how products and convolutions
//! are cut into tiles, which results saturate, where the largest lane stands. Each corner is a
//! bin; whoever runs random instructions on an engine counts them and asks for all.

use std::collections::BTreeMap;

use rmt_isa::Instruction;
use rmt_isa::card::engine::EngineShape;
use rmt_isa::operand::{Element, Vector};
use rmt_isa::program::{ForestMode, Program, Window};

use crate::interpreter::Thread;

/// How often each corner was gone through.
#[derive(Clone, Debug)]
pub struct EngineCorners {
    bins: BTreeMap<String, u64>,
}

/// All bins; `{}` stands for each element type that the instruction takes.
const BINS: &[(&str, &[Element])] = &[
    ("product of {}, inputs: part of a tile", NARROW),
    ("product of {}, inputs: whole tiles", NARROW),
    ("product of {}, outputs: part of a tile", NARROW),
    ("product of {}, outputs: whole tiles", NARROW),
    ("product of {} of one tile", NARROW),
    ("product of {} of several tiles", NARROW),
    ("product with bias", &[]),
    ("product without bias", &[]),
    ("product onto its own input", &[]),
    ("requantisation to {}", ALL),
    ("requantisation to {} of one channel", ALL),
    ("requantisation to {} that saturates", NARROW),
    ("largest lane of {}, several are equal", ALL),
    ("largest lane of {}, in the last word", ALL),
    ("convolution of {}", NARROW),
    ("convolution, padded", &[]),
    ("convolution, not padded", &[]),
    ("convolution with stride", &[]),
    ("convolution of one place", &[]),
    ("convolution of more places than partial sums", &[]),
    ("convolution, outputs: part of a tile", &[]),
    ("convolution, several words of outputs", &[]),
    ("convolution, several segments", &[]),
    ("pooling of {}: largest", ALL),
    ("pooling of {}: sum", ALL),
    ("pooling, padded", &[]),
    ("pooling with stride", &[]),
    ("pooling, several words of channels", &[]),
    ("forest, sum", &[]),
    ("forest, vote", &[]),
];

const ALL: &[Element] = &[Element::I8, Element::I16, Element::I32];
const NARROW: &[Element] = &[Element::I8, Element::I16];

fn bins() -> impl Iterator<Item = String> {
    BINS.iter().flat_map(|(name, elements)| match elements {
        [] => vec![(*name).to_owned()],
        all => all.iter().map(|element| name.replace("{}", &element.to_string())).collect(),
    })
}

impl Default for EngineCorners {
    fn default() -> Self {
        Self { bins: bins().map(|name| (name, 0)).collect() }
    }
}

impl EngineCorners {
    /// An instruction is about to run, or ran, without fault; `thread` is as it was before.
    pub fn count(
        &mut self,
        instruction: Instruction,
        thread: &Thread,
        program: &Program,
        shape: &EngineShape,
    ) {
        for bin in bins_of(instruction, thread, program, shape) {
            debug_assert!(self.bins.contains_key(&bin), "no bin `{bin}`");
            *self.bins.entry(bin).or_default() += 1;
        }
    }

    /// All corners with their counts.
    pub fn bins(&self) -> impl Iterator<Item = (&str, u64)> {
        self.bins.iter().map(|(name, count)| (name.as_str(), *count))
    }
}

/// The bins that an instruction goes through.
fn bins_of(
    instruction: Instruction,
    thread: &Thread,
    program: &Program,
    shape: &EngineShape,
) -> Vec<String> {
    let n = shape.array as usize;
    let vector = |register: Vector| thread.vector(register);
    let part =
        |lanes: usize| if lanes.is_multiple_of(n) { "whole tiles" } else { "part of a tile" };
    let mut bins = Vec::new();
    let mut hit = |applies: bool, bin: String| bins.extend(applies.then_some(bin));
    match instruction {
        Instruction::MatMul { d, a, weights, bias } => {
            let element = vector(a).element();
            let inputs = vector(a).lanes().len();
            let outputs = program.tensors[weights.index()].shape[0] as usize;
            let tiles = inputs.div_ceil(n) * outputs.div_ceil(n);
            let of = if tiles == 1 { "one tile" } else { "several tiles" };
            hit(true, format!("product of {element}, inputs: {}", part(inputs)));
            hit(true, format!("product of {element}, outputs: {}", part(outputs)));
            hit(true, format!("product of {element} of {of}"));
            hit(
                true,
                format!("product {} bias", if bias.0.is_some() { "with" } else { "without" }),
            );
            hit(d == a, "product onto its own input".into());
        }
        Instruction::Requantise { a, element, scale, .. } => {
            let scale = &program.scales[scale.index()];
            let channels = scale.channels.iter().cycle();
            let saturates = vector(a).lanes().iter().zip(channels).any(|(&lane, channel)| {
                let (multiplier, shift) = (channel.multiplier, channel.shift);
                let wide = rmt_isa::arithmetic::requantise(
                    lane,
                    multiplier,
                    shift,
                    scale.zero_point,
                    Element::I32,
                );
                element.saturate(wide.into()) != wide
            });
            hit(true, format!("requantisation to {element}"));
            hit(scale.channels.len() == 1, format!("requantisation to {element} of one channel"));
            let bin = format!("requantisation to {element} that saturates");
            hit(saturates && element != Element::I32, bin);
        }
        Instruction::ArgMax { a, .. } => {
            let (element, lanes) = (vector(a).element(), vector(a).lanes());
            let largest = lanes.iter().max();
            let equal = lanes.iter().filter(|lane| Some(*lane) == largest).count();
            let place = lanes.iter().position(|lane| Some(lane) == largest).unwrap_or(0);
            hit(equal > 1, format!("largest lane of {element}, several are equal"));
            let last_word = lanes.len() > n && place / n == (lanes.len() - 1) / n;
            hit(last_word, format!("largest lane of {element}, in the last word"));
        }
        Instruction::Conv2d { a, window, weights, .. } => {
            let window = &program.windows[window.index()];
            let outputs = program.tensors[weights.index()].shape[0] as usize;
            let places = usize::from(window.out_height) * usize::from(window.out_width);
            let row = usize::from(window.width) * usize::from(window.channels);
            hit(true, format!("convolution of {}", vector(a).element()));
            let padded = if is_padded(window) { "padded" } else { "not padded" };
            hit(true, format!("convolution, {padded}"));
            hit(has_stride(window), "convolution with stride".into());
            hit(places == 1, "convolution of one place".into());
            let many = places > shape.partial_sums() as usize;
            hit(many, "convolution of more places than partial sums".into());
            let bin = "convolution, outputs: part of a tile".into();
            hit(!outputs.is_multiple_of(n), bin);
            hit(outputs > n, "convolution, several words of outputs".into());
            hit(row > n, "convolution, several segments".into());
        }
        Instruction::PoolMax { a, window, .. } | Instruction::PoolSum { a, window, .. } => {
            let window = &program.windows[window.index()];
            let largest = matches!(instruction, Instruction::PoolMax { .. });
            let what = if largest { "largest" } else { "sum" };
            hit(true, format!("pooling of {}: {what}", vector(a).element()));
            hit(is_padded(window), "pooling, padded".into());
            hit(has_stride(window), "pooling with stride".into());
            let several = usize::from(window.channels) > n;
            hit(several, "pooling, several words of channels".into());
        }
        Instruction::ForestEval { forest, .. } => {
            let sums = program.forests[forest.index()].mode == ForestMode::Sum;
            hit(true, format!("forest, {}", if sums { "sum" } else { "vote" }));
        }
        _ => {}
    }
    bins
}

/// A place of the window reaches over the edge of its input.
fn is_padded(window: &Window) -> bool {
    window.pad_top > 0 || window.pad_left > 0
}

/// Places are more than a row or a column apart.
fn has_stride(window: &Window) -> bool {
    (window.stride_y > 1 && window.out_height > 1) || (window.stride_x > 1 && window.out_width > 1)
}
