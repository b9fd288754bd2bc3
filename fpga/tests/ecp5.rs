//! The flow of the ECP5 with a card of a few cells in place of the whole one: place and route takes the netlist from which
//! wires were spared, and the bitstream says what stands in their place.
#![allow(missing_docs)]

mod common;

use rmt_fpga::Board;
use rmt_fpga::boards::TOP;
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
