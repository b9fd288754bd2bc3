//! stub
use crate::ir::Module;
pub(crate) fn print(modules: &[Module], index: usize) -> String { modules[index].name.clone() }
