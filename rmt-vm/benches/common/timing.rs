//! Timing on a machine that others use as well: candidates take turns, medians count, and
//! time is that of the thread, not of the clock on the wall.

use cpu_time::ThreadTime;
use std::hint::black_box;

/// One thing to time: what it runs and how many units of work one run is.
pub struct Candidate<'a> {
    pub run: Box<dyn FnMut() + 'a>,
    pub units: f64,
}

impl<'a> Candidate<'a> {
    pub fn new(units: usize, run: impl FnMut() + 'a) -> Self {
        Self { run: Box::new(run), units: units as f64 }
    }
}

/// Nanoseconds for a unit of work of each candidate, by round: in each round all run once for
/// a few milliseconds.
pub fn interleaved(mut candidates: Vec<Candidate<'_>>, rounds: usize) -> Vec<Vec<f64>> {
    const SLICE_SECONDS: f64 = 0.004;
    let repeats: Vec<usize> = candidates
        .iter_mut()
        .map(|candidate| {
            (candidate.run)();
            let start = ThreadTime::now();
            (candidate.run)();
            let once = start.elapsed().as_secs_f64().max(1e-9);
            ((SLICE_SECONDS / once) as usize).clamp(1, 1_000_000)
        })
        .collect();
    let mut results = vec![Vec::new(); candidates.len()];
    for _ in 0..rounds {
        for ((candidate, &repeats), results) in
            candidates.iter_mut().zip(&repeats).zip(&mut results)
        {
            let start = ThreadTime::now();
            for _ in 0..repeats {
                black_box(&mut candidate.run)();
            }
            results.push(start.elapsed().as_nanos() as f64 / repeats as f64 / candidate.units);
        }
    }
    results
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Median of the ratios of two candidates, round by round: what slows a whole round down
/// cancels out.
pub fn ratio(numerator: &[f64], denominator: &[f64]) -> f64 {
    let ratios: Vec<f64> = numerator.iter().zip(denominator).map(|(n, d)| n / d).collect();
    median(&ratios)
}
