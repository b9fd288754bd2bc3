//! The client's side of the socket.
//!
//! ```no_run
//! use rmt_daemon::client::Client;
//! use rmt_daemon::protocol::{Answer, Request};
//!
//! let mut client = Client::connect("/run/rmt/control".as_ref())?;
//! if let Answer::Programs(programs) = client.ask(&Request::List)? {
//!     programs.iter().for_each(|program| println!("{}", program.name));
//! }
//! # Ok::<(), rmt_daemon::client::ClientError>(())
//! ```

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::frame::{FrameError, receive, send};
use crate::protocol::{Answer, Call, EntryName, Match, NamedChange, Refusal, Reply, Request};

/// Time that a client waits for an answer: an install on a simulated card may take long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon answers on {}: {source}; start it with `rmt serve`, or name its socket with --socket", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection broke.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The answer is to another question.
    #[error(
        "the daemon answered something else than was asked; use client and daemon of one build"
    )]
    Answer,
}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
}

impl Client {
    /// Connects to a daemon.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let connect = UnixStream::connect(path);
        let stream =
            connect.map_err(|source| ClientError::Connect { path: path.into(), source })?;
        Ok(Self { stream })
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::Refused`] nothing was changed.
    pub fn ask(&mut self, request: &Request) -> Result<Answer, ClientError> {
        // A daemon that has no room says so before it is asked, and closes.
        let sent = send(&mut self.stream, request);
        let reply = receive::<Reply>(&mut self.stream, PATIENCE);
        match (sent, reply) {
            (_, Ok(reply)) => Ok(reply?),
            (Err(error), _) | (Ok(()), Err(error)) => Err(error.into()),
        }
    }

    /// Changes a program; what comes back are the handles of added entries.
    ///
    /// # Errors
    /// As for [`Self::ask`].
    pub fn commit(
        &mut self,
        program: &str,
        changes: Vec<NamedChange>,
    ) -> Result<Vec<rmt_vm::state::EntryHandle>, ClientError> {
        let program = program.to_owned();
        match self.ask(&Request::Commit { program, changes })? {
            Answer::Committed { added, .. } => Ok(added),
            _ => Err(ClientError::Answer),
        }
    }
}

/// A change that adds an entry, as people write it.
pub fn add_entry(table: &str, matcher: &str, call: Call) -> NamedChange {
    let matcher = Match::Text(matcher.to_owned());
    NamedChange::AddEntry { table: table.to_owned(), matcher, priority: 0, call }
}

/// A change that removes an entry by what it matches.
pub fn remove_entry(table: &str, matcher: &str) -> NamedChange {
    let entry = EntryName::Match(Match::Text(matcher.to_owned()), 0);
    NamedChange::RemoveEntry { table: table.to_owned(), entry }
}
