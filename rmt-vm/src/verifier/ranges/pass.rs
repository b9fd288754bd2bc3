//! The forward pass over one action, and the check of its accumulators.

use std::collections::HashMap;

use rmt_isa::instruction::Instruction;
use rmt_isa::limits::{SCALAR_REGISTERS, VECTOR_REGISTERS};
use rmt_isa::operand::{Bias, Element, Operand, Role, TensorId, Vector};
use rmt_isa::program::Tensor;

use super::interval::Interval;
use super::lanes::{Effort, LaneRanges};
use super::layers::{self, AccumulatorBounds, Layer, RowSums, Sum, fits};
use super::scalars::{self, Scalars};
use super::vectors::{self, Columns};
use crate::verifier::control::FlowGraph;
use crate::verifier::dataflow::{self, Domain, Meeting, Step};
use crate::verifier::findings::{Findings, group_digits, quote};
use crate::verifier::rules::Rule;
use crate::verifier::types::Typing;

/// Operations on lanes that one verification spends before it bounds lanes together.
const LANE_OPERATIONS: u64 = 1 << 21;

/// What is kept between actions: facts of the constants, and the effort that is left.
pub(in crate::verifier) struct RangeCache {
    effort: Effort,
    rows: RowSums,
    columns: Columns,
    forests: HashMap<usize, Interval>,
}

impl RangeCache {
    pub(in crate::verifier) fn new() -> Self {
        Self {
            effort: Effort::new(LANE_OPERATIONS),
            rows: RowSums::default(),
            columns: Columns::default(),
            forests: HashMap::new(),
        }
    }
}

/// Ranges of all registers at one point.
#[derive(Clone)]
pub(super) struct State {
    pub(super) scalars: Scalars,
    pub(super) vectors: [LaneRanges; VECTOR_REGISTERS],
}

pub(super) struct Ranges<'f, 'p> {
    findings: &'f mut Findings<'p>,
    action: usize,
    typings: &'f [Typing],
    cache: &'f mut RangeCache,
    bounds: Vec<AccumulatorBounds>,
    dividend_bits: HashMap<usize, u32>,
    /// The states before each instruction, for tests that ask for them.
    #[cfg(test)]
    pub(super) states: Vec<Option<State>>,
    #[cfg(test)]
    pub(super) keep_states: bool,
}

/// What the ranges of an action tell.
pub(in crate::verifier) struct Ranged {
    /// The bounds which prove that no accumulator overflows.
    pub(in crate::verifier) accumulators: Vec<AccumulatorBounds>,
    /// The most bits of each dividend, by instruction: a division takes a cycle for two of them.
    pub(in crate::verifier) dividend_bits: HashMap<usize, u32>,
}

/// No accumulator of the action overflows.
pub(in crate::verifier) fn check_ranges(
    findings: &mut Findings<'_>,
    action: usize,
    graph: &FlowGraph<'_>,
    typings: &[Typing],
    cache: &mut RangeCache,
) -> Ranged {
    let mut pass = Ranges::new(findings, action, typings, cache);
    dataflow::run(graph, &mut pass, Ranges::entry());
    Ranged { accumulators: pass.bounds, dividend_bits: pass.dividend_bits }
}

impl<'f, 'p> Ranges<'f, 'p> {
    pub(super) fn new(
        findings: &'f mut Findings<'p>,
        action: usize,
        typings: &'f [Typing],
        cache: &'f mut RangeCache,
    ) -> Self {
        Self {
            findings,
            action,
            typings,
            cache,
            bounds: Vec::new(),
            dividend_bits: HashMap::new(),
            #[cfg(test)]
            states: vec![None; typings.len()],
            #[cfg(test)]
            keep_states: false,
        }
    }

    /// Arguments of a tail call can be anything.
    pub(super) fn entry() -> State {
        let vector = LaneRanges::All(Interval::of_element(Element::I32));
        State {
            scalars: [Interval::ALL; SCALAR_REGISTERS],
            vectors: std::array::from_fn(|_| vector.clone()),
        }
    }

    fn lanes(&self, index: usize, register: Vector) -> usize {
        let before = self.typings[index].before[register.index()];
        before.map_or(0, |vector| vector.lanes.into())
    }

    fn layer(&self, weights: TensorId, bias: Bias) -> Option<Layer<'p>> {
        let tensors: &'p [Tensor] = &self.findings.program.tensors;
        let bias = match bias.0 {
            Some(id) => Some(tensors.get(id.index())?),
            None => None,
        };
        Some(Layer { number: weights.index(), weights: tensors.get(weights.index())?, bias })
    }

    /// The vector that the instruction writes; `None` when nothing narrower than its element
    /// type is known.
    fn vector_result(
        &mut self,
        index: usize,
        instruction: Instruction,
        state: &State,
    ) -> Option<LaneRanges> {
        use Instruction as I;
        let program = self.findings.program;
        let get = |register: Vector| &state.vectors[register.index()];
        let result = self.typings[index].result?;
        let element = Interval::of_element(result.element);
        let lanes = usize::from(result.lanes);
        let saturated = |f: fn(Interval, Interval) -> Interval| {
            move |a: Interval, b: Interval| f(a, b).clamp(element)
        };
        let effort = &mut self.cache.effort;
        Some(match instruction {
            I::VectorFill { imm, .. } => {
                LaneRanges::All(Interval::constant(imm.into()).clamp(element))
            }
            I::VectorLoadContext { field, element, .. } => {
                LaneRanges::All(vectors::load_context(program, field, element))
            }
            I::VectorLoadTensor { a, tensor, .. } => {
                let row = state.scalars[a.index()];
                if !effort.take(lanes as u64) {
                    return None;
                }
                self.cache.columns.load_row(program, tensor, row)?
            }
            I::VectorSet { d, lane, a } => {
                let value = state.scalars[a.index()].clamp(element);
                vectors::set_lane(effort, get(d), lanes, lane.index(), value)
            }
            I::VectorAdd { a, b, .. } => {
                effort.zip(get(a), get(b), lanes, saturated(Interval::add))
            }
            I::VectorSub { a, b, .. } => {
                effort.zip(get(a), get(b), lanes, saturated(Interval::sub))
            }
            I::VectorMul { a, b, .. } => effort.zip(get(a), get(b), lanes, Interval::mul),
            I::VectorMin { a, b, .. } => effort.zip(get(a), get(b), lanes, Interval::min),
            I::VectorMax { a, b, .. } => effort.zip(get(a), get(b), lanes, Interval::max),
            I::VectorRelu { a, .. } => {
                effort.map(get(a), |_, lane| lane.max(Interval::constant(0)))
            }
            I::VectorConvert { a, .. } => effort.map(get(a), |_, lane| lane.clamp(element)),
            I::MatMul { a, weights, bias, .. } => {
                let layer = self.layer(weights, bias)?;
                let (effort, rows) = (&mut self.cache.effort, &mut self.cache.rows);
                let sums = layers::mat_mul(effort, rows, layer, get(a));
                self.check_layer(index, layer, get(a), &sums)
            }
            I::Conv2d { a, window, weights, bias, .. } => {
                let layer = self.layer(weights, bias)?;
                let window = program.windows.get(window.index())?;
                let (effort, rows) = (&mut self.cache.effort, &mut self.cache.rows);
                let sums = layers::conv_2d(effort, rows, layer, window, get(a));
                self.check_layer(index, layer, get(a), &sums)
            }
            I::PoolMax { a, window, .. } => {
                layers::pool_max(effort, program.windows.get(window.index())?, get(a))
            }
            I::PoolSum { a, window, .. } => {
                let sums = layers::pool_sum(effort, program.windows.get(window.index())?, get(a));
                self.check_pool(index, get(a), &sums)
            }
            I::Requantise { a, scale, .. } => {
                let scale = program.scales.get(scale.index())?;
                layers::requantised(effort, scale, result.element, lanes, get(a))
            }
            _ => return None,
        })
    }

    /// The scalar that an instruction computes from a vector.
    fn scalar_of_vector(
        &mut self,
        index: usize,
        instruction: Instruction,
        state: &State,
    ) -> Option<Interval> {
        use Instruction as I;
        let get = |register: Vector| &state.vectors[register.index()];
        let zero = Interval::constant(0);
        Some(match instruction {
            I::ScalarValue { a, lane, .. } => get(a).lane(lane.index()),
            I::ScalarValueAt { a, .. } => get(a).hull().join(zero),
            I::VectorSum { a, .. } => {
                let lanes = self.lanes(index, a);
                (0..lanes).map(|lane| get(a).lane(lane)).fold(zero, Interval::add)
            }
            I::ArgMax { a, .. } => Interval::new(0, self.lanes(index, a) as i64 - 1),
            I::ForestEval { forest, .. } => {
                let declared = self.findings.program.forests.get(forest.index())?;
                let known = self.cache.forests.entry(forest.index());
                *known.or_insert_with(|| layers::forest_values(declared))
            }
            _ => return None,
        })
    }

    /// Every accumulator of a layer stays inside i32. Gives the result's ranges.
    fn check_layer(
        &mut self,
        index: usize,
        layer: Layer<'_>,
        input: &LaneRanges,
        sums: &[Sum],
    ) -> LaneRanges {
        self.record(index, sums);
        if let Some(lane) = sums.iter().position(|sum| !fits(sum.partial)) {
            let outputs = layer.weights.shape.first().copied().unwrap_or(1).max(1) as usize;
            let (row, inputs) = (lane % outputs, layer.weights.values.len() / outputs);
            let weights = &layer.weights.values[row * inputs..][..inputs];
            let weight: i64 = weights.iter().map(|&w| i64::from(w).abs()).sum();
            let bias = layer.bias.and_then(|bias| bias.values.get(row)).copied().unwrap_or(0);
            let reason = format!(
                "the sum of output {row} can be {} on the way, outside i32 ({} to {}): inputs are \
                 {}, the absolute weights of row {row} of `{}` sum to {}, the bias is {}",
                sums[lane].partial,
                group_digits(i32::MIN),
                group_digits(i32::MAX),
                input.hull(),
                quote(&layer.weights.name),
                group_digits(weight),
                group_digits(bias)
            );
            let room = (i64::from(i32::MAX) - i64::from(bias).abs()).max(0) / weight.max(1);
            let remedy = match room {
                0 => format!("lower the bias of output {row}: it leaves no room for products"),
                _ => format!(
                    "keep inputs within ±{} with `RMT_VECTOR_MIN` and `RMT_VECTOR_MAX` or by \
                     requantising, or use smaller weights or a smaller bias",
                    group_digits(room)
                ),
            };
            let place = self.findings.instruction(self.action, index);
            self.findings.refuse(Rule::ProductOverflow, place, reason, remedy);
        }
        results(sums)
    }

    /// The same for the sums of a pooling window.
    fn check_pool(&mut self, index: usize, input: &LaneRanges, sums: &[Sum]) -> LaneRanges {
        self.record(index, sums);
        if let Some(lane) = sums.iter().position(|sum| !fits(sum.partial)) {
            let reason = format!(
                "the sum in lane {lane} can be {} on the way, outside i32 ({} to {}): inputs are {}",
                sums[lane].partial,
                group_digits(i32::MIN),
                group_digits(i32::MAX),
                input.hull()
            );
            let remedy = "requantise the input to i8 or i16 first, or use `RMT_POOL_MAX`";
            let place = self.findings.instruction(self.action, index);
            self.findings.refuse(Rule::PoolOverflow, place, reason, remedy);
        }
        results(sums)
    }

    fn record(&mut self, index: usize, sums: &[Sum]) {
        if let Some(all) = sums.iter().map(|sum| sum.partial).reduce(Interval::join) {
            let Interval { low, high } = all;
            self.bounds.push(AccumulatorBounds { instruction: index, low, high });
        }
    }
}

fn results(sums: &[Sum]) -> LaneRanges {
    LaneRanges::each(sums.iter().map(|sum| sum.result).collect())
}

impl Domain for Ranges<'_, '_> {
    type State = State;

    fn step(&mut self, at: &Step<'_>, state: &mut State) {
        let &Step { index, instruction, operands } = at;
        #[cfg(test)]
        if self.keep_states {
            self.states[index] = Some(state.clone());
        }
        if let Some(bits) = scalars::dividend_bits(instruction, &state.scalars) {
            self.dividend_bits.insert(index, bits);
        }
        for operand in operands {
            if !matches!(operand.info.role, Role::Write | Role::Modify) {
                continue;
            }
            match operand.value {
                Operand::Scalar(register) => {
                    let range = self.scalar_of_vector(index, instruction, state);
                    let program = self.findings.program;
                    state.scalars[register.index()] = range.unwrap_or_else(|| {
                        scalars::result(program, self.action, instruction, &state.scalars)
                    });
                }
                Operand::Vector(register) => {
                    let element = self.typings[index].result.map_or(Element::I32, |v| v.element);
                    let ranges = self.vector_result(index, instruction, state);
                    state.vectors[register.index()] =
                        ranges.unwrap_or_else(|| LaneRanges::All(Interval::of_element(element)));
                }
                _ => {}
            }
        }
    }

    fn refine(&self, instruction: Instruction, taken: bool, state: &mut State) {
        scalars::refine(instruction, taken, &mut state.scalars);
    }

    fn merge(&mut self, state: &mut State, other: &State, _meeting: Meeting) {
        for (range, &other) in state.scalars.iter_mut().zip(&other.scalars) {
            *range = range.join(other);
        }
        for (ranges, other) in state.vectors.iter_mut().zip(&other.vectors) {
            *ranges = self.cache.effort.join(ranges, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    fn with(code: &str) -> Fixture {
        Fixture::new(&format!("{code}\nexit decided"))
    }

    fn with_bias(code: &str, bias: i32) -> Fixture {
        let mut fixture = with(code);
        fixture.program.tensors[1].values[2] = bias;
        fixture.program.tensors[0].values[16..24].copy_from_slice(&[10; 8]);
        fixture
    }

    const PRODUCT: &str =
        "RMT_VECTOR_LD_EVENT v0, x8, i16, event+32\nRMT_MAT_MUL v1, v0, tensor0, tensor1";

    #[test]
    fn i8_weights_cannot_overflow_without_a_bias() {
        // The largest layer: 256 inputs of i16 with weights of -128 make 2^30.
        let mut fixture =
            with("RMT_VECTOR_FILL v0, x256, i16, -32768\nRMT_MAT_MUL v1, v0, tensor0, none");
        fixture.program.tensors[0].shape = vec![1, 256];
        fixture.program.tensors[0].values = vec![-128; 256];
        let bounds = fixture.accepted().actions[0].accumulators.clone();
        assert_eq!((bounds[0].low, bounds[0].high), (0, 1 << 30));
    }

    #[test]
    fn a_bias_that_leaves_room_is_accepted() {
        // Row 2 has 8 weights of 10: the sum is at most 80 × 32768 away from the bias.
        let most = i32::MAX - 80 * 32767;
        let bounds = with_bias(PRODUCT, most).accepted().actions[0].accumulators.clone();
        assert_eq!(bounds[0].high, i64::from(i32::MAX));
        let text = "the sum of output 2 can be -2 621 440 to 2 147 483 648 on the way";
        refused_by(&with_bias(PRODUCT, most + 1), Rule::ProductOverflow, text);
    }

    #[test]
    fn the_remedy_names_inputs_that_fit() {
        let fixture = with_bias(PRODUCT, i32::MAX - 8000);
        refused_by(&fixture, Rule::ProductOverflow, "keep inputs within ±100 with");
        let narrow = |bound: i32| {
            format!(
                "RMT_VECTOR_LD_EVENT v0, x8, i16, event+32\n\
                 RMT_VECTOR_FILL v2, x8, i16, {bound}\nRMT_VECTOR_MIN v0, v0, v2\n\
                 RMT_VECTOR_FILL v2, x8, i16, -{bound}\nRMT_VECTOR_MAX v0, v0, v2\n\
                 RMT_MAT_MUL v1, v0, tensor0, tensor1"
            )
        };
        with_bias(&narrow(100), i32::MAX - 8000).accepted();
        refused_by(&with_bias(&narrow(101), i32::MAX - 8000), Rule::ProductOverflow, "-101 to 101");
        let fixture = with_bias(PRODUCT, i32::MIN);
        refused_by(&fixture, Rule::ProductOverflow, "it leaves no room for products");
    }

    #[test]
    fn partial_sums_count_in_any_order() {
        // 1000 · x - 1000 · x is always 0, but adding the first half first overflows.
        let code = "RMT_VECTOR_FILL v0, x8, i16, 30000\nRMT_MAT_MUL v1, v0, tensor0, tensor1";
        let mut fixture = with_bias(code, i32::MAX - 1_000_000);
        fixture.program.tensors[0].values[16..24]
            .copy_from_slice(&[100, 100, 0, 0, 0, 0, -100, -100]);
        refused_by(&fixture, Rule::ProductOverflow, "on the way, outside i32");
    }

    #[test]
    fn lanes_are_told_apart() {
        // Only lane 0 is large, and row 2 gives it the weight 1.
        let code = "RMT_VECTOR_FILL v0, x8, i16, 1\nmovi r1, 30000\nRMT_VECTOR_SET v0, lane0, r1\n\
                    RMT_MAT_MUL v1, v0, tensor0, tensor1";
        let mut fixture = with_bias(code, i32::MAX - 40_000);
        fixture.program.tensors[0].values[16..24].copy_from_slice(&[1, 9, 9, 9, 9, 9, 9, 9]);
        fixture.accepted();
        fixture.program.tensors[0].values[16..24].copy_from_slice(&[2, 9, 9, 9, 9, 9, 9, 9]);
        refused_by(&fixture, Rule::ProductOverflow, "output 2");
    }

    #[test]
    fn convolutions_are_bounded_by_their_taps() {
        let code =
            "RMT_VECTOR_FILL v0, x32, i16, 32767\nRMT_CONV_2D v1, v0, window0, tensor3, tensor1";
        let mut fixture = with(code);
        fixture.program.tensors[1].shape = vec![3];
        fixture.program.tensors[1].values = vec![0; 3];
        fixture.program.tensors[3].values = vec![127; 54];
        // 18 products of 127 × 32767 at most; at the border fewer.
        let bounds = fixture.accepted().actions[0].accumulators.clone();
        assert_eq!((bounds[0].low, bounds[0].high), (0, 18 * 127 * 32767));
        fixture.program.tensors[1].values = vec![i32::MAX - 18 * 127 * 32767, 0, 0];
        fixture.accepted();
        fixture.program.tensors[1].values[0] += 1;
        refused_by(&fixture, Rule::ProductOverflow, "the sum of output 0");
    }

    #[test]
    fn pooled_sums_of_accumulators_can_overflow() {
        let code = |value: i32| {
            format!("RMT_VECTOR_FILL v0, x32, i32, {value}\nRMT_POOL_SUM v1, v0, window0")
        };
        // The window has 9 places.
        with(&code(i32::MAX / 9)).accepted();
        refused_by(&with(&code(i32::MAX / 9 + 1)), Rule::PoolOverflow, "outside i32");
        // The largest does not add.
        with(&code(i32::MAX).replace("POOL_SUM", "POOL_MAX")).accepted();
    }

    #[test]
    fn requantising_narrows() {
        // Scale 0 divides by 8; the zero point shifts.
        let code = "RMT_VECTOR_LD_EVENT v0, x8, i32, event+32\nRMT_REQUANT v0, v0, i8, scale0\n\
                    RMT_MAT_MUL v1, v0, tensor0, tensor1";
        // 80 × 127 at most, and -80 × 128 at least.
        with_bias(code, i32::MAX - 80 * 127).accepted();
        refused_by(&with_bias(code, i32::MAX - 80 * 127 + 1), Rule::ProductOverflow, "-128 to 127");
        // Accumulators that stay below 80 become at most 10.
        let code = "RMT_VECTOR_FILL v0, x8, i32, 80\nRMT_REQUANT v0, v0, i8, scale0\n\
                    RMT_MAT_MUL v1, v0, tensor0, tensor1";
        with_bias(code, i32::MAX - 80 * 10).accepted();
    }

    #[test]
    fn branches_bound_what_is_set() {
        let code = "ld_event r1, event+24, u32\njlei r1, 100, fine\nmovi r1, 100\n\
                    fine: RMT_VECTOR_FILL v0, x8, i16, 0\nRMT_VECTOR_SET v0, lane3, r1\n\
                    RMT_MAT_MUL v1, v0, tensor0, tensor1";
        with_bias(code, i32::MAX - 1000).accepted();
        refused_by(&with_bias(code, i32::MAX - 999), Rule::ProductOverflow, "output 2");
    }
}
