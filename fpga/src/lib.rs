//! From a configuration of the card to a bitstream on a board.
//!
//! ```text
//!  configuration ─► Verilog ─┐
//!                 board top ─┴─► yosys ─► registers into DSP blocks ─► fits? ─► nextpnr, exchange ─► ecppack ─► bitstream
//!                                              (netlist)         (resources)  (placement) └─► report
//! ```
//!
//! - [`boards`]: the boards that are known, one table; their tops and pins stand in `tops/` and
//!   `constraints/`. [`pll`]: dividers that make a board's clock.
//! - [`tools`]: finds the tools, and says what installs one that is missing. [`process`] runs them.
//! - [`flow`]: the steps, each cached by the content of what it depends on ([`cache`]).
//! - [`xc7`]: the assembler of the 7-series, from nextpnr's features to frames.
//! - [`netlist`]: what yosys leaves undone: registers move into the multipliers of the ECP5.
//!   [`wiring`]: connections that need no wires there; [`channels`]: rows that are left to wires; [`floorplan`]: where
//!   memories and multipliers stand. [`placement`]: cells that exchange places, for both families.
//! - [`resources`]: what a netlist needs and a part has; [`modules`]: the same by module; [`depth`]: where it is
//!   deepest; [`report`]: clocks, paths.
//! - [`estimate`]: what a card takes, without synthesis, from builds that were made.
//! - [`vivado`]: the project for boards whose tool does not run here.

pub mod boards;
pub mod cache;
pub mod channels;
pub mod depth;
pub mod error;
pub mod estimate;
pub mod floorplan;
pub mod flow;
pub mod modules;
pub mod netlist;
pub mod placement;
pub mod pll;
pub mod process;
pub mod report;
pub mod resources;
pub mod tools;
pub mod vivado;
pub mod wiring;
pub mod xc7;

pub use boards::Board;
pub use error::FpgaError;
