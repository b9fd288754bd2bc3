//! Printing a module as Verilog: the subset of SystemVerilog that Verilator, Icarus and yosys agree on.
//!
//! Every expression is printed so that the width Verilog gives it by itself is the width of its node: operands are
//! extended by name or by concatenation, never by context, with two exceptions that stand alone on the right of a named
//! net (`a * b`, and `a + b` one bit wider). What is used twice, or is long, or needs a declared width or sign, becomes a
//! named wire. Signed operations have signed nets as operands.
//!
//! `usage` counts uses and names nets, `expr` prints expressions, `stmt` statements, this file the module round them.

mod expr;
mod stmt;
mod text;
mod usage;

use crate::ir::{Direction, Kind, Module, NodeId, Property, PropertyKind, Stmt};
use std::collections::{BTreeMap, HashSet};
use text::{attribute, comment, range};

/// Prints module `index` of a design, with or without its properties.
pub(crate) fn print(modules: &[Module], index: usize, properties: bool) -> String {
    let shown = if properties { &modules[index].properties[..] } else { &[] };
    let mut printer = Printer::new(modules, &modules[index], shown);
    printer.module()
}

/// A name as it stands in the Verilog.
fn escape(name: &str) -> String {
    crate::names::escape_keyword(name.to_owned())
}

/// State while one module is printed.
pub(crate) struct Printer<'a> {
    modules: &'a [Module],
    m: &'a Module,
    /// Properties that are printed.
    properties: &'a [Property],
    /// Uses of each node by live nodes, statements, memories and instances.
    uses: Vec<u32>,
    /// Verilog name of each node that has a declaration.
    names: Vec<Option<String>>,
    taken: HashSet<String>,
    /// Bits of each declared node that something reads.
    read: BTreeMap<NodeId, text::BitSet>,
    /// Declarations of wires with their expressions, in order.
    wires: String,
    /// Start of the names of unnamed wires: the target that they are for.
    hint: String,
    /// In a combinational block, where Icarus objects to constant selects.
    in_comb: bool,
    /// For each target, its statement if it is one unconditional assignment.
    single: BTreeMap<NodeId, NodeId>,
}

impl<'a> Printer<'a> {
    fn new(modules: &'a [Module], m: &'a Module, properties: &'a [Property]) -> Self {
        let mut printer = Self {
            modules,
            m,
            properties,
            uses: vec![0; m.nodes.len()],
            names: vec![None; m.nodes.len()],
            taken: HashSet::new(),
            read: BTreeMap::new(),
            wires: String::new(),
            hint: String::new(),
            in_comb: false,
            single: BTreeMap::new(),
        };
        printer.count_uses();
        printer.name_nets();
        printer
    }

    fn module(&mut self) -> String {
        let nets = self.net_declarations();
        let memories = self.memory_declarations();
        for id in 0..self.m.authored as NodeId {
            let node = self.m.node(id);
            if node.name.is_some() && !node.kind.is_net() {
                self.hoist(id);
            }
        }
        let instances = self.instances();
        let combinational = self.combinational();
        let sequential = self.sequential();
        let memory_ports = self.memory_ports();
        let properties = self.property_statements();
        let unused = self.unused();
        let mut out = String::new();
        comment(&mut out, "", &self.m.doc);
        out.push_str(&format!("module {}", self.m.name));
        out.push_str(&self.header());
        let wires = std::mem::take(&mut self.wires);
        let sections = [
            nets,
            memories,
            wires,
            combinational,
            sequential,
            memory_ports,
            instances,
            properties,
            unused,
        ];
        let sections: Vec<String> =
            sections.into_iter().filter(|section| !section.is_empty()).collect();
        out.push_str(&sections.join("\n"));
        out.push_str("endmodule\n");
        out
    }

    fn header(&self) -> String {
        // Each entry: comment, "input"/"output", type, name.
        let mut rows: Vec<(String, &str, String, String)> = Vec::new();
        for (domain, reset) in &self.m.domains {
            rows.push((String::new(), "input ", "logic".into(), domain.clock.into()));
            if *reset {
                rows.push((String::new(), "input ", "logic".into(), domain.reset.into()));
            }
        }
        for port in &self.m.ports {
            let direction = if port.direction == Direction::Input { "input " } else { "output" };
            let kind = format!("logic{}", range(port.width, port.signed));
            rows.push((port.doc.clone(), direction, kind, self.net(port.node)));
        }
        if rows.is_empty() {
            return ";\n".to_owned();
        }
        let column = rows.iter().map(|row| row.2.len()).max().unwrap_or(0);
        let mut out = " (\n".to_owned();
        let last = rows.len() - 1;
        for (i, (doc, direction, kind, name)) in rows.iter().enumerate() {
            comment(&mut out, "    ", doc);
            let comma = if i == last { "" } else { "," };
            out.push_str(&format!("    {direction} {kind:column$} {name}{comma}\n"));
        }
        out.push_str(");\n");
        out
    }

    /// Registers, wires, read data of memories and nets at instances; and the names of states.
    fn net_declarations(&mut self) -> String {
        let mut out = String::new();
        for states in self.state_machines() {
            let width = states.1;
            comment(&mut out, "  ", &format!("States of {}", states.0.name));
            for (code, name) in states.0.values.iter().enumerate() {
                let (name, code) = (text::state_name(&states.0.name, name), code as u64);
                if states.2.contains(&code) {
                    let range = range(width, false);
                    out.push_str(&format!("  localparam{range} {name} = {width}'d{code};\n"));
                } else {
                    out.push_str(&format!("  // {name} = {width}'d{code}: not used here\n"));
                }
            }
        }
        for id in 0..self.m.authored as NodeId {
            let node = self.m.node(id);
            let declared = match node.kind {
                Kind::Wire | Kind::Reg(_) | Kind::InstOutput { .. } | Kind::MemRead { .. } => true,
                Kind::InstInput { .. } => !self.connects_directly(id),
                _ => false,
            };
            if declared {
                comment(&mut out, "  ", &node.doc);
                let attribute = match node.kind {
                    Kind::Reg(index) => attribute(self.m.regs[index].attribute.as_deref()),
                    _ => String::new(),
                };
                let range = range(node.width, node.signed);
                out.push_str(&format!("  {attribute}logic{range} {};\n", self.net(id)));
            }
        }
        out
    }

    fn memory_declarations(&mut self) -> String {
        let mut out = String::new();
        for memory in &self.m.memories {
            comment(&mut out, "  ", &memory.doc);
            let (name, width, depth) = (escape(&memory.name), memory.width, memory.depth);
            let attributes: Vec<&str> = (memory.attribute.as_deref().into_iter())
                .chain(memory.collisions_unused.then_some("no_rw_check"))
                .collect();
            let attributes = (!attributes.is_empty()).then(|| attributes.join(", "));
            let attribute = attribute(attributes.as_deref());
            out.push_str(&format!(
                "  {attribute}logic{} {name} [0:{}];\n",
                range(width, false),
                depth - 1
            ));
            let Some(words) = &memory.initial else { continue };
            let partial = (words.len() as u64) < depth;
            let index = self.fresh(&format!("{name}_word"));
            if partial {
                out.push_str(&format!("  integer {index};\n"));
            }
            out.push_str("  initial begin\n");
            if partial {
                out.push_str(&format!(
                    "    for ({index} = {}; {index} < {depth}; {index} = {index} + 1)\n",
                    words.len()
                ));
                out.push_str(&format!(
                    "      {name}[{index}] = {};\n",
                    text::constant(&crate::bits::Bits::zero(width), false)
                ));
            }
            for (i, word) in words.iter().enumerate() {
                out.push_str(&format!("    {name}[{i}] = {};\n", text::constant(word, false)));
            }
            out.push_str("  end\n");
        }
        out
    }

    fn instances(&mut self) -> String {
        let mut out = String::new();
        for instance in &self.m.instances {
            let module = &self.modules[instance.module];
            let mut pins: Vec<(String, String)> = Vec::new();
            for (domain, reset) in &module.domains {
                pins.push((domain.clock.into(), domain.clock.into()));
                if *reset {
                    let local = instance.local_reset(self.m, *domain);
                    let net = local.map_or(domain.reset.into(), |wire| self.connection(wire));
                    pins.push((domain.reset.into(), net));
                }
            }
            for (port, &node) in module.ports.iter().zip(&instance.ports) {
                let net = match self.single.get(&node) {
                    Some(&value) if self.connects_directly(node) => {
                        self.hint = format!("{}_{}", instance.name, port.name);
                        self.connection(value)
                    }
                    _ => self.net(node),
                };
                pins.push((escape(&port.name), net));
            }
            comment(&mut out, "  ", &instance.doc);
            let name = escape(&instance.name);
            if pins.is_empty() {
                out.push_str(&format!("  {} {name} ();\n", module.name));
                continue;
            }
            let pins: Vec<String> =
                pins.iter().map(|(port, net)| format!("    .{port}({net})")).collect();
            out.push_str(&format!("  {} {name} (\n{}\n  );\n", module.name, pins.join(",\n")));
        }
        out
    }

    /// The properties, each at rest while its domain is in reset.
    fn property_statements(&mut self) -> String {
        let mut out = String::new();
        for Property { kind, name, condition } in self.properties {
            let word = match kind {
                PropertyKind::Assert => "assert",
                PropertyKind::Assume => "assume",
                PropertyKind::Cover => "cover",
            };
            self.hint = name.clone();
            let text = self.expr(*condition, expr::Position::Part).text;
            let domain = self.m.node(*condition).domain;
            let reset = (self.m.domains.iter())
                .find(|(known, reset)| Some(*known) == domain && *reset)
                .map(|(known, _)| format!("if (!{}) ", known.reset));
            let guard = reset.unwrap_or_default();
            out.push_str(&format!("  always @(*) {guard}{}: {word} ({text});\n", escape(name)));
        }
        out
    }

    /// Bits that nothing reads, gathered where linters expect them.
    fn unused(&mut self) -> String {
        let mut parts = Vec::new();
        for id in 0..self.m.nodes.len() as NodeId {
            let Some(name) = self.names[id as usize].clone() else { continue };
            let node = self.m.node(id);
            if matches!(node.kind, Kind::Output(_) | Kind::InstInput { .. } | Kind::Reset) {
                continue;
            }
            let all = text::BitSet::default();
            for (low, count) in self.read.get(&id).unwrap_or(&all).gaps(node.width) {
                parts.push(if count == node.width {
                    name.clone()
                } else {
                    text::select(&name, node.width, low, count)
                });
            }
        }
        if parts.is_empty() {
            return String::new();
        }
        format!(
            "  // Bits that this module does not need\n  wire unused = &{{1'b0, {}}};\n",
            parts.join(", ")
        )
    }

    /// True if an instance's input needs no net of its own.
    fn connects_directly(&self, id: NodeId) -> bool {
        self.uses[id as usize] == 0 && self.single.contains_key(&id)
    }

    /// The name of a declared node.
    fn net(&self, id: NodeId) -> String {
        self.names[id as usize].clone().unwrap_or_default()
    }

    /// State machines of the module, each with width and the codes that its text mentions.
    fn state_machines(&self) -> Vec<(crate::ir::StateNames, u32, HashSet<u64>)> {
        let mut machines: Vec<(crate::ir::StateNames, u32, HashSet<u64>)> = Vec::new();
        for reg in &self.m.regs {
            let Some(states) = &reg.states else { continue };
            let mut codes = self.codes_of(reg.node);
            codes.extend(reg.reset.iter().map(crate::bits::Bits::to_u64));
            match machines.iter_mut().find(|(known, ..)| known == states.as_ref()) {
                Some((_, _, known)) => known.extend(codes),
                None => {
                    machines.push((states.as_ref().clone(), self.m.node(reg.node).width, codes))
                }
            }
        }
        machines
    }

    /// State codes that a register is assigned, compared or switched with.
    fn codes_of(&self, reg: NodeId) -> HashSet<u64> {
        let constant = |id: NodeId| match &self.m.node(id).kind {
            Kind::Const(value) => Some(value.to_u64()),
            _ => None,
        };
        let mut codes = HashSet::new();
        for stmt in self.m.live_blocks().into_iter().flat_map(|block| &self.m.blocks[block]) {
            match stmt {
                Stmt::Assign { target, value, .. } if *target == reg => {
                    codes.extend(constant(*value))
                }
                Stmt::Switch { key, arms, .. } if *key == reg => {
                    codes.extend(
                        arms.iter()
                            .flat_map(|(keys, _)| keys.iter().map(crate::bits::Bits::to_u64)),
                    );
                }
                _ => {}
            }
        }
        for (id, node) in self.m.nodes.iter().enumerate().take(self.m.authored) {
            if let Kind::Binary(crate::ir::BinaryOp::Eq | crate::ir::BinaryOp::Ne, a, b) = node.kind
                && a == reg
                && (self.uses[id] > 0 || node.name.is_some())
            {
                codes.extend(constant(b));
            }
        }
        codes
    }
}
