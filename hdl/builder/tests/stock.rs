//! The stock components against plain models, with random traffic.
#![allow(missing_docs)]

use rtl_builder::domain::DomainInfo;
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::{Channel, Stream, gate, route};
use rtl_builder::stock::{
    AsyncFifo, BlockFifo, Counter, Fifo, Phases, PriorityEncoder, RoundRobinArbiter, SkidBuffer,
    StreamMerge, Sync2, UartReceiver, UartTransmitter, multiply_signed, multiply_unsigned,
};
use std::collections::VecDeque;

/// A second clock domain.
#[derive(Clone, Copy, Debug)]
struct Slow;

impl Domain for Slow {
    const NAME: &'static str = "slow";
    const CLOCK: &'static str = "slow_clk";
    const RESET: &'static str = "slow_rst";
}

fn simulator<C: Component>(component: C) -> Simulator {
    elaborate(component).expect("the component is valid").simulator()
}

/// Offers numbers on a stream and keeps to its contract: an offered word stays until it is taken.
struct Source {
    prefix: String,
    next: u64,
    offered: bool,
}

impl Source {
    fn new(prefix: &str, first: u64) -> Self {
        Self { prefix: prefix.to_owned(), next: first, offered: false }
    }

    /// Before an edge; true if a word passes in it.
    fn drive(&mut self, sim: &mut Simulator, wants: bool) {
        self.offered |= wants;
        sim.poke(&format!("{}_valid", self.prefix), u64::from(self.offered));
        // What stands there without `valid` must not matter.
        let payload = if self.offered { self.next & 0xfff } else { 0xbad };
        sim.poke(&format!("{}_payload", self.prefix), payload);
    }

    fn taken(&mut self, sim: &mut Simulator) -> Option<u64> {
        let passes = self.offered && sim.peek(&format!("{}_ready", self.prefix)) == 1;
        if !passes {
            return None;
        }
        self.offered = false;
        self.next += 1;
        Some(self.next - 1)
    }
}

/// Takes words from a stream, and checks the source's side of the contract.
struct Sink {
    prefix: String,
    waiting: Option<u64>,
}

impl Sink {
    fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), waiting: None }
    }

    fn drive(&mut self, sim: &mut Simulator, ready: bool) {
        sim.poke(&format!("{}_ready", self.prefix), u64::from(ready));
    }

    fn taken(&mut self, sim: &mut Simulator) -> Option<u64> {
        let valid = sim.peek(&format!("{}_valid", self.prefix)) == 1;
        let payload = sim.peek(&format!("{}_payload", self.prefix));
        if let Some(before) = self.waiting {
            assert!(valid, "{}: `valid` fell before the word was taken", self.prefix);
            assert_eq!(
                payload, before,
                "{}: the payload changed before the word was taken",
                self.prefix
            );
        }
        let ready = sim.peek(&format!("{}_ready", self.prefix)) == 1;
        self.waiting = (valid && !ready).then_some(payload);
        (valid && ready).then_some(payload)
    }
}

/// Sends words through, with the given chances of offering and taking in a cycle; gives how many passed in `cycles`.
fn traffic(mut sim: Simulator, cycles: u64, offer: f64, take: f64, capacity: usize) -> u64 {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut source, mut sink) = (Source::new("push", 0), Sink::new("pop"));
    let mut inside = VecDeque::new();
    let mut passed = 0;
    let mut fullest = 0;
    for _ in 0..cycles {
        source.drive(&mut sim, rng.f64() < offer);
        sink.drive(&mut sim, rng.f64() < take);
        let (came, went) = (source.taken(&mut sim), sink.taken(&mut sim));
        if let Some(word) = went {
            assert_eq!(
                inside.pop_front().map(|word| word & 0xfff),
                Some(word),
                "a word was lost, doubled or overtaken"
            );
            passed += 1;
        }
        inside.extend(came);
        fullest = fullest.max(inside.len());
        sim.step();
    }
    assert!(fullest <= capacity, "{fullest} words were inside, with room for {capacity}");
    if take < 0.5 && offer > 0.5 {
        assert_eq!(fullest, capacity, "the component never filled up");
    }
    passed
}

#[test]
fn queues_keep_order_lose_nothing_and_fill_up() {
    for depth in [1, 2, 3, 4, 7, 16] {
        let plain = || simulator(Fifo::<Main>::new(12, depth));
        let block = || simulator(BlockFifo::<Main>::new(12, depth));
        for (offer, take) in [(0.5, 0.5), (0.9, 0.2), (0.2, 0.9), (1.0, 1.0)] {
            let passed = traffic(plain(), 2000, offer, take, depth as usize);
            assert!(passed > 150, "only {passed} words passed");
            traffic(block(), 2000, offer, take, depth as usize + 1);
        }
        if depth > 1 {
            assert!(
                traffic(plain(), 1000, 1.0, 1.0, depth as usize) >= 998,
                "a word in each cycle"
            );
        }
        if depth > 2 {
            assert!(
                traffic(block(), 1000, 1.0, 1.0, depth as usize + 1) >= 996,
                "a word in each cycle"
            );
        }
    }
}

#[test]
fn queues_tell_their_level() {
    let mut sim = simulator(Fifo::<Main>::new(12, 3));
    sim.poke("push_valid", 1);
    for level in [0, 1, 2, 3, 3] {
        assert_eq!(sim.peek("level"), level);
        sim.step();
    }
    assert_eq!(sim.peek("push_ready"), 0);
    sim.poke("push_valid", 0);
    sim.poke("pop_ready", 1);
    sim.step_n(2);
    assert_eq!(sim.peek("level"), 1);
}

#[test]
fn skid_buffers_pass_a_word_in_each_cycle() {
    let buffer = || simulator(SkidBuffer::<Main>::new(12));
    for (offer, take) in [(0.5, 0.5), (0.9, 0.2), (0.2, 0.9)] {
        traffic(buffer(), 2000, offer, take, 2);
    }
    assert!(traffic(buffer(), 1000, 1.0, 1.0, 2) >= 998);
}

#[test]
fn skid_buffers_cut_all_paths() {
    let mut sim = simulator(SkidBuffer::<Main>::new(4));
    let outputs =
        |sim: &mut Simulator| ["push_ready", "pop_valid", "pop_payload"].map(|port| sim.peek(port));
    let before = outputs(&mut sim);
    for port in ["push_valid", "push_payload", "pop_ready"] {
        sim.poke(port, 1);
        assert_eq!(outputs(&mut sim), before, "an output follows `{port}` in the same cycle");
    }
}

#[test]
fn dual_clock_queues_survive_any_order_of_edges() {
    for (main_share, offer, take) in
        [(0.5, 0.7, 0.7), (0.9, 1.0, 1.0), (0.1, 1.0, 1.0), (0.5, 1.0, 0.1)]
    {
        let mut sim = simulator(AsyncFifo::<Main, Slow>::new(12, 8));
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut source, mut sink) = (Source::new("push", 0), Sink::new("pop"));
        let mut inside = VecDeque::new();
        let mut passed = 0;
        for _ in 0..6000 {
            let both = rng.f64() < 0.1;
            let main = both || rng.f64() < main_share;
            let slow = both || !main;
            if main {
                source.drive(&mut sim, rng.f64() < offer);
            }
            if slow {
                sink.drive(&mut sim, rng.f64() < take);
            }
            let came = main.then(|| source.taken(&mut sim)).flatten();
            let went = slow.then(|| sink.taken(&mut sim)).flatten();
            if let Some(word) = went {
                assert_eq!(inside.pop_front().map(|word| word & 0xfff), Some(word));
                passed += 1;
            }
            inside.extend(came);
            assert!(inside.len() <= 8);
            let domains = [DomainInfo::of::<Main>(), DomainInfo::of::<Slow>()];
            match (main, slow) {
                (true, true) => sim.step_domains(&domains),
                (true, false) => sim.step_domain::<Main>(),
                _ => sim.step_domain::<Slow>(),
            }
        }
        assert!(passed > 200, "only {passed} words passed");
    }
}

#[test]
fn gray_pointers_change_one_bit_at_a_time() {
    let mut sim = simulator(AsyncFifo::<Main, Slow>::new(4, 4));
    sim.poke("push_valid", 1);
    sim.poke("pop_ready", 1);
    let mut before = sim.peek("write_gray");
    let mut moved = 0;
    for _ in 0..100 {
        sim.step();
        let now = sim.peek("write_gray");
        assert!((before ^ now).count_ones() <= 1);
        moved += u32::from(before != now);
        before = now;
    }
    assert!(moved > 30);
}

#[test]
fn levels_arrive_after_two_edges() {
    let mut sim = simulator(Sync2::<Main, Slow>::new());
    sim.poke("level", 1);
    sim.step_domain::<Main>();
    assert_eq!(sim.peek("synced"), 0);
    sim.step_domain::<Slow>();
    assert_eq!(sim.peek("synced"), 0);
    sim.step_domain::<Slow>();
    assert_eq!(sim.peek("synced"), 1);
}

#[test]
fn arbiters_follow_the_round_robin_rule() {
    for n in [1u32, 2, 3, 5, 8] {
        let mut sim = simulator(RoundRobinArbiter::<Main>::new(n));
        let mut rng = fastrand::Rng::with_seed(u64::from(n));
        let mut last: Option<u32> = None;
        for _ in 0..500 {
            let (request, accept) = (rng.u64(..1 << n), rng.bool());
            sim.poke("request", request);
            sim.poke("accept", u64::from(accept));
            // The first request behind the one served last, else the first of all.
            let order = (last.map_or(0, |last| last + 1)..n).chain(0..n);
            let expected = order.clone().find(|i| request >> i & 1 == 1);
            assert_eq!(sim.peek("valid"), u64::from(expected.is_some()));
            assert_eq!(sim.peek("grant"), expected.map_or(0, |i| 1 << i));
            if let Some(i) = expected {
                assert_eq!(sim.peek("index"), u64::from(i));
                if accept {
                    last = Some(i);
                }
            }
            sim.step();
        }
    }
}

#[test]
fn arbiters_starve_nobody() {
    let mut sim = simulator(RoundRobinArbiter::<Main>::new(5));
    sim.poke("request", 0b11111);
    sim.poke("accept", 1);
    let mut served = [0; 5];
    for _ in 0..50 {
        served[sim.peek("index") as usize] += 1;
        sim.step();
    }
    assert_eq!(served, [10; 5]);
}

#[test]
fn merges_lose_nothing_and_keep_each_streams_order() {
    let mut sim = simulator(StreamMerge::<Main>::new(12, 3));
    let mut rng = fastrand::Rng::with_seed(5);
    let mut sources: Vec<Source> =
        (0..3).map(|i| Source::new(&format!("sources_{i}"), i << 10)).collect();
    let mut sink = Sink::new("sink");
    let mut next: Vec<u64> = (0..3).map(|i| i << 10).collect();
    let mut served = [0; 3];
    for _ in 0..3000 {
        for source in &mut sources {
            // Numbers stay within the stream's own tenth and eleventh bit.
            source.next = source.next & !0x3ff & 0xc00 | source.next & 0x3ff;
            source.drive(&mut sim, rng.f64() < 0.6);
        }
        sink.drive(&mut sim, rng.f64() < 0.6);
        let came: Vec<Option<u64>> =
            sources.iter_mut().map(|source| source.taken(&mut sim)).collect();
        let chosen = sim.peek("chosen") as usize;
        let went = sink.taken(&mut sim);
        assert_eq!(
            came.iter().flatten().count(),
            usize::from(went.is_some()),
            "words pass straight through"
        );
        if let Some(word) = went {
            let stream = (word >> 10) as usize;
            assert_eq!(stream, chosen);
            assert_eq!(word & 0x3ff, next[stream] & 0x3ff);
            next[stream] += 1;
            served[stream] += 1;
        }
        sim.step();
    }
    assert!(served.iter().all(|&count| count > 400), "unfair: {served:?}");
}

#[test]
fn priority_encoders_find_the_lowest_bit() {
    for width in 1..=9 {
        let mut sim = simulator(PriorityEncoder::<Main>::new(width));
        for bits in 0..1u64 << width {
            sim.poke("bits", bits);
            assert_eq!(sim.peek("any"), u64::from(bits != 0));
            if bits != 0 {
                assert_eq!(
                    sim.peek("index"),
                    u64::from(bits.trailing_zeros()),
                    "width {width}, bits {bits:b}"
                );
            }
        }
    }
}

#[test]
fn counters_wrap_at_their_limit() {
    for limit in [1, 2, 3, 8, 10] {
        let mut sim = simulator(Counter::<Main>::new(limit));
        let mut rng = fastrand::Rng::with_seed(limit);
        let mut value = 0;
        for _ in 0..200 {
            let (clear, enable) = (rng.u8(..10) == 0, rng.bool());
            sim.poke("clear", u64::from(clear));
            sim.poke("enable", u64::from(enable));
            assert_eq!(sim.peek("value"), value);
            let wraps = enable && !clear && value == limit - 1;
            assert_eq!(sim.peek("wraps"), u64::from(wraps));
            value = if clear || wraps { 0 } else { value + u64::from(enable) };
            sim.step();
        }
    }
}

/// Both multipliers, and the pieces of streams.
struct Pieces;

#[derive(Clone, Ports)]
struct PiecesIo {
    enable: Input<Bool>,
    a: Input<SInt>,
    b: Input<SInt>,
    signed: Output<SInt>,
    unsigned: Output<UInt>,
    push: StreamIn<UInt>,
    open: Input<Bool>,
    pops: Vec<StreamOut<UInt>>,
}

impl Component for Pieces {
    type Io = PiecesIo;

    fn name(&self) -> String {
        "pieces".into()
    }

    fn io(&self) -> PiecesIo {
        PiecesIo {
            enable: input(boolean()),
            a: input(sint(8)),
            b: input(sint(16)),
            signed: output(sint(24)),
            unsigned: output(uint(24)),
            push: stream_in(uint(8)),
            open: input(boolean()),
            pops: vec![stream_out(uint(9)); 2],
        }
    }

    fn build(&self, io: PiecesIo) {
        io.signed.set(multiply_signed("signed_multiplier", io.enable, io.a, io.b));
        io.unsigned.set(multiply_unsigned(
            "unsigned_multiplier",
            io.enable,
            io.a.as_uint(),
            io.b.as_uint(),
        ));
        let gated: Channel<UInt> = gate("gated", &io.push, io.open.value());
        let wider = gated.map(|word| word.zext(9));
        route(&wider, wider.payload().bits(0..1), &io.pops);
    }
}

#[test]
fn multipliers_take_two_enabled_cycles() {
    let mut sim = simulator(Pieces);
    sim.poke_signed("a", -7);
    sim.poke_signed("b", 300);
    sim.poke("enable", 1);
    sim.step();
    sim.poke("enable", 0);
    sim.step();
    assert_eq!(sim.peek_signed("signed"), 0);
    sim.poke("enable", 1);
    sim.step();
    assert_eq!(sim.peek_signed("signed"), -2100);
    assert_eq!(sim.peek("unsigned"), 249 * 300);
}

#[test]
fn gates_and_routes_steer_words() {
    let mut sim = simulator(Pieces);
    sim.poke("push_valid", 1);
    sim.poke("push_payload", 5);
    sim.poke("pops_1_ready", 1);
    let seen = |sim: &mut Simulator| {
        ["pops_0_valid", "pops_1_valid", "push_ready"].map(|port| sim.peek(port))
    };
    assert_eq!(seen(&mut sim), [0, 0, 0]);
    sim.poke("open", 1);
    assert_eq!(seen(&mut sim), [0, 1, 1]);
    assert_eq!(sim.peek("pops_1_payload"), 5);
    sim.poke("push_payload", 4);
    assert_eq!(seen(&mut sim), [1, 0, 0]);
}

/// Bytes over a serial line, from a transmitter to a receiver whose bits last a little longer or shorter.
fn serial_line(sender: u32, receiver: u32) {
    let mut from = simulator(UartTransmitter { clocks_per_bit: sender });
    let mut to = simulator(UartReceiver { clocks_per_bit: receiver });
    from.reset();
    to.poke("line", 1);
    to.reset();
    assert_eq!(from.peek("line"), 1, "an idle line is high");
    let mut sink = Sink::new("bytes");
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for cycle in 0..40 * 12 * sender {
        // Without and with a pause between bytes.
        let byte = (sent.len() as u64).wrapping_mul(0x9d) & 0xff;
        from.poke("bytes_valid", u64::from(cycle < 200 * sender || cycle % 97 < 50));
        from.poke("bytes_payload", byte);
        sink.drive(&mut to, cycle % 7 == 0);
        let line = from.peek("line");
        to.poke("line", line);
        assert_eq!(to.peek("lost"), 0, "cycle {cycle}");
        if from.peek("bytes_valid") & from.peek("bytes_ready") == 1 {
            sent.push(byte);
        }
        received.extend(sink.taken(&mut to));
        from.step();
        to.step();
    }
    assert!(received.len() > 20, "{sender}, {receiver}: {received:?}");
    assert!(sent.starts_with(&received), "{sender}, {receiver}: {sent:?}, {received:?}");
}

#[test]
fn bytes_pass_a_serial_line_whose_ends_differ_by_a_few_percent() {
    for (sender, receiver) in [(4, 4), (5, 5), (16, 16), (48, 50), (50, 48)] {
        serial_line(sender, receiver);
    }
}

#[test]
fn a_serial_receiver_tells_of_lost_bytes_and_finds_the_next_one() {
    let mut sim = simulator(UartReceiver { clocks_per_bit: 8 });
    sim.poke("line", 1);
    sim.poke("bytes_ready", 0);
    sim.reset();
    let mut lost = 0;
    let mut send = |sim: &mut Simulator, byte: u64, stop: u64| {
        for level in (0..10).map(|bit| (stop << 9 | byte << 1) >> bit & 1).chain([1, 1]) {
            sim.poke("line", level);
            for _ in 0..8 {
                lost += sim.peek("lost");
                sim.step();
            }
        }
        lost
    };
    assert_eq!(send(&mut sim, 0x41, 1), 0);
    assert_eq!(send(&mut sim, 0x42, 1), 1, "the first byte still waits");
    assert_eq!((sim.peek("bytes_valid"), sim.peek("bytes_payload")), (1, 0x41));
    sim.poke("bytes_ready", 1);
    sim.step();
    sim.poke("bytes_ready", 0);
    assert_eq!(sim.peek("bytes_valid"), 0);
    assert_eq!(send(&mut sim, 0x43, 0), 2, "no stop bit");
    assert_eq!(send(&mut sim, 0x44, 1), 2);
    assert_eq!((sim.peek("bytes_valid"), sim.peek("bytes_payload")), (1, 0x44));
}

/// A clock with `TIMES` cycles in one of the main clock.
#[derive(Clone, Copy, Debug)]
struct Fast<const TIMES: u32>;

impl<const TIMES: u32> Domain for Fast<TIMES> {
    const NAME: &'static str = "fast";
    const CLOCK: &'static str = "fast_clk";
    const RESET: &'static str = "fast_rst";
    const MULTIPLE: u32 = TIMES;
}

/// Takes a value to the fast clock and back, and its nibbles one by one.
#[derive(Clone, Debug)]
struct ThereAndBack<const TIMES: u32>;

#[derive(Clone, Ports)]
struct ThereAndBackIo<const TIMES: u32> {
    value: Input<UInt>,
    held: Output<UInt<Fast<TIMES>>>,
    piece: Output<UInt<Fast<TIMES>>>,
    back: Output<UInt>,
    phases: Output<UInt<Fast<TIMES>>>,
}

impl<const TIMES: u32> Component for ThereAndBack<TIMES> {
    type Io = ThereAndBackIo<TIMES>;

    fn name(&self) -> String {
        "there_and_back".into()
    }

    fn io(&self) -> Self::Io {
        ThereAndBackIo {
            value: input(uint(16)),
            held: output(UInt::of(16)),
            piece: output(UInt::of(4)),
            back: output(uint(16)),
            phases: output(UInt::of(TIMES)),
        }
    }

    fn build(&self, io: Self::Io) {
        let phases = Phases::<Fast<TIMES>>::new();
        let held = phases.of_main("held_q", io.value.value());
        io.held.set(held);
        io.piece.set(phases.pieces_of_main("pieces", io.value.value(), 4));
        io.back.set(delayed("back_q", phases.to_main("to_main", held)));
        let is: Vec<_> = (0..TIMES).rev().map(|phase| phases.is(phase).as_uint()).collect();
        io.phases.set(cat(&is));
    }
}

/// Looks at both ways as each cycle of the main clock begins.
fn goes_there_and_back<const TIMES: u32>() {
    let design = elaborate(ThereAndBack::<TIMES>).expect("the component is valid");
    assert_eq!(design.multiples(), [("fast_clk", TIMES)]);
    let mut sim = design.simulator();
    let value = |cycle: u64| (cycle * 0x3a5d + 0x1234) & 0xffff;
    for cycle in 0..50 {
        sim.poke("value", value(cycle));
        // As a step begins, the first phase has just begun: what was held in the last phase still is.
        if cycle >= 3 {
            assert_eq!(sim.peek("phases"), 1, "cycle {cycle}");
            assert_eq!(sim.peek("held"), value(cycle - 1), "cycle {cycle}");
            assert_eq!(sim.peek("piece"), value(cycle - 1) >> 4 & 0xf, "cycle {cycle}");
        }
        if cycle >= 4 {
            assert_eq!(sim.peek("back"), value(cycle - 2), "cycle {cycle}");
        }
        sim.step();
    }
}

#[test]
fn values_go_to_a_multiple_of_the_clock_and_back() {
    goes_there_and_back::<2>();
    goes_there_and_back::<4>();
}
