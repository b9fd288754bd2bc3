//! The engine: all units joined.

use super::decode::Decoder;
use super::issue::Issuer;
use super::lanes::{join, saturate, split};
use super::memory::HostMemory;
use super::operation::{Function, Operation, Unit, WordTag};
use super::ports::*;
use super::product::{ProductUnit, ProductUnitIo};
use super::reduce::Reducer;
use super::registers::{VectorRegisters, VectorRegistersIo, lane_mask};
use super::sequencer::{Sequencer, SequencerIo};
use super::steps::Steps;
use super::tree::{TreeEngine, TreeEngineIo};
use super::window::{WindowUnit, WindowUnitIo};
use super::wiring::{WRITTEN_BITS, writes_word};
use crate::bits::{as_word, only_if};
use crate::counters::Counters;
use crate::signals::EventBeat;
use rmt_isa::card::engine::*;
use rmt_isa::operand::Element;
use rtl_builder::prelude::*;

/// The ML engine.
///
/// Contract: `command` is always ready; a thread gives its next command only after the response
/// to the last one. An instruction without scalar result is answered when it is issued, so that
/// the thread goes on while it executes; the engine keeps the order. `start` comes only
/// when the thread has no command without response and no lanes under way. The host gives its
/// next access after the answer to the last one, two cycles after the access.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The parameters; [`EngineShape::check`] must accept them.
    pub shape: EngineShape,
    /// Parts in which events come: 1, 2 or 4.
    pub event_beats: u32,
}

/// Ports of [`Engine`].
#[derive(Clone, Ports)]
pub struct EngineIo {
    /// A thread begins an action
    pub start: Input<Start>,
    /// Parts of the threads' events, all before the first command of the thread
    pub beat: Input<EventBeat>,
    /// Vector and model instructions, except those that move lanes to and from context records
    pub command: StreamIn<Command>,
    /// The answers
    pub response: Output<Response>,
    /// Lanes from the context unit
    pub lanes_in: StreamIn<LanesIn>,
    /// Registers whose lanes the context unit wants
    pub lanes_request: StreamIn<LanesRequest>,
    /// These lanes
    pub lanes_out: StreamOut<LanesOut>,
    /// Accesses of the host
    pub host: Input<HostRequest>,
    /// Their answers
    pub host_answer: Output<HostAnswer>,
}

/// Operations of threads that are not yet finished.
pub(super) struct Busy {
    threads: Vec<Reg<Bool>>,
}

impl Busy {
    fn new(shape: &EngineShape) -> Self {
        let threads =
            (0..shape.threads).map(|t| reg(format!("busy_t{t}"), boolean(), false)).collect();
        Self { threads }
    }

    /// The thread's operation ends in this cycle, or begins.
    fn set(&self, condition: Bool, thread: UInt, busy: bool) {
        for (t, register) in self.threads.iter().enumerate() {
            when(condition & thread.eq(t as u64), || register.next(busy));
        }
    }

    pub(super) fn of(&self, thread: UInt) -> Bool {
        select(thread, &self.threads.iter().map(|t| t.value()).collect::<Vec<_>>())
    }

    fn all(&self) -> UInt {
        as_word(&self.threads.iter().map(|t| t.value()).collect::<Vec<_>>())
    }
}

/// The instances whose ports several functions join.
pub(super) struct Units {
    pub(super) sequencer: SequencerIo,
    pub(super) registers: VectorRegistersIo,
    pub(super) product: ProductUnitIo,
    pub(super) tree: TreeEngineIo,
    pub(super) window: WindowUnitIo,
}

/// A result on its way to the registers.
pub(super) struct Write {
    pub(super) tag: WordTag,
    /// Lanes of 32 bits, or exact ones that are saturated on their way.
    pub(super) lanes: UInt,
    pub(super) mask: UInt,
    /// Lanes of the mask that go to the word behind.
    pub(super) carry: UInt,
}

impl Engine {
    fn counters(&self, counts: [(usize, Bool); ENGINE_COUNTERS.len()]) -> Counters {
        let amounts = counts.map(|(number, count)| {
            // What is counted is known late: it is counted a cycle after it happened.
            let name = ENGINE_COUNTERS[number].to_lowercase();
            let happened = reg(format!("happened_{name}"), boolean(), false);
            happened.next(count);
            (format!("count_{name}"), happened.value().as_uint())
        });
        Counters::new("counters", &amounts)
    }

    fn host_answer(&self, io: &EngineIo, host: &HostRequest, counters: &Counters) {
        let offset_bits = self.shape.offset_bits();
        let region = host.address.bits(offset_bits..offset_bits + REGION_BITS);
        let counter = counters.read(host.address.bits(0..offset_bits));
        let none = UInt::lit(0, 64);
        let reads = !host.write & region.eq(EngineRegion::Counters as u64);
        let answered = reg("access_done", boolean(), false);
        answered.next(host.valid);
        io.host_answer.set(HostAnswer {
            valid: answered.value(),
            rdata: delayed("access_rdata", mux(reads, counter, none)),
        });
    }
}

impl Component for Engine {
    type Io = EngineIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("engine_t{}_n{}_l{}_r{}", s.threads, s.array, s.vector_lanes, s.requantise_lanes)
    }

    fn doc(&self) -> String {
        "The ML engine: vector and model instructions of all threads.".into()
    }

    fn io(&self) -> EngineIo {
        let shape = &self.shape;
        EngineIo {
            start: input(Start::shape(shape)),
            beat: input(EventBeat::shape(self.event_beats, thread_bits(shape))),
            command: stream_in(Command::shape(shape)),
            response: output(Response::shape(shape)),
            lanes_in: stream_in(LanesIn::shape(shape)),
            lanes_request: stream_in(LanesRequest::shape(shape)),
            lanes_out: stream_out(LanesOut::shape(shape)),
            host: input(HostRequest::shape(shape)),
            host_answer: output(HostAnswer::shape()),
        }
    }

    fn build(&self, io: EngineIo) {
        let shape = self.shape.clone();
        if let Err(error) = shape.check() {
            require(false, error.to_string());
            return;
        }
        // One register between the host and the memories.
        let host_valid = reg("access", boolean(), false);
        host_valid.next(io.host.valid);
        let host =
            HostRequest { valid: host_valid.value(), ..delayed("host_held", io.host.value()) };

        let decoder = instance("decoder", Decoder { shape: shape.clone() });
        decoder.host.set(host);
        decoder.start.set(io.start);
        decoder.valid.set(io.command.valid);
        decoder.command.set(io.command.payload);
        io.command.ready.set(true);

        let issuer = instance("issuer", Issuer { shape: shape.clone() });
        issuer.valid.set(decoder.operation_valid);
        issuer.thread.set(decoder.operation_thread);
        issuer.operation.set(decoder.operation);
        issuer.base.set(decoder.base);
        let busy = Busy::new(&shape);
        issuer.busy.set(busy.all());
        // What the issuer chooses is issued in the next cycle: its choice among the threads and the first step of what
        // it chose would not fit one.
        let issue = reg("issue", boolean(), false);
        issue.next(issuer.issue);
        // With a reset, its base is a register behind the issuer's memory: without, synthesis registers the address and
        // reads the memory after it.
        let base = reg("issue_base", uint(16), 0);
        base.next(issuer.issue_operation.value().base);
        let operation = Operation {
            base: base.value(),
            ..delayed("issue_operation", issuer.issue_operation.value())
        };
        let thread = delayed("issue_thread", issuer.issue_thread.value());
        let issue_units = delayed("issue_units", issuer.issue_units.value());
        let issued = |unit: Unit| issue & issue_units.bit(unit as u32);

        let units = Units {
            sequencer: instance("sequencer", Sequencer { shape: shape.clone() }),
            registers: instance("registers", VectorRegisters { shape: shape.clone() }),
            product: instance("product", ProductUnit { shape: shape.clone() }),
            tree: instance("forest_unit", TreeEngine { shape: shape.clone() }),
            window: instance("window_unit", WindowUnit { shape: shape.clone() }),
        };
        let (sequencer, product, tree) = (&units.sequencer, &units.product, &units.tree);
        let window = &units.window;
        let starts = reg("operation_starts", boolean(), false);
        starts.next(issuer.issue & !issuer.issue_units.bit(Unit::Refuse as u32));
        sequencer.issue.set(starts);
        sequencer.thread.set(thread);
        sequencer.operation.set(operation);
        sequencer.announce.set(product.announce | window.announce);
        let refused = issuer.issue_units.bit(Unit::Refuse as u32);
        busy.set(issuer.issue & !refused, issuer.issue_thread.value(), true);
        let tree_free =
            reg("tree_free", boolean(), true).doc("The tree engine could take an operation now");
        let ready = [
            sequencer.vector_ready.value(),
            sequencer.requantise_ready.value(),
            Bool::lit(true),
            tree_free.value(),
            window.ready & !issued(Unit::Window),
            Bool::lit(true),
        ];
        issuer.begins.set(sequencer.begins);
        issuer.unit_ready.set(as_word(&ready));

        // Steps, and what each unit gets one cycle later.
        let step = sequencer.step.value();
        let steps = Steps::new(step);
        let constants = HostMemory::new("constants", EngineRegion::Constants, 64, &shape, host);
        let row_address = step.operation.base.wrapping_add(step.word);
        let row = constants.read(step.valid, row_address);
        let lane_units = self.vector_lanes(&io, starts.value(), &steps, &units.registers, row);
        let requantised = self.requantiser(host, step.scale_word, &steps, &units.registers);

        let arrived = steps.at(1);
        product.host.set(host);
        product.issue.set(issued(Unit::Product));
        product.operation.set(operation);
        product.thread.set(thread);
        product.word_valid.set(steps.is_unit(1, Unit::Product));
        product.word_thread.set(arrived.thread);
        product.word_index.set(arrived.word);
        product.word.set(units.registers.a_lanes);
        product
            .bias_word
            .set(constants.read(product.bias_enable.value(), product.bias_address.value()));
        tree.host.set(host);
        tree.issue.set(issued(Unit::Tree));
        tree.operation.set(operation);
        tree.thread.set(thread);
        tree.word_valid.set(steps.is_unit(1, Unit::Tree));
        tree.word_index.set(arrived.word);
        tree.word.set(units.registers.a_lanes);
        tree.word_last.set(arrived.last);

        window.host.set(host);
        window.issue.set(issued(Unit::Window));
        window.operation.set(operation);
        window.thread.set(thread);
        window.word_valid.set(steps.is_unit(1, Unit::Window));
        window.word_index.set(arrived.word);
        window.word.set(units.registers.a_lanes);
        window.word_last.set(arrived.last);
        window.array_free.set(product.array_free);
        window.fires.set(product.window_fires);
        window.sums.set(product.window_sums);
        window.sums_lanes.set(product.data);
        window.products_announce.set(product.announce);
        product.window_holds.set(window.holds_array);
        product.window_step.set(window.step);
        product.window_activations.set(window.activations);

        // Writes: the calendar lets one happen a cycle, lanes from outside take what is left.
        let results: Vec<SInt> = lane_units.iter().map(|lane| lane.result.value()).collect();
        let held: Vec<SInt> = lane_units.iter().map(|lane| lane.a_held.value()).collect();
        let is_reduced = |cycle: usize| {
            steps.is_function(cycle, Function::Sum) | steps.is_function(cycle, Function::ArgMax)
        };
        let done = steps.at(2);
        let vector = Write {
            tag: steps.tag(2, writes_word(&steps)),
            lanes: join(&results),
            mask: mux(done.one_lane, lane_mask(&shape, done.lane), self.all_lanes()),
            carry: self.no_lanes(),
        };
        let product_write = Write {
            tag: product.write.value(),
            lanes: product.data.value(),
            mask: self.all_lanes(),
            carry: self.no_lanes(),
        };
        let window_write = Write {
            tag: window.write.value(),
            lanes: window.data.value(),
            mask: window.mask.value(),
            carry: window.carry.value(),
        };
        let (from_context, lanes_in_wait) = self.lanes_in(&io, &busy, sequencer, &decoder);
        let lanes_out_wait = self.lanes_out(&io, &busy, &units, &decoder);
        let hold = reg("hold", boolean(), false).doc("Lanes wait: no operation begins");
        hold.next(lanes_in_wait | lanes_out_wait);
        sequencer.hold.set(hold);

        let write_valid = vector.tag.valid
            | requantised.tag.valid
            | product_write.tag.valid
            | window_write.tag.valid
            | from_context.tag.valid;
        let choose = |part: &dyn Fn(&Write) -> UInt| {
            priority_mux(
                &[
                    (product_write.tag.valid, part(&product_write)),
                    (requantised.tag.valid, part(&requantised)),
                    (vector.tag.valid, part(&vector)),
                    (window_write.tag.valid, part(&window_write)),
                ],
                part(&from_context),
            )
        };
        // They happen one cycle later: a result of the vector unit or the requantiser is saturated there, all others are already. Who waits
        // for one reads two cycles after its time at the earliest.
        let registers: &VectorRegistersIo = &units.registers;
        let written = reg("written", boolean(), false);
        written.next(write_valid);
        let tag = WordTag {
            valid: write_valid,
            thread: choose(&|w| w.tag.thread),
            register: choose(&|w| w.tag.register),
            word: choose(&|w| w.tag.word),
            last: choose(&|w| w.tag.last.as_uint()).as_bool(),
        };
        registers.write.set(WordTag { valid: written.value(), ..delayed("written_word", tag) });
        let element = mux(
            vector.tag.valid,
            done.element,
            mux(requantised.tag.valid, steps.at(5).element, Element::I32 as u64),
        );
        let element = delayed("written_element", element);
        // Only one writes a cycle, and results of the vector unit come last: they are 0 where another one writes.
        let of_others = priority_mux(
            &[
                (product_write.tag.valid, self.in_exact_lanes(product_write.lanes)),
                (requantised.tag.valid, self.in_exact_lanes(requantised.lanes)),
                (window_write.tag.valid, self.in_exact_lanes(window_write.lanes)),
            ],
            self.in_exact_lanes(from_context.lanes),
        );
        let of_others = only_if(!vector.tag.valid, of_others);
        let lanes = delayed("written_lanes", self.in_exact_lanes(vector.lanes) | of_others);
        let multiplied = delayed("multiplied", steps.is_function(2, Function::Mul));
        let written_lanes: Vec<SInt> = (split(lanes, WRITTEN_BITS).iter().zip(&lane_units))
            .map(|(exact, lane)| mux(multiplied, lane.product.value(), saturate(*exact, element)))
            .collect();
        registers.lanes.set(join(&written_lanes));
        registers.mask.set(delayed("written_mask", choose(&|w| w.mask)));
        registers.carry.set(delayed("written_carry", choose(&|w| w.carry)));
        for write in [&product_write, &requantised, &vector, &window_write] {
            busy.set(write.tag.valid & write.tag.last, write.tag.thread, false);
        }

        // Answers: booked scalar results first, then trees, then operations that are issued.
        let reducer = instance("reducer", Reducer { shape: shape.clone() });
        reducer.valid.set(is_reduced(2));
        reducer.lanes.set(join(&held));
        reducer.word.set(done.word);
        reducer.last.set(done.last);
        reducer.last_lane.set(done.last_lane);
        // That they go out is known a cycle before, so that a stage need not wait for it before it knows who writes registers.
        let answers = |name: &str, before: Bool| {
            let answer = reg(name, boolean(), false);
            answer.next(before);
            answer.value()
        };
        let early_answer = answers("early_answer", issuer.answers.value());
        let lane_next = steps.is_function(1, Function::Lane) & steps.at(1).last;
        let sum_next = is_reduced(3) & steps.at(3).last;
        let (lane_answer, sum_answer) =
            (answers("lane_answer", lane_next), answers("sum_answer", sum_next));
        let booked_thread =
            delayed("booked_thread", mux(lane_next, steps.at(1).thread, steps.at(3).thread));
        let reduced = steps.at(4);
        let tree_answer = (tree.done & !sequencer.answers_now & !early_answer).named("tree_answer");
        tree.take.set(tree_answer);
        when(tree_answer, || tree_free.next(true));
        let tree_chosen = issuer.issue & issuer.issue_units.bit(Unit::Tree as u32);
        when(tree_chosen, || tree_free.next(false));
        issuer.answer_free.set(!sequencer.answers_next & !tree.done);
        let chosen_lane = select(done.lane.trunc(shape.array.trailing_zeros()), &held);
        let reduced_value = mux(
            reduced.function.eq(Function::Sum as u64),
            reducer.sum.as_uint(),
            reducer.largest.zext(64),
        );
        busy.set(lane_answer, done.thread, false);
        busy.set(sum_answer, reduced.thread, false);
        busy.set(tree_answer, tree.done_thread.value(), false);
        io.response.set(Response {
            // A tree that has to wait for its answer waits for another one's.
            valid: lane_answer | sum_answer | tree.done | early_answer,
            // Whose answer it is wakes that thread in the same cycle.
            thread: mux(
                early_answer,
                thread,
                mux(sequencer.answers_now, booked_thread, tree.done_thread.value()),
            ),
            // One of them answers: the calendar lets a lane or a sum do so, and a tree waits for these.
            value: only_if(lane_answer, chosen_lane.sext(64).as_uint())
                | only_if(sum_answer, reduced_value)
                | tree.value.as_uint(),
            status: priority_mux(
                &[(lane_answer | sum_answer, UInt::lit(0, 8)), (tree_answer, tree.status.value())],
                operation.status,
            ),
        });

        let counters = self.counters([
            (ARRAY_WAVES, product.wave.value()),
            (WEIGHT_LOADS, product.load.value()),
            (VECTOR_COMMANDS, issued(Unit::Vector)),
            (REQUANTISE_COMMANDS, issued(Unit::Requantise)),
            (PRODUCT_COMMANDS, issued(Unit::Product)),
            (TREE_COMMANDS, issued(Unit::Tree)),
            (REFUSED_COMMANDS, issued(Unit::Refuse)),
            (ISSUE_STALLS, issuer.stalls.value()),
            (ARRAY_CYCLES, product.running.value()),
            (JOINED_PRODUCTS, product.joins.value()),
            (WINDOW_COMMANDS, issued(Unit::Window)),
        ]);
        self.host_answer(&io, &host, &counters);
    }
}
