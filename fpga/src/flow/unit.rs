//! A unit of the card alone, between registers: what its own clock could be, whatever the rest of the card does.
//!
//! ```text
//!  data_in ─► a register for each input bit, in a row ─► unit ─► a register for each output bit, read as a row ─► data_out
//! ```
//!
//! So the longest path is the unit's, or one step into it or out of it, and the FPGA needs four pins. What it makes is
//! never loaded into one.

use std::fmt::Write as _;
use std::time::Duration;

use rtl_builder::Direction;
use rtl_builder::prelude::Design;
use serde::Serialize;

use super::{Builder, Goal, family};
use crate::boards::{Board, Flow, TOP};
use crate::error::FpgaError;
use crate::report::{ModuleUse, Timing};
use crate::resources::Resources;

/// What is measured.
pub struct Request<'a> {
    /// For the part of which board.
    pub board: &'static Board,
    /// The unit; it has one clock, and may have multiples of it by powers of two.
    pub design: &'a Design,
    /// Clock asked for, MHz.
    pub mhz: f64,
    /// Seed of place and route.
    pub seed: u32,
    /// How long each tool may run.
    pub limit: Duration,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// What the unit takes, without the registers around it.
    pub used: Resources,
    /// Multipliers whose registers are the block's.
    pub packed_multipliers: u64,
    /// Clocks and paths.
    pub timing: Timing,
    /// Versions of yosys and nextpnr.
    pub tools: std::collections::BTreeMap<String, String>,
}

impl Measured {
    /// What the fastest clock reaches, MHz, with those that are a part of it.
    pub fn mhz(&self) -> f64 {
        let clocks = &self.timing.clocks;
        let fastest = clocks.iter().map(|clock| clock.asked_mhz).fold(f64::NAN, f64::max);
        let reached = clocks.iter().map(|clock| clock.reached_mhz * fastest / clock.asked_mhz);
        reached.fold(f64::NAN, f64::min)
    }
}

/// Counts cycles of the fastest clock; a bit of it is the slower one.
const COUNTER: &str = "cycles";

/// Registers around a unit; its top, as that of a board, is [`TOP`]. The pin is the fastest clock of the unit, a counter makes
/// the other.
fn harness(design: &Design) -> String {
    let bits = |direction: Direction| -> u32 {
        design
            .ports()
            .iter()
            .filter(|port| port.direction == direction)
            .map(|port| port.width)
            .sum()
    };
    let (inputs, outputs) = (bits(Direction::Input), bits(Direction::Output));
    let mut ports = String::new();
    let multiples = design.multiples();
    let divides = multiples.iter().map(|(_, cycles)| cycles.ilog2()).max();
    let slow = if divides.is_some() { "slow" } else { "clk" };
    let divider = divides.map_or_else(String::new, |bits| {
        let last = bits - 1;
        format!(
            "reg [{last}:0] {COUNTER};\nwire slow = {COUNTER}[{last}];\nalways @(posedge clk) {COUNTER} <= {COUNTER} + 1;\n"
        )
    });
    for (index, (clock, reset)) in design.clocks().into_iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let is_multiple = multiples.iter().any(|(multiple, _)| *multiple == clock);
        let _ = write!(ports, "{comma}.{clock}({})", if is_multiple { "clk" } else { slow });
        let _ = reset.map(|reset| write!(ports, ", .{reset}(1'b0)"));
    }
    let (mut next_input, mut next_output) = (0, 0);
    for port in design.ports() {
        let (row, next) = match port.direction {
            Direction::Input => ("row_in", &mut next_input),
            Direction::Output => ("unit_out", &mut next_output),
        };
        let _ = write!(ports, ", .{}({row}[{} +: {}])", port.name, *next, port.width);
        *next += port.width;
    }
    format!(
        "module {TOP} (input clk, data_in, shift, output reg data_out);\n\
         {divider}\
         reg [{inputs}:0] row_in;\n\
         reg [{outputs}:0] held, row_out;\n\
         reg shift_q;\n\
         wire [{outputs}:0] unit_out;\n\
         assign unit_out[{outputs}] = row_in[{inputs}];\n\
         {} unit ({ports});\n\
         always @(posedge {slow}) begin\n\
         row_in <= {{row_in, data_in}};\n\
         shift_q <= shift;\n\
         held <= unit_out;\n\
         row_out <= shift_q ? row_out << 1 : held;\n\
         data_out <= row_out[{outputs}];\n\
         end\nendmodule\n",
        design.top_name()
    )
}

/// Four pins that the part has, as its tool wants to know them.
fn pins(flow: Flow) -> String {
    match flow {
        // Any will do.
        Flow::Trellis => String::new(),
        // A pin for clocks and three of the lights' bank, of the package of the Acorn.
        Flow::Xray | Flow::Vivado => {
            [("clk", "J19"), ("data_in", "G3"), ("shift", "H3"), ("data_out", "G4")]
                .map(|(port, pin)| {
                    format!(
                        "set_property PACKAGE_PIN {pin} [get_ports {port}]\n\
                     set_property IOSTANDARD LVCMOS33 [get_ports {port}]\n"
                    )
                })
                .concat()
        }
    }
}

impl Builder<'_> {
    /// Synthesises, places and routes a unit between registers.
    ///
    /// # Errors
    /// As [`Builder::build`]; boards of Vivado cannot be measured here.
    pub fn measure(&mut self, request: &Request<'_>) -> Result<Measured, FpgaError> {
        let Request { board, design, mhz, seed, limit } = *request;
        let family = family(board.flow).ok_or(FpgaError::NotHere { board: board.name })?;
        let tools = self.versions(&family.tools[..1])?;
        (family.check)(&self.search, board)?;
        let mut files = design.files();
        files.push(("unit_between_registers.v".to_owned(), harness(design)));
        let synthesis = (family.synthesis)(!design.multiples().is_empty());
        let script = super::script(&synthesis, &files, &[], &[]);
        let (netlist, modules, packed_multipliers) =
            self.synthesise(&files, (&script, family.mend), &tools, limit)?;
        let of = |name: &str| modules.iter().find(|module: &&ModuleUse| module.name == name);
        let total = of(TOP).map(|module| module.total).unwrap_or_default();
        total.fits(&board.part.resources).map_err(|shortage| FpgaError::TooLarge {
            board: board.name,
            part: board.part.name,
            shortage,
        })?;
        let used = of(design.top_name()).map(|module| module.total).unwrap_or_default();
        let speed = board.part.speed;
        let goal = Goal {
            board,
            speed,
            mhz,
            aim_mhz: None,
            seed,
            attempt: 0,
            whole: false,
            array_clock_ratio: 1,
            used,
        };
        let router = (family.router)(&self.search, &goal)?;
        let (folder, mut timing) =
            self.route(&router, &pins(board.flow), &tools, &netlist, limit)?;
        (family.complete)(&self.search, &board.part, &folder, &mut timing)?;
        // The tools ask all clocks for the same.
        let divides = design.multiples().iter().map(|(_, cycles)| *cycles).max().unwrap_or(1);
        for clock in timing.clocks.iter_mut().filter(|clock| clock.name.starts_with(COUNTER)) {
            clock.asked_mhz /= f64::from(divides);
        }
        Ok(Measured { used, packed_multipliers, timing, tools })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Clock;
    use rmt_core::engine::array::MacArray;
    use rtl_builder::prelude::elaborate;

    #[test]
    fn each_bit_of_a_unit_has_a_register_of_its_own() {
        let design =
            elaborate(MacArray { size: 4, hop_columns: 4, products: 1, clock_ratio: 1 }).unwrap();
        let text = harness(&design);
        // load, load_plane, plane; the row's number; weights of 8 bits, activations of 16; sums of 32.
        assert!(
            text.contains("reg [101:0] row_in;") && text.contains("reg [128:0] held"),
            "{text}"
        );
        for port in design.ports() {
            assert!(text.contains(&format!(".{}(", port.name)), "{text}");
        }
        assert!(text.contains(".clk(clk)") && text.contains("mac_array_n4_h4 unit ("), "{text}");
    }

    #[test]
    fn a_unit_with_a_multiple_of_its_clock_gets_both() {
        let design = MacArray { size: 4, hop_columns: 4, products: 1, clock_ratio: 4 };
        let text = harness(&elaborate(design).unwrap());
        assert!(text.contains("slow = cycles[1]") && text.contains("posedge slow"), "{text}");
        assert!(text.contains(".clk(slow)") && text.contains(".array_clk(clk)"), "{text}");
    }

    #[test]
    fn a_clock_counts_as_often_as_it_goes_into_the_fastest() {
        let clocks = [("clk", 120.0, 100.0), ("cycles[1]", 25.0, 25.0)].map(
            |(name, reached_mhz, asked_mhz)| Clock {
                name: name.to_owned(),
                reached_mhz,
                asked_mhz,
                placed_mhz: None,
            },
        );
        let timing = Timing { clocks: clocks.to_vec(), paths: Vec::new() };
        let (used, tools) = (Resources::default(), std::collections::BTreeMap::new());
        let measured = Measured { used, packed_multipliers: 0, timing, tools };
        assert_eq!(measured.mhz(), 100.0);
    }

    #[test]
    fn a_board_of_vivado_is_refused() {
        let design =
            elaborate(MacArray { size: 4, hop_columns: 4, products: 1, clock_ratio: 1 }).unwrap();
        let mut builder = Builder {
            search: crate::tools::Search { folders: Vec::new() },
            cache: crate::cache::Cache { folder: "/nowhere".into() },
            progress: &mut |_| {},
        };
        let mut measure = |name: &str| {
            let board = Board::find(name).unwrap();
            let limit = Duration::from_secs(1);
            let request = Request { board, design: &design, mhz: 200.0, seed: 1, limit };
            builder.measure(&request).err().unwrap().to_string()
        };
        assert!(measure("acorn-cle215").contains("Vivado"));
        assert!(measure("ulx3s").contains("yosys is missing"));
    }
}
