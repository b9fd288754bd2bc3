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
    /// The dividers for `wanted` MHz from `input` MHz: those that come closest.
    ///
    /// # Errors
    /// [`FpgaError::NoClock`] when none comes within 1 %.
    pub fn dividers(&self, input: f64, wanted: f64) -> Result<Pll, FpgaError> {
        let (low, high) = self.oscillator_mhz;
        let mut best: Option<Pll> = None;
        for divider in 1..=((input / self.detector_mhz) as u32).max(1) {
            for feedback in 1..=self.largest.0 {
                let fed = input / f64::from(divider) * f64::from(feedback);
                // The oscillator runs best in the middle of its range.
                let (oscillator, output) = if self.feedback_from_output {
                    let output = self.divider((low + high) / 2.0, fed);
                    (fed * f64::from(output), output)
                } else {
                    (fed, self.divider(fed, wanted))
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

    fn divider(&self, from: f64, to: f64) -> u32 {
        (from / to).round().clamp(1.0, f64::from(self.largest.1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_made_from_those_of_boards() {
        for (input, wanted) in [(100.0, 100.0), (100.0, 62.5), (25.0, 50.0), (25.0, 100.0)] {
            let pll = EHXPLLL.dividers(input, wanted).unwrap();
            assert_eq!(pll.mhz, wanted, "{pll:?}");
            assert_eq!(input / f64::from(pll.input) * f64::from(pll.feedback), wanted);
            let oscillator = wanted * f64::from(pll.output);
            assert!((400.0..=800.0).contains(&oscillator), "{pll:?}");
        }
        assert!((EHXPLLL.dividers(100.0, 67.0).unwrap().mhz - 67.0).abs() < 0.34);
        let error = EHXPLLL.dividers(25.0, 1.0).unwrap_err().to_string();
        assert!(error.contains("1 MHz from 25"), "{error}");
    }

    #[test]
    fn the_7_series_divides_its_oscillator() {
        for wanted in [10.0, 15.0, 20.0, 62.5, 125.0, 200.0] {
            let pll = PLLE2.dividers(200.0, wanted).unwrap();
            assert_eq!(pll.mhz, wanted, "{pll:?}");
            let oscillator = 200.0 / f64::from(pll.input) * f64::from(pll.feedback);
            assert_eq!(oscillator / f64::from(pll.output), wanted, "{pll:?}");
            assert!((800.0..=1600.0).contains(&oscillator), "{pll:?}");
        }
        assert!(PLLE2.dividers(200.0, 5.0).is_err());
        assert!(PLLE2.dividers(200.0, f64::NAN).is_err());
    }
}
