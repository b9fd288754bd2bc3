//! Place and route: nextpnr.
//!
//! Its router heeds time only where a clock is missed. A whole card is placed for more than it can reach, cells exchange
//! places (`placement`), and the result is routed, asked for one thing after the other (`seeds.rs`). Of an ECP5 a placement before
//! tells where its blocks should stand (`floorplan.rs`).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::progress::{Placed, Rounds, Stage};
use super::router::{Exchange, Exchanged, PLACED, Router, Run};
use super::{Builder, TIMING, read_json, write};
use crate::cache::Key;
use crate::error::FpgaError;
use crate::floorplan::block_sites;
use crate::process::run;
use crate::report::Timing;

const LOG: &str = "nextpnr.log";
const EXCHANGED: &str = "exchanged.json";
const BOUND_NETLIST: &str = "bound.json";
const FIRST: &str = "first.json";
const FIRST_PLACEMENT: &str = "first placement";
const PLACEMENT: &str = "placement";
pub(super) const PLACE_AND_ROUTE: &str = "place and route";
/// More than any card reaches: the placer weighs a way by how late it is, so only while a clock is missed.
const MISSED_MHZ: f64 = 100.0;
/// What nextpnr says of a cell that its placer left where it may not be. It goes on all the same, and cannot route it.
const NO_VALID_PLACE: &str = "post-placement validity check failed";
/// What stands in place of a routing that was given up.
const GIVEN_UP: &str = "given_up.json";

/// Why a routing was given up. It would come to the same again.
#[derive(Clone, Copy, Deserialize, Serialize)]
enum GivenUp {
    /// It got no better: what was left, and the rounds since.
    Stuck { left: u64, rounds: u32 },
    /// A cell has no valid place.
    Unplaced,
}

/// What is placed and routed.
struct Task<'a> {
    router: &'a Router,
    pins: &'a str,
    netlist: &'a Path,
    limit: Duration,
}

/// What the first placement tells.
#[derive(Deserialize, Serialize)]
pub(super) struct First {
    /// Where blocks should stand: sites by the names of the blocks.
    pub(super) sites: BTreeMap<String, String>,
}

impl Builder<'_> {
    /// Place and route: the folder of its results, and clocks and paths.
    pub(super) fn route(
        &mut self,
        router: &Router,
        pins: &str,
        versions: &BTreeMap<String, String>,
        netlist: &Path,
        limit: Duration,
    ) -> Result<(PathBuf, Timing), FpgaError> {
        let Router { tool, seed, arguments, changes, settings, kept_free, exchange, aim, .. } =
            router;
        let text = std::fs::read(netlist).map_err(FpgaError::file("read", netlist))?;
        let key = |step: &str| {
            Key::default()
                .with(step)
                .with(&versions[tool.name])
                .with(&text)
                .with(pins)
                .with(arguments.join(" "))
                .with(format!("{changes:?} {settings:?} {kept_free:?}"))
        };
        let task = Task { router, pins, netlist, limit };
        let first = match changes {
            Some(_) => Some(self.first_placement(&task, key("place 2"))?),
            None => None,
        };
        let exchanged = match exchange {
            Some(exchange) => {
                let key = key("exchange 7").with(json!(first).to_string());
                Some(self.exchanged(&task, key, exchange, first.as_ref())?)
            }
            None => None,
        };
        let run = exchanged.as_ref().map_or(Run::Whole, Run::Bound);
        // In the longest cycle all clocks have theirs.
        let expected_mhz = exchanged.as_ref().and_then(Exchanged::expected_mhz);
        let ahead = aim.as_ref().map_or(1.0, |aim| aim.ahead(expected_mhz));
        let mut key = key("route 10").with(seed.to_string()).with(ahead.to_string());
        if let Some(Exchanged { bound, .. }) = &exchanged {
            key = key.with(bound).with(router.routing.join(" "));
        }
        let (folder, given_up) = self.attempt(&task, key, &run, ahead)?;
        match given_up {
            None => {}
            Some(GivenUp::Stuck { left, rounds }) => {
                let (tool, seed) = (tool.name, *seed);
                return Err(FpgaError::Unroutable { tool, seed, left, rounds });
            }
            Some(GivenUp::Unplaced) => {
                return Err(FpgaError::Unplaced { tool: tool.name, seed: *seed });
            }
        }
        let mut timing = Timing::of_nextpnr(&read_json(&folder.join(TIMING))?)?;
        let placed = expected(&folder)?;
        let slowest = timing.clocks.iter().map(|clock| clock.asked_mhz).fold(f64::MAX, f64::min);
        for clock in &mut timing.clocks {
            clock.placed_mhz = match &exchanged {
                Some(_) => expected_mhz.map(|mhz| clock.asked_mhz / slowest * mhz),
                None => placed.clocks.get(&clock.name).copied(),
            };
            clock.asked_mhz /= ahead;
        }
        Ok((folder, timing))
    }

    /// Places and routes with as much more asked for as `ahead`: the folder of its results, or why it was given up.
    fn attempt(
        &mut self,
        task: &Task<'_>,
        key: Key,
        run: &Run<'_>,
        ahead: f64,
    ) -> Result<(PathBuf, Option<GivenUp>), FpgaError> {
        let Task { router, pins, netlist, limit } = *task;
        self.tell(PLACE_AND_ROUTE, 0.0, "");
        let cache = self.cache.clone();
        let (folder, hit) = cache.step("route", key, |folder| {
            let arguments = router.prepare(folder, netlist, run, router.pins(pins, ahead))?;
            let mut rounds = Rounds::with_patience(router.patience);
            let mut given_up = None;
            self.nextpnr(router, PLACE_AND_ROUTE, &arguments, folder, limit, &mut |line| {
                given_up = rounds.stuck(line).map(|(left, rounds)| GivenUp::Stuck { left, rounds });
                if line.contains(NO_VALID_PLACE) {
                    given_up = Some(GivenUp::Unplaced);
                }
                given_up.map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()))
            })?;
            match given_up {
                Some(why) => write(&folder.join(GIVEN_UP), json!(why).to_string()),
                None => Ok(()),
            }
        })?;
        let path = folder.join(GIVEN_UP);
        if path.is_file() {
            return Ok((folder, Some(kept(&path)?)));
        }
        self.tell(PLACE_AND_ROUTE, 1.0, if hit { "was there already" } else { "done" });
        Ok((folder, None))
    }

    /// Places once to learn where blocks should stand: for all seeds, and whatever is asked for.
    fn first_placement(&mut self, task: &Task<'_>, key: Key) -> Result<First, FpgaError> {
        let Task { router, pins, netlist, limit } = *task;
        self.tell(FIRST_PLACEMENT, 0.0, "");
        let cache = self.cache.clone();
        let (folder, hit) = cache.step("place", key, |folder| {
            let pins = router.pins_asking(pins, MISSED_MHZ);
            let arguments = router.prepare(folder, netlist, &Run::First, pins)?;
            self.nextpnr(router, FIRST_PLACEMENT, &arguments, folder, limit, &mut |_| {
                ControlFlow::Continue(())
            })?;
            let placed = folder.join(PLACED);
            let design = std::fs::read(&placed).map_err(FpgaError::file("read", &placed))?;
            let first = First { sites: block_sites(&design)? };
            write(&folder.join(FIRST), json!(first).to_string())?;
            // A hundred megabytes.
            std::fs::remove_file(&placed).map_err(FpgaError::file("remove", &placed))
        })?;
        self.tell(FIRST_PLACEMENT, 1.0, if hit { "was there already" } else { "done" });
        kept(&folder.join(FIRST))
    }

    /// Places once, then cells exchange places: where they stand, whatever is asked for.
    fn exchanged(
        &mut self,
        task: &Task<'_>,
        key: Key,
        exchange: &Exchange,
        first: Option<&First>,
    ) -> Result<Exchanged, FpgaError> {
        let Task { router, pins, netlist, limit } = *task;
        self.tell(PLACEMENT, 0.0, "");
        let cache = self.cache.clone();
        let key = key.with(router.seed.to_string());
        let (folder, hit) = cache.step("exchange", key, |folder| {
            // A clock that is missed whatever is asked for is placed alike.
            let pins = router.pins_asking(pins, exchange.missed_mhz);
            let arguments = router.prepare(folder, netlist, &Run::Placing(first), pins)?;
            self.nextpnr(router, PLACEMENT, &arguments, folder, limit, &mut |_| {
                ControlFlow::Continue(())
            })?;
            let path = folder.join(exchange.told_in());
            let placed = std::fs::read(&path).map_err(FpgaError::file("read", &path))?;
            let better = exchange.better(&placed, &mut |done, longest| {
                self.tell(PLACEMENT, done, format!("longest way {longest:.2} ns"));
            })?;
            if !exchange.tells_in_python() {
                router.write_bound(&folder.join(BOUND_NETLIST), &placed, &better.bound)?;
            }
            let exchanged =
                Exchanged { bound: better.bound, longest_ns: better.now_ns, netlist: None };
            write(&folder.join(EXCHANGED), json!(exchanged).to_string())?;
            // Tens of megabytes.
            std::fs::remove_file(&path).map_err(FpgaError::file("remove", &path))
        })?;
        self.tell(PLACEMENT, 1.0, if hit { "was there already" } else { "done" });
        let exchanged: Exchanged = kept(&folder.join(EXCHANGED))?;
        let netlist = Some(folder.join(BOUND_NETLIST)).filter(|_| !exchange.tells_in_python());
        Ok(Exchanged { netlist, ..exchanged })
    }

    /// Runs it in the folder of the netlist; hears each line.
    fn nextpnr(
        &mut self,
        router: &Router,
        step: &'static str,
        arguments: &[String],
        folder: &Path,
        limit: Duration,
        hears: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<(), FpgaError> {
        let mut command = Command::new(self.search.find(router.tool)?);
        command.current_dir(folder).args(arguments);
        let all = if step == PLACE_AND_ROUTE { 1.0 } else { Stage::PLACED };
        let mut stage = Stage::default();
        run(router.tool.name, &mut command, &folder.join(LOG), limit, &mut |line| {
            if let Some(doing) = stage.take(line) {
                self.tell(step, stage.done / all, doing);
            }
            hears(line)
        })
    }
}

/// What a step has left for others.
fn kept<T: DeserializeOwned>(path: &Path) -> Result<T, FpgaError> {
    serde_json::from_value(read_json(path)?)
        .map_err(FpgaError::json("what place and route has kept"))
}

/// What nextpnr's log says of the clocks once all is placed.
fn expected(folder: &Path) -> Result<Placed, FpgaError> {
    let log = folder.join(LOG);
    let said = std::fs::read(&log).map_err(FpgaError::file("read", &log))?;
    let mut placed = Placed::default();
    for line in String::from_utf8_lossy(&said).lines() {
        placed.take(line);
    }
    Ok(placed)
}
