//! Whatever is derived from a key, as a file or a directory: built wheels, answers of interpreters.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::{Cache, KeyLock, sharded, temporary};
use crate::words::{
    error::{Error, Result},
    vocab::Sha256,
};

/// The place of something derived from a key.
#[derive(Debug)]
pub struct Keyed<'a> {
    cache: &'a Cache,
    key: Sha256,
    kind: &'static str,
}

impl Cache {
    /// The place for what `key` gives. `kind` names the sort of thing, such as `built`; the key is a
    /// digest of everything the thing depends on, and of no secret.
    pub fn keyed(&self, kind: &'static str, key: &Sha256) -> Keyed<'_> {
        Keyed { cache: self, key: *key, kind }
    }

    /// Begins a directory that belongs at `to`, somewhere below the cache's root.
    pub fn begin_directory(&self, to: PathBuf) -> Result<PendingDir> {
        let (made, lock) = temporary::directory(&self.temporary())?;
        Ok(PendingDir { made, _lock: lock, to })
    }
}

impl Keyed<'_> {
    /// Where a new one goes.
    pub fn path(&self) -> PathBuf {
        self.below(self.cache.root())
    }

    /// Where it is, if it is there.
    pub fn existing(&self) -> Option<PathBuf> {
        self.cache.roots.iter().map(|root| self.below(root)).find(|path| path.exists())
    }

    /// The contents, if it is there and a file.
    pub fn read(&self) -> Option<Vec<u8>> {
        self.cache.roots.iter().find_map(|root| fs::read(self.below(root)).ok())
    }

    /// Publishes a file with these contents, in place of one that may be there.
    pub fn publish(&self, contents: &[u8]) -> Result<()> {
        let mut file = temporary::file(&self.cache.temporary())?;
        file.write_all(contents).map_err(|error| Error::io("cannot write", file.path(), error))?;
        publish(file.path(), &self.path())
    }

    /// Begins a directory.
    pub fn begin_directory(&self) -> Result<PendingDir> {
        self.cache.begin_directory(self.path())
    }

    /// Waits for the sole right to make this one (see [`Cache::lock`]).
    pub fn lock(&self) -> KeyLock {
        self.cache.lock(&Sha256::of(format!("{} {}", self.kind, self.key).as_bytes()))
    }

    fn below(&self, root: &Path) -> PathBuf {
        root.join(self.kind).join(sharded(&self.key))
    }
}

/// A directory in the making; dropped before [`PendingDir::commit`], it is gone.
#[derive(Debug)]
pub struct PendingDir {
    made: TempDir,
    _lock: Option<File>,
    to: PathBuf,
}

impl PendingDir {
    /// Where to make it.
    pub fn path(&self) -> &Path {
        self.made.path()
    }

    /// Publishes it and says where it is now. If someone else was faster, theirs stays.
    pub fn commit(self) -> Result<PathBuf> {
        match publish(self.made.path(), &self.to) {
            Err(_) if self.to.is_dir() => {}
            result => result?,
        }
        // What was renamed is no longer there to be removed; what came second is.
        Ok(self.to)
    }
}

/// Renames `from` to `to`, making the directory above. Someone who clears the cache may take that
/// directory away in between, hence more than one try.
pub(super) fn publish(from: &Path, to: &Path) -> Result<()> {
    const TRIES: u32 = 5;
    let cannot = |error| Error::io("cannot publish into the cache", to, error);
    let mut tries = 0;
    loop {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(cannot)?;
        }
        tries += 1;
        match fs::rename(from, to) {
            Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => {}
            result => return result.map_err(cannot),
        }
    }
}
