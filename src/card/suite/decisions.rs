//! Decisions and state of the card against the interpreter.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use rmt_driver::card::Card;
use rmt_driver::{Decider, DriverError, Source, Transport};
use rmt_isa::card::regions::ADDRESS_BITS;
use rmt_isa::{Decision, Event};
use rmt_sim::cosim::first_state_difference;
use rmt_vm::Machine;

use super::super::AnyDevice;
use super::{Bench, Loaded, Verdict};

/// Events inside at a time.
const BATCH: usize = 32;

pub fn page_prefetch(bench: &mut Bench) -> Result<Verdict> {
    let traces = ["conv", "resize"].map(|name| format!("traces/pages/{name}.test.csv.zst"));
    let traces: Vec<&str> = traces.iter().map(String::as_str).collect();
    match bench.load("page_prefetch.rmt", &traces, bench.events)? {
        Ok(loaded) => compare(bench, &loaded, Transport::Ring, BATCH),
        // A smaller card than the firmware is made for is no fault.
        Err(too_small) => Ok(Verdict::NotHere(format!("does not fit this card: {too_small}"))),
    }
}

pub fn can_migrate_task(bench: &mut Bench) -> Result<Verdict> {
    let loaded = bench.load_some(bench.events)?;
    compare(bench, &loaded, Transport::Ring, BATCH)
}

/// Events by the shortest way; fewer of them, because in a guest each costs eight accesses.
pub fn inline_events(bench: &mut Bench) -> Result<Verdict> {
    let loaded = bench.load_some(bench.events.min(500))?;
    compare(bench, &loaded, Transport::Inline, 4)
}

/// Installs a program, runs its events and compares every decision, then the state.
fn compare(
    bench: &mut Bench,
    loaded: &Loaded,
    transport: Transport,
    batch: usize,
) -> Result<Verdict> {
    bench.card.install(&loaded.image.writes)?;
    let queue = bench.card.queue(0, bench.config(&loaded.program, transport))?;
    // Nothing may come from the fallback here: one that never matches the interpreter.
    let mut decider = Decider::new(queue, |event: &Event| Decision {
        tag: event.tag(),
        status: rmt_isa::event::Status::NoProgram,
        written: 0,
        cycles: 0,
        outputs: [u64::MAX; 3],
    });
    let mut found = HashMap::with_capacity(loaded.events.len());
    let mut missed = None;
    let begun = Instant::now();
    let numbered = loaded.events.iter().zip(0..).map(|(event, number): (&Event, u64)| {
        let mut event = *event;
        let tag = rmt_isa::event::event_layout::TAG;
        event.store(tag.offset, tag.bytes, number);
        event
    });
    decider.decide_all(numbered, batch, |event, answer| {
        if let (Source::Fallback(miss), None) = (answer.source, missed) {
            missed = Some((event.tag(), miss));
        }
        found.insert(event.tag(), answer.decision);
    });
    let seconds = begun.elapsed().as_secs_f64();
    if let Some((number, miss)) = missed {
        bail!("event {number}: {miss}");
    }
    let mut machine = Machine::new(&loaded.program)?;
    for (event, number) in loaded.events.iter().zip(0..) {
        let expected = machine.run(event);
        let Some(found) = found.get(&number) else { bail!("event {number} has no decision") };
        let same = (expected.status, expected.written, expected.outputs)
            == (found.status, found.written, found.outputs);
        ensure!(same, "event {number}: the interpreter says {expected:?}, the card {found:?}");
    }
    let words = compare_state(&mut bench.card, &machine, loaded)?;
    Ok(Verdict::Passed(format!(
        "{} decisions equal the interpreter's ({:.0} events/s), and so do {words} words of state",
        loaded.events.len(),
        loaded.events.len() as f64 / seconds
    )))
}

/// Compares the state of the card with the interpreter's; how many words were read for that.
fn compare_state(card: &mut Card<AnyDevice>, machine: &Machine, loaded: &Loaded) -> Result<usize> {
    let mut memory = CoreMemory { card, blocks: HashMap::new(), failed: None };
    let difference = first_state_difference(machine.state(), &loaded.image, true, |address| {
        Ok::<_, Infallible>(memory.word(address))
    });
    if let Some(error) = memory.failed {
        return Err(error.into());
    }
    let words = memory.blocks.len() * BLOCK_WORDS;
    match difference {
        Ok(None) => Ok(words),
        Ok(Some(difference)) => bail!(
            "state: {} is {} in the interpreter and {} on the card",
            difference.place,
            difference.left,
            difference.right
        ),
        Err(never) => match never {},
    }
}

/// Words that one admin command reads here.
const BLOCK_WORDS: usize = 512;

/// The words of the core, read block by block when they are first asked for.
struct CoreMemory<'c> {
    card: &'c mut Card<AnyDevice>,
    blocks: HashMap<u32, Vec<u64>>,
    failed: Option<DriverError>,
}

impl CoreMemory<'_> {
    fn word(&mut self, address: u32) -> u64 {
        debug_assert!(address < 1 << ADDRESS_BITS);
        let number = address / BLOCK_WORDS as u32;
        let (card, failed) = (&mut *self.card, &mut self.failed);
        let block = self.blocks.entry(number).or_insert_with(|| {
            let mut words = vec![0; BLOCK_WORDS];
            if failed.is_none() {
                *failed = card.admin().read_block(number * BLOCK_WORDS as u32, &mut words).err();
            }
            words
        });
        block[address as usize % BLOCK_WORDS]
    }
}
