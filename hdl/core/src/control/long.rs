//! The unit for what takes several cycles: products, quotients, counts of bits and the helpers of `CALL`.

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

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
/// Cycles from taking a request to offering its completion: 1 for CRC, 2 for products, logarithm
/// and counts of bits, 33 for square roots, 6 for random numbers, and for quotients 3 more than half
/// the bits of the dividend, rounded up to whole bytes.
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
    Direct,
    Count,
    Multiply,
    Product,
    Prepare,
    Skip,
    Divide,
    Quotient,
    Root,
    Mix,
}

/// Bits of the dividend: that of `ratio` is shifted left by 16.
const DIVIDEND_BITS: u32 = 80;

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
        let step = fsm("step", Step::Idle);
        let request = io.request.payload();
        let thread = reg("thread", uint(self.widths.thread), 0);
        let function = reg("function", uint(LongFunction::BITS), 0);
        let a = reg("a", uint(64), 0);
        let b = reg("b", uint(64), 0);
        let is = |wanted: LongFunction| wanted.is(function.value());
        let any = |wanted: &[LongFunction], code: UInt| {
            wanted.iter().fold(Bool::lit(false), |any, wanted| any | wanted.is(code))
        };
        io.request.accept(step.is(Step::Idle));

        // One count of zeros from the top serves both directions and the logarithm.
        let directed = mux(is(LongFunction::TrailingZeros), reverse(a.value()), a.value());
        let zeros = leading_zeros(directed).named("zeros");
        let counted = lookup(
            function.value(),
            &[
                (LongFunction::Log2 as u64, logarithm(zeros)),
                (LongFunction::CountOnes as u64, count_ones(a.value())),
            ],
            zeros,
        );
        let multiplier = Multiplier::new(a.value(), b.value());
        let random = is(LongFunction::Random);
        let mixed = mix_before_product(a.value());
        let divider = Divider::new();
        let root = Root::new();
        let count = reg("count", uint(6), 0);
        let second_round = reg("second_round", boolean(), false);

        when(io.request.fire(), || {
            thread.next(request.thread);
            function.next(request.function);
            a.next(request.a);
            b.next(request.b);
            second_round.next(false);
            use LongFunction::*;
            let code = request.function;
            when(Crc32c.is(code), || step.go(Step::Direct))
                .elsewhen(any(&[Log2, LeadingZeros, TrailingZeros, CountOnes], code), || {
                    step.go(Step::Count);
                })
                .elsewhen(any(&[Multiply, MulHigh], code), || step.go(Step::Multiply))
                .elsewhen(SquareRoot.is(code), || {
                    root.start(request.a);
                    count.next(31);
                    step.go(Step::Root);
                })
                .elsewhen(Random.is(code), || {
                    // SplitMix64 begins with the seed plus its increment.
                    let seed = request.a.wrapping_add(request.b);
                    a.next(seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64));
                    step.go(Step::Mix);
                })
                .otherwise(|| step.go(Step::Prepare));
        });

        let taken = io.completion.ready();
        let state = step.switch();
        state
            .on(Step::Idle, || {})
            .on(Step::Direct, || when(taken, || step.go(Step::Idle)).otherwise(|| {}))
            .on(Step::Count, || {
                a.next(counted.zext(64));
                step.go(Step::Direct);
            })
            .on(Step::Mix, || {
                a.next(mux(second_round, mix_second(a.value()), mixed));
                b.next(mux(
                    second_round,
                    UInt::lit(0x94d0_49bb_1331_11eb, 64),
                    UInt::lit(0xbf58_476d_1ce4_e5b9, 64),
                ));
                step.go(Step::Multiply);
            })
            .on(Step::Multiply, || step.go(Step::Product))
            .on(Step::Product, || {
                when(random & !second_round.value(), || {
                    a.next(multiplier.product.bits(0..64));
                    second_round.next(true);
                    step.go(Step::Mix);
                })
                .elsewhen(taken, || step.go(Step::Idle));
            })
            .on(Step::Prepare, || {
                divider.prepare(a.value(), b.value(), function.value());
                step.go(Step::Skip);
            })
            .on(Step::Skip, || {
                divider.skip(&count);
                step.go(Step::Divide);
            })
            .on(Step::Divide, || {
                divider.step();
                count.next(count.wrapping_sub(1));
                when(count.eq(0), || step.go(Step::Quotient));
            })
            .on(Step::Quotient, || when(taken, || step.go(Step::Idle)).otherwise(|| {}))
            .on(Step::Root, || {
                root.step();
                count.next(count.wrapping_sub(1));
                when(count.eq(0), || {
                    a.next(root.next_root.zext(64));
                    step.go(Step::Direct);
                });
            })
            .default(|| step.go(Step::Idle));

        let last_round = !random | second_round.value();
        let product = mux(
            is(LongFunction::MulHigh),
            multiplier.product.bits(64..128),
            multiplier.product.bits(0..64),
        );
        let product = mux(random, xor_shift(multiplier.product.bits(0..64), 31), product);
        let value = priority_mux(
            &[
                (step.is(Step::Product), product),
                (step.is(Step::Quotient), divider.result(a.value(), function.value())),
                (is(LongFunction::Crc32c), crc_helper(a.value(), b.value())),
            ],
            a.value(),
        );
        let valid =
            step.is_any(&[Step::Direct, Step::Quotient]) | (step.is(Step::Product) & last_round);
        io.completion.offer(
            valid,
            Completion {
                thread: thread.value(),
                value: value.named("value"),
                status: UInt::lit(0, 8),
            },
        );
    }
}

/// CRC-32C of a, started with the low half of b. The start state goes in as if it stood
/// before the message: CRC is linear, so the first 32 bits of the message take it up.
fn crc_helper(a: UInt, b: UInt) -> UInt {
    crc32c(0, a ^ b.bits(0..32).zext(64)).zext(64)
}

/// Place of the highest one bit, from the zeros above it; 0 when there is none.
fn logarithm(zeros: UInt) -> UInt {
    mux(zeros.bit(6), UInt::lit(0, 7), UInt::lit(63, 7) ^ zeros)
}

fn xor_shift(value: UInt, bits: u32) -> UInt {
    value ^ value.bits(bits..64).zext(64)
}

fn mix_before_product(value: UInt) -> UInt {
    xor_shift(value, 30)
}

fn mix_second(value: UInt) -> UInt {
    xor_shift(value, 27)
}

/// The product of two 64-bit registers, one cycle after they are loaded: four products of
/// 32 bits, registered, and their sum.
struct Multiplier {
    product: UInt,
}

impl Multiplier {
    fn new(a: UInt, b: UInt) -> Self {
        let halves = |value: UInt| [value.bits(0..32), value.bits(32..64)];
        let ([a_low, a_high], [b_low, b_high]) = (halves(a), halves(b));
        let partial = |name: &str, a: UInt, b: UInt| {
            let product = reg_uninit(name, uint(64));
            product.next(a * b);
            product.value()
        };
        let low = partial("product_low", a_low, b_low);
        let cross = partial("product_cross", a_low, b_high);
        let other = partial("product_other", a_high, b_low);
        let high = partial("product_high", a_high, b_high);
        let middle = (cross + other).concat(UInt::lit(0, 32));
        let product = (high.concat(low) + middle).trunc(128).named("product");
        Self { product }
    }
}

/// `value` less `part` and true if it fits, else `value` and false: one subtraction, whose borrow tells.
fn take_if_it_fits(value: UInt, part: UInt) -> (UInt, Bool) {
    let bits = value.width();
    let difference = value.zext(bits + 1).wrapping_sub(part.zext(bits + 1));
    let fits = !difference.bit(bits);
    (mux(fits, difference.trunc(bits), value), fits)
}

/// A restoring divider, two bits each cycle.
struct Divider {
    /// What is left of the dividend, highest bit first; the quotient comes in from below.
    dividend: Reg<UInt>,
    divisor: Reg<UInt>,
    remainder: Reg<UInt>,
    negate_quotient: Reg<Bool>,
    negate_remainder: Reg<Bool>,
}

impl Divider {
    fn new() -> Self {
        Self {
            dividend: reg("dividend", uint(DIVIDEND_BITS), 0),
            divisor: reg("divisor", uint(64), 0),
            remainder: reg("remainder", uint(64), 0),
            negate_quotient: reg("negate_quotient", boolean(), false),
            negate_remainder: reg("negate_remainder", boolean(), false),
        }
    }

    fn prepare(&self, a: UInt, b: UInt, function: UInt) {
        let is = |wanted: LongFunction| wanted.is(function);
        let signed = is(LongFunction::Divide) | is(LongFunction::Remainder);
        let magnitude =
            |value: UInt| mux(signed & value.bit(63), UInt::lit(0, 64).wrapping_sub(value), value);
        let a_magnitude = magnitude(a);
        let scaled = a_magnitude.concat(UInt::lit(0, 16));
        self.dividend.next(mux(is(LongFunction::Ratio), scaled, a_magnitude.zext(DIVIDEND_BITS)));
        self.divisor.next(magnitude(b));
        self.remainder.next(0);
        self.negate_quotient.next(signed & (a.bit(63) ^ b.bit(63)));
        self.negate_remainder.next(signed & a.bit(63));
    }

    /// Drops zero bytes at the top of the dividend: their quotient bits are zero.
    fn skip(&self, count: &Reg<UInt>) {
        let bytes = DIVIDEND_BITS / 8;
        let dividend = self.dividend.value();
        // `used` bytes of the dividend remain, at least one.
        let arms: Vec<_> = (2..=bytes)
            .rev()
            .map(|used| {
                let nonzero = !dividend.bits(8 * (used - 1)..8 * used).is_zero();
                (nonzero, Self::aligned(dividend, used))
            })
            .collect();
        let (shifted, steps) = priority_mux(&arms, Self::aligned(dividend, 1));
        self.dividend.next(shifted);
        count.next(steps);
    }

    /// The dividend with its `used` low bytes at the top, and the number of steps less 1.
    fn aligned(dividend: UInt, used: u32) -> (UInt, UInt) {
        let low = dividend.bits(0..8 * used);
        let zeros = DIVIDEND_BITS - 8 * used;
        let shifted = if zeros == 0 { low } else { low.concat(UInt::lit(0, zeros)) };
        (shifted, UInt::lit(u64::from(4 * used - 1), 6))
    }

    fn step(&self) {
        let divisor = self.divisor.value();
        let mut remainder = self.remainder.value();
        let mut dividend = self.dividend.value();
        for _ in 0..2 {
            let shifted = remainder.concat(dividend.bit(DIVIDEND_BITS - 1).as_uint());
            let (rest, fits) = take_if_it_fits(shifted, divisor);
            remainder = rest.trunc(64);
            dividend = dividend.bits(0..DIVIDEND_BITS - 1).concat(fits.as_uint());
        }
        self.remainder.next(remainder);
        self.dividend.next(dividend);
    }

    /// The result when all steps are done; `a` is the dividend as it came.
    fn result(&self, a: UInt, function: UInt) -> UInt {
        let is = |wanted: LongFunction| wanted.is(function);
        let by_zero = self.divisor.is_zero();
        let quotient = self.dividend.value();
        let ratio = mux(
            by_zero | !quotient.bits(64..DIVIDEND_BITS).is_zero(),
            UInt::lit(u64::MAX, 64),
            quotient.trunc(64),
        );
        let wants_remainder = is(LongFunction::Remainder) | is(LongFunction::RemainderUnsigned);
        let magnitude = mux(wants_remainder, self.remainder.value(), quotient.trunc(64));
        let negate =
            mux(wants_remainder, self.negate_remainder.value(), self.negate_quotient.value());
        let signed = mux(negate, UInt::lit(0, 64).wrapping_sub(magnitude), magnitude);
        let of_zero = mux(wants_remainder, a, UInt::lit(0, 64));
        mux(is(LongFunction::Ratio), ratio, mux(by_zero, of_zero, signed))
    }
}

/// Square root, one bit each cycle: two bits of the radicand enter the remainder, from which
/// four times the root so far plus one is taken if it fits.
struct Root {
    radicand: Reg<UInt>,
    remainder: Reg<UInt>,
    root: Reg<UInt>,
    next_remainder: UInt,
    next_root: UInt,
}

impl Root {
    fn new() -> Self {
        let radicand = reg("radicand", uint(64), 0);
        let remainder = reg("root_remainder", uint(34), 0);
        let root = reg("root", uint(32), 0);
        let shifted = remainder.value().concat(radicand.bits(62..64));
        let trial = root.value().concat(UInt::lit(1, 2)).zext(36);
        let (rest, fits) = take_if_it_fits(shifted, trial);
        let next_remainder = rest.trunc(34);
        let next_root = root.bits(0..31).concat(fits.as_uint()).named("next_root");
        Self { radicand, remainder, root, next_remainder, next_root }
    }

    fn start(&self, a: UInt) {
        self.radicand.next(a);
        self.remainder.next(0);
        self.root.next(0);
    }

    fn step(&self) {
        self.radicand.next(self.radicand.bits(0..62).concat(UInt::lit(0, 2)));
        self.remainder.next(self.next_remainder);
        self.root.next(self.next_root);
    }
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
        assert_eq!(cycles(LongFunction::Crc32c, 5), 1);
        assert_eq!(cycles(LongFunction::CountOnes, 5), 2);
        assert_eq!(cycles(LongFunction::Multiply, 5), 2);
        assert_eq!(cycles(LongFunction::Random, 5), 6);
        assert_eq!(cycles(LongFunction::SquareRoot, 5), 33);
        assert_eq!(cycles(LongFunction::DivideUnsigned, 0x12_3456), 3 + 12);
    }
}
