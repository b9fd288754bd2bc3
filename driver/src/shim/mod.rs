//! The kernel module as a process sees it: events of kernel hooks in, decisions out.
//!
//! - [`ShimControl`]: the device of the module: modes, settings, counters, the kill switch.
//! - [`Shim`]: the same for the daemon, which also has the rings; there is one at a time.
//! - [`CpuRings`]: the events, decisions and outcomes of one processor. Polled, without
//!   allocation; [`Shim::sleep`] waits where nothing is to be done.
//! - [`host`]: the module's side in this process, for tests and measurements.
//!
//! ```no_run
//! # fn decide(_: &rmt_isa::Event) -> rmt_isa::Decision { unimplemented!() }
//! use rmt_driver::shim::ShimControl;
//! use rmt_isa::shim::control::{Mode, Settings};
//!
//! let (shim, mut rings) = ShimControl::open()?.attach()?;
//! shim.set(&Settings::unwatched(2, Mode::Shadow))?;
//! loop {
//!     for ring in &mut rings {
//!         while let Some(event) = ring.take_event() {
//!             ring.answer(&decide(&event));
//!         }
//!     }
//! }
//! # Ok::<(), rmt_driver::shim::ShimError>(())
//! ```

mod device;
mod error;
pub mod host;
mod rings;

pub use device::{Shim, ShimControl};
pub use error::ShimError;
pub use rings::{CpuRings, Geometry};
