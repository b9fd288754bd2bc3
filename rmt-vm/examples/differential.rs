//! Compares JIT and interpreter on random verified programs.
//!
//! ```text
//! cargo run --release -p rmt-vm --example differential -- --cases 100000 --seed 1
//! ```
//!
//! A difference names its seed; `--cases 1 --seed N` runs that case again.

#[cfg(feature = "jit")]
fn main() -> std::process::ExitCode {
    use std::process::ExitCode;
    use std::time::Instant;

    use rmt_vm::generate::{Options, verified_case};
    use rmt_vm::jit::{Jit, differential::compare};

    let (mut cases, mut seed) = (10_000_u64, 1_u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (name.as_str(), value) {
            ("--cases", Some(value)) => cases = value,
            ("--seed", Some(value)) => seed = value,
            _ => {
                eprintln!("usage: differential [--cases N] [--seed N]; found `{name}`");
                return ExitCode::FAILURE;
            }
        }
    }
    let mut jit = Jit::default();
    // Short vectors, long ones, and long programs take turns.
    let mut options = [Options::default(), Options::default(), Options::default()];
    (options[1].lanes, options[1].ring_depth) = (256, 256);
    options[2].instructions_per_action = 60..=200;
    let start = Instant::now();
    let mut events = 0;
    for case in 0..cases {
        let seed = seed.wrapping_add(case);
        let options = &options[(seed % options.len() as u64) as usize];
        match compare(&verified_case(seed, options), &mut jit) {
            Ok(ran) => events += ran,
            Err(difference) => {
                eprintln!("seed {seed}: {difference}");
                eprintln!("again: --cases 1 --seed {seed}");
                return ExitCode::FAILURE;
            }
        }
        if (case + 1) % 10_000 == 0 {
            eprintln!("{} cases, {events} events, {:.0?}", case + 1, start.elapsed());
        }
    }
    println!("{cases} cases, {events} events, no difference; seeds {seed} and up");
    ExitCode::SUCCESS
}

#[cfg(not(feature = "jit"))]
fn main() {
    eprintln!("built without the feature `jit`; there is nothing to compare");
}
