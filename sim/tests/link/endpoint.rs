//! Registers and packets.

use rmt_isa::arithmetic::split_mix_64;
use rmt_isa::card::CardShape;
use rmt_isa::device::registers::{
    Access, CORE_PAGE, CORE_WINDOW, ERRORS, MAGIC, MALFORMED, MSIX_TABLE, PAIR, PAIR_CONTROL,
    POISONED, QUEUES, REGISTERS, UNSUPPORTED, VERSION,
};
use rmt_isa::device::{VERSION as CONTRACT, pci};
use rmt_sim::root_complex::behaviour::Liberties;
use rmt_sim::root_complex::packet::{Packet, Request};
use rmt_sim::root_complex::{CardBus, ConfigState, LinkPins};

use super::host::{Host, evaluated};

fn shapes() -> [CardShape; 2] {
    [64, 128].map(|stream_bits| CardShape { stream_bits, ..CardShape::tiny() })
}

#[test]
fn the_card_says_what_it_is() {
    for shape in shapes() {
        let mut host = evaluated(&shape);
        assert_eq!(host.get(MAGIC, 0), rmt_isa::card::shape::MAGIC);
        assert_eq!(host.get(VERSION, 0), u64::from(CONTRACT));
        assert_eq!(host.get(QUEUES, 0), u64::from(shape.queues));
        let words = shape.capability_words();
        let mut bytes = vec![0; 8 * words.len()];
        host.card.bar_read(CORE_WINDOW.bar, CORE_WINDOW.base.into(), &mut bytes).unwrap();
        let found: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        assert_eq!(found, words);
        assert_eq!(CardShape::from_capability_words(&found), Ok(shape));
        // Words of the core can be written, too: here the watchdog, and two at once.
        host.set(CORE_PAGE, 0, u64::from(rmt_isa::card::regions::CONTROL.base() / 256));
        let values = [0_u64, 0x1234_5678].map(u64::to_le_bytes).concat();
        host.card.bar_write(CORE_WINDOW.bar, CORE_WINDOW.base.into(), &values).unwrap();
        let mut read = [0; 16];
        host.card.bar_read(CORE_WINDOW.bar, CORE_WINDOW.base.into(), &mut read).unwrap();
        assert_eq!(read[..], values[..]);
    }
}

/// The tiny model: bytes of both BARs, and which of them a write changes.
struct Model {
    bytes: Vec<u8>,
    writable: Vec<bool>,
}

impl Model {
    fn new(size: u32) -> Self {
        Self { bytes: vec![0; size as usize], writable: vec![false; size as usize] }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.writable[at + index] {
                self.bytes[at + index] = byte;
            }
        }
    }
}

/// Random reads and writes of all sizes and alignments, on the registers of the pairs and the
/// MSI-X table, both of which keep what is written.
fn random_traffic<P: LinkPins>(host: &mut Host<P>, seed: u64, steps: u32) {
    let pairs = host.shape.queues;
    let mut registers = Model::new(0x40 * pairs);
    for register in REGISTERS.iter().filter(|register| register.block == PAIR) {
        // Starting pairs is for other tests; its register ignores what has no meaning.
        let kept = register.access == Access::ReadWrite && *register != PAIR_CONTROL;
        for pair in 0..pairs {
            let first = (register.at(pair) - PAIR.base) as usize;
            registers.writable[first..first + register.bytes as usize].fill(kept);
        }
    }
    let vectors = pci::msix_vectors(pairs);
    let mut table = Model::new(pci::MSIX_ENTRY_BYTES * vectors);
    for vector in 0..vectors as usize {
        table.writable[16 * vector..16 * vector + 12].fill(true);
    }
    // The tables hold random bits after power-up: write everything once.
    for (model, block) in [(&mut registers, PAIR), (&mut table, MSIX_TABLE)] {
        let zeros = vec![0; model.bytes.len()];
        let mut masked = zeros.clone();
        if block == MSIX_TABLE {
            masked.iter_mut().skip(12).step_by(16).for_each(|byte| *byte = 1);
            model.bytes.copy_from_slice(&masked);
        }
        host.card.bar_write(block.bar, block.base.into(), &masked).unwrap();
    }
    let mut state = seed;
    let mut random = |limit: u64| {
        state = split_mix_64(state);
        (state >> 20) % limit
    };
    for step in 0..steps {
        let (model, block) =
            if random(3) == 0 { (&mut table, MSIX_TABLE) } else { (&mut registers, PAIR) };
        let size = model.bytes.len() as u64;
        let at = random(size);
        let longest = if random(4) == 0 { size } else { 12 };
        let count = (1 + random(longest)).min(size - at) as usize;
        let place = u64::from(block.base) + at;
        if random(2) == 0 {
            let mut bytes: Vec<u8> = (0..count).map(|_| random(256) as u8).collect();
            // What must not be touched: masks and the pair's start.
            for (index, byte) in bytes.iter_mut().enumerate() {
                if !model.writable[at as usize + index] {
                    *byte = model.bytes[at as usize + index];
                }
            }
            model.write(at as usize, &bytes);
            host.card.bar_write(block.bar, place, &bytes).unwrap();
        } else {
            let mut bytes = vec![0; count];
            host.card.bar_read(block.bar, place, &mut bytes).unwrap();
            let expected = &model.bytes[at as usize..at as usize + count];
            assert_eq!(
                bytes, expected,
                "step {step}: {count} bytes of BAR {} at {place:#x}",
                block.bar
            );
        }
    }
}

#[test]
fn random_accesses_of_any_size_keep_what_was_written() {
    for (seed, shape) in (1..).zip(shapes()) {
        let mut host = evaluated(&shape);
        host.card.set_liberties(Liberties { seed: Some(seed) });
        for max_payload in [128, 512] {
            let config = host.card.config();
            host.card.set_config(ConfigState { max_payload, ..config });
            random_traffic(&mut host, seed, 150);
        }
        assert_eq!(host.get(ERRORS, 0), 0);
    }
}

#[test]
fn a_long_address_reaches_the_same_registers() {
    let mut host = evaluated(&CardShape::tiny());
    let place = u64::from(rmt_isa::device::registers::HOOKS.at(1));
    let request = Request::for_bytes(0x12_0000_0000 + place, 8, 0, 0);
    let data = (1..=8).collect();
    host.card.send_raw(Packet::Write { request, data, poisoned: false }.to_dws(), 1);
    assert_eq!(host.get(rmt_isa::device::registers::HOOKS, 1), 0x0807_0605_0403_0201);
}

#[test]
fn what_is_not_supported_is_refused_and_counted() {
    for shape in shapes() {
        let mut host = evaluated(&shape);
        // A read of no BAR is refused, a write of none dropped.
        assert_eq!(host.card.read_request(5, 0, 4).unwrap(), None);
        host.card.bar_write(5, 0, &[1, 2, 3, 4]).unwrap();
        assert_eq!(host.get(UNSUPPORTED, 0), 2);
        // Poisoned writes change nothing.
        let hooks = rmt_isa::device::registers::HOOKS;
        let request = Request::for_bytes(hooks.at(0).into(), 8, 0, 0);
        let packet = Packet::Write { request, data: vec![9; 8], poisoned: true };
        host.card.send_raw(packet.to_dws(), 1);
        assert_eq!(host.get(hooks, 0), 0);
        assert_eq!(host.get(POISONED, 0), 1);
        // Packets that end early, are cut, or of unknown kind, and a message, which is fine.
        let whole = packet.to_dws();
        for dws in [&whole[..2], &whole[..4], &[0x9f00_0001, 0, 0, 0], &[0x3400_0000, 0, 0, 0]] {
            host.card.send_raw(dws.to_vec(), 1);
        }
        assert_eq!(host.get(hooks, 0), 0);
        assert!(host.get(MALFORMED, 0) >= 1, "{}", host.get(MALFORMED, 0));
        assert_ne!(host.get(ERRORS, 0), 0);
        host.set(ERRORS, 0, u32::MAX.into());
        assert_eq!(host.get(ERRORS, 0), 0);
        assert_eq!(host.get(MAGIC, 0), rmt_isa::card::shape::MAGIC);
    }
}
