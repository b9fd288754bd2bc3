//! The kernel module's rings as a source: events of kernel hooks, one ring for each processor.
//!
//! Where a hook is put to `advise` or `act`, pages that the page prefetcher predicts are asked for.

use std::collections::BTreeMap;
use std::time::Duration;

use rmt_driver::shim::{CpuRings, Shim, ShimControl, ShimError};
use rmt_isa::event::Status;
use rmt_isa::shim::KernelHook;
use rmt_isa::shim::control::{Mode, Settings};
use rmt_isa::shim::layout::outcome_layout;
use rmt_isa::{Decision, Event};

use super::prefetch::Prefetcher;
use super::{Source, SourceError};
use crate::accuracy::predicted_pages;

/// Name of the hook whose decisions predict pages, and of the argument that is the page.
const PREFETCH_HOOK: &str = "do_swap_page";
const PAGE_ARGUMENT: &str = "vpn";
/// Batches after which the modes are read again: the module may have put a hook off.
const MODES_BATCHES: u32 = 1024;

/// The rings.
pub struct KernelSource {
    shim: Option<Shim>,
    rings: Vec<CpuRings>,
    /// The ring that is asked first, so that none waits for ever.
    first: usize,
    /// For each event of the batch: its ring.
    origins: Vec<usize>,
    prefetcher: Option<Prefetcher>,
    prefetch: Option<Prefetch>,
    batches: u32,
    counts: Counts,
    outcomes: BTreeMap<u16, Outcomes>,
}

/// Where the page of a prefetcher's event is.
#[derive(Clone, Copy)]
struct Prefetch {
    hook: u16,
    offset: usize,
    bytes: usize,
    on: bool,
}

#[derive(Default)]
struct Counts {
    taken: u64,
    answered: u64,
}

/// How the hooks ended, as the module says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Outcomes {
    in_time: u64,
    late: u64,
    used: u64,
    agreed: u64,
}

impl KernelSource {
    /// Becomes the daemon of the loaded module, and puts hooks to modes.
    ///
    /// # Errors
    /// The module's.
    pub fn attach(modes: &[(u16, Mode)]) -> Result<Self, ShimError> {
        let (shim, rings) = ShimControl::open()?.attach()?;
        for &(hook, mode) in modes {
            shim.set(&Settings::unwatched(hook, mode))?;
        }
        let mut source = Self::of_rings(rings);
        source.prefetcher = Prefetcher::start().ok();
        source.shim = Some(shim);
        source.read_modes();
        Ok(source)
    }

    /// A source of rings without device, for tests and measurements.
    pub fn of_rings(rings: Vec<CpuRings>) -> Self {
        let argument = KernelHook::from_name(PREFETCH_HOOK).and_then(|hook| {
            let field = hook.argument(PAGE_ARGUMENT)?.field;
            Some(Prefetch {
                hook: hook.number,
                offset: field.offset,
                bytes: field.bytes,
                on: false,
            })
        });
        Self {
            shim: None,
            rings,
            first: 0,
            origins: Vec::new(),
            prefetcher: None,
            prefetch: argument,
            batches: 0,
            counts: Counts::default(),
            outcomes: BTreeMap::new(),
        }
    }

    fn read_modes(&mut self) {
        let (Some(shim), Some(prefetch)) = (&self.shim, &mut self.prefetch) else { return };
        let mode = shim.settings(prefetch.hook).map_or(Mode::Off, |settings| settings.mode);
        prefetch.on = matches!(mode, Mode::Advise | Mode::Act);
    }

    /// Takes the outcomes that are there, a bounded number.
    fn take_outcomes(&mut self) {
        for rings in &mut self.rings {
            for _ in 0..64 {
                let Some(outcome) = rings.take_outcome() else { break };
                let count = self.outcomes.entry(outcome.hook).or_default();
                let has = |flag: u16| outcome.flags & flag != 0;
                let in_time = has(outcome_layout::IN_TIME);
                count.in_time += u64::from(in_time);
                count.late += u64::from(!in_time);
                count.used += u64::from(has(outcome_layout::USED));
                count.agreed += u64::from(in_time && outcome.program == outcome.kernel);
            }
        }
    }
}

impl Source for KernelSource {
    fn name(&self) -> &str {
        "kernel"
    }

    fn take(&mut self, events: &mut Vec<Event>, most: usize) -> Result<(), SourceError> {
        self.origins.clear();
        let count = self.rings.len();
        for turn in 0..count {
            let number = (self.first + turn) % count;
            while self.origins.len() < most {
                let Some(event) = self.rings[number].take_event() else { break };
                events.push(event);
                self.origins.push(number);
            }
        }
        self.first = (self.first + 1) % count.max(1);
        self.counts.taken += self.origins.len() as u64;
        self.take_outcomes();
        self.batches = self.batches.wrapping_add(1);
        if self.batches.is_multiple_of(MODES_BATCHES) {
            self.read_modes();
        }
        Ok(())
    }

    fn answer(&mut self, events: &[Event], decisions: &[Decision]) {
        for (&origin, decision) in self.origins.iter().zip(decisions) {
            self.rings[origin].answer(decision);
        }
        self.counts.answered += decisions.len() as u64;
        // Answers first: prefetches have time.
        let (Some(prefetcher), Some(prefetch)) = (&self.prefetcher, &self.prefetch) else { return };
        if !prefetch.on {
            return;
        }
        for (event, decision) in events.iter().zip(decisions) {
            if event.hook() == prefetch.hook && decision.status == Status::Decided {
                let page = event.load(prefetch.offset, prefetch.bytes);
                prefetcher.ask(event.key(), predicted_pages(page, &decision.outputs));
            }
        }
    }

    fn counters(&self) -> Vec<(&'static str, u64)> {
        let sum = |count: fn(&Outcomes) -> u64| self.outcomes.values().map(count).sum();
        let mut counters = vec![
            ("taken", self.counts.taken),
            ("answered", self.counts.answered),
            ("outcomes_in_time", sum(|outcomes| outcomes.in_time)),
            ("outcomes_late", sum(|outcomes| outcomes.late)),
            ("answers_used", sum(|outcomes| outcomes.used)),
            ("answers_agreed", sum(|outcomes| outcomes.agreed)),
        ];
        counters.extend(self.prefetcher.iter().flat_map(Prefetcher::counters));
        counters
    }

    fn sleep(&mut self, limit: Duration) -> bool {
        match &self.shim {
            Some(shim) => shim.sleep(&self.rings, limit).is_ok(),
            None => false,
        }
    }
}

/// A hook and its mode from text: `can_migrate_task=shadow`.
///
/// # Errors
/// What is wrong and what would be right.
pub fn parse_mode(text: &str) -> Result<(u16, Mode), String> {
    let (hook, mode) = text.split_once('=').ok_or_else(|| format!("`{text}` is no `HOOK=MODE`"))?;
    Ok((KernelHook::parse(hook)?.number, mode.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_driver::shim::host::KernelSide;

    #[test]
    fn each_answer_goes_to_the_ring_of_its_event_and_no_ring_starves() {
        let pairs = (0..2).map(|cpu| KernelSide::pair(2, 6, cpu, u32::MAX - 20));
        let (mut kernels, rings): (Vec<_>, Vec<_>) = pairs.unzip();
        let mut source = KernelSource::of_rings(rings);
        let (mut sent, mut answered) = (0, 0);
        for round in 0..50_u64 {
            let mut tags = Vec::new();
            for (cpu, kernel) in kernels.iter_mut().enumerate() {
                for n in 0..5 {
                    let key = round * 100 + cpu as u64 * 10 + n;
                    tags.push((cpu, kernel.send(&Event::new(2, 0, key)).unwrap(), key));
                    sent += 1;
                }
            }
            let (mut events, mut from) = (Vec::new(), [0; 2]);
            while answered < sent {
                events.clear();
                source.take(&mut events, 4).unwrap();
                let decisions: Vec<_> = (events.iter())
                    .map(|event| Decision {
                        tag: event.tag(),
                        status: Status::Decided,
                        written: 1,
                        cycles: 0,
                        outputs: [event.key(), 0, 0],
                    })
                    .collect();
                source.answer(&events, &decisions);
                answered += events.len();
                from[usize::from(events.first().is_some_and(|e| e.key() / 10 % 10 == 1))] += 1;
            }
            assert!(from.iter().all(|&turns| turns > 0), "{from:?}");
            for (cpu, tag, key) in tags {
                assert_eq!(kernels[cpu].answer(tag).map(|d| d.outputs[0]), Some(key));
            }
        }
        assert_eq!(source.counters()[0], ("taken", sent as u64));
    }

    #[test]
    fn modes_are_named() {
        assert_eq!(parse_mode("can_migrate_task=shadow"), Ok((2, Mode::Shadow)));
        assert!(parse_mode("schedule=act").unwrap_err().contains("do_swap_page"));
        assert!(parse_mode("do_swap_page=on").unwrap_err().contains("advise"));
        assert!(parse_mode("act").unwrap_err().contains("HOOK=MODE"));
    }
}
