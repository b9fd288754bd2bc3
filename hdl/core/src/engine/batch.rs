//! The batcher: which product meets which tile of weights, and when.
//!
//! The tiles of a layer are passed one after the other: all inputs of the first N outputs, then
//! of the next N outputs, and round again. A *batch* is the set of products, one a thread, that
//! meet each tile together: one wave a cycle, product after product. The policy:
//!
//! - A product never waits for others. When the array is free, it begins a batch of its own in the cycle
//!   of its issue.
//! - A product whose layer is on the array joins at the next word of outputs, whichever it is, and leaves
//!   after it has met all tiles once.
//! - While a load holds up the first tile of a word of outputs, the batch waits at that tile and still
//!   takes products: they use cycles that would be lost.
//! - Another layer waits for a bounded time: when the last output is done and another product waits, no
//!   product joins any more; the batch ends within one more round.
//!
//! A tile takes as many cycles as the batch has products, or the N cycles of its load: N
//! products keep the array busy in every cycle.
use crate::bits::as_word;

use super::issue::round_robin;

use super::operation::word_bits;
use super::ports::thread_bits;
use super::weights::TILE_BITS;
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Batches products of the same layer through tiles.
#[derive(Clone, Debug)]
pub struct Batcher {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// A product that has been issued.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Job {
    /// First tile of the weights, which names the layer
    pub layer: UInt,
    /// Words of the vector, less 1
    pub last_input: UInt,
    /// Words of the result, less 1
    pub last_output: UInt,
    /// Destination register
    pub register: UInt,
    /// There is a bias
    pub biased: Bool,
    /// First word of the bias
    pub bias: UInt,
}

impl Job {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            layer: uint(TILE_BITS),
            last_input: uint(word_bits(shape)),
            last_output: uint(word_bits(shape)),
            register: uint(3),
            biased: boolean(),
            bias: uint(16),
        }
    }
}

/// A product in a batch.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct Member {
    /// Its thread
    pub thread: UInt,
    /// Destination register
    pub register: UInt,
    /// There is a bias
    pub biased: Bool,
    /// First word of the bias
    pub bias: UInt,
}

impl Member {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            thread: uint(thread_bits(shape)),
            register: uint(3),
            biased: boolean(),
            bias: uint(16),
        }
    }

    fn of(job: &Job, thread: UInt) -> Self {
        let Job { register, biased, bias, .. } = *job;
        Self { thread, register, biased, bias }
    }
}

/// A product meets a tile.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct BatchStep {
    /// There is a step, which waits until it fires
    pub valid: Bool,
    /// The tile, one of these: the batch's next one, that of a product that waits, that of one that comes
    pub tiles: [UInt; 3],
    /// Which one
    pub tile: [Bool; 3],
    /// The product
    pub member: Member,
    /// The word of outputs after which it leaves
    pub last_output: UInt,
    /// Its place in the batch, which is also that of its sums
    pub place: UInt,
    /// Word of the vector
    pub input: UInt,
    /// Word of the result
    pub output: UInt,
    /// First tile of the word of the result
    pub first: Bool,
    /// Last tile of the word of the result
    pub ends: Bool,
}

/// Bits of a place in a batch.
fn place_bits(shape: &EngineShape) -> u32 {
    thread_bits(shape)
}

impl BatchStep {
    /// The shape for an engine.
    pub fn shape(shape: &EngineShape) -> Self {
        Self {
            valid: boolean(),
            tiles: [uint(TILE_BITS); 3],
            tile: [boolean(); 3],
            member: Member::shape(shape),
            last_output: uint(word_bits(shape)),
            place: uint(place_bits(shape)),
            input: uint(word_bits(shape)),
            output: uint(word_bits(shape)),
            first: boolean(),
            ends: boolean(),
        }
    }
}

/// Ports of [`Batcher`].
#[derive(Clone, Ports)]
pub struct BatcherIo {
    /// A product is issued
    pub issue: Input<Bool>,
    /// Its thread
    pub thread: Input<UInt>,
    /// The product
    pub job: Input<Job>,
    /// Another user waits for the array: no batch begins, and the one under way comes to its end
    pub hold: Input<Bool>,
    /// The step of this cycle
    pub step: Output<BatchStep>,
    /// The step happens
    pub fires: Input<Bool>,
    /// The step needs no load
    pub needs_no_load: Input<Bool>,
    /// A load goes on in the next cycle, and no step of another tile could happen in it
    pub loads_on: Input<Bool>,
    /// A batch is under way
    pub running: Output<Bool>,
    /// A product joins a batch under way, for counting
    pub joins: Output<Bool>,
}

/// Products that wait, and the choice among them.
struct Waiting {
    /// For each thread: a product waits.
    waits: Vec<Reg<Bool>>,
    /// For each thread: the layer of its last product.
    layers: Vec<Reg<UInt>>,
    /// For each thread: that is the layer on the array.
    of_array: Vec<Reg<Bool>>,
}

/// A product that waits from now on, or begins a batch at once.
#[derive(Clone, Copy)]
struct Entry {
    issue: Bool,
    thread: UInt,
    layer: UInt,
    /// It waits.
    waits: Bool,
}

impl Waiting {
    fn new(shape: &EngineShape) -> Self {
        let each = |thread| {
            scope(format!("thread{thread}"), || {
                let layer = reg_uninit("layer", uint(TILE_BITS));
                (reg("waits", boolean(), false), layer, reg_uninit("of_array", boolean()))
            })
        };
        let mut new = Self { waits: vec![], layers: vec![], of_array: vec![] };
        for (waits, layer, of_array) in (0..shape.threads).map(each) {
            new.waits.push(waits);
            new.layers.push(layer);
            new.of_array.push(of_array);
        }
        new
    }

    /// Products enter, and the layer on the array becomes another one: `founder`, if there is one, else the one that enters.
    /// Whose layer is on the array stands in registers: who joins follows from it.
    fn enter(&self, entry: Entry, begins: Bool, layer: UInt, founder: (Bool, UInt)) {
        let (founder_waits, founder_layer) = founder;
        let issued_is_same =
            mux(begins, !founder_waits | entry.layer.eq(founder_layer), entry.layer.eq(layer));
        for (thread, waits) in self.waits.iter().enumerate() {
            let (held, of_array) = (&self.layers[thread], &self.of_array[thread]);
            let (of_founder, of_issued) = (held.eq(founder_layer), held.eq(entry.layer));
            when(begins, || of_array.next(mux(founder_waits, of_founder, of_issued)));
            when(entry.issue & entry.thread.eq(thread as u64), || {
                waits.next(entry.waits);
                held.next(entry.layer);
                of_array.next(issued_is_same);
            });
        }
    }

    /// Who waits for the layer on the array.
    fn of_layer(&self) -> Vec<Bool> {
        self.waits.iter().zip(&self.of_array).map(|(waits, same)| *waits & same.value()).collect()
    }

    /// Who waits.
    fn all(&self) -> Vec<Bool> {
        self.waits.iter().map(|flag| flag.value()).collect()
    }

    /// Takes a product out.
    fn take(&self, taken: Bool, thread: UInt) {
        for (t, flag) in self.waits.iter().enumerate() {
            when(taken & thread.eq(t as u64), || flag.next(false));
        }
    }
}

/// Those who wait, without one thread.
fn without(waits: &[Bool], thread: UInt) -> Vec<Bool> {
    waits.iter().enumerate().map(|(t, waits)| *waits & thread.ne(t as u64)).collect()
}

impl Component for Batcher {
    type Io = BatcherIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("batcher_t{}_n{}_l{}", s.threads, s.array, s.vector_lanes)
    }

    fn doc(&self) -> String {
        "Batches products of the same layer through tiles of weights.".into()
    }

    fn io(&self) -> BatcherIo {
        let shape = &self.shape;
        BatcherIo {
            issue: input(boolean()),
            thread: input(uint(thread_bits(shape))),
            job: input(Job::shape(shape)),
            hold: input(boolean()),
            step: output(BatchStep::shape(shape)),
            fires: input(boolean()),
            needs_no_load: input(boolean()),
            loads_on: input(boolean()),
            running: output(boolean()),
            joins: output(boolean()),
        }
    }

    fn build(&self, io: BatcherIo) {
        let shape = &self.shape;
        let (word_bits, place_bits) = (word_bits(shape), place_bits(shape));
        let threads = u64::from(shape.threads);
        let (issue, issued) = (io.issue.value(), io.job.value());

        // The layer on the array, and the tile that its products meet.
        let running = reg("batch_runs", boolean(), false);
        let layer = reg_uninit("layer", uint(TILE_BITS));
        let last_input = reg_uninit("last_input", uint(word_bits));
        let last_output = reg_uninit("last_output", uint(word_bits));
        let next_tile = reg_uninit("next_tile", uint(TILE_BITS));
        let input_word = reg("input_word", uint(word_bits), 0);
        let output_word = reg("output_word", uint(word_bits), 0);
        let open = reg("open", boolean(), false).doc("Products may join");
        // The batch in order, and the place that is next. A place more than threads: none is.
        let members = AsyncMem::new("members", Member::shape(shape), threads);
        // The word of outputs after which each leaves: that of the first place and of the next one stand in registers, as much
        // follows from it.
        let last_outputs = AsyncMem::new("last_outputs", uint(word_bits), threads);
        let first_last_output = reg_uninit("first_last_output", uint(word_bits));
        let met_last_output = reg_uninit("met_last_output", uint(word_bits));
        let place = reg("place", uint(place_bits + 1), 0);
        let count = reg("count", uint(place_bits + 1), 0);
        let kept =
            reg("kept", uint(place_bits + 1), 0).doc("Members that go on with the next outputs");
        let all_met = reg("all_met", boolean(), false).doc("All members have met the tile");

        // Who waits. The choices are one cycle old; who has been taken meanwhile is not among them.
        let jobs = AsyncMem::new("jobs", Job::shape(shape), threads);
        jobs.write(issue, io.thread, issued);
        let waiting = Waiting::new(shape);
        let founder_waits = reg("founder_waits", boolean(), false);
        let founder = reg_uninit("founder", uint(thread_bits(shape)));
        let founder_product = reg_uninit("founder_product", Job::shape(shape));
        let joiner_waits = reg("joiner_waits", boolean(), false);
        let joiner = reg_uninit("joiner", uint(thread_bits(shape)));
        let joiner_product = reg_uninit("joiner_product", Job::shape(shape));
        let others_wait = reg("others_wait", boolean(), false).doc("Products of other layers wait");

        let begins = (!running & !io.hold & (founder_waits | issue)).named("begins");
        let starts_issued = (begins & !founder_waits).named("starts_issued");
        let chosen = mux(running, joiner.value(), founder.value());
        let founder_job = mux(founder_waits, founder_product.value(), issued);
        let founder_thread = mux(founder_waits, founder.value(), io.thread.value());

        let k_now = input_word.value();
        let m_now = output_word.value();
        let at_first = k_now.is_zero();
        let joins = (running & all_met & joiner_waits & at_first & open).named("wants_to_join");
        let before_this =
            mux(m_now.is_zero(), last_output.value(), m_now.wrapping_sub(UInt::lit(1, word_bits)));
        let met = members.read(place.value().trunc(place_bits));
        let member = mux(
            running,
            mux(all_met, Member::of(&joiner_product.value(), joiner.value()), met),
            Member::of(&founder_job, founder_thread),
        );
        let leaves_after = mux(
            running,
            mux(all_met, before_this, met_last_output.value()),
            founder_job.last_output,
        );
        let layer_now = mux(running, layer.value(), founder_job.layer);
        let tile = mux(running, next_tile.value(), founder_job.layer);
        // A batch begins at word 0 of both. All is compared before it is known whether a batch runs.
        let at_end = |now: UInt, last: UInt, founder_last: fn(&Job) -> UInt| {
            let of_founder = mux(
                founder_waits,
                founder_last(&founder_product.value()).is_zero(),
                founder_last(&issued).is_zero(),
            );
            mux(running, now.eq(last), of_founder)
        };
        let ends = at_end(k_now, last_input.value(), |job| job.last_input).named("ends_word");
        let at_last_output =
            at_end(m_now, last_output.value(), |job| job.last_output).named("at_last_output");
        io.step.set(BatchStep {
            valid: begins | (running & !all_met) | joins,
            tiles: [next_tile.value(), founder_product.layer, issued.layer],
            tile: [running.value(), !running & founder_waits, !running & !founder_waits],
            member,
            last_output: leaves_after,
            place: place.value().trunc(place_bits),
            input: k_now,
            output: m_now,
            first: at_first,
            ends,
        });
        io.running.set(running);
        io.joins.set(joins & io.fires);

        // The place moves on; members that have met all tiles are left out of the list. Whether the step fires is known
        // last: what would follow if it did is found meanwhile.
        let fires = io.fires.value();
        let joined = (joins & fires).named("joined");
        // Who joins or begins leaves with the word before this one: at once if the layer has one word only.
        let met_goes_on = m_now.ne(met_last_output);
        let one_output =
            reg_uninit("one_output", boolean()).doc("The layer has one word of outputs");
        let newcomer_stays = mux(running, all_met & !one_output, !at_last_output) & ends;
        let met_stays = ends & running & !all_met & met_goes_on;
        let would_stay = (newcomer_stays | met_stays).named("would_stay");
        let next_place = place.wrapping_add(1);
        let kept_after = mux(would_stay, kept.wrapping_add(1), kept.value());
        // What joins or begins does so until its step fires, and stands at the same place meanwhile.
        let next_count = mux(begins | joins, next_place, count.value());
        let lists = begins | joins | (running & !all_met & would_stay);
        let to = mux(would_stay, kept.value(), place.value()).trunc(place_bits);
        members.write(lists, to, member);
        last_outputs.write(lists, to, leaves_after);
        let of_first = mux(lists & to.is_zero(), leaves_after, first_last_output.value());
        first_last_output.next(of_first);
        let would_complete =
            (begins | joins | next_place.eq(count.value())).named("would_complete");
        let completes = (fires & would_complete).named("pass_completes");
        let others_go_on = (!ends | newcomer_stays | !kept.value().is_zero()).named("others_go_on");
        let goes_on = (others_go_on | met_stays).named("goes_on");
        let finishes = (completes & !goes_on).named("finishes");
        // While the doors are open, a product that waits joins in the next cycle. A load that holds up
        // the next tile leaves time for more.
        let idles = (running & all_met & !joins).named("idles");
        let doors = (at_first & (open | begins)).named("doors");
        let of_layer = waiting.of_layer();
        let others_of_layer = without(&of_layer, joiner.value());
        let more_wait = mux(joins, as_word(&others_of_layer), as_word(&of_layer)).reduce_or();
        let more = (doors & running & more_wait).named("more");
        let advances = (!more & (!doors | (!io.loads_on & io.needs_no_load))).named("advances");
        let idles_on = (idles & !(doors & io.loads_on)).named("idles_on");
        let moves = ((completes & (advances | !goes_on)) | idles_on).named("moves_on");

        when(begins, || {
            running.next(true);
            layer.next(founder_job.layer);
            last_input.next(founder_job.last_input);
            last_output.next(founder_job.last_output);
            next_tile.next(founder_job.layer);
            one_output.next(at_last_output);
            open.next(true);
        });
        when(fires, || {
            place.next(next_place);
            kept.next(kept_after);
        });
        count.next(next_count);
        when(completes, || all_met.next(true));
        // Nobody is written to the next place in the cycle in which its turn comes, but for the first one.
        when(begins | moves, || met_last_output.next(of_first)).elsewhen(fires, || {
            met_last_output.next(last_outputs.read(next_place.trunc(place_bits)));
        });
        when(moves, || {
            place.next(0);
            kept.next(0);
            all_met.next(false);
            let goes_with = mux(idles, kept.value(), kept_after);
            count.next(mux(ends, goes_with, next_count));
            input_word.next(k_now.wrapping_add(1));
            next_tile.next(tile.wrapping_add(1));
            when(ends, || {
                input_word.next(0);
                output_word.next(m_now.wrapping_add(1));
                when(at_last_output, || {
                    output_word.next(0);
                    next_tile.next(layer_now);
                    when(others_wait | io.hold, || open.next(false));
                });
            });
        });
        when(finishes, || {
            running.next(false);
            output_word.next(0);
        });

        let thread = io.thread.value();
        let entry = Entry { issue, thread, layer: issued.layer, waits: !starts_issued };
        let founder_layer = (founder_waits.value(), founder_product.layer);
        waiting.enter(entry, begins, layer.value(), founder_layer);
        let founded = (begins & founder_waits).named("founded");
        waiting.take(founded | joined, chosen);
        // Who wants to join is left out before it is known whether its step fires: until then the batch does not end, and it
        // stays the one who joins.
        let choose = |unless_joins: &[Bool], if_joins: &[Bool], start: UInt| {
            let (some, first) = round_robin(unless_joins, start);
            let (some_left, first_left) = round_robin(if_joins, start);
            (mux(joins, some_left, some), mux(joins, first_left, first))
        };
        let turn = reg("turn", uint(thread_bits(shape)), 0).doc("Thread that is asked first");
        when(begins, || turn.next(founder_thread.wrapping_add(1)));
        let waits = waiting.all();
        let left: Vec<Bool> = (waits.iter().zip(without(&waits, founder.value())))
            .map(|(waits, without_founder)| mux(founded, without_founder, *waits))
            .collect();
        let (some_wait, first) = choose(&left, &without(&waits, joiner.value()), turn.value());
        founder_waits.next(some_wait);
        founder.next(first);
        founder_product.next(jobs.read(first));
        let first_thread = UInt::lit(0, thread_bits(shape));
        let (some_join, first) = choose(&of_layer, &others_of_layer, first_thread);
        when(!joins | fires, || {
            joiner_waits.next(some_join & running & !finishes);
            joiner.next(first);
            joiner_product.next(jobs.read(first));
        });
        let of_others = left.iter().zip(&of_layer).map(|(waits, same)| *waits & !*same);
        others_wait.next(as_word(&of_others.collect::<Vec<_>>()).reduce_or());
    }
}
