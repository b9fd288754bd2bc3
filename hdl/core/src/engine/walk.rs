//! The walker: goes with a window over its input, and says which lanes are under it.
//!
//! A vector is a stack of rows of the input, a row a run of columns, a column a run of channels. So
//! the lanes under one row of a window stand side by side: a segment. For a convolution the walker
//! steps through segments of N lanes, each of which meets a tile of weights; for pooling through the
//! columns of the window, up to N channels at a time. All products of sizes come from the
//! descriptor: there is no multiplier here.
//!
//! ```text
//! for each chunk of places             convolution: as many as there are partial sums; pooling: one
//!   for each word of outputs           convolution: N outputs; pooling: N channels
//!     for each row of the window
//!       for each segment               convolution: N lanes; pooling: a column
//!         for each place of the chunk  a step
//! ```

use super::geometry::Geometry;
use super::operation::word_bits;
use super::weights::TILE_BITS;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Bits of the distance of a segment from the begin of its row, signed: padding and window together are
/// at most 256 columns of 256 channels to either side.
pub const COLUMN_BITS: u32 = 19;
/// Bits of a row number, signed.
const ROW_BITS: u32 = 12;
/// Bits of an offset in the row of a window.
const OFFSET_BITS: u32 = 18;

/// A place of the window.
#[derive(Clone, Copy, Debug, Bundle)]
struct Place {
    /// Number in the output
    number: UInt,
    /// Column of the output
    x: UInt,
    /// Lanes from the begin of the input's row to the left edge of the window
    column: SInt,
    /// Row of the input under the upper edge of the window
    row: SInt,
    /// Lane at which this row begins, modulo 256
    row_lane: UInt,
    /// First lane of the result
    destination: UInt,
}

impl Place {
    fn shape() -> Self {
        Self {
            number: uint(8),
            x: uint(8),
            column: sint(COLUMN_BITS),
            row: sint(ROW_BITS),
            row_lane: uint(8),
            destination: uint(8),
        }
    }

    fn first(g: &Geometry) -> Self {
        let minus = |bits: u32, value: UInt| (-value.zext(bits).as_sint()).trunc(bits);
        Self {
            column: minus(COLUMN_BITS, g.pad_lanes),
            row: minus(ROW_BITS, g.pad_rows),
            row_lane: UInt::lit(0, 8).wrapping_sub(g.pad_row_lanes),
            ..zero(&Self::shape())
        }
    }

    /// The next place; `results` lanes of the result are one place's.
    fn next(&self, g: &Geometry, results: UInt) -> Self {
        let row_ends = self.x.eq(g.out_width);
        let first = Self::first(g);
        let right = self.column.wrapping_add(g.stride_lanes.zext(COLUMN_BITS).as_sint());
        let below = self.row.wrapping_add(g.stride_rows.zext(ROW_BITS).as_sint());
        Self {
            number: self.number.wrapping_add(1),
            x: mux(row_ends, UInt::lit(0, 8), self.x.wrapping_add(1)),
            column: mux(row_ends, first.column, right),
            row: mux(row_ends, below, self.row),
            row_lane: mux(row_ends, self.row_lane.wrapping_add(g.stride_row_lanes), self.row_lane),
            destination: self.destination.wrapping_add(results.trunc(8)),
        }
    }
}

/// Lanes under a window, and what becomes of them.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Segment {
    /// Lane of the vector at which it begins, modulo 256
    pub start: UInt,
    /// Lanes from the begin of the input's row to it, or for pooling to its column
    pub column: SInt,
    /// The row is one of the input
    pub row_inside: Bool,
    /// First segment of its result
    pub first: Bool,
    /// Last segment of its result
    pub ends: Bool,
    /// Place in the chunk
    pub place: UInt,
    /// Word of outputs
    pub output: UInt,
    /// First lane of the result
    pub destination: UInt,
    /// Lanes of the result, less 1
    pub last_lane: UInt,
    /// Last result of the vector
    pub last: Bool,
}

impl Segment {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            start: uint(8),
            column: sint(COLUMN_BITS),
            row_inside: boolean(),
            first: boolean(),
            ends: boolean(),
            place: uint(bits_for(shape.partial_sums().into())),
            output: uint(word_bits(shape)),
            destination: uint(8),
            last_lane: uint(shape.array.trailing_zeros()),
            last: boolean(),
        }
    }
}

/// Goes over the input of one operation.
#[derive(Clone, Debug)]
pub struct Walker {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`Walker`].
#[derive(Clone, Ports)]
pub struct WalkerIo {
    /// The next operation: all of `geometry`, `pools`, `tile` and `outputs` stay until its end
    pub begin: Input<Bool>,
    /// Its window
    pub geometry: Input<Geometry>,
    /// It is a pooling, not a convolution
    pub pools: Input<Bool>,
    /// Convolution: its first tile
    pub first_tile: Input<UInt>,
    /// Convolution: its outputs, less 1
    pub last_output: Input<UInt>,
    /// The step happens: the next one follows
    pub fires: Input<Bool>,
    /// Lanes of this step
    pub segment: Output<Segment>,
    /// Tile of this step
    pub tile: Output<UInt>,
    /// There is no step behind this one
    pub last_step: Output<Bool>,
}

impl Component for Walker {
    type Io = WalkerIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("window_walker_n{}_l{}_p{}", s.array, s.vector_lanes, s.partial_sums())
    }

    fn doc(&self) -> String {
        "Generates the addresses of the lanes under a window.".into()
    }

    fn io(&self) -> WalkerIo {
        let shape = &self.shape;
        WalkerIo {
            begin: input(boolean()),
            geometry: input(Geometry::shape()),
            pools: input(boolean()),
            first_tile: input(uint(TILE_BITS)),
            last_output: input(uint(8)),
            fires: input(boolean()),
            segment: output(Segment::shape(shape)),
            tile: output(uint(TILE_BITS)),
            last_step: output(boolean()),
        }
    }

    fn build(&self, io: WalkerIo) {
        let shape = &self.shape;
        let (n, lane_bits, word_bits) =
            (shape.array, shape.array.trailing_zeros(), word_bits(shape));
        let (g, pools) = (io.geometry.value(), io.pools.value());
        let at = reg_uninit("at", Place::shape()).doc("Where the window stands");
        let chunk = reg_uninit("chunk", Place::shape()).doc("First place of the chunk");
        let place = reg_uninit("place", Segment::shape(shape).place).doc("Place in the chunk");
        let output = reg_uninit("output", uint(word_bits)).doc("Word of outputs");
        let row = reg_uninit("row", uint(8)).doc("Row of the window");
        let row_lanes = reg_uninit("row_lanes", uint(8)).doc("Lanes of the rows above it");
        let part = reg_uninit("part", uint(14)).doc("Segment in the row of the window");
        let offset = reg_uninit("offset", uint(OFFSET_BITS)).doc("Lanes left of it");
        let tile = reg_uninit("tile_number", uint(TILE_BITS));

        // How far the loops go.
        let results = mux(pools, g.channels, io.last_output.value());
        let last_word = super::registers::word_of_lane(shape, results).resize(word_bits);
        let last_part = mux(pools, g.width.zext(14), g.segments);
        let step = mux(
            pools,
            (g.channels.zext(9) + UInt::lit(1, 1)).zext(OFFSET_BITS),
            UInt::lit(n.into(), OFFSET_BITS),
        );
        let at_last_place = at.value().number.eq(g.last_place);
        let chunk_ends = pools | at_last_place | place.eq(u64::from(shape.partial_sums() - 1));
        let row_ends = part.eq(last_part).named("window_row_ends");
        let result_ends = (row_ends & row.eq(g.height)).named("result_ends");
        let outputs_end = output.eq(last_word).named("outputs_end");

        // The step of this cycle.
        let now = at.value();
        let column = now.column.wrapping_add(offset.zext(COLUMN_BITS).as_sint()).named("column");
        let input_row = now.row.wrapping_add(row.zext(ROW_BITS).as_sint()).named("input_row");
        let row_inside = input_row.ge(SInt::lit(0, ROW_BITS))
            & input_row.lt(g.in_height.zext(ROW_BITS).as_sint());
        let first_output = match shape.words_per_register() {
            1 => UInt::lit(0, 8),
            _ => output.concat(UInt::lit(0, lane_bits)).resize(8),
        };
        let of_channels = mux(pools, first_output, UInt::lit(0, 8));
        let start = now
            .row_lane
            .wrapping_add(row_lanes)
            .wrapping_add(column.as_uint().trunc(8))
            .wrapping_add(of_channels);
        let all_lanes = UInt::lit((n - 1).into(), lane_bits);
        io.segment.set(Segment {
            start,
            column,
            row_inside,
            first: part.is_zero() & row.is_zero(),
            ends: result_ends,
            place: place.value(),
            output: output.value(),
            destination: now.destination.wrapping_add(first_output),
            last_lane: mux(outputs_end, results.trunc(lane_bits), all_lanes),
            last: result_ends & outputs_end & at_last_place,
        });
        io.tile.set(tile);
        io.last_step.set(chunk_ends & result_ends & outputs_end & at_last_place);

        // The next one.
        let following = now.next(&g, results.zext(9).wrapping_add(UInt::lit(1, 9)));
        when(io.fires, || {
            when(!chunk_ends, || {
                at.next(following);
                place.next(place.wrapping_add(1));
            })
            .otherwise(|| {
                at.next(chunk.value());
                place.next(0);
                tile.next(tile.wrapping_add(1));
                part.next(part.wrapping_add(1));
                offset.next(offset.wrapping_add(step));
                when(row_ends, || {
                    part.next(0);
                    offset.next(0);
                    row.next(row.wrapping_add(1));
                    row_lanes.next(row_lanes.wrapping_add(g.row_lanes.trunc(8)));
                });
                when(result_ends, || {
                    row.next(0);
                    row_lanes.next(0);
                    output.next(output.wrapping_add(1));
                    when(outputs_end, || {
                        output.next(0);
                        tile.next(io.first_tile);
                        at.next(following);
                        chunk.next(following);
                    });
                });
            });
        });
        when(io.begin, || {
            at.next(Place::first(&g));
            chunk.next(Place::first(&g));
            place.next(0);
            output.next(0);
            row.next(0);
            row_lanes.next(0);
            part.next(0);
            offset.next(0);
            tile.next(io.first_tile);
        });
    }
}
