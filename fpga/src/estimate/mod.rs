//! What a card takes on the ECP5, without synthesis.
//!
//! ```text
//!  design ─► statistics of each module ─► multipliers, memory blocks: counted, by the rules of yosys
//!                                      └► tables, flip-flops: bits of operators × weight × factor of the module
//! ```
//!
//! The weights are what a bit of an operator takes in tables of four inputs when it stands alone ([`WEIGHTS`]). How much
//! synthesis makes of a module beyond or below this depends on how its logic hangs together, and that hardly changes
//! with the configuration: so each kind of module has a factor, fitted to builds ([`Calibration::fit`]), which stands in
//! `ecp5.json`. A kind that was never built has the factor of all modules together.
//!
//! Clocks are not estimated: [`ArrayPoint`] has those that the array alone reached after routing.

mod arrays;
mod blocks;

use std::collections::BTreeMap;

use rtl_builder::prelude::Design;
use rtl_builder::statistics::{ModuleStatistics, Operators};
use serde::{Deserialize, Serialize};

use crate::error::FpgaError;
use crate::report::ModuleUse;
use crate::resources::Resources;
pub use arrays::ArrayPoint;
use blocks::{multipliers, storage};

/// Tables of four inputs for a bit of each of [`Operators::NAMES`].
pub const WEIGHTS: [f64; 10] = [0.3, 1.0, 0.5, 0.25, 1.0, 0.33, 0.6, 0.4, 0.5, 0.7];

/// The factors, fitted to builds.
const ECP5: &str = include_str!("ecp5.json");

/// Tables and flip-flops of a module before any factor.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Raw {
    luts: f64,
    flip_flops: f64,
}

/// How many times as much synthesis makes of a kind of module, by its builds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factor {
    /// For look-up tables.
    pub luts: f64,
    /// For flip-flops.
    pub flip_flops: f64,
}

/// A build that factors were fitted to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// What was built.
    pub name: String,
    /// What it took.
    pub built: Resources,
    /// What the other builds alone would have said of it; of the only build there is, its own.
    pub predicted: Resources,
}

impl Point {
    /// By how much the tables were wrong, as a share of those built.
    pub fn error(&self) -> f64 {
        self.predicted.luts as f64 / self.built.luts as f64 - 1.0
    }
}

/// What the estimate knows from builds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// yosys, as it tells its version.
    pub yosys: String,
    /// Of all modules together.
    pub others: Option<Factor>,
    /// By kind of module.
    pub kinds: BTreeMap<String, Factor>,
    /// The builds.
    pub points: Vec<Point>,
}

/// What a design will take.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// In all.
    pub total: Resources,
    /// By kind of module, the largest first.
    pub kinds: Vec<(String, Resources)>,
    /// Kinds that no build had.
    pub unknown: Vec<String>,
}

/// The kind of a module: its name without parameters, which begin at the first part with a digit.
fn kind(name: &str) -> String {
    let parts: Vec<&str> =
        name.split('_').take_while(|part| !part.contains(|c: char| c.is_ascii_digit())).collect();
    parts.join("_")
}

fn raw(module: &ModuleStatistics) -> Raw {
    let operators: f64 = module
        .operators
        .values()
        .iter()
        .zip(WEIGHTS)
        .map(|(&bits, weight)| bits as f64 * weight)
        .sum();
    let tables: u64 = module.memories.iter().map(|memory| storage(memory).tables).sum();
    let wide: u32 = (module.products.iter())
        .map(|product| (multipliers(product) as u32).saturating_sub(1) * product.bits[0])
        .sum();
    Raw {
        luts: operators + tables as f64 + f64::from(wide),
        flip_flops: module.register_bits as f64,
    }
}

/// A factor of sums, to the digits that mean something; where nothing was expected, as much as was expected.
fn ratio(built: f64, raw: f64) -> f64 {
    if raw > 0.0 { (built / raw * 1e4).round() / 1e4 } else { 1.0 }
}

/// A design with what synthesis made of its modules.
pub type Build<'a> = (&'a str, &'a Design, &'a [ModuleUse]);

impl Calibration {
    /// The one that is part of this crate.
    ///
    /// # Errors
    /// When its file is none.
    pub fn ecp5() -> Result<Self, FpgaError> {
        serde_json::from_str(ECP5).map_err(FpgaError::json("the kept calibration"))
    }

    /// Fits the factors to builds, and tells what each build alone would have been taken for by the others.
    pub fn fit(yosys: &str, builds: &[Build<'_>]) -> Self {
        let mut fitted = Self::of_builds(builds.iter());
        fitted.yosys = yosys.to_owned();
        for (index, (name, design, modules)) in builds.iter().enumerate() {
            let others = (builds.iter().enumerate()).filter(|(other, _)| *other != index);
            let known = match builds.len() {
                1 => fitted.clone(),
                _ => Self::of_builds(others.map(|(_, build)| build)),
            };
            fitted.points.push(Point {
                name: (*name).to_owned(),
                built: sum(modules, design),
                predicted: known.estimate(design).total,
            });
        }
        fitted
    }

    fn of_builds<'a>(builds: impl Iterator<Item = &'a Build<'a>>) -> Self {
        let mut sums: BTreeMap<String, [Raw; 2]> = BTreeMap::new();
        for (_, design, modules) in builds {
            for module in design.statistics() {
                let Some(built) = modules.iter().find(|built| built.name == module.name) else {
                    continue;
                };
                let raw = raw(&module);
                let [expected, found] = sums.entry(kind(&module.name)).or_default();
                let count = module.count as f64;
                expected.luts += count * raw.luts;
                expected.flip_flops += count * raw.flip_flops;
                found.luts += count * built.own.luts as f64;
                found.flip_flops += count * built.own.flip_flops as f64;
            }
        }
        let factor = |[expected, found]: &[Raw; 2]| Factor {
            luts: ratio(found.luts, expected.luts),
            flip_flops: ratio(found.flip_flops, expected.flip_flops),
        };
        let all = sums.values().fold([Raw::default(); 2], |mut all, one| {
            for (all, one) in all.iter_mut().zip(one) {
                all.luts += one.luts;
                all.flip_flops += one.flip_flops;
            }
            all
        });
        Self {
            others: Some(factor(&all)),
            kinds: sums.iter().map(|(kind, sums)| (kind.clone(), factor(sums))).collect(),
            ..Self::default()
        }
    }

    /// What a design will take.
    pub fn estimate(&self, design: &Design) -> Estimate {
        let others = self.others.unwrap_or(Factor { luts: 1.0, flip_flops: 1.0 });
        let mut kinds: BTreeMap<String, Resources> = BTreeMap::new();
        let mut unknown = Vec::new();
        let mut total = Resources::default();
        for module in design.statistics() {
            let kind = kind(&module.name);
            let factor = self.kinds.get(&kind).copied().unwrap_or_else(|| {
                unknown.push(kind.clone());
                others
            });
            let raw = raw(&module);
            let own = Resources {
                luts: (raw.luts * factor.luts).round() as u64,
                flip_flops: (raw.flip_flops * factor.flip_flops).round() as u64,
                multipliers: module.products.iter().map(multipliers).sum(),
                block_rams: module.memories.iter().map(|memory| storage(memory).blocks).sum(),
            };
            total.add(&own, module.count);
            kinds.entry(kind).or_default().add(&own, module.count);
        }
        unknown.sort();
        unknown.dedup();
        let mut kinds: Vec<_> = kinds.into_iter().collect();
        kinds.sort_by_key(|(_, resources)| std::cmp::Reverse(resources.luts));
        Estimate { total, kinds, unknown }
    }
}

/// What synthesis made of the modules of a design, without those round it.
fn sum(modules: &[ModuleUse], design: &Design) -> Resources {
    let mut total = Resources::default();
    for module in design.statistics() {
        if let Some(built) = modules.iter().find(|built| built.name == module.name) {
            total.add(&built.own, module.count);
        }
    }
    total
}

/// Operators have as many weights as names.
const _: () = assert!(WEIGHTS.len() == Operators::NAMES.len());

#[cfg(test)]
mod tests {
    use super::*;
    use rmt_core::CoreConfig;

    #[test]
    fn a_kind_is_a_name_without_parameters() {
        for (name, of) in [
            ("engine_t2_n4_l32_r2", "engine"),
            ("host_port_cba5f05c", "host_port"),
            ("scalar_alu", "scalar_alu"),
        ] {
            assert_eq!(kind(name), of);
        }
    }

    #[test]
    fn builds_are_what_the_others_say() {
        let calibration = Calibration::ecp5().unwrap();
        assert!(!calibration.points.is_empty());
        for point in &calibration.points {
            assert_eq!(point.predicted.multipliers, point.built.multipliers, "{}", point.name);
            assert_eq!(point.predicted.block_rams, point.built.block_rams, "{}", point.name);
            assert!(point.error().abs() < 0.1, "{}: {}", point.name, point.error());
        }
    }

    #[test]
    fn the_smallest_card_is_still_what_was_built() {
        let calibration = Calibration::ecp5().unwrap();
        let point = calibration.points.iter().find(|point| point.name == "smallest").unwrap();
        let board = crate::Board::find("ulx3s").unwrap();
        let design = crate::flow::design(board, &CoreConfig::smallest(), board.card_mhz).unwrap();
        let estimate = calibration.estimate(&design);
        // A kind that is new, or logic that has grown so much, asks for another build and fit.
        assert!(estimate.unknown.is_empty(), "{:?}", estimate.unknown);
        let share = estimate.total.luts as f64 / point.built.luts as f64;
        assert!((0.9..1.1).contains(&share), "{share}: docs/fpga.md says how to fit again");
        assert_eq!(estimate.total.multipliers, point.built.multipliers);
        assert_eq!(estimate.total.block_rams, point.built.block_rams);
    }

    #[test]
    fn a_fit_gives_back_what_it_was_fitted_to() {
        let design = rmt_core::elaborate_card(&CoreConfig::smallest()).unwrap();
        let own = |name: &str| Resources {
            luts: if name.starts_with("engine") { 2000 } else { 300 },
            flip_flops: 100,
            multipliers: 0,
            block_rams: 0,
        };
        let modules: Vec<_> = (design.statistics().into_iter())
            .map(|module| {
                let own = own(&module.name);
                ModuleUse { name: module.name, copies: module.count, own, total: own }
            })
            .collect();
        let calibration = Calibration::fit("yosys", &[("one", &design, &modules)]);
        let estimate = calibration.estimate(&design);
        assert!(estimate.unknown.is_empty());
        let (_, engine) = estimate.kinds.iter().find(|(kind, _)| kind == "engine").unwrap();
        assert_eq!((engine.luts, engine.flip_flops), (2000, 100));
        // Nothing was built: kinds are unknown, and tables stand as they were weighted.
        let unfitted = Calibration::default().estimate(&design);
        assert!(unfitted.unknown.contains(&"engine".to_owned()));
        assert!(unfitted.total.luts > 10_000);
    }
}
