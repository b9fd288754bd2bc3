//! What was built: clocks, paths, modules, tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rmt_core::CoreConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::depth::Way;
use crate::error::FpgaError;
use crate::resources::Resources;

/// What a module takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleUse {
    /// Its name.
    pub name: String,
    /// Times that it stands in the design.
    pub copies: u64,
    /// What it takes by itself, once.
    pub own: Resources,
    /// The same with what is in it.
    pub total: Resources,
}

/// A part of a path: one cell and the way to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    /// `clk-to-q`, `routing`, `logic` or `setup`.
    pub kind: String,
    /// The signal, as the source names it: instances with points, then the signal.
    pub signal: String,
    /// Nanoseconds.
    pub nanoseconds: f64,
}

/// The longest path of a clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CriticalPath {
    /// From which clock edge to which.
    pub clocks: String,
    /// Hops in order.
    pub hops: Vec<Hop>,
}

impl CriticalPath {
    /// Its length, nanoseconds.
    pub fn nanoseconds(&self) -> f64 {
        self.hops.iter().map(|hop| hop.nanoseconds).sum()
    }

    /// The signals of the source that it passes, without those that synthesis made.
    pub fn signals(&self) -> Vec<&str> {
        let mut signals: Vec<&str> = Vec::new();
        for hop in &self.hops {
            let known = !hop.signal.is_empty() && !hop.signal.contains('$');
            if known && signals.last() != Some(&hop.signal.as_str()) {
                signals.push(&hop.signal);
            }
        }
        signals
    }
}

/// A path from one clock to another one, which is a multiple of it or the other way round.
pub struct Crossing<'a> {
    /// The two clocks.
    pub clocks: &'a str,
    /// How long it takes, nanoseconds.
    pub takes_ns: f64,
    /// How long it may.
    pub may_ns: f64,
}

/// A clock after routing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Its signal.
    pub name: String,
    /// What it reaches, MHz.
    pub reached_mhz: f64,
    /// What was asked for, MHz.
    pub asked_mhz: f64,
    /// What the tool expected of the placement before routing, MHz, where it says so.
    pub placed_mhz: Option<f64>,
}

/// Clocks and paths after routing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Each clock.
    pub clocks: Vec<Clock>,
    /// The longest paths.
    pub paths: Vec<CriticalPath>,
}

impl Timing {
    /// What the clock that misses most, or is met by least, reaches of what it was asked.
    pub fn margin(&self) -> f64 {
        let reached = self.clocks.iter().map(|clock| clock.reached_mhz / clock.asked_mhz);
        reached.fold(f64::INFINITY, f64::min)
    }

    /// The same of what was expected of them before routing, if that is known of all.
    pub fn expected_margin(&self) -> Option<f64> {
        let expected = self.clocks.iter().map(|clock| Some(clock.placed_mhz? / clock.asked_mhz));
        expected.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::min)
    }

    /// What clocks reach, for people.
    pub fn reached(&self) -> String {
        let each =
            self.clocks.iter().map(|clock| format!("{} {:.1} MHz", clock.name, clock.reached_mhz));
        each.collect::<Vec<_>>().join(", ")
    }

    /// From the report that nextpnr writes.
    ///
    /// # Errors
    /// [`FpgaError::BadOutput`] when it names no clock.
    pub fn of_nextpnr(report: &Value) -> Result<Self, FpgaError> {
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let bad = |problem: &str| FpgaError::BadOutput {
            what: "nextpnr's report",
            problem: problem.to_owned(),
        };
        let fmax = report.get("fmax").and_then(Value::as_object).ok_or_else(|| bad("no clocks"))?;
        let clocks = (fmax.iter())
            .map(|(name, clock)| Clock {
                name: clean(name),
                reached_mhz: number(&clock["achieved"]),
                asked_mhz: number(&clock["constraint"]),
                placed_mhz: None,
            })
            .collect();
        let paths = report.get("critical_paths").and_then(Value::as_array);
        let paths = (paths.into_iter().flatten())
            .map(|path| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let clock = |value: &Value| text(value).replace(GLOBAL, "");
                let hops = path["path"].as_array().into_iter().flatten();
                CriticalPath {
                    clocks: format!("{} to {}", clock(&path["from"]), clock(&path["to"])),
                    hops: hops
                        .map(|hop| Hop {
                            kind: text(&hop["type"]),
                            signal: signal(hop),
                            nanoseconds: number(&hop["delay"]),
                        })
                        .collect(),
                }
            })
            .collect();
        Ok(Self { clocks, paths })
    }
}

/// What nextpnr puts before the name of a signal on a network for clocks.
const GLOBAL: &str = "$glbnet$";

/// A name without what tools put around it.
pub(crate) fn clean(name: &str) -> String {
    name.trim_start_matches(GLOBAL).to_owned()
}

/// The signal of a hop: its net, else the cell that it ends in.
fn signal(hop: &Value) -> String {
    let text = |value: &Value| value.as_str().map(clean);
    text(&hop["net"]).or_else(|| text(&hop["to"]["cell"])).unwrap_or_default()
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Board.
    pub board: String,
    /// Part.
    pub part: String,
    /// Speed grade that was routed for.
    pub speed: u32,
    /// What the card was built with.
    pub configuration: CoreConfig,
    /// Clock asked for, MHz.
    pub asked_mhz: f64,
    /// Seed of place and route.
    pub seed: u32,
    /// Versions of the tools.
    pub tools: BTreeMap<String, String>,
    /// What the design takes.
    pub used: Resources,
    /// What the part has.
    pub available: Resources,
    /// The same by module, the top first.
    pub modules: Vec<ModuleUse>,
    /// Multipliers whose registers at inputs and output are the block's.
    pub packed_multipliers: u64,
    /// Where most tables lie in a row, before place and route.
    #[serde(default)]
    pub deepest: Vec<Way>,
    /// Clocks and paths, if it was routed.
    pub timing: Option<Timing>,
    /// Time of synthesis.
    pub synthesis_seconds: f64,
    /// Time of place and route.
    pub route_seconds: Option<f64>,
}

/// Modules of a report that are worth showing.
const MODULES_SHOWN: usize = 20;

impl Report {
    /// Whether every clock reaches what was asked, and what crosses between them is there in time.
    pub fn meets_timing(&self) -> bool {
        let clocks = self.timing.as_ref().map(|timing| &timing.clocks[..]).unwrap_or_default();
        clocks.iter().all(|clock| clock.reached_mhz >= clock.asked_mhz)
            && self.crossings().iter().all(|crossing| crossing.takes_ns <= crossing.may_ns)
    }

    /// The longest paths between the card's clock and that of its array. They have a cycle of the card less one of the
    /// array: see [`Phases`](rtl_builder::stock::Phases).
    pub fn crossings(&self) -> Vec<Crossing<'_>> {
        let ratio = self.configuration.shape().engine.array_clock_ratio;
        if ratio == 1 {
            return Vec::new();
        }
        let ratio = f64::from(ratio);
        let may_ns = 1e3 / self.asked_mhz * (ratio - 1.0) / ratio;
        let paths = self.timing.iter().flat_map(|timing| &timing.paths);
        paths
            .filter_map(|path| {
                let (from, to) = path.clocks.split_once(" to ")?;
                let crosses = from.strip_prefix("posedge ")? != to.strip_prefix("posedge ")?;
                let (clocks, takes_ns) = (path.clocks.as_str(), path.nanoseconds());
                crosses.then_some(Crossing { clocks, takes_ns, may_ns })
            })
            .collect()
    }

    /// The report as Markdown, which people can read as it is.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let shape = self.configuration.shape();
        let n = shape.engine.array;
        let _ = writeln!(
            text,
            "# {} ({}, speed grade {})\n\n{n} × {n} array, {} stages, {} threads; {} MHz asked, seed {}.\n",
            self.board,
            self.part,
            self.speed,
            shape.stages,
            shape.engine.threads,
            self.asked_mhz,
            self.seed
        );
        if let Some(timing) = &self.timing {
            text += "| clock | reaches, MHz | asked, MHz | expected before routing, MHz |\n\
                     | --- | --- | --- | --- |\n";
            for Clock { name, reached_mhz, asked_mhz, placed_mhz } in &timing.clocks {
                let placed = placed_mhz.map_or_else(|| "-".to_owned(), |mhz| format!("{mhz:.1}"));
                let _ = writeln!(text, "| {name} | {reached_mhz:.1} | {asked_mhz:.1} | {placed} |");
            }
            text.push('\n');
            for Crossing { clocks, takes_ns, may_ns } in self.crossings() {
                let _ =
                    writeln!(text, "From {clocks}: {takes_ns:.1} ns, at most {may_ns:.1} ns.\n");
            }
        }
        text += "| resource | used | of | % |\n| --- | --- | --- | --- |\n";
        for ((name, used), (_, has)) in self.used.rows().into_iter().zip(self.available.rows()) {
            let percent = 100.0 * used as f64 / has.max(1) as f64;
            let _ = writeln!(text, "| {name} | {used} | {has} | {percent:.1} |");
        }
        let _ = writeln!(
            text,
            "\n{} of {} multipliers have their registers in the block.\n",
            self.packed_multipliers, self.used.multipliers
        );
        text += "| module | copies | look-up tables, all copies | flip-flops | multipliers | block RAMs |\n\
                 | --- | --- | --- | --- | --- | --- |\n";
        for module in self.modules.iter().take(MODULES_SHOWN) {
            let (copies, total) = (module.copies, module.total);
            let _ = writeln!(
                text,
                "| {} | {copies} | {} | {} | {} | {} |",
                module.name,
                copies * total.luts,
                copies * total.flip_flops,
                copies * total.multipliers,
                copies * total.block_rams
            );
        }
        if !self.deepest.is_empty() {
            text += "\n| ns, roughly | tables in a row | bits | from | to |\n| --- | --- | --- | --- | --- |\n";
        }
        for Way { picoseconds, tables, from, to, bits } in &self.deepest {
            let nanoseconds = f64::from(*picoseconds) / 1e3;
            let _ = writeln!(text, "| {nanoseconds:.1} | {tables} | {bits} | {from} | {to} |");
        }
        for path in self.timing.iter().flat_map(|timing| &timing.paths) {
            let _ = writeln!(text, "\n## {}: {:.2} ns\n", path.clocks, path.nanoseconds());
            let _ = writeln!(text, "Through {}.\n", path.signals().join(" → "));
            text += "| ns | what | signal |\n| --- | --- | --- |\n";
            for hop in &path.hops {
                let _ =
                    writeln!(text, "| {:.2} | {} | {} |", hop.nanoseconds, hop.kind, hop.signal);
            }
        }
        text += "\n| tool | version |\n| --- | --- |\n";
        for (tool, version) in &self.tools {
            let _ = writeln!(text, "| {tool} | {version} |");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn clock(name: &str, reached_mhz: f64, asked_mhz: f64) -> Clock {
        Clock { name: name.to_owned(), reached_mhz, asked_mhz, placed_mhz: None }
    }

    #[test]
    fn clocks_and_paths_are_read_with_the_names_of_the_source() {
        let hop = |kind: &str, net: &str, delay: f64| {
            json!({
            "type": kind, "net": net, "delay": delay, "from": { "cell": "x", "port": "Q" },
            "to": { "cell": "card.core.sum_q_TRELLIS_FF_Q", "port": "DI" } })
        };
        let report = json!({
            "fmax": { "$glbnet$clk": { "achieved": 78.7, "constraint": 100.0 } },
            "critical_paths": [{ "from": "posedge $glbnet$clk", "to": "posedge $glbnet$clk", "path": [
                hop("clk-to-q", "card.core.product[3]", 0.5),
                hop("routing", "card.core.product[3]", 4.5),
                hop("logic", "card.core.$abc$12", 3.9),
                hop("routing", "card.core.sum[3]", 3.7)] }],
        });
        let timing = Timing::of_nextpnr(&report).unwrap();
        assert_eq!(timing.clocks, [clock("clk", 78.7, 100.0)]);
        let path = &timing.paths[0];
        assert_eq!(path.clocks, "posedge clk to posedge clk");
        assert!((path.nanoseconds() - 12.6).abs() < 1e-9);
        assert_eq!(path.signals(), ["card.core.product[3]", "card.core.sum[3]"]);
        assert!(Timing::of_nextpnr(&json!({})).is_err());
    }

    #[test]
    fn the_page_names_what_matters() {
        let used = Resources { luts: 10, flip_flops: 20, multipliers: 4, block_rams: 1 };
        let report = Report {
            board: "ecpix5".into(),
            part: "part".into(),
            speed: 8,
            configuration: CoreConfig::preset("tiny").unwrap(),
            asked_mhz: 50.0,
            seed: 1,
            tools: BTreeMap::from([("yosys".to_owned(), "0.70".to_owned())]),
            used,
            available: Resources { luts: 100, ..used },
            modules: vec![ModuleUse {
                name: "mac_cell".into(),
                copies: 16,
                own: used,
                total: used,
            }],
            packed_multipliers: 3,
            deepest: vec![Way {
                picoseconds: 9_630,
                tables: 9,
                from: "unit.count".to_owned(),
                to: "unit.sum".to_owned(),
                bits: 4,
            }],
            timing: Some(Timing {
                clocks: vec![Clock { placed_mhz: Some(51.0), ..clock("clk", 49.0, 50.0) }],
                paths: Vec::new(),
            }),
            synthesis_seconds: 1.0,
            route_seconds: Some(2.0),
        };
        assert!(!report.meets_timing());
        // What crosses has a cycle of the card less one of the array.
        let crossing = |length: f64| {
            let hops =
                vec![Hop { kind: "routing".into(), signal: String::new(), nanoseconds: length }];
            let paths =
                vec![CriticalPath { clocks: "posedge clk to posedge array_clk".into(), hops }];
            let clocks = vec![clock("clk", 50.0, 50.0), clock("array_clk", 200.0, 200.0)];
            let mut report = Report { timing: Some(Timing { clocks, paths }), ..report.clone() };
            let mut shape = report.configuration.shape().clone();
            shape.engine.array_clock_ratio = 4;
            report.configuration = CoreConfig::new(shape);
            report
        };
        let mut alone = crossing(15.1);
        alone.configuration = CoreConfig::preset("tiny").unwrap();
        assert!(alone.meets_timing(), "a card of one clock has no such path");
        assert!(crossing(15.0).meets_timing());
        assert!(!crossing(15.1).meets_timing());
        let said = "From posedge clk to posedge array_clk: 15.1 ns, at most 15.0 ns.";
        assert!(crossing(15.1).markdown().contains(said));
        let page = report.markdown();
        for part in [
            "4 × 4 array",
            "| clk | 49.0 | 50.0 | 51.0 |",
            "| look-up tables | 10 | 100 | 10.0 |",
            "| mac_cell | 16 | 160 |",
            "| yosys | 0.70 |",
            "3 of 4 multipliers",
            "| 9.6 | 9 | 4 | unit.count | unit.sum |",
        ] {
            assert!(page.contains(part), "{part} in\n{page}");
        }
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
