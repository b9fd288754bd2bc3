//! The cost of one instruction.

use rmt_isa::Program;
use rmt_isa::instruction::{Class, Instruction};
use rmt_isa::limits::WAYS;
use rmt_isa::operand::{FieldRef, MapId, Operand, Role, TensorId, WindowId};
use rmt_isa::program::{Map, MapKind, Window};
use serde::Serialize;

use super::memory::record_bytes;
use crate::verifier::structure::comparisons;
use crate::verifier::types::Typing;

/// Bytes of a key in a context store or hash map.
const KEY_BYTES: u64 = 8;

/// What something costs at worst. Where paths differ, each figure is the worst of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Instructions.
    pub instructions: u64,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Comparisons in decision trees.
    pub comparisons: u64,
    /// Bytes of contexts and maps that are read.
    pub bytes_read: u64,
    /// Bytes of contexts and maps that are written.
    pub bytes_written: u64,
    /// Cycles of the card for a lone event, by the formula of [`rmt_isa::card::cycles`].
    pub card_cycles: u64,
}

impl Cost {
    /// Both, one after the other; saturates.
    pub(super) fn then(self, next: Self) -> Self {
        self.combine(next, u64::saturating_add)
    }

    /// The worse of both, figure by figure.
    pub(super) fn or(self, other: Self) -> Self {
        self.combine(other, u64::max)
    }

    fn combine(self, other: Self, with: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            instructions: with(self.instructions, other.instructions),
            macs: with(self.macs, other.macs),
            comparisons: with(self.comparisons, other.comparisons),
            bytes_read: with(self.bytes_read, other.bytes_read),
            bytes_written: with(self.bytes_written, other.bytes_written),
            card_cycles: with(self.card_cycles, other.card_cycles),
        }
    }
}

/// One instruction's cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Work {
    pub(super) cost: Cost,
    /// Lanes that pass the vector unit.
    pub(super) lanes: u32,
    /// A product on the array.
    pub(super) product: Option<Product>,
    /// The model whose objects it uses.
    pub(super) model: Option<u16>,
}

/// `vectors` vectors times weights of `outputs` × `inputs`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) inputs: u64,
    pub(super) outputs: u64,
    pub(super) vectors: u64,
}

impl Product {
    fn macs(self) -> u64 {
        self.inputs.saturating_mul(self.outputs).saturating_mul(self.vectors)
    }
}

/// The work of an instruction in a program that was found to be well-formed.
///
/// `typing` is what the types pass found for the instruction.
pub(super) fn instruction_work(
    program: &Program,
    instruction: Instruction,
    typing: &Typing,
) -> Work {
    let mut work = Work::default();
    work.cost.instructions = 1;
    add_state_bytes(program, instruction, typing, &mut work.cost);
    add_model_work(program, instruction, typing, &mut work);
    work
}

/// Lanes of the widest vector that the instruction reads or makes.
fn lanes(instruction: Instruction, typing: &Typing) -> u32 {
    let class = instruction.info().class;
    if !matches!(class, Class::Vector | Class::Model) {
        return 0;
    }
    let operands = instruction.operands();
    let read = operands.iter().filter_map(|operand| match operand.value {
        Operand::Vector(register) if operand.info.role != Role::Write => {
            typing.before[register.index()]
        }
        _ => None,
    });
    read.chain(typing.result).map(|vector| vector.lanes.into()).max().unwrap_or(0)
}

fn add_model_work(program: &Program, instruction: Instruction, typing: &Typing, work: &mut Work) {
    use Instruction as I;
    work.lanes = lanes(instruction, typing);
    let model_of_tensor = |id: TensorId| program.tensors.get(id.index()).map(|t| t.model);
    let window = |id: WindowId| program.windows.get(id.index());
    let length = |id: TensorId, axis: usize| {
        let tensor = program.tensors.get(id.index());
        tensor.and_then(|tensor| tensor.shape.get(axis).copied()).map_or(0, u64::from)
    };
    match instruction {
        I::MatMul { weights, .. } => {
            let (outputs, inputs) = (length(weights, 0), length(weights, 1));
            work.product = Some(Product { inputs, outputs, vectors: 1 });
            work.model = model_of_tensor(weights);
        }
        I::Conv2d { window: id, weights, .. } => {
            let (taps, places) =
                window(id).map_or((0, 0), |w| (taps(w) * u64::from(w.channels), places(w)));
            work.product =
                Some(Product { inputs: taps, outputs: length(weights, 0), vectors: places });
            work.model = model_of_tensor(weights);
        }
        I::VectorMul { .. } => work.cost.macs = work.lanes.into(),
        I::PoolMax { window: id, .. } | I::PoolSum { window: id, .. } => {
            // The window moves over the input: each lane of the result looks at all taps.
            let lanes = window(id).map_or(0, |w| taps(w) * places(w) * u64::from(w.channels));
            work.lanes = lanes.try_into().unwrap_or(u32::MAX);
        }
        I::VectorLoadTensor { tensor, .. } => work.model = model_of_tensor(tensor),
        I::Requantise { scale, .. } => {
            work.model = program.scales.get(scale.index()).map(|scale| scale.model);
        }
        I::ForestEval { forest, .. } => {
            if let Some(forest) = program.forests.get(forest.index()) {
                work.cost.comparisons = comparisons(forest);
                work.model = Some(forest.model);
            }
        }
        _ => {}
    }
    if let Some(product) = work.product {
        work.cost.macs = product.macs();
    }
}

fn taps(window: &Window) -> u64 {
    u64::from(window.height) * u64::from(window.width)
}

fn places(window: &Window) -> u64 {
    u64::from(window.out_height) * u64::from(window.out_width)
}

fn add_state_bytes(program: &Program, instruction: Instruction, typing: &Typing, cost: &mut Cost) {
    use Instruction as I;
    let width = |field: FieldRef| {
        let context = program.contexts.get(field.context.index());
        let field = context.and_then(|context| context.fields.get(usize::from(field.field)));
        field.map_or(0, |field| field.kind.bytes() as u64)
    };
    let keys = WAYS as u64 * KEY_BYTES;
    let (read, written) = match instruction {
        I::MatchContext { context, .. } => {
            // At worst the record is new: its key and all its fields are written.
            let record = program.contexts.get(context.index()).map_or(0, record_bytes);
            (keys, KEY_BYTES + record)
        }
        I::FindContext { .. } => (keys, 0),
        I::LoadContext { field, .. }
        | I::LoadHistory { field, .. }
        | I::LoadHistoryImm { field, .. } => (width(field), 0),
        // A length is two bytes.
        I::HistoryLength { .. } => (2, 0),
        I::StoreContext { field, .. } | I::PushContext { field, .. } => (0, width(field)),
        I::VectorLoadContext { field, lanes, .. } => (width(field) * lanes.count() as u64, 0),
        I::VectorStoreContext { field, a } => {
            let lanes = typing.before[a.index()].map_or(0, |vector| vector.lanes.into());
            (0, width(field) * lanes)
        }
        I::MapLoad { map, .. } => (map_bytes(program, map, true), 0),
        I::MapContains { map, .. } => (map_bytes(program, map, false), 0),
        I::MapStore { map, .. } => {
            (map_bytes(program, map, false), KEY_BYTES + value_bytes(program, map))
        }
        I::MapAdd { map, .. } => {
            (map_bytes(program, map, true), KEY_BYTES + value_bytes(program, map))
        }
        I::MapDelete { map, .. } => (map_bytes(program, map, false), KEY_BYTES),
        I::MapPush { map, .. } => (0, KEY_BYTES + value_bytes(program, map)),
        _ => (0, 0),
    };
    (cost.bytes_read, cost.bytes_written) = (read, written);
}

fn value_bytes(program: &Program, map: MapId) -> u64 {
    program.maps.get(map.index()).map_or(0, |map| map.value.bytes() as u64)
}

/// Bytes read to find a key, and its value if `value`.
fn map_bytes(program: &Program, map: MapId, value: bool) -> u64 {
    let keys = match program.maps.get(map.index()) {
        Some(Map { kind: MapKind::Hash | MapKind::LruHash, .. }) => WAYS as u64 * KEY_BYTES,
        _ => 0,
    };
    keys + if value { value_bytes(program, map) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verifier::testing::Fixture;
    use crate::verifier::types::VectorType;
    use rmt_isa::assembly::assemble;
    use rmt_isa::operand::Element;

    /// Cost of a single instruction, with v0 of 8 lanes i16 and v1 of 32 lanes i8.
    fn cost(line: &str) -> Cost {
        let program = Fixture::new("exit decided").program;
        let mut typing = Typing::default();
        typing.before[0] = Some(VectorType { element: Element::I16, lanes: 8 });
        typing.before[1] = Some(VectorType { element: Element::I8, lanes: 32 });
        let instruction = assemble(line).unwrap()[0];
        instruction_work(&program, instruction, &typing).cost
    }

    #[test]
    fn products_count_their_macs() {
        assert_eq!(cost("RMT_MAT_MUL v2, v0, tensor0, tensor1").macs, 4 * 8);
        assert_eq!(cost("RMT_CONV_2D v2, v1, window0, tensor3, none").macs, 16 * 3 * 18);
        assert_eq!(cost("RMT_VECTOR_MUL v2, v0, v0").macs, 8);
        assert_eq!(cost("RMT_VECTOR_ADD v2, v0, v0").macs, 0);
    }

    #[test]
    fn state_counts_its_bytes() {
        let bytes = |line| (cost(line).bytes_read, cost(line).bytes_written);
        // A record of `proc`: 4 + 8 + 4 + 8 × 2 + 8 × 2 bytes.
        assert_eq!(bytes("RMT_MATCH_CTXT r1, ctxt0, r1"), (32, 8 + 48));
        assert_eq!(bytes("RMT_LD_CTXT r1, ctxt0.1"), (8, 0));
        assert_eq!(bytes("RMT_PUSH_CTXT ctxt0.3, r1"), (0, 2));
        assert_eq!(bytes("RMT_VECTOR_LD_CTXT v2, x8, i16, ctxt0.3"), (16, 0));
        assert_eq!(bytes("RMT_VECTOR_ST_CTXT ctxt0.3, v0"), (0, 16));
        assert_eq!(bytes("map_ld r1, map0, r1"), (8, 0));
        assert_eq!(bytes("map_add r1, map1, r1, r1"), (40, 16));
        assert_eq!(bytes("add r1, r1, r1"), (0, 0));
    }

    #[test]
    fn trees_count_their_comparisons() {
        assert_eq!(cost("RMT_TREE_EVAL r1, v0, forest0").comparisons, 2);
    }
}
