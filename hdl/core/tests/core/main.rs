//! Whole programs on the core, on the evaluator, against the interpreter.

mod bench;
mod programs;
mod scalar;
