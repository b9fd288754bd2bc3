//! Components that show each construct once; their Verilog is kept beside the tests.

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;
use rtl_builder::stock::{AsyncFifo, BlockFifo, StreamMerge, fifo, multiply_signed, skid};

/// A second clock domain.
#[derive(Clone, Copy, Debug)]
pub struct Link;

impl Domain for Link {
    const NAME: &'static str = "link";
    const CLOCK: &'static str = "link_clk";
    const RESET: &'static str = "link_rst";
}

/// Arithmetic with its widths and signs.
pub struct Arithmetic;

#[derive(Clone, Ports)]
pub struct ArithmeticIo {
    /// Unsigned operands
    a: Input<UInt>,
    b: Input<UInt>,
    /// Signed operands
    x: Input<SInt>,
    y: Input<SInt>,
    sum: Output<UInt>,
    difference: Output<SInt>,
    product: Output<SInt>,
    scaled: Output<SInt>,
    clipped: Output<SInt>,
    flags: Output<UInt>,
}

impl Component for Arithmetic {
    type Io = ArithmeticIo;

    fn name(&self) -> String {
        "arithmetic".into()
    }

    fn doc(&self) -> String {
        "Operators, their widths and signs.\nEvery result keeps all bits unless it says otherwise."
            .into()
    }

    fn io(&self) -> ArithmeticIo {
        ArithmeticIo {
            a: input(uint(8)),
            b: input(uint(8)),
            x: input(sint(8)),
            y: input(sint(16)),
            sum: output(uint(9)),
            difference: output(sint(9)),
            product: output(sint(24)),
            scaled: output(sint(12)),
            clipped: output(sint(8)),
            flags: output(uint(5)),
        }
    }

    fn build(&self, io: ArithmeticIo) {
        io.sum.set(io.a + io.b);
        io.difference.set(io.a - io.b);
        io.product.set(io.x * io.y);
        let biased =
            (io.x * io.y + io.x).named("biased").doc("Product with the operand added once more");
        io.scaled.set((biased >> 4).sat(12));
        io.clipped.set((io.x + io.y).shift_right(io.b.trunc(3)).sat(8));
        let any = io.a.reduce_or() & !io.b.eq(3);
        io.flags.set(cat(&[
            io.a.lt(io.b).as_uint(),
            io.x.lt(io.y).as_uint(),
            io.x.ge(-5).as_uint(),
            any.as_uint(),
            (io.a.bits(4..8) ^ io.b.bits(0..4)).reduce_xor().as_uint(),
        ]));
    }
}

/// A state machine with a counter, in one clocked block.
pub struct Handshake;

#[derive(Clone, Ports)]
pub struct HandshakeIo {
    start: Input<Bool>,
    acknowledge: Input<Bool>,
    request: Output<Bool>,
    /// Cycles that the last request took
    elapsed: Output<UInt>,
    timeout: Output<Bool>,
}

#[derive(Clone, Copy, Debug, State)]
enum Phase {
    Idle,
    Request,
    WaitRelease,
    #[allow(dead_code)]
    Reserved,
}

impl Component for Handshake {
    type Io = HandshakeIo;

    fn name(&self) -> String {
        "handshake".into()
    }

    fn io(&self) -> HandshakeIo {
        HandshakeIo {
            start: input(boolean()),
            acknowledge: input(boolean()),
            request: output(boolean()),
            elapsed: output(uint(8)),
            timeout: output(boolean()),
        }
    }

    fn build(&self, io: HandshakeIo) {
        let phase = fsm("phase", Phase::Idle);
        let count = reg("count", uint(8), 0).doc("Cycles in this request");
        let expired = count.reduce_and().named("expired");
        io.timeout.set(false);
        phase
            .switch()
            .on(Phase::Idle, || {
                when(io.start, || {
                    count.next(0);
                    phase.go(Phase::Request);
                });
            })
            .on(Phase::Request, || {
                count.next(count.wrapping_add(1));
                when(io.acknowledge, || phase.go(Phase::WaitRelease)).elsewhen(expired, || {
                    phase.go(Phase::Idle);
                    io.timeout.set(true);
                });
            })
            .default(|| {
                when(!io.acknowledge, || phase.go(Phase::Idle));
            });
        io.request.set(phase.is(Phase::Request));
        io.elapsed.set(count);
    }
}

/// Memories of both kinds, with lanes and initial contents.
pub struct Memories;

#[derive(Clone, Ports)]
pub struct MemoriesIo {
    write: Input<Bool>,
    address: Input<UInt>,
    data: Input<UInt>,
    lanes: Input<UInt>,
    read_address: Input<UInt>,
    word: Output<UInt>,
    constant: Output<UInt>,
}

impl Component for Memories {
    type Io = MemoriesIo;

    fn name(&self) -> String {
        "memories".into()
    }

    fn io(&self) -> MemoriesIo {
        MemoriesIo {
            write: input(boolean()),
            address: input(uint(10)),
            data: input(uint(32)),
            lanes: input(uint(4)),
            read_address: input(uint(10)),
            word: output(uint(32)),
            constant: output(uint(12)),
        }
    }

    fn build(&self, io: MemoriesIo) {
        let buffer = SyncMem::<UInt>::new("buffer", uint(32), 1024).doc("Packet buffer");
        when(io.write, || buffer.write_lanes(true, io.address, io.data, io.lanes));
        io.word.set(buffer.read(!io.write, io.read_address));
        let squares = (0..12).map(|i: u64| Bits::new(12, i * i)).collect();
        let table = AsyncMem::<UInt>::new("table", uint(12), 16).with_initial(squares);
        io.constant.set(table.read(io.address.trunc(4)));
    }
}

/// Names that Verilog keeps for itself, bits that nothing reads, a wide bus, and shared modules.
pub struct Corners;

#[derive(Clone, Ports)]
pub struct CornersIo {
    buf: Input<UInt>,
    reg: Output<UInt>,
    wide: Output<UInt>,
    parity: Output<Bool>,
}

impl Component for Corners {
    type Io = CornersIo;

    fn name(&self) -> String {
        "corners".into()
    }

    fn io(&self) -> CornersIo {
        CornersIo {
            buf: input(uint(512)),
            reg: output(uint(9)),
            wide: output(uint(300)),
            parity: output(boolean()),
        }
    }

    fn build(&self, io: CornersIo) {
        let case = reg("case", uint(300), 0);
        case.next((io.buf.bits(0..300) + case.value().shift_right(7)).trunc(300));
        io.wide.set(case);
        let left = instance("left", Arithmetic);
        let right = instance("right", Arithmetic);
        for (i, unit) in [&left, &right].into_iter().enumerate() {
            unit.a.set(io.buf.bits(8..16));
            unit.b.set(i + 1);
            unit.x.set(io.buf.bits(16..24).as_sint());
            unit.y.set(-300);
        }
        io.reg.set(left.sum.max(right.sum));
        io.parity.set(right.flags.reduce_xor());
    }
}

/// A packet header: what streams carry.
#[derive(Clone, Debug, Bundle)]
pub struct Header {
    /// Where to
    pub destination: UInt,
    /// How much
    pub credit: SInt,
    pub last: Bool,
}

impl Header {
    fn shape() -> Self {
        Self { destination: uint(6), credit: sint(5), last: boolean() }
    }
}

/// Streams through queues, a merge and to another clock.
pub struct Streams;

#[derive(Clone, Ports)]
pub struct StreamsIo {
    /// Headers that come in
    sources: Vec<StreamIn<Header>>,
    sink: StreamOut<UInt<Link>, Link>,
}

impl Component for Streams {
    type Io = StreamsIo;

    fn name(&self) -> String {
        "streams".into()
    }

    fn io(&self) -> StreamsIo {
        StreamsIo { sources: vec![stream_in(Header::shape()); 2], sink: stream_out(UInt::of(12)) }
    }

    fn build(&self, io: StreamsIo) {
        let merge = instance("merge", StreamMerge::<Main>::new(12, 2));
        let queue = fifo("queue", &io.sources[0], 4);
        let register = skid("register", &io.sources[1]);
        for (source, port) in [queue.pop, register].iter().zip(&merge.sources) {
            port.offer(source.valid(), pack(source.payload()));
            source.accept(port.ready.value());
        }
        let cross = instance("cross", AsyncFifo::<Main, Link>::new(12, 8));
        let store = instance("store", BlockFifo::<Link>::new(12, 512));
        connect(&merge.sink, &cross.push);
        connect(&cross.pop, &store.push);
        connect(&store.pop, &io.sink);
    }
}

/// A multiply-accumulate cell of a systolic array: the weight stays, activations pass to the right, sums downwards.
#[derive(Clone, Copy)]
pub struct MacCell;

#[derive(Clone, Ports)]
pub struct MacCellIo {
    /// Take the weight in this cycle
    pub load: Input<Bool>,
    pub weight: Input<SInt>,
    pub activation: Input<SInt>,
    pub sum: Input<SInt>,
    pub weight_out: Output<SInt>,
    pub activation_out: Output<SInt>,
    pub sum_out: Output<SInt>,
}

impl Component for MacCell {
    type Io = MacCellIo;

    fn name(&self) -> String {
        "mac_cell".into()
    }

    fn doc(&self) -> String {
        "Multiply-accumulate cell: int8 weight, int16 activation".into()
    }

    fn io(&self) -> MacCellIo {
        MacCellIo {
            load: input(boolean()),
            weight: input(sint(8)),
            activation: input(sint(16)),
            sum: input(sint(32)),
            weight_out: output(sint(8)),
            activation_out: output(sint(16)),
            sum_out: output(sint(32)),
        }
    }

    fn build(&self, io: MacCellIo) {
        let weight = reg_uninit("weight_reg", sint(8));
        when(io.load, || weight.next(io.weight));
        io.weight_out.set(weight);
        io.activation_out.set(delayed("activation_reg", io.activation));
        let product = multiply_signed("multiplier", true, weight, io.activation);
        let sum = reg_uninit("sum_reg", sint(32));
        sum.next((product + io.sum).trunc(32));
        io.sum_out.set(sum);
    }
}

/// A square array of [`MacCell`]s.
pub struct MacArray {
    pub size: usize,
}

#[derive(Clone, Ports)]
pub struct MacArrayIo {
    pub load: Input<Bool>,
    pub weights: Vec<Input<SInt>>,
    pub activations: Vec<Input<SInt>>,
    pub sums: Vec<Output<SInt>>,
}

impl Component for MacArray {
    type Io = MacArrayIo;

    fn name(&self) -> String {
        format!("mac_array_n{}", self.size)
    }

    fn io(&self) -> MacArrayIo {
        MacArrayIo {
            load: input(boolean()),
            weights: vec![input(sint(8)); self.size],
            activations: vec![input(sint(16)); self.size],
            sums: vec![output(sint(32)); self.size],
        }
    }

    fn build(&self, io: MacArrayIo) {
        let mut activations: Vec<SInt> = io.activations.iter().map(|port| port.value()).collect();
        let mut weights: Vec<SInt> = io.weights.iter().map(|port| port.value()).collect();
        let mut sums: Vec<SInt> = vec![SInt::lit(0, 32); self.size];
        for (row, activation) in activations.iter_mut().enumerate() {
            for column in 0..self.size {
                let cell = instance(format!("cell_{row}_{column}"), MacCell);
                cell.load.set(io.load);
                cell.weight.set(weights[column]);
                cell.activation.set(*activation);
                cell.sum.set(sums[column]);
                *activation = cell.activation_out.value();
                weights[column] = cell.weight_out.value();
                sums[column] = cell.sum_out.value();
            }
        }
        for (port, sum) in io.sums.iter().zip(sums) {
            port.set(sum);
        }
    }
}
