//! Where the ways of a branch meet again: immediate post-dominators.

use super::FlowGraph;

/// For each instruction the first one behind it that every path to an end goes through;
/// `graph.len()`, one past the last, where the paths end apart.
///
/// All edges lead forward, so one backward pass computes the post-dominator tree. Finding the
/// common ancestor of two nodes takes O(log n) by skip pointers (Myers, "An applicative
/// random-access stack", 1983), so the whole takes O(n log n) for any code.
pub(in crate::verifier) fn join_points(graph: &FlowGraph<'_>) -> Vec<usize> {
    let end = graph.len();
    let mut tree =
        Tree { parent: vec![end; end + 1], skip: vec![end; end + 1], depth: vec![0; end + 1] };
    for index in (0..end).rev() {
        // Edges of instructions that no path reaches may lead anywhere.
        let edges = graph.reachable(index).then(|| graph.edges(index));
        let join = edges.and_then(|e| e.iter().reduce(|a, b| tree.common_ancestor(a, b)));
        tree.attach(index, join.unwrap_or(end));
    }
    tree.parent.truncate(end);
    tree.parent
}

struct Tree {
    parent: Vec<usize>,
    /// An ancestor further up; distances grow so that any ancestor is O(log n) steps away.
    skip: Vec<usize>,
    depth: Vec<usize>,
}

impl Tree {
    fn attach(&mut self, node: usize, parent: usize) {
        let skip = self.skip[parent];
        let balanced =
            self.depth[parent] - self.depth[skip] == self.depth[skip] - self.depth[self.skip[skip]];
        self.parent[node] = parent;
        self.depth[node] = self.depth[parent] + 1;
        self.skip[node] = if balanced { self.skip[skip] } else { parent };
    }

    fn common_ancestor(&self, mut a: usize, mut b: usize) -> usize {
        if self.depth[a] > self.depth[b] {
            std::mem::swap(&mut a, &mut b);
        }
        while self.depth[b] > self.depth[a] {
            let skip = self.skip[b];
            b = if self.depth[skip] >= self.depth[a] { skip } else { self.parent[b] };
        }
        // Nodes of equal depth have skips of equal depth.
        while a != b {
            if self.skip[a] != self.skip[b] {
                (a, b) = (self.skip[a], self.skip[b]);
            } else {
                (a, b) = (self.parent[a], self.parent[b]);
            }
        }
        a
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::arithmetic::split_mix_64;

    use super::super::check_control_flow;
    use super::*;
    use crate::verifier::findings::Findings;
    use crate::verifier::testing::Fixture;

    fn joins(code: &str) -> Vec<usize> {
        let fixture = Fixture::new(code);
        let mut findings = Findings::new(&fixture.program, 1);
        join_points(&check_control_flow(&mut findings, 0).unwrap())
    }

    #[test]
    fn the_ways_of_an_if_meet_behind_it() {
        let code = "jeqi r1, 0, else\nmovi r2, 1\njump end\nelse: movi r2, 2\nend: exit decided";
        assert_eq!(joins(code), [4, 2, 4, 4, 5]);
    }

    #[test]
    fn early_exits_do_not_meet() {
        assert_eq!(joins("jeqi r1, 0, no\nexit decided\nno: exit abstain"), [3, 3, 3]);
    }

    #[test]
    fn code_that_no_path_reaches_may_jump_anywhere() {
        assert_eq!(joins("exit decided\njeqi r1, 0, +4000\nmovi r1, 1"), [3, 3, 3]);
    }

    /// Compares with the definition: j post-dominates i when removing j leaves no way from i
    /// to an end.
    #[test]
    fn random_graphs_agree_with_the_definition() {
        let mut state = 7;
        let mut random = |below: u64| {
            state = split_mix_64(state);
            state % below
        };
        for _ in 0..300 {
            let length = 2 + random(14) as usize;
            let mut code = String::new();
            for index in 0..length - 1 {
                let ahead = (length - 1 - index) as u64;
                match random(4) {
                    0 => code += &format!("jeqi r1, 0, +{}\n", random(ahead)),
                    1 => code += &format!("jump +{}\n", random(ahead)),
                    2 if random(3) == 0 => code += "exit abstain\n",
                    _ => code += "movi r1, 0\n",
                }
            }
            code += "exit decided\n";
            let fixture = Fixture::new(&code);
            let mut findings = Findings::new(&fixture.program, 1);
            let graph = check_control_flow(&mut findings, 0).unwrap();
            let found = join_points(&graph);
            for (index, &join) in found.iter().enumerate().filter(|&(at, _)| graph.reachable(at)) {
                let escapes = |without: usize| {
                    let mut reached = vec![false; length];
                    reached[index] = true;
                    (index..length).any(|at| {
                        let goes = reached[at] && (at == index || at != without);
                        if goes {
                            graph.edges(at).iter().for_each(|next| reached[next] = true);
                        }
                        goes && graph.edges(at).iter().next().is_none()
                    })
                };
                let expected = (index + 1..length).find(|&at| !escapes(at)).unwrap_or(length);
                assert_eq!(join, expected, "instruction {index} of\n{code}");
            }
        }
    }
}
