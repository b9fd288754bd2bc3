//! The 7-series: nextpnr-himbaechel-xilinx and Project X-Ray.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::mapping::{comparisons_in_halves, to_tables};
use super::router::{Asks, Exchange, Exchangers, InputClock, Router, Setting, prices};
use super::{BITSTREAM, Builder, Family, Goal, NETLIST, TIMING, read_json};
use crate::boards::{Board, Part, TOP};
use crate::cache::Key;
use crate::error::FpgaError;
use crate::pll::PLLE2;
use crate::report::Timing;
use crate::tools::{NEXTPNR_XILINX, Search, XC7FRAMES2BIT, XRAY_DATABASE};
use crate::xc7::{self, Database, multiplier_paths};

pub(super) const FAMILY: Family = Family {
    synthesis,
    mend,
    tools: [NEXTPNR_XILINX, XC7FRAMES2BIT],
    pll: PLLE2,
    check,
    router,
    first: FIRST,
    eases: 0,
    asks_beyond: 6,
    complete,
    pack,
};

/// What place and route leaves for the bitstream.
const FASM: &str = "board.fasm";
const DELAYS: &str = "board.sdf";
const PINS: &str = "board.xdc";
const FRAMES: &str = "board.frames";

/// Flip-flops that an enable or a reset of their own is worth. The eight flip-flops of a slice have both in common, and nextpnr's
/// placer finds places for those with seldom ones last, far from where they should be.
const FEWEST: u32 = 8;

/// Bits that a place of a carry compares, two of each number: its two tables have five inputs together. yosys would take three of
/// each, for which nextpnr needs more tables in front, and wires.
const COMPARED: u32 = 4;

/// The steps of `synth_xilinx`, the whole design in one module, with ABC told how to map. ABC's proof that the result is what it
/// began with took a minute for one card and had not ended after ten with the next, so it is left to the ECP5's. Beside a second
/// clock nextpnr finds no places for shift registers, so none are made; and a first part that knows of none makes no sums before choices
/// among many (`pmux2shiftx`).
fn synthesis(second_clock: bool) -> String {
    let (option, shift_registers) =
        if second_clock { ("-nosrl ", "") } else { ("", "xilinx_srl -fixed -minlen 3\n") };
    let synth = format!("synth_xilinx -flatten {option}-family xc7 -top {TOP}");
    let few = format!("-mince {FEWEST} -minsrst {FEWEST}");
    format!(
        "{synth} -nosrl -run begin:coarse\n\
         {}\
         techmap -map +/cmp2lut.v -D LUT_WIDTH=6\n\
         techmap -map +/cmp2lcu.v -D LUT_WIDTH={COMPARED}\n\
         {synth} -run coarse:map_ffs\n\
         dfflegalize -cell $_DFFE_?P?P_ 01 -cell $_SDFFE_?P?P_ 01 -cell $_DLATCH_?P?_ 01 {few}\n\
         {synth} -run map_ffs:map_luts\n\
         opt_expr -mux_undef -noclkinv\n\
         read_verilog -icells -lib -specify +/xilinx/abc9_model.v\n\
         scratchpad -set abc9.verify false\n\
         {}\n\
         clean\n\
         {shift_registers}\
         techmap -map +/xilinx/lut_map.v -map +/xilinx/cells_map.v -D LUT_WIDTH=6\n\
         opt_lut_ins -tech xilinx\n\
         {synth} -json mapped.json -run finalize:\n",
        comparisons_in_halves(),
        to_tables(6)
    )
}

fn mend(netlist: &mut Value) -> Result<(), FpgaError> {
    xc7::registers_at_outputs(netlist)?;
    xc7::own_tables(netlist).map(drop)
}

fn check(search: &Search, board: &Board) -> Result<(), FpgaError> {
    Database::find(&search.data(XRAY_DATABASE)?, board.part.tool_name).map(drop)
}

const CLOCK: InputClock = InputClock {
    begins: "create_clock",
    line: |mhz| format!("create_clock -period {:.4} [get_ports clock_in_p]", 1e3 / mhz),
};

/// What a wire costs that several signals want. nextpnr lets a connection pay the less of it the more critical it is, down to a
/// twentieth, and while a clock is met it takes them all for the most critical ones: these are twenty times the prices of the ECP5.
const NEGOTIATION: &[Setting] = &prices("40.0", "20.0", "40.0");

/// More than any card reaches: placer and router prefer the longest ways only while a clock is missed.
const MISSED_MHZ: f64 = 160.0;
const FIRST: Asks = Asks::Mhz(MISSED_MHZ);
/// Multipliers that the usual placer keeps together.
const HEAP_MULTIPLIERS: u64 = 128;

fn router(search: &Search, goal: &Goal) -> Result<Router, FpgaError> {
    let mut arguments = Vec::new();
    for (name, value) in [
        ("--device", goal.board.part.tool_name.to_owned()),
        ("--json", NETLIST.to_owned()),
        ("-o", format!("xdc={PINS}")),
        ("-o", format!("fasm={FASM}")),
        ("--report", TIMING.to_owned()),
        ("--sdf", DELAYS.to_owned()),
        ("--freq", goal.mhz.to_string()),
    ] {
        arguments.extend([name.to_owned(), value]);
    }
    arguments.push("--timing-allow-fail".to_owned());
    // The multipliers of a 16 x 16 array the usual placer (heap) scatters: wires nine times as long as before each had a
    // place of its own. Of an 8 x 8 array it makes the faster one.
    // Of the smallest whole card that one moved the same few cells to and fro, and did not end its first round.
    let scatters = goal.whole || goal.used.multipliers > HEAP_MULTIPLIERS;
    let (aim, routing) = goal.aim(CLOCK, FIRST);
    let (mut kept_free, mut exchange) = (Vec::new(), None);
    if goal.whole {
        let mut database = Database::find(&search.data(XRAY_DATABASE)?, goal.board.part.tool_name)?;
        kept_free = database.lone_tables()?;
        exchange = Some(Exchange {
            of: Exchangers::SevenSeries(database.tiles()?),
            array_clock_ratio: goal.array_clock_ratio,
            missed_mhz: MISSED_MHZ,
        });
    }
    Ok(Router {
        tool: NEXTPNR_XILINX,
        arguments,
        seed: goal.seed,
        constraints: PINS,
        changes: None,
        settings: if goal.whole { NEGOTIATION } else { &[] },
        kept_free,
        placer: scatters.then_some("static"),
        exchange,
        routing,
        patience: PATIENCE,
        aim,
    })
}

/// What was routed with what is late going back to the queue took 5 to 20 rounds, and 50 with 16 x 16.
const PATIENCE: u32 = 40;

/// nextpnr leaves out paths that begin or end in a multiplier.
fn complete(
    search: &Search,
    part: &Part,
    routed: &Path,
    timing: &mut Timing,
) -> Result<(), FpgaError> {
    let path = routed.join(DELAYS);
    let delays = std::fs::read_to_string(&path).map_err(FpgaError::file("read", &path))?;
    let netlist = read_json(&routed.join(NETLIST))?;
    let library = Database::find(&search.data(XRAY_DATABASE)?, part.tool_name)?;
    for found in multiplier_paths(&delays, &netlist, &library.multiplier_delays()?)? {
        for clock in &mut timing.clocks {
            // A path between two clocks limits neither.
            if found.within(&clock.name) {
                clock.reached_mhz = clock.reached_mhz.min(1e3 / found.path.nanoseconds());
            }
        }
        timing.paths.push(found.path);
    }
    Ok(())
}

fn pack(
    builder: &mut Builder<'_>,
    board: &Board,
    versions: &BTreeMap<String, String>,
    routed: &Path,
) -> Result<PathBuf, FpgaError> {
    builder.tell("bitstream", 0.0, "assembling");
    let part = board.part.tool_name;
    let fasm = routed.join(FASM);
    let fasm = std::fs::read_to_string(&fasm).map_err(FpgaError::file("read", &fasm))?;
    let mut database = Database::find(&builder.search.data(XRAY_DATABASE)?, part)?;
    let frames = xc7::assemble(&fasm, &mut database)?.text();
    let key = Key::default()
        .with("frames 1")
        .with(&versions[XC7FRAMES2BIT.name])
        .with(part)
        .with(&frames);
    let arguments = [
        format!("--part_file={}", database.part_file().display()),
        format!("--part_name={part}"),
        format!("--frm_file={FRAMES}"),
        format!("--output_file={BITSTREAM}"),
    ];
    builder.bitstream(XC7FRAMES2BIT, key, (FRAMES, frames.as_bytes()), &arguments)
}
