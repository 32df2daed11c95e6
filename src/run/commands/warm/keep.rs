//! What is written beside the cache: a tar, a cache of what was added, wheels for pip.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
    sync::Arc,
};

use rayon::prelude::*;

use super::{
    Warmed, Work, Written, destination,
    fetch::{Got, Outcome},
    wheelhouse::wheelhouse,
};
use crate::{
    artifact::registry::{Logins, Reference, Registry, shown_repository},
    packages::{
        cache::{Cache, VerifiedFile, file_path, is_carried},
        http::Client,
        index::SelectionKey,
    },
    project::lock::Entry,
    run::{
        commands::pack::deliver::publish,
        options::Keep,
        supply::{session::Session, sources::Index, work::subject},
    },
    words::{error::Result, interrupt, progress::Progress, vocab::Sha256},
};

/// Writes what was asked for.
pub(super) fn keep(
    keep: &Keep,
    cache: &Cache,
    before_layers: &BTreeSet<PathBuf>,
    needs: &[(&Work<'_>, &Session<'_>)],
    fetched: &[Vec<Outcome>],
    warmed: &mut Warmed,
) -> Result<()> {
    if let Some(dir) = &keep.wheelhouse {
        warmed.written.push(wheelhouse(dir, needs, fetched).map_err(destination)?);
    }
    if let Some(to) = &keep.output {
        let paths = all(cache, needs, fetched);
        let (place, bytes) = publish(to, &mut |out, _| cache.bundle(&paths, out))?;
        let bytes = bytes.unwrap_or(0);
        warmed.written.push(Written { what: "tar", place, files: paths.len(), bytes });
    }
    if let Some(dir) = &keep.delta {
        let mut paths: BTreeSet<PathBuf> = cache.added().into_iter().map(|added| added.path).collect();
        if keep.layers.is_some() {
            // What `pack` made went into the cache through another door.
            let items = cache.items().into_iter().filter(|item| !before_layers.contains(&item.path));
            paths.extend(items.flat_map(|item| cache.files_of(&item)));
        }
        paths.retain(|path| is_carried(path));
        let paths: Vec<PathBuf> = paths.into_iter().collect();
        let bytes = cache.copy_to(&paths, dir).map_err(destination)?;
        let (place, files) = (dir.display().to_string(), paths.len());
        warmed.written.push(Written { what: "delta", place, files, bytes });
    }
    Ok(())
}

/// Everything that these locks need for these targets, by path below the cache's layout, sorted.
fn all(cache: &Cache, needs: &[(&Work<'_>, &Session<'_>)], fetched: &[Vec<Outcome>]) -> Vec<PathBuf> {
    let mut paths = BTreeSet::new();
    for ((work, session), row) in needs.iter().zip(fetched) {
        for (entry, outcome) in work.entries.iter().zip(row) {
            let (Outcome::Wheel(got) | Outcome::Source(got)) = outcome else { continue };
            for (file, _) in got.files() {
                let name = file.path().file_name().and_then(|name| name.to_str());
                paths.extend(name.map(|name| file_path(&file.sha256(), file.size(), name)));
            }
            paths.extend(records(work, session, entry).into_iter().filter(|path| session.cache.holds(path)));
        }
    }
    let files: HashSet<Sha256> =
        fetched.iter().flatten().filter_map(Outcome::file).map(|got| got.file.sha256()).collect();
    paths.extend(cache.builds_of(&files));
    paths.into_iter().collect()
}

/// Where the records of what an entry's indexes said are, below the cache's layout.
fn records(work: &Work<'_>, session: &Session<'_>, entry: &Entry) -> Vec<PathBuf> {
    let pin = entry.pin.to_string();
    let concealed = work.options.common.env.concealed();
    let of = |index: Index| {
        let (name, hashes) = (&entry.name, &entry.hashes);
        let key = SelectionKey { source: &index.url, concealed, name, pin: &pin, hashes };
        key.path(&session.cache)
    };
    session.sources.of(entry).unwrap_or_default().into_iter().filter_map(of).collect()
}

/// Sends to a registry what it does not have of what locks pin, and of what indexes said of it.
pub(super) fn push(
    to: &Reference,
    client: &Arc<Client<'_>>,
    needs: &[(&Work<'_>, &Session<'_>)],
    fetched: &[Vec<Outcome>],
    progress: &dyn Progress,
) -> Result<Written> {
    let Some((work, _)) = needs.first() else {
        return Ok(Written { what: "registry", place: shown_repository(to), files: 0, bytes: 0 });
    };
    let (common, index) = (&work.options.common, &work.options.index);
    let logins = Logins::of(&common.env, index.ci_credentials);
    let registry = Registry::new(Arc::clone(client), to.clone(), &logins)?;
    let mut files: BTreeMap<Sha256, (VerifiedFile, String)> = BTreeMap::new();
    let mut selections = BTreeMap::new();
    for ((work, session), row) in needs.iter().zip(fetched) {
        for (entry, outcome) in work.entries.iter().zip(row) {
            let Some(got) = outcome.file() else { continue };
            // What was built, no lock pins, and nobody would look for it there.
            let is_pinned = |digest: &Sha256| {
                entry.hashes.sha256.contains(digest)
                    || entry.files.iter().any(|file| file.sha256.as_ref() == Some(digest))
            };
            for (file, name) in got.files().into_iter().filter(|(file, _)| is_pinned(&file.sha256())) {
                files.insert(file.sha256(), (file.clone(), name.to_owned()));
            }
            for path in records(work, session, entry) {
                if let (Some(key), Ok(bytes)) = (path.file_name(), session.cache.read_kept_file(&path)) {
                    selections.insert(key.to_string_lossy().into_owned(), (bytes, subject(entry)));
                }
            }
        }
    }
    progress.stage("Pushing", files.values().map(|(file, _)| file.size()).sum());
    registry.push_empty()?;
    let sent = files
        .par_iter()
        .map(|(_, (file, name))| {
            interrupt::check()?;
            let sent = registry.push_wheel(file, name)?;
            progress.advance(file.size());
            Ok(if sent { (1, file.size()) } else { (0, 0) })
        })
        .try_reduce(|| (0, 0), |a, b| Ok((a.0 + b.0, a.1 + b.1)))?;
    selections.par_iter().try_for_each(|(key, (bytes, title))| {
        interrupt::check()?;
        registry.push_selection(key, bytes, title).map(drop)
    })?;
    Ok(Written { what: "registry", place: shown_repository(to), files: sent.0, bytes: sent.1 })
}

impl Got {
    /// The file, and what it was built from, each with the name that counts.
    fn files(&self) -> Vec<(&VerifiedFile, &str)> {
        let source = self.source.as_ref().map(|(file, name)| (file, name.as_str()));
        std::iter::once((&self.file, self.file_name.as_str())).chain(source).collect()
    }
}

impl Outcome {
    /// What is in the cache.
    pub(super) fn file(&self) -> Option<&Got> {
        match self {
            Outcome::Wheel(got) | Outcome::Source(got) => Some(got),
            _ => None,
        }
    }
}
