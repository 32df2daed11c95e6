//! The part of `sync` that changes an environment rather than making one: only what differs is had and written.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use serde::Serialize;

use super::sync::{Outcome, Run, Summary, name};
use crate::{
    artifact::write::{self, Ahead, Changing, Previous},
    environment::{layout::PlanKey, manifest::is_current},
    project::lock::{Entry, Pin},
    run::{
        assemble::{
            key::{self, Keys},
            prepare::runtime_target,
        },
        inputs::Inputs,
        options::{Options, OutputOptions},
        supply::{
            builder::Builder,
            obtain::{Obtained, place_checkout},
            work::obtain_all,
        },
    },
    words::{
        error::{Context as _, Result},
        progress::Progress,
        vocab::{PackageName, RelPath, Sha256},
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
    // A branch that did not move, a wheel without hashes that is the same: only having it told that.
    if coming.is_empty() && leaving.is_empty() && is_current(&run.place.venv, &plan.key) {
        write::tidy(&run.place.venv);
        return Ok(Some(Outcome::Current { packages: entries.len() }));
    }

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
    let came =
        plan.dists.iter().map(|dist| named(&dist.dist_info)).map(|(name, version)| (name, Some(version)));
    let changes = Changes::between(gone, came, kept.len());
    summary.packages = entries.len();
    summary.files = report.files;
    summary.bytes = report.bytes;
    Ok(Some(Outcome::Changed(changes, summary)))
}

/// By which distributions an environment was changed, each list sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Those that came.
    pub added: Vec<Change>,
    /// Those that went.
    pub removed: Vec<Change>,
    /// Those that were exchanged, or put right as they were not as they had been written.
    pub changed: Vec<Change>,
    /// How many were left alone.
    pub kept: usize,
}

/// What became of a distribution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// Its name, normalised.
    pub name: String,
    /// Its version before.
    pub before: Option<String>,
    /// Its version after; nothing as well where only its source will tell.
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if before != after => write!(f, "{} {before} -> {after}", self.name),
            (Some(version), _) | (None, Some(version)) => write!(f, "{} {version}", self.name),
            (None, None) => f.write_str(&self.name),
        }
    }
}

impl Changes {
    /// What lies between distributions that go and those that come, each a name with a version.
    fn between(
        gone: impl Iterator<Item = (String, String)>,
        came: impl Iterator<Item = (String, Option<String>)>,
        kept: usize,
    ) -> Self {
        let mut gone: HashMap<String, String> = gone.collect();
        let mut changes = Changes { kept, ..Changes::default() };
        for (name, after) in came {
            let before = gone.remove(&name);
            let list = if before.is_some() { &mut changes.changed } else { &mut changes.added };
            list.push(Change { name, before, after });
        }
        let removed = gone.into_iter();
        changes.removed =
            removed.map(|(name, before)| Change { name, before: Some(before), after: None }).collect();
        for list in [&mut changes.added, &mut changes.removed, &mut changes.changed] {
            list.sort();
        }
        changes
    }
}

/// What `sync` would do to the environment that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Foreseen {
    /// Whether all of it would be made anew: there is none, or the interpreter or the options are others.
    pub fresh: bool,
    /// By which distributions it would differ.
    #[serde(flatten)]
    pub changes: Changes,
}

/// Compares the environment that is there with the one that is wanted, changing nothing and asking no index.
pub fn foresee(options: &Options, output: &OutputOptions, progress: &dyn Progress) -> Result<Foreseen> {
    let inputs = Inputs::read(&options.common, &options.lock, progress)?;
    let target = inputs.target(&options.common, &options.target, options.lock.deploy, progress)?;
    let entries = inputs.select(&options.lock, &target)?.entries;
    let runtime = runtime_target(&target, &options.target)?;
    let named_by = name(options, &output.make, &target, &runtime, &entries)?;
    let previous = Previous::read(&output.place.venv);
    let same = previous.as_ref().is_some_and(|previous| previous.common() == named_by.common.to_string());
    let damaged = previous.as_ref().and_then(Previous::damaged);
    let dists = previous.as_ref().map_or(&[][..], Previous::dists);
    let whole: HashSet<Sha256> = dists
        .iter()
        .enumerate()
        .filter(|(at, _)| same && damaged.as_ref().is_some_and(|damaged| !damaged.contains(at)))
        .map(|(_, (key, _))| *key)
        .collect();
    let stays: Vec<bool> =
        named_by.keys.entries.iter().map(|key| key.is_some_and(|key| whole.contains(&key))).collect();
    let kept: HashSet<Sha256> =
        named_by.keys.entries.iter().flatten().filter(|key| whole.contains(key)).copied().collect();
    let gone = dists.iter().filter(|(key, _)| !kept.contains(key)).map(|(_, dist_info)| named(dist_info));
    let came = entries.iter().zip(&stays).filter(|(_, stays)| !**stays).map(|(entry, _)| {
        let version = matches!(entry.pin, Pin::Exact(_) | Pin::Arbitrary(_)).then(|| entry.pin.bare());
        (entry.name.to_string(), version)
    });
    let changes = Changes::between(gone, came, kept.len());
    Ok(Foreseen { fresh: !same || damaged.is_none() || output.place.fresh, changes })
}

/// Name and version of a dist-info directory.
fn named(dist_info: &RelPath) -> (String, String) {
    let stem = dist_info.file_name().trim_end_matches(".dist-info");
    let (name, version) = stem.rsplit_once('-').unwrap_or((stem, ""));
    let name = name.parse::<PackageName>().map_or_else(|_| name.to_owned(), |name| name.to_string());
    (name, version.to_owned())
}
