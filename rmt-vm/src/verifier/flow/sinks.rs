//! Where private data must not arrive.

use rmt_isa::operand::{FieldRef, MapId, OutputIndex, Verdict};
use rmt_isa::program::{ContextField, Label, MapKind};

use super::taint::{Origin, Record, Taint};
use crate::verifier::findings::{Findings, quote};
use crate::verifier::rules::Rule;
use crate::verifier::violation::Place;

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
        let at = |index| self.findings.instruction_text(self.action, index);
        match origin {
            Origin::Load(index) => {
                let place = self.findings.instruction(self.action, index);
                let text = place.instruction.map(|i| i.text).unwrap_or_default();
                format!("private data that {} loads with `{text}`", at(index))
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
