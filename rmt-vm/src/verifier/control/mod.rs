//! Where control can go: inside an action, and from table to table.
//!
//! - [`flow_graph`]: successors and reachability of the instructions of one action;
//! - [`calls`]: the graph of tables and actions that tail calls make;
//! - [`join`]: where the two ways of a branch meet again.

mod calls;
mod flow_graph;
mod join;

pub(super) use calls::{CallGraph, Node, check_calls};
pub(super) use flow_graph::{FlowGraph, check_control_flow, check_lengths};
pub(super) use join::join_points;
