//! The instructions of one action as a graph. All jumps go forward, so the order of the
//! instructions is a topological order, and one pass suffices for everything.

use rmt_isa::instruction::{Class, Instruction, OperandUse};
use rmt_isa::limits::MAX_ACTION_INSTRUCTIONS;
use rmt_isa::operand::Operand;

use crate::verifier::findings::{Findings, group_digits, plural};
use crate::verifier::rules::Rule;

/// The control-flow graph of an action that [`check_control_flow`] accepted: every edge
/// of an instruction that some path reaches leads forward to one that exists.
pub(in crate::verifier) struct FlowGraph<'p> {
    /// The instructions.
    pub(in crate::verifier) code: &'p [Instruction],
    edges: Vec<Edges>,
    reachable: Vec<bool>,
    operands: OperandLists,
}

/// The operands of all instructions in one list; those of instruction i end where those of
/// the next begin.
struct OperandLists {
    list: Vec<OperandUse>,
    starts: Vec<usize>,
}

impl OperandLists {
    fn new(code: &[Instruction]) -> Self {
        let mut lists = Self { list: Vec::with_capacity(code.len() * 3), starts: vec![0] };
        for instruction in code {
            lists.list.extend(instruction.operands());
            lists.starts.push(lists.list.len());
        }
        lists
    }

    fn get(&self, index: usize) -> &[OperandUse] {
        &self.list[self.starts[index]..self.starts[index + 1]]
    }
}

/// Where control goes after one instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::verifier) struct Edges {
    /// To the next instruction.
    pub(in crate::verifier) next: Option<usize>,
    /// To the target of a jump.
    pub(in crate::verifier) jump: Option<usize>,
}

impl Edges {
    fn of(instruction: Instruction, index: usize, operands: &[OperandUse]) -> Self {
        let jumps = matches!(instruction, Instruction::Jump { .. });
        let branches = instruction.info().class == Class::Branch;
        let falls = !instruction.ends_action() && !jumps;
        let target = operands.iter().find_map(|operand| match operand.value {
            Operand::Jump(skipped) => Some(index + 1 + skipped.index()),
            _ => None,
        });
        Self { next: falls.then_some(index + 1), jump: target.filter(|_| jumps || branches) }
    }

    /// Both, the next instruction first.
    pub(in crate::verifier) fn iter(self) -> impl Iterator<Item = usize> {
        self.next.into_iter().chain(self.jump)
    }
}

impl<'p> FlowGraph<'p> {
    /// Number of instructions.
    pub(in crate::verifier) fn len(&self) -> usize {
        self.code.len()
    }

    /// The operands of an instruction.
    pub(in crate::verifier) fn operands(&self, index: usize) -> &[OperandUse] {
        self.operands.get(index)
    }

    /// Where control goes after the instruction.
    pub(in crate::verifier) fn edges(&self, index: usize) -> Edges {
        self.edges[index]
    }

    /// Whether some path from the start leads to the instruction.
    pub(in crate::verifier) fn reachable(&self, index: usize) -> bool {
        self.reachable[index]
    }

    /// The instructions that some path reaches, in order.
    pub(in crate::verifier) fn instructions(
        &self,
    ) -> impl DoubleEndedIterator<Item = (usize, Instruction)> {
        let code: &'p [Instruction] = self.code;
        (0..self.len()).filter(|&index| self.reachable[index]).map(|index| (index, code[index]))
    }
}

/// The program is short enough to be looked at at all.
pub(in crate::verifier) fn check_lengths(findings: &mut Findings<'_>, most: usize) -> bool {
    let before = findings.count();
    for (index, action) in findings.program.actions.iter().enumerate() {
        let length = action.code.len();
        if length > MAX_ACTION_INSTRUCTIONS {
            let reason = format!(
                "{}, an action has at most {}",
                plural(length as u64, "instruction"),
                group_digits(MAX_ACTION_INSTRUCTIONS as u32)
            );
            let remedy = "unroll loops less, or continue in another table with `TAIL_CALL`";
            findings.refuse(Rule::ActionTooLong, findings.action(index), reason, remedy);
        }
    }
    let total: usize = findings.program.actions.iter().map(|action| action.code.len()).sum();
    if total > most {
        let reason = format!(
            "all actions together have {}, the limit is {}",
            plural(total as u64, "instruction"),
            group_digits(most as u64)
        );
        let remedy = "share actions between tables, or raise `Limits::program_instructions`";
        findings.refuse(Rule::ActionTooLong, findings.whole(), reason, remedy);
    }
    findings.count() == before
}

/// Every path through the action stays inside and ends in `exit` or `TAIL_CALL`.
///
/// Gives the graph when that holds.
pub(in crate::verifier) fn check_control_flow<'p>(
    findings: &mut Findings<'p>,
    action: usize,
) -> Option<FlowGraph<'p>> {
    let code: &'p [Instruction] = &findings.program.actions.get(action)?.code;
    let before = findings.count();
    if code.is_empty() {
        let remedy = "write at least `exit abstain`";
        let reason = "there is nothing to run, and no `exit` that ends the event";
        findings.refuse(Rule::EmptyAction, findings.action(action), reason, remedy);
        return None;
    }
    let operands = OperandLists::new(code);
    let edges: Vec<_> = (code.iter().enumerate())
        .map(|(index, &instruction)| Edges::of(instruction, index, operands.get(index)))
        .collect();
    let mut reachable = vec![false; code.len()];
    reachable[0] = true;
    for index in 0..code.len() {
        if !reachable[index] {
            continue;
        }
        let outside = edges[index].iter().find(|&target| target >= code.len());
        match outside {
            Some(target) => refuse_edge(findings, action, index, target, edges[index]),
            None => edges[index].iter().for_each(|target| reachable[target] = true),
        }
    }
    if findings.count() != before {
        return None;
    }
    warn_unreachable(findings, action, &reachable);
    Some(FlowGraph { code, edges, reachable, operands })
}

fn refuse_edge(
    findings: &mut Findings<'_>,
    action: usize,
    index: usize,
    target: usize,
    edges: Edges,
) {
    let place = findings.instruction(action, index);
    let length = findings.program.actions[action].code.len();
    if edges.next != Some(target) {
        let reason = format!(
            "the target is instruction {target}, the action has instructions 0 to {}",
            length - 1
        );
        let remedy = match length - 1 - index {
            0 => "end the action with `exit` instead of a jump".into(),
            ahead => format!("jump by at most +{}", ahead - 1),
        };
        findings.refuse(Rule::JumpOutside, place, reason, remedy);
    } else {
        let reason = "this is the last instruction, and control goes on behind it";
        let remedy = "end every path with `exit decided`, `exit abstain` or `TAIL_CALL`";
        findings.refuse(Rule::FallsOffEnd, place, reason, remedy);
    }
}

/// One warning for each stretch of instructions that no path reaches.
fn warn_unreachable(findings: &mut Findings<'_>, action: usize, reachable: &[bool]) {
    let mut index = 0;
    for stretch in reachable.chunk_by(|a, b| a == b) {
        if !stretch[0] {
            let place = findings.instruction(action, index);
            let last = index + stretch.len() - 1;
            findings.warn(place, format!("no path reaches instructions {index} to {last}"));
        }
        index += stretch.len();
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::assembly::assemble;

    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    #[test]
    fn every_end_is_accepted() {
        Fixture::new("exit abstain").accepted();
        Fixture::new("movi r1, 1\nmovi r2, 2\nTAIL_CALL table1").accepted();
        Fixture::new("movi r1, 1\njeqi r1, 1, no\nexit decided\nno: exit abstain").accepted();
        Fixture::new("jump end\nend: exit decided").accepted();
    }

    #[test]
    fn an_empty_action_is_refused() {
        refused_by(&Fixture::new(""), Rule::EmptyAction, "action 0 `act`");
    }

    #[test]
    fn long_actions_are_refused() {
        let line = "movi r1, 1\n";
        let mut fixture = Fixture::new(&(line.repeat(4095) + "exit decided"));
        fixture.accepted();
        fixture.program.actions[0].code = assemble(&(line.repeat(4096) + "exit decided")).unwrap();
        refused_by(
            &fixture,
            Rule::ActionTooLong,
            "4 097 instructions, an action has at most 4 096",
        );
        fixture.program.actions[0].code.truncate(100);
        fixture.limits.program_instructions = 50;
        refused_by(&fixture, Rule::ActionTooLong, "the limit is 50");
    }

    #[test]
    fn jumps_outside_are_refused() {
        let fixture = Fixture::new("movi r1, 1\njeqi r1, 1, +7\nexit decided");
        refused_by(&fixture, Rule::JumpOutside, "the target is instruction 9");
        let fixture = Fixture::new("jump +4095");
        refused_by(&fixture, Rule::JumpOutside, "end the action with `exit`");
        Fixture::new("movi r1, 1\njeqi r1, 1, +0\nexit decided").accepted();
    }

    #[test]
    fn running_past_the_end_is_refused() {
        refused_by(&Fixture::new("movi r1, 1"), Rule::FallsOffEnd, "the last instruction");
        let fixture = Fixture::new("movi r1, 1\njeqi r1, 1, +1\nexit decided\nmovi r1, 2");
        refused_by(&fixture, Rule::FallsOffEnd, "instruction 3");
    }

    #[test]
    fn unreachable_instructions_are_a_warning() {
        let report = Fixture::new("jump end\nmovi r1, 1\nmov r1, r2\nend: exit decided").accepted();
        let texts: Vec<_> = report.warnings.iter().map(|w| w.text.as_str()).collect();
        assert!(texts.contains(&"no path reaches instructions 1 to 2"), "{texts:?}");
    }
}
