//! The hooks as the module sees them.

use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use rmt_driver::shim::ShimControl;
use rmt_isa::shim::control::{Counter, Mode};
use rmt_isa::shim::{HOOKS, KernelHook};
use serde_json::json;

/// Show the hooks.
#[derive(Args)]
pub struct Status {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Fail when the counters of a hook that is off do not add up to its calls
    #[arg(long)]
    check: bool,
}

/// Counters of a hook.
pub type Counters = [u64; Counter::ALL.len()];

/// A counter.
pub fn value(counters: &Counters, counter: Counter) -> u64 {
    counters[counter as usize]
}

/// Events that have not ended.
pub fn outstanding(counters: &Counters) -> i64 {
    let sum = |all: &[Counter]| all.iter().map(|&one| value(counters, one)).sum::<u64>();
    value(counters, Counter::Sent) as i64
        - sum(&[Counter::InTime, Counter::Late, Counter::Unanswered]) as i64
}

/// What does not add up, if anything: every call has one end, and every event of a hook that is
/// off.
pub fn discrepancy(hook: &KernelHook, mode: Mode, counters: &Counters) -> Option<String> {
    let ends = [Counter::Bypassed, Counter::Unfit, Counter::RingFull, Counter::Sent];
    let sum: u64 = ends.iter().map(|&end| value(counters, end)).sum();
    let calls = value(counters, Counter::Calls);
    if sum != calls {
        return Some(format!("{}: {calls} calls, but {sum} have an end", hook.name));
    }
    match outstanding(counters) {
        0 => None,
        left if mode == Mode::Off || left < 0 => {
            Some(format!("{}: {left} events have no end though the hook is {mode}", hook.name))
        }
        _ => None,
    }
}

impl Status {
    pub fn run(self) -> Result<()> {
        let control = ShimControl::open()?;
        let mut rows = Vec::new();
        let mut wrong = Vec::new();
        for hook in HOOKS {
            let settings = control.settings(hook.number)?;
            let counters = control.counters(hook.number)?;
            if self.check && settings.mode == Mode::Off {
                wrong.extend(discrepancy(hook, settings.mode, &counters));
            }
            rows.push((hook, settings, counters));
        }
        if self.json {
            let list: Vec<_> = rows
                .iter()
                .map(|(hook, settings, counters)| {
                    let counters: serde_json::Map<_, _> = Counter::ALL
                        .iter()
                        .map(|&one| (one.text().to_owned(), json!(value(counters, one))))
                        .collect();
                    json!({
                        "hook": hook.name, "mode": settings.mode.text(),
                        "put_off": settings.demotion.text(), "budget_ns": settings.budget_ns,
                        "counters": counters,
                    })
                })
                .collect();
            println!("{}", serde_json::Value::from(list));
        } else {
            let mut table = Table::new();
            table.load_preset(presets::NOTHING);
            table.set_header(["hook", "mode", "put off", "counters other than zero"]);
            for (hook, settings, counters) in &rows {
                let shown: Vec<_> = Counter::ALL
                    .iter()
                    .filter(|&&one| value(counters, one) != 0)
                    .map(|&one| format!("{one} {}", value(counters, one)))
                    .collect();
                let (mode, why) = (settings.mode.to_string(), settings.demotion.to_string());
                table.add_row([hook.name.to_owned(), mode, why, shown.join(", ")]);
            }
            println!("{table}");
        }
        if !wrong.is_empty() {
            bail!("the counters do not add up: {}", wrong.join("; "));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_event_is_seen() {
        let mut counters: Counters = [0; Counter::ALL.len()];
        let mut set = |counter: Counter, value| counters[counter as usize] = value;
        set(Counter::Calls, 10);
        set(Counter::Bypassed, 3);
        set(Counter::Sent, 7);
        set(Counter::InTime, 4);
        set(Counter::Late, 2);
        let hook = &HOOKS[0];
        assert_eq!(outstanding(&counters), 1);
        assert_eq!(discrepancy(hook, Mode::Shadow, &counters), None);
        assert!(discrepancy(hook, Mode::Off, &counters).is_some());
        counters[Counter::Unanswered as usize] = 1;
        assert_eq!(discrepancy(hook, Mode::Off, &counters), None);
        counters[Counter::Unanswered as usize] = 2;
        assert!(discrepancy(hook, Mode::Shadow, &counters).is_some());
        counters[Counter::Calls as usize] = 11;
        assert!(discrepancy(hook, Mode::Shadow, &counters).is_some_and(|text| text.contains("11")));
    }
}
