//! A stage: fetch and pipeline, with the threads' numbers translated.

use rmt_isa::card::CardShape;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::fetch::Fetch;
use super::long::LongRequest;
use super::pipeline::{Pipeline, Stalls};
use super::retire::OutputWrite;
use crate::bits::{as_word, one_hot};
use crate::config::Widths;
use crate::context::ContextRequest;
use crate::engine::ports::{Command, Response};
use crate::map::MapRequest;
use crate::matching::ParameterLoad;
use crate::signals::{
    Argument, Completion, End, EventBeat, HostAccess, HostReply, Redirect, TailCall,
};
use crate::units::ThreadSplit;

/// Shared units that answer by a stream of completions.
pub const COMPLETING_UNITS: usize = 3;

/// One of the stages that run actions side by side: it issues one instruction each cycle for
/// its own threads. Outside, threads have their number among all, inside the one in the
/// stage.
pub struct Stage {
    pub(crate) shape: CardShape,
}

/// Ports of [`Stage`].
#[derive(Clone, Ports)]
pub struct StageIo {
    /// Number of the stage, constant; absent when there is only one
    pub number: Option<Input<UInt>>,
    /// Parts of events
    pub beat: Input<EventBeat>,
    /// An action begins
    pub start: Input<Redirect>,
    /// Its parameters
    pub parameters: Input<ParameterLoad>,
    /// Own threads that must end
    pub doomed: Input<UInt>,
    /// Tail calls, to the match unit
    pub tail_call: StreamOut<TailCall>,
    /// Registers that the match unit needs, of own threads or others
    pub arguments: Vec<Input<Argument>>,
    /// Their values, in the same cycle
    pub values: Vec<Output<UInt>>,
    /// Instructions for the ML engine
    pub engine: StreamOut<Command>,
    /// Instructions for the context unit
    pub context: StreamOut<ContextRequest>,
    /// Instructions for the map unit
    pub map: StreamOut<MapRequest>,
    /// Products, quotients and helpers, to the long unit
    pub long: StreamOut<LongRequest>,
    /// The engine's answers to all threads; they are never stalled
    pub response: Input<Response>,
    /// Completions of the other shared units for own threads; the first goes first
    pub completions: Vec<StreamIn<Completion>>,
    /// An output word is written; the thread is numbered in the stage
    pub output: Output<OutputWrite>,
    /// An event ends by an instruction
    pub exit: Output<End>,
    /// An event ends by a completion
    pub failed: Output<End>,
    /// Access of the host
    pub host: Input<HostAccess>,
    /// Answer to reads of the program
    pub reply: Output<HostReply>,
    /// An instruction was executed
    pub executed: Output<Bool>,
    /// An instruction found its unit busy
    pub replayed: Output<Bool>,
    /// What an instruction waits for
    pub stalls: Output<Stalls>,
}

impl Component for Stage {
    type Io = StageIo;

    fn name(&self) -> String {
        let CardShape { stages, program_words, tables, .. } = &self.shape;
        let (threads, banks) = (self.shape.threads(), self.shape.banks());
        format!("stage_s{stages}_t{threads}_program{program_words}_tables{tables}_b{banks}")
    }

    fn doc(&self) -> String {
        "One of the stages that run actions side by side".into()
    }

    fn io(&self) -> StageIo {
        let widths = Widths::of(&self.shape);
        let stages = self.shape.stages;
        let each_field = || 0..self.shape.match_fields;
        StageIo {
            number: (stages > 1).then(|| input(uint(stages.ilog2()))),
            beat: input(EventBeat::shape(self.shape.event_beats(), widths.thread)),
            start: input(Redirect::shape(&widths)),
            parameters: input(ParameterLoad::shape(&widths)),
            doomed: input(uint(self.shape.threads_of_stage())),
            tail_call: stream_out(TailCall::shape(&widths)),
            arguments: each_field().map(|_| input(Argument::shape(&widths))).collect(),
            values: each_field().map(|_| output(uint(64))).collect(),
            engine: stream_out(Command::shape(&self.shape.engine)),
            context: stream_out(ContextRequest::shape(&widths)),
            map: stream_out(MapRequest::shape(&widths)),
            long: stream_out(LongRequest::shape(&widths)),
            response: input(Response::shape(&self.shape.engine)),
            completions: (0..COMPLETING_UNITS)
                .map(|_| stream_in(Completion::shape(&widths)))
                .collect(),
            output: output(OutputWrite::shape(&Widths::of_stage(&self.shape))),
            exit: output(End::shape(&widths)),
            failed: output(End::shape(&widths)),
            host: input(HostAccess::shape()),
            reply: output(HostReply::shape()),
            executed: output(boolean()),
            replayed: output(boolean()),
            stalls: output(Stalls::shape()),
        }
    }

    fn build(&self, io: StageIo) {
        let split = ThreadSplit::new(self.shape.stages, self.shape.threads());
        let number = io.number.as_ref().map(Input::value);
        let own = |thread: UInt| split.is_of(thread, number);
        let local = |thread: UInt| split.local(thread);
        let global = |thread: UInt| split.global(number, thread);
        let fetch = instance("fetch", Fetch { shape: self.shape.clone() });
        let pipeline = instance("pipeline", Pipeline { shape: self.shape.clone() });

        // An event comes, its action begins.
        let (beat, start) = (io.beat.value(), io.start.value());
        pipeline.beat.set(EventBeat {
            valid: beat.valid & own(beat.thread),
            thread: local(beat.thread),
            ..beat
        });
        fetch.start.set(Redirect {
            valid: start.valid & own(start.thread),
            thread: local(start.thread),
            ..start
        });
        let parameters = io.parameters.value();
        pipeline.parameters.set(ParameterLoad {
            valid: parameters.valid & own(parameters.thread),
            thread: local(parameters.thread),
            ..parameters
        });
        pipeline.doomed.set(io.doomed);

        // It runs.
        fetch.redirect.set(pipeline.redirect);
        fetch.jump.set(pipeline.jump);
        fetch.jumps.set(pipeline.jumps);
        fetch.stall.set(pipeline.stall);
        fetch.host.set(io.host);
        io.reply.set(fetch.reply);
        pipeline.fetched.set(fetch.valid);
        pipeline.thread.set(fetch.thread);
        pipeline.pc.set(fetch.pc);
        pipeline.word.set(fetch.word);
        pipeline.operands.set(fetch.operands);
        pipeline.decoded.set(fetch.decoded);
        io.executed.set(pipeline.executed);
        io.replayed.set(pipeline.replayed);
        io.stalls.set(pipeline.stalls);

        // Requests to other units.
        pass_on(&pipeline.tail_call, &io.tail_call, |call| TailCall {
            thread: global(call.thread),
            ..call
        });
        for (argument, inner) in io.arguments.iter().zip(&pipeline.arguments) {
            let argument = argument.value();
            inner.set(Argument { thread: local(argument.thread), ..argument });
        }
        for (inner, value) in pipeline.values.iter().zip(&io.values) {
            value.set(inner);
        }
        pass_on(&pipeline.engine, &io.engine, |command| Command {
            thread: global(command.thread),
            ..command
        });
        pass_on(&pipeline.context, &io.context, |request| ContextRequest {
            thread: global(request.thread),
            ..request
        });
        pass_on(&pipeline.map, &io.map, |request| MapRequest {
            thread: global(request.thread),
            ..request
        });
        pass_on(&pipeline.long, &io.long, |request| LongRequest {
            thread: global(request.thread),
            ..request
        });

        // Completions: the engine's first, they cannot wait. They also come last in a cycle, so the others are ready by then.
        let response = io.response.value();
        let answered = (response.valid & own(response.thread)).named("engine_answers");
        let answer = Completion {
            thread: local(response.thread),
            value: response.value,
            status: response.status,
        };
        let mut taken = Bool::lit(false);
        let mut others = Vec::new();
        for completions in &io.completions {
            let other = completions.payload();
            completions.accept(!answered & !taken);
            let completion = Completion { thread: local(other.thread), ..other };
            others.push((completions.valid() & !taken, completion));
            taken = taken | completions.valid();
        }
        let threads = self.shape.threads_of_stage();
        let woken = |valid: Bool, thread: UInt| as_word(&one_hot(valid, thread, threads));
        let woken_others = (others.iter())
            .fold(UInt::lit(0, threads), |all, &(valid, other)| all | woken(valid, other.thread));
        // A thread goes on before it is known whether its event ends.
        fetch.wake.set(mux(answered, woken(Bool::lit(true), answer.thread), woken_others));
        fetch.stop.set(pipeline.stop);
        pipeline.completion_valid.set(answered | taken);
        pipeline.completion.set(mux(answered, answer, one_hot_mux(&others)));

        // Events end.
        let outside = |end: End| End { thread: global(end.thread), ..end };
        io.output.set(pipeline.output);
        io.exit.set(outside(pipeline.exit.value()));
        io.failed.set(outside(pipeline.failed.value()));
    }
}

/// Passes a request of an instance on, changed.
fn pass_on<T: Bundle>(inner: &StreamOut<T>, outer: &StreamOut<T>, change: impl FnOnce(T) -> T) {
    outer.offer(inner.valid.value(), change(inner.payload.value()));
    inner.ready.set(outer.ready.value());
}
