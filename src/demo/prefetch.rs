//! The page prefetcher beside Linux's read-ahead and Leap, on the same faults.

use std::path::{Path, PathBuf};

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use rmt_isa::event::event_layout;
use rmt_isa::{Event, Program, Status};
use rmt_learn::prefetch::leap::{AddressSpace, Leap, LeapVariant};
use rmt_learn::prefetch::learned::{requests_for, unpack_offsets};
use rmt_learn::prefetch::linux::LinuxClusterReadahead;
use rmt_learn::prefetch::policy::{PageRequest, PrefetchPolicy};
use rmt_learn::prefetch::score::{Score, ScoreConfig, Trigger, score_policy};
use rmt_learn::prefetch::trace::{PageAccess, read_page_trace};
use rmt_vm::Machine;
use serde_json::{Value, json};

use crate::program;

/// Programs whose faults were recorded.
const TRACES: [&str; 4] = ["resize", "conv", "column", "bfs"];
/// Linux's default: read-ahead of up to 2^3 pages.
const PAGE_CLUSTER: u32 = 3;

/// What each policy did on one trace.
pub struct TraceResult {
    /// The program whose faults these are.
    pub trace: &'static str,
    /// Faults.
    pub faults: u64,
    /// Policies and their scores, in the order of the table.
    pub scores: Vec<(String, Score)>,
}

/// A policy whose decisions an RMT program takes, on the interpreter.
struct ProgramPolicy {
    machine: Machine,
    hook: u16,
    vpn_offset: usize,
}

impl ProgramPolicy {
    fn new(program: &Program) -> Result<Self> {
        let vpn = program.hook.fields.iter().find(|field| field.name == "vpn");
        let vpn = vpn
            .ok_or_else(|| anyhow::anyhow!("the hook of `{}` has no field `vpn`", program.name))?;
        Ok(Self {
            machine: Machine::new(program)?,
            hook: program.hook.number,
            vpn_offset: vpn.offset.into(),
        })
    }
}

impl PrefetchPolicy for ProgramPolicy {
    fn name(&self) -> String {
        "RMT program".into()
    }

    fn observe(&mut self, access: &PageAccess, _hit: bool, requests: &mut Vec<PageRequest>) {
        let mut event = Event::new(self.hook, 0, access.pid.into());
        debug_assert!(self.vpn_offset >= event_layout::ARGUMENTS.offset);
        event.store(self.vpn_offset, 8, access.vpn);
        let decision = self.machine.run(&event);
        if decision.status == Status::Decided {
            requests.extend(requests_for(access, &unpack_offsets(&decision.outputs)));
        }
    }
}

/// Scores all policies on the held-out part of each trace.
pub fn run(firmware: &Path) -> Result<Vec<TraceResult>> {
    let (program, _) =
        program::load_verified(&firmware.join("page_prefetch.rmt"), &Default::default())?;
    (TRACES.iter().zip(traces(firmware)))
        .map(|(trace, path)| {
            let stream = read_page_trace(&path)?;
            // Leap by virtual pages: the stronger of its two address spaces on these traces.
            let leap = |variant| Box::new(Leap::new(variant, AddressSpace::VirtualPage));
            let policies: Vec<(Box<dyn PrefetchPolicy>, Trigger)> = vec![
                (Box::new(LinuxClusterReadahead::new(PAGE_CLUSTER)), Trigger::Miss),
                (leap(LeapVariant::Paper), Trigger::Miss),
                (leap(LeapVariant::Code), Trigger::Miss),
                (Box::new(ProgramPolicy::new(&program)?), Trigger::Miss),
                (Box::new(ProgramPolicy::new(&program)?), Trigger::EveryFault),
            ];
            let mut scores = Vec::new();
            for (mut policy, trigger) in policies {
                let config = ScoreConfig { trigger, ..ScoreConfig::default() };
                let score = score_policy(&stream, policy.as_mut(), &config)?;
                let when = if trigger == Trigger::EveryFault { ", every fault" } else { "" };
                scores.push((format!("{}{when}", policy.name()), score));
            }
            Ok(TraceResult { trace, faults: stream.len() as u64, scores })
        })
        .collect()
}

/// The held-out part of each trace: the model was trained on an earlier part.
pub fn traces(firmware: &Path) -> Vec<PathBuf> {
    TRACES.iter().map(|trace| firmware.join(format!("traces/pages/{trace}.test.csv.zst"))).collect()
}

/// Share in percent with one decimal; `-` where nothing was prefetched.
pub fn percent(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), |share| format!("{:.1}", 100.0 * share))
}

/// A line for each trace, two columns for each policy.
pub fn table(results: &[TraceResult]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_BORDERS_ONLY_CONDENSED);
    let policies = results.first().map_or(&[][..], |result| &result.scores);
    let mut header = vec!["accuracy / coverage in %".to_owned(), "faults".to_owned()];
    header.extend(policies.iter().map(|(policy, _)| policy.clone()));
    table.set_header(header);
    for result in results {
        let mut row = vec![result.trace.to_owned(), result.faults.to_string()];
        row.extend(result.scores.iter().map(|(_, score)| {
            format!("{} / {}", percent(score.accuracy()), percent(Some(score.coverage())))
        }));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The scores as JSON.
pub fn to_json(result: &TraceResult) -> Value {
    let scores: Vec<_> = (result.scores.iter())
        .map(|(policy, score)| {
            json!({
                "policy": policy,
                "accuracy": score.accuracy(),
                "coverage": score.coverage(),
                "prefetched": score.prefetched,
                "hits": score.hits,
            })
        })
        .collect();
    json!({ "trace": result.trace, "faults": result.faults, "policies": scores })
}
