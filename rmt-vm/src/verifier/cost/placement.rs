//! Which engines can run an action, or why not.

use rmt_isa::card::{CardShape, lower};
use rmt_isa::instruction::Instruction;
use rmt_isa::operand::Operand;
use rmt_isa::program::{MatchKind, Ordering};
use serde::Serialize;

use crate::verifier::control::{CallGraph, FlowGraph, Node};
use crate::verifier::findings::{Findings, quote};
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
    /// The instruction of the action; none when it is the action or the program as a whole.
    pub instruction: Option<usize>,
    /// What is lacking.
    pub text: String,
}

/// Where each action can run.
///
/// A card takes a program as a whole. So an action with nothing in its own way still cannot
/// run there when the loader of [`rmt_isa::card`] refuses the program.
pub(in crate::verifier) fn placements(
    findings: &Findings<'_>,
    card: &CardShape,
    ordering: Ordering,
    (graphs, typings): (&[FlowGraph<'_>], &[Vec<Typing>]),
    calls: &CallGraph,
) -> Vec<Vec<Placement>> {
    let mut on_card: Vec<Vec<Obstacle>> = (graphs.iter().zip(typings).enumerate())
        .map(|(action, (graph, typings))| {
            let mut obstacles = table_obstacles(findings, card, action, calls);
            obstacles.extend(instruction_obstacles(card, graph, typings));
            obstacles.truncate(MOST_OBSTACLES);
            obstacles
        })
        .collect();
    if let Err(error) = lower(findings.program, ordering, card) {
        let whole = Obstacle { instruction: None, text: error.to_string() };
        let free = on_card.iter_mut().filter(|obstacles| obstacles.is_empty());
        free.for_each(|obstacles| obstacles.push(whole.clone()));
    }
    let all = |card| {
        vec![
            Placement { engine: EngineKind::Interpreter, obstacles: Vec::new() },
            Placement { engine: EngineKind::Jit, obstacles: Vec::new() },
            Placement { engine: EngineKind::Card, obstacles: card },
        ]
    };
    on_card.into_iter().map(all).collect()
}

/// Tables that run the action and that the card cannot hold.
fn table_obstacles(
    findings: &Findings<'_>,
    card: &CardShape,
    action: usize,
    calls: &CallGraph,
) -> Vec<Obstacle> {
    let mut obstacles = Vec::new();
    let tables = findings.program.tables.iter().zip(&calls.runs);
    for (table, runs) in tables.filter(|(table, _)| !table.key.is_empty()) {
        if obstacles.len() >= MOST_OBSTACLES || runs.binary_search(&action).is_err() {
            continue;
        }
        let name = quote(&table.name);
        let (kind, slots) = match table.kind {
            MatchKind::Exact => ("exact", card.match_slots()),
            MatchKind::LongestPrefix => ("longest-prefix", card.ternary_slots),
            MatchKind::Ternary => ("ternary", card.ternary_slots),
            MatchKind::Range => ("range", card.range_slots),
        };
        let text = if slots == 0 {
            format!("table `{name}` is a {kind} table, the card has no slots for its entries")
        } else if table.key_bits() > card.match_key_bits {
            format!(
                "the key of table `{name}` has {} bits, the card compares {}",
                table.key_bits(),
                card.match_key_bits
            )
        } else {
            continue;
        };
        obstacles.push(Obstacle { instruction: None, text });
    }
    obstacles
}

/// Instructions that the card does not execute, helpers that it does not compute, vectors
/// that are too long for its registers.
fn instruction_obstacles<'a>(
    card: &'a CardShape,
    graph: &'a FlowGraph<'_>,
    typings: &'a [Typing],
) -> impl Iterator<Item = Obstacle> + 'a {
    graph.instructions().zip(typings_of(graph, typings)).filter_map(
        move |((index, instruction), typing)| {
            let text = missing_unit(card, instruction).or_else(|| {
                let lanes = typing.result?.lanes;
                let most = card.engine.vector_lanes;
                (u32::from(lanes) > most)
                    .then(|| format!("a vector of {lanes} lanes, the card's registers have {most}"))
            })?;
            Some(Obstacle { instruction: Some(index), text })
        },
    )
}

/// What is known of each instruction that some path reaches.
fn typings_of<'a>(
    graph: &'a FlowGraph<'_>,
    typings: &'a [Typing],
) -> impl Iterator<Item = &'a Typing> + 'a {
    let reached = typings.iter().enumerate().filter(|&(index, _)| graph.reachable(index));
    reached.map(|(_, typing)| typing)
}

fn missing_unit(card: &CardShape, instruction: Instruction) -> Option<String> {
    if !card.executes_opcode(instruction.opcode()) {
        return Some(format!("the card does not execute `{}`", instruction.info().mnemonic));
    }
    instruction.operands().into_iter().find_map(|operand| match operand.value {
        Operand::Helper(helper) if !card.executes_helper(helper) => {
            Some(format!("the card does not compute `{helper}`"))
        }
        _ => None,
    })
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
        let remedy = "run the program in software, or build the card with what is missing";
        findings.refuse(Rule::NotOnCard, place, obstacle.text.clone(), remedy);
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::program::MatchKind;

    use crate::verifier::cost::EngineKind;
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    /// A program without maps, which the small cards of some tests cannot hold.
    fn fixture(code: &str) -> Fixture {
        let mut fixture = Fixture::new(code);
        fixture.program.maps.clear();
        fixture
    }

    fn obstacles(fixture: &Fixture) -> Vec<String> {
        let report = fixture.accepted();
        let placements = &report.actions[0].engines;
        let kinds: Vec<_> = placements.iter().map(|placement| placement.engine).collect();
        assert_eq!(kinds, [EngineKind::Interpreter, EngineKind::Jit, EngineKind::Card]);
        assert!(placements[0].possible() && placements[1].possible());
        placements[2].obstacles.iter().map(|obstacle| obstacle.text.clone()).collect()
    }

    const LAYER: &str = "ld_event r1, event+8, u64\nRMT_MATCH_CTXT r2, ctxt0, r1\n\
                         CALL r2, log2, r1, r1\nRMT_VECTOR_FILL v0, x8, i8, 1\n\
                         RMT_MAT_MUL v1, v0, tensor0, none\nRMT_TREE_EVAL r3, v0, forest0\n\
                         exit decided";

    #[test]
    fn the_default_card_runs_models_and_contexts() {
        assert_eq!(obstacles(&fixture(LAYER)), [""; 0]);
    }

    #[test]
    fn the_default_card_runs_maps() {
        let mut fixture = Fixture::new("movi r1, 9\nmap_ld r2, map0, r1\nexit decided");
        fixture.limits.require_card = true;
        assert_eq!(obstacles(&fixture), [""; 0]);
    }

    #[test]
    fn tables_that_the_card_cannot_match_are_named() {
        let mut fixture = fixture(LAYER);
        fixture.program.tables[0].kind = MatchKind::Range;
        assert_eq!(obstacles(&fixture), [""; 0]);
        fixture.limits.card.range_slots = 0;
        let expected = "table `first` is a range table, the card has no slots for its entries";
        assert_eq!(obstacles(&fixture), [expected]);
    }

    #[test]
    fn short_registers_are_named() {
        let mut fixture = fixture(LAYER);
        fixture.limits.card.engine.array = 4;
        fixture.limits.card.engine.hop_columns = 4;
        fixture.limits.card.engine.requantise_lanes = 4;
        fixture.limits.card.engine.vector_lanes = 4;
        assert_eq!(obstacles(&fixture), ["a vector of 8 lanes, the card's registers have 4"]);
        fixture.limits.require_card = true;
        refused_by(&fixture, Rule::NotOnCard, "instruction 3");
    }

    #[test]
    fn a_program_that_is_too_large_is_in_the_way_of_every_action() {
        let mut fixture = fixture(&("movi r1, 1\n".repeat(99) + "exit decided"));
        fixture.limits.card.program_words = 64;
        let found = obstacles(&fixture);
        assert!(found.len() == 1 && found[0].contains("101 instructions"), "{found:?}");
        fixture.limits.require_card = true;
        refused_by(&fixture, Rule::NotOnCard, "the card has 64");
    }
}
