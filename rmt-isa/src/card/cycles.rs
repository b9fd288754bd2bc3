//! The cycles of a lone event on a card: one formula for each instruction.
//!
//! [`Timing::of`] says what an instruction does to the thread and to the engine, [`LoneThread`]
//! adds instructions up: the thread goes on while a vector operation runs, and waits with the
//! next one until it has ended. `rmt check` takes its estimate from here, along the worst
//! path; docs/cycles.md compares the formula with the RTL for each instruction and for the
//! programs in `firmware/`, and a test fails when they differ.
//!
//! A cycle is counted for the instruction in the execute stage. An instruction of another
//! unit than the arithmetic one stops its thread until it completes, and [`WAKE_CYCLES`] later
//! the next one executes.

use super::CardShape;
use crate::helper::Helper;
use crate::instruction::{Class, Instruction};
use crate::operand::{Operand, Role, Scalar, WindowId};
use crate::program::{ForestMode, Program, TreeNode};

/// Cycles from the beginning of a table visit to the first instruction in execution: key (1), look-up (1), match and
/// choice (2), fetch and decode (2). A key of more fields than the card gathers in a cycle takes longer.
pub const LOOK_UP_CYCLES: u64 = 6;
/// Cycles from the instruction that ends an event to its decision at the output.
pub const EXIT_CYCLES: u64 = 1;
/// Cycles from the completion of an instruction to the next one of its thread.
pub const WAKE_CYCLES: u64 = 2;
/// Cycles from a tail call to the beginning of its visit: its request waits in two registers.
const TAIL_CALL_CYCLES: u64 = 2;
/// Cycles from an instruction to the next one behind a jump that is taken.
const JUMP_CYCLES: u64 = 3;
/// Cycles from a command to the choice of its operation, when nothing else is under way; it is issued one later.
const CHOICE_CYCLES: u64 = 2;

/// What the word of an instruction does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Lanes of the vector register that it reads.
    pub lanes: u32,
    /// Bits of the magnitude of the dividend or radicand, at most 64.
    pub dividend_bits: u32,
    /// A conditional jump is taken.
    pub taken: bool,
}

/// What an instruction does to its thread, in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// The next instruction executes so many cycles later.
    Direct(u64),
    /// Lanes go from a ring to a vector register, each in a cycle.
    LanesIn {
        /// From the instruction to the first lane.
        first: u64,
        /// Lanes.
        lanes: u64,
    },
    /// Lanes go from a vector register to a ring.
    LanesOut {
        /// From the instruction to the first word that is read.
        first: u64,
        /// Lanes.
        lanes: u64,
        /// Words of the register.
        words: u64,
    },
    /// An operation of the engine, answered when it is issued.
    Engine {
        /// From its issue to the cycle in which the thread's next operation can be chosen.
        occupies: u64,
    },
    /// An operation of the engine that gives a scalar, so many cycles after its issue.
    Scalar {
        /// From its issue to the answer.
        answers: u64,
    },
}

impl Timing {
    /// The timing of an instruction of a program on a card.
    pub fn of(
        shape: &CardShape,
        program: &Program,
        instruction: Instruction,
        facts: Facts,
    ) -> Self {
        use Instruction as I;
        match instruction.info().class {
            Class::Control => match instruction {
                I::Jump { .. } => Self::Direct(JUMP_CYCLES),
                I::TailCall { table } => {
                    let waits = TAIL_CALL_CYCLES + choice_of_stage_cycles(shape);
                    Self::Direct(waits + look_up_cycles(shape, program, table.index()))
                }
                I::Call { helper, .. } => request(shape, helper_cycles(helper, facts)),
                _ => Self::Direct(1),
            },
            Class::Alu | Class::Event => match instruction {
                I::LeadingZeros { .. } | I::TrailingZeros { .. } | I::CountOnes { .. } => {
                    request(shape, 7)
                }
                _ => Self::Direct(1),
            },
            Class::Branch => Self::Direct(if facts.taken { JUMP_CYCLES } else { 1 }),
            Class::Multiply => request(shape, 8),
            Class::Divide => {
                // Signs are taken from the dividend and given to the result.
                let signs =
                    if dividend(instruction).is_some_and(|(_, signed)| signed) { 2 } else { 0 };
                request(shape, quotient_cycles(facts.dividend_bits) + signs)
            }
            Class::Context => request(
                shape,
                match instruction {
                    I::StoreContext { .. } | I::PushContext { .. } => 2,
                    I::LoadHistory { .. } | I::LoadHistoryImm { .. } => 5,
                    _ => 4,
                },
            ),
            Class::Map => request(
                shape,
                match instruction {
                    I::MapPush { .. } => 1,
                    I::MapAdd { .. } => 5,
                    _ => 4,
                },
            ),
            Class::Vector => vector(shape, program, instruction, facts),
            Class::Model => model(shape, program, instruction, facts),
        }
    }
}

/// Cycles from taking an event to the beginning of its first visit: its slot is looked up (1), and it goes to its thread, whose
/// last part comes as the visit begins.
fn first_visit_cycles(shape: &CardShape) -> u64 {
    u64::from(shape.event_beats())
}

/// Cycles from the beginning of a visit to the first instruction behind the look-up in a table.
fn look_up_cycles(shape: &CardShape, program: &Program, table: usize) -> u64 {
    let fields = program.tables.get(table).map_or(0, |table| table.key.len() as u64);
    let groups = fields.div_ceil(u64::from(shape.match_fields).max(1)).max(1);
    // A card that gathers fewer fields than a key may have reads the table's descriptor in a cycle of its own.
    let descriptor = u64::from(shape.event_beats() > 1);
    descriptor + LOOK_UP_CYCLES + groups - 1
}

/// Where several stages share a unit, which request goes first is chosen in a cycle of its own.
fn choice_of_stage_cycles(shape: &CardShape) -> u64 {
    u64::from(shape.stages > 1)
}

/// An instruction of a unit that completes it so many cycles after its request has left the stage, which takes one.
fn request(shape: &CardShape, cycles: u64) -> Timing {
    Timing::Direct(1 + choice_of_stage_cycles(shape) + cycles + WAKE_CYCLES)
}

/// Cycles from the request to the result of a helper.
fn helper_cycles(helper: Helper, facts: Facts) -> u64 {
    match helper {
        Helper::Crc32c => 5,
        Helper::Log2 => 7,
        Helper::MulHigh => 9,
        Helper::SquareRoot => quotient_cycles(facts.dividend_bits),
        Helper::Random => 20,
        // The dividend is shifted left by 16.
        Helper::Ratio => quotient_cycles(facts.dividend_bits) + 8,
    }
}

/// The same of a quotient or square root: two bits each cycle, and two leading zero bytes, or the odd one, are skipped
/// in a cycle.
fn quotient_cycles(dividend_bits: u32) -> u64 {
    let bytes = dividend_bits.div_ceil(8).clamp(1, 8);
    u64::from(3 + 4 * bytes + (8 - bytes).div_ceil(2))
}

/// Words of N lanes that a vector takes.
fn words(shape: &CardShape, lanes: u64) -> u64 {
    lanes.div_ceil(edge(shape)).max(1)
}

/// Rows and columns of the array; a shape that was not checked may say 0.
fn edge(shape: &CardShape) -> u64 {
    shape.engine.array.max(1).into()
}

/// Lanes that the instruction names, or those of its source.
fn lanes_of(program: &Program, instruction: Instruction, facts: Facts) -> u64 {
    if let Instruction::VectorLoadTensor { tensor, .. } = instruction {
        let shape = program.tensors.get(tensor.index()).map(|tensor| &tensor.shape);
        return shape.and_then(|shape| shape.get(1)).copied().unwrap_or(1).into();
    }
    let named = instruction.operands().iter().find_map(|operand| match operand.value {
        Operand::Lanes(lanes) => Some(lanes.count() as u64),
        _ => None,
    });
    named.unwrap_or(facts.lanes.into())
}

fn vector(shape: &CardShape, program: &Program, instruction: Instruction, facts: Facts) -> Timing {
    use Instruction as I;
    let lanes = lanes_of(program, instruction, facts);
    let words = words(shape, lanes);
    match instruction {
        I::VectorLoadContext { .. } => {
            Timing::LanesIn { first: 7 + choice_of_stage_cycles(shape), lanes }
        }
        I::VectorStoreContext { .. } => {
            Timing::LanesOut { first: 6 + choice_of_stage_cycles(shape), lanes, words }
        }
        I::ScalarValue { .. } | I::ScalarValueAt { .. } => Timing::Scalar { answers: 2 },
        I::VectorSum { .. } | I::ArgMax { .. } => Timing::Scalar { answers: words + 3 },
        I::VectorSet { .. } => Timing::Engine { occupies: 3 },
        _ => Timing::Engine { occupies: words + 2 },
    }
}

fn model(shape: &CardShape, program: &Program, instruction: Instruction, facts: Facts) -> Timing {
    use Instruction as I;
    let (engine, n) = (&shape.engine, edge(shape));
    // From the step of a wave of activations to its sums in the registers.
    let pipeline = n + 3 + u64::from(engine.array / engine.hop_columns.max(1));
    let side = |number: usize, axis: usize| {
        let sides = program.tensors.get(number).map(|tensor| &tensor.shape);
        u64::from(sides.and_then(|sides| sides.get(axis)).copied().unwrap_or(1))
    };
    match instruction {
        I::MatMul { weights, .. } => {
            let (outputs, inputs) = (side(weights.index(), 0), side(weights.index(), 1));
            let tiles = outputs.div_ceil(n).saturating_mul(inputs.div_ceil(n)).max(1);
            // Each tile is loaded, and a wave follows its load by a cycle.
            Timing::Engine { occupies: (tiles - 1).saturating_mul(n).saturating_add(1 + pipeline) }
        }
        I::Conv2d { window, weights, .. } => {
            let waves = convolution_waves(shape, program, window, side(weights.index(), 0));
            let words = words(shape, facts.lanes.into());
            Timing::Engine { occupies: waves.saturating_add(words + pipeline + 2) }
        }
        I::PoolMax { window, .. } | I::PoolSum { window, .. } => {
            let steps = program.windows.get(window.index()).map_or(1, |window| {
                let places = u64::from(window.out_height) * u64::from(window.out_width);
                let taps = u64::from(window.height) * u64::from(window.width);
                places.saturating_mul(taps * u64::from(window.channels).div_ceil(n))
            });
            let words = words(shape, facts.lanes.into());
            Timing::Engine { occupies: steps.saturating_add(words + 7) }
        }
        I::Requantise { .. } => {
            let group = u64::from(engine.requantise_lanes.max(1));
            Timing::Engine { occupies: u64::from(facts.lanes).div_ceil(group).max(1) + 5 }
        }
        I::ForestEval { forest, .. } => {
            let levels = program.forests.get(forest.index()).map_or(0, |forest| {
                let root = |&root: &u16| 1 + u64::from(depth(&forest.nodes, root));
                // Who won a vote of several trees shows two cycles later.
                let counts = forest.mode == ForestMode::Vote && forest.roots.len() > 1;
                forest.roots.iter().map(root).sum::<u64>() + 2 * u64::from(counts)
            });
            let words = words(shape, facts.lanes.into());
            Timing::Scalar { answers: words + 1 + levels }
        }
        // There is no other instruction of this class.
        _ => Timing::Direct(1),
    }
}

/// Cycles in which the waves of a convolution enter the array: chunks of as many places as
/// there are partial sums pass each tile together, and a tile takes at least its load.
fn convolution_waves(shape: &CardShape, program: &Program, window: WindowId, outputs: u64) -> u64 {
    let n = edge(shape);
    let Some(window) = program.windows.get(window.index()) else { return 1 };
    let places = u64::from(window.out_height) * u64::from(window.out_width);
    let row = u64::from(window.width) * u64::from(window.channels);
    let tiles = outputs.div_ceil(n) * u64::from(window.height) * row.div_ceil(n);
    let chunk = u64::from(shape.engine.partial_sums()).max(1);
    let mut waves = 0_u64;
    let mut left = places;
    while left > 0 {
        let now = left.min(chunk);
        left -= now;
        let last = if left == 0 { 1 } else { 0 };
        waves = waves.saturating_add(tiles.saturating_sub(last).saturating_mul(now.max(n)));
        waves += last * now;
    }
    waves
}

/// Most comparisons from a node to a leaf. Nodes are visited once each: of those that nobody
/// verified a bound is lost, never the end.
fn depth(nodes: &[TreeNode], root: u16) -> u32 {
    let mut deepest = 0;
    let mut pending = vec![(root, 0)];
    for _ in 0..nodes.len() {
        let Some((node, depth)) = pending.pop() else { break };
        match nodes.get(usize::from(node)) {
            Some(TreeNode::Branch { left, .. }) => {
                pending.push((*left, depth + 1));
                pending.push((left.saturating_add(1), depth + 1));
            }
            _ => deepest = deepest.max(depth),
        }
    }
    deepest
}

/// A lone thread, instruction by instruction. All its figures only grow with those before, so
/// the larger of two is a bound for both: see [`Self::or`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoneThread {
    /// Cycle in which the next instruction executes.
    next: u64,
    /// Cycle from which the engine can choose the thread's next operation.
    engine: u64,
}

impl LoneThread {
    /// An event that is taken in cycle 0 for the first table of a program: its first instruction is about to execute.
    pub fn at_first_instruction(shape: &CardShape, program: &Program) -> Self {
        Self::at(first_visit_cycles(shape) + look_up_cycles(shape, program, 0))
    }

    /// The instruction of this cycle is the first one of all.
    pub fn at(cycle: u64) -> Self {
        Self { next: cycle, engine: 0 }
    }

    /// The thread behind an instruction.
    #[must_use]
    pub fn after(self, timing: Timing) -> Self {
        let now = self.next;
        let chosen = now.saturating_add(CHOICE_CYCLES).max(self.engine);
        let issued = chosen.saturating_add(1);
        let (next, engine) = match timing {
            Timing::Direct(cycles) => (now.saturating_add(cycles), self.engine),
            Timing::LanesIn { first, lanes } => {
                // The first lane waits for the engine.
                let first = now.saturating_add(first).max(self.engine);
                (first.saturating_add(lanes + 1 + WAKE_CYCLES), self.engine)
            }
            Timing::LanesOut { first, lanes, words } => {
                // Each word is read and held before its lanes go.
                let first = now.saturating_add(first).max(self.engine);
                let cycles = 2 + 2 * words + lanes + WAKE_CYCLES;
                (first.saturating_add(cycles), self.engine)
            }
            Timing::Engine { occupies } => {
                let next = issued.saturating_add(WAKE_CYCLES);
                (next, issued.saturating_add(occupies))
            }
            Timing::Scalar { answers } => {
                let answered = issued.saturating_add(answers);
                (answered.saturating_add(WAKE_CYCLES), answered)
            }
        };
        Self { next, engine }
    }

    /// Where two paths meet: late enough for both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { next: self.next.max(other.next), engine: self.engine.max(other.engine) }
    }

    /// Cycles from taking the event to its decision, when the next instruction ends it.
    pub fn decision_cycle(self) -> u64 {
        self.next.saturating_add(EXIT_CYCLES)
    }

    /// Cycle in which the next instruction executes.
    pub fn next_cycle(self) -> u64 {
        self.next
    }

    /// Cycle from which nothing of the thread runs in another unit.
    pub fn idle_cycle(self) -> u64 {
        self.next.max(self.engine)
    }
}

/// The vector register that an instruction reads first, whose lanes are [`Facts::lanes`].
pub fn vector_read(instruction: Instruction) -> Option<usize> {
    instruction.operands().iter().find_map(|operand| match (operand.value, operand.info.role) {
        (Operand::Vector(register), Role::Read | Role::Modify) => Some(register.index()),
        _ => None,
    })
}

/// The register of the dividend of an instruction that divides or takes a square root, and whether it is signed.
pub fn dividend(instruction: Instruction) -> Option<(Scalar, bool)> {
    use Instruction as I;
    match instruction {
        I::Div { a, .. } | I::DivImm { a, .. } | I::Rem { a, .. } | I::RemImm { a, .. } => {
            Some((a, true))
        }
        I::DivU { a, .. } | I::DivUImm { a, .. } | I::RemU { a, .. } | I::RemUImm { a, .. } => {
            Some((a, false))
        }
        I::Call { helper: Helper::Ratio | Helper::SquareRoot, a, .. } => Some((a, false)),
        _ => None,
    }
}

/// Bits of the magnitude of a number, for [`Facts::dividend_bits`].
pub fn magnitude_bits(value: u64, signed: bool) -> u32 {
    let magnitude = if signed { (value as i64).unsigned_abs() } else { value };
    u64::BITS - magnitude.leading_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assembly::assemble;
    use crate::operand::IntType;
    use crate::program::{KeyField, KeySource, MatchKind, Table};

    fn run(text: &str, facts: Facts) -> u64 {
        let shape = CardShape::default_card();
        let program = Program::default();
        let begin = LoneThread::at_first_instruction(&shape, &program);
        let code = assemble(text).unwrap();
        let exit = code[..code.len() - 1].iter().fold(begin, |thread, &instruction| {
            thread.after(Timing::of(&shape, &program, instruction, facts))
        });
        exit.decision_cycle()
    }

    #[test]
    fn scalars_add_up() {
        let facts = Facts { dividend_bits: 64, ..Facts::default() };
        assert_eq!(run("exit decided", facts), 8);
        assert_eq!(run("movi r1, 1\nmuli r1, r1, 3\nexit decided", facts), 8 + 1 + 12);
        assert_eq!(run("divi r1, r1, 3\nexit decided", facts), 8 + 41);
        assert_eq!(run("CALL r1, ratio, r1, r2\nexit decided", facts), 8 + 47);
    }

    #[test]
    fn a_thread_goes_on_while_its_vector_operation_runs() {
        let fill = "RMT_VECTOR_FILL v0, x256, i16, 1\n";
        let alone = run(&format!("{fill}exit decided"), Facts::default());
        assert_eq!(alone, 8 + 5);
        // Sixteen words, two cycles until the last one is written, and one for the choice: the second
        // operation waits for the first.
        let both = run(&format!("{fill}{fill}exit decided"), Facts::default());
        assert_eq!(both, 8 + 5 + 16 + 2 + 1);
    }

    #[test]
    fn a_push_is_waited_for_and_keeps_nothing_from_the_next_one() {
        let push = "RMT_PUSH_CTXT ctxt0.1, r1\n";
        assert_eq!(run(&format!("{push}exit decided"), Facts::default()), 8 + 6);
        assert_eq!(run(&format!("{push}{push}exit decided"), Facts::default()), 8 + 6 + 6);
    }

    #[test]
    fn a_key_of_more_fields_than_are_gathered_at_once_takes_longer() {
        let field = |name: &str| KeyField {
            name: name.into(),
            kind: IntType::U16,
            source: KeySource::Argument { register: 1 },
        };
        let mut program = Program::default();
        for fields in 0..=4 {
            let key = ["a", "b", "c", "d"][..fields].iter().map(|name| field(name)).collect();
            program.tables.push(Table {
                name: "t".into(),
                kind: MatchKind::Exact,
                key,
                capacity: 1,
                actions: vec![],
                default: None,
                entries: vec![],
            });
        }
        let cycles = |match_fields: u32| {
            let shape = CardShape { match_fields, ..CardShape::tiny() };
            [0, 1, 2, 3, 4].map(|table| look_up_cycles(&shape, &program, table))
        };
        assert_eq!(cycles(4), [6; 5]);
        assert_eq!(cycles(2), [7, 7, 7, 8, 8]);
        assert_eq!(cycles(1), [7, 7, 8, 9, 10]);
    }

    #[test]
    fn absurd_sizes_saturate() {
        let thread = LoneThread::at(u64::MAX).after(Timing::Engine { occupies: u64::MAX });
        assert_eq!(thread.decision_cycle(), u64::MAX);
    }
}
