//! Registers move into the multipliers of the ECP5.
//!
//! yosys maps a product to a MULT18X18D without its registers, and leaves the registers around it in slices; then
//! a path goes from a slice through the multiplier to a slice. The block has registers of its own at both inputs
//! and at the output. Here they take the place of those slices where both do the same: the same clock, the same
//! enable, no reset, no value at power-up that somebody asked for.
//!
//! - An input: every bit comes from such a register, or all of them from one constant. The register stays where
//!   others need it, too.
//! - The output: every bit goes to one such register and nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::boards::TOP;
use crate::error::FpgaError;

const MULTIPLIER: &str = "MULT18X18D";
/// That of the 7-series, in which yosys has put what registers it could.
const DSP48E1: &str = "DSP48E1";
pub(crate) const FLIP_FLOP: &str = "TRELLIS_FF";
const INPUT_BITS: u32 = 18;
const OUTPUT_BITS: u32 = 36;

/// What the pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Multipliers.
    pub multipliers: u64,
    /// Those whose both inputs have their registers now.
    pub inputs: u64,
    /// Those whose output has its registers now.
    pub outputs: u64,
    /// Flip-flops that are gone.
    pub flip_flops: u64,
}

impl Packed {
    fn add(&mut self, other: Self) {
        self.multipliers += other.multipliers;
        self.inputs += other.inputs;
        self.outputs += other.outputs;
        self.flip_flops += other.flip_flops;
    }
}

/// A signal of a module as yosys numbers them; constants have none.
pub(crate) type Net = u64;

/// What must be equal for registers to move together: clock and enable.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Control {
    clock: Value,
    /// Nothing when always enabled.
    enable: Option<Value>,
}

/// Moves registers into multipliers in each module of a netlist, in the JSON that yosys writes.
///
/// # Errors
/// [`FpgaError::BadOutput`] when this is no such netlist.
pub fn pack_registers(netlist: &mut Value) -> Result<Packed, FpgaError> {
    let modules = modules_of(netlist)?;
    let mut packed = Packed::default();
    for module in modules.values_mut() {
        packed.add(pack_module(module));
    }
    Ok(packed)
}

/// The modules of a netlist.
pub(crate) fn modules_of(netlist: &mut Value) -> Result<&mut Map<String, Value>, FpgaError> {
    let bad = || FpgaError::BadOutput { what: "the netlist", problem: "it has no modules".into() };
    netlist.get_mut("modules").and_then(Value::as_object_mut).ok_or_else(bad)
}

/// The cells of a board's top, in a netlist as yosys writes it.
pub(crate) fn top_cells(netlist: &mut Value) -> Result<&mut Map<String, Value>, FpgaError> {
    let no_top = || FpgaError::BadOutput { what: "yosys' netlist", problem: format!("no {TOP}") };
    modules_of(netlist)?.get_mut(TOP).and_then(cells).ok_or_else(no_top)
}

/// The cells of a board's top by name, to read; none of what is no netlist.
pub(crate) fn cells_of_top(netlist: &Value) -> impl Iterator<Item = (&String, &Value)> {
    netlist["modules"][TOP]["cells"].as_object().into_iter().flatten()
}

/// The kind of a cell.
pub(crate) fn kind(cell: &Value) -> &str {
    cell["type"].as_str().unwrap_or_default()
}

pub(crate) fn net(bit: &Value) -> Option<Net> {
    bit.as_u64()
}

/// The nets at the ports of a cell that are `input` or `output`.
pub(crate) fn nets<'a>(cell: &'a Value, direction: &'a str) -> impl Iterator<Item = Net> + 'a {
    let directions = cell.get("port_directions").and_then(Value::as_object);
    let connections = cell.get("connections").and_then(Value::as_object);
    let ports = directions.into_iter().flatten().filter(move |(_, is)| *is == direction);
    ports.filter_map(move |(port, _)| connections?.get(port)?.as_array()).flatten().filter_map(net)
}

/// The only bit of a cell's port.
pub(crate) fn bit<'a>(cell: &'a Value, port: &str) -> Option<&'a Value> {
    cell.get("connections")?.get(port)?.as_array()?.first()
}

/// How many readers each net has, and which flip-flop drives it.
struct Nets {
    readers: BTreeMap<Net, u64>,
    driver: BTreeMap<Net, String>,
    /// Flip-flops by the net at their input.
    sink: BTreeMap<Net, Vec<String>>,
}

impl Nets {
    fn of(module: &Value) -> Self {
        let mut nets =
            Self { readers: BTreeMap::new(), driver: BTreeMap::new(), sink: BTreeMap::new() };
        let empty = Map::new();
        let cells = module.get("cells").and_then(Value::as_object).unwrap_or(&empty);
        for (name, cell) in cells {
            let directions = cell.get("port_directions").and_then(Value::as_object);
            let connections = cell.get("connections").and_then(Value::as_object);
            for (port, bits) in connections.into_iter().flatten() {
                let is_output = directions
                    .and_then(|directions| directions.get(port))
                    .is_some_and(|direction| direction == "output");
                if !is_output {
                    for read in bits.as_array().into_iter().flatten().filter_map(net) {
                        *nets.readers.entry(read).or_default() += 1;
                    }
                }
            }
            if cell.get("type").is_some_and(|kind| kind == FLIP_FLOP) {
                if let Some(output) = bit(cell, "Q").and_then(net) {
                    nets.driver.insert(output, name.clone());
                }
                if let Some(input) = bit(cell, "DI").and_then(net) {
                    nets.sink.entry(input).or_default().push(name.clone());
                }
            }
        }
        let ports = module.get("ports").and_then(Value::as_object);
        for port in ports.into_iter().flat_map(Map::values) {
            if port.get("direction").is_some_and(|direction| direction != "input") {
                let bits = port.get("bits").and_then(Value::as_array);
                for read in bits.into_iter().flatten().filter_map(net) {
                    *nets.readers.entry(read).or_default() += 1;
                }
            }
        }
        nets
    }
}

/// Clock and enable of a flip-flop that a multiplier's register can stand for.
fn control(cell: &Value) -> Option<Control> {
    // A text that could be a number has a blank behind it, so that it is none: `CEMUX` is "1 ".
    let parameter = |name: &str| {
        let value = cell.get("parameters").and_then(|all| all.get(name)).and_then(Value::as_str);
        value.map(str::trim_end)
    };
    let attributes = cell.get("attributes").and_then(Value::as_object);
    let has_value = attributes.is_some_and(|all| all.contains_key("init"));
    let reset = bit(cell, "LSR").filter(|bit| bit.as_str() != Some("0"));
    let plain = parameter("CLKMUX").unwrap_or("CLK") == "CLK"
        && parameter("REGSET").unwrap_or("RESET") == "RESET"
        && parameter("LSRMUX").unwrap_or("LSR") == "LSR";
    if !plain || has_value || reset.is_some_and(|bit| net(bit).is_some()) {
        return None;
    }
    let enable = match parameter("CEMUX").unwrap_or("1") {
        "1" => None,
        "CE" => bit(cell, "CE").filter(|bit| bit.as_str() != Some("1")).cloned(),
        // Inverted, or never.
        _ => return None,
    };
    Some(Control { clock: bit(cell, "CLK")?.clone(), enable })
}

fn pack_module(module: &mut Value) -> Packed {
    let mut packed = Packed::default();
    let names: Vec<String> = module
        .get("cells")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, cell)| cell.get("type").is_some_and(|kind| kind == MULTIPLIER))
        .map(|(name, _)| name.clone())
        .collect();
    for name in names {
        packed.multipliers += 1;
        // Each change moves readers, so the picture is drawn anew: there are few multipliers in a module.
        let nets = Nets::of(module);
        if pack_inputs(module, &name, &nets) {
            packed.inputs += 1;
        }
        let nets = Nets::of(module);
        if pack_output(module, &name, &nets) {
            packed.outputs += 1;
        }
    }
    if packed.inputs > 0 {
        packed.flip_flops += remove_unread(module);
    }
    packed.flip_flops += packed_output_flip_flops(module);
    packed
}

pub(crate) fn cells(module: &mut Value) -> Option<&mut Map<String, Value>> {
    module.get_mut("cells")?.as_object_mut()
}

/// The registers in front of one input: their control, and what each bit would be connected to. A constant bit is
/// its own register, as long as it is always the same.
fn input_registers(
    module: &Value,
    multiplier: &Value,
    letter: char,
    nets: &Nets,
) -> Option<(Control, Vec<(String, Value)>)> {
    let all = module.get("cells")?;
    let mut common: Option<Control> = None;
    let mut moved = Vec::new();
    for index in 0..INPUT_BITS {
        let port = format!("{letter}{index}");
        let Some(signal) = bit(multiplier, &port).and_then(net) else { continue };
        let register = all.get(nets.driver.get(&signal)?)?;
        let own = control(register)?;
        match &common {
            None => common = Some(own),
            Some(known) if *known == own => {}
            Some(_) => return None,
        }
        moved.push((port, bit(register, "DI")?.clone()));
    }
    // A constant that the register would delay by an enable or a cycle is constant all the same, but a register
    // that is not reset begins with anything: it must not be held back.
    common.map(|common| (common, moved))
}

fn pack_inputs(module: &mut Value, name: &str, nets: &Nets) -> bool {
    let plan = || {
        let multiplier = module.get("cells")?.get(name)?;
        let (a, moved_a) = input_registers(module, multiplier, 'A', nets)?;
        let (b, moved_b) = input_registers(module, multiplier, 'B', nets)?;
        // The timing of one registered input is not known to place and route, so it is both or none.
        (a == b).then(|| (a, [moved_a, moved_b].concat()))
    };
    let Some((control, moved)) = plan() else { return false };
    let Some(cell) = cells(module).and_then(|all| all.get_mut(name)) else { return false };
    for (port, source) in moved {
        cell["connections"][port] = json!([source]);
    }
    for letter in ["A", "B"] {
        set_register(cell, &format!("INPUT{letter}"), &control);
    }
    true
}

/// Switches one of the block's registers on.
fn set_register(cell: &mut Value, register: &str, control: &Control) {
    cell["parameters"][format!("REG_{register}_CLK")] = json!("CLK0");
    cell["parameters"][format!("REG_{register}_CE")] = json!("CE0");
    cell["parameters"][format!("REG_{register}_RST")] = json!("RST0");
    cell["connections"]["CLK0"] = json!([control.clock]);
    cell["connections"]["CE0"] = json!([control.enable.clone().unwrap_or(json!("1"))]);
    cell["connections"]["RST0"] = json!(["0"]);
    for port in ["CLK0", "CE0", "RST0"] {
        cell["port_directions"][port] = json!("input");
    }
}

/// Clock and enable of registers that were switched on before, if any.
fn registers_of(cell: &Value) -> Option<Control> {
    let clock = cell.get("parameters")?.get("REG_INPUTA_CLK")?.as_str()?;
    if clock == "NONE" {
        return None;
    }
    let enable = bit(cell, "CE0").filter(|bit| net(bit).is_some()).cloned();
    Some(Control { clock: bit(cell, "CLK0")?.clone(), enable })
}

fn pack_output(module: &mut Value, name: &str, nets: &Nets) -> bool {
    let plan = || {
        let all = module.get("cells")?;
        let multiplier = all.get(name)?;
        // Place and route knows the timing of the output's register together with those of the inputs, or alone.
        let mut common = registers_of(multiplier);
        let mut moved = Vec::new();
        for index in 0..OUTPUT_BITS {
            let port = format!("P{index}");
            let Some(signal) = bit(multiplier, &port).and_then(net) else { continue };
            let readers = nets.readers.get(&signal).copied().unwrap_or(0);
            if readers == 0 {
                continue;
            }
            let [register] = &nets.sink.get(&signal)?[..] else { return None };
            let cell = all.get(register)?;
            let own = control(cell)?;
            let shared = common.get_or_insert_with(|| own.clone());
            if readers != 1 || *shared != own {
                return None;
            }
            moved.push((port, register.clone(), bit(cell, "Q")?.clone()));
        }
        common.filter(|_| !moved.is_empty()).map(|common| (common, moved))
    };
    let Some((control, moved)) = plan() else { return false };
    let Some(all) = cells(module) else { return false };
    for (_, register, _) in &moved {
        if let Some(cell) = all.get_mut(register) {
            cell["type"] = json!(GONE);
        }
    }
    let Some(cell) = all.get_mut(name) else { return false };
    for (port, _, output) in moved {
        cell["connections"][port] = json!([output]);
    }
    set_register(cell, "OUTPUT", &control);
    true
}

/// Marks flip-flops whose place the block's register has taken.
const GONE: &str = "$gone";

/// Takes marked flip-flops out; how many they were.
fn packed_output_flip_flops(module: &mut Value) -> u64 {
    let Some(all) = cells(module) else { return 0 };
    let before = all.len();
    all.retain(|_, cell| cell.get("type").is_some_and(|kind| kind != GONE));
    (before - all.len()) as u64
}

/// Takes out flip-flops that nobody reads any longer; how many they were.
fn remove_unread(module: &mut Value) -> u64 {
    let nets = Nets::of(module);
    let Some(all) = cells(module) else { return 0 };
    let mut unread = BTreeSet::new();
    for (name, cell) in all.iter() {
        let is_register = cell.get("type").is_some_and(|kind| kind == FLIP_FLOP);
        let output = bit(cell, "Q").and_then(net);
        if is_register && output.is_some_and(|output| !nets.readers.contains_key(&output)) {
            unread.insert(name.clone());
        }
    }
    let count = unread.len() as u64;
    all.retain(|name, _| !unread.contains(name));
    count
}

/// Whether operands and product of a multiplier go through registers of its block.
pub fn is_registered(cell: &Value) -> bool {
    let parameter = |name: &str| cell.get("parameters")?.get(name)?.as_str();
    // yosys writes numbers in binary.
    let on = |name: &str| parameter(name).is_some_and(|value| value.contains('1'));
    match cell.get("type").and_then(Value::as_str) {
        Some(MULTIPLIER) => ["REG_INPUTA_CLK", "REG_INPUTB_CLK", "REG_OUTPUT_CLK"]
            .into_iter()
            .all(|name| parameter(name).is_some_and(|clock| clock != "NONE")),
        Some(DSP48E1) => on("AREG") && on("BREG") && (on("MREG") || on("PREG")),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
