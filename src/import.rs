//! `rmt import`: an ONNX model becomes a model file and a program that runs it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};
use rmt_isa::operand::Element;
use rmt_learn::model_file::ModelFile;
use rmt_learn::network::program_text::program_text;
use rmt_learn::network::quantise::quantise;
use rmt_learn::onnx::{Imported, forest_program_text, import};
use serde_json::json;

use crate::program;

/// Turn an ONNX model (network or tree ensemble) into a model file and a .rmt program.
///
/// Quantised networks keep their integers. A float network is quantised with the inputs of
/// --calibrate: lines of integers, one for each feature, without a header.
///
/// Example: rmt import model.onnx -o build/classifier.rmt
#[derive(Args)]
pub struct Import {
    /// The ONNX file
    model: PathBuf,
    /// The program to write; the model file goes beside it, with the ending .json
    #[arg(short, long)]
    output: PathBuf,
    /// Inputs that a float network is quantised with, as CSV
    #[arg(long)]
    calibrate: Option<PathBuf>,
    /// Width of a float network's activations
    #[arg(long, value_enum, default_value = "i16")]
    activations: Activations,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Activations {
    I8,
    I16,
}

impl Import {
    pub fn run(self) -> Result<()> {
        let source = self.model.display().to_string();
        let size =
            fs::metadata(&self.model).with_context(|| format!("cannot read {source}"))?.len();
        ensure!(
            size <= rmt_learn::onnx::MAX_FILE_BYTES as u64,
            "{source} has {size} bytes; models of up to {} are read",
            rmt_learn::onnx::MAX_FILE_BYTES
        );
        let bytes = fs::read(&self.model).with_context(|| format!("cannot read {source}"))?;
        let imported = import(&source, &bytes)?;
        let name = stem(&self.output)?;
        let model_name = format!("{name}.json");
        let mut notes = vec![("made_by".to_owned(), format!("rmt import {source}"))];
        notes.extend(imported.notes.iter().map(|note| ("note".to_owned(), note.clone())));
        let (file, text, kind) = match imported.model {
            Imported::Quantised(network) => {
                let text = program_text(&network, &name, &model_name)?;
                (network.to_model_file(notes), text, "quantised network")
            }
            Imported::Float(network) => {
                let Some(path) = &self.calibrate else {
                    bail!(
                        "{source} is a float network of {} inputs; give --calibrate FILE with lines of {} integers, so that it can be quantised",
                        network.inputs(),
                        network.inputs()
                    );
                };
                let rows = read_rows(path, network.inputs())?;
                let element = match self.activations {
                    Activations::I8 => Element::I8,
                    Activations::I16 => Element::I16,
                };
                let units = vec![1.0; network.inputs()];
                let mut integers = quantise(&network, &units, &rows, element)?;
                // The narrowest lanes that hold all calibration inputs.
                let fits = |element: Element| {
                    rows.iter().flatten().all(|lane| element.saturate((*lane).into()) == *lane)
                };
                integers.input_element = [Element::I8, Element::I16]
                    .into_iter()
                    .find(|e| fits(*e))
                    .unwrap_or(Element::I32);
                let text = program_text(&integers, &name, &model_name)?;
                (integers.to_model_file(notes), text, "float network, quantised")
            }
            Imported::Forest(forest) => {
                let text = forest_program_text(&forest, &name, &model_name)?;
                let file = ModelFile { notes, forests: forest.forests, ..ModelFile::default() };
                (file, text, "trees")
            }
        };
        // Both files or none: a program that the verifier refuses is not left behind.
        let folder = tempfile::tempdir().context("cannot make a folder for checking")?;
        fs::write(folder.path().join(&model_name), file.to_json())?;
        let draft = folder.path().join(format!("{name}.rmt"));
        fs::write(&draft, &text)?;
        let (_, report) = program::load_verified(&draft, &Default::default())?;
        let model_path = self.output.with_file_name(&model_name);
        program::write_whole(&model_path, file.to_json().as_bytes())?;
        program::write_whole(&self.output, text.as_bytes())?;
        if self.json {
            let result = json!({
                "kind": kind, "program": self.output, "model": model_path,
                "card_cycles": report.event.card_cycles, "macs": report.event.macs, "notes": imported.notes,
            });
            println!("{result}");
        } else {
            println!("{kind}: {} and {}", self.output.display(), model_path.display());
            println!(
                "an event takes at most {} card cycles, {} multiply-accumulates, {} comparisons",
                report.event.card_cycles, report.event.macs, report.event.comparisons
            );
            imported.notes.iter().for_each(|note| println!("note: {note}"));
        }
        Ok(())
    }
}

/// The program's name: that of the file.
fn stem(path: &Path) -> Result<String> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    ensure!(
        path.extension().is_some_and(|ending| ending == "rmt"),
        "{}: the output is a program, its name ends in .rmt",
        path.display()
    );
    Ok(name.to_owned())
}

fn read_rows(path: &Path, width: usize) -> Result<Vec<Vec<i32>>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let row: Option<Vec<i32>> =
            line.split(',').map(|field| field.trim().parse().ok()).collect();
        match row {
            Some(row) if row.len() == width => rows.push(row),
            _ => bail!(
                "{}: line {}: {width} integers are expected, found '{line}'",
                path.display(),
                index + 1
            ),
        }
    }
    ensure!(!rows.is_empty(), "{} has no line; give some inputs", path.display());
    Ok(rows)
}
