//! Packets of the card become frames.

use rmt_isa::device::fields::serial_status;
use rmt_isa::device::serial::{CRC_START, END, ESCAPE, FLIP, KIND_LINK, KIND_TRANSACTION, VERSION};
use rtl_builder::prelude::*;
use rtl_builder::stock::stream::{Channel, Stream};

use super::{FrameByte, crc};
use crate::bits::{one_less, word_of};
use crate::tlp::TxBeat;

/// Where a frame has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, State)]
enum Step {
    /// Nothing to send.
    Idle,
    /// The kind of the frame.
    Kind,
    /// The bytes of the DWs.
    Content,
    /// High byte of the check sum.
    SumHigh,
    /// Low byte of the check sum.
    SumLow,
    /// The end.
    End,
}

/// Sends packets as frames, and between them the state of the link when it was asked for.
pub struct Pack {
    /// Width of the stream, bits: 64 or 128.
    pub bits: u32,
}

/// Ports of [`Pack`].
#[derive(Clone, Ports)]
pub struct PackIo {
    /// Packets
    pub tx: StreamIn<TxBeat>,
    /// The host waits for the state of the link, one cycle
    pub asked: Input<Bool>,
    /// Damaged frames so far
    pub damaged: Input<UInt>,
    /// Bytes lost so far
    pub lost: Input<UInt>,
    /// Bytes of the line
    pub bytes: StreamOut<UInt>,
}

impl Component for Pack {
    type Io = PackIo;

    fn name(&self) -> String {
        format!("serial_pack_w{}", self.bits)
    }

    fn doc(&self) -> String {
        "Packets become frames of the serial line".into()
    }

    fn io(&self) -> PackIo {
        PackIo {
            tx: stream_in(TxBeat::shape(self.bits)),
            asked: input(boolean()),
            damaged: input(uint(8)),
            lost: input(uint(8)),
            bytes: stream_out(uint(8)),
        }
    }

    fn build(&self, io: PackIo) {
        let step = fsm("step", Step::Idle);
        let waiting = reg("waiting", boolean(), false).doc("The host waits for the state");
        let about_link = reg("about_link", boolean(), false).doc("This frame is the state");
        let content = reg_uninit("content", uint(self.bits)).doc("Bytes to send, next one lowest");
        let left = reg("left", uint(5), 0).doc("Bytes of them");
        let empty = reg("empty", boolean(), true).doc("None is left");
        let last = reg("last", boolean(), false).doc("No beat follows");
        let sum = reg_uninit("sum", uint(16));

        // One beat of the packet at a time.
        let in_content = step.is(Step::Content);
        // Whether a beat is wanted stands in a register: what takes it does not lie before the card.
        let wants = reg("wants_beat", boolean(), false);
        wants.next(in_content & empty & !last & !io.tx.fire());
        io.tx.accept(wants.value());
        let beat = io.tx.payload();
        // DWs come without gaps.
        let dws: Vec<(Bool, UInt)> = (0..self.bits / 32)
            .rev()
            .map(|dw| (beat.keep.bit(4 * dw), UInt::lit(u64::from(dw) + 1, 3)))
            .collect();
        let held = priority_mux(&dws, UInt::lit(0, 3)).named("held");

        let kind = mux(about_link, UInt::lit(KIND_LINK.into(), 8), u64::from(KIND_TRANSACTION));
        let has_byte = in_content & !empty;
        let byte = priority_mux(
            &[
                (step.is(Step::Kind), kind),
                (in_content, content.bits(0..8)),
                (step.is(Step::SumHigh), sum.bits(8..16)),
            ],
            sum.bits(0..8),
        )
        .named("byte");
        let offers = has_byte | step.is_any(&[Step::Kind, Step::SumHigh, Step::SumLow, Step::End]);
        // A byte stands in a register before it is changed: the line takes many cycles for each.
        let stands = reg("stands", boolean(), false).doc("A byte is in the register");
        let standing = reg_uninit("standing", FrameByte { byte: uint(8), end: boolean() });
        let sent = (offers & !stands).named("sent");
        when(sent, || {
            stands.next(true);
            standing.next(FrameByte { byte, end: step.is(Step::End) });
        });
        let plain = Channel::new("plain", stands.value(), standing.value());
        when(plain.fire(), || stands.next(false));

        when(sent & (step.is(Step::Kind) | in_content), || sum.next(crc(sum.value(), byte)));
        let status = word_of(
            &[
                (serial_status::VERSION, UInt::lit(VERSION.into(), 8)),
                (serial_status::DAMAGED, io.damaged.value()),
                (serial_status::LOST, io.lost.value()),
            ],
            32,
        );
        step.switch()
            .on(Step::Idle, || {
                when(waiting | io.tx.valid(), || step.go(Step::Kind));
                about_link.next(waiting);
                last.next(waiting);
                left.next(mux(waiting, UInt::lit(4, 5), UInt::lit(0, 5)));
                empty.next(!waiting);
                content.next(status.zext(self.bits));
                sum.next(u64::from(CRC_START));
                waiting.next(false);
            })
            .on(Step::Kind, || {
                when(sent, || step.go(Step::Content));
            })
            .on(Step::Content, || {
                when(sent, || {
                    content.next(UInt::lit(0, 8).concat(content.bits(8..self.bits)));
                    left.next(one_less(left.value()));
                    empty.next(left.eq(1));
                })
                .elsewhen(io.tx.fire(), || {
                    content.next(beat.data);
                    left.next(held.concat(UInt::lit(0, 2)));
                    empty.next(held.is_zero());
                    last.next(beat.last);
                })
                .elsewhen(empty & last, || step.go(Step::SumHigh));
            })
            .on(Step::SumHigh, || {
                when(sent, || step.go(Step::SumLow));
            })
            .on(Step::SumLow, || {
                when(sent, || step.go(Step::End));
            })
            .on(Step::End, || {
                when(sent, || step.go(Step::Idle));
            });
        // Asked again while the answer leaves: it is sent once more.
        when(io.asked, || waiting.next(true));

        // What would end or announce something is changed.
        let second = reg("second", boolean(), false).doc("The changed byte follows");
        let word = plain.payload();
        let special = (!word.end
            & (word.byte.eq(u64::from(END)) | word.byte.eq(u64::from(ESCAPE))))
        .named("special");
        let announces = (special & !second).named("announces");
        let flipped = word.byte ^ UInt::lit(FLIP.into(), 8);
        let shown = priority_mux(
            &[
                (word.end, UInt::lit(END.into(), 8)),
                (announces, UInt::lit(ESCAPE.into(), 8)),
                (second.value(), flipped),
            ],
            word.byte,
        );
        io.bytes.offer(plain.valid(), shown);
        plain.accept(io.bytes.ready() & !announces);
        when(plain.valid() & io.bytes.ready(), || second.next(announces));
    }
}
