//! Queues in one clock domain.

use super::stream::{Channel, Stream, StreamIn, StreamOut, stream_in, stream_out};
use crate::bundle::{self, Bundle};
use crate::prelude::*;
use std::marker::PhantomData;

/// A queue in distributed memory. A word can leave in the cycle after it came in.
#[derive(Debug, Clone, Copy)]
pub struct Fifo<D: Domain = Main> {
    /// Bits of a word, at least 1.
    pub width: u32,
    /// Words that it holds, at least 1.
    pub depth: u32,
    /// The clock domain.
    pub domain: PhantomData<D>,
}

/// A queue in block memory. A word can leave two cycles after it came in; it holds one word more than its depth.
#[derive(Debug, Clone, Copy)]
pub struct BlockFifo<D: Domain = Main> {
    /// Bits of a word, at least 1.
    pub width: u32,
    /// Words in the memory, at least 1.
    pub depth: u32,
    /// The clock domain.
    pub domain: PhantomData<D>,
}

impl<D: Domain> Fifo<D> {
    /// A queue of `depth` words of `width` bits.
    pub fn new(width: u32, depth: u32) -> Self {
        Self { width, depth, domain: PhantomData }
    }
}

impl<D: Domain> BlockFifo<D> {
    /// A queue of `depth` words of `width` bits, and one at the output.
    pub fn new(width: u32, depth: u32) -> Self {
        Self { width, depth, domain: PhantomData }
    }
}

/// Ports of a queue.
#[derive(Clone, Ports)]
pub struct FifoIo<D: Domain = Main> {
    /// Words that come in
    pub push: StreamIn<UInt<D>, D>,
    /// Words that go out, in the same order
    pub pop: StreamOut<UInt<D>, D>,
    /// Words that are in the memory
    pub level: Output<UInt<D>>,
}

impl<D: Domain> FifoIo<D> {
    fn new(width: u32, depth: u32) -> Self {
        let level = UInt::of(bits_for(u64::from(depth) + 1));
        Self {
            push: stream_in(UInt::of(width)),
            pop: stream_out(UInt::of(width)),
            level: output(level),
        }
    }
}

/// Pointers and level that both kinds of queue share.
struct Pointers<D: Domain> {
    write: Reg<UInt<D>>,
    read: Reg<UInt<D>>,
    level: Reg<UInt<D>>,
}

impl<D: Domain> Pointers<D> {
    fn new(depth: u32) -> Self {
        let pointer = UInt::of(bits_for(u64::from(depth)).max(1));
        Self {
            write: reg("write_pointer", pointer, 0),
            read: reg("read_pointer", pointer, 0),
            level: reg("level_reg", UInt::of(bits_for(u64::from(depth) + 1)), 0),
        }
    }

    fn advance(pointer: &Reg<UInt<D>>, depth: u32) {
        let last = u64::from(depth) - 1;
        pointer.next(mux(pointer.eq(last), 0, pointer.wrapping_add(1)));
    }

    /// Moves the pointers for a word that is written and one that is read.
    fn update(&self, depth: u32, written: Bool<D>, read: Bool<D>) {
        when(written, || Self::advance(&self.write, depth));
        when(read, || Self::advance(&self.read, depth));
        when(written & !read, || self.level.next(self.level.wrapping_add(1)))
            .elsewhen(read & !written, || self.level.next(self.level.wrapping_sub(1)));
    }
}

impl<D: Domain> Component for Fifo<D> {
    type Io = FifoIo<D>;

    fn name(&self) -> String {
        format!("fifo_w{}_d{}{}", self.width, self.depth, D::suffix())
    }

    fn doc(&self) -> String {
        format!("Queue of {} words of {} bits in distributed memory", self.depth, self.width)
    }

    fn io(&self) -> FifoIo<D> {
        FifoIo::new(self.width, self.depth)
    }

    fn build(&self, io: FifoIo<D>) {
        if !require(self.depth > 0, "a queue needs a depth of at least 1") {
            return;
        }
        let words =
            AsyncMem::<UInt<D>, D>::new("words", UInt::of(self.width), u64::from(self.depth));
        let pointers = Pointers::new(self.depth);
        io.push.ready.set(pointers.level.ne(u64::from(self.depth)));
        io.pop.valid.set(!pointers.level.is_zero());
        io.pop.payload.set(words.read(pointers.read));
        io.level.set(pointers.level);
        words.write(io.push.fire(), pointers.write, io.push.payload);
        pointers.update(self.depth, io.push.fire(), io.pop.fire());
    }
}

impl<D: Domain> Component for BlockFifo<D> {
    type Io = FifoIo<D>;

    fn name(&self) -> String {
        format!("block_fifo_w{}_d{}{}", self.width, self.depth, D::suffix())
    }

    fn doc(&self) -> String {
        format!(
            "Queue of {} words of {} bits in block memory, with a word more at the output",
            self.depth, self.width
        )
    }

    fn io(&self) -> FifoIo<D> {
        FifoIo::new(self.width, self.depth)
    }

    fn build(&self, io: FifoIo<D>) {
        if !require(self.depth > 0, "a queue needs a depth of at least 1") {
            return;
        }
        let words =
            SyncMem::<UInt<D>, D>::new("words", UInt::of(self.width), u64::from(self.depth));
        let pointers = Pointers::new(self.depth);
        let out_valid =
            reg("out_valid", Bool::<D>::of(), false).doc("The memory's read data holds a word");
        let fetch = (!pointers.level.is_zero() & (!out_valid | io.pop.ready)).named("fetch");
        io.push.ready.set(pointers.level.ne(u64::from(self.depth)));
        io.pop.valid.set(out_valid);
        io.pop.payload.set(words.read(fetch, pointers.read));
        io.level.set(pointers.level);
        words.write(io.push.fire(), pointers.write, io.push.payload);
        when(fetch, || out_valid.next(true)).elsewhen(io.pop.ready, || out_valid.next(false));
        pointers.update(self.depth, io.push.fire(), fetch);
    }
}

/// The end of a queue that words leave from.
#[derive(Debug, Clone)]
pub struct Queue<T: Bundle, D: Domain = Main> {
    /// Words that go out.
    pub pop: Channel<T, D>,
    /// Words that are in the memory.
    pub level: UInt<D>,
}

/// Places a [`Fifo`] behind a stream.
#[track_caller]
pub fn fifo<T: Bundle, D: Domain>(
    name: &str,
    source: &impl Stream<T, D>,
    depth: u32,
) -> Queue<T, D> {
    let width = bundle::width(&source.payload());
    attach(name, source, instance(name, Fifo::<D>::new(width, depth)))
}

/// Places a [`BlockFifo`] behind a stream.
#[track_caller]
pub fn block_fifo<T: Bundle, D: Domain>(
    name: &str,
    source: &impl Stream<T, D>,
    depth: u32,
) -> Queue<T, D> {
    let width = bundle::width(&source.payload());
    attach(name, source, instance(name, BlockFifo::<D>::new(width, depth)))
}

#[track_caller]
fn attach<T: Bundle, D: Domain>(
    name: &str,
    source: &impl Stream<T, D>,
    io: FifoIo<D>,
) -> Queue<T, D> {
    io.push.offer(source.valid(), pack(source.payload()));
    source.accept(io.push.ready.value());
    let pop = Channel::from_packed(&format!("{name}_out"), &io.pop, &source.payload());
    Queue { pop, level: io.level.value() }
}
