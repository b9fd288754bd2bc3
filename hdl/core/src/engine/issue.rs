//! The issuer: one waiting operation for each thread, and the choice which one goes next.
use crate::bits::as_word;

use super::operation::{Operation, Unit};
use super::ports::thread_bits;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Units by number, with [`super::operation::Unit::Refuse`].
pub const UNITS: u32 = 6;

/// Holds operations and issues at most one a cycle: products first, else round robin among the
/// threads that can go.
///
/// A thread has at most one operation here: it gives its next command only after the answer to the
/// last one, which comes at the issue or later.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`Issuer`].
#[derive(Clone, Ports)]
pub struct IssuerIo {
    /// An operation comes
    pub valid: Input<Bool>,
    /// Its thread
    pub thread: Input<UInt>,
    /// The operation, without `base`
    pub operation: Input<Operation>,
    /// `base` of the operation that came in the cycle before
    pub base: Input<UInt>,
    /// Bit t: an earlier operation of thread t is not yet finished
    pub busy: Input<UInt>,
    /// Bit u: unit u can take an operation in the next cycle, if one may begin
    pub unit_ready: Input<UInt>,
    /// An operation may begin in the next cycle; without it, only refused ones are issued
    pub begins: Input<Bool>,
    /// An answer can be sent in the next cycle
    pub answer_free: Input<Bool>,
    /// An operation is chosen: it is issued in the next cycle
    pub issue: Output<Bool>,
    /// Its thread
    pub issue_thread: Output<UInt>,
    /// Its unit, one bit for each; known before the operation is
    pub issue_units: Output<UInt>,
    /// It is chosen, and answered when it is issued
    pub answers: Output<Bool>,
    /// The operation
    pub issue_operation: Output<Operation>,
    /// An operation waits and none is issued, for counting
    pub stalls: Output<Bool>,
}

/// The first of some conditions that is true, at or behind `start`, round the end: whether
/// there is one, and its index.
#[track_caller]
pub fn round_robin(requests: &[Bool], start: UInt) -> (Bool, UInt) {
    let width = start.width();
    let first = |requests: &[Bool]| {
        let choices: Vec<(Bool, UInt)> =
            requests.iter().enumerate().map(|(i, r)| (*r, UInt::lit(i as u64, width))).collect();
        priority_mux(&choices, UInt::lit(0, width))
    };
    let behind: Vec<Bool> =
        requests.iter().enumerate().map(|(i, r)| *r & start.le(i as u64)).collect();
    let any = as_word(requests).reduce_or();
    let any_behind = as_word(&behind).reduce_or();
    (any, mux(any_behind, first(&behind), first(requests)))
}

impl Component for Issuer {
    type Io = IssuerIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("issuer_t{}_n{}_l{}", s.threads, s.array, s.vector_lanes)
    }

    fn doc(&self) -> String {
        "Waiting operations, one a thread; products go first, the others round robin.".into()
    }

    fn io(&self) -> IssuerIo {
        let shape = &self.shape;
        let thread = uint(thread_bits(shape));
        IssuerIo {
            valid: input(boolean()),
            thread: input(thread),
            operation: input(Operation::shape(shape)),
            base: input(uint(16)),
            busy: input(uint(shape.threads)),
            unit_ready: input(uint(UNITS)),
            begins: input(boolean()),
            answer_free: input(boolean()),
            issue: output(boolean()),
            issue_thread: output(thread),
            issue_units: output(uint(UNITS)),
            answers: output(boolean()),
            issue_operation: output(Operation::shape(shape)),
            stalls: output(boolean()),
        }
    }

    fn build(&self, io: IssuerIo) {
        let shape = &self.shape;
        let slots = AsyncMem::new("slots", Operation::shape(shape), shape.threads.into());
        slots.write(io.valid, io.thread, io.operation.value());
        let came = reg("came", boolean(), false);
        came.next(io.valid);
        let came_thread = delayed("came_thread", io.thread.value());
        let bases = AsyncMem::new("bases", uint(16), shape.threads.into());
        bases.write(came, came_thread, io.base);

        // What the choice needs stands in registers of its own, the rest in the slots.
        let mut waiting = Vec::new();
        let mut can_go = Vec::new();
        let mut units = Vec::new();
        let mut early_ones = Vec::new();
        for thread in 0..shape.threads {
            scope(format!("thread{thread}"), || {
                let waits = reg("waits", boolean(), false);
                let unit = reg_uninit("unit", uint(UNITS)).doc("One bit for each unit");
                let early = reg_uninit("early", boolean());
                when(io.valid & io.thread.eq(u64::from(thread)), || {
                    waits.next(true);
                    let bits = (0..UNITS).map(|unit| io.operation.unit.eq(u64::from(unit)));
                    unit.next(as_word(&bits.collect::<Vec<_>>()));
                    early.next(io.operation.early);
                });
                let free = !io.busy.bit(thread) & (io.unit_ready & unit.value()).reduce_or();
                can_go.push((waits & free & (!early | io.answer_free)).named("can_go"));
                units.push(unit.value());
                early_ones.push(early.value());
                waiting.push(waits);
            });
        }
        let turn = reg("turn", uint(thread_bits(shape)), 0).doc("Thread that is asked first");
        // Products first, since the array is what all wait for in the end; but others wait for at most 15
        // of them.
        let can_go_to = |unit: Unit| -> Vec<Bool> {
            can_go.iter().zip(&units).map(|(go, units)| *go & units.bit(unit as u32)).collect()
        };
        let (some_product, product) = round_robin(&can_go_to(Unit::Product), turn.value());
        let (some, other) = round_robin(&can_go, turn.value());
        let passed = reg("passed", uint(4), 0).doc("Products issued before others");
        let prefers = (some_product & !passed.value().reduce_and()).named("prefers_product");
        // Whether an operation may begin is known last: a choice for both cases is there by then.
        let (some_refused, refused) = round_robin(&can_go_to(Unit::Refuse), turn.value());
        let begins = io.begins.value();
        let issue = mux(begins, some, some_refused);
        let chosen = mux(begins, mux(prefers, product, other), refused).named("chosen");
        let issues_product = begins & prefers;
        when(issues_product & product.ne(other), || passed.next(passed.wrapping_add(1)))
            .elsewhen(issue & !issues_product, || passed.next(0));
        for (thread, waits) in waiting.iter().enumerate() {
            when(issue & chosen.eq(thread as u64), || waits.next(false));
        }
        when(issue, || turn.next(chosen.wrapping_add(1)));
        io.issue.set(issue);
        io.issue_thread.set(chosen);
        io.issue_units.set(select(chosen, &units));
        io.answers.set(issue & select(chosen, &early_ones));
        let base = mux(came & came_thread.eq(chosen), io.base.value(), bases.read(chosen));
        io.issue_operation.set(Operation { base, ..slots.read(chosen) });
        let waiting: Vec<Bool> = waiting.iter().map(|w| w.value()).collect();
        io.stalls.set(as_word(&waiting).reduce_or() & !issue);
    }
}
