//! The product unit: feeds the array with activations and weights, adds bias and partial sums.

use super::align::Unaligned;
use super::array::MacArray;
use super::batch::{BatchStep, Batcher, Job};
use super::cell::SUM_BITS;
use super::lanes::{join, split};
use super::operation::{Operation, WordTag, lane_bits, word_bits};
use super::ports::{HostRequest, thread_bits};
use super::weights::{TILE_BITS, WeightLoader};
use super::window::WindowStep;
use crate::bits::{as_word, only_if};
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Cycles before a result at which the unit announces that it will write.
pub const ANNOUNCE_CYCLES: u32 = 6;
/// Cycles from a step to its wave: read of the weights, load of their first row.
const STEP_CYCLES: u32 = 2;

/// Products of weights and vectors, one wave of N activations a step.
///
/// A layer of M outputs and K inputs has ceil(M/N) × ceil(K/N) tiles. The [`Batcher`] says which
/// product meets which tile, the [`WeightLoader`] brings the tiles. The vectors of all threads wait
/// here for their waves; a sum of N outputs for each product of the batch waits for its next tile.
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
    /// An operation is issued; it is always taken
    pub issue: Input<Bool>,
    /// The operation
    pub operation: Input<Operation>,
    /// Its thread
    pub thread: Input<UInt>,
    /// A word of a vector; the first one in the cycle after the issue, then one each cycle
    pub word_valid: Input<Bool>,
    /// Thread of the word
    pub word_thread: Input<UInt>,
    /// Number of the word
    pub word_index: Input<UInt>,
    /// N lanes of 32 bits, of which as many count as an activation has
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
    /// A convolution waits for the array or uses it
    pub window_holds: Input<Bool>,
    /// The convolution that holds the array has it
    pub array_free: Output<Bool>,
    /// A step of a convolution; only when `array_free`
    pub window_step: Input<WindowStep>,
    /// It happens
    pub window_fires: Output<Bool>,
    /// Two cycles after it: its activations
    pub window_activations: Input<UInt>,
    /// Where the sums of a convolution go that are in `data` now
    pub window_sums: Output<Unaligned>,
    /// A wave starts, for counting
    pub wave: Output<Bool>,
    /// A row of weights is read, for counting
    pub load: Output<Bool>,
    /// A batch or a convolution is under way, for counting
    pub running: Output<Bool>,
    /// A product joins a batch, for counting
    pub joins: Output<Bool>,
}

/// What a wave carries along until its sums come out.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Wave {
    /// Its sums begin with the bias, not with those of the last tile
    pub first: Bool,
    /// Where its sums wait for the next tile
    pub place: UInt,
    /// Thread that owns the result
    pub thread: UInt,
    /// Register of the result
    pub register: UInt,
    /// Word of the result
    pub word: UInt,
    /// The last word of its operation
    pub last_word: Bool,
    /// There is a bias
    pub biased: Bool,
    /// Word of the bias
    pub bias: UInt,
    /// The sums are those of a convolution: they go to the window unit
    pub unaligned: Bool,
    /// Convolution: first lane in the word
    pub lane: UInt,
    /// Convolution: lanes, less 1
    pub last_lane: UInt,
}

impl Wave {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        let step = BatchStep::shape(shape);
        Self {
            first: boolean(),
            place: uint(bits_for(shape.partial_sums().into())),
            thread: step.member.thread,
            register: step.member.register,
            word: step.output,
            last_word: boolean(),
            biased: boolean(),
            bias: step.member.bias,
            unaligned: boolean(),
            lane: uint(lane_bits(shape)),
            last_lane: uint(lane_bits(shape)),
        }
    }

    fn of(shape: &EngineShape, step: &BatchStep) -> Self {
        let member = &step.member;
        Self {
            first: step.first,
            place: step.place.resize(bits_for(shape.partial_sums().into())),
            thread: member.thread,
            register: member.register,
            word: step.output,
            last_word: step.output.eq(step.last_output),
            biased: member.biased,
            bias: member.bias.wrapping_add(step.output),
            ..zero(&Self::shape(shape))
        }
    }
}

/// A wave on its way.
struct Tag {
    valid: Bool,
    /// Its sums are a word of the result.
    ends: Bool,
    /// The packed [`Wave`].
    wave: UInt,
}

impl ProductUnit {
    /// Cycles from the issue of a product with one tile to the write of its result.
    pub fn latency(shape: &EngineShape) -> u32 {
        STEP_CYCLES + MacArray::of(shape).latency()
    }

    /// A wave in each cycle from its step to its sums, delayed as one word.
    fn tags(&self, fires: Bool, ends: Bool, wave: Wave) -> Vec<Tag> {
        let mut line = vec![Tag { valid: fires, ends: fires & ends, wave: pack(wave) }];
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

    /// The activations of each step, two cycles after it.
    ///
    /// The first word of a lone product comes from the registers one cycle after its step, too late to
    /// be read from the memory: it goes round it.
    fn activations(&self, io: &ProductUnitIo, fires: Bool, step: &BatchStep) -> UInt {
        let shape = &self.shape;
        let words = shape.words_per_register();
        let address = |thread: UInt, word: UInt| match words {
            1 => thread,
            _ => thread.concat(word),
        };
        let activation_bits = shape.activation_bits();
        let narrow: Vec<SInt> =
            split(io.word.value(), 32).iter().map(|lane| lane.trunc(activation_bits)).collect();
        let narrow = join(&narrow);
        let vectors = SyncMem::new(
            "vectors",
            uint(shape.array * activation_bits),
            u64::from(shape.threads * words),
        )
        .collisions_unused();
        let to = address(io.word_thread.value(), io.word_index.value());
        vectors.write(io.word_valid, to, narrow);

        let reads = reg("reads_vector", boolean(), false);
        reads.next(fires);
        let from = delayed("vector_address", address(step.member.thread, step.input));
        let stored = vectors.read(reads, from);
        let passes = delayed("passes", io.word_valid & to.eq(from));
        mux(passes, delayed("passed_word", narrow), stored)
    }
}

impl Component for ProductUnit {
    type Io = ProductUnitIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!(
            "product_unit_n{}_h{}_l{}_t{}_w{}_a{}",
            s.array,
            s.hop_columns,
            s.vector_lanes,
            s.threads,
            s.weight_tiles,
            s.activation_bits()
        )
    }

    fn doc(&self) -> String {
        "Products of weight tiles and vectors on the multiplier array.".into()
    }

    fn io(&self) -> ProductUnitIo {
        let shape = &self.shape;
        let word = uint(shape.array * 32);
        let thread = uint(thread_bits(shape));
        ProductUnitIo {
            host: input(HostRequest::shape(shape)),
            issue: input(boolean()),
            operation: input(Operation::shape(shape)),
            thread: input(thread),
            word_valid: input(boolean()),
            word_thread: input(thread),
            word_index: input(uint(word_bits(shape))),
            word: input(word),
            bias_enable: output(boolean()),
            bias_address: output(uint(16)),
            bias_word: input(word),
            announce: output(boolean()),
            write: output(WordTag::shape(shape)),
            data: output(word),
            window_holds: input(boolean()),
            array_free: output(boolean()),
            window_step: input(WindowStep::shape(shape)),
            window_fires: output(boolean()),
            window_activations: input(uint(shape.array * shape.activation_bits())),
            window_sums: output(Unaligned::shape(shape)),
            wave: output(boolean()),
            load: output(boolean()),
            running: output(boolean()),
            joins: output(boolean()),
        }
    }

    fn build(&self, io: ProductUnitIo) {
        let shape = &self.shape;
        let n = shape.array;
        let array = instance("array", MacArray::of(shape));
        let loader = instance("loader", WeightLoader { shape: shape.clone() });
        let batcher = instance("batcher", Batcher { shape: shape.clone() });

        // A step each cycle: a product meets a tile.
        let operation = io.operation.value();
        batcher.issue.set(io.issue);
        batcher.thread.set(io.thread);
        batcher.job.set(Job {
            layer: operation.base.trunc(TILE_BITS),
            last_input: operation.last_word,
            last_output: operation.last_result,
            register: operation.d,
            biased: operation.option,
            bias: operation.bias,
        });
        batcher.hold.set(io.window_holds);
        let step = batcher.step.value();
        let window_step = io.window_step.value();
        let fires = loader.fires.value();
        // A convolution that waits takes the array as soon as no batch runs: none begins then.
        let of_window = (io.window_holds & !batcher.running).named("convolution_turn");
        let batch_fires = (fires & !of_window).named("batch_fires");
        let window_fires = (fires & of_window).named("convolution_fires");
        batcher.fires.set(batch_fires);
        batcher.needs_no_load.set(loader.hits);
        batcher.loads_on.set(loader.loads_on);
        io.array_free.set(of_window);
        io.window_fires.set(window_fires);
        loader.host.set(io.host);
        loader.wanted.set(step.valid | window_step.valid);
        let [next, waiting, coming] = step.tiles;
        for (port, tile) in loader.tiles.iter().zip([next, waiting, coming, window_step.tile]) {
            port.set(tile);
        }
        let [is_next, is_waiting, is_coming] = step.tile.map(|is| is & !of_window);
        loader.tile.set(as_word(&[is_next, is_waiting, is_coming, of_window]));
        array.load.set(loader.load);
        array.load_plane.set(loader.load_plane);
        array.load_row.set(loader.load_row);
        array.weights.set(loader.load_weights);
        let convolves = delayed("convolves_q", delayed("convolves", window_fires));
        let of_product = self.activations(&io, batch_fires, &step);
        array.activations.set(mux(convolves, io.window_activations.value(), of_product));
        array.plane.set(delayed("wave_plane", loader.plane.value()));
        io.wave.set(fires);
        io.load.set(loader.reads);
        io.running.set(batcher.running | step.valid | window_step.valid);
        io.joins.set(batcher.joins);

        // The sums of a wave begin with its bias or with the sums of its last tile.
        let shape_of_wave = Wave::shape(shape);
        let wave = mux(of_window, window_step.wave, Wave::of(shape, &step));
        let tags = self.tags(fires, mux(of_window, window_step.ends, step.ends), wave);
        let out = tags.len() - 1;
        let wave = |cycle: usize| unpack(&shape_of_wave, tags[cycle].wave);
        // The sums of a convolution are written one cycle later, when they have been turned.
        let announced = out - ANNOUNCE_CYCLES as usize;
        io.announce.set(
            (tags[announced].ends & !wave(announced).unaligned)
                | (tags[announced + 1].ends & wave(announced + 1).unaligned),
        );
        let (early, next, now) = (wave(out - 2), wave(out - 1), wave(out));
        io.bias_enable.set(tags[out - 2].valid & early.first & early.biased);
        io.bias_address.set(early.bias);

        let partial_sums =
            AsyncMem::new("partial_sums", uint(n * SUM_BITS), shape.partial_sums().into());
        let sums = wire("sums", uint(n * SUM_BITS));
        // Whether they are the array's is known a cycle before, so that behind their carries stands one choice.
        let same_place = tags[out - 1].valid & next.place.eq(early.place);
        let follows = delayed("follows", same_place & !early.first)
            .doc("The sums that come out now are those that the next wave begins with");
        let bias = only_if(next.biased, io.bias_word.value());
        let partial = only_if(!follows, partial_sums.read(next.place));
        let others = mux(next.first, bias, partial);
        let begin = delayed("begin", others | only_if(follows, sums.value()));
        let totals: Vec<SInt> = split(begin, SUM_BITS)
            .into_iter()
            .zip(split(array.sums.value(), SUM_BITS))
            .map(|(begin, sum)| begin.wrapping_add(sum))
            .collect();
        sums.set(join(&totals));
        partial_sums.write(tags[out].valid, now.place, sums.value());
        io.data.set(sums.value());
        io.window_sums.set(Unaligned {
            valid: tags[out].ends & now.unaligned,
            thread: now.thread,
            register: now.register,
            word: now.word,
            lane: now.lane,
            last_lane: now.last_lane,
            last: now.last_word,
        });
        io.write.set(WordTag {
            valid: tags[out].ends & !now.unaligned,
            thread: now.thread,
            register: now.register,
            word: now.word,
            last: now.last_word,
        });
    }
}
