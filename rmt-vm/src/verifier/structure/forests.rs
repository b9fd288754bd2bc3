//! Decision trees: every walk from a root ends at a leaf, within the allowed depth.

use rmt_isa::limits::{MAX_FOREST_NODES, MAX_TREE_DEPTH, VECTOR_LANES};
use rmt_isa::program::{Forest, ForestMode, TreeNode};

use super::models::check_model;
use crate::verifier::findings::{Findings, group_digits};
use crate::verifier::rules::Rule;
use crate::verifier::violation::Place;

/// All forests.
pub(super) fn check_forests(findings: &mut Findings<'_>) {
    for (index, forest) in findings.program.forests.iter().enumerate() {
        if findings.full() {
            return;
        }
        let place = findings.object("forest", index, &forest.name);
        check_model(findings, &place, forest.model);
        if check_forest_size(findings, &place, forest) && check_nodes(findings, &place, forest) {
            check_walks(findings, &place, forest);
        }
    }
}

fn check_forest_size(findings: &mut Findings<'_>, place: &Place, forest: &Forest) -> bool {
    let nodes = forest.nodes.len();
    let (reason, remedy) = if nodes == 0 || nodes > MAX_FOREST_NODES {
        let most = group_digits(MAX_FOREST_NODES as u32);
        (format!("{} nodes", group_digits(nodes as u64)), format!("use 1 to {most} nodes"))
    } else if forest.roots.is_empty() {
        ("it has no tree".into(), "name the root of at least one tree".into())
    } else if !(1..=VECTOR_LANES).contains(&usize::from(forest.features)) {
        let reason = format!("{} features", forest.features);
        (reason, format!("use 1 to {VECTOR_LANES}, the lanes of a vector register"))
    } else {
        return true;
    };
    findings.refuse(Rule::ForestNode, place.clone(), reason, remedy);
    false
}

/// Children exist and stand behind their parents, features exist, votes are classes.
fn check_nodes(findings: &mut Findings<'_>, place: &Place, forest: &Forest) -> bool {
    let before = findings.count();
    let count = forest.nodes.len();
    if let Some(root) = forest.roots.iter().find(|&&root| usize::from(root) >= count) {
        let reason = format!("a tree begins at node {root}, the forest has {count}");
        findings.refuse(Rule::ForestNode, place.clone(), reason, "name a node that exists");
    }
    for (index, node) in forest.nodes.iter().enumerate() {
        if findings.full() {
            break;
        }
        match *node {
            TreeNode::Branch { feature, left, .. } => {
                let children = usize::from(left);
                if children <= index || children + 1 >= count {
                    let reason = format!(
                        "the children of node {index} are nodes {left} and {}; they must stand \
                         behind it and before {count}",
                        children + 1
                    );
                    let remedy = "order the nodes so that both children follow their parent, side \
                                  by side";
                    findings.refuse(Rule::ForestNode, place.clone(), reason, remedy);
                }
                if u16::from(feature) >= forest.features {
                    let reason = format!(
                        "node {index} looks at feature {feature}, the forest has {}",
                        forest.features
                    );
                    let remedy = "raise the number of features, or retrain without this one";
                    findings.refuse(Rule::ForestNode, place.clone(), reason, remedy);
                }
            }
            TreeNode::Leaf { value } => {
                if forest.mode == ForestMode::Vote && !(0..=255).contains(&value) {
                    let reason = format!("node {index} votes for class {value}");
                    let remedy = "number the classes from 0 to 255, or sum the leaves";
                    findings.refuse(Rule::VoteLeaf, place.clone(), reason, remedy);
                }
            }
        }
    }
    findings.count() == before
}

/// Depth, and that no node is reached twice: one pass, since children follow parents.
fn check_walks(findings: &mut Findings<'_>, place: &Place, forest: &Forest) {
    let mut depth: Vec<Option<usize>> = vec![None; forest.nodes.len()];
    for &root in &forest.roots {
        if depth[usize::from(root)].replace(0).is_some() {
            refuse_sharing(findings, place, root.into());
            return;
        }
    }
    for (index, node) in forest.nodes.iter().enumerate() {
        let (Some(above), TreeNode::Branch { left, .. }) = (depth[index], node) else { continue };
        if above == MAX_TREE_DEPTH {
            let reason = format!("node {index} is comparison {} of its tree", MAX_TREE_DEPTH + 1);
            let remedy = format!("train with a depth of at most {MAX_TREE_DEPTH}");
            findings.refuse(Rule::ForestDepth, place.clone(), reason, remedy);
            return;
        }
        for child in [usize::from(*left), usize::from(*left) + 1] {
            if depth[child].replace(above + 1).is_some() {
                refuse_sharing(findings, place, child);
                return;
            }
        }
    }
}

fn refuse_sharing(findings: &mut Findings<'_>, place: &Place, node: usize) {
    let reason = format!("node {node} has two parents, or is a root and a child");
    let remedy = "give each parent its own copy of the node";
    findings.refuse(Rule::ForestSharing, place.clone(), reason, remedy);
}

/// Most comparisons on a walk through one tree each, summed over the trees; forests that
/// [`check_forests`] refuses give some number.
pub(in crate::verifier) fn comparisons(forest: &Forest) -> u64 {
    let count = forest.nodes.len();
    let mut below = vec![0_u64; count];
    for (index, node) in forest.nodes.iter().enumerate().rev() {
        if let TreeNode::Branch { left, .. } = *node {
            let child = |offset: usize| {
                let child = usize::from(left) + offset;
                if child > index { below.get(child).copied().unwrap_or(0) } else { 0 }
            };
            below[index] = 1 + child(0).max(child(1));
        }
    }
    forest.roots.iter().map(|&root| below.get(usize::from(root)).copied().unwrap_or(0)).sum()
}

#[cfg(test)]
mod tests {
    use rmt_isa::program::{Forest, ForestMode, TreeNode};

    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    const fn leaf(value: i32) -> TreeNode {
        TreeNode::Leaf { value }
    }

    const fn branch(feature: u8, left: u16) -> TreeNode {
        TreeNode::Branch { feature, threshold: 0, left }
    }

    fn with_nodes(roots: &[u16], nodes: Vec<TreeNode>) -> Fixture {
        let mut fixture = Fixture::new("exit decided");
        let forest: &mut Forest = &mut fixture.program.forests[0];
        (forest.roots, forest.nodes) = (roots.into(), nodes);
        fixture
    }

    /// A tree of one long branch, with so many comparisons.
    fn chain(depth: u16) -> Vec<TreeNode> {
        let mut nodes = vec![branch(0, 1)];
        for level in 1..=depth {
            nodes.push(leaf(0));
            nodes.push(if level == depth { leaf(1) } else { branch(0, 2 * level + 1) });
        }
        nodes
    }

    #[test]
    fn trees_within_the_limits_are_accepted() {
        with_nodes(&[0], vec![leaf(3)]).accepted();
        with_nodes(&[0], chain(32)).accepted();
        with_nodes(&[0, 1], vec![leaf(1), branch(7, 2), leaf(1), leaf(2)]).accepted();
        assert_eq!(super::comparisons(&with_nodes(&[0], chain(32)).program.forests[0]), 32);
    }

    #[test]
    fn nodes_that_do_not_exist_are_refused() {
        refused_by(&with_nodes(&[0], vec![]), Rule::ForestNode, "0 nodes");
        refused_by(&with_nodes(&[], vec![leaf(0)]), Rule::ForestNode, "it has no tree");
        refused_by(&with_nodes(&[4], vec![leaf(0)]), Rule::ForestNode, "begins at node 4");
        let nodes = vec![branch(0, 1), leaf(0)];
        refused_by(&with_nodes(&[0], nodes), Rule::ForestNode, "nodes 1 and 2");
        let nodes = vec![branch(0, u16::MAX), leaf(0), leaf(0)];
        refused_by(&with_nodes(&[0], nodes), Rule::ForestNode, "nodes 65535 and 65536");
        let nodes = vec![branch(8, 1), leaf(0), leaf(0)];
        refused_by(&with_nodes(&[0], nodes), Rule::ForestNode, "feature 8, the forest has 8");
    }

    #[test]
    fn children_before_their_parent_are_refused() {
        let nodes = vec![branch(0, 1), branch(0, 0), leaf(0)];
        refused_by(&with_nodes(&[0], nodes), Rule::ForestNode, "the children of node 1");
    }

    #[test]
    fn too_deep_trees_are_refused() {
        refused_by(&with_nodes(&[0], chain(33)), Rule::ForestDepth, "comparison 33");
    }

    #[test]
    fn shared_nodes_are_refused() {
        refused_by(&with_nodes(&[0, 0], vec![leaf(0)]), Rule::ForestSharing, "node 0");
        let nodes = vec![branch(0, 1), branch(0, 3), branch(0, 3), leaf(0), leaf(0)];
        refused_by(&with_nodes(&[0], nodes), Rule::ForestSharing, "node 3 has two parents");
    }

    #[test]
    fn votes_are_classes() {
        let mut fixture = with_nodes(&[0], vec![leaf(256)]);
        fixture.accepted();
        fixture.program.forests[0].mode = ForestMode::Vote;
        refused_by(&fixture, Rule::VoteLeaf, "node 0 votes for class 256");
    }
}
