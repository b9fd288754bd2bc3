//! The pipeline behind fetch: operands (D) and execution (X).
//!
//! ```text
//!  F  fetch            thread chosen, program memory addressed
//!  D  this file        registers, event and parameters read
//!  X  this file        arithmetic, jumps, requests to the other units
//! ```
//!
//! An instruction of the arithmetic unit takes one cycle: its result is written at the end
//! of X and handed to the instruction behind it. A taken jump drops the two instructions
//! behind it. An instruction of another unit stops its thread until the unit completes it.
//! When the engine takes another stage's command first, or will be ready soon, the instruction
//! stays in X; when the last request to another unit still waits, it is fetched again.
//!
//! There is one port to write registers. A completion takes it before an instruction in X,
//! which then stays for a cycle. It does so a cycle after it came, in which its thread is fetched again: an instruction in D
//! that wants the value takes it from where it is written from.

use rmt_isa::card::CardShape;
use rmt_isa::limits::MAX_CONTEXT_FIELDS;
use rmt_isa::operand::{A, D, IMM_LO, OFF};
use rmt_isa::{Status, operand};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::alu::{Alu, AluControl};
use super::decode::{Decoded, LongFunction, MapFunction, Unit};
use super::execute::{Arrival, Execute, Registers};
use super::long::LongRequest;
use super::operands::Operands;
use super::retire::OutputWrite;
use crate::bits::{as_word, crc32c, one_hot, slot};
use crate::config::Widths;
use crate::context::{ContextFunctions, ContextRequest};
use crate::engine::ports::Command;
use crate::map::MapRequest;
use crate::matching::ParameterLoad;
use crate::signals::{Argument, Completion, End, EventBeat, Redirect, TailCall};
use crate::units::ask;

/// Stages D and X.
pub struct Pipeline {
    pub(crate) shape: CardShape,
}

/// Ports of [`Pipeline`].
#[derive(Clone, Ports)]
pub struct PipelineIo {
    /// A word was fetched
    pub fetched: Input<Bool>,
    /// Its thread
    pub thread: Input<UInt>,
    /// Its place
    pub pc: Input<UInt>,
    /// The word
    pub word: Input<UInt>,
    /// What its operands are read by
    pub operands: Input<Operands>,
    /// What it does
    pub decoded: Input<Decoded>,
    /// Parts of the threads' events
    pub beat: Input<EventBeat>,
    /// Parameters of a matched entry
    pub parameters: Input<ParameterLoad>,
    /// Threads that must end
    pub doomed: Input<UInt>,
    /// Tail calls, to the match unit
    pub tail_call: StreamOut<TailCall>,
    /// Registers that the match unit needs of a thread that waits for its tail call
    pub arguments: Vec<Input<Argument>>,
    /// Their values, in the same cycle
    pub values: Vec<Output<UInt>>,
    /// Instructions for the ML engine
    pub engine: StreamOut<Command>,
    /// Instructions for the context unit
    pub context: StreamOut<ContextRequest>,
    /// Instructions for the map unit
    pub map: StreamOut<MapRequest>,
    /// Requests to the unit of products, quotients and helpers
    pub long: StreamOut<LongRequest>,
    /// A completion; always taken
    pub completion_valid: Input<Bool>,
    /// The completion
    pub completion: Input<Completion>,
    /// Sends a thread elsewhere
    pub redirect: Output<Redirect>,
    /// A jump is executed: where it goes
    pub jump: Output<Redirect>,
    /// It is taken
    pub jumps: Output<Bool>,
    /// Threads whose completion in the cycle before ends the event
    pub stop: Output<UInt>,
    /// D and fetch stay
    pub stall: Output<Bool>,
    /// An output word is written
    pub output: Output<OutputWrite>,
    /// An event ends by an instruction
    pub exit: Output<End>,
    /// An event ends by a completion
    pub failed: Output<End>,
    /// An instruction was executed
    pub executed: Output<Bool>,
    /// An instruction found its unit busy
    pub replayed: Output<Bool>,
    /// What instructions wait for
    pub stalls: Output<Stalls>,
}

/// What instructions wait for in a cycle, for the counters.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Stalls {
    /// The ML engine takes another one
    pub engine: Bool,
    /// A request waits: the context unit is busy or takes another one
    pub context: Bool,
    /// A request waits: the map unit is busy or takes another one
    pub map: Bool,
    /// A tail call waits: the match unit takes another one
    pub table: Bool,
    /// A request waits: the unit of products, quotients and helpers is busy or takes another one
    pub long: Bool,
    /// A completion has the port that writes registers
    pub write: Bool,
}

impl Stalls {
    pub(crate) fn shape() -> Self {
        let [engine, context, map, table, long, write] = std::array::from_fn(|_| boolean());
        Self { engine, context, map, table, long, write }
    }
}

impl Component for Pipeline {
    type Io = PipelineIo;

    fn name(&self) -> String {
        format!(
            "pipeline_t{}_program{}_tables{}",
            self.shape.threads_of_stage(),
            self.shape.program_words,
            self.shape.tables
        )
    }

    fn doc(&self) -> String {
        "Operands and execution of scalar instructions; requests to the other units".into()
    }

    fn io(&self) -> PipelineIo {
        let widths = Widths::of_stage(&self.shape);
        let each_field = || 0..self.shape.match_fields;
        PipelineIo {
            fetched: input(boolean()),
            thread: input(uint(widths.thread)),
            pc: input(uint(widths.pc)),
            word: input(uint(64)),
            operands: input(Operands::shape()),
            decoded: input(Decoded::shape()),
            beat: input(EventBeat::shape(self.shape.event_beats(), widths.thread)),
            parameters: input(ParameterLoad::shape(&widths)),
            doomed: input(uint(widths.threads)),
            tail_call: stream_out(TailCall::shape(&widths)),
            arguments: each_field().map(|_| input(Argument::shape(&widths))).collect(),
            values: each_field().map(|_| output(uint(64))).collect(),
            engine: stream_out(Command {
                thread: uint(widths.thread),
                ..Command::shape(&self.shape.engine)
            }),
            context: stream_out(ContextRequest::shape(&widths)),
            map: stream_out(MapRequest::shape(&widths)),
            long: stream_out(LongRequest::shape(&widths)),
            completion_valid: input(boolean()),
            completion: input(Completion::shape(&widths)),
            redirect: output(Redirect::shape(&widths)),
            jump: output(Redirect::shape(&widths)),
            jumps: output(boolean()),
            stop: output(uint(widths.threads)),
            stall: output(boolean()),
            output: output(OutputWrite::shape(&widths)),
            exit: output(End::shape(&widths)),
            failed: output(End::shape(&widths)),
            executed: output(boolean()),
            replayed: output(boolean()),
            stalls: output(Stalls::shape()),
        }
    }

    fn build(&self, io: PipelineIo) {
        let execute = Execute::new(&Widths::of_stage(&self.shape));
        let registers = Registers::new(&self.shape, io.beat.value());
        let arrival = self.completion(&io, &registers);
        self.operands(&io, &execute, &registers, arrival);
        self.execution(&io, &execute, &registers, arrival);
    }
}

impl Pipeline {
    /// Takes a completion. Its thread goes on meanwhile, and stops again if the event ends.
    fn completion(&self, io: &PipelineIo, registers: &Registers) -> Arrival {
        let valid = reg("completed", boolean(), false);
        valid.next(io.completion_valid);
        let completion = delayed("arrived", io.completion.value());
        let fails = valid & !completion.status.is_zero();
        let destination = registers.destinations.read(completion.thread);
        let has_result = destination.bit(registers.register_bits);
        Arrival {
            valid: valid.value(),
            completion,
            fails,
            register: destination.trunc(registers.register_bits),
            writes: valid & has_result & !fails,
        }
    }

    /// Stage D: reads the operands.
    fn operands(&self, io: &PipelineIo, x: &Execute, registers: &Registers, arrival: Arrival) {
        let (word, thread) = (io.word.value(), io.thread.value());
        registers.parameters.write(io.parameters.valid, io.parameters.thread, io.parameters.values);
        let operands = io.operands.value();
        let sources = operands.sources;
        // What X computes in this cycle comes last; what stands in the word or beside the registers goes before it.
        let read = |register: UInt, instead: Bool, value: UInt| {
            // Which register it is comes from the program memory, late: it is compared in two parts, with all else beside one.
            let is_from = |writes: Bool, of: UInt, written: UInt| {
                let low = written.bits(0..3).eq(register.bits(0..3));
                let high = written.bits(3..written.width()).eq(register.bits(3..register.width()));
                low & (high & of.eq(thread) & writes & !instead)
            };
            let computed = is_from(x.writes.value(), x.thread.value(), slot(x.word.value(), D));
            let arrives = is_from(arrival.writes, arrival.completion.thread, arrival.register);
            let stored =
                mux(arrives, arrival.completion.value, registers.all.read(thread.concat(register)));
            x.result.value().or(computed, mux(instead, value, stored))
        };
        let offset = operands.offset;
        let parameters = registers.parameters.read(thread);
        let parameter_words: Vec<UInt> =
            (0..4).map(|n| parameters.bits(64 * n..64 * (n + 1))).collect();
        let beside = mux(
            sources.event,
            registers.events.word(thread, offset.bits(3..6)),
            select(offset.bits(0..2), &parameter_words),
        );
        let constant = operands.constant.as_sint().sext(64).as_uint();
        // While an instruction stays in X its thread may still turn out to have run too long.
        let doomed = io.doomed.value();
        let stays = doomed.bit_at(x.thread.value());
        x.doomed.next(mux(x.stall.value(), stays, doomed.bit_at(thread)));
        when(!x.stall.value(), || {
            // A thread whose completion ends its event was woken with it.
            let stops = arrival.fails & arrival.completion.thread.eq(thread);
            let same = x.thread.eq(thread);
            let comes = io.fetched.value() & !(x.drops.value() & same) & !stops;
            let jumped_over = (x.drops_if.value() & same) & x.result.value().holds;
            x.valid.next(comes & !jumped_over);
            x.writes.next((comes & io.decoded.value().is(Unit::Alu)) & !jumped_over);
            x.thread.next(thread);
            x.pc.next(io.pc);
            x.word.next(word);
            x.decoded.next(io.decoded.value());
            x.function.next(sources.function);
            x.immediate.next(sources.immediate);
            x.control.next(AluControl::of(sources.function));
            x.a.next(read(operands.a, sources.beside, beside));
            x.b.next(read(operands.b, sources.immediate, constant));
            x.d.next(read(operands.d, Bool::lit(false), constant));
            x.kind.next(mux(sources.event, operands.constant.trunc(3), offset.trunc(3)));
            x.bytes.next(mux(sources.event, offset.trunc(3), UInt::lit(0, 3)));
        });
    }

    /// Stage X: executes, or asks another unit.
    fn execution(&self, io: &PipelineIo, x: &Execute, registers: &Registers, arrival: Arrival) {
        let widths = Widths::of_stage(&self.shape);
        let (thread, word, decoded) = (x.thread.value(), x.word.value(), x.decoded.value());
        let alu = instance("alu", Alu);
        alu.control.set(x.control);
        alu.condition.set(decoded.condition);
        alu.a.set(x.a);
        alu.b.set(x.b);
        alu.d.set(x.d);
        alu.kind.set(x.kind);
        alu.bytes.set(x.bytes);
        x.result.set(alu.result.value());

        let doomed = x.doomed.value();
        let unit = |unit: Unit| decoded.is(unit);
        let completes = arrival.valid;
        let sound = x.valid.value() & !doomed;
        let wants = |wanted: Unit| sound & unit(wanted);

        // Requests to units that the stages share; context unit and map unit say with a completion what they make of one.
        io.engine.offer(
            wants(Unit::Engine),
            Command { thread, instruction: word, a: x.a.value(), b: x.b.value() },
        );
        let calls = wants(Unit::TailCall);
        let visits = ask(
            &io.tail_call,
            "tail_call",
            calls,
            TailCall { thread, table: slot(word, OFF).trunc(widths.table) },
            TailCall::shape(&widths),
        );
        for (argument, value) in io.arguments.iter().zip(&io.values) {
            let Argument { thread, register } = argument.value();
            value.set(registers.arguments.read(thread.concat(register)));
        }
        let context_taken = ask(
            &io.context,
            "context",
            wants(Unit::Context),
            self.context_request(thread, word, x),
            ContextRequest::shape(&widths),
        );
        let map_taken = ask(
            &io.map,
            "map",
            wants(Unit::Map),
            MapRequest {
                thread,
                function: x.function.trunc(MapFunction::BITS),
                map: slot(word, OFF),
                key: x.a.value(),
                value: x.b.value(),
            },
            MapRequest::shape(&widths),
        );
        let engine_taken = io.engine.fire();
        let engine_waits = wants(Unit::Engine) & !io.engine.ready();
        // One port writes registers; a completion goes first.
        let port_taken = (completes & x.writes.value()).named("port_taken");
        x.stall.set(port_taken | engine_waits);
        io.stall.set(x.stall.value());

        let long_goes = wants(Unit::Arithmetic);
        let function = x.function.trunc(LongFunction::BITS);
        let long_taken = ask(
            &io.long,
            "long",
            long_goes,
            LongRequest { thread, function, a: x.a.value(), b: x.b.value() },
            LongRequest::shape(&widths),
        );
        io.stalls.set(Stalls {
            engine: engine_waits,
            context: io.context.valid.value() & !io.context.ready(),
            map: io.map.valid.value() & !io.map.ready(),
            table: io.tail_call.valid.value() & !io.tail_call.ready(),
            long: io.long.valid.value() & !io.long.ready(),
            write: port_taken,
        });
        let asks = wants(Unit::Context) | wants(Unit::Map) | calls | long_goes;
        let replays = (asks & !(context_taken | map_taken | visits | long_taken)).named("replays");
        let waits = (engine_taken | context_taken | map_taken | long_taken).named("waits");
        registers.destinations.write(waits, thread, decoded.writes.as_uint().concat(slot(word, D)));

        // Outputs, ends.
        let index = slot(word, OFF).trunc(2);
        let output = OutputWrite { valid: wants(Unit::Out), thread, index, value: x.a.value() };
        io.output.set(output);
        let late = x.valid.value() & doomed & !port_taken;
        let exits = wants(Unit::Exit) | wants(Unit::OutOfRange) | wants(Unit::Illegal);
        let ends = (exits | late).named("ends");
        let too_late = UInt::lit(Status::Watchdog as u64, 8);
        io.exit.set(End { valid: ends, thread, status: mux(doomed, too_late, decoded.verdict) });

        // Where the thread goes on.
        let next = x.pc.wrapping_add(1).named("next_pc");
        let target = (next + slot(word, OFF)).resize(widths.pc);
        let redirects = (replays | waits | visits | ends).named("redirects");
        x.drops.set(redirects);
        let pc = mux(replays, x.pc.value(), next);
        io.redirect.set(Redirect { valid: redirects, thread, pc, runs: replays });
        let jump =
            Redirect { valid: wants(Unit::Branch), thread, pc: target, runs: Bool::lit(true) };
        x.drops_if.set(jump.valid);
        io.jump.set(jump);
        io.jumps.set(x.result.value().holds);

        // Registers: a completion, or the result in X.
        let completion = arrival.completion;
        registers.write(
            mux(completes, arrival.writes, x.writes.value()),
            mux(completes, completion.thread, thread),
            mux(completes, arrival.register, slot(word, D)),
            x.result.value().or(!completes, completion.value),
        );
        let Completion { thread, status, .. } = completion;
        io.failed.set(End { valid: arrival.fails, thread, status });
        io.stop.set(as_word(&one_hot(arrival.fails, thread, widths.threads)));
        io.executed.set(sound & !x.stall.value() & !replays);
        io.replayed.set(replays);
    }

    fn context_request(&self, thread: UInt, word: UInt, x: &Execute) -> ContextRequest {
        use super::decode::ContextFunction::{self, VectorLoad, VectorStore};
        let function = x.function.trunc(ContextFunction::BITS);
        // Vector instructions name the field in the low half of the constant, opening ones
        // name a store alone.
        let vector = VectorLoad.is(function) | VectorStore.is(function);
        let field = mux(vector, slot(word, IMM_LO), slot(word, OFF).zext(16));
        let kind = ContextFunctions::of(function);
        let opens = kind.opens;
        let register = mux(VectorStore.is(function), slot(word, A), slot(word, D));
        let value = mux(x.immediate, x.b.value(), x.a.value());
        ContextRequest {
            thread,
            function: kind,
            store: mux(opens, slot(word, OFF).bits(0..2), field.bits(8..10)),
            field: field.trunc(MAX_CONTEXT_FIELDS.ilog2()),
            beyond: !field.bits(MAX_CONTEXT_FIELDS.ilog2()..8).is_zero(),
            value,
            hash: crc32c(u32::MAX, value).trunc(Widths::of(&self.shape).set),
            register: register.trunc(3),
            lanes: slot(word, operand::LANES),
            element: slot(word, operand::ELEMENT),
        }
    }
}
