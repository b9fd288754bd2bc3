//! Properties of components, and their proofs by SymbiYosys.
//!
//! A component says with [`assert`], [`assume`] and [`cover`] what holds of its signals. The Verilog of
//! [`Design::verilog`](crate::design::Design::verilog) does not contain them. [`Proof`] prints the design with them, a top
//! with free inputs, and the script of a proof; [`Sby`] runs it.
//!
//! ```text
//!  component with properties ──elaborate──► Design ──► Proof ──► Sby ──► Outcome
//!  (often a harness round the one that is proven)     (files)   (tools)
//! ```
//!
//! In a proof the design is in reset in the first cycle and never after; properties do not count during the reset. An
//! input may have any value in any cycle, one whose name begins with `constant_` any value that stays.
//!
//! State that only a property needs belongs into a harness: registers of a component are printed with it.
//!
//! ```
//! use rtl_builder::formal::{self, Goal, Proof};
//! use rtl_builder::prelude::*;
//!
//! /// Counts to nine and begins again.
//! struct Decade;
//!
//! #[derive(Clone, Ports)]
//! struct DecadeIo {
//!     digit: Output<UInt>,
//! }
//!
//! impl Component for Decade {
//!     type Io = DecadeIo;
//!
//!     fn name(&self) -> String {
//!         "decade".into()
//!     }
//!
//!     fn io(&self) -> DecadeIo {
//!         DecadeIo { digit: output(uint(4)) }
//!     }
//!
//!     fn build(&self, io: DecadeIo) {
//!         let digit = reg("digit_reg", uint(4), 0);
//!         digit.next(mux(digit.eq(9), 0, digit.wrapping_add(1)));
//!         io.digit.set(digit);
//!         formal::assert("is_decimal", digit.lt(10));
//!         formal::cover("reaches_nine", digit.eq(9));
//!     }
//! }
//!
//! let design = elaborate(Decade)?;
//! assert!(!design.verilog().contains("is_decimal"));
//! let proof = Proof::new(&design, Goal::Always).unwrap();
//! assert!(proof.files().iter().any(|(_, text)| text.contains("is_decimal: assert (digit_reg < 4'd10);")));
//! # Ok::<(), Error>(())
//! ```

mod proof;
mod sby;

pub use proof::{FormalError, Goal, Proof};
pub use sby::{Outcome, Sby};

use crate::domain::Domain;
use crate::ir::{Property, PropertyKind};
use crate::session;
use crate::signal::{Bool, Source};
use std::panic::Location;

/// The condition holds in every cycle after reset.
#[track_caller]
pub fn assert<D: Domain>(name: &str, condition: impl Source<Bool<D>>) {
    property(PropertyKind::Assert, name, condition.source(None));
}

/// The condition is taken to hold in every cycle after reset: a promise of whoever drives the inputs.
#[track_caller]
pub fn assume<D: Domain>(name: &str, condition: impl Source<Bool<D>>) {
    property(PropertyKind::Assume, name, condition.source(None));
}

/// The condition can become true: shows that assumptions do not exclude what is to be proven.
#[track_caller]
pub fn cover<D: Domain>(name: &str, condition: impl Source<Bool<D>>) {
    property(PropertyKind::Cover, name, condition.source(None));
}

#[track_caller]
fn property<D: Domain>(kind: PropertyKind, name: &str, condition: Bool<D>) {
    let place = Location::caller();
    session::with(|s| {
        let condition = s.resolve(condition.raw, place)?;
        let name = s.claim_name(name, place)?;
        s.stack.last_mut()?.module.properties.push(Property { kind, name, condition });
        Some(())
    });
}
