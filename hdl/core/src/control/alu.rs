//! The arithmetic unit of the execute stage: one instruction each cycle, combinational.

use rtl_builder::prelude::*;

use super::decode::{Function, LESS, NOT, SIGNED};
use crate::bits::{reverse, wrap};

/// Integer arithmetic, comparisons, moves and conversions on 64 bits. Stateless: the result
/// is there in the same cycle.
pub struct Alu;

/// Ports of [`Alu`].
#[derive(Clone, Ports)]
pub struct AluIo {
    /// Code of the function
    pub function: Input<UInt>,
    /// Bits of the condition
    pub condition: Input<UInt>,
    /// First operand
    pub a: Input<UInt>,
    /// Second operand, register or constant
    pub b: Input<UInt>,
    /// Old value of the destination
    pub d: Input<UInt>,
    /// Integer type to which a value is cut
    pub kind: Input<UInt>,
    /// Bytes by which a field of the event is shifted down first
    pub bytes: Input<UInt>,
    /// Result
    pub result: Output<UInt>,
    /// The condition holds
    pub holds: Output<Bool>,
}

impl Component for Alu {
    type Io = AluIo;

    fn name(&self) -> String {
        "scalar_alu".into()
    }

    fn doc(&self) -> String {
        "Integer arithmetic, comparisons, moves and conversions on 64 bits, combinational".into()
    }

    fn io(&self) -> AluIo {
        AluIo {
            function: input(uint(Function::BITS)),
            condition: input(uint(4)),
            a: input(uint(64)),
            b: input(uint(64)),
            d: input(uint(64)),
            kind: input(uint(3)),
            bytes: input(uint(3)),
            result: output(uint(64)),
            holds: output(boolean()),
        }
    }

    fn build(&self, io: AluIo) {
        let (a, b, d) = (io.a.value(), io.b.value(), io.d.value());
        let bit = |mask: u64| io.condition.bit(mask.trailing_zeros());
        let signed = bit(SIGNED);
        // One bit more makes one signed comparison of both kinds.
        let wide = |x: UInt| (signed & x.bit(63)).as_uint().concat(x).as_sint();
        let less = wide(a).lt(wide(b)).named("less");
        let equal = a.eq(b).named("equal");
        let holds = ((bit(LESS) & less) | (bit(super::decode::EQUAL) & equal)) ^ bit(NOT);
        io.holds.set(holds);

        let is = |function: Function| function.is(io.function.value());
        let from_zero = is(Function::Negate) | is(Function::Absolute);
        let minuend = mux(from_zero, UInt::lit(0, 64), a).named("minuend");
        let subtrahend = mux(from_zero, a, b).named("subtrahend");
        let difference = minuend.wrapping_sub(subtrahend).named("difference");
        // One shifter to the right serves both directions.
        let directed = mux(is(Function::ShiftLeft), reverse(a), a).named("directed");
        let bytes = io.bytes.value().concat(UInt::lit(0, 3));
        let amount = mux(is(Function::Extend), bytes, b.bits(0..6)).named("amount");
        let fill = is(Function::ShiftRight) & a.bit(63);
        let shifted = fill.as_uint().concat(directed).as_sint().shift_right(amount);
        let shifted = shifted.as_uint().trunc(64).named("shifted");
        let arms = [
            (Function::Add, a.wrapping_add(b)),
            (Function::Sub, difference),
            (Function::And, a & b),
            (Function::Or, a | b),
            (Function::Xor, a ^ b),
            (Function::ShiftLeft, reverse(shifted)),
            (Function::ShiftRight, shifted),
            (Function::ShiftRightUnsigned, shifted),
            (Function::Choose, mux(holds, a, b)),
            (Function::Condition, holds.as_uint().zext(64)),
            (Function::MoveA, a),
            (Function::MoveB, b),
            (Function::MoveHigh, b.bits(0..32).concat(a.bits(0..32))),
            (Function::MoveIf, mux(a.is_zero(), d, b)),
            (Function::Extend, wrap(io.kind.value(), shifted)),
            (Function::Not, !a),
            (Function::Negate, difference),
            (Function::Absolute, mux(a.bit(63), difference, a)),
        ];
        let arms: Vec<_> = arms.map(|(function, value)| (function as u64, value)).into();
        io.result.set(lookup(io.function.value(), &arms, UInt::lit(0, 64)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::decode::{Unit, plain};
    use crate::reference::{operands, scalar_result};
    use rmt_isa::operand::{A, B, D, IMM, IntType, OFF};
    use rmt_isa::{INSTRUCTIONS, Instruction};

    /// Every one-cycle instruction and every branch, on edge cases and random operands.
    #[test]
    fn the_alu_equals_the_interpreter() {
        let mut sim = elaborate(Alu).unwrap().simulator();
        let values: Vec<u64> = operands(12).collect();
        for info in INSTRUCTIONS {
            let Some(row) = plain(info) else { continue };
            if ![Unit::Alu, Unit::Branch].contains(&row.unit) || row.event || row.parameter {
                continue;
            }
            for (n, &a) in values.iter().enumerate() {
                for &b in &values {
                    let d = values[(n * 7 + 3) % values.len()];
                    let kind = b % 8;
                    let constant = u64::from(b as u32 as i32 as u32);
                    let mut word = u64::from(info.opcode) | IMM.insert(constant);
                    for (slot, value) in [(D, 3), (A, 1), (B, 2), (OFF, 1)] {
                        word |= slot.insert(value);
                    }
                    if info.name == "Extend" {
                        word = word & !OFF.insert(u64::MAX) | OFF.insert(kind);
                    }
                    let instruction = Instruction::decode(word & info.used_bits()).unwrap();
                    let b = if row.immediate { b as u32 as i32 as u64 } else { b };
                    sim.poke("function", row.function);
                    sim.poke("condition", row.condition);
                    sim.poke("a", a);
                    sim.poke("b", b);
                    sim.poke("d", d);
                    sim.poke("kind", kind);
                    sim.poke("bytes", 0);
                    let got = sim.peek(if row.unit == Unit::Alu { "result" } else { "holds" });
                    assert_eq!(
                        got,
                        scalar_result(instruction, a, b, d),
                        "{instruction} a={a:#x} b={b:#x} d={d:#x}"
                    );
                }
            }
        }
    }

    /// A field of the event is shifted down by bytes, whatever the second operand is.
    #[test]
    fn a_field_of_the_event_is_cut_out() {
        let mut sim = elaborate(Alu).unwrap().simulator();
        sim.poke("function", Function::Extend as u64);
        sim.poke("b", 63_u64);
        for a in operands(12) {
            for (kind, bytes) in (0..8_u64).flat_map(|kind| (0..8_u64).map(move |n| (kind, n))) {
                sim.poke("a", a);
                sim.poke("kind", kind);
                sim.poke("bytes", bytes);
                let kind = IntType::ALL[kind as usize];
                let field = a >> (8 * bytes);
                let unused = 64 - kind.bits();
                let expected = if kind.signed() {
                    ((field << unused) as i64 >> unused) as u64
                } else {
                    field << unused >> unused
                };
                assert_eq!(sim.peek("result"), expected, "{kind:?} {bytes} {a:#x}");
            }
        }
    }
}
