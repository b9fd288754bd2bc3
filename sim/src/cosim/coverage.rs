//! Functional coverage: what random programs made the machine do.
//!
//! Bins are made from the tables of `rmt-isa`, so that a new instruction has bins without a
//! word here: each instruction, with each class of value that its source operands may have,
//! and how its vectors fit the array; each match kind with hit, default and miss; each way to
//! end; each order of events; each kind of commit. The interpreter tells what happened: what
//! it executed the RTL executed too, or the comparison fails. What only the RTL knows, such as
//! products that share a load of weights, events that wait for a lock, or a unit that is
//! busy, its counters tell: each is a bin.

use std::collections::BTreeMap;

use rmt_isa::card::CardShape;
use rmt_isa::card::engine::{ENGINE_COUNTERS, EngineShape};
use rmt_isa::card::shape::COUNTERS;
use rmt_isa::operand::{Element, IntType, Operand, OperandKind, Role, Verdict};
use rmt_isa::program::{MatchKind, Ordering, Program};
use rmt_isa::{Decision, Event, Helper, INSTRUCTIONS, Instruction, InstructionInfo, Status};
use rmt_vm::State;
use rmt_vm::generate::EngineCorners;
use rmt_vm::interpreter::{Observer, Thread};
use rmt_vm::state::Change;

/// What a value of 64 bits can be.
const VALUES: [&str; 3] = ["zero", "positive", "negative"];
/// How a number of lanes, inputs or outputs can fit an array of N.
const FITS: [&str; 4] = ["below N", "N", "above N, ragged", "above N, whole words"];
/// How a look-up can end.
const LOOK_UPS: [&str; 3] = ["hit", "default", "miss"];
const KINDS: [MatchKind; 4] =
    [MatchKind::Exact, MatchKind::LongestPrefix, MatchKind::Ternary, MatchKind::Range];
/// How an event of verified programs can end.
const ENDINGS: [Status; 5] =
    [Status::Decided, Status::Abstained, Status::Missed, Status::BadEvent, Status::NoProgram];
const ORDERINGS: [Ordering; 3] = [Ordering::Pure, Ordering::PerKey, Ordering::Total];
const CHANGES: [&str; 5] =
    ["entry added", "entry changed", "entry removed", "default set", "model swapped"];

/// Whether sums of i32 lanes overflow is a matter of ranges, so the generator leaves them out. The
/// engine's own tests run them.
const NOT_GENERATED: &str = "pooling of i32: sum";

/// How often each bin was hit, by group and name.
#[derive(Clone, Debug)]
pub struct Coverage {
    bins: BTreeMap<String, BTreeMap<String, u64>>,
    corners: EngineCorners,
    engine: EngineShape,
    program: Program,
}

impl Coverage {
    /// Empty bins of all that a card of a shape can do.
    pub fn new(shape: &CardShape) -> Self {
        let mut coverage = Self::without_counters(shape);
        for name in counters(shape) {
            coverage.declare("counter", name);
        }
        coverage
    }

    /// The same without the card's counters: all that the interpreter can tell.
    pub(super) fn without_counters(shape: &CardShape) -> Self {
        let mut coverage = Self {
            bins: BTreeMap::new(),
            corners: EngineCorners::default(),
            engine: shape.engine.clone(),
            program: Program::default(),
        };
        for info in INSTRUCTIONS.iter().filter(|info| shape.executes_opcode(info.opcode)) {
            coverage.declare(info.mnemonic, "executed");
            for operand in info.operands {
                for class in classes(info, operand.kind, operand.role) {
                    coverage.declare(info.mnemonic, &bin_name(operand.name, &class));
                }
            }
        }
        for kind in KINDS {
            for end in LOOK_UPS {
                coverage.declare("match", &format!("{kind:?}, {end}"));
            }
        }
        ENDINGS.iter().for_each(|status| coverage.declare("event", status.text()));
        ORDERINGS.iter().for_each(|order| coverage.declare("order", &format!("{order:?}")));
        CHANGES.iter().for_each(|change| coverage.declare("commit", change));
        coverage
    }

    fn declare(&mut self, group: &str, name: &str) {
        self.bins.entry(group.to_owned()).or_default().entry(name.to_owned()).or_default();
    }

    /// Counts a bin; what has no bin is not counted.
    fn hit(&mut self, group: &str, name: &str) {
        self.add(group, name, 1);
    }

    fn add(&mut self, group: &str, name: &str, hits: u64) {
        if let Some(count) = self.bins.get_mut(group).and_then(|bins| bins.get_mut(name)) {
            *count += hits;
        }
    }

    /// A program begins to run.
    pub fn program(&mut self, program: &Program, ordering: Ordering) {
        self.program = program.clone();
        self.hit("order", &format!("{ordering:?}"));
    }

    /// An event is about to run: its first table is looked up.
    pub fn event(&mut self, state: &State, event: &Event) {
        let (Some(table), Some(declared)) = (state.tables().first(), self.program.tables.first())
        else {
            return;
        };
        if declared.key.is_empty() || event.hook() != self.program.hook.number {
            return;
        }
        let end = match (table.find(&table.key(event, &Default::default())), table.default_action())
        {
            (Some(_), _) => LOOK_UPS[0],
            (None, Some(_)) => LOOK_UPS[1],
            (None, None) => LOOK_UPS[2],
        };
        let name = format!("{:?}, {end}", declared.kind);
        self.hit("match", &name);
    }

    /// An event ended.
    pub fn decision(&mut self, decision: &Decision) {
        self.hit("event", decision.status.text());
    }

    /// A commit was carried out.
    pub fn commit(&mut self, changes: &[Change]) {
        for change in changes {
            let name = match change {
                Change::AddEntry { .. } => CHANGES[0],
                Change::ChangeEntry { .. } => CHANGES[1],
                Change::RemoveEntry { .. } => CHANGES[2],
                Change::SetDefault { .. } => CHANGES[3],
                Change::SwapModel { .. } => CHANGES[4],
                _ => continue,
            };
            self.hit("commit", name);
        }
    }

    /// What a counter of the card says.
    pub(super) fn counter(&mut self, name: &str, value: u64) {
        self.add("counter", name, value);
    }

    /// Bins that nothing hit: group and name.
    pub fn empty_bins(&self) -> impl Iterator<Item = (&str, &str)> {
        self.bins().filter(|(_, _, count)| *count == 0).map(|(group, name, _)| (group, name))
    }

    /// All bins: group, name, hits.
    pub fn bins(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        let own = self.bins.iter().flat_map(|(group, bins)| {
            bins.iter().map(move |(name, count)| (group.as_str(), name.as_str(), *count))
        });
        let corners = self.corners.bins().filter(|(name, _)| *name != NOT_GENERATED);
        own.chain(corners.map(|(name, count)| ("engine corner", name, count)))
    }
}

/// Counters of a card that verified programs can make count.
fn counters(shape: &CardShape) -> impl Iterator<Item = &'static str> {
    // Two stages ask for a shared unit at once, or there is only one.
    let shared = ["ENGINE_STALLS", "TABLE_STALLS"];
    let alone = shape.stages == 1;
    let control = COUNTERS.iter().map(|(name, _)| *name);
    // Commands are refused when they break a rule, which verified programs do not.
    let engine = ENGINE_COUNTERS.iter().copied().filter(|name| *name != "REFUSED_COMMANDS");
    control.filter(move |name| !alone || !shared.contains(name)).chain(engine)
}

fn bin_name(operand: &str, class: &str) -> String {
    format!("{operand}: {class}")
}

/// The classes that an operand of an instruction can have.
fn classes(info: &InstructionInfo, kind: OperandKind, role: Role) -> Vec<String> {
    let texts = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
    let reads = matches!(role, Role::Read | Role::Modify);
    match kind {
        OperandKind::Scalar if reads => texts(&VALUES),
        // A constant place in a history is never negative: the verifier refuses it.
        OperandKind::Immediate if info.name == "LoadHistoryImm" => texts(&VALUES[..2]),
        OperandKind::Immediate => texts(&VALUES),
        OperandKind::Vector if reads => texts(&FITS),
        OperandKind::Lanes => texts(&FITS),
        OperandKind::Element => Element::ALL.iter().map(ToString::to_string).collect(),
        OperandKind::IntType => IntType::ALL.iter().map(ToString::to_string).collect(),
        OperandKind::Helper => Helper::ALL.iter().map(ToString::to_string).collect(),
        OperandKind::Verdict => Verdict::ALL.iter().map(ToString::to_string).collect(),
        OperandKind::Bias => texts(&["none", "some"]),
        // How many outputs a product has.
        OperandKind::TensorId if info.name == "MatMul" => texts(&FITS),
        _ => Vec::new(),
    }
}

impl Coverage {
    fn fit(&self, count: usize) -> &'static str {
        let array = self.engine.array as usize;
        match (count.cmp(&array), count % array) {
            (std::cmp::Ordering::Less, _) => FITS[0],
            (std::cmp::Ordering::Equal, _) => FITS[1],
            (_, 0) => FITS[3],
            _ => FITS[2],
        }
    }

    fn class(&self, operand: Operand, role: Role, thread: &Thread) -> Option<String> {
        let reads = matches!(role, Role::Read | Role::Modify);
        let value = |value: i64| VALUES[if value == 0 { 0 } else { 1 + usize::from(value < 0) }];
        Some(match operand {
            Operand::Scalar(register) if reads => value(thread.scalar(register) as i64).to_owned(),
            Operand::Immediate(constant) => value(constant.into()).to_owned(),
            Operand::Vector(register) if reads => {
                self.fit(thread.vector(register).lanes().len()).to_owned()
            }
            Operand::Lanes(lanes) => self.fit(lanes.count()).to_owned(),
            Operand::Element(element) => element.to_string(),
            Operand::IntType(kind) => kind.to_string(),
            Operand::Helper(helper) => helper.to_string(),
            Operand::Verdict(verdict) => verdict.to_string(),
            Operand::Bias(bias) => {
                if bias.to_string() == "none" { "none" } else { "some" }.to_owned()
            }
            Operand::TensorId(tensor) => {
                let rows = self.program.tensors.get(tensor.index())?.shape.first()?;
                self.fit(*rows as usize).to_owned()
            }
            _ => return None,
        })
    }
}

impl Observer for Coverage {
    fn instruction(&mut self, _: usize, _: usize, instruction: Instruction, thread: &Thread) {
        let mnemonic = instruction.info().mnemonic;
        self.hit(mnemonic, "executed");
        self.corners.count(instruction, thread, &self.program, &self.engine);
        for operand in instruction.operands() {
            if let Some(class) = self.class(operand.value, operand.info.role, thread) {
                self.hit(mnemonic, &bin_name(operand.info.name, &class));
            }
        }
    }
}
