//! The one match over all instructions. Each arm is its instruction's equation.

use rmt_isa::operand::Jump;
use rmt_isa::{Instruction, Program, Status};

use super::thread::Thread;
use super::{ActionEnd, context, map, model, vector};
use crate::state::State;

/// Runs one instruction. `pc` is the place of the next one; jumps move it on.
///
/// The result is how the action ends, if it ends here.
///
/// # Errors
/// The status with which the event ends, on an index that leads nowhere or on operands of
/// the wrong type; verified programs have none.
#[inline(always)]
pub(super) fn execute(
    t: &mut Thread,
    program: &Program,
    state: &mut State,
    instruction: Instruction,
    pc: &mut usize,
) -> Result<Option<ActionEnd>, Status> {
    use Instruction::*;
    match instruction {
        // Control.
        Exit { verdict } => return Ok(Some(ActionEnd::Exit(verdict))),
        Jump { target } => skip(pc, target, true),
        TailCall { table } => return Ok(Some(ActionEnd::TailCall(table))),
        Call { d, helper, a, b } => t.set(d, helper.evaluate(t.scalar(a), t.scalar(b))),
        Out { index, a } => t.output(index, t.scalar(a)),

        // Arithmetic on registers.
        Add { d, a, b } => t.set(d, t.scalar(a).wrapping_add(t.scalar(b))),
        Sub { d, a, b } => t.set(d, t.scalar(a).wrapping_sub(t.scalar(b))),
        Mul { d, a, b } => t.set(d, t.scalar(a).wrapping_mul(t.scalar(b))),
        Div { d, a, b } => t.set(d, divide(t.scalar(a), t.scalar(b))),
        DivU { d, a, b } => t.set(d, t.scalar(a).checked_div(t.scalar(b)).unwrap_or(0)),
        Rem { d, a, b } => t.set(d, remainder(t.scalar(a), t.scalar(b))),
        RemU { d, a, b } => t.set(d, t.scalar(a).checked_rem(t.scalar(b)).unwrap_or(t.scalar(a))),
        And { d, a, b } => t.set(d, t.scalar(a) & t.scalar(b)),
        Or { d, a, b } => t.set(d, t.scalar(a) | t.scalar(b)),
        Xor { d, a, b } => t.set(d, t.scalar(a) ^ t.scalar(b)),
        Shl { d, a, b } => t.set(d, t.scalar(a).wrapping_shl(t.scalar(b) as u32)),
        Shr { d, a, b } => t.set(d, signed(t.scalar(a)).wrapping_shr(t.scalar(b) as u32) as u64),
        ShrU { d, a, b } => t.set(d, t.scalar(a).wrapping_shr(t.scalar(b) as u32)),
        Min { d, a, b } => t.set(d, signed(t.scalar(a)).min(signed(t.scalar(b))) as u64),
        MinU { d, a, b } => t.set(d, t.scalar(a).min(t.scalar(b))),
        Max { d, a, b } => t.set(d, signed(t.scalar(a)).max(signed(t.scalar(b))) as u64),
        MaxU { d, a, b } => t.set(d, t.scalar(a).max(t.scalar(b))),
        SetEq { d, a, b } => t.set(d, u64::from(t.scalar(a) == t.scalar(b))),
        SetNe { d, a, b } => t.set(d, u64::from(t.scalar(a) != t.scalar(b))),
        SetLt { d, a, b } => t.set(d, u64::from(signed(t.scalar(a)) < signed(t.scalar(b)))),
        SetLe { d, a, b } => t.set(d, u64::from(signed(t.scalar(a)) <= signed(t.scalar(b)))),
        SetLtU { d, a, b } => t.set(d, u64::from(t.scalar(a) < t.scalar(b))),
        SetLeU { d, a, b } => t.set(d, u64::from(t.scalar(a) <= t.scalar(b))),

        // Arithmetic with a constant.
        AddImm { d, a, imm } => t.set(d, t.scalar(a).wrapping_add(extend(imm))),
        SubImm { d, a, imm } => t.set(d, t.scalar(a).wrapping_sub(extend(imm))),
        MulImm { d, a, imm } => t.set(d, t.scalar(a).wrapping_mul(extend(imm))),
        DivImm { d, a, imm } => t.set(d, divide(t.scalar(a), extend(imm))),
        DivUImm { d, a, imm } => t.set(d, t.scalar(a).checked_div(extend(imm)).unwrap_or(0)),
        RemImm { d, a, imm } => t.set(d, remainder(t.scalar(a), extend(imm))),
        RemUImm { d, a, imm } => {
            t.set(d, t.scalar(a).checked_rem(extend(imm)).unwrap_or(t.scalar(a)))
        }
        AndImm { d, a, imm } => t.set(d, t.scalar(a) & extend(imm)),
        OrImm { d, a, imm } => t.set(d, t.scalar(a) | extend(imm)),
        XorImm { d, a, imm } => t.set(d, t.scalar(a) ^ extend(imm)),
        ShlImm { d, a, imm } => t.set(d, t.scalar(a).wrapping_shl(extend(imm) as u32)),
        ShrImm { d, a, imm } => {
            t.set(d, signed(t.scalar(a)).wrapping_shr(extend(imm) as u32) as u64)
        }
        ShrUImm { d, a, imm } => t.set(d, t.scalar(a).wrapping_shr(extend(imm) as u32)),
        MinImm { d, a, imm } => t.set(d, signed(t.scalar(a)).min(signed(extend(imm))) as u64),
        MinUImm { d, a, imm } => t.set(d, t.scalar(a).min(extend(imm))),
        MaxImm { d, a, imm } => t.set(d, signed(t.scalar(a)).max(signed(extend(imm))) as u64),
        MaxUImm { d, a, imm } => t.set(d, t.scalar(a).max(extend(imm))),
        SetEqImm { d, a, imm } => t.set(d, u64::from(t.scalar(a) == extend(imm))),
        SetNeImm { d, a, imm } => t.set(d, u64::from(t.scalar(a) != extend(imm))),
        SetLtImm { d, a, imm } => t.set(d, u64::from(signed(t.scalar(a)) < signed(extend(imm)))),
        SetLeImm { d, a, imm } => t.set(d, u64::from(signed(t.scalar(a)) <= signed(extend(imm)))),
        SetLtUImm { d, a, imm } => t.set(d, u64::from(t.scalar(a) < extend(imm))),
        SetLeUImm { d, a, imm } => t.set(d, u64::from(t.scalar(a) <= extend(imm))),

        // Moves and arithmetic on one register.
        Move { d, a } => t.set(d, t.scalar(a)),
        MoveImm { d, imm } => t.set(d, extend(imm)),
        MoveHigh { d, a, imm } => t.set(d, extend(imm) << 32 | t.scalar(a) & 0xffff_ffff),
        MoveIf { d, a, b } => t.set(d, if t.scalar(a) != 0 { t.scalar(b) } else { t.scalar(d) }),
        Extend { d, a, kind } => t.set(d, kind.wrap(t.scalar(a))),
        Not { d, a } => t.set(d, !t.scalar(a)),
        Neg { d, a } => t.set(d, t.scalar(a).wrapping_neg()),
        Abs { d, a } => t.set(d, signed(t.scalar(a)).wrapping_abs() as u64),
        LeadingZeros { d, a } => t.set(d, t.scalar(a).leading_zeros().into()),
        TrailingZeros { d, a } => t.set(d, t.scalar(a).trailing_zeros().into()),
        CountOnes { d, a } => t.set(d, t.scalar(a).count_ones().into()),

        // Branches on registers and with a constant.
        JumpEq { a, b, target } => skip(pc, target, t.scalar(a) == t.scalar(b)),
        JumpNe { a, b, target } => skip(pc, target, t.scalar(a) != t.scalar(b)),
        JumpLt { a, b, target } => skip(pc, target, signed(t.scalar(a)) < signed(t.scalar(b))),
        JumpLe { a, b, target } => skip(pc, target, signed(t.scalar(a)) <= signed(t.scalar(b))),
        JumpLtU { a, b, target } => skip(pc, target, t.scalar(a) < t.scalar(b)),
        JumpLeU { a, b, target } => skip(pc, target, t.scalar(a) <= t.scalar(b)),
        JumpEqImm { a, imm, target } => skip(pc, target, t.scalar(a) == extend(imm)),
        JumpNeImm { a, imm, target } => skip(pc, target, t.scalar(a) != extend(imm)),
        JumpLtImm { a, imm, target } => skip(pc, target, signed(t.scalar(a)) < signed(extend(imm))),
        JumpLeImm { a, imm, target } => {
            skip(pc, target, signed(t.scalar(a)) <= signed(extend(imm)))
        }
        JumpLtUImm { a, imm, target } => skip(pc, target, t.scalar(a) < extend(imm)),
        JumpLeUImm { a, imm, target } => skip(pc, target, t.scalar(a) <= extend(imm)),
        JumpGtImm { a, imm, target } => skip(pc, target, signed(t.scalar(a)) > signed(extend(imm))),
        JumpGeImm { a, imm, target } => {
            skip(pc, target, signed(t.scalar(a)) >= signed(extend(imm)))
        }
        JumpGtUImm { a, imm, target } => skip(pc, target, t.scalar(a) > extend(imm)),
        JumpGeUImm { a, imm, target } => skip(pc, target, t.scalar(a) >= extend(imm)),

        // Event and action data.
        LoadEvent { d, offset, kind } => {
            if offset.index() % kind.bytes() != 0 {
                return Err(Status::OutOfRange);
            }
            t.set(d, kind.wrap(t.event.load(offset.index(), kind.bytes())));
        }
        LoadParameter { d, index } => t.set(d, t.parameter(index)?),

        // Context records and history rings.
        MatchContext { d, context, a } => context::match_record(t, state, d, context, a)?,
        FindContext { d, context, a } => context::find_record(t, state, d, context, a)?,
        LoadContext { d, field } => context::load(t, state, d, field)?,
        StoreContext { field, a } => context::store(t, state, field, a)?,
        PushContext { field, a } => context::push(t, state, field, a)?,
        LoadHistory { d, field, a } => {
            let index = t.scalar(a);
            context::load_history(t, state, d, field, index)?;
        }
        LoadHistoryImm { d, field, imm } => {
            context::load_history_at(t, state, d, field, imm)?;
        }
        HistoryLength { d, field } => context::history_length(t, state, d, field)?,

        // Maps.
        MapLoad { d, map, a } => map::load(t, state, d, map, a)?,
        MapContains { d, map, a } => map::contains(t, state, d, map, a)?,
        MapStore { d, map, a, b } => map::store(t, state, d, map, a, b)?,
        MapAdd { d, map, a, b } => map::add(t, state, d, map, a, b)?,
        MapDelete { d, map, a } => map::delete(t, state, d, map, a)?,
        MapPush { map, a } => map::push(t, state, map, a)?,

        // Vectors.
        VectorFill { d, lanes, element, imm } => vector::fill(t, d, lanes, element, imm)?,
        VectorLoadEvent { d, lanes, element, offset } => {
            vector::load_event(t, d, lanes, element, offset)?;
        }
        VectorLoadContext { d, lanes, element, field } => {
            vector::load_history(t, state, d, lanes, element, field)?;
        }
        VectorStoreContext { field, a } => vector::store_history(t, state, field, a)?,
        VectorLoadTensor { d, a, tensor } => vector::load_tensor(t, state, d, a, tensor)?,
        VectorSet { d, lane, a } => vector::set_lane(t, d, lane, a)?,
        ScalarValue { d, a, lane } => vector::get_lane(t, d, a, lane)?,
        ScalarValueAt { d, a, b } => vector::get_lane_at(t, d, a, b)?,
        VectorAdd { d, a, b } => vector::lanewise(t, d, a, b, |x, y| x + y)?,
        VectorSub { d, a, b } => vector::lanewise(t, d, a, b, |x, y| x - y)?,
        VectorMul { d, a, b } => vector::multiply(t, d, a, b)?,
        VectorMin { d, a, b } => vector::lanewise(t, d, a, b, |x, y| x.min(y))?,
        VectorMax { d, a, b } => vector::lanewise(t, d, a, b, |x, y| x.max(y))?,
        VectorRelu { d, a } => vector::each_lane(t, d, a, None, |x| x.max(0))?,
        VectorConvert { d, a, element } => vector::each_lane(t, d, a, Some(element), |x| x)?,
        VectorSum { d, a } => vector::sum(t, d, a)?,
        ArgMax { d, a } => vector::arg_max(t, d, a)?,

        // Models.
        MatMul { d, a, weights, bias } => model::mat_mul(t, state, d, a, weights, bias)?,
        Conv2d { d, a, window, weights, bias } => {
            model::conv_2d(t, program, state, d, a, window, weights, bias)?;
        }
        PoolMax { d, a, window } => model::pool(t, program, d, a, window, model::Pooling::Max)?,
        PoolSum { d, a, window } => model::pool(t, program, d, a, window, model::Pooling::Sum)?,
        Requantise { d, a, element, scale } => model::requantise(t, state, d, a, element, scale)?,
        ForestEval { d, a, forest } => model::forest_eval(t, state, d, a, forest)?,
    }
    Ok(None)
}

/// Skips instructions if the condition holds.
#[inline(always)]
fn skip(pc: &mut usize, target: Jump, condition: bool) {
    if condition {
        *pc += target.index();
    }
}

/// A constant of 32 bits where it meets a scalar.
#[inline(always)]
fn extend(imm: i32) -> u64 {
    i64::from(imm) as u64
}

#[inline(always)]
fn signed(value: u64) -> i64 {
    value as i64
}

/// Signed quotient, toward zero; 0 when `b` is 0.
#[inline(always)]
fn divide(a: u64, b: u64) -> u64 {
    if b == 0 { 0 } else { signed(a).wrapping_div(signed(b)) as u64 }
}

/// Signed remainder with the sign of `a`; `a` when `b` is 0.
#[inline(always)]
fn remainder(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { signed(a).wrapping_rem(signed(b)) as u64 }
}
