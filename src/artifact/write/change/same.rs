//! What of a distribution that comes is in its place already: a file that two versions have in common is neither
//! written nor touched.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
};

use super::Previous;
use crate::environment::{
    layout::{Plan, PlanFile, Written},
    manifest::{condition::Near, text::Content},
};

/// Files of the distributions that leave, as the manifest has them.
pub(super) struct Same<'a> {
    near: Near<'a>,
    files: HashMap<&'a str, Content<'a>>,
    mtime: i64,
}

impl<'a> Same<'a> {
    /// Those of `old` that lie where `plan` has something, but for what is known not to be as it was written.
    pub(super) fn new(
        previous: &'a Previous<'_>,
        plan: &Plan,
        old: &'a HashSet<String>,
        top: &'a File,
    ) -> Self {
        let manifest = &previous.manifest;
        let bad: HashSet<&str> = previous.condition.bad.iter().map(String::as_str).collect();
        let mut files = HashMap::new();
        let mut path = String::new();
        for dir in &plan.dirs {
            let Some(there) = manifest.dir(dir.as_str()) else { continue };
            for item in there.items().flatten() {
                path.clear();
                path.push_str(dir.as_str());
                path.push('/');
                path.push_str(&item.name);
                if let Some(path) = old.get(&path).filter(|path| !bad.contains(path.as_str())) {
                    files.insert(path.as_str(), item.content);
                }
            }
        }
        Same { near: Near::new(top, manifest), files, mtime: manifest.mtime }
    }

    /// Whether this file is there with this digest and size, as far as `stat` can tell.
    pub(super) fn holds(&self, file: &PlanFile, written: Written) -> bool {
        let path = file.path.as_str();
        self.files.get(path).is_some_and(|content| {
            let Content::File { size, digest, executable } = content else { return false };
            *size == written.size
                && *executable == file.executable
                && *digest == written.sha256.to_record()
                && self.near.is_as_written(path, content, self.mtime)
        })
    }
}
