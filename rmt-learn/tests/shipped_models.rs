//! The models in `firmware/models` come from the samples in `firmware/traces`, and are as good as
//! the docs say.

use std::path::{Path, PathBuf};

use rmt_learn::prefetch::compare::compare;
use rmt_learn::prefetch::learned::LearnedPrefetch;
use rmt_learn::prefetch::policy::PrefetchPolicy;
use rmt_learn::prefetch::score::{Score, ScoreConfig, Trigger};
use rmt_learn::prefetch::trace::{PageAccess, read_page_trace};
use rmt_learn::prefetch::train::{self, TrainConfig, train};
use rmt_learn::quantise::load_balancer::{self, agreement, fit_config, quantise};
use rmt_learn::quantise::migration::{FeatureRanges, RawFeatures, read_migrations};
use rmt_learn::quantise::network::FloatMlp;

const PROGRAMS: [&str; 4] = ["resize", "conv", "column", "bfs"];

fn firmware(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware").join(file)
}

fn samples(part: &str) -> Vec<Vec<PageAccess>> {
    PROGRAMS
        .map(|program| {
            read_page_trace(&firmware(&format!("traces/pages/{program}.{part}.csv.zst"))).unwrap()
        })
        .to_vec()
}

fn shipped(model: &str) -> String {
    std::fs::read_to_string(firmware(&format!("models/{model}.json"))).unwrap()
}

#[test]
fn page_prefetch_is_trained_again_and_beats_both_baselines() {
    let training = samples("train");
    let traces: Vec<&[PageAccess]> = training.iter().map(Vec::as_slice).collect();
    let tree = train(&traces, &TrainConfig::default()).unwrap();
    assert_eq!(
        train::export(&tree).to_json(),
        shipped("page_prefetch"),
        "run the example train_page_prefetch again"
    );
    assert!(tree.depth() <= 8);

    let policy = LearnedPrefetch::new(tree).unwrap();
    let make = || Box::new(policy.clone()) as Box<dyn PrefetchPolicy>;
    for (program, stream) in PROGRAMS.iter().zip(samples("test")) {
        let table = compare(&stream, &[&make], &ScoreConfig::default()).unwrap();
        let score = |policy: &str, trigger| -> Score {
            let line = table
                .iter()
                .find(|line| line.policy.starts_with(policy) && line.trigger == trigger);
            line.unwrap_or_else(|| panic!("no line for {policy}")).score
        };
        let learned = score("RMT tree", Trigger::Miss);
        let every = score("RMT tree", Trigger::EveryFault);
        let linux = score("Linux", Trigger::Miss);
        let leap = score("Leap (code, virtual", Trigger::Miss);
        let accuracy = |score: Score| score.accuracy().unwrap();
        assert!(
            accuracy(learned) > accuracy(linux) && accuracy(learned) > accuracy(leap),
            "{program}: {table:?}"
        );
        assert!(learned.coverage() > linux.coverage(), "{program}: {table:?}");
        assert!(every.coverage() > learned.coverage() + 0.09, "{program}: {table:?}");
        let least = if *program == "bfs" { 0.65 } else { 0.96 };
        assert!(accuracy(learned) > least, "{program}: {learned:?}");
    }
}

#[test]
fn load_balancer_is_quantised_again_and_keeps_its_decisions() {
    let network = FloatMlp::read(&firmware("models/mllb_mlp.json")).unwrap();
    let recorded = read_migrations(&firmware("traces/migrations.csv.zst")).unwrap();
    assert!(recorded.len() >= 20_000);
    let ranges = FeatureRanges::of(&recorded).unwrap();
    let quantised = quantise(&network, &ranges, &fit_config()).unwrap();
    assert_eq!(
        load_balancer::export(&quantised).to_json(),
        shipped("can_migrate_task"),
        "run the example quantise_mllb again"
    );

    // The published vector: 1.4148956 in double precision, migrate.
    assert!((network.forward(&network.golden.input) - network.golden.float64).abs() < 1e-7);
    let mut raw = RawFeatures::default();
    for (index, value) in [(0, 1), (4, 1), (8, 2), (9, 8), (10, 9)] {
        raw.values[index] = value;
    }
    assert_eq!(
        raw.to_real().as_slice(),
        network.golden.input,
        "the raw integers stand for the golden input"
    );
    let lanes = raw.to_lanes();
    assert!(quantised.decide(&lanes) && network.golden.migrate);
    assert!((quantised.to_real(quantised.forward(&lanes)) - network.golden.float64).abs() < 0.01);

    for seed in [1, 2, 3] {
        let synthetic = agreement(&network, &quantised, &ranges.sample(20_000, seed));
        assert!(
            synthetic.decisions == 20_000 && synthetic.share() >= 0.999,
            "seed {seed}: {synthetic:?}"
        );
    }
    let real = agreement(&network, &quantised, recorded.iter().map(|decision| &decision.features));
    assert!(real.share() >= 0.9999, "{real:?}");
    let bounds = quantised.check().unwrap();
    assert!(bounds.hidden <= i64::from(i32::MAX) && bounds.output <= i64::from(i32::MAX));
}
