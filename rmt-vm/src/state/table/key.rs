//! Keys: what a look-up reads of an event or of the arguments of a tail call.

use rmt_isa::Event;
use rmt_isa::event::EVENT_BYTES;
use rmt_isa::limits::{MAX_ARGUMENTS, MAX_KEY_FIELDS};
use rmt_isa::operand::IntType;
use rmt_isa::program::{KeyField, KeySource};

/// The key of one look-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// The fields side by side, the first one in the most significant bits.
    pub packed: u128,
    /// Each field, extended to 64 bits by its type.
    pub fields: [u64; MAX_KEY_FIELDS],
}

/// Reads the keys of one table.
#[derive(Clone, Debug)]
pub(super) struct KeyReader {
    fields: Vec<FieldReader>,
}

/// Reads one field.
#[derive(Clone, Copy, Debug)]
pub(super) struct FieldReader {
    kind: IntType,
    /// Ones where the type has bits.
    mask: u64,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the event's word of 64 bits at byte `word`, from bit `shift` on. The word lies inside
    /// the event; bytes past the event read as zero.
    Event { word: usize, shift: u32 },
    /// In an argument, which is zero when there is none of this number.
    Argument { index: Option<usize> },
}

impl KeyReader {
    pub(super) fn new(fields: &[KeyField]) -> Self {
        let reader = |field: &KeyField| FieldReader::new(field.kind, field.source);
        Self { fields: fields.iter().map(reader).collect() }
    }

    /// The only field, if there is one only.
    #[inline]
    pub(super) fn one_field(&self) -> Option<&FieldReader> {
        match &self.fields[..] {
            [field] => Some(field),
            _ => None,
        }
    }

    pub(super) fn read(&self, event: &Event, arguments: &[u64; MAX_ARGUMENTS]) -> Key {
        let mut key = Key::default();
        for (place, field) in key.fields.iter_mut().zip(&self.fields) {
            let value = field.read_unsigned(event, arguments);
            *place = field.kind.wrap(value);
            key.packed = key.packed.unbounded_shl(field.kind.bits()) | u128::from(value);
        }
        key
    }
}

impl FieldReader {
    fn new(kind: IntType, source: KeySource) -> Self {
        const LAST_WORD: usize = EVENT_BYTES - 8;
        let place = match source {
            KeySource::Event { offset } => {
                let word = usize::from(offset).min(LAST_WORD);
                Place::Event { word, shift: 8 * (usize::from(offset) - word) as u32 }
            }
            KeySource::Argument { register } => {
                let index = usize::from(register).checked_sub(1);
                Place::Argument { index: index.filter(|&index| index < MAX_ARGUMENTS) }
            }
        };
        Self { kind, mask: u64::MAX >> (64 - kind.bits()), place }
    }

    /// The field's bits, zeros above them.
    #[inline]
    pub(super) fn read_unsigned(&self, event: &Event, arguments: &[u64; MAX_ARGUMENTS]) -> u64 {
        let value = match self.place {
            Place::Event { word, shift } => {
                let word = event.bytes[word..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
                word.unbounded_shr(shift)
            }
            Place::Argument { index } => index.map_or(0, |index| arguments[index]),
        };
        value & self.mask
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_the_event_loads_them() {
        let mut event = Event::new(1, 2, 3);
        for (place, byte) in event.bytes.iter_mut().enumerate() {
            *byte = place as u8 | 0x80;
        }
        for &kind in IntType::ALL {
            for offset in 0..=EVENT_BYTES as u8 + 1 {
                let field = FieldReader::new(kind, KeySource::Event { offset });
                let expected = event.load(offset.into(), kind.bytes());
                assert_eq!(field.read_unsigned(&event, &[0; MAX_ARGUMENTS]), expected);
            }
        }
    }

    #[test]
    fn arguments_are_cut_and_extended_by_the_type() {
        let key = |register, kind| {
            let source = KeySource::Argument { register };
            KeyReader { fields: vec![FieldReader::new(kind, source)] }
                .read(&Event::new(0, 0, 0), &[1, 2, u64::MAX, 0x180])
        };
        let last = key(4, IntType::I8);
        assert_eq!((last.packed, last.fields[0]), (0x80, 0x80_u8 as i8 as u64));
        assert_eq!((key(0, IntType::U64).packed, key(5, IntType::U64).packed), (0, 0));
    }
}
