//! The fields that a hook's events have.

use rmt_isa::event::{EVENT_BYTES, event_layout};

use crate::verifier::findings::Findings;
use crate::verifier::rules::Rule;

/// Fields lie in the key or the arguments, aligned, and share no byte.
pub(super) fn check_event_fields(findings: &mut Findings<'_>) {
    let program = findings.program;
    let mut owner: [Option<usize>; EVENT_BYTES] = [None; EVENT_BYTES];
    for (index, field) in program.hook.fields.iter().enumerate() {
        if findings.full() {
            return;
        }
        let place = findings.object("event field", index, &field.name);
        let (start, bytes) = (usize::from(field.offset), field.kind.bytes());
        if start < event_layout::KEY.offset || start + bytes > EVENT_BYTES {
            let reason = format!(
                "it takes bytes {start} to {}; the key and the arguments are bytes {} to {}",
                start + bytes - 1,
                event_layout::KEY.offset,
                EVENT_BYTES - 1
            );
            let remedy = "move it, or make it narrower; hook, flags and tag need no declaration";
            findings.refuse(Rule::FieldOutsideEvent, place, reason, remedy);
            continue;
        }
        if start % bytes != 0 {
            let reason =
                format!("offset {start} is no multiple of the {bytes} bytes of a {}", field.kind);
            let next = start.next_multiple_of(bytes);
            findings.refuse(Rule::FieldMisaligned, place, reason, format!("use offset {next}"));
            continue;
        }
        let taken = owner[start..start + bytes].iter().flatten().next().copied();
        if let Some(other) = taken {
            let other = crate::verifier::findings::quote(&program.hook.fields[other].name);
            let reason = format!("bytes {start} to {} also belong to `{other}`", start + bytes - 1);
            let remedy = "move one of the two; a field in two widths can be loaded with `ld_event`";
            findings.refuse(Rule::FieldsOverlap, place, reason, remedy);
            continue;
        }
        owner[start..start + bytes].fill(Some(index));
    }
}

#[cfg(test)]
mod tests {
    use rmt_isa::IntType;
    use rmt_isa::program::{EventField, Label};

    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    fn with_field(offset: u8, kind: IntType) -> Fixture {
        let mut fixture = Fixture::new("exit decided");
        let fields = &mut fixture.program.hook.fields;
        fields.retain(|field| field.name == "pid");
        fields.push(EventField { name: "extra".into(), kind, offset, label: Label::Public });
        fixture
    }

    #[test]
    fn aligned_fields_of_key_and_arguments_are_accepted() {
        with_field(16, IntType::U64).accepted();
        with_field(63, IntType::I8).accepted();
    }

    #[test]
    fn fields_outside_are_refused() {
        refused_by(&with_field(4, IntType::U32), Rule::FieldOutsideEvent, "bytes 4 to 7");
        refused_by(&with_field(60, IntType::U64), Rule::FieldOutsideEvent, "bytes 60 to 67");
        refused_by(&with_field(255, IntType::U64), Rule::FieldOutsideEvent, "bytes 255 to 262");
    }

    #[test]
    fn misaligned_fields_are_refused() {
        refused_by(&with_field(18, IntType::U32), Rule::FieldMisaligned, "offset 18");
    }

    #[test]
    fn overlapping_fields_are_refused() {
        refused_by(&with_field(12, IntType::U32), Rule::FieldsOverlap, "also belong to `pid`");
    }
}
