//! The product unit: feeds the array with activations and weights, adds bias and partial sums.

use super::array::{MacArray, MacArrayIo};
use super::cell::{ACTIVATION_BITS, SUM_BITS, WEIGHT_BITS};
use super::lanes::{join, split};
use super::memory::HostMemory;
use super::operation::{Operation, WordTag, word_bits};
use super::ports::{HostRequest, thread_bits};
use rmt_isa::card::engine::{EngineRegion, EngineShape, REGION_BITS, TENSOR_TILE_BASE};
use rtl_builder::prelude::*;

/// Cycles before a result at which the unit announces that it will write.
pub const ANNOUNCE_CYCLES: u32 = 6;
/// Cycles from a step to its wave: read of the weights, load of their first row.
const STEP_CYCLES: u32 = 2;

/// Products of weights and a vector, one wave of N activations a step.
///
/// A layer of M outputs and K inputs has ceil(M/N) × ceil(K/N) tiles, stepped through inputs first. A step
/// whose tile is in one of the two planes takes one cycle; otherwise the tile is loaded into the
/// plane that was not used last, N cycles a tile, and its wave follows one cycle behind the
/// load. So a lone vector is as fast with a cold tile as with a loaded one.
#[derive(Clone, Debug)]
pub struct ProductUnit {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`ProductUnit`].
#[derive(Clone, Ports)]
pub struct ProductUnitIo {
    /// Writes of the host
    pub host: Input<HostRequest>,
    /// An operation may be issued in this cycle
    pub ready: Output<Bool>,
    /// An operation is issued; only when `ready`
    pub issue: Input<Bool>,
    /// The operation
    pub operation: Input<Operation>,
    /// Its thread
    pub thread: Input<UInt>,
    /// A word of the vector; the first one in the cycle after the issue, then one each cycle
    pub word_valid: Input<Bool>,
    /// Number of the word
    pub word_index: Input<UInt>,
    /// N lanes of 32 bits, of which the low 16 count
    pub word: Input<UInt>,
    /// Reads a word of the bias
    pub bias_enable: Output<Bool>,
    /// Which one
    pub bias_address: Output<UInt>,
    /// The word, one cycle later
    pub bias_word: Input<UInt>,
    /// A result will be written in the sixth cycle from now
    pub announce: Output<Bool>,
    /// The word of the result that is written now
    pub write: Output<WordTag>,
    /// N lanes of 32 bits
    pub data: Output<UInt>,
    /// A wave starts, for counting
    pub wave: Output<Bool>,
    /// A row of weights is read, for counting
    pub load: Output<Bool>,
}

/// What a wave carries along until its sums come out.
#[derive(Clone, Copy, Bundle)]
struct Wave {
    first: Bool,
    thread: UInt,
    register: UInt,
    word: UInt,
    last_word: Bool,
    biased: Bool,
    bias: UInt,
}

/// A wave on its way.
struct Tag {
    valid: Bool,
    /// Its sums end a word of the result.
    ends: Bool,
    /// The packed [`Wave`].
    wave: UInt,
}

/// The tile that a step needs and where it is.
struct Step {
    /// The step happens in this cycle.
    fires: Bool,
    /// Its tile must be loaded.
    load: Bool,
    plane: Bool,
    tile: UInt,
}

impl ProductUnit {
    /// Cycles from the issue of a product with one tile to the write of its result.
    pub fn latency(shape: &EngineShape) -> u32 {
        STEP_CYCLES + MacArray::of(shape).latency()
    }

    /// Reads the weights of a step that loads, N rows in N cycles; gives whether rows are left.
    fn loader(&self, io: &ProductUnitIo, step: &Step, array: &MacArrayIo, rows_left: Reg<Bool>) {
        let n = self.shape.array;
        let row_bits = bits_for(n.into());
        let memory = HostMemory::new(
            "weights",
            EngineRegion::Weights,
            (n * WEIGHT_BITS).min(64),
            &self.shape,
            io.host.value(),
        );
        let row = reg("load_row", uint(row_bits), 0);
        let tile = reg_uninit("load_tile", uint(step.tile.width()));
        let plane = reg_uninit("load_plane", boolean());
        when(step.fires & step.load, || {
            rows_left.next(true);
            row.next(1);
            tile.next(step.tile);
            plane.next(step.plane);
        })
        .elsewhen(rows_left, || {
            row.next(row.wrapping_add(1));
            when(row.eq(u64::from(n - 1)), || rows_left.next(false));
        });

        let starts = step.fires & step.load;
        let reads = starts | rows_left;
        let first_or = |first: UInt, later: UInt| mux(rows_left, later, first);
        let row_now = first_or(UInt::lit(0, row_bits), row.value());
        let tile_now = first_or(step.tile, tile.value());
        let plane_now = mux(rows_left, plane, step.plane);
        let weights = memory.read(reads, tile_now.concat(row_now).resize(memory.address_width()));
        let loads = reg("loads", boolean(), false);
        loads.next(reads);
        array.load.set(loads);
        array.load_row.set(delayed("loaded_row", row_now));
        array.load_plane.set(delayed("loaded_plane", plane_now));
        array.weights.set(weights);
        io.load.set(reads);
    }

    /// Finds the tile in a plane, or chooses the plane that it is loaded into.
    fn planes(&self, host: HostRequest, runs: Bool, tile: UInt, loader_busy: Bool) -> Step {
        let tiles = [0, 1].map(|p| reg_uninit(format!("plane{p}_tile"), uint(tile.width())));
        let valid = [0, 1].map(|p| reg(format!("plane{p}_valid"), boolean(), false));
        let used = reg("plane_used", boolean(), false).doc("The plane of the last wave");
        let hit: [Bool; 2] =
            [0, 1].map(|p| (valid[p] & tiles[p].eq(tile)).named(format!("plane{p}_hit")));
        let load = !(hit[0] | hit[1]);
        let plane = mux(load, !used, hit[1]).named("step_plane");
        let fires = (runs & !(load & loader_busy)).named("step_fires");
        when(fires, || {
            used.next(plane);
            for p in 0..2 {
                when(load & plane.eq(p == 1), || {
                    valid[p].next(true);
                    tiles[p].next(tile);
                });
            }
        });
        // New weights: what the planes hold is stale.
        let offset_bits = self.shape.offset_bits();
        let region = host.address.bits(offset_bits..offset_bits + REGION_BITS);
        when(host.valid & host.write & region.eq(EngineRegion::Weights as u64), || {
            valid.iter().for_each(|valid| valid.next(false));
        });
        Step { fires, load, plane, tile }
    }

    /// A wave in each cycle from its step to its sums, delayed as one word.
    fn tags(&self, fires: Bool, last: Bool, wave: Wave) -> Vec<Tag> {
        let mut line = vec![Tag { valid: fires, ends: fires & last, wave: pack(wave) }];
        for cycle in 1..=Self::latency(&self.shape) as usize {
            let before = &line[cycle - 1];
            let tag = scope(format!("wave{cycle}"), || {
                let (valid, ends) = (reg("valid", boolean(), false), reg("ends", boolean(), false));
                valid.next(before.valid);
                ends.next(before.ends);
                Tag { valid: valid.value(), ends: ends.value(), wave: delayed("tag", before.wave) }
            });
            line.push(tag);
        }
        line
    }
}

impl Component for ProductUnit {
    type Io = ProductUnitIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!(
            "product_unit_n{}_h{}_l{}_t{}",
            s.array, s.hop_columns, s.vector_lanes, s.weight_tiles
        )
    }

    fn doc(&self) -> String {
        "Products of weight tiles and vectors on the multiplier array.".into()
    }

    fn io(&self) -> ProductUnitIo {
        let shape = &self.shape;
        let word = uint(shape.array * 32);
        ProductUnitIo {
            host: input(HostRequest::shape(shape)),
            ready: output(boolean()),
            issue: input(boolean()),
            operation: input(Operation::shape(shape)),
            thread: input(uint(thread_bits(shape))),
            word_valid: input(boolean()),
            word_index: input(uint(word_bits(shape))),
            word: input(word),
            bias_enable: output(boolean()),
            bias_address: output(uint(16)),
            bias_word: input(word),
            announce: output(boolean()),
            write: output(WordTag::shape(shape)),
            data: output(word),
            wave: output(boolean()),
            load: output(boolean()),
        }
    }

    fn build(&self, io: ProductUnitIo) {
        let shape = &self.shape;
        let word_bits = word_bits(shape);
        let array = instance("array", MacArray::of(shape));

        // The operation runs from its issue on; its first step happens in the same cycle.
        let running = reg("running", boolean(), false);
        let held = reg_uninit("held", Operation::shape(shape));
        let held_thread = reg_uninit("held_thread", uint(thread_bits(shape)));
        when(io.issue, || {
            held.next(io.operation);
            held_thread.next(io.thread);
        });
        let operation = mux(io.issue, io.operation.value(), held.value());
        let thread = mux(io.issue, io.thread, held_thread);

        let input_word = reg("input_word", uint(word_bits), 0).doc("Word of the vector, k");
        let output_word = reg("output_word", uint(word_bits), 0).doc("Word of the result, m");
        let next_tile = reg_uninit("next_tile", uint(TENSOR_TILE_BASE.bits));
        let (k, m) = (input_word, output_word);
        let tile = mux(io.issue, operation.base.trunc(TENSOR_TILE_BASE.bits), next_tile);
        let rows_left = reg("load_rows_left", boolean(), false);
        let step = self.planes(io.host.value(), io.issue | running, tile, rows_left.value());
        io.ready.set(!running & !rows_left);

        let last_input = k.eq(operation.last_word).named("last_input");
        let last_output = m.eq(operation.last_result).named("last_output");
        when(step.fires, || {
            next_tile.next(tile.wrapping_add(1));
            running.next(true);
            k.next(k.wrapping_add(1));
            when(last_input, || {
                k.next(0);
                m.next(m.wrapping_add(1));
                when(last_output, || {
                    m.next(0);
                    running.next(false);
                });
            });
        })
        .elsewhen(io.issue, || running.next(true));
        self.loader(&io, &step, &array, rows_left);
        io.wave.set(step.fires);

        // The vector waits here for all tiles of a row of the result.
        let n = shape.array;
        let narrow: Vec<SInt> =
            split(io.word.value(), 32).iter().map(|lane| lane.trunc(ACTIVATION_BITS)).collect();
        let vector =
            AsyncMem::new("vector", uint(n * ACTIVATION_BITS), shape.words_per_register().into());
        let fit = |index: UInt| index.resize(vector.address_width());
        vector.write(io.word_valid, fit(io.word_index.value()), join(&narrow));
        let wave_word = delayed("wave_word_q", delayed("wave_word", k));
        array.activations.set(vector.read(fit(wave_word)));
        array.plane.set(delayed("wave_plane_q", delayed("wave_plane", step.plane)));

        let wave = Wave {
            first: k.is_zero(),
            thread,
            register: operation.d,
            word: m.value(),
            last_word: last_output,
            biased: operation.option,
            bias: operation.bias.wrapping_add(m),
        };
        let tags = self.tags(step.fires, last_input, wave);
        let out = tags.len() - 1;
        io.announce.set(tags[out - ANNOUNCE_CYCLES as usize].ends);
        let before = unpack(&wave, tags[out - 1].wave);
        io.bias_enable.set(tags[out - 1].valid & before.first & before.biased);
        io.bias_address.set(before.bias);

        let Tag { valid, ends, .. } = tags[out];
        let wave = unpack(&wave, tags[out].wave);
        let total = reg_uninit("total", uint(n * SUM_BITS)).doc("Sums of the tiles so far");
        let none = UInt::lit(0, 1).repeat((n * SUM_BITS) as usize);
        let bias = mux(wave.biased, io.bias_word.value(), none);
        let begin = mux(wave.first, bias, total.value());
        let sums: Vec<SInt> = split(begin, SUM_BITS)
            .into_iter()
            .zip(split(array.sums.value(), SUM_BITS))
            .map(|(begin, sum)| begin.wrapping_add(sum))
            .collect();
        let sums = join(&sums).named("sums");
        when(valid, || total.next(sums));
        io.data.set(sums);
        io.write.set(WordTag {
            valid: ends,
            thread: wave.thread,
            register: wave.register,
            word: wave.word,
            last: wave.last_word,
        });
    }
}
