//! Searching architectures and settings under a cost budget.
//!
//! Successive halving (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and
//! Hyperparameter Optimization", AISTATS 2016): all candidates that fit the budget train on a little
//! of the effort, the better part goes on with more, until few train with all of it. Candidates of
//! one rung run in parallel. Each result is appended to a journal at once, so that a search that was
//! stopped goes on where it was; the result does not depend on threads or interruptions.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{LearnError, Result};

/// What is searched for: the one who knows how to train and what it costs.
pub trait Problem: Sync {
    /// What tells one model from another before it is trained.
    type Candidate: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync;

    /// Card cycles of an event with such a model.
    ///
    /// # Errors
    /// When the candidate cannot be built; it is then left out, with the reason.
    fn card_cycles(&self, candidate: &Self::Candidate) -> Result<u64>;

    /// Trains with this share of the whole effort and gives the score on the newest window, which
    /// training does not see. Larger is better.
    ///
    /// # Errors
    /// When training fails; the candidate is then left out.
    fn score(&self, candidate: &Self::Candidate, effort: f64) -> Result<f64>;
}

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchConfig {
    /// Most card cycles of an event.
    pub budget_cycles: u64,
    /// Rungs, each with `reduction` times the effort of the one before, 1 to 8.
    pub rungs: u32,
    /// From one rung to the next, one of so many candidates goes on; 2 to 16.
    pub reduction: usize,
    /// Threads, at least 1.
    pub threads: usize,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self { budget_cycles: 200, rungs: 3, reduction: 3, threads: 2 }
    }
}

/// One finished training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial<C> {
    /// The candidate.
    pub candidate: C,
    /// Rung, from 0.
    pub rung: u32,
    /// Its score; `None`: training failed.
    pub score: Option<f64>,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<C> {
    /// The best candidate of the last rung and its score.
    pub best: Trial<C>,
    /// Card cycles of the best.
    pub card_cycles: u64,
    /// All trainings, in the order of candidates within each rung.
    pub trials: Vec<Trial<C>>,
    /// Candidates that did not fit the budget or could not be built, with the reason.
    pub refused: Vec<(C, String)>,
    /// Trainings that the journal already had.
    pub resumed: usize,
}

/// Searches. `journal` is read if it is there, and appended to; `progress` is told of each finished
/// training: how many are done, and of how many.
///
/// # Errors
/// [`LearnError::Setting`] for a setting out of range, [`LearnError::Data`] if no candidate fits the
/// budget or all fail to train, [`LearnError::Io`] if the journal cannot be written, and
/// [`LearnError::Model`] if it is of another search.
pub fn search<P: Problem>(
    problem: &P,
    candidates: &[P::Candidate],
    config: &SearchConfig,
    journal: Option<&Path>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Found<P::Candidate>> {
    check(config)?;
    let (mut alive, mut costs, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for candidate in candidates {
        match problem.card_cycles(candidate) {
            Ok(cycles) if cycles <= config.budget_cycles => {
                alive.push(candidate.clone());
                costs.push((candidate.clone(), cycles));
            }
            Ok(cycles) => refused.push((
                candidate.clone(),
                format!("{cycles} card cycles, the budget is {}", config.budget_cycles),
            )),
            Err(error) => refused.push((candidate.clone(), error.to_string())),
        }
    }
    if alive.is_empty() {
        let reason = refused.first().map_or("there is none", |(_, reason)| reason);
        return Err(LearnError::Data(format!(
            "none of the {} candidates can be searched; the first: {reason}",
            candidates.len()
        )));
    }
    let known = read_journal::<P::Candidate>(journal)?;
    let mut found: Vec<Trial<P::Candidate>> = Vec::new();
    let mut resumed = 0;
    let total = (0..config.rungs).fold((0, alive.len()), |(total, width), _| {
        (total + width, width.div_ceil(config.reduction))
    });
    let finished = AtomicUsize::new(0);
    let mut best = None;
    for rung in 0..config.rungs {
        let effort = (config.reduction as f64).powi(rung as i32 + 1 - config.rungs as i32);
        let writer = Mutex::new(journal);
        let next = AtomicUsize::new(0);
        let results: Mutex<Vec<Option<Trial<P::Candidate>>>> = Mutex::new(vec![None; alive.len()]);
        let failure: Mutex<Option<LearnError>> = Mutex::new(None);
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(candidate) = alive.get(index) else { break };
                let old = known.iter().find(|t| t.rung == rung && t.candidate == *candidate);
                let trial = match old {
                    Some(trial) => trial.clone(),
                    None => {
                        let score = problem.score(candidate, effort).ok();
                        let score = score.filter(|score| score.is_finite());
                        let trial = Trial { candidate: candidate.clone(), rung, score };
                        if let Err(error) = append(&writer, &trial) {
                            lock(&failure).get_or_insert(error);
                            break;
                        }
                        trial
                    }
                };
                lock(&results)[index] = Some(trial);
                progress(1 + finished.fetch_add(1, Ordering::Relaxed), total.0);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..config.threads.min(alive.len()) {
                scope.spawn(work);
            }
            work();
        });
        if let Some(error) = lock(&failure).take() {
            return Err(error);
        }
        let trials: Vec<_> = std::mem::take(&mut *lock(&results)).into_iter().flatten().collect();
        resumed += trials.iter().filter(|trial| known.contains(trial)).count();
        let mut order: Vec<&Trial<_>> = trials.iter().filter(|t| t.score.is_some()).collect();
        // A stable sort: of equals the earlier candidate.
        order.sort_by(|a, b| b.score.unwrap_or(0.0).total_cmp(&a.score.unwrap_or(0.0)));
        let keep = alive.len().div_ceil(config.reduction);
        alive = order.iter().take(keep).map(|trial| trial.candidate.clone()).collect();
        best = order.first().map(|trial| (*trial).clone());
        found.extend(trials.iter().cloned());
        if alive.is_empty() {
            break;
        }
    }
    let best = best.ok_or_else(|| {
        LearnError::Data(
            "every candidate failed to train; see what one of them says by itself".into(),
        )
    })?;
    let cycles = costs.iter().find(|(candidate, _)| *candidate == best.candidate);
    Ok(Found {
        card_cycles: cycles.map_or(0, |(_, cycles)| *cycles),
        best,
        trials: found,
        refused,
        resumed,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A panic in another thread ends the scope anyway; its data is not looked at.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn check(config: &SearchConfig) -> Result<()> {
    let good = (1..=8).contains(&config.rungs)
        && (2..=16).contains(&config.reduction)
        && config.threads > 0;
    if good {
        return Ok(());
    }
    Err(LearnError::Setting {
        name: "rungs, reduction, threads",
        reason: format!(
            "1 to 8, 2 to 16 and at least 1 are possible, {}, {} and {} were given",
            config.rungs, config.reduction, config.threads
        ),
    })
}

fn read_journal<C: DeserializeOwned>(journal: Option<&Path>) -> Result<Vec<Trial<C>>> {
    let Some(path) = journal.filter(|path| path.exists()) else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(path)
        .map_err(|source| LearnError::Io { path: path.to_owned(), source })?;
    let lines: Vec<&str> = text.lines().collect();
    let mut trials = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(trial) => trials.push(trial),
            // A search that was killed may have left half of its last line.
            Err(_) if index + 1 == lines.len() && !text.ends_with('\n') => {}
            Err(error) => {
                return Err(LearnError::model(
                    path.display().to_string(),
                    format!(
                        "line {}: {error}; this journal is of another search, give a new file",
                        index + 1
                    ),
                ));
            }
        }
    }
    Ok(trials)
}

fn append<C: Serialize>(journal: &Mutex<Option<&Path>>, trial: &Trial<C>) -> Result<()> {
    let path = lock(journal);
    let Some(path) = *path else { return Ok(()) };
    let io = |source| LearnError::Io { path: path.to_owned(), source };
    let mut line = serde_json::to_string(trial)
        .map_err(|error| LearnError::model("journal", error.to_string()))?;
    line.push('\n');
    // Half a line at the end, from a search that was killed, is cut off first.
    if let Ok(text) = std::fs::read(path)
        && text.last().is_some_and(|byte| *byte != b'\n')
    {
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        std::fs::write(path, &text[..whole]).map_err(io)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(io)?;
    file.write_all(line.as_bytes()).map_err(io)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Candidates are numbers; the score grows with effort and is best at 7.
    struct Parabola {
        trained: AtomicUsize,
    }

    impl Problem for Parabola {
        type Candidate = i64;

        fn card_cycles(&self, candidate: &i64) -> Result<u64> {
            u64::try_from(*candidate).map_err(|_| LearnError::Data("below 0".into()))
        }

        fn score(&self, candidate: &i64, effort: f64) -> Result<f64> {
            self.trained.fetch_add(1, Ordering::Relaxed);
            if *candidate == 3 {
                return Err(LearnError::Data("diverged".into()));
            }
            Ok(effort - ((candidate - 7) * (candidate - 7)) as f64)
        }
    }

    fn run(threads: usize, journal: Option<&Path>) -> (Found<i64>, usize) {
        let problem = Parabola { trained: AtomicUsize::new(0) };
        let config = SearchConfig { budget_cycles: 20, threads, ..SearchConfig::default() };
        let candidates: Vec<i64> = (-1..30).collect();
        let found = search(&problem, &candidates, &config, journal, &|_, _| {}).unwrap();
        (found, problem.trained.into_inner())
    }

    #[test]
    fn the_best_within_the_budget_is_found_in_few_trainings() {
        let (found, trained) = run(1, None);
        assert_eq!((found.best.candidate, found.best.score, found.card_cycles), (7, Some(1.0), 7));
        // 21 candidates fit; a third of them goes on, then a third of those.
        assert_eq!(trained, 21 + 7 + 3);
        assert_eq!(found.refused.len(), 10);
        assert!(found.refused[1].1.contains("21 card cycles, the budget is 20"));
        let (parallel, _) = run(4, None);
        assert_eq!(parallel, found, "threads do not change the result");
    }

    #[test]
    fn a_stopped_search_goes_on() {
        let path = std::env::temp_dir().join(format!("rmt-search-{}.jsonl", std::process::id()));
        let (whole, trained) = run(2, Some(&path));
        let text = std::fs::read_to_string(&path).unwrap();
        // Killed in the middle of a line.
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        let (again, trained_again) = run(2, Some(&path));
        assert_eq!((again.best, again.trials), (whole.best, whole.trials));
        assert!(again.resumed >= 10 && trained_again == trained - again.resumed);
        std::fs::write(&path, "{\"candidate\": \"x\"}\n").unwrap();
        let problem = Parabola { trained: AtomicUsize::new(0) };
        let other = search(&problem, &[1], &SearchConfig::default(), Some(&path), &|_, _| {});
        assert!(other.unwrap_err().to_string().contains("another search"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn nothing_to_search_is_said() {
        let problem = Parabola { trained: AtomicUsize::new(0) };
        let run = |candidates: &[i64], config: &SearchConfig| {
            search(&problem, candidates, config, None, &|_, _| {}).unwrap_err().to_string()
        };
        let good = SearchConfig::default();
        assert!(run(&[], &good).contains("there is none"));
        assert!(run(&[900], &good).contains("900 card cycles"));
        assert!(run(&[3], &good).contains("failed to train"));
        for bad in [
            SearchConfig { rungs: 0, ..good },
            SearchConfig { reduction: 1, ..good },
            SearchConfig { threads: 0, ..good },
        ] {
            assert!(run(&[7], &bad).contains("setting"));
        }
    }
}
