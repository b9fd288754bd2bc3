//! The report of the demo: one HTML page with nothing outside it.

use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use rmt_core::CoreConfig;
use rmt_learn::prefetch::score::Score;

use super::RtlRun;
use super::migrate::MigrateResult;
use super::plot::{GroupedBars, histogram};
use super::prefetch::{TraceResult, percent};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .7rem;border-bottom:1px solid #ddd;text-align:right}\
td:first-child,th:first-child{text-align:left}code{background:#f3f3f3;padding:.1rem .3rem}svg{max-width:100%;height:auto}\
.good{color:#228833}.bad{color:#c03}";

/// The page.
pub fn render(
    config: &CoreConfig,
    prefetch: &[TraceResult],
    migrate: &MigrateResult,
    runs: &[RtlRun],
) -> Result<String> {
    let (stages, array) = (config.shape().stages, config.shape().engine.array);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "RMT: the demo" }
                style { (STYLE) }
            }
            body {
                h1 { "Kernel decisions by two RMT programs" }
                p {
                    "A kernel hook fires, a program decides. Both programs below ran on the interpreter and on the RTL, \
                     simulated by Verilator, over events recorded from a running kernel. Made by "
                    code { "./x demo" } "."
                }
                h2 { "Page prefetch" }
                p {
                    "Accuracy: prefetched pages that a fault used before they were evicted. Coverage: faults that prefetching \
                     served. All policies see the same swap-in faults under the same conditions; the program's tree was trained \
                     on an earlier part of the recordings."
                }
                (prefetch_table(prefetch))
                (PreEscaped(bars("Accuracy", prefetch, |score| score.accuracy().unwrap_or(0.0))?))
                (PreEscaped(bars("Coverage", prefetch, |score| score.coverage())?))
                h2 { "Load balancing" }
                p { (migrate.to_string().replace('\n', " ")) }
                h2 { "The RTL against the interpreter" }
                p {
                    "A core of " (stages) " stages, with a " (array) "×" (array) " array; lone events; every decision, context record and \
                     table compared bit by bit. Cycles count from the event's acceptance to its decision."
                }
                (rtl_table(runs))
                @for run in runs {
                    (PreEscaped(histogram(&run.events, "cycles per decision", &run.report.cycles_per_event)?))
                }
            }
        }
    };
    Ok(page.into_string())
}

fn bars(title: &str, results: &[TraceResult], value: impl Fn(&Score) -> f64) -> Result<String> {
    let policies = results.first().map_or(0, |result| result.scores.len());
    let series = (0..policies).map(|policy| {
        let values = results.iter().map(|result| 100.0 * value(&result.scores[policy].1));
        (results[0].scores[policy].0.clone(), values.collect())
    });
    let groups = results.iter().map(|result| result.trace).collect();
    GroupedBars { title, groups, series: series.collect() }.to_svg()
}

fn prefetch_table(results: &[TraceResult]) -> Markup {
    html! {
        table {
            tr {
                th { "accuracy / coverage in %" }
                th { "faults" }
                @for (policy, _) in results.first().map_or(&[][..], |result| &result.scores) { th { (policy) } }
            }
            @for result in results {
                tr {
                    td { (result.trace) }
                    td { (result.faults) }
                    @for (_, score) in &result.scores {
                        td { (percent(score.accuracy())) " / " (percent(Some(score.coverage()))) }
                    }
                }
            }
        }
    }
}

fn rtl_table(runs: &[RtlRun]) -> Markup {
    html! {
        table {
            tr { th { "events" } th { "number" } th { "mismatches" } th { "least" } th { "median" } th { "99 %" } th { "most" } }
            @for RtlRun { events, report } in runs {
                tr {
                    td { (events) }
                    td { (report.events) }
                    td class=(if report.mismatches.is_empty() { "good" } else { "bad" }) { (report.mismatches.len()) }
                    @for share in [0, 500, 990, 1000] { td { (report.cycles_at(share)) } }
                }
            }
        }
    }
}
