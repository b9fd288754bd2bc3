//! Conditional assignment: `when`, `switch`, and name prefixes.

use crate::bits::Bits;
use crate::domain::Domain;
use crate::error::{ErrorKind, Place};
use crate::ir::{BlockId, Stmt};
use crate::session;
use crate::signal::{Bool, Source, UInt};
use std::panic::Location;

/// What `elsewhen` and `otherwise` are called on.
pub struct When {
    /// The `else` block of the last condition.
    otherwise: Option<BlockId>,
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
    branch(cond.source(None), body, Location::caller())
}

impl When {
    /// Assignments in `body` happen when no condition before was true and `cond` is.
    #[track_caller]
    pub fn elsewhen<D: Domain>(self, cond: impl Source<Bool<D>>, body: impl FnOnce()) -> When {
        let (cond, place) = (cond.source(None), Location::caller());
        let mut inner = When { otherwise: None };
        in_block(self.otherwise, || inner = branch(cond, body, place));
        inner
    }

    /// Assignments in `body` happen when no condition before was true.
    pub fn otherwise(self, body: impl FnOnce()) {
        in_block(self.otherwise, body);
    }
}

fn branch<D: Domain>(cond: Bool<D>, body: impl FnOnce(), place: Place) -> When {
    let blocks = session::with(|s| {
        let cond = s.resolve(cond.raw, place)?;
        let frame = s.stack.last_mut()?;
        let (then, otherwise) = (frame.new_block(), frame.new_block());
        frame.push(Stmt::When { cond, then, otherwise });
        Some((then, otherwise))
    });
    let (then, otherwise) = blocks.flatten().unzip();
    in_block(then, body);
    When { otherwise }
}

/// Runs `body` with its statements going to `block`; without a block (after an error) it still runs, for its effects.
pub(crate) fn in_block(block: Option<BlockId>, body: impl FnOnce()) {
    let opened = block.and_then(|block| {
        session::with(|s| s.stack.last_mut().map(|frame| frame.blocks.push(block))).flatten()
    });
    body();
    if opened.is_some() {
        session::with(|s| s.stack.last_mut().map(|frame| frame.blocks.pop()));
    }
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
        let block = self.at.and_then(|(block, index)| {
            session::with(|s| match s.stack.last()?.module.blocks[block].get(index) {
                Some(Stmt::Switch { default, .. }) => Some(*default),
                _ => None,
            })
            .flatten()
        });
        in_block(block, body);
    }

    fn arm(self, values: &[u64], body: impl FnOnce(), place: Place) -> Switch {
        let width = self.width;
        let block = self.at.and_then(|(block, index)| {
            session::with(|s| {
                let mut keys = Vec::new();
                for &value in values {
                    if width < 64 && value >> width != 0 {
                        let value = value.to_string();
                        s.fail(ErrorKind::ConstantDoesNotFit { value, width, signed: false }, place);
                        return None;
                    }
                    keys.push(Bits::new(width, value));
                }
                let frame = s.stack.last_mut()?;
                let body = frame.new_block();
                let Some(Stmt::Switch { arms, .. }) = frame.module.blocks[block].get_mut(index) else { return None };
                let known: Vec<Bits> = arms.iter().flat_map(|(keys, _)| keys.iter().cloned()).collect();
                if let Some((i, key)) =
                    keys.iter().enumerate().find(|(i, key)| known.contains(key) || keys[..*i].contains(key))
                {
                    let _ = i;
                    let key = key.clone();
                    s.fail(ErrorKind::DuplicateKey { key }, place);
                    return None;
                }
                arms.push((keys, body));
                Some(body)
            })
            .flatten()
        });
        in_block(block, body);
        self
    }
}

/// Prefixes the names that `body` declares: for structure that a loop or a function repeats in one module.
///
/// `scope("lane0", || reg("valid", boolean(), false))` is named `lane0_valid`.
pub fn scope<R>(prefix: impl AsRef<str>, body: impl FnOnce() -> R) -> R {
    let opened =
        session::with(|s| s.stack.last_mut().map(|frame| frame.prefixes.push(prefix.as_ref().to_owned()))).flatten();
    let result = body();
    if opened.is_some() {
        session::with(|s| s.stack.last_mut().map(|frame| frame.prefixes.pop()));
    }
    result
}
