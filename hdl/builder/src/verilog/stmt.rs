//! Statements: continuous assignments, combinational and clocked blocks, memory ports.

use super::Printer;
use super::expr::Position;
use super::text::{constant, select};
use crate::ir::{BlockId, Kind, Module, NodeId, Stmt};
use std::collections::{BTreeMap, HashSet};

impl<'a> Printer<'a> {
    /// The statements of a block that assign one of the targets.
    fn relevant(&self, block: BlockId, targets: &HashSet<NodeId>) -> Vec<&'a Stmt> {
        let mut found = Vec::new();
        let m: &'a Module = self.m;
        (m.blocks[block].iter())
            .filter(|stmt| {
                found.clear();
                self.targets_of(stmt, &mut found);
                found.iter().any(|target| targets.contains(target))
            })
            .collect()
    }

    /// Drivers of wires, outputs and those inputs of instances that have a net.
    pub(super) fn combinational(&mut self) -> String {
        let (mut assigns, mut blocks) = (String::new(), String::new());
        for id in 0..self.m.authored as NodeId {
            let node = self.m.node(id);
            let is_net = match node.kind {
                Kind::Wire | Kind::Output(_) => true,
                Kind::InstInput { .. } => !self.connects_directly(id),
                _ => false,
            };
            if !is_net {
                continue;
            }
            self.hint = self.net(id);
            if let Some(&value) = self.single.get(&id) {
                let value = self.expr(value, Position::Root).text;
                assigns.push_str(&format!("  assign {} = {value};\n", self.net(id)));
                continue;
            }
            self.in_comb = true;
            let body = self.block(0, &HashSet::from([id]), 2, "=");
            self.in_comb = false;
            blocks.push_str(&format!("  always_comb begin\n{body}  end\n"));
        }
        assigns + &blocks
    }

    /// Clocked blocks: registers that share a condition share a block.
    pub(super) fn sequential(&mut self) -> String {
        let mut out = String::new();
        for group in self.register_groups() {
            let m = self.m;
            let reg = &m.regs[group[0]];
            let targets: HashSet<NodeId> = group.iter().map(|&index| m.regs[index].node).collect();
            self.hint = self.net(reg.node);
            let relevant = self.relevant(0, &targets);
            let body = match relevant.as_slice() {
                [only @ Stmt::When { .. }] if reg.reset.is_some() => {
                    format!(" {}\n", self.when(only, &targets, 2, "<="))
                }
                [] => "\n".to_owned(),
                _ if reg.reset.is_some() => {
                    format!(" begin\n{}    end\n", self.block(0, &targets, 3, "<="))
                }
                _ => self.block(0, &targets, 2, "<="),
            };
            out.push_str(&format!("  always @(posedge {}) begin\n", reg.domain.clock));
            if reg.reset.is_some() {
                out.push_str(&format!("    if ({}) begin\n", reg.domain.reset));
                for &index in &group {
                    let reg = &m.regs[index];
                    let (name, node) = (self.net(reg.node), m.node(reg.node));
                    if let Some(value) = &reg.reset {
                        let value = self
                            .state_key(reg.node, value)
                            .unwrap_or_else(|| constant(value, node.signed));
                        out.push_str(&format!("      {name} <= {value};\n"));
                    }
                }
                out.push_str(&format!(
                    "    end{}{body}",
                    if relevant.is_empty() { "" } else { " else" }
                ));
            } else {
                out.push_str(&body);
            }
            out.push_str("  end\n");
        }
        out
    }

    /// Registers by clock and kind of reset, joined when one statement of the body assigns several, or when all that
    /// happens to them is one unconditional assignment.
    fn register_groups(&self) -> Vec<Vec<usize>> {
        let regs = &self.m.regs;
        let index_of: BTreeMap<NodeId, usize> =
            regs.iter().enumerate().map(|(i, reg)| (reg.node, i)).collect();
        let mut leader: Vec<usize> = (0..regs.len()).collect();
        fn find(leader: &mut [usize], mut i: usize) -> usize {
            while leader[i] != i {
                leader[i] = leader[leader[i]];
                i = leader[i];
            }
            i
        }
        let together = self.m.blocks[0].iter().map(|stmt| {
            let mut targets = Vec::new();
            self.targets_of(stmt, &mut targets);
            targets
        });
        let plain: Vec<NodeId> =
            regs.iter().map(|reg| reg.node).filter(|node| self.single.contains_key(node)).collect();
        for targets in together.chain([plain]) {
            let members: Vec<usize> =
                targets.iter().filter_map(|target| index_of.get(target).copied()).collect();
            for &a in &members {
                let same = |b: &&usize| {
                    regs[**b].domain == regs[a].domain
                        && regs[**b].reset.is_some() == regs[a].reset.is_some()
                };
                if let Some(&b) = members.iter().find(same) {
                    let (a, b) = (find(&mut leader, a), find(&mut leader, b));
                    leader[a.max(b)] = a.min(b);
                }
            }
        }
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for i in 0..regs.len() {
            groups.entry(find(&mut leader, i)).or_default().push(i);
        }
        groups.into_values().collect()
    }

    fn targets_of(&self, stmt: &Stmt, targets: &mut Vec<NodeId>) {
        let mut nested = |block: BlockId| {
            self.m.blocks[block].iter().for_each(|stmt| self.targets_of(stmt, targets));
        };
        match stmt {
            Stmt::Assign { target, .. } => targets.push(*target),
            Stmt::When { then, otherwise, .. } => {
                nested(*then);
                nested(*otherwise);
            }
            Stmt::Switch { arms, default, .. } => {
                arms.iter().for_each(|(_, block)| nested(*block));
                nested(*default);
            }
        }
    }

    /// Whether a block assigns one of the targets.
    fn touches(&self, block: BlockId, targets: &HashSet<NodeId>) -> bool {
        !self.relevant(block, targets).is_empty()
    }

    /// The statements of a block that concern `targets`.
    fn block(
        &mut self,
        block: BlockId,
        targets: &HashSet<NodeId>,
        indent: usize,
        operator: &str,
    ) -> String {
        let m = self.m;
        let mut out = String::new();
        for stmt in &m.blocks[block] {
            let pad = "  ".repeat(indent);
            match stmt {
                Stmt::Assign { target, value, .. } => {
                    if targets.contains(target) {
                        let name = self.net(*target);
                        self.hint.clone_from(&name);
                        let value = match self.state_constant(*target, *value) {
                            Some(state) => state,
                            None => self.expr(*value, Position::Root).text,
                        };
                        out.push_str(&format!("{pad}{name} {operator} {value};\n"));
                    }
                }
                Stmt::When { .. } => {
                    let text = self.when(stmt, targets, indent, operator);
                    if !text.is_empty() {
                        out.push_str(&format!("{pad}{text}\n"));
                    }
                }
                Stmt::Switch { key, arms, default } => {
                    let is_used = |this: &Self, block: BlockId| this.touches(block, targets);
                    let default_used = is_used(self, *default);
                    if !default_used && !arms.iter().any(|(_, block)| is_used(self, *block)) {
                        continue;
                    }
                    let subject = self.plain(*key);
                    out.push_str(&format!("{pad}case ({subject})\n"));
                    for (keys, block) in arms {
                        let body = self.block(*block, targets, indent + 2, operator);
                        if body.is_empty() && !default_used {
                            continue;
                        }
                        let keys: Vec<String> = (keys.iter())
                            .map(|value| {
                                self.state_key(*key, value)
                                    .unwrap_or_else(|| constant(value, false))
                            })
                            .collect();
                        let keys = keys.join(", ");
                        out.push_str(&match body.is_empty() {
                            true => format!("{pad}  {keys}: ;\n"),
                            false => format!("{pad}  {keys}: begin\n{body}{pad}  end\n"),
                        });
                    }
                    let body = self.block(*default, targets, indent + 2, operator);
                    out.push_str(&match body.is_empty() {
                        true => format!("{pad}  default: ;\n{pad}endcase\n"),
                        false => format!("{pad}  default: begin\n{body}{pad}  end\n{pad}endcase\n"),
                    });
                }
            }
        }
        out
    }

    /// `if` with its `else if`s, without the first indentation and the last line's end; empty if it assigns no target.
    fn when(
        &mut self,
        stmt: &Stmt,
        targets: &HashSet<NodeId>,
        indent: usize,
        operator: &str,
    ) -> String {
        let Stmt::When { cond, then, otherwise } = stmt else { return String::new() };
        let (in_then, in_else) = (self.touches(*then, targets), self.touches(*otherwise, targets));
        if !in_then && !in_else {
            return String::new();
        }
        let pad = "  ".repeat(indent);
        let condition = self.expr(*cond, Position::Part);
        if !in_then {
            let inverted = match condition.shape {
                super::expr::Shape::Atom => format!("!{}", condition.text),
                _ => format!("!({})", condition.text),
            };
            let body = self.block(*otherwise, targets, indent + 1, operator);
            return format!("if ({inverted}) begin\n{body}{pad}end");
        }
        let body = self.block(*then, targets, indent + 1, operator);
        let mut out = format!("if ({}) begin\n{body}{pad}end", condition.text);
        if in_else {
            if let [only @ Stmt::When { .. }] = self.relevant(*otherwise, targets).as_slice() {
                out.push_str(&format!(" else {}", self.when(only, targets, indent, operator)));
            } else {
                let body = self.block(*otherwise, targets, indent + 1, operator);
                out.push_str(&format!(" else begin\n{body}{pad}end"));
            }
        }
        out
    }

    /// Write and read ports of memories. Reads see the word from before the clock edge.
    pub(super) fn memory_ports(&mut self) -> String {
        let m = self.m;
        let mut out = String::new();
        for memory in &m.memories {
            let name = &super::escape(&memory.name);
            for write in &memory.writes {
                self.hint = format!("{name}_write");
                let address = self.index(write.address);
                let mut lines = Vec::new();
                match write.lanes {
                    None => lines
                        .push((None, format!("{name}[{address}] <= {};", self.plain(write.data)))),
                    Some(lanes) => {
                        let (count, data) = (m.node(lanes).width, self.data_net(write.data));
                        let lane_width = memory.width / count;
                        for lane in 0..count {
                            let part = select(&data, memory.width, lane * lane_width, lane_width);
                            let bits = select("", memory.width, lane * lane_width, lane_width);
                            let enable = self.lane_enable(lanes, lane);
                            lines.push((
                                Some(enable),
                                format!("{name}[{address}]{bits} <= {part};"),
                            ));
                        }
                    }
                }
                out.push_str(&format!("  always @(posedge {}) begin\n", write.domain.clock));
                let always = self.is_true(write.enable);
                let pad = if always { "    " } else { "      " };
                if !always {
                    out.push_str(&format!("    if ({}) begin\n", self.plain(write.enable)));
                }
                for (lane, line) in lines {
                    out.push_str(&match lane {
                        Some(lane) => format!("{pad}if ({lane}) {line}\n"),
                        None => format!("{pad}{line}\n"),
                    });
                }
                out.push_str(if always { "  end\n" } else { "    end\n  end\n" });
            }
            for read in &memory.reads {
                self.hint = format!("{name}_read");
                let (data, address) = (self.net(read.node), self.index(read.address));
                match (read.domain, read.enable) {
                    (Some(domain), Some(enable)) => {
                        let line = format!("{data} <= {name}[{address}];");
                        let line = match self.is_true(enable) {
                            true => format!("    {line}\n"),
                            false => format!(
                                "    if ({}) begin\n      {line}\n    end\n",
                                self.plain(enable)
                            ),
                        };
                        out.push_str(&format!(
                            "  always @(posedge {}) begin\n{line}  end\n",
                            domain.clock
                        ));
                    }
                    _ => out.push_str(&format!("  assign {data} = {name}[{address}];\n")),
                }
            }
        }
        out
    }

    fn data_net(&mut self, id: NodeId) -> String {
        let base = self.base(id);
        let width = self.m.node(base).width;
        self.read.entry(base).or_default().insert(0, width);
        self.net(base)
    }

    fn lane_enable(&mut self, lanes: NodeId, lane: u32) -> String {
        let base = self.base(lanes);
        self.read.entry(base).or_default().insert(lane, 1);
        select(&self.net(base), self.m.node(base).width, lane, 1)
    }

    fn is_true(&self, id: NodeId) -> bool {
        matches!(&self.m.node(id).kind, Kind::Const(value) if !value.is_zero())
    }
}
