//! The part of `sync` that changes an environment rather than making one: only what differs is had and written.

use std::collections::{HashMap, HashSet};

use super::sync::{Changes, Outcome, Run, Summary};
use crate::{
    artifact::write::{self, Ahead, Changing, Previous},
    environment::layout::PlanKey,
    project::lock::Entry,
    run::{
        assemble::key::{self, Keys},
        supply::{
            builder::Builder,
            obtain::{Obtained, place_checkout},
            work::obtain_all,
        },
    },
    words::{
        error::{Context as _, Result},
        vocab::{RelPath, Sha256},
    },
};

/// Applies the difference between the environment that is there and the one that is wanted; `None` where the whole
/// is to be made anew.
pub(super) fn apply(
    run: &Run<'_>,
    builder: &Builder<'_>,
    entries: &[Entry],
    keys: &Keys,
    ahead: Option<&Ahead>,
) -> Result<Option<Outcome>> {
    // What `--slim` leaves out of one distribution depends on the code of the others, and which wheels the
    // interpreter ships (`--seed`) is not known by their keys.
    if !run.frame.make.slim.kinds.is_empty() || run.frame.make.seed {
        return Ok(None);
    }
    let Some(previous) = Previous::read(&run.place.venv) else { return Ok(None) };
    if previous.common() != run.frame.common.to_string() {
        return Ok(None);
    }
    let Some(damaged) = previous.damaged() else { return Ok(None) };
    let whole: HashMap<Sha256, usize> = previous
        .dists()
        .iter()
        .enumerate()
        .filter(|(position, _)| !damaged.contains(position))
        .map(|(position, (key, _))| (*key, position))
        .collect();

    // Which entries are as they were, as far as the lock tells; the others' wheels are needed.
    let mut places: Vec<Option<usize>> =
        keys.entries.iter().map(|key| key.and_then(|key| whole.get(&key).copied())).collect();
    let wanted: Vec<usize> = (0..entries.len()).filter(|&at| places[at].is_none()).collect();
    // Where nothing stays, a fresh environment costs less and comes at once.
    if wanted.len() == entries.len() {
        return Ok(None);
    }
    let session = run.session;
    let subset: Vec<Entry> = wanted.iter().map(|&at| entries[at].clone()).collect();
    let obtained = if subset.is_empty() {
        Vec::new()
    } else {
        session.progress.stage("Fetching", 0);
        obtain_all(session, builder, &subset, ahead, run.place.threads)?
    };
    let mut summary = Summary::default();
    let mut coming: Vec<(usize, Obtained)> = Vec::new();
    for (&at, mut one) in wanted.iter().zip(obtained) {
        one.input.key = keys.entries[at].unwrap_or_else(|| key::of_wheel(&one.input));
        summary.count(one.came);
        match whole.get(&one.input.key) {
            // The entry did not say it, the wheel does: it is the same.
            Some(&position) if one.checkout.is_none() => places[at] = Some(position),
            _ => coming.push((at, one)),
        }
    }
    // Of distributions that share a path the later counts, so those that stay must keep their order.
    let stay: Vec<usize> = places.iter().flatten().copied().collect();
    if !stay.is_sorted() {
        return Ok(None);
    }

    let inputs: Vec<_> = coming.iter().map(|(_, one)| one.input.clone()).collect();
    let mut plan = run.frame.plan_part(&inputs, session.progress)?;
    let planned: HashMap<usize, usize> =
        coming.iter().enumerate().map(|(position, (at, _))| (*at, position)).collect();
    // An entry stays or comes.
    let dists: Vec<(Sha256, RelPath)> = places
        .iter()
        .enumerate()
        .filter_map(|(at, stays)| match stays {
            Some(position) => Some(previous.dists()[*position].clone()),
            None => planned.get(&at).map(|&at| (plan.dists[at].key, plan.dists[at].dist_info.clone())),
        })
        .collect();
    plan.key = PlanKey(key::whole(run.frame.common, dists.iter().map(|(key, _)| *key)));
    let kept: HashSet<usize> = stay.iter().copied().collect();
    let leaving: HashSet<usize> = (0..previous.dists().len()).filter(|at| !kept.contains(at)).collect();

    session
        .progress
        .stage("Writing", inputs.iter().flat_map(|one| &one.wheel.entries).map(|one| one.size).sum());
    let run = &Run { ahead: ahead.and_then(Ahead::beside), ..*run };
    let compiler = run.frame.compiler(session.target, &session.cache)?;
    let changing = Changing { plan: &plan, dists: &dists, leaving: &leaving };
    let report = run
        .with_options(compiler.as_ref(), |options| {
            write::change(&previous, &changing, &run.place.venv, options)
        })
        .context(|| format!("cannot change {}", run.place.venv.display()))?;
    let Some(report) = report else { return Ok(None) };
    run.tell(&report);
    for (_, one) in &coming {
        if let Some((from, to)) = &one.checkout {
            place_checkout(from, to)?;
        }
    }
    let gone = leaving.iter().map(|&at| named(&previous.dists()[at].1));
    let came = plan.dists.iter().map(|dist| named(&dist.dist_info));
    let changes = compare(gone.collect(), came.collect(), kept.len());
    summary.packages = entries.len();
    summary.files = report.files;
    summary.bytes = report.bytes;
    Ok(Some(Outcome::Changed(changes, summary)))
}

/// Name and version of a dist-info directory.
fn named(dist_info: &RelPath) -> (String, String) {
    let stem = dist_info.file_name().trim_end_matches(".dist-info");
    let (name, version) = stem.rsplit_once('-').unwrap_or((stem, ""));
    (name.to_lowercase().replace('_', "-"), version.to_owned())
}

fn compare(gone: Vec<(String, String)>, came: Vec<(String, String)>, kept: usize) -> Changes {
    let mut gone: HashMap<String, String> = gone.into_iter().collect();
    let mut changes = Changes { kept, ..Changes::default() };
    for (name, version) in came {
        match gone.remove(&name) {
            Some(before) if before == version => changes.changed.push(format!("{name} {version}")),
            Some(before) => changes.changed.push(format!("{name} {before} -> {version}")),
            None => changes.added.push(format!("{name} {version}")),
        }
    }
    changes.removed.extend(gone.into_iter().map(|(name, version)| format!("{name} {version}")));
    for list in [&mut changes.added, &mut changes.removed, &mut changes.changed] {
        list.sort();
    }
    changes
}
