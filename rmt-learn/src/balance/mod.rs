//! Case study 2, load balancing: deciding as `can_migrate_task` does, from recorded decisions.
//!
//! [`split`] parts recorded rows by load and by time, never row by row; [`measure`] counts right and
//! wrong by class; [`models`] are the deciders, each in the integers that the machine runs;
//! [`study`] trains and measures them all.

pub mod measure;
pub mod models;
pub mod split;
pub mod study;

#[cfg(test)]
mod tests;
