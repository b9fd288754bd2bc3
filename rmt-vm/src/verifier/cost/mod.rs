//! What a program costs at worst, and where it can run.
//!
//! - [`cycles`]: cycles of the card along the worst path;
//! - [`work`]: the cost of one instruction;
//! - [`paths`]: the worst path through an action, and through all tables of an event;
//! - [`memory`]: what the declared objects take;
//! - [`budget`]: comparison with the limits, and the model to blame;
//! - [`placement`]: which engines can run each action, or why not.

mod budget;
mod cycles;
mod memory;
mod paths;
mod placement;
mod work;

pub use budget::{Overrun, Resource};
pub use memory::Memory;
pub use placement::{EngineKind, Obstacle, Placement};
pub use work::Cost;

pub(super) use budget::{check_budgets, check_memory, overruns};
pub(super) use paths::{Costing, worst_paths};
pub(super) use placement::{check_placement, placements};
