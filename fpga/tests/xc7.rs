//! The open flow of the 7-series with a card of a few cells in place of the whole one: what is in the bitstream is what
//! was assembled, and what was assembled is what place and route said.
#![allow(missing_docs)]

mod common;

use std::collections::BTreeSet;

use rmt_fpga::Board;
use rmt_fpga::boards::TOP;
use rmt_fpga::report::Timing;
use rmt_fpga::tools::{NEXTPNR_XILINX, Search, Tool, XC7FRAMES2BIT, XRAY_DATABASE, YOSYS};
use rmt_fpga::xc7::{Database, assemble, binding, keep_free};

use common::{Bench, check_clocks, have};

/// Reads bitstreams; comes with what writes them.
const BITREAD: Tool = Tool { name: "bitread", programs: &["bitread"], ..XC7FRAMES2BIT };

/// With the card's ports: a cell of each kind that the card has. Tables, carry chain, block RAM with a first content,
/// distributed memory, shift register, multiplier with registers at the array's clock.
const CARD: &str = "
module rmt_serial_card (
    input clk, array_clk, rst, serial_in,
    output serial_out, light_clock, light_link, light_traffic, light_fault
);
  reg [23:0] count = 0;
  always @(posedge clk) if (rst) count <= 0; else count <= count + 1;
  reg [35:0] block [0:1023];
  initial block[5] = 36'h123456789;
  reg [35:0] word;
  always @(posedge clk) begin
    if (serial_in) block[count[9:0]] <= {count, count[11:0]};
    word <= block[count[19:10]];
  end
  reg [7:0] small [0:31];
  always @(posedge clk) if (serial_in) small[count[4:0]] <= word[7:0];
  reg [15:0] line;
  always @(posedge clk) line <= {line, small[word[4:0]] == count[7:0]};
  reg signed [15:0] a, b;
  reg signed [31:0] product, sum;
  always @(posedge array_clk) begin
    a <= word[15:0]; b <= word[31:16]; product <= a * b; sum <= sum + product;
  end
  reg [1:0] fast;
  always @(posedge array_clk) fast <= {~fast[0] ^ fast[1], ^sum};
  reg slow;
  always @(posedge clk) slow <= fast[1];
  assign {serial_out, light_clock, light_link, light_traffic, light_fault} =
      {sum[31], count[23], line[15], slow, word[35]};
endmodule
";

/// The bits of a text of frames: frame, word, bit.
fn bits_of_frames(text: &str) -> BTreeSet<(u32, u32, u32)> {
    let hexadecimal = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let mut bits = BTreeSet::new();
    for line in text.lines() {
        let (address, words) = line.split_once(' ').unwrap();
        for (index, word) in words.split(',').enumerate() {
            let word = hexadecimal(word);
            let ones = (0..32).filter(|bit| word >> bit & 1 == 1);
            bits.extend(ones.map(|bit| (hexadecimal(address), index as u32, bit)));
        }
    }
    bits
}

/// The same of what bitread says: `bit_00000026_003_00`.
fn bits_of_bitread(text: &str) -> BTreeSet<(u32, u32, u32)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("bit_"));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.trim().split('_').collect();
            let decimal = |text: &str| text.parse().unwrap();
            (u32::from_str_radix(parts[0], 16).unwrap(), decimal(parts[1]), decimal(parts[2]))
        })
        .collect()
}

#[test]
#[ignore = "place and route: `./x test --fpga` runs it"]
fn a_bitstream_holds_what_place_and_route_said() {
    let search = Search::from_environment();
    if !have(&search, &[YOSYS, NEXTPNR_XILINX, XC7FRAMES2BIT, BITREAD]) {
        return;
    }
    let database = match search.data(XRAY_DATABASE) {
        Ok(database) => database,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let board = Board::find("acorn-serial").unwrap();
    let part = board.part.tool_name;
    let bench = Bench::new(search, board, CARD, "board.xdc");
    let script = format!(
        "read_verilog -sv -DARRAY_CLOCK card.v top.v; \
         hierarchy -top {TOP} -chparam PLL_FEEDBACK 4 -chparam PLL_OUTPUT 40 -chparam PLL_ARRAY 10; \
         synth_xilinx -flatten -family xc7 -top {TOP} -json netlist.json"
    );
    bench.call(YOSYS, &["-q", "-p", &script]);
    let netlist = bench.read("netlist.json");
    for kind in ["DSP48E1", "RAMB36E1", "RAM32M", "SRL16E", "CARRY4", "PLLE2_ADV", "IBUFDS"] {
        assert!(netlist.contains(&format!("\"type\": \"{kind}\"")), "no {kind}");
    }
    let mut database = Database::find(&database, part).unwrap();
    let lone = database.lone_tables().unwrap();
    // One column beside the transceivers: 100 tiles of two slices.
    assert_eq!(lone.len(), 1600);
    assert!(lone.iter().all(|table| table.starts_with("X135Y")));
    let mut netlist = serde_json::from_str(&netlist).unwrap();
    keep_free(&mut netlist, lone.len()).unwrap();
    bench.write("netlist.json", &netlist.to_string());
    bench.write("kept_free.py", &binding(&lone));
    let route = [
        &["--device", part, "--json", "netlist.json", "-o", "xdc=board.xdc"][..],
        &["-o", "fasm=board.fasm", "--report", "timing.json", "--freq", "20"],
        &["--pre-place", "kept_free.py"],
    ];
    bench.call(NEXTPNR_XILINX, &route.concat());
    let timing =
        Timing::of_nextpnr(&serde_json::from_str(&bench.read("timing.json")).unwrap()).unwrap();
    check_clocks(&timing, [("clk", 20.0), ("array_clk", 80.0)], "posedge array_clk to posedge clk");

    let frames = assemble(&bench.read("board.fasm"), &mut database).unwrap();
    let text = frames.text();
    bench.write("board.frames", &text);
    let part_file = database.part_file().display().to_string();
    let bitstream = [
        format!("--part_file={part_file}"),
        format!("--part_name={part}"),
        "--frm_file=board.frames".to_owned(),
        "--output_file=board.bit".to_owned(),
    ];
    bench.call(XC7FRAMES2BIT, &bitstream.each_ref().map(String::as_str));
    let back = ["-part_file", &part_file, "-o", "board.bits", "-z", "-y", "board.bit"];
    bench.call(BITREAD, &back);
    let (assembled, held) = (bits_of_frames(&text), bits_of_bitread(&bench.read("board.bits")));
    assert!(assembled.len() > 2000, "{}", assembled.len());
    assert_eq!(assembled.len() as u64, frames.ones());
    assert!(assembled == held, "{} bits assembled, {} held", assembled.len(), held.len());
}
