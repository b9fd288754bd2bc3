//! Paths through multipliers. nextpnr's data of the 7-series has no delays of the DSP48E1, so it leaves out every path that
//! begins or ends in one; Project X-Ray's database has them.
//!
//! ```text
//!  nextpnr: delays of cells and ways (SDF) ──┐
//!  netlist: ways, settings of each DSP48E1 ──┼─► graph of pins ─► longest path that touches a multiplier
//!  database: delays by settings (SDF) ───────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use self::wires::Wires;
use super::sdf;
use crate::boards::TOP;
use crate::error::FpgaError;
use crate::netlist;
use crate::report::{CriticalPath, Hop};

mod wires;

/// The block, as yosys and the database call it.
const BLOCK: &str = "DSP48E1";
/// Settings that a netlist leaves out have the block's own values.
const DEFAULTS: [(&str, &str); 19] = [
    ("ACASCREG", "1"),
    ("ADREG", "1"),
    ("ALUMODEREG", "1"),
    ("AREG", "1"),
    ("A_INPUT", "DIRECT"),
    ("BCASCREG", "1"),
    ("BREG", "1"),
    ("B_INPUT", "DIRECT"),
    ("CARRYINREG", "1"),
    ("CARRYINSELREG", "1"),
    ("CREG", "1"),
    ("DREG", "1"),
    ("INMODEREG", "1"),
    ("MREG", "1"),
    ("OPMODEREG", "1"),
    ("PREG", "1"),
    ("USE_DPORT", "FALSE"),
    ("USE_MULT", "MULTIPLY"),
    ("USE_PATTERN_DETECT", "NO_PATDET"),
];

/// Settings of a block, by name.
pub type Settings = BTreeMap<String, String>;

/// Delays of a block that hold when its settings are some, nanoseconds.
struct Rule {
    when: Vec<(&'static str, String)>,
    /// From a pin to another one, and setup times of pins before the clock.
    delays: Vec<(String, String, f64)>,
    setups: Vec<(String, f64)>,
}

/// What the database knows of the block's delays.
pub struct Library(Vec<Rule>);

impl Library {
    /// From the database's file.
    ///
    /// # Errors
    /// [`FpgaError::BadOutput`] when it is no SDF, or has no delays of the block.
    pub fn read(text: &str) -> Result<Self, FpgaError> {
        let bad = |problem: String| FpgaError::BadOutput {
            what: "the database's delays of multipliers",
            problem,
        };
        let mut rules = Vec::new();
        for cell in sdf::cells(text).map_err(bad)? {
            let Some(conditions) = cell.kind.strip_prefix(BLOCK) else { continue };
            let Some(when) = conditions_of(conditions.trim_start_matches('_')) else { continue };
            rules.push(Rule {
                when,
                delays: cell.delays,
                setups: cell.setups.into_iter().map(|(pin, _, setup)| (pin, setup)).collect(),
            });
        }
        if rules.is_empty() { Err(bad("it has none".to_owned())) } else { Ok(Self(rules)) }
    }

    fn of<'a>(&'a self, settings: &'a Settings) -> impl Iterator<Item = &'a Rule> {
        let value = |name: &str| {
            let default = DEFAULTS.iter().find(|(known, _)| *known == name);
            settings.get(name).map(String::as_str).or(default.map(|(_, value)| *value))
        };
        self.0
            .iter()
            .filter(move |rule| rule.when.iter().all(|(name, is)| value(name) == Some(is.as_str())))
    }
}

/// `AREG_0_A_INPUT_DIRECT` is two conditions; nothing when a setting is not known.
fn conditions_of(text: &str) -> Option<Vec<(&'static str, String)>> {
    let mut conditions: Vec<(&'static str, String)> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let known = DEFAULTS.iter().map(|(name, _)| *name);
        let longest = known
            .filter(|name| rest.strip_prefix(*name).is_some_and(|rest| rest.starts_with('_')))
            .max_by_key(|name| name.len());
        match (longest, rest.split_once('_')) {
            (Some(name), _) => {
                conditions.push((name, String::new()));
                rest = &rest[name.len() + 1..];
            }
            (None, split) => {
                // A part of the value: some have a line in them.
                let (part, more) = split.unwrap_or((rest, ""));
                let (_, value) = conditions.last_mut()?;
                let line = if value.is_empty() { "" } else { "_" };
                *value += &format!("{line}{part}");
                rest = more;
            }
        }
    }
    Some(conditions)
}

/// The settings of each block of a netlist, by its name.
pub fn blocks(netlist: &Value) -> BTreeMap<String, Settings> {
    netlist::cells_of_top(netlist)
        .filter(|(_, cell)| cell["type"] == BLOCK)
        .map(|(name, cell)| {
            let parameters = cell["parameters"].as_object().into_iter().flatten();
            let settings = parameters.filter_map(|(name, value)| {
                let value = value.as_str()?.trim();
                let number = u64::from_str_radix(value, 2);
                Some((name.clone(), number.map_or(value.to_owned(), |value| value.to_string())))
            });
            (name.clone(), settings.collect())
        })
        .collect()
}

/// A way from one pin to another.
struct Arc {
    to: usize,
    delay: f64,
    /// Through a cell, else between cells.
    inside: bool,
}

/// Pins and the ways between them.
#[derive(Default)]
struct Graph {
    names: HashMap<String, usize>,
    pins: Vec<String>,
    arcs: Vec<Vec<Arc>>,
    /// Pins at which paths begin, with the time from the clock, and the clock's pin.
    begin: HashMap<usize, (f64, usize)>,
    /// Pins at which paths end, with the time before the clock, and the clock's pin.
    end: HashMap<usize, (f64, usize)>,
    /// Pins of multipliers.
    blocks: Vec<bool>,
}

impl Graph {
    fn pin(&mut self, name: String) -> usize {
        if let Some(&pin) = self.names.get(&name) {
            return pin;
        }
        let pin = self.pins.len();
        self.names.insert(name.clone(), pin);
        self.pins.push(name);
        self.arcs.push(Vec::new());
        self.blocks.push(false);
        pin
    }

    fn begin_at(&mut self, pin: usize, delay: f64, clock: usize) {
        let known = self.begin.entry(pin).or_insert((delay, clock));
        known.0 = known.0.max(delay);
    }

    fn end_at(&mut self, pin: usize, setup: f64, clock: usize) {
        let known = self.end.entry(pin).or_insert((setup, clock));
        known.0 = known.0.max(setup);
    }

    fn add(&mut self, cell: &sdf::Cell, wires: &Wires) {
        for (from, to, delay) in &cell.delays {
            let to = self.pin(format!("{}/{to}", cell.instance));
            let is_clock = cell.setups.iter().any(|(_, clock, _)| clock == from);
            let from = self.pin(format!("{}/{from}", cell.instance));
            if is_clock {
                self.begin_at(to, *delay, from);
            } else {
                self.arcs[from].push(Arc { to, delay: *delay, inside: true });
            }
        }
        for (pin, clock, setup) in &cell.setups {
            let [pin, clock] = [pin, clock].map(|pin| self.pin(format!("{}/{pin}", cell.instance)));
            self.end_at(pin, *setup, clock);
        }
        for (from, to, delay) in cell.ways.iter().filter(|(from, to, _)| wires.has(from, to)) {
            let (from, to) = (self.pin(from.clone()), self.pin(to.clone()));
            self.arcs[from].push(Arc { to, delay: *delay, inside: false });
        }
    }

    /// Gives the pins of a block the delays that go with its settings.
    fn add_block(
        &mut self,
        instance: &str,
        pins: &[(usize, String)],
        library: &Library,
        settings: &Settings,
    ) {
        let clock = self.pin(format!("{instance}/CLK"));
        // The database tells of buses, a design of their bits.
        let is = |pin: &str, bus: &str| {
            pin.strip_prefix(bus).is_some_and(|bit| bit.bytes().all(|digit| digit.is_ascii_digit()))
        };
        for (pin, _) in pins {
            self.blocks[*pin] = true;
        }
        for rule in library.of(settings) {
            for (from, to, delay) in &rule.delays {
                let outputs = pins.iter().filter(|(_, name)| is(name, to));
                for (output, _) in outputs {
                    if from == "CLK" {
                        self.begin_at(*output, *delay, clock);
                        continue;
                    }
                    for (input, _) in pins.iter().filter(|(_, name)| is(name, from)) {
                        self.arcs[*input].push(Arc { to: *output, delay: *delay, inside: true });
                    }
                }
            }
            for (name, setup) in &rule.setups {
                for (pin, _) in pins.iter().filter(|(_, pin)| is(pin, name)) {
                    self.end_at(*pin, *setup, clock);
                }
            }
        }
    }

    /// Pins in an order in which every way goes forward; what goes in circles is left out.
    fn order(&self) -> Vec<usize> {
        let mut before = vec![0_u32; self.pins.len()];
        for arc in self.arcs.iter().flatten() {
            before[arc.to] += 1;
        }
        let mut order: Vec<usize> = (0..before.len()).filter(|pin| before[*pin] == 0).collect();
        let mut next = 0;
        while let Some(&pin) = order.get(next) {
            next += 1;
            for arc in &self.arcs[pin] {
                before[arc.to] -= 1;
                if before[arc.to] == 0 {
                    order.push(arc.to);
                }
            }
        }
        order
    }

    /// What drives each pin of a clock; nothing for those of which no way tells.
    fn drivers(&self) -> HashMap<usize, usize> {
        let clocks: HashSet<usize> =
            self.begin.values().chain(self.end.values()).map(|(_, clock)| *clock).collect();
        let ways = self.arcs.iter().enumerate().flat_map(|(from, arcs)| {
            arcs.iter().filter(|arc| !arc.inside).map(move |arc| (arc.to, from))
        });
        ways.filter(|(to, _)| clocks.contains(to)).collect()
    }

    /// The longest path between two clocks, given by what drives them, or the longest of those that touch a multiplier;
    /// `order` is that of [`Self::order`].
    fn longest(
        &self,
        order: &[usize],
        only_blocks: bool,
        clocks: &Clocks<'_>,
    ) -> Option<CriticalPath> {
        // Twice: whatever comes, and what has touched a multiplier; with the pin before, and which of the two it had.
        let nothing = || vec![None::<(f64, Option<(usize, usize)>)>; self.pins.len()];
        let mut arrival = [nothing(), nothing()];
        for &pin in order {
            let touches = self.blocks[pin];
            let begins = self.begin.get(&pin).filter(|(_, clock)| clocks.begins(*clock));
            if let Some(&(delay, _)) = begins {
                for at in arrival.iter_mut().take(1 + usize::from(touches)) {
                    if at[pin].is_none_or(|(known, _)| delay > known) {
                        at[pin] = Some((delay, None));
                    }
                }
            }
            for side in 0..2 {
                let Some((begun, _)) = arrival[side][pin] else { continue };
                for arc in &self.arcs[pin] {
                    let last = usize::from(side == 1 || self.blocks[arc.to]);
                    for at in &mut arrival[side..=last] {
                        let time = begun + arc.delay;
                        if at[arc.to].is_none_or(|(known, _)| time > known) {
                            at[arc.to] = Some((time, Some((pin, side))));
                        }
                    }
                }
            }
        }
        let side = usize::from(only_blocks);
        let ends = self.end.iter().filter(|(_, (_, clock))| clocks.ends(*clock));
        let ends = ends.filter_map(|(&pin, &(setup, _))| {
            arrival[side][pin].map(|(at, _)| (at + setup, pin, setup))
        });
        // Of equal ones the first by name, so that reports do not differ.
        let (_, last, setup) = ends.max_by(|one, other| {
            one.0.total_cmp(&other.0).then_with(|| self.pins[other.1].cmp(&self.pins[one.1]))
        })?;
        let mut hops = vec![self.hop("setup", last, setup)];
        let (mut pin, mut side) = (last, side);
        while let Some((at, before)) = arrival[side][pin] {
            let Some((from, from_side)) = before else {
                hops.push(self.hop("clk-to-q", pin, at));
                break;
            };
            let started = arrival[from_side][from].map_or(0.0, |(at, _)| at);
            let inside = self.arcs[from].iter().any(|arc| arc.to == pin && arc.inside);
            hops.push(self.hop(if inside { "logic" } else { "routing" }, pin, at - started));
            (pin, side) = (from, from_side);
        }
        hops.reverse();
        Some(CriticalPath { clocks: "multipliers, edge to edge".to_owned(), hops })
    }

    fn hop(&self, kind: &str, pin: usize, nanoseconds: f64) -> Hop {
        Hop { kind: kind.to_owned(), signal: self.pins[pin].replace('/', "."), nanoseconds }
    }
}

/// Between which clocks a path is looked for.
struct Clocks<'a> {
    drivers: &'a HashMap<usize, usize>,
    from: Option<usize>,
    to: Option<usize>,
}

impl Clocks<'_> {
    fn begins(&self, pin: usize) -> bool {
        self.drivers.get(&pin).copied() == self.from
    }

    fn ends(&self, pin: usize) -> bool {
        self.drivers.get(&pin).copied() == self.to
    }
}

/// A path that touches a multiplier.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiplierPath {
    /// The longest one between its two clocks.
    pub path: CriticalPath,
    /// The clock in which it begins and ends, by all its names; nothing when it goes from one to another.
    clock: Option<Vec<String>>,
}

impl MultiplierPath {
    /// Whether the path begins and ends with a clock. One whose name is not known may be any.
    pub fn within(&self, clock: &str) -> bool {
        let names = self.clock.as_ref();
        names.is_some_and(|names| names.is_empty() || names.iter().any(|name| name == clock))
    }
}

/// The longest paths that begin, end or pass in a multiplier, one for each two clocks: from nextpnr's delays of a routed
/// design, its netlist and the database's delays.
///
/// # Errors
/// [`FpgaError::BadOutput`] when the delays are no SDF.
pub fn multiplier_paths(
    delays: &str,
    netlist: &Value,
    library: &Library,
) -> Result<Vec<MultiplierPath>, FpgaError> {
    let graph = graph(delays, netlist, library)?;
    let (order, drivers) = (graph.order(), graph.drivers());
    let pins = graph.begin.values().chain(graph.end.values()).map(|(_, clock)| clock);
    let clocks: BTreeSet<Option<usize>> = pins.map(|pin| drivers.get(pin).copied()).collect();
    let names: BTreeMap<Option<usize>, Vec<String>> = (clocks.iter())
        .map(|&clock| (clock, clock.map_or_else(Vec::new, |pin| nets(netlist, &graph.pins[pin]))))
        .collect();
    let both = clocks.iter().flat_map(|&from| clocks.iter().map(move |&to| (from, to)));
    let found = both.filter_map(|(from, to)| {
        let mut path = graph.longest(&order, true, &Clocks { drivers: &drivers, from, to })?;
        let name = |clock| names[&clock].first().map_or("clock", String::as_str);
        path.clocks = format!("posedge {} to posedge {}", name(from), name(to));
        Some(MultiplierPath { path, clock: (from == to).then(|| names[&from].clone()) })
    });
    Ok(found.collect())
}

/// The names of the signal that a pin of a cell of the top drives, the shortest first; those that tools made are left out.
fn nets(netlist: &Value, pin: &str) -> Vec<String> {
    let top = &netlist["modules"][TOP];
    let Some((cell, port)) = pin.rsplit_once('/') else { return Vec::new() };
    let bit = &top["cells"][cell]["connections"][port][0];
    let nets = top["netnames"].as_object().into_iter().flatten();
    let mut names: Vec<String> = nets
        .filter(|(name, net)| !name.contains('$') && bit.is_number() && net["bits"][0] == *bit)
        .map(|(name, _)| name.clone())
        .collect();
    names.sort_by_key(|name| (name.len(), name.clone()));
    names
}

fn graph(delays: &str, netlist: &Value, library: &Library) -> Result<Graph, FpgaError> {
    let bad = |problem| FpgaError::BadOutput { what: "nextpnr's file of delays", problem };
    let (mut graph, wires) = (Graph::default(), Wires::of(netlist));
    for cell in sdf::cells(delays).map_err(bad)? {
        graph.add(&cell, &wires);
    }
    let blocks = blocks(netlist);
    let mut pins: BTreeMap<&str, Vec<(usize, String)>> = BTreeMap::new();
    for (pin, name) in graph.pins.iter().enumerate() {
        let Some((instance, port)) = name.rsplit_once('/') else { continue };
        if let Some((instance, _)) = blocks.get_key_value(instance) {
            pins.entry(instance).or_default().push((pin, port.to_owned()));
        }
    }
    for (instance, pins) in pins {
        graph.add_block(instance, &pins, library, &blocks[instance]);
    }
    Ok(graph)
}

#[cfg(test)]
mod tests;
