//! Programs for the tests, from assembly.

use rmt_isa::assembly::assemble;
use rmt_isa::operand::IntType;
use rmt_isa::program::*;

/// An action.
pub fn action(name: &str, arguments: u8, parameters: usize, text: &str) -> Action {
    let code = assemble(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let parameters =
        (0..parameters).map(|n| Parameter { name: format!("p{n}"), kind: IntType::U64 }).collect();
    Action { name: name.into(), parameters, arguments, lines: vec![0; code.len()], code }
}

/// A table that always runs one action.
pub fn always(name: &str, action: u16) -> Table {
    Table {
        name: name.into(),
        kind: MatchKind::Exact,
        key: vec![],
        capacity: 4,
        actions: vec![action],
        default: Some(ActionCall { action, parameters: vec![] }),
        entries: vec![],
    }
}

/// A field of a context.
pub fn field(name: &str, kind: IntType, ring: Option<u16>) -> ContextField {
    ContextField { name: name.into(), kind, ring, writable: true, label: Label::Public }
}

/// A program of tables and actions for hook 3.
pub fn program(tables: Vec<Table>, actions: Vec<Action>, contexts: Vec<Context>) -> Program {
    let outputs = (0..3)
        .map(|n| Output { name: format!("o{n}"), kind: IntType::U64, label: Label::Public })
        .collect();
    Program {
        name: "test".into(),
        hook: Hook { name: "hook".into(), number: 3, fields: vec![] },
        outputs,
        tables,
        actions,
        contexts,
        ..Program::default()
    }
}
