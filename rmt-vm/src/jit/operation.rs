//! Vector operations in memory: what compiled code calls for vectors that are too long for
//! machine registers, and for windows and large products.
//!
//! The code generator builds one [`Operation`] for each such instruction, with the constants
//! of the model in it; a lane takes 32 bits here. The equations are those of the instruction
//! table; where the interpreter's words could be reused, they are.

use rmt_isa::arithmetic;
use rmt_isa::event::EVENT_BYTES;
use rmt_isa::limits::{VECTOR_LANES, VECTOR_REGISTERS};
use rmt_isa::operand::{Element, IntType};
use rmt_isa::program::{ChannelScale, Forest, ForestMode, TreeNode};

use super::kernels::MatrixKernel;
use super::window::WindowTaps;

/// Number of the register that holds results whose operands are still needed.
const SCRATCH: usize = VECTOR_REGISTERS;

/// The vector registers in memory, and a scratch register.
#[repr(C, align(64))]
pub(super) struct VectorFile {
    pub(super) registers: [[i32; VECTOR_LANES]; VECTOR_REGISTERS + 1],
}

impl VectorFile {
    pub(super) fn new() -> Self {
        Self { registers: [[0; VECTOR_LANES]; VECTOR_REGISTERS + 1] }
    }

    /// Computes into the scratch from a register, then moves the result to register `d`.
    fn through_scratch(
        &mut self,
        d: usize,
        lanes: usize,
        compute: impl FnOnce(&[[i32; VECTOR_LANES]; VECTOR_REGISTERS], &mut [i32]),
    ) {
        let (registers, scratch) = self.registers.split_at_mut(SCRATCH);
        if let (Ok(registers), [scratch]) =
            (<&mut [[i32; VECTOR_LANES]; VECTOR_REGISTERS]>::try_from(registers), scratch)
        {
            compute(registers, &mut scratch[..lanes]);
            registers[d][..lanes].copy_from_slice(&scratch[..lanes]);
        }
    }

    fn map(&mut self, d: usize, a: usize, lanes: usize, f: impl Fn(i32) -> i32) {
        let source = self.registers[a];
        for (place, &x) in self.registers[d][..lanes].iter_mut().zip(&source[..lanes]) {
            *place = f(x);
        }
    }

    fn zip(&mut self, d: usize, [a, b]: [usize; 2], lanes: usize, f: impl Fn(i32, i32) -> i32) {
        self.through_scratch(d, lanes, |registers, out| {
            for ((place, &x), &y) in out.iter_mut().zip(&registers[a]).zip(&registers[b]) {
                *place = f(x, y);
            }
        });
    }
}

/// How two lanes become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lanewise {
    Add,
    Sub,
    Mul,
    Min,
    Max,
}

/// What pooling makes of the values under a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    Max,
    Sum,
}

/// One vector instruction with all that is known when it is compiled. `d`, `a` and `b` are
/// numbers of registers.
#[derive(Debug)]
pub(super) enum Operation {
    Fill {
        d: usize,
        lanes: usize,
        value: i32,
    },
    LoadEvent {
        d: usize,
        lanes: usize,
        element: Element,
        offset: usize,
    },
    /// The ring's words stand behind `record` plus its field's offset.
    LoadRing {
        d: usize,
        lanes: usize,
        element: Element,
        kind: IntType,
    },
    StoreRing {
        a: usize,
        lanes: usize,
        kind: IntType,
    },
    LoadTensor {
        d: usize,
        columns: usize,
        rows: u64,
        values: Box<[i32]>,
    },
    SetLane {
        d: usize,
        lane: usize,
        element: Element,
    },
    Lanewise {
        kind: Lanewise,
        d: usize,
        a: usize,
        b: usize,
        lanes: usize,
        element: Element,
    },
    Relu {
        d: usize,
        a: usize,
        lanes: usize,
    },
    Convert {
        d: usize,
        a: usize,
        lanes: usize,
        element: Element,
    },
    Sum {
        a: usize,
        lanes: usize,
    },
    ArgMax {
        a: usize,
        lanes: usize,
    },
    MatMul {
        d: usize,
        a: usize,
        wide: bool,
        kernel: MatrixKernel,
    },
    Conv2d {
        d: usize,
        a: usize,
        taps: WindowTaps,
        weights: Box<[i32]>,
        bias: Box<[i32]>,
    },
    Pool {
        d: usize,
        a: usize,
        taps: WindowTaps,
        kind: Pooling,
        least: i32,
    },
    Requantise {
        d: usize,
        a: usize,
        lanes: usize,
        element: Element,
        scale: Box<[ChannelScale]>,
        zero_point: i32,
    },
    Forest {
        a: usize,
        forest: Box<Forest>,
    },
}

impl Operation {
    /// Runs the operation; the result is the scalar that it gives, else 0.
    ///
    /// `scalar` is its scalar operand, `ring` the words of its history ring.
    pub(super) fn run(
        &self,
        file: &mut VectorFile,
        event: &[u8; EVENT_BYTES],
        scalar: u64,
        ring: &mut [u64],
    ) -> u64 {
        match *self {
            Self::Fill { d, lanes, value } => file.registers[d][..lanes].fill(value),
            Self::LoadEvent { d, lanes, element, offset } => {
                let width = element.bytes();
                let bytes = event[offset..offset + lanes * width].chunks_exact(width);
                for (place, bytes) in file.registers[d].iter_mut().zip(bytes) {
                    *place = match *bytes {
                        [byte] => i32::from(byte as i8),
                        [low, high] => i32::from(i16::from_le_bytes([low, high])),
                        [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
                        _ => 0,
                    };
                }
            }
            Self::LoadRing { d, lanes, element, kind } => {
                load_ring(&mut file.registers[d][..lanes], ring, element, kind);
            }
            Self::StoreRing { a, lanes, kind } => {
                store_ring(ring, &file.registers[a][..lanes], kind);
            }
            Self::LoadTensor { d, columns, rows, ref values } => {
                let place = &mut file.registers[d][..columns];
                if scalar < rows {
                    place.copy_from_slice(&values[scalar as usize * columns..][..columns]);
                } else {
                    place.fill(0);
                }
            }
            Self::SetLane { d, lane, element } => {
                file.registers[d][lane] = element.saturate(scalar as i64);
            }
            Self::Lanewise { kind, d, a, b, lanes, element } => {
                lanewise(file, kind, d, [a, b], lanes, element);
            }
            Self::Relu { d, a, lanes } => file.map(d, a, lanes, |x| x.max(0)),
            Self::Convert { d, a, lanes, element } => {
                let (least, most) = (element.min(), element.max());
                file.map(d, a, lanes, |x| x.clamp(least, most));
            }
            Self::Sum { a, lanes } => {
                let sum: i64 = file.registers[a][..lanes].iter().map(|&x| i64::from(x)).sum();
                return sum as u64;
            }
            Self::ArgMax { a, lanes } => return arg_max(&file.registers[a][..lanes]),
            Self::MatMul { d, a, wide, ref kernel } => {
                file.through_scratch(d, kernel.rows(), |registers, out| {
                    kernel.multiply_vector(&registers[a][..kernel.columns()], wide, out);
                });
            }
            Self::Conv2d { d, a, ref taps, ref weights, ref bias } => {
                file.through_scratch(d, taps.results(bias.len()), |registers, out| {
                    taps.convolve(&registers[a], weights, bias, out);
                });
            }
            Self::Pool { d, a, ref taps, kind, least } => {
                file.through_scratch(d, taps.results(taps.channels()), |registers, out| {
                    taps.pool(&registers[a], kind, least, out);
                });
            }
            Self::Requantise { d, a, lanes, element, ref scale, zero_point } => {
                let source = file.registers[a];
                let places = file.registers[d][..lanes].iter_mut().zip(&source);
                for ((place, &x), channel) in places.zip(scale.iter().cycle()) {
                    let (multiplier, shift) = (channel.multiplier, channel.shift);
                    *place = arithmetic::requantise(x, multiplier, shift, zero_point, element);
                }
            }
            Self::Forest { a, ref forest } => return forest_value(forest, &file.registers[a]),
        }
        0
    }
}

fn lanewise(
    file: &mut VectorFile,
    kind: Lanewise,
    d: usize,
    operands: [usize; 2],
    lanes: usize,
    element: Element,
) {
    let (least, most) = (element.min(), element.max());
    match (kind, element) {
        (Lanewise::Add, Element::I32) => file.zip(d, operands, lanes, i32::saturating_add),
        (Lanewise::Sub, Element::I32) => file.zip(d, operands, lanes, i32::saturating_sub),
        // Sums of two i16 fit 32 bits.
        (Lanewise::Add, _) => file.zip(d, operands, lanes, |x, y| (x + y).clamp(least, most)),
        (Lanewise::Sub, _) => file.zip(d, operands, lanes, |x, y| (x - y).clamp(least, most)),
        (Lanewise::Mul, _) => file.zip(d, operands, lanes, i32::wrapping_mul),
        (Lanewise::Min, _) => file.zip(d, operands, lanes, i32::min),
        (Lanewise::Max, _) => file.zip(d, operands, lanes, i32::max),
    }
}

fn arg_max(lanes: &[i32]) -> u64 {
    let max = lanes.iter().max();
    lanes.iter().position(|lane| Some(lane) == max).unwrap_or(0) as u64
}

/// Places of the bookkeeping words of a ring, as [`crate::state::context`] lays it out.
pub(super) const RING_LENGTH: usize = 0;
pub(super) const RING_NEWEST: usize = 1;
pub(super) const RING_VALUES: usize = 2;

fn load_ring(lanes: &mut [i32], ring: &[u64], element: Element, kind: IntType) {
    let [length, newest, ref values @ ..] = *ring else { return };
    for (index, lane) in lanes.iter_mut().enumerate() {
        let value = if (index as u64) < length {
            let newest = newest as usize;
            let place =
                if index <= newest { newest - index } else { newest + values.len() - index };
            values[place]
        } else {
            0
        };
        // A u64 above i64::MAX is large, not negative.
        let value = if kind.signed() { value as i64 } else { value.min(i64::MAX as u64) as i64 };
        *lane = element.saturate(value);
    }
}

fn store_ring(ring: &mut [u64], lanes: &[i32], kind: IntType) {
    let [length, newest, values @ ..] = ring else { return };
    let mut place = *newest as usize;
    for &lane in lanes.iter().rev() {
        place = if place + 1 == values.len() { 0 } else { place + 1 };
        values[place] = kind.wrap(i64::from(lane) as u64);
    }
    *newest = place as u64;
    *length = lanes.len() as u64;
}

fn forest_value(forest: &Forest, features: &[i32]) -> u64 {
    let leaves = forest.roots.iter().map(|&root| leaf(&forest.nodes, root, features));
    match forest.mode {
        ForestMode::Sum => leaves.map(i64::from).sum::<i64>() as u64,
        ForestMode::Vote => {
            let mut votes = [0_i32; 256];
            for class in leaves {
                if let Some(count) = usize::try_from(class).ok().and_then(|c| votes.get_mut(c)) {
                    *count += 1;
                }
            }
            arg_max(&votes)
        }
    }
}

fn leaf(nodes: &[TreeNode], root: u16, features: &[i32]) -> i32 {
    let mut place = usize::from(root);
    loop {
        match nodes[place] {
            TreeNode::Leaf { value } => return value,
            TreeNode::Branch { feature, threshold, left } => {
                place = usize::from(left) + usize::from(features[usize::from(feature)] > threshold);
            }
        }
    }
}
