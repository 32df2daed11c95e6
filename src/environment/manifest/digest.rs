//! One digest of a whole tree.

use std::{
    fmt::Write as _,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
};

use rayon::prelude::*;
use sha2::Digest as _;

use super::check::{digest_file, unreadable};
use crate::words::{error::Result, files, vocab::Sha256};

/// The digest of everything below `dest`: names, types, modes, times, link targets and contents.
///
/// The algorithm is described in docs/reproducible.md, for whoever wants to compute it without venvoy: a
/// record `TYPE NUL PATH NUL MODE NUL MTIME NUL CONTENT LF` for each, sorted by path, and the SHA-256 of all.
pub(crate) fn tree_digest(dest: &Path) -> Result<Sha256> {
    let mut paths = Vec::new();
    for entry in files::below(dest) {
        let entry = entry.map_err(|(path, error)| unreadable(&path, error))?;
        paths.push(entry.path().strip_prefix(dest).unwrap_or(entry.path()).to_path_buf());
    }
    // Not as they were found: a path with all that is in it comes before the next name.
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    let records: Vec<Vec<u8>> = paths.par_iter().map(|path| record(dest, path)).collect::<Result<_>>()?;
    let mut digest = sha2::Sha256::new();
    for record in &records {
        digest.update(record);
    }
    Ok(Sha256(digest.finalize().into()))
}

fn record(dest: &Path, path: &Path) -> Result<Vec<u8>> {
    let full = dest.join(path);
    let meta = fs::symlink_metadata(&full).map_err(|e| unreadable(&full, e))?;
    let mode = meta.permissions().mode() & 0o7777;
    let (kind, mode, content) = if meta.is_file() {
        ('f', mode, digest_file(&full)?.to_string().into_bytes())
    } else if meta.is_dir() {
        ('d', mode, Vec::new())
    } else if meta.is_symlink() {
        let target = fs::read_link(&full).map_err(|e| unreadable(&full, e))?;
        ('l', 0o777, target.as_os_str().as_bytes().to_vec())
    } else {
        ('?', mode, Vec::new())
    };
    let mut numbers = String::new();
    let _ = write!(numbers, "\0{mode:04o}\0{}\0", meta.mtime());
    let mut out = vec![kind as u8, 0];
    out.extend_from_slice(path.as_os_str().as_bytes());
    out.extend_from_slice(numbers.as_bytes());
    out.extend_from_slice(&content);
    out.push(b'\n');
    Ok(out)
}
