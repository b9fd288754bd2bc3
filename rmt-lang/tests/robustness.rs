//! No text makes the compiler or the formatter panic, run long or take much memory.

mod common;

use common::with_body;
use rmt_isa::arithmetic::split_mix_64;
use rmt_lang::{MemoryLoader, compile, format};

/// Texts that are tried.
const CASES: u64 = 4000;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        (split_mix_64(self.0) % limit.max(1) as u64) as usize
    }
}

/// Pieces of programs, right and wrong, that random texts are made of.
const PIECES: &[&str] = &[
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ";",
    ",",
    ":",
    ".",
    "..",
    "..=",
    "=",
    "==",
    "<",
    ">>",
    "&&",
    "&&&",
    "+",
    "-",
    "*",
    "/",
    "!",
    "~",
    "@",
    "->",
    "=>",
    "0",
    "1",
    "0xffff_ffff_ffff_ffff",
    "300",
    "\"m.json\"",
    "program",
    "hook",
    "decision",
    "context",
    "map",
    "model",
    "const",
    "table",
    "action",
    "fn",
    "let",
    "mut",
    "if",
    "else",
    "for",
    "in",
    "return",
    "break",
    "decide",
    "goto",
    "match",
    "as",
    "u8",
    "i16",
    "i64",
    "bool",
    "event",
    "out",
    "key",
    "ring",
    "private",
    "act",
    "test",
    "a",
    "v",
    "x",
    "r0",
    "records",
    "list",
    "past",
    "push",
    "min",
    "matmul",
    "tree",
    "requant",
    "true",
    "_",
    "\n",
    "// c\n",
    "/*",
    "\"",
    "é",
    "\u{0}",
];

fn start() -> Vec<String> {
    let firmware = ["page_prefetch", "can_migrate_task"].map(|name| {
        let path = format!("{}/../firmware/{name}.rmt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    });
    let body = "let r = records.match(event.k); r.past.push(3); for i in 0..4 { list[i] += 1; if event.a == i { break; } }
        let mut v = event.v; v[1] = 5; out.r0 = sum(v * [2; 6]) as u64; match event.t { 1..=3 => { abstain; } _ => { } }";
    firmware.into_iter().chain([with_body(body)]).collect()
}

/// A text near to a right one: pieces put in, taken out, doubled.
fn mutated(random: &mut Random, start: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = start;
    while let Some(first) = rest.chars().next() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = if word(first) {
            rest.find(|c| !word(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        words.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    for _ in 0..1 + random.below(6) {
        let at = random.below(words.len());
        match random.below(4) {
            0 => drop(words.remove(at)),
            1 => words.insert(at, PIECES[random.below(PIECES.len())].to_owned()),
            2 => words[at] = PIECES[random.below(PIECES.len())].to_owned(),
            _ => {
                let end = (at + random.below(40)).min(words.len());
                let copy = words[at..end].to_vec();
                let place = random.below(words.len());
                words.splice(place..place, copy);
            }
        }
    }
    words.concat()
}

#[test]
fn no_text_makes_the_compiler_panic() {
    let starts = start();
    let model = |name: &str| {
        let path = format!("models/{name}.json");
        let file = format!("{}/../firmware/{path}", env!("CARGO_MANIFEST_DIR"));
        (path, std::fs::read_to_string(file).unwrap())
    };
    let files = ["page_prefetch", "can_migrate_task"].map(model).into();
    let loader = MemoryLoader { files };
    let mut random = Random(1);
    let mut outcomes = [0; 2];
    for case in 0..CASES {
        let text = if case % 4 == 0 {
            let pieces: Vec<_> =
                (0..random.below(60)).map(|_| PIECES[random.below(PIECES.len())]).collect();
            pieces.join(" ")
        } else {
            let start = random.below(starts.len());
            mutated(&mut random, &starts[start])
        };
        let result = compile("fuzz.rmt", &text, &loader);
        if let Err(diagnostics) = &result {
            assert!(diagnostics.has_errors());
            // Drawing walks all places of all messages.
            assert!(!diagnostics.render(case % 2 == 0).is_empty());
            diagnostics.to_json();
        }
        outcomes[usize::from(result.is_ok())] += 1;
        if let Ok(formatted) = format("fuzz.rmt", &text) {
            assert_eq!(format("fuzz.rmt", &formatted).unwrap(), formatted, "{text}");
        }
    }
    // Most mutations are mistakes, some are not.
    assert!(outcomes.iter().all(|&count| count > 50), "{outcomes:?}");
}

#[test]
fn texts_that_explode_are_refused_in_time() {
    let doubling: String = (1..24)
        .map(|i| format!("fn f{i}(x: u64) -> u64 {{ return f{p}(x) + f{p}(x); }}\n", p = i - 1))
        .collect();
    let cases = [
        with_body("out.r0 = f23(1);") + "fn f0(x: u64) -> u64 { return x; }\n" + &doubling,
        with_body("for i in 0..0xffff_ffff_ffff_ffff { }"),
        with_body("for i in 0..1000 { for j in 0..1000 { for k in 0..1000 { list[0] += 1; } } }"),
        with_body(&format!("out.r0 = {}1{};", "(".repeat(100_000), ")".repeat(100_000))),
        with_body(&"{".repeat(100_000)),
        with_body(&format!("out.r0 = {}1;", "-".repeat(100_000))),
        with_body(&format!("out.r0 = {}1;", "1 + ".repeat(100_000))),
        with_body(&format!("out.r0 = event{};", ".a".repeat(100_000))),
        with_body(&format!("if event.a == 1 {{ }} {}", "else if event.a == 2 { } ".repeat(10_000))),
        with_body(&format!("out.r0 = {}", "if event.a == 1 { 1 } else ".repeat(10_000))),
        with_body(&format!("let v: i16[6] = [{}];", "1, ".repeat(100_000))),
        "[".repeat(500_000),
        "fn f() { ".repeat(50_000),
        "a".repeat(rmt_lang::MAX_SOURCE_BYTES + 1),
        "\u{feff}program p;".to_owned(),
    ];
    for text in cases {
        let result = compile("big.rmt", &text, &MemoryLoader::default());
        let diagnostics = result.expect_err(&text[..text.len().min(200)]);
        assert!(diagnostics.has_errors());
        assert!(diagnostics.list().len() <= 40);
    }
}
