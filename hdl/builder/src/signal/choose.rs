//! Choosing between signals and joining them.

use super::{Bool, Source, UInt, raw};
use crate::bits::Bits;
use crate::bundle::{self, Bundle};
use crate::domain::Domain;
use crate::error::ErrorKind;
use crate::session::{self, Raw};
use std::panic::Location;

/// `yes` if `cond`, else `no`. Works on single signals and, field by field, on bundles.
#[track_caller]
pub fn mux<T: Bundle, D: Domain, Y: Source<T>, N: Source<T>>(
    cond: impl Source<Bool<D>>,
    yes: Y,
    no: N,
) -> T {
    let place = Location::caller();
    let (yes, no) = if N::ADAPTS {
        let yes = yes.source(None);
        let no = no.source(Some(&yes));
        (yes, no)
    } else {
        let no = no.source(None);
        (yes.source(Some(&no)), no)
    };
    let cond = cond.source(None);
    bundle::zip("multiplexer", &yes, &no, place, |leaf, other| {
        let joined = raw::mux(cond.raw, leaf.raw, other.raw, leaf.signed, place);
        if leaf.boolean { raw::boolean(joined) } else { joined }
    })
}

/// Joins signals, the first one at the most significant end.
#[track_caller]
pub fn cat<D: Domain, S: Source<UInt<D>> + Clone>(parts: &[S]) -> UInt<D> {
    let raws: Vec<Raw> = parts.iter().map(|part| part.clone().source(None).raw).collect();
    UInt::from_raw(raw::concat(&raws, Location::caller()))
}

/// Element `index` of `elements`; indices beyond the end give the last element.
///
/// The index must be wide enough to reach every element.
#[track_caller]
pub fn select<T: Bundle, D: Domain, S: Source<T> + Clone>(
    index: impl Source<UInt<D>>,
    elements: &[S],
) -> T {
    let place = Location::caller();
    let values: Vec<T> = elements.iter().map(|element| element.clone().source(None)).collect();
    let index = index.source(None);
    let keyed: Vec<(u64, T)> =
        values.iter().cloned().enumerate().map(|(i, value)| (i as u64, value)).collect();
    match keyed.split_last() {
        Some((last, rest)) => lookup_at(index, rest, last.1.clone(), place),
        None => choice_of_nothing("`select`", place),
    }
}

/// The value whose key equals `key`, else `default`. Prints as a `case`.
#[track_caller]
pub fn lookup<T: Bundle, D: Domain>(
    key: impl Source<UInt<D>>,
    arms: &[(u64, T)],
    default: impl Source<T>,
) -> T {
    let like = arms.first().map(|(_, value)| value);
    lookup_at(key.source(None), arms, default.source(like), Location::caller())
}

fn lookup_at<T: Bundle, D: Domain>(
    key: UInt<D>,
    arms: &[(u64, T)],
    default: T,
    place: crate::error::Place,
) -> T {
    let width = key.width();
    let mut keys: Vec<u64> = Vec::with_capacity(arms.len());
    for (value, _) in arms {
        if width < 64 && value >> width != 0 {
            let kind =
                ErrorKind::ConstantDoesNotFit { value: value.to_string(), width, signed: false };
            session::fail(kind, place);
            return default;
        }
        keys.push(*value);
    }
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        session::fail(ErrorKind::DuplicateKey { key: Bits::new(width, twice[0]) }, place);
        return default;
    }
    if arms.is_empty() {
        return default;
    }
    let columns: Vec<Vec<bundle::Leaf>> =
        arms.iter().map(|(_, value)| bundle::leaves(value)).collect();
    let count = bundle::leaves(&default).len();
    if let Some(odd) = columns.iter().find(|column| column.len() != count) {
        let what = "lookup".to_owned();
        session::fail(ErrorKind::ShapeMismatch { what, expected: count, found: odd.len() }, place);
        return default;
    }
    let mut position = 0;
    bundle::map(&default, &mut |leaf| {
        let values: Vec<(Bits, Raw)> = (arms.iter().zip(&columns))
            .map(|((key, _), column)| (Bits::new(width, *key), column[position].raw))
            .collect();
        position += 1;
        let joined = raw::lookup(key.raw, &values, leaf.raw, leaf.signed, place);
        leaf.with(if leaf.boolean { raw::boolean(joined) } else { joined })
    })
}

/// The value of the first condition that is true, else `default`.
#[track_caller]
pub fn priority_mux<T: Bundle, D: Domain>(choices: &[(Bool<D>, T)], default: impl Source<T>) -> T {
    let like = choices.first().map(|(_, value)| value);
    let mut result = default.source(like);
    for (cond, value) in choices.iter().rev() {
        result = mux(*cond, value.clone(), result);
    }
    result
}

/// The value whose condition is true, as an AND-OR: at most one condition may be true; all zeros if none is.
#[track_caller]
pub fn one_hot_mux<T: Bundle, D: Domain>(choices: &[(Bool<D>, T)]) -> T {
    let place = Location::caller();
    let Some((_, first)) = choices.first() else {
        return choice_of_nothing("`one_hot_mux`", place);
    };
    let columns: Vec<Vec<bundle::Leaf>> =
        choices.iter().map(|(_, value)| bundle::leaves(value)).collect();
    let count = columns[0].len();
    if let Some(odd) = columns.iter().find(|column| column.len() != count) {
        let what = "`one_hot_mux`".to_owned();
        session::fail(ErrorKind::ShapeMismatch { what, expected: count, found: odd.len() }, place);
        return first.clone();
    }
    let mut position = 0;
    bundle::map(first, &mut |leaf| {
        let mut sum: Option<Raw> = None;
        for ((cond, _), column) in choices.iter().zip(&columns) {
            let zero = session::constant(Bits::zero(leaf.raw.width), leaf.signed, place);
            let gated = raw::mux(cond.raw, column[position].raw, zero, leaf.signed, place);
            sum = Some(match sum {
                None => gated,
                Some(sum) => raw::bitwise(crate::ir::BinaryOp::Or, sum, gated, leaf.signed, place),
            });
        }
        position += 1;
        let joined = sum.unwrap_or(leaf.raw);
        leaf.with(if leaf.boolean { raw::boolean(joined) } else { joined })
    })
}

/// There is no value to return that would have a shape, and library code does not panic: a bundle without leaves cannot be
/// made up for any `T`, so the choice is recorded as the error and construction ends here.
fn choice_of_nothing<T: Bundle>(what: &'static str, place: crate::error::Place) -> T {
    session::fail(ErrorKind::EmptyChoice { what }, place);
    T::poison()
}
