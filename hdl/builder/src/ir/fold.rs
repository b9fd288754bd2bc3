//! Statements to values: for each target, one value made of multiplexers, and whether every path drives it.

use super::{BlockId, Kind, Module, Node, NodeId, Stmt};
use crate::bits::Bits;
use crate::error::{ErrorKind, Place};
use std::collections::BTreeMap;

/// What a target holds after some statements.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// The value of a node.
    Node(NodeId),
    /// Driven on some paths only.
    Partial,
}

type Scope = BTreeMap<NodeId, Value>;

/// Fills `module.drivers`.
pub(crate) fn fold(module: &mut Module) -> Result<(), (ErrorKind, Place)> {
    module.authored = module.nodes.len();
    check_single_driver(module)?;
    module.blocks[0] = simplify(module, 0);
    let mut scopes = vec![Scope::new()];
    fold_block(module, 0, &mut scopes);
    let values = scopes.pop().unwrap_or_default();
    let mut drivers = vec![None; module.authored];
    for id in 0..module.authored as NodeId {
        let node = module.node(id);
        if !node.kind.is_target() {
            continue;
        }
        let what = match node.kind {
            Kind::Output(_) => "output",
            _ => "wire",
        };
        let name = node.name.clone().unwrap_or_default();
        match (values.get(&id), &node.kind) {
            (Some(Value::Node(value)), _) => drivers[id as usize] = Some(*value),
            (None, Kind::Reg(_)) => drivers[id as usize] = Some(id),
            (None, Kind::InstInput { instance, .. }) => {
                let place = module.instances[*instance].place;
                let (instance, port) = name.split_once('.').unwrap_or(("", &name));
                let (instance, port) = (instance.to_owned(), port.to_owned());
                return Err((ErrorKind::UnconnectedInput { instance, port }, place));
            }
            (None, _) => return Err((ErrorKind::Undriven { what, name }, node.place)),
            (Some(Value::Partial), _) => {
                return Err((ErrorKind::PartlyDriven { what, name }, node.place));
            }
        }
    }
    module.drivers = drivers;
    Ok(())
}

/// An unconditional assignment after another assignment of the same target makes the earlier one dead.
fn check_single_driver(module: &Module) -> Result<(), (ErrorKind, Place)> {
    let mut first: BTreeMap<NodeId, Place> = BTreeMap::new();
    for stmt in &module.blocks[0] {
        if let Stmt::Assign { target, place, .. } = stmt
            && let Some(&first) = first.get(target)
        {
            let name = module.node(*target).name.clone().unwrap_or_default();
            return Err((ErrorKind::DoubleDriver { name, first }, place));
        }
        note_assignments(module, stmt, &mut first);
    }
    Ok(())
}

fn note_assignments(module: &Module, stmt: &Stmt, first: &mut BTreeMap<NodeId, Place>) {
    let mut blocks = |ids: &mut dyn Iterator<Item = BlockId>| {
        for id in ids {
            module.blocks[id].iter().for_each(|stmt| note_assignments(module, stmt, first));
        }
    };
    match stmt {
        Stmt::Assign { target, place, .. } => {
            first.entry(*target).or_insert(place);
        }
        Stmt::When { then, otherwise, .. } => blocks(&mut [*then, *otherwise].into_iter()),
        Stmt::Switch { arms, default, .. } => {
            blocks(&mut arms.iter().map(|(_, block)| *block).chain([*default]));
        }
    }
}

/// The statements of a block without conditions that are constant, branches that do nothing, and assignments that a later
/// one in the same block overrides. Blocks further in are replaced.
fn simplify(module: &mut Module, block: BlockId) -> Vec<Stmt> {
    let mut kept: Vec<Stmt> = Vec::new();
    for stmt in std::mem::take(&mut module.blocks[block]) {
        match stmt {
            Stmt::Assign { target, .. } => {
                kept.retain(|earlier| !matches!(earlier, Stmt::Assign { target: same, .. } if *same == target));
                kept.push(stmt);
            }
            Stmt::When { cond, then, otherwise } => {
                if let Kind::Const(value) = &module.node(cond).kind {
                    let taken = if value.is_zero() { otherwise } else { then };
                    for stmt in simplify(module, taken) {
                        if let Stmt::Assign { target, .. } = stmt {
                            kept.retain(|earlier| !matches!(earlier, Stmt::Assign { target: same, .. } if *same == target));
                        }
                        kept.push(stmt);
                    }
                    continue;
                }
                module.blocks[then] = simplify(module, then);
                module.blocks[otherwise] = simplify(module, otherwise);
                if !module.blocks[then].is_empty() || !module.blocks[otherwise].is_empty() {
                    kept.push(Stmt::When { cond, then, otherwise });
                }
            }
            Stmt::Switch { key, arms, default } => {
                for block in arms.iter().map(|(_, block)| *block).chain([default]) {
                    module.blocks[block] = simplify(module, block);
                }
                kept.push(Stmt::Switch { key, arms, default });
            }
        }
    }
    kept
}

fn fold_block(module: &mut Module, block: BlockId, scopes: &mut Vec<Scope>) {
    for index in 0..module.blocks[block].len() {
        match module.blocks[block][index].clone() {
            Stmt::Assign { target, value, .. } => {
                if let Some(scope) = scopes.last_mut() {
                    scope.insert(target, Value::Node(value));
                }
            }
            Stmt::When { cond, then, otherwise } => {
                let yes = fold_nested(module, then, scopes);
                let no = fold_nested(module, otherwise, scopes);
                for target in union(&[&yes, &no]) {
                    let before = current(module, scopes, target);
                    let yes = yes.get(&target).copied().or(before);
                    let no = no.get(&target).copied().or(before);
                    let kind = |yes, no| Kind::Mux { cond, yes, no };
                    let joined = match (yes, no) {
                        (Some(Value::Node(yes)), Some(Value::Node(no))) if yes == no => {
                            Value::Node(yes)
                        }
                        (Some(Value::Node(yes)), Some(Value::Node(no))) => {
                            Value::Node(append(module, kind(yes, no), target))
                        }
                        _ => Value::Partial,
                    };
                    if let Some(scope) = scopes.last_mut() {
                        scope.insert(target, joined);
                    }
                }
            }
            Stmt::Switch { key, arms, default } => fold_switch(module, key, &arms, default, scopes),
        }
    }
}

fn fold_switch(
    module: &mut Module,
    key: NodeId,
    arms: &[(Vec<Bits>, BlockId)],
    default: BlockId,
    scopes: &mut Vec<Scope>,
) {
    let results: Vec<Scope> =
        arms.iter().map(|(_, block)| fold_nested(module, *block, scopes)).collect();
    let otherwise = fold_nested(module, default, scopes);
    let key_width = module.node(key).width;
    let covered: u64 = arms.iter().map(|(keys, _)| keys.len() as u64).sum();
    let full = key_width < 63 && covered == 1 << key_width;
    let mut all: Vec<&Scope> = results.iter().collect();
    all.push(&otherwise);
    for target in union(&all) {
        let before = current(module, scopes, target);
        let pick = |scope: &Scope| match scope.get(&target).copied().or(before) {
            Some(Value::Node(node)) => Some(node),
            _ => None,
        };
        let values: Option<Vec<NodeId>> = results.iter().map(pick).collect();
        let mut fallback = pick(&otherwise);
        if full && let Some(values) = &values {
            fallback = fallback.or(values.last().copied());
        }
        let joined = match (values, fallback) {
            (Some(values), Some(default)) => {
                let arms = (arms.iter().zip(values))
                    .flat_map(|((keys, _), value)| keys.iter().map(move |key| (key.clone(), value)))
                    .collect();
                Value::Node(append(module, Kind::Lookup { key, arms, default }, target))
            }
            _ => Value::Partial,
        };
        if let Some(scope) = scopes.last_mut() {
            scope.insert(target, joined);
        }
    }
}

fn fold_nested(module: &mut Module, block: BlockId, scopes: &mut Vec<Scope>) -> Scope {
    scopes.push(Scope::new());
    fold_block(module, block, scopes);
    scopes.pop().unwrap_or_default()
}

fn union(scopes: &[&Scope]) -> Vec<NodeId> {
    let mut targets: Vec<NodeId> = scopes.iter().flat_map(|scope| scope.keys().copied()).collect();
    targets.sort_unstable();
    targets.dedup();
    targets
}

/// The value that a target has at this point; a register holds.
fn current(module: &Module, scopes: &[Scope], target: NodeId) -> Option<Value> {
    let found = scopes.iter().rev().find_map(|scope| scope.get(&target).copied());
    found
        .or_else(|| matches!(module.node(target).kind, Kind::Reg(_)).then_some(Value::Node(target)))
}

fn append(module: &mut Module, kind: Kind, target: NodeId) -> NodeId {
    let target = module.node(target);
    let node = Node {
        kind,
        width: target.width,
        signed: target.signed,
        boolean: target.boolean,
        domain: target.domain,
        name: None,
        doc: String::new(),
        place: target.place,
    };
    module.nodes.push(node);
    (module.nodes.len() - 1) as NodeId
}
