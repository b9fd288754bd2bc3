//! What names and paths stand for: the event, records of contexts, maps, objects of models.

use rmt_isa::Instruction;
use rmt_isa::operand::{
    ContextId, Element, EventOffset, FieldRef, IntType, Lanes, MapId, OutputIndex,
};
use rmt_isa::program::MapKind;

use super::value::{Operand, RecordHandle, Type, Value, range_of};
use super::{LocalPlace, Lowerer};
use crate::declare::{Global, ModelItem};
use crate::diagnostics::{Diagnostic, suggest};
use crate::ir::{Class, R, V};
use crate::source::{Name, Span};
use crate::syntax::{Expression, ExpressionKind, element_of};

/// What an expression stands for, before its value is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entity {
    Value(Value),
    /// A lane of a vector.
    Lane(Value, Value),
    Event,
    EventField(u8, IntType),
    EventVector(u8, Element, usize),
    Out,
    Output(usize),
    /// Outputs declared as one with an index: the first of them and how many.
    OutputList(usize, usize),
    Context(usize),
    /// A field with one value.
    Field(RecordHandle, usize),
    /// A field that is a history ring.
    Ring(RecordHandle, usize),
    /// A value of a history ring.
    History(RecordHandle, usize, Value),
    Map(usize),
    MapValue(usize, Value),
    Model(usize),
    Item(ModelItem),
    /// A row of a tensor.
    Row(usize, Value),
    Table,
    Action,
    Function,
}

impl Lowerer<'_> {
    /// What `expression` stands for.
    pub(super) fn entity(&mut self, expression: &Expression) -> Entity {
        let span = expression.span;
        match &expression.kind {
            ExpressionKind::Name(name) => self.named(name, span),
            ExpressionKind::Field(base, name) => {
                let base = self.entity(base);
                self.field_of(base, name, span)
            }
            ExpressionKind::Index(base, index) => {
                let base_entity = self.entity(base);
                let index_value = self.expression(index);
                self.index_of(base_entity, (index_value, index.span), span)
            }
            ExpressionKind::Slice(base, first, last) => {
                let base = self.entity(base);
                self.slice_of(base, first, last, span)
            }
            _ => Entity::Value(self.expression(expression)),
        }
    }

    fn mistake(&mut self, diagnostic: Diagnostic) -> Entity {
        Entity::Value(self.error(diagnostic))
    }

    fn named(&mut self, name: &str, span: Span) -> Entity {
        if name == "event" {
            return Entity::Event;
        }
        if name == "out" {
            return Entity::Out;
        }
        let first = self.frames.last().map_or(0, |frame| frame.first_local);
        let mut visible = self.locals[first..].iter_mut().rev();
        if let Some(local) = visible.find(|local| local.name == name) {
            local.used = true;
            return match local.place {
                LocalPlace::Value(value) => Entity::Value(value),
                LocalPlace::Parameter(index, kind) => {
                    let load = Instruction::LoadParameter { d: R, index };
                    let register = self.compute(load, None, None, range_of(kind));
                    Entity::Value(Value::Int(kind, Operand::Register(register)))
                }
            };
        }
        match self.global(name) {
            Some(Global::Constant(value)) => Entity::Value(value),
            Some(Global::Context(index)) => Entity::Context(index),
            Some(Global::Map(index)) => Entity::Map(index),
            Some(Global::Model(index)) => Entity::Model(index),
            Some(Global::Table(_)) => Entity::Table,
            Some(Global::Action(_)) => Entity::Action,
            Some(Global::Function(_)) => Entity::Function,
            None => self.unknown(name, span),
        }
    }

    fn unknown(&mut self, name: &str, span: Span) -> Entity {
        let symbols = self.symbols;
        if symbols.event.contains_key(name) {
            let help = format!("fields of the event are written `event.{name}`");
            let message = format!("there is no `{name}` here");
            return self.mistake(Diagnostic::error(span, message, "not declared").help(help));
        }
        if symbols.outputs.contains_key(name) {
            let message = format!("there is no `{name}` here");
            let help = format!("outputs are written `out.{name}`");
            return self.mistake(Diagnostic::error(span, message, "not declared").help(help));
        }
        let locals = self.visible_locals().iter().map(|local| local.name.as_str());
        let globals = symbols.names.keys().map(String::as_str);
        let close =
            crate::diagnostics::closest(name, locals.chain(globals).chain(["event", "out"]));
        let mut diagnostic =
            Diagnostic::error(span, format!("there is no `{name}` here"), "not declared");
        diagnostic.help = close.map(|close| format!("did you mean `{close}`?"));
        self.mistake(diagnostic)
    }

    fn no_field<'n>(
        &mut self,
        name: &Name,
        what: &str,
        names: impl IntoIterator<Item = &'n str> + Clone,
    ) -> Entity {
        let mut diagnostic =
            Diagnostic::error(name.span, format!("{what} has no `{}`", name.node), "not declared");
        diagnostic.help = suggest(&name.node, names);
        self.mistake(diagnostic)
    }

    fn field_of(&mut self, base: Entity, name: &Name, span: Span) -> Entity {
        let symbols = self.symbols;
        match base {
            Entity::Value(Value::Mistake) => base,
            Entity::Event => match symbols.event.get(&name.node) {
                Some(item) => match (item.lanes, element_of(item.kind)) {
                    (Some(lanes), Some(element)) => {
                        Entity::EventVector(item.offset, element, lanes)
                    }
                    _ => Entity::EventField(item.offset, item.kind),
                },
                None => self.no_field(name, "the event", symbols.event.keys().map(String::as_str)),
            },
            Entity::Out => match symbols.outputs.get(&name.node) {
                Some(&(index, None)) => Entity::Output(index),
                Some(&(first, Some(count))) => Entity::OutputList(first, count),
                None => {
                    let names = symbols.outputs.keys().map(String::as_str);
                    self.no_field(name, "the decision", names)
                }
            },
            Entity::Value(Value::Record(handle)) => {
                let context = &symbols.program.contexts[handle.context];
                match context.fields.iter().position(|field| field.name == name.node) {
                    Some(field) if context.fields[field].ring.is_some() => {
                        Entity::Ring(handle, field)
                    }
                    Some(field) => Entity::Field(handle, field),
                    None => {
                        let what = format!("a record of `{}`", context.name);
                        self.no_field(name, &what, context.fields.iter().map(|f| f.name.as_str()))
                    }
                }
            }
            Entity::Model(model) => match &symbols.model_items[model] {
                Some(items) => match items.get(&name.node) {
                    Some(item) => Entity::Item(*item),
                    None => self.no_field(name, "the model", items.keys().map(String::as_str)),
                },
                // The file could not be read, which has been reported.
                None => Entity::Value(Value::Mistake),
            },
            Entity::Context(index) => {
                let context = &symbols.program.contexts[index].name;
                self.mistake(
                    Diagnostic::error(
                        span,
                        format!("`{context}` is a store, not a record"),
                        "no fields",
                    )
                    .help(format!(
                        "open a record first: `let record = {context}.match(event.pid);`"
                    )),
                )
            }
            _ => self.mistake(Diagnostic::error(
                name.span,
                format!("there is no `.{}` here", name.node),
                "what stands before the dot has no fields",
            )),
        }
    }

    fn index_of(&mut self, base: Entity, (index, index_span): (Value, Span), span: Span) -> Entity {
        let base = match base {
            Entity::Row(tensor, row) => Entity::Value(self.load_row(tensor, row, span)),
            other => other,
        };
        let program = &self.symbols.program;
        let (limit, what) = match base {
            Entity::Value(Value::Mistake) => return base,
            Entity::Value(Value::Vector(_, lanes, _)) | Entity::EventVector(_, _, lanes) => {
                (lanes as u64, "lanes")
            }
            Entity::OutputList(_, count) => (count as u64, "outputs"),
            Entity::Ring(handle, field) => {
                let depth = program.contexts[handle.context].fields[field].ring;
                (depth.unwrap_or(0).into(), "values")
            }
            Entity::Map(map) => match program.maps[map].kind {
                MapKind::Hash | MapKind::LruHash => (u64::MAX, "keys"),
                _ => (program.maps[map].capacity.into(), "values"),
            },
            Entity::Item(ModelItem::Tensor(tensor)) => {
                (program.tensors[tensor].shape[0].into(), "rows")
            }
            _ => {
                return self.mistake(Diagnostic::error(span, "this has no index", "not a list"));
            }
        };
        let index = match index {
            Value::Number(number) if (0..=u64::MAX.into()).contains(&number) => {
                Value::Int(IntType::U64, Operand::Constant(number))
            }
            Value::Int(..) => index,
            Value::Mistake => return Entity::Value(Value::Mistake),
            _ => {
                return self.mistake(Diagnostic::error(
                    index_span,
                    "an index must be an integer that is not negative",
                    format!("this is {}", self.describe(index.kind())),
                ));
            }
        };
        if let Some(number) = index.constant()
            && !(0..limit.into()).contains(&number)
            && limit != u64::MAX
        {
            return Entity::Value(self.value_error(Diagnostic::error(
                index_span,
                format!("there is no index {number}: there are {limit} {what}"),
                format!("the last one is {}", limit.saturating_sub(1)),
            )));
        }
        match base {
            Entity::Value(vector) => Entity::Lane(vector, index),
            Entity::EventVector(offset, element, lanes) => {
                self.event_lane(offset, element, lanes, index)
            }
            Entity::OutputList(first, _) => match index.constant() {
                Some(number) => Entity::Output(first + number as usize),
                None => self.mistake(
                    Diagnostic::error(index_span, "the index of an output must be a constant", "known only at run time")
                        .help("loops over constants are unrolled: `for i in 0..3 { out.pages[i] = ...; }`"),
                ),
            },
            Entity::Ring(handle, field) => Entity::History(handle, field, index),
            Entity::Map(map) => Entity::MapValue(map, index),
            Entity::Item(ModelItem::Tensor(tensor)) => Entity::Row(tensor, index),
            other => other,
        }
    }

    fn event_lane(&mut self, offset: u8, element: Element, lanes: usize, index: Value) -> Entity {
        let kind = crate::syntax::int_of(element);
        match index.constant() {
            Some(lane) => {
                Entity::EventField(offset + (lane as usize * element.bytes()) as u8, kind)
            }
            None => Entity::Lane(self.load_event_vector(offset, element, lanes), index),
        }
    }

    /// `event[first..=last]`.
    fn slice_of(&mut self, base: Entity, first: &Name, last: &Name, span: Span) -> Entity {
        if !matches!(base, Entity::Event) {
            return self.mistake(
                Diagnostic::error(span, "only the event has pieces", "not the event")
                    .help("write `event[first_field..=last_field]`"),
            );
        }
        let symbols = self.symbols;
        let mut ends = [None; 2];
        for (end, name) in ends.iter_mut().zip([first, last]) {
            *end = symbols.event.get(&name.node);
            if end.is_none() {
                return self.no_field(name, "the event", symbols.event.keys().map(String::as_str));
            }
        }
        let [Some(from), Some(to)] = ends else { return Entity::Value(Value::Mistake) };
        let width = from.kind.bytes();
        // Each lane is a field of the one type, or bytes that belong to no field.
        let side_by_side = (from.offset..=to.offset).step_by(width).all(|offset| {
            let lane = usize::from(offset)..usize::from(offset) + width;
            symbols.event.values().all(|item| {
                let start = usize::from(item.offset);
                let end = start + item.kind.bytes() * item.lanes.unwrap_or(1);
                let apart = end <= lane.start || lane.end <= start;
                apart || (item.kind == from.kind && (lane.start - start) % width == 0)
            })
        });
        match element_of(from.kind) {
            Some(element) if side_by_side && from.offset <= to.offset && from.kind == to.kind => {
                let lanes = usize::from(to.offset - from.offset) / width + 1;
                Entity::EventVector(from.offset, element, lanes)
            }
            _ => self.mistake(
                Diagnostic::error(
                    span,
                    "these fields do not make a vector",
                    format!("from `{}` ({}) to `{}` ({})", first.node, from.kind, last.node, to.kind),
                )
                .help("all fields from the first to the last must be `i8`, all `i16` or all `i32`; gaps read as 0"),
            ),
        }
    }

    // Values.

    pub(super) fn load_event(&mut self, offset: u8, kind: IntType) -> Value {
        let Some(place) = EventOffset::new(offset.into()) else { return Value::Mistake };
        let load = Instruction::LoadEvent { d: R, offset: place, kind };
        let register = self.compute(load, None, None, range_of(kind));
        Value::Int(kind, Operand::Register(register))
    }

    pub(super) fn load_event_vector(
        &mut self,
        offset: u8,
        element: Element,
        lanes: usize,
    ) -> Value {
        let (Some(place), Some(count)) =
            (EventOffset::new(offset.into()), Lanes::new(lanes as u16))
        else {
            return Value::Mistake;
        };
        let d = self.new_register(Class::Vector, (0, 0), self.span);
        let load = Instruction::VectorLoadEvent { d: V, lanes: count, element, offset: place };
        self.emit(load, Some(d), None, None);
        Value::Vector(element, lanes, d)
    }

    /// The field's place in instructions, if the record is still the open one.
    pub(super) fn field_ref(
        &mut self,
        handle: RecordHandle,
        field: usize,
        span: Span,
    ) -> Option<FieldRef> {
        let name = &self.symbols.program.contexts[handle.context].name;
        if self.open[handle.context] != Some(handle.generation) {
            let diagnostic = Diagnostic::error(
                span,
                format!("this record of `{name}` is no longer open"),
                format!("another record of `{name}` may have been opened before this line"),
            )
            .related(handle.span, "the record was opened here")
            .help("a store has one open record at a time: read what you need into variables first, or `match` the key again");
            self.value_error(diagnostic);
            return None;
        }
        let context = ContextId::new(handle.context as u16)?;
        Some(FieldRef { context, field: field as u8 })
    }

    pub(super) fn load_field(&mut self, handle: RecordHandle, field: usize, span: Span) -> Value {
        let Some(place) = self.field_ref(handle, field, span) else { return Value::Mistake };
        let kind = self.symbols.program.contexts[handle.context].fields[field].kind;
        let load = Instruction::LoadContext { d: R, field: place };
        let register = self.compute(load, None, None, range_of(kind));
        Value::Int(kind, Operand::Register(register))
    }

    /// Stores a value of the field's type; later reads of the field need no load.
    pub(super) fn store_field(&mut self, field: FieldRef, operand: Operand) {
        let a = self.register_of(operand);
        self.emit(Instruction::StoreContext { field, a: R }, None, Some(a), None);
        let load = Instruction::LoadContext { d: R, field };
        self.forget(|known| known == load);
        if !self.code.info(a).is_variable {
            self.remember((load.encode(), None, None), a);
        }
    }

    pub(super) fn load_history(
        &mut self,
        handle: RecordHandle,
        field: usize,
        index: Value,
        span: Span,
    ) -> Value {
        let Some(place) = self.field_ref(handle, field, span) else { return Value::Mistake };
        let Value::Int(_, index) = index else { return Value::Mistake };
        let kind = self.symbols.program.contexts[handle.context].fields[field].kind;
        let d = self.new_register(Class::Scalar, range_of(kind), span);
        match index {
            Operand::Constant(number) => {
                let load = Instruction::LoadHistoryImm { d: R, field: place, imm: number as i32 };
                self.emit(load, Some(d), None, None);
            }
            Operand::Register(register) => {
                let load = Instruction::LoadHistory { d: R, field: place, a: R };
                self.emit(load, Some(d), Some(register), None);
            }
        }
        Value::Int(kind, Operand::Register(d))
    }

    /// `record.ring as i16[8]`; `None` when `inner` is no history ring.
    pub(super) fn cast_history(
        &mut self,
        inner: &Expression,
        target: Type,
        span: Span,
    ) -> Option<Value> {
        if !matches!(inner.kind, ExpressionKind::Field(..)) {
            return None;
        }
        let Type::Vector(element, lanes) = target else { return None };
        let (handle, field) = match self.entity(inner) {
            Entity::Ring(handle, field) => (handle, field),
            other => {
                let value = self.load(other, inner.span);
                return Some(self.cast_loaded(value, target, span));
            }
        };
        let Some(place) = self.field_ref(handle, field, span) else { return Some(Value::Mistake) };
        let depth = self.symbols.program.contexts[handle.context].fields[field].ring.unwrap_or(0);
        if lanes > usize::from(depth) {
            let message = format!("the ring keeps {depth} values, not {lanes}");
            return Some(self.error(Diagnostic::error(span, message, "more lanes than values")));
        }
        let count = Lanes::new(lanes as u16)?;
        let d = self.new_register(Class::Vector, (0, 0), span);
        let load = Instruction::VectorLoadContext { d: V, lanes: count, element, field: place };
        self.emit(load, Some(d), None, None);
        Some(Value::Vector(element, lanes, d))
    }

    pub(super) fn map_id(&self, map: usize) -> MapId {
        // The number of maps was checked when they were declared.
        MapId::new(map as u16).unwrap_or(MapId::new(0).expect("map0 exists"))
    }

    pub(super) fn map_lookup(&mut self, map: usize, key: Value) -> Value {
        let Value::Int(_, key) = key else { return Value::Mistake };
        let kind = self.symbols.program.maps[map].value;
        let key = self.register_of(key);
        let d = self.new_register(Class::Scalar, range_of(kind), self.span);
        let load = Instruction::MapLoad { d: R, map: self.map_id(map), a: R };
        self.emit(load, Some(d), Some(key), None);
        Value::Int(kind, Operand::Register(d))
    }

    /// Stores into an output of the decision.
    pub(super) fn store_output(&mut self, output: usize, value: Value, span: Span) {
        let kind = self.symbols.program.outputs[output].kind;
        let Value::Int(_, operand) = self.coerce(value, Type::Int(kind), span) else { return };
        let Some(index) = OutputIndex::new(output as u16) else { return };
        let a = self.register_of(operand);
        self.emit(Instruction::Out { index, a: R }, None, Some(a), None);
    }

    /// Why `entity` has no value.
    pub(super) fn not_a_value(&mut self, entity: Entity, span: Span) -> Value {
        let (what, help) = match entity {
            Entity::Event => ("the event as a whole", "name a field: `event.pid`"),
            Entity::Out | Entity::Output(_) | Entity::OutputList(..) => {
                ("an output", "outputs are only written; keep the value in a variable")
            }
            Entity::Context(_) => {
                ("a context store", "open a record: `.match(key)` or `.find(key)`")
            }
            Entity::Ring(..) => (
                "a history ring",
                "read one value, `[0]` is the newest, or cast it to a vector, `as i16[8]`",
            ),
            Entity::Map(_) => ("a map", "name a key: `map[key]`"),
            Entity::Model(_) => ("a model", "name one of its objects: `model.weights`"),
            Entity::Item(_) => (
                "an object of a model",
                "give it to `matmul`, `requant`, `tree`, `conv2d` or a pooling",
            ),
            Entity::Table => ("a table", "go there: `goto table(...)`"),
            Entity::Action => ("an action", "actions are run by tables; share code in an `fn`"),
            _ => ("a function", "call it: `name(...)`"),
        };
        self.error(Diagnostic::error(span, format!("{what} is not a value"), "no value").help(help))
    }
}
