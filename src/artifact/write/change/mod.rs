//! Applying a difference: an environment that is there becomes another one, and what stays is not touched.
//!
//! What is new is written and verified in a staging directory, as a fresh environment is. A [journal](super::journal)
//! then says which renames and removals are left, and is carried out by this run or, if that is killed, by the next.
//! The result is bit for bit what a fresh run makes; where that cannot be promised (distributions that share a
//! path come or go, the environment's own files were edited), nothing is changed and the caller makes a fresh one.

mod previous;
mod same;
mod steps;

use std::{
    collections::HashSet,
    fs::{self, File},
    path::Path,
};

use self::{same::Same, steps::Tree};
use super::{
    Report, WriteOptions, destination, in_pool,
    publish::{publish, read_regular},
    tree,
};
use crate::{
    environment::{
        layout::{Plan, PlanFile},
        manifest::{JOURNAL, MANIFEST, text::Manifest},
    },
    words::{
        error::{Error, Kind, Result},
        vocab::{RelPath, Sha256},
    },
};

pub(crate) use previous::Previous;

/// What becomes of an environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Changing<'a> {
    /// The distributions that come, or come again: a plan of these alone. Its key is the new environment's.
    pub plan: &'a Plan,
    /// All distributions of the new environment in the order in which they are installed: key and dist-info
    /// directory.
    pub dists: &'a [(Sha256, RelPath)],
    /// Those that go, or come again: positions in [`Previous::dists`].
    pub leaving: &'a HashSet<usize>,
}

/// Changes the environment at `dest`, which is still as `previous` says; `None` where it must be made anew, and
/// nothing was changed.
///
/// # Errors
/// [`Kind::Destination`] where it cannot be written. If that happens while the change is under way, the next run
/// finishes it.
pub(crate) fn change(
    previous: &Previous,
    change: &Changing<'_>,
    dest: &Path,
    options: &WriteOptions<'_>,
) -> Result<Option<Report>> {
    let destination = destination::open(dest, options, false)?;
    destination.sweep(options.ahead);
    // Another run may have been faster.
    if read_regular(&destination.path().join(MANIFEST)).as_deref() != Some(&previous.text) {
        return Ok(None);
    }
    if fs::symlink_metadata(destination.path().join(JOURNAL)).is_ok() {
        return Ok(None);
    }
    let Some(manifest) = Manifest::parse(&previous.text) else { return Ok(None) };
    let Some(old) = leaving_files(previous, change, &manifest) else { return Ok(None) };
    let staging = destination.stage()?;
    let top = File::open(destination.path())
        .map_err(|e| Error::io("cannot open", destination.path(), e).with_kind(Kind::Destination))?;
    let same = Same::new(previous, change.plan, &manifest, &old, &top);
    let there = |file: &PlanFile, written| same.holds(file, written);
    let filled = in_pool(options.threads, || {
        tree::fill(change.plan, staging.path(), destination.path(), options, Some(&there), |_, _| None)
    })??;
    options.check_interrupted()?;
    let tree = Tree { manifest: &manifest, old: &old, filled: &filled };
    let Some((steps, text)) = tree.steps(previous, change, destination.path()) else { return Ok(None) };
    publish(&destination, staging, steps, &text, change.plan.mtime)?;
    let mut report = filled.report;
    report.in_place = destination.is_inside();
    Ok(Some(report))
}

/// What the distributions that leave had written; `None` where that is not known, or others list it too.
fn leaving_files(
    previous: &Previous,
    change: &Changing<'_>,
    manifest: &Manifest<'_>,
) -> Option<HashSet<String>> {
    let mut old = HashSet::new();
    for &position in change.leaving {
        if let Some(listed) = previous.listed(position, manifest) {
            old.extend(listed.iter().map(RelPath::to_string));
            continue;
        }
        // It comes again, so its files are known; they are looked at one by one.
        let key = previous.dists[position].0;
        let planned = change.plan.dists.iter().position(|dist| dist.key == key)?;
        let listed = change.plan.listed();
        old.extend(listed[planned].iter().map(|&at| change.plan.files[at].path.to_string()));
    }
    let shared = manifest.shared.iter().any(|path| old.contains(&**path));
    (!shared && change.plan.shared.is_empty() && change.plan.links.is_empty()).then_some(old)
}
