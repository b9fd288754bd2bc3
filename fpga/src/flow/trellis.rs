//! The ECP5: nextpnr-ecp5 and Project Trellis.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::mapping::{comparisons_in_halves, to_tables};
use super::router::{Asks, Changes, Exchange, Exchangers, InputClock, Router, Setting, prices};
use super::{BITSTREAM, Builder, Family, Goal, NETLIST, TIMING};
use crate::boards::{Board, TOP};
use crate::cache::Key;
use crate::channels::tables_taken;
use crate::error::FpgaError;
use crate::netlist::pack_registers;
use crate::pll::EHXPLLL;
use crate::tools::{ECPPACK, NEXTPNR_ECP5, Search};

pub(super) const FAMILY: Family = Family {
    synthesis,
    mend: |netlist| pack_registers(netlist).map(drop),
    tools: [NEXTPNR_ECP5, ECPPACK],
    pll: EHXPLLL,
    check: |_, _| Ok(()),
    router,
    first: FIRST,
    eases: 2,
    asks_beyond: 2,
    complete: |_, _, _, _| Ok(()),
    pack,
};

/// What place and route leaves for the bitstream.
const CONFIG: &str = "board.config";
const PINS: &str = "board.lpf";
/// Of the part's 16 networks 8 reach the controls of flip-flops; one is the clock's, which also enters memory blocks.
const NETWORKS: usize = 7;
/// What a wire costs that several signals want. nextpnr adds 2 to the price with each round, and counts what was shared
/// before once: signals push each other to and fro. With a price that grows more slowly, what a wire cost in earlier rounds is heard
/// too, and who has another way takes it.
const NEGOTIATION: &[Setting] = &prices("2.0", "1.15", "2.0");

/// From the clock to the data of a memory block without output register, at speed grade 8 by nextpnr; at grade 6 it is 5.8 ns,
/// and wires take longer as well.
const BLOCK_PS: u32 = 4300;

/// More than any card reaches: the placer prefers the longest ways only while a clock is missed.
const MISSED_MHZ: f64 = 130.0;
/// What is mostly reached of what is expected. The ULX3S's smallest card, expected to reach 67.2 MHz, was routed when asked for 62
/// and not when asked for 66.
const FIRST: Asks = Asks::OfExpected(0.9);

/// Of cards that were routed, one had no gain for 40 rounds.
const PATIENCE: u32 = 100;

const CLOCK: InputClock = InputClock {
    begins: "FREQUENCY PORT",
    line: |mhz| format!("FREQUENCY PORT \"clock_in\" {mhz:.3} MHZ;"),
};

/// Shares of a part's tables: rows stay free in cards of more than the first, if all is not more than the second.
const CHANNELS_FROM: f64 = 0.4;
const CHANNELS_UP_TO: f64 = 0.9;

/// Functions of more than four inputs are not made of tables and the multiplexers behind them: fewer tables would lie in a row,
/// but such pairs have to stand side by side, and wires get longer. The last part of the synthesis is given here without the pass that names
/// cells after signals: on a whole card in one module it takes longer than all others together, and signals have their names as it is.
fn synthesis(_: bool) -> String {
    let synth = format!("synth_ecp5 -nowidelut -top {TOP}");
    format!(
        "{synth} -run begin:coarse\n\
         {}\
         {synth} -run coarse:map_luts\n\
         check -latchonly -assert\n\
         {}\
         {}\n\
         clean\n\
         {synth} -run map_cells:check\n\
         hierarchy -check\nstat\nblackbox =A:whitebox\nwrite_json mapped.json\n",
        comparisons_in_halves(),
        times_of_blocks(),
        to_tables(4)
    )
}

/// A step that tells ABC when a memory block has its data: yosys knows of no time, and would give depth away behind blocks for fewer
/// tables. The model takes the place of yosys' own, so it has all ports, and the parameters that blocks are given.
fn times_of_blocks() -> String {
    let numbered = |name: &str, count: u32| -> Vec<String> {
        (0..count).map(|number| format!("{name}{number}")).collect()
    };
    let (mut inputs, mut outputs, mut times) = (Vec::new(), Vec::new(), String::new());
    let mut parameters = ["RESETMODE", "ASYNC_RESET_RELEASE", "GSR"].map(str::to_owned).to_vec();
    parameters.extend((0..64).map(|row| format!("INITVAL_{row:02X}")));
    for port in ["A", "B"] {
        for name in ["CLK", "CE", "OCE", "WE", "RST"] {
            inputs.push(format!("{name}{port}"));
        }
        inputs.extend(numbered(&format!("CS{port}"), 3));
        inputs.extend(numbered(&format!("AD{port}"), 14));
        inputs.extend(numbered(&format!("DI{port}"), 18));
        for output in numbered(&format!("DO{port}"), 18) {
            times += &format!("  (posedge CLK{port} => ({output} : 1'bx)) = {BLOCK_PS};\n");
            outputs.push(output);
        }
        parameters.push(format!("CLK{port}MUX"));
        for name in ["DATA_WIDTH", "REGMODE", "CSDECODE", "WRITEMODE"] {
            parameters.push(format!("{name}_{port}"));
        }
    }
    let parameters: String =
        parameters.iter().map(|name| format!("  parameter {name} = 0;\n")).collect();
    format!(
        "read_verilog -lib -specify -overwrite <<END_OF_MODEL\n\
         module DP16KD(input {}, output {});\n{parameters}specify\n{times}endspecify\nendmodule\n\
         END_OF_MODEL\n",
        inputs.join(", "),
        outputs.join(", "),
    )
}

fn router(_: &Search, goal: &Goal) -> Result<Router, FpgaError> {
    let Goal { board, speed, mhz, seed, whole, .. } = *goal;
    let part = &board.part;
    // Parts of the 5G series have one speed grade; what they would be at another one is that of their sisters.
    let device = if speed == part.speed { part.tool_name } else { "--85k" };
    let mut arguments = vec![device.to_owned()];
    for (name, value) in [
        ("--package", part.package.to_owned()),
        ("--json", NETLIST.to_owned()),
        ("--lpf", PINS.to_owned()),
        ("--textcfg", CONFIG.to_owned()),
        ("--report", TIMING.to_owned()),
        ("--speed", speed.to_string()),
        ("--router", "router2".to_owned()),
    ] {
        arguments.extend([name.to_owned(), value]);
    }
    arguments.extend(["--lpf-allow-unconstrained", "--timing-allow-fail"].map(str::to_owned));
    if !whole {
        arguments.extend(["--freq".to_owned(), mhz.to_string()]);
    }
    // Less is routed as it is, and its wires are shorter; more leaves the placer no choice.
    let (tables, available) = (goal.used.luts as f64, part.resources.luts as f64);
    let channels = tables > CHANNELS_FROM * available
        && tables + tables_taken() as f64 <= CHANNELS_UP_TO * available;
    let changes = whole.then_some(Changes { networks: NETWORKS, channels });
    let settings = if whole { NEGOTIATION } else { &[] };
    let (aim, routing) = goal.aim(CLOCK, FIRST);
    // With the placer that has the shortest wires. All clocks come from the board's input, which has its constraint.
    let exchange = whole.then_some(Exchange {
        of: Exchangers::Ecp5(speed),
        array_clock_ratio: goal.array_clock_ratio,
        missed_mhz: MISSED_MHZ,
    });
    Ok(Router {
        tool: NEXTPNR_ECP5,
        arguments,
        seed,
        constraints: PINS,
        changes,
        settings,
        kept_free: Vec::new(),
        placer: whole.then_some("static"),
        exchange,
        routing,
        patience: PATIENCE,
        aim,
    })
}

fn pack(
    builder: &mut Builder<'_>,
    _: &Board,
    versions: &BTreeMap<String, String>,
    routed: &Path,
) -> Result<PathBuf, FpgaError> {
    let config = routed.join(CONFIG);
    let text = std::fs::read(&config).map_err(FpgaError::file("read", &config))?;
    let key = Key::default().with("pack 1").with(&versions[ECPPACK.name]).with(&text);
    let arguments = ["--compress", CONFIG, BITSTREAM].map(str::to_owned);
    builder.bitstream(ECPPACK, key, (CONFIG, &text), &arguments)
}
