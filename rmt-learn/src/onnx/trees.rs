//! Tree ensembles of scikit-learn and the gradient boosters.
//!
//! Features are integers here, so a float threshold becomes the largest integer at or below it and
//! no decision changes. Leaf weights become integers of a common scale.

use std::collections::HashMap;

use rmt_isa::program::{Forest, ForestMode, TreeNode};

use super::chain::{data_input, is_tail};
use super::proto::{GraphProto, NodeProto};
use super::tensor::Constants;
use super::{Import, Imported};

/// Most nodes of all trees together.
const MAX_TREE_NODES: usize = 65_535;

/// An ensemble: one forest whose sum says class 1 when it is above the threshold, or one forest for
/// each class, the largest sum winning, or one forest that estimates a number.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedForest {
    /// The forests `class0`, `class1` ..., or the lone forest `score`.
    pub forests: Vec<Forest>,
    /// Features.
    pub features: usize,
    /// Sums are in this many parts of one.
    pub one: f64,
    /// Added to each forest's sum, in the same parts.
    pub base: Vec<i32>,
    /// Whether sums are scores of classes.
    pub is_classifier: bool,
}

impl ImportedForest {
    /// Sums of the forests with their bases, for integer features.
    pub fn sums(&self, features: &[i32]) -> Vec<i64> {
        let sum_of = |(forest, base): (&Forest, &i32)| {
            let leaves = forest.roots.iter().map(|root| {
                let mut node = usize::from(*root);
                loop {
                    // Children stand behind their parents, so this ends.
                    match forest.nodes.get(node) {
                        Some(TreeNode::Branch { feature, threshold, left }) => {
                            let lane = features.get(usize::from(*feature)).copied().unwrap_or(0);
                            node = usize::from(*left) + usize::from(lane > *threshold);
                        }
                        Some(TreeNode::Leaf { value }) => break i64::from(*value),
                        None => break 0,
                    }
                }
            });
            leaves.sum::<i64>() + i64::from(*base)
        };
        self.forests.iter().zip(&self.base).map(sum_of).collect()
    }

    /// The class: of one forest 1 if the sum is above 0, else the first largest.
    pub fn classify(&self, features: &[i32]) -> usize {
        crate::network::float::class_of(&self.sums(features))
    }
}

/// One node as the file has it.
struct Source {
    feature: usize,
    threshold: f64,
    is_leaf: bool,
    below: (i64, i64),
    above: (i64, i64),
}

/// Imports a graph with one tree ensemble.
pub fn import(graph: &GraphProto) -> Result<Import, String> {
    let constants = Constants::of(graph)?;
    let (input, shape) = data_input(graph, &constants)?;
    let mut notes = Vec::new();
    let Some(place) = graph.node.iter().position(|node| node.op_type.starts_with("TreeEnsemble"))
    else {
        return Err("there is no tree ensemble".into());
    };
    let node = &graph.node[place];
    // Conversions of the input's type change nothing for integers.
    let mut current = input;
    for before in &graph.node[..place] {
        if !matches!(before.op_type.as_str(), "Cast" | "Identity")
            || before.input.first() != Some(&current)
        {
            return Err(format!(
                "operators that are not supported before the trees: {}",
                before.label()
            ));
        }
        current = before.output.first().cloned().unwrap_or_default();
    }
    super::chain::takes(node, &current)?;
    if !is_tail(&graph.node[place + 1..]) {
        let names: Vec<_> = graph.node[place + 1..].iter().map(NodeProto::label).collect();
        return Err(format!(
            "operators that are not supported behind the trees: {}",
            names.join(", ")
        ));
    }
    if graph.node.len() > place + 1 {
        notes.push("what stands behind the trees only turns scores into labels".to_owned());
    }
    let is_classifier = match node.op_type.as_str() {
        "TreeEnsembleClassifier" => true,
        "TreeEnsembleRegressor" => false,
        other => return Err(format!("operators that are not supported: {other}")),
    };
    let forest = ensemble(node, shape.count(), is_classifier)
        .map_err(|reason| format!("{}: {reason}", node.label()))?;
    Ok(Import { model: Imported::Forest(forest), notes })
}

fn ensemble(
    node: &NodeProto,
    features: usize,
    is_classifier: bool,
) -> Result<ImportedForest, String> {
    if features > 256 {
        return Err(format!("{features} features; at most 256 are possible"));
    }
    let trees = node.ints("nodes_treeids", &[]);
    let ids = node.ints("nodes_nodeids", &[]);
    let count = ids.len();
    if count == 0 || count > MAX_TREE_NODES {
        return Err(format!("{count} nodes; 1 to {MAX_TREE_NODES} are possible"));
    }
    let feature_ids = node.ints("nodes_featureids", &[]);
    let (below, above) =
        (node.ints("nodes_truenodeids", &[]), node.ints("nodes_falsenodeids", &[]));
    let floats =
        |name: &str| node.attribute(name).map_or(&[][..], |attribute| attribute.floats.as_slice());
    let thresholds = floats("nodes_values");
    let modes =
        node.attribute("nodes_modes").map_or(&[][..], |attribute| attribute.strings.as_slice());
    let lengths =
        [trees.len(), feature_ids.len(), below.len(), above.len(), thresholds.len(), modes.len()];
    if lengths.iter().any(|length| *length != count) {
        return Err(format!("{count} nodes, but lists of {lengths:?}"));
    }
    let mut sources: HashMap<(i64, i64), Source> = HashMap::new();
    let mut tree_order: Vec<i64> = Vec::new();
    for index in 0..count {
        let (tree, mode) = (trees[index], modes[index].as_slice());
        if tree_order.last() != Some(&tree) && !tree_order.contains(&tree) {
            tree_order.push(tree);
        }
        let threshold = f64::from(thresholds[index]);
        let is_leaf = mode == b"LEAF";
        // Integer lanes: x < t is x <= the integer before t.
        let threshold = match mode {
            b"LEAF" => 0.0,
            b"BRANCH_LEQ" => threshold.floor(),
            b"BRANCH_LT" => threshold.ceil() - 1.0,
            b"BRANCH_GT" => threshold.floor(),
            b"BRANCH_GTE" => threshold.ceil() - 1.0,
            other => {
                return Err(format!(
                    "node mode {} is not supported",
                    String::from_utf8_lossy(other)
                ));
            }
        };
        let feature = usize::try_from(feature_ids[index]).unwrap_or(usize::MAX);
        if !is_leaf && (feature >= features || !threshold.is_finite()) {
            return Err(format!(
                "node {} of tree {tree} compares feature {} with {threshold}",
                ids[index], feature_ids[index]
            ));
        }
        let (mut low, mut high) = ((tree, below[index]), (tree, above[index]));
        if matches!(mode, b"BRANCH_GT" | b"BRANCH_GTE") {
            (low, high) = (high, low);
        }
        sources.insert(
            (tree, ids[index]),
            Source { feature, threshold, is_leaf, below: low, above: high },
        );
    }
    let prefix = if is_classifier { "class" } else { "target" };
    let (leaf_trees, leaf_nodes) = (
        node.ints(if is_classifier { "class_treeids" } else { "target_treeids" }, &[]),
        node.ints(if is_classifier { "class_nodeids" } else { "target_nodeids" }, &[]),
    );
    let outputs = node.ints(if is_classifier { "class_ids" } else { "target_ids" }, &[]);
    let weights = floats(if is_classifier { "class_weights" } else { "target_weights" });
    if [leaf_nodes.len(), outputs.len(), weights.len()]
        .iter()
        .any(|length| *length != leaf_trees.len())
    {
        return Err(format!("the lists of {prefix} weights have different lengths"));
    }
    if let Some(weight) = weights.iter().find(|weight| !weight.is_finite()) {
        return Err(format!("a leaf weighs {weight}"));
    }
    let labels = node.attribute("classlabels_int64s").map_or(0, |attribute| attribute.ints.len())
        + node.attribute("classlabels_strings").map_or(0, |attribute| attribute.strings.len());
    let classes = if is_classifier { labels } else { 1 };
    if !(1..=64).contains(&classes)
        || outputs.iter().any(|output| !(0..classes.max(2) as i64).contains(output))
    {
        return Err(format!("{classes} classes; 1 to 64, and no other output, are possible"));
    }
    let binary = is_classifier && classes == 2;
    // A booster gives the score of one class only; a forest gives both classes' shares.
    let lone_output = outputs.iter().all(|output| *output == outputs[0]);
    let forest_count = if binary || !is_classifier { 1 } else { classes };
    let mut leaves: HashMap<(i64, i64), Vec<f64>> = HashMap::new();
    for ((tree, leaf), (output, weight)) in
        leaf_trees.iter().zip(leaf_nodes).zip(outputs.iter().zip(weights))
    {
        let values = leaves.entry((*tree, *leaf)).or_insert_with(|| vec![0.0; forest_count]);
        let weight = f64::from(*weight);
        if forest_count > 1 {
            values[*output as usize] += weight;
        } else if binary && !lone_output && *output == 0 {
            values[0] -= weight;
        } else {
            values[0] += weight;
        }
    }
    let base = floats("base_values");
    let transform = node.attribute("post_transform").map_or(&[][..], |attribute| &attribute.s);
    // Shares of one class say yes above a half; transformed scores above 0.
    let threshold =
        if binary && lone_output && matches!(transform, b"" | b"NONE") { 0.5 } else { 0.0 };
    let most = leaves.values().flatten().fold(0.0f64, |most, value| most.max(value.abs()));
    let one = ((1u64 << 24) as f64 / most.max(1e-9)).min((1u64 << 24) as f64);
    let forests = (0..forest_count)
        .map(|output| {
            let mut forest = Forest {
                name: if forest_count == 1 { "score".into() } else { format!("class{output}") },
                model: 0,
                mode: ForestMode::Sum,
                features: features as u16,
                roots: Vec::new(),
                nodes: Vec::new(),
            };
            for tree in &tree_order {
                lay_out(
                    *tree,
                    &sources,
                    |leaf| leaves.get(&leaf).map_or(0.0, |v| v[output]) * one,
                    &mut forest,
                )?;
            }
            Ok(forest)
        })
        .collect::<Result<Vec<_>, String>>()?;
    let base = (0..forest_count)
        .map(|output| {
            let value = match (binary, base) {
                (true, [zero, one]) => f64::from(*one) - f64::from(*zero),
                (_, base) => base.get(output).copied().map_or(0.0, f64::from),
            };
            ((value - threshold) * one).round() as i32
        })
        .collect();
    Ok(ImportedForest { forests, features, one, base, is_classifier })
}

/// Lays one tree out breadth first behind the nodes that are there.
fn lay_out(
    tree: i64,
    sources: &HashMap<(i64, i64), Source>,
    leaf_value: impl Fn((i64, i64)) -> f64,
    forest: &mut Forest,
) -> Result<(), String> {
    // The root is the node that no other names.
    let mut named: std::collections::HashSet<(i64, i64)> = std::collections::HashSet::new();
    let mine = || sources.iter().filter(|((id, _), _)| *id == tree);
    for (_, source) in mine().filter(|(_, source)| !source.is_leaf) {
        named.extend([source.below, source.above]);
    }
    let roots: Vec<_> = mine().map(|(id, _)| *id).filter(|id| !named.contains(id)).collect();
    let [root] = roots[..] else {
        return Err(format!("tree {tree} has {} roots; it must have one", roots.len()));
    };
    forest.roots.push(forest.nodes.len() as u16);
    let mut queue = std::collections::VecDeque::from([root]);
    let mut next_free = forest.nodes.len() + 1;
    while let Some(id) = queue.pop_front() {
        let source = sources
            .get(&id)
            .ok_or_else(|| format!("tree {tree} names node {}, which is not there", id.1))?;
        if source.is_leaf {
            forest.nodes.push(TreeNode::Leaf { value: leaf_value(id).round() as i32 });
            continue;
        }
        // A node that is named twice would be laid out for ever: the bound ends it.
        if next_free + 2 > MAX_TREE_NODES {
            return Err(format!(
                "tree {tree} has a loop, or all trees more than {MAX_TREE_NODES} nodes"
            ));
        }
        forest.nodes.push(TreeNode::Branch {
            feature: source.feature as u8,
            threshold: source.threshold.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            left: next_free as u16,
        });
        next_free += 2;
        queue.extend([source.below, source.above]);
    }
    Ok(())
}
