//! The card behind its link: endpoint, queue pairs, faults, against tiny models and the interpreter.

mod endpoint;
mod faults;
mod host;
mod latency;
mod programs;
mod queues;
mod verilated;
