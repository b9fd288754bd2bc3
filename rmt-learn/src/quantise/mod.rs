//! A float network becomes the machine's integers: i8 weights, i16 activations, i32 sums.
//!
//! [`migration`] reads recorded `can_migrate_task` decisions and turns raw integers into lanes;
//! [`network`] holds the float reference; [`fit`] chooses scales and rounds weights so that
//! decisions change least; [`load_balancer`] is the recipe of the shipped model; [`integer`] is the
//! result, with the exact arithmetic of the machine and the proof that its sums fit.

pub mod fit;
pub mod integer;
pub mod load_balancer;
pub mod migration;
pub mod network;

#[cfg(test)]
mod tests;
