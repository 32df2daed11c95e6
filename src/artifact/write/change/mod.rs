//! Applying a difference: an environment that is there becomes another one, and what stays is not touched.
//!
//! What is new is written and verified in a staging directory, as a fresh environment is. A [journal](super::journal)
//! then says which renames and removals are left, and is carried out by this run or, if that is killed, by the next.
//! The result is bit for bit what a fresh run makes; where that cannot be promised (the environment's own files were
//! edited, a path that stays was a file and is to be a directory), nothing is changed and the caller makes a fresh one.
//! Distributions that share a path with one that comes or goes come again, so that each counts by its turn.

mod previous;
mod same;
mod steps;

use std::{
    collections::HashSet,
    fs::{self, File},
    path::Path,
};

use self::{same::Same, steps::Tree};
use super::{Report, WriteOptions, destination, in_pool, publish::publish, tree};
use crate::{
    environment::{
        layout::{Plan, PlanFile},
        manifest::JOURNAL,
    },
    words::{
        error::{Error, Kind, Result},
        vocab::{RelPath, Sha256},
    },
};

pub(crate) use previous::{Previous, Standing};

/// What becomes of an environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changing<'a> {
    /// The distributions that come, or come again: a plan of these alone. Its key is the new environment's.
    pub plan: &'a Plan,
    /// All distributions of the new environment in the order in which they are installed: key and dist-info
    /// directory.
    pub dists: &'a [(Sha256, RelPath)],
    /// Those that go, or come again: positions in [`Previous::dists`]. None that stays has a path in common with any of
    /// these, or with one that comes ([`Previous::entangled`]).
    pub leaving: &'a HashSet<usize>,
}

/// Changes the environment at `dest`, which is still as `previous` says; `None` where it must be made anew, and
/// nothing was changed.
///
/// # Errors
/// [`Kind::Destination`] where it cannot be written. If that happens while the change is under way, the next run
/// finishes it.
pub(crate) fn change(
    previous: &Previous<'_>,
    change: &Changing<'_>,
    dest: &Path,
    options: &WriteOptions<'_>,
) -> Result<Option<Report>> {
    let destination = destination::open(dest, options, false)?;
    destination.sweep(options.ahead);
    // Another run may have been faster.
    if !previous.is_there() {
        return Ok(None);
    }
    if fs::symlink_metadata(destination.path().join(JOURNAL)).is_ok() {
        return Ok(None);
    }
    let Some(old) = previous.files_of(change.leaving, change.plan) else { return Ok(None) };
    if !change.plan.links.is_empty() {
        return Ok(None);
    }
    let staging = destination.stage()?;
    let top = File::open(destination.path())
        .map_err(|e| Error::io("cannot open", destination.path(), e).with_kind(Kind::Destination))?;
    let same = Same::new(previous, change.plan, &old, &top);
    let there = |file: &PlanFile, written| same.holds(file, written);
    let filled = in_pool(options.threads, || {
        tree::fill(change.plan, staging.path(), destination.path(), options, Some(&there), |_, _| None)
    })??;
    options.check_interrupted()?;
    let tree = Tree { manifest: &previous.manifest, old: &old, filled: &filled };
    let Some((steps, text)) = tree.steps(previous, change, destination.path()) else { return Ok(None) };
    publish(&destination, staging, steps, &text, change.plan.mtime)?;
    let mut report = filled.report;
    report.in_place = destination.is_inside();
    Ok(Some(report))
}
