//! The whole core: events through [`Card`] against the same stream in C++.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use rmt_core::CoreConfig;
use rmt_isa::card::CardImage;
use rmt_isa::event::DECISION_BYTES;
use rmt_isa::{Event, Program};
use rmt_sim::card::{Card, VerilatedPins};
use rmt_sim::verilated::{Toolchain, Trace, VerilatedModel, default_cache_dir};

use super::{Failure, Peer, build_peer, processor_seconds, succeed_with};

/// Events of the stream, which goes through so often.
const EVENTS: usize = 1000;
const ROUNDS: u64 = 4;
/// Runs of each side; they alternate, and the best counts.
const RUNS: usize = 5;

/// Compares both sides on the preset `tiny` with the network of the firmware.
pub fn compare(toolchain: &Toolchain) -> Result<(), Failure> {
    let config = CoreConfig::preset("tiny")?;
    let design = rmt_core::elaborate(&config)?;
    let (program, image) = firmware(&config)?;
    let events = recorded(&program)?;
    let cache = default_cache_dir();
    let (files, top) = (design.files(), design.top_name());
    let model = VerilatedPins::model(&design, files.clone(), Trace::None, toolchain, &cache)?;
    let folder = tempfile::tempdir()?;
    write_inputs(folder.path(), &image, &events)?;
    let same = Peer {
        sources: &files,
        top,
        text: include_str!("core.cpp"),
        defines: &[],
        verilator_options: &[
            "--output-split",
            "4000",
            "--x-assign",
            "unique",
            "--x-initial",
            "unique",
        ],
        level: "-O2",
    };
    let bare = build_peer(toolchain, &folder.path().join("bare"), &same)?;
    let mut best = [f64::INFINITY; 2];
    let mut cycles = 0;
    for _ in 0..RUNS {
        let ours = run_card(&model, &config, &image, &events)?;
        let theirs = run_bare(&bare, folder.path())?;
        if (ours.0, ours.1) != (theirs.0, theirs.1) {
            return Err(format!("checksums or cycles differ: {ours:x?} {theirs:x?}").into());
        }
        cycles = ours.1;
        best = [best[0].min(ours.2), best[1].min(theirs.2)];
    }
    let speed = best.map(|seconds| cycles as f64 / seconds / 1000.0);
    println!(
        "core `tiny`, {cycles} cycles: rust {:.0} kcycles/s, C++ {:.0}, ratio {:.2}",
        speed[0],
        speed[1],
        speed[0] / speed[1]
    );
    Ok(())
}

fn firmware(config: &CoreConfig) -> Result<(Program, CardImage), Failure> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/can_migrate_task.rmt");
    let text = std::fs::read_to_string(&path)?;
    let files = rmt_lang::DirectoryLoader::beside(&path);
    let program = rmt_lang::compile("can_migrate_task.rmt", &text, &files)
        .map_err(|errors| format!("{errors:?}"))?;
    let ordering = rmt_isa::program::Ordering::Pure;
    let image = rmt_isa::card::lower(&program, ordering, config.shape())?;
    Ok((program, image))
}

fn recorded(program: &Program) -> Result<Vec<Event>, Failure> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/traces/migrations.csv.zst");
    let reader = rmt_vm::events::EventReader::open(&path, &program.hook)?;
    let mut events: Vec<Event> = reader.take(EVENTS).collect::<Result<_, _>>()?;
    let tag = rmt_isa::event::event_layout::TAG;
    for (number, event) in (0..).zip(&mut events) {
        event.store(tag.offset, tag.bytes, number);
    }
    Ok(events)
}

fn write_inputs(folder: &Path, image: &CardImage, events: &[Event]) -> Result<(), Failure> {
    let mut writes = std::fs::File::create(folder.join("writes"))?;
    for write in &image.writes {
        writes.write_all(&u64::from(write.address).to_le_bytes())?;
        writes.write_all(&write.value.to_le_bytes())?;
    }
    let mut file = std::fs::File::create(folder.join("events"))?;
    events.iter().try_for_each(|event| file.write_all(&event.bytes))?;
    Ok(())
}

/// Checksum, cycles and seconds of the stream.
type Run = (u64, u64, f64);

fn run_card(
    model: &VerilatedModel,
    config: &CoreConfig,
    image: &CardImage,
    events: &[Event],
) -> Result<Run, Failure> {
    let mut card = Card::reset(VerilatedPins::new(model)?, config)?;
    card.install(image)?;
    let mut checksum = 0_u64;
    let (mut next, mut left) = (0, ROUNDS * events.len() as u64);
    let all = left;
    let begun = card.cycle();
    let start = processor_seconds();
    while left > 0 {
        let event = (next < all).then(|| &events[next as usize % events.len()]);
        let (accepted, decision) = card.exchange(event)?;
        next += u64::from(accepted);
        if let Some(timed) = decision {
            for word in timed.decision.to_bytes(false).as_chunks::<4>().0 {
                let word = u64::from(u32::from_le_bytes(*word));
                checksum = checksum.wrapping_mul(31).wrapping_add(word);
            }
            left -= 1;
        }
    }
    const { assert!(DECISION_BYTES == 32) };
    Ok((checksum, card.cycle() - begun, processor_seconds() - start))
}

fn run_bare(program: &Path, folder: &Path) -> Result<Run, Failure> {
    let rounds = ROUNDS.to_string();
    let mut command = Command::new(program);
    let text = succeed_with(command.args(["writes", "events", &rounds]).current_dir(folder))?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let [checksum, cycles, seconds] = words[..] else {
        return Err("the peer printed no result".into());
    };
    Ok((u64::from_str_radix(checksum, 16)?, cycles.parse()?, seconds.parse()?))
}
