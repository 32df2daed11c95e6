//! Caches of tests, and what lies in them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use walkdir::{DirEntry, WalkDir};

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
    WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != "verified")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| !entry.file_type().is_dir() && entry.file_name() != "CACHEDIR.TAG")
        .map(DirEntry::into_path)
        .collect()
}
