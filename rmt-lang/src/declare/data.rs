//! Hook, decision, contexts, maps and models.

use std::collections::BTreeMap;

use rmt_isa::event::{EVENT_BYTES, event_layout};
use rmt_isa::limits::{
    MAX_CAPACITY, MAX_CONTEXT_FIELDS, MAX_CONTEXTS, MAX_OBJECTS, MAX_OUTPUTS, MAX_RING_DEPTH, WAYS,
};
use rmt_isa::operand::{IntType, WindowId};
use rmt_isa::program::{Context, ContextField, EventField, Hook, Map, MapKind, Output};

use super::{EventItem, ModelItem, Symbols};
use crate::FileLoader;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::lower::{constant_in, value::fits};
use crate::model;
use crate::source::{Name, Span};
use crate::syntax::{Expression, Field, TypeName, element_of};

/// Largest model file.
const MAX_MODEL_BYTES: usize = 64 << 20;

/// Reports a second use of a name among the fields of one thing.
fn check_unique(fields: &[Field], diagnostics: &mut Diagnostics) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for Field { name, .. } in fields {
        if let Some(first) = seen.get(name.node.as_str()) {
            let message = format!("there are two fields `{}`", name.node);
            diagnostics.push(
                Diagnostic::error(name.span, message, "the second one")
                    .related(*first, "the first one"),
            );
        } else {
            seen.insert(&name.node, name.span);
        }
    }
}

/// Reports a modifier that has no meaning where the field stands.
fn refuse(wrong: bool, word: &str, field: &Field, place: &str, diagnostics: &mut Diagnostics) {
    if wrong {
        let message = format!("`{word}` has no meaning for {place}");
        diagnostics.push(Diagnostic::error(field.name.span, message, "on this field"));
    }
}

fn too_many(count: usize, limit: usize, name: &Name, what: &str, diagnostics: &mut Diagnostics) {
    if count > limit {
        let message = format!("there are {count} {what}, at most {limit} are possible");
        diagnostics.push(Diagnostic::error(name.span, message, "too many"));
    }
}

/// The integer type of a field, without lanes.
fn plain_integer(field: &Field, diagnostics: &mut Diagnostics) -> Option<IntType> {
    match field.kind.node {
        TypeName::Int(kind) => Some(kind),
        _ => {
            diagnostics.push(
                Diagnostic::error(
                    field.kind.span,
                    "this field must be an integer",
                    "not an integer",
                )
                .help("integers are `u8` to `u64` and `i8` to `i64`"),
            );
            None
        }
    }
}

impl Symbols<'_> {
    fn number(
        &self,
        value: &Expression,
        range: (i128, i128),
        what: &str,
        diagnostics: &mut Diagnostics,
    ) -> Option<i128> {
        constant_in(self, diagnostics, value, range, what)
    }

    pub(super) fn hook(&mut self, text_span: Span, diagnostics: &mut Diagnostics) {
        let Some(hook) = &self.file.hook else {
            diagnostics.push(
                Diagnostic::error(text_span, "the program serves no hook", "a hook is missing")
                    .help("declare it: `hook name = 1 { key pid: u64; ... }`"),
            );
            return;
        };
        let range = (0, u16::MAX.into());
        let number = self.number(&hook.number, range, "the number of a hook", diagnostics);
        check_unique(&hook.fields, diagnostics);
        self.program.hook = Hook {
            name: hook.name.node.clone(),
            number: number.unwrap_or(0) as u16,
            fields: vec![],
        };
        // Which field each byte of the event belongs to.
        let mut owners: Vec<Option<Span>> = vec![None; EVENT_BYTES];
        let mut next = event_layout::ARGUMENTS.offset;
        for field in &hook.fields {
            let (kind, lanes) = match &field.kind.node {
                TypeName::Array(kind, count) => {
                    if element_of(*kind).is_none() {
                        diagnostics.push(
                            Diagnostic::error(
                                field.kind.span,
                                "these are no lanes",
                                format!("`{kind}`"),
                            )
                            .help("fields with lanes are `i8`, `i16` or `i32`"),
                        );
                        continue;
                    }
                    let range = (1, EVENT_BYTES as i128);
                    let Some(lanes) = self.number(count, range, "the number of lanes", diagnostics)
                    else {
                        continue;
                    };
                    (*kind, Some(lanes as usize))
                }
                _ => match plain_integer(field, diagnostics) {
                    Some(kind) => (kind, None),
                    None => continue,
                },
            };
            refuse(field.is_ring, "ring", field, "a field of the event", diagnostics);
            refuse(field.is_read_only, "readonly", field, "a field of the event", diagnostics);
            let Some(offset) = self.event_offset(field, kind, next, diagnostics) else { continue };
            let bytes = kind.bytes() * lanes.unwrap_or(1);
            if !claim(&mut owners, field, offset, bytes, diagnostics) {
                continue;
            }
            if !field.is_key {
                next = offset + bytes;
            }
            self.add_event_field(field, kind, lanes, offset);
        }
    }

    /// First byte of a field: where it is told to be, or the next place that is aligned.
    fn event_offset(
        &self,
        field: &Field,
        kind: IntType,
        next: usize,
        diagnostics: &mut Diagnostics,
    ) -> Option<usize> {
        let width = kind.bytes();
        if field.is_key {
            refuse(
                field.offset.is_some(),
                "@",
                field,
                "the key, which has its own place",
                diagnostics,
            );
            return Some(event_layout::KEY.offset);
        }
        let Some(place) = &field.offset else { return Some(next.next_multiple_of(width)) };
        let range = (event_layout::ARGUMENTS.offset as i128, EVENT_BYTES as i128 - 1);
        let offset = self.number(place, range, "the first byte of a field", diagnostics)? as usize;
        if !offset.is_multiple_of(width) {
            let message = format!("byte {offset} is no place for `{kind}`");
            let reason = format!("it must be a multiple of {width}");
            diagnostics.push(Diagnostic::error(place.span, message, reason));
            return None;
        }
        Some(offset)
    }

    fn add_event_field(
        &mut self,
        field: &Field,
        kind: IntType,
        lanes: Option<usize>,
        offset: usize,
    ) {
        let name = &field.name.node;
        self.event.insert(name.clone(), EventItem { offset: offset as u8, kind, lanes });
        for lane in 0..lanes.unwrap_or(1) {
            self.program.hook.fields.push(EventField {
                name: if lanes.is_some() { format!("{name}[{lane}]") } else { name.clone() },
                kind,
                offset: (offset + lane * kind.bytes()) as u8,
                label: field.label,
            });
        }
    }

    pub(super) fn outputs(&mut self, diagnostics: &mut Diagnostics) {
        let outputs = &self.file.outputs;
        check_unique(outputs, diagnostics);
        for field in outputs {
            for (wrong, word) in [
                (field.is_ring, "ring"),
                (field.is_read_only, "readonly"),
                (field.is_key, "key"),
                (field.offset.is_some(), "@"),
            ] {
                refuse(wrong, word, field, "an output", diagnostics);
            }
            let (kind, count) = match &field.kind.node {
                TypeName::Array(kind, count) => {
                    let range = (1, MAX_OUTPUTS as i128);
                    let Some(count) =
                        self.number(count, range, "the number of outputs", diagnostics)
                    else {
                        continue;
                    };
                    (*kind, Some(count as usize))
                }
                _ => match plain_integer(field, diagnostics) {
                    Some(kind) => (kind, None),
                    None => continue,
                },
            };
            let name = &field.name.node;
            self.outputs.insert(name.clone(), (self.program.outputs.len(), count));
            for index in 0..count.unwrap_or(1) {
                let name = if count.is_some() { format!("{name}[{index}]") } else { name.clone() };
                self.program.outputs.push(Output { name, kind, label: field.label });
            }
        }
        if let Some(last) = outputs.last() {
            too_many(self.program.outputs.len(), MAX_OUTPUTS, &last.name, "outputs", diagnostics);
        }
    }

    pub(super) fn contexts(&mut self, diagnostics: &mut Diagnostics) {
        for declared in &self.file.contexts {
            let name = &declared.name;
            let (low, high) = (WAYS as i128, MAX_CAPACITY as i128);
            let capacity =
                self.number(&declared.capacity, (low, high), "the number of records", diagnostics);
            power_of_two(capacity, &declared.capacity, diagnostics);
            too_many(declared.fields.len(), MAX_CONTEXT_FIELDS, name, "fields", diagnostics);
            check_unique(&declared.fields, diagnostics);
            let mut fields = Vec::new();
            for field in &declared.fields {
                // A place for each declared field, so that one mistake is one message.
                fields.push(self.context_field(field, diagnostics).unwrap_or(ContextField {
                    name: field.name.node.clone(),
                    kind: IntType::U64,
                    ring: field.is_ring.then_some(1),
                    writable: true,
                    label: field.label,
                }));
            }
            let capacity = capacity.unwrap_or(low) as u32;
            self.program.contexts.push(Context { name: name.node.clone(), capacity, fields });
        }
        if let Some(last) = self.file.contexts.last() {
            too_many(self.file.contexts.len(), MAX_CONTEXTS, &last.name, "contexts", diagnostics);
        }
    }

    fn context_field(&self, field: &Field, diagnostics: &mut Diagnostics) -> Option<ContextField> {
        refuse(field.is_key, "key", field, "a field of a record", diagnostics);
        refuse(field.offset.is_some(), "@", field, "a field of a record", diagnostics);
        let (kind, ring) = match (&field.kind.node, field.is_ring) {
            (TypeName::Array(kind, depth), true) => {
                let range = (1, MAX_RING_DEPTH as i128);
                let depth = self.number(depth, range, "the depth of a ring", diagnostics)?;
                (*kind, Some(depth as u16))
            }
            (TypeName::Array(..), false) => {
                diagnostics.push(
                    Diagnostic::error(field.kind.span, "a record has no arrays", "several values")
                        .help("a history of values is written `ring name: i32[8];`"),
                );
                return None;
            }
            (_, true) => {
                diagnostics.push(
                    Diagnostic::error(field.kind.span, "a ring needs a depth", "how many values?")
                        .help("write `ring name: i32[8];`"),
                );
                return None;
            }
            (_, false) => (plain_integer(field, diagnostics)?, None),
        };
        Some(ContextField {
            name: field.name.node.clone(),
            kind,
            ring,
            writable: !field.is_read_only,
            label: field.label,
        })
    }

    pub(super) fn maps(&mut self, diagnostics: &mut Diagnostics) {
        for declared in &self.file.maps {
            let is_hash = matches!(declared.kind, MapKind::Hash | MapKind::LruHash);
            let low = if is_hash { WAYS as i128 } else { 1 };
            let range = (low, MAX_CAPACITY as i128);
            let capacity =
                self.number(&declared.capacity, range, "the number of values", diagnostics);
            if is_hash {
                power_of_two(capacity, &declared.capacity, diagnostics);
            }
            self.program.maps.push(Map {
                name: declared.name.node.clone(),
                kind: declared.kind,
                capacity: capacity.unwrap_or(low) as u32,
                value: declared.value,
                label: declared.label,
            });
        }
        if let Some(last) = self.file.maps.last() {
            too_many(self.file.maps.len(), MAX_OBJECTS, &last.name, "maps", diagnostics);
        }
    }

    pub(super) fn models(&mut self, loader: &dyn FileLoader, diagnostics: &mut Diagnostics) {
        for (index, declared) in self.file.models.iter().enumerate() {
            self.program.models.push(declared.name.node.clone());
            let path = &declared.path;
            let read = loader
                .load(&path.node)
                .and_then(|text| match text.len() {
                    0..=MAX_MODEL_BYTES => Ok(text),
                    bytes => Err(format!("it has {bytes} bytes, more than {MAX_MODEL_BYTES}")),
                })
                .and_then(|text| model::parse(&text, index as u16));
            let items = match read {
                Ok(objects) => Some(self.add_objects(objects)),
                Err(reason) => {
                    let message = format!("the model file `{}` cannot be used", path.node);
                    diagnostics.push(
                        Diagnostic::error(path.span, message, reason)
                            .help("the format of model files is described in docs/language.md"),
                    );
                    None
                }
            };
            self.model_items.push(items);
        }
        let Some(last) = self.file.models.last() else { return };
        let program = &self.program;
        for (count, limit, what) in [
            (program.models.len(), MAX_OBJECTS, "models"),
            (program.tensors.len(), MAX_OBJECTS, "tensors"),
            (program.scales.len(), MAX_OBJECTS, "scales"),
            (program.windows.len(), usize::from(WindowId::MAX) + 1, "windows"),
            (program.forests.len(), MAX_OBJECTS, "forests"),
        ] {
            too_many(count, limit, &last.name, what, diagnostics);
        }
    }

    fn add_objects(&mut self, objects: model::ModelObjects) -> BTreeMap<String, ModelItem> {
        let mut items = BTreeMap::new();
        for tensor in objects.tensors {
            items.insert(tensor.name.clone(), ModelItem::Tensor(self.program.tensors.len()));
            self.program.tensors.push(tensor);
        }
        for scale in objects.scales {
            items.insert(scale.name.clone(), ModelItem::Scale(self.program.scales.len()));
            self.program.scales.push(scale);
        }
        for window in objects.windows {
            items.insert(window.name.clone(), ModelItem::Window(self.program.windows.len()));
            self.program.windows.push(window);
        }
        for forest in objects.forests {
            items.insert(forest.name.clone(), ModelItem::Forest(self.program.forests.len()));
            self.program.forests.push(forest);
        }
        items
    }
}

/// Claims the bytes of a field; false when they are taken or not there.
fn claim(
    owners: &mut [Option<Span>],
    field: &Field,
    offset: usize,
    bytes: usize,
    diagnostics: &mut Diagnostics,
) -> bool {
    let name = &field.name;
    let end = if field.is_key { event_layout::ARGUMENTS.offset } else { EVENT_BYTES };
    if offset + bytes > end {
        let message = format!("`{}` does not fit the event", name.node);
        let reason = format!("it would take bytes {offset} to {}", offset + bytes - 1);
        let first = event_layout::ARGUMENTS.offset;
        diagnostics.push(Diagnostic::error(name.span, message, reason).help(format!(
            "arguments have bytes {first} to {}: use narrower types, or put wide fields first",
            end - 1
        )));
        return false;
    }
    let taken = owners[offset..offset + bytes].iter().flatten().next().copied();
    if let Some(other) = taken {
        let message = format!("`{}` overlaps another field", name.node);
        let reason = format!("bytes {offset} to {}", offset + bytes - 1);
        diagnostics.push(Diagnostic::error(name.span, message, reason).related(other, "this one"));
        return false;
    }
    owners[offset..offset + bytes].fill(Some(name.span));
    true
}

fn power_of_two(capacity: Option<i128>, written: &Expression, diagnostics: &mut Diagnostics) {
    let Some(capacity) = capacity else { return };
    if capacity.count_ones() != 1 {
        let close = (capacity as u32).next_power_of_two();
        diagnostics.push(
            Diagnostic::error(
                written.span,
                "the capacity must be a power of two",
                format!("this is {capacity}"),
            )
            .help(format!("write {close}")),
        );
    }
}

/// `value` as the 64 bits of a register, if it is a value of `kind`.
pub(super) fn bits_of(value: i128, kind: IntType) -> Option<u64> {
    fits(value, kind).then_some(value as u64)
}
