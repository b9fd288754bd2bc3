//! Mistakes and what is said about them: each `tests/errors/NAME.rmt` gives the messages of
//! `NAME.expect`. `RMT_UPDATE_EXPECT=1 cargo test -p rmt-lang --test errors` writes them anew,
//! to be read before they are committed.

use std::path::{Path, PathBuf};

use rmt_lang::{DirectoryLoader, Severity};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/errors")
}

#[test]
fn every_mistake_is_explained_as_expected() {
    let update = std::env::var_os("RMT_UPDATE_EXPECT").is_some();
    let mut files: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rmt"))
        .collect();
    files.sort();
    assert!(files.len() >= 20, "only {} files", files.len());
    let mut differing = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let loader = DirectoryLoader::beside(&path);
        let found = match rmt_lang::compile_with_warnings(&name, &text, &loader) {
            Ok((_, warnings)) if warnings.is_empty() => "no mistake was found\n".to_owned(),
            Ok((_, warnings)) => warnings.render(false),
            // The path of this checkout stands in messages about missing files.
            Err(diagnostics) => {
                diagnostics.render(false).replace(&*folder().to_string_lossy(), "DIR")
            }
        };
        let expect = path.with_extension("expect");
        if update {
            std::fs::write(&expect, &found).unwrap();
        } else if std::fs::read_to_string(&expect).unwrap_or_default() != found {
            differing.push(format!("{name} gives\n{found}"));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn json_has_the_places_in_lines_and_columns() {
    let text = "program p;\nhook h = 1 { key k: u64; }\ndecision { r: u64; }\ntable t { actions = { a }; default = a(); }\naction a() {\n    out.r = evnt.k;\n}\n";
    let diagnostics =
        rmt_lang::compile("p.rmt", text, &rmt_lang::MemoryLoader::default()).unwrap_err();
    assert!(diagnostics.has_errors());
    assert_eq!(diagnostics.list()[0].severity, Severity::Error);
    assert_eq!(diagnostics.to_string(), "p.rmt:6:13: there is no `evnt` here");
    let json = diagnostics.to_json();
    assert_eq!(json[0]["severity"], "error");
    assert_eq!(json[0]["file"], "p.rmt");
    let label = &json[0]["labels"][0];
    assert_eq!(
        (&label["line"], &label["column"], &label["end_column"]),
        (&6.into(), &13.into(), &17.into())
    );
    assert!(diagnostics.render(true).contains("\u{1b}["));
    assert!(!diagnostics.render(false).contains('\u{1b}'));
}
