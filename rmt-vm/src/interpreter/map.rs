//! Maps. An operation that the map's kind does not have ends the event with
//! [`Status::OutOfRange`].

use rmt_isa::Status;
use rmt_isa::operand::{MapId, Scalar};

use super::thread::Thread;
use crate::state::{MapStore, State};

fn map(state: &mut State, map: MapId) -> Result<&mut MapStore, Status> {
    state.maps.get_mut(map.index()).ok_or(Status::OutOfRange)
}

/// `map_ld`: d = value of key a, 0 when absent.
pub(super) fn load(
    t: &mut Thread,
    state: &mut State,
    d: Scalar,
    id: MapId,
    a: Scalar,
) -> Result<(), Status> {
    let value = map(state, id)?.load(t.scalar(a));
    t.set(d, value.unwrap_or(0));
    Ok(())
}

/// `map_has`: d = whether key a is there.
pub(super) fn contains(
    t: &mut Thread,
    state: &mut State,
    d: Scalar,
    id: MapId,
    a: Scalar,
) -> Result<(), Status> {
    let there = map(state, id)?.contains(t.scalar(a));
    t.set(d, there.into());
    Ok(())
}

/// `map_st`: value of key a = b; d = whether it was stored.
pub(super) fn store(
    t: &mut Thread,
    state: &mut State,
    d: Scalar,
    id: MapId,
    a: Scalar,
    b: Scalar,
) -> Result<(), Status> {
    let map = map(state, id)?;
    if !map.stores_keys() {
        return Err(Status::OutOfRange);
    }
    let stored = map.store(t.scalar(a), t.scalar(b));
    t.set(d, stored.into());
    Ok(())
}

/// `map_add`: value of key a += b; d = the new value, 0 if there is no room or no such key.
pub(super) fn add(
    t: &mut Thread,
    state: &mut State,
    d: Scalar,
    id: MapId,
    a: Scalar,
    b: Scalar,
) -> Result<(), Status> {
    let map = map(state, id)?;
    if !map.stores_keys() {
        return Err(Status::OutOfRange);
    }
    let sum = map.add(t.scalar(a), t.scalar(b));
    t.set(d, sum.unwrap_or(0));
    Ok(())
}

/// `map_del`: remove key a; d = whether it was there.
pub(super) fn delete(
    t: &mut Thread,
    state: &mut State,
    d: Scalar,
    id: MapId,
    a: Scalar,
) -> Result<(), Status> {
    let map = map(state, id)?;
    if !map.removes_keys() {
        return Err(Status::OutOfRange);
    }
    let removed = map.remove(t.scalar(a));
    t.set(d, removed.into());
    Ok(())
}

/// `map_push`: append a to a ring buffer.
pub(super) fn push(t: &mut Thread, state: &mut State, id: MapId, a: Scalar) -> Result<(), Status> {
    let pushed = map(state, id)?.push(t.scalar(a));
    if pushed { Ok(()) } else { Err(Status::OutOfRange) }
}
