//! When a program moves. A move costs more than some slow events, and a program that moves to
//! and fro costs most of all; so another engine must be better by a margin, several times in a
//! row, and a program stays for a while where it came.

use std::time::{Duration, Instant};

use rmt_vm::verifier::Cost;

use super::Platform;
use crate::protocol::EngineName;

/// Another engine must cost at most this share.
const MARGIN: f64 = 0.75;
/// So many looks in a row.
const LOOKS: u32 = 3;
/// Least time on an engine.
const STAY: Duration = Duration::from_secs(5);
/// Least events between two looks; fewer say nothing.
const LEAST_EVENTS: u64 = 64;
/// Corrections of the model by measurement stay within this factor.
const MOST_CORRECTION: f64 = 1000.0;
/// What was measured on an engine long ago counts less and less: exponent for each look, half after
/// some three minutes. So an engine that was slow for a while is tried again.
const FADING: f64 = 0.998;

/// What was measured since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Look {
    /// Events.
    pub events: u64,
    /// Batches that they came in.
    pub batches: u64,
    /// Their time, nanoseconds.
    pub nanoseconds: u64,
}

/// Decides for one program.
#[derive(Clone, Debug)]
pub struct Placer {
    since: Instant,
    candidate: Option<(EngineName, u32)>,
    /// By engine: measured against predicted, when it was there last.
    corrections: [f64; 3],
}

fn index(engine: EngineName) -> usize {
    match engine {
        EngineName::Interpreter => 0,
        EngineName::Jit => 1,
        EngineName::Card => 2,
    }
}

impl Placer {
    /// For a program that came to its engine now.
    pub fn new(now: Instant) -> Self {
        Self { since: now, candidate: None, corrections: [1.0; 3] }
    }

    /// The program came to another engine.
    pub fn moved(&mut self, now: Instant) {
        self.since = now;
        self.candidate = None;
    }

    /// Where a program that is installed runs first.
    pub fn first(platform: &Platform, cost: &Cost, card_can: bool) -> EngineName {
        // Nothing is known of its batches: the card has to win with lone events.
        best(&[1.0; 3], platform, cost, 1.0, card_can).0
    }

    /// The engine to move to, if any.
    pub fn look(
        &mut self,
        (platform, cost): (&Platform, &Cost),
        engine: EngineName,
        card_can: bool,
        look: Look,
        now: Instant,
    ) -> Option<EngineName> {
        if look.events < LEAST_EVENTS {
            return None;
        }
        let batch = look.events as f64 / look.batches.max(1) as f64;
        let measured = look.nanoseconds as f64 / look.events as f64;
        for correction in &mut self.corrections {
            *correction = correction.powf(FADING);
        }
        if let Some(predicted) = platform.event(engine, cost, batch) {
            let correction = measured / predicted.max(f64::MIN_POSITIVE);
            let correction = correction.clamp(1.0 / MOST_CORRECTION, MOST_CORRECTION);
            self.corrections[index(engine)] = correction;
        }
        let (found, nanoseconds) = best(&self.corrections, platform, cost, batch, card_can);
        if found == engine || nanoseconds > MARGIN * measured {
            self.candidate = None;
            return None;
        }
        let looks = match self.candidate {
            Some((candidate, looks)) if candidate == found => looks + 1,
            _ => 1,
        };
        self.candidate = Some((found, looks));
        (looks >= LOOKS && now.duration_since(self.since) >= STAY).then_some(found)
    }
}

/// The engine that costs least, and what it costs.
fn best(
    corrections: &[f64; 3],
    platform: &Platform,
    cost: &Cost,
    batch: f64,
    card_can: bool,
) -> (EngineName, f64) {
    let engines = [EngineName::Jit, EngineName::Interpreter, EngineName::Card];
    let able = engines.into_iter().filter(|engine| card_can || *engine != EngineName::Card);
    let costs = able.filter_map(|engine| {
        let nanoseconds = platform.event(engine, cost, batch)?;
        Some((engine, nanoseconds * corrections[index(engine)]))
    });
    costs.min_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap_or((EngineName::Jit, f64::INFINITY))
}

#[cfg(test)]
mod tests {
    use super::super::tests::platform;
    use super::*;

    const LARGE: Cost = Cost {
        instructions: 20,
        macs: 65_536,
        comparisons: 0,
        bytes_read: 0,
        bytes_written: 0,
        card_cycles: 600,
    };

    fn looks(
        placer: &mut Placer,
        engine: EngineName,
        ns: u64,
        at: &[u64],
    ) -> Vec<Option<EngineName>> {
        let begun = placer.since;
        let look = Look { events: 1000, batches: 100, nanoseconds: 1000 * ns };
        at.iter()
            .map(|&second| {
                let now = begun + Duration::from_secs(second);
                placer.look((&platform(), &LARGE), engine, true, look, now)
            })
            .collect()
    }

    #[test]
    fn a_move_needs_a_margin_several_looks_and_time() {
        let mut placer = Placer::new(Instant::now());
        let found = looks(&mut placer, EngineName::Jit, 6000, &[1, 2, 3, 4, 5]);
        assert_eq!(found, [None, None, None, None, Some(EngineName::Card)]);
        // Soon after the move nothing moves back, whatever is measured.
        placer.moved(Instant::now());
        let found = looks(&mut placer, EngineName::Card, 60_000, &[1, 2, 3, 4]);
        assert_eq!(found, [None; 4]);
        assert_eq!(looks(&mut placer, EngineName::Card, 60_000, &[6]), [Some(EngineName::Jit)]);
    }

    #[test]
    fn what_was_slow_is_tried_again_after_a_while_and_not_at_once() {
        let mut placer = Placer::new(Instant::now());
        looks(&mut placer, EngineName::Card, 60_000, &[1]);
        placer.moved(Instant::now());
        let seconds: Vec<u64> = (6..3000).collect();
        let found = looks(&mut placer, EngineName::Jit, 6000, &seconds);
        let again = found.iter().position(|moved| *moved == Some(EngineName::Card));
        assert!(again.is_some_and(|look| look > 100), "{again:?}");
    }

    #[test]
    fn a_small_gain_is_no_reason() {
        let mut placer = Placer::new(Instant::now());
        // On the card as predicted; the JIT would be a little better than that.
        let batch_ns = platform().event(EngineName::Card, &LARGE, 10.0).unwrap() as u64;
        let found = looks(&mut placer, EngineName::Card, batch_ns, &[6, 7, 8, 9]);
        assert_eq!(found, [None; 4]);
    }

    #[test]
    fn without_the_card_software_is_best() {
        assert_eq!(Placer::first(&platform(), &LARGE, true), EngineName::Card);
        assert_eq!(Placer::first(&platform(), &LARGE, false), EngineName::Jit);
        let few = Look { events: 3, batches: 1, nanoseconds: 1 << 40 };
        let mut placer = Placer::new(Instant::now());
        let far = placer.since + Duration::from_secs(99);
        assert_eq!(placer.look((&platform(), &LARGE), EngineName::Jit, true, few, far), None);
    }
}
