//! What is checked when a module is complete: drivers, reserved names, loops; and whether two modules are the same.

use crate::error::{ErrorKind, LoopStep, Place};
use crate::ir::{BlockId, Direction, Kind, Module, NodeId, Stmt, fold};
use std::collections::HashMap;

/// Checks a module and completes it with drivers and port dependencies.
pub(crate) fn finish(
    module: &mut Module,
    names: &HashMap<String, Place>,
    modules: &[Module],
) -> Result<(), (ErrorKind, Place)> {
    for (domain, _) in &module.domains {
        for (name, use_) in [(domain.clock, "clock"), (domain.reset, "reset")] {
            if let Some(&place) = names.get(name) {
                let used_for = format!("the {use_} of domain `{}`", domain.name);
                return Err((ErrorKind::ReservedName { name: name.to_owned(), used_for }, place));
            }
        }
    }
    fold::fold(module)?;
    let order = sort(module, modules)?;
    module.reaches = reaches(module, modules, &order);
    Ok(())
}

/// The nodes that a node's value depends on in the same cycle.
fn dependencies(module: &Module, modules: &[Module], id: NodeId, found: &mut Vec<NodeId>) {
    found.clear();
    match &module.node(id).kind {
        Kind::Wire | Kind::Output(_) | Kind::InstInput { .. } => {
            found.extend(module.drivers.get(id as usize).copied().flatten());
        }
        Kind::InstOutput { instance, port } => {
            let instance = &module.instances[*instance];
            found.extend(instance.reset);
            found.extend(
                modules[instance.module].reaches[*port].iter().map(|&input| instance.ports[input]),
            );
        }
        Kind::MemRead { memory, port } => {
            let read = &module.memories[*memory].reads[*port];
            if read.domain.is_none() {
                found.push(read.address);
            }
        }
        other => other.for_each_arg(|arg| found.push(arg)),
    }
}

/// Nodes in an order in which each follows what it depends on; an error if there is none.
fn sort(module: &Module, modules: &[Module]) -> Result<Vec<NodeId>, (ErrorKind, Place)> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; module.nodes.len()];
    let mut order = Vec::with_capacity(module.nodes.len());
    let mut found = Vec::new();
    for root in 0..module.nodes.len() as NodeId {
        if marks[root as usize] != Mark::New {
            continue;
        }
        // Each entry is a node and those of its dependencies that are still to be visited.
        let mut path: Vec<(NodeId, Vec<NodeId>)> = Vec::new();
        dependencies(module, modules, root, &mut found);
        marks[root as usize] = Mark::Open;
        path.push((root, found.clone()));
        while let Some((id, waiting)) = path.last_mut() {
            let Some(next) = waiting.pop() else {
                marks[*id as usize] = Mark::Done;
                order.push(*id);
                path.pop();
                continue;
            };
            match marks[next as usize] {
                Mark::Done => {}
                Mark::Open => {
                    let nodes: Vec<NodeId> = path.iter().map(|(id, _)| *id).collect();
                    return Err(loop_error(module, &nodes, next));
                }
                Mark::New => {
                    dependencies(module, modules, next, &mut found);
                    marks[next as usize] = Mark::Open;
                    path.push((next, found.clone()));
                }
            }
        }
    }
    Ok(order)
}

/// `path` runs from consumers to producers and ends where `closing` is needed again.
fn loop_error(module: &Module, path: &[NodeId], closing: NodeId) -> (ErrorKind, Place) {
    let start = path.iter().position(|&id| id == closing).unwrap_or(0);
    let mut steps: Vec<LoopStep> = (path[start..].iter().rev())
        .filter(|&&id| (id as usize) < module.authored)
        .map(|&id| LoopStep { name: module.describe(id), place: module.node(id).place })
        .collect();
    // A loop has no beginning: start it at the signal that was declared first.
    if let Some(first) =
        (0..steps.len()).min_by_key(|&i| (steps[i].place.line(), steps[i].place.column()))
    {
        steps.rotate_left(first);
    }
    let place = steps.first().map_or(module.place, |step| step.place);
    (ErrorKind::CombinationalLoop { path: steps }, place)
}

/// For each output port, the input ports that it depends on in the same cycle.
fn reaches(module: &Module, modules: &[Module], order: &[NodeId]) -> Vec<Vec<usize>> {
    let inputs: Vec<usize> = (0..module.ports.len())
        .filter(|&i| module.ports[i].direction == Direction::Input)
        .collect();
    let words = inputs.len().div_ceil(64);
    let mut sets = vec![0u64; words * module.nodes.len()];
    let mut found = Vec::new();
    for &id in order {
        let own = id as usize * words;
        if let Kind::Input(port) = module.node(id).kind {
            if let Ok(index) = inputs.binary_search(&port) {
                sets[own + index / 64] |= 1 << (index % 64);
            }
            continue;
        }
        dependencies(module, modules, id, &mut found);
        for &arg in &found {
            for word in 0..words {
                sets[own + word] |= sets[arg as usize * words + word];
            }
        }
    }
    (module.ports.iter())
        .map(|port| match port.direction {
            Direction::Input => Vec::new(),
            Direction::Output => {
                let own = port.node as usize * words;
                let has = |&i: &usize| sets[own + i / 64] >> (i % 64) & 1 == 1;
                (0..inputs.len()).filter(has).map(|i| inputs[i]).collect()
            }
        })
        .collect()
}

/// True if two modules differ in nothing but the places in the source.
pub(crate) fn same_body(a: &Module, b: &Module) -> bool {
    a.doc == b.doc
        && a.domains == b.domains
        && equal(&a.nodes, &b.nodes, |x, y| {
            (x.width, x.signed, x.boolean, x.domain) == (y.width, y.signed, y.boolean, y.domain)
                && x.kind == y.kind
                && x.name == y.name
                && x.doc == y.doc
        })
        && equal(&a.regs, &b.regs, |x, y| {
            (x.node, x.domain, &x.reset) == (y.node, y.domain, &y.reset)
                && x.states == y.states
                && x.attribute == y.attribute
        })
        && equal(&a.memories, &b.memories, |x, y| {
            (x.depth, x.width, &x.name, &x.doc) == (y.depth, y.width, &y.name, &y.doc)
                && (&x.initial, &x.attribute) == (&y.initial, &y.attribute)
                && equal(&x.writes, &y.writes, |x, y| {
                    (x.domain, x.enable, x.address, x.data, x.lanes)
                        == (y.domain, y.enable, y.address, y.data, y.lanes)
                })
                && equal(&x.reads, &y.reads, |x, y| {
                    (x.domain, x.enable, x.address, x.node)
                        == (y.domain, y.enable, y.address, y.node)
                })
        })
        && equal(&a.instances, &b.instances, |x, y| {
            (&x.name, x.module, &x.ports, x.reset) == (&y.name, y.module, &y.ports, y.reset)
        })
        && a.properties == b.properties
        && same_block(a, b, 0, 0)
}

fn equal<T>(a: &[T], b: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| same(x, y))
}

fn same_block(a: &Module, b: &Module, block_a: BlockId, block_b: BlockId) -> bool {
    equal(&a.blocks[block_a], &b.blocks[block_b], |x, y| match (x, y) {
        (
            Stmt::Assign { target, value, .. },
            Stmt::Assign { target: target_b, value: value_b, .. },
        ) => target == target_b && value == value_b,
        (
            Stmt::When { cond, then, otherwise },
            Stmt::When { cond: cond_b, then: then_b, otherwise: otherwise_b },
        ) => {
            cond == cond_b
                && same_block(a, b, *then, *then_b)
                && same_block(a, b, *otherwise, *otherwise_b)
        }
        (
            Stmt::Switch { key, arms, default },
            Stmt::Switch { key: key_b, arms: arms_b, default: default_b },
        ) => {
            key == key_b
                && equal(arms, arms_b, |(keys, block), (keys_b, block_b)| {
                    keys == keys_b && same_block(a, b, *block, *block_b)
                })
                && same_block(a, b, *default, *default_b)
        }
        _ => false,
    })
}
