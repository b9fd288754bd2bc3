//! Packets of the 7-series PCIe block at 128 bits: each is made to begin in lane 0.
//!
//! With 128 bits the block lets a packet begin in the upper half of the beat in which another one ends, and says
//! begin and end in `tuser`, not by `tkeep` and `tlast`. The receiver of the card takes packets that begin in lane 0.

use rtl_builder::prelude::*;
use rtl_builder::stock::stream::Stream;

use super::RxBeat;

/// Width of the stream, bits.
const BITS: u32 = 128;
/// Bits of the block's `tuser`.
pub const USER_BITS: u32 = 22;
/// Lowest bits of fields in `tuser`: BARs that are hit, begin, end. Begin and end have a flag in their fifth bit and
/// the number of a byte below it.
const BAR_HIT: u32 = 2;
const BEGIN: u32 = 10;
const END: u32 = 17;

/// A beat of the block.
#[derive(Clone, Copy, Debug, Bundle)]
pub struct RawBeat {
    /// DWs, the first one in the low bits
    pub data: UInt,
    /// What the block says of them
    pub user: UInt,
}

impl RawBeat {
    /// The shape.
    pub fn shape() -> Self {
        Self { data: uint(BITS), user: uint(USER_BITS) }
    }
}

/// Moves packets to lane 0. A packet that began in the upper half and ends in one takes a beat more.
pub struct Realign;

/// Ports of [`Realign`].
#[derive(Clone, Ports)]
pub struct RealignIo {
    /// Beats of the block
    pub raw: StreamIn<RawBeat>,
    /// Packets
    pub rx: StreamOut<RxBeat>,
}

impl Component for Realign {
    type Io = RealignIo;

    fn name(&self) -> String {
        "tlp_realign".into()
    }

    fn doc(&self) -> String {
        "Packets of the 7-series block at 128 bits, each made to begin in lane 0".into()
    }

    fn io(&self) -> RealignIo {
        RealignIo { raw: stream_in(RawBeat::shape()), rx: stream_out(RxBeat::shape(BITS)) }
    }

    fn build(&self, io: RealignIo) {
        let raw = io.raw.payload();
        let half = BITS / 2;
        let (low, high) = (raw.data.bits(0..half), raw.data.bits(half..BITS));
        let begins = raw.user.bit(BEGIN + 4);
        let begins_high = (begins & raw.user.bit(BEGIN + 3)).named("begins_high");
        let begins_low = (begins & !raw.user.bit(BEGIN + 3)).named("begins_low");
        let ends = raw.user.bit(END + 4).named("ends");
        let last_lane = raw.user.bits(END + 2..END + 4).named("last_lane");
        let bar_hit = raw.user.bits(BAR_HIT..BAR_HIT + 7);

        let active = reg("active", boolean(), false).doc("A packet that began in lane 0 goes on");
        let moved = reg("moved", boolean(), false).doc("A packet that began in lane 2 goes on");
        let held = reg_uninit("held", uint(half)).doc("Its two DWs that wait for the next two");
        let bars = reg_uninit("bars", uint(7)).doc("BARs that the packet under way hits");
        let rest = reg("rest", uint(2), 0).doc("DWs in `held` that are the packet's last beat");
        let flushes = (!rest.is_zero()).named("flushes");

        let goes_on = active | moved | begins_low;
        let ends_high = last_lane.bit(1);
        // The end in a beat that begins another packet above is that of the packet before.
        let ends_later = (moved & ends & ends_high).named("ends_later");
        let offers = (io.raw.valid() & goes_on & !flushes).named("offers");
        let ready = (!flushes & (!goes_on | io.rx.ready())).named("takes");
        io.raw.accept(ready);
        let fires = (io.raw.valid() & ready).named("fires");

        let lanes = |count: UInt| {
            let keep: Vec<UInt> = (0..4_u64)
                .rev()
                .map(|lane| mux(count.gt(lane), UInt::lit(15, 4), UInt::lit(0, 4)))
                .collect();
            cat(&keep)
        };
        let own = last_lane.zext(3) + 1;
        let of_moved = mux(ends & !ends_high, own + 2, UInt::lit(4, 5)).trunc(3);
        let of_active = mux(ends, own, UInt::lit(4, 4)).trunc(3);
        let count = priority_mux(&[(flushes, rest.zext(3)), (moved.value(), of_moved)], of_active)
            .named("lanes");
        let data = priority_mux(
            &[
                (flushes, UInt::lit(0, half).concat(held.value())),
                (moved.value(), low.concat(held.value())),
            ],
            raw.data,
        );
        io.rx.offer(
            offers | flushes,
            RxBeat {
                data,
                keep: lanes(count),
                last: flushes | (ends & !ends_later),
                bar_hit: mux(begins_low & !flushes, bar_hit, bars.value()),
            },
        );

        when(flushes & io.rx.ready(), || rest.next(0));
        when(fires, || {
            when(moved | begins_high, || held.next(high));
            when(ends_later, || rest.next((last_lane - 1).as_uint().trunc(2)));
            when(begins, || bars.next(bar_hit));
            // What goes on behind this beat: a packet that begins here, or the one before if it does not end.
            moved.next(begins_high | (moved & !ends));
            active.next((begins_low | active) & !ends);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from a seed.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 >> 33) % limit
        }
    }

    /// A packet: BARs and DWs.
    type Packet = (u64, Vec<u32>);

    /// A beat as the block would give it: DWs and `tuser`.
    #[derive(Default)]
    struct Beat {
        dws: [u32; 4],
        user: u64,
    }

    /// Packets as beats: each begins in the upper half of the beat in which the last one ended, where it can.
    fn beats(packets: &[Packet], chance: &mut Chance) -> Vec<Beat> {
        let mut beats: Vec<Beat> = Vec::new();
        let mut free_half = false;
        for (bars, dws) in packets {
            let mut place = 0;
            if free_half && chance.below(4) > 0 {
                place = 2;
            } else {
                beats.push(Beat::default());
            }
            let beat = beats.last_mut().unwrap();
            let begin = (0x10 | (4 * place as u64)) << BEGIN;
            beat.user = (beat.user & !(0x7f << BAR_HIT)) | begin | (bars << BAR_HIT);
            for (index, &dw) in dws.iter().enumerate() {
                if place == 4 {
                    beats.push(Beat { user: bars << BAR_HIT, ..Beat::default() });
                    place = 0;
                }
                let beat = beats.last_mut().unwrap();
                beat.dws[place] = dw;
                if index + 1 == dws.len() {
                    beat.user |= (0x10 | (4 * place + 3) as u64) << END;
                }
                place += 1;
            }
            free_half = place <= 2;
        }
        beats
    }

    #[test]
    fn packets_come_out_whole_wherever_they_began() {
        let mut chance = Chance(7);
        let packets: Vec<Packet> = (0..400)
            .map(|_| {
                let most = if chance.below(2) == 0 { 3 } else { 20 };
                let count = 3 + chance.below(most);
                let dws = (0..count).map(|_| chance.below(1 << 31) as u32).collect();
                (1 << chance.below(7), dws)
            })
            .collect();
        let input = beats(&packets, &mut chance);
        assert!(input.len() < 1600, "packets share beats");
        let mut sim = elaborate(Realign).unwrap().simulator();
        sim.reset();
        let mut output: Vec<Packet> = Vec::new();
        let (mut next, mut open, mut waiting) = (0, None::<Packet>, None);
        for cycle in 0..20_000 {
            // An offered beat stays until it is taken.
            let offered = next < input.len() && (waiting == Some(next) || chance.below(4) > 0);
            let ready = chance.below(3) > 0;
            sim.poke("raw_valid", offered.into());
            if offered {
                let beat = &input[next];
                let word = |at: usize| u64::from(beat.dws[at]) | u64::from(beat.dws[at + 1]) << 32;
                sim.poke_bits("raw_payload_data", &Bits::from_words(128, &[word(0), word(2)]));
                sim.poke("raw_payload_user", beat.user);
                waiting = Some(next);
            }
            sim.poke("rx_ready", ready.into());
            if sim.peek("rx_valid") == 1 && ready {
                let keep = sim.peek("rx_payload_keep");
                let lanes = keep.count_ones() as usize / 4;
                assert_eq!(keep, (1 << (4 * lanes)) - 1, "whole DWs from lane 0 on");
                let bars = sim.peek("rx_payload_bar_hit");
                let packet = open.get_or_insert((bars, Vec::new()));
                assert_eq!(packet.0, bars, "the same in all beats, cycle {cycle}");
                let data = sim.peek_bits("rx_payload_data");
                for lane in 0..lanes {
                    packet.1.push((data.words()[lane / 2] >> (32 * (lane % 2))) as u32);
                }
                if sim.peek("rx_payload_last") == 1 {
                    output.extend(open.take());
                } else {
                    assert_eq!(lanes, 4, "only the last beat is not full");
                }
            }
            if offered && sim.peek("raw_ready") == 1 {
                next += 1;
                waiting = None;
            }
            sim.step();
        }
        assert_eq!(next, input.len());
        assert_eq!(output, packets);
    }
}
