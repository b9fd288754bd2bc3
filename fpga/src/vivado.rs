//! The project for boards whose tool is Vivado, which does not run here: sources, constraints and a build script.

use std::fmt::Write as _;
use std::path::PathBuf;

use rmt_isa::device::pci;

use crate::boards::{Board, Link, TOP};
use crate::cache::{Cache, Key};
use crate::error::FpgaError;
use crate::flow::{Request, clock_parameters, defines, sources};
use crate::pll::PLLE2;

/// Name of the block that the script makes.
const BLOCK: &str = "pcie_7x_0";

/// Writes the project of a board; the folder.
///
/// # Errors
/// When the configuration cannot be built or the folder not be written.
pub fn write_project(request: &Request<'_>, cache: &Cache) -> Result<PathBuf, FpgaError> {
    let board = request.board;
    let mut files = sources(request)?;
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    let vectors = pci::msix_vectors(request.config.shape().queues);
    let parameters = clock_parameters(request, &PLLE2)?;
    files.push((
        "build.tcl".to_owned(),
        script(board, &names, vectors, defines(request.config), &parameters),
    ));
    files.push(("board.xdc".to_owned(), board.constraints.1.to_owned()));
    let mut key = Key::default().with("vivado 2").with(board.name);
    for (name, text) in &files {
        key = key.with(name).with(text);
    }
    let (folder, _) = cache.step("vivado", key, |folder| {
        for (name, text) in &files {
            let path = folder.join(name);
            std::fs::write(&path, text).map_err(FpgaError::file("write", &path))?;
        }
        Ok(())
    })?;
    Ok(folder)
}

/// A size of a BAR as the block's settings have it: scale and number.
fn scale(bytes: u32) -> (&'static str, u32) {
    if bytes >= 1 << 20 { ("Megabytes", bytes >> 20) } else { ("Kilobytes", bytes >> 10) }
}

/// Settings of the block, from the device table.
fn settings(lanes: u32, stream_bits: u32, vectors: u32) -> Vec<(String, String)> {
    let mut settings: Vec<(String, String)> = Vec::new();
    let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
    let yes = || "true".to_owned();
    let no = || "false".to_owned();
    set("mode_selection", "Advanced".into());
    set("PCIe_Blk_Locn", "X0Y0".into());
    set("Link_Speed", "5.0_GT/s".into());
    set("Trgt_Link_Speed", "4'h2".into());
    set("Maximum_Link_Width", format!("X{lanes}"));
    set("Interface_Width", format!("{stream_bits}_bit"));
    set("User_Clk_Freq", "125".into());
    set("Ref_Clk_Freq", "100_MHz".into());
    set("Max_Payload_Size", "512_bytes".into());
    set("Trans_Buf_Pipeline", "None".into());
    set("Vendor_ID", format!("{:04X}", pci::VENDOR_ID));
    set("Device_ID", format!("{:04X}", pci::DEVICE_ID));
    set("Subsystem_Vendor_ID", format!("{:04X}", pci::SUBSYSTEM_VENDOR_ID));
    set("Subsystem_ID", format!("{:04X}", pci::SUBSYSTEM_ID));
    set("Revision_ID", format!("{:02X}", pci::REVISION_ID));
    set("Use_Class_Code_Lookup_Assistant", no());
    set("Class_Code_Base", format!("{:02X}", pci::CLASS_CODE >> 16));
    set("Class_Code_Sub", format!("{:02X}", pci::CLASS_CODE >> 8 & 0xff));
    set("Class_Code_Interface", format!("{:02X}", pci::CLASS_CODE & 0xff));
    for number in 0..6 {
        let bar = pci::BARS.iter().find(|bar| bar.number == number);
        set(&format!("Bar{number}_Enabled"), if bar.is_some() { yes() } else { no() });
        if let Some(bar) = bar {
            let (scale, size) = scale(bar.bytes);
            set(&format!("Bar{number}_Type"), "Memory".into());
            set(&format!("Bar{number}_64bit"), no());
            set(&format!("Bar{number}_Scale"), scale.into());
            set(&format!("Bar{number}_Size"), size.to_string());
        }
    }
    set("Legacy_Interrupt", "NONE".into());
    set("IntX_Generation", no());
    set("MSI_Enabled", no());
    set("MSIx_Enabled", yes());
    // These are hexadecimal.
    set("MSIx_Table_Size", format!("{vectors:X}"));
    set("MSIx_Table_BIR", format!("BAR_{}", pci::MSIX_BAR.number));
    set("MSIx_Table_Offset", format!("{:X}", pci::MSIX_TABLE_OFFSET));
    set("MSIx_PBA_BIR", format!("BAR_{}", pci::MSIX_BAR.number));
    set("MSIx_PBA_Offset", format!("{:X}", pci::MSIX_PBA_OFFSET));
    for interface in [
        "en_ext_clk",
        "cfg_fc_if",
        "cfg_mgmt_if",
        "err_reporting_if",
        "pl_interface",
        "rcv_msg_if",
        "PCIe_Debug_Ports",
    ] {
        set(interface, no());
    }
    settings
}

/// Constraints between the clocks of link and card, for the netlist: what crosses is Gray pointers, and words that
/// stand still when they are read. A period of the faster clock bounds how far the bits of a pointer drift apart.
const CROSSING: &str = "\nset link_clock [get_clocks -of_objects [get_pins clocks/pll/CLKIN1]]\n\
     set card_clock [get_clocks -of_objects [get_pins clocks/pll/CLKOUT0]]\n\
     set_max_delay -datapath_only -from $link_clock -to $card_clock 8.0\n\
     set_max_delay -datapath_only -from $card_clock -to $link_clock 8.0\n";

/// The build script: project in memory, block, synthesis, place and route, reports, bitstream. `defines` and `parameters` are
/// those of the top.
pub fn script(
    board: &Board,
    names: &[String],
    vectors: u32,
    defines: &[&str],
    parameters: &[(&str, u32)],
) -> String {
    let mut text = String::new();
    let part = board.part.tool_name;
    let _ = write!(
        text,
        "# Builds the bitstream of {}: vivado -mode batch -source build.tcl\n\
         # Written by `rmt fpga build`; never run by its authors, who have no Vivado.\n\
         set part {part}\n\
         if {{[llength $argv] > 0}} {{ set part [lindex $argv 0] }}\n\
         create_project -in_memory -part $part\n\
         read_verilog -sv [list {}]\n\
         read_xdc board.xdc\n",
        board.title,
        names.join(" ")
    );
    let mut top = format!("-top {TOP} -part $part");
    for name in defines {
        let _ = write!(top, " -verilog_define {name}");
    }
    for (name, value) in parameters {
        let _ = write!(top, " -generic {name}={value}");
    }
    match board.link {
        Link::Pcie { lanes, stream_bits: stream_bits @ 128, .. } => {
            let _ = write!(
                text,
                "\n# The block, with the identity that the driver looks for.\n\
                 create_ip -name pcie_7x -vendor xilinx.com -library ip -module_name {BLOCK} -dir .\n\
                 set_property -dict [list \\\n"
            );
            for (name, value) in settings(lanes, stream_bits, vectors) {
                let _ = writeln!(text, "    CONFIG.{name} {{{value}}} \\");
            }
            let _ = write!(
                text,
                "] [get_ips {BLOCK}]\n\
                 generate_target all [get_ips {BLOCK}]\n\
                 synth_ip [get_ips {BLOCK}]\n"
            );
        }
        _ => {
            text += "\n# The open core: set PCIE_7X to a checkout of regymm/pcie_7x.\n\
                 if {![info exists ::env(PCIE_7X)]} {\n    \
                     error \"set the environment variable PCIE_7X to a checkout of regymm/pcie_7x\"\n\
                 }\n\
                 read_verilog [glob $::env(PCIE_7X)/src/pcie_*.v $::env(PCIE_7X)/src/pipe_*.v $::env(PCIE_7X)/src/gtp_pipe_drp.v $::env(PCIE_7X)/src/xilinx_pcie_mmcm.v]\n";
            let _ = write!(top, " -generic VECTORS={vectors}");
        }
    }
    let _ = write!(
        text,
        "\nsynth_design {top}\n\
         {CROSSING}\n\
         opt_design\n\
         place_design\n\
         phys_opt_design\n\
         route_design\n\
         phys_opt_design\n\
         report_timing_summary -file timing.rpt\n\
         report_utilization -hierarchical -file utilisation.rpt\n\
         write_bitstream -force board.bit\n\
         write_cfgmem -force -format bin -interface spix4 -size 16 -loadbit \"up 0x0 board.bit\" -file board.bin\n\
         set slack [get_property SLACK [get_timing_paths]]\n\
         puts \"worst slack: $slack ns\"\n\
         if {{$slack < 0}} {{ error \"timing is not met, see timing.rpt; a slower card: rmt fpga build --mhz\" }}\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_has_the_identity_of_the_device_table() {
        let settings = settings(4, 128, 9);
        let value = |name: &str| {
            let found = settings.iter().find(|(known, _)| known == name);
            found.map_or("not set", |(_, value)| value.as_str())
        };
        assert_eq!((value("Vendor_ID"), value("Device_ID")), ("1AF4", "10F5"));
        assert_eq!((value("Bar0_Scale"), value("Bar0_Size")), ("Kilobytes", "128"));
        assert_eq!((value("Bar1_Enabled"), value("Bar2_Size")), ("false", "4"));
        assert_eq!((value("MSIx_Table_Size"), value("MSIx_PBA_Offset")), ("9", "800"));
        assert_eq!(value("MSIx_Table_BIR"), "BAR_2");
    }

    #[test]
    fn the_open_top_has_the_identity_of_the_device_table() {
        let board = Board::find("acorn-open").unwrap();
        let text = board.top[0].1;
        let mask = |number: u8| {
            let bar = pci::BARS.iter().find(|bar| bar.number == number).unwrap();
            format!(".BAR{number}(32'h{:08x})", !(bar.bytes - 1))
        };
        for parameter in [
            format!(".CFG_VEND_ID(16'h{:04x})", pci::VENDOR_ID),
            format!(".CFG_DEV_ID(16'h{:04x})", pci::DEVICE_ID),
            format!(".CFG_REV_ID(8'h{:02x})", pci::REVISION_ID),
            format!(".CFG_SUBSYS_VEND_ID(16'h{:04x})", pci::SUBSYSTEM_VENDOR_ID),
            format!(".CFG_SUBSYS_ID(16'h{:04x})", pci::SUBSYSTEM_ID),
            format!(".CLASS_CODE(24'h{:06x})", pci::CLASS_CODE),
            mask(0),
            mask(pci::MSIX_BAR.number),
            format!(".MSIX_CAP_TABLE_BIR({})", pci::MSIX_BAR.number),
            format!(".MSIX_CAP_PBA_OFFSET(29'h{:x})", pci::MSIX_PBA_OFFSET),
        ] {
            assert!(text.contains(&parameter), "{parameter}");
        }
    }
}
