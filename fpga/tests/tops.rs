//! The tops of boards against the generated card, as far as that goes without their tools: Icarus with black boxes,
//! the list of the card's ports, Tcl by `tclsh`.
#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rmt_core::CoreConfig;
use rmt_fpga::boards::{BOARDS, Board, Flow, Link, TOP};
use rmt_fpga::flow::{Request, defines, sources};
use rmt_fpga::vivado;

fn request(board: &'static Board, config: &CoreConfig) -> Vec<(String, String)> {
    let request = Request {
        board,
        config,
        mhz: board.card_mhz,
        seed: 1,
        tries: 1,
        best_of: 1,
        speed: None,
        aim_mhz: None,
        limit: Duration::from_secs(1),
        only_synthesis: true,
    };
    sources(&request).unwrap()
}

/// Boards whose tops differ: one for each.
fn boards() -> impl Iterator<Item = &'static Board> {
    let is_first =
        |index: usize| BOARDS[..index].iter().all(|other| other.top[0].0 != BOARDS[index].top[0].0);
    BOARDS.iter().enumerate().filter(move |(index, _)| is_first(*index)).map(|(_, board)| board)
}

/// Runs a program that may be missing; what it said, or nothing with a message.
fn run(command: &mut Command, part: &str) -> Option<(bool, String)> {
    match command.output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
        }
        Err(error) => {
            eprintln!("skipped {part}: {:?}: {error}", command.get_program());
            None
        }
    }
}

#[test]
fn tops_fit_the_generated_card() {
    let mut shape = CoreConfig::smallest().shape().clone();
    shape.engine.array_clock_ratio = 4;
    for config in [CoreConfig::smallest(), CoreConfig::new(shape)] {
        boards().for_each(|board| check_top(board, &board.adapt(&config)));
    }
}

fn check_top(board: &'static Board, config: &CoreConfig) {
    let files = request(board, config);
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for (name, text) in &files {
        std::fs::write(folder.path().join(name), text).unwrap();
        names.push(name.clone());
    }
    // Every port of the card is connected by name.
    let (design, module) = match board.link {
        Link::Serial { .. } => {
            (rmt_core::elaborate_serial_card(config, 50).unwrap(), "rmt_serial_card card (")
        }
        Link::Pcie { .. } => {
            (rmt_core::elaborate_pcie_card(config).unwrap(), "rmt_pcie_card card (")
        }
    };
    let top = board.top[0].1;
    let instance = &top[top.find(module).unwrap()..];
    let instance = &instance[..instance.find(");").unwrap()];
    for port in design.ports() {
        assert!(instance.contains(&format!(".{}(", port.name)), "{}: {}", board.name, port.name);
    }
    let boxes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackboxes.v");
    let mut command = Command::new("iverilog");
    command.current_dir(folder.path()).args(["-g2012", "-Wall", "-t", "null", "-s", TOP]);
    command.args(defines(config).iter().map(|name| format!("-D{name}")));
    command.args(&names).arg(boxes);
    let Some((success, said)) = run(&mut command, "lint of the tops") else { return };
    // What Icarus has to say of the card's own files is looked at where they are made.
    let file = Path::new(board.top[0].0).file_name().unwrap().to_string_lossy();
    let own: Vec<&str> = (said.lines())
        .filter(|line| line.contains(&*file) && !line.contains("timescale"))
        .collect();
    assert!(success && own.is_empty(), "{}:\n{said}", board.name);
}

#[test]
fn a_port_that_is_not_there_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.v");
    let text = "module rmt_board; wire a; IBUF b (.O(a), .NOT_THERE(a)); endmodule";
    std::fs::write(&file, text).unwrap();
    let boxes = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/blackboxes.v");
    let mut command = Command::new("iverilog");
    command.args(["-g2012", "-t", "null", "-s", TOP]).args([&file, &boxes]);
    let Some((success, said)) = run(&mut command, "the test of the lint") else { return };
    assert!(!success && said.contains("NOT_THERE"), "{said}");
}

#[test]
fn build_scripts_are_tcl_and_name_their_files() {
    for board in BOARDS.iter().filter(|board| board.flow == Flow::Vivado) {
        let names = ["rmt_card.sv".to_owned(), "top.v".to_owned()];
        let script = vivado::script(board, &names, 9, &["ARRAY_CLOCK"], &[("PLL_OUTPUT", 20)]);
        assert!(script.contains("rmt_card.sv top.v"), "{script}");
        assert!(script.contains("-verilog_define ARRAY_CLOCK -generic PLL_OUTPUT=20"), "{script}");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("build.tcl"), &script).unwrap();
        // The commands of Vivado do nothing here but tell that they were called.
        let stubs = "proc unknown {name args} { lappend ::called $name; return 1 }\n\
                     set argv {}\n\
                     set ::env(PCIE_7X) /nowhere\n\
                     proc glob {args} { return {a.v} }\n\
                     source build.tcl\n\
                     puts $::called\n";
        std::fs::write(folder.path().join("run.tcl"), stubs).unwrap();
        let mut command = Command::new("tclsh");
        command.current_dir(folder.path()).arg("run.tcl");
        let Some((success, said)) = run(&mut command, "Tcl of the build scripts") else { return };
        assert!(success, "{}: {said}", board.name);
        for called in [
            "read_verilog",
            "read_xdc",
            "synth_design",
            "set_max_delay",
            "route_design",
            "write_bitstream",
        ] {
            assert!(said.contains(called), "{}: {called} in {said}", board.name);
        }
    }
}
