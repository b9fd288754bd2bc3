//! Valid/ready streams.
//!
//! The contract, which every component with a stream port keeps and may rely on:
//!
//! 1. A word passes in each cycle in which `valid` and `ready` are both true.
//! 2. Once `valid` is true it stays true, with the same payload, until the word has passed.
//! 3. `ready` may depend on `valid` in the same cycle; `valid` may not depend on `ready` in the same cycle.
//! 4. While `valid` is false the payload means nothing.
//! 5. During reset `valid` is false.

use crate::bundle::Bundle;
use crate::domain::{Domain, Main};
use crate::ports::{Input, Output, Ports, input, output};
use crate::signal::Bool;

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
    /// Drives the source's signals of a sink.
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
