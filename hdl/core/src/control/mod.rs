//! The scalar side: events, threads, and the stages that run actions.
//!
//! - [`decode`]: what each opcode means, made from the table of instructions; [`operands`]: what its operands are read by.
//! - [`alu`]: one-cycle arithmetic; [`long`]: products, quotients, helpers.
//! - [`fetch`]: which thread issues next, program counters, program memory.
//! - [`pipeline`]: operands, execution, and the ports to the other units.
//! - [`stage`]: these joined: what each stage has of its own.
//! - [`intake`]: an event's register, beside it what its program slot says.
//! - [`dispatch`]: takes events, gives them threads, keeps the order of keys.
//! - [`slots`]: the program that serves an event's hook; [`commit`]: the switch between banks.
//! - [`retire`]: ends events and sends decisions; watchdog.
//!
//! An event enters at `intake`, gets its thread from `dispatch`, is matched (module `matching`), starts in `fetch`, runs
//! through `pipeline`, and leaves at `retire`.

pub mod alu;
pub mod commit;
pub mod decode;
pub mod dispatch;
mod execute;
pub mod fetch;
pub mod intake;
pub mod long;
pub mod operands;
pub mod pipeline;
pub mod retire;
pub mod slots;
pub mod stage;
