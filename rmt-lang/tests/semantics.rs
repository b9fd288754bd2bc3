//! What programs mean: small programs, run on the interpreter, with results worked out here.

mod common;

use common::{compile, compile_with, event, outputs, run, with_body};
use rmt_isa::arithmetic::{histogram_bucket, requantise, split_mix_64};
use rmt_isa::{Element, Helper, Program, Status};
use rmt_vm::Machine;

const NONE: &[(&str, u64)] = &[];

#[test]
fn integers_wrap_at_their_width() {
    let body = "let mut t = event.t; t += 200; out.r0 = t as u64;
        let mut s = event.s; s -= 100; out.r1 = s as i64;
        out.r2 = (event.x as u32) * 3;";
    let values = [("t", 100), ("s", -100_i64 as u64), ("x", u64::MAX)];
    assert_eq!(outputs(body, &values), [44, 56, u32::MAX.wrapping_mul(3).into()]);
}

#[test]
fn division_is_total_and_follows_the_sign() {
    let body = "out.r0 = event.a / event.b; out.r1 = (event.x / event.y) as i64; out.r2 = (event.x % event.y) as u32;";
    let minus_seven = -7_i64 as u64;
    let two_back = [0, -3_i64 as u64, u64::from(-1_i32 as u32)];
    assert_eq!(outputs(body, &[("a", 9), ("x", minus_seven), ("y", 2)]), two_back);
    let zero = [4, 0, u64::from(-7_i32 as u32)];
    assert_eq!(outputs(body, &[("a", 9), ("b", 2), ("x", minus_seven)]), zero);
    let edge = [0, i64::from(i32::MIN) as u64, 0];
    assert_eq!(outputs(body, &[("x", 1 << 31), ("y", u64::MAX)]), edge);
}

#[test]
fn helpers_are_those_of_the_machine() {
    let body = "out.r0 = crc32c(event.a, event.b) + isqrt(event.a); out.r1 = (mulhi(event.a, event.b) ^ log2(event.b)) as i64; out.r2 = (random(event.a, 1) ^ ratio(event.a, event.b)) as u32;";
    let (a, b) = (0x1234_5678_9abc_def0, 0xffff_0000_1111);
    let expected = [
        Helper::Crc32c.evaluate(a, b).wrapping_add(a.isqrt()),
        Helper::MulHigh.evaluate(a, b) ^ Helper::Log2.evaluate(b, 0),
        (split_mix_64(a + 1) ^ Helper::Ratio.evaluate(a, b)) & 0xffff_ffff,
    ];
    assert_eq!(outputs(body, &[("a", a), ("b", b)]), expected);
}

#[test]
fn flipped_bits_take_the_type_of_their_place() {
    let body = "let mask: u16 = ~0xff; out.r0 = event.a & ~3; out.r1 = if ~event.t == ~7 { -1 } else { 1 };
        out.r2 = (mask as u32) | (~(event.x as u8) as u32);";
    let expected = [0xfffc, -1_i64 as u64, 0xff00 | 0xfa];
    assert_eq!(outputs(body, &[("a", 0xffff), ("t", 7), ("x", 5)]), expected);
}

#[test]
fn loops_unroll_with_break_and_continue() {
    let body = "let mut sum: u64 = 0;
        for i in 0..10 {
            if i == 3 { continue; }
            if event.a == i { break; }
            for j in 1..=2 { sum += i * j; }
        }
        out.r0 = sum;";
    let expected = |a: u64| {
        let mut sum = 0;
        for i in (0..10).filter(|i| *i != 3) {
            if a == i {
                break;
            }
            sum += i * 3;
        }
        [sum, 0, 0]
    };
    for a in [0, 3, 5, 11] {
        assert_eq!(outputs(body, &[("a", a)]), expected(a));
    }
}

#[test]
fn match_takes_the_first_arm_that_fits() {
    let body = "match event.a { 1 | 2 => { out.r0 = 10; } 3..=5 | 9 => { out.r0 = 20; } 4 => { out.r0 = 30; } _ => { out.r0 = 40; } }
        match event.x { -5..=-1 => { out.r1 = -1; } 0 => { } _ => { out.r1 = 1; } }";
    let results = [40, 10, 10, 20, 20, 20, 40, 40, 40, 20];
    for (a, result) in results.into_iter().enumerate() {
        assert_eq!(outputs(body, &[("a", a as u64)])[0], result, "{a}");
    }
    for (x, result) in [(-6, 1), (-5, -1), (-1, -1), (0, 0), (1, 1)] {
        let found = outputs(body, &[("x", i64::from(x) as u64)])[1];
        assert_eq!(found as i64, result, "{x}");
    }
}

#[test]
fn functions_return_early_and_nest() {
    let text = with_body("out.r0 = clamp(event.a, 10, 20); out.r1 = if is_odd(event.b) { -1 } else { outer(event.x) }; report(event.t);")
        + "fn clamp(x: u64, low: u64, high: u64) -> u64 { if x < low { return low; } if x > high { return high; } return x; }
        fn is_odd(x: u64) -> bool { return x & 1 == 1; }
        fn outer(x: i32) -> i64 { for i in 0..4 { if x == i { return (i * 100) as i64; } } return inner(x) - 1; }
        fn inner(x: i32) -> i64 { let doubled = x * 2; return doubled as i64; }
        fn report(t: u8) { if t > 5 { abstain; } out.r2 = t as u32; }";
    let program = compile(&text);
    let cases = [
        ([5, 1, 0, 3], [10, -1_i64 as u64, 3], Status::Decided),
        ([15, 2, 3, 6], [15, 300, 0], Status::Abstained),
        ([25, 2, 7, 0], [20, 13, 0], Status::Decided),
    ];
    for ([a, b, x, t], expected, status) in cases {
        let decision = run(&program, &[("a", a), ("b", b), ("x", x), ("t", t)]);
        assert_eq!((decision.outputs, decision.status), (expected, status));
    }
}

#[test]
fn short_circuits_skip_effects() {
    let body = "if event.a > 0 && bump() { out.r0 = 1; }
        if event.a > 0 || bump() { out.r1 = 1; }
        let both = event.b > 0 && bump();
        out.r2 = list[0];
        if both { out.r2 = list[0] + 100; }";
    let text = with_body(body) + "fn bump() -> bool { return list.add(0, 1) > 0; }";
    let program = compile(&text);
    assert_eq!(run(&program, NONE).outputs, [0, 1, 1]);
    assert_eq!(run(&program, &[("a", 1)]).outputs, [1, 1, 1]);
    assert_eq!(run(&program, &[("a", 1), ("b", 1)]).outputs, [1, 1, 102]);
}

/// Runs a program on several events, one machine.
fn run_all(program: &Program, events: &[&[(&str, u64)]]) -> Vec<[u64; 3]> {
    let mut machine = Machine::new(program).unwrap();
    events.iter().map(|values| machine.run(&event(program, values)).outputs).collect()
}

#[test]
fn contexts_keep_records_by_key() {
    let body = "let r = records.match(event.k);
        out.r0 = r.found() as u64;
        r.count += 1;
        r.small = (r.count * 100) as i8;
        r.past.push(event.x as i16);
        out.r1 = (r.past[0] as i64) * 1000 + (r.past[event.t] as i64) * 10 + (r.past.len() as i64);
        out.r2 = (r.count as u32) + (r.small as u32) + r.limit;";
    let program = compile(&with_body(body));
    let events: &[&[(&str, u64)]] = &[
        &[("k", 7), ("x", 3), ("t", 1)],
        &[("k", 8), ("x", 4), ("t", 0)],
        &[("k", 7), ("x", 5), ("t", 1)],
        &[("k", 7), ("x", 6), ("t", 200)],
    ];
    let small = |count: u64| u64::from(((count * 100) as i8) as u32);
    let expected = vec![
        [0, 3001, 101],
        [0, 4041, 101],
        [1, 5032, (2 + small(2)) & 0xffff_ffff],
        [1, 6003, (3 + small(3)) & 0xffff_ffff],
    ];
    assert_eq!(run_all(&program, events), expected);
}

#[test]
fn find_makes_no_record() {
    let body = "let r = records.find(event.k);
        out.r0 = r.found() as u64;
        r.count = 5;
        if event.a == 1 { let made = records.match(event.k); made.count = 9; out.r1 = made.count as i64; }";
    let program = compile(&with_body(body));
    let events: &[&[(&str, u64)]] = &[&[("k", 1)], &[("k", 1), ("a", 1)], &[("k", 1)], &[("k", 2)]];
    assert_eq!(run_all(&program, events), [[0, 0, 0], [0, 9, 0], [1, 0, 0], [0, 0, 0]]);
}

#[test]
fn records_are_given_to_functions_and_two_stores_stay_open() {
    let body = "let r = records.match(event.k); let o = others.match(event.k);
        note(r, event.x as i16); o.sum += event.x as i64; note(r, 2);
        out.r0 = r.count; out.r1 = o.sum;";
    let text = with_body(body)
        + "fn note(r: records, x: i16) { r.past.push(x); r.count += r.past[0] as u64; }";
    let events: &[&[(&str, u64)]] = &[&[("x", 3)], &[("x", 4)]];
    assert_eq!(run_all(&compile(&text), events), [[5, 3, 0], [11, 7, 0]]);
}

#[test]
fn stores_in_one_branch_are_seen_after_it() {
    let body = "let r = records.match(event.k);
        r.count = 1;
        if event.a == 1 { r.count = 2; }
        out.r0 = r.count;
        if event.b == 1 { r.small = 5; } else { r.small = 6; }
        out.r1 = r.small as i64;";
    let program = compile(&with_body(body));
    assert_eq!(run(&program, &[("a", 1)]).outputs, [2, 6, 0]);
    assert_eq!(run(&program, &[("b", 1)]).outputs, [1, 5, 0]);
}

#[test]
fn maps_do_what_their_kind_does() {
    let body = "list[2] = 7; list[2] += 3; list[2] -= 1; list.update(9, 1);
        out.r0 = (list[2] as u64) * 100 + (list.lookup(9) as u64);
        counts.add(event.a, 5); counts[event.a] += 1;
        if counts.contains(event.a) { out.r1 = counts[event.a] as i64; }
        if counts.delete(event.a) && !counts.delete(event.a) { out.r1 += 0; }";
    // Outputs are written, not read: the last line of the body must not compile.
    let broken = rmt_lang::compile("t.rmt", &with_body(body), &rmt_lang::MemoryLoader::default());
    assert!(broken.unwrap_err().to_string().contains("an output is not a value"));
    let body = body.replace("out.r1 += 0", "out.r2 = 1");
    assert_eq!(outputs(&body, &[("a", 77)]), [900, 6, 1]);
}

#[test]
fn ring_buffers_and_histograms_record() {
    let body =
        "log.push(event.x as u16); log.push(9); sizes.record(event.a); sizes.add(event.a, 2);
        recent[event.k] = event.x; recent.update(event.k + 1, -4);
        out.r0 = (log[0] as u64) * 1000 + (log.lookup(1) as u64);
        out.r1 = (recent[event.k] + recent.lookup(event.k + 1)) as i64;
        out.r2 = sizes[event.b] as u32;";
    let bucket = histogram_bucket(100, 10) as u64;
    let values = [("x", 5), ("a", 100), ("b", bucket), ("k", 3)];
    assert_eq!(outputs(body, &values), [9005, 1, 3]);
}

#[test]
fn vectors_load_set_and_read_lanes() {
    let body = "let mut v = event.v;
        v[1] = event.a as i64; v[2] = -40000; 
        let w = v;
        v[0] = 1000;
        out.r0 = w[0] as u64;
        out.r1 = (v[1] as i64) * 100000 + (v[2] as i64);
        out.r2 = (v[event.t] as u32) + (sum(v + w) as u32) + argmax(v);";
    // -40000 is no i16: a mistake that is found.
    let broken = rmt_lang::compile("t.rmt", &with_body(body), &rmt_lang::MemoryLoader::default());
    assert!(broken.unwrap_err().to_string().contains("-40000 is no i16"));
    let body = body.replace("-40000", "event.x");
    let values = [("v[0]", 5), ("v[3]", 30), ("a", 1 << 40), ("x", -100_000_i64 as u64), ("t", 3)];
    let (v, w) = ([1000, 32767, -32768, 30, 0, 0], [5, 32767, -32768, 30, 0, 0]);
    let added: i64 = v.iter().zip(w).map(|(a, b): (&i64, i64)| (a + b).clamp(-32768, 32767)).sum();
    let expected = [5, (32767_i64 * 100_000 - 32768) as u64, (30 + added + 1) as u64 & 0xffff_ffff];
    assert_eq!(outputs(&body, &values), expected);
}

#[test]
fn lane_wise_arithmetic_saturates_and_products_widen() {
    let body = "let v = event.v; let w: i16[6] = [1, -2, 300, 4, event.x, 6];
        let p = v * w; let low = min(v, w); let high = max([0; 6], w) - v;
        out.r0 = sum(p) as u64; out.r1 = sum(low) * 1000 + sum(high);
        out.r2 = (sum(p as i8) as u32) ^ (sum(relu(w)) as u32);";
    let v: [i64; 6] = [300, -400, 500, 0, -32768, 7];
    let w: [i64; 6] = [1, -2, 300, 4, -9, 6];
    let fields: Vec<_> = (0..6).map(|i| (format!("v[{i}]"), v[i] as u64)).collect();
    let mut values: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    values.push(("x", -9_i64 as u64));
    let pairs = || v.into_iter().zip(w);
    let products: Vec<i64> = pairs().map(|(a, b)| a * b).collect();
    let low: i64 = pairs().map(|(a, b)| a.min(b)).sum();
    let high: i64 = pairs().map(|(a, b)| (b.max(0) - a).clamp(-32768, 32767)).sum();
    let narrow: i64 = products.iter().map(|p| (*p).clamp(-128, 127)).sum();
    let positive: i64 = w.iter().map(|w| (*w).max(0)).sum();
    let expected = [
        products.iter().sum::<i64>() as u64,
        (low * 1000 + high) as u64,
        u64::from(narrow as u32 ^ positive as u32),
    ];
    assert_eq!(outputs(body, &values), expected);
}

#[test]
fn histories_become_vectors_and_back() {
    let body = "let r = records.match(event.k);
        r.past.push(7); r.past.push(8);
        let v = r.past as i32[3];
        r.past = [1, 2, 3];
        let w = r.past as i8[4];
        out.r0 = sum(v) as u64; out.r1 = sum(w) * 10 + (w[2] as i64); out.r2 = r.past.len();";
    assert_eq!(outputs(body, NONE), [15, 63, 3]);
}

#[test]
fn vectors_pass_through_functions_and_choices() {
    let text = with_body(
        "let v = event.v; let chosen = if event.a > 0 { shifted(v, 1) } else { v };
        let first = head(chosen, event.b > 0);
        out.r0 = sum(chosen) as u64; out.r1 = sum(first); out.r2 = sum(event[x..=y] as i16) as u32;",
    ) + "fn shifted(v: i16[6], by: i16) -> i16[6] { let mut w = v; w[0] = by; return w + v; }
        fn head(v: i16[6], all: bool) -> i16[6] { if all { return v; } return min(v, [0; 6]); }";
    let program = compile(&text);
    let values = [("v[0]", 3), ("v[1]", -2_i64 as u64), ("x", 5), ("y", 1 << 20)];
    let with = |extra: &[(&str, u64)]| run(&program, &[&values, extra].concat()).outputs;
    assert_eq!(with(&[]), [1, -2_i64 as u64, 32772]);
    assert_eq!(with(&[("a", 1), ("b", 1)]), [0, 0, 32772]);
    assert_eq!(with(&[("a", 1)]), [0, -4_i64 as u64, 32772]);
}

const MODEL: &str = r#"{ "format": "rmt-model", "version": 1,
  "tensors": [
    { "name": "w", "element": "i8", "shape": [2, 6], "values": [1, -2, 3, -4, 5, -6, 7, 8, 9, 10, 11, 12] },
    { "name": "b", "element": "i32", "shape": [2], "values": [1000, -5] },
    { "name": "k", "element": "i8", "shape": [2, 2, 2, 1], "values": [1, 2, 3, 4, -1, -1, 0, 1] },
    { "name": "rows", "element": "i16", "shape": [3, 2], "values": [10, 20, 30, 40, 50, 60] }
  ],
  "scales": [
    { "name": "half", "channels": [{ "multiplier": 1, "shift": 1 }], "zero_point": 3 },
    { "name": "two", "channels": [{ "multiplier": 1, "shift": 1 }, { "multiplier": 3, "shift": 2 }] }
  ],
  "windows": [
    { "name": "conv", "in_height": 2, "in_width": 3, "channels": 1, "height": 2, "width": 2, "stride_y": 1, "stride_x": 1, "pad_top": 0, "pad_left": 0, "out_height": 1, "out_width": 2 },
    { "name": "pool", "in_height": 1, "in_width": 3, "channels": 2, "height": 1, "width": 2, "stride_y": 1, "stride_x": 1, "pad_top": 0, "pad_left": 0, "out_height": 1, "out_width": 2 }
  ],
  "forests": [
    { "name": "sum", "mode": "sum", "features": 6, "roots": [0, 3], "nodes": [
      { "feature": 0, "threshold": 5, "left": 1 }, { "value": 100 }, { "value": 200 },
      { "feature": 5, "threshold": -1, "left": 4 }, { "value": 1 }, { "value": 2 }] }
  ] }"#;

fn model_outputs(body: &str, v: [i16; 6], more: &[(&str, u64)]) -> [u64; 3] {
    let text = with_body(body).replace("context records", "model m = \"m.json\";\ncontext records");
    let program = compile_with(&text, &[("m.json", MODEL)]);
    let fields: Vec<_> = (0..6).map(|i| (format!("v[{i}]"), v[i] as u64)).collect();
    let mut values: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    values.extend(more);
    run(&program, &values).outputs
}

#[test]
fn products_and_requantisation() {
    let body = "let acc = matmul(m.w, event.v, m.b);
        let plain = matmul(m.w, event.v as i8);
        let h: i8[2] = requant(acc, m.half);
        let t = requant(acc, m.two) as i16;
        out.r0 = acc[0] as u64; out.r1 = (plain[1] as i64) * 1000 + (h[0] as i64);
        out.r2 = (t[1] as u32) ^ (h[1] as u32);";
    let v = [3, 100, -7, 90, 1, -128];
    let dot = |w: [i32; 6]| w.iter().zip(v).map(|(w, v)| w * i32::from(v)).sum::<i32>();
    let plain = dot([7, 8, 9, 10, 11, 12]);
    let (first, second) = (dot([1, -2, 3, -4, 5, -6]) + 1000, plain - 5);
    let h = [first, second].map(|acc| requantise(acc, 1, 1, 3, Element::I8));
    let t = requantise(second, 3, 2, 0, Element::I16);
    let expected = [
        first as u64,
        (i64::from(plain) * 1000 + i64::from(h[0])) as u64,
        u64::from(t as u32 ^ h[1] as u32),
    ];
    assert_eq!(model_outputs(body, v, &[]), expected);
}

#[test]
fn convolution_pooling_rows_and_forests() {
    let body = "let c = conv2d(m.k, event.v, m.conv);
        let p = pool_max(event.v, m.pool); let s = pool_sum(event.v, m.pool);
        let row = m.rows[event.t];
        out.r0 = ((c[0] as i64) * 1000 + (c[3] as i64)) as u64;
        out.r1 = (p[1] as i64) * 1000 + (s[2] as i64) + tree(m.sum, event.v);
        out.r2 = (row[1] as u32) + (m.rows[2][0] as u32);";
    let v: [i16; 6] = [1, 2, 3, 4, 5, 6];
    // Two channels of two places: [place][channel].
    let place = |x: usize, k: [i64; 4]| {
        [x, x + 1, x + 3, x + 4].iter().zip(k).map(|(&i, k)| i64::from(v[i]) * k).sum::<i64>()
    };
    let first = place(0, [1, 2, 3, 4]) * 1000 + place(1, [-1, -1, 0, 1]);
    // Lanes are place, channel: max of (2, 4), sum of (3, 5); the forest gives 100 + 2.
    let second = 4 * 1000 + 8 + 102;
    assert_eq!(model_outputs(body, v, &[("t", 1)]), [first as u64, second, 40 + 50]);
    assert_eq!(model_outputs(body, v, &[("t", 9)])[2], 50);
}

#[test]
fn tables_match_in_every_kind_and_hand_data_to_actions() {
    let text = "program tables;
hook tables = 3 { key pid: u32; port: u16; level: i8; group: u64; }
decision { r0: u64; r1: u64; r2: u64; }
const LIMIT: u16 = 100;
table first {
    key = { pid: exact, port: exact };
    actions = { found, other };
    default = other();
    entries {
        (1, LIMIT): found(11, -1);
        (2, 0xffff): found(22, -2);
    }
}
action found(a: u64, b: i16) { out.r0 = a; goto second(b as i64 + 5); }
action other() { goto second(0); }
table second(x: i64) {
    key = { group: lpm };
    actions = { prefix };
    size = 8;
    entries {
        0xff00_0000_0000_0000/8: prefix(8);
        0xffff_0000_0000_0000/16: prefix(16);
        _: prefix(0);
    }
}
action prefix(in x: i64, length: u8) { out.r1 = (x as u64) * 1000 + length as u64; goto third(length, event.level); }
table third(length: u8, level: i8) {
    key = { length: ternary; event.level: ternary };
    actions = { ranged };
    entries {
        (8 &&& 0xfe, _): ranged(1) priority 5;
        (_, -1): ranged(2) priority 9;
        (_, _): ranged(3);
    }
}
action ranged(in length: u8, in level: i8, code: u64) { goto last(level, length, code); }
table last(level: i8, length: u8, code: u64) {
    key = { level: range, length: exact };
    actions = { done, none };
    default = none();
    entries {
        (-128..=-2, 16): done(7);
        (-1..=5, 8): done(8);
    }
}
action done(in level: i8, in length: u8, in code: u64, more: u64) { out.r2 = code * 10 + more; }
action none(in level: i8, in length: u8, in code: u64) { out.r2 = code * 10; abstain; }
";
    let program = compile(text);
    let top = 0xff00_0000_0000_0000;
    let decide = |pid, port, level: i64, group| {
        let values = [("pid", pid), ("port", port), ("level", level as u64), ("group", group)];
        let decision = run(&program, &values);
        (decision.outputs, decision.status)
    };
    assert_eq!(decide(1, 100, 0, top), ([11, 4008, 18], Status::Decided));
    assert_eq!(decide(2, 65535, -1, top | 1), ([22, 3008, 28], Status::Decided));
    assert_eq!(decide(2, 1, -2, u64::MAX), ([0, 16, 37], Status::Decided));
    assert_eq!(decide(2, 1, 9, 1), ([0, 0, 30], Status::Abstained));
}

#[test]
fn a_table_without_default_misses() {
    let text = "program misses; hook misses = 1 { key pid: u64; } decision { r: u64; }
        table only { key = { pid: exact }; actions = { act }; entries { 4: act(); } }
        action act() { out.r = 1; }";
    let program = compile(text);
    assert_eq!(run(&program, &[("pid", 4)]).status, Status::Decided);
    assert_eq!(run(&program, &[("pid", 5)]).status, Status::Missed);
}

#[test]
fn source_lines_follow_the_instructions() {
    let program = compile(&with_body("out.r0 = event.a;\nif event.b > 0 {\n  abstain;\n}"));
    let lines = &program.actions[0].lines;
    assert_eq!(lines.len(), program.actions[0].code.len());
    let text = with_body("out.r0 = event.a;\nif event.b > 0 {\n  abstain;\n}");
    let line_of =
        |needle: &str| text.lines().position(|line| line.contains(needle)).unwrap() as u32 + 1;
    assert!(lines.contains(&line_of("out.r0")) && lines.contains(&line_of("abstain")));
    assert!(lines.is_sorted());
}

#[test]
fn values_that_are_wanted_twice_are_computed_once_unless_registers_are_short() {
    let twice =
        compile(&with_body("out.r0 = event.a * event.b; out.r1 = (event.a * event.b) as i64;"));
    assert_eq!(twice.actions[0].code.len(), 6);
    // Twenty values that are all wanted at the end: computed again where they are wanted.
    let sums: Vec<_> = (0..20).map(|i| format!("(event.a ^ {i})")).collect();
    let body = format!("out.r0 = {}; out.r1 = ({}) as i64;", sums.join(" + "), sums.join(" | "));
    let values = [("a", 12345)];
    let expected =
        [(0..20).map(|i| 12345 ^ i).sum(), (0..20).fold(0, |joined, i| joined | (12345 ^ i)), 0];
    assert_eq!(outputs(&body, &values), expected);
}
