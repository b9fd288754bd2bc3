//! A counter.

use crate::prelude::*;
use std::marker::PhantomData;

/// Counts 0, 1, … `limit - 1`, 0, … while enabled.
#[derive(Debug, Clone, Copy)]
pub struct Counter<D: Domain = Main> {
    /// Number of values, at least 1.
    pub limit: u64,
    /// The clock domain.
    pub domain: PhantomData<D>,
}

impl<D: Domain> Counter<D> {
    /// A counter of `limit` values.
    pub fn new(limit: u64) -> Self {
        Self { limit, domain: PhantomData }
    }
}

/// Ports of a [`Counter`].
#[derive(Clone, Ports)]
pub struct CounterIo<D: Domain = Main> {
    /// Back to 0; stronger than `enable`
    pub clear: Input<Bool<D>>,
    /// Count in this cycle
    pub enable: Input<Bool<D>>,
    /// The number of enabled cycles, modulo the limit
    pub value: Output<UInt<D>>,
    /// This cycle counts from the last value to 0
    pub wraps: Output<Bool<D>>,
}

impl<D: Domain> Component for Counter<D> {
    type Io = CounterIo<D>;

    fn name(&self) -> String {
        format!("counter_{}{}", self.limit, D::suffix())
    }

    fn doc(&self) -> String {
        format!("Counter modulo {}", self.limit)
    }

    fn io(&self) -> CounterIo<D> {
        CounterIo {
            clear: input(Bool::of()),
            enable: input(Bool::of()),
            value: output(UInt::of(bits_for(self.limit).max(1))),
            wraps: output(Bool::of()),
        }
    }

    fn build(&self, io: CounterIo<D>) {
        if !require(self.limit > 0, "a counter needs a limit of at least 1") {
            return;
        }
        let count = reg("count", io.value.value(), 0);
        let last = count.eq(self.limit - 1).named("last");
        when(io.clear, || count.next(0))
            .elsewhen(io.enable, || count.next(mux(last, 0, count.wrapping_add(1))));
        io.value.set(count);
        io.wraps.set(io.enable & last & !io.clear);
    }
}
