//! The generated Verilog is clean under `verilator --lint-only -Wall` and parses in Icarus.

use std::path::{Path, PathBuf};
use std::process::Command;

use rmt_core::pcie::card::TOP as PCIE_CARD;
use rmt_core::top::TOP;
use rmt_core::{CoreConfig, card, elaborate_pcie_card, generate};
use rmt_isa::card::CardShape;

/// Verilator as `./x setup` installed it, else from `PATH`.
fn verilator() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/lib");
    let installed = std::fs::read_dir(venv).ok()?.flatten().find_map(|python| {
        let program = python.path().join("site-packages/verilator/bin/verilator");
        program.is_file().then_some(program)
    });
    installed.or_else(|| on_path("verilator"))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Writes the files of a preset to a folder of the test's own and gives their paths.
fn write(preset: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lint_{preset}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let files = generate(&CoreConfig::preset(preset).unwrap()).unwrap();
    files
        .into_iter()
        .map(|file| {
            let path = folder.join(&file.name);
            std::fs::write(&path, file.text).unwrap();
            path
        })
        .collect()
}

fn accepts(mut command: Command, files: &[PathBuf]) {
    let output = command.args(files).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.trim().is_empty(), "{command:?}:\n{text}");
}

#[test]
fn verilator_finds_nothing_to_complain_of() {
    let Some(verilator) = verilator() else {
        eprintln!("skipped: no Verilator; `./x setup` installs it");
        return;
    };
    for preset in CoreConfig::PRESETS {
        let mut command = Command::new(&verilator);
        command.args(["--lint-only", "-Wall", "--top-module", TOP]);
        accepts(command, &write(preset));
    }
}

#[test]
fn icarus_parses_it() {
    let Some(icarus) = on_path("iverilog") else {
        eprintln!("skipped: no Icarus Verilog; the package `iverilog` has it");
        return;
    };
    let mut command = Command::new(icarus);
    command.args(["-g2012", "-t", "null", "-s", TOP]);
    accepts(command, &write("tiny"));
}

/// The same for a small card with streams of some width, alone and in a clock domain of its own.
fn write_card(stream_bits: u32) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lint_card_{stream_bits}"));
    let _ = std::fs::remove_dir_all(&folder);
    let shape = CardShape { stream_bits, ..CardShape::tiny() };
    let design = elaborate_pcie_card(&CoreConfig::new(shape)).unwrap();
    let names = design.write_to(&folder).unwrap();
    names.into_iter().map(|name| folder.join(name)).collect()
}

#[test]
fn verilator_finds_nothing_to_complain_of_in_a_card() {
    let Some(verilator) = verilator() else {
        eprintln!("skipped: no Verilator; `./x setup` installs it");
        return;
    };
    for stream_bits in [64, 128] {
        let files = write_card(stream_bits);
        for top in [card::TOP, PCIE_CARD] {
            let mut command = Command::new(&verilator);
            command.args(["--lint-only", "-Wall", "--top-module", top]);
            accepts(command, &files);
        }
    }
}

#[test]
fn icarus_parses_a_card() {
    let Some(icarus) = on_path("iverilog") else {
        eprintln!("skipped: no Icarus Verilog; the package `iverilog` has it");
        return;
    };
    let mut command = Command::new(icarus);
    command.args(["-g2012", "-t", "null", "-s", PCIE_CARD]);
    accepts(command, &write_card(64));
}
