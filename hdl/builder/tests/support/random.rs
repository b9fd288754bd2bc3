//! Components made at random from a seed, and a closed design round them.

use rtl_builder::bundle::width;
use rtl_builder::prelude::*;
use std::cell::RefCell;

/// Results wider than this are cut.
const MAX_WIDTH: u32 = 150;

/// A component that a seed decides on.
pub struct RandomGraph {
    pub seed: u64,
    /// Number of operations.
    pub size: usize,
    /// Levels of instances below.
    pub depth: u32,
}

#[derive(Clone, Ports)]
pub struct GraphIo {
    /// Unsigned inputs
    pub u: Vec<Input<UInt>>,
    /// Signed inputs
    pub s: Vec<Input<SInt>>,
    /// Conditions
    pub c: Vec<Input<Bool>>,
    pub result_u: Vec<Output<UInt>>,
    pub result_s: Vec<Output<SInt>>,
    /// All other values, folded together
    pub rest: Output<UInt>,
}

#[derive(Clone, Bundle)]
struct Pair {
    low: UInt,
    high: SInt,
    flag: Bool,
}

const WIDTHS: [u32; 12] = [1, 2, 3, 5, 8, 13, 16, 31, 32, 33, 64, 65];

impl Component for RandomGraph {
    type Io = GraphIo;

    fn name(&self) -> String {
        format!("graph_s{}_n{}_d{}", self.seed, self.size, self.depth)
    }

    fn doc(&self) -> String {
        format!("Random graph of seed {}", self.seed)
    }

    fn io(&self) -> GraphIo {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut any = || WIDTHS[rng.usize(..WIDTHS.len())];
        GraphIo {
            u: (0..3).map(|_| input(uint(any()))).collect(),
            s: (0..3).map(|_| input(sint(any()))).collect(),
            c: vec![input(boolean()), input(boolean())],
            result_u: (0..2).map(|_| output(uint(any()))).collect(),
            result_s: (0..2).map(|_| output(sint(any()))).collect(),
            rest: output(uint(40)),
        }
    }

    fn build(&self, io: GraphIo) {
        let rng = fastrand::Rng::with_seed(self.seed ^ 0x5eed);
        let mut pool = Pool {
            rng: RefCell::new(rng),
            u: io.u.iter().map(|port| port.value()).collect(),
            s: io.s.iter().map(|port| port.value()).collect(),
            b: io.c.iter().map(|port| port.value()).collect(),
            names: 0,
        };
        for _ in 0..self.size {
            pool.operation(self);
        }
        for output in &io.result_u {
            output.set(pool.uint().resize(output.width()));
        }
        for output in &io.result_s {
            output.set(pool.sint().resize(output.width()));
        }
        let rotated = |value: UInt, by: u32| match by % 40 {
            0 => value,
            by => value.bits(0..40 - by).concat(value.bits(40 - by..40)),
        };
        let numbers = pool.u.iter().copied().chain(pool.s.iter().map(|value| value.as_uint()));
        let conditions = pool.b.iter().map(|value| value.as_uint());
        let mut folded: Vec<UInt> = numbers
            .chain(conditions)
            .enumerate()
            .map(|(i, value)| rotated(fold(value, 40), 7 * i as u32))
            .collect();
        // A tree, not a chain: event-driven simulators would see each change as often as the chain is long.
        while folded.len() > 1 {
            folded = folded
                .chunks(2)
                .map(|pair| if pair.len() == 2 { pair[0] ^ pair[1] } else { pair[0] })
                .collect();
        }
        let rest = folded[0];
        io.rest.set(rest);
    }
}

/// The XOR of a value's pieces of `width` bits.
fn fold(value: UInt, width: u32) -> UInt {
    let mut sum = UInt::lit(0, width);
    let mut at = 0;
    while at < value.width() {
        let count = width.min(value.width() - at);
        sum = sum ^ value.bits(at..at + count).zext(width);
        at += count;
    }
    sum
}

struct Pool {
    rng: RefCell<fastrand::Rng>,
    u: Vec<UInt>,
    s: Vec<SInt>,
    b: Vec<Bool>,
    names: usize,
}

impl Pool {
    fn below(&self, limit: usize) -> usize {
        self.rng.borrow_mut().usize(..limit)
    }

    fn word(&self) -> u64 {
        self.rng.borrow_mut().u64(..)
    }

    /// Half of the time one of the newest values, so that graphs grow deep.
    fn pick<T: Copy>(&self, from: &[T]) -> T {
        let recent = from.len().saturating_sub(6);
        if self.below(2) == 0 {
            from[recent + self.below(from.len() - recent)]
        } else {
            from[self.below(from.len())]
        }
    }

    fn uint(&self) -> UInt {
        if self.below(12) == 0 {
            let bits = self.width();
            let words = [self.word(), self.word()];
            return UInt::from_bits(&Bits::from_words(bits, &words));
        }
        self.pick(&self.u)
    }

    fn sint(&self) -> SInt {
        if self.below(12) == 0 {
            let bits = self.width();
            let words = [self.word(), self.word()];
            return SInt::from_bits(&Bits::from_words(bits, &words));
        }
        self.pick(&self.s)
    }

    fn bool(&self) -> Bool {
        self.pick(&self.b)
    }

    fn width(&self) -> u32 {
        WIDTHS[self.below(WIDTHS.len())]
    }

    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    fn add_u(&mut self, value: UInt) {
        let value = if value.width() > MAX_WIDTH { value.trunc(MAX_WIDTH) } else { value };
        let value = if self.below(5) == 0 { value.named(self.name("nu")) } else { value };
        self.u.push(value);
    }

    fn add_s(&mut self, value: SInt) {
        let value = if value.width() > MAX_WIDTH { value.trunc(MAX_WIDTH) } else { value };
        let value = if self.below(5) == 0 { value.named(self.name("ns")) } else { value };
        self.s.push(value);
    }

    fn add_b(&mut self, value: Bool) {
        let value = if self.below(8) == 0 { value.named(self.name("nb")) } else { value };
        self.b.push(value);
    }

    fn operation(&mut self, graph: &RandomGraph) {
        match self.below(16) {
            0..=3 => self.unsigned(),
            4..=7 => self.signed(),
            8 | 9 => self.condition(),
            10 => self.choice(),
            11 => self.wires(),
            12 => self.registers(),
            13 => self.memory(),
            14 => self.machine(),
            _ => self.instance(graph),
        }
    }

    fn unsigned(&mut self) {
        let (a, b) = (self.uint(), self.uint());
        let width = self.width();
        let low = self.below(a.width() as usize) as u32;
        let count = 1 + self.below((a.width() - low) as usize) as u32;
        let value = match self.below(22) {
            0 => a + b,
            1 => a.wrapping_add(b),
            2 => a.wrapping_sub(b),
            3 => a * b,
            4 => a.wrapping_mul(b),
            5 => a & b.resize(a.width()),
            6 => a | b.resize(a.width()),
            7 => a ^ b.resize(a.width()),
            8 => !a,
            9 => a.trunc(count),
            10 => a.sat(width),
            11 => a.zext(a.width() + width),
            12 => a.bits(low..low + count),
            13 => a.concat(b),
            14 => a << (1 + low % 7),
            15 if a.width() > 1 => a >> (a.width() / 2),
            16 => a.shift_left(b.resize(7)),
            17 => a.shift_right(b.resize(7)),
            18 => a.min(b),
            19 => a.reverse(),
            20 => self.sint().abs(),
            _ => self.sint().as_uint(),
        };
        self.add_u(value);
    }

    fn signed(&mut self) {
        let (a, b) = (self.sint(), self.sint());
        let width = self.width();
        let value = match self.below(19) {
            0 => a + b,
            1 => a - b,
            2 => a * b,
            3 => a.wrapping_add(b),
            4 => a.wrapping_sub(b),
            5 => a.wrapping_mul(b),
            6 => -a,
            7 => !a,
            8 => a & b.resize(a.width()),
            9 => a ^ b.resize(a.width()),
            10 => a.resize(width),
            11 => a.sat(width),
            12 => a.sext(a.width() + width),
            13 => a << 3,
            14 if a.width() > 1 => a >> (a.width() / 2),
            15 => a.shift_right(self.uint().resize(7)),
            16 => a.max(b),
            17 => self.uint() - self.uint(),
            _ => self.uint().as_sint(),
        };
        self.add_s(value);
    }

    fn condition(&mut self) {
        let (a, b) = (self.uint(), self.uint());
        let (x, y) = (self.sint(), self.sint());
        let value = match self.below(18) {
            0 => a.eq(b),
            1 => a.ne(b),
            2 => a.lt(b),
            3 => a.ge(b),
            4 => x.eq(y),
            5 => x.lt(y),
            6 => x.le(y),
            7 => x.gt(y),
            8 => x.lt(SInt::lit(-1, 3)),
            9 => a.reduce_or(),
            10 => a.reduce_and(),
            11 => a.reduce_xor(),
            12 => self.bool() & self.bool(),
            13 => self.bool() | !self.bool(),
            14 => self.bool() ^ self.bool(),
            15 => a.bit_at(b.resize(5)),
            16 => x.is_negative(),
            _ => !(a.eq(0)),
        };
        self.add_b(value);
    }

    fn choice(&mut self) {
        let key = self.uint().resize(3);
        let width = self.width();
        let values: Vec<UInt> = (0..5).map(|_| self.uint().resize(width)).collect();
        match self.below(4) {
            0 => self.add_u(select(key, &values)),
            1 => {
                let arms: Vec<(u64, UInt)> =
                    [1, 2, 6].into_iter().zip(values.iter().copied()).collect();
                self.add_u(lookup(key, &arms, values[4]));
            }
            2 => {
                let choices: Vec<(Bool, UInt)> =
                    values.iter().map(|&value| (self.bool(), value)).collect();
                self.add_u(priority_mux(&choices, 0));
            }
            _ => {
                let pair = |this: &Self| Pair {
                    low: this.uint().resize(width),
                    high: this.sint().resize(9),
                    flag: this.bool(),
                };
                let chosen = mux(self.bool(), pair(self), pair(self));
                let packed: UInt = pack(chosen.clone());
                let again = unpack(&chosen, packed);
                self.add_u(again.low);
                self.add_s(again.high);
                self.add_b(again.flag);
            }
        }
    }

    fn wires(&mut self) {
        let width = self.width();
        let w = wire(self.name("w"), uint(width));
        let (x, y, z) =
            (self.uint().resize(width), self.uint().resize(width), self.uint().resize(width));
        let (c, d) = (self.bool(), self.bool());
        let key = self.uint().resize(2);
        match self.below(3) {
            0 => w.set(x.wrapping_add(y)),
            1 => {
                w.set(x);
                when(c, || w.set(y)).elsewhen(d, || {
                    when(c ^ d, || w.set(z));
                });
            }
            _ => switch(key)
                .is(0, || w.set(x))
                .any_of(&[1, 2], || w.set(y ^ z))
                .is(3, || {
                    when(c, || w.set(z)).otherwise(|| w.set(!x));
                })
                .default(|| w.set(0)),
        }
        self.add_u(w.value());
    }

    fn registers(&mut self) {
        let width = self.width();
        let reset = self.word() & (u64::MAX >> (64 - width.min(64)));
        let a = reg(self.name("ra"), uint(width), UInt::from_bits(&Bits::new(width, reset)));
        let b = reg(self.name("rb"), sint(width + 3), -2);
        let (x, y) = (self.uint().resize(width), self.sint().resize(width + 3));
        let (c, d) = (self.bool(), self.bool());
        when(c, || {
            a.next(a.wrapping_add(x));
            when(d, || b.next(y.wrapping_mul(b)));
        })
        .otherwise(|| b.next(b.wrapping_add(1)));
        when(d & c, || a.next(x));
        self.add_u(a.value());
        self.add_s(b.value());
        let late = delayed(self.name("late"), self.uint());
        self.add_u(late);
    }

    fn memory(&mut self) {
        let shape = Pair { low: uint(self.width()), high: sint(7), flag: boolean() };
        let depth = 16;
        let bits = width(&shape);
        let initial = (0..depth).map(|i| Bits::new(bits, i * 37 + 5)).collect();
        let data = Pair {
            low: self.uint().resize(shape.low.width()),
            high: self.sint().resize(7),
            flag: self.bool(),
        };
        let (enable, write_at, read_at) =
            (self.bool(), self.uint().resize(4), self.uint().resize(4));
        let word = if self.below(2) == 0 {
            let memory = SyncMem::new(self.name("block"), shape, depth).with_initial(initial);
            let running = !Bool::reset();
            if bits.is_multiple_of(2) && self.below(2) == 0 {
                memory.write_lanes(enable & running, write_at, data, self.uint().resize(2));
            } else {
                memory.write(enable & running, write_at, data);
            }
            memory.read(self.bool() | Bool::reset(), read_at)
        } else {
            let memory = AsyncMem::new(self.name("small"), shape, depth).with_initial(initial);
            memory.write(enable & !Bool::reset(), write_at, data);
            memory.read(read_at)
        };
        self.add_u(word.low);
        self.add_s(word.high);
        self.add_b(word.flag);
    }

    fn machine(&mut self) {
        #[derive(Clone, Copy, State)]
        enum Step {
            Idle,
            Load,
            WaitForIt,
        }
        let step = fsm(self.name("step"), Step::Load);
        let n = reg(self.name("n"), uint(4), 3);
        let (c, d) = (self.bool(), self.bool());
        step.switch()
            .on(Step::Idle, || {
                when(c, || step.go(Step::Load));
            })
            .on(Step::Load, || {
                n.next(n.wrapping_sub(1));
                step.go(Step::WaitForIt);
            })
            .default(|| {
                when(d | n.is_zero(), || step.go(Step::Idle));
            });
        self.add_b(step.is(Step::WaitForIt));
        self.add_u(n.value());
    }

    fn instance(&mut self, graph: &RandomGraph) {
        if graph.depth == 0 {
            return self.signed();
        }
        let seed = graph.seed * 31 + self.below(3) as u64;
        let child = RandomGraph { seed, size: graph.size / 2, depth: graph.depth - 1 };
        let io = instance(self.name("sub"), child);
        for port in &io.u {
            port.set(self.uint().resize(port.width()));
        }
        for port in &io.s {
            port.set(self.sint().resize(port.width()));
        }
        for port in &io.c {
            port.set(self.bool());
        }
        for output in &io.result_u {
            self.add_u(output.value());
        }
        for output in &io.result_s {
            self.add_s(output.value());
        }
        self.add_u(io.rest.value());
    }
}

/// Several random graphs, each driven by words of a memory with random contents: it has outputs only.
pub struct Closed {
    pub seeds: Vec<u64>,
    pub size: usize,
    /// Words of stimulus, a power of two; they repeat.
    pub stimulus: u64,
}

#[derive(Clone, Ports)]
pub struct ClosedIo {
    pub result_u: Vec<Vec<Output<UInt>>>,
    pub result_s: Vec<Vec<Output<SInt>>>,
    pub rest: Vec<Output<UInt>>,
}

impl Closed {
    fn graph(&self, seed: u64) -> RandomGraph {
        RandomGraph { seed, size: self.size, depth: 1 }
    }
}

impl Component for Closed {
    type Io = ClosedIo;

    fn name(&self) -> String {
        "closed".into()
    }

    fn io(&self) -> ClosedIo {
        let ios: Vec<GraphIo> = self.seeds.iter().map(|&seed| self.graph(seed).io()).collect();
        ClosedIo {
            result_u: ios.iter().map(|io| io.result_u.clone()).collect(),
            result_s: ios.iter().map(|io| io.result_s.clone()).collect(),
            rest: ios.iter().map(|io| io.rest).collect(),
        }
    }

    fn build(&self, io: ClosedIo) {
        let address_width = bits_for(self.stimulus);
        let cycle = reg("cycle", uint(address_width), 0);
        cycle.next(cycle.wrapping_add(1));
        for (i, &seed) in self.seeds.iter().enumerate() {
            let graph = instance(format!("graph{i}"), self.graph(seed));
            let shapes = self.graph(seed).io();
            let shape = (
                shapes.u.iter().map(|port| port.value()).collect::<Vec<UInt>>(),
                shapes.s.iter().map(|port| port.value()).collect::<Vec<SInt>>(),
                shapes.c.iter().map(|port| port.value()).collect::<Vec<Bool>>(),
            );
            let mut rng = fastrand::Rng::with_seed(seed + 1000);
            let bits = width(&shape);
            let mut word = || {
                // Some words are extreme: all zeros or all ones.
                let fill = rng.u8(..8);
                let words: Vec<u64> = (0..8)
                    .map(|_| match fill {
                        0 => 0,
                        1 => u64::MAX,
                        _ => rng.u64(..),
                    })
                    .collect();
                Bits::from_words(bits, &words)
            };
            let contents = (0..self.stimulus).map(|_| word()).collect();
            let memory =
                AsyncMem::new(format!("stimulus{i}"), shape, self.stimulus).with_initial(contents);
            let (u, s, c) = memory.read(cycle);
            graph.u.iter().zip(u).for_each(|(port, value)| port.set(value));
            graph.s.iter().zip(s).for_each(|(port, value)| port.set(value));
            graph.c.iter().zip(c).for_each(|(port, value)| port.set(value));
            io.result_u[i].iter().zip(&graph.result_u).for_each(|(port, value)| port.set(value));
            io.result_s[i].iter().zip(&graph.result_s).for_each(|(port, value)| port.set(value));
            io.rest[i].set(graph.rest);
        }
    }
}
