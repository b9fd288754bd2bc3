//! Operations on each lane.

use rmt_isa::operand::{Element, Vector};

use super::{Fault, Scope, Shape, fault};
use crate::verifier::rules::Rule;
use crate::verifier::types::VectorType;

/// Two vectors of one length.
fn check_lengths(
    scope: &Scope<'_>,
    a: Vector,
    b: Vector,
) -> Result<(VectorType, VectorType), Option<Fault>> {
    let (left, right) = (scope.vector(a)?, scope.vector(b)?);
    if left.lanes != right.lanes {
        return fault(
            Rule::LanesDiffer,
            format!("{a} is {left}, {b} is {right}"),
            "use two vectors of one length",
        );
    }
    Ok((left, right))
}

/// Two vectors of one type; the result has it too.
pub(super) fn check_pair(scope: &Scope<'_>, a: Vector, b: Vector) -> Shape {
    let (left, right) = check_lengths(scope, a, b)?;
    if left.element != right.element {
        let wider = Ord::max(left.element, right.element);
        return fault(
            Rule::ElementType,
            format!("{a} is {left}, {b} is {right}"),
            format!("convert one with `RMT_VECTOR_CVT` to {wider}"),
        );
    }
    Ok(Some(left))
}

/// Two narrow vectors; their product is i32 and cannot overflow.
pub(super) fn check_multiply(scope: &Scope<'_>, a: Vector, b: Vector) -> Shape {
    let (left, right) = check_lengths(scope, a, b)?;
    for (register, vector) in [(a, left), (b, right)] {
        check_narrow(register, vector)?;
    }
    Ok(Some(VectorType { element: Element::I32, ..left }))
}

/// An operand of a multiplier is i8 or i16.
pub(super) fn check_narrow(register: Vector, vector: VectorType) -> Result<(), Option<Fault>> {
    if vector.element == Element::I32 {
        return fault(
            Rule::ElementType,
            format!("{register} is {vector}; the multipliers take i8 and i16"),
            "requantise it with `RMT_REQUANT`, or convert it with `RMT_VECTOR_CVT`",
        );
    }
    Ok(())
}

pub(super) fn check_convert(scope: &Scope<'_>, a: Vector, element: Element) -> Shape {
    scope.vector(a).map(|vector| Some(VectorType { element, ..vector }))
}

#[cfg(test)]
mod tests {
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    fn pair(operation: &str, a: &str, b: &str) -> Fixture {
        Fixture::new(&format!(
            "RMT_VECTOR_FILL v0, {a}, 1\nRMT_VECTOR_FILL v1, {b}, 2\n{operation} v2, v0, v1\n\
             exit decided"
        ))
    }

    const LIKE: [&str; 4] =
        ["RMT_VECTOR_ADD", "RMT_VECTOR_SUB", "RMT_VECTOR_MIN", "RMT_VECTOR_MAX"];

    #[test]
    fn vectors_of_one_type_are_accepted() {
        for operation in LIKE {
            pair(operation, "x4, i32", "x4, i32").accepted();
        }
        pair("RMT_VECTOR_MUL", "x256, i8", "x256, i16").accepted();
    }

    #[test]
    fn lengths_must_be_equal() {
        for operation in LIKE.into_iter().chain(["RMT_VECTOR_MUL"]) {
            let fixture = pair(operation, "x4, i8", "x5, i8");
            refused_by(&fixture, Rule::LanesDiffer, "v0 is i8 x4, v1 is i8 x5");
        }
    }

    #[test]
    fn elements_must_be_equal() {
        for operation in LIKE {
            let fixture = pair(operation, "x4, i8", "x4, i16");
            refused_by(&fixture, Rule::ElementType, "convert one with `RMT_VECTOR_CVT` to i16");
        }
    }

    #[test]
    fn products_take_narrow_elements() {
        let fixture = pair("RMT_VECTOR_MUL", "x4, i8", "x4, i32");
        refused_by(&fixture, Rule::ElementType, "v1 is i32 x4; the multipliers take i8 and i16");
    }
}
