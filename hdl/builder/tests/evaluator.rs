//! The evaluator as a test bench sees it: paths, wide values, memories, clocks, and its error messages.
#![allow(missing_docs)]

mod support;

use rtl_builder::eval::SimError;
use rtl_builder::prelude::*;
use support::samples::{Link, MacArray, Memories};

/// A register in each of two domains, and a wide path.
struct Two;

#[derive(Clone, Ports)]
struct TwoIo {
    a: Input<UInt>,
    b: Input<UInt<Link>>,
    wide: Input<UInt>,
    slow: Output<UInt<Link>>,
    fast: Output<UInt>,
    product: Output<UInt>,
    quiet: Output<UInt>,
}

impl Component for Two {
    type Io = TwoIo;

    fn name(&self) -> String {
        "two".into()
    }

    fn io(&self) -> TwoIo {
        TwoIo {
            a: input(uint(8)),
            b: input(UInt::of(8)),
            wide: input(uint(300)),
            slow: output(UInt::of(8)),
            fast: output(uint(8)),
            product: output(uint(600)),
            quiet: output(uint(8)),
        }
    }

    fn build(&self, io: TwoIo) {
        let fast = reg("fast_reg", uint(8), 5);
        fast.next(io.a);
        io.fast.set(fast);
        let slow = reg("slow_reg", UInt::<Link>::of(8), 6);
        slow.next(io.b);
        io.slow.set(slow);
        io.product.set(io.wide * io.wide);
        io.quiet.set(reg_uninit("never_assigned", uint(8)));
    }
}

fn two() -> Simulator {
    elaborate(Two).expect("the component is valid").simulator()
}

#[test]
fn it_starts_as_after_a_reset() {
    let mut sim = two();
    assert_eq!((sim.peek("fast"), sim.peek("slow"), sim.peek("quiet")), (5, 6, 0));
}

#[test]
fn clocks_step_together_or_alone() {
    let mut sim = two();
    sim.poke("a", 1);
    sim.poke("b", 2);
    sim.step_domain::<Link>();
    assert_eq!((sim.peek("fast"), sim.peek("slow")), (5, 2));
    sim.step();
    assert_eq!((sim.peek("fast"), sim.peek("slow")), (1, 2));
    assert_eq!(sim.cycles(), 2);
}

#[test]
fn resets_can_be_driven_one_by_one() {
    let mut sim = two();
    sim.poke("a", 9);
    sim.poke("b", 9);
    sim.step();
    sim.poke("link_rst", 1);
    sim.step();
    assert_eq!((sim.peek("fast"), sim.peek("slow")), (9, 6));
    sim.poke("link_rst", 0);
    sim.step();
    sim.reset();
    assert_eq!((sim.peek("fast"), sim.peek("slow")), (5, 6));
    sim.step();
    assert_eq!((sim.peek("fast"), sim.peek("slow")), (9, 9));
}

#[test]
fn values_may_be_wide() {
    let mut sim = two();
    // (2^299 + 1)^2 = 2^598 + 2^300 + 1
    let value = Bits::new(1, 1).concat(&Bits::new(299, 1));
    sim.poke_bits("wide", &value);
    let product = sim.peek_bits("product");
    assert_eq!(product.width(), 600);
    let ones: Vec<u32> = (0..600).filter(|&bit| product.bit(bit)).collect();
    assert_eq!(ones, [0, 300, 598]);
}

#[test]
fn handles_are_checked() {
    let mut sim = two();
    let (a, fast, wide) =
        (sim.find("a").unwrap(), sim.find("fast").unwrap(), sim.find("wide").unwrap());
    assert_eq!(
        sim.set_u64(a, 256),
        Err(SimError::ValueTooWide { value: "64'h100".into(), width: 8 })
    );
    assert!(matches!(sim.set_u64(fast, 1), Err(SimError::NotAnInput { .. })));
    assert_eq!(sim.set(wide, &Bits::ones(300)), Ok(()));
    assert!(matches!(
        sim.set(wide, &Bits::ones(301)),
        Err(SimError::ValueTooWide { width: 300, .. })
    ));
    assert_eq!(a.width(), 8);
}

#[test]
fn unknown_signals_are_named_with_those_that_exist() {
    let sim = two();
    let error = sim.find("fats").unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("no signal `fats`; `two` has: a, b, fast, fast_reg, "), "{text}");
    assert!(sim.find("nobody.a").is_err());
}

#[test]
#[should_panic(expected = "poke of `a`: the value 64'h1ff does not fit the 8 bits of the signal")]
fn values_that_do_not_fit_panic_at_the_test_bench() {
    two().poke("a", 0x1ff);
}

#[test]
#[should_panic(expected = "`fast` is not an input of the top module")]
fn outputs_cannot_be_poked() {
    two().poke("fast", 1);
}

#[test]
#[should_panic(expected = "-129 does not fit 8 bits, signed")]
fn signed_values_that_do_not_fit_panic() {
    two().poke_signed("a", -129);
}

fn memories() -> Simulator {
    elaborate(Memories).expect("the component is valid").simulator()
}

#[test]
fn memories_read_late_and_hold() {
    let mut sim = memories();
    sim.poke_mem("buffer", 3, &Bits::new(32, 0x11223344));
    sim.poke("read_address", 3);
    assert_eq!(sim.peek("word"), 0);
    sim.step();
    assert_eq!(sim.peek("word"), 0x11223344);
    // Reading is off while writing: the data stays.
    sim.poke("write", 1);
    sim.poke("read_address", 4);
    sim.step();
    assert_eq!(sim.peek("word"), 0x11223344);
}

#[test]
fn lanes_are_written_alone() {
    let mut sim = memories();
    sim.poke_mem("buffer", 9, &Bits::new(32, 0x11223344));
    sim.poke("write", 1);
    sim.poke("address", 9);
    sim.poke("data", 0xaabbccdd);
    sim.poke("lanes", 0b0101);
    sim.step();
    assert_eq!(sim.peek_mem("buffer", 9).to_u64(), 0x11bb33dd);
    sim.poke("lanes", 0);
    sim.step();
    assert_eq!(sim.peek_mem("buffer", 9).to_u64(), 0x11bb33dd);
}

#[test]
fn initial_contents_are_there_and_the_rest_is_zero() {
    let mut sim = memories();
    for address in 0..16u64 {
        sim.poke("address", address);
        assert_eq!(sim.peek("constant"), if address < 12 { address * address } else { 0 });
    }
}

#[test]
#[should_panic(expected = "no word 1024 in a memory `buffer`")]
fn words_beyond_the_end_panic() {
    memories().peek_mem("buffer", 1024);
}

/// A memory with one read and one write port at free addresses.
struct Collision;

#[derive(Clone, Ports)]
struct CollisionIo {
    write: Input<Bool>,
    address: Input<UInt>,
    data: Input<UInt>,
    late: Output<UInt>,
    lost: Output<UInt>,
    now: Output<UInt>,
}

impl Component for Collision {
    type Io = CollisionIo;

    fn name(&self) -> String {
        "collision".into()
    }

    fn io(&self) -> CollisionIo {
        CollisionIo {
            write: input(boolean()),
            address: input(uint(3)),
            data: input(uint(100)),
            late: output(uint(100)),
            lost: output(uint(100)),
            now: output(uint(100)),
        }
    }

    fn build(&self, io: CollisionIo) {
        // Five words: addresses 5 to 7 are beyond the end.
        let block = SyncMem::<UInt>::new("block", uint(100), 5);
        let small = AsyncMem::<UInt>::new("small", uint(100), 5);
        block.write(io.write, io.address, io.data);
        small.write(io.write, io.address, io.data);
        io.late.set(block.read(true, io.address));
        let unused = SyncMem::<UInt>::new("unused_block", uint(100), 5).collisions_unused();
        unused.write(io.write, io.address, io.data);
        io.lost.set(unused.read(true, io.address));
        io.now.set(small.read(io.address));
    }
}

#[test]
fn a_word_read_while_it_is_written_is_the_old_one() {
    let complement = |word: u64| Bits::from_words(100, &[!word, u64::MAX >> 28]);
    let mut sim = elaborate(Collision).expect("the component is valid").simulator();
    sim.poke("write", 1);
    sim.poke("address", 2);
    for value in 1..4 {
        sim.poke("data", value);
        assert_eq!(sim.peek("now"), value - 1);
        sim.step();
        assert_eq!(sim.peek("late"), value - 1);
        assert_eq!(sim.peek_bits("lost"), complement(value - 1), "nobody is to use it");
        assert_eq!(sim.peek("now"), value);
    }
    sim.poke("address", 6);
    sim.step();
    assert_eq!((sim.peek("late"), sim.peek("now")), (0, 0));
    assert_eq!(sim.peek_mem("block", 2).to_u64(), 3);
}

#[test]
fn a_systolic_array_multiplies_matrices() {
    const N: usize = 4;
    let design = elaborate(MacArray { size: N }).expect("the array is valid");
    assert_eq!(design.module_names(), ["mac_cell", "mac_array_n4"]);
    let mut sim = design.simulator();
    let mut rng = fastrand::Rng::with_seed(1);
    let weights: Vec<Vec<i64>> =
        (0..N).map(|_| (0..N).map(|_| rng.i64(-128..128)).collect()).collect();
    let vectors: Vec<Vec<i64>> =
        (0..6).map(|_| (0..N).map(|_| rng.i64(-32768..32768)).collect()).collect();
    sim.poke("load", 1);
    for row in weights.iter().rev() {
        for (column, &weight) in row.iter().enumerate() {
            sim.poke_signed(&format!("weights_{column}"), weight);
        }
        sim.step();
    }
    sim.poke("load", 0);
    // A cell passes its activation on after one cycle and its sum after three (operands, product, sum), of which the sum
    // from above is needed in the last: row r of vector v enters at cycle v + r, column c leaves r + c later.
    let mut seen = vec![vec![0; N]; vectors.len()];
    for cycle in 0..vectors.len() + 3 * N {
        for row in 0..N {
            let value =
                cycle.checked_sub(row).and_then(|v| vectors.get(v)).map_or(0, |vector| vector[row]);
            sim.poke_signed(&format!("activations_{row}"), value);
        }
        sim.step();
        for column in 0..N {
            // Two cycles for operands and product, then one a row, and one a column to the right.
            let vector = (cycle + 1).checked_sub(2 + N + column);
            if let Some(sums) = vector.and_then(|vector| seen.get_mut(vector)) {
                sums[column] = sim.peek_signed(&format!("sums_{column}"));
            }
        }
    }
    for (vector, sums) in vectors.iter().zip(&seen) {
        for column in 0..N {
            let expected: i64 = (0..N).map(|row| vector[row] * weights[row][column]).sum();
            assert_eq!(sums[column], expected);
        }
    }
}

#[test]
fn a_large_array_stays_small_in_text() {
    let design = elaborate(MacArray { size: 32 }).expect("the array is valid");
    assert_eq!(design.module_names().len(), 2);
    let text = design.verilog();
    assert_eq!(text.matches("mac_cell cell_").count(), 32 * 32);
    let lines = text.lines().count();
    assert!(lines < 32 * 32 * 15, "{lines} lines");
}
