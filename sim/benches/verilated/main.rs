//! What driving a model from Rust costs, against a bare C++ test bench around the same RTL.
//!
//! `cargo bench -p rmt-sim --bench verilated`
//!
//! Of a block, and of the whole core with a program of the firmware (`core`).
//!
//! Both sides poke all inputs and read all outputs in each cycle, from the same random numbers; equal
//! checksums show that they did the same work. The peer is built twice: with this crate's options, and with
//! those that Verilator's manual recommends for speed. Runs are short and alternate, processor time is what
//! is measured, and the best of each side counts: so other load on the machine changes the ratio little.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::time::{ClockId, clock_gettime};

use rmt_sim::verilated::{
    InitialState, Port, Source, Toolchain, VerilatedBuild, VerilatedModel, default_cache_dir,
};

mod core;

const SOURCE: &str = include_str!("mac_array.v");
const ROUNDS: usize = 25;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let toolchain = Toolchain::locate()?;
    println!("{}", toolchain.identity().trim());
    println!("cells    cycles  rust kcycles/s  same options  ratio  recommended options  ratio");
    // The smaller the design, the more a fixed cost for each cycle shows.
    for (size, cycles) in [(12, 100_000), (16, 60_000)] {
        compare(&toolchain, size, cycles)?;
    }
    core::compare(&toolchain)
}

fn compare(toolchain: &Toolchain, size: usize, cycles: u64) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let sources = [("mac_array.v".to_owned(), SOURCE.to_owned())];
    let defines = [("SIZE", size.to_string())];
    let peer = |verilator_options, level| Peer {
        sources: &sources,
        top: "mac_array",
        text: include_str!("bare.cpp"),
        defines: &defines,
        verilator_options,
        level,
    };
    let same =
        peer(&["--output-split", "4000", "--x-assign", "unique", "--x-initial", "unique"], "-O2");
    let same = build_peer(toolchain, &folder.path().join("same"), &same)?;
    let recommended = peer(&["--x-assign", "fast", "--x-initial", "fast", "--no-assert"], "-O3");
    let recommended = build_peer(toolchain, &folder.path().join("recommended"), &recommended)?;
    let model = build_model(toolchain, size)?;

    let mut best = [f64::INFINITY; 3];
    for _ in 0..ROUNDS {
        let runs = [
            run_model(&model, size, cycles)?,
            run_peer(&same, cycles)?,
            run_peer(&recommended, cycles)?,
        ];
        for (best, (checksum, seconds)) in best.iter_mut().zip(runs) {
            if checksum != runs[0].0 {
                return Err(format!("checksums differ: {runs:x?}").into());
            }
            *best = best.min(seconds);
        }
    }
    let speed = best.map(|seconds| cycles as f64 / seconds / 1000.0);
    println!(
        "{size:2} x {size:2}  {cycles:>7}  {:14.0}  {:12.0}  {:5.2}  {:19.0}  {:5.2}",
        speed[0],
        speed[1],
        speed[0] / speed[1],
        speed[2],
        speed[0] / speed[2]
    );
    Ok(())
}

fn build_model(toolchain: &Toolchain, size: usize) -> Result<VerilatedModel, Failure> {
    let bits = u32::try_from(size)?;
    let ports = vec![
        Port::input("clk", 1),
        Port::input("reset", 1),
        Port::input("load", 1),
        Port::input("activations", bits * 8),
        Port::input("weights", bits * 8),
        Port::output("sums", bits * 32),
    ];
    let sources = vec![("mac_array.v".to_owned(), SOURCE.to_owned())];
    let mut build = VerilatedBuild::new("mac_array", sources, ports);
    build.defines.push(("SIZE".to_owned(), size.to_string()));
    Ok(build.build(toolchain, &default_cache_dir())?)
}

/// The processor time that this process has used.
fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The checksum and the seconds of one run of `cycles` cycles, as bare.cpp does it.
fn run_model(model: &VerilatedModel, size: usize, cycles: u64) -> Result<(u64, f64), Failure> {
    let clk = model.clock("clk")?;
    let (reset, load) = (model.input("reset")?, model.input("load")?);
    let (activations, weights) = (model.input("activations")?, model.input("weights")?);
    let sums = model.output("sums")?;
    let mut design = model.instantiate(InitialState::Zero)?;
    design.poke(reset, 1)?;
    design.cycle(clk)?;
    design.poke(reset, 0)?;

    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut checksum = 0u64;
    let (mut low, mut high) = (vec![0; size / 4], vec![0; size / 4]);
    let start = processor_seconds();
    for number in 0..cycles {
        design.poke(load, u64::from(number % 64 < size as u64))?;
        for (low, high) in low.iter_mut().zip(&mut high) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            *low = random as u32;
            *high = (random >> 32) as u32;
        }
        design.poke_words(activations, &low)?;
        design.poke_words(weights, &high)?;
        design.cycle(clk)?;
        for sum in design.words(sums)? {
            checksum = checksum.wrapping_mul(31).wrapping_add(u64::from(*sum));
        }
    }
    Ok((checksum, processor_seconds() - start))
}

/// A bare test bench in C++ and the design around which it is built.
struct Peer<'a> {
    sources: &'a [Source],
    top: &'a str,
    /// Its text.
    text: &'a str,
    /// Macros of both Verilog and C++.
    defines: &'a [(&'a str, String)],
    verilator_options: &'a [&'a str],
    /// Level of optimisation.
    level: &'a str,
}

/// Builds a peer in `folder`, and returns the program.
fn build_peer(toolchain: &Toolchain, folder: &Path, peer: &Peer<'_>) -> Result<PathBuf, Failure> {
    std::fs::create_dir(folder)?;
    std::fs::write(folder.join("bare.cpp"), peer.text)?;
    let root = toolchain.verilator_root();
    let mut verilate = Command::new(toolchain.verilator());
    verilate.env("VERILATOR_ROOT", root).args(["--cc", "-O3", "--prefix", "Vbare", "--Mdir", "."]);
    verilate.args(["--top-module", peer.top, "--no-timing"]).args(peer.verilator_options);
    for (name, value) in peer.defines {
        verilate.arg(format!("+define+{name}={value}"));
    }
    for (name, text) in peer.sources {
        std::fs::write(folder.join(name), text)?;
        verilate.arg(name);
    }
    succeed_with(verilate.current_dir(folder))?;

    let mut compile = Command::new(toolchain.compiler());
    compile.current_dir(folder).args(["-std=gnu++17", "-w", "-march=native", "-pthread"]);
    compile.args([peer.level, "-I.", "-DVM_TRACE=0", "-DVM_COVERAGE=0", "-DVM_SC=0"]);
    compile.arg("-DVM_TIMING=0").arg("-I").arg(root.join("include"));
    compile.args(peer.defines.iter().map(|(name, value)| format!("-D{name}={value}")));
    for item in std::fs::read_dir(folder)? {
        compile.args(Some(item?.path()).filter(|path| path.extension() == Some("cpp".as_ref())));
    }
    let runtime = ["verilated.cpp", "verilated_threads.cpp"];
    compile.args(runtime.map(|name| root.join("include").join(name))).args(["-o", "bare"]);
    succeed_with(&mut compile)?;
    Ok(folder.join("bare"))
}

/// What a command prints.
fn succeed_with(command: &mut Command) -> Result<String, Failure> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr)).into())
}

/// The checksum and the seconds that the peer prints.
fn run_peer(program: &Path, cycles: u64) -> Result<(u64, f64), Failure> {
    let text = succeed_with(Command::new(program).arg(cycles.to_string()))?;
    let (checksum, seconds) = text.trim().split_once(' ').ok_or("the peer printed no result")?;
    Ok((u64::from_str_radix(checksum, 16)?, seconds.parse()?))
}
