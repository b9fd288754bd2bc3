//! The policies of the paper: entries follow what processes do.
//!
//! A policy is a client of the control plane in the same process. From time to time it looks at
//! what the worker saw of a program's events:
//!
//! - a key that appears gets an entry;
//! - a key whose predictions are worse than a threshold gets the next, more conservative call of a
//!   list, and after some more windows the one before it again, as a trial;
//! - a key that is not seen any more loses its entry.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rmt_isa::program::KeySource;
use serde::{Deserialize, Serialize};

use crate::accuracy::{Seen, Watch};
use crate::log::say;
use crate::plane::Plane;
use crate::protocol::{Call, EntryName, Match, NamedChange, Refusal, RefusalKind};

/// How often policies look.
const LOOK: Duration = Duration::from_millis(100);
/// Windows after which a key is tried at the level before.
const TRIAL_WINDOWS: u32 = 8;

/// A policy, as it stands in the settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The program.
    pub program: String,
    /// The table; its key must be the key of the event.
    pub table: String,
    /// Calls from the boldest to the most conservative one; a new key begins with the first.
    pub levels: Vec<String>,
    /// The field of the event that holds the page, when the program predicts pages.
    #[serde(default)]
    pub page: Option<String>,
    /// Accuracy below which a key goes to the next level.
    #[serde(default = "half")]
    pub accuracy: f64,
    /// Predictions of a key after which its accuracy is judged.
    #[serde(default = "window")]
    pub window: u64,
    /// Events of other keys after which a key that was not seen is stale.
    #[serde(default = "stale")]
    pub stale_events: u64,
}

fn half() -> f64 {
    0.5
}

fn window() -> u64 {
    128
}

fn stale() -> u64 {
    100_000
}

/// A key and what was decided for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    level: usize,
    windows: u32,
}

/// What a policy wants to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Add(u64),
    Level(u64, usize),
    Remove(u64),
}

/// The state of one policy.
#[derive(Debug)]
struct Keeper {
    levels: usize,
    accuracy: f64,
    stale_events: u64,
    keys: HashMap<u64, Kept>,
}

impl Keeper {
    /// What follows from what was seen.
    fn look(&mut self, seen: &[Seen]) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for &Seen { key, accuracy, age, .. } in seen {
            if age > self.stale_events {
                self.keys.remove(&key);
                wanted.push(Wanted::Remove(key));
                continue;
            }
            let Some(kept) = self.keys.get_mut(&key) else {
                self.keys.insert(key, Kept { level: 0, windows: 0 });
                wanted.push(Wanted::Add(key));
                continue;
            };
            let bad = accuracy.share().is_some_and(|share| share < self.accuracy);
            // A key on the last level may predict nothing: looks count as windows there.
            let last = kept.level + 1 == self.levels;
            kept.windows += u32::from(accuracy.predicted > 0 || last);
            if bad && !last {
                *kept = Kept { level: kept.level + 1, windows: 0 };
                wanted.push(Wanted::Level(key, kept.level));
            } else if kept.level > 0 && !bad && kept.windows >= TRIAL_WINDOWS {
                *kept = Kept { level: kept.level - 1, windows: 0 };
                wanted.push(Wanted::Level(key, kept.level));
            }
        }
        wanted
    }
}

/// Policies at work, until they are dropped.
pub struct Policies {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Running {
    policy: Policy,
    levels: Vec<Call>,
    key_field: String,
    keeper: Keeper,
}

impl Policies {
    /// Starts policies whose programs may come later.
    ///
    /// # Errors
    /// When a policy is none.
    pub fn start(plane: Arc<Plane>, policies: Vec<Policy>) -> Result<Self, Refusal> {
        for policy in &policies {
            policy.check()?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let builder = std::thread::Builder::new().name("rmt-policies".into());
        let spawned = builder.spawn(move || {
            let mut running: Vec<Option<Running>> = policies.iter().map(|_| None).collect();
            let mut said: Vec<String> = vec![String::new(); policies.len()];
            while !stopped.load(Ordering::Relaxed) {
                for ((policy, running), said) in policies.iter().zip(&mut running).zip(&mut said) {
                    if let Err(refusal) = turn(&plane, policy, running) {
                        let message = refusal.to_string();
                        // Each obstacle once: a program that is not there yet is none.
                        if refusal.kind != RefusalKind::NotFound && *said != message {
                            say(format_args!(
                                "rmt serve: policy of `{}`: {message}",
                                policy.program
                            ));
                            *said = message;
                        }
                    }
                }
                std::thread::sleep(LOOK);
            }
        });
        let thread = spawned.map_err(|error| {
            Refusal::new(RefusalKind::Unavailable, error.to_string(), "free some memory")
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Policies {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Policy {
    fn check(&self) -> Result<Vec<Call>, Refusal> {
        let refuse = |reason: String| {
            let remedy = "mend the policy in the file of settings";
            Refusal::new(RefusalKind::DoesNotFit, reason, remedy)
        };
        if self.levels.is_empty() {
            return Err(refuse(format!("the policy of `{}` has no levels", self.program)));
        }
        let calls = self.levels.iter().map(|level| level.parse::<Call>().map_err(refuse));
        calls.collect()
    }

    /// Puts a watch on the program; the name of the table's key field comes back.
    fn begin(&self, plane: &Plane) -> Result<String, Refusal> {
        let policy = self.clone();
        plane.worker().ask(move |host| {
            let (hosted, _) = host.engines.program(&policy.program)?;
            let program = &hosted.prepared.program;
            let table = &program.tables[crate::names::find_table(program, &policy.table)?];
            let key = rmt_isa::event::event_layout::KEY;
            let field = match table.key.as_slice() {
                [field]
                    if matches!(field.source, KeySource::Event { offset }
                    if usize::from(offset) == key.offset) =>
                {
                    field.name.clone()
                }
                _ => {
                    let reason = format!(
                        "table `{}` is not keyed by the key of the event alone",
                        policy.table
                    );
                    let remedy = "name a table that is";
                    return Err(Refusal::new(RefusalKind::DoesNotFit, reason, remedy));
                }
            };
            let page = match &policy.page {
                None => None,
                Some(name) => {
                    let fields = &program.hook.fields;
                    let names = fields.iter().map(|field| field.name.as_str());
                    let field = &fields[crate::names::find("event field", name, names)?];
                    Some((usize::from(field.offset), field.kind.bytes()))
                }
            };
            hosted.watch = Some(Watch::new(page));
            Ok(field)
        })?
    }
}

/// One look of one policy.
fn turn(plane: &Plane, policy: &Policy, running: &mut Option<Running>) -> Result<(), Refusal> {
    let (name, window) = (policy.program.clone(), policy.window);
    let seen = plane.worker().ask(move |host| {
        let (hosted, _) = host.engines.program(&name)?;
        Ok::<_, Refusal>(hosted.watch.as_mut().map(|watch| watch.seen(window)))
    })??;
    let Some(seen) = seen else {
        // New, or installed anew: entries that were there are taken over as they are met.
        let keeper = Keeper {
            levels: policy.levels.len(),
            accuracy: policy.accuracy,
            stale_events: policy.stale_events,
            keys: HashMap::new(),
        };
        let (levels, key_field) = (policy.check()?, policy.begin(plane)?);
        *running = Some(Running { policy: policy.clone(), levels, key_field, keeper });
        return Ok(());
    };
    let Some(running) = running else { return Ok(()) };
    for wanted in running.keeper.look(&seen) {
        running.carry_out(plane, wanted)?;
    }
    Ok(())
}

impl Running {
    fn carry_out(&self, plane: &Plane, wanted: Wanted) -> Result<(), Refusal> {
        let (Wanted::Add(key) | Wanted::Level(key, _) | Wanted::Remove(key)) = wanted;
        let matcher = Match::Text(format!("{}={key}", self.key_field));
        let entry = EntryName::Match(matcher.clone(), 0);
        let table = self.policy.table.clone();
        let change = match wanted {
            Wanted::Add(_) => {
                let call = self.levels[0].clone();
                NamedChange::AddEntry { table, matcher, priority: 0, call }
            }
            Wanted::Level(_, level) => {
                NamedChange::ChangeEntry { table, entry, call: self.levels[level].clone() }
            }
            Wanted::Remove(_) => NamedChange::RemoveEntry { table, entry },
        };
        let done = plane.commit(self.policy.program.clone(), vec![change], false);
        if let Wanted::Remove(key) = wanted {
            let name = self.policy.program.clone();
            plane.worker().ask(move |host| {
                if let Ok((hosted, _)) = host.engines.program(&name)
                    && let Some(watch) = &mut hosted.watch
                {
                    watch.forget(key);
                }
            })?;
        }
        match done {
            // An operator was faster, or the table is full: the key goes by what is there.
            Err(refusal)
                if matches!(refusal.kind, RefusalKind::DoesNotFit | RefusalKind::NotFound) =>
            {
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::Accuracy;

    fn seen(key: u64, predicted: u64, hits: u64, age: u64) -> Seen {
        Seen { key, events: 1, accuracy: Accuracy { predicted, hits }, age }
    }

    fn keeper() -> Keeper {
        Keeper { levels: 3, accuracy: 0.5, stale_events: 1000, keys: HashMap::new() }
    }

    #[test]
    fn keys_appear_become_conservative_and_leave() {
        let mut keeper = keeper();
        assert_eq!(keeper.look(&[seen(7, 0, 0, 0)]), [Wanted::Add(7)]);
        assert_eq!(keeper.look(&[seen(7, 100, 90, 0)]), []);
        assert_eq!(keeper.look(&[seen(7, 100, 10, 0)]), [Wanted::Level(7, 1)]);
        assert_eq!(keeper.look(&[seen(7, 100, 10, 0)]), [Wanted::Level(7, 2)]);
        assert_eq!(keeper.look(&[seen(7, 100, 10, 0)]), [], "there is no further level");
        assert_eq!(keeper.look(&[seen(7, 0, 0, 1001)]), [Wanted::Remove(7)]);
        assert_eq!(keeper.look(&[seen(7, 0, 0, 0)]), [Wanted::Add(7)]);
    }

    #[test]
    fn a_conservative_key_is_tried_again_after_some_windows() {
        let mut keeper = keeper();
        keeper.look(&[seen(7, 0, 0, 0)]);
        keeper.look(&[seen(7, 100, 0, 0)]);
        let wanted: Vec<_> =
            (0..TRIAL_WINDOWS).flat_map(|_| keeper.look(&[seen(7, 100, 80, 0)])).collect();
        assert_eq!(wanted, [Wanted::Level(7, 0)]);
    }
}
