//! The function behind the endpoint: queue pairs, admin queue, registers.
//!
//! ```text
//!  words ─► registers ─► pairs (state of each)           ┌► refused ──────────┐
//!    │ │                  ▲  │                            │                    ▼
//!    │ ├─ inline events ─► inline buffer ─┐          hook check ─► core ─► completions ─► posted
//!    │ └─ completions ─► requester ─► fetcher ─► which line ▲      ▲ │          ▲
//!    └───► lines ──────────────┼───────────────────► event ─┘      │ │          │
//!            └───────────────► admin ─────────► core words ────────┘ │          │
//!                                └───────────────────────────────────┴──────────┘
//! ```
//!
//! - [`pair`]: indices, errors, moderation of one queue pair.
//! - [`inline`]: inline events wait. [`fetch`]: events of rings are fetched in batches.
//! - [`lines`]: the one memory in which both stand, and what admin commands read.
//! - [`dispatch`]: which event goes to the core next; the check of its hook; whose decision it is.
//! - [`complete`]: decisions become writes into completion rings.
//! - [`admin`]: admin commands. [`core_access`]: who talks to the core's host port.
//! - [`registers`]: the device's own registers. [`config_copy`]: what the host reads back of those of pairs.
//! - [`function`]: all of it joined.
//!
//! A completion place is promised before an event is accepted, so nothing that a driver leaves
//! undone can stop another pair's decisions; what breaks a rule stops its own pair with an error.

pub mod admin;
pub mod complete;
pub mod config_copy;
pub mod core_access;
pub mod dispatch;
pub mod fetch;
pub mod function;
pub mod inline;
pub mod lines;
pub mod pair;
pub mod registers;
