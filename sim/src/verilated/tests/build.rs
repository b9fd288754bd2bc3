//! Building: what the cache spares, what it never believes, and how faults of sources, tools and
//! ports are told.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;

/// The real compiler behind a script that first runs `line`. It prints the same version, so models
/// keep their keys.
fn wrapped_compiler(folder: &Path, line: &str) -> Toolchain {
    let script = folder.join("compiler");
    let real = toolchain().compiler().display().to_string();
    std::fs::write(&script, format!("#!/bin/sh\n{line}\nexec {real} \"$@\"\n")).unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    Toolchain::locate_in(&Search { compiler: Some(script.into()), ..Search::from_environment() })
        .unwrap()
}

#[test]
fn a_second_build_runs_no_compiler_and_damage_runs_it_again() {
    let cache = FreshCache::new();
    let scripts = tempfile::tempdir().unwrap();
    let log = scripts.path().join("log");
    let toolchain = wrapped_compiler(
        scripts.path(),
        &format!("[ $1 = --version ] || echo run >>{}", log.display()),
    );
    let runs = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    let build = counter("cached");

    let first = build.build(&toolchain, cache.path()).unwrap();
    assert!(!first.report().from_cache);
    assert!(first.report().runtime_from_cache);
    assert!(first.report().verilate > Duration::ZERO && first.report().compile > Duration::ZERO);
    let after_first = runs();
    assert!(after_first >= 3, "compiled and linked with {after_first} runs");

    let second = build.build(&toolchain, cache.path()).unwrap();
    assert!(second.report().from_cache);
    assert_eq!(second.report().compile, Duration::ZERO);
    assert_eq!(runs(), after_first, "the compiler ran for a model that was there");

    let library = cache.models()[0].join("model.so");
    let length = library.metadata().unwrap().len();
    // A new file, as a torn copy would be: the old one is still mapped by `first`.
    let half = std::fs::read(&library).unwrap()[..length as usize / 2].to_vec();
    std::fs::remove_file(&library).unwrap();
    std::fs::write(&library, half).unwrap();
    let third = build.build(&toolchain, cache.path()).unwrap();
    assert!(!third.report().from_cache);
    assert!(runs() > after_first);
    let mut design = third.instantiate(InitialState::Zero).unwrap();
    design.cycles(third.clock("clk").unwrap(), 7).unwrap();
    assert_eq!(design.peek(third.output("count").unwrap()).unwrap(), 7);
}

#[test]
fn everything_that_changes_the_model_changes_its_key() {
    let toolchain = toolchain();
    let base = counter("counter");
    let variants = [
        VerilatedBuild { top: "other".to_owned(), ..base.clone() },
        VerilatedBuild { trace: Trace::Fst, ..base.clone() },
        VerilatedBuild { optimisation: Optimisation::Run, ..base.clone() },
        VerilatedBuild { threads: 2, ..base.clone() },
        VerilatedBuild { defines: vec![("A".to_owned(), String::new())], ..base.clone() },
        VerilatedBuild { ports: base.ports[..1].to_vec(), ..base.clone() },
        VerilatedBuild {
            sources: vec![(base.sources[0].0.clone(), base.sources[0].1.clone() + "\n")],
            ..base.clone()
        },
        VerilatedBuild {
            sources: vec![("x.v".to_owned(), base.sources[0].1.clone())],
            ..base.clone()
        },
    ];
    let mut keys: Vec<_> = variants.iter().map(|build| build.key(&toolchain)).collect();
    keys.push(base.key(&toolchain));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), variants.len() + 1);
    assert_eq!(base.key(&toolchain), base.clone().key(&toolchain));
}

#[test]
fn of_parallel_requests_for_one_model_one_builds() {
    let cache = FreshCache::new();
    let toolchain = toolchain();
    let reports: Vec<_> = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..4)
            .map(|_| {
                scope
                    .spawn(|| counter("parallel").build(&toolchain, cache.path()).unwrap().report())
            })
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    assert_eq!(reports.iter().filter(|report| !report.from_cache).count(), 1);
    assert_eq!(cache.models().len(), 1);
}

#[test]
fn broken_verilog_is_told_with_its_line_and_leaves_nothing() {
    let cache = FreshCache::new();
    let ports = || vec![Port::input("clk", 1), Port::output("y", 8)];
    let broken = small("broken", ports(), "\nassign y = ;");
    let error = broken.build(&toolchain(), cache.path()).unwrap_err();
    let Error::Verilog { diagnostics, .. } = &error else { panic!("{error}") };
    assert_eq!((diagnostics[0].file.as_str(), diagnostics[0].line), ("broken.v", 6));
    assert!(error.to_string().contains("broken.v:6:"), "{error}");

    // What Verilator only warns of is refused too: here it cuts 9 bits to 8.
    let cut = small(
        "cut",
        ports(),
        "reg [8:0] w; always @(posedge clk) begin w <= {y, 1'b1}; y <= w; end",
    );
    let error = cut.build(&toolchain(), cache.path()).unwrap_err();
    assert!(error.to_string().contains("WIDTHTRUNC"), "{error}");

    let missing = VerilatedBuild { top: "absent".to_owned(), ..counter("counter") };
    assert!(matches!(missing.build(&toolchain(), cache.path()), Err(Error::Verilog { .. })));
    assert!(cache.models().is_empty());
}

#[test]
fn a_port_list_that_differs_is_refused_before_anything_is_compiled() {
    let cache = FreshCache::new();
    let scripts = tempfile::tempdir().unwrap();
    let toolchain = wrapped_compiler(scripts.path(), "[ \"$1\" = --version ] || exit 9");
    let mut build = counter("counter");
    build.ports[1].width = 9;
    let message = build.build(&toolchain, cache.path()).unwrap_err().to_string();
    assert!(
        message.contains("port `count` of module `counter`: declared with 9 bits, but it has 8"),
        "{message}"
    );
}

#[test]
fn a_failing_compiler_is_quoted_and_leaves_nothing() {
    let cache = FreshCache::new();
    let scripts = tempfile::tempdir().unwrap();
    let line = "[ \"$1\" = --version ] || { echo 'shim.cpp:12:3: error: on purpose'; exit 1; }";
    let error = counter("uncompiled")
        .build(&wrapped_compiler(scripts.path(), line), cache.path())
        .unwrap_err();
    assert!(matches!(error, Error::ToolFailed { .. }));
    assert!(error.to_string().contains("shim.cpp:12:3: error: on purpose"), "{error}");
    assert!(cache.models().is_empty());
}

#[test]
fn a_compiler_that_hangs_is_ended() {
    let cache = FreshCache::new();
    let scripts = tempfile::tempdir().unwrap();
    let mut toolchain = wrapped_compiler(scripts.path(), "[ \"$1\" = --version ] || sleep 60");
    toolchain.limits.command = Duration::from_secs(2);
    let error = counter("hanging").build(&toolchain, cache.path()).unwrap_err();
    assert!(matches!(error, Error::ToolTimeout { .. }), "{error}");
    assert!(cache.models().is_empty());
}

#[test]
fn defines_and_included_headers_reach_the_design() {
    let ports = vec![Port::output("y", 8)];
    let mut build = small("defined", ports, "`include \"value.vh\"\nassign y = `VALUE + `EXTRA;");
    build.sources.push(("value.vh".to_owned(), "`define VALUE 8'd40\n".to_owned()));
    build.defines.push(("EXTRA".to_owned(), "8'd2".to_owned()));
    let model = build.build(&toolchain(), &default_cache_dir()).unwrap();
    let mut design = model.instantiate(InitialState::Zero).unwrap();
    design.eval().unwrap();
    assert_eq!(design.peek(model.output("y").unwrap()).unwrap(), 42);
}

#[test]
fn lint_accepts_the_clean_and_refuses_the_suspect() {
    let toolchain = toolchain();
    toolchain.lint(&sample().sources, "sample").unwrap();
    let unused = small(
        "suspect",
        vec![Port::input("clk", 1), Port::input("unread", 3), Port::output("y", 8)],
        "always @(posedge clk) y <= 8'd1;",
    );
    let Err(Error::Verilog { diagnostics, top }) = toolchain.lint(&unused.sources, "suspect")
    else {
        panic!("an input that nobody reads passed -Wall")
    };
    assert_eq!(top, "suspect");
    assert!(
        diagnostics.iter().any(|d| d.code == "UNUSEDSIGNAL" && d.message.contains("unread")),
        "{diagnostics:?}"
    );
    // A plain build takes it: only lint asks for -Wall.
    unused.build(&toolchain, &default_cache_dir()).unwrap();
}
