//! Refusals, the arithmetic by hand, and what the fit guarantees.

use rmt_isa::program::ChannelScale;

use super::fit::{FitConfig, InputLane, channel_scale, fit};
use super::integer::QuantisedMlp;
use super::migration::{DELTA_FAULTS, FeatureRanges, RawFeatures, SRC_LEN, parse_migrations};
use super::network::FloatMlp;
use crate::error::LearnError;

/// Two inputs, two hidden units: h = (x0 - 2 x1 + 0.5, -x0 + 0.25), y = 0.5 h0 - 3 h1 + 0.125.
const SMALL: &str = r#"{ "features": ["a", "b"], "w1": [1.0, -1.0, -2.0, 0.0], "b1": [0.5, 0.25],
    "w2": [0.5, -3.0], "b2": [0.125], "golden": { "input": [1, 0.25], "float64": 0.625, "migrate": true } }"#;

fn small() -> FloatMlp {
    FloatMlp::parse("small", SMALL.as_bytes()).unwrap()
}

#[test]
fn float_network_is_as_defined() {
    let network = small();
    // h0 = 1 - 0.5 + 0.5 = 1, h1 = relu(-0.75) = 0.
    assert_eq!(network.forward(&[1.0, 0.25]), 0.625);
    // h0 = relu(-3.5) = 0, h1 = 0.25.
    assert_eq!(network.forward(&[0.0, 2.0]), 0.125 - 0.75);
}

#[test]
fn malformed_networks_are_refused() {
    let refused = |from: &str, to: &str| {
        assert!(SMALL.contains(from));
        match FloatMlp::parse("n", SMALL.replace(from, to).as_bytes()) {
            Err(LearnError::Model { reason, .. }) => reason,
            other => panic!("{to}: {other:?}"),
        }
    };
    assert!(refused("0.125", "NaN").contains("line 2"));
    refused("[1.0, -1.0", "[1e999, -1.0");
    refused("[0.5, 0.25]", "[null, 0.25]");
    assert!(refused("[1.0, -1.0", "[-1.0").contains("w1 has 3 numbers"));
    assert!(refused("\"b2\": [0.125]", "\"b2\": []").contains("b2"));
    assert!(refused("\"w2\"", "\"w3\"").contains("w2"));
    // A weight that is not finite cannot come from JSON text, but from a caller's own numbers.
    let mut network = small();
    network.hidden_weights[1][0] = f64::NAN;
    let sample = (vec![1, 1], vec![1.0, 1.0]);
    let lane = InputLane { unit: 1.0, min_scale: 1.0, max_scale: 512.0 };
    assert!(matches!(
        fit(&network, &[lane; 2], &[sample], &FitConfig::default()),
        Err(LearnError::Model { .. })
    ));
}

fn integers() -> QuantisedMlp {
    QuantisedMlp {
        input_scales: vec![
            ChannelScale { multiplier: 3, shift: 1 },
            ChannelScale { multiplier: 1, shift: 1 },
        ],
        hidden_weights: vec![vec![2, -1], vec![-1, 0]],
        hidden_biases: vec![10, 4],
        hidden_scales: vec![
            ChannelScale { multiplier: 1, shift: 1 },
            ChannelScale { multiplier: 1 << 20, shift: 1 },
        ],
        output_weights: vec![1, -1],
        output_bias: 7,
        output_one: 16,
        threshold: 8,
    }
}

#[test]
fn forward_pass_by_hand() {
    let network = integers();
    // Inputs: 5 * 3 / 2 = 7.5 -> 8 (half up); -3 / 2 = -1.5 -> -1 (half up).
    assert_eq!(network.scale_inputs(&[5, -3]), [8, -1]);
    // Sums: 2 * 8 + 1 + 10 = 27 -> 13.5 -> 14; -8 + 4 = -4 -> saturates below, ReLU gives 0. 7 +
    // 14.
    assert_eq!(network.forward(&[5, -3]), 21);
    assert_eq!(network.to_real(21), 21.0 / 16.0);
    assert!(network.decide(&[5, -3]));
    // Inputs -7.5 -> -7 and 0: sums -4 -> ReLU 0; 11 * 2^19 saturates to 32767. 7 - 32767.
    assert_eq!(network.forward(&[-5, 0]), 7 - 32767);
}

#[test]
fn range_analysis_is_tight_and_refuses_overflow() {
    let bounds = integers().check().unwrap();
    assert_eq!((bounds.hidden, bounds.output), (3 * 32768 + 10, 2 * 32768 + 7));
    let mut network = integers();
    network.hidden_biases[0] = i32::MAX - 3 * 32768;
    assert_eq!(network.check().unwrap().hidden, i64::from(i32::MAX));
    network.hidden_biases[0] += 1;
    assert!(matches!(network.check(), Err(LearnError::Model { .. })));
    let mut network = integers();
    network.hidden_weights[0].pop();
    assert!(network.check().is_err(), "a ragged row");
    let mut network = integers();
    network.hidden_scales[0].shift = 63;
    assert!(network.check().is_err(), "a shift that the machine does not have");
}

#[test]
fn channel_scales_keep_31_bits() {
    for factor in [1.0, 0.3, 1e-6, 4.7e-9, 1000.0] {
        let scale = channel_scale(factor);
        let back = f64::from(scale.multiplier) / 2f64.powi(i32::from(scale.shift));
        assert!((back / factor - 1.0).abs() < 1e-9, "{factor}: {scale:?}");
        assert!((1..=62).contains(&scale.shift));
    }
    assert_eq!(channel_scale(0.0).multiplier, 0);
    assert_eq!(channel_scale(1e30).multiplier, i32::MAX);
}

#[test]
fn fit_comes_close_and_is_repeatable() {
    let network = small();
    let lanes = [InputLane { unit: 1.0 / 64.0, min_scale: 1.0, max_scale: 16.0 }; 2];
    let calibration: Vec<_> = (0..400)
        .map(|step: i16| {
            let raw = vec![step % 20 * 10 - 100, step / 20 * 10 - 100];
            let real = raw.iter().map(|lane| f64::from(*lane) / 64.0).collect::<Vec<_>>();
            (raw, real)
        })
        .collect();
    let quantised = fit(&network, &lanes, &calibration, &FitConfig::default()).unwrap();
    for (raw, real) in &calibration {
        let error = quantised.to_real(quantised.forward(raw)) - network.forward(real);
        assert!(error.abs() < 0.05, "{raw:?}: {error}");
    }
    assert_eq!(quantised.output_weights, [1, -1], "magnitudes are folded into the scales");
    assert_eq!(fit(&network, &lanes, &calibration, &FitConfig::default()).unwrap(), quantised);
}

#[test]
fn fit_refuses_bad_settings() {
    let network = small();
    let lane = InputLane { unit: 1.0, min_scale: 1.0, max_scale: 512.0 };
    let samples = vec![(vec![1, 1], vec![1.0, 1.0])];
    let good = FitConfig::default();
    assert!(fit(&network, &[lane; 2], &samples, &good).is_ok());
    assert!(matches!(fit(&network, &[lane; 3], &samples, &good), Err(LearnError::Data(_))));
    assert!(matches!(fit(&network, &[lane; 2], &[], &good), Err(LearnError::Data(_))));
    assert!(matches!(
        fit(&network, &[lane; 2], &[(vec![1], vec![1.0])], &good),
        Err(LearnError::Data(_))
    ));
    for config in [
        FitConfig { restarts: 0, ..good },
        FitConfig { focus: f64::NAN, ..good },
        FitConfig { output_one: 0, ..good },
    ] {
        assert!(
            matches!(fit(&network, &[lane; 2], &samples, &config), Err(LearnError::Setting { .. })),
            "{config:?}"
        );
    }
    for bad in [
        InputLane { unit: 0.0, ..lane },
        InputLane { max_scale: 0.5, ..lane },
        InputLane { max_scale: 1e9, ..lane },
    ] {
        assert!(
            matches!(fit(&network, &[bad; 2], &samples, &good), Err(LearnError::Setting { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn raw_features_become_lanes() {
    let mut features = RawFeatures::default();
    features.values[SRC_LEN] = 5;
    features.values[9] = 100_000;
    features.values[10] = -100_000;
    features.values[DELTA_FAULTS] = -100;
    features.total_faults = 300;
    let lanes = features.to_lanes();
    assert_eq!((lanes[SRC_LEN], lanes[9], lanes[10]), (3, 32767, -32768));
    // -100 * 4096 / 300 = -1365.33, toward zero.
    assert_eq!(lanes[DELTA_FAULTS], -1365);
    let real = features.to_real();
    assert_eq!((real[SRC_LEN], real[9], real[DELTA_FAULTS]), (3.0, 100.0, -100.0 / 300.0));
    features.total_faults = 0;
    assert_eq!(features.to_lanes()[DELTA_FAULTS], 0);
    features.values[DELTA_FAULTS] = i32::MIN;
    features.total_faults = -1;
    assert_eq!(features.to_lanes()[DELTA_FAULTS], i16::MAX, "saturates");
}

#[test]
fn malformed_decisions_are_named() {
    let header = "phase,pid,src_non_pref_nr,delta_hot,cpu_idle,cpu_not_idle,cpu_newly_idle,same_node,prefer_src,prefer_dst,src_len,src_load,dst_load,dst_len,delta_faults,total_faults,extra_fails,buddy_hot,hard_pass,can_migrate\n";
    let good = "st50,7,1,0,1,0,0,1,0,0,3,900,800,2,-4,8,0,0,1,0\n";
    let read = parse_migrations("m", format!("{header}{good}").as_bytes()).unwrap();
    assert_eq!(
        (read[0].phase.as_str(), read[0].pid, read[0].features.values[DELTA_FAULTS]),
        ("st50", 7, -4)
    );
    assert!(read[0].hard_pass && !read[0].can_migrate);
    let ranges = FeatureRanges::of(&read).unwrap();
    assert!(FeatureRanges::of(&[]).is_err());
    let drawn = ranges.sample(1000, 3);
    assert!(
        drawn
            .iter()
            .all(|one| one.values[SRC_LEN] == 3
                && one.values[DELTA_FAULTS].abs() <= one.total_faults)
    );
    assert!(
        drawn.iter().any(|one| one.total_faults == 8)
            && drawn.iter().any(|one| one.total_faults == 0)
    );
    let bad = good.replace(",1,0\n", ",1,2\n");
    match parse_migrations("m", format!("{header}{good}{bad}").as_bytes()) {
        Err(LearnError::Trace { line: 3, reason, .. }) => assert!(reason.contains("can_migrate")),
        other => panic!("{other:?}"),
    }
}
