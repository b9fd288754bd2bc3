//! The flow of the ECP5 with cards of a few cells in place of the whole one: place and route takes the netlist from which
//! wires were spared, and the bitstream says what stands in their place; a placed netlist is packed once more, which leaves the design as it
//! was, with cells where they were and where they exchanged places to.
#![allow(missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use rmt_fpga::Board;
use rmt_fpga::boards::TOP;
use rmt_fpga::placement::{bound_netlist, improved_ecp5};
use rmt_fpga::report::Timing;
use rmt_fpga::tools::{ECPPACK, NEXTPNR_ECP5, Search, Tool, YOSYS};
use rmt_fpga::wiring::{Spared, spare_wires};

use common::{Bench, check_clocks, have};

/// Reads bitstreams; comes with what writes them.
const ECPUNPACK: Tool =
    Tool { name: "ecpunpack", programs: &["yowasp-ecpunpack", "ecpunpack"], ..ECPPACK };

/// With the card's ports: a memory of four words, so two of four address bits are constant, a line of flip-flops
/// under one reset and one enable, and a few at the array's clock.
const CARD: &str = "
module rmt_serial_card (
    input clk, array_clk, rst, serial_in,
    output serial_out, light_clock, light_link, light_traffic, light_fault
);
  reg [7:0] count;
  always @(posedge clk) if (rst) count <= 0; else count <= count + 1;
  reg [3:0] words [0:3];
  always @(posedge clk) if (serial_in) words[count[1:0]] <= count[7:4];
  wire [3:0] word = words[count[3:2]];
  reg [319:0] line;
  always @(posedge clk) if (rst) line <= 0; else if (count[0]) line <= {line, ^word ^ ^line[319:317]};
  reg [3:0] fast;
  always @(posedge array_clk) fast <= {fast[2:0], ^line[316:310]};
  reg slow;
  always @(posedge clk) slow <= ^fast;
  assign {serial_out, light_clock, light_link, light_traffic, light_fault} =
      {line[319], slow, word[2:0]};
endmodule
";

#[test]
#[ignore = "place and route: `./x test --fpga` runs it"]
fn a_netlist_with_spared_wires_becomes_a_bitstream() {
    let search = Search::from_environment();
    if !have(&search, &[YOSYS, NEXTPNR_ECP5, ECPPACK, ECPUNPACK]) {
        return;
    }
    let board = Board::find("ecpix5").unwrap();
    let part = board.part;
    let bench = Bench::new(search, board, CARD, "board.lpf");
    let script = format!(
        "read_verilog -sv -DARRAY_CLOCK card.v top.v; \
         hierarchy -top {TOP} -chparam PLL_INPUT 4 -chparam PLL_FEEDBACK 1 -chparam PLL_OUTPUT 24 \
         -chparam PLL_ARRAY 6; \
         synth_ecp5 -nowidelut -top {TOP} -json mapped.json"
    );
    bench.call(YOSYS, &["-q", "-p", &script]);
    let mut netlist = serde_json::from_str(&bench.read("mapped.json")).unwrap();
    let spared = spare_wires(&mut netlist, 2).unwrap();
    // The reset also clears the counter, whose enable is no signal.
    assert_eq!(spared, Spared { address_bits: 2, networks: 2, pins: 2 * 320 + 8 });
    bench.write("netlist.json", &netlist.to_string());
    let speed = part.speed.to_string();
    let route = [
        &[part.tool_name, "--package", part.package, "--speed", &speed, "--freq", "25"][..],
        &["--json", "netlist.json", "--lpf", "board.lpf", "--lpf-allow-unconstrained"],
        &["--textcfg", "board.config", "--report", "timing.json", "--router", "router2"],
    ];
    let said = bench.call(NEXTPNR_ECP5, &route.concat());
    assert_eq!(said.matches("routing clock net network_").count(), 2, "{said}");
    let timing =
        Timing::of_nextpnr(&serde_json::from_str(&bench.read("timing.json")).unwrap()).unwrap();
    check_clocks(
        &timing,
        [("clk", 25.0), ("array_clk", 100.0)],
        "posedge clk to posedge array_clk",
    );

    bench.call(ECPPACK, &["board.config", "board.bit"]);
    bench.call(ECPUNPACK, &["board.bit", "back.config"]);
    let back = bench.read("back.config");
    let memory = back.split(".tile ").find(|tile| tile.contains("enum: SLICEA.MODE DPRAM"));
    let memory = memory.expect("no distributed memory in the bitstream");
    // It reads with four tables in two slices; what is open in each of them is tied to 1.
    let tied = |letter: char| {
        ["A", "B"].iter().all(|slice| {
            (0..2).all(|table| memory.contains(&format!("SLICE{slice}.{letter}{table}MUX 1\n")))
        })
    };
    let open: Vec<char> = "ABCD".chars().filter(|letter| tied(*letter)).collect();
    assert_eq!(open.len(), 2, "{memory}");
}

/// With what is more than tables and flip-flops: a memory block, a multiplier, distributed memory, a chain of carries, each with
/// pins that are constant.
const BLOCKS: &str = "
module rmt_serial_card (
    input clk, rst, serial_in,
    output serial_out, light_clock, light_link, light_traffic, light_fault
);
  reg [29:0] count;
  always @(posedge clk) if (rst) count <= 0; else count <= count + {count[3:0], serial_in};
  reg [17:0] blocks [0:1023];
  reg [17:0] block;
  always @(posedge clk) begin
    if (serial_in) blocks[{2'b0, count[9:2]}] <= count[20:3];
    block <= blocks[{1'b1, count[12:4]}];
  end
  reg [3:0] words [0:15];
  always @(posedge clk) if (count[0]) words[{1'b0, count[3:1]}] <= block[3:0];
  reg [35:0] product;
  always @(posedge clk) product <= block * {2'b0, count[25:10]};
  reg before;
  always @(posedge clk) before <= product[35:4] < {count, words[count[7:4]][1:0]};
  assign {serial_out, light_clock, light_link, light_traffic, light_fault} =
      {before, ^product, ^words[count[7:4]], ^block, count[29]};
endmodule
";

/// Tiles of nextpnr's configuration, and what is said of each.
fn tiles(config: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let tiles = config.split(".tile ").skip(1).filter_map(|tile| tile.split_once('\n'));
    tiles
        .map(|(name, lines)| {
            (name, lines.lines().take_while(|line| !line.starts_with('.')).collect())
        })
        .collect()
}

/// What a line says of a table: its name and its bits.
fn table(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("word: SLICE")?.split_once(".INIT ")
}

/// A table of four inputs with its inputs in another order.
fn reordered(bits: &str, order: [usize; 4]) -> String {
    let bit = |inputs: usize| {
        let from: usize = (0..4).map(|input| (inputs >> input & 1) << order[input]).sum();
        &bits[15 - from..=15 - from]
    };
    (0..16).rev().map(bit).collect()
}

/// Whether two tables do the same but for the order of their inputs, in which those of a carry stay in pairs, and those
/// of memory stay.
fn is_same(mode: &str, one: &str, other: &str) -> bool {
    let orders = (0..256).map(|n| [n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6]);
    let all = orders.filter(|order| BTreeSet::from(*order).len() == 4);
    let allowed = |order: &[usize; 4]| match mode {
        "LOGIC" => true,
        "CCU2" => order[0] / 2 == 0 && order[1] / 2 == 0,
        _ => *order == [0, 1, 2, 3],
    };
    all.filter(allowed).any(|order| reordered(one, order) == other)
}

#[test]
#[ignore = "place and route: `./x test --fpga` runs it"]
fn a_placed_netlist_that_is_packed_again_is_the_same_design() {
    let search = Search::from_environment();
    if !have(&search, &[YOSYS, NEXTPNR_ECP5]) {
        return;
    }
    let board = Board::find("ulx3s").unwrap();
    let part = board.part;
    let bench = Bench::new(search, board, BLOCKS, "board.lpf");
    let script = format!(
        "read_verilog -sv card.v top.v; hierarchy -top {TOP} -chparam PLL_OUTPUT 24; \
         synth_ecp5 -nowidelut -top {TOP} -json netlist.json"
    );
    bench.call(YOSYS, &["-q", "-p", &script]);
    let speed = part.speed.to_string();
    let run = |netlist: &str, more: &[&str]| {
        let arguments = [
            &[part.tool_name, "--package", part.package, "--speed", &speed, "--json", netlist],
            &["--lpf", "board.lpf", "--lpf-allow-unconstrained", "--router", "router2"][..],
            more,
        ];
        bench.call(NEXTPNR_ECP5, &arguments.concat())
    };
    run("netlist.json", &["--placer", "static", "--no-route", "--write", "placed.json"]);
    run("netlist.json", &["--placer", "static", "--textcfg", "once.config"]);
    let placed = bench.read("placed.json");
    let cells = serde_json::from_str::<serde_json::Value>(&placed).unwrap();
    let cells = cells["modules"]["top"]["cells"].as_object().unwrap().clone();
    let line = |(name, cell): (&String, &serde_json::Value)| {
        format!("{name}\t{}\n", cell["attributes"]["NEXTPNR_BEL"].as_str().unwrap())
    };
    let where_they_are: String = cells.iter().map(line).collect();
    let mut count = BTreeMap::new();
    for cell in cells.values() {
        let mode = cell["parameters"]["MODE"].as_str().unwrap_or_default();
        *count.entry(format!("{} {mode}", cell["type"].as_str().unwrap())).or_insert(0) += 1;
    }
    for kind in
        ["DP16KD ", "MULT18X18D ", "TRELLIS_COMB DPRAM", "TRELLIS_COMB CCU2", "TRELLIS_RAMW "]
    {
        assert!(count.contains_key(kind), "no {kind} in {count:?}");
    }

    let again = bound_netlist(placed.as_bytes(), &where_they_are).unwrap();
    bench.write("again.json", &again.to_string());
    run("again.json", &["--placer", "heap", "--textcfg", "again.config"]);
    let (once, again) = (bench.read("once.config"), bench.read("again.config"));
    let (once, again) = (tiles(&once), tiles(&again));
    let mut tables = 0;
    for (name, lines) in &once {
        // Which input is open follows from the order of a table's inputs, and which of two wires resets a tile is the router's.
        let settings = |lines: &BTreeSet<&str>| -> Vec<String> {
            let kept = lines.iter().filter(|line| {
                let is_open_input = line.starts_with("enum: SLICE") && line.ends_with("MUX 1");
                let is_kept = !line.is_empty() && !line.starts_with("arc") && table(line).is_none();
                is_kept && !is_open_input
            });
            kept.map(|line| line.replace("LSR0", "LSR").replace("LSR1", "LSR")).collect()
        };
        let none = BTreeSet::new();
        let others = again.get(name).unwrap_or(&none);
        assert_eq!(settings(lines), settings(others), "{name}");
        for (of, bits) in lines.iter().filter_map(|line| table(line)) {
            let mode = lines.iter().find_map(|line| {
                line.strip_prefix("enum: SLICE")?.strip_prefix(&of[..1])?.strip_prefix(".MODE ")
            });
            let other = others.iter().find_map(|line| table(line).filter(|(name, _)| *name == of));
            let (_, other) = other.unwrap_or_else(|| panic!("{name}: no table {of}"));
            assert!(is_same(mode.unwrap_or("LOGIC"), bits, other), "{name}: {of} {bits} {other}");
            tables += 1;
        }
    }
    assert!(tables > 50, "{tables}");

    let better = improved_ecp5(placed.as_bytes(), part.speed, 1, &mut |_, _| {}).unwrap();
    let bound = bound_netlist(placed.as_bytes(), &better.bound).unwrap();
    bench.write("bound.json", &bound.to_string());
    let said = run("bound.json", &["--placer", "heap", "--textcfg", "board.config"]);
    assert!(said.contains("Program finished normally"), "{said}");
    assert!(!said.contains("validity check failed"), "{said}");
}
