//! How far yosys and nextpnr are, from what they say.

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

/// Rounds of the router without fewer shared wires than ever before, after which it is given up. Of cards that were
/// routed, one had none for 40.
const ROUNDS_WITHOUT_GAIN: u32 = 100;

/// The router's rounds: `iter=3 wires=45678 overused=123 overuse=130 archfail=NA`.
#[derive(Default)]
pub struct Rounds {
    /// The fewest shared wires so far.
    fewest: Option<u64>,
    /// Rounds since then.
    since: u32,
}

impl Rounds {
    /// The wires that are shared after a round, if a line tells of one.
    pub fn of_line(line: &str) -> Option<u64> {
        let (_, rest) = line.split_once("iter=")?.1.split_once(" overused=")?;
        rest.split_whitespace().next()?.parse().ok()
    }

    /// The fewest shared wires, and the rounds since, once it does not get better.
    pub fn stuck(&mut self, line: &str) -> Option<(u64, u32)> {
        let left = Self::of_line(line)?;
        if self.fewest.is_none_or(|fewest| left < fewest) {
            (self.fewest, self.since) = (Some(left), 0);
        } else {
            self.since += 1;
        }
        let fewest = self.fewest?;
        (fewest > 0 && self.since >= ROUNDS_WITHOUT_GAIN).then_some((fewest, self.since))
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
    /// What it does now, if a line tells something new. A third of the time is placing, the rest routing.
    pub fn take(&mut self, line: &str) -> Option<String> {
        let text = line.trim_start_matches("Info:").trim();
        let starts: &[(&str, f64)] = &[
            ("Packing", 0.01),
            ("Creating initial analytic placement", 0.05),
            ("Running Static placer", 0.05),
            ("Running simulated annealing placer", 0.15),
            ("Routing globals", 0.35),
            ("Routing global clocks", 0.35),
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
            return Some(format!("{left} wires are wanted by more than one net"));
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
