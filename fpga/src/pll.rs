//! The PLL of the ECP5: which dividers make a clock.

use crate::error::FpgaError;

/// Dividers of an `EHXPLLL` whose feedback comes from its output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pll {
    /// Of the input, before the phase detector.
    pub input: u32,
    /// Of the feedback: the output is as many times the divided input.
    pub feedback: u32,
    /// From the oscillator to the output.
    pub output: u32,
    /// The clock that comes out, MHz.
    pub mhz: f64,
}

/// The oscillator's range, MHz, and the least frequency at the phase detector.
const OSCILLATOR_MHZ: std::ops::RangeInclusive<f64> = 400.0..=800.0;
const DETECTOR_MHZ: f64 = 10.0;
/// How far from the clock asked for the result may be.
const TOLERANCE: f64 = 0.01;

impl Pll {
    /// The dividers for `wanted` MHz from `input` MHz: those that come closest.
    ///
    /// # Errors
    /// [`FpgaError::NoClock`] when none comes within 1 %.
    pub fn new(input: f64, wanted: f64) -> Result<Self, FpgaError> {
        let mut best: Option<Self> = None;
        for divider in 1..=(input / DETECTOR_MHZ) as u32 {
            for feedback in 1..=80_u32 {
                let mhz = input / f64::from(divider) * f64::from(feedback);
                // The oscillator runs best in the middle of its range.
                let output = (600.0 / mhz).round().clamp(1.0, 128.0) as u32;
                if !OSCILLATOR_MHZ.contains(&(mhz * f64::from(output))) {
                    continue;
                }
                if best.is_none_or(|best| (mhz - wanted).abs() < (best.mhz - wanted).abs()) {
                    best = Some(Self { input: divider, feedback, output, mhz });
                }
            }
        }
        best.filter(|best| (best.mhz - wanted).abs() <= TOLERANCE * wanted)
            .ok_or(FpgaError::NoClock { input, wanted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_made_from_those_of_boards() {
        for (input, wanted) in [(100.0, 100.0), (100.0, 62.5), (25.0, 50.0), (25.0, 100.0)] {
            let pll = Pll::new(input, wanted).unwrap();
            assert_eq!(pll.mhz, wanted, "{pll:?}");
            assert_eq!(input / f64::from(pll.input) * f64::from(pll.feedback), wanted);
            assert!(OSCILLATOR_MHZ.contains(&(wanted * f64::from(pll.output))), "{pll:?}");
        }
        assert!((Pll::new(100.0, 67.0).unwrap().mhz - 67.0).abs() < 0.34);
        assert!(Pll::new(25.0, 1.0).unwrap_err().to_string().contains("1 MHz from 25"));
    }
}
