//! Which engines can run an action, or why not.

use rmt_isa::instruction::{Class, Instruction};
use rmt_isa::program::MatchKind;
use serde::Serialize;

use super::card::CardShape;
use super::memory::Memory;
use crate::verifier::control::{CallGraph, FlowGraph, Node};
use crate::verifier::findings::{Findings, group_digits, quote};
use crate::verifier::limits::Limits;
use crate::verifier::rules::Rule;
use crate::verifier::types::Typing;

/// Reasons that are listed for one action; more would tell nothing new.
const MOST_OBSTACLES: usize = 16;

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The interpreter: runs every verified program.
    Interpreter,
    /// The compiler to native code: runs every verified program.
    Jit,
    /// The card whose shape is in the limits.
    Card,
}

/// Whether an engine can run an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Placement {
    /// The engine.
    pub engine: EngineKind,
    /// What stands in the way; empty when the engine can run it.
    pub obstacles: Vec<Obstacle>,
}

impl Placement {
    /// Whether the engine can run the action.
    pub fn possible(&self) -> bool {
        self.obstacles.is_empty()
    }
}

/// Something that an engine lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    /// The instruction of the action; none when it is the action or program as a whole.
    pub instruction: Option<usize>,
    /// What is lacking.
    pub text: String,
}

/// Where the action can run.
pub(in crate::verifier) fn placements(
    findings: &Findings<'_>,
    card: &CardShape,
    memory: &Memory,
    (action, graph, types): (usize, &FlowGraph<'_>, &[Typing]),
    calls: &CallGraph,
) -> Vec<Placement> {
    let mut obstacles = program_obstacles(card, memory);
    obstacles.extend(table_obstacles(findings, card, action, calls));
    for (index, instruction) in graph.instructions() {
        if obstacles.len() >= MOST_OBSTACLES {
            break;
        }
        let texts =
            [missing_unit(card, instruction).map(String::from), too_wide(card, types.get(index))];
        let instruction = Some(index);
        obstacles.extend(texts.into_iter().flatten().map(|text| Obstacle { instruction, text }));
    }
    obstacles.truncate(MOST_OBSTACLES);
    vec![
        Placement { engine: EngineKind::Interpreter, obstacles: Vec::new() },
        Placement { engine: EngineKind::Jit, obstacles: Vec::new() },
        Placement { engine: EngineKind::Card, obstacles },
    ]
}

/// Memories that the program as a whole does not fit.
fn program_obstacles(card: &CardShape, memory: &Memory) -> Vec<Obstacle> {
    let needs = [
        ("instructions", memory.code_bytes / 8, card.instructions.into()),
        ("bytes of context stores", memory.context_bytes, card.context_bytes),
        ("bytes of maps", memory.map_bytes, card.map_bytes),
        ("bytes of tensors", memory.tensor_bytes, card.tensor_bytes),
        ("tree nodes", memory.tree_nodes, card.tree_nodes.into()),
    ];
    let exceeded = needs.into_iter().filter(|&(_, needed, most)| needed > most);
    let obstacles = exceeded.map(|(what, needed, most)| Obstacle {
        instruction: None,
        text: format!(
            "the program needs {} {what}, the card has {}",
            group_digits(needed),
            group_digits(most)
        ),
    });
    obstacles.collect()
}

/// Tables that run the action and that the card cannot hold.
fn table_obstacles(
    findings: &Findings<'_>,
    card: &CardShape,
    action: usize,
    calls: &CallGraph,
) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    for (index, table) in findings.program.tables.iter().enumerate() {
        let runs = calls.runs.get(index).is_some_and(|runs| runs.binary_search(&action).is_ok());
        let most = card.tables.of(table.kind);
        if runs
            && !table.key.is_empty()
            && table.capacity > most
            && obstacles.len() < MOST_OBSTACLES
        {
            let kind = match table.kind {
                MatchKind::Exact => "exact",
                MatchKind::LongestPrefix => "longest-prefix",
                MatchKind::Ternary => "ternary",
                MatchKind::Range => "range",
            };
            obstacles.push(Obstacle {
                instruction: None,
                text: format!(
                    "table `{}` holds {} {kind} entries, the card {}",
                    quote(&table.name),
                    group_digits(table.capacity),
                    group_digits(most)
                ),
            });
        }
    }
    obstacles
}

/// The unit that the instruction needs and the card lacks.
fn missing_unit(card: &CardShape, instruction: Instruction) -> Option<&'static str> {
    use Instruction as I;
    let features = &card.features;
    let (present, text) = match instruction.info().class {
        Class::Multiply => (features.multiply, "the card has no 64-bit multiplier"),
        Class::Divide => (features.divide, "the card has no divider"),
        Class::Map => (card.map_bytes > 0, "the card has no maps"),
        Class::Vector => (features.vectors, "the card has no vector unit"),
        Class::Control => match instruction {
            I::Call { .. } => (features.helpers, "the card has no helpers"),
            I::TailCall { .. } => (features.tail_calls, "the card has no tail calls"),
            _ => return None,
        },
        Class::Model => match instruction {
            I::MatMul { .. } => (card.array_edge > 0, "the card has no multiplier array"),
            I::Conv2d { .. } => {
                (card.array_edge > 0 && features.convolution, "the card has no convolution")
            }
            I::PoolMax { .. } | I::PoolSum { .. } => (features.pooling, "the card has no pooling"),
            I::ForestEval { .. } => (card.tree_nodes > 0, "the card has no tree engine"),
            _ => (features.vectors, "the card has no vector unit"),
        },
        Class::Alu | Class::Branch | Class::Event | Class::Context => return None,
    };
    (!present).then_some(text)
}

/// A vector that the instruction writes and that has more lanes than the card's registers.
fn too_wide(card: &CardShape, typing: Option<&Typing>) -> Option<String> {
    let lanes = typing?.result?.lanes;
    (lanes > card.vector_lanes)
        .then(|| format!("a vector of {lanes} lanes, the card's have {}", card.vector_lanes))
}

/// Where the loader insists on the card, every reachable action can run there.
pub(in crate::verifier) fn check_placement(
    findings: &mut Findings<'_>,
    limits: &Limits,
    calls: &CallGraph,
    placements: &[Vec<Placement>],
) {
    if !limits.require_card {
        return;
    }
    for &node in &calls.order {
        let Node::Action(action) = node else { continue };
        let card = placements[action].iter().find(|p| p.engine == EngineKind::Card);
        let Some(obstacle) = card.and_then(|placement| placement.obstacles.first()) else {
            continue;
        };
        let place = match obstacle.instruction {
            Some(index) => findings.instruction(action, index),
            None => findings.action(action),
        };
        let reason = format!("card `{}`: {}", quote(&limits.card.name), obstacle.text);
        let remedy = "run the program in software, or build the card with this";
        findings.refuse(Rule::NotOnCard, place, reason, remedy);
    }
}

#[cfg(test)]
mod tests {
    use crate::verifier::cost::EngineKind;
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    fn obstacles(fixture: &Fixture) -> Vec<String> {
        let report = fixture.accepted();
        let placements = &report.actions[0].engines;
        let kinds: Vec<_> = placements.iter().map(|placement| placement.engine).collect();
        assert_eq!(kinds, [EngineKind::Interpreter, EngineKind::Jit, EngineKind::Card]);
        assert!(placements[0].possible() && placements[1].possible());
        placements[2].obstacles.iter().map(|obstacle| obstacle.text.clone()).collect()
    }

    const CODE: &str = "movi r1, 9\nmul r2, r1, r1\ndivi r2, r2, 3\nCALL r2, log2, r2, r2\n\
                        map_ld r2, map0, r2\nRMT_VECTOR_FILL v0, x8, i8, 1\n\
                        RMT_MAT_MUL v1, v0, tensor0, none\nRMT_TREE_EVAL r3, v0, forest0\n\
                        exit decided";

    #[test]
    fn the_whole_machine_runs_everything() {
        assert_eq!(obstacles(&Fixture::new(CODE)), [""; 0]);
    }

    #[test]
    fn missing_units_are_named() {
        let mut fixture = Fixture::new(CODE);
        let card = &mut fixture.limits.card;
        (card.features.multiply, card.features.divide, card.features.helpers) =
            (false, false, false);
        (card.array_edge, card.map_bytes, card.tree_nodes) = (0, u64::MAX, u32::MAX);
        let expected = [
            "the card has no 64-bit multiplier",
            "the card has no divider",
            "the card has no helpers",
            "the card has no multiplier array",
        ];
        assert_eq!(obstacles(&fixture), expected);
        fixture.limits.require_card = true;
        let violations = fixture.refused();
        assert!(violations.iter().all(|violation| violation.rule == Rule::NotOnCard));
    }

    #[test]
    fn small_memories_are_named() {
        let mut fixture = Fixture::new(CODE);
        fixture.limits.card.tensor_bytes = 10;
        fixture.limits.card.tables.exact = 63;
        let found = obstacles(&fixture);
        assert!(
            found[0].starts_with("the program needs 175 bytes of tensors, the card has 10"),
            "{found:?}"
        );
        assert_eq!(found[1], "table `first` holds 64 exact entries, the card 63");
    }

    #[test]
    fn narrow_registers_are_named() {
        let mut fixture = Fixture::new(CODE);
        fixture.limits.card.vector_lanes = 4;
        assert_eq!(obstacles(&fixture), ["a vector of 8 lanes, the card's have 4"]);
        fixture.limits.require_card = true;
        refused_by(&fixture, Rule::NotOnCard, "card `default`: a vector of 8 lanes");
    }
}
