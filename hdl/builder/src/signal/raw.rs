//! Operations on untyped handles, shared by the typed ones: widths, checks and the simplifications that keep the Verilog readable.

use crate::bits::Bits;
use crate::error::{ErrorKind, Place};
use crate::ir::{BinaryOp, Kind, NodeId, UnaryOp};
use crate::session::{self, Raw};

/// An integer literal of `width` bits, or of as few as hold it.
pub(crate) fn literal(value: i128, width: Option<u32>, signed: bool, place: Place) -> Raw {
    let magnitude = 128 - if value < 0 { !value } else { value }.leading_zeros();
    let needed = if signed { magnitude + 1 } else { magnitude.max(1) };
    let width = width.unwrap_or(needed);
    if needed > width || (!signed && value < 0) {
        let kind = ErrorKind::ConstantDoesNotFit { value: value.to_string(), width, signed };
        session::fail(kind, place);
        return Raw::poison(width);
    }
    session::constant(Bits::from_i128(width, value), signed, place)
}

pub(crate) fn unary(op: UnaryOp, a: Raw, width: u32, signed: bool, place: Place) -> Raw {
    session::operation(place, &format!("{op:?}"), u64::from(width), signed, &[a], |ids| {
        Kind::Unary(op, ids[0])
    })
}

pub(crate) fn binary(op: BinaryOp, a: Raw, b: Raw, width: u32, signed: bool, place: Place) -> Raw {
    session::operation(place, &format!("{op:?}"), u64::from(width), signed, &[a, b], |ids| {
        Kind::Binary(op, ids[0], ids[1])
    })
}

/// Bitwise operations need equal widths.
pub(crate) fn bitwise(op: BinaryOp, a: Raw, b: Raw, signed: bool, place: Place) -> Raw {
    if !same_width(&format!("{op:?}"), a, b, place) {
        return Raw::poison(a.width);
    }
    binary(op, a, b, a.width, signed, place)
}

/// Comparisons widen the narrower operand; the result has one bit.
pub(crate) fn compare(op: BinaryOp, a: Raw, b: Raw, signed: bool, place: Place) -> Raw {
    let width = a.width.max(b.width);
    let (a, b) = (extend(a, width, signed, place), extend(b, width, signed, place));
    if let Some(value) = trivial_comparison(op, a, b, signed) {
        return session::constant(Bits::new(1, u64::from(value)), false, place);
    }
    binary(op, a, b, 1, false, place)
}

/// Comparisons with the end of the range, which are always true or always false; linters object to them.
fn trivial_comparison(op: BinaryOp, a: Raw, b: Raw, signed: bool) -> Option<bool> {
    let lowest = |value: &Bits| {
        if signed {
            value.slice(0, value.width() - 1).is_zero() && value.bit(value.width() - 1)
        } else {
            value.is_zero()
        }
    };
    let highest = |value: &Bits| {
        if signed {
            value.slice(0, value.width() - 1).is_ones() && !value.bit(value.width() - 1)
        } else {
            value.is_ones()
        }
    };
    let (a, b) = (session::constant_of(a), session::constant_of(b));
    match (op, a, b) {
        (BinaryOp::Lt, Some(a), None) if highest(&a) => Some(false),
        (BinaryOp::Lt, None, Some(b)) if lowest(&b) => Some(false),
        (BinaryOp::Le, Some(a), None) if lowest(&a) => Some(true),
        (BinaryOp::Le, None, Some(b)) if highest(&b) => Some(true),
        _ => None,
    }
}

/// Reports a difference in width.
pub(crate) fn same_width(what: &str, a: Raw, b: Raw, place: Place) -> bool {
    if a.width != b.width {
        let what = what.to_owned();
        session::fail(ErrorKind::WidthMismatch { what, expected: a.width, found: b.width }, place);
    }
    a.width == b.width
}

/// Extends by sign or zeros; the width may not shrink.
pub(crate) fn extend(a: Raw, width: u32, signed: bool, place: Place) -> Raw {
    if width == a.width {
        return a;
    }
    if width < a.width {
        let what = "extension (the result is narrower than the operand)".to_owned();
        session::fail(ErrorKind::WidthMismatch { what, expected: a.width, found: width }, place);
        return Raw::poison(width);
    }
    unary(UnaryOp::Extend, a, width, signed, place)
}

/// `count` bits from `low` on, read with the sign given.
pub(crate) fn slice(a: Raw, low: u32, count: u32, signed: bool, place: Place) -> Raw {
    if count == 0 {
        session::fail(
            ErrorKind::InvalidWidth { what: "selection of bits".into(), width: 0 },
            place,
        );
        return Raw::poison(1);
    }
    if u64::from(low) + u64::from(count) > u64::from(a.width) {
        session::fail(ErrorKind::SliceOutOfRange { low, count, width: a.width }, place);
        return Raw::poison(count);
    }
    if let Some(simpler) = simplify_slice(a, low, count, signed, place) {
        return simpler;
    }
    session::operation(place, "selection of bits", u64::from(count), signed, &[a], |ids| {
        Kind::Slice { of: ids[0], low }
    })
}

/// Low bits of a sum are a narrower sum, a part of a part is a part: fewer unused bits and fewer names in the output.
fn simplify_slice(a: Raw, low: u32, count: u32, signed: bool, place: Place) -> Option<Raw> {
    let node = session::with(|s| {
        let frame = s.stack.last()?;
        let node = s.node(a)?.clone();
        let unnamed = node.name.is_none();
        let operand = match node.kind {
            Kind::Slice { of, .. } | Kind::Unary(_, of) => Some(frame.raw(s.id, of)),
            _ => None,
        };
        unnamed.then_some((node, operand))
    });
    let (node, operand) = node.flatten()?;
    if low == 0 && count == a.width && node.signed == signed {
        return Some(a);
    }
    match (node.kind, operand) {
        (Kind::Slice { low: inner, .. }, Some(of)) => {
            Some(slice(of, inner + low, count, signed, place))
        }
        (Kind::Unary(UnaryOp::Cast, _), Some(of)) => Some(slice(of, low, count, signed, place)),
        (Kind::Unary(UnaryOp::Extend, _), Some(of)) if low + count <= of.width => {
            Some(slice(of, low, count, signed, place))
        }
        (Kind::Binary(op @ (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul), x, y), _)
            if low == 0 =>
        {
            let raws = session::with(|s| {
                let frame = s.stack.last()?;
                Some((frame.raw(s.id, x), frame.raw(s.id, y)))
            });
            let (x, y) = raws.flatten()?;
            Some(binary(op, x, y, count, signed, place))
        }
        _ => None,
    }
}

/// The same bits with another sign.
pub(crate) fn cast(a: Raw, signed: bool, place: Place) -> Raw {
    unary(UnaryOp::Cast, a, a.width, signed, place)
}

pub(crate) fn mux(cond: Raw, yes: Raw, no: Raw, signed: bool, place: Place) -> Raw {
    if !same_width("multiplexer", yes, no, place) {
        return Raw::poison(yes.width);
    }
    match session::constant_of(cond) {
        Some(value) if value.is_zero() => no,
        Some(_) => yes,
        None => {
            let width = u64::from(yes.width);
            session::operation(place, "multiplexer", width, signed, &[cond, yes, no], |ids| {
                Kind::Mux { cond: ids[0], yes: ids[1], no: ids[2] }
            })
        }
    }
}

/// Joins signals, the most significant first; nested joins are flattened.
pub(crate) fn concat(parts: &[Raw], place: Place) -> Raw {
    let Some(&first) = parts.first() else {
        session::fail(ErrorKind::EmptyChoice { what: "concatenation" }, place);
        return Raw::poison(1);
    };
    let joined = join_neighbours(parts, place);
    let parts = joined.as_slice();
    if parts.len() == 1 && parts[0].width > first.width {
        return cast(parts[0], false, place);
    }
    let width = parts.iter().map(|part| u64::from(part.width)).sum();
    session::operation(place, "concatenation", width, false, parts, |ids| {
        Kind::Concat(ids.to_vec())
    })
}

/// Takes selections that lie side by side in one signal together.
fn join_neighbours(parts: &[Raw], place: Place) -> Vec<Raw> {
    let selection = |raw: Raw| {
        session::with(|s| match s.node(raw)? {
            node if node.name.is_some() => None,
            node => match node.kind {
                Kind::Slice { of, low } => Some((s.stack.last()?.raw(s.id, of), low)),
                _ => None,
            },
        })
        .flatten()
    };
    let mut joined: Vec<Raw> = Vec::with_capacity(parts.len());
    // The signal, lowest bit and width of the run that ends the list.
    let mut run: Option<(Raw, u32, u32)> = None;
    for &part in parts {
        let found = selection(part);
        match (run, found) {
            (Some((of, low, width)), Some((same, next)))
                if of == same && next + part.width == low =>
            {
                joined.pop();
                joined.push(slice(of, next, width + part.width, false, place));
                run = Some((of, next, width + part.width));
            }
            _ => {
                joined.push(part);
                run = found.map(|(of, low)| (of, low, part.width));
            }
        }
    }
    joined
}

/// `arms` by key, else `default`; all values of one width.
pub(crate) fn lookup(
    key: Raw,
    arms: &[(Bits, Raw)],
    default: Raw,
    signed: bool,
    place: Place,
) -> Raw {
    for (_, value) in arms {
        if !same_width("lookup", default, *value, place) {
            return Raw::poison(default.width);
        }
    }
    let mut raws = vec![key, default];
    raws.extend(arms.iter().map(|(_, value)| *value));
    let width = u64::from(default.width);
    session::operation(place, "lookup", width, signed, &raws, |ids: &[NodeId]| Kind::Lookup {
        key: ids[0],
        default: ids[1],
        arms: arms.iter().zip(&ids[2..]).map(|((key, _), &id)| (key.clone(), id)).collect(),
    })
}

/// Names the value, so that it keeps the name in the Verilog.
pub(crate) fn named(a: Raw, name: &str, place: Place) -> Raw {
    let renamed = session::with(|s| {
        let id = s.resolve(a, place)?;
        let name = s.claim_name(name, place)?;
        let frame = s.stack.last_mut()?;
        let node = &mut frame.module.nodes[id as usize];
        if node.name.is_some() || matches!(node.kind, Kind::Const(_)) || node.kind.is_net() {
            return Some((node.signed, Some(name)));
        }
        node.name = Some(name);
        Some((false, None))
    });
    match renamed.flatten() {
        Some((signed, Some(name))) => {
            // A second name for one value: a cast to the same sign carries it.
            let copy = cast_forced(a, signed, place);
            session::with(|s| {
                let id = s.resolve(copy, place)?;
                s.stack.last_mut()?.module.nodes[id as usize].name = Some(name);
                Some(())
            });
            copy
        }
        _ => a,
    }
}

fn cast_forced(a: Raw, signed: bool, place: Place) -> Raw {
    session::with(|s| {
        let id = s.resolve(a, place)?;
        let mut node = s.node(a)?.clone();
        node.kind = Kind::Unary(UnaryOp::Cast, id);
        node.signed = signed;
        node.name = None;
        node.doc = String::new();
        node.place = place;
        s.add(node)
    })
    .flatten()
    .unwrap_or(Raw::poison(a.width))
}

/// A comment for the declaration in the Verilog.
pub(crate) fn doc(a: Raw, text: &str, place: Place) {
    session::with(|s| {
        let id = s.resolve(a, place)?;
        s.stack.last_mut()?.module.nodes[id as usize].doc = text.to_owned();
        Some(())
    });
}

/// Marks a one-bit result as a condition, which prints with logical operators.
pub(crate) fn boolean(a: Raw) -> Raw {
    session::with(|s| {
        let place = s.node(a)?.place;
        let id = s.resolve(a, place)?;
        s.stack.last_mut()?.module.nodes[id as usize].boolean = true;
        Some(())
    });
    a
}

/// AND or OR of conditions; constants disappear.
pub(crate) fn condition(op: BinaryOp, a: Raw, b: Raw, place: Place) -> Raw {
    let absorbing = u64::from(op == BinaryOp::Or);
    for (constant, other) in [(a, b), (b, a)] {
        if let Some(value) = session::constant_of(constant) {
            return if value.to_u64() == absorbing { constant } else { other };
        }
    }
    boolean(bitwise(op, a, b, false, place))
}
