//! The bridge against the codec of `rmt-isa`, byte by byte on the line.

use rmt_isa::device::fields::{serial_link, serial_status};
use rmt_isa::device::packet::{Packet, Request};
use rmt_isa::device::registers::MAGIC;
use rmt_isa::device::serial::{self, Decoder, KIND_LINK, KIND_TRANSACTION, encode};
use rtl_builder::prelude::*;

use super::card::SerialCard;
use crate::CoreConfig;

const CLOCKS_PER_BIT: u32 = 4;

/// A line to a card in the evaluator.
struct Line {
    sim: Simulator,
    decoder: Decoder,
    /// Levels of the card's line that belong to a byte under way, and how many clocks they last.
    bits: Vec<u64>,
    wait: u32,
    frames: Vec<(u8, Vec<u32>)>,
}

impl Line {
    fn new() -> Self {
        let shape = CoreConfig::preset("tiny").unwrap().shape().clone();
        let card = SerialCard { shape, clocks_per_bit: CLOCKS_PER_BIT };
        let mut sim = elaborate(card).unwrap().simulator();
        sim.poke("serial_in", 1);
        sim.reset();
        Self { sim, decoder: Decoder::default(), bits: Vec::new(), wait: 0, frames: Vec::new() }
    }

    fn clock(&mut self, level: u64) {
        self.sim.poke("serial_in", level);
        let shown = self.sim.peek("serial_out");
        if self.wait > 0 {
            self.wait -= 1;
        } else if !self.bits.is_empty() || shown == 0 {
            // The middle of the start bit comes half a bit after its edge.
            self.wait = CLOCKS_PER_BIT - 1;
            if self.bits.is_empty() {
                self.wait += CLOCKS_PER_BIT / 2;
            }
            self.bits.push(shown);
            if self.bits.len() == 10 {
                let byte = (0..8).fold(0, |byte, bit| byte | (self.bits[bit + 1] as u8) << bit);
                assert_eq!(self.bits[9], 1, "a stop bit");
                self.bits.clear();
                self.wait = 0;
                self.frames.extend(self.decoder.take(byte));
            }
        }
        self.sim.step();
    }

    fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            for level in (0..10).map(|bit| (0x200 | u64::from(byte) << 1) >> bit & 1) {
                (0..CLOCKS_PER_BIT).for_each(|_| self.clock(level));
            }
        }
    }

    /// Frames that came while a number of bytes could have passed.
    fn frames(&mut self, bytes: u32) -> Vec<(u8, Vec<u32>)> {
        (0..10 * bytes * CLOCKS_PER_BIT).for_each(|_| self.clock(1));
        std::mem::take(&mut self.frames)
    }

    fn link(&mut self, bits: u64) -> u64 {
        self.send(&encode(KIND_LINK, &[bits as u32]));
        let frames = self.frames(20);
        let [(KIND_LINK, dws)] = &frames[..] else { panic!("no answer: {frames:x?}") };
        dws[0].into()
    }

    fn read(&mut self, offset: u64) -> Option<Vec<u8>> {
        let request = Request::for_bytes(offset, 8, 0, 0xc0);
        self.send(&encode(1, &Packet::Read(request).to_dws()));
        let frames = self.frames(40);
        let (kind, dws) = frames.first()?;
        assert_eq!((frames.len(), *kind), (1, KIND_TRANSACTION));
        match Packet::from_dws(dws).unwrap() {
            // A tag that has to be escaped comes back.
            Packet::Completion(completion) if completion.tag == 0xc0 => Some(completion.data),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_register_is_read_over_the_line_and_damage_is_dropped_whole() {
    let mut line = Line::new();
    let up = serial_link::UP.insert(1);
    assert_eq!(line.link(up), serial_status::VERSION.insert(serial::VERSION.into()));
    let magic = rmt_isa::card::shape::MAGIC.to_le_bytes().to_vec();
    let place = u64::from(MAGIC.at(0));
    // The function needs a moment behind its reset.
    line.frames(4);
    assert_eq!(line.read(place), Some(magic.clone()));

    // A damaged frame, one without end, one too long: dropped and counted; the line goes on.
    let mut damaged = encode(1, &Packet::Read(Request::for_bytes(place, 8, 0, 1)).to_dws());
    damaged[6] ^= 4;
    line.send(&damaged);
    line.send(&encode(1, &[0; serial::MAX_DWS + 1]));
    line.send(&encode(1, &[0; 2]));
    assert!(line.frames(40).is_empty());
    let status = line.link(up);
    assert_eq!(serial_status::DAMAGED.extract(status), 3, "{status:#x}");
    assert_eq!(serial_status::LOST.extract(status), 0, "{status:#x}");
    assert_eq!(line.sim.peek("light_fault"), 1);
    assert_eq!(line.read(place), Some(magic));

    // While the link is down the function is in reset: registers read as zero.
    line.link(0);
    assert_eq!(line.read(place), Some(vec![0; 8]));
    assert_eq!(line.decoder.damaged, 0);
}
