//! A buffer that cuts all paths of a stream: `valid`, payload and `ready` come from registers.

use super::stream::{Channel, Stream, StreamIn, StreamOut, stream_in, stream_out};
use crate::bundle::{self, Bundle};
use crate::prelude::*;
use std::marker::PhantomData;

/// Two registers for words: full throughput, one cycle of latency, no combinational path from side to side.
#[derive(Debug, Clone, Copy)]
pub struct SkidBuffer<D: Domain = Main> {
    /// Bits of a word, at least 1.
    pub width: u32,
    /// The clock domain.
    pub domain: PhantomData<D>,
}

impl<D: Domain> SkidBuffer<D> {
    /// A buffer of words of `width` bits.
    pub fn new(width: u32) -> Self {
        Self { width, domain: PhantomData }
    }
}

/// Ports of a [`SkidBuffer`].
#[derive(Clone, Ports)]
pub struct SkidBufferIo<D: Domain = Main> {
    /// Words that come in
    pub push: StreamIn<UInt<D>, D>,
    /// Words that go out
    pub pop: StreamOut<UInt<D>, D>,
}

impl<D: Domain> Component for SkidBuffer<D> {
    type Io = SkidBufferIo<D>;

    fn name(&self) -> String {
        format!("skid_buffer_w{}{}", self.width, D::suffix())
    }

    fn doc(&self) -> String {
        "Stream register: a word at the output, and one that came in while the output was stopped"
            .to_owned()
    }

    fn io(&self) -> SkidBufferIo<D> {
        SkidBufferIo {
            push: stream_in(UInt::of(self.width)),
            pop: stream_out(UInt::of(self.width)),
        }
    }

    fn build(&self, io: SkidBufferIo<D>) {
        let out_valid = reg("out_valid", Bool::<D>::of(), false);
        let out = reg_uninit("out", UInt::<D>::of(self.width));
        let held_valid = reg("held_valid", Bool::<D>::of(), false);
        let held = reg_uninit("held", UInt::<D>::of(self.width));
        let moves = (io.pop.ready | !out_valid).named("moves");
        io.push.ready.set(!held_valid);
        io.pop.valid.set(out_valid);
        io.pop.payload.set(out);
        when(moves, || {
            out.next(mux(held_valid, held, io.push.payload));
            out_valid.next(held_valid | io.push.valid);
            held_valid.next(false);
        })
        .elsewhen(io.push.fire(), || {
            held.next(io.push.payload);
            held_valid.next(true);
        });
    }
}

/// Places a [`SkidBuffer`] behind a stream.
#[track_caller]
pub fn skid<T: Bundle, D: Domain>(name: &str, source: &impl Stream<T, D>) -> Channel<T, D> {
    let shape = source.payload();
    let io = instance(name, SkidBuffer::<D>::new(bundle::width(&shape)));
    io.push.offer(source.valid(), pack(shape.clone()));
    source.accept(io.push.ready.value());
    Channel::from_packed(&format!("{name}_out"), &io.pop, &shape)
}
