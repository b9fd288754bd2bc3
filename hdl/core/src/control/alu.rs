//! The arithmetic unit of the execute stage: one instruction each cycle, combinational.
//!
//! ```text
//!  a, b, type ─► rotation ─► zeros, signs or bits of a, b and d ─┐
//!  a, b ─────────► sum or difference ───────────────────────────┼─► result
//!  a, b ─────────► less, more ─► holds ─► a or b ───────────────┘
//! ```
//!
//! The result is an operand of the instruction behind in the same cycle, so what is chosen is known from registers
//! ([`AluControl`]), and each of the three ways ends in one choice.

use rmt_isa::operand::IntType;
use rtl_builder::prelude::*;

use super::decode::{EQUAL, Function, LESS, NOT, SIGNED};
use crate::bits::{any, as_word, at_most, only_if, rotate_down};

/// What the arithmetic unit does, with each choice in a bit of its own.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct AluControl {
    /// The result is the shifter's
    pub shifts: Bool,
    /// It shifts to the left
    pub left: Bool,
    /// Copies of a's sign are shifted in
    pub fills: Bool,
    /// It shifts by bytes and cuts to a type
    pub extends: Bool,
    /// The result is a sum or a difference
    pub adds: Bool,
    /// It is a difference
    pub subtracts: Bool,
    /// That of 0 and a
    pub from_zero: Bool,
    /// a replaces it unless a is negative
    pub absolute: Bool,
    /// Each bit of the result is bit 2a + b of this: AND, OR and so on, a or b alone
    pub by_bits: UInt,
    /// Low half of b replaces the upper one of a
    pub joins: Bool,
    /// a if the condition holds, else b
    pub chooses: Bool,
    /// b if a is not zero, else d
    pub moves_if: Bool,
    /// 1 if the condition holds, else 0
    pub tells: Bool,
}

impl AluControl {
    /// For the code of a [`Function`].
    pub fn of(code: UInt) -> Self {
        let one_of =
            |functions: &[Function]| any(&functions.iter().map(|f| f.is(code)).collect::<Vec<_>>());
        use Function::*;
        Self {
            shifts: one_of(&[ShiftLeft, ShiftRight, ShiftRightUnsigned, Extend]),
            left: ShiftLeft.is(code),
            fills: ShiftRight.is(code),
            extends: Extend.is(code),
            adds: one_of(&[Add, Sub, Negate, Absolute]),
            subtracts: !Add.is(code),
            from_zero: one_of(&[Negate, Absolute]),
            absolute: Absolute.is(code),
            by_bits: as_word(&[
                Not.is(code),
                one_of(&[Or, Xor, Not, MoveB]),
                one_of(&[Or, Xor, MoveA, MoveHigh]),
                one_of(&[And, Or, MoveA, MoveB, MoveHigh]),
            ]),
            joins: MoveHigh.is(code),
            chooses: Choose.is(code),
            moves_if: MoveIf.is(code),
            tells: Condition.is(code),
        }
    }

    /// The shape.
    pub fn shape() -> Self {
        let flag = boolean();
        Self {
            shifts: flag,
            left: flag,
            fills: flag,
            extends: flag,
            adds: flag,
            subtracts: flag,
            from_zero: flag,
            absolute: flag,
            by_bits: uint(4),
            joins: flag,
            chooses: flag,
            moves_if: flag,
            tells: flag,
        }
    }
}

/// Integer arithmetic, comparisons, moves and conversions on 64 bits. Stateless: the result
/// is there in the same cycle.
pub struct Alu;

/// Ports of [`Alu`].
#[derive(Clone, Ports)]
pub struct AluIo {
    /// What it does
    pub control: Input<AluControl>,
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
    /// The result, in parts, and whether the condition holds
    pub result: Output<AluResult>,
}

/// A result in parts, of which all but one are zero. Sum and condition come last, behind their carries.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct AluResult {
    /// Bits of a and b, and what is shifted
    pub others: UInt,
    /// The sum, which counts if `sums` is true
    pub sum: UInt,
    /// The sum is the result
    pub sums: Bool,
    /// The result if the condition holds
    pub if_holds: UInt,
    /// The result if it does not
    pub if_not: UInt,
    /// The condition holds
    pub holds: Bool,
}

impl AluResult {
    /// The shape.
    pub fn shape() -> Self {
        let word = uint(64);
        let (sums, holds) = (boolean(), boolean());
        Self { others: word, sum: word, sums, if_holds: word, if_not: word, holds }
    }

    /// The result if `wanted`, else `instead`. Only the last choice waits for sum and condition.
    pub fn or(self, wanted: Bool, instead: UInt) -> UInt {
        let early = mux(wanted, self.others, instead);
        let (if_holds, if_not) = (only_if(wanted, self.if_holds), only_if(wanted, self.if_not));
        early | only_if(wanted & self.sums, self.sum) | mux(self.holds, if_holds, if_not)
    }
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
            control: input(AluControl::shape()),
            condition: input(uint(4)),
            a: input(uint(64)),
            b: input(uint(64)),
            d: input(uint(64)),
            kind: input(uint(3)),
            bytes: input(uint(3)),
            result: output(AluResult::shape()),
        }
    }

    fn build(&self, io: AluIo) {
        let (a, b, d) = (io.a.value(), io.b.value(), io.d.value());
        let control = io.control.value();
        let bit = |mask: u64| io.condition.bit(mask.trailing_zeros());
        // A comparison with signs is one without them of numbers whose signs are turned over.
        let in_order =
            |value: UInt| (value.bit(63) ^ bit(SIGNED)).as_uint().concat(value.bits(0..63));
        let [ordered_a, ordered_b] = [a, b].map(in_order);
        let less = ordered_a.lt(ordered_b).named("less");
        // Two chains of carries side by side are there before a tree that compares 64 bits, of which synthesis makes more than it
        // needs where it shares parts of one with the other.
        let more = ordered_b.lt(ordered_a).named("more");
        let holds = (mux(less, bit(LESS), bit(EQUAL) & !more) ^ bit(NOT)).named("holds_now");

        let positive = (control.absolute & !a.bit(63)).named("positive");
        let by_bits = self.by_bits(a, b, control) | only_if(positive, a);
        let early = by_bits | only_if(control.moves_if, mux(self.not_zero(a), b, d));
        io.result.set(AluResult {
            others: self.shifted(&io, control, early),
            sum: self.sum(a, b, control),
            sums: control.adds & !positive,
            if_holds: only_if(control.chooses, a) | control.tells.as_uint().zext(64),
            if_not: only_if(control.chooses, b),
            holds,
        });
    }
}

impl Alu {
    /// Bit by bit what a table says, or halves of a and b joined.
    fn by_bits(&self, a: UInt, b: UInt, control: AluControl) -> UInt {
        let chosen = |bit: u32| {
            let of_b =
                |low: u32| mux(b.bit(bit), control.by_bits.bit(low + 1), control.by_bits.bit(low));
            mux(a.bit(bit), of_b(2), of_b(0))
        };
        let bits: Vec<UInt> = (0..64)
            .rev()
            .map(|bit| {
                let joined = if bit < 32 {
                    chosen(bit)
                } else {
                    mux(control.joins, b.bit(bit - 32), chosen(bit))
                };
                joined.as_uint()
            })
            .collect();
        cat(&bits).named("by_bits")
    }

    /// A bit is set: of six each, then of six of those, so that two are left for the choice behind.
    fn not_zero(&self, value: UInt) -> Bool {
        let mut bits: Vec<Bool> = (0..64).map(|bit| value.bit(bit)).collect();
        while bits.len() > 1 {
            bits = bits.chunks(6).map(any).collect();
        }
        bits[0]
    }

    /// One rotation to the right serves both directions, and fields of events: what it brings around is replaced by zeros or
    /// copies of a sign. To the left by n is to the right by 64 - n, which is the complement of n, and one.
    /// Where nothing is shifted it is `instead`, which the last step chooses.
    fn shifted(&self, io: &AluIo, control: AluControl, instead: UInt) -> UInt {
        let a = io.a.value();
        let count = io.b.bits(0..6);
        let by_one = |word: UInt| word.bits(0..1).concat(word.bits(1..64));
        let odd = count.bit(0);
        let (one, two) = (by_one(a), by_one(by_one(a)));
        let first = mux(control.left & !odd, two, mux(odd & !control.extends, one, a));
        let first = first.named("first_place");
        // A field begins at a byte.
        let bytes = io.bytes.value();
        let directed = count ^ mux(control.left, UInt::lit(63, 6), UInt::lit(0, 6));
        let amount = mux(control.extends, bytes.concat(UInt::lit(0, 3)), directed).named("amount");
        let moved = rotate_down("moved", first, 2, amount.bits(1..6));

        // What stays of it: of a field the bytes of its type, if they are there.
        let kind = io.kind.value();
        let types = || IntType::ALL.iter().map(|&kind| (kind as u64, kind));
        let reaches: Vec<Bool> = (0..64_u64).map(|bit| at_most(count, bit)).collect();
        let of_field: Vec<Bool> = (0..8)
            .map(|byte| {
                let of_type: Vec<_> = types()
                    .filter(|(_, kind)| kind.bits() > 8 * byte)
                    .map(|(code, _)| kind.eq(code))
                    .collect();
                any(&of_type) & at_most(bytes, u64::from(7 - byte))
            })
            .collect();
        let stays = |bit: usize| {
            let shifts = mux(control.left, reaches[bit], reaches[63 - bit]);
            mux(control.extends, of_field[bit / 8], shifts)
        };
        // The sign of a type that ends within the word: of which byte, then two or three bytes at once.
        let signed = || types().filter(|(_, kind)| kind.signed());
        let signs: Vec<Bool> = (0..8_u32)
            .map(|end| {
                let ends: Vec<Bool> = signed()
                    .map(|(code, kind)| (code, kind.bits() / 8 - 1))
                    .filter(|(_, last)| *last <= end)
                    .map(|(code, last)| kind.eq(code) & bytes.eq(u64::from(end - last)))
                    .collect();
                any(&ends) & a.bit(8 * end + 7)
            })
            .collect();
        let signs: Vec<Bool> = signs.chunks(3).map(any).collect();
        let fill = (control.extends & any(&signs)) | (control.fills & a.bit(63));
        let fill = fill.named("fill");
        let bits: Vec<UInt> = (0..64)
            .rev()
            .map(|bit| {
                let stays = control.shifts & stays(bit as usize);
                mux(stays, moved.bit(bit), fill | instead.bit(bit)).as_uint()
            })
            .collect();
        cat(&bits).named("shifted_or_else")
    }

    /// a + b, a - b or 0 - a, by one adder.
    fn sum(&self, a: UInt, b: UInt, control: AluControl) -> UInt {
        let first = mux(control.from_zero, UInt::lit(0, 64), a).named("first");
        let second = mux(control.from_zero, a, b).named("second");
        // A difference adds the complement and one, which comes as a carry from below.
        let carry = control.subtracts.as_uint();
        let second = mux(control.subtracts, !second, second);
        let sum = first.concat(carry).wrapping_add(second.concat(carry));
        sum.bits(1..65).named("sum")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::decode::{Unit, plain};
    use crate::reference::{operands, scalar_result};
    use rmt_isa::operand::{A, B, D, IMM, IntType, OFF};
    use rmt_isa::{INSTRUCTIONS, Instruction};

    /// The unit, told the code of a function.
    struct ByCode;

    #[derive(Clone, Ports)]
    struct ByCodeIo {
        function: Input<UInt>,
        condition: Input<UInt>,
        a: Input<UInt>,
        b: Input<UInt>,
        d: Input<UInt>,
        kind: Input<UInt>,
        bytes: Input<UInt>,
        result: Output<UInt>,
        holds: Output<Bool>,
    }

    impl Component for ByCode {
        type Io = ByCodeIo;
        fn name(&self) -> String {
            "by_code".into()
        }
        fn io(&self) -> ByCodeIo {
            let AluIo { condition, a, b, d, kind, bytes, .. } = Alu.io();
            let (function, result) = (input(uint(Function::BITS)), output(uint(64)));
            let holds = output(boolean());
            ByCodeIo { function, condition, a, b, d, kind, bytes, result, holds }
        }
        fn build(&self, io: ByCodeIo) {
            let alu = instance("alu", Alu);
            alu.control.set(AluControl::of(io.function.value()));
            alu.condition.set(io.condition);
            alu.a.set(io.a);
            alu.b.set(io.b);
            alu.d.set(io.d);
            alu.kind.set(io.kind);
            alu.bytes.set(io.bytes);
            io.result.set(alu.result.value().or(Bool::lit(true), UInt::lit(0, 64)));
            io.holds.set(alu.result.value().holds);
        }
    }

    /// Every one-cycle instruction and every branch, on edge cases and random operands.
    #[test]
    fn the_alu_equals_the_interpreter() {
        let mut sim = elaborate(ByCode).unwrap().simulator();
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
        let mut sim = elaborate(ByCode).unwrap().simulator();
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
