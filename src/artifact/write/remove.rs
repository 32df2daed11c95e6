//! Removing a whole environment, in parallel.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

/// Levels of an environment above its packages: `lib/python3.11/site-packages`.
const LEVELS: usize = 3;

/// Removes a directory and all below it; links in it are removed, never followed.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    let mut level = vec![path.to_path_buf()];
    for _ in 0..LEVELS {
        level = level.iter().flat_map(|dir| subdirectories(dir)).collect();
    }
    let packages: Vec<PathBuf> = level.iter().flat_map(|dir| subdirectories(dir)).collect();
    packages.par_iter().try_for_each(fs::remove_dir_all)?;
    fs::remove_dir_all(path)
}

/// Directories right below `dir`; what cannot be listed is left to the caller's final removal to report.
fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}
