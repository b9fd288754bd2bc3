//! Context records, history rings of scalars, and maps.
//!
//! Opening a record is a call, unless it is the one that was opened last; after that its fields
//! are loads and stores behind the record's address. A record that was not found is a record of
//! zeros to readers and another one, that nobody reads, to writers: so fields need no check.

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::I64;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Value};
use rmt_isa::Instruction;
use rmt_isa::operand::{ContextId, FieldRef, MapId, Scalar};
use std::mem::offset_of;

use super::action::ActionCompiler;
use super::operation::{RING_LENGTH, RING_NEWEST, RING_VALUES};
use super::runtime::{ContextView, Frame, Function};
use crate::state::MapStore;
use crate::state::context::FieldLayout;

impl ActionCompiler<'_, '_> {
    /// Translates instructions on records and maps; `false` for other instructions.
    pub(super) fn record_instruction(&mut self, instruction: Instruction) -> bool {
        use Instruction::*;
        match instruction {
            MatchContext { d, context, a } => self.match_record(d, context, a),
            FindContext { d, context, a } => self.find_record(d, context, a),
            LoadContext { d, field } => {
                if let Some(layout) = self.layout(field) {
                    let record = self.record_to_read(field);
                    let value = self.load(I64, record, 8 * layout.word);
                    self.set_scalar(d, value);
                }
            }
            StoreContext { field, a } => {
                if let Some(layout) = self.layout(field) {
                    let record = self.record_to_write(field);
                    let value = self.scalar(a);
                    let value = self.wrap(value, layout.kind);
                    self.store(value, record, 8 * layout.word);
                }
            }
            PushContext { field, a } => self.push(field, a),
            LoadHistory { d, field, a } => {
                let index = self.scalar(a);
                self.load_history(d, field, index);
            }
            LoadHistoryImm { d, field, imm } => {
                let index = self.constant(imm.into());
                self.load_history(d, field, index);
            }
            HistoryLength { d, field } => {
                if let Some(layout) = self.layout(field) {
                    let record = self.record_to_read(field);
                    let length = self.load(I64, record, 8 * (layout.word + RING_LENGTH));
                    self.set_scalar(d, length);
                }
            }
            MapLoad { d, map, a } => self.map(Function::MapLoad, Some(d), map, &[a]),
            MapContains { d, map, a } => self.map(Function::MapContains, Some(d), map, &[a]),
            MapStore { d, map, a, b } => self.map(Function::MapStore, Some(d), map, &[a, b]),
            MapAdd { d, map, a, b } => self.map(Function::MapAdd, Some(d), map, &[a, b]),
            MapDelete { d, map, a } => self.map(Function::MapDelete, Some(d), map, &[a]),
            MapPush { map, a } => self.map(Function::MapPush, None, map, &[a]),
            _ => return false,
        }
        true
    }

    /// Layout of a field. The verifier has seen that it is there.
    pub(super) fn layout(&self, field: FieldRef) -> Option<FieldLayout> {
        self.objects.contexts.get(field.context.index())?.field(field.field)
    }

    pub(super) fn record_to_read(&mut self, field: FieldRef) -> Value {
        self.builder.use_var(self.records[field.context.index()].read)
    }

    pub(super) fn record_to_write(&mut self, field: FieldRef) -> Value {
        self.builder.use_var(self.records[field.context.index()].write)
    }

    /// Byte offset of a [`ContextView`] in the frame.
    fn view_offset(context: ContextId) -> usize {
        offset_of!(Frame, contexts) + size_of::<ContextView>() * context.index()
    }

    /// A pointer of a [`ContextView`] that does not change while an action runs.
    fn view(&mut self, context: ContextId, offset: usize) -> Value {
        self.load_constant(I64, self.frame, Self::view_offset(context) + offset)
    }

    /// Address of the record in a slot.
    fn record(&mut self, context: ContextId, slot: Value) -> Value {
        let words = self.objects.contexts.get(context.index()).map_or(0, |s| s.record_words());
        let size = self.constant(8 * words as i64);
        let offset = self.builder.ins().imul(slot, size);
        let records = self.view(context, offset_of!(ContextView, records));
        self.builder.ins().iadd(records, offset)
    }

    fn open(&mut self, context: ContextId, read: Value, write: Value) {
        let record = self.records[context.index()];
        self.builder.def_var(record.read, read);
        self.builder.def_var(record.write, write);
    }

    /// Events come in runs of one key: the record that was matched last is tried first.
    fn match_record(&mut self, d: Scalar, context: ContextId, a: Scalar) {
        let view = Self::view_offset(context);
        let last_record = view + offset_of!(ContextView, last_record);
        let key = self.scalar(a);
        let last_key = self.load(I64, self.frame, view + offset_of!(ContextView, last_key));
        let record = self.load(I64, self.frame, last_record);
        let same = self.builder.ins().icmp(IntCC::Equal, key, last_key);
        let known = self.compare(IntCC::NotEqual, record, 0);
        let hit = self.builder.ins().band(same, known);
        let [search, join] = [(); 2].map(|()| self.builder.create_block());
        let [found, was_there] = [(); 2].map(|()| self.builder.append_block_param(join, I64));
        let one = self.constant(1);
        let hit_arguments = [record, one].map(BlockArg::Value);
        self.builder.ins().brif(hit, join, &hit_arguments, search, &[]);
        self.builder.switch_to_block(search);
        let view = self.add(self.frame, view as i64);
        let there = self.call(Function::MatchRecord, &[view, key]);
        let record = self.load(I64, self.frame, last_record);
        self.builder.ins().jump(join, &[record, there].map(BlockArg::Value));
        self.builder.switch_to_block(join);
        self.open(context, found, found);
        self.set_scalar(d, was_there);
    }

    fn find_record(&mut self, d: Scalar, context: ContextId, a: Scalar) {
        let store = self.view(context, offset_of!(ContextView, store));
        let key = self.scalar(a);
        let slot = self.call(Function::FindRecord, &[store, key]);
        let there = self.compare(IntCC::SignedGreaterThanOrEqual, slot, 0);
        let record = self.record(context, slot);
        let absent = self.view(context, offset_of!(ContextView, absent));
        let discarded = self.view(context, offset_of!(ContextView, discarded));
        let read = self.builder.ins().select(there, record, absent);
        let write = self.builder.ins().select(there, record, discarded);
        self.open(context, read, write);
        let there = self.builder.ins().uextend(I64, there);
        self.set_scalar(d, there);
    }

    /// Address of a ring's bookkeeping and the number of its words.
    pub(super) fn ring(&mut self, field: FieldRef, to_write: bool) -> Option<(Value, usize)> {
        let layout = self.layout(field)?;
        let words = RING_VALUES + layout.ring?;
        let record =
            if to_write { self.record_to_write(field) } else { self.record_to_read(field) };
        Some((self.add(record, 8 * layout.word as i64), words))
    }

    fn push(&mut self, field: FieldRef, a: Scalar) {
        let (Some(layout), Some((ring, words))) = (self.layout(field), self.ring(field, true))
        else {
            return;
        };
        let depth = (words - RING_VALUES) as i64;
        let value = self.scalar(a);
        let value = self.wrap(value, layout.kind);
        let newest = self.load(I64, ring, 8 * RING_NEWEST);
        let next = self.add(newest, 1);
        let wraps = self.compare(IntCC::UnsignedGreaterThanOrEqual, next, depth);
        let zero = self.constant(0);
        let place = self.builder.ins().select(wraps, zero, next);
        let address = self.value_address(ring, place);
        self.store(value, address, 8 * RING_VALUES);
        self.store(place, ring, 8 * RING_NEWEST);
        let length = self.load(I64, ring, 8 * RING_LENGTH);
        let longer = self.add(length, 1);
        let depth = self.constant(depth);
        let length = self.builder.ins().umin(longer, depth);
        self.store(length, ring, 8 * RING_LENGTH);
    }

    /// Address from which the value at `place` of a ring is [`RING_VALUES`] words away.
    fn value_address(&mut self, ring: Value, place: Value) -> Value {
        let three = self.constant(3);
        let offset = self.builder.ins().ishl(place, three);
        self.builder.ins().iadd(ring, offset)
    }

    fn load_history(&mut self, d: Scalar, field: FieldRef, index: Value) {
        let Some((ring, words)) = self.ring(field, false) else { return };
        let depth = (words - RING_VALUES) as i64;
        let length = self.load(I64, ring, 8 * RING_LENGTH);
        let there = self.builder.ins().icmp(IntCC::UnsignedLessThan, index, length);
        let zero = self.constant(0);
        // An index that is not there must not become an address.
        let index = self.builder.ins().select(there, index, zero);
        let newest = self.load(I64, ring, 8 * RING_NEWEST);
        let place = self.builder.ins().isub(newest, index);
        let wrapped = self.add(place, depth);
        let before_start = self.compare(IntCC::SignedLessThan, place, 0);
        let place = self.builder.ins().select(before_start, wrapped, place);
        let address = self.value_address(ring, place);
        let value = self.load(I64, address, 8 * RING_VALUES);
        let value = self.builder.ins().select(there, value, zero);
        self.set_scalar(d, value);
    }

    fn map(&mut self, function: Function, d: Option<Scalar>, map: MapId, operands: &[Scalar]) {
        let maps = self.load_constant(I64, self.frame, offset_of!(Frame, maps));
        let map = self.add(maps, (size_of::<MapStore>() * map.index()) as i64);
        let mut arguments = vec![map];
        arguments.extend(operands.iter().map(|&operand| self.scalar(operand)));
        let result = self.call(function, &arguments);
        if let Some(d) = d {
            self.set_scalar(d, result);
        }
    }
}
