//! A tutorial: from a counter to streams between clocks. All examples are run as tests.
//!
//! # A first component
//!
//! A component is a struct of parameters. `io` declares its ports as *shapes* (widths without values), `build` makes the
//! body from the ports, and `name` names the Verilog module, with all parameters that change the body.
//!
//! ```
//! use rtl_builder::prelude::*;
//!
//! struct Blinker {
//!     width: u32,
//! }
//!
//! #[derive(Clone, Ports)]
//! struct BlinkerIo {
//!     /// Counts only while this is true
//!     enable: Input<Bool>,
//!     led: Output<Bool>,
//! }
//!
//! impl Component for Blinker {
//!     type Io = BlinkerIo;
//!
//!     fn name(&self) -> String {
//!         format!("blinker_w{}", self.width)
//!     }
//!
//!     fn io(&self) -> BlinkerIo {
//!         BlinkerIo { enable: input(boolean()), led: output(boolean()) }
//!     }
//!
//!     fn build(&self, io: BlinkerIo) {
//!         let count = reg("count", uint(self.width), 0);
//!         when(io.enable, || count.next(count.wrapping_add(1)));
//!         io.led.set(count.bit(self.width - 1));
//!     }
//! }
//!
//! let design = elaborate(Blinker { width: 4 })?;
//!
//! // Run it.
//! let mut sim = design.simulator();
//! sim.poke("enable", 1);
//! sim.step_n(8);
//! assert_eq!(sim.peek("led"), 1);
//! assert_eq!(sim.peek("count"), 8);
//!
//! // Print it.
//! assert_eq!(
//!     design.verilog(),
//!     "\
//! module blinker_w4 (
//!     input  logic clk,
//!     input  logic rst,
//!     // Counts only while this is true
//!     input  logic enable,
//!     output logic led
//! );
//!   logic [3:0] count;
//!
//!   assign led = count[3];
//!
//!   always @(posedge clk) begin
//!     if (rst) begin
//!       count <= 4'd0;
//!     end else if (enable) begin
//!       count <= count + 4'd1;
//!     end
//!   end
//! endmodule
//! "
//! );
//! # Ok::<(), Error>(())
//! ```
//!
//! Clock and reset are not declared: a module has those of a clock domain as ports if something in it needs them. Resets
//! are synchronous and active high.
//!
//! # Widths and signs
//!
//! Signals are `Copy` handles with operators. `+`, `-` and `*` keep all bits; narrowing is said. An assignment needs equal
//! widths, a comparison extends the narrower side, `&`, `|`, `^` need equal widths.
//!
//! ```
//! # use rtl_builder::prelude::*;
//! # #[derive(Clone, Ports)] struct Io { a: Input<UInt>, b: Input<UInt>, x: Input<SInt>, y: Output<UInt>, z: Output<SInt> }
//! # struct Widths;
//! # impl Component for Widths {
//! #     type Io = Io;
//! #     fn name(&self) -> String { "widths".into() }
//! #     fn io(&self) -> Io {
//! #         Io { a: input(uint(8)), b: input(uint(8)), x: input(sint(8)), y: output(uint(8)), z: output(sint(8)) }
//! #     }
//! #     fn build(&self, io: Io) {
//! let sum = io.a + io.b; // 9 bits
//! let product = io.x * SInt::lit(-3, 4); // 12 bits
//! let difference = io.a - io.b; // SInt of 9 bits: it may be negative
//! assert_eq!((sum.width(), product.width(), difference.width()), (9, 12, 9));
//!
//! io.y.set(sum.trunc(8)); // drop the carry; the same as io.a.wrapping_add(io.b)
//! io.z.set((product >> 2).sat(8)); // drop two low bits, clamp to -128 .. 127
//! #     }
//! # }
//! # elaborate(Widths)?;
//! # Ok::<(), Error>(())
//! ```
//!
//! Signs do not mix. This does not compile:
//!
//! ```compile_fail,E0277
//! # use rtl_builder::prelude::*;
//! fn mixed(a: UInt, x: SInt) {
//!     let _ = a + x; // say a.zext(9).as_sint() + x, or a + x.as_uint()
//! }
//! ```
//!
//! An integer stands for a constant where a signal is expected: `a + 1`, `a.eq(3)`, `count.next(0)`. It must fit.
//!
//! # Registers, wires, conditions
//!
//! A register keeps its value unless it is assigned; the last assignment that applies wins. A wire or output must be
//! driven on every path: set a default first, or end with `otherwise`.
//!
//! ```
//! # use rtl_builder::prelude::*;
//! # #[derive(Clone, Ports)] struct Io { load: Input<Bool>, run: Input<Bool>, start: Input<UInt>, left: Output<UInt>, done: Output<Bool> }
//! # struct Timer;
//! # impl Component for Timer {
//! #     type Io = Io;
//! #     fn name(&self) -> String { "timer".into() }
//! #     fn io(&self) -> Io {
//! #         Io { load: input(boolean()), run: input(boolean()), start: input(uint(8)), left: output(uint(8)), done: output(boolean()) }
//! #     }
//! #     fn build(&self, io: Io) {
//! let left = reg("left_reg", uint(8), 0);
//! io.done.set(false);
//! when(io.load, || left.next(io.start))
//!     .elsewhen(io.run & !left.is_zero(), || {
//!         left.next(left.wrapping_sub(1));
//!         when(left.eq(1), || io.done.set(true));
//!     });
//! io.left.set(left);
//! #     }
//! # }
//! # let mut sim = elaborate(Timer)?.simulator();
//! # sim.poke("load", 1); sim.poke("start", 2); sim.step(); sim.poke("load", 0); sim.poke("run", 1);
//! # assert_eq!(sim.peek("done"), 0); sim.step(); assert_eq!(sim.peek("done"), 1); sim.step(); assert_eq!(sim.peek("left"), 0);
//! # Ok::<(), Error>(())
//! ```
//!
//! [`switch`](crate::control::switch) chooses by value and prints as `case`; [`mux`](crate::signal::mux),
//! [`select`](crate::signal::select), [`lookup`](crate::signal::lookup), [`priority_mux`](crate::signal::priority_mux) and
//! [`one_hot_mux`](crate::signal::one_hot_mux) choose values.
//!
//! # Bundles
//!
//! A struct of signals derives [`Bundle`](crate::bundle::Bundle). It can be registered, muxed, stored in memories and
//! passed through ports as one, and be packed into bits. A value with shapes as fields is the shape of the bundle.
//!
//! ```
//! use rtl_builder::prelude::*;
//!
//! #[derive(Clone, Debug, Bundle)]
//! struct Pixel {
//!     x: UInt,
//!     y: UInt,
//!     level: SInt,
//! }
//!
//! fn pixel() -> Pixel {
//!     Pixel { x: uint(10), y: uint(9), level: sint(8) }
//! }
//! # #[derive(Clone, Ports)] struct Io { valid: Input<Bool>, pixel: Input<Pixel>, last: Output<Pixel> }
//! # struct Keep;
//! # impl Component for Keep {
//! #     type Io = Io;
//! #     fn name(&self) -> String { "keep".into() }
//! #     fn io(&self) -> Io {
//! // let io = Io { pixel: input(pixel()), .. }: ports `pixel_x`, `pixel_y`, `pixel_level`
//! #         Io { valid: input(boolean()), pixel: input(pixel()), last: output(pixel()) }
//! #     }
//! #     fn build(&self, io: Io) {
//! let last = reg_zero("last_pixel", pixel());
//! when(io.valid & last.level.lt(io.pixel.level), || last.next(io.pixel));
//! // One field of it alone:
//! when(last.x.is_zero(), || last.field(|pixel| pixel.y).next(0));
//! #         io.last.set(last);
//! #     }
//! # }
//! # assert_eq!(elaborate(Keep)?.ports()[1].name, "pixel_x");
//! # Ok::<(), Error>(())
//! ```
//!
//! # Instances and generated structure
//!
//! [`instance`](crate::component::instance) places a component and gives its ports: inputs are driven, outputs read. Loops
//! are Rust loops. Instances of one component share a Verilog module.
//!
//! ```
//! use rtl_builder::prelude::*;
//!
//! struct Stage;
//! #[derive(Clone, Ports)]
//! struct StageIo { a: Input<UInt>, y: Output<UInt> }
//! impl Component for Stage {
//!     type Io = StageIo;
//!     fn name(&self) -> String { "stage".into() }
//!     fn io(&self) -> StageIo { StageIo { a: input(uint(8)), y: output(uint(8)) } }
//!     fn build(&self, io: StageIo) { io.y.set(delayed("held", io.a.wrapping_mul(5))); }
//! }
//!
//! struct Chain { stages: usize }
//! impl Component for Chain {
//!     type Io = StageIo;
//!     fn name(&self) -> String { format!("chain_{}", self.stages) }
//!     fn io(&self) -> StageIo { Stage.io() }
//!     fn build(&self, io: StageIo) {
//!         let mut value = io.a.value();
//!         for i in 0..self.stages {
//!             let stage = instance(format!("stage{i}"), Stage);
//!             stage.a.set(value);
//!             value = stage.y.value();
//!         }
//!         io.y.set(value);
//!     }
//! }
//!
//! let design = elaborate(Chain { stages: 3 })?;
//! assert_eq!(design.module_names(), ["stage", "chain_3"]);
//! let mut sim = design.simulator();
//! sim.poke("a", 1);
//! sim.step_n(3);
//! assert_eq!(sim.peek("y"), 125);
//! assert_eq!(sim.peek("stage0.held"), 5); // any named signal, by its path
//! # Ok::<(), Error>(())
//! ```
//!
//! Names are unique in a module. Structure that a loop or a function repeats goes into
//! [`scope`](crate::control::scope)`("lane0", || ..)`, which prefixes the names made in it.
//!
//! # State machines
//!
//! See [`fsm`](crate::fsm): states are an enum, their names stand in the Verilog as `localparam`s.
//!
//! # Memories
//!
//! [`SyncMem`](crate::memory::SyncMem) is read one cycle after the address and becomes block RAM;
//! [`AsyncMem`](crate::memory::AsyncMem) is read in the same cycle and becomes distributed RAM. A word that is written and
//! read in one cycle reads as the old word.
//!
//! ```
//! # use rtl_builder::prelude::*;
//! # #[derive(Clone, Ports)] struct Io { write: Input<Bool>, at: Input<UInt>, data: Input<UInt>, word: Output<UInt> }
//! # struct Table;
//! # impl Component for Table {
//! #     type Io = Io;
//! #     fn name(&self) -> String { "histogram".into() }
//! #     fn io(&self) -> Io {
//! #         Io { write: input(boolean()), at: input(uint(8)), data: input(uint(16)), word: output(uint(16)) }
//! #     }
//! #     fn build(&self, io: Io) {
//! let bins = SyncMem::<UInt>::new("bins", uint(16), 256);
//! when(io.write, || bins.write(true, io.at, io.data)); // conditions around a port belong to its enable
//! io.word.set(bins.read(true, io.at));
//! #     }
//! # }
//! # let mut sim = elaborate(Table)?.simulator();
//! # sim.poke("write", 1); sim.poke("at", 7); sim.poke("data", 99); sim.step();
//! # assert_eq!(sim.peek("word"), 0); sim.step(); assert_eq!(sim.peek("word"), 99);
//! # assert_eq!(sim.peek_mem("bins", 7).to_u64(), 99);
//! # Ok::<(), Error>(())
//! ```
//!
//! # Streams
//!
//! [`StreamIn`](crate::stock::stream::StreamIn) and [`StreamOut`](crate::stock::stream::StreamOut) are `valid`, `ready` and
//! a payload, under a written [contract](crate::stock::stream). Stock components put queues and registers into them.
//!
//! ```
//! use rtl_builder::prelude::*;
//! use rtl_builder::stock::{fifo, skid};
//!
//! # struct Buffered;
//! #[derive(Clone, Ports)]
//! struct Io {
//!     input: StreamIn<UInt>,
//!     output: StreamOut<UInt>,
//! }
//! # impl Component for Buffered {
//! #     type Io = Io;
//! #     fn name(&self) -> String { "buffered".into() }
//! #     fn io(&self) -> Io { Io { input: stream_in(uint(8)), output: stream_out(uint(8)) } }
//! #     fn build(&self, io: Io) {
//! let queue = fifo("queue", &io.input, 16);
//! let doubled = skid("register", &queue.pop).map(|word| (word << 1).trunc(8));
//! connect(&doubled, &io.output);
//! #     }
//! # }
//! # elaborate(Buffered)?;
//! # Ok::<(), Error>(())
//! ```
//!
//! # Clock domains
//!
//! A second clock is a type that implements [`Domain`](crate::domain::Domain). Its signals are `UInt<Array>`,
//! `Bool<Array>`; they do not mix with others. This does not compile:
//!
//! ```compile_fail,E0277
//! # use rtl_builder::prelude::*;
//! # #[derive(Clone, Copy, Debug)] struct Array;
//! # impl Domain for Array { const NAME: &'static str = "array"; const CLOCK: &'static str = "array_clk"; const RESET: &'static str = "array_rst"; }
//! fn mixed(a: UInt, b: UInt<Array>) {
//!     let _ = a + b;
//! }
//! ```
//!
//! They meet in synchronisers only: [`Sync2`](crate::stock::Sync2) for a level, [`AsyncFifo`](crate::stock::AsyncFifo) for
//! data. In a test bench, [`step`](crate::eval::Simulator::step) is an edge of all clocks and
//! [`step_domain`](crate::eval::Simulator::step_domain) of one. A clock whose edges are those of the main one and some between
//! them says so ([`Domain::MULTIPLE`](crate::domain::Domain::MULTIPLE)); [`Phases`](crate::stock::Phases) then take values across.
//!
//! # Mistakes
//!
//! Construction never panics. The first mistake comes back from `elaborate`, with the Rust line:
//!
//! ```
//! # use rtl_builder::prelude::*;
//! # #[derive(Clone, Ports)] struct Io { a: Input<UInt>, y: Output<UInt> }
//! # struct Wrong;
//! # impl Component for Wrong {
//! #     type Io = Io;
//! #     fn name(&self) -> String { "wrong".into() }
//! #     fn io(&self) -> Io { Io { a: input(uint(8)), y: output(uint(8)) } }
//! #     fn build(&self, io: Io) {
//! io.y.set(io.a + 1);
//! #     }
//! # }
//! let error = elaborate(Wrong).unwrap_err();
//! // src/wrong.rs:12:6: in module `wrong`: width mismatch in assignment of `y`: expected 8 bits, found 9
//! //   why: signals are never cut or extended in silence
//! //   fix: say what is meant: `.trunc(n)` or `.sat(n)` to narrow, `.zext(n)` or `.sext(n)` to widen
//! assert!(matches!(error.kind(), ErrorKind::WidthMismatch { expected: 8, found: 9, .. }));
//! ```
//!
//! What is checked: widths, constants, selections, signals without driver or with two, wires that would be latches,
//! combinational loops (with their path, also through instances), open inputs, signals of other modules or elaborations,
//! clock domains, names, modules of one name with different bodies. [`ErrorKind`](crate::error::ErrorKind) lists all.
//!
//! # Test benches
//!
//! A test bench is plain Rust in a `#[test]`. For long runs look signals up once:
//!
//! ```
//! # use rtl_builder::prelude::*;
//! # use rtl_builder::stock::Counter;
//! let mut sim = elaborate(Counter::<Main>::new(1000))?.simulator();
//! let (enable, value) = (sim.find("enable")?, sim.find("value")?);
//! sim.set_u64(enable, 1)?;
//! for cycle in 0..5000 {
//!     assert_eq!(sim.get_u64(value), cycle % 1000);
//!     sim.step();
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The Verilog
//!
//! [`Design::write_to`](crate::design::Design::write_to) writes one file a module, in SystemVerilog that Verilator, Icarus
//! (`-g2012`) and yosys (`read_verilog -sv`) take, with the same text for the same design. Ports, registers, wires,
//! instances and [`named`](crate::signal::UInt::named) values keep their names; a keyword gets a `_` behind it. Other values
//! are written in place, or, when used twice, long or in need of a declared width, become a wire named after the target
//! and the operation. Bits that nothing reads are gathered in a wire `unused`, so that linters are content without
//! pragmas.
