//! One closed design, clocked by the evaluator and by external simulators: each gives a line of outputs a cycle.

use super::tools;
use rtl_builder::Direction;
use rtl_builder::prelude::*;
use std::path::{Path, PathBuf};

/// Edges under reset before the first line is taken.
pub const RESET_EDGES: u64 = 8;

/// A trace: for each cycle the outputs as hexadecimal words, in the order of the ports.
pub type Trace = Vec<String>;

fn outputs(design: &Design) -> Vec<(String, u32)> {
    let ports = design.ports();
    assert!(
        ports.iter().all(|port| port.direction == Direction::Output),
        "the design must be closed"
    );
    ports.into_iter().map(|port| (port.name, port.width)).collect()
}

fn hex(value: &str, width: u32) -> String {
    let digits = (width as usize).div_ceil(4);
    format!("{value:0>digits$}")
}

pub fn evaluator(design: &Design, cycles: u64) -> Trace {
    let mut sim = design.simulator();
    for _ in 0..RESET_EDGES {
        sim.reset();
    }
    let outputs = outputs(design);
    let handles: Vec<_> =
        outputs.iter().map(|(name, _)| sim.find(name).expect("a port is found")).collect();
    (0..cycles)
        .map(|_| {
            let line: Vec<String> = handles
                .iter()
                .map(|&handle| hex(&sim.get(handle).to_hex(), handle.width()))
                .collect();
            sim.step();
            line.join(" ")
        })
        .collect()
}

/// A test bench that clocks the design and displays its outputs.
fn test_bench(design: &Design, cycles: u64) -> String {
    let outputs = outputs(design);
    let nets: String =
        outputs.iter().map(|(name, width)| format!("  wire [{}:0] {name};\n", width - 1)).collect();
    let mut pins: Vec<String> =
        outputs.iter().map(|(name, _)| format!(".{name}({name})")).collect();
    for (clock, reset) in design.clocks() {
        pins.extend([Some(clock), reset].into_iter().flatten().map(|pin| {
            let signal = if pin == clock { "clk_tb" } else { "rst_tb" };
            format!(".{pin}({signal})")
        }));
    }
    let format = vec!["%h"; outputs.len()].join(" ");
    let names: Vec<&str> = outputs.iter().map(|(name, _)| name.as_str()).collect();
    format!(
        "`timescale 1ns/1ps\nmodule tb;\n  reg clk_tb = 0;\n  reg rst_tb = 1;\n{nets}  {} dut ({});\n  integer i;\n  \
         initial begin\n    for (i = 0; i < {RESET_EDGES}; i = i + 1) begin #1 clk_tb = 1; #1 clk_tb = 0; end\n    \
         rst_tb = 0;\n    for (i = 0; i < {cycles}; i = i + 1) begin\n      #1 $display(\"{format}\", {});\n      \
         clk_tb = 1; #1 clk_tb = 0;\n    end\n    $finish;\n  end\nendmodule\n",
        design.top_name(),
        pins.join(", "),
        names.join(", "),
    )
}

/// Writes the design and its test bench; gives the design's files.
pub fn write(design: &Design, cycles: u64, folder: &Path) -> Vec<String> {
    let files = design.write_to(folder).expect("the folder is writable");
    std::fs::write(folder.join("tb.v"), test_bench(design, cycles))
        .expect("the folder is writable");
    files
}

fn lines(text: &str, count: usize) -> Trace {
    let is_line = |line: &&str| {
        !line.is_empty()
            && line
                .chars()
                .all(|c| c.is_ascii_hexdigit() || c == ' ' || c == 'x' || c == 'X' || c == 'z')
    };
    text.lines().filter(is_line).take(count).map(str::to_owned).collect()
}

pub fn icarus(tool: &Path, files: &[String], cycles: u64, folder: &Path) -> Trace {
    let mut arguments = vec!["-g2012", "-o", "icarus.vvp", "-s", "tb", "tb.v"];
    arguments.extend(files.iter().map(String::as_str));
    let said = tools::run(tool, folder, &arguments);
    assert!(said.trim().is_empty(), "Icarus objects:\n{said}");
    lines(&tools::run(Path::new("vvp"), folder, &["-n", "icarus.vvp"]), cycles as usize)
}

/// A C++ program that clocks the Verilated design and prints its outputs.
fn harness(design: &Design, cycles: u64) -> String {
    let digits = |width: u32| width.div_ceil(4);
    let prints: String = outputs(design)
        .iter()
        .map(|(name, width)| format!("        put(top.{name}, {});\n", digits(*width)))
        .collect();
    let set = |pin: Option<&str>, value: u8| {
        pin.map_or(String::new(), |pin| format!("top.{pin} = {value}; "))
    };
    let each = |value: u8, is_clock: bool| -> String {
        design
            .clocks()
            .iter()
            .map(|&(clock, reset)| set(if is_clock { Some(clock) } else { reset }, value))
            .collect()
    };
    format!(
        r#"#include "Vdut.h"
#include "verilated.h"
#include <cstdio>
static void hex(const uint32_t* words, int digits) {{
    for (int i = digits - 1; i >= 0; i--) putchar("0123456789abcdef"[words[i / 8] >> (i % 8 * 4) & 15]);
}}
static void put(uint64_t value, int digits) {{
    const uint32_t words[2] = {{(uint32_t)value, (uint32_t)(value >> 32)}};
    hex(words, digits);
    putchar(' ');
}}
template <size_t N> static void put(const VlWide<N>& value, int digits) {{
    hex(value.data(), digits);
    putchar(' ');
}}
int main() {{
    static Vdut top;
    {low}{reset_on}
    for (int i = 0; i < {RESET_EDGES}; i++) {{ top.eval(); {high} top.eval(); {low} }}
    {reset_off}
    for (int i = 0; i < {cycles}; i++) {{
        top.eval();
{prints}        putchar('\n');
        {high} top.eval();
        {low}
    }}
    return 0;
}}
"#,
        low = each(0, true),
        high = each(1, true),
        reset_on = each(1, false),
        reset_off = each(0, false),
    )
}

pub fn verilator(
    tool: &Path,
    files: &[String],
    design: &Design,
    cycles: u64,
    folder: &Path,
) -> Trace {
    std::fs::write(folder.join("main.cpp"), harness(design, cycles))
        .expect("the folder is writable");
    let mut arguments = vec![
        "--cc",
        "-O3",
        "-Wno-fatal",
        "--top-module",
        design.top_name(),
        "--prefix",
        "Vdut",
        "--Mdir",
        "obj",
    ];
    arguments.extend(files.iter().map(String::as_str));
    tools::run(tool, folder, &arguments);
    // Compiled here and not by Verilator's makefile, whose precompiled header asks for the compiler it was built with.
    let root = tools::run(tool, folder, &["--getenv", "VERILATOR_ROOT"]);
    let include = format!("{}/include", root.trim());
    let mut compile: Vec<String> =
        ["-std=c++20", "-O0", "-DVERILATOR=1", "-Iobj", "-o", "obj/Vdut"].map(str::to_owned).into();
    let off = ["COVERAGE", "SC", "TIMING", "TRACE", "TRACE_FST", "TRACE_VCD", "TRACE_SAIF"];
    compile.extend(off.map(|feature| format!("-DVM_{feature}=0")));
    compile.extend([format!("-I{include}"), format!("-I{include}/vltstd"), "main.cpp".to_owned()]);
    let generated =
        std::fs::read_dir(folder.join("obj")).expect("Verilator made its folder").flatten();
    let mut sources: Vec<PathBuf> = generated
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "cpp"))
        .collect();
    sources.sort();
    let includes: String =
        sources.iter().map(|path| format!("#include \"{}\"\n", path.display())).collect();
    std::fs::write(folder.join("all.cpp"), includes).expect("the folder is writable");
    compile.push("all.cpp".to_owned());
    compile
        .extend(["verilated.cpp", "verilated_threads.cpp"].map(|file| format!("{include}/{file}")));
    compile.push("-pthread".to_owned());
    tools::run(Path::new("c++"), folder, &compile.iter().map(String::as_str).collect::<Vec<_>>());
    let text = tools::run(&folder.join("obj/Vdut"), folder, &[]);
    lines(&text, cycles as usize).iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Runs `verilator --lint-only -Wall`; any warning is a failure.
pub fn lint(tool: &Path, files: &[String], top: &str, folder: &Path) {
    let mut arguments = vec!["--lint-only", "-Wall", "--quiet", "--top-module", top];
    arguments.extend(files.iter().map(String::as_str));
    let said = tools::run(tool, folder, &arguments);
    assert!(!said.contains("%Warning") && !said.contains("%Error"), "Verilator objects:\n{said}");
}

/// yosys' own simulation back end, CXXRTL, on the design after `proc` and `flatten`.
pub fn yosys(
    tool: &Path,
    headers: &Path,
    files: &[String],
    design: &Design,
    cycles: u64,
    folder: &Path,
) -> Trace {
    let script = format!(
        "read_verilog -sv {}; hierarchy -check -top {top}; proc; check -assert; write_cxxrtl -O3 cxxrtl.cc",
        files.join(" "),
        top = design.top_name(),
    );
    tools::run(tool, folder, &["-q", "-p", &script]);
    std::fs::write(folder.join("cxxrtl_main.cc"), cxxrtl_harness(design, cycles))
        .expect("the folder is writable");
    let headers = format!("-I{}", headers.display());
    tools::run(
        Path::new("c++"),
        folder,
        &["-std=c++20", "-O0", &headers, "-o", "cxxrtl_sim", "cxxrtl_main.cc"],
    );
    let text = tools::run(&folder.join("cxxrtl_sim"), folder, &[]);
    lines(&text, cycles as usize).iter().map(|line| line.trim_end().to_owned()).collect()
}

/// CXXRTL doubles the underscores of names.
fn cxxrtl_harness(design: &Design, cycles: u64) -> String {
    let member = |name: &str| format!("p_{}", name.replace('_', "__"));
    let prints: String = outputs(design)
        .iter()
        .map(|(name, width)| format!("        put(top.{}, {});\n", member(name), width.div_ceil(4)))
        .collect();
    let set = |pin: Option<&str>, value: u8| {
        pin.map_or(String::new(), |pin| format!("top.{}.set<uint32_t>({value}); ", member(pin)))
    };
    let each = |value: u8, is_clock: bool| -> String {
        design
            .clocks()
            .iter()
            .map(|&(clock, reset)| set(if is_clock { Some(clock) } else { reset }, value))
            .collect()
    };
    format!(
        r#"#include "cxxrtl.cc"
#include <cstdio>
template <class V> static void put_value(const V& value, int digits) {{
    for (int i = digits - 1; i >= 0; i--) putchar("0123456789abcdef"[value.data[i / 8] >> (i % 8 * 4) & 15]);
    putchar(' ');
}}
template <size_t N> static void put(const cxxrtl::value<N>& value, int digits) {{ put_value(value, digits); }}
template <size_t N> static void put(const cxxrtl::wire<N>& wire, int digits) {{ put_value(wire.curr, digits); }}
int main() {{
    cxxrtl_design::{top} top;
    {low}{reset_on}
    for (int i = 0; i < {RESET_EDGES}; i++) {{ top.step(); {high} top.step(); {low} }}
    {reset_off}
    for (int i = 0; i < {cycles}; i++) {{
        top.step();
{prints}        putchar('\n');
        {high} top.step();
        {low}
    }}
    return 0;
}}
"#,
        top = member(design.top_name()),
        low = each(0, true),
        high = each(1, true),
        reset_on = each(1, false),
        reset_off = each(0, false),
    )
}

/// A folder that is removed at the end, or kept if `RTL_BUILDER_KEEP` names where.
pub struct Folder {
    temporary: Option<tempfile::TempDir>,
    kept: PathBuf,
}

impl Folder {
    pub fn new(name: &str) -> Self {
        match std::env::var_os("RTL_BUILDER_KEEP") {
            Some(parent) => {
                let kept = PathBuf::from(parent).join(name);
                let _ = std::fs::remove_dir_all(&kept);
                std::fs::create_dir_all(&kept).expect("the folder can be made");
                Self { temporary: None, kept }
            }
            None => {
                let temporary = tempfile::tempdir().expect("a temporary folder can be made");
                let kept = temporary.path().to_owned();
                Self { temporary: Some(temporary), kept }
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.kept
    }
}
