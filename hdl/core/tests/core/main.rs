//! Whole programs on the core, on the evaluator, against the interpreter.

mod bench;
mod firmware;
mod programs;
mod random;
mod scalar;
