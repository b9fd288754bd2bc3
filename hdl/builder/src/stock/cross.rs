//! Crossing from one clock domain to another.

use super::stream::{Stream, StreamIn, StreamOut, stream_in, stream_out};
use crate::prelude::*;
use std::marker::PhantomData;

/// Two flip-flops in a row: brings a level from domain `A` to domain `B`, two edges of `B` later.
///
/// The level should come from a register and last longer than a period of `B`; pulses that are shorter may be lost.
#[derive(Debug, Clone, Copy)]
pub struct Sync2<A: Domain, B: Domain> {
    /// The two domains.
    pub domains: PhantomData<(A, B)>,
}

impl<A: Domain, B: Domain> Sync2<A, B> {
    /// A synchroniser from `A` to `B`.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { domains: PhantomData }
    }
}

/// Ports of a [`Sync2`].
#[derive(Clone, Ports)]
pub struct Sync2Io<A: Domain, B: Domain> {
    /// The level in its own domain
    pub level: Input<Bool<A>>,
    /// The level in the other domain
    pub synced: Output<Bool<B>>,
}

/// Passes `value` through two registers of domain `B`. Of several bits, at most one may change at a time.
fn two_flops<A: Domain, B: Domain>(name: &str, value: UInt<A>) -> UInt<B> {
    let keep = "ASYNC_REG = \"TRUE\"";
    let first = reg(format!("{name}_meta"), UInt::<B>::of(value.width()), 0).attribute(keep);
    let second = reg(format!("{name}_synced"), UInt::<B>::of(value.width()), 0).attribute(keep);
    first.next(value.cross_domain_unchecked::<B>());
    second.next(first);
    second.value()
}

impl<A: Domain, B: Domain> Component for Sync2<A, B> {
    type Io = Sync2Io<A, B>;

    fn name(&self) -> String {
        format!("sync2_{}_to_{}", A::NAME, B::NAME)
    }

    fn doc(&self) -> String {
        format!("Brings a level from clock domain {} to {}", A::NAME, B::NAME)
    }

    fn io(&self) -> Sync2Io<A, B> {
        Sync2Io { level: input(Bool::of()), synced: output(Bool::of()) }
    }

    fn build(&self, io: Sync2Io<A, B>) {
        io.synced.set(two_flops::<A, B>("level", io.level.as_uint()).as_bool());
    }
}

/// A queue from domain `A` to domain `B`; its pointers cross in Gray code. Both resets must be held together, for at
/// least three edges of the slower clock.
#[derive(Debug, Clone, Copy)]
pub struct AsyncFifo<A: Domain, B: Domain> {
    /// Bits of a word, at least 1.
    pub width: u32,
    /// Words that it holds: a power of two, at least 4.
    pub depth: u32,
    /// The two domains.
    pub domains: PhantomData<(A, B)>,
}

impl<A: Domain, B: Domain> AsyncFifo<A, B> {
    /// A queue of `depth` words of `width` bits.
    pub fn new(width: u32, depth: u32) -> Self {
        Self { width, depth, domains: PhantomData }
    }
}

/// Ports of an [`AsyncFifo`].
#[derive(Clone, Ports)]
pub struct AsyncFifoIo<A: Domain, B: Domain> {
    /// Words that come in
    pub push: StreamIn<UInt<A>, A>,
    /// Words that go out, in the same order
    pub pop: StreamOut<UInt<B>, B>,
}

/// Binary to Gray code: neighbours differ in one bit.
fn gray<D: Domain>(binary: UInt<D>) -> UInt<D> {
    binary ^ (binary >> 1).zext(binary.width())
}

impl<A: Domain, B: Domain> Component for AsyncFifo<A, B> {
    type Io = AsyncFifoIo<A, B>;

    fn name(&self) -> String {
        format!("async_fifo_w{}_d{}_{}_to_{}", self.width, self.depth, A::NAME, B::NAME)
    }

    fn doc(&self) -> String {
        format!(
            "Queue of {} words of {} bits from clock domain {} to {}",
            self.depth,
            self.width,
            A::NAME,
            B::NAME
        )
    }

    fn io(&self) -> AsyncFifoIo<A, B> {
        AsyncFifoIo { push: stream_in(UInt::of(self.width)), pop: stream_out(UInt::of(self.width)) }
    }

    fn build(&self, io: AsyncFifoIo<A, B>) {
        let rule = self.depth >= 4 && self.depth.is_power_of_two();
        if !require(
            rule,
            format!(
                "the depth of a dual-clock queue must be a power of two from 4 on, not {}",
                self.depth
            ),
        ) {
            return;
        }
        let address = bits_for(u64::from(self.depth));
        let pointer = address + 1;
        let words =
            AsyncMem::<UInt<A>, A>::new("words", UInt::of(self.width), u64::from(self.depth));

        let write = reg("write_pointer", UInt::<A>::of(pointer), 0);
        let write_gray = reg("write_gray", UInt::<A>::of(pointer), 0);
        let read = reg("read_pointer", UInt::<B>::of(pointer), 0);
        let read_gray = reg("read_gray", UInt::<B>::of(pointer), 0);
        let read_gray_seen = two_flops::<B, A>("read_gray", read_gray.value());
        let write_gray_seen = two_flops::<A, B>("write_gray", write_gray.value());

        // Full: the writer is one round ahead, which in Gray code is the two upper bits inverted.
        let upper = read_gray_seen.bits(pointer - 2..pointer);
        let full = write_gray.eq((!upper).concat(read_gray_seen.bits(0..pointer - 2)));
        io.push.ready.set(!full);
        words.write(io.push.fire(), write.bits(0..address), io.push.payload);
        when(io.push.fire(), || {
            let next = write.wrapping_add(1).named("write_pointer_next");
            write.next(next);
            write_gray.next(gray(next));
        });

        io.pop.valid.set(read_gray.ne(write_gray_seen));
        io.pop.payload.set(words.read_across(read.bits(0..address)));
        when(io.pop.fire(), || {
            let next = read.wrapping_add(1).named("read_pointer_next");
            read.next(next);
            read_gray.next(gray(next));
        });
    }
}
