//! The driver's end of the line against a card of a few lines.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use rmt_isa::device::fields::serial_status;
use rmt_isa::device::packet::{Completion, CompletionStatus, Packet, Request};
use rmt_isa::device::serial::{Decoder, KIND_LINK, KIND_TRANSACTION, VERSION, encode};

use super::{Line, SerialDevice};
use crate::device::Device;

const CARD_ID: u16 = 0x100;

/// A card that answers reads with the address, and keeps what else it got.
#[derive(Default)]
struct Card {
    decoder: Decoder,
    to_host: VecDeque<u8>,
    packets: Vec<(u8, Packet)>,
    link: u64,
    version: u32,
    silent: bool,
    clock: Duration,
}

impl Card {
    fn say(&mut self, kind: u8, dws: &[u32]) {
        self.to_host.extend(encode(kind, dws));
    }

    fn send(&mut self, packet: &Packet) {
        self.say(KIND_TRANSACTION, &packet.to_dws());
    }
}

impl Line for Card {
    fn name(&self) -> &str {
        "a line to nowhere"
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        for &byte in bytes {
            let Some((kind, dws)) = self.decoder.take(byte) else { continue };
            if self.silent {
                continue;
            }
            if kind == KIND_LINK {
                self.link = dws[0].into();
                let status = serial_status::VERSION.insert(self.version.into())
                    | serial_status::DAMAGED.insert(3);
                self.say(KIND_LINK, &[status as u32]);
                continue;
            }
            let packet = Packet::from_dws(&dws).unwrap();
            if let Packet::Read(request) = &packet {
                let completion = Completion {
                    completer: CARD_ID,
                    status: CompletionStatus::Success,
                    byte_count: 4,
                    lower_address: (request.address & 0x7f) as u8,
                    requester: request.requester,
                    tag: request.tag,
                    poisoned: false,
                    data: (request.address as u32).to_le_bytes().to_vec(),
                };
                // A late answer to something else comes first.
                let late = Completion { tag: request.tag ^ 1, ..completion.clone() };
                self.send(&Packet::Completion(late));
                self.send(&Packet::Completion(completion));
            }
            self.packets.push((kind, packet));
        }
        Ok(())
    }

    fn receive(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.clock += Duration::from_millis(1);
        // In pieces that do not end with frames.
        let count = self.to_host.len().min(7);
        bytes.extend(self.to_host.drain(..count));
        Ok(())
    }

    fn now(&self) -> Duration {
        self.clock
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(200)
    }
}

fn device() -> SerialDevice<Card> {
    SerialDevice::open(Card { version: VERSION, ..Card::default() }).unwrap()
}

#[test]
fn registers_and_the_link_pass_as_transactions() {
    let device = device();
    assert_eq!(device.read32(2, 0x44), 0xe200_0044);
    device.write64(0, 0x20, 7);
    device.write_line(0, 0x1_0800, &[0x5a; 64]);
    device.reset_function().unwrap();
    assert_eq!(device.line_health().unwrap().damaged_at_card, 3);
    let card = device.into_line();
    assert_eq!(card.link, SerialDevice::<Card>::running());
    let lengths: Vec<(u8, u32)> = (card.packets.iter())
        .map(|(kind, packet)| match packet {
            Packet::Read(request) | Packet::Write { request, .. } => (*kind, request.dws),
            Packet::Completion(_) => panic!("nobody asked"),
        })
        .collect();
    assert_eq!(lengths, [(4, 1), (1, 2), (1, 16)], "BAR 2, then BAR 0");
}

#[test]
fn requests_of_the_card_are_served_from_memory() {
    let device = device();
    let memory = device.allocate(4096).unwrap();
    memory.store(0, &[1; 256]);
    device.enable_interrupts(2).unwrap();
    {
        let card = &mut device.lock().line;
        card.packets.clear();
        let request = |address, bytes| Request::for_bytes(address, bytes, CARD_ID, 9);
        let write = |address, data: Vec<u8>| Packet::Write {
            request: request(address, data.len()),
            data,
            poisoned: false,
        };
        let place = memory.bus_address();
        card.send(&Packet::Read(request(place + 64, 192)));
        card.send(&Packet::Read(request(0x7000_0000_0000, 64)));
        card.send(&write(place + 4064, vec![2; 32]));
        card.send(&write(0x7000_0000_0000, vec![3; 4]));
        card.send(&write(0xfee0_0000, vec![1, 0, 0, 0]));
    }
    assert!(device.wait_interrupt(1, Duration::from_secs(1)).unwrap());
    assert!(!device.wait_interrupt(0, Duration::from_millis(20)).unwrap());
    assert!(device.wait_interrupt(2, Duration::ZERO).is_err());
    let mut bytes = [0; 32];
    memory.load_bytes(4064, &mut bytes);
    assert_eq!(bytes, [2; 32]);
    assert_eq!(device.line_health().unwrap().refused_writes, 1);
    let card = device.into_line();
    let answers: Vec<(CompletionStatus, u32, usize)> = (card.packets.iter())
        .filter_map(|(_, packet)| match packet {
            Packet::Completion(answer) => {
                Some((answer.status, answer.byte_count, answer.data.len()))
            }
            _ => None,
        })
        .collect();
    let (good, refused) = (CompletionStatus::Success, CompletionStatus::UnsupportedRequest);
    assert_eq!(answers, [(good, 192, 128), (good, 64, 64), (refused, 64, 0)]);
}

#[test]
fn whoever_does_not_answer_is_gone_after_a_bounded_wait() {
    let open = |card| SerialDevice::open(card).err().unwrap().to_string();
    let silent = open(Card { silent: true, version: VERSION, ..Card::default() });
    assert!(silent.contains("does not answer"), "{silent}");
    let other = open(Card { version: VERSION + 1, ..Card::default() });
    assert!(other.contains("version 2"), "{other}");
    let device = device();
    device.lock().line.silent = true;
    let begun = device.now();
    assert_eq!(device.read32(0, 0), u32::MAX);
    // Later accesses do not wait again.
    assert_eq!(device.read32(0, 0), u32::MAX);
    assert!(device.now() - begun < Duration::from_millis(250));
    assert!(device.reset_function().is_err());
}
