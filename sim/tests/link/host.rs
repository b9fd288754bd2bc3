//! A small host for the tests: just enough driver to speak the contract of `rmt_isa::device`.

use std::collections::VecDeque;

use rmt_core::CoreConfig;
use rmt_isa::card::{CardImage, CardShape};
use rmt_isa::device::admin::AdminCompletion;
use rmt_isa::device::fields::{
    pair_control, pair_interrupt, pair_moderation, pair_rings, pair_status,
};
use rmt_isa::device::registers::{
    ADMIN_PAGE, ADMIN_PAIR, Block, COMPLETION_HEAD, COMPLETION_RING, EVENT_RING, EVENT_TAIL, HOOKS,
    INLINE, INTERRUPT, MODERATION, MSIX_TABLE, PAGE, PAIR, PAIR_CONTROL, PAIR_STATUS, RINGS,
    Register, STATUS,
};
use rmt_isa::device::{AdminCommand, AdminOpcode, QueueError, ring};
use rmt_isa::event::{DECISION_BYTES, EVENT_BYTES};
use rmt_isa::{Decision, Event};
use rmt_sim::root_complex::{
    CardBus, ConfigState, EvaluatedLink, HostMemory, LinkPins, LinkedCard, PagedMemory,
};

/// Binary logarithm of all rings here.
pub const LOG2: u32 = 5;
/// Where the rings of pair q stand: events, then completions.
pub const RINGS_AT: u64 = 0x7_0000_0000;
/// Where data of admin commands stands.
pub const DATA_AT: u64 = 0x1000_0000;
/// Bytes there.
pub const DATA_BYTES: u64 = 1 << 20;
/// Cycles after which a test gives up.
const PATIENCE: u64 = 60_000;

/// One ring pair, as its owner sees it.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    pub tail: u16,
    pub head: u16,
}

pub struct Host<P> {
    pub card: LinkedCard<P, PagedMemory>,
    pub shape: CardShape,
    pub owners: Vec<Owner>,
}

/// A card on the evaluator.
pub fn evaluated(shape: &CardShape) -> Host<EvaluatedLink> {
    let design = rmt_core::elaborate_card(&CoreConfig::new(shape.clone())).unwrap();
    Host::new(EvaluatedLink::new(&design, shape.stream_bits).unwrap(), shape)
}

impl<P: LinkPins> Host<P> {
    /// A host with memory for all rings, bus mastering and MSI-X on.
    pub fn new(pins: P, shape: &CardShape) -> Self {
        let mut memory = PagedMemory::default();
        memory.map(DATA_AT, DATA_BYTES, true);
        for pair in 0..=u64::from(shape.queues) {
            memory.map(RINGS_AT + 0x2000 * pair, 0x2000, true);
        }
        let mut card = LinkedCard::new(pins, memory).unwrap();
        card.set_config(ConfigState {
            bus_master: true,
            msix_enable: true,
            max_payload: 256,
            ..ConfigState::default()
        });
        let owners = vec![Owner::default(); shape.queues as usize + 1];
        let mut host = Self { card, shape: shape.clone(), owners };
        host.card.advance(20).unwrap();
        assert_eq!(host.get(STATUS, 0) & 1, 1, "the card is not ready");
        host
    }

    /// The number that stands for the admin queue.
    pub fn admin_pair(&self) -> u32 {
        self.shape.queues
    }

    fn place(&self, register: Register, copy: u32) -> u64 {
        let block = |admin: Block| u64::from(admin.base + register.offset);
        if copy == self.shape.queues && register.block == PAIR {
            block(ADMIN_PAIR)
        } else if copy == self.shape.queues && register.block == PAGE {
            block(ADMIN_PAGE)
        } else {
            register.at(copy).into()
        }
    }

    pub fn get(&mut self, register: Register, copy: u32) -> u64 {
        let place = self.place(register, copy);
        let mut bytes = [0; 8];
        let size = register.bytes as usize;
        self.card.bar_read(register.block.bar, place, &mut bytes[..size]).unwrap();
        u64::from_le_bytes(bytes)
    }

    pub fn set(&mut self, register: Register, copy: u32, value: u64) {
        let place = self.place(register, copy);
        let bytes = &value.to_le_bytes()[..register.bytes as usize];
        self.card.bar_write(register.block.bar, place, bytes).unwrap();
    }

    pub fn event_ring(pair: u32) -> u64 {
        RINGS_AT + 0x2000 * u64::from(pair)
    }

    pub fn completion_ring(pair: u32) -> u64 {
        Self::event_ring(pair) + 0x1000
    }

    /// Sets a pair up for some hooks and starts it. `interrupt` is a vector and a moderation.
    pub fn start(&mut self, pair: u32, hooks: &[u16], interrupt: Option<(u64, u64, u64)>) {
        self.owners[pair as usize] = Owner::default();
        self.card.memory().poke(Self::completion_ring(pair), &[0; 32 << LOG2]).unwrap();
        let log2 = u64::from(LOG2);
        self.set(EVENT_RING, pair, Self::event_ring(pair));
        self.set(COMPLETION_RING, pair, Self::completion_ring(pair));
        self.set(
            RINGS,
            pair,
            pair_rings::EVENT_LOG2.insert(log2) | pair_rings::COMPLETION_LOG2.insert(log2),
        );
        if let Some((vector, decisions, time)) = interrupt {
            let moderation =
                pair_moderation::DECISIONS.insert(decisions) | pair_moderation::TIME.insert(time);
            self.set(MODERATION, pair, moderation);
            let enable = pair_interrupt::ENABLE.insert(1);
            self.set(INTERRUPT, pair, enable | pair_interrupt::VECTOR.insert(vector));
        }
        let hook_bits = hooks.iter().rev().fold(0, |bits: u64, &hook| bits << 16 | u64::from(hook));
        self.set(HOOKS, pair, hook_bits);
        let count = pair_control::HOOK_COUNT.insert(hooks.len() as u64);
        self.set(PAIR_CONTROL, pair, count | pair_control::ENABLE.insert(1));
    }

    /// Stops a pair and waits until nothing of it is inside.
    pub fn stop(&mut self, pair: u32) {
        self.set(PAIR_CONTROL, pair, 0);
        for _ in 0..100 {
            if pair_status::DRAINING.extract(self.get(PAIR_STATUS, pair)) == 0 {
                return;
            }
            self.card.advance(100).unwrap();
        }
        panic!("pair {pair} does not drain");
    }

    pub fn error(&mut self, pair: u32) -> QueueError {
        let status = self.get(PAIR_STATUS, pair);
        QueueError::from_number(pair_status::ERROR.extract(status) as u8).unwrap()
    }

    /// Sends an event inline, in one write.
    pub fn send_inline(&mut self, pair: u32, event: &Event) {
        let line = ring::inline_line(self.owners[pair as usize].head, LOG2);
        let place = INLINE.at(pair) + 64 * line;
        self.card.bar_write(INLINE.bar, place.into(), &event.bytes).unwrap();
    }

    /// Puts records of 64 bytes into the event ring and rings the doorbell.
    pub fn push(&mut self, pair: u32, records: &[[u8; EVENT_BYTES]]) {
        for record in records {
            let owner = &mut self.owners[pair as usize];
            let slot = u64::from(ring::slot(owner.tail, LOG2));
            owner.tail = owner.tail.wrapping_add(1);
            self.card.memory().poke(Self::event_ring(pair) + 64 * slot, record).unwrap();
        }
        let tail = self.owners[pair as usize].tail;
        self.set(EVENT_TAIL, pair, tail.into());
    }

    /// The next record of a completion ring, if it is there.
    pub fn poll(&mut self, pair: u32) -> Option<[u8; DECISION_BYTES]> {
        let owner = &mut self.owners[pair as usize];
        let place = Self::completion_ring(pair) + 32 * u64::from(ring::slot(owner.head, LOG2));
        let mut record = [0; DECISION_BYTES];
        self.card.memory().read(place, &mut record).unwrap();
        let owner = &mut self.owners[pair as usize];
        if ring::phase_of(&record) != ring::phase(owner.head, LOG2) {
            return None;
        }
        owner.head = owner.head.wrapping_add(1);
        Some(record)
    }

    /// The next record, waited for.
    pub fn wait(&mut self, pair: u32) -> [u8; DECISION_BYTES] {
        for _ in 0..PATIENCE / 4 {
            if let Some(record) = self.poll(pair) {
                return record;
            }
            self.card.advance(4).unwrap();
        }
        panic!("no completion for pair {pair}: {:?}", self.error(pair));
    }

    pub fn decision(&mut self, pair: u32) -> Decision {
        Decision::from_bytes(&self.wait(pair)).unwrap().0
    }

    /// Tells the card which completions were taken.
    pub fn tell_head(&mut self, pair: u32) {
        let head = self.owners[pair as usize].head;
        self.set(COMPLETION_HEAD, pair, head.into());
    }

    /// Runs an admin command.
    pub fn admin(&mut self, command: &AdminCommand) -> AdminCompletion {
        let pair = self.admin_pair();
        self.push(pair, &[command.to_bytes()]);
        let completion = AdminCompletion::from_bytes(&self.wait(pair)).unwrap().0;
        self.tell_head(pair);
        assert_eq!(completion.tag, command.tag);
        completion
    }

    /// Starts the admin queue and installs a program.
    pub fn install(&mut self, image: &CardImage) {
        self.start(self.admin_pair(), &[], None);
        let list: Vec<u8> = (image.writes.iter())
            .flat_map(|write| [u64::from(write.address), write.value])
            .flat_map(u64::to_le_bytes)
            .collect();
        self.card.memory().poke(DATA_AT, &list).unwrap();
        let completion = self.admin(&AdminCommand {
            host_address: DATA_AT,
            count: image.writes.len() as u32,
            ..AdminCommand::new(AdminOpcode::WriteList, 99)
        });
        assert_eq!(completion.status, rmt_isa::device::AdminStatus::Done);
    }

    /// Gives a vector an address and unmasks it.
    pub fn set_vector(&mut self, vector: u32, data: u32) {
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&(0xfee0_0000 + 16 * u64::from(vector)).to_le_bytes());
        entry[8..12].copy_from_slice(&data.to_le_bytes());
        self.card.bar_write(MSIX_TABLE.bar, MSIX_TABLE.at(vector).into(), &entry).unwrap();
    }

    /// Decisions for events that were sent, by their tags, compared with what is expected.
    pub fn expect(&mut self, pair: u32, mut expected: VecDeque<Decision>) {
        while !expected.is_empty() {
            let decision = Decision { cycles: 0, ..self.decision(pair) };
            let place = expected.iter().position(|other| other.tag == decision.tag);
            let place = place.unwrap_or_else(|| panic!("{decision:?} was not expected"));
            assert_eq!(Some(decision), expected.remove(place));
        }
    }
}
