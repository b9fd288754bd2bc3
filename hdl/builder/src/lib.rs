//! A small hardware description language in Rust: typed signals in, readable Verilog and a cycle-accurate evaluator out
