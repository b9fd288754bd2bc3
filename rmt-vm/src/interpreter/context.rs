//! Context records and history rings.
//!
//! A field is named by its store and its number. The field must exist and be of the right
//! form (scalar or ring, writable for writes), else the event ends with
//! [`Status::OutOfRange`]. A store without an open record reads as zero and ignores writes.

use rmt_isa::Status;
use rmt_isa::operand::{ContextId, FieldRef, Scalar};

use super::thread::Thread;
use crate::state::State;
use crate::state::context::{ContextStore, FieldLayout};
use crate::state::sets::Slot;

/// `RMT_MATCH_CTXT`: record = the record of key a, created when absent; d = whether it was there.
pub(super) fn match_record(
    t: &mut Thread,
    state: &mut State,
    d: Scalar,
    context: ContextId,
    a: Scalar,
) -> Result<(), Status> {
    let store = state.contexts.get_mut(context.index()).ok_or(Status::OutOfRange)?;
    let (record, was_there) = store.match_key(t.scalar(a));
    t.open(context.index(), Some(record));
    t.set(d, was_there.into());
    Ok(())
}

/// `RMT_FIND_CTXT`: record = the record of key a, if there; d = whether it is.
pub(super) fn find_record(
    t: &mut Thread,
    state: &State,
    d: Scalar,
    context: ContextId,
    a: Scalar,
) -> Result<(), Status> {
    let store = state.contexts.get(context.index()).ok_or(Status::OutOfRange)?;
    let record = store.find_key(t.scalar(a));
    t.open(context.index(), record);
    t.set(d, record.is_some().into());
    Ok(())
}

/// The store and layout of a field that is a ring exactly if `ring`.
fn field(
    state: &State,
    name: FieldRef,
    ring: bool,
) -> Result<(&ContextStore, FieldLayout), Status> {
    let store = state.contexts.get(name.context.index()).ok_or(Status::OutOfRange)?;
    let layout = store.field(name.field).ok_or(Status::OutOfRange)?;
    if layout.ring.is_some() == ring { Ok((store, layout)) } else { Err(Status::OutOfRange) }
}

/// The store, layout and open record to read a ring; no record when none is open.
pub(super) fn ring_to_read<'a>(
    t: &Thread,
    state: &'a State,
    name: FieldRef,
) -> Result<(&'a ContextStore, FieldLayout, Option<Slot>), Status> {
    let (store, layout) = field(state, name, true)?;
    Ok((store, layout, t.record(name.context.index())))
}

/// The layout of a field that may be written, and the open record if there is one.
pub(super) fn field_to_write<'a>(
    t: &Thread,
    state: &'a mut State,
    name: FieldRef,
    ring: bool,
) -> Result<(&'a mut ContextStore, FieldLayout, Option<Slot>), Status> {
    let (_, layout) = field(state, name, ring)?;
    if !layout.writable {
        return Err(Status::OutOfRange);
    }
    let store = &mut state.contexts[name.context.index()];
    Ok((store, layout, t.record(name.context.index())))
}

/// `RMT_LD_CTXT`: d = record.field.
pub(super) fn load(t: &mut Thread, state: &State, d: Scalar, name: FieldRef) -> Result<(), Status> {
    let (store, layout) = field(state, name, false)?;
    let record = t.record(name.context.index());
    t.set(d, record.map_or(0, |record| store.load(record, layout)));
    Ok(())
}

/// `RMT_ST_CTXT`: record.field = a cut to the field's type.
pub(super) fn store(
    t: &mut Thread,
    state: &mut State,
    name: FieldRef,
    a: Scalar,
) -> Result<(), Status> {
    let (store, layout, record) = field_to_write(t, state, name, false)?;
    if let Some(record) = record {
        store.store(record, layout, t.scalar(a));
    }
    Ok(())
}

/// `RMT_PUSH_CTXT`: push a into the ring; the oldest value leaves a full one.
pub(super) fn push(
    t: &mut Thread,
    state: &mut State,
    name: FieldRef,
    a: Scalar,
) -> Result<(), Status> {
    let (store, layout, record) = field_to_write(t, state, name, true)?;
    if let Some(record) = record {
        store.push(record, layout, t.scalar(a));
    }
    Ok(())
}

/// `RMT_LD_HISTI`: d = value imm of the ring, 0 = newest; 0 when absent. The ring must be
/// deep enough to have such a value.
pub(super) fn load_history_at(
    t: &mut Thread,
    state: &State,
    d: Scalar,
    name: FieldRef,
    imm: i32,
) -> Result<(), Status> {
    let (_, layout, _) = ring_to_read(t, state, name)?;
    let index = usize::try_from(imm).map_err(|_| Status::OutOfRange)?;
    if layout.ring.is_none_or(|depth| index >= depth) {
        return Err(Status::OutOfRange);
    }
    load_history(t, state, d, name, index as u64)
}

/// `RMT_LD_HIST`: d = value `index` of the ring, 0 = newest; 0 when absent.
pub(super) fn load_history(
    t: &mut Thread,
    state: &State,
    d: Scalar,
    name: FieldRef,
    index: u64,
) -> Result<(), Status> {
    let (store, layout, record) = ring_to_read(t, state, name)?;
    let value = record.and_then(|record| store.history(record, layout, index));
    t.set(d, value.unwrap_or(0));
    Ok(())
}

/// `RMT_HIST_LEN`: d = number of values in the ring.
pub(super) fn history_length(
    t: &mut Thread,
    state: &State,
    d: Scalar,
    name: FieldRef,
) -> Result<(), Status> {
    let (store, layout, record) = ring_to_read(t, state, name)?;
    t.set(d, record.map_or(0, |record| store.history_length(record, layout) as u64));
    Ok(())
}
