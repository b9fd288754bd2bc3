//! Where events come from and decisions go.
//!
//! - [`replay`]: recorded traces, at a rate;
//! - [`kernel`]: the rings of the kernel module; [`prefetch`]: pages that its processes will need.

pub mod kernel;
pub mod prefetch;
pub mod replay;

use rmt_isa::{Decision, Event};

/// A source of events. The worker takes events, has them decided and gives the decisions back, in
/// order; nothing else happens in between.
pub trait Source: Send {
    /// What it is called in metrics.
    fn name(&self) -> &str;

    /// Appends events that are there, at most `most`. It does not wait.
    ///
    /// # Errors
    /// When the source is of no use any more; the worker drops it then.
    fn take(&mut self, events: &mut Vec<Event>, most: usize) -> Result<(), SourceError>;

    /// The decisions of the events that were taken last, one for each, in order.
    fn answer(&mut self, events: &[Event], decisions: &[Decision]);

    /// What was counted, by name.
    fn counters(&self) -> Vec<(&'static str, u64)>;

    /// Sleeps until there are events, at most for a time, when the source can; else it does not
    /// sleep and says false.
    fn sleep(&mut self, _limit: std::time::Duration) -> bool {
        false
    }

    /// Whether it gives no more events.
    fn finished(&self) -> bool {
        false
    }
}

/// A source is of no use any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event source `{name}`: {reason}")]
pub struct SourceError {
    /// The source.
    pub name: String,
    /// What is wrong and what helps.
    pub reason: String,
}
