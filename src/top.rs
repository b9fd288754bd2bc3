//! `rmt top`: the counters of a running daemon, live.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use comfy_table::{Table, presets};
use rmt_daemon::client::Client;
use rmt_daemon::protocol::{Answer, CountersView, Request};

/// Watch a running daemon: events per second, latencies and engines of each program.
///
/// Ends with Ctrl-C, or after --rounds.
///
/// Example: rmt top --interval 2
#[derive(Args)]
pub struct Top {
    /// The daemon's socket
    #[arg(long, default_value_os_t = rmt_daemon::paths::socket())]
    socket: PathBuf,
    /// Seconds between two looks
    #[arg(long, default_value_t = 1.0, value_parser = interval)]
    interval: f64,
    /// Looks after which it ends; without, it does not
    #[arg(long)]
    rounds: Option<u64>,
    /// Print each look as a line of JSON
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("give 0.05 to 3600 seconds".to_owned()),
    }
}

impl Top {
    pub fn run(self) -> Result<()> {
        let mut before: Option<(Instant, CountersView)> = None;
        let mut round = 0;
        loop {
            // The daemon closes connections on which nothing comes for a while.
            let mut client = Client::connect(&self.socket)?;
            let Answer::Counters(view) = client.ask(&Request::Counters)? else {
                bail!("the daemon answered something else; use command and daemon of one build");
            };
            let now = Instant::now();
            let rates = rates(before.as_ref(), now, &view);
            if self.json {
                let line = serde_json::json!({ "counters": view, "events_per_second": rates });
                println!("{line}");
            } else {
                // Cursor to the corner, and what was below away.
                let clear = if std::io::stdout().is_terminal() { "\x1b[H\x1b[J" } else { "" };
                println!("{clear}{}", page(&view, &rates));
            }
            std::io::stdout().flush()?;
            round += 1;
            if self.rounds.is_some_and(|most| round >= most) {
                return Ok(());
            }
            before = Some((now, view));
            std::thread::sleep(Duration::from_secs_f64(self.interval));
        }
    }
}

/// Events per second of each program since the look before.
fn rates(
    before: Option<&(Instant, CountersView)>,
    now: Instant,
    view: &CountersView,
) -> BTreeMap<String, f64> {
    let rate = |name: &str, events: u64| {
        let (then, old) = before?;
        let events = events.saturating_sub(old.programs.get(name)?.counters.events);
        Some(events as f64 / now.duration_since(*then).as_secs_f64())
    };
    let programs = view.programs.iter();
    programs
        .filter_map(|(name, program)| Some((name.clone(), rate(name, program.counters.events)?)))
        .collect()
}

fn page(view: &CountersView, rates: &BTreeMap<String, f64>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header([
        "program",
        "runs on",
        "events/s",
        "events",
        "decided",
        "faults",
        "late",
        "cached",
        "50 % ns",
        "99 % ns",
        "99.9 % ns",
        "accuracy",
    ]);
    for (name, program) in &view.programs {
        let counters = &program.counters;
        let [half, most, nearly_all, _] = program.nanoseconds;
        table.add_row([
            name.clone(),
            program.engine.to_string(),
            rates.get(name).map_or("-".to_owned(), |rate| format!("{rate:.0}")),
            counters.events.to_string(),
            counters.decided.to_string(),
            counters.faults.to_string(),
            (counters.card_late + counters.card_refused).to_string(),
            counters.from_cache.to_string(),
            half.to_string(),
            most.to_string(),
            nearly_all.to_string(),
            program.accuracy.map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
        ]);
    }
    let mut text = table.to_string();
    for (source, counters) in &view.sources {
        let list: Vec<_> = counters.iter().map(|(name, value)| format!("{name} {value}")).collect();
        text += &format!("\nsource {source}: {}", list.join(", "));
    }
    let card = if view.card_works { "works" } else { "none, or lost" };
    text + &format!("\nup {:.0} s, card: {card}", view.uptime_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_need_two_looks() {
        let view = CountersView::default();
        let now = Instant::now();
        assert!(rates(None, now, &view).is_empty());
        assert!(page(&view, &BTreeMap::new()).contains("card: none, or lost"));
        assert!(interval("0").is_err() && interval("2").is_ok());
    }
}
