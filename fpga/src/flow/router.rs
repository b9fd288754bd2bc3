//! How nextpnr is asked: its arguments, the netlist that it places, and what its clocks are asked for.

use std::path::Path;

use serde_json::Value;

use super::route::First;
use super::{Goal, NETLIST, read_json, write};
use crate::boards::TOP;
use crate::channels::leave_channels;
use crate::error::FpgaError;
use crate::floorplan::lock_blocks;
use crate::netlist;
use crate::tools::Tool;
use crate::wiring::spare_wires;
use crate::xc7::{BINDING, BOUND, CHECKING, WRITING, binding, keep_free};

/// Programs in Python that nextpnr runs before it places, and before it routes.
const BEFORE_PLACING: &str = "before_placing.py";
const BEFORE_ROUTING: &str = "before_routing.py";
/// A placed design as nextpnr writes it.
pub(super) const PLACED: &str = "placed.json";

/// A setting of nextpnr and its value.
pub(super) type Setting = (&'static str, &'static str);

/// What a wire costs that several signals want: at first, more with each round, and by what was shared in rounds before.
pub(super) const fn prices(
    first: &'static str,
    each_round: &'static str,
    before: &'static str,
) -> [Setting; 5] {
    [
        ("router2/initCurrCongWeight", first),
        ("router2/currCongWeightMult", each_round),
        ("router2/histCongWeight", before),
        // Cells that a way may leave the box of its signal by: 3 keep it inside the place that is full.
        ("router2/bbMargin/x", "12"),
        ("router2/bbMargin/y", "12"),
    ]
}

/// How nextpnr is run.
pub(super) struct Router {
    pub(super) tool: Tool,
    pub(super) seed: u32,
    /// All others.
    pub(super) arguments: Vec<String>,
    /// The name under which it finds the board's pins.
    pub(super) constraints: &'static str,
    /// What changes in the netlist so that there are wires enough, and that it is placed twice; nothing: neither.
    pub(super) changes: Option<Changes>,
    /// Settings of nextpnr for which its command line has no argument: they go with the netlist.
    pub(super) settings: &'static [Setting],
    /// Places of tables that stay free.
    pub(super) kept_free: Vec<String>,
    /// Cells exchange places once they are placed.
    pub(super) exchange: Option<Exchange>,
    /// Arguments for routing alone.
    pub(super) routing: Vec<String>,
    /// It is given up after so many rounds without fewer wires shared or late.
    pub(super) patience: u32,
    /// What the clocks are asked for beyond what the card was; nothing: just that.
    pub(super) aim: Option<Aim>,
}

impl Router {
    /// Writes what a run reads: the netlist as synthesis left it, with what changes; constraints; programs. The run's arguments.
    pub(super) fn prepare(
        &self,
        folder: &Path,
        mapped: &Path,
        run: &Run<'_>,
        pins: String,
    ) -> Result<Vec<String>, FpgaError> {
        let first = match run {
            Run::Whole(first) => *first,
            Run::First | Run::Placing | Run::Bound(_) => None,
        };
        write(&folder.join(NETLIST), self.netlist(mapped, first)?.to_string())?;
        write(&folder.join(self.constraints), pins)?;
        let mut arguments = self.arguments.clone();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        let seed = self.seed.to_string();
        match run {
            // Where blocks gather does not depend on the seed.
            Run::First => add(&["--no-route", "--write", PLACED]),
            Run::Placing | Run::Whole(_) | Run::Bound(_) => add(&["--seed", &seed]),
        }
        let (before_placing, before_routing) = match run {
            Run::Placing => {
                add(&["--placer", Exchange::PLACER]);
                (binding(&self.kept_free), WRITING)
            }
            Run::Bound(bound) => {
                write(&folder.join(BOUND), bound)?;
                add(&["--placer", Exchange::PLACER_OF_BOUND, Exchange::IGNORES_CONTROL_SETS]);
                (BINDING.to_owned(), CHECKING)
            }
            Run::First | Run::Whole(_) => (binding(&self.kept_free), ""),
        };
        let programs = [
            ("--pre-place", BEFORE_PLACING, before_placing.as_str()),
            ("--pre-route", BEFORE_ROUTING, before_routing),
        ];
        for (argument, name, program) in programs {
            if !program.is_empty() {
                write(&folder.join(name), program)?;
                add(&[argument, name]);
            }
        }
        if let Run::Whole(_) | Run::Bound(_) = run {
            arguments.extend_from_slice(&self.routing);
        }
        Ok(arguments)
    }

    /// The netlist that is placed; with blocks at their sites, once they are known.
    fn netlist(&self, mapped: &Path, first: Option<&First>) -> Result<Value, FpgaError> {
        let mut netlist = read_json(mapped)?;
        if let Some(Changes { networks, channels }) = self.changes {
            spare_wires(&mut netlist, networks)?;
            if channels {
                leave_channels(&mut netlist)?;
            }
        }
        if !self.kept_free.is_empty() {
            keep_free(&mut netlist, self.kept_free.len())?;
        }
        set_settings(&mut netlist, self.settings)?;
        if let Some(first) = first {
            lock_blocks(&mut netlist, &first.sites)?;
        }
        Ok(netlist)
    }

    /// The board's constraints, with an input that is said to be so fast that so many MHz are asked of the card's clock.
    pub(super) fn pins_asking(&self, pins: &str, mhz: f64) -> String {
        self.pins(pins, self.aim.as_ref().map_or(1.0, |aim| mhz / aim.asked_mhz))
    }

    /// The board's constraints, with an input that is said to be so many times as fast.
    pub(super) fn pins(&self, pins: &str, ahead: f64) -> String {
        self.aim
            .as_ref()
            .map_or_else(|| pins.to_owned(), |aim| aim.clock.replaced(pins, aim.input_mhz * ahead))
    }
}

/// What nextpnr does in a run.
pub(super) enum Run<'a> {
    /// It places, to learn where blocks should stand.
    First,
    /// It places, and writes where cells stand.
    Placing,
    /// It places, with blocks at their sites if these are known, and routes.
    Whole(Option<&'a First>),
    /// It routes; the text says where cells stand.
    Bound(&'a str),
}

/// What is needed to let cells exchange places.
pub(super) struct Exchange {
    /// Kind, column and row of the part's tiles.
    pub(super) tiles: Vec<(String, u32, u32)>,
    pub(super) array_clock_ratio: u32,
    /// What the card's clock is asked for meanwhile, MHz: more than it can reach.
    pub(super) missed_mhz: f64,
}

impl Exchange {
    /// nextpnr's placer for whole cards. Of the smallest one the usual one (heap) moved the same few cells to and fro, and did not
    /// end its first round.
    const PLACER: &'static str = "static";
    /// The one that does nothing when all is bound. The other one moves chains of carries all the same.
    const PLACER_OF_BOUND: &'static str = "heap";
    /// Of some cards it else looks for a slice's first flip-flop where there is none, and ends.
    const IGNORES_CONTROL_SETS: &'static str = "--placer-heap-no-ctrl-set";
}

/// What a netlist needs so that a whole card can be routed.
#[derive(Debug)]
pub(super) struct Changes {
    /// Networks of clocks that resets and enables may take.
    pub(super) networks: usize,
    /// Rows of the logic stay free.
    pub(super) channels: bool,
}

/// How constraints say how fast the board's input is.
pub(super) struct InputClock {
    /// What the line begins with.
    pub(super) begins: &'static str,
    /// The line, by MHz.
    pub(super) line: fn(f64) -> String,
}

impl InputClock {
    /// Constraints with another clock at the input.
    fn replaced(&self, constraints: &str, mhz: f64) -> String {
        let lines = constraints.lines().map(|line| {
            if line.starts_with(self.begins) { (self.line)(mhz) } else { line.to_owned() }
        });
        lines.map(|line| line + "\n").collect()
    }
}

/// What the clocks are asked for.
pub(super) struct Aim {
    /// The board's input, MHz, from which all clocks come: to ask for more, it is said to be faster than it is.
    pub(super) input_mhz: f64,
    /// What was asked of the card's clock, MHz.
    pub(super) asked_mhz: f64,
    /// What the router is asked for instead, MHz; nothing: by what is expected of the first placement, if there is one.
    pub(super) aim_mhz: Option<f64>,
    /// Less by so much since others were given up.
    pub(super) eased: f64,
    /// The line of the board's constraints that says how fast its input is.
    pub(super) clock: InputClock,
}

impl Aim {
    /// Whether it goes by what is expected of placements, and nothing was given up.
    pub(super) fn is_by_placement(&self) -> bool {
        self.aim_mhz.is_none() && self.eased >= 1.0
    }

    /// By how much the input is said to be faster.
    pub(super) fn ahead(&self, first: Option<&First>) -> f64 {
        let by_placement = first.map(|first| BEYOND_PLACED * first.reached_mhz);
        let Some(mhz) = self.aim_mhz.or(by_placement) else { return 1.0 };
        // In tenths of a MHz, as people would write it.
        ((10.0 * mhz * self.eased).round() / 10.0).max(0.1) / self.asked_mhz
    }
}

/// What the router is asked for, by what is expected of a placement. Of the second one 0.98 to 1.12 times as much as of the first
/// was expected.
pub(super) const BEYOND_PLACED: f64 = 1.07;
/// By so much less with each placement that was given up: what is late may have been what kept it from being routed.
const EASED: f64 = 0.93;

impl Goal {
    /// What a whole card is asked for: what the user says, or by what is expected of its placement.
    pub(super) fn aim(&self, clock: InputClock) -> Option<Aim> {
        self.whole.then(|| Aim {
            input_mhz: self.board.input_mhz,
            asked_mhz: self.mhz,
            aim_mhz: self.aim_mhz,
            eased: EASED.powi(self.attempt),
            clock,
        })
    }
}

/// Writes settings of nextpnr where its own netlists have them: in the top module.
fn set_settings(netlist: &mut Value, settings: &[Setting]) -> Result<(), FpgaError> {
    let top = netlist::modules_of(netlist)?.get_mut(TOP).and_then(Value::as_object_mut);
    let values = settings.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
    if let Some(top) = top.filter(|_| !settings.is_empty()) {
        top.insert("settings".to_owned(), Value::Object(values));
    }
    Ok(())
}
