//! Ranges of scalar registers.
//!
//! What is not worth a rule gives [`Interval::ALL`]: the ranges serve to bound the lanes that
//! `RMT_VECTOR_SET` writes.

use rmt_isa::card::cycles::{dividend, magnitude_bits};
use rmt_isa::helper::Helper;
use rmt_isa::instruction::Instruction;
use rmt_isa::limits::SCALAR_REGISTERS;
use rmt_isa::operand::{FieldRef, MapId, Scalar};
use rmt_isa::program::{MapKind, Program};

use super::interval::Interval;

/// Ranges of all scalar registers.
pub(super) type Scalars = [Interval; SCALAR_REGISTERS];

/// The most bits that the magnitude of the dividend has, for instructions that divide or take a square root.
pub(super) fn dividend_bits(instruction: Instruction, scalars: &Scalars) -> Option<u32> {
    let (register, signed) = dividend(instruction)?;
    let Interval { low, high } = scalars[register.index()];
    // Between the bounds magnitudes are smaller, unless a negative number counts as unsigned.
    let bits = |value: i64| magnitude_bits(value as u64, signed);
    Some(if signed || low >= 0 { bits(low).max(bits(high)) } else { u64::BITS })
}

/// What the instruction writes to its scalar destination, for instructions that do not read
/// vectors.
pub(super) fn result(
    program: &Program,
    action: usize,
    instruction: Instruction,
    scalars: &Scalars,
) -> Interval {
    use Instruction as I;
    let get = |register: Scalar| scalars[register.index()];
    let constant = |imm: i32| Interval::constant(imm.into());
    match instruction {
        I::Move { a, .. } => get(a),
        I::MoveImm { imm, .. } => constant(imm),
        I::MoveIf { d, b, .. } => get(d).join(get(b)),
        I::Add { a, b, .. } => get(a).add(get(b)),
        I::AddImm { a, imm, .. } => get(a).add(constant(imm)),
        I::Sub { a, b, .. } => get(a).sub(get(b)),
        I::SubImm { a, imm, .. } => get(a).sub(constant(imm)),
        I::Mul { a, b, .. } => get(a).mul(get(b)),
        I::MulImm { a, imm, .. } => get(a).mul(constant(imm)),
        I::Min { a, b, .. } => get(a).min(get(b)),
        I::MinImm { a, imm, .. } => get(a).min(constant(imm)),
        I::Max { a, b, .. } => get(a).max(get(b)),
        I::MaxImm { a, imm, .. } => get(a).max(constant(imm)),
        I::MinU { a, b, .. } => min_unsigned(get(a), get(b)),
        I::MinUImm { a, imm, .. } => min_unsigned(get(a), constant(imm)),
        I::MaxU { a, b, .. } => max_unsigned(get(a), get(b)),
        I::MaxUImm { a, imm, .. } => max_unsigned(get(a), constant(imm)),
        I::And { a, b, .. } => and(get(a), get(b)),
        I::AndImm { a, imm, .. } => and(get(a), constant(imm)),
        I::Or { a, b, .. } | I::Xor { a, b, .. } => or(get(a), get(b)),
        I::OrImm { a, imm, .. } | I::XorImm { a, imm, .. } => or(get(a), constant(imm)),
        I::Not { a, .. } => Interval::constant(-1).sub(get(a)),
        I::Neg { a, .. } => Interval::constant(0).sub(get(a)),
        I::Abs { a, .. } => absolute(get(a)),
        I::ShlImm { a, imm, .. } => match imm as u32 % 64 {
            63 => Interval::ALL,
            by => get(a).mul(Interval::constant(1 << by)),
        },
        I::ShrImm { a, imm, .. } => get(a).map(|value| value >> (imm as u32 % 64)),
        I::ShrUImm { a, imm, .. } => shift_right_unsigned(get(a), imm as u32 % 64),
        I::Shr { a, .. } | I::ShrU { a, .. } if get(a).is_nonnegative() => {
            Interval::new(0, get(a).high)
        }
        I::Div { a, b, .. } | I::DivU { a, b, .. } if both_nonnegative(get(a), get(b)) => {
            Interval::new(0, get(a).high)
        }
        I::DivImm { a, imm, .. } if imm > 0 => get(a).map(|value| value / i64::from(imm)),
        I::DivUImm { a, imm, .. } if imm > 0 => divide_unsigned(get(a), imm.into()),
        I::RemImm { a, imm, .. } if imm != 0 => remainder(get(a), imm),
        I::RemUImm { imm, .. } if imm > 0 => Interval::new(0, i64::from(imm) - 1),
        I::SetEq { .. }
        | I::SetNe { .. }
        | I::SetLt { .. }
        | I::SetLe { .. }
        | I::SetLtU { .. }
        | I::SetLeU { .. }
        | I::SetEqImm { .. }
        | I::SetNeImm { .. }
        | I::SetLtImm { .. }
        | I::SetLeImm { .. }
        | I::SetLtUImm { .. }
        | I::SetLeUImm { .. }
        | I::MatchContext { .. }
        | I::FindContext { .. }
        | I::MapContains { .. }
        | I::MapStore { .. }
        | I::MapDelete { .. } => Interval::BIT,
        I::LeadingZeros { .. } | I::TrailingZeros { .. } | I::CountOnes { .. } => {
            Interval::new(0, 64)
        }
        I::Extend { a, kind, .. } => {
            let (value, bounds) = (get(a), Interval::of_type(kind));
            if bounds.contains(value) { value } else { bounds }
        }
        I::Call { helper, .. } => helper_result(helper),
        I::LoadEvent { kind, .. } => Interval::of_type(kind),
        I::LoadParameter { index, .. } => {
            let parameters = program.actions.get(action).map(|action| &action.parameters);
            let parameter = parameters.and_then(|parameters| parameters.get(index.index()));
            parameter.map_or(Interval::ALL, |parameter| Interval::of_type(parameter.kind))
        }
        // A record or value that is not there reads as 0, which all types contain.
        I::LoadContext { field, .. }
        | I::LoadHistory { field, .. }
        | I::LoadHistoryImm { field, .. } => field_values(program, field),
        I::HistoryLength { field, .. } => Interval::new(0, ring_depth(program, field).into()),
        I::MapLoad { map, .. } | I::MapAdd { map, .. } => map_values(program, map),
        _ => Interval::ALL,
    }
}

fn both_nonnegative(a: Interval, b: Interval) -> bool {
    a.is_nonnegative() && b.is_nonnegative()
}

/// Values that are not negative compare alike signed and unsigned; a negative one is larger
/// than any of them.
fn min_unsigned(a: Interval, b: Interval) -> Interval {
    match (a.is_nonnegative(), b.is_nonnegative()) {
        (true, true) => a.min(b),
        (true, false) => Interval::new(0, a.high),
        (false, true) => Interval::new(0, b.high),
        (false, false) => Interval::ALL,
    }
}

fn max_unsigned(a: Interval, b: Interval) -> Interval {
    if both_nonnegative(a, b) { a.max(b) } else { Interval::ALL }
}

/// The bits of the result are among those of either operand.
fn and(a: Interval, b: Interval) -> Interval {
    match (a.is_nonnegative(), b.is_nonnegative()) {
        (true, true) => Interval::new(0, a.high.min(b.high)),
        (true, false) => Interval::new(0, a.high),
        (false, true) => Interval::new(0, b.high),
        (false, false) => Interval::ALL,
    }
}

/// OR and XOR set no bit above the highest of both operands.
fn or(a: Interval, b: Interval) -> Interval {
    if !both_nonnegative(a, b) {
        return Interval::ALL;
    }
    let highest = (a.high | b.high) as u64;
    let mask = u64::MAX.checked_shr(highest.leading_zeros()).unwrap_or(0);
    Interval::new(0, mask as i64)
}

fn absolute(a: Interval) -> Interval {
    // |i64::MIN| wraps to itself.
    if a.low == i64::MIN {
        return Interval::ALL;
    }
    let high = a.low.abs().max(a.high.abs());
    let crosses = a.low <= 0 && a.high >= 0;
    Interval::new(if crosses { 0 } else { a.low.abs().min(a.high.abs()) }, high)
}

fn shift_right_unsigned(a: Interval, by: u32) -> Interval {
    match (a.is_nonnegative(), by) {
        (_, 0) => a,
        (true, _) => a.map(|value| value >> by),
        (false, _) => Interval::new(0, (u64::MAX >> by) as i64),
    }
}

fn divide_unsigned(a: Interval, by: i64) -> Interval {
    match (a.is_nonnegative(), by) {
        (_, 1) => a,
        (true, _) => a.map(|value| value / by),
        (false, _) => Interval::new(0, (u64::MAX / by as u64) as i64),
    }
}

/// The remainder has the sign of `a` and is nearer to 0 than the divisor.
fn remainder(a: Interval, by: i32) -> Interval {
    let most = i64::from(by.unsigned_abs()) - 1;
    let low = if a.low < 0 { -most } else { 0 };
    let high = if a.high > 0 { most } else { 0 };
    // |a| bounds it as well.
    Interval::new(low.max(a.low.min(0)), high.min(a.high.max(0)))
}

fn helper_result(helper: Helper) -> Interval {
    match helper {
        Helper::Crc32c | Helper::SquareRoot => Interval::new(0, u32::MAX.into()),
        Helper::Log2 => Interval::new(0, 63),
        Helper::MulHigh | Helper::Random | Helper::Ratio => Interval::ALL,
    }
}

fn field_values(program: &Program, field: FieldRef) -> Interval {
    let context = program.contexts.get(field.context.index());
    let declared = context.and_then(|context| context.fields.get(usize::from(field.field)));
    declared.map_or(Interval::ALL, |field| Interval::of_type(field.kind))
}

fn ring_depth(program: &Program, field: FieldRef) -> u16 {
    let context = program.contexts.get(field.context.index());
    let declared = context.and_then(|context| context.fields.get(usize::from(field.field)));
    declared.and_then(|field| field.ring).unwrap_or(u16::MAX)
}

fn map_values(program: &Program, map: MapId) -> Interval {
    match program.maps.get(map.index()) {
        Some(map) if map.kind != MapKind::Histogram => Interval::of_type(map.value),
        _ => Interval::ALL,
    }
}

/// What a branch tells of the registers that it compares, when it is taken or not. A way
/// that cannot be gone keeps what was known.
pub(super) fn refine(instruction: Instruction, taken: bool, scalars: &mut Scalars) {
    use Instruction as I;
    let constant = |imm: i32| Interval::constant(imm.into());
    match instruction {
        I::JumpEqImm { a, imm, .. } if taken => narrow(scalars, a, constant(imm)),
        I::JumpNeImm { a, imm, .. } if !taken => narrow(scalars, a, constant(imm)),
        I::JumpLtImm { a, imm, .. } => below(scalars, a, i64::from(imm) - 1, taken),
        I::JumpLeImm { a, imm, .. } => below(scalars, a, imm.into(), taken),
        I::JumpGtImm { a, imm, .. } => below(scalars, a, imm.into(), !taken),
        I::JumpGeImm { a, imm, .. } => below(scalars, a, i64::from(imm) - 1, !taken),
        I::JumpLtUImm { a, imm, .. } if imm > 0 => {
            below_unsigned(scalars, a, i64::from(imm) - 1, taken);
        }
        I::JumpLeUImm { a, imm, .. } if imm >= 0 => below_unsigned(scalars, a, imm.into(), taken),
        I::JumpGtUImm { a, imm, .. } if imm >= 0 => below_unsigned(scalars, a, imm.into(), !taken),
        I::JumpGeUImm { a, imm, .. } if imm > 0 => {
            below_unsigned(scalars, a, i64::from(imm) - 1, !taken);
        }
        I::JumpLt { a, b, .. } => order(scalars, (a, b), 1, taken),
        I::JumpLe { a, b, .. } => order(scalars, (a, b), 0, taken),
        I::JumpEq { a, b, .. } if taken => equal(scalars, a, b),
        I::JumpNe { a, b, .. } if !taken => equal(scalars, a, b),
        _ => {}
    }
}

fn narrow(scalars: &mut Scalars, register: Scalar, to: Interval) {
    let known = &mut scalars[register.index()];
    *known = known.meet(to).unwrap_or(*known);
}

/// `register ≤ bound` when `holds`, else `register > bound`.
fn below(scalars: &mut Scalars, register: Scalar, bound: i64, holds: bool) {
    let to = match (holds, bound.checked_add(1)) {
        (true, _) => Interval::new(i64::MIN, bound),
        (false, Some(above)) => Interval::new(above, i64::MAX),
        (false, None) => return,
    };
    narrow(scalars, register, to);
}

/// The same for an unsigned comparison with a bound that is not negative: what is below it
/// is not negative; what is above is known only of a register that is not negative.
fn below_unsigned(scalars: &mut Scalars, register: Scalar, bound: i64, holds: bool) {
    if holds {
        narrow(scalars, register, Interval::new(0, bound));
    } else if scalars[register.index()].is_nonnegative() {
        below(scalars, register, bound, false);
    }
}

/// `a + gap ≤ b` when `holds`, else `b + (1 - gap) ≤ a`.
fn order(scalars: &mut Scalars, (a, b): (Scalar, Scalar), gap: i64, holds: bool) {
    let (lesser, greater, gap) = if holds { (a, b, gap) } else { (b, a, 1 - gap) };
    let (low, high) = (scalars[lesser.index()].low, scalars[greater.index()].high);
    if let Some(bound) = high.checked_sub(gap) {
        narrow(scalars, lesser, Interval::new(i64::MIN, bound));
    }
    if let Some(bound) = low.checked_add(gap) {
        narrow(scalars, greater, Interval::new(bound, i64::MAX));
    }
}

fn equal(scalars: &mut Scalars, a: Scalar, b: Scalar) {
    let (first, second) = (scalars[a.index()], scalars[b.index()]);
    narrow(scalars, a, second);
    narrow(scalars, b, first);
}

#[cfg(test)]
mod tests {
    use rmt_isa::assembly::assemble;
    use rmt_isa::operand::IntType;

    use super::*;
    use crate::verifier::testing::Fixture;

    fn scalars(a: Interval, b: Interval) -> Scalars {
        let mut scalars = [Interval::ALL; SCALAR_REGISTERS];
        (scalars[1], scalars[2]) = (a, b);
        scalars
    }

    fn range_of(line: &str, a: Interval, b: Interval) -> Interval {
        let program = Fixture::new("exit decided").program;
        result(&program, 0, assemble(line).unwrap()[0], &scalars(a, b))
    }

    #[test]
    fn useful_operations_narrow() {
        let byte = Interval::of_type(IntType::U8);
        let any = Interval::ALL;
        for (line, expected) in [
            ("andi r3, r2, 1023", (0, 1023)),
            ("mini r3, r1, 100", (0, 100)),
            ("remui r3, r2, 10", (0, 9)),
            ("shrui r3, r2, 60", (0, 15)),
            ("sub r3, r1, r1", (-255, 255)),
            ("seteq r3, r1, r2", (0, 1)),
            ("extend r3, r2, i8", (-128, 127)),
            ("extend r3, r1, i16", (0, 255)),
            ("ld_param r3, param0", (0, 255)),
            ("RMT_HIST_LEN r3, ctxt0.3", (0, 8)),
            ("abs r3, r1", (0, 255)),
        ] {
            assert_eq!(range_of(line, byte, any), Interval::new(expected.0, expected.1), "{line}");
        }
    }

    #[test]
    fn branches_narrow_what_they_compare() {
        let refined = |line: &str, taken, a: Interval| {
            let mut scalars = scalars(a, Interval::new(5, 9));
            refine(assemble(line).unwrap()[0], taken, &mut scalars);
            (scalars[1].low, scalars[1].high)
        };
        let (any, max, min) = (Interval::ALL, i64::MAX, i64::MIN);
        assert_eq!(refined("jlti r1, 10, +0", true, any), (min, 9));
        assert_eq!(refined("jlti r1, 10, +0", false, any), (10, max));
        assert_eq!(refined("jgtui r1, 1000, +0", false, any), (0, 1000));
        assert_eq!(refined("jgtui r1, 1000, +0", true, any), (min, max));
        assert_eq!(refined("jeqi r1, 7, +0", true, any), (7, 7));
        assert_eq!(refined("jlt r1, r2, +0", true, any), (min, 8));
        assert_eq!(refined("jle r1, r2, +0", false, any), (6, max));
        assert_eq!(refined("jeq r1, r2, +0", true, any), (5, 9));
        // A way that cannot be gone keeps what was known.
        assert_eq!(refined("jeqi r1, 7, +0", true, Interval::new(0, 1)), (0, 1));
    }
}
