//! Quantises the load-balancing network and writes `firmware/models/can_migrate_task.json`.
//!
//! ```text
//! cargo run --release -p rmt-learn --example quantise_mllb
//! ```
//!
//! Prints how often the integers decide as double precision does: on synthetic decisions over the
//! ranges of the recorded ones, on the recorded ones, and on the golden vector that came with the
//! weights.

use std::error::Error;
use std::path::Path;

use rmt_learn::quantise::fit::FitConfig;
use rmt_learn::quantise::load_balancer::{agreement, export, fit_config, quantise};
use rmt_learn::quantise::migration::{
    FEATURE_NAMES, FeatureRanges, MigrationDecision, RawFeatures, read_migrations,
};
use rmt_learn::quantise::network::FloatMlp;

fn main() -> Result<(), Box<dyn Error>> {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
    let network = FloatMlp::read(&firmware.join("models/mllb_mlp.json"))?;
    let recorded = read_migrations(&firmware.join("traces/migrations.csv.zst"))?;
    let ranges = FeatureRanges::of(&recorded)?;
    println!("synthetic decisions: uniform, independent, in the recorded ranges");
    for (index, name) in FEATURE_NAMES.iter().enumerate() {
        println!("  {name:16} {:>5} to {:>5}", ranges.low[index], ranges.high[index]);
    }
    println!(
        "  {:16} {:>5} to {:>5}, delta_faults within plus or minus it",
        "total_faults", 0, ranges.max_total_faults
    );

    let plain = FitConfig { restarts: 1, max_rounds: 0, ..fit_config() };
    for (label, config) in [("plain rounding", plain), ("fitted", fit_config())] {
        let quantised = quantise(&network, &ranges, &config)?;
        println!("\n{label}");
        for seed in [1, 2, 3] {
            let result = agreement(&network, &quantised, &ranges.sample(20_000, seed));
            println!(
                "  20,000 synthetic, seed {seed}: {:.3} % decide alike, {} differ; largest output error {:.4}",
                result.share() * 100.0,
                result.differing,
                result.largest_error
            );
        }
        let result =
            agreement(&network, &quantised, recorded.iter().map(|decision| &decision.features));
        println!(
            "  {} recorded: {:.4} % decide alike, {} differ",
            result.decisions,
            result.share() * 100.0,
            result.differing
        );
        let golden = quantised.to_real(quantised.forward(&golden_features().to_lanes()));
        println!(
            "  golden vector: {golden:.5}, double precision {:.7}",
            network.forward(&network.golden.input)
        );
        if label == "fitted" {
            println!("  bounds of the i32 accumulators: {:?}", quantised.check()?);
            let decide =
                |decision: &MigrationDecision| quantised.decide(&decision.features.to_lanes());
            print_against_kernel(&recorded, decide);
            export(&quantised).write(&firmware.join("models/can_migrate_task.json"))?;
        }
    }
    Ok(())
}

/// The golden vector's input before preprocessing.
fn golden_features() -> RawFeatures {
    let mut raw = RawFeatures::default();
    for (index, value) in [(0, 1), (4, 1), (8, 2), (9, 8), (10, 9)] {
        raw.values[index] = value;
    }
    raw
}

/// How the network, trained by others on another kernel, meets what this kernel decided.
fn print_against_kernel(
    recorded: &[MigrationDecision],
    decide: impl Fn(&MigrationDecision) -> bool,
) {
    for (label, hard_pass_only) in
        [("all rows", false), ("rows that the hard rules let pass", true)]
    {
        let mut counts = [[0usize; 2]; 2];
        for decision in recorded.iter().filter(|decision| decision.hard_pass || !hard_pass_only) {
            counts[usize::from(decision.can_migrate)][usize::from(decide(decision))] += 1;
        }
        let [[no_no, no_yes], [yes_no, yes_yes]] = counts;
        let rows = no_no + no_yes + yes_no + yes_yes;
        let share = |part: usize| 100.0 * part as f64 / rows as f64;
        println!(
            "  against the kernel, {label} ({rows}): {:.2} % alike (majority class {:.2} %); kernel no: {no_no} no, {no_yes} yes; kernel yes: {yes_no} no, {yes_yes} yes",
            share(no_no + yes_yes),
            share((no_no + no_yes).max(yes_no + yes_yes))
        );
    }
}
