//! The page: tables, plots, claims, and the command that made each number.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use rmt_learn::balance::study::BalanceStudy;
use rmt_learn::prefetch::device::SwapDevice;

use super::live::{self, Live};
use super::{PrefetchResult, percent};
use crate::demo::plot::GroupedBars;

/// The device whose completion times the terminal shows.
pub const DEVICE_INDEX: usize = 1;
/// Its name.
pub const DEVICE_OF_TABLE: &str = SwapDevice::flash().name;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}\
td:first-child,th:first-child{text-align:left}code{background:#f3f3f3;padding:.1rem .3rem}svg{max-width:100%;height:auto}";

/// The page.
pub fn render(
    prefetch: &[PrefetchResult],
    balance: &[BalanceStudy],
    live: &Live,
    command: &str,
) -> Result<String> {
    let made_by = html! { p { "Made by " code { (command) } "." } };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { "RMT: learning" } style { (STYLE) } }
            body {
                h1 { "Two case studies on recorded kernel events" }
                h2 { "1. Page prefetching" }
                p {
                    "Every policy sees the same swap-in faults. Accuracy: prefetched pages that a fault used before they were \
                     evicted. Coverage: faults that prefetching served. Time: completion time as a share of the time without \
                     prefetching, simulated. The tree on line starts with nothing and never sees a fault before it decides on it."
                }
                ul { @for device in SwapDevice::all() { li { (device.to_string()) } } }
                @for result in prefetch { (prefetch_table(result)) }
                (PreEscaped(prefetch_bars("Accuracy", prefetch, |row| row.accuracy.unwrap_or(0.0))?))
                (PreEscaped(prefetch_bars("Coverage", prefetch, |row| row.coverage)?))
                (PreEscaped(prefetch_bars("Completion time, NVMe flash", prefetch, |row| row.time_share[DEVICE_INDEX])?))
                h3 { "The study's claims: +28 to +80 points of accuracy over Linux, +23 to +44 over Leap" }
                (claims_table(prefetch))
                (made_by)
                h2 { "2. Load balancing: deciding as can_migrate_task" }
                p {
                    "Models are tested on the last fifth of each load's run, and on loads that they never saw. The claims: 99 % \
                     with all features, at least 94 % with two. All models decide in integers."
                }
                @for study in balance { (balance_tables(study)) (PreEscaped(unseen_bars(study)?)) }
                (made_by)
                (live_part(live)?)
            }
        }
    };
    Ok(page.into_string())
}

fn prefetch_table(result: &PrefetchResult) -> Markup {
    html! {
        h3 { (result.program) ", " (result.faults) " faults" }
        table {
            tr {
                th { "policy" } th { "prefetched" } th { "accuracy %" } th { "coverage %" }
                @for device in SwapDevice::all() { th { "time %, " (device.name) } }
            }
            @for row in &result.rows {
                tr {
                    td { (row.policy) }
                    td { (row.prefetched) }
                    td { (row.accuracy.map_or("-".into(), percent)) }
                    td { (percent(row.coverage)) }
                    @for share in &row.time_share { td { (percent(*share)) } }
                }
            }
        }
    }
}

/// Policies of the plots: as many as there are colours.
const PLOTTED: [&str; 6] = [
    "Linux cluster read-ahead",
    "Leap (paper, virtual pages)",
    "Leap (code, virtual pages)",
    "RMT tree, on line",
    "RMT tree, on line, every fault",
    "oracle, 6 pages",
];

fn prefetch_bars(
    title: &str,
    results: &[PrefetchResult],
    value: impl Fn(&rmt_learn::prefetch::study::StudyRow) -> f64,
) -> Result<String> {
    let series = PLOTTED.iter().map(|policy| {
        let of = |result: &PrefetchResult| {
            let row = result.rows.iter().find(|row| row.policy == *policy);
            row.map_or(0.0, |row| 100.0 * value(row))
        };
        ((*policy).to_owned(), results.iter().map(of).collect())
    });
    let groups = results.iter().map(|result| result.program).collect();
    GroupedBars { title, groups, series: series.collect() }.to_svg()
}

fn claims_table(results: &[PrefetchResult]) -> Markup {
    let accuracy = |result: &PrefetchResult, policy: &str| {
        let row = result.rows.iter().find(|row| row.policy == policy);
        row.and_then(|row| row.accuracy)
    };
    let points = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => format!("{:+.1}", 100.0 * (a - b)),
        _ => "-".to_owned(),
    };
    html! {
        table {
            tr { th { "tree on line, points of accuracy" } th { "over Linux" } th { "over Leap (code)" } th { "over Leap (paper)" } }
            @for result in results {
                @let tree = accuracy(result, PLOTTED[3]);
                tr {
                    td { (result.program) }
                    td { (points(tree, accuracy(result, PLOTTED[0]))) }
                    td { (points(tree, accuracy(result, PLOTTED[2]))) }
                    td { (points(tree, accuracy(result, PLOTTED[1]))) }
                }
            }
        }
        p {
            "Where a claim is not reached, the baseline is the reason: read-ahead on these recordings is right nine times out of ten \
             on resize and conv, since the kernel swaps out neighbours together; no policy can be 28 points better than that."
        }
    }
}

/// What was measured in the guest.
fn live_part(live: &Live) -> Result<Markup> {
    let made_by = |study: &str| {
        html! {
            p { "Measured by " code { "rmt guest study " (study) } ", shown by " code { "rmt report --live FOLDER" } "." }
        }
    };
    Ok(html! {
        @if !live.prefetch.is_empty() {
            h2 { "3. Page prefetching, live" }
            p {
                "Programs with twice the memory that they may have, in a stock kernel in an emulated machine: only ratios mean \
                 something. Module, daemon and program are there in every run; only under RMT are the pages asked for that it \
                 predicts, with the kernel's read-ahead off, by a tree that begins with nothing. Coverage: faults whose page was \
                 there or on its way. Accuracy: such faults by pages read before their fault."
            }
            table {
                tr { @for title in live::PREFETCH_TITLES { th { (title) } } }
                @for row in &live.prefetch { tr { @for cell in row.cells(&live.prefetch) { td { (cell) } } } }
            }
            (made_by("prefetch"))
        }
        @if !live.balance.is_empty() {
            h2 { "4. Load balancing, live" }
            p { "Trained on all runs but the last of each load, tested on that." }
            table {
                tr { th { "load" } th { "decisions" } th { "yes %" } th { "left open by the hard rules" } th { "yes % of them" } }
                @for class in &live.classes { tr { @for cell in class.cells() { td { (cell) } } } }
            }
            @for study in &live.balance { (balance_tables(study)) }
            (made_by("balance"))
        }
        @if !live.jobs.is_empty() {
            h3 { "Time of jobs of fixed work" }
            p {
                "Off: the kernel alone. Shadow: a program answers, nobody listens; one of four processors polls. Learnt: the \
                 network that was trained on the runs decides, where its answer comes within 0.2 ms. Never, ever: a program that \
                 always says no, or yes."
            }
            table {
                tr { @for title in live::JOB_TITLES { th { (title) } } }
                @for row in &live.jobs { tr { @for cell in row.cells(&live.jobs) { td { (cell) } } } }
            }
            (made_by("balance"))
        }
    })
}

fn balance_tables(study: &BalanceStudy) -> Markup {
    html! {
        h3 {
            @if study.open_only { "Rows that affinity, running and throttling leave open" }
            @else { "All rows (no feature shows those hard rules)" }
        }
        p { "Trained on " (study.train_rows) " decisions." }
        table {
            tr {
                th { "model" } th { "features" } th { "accuracy %" } th { "balanced %" } th { "larger class %" }
                th { "kernel no: no / yes" } th { "kernel yes: no / yes" }
            }
            @for row in &study.rows {
                tr {
                    td { (row.model) }
                    td { (row.features) }
                    td { (format!("{:.2}", 100.0 * row.confusion.accuracy())) }
                    td { (format!("{:.2}", 100.0 * row.confusion.balanced_accuracy())) }
                    td { (format!("{:.2}", 100.0 * row.confusion.majority())) }
                    td { (row.confusion.no_no) " / " (row.confusion.no_yes) }
                    td { (row.confusion.yes_no) " / " (row.confusion.yes_yes) }
                }
            }
        }
        p {
            "Two features, by forward selection on training rows: " (study.chosen.join(", ")) ". The distilled tree decides as its \
             network on " (percent(study.distilled_fidelity)) " % of the test rows."
        }
        table {
            tr { th { "feature" } th { "share of the tree's gain" } th { "accuracy lost when shuffled, points" } }
            @for feature in &study.importance {
                tr {
                    td { (feature.feature) }
                    td { (percent(feature.gain)) " %" }
                    td { (format!("{:.2}", 100.0 * feature.permutation)) }
                }
            }
        }
        h3 { "Loads never trained on" }
        table {
            tr { th { "load" } th { "rows" } th { "network %" } th { "tree %" } th { "larger class %" } }
            @for load in &study.unseen {
                tr {
                    td { (load.family) }
                    td { (load.network.rows()) }
                    td { (format!("{:.2}", 100.0 * load.network.accuracy())) }
                    td { (format!("{:.2}", 100.0 * load.tree.accuracy())) }
                    td { (format!("{:.2}", 100.0 * load.network.majority())) }
                }
            }
        }
    }
}

fn unseen_bars(study: &BalanceStudy) -> Result<String> {
    let shares = |value: &dyn Fn(&rmt_learn::balance::study::UnseenLoad) -> f64| {
        study.unseen.iter().map(|load| 100.0 * value(load)).collect::<Vec<_>>()
    };
    let series = vec![
        ("larger class".to_owned(), shares(&|load| load.network.majority())),
        ("network".to_owned(), shares(&|load| load.network.accuracy())),
        ("tree".to_owned(), shares(&|load| load.tree.accuracy())),
    ];
    let groups = study.unseen.iter().map(|load| load.family.as_str()).collect();
    GroupedBars { title: "Accuracy on loads never trained on", groups, series }.to_svg()
}
