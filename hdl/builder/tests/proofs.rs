//! Proofs of the stock components: queues keep order and lose nothing, arbiters are exclusive and fair, streams keep
//! their contract. What fails without the property that it names is tried too.
#![allow(missing_docs)]

mod support;

use rtl_builder::formal::{self, Goal, Outcome, Proof, Sby};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;
use rtl_builder::stock::{BlockFifo, Fifo, RoundRobinArbiter, SkidBuffer, StreamMerge};
use std::time::Duration;
use support::{simulate, tools};

/// Far above what a proof takes on a machine that does other work too.
const LIMIT: Duration = Duration::from_secs(900);

/// The outcome of a proof; none where the tools are missing.
fn outcome<C: Component>(component: C, goal: Goal) -> Option<Outcome> {
    let design = elaborate(component).expect("the harness is right");
    let proof = Proof::new(&design, goal).expect("there is something to prove");
    let sby = match Sby::locate(&tools::python_tools()) {
        Ok(sby) => sby,
        Err(missing) => {
            tools::skip(&format!("proof of {}", design.top_name()), &missing);
            return None;
        }
    };
    let folder = simulate::Folder::new(&format!("proof_{}_{goal:?}", design.top_name()));
    Some(sby.run(&proof, folder.path(), LIMIT).expect("the tools run"))
}

/// Every assertion holds always, and every cover is reached, so that no assumption makes the proof empty.
fn prove<C: Component + Copy>(component: C) {
    let Some(holds) = outcome(component, Goal::Always) else { return };
    assert_eq!(holds, Outcome::Holds);
    assert_eq!(outcome(component, Goal::Reachable { cycles: 16 }), Some(Outcome::Holds));
}

/// Valid stays, with the same payload, until the word has passed.
fn assert_contract(name: &str, stream: &impl Stream<UInt, Main>) {
    let waits = stream.valid() & !stream.ready();
    let waited = delayed(format!("{name}_waited"), waits & !Bool::reset());
    let payload = delayed(format!("{name}_payload_before"), stream.payload());
    formal::assert(
        &format!("{name}_keeps_its_word"),
        !waited | (stream.valid() & stream.payload().eq(payload)),
    );
}

/// The same as a promise of the environment.
fn assume_contract(name: &str, stream: &impl Stream<UInt, Main>) {
    let waits = stream.valid() & !stream.ready();
    let waited = delayed(format!("{name}_waited"), waits & !Bool::reset());
    let payload = delayed(format!("{name}_payload_before"), stream.payload());
    formal::assume(
        &format!("{name}_is_kept"),
        !waited | (stream.valid() & stream.payload().eq(payload)),
    );
}

/// What is between a stream in and a stream out.
#[derive(Clone, Copy, Debug)]
enum Store {
    Fifo { depth: u32 },
    BlockFifo { depth: u32 },
    Skid,
}

const WIDTH: u32 = 3;

impl Store {
    /// Words that it can hold.
    fn capacity(self) -> u32 {
        match self {
            Self::Fifo { depth } => depth,
            Self::BlockFifo { depth } => depth + 1,
            Self::Skid => 2,
        }
    }

    /// Cycles after which a word that came into an empty store is offered.
    fn latency(self) -> u64 {
        match self {
            Self::BlockFifo { .. } => 2,
            _ => 1,
        }
    }
}

/// Follows one word, chosen freely, from end to end.
#[derive(Clone, Copy, Debug)]
struct InOrder {
    store: Store,
}

#[derive(Clone, Ports)]
struct InOrderIo {
    push: StreamIn<UInt>,
    pop: StreamOut<UInt>,
    /// The word that is pushed now is the one to follow
    follow: Input<Bool>,
}

impl Component for InOrder {
    type Io = InOrderIo;

    fn name(&self) -> String {
        match self.store {
            Store::Fifo { depth } => format!("fifo_order_d{depth}"),
            Store::BlockFifo { depth } => format!("block_fifo_order_d{depth}"),
            Store::Skid => "skid_order".into(),
        }
    }

    fn io(&self) -> InOrderIo {
        InOrderIo {
            push: stream_in(uint(WIDTH)),
            pop: stream_out(uint(WIDTH)),
            follow: input(boolean()),
        }
    }

    fn build(&self, io: InOrderIo) {
        match self.store {
            Store::Fifo { depth } => {
                let dut = instance("dut", Fifo::<Main>::new(WIDTH, depth));
                connect(&io.push, &dut.push);
                connect(&dut.pop, &io.pop);
                let _ = dut.level;
            }
            Store::BlockFifo { depth } => {
                let dut = instance("dut", BlockFifo::<Main>::new(WIDTH, depth));
                connect(&io.push, &dut.push);
                connect(&dut.pop, &io.pop);
                let _ = dut.level;
            }
            Store::Skid => {
                let dut = instance("dut", SkidBuffer::<Main>::new(WIDTH));
                connect(&io.push, &dut.push);
                connect(&dut.pop, &io.pop);
            }
        }
        let (pushes, pops) = (io.push.fire(), io.pop.fire());
        let capacity = self.store.capacity();
        let bits = bits_for(u64::from(capacity) + 2);
        let inside = reg("inside", uint(bits), 0);
        when(pushes & !pops, || inside.next(inside.wrapping_add(1)))
            .elsewhen(pops & !pushes, || inside.next(inside.wrapping_sub(1)));

        let following = reg("following", boolean(), false);
        let followed = reg("followed", boolean(), false);
        let word = reg("word", uint(WIDTH), 0);
        let ahead = reg("ahead", uint(bits), 0);
        let begins = pushes & io.follow & !following & !followed;
        let leaves = following & pops & ahead.is_zero();
        when(begins, || {
            following.next(true);
            word.next(io.push.payload);
            ahead.next(mux(pops, inside.wrapping_sub(1), inside));
        })
        .elsewhen(leaves, || {
            following.next(false);
            followed.next(true);
        })
        .elsewhen(following & pops, || ahead.next(ahead.wrapping_sub(1)));

        let late =
            reg("late", uint(3), 0).doc("Cycles in which there is a word and none is offered");
        late.next(mux(inside.is_zero() | io.pop.valid(), 0, late.wrapping_add(1)));

        formal::assert("nothing_is_invented", !inside.is_zero() | !io.pop.valid());
        formal::assert("nothing_is_lost", inside.le(u64::from(capacity)));
        formal::assert(
            "words_leave_in_order",
            !(following & ahead.is_zero() & io.pop.valid()) | io.pop.payload().eq(word),
        );
        formal::assert("a_word_is_offered_in_time", late.lt(self.store.latency()));
        assert_contract("pop", &io.pop);
        formal::cover("it_fills_up", inside.eq(u64::from(capacity)) & !io.push.ready());
        formal::cover("the_word_leaves_a_full_store", leaves & inside.eq(u64::from(capacity)));
    }
}

#[test]
fn a_fifo_keeps_order_and_loses_nothing() {
    prove(InOrder { store: Store::Fifo { depth: 4 } });
    // A depth that is no power of two wraps its pointers by comparison.
    prove(InOrder { store: Store::Fifo { depth: 3 } });
}

#[test]
fn a_block_fifo_keeps_order_and_loses_nothing() {
    prove(InOrder { store: Store::BlockFifo { depth: 3 } });
}

#[test]
fn a_skid_buffer_keeps_order_and_loses_nothing() {
    prove(InOrder { store: Store::Skid });
}

/// How an arbiter under proof chooses.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Choice {
    RoundRobin,
    /// Deliberately unfair: the lowest requester always wins.
    Fixed,
}

/// Watches one requester, chosen freely.
#[derive(Clone, Copy, Debug)]
struct Fair {
    requesters: u32,
    choice: Choice,
}

#[derive(Clone, Ports)]
struct FairIo {
    request: Input<UInt>,
    accept: Input<Bool>,
    /// Number of the requester that is watched
    constant_who: Input<UInt>,
    grant: Output<UInt>,
}

impl Component for Fair {
    type Io = FairIo;

    fn name(&self) -> String {
        match self.choice {
            Choice::RoundRobin => format!("round_robin_fair_n{}", self.requesters),
            Choice::Fixed => format!("fixed_fair_n{}", self.requesters),
        }
    }

    fn io(&self) -> FairIo {
        FairIo {
            request: input(uint(self.requesters)),
            accept: input(boolean()),
            constant_who: input(uint(bits_for(self.requesters.into()))),
            grant: output(uint(self.requesters)),
        }
    }

    fn build(&self, io: FairIo) {
        let n = self.requesters;
        let (valid, grant) = match self.choice {
            Choice::RoundRobin => {
                let dut = instance("dut", RoundRobinArbiter::<Main>::new(n));
                dut.request.set(io.request);
                dut.accept.set(io.accept);
                let named: Vec<UInt> = (0..n).map(|i| UInt::lit(1 << i, n)).collect();
                formal::assert(
                    "index_names_the_granted",
                    !dut.valid.value() | dut.grant.eq(select(dut.index.value(), &named)),
                );
                (dut.valid.value(), dut.grant.value())
            }
            Choice::Fixed => {
                let lowest = io.request & UInt::lit(0, n).wrapping_sub(io.request);
                (!io.request.is_zero(), lowest)
            }
        };
        io.grant.set(grant);
        let who = io.constant_who.value();
        let own = |bits: UInt| select(who, &bits.to_bools());
        let served = own(grant);
        let others = reg("others", uint(bits_for(u64::from(n) + 1)), 0)
            .doc("Grants that others got while the watched one asked");
        when(!own(io.request.value()) | (served & io.accept), || others.next(0))
            .elsewhen(valid & io.accept, || others.next(others.wrapping_add(1)));

        formal::assume("who_exists", who.zext(32).lt(u64::from(n)));
        formal::assert("one_at_most", (grant & grant.wrapping_sub(1)).is_zero());
        formal::assert("only_who_asks", (grant & !io.request).is_zero());
        formal::assert("somebody_if_any_asks", valid.eq(!io.request.is_zero()));
        formal::assert("valid_means_granted", valid.eq(!grant.is_zero()));
        formal::assert("nobody_waits_for_more_than_the_others", others.lt(u64::from(n)));
        formal::cover("the_last_of_all", others.eq(u64::from(n) - 1) & served);
    }
}

#[test]
fn the_arbiter_is_exclusive_and_fair() {
    for requesters in [2, 3, 5] {
        prove(Fair { requesters, choice: Choice::RoundRobin });
    }
}

#[test]
fn an_arbiter_that_is_not_fair_is_found() {
    let unfair = Fair { requesters: 3, choice: Choice::Fixed };
    match outcome(unfair, Goal::Always) {
        None => {}
        Some(Outcome::Fails { report }) => {
            assert!(report.contains("nobody_waits_for_more_than_the_others"), "{report}");
        }
        Some(other) => panic!("{other:?}"),
    }
}

/// A merge whose word, as it leaves, is the one that its source offers.
#[derive(Clone, Copy, Debug)]
struct Merged {
    sources: u32,
}

#[derive(Clone, Ports)]
struct MergedIo {
    sources: Vec<StreamIn<UInt>>,
    sink: StreamOut<UInt>,
    /// Number of the source that is watched
    constant_who: Input<UInt>,
}

impl Component for Merged {
    type Io = MergedIo;

    fn name(&self) -> String {
        format!("merge_loses_nothing_n{}", self.sources)
    }

    fn io(&self) -> MergedIo {
        MergedIo {
            sources: (0..self.sources).map(|_| stream_in(uint(WIDTH))).collect(),
            sink: stream_out(uint(WIDTH)),
            constant_who: input(uint(bits_for(self.sources.into()))),
        }
    }

    fn build(&self, io: MergedIo) {
        let n = u64::from(self.sources);
        let dut = instance("dut", StreamMerge::<Main>::new(WIDTH, self.sources));
        for (i, (source, inner)) in io.sources.iter().zip(&dut.sources).enumerate() {
            connect(source, inner);
            assume_contract(&format!("source{i}"), source);
        }
        connect(&dut.sink, &io.sink);
        let fires: Vec<Bool> = io.sources.iter().map(|source| source.fire()).collect();
        let payloads: Vec<UInt> = io.sources.iter().map(|source| source.payload()).collect();
        let one = |low: Bool, high: Bool| !(low & high);
        for (i, &first) in fires.iter().enumerate() {
            for (j, &second) in fires.iter().enumerate().skip(i + 1) {
                formal::assert(&format!("only_one_of_{i}_and_{j}"), one(first, second));
            }
        }
        let chosen = dut.chosen.value();
        let taken = io.sink.fire();
        formal::assert("a_word_leaves_when_its_source_gives_it", taken.eq(select(chosen, &fires)));
        formal::assert("as_it_came", !taken | io.sink.payload().eq(select(chosen, &payloads)));
        assert_contract("sink", &io.sink);

        let who = io.constant_who.value();
        formal::assume("who_exists", who.zext(32).lt(n));
        let valids: Vec<Bool> = io.sources.iter().map(|source| source.valid()).collect();
        let others = reg("others", uint(bits_for(n + 2)), 0)
            .doc("Words of others that left while the watched source offered one");
        when(!select(who, &valids) | select(who, &fires), || others.next(0))
            .elsewhen(taken, || others.next(others.wrapping_add(1)));
        formal::assert("no_source_waits_for_ever", others.le(n));
        formal::cover("a_word_leaves_after_waiting", others.eq(n - 1) & select(who, &fires));
    }
}

#[test]
fn a_merge_loses_nothing_and_is_fair() {
    prove(Merged { sources: 3 });
}

#[test]
fn what_cannot_be_proven_is_refused() {
    let plain = elaborate(Fifo::<Main>::new(2, 2)).unwrap();
    let error = Proof::new(&plain, Goal::Always).unwrap_err().to_string();
    assert!(error.contains("fifo_w2_d2") && error.contains("assert"), "{error}");
}
