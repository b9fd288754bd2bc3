//! Vector registers.
//!
//! A vector of up to [`SMALL_LANES`] lanes is a few SSA values of 128 bits, its lanes packed
//! in their own type; what stands behind the last lane has no meaning. Longer vectors live in
//! the frame, 32 bits a lane, and their instructions are calls ([`super::operation`]); so are
//! the instructions on short vectors for which there is nothing better. The verifier knows
//! every type, so that where a vector lives is settled when code is made.

use std::collections::HashMap;
use std::mem::offset_of;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8, I8X16, I16, I16X8, I32, I32X4, I64, I64X2};
use cranelift_codegen::ir::{
    ConstantData, Endianness, InstBuilder, MemFlagsData, StackSlotData, StackSlotKind, Type, Value,
};
use cranelift_frontend::Variable;
use rmt_isa::Instruction;
use rmt_isa::limits::{VECTOR_LANES, VECTOR_REGISTERS};
use rmt_isa::operand::{Element, Lane, Scalar, TensorId, Vector};

use super::action::ActionCompiler;
use super::operation::{Lanewise, Operation, VectorFile};
use super::runtime::{Frame, Function};
use crate::verifier::VectorType;

/// Most lanes of a vector that lives in machine registers.
pub(super) const SMALL_LANES: usize = 32;
/// Bytes of a machine vector.
pub(super) const CHUNK_BYTES: usize = 16;

/// What is known of vector registers.
#[derive(Default)]
pub(super) struct VectorVariables {
    /// Variables of the chunks of small vectors: register, element type, number of the chunk.
    chunks: HashMap<(usize, Element, usize), Variable>,
    /// Lanes of small vectors that this block has written one by one, as values of 64 bits: to
    /// read them needs no vector, and a vector that nobody else reads is not made.
    lanes: HashMap<usize, Vec<Option<Value>>>,
}

impl VectorVariables {
    /// At the beginning of a block.
    pub(super) fn forget_lanes(&mut self) {
        self.lanes.clear();
    }

    /// A lane of a small vector, where it is known.
    pub(super) fn known_lane(&self, register: Vector, lane: usize) -> Option<Value> {
        self.lanes.get(&register.index())?.get(lane).copied().flatten()
    }
}

/// A small vector.
#[derive(Clone, Debug)]
pub(super) struct Small {
    pub(super) element: Element,
    pub(super) lanes: usize,
    /// As many as hold the lanes.
    pub(super) chunks: Vec<Value>,
}

/// Where a vector is.
pub(super) enum Place {
    Registers(Small),
    Memory(VectorType),
}

/// Lanes of a chunk.
pub(super) fn chunk_lanes(element: Element) -> usize {
    CHUNK_BYTES / element.bytes()
}

/// Chunks of a vector.
pub(super) fn chunk_count(element: Element, lanes: usize) -> usize {
    lanes.div_ceil(chunk_lanes(element))
}

/// Type of a chunk.
pub(super) fn chunk_type(element: Element) -> Type {
    match element {
        Element::I8 => I8X16,
        Element::I16 => I16X8,
        Element::I32 => I32X4,
    }
}

/// Type of a lane.
fn lane_type(element: Element) -> Type {
    match element {
        Element::I8 => I8,
        Element::I16 => I16,
        Element::I32 => I32,
    }
}

fn is_small(vector: VectorType) -> bool {
    usize::from(vector.lanes) <= SMALL_LANES
}

impl ActionCompiler<'_, '_> {
    /// Translates instructions on vectors and models.
    pub(super) fn vector_instruction(&mut self, pc: usize, instruction: Instruction) {
        use Instruction::*;
        let result = self.typings[pc].result;
        match instruction {
            VectorFill { d, imm, .. } => self.fill(pc, d, imm),
            VectorLoadEvent { d, offset, .. } => self.load_event(pc, d, offset.index()),
            VectorLoadContext { d, field, .. } => self.load_ring(pc, d, field),
            VectorStoreContext { field, a } => self.store_ring(pc, field, a),
            VectorLoadTensor { d, a, tensor } => self.load_tensor(pc, d, a, tensor),
            VectorSet { d, lane, a } => self.set_lane(pc, d, lane, a),
            ScalarValue { d, a, lane } => self.get_lane(pc, d, a, lane),
            ScalarValueAt { d, a, b } => self.get_lane_at(pc, d, a, b),
            VectorAdd { d, a, b } => self.lanewise(pc, Lanewise::Add, d, a, b),
            VectorSub { d, a, b } => self.lanewise(pc, Lanewise::Sub, d, a, b),
            VectorMul { d, a, b } => self.lanewise(pc, Lanewise::Mul, d, a, b),
            VectorMin { d, a, b } => self.lanewise(pc, Lanewise::Min, d, a, b),
            VectorMax { d, a, b } => self.lanewise(pc, Lanewise::Max, d, a, b),
            VectorRelu { d, a } => self.relu(pc, d, a),
            VectorConvert { d, a, element } => self.convert_register(pc, d, a, element),
            VectorSum { d, a } => self.sum(pc, d, a),
            ArgMax { d, a } => self.arg_max(pc, d, a),
            MatMul { d, a, weights, bias } => self.mat_mul(pc, d, a, weights, bias),
            Conv2d { d, a, window, weights, bias } => {
                self.convolve(pc, d, a, window, weights, bias);
            }
            PoolMax { d, a, window } | PoolSum { d, a, window } => {
                let max = matches!(instruction, PoolMax { .. });
                self.pool(pc, d, a, window, max);
            }
            Requantise { d, a, element, scale } => self.requantise(pc, d, a, element, scale),
            ForestEval { d, a, forest } => self.forest(pc, d, a, forest),
            // All others were translated before this function is reached.
            _ => debug_assert!(result.is_none(), "{instruction:?} has no translation"),
        }
    }

    /// Type of a register before the instruction at `pc`; the verifier has seen that it has one.
    pub(super) fn type_before(&self, pc: usize, register: Vector) -> VectorType {
        let unreachable = VectorType { element: Element::I8, lanes: 1 };
        self.typings[pc].before[register.index()].unwrap_or(unreachable)
    }

    /// Type of what the instruction at `pc` writes.
    pub(super) fn type_after(&self, pc: usize) -> VectorType {
        self.typings[pc].result.unwrap_or(VectorType { element: Element::I8, lanes: 1 })
    }

    fn chunk_variable(&mut self, register: Vector, element: Element, chunk: usize) -> Variable {
        let builder = &mut self.builder;
        *self
            .vectors
            .chunks
            .entry((register.index(), element, chunk))
            .or_insert_with(|| builder.declare_var(chunk_type(element)))
    }

    /// Where a register is before the instruction at `pc`.
    pub(super) fn place(&mut self, pc: usize, register: Vector) -> Place {
        let kind = self.type_before(pc, register);
        if !is_small(kind) {
            return Place::Memory(kind);
        }
        let (element, lanes) = (kind.element, usize::from(kind.lanes));
        let chunks = (0..chunk_count(element, lanes))
            .map(|chunk| {
                let variable = self.chunk_variable(register, element, chunk);
                self.builder.use_var(variable)
            })
            .collect();
        Place::Registers(Small { element, lanes, chunks })
    }

    /// A register in machine registers; `None` when it is in memory.
    pub(super) fn small(&mut self, pc: usize, register: Vector) -> Option<Small> {
        match self.place(pc, register) {
            Place::Registers(small) => Some(small),
            Place::Memory(_) => None,
        }
    }

    pub(super) fn set_vector(&mut self, register: Vector, value: &Small) {
        self.vectors.lanes.remove(&register.index());
        for (chunk, &value_of_chunk) in value.chunks.iter().enumerate() {
            let variable = self.chunk_variable(register, value.element, chunk);
            self.builder.def_var(variable, value_of_chunk);
        }
    }

    /// Whether the result of the instruction at `pc` is a small vector.
    pub(super) fn small_result(&self, pc: usize) -> bool {
        is_small(self.type_after(pc))
    }

    /// Byte offset of a register in the frame.
    pub(super) fn register_offset(register: Vector) -> usize {
        offset_of!(Frame, vectors)
            + offset_of!(VectorFile, registers)
            + 4 * VECTOR_LANES * register.index()
    }

    /// Byte offset of the scratch register in the frame.
    pub(super) fn scratch_offset() -> usize {
        offset_of!(Frame, vectors)
            + offset_of!(VectorFile, registers)
            + 4 * VECTOR_LANES * VECTOR_REGISTERS
    }

    fn spill(&mut self, register: Vector, value: &Small) {
        let wide = self.convert(value, Element::I32);
        for (chunk, &value) in wide.chunks.iter().enumerate() {
            let offset = Self::register_offset(register) + CHUNK_BYTES * chunk;
            self.store(value, self.frame, offset);
        }
    }

    /// Runs an operation in memory: short operands go there and a short result comes back.
    /// Gives the operation's scalar.
    pub(super) fn operate(
        &mut self,
        pc: usize,
        operation: Operation,
        operands: &[Vector],
        result: Option<Vector>,
        scalar: Option<Value>,
        ring: Option<(Value, usize)>,
    ) -> Value {
        for &operand in operands {
            if let Place::Registers(small) = self.place(pc, operand) {
                self.spill(operand, &small);
            }
        }
        let operation = self.constants.operation(operation);
        let operation = self.constant(operation as i64);
        let zero = self.constant(0);
        let (ring, ring_words) = ring.unwrap_or((zero, 0));
        let ring_words = self.constant(ring_words as i64);
        let scalar = scalar.unwrap_or(zero);
        let arguments = [operation, self.frame, self.event, scalar, ring, ring_words];
        let value = self.call(Function::RunOperation, &arguments);
        if let Some(d) = result.filter(|_| self.small_result(pc)) {
            let kind = self.type_after(pc);
            let lanes = usize::from(kind.lanes);
            let chunks = (0..chunk_count(Element::I32, lanes))
                .map(|chunk| {
                    let offset = Self::register_offset(d) + CHUNK_BYTES * chunk;
                    self.load(I32X4, self.frame, offset)
                })
                .collect();
            let wide = Small { element: Element::I32, lanes, chunks };
            let small = self.convert(&wide, kind.element);
            self.set_vector(d, &small);
        }
        value
    }

    /// A constant chunk of these lanes; lanes that are left out are zero.
    pub(super) fn chunk_constant(&mut self, element: Element, lanes: &[i32]) -> Value {
        let mut bytes = [0; CHUNK_BYTES];
        for (place, lane) in bytes.chunks_exact_mut(element.bytes()).zip(lanes) {
            place.copy_from_slice(&lane.to_le_bytes()[..element.bytes()]);
        }
        self.bytes_constant(chunk_type(element), bytes)
    }

    pub(super) fn bytes_constant(&mut self, kind: Type, bytes: [u8; CHUNK_BYTES]) -> Value {
        let data = ConstantData::from(&bytes[..]);
        let constant = self.builder.func.dfg.constants.insert(data);
        self.builder.ins().vconst(kind, constant)
    }

    /// The same bits as another type.
    pub(super) fn bitcast(&mut self, kind: Type, value: Value) -> Value {
        if self.builder.func.dfg.value_type(value) == kind {
            return value;
        }
        let flags = MemFlagsData::new().with_endianness(Endianness::Little);
        self.builder.ins().bitcast(kind, flags, value)
    }

    /// Bytes of two chunks in a new order: 0 to 15 are those of `a`, 16 to 31 those of `b`.
    pub(super) fn shuffle(&mut self, a: Value, b: Value, order: [u8; CHUNK_BYTES]) -> Value {
        let kind = self.builder.func.dfg.value_type(a);
        let (a, b) = (self.bitcast(I8X16, a), self.bitcast(I8X16, b));
        let mask = self.builder.func.dfg.immediates.push(ConstantData::from(&order[..]));
        let shuffled = self.builder.ins().shuffle(a, b, mask);
        self.bitcast(kind, shuffled)
    }

    /// All lanes saturated to another type.
    pub(super) fn convert(&mut self, value: &Small, element: Element) -> Small {
        let (from, lanes) = (value.element, value.lanes);
        if from == element {
            return value.clone();
        }
        let next = match (from, element) {
            (Element::I8, _) | (Element::I32, _) => Element::I16,
            (Element::I16, to) => to,
        };
        let widens = next.bytes() > from.bytes();
        let chunks = (0..chunk_count(next, lanes))
            .map(|chunk| {
                if widens {
                    let source = value.chunks[chunk / 2];
                    match chunk % 2 {
                        0 => self.builder.ins().swiden_low(source),
                        _ => self.builder.ins().swiden_high(source),
                    }
                } else {
                    let low = value.chunks[2 * chunk];
                    let high = value.chunks.get(2 * chunk + 1).copied().unwrap_or(low);
                    self.builder.ins().snarrow(low, high)
                }
            })
            .collect();
        self.convert(&Small { element: next, lanes, chunks }, element)
    }

    /// One lane, extended to 32 bits.
    pub(super) fn lane(&mut self, value: &Small, lane: usize) -> Value {
        let per_chunk = chunk_lanes(value.element);
        let chunk = value.chunks[lane / per_chunk];
        let lane = self.builder.ins().extractlane(chunk, (lane % per_chunk) as u8);
        match value.element {
            Element::I32 => lane,
            _ => self.builder.ins().sextend(I32, lane),
        }
    }

    fn fill(&mut self, pc: usize, d: Vector, imm: i32) {
        let VectorType { element, lanes } = self.type_after(pc);
        let (lanes, value) = (usize::from(lanes), element.saturate(imm.into()));
        if self.small_result(pc) {
            let chunk = self.chunk_constant(element, &vec![value; chunk_lanes(element)]);
            let chunks = vec![chunk; chunk_count(element, lanes)];
            self.set_vector(d, &Small { element, lanes, chunks });
        } else {
            let operation = Operation::Fill { d: d.index(), lanes, value };
            self.operate(pc, operation, &[], Some(d), None, None);
        }
    }

    fn load_event(&mut self, pc: usize, d: Vector, offset: usize) {
        use rmt_isa::event::EVENT_BYTES;
        let VectorType { element, lanes } = self.type_after(pc);
        let lanes = usize::from(lanes);
        if !self.small_result(pc) {
            let operation = Operation::LoadEvent { d: d.index(), lanes, element, offset };
            self.operate(pc, operation, &[], Some(d), None, None);
            return;
        }
        let kind = chunk_type(element);
        let chunks = (0..chunk_count(element, lanes))
            .map(|chunk| {
                let start = offset + CHUNK_BYTES * chunk;
                // A load must not leave the event: the last bytes are moved down instead.
                let first = start.min(EVENT_BYTES - CHUNK_BYTES);
                let value = self.load_constant(kind, self.event, first);
                match start - first {
                    0 => value,
                    skipped => {
                        let order =
                            std::array::from_fn(|i| (i + skipped).min(2 * CHUNK_BYTES - 1) as u8);
                        self.shuffle(value, value, order)
                    }
                }
            })
            .collect();
        self.set_vector(d, &Small { element, lanes, chunks });
    }

    fn load_tensor(&mut self, pc: usize, d: Vector, a: Scalar, tensor: TensorId) {
        let row = self.scalar(a);
        let Some(tensor) = self.objects.models.tensors().get(tensor.index()) else { return };
        let [rows, columns] = tensor.shape[..] else { return };
        let (element, columns) = (tensor.element, columns as usize);
        if !self.small_result(pc) {
            let (rows, values) = (rows.into(), tensor.values.clone().into());
            let operation = Operation::LoadTensor { d: d.index(), columns, rows, values };
            self.operate(pc, operation, &[], Some(d), Some(row), None);
            return;
        }
        let count = chunk_count(element, columns);
        let mut lines = Vec::with_capacity((rows as usize + 1) * count);
        for row in tensor.values.chunks_exact(columns) {
            for lanes in row.chunks(chunk_lanes(element)) {
                let mut line = [0; CHUNK_BYTES];
                for (place, lane) in line.chunks_exact_mut(element.bytes()).zip(lanes) {
                    place.copy_from_slice(&lane.to_le_bytes()[..element.bytes()]);
                }
                lines.push(line);
            }
        }
        // The row behind the last one is what all rows read that are not there.
        lines.extend(std::iter::repeat_n([0; CHUNK_BYTES], count));
        let table = self.constants.table(&lines);
        let last = self.constant(rows.into());
        let row = self.builder.ins().umin(row, last);
        let size = self.constant((CHUNK_BYTES * count) as i64);
        let offset = self.builder.ins().imul(row, size);
        let table = self.constant(table as i64);
        let address = self.builder.ins().iadd(table, offset);
        let chunks = (0..count)
            .map(|chunk| self.load_constant(chunk_type(element), address, CHUNK_BYTES * chunk))
            .collect();
        self.set_vector(d, &Small { element, lanes: columns, chunks });
    }

    fn set_lane(&mut self, pc: usize, d: Vector, lane: Lane, a: Scalar) {
        let value = self.scalar(a);
        let Some(mut small) = self.small(pc, d) else {
            let VectorType { element, .. } = self.type_before(pc, d);
            let operation = Operation::SetLane { d: d.index(), lane: lane.index(), element };
            self.operate(pc, operation, &[d], Some(d), Some(value), None);
            return;
        };
        let element = small.element;
        let value = self.saturate(value, element);
        let mut lanes = self.vectors.lanes.remove(&d.index()).unwrap_or_default();
        lanes.resize(small.lanes, None);
        lanes[lane.index()] = Some(value);
        let narrow = self.builder.ins().ireduce(lane_type(element), value);
        if lanes.iter().all(|&lane| lane == Some(value)) {
            let chunk = self.builder.ins().splat(chunk_type(element), narrow);
            small.chunks.fill(chunk);
        } else {
            let per_chunk = chunk_lanes(element);
            let chunk = &mut small.chunks[lane.index() / per_chunk];
            let place = (lane.index() % per_chunk) as u8;
            *chunk = self.builder.ins().insertlane(*chunk, narrow, place);
        }
        self.set_vector(d, &small);
        self.vectors.lanes.insert(d.index(), lanes);
    }

    /// Saturates a value of 64 bits, where it may be outside the type.
    fn saturate(&mut self, value: Value, element: Element) -> Value {
        let (least, most) = (i64::from(element.min()), i64::from(element.max()));
        let range = self.range(value);
        let mut value = value;
        if *range.end() > most {
            let most = self.constant(most);
            value = self.builder.ins().smin(value, most);
        }
        if *range.start() < least {
            let least = self.constant(least);
            value = self.builder.ins().smax(value, least);
        }
        value
    }

    fn get_lane(&mut self, pc: usize, d: Scalar, a: Vector, lane: Lane) {
        let value = match self.place(pc, a) {
            Place::Registers(small) => match self.vectors.known_lane(a, lane.index()) {
                Some(value) => return self.set_scalar(d, value),
                None => self.lane(&small, lane.index()),
            },
            Place::Memory(_) => {
                self.load(I32, self.frame, Self::register_offset(a) + 4 * lane.index())
            }
        };
        let value = self.builder.ins().sextend(I64, value);
        self.set_scalar(d, value);
    }

    fn get_lane_at(&mut self, pc: usize, d: Scalar, a: Vector, b: Scalar) {
        let lane = self.scalar(b);
        let (base, kind, lanes) = match self.place(pc, a) {
            Place::Registers(small) => {
                let size = (CHUNK_BYTES * small.chunks.len()) as u32;
                let slot = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 4);
                let slot = self.builder.create_sized_stack_slot(slot);
                let base = self.builder.ins().stack_addr(I64, slot, 0);
                for (chunk, &value) in small.chunks.iter().enumerate() {
                    self.store(value, base, CHUNK_BYTES * chunk);
                }
                (base, lane_type(small.element), small.lanes)
            }
            Place::Memory(kind) => {
                let base = self.add(self.frame, Self::register_offset(a) as i64);
                (base, I32, usize::from(kind.lanes))
            }
        };
        let there = self.compare(IntCC::UnsignedLessThan, lane, lanes as i64);
        let zero = self.constant(0);
        let lane = self.builder.ins().select(there, lane, zero);
        let shift = self.constant(kind.bytes().trailing_zeros().into());
        let offset = self.builder.ins().ishl(lane, shift);
        let address = self.builder.ins().iadd(base, offset);
        let value = self.load(kind, address, 0);
        let value = self.builder.ins().sextend(I64, value);
        let value = self.builder.ins().select(there, value, zero);
        self.set_scalar(d, value);
    }

    fn lanewise(&mut self, pc: usize, kind: Lanewise, d: Vector, a: Vector, b: Vector) {
        let (Some(x), Some(y)) = (self.small(pc, a), self.small(pc, b)) else {
            let VectorType { element, lanes } = self.type_after(pc);
            let (lanes, [d_index, a_index, b_index]) =
                (usize::from(lanes), [d, a, b].map(Vector::index));
            let operation =
                Operation::Lanewise { kind, d: d_index, a: a_index, b: b_index, lanes, element };
            self.operate(pc, operation, &[a, b], Some(d), None, None);
            return;
        };
        let (x, y) = match kind {
            // Products have 32 bits, whatever their factors.
            Lanewise::Mul => (self.convert(&x, Element::I32), self.convert(&y, Element::I32)),
            _ => (x, y),
        };
        let chunks = x.chunks.iter().zip(&y.chunks);
        let chunks =
            chunks.map(|(&x_chunk, &y_chunk)| self.join(kind, x.element, x_chunk, y_chunk));
        let chunks = chunks.collect();
        self.set_vector(d, &Small { element: x.element, lanes: x.lanes, chunks });
    }

    fn join(&mut self, kind: Lanewise, element: Element, x: Value, y: Value) -> Value {
        let ins = self.builder.ins();
        match (kind, element) {
            (Lanewise::Mul, _) => ins.imul(x, y),
            (Lanewise::Min, _) => ins.smin(x, y),
            (Lanewise::Max, _) => ins.smax(x, y),
            (Lanewise::Add, Element::I32) => {
                let sum = ins.iadd(x, y);
                // It overflowed where it has another sign than both operands.
                let from_x = self.builder.ins().bxor(sum, x);
                let from_y = self.builder.ins().bxor(sum, y);
                self.saturate_overflow(sum, from_x, from_y, x)
            }
            (Lanewise::Sub, Element::I32) => {
                let difference = ins.isub(x, y);
                let operands = self.builder.ins().bxor(x, y);
                let from_x = self.builder.ins().bxor(difference, x);
                self.saturate_overflow(difference, operands, from_x, x)
            }
            (Lanewise::Add, _) => ins.sadd_sat(x, y),
            (Lanewise::Sub, _) => ins.ssub_sat(x, y),
        }
    }

    /// `result`, or the bound on the side of `x` in lanes where `a` and `b` are negative.
    fn saturate_overflow(&mut self, result: Value, a: Value, b: Value, x: Value) -> Value {
        let overflow = self.builder.ins().band(a, b);
        let shift = self.builder.ins().iconst(I32, 31);
        let overflow = self.builder.ins().sshr(overflow, shift);
        let sign = self.builder.ins().sshr(x, shift);
        let most = self.chunk_constant(Element::I32, &[i32::MAX; 4]);
        let bound = self.builder.ins().bxor(sign, most);
        self.builder.ins().bitselect(overflow, bound, result)
    }

    fn relu(&mut self, pc: usize, d: Vector, a: Vector) {
        let Some(x) = self.small(pc, a) else {
            let lanes = usize::from(self.type_before(pc, a).lanes);
            let operation = Operation::Relu { d: d.index(), a: a.index(), lanes };
            self.operate(pc, operation, &[a], Some(d), None, None);
            return;
        };
        let zero = self.chunk_constant(x.element, &[]);
        let chunks = x.chunks.iter().map(|&chunk| self.builder.ins().smax(chunk, zero)).collect();
        self.set_vector(d, &Small { chunks, ..x });
    }

    fn convert_register(&mut self, pc: usize, d: Vector, a: Vector, element: Element) {
        match self.small(pc, a) {
            Some(x) => {
                let converted = self.convert(&x, element);
                self.set_vector(d, &converted);
            }
            None => {
                let lanes = usize::from(self.type_before(pc, a).lanes);
                let operation = Operation::Convert { d: d.index(), a: a.index(), lanes, element };
                self.operate(pc, operation, &[a], Some(d), None, None);
            }
        }
    }

    fn sum(&mut self, pc: usize, d: Scalar, a: Vector) {
        let Some(x) = self.small(pc, a) else {
            let lanes = usize::from(self.type_before(pc, a).lanes);
            let operation = Operation::Sum { a: a.index(), lanes };
            let value = self.operate(pc, operation, &[a], None, None, None);
            self.set_scalar(d, value);
            return;
        };
        // Sums of 32 lanes of i16 fit 32 bits; sums of i32 need 64.
        let narrow = x.element != Element::I32;
        let wide = self.convert(&x, Element::I32);
        let mut total = None;
        for (chunk, &value) in wide.chunks.iter().enumerate() {
            let left = wide.lanes - 4 * chunk;
            let value = if left < 4 {
                let mask: Vec<i32> = (0..4).map(|lane| -i32::from(lane < left)).collect();
                let mask = self.chunk_constant(Element::I32, &mask);
                self.builder.ins().band(value, mask)
            } else {
                value
            };
            let value = if narrow {
                value
            } else {
                let low = self.builder.ins().swiden_low(value);
                let high = self.builder.ins().swiden_high(value);
                self.builder.ins().iadd(low, high)
            };
            total = Some(match total {
                None => value,
                Some(total) => self.builder.ins().iadd(total, value),
            });
        }
        let Some(total) = total else { return };
        let value = if narrow {
            let pairs = self.builder.ins().iadd_pairwise(total, total);
            let sum = self.builder.ins().iadd_pairwise(pairs, pairs);
            let sum = self.builder.ins().extractlane(sum, 0);
            self.builder.ins().sextend(I64, sum)
        } else {
            let total = self.bitcast(I64X2, total);
            let low = self.builder.ins().extractlane(total, 0);
            let high = self.builder.ins().extractlane(total, 1);
            self.builder.ins().iadd(low, high)
        };
        self.set_scalar(d, value);
    }

    fn arg_max(&mut self, pc: usize, d: Scalar, a: Vector) {
        let Some(x) = self.small(pc, a) else {
            let lanes = usize::from(self.type_before(pc, a).lanes);
            let operation = Operation::ArgMax { a: a.index(), lanes };
            let value = self.operate(pc, operation, &[a], None, None, None);
            self.set_scalar(d, value);
            return;
        };
        let mut most = self.lane(&x, 0);
        let mut place = self.constant(0);
        for lane in 1..x.lanes {
            let value = self.lane(&x, lane);
            let larger = self.builder.ins().icmp(IntCC::SignedGreaterThan, value, most);
            most = self.builder.ins().select(larger, value, most);
            let here = self.constant(lane as i64);
            place = self.builder.ins().select(larger, here, place);
        }
        self.set_scalar(d, place);
    }
}
