//! Which seed of place and route is taken.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Builder, Family, Goal, Request};
use crate::error::FpgaError;
use crate::report::Timing;

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
        request: &Request<'_>,
        family: &Family,
        mut goal: Goal,
        versions: &BTreeMap<String, String>,
        netlist: &Path,
    ) -> Result<Routed, FpgaError> {
        let last =
            request.seed.saturating_add(request.tries.max(request.best_of).saturating_sub(1));
        let mut best: Option<Routed> = None;
        let mut routed = 0;
        loop {
            match self.one_seed(request, family, &goal, versions, netlist) {
                Ok(one) => {
                    routed += 1;
                    if request.best_of > 1 {
                        let reached = one.timing.reached();
                        self.tell("place and route", 1.0, format!("seed {}: {reached}", one.seed));
                    }
                    if best.as_ref().is_none_or(|best| one.timing.margin() > best.timing.margin()) {
                        best = Some(one);
                    }
                }
                Err(error @ (FpgaError::Unroutable { .. } | FpgaError::Unplaced { .. })) => {
                    if goal.seed == last && best.is_none() {
                        return Err(error);
                    }
                    self.tell("place and route", 0.0, error.to_string());
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

    fn one_seed(
        &mut self,
        request: &Request<'_>,
        family: &Family,
        goal: &Goal,
        versions: &BTreeMap<String, String>,
        netlist: &Path,
    ) -> Result<Routed, FpgaError> {
        let router = (family.router)(&self.search, goal)?;
        let pins = request.board.constraints.1;
        let (folder, mut timing) = self.route(&router, pins, versions, netlist, request.limit)?;
        (family.complete)(&self.search, &request.board.part, &folder, &mut timing)?;
        Ok(Routed { seed: goal.seed, folder, timing })
    }
}
