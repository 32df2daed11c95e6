//! What is to be done among the packages of an interpreter, in steps.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fs,
    path::Path,
};

use super::path_in;
use crate::{
    artifact::write::{journal::Step, tree::Filled},
    environment::{
        layout::Written,
        manifest::{
            condition::{Extent, examine},
            text::{Content, Manifest},
        },
    },
    project::python::Site,
    words::{
        error::{Error, Kind, Result},
        vocab::RelPath,
    },
};

/// What is to be done, in steps.
pub(super) struct Work<'a> {
    /// Where.
    pub(super) site: &'a Site,
    /// What is new, in the staging directory.
    pub(super) filled: &'a Filled<'a>,
    /// Files that are there and go, or come again.
    pub(super) old: &'a HashSet<&'a str>,
    /// Whether to put what is there already in its place again.
    pub(super) all: bool,
}

impl Work<'_> {
    /// The steps, in their order; `manifest` is of what venvoy has there.
    pub(super) fn steps(&self, manifest: Option<&Manifest<'_>>) -> Result<Vec<Step>> {
        let plan = &*self.filled.plan;
        let new: HashSet<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
        let mut removed: BTreeSet<String> =
            self.old.iter().filter(|path| !new.contains(**path)).map(|path| (*path).to_owned()).collect();
        // Whatever a record may claim: a directory is nobody's file, and others' packages are in it.
        removed
            .retain(|path| fs::symlink_metadata(self.site.root.join(path)).is_ok_and(|meta| !meta.is_dir()));
        let stale = self.stale_bytecode(&removed, &new);
        removed.extend(stale);
        let emptied = self.emptied(&removed);
        let mut steps = Vec::new();
        for path in &removed {
            steps.push(Step::Remove(path.parse()?));
        }
        // The deepest first.
        for dir in emptied.iter().rev() {
            steps.push(Step::RemoveEmpty(dir.parse()?));
        }
        let whole = self.whole_directories(&removed)?;
        for dir in &whole {
            steps.push(Step::Move(dir.parse()?));
        }
        let moved = |path: &str| {
            let at = whole.partition_point(|dir| dir.as_str() <= path);
            at > 0 && path.strip_prefix(whole[at - 1].as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let same = self.same(manifest);
        for file in plan.files.iter().filter(|file| !moved(file.path.as_str())) {
            let path = file.path.as_str();
            if same.contains(path) {
                continue;
            }
            let there = self.site.root.join(file.path.as_path());
            if there.is_dir() && !there.is_symlink() && !emptied.contains(path) {
                return Err(in_the_way(&there, "a directory", "a file"));
            }
            steps.push(Step::Move(file.path.clone()));
        }
        Ok(steps)
    }

    /// Files that are there already, as they are to be.
    fn same(&self, manifest: Option<&Manifest<'_>>) -> HashSet<String> {
        let Some(manifest) = manifest.filter(|_| !self.all) else { return HashSet::new() };
        let Ok(top) = fs::File::open(&self.site.root) else { return HashSet::new() };
        let Some(condition) = examine(&top, manifest, Extent::Listed) else { return HashSet::new() };
        let bad: HashSet<&str> = condition.bad.iter().map(String::as_str).collect();
        let new: HashMap<&str, (&Written, bool)> = self
            .filled
            .plan
            .files
            .iter()
            .zip(&self.filled.written)
            .map(|(file, written)| (file.path.as_str(), (written, file.executable)))
            .collect();
        let mut same = HashSet::new();
        for dir in &manifest.dirs {
            for item in dir.items().flatten() {
                let path = path_in(&dir.path, &item.name);
                if let Content::File { size, digest, executable } = &item.content
                    && let Some((written, is_executable)) = new.get(path.as_str())
                    && written.size == *size
                    && written.sha256.to_record() == *digest
                    && is_executable == executable
                    && !bad.contains(path.as_str())
                {
                    same.insert(path);
                }
            }
        }
        same
    }

    /// Directories that are not there and come by one rename with all that is in them, sorted.
    fn whole_directories(&self, removed: &BTreeSet<String>) -> Result<Vec<String>> {
        let plan = &*self.filled.plan;
        let mut whole: Vec<String> = Vec::new();
        for dir in &plan.dirs {
            let dir = dir.as_str();
            let inside = format!("{dir}/");
            let above = whole.last().is_some_and(|above| dir.starts_with(&format!("{above}/")));
            let first = plan.files.partition_point(|file| file.path.as_str() < inside.as_str());
            let is_empty = plan.files.get(first).is_none_or(|file| !file.path.as_str().starts_with(&inside));
            if above || is_empty {
                continue;
            }
            let there = self.site.root.join(dir);
            match fs::symlink_metadata(&there) {
                Ok(meta) if meta.is_dir() => {}
                Ok(meta) if meta.is_symlink() && there.is_dir() => {
                    return Err(in_the_way(&there, "a link to a directory", "a directory"));
                }
                Ok(_) if !removed.contains(dir) => return Err(in_the_way(&there, "a file", "a directory")),
                _ => whole.push(dir.to_owned()),
            }
        }
        Ok(whole)
    }

    /// Bytecode that an interpreter made of sources which go or are not what they were: with times that never change,
    /// it would be taken for theirs.
    fn stale_bytecode(&self, removed: &BTreeSet<String>, new: &HashSet<&str>) -> Vec<String> {
        let mut sources: BTreeMap<&str, HashSet<&str>> = BTreeMap::new();
        for path in removed.iter().map(String::as_str).chain(new.iter().copied()) {
            let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
            if let Some(stem) = name.strip_suffix(".py") {
                sources.entry(dir).or_default().insert(stem);
            }
        }
        let mut stale = Vec::new();
        for (dir, stems) in sources {
            let cache = format!("{dir}/__pycache__");
            let Ok(entries) = fs::read_dir(self.site.root.join(&cache)) else { continue };
            for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
                let stem =
                    name.strip_suffix(".pyc").and_then(|stem| stem.split_once('.')).map(|(stem, _)| stem);
                let path = format!("{cache}/{name}");
                if stem.is_some_and(|stem| stems.contains(stem)) && !new.contains(path.as_str()) {
                    stale.push(path);
                }
            }
        }
        stale
    }

    /// Directories that may be empty once these files are gone, and are not needed. What every prefix has stays.
    fn emptied(&self, removed: &BTreeSet<String>) -> BTreeSet<String> {
        let plan = &*self.filled.plan;
        let needed: HashSet<&str> = plan.dirs.iter().map(RelPath::as_str).collect();
        let packages = self.site.packages.as_str();
        let stays = |dir: &str| {
            !dir.contains('/')
                || needed.contains(dir)
                || packages == dir
                || packages.starts_with(&format!("{dir}/"))
        };
        let mut emptied = BTreeSet::new();
        for path in removed {
            let mut dir = path.as_str();
            while let Some((above, _)) = dir.rsplit_once('/') {
                if stays(above) || !emptied.insert(above.to_owned()) {
                    break;
                }
                dir = above;
            }
        }
        emptied
    }
}

fn in_the_way(path: &Path, is: &str, comes: &str) -> Error {
    Error::new(
        Kind::Destination,
        format!("{} is {is}, and {comes} is to be installed there; nothing was changed", path.display()),
    )
    .help("find out what made it, and move it away")
}
