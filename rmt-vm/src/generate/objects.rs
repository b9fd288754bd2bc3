//! What a program declares: event fields, contexts, maps, models, and its actions' frames.

use rmt_isa::event::{EVENT_BYTES, event_layout};
use rmt_isa::instruction::Class;
use rmt_isa::operand::{Element, IntType};
use rmt_isa::program::{
    Action, ChannelScale, Context, ContextField, EventField, Forest, ForestMode, Hook, Label, Map,
    Output, Parameter, Program, Scale, Tensor, TreeNode, Window,
};

use super::{Options, Random};

/// Largest bias: with i8 weights, i16 activations and 256 products no i32 overflows.
const MAX_BIAS: i32 = 1 << 28;
/// Depth of generated trees, in comparisons.
const TREE_DEPTH: usize = 5;

/// A program with all its objects, but without tables and code.
pub(super) fn declare(random: &mut Random, options: &Options) -> Program {
    let mut program = Program {
        name: "generated".into(),
        hook: hook(random),
        outputs: outputs(random, options),
        ..Program::default()
    };
    if options.has_class(Class::Context) {
        let count = random.between(*options.contexts.start(), *options.contexts.end());
        program.contexts = (0..count).map(|number| context(random, options, number)).collect();
    }
    if options.has_class(Class::Map) && !options.map_kinds.is_empty() {
        let count = random.between(*options.maps.start(), *options.maps.end());
        program.maps = (0..count).map(|number| map(random, options, number)).collect();
    }
    if options.has_class(Class::Model) || options.has_class(Class::Vector) {
        for _ in 0..random.between(*options.models.start(), *options.models.end()) {
            model(random, options, &mut program);
        }
    }
    program
}

fn int_type(random: &mut Random) -> IntType {
    *random.pick(IntType::ALL)
}

/// Fields that fill the key and the arguments without gap.
fn hook(random: &mut Random) -> Hook {
    let mut fields = Vec::new();
    let mut offset = event_layout::KEY.offset;
    while offset < EVENT_BYTES {
        let kind = int_type(random);
        if offset.is_multiple_of(kind.bytes()) {
            let name = format!("field{}", fields.len());
            fields.push(EventField { name, kind, offset: offset as u8, label: Label::Public });
            offset += kind.bytes();
        }
    }
    Hook { name: "generated_hook".into(), number: random.below(1 << 16) as u16, fields }
}

fn outputs(random: &mut Random, options: &Options) -> Vec<Output> {
    let output = |number| Output {
        name: format!("output{number}"),
        kind: int_type(random),
        label: Label::Public,
    };
    (0..options.outputs).map(output).collect()
}

fn context(random: &mut Random, options: &Options, number: usize) -> Context {
    let capacity = options.context_capacity_log2.clone();
    let count = random.between(1, 5);
    let fields = (0..count).map(|field| {
        let ring = random.one_in(2).then(|| random.between(1, options.ring_depth) as u16);
        ContextField {
            name: format!("field{field}"),
            kind: int_type(random),
            ring: ring.filter(|_| options.ring_depth > 0),
            writable: !random.one_in(6),
            label: Label::Public,
        }
    });
    Context {
        name: format!("context{number}"),
        fields: fields.collect(),
        capacity: 1 << random.between(*capacity.start(), *capacity.end()),
    }
}

fn map(random: &mut Random, options: &Options, number: usize) -> Map {
    let kind = *random.pick(&options.map_kinds);
    let capacity = if crate::state::map::is_hash(kind) {
        1 << random.between(2, 4)
    } else {
        random.between(1, 20) as u32
    };
    let value = int_type(random);
    Map { name: format!("map{number}"), kind, capacity, value, label: Label::Public }
}

/// Number of lanes; a few sizes are likely, so that operands of one size meet.
pub(super) fn lanes(random: &mut Random, options: &Options) -> usize {
    let [rarer, likeliest] = options.likely_lanes;
    match random.below(4) {
        0 => random.between(1, options.lanes),
        1 => options.lanes.min(rarer),
        _ => options.lanes.min(likeliest),
    }
}

/// A model: products with biases, a convolution, pooling, scales, a forest.
fn model(random: &mut Random, options: &Options, program: &mut Program) {
    let number = program.models.len() as u16;
    program.models.push(format!("model{number}"));
    for _ in 0..random.between(1, 3) {
        let (outputs, inputs) = (lanes(random, options), lanes(random, options));
        tensor(random, program, Element::I8, vec![outputs, inputs]);
        tensor(random, program, Element::I32, vec![outputs]);
        scale(random, program, outputs);
    }
    let element = *random.pick(Element::ALL);
    let shape = vec![random.between(1, 4), lanes(random, options)];
    tensor(random, program, element, shape);
    for _ in 0..random.between(1, 2) {
        if let Some(window) = window(random, options, program.windows.len()) {
            let places = usize::from(window.out_height * window.out_width);
            let most = (options.lanes / places).max(1);
            let few = random.one_in(2);
            let outputs = random.between(1, if few { most.min(4) } else { most });
            let kernel = [window.height, window.width, window.channels].map(usize::from);
            let shape = [&[outputs][..], &kernel].concat();
            tensor(random, program, Element::I8, shape);
            tensor(random, program, Element::I32, vec![outputs]);
            scale(random, program, outputs);
            program.windows.push(window);
        }
    }
    let forest = forest(random, options, program.forests.len(), number);
    program.forests.push(forest);
}

fn tensor(random: &mut Random, program: &mut Program, element: Element, shape: Vec<usize>) {
    let limit = if element == Element::I32 { MAX_BIAS } else { element.max() };
    let count = shape.iter().product();
    program.tensors.push(Tensor {
        name: format!("tensor{}", program.tensors.len()),
        model: program.models.len() as u16 - 1,
        element,
        shape: shape.into_iter().map(|length| length as u32).collect(),
        values: (0..count).map(|_| random.signed(limit)).collect(),
    });
}

fn scale(random: &mut Random, program: &mut Program, channels: usize) {
    let channels = if random.one_in(2) { 1 } else { channels };
    let channel = |_| ChannelScale {
        multiplier: (random.bits() >> 33) as i32 >> random.below(31),
        shift: random.between(1, 62) as u8,
    };
    let channels = (0..channels).map(channel).collect();
    let zero_point = if random.one_in(2) { 0 } else { random.signed(1 << 16) };
    let name = format!("scale{}", program.scales.len());
    let model = program.models.len() as u16 - 1;
    program.scales.push(Scale { name, model, channels, zero_point });
}

/// A window whose places all touch the input; `None` when lanes are too few for any. Its input
/// has as many lanes as other vectors often have.
fn window(random: &mut Random, options: &Options, number: usize) -> Option<Window> {
    let lanes = lanes(random, options);
    let divisor = |random: &mut Random, of: usize, most: usize| {
        random.choose((1..=most).filter(|side| of.is_multiple_of(*side))).unwrap_or(1)
    };
    let most_channels = if random.one_in(3) { lanes } else { 3 };
    let channels = divisor(random, lanes, most_channels);
    let in_height = divisor(random, lanes / channels, 6);
    let in_width = lanes / channels / in_height;
    let (height, out_height, stride_y, pad_top) = axis(random, in_height);
    let (width, out_width, stride_x, pad_left) = axis(random, in_width);
    let inside = out_height * out_width * channels <= options.lanes;
    let window = [in_height, in_width, channels, height, width, stride_y, stride_x, pad_top]
        .map(|length| length as u16);
    let [in_height, in_width, channels, height, width, stride_y, stride_x, pad_top] = window;
    inside.then(|| Window {
        name: format!("window{number}"),
        in_height,
        in_width,
        channels,
        height,
        width,
        stride_y,
        stride_x,
        pad_top,
        pad_left: pad_left as u16,
        out_height: out_height as u16,
        out_width: out_width as u16,
    })
}

/// Window length, output length, stride and padding for an input length.
fn axis(random: &mut Random, input: usize) -> (usize, usize, usize, usize) {
    let length = random.between(1, 3);
    let (stride, pad) = (random.between(1, 2), random.below(length));
    // The last place must begin inside the padded input.
    let most = (input + pad - 1) / stride + 1;
    (length, if random.one_in(2) { most } else { random.between(1, most) }, stride, pad)
}

/// A forest of a few trees over `lanes` features.
fn forest(random: &mut Random, options: &Options, number: usize, model: u16) -> Forest {
    let features = lanes(random, options).min(256);
    let mode = *random.pick(&[ForestMode::Sum, ForestMode::Vote]);
    let (mut roots, mut nodes) = (Vec::new(), Vec::new());
    for _ in 0..random.between(1, 4) {
        roots.push(nodes.len() as u16);
        let place = nodes.len();
        nodes.push(leaf(random, mode));
        grow(random, (mode, features), &mut nodes, place, TREE_DEPTH);
    }
    Forest { name: format!("forest{number}"), model, mode, features: features as u16, roots, nodes }
}

fn leaf(random: &mut Random, mode: ForestMode) -> TreeNode {
    let value = match mode {
        ForestMode::Sum => random.value() as i32,
        // Few classes, so that votes tie.
        ForestMode::Vote => *random.pick(&[0, 1, 2, 255]),
    };
    TreeNode::Leaf { value }
}

/// Turns a leaf into a branch with two leaves behind all nodes, and those perhaps again.
fn grow(
    random: &mut Random,
    (mode, features): (ForestMode, usize),
    nodes: &mut Vec<TreeNode>,
    place: usize,
    depth: usize,
) {
    if depth == 0 || random.one_in(3) {
        return;
    }
    let left = nodes.len();
    let threshold = if random.one_in(3) { random.value() as i32 } else { random.signed(300) };
    let feature = random.below(features) as u8;
    nodes[place] = TreeNode::Branch { feature, threshold, left: left as u16 };
    nodes.extend([leaf(random, mode), leaf(random, mode)]);
    grow(random, (mode, features), nodes, left, depth - 1);
    grow(random, (mode, features), nodes, left + 1, depth - 1);
}

/// An action without code.
pub(super) fn action(
    random: &mut Random,
    options: &Options,
    number: usize,
    arguments: u8,
) -> Action {
    let count = random.between(0, options.parameters);
    let parameter =
        |number| Parameter { name: format!("parameter{number}"), kind: int_type(random) };
    Action {
        name: format!("action{number}"),
        parameters: (0..count).map(parameter).collect(),
        arguments,
        code: Vec::new(),
        lines: Vec::new(),
    }
}
