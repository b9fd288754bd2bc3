//! Values between the main clock and a multiple of it, without a synchroniser.

use crate::prelude::*;

/// Where in a cycle of the main clock a cycle of its multiple `D` lies: registers of the module in which it is made.
///
/// ```text
/// clk         ___/‾‾‾‾‾‾‾\_______/‾‾‾‾‾‾‾\_______      multiple of 4
/// phase          | 0 | 1 | 2 | 3 | 0 | 1 | 2 | 3 |
/// main value     <      v        >
/// of_main                    <      v        >         taken before the last phase
/// to_main            <      r        >                 changes after the first phase
/// ```
///
/// Whichever way a value goes, it has all phases but one to come, and is steady for a phase on either side of the edge that
/// takes it: the clocks may be that much apart. The phases themselves come from a register of the main
/// clock, which must be seen before the next edge of the multiple but one.
#[derive(Clone, Debug)]
pub struct Phases<D: Domain> {
    /// For each phase: it is the present one.
    is: Vec<Bool<D>>,
}

impl<D: Domain> Phases<D> {
    /// The phases of `D`, which must be a multiple of the main clock.
    pub fn new() -> Self {
        let turns = reg("turns", boolean(), false).doc("Changes with each edge of the main clock");
        turns.next(!turns);
        let seen = turns.as_uint().cross_domain_unchecked::<D>().as_bool();
        // The edge that changes it still sees what was before.
        let now = delayed("turns_seen", seen);
        let first = (now ^ delayed("turns_before", now)).named("phase1");
        let mut is = vec![first];
        for phase in 2..=D::MULTIPLE {
            let last = is[is.len() - 1];
            is.push(delayed(format!("phase{}", phase % D::MULTIPLE), last));
        }
        is.rotate_right(1);
        Self { is }
    }

    /// Whether a phase, counted round, is the present one.
    pub fn is(&self, phase: u32) -> Bool<D> {
        self.is[(phase % D::MULTIPLE) as usize]
    }

    /// Whether a phase is the present one, from a register of its own for what stands in one place: wires from one
    /// register to all that is taken across may be longer than a cycle.
    #[track_caller]
    pub fn near(&self, name: impl AsRef<str>, phase: u32) -> Bool<D> {
        let name = format!("{}_phase{phase}", name.as_ref());
        // Kept, as synthesis makes one register of equal ones.
        let near = reg_uninit(name, Bool::of()).attribute("keep");
        near.next(self.is(phase + D::MULTIPLE - 1));
        near.value()
    }

    /// A value of the main clock, from the last phase of its cycle on until the next one comes.
    #[track_caller]
    pub fn of_main(&self, name: impl AsRef<str>, value: UInt) -> UInt<D> {
        let held = reg_uninit(&name, UInt::<D>::of(value.width()));
        let takes = self.near(name, D::MULTIPLE - 2);
        when(takes, || held.next(value.cross_domain_unchecked::<D>()));
        held.value()
    }

    /// The pieces of a value of the main clock, `bits` wide, one in each cycle: the lowest in the last phase.
    #[track_caller]
    pub fn pieces_of_main(&self, name: impl AsRef<str>, value: UInt, bits: u32) -> UInt<D> {
        let width = value.width();
        let held = reg_uninit(&name, UInt::<D>::of(width));
        held.next(held.bits(bits..width).zext(width));
        when(self.near(name, D::MULTIPLE - 2), || held.next(value.cross_domain_unchecked::<D>()));
        held.bits(0..bits)
    }

    /// What a value is in phase 0, for the main clock's edge at the end of the same cycle.
    #[track_caller]
    pub fn to_main(&self, name: impl AsRef<str>, value: UInt<D>) -> UInt {
        let held = reg_uninit(&name, UInt::<D>::of(value.width()));
        when(self.near(name, 0), || held.next(value));
        held.value().cross_domain_unchecked::<Main>()
    }
}

impl<D: Domain> Default for Phases<D> {
    fn default() -> Self {
        Self::new()
    }
}
