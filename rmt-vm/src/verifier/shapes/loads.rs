//! Vectors from the event, history rings and tensors; single lanes.

use rmt_isa::event::EVENT_BYTES;
use rmt_isa::limits::VECTOR_LANES;
use rmt_isa::operand::{Element, EventOffset, FieldRef, IntType, Lane, Lanes, TensorId, Vector};

use super::{Fault, Scope, Shape, fault};
use crate::verifier::findings::{plural, quote};
use crate::verifier::rules::Rule;
use crate::verifier::structure::shape_text;
use crate::verifier::types::VectorType;

/// Bytes of the event: inside, and aligned to the width.
fn check_event_bytes(offset: EventOffset, width: usize, bytes: usize) -> Result<(), Option<Fault>> {
    let start = offset.index();
    if !start.is_multiple_of(width) {
        let below = start / width * width;
        return fault(
            Rule::OutsideEvent,
            format!("byte {start} is no multiple of the {width} bytes of a value"),
            format!("load from byte {below} or {}, or bytes one by one", below + width),
        );
    }
    if start + bytes > EVENT_BYTES {
        return fault(
            Rule::OutsideEvent,
            format!(
                "it takes bytes {start} to {}, the event ends at byte {}",
                start + bytes - 1,
                EVENT_BYTES - 1
            ),
            match EVENT_BYTES - start {
                0 => "start at a lower byte".into(),
                left => format!(
                    "load at most {}, or start at a lower byte",
                    plural((left / width) as u64, "value")
                ),
            },
        );
    }
    Ok(())
}

pub(super) fn check_load_event(offset: EventOffset, kind: IntType) -> Shape {
    check_event_bytes(offset, kind.bytes(), kind.bytes()).map(|()| None)
}

pub(super) fn check_fill(lanes: Lanes, element: Element) -> Shape {
    // `Lanes` holds 1 to 256.
    Ok(Some(VectorType { element, lanes: lanes.count() as u16 }))
}

pub(super) fn check_vector_load_event(
    lanes: Lanes,
    element: Element,
    offset: EventOffset,
) -> Shape {
    check_event_bytes(offset, element.bytes(), lanes.count() * element.bytes())?;
    check_fill(lanes, element)
}

/// A vector that becomes a ring is no longer than the ring.
pub(super) fn check_store_context(scope: &Scope<'_>, field: FieldRef, a: Vector) -> Shape {
    let vector = scope.vector(a)?;
    let context = scope.program.contexts.get(field.context.index()).ok_or(None)?;
    let field = context.fields.get(usize::from(field.field)).ok_or(None)?;
    let depth = field.ring.ok_or(None)?;
    if vector.lanes > depth {
        return fault(
            Rule::OutsideRing,
            format!(
                "{a} has {}, the ring `{}` keeps {}",
                plural(vector.lanes.into(), "lane"),
                quote(&field.name),
                plural(depth.into(), "value")
            ),
            format!("declare the ring with a depth of {} or more", vector.lanes),
        );
    }
    Ok(None)
}

/// A tensor of rows that fit a vector register.
pub(super) fn check_load_tensor(scope: &Scope<'_>, tensor: TensorId) -> Shape {
    let tensor = scope.program.tensors.get(tensor.index()).ok_or(None)?;
    let &[_, columns] = tensor.shape.as_slice() else {
        return fault(
            Rule::TensorFit,
            format!(
                "`{}` has the shape {}, not rows × columns",
                quote(&tensor.name),
                shape_text(&tensor.shape)
            ),
            "give the tensor two dimensions; 1 × n holds a single vector",
        );
    };
    match u16::try_from(columns) {
        Ok(lanes @ 1..=256) => Ok(Some(VectorType { element: tensor.element, lanes })),
        _ => fault(
            Rule::TooManyLanes,
            format!(
                "a row of `{}` has {columns} elements, a vector has 1 to {VECTOR_LANES} lanes",
                quote(&tensor.name)
            ),
            "split the rows over several tensors",
        ),
    }
}

/// The lane exists; gives the vector's type.
pub(super) fn check_lane(
    scope: &Scope<'_>,
    register: Vector,
    lane: Lane,
) -> Result<VectorType, Option<Fault>> {
    let vector = scope.vector(register)?;
    if lane.number() >= vector.lanes {
        return fault(
            Rule::LaneOutside,
            format!("{register} is {vector}: its lanes are 0 to {}", vector.lanes - 1),
            format!("use a lane below {}, or make the vector longer", vector.lanes),
        );
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    fn with(code: &str) -> Fixture {
        Fixture::new(&format!("{code}\nexit decided"))
    }

    #[test]
    fn loads_inside_the_event_are_accepted() {
        with("ld_event r1, event+56, u64").accepted();
        with("ld_event r1, event+63, u8").accepted();
        with("RMT_VECTOR_LD_EVENT v0, x16, i16, event+32").accepted();
    }

    #[test]
    fn loads_outside_the_event_are_refused() {
        let rule = Rule::OutsideEvent;
        refused_by(&with("ld_event r1, event+60, u64"), rule, "byte 60 is no multiple of the 8");
        refused_by(&with("ld_event r1, event+17, u16"), rule, "load from byte 16 or 18");
        let code = "RMT_VECTOR_LD_EVENT v0, x17, i16, event+32";
        refused_by(&with(code), rule, "bytes 32 to 65, the event ends at byte 63");
        refused_by(&with("RMT_VECTOR_LD_EVENT v0, x2, i32, event+18"), rule, "byte 18");
    }

    #[test]
    fn vectors_stored_as_ring_fit_it() {
        let code = |lanes| {
            format!(
                "ld_event r1, event+8, u64\nRMT_MATCH_CTXT r2, ctxt0, r1\n\
                 RMT_VECTOR_FILL v0, x{lanes}, i8, 1\nRMT_VECTOR_ST_CTXT ctxt0.3, v0"
            )
        };
        with(&code(8)).accepted();
        refused_by(&with(&code(9)), Rule::OutsideRing, "v0 has 9 lanes, the ring `deltas` keeps 8");
    }

    #[test]
    fn tensors_load_by_row() {
        let code = "movi r1, 0\nRMT_VECTOR_LD v0, r1, tensor2";
        with(code).accepted();
        let mut fixture = with(code);
        fixture.program.tensors[2].shape = vec![24];
        refused_by(&fixture, Rule::TensorFit, "has the shape 24, not rows × columns");
        fixture.program.tensors[2].shape = vec![1, 257];
        fixture.program.tensors[2].values = vec![0; 257];
        refused_by(&fixture, Rule::TooManyLanes, "a row of `emb` has 257 elements");
    }

    #[test]
    fn lanes_exist() {
        let fill = "RMT_VECTOR_FILL v0, x4, i16, 1\n";
        with(&format!("{fill}RMT_SCALAR_VAL r1, v0, lane3")).accepted();
        let rule = Rule::LaneOutside;
        refused_by(&with(&format!("{fill}RMT_SCALAR_VAL r1, v0, lane4")), rule, "lanes are 0 to 3");
        let code = format!("{fill}movi r1, 1\nRMT_VECTOR_SET v0, lane255, r1");
        refused_by(&with(&code), rule, "v0 is i16 x4");
    }
}
