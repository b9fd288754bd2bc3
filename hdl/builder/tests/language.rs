//! Operators, selections and choices against Rust's own arithmetic, for all values of small widths and samples of large ones.
#![allow(missing_docs)]

use rtl_builder::prelude::*;

/// A component with two operands of each sign whose outputs a closure makes.
struct Lab<F> {
    widths: (u32, u32),
    body: F,
}

#[derive(Clone, Ports)]
struct LabIo {
    a: Input<UInt>,
    b: Input<UInt>,
    x: Input<SInt>,
    y: Input<SInt>,
}

/// What a closure gives back: name and value, signed or not.
enum Out {
    U(&'static str, UInt),
    S(&'static str, SInt),
    B(&'static str, Bool),
}

impl<F: Fn(LabIo) -> Vec<Out>> Component for Lab<F> {
    type Io = LabIo;

    fn name(&self) -> String {
        "lab".into()
    }

    fn io(&self) -> LabIo {
        let (a, b) = self.widths;
        LabIo { a: input(uint(a)), b: input(uint(b)), x: input(sint(a)), y: input(sint(b)) }
    }

    fn build(&self, io: LabIo) {
        for out in (self.body)(io) {
            match out {
                Out::U(name, value) => drop(value.named(name)),
                Out::S(name, value) => drop(value.named(name)),
                Out::B(name, value) => drop(value.named(name)),
            }
        }
    }
}

/// Runs `body` for all operands (or samples, beyond 6 bits) and compares each named result with `model`.
fn check(
    widths: (u32, u32),
    body: impl Fn(LabIo) -> Vec<Out>,
    model: impl Fn(&str, i128, i128, i128, i128) -> i128,
) {
    let names = std::cell::RefCell::new(Vec::new());
    let lab = Lab {
        widths,
        body: |io: LabIo| {
            let outs = body(io);
            *names.borrow_mut() = outs
                .iter()
                .map(|out| match out {
                    Out::U(name, _) | Out::B(name, _) => (*name, false),
                    Out::S(name, _) => (*name, true),
                })
                .collect();
            outs
        },
    };
    let mut sim = elaborate(&lab).expect("the component is valid").simulator();
    let results = names.borrow().clone();
    let mut rng = fastrand::Rng::with_seed(11);
    let mut values = |width: u32| -> Vec<u64> {
        if width <= 4 {
            (0..1 << width).collect()
        } else {
            (0..12)
                .map(|_| rng.u64(..) >> (64 - width))
                .chain([0, u64::MAX >> (64 - width), 1 << (width - 1)])
                .collect()
        }
    };
    let (lefts, rights) = (values(widths.0), values(widths.1));
    for &left in &lefts {
        for &right in &rights {
            sim.poke("a", left);
            sim.poke("x", left);
            sim.poke("b", right);
            sim.poke("y", right);
            let signed = |value: u64, width: u32| Bits::new(width, value).to_i128();
            for &(name, is_signed) in &results {
                let found = sim.peek_bits(name);
                let found = if is_signed { found.to_i128() } else { found.to_u128() as i128 };
                let (x, y) = (signed(left, widths.0), signed(right, widths.1));
                let expected = model(name, i128::from(left), i128::from(right), x, y);
                assert_eq!(
                    found, expected,
                    "`{name}` of {left:#x} and {right:#x}, widths {widths:?}"
                );
            }
        }
    }
}

const WIDTHS: [(u32, u32); 9] =
    [(1, 1), (3, 3), (4, 2), (2, 4), (1, 4), (16, 7), (32, 32), (63, 63), (60, 64)];

fn low(value: i128, width: u32) -> i128 {
    value & ((1 << width) - 1)
}

fn low_signed(value: i128, width: u32) -> i128 {
    value << (128 - width) >> (128 - width)
}

#[test]
fn arithmetic_keeps_all_bits() {
    for widths in WIDTHS {
        check(
            widths,
            |io| {
                vec![
                    Out::U("sum", io.a + io.b),
                    Out::S("difference", io.a - io.b),
                    Out::U("product", io.a * io.b),
                    Out::S("signed_sum", io.x + io.y),
                    Out::S("signed_difference", io.x - io.y),
                    Out::S("signed_product", io.x * io.y),
                    Out::S("negated", -io.x.value()),
                    Out::U("magnitude", io.x.abs()),
                    Out::U("plus_five", io.a + 5),
                    Out::S("minus_five", io.x - 5),
                ]
            },
            |name, a, b, x, y| match name {
                "sum" => a + b,
                "difference" => a - b,
                "product" => a * b,
                "signed_sum" => x + y,
                "signed_difference" => x - y,
                "signed_product" => x * y,
                "negated" => -x,
                "magnitude" => x.abs(),
                "plus_five" => a + 5,
                _ => x - 5,
            },
        );
    }
}

#[test]
fn wrapping_arithmetic_is_modulo_the_wider_width() {
    for widths in WIDTHS {
        let wider = widths.0.max(widths.1);
        check(
            widths,
            |io| {
                vec![
                    Out::U("sum", io.a.wrapping_add(io.b)),
                    Out::U("difference", io.a.wrapping_sub(io.b)),
                    Out::U("product", io.a.wrapping_mul(io.b)),
                    Out::S("signed_sum", io.x.wrapping_add(io.y)),
                    Out::S("signed_difference", io.x.wrapping_sub(io.y)),
                    Out::S("signed_product", io.x.wrapping_mul(io.y)),
                    Out::U("cut_sum", (io.a + io.b).trunc(1)),
                ]
            },
            |name, a, b, x, y| match name {
                "sum" => low(a + b, wider),
                "difference" => low(a - b, wider),
                "product" => low(a.wrapping_mul(b), wider),
                "signed_sum" => low_signed(x + y, wider),
                "signed_difference" => low_signed(x - y, wider),
                "signed_product" => low_signed(x.wrapping_mul(y), wider),
                _ => low(a + b, 1),
            },
        );
    }
}

#[test]
fn comparisons_extend_the_narrower_side() {
    for widths in WIDTHS {
        check(
            widths,
            |io| {
                vec![
                    Out::B("eq", io.a.eq(io.b)),
                    Out::B("ne", io.a.ne(io.b)),
                    Out::B("lt", io.a.lt(io.b)),
                    Out::B("le", io.a.le(io.b)),
                    Out::B("gt", io.a.gt(io.b)),
                    Out::B("ge", io.a.ge(io.b)),
                    Out::B("signed_eq", io.x.eq(io.y)),
                    Out::B("signed_lt", io.x.lt(io.y)),
                    Out::B("signed_le", io.x.le(io.y)),
                    Out::B("signed_gt", io.x.gt(io.y)),
                    Out::B("signed_ge", io.x.ge(io.y)),
                    Out::B("never_below_zero", io.a.lt(0)),
                    Out::B("always_from_zero", io.a.ge(0)),
                    Out::U("smaller", io.a.min(io.b)),
                    Out::S("larger", io.x.max(io.y)),
                ]
            },
            |name, a, b, x, y| match name {
                "eq" => i128::from(a == b),
                "ne" => i128::from(a != b),
                "lt" => i128::from(a < b),
                "le" => i128::from(a <= b),
                "gt" => i128::from(a > b),
                "ge" => i128::from(a >= b),
                "signed_eq" => i128::from(x == y),
                "signed_lt" => i128::from(x < y),
                "signed_le" => i128::from(x <= y),
                "signed_gt" => i128::from(x > y),
                "signed_ge" => i128::from(x >= y),
                "never_below_zero" => 0,
                "always_from_zero" => 1,
                "smaller" => a.min(b),
                _ => x.max(y),
            },
        );
    }
}

#[test]
fn saturation_clamps() {
    for (from, to) in [(4, 4), (4, 3), (4, 1), (4, 7), (16, 8), (63, 17)] {
        check(
            (from, 1),
            |io| vec![Out::U("unsigned", io.a.sat(to)), Out::S("signed", io.x.sat(to))],
            |name, a, _, x, _| match name {
                "unsigned" => a.min((1 << to) - 1),
                _ => x.clamp(-(1 << (to - 1)), (1 << (to - 1)) - 1),
            },
        );
    }
}

#[test]
fn shifts_fill_with_zeros_or_the_sign() {
    for widths in [(4, 3), (3, 4), (16, 7), (63, 64)] {
        let width = widths.0;
        check(
            widths,
            |io| {
                vec![
                    Out::U("left", io.a.shift_left(io.b)),
                    Out::U("right", io.a.shift_right(io.b)),
                    Out::S("signed_left", io.x.shift_left(io.b)),
                    Out::S("signed_right", io.x.shift_right(io.b)),
                    Out::U("left_two", io.a << 2),
                    Out::U("right_two", io.a >> 2),
                    Out::S("signed_left_two", io.x << 2),
                    Out::S("signed_right_two", io.x >> 2),
                    Out::B("bit", io.a.bit_at(io.b)),
                ]
            },
            |name, a, b, x, _| {
                let n = b.min(100) as u32;
                match name {
                    "left" => low(if n < 64 { a << n } else { 0 }, width),
                    "right" => a >> n,
                    "signed_left" => low_signed(if n < 64 { x << n } else { 0 }, width),
                    "signed_right" => x >> n,
                    "left_two" => a << 2,
                    "right_two" => a >> 2,
                    "signed_left_two" => x << 2,
                    "signed_right_two" => x >> 2,
                    _ => a >> n & 1,
                }
            },
        );
    }
}

#[test]
fn bits_are_selected_and_joined() {
    check(
        (4, 4),
        |io| {
            vec![
                Out::U("and", io.a & io.b),
                Out::U("or", io.a | io.b),
                Out::U("xor", io.a ^ io.b),
                Out::U("not", !io.a),
                Out::U("middle", io.a.bits(1..3)),
                Out::U("joined", io.a.concat(io.b)),
                Out::U("three", cat(&[io.b.value(), io.a.value(), io.b.value()])),
                Out::U("again", cat(&[io.a.bits(2..4), io.a.bits(1..2), io.a.bits(0..1)])),
                Out::U("reversed", io.a.reverse()),
                Out::U("repeated", io.a.repeat(3)),
                Out::B("any", io.a.reduce_or()),
                Out::B("all", io.a.reduce_and()),
                Out::B("odd", io.a.reduce_xor()),
                Out::B("top", io.x.is_negative()),
                Out::B("equal_bits", io.a.bit(0).eq(io.b.bit(0))),
                Out::S("recast", io.a.as_sint()),
            ]
        },
        |name, a, b, x, _| match name {
            "and" => a & b,
            "or" => a | b,
            "xor" => a ^ b,
            "not" => !a & 15,
            "middle" => a >> 1 & 3,
            "joined" => a << 4 | b,
            "three" => b << 8 | a << 4 | b,
            "again" => a,
            "reversed" => i128::from((a as u8).reverse_bits() >> 4),
            "repeated" => a * 0x111,
            "any" => i128::from(a != 0),
            "all" => i128::from(a == 15),
            "odd" => i128::from(a.count_ones() % 2),
            "top" => i128::from(x < 0),
            "equal_bits" => i128::from(a & 1 == b & 1),
            _ => x,
        },
    );
}

#[test]
fn choices_choose() {
    check(
        (3, 3),
        |io| {
            let five: Vec<UInt> = (0..5).map(|i| UInt::lit(i * 10, 6)).collect();
            let hot: Vec<(Bool, UInt)> =
                (0..4).map(|i| (io.a.eq(i), UInt::lit(i as u64 + 8, 5))).collect();
            let first = [(io.a.gt(5), io.b.value()), (io.a.gt(2), UInt::lit(1, 3))];
            vec![
                Out::U("mux", mux(io.a.lt(io.b), io.a, 7)),
                Out::U("mux_left", mux(io.a.lt(io.b), 7, io.a)),
                Out::U("select", select(io.a, &five)),
                Out::U("lookup", lookup(io.a, &[(3, io.b.value()), (6, UInt::lit(1, 3))], 2)),
                Out::U("one_hot", one_hot_mux(&hot)),
                Out::U("priority", priority_mux(&first, 4)),
            ]
        },
        |name, a, b, _, _| match name {
            "mux" => {
                if a < b {
                    a
                } else {
                    7
                }
            }
            "mux_left" => {
                if a < b {
                    7
                } else {
                    a
                }
            }
            "select" => a.min(4) * 10,
            "lookup" => match a {
                3 => b,
                6 => 1,
                _ => 2,
            },
            "one_hot" => {
                if a < 4 {
                    a + 8
                } else {
                    0
                }
            }
            _ if a > 5 => b,
            _ if a > 2 => 1,
            _ => 4,
        },
    );
}

#[derive(Clone, Debug, Bundle)]
struct Inner {
    flag: Bool,
    level: SInt,
}

#[derive(Clone, Debug, Bundle)]
struct Outer {
    id: UInt,
    pair: [Inner; 2],
    list: Vec<UInt>,
    extra: Option<UInt>,
}

fn outer() -> Outer {
    let inner = Inner { flag: boolean(), level: sint(5) };
    Outer { id: uint(3), pair: [inner.clone(), inner], list: vec![uint(2); 3], extra: None }
}

/// A bundle through a register, memory, mux and packing.
struct Carry;

#[derive(Clone, Ports)]
struct CarryIo {
    input: Input<Outer>,
    output: Output<Outer>,
    packed: Output<UInt>,
    choose: Input<Bool>,
}

impl Component for Carry {
    type Io = CarryIo;

    fn name(&self) -> String {
        "carry".into()
    }

    fn io(&self) -> CarryIo {
        CarryIo {
            input: input(outer()),
            output: output(outer()),
            packed: output(uint(rtl_builder::bundle::width(&outer()))),
            choose: input(boolean()),
        }
    }

    fn build(&self, io: CarryIo) {
        let held = reg_zero("held", outer());
        held.next(mux(io.choose, io.input, zero(&outer())));
        let packed: UInt = pack(&held);
        io.packed.set(packed);
        io.output.set(unpack(&outer(), packed));
        held.field(|outer| outer.list).element(1).next(3);
    }
}

#[test]
fn bundles_keep_their_fields_apart() {
    let design = elaborate(Carry).unwrap_err();
    assert!(
        matches!(design.kind(), ErrorKind::DoubleDriver { name, .. } if name == "held_list_1"),
        "{design}"
    );

    struct Fixed;
    impl Component for Fixed {
        type Io = CarryIo;
        fn name(&self) -> String {
            "fixed".into()
        }
        fn io(&self) -> CarryIo {
            Carry.io()
        }
        fn build(&self, io: CarryIo) {
            let held = reg_zero("held", outer());
            held.next(mux(io.choose, io.input, zero(&outer())));
            let packed: UInt = pack(&held);
            io.packed.set(packed);
            io.output.set(unpack(&outer(), packed));
            when(!io.choose, || held.field(|outer| outer.list).element(1).next(3));
        }
    }
    let mut sim = elaborate(Fixed).expect("the component is valid").simulator();
    let fields = [
        ("id", 5),
        ("pair_0_flag", 1),
        ("pair_1_flag", 0),
        ("list_0", 1),
        ("list_1", 2),
        ("list_2", 3),
    ];
    for (field, value) in fields {
        sim.poke(&format!("input_{field}"), value);
    }
    sim.poke_signed("input_pair_0_level", -7);
    sim.poke_signed("input_pair_1_level", 12);
    sim.poke("choose", 1);
    sim.step();
    for (field, value) in fields {
        assert_eq!(sim.peek(&format!("output_{field}")), value, "{field}");
    }
    assert_eq!(sim.peek_signed("output_pair_0_level"), -7);
    assert_eq!(sim.peek_signed("output_pair_1_level"), 12);
    // id, then the pair, then the list, from the most significant end.
    let parts = [(0b101, 3), (1, 1), (0b11001, 5), (0, 1), (0b01100, 5), (1, 2), (2, 2), (3, 2)];
    let packed = parts.iter().fold(0, |packed, (value, width)| packed << width | value);
    assert_eq!(sim.peek("packed"), packed);
    sim.poke("choose", 0);
    sim.step();
    assert_eq!((sim.peek("output_id"), sim.peek("output_list_1")), (0, 3));
}

/// Conditions around memory ports, nested and after `switch`.
struct Guarded;

#[derive(Clone, Ports)]
struct GuardedIo {
    op: Input<UInt>,
    c: Input<Bool>,
    address: Input<UInt>,
    data: Input<UInt>,
    word: Output<UInt>,
}

impl Component for Guarded {
    type Io = GuardedIo;

    fn name(&self) -> String {
        "guarded".into()
    }

    fn io(&self) -> GuardedIo {
        GuardedIo {
            op: input(uint(2)),
            c: input(boolean()),
            address: input(uint(2)),
            data: input(uint(8)),
            word: output(uint(8)),
        }
    }

    fn build(&self, io: GuardedIo) {
        let memory = AsyncMem::<UInt>::new("memory", uint(8), 4);
        switch(io.op)
            .is(0, || {
                when(io.c, || memory.write(true, io.address, io.data))
                    .otherwise(|| memory.write(io.data.bit(0), io.address, 100));
            })
            .any_of(&[1, 2], || {})
            .default(|| memory.write(true, io.address, 200));
        io.word.set(memory.read(io.address));
    }
}

#[test]
fn conditions_guard_memory_ports() {
    let mut sim = elaborate(Guarded).expect("the component is valid").simulator();
    for (op, c, data, expected) in
        [(1, 1, 7, 0), (0, 1, 8, 8), (0, 0, 8, 8), (0, 0, 9, 100), (2, 1, 3, 100), (3, 0, 3, 200)]
    {
        sim.poke("op", op);
        sim.poke("c", c);
        sim.poke("data", data);
        sim.step();
        assert_eq!(sim.peek("word"), expected, "op {op}, c {c}, data {data}");
    }
}

/// `when`s whose condition is constant, as generic code has them.
struct Constant(bool);

impl Component for Constant {
    type Io = Output<UInt>;

    fn name(&self) -> String {
        format!("constant_{}", self.0)
    }

    fn io(&self) -> Output<UInt> {
        output(uint(4))
    }

    fn build(&self, io: Output<UInt>) {
        let chosen = Bool::<Main>::lit(self.0);
        io.set(1);
        when(chosen, || io.set(2)).elsewhen(Bool::<Main>::lit(true), || io.set(3));
    }
}

#[test]
fn constant_conditions_leave_no_trace() {
    for (chosen, value) in [(true, 2), (false, 3)] {
        let design = elaborate(Constant(chosen)).expect("the component is valid");
        assert_eq!(design.simulator().peek("io"), value);
        assert!(
            design.verilog().contains(&format!("  assign io = 4'd{value};\n")),
            "{}",
            design.verilog()
        );
    }
}
