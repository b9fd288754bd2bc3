//! History rings as vectors.
//!
//! A ring whose values fit one machine vector is turned into lanes, and lanes into a ring, by
//! one shuffle: its order is looked up by the place of the newest value and the length. Other
//! rings are walked in memory.

use cranelift_codegen::ir::types::{I8X16, I32X4, I64, I64X2};
use cranelift_codegen::ir::{InstBuilder, Value};
use rmt_isa::operand::{Element, FieldRef, IntType, Vector};

use super::action::ActionCompiler;
use super::operation::{Operation, RING_LENGTH, RING_NEWEST, RING_VALUES};
use super::vectors::{CHUNK_BYTES, Small, chunk_count, chunk_type};
use crate::verifier::VectorType;

/// Element type of a ring of this kind and depth, if its values fit one machine vector.
fn chunk_element(kind: IntType, depth: usize) -> Option<Element> {
    let element = match kind {
        IntType::I8 => Element::I8,
        IntType::I16 => Element::I16,
        IntType::I32 => Element::I32,
        _ => return None,
    };
    let fits = depth.is_power_of_two() && depth >= 2 && depth * element.bytes() <= CHUNK_BYTES;
    fits.then_some(element)
}

/// For each place of the newest value and each length: the byte of the values that byte of
/// the lanes, the newest first, comes from; a large number gives 0. Turning lanes into values
/// is the same with the full length.
fn orders(depth: usize, width: usize) -> Vec<[u8; CHUNK_BYTES]> {
    let order = |newest: usize, length: usize| {
        std::array::from_fn(|byte| {
            let (lane, byte) = (byte / width, byte % width);
            let place = (newest + depth).checked_sub(lane).map(|place| place % depth);
            match place {
                Some(place) if lane < length => (place * width + byte) as u8,
                _ => u8::MAX,
            }
        })
    };
    (0..depth).flat_map(|newest| (0..=depth).map(move |length| order(newest, length))).collect()
}

impl ActionCompiler<'_, '_> {
    /// `RMT_VECTOR_LD_CTXT`.
    pub(super) fn load_ring(&mut self, pc: usize, d: Vector, field: FieldRef) {
        let (Some(layout), Some((ring, words))) = (self.layout(field), self.ring(field, false))
        else {
            return;
        };
        let VectorType { element, lanes } = self.type_after(pc);
        let (lanes, kind, depth) = (usize::from(lanes), layout.kind, words - RING_VALUES);
        match chunk_element(kind, depth).filter(|_| self.small_result(pc)) {
            Some(ring_element) => {
                let values = self.ring_values(ring, ring_element, depth);
                let length = self.load(I64, ring, 8 * RING_LENGTH);
                let ordered = self.reorder(values, ring, ring_element, depth, length);
                let value = Small { element: ring_element, lanes, chunks: vec![ordered] };
                let value = self.convert(&value, element);
                self.set_vector(d, &value);
            }
            None => {
                let operation = Operation::LoadRing { d: d.index(), lanes, element, kind };
                self.operate(pc, operation, &[], Some(d), None, Some((ring, words)));
            }
        }
    }

    /// `RMT_VECTOR_ST_CTXT`.
    pub(super) fn store_ring(&mut self, pc: usize, field: FieldRef, a: Vector) {
        let (Some(layout), Some((ring, words))) = (self.layout(field), self.ring(field, true))
        else {
            return;
        };
        let VectorType { element, lanes } = self.type_before(pc, a);
        let (lanes, kind, depth) = (usize::from(lanes), layout.kind, words - RING_VALUES);
        // Narrowing cuts here, and lanes that leave a part of the ring as it is are rare.
        let ring_element = chunk_element(kind, depth)
            .filter(|ring_element| lanes == depth && element.bytes() <= ring_element.bytes());
        match (ring_element, self.small(pc, a)) {
            (Some(ring_element), Some(value)) => {
                let value = self.convert(&value, ring_element);
                let length = self.constant(depth as i64);
                let values = self.reorder(value.chunks[0], ring, ring_element, depth, length);
                self.set_ring_values(values, ring, ring_element, depth);
                self.store(length, ring, 8 * RING_LENGTH);
            }
            _ => {
                let operation = Operation::StoreRing { a: a.index(), lanes, kind };
                self.operate(pc, operation, &[a], None, None, Some((ring, words)));
            }
        }
    }

    /// The values of a ring in the order of their places, packed.
    fn ring_values(&mut self, ring: Value, element: Element, depth: usize) -> Value {
        // Word by word: a load of two words would wait until a push of one of them has left
        // the processor's store buffer.
        let pairs: Vec<Value> = (0..depth / 2)
            .map(|pair| {
                let [low, high] =
                    [0, 1].map(|word| self.load(I64, ring, 8 * (RING_VALUES + 2 * pair + word)));
                let words = self.builder.ins().scalar_to_vector(I64X2, low);
                let words = self.builder.ins().insertlane(words, high, 1);
                self.bitcast(I32X4, words)
            })
            .collect();
        // Values are extended to 64 bits: their low halves say all.
        let low_halves = std::array::from_fn(|byte| (8 * (byte / 4) + byte % 4) as u8);
        let chunks = pairs
            .chunks(2)
            .map(|pair| self.shuffle(pair[0], pair[pair.len() - 1], low_halves))
            .collect();
        let wide = Small { element: Element::I32, lanes: depth, chunks };
        self.convert(&wide, element).chunks[0]
    }

    fn set_ring_values(&mut self, values: Value, ring: Value, element: Element, depth: usize) {
        let packed = Small { element, lanes: depth, chunks: vec![values] };
        let wide = self.convert(&packed, Element::I32);
        debug_assert_eq!(wide.chunks.len(), chunk_count(Element::I32, depth));
        for pair in 0..depth / 2 {
            let chunk = wide.chunks[pair / 2];
            let words = match pair % 2 {
                0 => self.builder.ins().swiden_low(chunk),
                _ => self.builder.ins().swiden_high(chunk),
            };
            self.store(words, ring, 8 * (RING_VALUES + 2 * pair));
        }
    }

    /// Values to lanes, or lanes to values, of a ring of this length.
    fn reorder(
        &mut self,
        chunk: Value,
        ring: Value,
        element: Element,
        depth: usize,
        length: Value,
    ) -> Value {
        let table = self.constants.table(&orders(depth, element.bytes()));
        let newest = self.load(I64, ring, 8 * RING_NEWEST);
        let row = self.constant(depth as i64 + 1);
        let row = self.builder.ins().imul(newest, row);
        let line = self.builder.ins().iadd(row, length);
        let shift = self.constant(CHUNK_BYTES.trailing_zeros().into());
        let offset = self.builder.ins().ishl(line, shift);
        let table = self.constant(table as i64);
        let address = self.builder.ins().iadd(table, offset);
        let order = self.load_constant(I8X16, address, 0);
        let bytes = self.bitcast(I8X16, chunk);
        let ordered = self.builder.ins().swizzle(bytes, order);
        self.bitcast(chunk_type(element), ordered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_walk_a_ring_from_its_newest_value() {
        let orders = orders(4, 4);
        // Newest at place 1, three values: places 1, 0, 3, and nothing.
        let order = orders[5 + 3];
        let places: Vec<u8> = order.iter().step_by(4).copied().collect();
        assert_eq!(places, [4, 0, 12, 255]);
        assert_eq!(order[4..8], [0, 1, 2, 3]);
    }

    #[test]
    fn wide_and_deep_rings_are_walked_in_memory() {
        assert_eq!(chunk_element(IntType::I16, 8), Some(Element::I16));
        assert_eq!(chunk_element(IntType::I32, 8), None);
        assert_eq!(chunk_element(IntType::U8, 4), None);
        assert_eq!(chunk_element(IntType::I8, 3), None);
    }
}
