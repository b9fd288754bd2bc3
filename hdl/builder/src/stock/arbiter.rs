//! Fair choice among requesters.

use super::lowest_set;
use super::stream::{StreamIn, StreamOut, stream_in, stream_out};
use crate::prelude::*;
use std::marker::PhantomData;

/// Grants one of several requests in each cycle; who was served last has the lowest priority next.
#[derive(Debug, Clone, Copy)]
pub struct RoundRobinArbiter<D: Domain = Main> {
    /// Requesters, at least 1.
    pub requesters: u32,
    /// The clock domain.
    pub domain: PhantomData<D>,
}

impl<D: Domain> RoundRobinArbiter<D> {
    /// An arbiter of so many requesters.
    pub fn new(requesters: u32) -> Self {
        Self { requesters, domain: PhantomData }
    }
}

/// Ports of a [`RoundRobinArbiter`].
#[derive(Clone, Ports)]
pub struct RoundRobinArbiterIo<D: Domain = Main> {
    /// A bit for each requester
    pub request: Input<UInt<D>>,
    /// The grant of this cycle is used: priority moves on
    pub accept: Input<Bool<D>>,
    /// Some request is granted
    pub valid: Output<Bool<D>>,
    /// The granted requester's number
    pub index: Output<UInt<D>>,
    /// The granted requester's bit
    pub grant: Output<UInt<D>>,
}

impl<D: Domain> Component for RoundRobinArbiter<D> {
    type Io = RoundRobinArbiterIo<D>;

    fn name(&self) -> String {
        format!("round_robin_arbiter_n{}{}", self.requesters, D::suffix())
    }

    fn doc(&self) -> String {
        format!("Round-robin arbiter of {} requesters", self.requesters)
    }

    fn io(&self) -> RoundRobinArbiterIo<D> {
        let requesters = UInt::of(self.requesters);
        RoundRobinArbiterIo {
            request: input(requesters),
            accept: input(Bool::of()),
            valid: output(Bool::of()),
            index: output(UInt::of(bits_for(u64::from(self.requesters)).max(1))),
            grant: output(requesters),
        }
    }

    fn build(&self, io: RoundRobinArbiterIo<D>) {
        let n = self.requesters;
        if !require(n > 0, "an arbiter needs at least 1 requester") {
            return;
        }
        let after_last =
            reg("after_last", UInt::<D>::of(n), 0).doc("Requesters behind the one served last");
        let preferred = (io.request & after_last).named("preferred");
        let candidates = mux(preferred.is_zero(), io.request, preferred).named("candidates");
        let (any, index) = lowest_set(candidates);
        // Without carries: for few requesters a chain of them would cost more than it adds.
        let candidate = candidates.to_bools();
        let any_before: Vec<Bool<D>> = (0..candidate.len())
            .map(|i| candidate[..i].iter().fold(Bool::lit(false), |any, &one| any | one))
            .collect();
        let word = |bits: Vec<UInt<D>>| cat(&bits.into_iter().rev().collect::<Vec<_>>());
        let first = candidate.iter().zip(&any_before).map(|(&own, &before)| own & !before);
        let grant = word(first.map(|bit| bit.as_uint()).collect()).named("lowest_candidate");
        io.valid.set(any);
        io.index.set(index);
        io.grant.set(grant);
        when(io.accept & any, || {
            after_last.next(word(any_before.iter().map(|bit| bit.as_uint()).collect()));
        });
    }
}

/// Merges several streams into one, fairly. Once a word is offered the choice stays until it has passed.
#[derive(Debug, Clone, Copy)]
pub struct StreamMerge<D: Domain = Main> {
    /// Bits of a word, at least 1.
    pub width: u32,
    /// Streams, at least 1.
    pub sources: u32,
    /// The clock domain.
    pub domain: PhantomData<D>,
}

impl<D: Domain> StreamMerge<D> {
    /// A merge of so many streams of words of `width` bits.
    pub fn new(width: u32, sources: u32) -> Self {
        Self { width, sources, domain: PhantomData }
    }
}

/// Ports of a [`StreamMerge`].
#[derive(Clone, Ports)]
pub struct StreamMergeIo<D: Domain = Main> {
    /// Streams that come in
    pub sources: Vec<StreamIn<UInt<D>, D>>,
    /// The stream that goes out
    pub sink: StreamOut<UInt<D>, D>,
    /// Which stream the word offered is from
    pub chosen: Output<UInt<D>>,
}

impl<D: Domain> Component for StreamMerge<D> {
    type Io = StreamMergeIo<D>;

    fn name(&self) -> String {
        format!("stream_merge_n{}_w{}{}", self.sources, self.width, D::suffix())
    }

    fn doc(&self) -> String {
        format!("Merges {} streams, round robin", self.sources)
    }

    fn io(&self) -> StreamMergeIo<D> {
        StreamMergeIo {
            sources: (0..self.sources).map(|_| stream_in(UInt::of(self.width))).collect(),
            sink: stream_out(UInt::of(self.width)),
            chosen: output(UInt::of(bits_for(u64::from(self.sources)).max(1))),
        }
    }

    fn build(&self, io: StreamMergeIo<D>) {
        let n = self.sources;
        if !require(n > 0, "a merge needs at least 1 stream") {
            return;
        }
        let arbiter = instance("arbiter", RoundRobinArbiter::<D>::new(n));
        let valids: Vec<UInt<D>> =
            io.sources.iter().rev().map(|source| source.valid.as_uint()).collect();
        let locked =
            reg("locked", Bool::<D>::of(), false).doc("A word was offered and not yet taken");
        let locked_index = reg("locked_index", arbiter.index.value(), 0);
        let requests = cat(&valids).named("requests");
        arbiter.request.set(requests);
        let chosen = mux(locked, locked_index, arbiter.index).named("chosen_index");
        let payloads: Vec<UInt<D>> =
            io.sources.iter().map(|source| source.payload.value()).collect();
        io.sink.valid.set(locked | arbiter.valid);
        io.sink.payload.set(select(chosen, &payloads));
        io.chosen.set(chosen);
        for (i, source) in io.sources.iter().enumerate() {
            source.ready.set(io.sink.ready & (locked | arbiter.valid) & chosen.eq(i));
        }
        // Priority moves on when the word is chosen, which is in the cycle in which it is offered first.
        arbiter.accept.set(!locked);
        locked.next(io.sink.valid & !io.sink.ready);
        locked_index.next(chosen);
        let _ = arbiter.grant;
    }
}
