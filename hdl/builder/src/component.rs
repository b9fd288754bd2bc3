//! Components, their instances, and elaboration: from a Rust struct to a checked design.

use crate::check;
use crate::design::Design;
use crate::domain::Domain;
use crate::error::{Error, ErrorKind, Place};
use crate::ir::{Direction, Instance, Kind, Module, Node, Port};
use crate::ports::{self, Ports};
use crate::session::{self, Frame, Raw, Session};
use crate::signal::{Bool, Source};
use std::collections::HashMap;
use std::panic::Location;

/// Hardware: a struct whose fields are the parameters, and a body that builds a module from them.
///
/// ```
/// use rtl_builder::prelude::*;
///
/// /// Adds two numbers and keeps the carry.
/// struct Adder {
///     width: u32,
/// }
///
/// #[derive(Clone, Ports)]
/// struct AdderIo {
///     /// First summand
///     a: Input<UInt>,
///     /// Second summand
///     b: Input<UInt>,
///     sum: Output<UInt>,
/// }
///
/// impl Component for Adder {
///     type Io = AdderIo;
///
///     fn name(&self) -> String {
///         format!("adder_w{}", self.width)
///     }
///
///     fn io(&self) -> AdderIo {
///         AdderIo { a: input(uint(self.width)), b: input(uint(self.width)), sum: output(uint(self.width + 1)) }
///     }
///
///     fn build(&self, io: AdderIo) {
///         io.sum.set(io.a + io.b);
///     }
/// }
///
/// let design = elaborate(Adder { width: 8 })?;
/// assert!(design.verilog().contains("assign sum = a + b;"));
/// let mut sim = design.simulator();
/// sim.poke("a", 200);
/// sim.poke("b", 100);
/// assert_eq!(sim.peek("sum"), 300);
/// # Ok::<(), Error>(())
/// ```
pub trait Component {
    /// The ports.
    type Io: Ports;

    /// Name of the Verilog module. It must contain every parameter that changes the body: instances with one name share
    /// one module, and two different bodies under one name are an error.
    fn name(&self) -> String;

    /// A comment for the module in the Verilog.
    fn doc(&self) -> String {
        String::new()
    }

    /// The ports, as shapes.
    fn io(&self) -> Self::Io;

    /// Builds the body; `io` are the ports.
    fn build(&self, io: Self::Io);
}

impl<C: Component + ?Sized> Component for &C {
    type Io = C::Io;

    fn name(&self) -> String {
        (**self).name()
    }

    fn doc(&self) -> String {
        (**self).doc()
    }

    fn io(&self) -> C::Io {
        (**self).io()
    }

    fn build(&self, io: C::Io) {
        (**self).build(io);
    }
}

/// Puts the hidden session back also when a component's body panics.
struct Restore(Option<Option<Session>>);

impl Restore {
    fn finish(mut self) -> Option<Session> {
        session::end(self.0.take().flatten())
    }
}

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(hidden) = self.0.take() {
            session::end(hidden);
        }
    }
}

/// Builds `top` and everything that it instantiates.
///
/// # Errors
/// The first mistake in the description, with the Rust line that made it.
#[track_caller]
pub fn elaborate<C: Component>(top: C) -> Result<Design, Error> {
    let place = Location::caller();
    let restore = Restore(Some(session::begin()));
    build_module(&top, place);
    let session = restore.finish();
    match session {
        Some(Session { error: Some(error), .. }) => Err(error),
        Some(session) => Ok(Design::new(session.modules)),
        None => Err(Error::new(
            ErrorKind::InvalidParameter {
                problem: "a component's body disturbed the elaboration".into(),
            },
            &top.name(),
            place,
        )),
    }
}

/// Says that a component cannot be built with its parameters, unless `rule` holds.
///
/// Returns `rule`, so that the body can stop: `if !require(depth > 0, "depth must be positive") { return; }`.
#[track_caller]
pub fn require(rule: bool, problem: impl Into<String>) -> bool {
    if !rule {
        session::fail(ErrorKind::InvalidParameter { problem: problem.into() }, Location::caller());
    }
    rule
}

/// Elaborates a component in a frame of its own; gives the index of its module.
fn build_module<C: Component>(component: &C, place: Place) -> Option<usize> {
    let name = component.name();
    open_frame(&name, component.doc(), place)?;
    let shapes = component.io();
    let io = ports::bind(&shapes, &mut |direction, name, doc, leaf| {
        // A component whose ports are not a struct but a single port.
        let name = if name.is_empty() { "io" } else { name };
        let raw = session::with(|s| {
            let index = s.stack.last()?.module.ports.len();
            let kind = match direction {
                Direction::Input => Kind::Input(index),
                Direction::Output => Kind::Output(index),
            };
            let raw = crate::state::net(s, kind, name, doc, leaf, place)?;
            let module = &mut s.stack.last_mut()?.module;
            let node = (module.nodes.len() - 1) as u32;
            let name = module.nodes[node as usize].name.clone().unwrap_or_default();
            let (width, signed, boolean, domain) =
                (leaf.raw.width, leaf.signed, leaf.boolean, leaf.domain);
            module.ports.push(Port {
                name,
                doc: doc.to_owned(),
                direction,
                node,
                width,
                signed,
                boolean,
                domain,
            });
            Some(raw)
        });
        leaf.with(raw.flatten().unwrap_or(Raw::poison(leaf.raw.width)))
    });
    component.build(io);
    session::with(|s| close_frame(s, place)).flatten()
}

fn open_frame(name: &str, doc: String, place: Place) -> Option<()> {
    session::with(|s| {
        if !crate::names::is_identifier(name) {
            s.fail(ErrorKind::InvalidName { name: name.to_owned() }, place);
            return None;
        }
        let name = crate::names::escape_keyword(name.to_owned());
        if s.stack.iter().any(|frame| frame.module.name == name) {
            s.fail(ErrorKind::Recursion { name }, place);
            return None;
        }
        let id = s.frame_names.len() as u32;
        s.frame_names.push(name.clone());
        let mut module = Module::new(name, place);
        module.doc = doc;
        s.stack.push(Frame {
            id,
            module,
            blocks: vec![0],
            guards: Vec::new(),
            prefixes: Vec::new(),
            names: HashMap::new(),
        });
        Some(())
    })
    .flatten()
}

/// Checks the finished module and files it, or finds that the same one is there already.
fn close_frame(s: &mut Session, place: Place) -> Option<usize> {
    if s.error.is_none()
        && let Some(frame) = s.stack.last_mut()
        && let Err((kind, place)) = check::finish(&mut frame.module, &frame.names, &s.modules)
    {
        s.fail(kind, place);
    }
    let frame = s.stack.pop()?;
    if s.error.is_some() {
        return None;
    }
    let module = frame.module;
    if let Some(&index) = s.by_name.get(&module.name) {
        if !check::same_body(&s.modules[index], &module) {
            let first = s.modules[index].place;
            s.fail(ErrorKind::ModuleClash { name: module.name, first }, place);
            return None;
        }
        return Some(index);
    }
    s.by_name.insert(module.name.clone(), s.modules.len());
    s.modules.push(module);
    Some(s.modules.len() - 1)
}

/// Makes an instance of `component` and gives its ports, to drive the inputs and read the outputs.
///
/// ```
/// # use rtl_builder::prelude::*;
/// # struct Inverter;
/// # #[derive(Clone, Ports)] struct Io { a: Input<UInt>, y: Output<UInt> }
/// # impl Component for Inverter {
/// #     type Io = Io;
/// #     fn name(&self) -> String { "inverter".into() }
/// #     fn io(&self) -> Io { Io { a: input(uint(4)), y: output(uint(4)) } }
/// #     fn build(&self, io: Io) { io.y.set(!io.a); }
/// # }
/// # struct Twice;
/// # impl Component for Twice {
/// #     type Io = Io;
/// #     fn name(&self) -> String { "twice".into() }
/// #     fn io(&self) -> Io { Io { a: input(uint(4)), y: output(uint(4)) } }
/// #     fn build(&self, io: Io) {
/// let first = instance("first", Inverter);
/// let second = instance("second", Inverter);
/// first.a.set(io.a);
/// second.a.set(first.y);
/// io.y.set(second.y);
/// #     }
/// # }
/// # assert_eq!(elaborate(Twice)?.module_names(), ["inverter", "twice"]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn instance<C: Component>(name: impl AsRef<str>, component: C) -> C::Io {
    let place = Location::caller();
    let module = build_module(&component, place);
    let shapes = component.io();
    let target = module.and_then(|module| {
        session::with(|s| {
            let name = s.claim_name(name.as_ref(), place)?;
            for (domain, reset) in s.modules[module].domains.clone() {
                s.stack.last_mut()?.module.use_domain(domain, reset);
            }
            let instances = &mut s.stack.last_mut()?.module.instances;
            let (ports, doc) = (Vec::new(), String::new());
            instances.push(Instance { name, module, ports, reset: None, doc, place });
            Some((module, instances.len() - 1))
        })
        .flatten()
    });
    ports::bind(&shapes, &mut |_, _, _, leaf| {
        let raw = target.and_then(|(module, instance)| {
            session::with(|s| instance_port(s, module, instance, place)).flatten()
        });
        leaf.with(raw.unwrap_or(Raw::poison(leaf.raw.width)))
    })
}

/// Like [`instance`], with a reset of its own: registers in it and below are reset by `reset` alone.
///
/// `reset` must come from a register: outputs of the instance may depend on its reset in the same cycle. It must be true in
/// the cycle behind one with the module's reset, as a register is whose reset value is true. Other clock domains in the
/// instance keep the module's reset.
///
/// ```
/// # use rtl_builder::prelude::*;
/// # use rtl_builder::stock::Counter;
/// # struct Watched;
/// # #[derive(Clone, Ports)] struct Io { restart: Input<Bool>, count: Output<UInt> }
/// # impl Component for Watched {
/// #     type Io = Io;
/// #     fn name(&self) -> String { "watched".into() }
/// #     fn io(&self) -> Io { Io { restart: input(boolean()), count: output(uint(4)) } }
/// #     fn build(&self, io: Io) {
/// let restart = reg("restart_held", boolean(), true);
/// restart.next(io.restart);
/// let counter = instance_with_reset("counter", Counter::<Main>::new(10), restart);
/// counter.enable.set(true);
/// counter.clear.set(false);
/// io.count.set(counter.value);
/// #     }
/// # }
/// # let mut sim = elaborate(Watched)?.simulator();
/// # sim.step_n(4); assert_eq!(sim.peek("count"), 3);
/// # sim.poke("restart", 1); sim.step(); assert_eq!(sim.peek("count"), 4);
/// # sim.step(); assert_eq!(sim.peek("count"), 0);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn instance_with_reset<C: Component, D: Domain>(
    name: impl AsRef<str>,
    component: C,
    reset: impl Source<Bool<D>>,
) -> C::Io {
    let name = name.as_ref();
    let local = crate::state::wire(format!("{name}_reset"), Bool::<D>::of());
    local.set(reset.source(None));
    let io = instance(name, component);
    let place = Location::caller();
    session::with(|s| {
        let wire = s.resolve(local.value().raw, place)?;
        s.stack.last_mut()?.module.instances.last_mut()?.reset = Some(wire);
        Some(())
    });
    io
}

/// Adds the node for the next port of an instance.
fn instance_port(s: &mut Session, module: usize, instance: usize, place: Place) -> Option<Raw> {
    let own = &s.stack.last()?.module.instances[instance];
    let port = own.ports.len();
    let instance_name = own.name.clone();
    let declared = s.modules[module].ports.get(port)?.clone();
    let kind = match declared.direction {
        Direction::Input => Kind::InstInput { instance, port },
        Direction::Output => Kind::InstOutput { instance, port },
    };
    let raw = s.add(Node {
        kind,
        width: declared.width,
        signed: declared.signed,
        boolean: declared.boolean,
        domain: Some(declared.domain),
        name: Some(format!("{instance_name}.{}", declared.name)),
        doc: String::new(),
        place,
    })?;
    let frame = s.stack.last_mut()?;
    let node = (frame.module.nodes.len() - 1) as u32;
    frame.module.instances[instance].ports.push(node);
    Some(raw)
}
