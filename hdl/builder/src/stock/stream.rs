//! Valid/ready streams.
//!
//! The contract, which every component with a stream port keeps and may rely on:
//!
//! 1. A word passes in each cycle in which `valid` and `ready` are both true.
//! 2. Once `valid` is true it stays true, with the same payload, until the word has passed.
//! 3. `ready` may depend on `valid` in the same cycle; `valid` may not depend on `ready` in the same cycle.
//! 4. While `valid` is false the payload means nothing.
//! 5. During reset `valid` is false.

use crate::bundle::{self, Bundle};
use crate::domain::{Domain, Main};
use crate::ports::{Input, Output, Ports, input, output};
use crate::signal::{Bool, UInt, mux};
use crate::state::{Wire, wire};

/// A stream into the module: `valid` and the payload in, `ready` out.
#[derive(Clone, Copy, Debug, Ports)]
pub struct StreamIn<T: Bundle, D: Domain = Main> {
    /// Payload is there
    pub valid: Input<Bool<D>>,
    /// Payload is taken in this cycle if it is valid
    pub ready: Output<Bool<D>>,
    /// The word
    pub payload: Input<T>,
}

/// A stream out of the module: `valid` and the payload out, `ready` in.
#[derive(Clone, Copy, Debug, Ports)]
pub struct StreamOut<T: Bundle, D: Domain = Main> {
    /// Payload is there
    pub valid: Output<Bool<D>>,
    /// Payload is taken in this cycle if it is valid
    pub ready: Input<Bool<D>>,
    /// The word
    pub payload: Output<T>,
}

/// Declares a stream port into the module.
pub fn stream_in<T: Bundle, D: Domain>(payload: T) -> StreamIn<T, D> {
    StreamIn { valid: input(Bool::of()), ready: output(Bool::of()), payload: input(payload) }
}

/// Declares a stream port out of the module.
pub fn stream_out<T: Bundle, D: Domain>(payload: T) -> StreamOut<T, D> {
    StreamOut { valid: output(Bool::of()), ready: input(Bool::of()), payload: output(payload) }
}

/// Either kind of stream port. Which of its signals can be driven depends on the side: a port into this module and a
/// port out of an instance are sources; a port out of this module and a port into an instance are sinks.
pub trait Stream<T: Bundle, D: Domain> {
    /// The word is there.
    fn valid(&self) -> Bool<D>;
    /// The word would be taken.
    fn ready(&self) -> Bool<D>;
    /// The word.
    fn payload(&self) -> T;
    /// Drives `valid` and the payload of a sink.
    #[track_caller]
    fn offer(&self, valid: Bool<D>, payload: T);
    /// Drives `ready` of a source.
    #[track_caller]
    fn accept(&self, ready: Bool<D>);
    /// A word passes in this cycle.
    #[track_caller]
    fn fire(&self) -> Bool<D> {
        self.valid() & self.ready()
    }
}

macro_rules! stream {
    ($name:ident) => {
        impl<T: Bundle, D: Domain> Stream<T, D> for $name<T, D> {
            fn valid(&self) -> Bool<D> {
                self.valid.value()
            }
            fn ready(&self) -> Bool<D> {
                self.ready.value()
            }
            fn payload(&self) -> T {
                self.payload.value()
            }
            #[track_caller]
            fn offer(&self, valid: Bool<D>, payload: T) {
                self.valid.set(valid);
                self.payload.set(payload);
            }
            #[track_caller]
            fn accept(&self, ready: Bool<D>) {
                self.ready.set(ready);
            }
        }
    };
}

stream!(StreamIn);
stream!(StreamOut);

/// Joins a source to a sink.
#[track_caller]
pub fn connect<T: Bundle, D: Domain>(source: &impl Stream<T, D>, sink: &impl Stream<T, D>) {
    sink.offer(source.valid(), source.payload());
    source.accept(sink.ready());
}

/// A stream inside a module: what comes from an instance or from logic, and is read as a source.
#[derive(Debug, Clone, Copy)]
pub struct Channel<T: Bundle, D: Domain = Main> {
    valid: Bool<D>,
    ready: Wire<Bool<D>>,
    payload: T,
}

impl<T: Bundle, D: Domain> Channel<T, D> {
    /// A source with the `valid` and payload given; its `ready` is the wire `NAME_ready`, which the sink drives.
    #[track_caller]
    pub fn new(name: &str, valid: Bool<D>, payload: T) -> Self {
        Self { valid, ready: wire(format!("{name}_ready"), Bool::of()), payload }
    }

    /// The source behind an instance's packed output, with payload as in `shape`.
    #[track_caller]
    pub(crate) fn from_packed(name: &str, packed: &StreamOut<UInt<D>, D>, shape: &T) -> Self {
        let channel = Self::new(name, packed.valid.value(), bundle::unpack(shape, packed.payload));
        packed.ready.set(channel.ready);
        channel
    }

    /// The same stream with another payload, made from this one's in the same cycle.
    pub fn map<U: Bundle>(self, change: impl FnOnce(T) -> U) -> Channel<U, D> {
        Channel { valid: self.valid, ready: self.ready, payload: change(self.payload) }
    }
}

impl<T: Bundle, D: Domain> Stream<T, D> for Channel<T, D> {
    fn valid(&self) -> Bool<D> {
        self.valid
    }
    fn ready(&self) -> Bool<D> {
        self.ready.value()
    }
    fn payload(&self) -> T {
        self.payload.clone()
    }
    /// A channel is a source; to drive it as a sink is an error, which the assignment reports.
    #[track_caller]
    fn offer(&self, valid: Bool<D>, payload: T) {
        crate::state::assign(&self.valid, valid, "assignment", std::panic::Location::caller());
        crate::state::assign(&self.payload, payload, "assignment", std::panic::Location::caller());
    }
    #[track_caller]
    fn accept(&self, ready: Bool<D>) {
        self.ready.set(ready);
    }
}

/// Lets words of a source pass only while `open`; the word waits otherwise.
#[track_caller]
pub fn gate<T: Bundle, D: Domain>(
    name: &str,
    source: &impl Stream<T, D>,
    open: Bool<D>,
) -> Channel<T, D> {
    let gated = Channel::new(name, source.valid() & open, source.payload());
    source.accept(gated.ready() & open);
    gated
}

/// Sends each word of a source to the sink that `index` names; words for a sink that does not exist are dropped.
#[track_caller]
pub fn route<T: Bundle, D: Domain, S: Stream<T, D>>(
    source: &impl Stream<T, D>,
    index: UInt<D>,
    sinks: &[S],
) {
    let mut ready = Bool::lit(true);
    for (i, sink) in sinks.iter().enumerate() {
        let chosen = index.eq(i);
        sink.offer(source.valid() & chosen, source.payload());
        ready = mux(chosen, sink.ready(), ready);
    }
    source.accept(ready);
}
