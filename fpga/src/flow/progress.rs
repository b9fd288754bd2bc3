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
        // The 7-series is routed in rounds: `iter=3 wires=45678 overused=123 overuse=130 archfail=NA`.
        if let Some((_, rest)) =
            text.strip_prefix("iter=").and_then(|rest| rest.split_once(" overused="))
        {
            let left: f64 = rest.split_whitespace().next()?.parse().ok()?;
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
