//! A netlist that was changed after synthesis does what the source does: both in one test bench, on Icarus.
#![allow(missing_docs)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use rmt_core::engine::cell::MacCell;
use rmt_core::engine::requantiser::RequantiserLane;
use rmt_fpga::boards::TOP;
use rmt_fpga::netlist::pack_registers;
use rmt_fpga::tools::{Search, YOSYS};
use rmt_fpga::xc7;
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

/// How a family's netlist is made, and with what models of its cells it becomes plain Verilog again.
struct Family {
    synthesis: &'static str,
    models: &'static str,
}

const ECP5: Family = Family {
    synthesis: "synth_ecp5",
    models: "read_verilog -nowb -overwrite +/ecp5/cells_sim.v; read_verilog -overwrite multiplier.v",
};

const XC7: Family = Family {
    synthesis: "synth_xilinx -flatten -family xc7 -noiopad -noclkbuf",
    models: "read_verilog -nowb -overwrite +/xilinx/cells_sim.v",
};

/// Synthesises, changes the netlist, and compares with the source; what the pass says.
fn compare<T>(
    design: &Design,
    family: &Family,
    change: impl FnOnce(&mut serde_json::Value) -> T,
) -> Option<T> {
    let Ok(yosys) = Search::from_environment().find(YOSYS) else {
        eprintln!("skipped: no yosys; `./x setup --fpga` installs it");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let top = design.top_name();
    let names = design.write_to(folder.path()).unwrap().join(" ");
    let synthesis = family.synthesis;
    let script = format!("read_verilog -sv {names}; {synthesis} -top {top} -json mapped.json");
    run(folder.path(), &yosys, &["-q", "-p", &script]);
    // Registers of the 7-series without a first value have no model; what is compared comes after all of them were written.
    let mapped = std::fs::read_to_string(path("mapped.json")).unwrap();
    let mapped = mapped.replace("\"INIT\": \"x\"", "\"INIT\": \"0\"");
    let mut netlist: serde_json::Value = serde_json::from_str(&mapped).unwrap();
    // Library cells are in it too, as boxes; their models come from the library again. The passes look for a board's top.
    let rename = |netlist: &mut serde_json::Value, from: &str, to: &str| {
        let module = netlist["modules"][from].take();
        netlist["modules"] = serde_json::json!({ to: module });
    };
    rename(&mut netlist, top, TOP);
    let changed = change(&mut netlist);
    rename(&mut netlist, TOP, top);
    std::fs::write(path("netlist.json"), netlist.to_string()).unwrap();
    std::fs::write(path("multiplier.v"), multiplier()).unwrap();
    // The packed netlist with models of its cells, as plain Verilog.
    let models = family.models;
    let script = format!(
        "read_json netlist.json; {models}; hierarchy -top {top}; proc; flatten; write_verilog -noattr packed.v"
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
    Some(changed)
}

#[test]
#[ignore = "synthesis: `./x test --fpga` runs it"]
fn a_packed_cell_of_the_array_does_what_its_source_does() {
    let change = |netlist: &mut serde_json::Value| pack_registers(netlist).unwrap();
    let Some(packed) = compare(&elaborate(MacCell).unwrap(), &ECP5, change) else { return };
    assert_eq!((packed.multipliers, packed.inputs, packed.outputs), (1, 1, 1), "{packed:?}");
    // Activation, weight and product: all of them but the sum and the two planes of weights.
    assert_eq!(packed.flip_flops, 16 + 8 + 24, "{packed:?}");
}

#[test]
#[ignore = "synthesis: `./x test --fpga` runs it"]
fn carries_with_their_own_tables_and_moved_registers_of_products_do_what_the_source_does() {
    let change = |netlist: &mut serde_json::Value| {
        (xc7::registers_at_outputs(netlist).unwrap(), xc7::own_tables(netlist).unwrap())
    };
    let Some((products, _)) = compare(&elaborate(RequantiserLane).unwrap(), &XC7, change) else {
        return;
    };
    assert_eq!(products, 4, "the four products of a lane");
    let Some((_, tables)) = compare(&elaborate(Ordered).unwrap(), &XC7, change) else { return };
    assert!(tables > 0, "comparisons have tables in common with what is equal");
}

/// Comparisons and sums whose tables others read as well.
struct Ordered;

#[derive(Clone, Ports)]
struct OrderedIo {
    /// One number
    a: Input<UInt>,
    /// Another one
    b: Input<UInt>,
    /// Whether a is less
    less: Output<Bool>,
    /// Whether they are equal
    equal: Output<Bool>,
    /// Their sum
    sum: Output<UInt>,
    /// Where they differ
    differs: Output<UInt>,
}

impl Component for Ordered {
    type Io = OrderedIo;

    fn name(&self) -> String {
        "ordered".into()
    }

    fn io(&self) -> OrderedIo {
        let (number, flag) = (uint(20), boolean());
        let (less, equal) = (output(flag), output(flag));
        OrderedIo {
            a: input(number),
            b: input(number),
            less,
            equal,
            sum: output(number),
            differs: output(number),
        }
    }

    fn build(&self, io: OrderedIo) {
        let (a, b) = (delayed("a_q", io.a.value()), delayed("b_q", io.b.value()));
        io.less.set(delayed("less_q", a.lt(b)));
        io.equal.set(delayed("equal_q", a.eq(b)));
        io.sum.set(delayed("sum_q", a.wrapping_add(b)));
        io.differs.set(delayed("differs_q", a ^ b));
    }
}
