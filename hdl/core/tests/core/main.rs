//! Whole programs on the core, on the evaluator, against the interpreter.

mod bench;
mod commit;
mod cycles;
mod estimate;
mod firmware;
mod programs;
mod random;
mod residents;
mod scalar;
