//! The control plane: requests become transactions, written to the journal and carried out.
//!
//! The order of a change: what can be checked is checked; it is written to the journal and synced;
//! the worker carries it out between two batches of events; if an engine refuses, it is taken back
//! from the journal. One change is in work at a time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rmt_isa::event::event_layout;
use rmt_isa::program::Hook;
use rmt_isa::shim::KernelHook;
use rmt_isa::{Program, image};
use rmt_vm::jit::ReadyModels;
use rmt_vm::state::{Applied, Change, Models, Snapshot};
use rmt_vm::verifier::{Limits, Violation, verify};

use crate::engines::hosted::Planning;
use crate::engines::{Prepared, Ready, Software, SoftwareError};
use crate::journal::{Journal, JournalError, Record, SavedProgram};
use crate::log::say;
use crate::names;
use crate::protocol::{Answer, NamedChange, Refusal, RefusalKind, Reply, Request, Wish};
use crate::view;
use crate::worker::{Host, Worker};

/// The control plane.
pub struct Plane {
    worker: Worker,
    journal: Mutex<Journal>,
    limits: Limits,
    begun: Instant,
    done: AtomicU64,
    refused: AtomicU64,
}

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal's.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A program of the journal cannot be run again.
    #[error("the journal in {} cannot be done again: {reason}; start anew with another folder, or use the daemon that wrote it", folder.display())]
    Restore {
        /// Where the journal is.
        folder: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// What was restored.
#[derive(Debug, Default)]
pub struct Restored {
    /// Records of the journal that were done again.
    pub records: usize,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

impl Plane {
    /// Opens the journal of a folder and restores what it says.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        worker: Worker,
        folder: &Path,
        limits: Limits,
    ) -> Result<(Self, Restored), StartError> {
        let opened = Journal::open(folder)?;
        let plane = Self {
            worker,
            journal: Mutex::new(opened.journal),
            limits,
            begun: Instant::now(),
            done: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        };
        let mut restored = Restored {
            records: opened.records.len(),
            warnings: opened.warning.into_iter().collect(),
        };
        for (number, record) in opened.records.into_iter().enumerate() {
            let fatal = matches!(record, Record::Programs(_) | Record::Install { .. });
            if let Err(refusal) = plane.do_again(record) {
                let reason = format!("record {number}: {refusal}");
                if fatal {
                    return Err(StartError::Restore { folder: folder.to_owned(), reason });
                }
                // It was refused the first time, too, and the machine stopped before it was taken
                // back; or it rests on what events had written.
                restored.warnings.push(format!("{reason}; left out"));
            }
        }
        Ok((plane, restored))
    }

    /// The worker.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// Does what a client asks.
    ///
    /// # Errors
    /// Why not; nothing was changed then.
    pub fn handle(&self, request: Request) -> Reply {
        let reply = self.answer(request);
        let counter = if reply.is_ok() { &self.done } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        reply
    }

    fn answer(&self, request: Request) -> Reply {
        match request {
            Request::Install { image, place, replace } => self.install(image, place, replace),
            Request::Remove { program } => self.remove(program),
            Request::Commit { program, changes } => self.commit(program, changes, true),
            Request::Place { program, place } => self.place(program, place),
            Request::Counters => {
                let mut view = self.worker.ask(view::counters)?;
                view.uptime_seconds = self.begun.elapsed().as_secs_f64();
                let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                view.requests = (count(&self.done), count(&self.refused));
                view.journal_bytes = self.journal().bytes();
                Ok(Answer::Counters(view))
            }
            read => self.worker.ask(move |host| view::read(&mut host.engines, read))?,
        }
    }

    fn install(&self, image: Vec<u8>, place: Wish, replace: bool) -> Reply {
        let prepared = self.prepare(&image, place, None)?;
        let mut journal = self.journal();
        let (name, hook) = (prepared.program.name.clone(), prepared.program.hook.number);
        let asked = name.clone();
        self.worker.ask(move |host| host.engines.check_install(&asked, hook, replace))??;
        append(&mut journal, &Record::Install { image, place, replace }, true)?;
        let (engine, note) = self.worker.ask(move |host| host.engines.install(prepared))?;
        self.tidy(&mut journal);
        Ok(Answer::Installed { program: name, engine, note })
    }

    fn remove(&self, program: String) -> Reply {
        let mut journal = self.journal();
        let name = program.clone();
        self.worker.ask(move |host| host.engines.program(&name).map(|_| ()))??;
        append(&mut journal, &Record::Remove { program: program.clone() }, true)?;
        self.worker.ask(move |host| host.engines.remove(&program))??;
        self.tidy(&mut journal);
        Ok(Answer::Removed)
    }

    /// Changes to a program. Those of policies need not be on the disk at once: after a restart
    /// they are made again.
    ///
    /// # Errors
    /// Why not; nothing was changed then.
    pub fn commit(&self, program: String, changes: Vec<NamedChange>, sync: bool) -> Reply {
        if changes.is_empty() {
            let reason = "the transaction has no changes";
            return Err(Refusal::new(RefusalKind::BadRequest, reason, "give at least one"));
        }
        let mut journal = self.journal();
        let name = program.clone();
        let resolved = self.worker.ask(move |host| {
            let (hosted, card) = host.engines.program(&name)?;
            let state = hosted.prepared.software.state();
            let changes = names::resolve(state, changes)?;
            let swaps = changes.iter().any(|change| matches!(change, Change::SwapModel { .. }));
            let planning = hosted.planning(card.as_deref(), &changes);
            let now = swaps.then(|| (state.current_program(), state.models().clone()));
            Ok::<_, Refusal>((changes, now, planning))
        })?;
        let (changes, now, planning) = resolved?;
        let models = match now {
            None => None,
            Some((program, models)) => self.ready_models(program, models, &changes)?,
        };
        let planned = planning.map(Planning::plan).transpose().map_err(Refusal::does_not_fit)?;
        let ready = Ready { models, planned };
        let record = Record::Commit { program: program.clone(), changes };
        let mark = append(&mut journal, &record, sync)?;
        let Record::Commit { changes, .. } = record else { unreachable!("made above") };
        let committed = self.worker.ask(move |host| {
            let begun = Instant::now();
            let applied = host.engines.commit(&program, &changes, ready)?;
            Ok::<_, Refusal>((applied, begun.elapsed()))
        });
        match committed.and_then(|committed| committed) {
            Ok((applied, time)) => {
                self.tidy(&mut journal);
                let added = applied.into_iter().filter_map(|applied| match applied {
                    Applied::Added(handle) => Some(handle),
                    Applied::Done(_) => None,
                });
                let nanoseconds = time.as_nanos() as u64;
                Ok(Answer::Committed { added: added.collect(), nanoseconds })
            }
            Err(refusal) => {
                journal.take_back(mark).map_err(|error| unavailable(&error))?;
                Err(refusal)
            }
        }
    }

    fn place(&self, program: String, place: Wish) -> Reply {
        let mut journal = self.journal();
        let name = program.clone();
        self.worker.ask(move |host| host.engines.program(&name).map(|_| ()))??;
        append(&mut journal, &Record::Place { program: program.clone(), place }, true)?;
        let placed = self.worker.ask(move |host| host.engines.place_program(&program, place))?;
        let (engine, note) = placed?;
        Ok(Answer::Placed { engine, note })
    }

    /// Writes all programs with their state to the journal: what events have learnt, too.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn save(&self) -> Result<(), Refusal> {
        let mut journal = self.journal();
        let programs = self.worker.ask(saved_programs)?;
        journal.rewrite(programs).map_err(|error| unavailable(&error))
    }

    /// Writes the journal anew when it has grown.
    fn tidy(&self, journal: &mut Journal) {
        if journal.has_grown()
            && let Ok(programs) = self.worker.ask(saved_programs)
            && let Err(error) = journal.rewrite(programs)
        {
            // The old one is whole and goes on.
            say(format_args!("rmt serve: {error}"));
        }
    }

    /// Reads, verifies and compiles a program: all that takes long, outside of the way of events.
    fn prepare(
        &self,
        bytes: &[u8],
        wish: Wish,
        snapshot: Option<&Snapshot>,
    ) -> Result<Prepared, Refusal> {
        let program = image::read(bytes).map_err(|error| {
            let remedy = "give an image made by `rmt build`";
            Refusal::new(RefusalKind::DoesNotFit, error.to_string(), remedy)
        })?;
        check_hook(&program.hook)?;
        let report = verify(&program, &self.limits).map_err(|list| not_verified(&list))?;
        let program = Arc::new(program);
        let software = Software::new(program.clone(), snapshot, &self.limits);
        let software = software.map_err(|error: SoftwareError| Refusal::does_not_fit(error))?;
        Ok(Prepared { program, image: bytes.into(), report, wish, software })
    }

    /// Verifies the program with the models as they shall be (shapes are the same, but other weights
    /// may overflow), and compiles it, outside of the way of events.
    fn ready_models(
        &self,
        mut program: Program,
        mut models: Models,
        changes: &[Change],
    ) -> Result<Option<ReadyModels>, Refusal> {
        for change in changes {
            if let Change::SwapModel { model, objects } = change {
                // Into the models that run: a forest may be larger than the one of now, up to what
                // the program came with.
                let swapped = models.swap(&program.models, model, objects.clone());
                swapped.map_err(Refusal::does_not_fit)?;
            }
        }
        models.put_into(&mut program);
        verify(&program, &self.limits).map_err(|list| not_verified(&list))?;
        // Without code generator the program is on the interpreter, which needs none.
        Ok(ReadyModels::new(&program, &self.limits).ok())
    }

    fn do_again(&self, record: Record) -> Result<(), Refusal> {
        match record {
            Record::Programs(programs) => {
                for SavedProgram { image, place, snapshot } in programs {
                    let prepared = self.prepare(&image, place, Some(&snapshot))?;
                    self.worker.ask(move |host| host.engines.install(prepared))?;
                }
            }
            Record::Install { image, place, replace } => {
                let prepared = self.prepare(&image, place, None)?;
                let (name, hook) = (prepared.program.name.clone(), prepared.program.hook.number);
                self.worker.ask(move |host| {
                    host.engines.check_install(&name, hook, replace)?;
                    host.engines.install(prepared);
                    Ok(())
                })??;
            }
            Record::Remove { program } => {
                self.worker.ask(move |host| host.engines.remove(&program))??;
            }
            Record::Commit { program, changes } => {
                self.worker
                    .ask(move |host| host.engines.commit(&program, &changes, Ready::default()))??;
            }
            Record::Place { program, place } => {
                self.worker.ask(move |host| host.engines.place_program(&program, place))??;
            }
        }
        Ok(())
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        // A thread that panicked with the lock has left the file as it was or with a whole record.
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the program's hook is the kernel's of this name and number, with its arguments. Hooks
/// that the kernel does not have are for replayed events.
fn check_hook(hook: &Hook) -> Result<(), Refusal> {
    let refuse = |reason: String| {
        let remedy = "docs/reference/shim.md lists the hooks with their arguments";
        Err(Refusal::new(RefusalKind::DoesNotFit, reason, remedy))
    };
    let known = match (KernelHook::from_name(&hook.name), KernelHook::from_number(hook.number)) {
        (Some(known), _) if known.number != hook.number => {
            return refuse(format!(
                "the kernel's hook `{}` is number {}, the program says {}",
                known.name, known.number, hook.number
            ));
        }
        (None, Some(known)) => {
            return refuse(format!(
                "hook {} is the kernel's `{}`, the program says `{}`",
                known.number, known.name, hook.name
            ));
        }
        (Some(known), _) => known,
        (None, None) => return Ok(()),
    };
    for field in &hook.fields {
        if usize::from(field.offset) == event_layout::KEY.offset {
            continue;
        }
        let argument = known.argument(&field.name);
        let fits = argument.is_some_and(|argument| {
            let place = (argument.field.offset, argument.field.bytes, argument.signed);
            place == (field.offset.into(), field.kind.bytes(), field.kind.signed())
        });
        if !fits {
            return refuse(format!(
                "hook `{}` has no argument `{}: {}` at byte {}",
                known.name, field.name, field.kind, field.offset
            ));
        }
    }
    Ok(())
}

fn saved_programs(host: &mut Host) -> Vec<SavedProgram> {
    host.engines.saved()
}

fn append(
    journal: &mut Journal,
    record: &Record,
    sync: bool,
) -> Result<crate::journal::Mark, Refusal> {
    journal.append(record, sync).map_err(|error| unavailable(&error))
}

fn unavailable(error: &JournalError) -> Refusal {
    let remedy = "nothing is changed without the journal; make room on the disk and try again";
    Refusal::new(RefusalKind::Unavailable, error.to_string(), remedy)
}

fn not_verified(violations: &[Violation]) -> Refusal {
    let list: Vec<_> = violations.iter().map(ToString::to_string).collect();
    let reason = format!("the verifier refuses the program: {}", list.join("\n\n"));
    Refusal::new(RefusalKind::NotVerified, reason, "`rmt check` shows the same with the source")
}
