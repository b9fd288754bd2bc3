//! The flow without its tools.

use super::*;
use crate::boards::smallest_card;
use serde_json::json;

fn request(config: &CoreConfig) -> Request<'_> {
    Request {
        board: Board::find("ecpix5").unwrap(),
        config,
        mhz: 50.0,
        seed: 1,
        speed: None,
        limit: Duration::from_secs(60),
        only_synthesis: false,
    }
}

#[test]
fn a_missing_tool_is_named_before_anything_runs() {
    let folder = tempfile::tempdir().unwrap();
    let config = smallest_card();
    let mut builder = Builder {
        search: Search { folders: Vec::new() },
        cache: Cache { folder: folder.path().join("cache") },
        progress: &mut |progress| panic!("{progress:?}"),
    };
    let error = builder.build(&request(&config)).err().unwrap().to_string();
    assert!(error.contains("./x setup --fpga"), "{error}");
    assert!(!folder.path().join("cache").exists());
}

/// Tools that are shell scripts, and a netlist with so many cells.
fn with_tools(luts: usize) -> Result<Build, FpgaError> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let cells: serde_json::Map<String, Value> = (0..luts)
        .map(|n| (format!("lut{n}"), json!({ "type": "LUT4", "connections": {} })))
        .collect();
    let netlist = json!({ "modules": { TOP: { "attributes": {}, "cells": cells } } });
    let path = folder.path().join("mapped.json");
    std::fs::write(&path, netlist.to_string()).unwrap();
    let timing = json!({ "fmax": { "clk": { "achieved": 61.5, "constraint": 50.0 } }, "critical_paths": [] });
    let scripts = [
        ("yosys", format!("echo '3.7. Executing FLATTEN pass.'; cp {} .", path.display())),
        (
            "nextpnr-ecp5",
            format!("echo 'Info: Packing'; echo '{timing}' > timing.json; echo > board.config"),
        ),
        ("ecppack", "echo bits > board.bit".to_owned()),
    ];
    for (name, script) in scripts {
        let path = folder.path().join(name);
        let version = "case \"$1\" in --version) echo tool 1; exit;; esac";
        std::fs::write(&path, format!("#!/bin/sh\n{version}\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let config = smallest_card();
    let mut said = Vec::new();
    let mut builder = Builder {
        search: Search { folders: vec![folder.path().to_owned()] },
        cache: Cache { folder: folder.path().join("cache") },
        progress: &mut |progress| said.push(progress),
    };
    let build = builder.build(&request(&config));
    if let Ok(build) = &build {
        let bits = std::fs::read_to_string(build.bitstream.as_ref().unwrap()).unwrap();
        assert_eq!(bits, "bits\n");
        // Again: everything is there.
        std::fs::write(folder.path().join("ecppack"), "#!/bin/sh\nexit 1\n").unwrap();
        let version = std::fs::read_to_string(folder.path().join("yosys")).unwrap();
        assert!(version.contains("tool 1"));
    }
    assert!(said.iter().any(|progress| progress.step == "synthesis" && progress.done < 1.0));
    build
}

#[test]
fn steps_follow_each_other_to_a_bitstream_and_a_report() {
    let build = with_tools(100).unwrap();
    assert_eq!(build.report.used.luts, 100);
    assert_eq!(build.report.timing.unwrap().clocks, [("clk".to_owned(), 61.5, 50.0)]);
}

#[test]
fn what_does_not_fit_is_refused_before_place_and_route() {
    let error = with_tools(90_000).err().unwrap().to_string();
    assert!(error.contains("90000 look-up tables of 83640"), "{error}");
    assert!(error.contains("LFE5UM5G-85F"), "{error}");
}

#[test]
fn modules_are_counted_with_what_is_in_them() {
    let cell = |kind: &str| json!({ "type": kind });
    let netlist = json!({ "modules": {
        TOP: { "cells": { "a": cell("card"), "b": cell("card"), "l": cell("LUT4") } },
        "card": { "cells": { "m": cell("MULT18X18D"), "c": cell("CCU2C"), "f": cell("TRELLIS_FF") } },
        "LUT4": { "attributes": { "blackbox": "1" }, "cells": {} },
    } });
    let modules = module_use(&netlist);
    let names: Vec<_> =
        modules.iter().map(|module| (module.name.as_str(), module.copies)).collect();
    assert_eq!(names, [(TOP, 1), ("card", 2)]);
    assert_eq!(modules[0].own.luts, 1);
    let total = Resources { luts: 5, flip_flops: 2, multipliers: 2, block_rams: 0 };
    assert_eq!(modules[0].total, total);
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
}
