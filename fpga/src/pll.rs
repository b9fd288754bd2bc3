//! The PLL of a board's part: which dividers make a clock.

use crate::error::FpgaError;

/// What dividers of a PLL may be, and how they work together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PllKind {
    /// Its oscillator's range, MHz.
    pub oscillator_mhz: (f64, f64),
    /// The least frequency at its phase detector, MHz.
    pub detector_mhz: f64,
    /// The largest dividers of the feedback and of the output.
    pub largest: (u32, u32),
    /// The feedback comes from the output, behind its divider; else from the oscillator.
    pub feedback_from_output: bool,
}

/// `EHXPLLL` of the ECP5, with feedback from its output.
pub const EHXPLLL: PllKind = PllKind {
    oscillator_mhz: (400.0, 800.0),
    detector_mhz: 10.0,
    largest: (80, 128),
    feedback_from_output: true,
};

/// `PLLE2_ADV` of the 7-series at any speed grade.
pub const PLLE2: PllKind = PllKind {
    oscillator_mhz: (800.0, 1600.0),
    detector_mhz: 19.0,
    largest: (64, 128),
    feedback_from_output: false,
};

/// Dividers of a PLL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pll {
    /// Of the input, before the phase detector.
    pub input: u32,
    /// Of the feedback: the output, or the oscillator, is as many times the divided input.
    pub feedback: u32,
    /// From the oscillator to the output.
    pub output: u32,
    /// The clock that comes out, MHz.
    pub mhz: f64,
}

/// How far from the clock asked for the result may be.
const TOLERANCE: f64 = 0.01;

impl PllKind {
    /// The dividers for `wanted` MHz from `input` MHz: those that come closest. The output's is a multiple of `multiple`,
    /// so that a second output can be as many times faster.
    ///
    /// # Errors
    /// [`FpgaError::NoClock`] when none comes within 1 %.
    pub fn dividers(&self, input: f64, wanted: f64, multiple: u32) -> Result<Pll, FpgaError> {
        let (low, high) = self.oscillator_mhz;
        let mut best: Option<Pll> = None;
        for divider in 1..=((input / self.detector_mhz) as u32).max(1) {
            for feedback in 1..=self.largest.0 {
                let fed = input / f64::from(divider) * f64::from(feedback);
                // The oscillator runs best in the middle of its range.
                let (oscillator, output) = if self.feedback_from_output {
                    let output = self.divider((low + high) / 2.0, fed, multiple);
                    (fed * f64::from(output), output)
                } else {
                    (fed, self.divider(fed, wanted, multiple))
                };
                if !(low..=high).contains(&oscillator) {
                    continue;
                }
                let mhz = oscillator / f64::from(output);
                if best.is_none_or(|best| (mhz - wanted).abs() < (best.mhz - wanted).abs()) {
                    best = Some(Pll { input: divider, feedback, output, mhz });
                }
            }
        }
        best.filter(|best| (best.mhz - wanted).abs() <= TOLERANCE * wanted)
            .ok_or(FpgaError::NoClock { input, wanted, low, high })
    }

    fn divider(&self, from: f64, to: f64, multiple: u32) -> u32 {
        let most = (self.largest.1 / multiple).max(1);
        (from / to / f64::from(multiple)).round().clamp(1.0, f64::from(most)) as u32 * multiple
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_made_from_those_of_boards() {
        for (input, wanted) in [(100.0, 100.0), (100.0, 62.5), (25.0, 50.0), (25.0, 100.0)] {
            let pll = EHXPLLL.dividers(input, wanted, 1).unwrap();
            assert_eq!(pll.mhz, wanted, "{pll:?}");
            assert_eq!(input / f64::from(pll.input) * f64::from(pll.feedback), wanted);
            let oscillator = wanted * f64::from(pll.output);
            assert!((400.0..=800.0).contains(&oscillator), "{pll:?}");
        }
        assert!((EHXPLLL.dividers(100.0, 67.0, 1).unwrap().mhz - 67.0).abs() < 0.34);
        let error = EHXPLLL.dividers(25.0, 1.0, 1).unwrap_err().to_string();
        assert!(error.contains("1 MHz from 25"), "{error}");
    }

    #[test]
    fn the_7_series_divides_its_oscillator() {
        for wanted in [10.0, 15.0, 20.0, 62.5, 125.0, 200.0] {
            let pll = PLLE2.dividers(200.0, wanted, 1).unwrap();
            assert_eq!(pll.mhz, wanted, "{pll:?}");
            let oscillator = 200.0 / f64::from(pll.input) * f64::from(pll.feedback);
            assert_eq!(oscillator / f64::from(pll.output), wanted, "{pll:?}");
            assert!((800.0..=1600.0).contains(&oscillator), "{pll:?}");
        }
        assert!(PLLE2.dividers(200.0, 5.0, 1).is_err());
        assert!(PLLE2.dividers(200.0, f64::NAN, 1).is_err());
    }

    #[test]
    fn a_second_output_is_a_multiple_of_the_first() {
        for (kind, input, wanted) in
            [(EHXPLLL, 100.0, 25.0), (EHXPLLL, 25.0, 37.5), (PLLE2, 200.0, 50.0)]
        {
            for multiple in [2, 4] {
                let pll = kind.dividers(input, wanted, multiple).unwrap();
                assert!(pll.output.is_multiple_of(multiple), "{pll:?}");
                assert!((pll.mhz - wanted).abs() <= TOLERANCE * wanted, "{pll:?}");
                let oscillator = pll.mhz * f64::from(pll.output);
                let (low, high) = kind.oscillator_mhz;
                assert!((low..=high).contains(&oscillator), "{pll:?}");
            }
        }
    }
}
