//! `rmt gen --estimate`: what a card takes on an ECP5, without synthesis.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, Table, presets};
use rmt_core::CoreConfig;
use rmt_fpga::boards::{BOARDS, Flow};
use rmt_fpga::estimate::{ArrayPoint, Calibration, Estimate};
use rmt_fpga::resources::Resources;
use rmt_isa::card::CardShape;
use rmt_isa::card::engine::EngineShape;
use serde_json::json;

use crate::demo::plot::{LogLines, stacked};

/// Rows and columns of the array, and stages, of the plot.
const ARRAYS: [u32; 4] = [4, 8, 16, 32];
const STAGES: [u32; 3] = [1, 2, 4];

/// Prints the estimate of a card, and plots that of cards around it.
pub fn run(config: &CoreConfig, svg: Option<&Path>, as_json: bool) -> Result<()> {
    let calibration = Calibration::ecp5()?;
    let arrays = ArrayPoint::known()?;
    let estimate = of(&calibration, config)?;
    if let Some(path) = svg {
        fs::write(path, stacked(&[plot(&calibration, config)?, plot_clocks(&arrays)?]))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let boards: Vec<_> = BOARDS
        .iter()
        .filter(|board| board.flow == Flow::Trellis)
        .map(|board| (board.name, estimate.total.fits(&board.part.resources)))
        .collect();
    if as_json {
        let fits: Vec<_> = (boards.iter())
            .map(|(name, fits)| {
                let short = fits.as_ref().err().map(ToString::to_string);
                json!({ "board": name, "fits": fits.is_ok(), "short": short })
            })
            .collect();
        let points = &calibration.points;
        println!(
            "{}",
            json!({ "estimate": estimate, "boards": fits, "calibration": points, "arrays": arrays })
        );
        return Ok(());
    }
    println!("{}", table(&estimate));
    if !estimate.unknown.is_empty() {
        println!("never built, so taken like the others: {}", estimate.unknown.join(", "));
    }
    for (board, fits) in boards {
        match fits {
            Ok(()) => println!("{board}: it fits"),
            Err(shortage) => println!("{board}: {shortage}"),
        }
    }
    println!("multipliers and block RAMs are counted; tables and flip-flops are fitted to:");
    for point in &calibration.points {
        let (built, error) = (point.built.luts, 100.0 * point.error());
        println!("  {}: {built} tables, by the other builds {error:+.1} %", point.name);
    }
    println!(
        "clocks are not estimated; after routing the array alone, between registers, reached:"
    );
    for array in &arrays {
        println!("  {}, {} x {}: {} MHz", array.series(), array.size, array.size, array.mhz);
    }
    Ok(())
}

/// The estimate of a card with the PCIe endpoint, without the board's link.
fn of(calibration: &Calibration, config: &CoreConfig) -> Result<Estimate> {
    Ok(calibration.estimate(&rmt_core::elaborate_card(config)?))
}

fn table(estimate: &Estimate) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(["module", "look-up tables", "flip-flops", "multipliers", "block RAMs"]);
    let mut add = |name: &str, resources: &Resources| {
        let numbers = resources.rows().map(|(_, number)| number.to_string());
        table.add_row([name.to_owned()].into_iter().chain(numbers));
    };
    for (kind, resources) in &estimate.kinds {
        add(kind, resources);
    }
    add("in all", &estimate.total);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Tables against the array's size, a line for each number of stages; the card itself is marked.
fn plot(calibration: &Calibration, config: &CoreConfig) -> Result<String> {
    let mut series = Vec::new();
    for stages in STAGES {
        let mut points = Vec::new();
        for array in ARRAYS {
            let engine = EngineShape { array, ..config.shape().engine.clone() };
            let shape = CardShape { stages, engine, ..config.shape().clone() };
            let other = CoreConfig::new(shape);
            // Not each array goes with each other parameter.
            if other.check().is_ok() {
                let tables = of(calibration, &other)?.total.luts;
                points.push((f64::from(array), tables as f64));
            }
        }
        series.push((format!("stages: {stages}"), points));
    }
    let own = of(calibration, config)?.total.luts;
    LogLines {
        title: "Look-up tables of a card on the ECP5, estimated",
        axes: ["rows and columns of the array", "look-up tables"],
        series,
        marks: vec![(f64::from(config.shape().engine.array), own as f64)],
    }
    .to_svg()
}

/// What the clock of the array alone reached, against its size, a line for each part.
fn plot_clocks(arrays: &[ArrayPoint]) -> Result<String> {
    let mut series: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for array in arrays {
        let point = (f64::from(array.size), array.mhz);
        let name = array.series();
        match series.iter_mut().find(|(other, _)| *other == name) {
            Some((_, points)) => points.push(point),
            None => series.push((name, vec![point])),
        }
    }
    let marks = series.iter().flat_map(|(_, points)| points.clone()).collect();
    LogLines {
        title: "Clock of the array alone after routing, measured",
        axes: ["rows and columns of the array", "MHz"],
        series,
        marks,
    }
    .to_svg()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_larger_card_takes_more_and_the_plot_shows_it() {
        let calibration = Calibration::ecp5().unwrap();
        let preset = |name| CoreConfig::preset(name).unwrap();
        let tiny = of(&calibration, &preset("tiny")).unwrap();
        let small = of(&calibration, &preset("small")).unwrap();
        assert!(small.total.luts > tiny.total.luts);
        let svg = plot(&calibration, &preset("tiny")).unwrap();
        assert!(svg.contains("stages: 4") && svg.contains("<circle"));
        let arrays = ArrayPoint::known().unwrap();
        let svg = plot_clocks(&arrays).unwrap();
        for array in &arrays {
            assert!(svg.contains(&array.series()), "{}", array.series());
        }
    }
}
