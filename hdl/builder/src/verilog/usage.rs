//! Which nodes are used how often, and what declared nodes are called.

use super::Printer;
use crate::ir::{Kind, NodeId, Stmt};

impl Printer<'_> {
    /// Counts uses by what is printed: statements, memory ports, named values, and what these need.
    pub(super) fn count_uses(&mut self) {
        let mut roots: Vec<NodeId> = Vec::new();
        let mut assigned: Vec<(NodeId, NodeId, usize)> = Vec::new();
        for block in self.m.live_blocks() {
            for stmt in &self.m.blocks[block] {
                match stmt {
                    Stmt::Assign { target, value, .. } => {
                        roots.push(*value);
                        assigned.push((*target, *value, block));
                    }
                    Stmt::When { cond, .. } => roots.push(*cond),
                    Stmt::Switch { key, .. } => roots.push(*key),
                }
            }
        }
        for memory in &self.m.memories {
            for write in &memory.writes {
                roots.extend([write.enable, write.address, write.data]);
                roots.extend(write.lanes);
            }
            for read in &memory.reads {
                roots.push(read.address);
                roots.extend(read.enable);
            }
        }
        roots.extend(self.properties.iter().map(|property| property.condition));
        let mut pending: Vec<NodeId> = Vec::new();
        for id in roots {
            self.note_use(id, &mut pending);
        }
        for id in 0..self.m.authored as NodeId {
            let node = self.m.node(id);
            if node.name.is_some() && !node.kind.is_net() && self.uses[id as usize] == 0 {
                // Kept for its name, although nothing needs it.
                node.kind.for_each_arg(|arg| self.note_use(arg, &mut pending));
                while let Some(next) = pending.pop() {
                    self.m.node(next).kind.for_each_arg(|arg| self.note_use(arg, &mut pending));
                }
            }
        }
        assigned.sort_unstable();
        for group in assigned.chunk_by(|a, b| a.0 == b.0) {
            if let [(target, value, 0)] = *group {
                self.single.insert(target, value);
            }
        }
    }

    fn note_use(&mut self, id: NodeId, pending: &mut Vec<NodeId>) {
        let count = &mut self.uses[id as usize];
        *count += 1;
        if *count > 1 {
            return;
        }
        pending.push(id);
        while let Some(next) = pending.pop() {
            let m = self.m;
            m.node(next).kind.for_each_arg(|arg| {
                let count = &mut self.uses[arg as usize];
                *count += 1;
                if *count == 1 {
                    pending.push(arg);
                }
            });
        }
    }

    /// Names all nets: the authors' names first, then those that are derived.
    pub(super) fn name_nets(&mut self) {
        for (domain, _) in &self.m.domains {
            self.taken.insert(domain.clock.to_owned());
            self.taken.insert(domain.reset.to_owned());
        }
        self.taken.insert("unused".to_owned());
        for memory in &self.m.memories {
            self.taken.insert(super::escape(&memory.name));
        }
        for instance in &self.m.instances {
            self.taken.insert(super::escape(&instance.name));
        }
        for (states, ..) in self.state_machines() {
            for value in &states.values {
                self.taken.insert(super::text::state_name(&states.name, value));
            }
        }
        for id in 0..self.m.authored {
            let node = &self.m.nodes[id];
            let Some(name) = &node.name else { continue };
            let derived = matches!(
                node.kind,
                Kind::InstInput { .. } | Kind::InstOutput { .. } | Kind::MemRead { .. }
            );
            if !derived {
                self.taken.insert(super::escape(name));
                if node.kind.is_net() {
                    self.names[id] = Some(super::escape(name));
                }
            }
        }
        for id in 0..self.m.authored {
            let node = &self.m.nodes[id];
            let wanted = match &node.kind {
                Kind::InstInput { .. } | Kind::InstOutput { .. } => {
                    node.name.as_ref().map(|name| name.replace('.', "_"))
                }
                Kind::MemRead { memory, .. } => {
                    Some(format!("{}_data", self.m.memories[*memory].name))
                }
                _ => None,
            };
            // An instance's input that connects to an expression directly needs no name.
            if matches!(node.kind, Kind::InstInput { .. }) && self.connects_directly(id as NodeId) {
                continue;
            }
            if let Some(wanted) = wanted {
                self.names[id] = Some(self.fresh(&wanted));
            }
        }
    }

    /// A name that is not taken yet, like `wanted`.
    pub(super) fn fresh(&mut self, wanted: &str) -> String {
        let mut name = crate::names::escape_keyword(wanted.to_owned());
        let mut number = 1;
        while !self.taken.insert(name.clone()) {
            number += 1;
            name = format!("{wanted}_{number}");
        }
        name
    }
}
