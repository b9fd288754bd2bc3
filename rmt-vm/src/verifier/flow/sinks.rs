//! Where private data must not arrive.

use rmt_isa::limits::MAX_CONTEXTS;
use rmt_isa::operand::{FieldRef, MapId, OutputIndex, Verdict};
use rmt_isa::program::{ContextField, Label, MapKind};

use super::Open;
use super::taint::{Origin, Record, Taint};
use crate::verifier::findings::{Findings, quote};
use crate::verifier::rules::Rule;
use crate::verifier::violation::{InstructionPlace, Place};

pub(super) struct Sinks<'f, 'p> {
    pub(super) findings: &'f mut Findings<'p>,
    pub(super) action: usize,
}

impl Sinks<'_, '_> {
    fn refuse(&mut self, rule: Rule, index: usize, reason: String, remedy: &str) {
        let place = self.findings.instruction(self.action, index);
        self.findings.refuse(rule, place, reason, remedy);
    }

    /// Where private data came from, in words.
    fn origin(&self, origin: Origin) -> String {
        let at = |index: u16| self.findings.instruction_text(self.action, index.into());
        match origin {
            Origin::Load(index) => {
                let place = self.findings.instruction(self.action, index.into());
                let Some(InstructionPlace { text, names, .. }) = place.instruction else {
                    return "private data".into();
                };
                let names = if names.is_empty() { names } else { format!(" ({names})") };
                format!("private data that {} loads with `{text}`{names}", at(index))
            }
            Origin::Branch(index) => {
                format!("private data that the branch at {} looks at", at(index))
            }
            Origin::Caller => {
                "private data in the key of the table or in an argument of the tail call".into()
            }
        }
    }

    fn field(&self, field: FieldRef) -> Option<&ContextField> {
        let context = self.findings.program.contexts.get(field.context.index())?;
        context.fields.get(usize::from(field.field))
    }

    /// A public output carries public data only.
    pub(super) fn check_output(&mut self, index: usize, output: OutputIndex, data: Taint) {
        let Some(declared) = self.findings.program.outputs.get(output.index()) else { return };
        let Some(origin) = data.filter(|_| declared.label == Label::Public) else { return };
        let reason = format!(
            "output `{}` is public, its value or its being written depends on {}",
            quote(&declared.name),
            self.origin(origin)
        );
        let remedy = "declare the output private, so that only the key's owner reads it, or \
                      compute it from public data";
        self.refuse(Rule::PrivateOutput, index, reason, remedy);
    }

    /// A private field of another key's record is not read. Gives whether the field is private.
    pub(super) fn check_field_read(
        &mut self,
        index: usize,
        field: FieldRef,
        record: Record,
    ) -> bool {
        let Some(declared) = self.field(field) else { return false };
        if declared.label == Label::Public {
            return false;
        }
        if !record.own {
            let reason = format!(
                "`{}` is private to the key of its record, and the record was opened with another \
                 value than the event's key",
                quote(&declared.name)
            );
            let remedy = "open the record with the key as loaded by `ld_event rN, event+8, u64`, \
                          or declare the field public";
            self.refuse(Rule::ForeignPrivateRead, index, reason, remedy);
        }
        true
    }

    /// Private data goes to private fields of the event's own record only.
    pub(super) fn check_field_write(
        &mut self,
        index: usize,
        field: FieldRef,
        record: Record,
        data: Taint,
    ) {
        let Some(origin) = data else { return };
        let Some(declared) = self.field(field) else { return };
        let (name, label) = (quote(&declared.name), declared.label);
        if !record.own {
            let reason = format!(
                "the record was opened with another value than the event's key; what is written \
                 to `{name}` depends on {}",
                self.origin(origin)
            );
            let remedy = "open the record with the key as loaded by `ld_event rN, event+8, u64`, \
                          or write public data only";
            self.refuse(Rule::PrivateForeignWrite, index, reason, remedy);
        } else if label == Label::Public {
            let reason = format!(
                "field `{name}` is public, what is written depends on {}",
                self.origin(origin)
            );
            let remedy = "declare the field private, or write public data only";
            self.refuse(Rule::PrivateField, index, reason, remedy);
        }
    }

    /// Opening a record creates it and renews its age: others can see that.
    pub(super) fn check_match(&mut self, index: usize, own: bool, data: Taint) {
        let Some(origin) = data.filter(|_| !own) else { return };
        let reason = format!(
            "`RMT_MATCH_CTXT` creates the record, and which one depends on {}",
            self.origin(origin)
        );
        let remedy = "open the record with the event's key, or only look with `RMT_FIND_CTXT`";
        self.refuse(Rule::PrivateForeignWrite, index, reason, remedy);
    }

    pub(super) fn map_is_private(&self, map: MapId) -> bool {
        let map = self.findings.program.maps.get(map.index());
        map.is_some_and(|map| map.label == Label::Private)
    }

    fn map_kind(&self, map: MapId) -> Option<MapKind> {
        self.findings.program.maps.get(map.index()).map(|map| map.kind)
    }

    fn map_name(&self, map: MapId) -> String {
        self.findings.program.maps.get(map.index()).map(|map| quote(&map.name)).unwrap_or_default()
    }

    pub(super) fn check_map_read(
        &mut self,
        index: usize,
        map: MapId,
        own: bool,
        recency: bool,
        data: Taint,
    ) {
        if self.map_is_private(map) {
            self.check_own_slot(index, map, own);
        } else if recency && self.map_kind(map) == Some(MapKind::LruHash) {
            // Loading renews the age of a value, which decides what is evicted.
            self.check_public_map(index, map, data);
        }
    }

    pub(super) fn check_map_write(&mut self, index: usize, map: MapId, own: bool, data: Taint) {
        if self.map_is_private(map) {
            self.check_own_slot(index, map, own);
        } else {
            self.check_public_map(index, map, data);
        }
    }

    /// Anything may be appended to a private ring buffer: actions cannot read it back.
    pub(super) fn check_map_push(&mut self, index: usize, map: MapId, data: Taint) {
        if !self.map_is_private(map) {
            self.check_public_map(index, map, data);
        }
    }

    fn check_public_map(&mut self, index: usize, map: MapId, data: Taint) {
        let Some(origin) = data else { return };
        let reason = format!(
            "map `{}` is public; its key, its value or its use here depends on {}",
            self.map_name(map),
            self.origin(origin)
        );
        let remedy = "declare the map private and index it by the event's key, or keep the value \
                      in a private context field";
        self.refuse(Rule::PrivateMap, index, reason, remedy);
    }

    /// A slot of a private map belongs to the key that is its index.
    fn check_own_slot(&mut self, index: usize, map: MapId, own: bool) {
        let keyed =
            matches!(self.map_kind(map), Some(MapKind::Array | MapKind::Hash | MapKind::LruHash));
        if keyed && own {
            return;
        }
        let name = self.map_name(map);
        let reason = match keyed {
            true => format!(
                "map `{name}` is private: the value of a key belongs to that key, and this one is \
                 not the event's"
            ),
            false => format!(
                "map `{name}` is private and holds the data of many keys, which an action must \
                 not read back"
            ),
        };
        let remedy = "use the key as loaded by `ld_event rN, event+8, u64`, or declare the map \
                      public and keep private data out of it";
        self.refuse(Rule::ForeignMapSlot, index, reason, remedy);
    }
}

/// Where other keys look whether a record is there, private data does not decide on that.
pub(super) fn check_existence(findings: &mut Findings<'_>, opens: &[Open]) {
    let mut foreign: [Option<&Open>; MAX_CONTEXTS] = [None; MAX_CONTEXTS];
    for open in opens.iter().filter(|open| !open.own) {
        if let Some(place) = foreign.get_mut(open.context) {
            place.get_or_insert(open);
        }
    }
    for open in opens {
        let Some(origin) = open.creates else { continue };
        let Some(other) = foreign.get(open.context).copied().flatten() else { continue };
        let action = findings.program.actions.get(other.action);
        let looks = format!(
            "{} of action `{}`",
            findings.instruction_text(other.action, other.index),
            action.map(|action| quote(&action.name)).unwrap_or_default()
        );
        let mut sinks = Sinks { findings, action: open.action };
        let reason = format!(
            "the record exists or not as told by {}, and {looks} looks for records of any key",
            sinks.origin(origin)
        );
        let remedy = "open the record before the branch, or keep what other keys look up in \
                      another context store";
        sinks.refuse(Rule::PrivateExistence, open.index, reason, remedy);
    }
}

/// An end of an event that private data decided on.
pub(super) struct PrivateEnd {
    /// The status that results.
    status: &'static str,
    place: Place,
}

impl PrivateEnd {
    pub(super) fn exit(verdict: Verdict, place: Place) -> Self {
        let status = match verdict {
            Verdict::Decided => rmt_isa::Status::Decided,
            Verdict::Abstain => rmt_isa::Status::Abstained,
        };
        Self { status: status.text(), place }
    }

    pub(super) fn missed(place: Place) -> Self {
        Self { status: rmt_isa::Status::Missed.text(), place }
    }
}

/// Where others see the status, private data must not decide between two of them.
///
/// The status goes where the outputs go: it is private when all outputs are.
pub(super) fn check_status(findings: &mut Findings<'_>, ends: &[PrivateEnd]) {
    let outputs = &findings.program.outputs;
    let private = !outputs.is_empty() && outputs.iter().all(|o| o.label == Label::Private);
    let Some(first) = ends.first().filter(|_| !private) else { return };
    let Some(other) = ends.iter().find(|end| end.status != first.status) else { return };
    let reason = format!(
        "private data decides whether the event ends `{}` here or `{}` at {}, and others see that",
        other.status, first.status, first.place
    );
    let remedy = "end with the same verdict on both ways, or declare all outputs private";
    findings.refuse(Rule::PrivateStatus, other.place.clone(), reason, remedy);
}

#[cfg(test)]
mod tests {
    use rmt_isa::program::Label;

    use crate::verifier::rules::Rule;
    use crate::verifier::testing::{Fixture, refused_by};

    /// r1 = the event's key, r2 = private, r3 = public; the event's own record of ctxt0 open.
    const START: &str = "ld_event r1, event+8, u64\nld_event r2, event+16, u64\n\
                         ld_event r3, event+24, u32\nRMT_MATCH_CTXT r4, ctxt0, r1\n";
    /// The same with the record of another key.
    const FOREIGN: &str = "ld_event r1, event+8, u64\nld_event r2, event+16, u64\n\
                           ld_event r3, event+24, u32\nRMT_FIND_CTXT r4, ctxt0, r3\n";

    fn with(start: &str, code: &str) -> Fixture {
        Fixture::new(&format!("{start}{code}\nexit decided"))
    }

    #[test]
    fn outputs_carry_what_their_label_allows() {
        with(START, "out out1, r2").accepted();
        with(START, "out out0, r3").accepted();
        let origin = "private data that instruction 1 loads with `ld_event r2, event+16, u64` (event+16 = page)";
        refused_by(&with(START, "out out0, r2"), Rule::PrivateOutput, origin);
        let code = "RMT_LD_CTXT r5, ctxt0.1\nadd r5, r5, r3\nout out0, r5";
        refused_by(&with(START, code), Rule::PrivateOutput, "RMT_LD_CTXT r5, ctxt0.1");
        // Half of a private field is private, too.
        let code = "ld_event r5, event+20, u16\nout out0, r5";
        refused_by(&with(START, code), Rule::PrivateOutput, "output `hint` is public");
    }

    #[test]
    fn vectors_carry_labels() {
        let code = "RMT_VECTOR_LD_EVENT v0, x8, i16, event+32\nRMT_VECTOR_SUM r5, v0\nout out0, r5";
        with(START, code).accepted();
        refused_by(&with(START, &code.replace("x8", "x9")), Rule::PrivateOutput, "instruction 4");
        let code = "RMT_VECTOR_FILL v0, x8, i16, 1\nRMT_VECTOR_SET v0, lane1, r2\n\
                    RMT_MAT_MUL v1, v0, tensor0, none\nRMT_ARGMAX r5, v1\nout out0, r5";
        refused_by(&with(START, code), Rule::PrivateOutput, "instruction 1");
        let code = "RMT_VECTOR_LD v0, r2, tensor2\nRMT_SCALAR_VAL r5, v0, lane0\nout out0, r5";
        refused_by(&with(START, code), Rule::PrivateOutput, "instruction 1");
    }

    #[test]
    fn own_private_fields_take_private_data() {
        with(START, "RMT_ST_CTXT ctxt0.1, r2\nRMT_PUSH_CTXT ctxt0.3, r2").accepted();
        with(START, "RMT_ST_CTXT ctxt0.0, r3").accepted();
        let rule = Rule::PrivateField;
        refused_by(&with(START, "RMT_ST_CTXT ctxt0.0, r2"), rule, "field `count` is public");
        refused_by(&with(START, "RMT_PUSH_CTXT ctxt0.4, r2"), rule, "field `recent` is public");
        let code = "RMT_VECTOR_FILL v0, x4, i16, 1\nRMT_VECTOR_SET v0, lane0, r2\n\
                    RMT_VECTOR_ST_CTXT ctxt0.4, v0";
        refused_by(&with(START, code), rule, "field `recent` is public");
    }

    #[test]
    fn records_of_other_keys_take_public_data_only() {
        with(FOREIGN, "RMT_ST_CTXT ctxt0.0, r3").accepted();
        let rule = Rule::PrivateForeignWrite;
        let reason = "the record was opened with another value than the event's key";
        refused_by(&with(FOREIGN, "RMT_ST_CTXT ctxt0.0, r2"), rule, reason);
        // Not even into a private field: it is private to the other key.
        refused_by(&with(FOREIGN, "RMT_ST_CTXT ctxt0.1, r2"), rule, reason);
        // Which record is written tells of the key.
        let code = "RMT_FIND_CTXT r4, ctxt0, r2\nRMT_ST_CTXT ctxt0.0, r3";
        refused_by(&with(START, code), rule, reason);
        refused_by(&with(START, "RMT_MATCH_CTXT r5, ctxt1, r2"), rule, "creates the record");
        with(START, "RMT_FIND_CTXT r5, ctxt1, r2\nout out1, r5").accepted();
        let code = "RMT_FIND_CTXT r5, ctxt1, r2\nout out0, r5";
        refused_by(&with(START, code), Rule::PrivateOutput, "instruction 1");
    }

    #[test]
    fn private_fields_of_other_keys_are_not_read() {
        with(START, "RMT_LD_CTXT r5, ctxt0.1").accepted();
        with(FOREIGN, "RMT_LD_CTXT r5, ctxt0.0").accepted();
        let rule = Rule::ForeignPrivateRead;
        for line in [
            "RMT_LD_CTXT r5, ctxt0.1",
            "RMT_LD_HISTI r5, ctxt0.3, 0",
            "RMT_LD_HIST r5, ctxt0.3, r3",
            "RMT_HIST_LEN r5, ctxt0.3",
            "RMT_VECTOR_LD_CTXT v0, x4, i16, ctxt0.3",
        ] {
            refused_by(&with(FOREIGN, line), rule, "is private to the key of its record");
        }
        // Own on one path only is not own.
        let code = "jeqi r3, 0, +1\nRMT_FIND_CTXT r4, ctxt0, r3\nRMT_LD_CTXT r5, ctxt0.1";
        refused_by(&with(START, code), rule, "`secret`");
    }

    #[test]
    fn public_maps_take_public_data_only() {
        let rule = Rule::PrivateMap;
        for (line, good) in [
            ("map_st r5, map1, r3, r3", true),
            ("map_st r5, map1, r3, r2", false),
            ("map_st r5, map1, r2, r3", false),
            ("map_add r5, map4, r2, r3", false),
            ("map_del r5, map1, r2", false),
            ("map_push map3, r3", true),
            ("map_push map3, r2", false),
            // A look with a private key leaves no trace, but for the age in an LRU map.
            ("map_ld r5, map1, r2", true),
            ("map_has r5, map2, r2", true),
            ("map_ld r5, map2, r3", true),
            ("map_ld r5, map2, r2", false),
        ] {
            match good {
                true => _ = with(START, line).accepted(),
                false => refused_by(&with(START, line), rule, "is public; its key, its value"),
            }
        }
        let code = "map_ld r5, map1, r2\nout out0, r5";
        refused_by(&with(START, code), Rule::PrivateOutput, "instruction 1");
    }

    #[test]
    fn private_maps_are_used_at_the_own_key() {
        let rule = Rule::ForeignMapSlot;
        for (line, good) in [
            ("map_st r5, map5, r1, r2", true),
            ("map_add r5, map5, r1, r2", true),
            ("map_ld r5, map5, r1\nout out1, r5", true),
            ("map_st r5, map7, r1, r2", true),
            ("map_st r5, map5, r3, r3", false),
            ("map_ld r5, map5, r3", false),
            ("map_has r5, map5, r2", false),
            ("map_ld r5, map7, r3", false),
            // Everybody's data may be logged, but not read back.
            ("map_push map6, r2", true),
            ("map_ld r5, map6, r1", false),
        ] {
            match good {
                true => _ = with(START, line).accepted(),
                false => refused_by(&with(START, line), rule, "is private"),
            }
        }
        let code = "map_ld r5, map5, r1\nout out0, r5";
        refused_by(&with(START, code), Rule::PrivateOutput, "map_ld r5, map5, r1");
    }

    #[test]
    fn branches_on_private_data_taint_what_they_decide() {
        let rule = Rule::PrivateOutput;
        let branch = "the branch at instruction 4";
        // Which constant is written tells of r2.
        let code = "movi r5, 0\njeqi r2, 0, +1\nmovi r5, 1\nout out0, r5";
        refused_by(&with(START, code), rule, "the branch at instruction 5");
        // Whether an output is written does, too.
        refused_by(&with(START, "jeqi r2, 0, +1\nout out0, r3"), rule, branch);
        // Behind the place where both ways meet nothing is told any more.
        with(START, "jeqi r2, 0, +1\nmovi r6, 1\nout out0, r3").accepted();
        // With an early end the ways never meet.
        let code = "jeqi r2, 0, +1\nexit decided\nout out0, r3";
        refused_by(&with(START, code), rule, branch);
        // Nested: the inner branch is public, the outer one private.
        let code = "jeqi r2, 0, end\njeqi r3, 0, end\nRMT_ST_CTXT ctxt0.0, r3\nend: movi r6, 1";
        refused_by(&with(START, code), Rule::PrivateField, branch);
        refused_by(&with(START, "jeqi r2, 0, +1\nmap_push map3, r3"), Rule::PrivateMap, branch);
    }

    #[test]
    fn private_data_does_not_decide_a_public_status() {
        let code = "jeqi r2, 0, +1\nexit abstain";
        let reason = "ends `decided` here or `abstained` at";
        refused_by(&with(START, code), Rule::PrivateStatus, reason);
        with(START, &code.replace("r2", "r3")).accepted();
        with(START, &code.replace("abstain", "decided")).accepted();
        let mut fixture = with(START, code);
        fixture.program.outputs[0].label = Label::Private;
        fixture.accepted();
        // Without any output the status is all that others see.
        fixture.program.outputs.clear();
        refused_by(&fixture, Rule::PrivateStatus, reason);
    }

    #[test]
    fn private_data_does_not_decide_on_records_that_others_look_for() {
        let code = "ld_event r1, event+8, u64\nld_event r2, event+16, u64\n\
                    ld_event r3, event+24, u32\njeqi r2, 0, +1\nRMT_MATCH_CTXT r4, ctxt0, r1\n";
        with(code, "").accepted();
        with(code, "RMT_FIND_CTXT r5, ctxt0, r1").accepted();
        with(code, "RMT_FIND_CTXT r5, ctxt1, r3").accepted();
        let fixture = with(code, "RMT_FIND_CTXT r5, ctxt0, r3");
        let reason = "instruction 5 of action `act` looks for records of any key";
        refused_by(&fixture, Rule::PrivateExistence, reason);
        let public = code.replace("jeqi r2", "jeqi r3");
        with(&public, "RMT_FIND_CTXT r5, ctxt0, r3").accepted();
    }

    #[test]
    fn labels_follow_tail_calls() {
        let call = |code: &str, next: &str| {
            let mut fixture = Fixture::new(&format!("{START}{code}\nTAIL_CALL table1"));
            fixture.set_code(1, &format!("{next}\nexit decided"));
            fixture
        };
        let (public, private) = ("mov r5, r2\nmovi r1, 1\nmov r2, r3", "movi r1, 1");
        call(public, "out out0, r2").accepted();
        refused_by(
            &call(private, "out out0, r2"),
            Rule::PrivateOutput,
            "an argument of the tail call",
        );
        // Which action or entry runs depends on the table's key.
        let keyed = "mov r1, r2\nmovi r2, 1";
        refused_by(&call(keyed, "out out0, r2"), Rule::PrivateOutput, "in the key of the table");
        call(keyed, "out out1, r2").accepted();
        // Without a default the event may miss: a status of its own.
        let mut fixture = call(keyed, "movi r3, 1");
        fixture.program.tables[1].default = None;
        refused_by(&fixture, Rule::PrivateStatus, "`missed`");
        // A tail call that private data decides on.
        let code = "jeqi r2, 0, +3\nmovi r1, 1\nmovi r2, 1\nTAIL_CALL table1\nexit decided";
        let mut fixture = Fixture::new(&format!("{START}{code}"));
        fixture.accepted();
        fixture.set_code(1, "exit abstain");
        refused_by(&fixture, Rule::PrivateStatus, "`abstained`");
        fixture.set_code(1, "map_push map3, r2\nexit decided");
        refused_by(&fixture, Rule::PrivateMap, "in the key of the table or in an argument");
    }

    #[test]
    fn a_private_key_field_taints_the_table() {
        let mut fixture = Fixture::new("movi r1, 1\nout out0, r1\nexit decided");
        fixture.accepted();
        fixture.program.tables[0].key[0].source = rmt_isa::program::KeySource::Event { offset: 16 };
        refused_by(&fixture, Rule::PrivateOutput, "in the key of the table");
    }
}
