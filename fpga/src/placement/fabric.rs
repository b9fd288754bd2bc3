//! What differs between families of parts.

use super::design::{Cell, Design, Kind, Pin};
use super::places::{Place, Places};

/// Times and rules of a family. Times are in picoseconds.
pub(super) trait Fabric: Clone + Send {
    /// Columns from one of logic to the next.
    const COLUMN: i32;

    /// Whether tables in a row move together, which takes time.
    const MOVES_WAYS: bool;

    /// What a cell's output takes behind its clock; nothing if no way begins there.
    fn after_clock(&self, kind: Kind) -> Option<f32>;

    /// How long before the clock a pin wants its value; nothing if no way ends there.
    fn before_clock(&self, kind: Kind, pin: Pin) -> Option<f32>;

    /// From an input of a cell to an output; nothing if none leads there.
    fn through(&self, kind: Kind, from: Pin, to: Pin) -> Option<f32>;

    /// From a pin of a cell to a pin of another one, by where both stand, and to how many pins the signal leads; `together` if
    /// both stand in one slot.
    fn wire(&self, from: (&Cell, Pin), to: (&Cell, Pin), pins: usize, together: bool) -> f32;

    /// Whether all in a slot may stand together.
    fn fits_slot(&self, design: &Design, places: &Places, slot: usize) -> bool;

    /// What nextpnr calls a place that is neither a block's nor kept.
    fn name(&self, places: &Places, place: Place) -> String;
}
