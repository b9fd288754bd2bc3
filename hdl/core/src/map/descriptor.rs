//! What maps are, and where the value of a key stands.

use rmt_isa::card::CardShape;
use rmt_isa::card::fields::map_descriptor;
use rmt_isa::card::regions::MAPS;
use rmt_isa::program::MapKind;
use rtl_builder::prelude::*;

use super::MapRequest;
use crate::bits::{any, field, flag, leading_zeros};
use crate::config::Widths;
use crate::control::decode::MapFunction;
use crate::memory::HostTurn;
use crate::signals::HostAccess;

/// Bits of a place in a map.
pub(super) const PLACE_BITS: u32 = map_descriptor::LAST_PLACE.bits;
/// Bits of the number of a bucket.
const BUCKET_BITS: u32 = 7;

/// A request with all that its map's descriptor tells.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Access {
    /// The request
    pub request: MapRequest,
    /// The map has keys in sets
    pub hashed: Bool,
    /// A new key takes the place of the least recently used one of a full set
    pub evicts: Bool,
    /// A sample is counted
    pub counts: Bool,
    /// The map is a ring buffer
    pub ring: Bool,
    /// The key is a place of the map
    pub in_map: Bool,
    /// Ring buffers: at least as many values were pushed as the key says
    pub younger: Bool,
    /// Ring buffers: the last place when the value is counted from the end, since it does not stand before the next one, else
    /// minus 1
    pub start: UInt,
    /// Ring buffers: the next place, less the value's age
    pub back: UInt,
    /// The bucket of a sample, in a map that has all
    pub bucket: UInt,
    /// Ring buffers: where the next value goes
    pub next_place: UInt,
    /// Last place of the map
    pub last_place: UInt,
    /// Set of the key, counted from the map's first
    pub local_set: UInt,
    /// First set of the map, in the card's memories
    pub first_set: UInt,
    /// First row of the map's values
    pub first_row: UInt,
    /// Integer type of a value
    pub kind: UInt,
}

impl Access {
    pub(crate) fn shape(widths: &Widths) -> Self {
        Self {
            request: MapRequest::shape(widths),
            hashed: boolean(),
            evicts: boolean(),
            counts: boolean(),
            ring: boolean(),
            in_map: boolean(),
            younger: boolean(),
            start: uint(PLACE_BITS),
            back: uint(PLACE_BITS),
            bucket: uint(BUCKET_BITS),
            next_place: uint(PLACE_BITS),
            last_place: uint(PLACE_BITS),
            local_set: uint(widths.map_set),
            first_set: uint(widths.map_set),
            first_row: uint(widths.map_row),
            kind: uint(3),
        }
    }

    /// Where the key's set and value stand; combinational.
    pub(crate) fn located(&self, widths: &Widths) -> Located {
        // The newest value of a ring stands before the next place; a place before the first
        // one is counted from the end.
        let ring_place = self.back.wrapping_add(self.start);
        let bucket = self.bucket.zext(PLACE_BITS).min(self.last_place);
        let place = priority_mux(
            &[(self.counts, bucket), (self.ring, ring_place)],
            self.request.key.trunc(PLACE_BITS),
        );
        let local_row =
            mux(self.hashed, self.local_set.resize(widths.map_row), row_of(widths, place));
        Located {
            inside: self.counts | (self.in_map & (!self.ring | self.younger)),
            way: place.bits(0..2),
            set: self.first_set.wrapping_add(self.local_set),
            row: self.first_row.wrapping_add(local_row),
        }
    }

    /// Row and way of the next value of a ring buffer.
    pub(crate) fn next(&self, widths: &Widths) -> (UInt, UInt) {
        let row = self.first_row.wrapping_add(row_of(widths, self.next_place));
        (row, self.next_place.bits(0..2))
    }
}

/// Where a key's set and value stand.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Located {
    /// Maps without sets: the key is there
    pub inside: Bool,
    /// Maps without sets: the value's place in its row
    pub way: UInt,
    /// Set of the key, in the card's memories
    pub set: UInt,
    /// Row of the value
    pub row: UInt,
}

/// Row of a place, counted from the map's first.
fn row_of(widths: &Widths, place: UInt) -> UInt {
    place.bits(2..PLACE_BITS).resize(widths.map_row)
}

/// Descriptors of maps, and the state of ring buffers.
pub struct Descriptors {
    maps: u32,
    widths: Widths,
    descriptors: AsyncMem<UInt>,
    pushed: AsyncMem<UInt>,
    next_places: AsyncMem<UInt>,
}

impl Descriptors {
    pub(crate) fn new(shape: &CardShape, host: &HostAccess) -> Self {
        let (maps, widths) = (shape.maps, Widths::of(shape));
        let descriptors: AsyncMem<UInt> = AsyncMem::new("descriptors", uint(64), maps.into());
        let writes = host.write & host.in_region_before(MAPS, maps);
        descriptors.write(writes, host.index(0, widths.map), host.data);
        Self {
            maps,
            widths,
            descriptors,
            pushed: AsyncMem::new("pushed", uint(64), maps.into()),
            next_places: AsyncMem::new("next_places", uint(PLACE_BITS), maps.into()),
        }
    }

    /// What a request leads to, and whether it breaks a rule; combinational. `hash` is that
    /// of the key.
    pub(crate) fn resolve(&self, request: MapRequest, hash: UInt) -> (Access, Bool) {
        use MapFunction::*;
        let widths = &self.widths;
        let number = request.map.trunc(widths.map);
        let descriptor = self.descriptors.read(number);
        let kind = field(descriptor, map_descriptor::KIND);
        let kind_is = |wanted: MapKind| kind.eq(wanted as u64);
        let one_of = |wanted: &[MapFunction]| {
            any(&wanted.iter().map(|wanted| wanted.is(request.function)).collect::<Vec<_>>())
        };
        let ring = kind_is(MapKind::RingBuffer);
        let hashed = kind_is(MapKind::Hash) | kind_is(MapKind::LruHash);
        let counts = kind_is(MapKind::Histogram) & Add.is(request.function);
        let last_place = field(descriptor, map_descriptor::LAST_PLACE);
        let key = request.key;
        let in_map = key.bits(PLACE_BITS..64).is_zero() & key.trunc(PLACE_BITS).le(last_place);

        // The bucket of a sample: one more than the position of its highest one bit.
        let bucket = UInt::lit(64, BUCKET_BITS).wrapping_sub(leading_zeros(key));
        let (pushed, next_place) = (self.pushed.read(number), self.next_places.read(number));
        let age = key.trunc(PLACE_BITS);
        let mask = last_place.bits(2..PLACE_BITS).resize(widths.map_set);
        let access = Access {
            request,
            hashed,
            evicts: kind_is(MapKind::LruHash),
            counts,
            ring,
            in_map,
            younger: key.lt(pushed),
            start: mux(
                next_place.gt(age),
                UInt::lit((1 << PLACE_BITS) - 1, PLACE_BITS),
                last_place,
            ),
            back: next_place.wrapping_sub(age),
            bucket,
            next_place,
            last_place,
            local_set: hash.trunc(widths.map_set) & mask,
            first_set: field(descriptor, map_descriptor::FIRST_SET).trunc(widths.map_set),
            first_row: field(descriptor, map_descriptor::FIRST_ROW).trunc(widths.map_row),
            kind: field(descriptor, map_descriptor::VALUE),
        };
        let absent = request.map.ge(self.maps) | !flag(descriptor, map_descriptor::PRESENT);
        let wrong = (one_of(&[Store, Add]) & ring)
            | (Delete.is(request.function) & !hashed)
            | (Push.is(request.function) & !ring);
        (access, absent | wrong)
    }

    /// The state of ring buffers: a value is pushed when `pushes`, which is in the unit's `own_turn`; else it is the host's
    /// turn. The result is the word that the host reads.
    pub(crate) fn rings(
        &self,
        own_turn: Bool,
        pushes: Bool,
        access: &Access,
        turn: HostTurn,
    ) -> UInt {
        let own = access.request.map.trunc(self.widths.map);
        let (host_map, odd) = (turn.address.bits(1..self.widths.map + 1), turn.address.bit(0));
        let number = mux(own_turn, own, host_map);
        let wraps = access.next_place.eq(access.last_place);
        let next = mux(wraps, UInt::lit(0, PLACE_BITS), access.next_place.wrapping_add(1));
        let pushed = self.pushed.read(number);
        self.pushed.write(
            pushes | (turn.writes & !odd),
            number,
            mux(own_turn, pushed.wrapping_add(1), turn.value),
        );
        self.next_places.write(
            pushes | (turn.writes & odd),
            number,
            mux(own_turn, next, turn.value.trunc(PLACE_BITS)),
        );
        mux(odd, self.next_places.read(number).zext(64), pushed)
    }
}
