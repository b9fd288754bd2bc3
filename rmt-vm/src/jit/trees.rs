//! Decision trees and forests as code: each branch of a tree is a branch of the action.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I32, I64};
use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, Value};
use rmt_isa::operand::{ForestId, Scalar, Vector};
use rmt_isa::program::{ForestMode, TreeNode};
use std::collections::BTreeMap;

use super::action::ActionCompiler;
use super::operation::Operation;
use super::vectors::Place;

/// Most nodes that become code; larger forests are walked in memory.
const MOST_NODES_AS_CODE: usize = 1024;

impl ActionCompiler<'_, '_> {
    pub(super) fn forest(&mut self, pc: usize, d: Scalar, a: Vector, forest: ForestId) {
        let Some(forest) = self.objects.models.forests().get(forest.index()) else { return };
        // Votes need a count for each class.
        if forest.mode == ForestMode::Vote
            || reachable_nodes(&forest.nodes, &forest.roots).is_none()
        {
            let operation = Operation::Forest { a: a.index(), forest: Box::new(forest.clone()) };
            let value = self.operate(pc, operation, &[a], None, None, None);
            self.set_scalar(d, value);
            return;
        }
        let place = self.place(pc, a);
        let mut features = BTreeMap::new();
        for node in reachable_nodes(&forest.nodes, &forest.roots).unwrap_or_default() {
            if let TreeNode::Branch { feature, .. } = forest.nodes[node] {
                let feature = usize::from(feature);
                features.entry(feature).or_insert_with(|| match &place {
                    Place::Registers(small) => match self.vectors.known_lane(a, feature) {
                        Some(value) => self.builder.ins().ireduce(I32, value),
                        None => self.lane(small, feature),
                    },
                    Place::Memory(_) => {
                        self.load(I32, self.frame, Self::register_offset(a) + 4 * feature)
                    }
                });
            }
        }
        let mut sum: Option<Value> = None;
        for &root in &forest.roots {
            let value = self.tree(&forest.nodes, root.into(), &features);
            sum = Some(match sum {
                None => value,
                Some(sum) => self.builder.ins().iadd(sum, value),
            });
        }
        let sum = match sum {
            Some(sum) => sum,
            None => self.constant(0),
        };
        self.set_scalar(d, sum);
    }

    /// The value of one tree.
    fn tree(
        &mut self,
        nodes: &[TreeNode],
        root: usize,
        features: &BTreeMap<usize, Value>,
    ) -> Value {
        let join = self.builder.create_block();
        self.builder.append_block_param(join, I64);
        let mut open: Vec<(usize, Option<Block>)> = vec![(root, None)];
        while let Some((place, block)) = open.pop() {
            if let Some(block) = block {
                self.builder.switch_to_block(block);
            }
            match nodes[place] {
                TreeNode::Leaf { value } => {
                    let value = self.constant(value.into());
                    self.builder.ins().jump(join, &[BlockArg::Value(value)]);
                }
                TreeNode::Branch { feature, threshold, left } => {
                    let value = features[&usize::from(feature)];
                    let threshold = self.builder.ins().iconst(I32, i64::from(threshold as u32));
                    let goes_left =
                        self.builder.ins().icmp(IntCC::SignedLessThanOrEqual, value, threshold);
                    let (left_block, right_block) =
                        (self.builder.create_block(), self.builder.create_block());
                    self.builder.ins().brif(goes_left, left_block, &[], right_block, &[]);
                    open.push((usize::from(left) + 1, Some(right_block)));
                    open.push((usize::from(left), Some(left_block)));
                }
            }
        }
        self.builder.switch_to_block(join);
        self.builder.block_params(join)[0]
    }
}

/// The nodes that become code, each as often as a walk can reach it; `None` when these are
/// too many. Trees may share nodes, so there can be more walks than nodes.
fn reachable_nodes(nodes: &[TreeNode], roots: &[u16]) -> Option<Vec<usize>> {
    let mut open: Vec<usize> = roots.iter().map(|&root| usize::from(root)).collect();
    let mut reached = Vec::new();
    while let Some(place) = open.pop() {
        if reached.len() >= MOST_NODES_AS_CODE {
            return None;
        }
        reached.push(place);
        if let TreeNode::Branch { left, .. } = nodes[place] {
            open.extend([usize::from(left), usize::from(left) + 1]);
        }
    }
    Some(reached)
}
