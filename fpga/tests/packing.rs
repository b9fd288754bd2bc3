//! A netlist whose registers were moved into multipliers does what the source does: both in one test bench, on Icarus.
#![allow(missing_docs)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use rmt_core::engine::cell::MacCell;
use rmt_fpga::netlist::{Packed, pack_registers};
use rmt_fpga::tools::{Search, YOSYS};
use rtl_builder::Direction;
use rtl_builder::prelude::*;

/// Cycles that the test bench compares.
const CYCLES: u32 = 5000;
/// Cycles after which no value from before the first clock is left.
const FILL: u32 = 10;

fn run(folder: &Path, program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).current_dir(folder).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{}: {said}", program.display());
    said
}

/// What the block does, as far as it is used here: registers at inputs and output, signed or unsigned.
fn multiplier() -> String {
    let bus = |letter: char, bits: u32| -> Vec<String> {
        (0..bits).rev().map(|bit| format!("{letter}{bit}")).collect()
    };
    let (a, b, c, p) = (bus('A', 18), bus('B', 18), bus('C', 18), bus('P', 36));
    let inputs = [&a[..], &b[..], &c[..]].concat().join(", ");
    let (a, b, p) = (a.join(", "), b.join(", "), p.join(", "));
    format!(
        "module MULT18X18D #(\n\
         parameter REG_INPUTA_CLK = \"NONE\", REG_INPUTA_CE = \"CE0\", REG_INPUTA_RST = \"RST0\",\n\
         parameter REG_INPUTB_CLK = \"NONE\", REG_INPUTB_CE = \"CE0\", REG_INPUTB_RST = \"RST0\",\n\
         parameter REG_OUTPUT_CLK = \"NONE\", REG_OUTPUT_CE = \"CE0\", REG_OUTPUT_RST = \"RST0\"\n\
         ) (input {inputs}, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0, output {p});\n\
         wire [17:0] a = {{{a}}};\nwire [17:0] b = {{{b}}};\nreg [17:0] a_q, b_q;\nreg [35:0] p_q;\n\
         wire [17:0] a_i = REG_INPUTA_CLK == \"NONE\" ? a : a_q;\n\
         wire [17:0] b_i = REG_INPUTB_CLK == \"NONE\" ? b : b_q;\n\
         wire signed [18:0] a_s = {{SIGNEDA & a_i[17], a_i}};\n\
         wire signed [18:0] b_s = {{SIGNEDB & b_i[17], b_i}};\n\
         wire signed [37:0] product = a_s * b_s;\n\
         always @(posedge CLK0) if (CE0) begin a_q <= a; b_q <= b; p_q <= product[35:0]; end\n\
         assign {{{p}}} = REG_OUTPUT_CLK == \"NONE\" ? product[35:0] : p_q;\n\
         endmodule\n"
    )
}

/// Both modules on the same random inputs.
fn bench(design: &Design) -> String {
    let top = design.top_name();
    let (mut signals, mut shared, mut drives, mut compares) =
        (String::new(), String::new(), String::new(), String::new());
    let (mut of_source, mut of_packed) = (String::new(), String::new());
    for port in design.ports() {
        let (name, high) = (&port.name, port.width - 1);
        if port.direction == Direction::Input {
            let _ = writeln!(signals, "reg [{high}:0] {name};");
            let _ = write!(shared, ", .{name}({name})");
            // Mostly anything, at times all zeros, all ones or the smallest number.
            let _ = writeln!(
                drives,
                "case ($urandom % 8) 0: {name} = 0; 1: {name} = ~0; 2: {name} = 1 << {high}; default: {name} = {{$urandom, $urandom}}; endcase"
            );
        } else {
            let _ = writeln!(signals, "wire [{high}:0] {name}_source, {name}_packed;");
            let _ = write!(of_source, ", .{name}({name}_source)");
            let _ = write!(of_packed, ", .{name}({name}_packed)");
            let _ = writeln!(
                compares,
                "if (cycle > {FILL} && {name}_source !== {name}_packed) begin $display(\"cycle %0d: {name} %h %h\", cycle, {name}_source, {name}_packed); $finish; end"
            );
        }
    }
    let clocks = design.clocks();
    let clock = clocks[0].0;
    format!(
        "module bench;\nreg {clock} = 0;\nreg rst = 0;\ninteger cycle;\n{signals}\
         {top}_source source (.{clock}({clock}){shared}{of_source});\n\
         {top} packed_one (.{clock}({clock}){shared}{of_packed});\n\
         initial begin\nfor (cycle = 0; cycle < {CYCLES}; cycle = cycle + 1) begin\n{drives}#1;\n{compares}\
         {clock} = 1; #1; {clock} = 0; #1;\nend\n$display(\"equal in %0d cycles\", cycle);\nend\nendmodule\n"
    )
}

/// Synthesises, packs, and compares with the source; what the pass did.
fn compare(design: &Design) -> Option<Packed> {
    let Ok(yosys) = Search::from_environment().find(YOSYS) else {
        eprintln!("skipped: no yosys; `./x setup --fpga` installs it");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let top = design.top_name();
    let names = design.write_to(folder.path()).unwrap().join(" ");
    let script = format!("read_verilog -sv {names}; synth_ecp5 -top {top} -json mapped.json");
    run(folder.path(), &yosys, &["-q", "-p", &script]);
    let mut netlist: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path("mapped.json")).unwrap()).unwrap();
    // Library cells are in it too, as boxes; their models come from the library again.
    netlist["modules"].as_object_mut().unwrap().retain(|name, _| name == top);
    let packed = pack_registers(&mut netlist).unwrap();
    std::fs::write(path("netlist.json"), netlist.to_string()).unwrap();
    std::fs::write(path("multiplier.v"), multiplier()).unwrap();
    // The packed netlist with models of its cells, as plain Verilog.
    let script = format!(
        "read_json netlist.json; read_verilog -nowb -overwrite +/ecp5/cells_sim.v; \
         read_verilog -overwrite multiplier.v; hierarchy -top {top}; proc; flatten; \
         write_verilog -noattr packed.v"
    );
    run(folder.path(), &yosys, &["-q", "-p", &script]);
    let source = design.verilog();
    let module = format!("module {top} (");
    assert!(source.contains(&module), "{source}");
    std::fs::write(path("source.sv"), source.replace(&module, &format!("module {top}_source (")))
        .unwrap();
    std::fs::write(path("bench.sv"), bench(design)).unwrap();
    let files = ["-g2012", "-s", "bench", "-o", "bench.vvp", "bench.sv", "source.sv", "packed.v"];
    run(folder.path(), Path::new("iverilog"), &files);
    let said = run(folder.path(), Path::new("vvp"), &["-n", "bench.vvp"]);
    assert!(said.contains(&format!("equal in {CYCLES} cycles")), "{top}: {said}");
    Some(packed)
}

#[test]
#[ignore = "synthesis: `./x test --fpga` runs it"]
fn a_packed_cell_of_the_array_does_what_its_source_does() {
    let Some(packed) = compare(&elaborate(MacCell).unwrap()) else { return };
    assert_eq!((packed.multipliers, packed.inputs, packed.outputs), (1, 1, 1), "{packed:?}");
    // Activation, weight and product: all of them but the sum and the two planes of weights.
    assert_eq!(packed.flip_flops, 16 + 8 + 24, "{packed:?}");
}
