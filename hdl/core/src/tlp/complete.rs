//! Reads of BARs become completions.

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::{LINE_BITS, MAX_PAYLOAD_DWS, ReadRequest, SentCompletion, beat_bits, join};
use crate::bits::one_more;

/// Reads DW after DW, and answers with one completion for each block of 128 bytes that the
/// request touches: the read completion boundary of a device, and a payload that every link allows.
pub struct Completer {
    /// Width of the stream, bits: 64 or 128.
    pub bits: u32,
}

/// Ports of [`Completer`].
#[derive(Clone, Ports)]
pub struct CompleterIo {
    /// Requests
    pub request: StreamIn<ReadRequest>,
    /// Completions
    pub completion: StreamOut<SentCompletion>,
    /// Beat of its data that is wanted
    pub beat: Input<UInt>,
    /// A DW is wanted; stays until it is there
    pub wants: Output<Bool>,
    /// It is in the BAR with the MSI-X table
    pub msix: Output<Bool>,
    /// Its number in the BAR
    pub dw: Output<UInt>,
    /// The DW is there
    pub ready: Input<Bool>,
    /// The DW
    pub data: Input<UInt>,
}

impl Component for Completer {
    type Io = CompleterIo;

    fn name(&self) -> String {
        format!("tlp_completer_w{}", self.bits)
    }

    fn doc(&self) -> String {
        "Reads of BARs become completions".into()
    }

    fn io(&self) -> CompleterIo {
        CompleterIo {
            request: stream_in(ReadRequest::shape()),
            completion: stream_out(SentCompletion::shape(self.bits)),
            beat: input(uint(beat_bits(self.bits))),
            wants: output(boolean()),
            msix: output(boolean()),
            dw: output(uint(LINE_BITS + 4)),
            ready: input(boolean()),
            data: input(uint(32)),
        }
    }

    fn build(&self, io: CompleterIo) {
        let request = io.request.payload();
        let address_bits = LINE_BITS + 4;
        let dw = reg("dw_reg", uint(address_bits), 0);
        let left = reg("left", uint(11), 0).doc("DWs that are still to be read");
        let bytes = reg("bytes_left", uint(13), 0).doc("Bytes of completions still to be sent");
        let active = reg("active", boolean(), false).doc("The request's DWs are being read");
        let sends = reg("sends", boolean(), false).doc("A completion is offered");
        let count = reg("count", uint(6), 0).doc("DWs gathered");
        let offset = reg("offset", uint(7), 0).doc("Address of the first byte gathered, mod 128");
        // A memory for each DW of a beat.
        let lanes = self.bits / 32;
        let rows = u64::from(MAX_PAYLOAD_DWS / lanes);
        let data: Vec<AsyncMem<UInt>> = (0..lanes)
            .map(|lane| AsyncMem::new(format!("dws_{lane}"), uint(32), rows).doc("DWs gathered"))
            .collect();

        // Bytes in front of the first enabled byte and behind the last one.
        let lead = |enables: UInt| {
            priority_mux(
                &[
                    (enables.bit(0), UInt::lit(0, 2)),
                    (enables.bit(1), UInt::lit(1, 2)),
                    (enables.bit(2), UInt::lit(2, 2)),
                    (enables.bit(3), UInt::lit(3, 2)),
                ],
                UInt::lit(0, 2),
            )
        };
        // How many bytes that are is known a cycle after the request: it comes out of a memory.
        let known = reg("known", boolean(), false).doc("The size of the request's answer is known");
        let first = request.first_enables;
        let front = delayed("front", lead(first));
        let one = request.dws.eq(1).named("one");
        let last = mux(one, first, request.last_enables);
        let behind = delayed("behind", lead(last.reverse()));
        // A read without enabled bytes reads one, which means nothing.
        let nothing = delayed("nothing", one & first.is_zero());
        let exact = (request.dws.concat(UInt::lit(0, 2)))
            .wrapping_sub(front)
            .wrapping_sub(behind)
            .named("exact_bytes");
        let total = mux(nothing, UInt::lit(1, 13), exact);

        // The request leaves a cycle after its last completion: what the link takes does not lie before those that wait.
        let leaves = reg("leaves", boolean(), false);
        let idle = (!active & !sends & !leaves).named("idle");
        let boundary = dw.bits(0..5).reduce_and();
        // A DW stands in a register before it is kept, and the next one is wanted after that: the host's reads are not
        // in a hurry, and what is read lies far away.
        let gathers = reg("gathers", boolean(), false).doc("A DW is here");
        gathers.next(active & io.ready & !gathers);
        let (gathers, dw_here) = (gathers.value(), delayed("dw_here", io.data.value()));
        known.next(io.request.valid() & !known & idle);
        when(known, || {
            dw.next(request.dw);
            bytes.next(mux(request.unsupported, UInt::lit(4, 13), total));
            left.next(request.dws);
            count.next(0);
            offset.next(request.dw.bits(0..5).concat(front));
            active.next(!request.unsupported);
            sends.next(request.unsupported);
        });
        for (lane, memory) in (0_u64..).zip(&data) {
            let here = count.bits(0..lanes.ilog2()).eq(lane);
            memory.write(gathers & here, count.bits(lanes.ilog2()..5), dw_here);
        }
        when(gathers, || {
            count.next(count.wrapping_add(1));
            left.next(left.wrapping_sub(1));
            dw.next(one_more(dw.value()));
            when(boundary | left.eq(1), || {
                active.next(false);
                sends.next(true);
            });
        });
        let sent = sends & io.completion.ready();
        let finished = left.is_zero() | request.unsupported;
        when(sent, || {
            sends.next(false);
            count.next(0);
            let gone = count.concat(UInt::lit(0, 2)).wrapping_sub(offset.bits(0..2)).trunc(8);
            bytes.next(bytes.wrapping_sub(gone));
            offset.next(0);
            active.next(!finished);
        });
        leaves.next(sent & finished);
        io.request.accept(leaves.value());
        io.wants.set(active & !gathers);
        io.msix.set(request.msix);
        io.dw.set(dw);
        io.completion.offer(
            sends.value(),
            SentCompletion {
                unsupported: request.unsupported,
                dws: count.value(),
                byte_count: bytes.trunc(12),
                lower_address: mux(request.unsupported, UInt::lit(0, 7), offset.value()),
                requester: request.requester,
                tag: request.tag,
                class: request.class,
                attributes: request.attributes,
                data: join(&data.iter().map(|memory| memory.read(io.beat)).collect::<Vec<_>>()),
            },
        );
    }
}
