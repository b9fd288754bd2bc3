//! Random models for the tests.

use super::bench::Random;
use rmt_isa::card::engine::EngineShape;
use rmt_isa::operand::Element;
use rmt_isa::program::{
    ChannelScale, Forest, ForestMode, Program, Scale, Tensor, TreeNode, Window,
};

fn tensor(random: &mut Random, name: &str, element: Element, shape: &[u32]) -> Tensor {
    let count = shape.iter().product();
    let values = (0..count).map(|_| random.value(8 * element.bytes() as u32)).collect();
    Tensor { name: name.into(), model: 0, element, shape: shape.to_vec(), values }
}

fn scale(random: &mut Random, channels: usize) -> Scale {
    let channel = |random: &mut Random| ChannelScale {
        multiplier: random.value(32) & i32::MAX,
        shift: 1 + random.below(62) as u8,
    };
    let channels = (0..channels).map(|_| channel(random)).collect();
    Scale { name: "s".into(), model: 0, channels, zero_point: random.value(16) }
}

/// A forest of trees that grow at random to at most a depth.
pub fn forest(
    random: &mut Random,
    mode: ForestMode,
    features: u16,
    trees: usize,
    depth: u32,
) -> Forest {
    let mut nodes = vec![TreeNode::Leaf { value: 0 }; trees];
    let roots = (0..trees as u16).collect();
    let mut open: Vec<(usize, u32)> = (0..trees).map(|root| (root, depth)).collect();
    let mut next = 0;
    while let Some(&(place, depth)) = open.get(next) {
        next += 1;
        let grows = depth > 0 && !random.one_in(5) && nodes.len() < 400;
        nodes[place] = if grows {
            let left = nodes.len();
            nodes.extend([TreeNode::Leaf { value: 0 }; 2]);
            open.extend([(left, depth - 1), (left + 1, depth - 1)]);
            let feature = random.below(features.into()) as u8;
            TreeNode::Branch { feature, threshold: random.value(16), left: left as u16 }
        } else if mode == ForestMode::Vote {
            let classes = random.pick(&[3, 256]);
            TreeNode::Leaf { value: random.below(classes) as i32 }
        } else {
            TreeNode::Leaf { value: random.value(32) }
        };
    }
    Forest { name: "f".into(), model: 0, mode, features, roots, nodes }
}

/// A divisor of `number`, at random.
fn divisor(random: &mut Random, number: u32) -> u32 {
    let all: Vec<u32> = (1..=number).filter(|d| number.is_multiple_of(*d)).collect();
    random.pick(&all)
}

/// Window length, stride, padding before and output length for an input length: all that the
/// verifier accepts, small windows more often, with at most `most` places.
fn axis(random: &mut Random, input: u32, most: u32) -> (u16, u16, u16, u16) {
    let (longest, widest) = if random.one_in(4) { (9, 7) } else { (3, 2) };
    let window = 1 + random.below(longest) as u32;
    let pad = if random.one_in(2) { 0 } else { random.below(window.into()) as u32 };
    let stride = 1 + random.below(widest) as u32;
    let places = ((input + pad - 1) / stride + 1).min(most);
    let output = if random.one_in(2) { places } else { 1 + random.below(places.into()) as u32 };
    (window as u16, stride as u16, pad as u16, output as u16)
}

/// A window on an input of `lanes` lanes whose result of pooling has at most `most`.
pub fn window(random: &mut Random, lanes: u32, most: u32) -> Window {
    let channels = divisor(random, lanes);
    let in_height = divisor(random, lanes / channels);
    let in_width = lanes / channels / in_height;
    let (height, stride_y, pad_top, out_height) = axis(random, in_height, most / channels);
    let (width, stride_x, pad_left, out_width) =
        axis(random, in_width, most / channels / u32::from(out_height));
    Window {
        name: "win".into(),
        in_height: in_height as u16,
        in_width: in_width as u16,
        channels: channels as u16,
        height,
        width,
        stride_y,
        stride_x,
        pad_top,
        pad_left,
        out_height,
        out_width,
    }
}

/// Weights and bias of a convolution with a window, of as many outputs as fit or fewer.
pub fn kernel(random: &mut Random, window: &Window, most: u32) -> [Tensor; 2] {
    let places = u32::from(window.out_height) * u32::from(window.out_width);
    let fit = most / places;
    let outputs = if random.one_in(2) { fit.min(9) } else { 1 + random.below(fit.into()) as u32 };
    let [height, width, channels] = [window.height, window.width, window.channels].map(u32::from);
    [
        tensor(random, "k", Element::I8, &[outputs, height, width, channels]),
        tensor(random, "kb", Element::I32, &[outputs]),
    ]
}

/// A program without code, with models of many shapes that fit an engine.
pub fn program_with_models(random: &mut Random, shape: &EngineShape) -> Program {
    let most = shape.vector_lanes;
    let fit = |n: u32| n.min(most);
    let mut program = Program { models: vec!["m".into()], ..Program::default() };
    let tensors = &mut program.tensors;
    let layers = [(10, 15), (1, 10), (fit(30), 9), (8, fit(30)), (most, 8), (3, shape.array)];
    for (outputs, inputs) in layers {
        let (outputs, inputs) = (fit(outputs), fit(inputs));
        tensors.push(tensor(random, "w", Element::I8, &[outputs, inputs]));
        tensors.push(tensor(random, "b", Element::I32, &[outputs]));
    }
    tensors.push(tensor(random, "rows8", Element::I8, &[5, fit(10)]));
    tensors.push(tensor(random, "rows16", Element::I16, &[3, fit(15)]));
    tensors.push(tensor(random, "rows32", Element::I32, &[4, fit(9)]));
    for number in 0..shape.windows.min(4) {
        let lanes = fit([8, 30, 15, most][number as usize % 4]);
        let mut drawn = window(random, lanes, most);
        while u32::from(drawn.height) * u32::from(drawn.width) * u32::from(drawn.channels) > 96 {
            drawn = window(random, lanes, most);
        }
        let window = drawn;
        program.tensors.extend(kernel(random, &window, most));
        program.windows.push(window);
    }
    program.scales = [1, 3, 10, 16].map(|channels| scale(random, channels)).to_vec();
    program.forests = vec![
        forest(random, ForestMode::Sum, 8, 1, 8),
        forest(random, ForestMode::Sum, fit(9) as u16, 5, 4),
        forest(random, ForestMode::Vote, fit(10) as u16, 8, 5),
        forest(random, ForestMode::Vote, fit(15) as u16, 3, 1),
    ];
    program
}
