//! The weights of the array: which tiles stand in its two planes, and how others get there.

use super::memory::HostMemory;
use super::ports::HostRequest;
use crate::bits::any;
use rmt_isa::card::engine::{EngineRegion, EngineShape, REGION_BITS, TENSOR_TILE_BASE};
use rtl_builder::prelude::*;

use super::cell::WEIGHT_BITS;

/// Tiles that the step of a cycle may be about: three of a batch, and a convolution's.
pub const STEP_TILES: u32 = 4;
/// Bits of a tile's number.
pub const TILE_BITS: u32 = TENSOR_TILE_BASE.bits;

/// Weight memory, and the two tiles that the array holds.
///
/// A step whose tile is in a plane fires at once. Otherwise the tile is loaded into the plane
/// that was not used last, N rows in N cycles, and the step fires with the first row: its wave
/// follows the load one row behind. So a lone vector is as fast with a cold tile as with a loaded
/// one, and N or more vectors a tile hide the loads of all tiles but the first.
#[derive(Clone, Debug)]
pub struct WeightLoader {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`WeightLoader`].
#[derive(Clone, Ports)]
pub struct WeightLoaderIo {
    /// Writes of the host
    pub host: Input<HostRequest>,
    /// A step wants to happen
    pub wanted: Input<Bool>,
    /// Tiles of which one is its: they are looked for before it is known which
    pub tiles: Vec<Input<UInt>>,
    /// A bit for the one
    pub tile: Input<UInt>,
    /// It happens: the wave can enter the array two cycles later
    pub fires: Output<Bool>,
    /// Plane of its tile
    pub plane: Output<Bool>,
    /// The step's tile stands in a plane
    pub hits: Output<Bool>,
    /// A load goes on in the next cycle: no step of another tile could fire in it
    pub loads_on: Output<Bool>,
    /// A row of weights is read in this cycle, for counting
    pub reads: Output<Bool>,
    /// A row of weights for the array
    pub load: Output<Bool>,
    /// Its plane
    pub load_plane: Output<Bool>,
    /// Its number
    pub load_row: Output<UInt>,
    /// N weights, that of column 0 lowest
    pub load_weights: Output<UInt>,
}

impl Component for WeightLoader {
    type Io = WeightLoaderIo;

    fn name(&self) -> String {
        format!("weight_loader_n{}_w{}", self.shape.array, self.shape.weight_tiles)
    }

    fn doc(&self) -> String {
        "Weight memory of the array and the tiles in its two planes.".into()
    }

    fn io(&self) -> WeightLoaderIo {
        let n = self.shape.array;
        WeightLoaderIo {
            host: input(HostRequest::shape(&self.shape)),
            wanted: input(boolean()),
            tiles: (0..STEP_TILES).map(|_| input(uint(TILE_BITS))).collect(),
            tile: input(uint(STEP_TILES)),
            fires: output(boolean()),
            plane: output(boolean()),
            hits: output(boolean()),
            loads_on: output(boolean()),
            reads: output(boolean()),
            load: output(boolean()),
            load_plane: output(boolean()),
            load_row: output(uint(bits_for(n.into()))),
            load_weights: output(uint(n * WEIGHT_BITS)),
        }
    }

    fn build(&self, io: WeightLoaderIo) {
        let n = self.shape.array;
        let row_bits = bits_for(n.into());
        // As many bits of a tile's number as there are tiles.
        let tile_bits = bits_for(self.shape.weight_tiles.into()).max(1);
        let host = io.host.value();
        let candidates: Vec<(Bool, UInt)> = (io.tile.value().to_bools().into_iter())
            .zip(io.tiles.iter().map(|tile| tile.trunc(tile_bits)))
            .collect();
        let tile = one_hot_mux(&candidates);

        // Where the step's tile is, or shall be.
        let tiles = [0, 1].map(|p| reg_uninit(format!("plane{p}_tile"), uint(tile_bits)));
        let valid = [0, 1].map(|p| reg(format!("plane{p}_valid"), boolean(), false));
        let used = reg("plane_used", boolean(), false).doc("The plane of the last wave");
        let hit: [Bool; 2] = [0, 1].map(|p| {
            let found = candidates.iter().map(|(is, candidate)| *is & tiles[p].eq(*candidate));
            (valid[p].value() & any(&found.collect::<Vec<_>>())).named(format!("plane{p}_hit"))
        });
        let misses = (!(hit[0] | hit[1])).named("misses");
        let plane = mux(misses, !used, hit[1]).named("step_plane");
        let rows_left = reg("rows_left", boolean(), false).doc("A load is under way");
        let fires = (io.wanted & !(misses & rows_left)).named("step_fires");
        let starts = (fires & misses).named("load_starts");
        when(fires, || {
            used.next(plane);
            for p in 0..2 {
                when(misses & plane.eq(p == 1), || {
                    valid[p].next(true);
                    tiles[p].next(tile);
                });
            }
        });

        // The load: row 0 in the cycle of the step, one row a cycle from then on.
        let row = reg("row", uint(row_bits), 0);
        let loaded_tile = reg_uninit("tile_held", uint(tile_bits));
        let loaded_plane = reg_uninit("plane_held", boolean());
        let is_last_row = row.eq(u64::from(n - 1));
        when(starts, || {
            rows_left.next(true);
            row.next(1);
            loaded_tile.next(tile);
            loaded_plane.next(plane);
        })
        .elsewhen(rows_left, || {
            row.next(row.wrapping_add(1));
            when(is_last_row, || rows_left.next(false));
        });
        let memory = HostMemory::new(
            "weights",
            EngineRegion::Weights,
            (n * WEIGHT_BITS).min(64),
            &self.shape,
            host,
        );
        let reads = (starts | rows_left).named("reads_row");
        let row_now = mux(rows_left, row.value(), UInt::lit(0, row_bits));
        let tile_now = mux(rows_left, loaded_tile.value(), tile);
        let address = tile_now.concat(row_now);
        io.load_weights.set(memory.read(reads, address.resize(memory.address_width())));
        let loads = reg("loads", boolean(), false);
        loads.next(reads);
        io.load.set(loads);
        io.load_row.set(delayed("loaded_row", row_now));
        io.load_plane.set(delayed("loaded_plane", mux(rows_left, loaded_plane.value(), plane)));

        io.fires.set(fires);
        io.plane.set(plane);
        io.hits.set(!misses);
        io.loads_on.set(rows_left & !is_last_row);
        io.reads.set(reads);

        // New weights: a plane that holds their tile is stale.
        let offset_bits = self.shape.offset_bits();
        let region = host.address.bits(offset_bits..offset_bits + REGION_BITS);
        let stride_bits = self.shape.extent(EngineRegion::Weights).stride.trailing_zeros();
        let written = host.address.bits(stride_bits + row_bits..offset_bits);
        let writes = host.valid & host.write & host.bank.eq(host.active);
        when(writes & region.eq(EngineRegion::Weights as u64), || {
            for p in 0..2 {
                when(tiles[p].eq(written.resize(tile_bits)), || valid[p].next(false));
            }
        });
        when(host.swaps, || valid.iter().for_each(|valid| valid.next(false)));
    }
}
