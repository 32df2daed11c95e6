//! Caches of tests, and what lies in them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{Cache, Options};

/// A directory that goes with the test.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// A cache with the usual options.
pub(crate) fn open(root: &Path) -> Cache {
    Cache::open(root, Options::default())
}

/// Every file below a directory, ledgers left out.
pub(crate) fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name == "verified") {
            continue;
        }
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.file_name().is_some_and(|name| name != "CACHEDIR.TAG") {
            found.push(path);
        }
    }
    found.sort();
    found
}
