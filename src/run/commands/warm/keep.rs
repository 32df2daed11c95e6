//! What is written beside the cache: a tar, a cache of what was added, wheels for pip.

use std::{
    collections::{BTreeSet, HashSet},
    path::PathBuf,
};

use super::{
    Warmed, Work, Written, destination,
    fetch::{Got, Outcome},
    wheelhouse::wheelhouse,
};
use crate::{
    packages::{
        cache::{Cache, file_path, is_carried},
        index::SelectionKey,
    },
    run::{commands::pack::deliver::publish, options::Keep, supply::session::Session},
    words::{error::Result, vocab::Sha256},
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
            paths.extend(of_file(got));
            for index in session.sources.of(entry).unwrap_or_default() {
                let concealed = work.options.common.env.concealed();
                let pin = entry.pin.to_string();
                let key = SelectionKey {
                    source: &index.url,
                    concealed,
                    name: &entry.name,
                    pin: &pin,
                    hashes: &entry.hashes,
                };
                paths.extend(key.path(cache).filter(|path| cache.holds(path)));
            }
        }
    }
    let files: HashSet<Sha256> =
        fetched.iter().flatten().filter_map(Outcome::file).map(|got| got.file.sha256()).collect();
    paths.extend(cache.builds_of(&files));
    paths.into_iter().collect()
}

fn of_file(got: &Got) -> Option<PathBuf> {
    let name = got.file.path().file_name()?.to_str()?;
    Some(file_path(&got.file.sha256(), got.file.size(), name))
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
