//! The unit for what takes several cycles: products, quotients, counts of bits and the helpers of `CALL`.
//!
//! It is made to be small, for programs seldom need it: everything happens in three registers, in steps of 16 bits
//! where that saves logic, and one adder serves signs and sums.

mod divide;
mod multiply;

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use self::divide::{Divider, next_root};
use self::multiply::{Multiplier, part_of};
use super::decode::LongFunction;
use crate::bits::{count_ones, crc32c, leading_zeros, reverse};
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
/// Cycles from taking a request to offering its completion: 6 for CRC and counts of bits, 7 for products, 8 for
/// their high half, 6 for logarithms and 18 for random numbers. Quotients, remainders and square roots take 4, as many as
/// half the bits of the first operand, rounded up to whole bytes, and one for each two bytes of zeros above, rounded up;
/// a ratio takes 8 more.
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
    /// a random number: adds the second operand
    Seed,
    /// and the increment of SplitMix64
    Increment,
    /// exclusive or with higher bits, or with the start of a CRC
    Mix,
    Multiply,
    Crc,
    Count,
    Prepare,
    /// the same as `Divide`, but nothing is left of the dividend yet and zeros at its top can be skipped
    Skip,
    Divide,
    /// takes remainder or high half of a product
    Collect,
    /// signs, and results of other kinds
    Finish,
    Done,
}

/// Registers of an operation.
#[derive(Clone, Copy)]
struct Work {
    function: Reg<UInt>,
    /// First operand, result. The dividend leaves it at the top, and quotient, product and CRC come in.
    a: Reg<UInt>,
    /// Second operand; the divisor that gives a square root.
    b: Reg<UInt>,
    /// High half of the product so far, or what is left of the dividend.
    high: Reg<UInt>,
    /// Half the bits that are still to come, less 1. Parts of 16 bits are counted in bits 3 and above.
    left: Reg<UInt>,
    /// Products of a random number so far; 1 when the low 16 bits of a ratio are under way.
    round: Reg<UInt>,
    /// Count of bits.
    tally: Reg<UInt>,
    /// `high` is below zero.
    negative: Reg<Bool>,
    /// `b` is signed and negative.
    b_negative: Reg<Bool>,
    /// The first operand was signed and negative.
    a_negative: Reg<Bool>,
    /// The adder takes the negative of its first operand.
    negate: Reg<Bool>,
    /// The divisor is zero, or the ratio has too many bits.
    spoilt: Reg<Bool>,
}

impl Work {
    fn new() -> Self {
        Self {
            function: reg("function", uint(LongFunction::BITS), 0),
            a: reg_uninit("a", uint(64)),
            b: reg_uninit("b", uint(64)),
            high: reg_uninit("high", uint(64)),
            left: reg("left", uint(6), 0),
            round: reg("round", uint(2), 0),
            tally: reg("tally", uint(7), 0),
            negative: reg("negative", boolean(), false),
            b_negative: reg("b_negative", boolean(), false),
            a_negative: reg("a_negative", boolean(), false),
            negate: reg("negate", boolean(), false),
            spoilt: reg("spoilt", boolean(), false),
        }
    }

    fn is(&self, wanted: LongFunction) -> Bool {
        wanted.is(self.function.value())
    }

    fn is_any(&self, wanted: &[LongFunction]) -> Bool {
        any_of(wanted, self.function.value())
    }

    /// Moves 16 bits in at the top, and counts them.
    fn shift_down(&self, top: UInt) -> UInt {
        self.left.next(self.left.wrapping_sub(8));
        top.concat(self.a.bits(16..64))
    }

    /// Moves out 16 bits at the top, and counts them.
    fn shift_up(&self) {
        self.left.next(self.left.wrapping_sub(8));
        self.a.next(self.a.bits(0..48).concat(UInt::lit(0, 16)));
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
/// `left` of a product: two cycles pass before the first part is added.
const PRODUCT_LEFT: u64 = ALL_LEFT + 16;

const REMAINDERS: [LongFunction; 2] = [LongFunction::Remainder, LongFunction::RemainderUnsigned];

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
        let step = fsm("step", Step::Idle);
        let work = Work::new();
        let Work { function, a, b, high, left, round, .. } = work;
        let request = io.request.payload();
        let thread = reg("thread", uint(self.widths.thread), 0);
        io.request.accept(step.is(Step::Idle));

        when(io.request.fire(), || {
            let code = request.function;
            let signed = any_of(&[Divide, Remainder], code);
            thread.next(request.thread);
            function.next(code);
            a.next(request.a);
            b.next(request.b);
            work.negate.next(signed & request.a.bit(63));
            work.a_negative.next(signed & request.a.bit(63));
            work.b_negative.next(signed & request.b.bit(63));
            let product = any_of(&[Multiply, MulHigh], code);
            left.next(mux(product, UInt::lit(PRODUCT_LEFT, 6), UInt::lit(ALL_LEFT, 6)));
            round.next(0);
            let zeros = any_of(&[LeadingZeros, TrailingZeros], code);
            work.tally.next(mux(zeros, UInt::lit(64, 7), UInt::lit(0, 7)));
            when(product, || step.go(Step::Multiply))
                .elsewhen(Crc32c.is(code), || step.go(Step::Mix))
                .elsewhen(zeros | any_of(&[Log2, CountOnes], code), || step.go(Step::Count))
                .elsewhen(Random.is(code), || step.go(Step::Seed))
                .otherwise(|| step.go(Step::Prepare));
        });

        // Parts of 16 bits of the second factor, or of a constant of SplitMix64, lowest one first.
        let index = UInt::lit(1, 2).wrapping_sub(left.bits(3..5));
        let factors = [0xbf58_476d_1ce4_e5b9_u64, 0x94d0_49bb_1331_11eb];
        let [first, second] = factors.map(|factor| part_of(UInt::lit(factor, 64), index));
        let part = mux(work.is(Random), mux(round.bit(1), second, first), part_of(*b, index));
        let multiplier = Multiplier::new(left.bit(5), *a, part, *high);
        let divider = Divider::new(
            (*high, *work.negative),
            a.bits(62..64),
            (*b, *work.b_negative),
            work.is(SquareRoot),
        );
        let sum = adder(&work, step);
        let counted = work.is(TrailingZeros);

        step.switch()
            .on(Step::Idle, || {})
            .on(Step::Seed, || {
                a.next(sum);
                step.go(Step::Increment);
            })
            .on(Step::Increment, || {
                a.next(sum);
                step.go(Step::Mix);
            })
            .on(Step::Mix, || {
                let higher = |bits: u32| a.bits(bits..64).zext(64);
                let other = lookup(*round, &[(0, higher(30)), (1, higher(27))], higher(31));
                a.next(*a ^ mux(work.is(Crc32c), b.bits(0..32).zext(64), other));
                round.next(round.wrapping_add(1));
                left.next(PRODUCT_LEFT);
                step.go(Step::Multiply);
                when(round.bit(1), || step.go(Step::Done));
                when(work.is(Crc32c), || {
                    left.next(ALL_LEFT);
                    step.go(Step::Crc);
                });
            })
            .on(Step::Multiply, || {
                // Nothing was multiplied in the first two cycles.
                when(left.bit(5), || {
                    left.next(left.wrapping_sub(8));
                    high.next(0);
                })
                .otherwise(|| {
                    a.next(work.shift_down(multiplier.sum.bits(0..16)));
                    high.next(multiplier.sum.bits(16..80));
                });
                when(work.is_last_part(), || {
                    step.go(Step::Done);
                    when(work.is(Random), || step.go(Step::Mix));
                    when(work.is(MulHigh), || step.go(Step::Collect));
                });
            })
            .on(Step::Crc, || {
                // A CRC is linear: what 16 bits give goes into the next 32 ones.
                let crc = crc32c(0, a.bits(0..16)).zext(64);
                a.next(work.shift_down(UInt::lit(0, 16)) ^ crc);
                when(work.is_last_part(), || step.go(Step::Done));
            })
            .on(Step::Count, || {
                count(&work, counted);
                when(counted, || work.shift_up()).otherwise(|| {
                    a.next(work.shift_down(UInt::lit(0, 16)));
                });
                when(work.is_last_part(), || step.go(Step::Finish));
            })
            .on(Step::Prepare, || {
                a.next(sum);
                high.next(0);
                work.negative.next(false);
                work.negate.next(false);
                work.spoilt.next(b.is_zero());
                when(work.is(SquareRoot), || b.next(1));
                step.go(Step::Skip);
            })
            .on_any(&[Step::Skip, Step::Divide], || {
                let skipping = step.is(Step::Skip);
                let none = |low: u32| a.bits(low..64).is_zero();
                when(skipping & none(48) & !work.is_last_part(), || work.shift_up())
                    .elsewhen(skipping & none(56) & !left.bits(2..6).is_zero(), || {
                        left.next(left.wrapping_sub(4));
                        a.next(a.bits(0..56).concat(UInt::lit(0, 8)));
                    })
                    .otherwise(|| {
                        divide(&work, &divider);
                        step.go(Step::Divide);
                        when(left.eq(0), || step.go(Step::Collect));
                        // Behind the dividend of a ratio come 16 zeros.
                        when(left.eq(0) & work.is(Ratio) & round.eq(0), || {
                            left.next(7);
                            round.next(1);
                            step.go(Step::Divide);
                        });
                    });
            })
            .on(Step::Collect, || {
                a.next(sum);
                let of_divisor = *work.b_negative & !work.is_any(&REMAINDERS);
                work.negate.next(*work.a_negative ^ of_divisor);
                step.go(Step::Finish);
                when(work.is(MulHigh), || step.go(Step::Done));
            })
            .on(Step::Finish, || {
                a.next(sum);
                when(work.is(SquareRoot), || a.next(b.bits(2..34).zext(64)));
                when(work.is(Ratio) & *work.spoilt, || a.next(u64::MAX));
                when(work.is_any(&[Log2, LeadingZeros, TrailingZeros, CountOnes]), || {
                    a.next(work.tally.zext(64));
                });
                step.go(Step::Done);
            })
            .on(Step::Done, || when(io.completion.ready(), || step.go(Step::Idle)).otherwise(|| {}))
            .default(|| step.go(Step::Idle));

        io.completion.offer(
            step.is(Step::Done),
            Completion { thread: *thread, value: *a, status: UInt::lit(0, 8) },
        );
    }
}

/// What `a` becomes by addition: signs, the seed of a random number, the remainder.
fn adder(work: &Work, step: Fsm<Step>) -> UInt {
    let remainder = work.is_any(&REMAINDERS);
    let collects = step.is(Step::Collect) & (remainder | work.is(LongFunction::MulHigh));
    let first = mux(collects, *work.high, *work.a) ^ work.negate.as_uint().repeat(64);
    // A remainder below zero lacks one divisor.
    let lacks = step.is(Step::Collect) & remainder & *work.negative;
    let takes_b = step.is(Step::Seed) | lacks;
    let b = (*work.b ^ work.b_negative.as_uint().repeat(64)) & takes_b.as_uint().repeat(64);
    let increment = UInt::lit(0x9e37_79b9_7f4a_7c15, 64);
    let second = b | (increment & step.is(Step::Increment).as_uint().repeat(64));
    // The negative of a number is its complement plus 1, which comes as a carry from one bit below.
    let carry = *work.negate | (*work.b_negative & takes_b);
    let sum = first.concat(UInt::lit(1, 1)).wrapping_add(second.concat(carry.as_uint()));
    sum.bits(1..65).named("total")
}

/// Two bits of a quotient, or one of a square root.
fn divide(work: &Work, divider: &Divider) {
    let Work { a, b, left, .. } = *work;
    left.next(left.wrapping_sub(1));
    work.high.next(divider.rest);
    work.negative.next(divider.negative);
    let quotient = mux(*work.spoilt, UInt::lit(0, 2), divider.quotient);
    a.next(a.bits(0..62).concat(quotient));
    when(work.is(LongFunction::SquareRoot), || b.next(next_root(*b, divider.negative)));
    // The low 16 bits of a ratio drive its first ones out of the register.
    when(work.round.bit(0) & !a.bits(62..64).is_zero(), || work.spoilt.next(true));
}

/// Counts in 16 bits: those at the top in reverse for trailing zeros, else those at the bottom, so that the last part
/// with a one bit decides about zeros.
fn count(work: &Work, trailing: Bool) {
    let part = mux(trailing, reverse(work.a.bits(48..64)), work.a.bits(0..16)).named("counted");
    let zeros = work.left.bits(3..5).concat(leading_zeros(part).bits(0..4));
    let place = mux(work.is(LongFunction::Log2), !zeros, zeros).zext(7);
    when(work.is(LongFunction::CountOnes), || {
        work.tally.next(work.tally.wrapping_add(count_ones(part)));
    })
    .elsewhen(!part.is_zero(), || work.tally.next(place));
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
        for counts in [LongFunction::Crc32c, LongFunction::Log2, LongFunction::LeadingZeros] {
            assert_eq!(cycles(counts, 5), 6);
        }
        assert_eq!(cycles(LongFunction::TrailingZeros, 5), 6);
        assert_eq!(cycles(LongFunction::CountOnes, 5), 6);
        assert_eq!(cycles(LongFunction::Multiply, 5), 7);
        assert_eq!(cycles(LongFunction::MulHigh, 5), 8);
        assert_eq!(cycles(LongFunction::Random, 5), 18);
        for quotient in [LongFunction::DivideUnsigned, LongFunction::Remainder] {
            assert_eq!(cycles(quotient, 0), 4 + 4 + 4);
            assert_eq!(cycles(quotient, 0x12_3456), 4 + 12 + 3);
            assert_eq!(cycles(quotient, 0x1234_5678_9abc_def0), 4 + 32);
        }
        assert_eq!(cycles(LongFunction::SquareRoot, 0x12_3456), 4 + 12 + 3);
        assert_eq!(cycles(LongFunction::Ratio, 0x12_3456), 4 + 12 + 3 + 8);
    }
}
