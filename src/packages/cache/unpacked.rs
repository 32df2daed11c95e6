//! Unpacked wheels, for environments on the same file system to link from.
//!
//! `unpacked/v1/MTIME/DIGEST/N` is entry N of the wheel with that digest, `Nx` the same with mode 0755. Flat, so a wheel
//! costs one directory. What the ledger vouches for is the directory: nothing was put into it or taken out since this
//! user's venvoy filled it. A file in it may still have been written to through an environment that is linked to it;
//! its time gives that away, unless it was set back on purpose, which `--strict` and `check --repair` find by digest.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{Cache, Dir, PendingDir};
use crate::words::{error::Result, vocab::Sha256};

pub(super) const KIND: &str = "unpacked";

/// Where files of one time are kept.
#[derive(Debug, Clone)]
pub struct Unpacked {
    cache: Cache,
    home: Dir,
    path: PathBuf,
    mtime: i64,
}

/// One wheel's directory.
#[derive(Debug)]
pub struct UnpackedWheel {
    /// The open directory.
    pub dir: Dir,
    /// It was made just now.
    pub new: bool,
    /// Nothing in it needs to be digested.
    pub trusted: bool,
    sha256: Sha256,
}

impl Cache {
    /// The store for files of this modification time (in seconds since 1970); made by whoever first needs it.
    pub fn unpacked(&self, mtime: i64) -> Result<Unpacked> {
        let path = Path::new(KIND).join("v1").join(mtime.to_string());
        Ok(Unpacked { cache: self.clone(), home: self.home()?, path, mtime })
    }
}

impl UnpackedWheel {
    /// Whether nobody but this process's user (and root) can change what it holds.
    pub fn is_own(&self) -> bool {
        self.dir.is_own()
    }

    /// The names of its files.
    pub fn names(&self) -> Vec<OsString> {
        self.dir.names().unwrap_or_default()
    }

    /// Opens one of them; an error if it is no regular file.
    pub fn file(&self, name: &OsStr) -> io::Result<File> {
        self.dir.file(name)
    }

    /// Removes whatever has this name.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        self.dir.remove(name)
    }
}

impl Unpacked {
    /// Where it is, for messages.
    pub fn path(&self) -> PathBuf {
        self.home.path().join(&self.path)
    }

    /// The directory of all wheels, made if it is not there.
    pub fn dir(&self) -> io::Result<Dir> {
        self.home.make(&self.path)
    }

    /// The time of its files.
    pub fn mtime(&self) -> i64 {
        self.mtime
    }

    /// A wheel's directory, if there is one.
    pub fn wheel(&self, sha256: Sha256) -> Option<UnpackedWheel> {
        let dir = self.home.below(self.path.join(sha256.to_string())).ok()?;
        let identity = dir.identity().ok()?;
        let trusted = dir.is_own() && self.cache.ledger(KIND).knows(&self.name(sha256), &identity);
        Some(UnpackedWheel { dir, new: false, trusted, sha256 })
    }

    /// A wheel's directory, made if there is none.
    pub fn wheel_or_new(&self, sha256: Sha256) -> Option<UnpackedWheel> {
        let all = self.dir().ok()?;
        let name = sha256.to_string();
        match rustix::fs::mkdirat(all.handle(), &name, rustix::fs::Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                let dir = all.below(&name).ok()?;
                Some(UnpackedWheel { dir, new: true, trusted: true, sha256 })
            }
            Err(_) => self.wheel(sha256),
        }
    }

    /// Whether a wheel was unpacked.
    pub fn has(&self, sha256: Sha256) -> bool {
        self.home.below(self.path.join(sha256.to_string())).is_ok()
    }

    /// Begins the directory of a wheel, to be published as a whole.
    pub fn begin(&self, sha256: Sha256) -> Result<PendingDir> {
        self.cache.begin_directory(self.path.join(sha256.to_string()))
    }

    /// Publishes a wheel's directory that this run filled with what matched its digests.
    pub fn commit(&self, sha256: Sha256, filled: PendingDir) -> Result<()> {
        if let Some(dir) = filled.commit()? {
            self.vouch(&UnpackedWheel { dir, new: true, trusted: true, sha256 });
        }
        Ok(())
    }

    /// Records that everything in a wheel's directory is right, as it is now.
    pub fn vouch(&self, wheel: &UnpackedWheel) {
        // What others can put something into is looked at each time.
        if let (Ok(identity), true) = (wheel.dir.identity(), wheel.dir.is_own()) {
            self.cache.ledger(KIND).record(&self.name(wheel.sha256), identity, true);
        }
    }

    fn name(&self, sha256: Sha256) -> String {
        format!("{}/{sha256}", self.mtime)
    }
}
