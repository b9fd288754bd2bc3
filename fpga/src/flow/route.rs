//! Place and route: nextpnr.
//!
//! Its router heeds time only where a clock is missed: whatever is late goes back to the queue. A clock that is met by
//! far leaves it free to take any way round what is full, and one that cannot be met keeps it busy for ever. So a whole
//! card is asked for a little more than it is expected to reach once it is placed, whatever was asked for. That is known from a
//! placement before, which tells where its blocks should stand, too (`floorplan.rs`).

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::progress::{Placed, Rounds, Stage};
use super::router::{Aim, BEYOND_PLACED, Exchange, PLACED, Router, Run};
use super::{Builder, TIMING, read_json, write};
use crate::cache::Key;
use crate::error::FpgaError;
use crate::floorplan::block_sites;
use crate::process::run;
use crate::report::Timing;
use crate::xc7::{self, improved};

const LOG: &str = "nextpnr.log";
const EXCHANGED: &str = "exchanged.json";
const FIRST: &str = "first.json";
const FIRST_PLACEMENT: &str = "first placement";
const PLACEMENT: &str = "placement";
pub(super) const PLACE_AND_ROUTE: &str = "place and route";
/// More than any card reaches: the placer weighs a way by how late it is, so only while a clock is missed.
const MISSED_MHZ: f64 = 100.0;
/// Where the clock is met by the placement, more is asked for than is expected of it: a clock that is met is routed worst.
const BEYOND_MET: f64 = 1.05;
/// A routing reaches up to an eighth more than is expected of its placement. Where that is less than so much of what was asked
/// for, what is late goes round and round.
const HOPELESS: f64 = 0.88;
/// How often something else is asked for.
const MOST_ASKED: u32 = 2;
/// What nextpnr says of a cell that its placer left where it may not be. It goes on all the same, and cannot route it.
const NO_VALID_PLACE: &str = "post-placement validity check failed";
/// What stands in place of a routing that was given up.
const GIVEN_UP: &str = "given_up.json";

/// Why a routing was given up. It would come to the same again.
#[derive(Clone, Copy, Deserialize, Serialize)]
enum GivenUp {
    /// It got no better: what was left, and the rounds since.
    Stuck { left: u64, rounds: u32 },
    /// The placement is expected to reach so much of what was asked for: all of it, or too little.
    Expected { reached: f64 },
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

/// What the first placement tells: where blocks should stand, and how fast the card is expected to be.
#[derive(Deserialize, Serialize)]
pub(super) struct First {
    /// Sites by the names of the blocks.
    pub(super) sites: BTreeMap<String, String>,
    /// What the card's clock is expected to reach.
    pub(super) reached_mhz: f64,
}

/// Where cells stand that have exchanged places.
#[derive(Deserialize, Serialize)]
struct Exchanged {
    /// Names and places, as nextpnr's Python reads them.
    bound: String,
    /// The longest way that is expected, ns, in cycles of the card's clock.
    longest_ns: f32,
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
            Some(_) => Some(self.first_placement(&task, key("place 1"))?),
            None => None,
        };
        let first = first.as_ref();
        let exchanged = match exchange {
            Some(exchange) => Some(self.exchanged(&task, key("exchange 5"), exchange)?),
            None => None,
        };
        let run = (exchanged.as_ref())
            .map_or(Run::Whole(first), |exchanged| Run::Bound(&exchanged.bound));
        let mut ahead = aim.as_ref().map_or(1.0, |aim| aim.ahead(first));
        let by_placement = first.is_some() && aim.as_ref().is_some_and(Aim::is_by_placement);
        let mut again = if by_placement { MOST_ASKED } else { 0 };
        let folder = loop {
            let key = match run {
                Run::Bound(bound) => key("route 10")
                    .with(seed.to_string())
                    .with(ahead.to_string())
                    .with(bound)
                    .with(router.routing.join(" ")),
                _ => key("route 9")
                    .with(seed.to_string())
                    .with(json!(first).to_string())
                    .with(format!("{ahead} {}", again > 0)),
            };
            let (folder, given_up) = self.attempt(&task, key, &run, ahead, again > 0)?;
            match given_up {
                None => break folder,
                Some(GivenUp::Stuck { left, rounds }) => {
                    let (tool, seed) = (tool.name, *seed);
                    return Err(FpgaError::Unroutable { tool, seed, left, rounds });
                }
                Some(GivenUp::Unplaced) => {
                    return Err(FpgaError::Unplaced { tool: tool.name, seed: *seed });
                }
                Some(GivenUp::Expected { reached }) => {
                    let beyond = if reached < 1.0 { BEYOND_PLACED } else { BEYOND_MET };
                    ahead *= reached * beyond;
                    again -= 1;
                }
            }
        };
        let mut timing = Timing::of_nextpnr(&read_json(&folder.join(TIMING))?)?;
        let placed = expected(&folder)?;
        let slowest = timing.clocks.iter().map(|clock| clock.asked_mhz).fold(f64::MAX, f64::min);
        for clock in &mut timing.clocks {
            clock.placed_mhz = match &exchanged {
                // In the longest cycle all clocks have theirs.
                Some(Exchanged { longest_ns, .. }) => (*longest_ns > 0.0)
                    .then(|| clock.asked_mhz / slowest * 1e3 / f64::from(*longest_ns)),
                None => placed.clocks.get(&clock.name).map(|(expected, _)| *expected),
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
        asks_again: bool,
    ) -> Result<(PathBuf, Option<GivenUp>), FpgaError> {
        let Task { router, pins, netlist, limit } = *task;
        self.tell(PLACE_AND_ROUTE, 0.0, "");
        let cache = self.cache.clone();
        let (folder, hit) = cache.step("route", key, |folder| {
            let arguments = router.prepare(folder, netlist, run, router.pins(pins, ahead))?;
            let mut rounds = Rounds::with_patience(router.patience);
            let mut placed = Placed::default();
            let mut given_up = None;
            self.nextpnr(router, PLACE_AND_ROUTE, &arguments, folder, limit, &mut |line| {
                placed.take(line);
                given_up = rounds.stuck(line).map(|(left, rounds)| GivenUp::Stuck { left, rounds });
                let reached = placed.reached();
                let routes_well = (HOPELESS..1.0).contains(&reached);
                if asks_again && placed.routing && !routes_well {
                    given_up = Some(GivenUp::Expected { reached });
                }
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
            let reached_mhz = MISSED_MHZ * expected(folder)?.reached();
            let first = First { sites: block_sites(&design)?, reached_mhz };
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
    ) -> Result<Exchanged, FpgaError> {
        let Task { router, pins, netlist, limit } = *task;
        self.tell(PLACEMENT, 0.0, "");
        let cache = self.cache.clone();
        let key = key.with(router.seed.to_string());
        let (folder, hit) = cache.step("exchange", key, |folder| {
            // A clock that is missed whatever is asked for is placed alike.
            let pins = router.pins_asking(pins, exchange.missed_mhz);
            let arguments = router.prepare(folder, netlist, &Run::Placing, pins)?;
            self.nextpnr(router, PLACEMENT, &arguments, folder, limit, &mut |_| {
                ControlFlow::Continue(())
            })?;
            let path = folder.join(xc7::PLACED);
            let placed = std::fs::read_to_string(&path).map_err(FpgaError::file("read", &path))?;
            let tiles = exchange.tiles.iter().map(|(kind, x, y)| (kind.as_str(), *x, *y));
            let better =
                improved(&placed, tiles, exchange.array_clock_ratio, &mut |done, longest| {
                    self.tell(PLACEMENT, done, format!("longest way {longest:.2} ns"));
                })?;
            let exchanged = Exchanged { bound: better.bound, longest_ns: better.now_ns };
            write(&folder.join(EXCHANGED), json!(exchanged).to_string())?;
            // Tens of megabytes.
            std::fs::remove_file(&path).map_err(FpgaError::file("remove", &path))
        })?;
        self.tell(PLACEMENT, 1.0, if hit { "was there already" } else { "done" });
        kept(&folder.join(EXCHANGED))
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
