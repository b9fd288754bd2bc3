//! The core: all units of one stage, joined.

use rmt_isa::card::CardShape;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use crate::config::Widths;
use crate::context::ContextUnit;
use crate::control::dispatch::Dispatcher;
use crate::control::fetch::Fetch;
use crate::control::long::LongUnit;
use crate::control::pipeline::Pipeline;
use crate::control::retire::Retire;
use crate::engine::Engine;
use crate::engine::ports::{HostAnswer, HostRequest, Start};
use crate::host::{HostPort, host_request};
use crate::matching::MatchUnit;
use crate::signals::{Completion, TableVisit, ThreadPulse};

/// Name of the top module.
pub const TOP: &str = "rmt_core";

/// The accelerator core with one stage.
pub struct Core {
    /// What it is built with; [`CardShape::check`] must accept it.
    pub shape: CardShape,
}

/// Ports of [`Core`]. Clock and reset (`clk`, `rst`, synchronous, active high) come on top.
#[derive(Clone, Ports)]
pub struct CoreIo {
    /// Events of 64 bytes, byte i in bits 8i+7..8i
    pub event: StreamIn<UInt>,
    /// Decisions of 32 bytes, byte i in bits 8i+7..8i
    pub decision: StreamOut<UInt>,
    /// Accesses of the host; the next one may come when this one is answered
    pub host: Input<HostRequest>,
    /// Their answers, for reads and writes
    pub host_answer: Output<HostAnswer>,
}

impl Component for Core {
    type Io = CoreIo;

    fn name(&self) -> String {
        TOP.into()
    }

    fn doc(&self) -> String {
        "The RMT accelerator core: match, action threads, contexts, ML engine".into()
    }

    fn io(&self) -> CoreIo {
        CoreIo {
            event: stream_in(uint(512)),
            decision: stream_out(uint(256)),
            host: input(host_request()),
            host_answer: output(HostAnswer::shape()),
        }
    }

    fn build(&self, io: CoreIo) {
        let shape = &self.shape;
        let widths = Widths::of(shape);
        let host = instance("host_port", HostPort { shape: shape.clone() });
        let dispatcher = instance("dispatcher", Dispatcher { widths });
        let matching = instance("match_unit", MatchUnit { shape: shape.clone() });
        let fetch = instance("fetch", Fetch { shape: shape.clone() });
        let pipeline = instance("pipeline", Pipeline { shape: shape.clone() });
        let long = instance("long_unit", LongUnit { widths });
        let context = instance("context_unit", ContextUnit { shape: shape.clone() });
        let engine = instance("engine", Engine { shape: shape.engine.clone() });
        let retire = instance("retire", Retire { widths });
        let (event, access) = (io.event.payload(), host.access.value());

        // Host.
        host.host.set(io.host);
        io.host_answer.set(host.host_answer);
        matching.host.set(access);
        fetch.host.set(access);
        context.host.set(access);
        engine.host.set(host.engine);
        host.engine_answer.set(engine.host_answer);
        host.replies[0].set(matching.reply);
        host.replies[1].set(fetch.reply);
        host.replies[2].set(context.reply);

        // Events come in: to the thread's copies, and to the first table.
        connect(&io.event, &dispatcher.event);
        dispatcher.control.set(host.control);
        dispatcher.hold.set(pipeline.visit.valid);
        dispatcher.ended.set(retire.ended);
        dispatcher.free.set(retire.free);
        let accept = dispatcher.accept.value();
        pipeline.accept.set(accept);
        pipeline.event.set(event);
        let tail_call = pipeline.visit.value();
        let first = TableVisit {
            valid: accept.valid & !dispatcher.refuse.valid,
            thread: accept.thread,
            table: UInt::lit(0, widths.table),
            event,
            arguments: UInt::lit(0, 256),
        };
        let visit = mux(tail_call.valid, tail_call, first);
        matching.visit.set(visit);
        engine.start.set(Start { valid: visit.valid, thread: visit.thread, event: visit.event });

        // Actions begin and run.
        let start = matching.start.value();
        fetch.start.set(start);
        context.begins.set(ThreadPulse { valid: start.valid, thread: start.thread });
        pipeline.parameters.set(matching.parameters);
        fetch.redirect.set(pipeline.redirect);
        fetch.wake.set(pipeline.wake);
        fetch.stall.set(pipeline.stall);
        pipeline.fetched.set(fetch.valid);
        pipeline.thread.set(fetch.thread);
        pipeline.pc.set(fetch.pc);
        pipeline.word.set(fetch.word);
        pipeline.doomed.set(retire.doomed);

        // Requests to units, and completions: the engine's first, they cannot wait.
        connect(&pipeline.engine, &engine.command);
        connect(&pipeline.context, &context.request);
        connect(&pipeline.long, &long.request);
        pipeline.context_soon.set(context.soon);
        pipeline.context_fault.set(context.fault);
        pipeline.context_posted.set(context.posted);
        let response = engine.response.value();
        let from_engine =
            Completion { thread: response.thread, value: response.value, status: response.status };
        let (from_context, from_long) = (context.completion.payload(), long.completion.payload());
        context.completion.accept(!response.valid);
        long.completion.accept(!response.valid & !context.completion.valid());
        pipeline
            .completion_valid
            .set(response.valid | context.completion.valid() | long.completion.valid());
        pipeline.completion.set(priority_mux(
            &[(response.valid, from_engine), (context.completion.valid(), from_context)],
            from_long,
        ));
        connect(&context.lanes_in, &engine.lanes_in);
        connect(&context.lanes_request, &engine.lanes_request);
        connect(&engine.lanes_out, &context.lanes_out);

        // Events end.
        retire.accept.set(accept);
        retire.tag.set(event.bits(32..64));
        retire.output.set(pipeline.output);
        retire.exit.set(pipeline.exit);
        retire.ends[0].set(dispatcher.refuse);
        retire.ends[1].set(matching.end);
        retire.ends[2].set(pipeline.failed);
        retire.limit.set(host.limit);
        retire.busy.set(dispatcher.busy);
        connect(&retire.decision, &io.decision);

        let decision_offered = retire.decision.valid();
        let counted = [
            Bool::lit(true),
            accept.valid,
            decision_offered & io.decision.ready(),
            visit.valid,
            pipeline.executed.value(),
            !dispatcher.busy.is_zero(),
            dispatcher.waits_for_thread.value(),
            dispatcher.waits_for_lock.value(),
            pipeline.replayed.value(),
            decision_offered & !io.decision.ready(),
            context.evicted.value(),
        ];
        for (port, event) in host.events.iter().zip(counted) {
            port.set(event);
        }
    }
}
