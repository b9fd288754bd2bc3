//! The study: all deciders, on rows that they were not trained on.

use serde::Serialize;

use super::measure::Confusion;
use super::models::{
    HIDDEN, dataset, judge, network_decides, train_integer_network, train_network, train_tree,
};
use super::split::{Parting, Split, by_family, by_time, rows};
use crate::distil::distil;
use crate::error::Result;
use crate::network::train::TrainSettings;
use crate::quantise::migration::{FEATURE_NAMES, FEATURES, MigrationDecision};
use crate::tree::importance::{gain_importance, permutation_importance, ranked};
use crate::tree::{GrowConfig, grow};

/// One decider on one test set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BalanceRow {
    /// The decider.
    pub model: String,
    /// Features that it looks at.
    pub features: usize,
    /// Its decisions.
    pub confusion: Confusion,
}

/// A load that was never trained on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UnseenLoad {
    /// The kind of load.
    pub family: String,
    /// Decisions of the network.
    pub network: Confusion,
    /// Decisions of the tree.
    pub tree: Confusion,
}

/// The importance of one feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importance {
    /// The feature.
    pub feature: &'static str,
    /// Share of the tree's improvement.
    pub gain: f64,
    /// Accuracy lost when the feature's values change places.
    pub permutation: f64,
}

/// What the study found on one set of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BalanceStudy {
    /// Whether only rows count that the kernel's hard rules leave open.
    pub open_only: bool,
    /// Rows trained on.
    pub train_rows: usize,
    /// Deciders on the rows of the test.
    pub rows: Vec<BalanceRow>,
    /// Features, the most important by permutation first.
    pub importance: Vec<Importance>,
    /// The two features that forward selection chose.
    pub chosen: [&'static str; 2],
    /// Share of test rows on which the distilled tree decides as its network.
    pub distilled_fidelity: f64,
    /// Each kind of load, by models that never saw it.
    pub unseen: Vec<UnseenLoad>,
}

/// Settings of the study's float training.
pub fn train_settings() -> TrainSettings {
    TrainSettings {
        epochs: 40,
        patience: 10,
        learning_rate: 0.01,
        quantised_bits: Some(16),
        ..TrainSettings::default()
    }
}

/// Trains and measures everything. `progress` is told each step.
///
/// # Errors
/// [`LearnError::Data`](crate::LearnError::Data) if there are no rows, or only one class.
pub fn run_study(
    recorded: &[MigrationDecision],
    open_only: bool,
    parting: Parting,
    mut progress: impl FnMut(&str),
) -> Result<BalanceStudy> {
    let rows = rows(recorded, open_only);
    let split = parting.part(&rows);
    let all: Vec<usize> = (0..FEATURES).collect();
    let mut table = Vec::new();
    let mut add = |model: &str, features: usize, confusion| {
        table.push(BalanceRow { model: model.into(), features, confusion });
    };

    progress("trees");
    let tree = train_tree(&split.train, &all)?;
    let tree_decides = |lanes: &[i32]| tree.evaluate(lanes) == 1;
    add("tree", FEATURES, judge(&split.test, &all, tree_decides));
    progress("network, all features");
    let network = train_network(&split.train, &all, HIDDEN, &train_settings())?;
    let decides = |lanes: &[i32]| network_decides(&network, lanes);
    add("network 15-10-1, i8 weights", FEATURES, judge(&split.test, &all, decides));
    progress("network trained in integers");
    let integers = train_integer_network(&split.train, &all)?;
    let integer_decides = |lanes: &[i32]| network_decides(&integers, lanes);
    add(
        "network 15-10-1, trained on line in integers",
        FEATURES,
        judge(&split.test, &all, integer_decides),
    );
    progress("network distilled into a tree");
    let train_lanes: Vec<_> =
        split.train.iter().map(|row| super::models::lanes(row, &all)).collect();
    let distilled = distil(
        |lanes| usize::from(network_decides(&network, lanes)),
        &train_lanes,
        2,
        &super::models::TREE,
    )?;
    add(
        "tree distilled from the network",
        FEATURES,
        judge(&split.test, &all, |l| distilled.evaluate(l) == 1),
    );
    let test_lanes = split.test.iter().map(|row| super::models::lanes(row, &all));
    let alike = test_lanes
        .filter(|lanes| (distilled.evaluate(lanes) == 1) == network_decides(&network, lanes))
        .count();
    let distilled_fidelity = alike as f64 / split.test.len().max(1) as f64;

    progress("features");
    let data = dataset(&split.train, &all)?;
    let gain = gain_importance(&tree, &data);
    let permutation = permutation_importance(|lanes| tree.evaluate(lanes) as usize, &data, 3, 1);
    let importance = ranked(&permutation).into_iter().map(|feature| Importance {
        feature: FEATURE_NAMES[feature],
        gain: gain[feature],
        permutation: permutation[feature],
    });
    let chosen = choose_two(&split)?;
    let tree = train_tree(&split.train, &chosen)?;
    add("tree", 2, judge(&split.test, &chosen, |lanes| tree.evaluate(lanes) == 1));
    progress("network, two features");
    let network = train_network(&split.train, &chosen, HIDDEN, &train_settings())?;
    add(
        "network 2-10-1, i8 weights",
        2,
        judge(&split.test, &chosen, |l| network_decides(&network, l)),
    );

    let mut unseen = Vec::new();
    for (family, split) in by_family(&rows) {
        progress(&format!("without {family}"));
        let tree = train_tree(&split.train, &all)?;
        let settings = TrainSettings { epochs: 12, ..train_settings() };
        let network = train_network(&split.train, &all, HIDDEN, &settings)?;
        unseen.push(UnseenLoad {
            family: family.into(),
            network: judge(&split.test, &all, |lanes| network_decides(&network, lanes)),
            tree: judge(&split.test, &all, |lanes| tree.evaluate(lanes) == 1),
        });
    }
    Ok(BalanceStudy {
        open_only,
        train_rows: split.train.len(),
        importance: importance.collect(),
        chosen: chosen.map(|feature| FEATURE_NAMES[feature]),
        distilled_fidelity,
        rows: table,
        unseen,
    })
}

/// Forward selection: the feature whose tree is best on held-out training rows, then the one that
/// helps it most. The test rows take no part.
fn choose_two(split: &Split) -> Result<[usize; 2]> {
    let inner = by_time(&split.train);
    let small = GrowConfig { max_depth: 6, max_leaves: 32, min_leaf_rows: 16, max_bins: 64 };
    let best = |with: &[usize]| -> Result<usize> {
        let mut best = (0, 0);
        for feature in (0..FEATURES).filter(|feature| !with.contains(feature)) {
            let features = [with, &[feature]].concat();
            let tree = grow(&dataset(&inner.train, &features)?, &small)?;
            let confusion = judge(&inner.test, &features, |lanes| tree.evaluate(lanes) == 1);
            let right = 1 + confusion.no_no + confusion.yes_yes;
            if right > best.0 {
                best = (right, feature);
            }
        }
        Ok(best.1)
    };
    let first = best(&[])?;
    Ok([first, best(&[first])?])
}
