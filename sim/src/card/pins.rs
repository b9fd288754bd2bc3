//! The pins of the core, cycle by cycle.

use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};

use super::CardError;

/// A request at the host port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostRequest {
    /// Address in words of 64 bits.
    pub address: u32,
    /// The word to write; `None` reads.
    pub write: Option<u64>,
}

/// What the ports of the core do in one clock cycle.
///
/// Inputs keep their value until they are set again. Outputs are those of the present cycle,
/// before its rising edge: after inputs changed, [`Pins::settle`] brings them up to date.
/// [`Pins::cycle`] is the rising edge that ends the cycle.
pub trait Pins {
    /// Holds the reset for some cycles, with all inputs inactive.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn reset(&mut self) -> Result<(), CardError>;

    /// Offers an event, or none. An offered event must not change until it is taken.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn set_event(&mut self, event: Option<&[u8; EVENT_BYTES]>) -> Result<(), CardError>;

    /// Whether the core takes the offered event in this cycle.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn event_ready(&mut self) -> Result<bool, CardError>;

    /// Whether decisions are taken.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn set_decision_ready(&mut self, ready: bool) -> Result<(), CardError>;

    /// The decision that the core offers in this cycle.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn decision(&mut self) -> Result<Option<[u8; DECISION_BYTES]>, CardError>;

    /// Makes a host request in this cycle, or none.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn set_host(&mut self, request: Option<HostRequest>) -> Result<(), CardError>;

    /// The answer to the last host request, if it comes in this cycle.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn host_answer(&mut self) -> Result<Option<u64>, CardError>;

    /// Lets outputs follow inputs within the cycle.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn settle(&mut self) -> Result<(), CardError>;

    /// The rising edge that ends the cycle.
    ///
    /// # Errors
    /// When the simulation cannot go on.
    fn cycle(&mut self) -> Result<(), CardError>;
}
