//! Conditional assignment: `when`, `switch`, and name prefixes.

use crate::bits::Bits;
use crate::domain::Domain;
use crate::error::{ErrorKind, Place};
use crate::ir::{BlockId, Stmt};
use crate::session::{self, Guard};
use crate::signal::{Bool, Source, UInt};
use std::panic::Location;

/// What `elsewhen` and `otherwise` are called on.
pub struct When {
    /// The `else` block of the last condition; none after an error.
    otherwise: Option<BlockId>,
    /// The conditions so far, all false in that block.
    before: Vec<Guard>,
}

/// Assignments in `body` happen when `cond` is true.
///
/// ```
/// use rtl_builder::prelude::*;
/// # #[derive(Clone, Ports)] struct Io { up: Input<Bool>, clear: Input<Bool>, n: Output<UInt> }
/// # struct Count;
/// # impl Component for Count {
/// #     type Io = Io;
/// #     fn name(&self) -> String { "count".into() }
/// #     fn io(&self) -> Io { Io { up: input(boolean()), clear: input(boolean()), n: output(uint(4)) } }
/// #     fn build(&self, io: Io) {
/// let n = reg("n_reg", uint(4), 0);
/// when(io.clear, || n.next(0))
///     .elsewhen(io.up, || n.next(n.wrapping_add(1)));
/// io.n.set(n);
/// #     }
/// # }
/// # elaborate(Count)?;
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn when<D: Domain>(cond: impl Source<Bool<D>>, body: impl FnOnce()) -> When {
    branch(cond.source(None), body, Vec::new(), Location::caller())
}

impl When {
    /// Assignments in `body` happen when no condition before was true and `cond` is.
    #[track_caller]
    pub fn elsewhen<D: Domain>(self, cond: impl Source<Bool<D>>, body: impl FnOnce()) -> When {
        let (cond, place) = (cond.source(None), Location::caller());
        let mut inner = When { otherwise: None, before: Vec::new() };
        let before = self.before.clone();
        in_block(self.otherwise, self.before, || inner = branch(cond, body, before, place));
        inner
    }

    /// Assignments in `body` happen when no condition before was true.
    pub fn otherwise(self, body: impl FnOnce()) {
        in_block(self.otherwise, self.before, body);
    }
}

fn branch<D: Domain>(
    cond: Bool<D>,
    body: impl FnOnce(),
    mut before: Vec<Guard>,
    place: Place,
) -> When {
    let blocks = session::with(|s| {
        let cond = s.resolve(cond.raw, place)?;
        let frame = s.stack.last_mut()?;
        let (then, otherwise) = (frame.new_block(), frame.new_block());
        frame.push(Stmt::When { cond, then, otherwise });
        Some((cond, then, otherwise))
    });
    let Some((cond, then, otherwise)) = blocks.flatten() else {
        body();
        return When { otherwise: None, before };
    };
    in_block(Some(then), vec![Guard::Cond { cond, holds: true }], body);
    before.push(Guard::Cond { cond, holds: false });
    When { otherwise: Some(otherwise), before }
}

/// Runs `body` with its statements going to `block`; without a block (after an error) it still runs, for its effects.
fn in_block(block: Option<BlockId>, guards: Vec<Guard>, body: impl FnOnce()) {
    let added = guards.len();
    let opened = block.and_then(|block| {
        session::with(|s| {
            let frame = s.stack.last_mut()?;
            frame.blocks.push(block);
            frame.guards.extend(guards);
            Some(())
        })
        .flatten()
    });
    body();
    if opened.is_some() {
        session::with(|s| {
            let frame = s.stack.last_mut()?;
            frame.blocks.pop();
            frame.guards.truncate(frame.guards.len() - added);
            Some(())
        });
    }
}

/// `enable` and all conditions of the open `when`s and `switch`es: for memory ports, which are no assignments.
#[track_caller]
pub(crate) fn guarded<D: Domain>(enable: Bool<D>) -> Bool<D> {
    let place = Location::caller();
    let guards = session::with(|s| {
        let frame = s.stack.last()?;
        let raw = |node| frame.raw(s.id, node);
        Some(
            frame
                .guards
                .iter()
                .map(|guard| match guard {
                    Guard::Cond { cond, holds } => (raw(*cond), Vec::new(), *holds),
                    Guard::Key { key, values, holds } => (raw(*key), values.clone(), *holds),
                })
                .collect::<Vec<_>>(),
        )
    });
    guards.flatten().unwrap_or_default().into_iter().fold(enable, |all, (signal, values, holds)| {
        let one = if values.is_empty() {
            Bool::from_raw(signal)
        } else {
            let key = UInt::<D>::from_raw(signal);
            let is_one = values.iter().map(|value| {
                key.eq(UInt::from_raw(session::constant(value.clone(), false, place)))
            });
            is_one.reduce(|a, b| a | b).unwrap_or_else(|| Bool::lit(true))
        };
        if holds { all & one } else { all & !one }
    })
}

/// A `case` under construction.
pub struct Switch {
    /// Index of the statement's block and position, absent after an error.
    at: Option<(BlockId, usize)>,
    width: u32,
}

/// Chooses assignments by the value of `key`; without a match, and without `default`, nothing is assigned.
///
/// ```
/// use rtl_builder::prelude::*;
/// # #[derive(Clone, Ports)] struct Io { op: Input<UInt>, a: Input<UInt>, b: Input<UInt>, y: Output<UInt> }
/// # struct Alu;
/// # impl Component for Alu {
/// #     type Io = Io;
/// #     fn name(&self) -> String { "alu".into() }
/// #     fn io(&self) -> Io {
/// #         Io { op: input(uint(2)), a: input(uint(8)), b: input(uint(8)), y: output(uint(8)) }
/// #     }
/// #     fn build(&self, io: Io) {
/// switch(io.op)
///     .is(0, || io.y.set(io.a.wrapping_add(io.b)))
///     .is(1, || io.y.set(io.a & io.b))
///     .any_of(&[2, 3], || io.y.set(io.a));
/// #     }
/// # }
/// # elaborate(Alu)?;
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn switch<D: Domain>(key: impl Source<UInt<D>>) -> Switch {
    let (key, place) = (key.source(None), Location::caller());
    let at = session::with(|s| {
        let key = s.resolve(key.raw, place)?;
        let frame = s.stack.last_mut()?;
        let default = frame.new_block();
        frame.push(Stmt::Switch { key, arms: Vec::new(), default });
        let block = frame.blocks.last().copied().unwrap_or(0);
        Some((block, frame.module.blocks[block].len() - 1))
    });
    Switch { at: at.flatten(), width: key.width() }
}

impl Switch {
    /// Assignments in `body` happen when the key is `value`.
    #[track_caller]
    pub fn is(self, value: u64, body: impl FnOnce()) -> Switch {
        self.arm(&[value], body, Location::caller())
    }

    /// Assignments in `body` happen when the key is one of `values`.
    #[track_caller]
    pub fn any_of(self, values: &[u64], body: impl FnOnce()) -> Switch {
        self.arm(values, body, Location::caller())
    }

    /// Assignments in `body` happen when no arm before matched.
    pub fn default(self, body: impl FnOnce()) {
        let found = self.at.and_then(|(block, index)| {
            session::with(|s| match s.stack.last()?.module.blocks[block].get(index) {
                Some(Stmt::Switch { key, default, arms }) => {
                    let values: Vec<Bits> =
                        arms.iter().flat_map(|(keys, _)| keys.iter().cloned()).collect();
                    // Without arms the default always applies.
                    let guard = (!values.is_empty()).then_some(Guard::Key {
                        key: *key,
                        values,
                        holds: false,
                    });
                    Some((*default, guard))
                }
                _ => None,
            })
            .flatten()
        });
        let (block, guard) = found.unzip();
        in_block(block, guard.flatten().into_iter().collect(), body);
    }

    fn arm(self, values: &[u64], body: impl FnOnce(), place: Place) -> Switch {
        let width = self.width;
        let block = self.at.and_then(|(block, index)| {
            session::with(|s| {
                let mut keys = Vec::new();
                for &value in values {
                    if width < 64 && value >> width != 0 {
                        let value = value.to_string();
                        s.fail(
                            ErrorKind::ConstantDoesNotFit { value, width, signed: false },
                            place,
                        );
                        return None;
                    }
                    keys.push(Bits::new(width, value));
                }
                let frame = s.stack.last_mut()?;
                let body = frame.new_block();
                let Some(Stmt::Switch { key, arms, .. }) =
                    frame.module.blocks[block].get_mut(index)
                else {
                    return None;
                };
                let known = |value: &Bits| arms.iter().any(|(keys, _)| keys.contains(value));
                let twice =
                    (0..keys.len()).find(|&i| known(&keys[i]) || keys[..i].contains(&keys[i]));
                if let Some(i) = twice {
                    s.fail(ErrorKind::DuplicateKey { key: keys[i].clone() }, place);
                    return None;
                }
                arms.push((keys.clone(), body));
                Some((body, Guard::Key { key: *key, values: keys, holds: true }))
            })
            .flatten()
        });
        let (block, guard) = block.unzip();
        in_block(block, guard.into_iter().collect(), body);
        self
    }
}

/// Prefixes the names that `body` declares: for structure that a loop or a function repeats in one module.
///
/// `scope("lane0", || reg("valid", boolean(), false))` is named `lane0_valid`.
pub fn scope<R>(prefix: impl AsRef<str>, body: impl FnOnce() -> R) -> R {
    let opened = session::with(|s| {
        s.stack.last_mut().map(|frame| frame.prefixes.push(prefix.as_ref().to_owned()))
    })
    .flatten();
    let result = body();
    if opened.is_some() {
        session::with(|s| s.stack.last_mut().map(|frame| frame.prefixes.pop()));
    }
    result
}
