//! Checks of what a program declares, before any instruction is looked at.
//!
//! - [`names`]: counts, names, duplicates;
//! - [`event`]: fields of the event;
//! - [`stores`]: context stores and maps;
//! - [`tables`], [`entries`]: keys and what they are compared with;
//! - [`models`], [`forests`]: tensors, scales, windows and trees.
//!
//! Every check is a function `check_*` that walks its objects once and reports to
//! [`Findings`].

mod entries;
mod event;
mod forests;
mod models;
mod names;
mod stores;
mod tables;

use super::findings::Findings;

pub(super) use entries::check_entry;
pub(super) use forests::comparisons;
pub(super) use models::shape_text;

/// All checks of the declarations.
pub(super) fn check_structure(findings: &mut Findings<'_>) {
    names::check_counts(findings);
    names::check_names(findings);
    event::check_event_fields(findings);
    stores::check_contexts(findings);
    stores::check_maps(findings);
    tables::check_tables(findings);
    entries::check_entries(findings);
    models::check_tensors(findings);
    models::check_scales(findings);
    models::check_windows(findings);
    forests::check_forests(findings);
}
