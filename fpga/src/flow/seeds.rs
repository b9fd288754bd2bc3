//! Which seed of place and route is taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::route::PLACE_AND_ROUTE;
use super::router::Asks;
use super::{Builder, Family, Goal, Request};
use crate::error::FpgaError;
use crate::report::Timing;

/// After a routing so many times what it reached is asked for, after one that was too much the middle between both, and never less
/// than the last.
const BEYOND: f64 = 1.05;
const LEAST_BEYOND: f64 = 1.02;

/// What is placed and routed with each seed.
pub(super) struct Seeds<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) family: &'a Family,
    pub(super) versions: &'a BTreeMap<String, String>,
    pub(super) netlist: &'a Path,
}

/// What a seed made.
pub(super) struct Routed {
    pub(super) seed: u32,
    pub(super) folder: PathBuf,
    pub(super) timing: Timing,
}

impl Builder<'_> {
    /// Places and routes with one seed after the other, from the request's first one on, until as many were routed as it wants;
    /// the one whose clocks reach most of what they were asked. One that cannot be routed is given up.
    pub(super) fn best_seed(
        &mut self,
        task: &Seeds<'_>,
        mut goal: Goal,
    ) -> Result<Routed, FpgaError> {
        let request = task.request;
        let last =
            request.seed.saturating_add(request.tries.max(request.best_of).saturating_sub(1));
        let mut best: Option<Routed> = None;
        let mut routed = 0;
        loop {
            match self.one_seed(task, &goal) {
                Ok(one) => {
                    routed += 1;
                    if request.best_of > 1 {
                        let reached = one.timing.reached();
                        self.tell(PLACE_AND_ROUTE, 1.0, format!("seed {}: {reached}", one.seed));
                    }
                    if best.as_ref().is_none_or(|best| one.timing.margin() > best.timing.margin()) {
                        best = Some(one);
                    }
                }
                Err(error @ (FpgaError::Unroutable { .. } | FpgaError::Unplaced { .. })) => {
                    if goal.seed == last && best.is_none() {
                        return Err(error);
                    }
                    self.tell(PLACE_AND_ROUTE, 0.0, error.to_string());
                    goal.attempt += 1;
                }
                Err(error) => return Err(error),
            }
            match best.take_if(|_| routed >= request.best_of || goal.seed == last) {
                Some(best) => return Ok(best),
                None => goal.seed += 1,
            }
        }
    }

    /// One seed: routed, and again with more asked for, as long as that reaches more.
    fn one_seed(&mut self, task: &Seeds<'_>, goal: &Goal) -> Result<Routed, FpgaError> {
        let mut goal = *goal;
        let least =
            goal.attempt + if goal.is_free(task.family.first) { task.family.eases } else { 0 };
        let mut best = loop {
            match self.routed(task, &goal) {
                Err(error @ FpgaError::Unroutable { .. }) if goal.attempt < least => {
                    self.tell(PLACE_AND_ROUTE, 0.0, format!("{error}; once more for less"));
                    goal.attempt += 1;
                }
                other => break other?,
            }
        };
        // A routing that met no clock left what was late alone, so as much as is expected is asked for, and more than was reached.
        let most = if goal.is_free(task.family.first) { task.family.asks_beyond } else { 0 };
        let mut aim = best.timing.margin() * BEYOND;
        if matches!(task.family.first, Asks::Mhz(_)) {
            aim = aim.max(best.timing.expected_margin().unwrap_or(0.0));
        }
        for _ in 0..most {
            let aim_mhz = goal.mhz * aim;
            let reached = best.timing.reached();
            self.tell(PLACE_AND_ROUTE, 0.0, format!("{reached}; once more for {aim_mhz:.1} MHz"));
            let again = Goal { aim_mhz: Some(aim_mhz), attempt: 0, ..goal };
            let more = match self.routed(task, &again) {
                Ok(more) => Some(more),
                Err(
                    FpgaError::Unroutable { .. }
                    | FpgaError::Unplaced { .. }
                    | FpgaError::ToolTimeout { .. },
                ) => None,
                Err(error) => return Err(error),
            };
            match more.filter(|more| more.timing.margin() > best.timing.margin()) {
                Some(more) => {
                    aim = more.timing.margin() * BEYOND;
                    best = more;
                }
                None => aim = f64::midpoint(aim, best.timing.margin()),
            }
            if aim < best.timing.margin() * LEAST_BEYOND {
                break;
            }
        }
        Ok(best)
    }

    fn routed(&mut self, task: &Seeds<'_>, goal: &Goal) -> Result<Routed, FpgaError> {
        let Seeds { request, family, versions, netlist } = *task;
        let router = (family.router)(&self.search, goal)?;
        let pins = request.board.constraints.1;
        let (folder, mut timing) = self.route(&router, pins, versions, netlist, request.limit)?;
        (family.complete)(&self.search, &request.board.part, &folder, &mut timing)?;
        Ok(Routed { seed: goal.seed, folder, timing })
    }
}
