//! Every construction error: its message, and the line that it points at.
#![allow(missing_docs)]

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;
use std::cell::Cell;

/// Ports to make mistakes with.
#[derive(Clone, Ports)]
struct Io {
    a: Input<UInt>,
    b: Input<UInt>,
    s: Input<SInt>,
    c: Input<Bool>,
    other: Input<Bool<Other>>,
    y: Output<UInt>,
}

/// A second clock domain.
#[derive(Clone, Copy, Debug)]
struct Other;

impl Domain for Other {
    const NAME: &'static str = "other";
    const CLOCK: &'static str = "other_clk";
    const RESET: &'static str = "other_rst";
}

/// A component whose body is a closure; it gets a function to say where the mistake is.
struct Probe<F>(F, Cell<u32>);

impl<F: Fn(Io, &dyn Fn(u32))> Component for Probe<F> {
    type Io = Io;

    fn name(&self) -> String {
        "probe".into()
    }

    fn io(&self) -> Io {
        Io {
            a: input(uint(4)),
            b: input(uint(4)),
            s: input(sint(4)),
            c: input(boolean()),
            other: input(Bool::of()),
            y: output(uint(4)),
        }
    }

    fn build(&self, io: Io) {
        (self.0)(io, &|line| self.1.set(line));
    }
}

/// Checks that a body fails with `message`, at the line that it names (`line!() + 1` before the mistake).
#[track_caller]
fn fails(message: &str, body: impl Fn(Io, &dyn Fn(u32))) -> Error {
    let probe = Probe(body, Cell::new(0));
    let error = elaborate(&probe).expect_err("the description is wrong");
    let found = error.kind().to_string();
    assert!(found.contains(message), "expected: {message}\nfound:    {found}");
    assert_eq!(error.place().file(), file!(), "{error}");
    assert_eq!(error.place().line(), probe.1.get(), "{error}");
    error
}

#[test]
fn a_message_says_place_problem_reason_and_remedy() {
    let error = fails("", |io, here| {
        here(line!() + 1);
        io.y.set(io.a + io.b);
    });
    let line = error.place().line();
    assert_eq!(
        error.to_string(),
        format!(
            "hdl/builder/tests/errors.rs:{line}:14: in module `probe`: width mismatch in assignment of `y`: \
             expected 4 bits, found 5\n  \
             why: signals are never cut or extended in silence\n  \
             fix: say what is meant: `.trunc(n)` or `.sat(n)` to narrow, `.zext(n)` or `.sext(n)` to widen"
        )
    );
    assert_eq!(error.module(), "probe");
}

#[test]
fn widths_that_differ() {
    fails("width mismatch in next value of `r`: expected 4 bits, found 3", |io, here| {
        let r = reg("r", uint(4), 0);
        here(line!() + 1);
        r.next(io.a.trunc(3));
    });
    fails("width mismatch in And: expected 4 bits, found 5", |io, here| {
        here(line!() + 1);
        io.y.set(io.a & io.b.zext(5));
    });
    fails("width mismatch in multiplexer: expected 4 bits, found 2", |io, here| {
        here(line!() + 1);
        io.y.set(mux(io.c, io.a, io.b.trunc(2)));
    });
    fails("width mismatch in `as_bool`: expected 1 bits, found 4", |io, here| {
        here(line!() + 1);
        when(io.a.as_bool(), || {});
    });
    fails(
        "width mismatch in extension (the result is narrower than the operand): expected 4 bits, found 3",
        |io, here| {
            here(line!() + 1);
            io.y.set(io.a.zext(3));
        },
    );
    fails("width mismatch in reset value of `r`: expected 4 bits, found 6", |_, here| {
        here(line!() + 1);
        reg("r", uint(4), UInt::lit(1, 6));
    });
    fails("width mismatch in `unpack`: expected 6 bits, found 4", |io, here| {
        here(line!() + 1);
        unpack(&(uint(2), uint(4)), io.a);
    });
    fails("width mismatch in data written to memory `m`: expected 8 bits, found 4", |io, here| {
        let memory = SyncMem::<UInt>::new("m", uint(8), 16);
        here(line!() + 1);
        memory.write(true, io.a, io.b);
    });
    fails("width mismatch in lookup: expected 4 bits, found 3", |io, here| {
        here(line!() + 1);
        io.y.set(lookup(io.a, &[(1, io.b.trunc(3))], io.b));
    });
}

#[test]
fn constants_that_do_not_fit() {
    fails("the constant 16 does not fit 4 bits", |io, here| {
        here(line!() + 1);
        io.y.set(16);
    });
    fails("the constant -1 does not fit 4 bits", |io, here| {
        here(line!() + 1);
        io.y.set(-1);
    });
    fails("the constant 8 does not fit 4 bits, signed", |io, here| {
        here(line!() + 1);
        when(io.s.lt(8), || {});
    });
    fails("the constant 4 does not fit 2 bits", |_, here| {
        here(line!() + 1);
        UInt::<Main>::lit(4, 2);
    });
    fails("the constant 20 does not fit 4 bits", |io, here| {
        let choice = switch(io.a);
        here(line!() + 1);
        choice.is(20, || {});
    });
    fails("the constant 16 does not fit 4 bits", |io, here| {
        let values = vec![io.a.value(); 18];
        here(line!() + 1);
        io.y.set(select(io.b, &values));
    });
}

#[test]
fn bits_out_of_range() {
    fails("bits 4..5 are out of range of a signal of 4 bits", |io, here| {
        here(line!() + 1);
        when(io.a.bit(4), || {});
    });
    fails("bits 2..6 are out of range of a signal of 4 bits", |io, here| {
        here(line!() + 1);
        io.y.set(io.a.bits(2..6));
    });
    fails("bits 0..5 are out of range of a signal of 4 bits", |io, here| {
        here(line!() + 1);
        io.y.set(io.a.trunc(5));
    });
}

#[test]
fn impossible_widths() {
    fails("`r` cannot be 0 bits wide", |_, here| {
        here(line!() + 1);
        reg("r", uint(0), 0);
    });
    fails("selection of bits cannot be 0 bits wide", |io, here| {
        here(line!() + 1);
        io.y.set(io.a >> 4);
    });
    fails("concatenation cannot be 80000 bits wide", |io, here| {
        here(line!() + 1);
        io.a.repeat(20_000);
    });
    fails("selection of bits cannot be 0 bits wide", |io, here| {
        here(line!() + 1);
        io.a.bits(3..3);
    });
}

#[test]
fn signals_without_driver() {
    fails("the wire `w` is never driven", |io, here| {
        here(line!() + 1);
        let w = wire("w", uint(4));
        io.y.set(w);
    });
    let error =
        elaborate(Probe(|_: Io, _: &dyn Fn(u32)| {}, Cell::new(0))).expect_err("nothing drives y");
    assert_eq!(error.kind().to_string(), "the output `y` is never driven");
    assert_eq!(error.place().file(), file!());
}

#[test]
fn signals_driven_on_some_paths() {
    fails("the wire `w` is not driven on every path", |io, here| {
        here(line!() + 1);
        let w = wire("w", uint(4));
        when(io.c, || w.set(io.a)).elsewhen(io.a.eq(1), || w.set(io.b));
        io.y.set(w);
    });
    fails("the wire `w` is not driven on every path", |io, here| {
        here(line!() + 1);
        let w = wire("w", uint(4));
        switch(io.a).is(0, || w.set(io.b)).any_of(&[1, 2], || w.set(3));
        io.y.set(w);
    });
}

#[test]
fn switches_that_cover_all_keys_need_no_default() {
    let all = |io: Io, _: &dyn Fn(u32)| {
        switch(io.a.trunc(1)).is(0, || io.y.set(io.b)).is(1, || io.y.set(3));
    };
    assert!(elaborate(Probe(all, Cell::new(0))).is_ok());
}

#[test]
fn two_drivers() {
    let first = Cell::new(0);
    let error = fails("`y` is driven a second time; it was first driven at ", |io, here| {
        first.set(line!() + 1);
        io.y.set(io.a);
        here(line!() + 1);
        io.y.set(io.b);
    });
    assert!(
        matches!(error.kind(), ErrorKind::DoubleDriver { first: place, .. } if place.line() == first.get())
    );
    // A default that a `when` overrides is one driver.
    let overridden = |io: Io, _: &dyn Fn(u32)| {
        io.y.set(io.a);
        when(io.c, || io.y.set(io.b));
    };
    assert!(elaborate(Probe(overridden, Cell::new(0))).is_ok());
    fails("`r` is driven a second time", |io, here| {
        let r = reg("r", uint(4), 0);
        when(io.c, || r.next(io.a));
        here(line!() + 1);
        r.next(io.b);
    });
}

/// An instance whose output follows its input in the same cycle.
struct Through;

#[derive(Clone, Ports)]
struct ThroughIo {
    input: Input<UInt>,
    output: Output<UInt>,
    registered: Output<UInt>,
}

impl Component for Through {
    type Io = ThroughIo;

    fn name(&self) -> String {
        "through".into()
    }

    fn io(&self) -> ThroughIo {
        ThroughIo { input: input(uint(4)), output: output(uint(4)), registered: output(uint(4)) }
    }

    fn build(&self, io: ThroughIo) {
        io.output.set(!io.input);
        io.registered.set(delayed("late", io.input));
    }
}

#[test]
fn combinational_loops() {
    let error = fails("combinational loop:", |io, here| {
        here(line!() + 1);
        let w = wire("w", uint(4));
        w.set((w + io.a).trunc(4));
        io.y.set(w);
    });
    let ErrorKind::CombinationalLoop { path } = error.kind() else { panic!("{error}") };
    let names: Vec<&str> = path.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["`w`", "Add of 4 bits"]);
    assert_eq!(path[1].place.line(), path[0].place.line() + 1);

    let error = fails("combinational loop:", |io, here| {
        here(line!() + 1);
        let through = instance("through", Through);
        through.input.set(through.output ^ io.a);
        io.y.set(through.output);
    });
    let ErrorKind::CombinationalLoop { path } = error.kind() else { panic!("{error}") };
    let names: Vec<&str> = path.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["`through.input`", "`through.output`", "Xor of 4 bits"]);

    // Through a register it is no loop.
    let registered = |io: Io, _: &dyn Fn(u32)| {
        let through = instance("through", Through);
        through.input.set(through.registered ^ io.a);
        io.y.set(through.output);
    };
    assert!(elaborate(Probe(registered, Cell::new(0))).is_ok());
}

#[test]
fn loops_through_conditions_are_found() {
    fails("combinational loop:", |io, here| {
        here(line!() + 1);
        let w = wire("w", uint(4));
        w.set(io.a);
        when(w.eq(3), || w.set(io.b));
        io.y.set(w);
    });
}

/// A component that reaches for a signal of the module around it.
struct Thief<'a>(UInt, &'a dyn Fn(u32));

impl Component for Thief<'_> {
    type Io = ThroughIo;

    fn name(&self) -> String {
        "thief".into()
    }

    fn io(&self) -> ThroughIo {
        Through.io()
    }

    fn build(&self, io: ThroughIo) {
        (self.1)(line!() + 1);
        io.output.set(self.0);
        io.registered.set(0);
    }
}

#[test]
fn signals_of_another_module() {
    let error = fails("the signal `a` belongs to module `probe`", |io, here| {
        let thief = instance("thief", Thief(io.a.value(), here));
        thief.input.set(io.b);
        io.y.set(thief.output);
    });
    assert_eq!(error.module(), "thief");
}

/// A component that writes a memory of the module around it.
struct MemoryThief<'a>(&'a AsyncMem<UInt>, &'a dyn Fn(u32));

impl Component for MemoryThief<'_> {
    type Io = ();

    fn name(&self) -> String {
        "memory_thief".into()
    }

    fn io(&self) {}

    fn build(&self, _: ()) {
        (self.1)(line!() + 1);
        self.0.write(true, 0, 0);
    }
}

#[test]
fn memories_of_another_module() {
    fails("the signal `m` belongs to module `probe`", |_, here| {
        let memory = AsyncMem::<UInt>::new("m", uint(8), 16);
        instance("thief", MemoryThief(&memory, here));
    });
}

#[test]
fn shapes_and_stale_signals_have_no_value() {
    fails("a shape without value is used as a signal", |io, here| {
        here(line!() + 1);
        io.y.set(uint(4));
    });
    let stale = Cell::new(uint(4));
    let keep = |io: Io, _: &dyn Fn(u32)| {
        stale.set(io.a.value());
        io.y.set(0);
    };
    assert!(elaborate(Probe(keep, Cell::new(0))).is_ok());
    fails("a shape without value is used as a signal", |io, here| {
        here(line!() + 1);
        io.y.set(stale.get());
    });
}

#[test]
fn clock_domains_that_meet() {
    fails("conditional next value of `r` joins clock domains `main` and `other`", |io, here| {
        let r = reg("r", uint(4), 0);
        when(io.other, || {
            here(line!() + 1);
            r.next(io.a);
        });
    });
    fails("multiplexer joins clock domains `other` and `main`", |io, here| {
        here(line!() + 1);
        io.y.set(mux(io.other, io.a, io.b));
    });
    fails("write to memory `m` joins clock domains `other` and `main`", |io, here| {
        let memory = SyncMem::<UInt>::new("m", uint(4), 16);
        when(io.other, || {
            here(line!() + 1);
            memory.write(true, io.a, io.b);
        });
    });
}

#[test]
fn two_domains_of_one_name() {
    #[derive(Clone, Copy, Debug)]
    struct Impostor;
    impl Domain for Impostor {
        const NAME: &'static str = "impostor";
        const CLOCK: &'static str = "clk";
        const RESET: &'static str = "impostor_rst";
    }
    fails("two clock domains are called `impostor`", |_, here| {
        here(line!() + 1);
        reg("r", UInt::<Impostor>::of(4), 0);
    });
}

#[test]
fn names() {
    fails("`two words` is not a name", |_, here| {
        here(line!() + 1);
        reg("two words", uint(4), 0);
    });
    fails(
        "the name `unused` is reserved for the list of bits that a module does not use",
        |_, here| {
            here(line!() + 1);
            wire("unused", uint(4));
        },
    );
    fails("the name `clk` is reserved for the clock of domain `main`", |io, here| {
        here(line!() + 1);
        let w = wire("clk", uint(4));
        let r = reg("r", uint(4), 0);
        w.set(r);
        io.y.set(w);
    });
    let first = Cell::new(0);
    let error = fails("the name `lane0_r` is already used at ", |_, here| {
        first.set(line!() + 1);
        scope("lane0", || reg("r", uint(4), 0));
        here(line!() + 1);
        reg("lane0_r", uint(4), 0);
    });
    assert!(
        matches!(error.kind(), ErrorKind::DuplicateName { first: place, .. } if place.line() == first.get())
    );
    fails("the name `a` is already used at ", |io, here| {
        here(line!() + 1);
        io.y.set((!io.b).named("a"));
    });
}

#[test]
fn inputs_that_are_not_connected() {
    fails("input `input` of instance `through` is not driven", |io, here| {
        here(line!() + 1);
        let through = instance("through", Through);
        io.y.set(through.output);
    });
}

#[test]
fn signals_that_cannot_be_driven() {
    fails(
        "`a` cannot be driven here: it is an input of this module; its parent drives it",
        |io, here| {
            here(line!() + 1);
            io.a.set(io.b);
        },
    );
    fails("`through.output` cannot be driven here: it is an output of the instance", |io, here| {
        let through = instance("through", Through);
        here(line!() + 1);
        through.output.set(io.a);
    });
    fails("cannot be driven here: it is the value of an expression", |io, here| {
        let source = rtl_builder::stock::stream::Channel::new("stream", !io.c, io.a.value());
        here(line!() + 1);
        source.offer(io.c.value(), io.b.value());
    });
}

#[test]
fn memories() {
    fails("memory `m` of 16 words needs an address of 4 bits, found 3", |io, here| {
        let memory = SyncMem::<UInt>::new("m", uint(8), 16);
        here(line!() + 1);
        memory.read(true, io.a.trunc(3));
    });
    fails("memory `m`: 0 words; 1 to 2^24 are possible", |_, here| {
        here(line!() + 1);
        AsyncMem::<UInt>::new("m", uint(8), 0);
    });
    fails("memory `m`: 8 bits do not divide into 3 lanes", |io, here| {
        let memory = SyncMem::<UInt>::new("m", uint(8), 16);
        here(line!() + 1);
        memory.write_lanes(true, io.a, 0, io.b.trunc(3));
    });
    fails("memory `m`: 3 initial words for a depth of 2", |_, here| {
        let words = vec![Bits::zero(8); 3];
        here(line!() + 1);
        let _ = SyncMem::<UInt>::new("m", uint(8), 2).with_initial(words);
    });
    fails("memory `m`: initial word 1 has 7 bits, not 8", |_, here| {
        let words = vec![Bits::zero(8), Bits::zero(7)];
        here(line!() + 1);
        let _ = SyncMem::<UInt>::new("m", uint(8), 2).with_initial(words);
    });
}

#[test]
fn reset_values_must_be_constant() {
    fails("the reset value of `r` must be a constant", |io, here| {
        here(line!() + 1);
        reg("r", uint(4), io.a);
    });
}

#[test]
fn bundles_that_differ() {
    fails(
        "assignment: the two bundles have different fields or lengths (2 and 3 signals)",
        |io, here| {
            let w = wire("w", vec![uint(4), uint(4)]);
            here(line!() + 1);
            w.set(vec![io.a.value(); 3]);
        },
    );
    fails(
        "multiplexer: the two bundles have different fields or lengths (1 and 2 signals)",
        |io, here| {
            here(line!() + 1);
            mux(io.c, vec![io.a.value()], vec![io.a.value(); 2]);
        },
    );
}

#[test]
fn choices_of_nothing() {
    fails("`select` has nothing to choose from", |io, here| {
        here(line!() + 1);
        io.y.set(select(io.a, &Vec::<UInt>::new()));
    });
    fails("concatenation has nothing to choose from", |io, here| {
        here(line!() + 1);
        io.y.set(cat(&Vec::<UInt>::new()));
    });
    fails("`one_hot_mux` has nothing to choose from", |io, here| {
        here(line!() + 1);
        io.y.set(one_hot_mux(&Vec::<(Bool, UInt)>::new()));
    });
}

#[test]
fn keys_that_stand_twice() {
    fails("the key 4'h3 stands twice in one switch or lookup", |io, here| {
        let choice = switch(io.a).any_of(&[2, 3], || {});
        here(line!() + 1);
        choice.is(3, || {});
    });
    fails("the key 4'h1 stands twice in one switch or lookup", |io, here| {
        here(line!() + 1);
        io.y.set(lookup(io.a, &[(1, io.b.value()), (1, io.a.value())], 0));
    });
}

/// A component whose name does not say what its body depends on.
struct Nameless(u64);

impl Component for Nameless {
    type Io = Output<UInt>;

    fn name(&self) -> String {
        "nameless".into()
    }

    fn io(&self) -> Output<UInt> {
        output(uint(4))
    }

    fn build(&self, io: Output<UInt>) {
        io.set(self.0);
    }
}

#[test]
fn two_bodies_under_one_name() {
    let first = Cell::new(0);
    let error = fails(
        "two different modules are called `nameless`; the first was built at ",
        |io, here| {
            first.set(line!() + 1);
            let one = instance("one", Nameless(1));
            here(line!() + 1);
            let two = instance("two", Nameless(2));
            io.y.set(one ^ two);
        },
    );
    assert!(
        matches!(error.kind(), ErrorKind::ModuleClash { first: place, .. } if place.line() == first.get())
    );
}

#[test]
fn parameters_that_a_component_refuses() {
    fails("the number of lanes must be positive", |_, here| {
        here(line!() + 1);
        require(false, "the number of lanes must be positive");
    });
    use rtl_builder::stock::AsyncFifo;
    let queue = AsyncFifo::<Main, Other>::new(8, 6);
    let error = elaborate(queue).expect_err("6 is no power of two");
    assert_eq!(
        error.kind().to_string(),
        "the depth of a dual-clock queue must be a power of two from 4 on, not 6"
    );
}

/// A component that contains itself.
struct Endless;

impl Component for Endless {
    type Io = Output<UInt>;

    fn name(&self) -> String {
        "endless".into()
    }

    fn io(&self) -> Output<UInt> {
        output(uint(4))
    }

    fn build(&self, io: Output<UInt>) {
        io.set(instance("again", Endless));
    }
}

#[test]
fn components_that_contain_themselves() {
    let error = elaborate(Endless).expect_err("it never ends");
    assert_eq!(error.kind().to_string(), "module `endless` contains itself");
}

#[test]
fn construction_goes_on_after_an_error_and_keeps_the_first() {
    fails("the constant 99 does not fit 4 bits", |io, here| {
        here(line!() + 1);
        let bad = io.a.eq(99);
        let value = mux(bad, io.a, 3) + 1;
        let memory = SyncMem::<UInt>::new("m", uint(0), 0);
        when(bad, || io.y.set(memory.read(bad, value))).otherwise(|| io.y.set(value.sat(900)));
        fifo_of_nothing();
    });
}

fn fifo_of_nothing() {
    use rtl_builder::stock::Fifo;
    let io = instance("queue", Fifo::<Main>::new(0, 0));
    io.push.valid.set(false);
}
