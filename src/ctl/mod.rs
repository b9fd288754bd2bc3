//! `rmt ctl`: what a running daemon is asked, and told.

mod print;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use rmt_daemon::client::Client;
use rmt_daemon::protocol::{Answer, Call, EntryName, Match, NamedChange, Request, Wish};
use rmt_vm::state::{EntryHandle, ModelObjects};

use crate::program;

/// Ask and change the programs of a running daemon (`rmt serve`).
///
/// Each command is one transaction: all of it happens, at one instant for the events of the
/// program, or nothing does, with the reason.
///
/// Example: rmt ctl add page_prefetch page_prefetch pid=42 'leave_to_kernel()'
#[derive(Args)]
pub struct Ctl {
    /// The daemon's socket
    #[arg(long, global = true, default_value_os_t = rmt_daemon::paths::socket())]
    socket: PathBuf,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    what: What,
}

/// Where a program shall run.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Where {
    /// Where it costs least, as measured
    Auto,
    /// One instruction at a time
    Interpreter,
    /// Machine code for this CPU
    Jit,
    /// On the card
    Card,
}

impl From<Where> for Wish {
    fn from(place: Where) -> Self {
        match place {
            Where::Auto => Self::Auto,
            Where::Interpreter => Self::Interpreter,
            Where::Jit => Self::Jit,
            Where::Card => Self::Card,
        }
    }
}

#[derive(Args)]
struct InTable {
    /// Name of the program
    program: String,
    /// Name of the table
    table: String,
}

#[derive(Args)]
struct Entry {
    #[command(flatten)]
    place: InTable,
    /// What it matches, as `pid=42`; or its handle, as `#3`
    entry: String,
    /// Its priority, in ternary and range tables
    #[arg(long, default_value_t = 0)]
    priority: u32,
}

#[derive(Subcommand)]
enum What {
    /// List the programs that run
    ///
    /// Example: rmt ctl list
    List,
    /// Show what a program declares and costs
    ///
    /// Example: rmt ctl show page_prefetch
    Show {
        /// Name of the program
        program: String,
    },
    /// Run a program
    ///
    /// Example: rmt ctl install firmware/page_prefetch.rmt --place jit
    Install {
        /// A .rmt source or an image
        file: PathBuf,
        /// Where it shall run
        #[arg(long, value_enum, default_value = "auto")]
        place: Where,
        /// Take the place of the program of the same hook
        #[arg(long)]
        replace: bool,
    },
    /// Run a program no longer
    ///
    /// Example: rmt ctl remove page_prefetch
    Remove {
        /// Name of the program
        program: String,
    },
    /// Say where a program shall run
    ///
    /// Example: rmt ctl place page_prefetch card
    Place {
        /// Name of the program
        program: String,
        /// Where
        #[arg(value_enum)]
        place: Where,
    },
    /// List the entries of a table
    ///
    /// Example: rmt ctl table page_prefetch page_prefetch
    Table(InTable),
    /// Add an entry
    ///
    /// Example: rmt ctl add page_prefetch page_prefetch pid=42 'leave_to_kernel()'
    Add {
        #[command(flatten)]
        entry: Entry,
        /// What it runs, as `action(1, 2)`
        call: Call,
    },
    /// Change what an entry runs
    ///
    /// Example: rmt ctl change page_prefetch page_prefetch pid=42 'predict()'
    Change {
        #[command(flatten)]
        entry: Entry,
        /// What it runs from now on
        call: Call,
    },
    /// Remove an entry
    ///
    /// Example: rmt ctl delete page_prefetch page_prefetch pid=42
    Delete(Entry),
    /// Set what runs when no entry of a table matches
    ///
    /// Example: rmt ctl default page_prefetch page_prefetch 'leave_to_kernel()'
    Default {
        #[command(flatten)]
        place: InTable,
        /// What runs; `none` ends such events as missed
        call: String,
    },
    /// Put a new model in place of the one that runs
    ///
    /// Example: rmt ctl push page_prefetch prefetch new.rmt
    Push {
        /// Name of the program
        program: String,
        /// Name of the model
        model: String,
        /// A .rmt source or an image that has the model
        file: PathBuf,
    },
    /// Make several changes in one transaction, from a JSON list
    ///
    /// Example: rmt ctl commit page_prefetch changes.json
    Commit {
        /// Name of the program
        program: String,
        /// The changes; docs/daemon.md shows their form
        file: PathBuf,
    },
    /// Show the records of a context store
    ///
    /// Example: rmt ctl context page_prefetch processes --key 42
    Context {
        /// Name of the program
        program: String,
        /// Name of the store
        context: String,
        /// Only the record of this key
        #[arg(long)]
        key: Option<u64>,
    },
    /// Show what a map holds
    ///
    /// Example: rmt ctl map counters by_pid
    Map {
        /// Name of the program
        program: String,
        /// Name of the map
        map: String,
    },
    /// Print the whole state of a program as JSON
    ///
    /// Example: rmt ctl state page_prefetch
    State {
        /// Name of the program
        program: String,
    },
    /// Show all counters
    ///
    /// Example: rmt ctl counters
    Counters,
    /// Show what placement reckons with
    ///
    /// Example: rmt ctl platform
    Platform,
}

impl Ctl {
    pub fn run(self) -> Result<()> {
        let request = self.what.request()?;
        let mut client = Client::connect(&self.socket)?;
        let answer = client.ask(&request)?;
        if self.json {
            println!("{}", serde_json::to_string(&answer)?);
        } else {
            print::answer(&answer)?;
        }
        match answer {
            // What was asked for is done, though not as wished: scripts should see it.
            Answer::Placed { note: Some(note), .. } => bail!("{note}"),
            _ => Ok(()),
        }
    }
}

impl What {
    fn request(self) -> Result<Request> {
        let commit = |program: String, change| Request::Commit { program, changes: vec![change] };
        Ok(match self {
            Self::List => Request::List,
            Self::Show { program } => Request::Show { program },
            Self::Install { file, place, replace } => {
                Request::Install { image: image(&file)?, place: place.into(), replace }
            }
            Self::Remove { program } => Request::Remove { program },
            Self::Place { program, place } => Request::Place { program, place: place.into() },
            Self::Table(InTable { program, table }) => Request::Table { program, table },
            Self::Add { entry: Entry { place, entry, priority }, call } => {
                let matcher = Match::Text(entry);
                let change = NamedChange::AddEntry { table: place.table, matcher, priority, call };
                commit(place.program, change)
            }
            Self::Change { entry, call } => {
                let (program, table, entry) = entry.named()?;
                commit(program, NamedChange::ChangeEntry { table, entry, call })
            }
            Self::Delete(entry) => {
                let (program, table, entry) = entry.named()?;
                commit(program, NamedChange::RemoveEntry { table, entry })
            }
            Self::Default { place, call } => {
                let call = match call.as_str() {
                    "none" => None,
                    call => Some(call.parse().map_err(anyhow::Error::msg)?),
                };
                commit(place.program, NamedChange::SetDefault { table: place.table, call })
            }
            Self::Push { program, model, file } => {
                let source = program::load(&file)?;
                if !source.models.contains(&model) {
                    let models = source.models.join(", ");
                    bail!("{} has no model `{model}`; it has: {models}", file.display());
                }
                let objects = ModelObjects::of_program(&source, &model);
                commit(program, NamedChange::PushModel { model, objects })
            }
            Self::Commit { program, file } => {
                let text = std::fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                let changes = serde_json::from_str(&text)
                    .with_context(|| format!("{} is no list of changes", file.display()))?;
                Request::Commit { program, changes }
            }
            Self::Context { program, context, key } => Request::Context { program, context, key },
            Self::Map { program, map } => Request::Map { program, map },
            Self::State { program } => Request::State { program },
            Self::Counters => Request::Counters,
            Self::Platform => Request::Platform,
        })
    }
}

impl Entry {
    fn named(self) -> Result<(String, String, EntryName)> {
        let name = match self.entry.strip_prefix('#') {
            Some(handle) => {
                let handle = handle
                    .parse()
                    .with_context(|| format!("`{}` is no handle; write it as `#3`", self.entry))?;
                EntryName::Handle(EntryHandle(handle))
            }
            None => EntryName::Match(Match::Text(self.entry), self.priority),
        };
        Ok((self.place.program, self.place.table, name))
    }
}

/// The image of a program in a file.
pub fn image(file: &Path) -> Result<Vec<u8>> {
    let program = program::load(file)?;
    rmt_isa::image::write(&program).with_context(|| file.display().to_string())
}
