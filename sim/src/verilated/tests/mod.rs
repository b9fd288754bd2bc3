//! Builds real models with the real tools, and holds them against plain Rust.

mod build;
mod drive;
mod waveform;

use std::path::{Path, PathBuf};

use super::*;

/// The tools; a test without them fails with the remedy, so that it cannot pass by doing nothing.
fn toolchain() -> Toolchain {
    Toolchain::locate().unwrap_or_else(|error| panic!("{error}"))
}

/// `tests/sample.v`, quick to build.
fn sample() -> VerilatedBuild {
    let ports = vec![
        Port::input("clk", 1),
        Port::input("reset", 1),
        Port::input("enable", 1),
        Port::output("count", 32),
        Port::input("a", 8),
        Port::input("b", 16),
        Port::output("sum", 40),
        Port::input("wide_in", 300),
        Port::output("wide_out", 300),
        Port::input("write", 1),
        Port::input("address", 4),
        Port::input("write_data", 37),
        Port::output("read_data", 37),
        Port::output("parity", 1),
    ];
    let source = ("sample.v".to_owned(), include_str!("sample.v").to_owned());
    let build = VerilatedBuild::new("sample", vec![source], ports);
    VerilatedBuild { optimisation: Optimisation::Build, ..build }
}

/// A module of a few lines, quick to build. `name` and `body` make it different from other tests'
/// ones.
fn small(name: &str, ports: Vec<Port>, body: &str) -> VerilatedBuild {
    let declare =
        |port: &Port| format!("{} reg [{}:0] {}", port.direction, port.width - 1, port.name);
    let list: Vec<_> =
        ports.iter().map(|port| declare(port).replace("input reg", "input")).collect();
    let text = format!("module {name} (\n  {}\n);\n{body}\nendmodule\n", list.join(",\n  "));
    let build = VerilatedBuild::new(name, vec![(format!("{name}.v"), text)], ports);
    VerilatedBuild { optimisation: Optimisation::Build, ..build }
}

/// A counter that is called `name`.
fn counter(name: &str) -> VerilatedBuild {
    let ports = vec![Port::input("clk", 1), Port::output("count", 8)];
    small(name, ports, "always @(posedge clk) count <= count + 8'd1;")
}

/// A cache of its own for a test that looks at what the cache does. Verilator's runtime is lent
/// from the shared cache: to compile it anew would take most of the test's time.
struct FreshCache(tempfile::TempDir);

impl FreshCache {
    fn new() -> Self {
        counter("counter").build(&toolchain(), &default_cache_dir()).unwrap();
        let fresh = tempfile::tempdir().unwrap();
        for item in std::fs::read_dir(default_cache_dir()).unwrap().flatten() {
            if item.path().join("runtime_verilated.cpp.o").exists() {
                std::os::unix::fs::symlink(item.path(), fresh.path().join(item.file_name()))
                    .unwrap();
            }
        }
        FreshCache(fresh)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Folders that hold a model, finished or not.
    fn models(&self) -> Vec<PathBuf> {
        let listing = std::fs::read_dir(self.path()).unwrap().flatten();
        listing.filter(|item| item.file_type().unwrap().is_dir()).map(|item| item.path()).collect()
    }
}

/// A small generator of test values (xorshift64*, Vigna 2016): the same sequence in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
