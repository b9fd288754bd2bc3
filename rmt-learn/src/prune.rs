//! Making models fit a budget: the pass that the verifier calls when a program exceeds one.
//!
//! A forest loses its deepest splits; a perceptron loses hidden units, those with the least weight
//! first. As little as the verifier asks for is taken away: each candidate is verified.

use rmt_isa::Program;
use rmt_isa::program::{Forest, ForestMode, TreeNode};
use rmt_vm::verifier::{Compressor, Limits, Overrun, Refusal, Resource, SmallerModel, verify};

/// Prunes the models of a program.
#[derive(Clone, Debug)]
pub struct Pruner {
    /// The limits that the program is verified against.
    pub limits: Limits,
    /// Rows of features that go through the model's forest, if there are some: a split gives way to
    /// the side that most of them take.
    pub rows: Vec<Vec<i32>>,
    /// Fewest hidden units that a layer keeps.
    pub least_units: usize,
    /// Least depth that a tree keeps.
    pub least_depth: usize,
}

impl Pruner {
    /// A pruner for these limits, without rows.
    pub fn new(limits: Limits) -> Self {
        Self { limits, rows: Vec::new(), least_units: 1, least_depth: 0 }
    }

    /// Whether the program with the smaller model takes no more than its budget of the resource.
    fn fits(&self, program: &Program, overrun: &Overrun, smaller: &SmallerModel) -> bool {
        let mut program = program.clone();
        for (index, tensor) in &smaller.tensors {
            program.tensors[*index] = tensor.clone();
        }
        for (index, scale) in &smaller.scales {
            program.scales[*index] = scale.clone();
        }
        for (index, forest) in &smaller.forests {
            program.forests[*index] = forest.clone();
        }
        // Other budgets may be exceeded still: they are asked for next.
        let mut limits = self.limits.clone();
        let budget = limits.event;
        limits.event = rmt_vm::verifier::Budget {
            instructions: u64::MAX,
            macs: u64::MAX,
            state_bytes: u64::MAX,
            card_cycles: u64::MAX,
        };
        match overrun.resource {
            Resource::Instructions => limits.event.instructions = budget.instructions,
            Resource::Macs => limits.event.macs = budget.macs,
            Resource::StateBytes => limits.event.state_bytes = budget.state_bytes,
            Resource::CardCycles => limits.event.card_cycles = budget.card_cycles,
        }
        verify(&program, &limits).is_ok()
    }

    fn prune_forests(
        &self,
        program: &Program,
        overrun: &Overrun,
        model: u16,
    ) -> Option<SmallerModel> {
        let mine = || program.forests.iter().enumerate().filter(|(_, f)| f.model == model);
        let deepest = mine().map(|(_, forest)| forest_depth(forest)).max()?;
        (self.least_depth..deepest).rev().find_map(|depth| {
            let forests: Vec<_> = mine()
                .map(|(index, forest)| (index, cut_forest(forest, depth, &self.rows)))
                .collect();
            let summary = format!(
                "cut the trees of `{}` from depth {deepest} to {depth}",
                program.models[usize::from(model)]
            );
            let smaller = SmallerModel { forests, summary, ..SmallerModel::default() };
            self.fits(program, overrun, &smaller).then_some(smaller)
        })
    }

    fn prune_units(
        &self,
        program: &Program,
        overrun: &Overrun,
        model: u16,
    ) -> Option<SmallerModel> {
        let layer = HiddenLayer::find(program, model)?;
        let units = layer.units;
        let order = layer.by_importance(program);
        (self.least_units.max(1)..units).rev().find_map(|keep| {
            let mut kept = order[..keep].to_vec();
            kept.sort_unstable();
            let mut smaller = layer.only(program, &kept);
            smaller.summary = format!(
                "pruned `{}` from {units} to {keep} hidden units",
                program.models[usize::from(model)]
            );
            self.fits(program, overrun, &smaller).then_some(smaller)
        })
    }
}

impl Compressor for Pruner {
    fn compress(&mut self, program: &Program, overrun: &Overrun) -> Result<SmallerModel, Refusal> {
        let refuse = |reason: String| Refusal { reason };
        let model = overrun.model.ok_or_else(|| refuse("no model is to blame".into()))?;
        self.prune_units(program, overrun, model)
            .or_else(|| self.prune_forests(program, overrun, model))
            .ok_or_else(|| {
                refuse(format!(
                    "pruned down to {} hidden units and depth {}, the model still does not fit",
                    self.least_units, self.least_depth
                ))
            })
    }
}

/// A layer whose outputs only one other layer takes, after requantisation and ReLU.
struct HiddenLayer {
    units: usize,
    /// Tensors `[units, inputs]`, `[units]` and `[outputs, units]`.
    weights: usize,
    bias: Option<usize>,
    next: usize,
    /// Scales with a channel for each unit.
    scales: Vec<usize>,
}

impl HiddenLayer {
    /// The widest hidden layer of a model, told by the shapes of its tensors.
    fn find(program: &Program, model: u16) -> Option<Self> {
        let matrices = || {
            (program.tensors.iter().enumerate())
                .filter(|(_, tensor)| tensor.model == model && tensor.shape.len() == 2)
        };
        let mut widest: Option<Self> = None;
        for (weights, first) in matrices() {
            let units = first.shape[0];
            let mut takers =
                matrices().filter(|(index, next)| *index != weights && next.shape[1] == units);
            let (Some((next, _)), None) = (takers.next(), takers.next()) else { continue };
            let is_bias = |tensor: &rmt_isa::program::Tensor| {
                tensor.model == model && tensor.shape == [units]
            };
            let bias = program.tensors.iter().position(is_bias);
            let scales = (program.scales.iter().enumerate())
                .filter(|(_, scale)| scale.model == model && scale.channels.len() == units as usize)
                .map(|(index, _)| index)
                .collect();
            let units = units as usize;
            if units > 1 && widest.as_ref().is_none_or(|other| other.units < units) {
                widest = Some(Self { units, weights, bias, next, scales });
            }
        }
        widest
    }

    /// Units by the weight of what they give and take, the heaviest first.
    fn by_importance(&self, program: &Program) -> Vec<usize> {
        let magnitude = |value: &i32| i64::from(value.unsigned_abs());
        let (first, next) = (&program.tensors[self.weights], &program.tensors[self.next]);
        let inputs = first.shape[1] as usize;
        let scale_of = |unit: usize| {
            // With scales for each unit, weights of different units compare only after scaling.
            self.scales.first().map_or(1.0, |scale| {
                let channel = program.scales[*scale].channels[unit];
                f64::from(channel.multiplier) / (1u64 << channel.shift) as f64
            })
        };
        let worth: Vec<f64> = (0..self.units)
            .map(|unit| {
                let taken: i64 =
                    first.values[unit * inputs..][..inputs].iter().map(magnitude).sum();
                let given: i64 =
                    next.values.iter().skip(unit).step_by(self.units).map(magnitude).sum();
                taken as f64 * given as f64 * scale_of(unit)
            })
            .collect();
        let mut order: Vec<usize> = (0..self.units).collect();
        order.sort_by(|a, b| worth[*b].total_cmp(&worth[*a]).then(a.cmp(b)));
        order
    }

    fn only(&self, program: &Program, kept: &[usize]) -> SmallerModel {
        let count = kept.len() as u32;
        let mut weights = program.tensors[self.weights].clone();
        let inputs = weights.shape[1] as usize;
        weights.values = kept
            .iter()
            .flat_map(|unit| weights.values[unit * inputs..][..inputs].to_vec())
            .collect();
        weights.shape[0] = count;
        let mut next = program.tensors[self.next].clone();
        next.values = (next.values.chunks(self.units))
            .flat_map(|row| kept.iter().map(|unit| row[*unit]))
            .collect();
        next.shape[1] = count;
        let mut tensors = vec![(self.weights, weights), (self.next, next)];
        if let Some(index) = self.bias {
            let mut bias = program.tensors[index].clone();
            bias.values = kept.iter().map(|unit| bias.values[*unit]).collect();
            bias.shape[0] = count;
            tensors.push((index, bias));
        }
        let scales = self.scales.iter().map(|index| {
            let mut scale = program.scales[*index].clone();
            scale.channels = kept.iter().map(|unit| scale.channels[*unit]).collect();
            (*index, scale)
        });
        SmallerModel { tensors, scales: scales.collect(), ..SmallerModel::default() }
    }
}

fn forest_depth(forest: &Forest) -> usize {
    // Children stand behind their parents.
    let mut depths = vec![0usize; forest.nodes.len()];
    for (index, node) in forest.nodes.iter().enumerate().rev() {
        if let TreeNode::Branch { left, .. } = node {
            let left = usize::from(*left);
            depths[index] = 1 + depths[left].max(depths[left + 1]);
        }
    }
    forest.roots.iter().map(|root| depths[usize::from(*root)]).max().unwrap_or(0)
}

/// The forest with every split at `depth` replaced by one of its leaves.
fn cut_forest(forest: &Forest, depth: usize, rows: &[Vec<i32>]) -> Forest {
    let mut cut = Forest { roots: Vec::new(), nodes: Vec::new(), ..forest.clone() };
    for root in &forest.roots {
        cut.roots.push(cut.nodes.len() as u16);
        let first = cut.nodes.len();
        let mut queue = std::collections::VecDeque::from([(usize::from(*root), 0)]);
        let mut next_free = first + 1;
        while let Some((index, level)) = queue.pop_front() {
            match forest.nodes[index] {
                TreeNode::Branch { feature, threshold, left } if level < depth => {
                    cut.nodes.push(TreeNode::Branch { feature, threshold, left: next_free as u16 });
                    next_free += 2;
                    queue.extend([
                        (usize::from(left), level + 1),
                        (usize::from(left) + 1, level + 1),
                    ]);
                }
                TreeNode::Leaf { value } => cut.nodes.push(TreeNode::Leaf { value }),
                TreeNode::Branch { .. } => {
                    let value = usual_leaf(forest, usize::from(*root), index, rows);
                    cut.nodes.push(TreeNode::Leaf { value });
                }
            }
        }
    }
    cut
}

/// The leaf value below node `below` that most rows come to: for sums their mean, for votes the
/// most frequent. Without rows every leaf counts alike.
fn usual_leaf(forest: &Forest, root: usize, below: usize, rows: &[Vec<i32>]) -> i32 {
    let mut values = Vec::new();
    for row in rows {
        let (mut index, mut passed) = (root, false);
        loop {
            passed |= index == below;
            match forest.nodes[index] {
                TreeNode::Leaf { value } => {
                    if passed {
                        values.push(value);
                    }
                    break;
                }
                TreeNode::Branch { feature, threshold, left } => {
                    let lane = row.get(usize::from(feature)).copied().unwrap_or(0);
                    index = usize::from(left) + usize::from(lane > threshold);
                }
            }
        }
    }
    if values.is_empty() {
        let mut waiting = vec![below];
        while let Some(index) = waiting.pop() {
            match forest.nodes[index] {
                TreeNode::Leaf { value } => values.push(value),
                TreeNode::Branch { left, .. } => {
                    waiting.extend([usize::from(left), usize::from(left) + 1]);
                }
            }
        }
    }
    values.sort_unstable();
    // Of several trees leaves are added: their mean keeps the sum. A lone tree's leaf, or a vote,
    // may be a code that has no mean.
    if forest.mode == ForestMode::Sum && forest.roots.len() > 1 {
        let sum: i64 = values.iter().map(|value| i64::from(*value)).sum();
        return (sum / values.len().max(1) as i64) as i32;
    }
    let runs = values.chunk_by(|a, b| a == b);
    // The last of the longest runs would be taken by `max_by_key`; the smallest value is wanted.
    let longest =
        runs.fold(&[][..], |best: &[i32], run| if run.len() > best.len() { run } else { best });
    longest.first().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rmt_vm::verifier::verify_with;

    use super::*;

    fn program(name: &str) -> Program {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let files = rmt_lang::DirectoryLoader::beside(&path);
        rmt_lang::compile(name, &text, &files).unwrap_or_else(|d| panic!("{}", d.render(false)))
    }

    /// Verifies with a budget of `share` per cent of what an event takes now.
    fn pruned(program: &Program, set: impl Fn(&mut Limits, u64), now: u64, share: u64) -> Program {
        let mut limits = Limits::default();
        set(&mut limits, now * share / 100);
        let mut pruner = Pruner::new(limits.clone());
        let verified = verify_with(program, &limits, Some(&mut pruner)).unwrap();
        assert_eq!(verified.steps.len(), 1, "{:?}", verified.steps);
        verified.compressed.unwrap()
    }

    #[test]
    fn a_network_loses_hidden_units_until_it_fits() {
        let program = program("can_migrate_task.rmt");
        let macs = verify(&program, &Limits::default()).unwrap().event.macs;
        assert_eq!(macs, 160);
        let smaller = pruned(&program, |limits, budget| limits.event.macs = budget, macs, 70);
        let macs = verify(&smaller, &Limits::default()).unwrap().event.macs;
        // 16 for each unit: 7 of them fit 112.
        assert_eq!(macs, 112);
    }

    #[test]
    fn a_tree_loses_depth_until_it_fits() {
        let program = program("page_prefetch.rmt");
        let cycles = verify(&program, &Limits::default()).unwrap().event.card_cycles;
        let set = |limits: &mut Limits, budget| limits.event.card_cycles = budget;
        let smaller = pruned(&program, set, cycles - 3, 100);
        let report = verify(&smaller, &Limits::default()).unwrap();
        assert!(report.event.card_cycles <= cycles - 3);
        let (before, after) =
            (forest_depth(&program.forests[0]), forest_depth(&smaller.forests[0]));
        assert!(after < before && after > 0, "{before} to {after}");
    }

    #[test]
    fn what_cannot_fit_is_refused_with_its_reason() {
        let program = program("can_migrate_task.rmt");
        let mut limits = Limits::default();
        limits.event.macs = 3;
        let mut pruner = Pruner { least_units: 4, ..Pruner::new(limits.clone()) };
        let violations = verify_with(&program, &limits, Some(&mut pruner)).unwrap_err();
        let remedy = &violations[0].remedy;
        assert!(remedy.contains("pruned down to 4 hidden units"), "{remedy}");
    }

    /// By hand: at depth 1 the right side gives way to the leaf that the rows come to.
    #[test]
    fn a_cut_follows_the_rows() {
        let branch = |feature, threshold, left| TreeNode::Branch { feature, threshold, left };
        let leaf = |value| TreeNode::Leaf { value };
        let forest = Forest {
            name: "f".into(),
            model: 0,
            mode: ForestMode::Sum,
            features: 1,
            roots: vec![0],
            nodes: vec![branch(0, 0, 1), leaf(5), branch(0, 9, 3), leaf(6), leaf(7)],
        };
        let rows: Vec<Vec<i32>> = [-1, -1, 3, 20, 30].map(|value| vec![value]).to_vec();
        let cut = |depth, rows: &[Vec<i32>]| cut_forest(&forest, depth, rows).nodes;
        assert_eq!(cut(1, &rows), [branch(0, 0, 1), leaf(5), leaf(7)]);
        assert_eq!(cut(1, &[]), [branch(0, 0, 1), leaf(5), leaf(6)], "the smallest of equals");
        assert_eq!(cut(0, &rows), [leaf(5)], "5 and 7 come twice each");
        assert_eq!(cut(2, &rows), forest.nodes);
    }
}
