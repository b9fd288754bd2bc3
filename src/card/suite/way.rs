//! What the card is, its admin queue, its interrupts.

use std::time::Duration;

use anyhow::{Result, ensure};
use rmt_driver::{DriverError, Transport};
use rmt_isa::card::HostWrite;
use rmt_isa::card::fields::control_commit;
use rmt_isa::card::regions::{CONTROL, PROGRAM};
use rmt_isa::device::fields::device_status;
use rmt_isa::device::{AdminCommand, AdminOpcode, AdminStatus};

use super::{Bench, Loaded, Verdict};

pub fn identity(bench: &mut Bench) -> Result<Verdict> {
    let (identity, health) = (bench.card.identity(), bench.card.health()?);
    let status = health.status.into();
    ensure!(device_status::READY.extract(status) == 1, "the card is not ready: {status:#x}");
    ensure!(device_status::BUS_MASTER.extract(status) == 1, "bus mastering is off: {status:#x}");
    ensure!(health.errors == 0, "errors right after a reset: {:#x}", health.errors);
    let shape = bench.card.shape();
    Ok(Verdict::Passed(format!(
        "{} queue pairs, {} threads, {n} × {n} array",
        identity.queues,
        shape.engine.threads,
        n = shape.engine.array
    )))
}

pub fn admin_queue(bench: &mut Bench) -> Result<Verdict> {
    let admin = bench.card.admin();
    for _ in 0..40 {
        // More often than the ring has places.
        admin.run(AdminCommand::new(AdminOpcode::Nop, 0))?;
    }
    // On a card with two banks writes go to the one that events do not use: read that one.
    let reads_shadow = control_commit::READ_SHADOW.insert(1);
    admin.write_list(&[HostWrite { address: CONTROL.word(0), value: reads_shadow }])?;
    let writes: Vec<HostWrite> = (0..100)
        .map(|n| HostWrite { address: PROGRAM.word(n), value: u64::from(n) * 0x0101_0101_0101 })
        .collect();
    admin.write_list(&writes)?;
    let mut words = vec![0; writes.len()];
    admin.read_block(PROGRAM.base(), &mut words)?;
    ensure!(
        writes.iter().zip(&words).all(|(write, word)| write.value == *word),
        "words read back differ from those written"
    );
    let word = PROGRAM.word(5);
    let commit =
        AdminCommand { core_word: word, value: 77, ..AdminCommand::new(AdminOpcode::Commit, 0) };
    let completion = admin.run(commit)?;
    ensure!(completion.results[0] == 77, "commit gave {} back", completion.results[0]);
    // A count that is out of range is refused, and the queue goes on.
    let bad = AdminCommand { count: u32::MAX, ..AdminCommand::new(AdminOpcode::ReadBlock, 0) };
    let refused = admin.run(bad);
    ensure!(
        matches!(refused, Err(DriverError::Admin { status: AdminStatus::BadArgument, .. })),
        "a bad count ended with {refused:?}"
    );
    admin.run(AdminCommand::new(AdminOpcode::Nop, 0))?;
    admin.write_list(&[HostWrite { address: CONTROL.word(0), value: 0 }])?;
    Ok(Verdict::Passed("46 commands, 100 words written and read back".to_owned()))
}

pub fn interrupts(bench: &mut Bench) -> Result<Verdict> {
    let vectors = bench.card.identity().vectors;
    bench.card.device().enable_interrupts(vectors)?;
    let loaded = bench.load_some(64)?;
    let pair = bench.card.identity().queues - 1;
    raised_for_each(bench, &loaded, pair)?;
    // The reset masks the card's vectors, and nobody enables them anew but the driver.
    bench.card.reset()?;
    raised_for_each(bench, &loaded, pair)?;
    Ok(Verdict::Passed(format!(
        "{} decisions, each with MSI-X vector {}, also after a reset",
        2 * loaded.events.len(),
        pair + 1
    )))
}

/// Each decision of a pair raises one interrupt, behind the decision.
fn raised_for_each(bench: &mut Bench, loaded: &Loaded, pair: u32) -> Result<()> {
    bench.card.install(&loaded.image.writes)?;
    let mut config = bench.config(&loaded.program, Transport::Ring);
    config.interrupts = true;
    let mut queue = bench.card.queue(pair, config)?;
    let device = bench.card.device().clone();
    // Nothing has happened: nothing may come.
    ensure!(
        !device.wait_interrupt(queue.vector(), Duration::from_micros(50))?,
        "an interrupt without a decision"
    );
    for event in &loaded.events {
        queue.submit(event)?;
        queue.flush();
        let raised = device.wait_interrupt(queue.vector(), bench.budget)?;
        ensure!(raised, "no interrupt for a decision within {} ms", bench.budget.as_millis());
        let mut decided = 0;
        queue.poll(|ended| decided += u32::from(ended.result.is_ok()));
        ensure!(decided == 1, "an interrupt came before its decision");
    }
    Ok(())
}
