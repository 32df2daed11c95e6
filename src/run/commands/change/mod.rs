//! The part of `sync` that changes an environment rather than making one: only what differs is had and written.

mod difference;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::Path,
};

use serde::Serialize;

use super::{
    site::Ground,
    sync::{Named, Outcome, Run, name},
};
pub(super) use difference::{Difference, LaidOut};

use crate::{
    artifact::write::{self, Ahead, Changing, Ours, Previous, Standing},
    environment::manifest::is_current,
    project::lock::{Entry, Pin},
    run::{
        assemble::{
            key::{self, Keys},
            prepare::runtime_target,
        },
        inputs::Inputs,
        options::{Local, Options, OutputOptions},
        supply::{
            builder::Builder,
            seed::{is_seed, seeds},
        },
    },
    words::{
        error::{Context as _, Error, Kind, Result},
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
    let Some(standing) = Standing::read(&run.place.venv) else { return Ok(None) };
    let Some(previous) = Previous::examine(&standing) else { return Ok(None) };
    if previous.common() != run.frame.common.to_string() {
        return Ok(None);
    }
    let Some(damaged) = previous.damaged() else { return Ok(None) };
    let whole = whole(previous.dists(), &damaged);
    // Where nothing stays, a fresh environment costs less and comes at once.
    let local = run.session.request.lock.local;
    let stays = |key: &Option<Sha256>| key.is_some_and(|key| whole.contains_key(&key));
    if !keys.entries.iter().any(stays) && local != Local::Only {
        return Ok(None);
    }
    let mut difference = Difference::find(run, builder, entries, keys, &whole, ahead)?;
    let slim = !run.frame.make.slim.kinds.is_empty();
    if run.frame.make.seed && (local != Local::Only || slim) {
        let locked: Vec<&PackageName> = entries.iter().map(|entry| &entry.name).collect();
        difference.install_first(seeds(run.session, &locked, key::of_wheel)?, &whole);
    }
    // What `--slim` leaves out of one distribution depends on the code of the others.
    if slim && !difference.slim(run, builder, entries, &previous)? {
        return Ok(None);
    }
    // Of distributions that share a path the later counts, so those that stay must keep their order.
    if !difference.keeps_order() {
        return Ok(None);
    }
    let mut laid_out = difference.lay_out(run, previous.dists())?;
    // Those that come again may share other paths with others.
    loop {
        let Some(entangled) = previous.entangled(&laid_out.leaving, &laid_out.plan) else { return Ok(None) };
        if entangled.is_empty() {
            break;
        }
        if !difference.again(run, builder, entries, previous.dists(), &entangled, ahead)? {
            return Ok(None);
        }
        laid_out = difference.lay_out(run, previous.dists())?;
    }
    let LaidOut { plan, dists, kept, leaving } = laid_out;
    // A branch that did not move, a wheel without hashes that is the same: only having it told that.
    if plan.dists.is_empty() && leaving.is_empty() && is_current(&run.place.venv, &plan.key) {
        write::tidy(&run.place.venv);
        return Ok(Some(Outcome::Current { packages: entries.len() }));
    }

    let session = run.session;
    session.progress.stage("Writing", difference.bytes());
    let run = &Run { ahead: ahead.and_then(Ahead::beside), ..*run };
    let compiler = run.frame.compiler(session.target, &session.cache)?;
    let changing = Changing { plan: &plan, dists: &dists, leaving: &leaving };
    let report = run
        .with_options(compiler.as_ref(), |options| {
            write::change(&previous, &changing, &run.place.venv, options)
        })
        .context(|| format!("cannot change {}", run.place.venv.display()))?;
    let Some(report) = report else { return Ok(None) };
    let gone = difference.gone(previous.dists(), &leaving);
    difference.done(run, &plan, previous.dists(), gone, kept.len(), &report).map(Some)
}

/// The distributions that are as they were written, by their keys.
pub(super) fn whole(dists: &[(Sha256, RelPath)], damaged: &HashSet<usize>) -> HashMap<Sha256, usize> {
    let kept = dists.iter().enumerate().filter(|(position, _)| !damaged.contains(position));
    kept.map(|(position, (key, _))| (*key, position)).collect()
}

/// Refuses to add local projects where there is nothing to add them to, and where there are none.
///
/// # Errors
/// [`Kind::Destination`], or [`Kind::Lock`] for a lock without local projects.
pub(super) fn check_base(venv: &Path, common: Sha256, entries: &[Entry]) -> Result<()> {
    if !entries.iter().any(|entry| Local::Only.leaves_out(entry).is_none()) {
        return Err(Error::new(
            Kind::Lock,
            "--only-install-local: the lock has no local project that applies here",
        )
        .help(
            "leave --only-install-local out, or install the categories that have one (--dev, --categories)",
        ));
    }
    let place = venv.display();
    let standing = Standing::read(venv);
    let why = match standing.as_ref().and_then(Previous::examine) {
        Some(previous) if previous.common() == common.to_string() => return Ok(()),
        Some(_) => format!("{place} was made for another interpreter or with other options"),
        None => format!("there is no environment of venvoy's at {place}"),
    };
    Err(Error::new(Kind::Destination, format!("--only-install-local: {why}")).help(
        "run `venvoy sync --no-install-local` with the same options first, or `venvoy sync` for all of it",
    ))
}

/// By which distributions an environment was changed, each list sorted by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Changes {
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
pub(crate) struct Change {
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
    pub(super) fn between(
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
pub(crate) struct Foreseen {
    /// Whether all of it would be made anew: there is none, or the interpreter or the options are others.
    pub fresh: bool,
    /// By which distributions it would differ.
    #[serde(flatten)]
    pub changes: Changes,
}

/// Compares the environment that is there with the one that is wanted, changing nothing and asking no index.
pub(crate) fn foresee(
    options: &Options,
    output: &OutputOptions,
    progress: &dyn Progress,
) -> Result<Foreseen> {
    if let Some(ground) = Ground::find(options, output, progress)? {
        let (options, output) = (&ground.options, &ground.output);
        let inputs = Inputs::read(&options.common, &options.lock, progress)?;
        let target = inputs.target(&options.common, &options.target, options.lock.deploy, progress)?;
        let entries = inputs.select(&options.lock, &target)?.entries;
        let named_by = name(options, &output.make, &target, &ground.site.placed(&target), &entries)?;
        let ours = Ours::read(&ground.site);
        let same = ours.common() == named_by.common.to_string() && !output.place.fresh;
        let whole = if same { whole(ours.dists(), ours.damaged()) } else { HashMap::new() };
        return Ok(compare(options, &entries, &named_by, ours.dists(), &whole, (false, false)));
    }
    let inputs = Inputs::read(&options.common, &options.lock, progress)?;
    let target = inputs.target(&options.common, &options.target, options.lock.deploy, progress)?;
    let entries = inputs.select(&options.lock, &target)?.entries;
    let runtime = runtime_target(&target, &options.target)?;
    let named_by = name(options, &output.make, &target, &runtime, &entries)?;
    let standing = Standing::read(&output.place.venv);
    let previous = standing.as_ref().and_then(Previous::examine);
    let same = previous.as_ref().is_some_and(|previous| previous.common() == named_by.common.to_string());
    let damaged = previous.as_ref().and_then(Previous::damaged);
    let dists = previous.as_ref().map_or(&[][..], Previous::dists);
    let is_whole = same && damaged.is_some();
    let whole = if is_whole { whole(dists, &damaged.unwrap_or_default()) } else { HashMap::new() };
    Ok(compare(
        options,
        &entries,
        &named_by,
        dists,
        &whole,
        (output.make.seed, !is_whole || output.place.fresh),
    ))
}

/// What would become of the distributions that are there, of which those in `whole` may stay.
fn compare(
    options: &Options,
    entries: &[Entry],
    named_by: &Named,
    dists: &[(Sha256, RelPath)],
    whole: &HashMap<Sha256, usize>,
    (seed, fresh): (bool, bool),
) -> Foreseen {
    let stays = |key: &Option<Sha256>| key.is_some_and(|key| whole.contains_key(&key));
    let kept: HashSet<Sha256> =
        named_by.keys.entries.iter().filter(|key| stays(key)).flatten().copied().collect();
    let names: HashSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let only = options.lock.local == Local::Only;
    let gone = dists.iter().filter(|(key, _)| !kept.contains(key)).map(|(_, dist_info)| named(dist_info));
    // With `--only-install-local`, what is not asked for is not touched. What the interpreter ships is no entry.
    let asked = |name: &str| names.contains(name) || !(only || seed && is_seed(name));
    let gone: Vec<_> = gone.filter(|(name, _)| asked(name)).collect();
    let came = entries.iter().zip(&named_by.keys.entries).filter(|(_, key)| !stays(key)).map(|(entry, _)| {
        let version = matches!(entry.pin, Pin::Exact(_) | Pin::Arbitrary(_)).then(|| entry.pin.bare());
        (entry.name.to_string(), version)
    });
    let kept = if only || seed { dists.len().saturating_sub(gone.len()) } else { kept.len() };
    Foreseen { fresh, changes: Changes::between(gone.into_iter(), came, kept) }
}

/// Name and version of a dist-info directory.
pub(super) fn named(dist_info: &RelPath) -> (String, String) {
    let stem = dist_info.file_name().trim_end_matches(".dist-info");
    let (name, version) = stem.rsplit_once('-').unwrap_or((stem, ""));
    let name = name.parse::<PackageName>().map_or_else(|_| name.to_owned(), |name| name.to_string());
    (name, version.to_owned())
}
