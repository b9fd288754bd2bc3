//! Place and route: nextpnr.
//!
//! Its router heeds time only where a clock is missed: whatever is late goes back to the queue. A clock that is met by
//! far leaves it free to take any way round what is full, and one that cannot be met keeps it busy for ever. So a whole
//! card is asked for a little more than it is expected to reach once it is placed, whatever was asked for. That is known from a
//! placement before, which tells where its blocks should stand, too (`floorplan.rs`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::progress::{Placed, Rounds, Stage};
use super::{Builder, Goal, NETLIST, TIMING, read_json, write};
use crate::boards::TOP;
use crate::cache::Key;
use crate::channels::leave_channels;
use crate::error::FpgaError;
use crate::floorplan::{block_sites, lock_blocks};
use crate::netlist;
use crate::process::run;
use crate::report::Timing;
use crate::tools::Tool;
use crate::wiring::spare_wires;

/// How nextpnr is run.
pub(super) struct Router {
    pub(super) tool: Tool,
    pub(super) seed: u32,
    /// All others.
    pub(super) arguments: Vec<String>,
    /// The name under which it finds the board's pins.
    pub(super) constraints: &'static str,
    /// What changes in the netlist before, and that it is placed twice; nothing leaves it as synthesis left it.
    pub(super) changes: Option<Changes>,
    /// What the clocks are asked for beyond what the card was; nothing: just that.
    pub(super) aim: Option<Aim>,
}

impl Router {
    /// What is said when so much is left, and no less for so many rounds.
    fn unroutable(&self, (left, rounds): (u64, u32)) -> FpgaError {
        FpgaError::Unroutable { tool: self.tool.name, seed: self.seed, left, rounds }
    }

    /// The board's constraints, with as many MHz asked of the card's clock: the board's input is said to be faster.
    fn pins(&self, pins: &str, mhz: &dyn Fn(&Aim) -> f64) -> String {
        self.aim.as_ref().map_or_else(
            || pins.to_owned(),
            |aim| aim.clock.replaced(pins, aim.input_mhz * mhz(aim) / aim.asked_mhz),
        )
    }
}

/// What a netlist needs so that a whole card can be routed.
#[derive(Debug)]
pub(super) struct Changes {
    /// Networks of clocks that resets and enables may take.
    pub(super) networks: usize,
    /// Rows of the logic stay free.
    pub(super) channels: bool,
    /// Settings of nextpnr for which its command line has no argument: they go with the netlist.
    pub(super) settings: &'static [(&'static str, &'static str)],
}

impl Changes {
    /// A netlist as it is placed.
    fn of(&self, netlist: &Path) -> Result<Value, FpgaError> {
        let mut changed = read_json(netlist)?;
        spare_wires(&mut changed, self.networks)?;
        if self.channels {
            leave_channels(&mut changed)?;
        }
        set_settings(&mut changed, self.settings)?;
        Ok(changed)
    }
}

/// How constraints say how fast the board's input is.
pub(super) struct Clock {
    /// What the line begins with.
    pub(super) begins: &'static str,
    /// The line, by MHz.
    pub(super) line: fn(f64) -> String,
}

impl Clock {
    /// Constraints with another clock at the input.
    fn replaced(&self, constraints: &str, mhz: f64) -> String {
        let lines = constraints.lines().map(|line| {
            if line.starts_with(self.begins) { (self.line)(mhz) } else { line.to_owned() }
        });
        lines.map(|line| line + "\n").collect()
    }
}

/// What the clocks are asked for.
pub(super) struct Aim {
    /// The board's input, MHz, from which all clocks come: to ask for more, it is said to be faster than it is.
    pub(super) input_mhz: f64,
    /// What was asked of the card's clock, MHz.
    pub(super) asked_mhz: f64,
    /// What the router is asked for instead, MHz; nothing: by what is expected of the first placement, if there is one.
    pub(super) aim_mhz: Option<f64>,
    /// Less by so much since others were given up.
    pub(super) eased: f64,
    /// The line of the board's constraints that says how fast its input is.
    pub(super) clock: Clock,
}

impl Aim {
    /// By how much the input is said to be faster.
    fn ahead(&self, first: Option<&First>) -> f64 {
        let by_placement = first.map(|first| BEYOND_PLACED * first.reached_mhz);
        let Some(mhz) = self.aim_mhz.or(by_placement) else { return 1.0 };
        // In tenths of a MHz, as people would write it.
        ((10.0 * mhz * self.eased).round() / 10.0).max(0.1) / self.asked_mhz
    }
}

/// What the router is asked for, by what is expected of the first placement; the second one was expected to reach 0.98 to
/// 1.12 times as much.
const BEYOND_PLACED: f64 = 1.07;
/// By so much less with each placement that was given up: what is late may have been what kept it from being routed.
const EASED: f64 = 0.93;

impl Goal {
    /// What a whole card is asked for: what the user says, or by what is expected of its placement.
    pub(super) fn aim(&self, clock: Clock) -> Option<Aim> {
        self.whole.then(|| Aim {
            input_mhz: self.board.input_mhz,
            asked_mhz: self.mhz,
            aim_mhz: self.aim_mhz,
            eased: EASED.powi(self.attempt),
            clock,
        })
    }
}

const LOG: &str = "nextpnr.log";
/// A placed design as nextpnr writes it.
const PLACED: &str = "placed.json";
const FIRST: &str = "first.json";
const FIRST_PLACEMENT: &str = "first placement";
const PLACE_AND_ROUTE: &str = "place and route";
/// More than any card reaches: the placer weighs ways only while a clock is missed, and then alike.
const MISSED_MHZ: f64 = 100.0;
/// What stands in place of a routing that was given up: what was left, and the rounds since.
const UNROUTABLE: &str = "unroutable.json";

/// What the first placement tells: where blocks should stand, and how fast the card is expected to be.
#[derive(Deserialize, Serialize)]
struct First {
    /// Sites by the names of the blocks.
    sites: BTreeMap<String, String>,
    /// What the card's clock is expected to reach.
    reached_mhz: f64,
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
        let Router { tool, seed, arguments, changes, aim, .. } = router;
        let text = std::fs::read(netlist).map_err(FpgaError::file("read", netlist))?;
        let key = |step: &str| {
            Key::default()
                .with(step)
                .with(&versions[tool.name])
                .with(&text)
                .with(pins)
                .with(arguments.join(" "))
                .with(format!("{changes:?}"))
        };
        let first = match changes {
            Some(changes) => {
                Some(self.first_placement(router, changes, pins, key("place 1"), netlist, limit)?)
            }
            None => None,
        };
        let ahead = aim.as_ref().map_or(1.0, |aim| aim.ahead(first.as_ref()));
        let key = key("route 7")
            .with(seed.to_string())
            .with(json!(first).to_string())
            .with(ahead.to_string());
        self.tell(PLACE_AND_ROUTE, 0.0, "");
        let cache = self.cache.clone();
        let (folder, hit) = cache.step("route", key, |folder| {
            let changed = match (changes, &first) {
                (Some(changes), Some(first)) => {
                    let mut changed = changes.of(netlist)?;
                    lock_blocks(&mut changed, &first.sites)?;
                    Cow::Owned(changed.to_string().into_bytes())
                }
                _ => Cow::Borrowed(&text),
            };
            write(&folder.join(NETLIST), changed.as_slice())?;
            let pins = router.pins(pins, &|aim| aim.asked_mhz * ahead);
            write(&folder.join(router.constraints), pins)?;
            let mut rounds = Rounds::default();
            let seed = ["--seed".to_owned(), seed.to_string()];
            let result = self.nextpnr(router, PLACE_AND_ROUTE, &seed, folder, limit, &mut |line| {
                rounds.stuck(line).map_or(Ok(()), |stuck| Err(router.unroutable(stuck)))
            });
            match result {
                // It would come to the same again.
                Err(FpgaError::Unroutable { left, rounds, .. }) => {
                    write(&folder.join(UNROUTABLE), json!([left, rounds]).to_string())
                }
                result => result,
            }
        })?;
        let given_up = folder.join(UNROUTABLE);
        if given_up.is_file() {
            let stuck = serde_json::from_value(read_json(&given_up)?)
                .map_err(FpgaError::json("a kept routing"))?;
            return Err(router.unroutable(stuck));
        }
        self.tell(PLACE_AND_ROUTE, 1.0, if hit { "was there already" } else { "done" });
        let mut timing = Timing::of_nextpnr(&read_json(&folder.join(TIMING))?)?;
        let placed = expected(&folder)?;
        for clock in &mut timing.clocks {
            clock.asked_mhz /= ahead;
            clock.placed_mhz = placed.clocks.get(&clock.name).map(|(expected, _)| *expected);
        }
        Ok((folder, timing))
    }

    /// Places once to learn where blocks should stand: for all seeds, and whatever is asked for.
    fn first_placement(
        &mut self,
        router: &Router,
        changes: &Changes,
        pins: &str,
        key: Key,
        netlist: &Path,
        limit: Duration,
    ) -> Result<First, FpgaError> {
        self.tell(FIRST_PLACEMENT, 0.0, "");
        let cache = self.cache.clone();
        let (folder, hit) = cache.step("place", key, |folder| {
            write(&folder.join(NETLIST), changes.of(netlist)?.to_string())?;
            write(&folder.join(router.constraints), router.pins(pins, &|_| MISSED_MHZ))?;
            let only_place = ["--no-route", "--write", PLACED].map(str::to_owned);
            self.nextpnr(router, FIRST_PLACEMENT, &only_place, folder, limit, &mut |_| Ok(()))?;
            let placed = folder.join(PLACED);
            let design = std::fs::read(&placed).map_err(FpgaError::file("read", &placed))?;
            let reached_mhz = MISSED_MHZ * expected(folder)?.reached();
            let first = First { sites: block_sites(&design)?, reached_mhz };
            write(&folder.join(FIRST), json!(first).to_string())?;
            // A hundred megabytes.
            std::fs::remove_file(&placed).map_err(FpgaError::file("remove", &placed))
        })?;
        self.tell(FIRST_PLACEMENT, 1.0, if hit { "was there already" } else { "done" });
        serde_json::from_value(read_json(&folder.join(FIRST))?)
            .map_err(FpgaError::json("a kept placement"))
    }

    /// Runs it in the folder of the netlist; hears each line.
    fn nextpnr(
        &mut self,
        router: &Router,
        step: &'static str,
        more: &[String],
        folder: &Path,
        limit: Duration,
        hears: &mut dyn FnMut(&str) -> Result<(), FpgaError>,
    ) -> Result<(), FpgaError> {
        let mut command = Command::new(self.search.find(router.tool)?);
        command.current_dir(folder).args(&router.arguments).args(more);
        let (mut stage, all) =
            (Stage::default(), if step == FIRST_PLACEMENT { Stage::PLACED } else { 1.0 });
        run(router.tool.name, &mut command, &folder.join(LOG), limit, &mut |line| {
            if let Some(doing) = stage.take(line) {
                self.tell(step, stage.done / all, doing);
            }
            hears(line)
        })
    }
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

/// Writes settings of nextpnr where its own netlists have them: in the top module.
fn set_settings(netlist: &mut Value, settings: &[(&str, &str)]) -> Result<(), FpgaError> {
    let top = netlist::modules_of(netlist)?.get_mut(TOP).and_then(Value::as_object_mut);
    let values = settings.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
    if let Some(top) = top {
        top.insert("settings".to_owned(), Value::Object(values));
    }
    Ok(())
}
