//! An environment that is there, before it is changed.

use std::{
    collections::HashSet,
    fs::File,
    path::{Path, PathBuf},
};

use crate::{
    artifact::write::publish::read_regular,
    environment::{
        layout::record_paths,
        manifest::{
            Condition, MANIFEST,
            condition::{Extent, examine},
            text::{Content, Manifest},
        },
    },
    words::vocab::{RelPath, Sha256},
};

/// In an environment with more files than this, what stays is looked at by directory before a change, as it is where
/// there is nothing to do: the cost of a change is to follow its size. What was added, removed or exchanged since shows
/// that way; an edit that left the file in its place is for `check` to find, which reads all of it.
const LOOK_AT_ALL: usize = 5000;

/// An environment that is there, as its manifest and `stat` describe it.
#[derive(Debug)]
pub(crate) struct Previous {
    dest: PathBuf,
    /// Its manifest as it stands.
    pub(super) text: String,
    common: String,
    pub(super) dists: Vec<(Sha256, RelPath)>,
    /// How it differs from its manifest.
    pub(super) condition: Condition,
}

impl Previous {
    /// Reads what is at `dest`; `None` where that is no environment that could be changed.
    pub(crate) fn read(dest: &Path) -> Option<Self> {
        let text = read_regular(&dest.join(MANIFEST))?;
        let top = File::open(dest).ok()?;
        let manifest = Manifest::parse(&text)?;
        let lines = memchr::memchr_iter(b'\n', text.as_bytes()).count();
        let extent = if lines > LOOK_AT_ALL { Extent::Directories } else { Extent::Whole };
        let condition = examine(&top, &manifest, extent)?;
        let dists = manifest
            .dists
            .iter()
            .map(|(key, dist_info)| Some((key.parse().ok()?, dist_info.parse().ok()?)))
            .collect::<Option<Vec<_>>>()?;
        let common = manifest.common.to_owned();
        Some(Previous { dest: dest.to_owned(), common, dists, condition, text })
    }

    /// The key of what all its files depend on.
    pub(crate) fn common(&self) -> &str {
        &self.common
    }

    /// Its distributions in the order in which they were installed: key and dist-info directory.
    pub(crate) fn dists(&self) -> &[(Sha256, RelPath)] {
        &self.dists
    }

    /// The distributions whose files are not as they were written, by position; `None` where something else is
    /// not either: a fresh environment is the remedy then.
    pub(crate) fn damaged(&self) -> Option<HashSet<usize>> {
        let mut damaged = HashSet::new();
        if self.condition.bad.is_empty() && self.condition.bad_dirs.is_empty() {
            return Some(damaged);
        }
        let manifest = Manifest::parse(&self.text)?;
        let mut unexplained: HashSet<&str> = self.condition.bad.iter().map(String::as_str).collect();
        for (position, (_, dist_info)) in self.dists.iter().enumerate() {
            let own = format!("{dist_info}/");
            // A record that is not as it was written explains what lies beside it, and no more.
            let listed = if unexplained.contains(format!("{own}RECORD").as_str()) {
                None
            } else {
                self.listed(position, &manifest)
            };
            let before = unexplained.len();
            match &listed {
                Some(listed) => unexplained.retain(|path| !listed.iter().any(|one| one.as_str() == *path)),
                None => unexplained.retain(|path| !path.starts_with(&own)),
            }
            if unexplained.len() < before {
                damaged.insert(position);
            }
        }
        // What was listed by a record that is gone is among the files of the distribution when it comes again,
        // or it is not: `change` finds out.
        let lost_record = damaged.iter().any(|&position| self.listed(position, &manifest).is_none());
        (unexplained.is_empty() || lost_record).then_some(damaged)
    }

    /// The files that a distribution's RECORD lists, relative to the environment; `None` if it is not the one that
    /// was written.
    pub(super) fn listed(&self, position: usize, manifest: &Manifest<'_>) -> Option<Vec<RelPath>> {
        let dist_info = &self.dists[position].1;
        let path = dist_info.join(&"RECORD".parse().ok()?);
        let text = read_regular(&self.dest.join(path.as_path()))?;
        // Sorted by path, as they were written; a manifest in which they are not gives nothing.
        let at = manifest.dirs.binary_search_by(|dir| (*dir.path).cmp(dist_info.as_str())).ok()?;
        let dir = &manifest.dirs[at];
        let item = dir.items().flatten().find(|item| item.name == "RECORD")?;
        let Content::File { digest, .. } = item.content else { return None };
        if Sha256::of(text.as_bytes()).to_record() != *digest {
            return None;
        }
        record_paths(text.as_bytes(), &dist_info.parent()?)
    }
}
