//! Work for the scheduler and the swap device, with the time that it took.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Barrier, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};
use rmt_driver::shim::ShimControl;
use rmt_isa::shim::control::Counter;
use rmt_isa::shim::hooks::DO_SWAP_PAGE;
use serde_json::json;

use super::status::value;

/// Options of one batch of Black-Scholes prices.
const OPTIONS: usize = 4096;
/// Rows of the matrices of one product.
const ROWS: usize = 64;
/// The Fibonacci number of one unit of work.
const FIBONACCI: u32 = 22;
/// Bytes of a page.
const PAGE: usize = 4096;
/// Points of the clustering, all threads together, and their dimensions.
const POINTS: usize = 8192;
const DIMENSIONS: usize = 16;
/// Bytes of a node of the graph, and its neighbours.
const NODE: usize = 256;
const NEIGHBOURS: usize = 8;
/// Nodes that one unit of the search visits.
const VISITS: usize = 4096;

/// What is worked on.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Prices of options
    BlackScholes,
    /// Products of matrices
    Matrix,
    /// Fibonacci numbers, by calls
    Fibonacci,
    /// Distances of points to a new centre, shared among the threads, which wait for each other
    StreamCluster,
    /// Short pieces of work with sleeps between them
    Burst,
    /// Reads a memory of --mib again and again, page by page
    Pages,
    /// The same with a step of four pages, as a column of a matrix is read
    Column,
    /// Adds a shifted and weighted matrix to another one, both of half of --mib
    Convolution,
    /// Visits a part of a random graph of --mib, breadth first
    Graph,
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
    /// Print one line of JSON: time and faults since the memory was filled
    #[arg(long)]
    json: bool,
}

/// What threads share.
struct Shared {
    /// When to stop.
    end: Option<Instant>,
    /// Where threads wait for each other.
    round: Barrier,
    /// Whether the time was over at the last round's end.
    over: AtomicBool,
    /// When the first thread began to work.
    begun: Mutex<Option<Counted>>,
}

/// Time and what the kernel has counted so far.
struct Counted {
    time: Instant,
    /// Faults of this process that had to wait for the device.
    major_faults: u64,
    /// Pages that the machine has read from swap.
    pages_read: u64,
    /// Faults on swapped-out pages that the module saw, if it is loaded.
    swap_faults: Option<u64>,
}

impl Counted {
    fn now() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let vmstat = read("/proc/vmstat");
        let pages_read = vmstat.lines().find_map(|line| line.strip_prefix("pswpin "));
        let counters = ShimControl::open().and_then(|shim| shim.counters(DO_SWAP_PAGE.number));
        let swap_faults = counters
            .ok()
            .map(|counters| value(&counters, Counter::Calls) - value(&counters, Counter::Unfit));
        Self {
            time: Instant::now(),
            major_faults: major_faults(&read("/proc/self/stat")).unwrap_or(0),
            pages_read: pages_read.and_then(|count| count.parse().ok()).unwrap_or(0),
            swap_faults,
        }
    }
}

/// The tenth field behind the name in `/proc/PID/stat`; the name may hold blanks and brackets.
fn major_faults(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(9)?.parse().ok()
}

impl Load {
    pub fn run(&self) -> Result<()> {
        let begun = Instant::now();
        let shared = Shared {
            end: self.seconds.map(|seconds| begun + Duration::from_secs(seconds)),
            round: Barrier::new(self.threads as usize),
            over: AtomicBool::new(false),
            begun: Mutex::new(None),
        };
        let name = self
            .kind
            .to_possible_value()
            .map_or_else(String::new, |kind| kind.get_name().to_owned());
        let mut done = 0_u64;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let shared = &shared;
                    scope.spawn(move || self.work_of(thread, shared))
                })
                .collect();
            for thread in threads {
                done += u64::from(thread.join().unwrap_or(0));
            }
        });
        let threads = self.threads;
        if !self.json {
            let seconds = begun.elapsed().as_secs_f64();
            println!("load {name}: {threads} threads, {done} units, {seconds:.2} s");
            return Ok(());
        }
        let end = Counted::now();
        let begun = shared.begun.into_inner().unwrap_or_else(PoisonError::into_inner);
        let begun = begun.unwrap_or_else(Counted::now);
        let swap_faults = end.swap_faults.zip(begun.swap_faults).map(|(end, begun)| end - begun);
        println!(
            "{}",
            json!({
                "load": name, "threads": threads, "units": done,
                "seconds": end.time.duration_since(begun.time).as_secs_f64(),
                "major_faults": end.major_faults - begun.major_faults,
                "pages_read": end.pages_read - begun.pages_read,
                "swap_faults": swap_faults,
            })
        );
        Ok(())
    }

    /// The work of one thread; returns how many units it did.
    fn work_of(&self, thread: u32, shared: &Shared) -> u32 {
        let mut unit = self.unit(u64::from(thread));
        if self.json && thread == 0 {
            *shared.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(Counted::now());
        }
        let is_over = || shared.end.is_some_and(|end| Instant::now() >= end);
        for done in 0..self.work {
            let over = match self.kind {
                // All threads stop after the same round: none waits for one that has gone.
                Kind::StreamCluster => {
                    if shared.round.wait().is_leader() {
                        shared.over.store(is_over(), Ordering::Relaxed);
                    }
                    shared.round.wait();
                    shared.over.load(Ordering::Relaxed)
                }
                _ => is_over(),
            };
            if over {
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
            Kind::StreamCluster => {
                let points = POINTS / self.threads.max(1) as usize;
                let points: Vec<f32> = (0..points * DIMENSIONS).map(|at| at as f32).collect();
                let mut centre = 0;
                Box::new(move || {
                    centre = (centre + 1) % (points.len() / DIMENSIONS).max(1);
                    black_box(cost(&points, centre));
                })
            }
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
            Kind::Convolution => convolution(self.mib),
            Kind::Graph => graph(self.mib),
        }
    }
}

/// Adds the cells of one matrix, shifted by another place in each unit, to those of another one.
fn convolution(mib: usize) -> Box<dyn FnMut()> {
    let cells = (mib << 20) / 2 / size_of::<f32>();
    let (matrix, mut sum) = (vec![1.0_f32; cells], vec![0.5_f32; cells]);
    let mut shift = 0;
    Box::new(move || {
        shift = shift % 9 + 1;
        for (sum, cell) in sum.iter_mut().zip(&matrix[shift..]) {
            *sum += 0.125 * cell;
        }
        black_box(&sum);
    })
}

/// Visits nodes of a random graph in the order in which they were found.
fn graph(mib: usize) -> Box<dyn FnMut()> {
    let count = (mib << 20) / NODE;
    let mut random = 88_172_645_463_325_252;
    let mut nodes = vec![[0_u32; NODE / size_of::<u32>()]; count];
    for node in &mut nodes {
        node.fill_with(|| (next(&mut random) % count as u64) as u32);
    }
    let mut found = vec![false; count];
    let mut queue = std::collections::VecDeque::from([0_u32]);
    Box::new(move || {
        for _ in 0..VISITS {
            let Some(node) = queue.pop_front() else {
                // All that can be reached: once more.
                found.fill(false);
                queue.push_back(0);
                continue;
            };
            for &neighbour in &nodes[node as usize][..NEIGHBOURS] {
                if !std::mem::replace(&mut found[neighbour as usize], true) {
                    queue.push_back(neighbour);
                }
            }
        }
    })
}

/// Sum of the squared distances of points to one of them.
fn cost(points: &[f32], centre: usize) -> f32 {
    let centre = &points[centre * DIMENSIONS..][..DIMENSIONS];
    let distance =
        |point: &[f32]| -> f32 { point.iter().zip(centre).map(|(a, b)| (a - b) * (a - b)).sum() };
    points.chunks_exact(DIMENSIONS).map(distance).sum()
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
        let load =
            |kind, threads, work| Load { kind, threads, work, seconds: None, mib: 1, json: true };
        let shared = |threads, end| Shared {
            end,
            round: Barrier::new(threads),
            over: AtomicBool::new(false),
            begun: Mutex::new(None),
        };
        let fibonacci = load(Kind::Fibonacci, 1, 2);
        assert_eq!(fibonacci.work_of(0, &shared(1, None)), 2);
        assert_eq!(fibonacci.work_of(0, &shared(1, Some(Instant::now()))), 0);
        for kind in [Kind::Convolution, Kind::Graph, Kind::Column, Kind::Matrix] {
            assert_eq!(load(kind, 1, 3).work_of(0, &shared(1, None)), 3);
        }
        // Threads that wait for each other end together, however far they come.
        let rounds = |work, end| -> Vec<u32> {
            let (cluster, shared) = (&load(Kind::StreamCluster, 3, work), &shared(3, end));
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..3)
                    .map(|thread| scope.spawn(move || cluster.work_of(thread, shared)))
                    .collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            })
        };
        assert_eq!(rounds(2, None), [2; 3]);
        let done = rounds(u32::MAX, Some(Instant::now() + Duration::from_millis(20)));
        assert!(done.iter().all(|rounds| *rounds == done[0]), "{done:?}");
        assert_eq!(cost(&[0.0; 2 * DIMENSIONS], 1), 0.0);
        assert_eq!(cost(&[[0.0; DIMENSIONS], [2.0; DIMENSIONS]].concat(), 1), 64.0);
    }

    #[test]
    fn the_kernels_counts_are_read() {
        let stat = "7 (a ) b) R 1 2 3 4 5 6 11 12 13 14 15";
        assert_eq!(major_faults(stat), Some(13));
        assert_eq!(major_faults("7"), None);
        let (first, second) = (Counted::now(), Counted::now());
        assert!(second.major_faults >= first.major_faults && first.major_faults < 1 << 40);
    }
}
