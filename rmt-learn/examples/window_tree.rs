//! One window through the on-line learner, for `tools/bench_tree.py`: how long it takes and how
//! right the tree is.
//!
//! ```text
//! cargo run --release -p rmt-learn --example window_tree -- TRAIN.csv TEST.csv DEPTH LEAVES LEAST
//! ```
//!
//! The files hold integers without header, the class last. Prints JSON: the least and the median
//! processor time of many windows in milliseconds, the share of test rows classified right, and
//! leaves.

use std::error::Error;

use cpu_time::ThreadTime;
use rmt_learn::tree::{GrowConfig, OnlineConfig, OnlineTree};

/// Windows that are timed.
const WINDOWS: usize = 41;

fn read(path: &str) -> Result<Vec<Vec<i32>>, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)?;
    let parse = |line: &str| line.split(',').map(|field| Ok(field.trim().parse()?)).collect();
    text.lines().map(parse).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [train, test, depth, leaves, least] = arguments.as_slice() else {
        return Err("usage: window_tree TRAIN.csv TEST.csv DEPTH LEAVES LEAST".into());
    };
    let (train, test) = (read(train)?, read(test)?);
    let width = train.first().map_or(0, Vec::len).saturating_sub(1);
    let classes = train.iter().chain(&test).filter_map(|row| row.last()).max().copied();
    let grow = GrowConfig {
        max_depth: depth.parse()?,
        max_leaves: leaves.parse()?,
        min_leaf_rows: least.parse()?,
        max_bins: 64,
    };
    let config = OnlineConfig { window_samples: train.len(), period_samples: train.len(), grow };
    let mut learner = OnlineTree::new(width, classes.unwrap_or(0) as usize + 1, config)?;
    let mut times = Vec::new();
    let mut tree = None;
    for _ in 0..WINDOWS {
        // Taking the samples in is part of a window's work.
        let start = ThreadTime::now();
        for row in &train {
            learner.push_label(&row[..width], row[width] as usize)?;
        }
        tree = Some(learner.learn()?);
        times.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    let tree = tree.ok_or("no window")?;
    let right = test.iter().filter(|row| tree.evaluate(&row[..width]) == row[width]).count();
    println!(
        "{{\"least_ms\": {:.3}, \"median_ms\": {:.3}, \"accuracy\": {:.5}, \"leaves\": {}}}",
        times[0],
        times[WINDOWS / 2],
        right as f64 / test.len() as f64,
        tree.leaf_count()
    );
    Ok(())
}
