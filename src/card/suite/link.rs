//! What goes wrong on the link to the host, in simulation: on a board nobody can make it happen.
//!
//! After each fault every event has ended with a status, the fallback has answered within its
//! bound, and the card works again after a reset.

use std::time::Duration;

use anyhow::{Result, ensure};
use rmt_driver::{Decider, Device as _, DriverError, Miss, Source};
use rmt_isa::device::QueueError;
use rmt_isa::device::registers::READ_TIMEOUT;
use rmt_isa::{Decision, Event};
use rmt_sim::root_complex::ReadFault;
use rmt_vm::Machine;

use super::super::AnyDevice;
use super::faults::{decider, works};
use super::{Bench, Verdict};

/// Budget of the events here.
const BUDGET: Duration = Duration::from_micros(200);
/// What one access of a register, by which the driver asks for the state of its pair, and one
/// pause between two looks at a ring may add to the budget.
const ACCESS: Duration = Duration::from_micros(10);
/// Cycles of the link after which the card gives up on a read: less than the budget.
const TIMEOUT_CYCLES: u64 = 10_000;
/// Events of each case, and how many are inside at a time.
const EVENTS: usize = 96;
const INSIDE: usize = 32;

pub fn completion_timeout(bench: &mut Bench) -> Result<Verdict> {
    failed_read(bench, ReadFault::Lost, QueueError::ReadTimeout)
}

pub fn late_completion(bench: &mut Bench) -> Result<Verdict> {
    failed_read(bench, ReadFault::Late(2 * TIMEOUT_CYCLES), QueueError::ReadTimeout)
}

pub fn poisoned_completion(bench: &mut Bench) -> Result<Verdict> {
    failed_read(bench, ReadFault::Poisoned, QueueError::ReadPoisoned)
}

pub fn refused_completion(bench: &mut Bench) -> Result<Verdict> {
    failed_read(bench, ReadFault::Aborted, QueueError::ReadRefused)
}

/// A read of the event ring fails under load: what was fetched before is decided by the card, all
/// else by the fallback.
fn failed_read(bench: &mut Bench, fault: ReadFault, error: QueueError) -> Result<Verdict> {
    let Some(simulated) = bench.simulated.clone() else { return Ok(only_simulated()) };
    let loaded = bench.load_some(EVENTS)?;
    bench.card.install(&loaded.image.writes)?;
    let timeout = simulated.card_cycles(TIMEOUT_CYCLES);
    bench.card.device().write(READ_TIMEOUT, 0, timeout);
    let mut decider = decider(bench, &loaded, BUDGET)?;
    let mut machine = Machine::new(&loaded.program)?;
    // A lone event first, for the time that it takes to get its answer.
    simulated.link().inject([Some(fault)]);
    let waited = timed(bench, &mut decider, &loaded.events[0], &mut machine, |miss| {
        miss == Miss::Failed(error)
    })?;
    decider.recover()?;
    // Under load, one batch of the ring gets through and the next does not.
    simulated.link().inject([None, Some(fault)]);
    let counts = under_load(&mut decider, &loaded.events, &mut machine)?;
    ensure!(counts.by_card > 0, "no event was decided before the fault");
    ensure!(counts.by_fallback > 0, "the fault hit no event");
    let health = bench.card.health()?;
    ensure!(health.failed_pairs == 1, "failed pairs: {:#x}", health.failed_pairs);
    bench.card.reset()?;
    bench.card.install(&loaded.image.writes)?;
    decider.recover()?;
    works(&mut decider, &loaded.events)?;
    Ok(Verdict::Passed(format!(
        "a lone event answered by the interpreter after {:.1} µs; of {EVENTS} under load {} by the card, {} by the interpreter; works after a reset",
        waited.as_secs_f64() * 1e6,
        counts.by_card,
        counts.by_fallback
    )))
}

/// The card is pulled out while events are inside, and put back.
pub fn removed_under_load(bench: &mut Bench) -> Result<Verdict> {
    let Some(simulated) = bench.simulated.clone() else { return Ok(only_simulated()) };
    let loaded = bench.load_some(EVENTS)?;
    bench.card.install(&loaded.image.writes)?;
    let mut decider = decider(bench, &loaded, BUDGET)?;
    let mut machine = Machine::new(&loaded.program)?;
    // In the middle of a batch: the events are in the ring, some fetched, some decided.
    let queue = decider.queue_mut();
    for event in &loaded.events[..INSIDE] {
        queue.submit(event)?;
    }
    queue.flush();
    for _ in 0..20 {
        bench.card.device().relax();
    }
    simulated.set_present(false);
    let begun = bench.card.device().now();
    let (mut decided, mut lost) = (0, 0);
    while queue.is_waiting() {
        queue.poll(|ended| match ended.result {
            Ok(_) => decided += 1,
            Err(_) => lost += 1,
        });
        bench.card.device().relax();
    }
    let waited = bench.card.device().now() - begun;
    ensure!(decided + lost == INSIDE, "{} of {INSIDE} events ended", decided + lost);
    ensure!(queue.broken() == Some(Miss::Lost), "the pair is {:?}", queue.broken());
    ensure!(waited <= BUDGET + ACCESS, "the last event ended after {waited:?}");
    // From now on the fallback answers at once.
    let at_once =
        timed(bench, &mut decider, &loaded.events[0], &mut machine, |miss| miss == Miss::Lost)?;
    ensure!(at_once <= ACCESS, "an answer for a card that is known to be gone took {at_once:?}");
    let gone = bench.card.reset();
    ensure!(
        matches!(gone, Err(DriverError::Lost { .. })),
        "a reset of a card that is gone: {gone:?}"
    );
    ensure!(decider.recover().is_err(), "the pair of a card that is gone starts again");
    simulated.set_present(true);
    bench.card.reset_function()?;
    bench.card.install(&loaded.image.writes)?;
    decider.recover()?;
    works(&mut decider, &loaded.events)?;
    Ok(Verdict::Passed(format!(
        "of {INSIDE} events inside {decided} decided, {lost} ended as lost within {:.1} µs; works after it is back",
        waited.as_secs_f64() * 1e6
    )))
}

/// Who answered.
#[derive(Default)]
struct Counts {
    by_card: usize,
    by_fallback: usize,
}

/// Decides events while the pair fails: each gets one answer, and the right one.
fn under_load(
    decider: &mut Decider<AnyDevice, impl FnMut(&Event) -> Decision>,
    events: &[Event],
    machine: &mut Machine,
) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut wrong = None;
    decider.decide_all(events.iter().copied(), INSIDE, |event, answer| {
        match answer.source {
            Source::Card => counts.by_card += 1,
            Source::Fallback(_) => counts.by_fallback += 1,
        }
        let expected = machine.run(event).outputs;
        if answer.decision.outputs != expected {
            wrong = Some((event.tag(), answer));
        }
    });
    ensure!(wrong.is_none(), "a wrong answer: {wrong:?}");
    let all = counts.by_card + counts.by_fallback;
    ensure!(all == events.len(), "{all} answers to {} events", events.len());
    Ok(counts)
}

/// Decides one event that the card does not answer: the fallback must, in time and rightly.
fn timed(
    bench: &Bench,
    decider: &mut Decider<AnyDevice, impl FnMut(&Event) -> Decision>,
    event: &Event,
    machine: &mut Machine,
    expected: impl Fn(Miss) -> bool,
) -> Result<Duration> {
    let begun = bench.card.device().now();
    let answer = decider.decide(event);
    let waited = bench.card.device().now() - begun;
    match answer.source {
        Source::Fallback(miss) if expected(miss) => {}
        other => anyhow::bail!("the event ended with {other:?}"),
    }
    ensure!(answer.decision.outputs == machine.run(event).outputs, "the answer is another");
    ensure!(
        waited <= BUDGET + ACCESS,
        "the answer took {waited:?}, more than {BUDGET:?} and {ACCESS:?}"
    );
    Ok(waited)
}

fn only_simulated() -> Verdict {
    Verdict::NotHere("only the link of a simulated card can be made to fail".to_owned())
}
