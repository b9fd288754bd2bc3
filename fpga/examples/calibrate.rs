//! Fits the estimate of area to builds: `cargo run -p rmt-fpga --example calibrate -- build/fpga/*/report.json`.
//!
//! Prints the calibration, which stands in `fpga/src/estimate/ecp5.json`, and on standard error how good it is.

use std::error::Error;
use std::fs;
use std::path::Path;

use rmt_fpga::Board;
use rmt_fpga::estimate::Calibration;
use rmt_fpga::flow::design;
use rmt_fpga::report::Report;

fn main() -> Result<(), Box<dyn Error>> {
    let mut reports = Vec::new();
    for path in std::env::args().skip(1) {
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let report: Report =
            serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
        // The folder of a build is its name.
        let folder = Path::new(&path).parent().and_then(Path::file_name);
        let name = folder.map_or(path.clone(), |name| name.to_string_lossy().into_owned());
        reports.push((name, report));
    }
    let mut designs = Vec::new();
    for (_, report) in &reports {
        let board = Board::find(&report.board)?;
        designs.push(design(board, &report.configuration, report.asked_mhz)?);
    }
    let builds: Vec<_> = (reports.iter().zip(&designs))
        .map(|((name, report), design)| (name.as_str(), design, &report.modules[..]))
        .collect();
    let yosys = reports.first().and_then(|(_, report)| report.tools.get("yosys"));
    // Behind the version stands how it was compiled.
    let version = yosys.and_then(|yosys| yosys.split(" (").next()).unwrap_or_default();
    let calibration = Calibration::fit(version, &builds);
    for point in &calibration.points {
        let (built, predicted) = (point.built.rows(), point.predicted.rows());
        eprintln!("{}:", point.name);
        for ((name, built), (_, predicted)) in built.into_iter().zip(predicted) {
            eprintln!("  {name}: {built} built, {predicted} by the others");
        }
    }
    println!("{}", serde_json::to_string_pretty(&calibration)?);
    Ok(())
}
