//! Finding the first event after which the states differ.

use rmt_isa::Event;
use rmt_isa::card::CardImage;
use rmt_vm::Machine;

use super::report::{Mismatch, MismatchPlace};
use super::{CosimError, compare, state};
use crate::card::{Card, Pins};

/// Runs events one by one on a fresh core and a fresh machine, comparing the decision of
/// each, and from event `from` on the state after each; gives the first mismatch.
///
/// `None`: the core is right when events do not overlap, so the fault lies in their overlap.
///
/// # Errors
/// [`CosimError`] when the core stops answering.
pub fn localise<P: Pins>(
    card: &mut Card<P>,
    image: &CardImage,
    machine: &mut Machine,
    events: &[Event],
    from: u64,
) -> Result<Option<Mismatch>, CosimError> {
    for (number, event) in (0..).zip(events) {
        let expected = machine.run(event);
        let timed = card.run_alone(event)?;
        let spent = timed.decided_cycle - timed.accepted_cycle;
        let (cycle, place, difference) = match compare::decisions(&expected, &timed.decision, spent)
        {
            None if number < from => continue,
            None => {
                let difference = state::first_difference(machine.state(), card, image, true)?;
                (timed.decided_cycle, MismatchPlace::State, difference)
            }
            difference => (timed.decided_cycle, MismatchPlace::Decision, difference),
        };
        if let Some(difference) = difference {
            return Ok(Some(Mismatch::new(number, cycle, place, difference)));
        }
    }
    Ok(None)
}
