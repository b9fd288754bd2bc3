//! The flow without its tools, but for what its synthesis changes, which yosys proves.

use super::progress::{Rounds, Stage};
use super::*;
use crate::boards;
use crate::report::Clock;
use serde_json::json;

fn request<'a>(board: &str, config: &'a CoreConfig) -> Request<'a> {
    Request {
        board: Board::find(board).unwrap(),
        config,
        mhz: 50.0,
        seed: 1,
        tries: 2,
        best_of: 1,
        speed: None,
        aim_mhz: None,
        limit: Duration::from_secs(60),
        only_synthesis: false,
    }
}

/// What is said of a missing tool when these are there.
fn missing(board: &str, there: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for name in there {
        std::fs::write(bin.join(name), "").unwrap();
    }
    let config = CoreConfig::smallest();
    let mut builder = Builder {
        search: Search { folders: vec![bin] },
        cache: Cache { folder: folder.path().join("cache") },
        progress: &mut |progress| panic!("{progress:?}"),
    };
    let error = builder.build(&request(board, &config)).err().unwrap().to_string();
    assert!(!folder.path().join("cache").exists());
    error
}

#[test]
fn a_missing_tool_is_named_before_anything_runs() {
    let yosys = "yosys is missing; run ./x setup --fpga";
    assert_eq!(missing("ecpix5", &[]), yosys);
    assert_eq!(missing("ecpix5", &["yosys"]), "nextpnr-ecp5 is missing; run ./x setup --fpga");
    assert_eq!(missing("acorn-serial", &[]), yosys);
    let mut there = vec!["yosys"];
    for tool in ["nextpnr-himbaechel-xilinx", "xc7frames2bit", "prjxray-database"] {
        let message = missing("acorn-serial", &there);
        assert_eq!(message, format!("{tool} is missing; run ./x setup --fpga-xc7"));
        there.push(tool);
    }
}

#[test]
fn each_board_can_make_its_own_clock() {
    let config = CoreConfig::smallest();
    for board in boards::BOARDS {
        // Vivado builds for the 7-series alone.
        let kind = family(board.flow).map_or(&crate::pll::PLLE2, |family| &family.pll);
        let request = Request { mhz: board.card_mhz, ..request(board.name, &config) };
        let made = clock_parameters(&request, kind).map(|dividers| dividers.len());
        assert_eq!(made.map_err(|error| error.to_string()), Ok(3), "{}", board.name);
    }
}

/// Tools that are shell scripts, and a netlist with so many cells.
fn with_tools(board: &str, luts: usize) -> Result<Build, FpgaError> {
    with_router(board, luts, "", &tempfile::tempdir().unwrap())
}

/// The same, with what nextpnr does before it routes, in a folder that is kept.
fn with_router(
    board: &str,
    luts: usize,
    first: &str,
    folder: &tempfile::TempDir,
) -> Result<Build, FpgaError> {
    best_of(1, board, luts, first, folder)
}

/// The same with the fastest of some seeds.
fn best_of(
    seeds: u32,
    board: &str,
    luts: usize,
    first: &str,
    folder: &tempfile::TempDir,
) -> Result<Build, FpgaError> {
    use std::os::unix::fs::PermissionsExt as _;
    let share = folder.path().join("share");
    std::fs::create_dir_all(share.join("prjxray")).unwrap();
    let database = share.join("prjxray/database");
    if !database.exists() {
        std::fs::rename(crate::xc7::tests::small_database().keep(), database).unwrap();
    }
    let bin = folder.path().join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    let mut cells: serde_json::Map<String, Value> = (0..luts)
        .map(|n| (format!("lut{n}"), json!({ "type": "LUT4", "connections": {} })))
        .collect();
    // A sum that goes back into its block, by a way of 18 ns.
    let settings = json!({ "PREG": "1", "CREG": "0" });
    cells.insert("sum".into(), json!({ "type": "DSP48E1", "parameters": settings }));
    cells.insert("words".into(), json!({ "type": "DP16KD", "attributes": {}, "connections": {} }));
    let delays = "(DELAYFILE (CELL (DELAY (ABSOLUTE (INTERCONNECT sum/P0 sum/C0 (18.0))))))";
    let netlist = json!({ "modules": { TOP: { "attributes": {}, "cells": cells } } });
    let path = folder.path().join("mapped.json");
    std::fs::write(&path, netlist.to_string()).unwrap();
    let timing = |constraint: Value| {
        let clock = json!({ "achieved": 61.5, "constraint": constraint });
        json!({ "fmax": { "$glbnet$clk": clock }, "critical_paths": [] })
    };
    // The card's clock, of which 60 MHz are expected whatever is asked for, is half of the input's.
    let asked = "asked=$(grep '^FREQUENCY' board.lpf | sed 's/.* \\([0-9.]*\\) MHZ;/\\1/' | awk '{ print $1 / 2 }')";
    let placed = "Max frequency for clock    '\\$glbnet\\$clk': 60.00 MHz (FAIL at $asked MHz)";
    // A clock buffer, which stays where it is; the card's clock is a quarter of the input's.
    let placed_text = "C\\tclock\\tBUFGCTRL\\tX1Y2/BUFGCTRL\\n";
    let input = "asked=$(sed -n 's/^create_clock -period \\([0-9.]*\\) .*/\\1/p' board.xdc | awk '{ printf \"%.1f\", 250 / $1 }')";
    // A memory's block stands far from its logic.
    let cell = |kind: &str, bel: &str| {
        json!({
            "type": kind, "parameters": {}, "attributes": { "NEXTPNR_BEL": bel },
            "port_directions": { "A": "input" }, "connections": { "A": [2] },
        })
    };
    let stands = |words: &str| {
        let logic = cell("TRELLIS_COMB", "X60/Y45/SLICEA.K0");
        json!({ "modules": { "top": { "cells": { "words": cell("DP16KD", words), "logic": logic } } } })
    };
    let scripts = [
        ("yosys", format!("echo '3.7. Executing FLATTEN pass.'; cp {} .", path.display())),
        (
            "nextpnr-ecp5",
            format!(
                "echo 'Info: Packing'; {asked}; echo \"Info: {placed}\"\n\
                 case \"$*\" in *'--no-route --write placed.json'*) \
                 case $asked in 100) echo '{}';; 130) echo '{}';; esac > placed.json; exit;; esac\n\
                 grep -q '\"BEL\":\"X60/Y46/EBR1\"' netlist.json || exit 1\n\
                 echo $asked >> {}\n\
                 {first}\necho 'Info: Running router2...'; echo '{}' | sed \"s/\\\"ASKED\\\"/$asked/\" > timing.json; echo > board.config",
                stands("X4/Y22/EBR0"),
                stands("X60/Y46/EBR1"),
                folder.path().join("asked").display(),
                timing("ASKED".into())
            ),
        ),
        ("ecppack", "echo bits > board.bit".to_owned()),
        (
            "nextpnr-himbaechel-xilinx",
            format!(
                "case \"$*\" in *before_routing.py*) if grep -q placed.txt before_routing.py; then \
                 printf '{placed_text}' > placed.txt; exit; fi;; esac\n\
                 grep -q '^clock.X1Y2/BUFGCTRL$' bound.txt || exit 1\n\
                 {input}; reached=61.5; echo '{delays}' > board.sdf\n\
                 {first}\n\
                 echo '{}' | sed \"s/\\\"ASKED\\\"/$asked/; s/61.5/$reached/\" > timing.json; echo CLB_X0Y0.AFF.ZINI > board.fasm",
                timing("ASKED".into())
            ),
        ),
        (
            "xc7frames2bit",
            "grep -q '^0x0000041F .*0x00000040' board.frames && echo bits > board.bit".to_owned(),
        ),
    ];
    for (name, script) in scripts {
        let path = folder.path().join("script");
        let version = "case \"$1\" in --version) echo tool 1; exit;; esac";
        std::fs::write(&path, format!("#!/bin/sh\n{version}\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        // Copied by another program: one that this one has open for writing while another test starts a process
        // cannot be run.
        let copied = Command::new("cp").arg(&path).arg(bin.join(name)).status().unwrap();
        assert!(copied.success());
    }
    let config = CoreConfig::smallest();
    let mut said = Vec::new();
    let mut builder = Builder {
        search: Search { folders: vec![bin] },
        cache: Cache { folder: folder.path().join("cache") },
        progress: &mut |progress| said.push(progress),
    };
    let build = builder.build(&Request { best_of: seeds, ..request(board, &config) });
    if let Ok(build) = &build {
        let bits = std::fs::read_to_string(build.bitstream.as_ref().unwrap()).unwrap();
        assert_eq!(bits, "bits\n");
    }
    assert!(said.iter().any(|progress| progress.step == "synthesis" && progress.done < 1.0));
    build
}

#[test]
fn steps_follow_each_other_to_a_bitstream_and_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let clocks = |board: &str| {
        let build = with_router(board, 100, "", &folder).unwrap();
        assert_eq!(build.report.used.luts, 100);
        build.report.timing.unwrap().clocks
    };
    let clock = |reached_mhz: f64, asked_mhz: f64, placed_mhz: Option<f64>| Clock {
        name: "clk".to_owned(),
        reached_mhz,
        asked_mhz,
        placed_mhz,
    };
    assert_eq!(clocks("ecpix5"), [clock(61.5, 50.0, None)]);
    let asked = std::fs::read_to_string(folder.path().join("asked")).unwrap();
    assert_eq!(asked, "50\n64.6\n63\n", "nothing is expected; then a little more than was reached");
    // More is asked for. The path through the multiplier is longer than what nextpnr tells of.
    let clocks = clocks("acorn-serial");
    assert_eq!((clocks[0].reached_mhz, clocks[0].asked_mhz), (50.0, 50.0));
}

#[test]
fn more_than_was_reached_is_asked_for_as_long_as_that_helps() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("asked");
    // No paths through multipliers. What is late goes back to the queue: 63 and 66 MHz are reached, then it does not end, and of
    // less 65 are reached.
    let routes = format!(
        "echo $asked >> {}; echo '(DELAYFILE )' > board.sdf\n\
         case \"$asked $*\" in 64.6*--tmg-ripup*) reached=63.0;; 66.2*--tmg-ripup*) reached=66.0;; \
         67.7*--tmg-ripup*) reached=65.0;; 69.3*--tmg-ripup*) while :; do echo 'Info: iter=1 wires=9 overused=1 overuse=9 archfail=NA'; done;; esac",
        log.display()
    );
    let timing = with_router("acorn-serial", 10, &routes, &folder).unwrap().report.timing.unwrap();
    assert_eq!((timing.clocks[0].reached_mhz, timing.clocks[0].asked_mhz), (66.0, 50.0));
    let asked = std::fs::read_to_string(&log).unwrap().replace('\n', " ");
    assert_eq!(asked, "160.0 64.6 66.2 69.3 67.7 ");
}

#[test]
fn what_does_not_fit_is_refused_before_place_and_route() {
    let error = with_tools("ecpix5", 90_000).err().unwrap().to_string();
    assert!(error.contains("90000 look-up tables of 83640"), "{error}");
    assert!(error.contains("LFE5UM5G-85F"), "{error}");
    let error = with_tools("acorn-serial", 134_601).err().unwrap().to_string();
    assert!(error.contains("134601 look-up tables of 134600"), "{error}");
    assert!(error.contains("XC7A200T"), "{error}");
}

#[test]
fn a_routing_that_does_not_end_is_given_up_and_the_next_seed_tried() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("seeds");
    // Shared wires fall to 7 and stay there, for the seeds that are listed.
    let never = |seeds: &str| {
        format!(
            "echo \"$*\" | sed 's/.*--seed \\([0-9]*\\).*/\\1/' >> {}; \
             case \"$*\" in {seeds}) n=50; while :; do echo \"Info: iter=1 wires=9 overused=$n overuse=9 archfail=NA\"; \
             [ $n -gt 7 ] && n=$((n - 1)); done;; esac",
            log.display()
        )
    };
    let tried = || std::fs::read_to_string(&log).unwrap_or_default().replace('\n', " ");
    let build = with_router("ecpix5", 10, &never("*'--seed 1'*"), &folder).unwrap();
    assert_eq!((build.report.seed, tried()), (2, "1 2 2 2 ".to_owned()));
    // What was given up once is not tried again, what was routed is there.
    let build = with_router("ecpix5", 10, &never("*'--seed 1'*"), &folder).unwrap();
    assert_eq!((build.report.seed, tried()), (2, "1 2 2 2 ".to_owned()));
    let error = with_router("ecpix5", 10, &never("*'--seed '*"), &tempfile::tempdir().unwrap())
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "nextpnr-ecp5 cannot route it with seed 2: 7 wires are wanted by more than one net or late, and hardly fewer for \
         100 rounds; try another --seed or a smaller configuration"
    );
    assert_eq!(tried(), "1 2 2 2 1 2 ");
}

#[test]
fn of_several_seeds_the_fastest_is_taken() {
    // The first seed reaches 61.5 MHz; others as listed, or no placement.
    let others = |reached: &[(u32, &str)]| -> String {
        let seed = |(seed, mhz): &(u32, &str)| {
            let clock = json!({ "achieved": "MHZ", "constraint": "ASKED" });
            let timing = json!({ "fmax": { "clk": clock }, "critical_paths": [] }).to_string();
            let does = match *mhz {
                "" => "echo \"ERROR: post-placement validity check failed for Bel 'X1Y2' (cell 'a')\"; exit 1".to_owned(),
                mhz => format!("echo '{}' | sed \"s/\\\"ASKED\\\"/$asked/\" > timing.json; echo > board.config; exit", timing.replace("\"MHZ\"", mhz)),
            };
            format!("case \"$*\" in *'--seed {seed}'*) {does};; esac\n")
        };
        reached.iter().map(seed).collect()
    };
    let taken = |seeds: u32, reached: &[(u32, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        let build = best_of(seeds, "ecpix5", 10, &others(reached), &folder).unwrap();
        (build.report.seed, build.report.timing.unwrap().clocks[0].reached_mhz)
    };
    assert_eq!(taken(3, &[(2, "63.5"), (3, "62.5")]), (2, 63.5));
    assert_eq!(
        taken(3, &[(2, "60.5"), (3, "")]),
        (1, 61.5),
        "what cannot be placed is passed over"
    );
    assert_eq!(taken(2, &[(2, "60.5"), (3, "99.5")]), (1, 61.5), "no more than were asked for");
}

#[test]
fn a_placement_with_a_cell_that_may_not_be_there_is_given_up_too() {
    let folder = tempfile::tempdir().unwrap();
    let says = |seeds: &str| {
        format!(
            "case \"$*\" in {seeds}) echo \"ERROR: post-placement validity check failed for Bel 'X1Y2' (cell 'a')\"; \
             exit 125;; esac"
        )
    };
    let build = with_router("ecpix5", 10, &says("*'--seed 1'*"), &folder).unwrap();
    assert_eq!(build.report.seed, 2);
    let error = with_router("ecpix5", 10, &says("*'--seed '*"), &tempfile::tempdir().unwrap());
    assert_eq!(
        error.err().unwrap().to_string(),
        "nextpnr-ecp5 found no valid place for a cell with seed 2; try another --seed"
    );
}

#[test]
fn progress_is_read_from_what_the_tools_say() {
    let mut passes = Passes::default();
    assert_eq!(passes.take("40. Executing Verilog-2005 frontend: mac_cell.sv"), None);
    assert_eq!(passes.take("75. Executing SYNTH_LATTICE pass."), Some(0.0));
    assert_eq!(passes.take("75.26.1. Executing ABC pass"), Some(0.5));
    let mut stage = Stage::default();
    assert!(stage.take("Info: Packing carries").is_some());
    assert!(stage.take("Info: Routing 1000 arcs.").is_some());
    assert!(stage.take("Info:    500 |  4  496 |  4  496 |   500|  1.0  1.0|").is_some());
    assert!((stage.done - 0.68).abs() < 1e-9, "{}", stage.done);
    assert_eq!(stage.take("Info: constrained 'clk' to bel"), None);
    let mut stage = Stage::default();
    let mut round = |left: u32| {
        let line = format!("Info:     iter=1 wires=900 overused={left} overuse=9 archfail=NA");
        assert!(stage.take(&line).is_some_and(|doing| doing.contains(&left.to_string())));
        stage.done
    };
    assert_eq!((round(400), round(100), round(0)), (0.38, 0.83, 0.98));
    assert_eq!(stage.take("Info: iter=214 steplen=0.77 penalty=[0.00]"), None);
    let late = "Info:     iter=3 wires=900 overused=12 overuse=13 tmgfail=4 archfail=NA";
    assert_eq!(Rounds::of_line(late), Some(16));
    let given_up = |left: &dyn Fn(u64) -> u64| {
        let mut rounds = Rounds::with_patience(100);
        (0..200).find_map(|round| {
            let line = format!("Info: iter=1 wires=9 overused={} archfail=NA", left(round));
            Some((round, rounds.stuck(&line)?))
        })
    };
    assert_eq!(given_up(&|_| 7), Some((100, (7, 100))));
    assert_eq!(given_up(&|round| 900 - round), Some((30, (870, 30))), "many, and hardly fewer");
    assert_eq!(given_up(&|round| 900 * 8 / (8 + round)), None);
}

/// Comparisons of 64 bits, of 32, and of numbers that are not equally long.
const COMPARISONS: &str = "
module top (
    input [63:0] a, b, input signed [63:0] c, d, input [31:0] e, f, input signed [32:0] g,
    input signed [49:0] h, output [7:0] y
);
  assign y = {a < b, a <= b, a > b, a >= b, c < d, c <= d, c > d, c >= d} ^ {8{e < f}} ^ {g < h};
endmodule
";

#[test]
#[ignore = "synthesis: `./x test --fpga` runs it"]
fn comparisons_in_halves_are_the_same_comparisons() {
    let search = Search::from_environment();
    let Ok(yosys) = search.find(YOSYS).inspect_err(|error| eprintln!("skipped: {error}")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "read_verilog comparisons.v\nhierarchy -top top\ndesign -save source\n{}\
         select -assert-none r:A_WIDTH=64\n\
         select -assert-count 17 r:A_WIDTH=32 t:$lt %i\n\
         design -stash mapped\ndesign -copy-from source -as gold top\ndesign -copy-from mapped -as gate top\n\
         miter -equiv -flatten -make_outputs gold gate miter\nopt -full\n\
         sat -verify -prove trigger 0 -timeout 200 miter\n",
        super::mapping::comparisons_in_halves()
    );
    for (name, text) in [("comparisons.v", COMPARISONS), ("prove.ys", &script)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let ran = Command::new(yosys).current_dir(&folder).arg("prove.ys").output().unwrap();
    let said = [ran.stdout, ran.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    let said = said.concat();
    assert!(ran.status.success() && said.contains("no model found: SUCCESS"), "{said}");
}
