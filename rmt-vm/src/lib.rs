//! The software machine of RMT: state, verifier, interpreter
