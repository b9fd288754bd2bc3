//! The core: its stages and the units that they share, joined.

use rmt_isa::card::CardShape;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use crate::bits::count_ones;
use crate::config::Widths;
use crate::context::{ContextRequest, ContextUnit};
use crate::control::commit::BankSwitch;
use crate::control::dispatch::Dispatcher;
use crate::control::intake::Intake;
use crate::control::long::{LongRequest, LongUnit};
use crate::control::retire::Retire;
use crate::control::slots::Slots;
use crate::control::stage::{Stage, StageIo};
use crate::engine::Engine;
use crate::engine::ports::{Command, HostAnswer, Start};
use crate::event::EVENT_BITS;
use crate::host::{AMOUNT_BITS, HostCommand, HostPort};
use crate::map::{MapRequest, MapUnit};
use crate::matching::MatchUnit;
use crate::signals::{HostAccess, TableVisit, TailCall, ThreadPulse};
use crate::units::{ThreadSplit, UnitArbiter, join_requests, route_completions};

/// Name of the top module.
pub const TOP: &str = "rmt_core";

/// The accelerator core.
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
    pub host: Input<HostCommand>,
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
            event: stream_in(uint(EVENT_BITS)),
            decision: stream_out(uint(256)),
            host: input(HostCommand::shape()),
            host_answer: output(HostAnswer::shape()),
        }
    }

    fn build(&self, io: CoreIo) {
        let shape = &self.shape;
        let widths = Widths::of(shape);
        let host = instance("host_port", HostPort { shape: shape.clone() });
        let bank_switch = instance("bank_switch", BankSwitch { banks: shape.banks() });
        let slots = instance("program_slots", Slots { shape: shape.clone() });
        let intake = instance("intake", Intake { widths, beats: shape.event_beats() });
        let dispatcher = instance("dispatcher", Dispatcher { widths });
        let matching = instance("match_unit", MatchUnit { shape: shape.clone() });
        let stages: Vec<StageIo> = (0..shape.stages)
            .map(|number| instance(format!("stage_{number}"), Stage { shape: shape.clone() }))
            .collect();
        let split = ThreadSplit::new(shape.stages, shape.threads());
        let context = instance("context_unit", ContextUnit { shape: shape.clone() });
        let maps = instance("map_unit", MapUnit { shape: shape.clone() });
        let long = instance("long_unit", LongUnit { widths });
        let engine = instance(
            "engine",
            Engine { shape: shape.engine.clone(), event_beats: shape.event_beats() },
        );
        let beats = shape.event_beats();
        let retire = instance("retire", Retire { widths, beats });
        let (event, access) = (intake.taken.payload(), host.access.value());

        // Host.
        host.host.set(io.host);
        io.host_answer.set(host.host_answer);
        matching.host.set(access.kept_for("match_unit"));
        context.host.set(access.kept_for("context_unit"));
        maps.host.set(access.kept_for("map_unit"));
        engine.host.set(host.engine);
        host.engine_answer.set(engine.host_answer);
        host.replies[0].set(matching.reply);
        host.replies[1].set(stages[0].reply);
        host.replies[2].set(context.reply);
        host.replies[4].set(maps.reply);

        // Events come in: to the thread's copies, and to the first table.
        connect(&io.event, &intake.event);
        connect(&intake.taken, &dispatcher.event);
        slots.hook.set(intake.hook);
        intake.looked_up.set(slots.choice);
        slots.host.set(access);
        host.replies[3].set(slots.reply);
        dispatcher.choice.set(intake.choice);
        dispatcher.lock.set(intake.lock);
        bank_switch.commit.set(host.commit);
        bank_switch.hold.set(host.hold);
        bank_switch.running.set(dispatcher.running | intake.waits);
        intake.stop.set(bank_switch.stop);
        host.banks.set(bank_switch.state);
        host.swaps.set(bank_switch.swaps);
        dispatcher.ended.set(retire.ended);
        dispatcher.free.set(retire.free);
        let accept = dispatcher.accept.value();
        intake.accept.set(accept);
        let beat = intake.beat.value();
        for (number, stage) in (0..).zip(&stages) {
            if let Some(port) = &stage.number {
                port.set(UInt::lit(number, port.width()));
            }
            // All stages have the same program: reads see that of the first.
            let reads = if number == 0 { access.read } else { Bool::lit(false) };
            let of_stage = HostAccess { read: reads, ..access };
            stage.host.set(of_stage.kept_for(&format!("stage_{number}")));
            stage.beat.set(beat.kept_for(&format!("stage_{number}")));
            stage.start.set(matching.start);
            stage.parameters.set(matching.parameters);
            stage.response.set(engine.response);
            let first = number as u32 * shape.threads_of_stage();
            stage.doomed.set(retire.doomed.bits(first..first + shape.threads_of_stage()));
        }

        // Tail calls go before new events.
        let tail_calls =
            instance("tail_calls", self.arbiter("match_unit", TailCall::shape(&widths)));
        join_requests(stages.iter().map(|stage| &stage.tail_call), &tail_calls);
        connect(&tail_calls.request, &matching.tail_call);
        dispatcher.hold.set(matching.hold);
        matching.beat.set(beat);
        matching.first.set(TableVisit {
            valid: accept.valid & !dispatcher.refuse.valid,
            thread: accept.thread,
            table: intake.choice.table,
        });
        for (field, (argument, value)) in
            matching.arguments.iter().zip(&matching.values).enumerate()
        {
            let argument = argument.value();
            let values: Vec<UInt> = stages
                .iter()
                .map(|stage| {
                    stage.arguments[field].set(argument);
                    stage.values[field].value()
                })
                .collect();
            value.set(select(split.stage(argument.thread), &values));
        }
        let begins = matching.begins.value();
        engine.start.set(Start { valid: begins.valid, thread: begins.thread });
        engine.beat.set(beat.kept_for("engine"));
        let start = matching.start.value();
        context.begins.set(ThreadPulse { valid: start.valid, thread: start.thread });

        // Requests to the units that the stages share, and what comes back.
        // A command of the engine is taken soon, and counts its cycles.
        let commands = self.arbiter("engine", Command::shape(&shape.engine));
        let commands = instance("commands", UnitArbiter { held: false, ..commands });
        join_requests(stages.iter().map(|stage| &stage.engine), &commands);
        connect(&commands.request, &engine.command);
        let requests = self.arbiter("context_unit", ContextRequest::shape(&widths));
        let requests = instance("context_requests", requests);
        join_requests(stages.iter().map(|stage| &stage.context), &requests);
        connect(&requests.request, &context.request);
        let sinks: Vec<_> = stages.iter().map(|stage| stage.completions[0]).collect();
        route_completions(split, &context.completion, &sinks);
        let map_requests = self.arbiter("map_unit", MapRequest::shape(&widths));
        let map_requests = instance("map_requests", map_requests);
        join_requests(stages.iter().map(|stage| &stage.map), &map_requests);
        connect(&map_requests.request, &maps.request);
        let sinks: Vec<_> = stages.iter().map(|stage| stage.completions[1]).collect();
        route_completions(split, &maps.completion, &sinks);
        let long_requests = self.arbiter("long_unit", LongRequest::shape(&widths));
        let long_requests = instance("long_requests", long_requests);
        join_requests(stages.iter().map(|stage| &stage.long), &long_requests);
        connect(&long_requests.request, &long.request);
        let sinks: Vec<_> = stages.iter().map(|stage| stage.completions[2]).collect();
        route_completions(split, &long.completion, &sinks);
        connect(&context.lanes_in, &engine.lanes_in);
        connect(&context.lanes_request, &engine.lanes_request);
        connect(&engine.lanes_out, &context.lanes_out);

        // Events end.
        retire.arrives.set(intake.enters);
        retire.accept.set(accept);
        retire.tag.set(event.bits(32..64));
        retire.ends[0].set(dispatcher.refuse);
        retire.ends[1].set(matching.end);
        for (number, stage) in stages.iter().enumerate() {
            retire.outputs[number].set(stage.output);
            retire.exits[number].set(stage.exit);
            retire.ends[2 + number].set(stage.failed);
        }
        retire.limit.set(host.limit);
        retire.busy.set(dispatcher.busy);
        connect(&retire.decision, &io.decision);

        let decision_offered = retire.decision.valid();
        let once = |happens: Bool| happens.as_uint();
        let in_stages = |happens: fn(&StageIo) -> Bool| {
            let bits: Vec<UInt> = stages.iter().map(|stage| happens(stage).as_uint()).collect();
            count_ones(cat(&bits))
        };
        let counted = [
            once(Bool::lit(true)),
            once(accept.valid),
            once(decision_offered & io.decision.ready()),
            once(begins.valid),
            in_stages(|stage| stage.executed.value()),
            once(!dispatcher.busy.is_zero()),
            once(dispatcher.waits_for_thread.value()),
            once(dispatcher.waits_for_lock.value()),
            in_stages(|stage| stage.replayed.value()),
            once(decision_offered & !io.decision.ready()),
            once(context.evicted.value()),
            count_ones(dispatcher.busy.value()),
            in_stages(|stage| stage.stalls.value().engine),
            in_stages(|stage| stage.stalls.value().context),
            in_stages(|stage| stage.stalls.value().map),
            in_stages(|stage| stage.stalls.value().table),
            in_stages(|stage| stage.stalls.value().long),
            in_stages(|stage| stage.stalls.value().write),
            mux(retire.leaves.value(), retire.spent.value(), UInt::lit(0, AMOUNT_BITS)),
        ];
        host.event_ends.set(retire.leaves);
        host.event_cycles.set(retire.spent);
        for (port, amount) in host.amounts.iter().zip(counted) {
            port.set(amount.resize(port.width()));
        }
    }
}

impl Core {
    /// An arbiter before a unit that requests wait for in a register.
    fn arbiter<T: Bundle>(&self, unit: &'static str, payload: T) -> UnitArbiter<T> {
        let (stages, threads) = (self.shape.stages, self.shape.threads());
        UnitArbiter { unit, stages, held: true, threads, payload }
    }
}
