//! The programs that `rmt bench` runs: each as small as what it measures allows.

use anyhow::Result;
use rmt_isa::Event;
use rmt_isa::assembly::assemble;
use rmt_isa::card::CardShape;
use rmt_isa::operand::{Element, IntType};
use rmt_isa::program::*;

/// Number of the hook that all of them serve.
pub const HOOK: u16 = 3;

/// An event with random key and arguments, the same for the same number.
pub fn event(number: u32) -> Event {
    let random = |n: u64| rmt_isa::arithmetic::split_mix_64(u64::from(number) * 8 + n);
    let mut event = Event::new(HOOK, number, random(0));
    (0..6).for_each(|n| event.store(16 + 8 * n, 8, random(1 + n as u64) & 0x0fff_0fff_0fff_0fff));
    event
}

/// A program with one table of `entries`, keyed by the event's key; all run the one action.
fn of_action(text: &str, parameters: usize, entries: u64) -> Result<Program> {
    let code = assemble(text)?;
    let parameter = |n| Parameter { name: format!("p{n}"), kind: IntType::U64 };
    let call = |value: u64| ActionCall { action: 0, parameters: vec![value; parameters] };
    let key =
        KeyField { name: "key".into(), kind: IntType::U64, source: KeySource::Event { offset: 8 } };
    let entry = |key: u64| Entry {
        matcher: Matcher::Exact { key: key.into() },
        priority: 0,
        call: call(key),
    };
    let mut program = Program::of_action("bench", HOOK, code);
    program.actions[0].parameters = (0..parameters).map(parameter).collect();
    let table = &mut program.tables[0];
    table.key = if entries == 0 { vec![] } else { vec![key] };
    table.capacity = entries.max(1) as u32;
    table.default = Some(call(0));
    table.entries = (0..entries).map(entry).collect();
    program.models.push("m".into());
    Ok(program)
}

/// Entries for the tables that are looked up: less than half of the card's slots, each with a row
/// of parameters beside that of the default.
pub fn entries_of(shape: &CardShape) -> u64 {
    u64::from((shape.match_slots() / 2).min(shape.parameter_rows - 1)).min(500)
}

/// The largest product of so many rows, inputs and outputs that the card holds: 256, or what
/// its vectors and weights have room for.
pub fn square_side(shape: &CardShape) -> Option<u32> {
    let engine = &shape.engine;
    let fits = |side: &u32| {
        let tiles = side.div_ceil(engine.array).pow(2);
        // The bias and eight rows of inputs.
        let words = 9 * side.div_ceil(engine.array);
        *side <= engine.vector_lanes
            && tiles <= engine.weight_tiles
            && words <= engine.constant_words
    };
    [256, 128, 64, 32].into_iter().find(fits)
}

/// A look-up, and nothing else.
pub fn look_up(entries: u64) -> Result<Program> {
    of_action("exit decided", 0, entries)
}

/// Twelve instructions: loads, arithmetic, a jump that is not taken, two outputs.
pub fn twelve_instructions(entries: u64) -> Result<Program> {
    of_action(
        "ld_event r1, event+16, u32\n\
         ld_event r2, event+20, u16\n\
         ld_param r3, param0\n\
         add r4, r1, r2\n\
         sub r4, r4, r3\n\
         shri r5, r4, 3\n\
         xor r5, r5, r2\n\
         maxi r5, r5, 0\n\
         jgti r5, 2000000000, +1\n\
         out out0, r4\n\
         out out1, r5\n\
         exit decided",
        1,
        entries,
    )
}

/// A tree in which every event makes `depth` comparisons.
pub fn tree(depth: u16) -> Result<Program> {
    let mut program = of_action(
        "RMT_VECTOR_LD_EVENT v0, x8, i16, event+16\n\
         RMT_TREE_EVAL r1, v0, forest0\n\
         out out0, r1\n\
         exit decided",
        0,
        0,
    )?;
    let mut nodes = Vec::new();
    for level in 0..depth {
        let (feature, left) = (level as u8 % 8, 2 * level + 1);
        nodes.push(TreeNode::Branch { feature, threshold: i32::MAX, left });
        if level > 0 {
            nodes.push(TreeNode::Leaf { value: 1 });
        }
    }
    nodes.extend([TreeNode::Leaf { value: 77 }, TreeNode::Leaf { value: 1 }]);
    let (name, mode) = ("f".into(), ForestMode::Sum);
    program.forests.push(Forest { name, model: 0, mode, features: 8, roots: vec![0], nodes });
    Ok(program)
}

fn tensor(name: &str, element: Element, shape: &[u32]) -> Tensor {
    let count = shape.iter().product::<u32>();
    let values = (0..count).map(|n| (29 * n % 201) as i32 - 100).collect();
    Tensor { name: name.into(), model: 0, element, shape: shape.to_vec(), values }
}

/// The network of the load-balancing study: 15 inputs, 10 hidden units, 1 output.
pub fn network() -> Result<Program> {
    let mut program = of_action(
        "RMT_VECTOR_LD_EVENT v0, x15, i16, event+16\n\
         RMT_MAT_MUL v1, v0, tensor0, tensor1\n\
         RMT_REQUANT v1, v1, i16, scale0\n\
         RMT_VECTOR_RELU v1, v1\n\
         RMT_MAT_MUL v2, v1, tensor2, tensor3\n\
         RMT_SCALAR_VAL r1, v2, lane0\n\
         out out0, r1\n\
         exit decided",
        0,
        0,
    )?;
    program.tensors = vec![
        tensor("w1", Element::I8, &[10, 15]),
        tensor("b1", Element::I32, &[10]),
        tensor("w2", Element::I8, &[1, 10]),
        tensor("b2", Element::I32, &[1]),
    ];
    let channels = vec![ChannelScale { multiplier: 1 << 30, shift: 36 }];
    program.scales.push(Scale { name: "s".into(), model: 0, channels, zero_point: 0 });
    Ok(program)
}

/// A network of `edge` inputs, one of 8 rows that the event's key chooses, and as many hidden units.
pub fn wide_network(edge: u32) -> Result<Program> {
    let mut program = of_action(
        "ld_event r1, event+8, u8\n\
         andi r1, r1, 7\n\
         RMT_VECTOR_LD v0, r1, tensor4\n\
         RMT_MAT_MUL v1, v0, tensor0, tensor1\n\
         RMT_REQUANT v1, v1, i8, scale0\n\
         RMT_VECTOR_RELU v1, v1\n\
         RMT_MAT_MUL v2, v1, tensor2, tensor3\n\
         RMT_SCALAR_VAL r2, v2, lane0\n\
         out out0, r2\n\
         exit decided",
        0,
        0,
    )?;
    program.tensors = vec![
        tensor("w1", Element::I8, &[edge, edge]),
        tensor("b1", Element::I32, &[edge]),
        tensor("w2", Element::I8, &[1, edge]),
        tensor("b2", Element::I32, &[1]),
        tensor("inputs", Element::I8, &[8, edge]),
    ];
    let channels = vec![ChannelScale { multiplier: 1 << 30, shift: 38 }];
    program.scales.push(Scale { name: "s".into(), model: 0, channels, zero_point: 0 });
    Ok(program)
}

/// Trees of a depth, each full, whose leaves are added up.
pub fn forest(trees: u16, depth: u16) -> Result<Program> {
    let mut program = tree(1)?;
    let (mut nodes, mut roots) = (Vec::new(), Vec::new());
    for tree in 0..trees {
        let first = nodes.len() as u16;
        roots.push(first);
        let branches = (1 << depth) - 1;
        for node in 0..branches {
            let feature = ((node + tree) % 8) as u8;
            let threshold = i32::from(node * 37 % 101) * 40;
            nodes.push(TreeNode::Branch { feature, threshold, left: first + 2 * node + 1 });
        }
        let leaves = branches..2 * branches + 1;
        nodes.extend(leaves.map(|leaf| TreeNode::Leaf { value: i32::from(leaf % 13) }));
    }
    let (name, mode) = ("f".into(), ForestMode::Sum);
    program.forests = vec![Forest { name, model: 0, mode, features: 8, roots, nodes }];
    Ok(program)
}

/// Multiply-accumulates of [`convolution`].
pub const CONVOLUTION_MACS: u64 = 3 * 6 * 9 * 3 + 9 * 4;

/// A small convolutional network over 40 bytes of the event as 5 rows of 8: 3 channels of 3 × 3,
/// the largest of each 2 × 2 places, and 4 classes. Its vectors fit all cards.
pub fn convolution() -> Result<Program> {
    let mut program = of_action(
        "RMT_VECTOR_LD_EVENT v0, x40, i8, event+16\n\
         RMT_CONV_2D v1, v0, window0, tensor0, tensor1\n\
         RMT_REQUANT v1, v1, i8, scale0\n\
         RMT_VECTOR_RELU v1, v1\n\
         RMT_POOL_MAX v2, v1, window1\n\
         RMT_MAT_MUL v3, v2, tensor2, tensor3\n\
         RMT_ARGMAX r1, v3\n\
         out out0, r1\n\
         exit decided",
        0,
        0,
    )?;
    let window = |name: &str, input: [u16; 3], size: u16, stride: u16, out: [u16; 2]| Window {
        name: name.into(),
        in_height: input[0],
        in_width: input[1],
        channels: input[2],
        height: size,
        width: size,
        stride_y: stride,
        stride_x: stride,
        pad_top: 0,
        pad_left: 0,
        out_height: out[0],
        out_width: out[1],
    };
    program.windows = vec![
        window("convolution", [5, 8, 1], 3, 1, [3, 6]),
        window("pool", [3, 6, 3], 2, 2, [1, 3]),
    ];
    program.tensors = vec![
        tensor("w1", Element::I8, &[3, 3, 3, 1]),
        tensor("b1", Element::I32, &[3]),
        tensor("w2", Element::I8, &[4, 9]),
        tensor("b2", Element::I32, &[4]),
    ];
    let channels = vec![ChannelScale { multiplier: 1 << 30, shift: 36 }];
    program.scales.push(Scale { name: "s".into(), model: 0, channels, zero_point: 0 });
    Ok(program)
}

/// The programs of the microbenchmarks, by name.
pub fn microbenchmarks() -> Result<Vec<(&'static str, Program)>> {
    Ok(vec![
        ("no-op", look_up(0)?),
        ("tree, depth 8", tree(8)?),
        ("MLP 15-10-1", network()?),
        ("32 trees, depth 5", forest(32, 5)?),
        ("CNN 3x3, 3 channels", convolution()?),
    ])
}

/// A load of a vector and a lane of it, or of its product with one tile of weights.
pub fn layer(edge: u32, with_product: bool) -> Result<Program> {
    let product = if with_product { "RMT_MAT_MUL v1, v0, tensor0, tensor1\n" } else { "" };
    let source = if with_product { "v1" } else { "v0" };
    let mut program = of_action(
        &format!(
            "RMT_VECTOR_LD_EVENT v0, x{edge}, i16, event+16\n\
             {product}RMT_SCALAR_VAL r1, {source}, lane0\n\
             out out0, r1\n\
             exit decided"
        ),
        0,
        0,
    )?;
    program.tensors =
        vec![tensor("w", Element::I8, &[edge, edge]), tensor("b", Element::I32, &[edge])];
    Ok(program)
}

/// One row of a product of `side` × `side` × `side`: each event multiplies a vector with the
/// same matrix.
pub fn square(side: u32) -> Result<Program> {
    let mut program = of_action(
        "ld_event r1, event+8, u8\n\
         andi r1, r1, 7\n\
         RMT_VECTOR_LD v0, r1, tensor2\n\
         RMT_MAT_MUL v1, v0, tensor0, tensor1\n\
         RMT_VECTOR_SUM r2, v1\n\
         out out0, r2\n\
         exit decided",
        0,
        0,
    )?;
    program.tensors = vec![
        tensor("w", Element::I8, &[side, side]),
        tensor("b", Element::I32, &[side]),
        tensor("rows", Element::I16, &[8, side]),
    ];
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_vm::verifier::{Limits, verify};

    #[test]
    fn all_programs_are_verified() {
        let programs = [
            look_up(0),
            look_up(9),
            twelve_instructions(9),
            tree(8),
            network(),
            wide_network(16),
            wide_network(128),
            forest(32, 5),
            convolution(),
            square(256),
            layer(16, true),
        ];
        for (number, program) in programs.into_iter().enumerate() {
            if let Err(violations) = verify(&program.unwrap(), &Limits::default()) {
                panic!("program {number}: {}", violations[0]);
            }
        }
    }
}
