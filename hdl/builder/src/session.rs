//! The design under construction, one for each thread: signal handles reach it through here.
//!
//! A stack of frames mirrors the nesting of components under construction. The first error is kept; from then on
//! operations return poison and construction runs to its end, so that no operator needs to panic or return a `Result`.

use crate::bits::Bits;
use crate::domain::DomainInfo;
use crate::error::{Error, ErrorKind, Place, domain_name};
use crate::ir::{BlockId, Kind, Module, Node, NodeId, Stmt};
use crate::{arith, names};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// Widest signal that is accepted.
pub(crate) const MAX_WIDTH: u32 = 65_536;

const POISON: NodeId = NodeId::MAX;
const SHAPE: NodeId = NodeId::MAX - 1;

/// The untyped part of every signal handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Raw {
    session: u32,
    frame: u32,
    node: NodeId,
    pub width: u32,
}

impl Raw {
    /// A width without a value.
    pub(crate) fn shape(width: u32) -> Self {
        Self { session: 0, frame: 0, node: SHAPE, width }
    }

    /// What operations return after an error.
    pub(crate) fn poison(width: u32) -> Self {
        Self { session: 0, frame: 0, node: POISON, width: width.clamp(1, MAX_WIDTH) }
    }
}

/// A part of the condition under which the statements of a block happen.
#[derive(Clone)]
pub(crate) enum Guard {
    /// The condition of a `when`, or its opposite.
    Cond { cond: NodeId, holds: bool },
    /// The key of a `switch` is one of some values, or none of them.
    Key { key: NodeId, values: Vec<Bits>, holds: bool },
}

impl Guard {
    fn node(&self) -> NodeId {
        match self {
            Self::Cond { cond, .. } => *cond,
            Self::Key { key, .. } => *key,
        }
    }
}

/// The component under construction.
pub(crate) struct Frame {
    pub id: u32,
    pub module: Module,
    /// Blocks of the open `when`s; the last one receives statements.
    pub blocks: Vec<BlockId>,
    /// What must hold for the last block's statements to happen.
    pub guards: Vec<Guard>,
    /// Prefixes of the open `scope`s.
    pub prefixes: Vec<String>,
    pub names: HashMap<String, Place>,
}

impl Frame {
    pub(crate) fn push(&mut self, stmt: Stmt) {
        let block = self.blocks.last().copied().unwrap_or(0);
        self.module.blocks[block].push(stmt);
    }

    pub(crate) fn new_block(&mut self) -> BlockId {
        self.module.blocks.push(Vec::new());
        self.module.blocks.len() - 1
    }

    pub(crate) fn raw(&self, session: u32, node: NodeId) -> Raw {
        Raw { session, frame: self.id, node, width: self.module.node(node).width }
    }
}

/// One elaboration.
pub(crate) struct Session {
    pub id: u32,
    /// Finished modules, children before parents.
    pub modules: Vec<Module>,
    pub by_name: HashMap<String, usize>,
    pub stack: Vec<Frame>,
    /// Names of all frames ever opened, for messages.
    pub frame_names: Vec<String>,
    pub domains: Vec<DomainInfo>,
    pub error: Option<Error>,
}

thread_local! {
    static CURRENT: RefCell<Option<Session>> = const { RefCell::new(None) };
    static NEXT_ID: Cell<u32> = const { Cell::new(1) };
}

/// Runs `work` on the elaboration of this thread, if there is one.
pub(crate) fn with<R>(work: impl FnOnce(&mut Session) -> R) -> Option<R> {
    CURRENT.with(|current| current.try_borrow_mut().ok()?.as_mut().map(work))
}

/// Installs a new session and returns the one that it hides.
pub(crate) fn begin() -> Option<Session> {
    let id = NEXT_ID.with(|next| next.replace(next.get().wrapping_add(1).max(1)));
    let session = Session {
        id,
        modules: Vec::new(),
        by_name: HashMap::new(),
        stack: Vec::new(),
        frame_names: Vec::new(),
        domains: Vec::new(),
        error: None,
    };
    CURRENT.with(|current| current.replace(Some(session)))
}

/// Takes the session out and puts `hidden` back.
pub(crate) fn end(hidden: Option<Session>) -> Option<Session> {
    CURRENT.with(|current| current.replace(hidden))
}

/// Records an error that was found outside of the session's own functions.
pub(crate) fn fail(kind: ErrorKind, place: Place) {
    with(|session| session.fail(kind, place));
}

/// Adds an operation; gives poison on any error.
pub(crate) fn operation(
    place: Place,
    what: &str,
    width: u64,
    signed: bool,
    args: &[Raw],
    make: impl FnOnce(&[NodeId]) -> Kind,
) -> Raw {
    let clamped = u32::try_from(width).unwrap_or(u32::MAX).clamp(1, MAX_WIDTH);
    with(|session| session.operation(place, what, width, signed, args, make))
        .flatten()
        .unwrap_or(Raw::poison(clamped))
}

/// A constant.
pub(crate) fn constant(value: Bits, signed: bool, place: Place) -> Raw {
    let width = value.width();
    operation(place, "constant", u64::from(width), signed, &[], |_| Kind::Const(value))
}

/// The value behind a handle, if it is a constant.
pub(crate) fn constant_of(raw: Raw) -> Option<Bits> {
    with(|session| match &session.node(raw)?.kind {
        Kind::Const(value) => Some(value.clone()),
        _ => None,
    })
    .flatten()
}

impl Session {
    pub(crate) fn fail(&mut self, kind: ErrorKind, place: Place) {
        if self.error.is_none() {
            let module = self.stack.last().map_or("", |frame| &frame.module.name);
            self.error = Some(Error::new(kind, module, place));
        }
    }

    /// The node of a handle of the innermost frame, without any check that it is used rightly.
    pub(crate) fn node(&self, raw: Raw) -> Option<&Node> {
        let frame = self.stack.last()?;
        let own = raw.session == self.id && raw.frame == frame.id;
        if own { frame.module.nodes.get(raw.node as usize) } else { None }
    }

    /// Checks that a handle may be used in the innermost frame.
    pub(crate) fn resolve(&mut self, raw: Raw, place: Place) -> Option<NodeId> {
        let frame = self.stack.last()?;
        if raw.node == POISON && self.error.is_some() {
            return None;
        }
        if raw.session != self.id || raw.node >= SHAPE {
            self.fail(ErrorKind::Unbound, place);
            return None;
        }
        if raw.frame == frame.id {
            return Some(raw.node);
        }
        let owner = self.frame_names.get(raw.frame as usize).cloned().unwrap_or_default();
        let signal = (self.stack.iter())
            .find(|outer| outer.id == raw.frame)
            .and_then(|outer| outer.module.node(raw.node).name.clone())
            .unwrap_or_else(|| format!("unnamed signal of {} bits", raw.width));
        self.fail(ErrorKind::ForeignSignal { signal, owner }, place);
        None
    }

    pub(crate) fn check_width(&mut self, what: &str, width: u64, place: Place) -> Option<u32> {
        if width == 0 || width > u64::from(MAX_WIDTH) {
            self.fail(ErrorKind::InvalidWidth { what: what.to_owned(), width }, place);
            return None;
        }
        Some(width as u32)
    }

    /// The one domain of several nodes; constants fit any.
    pub(crate) fn join_domains(
        &mut self,
        what: &str,
        args: &[NodeId],
        place: Place,
    ) -> Option<Option<DomainInfo>> {
        let mut joined: Option<DomainInfo> = None;
        for &arg in args {
            let domain = self.stack.last()?.module.node(arg).domain;
            match (joined, domain) {
                (Some(a), Some(b)) if a != b => {
                    let (expected, found) = (domain_name(joined), domain_name(domain));
                    let what = what.to_owned();
                    self.fail(ErrorKind::DomainMismatch { what, expected, found }, place);
                    return None;
                }
                _ => joined = joined.or(domain),
            }
        }
        Some(joined)
    }

    pub(crate) fn operation(
        &mut self,
        place: Place,
        what: &str,
        width: u64,
        signed: bool,
        args: &[Raw],
        make: impl FnOnce(&[NodeId]) -> Kind,
    ) -> Option<Raw> {
        let mut ids = [0; 4];
        let mut long = Vec::new();
        let ids: &[NodeId] = if args.len() <= ids.len() {
            for (id, &arg) in ids.iter_mut().zip(args) {
                *id = self.resolve(arg, place)?;
            }
            &ids[..args.len()]
        } else {
            for &arg in args {
                long.push(self.resolve(arg, place)?);
            }
            &long
        };
        let width = self.check_width(what, width, place)?;
        let domain = self.join_domains(what, ids, place)?;
        let mut kind = make(ids);
        let nodes = &self.stack.last()?.module.nodes;
        if let Some(value) = arith::fold_constant(&kind, width, nodes) {
            kind = Kind::Const(value);
        }
        let domain = if matches!(kind, Kind::Const(_)) { None } else { domain };
        self.add(Node {
            kind,
            width,
            signed,
            boolean: false,
            domain,
            name: None,
            doc: String::new(),
            place,
        })
    }

    /// Appends a node to the innermost frame.
    pub(crate) fn add(&mut self, node: Node) -> Option<Raw> {
        let id = self.id;
        if let Some(domain) = node.domain {
            self.learn_domain(domain, node.place);
        }
        let frame = self.stack.last_mut()?;
        frame.module.nodes.push(node);
        Some(frame.raw(id, (frame.module.nodes.len() - 1) as NodeId))
    }

    fn learn_domain(&mut self, domain: DomainInfo, place: Place) {
        if self.domains.contains(&domain) {
            return;
        }
        let clash = |known: &DomainInfo| {
            known.name == domain.name || known.clock == domain.clock || known.reset == domain.reset
        };
        if self.domains.iter().any(clash) {
            self.fail(ErrorKind::DomainName { name: domain.name.to_owned() }, place);
        }
        self.domains.push(domain);
    }

    /// Claims a name, with the open scopes' prefixes, in the innermost frame.
    pub(crate) fn claim_name(&mut self, name: &str, place: Place) -> Option<String> {
        let frame = self.stack.last()?;
        let mut full = frame.prefixes.join("_");
        if !full.is_empty() {
            full.push('_');
        }
        full.push_str(name);
        if !names::is_identifier(&full) {
            self.fail(ErrorKind::InvalidName { name: full }, place);
            return None;
        }
        if let Some(used_for) = names::reserved(&full) {
            self.fail(ErrorKind::ReservedName { name: full, used_for }, place);
            return None;
        }
        let frame = self.stack.last_mut()?;
        if let Some(&first) = frame.names.get(&full) {
            self.fail(ErrorKind::DuplicateName { name: full, first }, place);
            return None;
        }
        frame.names.insert(full.clone(), place);
        Some(full)
    }

    /// Adds `target = value` to the open block after checking width and domain.
    pub(crate) fn assign(
        &mut self,
        target: Raw,
        value: Raw,
        verb: &str,
        place: Place,
    ) -> Option<()> {
        let target = self.resolve(target, place)?;
        let value = self.resolve(value, place)?;
        let module = &self.stack.last()?.module;
        let (to, from) = (module.node(target), module.node(value));
        let name = module.describe(target);
        if to.width != from.width {
            let (expected, found) = (to.width, from.width);
            let what = format!("{verb} of {name}");
            self.fail(ErrorKind::WidthMismatch { what, expected, found }, place);
            return None;
        }
        if !to.kind.is_target() {
            let what = match to.kind {
                Kind::Input(_) => "an input of this module; its parent drives it",
                Kind::InstOutput { .. } => "an output of the instance; the instance drives it",
                Kind::MemRead { .. } => "the data of a memory's read port",
                _ => "the value of an expression",
            };
            self.fail(ErrorKind::NotAssignable { name, what }, place);
            return None;
        }
        let (expected, found) = (to.domain, from.domain);
        if found.is_some() && expected != found {
            let (expected, found) = (domain_name(expected), domain_name(found));
            let what = format!("{verb} of {name}");
            self.fail(ErrorKind::DomainMismatch { what, expected, found }, place);
            return None;
        }
        let guards: Vec<NodeId> = self.stack.last()?.guards.iter().map(Guard::node).collect();
        for guard in guards {
            let found = self.stack.last()?.module.node(guard).domain;
            if found.is_some() && found != expected {
                let (expected, found) = (domain_name(expected), domain_name(found));
                let what = format!("conditional {verb} of {name}");
                self.fail(ErrorKind::DomainMismatch { what, expected, found }, place);
                return None;
            }
        }
        self.stack.last_mut()?.push(Stmt::Assign { target, value, place });
        Some(())
    }
}
