//! Shapes: lengths and element types of vectors, and whether tensors, windows, scales and
//! forests fit them.
//!
//! - [`loads`]: vectors from the event, rings and tensors; single lanes;
//! - [`lanewise`]: operations on each lane;
//! - [`layers`]: products, convolutions, pooling, requantisation, forests.

mod lanewise;
mod layers;
mod loads;

use rmt_isa::Program;
use rmt_isa::instruction::Instruction;
use rmt_isa::operand::Vector;

use super::findings::Findings;
use super::rules::Rule;
use super::types::{VectorType, VectorTypes};

/// Why an instruction does not fit its operands.
struct Fault {
    rule: Rule,
    reason: String,
    remedy: String,
}

/// `Err(None)` when an operand's type is unknown, which was reported before.
type Shape = Result<Option<VectorType>, Option<Fault>>;

fn fault<T>(
    rule: Rule,
    reason: impl Into<String>,
    remedy: impl Into<String>,
) -> Result<T, Option<Fault>> {
    Err(Some(Fault { rule, reason: reason.into(), remedy: remedy.into() }))
}

/// What the checks of one instruction may look at.
struct Scope<'a> {
    program: &'a Program,
    vectors: &'a VectorTypes,
}

impl Scope<'_> {
    /// The type of a register that is read.
    fn vector(&self, register: Vector) -> Result<VectorType, Option<Fault>> {
        self.vectors[register.index()].ok_or(None)
    }
}

/// The instruction fits its operands. Gives the type of the vector that it writes.
pub(super) fn check_shape(
    findings: &mut Findings<'_>,
    (action, index): (usize, usize),
    instruction: Instruction,
    vectors: &VectorTypes,
) -> Option<VectorType> {
    let scope = Scope { program: findings.program, vectors };
    match shape(&scope, instruction) {
        Ok(result) => result,
        Err(None) => None,
        Err(Some(Fault { rule, reason, remedy })) => {
            let place = findings.instruction(action, index);
            findings.refuse(rule, place, reason, remedy);
            None
        }
    }
}

fn shape(scope: &Scope<'_>, instruction: Instruction) -> Shape {
    use Instruction as I;
    match instruction {
        I::LoadEvent { offset, kind, .. } => loads::check_load_event(offset, kind),
        I::VectorFill { lanes, element, .. } => loads::check_fill(lanes, element),
        I::VectorLoadEvent { lanes, element, offset, .. } => {
            loads::check_vector_load_event(lanes, element, offset)
        }
        I::VectorLoadContext { lanes, element, .. } => loads::check_fill(lanes, element),
        I::VectorStoreContext { field, a } => loads::check_store_context(scope, field, a),
        I::VectorLoadTensor { tensor, .. } => loads::check_load_tensor(scope, tensor),
        I::VectorSet { d, lane, .. } => loads::check_lane(scope, d, lane).map(Some),
        I::ScalarValue { a, lane, .. } => loads::check_lane(scope, a, lane).map(|_| None),
        I::ScalarValueAt { .. } | I::VectorSum { .. } | I::ArgMax { .. } => Ok(None),
        I::VectorAdd { a, b, .. }
        | I::VectorSub { a, b, .. }
        | I::VectorMin { a, b, .. }
        | I::VectorMax { a, b, .. } => lanewise::check_pair(scope, a, b),
        I::VectorMul { a, b, .. } => lanewise::check_multiply(scope, a, b),
        I::VectorRelu { a, .. } => scope.vector(a).map(Some),
        I::VectorConvert { a, element, .. } => lanewise::check_convert(scope, a, element),
        I::MatMul { a, weights, bias, .. } => layers::check_mat_mul(scope, a, weights, bias),
        I::Conv2d { a, window, weights, bias, .. } => {
            layers::check_conv_2d(scope, a, window, weights, bias)
        }
        I::PoolMax { a, window, .. } => layers::check_pool(scope, a, window, false),
        I::PoolSum { a, window, .. } => layers::check_pool(scope, a, window, true),
        I::Requantise { a, element, scale, .. } => {
            layers::check_requantise(scope, a, element, scale)
        }
        I::ForestEval { a, forest, .. } => layers::check_forest_eval(scope, a, forest),
        _ => Ok(None),
    }
}
