//! The function: registers, pairs, admin queue, core, joined.

use rmt_isa::card::CardShape;
use rmt_isa::device::fields::{device_errors, device_status};
use rmt_isa::device::pci;
use rtl_builder::bundle;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;
use rtl_builder::stock::{RoundRobinArbiter, StreamMerge};

use super::admin::Admin;
use super::complete::CompletionWriter;
use super::core_access::CoreAccess;
use super::dispatch::Dispatch;
use super::fetch::Fetcher;
use super::inline::InlineBuffer;
use super::lines::{self, Lines};
use super::pair::{Pair, PairStrobes, PairView};
use super::registers::Registers;
use crate::bits::{any, word_of};
use crate::tlp::msix::Msix;
use crate::tlp::request::Requester;
use crate::tlp::{
    ADMIN_SLOT, FETCH_SLOTS, LINE_BITS, PostedWrite, READ_SLOTS, ReadOrder, RxWord, Sideband,
    beat_bits, join,
};
use crate::top::Core;

/// What the endpoint counts, one pulse each.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct EndpointEvents {
    /// A packet came
    pub received: Bool,
    /// A packet left
    pub sent: Bool,
    /// A request was not supported
    pub unsupported: Bool,
    /// A packet was poisoned
    pub poisoned: Bool,
    /// A packet could not be decoded
    pub malformed: Bool,
}

impl EndpointEvents {
    /// The shape.
    pub fn shape() -> Self {
        Self {
            received: boolean(),
            sent: boolean(),
            unsupported: boolean(),
            poisoned: boolean(),
            malformed: boolean(),
        }
    }
}

/// Everything that a function-level reset resets.
pub struct Function {
    /// What it is built with.
    pub shape: CardShape,
}

/// Ports of [`Function`].
#[derive(Clone, Ports)]
pub struct FunctionIo {
    /// Words of writes and completions
    pub word: StreamIn<RxWord>,
    /// A DW of a BAR is wanted
    pub reads: Input<Bool>,
    /// It is in the BAR of the MSI-X table
    pub reads_msix: Input<Bool>,
    /// Its number
    pub dw: Input<UInt>,
    /// It is there
    pub read_ready: Output<Bool>,
    /// The DW
    pub read_data: Output<UInt>,
    /// Writes to host memory
    pub posted: StreamOut<PostedWrite>,
    /// Beat of their data that is wanted
    pub beat: Input<UInt>,
    /// Reads of host memory
    pub order: StreamOut<ReadOrder>,
    /// Tag of the read that is offered
    pub order_tag: Output<UInt>,
    /// Configuration
    pub sideband: Input<Sideband>,
    /// What the endpoint counts
    pub endpoint: Input<EndpointEvents>,
    /// Generations of the read slots
    pub generations: Vec<Input<UInt>>,
    /// Which of them end
    pub next_generation: Output<UInt>,
    /// The host asks for a reset
    pub reset: Output<Bool>,
}

impl Component for Function {
    type Io = FunctionIo;

    fn name(&self) -> String {
        "card_function".into()
    }

    fn doc(&self) -> String {
        "Registers, queue pairs, admin queue and core".into()
    }

    fn io(&self) -> FunctionIo {
        FunctionIo {
            word: stream_in(RxWord::shape(self.shape.stream_bits)),
            reads: input(boolean()),
            reads_msix: input(boolean()),
            dw: input(uint(LINE_BITS + 4)),
            read_ready: output(boolean()),
            read_data: output(uint(32)),
            posted: stream_out(PostedWrite::shape(self.shape.stream_bits)),
            beat: input(uint(beat_bits(self.shape.stream_bits))),
            order: stream_out(ReadOrder::shape()),
            order_tag: output(uint(8)),
            sideband: input(Sideband::shape()),
            endpoint: input(EndpointEvents::shape()),
            generations: (0..READ_SLOTS).map(|_| input(uint(2))).collect(),
            next_generation: output(uint(READ_SLOTS)),
            reset: output(boolean()),
        }
    }

    fn build(&self, io: FunctionIo) {
        let shape = &self.shape;
        let (queues, bits) = (shape.queues, shape.stream_bits);
        let vectors = pci::msix_vectors(queues);
        let registers = instance(
            "registers",
            Registers { queues, inline_slots: shape.inline_slots, stream_bits: bits },
        );
        let pairs: Vec<_> =
            (0..queues).map(|pair| instance(format!("pair_{pair}"), Pair { bits })).collect();
        let admin_pair = instance("admin_pair", Pair { bits });
        let inline_slots = shape.inline_slots;
        let row_bits = lines::row_bits(queues, inline_slots);
        let inline = instance("inline", InlineBuffer { queues, slots: inline_slots, bits });
        let fetcher = instance("fetcher", Fetcher { queues, row_bits });
        let lines = instance("lines", Lines { queues, inline_slots, bits });
        let admin = instance("admin", Admin { queues, bits });
        // One event a thread, one that waits for a thread, and the decision of one whose thread is free again.
        let in_flight = shape.threads() + 2;
        let dispatch = instance("dispatch", Dispatch { queues, in_flight, row_bits });
        let completions = instance("completions", CompletionWriter { queues, bits });
        let access = instance("core_access", CoreAccess);
        let requester = instance("requester", Requester { bits });
        let msix = instance("msix", Msix { vectors, bits });
        let core = instance("core", Core { shape: shape.clone() });
        let sideband = io.sideband.value();
        let word = io.word.payload();

        // Writes: to the MSI-X table, or to registers and inline windows.
        let is_write = io.word.valid() & !word.completion;
        let read_data = !word.waits | requester.looked;
        io.word.accept(mux(word.completion, read_data, registers.ready.value()));
        msix.write.set(is_write & word.msix);
        registers.write.set(is_write & !word.msix);
        registers.waits.set(word.waits);
        // What is to be kept goes to the lines a cycle later, and is looked at then: a reader comes later still.
        let kept = delayed("kept_bytes", word.bytes);
        inline.write.set(registers.in_page);
        inline.pair.set(registers.page_pair);
        inline.line.set(word.line.bits(0..6));
        for port in [&msix.line, &registers.line] {
            port.set(word.line);
        }
        for port in [&msix.bytes, &registers.bytes, &inline.bytes] {
            port.set(word.bytes);
        }
        lines.bytes.set(kept);
        let all_pairs = || pairs.iter().chain([&admin_pair]);
        for (index, pair) in all_pairs().enumerate() {
            pair.bytes.set(word.bytes);
            pair.write_config.set(registers.pair_write.bit(index as u32));
            pair.write_page.set(registers.page_write.bit(index as u32));
            pair.read_dw.set(io.dw.bits(0..4));
            registers.pair_controls[index].set(pair.control);
            registers.page_dws[index].set(pair.page);
        }

        // Reads.
        registers.reads.set(io.reads & !io.reads_msix);
        registers.dw.set(io.dw);
        msix.read_dw.set(io.dw);
        io.read_ready.set(mux(
            io.reads_msix,
            msix.read_ready.value(),
            registers.read_ready.value(),
        ));
        io.read_data.set(mux(io.reads_msix, msix.read_data.value(), registers.read_data.value()));

        // What happens to the pairs.
        let written = completions.written.value();
        let views: Vec<PairView> = all_pairs().map(|pair| pair.view.value()).collect();
        for (index, pair) in pairs.iter().enumerate() {
            let (direct, fetched) = (inline.strobes[index].value(), fetcher.strobes[index].value());
            inline.views[index].set(views[index]);
            fetcher.views[index].set(views[index]);
            dispatch.views[index].set(views[index]);
            // An inline event's error is known a cycle late, and only if the pair ran when the event came.
            let inline_error = reg(format!("inline_error_{index}"), uint(8), 0);
            inline_error.next(mux(views[index].running, direct.error, UInt::lit(0, 8)));
            pair.strobes.set(PairStrobes {
                inline_taken: direct.inline_taken,
                inline_seen: direct.inline_seen,
                inline_line: direct.inline_line,
                fetched: fetched.fetched,
                accepted: fetched.accepted,
                returned: fetched.returned,
                written: written.bit(index as u32),
                error: mux(inline_error.is_zero(), fetched.error, inline_error.value()),
                stop: admin.stop.bit(index as u32),
            });
        }
        fetcher.inline_ends.set(inline.ends);
        let admin_strobes = admin.strobes.value();
        admin_pair.strobes.set(PairStrobes { written: written.bit(queues), ..admin_strobes });
        admin.view.set(views[queues as usize]);
        for (port, view) in completions.views.iter().zip(&views) {
            port.set(*view);
        }

        // Reads of host memory.
        requester.word.set(word);
        requester.word_valid.set(io.word.valid());
        requester.completer_id.set(sideband.completer_id);
        requester.timeout.set(registers.read_timeout);
        for (port, generation) in requester.generations.iter().zip(&io.generations) {
            port.set(generation);
        }
        io.next_generation.set(requester.next_generation);
        let order_bits = bundle::width(&ReadOrder::shape());
        let orders = instance("orders", StreamMerge::<Main>::new(order_bits, 2));
        for (source, port) in [&admin.order, &fetcher.order].into_iter().zip(&orders.sources) {
            port.offer(source.valid(), pack(source.payload()));
            source.accept(port.ready.value());
        }
        requester
            .order
            .offer(orders.sink.valid.value(), unpack(&ReadOrder::shape(), orders.sink.payload));
        orders.sink.ready.set(requester.order.ready);
        connect(&requester.sent, &io.order);
        io.order_tag.set(requester.tag);
        let ended = requester.ended.value();
        fetcher.ended.set(ended.bits(0..FETCH_SLOTS));
        for (port, outcome) in fetcher.outcomes.iter().zip(&requester.outcomes) {
            port.set(outcome);
        }
        admin.ended.set(ended.bit(ADMIN_SLOT));
        admin.outcome.set(requester.outcomes[ADMIN_SLOT as usize]);
        requester.release.set(join(&[fetcher.release.value(), admin.release.as_uint()]));
        fetcher.max_read_request.set(sideband.max_read_request);
        admin.max_read_request.set(sideband.max_read_request);

        // Lines that have come: the admin queue reads them before the dispatcher.
        let stores_read = reg("stores_read", boolean(), false);
        stores_read.next(requester.stores);
        lines.stores_read.set(stores_read);
        lines.read_row.set(delayed("read_row", requester.row.value()));
        lines.stores_inline.set(inline.stores);
        lines.inline_row.set(inline.row);
        lines.read.set(admin.read | dispatch.read.value());
        let admin_row = lines::read_row(admin.read_row.value(), row_bits);
        lines.row.set(mux(admin.read, admin_row, dispatch.row.value()));
        dispatch.read_busy.set(admin.read);
        admin.data.set(lines.data);
        dispatch.data.set(lines.data);

        // Events, decisions, completions.
        let sources = [
            (&inline.waits, &inline.event, &inline.takes),
            (&fetcher.waits, &fetcher.event, &fetcher.takes),
        ];
        for (index, (waits, event, takes)) in sources.into_iter().enumerate() {
            dispatch.waits[index].set(waits.value());
            dispatch.next[index].set(event.value());
            takes.set(dispatch.takes[index].value());
        }
        connect(&dispatch.event, &core.event);
        connect(&core.decision, &dispatch.decision);
        connect(&dispatch.decided, &completions.sources[0]);
        connect(&dispatch.refused, &completions.sources[1]);
        connect(&admin.record, &completions.sources[2]);

        // The core's words.
        access.requests[0].set(admin.core);
        access.requests[1].set(registers.core);
        admin.reply.set(access.replies[0]);
        registers.reply.set(access.replies[1]);
        core.host.set(access.host);
        access.answer.set(core.host_answer);

        // Writes to host memory; an interrupt is raised after the write that it tells of.
        completions.beat.set(io.beat);
        admin.beat.set(io.beat);
        // Whose turn it is stands in registers, so that the choice does not lie before the packet; and where the write goes
        // and how long it is too, for what is offered stays.
        let sources = [&completions.write, &admin.write, &msix.message];
        let turns = instance("writes", RoundRobinArbiter::<Main>::new(sources.len() as u32));
        let turn =
            reg("write_turn", uint(sources.len() as u32), 0).doc("The write that is offered");
        let offered = reg("write_offered", boolean(), false);
        let waits: Vec<UInt> = sources.iter().map(|source| source.valid().as_uint()).collect();
        turns.request.set(join(&waits));
        turns.accept.set(!offered);
        for (index, source) in (0..).zip(sources) {
            source.accept(turn.bit(index) & io.posted.ready());
        }
        let of_chosen = |choice: UInt, part: &dyn Fn(PostedWrite) -> UInt| {
            let parts = (0..).zip(sources).map(|(index, source)| {
                let part = part(source.payload());
                mux(choice.bit(index), part, UInt::lit(0, part.width()))
            });
            parts.reduce(|all, part| all | part).expect("there are sources")
        };
        let grant = turns.grant.value();
        let address = reg_uninit("write_address", uint(64));
        let long = reg_uninit("write_long", boolean());
        let dws = reg_uninit("write_dws", uint(5));
        when(!offered, || {
            offered.next(turns.valid);
            turn.next(mux(turns.valid, grant, UInt::lit(0, turn.width())));
            address.next(of_chosen(grant, &|write| write.address));
            long.next(of_chosen(grant, &|write| write.long.as_uint()).as_bool());
            dws.next(of_chosen(grant, &|write| write.dws));
        })
        .elsewhen(io.posted.ready(), || {
            offered.next(false);
            turn.next(0);
        });
        io.posted.offer(
            offered.value(),
            PostedWrite::new(
                address.value(),
                long.value(),
                dws.value(),
                of_chosen(turn.value(), &|write| write.data),
            ),
        );
        let raised = all_pairs().fold(UInt::lit(0, vectors), |raised, pair| {
            let one = UInt::lit(1, vectors).shift_left(pair.vector.value());
            raised | mux(pair.announces, one, UInt::lit(0, vectors))
        });
        // A cycle late: what raises a vector is known at the end of a cycle.
        let announced = reg("announced", uint(vectors), 0);
        announced.next(raised | registers.alarm.as_uint().zext(vectors));
        msix.raise.set(announced);
        msix.sideband.set(sideband);

        // State and counters.
        let failed: Vec<UInt> = all_pairs().map(|pair| pair.failed.as_uint()).collect();
        registers.failed.set(join(&failed));
        let busy: Vec<UInt> = pairs.iter().map(|pair| pair.busy.as_uint()).collect();
        admin.busy_pairs.set(join(&busy));
        registers.counter_asked.set(admin.counter_asked);
        registers.counter_number.set(admin.counter_number);
        admin.counter.set(registers.counter);
        for (port, value) in admin.health.iter().zip(&registers.health) {
            port.set(value);
        }
        let idle = inline.idle.value()
            & fetcher.idle.value()
            & dispatch.idle.value()
            & completions.idle.value()
            & requester.idle.value()
            & admin.idle.value()
            & !any(&all_pairs().map(|pair| pair.busy.value()).collect::<Vec<_>>());
        registers.status.set(word_of(
            &[
                (device_status::READY, UInt::lit(1, 1)),
                (device_status::BUS_MASTER, sideband.bus_master.as_uint()),
                (device_status::MSIX_ENABLED, sideband.msix_enable.as_uint()),
                (device_status::IDLE, idle.as_uint()),
            ],
            32,
        ));
        let endpoint = io.endpoint.value();
        let errors = word_of(
            &[
                (device_errors::UNSUPPORTED, endpoint.unsupported.as_uint()),
                (device_errors::POISONED, endpoint.poisoned.as_uint()),
                (device_errors::UNEXPECTED, requester.unexpected.as_uint()),
                (device_errors::TIMEOUT, requester.timed_out.as_uint()),
                (device_errors::MALFORMED, endpoint.malformed.as_uint()),
                (device_errors::CORE_TIMEOUT, access.timed_out.as_uint()),
            ],
            32,
        );
        // Errors and counts are seen a cycle late: what happens is known at the end of a cycle.
        let happened = reg("happened", uint(32), 0);
        happened.next(errors);
        registers.errors.set(happened);
        let inline_taken = any(&inline.strobes.iter().map(|s| s.inline_taken).collect::<Vec<_>>());
        let ring_taken = any(&fetcher.strobes.iter().map(|s| s.accepted).collect::<Vec<_>>());
        let fires = |valid: Bool, ready: Bool| valid & ready;
        let counted = [
            endpoint.received,
            endpoint.sent,
            inline_taken,
            ring_taken,
            written.bits(0..queues).reduce_or() & !completions.dropped.value(),
            completions.dropped.value(),
            dispatch.hook_refused.value(),
            fires(msix.message.valid(), msix.message.ready()),
            fires(io.order.valid.value(), io.order.ready()),
            admin.finished.value(),
            endpoint.unsupported,
            endpoint.poisoned,
            requester.unexpected.value(),
            requester.timed_out.value(),
            endpoint.malformed,
            requester.refused.value(),
        ];
        let counts = reg("counts", uint(counted.len() as u32), 0);
        counts.next(join(&counted.map(|event| event.as_uint())));
        for (bit, port) in (0..).zip(&registers.events) {
            port.set(counts.bit(bit));
        }
        io.reset.set(registers.reset);
        let _ = (turns.index, orders.chosen);
    }
}
