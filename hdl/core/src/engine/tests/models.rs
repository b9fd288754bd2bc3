//! Random models for the tests.

use super::bench::Random;
use rmt_isa::card::engine::EngineShape;
use rmt_isa::operand::Element;
use rmt_isa::program::{ChannelScale, Forest, ForestMode, Program, Scale, Tensor, TreeNode};

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

/// A program without code, with models of many shapes that fit an engine.
pub fn program_with_models(random: &mut Random, shape: &EngineShape) -> Program {
    let most = shape.vector_lanes;
    let fit = |n: u32| n.min(most);
    let mut program = Program { models: vec!["m".into()], ..Program::default() };
    let tensors = &mut program.tensors;
    for (outputs, inputs) in [(10, 15), (1, 10), (fit(30), 9), (8, fit(30)), (most, 8)] {
        let (outputs, inputs) = (fit(outputs), fit(inputs));
        tensors.push(tensor(random, "w", Element::I8, &[outputs, inputs]));
        tensors.push(tensor(random, "b", Element::I32, &[outputs]));
    }
    tensors.push(tensor(random, "rows8", Element::I8, &[5, fit(10)]));
    tensors.push(tensor(random, "rows16", Element::I16, &[3, fit(15)]));
    tensors.push(tensor(random, "rows32", Element::I32, &[4, fit(9)]));
    program.scales = [1, 3, 10, 16].map(|channels| scale(random, channels)).to_vec();
    program.forests = vec![
        forest(random, ForestMode::Sum, 8, 1, 8),
        forest(random, ForestMode::Sum, fit(9) as u16, 5, 4),
        forest(random, ForestMode::Vote, fit(10) as u16, 8, 5),
        forest(random, ForestMode::Vote, fit(15) as u16, 3, 1),
    ];
    program
}
