//! Work for the scheduler and the swap device, with the time that it took.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};

/// Options of one batch of Black-Scholes prices.
const OPTIONS: usize = 4096;
/// Rows of the matrices of one product.
const ROWS: usize = 64;
/// The Fibonacci number of one unit of work.
const FIBONACCI: u32 = 22;
/// Bytes of a page.
const PAGE: usize = 4096;

/// What is worked on.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Prices of options
    BlackScholes,
    /// Products of matrices
    Matrix,
    /// Fibonacci numbers, by calls
    Fibonacci,
    /// Short pieces of work with sleeps between them
    Burst,
    /// Reads a memory of --mib again and again, page by page
    Pages,
    /// The same with a step of four pages, as a column of a matrix is read
    Column,
}

/// Make work, and tell how long it took.
#[derive(Args)]
pub struct Load {
    kind: Kind,
    /// Threads
    #[arg(long, default_value_t = 4)]
    threads: u32,
    /// Units of work of each thread; for memory: passes over it
    #[arg(long, default_value_t = 100)]
    work: u32,
    /// Stop after this time, if not done before
    #[arg(long)]
    seconds: Option<u64>,
    /// Memory of each thread, MiB
    #[arg(long, default_value_t = 64)]
    mib: usize,
}

impl Load {
    pub fn run(&self) -> Result<()> {
        let begun = Instant::now();
        let end = self.seconds.map(|seconds| begun + Duration::from_secs(seconds));
        let name = self
            .kind
            .to_possible_value()
            .map_or_else(String::new, |kind| kind.get_name().to_owned());
        let mut done = 0_u64;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| scope.spawn(move || self.work_of(thread, end)))
                .collect();
            for thread in threads {
                done += u64::from(thread.join().unwrap_or(0));
            }
        });
        println!(
            "load {name}: {} threads, {done} units, {:.2} s",
            self.threads,
            begun.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// The work of one thread; returns how many units it did.
    fn work_of(&self, thread: u32, end: Option<Instant>) -> u32 {
        let mut unit = self.unit(u64::from(thread));
        for done in 0..self.work {
            if end.is_some_and(|end| Instant::now() >= end) {
                return done;
            }
            unit();
        }
        self.work
    }

    fn unit(&self, seed: u64) -> Box<dyn FnMut()> {
        match self.kind {
            Kind::BlackScholes => Box::new(|| {
                black_box((0..OPTIONS).map(price).sum::<f64>());
            }),
            Kind::Matrix => {
                let matrix: Vec<f32> = (0..ROWS * ROWS).map(|cell| cell as f32).collect();
                Box::new(move || {
                    black_box(product(&matrix, &matrix));
                })
            }
            Kind::Fibonacci => Box::new(|| {
                black_box(fibonacci(black_box(FIBONACCI)));
            }),
            Kind::Burst => {
                let mut random = seed.wrapping_mul(7919) + 17;
                Box::new(move || {
                    let until = Instant::now() + Duration::from_micros(next(&mut random) % 800);
                    while Instant::now() < until {
                        black_box((0..32).map(price).sum::<f64>());
                    }
                    std::thread::sleep(Duration::from_micros(next(&mut random) % 1600));
                })
            }
            Kind::Pages => pages(self.mib, 1),
            Kind::Column => pages(self.mib, 4),
        }
    }
}

/// Reads a byte of each page of a memory, `step` pages on each time, until all are read.
fn pages(mib: usize, step: usize) -> Box<dyn FnMut()> {
    // Written first: pages that were never written are all one page of zeros.
    let memory = vec![1_u8; mib << 20];
    Box::new(move || {
        let mut sum = 0_u64;
        for first in 0..step {
            for page in memory.chunks(PAGE).skip(first).step_by(step) {
                sum += u64::from(black_box(page[0]));
            }
        }
        black_box(sum);
    })
}

/// A random number: xorshift.
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state >> 11
}

/// The price of one option, by the formula of Black and Scholes.
fn price(index: usize) -> f64 {
    let (spot, strike, rate) = (80.0 + (index % 40) as f64, 100.0_f64, 0.05);
    let (volatility, years) = (0.2 + (index % 7) as f64 * 0.05, 0.25 + (index % 8) as f64 * 0.25);
    let spread: f64 = volatility * f64::sqrt(years);
    let d1 = ((spot / strike).ln() + (rate + volatility * volatility / 2.0) * years) / spread;
    spot * normal(d1) - strike * (-rate * years).exp() * normal(d1 - spread)
}

/// The normal distribution, by the approximation of Abramowitz and Stegun (26.2.17).
fn normal(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let sum = series.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum;
    if x < 0.0 { tail } else { 1.0 - tail }
}

fn product(a: &[f32], b: &[f32]) -> f32 {
    let mut trace = 0.0;
    for row in 0..ROWS {
        for column in 0..ROWS {
            let cell: f32 = (0..ROWS).map(|k| a[row * ROWS + k] * b[k * ROWS + column]).sum();
            trace += if row == column { cell } else { black_box(cell) * 0.0 };
        }
    }
    trace
}

fn fibonacci(n: u32) -> u64 {
    if n < 2 { n.into() } else { fibonacci(n - 1) + fibonacci(n - 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_is_what_it_says() {
        assert_eq!(fibonacci(20), 6765);
        assert!((normal(1.96) - 0.975).abs() < 1e-4 && (normal(-1.96) - 0.025).abs() < 1e-4);
        // Spot 80, strike 100, 5 %, 20 %, a quarter of a year.
        assert!((price(0) - 0.056).abs() < 1e-3, "{}", price(0));
        let identity: Vec<f32> =
            (0..ROWS * ROWS).map(|cell| f32::from(u8::from(cell % (ROWS + 1) == 0))).collect();
        assert_eq!(product(&identity, &identity), ROWS as f32);
    }

    #[test]
    fn a_load_ends_by_its_work_or_its_time() {
        let load = Load { kind: Kind::Fibonacci, threads: 1, work: 2, seconds: None, mib: 1 };
        assert_eq!(load.work_of(0, None), 2);
        assert_eq!(load.work_of(0, Some(Instant::now())), 0);
    }
}
