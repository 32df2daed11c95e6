//! Verified files, records, built wheels and locks below one directory.
//!
//! The layout, below a directory that names its version:
//!
//! ```text
//! v1/files/ab/cdef.../SIZE/FILENAME   a file that matched sha256:abcdef..., SIZE bytes long
//! v1/selections/ab/cdef....json       which files the digests of a lock's entry belong to
//! v1/KIND/ab/cdef...                  whatever else is derived from a key (`Cache::keyed`)
//! v1/unpacked                         the store of unpacked wheels
//! v1/locks, v1/tmp                    who is at work, and on what
//! ```
//!
//! Everything is made in `tmp` and published by one rename, so a run that is killed leaves nothing that
//! a later one would trust. Nothing secret is ever part of a key or of what is kept.

mod files;
mod keyed;
mod lock;
mod pending;
mod temporary;
#[cfg(test)]
mod tests;
mod upkeep;
mod verified;

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

pub use files::digest_of;
pub use keyed::{Keyed, PendingDir};
pub use lock::KeyLock;
pub use pending::Pending;
pub use upkeep::Usage;
pub use verified::VerifiedFile;

use crate::words::{
    error::{Error, Result},
    vocab::Sha256,
};

/// The layout's version: another one is another directory, so old and new venvoys share a cache.
const LAYOUT: &str = "v1";

/// How a cache is opened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Options {
    /// Change nothing in the cache, as if it could not be written.
    pub read_only: bool,
}

/// The cache directory. Shared by threads and by processes, on one machine or through a mount.
#[derive(Debug)]
pub struct Cache {
    /// Where entries are looked for, the first also being where new ones go.
    roots: Vec<PathBuf>,
    /// New entries of a run that cannot write the cache; removed at its end.
    private: Option<tempfile::TempDir>,
}

impl Cache {
    /// Opens the cache at `root`, making it if need be, and sweeps what killed runs left behind.
    ///
    /// A cache that may not be written is read all the same; what is new goes to a private temporary
    /// directory for this run, and [`Cache::warning`] says so.
    pub fn open(root: &Path, options: Options) -> Result<Self> {
        let shared = root.join(LAYOUT);
        if options.read_only {
            return Self::beside(shared);
        }
        match make(root, &shared) {
            Ok(()) => {}
            Err((_, error))
                if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) =>
            {
                return Self::beside(shared);
            }
            Err((path, error)) => {
                return Err(Error::io("cannot make the cache directory", &path, error)
                    .help("name another directory with VENVOY_CACHE_DIR"));
            }
        }
        let cache = Cache { roots: vec![shared], private: None };
        temporary::sweep(&cache.temporary());
        Ok(cache)
    }

    /// A cache that is only read, with a private directory for what is new.
    fn beside(shared: PathBuf) -> Result<Self> {
        let private = tempfile::Builder::new().prefix("venvoy-cache-").tempdir().map_err(|error| {
            Error::io("cannot make a temporary directory in", &std::env::temp_dir(), error)
        })?;
        let root = private.path().join(LAYOUT);
        make(private.path(), &root)
            .map_err(|(path, error)| Error::io("cannot make the directory", &path, error))?;
        Ok(Cache { roots: vec![root, shared], private: Some(private) })
    }

    /// What the user should hear about this cache.
    pub fn warning(&self) -> Option<String> {
        let shared = self.roots.get(1)?.parent()?;
        Some(format!(
            "the cache {} cannot be written: it is read, but what is downloaded now will not be kept; set \
             VENVOY_CACHE_DIR to a directory that can be written",
            shared.display()
        ))
    }

    /// Whether what this run stores is gone after it.
    pub fn is_read_only(&self) -> bool {
        self.private.is_some()
    }

    /// The directory of the layout that new entries go to.
    fn root(&self) -> &Path {
        &self.roots[0]
    }

    /// Where unfinished things are made: on the same file system as their final places.
    pub fn temporary(&self) -> PathBuf {
        self.root().join("tmp")
    }

    /// The store of unpacked wheels. It is made by whoever first needs it.
    pub fn unpacked_dir(&self) -> PathBuf {
        self.root().join("unpacked")
    }

    /// Where builds keep wheels, checkouts and notes. It is made by whoever first needs it.
    pub fn built_dir(&self) -> PathBuf {
        self.root().join("built")
    }

    /// Where the output of builds is kept.
    pub fn logs_dir(&self) -> PathBuf {
        self.root().join("logs")
    }

    /// Waits for the sole right to make what belongs to `key`; given back when the value is dropped.
    ///
    /// It saves work and protects nothing, as everything is published by rename: where the file system
    /// knows no locks, this returns at once. Look again for what you want once you have it.
    pub fn lock(&self, key: &Sha256) -> KeyLock {
        KeyLock::acquire(&self.root().join("locks").join(format!("{key}.lock")))
    }
}

/// `ab/cdef...`: no directory gets more than a few hundred entries.
fn sharded(key: &Sha256) -> PathBuf {
    let text = key.to_string();
    Path::new(&text[..2]).join(&text[2..])
}

/// Makes the directories that everything else needs and marks the cache for backup programs.
fn make(root: &Path, layout: &Path) -> Result<(), (PathBuf, std::io::Error)> {
    for dir in ["tmp", "locks"] {
        let dir = layout.join(dir);
        fs::create_dir_all(&dir).map_err(|error| (dir.clone(), error))?;
        rustix::fs::access(&dir, rustix::fs::Access::WRITE_OK).map_err(|error| (dir, error.into()))?;
    }
    let tag = root.join("CACHEDIR.TAG");
    if !tag.exists() {
        // Only a courtesy (https://bford.info/cachedir/): a cache without it works.
        let _ = fs::write(tag, "Signature: 8a477f597d28d172789f06886806bc55\n# Made by venvoy.\n");
    }
    Ok(())
}
