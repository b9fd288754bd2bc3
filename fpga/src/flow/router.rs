//! How nextpnr is asked: its arguments, the netlist that it places, and what its clocks are asked for.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::route::First;
use super::{Goal, NETLIST, read_json, write};
use crate::boards::TOP;
use crate::channels::leave_channels;
use crate::error::FpgaError;
use crate::floorplan::lock_blocks;
use crate::netlist;
use crate::placement::{
    self, BINDING, BOUND, Better, CHECKING, WRITING, bound_netlist, improved_ecp5, improved_xc7,
};
use crate::tools::Tool;
use crate::wiring::spare_wires;
use crate::xc7::{binding, keep_free};

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
    /// nextpnr's placer, if not the usual one.
    pub(super) placer: Option<&'static str>,
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
        let copied = folder.join(NETLIST);
        match run {
            Run::Bound(Exchanged { netlist: Some(netlist), .. }) => {
                std::fs::copy(netlist, &copied).map_err(FpgaError::file("write", &copied))?;
            }
            Run::Bound(Exchanged { bound, .. }) => {
                self.write_netlist(folder, mapped, None)?;
                write(&folder.join(BOUND), bound)?;
            }
            Run::Placing(first) => self.write_netlist(folder, mapped, *first)?,
            Run::First | Run::Whole => self.write_netlist(folder, mapped, None)?,
        }
        write(&folder.join(self.constraints), pins)?;

        const WRITES: [&str; 3] = ["--no-route", "--write", PLACED];
        const BOUND_PLACER: [&str; 3] =
            ["--placer", Exchange::PLACER_OF_BOUND, Exchange::IGNORES_CONTROL_SETS];
        let seed = self.seed.to_string();
        let seed = ["--seed", &seed];
        let placer = self.placer.map_or(vec![], |placer| vec!["--placer", placer]);
        let in_python = self.exchange.as_ref().is_some_and(Exchange::tells_in_python);
        let kept_free = binding(&self.kept_free);
        let (words, before_placing, before_routing): (Vec<&[&str]>, _, _) = match run {
            // Where blocks gather does not depend on the seed.
            Run::First => (vec![&placer, &WRITES], kept_free, ""),
            Run::Placing(_) if in_python => (vec![&seed, &placer], kept_free, WRITING),
            Run::Placing(_) => (vec![&seed, &placer, &WRITES], kept_free, ""),
            Run::Whole => (vec![&seed, &placer], kept_free, ""),
            Run::Bound(_) if in_python => {
                (vec![&seed, &BOUND_PLACER], BINDING.to_owned(), CHECKING)
            }
            Run::Bound(_) => (vec![&seed, &BOUND_PLACER], String::new(), ""),
        };
        let mut arguments = self.arguments.clone();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        words.into_iter().for_each(&mut add);
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
        if let Run::Whole | Run::Bound(_) = run {
            arguments.extend_from_slice(&self.routing);
        }
        Ok(arguments)
    }

    /// Writes the netlist that is placed; with blocks at their sites, once they are known.
    fn write_netlist(
        &self,
        folder: &Path,
        mapped: &Path,
        first: Option<&First>,
    ) -> Result<(), FpgaError> {
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
        write(&folder.join(NETLIST), netlist.to_string())
    }

    /// Writes the netlist that nextpnr placed, with the places that its cells shall have.
    pub(super) fn write_bound(
        &self,
        path: &Path,
        placed: &[u8],
        bound: &str,
    ) -> Result<(), FpgaError> {
        let mut netlist = bound_netlist(placed, bound)?;
        set_settings(&mut netlist, self.settings)?;
        write(path, netlist.to_string())
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
    /// It places, with blocks at their sites if these are known, and writes where cells stand.
    Placing(Option<&'a First>),
    /// It places and routes.
    Whole,
    /// It routes; cells stand where they were told to.
    Bound(&'a Exchanged),
}

/// What is needed to let cells exchange places.
pub(super) struct Exchange {
    pub(super) of: Exchangers,
    pub(super) array_clock_ratio: u32,
    /// What the card's clock is asked for meanwhile, MHz: more than it can reach.
    pub(super) missed_mhz: f64,
}

/// Whose cells exchange places.
pub(super) enum Exchangers {
    /// Those of a 7-series' part with these tiles, by kind, column and row. nextpnr's Python tells where they stand.
    SevenSeries(Vec<(String, u32, u32)>),
    /// Those of an ECP5 of this speed grade. nextpnr writes where they stand with the netlist.
    Ecp5(u32),
}

impl Exchange {
    /// The placer that does nothing when all is bound. Of the others, one moves chains of carries all the same.
    const PLACER_OF_BOUND: &'static str = "heap";
    /// Of some cards it else looks for a slice's first flip-flop where there is none, and ends.
    const IGNORES_CONTROL_SETS: &'static str = "--placer-heap-no-ctrl-set";

    pub(super) fn tells_in_python(&self) -> bool {
        matches!(self.of, Exchangers::SevenSeries(_))
    }

    /// The file in which nextpnr tells where cells stand.
    pub(super) fn told_in(&self) -> &'static str {
        if self.tells_in_python() { placement::PLACED } else { PLACED }
    }

    /// Better places; `hears` how much is done and how long the longest way is, ns.
    pub(super) fn better(
        &self,
        placed: &[u8],
        hears: &mut dyn FnMut(f64, f32),
    ) -> Result<Better, FpgaError> {
        let ratio = self.array_clock_ratio;
        match &self.of {
            Exchangers::SevenSeries(tiles) => {
                let tiles = tiles.iter().map(|(kind, x, y)| (kind.as_str(), *x, *y));
                improved_xc7(placed, tiles, ratio, hears)
            }
            Exchangers::Ecp5(speed) => improved_ecp5(placed, *speed, ratio, hears),
        }
    }
}

/// Where cells stand that have exchanged places.
#[derive(Deserialize, Serialize)]
pub(super) struct Exchanged {
    /// Names and places, as nextpnr's Python reads them.
    pub(super) bound: String,
    /// The longest way that is expected, ns, in cycles of the card's clock.
    pub(super) longest_ns: f32,
    /// The netlist that says so, if it does.
    #[serde(skip)]
    pub(super) netlist: Option<PathBuf>,
}

impl Exchanged {
    /// What is expected of the card's clock, MHz, if it has any ways.
    pub(super) fn expected_mhz(&self) -> Option<f64> {
        (self.longest_ns > 0.0).then(|| 1e3 / f64::from(self.longest_ns))
    }
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
    pub(super) asks: Asks,
    /// Less by so much since others were given up.
    pub(super) eased: f64,
    /// The line of the board's constraints that says how fast its input is.
    pub(super) clock: InputClock,
}

impl Aim {
    /// By how much the input is said to be faster; with what is expected of the card's clock, MHz, if that is known.
    pub(super) fn ahead(&self, expected_mhz: Option<f64>) -> f64 {
        let mhz = match (self.asks, expected_mhz) {
            (Asks::Mhz(mhz), _) => mhz,
            (Asks::OfExpected(share), Some(expected_mhz)) => share * expected_mhz,
            (Asks::OfExpected(_), None) | (Asks::AsWanted, _) => return 1.0,
        };
        // In tenths of a MHz, as people would write it.
        ((10.0 * mhz * self.eased).round() / 10.0).max(0.1) / self.asked_mhz
    }
}

/// What the router is asked for.
#[derive(Clone, Copy)]
pub(super) enum Asks {
    /// What the card shall have.
    AsWanted,
    /// So many MHz of the card's clock.
    Mhz(f64),
    /// So much of what is expected of the placement.
    OfExpected(f64),
}

/// By so much less with each placement that was given up: what is late may have been what kept it from being routed.
const EASED: f64 = 0.93;

/// Asked for what none reaches, an array's clock that is so many times faster is asked for little more than it can reach.
const MISSED_RATIO: u32 = 2;

impl Goal {
    /// Whether a whole card is asked for what the flow finds: nobody has said otherwise. Asked for what none reaches, a faster array's
    /// clock would be all that is heeded.
    pub(super) fn is_free(&self, first: Asks) -> bool {
        let is_heeded = match first {
            Asks::Mhz(_) => self.array_clock_ratio <= MISSED_RATIO,
            Asks::AsWanted | Asks::OfExpected(_) => true,
        };
        self.whole && self.aim_mhz.is_none() && is_heeded
    }

    /// What a whole card is asked for, at first that if nobody has said otherwise, and arguments of its routing. With a clock that can
    /// be met what is late goes back to the queue until all is in time. With one that cannot, the card's becomes as fast as it may.
    pub(super) fn aim(&self, clock: InputClock, first: Asks) -> (Option<Aim>, Vec<String>) {
        if !self.whole {
            return (None, Vec::new());
        }
        let aim = Aim {
            input_mhz: self.board.input_mhz,
            asked_mhz: self.mhz,
            asks: match self.aim_mhz {
                Some(mhz) => Asks::Mhz(mhz),
                None if self.is_free(first) => first,
                None => Asks::AsWanted,
            },
            eased: EASED.powi(self.attempt),
            clock,
        };
        let is_missed = self.is_free(first) && matches!(first, Asks::Mhz(_));
        let routing = if is_missed { vec![] } else { vec!["--tmg-ripup".to_owned()] };
        (Some(aim), routing)
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
