//! An environment that is there, before it is changed.

use std::{
    collections::HashSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    artifact::write::publish::{open_regular, read_regular, text_of},
    environment::{
        layout::{Plan, record_paths},
        manifest::{
            Condition, MANIFEST,
            condition::{Extent, examine},
            text::{Content, Dir, Manifest},
        },
    },
    packages::cache::Identity,
    words::vocab::{RelPath, Sha256},
};

/// In an environment with more files than this, what stays is looked at by directory before a change, as it is where
/// there is nothing to do: the cost of a change is to follow its size. What was added, removed or exchanged since shows
/// that way; an edit that left the file in its place is for `check` to find, which reads all of it.
const LOOK_AT_ALL: usize = 5000;

/// The manifest of an environment that is there, as it stands.
#[derive(Debug)]
pub(crate) struct Standing {
    dest: PathBuf,
    /// It stays open: so no other file can get its inode.
    file: File,
    identity: Identity,
    text: String,
}

impl Standing {
    /// Reads the manifest of what is at `dest`; `None` where there is none.
    pub(crate) fn read(dest: &Path) -> Option<Self> {
        let file = open_regular(&dest.join(MANIFEST))?;
        let identity = Identity::of(&file.metadata().ok()?);
        let text = text_of(&file)?;
        Some(Standing { dest: dest.to_owned(), file, identity, text })
    }

    /// Whether it is still there and the one that was read.
    fn is_there(&self) -> bool {
        let open = self.file.metadata().map(|metadata| Identity::of(&metadata));
        let named = fs::symlink_metadata(self.dest.join(MANIFEST)).map(|metadata| Identity::of(&metadata));
        let is_same = |found: std::io::Result<Identity>| found.is_ok_and(|found| found == self.identity);
        is_same(open) && is_same(named)
    }
}

/// An environment that is there, as its manifest and `stat` describe it.
pub(crate) struct Previous<'s> {
    standing: &'s Standing,
    pub(super) manifest: Manifest<'s>,
    pub(super) dists: Vec<(Sha256, RelPath)>,
    /// How it differs from its manifest.
    pub(super) condition: Condition,
}

impl<'s> Previous<'s> {
    /// Looks at what is there; `None` where that is no environment that could be changed.
    pub(crate) fn examine(standing: &'s Standing) -> Option<Self> {
        let top = File::open(&standing.dest).ok()?;
        let manifest = Manifest::parse(&standing.text)?;
        let lines = memchr::memchr_iter(b'\n', standing.text.as_bytes()).count();
        let extent = if lines > LOOK_AT_ALL { Extent::Directories } else { Extent::Whole };
        let condition = examine(&top, &manifest, extent)?;
        let dists = manifest
            .dists
            .iter()
            .map(|(key, dist_info)| Some((key.parse().ok()?, dist_info.parse().ok()?)))
            .collect::<Option<Vec<_>>>()?;
        Some(Previous { standing, manifest, dists, condition })
    }

    /// Whether its manifest is still the one that was read.
    pub(super) fn is_there(&self) -> bool {
        self.standing.is_there()
    }

    /// The length of its manifest, in bytes.
    pub(super) fn length(&self) -> usize {
        self.standing.text.len()
    }

    /// The key of what all its files depend on.
    pub(crate) fn common(&self) -> &str {
        self.manifest.common
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
        let mut unexplained: HashSet<&str> = self.condition.bad.iter().map(String::as_str).collect();
        for (position, (_, dist_info)) in self.dists.iter().enumerate() {
            let own = format!("{dist_info}/");
            // A record that is not as it was written explains what lies beside it, and no more.
            let listed = if unexplained.contains(format!("{own}RECORD").as_str()) {
                None
            } else {
                self.listed(position)
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
        let lost_record = damaged.iter().any(|&position| self.listed(position).is_none());
        (unexplained.is_empty() || lost_record).then_some(damaged)
    }

    /// The files that a distribution's RECORD lists, relative to the environment; `None` if it is not the one that
    /// was written.
    pub(crate) fn listed(&self, position: usize) -> Option<Vec<RelPath>> {
        let dist_info = &self.dists[position].1;
        let path = dist_info.join(&"RECORD".parse().ok()?);
        let text = read_regular(&self.standing.dest.join(path.as_path()))?;
        let item =
            self.manifest.dir(dist_info.as_str())?.items().flatten().find(|item| item.name == "RECORD")?;
        let Content::File { digest, .. } = item.content else { return None };
        if Sha256::of(text.as_bytes()).to_record() != *digest {
            return None;
        }
        record_paths(text.as_bytes(), &dist_info.parent()?)
    }

    /// What the distributions that leave had written; `None` where that is not known.
    pub(super) fn files_of(&self, leaving: &HashSet<usize>, plan: &Plan) -> Option<HashSet<String>> {
        let mut old = HashSet::new();
        for &position in leaving {
            if let Some(listed) = self.listed(position) {
                old.extend(listed.iter().map(RelPath::to_string));
                continue;
            }
            // It comes again, so its files are known; they are looked at one by one.
            let key = self.dists[position].0;
            let planned = plan.dists.iter().position(|dist| dist.key == key)?;
            let listed = plan.listed();
            old.extend(listed[planned].iter().map(|&at| plan.files[at].path.to_string()));
        }
        Some(old)
    }

    /// The distributions that stay and have a path in common with one that leaves or comes (`plan`). As the one that is
    /// installed last counts there, they have to come again. `None` where it is not known what lists a path.
    pub(crate) fn entangled(&self, leaving: &HashSet<usize>, plan: &Plan) -> Option<HashSet<usize>> {
        let old = self.files_of(leaving, plan)?;
        let shared = self.manifest.shared.iter().filter(|path| old.contains(&***path));
        let mut met: HashSet<String> = shared.map(std::string::ToString::to_string).collect();
        for dir in &plan.dirs {
            for item in self.manifest.dir(dir.as_str()).into_iter().flat_map(Dir::items) {
                let path = format!("{dir}/{}", item?.name);
                let is_planned = plan.files.binary_search_by(|file| file.path.as_str().cmp(&path)).is_ok();
                if is_planned && !old.contains(&path) {
                    met.insert(path);
                }
            }
        }
        let mut entangled = HashSet::new();
        if met.is_empty() {
            return Some(entangled);
        }
        for position in (0..self.dists.len()).filter(|position| !leaving.contains(position)) {
            if self.listed(position)?.iter().any(|path| met.contains(path.as_str())) {
                entangled.insert(position);
            }
        }
        Some(entangled)
    }
}
