//! Lanes of a vector register on their way to the context unit.

use super::lanes::split;
use super::operation::lane_bits;
use super::ports::{LanesOut, LanesRequest, thread_bits};
use super::registers::{VectorType, WordAddress, word_of_lane};
use rmt_isa::card::engine::EngineShape;
use rtl_builder::prelude::*;

/// Sends all lanes of a register, one a cycle. A word is read whenever the registers are free.
#[derive(Clone, Debug)]
pub struct LaneSender {
    /// The engine's parameters.
    pub shape: EngineShape,
}

/// Ports of [`LaneSender`].
#[derive(Clone, Ports)]
pub struct LaneSenderIo {
    /// A register is asked for
    pub request: StreamIn<LanesRequest>,
    /// Its lanes
    pub lanes: StreamOut<LanesOut>,
    /// The register whose type is asked for, and whose words are read
    pub address: Output<WordAddress>,
    /// Its type
    pub register_type: Input<VectorType>,
    /// An operation of the thread is not yet finished
    pub busy: Input<Bool>,
    /// A word is wanted
    pub wants_read: Output<Bool>,
    /// The word is read in this cycle
    pub read: Input<Bool>,
    /// The word that was read in the last cycle
    pub word: Input<UInt>,
}

/// What the sender does.
#[derive(Clone, Copy, Debug, State)]
enum Phase {
    /// It takes a request.
    Idle,
    /// It waits for the thread's last operation.
    Look,
    /// It waits for a read of the registers.
    Read,
    /// The word comes.
    Take,
    /// It sends the word's lanes.
    Send,
    /// It sends the one word that stands for an undefined register.
    Empty,
}

impl Component for LaneSender {
    type Io = LaneSenderIo;

    fn name(&self) -> String {
        let s = &self.shape;
        format!("lane_sender_t{}_n{}_l{}", s.threads, s.array, s.vector_lanes)
    }

    fn doc(&self) -> String {
        "Sends the lanes of a vector register to the context unit.".into()
    }

    fn io(&self) -> LaneSenderIo {
        let shape = &self.shape;
        LaneSenderIo {
            request: stream_in(LanesRequest::shape(shape)),
            lanes: stream_out(LanesOut::shape(shape)),
            address: output(WordAddress::shape(shape)),
            register_type: input(VectorType::shape()),
            busy: input(boolean()),
            wants_read: output(boolean()),
            read: input(boolean()),
            word: input(uint(shape.array * 32)),
        }
    }

    fn build(&self, io: LaneSenderIo) {
        let shape = &self.shape;
        let phase = fsm("phase", Phase::Idle);
        let thread = reg_uninit("sent_thread", uint(thread_bits(shape)));
        let register = reg_uninit("sent_register", uint(3));
        let last_lane = reg_uninit("last_lane", uint(8));
        let lane = reg_uninit("lane", uint(8));
        let word = reg_uninit("word_held", uint(shape.array * 32));
        let lane_bits = lane_bits(shape);

        let is_last = lane.eq(last_lane);
        let word_ends = lane.trunc(lane_bits).reduce_and();
        let sent = phase.is(Phase::Send) & io.lanes.ready;
        phase
            .switch()
            .on(Phase::Idle, || {
                when(io.request.valid, || {
                    thread.next(io.request.payload.thread);
                    register.next(io.request.payload.register);
                    lane.next(0);
                    phase.go(Phase::Look);
                });
            })
            .on(Phase::Look, || {
                last_lane.next(io.register_type.lanes.wrapping_sub(UInt::lit(1, 9)).trunc(8));
                when(!io.register_type.defined, || phase.go(Phase::Empty))
                    .elsewhen(!io.busy, || phase.go(Phase::Read));
            })
            .on(Phase::Read, || {
                when(io.read, || phase.go(Phase::Take));
            })
            .on(Phase::Take, || {
                word.next(io.word);
                phase.go(Phase::Send);
            })
            .on(Phase::Send, || {
                when(sent, || {
                    lane.next(lane.wrapping_add(1));
                    when(is_last, || phase.go(Phase::Idle))
                        .elsewhen(word_ends, || phase.go(Phase::Read));
                });
            })
            .on(Phase::Empty, || {
                when(io.lanes.ready, || phase.go(Phase::Idle));
            });

        let empty = phase.is(Phase::Empty);
        let value = select(lane.trunc(lane_bits), &split(word.value(), 32));
        io.request.ready.set(phase.is(Phase::Idle));
        io.wants_read.set(phase.is(Phase::Read));
        io.address.set(WordAddress {
            thread: thread.value(),
            register: register.value(),
            word: word_of_lane(shape, lane.value()),
        });
        io.lanes.valid.set(phase.is(Phase::Send) | empty);
        io.lanes.payload.set(LanesOut {
            thread: thread.value(),
            lane: lane.value(),
            value: mux(empty, SInt::lit(0, 32), value),
            last: empty | is_last,
            empty,
        });
    }
}
