//! What goes wrong: each event ends with a status, and the card is usable again.

use std::time::Duration;

use anyhow::{Result, ensure};
use rmt_driver::{Decider, Device as _, DriverError, Miss, QueuePair, Source, Transport};
use rmt_isa::device::registers::{EVENT_RING, EVENT_TAIL, PAIR_CONTROL};
use rmt_isa::device::{AdminCommand, AdminOpcode, AdminStatus, QueueError};
use rmt_isa::event::{Status, event_layout};
use rmt_isa::{Decision, Event};
use rmt_sim::root_complex::Latency;
use rmt_vm::Machine;

use super::super::{AnyDevice, CLOCK_MHZ};
use super::{Bench, Loaded, Verdict};

/// A bus address that no driver has mapped.
const UNMAPPED: u64 = 0x7000_0000_0000;

/// Answers are the interpreter's where the card gives none.
pub fn decider<'p>(
    bench: &Bench,
    loaded: &'p Loaded,
    budget: Duration,
) -> Result<Decider<AnyDevice, impl FnMut(&Event) -> Decision + use<'p>>> {
    let mut config = bench.config(&loaded.program, Transport::Ring);
    config.budget_microseconds = budget.as_micros() as u32;
    let mut machine = Machine::new(&loaded.program)?;
    Ok(Decider::new(bench.card.queue(0, config)?, move |event: &Event| machine.run(event)))
}

/// Decides some events by the card and expects no fallback.
pub fn works(
    decider: &mut Decider<AnyDevice, impl FnMut(&Event) -> Decision>,
    events: &[Event],
) -> Result<()> {
    let mut by_card = 0;
    decider.decide_all(events.iter().copied(), 16, |_, answer| {
        by_card += usize::from(answer.source == Source::Card);
    });
    ensure!(by_card == events.len(), "{by_card} of {} by the card", events.len());
    Ok(())
}

/// A budget that few cards can keep: the fallback answers, and what comes later is dropped.
pub fn late_decisions(bench: &mut Bench) -> Result<Verdict> {
    let loaded = bench.load_some(200)?;
    bench.card.install(&loaded.image.writes)?;
    if let Some(simulated) = &bench.simulated {
        // No card behind such a link keeps it.
        simulated.link().set_latency(Latency::measured(CLOCK_MHZ));
    }
    let budget = Duration::from_micros(1);
    let mut decider = decider(bench, &loaded, budget)?;
    let mut machine = Machine::new(&loaded.program)?;
    let device = bench.card.device().clone();
    let (mut late, mut longest) = (0, Duration::ZERO);
    for event in &loaded.events {
        let begun = device.now();
        let answer = decider.decide(event);
        longest = longest.max(device.now() - begun);
        late += usize::from(answer.source != Source::Card);
        let expected = machine.run(event);
        ensure!(answer.decision.outputs == expected.outputs, "the answer is another");
    }
    // The late decisions come and are dropped; none is left.
    let begun = device.now();
    while decider.queue().outstanding() > 0 && device.now() - begun < bench.budget {
        decider.queue_mut().poll(|_| {});
        device.relax();
    }
    let statistics = decider.queue().statistics();
    ensure!(decider.queue().outstanding() == 0, "{statistics:?}");
    ensure!(statistics.decided + statistics.missed == statistics.submitted, "{statistics:?}");
    if let Some(simulated) = &bench.simulated {
        simulated.link().set_latency(simulated.latency());
    }
    if late == 0 {
        return Ok(Verdict::NotHere(format!("this card answers within {longest:?}")));
    }
    Ok(Verdict::Passed(format!(
        "{late} of {} answered by the interpreter with a budget of 1 µs, the longest wait {:.1} µs; {} late decisions dropped",
        loaded.events.len(),
        longest.as_secs_f64() * 1e6,
        statistics.too_late
    )))
}

/// The card reads and writes where nothing is mapped: on VFIO the IOMMU refuses.
pub fn stray_access(bench: &mut Bench) -> Result<Verdict> {
    let read = AdminCommand {
        host_address: UNMAPPED,
        count: 8,
        ..AdminCommand::new(AdminOpcode::WriteList, 0)
    };
    let refused = bench.card.admin().run(read);
    ensure!(
        matches!(refused, Err(DriverError::Admin { status: AdminStatus::HostReadFailed, .. })),
        "a read of unmapped memory ended with {refused:?}"
    );
    // A write is posted: nobody answers, and nothing may change.
    let write = AdminCommand {
        host_address: UNMAPPED,
        count: 8,
        ..AdminCommand::new(AdminOpcode::ReadBlock, 0)
    };
    bench.card.admin().run(write)?;
    // The same by a queue pair: its ring is taken away.
    let loaded = bench.load_some(16)?;
    bench.card.install(&loaded.image.writes)?;
    let mut decider = decider(bench, &loaded, bench.fault_budget())?;
    let device = bench.card.device().clone();
    let pair = decider.queue().pair();
    restart_with(&device, pair, || device.write(EVENT_RING, pair, UNMAPPED));
    let answer = decider.decide(&loaded.events[0]);
    let failed = Source::Fallback(Miss::Failed(QueueError::ReadRefused));
    ensure!(answer.source == failed, "a ring that is not mapped: {:?}", answer.source);
    decider.recover()?;
    works(&mut decider, &loaded.events)?;
    Ok(Verdict::Passed(
        "refused for the admin queue and for a queue pair, which works again after a restart"
            .into(),
    ))
}

/// Stops a pair, changes something behind the driver's back, and starts it.
fn restart_with(device: &AnyDevice, pair: u32, change: impl FnOnce()) {
    let control = device.read(PAIR_CONTROL, pair);
    device.write(PAIR_CONTROL, pair, 0);
    change();
    device.write(PAIR_CONTROL, pair, control);
}

/// An event whose reserved bits are set, and one of a hook that the pair may not send.
pub fn bad_event(bench: &mut Bench) -> Result<Verdict> {
    let loaded = bench.load_some(16)?;
    bench.card.install(&loaded.image.writes)?;
    let mut decider = decider(bench, &loaded, bench.fault_budget())?;
    let mut corrupted = loaded.events[0];
    corrupted.store(event_layout::FLAGS.offset, event_layout::FLAGS.bytes, 0xffff);
    let mut foreign = loaded.events[0];
    let other_hook = u64::from(loaded.program.hook.number) + 1;
    foreign.store(event_layout::HOOK.offset, event_layout::HOOK.bytes, other_hook);
    let mut statuses = Vec::new();
    for event in [corrupted, foreign] {
        match decider.decide(&event).source {
            Source::Fallback(Miss::Refused(status)) => statuses.push(status),
            other => anyhow::bail!("a bad event ended with {other:?}"),
        }
    }
    ensure!(statuses == [Status::BadEvent, Status::HookRefused], "{statuses:?}");
    works(&mut decider, &loaded.events)?;
    Ok(Verdict::Passed(
        "a corrupted event and one of another hook end with their statuses, the next are decided"
            .into(),
    ))
}

/// A doorbell that points past the ring.
pub fn ring_overrun(bench: &mut Bench) -> Result<Verdict> {
    let loaded = bench.load_some(16)?;
    bench.card.install(&loaded.image.writes)?;
    let mut decider = decider(bench, &loaded, bench.fault_budget())?;
    bench.card.device().write(EVENT_TAIL, decider.queue().pair(), 0x8000);
    let answer = decider.decide(&loaded.events[0]);
    let failed = Source::Fallback(Miss::Failed(QueueError::EventOverrun));
    ensure!(answer.source == failed, "{:?}", answer.source);
    let health = bench.card.health()?;
    ensure!(health.failed_pairs == 1, "failed pairs: {:#x}", health.failed_pairs);
    decider.recover()?;
    works(&mut decider, &loaded.events)?;
    bench.card.clear_errors();
    ensure!(bench.card.health()?.errors == 0, "errors cannot be cleared");
    Ok(Verdict::Passed(
        "the pair stops with event-overrun, others do not; it works again after a restart".into(),
    ))
}

/// Rings that are not aligned are refused when the pair is enabled.
pub fn bad_rings(bench: &mut Bench) -> Result<Verdict> {
    let loaded = bench.load_some(16)?;
    bench.card.install(&loaded.image.writes)?;
    let mut decider = decider(bench, &loaded, bench.fault_budget())?;
    let device = bench.card.device().clone();
    let pair = decider.queue().pair();
    restart_with(&device, pair, || device.write(EVENT_RING, pair, UNMAPPED + 64));
    let answer = decider.decide(&loaded.events[0]);
    let failed = Source::Fallback(Miss::Failed(QueueError::BadConfiguration));
    ensure!(answer.source == failed, "{:?}", answer.source);
    decider.recover()?;
    works(&mut decider, &loaded.events)?;
    Ok(Verdict::Passed("refused with bad-configuration; works again after a restart".into()))
}

pub fn reset_under_load(bench: &mut Bench) -> Result<Verdict> {
    under_load(bench, |bench| Ok(bench.card.reset()?))
}

pub fn function_reset_under_load(bench: &mut Bench) -> Result<Verdict> {
    under_load(bench, |bench| Ok(bench.card.reset_function()?))
}

/// Resets the card while events are inside: each ends, and the next are decided again.
fn under_load(bench: &mut Bench, reset: fn(&mut Bench) -> Result<()>) -> Result<Verdict> {
    const INSIDE: usize = 64;
    let loaded = bench.load_some(2 * INSIDE)?;
    let mut stopped = 0;
    let mut decided = 0;
    for round in 0..3 {
        bench.card.install(&loaded.image.writes)?;
        let config = bench.config(&loaded.program, Transport::Ring);
        let mut queue: QueuePair<AnyDevice> = bench.card.queue(0, config)?;
        for event in &loaded.events[..INSIDE] {
            queue.submit(event)?;
        }
        queue.flush();
        // A little later each time.
        for _ in 0..round * 20 {
            bench.card.device().relax();
        }
        reset(bench)?;
        let mut ends = 0;
        let mut count = |result: Result<Decision, Miss>| {
            ends += 1;
            match result {
                Ok(_) => decided += 1,
                Err(_) => stopped += 1,
            }
        };
        queue.poll(|ended| count(ended.result));
        let state = queue.check(|ended| count(ended.result));
        ensure!(state == Err(Miss::Stopped), "the pair after a reset: {state:?}");
        ensure!(ends == INSIDE, "{ends} of {INSIDE} events ended");
        queue.restart(|_| {})?;
        bench.card.install(&loaded.image.writes)?;
        for event in &loaded.events[..16] {
            queue.submit(event)?;
        }
        queue.flush();
        let (begun, mut again) = (bench.card.device().now(), 0);
        while queue.is_waiting() && bench.card.device().now() - begun < bench.budget {
            queue.poll(|ended| again += usize::from(ended.result.is_ok()));
            bench.card.device().relax();
        }
        ensure!(again == 16, "{again} of 16 decisions after the reset");
    }
    Ok(Verdict::Passed(format!(
        "3 resets: {decided} decided before, {stopped} ended as stopped, none lost"
    )))
}
