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

/// A request with all that its map's descriptor tells.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Access {
    /// The request
    pub request: MapRequest,
    /// The map has keys in sets
    pub hashed: Bool,
    /// A new key takes the place of the least recently used one of a full set
    pub evicts: Bool,
    /// A sample is counted: the bucket is known in the next cycle only
    pub counts: Bool,
    /// Maps without sets: the key is there
    pub inside: Bool,
    /// Maps without sets: the value's place in the map
    pub place: UInt,
    /// Ring buffers: where the next value goes
    pub next_place: UInt,
    /// Last place of the map
    pub last_place: UInt,
    /// Set of the key, in the card's memories
    pub set: UInt,
    /// First row of the map's values
    pub first_row: UInt,
    /// Row of the value
    pub row: UInt,
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
            inside: boolean(),
            place: uint(PLACE_BITS),
            next_place: uint(PLACE_BITS),
            last_place: uint(PLACE_BITS),
            set: uint(widths.map_set),
            first_row: uint(widths.map_row),
            row: uint(widths.map_row),
            kind: uint(3),
        }
    }
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

    /// Row of a place in a map.
    pub(crate) fn row(&self, access: &Access, place: UInt) -> UInt {
        let row = place.bits(2..PLACE_BITS).resize(self.widths.map_row);
        access.first_row.wrapping_add(row)
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
        let bucket = UInt::lit(64, 7).wrapping_sub(leading_zeros(key)).zext(PLACE_BITS);
        // The newest value of a ring stands before the next place; a place before the first
        // one is counted from the end.
        let (pushed, next_place) = (self.pushed.read(number), self.next_places.read(number));
        let age = key.trunc(PLACE_BITS);
        let start =
            mux(next_place.gt(age), UInt::lit((1 << PLACE_BITS) - 1, PLACE_BITS), last_place);
        let ring_place = next_place.wrapping_add(start).wrapping_sub(age);
        let place = priority_mux(&[(counts, bucket.min(last_place)), (ring, ring_place)], age);

        let mask = last_place.bits(2..PLACE_BITS).resize(widths.map_set);
        let local_set = hash.trunc(widths.map_set) & mask;
        let first_row = field(descriptor, map_descriptor::FIRST_ROW).trunc(widths.map_row);
        let first_set = field(descriptor, map_descriptor::FIRST_SET).trunc(widths.map_set);
        let access = Access {
            request,
            hashed,
            evicts: kind_is(MapKind::LruHash),
            counts,
            inside: counts | (in_map & (!ring | key.lt(pushed))),
            place,
            next_place,
            last_place,
            set: first_set.wrapping_add(local_set),
            first_row,
            row: first_row.wrapping_add(mux(
                hashed,
                local_set.resize(widths.map_row),
                // A bucket's row is found in the next cycle.
                mux(ring, ring_place, age).bits(2..PLACE_BITS).resize(widths.map_row),
            )),
            kind: field(descriptor, map_descriptor::VALUE),
        };
        let absent = request.map.ge(self.maps) | !flag(descriptor, map_descriptor::PRESENT);
        let wrong = (one_of(&[Store, Add]) & ring)
            | (Delete.is(request.function) & !hashed)
            | (Push.is(request.function) & !ring);
        (access, absent | wrong)
    }

    /// The state of ring buffers: a value was pushed when `pushes`, else it is the host's
    /// turn. The result is the word that the host reads.
    pub(crate) fn rings(&self, pushes: Bool, access: &Access, turn: HostTurn) -> UInt {
        let own = access.request.map.trunc(self.widths.map);
        let (host_map, odd) = (turn.address.bits(1..self.widths.map + 1), turn.address.bit(0));
        let number = mux(pushes, own, host_map);
        let wraps = access.next_place.eq(access.last_place);
        let next = mux(wraps, UInt::lit(0, PLACE_BITS), access.next_place.wrapping_add(1));
        let pushed = self.pushed.read(number);
        self.pushed.write(
            pushes | (turn.writes & !odd),
            number,
            mux(pushes, pushed.wrapping_add(1), turn.value),
        );
        self.next_places.write(
            pushes | (turn.writes & odd),
            number,
            mux(pushes, next, turn.value.trunc(PLACE_BITS)),
        );
        mux(odd, self.next_places.read(number).zext(64), pushed)
    }
}
