//! A program and its events, for all tests here.

use rmt_isa::Event;
use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::assembly::assemble;
use rmt_isa::card::{CardImage, CardShape, lower};
use rmt_isa::program::{Ordering, Program};

/// The hook of the program.
pub const HOOK: u16 = 3;

/// A program that computes with what stands in the event: outputs depend on all of its arguments.
pub fn program() -> Program {
    let text = "ld_event r5, event+16, u64\nld_event r6, event+48, u64\nadd r7, r5, r6\n\
                mul r8, r5, r6\nout out0, r7\nout out1, r8\nld_event r9, event+4, u32\nout out2, r9\nexit decided";
    let code = assemble(text).unwrap_or_else(|error| panic!("{error}"));
    Program::of_action("sums", HOOK, code)
}

/// The program as the card takes it.
pub fn image(shape: &CardShape) -> CardImage {
    lower(&program(), Ordering::Pure, shape).unwrap()
}

/// An event with arguments from its tag.
pub fn event(tag: u32) -> Event {
    let mut event = Event::new(HOOK, tag, u64::from(tag) % 7);
    let mut state = u64::from(tag);
    for word in 2..8 {
        state = split_mix_64(state);
        event.store(8 * word, 8, state);
    }
    event
}
