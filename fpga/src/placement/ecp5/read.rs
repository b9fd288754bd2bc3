//! A placed design, as nextpnr writes it, and the netlist that is placed so.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

use crate::boards::TOP;
use crate::error::FpgaError;
use crate::floorplan::place;
use crate::placement::design::{Design, Kind, Pin, bad};

/// The buffer of the array's clock, as nextpnr names it: after the net, which the boards' tops name.
const ARRAY_CLOCK: &str = "$gbuf$array_clk";
/// Where nextpnr says in which place a cell stands, and how firmly; and where it is told.
const STANDS_AT: &str = "NEXTPNR_BEL";
const FIRMLY: &str = "BEL_STRENGTH";
const SHALL_STAND_AT: &str = "BEL";
/// Pins have places of their own, by the board's constraints.
const PAD: &str = "TRELLIS_IO";

#[derive(Deserialize)]
struct Netlist {
    modules: BTreeMap<String, Module>,
}

#[derive(Deserialize)]
struct Module {
    cells: BTreeMap<String, Cell>,
}

#[derive(Deserialize)]
struct Cell {
    #[serde(rename = "type")]
    kind: String,
    parameters: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
    port_directions: BTreeMap<String, String>,
    /// Nets have numbers; what is connected to none has no entry.
    connections: BTreeMap<String, Vec<u64>>,
}

impl Cell {
    /// A parameter, without the blank that parts words from bits.
    fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", |value| value.trim_end())
    }

    fn is_registered(&self, parameter: &str) -> bool {
        !matches!(self.parameter(parameter), "" | "NONE")
    }

    fn kind(&self) -> Kind {
        match self.kind.as_str() {
            "TRELLIS_COMB" if self.parameter("MODE") == "CCU2" => Kind::Carry,
            "TRELLIS_COMB" => Kind::Table,
            "TRELLIS_FF" => Kind::FlipFlop,
            "TRELLIS_RAMW" => Kind::WritePort,
            "DP16KD" => Kind::Memory,
            "MULT18X18D" if self.is_registered("REG_INPUTA_CLK") => Kind::Multiplier,
            "MULT18X18D" if self.is_registered("REG_OUTPUT_CLK") => Kind::Product,
            "MULT18X18D" => Kind::BareProduct,
            _ => Kind::Other,
        }
    }

    /// It moves with its chain, or with the memory that it is a part of.
    fn is_rigid(&self) -> bool {
        matches!(self.parameter("MODE"), "CCU2" | "DPRAM" | "RAMW_BLOCK")
            || self.kind == "TRELLIS_RAMW"
    }
}

fn pin(kind: Kind, name: &str) -> Pin {
    match (kind, name) {
        (Kind::Table | Kind::Carry, "A" | "B" | "C" | "D") => Pin::Input,
        (Kind::Table | Kind::Carry, "F") | (Kind::FlipFlop, "Q") => Pin::Output,
        (Kind::Carry, "FCI") => Pin::CarryIn,
        (Kind::Carry, "FCO") => Pin::CarryOut(0),
        (Kind::Table, "WD") => Pin::WriteData,
        (Kind::Table, "WRE") => Pin::WriteEnable,
        (Kind::Table, name) if name.starts_with("WAD") => Pin::WriteAddress,
        (Kind::FlipFlop, "M") => Pin::Data,
        (Kind::FlipFlop, "DI") => Pin::DataOfTable,
        (Kind::FlipFlop, "CE") => Pin::Enable,
        (Kind::FlipFlop, "LSR") => Pin::Reset,
        (_, "CLK" | "WCK" | "CLKA" | "CLK0") => Pin::Clock,
        _ => Pin::Other,
    }
}

/// Reads what nextpnr wrote.
pub(super) fn design(placed: &[u8]) -> Result<Design, FpgaError> {
    let netlist: Netlist =
        serde_json::from_slice(placed).map_err(FpgaError::json("nextpnr's placement"))?;
    let module = netlist.modules.into_values().next().ok_or_else(|| bad("it has no module"))?;
    let mut design = Design::default();
    for (name, cell) in &module.cells {
        let bel = cell.attributes.get(STANDS_AT).map_or("", String::as_str);
        let at = place(bel).map_or((0, 0), |(x, y)| (x as i32, y as i32));
        design.add_cell(name, cell.kind(), bel, at);
    }
    let mut nets = HashMap::new();
    for (number, cell) in module.cells.values().enumerate() {
        for (name, net) in cell.connections_of("output") {
            nets.insert(net, design.nets.len());
            design.add_net(number, pin(cell.kind(), name));
        }
    }
    for (number, cell) in module.cells.values().enumerate() {
        for (name, net) in cell.connections_of("input") {
            // Some pins of the part are connected to nothing but a number.
            if let Some(&net) = nets.get(&net) {
                design.add_user(net, number, pin(cell.kind(), name));
            }
        }
    }
    complete(&mut design, module.cells.values());
    Ok(design)
}

impl Cell {
    fn connections_of(&self, direction: &str) -> impl Iterator<Item = (&str, u64)> {
        let of_direction = move |name: &str| {
            self.port_directions.get(name).is_some_and(|of_port| of_port == direction)
        };
        let connected = self
            .connections
            .iter()
            .filter_map(|(name, nets)| nets.first().map(|&net| (name.as_str(), net)));
        connected.filter(move |(name, _)| of_direction(name))
    }
}

/// What follows from several cells, or from what is no connection.
fn complete<'a>(design: &mut Design, cells: impl Iterator<Item = &'a Cell>) {
    let mut groups = HashMap::new();
    let mut pairs = HashMap::new();
    for (number, told) in cells.enumerate() {
        let cell = &design.cells[number];
        let inverted = |mux: &str| told.parameter(mux) == "INV";
        let driver = |pin: Pin| cell.net_at(pin).map(|net| design.nets[net].driver.0);
        let in_array =
            driver(Pin::Clock).is_some_and(|driver| design.cells[driver].name == ARRAY_CLOCK);
        let mut rigid = told.is_rigid();
        let mut controls = [0; 2];
        if cell.kind == Kind::FlipFlop {
            let [clock, reset] = [("CLKMUX", Pin::Clock), ("LSRMUX", Pin::Reset)]
                .map(|(mux, pin)| (inverted(mux), cell.net_at(pin)));
            let group = (clock, reset, told.parameter("SRMODE") == "ASYNC");
            let pair = (
                told.parameter("GSR").to_owned(),
                told.parameter("CEMUX").to_owned(),
                cell.net_at(Pin::Enable),
            );
            let next = groups.len();
            controls[0] = *groups.entry(group).or_insert(next);
            let next = pairs.len();
            controls[1] = *pairs.entry(pair).or_insert(next);
            // Beside memory nothing is inverted that its writing is not.
            rigid |= clock.0 || reset.0;
        }
        let table = driver(Pin::DataOfTable);
        let is_constant = cell.inputs.is_empty() && matches!(cell.kind, Kind::Table | Kind::Carry);
        let outputs: Vec<usize> = cell.outputs.iter().map(|&(_, net)| net).collect();
        if is_constant {
            outputs.into_iter().for_each(|net| design.nets[net].timed = false);
        }
        let cell = &mut design.cells[number];
        cell.in_array = in_array;
        cell.rigid |= rigid;
        cell.controls = controls;
        if let Some(table) = table {
            cell.tied = true;
            design.cells[table].tied = true;
        }
    }
    // A flip-flop moves with its table.
    for number in 0..design.cells.len() {
        let table = design.cells[number].net_at(Pin::DataOfTable);
        let table = table.map(|net| design.nets[net].driver.0);
        if table.is_some_and(|table| design.cells[table].rigid) {
            design.cells[number].rigid = true;
        }
    }
}

/// The netlist of a placed design, with the places that its cells shall have: names and places, each pair in a line, parted by
/// a tab. nextpnr packs it once more, which leaves all cells as they are.
///
/// # Errors
/// [`FpgaError::BadOutput`] when the text is no placement, or has no such cells.
pub fn bound_netlist(placed: &[u8], bound: &str) -> Result<Value, FpgaError> {
    let mut netlist: Value =
        serde_json::from_slice(placed).map_err(FpgaError::json("nextpnr's placement"))?;
    let modules = netlist.get_mut("modules").and_then(Value::as_object_mut);
    let modules = modules.ok_or_else(|| bad("it has no modules"))?;
    // nextpnr calls it otherwise.
    let (_, module) =
        std::mem::take(modules).into_iter().next().ok_or_else(|| bad("it has no module"))?;
    let module = modules.entry(TOP).or_insert(module);
    // They say that it is packed and placed already.
    module.as_object_mut().map(|module| module.remove("settings"));
    for line in bound.lines() {
        let known = line.split_once('\t').and_then(|(name, bel)| {
            let cell = module.get_mut("cells")?.get_mut(name)?;
            let is_pad = cell.get("type")? == PAD;
            let attributes = cell.get_mut("attributes")?.as_object_mut()?;
            attributes.remove(STANDS_AT);
            attributes.remove(FIRMLY);
            if !is_pad {
                attributes.insert(SHALL_STAND_AT.to_owned(), bel.into());
            }
            Some(())
        });
        known.ok_or_else(|| bad(format!("no cell for `{line}`")))?;
    }
    Ok(netlist)
}
