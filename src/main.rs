//! The `rmt` command.
fn main() {}
