//! The assembler on a database of a few tiles, written by hand.

use std::path::Path;

use tempfile::TempDir;

use super::*;

/// The part of the small database.
pub(crate) const PART: &str = "xc7a200tfbg484-2";

/// A sum takes half a nanosecond out of the block, and 1.5 before the clock into it.
const MULTIPLIER_DELAYS: &str = "(DELAYFILE (CELL (CELLTYPE \"DSP48E1_PREG_1\")
    (DELAY (ABSOLUTE (IOPATH CLK P (0.5))))) (CELL (CELLTYPE \"DSP48E1_CREG_0_PREG_1\") (TIMINGCHECK (SETUP C CLK (1.5)))))";

/// The small database: a folder of families with one.
pub(crate) fn small_database() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tile = |kind: &str, bits: &str| {
        format!(
            r#"{{ "type": "{kind}", "grid_x": 1, "grid_y": 2, "bits": {{ {bits} }}, "sites": {{}} }}"#
        )
    };
    let place = |base: &str, offset: u32| {
        format!(r#"{{ "baseaddr": "{base}", "frames": 36, "offset": {offset}, "words": 2 }}"#)
    };
    let pin = |alias: &str, offset: u32, sites: &str| {
        format!(
            r#"{{ "type": "LIOB33{}", "grid_x": 0, "grid_y": 3, "sites": {{ {sites} }}, "bits": {{ "CLB_IO_CLK": {{
               "baseaddr": "0x00440000", "frames": 42, "offset": {offset}, "words": 2{alias} }} }} }}"#,
            if alias.is_empty() { "" } else { "_SING" }
        )
    };
    let alias = r#", "alias": { "type": "LIOB33", "start_offset": 2, "sites": {} }"#;
    let two = r#""IOB_X0Y1": "IOB33M", "IOB_X0Y2": "IOB33S""#;
    let tiles = [
        ("CLB_X0Y0", tile("CLB", &format!(r#""CLB_IO_CLK": {}"#, place("0x00000400", 3)))),
        (
            "BRAM_X0Y0",
            tile(
                "BRAM",
                &format!(
                    r#""CLB_IO_CLK": {}, "BLOCK_RAM": {}"#,
                    place("0x00000500", 0),
                    place("0x00800000", 10)
                ),
            ),
        ),
        ("EDGE_X9Y9", tile("CLB", &format!(r#""CLB_IO_CLK": {}"#, place("0x00000600", 100)))),
        ("LIOB33_X0Y1", pin("", 2, two)),
        ("LIOB33_X0Y3", pin("", 6, r#""IOB_X0Y3": "IOB33M", "IOB_X0Y4": "IOB33S""#)),
        ("LIOB33_SING_X0Y0", pin(alias, 0, r#""IOB_X0Y0": "IOB33""#)),
    ];
    let tiles: Vec<String> =
        tiles.iter().map(|(name, tile)| format!(r#""{name}": {tile}"#)).collect();
    let stepdown: String = (0..2)
        .map(|y| format!("LIOB33.IOB_Y{y}.LVCMOS15_SSTL15.STEPDOWN 30_{}\n", 100 - 64 * y))
        .collect();
    let files = [
        ("xc7a200t/tilegrid.json", format!("{{ {} }}", tiles.join(","))),
        ("segbits_clb.db", "CLB.AFF.ZINI 31_06\nCLB.MUX.A !30_06 30_33\nCLB.MUX.B 30_06 !30_33\nCLB.LUT.INIT[00] 02_00\nCLB.LUT.INIT[01] 02_01\nCLB.LUT.INIT[10] 02_40\n".into()),
        ("ppips_clb.db", "CLB.CLB_A.CLB_A1 hint\n".into()),
        ("segbits_bram.db", "BRAM.RAMB18_Y0.IN_USE 27_00\n".into()),
        ("segbits_bram.block_ram.db", "BRAM.RAMB18_Y0.INIT_00[005] 07_63\n".into()),
        ("segbits_liob33.db", format!("{stepdown}LIOB33.IOB_Y0.IN 01_66\n")),
        ("ppips_liob33_sing.db", "LIOB33_SING.WAY.FREE always\n".into()),
        ("timings/DSP_L.sdf", MULTIPLIER_DELAYS.into()),
        ("mapping/parts.yaml", format!("other:\n  device: none\n{PART}:\n  device: xc7a200t\n  package: fbg484\n")),
        ("mapping/devices.yaml", "# fabrics\n\"xc7a200t\":\n  fabric: \"xc7a200t\"\n".into()),
        (&format!("{PART}/part.yaml"), "!<xilinx/xc7series/part>\n".into()),
        (
            &format!("{PART}/package_pins.csv"),
            "pin,bank,site,tile,pin_function\nA1,15,IOB_X0Y1,LIOB33_X0Y1,x\nA2,15,IOB_X0Y0,LIOB33_SING_X0Y0,x\nA3,16,IOB_X0Y3,LIOB33_X0Y3,x\n"
                .into(),
        ),
    ];
    for (name, text) in files {
        let path = folder.path().join("artix7").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn assembled(text: &str) -> Result<Frames, FpgaError> {
    let folder = small_database();
    assemble(text, &mut Database::find(folder.path(), PART)?)
}

fn refused(text: &str) -> String {
    assembled(text).unwrap_err().to_string()
}

#[test]
fn features_set_the_bits_of_their_tile() {
    let frames = assembled("# a design\nCLB_X0Y0.AFF.ZINI\n\nCLB_X0Y0.MUX.A\n").unwrap();
    // Frame 31 of those from 0x400 on; bit 6 of the tile's first word, which is the frame's fourth.
    assert_eq!(frames.word(0x41f, 3), 1 << 6);
    assert_eq!(frames.word(0x41e, 4), 1 << 1);
    assert_eq!(frames.ones(), 2);
    let text = frames.text();
    let line = text.lines().find(|line| line.starts_with("0x0000041F ")).unwrap();
    let words: Vec<&str> = line.split_once(' ').unwrap().1.split(',').collect();
    assert_eq!((words.len(), words[3], words[4]), (101, "0x00000040", "0x00000000"));
}

#[test]
fn vectors_set_what_is_one_and_memories_have_frames_of_their_own() {
    let frames = assembled("CLB_X0Y0.LUT.INIT[10:0] = 11'b10000000010").unwrap();
    assert_eq!((frames.word(0x402, 3), frames.word(0x402, 4)), (1 << 1, 1 << 8));
    let text = "BRAM_X0Y0.RAMB18_Y0.IN_USE\nBRAM_X0Y0.RAMB18_Y0.INIT_00[5] = 1'b1";
    let frames = assembled(text).unwrap();
    assert_eq!((frames.word(0x51b, 0), frames.word(0x80_0007, 11)), (1, 1 << 31));
    assert_eq!(frames.ones(), 2);
    // Nothing is set, so nothing is asked: the database does not have bit 2.
    assert_eq!(assembled("CLB_X0Y0.LUT.INIT[2:0] = 3'b001").unwrap().ones(), 1);
}

#[test]
fn ways_that_are_always_there_cost_nothing() {
    assert_eq!(assembled("CLB_X0Y0.CLB_A.CLB_A1").unwrap().ones(), 0);
    assert_eq!(assembled("LIOB33_SING_X0Y0.WAY.FREE").unwrap().ones(), 0);
}

#[test]
fn a_tile_at_the_edge_has_half_of_another() {
    let frames = assembled("LIOB33_SING_X0Y0.IOB_Y0.IN").unwrap();
    // Bit 66 is in the third word of the whole tile, and so in the first of its upper half.
    assert_eq!(frames.word(0x44_0001, 0), 1 << 2);
}

#[test]
fn unused_pins_of_a_bank_at_a_low_voltage_say_so_too() {
    let frames = assembled("LIOB33_X0Y1.IOB_Y0.LVCMOS15_SSTL15.STEPDOWN").unwrap();
    let word = |word| frames.word(0x44_001e, word);
    // Both pins of its own tile, and the one of the bank's other tile; the other bank's are left alone.
    assert_eq!((word(5), word(3), word(1)), (1 << 4, 1 << 4, 1 << 4));
    assert_eq!(frames.ones(), 3);
}

#[test]
fn what_the_database_does_not_know_is_named() {
    let message = refused("CLB_X0Y0.AFF.ZINI\nCLB_X0Y0.NOT.THERE\nNOWHERE_X1Y1.A\n");
    assert!(message.contains("does not know 2"), "{message}");
    assert!(message.contains("CLB_X0Y0.NOT.THERE, NOWHERE_X1Y1.A"), "{message}");
    assert!(refused("CLB_X0Y0.LUT.INIT[2:0] = 3'b100").contains("INIT[2:0]"));
}

#[test]
fn bad_lines_and_contradictions_are_named_with_their_line() {
    let message = refused("CLB_X0Y0.AFF.ZINI\nnonsense\n");
    assert!(message.contains("line 2: `nonsense`"), "{message}");
    let message = refused("CLB_X0Y0.MUX.A\nCLB_X0Y0.MUX.B\n");
    assert!(message.contains("line 2") && message.contains("MUX.B"), "{message}");
    let message = refused("EDGE_X9Y9.MUX.A");
    assert!(message.contains("outside of the frames"), "{message}");
}

#[test]
fn a_damaged_database_is_named_with_its_file() {
    let problem = |name: &str, text: Option<&str>| {
        let folder = small_database();
        let path = folder.path().join("artix7").join(name);
        match text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let features = "CLB_X0Y0.AFF.ZINI\nLIOB33_X0Y1.IOB_Y0.LVCMOS15_SSTL15.STEPDOWN";
        let found = Database::find(folder.path(), PART);
        let error = found.and_then(|mut database| assemble(features, &mut database)).unwrap_err();
        let (message, file) = (error.to_string(), Path::new(name).file_name().unwrap());
        // A part that is not there is a matter of the folder.
        assert!(
            name.ends_with("part.yaml") || message.contains(&*file.to_string_lossy()),
            "{message}"
        );
        message
    };
    assert!(problem(&format!("{PART}/part.yaml"), None).contains("no part xc7a200tfbg484-2"));
    problem("mapping/parts.yaml", Some("nothing\n"));
    problem("mapping/parts.yaml", None);
    problem("mapping/devices.yaml", Some("xc7a200t:\nfabric: left\n"));
    problem("xc7a200t/tilegrid.json", None);
    problem("xc7a200t/tilegrid.json", Some("[1, 2]"));
    problem("xc7a200t/tilegrid.json", Some("{ \"CLB_X0Y0\": { \"type\": 3 } }"));
    problem(&format!("{PART}/package_pins.csv"), Some("pin,tile\n"));
    for line in [
        "AFF.ZINI 1_2",
        "CLB.AFF.ZINI 12",
        "CLB.AFF.ZINI a_b",
        "CLB.A[x] 1_2",
        "CLB.A 99999999999_1",
    ] {
        let message = problem("segbits_clb.db", Some(line));
        assert!(message.contains(line), "{message}");
    }
    let gone = Database::find(Path::new("/nowhere"), PART).err().unwrap().to_string();
    assert!(gone.contains("/nowhere"), "{gone}");
}
