//! A card in memory, without time: for tests of the driver and for what the driver itself costs.
//!
//! It keeps the register contract on the side of the host: queue pairs, admin commands, resets,
//! statuses. Events are decided by a function, when the doorbell rings. It records each access,
//! and can be told to misbehave.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rmt_isa::card::{CardShape, regions};
use rmt_isa::device::fields::{
    device_control, device_status, pair_control, pair_interrupt, pair_rings, pair_status,
};
use rmt_isa::device::registers::{
    ADMIN_PAGE, ADMIN_PAIR, COMPLETION_HEAD, COMPLETION_RING, CONTROL, CORE_WINDOW, EVENT_RING,
    EVENT_TAIL, INLINE, INLINE_LINES, INLINE_SLOTS, INTERRUPT, LINE_BYTES, MAGIC, PAGE, PAIR,
    PAIR_CONTROL, PAIR_STATUS, QUEUES, RINGS, Register, STATUS, STREAM_BITS, VECTORS, VERSION,
};
use rmt_isa::device::ring::{phase, slot};
use rmt_isa::device::{AdminOpcode, AdminStatus, QueueError};
use rmt_isa::event::{EVENT_BYTES, event_layout};
use rmt_isa::{Decision, Event};

use crate::device::Device;
use crate::error::DriverError;
use crate::memory::{DmaMemory, wait_readable};
use crate::queue::ring::RECORD_WORDS;
use rustix::event::{EventfdFlags, eventfd};

/// Queue pairs of the mock.
pub const MOCK_QUEUES: u32 = 4;
/// Inline events that it holds.
pub const MOCK_INLINE_SLOTS: u32 = 16;

/// How the mock misbehaves. All off at first.
#[derive(Debug, Default)]
pub struct Faults {
    /// Reads are all ones, writes are ignored, nothing is decided.
    pub gone: AtomicBool,
    /// Events are taken but not decided; when it is off again, they are with the next doorbell.
    pub silent: AtomicBool,
    /// Each decision is written twice.
    pub doubled: AtomicBool,
    /// Decisions carry a status that has no meaning.
    pub garbled: AtomicBool,
}

/// What was done to the mock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accesses {
    /// Reads of registers.
    pub reads: u64,
    /// Writes of registers, of any size.
    pub writes: u64,
    /// Events written inline.
    pub lines: u64,
}

/// One queue pair, or the admin queue.
#[derive(Clone, Default)]
struct Pair {
    control: u64,
    interrupt: u64,
    error: u8,
    events: Option<Arc<DmaMemory>>,
    completions: Option<Arc<DmaMemory>>,
    completion_offset: usize,
    log2: u32,
    head: u16,
    tail: u16,
    completion_tail: u16,
}

struct State<F> {
    decide: F,
    registers: BTreeMap<u32, u32>,
    pairs: Vec<Pair>,
    core: BTreeMap<u32, u64>,
    memory: Vec<Arc<DmaMemory>>,
    next_address: u64,
    accesses: Accesses,
    /// One for each vector that is enabled.
    interrupts: Vec<OwnedFd>,
    /// What registers read as, whatever they hold.
    overrides: BTreeMap<u32, u32>,
}

/// The mock.
pub struct MockCard<F> {
    state: Mutex<State<F>>,
    /// How it misbehaves.
    pub faults: Faults,
    begun: Instant,
    /// Added to the clock, so that tests need not wait, nanoseconds.
    skipped: AtomicU64,
}

impl<F: FnMut(&Event) -> Decision> MockCard<F> {
    /// A mock of a shape that decides by a function.
    pub fn new(shape: &CardShape, decide: F) -> Arc<Self> {
        let core = (0..).zip(shape.capability_words()).collect();
        let state = State {
            decide,
            registers: BTreeMap::new(),
            pairs: vec![Pair::default(); MOCK_QUEUES as usize + 1],
            core,
            memory: Vec::new(),
            next_address: 1 << 32,
            accesses: Accesses::default(),
            interrupts: Vec::new(),
            overrides: BTreeMap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            faults: Faults::default(),
            begun: Instant::now(),
            skipped: AtomicU64::new(0),
        })
    }

    /// What was done to it so far.
    pub fn accesses(&self) -> Accesses {
        self.lock().accesses
    }

    /// A word of the core, as installing left it.
    pub fn core_word(&self, address: u32) -> u64 {
        self.lock().core.get(&address).copied().unwrap_or(0)
    }

    /// Changes a word of the core, for instance a capability word.
    pub fn set_core_word(&self, address: u32, value: u64) {
        self.lock().core.insert(address, value);
    }

    /// Makes a register read as something else, as on a card of another make.
    pub fn set_register(&self, register: Register, value: u32) {
        self.lock().overrides.insert(register.at(0), value);
    }

    /// Lets time pass.
    pub fn skip(&self, time: Duration) {
        self.skipped.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Lets the card look at a pair's ring again, as it does by itself when it was silent.
    pub fn ring_doorbell(&self, pair: u32) {
        self.lock().run_ring(pair as usize, &self.faults);
    }

    /// Makes a queue pair fail.
    pub fn fail_pair(&self, pair: u32, error: QueueError) {
        self.lock().pairs[pair as usize].error = error as u8;
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, fault: &AtomicBool) -> bool {
        fault.load(Ordering::Relaxed)
    }

    fn descriptor_of(&self, vector: u32) -> Result<OwnedFd, DriverError> {
        let state = self.lock();
        let event =
            state.interrupts.get(vector as usize).ok_or_else(|| DriverError::NoSuchInterrupt {
                name: "mock card".to_owned(),
                has: state.interrupts.len() as u32,
                asked: vector + 1,
            })?;
        event.try_clone().map_err(DriverError::file("cannot copy", "an event descriptor"))
    }
}

/// Which pair a register belongs to (the admin queue is the last), and the register's place in
/// the block. `page` tells doorbells from settings.
struct Place {
    pair: usize,
    offset: u32,
    page: bool,
}

fn place_of(offset: u32) -> Option<Place> {
    let pairs = MOCK_QUEUES;
    let inside = |block: rmt_isa::device::registers::Block, copies: u32| {
        let place = offset.checked_sub(block.base)?;
        let stride = block.stride.max(LINE_BYTES);
        let (copy, offset) = (place / stride, place % stride);
        (copy < copies && offset < LINE_BYTES).then_some((copy, offset))
    };
    let of = |(copy, offset): (u32, u32), page| Place { pair: copy as usize, offset, page };
    let admin = |(_, offset): (u32, u32), page| Place { pair: pairs as usize, offset, page };
    (inside(PAIR, pairs).map(|place| of(place, false)))
        .or_else(|| inside(PAGE, pairs).map(|place| of(place, true)))
        .or_else(|| inside(ADMIN_PAIR, 1).map(|place| admin(place, false)))
        .or_else(|| inside(ADMIN_PAGE, 1).map(|place| admin(place, true)))
}

impl<F: FnMut(&Event) -> Decision> State<F> {
    fn read(&self, offset: u32) -> u32 {
        if let Some(&value) = self.overrides.get(&offset) {
            return value;
        }
        let at = |register: Register| register.at(0);
        if let Some(Place { pair, offset, page: true }) = place_of(offset)
            && offset == PAIR_STATUS.offset
        {
            let pair = &self.pairs[pair];
            let running = pair.control & 1 == 1 && pair.error == 0;
            return (pair_status::RUNNING.insert(running.into())
                | pair_status::ERROR.insert(pair.error.into())) as u32;
        }
        let magic = rmt_isa::card::shape::MAGIC;
        let window = CORE_WINDOW.base..CORE_WINDOW.base + 0x800;
        match offset {
            _ if offset == at(MAGIC) => magic as u32,
            _ if offset == at(MAGIC) + 4 => (magic >> 32) as u32,
            _ if offset == at(VERSION) => rmt_isa::device::VERSION,
            _ if offset == at(QUEUES) => MOCK_QUEUES,
            _ if offset == at(INLINE_SLOTS) => MOCK_INLINE_SLOTS,
            _ if offset == at(VECTORS) => MOCK_QUEUES + 1,
            _ if offset == at(STREAM_BITS) => 64,
            _ if offset == at(STATUS) => {
                (device_status::READY.insert(1) | device_status::IDLE.insert(1)) as u32
            }
            _ if window.contains(&offset) => {
                let word = self.core.get(&((offset - window.start) / 8)).copied().unwrap_or(0);
                (word >> (8 * (offset & 4))) as u32
            }
            _ => self.registers.get(&offset).copied().unwrap_or(0),
        }
    }

    fn write(&mut self, offset: u32, value: u64, faults: &Faults) {
        if offset == CONTROL.at(0) {
            if device_control::RESET.extract(value) == 1 {
                self.reset();
            }
            return;
        }
        let Some(Place { pair: number, offset, page }) = place_of(offset) else {
            self.registers.insert(offset, value as u32);
            return;
        };
        let memory =
            |address| self.memory.iter().find_map(|m| m.offset_of(address).map(|o| (m.clone(), o)));
        let ring = if [EVENT_RING.offset, COMPLETION_RING.offset].contains(&offset) && !page {
            memory(value)
        } else {
            None
        };
        let pair = &mut self.pairs[number];
        match (page, offset) {
            (false, o) if o == EVENT_RING.offset => pair.events = ring.map(|(memory, _)| memory),
            (false, o) if o == COMPLETION_RING.offset => {
                (pair.completions, pair.completion_offset) = match ring {
                    Some((memory, offset)) => (Some(memory), offset),
                    None => (None, 0),
                };
            }
            (false, o) if o == INTERRUPT.offset => pair.interrupt = value,
            (false, o) if o == RINGS.offset => {
                pair.log2 = pair_rings::EVENT_LOG2.extract(value) as u32;
            }
            (false, o) if o == PAIR_CONTROL.offset => {
                let enabled = |control| pair_control::ENABLE.extract(control) == 1;
                // A pair that runs goes on, whatever is written, until it is stopped.
                let (starts, ends) = (enabled(value) && !enabled(pair.control), !enabled(value));
                pair.control = value;
                if starts {
                    (pair.head, pair.tail, pair.completion_tail, pair.error) = (0, 0, 0, 0);
                    if pair.events.is_none() || pair.completions.is_none() {
                        pair.error = QueueError::BadConfiguration as u8;
                    }
                } else if ends {
                    pair.error = 0;
                }
            }
            (true, o) if o == EVENT_TAIL.offset => {
                pair.tail = value as u16;
                if pair.tail.wrapping_sub(pair.head) > 1 << pair.log2 {
                    pair.error = QueueError::EventOverrun as u8;
                }
                self.run_ring(number, faults);
            }
            (true, o) if o == COMPLETION_HEAD.offset => {}
            _ => {}
        }
    }

    fn reset(&mut self) {
        self.pairs.fill(Pair::default());
        self.registers.clear();
    }

    /// Does what stands in a pair's ring.
    fn run_ring(&mut self, number: usize, faults: &Faults) {
        while !faults.silent.load(Ordering::Relaxed) {
            let pair = &mut self.pairs[number];
            let Some(memory) =
                pair.events.clone().filter(|_| pair.error == 0 && pair.control & 1 == 1)
            else {
                return;
            };
            if pair.head == pair.tail {
                return;
            }
            let first = usize::from(slot(pair.head, pair.log2)) * EVENT_BYTES / 8;
            pair.head = pair.head.wrapping_add(1);
            let mut event = Event::new(0, 0, 0);
            for (place, word) in event.bytes.chunks_exact_mut(8).zip(&memory.words()[first..]) {
                place.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
            }
            if number == MOCK_QUEUES as usize {
                self.run_command(&event);
            } else {
                self.run_event(number, &event, faults);
            }
        }
    }

    fn run_event(&mut self, number: usize, event: &Event, faults: &Faults) {
        let decision = (self.decide)(event);
        let copies = if faults.doubled.load(Ordering::Relaxed) { 2 } else { 1 };
        for _ in 0..copies {
            self.complete(number, faults.garbled.load(Ordering::Relaxed), |phase| {
                decision.to_bytes(phase)
            });
        }
    }

    fn complete(&mut self, number: usize, garbled: bool, bytes: impl FnOnce(bool) -> [u8; 32]) {
        let pair = &mut self.pairs[number];
        let Some(memory) = pair.completions.clone() else { return };
        let first = pair.completion_offset / 8
            + usize::from(slot(pair.completion_tail, pair.log2)) * RECORD_WORDS;
        let mut record = bytes(phase(pair.completion_tail, pair.log2));
        if garbled {
            record[rmt_isa::event::decision_layout::STATUS.offset] = 0xee;
        }
        pair.completion_tail = pair.completion_tail.wrapping_add(1);
        // The first word holds the phase: it comes last.
        memory.store(first + 1, &record[8..]);
        fence(Ordering::Release);
        memory.store(first, &record[..8]);
        if pair_interrupt::ENABLE.extract(pair.interrupt) == 1 {
            let vector = pair_interrupt::VECTOR.extract(pair.interrupt) as usize;
            if let Some(event) = self.interrupts.get(vector) {
                // It fails only when nobody has read for 2^64 interrupts.
                let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
            }
        }
    }

    fn run_command(&mut self, command: &Event) {
        use rmt_isa::device::admin::command_layout::{
            CORE_WORD, COUNT, HOST_ADDRESS, OPCODE, VALUE,
        };
        let field = |field: rmt_isa::event::WireField| command.load(field.offset, field.bytes);
        let (word, count, value) = (field(CORE_WORD) as u32, field(COUNT) as usize, field(VALUE));
        let data =
            self.memory.iter().find(|m| m.offset_of(field(HOST_ADDRESS)) == Some(0)).cloned();
        let mut result = 0;
        let status = match (AdminOpcode::from_number(field(OPCODE) as u16), data) {
            (Some(AdminOpcode::Nop), _) => AdminStatus::Done,
            (Some(AdminOpcode::Commit), _) => {
                // Without time: events are held and a commit is done as soon as it is asked for.
                let done = word == regions::CONTROL.word(0);
                self.core.insert(word, if done { 0 } else { value });
                result = value;
                AdminStatus::Done
            }
            (Some(AdminOpcode::WriteList), Some(data)) => {
                for pair in data.words().chunks_exact(2).take(count) {
                    let [address, value] = [0, 1].map(|i| pair[i].load(Ordering::Relaxed));
                    self.core.insert(address as u32, value);
                }
                AdminStatus::Done
            }
            (Some(AdminOpcode::ReadBlock), Some(data)) => {
                for (index, place) in (0..).zip(&data.words()[..count]) {
                    let value = self.core.get(&(word + index)).copied().unwrap_or(0);
                    place.store(value, Ordering::Relaxed);
                }
                AdminStatus::Done
            }
            (Some(_), None) => AdminStatus::HostReadFailed,
            _ => AdminStatus::BadCommand,
        };
        let tag = command.load(event_layout::TAG.offset, 4) as u32;
        self.complete(MOCK_QUEUES as usize, false, |phase| {
            let mut record = [0; 32];
            record[..4].copy_from_slice(&tag.to_le_bytes());
            record[4] = status as u8;
            record[5] = u8::from(phase) << 7;
            record[8..16].copy_from_slice(&result.to_le_bytes());
            record
        });
    }
}

impl<F: FnMut(&Event) -> Decision> Device for MockCard<F> {
    fn name(&self) -> &str {
        "mock card"
    }

    fn read32(&self, _bar: u8, offset: u32) -> u32 {
        let mut state = self.lock();
        state.accesses.reads += 1;
        if self.is(&self.faults.gone) { u32::MAX } else { state.read(offset) }
    }

    fn write32(&self, bar: u8, offset: u32, value: u32) {
        self.write64(bar, offset, value.into());
    }

    fn write64(&self, _bar: u8, offset: u32, value: u64) {
        let mut state = self.lock();
        state.accesses.writes += 1;
        if !self.is(&self.faults.gone) {
            state.write(offset, value, &self.faults);
        }
    }

    fn write_line(&self, _bar: u8, offset: u32, line: &[u8; LINE_BYTES as usize]) {
        let mut state = self.lock();
        state.accesses.lines += 1;
        let pair = (offset - INLINE.base) / INLINE.stride;
        assert!((offset - INLINE.at(pair)) / LINE_BYTES < INLINE_LINES);
        let idle = self.is(&self.faults.gone) || self.is(&self.faults.silent);
        if !idle && state.pairs[pair as usize].control & 1 == 1 {
            state.run_event(pair as usize, &Event { bytes: *line }, &self.faults);
        }
    }

    fn allocate(&self, bytes: usize) -> Result<Arc<DmaMemory>, DriverError> {
        let mut state = self.lock();
        let memory = Arc::new(DmaMemory::in_process(bytes, state.next_address));
        state.next_address += (bytes as u64).next_multiple_of(1 << 16);
        state.memory.push(memory.clone());
        Ok(memory)
    }

    fn enable_interrupts(&self, vectors: u32) -> Result<(), DriverError> {
        let has = MOCK_QUEUES + 1;
        if vectors > has {
            return Err(DriverError::NoSuchInterrupt {
                name: self.name().to_owned(),
                has,
                asked: vectors,
            });
        }
        let made = (0..vectors).map(|_| eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC));
        let made = made.collect::<Result<_, _>>().map_err(|error| DriverError::Vfio {
            doing: "enabling interrupts",
            reason: error.to_string(),
        })?;
        self.lock().interrupts = made;
        Ok(())
    }

    fn wait_interrupt(&self, vector: u32, limit: Duration) -> Result<bool, DriverError> {
        let event = self.descriptor_of(vector)?;
        let raised = wait_readable(&event, limit)
            .map_err(DriverError::file("cannot wait for", "an interrupt"))?;
        Ok(raised && rustix::io::read(&event, &mut [0_u8; 8]).is_ok())
    }

    fn interrupt_descriptor(&self, vector: u32) -> Result<Option<OwnedFd>, DriverError> {
        self.descriptor_of(vector).map(Some)
    }

    fn reset_function(&self) -> Result<(), DriverError> {
        self.lock().reset();
        Ok(())
    }

    fn now(&self) -> Duration {
        self.begun.elapsed() + Duration::from_nanos(self.skipped.load(Ordering::Relaxed))
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(10)
    }

    fn relax(&self) {
        std::hint::spin_loop();
    }
}
