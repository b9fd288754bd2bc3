//! How many objects there are, and what they are called.

use std::collections::HashMap;

use rmt_isa::limits::{
    MAX_ARGUMENTS, MAX_CONTEXT_FIELDS, MAX_CONTEXTS, MAX_OBJECTS, MAX_OUTPUTS, MAX_PARAMETERS,
};

use crate::verifier::findings::{Findings, plural, quote};
use crate::verifier::rules::Rule;
use crate::verifier::violation::Place;

/// Bytes of a name. The kernel's own symbols stay below 512; this bounds images, too.
const MAX_NAME_BYTES: usize = 512;

/// Every list is within the machine's limits, and there is a table to begin at.
pub(super) fn check_counts(findings: &mut Findings<'_>) {
    let program = findings.program;
    if program.tables.is_empty() {
        let reason = "an event begins at table 0, and there is none";
        let remedy = "declare a table; one without a key runs its default action for every event";
        findings.refuse(Rule::NoTable, findings.whole(), reason, remedy);
    }
    let lists = [
        ("output", program.outputs.len(), MAX_OUTPUTS),
        ("event field", program.hook.fields.len(), MAX_OBJECTS),
        ("table", program.tables.len(), MAX_OBJECTS),
        ("action", program.actions.len(), MAX_OBJECTS),
        ("context store", program.contexts.len(), MAX_CONTEXTS),
        ("map", program.maps.len(), MAX_OBJECTS),
        ("model", program.models.len(), MAX_OBJECTS),
        ("tensor", program.tensors.len(), MAX_OBJECTS),
        ("scale", program.scales.len(), MAX_OBJECTS),
        ("window", program.windows.len(), MAX_OBJECTS),
        ("forest", program.forests.len(), MAX_OBJECTS),
    ];
    for (what, found, most) in lists {
        check_count(findings, findings.whole(), what, found, most);
    }
    for (index, action) in program.actions.iter().enumerate() {
        if findings.full() {
            return;
        }
        let place = findings.action(index);
        check_count(findings, place.clone(), "parameter", action.parameters.len(), MAX_PARAMETERS);
        check_count(findings, place, "argument", action.arguments.into(), MAX_ARGUMENTS);
    }
    for (index, context) in program.contexts.iter().enumerate() {
        let place = findings.object("context store", index, &context.name);
        check_count(findings, place, "field", context.fields.len(), MAX_CONTEXT_FIELDS);
    }
    for (index, table) in program.tables.iter().enumerate() {
        let place = findings.table(index);
        check_count(findings, place, "action", table.actions.len(), MAX_OBJECTS);
    }
}

fn check_count(findings: &mut Findings<'_>, place: Place, what: &str, found: usize, most: usize) {
    if found > most {
        let reason = format!(
            "{} are declared, at most {} are possible",
            plural(found as u64, what),
            plural(most as u64, what)
        );
        findings.refuse(Rule::TooMany, place, reason, format!("remove {}", found - most));
    }
}

/// Every name is printable, and no two objects of a kind share one.
pub(super) fn check_names(findings: &mut Findings<'_>) {
    let program = findings.program;
    for (what, name) in [("program", &program.name), ("hook", &program.hook.name)] {
        // These two may be empty: they are only shown to people.
        if let Some(reason) = fault_of_name(name).filter(|_| !name.is_empty()) {
            refuse_name(findings, findings.whole(), what, reason);
        }
    }
    let whole = findings.whole();
    macro_rules! check_list {
        ($place:expr, $what:literal, $list:expr) => {
            check_name_list(findings, $place, $what, $list.iter().map(|object| &*object.name))
        };
    }
    check_list!(&whole, "output", program.outputs);
    check_list!(&whole, "event field", program.hook.fields);
    check_list!(&whole, "table", program.tables);
    check_list!(&whole, "action", program.actions);
    check_list!(&whole, "context store", program.contexts);
    check_list!(&whole, "map", program.maps);
    check_list!(&whole, "tensor", program.tensors);
    check_list!(&whole, "scale", program.scales);
    check_list!(&whole, "window", program.windows);
    check_list!(&whole, "forest", program.forests);
    check_name_list(findings, &whole, "model", program.models.iter().map(String::as_str));
    for (index, action) in program.actions.iter().enumerate() {
        if !action.parameters.is_empty() {
            check_list!(&findings.action(index), "parameter", action.parameters);
        }
    }
    for (index, context) in program.contexts.iter().enumerate() {
        check_list!(
            &findings.object("context store", index, &context.name),
            "field",
            context.fields
        );
    }
    for (index, table) in program.tables.iter().enumerate() {
        check_list!(&findings.table(index), "key field", table.key);
    }
}

fn check_name_list<'n>(
    findings: &mut Findings<'_>,
    place: &Place,
    what: &str,
    names: impl Iterator<Item = &'n str>,
) {
    let mut first = HashMap::new();
    for (index, name) in names.enumerate() {
        if findings.full() {
            return;
        }
        if let Some(reason) = fault_of_name(name) {
            refuse_name(findings, place.clone(), &format!("{what} {index}"), reason);
        } else if let Some(other) = first.insert(name, index) {
            let reason = format!("{what} {other} and {what} {index} are both `{}`", quote(name));
            let remedy = format!("rename one {what}; models, entries and tools find it by name");
            findings.refuse(Rule::DuplicateName, place.clone(), reason, remedy);
        }
    }
}

fn fault_of_name(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("is empty".into());
    }
    if name.len() > MAX_NAME_BYTES {
        return Some(format!("has {} bytes, more than {MAX_NAME_BYTES}", name.len()));
    }
    let bad = name.chars().find(|c| c.is_control() || c.is_whitespace())?;
    Some(format!("`{}` holds the character {bad:?}", quote(name)))
}

fn refuse_name(findings: &mut Findings<'_>, place: Place, what: &str, fault: String) {
    let remedy = "give it a name of 1 to 512 bytes without spaces and control characters";
    findings.refuse(Rule::BadName, place, format!("the name of {what} {fault}"), remedy);
}

#[cfg(test)]
mod tests {
    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    #[test]
    fn the_fixture_is_accepted() {
        Fixture::new("exit decided").accepted();
    }

    #[test]
    fn a_program_without_tables_is_refused() {
        let mut fixture = Fixture::new("exit decided");
        fixture.program.tables.clear();
        refused_by(&fixture, Rule::NoTable, "an event begins at table 0");
    }

    #[test]
    fn too_many_objects_are_refused() {
        let mut fixture = Fixture::new("exit decided");
        let output = fixture.program.outputs[0].clone();
        for name in ["a", "b", "c", "d"] {
            fixture
                .program
                .outputs
                .push(rmt_isa::program::Output { name: name.into(), ..output.clone() });
        }
        refused_by(&fixture, Rule::TooMany, "at most 3 outputs");

        let mut fixture = Fixture::new("exit decided");
        fixture.program.actions[1].arguments = 5;
        refused_by(&fixture, Rule::TooMany, "5 arguments are declared, at most 4 arguments");
    }

    #[test]
    fn bad_names_are_refused() {
        for (name, reason) in [
            (String::new(), "is empty"),
            ("two words".into(), "holds the character ' '"),
            ("bell\u{7}".into(), "holds the character '\\u{7}'"),
            ("x".repeat(513), "has 513 bytes"),
        ] {
            let mut fixture = Fixture::new("exit decided");
            fixture.program.actions[0].name = name;
            refused_by(&fixture, Rule::BadName, reason);
        }
    }

    #[test]
    fn duplicate_names_are_refused() {
        let mut fixture = Fixture::new("exit decided");
        let action = fixture.program.actions[0].clone();
        fixture.program.actions.push(action);
        refused_by(&fixture, Rule::DuplicateName, "action 0 and action 2 are both `act`");

        let mut fixture = Fixture::new("exit decided");
        fixture.program.contexts[0].fields[1].name = "count".into();
        refused_by(&fixture, Rule::DuplicateName, "field 0 and field 1 are both `count`");
    }
}
