//! Vector registers: loads, stores, and arithmetic lane by lane.
//!
//! Operands that were not written, or whose types or lengths an equation does not join, end
//! the event with [`Status::OutOfRange`].

use rmt_isa::Status;
use rmt_isa::event::EVENT_BYTES;
use rmt_isa::operand::{Element, EventOffset, FieldRef, Lane, Lanes, Scalar, TensorId, Vector};

use super::context::{field_to_write, ring_to_read};
use super::thread::{Thread, VectorRegister, operand};
use crate::state::State;

/// `RMT_VECTOR_FILL`: d[i] = sat(imm).
pub(super) fn fill(
    t: &mut Thread,
    d: Vector,
    lanes: Lanes,
    element: Element,
    imm: i32,
) -> Result<(), Status> {
    let vector = &mut t.vectors[d.index()];
    vector.shape(element, lanes.count())?;
    vector.lanes_mut().fill(element.saturate(imm.into()));
    Ok(())
}

/// `RMT_VECTOR_LD_EVENT`: d[i] = the element at byte offset + i * width of the event.
pub(super) fn load_event(
    t: &mut Thread,
    d: Vector,
    lanes: Lanes,
    element: Element,
    offset: EventOffset,
) -> Result<(), Status> {
    let (start, width) = (offset.index(), element.bytes());
    if start % width != 0 || start + lanes.count() * width > EVENT_BYTES {
        return Err(Status::OutOfRange);
    }
    let vector = &mut t.vectors[d.index()];
    vector.shape(element, lanes.count())?;
    for (index, lane) in vector.lanes_mut().iter_mut().enumerate() {
        let bits = t.event.load(start + index * width, width);
        *lane = match element {
            Element::I8 => i32::from(bits as i8),
            Element::I16 => i32::from(bits as i16),
            Element::I32 => bits as i32,
        };
    }
    Ok(())
}

/// `RMT_VECTOR_LD_CTXT`: d[i] = sat(value i of the ring), 0 = newest; 0 when absent.
pub(super) fn load_history(
    t: &mut Thread,
    state: &State,
    d: Vector,
    lanes: Lanes,
    element: Element,
    field: FieldRef,
) -> Result<(), Status> {
    let (store, layout, record) = ring_to_read(t, state, field)?;
    if layout.ring.is_none_or(|depth| lanes.count() > depth) {
        return Err(Status::OutOfRange);
    }
    let vector = &mut t.vectors[d.index()];
    vector.shape(element, lanes.count())?;
    for (index, lane) in vector.lanes_mut().iter_mut().enumerate() {
        let value = record.and_then(|record| store.history(record, layout, index as u64));
        let value = value.unwrap_or(0);
        // A u64 above i64::MAX is large, not negative.
        let value =
            if layout.kind.signed() { value as i64 } else { value.min(i64::MAX as u64) as i64 };
        *lane = element.saturate(value);
    }
    Ok(())
}

/// `RMT_VECTOR_ST_CTXT`: the ring = the lanes of a cut to its type, lane 0 = newest.
pub(super) fn store_history(
    t: &mut Thread,
    state: &mut State,
    field: FieldRef,
    a: Vector,
) -> Result<(), Status> {
    let (store, layout, record) = field_to_write(t, state, field, true)?;
    let lanes = t.operand(a)?.lanes();
    if layout.ring.is_none_or(|depth| lanes.len() > depth) {
        return Err(Status::OutOfRange);
    }
    if let Some(record) = record {
        let values = lanes.iter().map(|&lane| i64::from(lane) as u64);
        store.replace_history(record, layout, values);
    }
    Ok(())
}

/// `RMT_VECTOR_LD`: d = row a of the tensor; zeros when there is no such row.
pub(super) fn load_tensor(
    t: &mut Thread,
    state: &State,
    d: Vector,
    a: Scalar,
    tensor: TensorId,
) -> Result<(), Status> {
    let tensor = state.models.tensors().get(tensor.index()).ok_or(Status::OutOfRange)?;
    let [rows, columns] = tensor.shape[..] else { return Err(Status::OutOfRange) };
    let (row, columns) = (t.scalar(a), columns as usize);
    let vector = &mut t.vectors[d.index()];
    vector.shape(tensor.element, columns)?;
    if row < u64::from(rows) {
        let start = row as usize * columns;
        vector.lanes_mut().copy_from_slice(&tensor.values[start..start + columns]);
    } else {
        vector.lanes_mut().fill(0);
    }
    Ok(())
}

/// `RMT_VECTOR_SET`: d[lane] = sat(a), a signed.
pub(super) fn set_lane(t: &mut Thread, d: Vector, lane: Lane, a: Scalar) -> Result<(), Status> {
    let value = t.scalar(a) as i64;
    let vector = &mut t.vectors[d.index()];
    let element = vector.element();
    let place = vector.lanes_mut().get_mut(lane.index()).ok_or(Status::OutOfRange)?;
    *place = element.saturate(value);
    Ok(())
}

/// `RMT_SCALAR_VAL`: d = a[lane].
pub(super) fn get_lane(t: &mut Thread, d: Scalar, a: Vector, lane: Lane) -> Result<(), Status> {
    let value = *t.operand(a)?.lanes().get(lane.index()).ok_or(Status::OutOfRange)?;
    t.set(d, i64::from(value) as u64);
    Ok(())
}

/// `RMT_SCALAR_VAL_AT`: d = a[b]; 0 when a has no such lane.
pub(super) fn get_lane_at(t: &mut Thread, d: Scalar, a: Vector, b: Scalar) -> Result<(), Status> {
    let lanes = t.operand(a)?.lanes();
    let value = usize::try_from(t.scalar(b)).ok().and_then(|lane| lanes.get(lane));
    t.set(d, i64::from(value.copied().unwrap_or(0)) as u64);
    Ok(())
}

/// Two operands of the same length.
fn operands(
    vectors: &[VectorRegister],
    a: Vector,
    b: Vector,
) -> Result<(&VectorRegister, &VectorRegister), Status> {
    let (a, b) = (operand(vectors, a)?, operand(vectors, b)?);
    if a.lanes().len() == b.lanes().len() { Ok((a, b)) } else { Err(Status::OutOfRange) }
}

/// `RMT_VECTOR_ADD`, `SUB`, `MIN`, `MAX`: d[i] = sat(f(a[i], b[i])), all of one type.
pub(super) fn lanewise(
    t: &mut Thread,
    d: Vector,
    a: Vector,
    b: Vector,
    f: impl Fn(i64, i64) -> i64,
) -> Result<(), Status> {
    let Thread { vectors, scratch, .. } = &mut *t;
    let (x, y) = operands(vectors, a, b)?;
    let (element, count) = (x.element(), x.lanes().len());
    if y.element() != element {
        return Err(Status::OutOfRange);
    }
    for (result, (&x, &y)) in scratch.iter_mut().zip(x.lanes().iter().zip(y.lanes())) {
        *result = element.saturate(f(x.into(), y.into()));
    }
    t.set_from_scratch(d, element, count)
}

/// `RMT_VECTOR_MUL`: d[i] = a[i] * b[i] as i32; a and b are i8 or i16.
pub(super) fn multiply(t: &mut Thread, d: Vector, a: Vector, b: Vector) -> Result<(), Status> {
    let Thread { vectors, scratch, .. } = &mut *t;
    let (x, y) = operands(vectors, a, b)?;
    if x.element() == Element::I32 || y.element() == Element::I32 {
        return Err(Status::OutOfRange);
    }
    let count = x.lanes().len();
    for (result, (&x, &y)) in scratch.iter_mut().zip(x.lanes().iter().zip(y.lanes())) {
        *result = x * y;
    }
    t.set_from_scratch(d, Element::I32, count)
}

/// `RMT_VECTOR_RELU`, `CVT`: d[i] = sat(f(a[i])), of type `element` or else that of a.
pub(super) fn each_lane(
    t: &mut Thread,
    d: Vector,
    a: Vector,
    element: Option<Element>,
    f: impl Fn(i64) -> i64,
) -> Result<(), Status> {
    let Thread { vectors, scratch, .. } = &mut *t;
    let x = operand(vectors, a)?;
    let (element, count) = (element.unwrap_or(x.element()), x.lanes().len());
    for (result, &x) in scratch.iter_mut().zip(x.lanes()) {
        *result = element.saturate(f(x.into()));
    }
    t.set_from_scratch(d, element, count)
}

/// `RMT_VECTOR_SUM`: d = sum of all a[i], 64 bits.
pub(super) fn sum(t: &mut Thread, d: Scalar, a: Vector) -> Result<(), Status> {
    let sum: i64 = t.operand(a)?.lanes().iter().map(|&lane| i64::from(lane)).sum();
    t.set(d, sum as u64);
    Ok(())
}

/// `RMT_ARGMAX`: d = the smallest i with a[i] = max(a).
pub(super) fn arg_max(t: &mut Thread, d: Scalar, a: Vector) -> Result<(), Status> {
    let lanes = t.operand(a)?.lanes();
    let max = lanes.iter().max();
    let place = lanes.iter().position(|lane| Some(lane) == max);
    t.set(d, place.unwrap_or(0) as u64);
    Ok(())
}
