//! The decoder: a command becomes an operation, or is refused.
//!
//! A command comes in one cycle, in which the descriptors that it may name are read, and in which it is
//! checked against itself and the types of its registers; in the next cycle it is checked against the
//! descriptors; the type of its result is recorded in the third. Nothing behind the decoder checks
//! anything again.

use super::known::{Known, number_of};
use super::lanes::field;
use super::memory::HostMemory;
use super::operation::{Books, Function, Operand, Operation, Unit, WindowFunction};
use super::ports::{Command, HostRequest, Start, thread_bits};
use super::registers::{VectorType, VectorTypes};
use super::words::{InstructionFields, opcode_of};
use crate::bits::{beside_multiplier, one_less};
use rmt_isa::Status;
use rmt_isa::card::engine::*;
use rtl_builder::prelude::*;

/// Decoder and checker of commands, with the descriptors and the registers' types.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// A register's type from the context unit's lanes.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct TypeWrite {
    /// The type is recorded in this cycle
    pub valid: Bool,
    /// Thread that owns the register
    pub thread: UInt,
    /// The register
    pub register: UInt,
    /// Its lanes
    pub lanes: UInt,
    /// Number of its element type
    pub element: UInt,
}

impl TypeWrite {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            valid: boolean(),
            thread: uint(thread_bits(shape)),
            register: uint(3),
            lanes: uint(9),
            element: uint(2),
        }
    }
}

/// Ports of [`Decoder`].
#[derive(Clone, Ports)]
pub struct DecoderIo {
    /// Writes of the host
    pub host: Input<HostRequest>,
    /// A thread begins an event
    pub start: Input<Start>,
    /// A command comes
    pub valid: Input<Bool>,
    /// The command
    pub command: Input<Command>,
    /// A type from the context unit; only when `types_free`
    pub type_write: Input<TypeWrite>,
    /// The decoder does not record a type in this cycle
    pub types_free: Output<Bool>,
    /// Thread of the register whose type is asked for
    pub query_thread: Input<UInt>,
    /// That register
    pub query_register: Input<UInt>,
    /// Its type, in the same cycle
    pub query_type: Output<VectorType>,
    /// An operation comes out, one cycle after its command
    pub operation_valid: Output<Bool>,
    /// Its thread
    pub operation_thread: Output<UInt>,
    /// The operation, without `base`
    pub operation: Output<Operation>,
    /// Its `base`, a cycle later
    pub base: Output<UInt>,
}

/// All that the check against the descriptors looks at.
struct Context {
    fields: InstructionFields,
    a: VectorType,
    b: VectorType,
    d: VectorType,
    known: Known,
    tensor: UInt,
    bias: UInt,
    scale: UInt,
    forest: UInt,
    /// Word 0 of the window's descriptor.
    window: UInt,
}

/// What the check of one command says.
struct Outcome {
    operation: Wire<Operation>,
    /// All operands are in range.
    fits: Wire<Bool>,
    /// The instruction gives its destination this type.
    defines: Wire<VectorType>,
    /// Lanes that the operation goes through, less 1.
    last_lane: Wire<UInt>,
    /// So many words are to be added to its base so many times.
    row: Wire<UInt>,
    words_per_row: Wire<UInt>,
}

impl Decoder {
    /// The descriptor number `index` of a table. Its lowest bit says that it is valid: it is not beyond the table's end. A command
    /// that names one that is not is refused, whatever else stands there.
    fn descriptor(&self, io: &DecoderIo, name: &str, region: EngineRegion, index: UInt) -> UInt {
        let count = self.shape.extent(region).words;
        if count == 0 {
            return UInt::lit(0, 64);
        }
        let memory = HostMemory::part(name, region, 0, &self.shape, io.host.value());
        let inside = delayed(format!("{name}_inside"), index.lt(u64::from(count)));
        let word = memory.read(io.valid.value(), index.resize(memory.address_width()));
        const {
            assert!(TENSOR_VALID.low + SCALE_VALID.low + FOREST_VALID.low + WINDOW_VALID.low == 0);
        }
        let valid = inside & word.bit(0);
        word.bits(1..64).concat(valid.as_uint()).named(name.trim_end_matches('s'))
    }

    fn vector_instructions(&self, c: &Context, out: &Outcome) {
        let op = &out.operation;
        let define = |lanes: UInt, element: UInt| {
            out.defines.set(VectorType { defined: Bool::lit(true), lanes, element });
            op.field(|o| o.element).set(element);
        };
        let function = |f: Function| op.field(|o| o.function).set(f as u64);
        let operand = |o: Operand| op.field(|op| op.operand).set(o as u64);
        let early = || op.field(|o| o.early).set(true);
        let one_lane = |lane: UInt| {
            op.field(|o| o.one_lane).set(true);
            op.field(|o| o.lane).set(lane);
            out.last_lane.set(0);
        };
        let like_a = || out.last_lane.set(c.known.last_of_a);
        let element = c.fields.element;
        let columns = field(c.tensor, TENSOR_COLUMNS);
        let words_per_row =
            ((columns + (self.shape.array - 1)) >> self.shape.array.trailing_zeros()).resize(16);
        let row_exists = (!c.known.beyond_rows & c.known.row.lt(field(c.tensor, TENSOR_ROWS)))
            .named("row_exists");

        let arithmetic = |f: Function| {
            function(f);
            like_a();
            define(c.a.lanes, c.a.element);
            out.fits.set(c.known.same_length & c.known.same_element);
            early();
        };
        switch(c.known.number)
            .is(number_of(opcode_of("VectorFill")), || {
                operand(Operand::Value);
                op.field(|o| o.value).set(c.fields.immediate);
                out.last_lane.set(c.known.last_lane);
                define(c.fields.lanes, element);
                out.fits.set(c.known.lanes_fit);
                early();
            })
            .is(number_of(opcode_of("VectorLoadEvent")), || {
                operand(Operand::Event);
                op.field(|o| o.base).set(c.fields.event_byte.zext(16));
                out.last_lane.set(c.known.last_lane);
                define(c.fields.lanes, element);
                out.fits.set(c.known.lanes_fit & c.known.inside_event & !c.known.misaligned);
                early();
            })
            .is(number_of(opcode_of("VectorLoadTensor")), || {
                operand(Operand::Value);
                when(row_exists, || operand(Operand::Row));
                op.field(|o| o.base).set(field(c.tensor, TENSOR_ROW_BASE));
                out.row.set(c.known.row);
                out.words_per_row.set(words_per_row);
                out.last_lane.set(one_less(columns.trunc(9)).trunc(8));
                define(columns, field(c.tensor, TENSOR_ELEMENT));
                let in_rows = field(c.tensor, TENSOR_IN_ROWS).as_bool();
                out.fits.set(field(c.tensor, TENSOR_VALID).as_bool() & in_rows);
                early();
            })
            .is(number_of(opcode_of("VectorSet")), || {
                operand(Operand::Value);
                op.field(|o| o.value).set(c.known.value);
                op.field(|o| o.element).set(c.d.element);
                one_lane(c.fields.lane);
                out.fits.set(c.known.lane_of_d);
                early();
            })
            .is(number_of(opcode_of("ScalarValue")), || {
                function(Function::Lane);
                one_lane(c.fields.lane);
                out.fits.set(c.known.lane_of_a);
            })
            .is(number_of(opcode_of("ScalarValueAt")), || {
                function(Function::Lane);
                one_lane(c.known.lane);
                when(c.known.beyond_a[0] | c.known.beyond_a[1], || operand(Operand::Value));
                out.fits.set(c.a.defined);
            })
            .is(number_of(opcode_of("VectorAdd")), || arithmetic(Function::Add))
            .is(number_of(opcode_of("VectorSub")), || arithmetic(Function::Sub))
            .is(number_of(opcode_of("VectorMin")), || arithmetic(Function::Min))
            .is(number_of(opcode_of("VectorMax")), || arithmetic(Function::Max))
            .is(number_of(opcode_of("VectorMul")), || {
                function(Function::Mul);
                like_a();
                define(c.a.lanes, UInt::lit(2, 2));
                out.fits.set(c.known.same_length & c.a.element.ne(2) & c.b.element.ne(2));
                early();
            })
            .is(number_of(opcode_of("VectorRelu")), || {
                function(Function::Max);
                op.field(|o| o.b_zero).set(true);
                like_a();
                define(c.a.lanes, c.a.element);
                out.fits.set(c.a.defined);
                early();
            })
            .is(number_of(opcode_of("VectorConvert")), || {
                like_a();
                define(c.a.lanes, element);
                out.fits.set(c.a.defined);
                early();
            })
            .is(number_of(opcode_of("VectorSum")), || {
                function(Function::Sum);
                like_a();
                out.fits.set(c.a.defined);
            })
            .is(number_of(opcode_of("ArgMax")), || {
                function(Function::ArgMax);
                like_a();
                out.fits.set(c.a.defined);
            })
            .default(|| self.model_instructions(c, out));
    }

    fn model_instructions(&self, c: &Context, out: &Outcome) {
        let op = &out.operation;
        let unit = |u: Unit| op.field(|o| o.unit).set(u as u64);
        let flag = |word: UInt, f| field(word, f).as_bool();
        let define = |lanes: UInt, element: UInt| {
            out.defines.set(VectorType { defined: Bool::lit(true), lanes, element });
            op.field(|o| o.element).set(element);
        };
        out.last_lane.set(c.known.last_of_a);

        let i32_element = UInt::lit(2, 2);
        // Elements that an activation of the array holds: i8 is 0, i16 is 1.
        let multiplies = |element: UInt| match self.shape.activation_bits() {
            8 => element.is_zero(),
            _ => element.ne(2),
        };
        let outputs = field(c.tensor, TENSOR_ROWS);
        let weights_fit = flag(c.tensor, TENSOR_VALID)
            & flag(c.tensor, TENSOR_TILED)
            & field(c.tensor, TENSOR_ELEMENT).is_zero()
            & field(c.tensor, TENSOR_COLUMNS).eq(c.a.lanes)
            & multiplies(c.a.element);
        let weights_fit = weights_fit.named("weights_fit");
        let bias_fits = flag(c.bias, TENSOR_VALID)
            & flag(c.bias, TENSOR_IN_ROWS)
            & field(c.bias, TENSOR_ELEMENT).eq(2)
            & field(c.bias, TENSOR_ROWS).eq(1)
            & field(c.bias, TENSOR_COLUMNS).eq(outputs);
        let bias_fits = bias_fits.named("bias_fits") | !c.known.has_bias;
        let last_output = outputs.trunc(9).wrapping_sub(UInt::lit(1, 9));

        let layer = |u: Unit| {
            unit(u);
            op.field(|o| o.base).set(field(c.tensor, TENSOR_TILE_BASE).zext(16));
            op.field(|o| o.last_result)
                .set(super::registers::word_of_lane(&self.shape, last_output.trunc(8)));
            op.field(|o| o.option).set(c.known.has_bias);
            op.field(|o| o.bias).set(field(c.bias, TENSOR_ROW_BASE));
            op.field(|o| o.early).set(true);
        };

        let window = |function: WindowFunction| {
            op.field(|o| o.function).set(function as u64);
            op.field(|o| o.last_item).set(c.fields.window.zext(16));
            op.field(|o| o.early).set(true);
        };
        let input_fits = (c.a.defined
            & flag(c.window, WINDOW_VALID)
            & field(c.window, WINDOW_INPUTS).eq(c.a.lanes))
        .named("input_fits");
        let kernel_fits = (flag(c.tensor, TENSOR_VALID)
            & flag(c.tensor, TENSOR_CONVOLVED)
            & field(c.tensor, TENSOR_ELEMENT).is_zero()
            & field(c.tensor, TENSOR_KERNEL).eq(field(c.window, WINDOW_KERNEL))
            & outputs.le(field(c.window, WINDOW_MOST_OUTPUTS).zext(16)))
        .named("kernel_fits");
        // What fits has at most 256 lanes, so that the low bits of the product are all of it.
        let convolved =
            (field(c.window, WINDOW_PLACES) * outputs.trunc(9)).trunc(9).named("convolved");
        let pools = |function: WindowFunction, element: UInt| {
            unit(Unit::Window);
            window(function);
            define(field(c.window, WINDOW_POOLED), element);
            out.fits.set(input_fits & flag(c.window, WINDOW_POOLS));
        };

        switch(c.known.number)
            .is(number_of(opcode_of("MatMul")), || {
                layer(Unit::Product);
                define(outputs.trunc(9), i32_element);
                out.fits.set(c.a.defined & weights_fit & bias_fits);
            })
            .is(number_of(opcode_of("Conv2d")), || {
                layer(Unit::Window);
                window(WindowFunction::Convolve);
                op.field(|o| o.lane).set(last_output.trunc(8));
                define(convolved, i32_element);
                out.fits.set(input_fits & multiplies(c.a.element) & kernel_fits & bias_fits);
            })
            .is(number_of(opcode_of("PoolMax")), || pools(WindowFunction::Max, c.a.element))
            .is(number_of(opcode_of("PoolSum")), || pools(WindowFunction::Sum, i32_element))
            .is(number_of(opcode_of("Requantise")), || {
                unit(Unit::Requantise);
                op.field(|o| o.base).set(field(c.scale, SCALE_BASE));
                op.field(|o| o.last_item).set(field(c.scale, SCALE_LAST_WORD).zext(16));
                op.field(|o| o.value).set(field(c.scale, SCALE_ZERO_POINT).as_sint());
                define(c.a.lanes, c.fields.element);
                out.fits.set(c.a.defined & c.a.element.eq(2) & flag(c.scale, SCALE_VALID));
                op.field(|o| o.early).set(true);
            })
            .is(number_of(opcode_of("ForestEval")), || {
                unit(Unit::Tree);
                op.field(|o| o.base).set(field(c.forest, FOREST_BASE));
                op.field(|o| o.last_item).set(field(c.forest, FOREST_LAST_TREE));
                op.field(|o| o.option).set(flag(c.forest, FOREST_VOTE));
                let features = field(c.forest, FOREST_FEATURES);
                out.fits.set(c.a.defined & flag(c.forest, FOREST_VALID) & features.eq(c.a.lanes));
            });
    }
}

impl Component for Decoder {
    type Io = DecoderIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("decoder_n{}_l{}_t{}", s.array, s.vector_lanes, s.threads)
    }

    fn doc(&self) -> String {
        "Checks vector and model instructions and gathers what their units need.".into()
    }

    fn io(&self) -> DecoderIo {
        let shape = &self.shape;
        let thread = uint(thread_bits(shape));
        DecoderIo {
            host: input(HostRequest::shape(shape)),
            start: input(Start::shape(shape)),
            valid: input(boolean()),
            command: input(Command::shape(shape)),
            type_write: input(TypeWrite::shape(shape)),
            types_free: output(boolean()),
            query_thread: input(thread),
            query_register: input(uint(3)),
            query_type: output(VectorType::shape()),
            operation_valid: output(boolean()),
            operation_thread: output(thread),
            operation: output(Operation::shape(shape)),
            base: output(uint(16)),
        }
    }

    fn build(&self, io: DecoderIo) {
        let shape = &self.shape;
        // First cycle: descriptors and types are read.
        let coming = InstructionFields::of(io.command.instruction);
        let tensor = EngineRegion::TensorDescriptors;
        let context_tensor = self.descriptor(&io, "tensor_descriptors", tensor, coming.object);
        let context_bias = self.descriptor(&io, "bias_descriptors", tensor, coming.bias);
        let context_scale = self.descriptor(
            &io,
            "scale_descriptors",
            EngineRegion::ScaleDescriptors,
            coming.object,
        );
        let context_forest = self.descriptor(
            &io,
            "forest_descriptors",
            EngineRegion::ForestDescriptors,
            coming.object,
        );
        let context_window = self.descriptor(
            &io,
            "window_descriptors",
            EngineRegion::WindowDescriptors,
            coming.window.zext(16),
        );
        let valid = reg("checks", boolean(), false);
        valid.next(io.valid);
        let command = delayed("checked_command", io.command.value());
        // The types as well: what could change them has ended before a thread gives a command.
        let types = VectorTypes::new(shape);
        let [a, b, d] =
            [coming.a, coming.b, coming.d].map(|register| types.read(io.command.thread, register));
        let known = Known::of(shape, &coming, [io.command.a, io.command.b], [a, b, d]);
        let known = delayed("known", known);

        // Second cycle: the check against the descriptors.
        let fields = InstructionFields::of(command.instruction);
        let context = Context {
            a: delayed("a_type", a),
            b: delayed("b_type", b),
            d: delayed("d_type", d),
            known,
            tensor: context_tensor,
            bias: context_bias,
            scale: context_scale,
            forest: context_forest,
            window: context_window,
            fields,
        };
        let outcome = Outcome {
            operation: wire("checked", Operation::shape(shape)),
            fits: wire("fits", boolean()),
            defines: wire("defines", VectorType::shape()),
            last_lane: wire("last_lane", uint(8)),
            row: wire("row", uint(16)),
            words_per_row: wire("words_per_row", uint(16)),
        };
        outcome.operation.set(Operation {
            d: context.fields.d,
            a: context.fields.a,
            b: context.fields.b,
            ..zero(&Operation::shape(shape))
        });
        outcome.fits.set(false);
        outcome.defines.set(zero(&VectorType::shape()));
        outcome.last_lane.set(0);
        outcome.row.set(0);
        outcome.words_per_row.set(0);
        self.vector_instructions(&context, &outcome);

        let decoded = known.decodes[0] & known.decodes[1];
        let accepted = (decoded & outcome.fits).named("accepted");
        let last = outcome.last_lane.value();
        let checked = outcome.operation.value();
        let lane_bits = super::operation::lane_bits(shape);
        let operation = Operation {
            unit: mux(accepted, checked.unit, UInt::lit(Unit::Refuse as u64, checked.unit.width())),
            books: Books::of(checked.unit, checked.function),
            last_word: super::registers::word_of_lane(shape, last),
            last_lane: last.trunc(lane_bits),
            early: checked.early | !accepted,
            status: priority_mux(
                &[
                    (!decoded, UInt::lit(Status::BadInstruction as u64, 8)),
                    (!accepted, UInt::lit(Status::OutOfRange as u64, 8)),
                ],
                UInt::lit(0, 8),
            ),
            base: UInt::lit(0, 16),
            ..checked
        };
        // A product takes as long as all that comes before it.
        let base = delayed("first_word", checked.base);
        let row = beside_multiplier("row_number", outcome.row.value());
        let words_per_row = beside_multiplier("row_words", outcome.words_per_row.value());
        io.base.set((base + row * words_per_row).trunc(16));
        io.operation_valid.set(valid);
        io.operation_thread.set(command.thread);
        io.operation.set(operation);

        // The type of the result is recorded one cycle after the check, still before the answer: the thread's next
        // command finds it. One write of types a cycle: the command's own comes first.
        let defines = reg("defines", boolean(), false);
        defines.next(valid & accepted & outcome.defines.defined);
        let defined = TypeWrite {
            valid: valid.value(),
            thread: command.thread,
            register: context.fields.d,
            lanes: outcome.defines.lanes,
            element: outcome.defines.element,
        };
        let own = TypeWrite { valid: defines.value(), ..delayed("defined", defined) };
        let from_lanes = io.type_write.value();
        let TypeWrite { thread, register, lanes, element, .. } = mux(own.valid, own, from_lanes);
        types.write(own.valid | from_lanes.valid, thread, register, lanes, element);
        types.clear(io.start.valid, io.start.thread);
        io.types_free.set(!defines);
        io.query_type.set(types.read(io.query_thread.value(), io.query_register.value()));
    }
}
