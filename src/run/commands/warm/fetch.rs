//! What locks need, found and fetched: each page and each file once, however many locks and targets want it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use parking_lot::Mutex;

use super::Work;
use crate::{
    artifact::write::Ahead,
    packages::{
        cache::{Cache, VerifiedFile},
        index::IndexFile,
        sdist::Installed,
        wheel::{Strictness, Wheel},
    },
    project::lock::{Entry, EntryOrigin},
    run::supply::{
        builder::Builder,
        obtain::{Came, bring, last_component, obtain},
        resolve::{Records, Resolved, What, resolve},
        session::Session,
        sources::page_url,
    },
    words::{
        choices::LinkMode,
        error::{Error, Result},
        interrupt,
        progress::Progress,
        vocab::{PackageName, Sha256},
    },
};

/// A file that is in the cache now.
#[derive(Debug, Clone)]
pub(super) struct Got {
    pub file: VerifiedFile,
    /// The name that counts.
    pub file_name: String,
    pub came: Came,
    /// What it was built from, if that has a digest: the file and its name.
    pub source: Option<(VerifiedFile, String)>,
}

/// What came of an entry for a target.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Its wheel is here.
    Wheel(Got),
    /// There is none for the target; its source is here.
    Source(Got),
    /// There is none, and nothing to fetch.
    Nothing,
    /// It is a part of the project: there is nothing to keep.
    Local,
    Failed(Error),
}

impl Outcome {
    /// Whether its wheel is here.
    pub(super) fn is_wheel(&self) -> bool {
        matches!(self, Outcome::Wheel(_))
    }
}

/// An entry of a lock for a target, by their positions.
type At = (usize, usize);

/// Something to fetch or build, and who wants it.
struct Task {
    users: Vec<At>,
    size: u64,
    resolved: Resolved,
}

/// Gets what all of them need. The result has a row for each of `needs`, with an outcome for each entry.
pub(super) fn fetch(
    needs: &[(&Work<'_>, &Session<'_>)],
    unpacked: bool,
    progress: &dyn Progress,
) -> Result<Vec<Vec<Outcome>>> {
    let resolved = resolve_all(needs)?;
    let mut rows: Vec<Vec<Option<Outcome>>> =
        needs.iter().map(|(work, _)| work.entries.iter().map(|_| None).collect()).collect();
    let mut tasks: Vec<Task> = Vec::new();
    let mut known: HashMap<(Sha256, String), usize> = HashMap::new();
    for ((work, entry), resolved) in resolved {
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(error) => {
                rows[work][entry] = Some(Outcome::Failed(error));
                continue;
            }
        };
        let is_native = needs[work].0.is_native;
        // What is built is built by each lock's own rules.
        let shared = match (&resolved.what, is_native) {
            (What::Wheel(file, _), _) | (What::Sdist(file, _), false) => {
                file.sha256.map(|digest| (digest, file.filename.clone()))
            }
            _ => None,
        };
        if let Some(key) = &shared
            && let Some(&task) = known.get(key)
        {
            tasks[task].users.push((work, entry));
            continue;
        }
        if let Some(key) = shared {
            known.insert(key, tasks.len());
        }
        let size = resolved.file().map_or(u64::MAX, |file| file.size.unwrap_or(0));
        tasks.push(Task { users: vec![(work, entry)], size, resolved });
    }
    // The largest first, so that none is the tail.
    tasks.sort_by_key(|task| Reverse(task.size));
    progress.stage("Fetching", missing(needs, &tasks));
    let builders: Vec<Builder<'_>> =
        needs.iter().map(|(work, _)| Builder::new(work.options, &work.ask.output)).collect();
    let done = AtomicUsize::new(0);
    let results = Mutex::new(Vec::new());
    in_parallel(needs, tasks.len(), &|at| {
        let task = &tasks[at];
        let (work, entry) = task.users[0];
        let (of, session) = needs[work];
        let outcome = interrupt::check()
            .and_then(|()| get(of, session, &builders[work], &of.entries[entry], &task.resolved));
        if unpacked && let Ok(Outcome::Wheel(got)) = &outcome {
            unpack(&session.cache, of, got);
        }
        session.tell();
        results.lock().push((at, outcome));
        progress.packages(done.fetch_add(1, Ordering::Relaxed) + 1, tasks.len());
    })?;
    for (at, outcome) in results.into_inner() {
        for &(work, entry) in &tasks[at].users {
            rows[work][entry] = Some(match &outcome {
                Ok(outcome) => outcome.again(),
                Err(error) => Outcome::Failed(error.again()),
            });
        }
    }
    interrupt::check()?;
    Ok(rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect())
}

impl Outcome {
    fn again(&self) -> Self {
        match self {
            Outcome::Wheel(got) => Outcome::Wheel(got.clone()),
            Outcome::Source(got) => Outcome::Source(got.clone()),
            Outcome::Nothing => Outcome::Nothing,
            Outcome::Local => Outcome::Local,
            Outcome::Failed(error) => Outcome::Failed(error.again()),
        }
    }
}

/// How many bytes are not here.
fn missing(needs: &[(&Work<'_>, &Session<'_>)], tasks: &[Task]) -> u64 {
    let is_missing =
        |file: &IndexFile, cache: &Cache| file.sha256.is_none_or(|digest| cache.has(&digest).is_none());
    tasks
        .iter()
        .filter_map(|task| {
            let file = task.resolved.file()?;
            is_missing(file, &needs[task.users[0].0].1.cache).then_some(file.size?)
        })
        .sum()
}

/// Finds the file of each entry. Those of one package are found together, and its page is then done with.
fn resolve_all(needs: &[(&Work<'_>, &Session<'_>)]) -> Result<Vec<(At, Result<Resolved>)>> {
    let mut packages: BTreeMap<&PackageName, Vec<At>> = BTreeMap::new();
    for (work, (of, _)) in needs.iter().enumerate() {
        for (entry, name) in of.entries.iter().map(|entry| &entry.name).enumerate() {
            packages.entry(name).or_default().push((work, entry));
        }
    }
    let packages: Vec<Vec<At>> = packages.into_values().collect();
    let all = Mutex::new(Vec::new());
    in_parallel(needs, packages.len(), &|at| {
        let mut found = Vec::new();
        for &(work, entry) in &packages[at] {
            let (of, session) = needs[work];
            let resolved =
                interrupt::check().and_then(|()| resolve(session, &of.entries[entry], Records::Trust));
            found.push(((work, entry), resolved));
        }
        for &(work, entry) in &packages[at] {
            let (of, session) = needs[work];
            let entry = &of.entries[entry];
            if let (Some(pages), Ok(indexes)) = (&session.pages, session.sources.of(entry)) {
                for index in &indexes {
                    pages.forget(&page_url(index, &entry.name));
                }
            }
        }
        all.lock().extend(found);
    })?;
    interrupt::check()?;
    let mut all = all.into_inner();
    all.sort_by_key(|(at, _)| *at);
    Ok(all)
}

/// Calls `each` for `0..many` on as many threads as may download at once.
fn in_parallel(
    needs: &[(&Work<'_>, &Session<'_>)],
    many: usize,
    each: &(dyn Fn(usize) + Sync),
) -> Result<()> {
    let most = needs.iter().map(|(work, _)| work.options.index.concurrent_downloads).max().unwrap_or(1);
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= many || interrupt::requested() {
                break;
            }
            each(at);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..most.min(many) {
            let worker = std::thread::Builder::new().name("warm".into());
            // With fewer threads than asked for it only takes longer.
            if worker.spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    interrupt::check()
}

/// Gets one entry's file, or builds it.
fn get(
    work: &Work<'_>,
    session: &Session<'_>,
    builder: &Builder<'_>,
    entry: &Entry,
    resolved: &Resolved,
) -> Result<Outcome> {
    let came = |fetched: u64| if fetched == 0 { Came::Cached } else { Came::Downloaded(fetched) };
    let pinned = |file: &IndexFile| -> Result<Got> {
        let (found, fetched) = bring(session, entry, file, resolved)?;
        Ok(Got { file: found, file_name: file.filename.clone(), came: came(fetched), source: None })
    };
    match &resolved.what {
        What::Wheel(file, _) => pinned(file).map(Outcome::Wheel),
        // What is not isolated is built by the run that has what is installed before it.
        _ if work.is_native && !builder.is_unisolated(entry) => {
            let obtained = obtain(session, builder, entry, resolved, &Installed::default())?;
            if matches!(entry.origin, EntryOrigin::Path(_)) || obtained.checkout.is_some() {
                return Ok(Outcome::Local);
            }
            let wheel = &obtained.input.wheel;
            let source = resolved.file().and_then(|file| {
                let found = session.cache.file(&file.sha256?)?;
                Some((found, file.filename.clone()))
            });
            let file_name = wheel.name.file_name.clone();
            Ok(Outcome::Wheel(Got { file: wheel.file.clone(), file_name, came: obtained.came, source }))
        }
        What::Sdist(file, _) => pinned(file).map(Outcome::Source),
        What::Direct => match &entry.origin {
            EntryOrigin::Url(url) => {
                let file_name = last_component(url)?;
                let (file, fetched) = match &*entry.hashes.sha256 {
                    [] => session.unpinned(url.url(), Some(url), &file_name, None, None)?,
                    hashes => session.verified(url.url(), Some(url), &file_name, None, hashes)?,
                };
                let is_wheel = Path::new(&file_name).extension().is_some_and(|end| end == "whl");
                let got = Got { file, file_name, came: came(fetched), source: None };
                Ok(if is_wheel { Outcome::Wheel(got) } else { Outcome::Source(got) })
            }
            EntryOrigin::Path(_) => Ok(Outcome::Local),
            EntryOrigin::Vcs(_) | EntryOrigin::Index => Ok(Outcome::Nothing),
        },
    }
}

/// Unpacks a wheel into the store. Whatever goes wrong comes up again where it matters.
fn unpack(cache: &Cache, work: &Work<'_>, got: &Got) {
    let mtime = work.ask.output.make.mtime;
    let unpacked = || {
        let ahead = Ahead::new(cache, LinkMode::Copy, mtime, &work.options.common.cache_dir)?;
        let name = got.file_name.parse().ok()?;
        let (wheel, _) = Wheel::open(got.file.clone(), name, Strictness::Warn).ok()?;
        ahead.unpack(&wheel, &interrupt::requested);
        Some(())
    };
    let _ = unpacked();
}
