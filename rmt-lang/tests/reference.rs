//! Every example of `docs/language.md` compiles and is accepted by the verifier.
//!
//! A fence `rmt` holds a whole program, `rmt decl` declarations and `rmt body` statements; the
//! last two are put into the program below.

mod common;

use std::path::Path;

use common::compile_with;

const HEAD: &str = "program example;
hook example = 1 { key pid: u64; a: u64; x: i32; y: i32; v: i16[4]; t: u8; }
decision { first: u64; second: i64; }
context pages[16] { count: u64; ring steps: i32[4]; }
context users[16] { total: u64; }
map counts: hash<u64>[16];
map list: array<u32>[8];
map log: ring_buffer<u64>[4];
map sizes: histogram<u64>[10];
table example { actions = { act }; default = act(); }
";

const NET: &str = r#"{ "format": "rmt-model", "version": 1,
  "tensors": [
    { "name": "w1", "element": "i8", "shape": [2, 4], "values": [1, 2, 3, 4, 5, 6, 7, 8] },
    { "name": "b1", "element": "i32", "shape": [2], "values": [1, 2] },
    { "name": "w2", "element": "i8", "shape": [1, 2], "values": [1, -1] },
    { "name": "kernel", "element": "i8", "shape": [1, 2, 2, 1], "values": [1, 0, 0, 1] },
    { "name": "table", "element": "i16", "shape": [3, 2], "values": [1, 2, 3, 4, 5, 6] }
  ],
  "scales": [
    { "name": "input", "channels": [{ "multiplier": 3, "shift": 2 }] },
    { "name": "s1", "channels": [{ "multiplier": 3, "shift": 2 }, { "multiplier": 5, "shift": 2 }] }
  ],
  "windows": [
    { "name": "edges", "in_height": 2, "in_width": 2, "channels": 1, "height": 2, "width": 2, "stride_y": 1, "stride_x": 1,
      "pad_top": 1, "pad_left": 1, "out_height": 2, "out_width": 2 },
    { "name": "halves", "in_height": 2, "in_width": 2, "channels": 1, "height": 1, "width": 2, "stride_y": 1, "stride_x": 2,
      "pad_top": 0, "pad_left": 0, "out_height": 2, "out_width": 1 }
  ],
  "forests": [{ "name": "walk", "mode": "sum", "features": 4, "roots": [0],
    "nodes": [{ "feature": 0, "threshold": 5, "left": 1 }, { "value": -3 }, { "value": 4 }] }] }"#;

/// The fences of the page with what follows the three backticks.
fn fences(page: &str) -> Vec<(String, String)> {
    let mut fences = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => fences.extend(open.take()),
            (Some(kind), None) => open = Some((kind.trim().to_owned(), String::new())),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    fences
}

#[test]
fn every_example_of_the_language_page_compiles() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/language.md");
    let page = std::fs::read_to_string(path).unwrap();
    let mut counts = [0; 4];
    for (kind, text) in fences(&page) {
        let (index, program, net) = match kind.as_str() {
            "rmt" => (0, text, NET),
            "rmt decl" => (1, format!("{HEAD}action act() {{ }}\n{text}"), NET),
            "rmt body" => {
                let steps = "fn page_steps() -> i32[4] { let page = pages.match(event.pid); return page.steps as i32[4]; }";
                let model = "model net = \"net.json\";";
                (2, format!("{HEAD}{model}\n{steps}\naction act() {{\n{text}}}\n"), NET)
            }
            "json" => {
                let action = "model net = \"net.json\";\naction act() { out.second = tree(net.walk, event.v); }";
                (3, format!("{HEAD}{action}\n"), text.leak() as &str)
            }
            other => panic!("there is no kind of fence `{other}`"),
        };
        compile_with(&program, &[("net.json", net)]);
        counts[index] += 1;
    }
    assert!(counts.iter().all(|&count| count > 0), "{counts:?}");
}
