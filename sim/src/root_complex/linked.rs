//! A simulated card on a link, with the host's side of it.

use std::collections::VecDeque;

use rmt_isa::device::pci::{BARS, Bar};

use super::behaviour::{Chance, Latency, Liberties, ReadFault};
use super::error::LinkError;
use super::interface::{CardBus, ConfigState, HostMemory};
use super::packet::{Completion, CompletionStatus, Packet, Request};
use super::pins::{Beat, Drive, LinkPins, Sample};

/// Cycles within which the card must answer a read of a BAR: above all its own bounds.
pub const PATIENCE_CYCLES: u64 = 1 << 18;
/// Requester id of the host.
const HOST_ID: u16 = 0;
/// Pages that the IOMMU's cache holds.
const IOMMU_CACHE_PAGES: usize = 64;
/// Interrupt messages go here.
const INTERRUPTS: std::ops::Range<u64> = 0xfee0_0000..0xfef0_0000;
/// Where the model puts the BARs: one after the other, each aligned to its size.
const BAR_BASE: u64 = 0xe000_0000;
const BAR_SPACING: u64 = 0x100_0000;

/// Packets at the boundary, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Writes of the host.
    pub host_writes: u64,
    /// Reads of the host.
    pub host_reads: u64,
    /// Completions of the host.
    pub host_completions: u64,
    /// Writes of the card, interrupts included.
    pub card_writes: u64,
    /// Reads of the card.
    pub card_reads: u64,
    /// Completions of the card.
    pub card_completions: u64,
    /// Writes of the card that no memory took.
    pub refused_writes: u64,
}

impl Traffic {
    /// All packets.
    pub fn packets(&self) -> u64 {
        self.host_writes
            + self.host_reads
            + self.host_completions
            + self.card_writes
            + self.card_reads
            + self.card_completions
    }
}

/// A packet to the card that waits.
struct Outgoing {
    due: u64,
    packet: Packet,
    bar_hit: u8,
    /// DWs given raw, for packets that the model cannot express.
    raw: Option<Vec<u32>>,
}

/// A packet of the card that is on its way to the host.
struct Incoming {
    due: u64,
    packet: Packet,
}

/// An answer that the host waits for.
struct Awaited {
    tag: u8,
    bytes: Vec<u8>,
    expected: usize,
    refused: bool,
}

/// A card behind pins, linked to a host with memory.
pub struct LinkedCard<P, M> {
    pins: P,
    memory: M,
    config: ConfigState,
    latency: Latency,
    chance: Chance,
    cycle: u64,
    outgoing: VecDeque<Outgoing>,
    incoming: VecDeque<Incoming>,
    sending: VecDeque<Beat>,
    receiving: Vec<u32>,
    /// The configuration state of the cycle before.
    config_before: ConfigState,
    /// The one that the packet of `receiving` was begun under.
    begun_under: Option<ConfigState>,
    awaited: Option<Awaited>,
    next_tag: u8,
    faults: VecDeque<Option<ReadFault>>,
    iommu_cache: VecDeque<u64>,
    traffic: Traffic,
    /// A beat was offered and not taken: it must stay.
    held: bool,
    flr: bool,
    link_up: bool,
    log: Option<Vec<(u64, bool, Packet)>>,
}

impl<P: LinkPins, M: HostMemory> LinkedCard<P, M> {
    /// Resets the card and links it.
    ///
    /// # Errors
    /// When the simulation failed.
    pub fn new(mut pins: P, memory: M) -> Result<Self, LinkError> {
        pins.reset()?;
        Ok(Self {
            pins,
            memory,
            config: ConfigState::default(),
            latency: Latency::zero(),
            chance: Chance::new(Liberties::default()),
            cycle: 0,
            outgoing: VecDeque::new(),
            incoming: VecDeque::new(),
            sending: VecDeque::new(),
            receiving: Vec::new(),
            config_before: ConfigState::default(),
            begun_under: None,
            awaited: None,
            next_tag: 0,
            faults: VecDeque::new(),
            iommu_cache: VecDeque::new(),
            traffic: Traffic::default(),
            held: false,
            flr: false,
            link_up: true,
            log: None,
        })
    }

    /// The host takes its time.
    pub fn set_latency(&mut self, latency: Latency) {
        self.latency = latency;
    }

    /// The host takes liberties.
    pub fn set_liberties(&mut self, liberties: Liberties) {
        self.chance = Chance::new(liberties);
    }

    /// What happens to the reads of the card that come next, one each.
    pub fn inject(&mut self, faults: impl IntoIterator<Item = Option<ReadFault>>) {
        self.faults.extend(faults);
    }

    /// The host's memory.
    pub fn memory(&mut self) -> &mut M {
        &mut self.memory
    }

    /// The pins, for waveforms and signals inside.
    pub fn pins(&mut self) -> &mut P {
        &mut self.pins
    }

    /// Clock cycles since the reset.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Packets at the boundary since the reset.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Keeps all packets from now on, with their cycle and whether the card sent them.
    pub fn start_log(&mut self) {
        self.log = Some(Vec::new());
    }

    /// The packets kept so far.
    pub fn take_log(&mut self) -> Vec<(u64, bool, Packet)> {
        self.log.replace(Vec::new()).unwrap_or_default()
    }

    /// Lets the IOMMU forget all translations, so that the next access to each page is a miss.
    pub fn clear_iommu_cache(&mut self) {
        self.iommu_cache.clear();
    }

    /// Takes the link down or up again.
    pub fn set_link_up(&mut self, up: bool) {
        self.link_up = up;
    }

    /// Bus address of a byte of a BAR, and the bit of its hit.
    fn place(bar: u8, offset: u64) -> (u64, u8) {
        let hit = if BARS.iter().any(|Bar { number, .. }| *number == bar) { 1 << bar } else { 0 };
        (BAR_BASE + BAR_SPACING * u64::from(bar) + offset, hit)
    }

    fn send(&mut self, packet: Packet, bar_hit: u8, delay: u64) {
        let due = self.cycle + delay;
        self.outgoing.push_back(Outgoing { due, packet, bar_hit, raw: None });
    }

    /// Sends a packet as it is, whether or not it keeps the rules; it must have a header.
    pub fn send_raw(&mut self, dws: Vec<u32>, bar_hit: u8) {
        let packet = Packet::Read(Request::for_bytes(0, 4, HOST_ID, 0));
        let raw = Some(dws);
        self.outgoing.push_back(Outgoing { due: self.cycle, packet, bar_hit, raw });
    }

    /// Whether all packets to the card have been taken and all of the card's have arrived.
    pub fn is_quiet(&self) -> bool {
        self.outgoing.is_empty() && self.incoming.is_empty() && self.sending.is_empty()
    }

    /// One clock cycle.
    fn tick(&mut self) -> Result<(), LinkError> {
        self.arrive()?;
        if self.sending.is_empty() && !self.chance.once_in(4) {
            self.begin_packet();
        }
        // Within a packet the block may pause, too.
        let pauses = !self.held && self.chance.once_in(5);
        let rx = if pauses { None } else { self.sending.front() };
        let drive = Drive {
            rx: rx.copied(),
            tx_ready: !self.chance.once_in(3),
            config: self.config,
            link_up: self.link_up,
            function_reset: std::mem::take(&mut self.flr),
        };
        let Sample { rx_ready, tx } = self.pins.cycle(&drive)?;
        if drive.rx.is_some() && rx_ready {
            self.sending.pop_front();
            self.held = false;
        } else {
            self.held = drive.rx.is_some();
        }
        if tx.is_some() {
            // The card decides to send a packet in the cycle before it offers it; what it has begun it
            // ends, whatever is written to the configuration space meanwhile.
            self.begun_under.get_or_insert(self.config_before);
        }
        self.config_before = self.config;
        if let (Some(beat), true) = (tx, drive.tx_ready) {
            self.take(beat)?;
        }
        self.cycle += 1;
        Ok(())
    }

    /// Cuts the next packet that is due into beats.
    fn begin_packet(&mut self) {
        let due = |outgoing: &Outgoing| outgoing.due <= self.cycle;
        let Some(mut choice) = self.outgoing.iter().position(due) else { return };
        if self.chance.once_in(2) {
            choice = self.overtaking(choice);
        }
        let Some(Outgoing { packet, bar_hit, raw, .. }) = self.outgoing.remove(choice) else {
            return;
        };
        match &packet {
            Packet::Read(_) => self.traffic.host_reads += 1,
            Packet::Write { .. } => self.traffic.host_writes += 1,
            Packet::Completion(_) => self.traffic.host_completions += 1,
        }
        let dws = raw.unwrap_or_else(|| packet.to_dws());
        if let Some(log) = &mut self.log {
            log.push((self.cycle, false, packet));
        }
        let lanes = self.pins.lanes();
        let count = dws.len().div_ceil(lanes);
        for (index, part) in dws.chunks(lanes).enumerate() {
            let mut beat =
                Beat { lanes: part.len(), last: index + 1 == count, bar_hit, ..Beat::default() };
            beat.dws[..part.len()].copy_from_slice(part);
            self.sending.push_back(beat);
        }
    }

    /// A completion that may go before the packet at `first`: one of another tag, with nothing of
    /// its own tag before it.
    fn overtaking(&mut self, first: usize) -> usize {
        let tag = |outgoing: &Outgoing| match &outgoing.packet {
            Packet::Completion(completion) => Some(completion.tag),
            _ => None,
        };
        let candidates: Vec<usize> = (first..self.outgoing.len())
            .filter(|&at| {
                let own = tag(&self.outgoing[at]);
                own.is_some()
                    && self.outgoing[at].due <= self.cycle
                    && self.outgoing.iter().take(at).all(|before| tag(before) != own)
            })
            .collect();
        match candidates.len() {
            0 => first,
            count => candidates[self.chance.below(count as u64) as usize],
        }
    }

    /// Takes a beat of the card.
    fn take(&mut self, beat: Beat) -> Result<(), LinkError> {
        self.receiving.extend(&beat.dws[..beat.lanes]);
        if !beat.last {
            return Ok(());
        }
        let packet = Packet::from_dws(&std::mem::take(&mut self.receiving))
            .map_err(|source| LinkError::BadPacket { cycle: self.cycle, source })?;
        let config = self.begun_under.take().unwrap_or(self.config);
        let rule = match &packet {
            Packet::Read(request) => {
                self.traffic.card_reads += 1;
                (4 * request.dws > config.max_read_request).then_some("max read request")
            }
            Packet::Write { data, .. } => {
                self.traffic.card_writes += 1;
                (data.len() as u32 > config.max_payload).then_some("max payload")
            }
            Packet::Completion(completion) => {
                self.traffic.card_completions += 1;
                let data = completion.data.len() as u32;
                (data > config.max_payload).then_some("max payload")
            }
        };
        if let Some(rule) = rule {
            return Err(LinkError::BrokenRule { cycle: self.cycle, rule });
        }
        let request = matches!(packet, Packet::Read(_) | Packet::Write { .. });
        if request && !config.bus_master {
            return Err(LinkError::BrokenRule { cycle: self.cycle, rule: "bus master enable" });
        }
        if let Some(log) = &mut self.log {
            log.push((self.cycle, true, packet.clone()));
        }
        let mut delay = self.latency.write_cycles;
        if let Packet::Read(request) | Packet::Write { request, .. } = &packet {
            delay += self.translate(request.address);
        }
        // Packets of one direction keep their order.
        let last = self.incoming.back().map_or(0, |incoming| incoming.due);
        // It is whole at the end of this cycle.
        let due = (self.cycle + 1 + delay).max(last);
        self.incoming.push_back(Incoming { due, packet });
        Ok(())
    }

    /// Cycles that the IOMMU needs for a page: none if its cache holds it.
    fn translate(&mut self, address: u64) -> u64 {
        let page = address / 4096;
        let hit = self.iommu_cache.iter().position(|&cached| cached == page);
        if let Some(place) = hit {
            self.iommu_cache.remove(place);
        }
        self.iommu_cache.push_front(page);
        self.iommu_cache.truncate(IOMMU_CACHE_PAGES);
        if hit.is_some() { 0 } else { self.latency.iommu_miss_cycles }
    }

    /// Does what has arrived at the host.
    fn arrive(&mut self) -> Result<(), LinkError> {
        while self.incoming.front().is_some_and(|incoming| incoming.due <= self.cycle) {
            let Some(Incoming { packet, .. }) = self.incoming.pop_front() else { break };
            match packet {
                Packet::Write { request, data, .. } => self.written(&request, &data),
                Packet::Read(request) => self.answer(&request),
                Packet::Completion(completion) => self.completed(completion)?,
            }
        }
        Ok(())
    }

    fn written(&mut self, request: &Request, data: &[u8]) {
        if INTERRUPTS.contains(&request.address) {
            let mut word = [0; 4];
            word.copy_from_slice(&data[..4]);
            return self.memory.interrupt(request.address, u32::from_le_bytes(word));
        }
        let skip = (request.first_byte() - request.address) as usize;
        let bytes = &data[skip..skip + request.byte_count()];
        if self.memory.write(request.first_byte(), bytes).is_err() {
            self.traffic.refused_writes += 1;
        }
    }

    /// Answers a read of the card, in one completion or in several.
    fn answer(&mut self, request: &Request) {
        let fault = self.faults.pop_front().flatten();
        let mut data = vec![0; 4 * request.dws as usize];
        let mut status = CompletionStatus::Success;
        if self.memory.read(request.address, &mut data).is_err() {
            status = CompletionStatus::UnsupportedRequest;
        }
        let mut delay = self.latency.read_cycles.saturating_sub(self.latency.write_cycles);
        let mut completion = Completion::of(request, HOST_ID, status);
        match fault {
            Some(ReadFault::Lost) => return,
            Some(ReadFault::Refused) => completion.status = CompletionStatus::UnsupportedRequest,
            Some(ReadFault::Aborted) => completion.status = CompletionStatus::CompleterAbort,
            Some(ReadFault::Poisoned) => completion.poisoned = true,
            Some(ReadFault::Late(cycles)) => delay += cycles,
            Some(ReadFault::Stray) => {
                let stray = Completion {
                    tag: completion.tag ^ 0x20,
                    data: data.clone(),
                    ..completion.clone()
                };
                self.send(Packet::Completion(stray), 0, delay);
            }
            None => {}
        }
        if completion.status != CompletionStatus::Success {
            self.send(Packet::Completion(completion), 0, delay);
            return;
        }
        // Cut at multiples of 64 bytes, and at the largest payload.
        let mut at = 0;
        while at < data.len() {
            let address = request.address as usize + at;
            let most = (data.len() - at).min(self.config.max_payload as usize);
            let mut count = most;
            if self.chance.once_in(2) {
                let to_boundary = 64 - address % 64;
                let more = self.chance.below((most / 64) as u64 + 1) as usize * 64;
                count = (to_boundary + more).min(most);
            } else if count < data.len() - at {
                count -= (address + count) % 64;
            }
            let part = Completion {
                byte_count: (data.len() - at) as u32,
                lower_address: (address & 0x7f) as u8,
                data: data[at..at + count].to_vec(),
                ..completion.clone()
            };
            let pause = self.chance.below(20);
            delay += pause;
            self.send(Packet::Completion(part), 0, delay);
            at += count;
        }
    }

    /// An answer of the card.
    fn completed(&mut self, completion: Completion) -> Result<(), LinkError> {
        let cycle = self.cycle;
        let broken = |rule| Err(LinkError::BrokenRule { cycle, rule });
        let Some(awaited) = self.awaited.as_mut().filter(|a| a.tag == completion.tag) else {
            return broken("a completion for no request");
        };
        if completion.requester != HOST_ID || completion.completer != self.config.completer_id {
            return broken("ids of a completion");
        }
        if completion.status != CompletionStatus::Success {
            awaited.refused = true;
            return Ok(());
        }
        let left = (awaited.expected - awaited.bytes.len()) as u32;
        if completion.byte_count != left & 0xfff {
            return broken("byte count of a completion");
        }
        let skip = completion.lower_address as usize & 3;
        let count = (completion.data.len() - skip).min(left as usize);
        awaited.bytes.extend(&completion.data[skip..skip + count]);
        if awaited.bytes.len() < awaited.expected
            && !(completion.lower_address as usize + count).is_multiple_of(128)
        {
            return broken("read completion boundary");
        }
        Ok(())
    }

    /// Reads with byte enables as they come; `None` when the card refuses.
    ///
    /// # Errors
    /// [`LinkError::NoAnswer`], and those of the simulation.
    pub fn read_request(
        &mut self,
        bar: u8,
        offset: u64,
        bytes: usize,
    ) -> Result<Option<Vec<u8>>, LinkError> {
        let (address, hit) = Self::place(bar, offset);
        self.next_tag = self.next_tag.wrapping_add(1) % 32;
        let tag = self.next_tag;
        let request = Request::for_bytes(address, bytes, HOST_ID, tag);
        self.awaited = Some(Awaited { tag, bytes: Vec::new(), expected: bytes, refused: false });
        self.send(Packet::Read(request), hit, self.latency.write_cycles);
        let begun = self.cycle;
        loop {
            self.tick()?;
            match &self.awaited {
                Some(awaited) if awaited.refused => {
                    self.awaited = None;
                    return Ok(None);
                }
                Some(awaited) if awaited.bytes.len() == awaited.expected => {
                    return Ok(self.awaited.take().map(|awaited| awaited.bytes));
                }
                _ => {}
            }
            if self.cycle - begun > PATIENCE_CYCLES {
                return Err(LinkError::NoAnswer { bar, offset, cycles: PATIENCE_CYCLES });
            }
        }
    }
}

impl<P: LinkPins, M: HostMemory> CardBus for LinkedCard<P, M> {
    type Error = LinkError;

    fn bar_read(&mut self, bar: u8, offset: u64, bytes: &mut [u8]) -> Result<(), LinkError> {
        // No request crosses 4 KiB.
        let mut at = 0;
        while at < bytes.len() {
            let here = offset + at as u64;
            let count = (bytes.len() - at).min(4096 - (here % 4096) as usize);
            match self.read_request(bar, here, count)? {
                Some(data) => bytes[at..at + count].copy_from_slice(&data),
                None => bytes[at..at + count].fill(0xff),
            }
            at += count;
        }
        Ok(())
    }

    fn bar_write(&mut self, bar: u8, offset: u64, bytes: &[u8]) -> Result<(), LinkError> {
        let mut at = 0;
        while at < bytes.len() {
            let here = offset + at as u64;
            let (address, hit) = Self::place(bar, here);
            let payload = self.config.max_payload as usize - (here % 4) as usize;
            let page = 4096 - (here % 4096) as usize;
            let count = (bytes.len() - at).min(payload).min(page);
            let request = Request::for_bytes(address, count, HOST_ID, 0);
            let mut data = vec![0; 4 * request.dws as usize];
            let skip = (here % 4) as usize;
            data[skip..skip + count].copy_from_slice(&bytes[at..at + count]);
            self.send(
                Packet::Write { request, data, poisoned: false },
                hit,
                self.latency.write_cycles,
            );
            at += count;
        }
        // A host has room for some posted writes, then it waits.
        while self.outgoing.len() > 64 {
            self.tick()?;
        }
        Ok(())
    }

    fn advance(&mut self, cycles: u64) -> Result<(), LinkError> {
        (0..cycles).try_for_each(|_| self.tick())
    }

    fn config(&self) -> ConfigState {
        self.config
    }

    fn set_config(&mut self, config: ConfigState) {
        self.config = config;
    }

    fn function_reset(&mut self) -> Result<(), LinkError> {
        self.flr = true;
        // The specification gives a function 100 ms; this one is ready after some cycles.
        self.advance(32)
    }
}
