//! Place and route: nextpnr.
//!
//! Its router heeds time only where a clock is missed: whatever is late goes back to the queue. A clock that is met by
//! far leaves it free to take any way round what is full, and one that cannot be met keeps it busy for ever. So a whole
//! card is asked for a little more than its placement is expected to reach, whatever was asked for: first for what the
//! board's own card reaches; if another one turns out to be faster or slower once it is placed, for that, from the
//! start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::progress::{Placed, Rounds, Stage};
use super::{Builder, NETLIST, TIMING, read_json, write};
use crate::boards::TOP;
use crate::cache::Key;
use crate::channels::leave_channels;
use crate::error::FpgaError;
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
    /// What changes in the netlist before; nothing leaves it as synthesis left it.
    pub(super) changes: Option<Changes>,
    /// What the clocks are asked for beyond what the card was; nothing: just that.
    pub(super) aim: Option<Aim>,
}

impl Router {
    /// What is said when so much is left, and no less for so many rounds.
    fn unroutable(&self, (left, rounds): (u64, u32)) -> FpgaError {
        FpgaError::Unroutable { tool: self.tool.name, seed: self.seed, left, rounds }
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

/// What the clocks are asked for.
pub(super) struct Aim {
    /// The board's input, MHz, from which all clocks come: to ask for more, it is said to be faster than it is.
    pub(super) input_mhz: f64,
    /// What was asked of the card's clock, MHz.
    pub(super) asked_mhz: f64,
    /// What the router is asked for instead before the placement is known, MHz.
    pub(super) first_mhz: f64,
    /// What it should be asked for, by what is expected of the placement.
    pub(super) beyond_placed: f64,
    /// The constraint that says how fast the input is, MHz; it counts more than that of the board.
    pub(super) constraint: fn(f64) -> String,
}

const LOG: &str = "nextpnr.log";
/// What stands in place of a routing that was given up: what was left, and the rounds since.
const UNROUTABLE: &str = "unroutable.json";
/// By how much the input was said to be faster.
const AHEAD: &str = "ahead.json";
/// How far what is asked for may be from what it should be without beginning again.
const AIM_TOLERANCE: f64 = 0.05;

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
        let mut text = std::fs::read(netlist).map_err(FpgaError::file("read", netlist))?;
        let key = Key::default()
            .with("route 5")
            .with(&versions[tool.name])
            .with(&text)
            .with(pins)
            .with(seed.to_string())
            .with(arguments.join(" "))
            .with(format!("{changes:?}"))
            .with(aim.as_ref().map_or_else(String::new, |aim| aim.first_mhz.to_string()))
            .with(aim.as_ref().map_or_else(String::new, |aim| aim.beyond_placed.to_string()));
        self.tell("place and route", 0.0, "");
        let cache = self.cache.clone();
        let (folder, hit) = cache.step("route", key, |folder| {
            if let Some(Changes { networks, channels, settings }) = changes {
                let mut changed = read_json(netlist)?;
                spare_wires(&mut changed, *networks)?;
                if *channels {
                    leave_channels(&mut changed)?;
                }
                set_settings(&mut changed, settings)?;
                text = changed.to_string().into_bytes();
            }
            write(&folder.join(NETLIST), &text)?;
            match self.nextpnr(router, pins, folder, limit) {
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
        self.tell("place and route", 1.0, if hit { "was there already" } else { "done" });
        let mut timing = Timing::of_nextpnr(&read_json(&folder.join(TIMING))?)?;
        let log = folder.join(LOG);
        let said = std::fs::read(&log).map_err(FpgaError::file("read", &log))?;
        let mut placed = Placed::default();
        for line in String::from_utf8_lossy(&said).lines() {
            placed.take(line);
        }
        let ahead = read_json(&folder.join(AHEAD))?.as_f64().unwrap_or(1.0);
        for clock in &mut timing.clocks {
            clock.asked_mhz /= ahead;
            clock.placed_mhz = placed.clocks.get(&clock.name).map(|(expected, _)| *expected);
        }
        Ok((folder, timing))
    }

    /// Runs it in the folder of the netlist; from the start once more if it was asked for what its placement is far from.
    fn nextpnr(
        &mut self,
        router: &Router,
        pins: &str,
        folder: &Path,
        limit: Duration,
    ) -> Result<(), FpgaError> {
        let Router { tool, seed, arguments, constraints, aim, .. } = router;
        let nextpnr = self.search.find(*tool)?;
        let mut aimed_mhz = aim.as_ref().map(|aim| aim.first_mhz);
        // By what is expected; nothing once that has been heard.
        let mut beyond_placed = aim.as_ref().map(|aim| aim.beyond_placed);
        loop {
            let ahead = aim.as_ref().zip(aimed_mhz).map_or(1.0, |(aim, mhz)| mhz / aim.asked_mhz);
            let mut text = pins.to_owned();
            text.extend(aim.as_ref().map(|aim| (aim.constraint)(aim.input_mhz * ahead)));
            write(&folder.join(constraints), text)?;
            write(&folder.join(AHEAD), ahead.to_string())?;
            let mut command = Command::new(&nextpnr);
            command.current_dir(folder).args(["--seed", &seed.to_string()]).args(arguments);
            let (mut stage, mut rounds) = (Stage::default(), Rounds::default());
            let (mut placed, mut better) = (Placed::default(), None);
            let result = run(tool.name, &mut command, &folder.join(LOG), limit, &mut |line| {
                if let Some(doing) = stage.take(line) {
                    self.tell("place and route", stage.done, doing);
                }
                placed.take(line);
                if placed.routing
                    && let Some(beyond_placed) = beyond_placed.take()
                {
                    let wanted = placed.reached() * beyond_placed;
                    if (wanted - 1.0).abs() > AIM_TOLERANCE {
                        // Whole MHz, so that this is what others would begin with.
                        better = aimed_mhz.map(|mhz| (mhz * wanted).round().max(1.0));
                        // Ends the run.
                        return Err(router.unroutable((0, 0)));
                    }
                }
                rounds.stuck(line).map_or(Ok(()), |stuck| Err(router.unroutable(stuck)))
            });
            if better.is_none() {
                return result;
            }
            aimed_mhz = better;
        }
    }
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
