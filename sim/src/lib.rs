//! Simulation of the RMT core: the Verilated model, co-simulation with the interpreter
