//! `warm`: everything that `sync` and `pack` of locks will need, into the cache.

mod fetch;
mod keep;
mod wheelhouse;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use serde::Serialize;

use self::fetch::{Got, Outcome, fetch};
use crate::{
    packages::{cache::Trust, http::Client},
    project::{lock::Entry, python::Target},
    run::{
        inputs::Inputs,
        options::{Ask, Keep, Options},
        supply::{
            obtain::Came,
            pages::Pages,
            session::{Session, Shared, client, open_cache},
            sources::Sources,
            work::subject,
        },
    },
    words::{
        error::{Error, Kind, Result},
        gather::{gather, gather_by_cause},
        interrupt,
        progress::Progress,
    },
};

/// What a run did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Warmed {
    /// How many locks there were.
    pub locks: usize,
    /// For each lock and target.
    pub targets: Vec<WarmedTarget>,
    /// Files that were fetched, each counted once.
    pub downloaded: usize,
    /// Their bytes.
    pub downloaded_bytes: u64,
    /// Files that came from caches below (`--cache-from`) and were copied here.
    pub copied: usize,
    /// Packages built from source.
    pub built: usize,
    /// Layers that are in the cache now (`--layers`).
    pub layers: usize,
    /// What was written beside the cache.
    pub written: Vec<Written>,
}

/// For one lock and target.
#[derive(Debug, Serialize)]
pub(crate) struct WarmedTarget {
    /// The lock, as it was named.
    pub lock: String,
    /// The target.
    pub target: String,
    /// How many entries apply to it.
    pub packages: usize,
    /// Whose files came now.
    pub came: usize,
    /// Whose files were there.
    pub there: usize,
    /// What was built now.
    pub built: usize,
    /// What has no wheel for the target, and no interpreter of it is here to build one: its source is in the cache, if it
    /// comes from an index.
    pub no_wheel: Vec<String>,
    /// What could not be had.
    pub failed: Vec<String>,
}

/// A file or directory that was written.
#[derive(Debug, Serialize)]
pub(crate) struct Written {
    /// What it is: `wheelhouse`, `tar`, `delta`, `registry` (then the files are those that were sent).
    pub what: &'static str,
    /// Where it is.
    pub place: String,
    /// How many files it has.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// A lock that was read.
struct Project<'a> {
    ask: &'a Ask,
    inputs: Inputs,
}

/// A lock for one target.
struct Work<'a> {
    ask: &'a Ask,
    project: usize,
    options: &'a Options,
    /// What messages call the target.
    label: String,
    target: Target,
    /// Its interpreter is here.
    is_native: bool,
    entries: Vec<Entry>,
}

/// Locks that are fetched for as the same user.
struct Party {
    /// The first of them.
    first: usize,
    works: Vec<usize>,
}

/// Fills the cache. What could not be had is an error only after everything else was.
pub(crate) fn warm(asks: &[Ask], keep: &Keep, progress: &dyn Progress) -> Result<(Warmed, Result<()>)> {
    let mut errors = Vec::new();
    let named = |ask: &Ask, error: Error| {
        if asks.len() > 1 { error.context(format!("cannot warm {}", ask.label)) } else { error }
    };
    let mut projects = Vec::new();
    for ask in asks {
        let Some((_, options)) = ask.targets.first() else { continue };
        match Inputs::read(&options.common, &options.lock, progress) {
            Ok(inputs) => projects.push(Project { ask, inputs }),
            Err(error) => errors.push(named(ask, error)),
        }
    }
    let mut works = Vec::new();
    for (at, project) in projects.iter().enumerate() {
        for (label, options) in &project.ask.targets {
            match work(project, at, label.as_deref(), options, progress) {
                Ok(work) => works.push(work),
                Err(error) => errors.push(named(project.ask, error)),
            }
        }
    }
    let mut sources = Vec::new();
    for work in &works {
        let Inputs { lock, pipfile, .. } = &projects[work.project].inputs;
        sources.push(Sources::new(lock, pipfile.as_ref(), &work.options.index)?);
    }
    let Some(first) = works.first() else {
        let warmed = Warmed { locks: projects.len(), ..Warmed::default() };
        return Ok((warmed, gather(errors, |many| format!("{many} locks cannot be warmed"))));
    };
    let cache = open_cache(first.options, Trust::Recorded, progress);
    let mut shared: Vec<Option<Shared<'_>>> = works.iter().map(|_| None).collect();
    for party in parties(&works, &sources) {
        let of_all: Vec<Entry> = party.works.iter().flat_map(|&at| works[at].entries.clone()).collect();
        let options = works[party.first].options;
        let client: Client<'_> =
            client(&options.common, &options.index, &sources[party.first], &of_all, progress)?;
        let (client, pages) = (Arc::new(client), Arc::new(Pages::default()));
        for at in party.works {
            let (cache, client) = (cache.clone(), Arc::clone(&client));
            shared[at] = Some(Shared { cache, client, pages: Some(Arc::clone(&pages)) });
        }
    }
    let mut sessions = Vec::new();
    for ((work, sources), shared) in works.iter().zip(&sources).zip(shared) {
        let Some(shared) = shared else { continue };
        sessions.push(Session::over(work.options, &work.target, sources, shared, progress)?);
    }
    let needs: Vec<(&Work<'_>, &Session<'_>)> = works.iter().zip(&sessions).collect();
    let fetched = fetch(&needs, keep.unpacked, progress)?;
    interrupt::check()?;

    let mut warmed = summary(&works, &fetched, projects.len());
    let mut failed = Vec::new();
    let mut of = 0;
    for (work, row) in works.iter().zip(&fetched) {
        of += row.len();
        for (entry, outcome) in work.entries.iter().zip(row) {
            if let Outcome::Failed(error) = outcome {
                let subject = subject(entry);
                let subject =
                    if works.len() > 1 { format!("{subject} of {}", work.shown()) } else { subject };
                failed.push((subject, error.again()));
            }
        }
    }
    if let Err(error) = gather_by_cause(failed, of) {
        errors.push(error);
    }
    warmed.copied = cache.added().iter().filter(|added| added.from.is_some()).count();
    let before: BTreeSet<PathBuf> = match (&keep.layers, &keep.delta) {
        (Some(_), Some(_)) => cache.items().into_iter().map(|item| item.path).collect(),
        _ => BTreeSet::new(),
    };
    if let Some(pack) = &keep.layers {
        for (work, row) in works.iter().zip(&fetched) {
            if row.iter().all(Outcome::is_wheel) {
                match crate::run::commands::pack::layers(work.options, &work.ask.output, pack, progress) {
                    Ok(layers) => warmed.layers += layers,
                    Err(error) => errors.push(named(work.ask, error)),
                }
            } else {
                progress.warn(&format!("no layers of {}: not all of its wheels are here", work.shown()));
            }
        }
    }
    keep::keep(keep, &cache, &before, &needs, &fetched, &mut warmed)?;
    if let Some(to) = &keep.push
        && let Some((_, session)) = needs.first()
    {
        match keep::push(to, &session.client, &needs, &fetched, progress) {
            Ok(written) => warmed.written.push(written),
            Err(error) => errors.push(error),
        }
    }
    cache.notes().iter().for_each(|note| progress.warn(note));
    let came = warmed.downloaded + warmed.copied + warmed.built;
    if cache.is_read_only() && came > 0 && warmed.written.is_empty() {
        // Any other command goes on without; this one has nothing else to give.
        let place = first.options.common.cache_dir.display();
        errors.push(
            Error::new(Kind::Io, format!("the cache {place} keeps nothing of what came"))
                .help("make room there, or name a directory that can be written with --cache-dir"),
        );
    }
    Ok((warmed, gather(errors, |many| format!("{many} things could not be warmed"))))
}

impl Work<'_> {
    /// How messages call it.
    fn shown(&self) -> String {
        format!("{} for {}", self.ask.label, self.label)
    }
}

/// What of a lock is for a target.
fn work<'a>(
    project: &Project<'a>,
    at: usize,
    label: Option<&str>,
    options: &'a Options,
    progress: &dyn Progress,
) -> Result<Work<'a>> {
    let target = project.inputs.target(&options.common, &options.target, options.lock.deploy, progress)?;
    let selection = project.inputs.select(&options.lock, &target)?;
    selection.warnings.0.iter().for_each(|warning| progress.warn(warning));
    let label = label.map_or_else(|| format!("{} here", target.describe_shortly()), str::to_owned);
    Ok(Work {
        ask: project.ask,
        project: at,
        options,
        label,
        target,
        is_native: options.target.described.is_none(),
        entries: selection.entries,
    })
}

/// Which locks are asked for as the same user: those with the same sources and the same variables. What one of them
/// knows (a password, a private page) is never another's.
fn parties(works: &[Work<'_>], sources: &[Sources<'_>]) -> Vec<Party> {
    let mut parties: Vec<Party> = Vec::new();
    for (at, work) in works.iter().enumerate() {
        let same = |party: &&mut Party| {
            let first = works[party.first].options;
            sources[party.first].is_same(&sources[at])
                && first.index.find_links == work.options.index.find_links
                && first.common.env.iter().eq(work.options.common.env.iter())
        };
        match parties.iter_mut().find(same) {
            Some(party) => party.works.push(at),
            None => parties.push(Party { first: at, works: vec![at] }),
        }
    }
    parties
}

fn summary(works: &[Work<'_>], fetched: &[Vec<Outcome>], locks: usize) -> Warmed {
    let mut warmed = Warmed { locks, ..Warmed::default() };
    let mut files = BTreeMap::new();
    for (work, row) in works.iter().zip(fetched) {
        let mut target = WarmedTarget {
            lock: work.ask.label.clone(),
            target: work.label.clone(),
            packages: row.len(),
            came: 0,
            there: 0,
            built: 0,
            no_wheel: Vec::new(),
            failed: Vec::new(),
        };
        for (entry, outcome) in work.entries.iter().zip(row) {
            let mut count = |got: &Got| match got.came {
                Came::Cached => target.there += 1,
                Came::Built => target.built += 1,
                Came::Downloaded(bytes) => {
                    target.came += 1;
                    files.insert((got.file.sha256(), got.file_name.clone()), bytes);
                }
            };
            match outcome {
                Outcome::Wheel(got) => count(got),
                Outcome::Source(got) => {
                    count(got);
                    target.no_wheel.push(subject(entry));
                }
                Outcome::Nothing => target.no_wheel.push(subject(entry)),
                Outcome::Local => target.there += 1,
                Outcome::Failed(_) => target.failed.push(subject(entry)),
            }
        }
        warmed.built += target.built;
        warmed.targets.push(target);
    }
    warmed.downloaded = files.len();
    warmed.downloaded_bytes = files.values().sum();
    warmed
}

/// An error for what cannot be written.
fn destination(error: Error) -> Error {
    error.with_kind(Kind::Destination)
}
