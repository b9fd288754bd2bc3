//! How far yosys and nextpnr are, from what they say.

use std::collections::BTreeMap;

use crate::report::clean;

/// How far yosys is, from the numbers of its passes: each file and command has one, and those within
/// the synthesis (`synth_ecp5`, which calls itself SYNTH_LATTICE) a second one.
#[derive(Default)]
pub struct Passes {
    /// Its number, once it runs.
    synthesis: Option<u32>,
}

impl Passes {
    pub fn take(&mut self, line: &str) -> Option<f64> {
        let (numbers, what) = line.split_once(". Executing ")?;
        let mut numbers = numbers.split('.').map(|number| number.parse::<u32>().ok());
        let first = numbers.next()??;
        if what.starts_with("SYNTH_") {
            self.synthesis = Some(first);
        }
        let step = numbers.next().flatten().unwrap_or(0);
        // Its last pass has number 50 or so.
        (self.synthesis? == first).then_some((f64::from(step) / 52.0).min(0.99))
    }
}

/// The router's rounds: `iter=3 wires=45678 overused=123 overuse=130 tmgfail=4 archfail=NA`.
pub struct Rounds {
    /// Without fewer wires shared or late than ever before in so many, it is given up.
    patience: u32,
    /// The fewest wires shared or late so far.
    fewest: Option<u64>,
    /// Rounds since then.
    since: u32,
    /// The fewest when there last were a tenth less, and the rounds since.
    tenth: (u64, u32),
}

/// While more are shared or late than the first, there have to be a tenth less within so many rounds. One that ended well
/// waited for 69 rounds, for the last few.
const MANY: u64 = 50;
const TENTH_WITHIN: u32 = 30;

impl Rounds {
    /// It is given up after so many rounds without gain.
    pub fn with_patience(patience: u32) -> Self {
        Self { patience, fewest: None, since: 0, tenth: (u64::MAX, 0) }
    }

    /// The wires that are shared after a round and the connections that are late, if a line tells of one.
    pub fn of_line(line: &str) -> Option<u64> {
        let round = line.split_once("iter=")?.1;
        let number = |name: &str| -> Option<u64> {
            round.split_once(name)?.1.split_whitespace().next()?.parse().ok()
        };
        Some(number(" overused=")? + number(" tmgfail=").unwrap_or(0))
    }

    /// The fewest wires shared or late, and for how many rounds there were hardly any fewer, once it does not get better.
    pub fn stuck(&mut self, line: &str) -> Option<(u64, u32)> {
        let left = Self::of_line(line)?;
        if self.fewest.is_none_or(|fewest| left < fewest) {
            (self.fewest, self.since) = (Some(left), 0);
        } else {
            self.since += 1;
        }
        let fewest = self.fewest?;
        if fewest <= self.tenth.0 / 10 * 9 {
            self.tenth = (fewest, 0);
        } else {
            self.tenth.1 += 1;
        }
        let is_hopeless = fewest > MANY && self.tenth.1 >= TENTH_WITHIN;
        let is_stuck = fewest > 0 && self.since >= self.patience;
        let rounds = if is_stuck { self.since } else { self.tenth.1 };
        (is_hopeless || is_stuck).then_some((fewest, rounds))
    }
}

/// What nextpnr expects of clocks once it has placed.
#[derive(Default)]
pub struct Placed {
    /// By their signals, MHz.
    pub clocks: BTreeMap<String, f64>,
    /// The router runs.
    routing: bool,
}

impl Placed {
    /// A line of the log: `Max frequency for clock 'a': 35.99 MHz (FAIL at 37.50 MHz)` tells of one, until routing begins.
    pub fn take(&mut self, line: &str) {
        self.routing |= line.contains("Running router");
        if !self.routing
            && let Some((name, mhz)) = Self::of_line(line)
        {
            self.clocks.insert(name, mhz);
        }
    }

    fn of_line(line: &str) -> Option<(String, f64)> {
        let (_, rest) = line.split_once("Max frequency for clock")?;
        let (name, rest) = rest.trim_start().strip_prefix('\'')?.split_once("':")?;
        let (mhz, _) = rest.split_once("MHz (")?;
        Some((clean(name), mhz.trim().parse().ok()?))
    }
}

/// How far nextpnr is.
#[derive(Default)]
pub struct Stage {
    /// 0 to 1.
    pub done: f64,
    /// Arcs to route, or wires that more than one net wants, once known.
    arcs: f64,
}

impl Stage {
    /// What is done when all is placed.
    pub const PLACED: f64 = 0.35;

    /// What it does now, if a line tells something new. A third of the time is placing, the rest routing.
    pub fn take(&mut self, line: &str) -> Option<String> {
        let text = line.trim_start_matches("Info:").trim();
        let starts: &[(&str, f64)] = &[
            ("Packing", 0.01),
            ("Creating initial analytic placement", 0.05),
            ("Running Static placer", 0.05),
            ("Running simulated annealing placer", 0.15),
            ("Routing globals", Self::PLACED),
            ("Routing global clocks", Self::PLACED),
            ("Setting up routing queue", 0.38),
            ("Routing complete", 0.98),
        ];
        if let Some((name, done)) = starts.iter().find(|(start, _)| text.starts_with(start)) {
            self.done = *done;
            return Some((*name).to_owned());
        }
        if let Some(left) = Rounds::of_line(text) {
            let left = left as f64;
            self.arcs = self.arcs.max(left).max(1.0);
            self.done = 0.38 + 0.6 * (1.0 - left / self.arcs);
            return Some(format!("{left} wires are wanted by more than one net or late"));
        }
        if let Some(rest) = text.strip_prefix("Routing ") {
            self.arcs = rest.split_whitespace().next()?.parse().ok()?;
            return Some(format!("routing {} arcs", self.arcs));
        }
        // `    1000 |      46        953 |   46   953 |     41234|  ...`: the fourth column are arcs that are left.
        let mut columns = text.split('|');
        let _routed: f64 = columns.next()?.trim().parse().ok()?;
        let left: f64 = columns.nth(2)?.trim().parse().ok()?;
        if self.arcs > 0.0 {
            self.done = 0.38 + 0.6 * (1.0 - left / self.arcs).clamp(0.0, 1.0);
        }
        Some(format!("{left} arcs left"))
    }
}
