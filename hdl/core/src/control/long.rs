//! The unit for what takes several cycles: products, quotients, counts of bits and the helpers of `CALL`.
//!
//! It is made to be small, for programs seldom need it: everything happens in three registers, in steps of 16 bits
//! where that saves logic, and one adder serves signs and sums.

mod divide;
mod multiply;

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use self::divide::{Divider, Divisor, next_root, plus, triple};
use self::multiply::{Multiplier, part_of};
use super::decode::LongFunction;
use crate::bits::{count_ones, crc32c, first_set, one_less, only_if};
use crate::config::Widths;
use crate::signals::Completion;

/// A request to [`LongUnit`].
#[derive(Clone, Copy, Debug, Bundle)]
pub struct LongRequest {
    /// Thread that waits
    pub thread: UInt,
    /// Code of [`LongFunction`]
    pub function: UInt,
    /// First operand
    pub a: UInt,
    /// Second operand
    pub b: UInt,
}

impl LongRequest {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self {
            thread: uint(widths.thread),
            function: uint(LongFunction::BITS),
            a: uint(64),
            b: uint(64),
        }
    }
}

/// One operation at a time, of all stages.
///
/// Cycles from taking a request to offering its completion: 5 for CRC, 7 for logarithms and counts of bits, 8 for
/// products, 9 for the high half of one and 20 for random numbers. Quotients, remainders and square roots take 3, 2
/// more with signs, half the bits of the first operand, rounded up to whole bytes, and one for each two bytes of zeros
/// above it, rounded up; a ratio takes 8 more.
pub struct LongUnit {
    pub(crate) widths: Widths,
}

/// Ports of [`LongUnit`].
#[derive(Clone, Ports)]
pub struct LongUnitIo {
    /// Requests; taken when no operation is under way
    pub request: StreamIn<LongRequest>,
    /// Results
    pub completion: StreamOut<Completion>,
}

#[derive(Clone, Copy, State)]
enum Step {
    Idle,
    /// A random number: adds the second operand,
    Seed,
    /// and the increment of SplitMix64
    Increment,
    /// Exclusive or with higher bits
    Mix,
    Multiply,
    Crc,
    Count,
    /// Takes the sign from a dividend
    Strip,
    /// Drops zeros at the top of the dividend
    Skip,
    Divide,
    /// Takes remainder or high half of a product, if wanted
    Collect,
    /// Gives quotient or remainder its sign
    Sign,
    /// Takes what is not made in `a`
    Report,
    Done,
}

/// Registers of an operation. Those without reset have a value in each step that reads them.
#[derive(Clone, Copy)]
struct Work {
    step: Fsm<Step>,
    function: Reg<UInt>,
    /// First operand, result. The dividend leaves it at the top; quotient, product and CRC come in.
    a: Reg<UInt>,
    /// Second operand; the divisor that gives a square root.
    b: Reg<UInt>,
    /// High half of the product so far, or what is left of the dividend; else zero.
    high: Reg<UInt>,
    /// Half the bits of `a` that are still to come, less 1: bits 3 and above count parts of 16 bits.
    left: Reg<UInt>,
    /// Products of a random number so far; 1 when the low 16 bits of a ratio are under way.
    round: Reg<UInt>,
    a_negative: Reg<Bool>,
    b_negative: Reg<Bool>,
    /// A square root is wanted.
    of_root: Reg<Bool>,
    /// Trailing zeros are wanted.
    trailing: Reg<Bool>,
    /// The divisor is added to what is left of the dividend, not subtracted.
    adds: Reg<Bool>,
    /// The divisor is zero, or a ratio has too many bits.
    spoilt: Reg<Bool>,
    /// The adder takes `high`.
    adds_high: Reg<Bool>,
    /// The adder takes the negative of its first number.
    negates: Reg<Bool>,
}

impl Work {
    fn new() -> Self {
        let flag = |name: &str| reg_uninit(name, boolean());
        Self {
            step: fsm("step", Step::Idle),
            function: reg_uninit("function", uint(LongFunction::BITS)),
            a: reg_uninit("a", uint(64)),
            b: reg_uninit("b", uint(64)),
            high: reg_uninit("high", uint(64)),
            left: reg_uninit("left", uint(6)),
            round: reg_uninit("round", uint(2)),
            a_negative: flag("a_negative"),
            b_negative: flag("b_negative"),
            of_root: flag("of_root"),
            trailing: flag("trailing"),
            adds: flag("adds"),
            spoilt: flag("spoilt"),
            adds_high: flag("adds_high"),
            negates: flag("negates"),
        }
    }

    fn is(&self, wanted: LongFunction) -> Bool {
        wanted.is(*self.function)
    }

    /// The first part goes on its way, and nothing comes out yet: `left` begins with more than 64 bits.
    fn is_ahead(&self) -> Bool {
        self.left.bit(5)
    }

    /// No part of 16 bits comes after this one.
    fn is_last_part(&self) -> Bool {
        self.left.bits(3..6).is_zero()
    }
}

fn any_of(wanted: &[LongFunction], code: UInt) -> Bool {
    wanted.iter().fold(Bool::lit(false), |any, wanted| any | wanted.is(code))
}

/// `left` of 64 bits.
const ALL_LEFT: u64 = 31;
/// `left` of a count: a part is counted in the cycle behind that in which it is looked at.
const COUNT_LEFT: u64 = ALL_LEFT + 8;
/// `left` of a product: a part is added three cycles later.
const PRODUCT_LEFT: u64 = ALL_LEFT + 24;

const SIGNED: [LongFunction; 2] = [LongFunction::Divide, LongFunction::Remainder];
const REMAINDERS: [LongFunction; 2] = [LongFunction::Remainder, LongFunction::RemainderUnsigned];
const ZEROS: [LongFunction; 2] = [LongFunction::LeadingZeros, LongFunction::TrailingZeros];
const PRODUCTS: [LongFunction; 2] = [LongFunction::Multiply, LongFunction::MulHigh];

impl Component for LongUnit {
    type Io = LongUnitIo;

    fn name(&self) -> String {
        format!("long_unit_t{}", self.widths.threads)
    }

    fn doc(&self) -> String {
        "Products, quotients and helpers of 64 bits, one operation at a time".into()
    }

    fn io(&self) -> LongUnitIo {
        LongUnitIo {
            request: stream_in(LongRequest::shape(&self.widths)),
            completion: stream_out(Completion::shape(&self.widths)),
        }
    }

    fn build(&self, io: LongUnitIo) {
        use LongFunction::*;
        let work = Work::new();
        let Work { step, function, a, b, high, left, round, .. } = work;
        let Work { a_negative, b_negative, of_root, trailing, adds, spoilt, .. } = work;
        let request = io.request.payload();
        let thread = reg_uninit("thread", uint(self.widths.thread));
        let idle = step.is(Step::Idle);
        io.request.accept(idle);
        io.completion.offer(
            step.is(Step::Done),
            Completion { thread: *thread, value: *a, status: UInt::lit(0, 8) },
        );

        // Zero bytes at the top of a dividend, of which its last one stays.
        let [first, second] = [56, 48].map(|low| a.bits(low..low + 8).is_zero());
        let one = first & !left.bits(2..6).is_zero();
        let two = first & second & !work.is_last_part();
        let skip_two = step.is(Step::Skip) & two;
        let skip_one = step.is(Step::Skip) & one & !two;
        let divides = step.is(Step::Divide);
        let adds_product = step.is(Step::Multiply) & !work.is_ahead();
        let counts = step.is(Step::Count);

        let multiplier = Multiplier::new(work.is_ahead(), *a, factor_part(&work), *high);
        // A quotient's divisor stays as it is from the cycle before its first step on.
        let triple = delayed("triple", triple(*b, *b_negative));
        let divisor = Divisor { value: *b, negative: *b_negative, triple, of_root: *of_root };
        let divider = Divider::new(*high, *adds, a.bits(62..64), divisor);
        let tally = tally(&work);

        // The first operand. The start state of a CRC goes in as if it stood before the message, whose first 32 bits take
        // it up.
        let crc_start = only_if(Crc32c.is(request.function), request.b.bits(0..32)).zext(64);
        let quotient = only_if(!*spoilt, divider.quotient);
        let down = step.is(Step::Crc) | adds_product | (counts & !*trailing);
        let product_low = only_if(adds_product, multiplier.sum.bits(0..16));
        // A CRC is linear: what 16 bits give goes into the next 32 ones.
        let crc = only_if(step.is(Step::Crc), crc32c(0, a.bits(0..16))).zext(64);
        let other = mux(*of_root, b.bits(2..34), tally.zext(32)).zext(64);
        let up = |bits: u32| a.bits(0..64 - bits).concat(UInt::lit(0, bits));
        let sums = [Step::Seed, Step::Increment, Step::Strip, Step::Collect, Step::Sign];
        let saturates = step.is(Step::Collect) & work.is(Ratio) & *spoilt;
        let choices = [
            (idle, request.a ^ crc_start),
            (skip_two | (counts & *trailing), up(16)),
            (skip_one, up(8)),
            (divides, a.bits(0..62).concat(quotient)),
            (down, product_low.concat(a.bits(16..64)) ^ crc),
            (step.is(Step::Mix), mix(&work)),
            (step.is(Step::Report), other),
            (step.is_any(&sums), adder(&work) | saturates.as_uint().repeat(64)),
        ];
        let changes = choices.iter().fold(Bool::lit(false), |any, choice| any | choice.0);
        when(changes, || a.next(one_hot_mux(&choices)));

        // The second one, and what is left or comes above the first one.
        when(idle, || b.next(request.b))
            .elsewhen(step.is(Step::Skip) & *of_root, || b.next(1))
            .elsewhen(divides & *of_root, || b.next(next_root(*b, divider.negative)));
        let highs = [(divides, divider.rest), (adds_product, multiplier.sum.bits(16..80))];
        high.next(one_hot_mux(&highs));
        adds.next(*b_negative ^ (divides & divider.negative));
        when(step.is(Step::Skip), || spoilt.next(b.is_zero()));
        // The low 16 bits of a ratio drive its first ones out of the register.
        when(divides & round.bit(0) & !a.bits(62..64).is_zero(), || spoilt.next(true));

        // Bits of `a` that are done.
        let by_part = skip_two | counts | step.is_any(&[Step::Multiply, Step::Crc]);
        let less = |low: u32| {
            let above = one_less(left.bits(low..6));
            if low == 0 { above } else { above.concat(left.bits(0..low)) }
        };
        when(by_part, || left.next(less(3)))
            .elsewhen(skip_one, || left.next(less(2)))
            .elsewhen(divides, || left.next(less(0)));

        work.negates.next(false);
        work.adds_high.next(false);
        let state = step.switch();
        state
            .on(Step::Idle, || {
                let code = request.function;
                let signed = any_of(&SIGNED, code);
                thread.next(request.thread);
                function.next(code);
                work.negates.next(signed & request.a.bit(63));
                a_negative.next(signed & request.a.bit(63));
                b_negative.next(signed & request.b.bit(63));
                of_root.next(SquareRoot.is(code));
                trailing.next(TrailingZeros.is(code));
                let product = any_of(&PRODUCTS, code);
                let counted = any_of(&ZEROS, code) | any_of(&[Log2, CountOnes], code);
                left.next(ALL_LEFT);
                when(counted, || left.next(COUNT_LEFT));
                when(product, || left.next(PRODUCT_LEFT));
                round.next(0);
                when(io.request.fire(), || {
                    when(product, || step.go(Step::Multiply))
                        .elsewhen(Crc32c.is(code), || step.go(Step::Crc))
                        .elsewhen(counted, || step.go(Step::Count))
                        .elsewhen(Random.is(code), || step.go(Step::Seed))
                        .elsewhen(signed, || step.go(Step::Strip))
                        .otherwise(|| step.go(Step::Skip));
                });
            })
            .on(Step::Seed, || step.go(Step::Increment))
            .on(Step::Increment, || step.go(Step::Mix))
            .on(Step::Mix, || {
                round.next(round.wrapping_add(1));
                left.next(PRODUCT_LEFT);
                step.go(Step::Multiply);
                when(round.bit(1), || step.go(Step::Done));
            })
            .on(Step::Multiply, || {
                when(work.is_last_part(), || {
                    step.go(Step::Done);
                    when(work.is(Random), || step.go(Step::Mix));
                    when(work.is(MulHigh), || {
                        work.adds_high.next(true);
                        step.go(Step::Collect);
                    });
                });
            })
            .on(Step::Crc, || when(work.is_last_part(), || step.go(Step::Done)).otherwise(|| {}))
            .on(Step::Count, || {
                when(work.is_last_part(), || step.go(Step::Report)).otherwise(|| {});
            })
            .on(Step::Strip, || step.go(Step::Skip))
            .on(Step::Skip, || when(!one & !two, || step.go(Step::Divide)).otherwise(|| {}))
            .on(Step::Divide, || {
                when(left.eq(0), || {
                    work.adds_high.next(any_of(&REMAINDERS, *function));
                    step.go(Step::Collect);
                    when(*of_root, || step.go(Step::Report));
                    // Behind the dividend of a ratio come 16 zeros.
                    when(work.is(Ratio) & !round.bit(0), || {
                        left.next(7);
                        round.next(1);
                        step.go(Step::Divide);
                    });
                });
            })
            .on(Step::Collect, || {
                let of_divisor = *b_negative & !any_of(&REMAINDERS, *function);
                work.negates.next(*a_negative ^ of_divisor);
                step.go(Step::Done);
                when(any_of(&SIGNED, *function), || step.go(Step::Sign));
            })
            .on_any(&[Step::Sign, Step::Report], || step.go(Step::Done))
            .on(Step::Done, || when(io.completion.ready(), || step.go(Step::Idle)).otherwise(|| {}))
            .default(|| step.go(Step::Idle));
    }
}

/// 16 bits of the second factor, or of a constant of SplitMix64, lowest ones first.
fn factor_part(work: &Work) -> UInt {
    let first = UInt::lit(PRODUCT_LEFT / 8, 3);
    let index = first.wrapping_sub(work.left.bits(3..6)).trunc(2);
    let [first, second] = [0xbf58_476d_1ce4_e5b9_u64, 0x94d0_49bb_1331_11eb]
        .map(|factor| part_of(UInt::lit(factor, 64), index));
    let constant = mux(work.round.bit(1), second, first);
    mux(work.is(LongFunction::Random), constant, part_of(*work.b, index))
}

/// The first operand, exclusive or its bits moved down as SplitMix64 does.
fn mix(work: &Work) -> UInt {
    let higher = |bits: u32| work.a.bits(bits..64).zext(64);
    *work.a ^ lookup(*work.round, &[(0, higher(30)), (1, higher(27))], higher(31))
}

/// What the first operand becomes by addition: signs, the seed of a random number, the remainder.
fn adder(work: &Work) -> UInt {
    let first = mux(*work.adds_high, *work.high, *work.a) ^ work.negates.as_uint().repeat(64);
    // A remainder below zero lacks one divisor.
    let adds_b = work.step.is(Step::Seed) | (*work.adds_high & (*work.adds ^ *work.b_negative));
    let complements = *work.b_negative & adds_b;
    let b = only_if(adds_b, *work.b) ^ complements.as_uint().repeat(64);
    let increment = UInt::lit(0x9e37_79b9_7f4a_7c15, 64);
    let second = b | only_if(work.step.is(Step::Increment), increment);
    plus(first, second, *work.negates | complements).named("total")
}

/// What was counted so far. Trailing zeros are counted from the top and in reverse, all else from the bottom, so that
/// the last part with a one bit decides about zeros.
fn tally(work: &Work) -> UInt {
    let Work { function, a, left, .. } = *work;
    let tally = reg_uninit("tally", uint(7));
    let part: Vec<_> =
        (0..16).map(|index| mux(*work.trailing, a.bit(48 + index), a.bit(15 - index))).collect();
    let (any, zeros) = first_set(&part);
    let (any, zeros) = (delayed("any", any), delayed("zeros", zeros));
    let ones =
        [0, 8].map(|low| delayed(format!("ones{low}"), count_ones(a.bits(low..low + 8))).zext(7));
    when(work.is_ahead(), || {
        // Nothing but zeros.
        tally.next(mux(any_of(&ZEROS, *function), UInt::lit(64, 7), UInt::lit(0, 7)));
    })
    .elsewhen(work.is(LongFunction::CountOnes), || {
        tally.next(tally.wrapping_add(ones[0]).wrapping_add(ones[1]));
    })
    .elsewhen(any, || {
        let above = left.bits(3..5).concat(zeros);
        tally.next(mux(work.is(LongFunction::Log2), !above, above).zext(7));
    });
    tally.value()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::decode::{Unit, plain};
    use crate::reference::{operands, scalar_result};
    use rmt_isa::card::CardShape;
    use rmt_isa::operand::{A, B, D, IMM, OFF};
    use rmt_isa::{Helper, INSTRUCTIONS, Instruction};

    fn run(sim: &mut Simulator, function: u64, a: u64, b: u64) -> (u64, u32) {
        sim.poke("request_valid", 1);
        sim.poke("request_payload_thread", 1);
        sim.poke("request_payload_function", function);
        sim.poke("request_payload_a", a);
        sim.poke("request_payload_b", b);
        sim.poke("completion_ready", 0);
        assert_eq!(sim.peek("request_ready"), 1);
        sim.step();
        sim.poke("request_valid", 0);
        for cycles in 1..=100 {
            if sim.peek("completion_valid") == 1 {
                assert_eq!(sim.peek("completion_payload_thread"), 1);
                let value = sim.peek("completion_payload_value");
                sim.step();
                assert_eq!(sim.peek("completion_payload_value"), value, "held until taken");
                sim.poke("completion_ready", 1);
                sim.step();
                return (value, cycles);
            }
            sim.step();
        }
        panic!("no completion");
    }

    #[test]
    fn products_quotients_and_helpers_equal_the_interpreter() {
        let widths = Widths::of(&CardShape::tiny());
        let mut sim = elaborate(LongUnit { widths }).unwrap().simulator();
        let values: Vec<u64> = operands(9).collect();
        for info in INSTRUCTIONS {
            let Some(row) = plain(info).filter(|row| row.unit == Unit::Arithmetic) else {
                continue;
            };
            if row.immediate {
                continue;
            }
            let helpers = if info.name == "Call" { Helper::ALL.len() as u64 } else { 1 };
            for helper in 0..helpers {
                for (&a, &b) in values.iter().flat_map(|a| values.iter().map(move |b| (a, b))) {
                    let mut word = u64::from(info.opcode) | OFF.insert(helper) | IMM.insert(0);
                    for (slot, value) in [(D, 3), (A, 1), (B, 2)] {
                        word |= slot.insert(value);
                    }
                    let instruction = Instruction::decode(word & info.used_bits()).unwrap();
                    let function = if info.name == "Call" { helper } else { row.function };
                    let (value, _) = run(&mut sim, function, a, b);
                    assert_eq!(
                        value,
                        scalar_result(instruction, a, b, 0),
                        "{instruction} a={a:#x} b={b:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn cycles_are_as_documented() {
        let widths = Widths::of(&CardShape::tiny());
        let mut sim = elaborate(LongUnit { widths }).unwrap().simulator();
        let mut cycles = |function: LongFunction, a| run(&mut sim, function as u64, a, 3).1;
        use LongFunction::*;
        assert_eq!(cycles(LongFunction::Crc32c, 5), 5);
        for seven in [Log2, LeadingZeros, TrailingZeros, CountOnes] {
            assert_eq!(cycles(seven, 5), 7);
        }
        assert_eq!(cycles(Multiply, 5), 8);
        assert_eq!(cycles(LongFunction::MulHigh, 5), 9);
        assert_eq!(cycles(LongFunction::Random, 5), 20);
        for (function, more) in
            [(DivideUnsigned, 3), (SquareRoot, 3), (Ratio, 3 + 8), (Divide, 5), (Remainder, 5)]
        {
            assert_eq!(cycles(function, 0), more + 4 + 4);
            assert_eq!(cycles(function, 0x12_3456), more + 12 + 3);
            assert_eq!(cycles(function, 0x1234_5678_9abc_def0), more + 32);
        }
    }
}
