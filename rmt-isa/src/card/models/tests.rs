use super::*;
use crate::assembly::assemble;
use crate::operand::Element;
use crate::program::{Action, ChannelScale, Window};
use std::collections::HashMap;

fn tensor(name: &str, element: Element, shape: &[u32]) -> Tensor {
    let count = shape.iter().product::<u32>() as i32;
    let values = (1..=count).collect();
    Tensor { name: name.into(), model: 0, element, shape: shape.to_vec(), values }
}

fn program(code: &str) -> Program {
    let code = assemble(code).unwrap();
    let lines = vec![0; code.len()];
    let action = Action { name: "act".into(), parameters: vec![], arguments: 0, code, lines };
    Program { models: vec!["m".into()], actions: vec![action], ..Program::default() }
}

fn memory(program: &Program, shape: &EngineShape) -> HashMap<u32, u64> {
    let writes = lower_models(program, shape).unwrap();
    writes.into_iter().map(|write| (write.address, write.value)).collect()
}

fn refused(program: &Program, shape: &EngineShape) -> String {
    lower_models(program, shape).unwrap_err().to_string()
}

#[test]
fn weights_become_tiles_with_zeros_beyond_the_edge() {
    let shape = EngineShape::tiny();
    let mut program = program("RMT_MAT_MUL v1, v0, tensor0, tensor1\n");
    program.tensors = vec![tensor("w", Element::I8, &[6, 5]), tensor("b", Element::I32, &[6])];
    let memory = memory(&program, &shape);
    let descriptor = memory[&shape.host_address(EngineRegion::TensorDescriptors, 0, 0)];
    assert_eq!(TENSOR_ROWS.extract(descriptor), 6);
    assert_eq!(TENSOR_COLUMNS.extract(descriptor), 5);
    assert_eq!(TENSOR_TILED.extract(descriptor), 1);
    assert_eq!(TENSOR_IN_ROWS.extract(descriptor), 0);
    // Every place of the four tiles: outputs and inputs in steps of the array.
    for tile in 0..4 {
        for row in 0..4 {
            let word = memory[&shape.host_address(EngineRegion::Weights, tile * 4 + row, 0)];
            for column in 0..4 {
                let (output, input) = (tile / 2 * 4 + column, tile % 2 * 4 + row);
                let inside = output < 6 && input < 5;
                let expected = if inside { output * 5 + input + 1 } else { 0 };
                assert_eq!(word >> (8 * column) & 0xff, expected.into(), "{tile} {row} {column}");
            }
        }
    }
    // The bias fills one word of four and half of the next.
    let parts =
        |word| [0, 1].map(|part| memory[&shape.host_address(EngineRegion::Constants, word, part)]);
    assert_eq!(parts(0), [2 << 32 | 1, 4 << 32 | 3]);
    assert_eq!(parts(1), [6 << 32 | 5, 0]);
}

#[test]
fn channels_repeat_until_they_meet_the_lanes_again() {
    let shape = EngineShape { requantise_lanes: 4, ..EngineShape::tiny() };
    let mut program = program("RMT_REQUANT v1, v0, i16, scale1\n");
    let scale = |channels: i32| Scale {
        name: "s".into(),
        model: 0,
        channels: (0..channels).map(|c| ChannelScale { multiplier: c, shift: 7 }).collect(),
        zero_point: -3,
    };
    program.scales = vec![scale(1), scale(6)];
    let memory = memory(&program, &shape);
    assert_eq!(memory[&shape.host_address(EngineRegion::ScaleDescriptors, 0, 0)], 0, "not used");
    let descriptor = memory[&shape.host_address(EngineRegion::ScaleDescriptors, 1, 0)];
    assert_eq!(SCALE_LAST_WORD.extract(descriptor), 2, "12 lanes are twice 6 channels");
    assert_eq!(SCALE_ZERO_POINT.extract(descriptor) as u32 as i32, -3);
    for lane in 0..12 {
        let word = memory[&shape.host_address(EngineRegion::Scales, lane / 4, lane % 4)];
        assert_eq!(CHANNEL_MULTIPLIER.extract(word), u64::from(lane % 6));
        assert_eq!(CHANNEL_SHIFT.extract(word), 7);
    }
}

/// Walks the pairs as the card does.
fn walk(memory: &HashMap<u32, u64>, shape: &EngineShape, root: u32, features: &[i32]) -> i32 {
    let descriptor = memory[&shape.host_address(EngineRegion::ForestDescriptors, 0, 0)];
    let base = FOREST_BASE.extract(descriptor) as u32;
    let (mut pair, mut side) = (base + root / 2, root % 2);
    loop {
        let node = memory[&shape.host_address(EngineRegion::TreePairs, pair, side)];
        let value = NODE_VALUE.extract(node) as u32 as i32;
        if NODE_LEAF.extract(node) == 1 {
            return value;
        }
        side = u32::from(features[NODE_FEATURE.extract(node) as usize] > value);
        pair = NODE_CHILDREN.extract(node) as u32;
    }
}

#[test]
fn walks_through_pairs_end_at_the_same_leaves_as_walks_through_nodes() {
    let shape = EngineShape::tiny();
    for trees in 1..4_u16 {
        let mut program = program("RMT_TREE_EVAL r1, v0, forest0\n");
        // Each tree: two levels whose thresholds and leaves tell tree and path.
        let mut nodes = Vec::new();
        for tree in 0..trees {
            let first = tree * 7;
            let leaf = |path: i32| TreeNode::Leaf { value: i32::from(tree) * 100 + path };
            let branch = |feature, left| TreeNode::Branch { feature, threshold: tree.into(), left };
            nodes.extend([branch(0, first + 1), branch(1, first + 3), branch(2, first + 5)]);
            nodes.extend([0, 1, 2, 3].map(leaf));
        }
        program.forests = vec![Forest {
            name: "f".into(),
            model: 0,
            mode: ForestMode::Sum,
            features: 3,
            roots: (0..trees).map(|tree| tree * 7).collect(),
            nodes,
        }];
        let memory = memory(&program, &shape);
        for tree in 0..trees {
            for path in 0..4 {
                let over = |bit: i32| i32::from(tree) + bit;
                let features = [over(path >> 1), over(path & 1), over(path & 1)];
                let leaf = walk(&memory, &shape, tree.into(), &features);
                assert_eq!(leaf, i32::from(tree) * 100 + path);
            }
        }
    }
}

#[test]
fn an_array_of_pairs_refuses_products_of_i16_vectors() {
    let pairs = EngineShape { multiplier_products: 2, ..EngineShape::tiny() };
    let lowers = |shape: &EngineShape, code: &str| {
        let tensors =
            vec![tensor("w", Element::I8, &[4, 4]), tensor("rows", Element::I16, &[2, 4])];
        let channel = ChannelScale { multiplier: 1 << 30, shift: 30 };
        let scale = Scale { name: "s".into(), model: 0, channels: vec![channel], zero_point: 0 };
        let product = "RMT_MAT_MUL v1, v0, tensor0, none\n";
        let program = program(&(code.to_owned() + product));
        lower_models(&Program { tensors, scales: vec![scale], ..program }, shape)
            .map_err(|error| error.to_string())
    };
    let fill = "RMT_VECTOR_FILL v0, x4, i16, 1\n";
    assert_eq!(
        lowers(&pairs, fill).unwrap_err(),
        "action `act`, instruction 1: `RMT_MAT_MUL v1, v0, tensor0, none` multiplies a vector of i16, the array takes \
         activations of 8 bits; requantise it to i8, or use a card with `multiplier_products` = 1"
    );
    assert!(lowers(&EngineShape::tiny(), fill).is_ok());
    // What is i16 behind all this, and what is not.
    let through = |code: &str| lowers(&pairs, &(fill.to_owned() + code)).is_ok();
    for wide in [
        "RMT_VECTOR_RELU v0, v0\n",
        "RMT_VECTOR_ADD v2, v0, v0\nRMT_VECTOR_MAX v0, v2, v2\n",
        "RMT_VECTOR_SET v0, lane1, r0\n",
        "RMT_VECTOR_FILL v0, x4, i8, 1\nRMT_VECTOR_LD v0, r0, tensor1\n",
        "jeqi r0, 1, +1\nRMT_VECTOR_FILL v3, x4, i8, 1\n",
    ] {
        assert!(!through(wide), "{wide}");
    }
    for narrow in [
        "RMT_VECTOR_CVT v0, v0, i8\n",
        "RMT_VECTOR_MUL v0, v0, v0\nRMT_REQUANT v0, v0, i8, scale0\n",
        "RMT_VECTOR_FILL v0, x4, i8, 1\n",
        "jump +1\nexit decided\nRMT_VECTOR_FILL v0, x4, i8, 1\n",
    ] {
        assert!(through(narrow), "{narrow}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_parameter_to_raise() {
    let shape = EngineShape::tiny();
    let mut large = program("RMT_MAT_MUL v1, v0, tensor0, none\n");
    large.tensors = vec![tensor("w", Element::I8, &[32, 3])];
    let few = EngineShape { weight_tiles: 7, ..shape.clone() };
    assert_eq!(
        refused(&large, &few),
        "tensor `w` does not fit: up to it the program needs 8 `weight_tiles`, the card has 7; \
         raise `weight_tiles` of the engine"
    );
    large.tensors = vec![tensor("w", Element::I8, &[33, 1])];
    let error = refused(&large, &shape);
    assert!(error.ends_with("a vector register has 32; raise `vector_lanes` to 64"), "{error}");
    let pooling = program("exit decided\nRMT_POOL_MAX v1, v0, window0\n");
    assert!(refused(&pooling, &shape).ends_with("there is no window 0; verify the program first"));
    let scales = vec![Scale { name: "s".into(), model: 0, channels: vec![], zero_point: 0 }; 17];
    let many = Program { scales, ..Program::default() };
    assert!(refused(&many, &shape).contains("raise `scales` of the engine to 17"));
    let nothing = program("RMT_TREE_EVAL r1, v0, forest3\n");
    assert!(refused(&nothing, &shape).contains("there is no forest 3"));
}

#[test]
fn a_forest_in_a_circle_is_refused() {
    let mut program = program("RMT_TREE_EVAL r1, v0, forest0\n");
    program.forests = vec![Forest {
        name: "f".into(),
        model: 0,
        mode: ForestMode::Sum,
        features: 1,
        roots: vec![0],
        nodes: vec![TreeNode::Branch { feature: 0, threshold: 0, left: 0 }; 2],
    }];
    let error = refused(&program, &EngineShape::tiny());
    assert_eq!(error, "forest `f`: a node is reached twice; verify the program first");
}

/// A window of 3 × 2 on 4 × 5 with 3 channels, strides 2 and 1, padded by 1 and 0; 2 × 4 places.
fn window() -> Window {
    Window {
        name: "win".into(),
        in_height: 4,
        in_width: 5,
        channels: 3,
        height: 3,
        width: 2,
        stride_y: 2,
        stride_x: 1,
        pad_top: 1,
        pad_left: 0,
        out_height: 2,
        out_width: 4,
    }
}

#[test]
fn weights_of_a_convolution_begin_a_tile_with_each_row_of_the_window() {
    let shape = EngineShape { vector_lanes: 64, ..EngineShape::tiny() };
    let mut program = program("RMT_CONV_2D v1, v0, window1, tensor0, none\n");
    let other = Window { width: 1, ..window() };
    program.windows = vec![other, window()];
    program.tensors = vec![tensor("k", Element::I8, &[5, 3, 2, 3])];
    let memory = memory(&program, &shape);
    let descriptor = memory[&shape.host_address(EngineRegion::TensorDescriptors, 0, 0)];
    assert_eq!(TENSOR_CONVOLVED.extract(descriptor), 1);
    assert_eq!(TENSOR_KERNEL.extract(descriptor), 1);
    // Six inputs of a row of the window take two tiles; three rows; five outputs take two.
    for tile in 0..12 {
        for row in 0..4 {
            let word = memory[&shape.host_address(EngineRegion::Weights, tile * 4 + row, 0)];
            for column in 0..4 {
                let (output, part) = (tile / 6 * 4 + column, tile % 6 / 2);
                let input = tile % 2 * 4 + row;
                let inside = output < 5 && input < 6;
                let expected = if inside { (output * 3 + part) * 6 + input + 1 } else { 0 };
                assert_eq!(word >> (8 * column) & 0xff, expected.into(), "{tile} {row} {column}");
            }
        }
    }
}

#[test]
fn window_descriptors_hold_products_of_the_sizes() {
    let shape = EngineShape { vector_lanes: 64, ..EngineShape::tiny() };
    let mut program = program("RMT_POOL_SUM v1, v0, window0\n");
    program.windows = vec![window()];
    let memory = memory(&program, &shape);
    let word = |part| memory[&shape.host_address(EngineRegion::WindowDescriptors, 0, part)];
    assert_eq!(WINDOW_INPUTS.extract(word(0)), 60);
    assert_eq!(WINDOW_PLACES.extract(word(0)), 8);
    assert_eq!(WINDOW_MOST_OUTPUTS.extract(word(0)), 8);
    assert_eq!((WINDOW_POOLS.extract(word(0)), WINDOW_POOLED.extract(word(0))), (1, 24));
    assert_eq!(WINDOW_ROW_LANES.extract(word(1)), 15);
    assert_eq!(WINDOW_SEGMENTS.extract(word(1)), 1);
    assert_eq!(WINDOW_STRIDE_ROW_LANES.extract(word(2)), 30);
    assert_eq!(WINDOW_PAD_ROW_LANES.extract(word(2)), 15);
    assert_eq!(WINDOW_LAST_PLACE.extract(word(3)), 7);
    program.windows[0].pad_left = 2;
    assert_eq!(
        refused(&program, &shape),
        "window `win`: its padding at the left is 2, this engine takes 0..=1; raise `vector_lanes` \
         of the engine or use a smaller window"
    );
}

#[test]
fn a_result_that_is_longer_than_a_register_is_refused() {
    let mut program = program("RMT_POOL_SUM v1, v0, window0\n");
    program.windows = vec![Window { channels: 1, out_width: 4, out_height: 10, ..window() }];
    let error = refused(&program, &EngineShape::tiny());
    assert!(error.contains("makes 40 lanes, a vector register has 32"), "{error}");
}
