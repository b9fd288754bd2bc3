//! What the integration tests share: finding tools, running them, and a source of random components.
#![allow(dead_code, missing_docs)]

pub mod random;
pub mod samples;
pub mod simulate;
pub mod tools;
