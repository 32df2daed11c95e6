//! The store: wheels unpacked in the cache, for environments on the same file system to link from.
//!
//! `STORE/v1/MTIME/WHEEL-SHA256/N` is entry N of that wheel, `Nx` the same with mode 0755. Flat, so a wheel
//! costs one directory. A file gets there only after it was written completely, matched the digest in
//! RECORD and had its time set: one link or rename (of the file, or of the directory when a wheel is unpacked
//! [ahead](super::Ahead)) makes it visible, so a killed run leaves no half file, and runs need no lock among
//! each other. A file whose size, mode or time is not what it was stored with
//! was edited through some hard link, or cut short by a power failure: it is dropped and unpacked anew.

use std::{
    fs::{self, File},
    io,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

use super::{
    LinkMode,
    unpack::{Spot, mode_of},
};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::Sha256,
};

const REFLINK: u8 = 0;
const HARDLINK: u8 = 1;
const COPY: u8 = 2;
const MOVE: u8 = 3;
const OFF: u8 = 4;

/// The store of one run.
pub(super) struct Store {
    root: OwnedFd,
    shown: PathBuf,
    /// What is tried now; moves on when the file system refuses.
    method: AtomicU8,
    /// The user asked for exactly this method: a refusal is an error.
    exact: bool,
    /// Whether unpacked files are added.
    fill: AtomicBool,
    mtime: i64,
}

/// One wheel's directory in the store.
pub(super) struct StoredWheel {
    dir: OwnedFd,
    /// This run made it, so it holds nothing that is worth looking for.
    new: bool,
}

/// Whether a file came out of the store.
pub(super) enum Fetched {
    /// It is in place.
    Yes,
    /// The store lacks it: unpack it and then [`Store::add`] it.
    Missing,
    /// Unpack it.
    No,
}

impl Store {
    /// The store to use for a run, if there is one and links from it can work.
    pub(super) fn open(
        path: Option<&Path>,
        link: LinkMode,
        mtime: i64,
        staging: &File,
    ) -> Result<Option<Self>> {
        let (method, exact) = match link {
            LinkMode::Auto => (REFLINK, false),
            LinkMode::Reflink => (REFLINK, true),
            LinkMode::Hardlink => (HARDLINK, true),
            LinkMode::Copy => (COPY, false),
            LinkMode::Unpack => return Ok(None),
        };
        let Some(path) = path else { return Ok(None) };
        let shown = place(path, mtime);
        let opened = fs::create_dir_all(&shown).and_then(|()| File::open(&shown));
        let root = match opened {
            Ok(root) => root,
            // A cache that cannot be written still serves wheels.
            Err(_) if !exact => return Ok(None),
            Err(e) => return Err(Error::io("cannot open the store of unpacked wheels", &shown, e)),
        };
        let same = match (rustix::fs::fstat(&root), rustix::fs::fstat(staging)) {
            (Ok(a), Ok(b)) => a.st_dev == b.st_dev,
            _ => false,
        };
        let store = Store {
            root: root.into(),
            shown,
            method: AtomicU8::new(method),
            exact,
            fill: AtomicBool::new(true),
            mtime,
        };
        if !same && method != COPY {
            store.refused(method, Errno::XDEV)?;
            return Ok(None);
        }
        Ok(Some(store))
    }

    /// Wheels that this run unpacked on the destination's file system: what is taken is moved.
    pub(super) fn unpacked_ahead(path: &Path, mtime: i64) -> Option<Self> {
        let root = File::open(path).ok()?;
        Some(Store {
            root: root.into(),
            shown: path.to_owned(),
            method: AtomicU8::new(MOVE),
            exact: false,
            fill: AtomicBool::new(false),
            mtime,
        })
    }

    /// Opens a wheel's directory, making it where files will be added.
    pub(super) fn wheel(&self, sha256: Sha256) -> Option<StoredWheel> {
        let name = sha256.to_string();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = |new| {
            let dir = rustix::fs::openat(&self.root, &name, flags, Mode::empty())?;
            Ok(StoredWheel { dir, new })
        };
        match open(false) {
            Err(Errno::NOENT) if self.fill.load(Ordering::Relaxed) => {
                match rustix::fs::mkdirat(&self.root, &name, Mode::from_raw_mode(0o755)) {
                    Ok(()) => open(true).ok(),
                    Err(Errno::EXIST) => open(false).ok(),
                    Err(_) => None,
                }
            }
            opened => opened.ok(),
        }
    }

    /// Puts a stored entry in its place.
    pub(super) fn fetch(
        &self,
        wheel: &StoredWheel,
        entry: usize,
        size: u64,
        to: &Spot<'_>,
    ) -> Result<Fetched> {
        let name = entry_name(entry, to.executable);
        loop {
            let method = self.method.load(Ordering::Relaxed);
            if method == OFF {
                return Ok(Fetched::No);
            }
            if wheel.new {
                return Ok(Fetched::Missing);
            }
            let Ok(stat) = rustix::fs::statat(&wheel.dir, &name, AtFlags::SYMLINK_NOFOLLOW) else {
                return Ok(Fetched::Missing);
            };
            let intact = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && Mode::from_raw_mode(stat.st_mode) == mode_of(to.executable)
                && u64::try_from(stat.st_size).is_ok_and(|got| got == size)
                && stat.st_mtime == self.mtime
                && stat.st_mtime_nsec == 0;
            if !intact {
                let _ = rustix::fs::unlinkat(&wheel.dir, &name, AtFlags::empty());
                return Ok(Fetched::Missing);
            }
            let done = match method {
                HARDLINK => rustix::fs::linkat(&wheel.dir, &name, to.dir, to.name, AtFlags::empty()),
                MOVE => rustix::fs::renameat(&wheel.dir, &name, to.dir, to.name),
                _ => self.copy_out(wheel, &name, method, to),
            };
            match done {
                Ok(()) => return Ok(Fetched::Yes),
                // As many links as the file system allows: this file needs a body of its own.
                Err(Errno::MLINK) => return Ok(Fetched::No),
                Err(Errno::NOENT) => return Ok(Fetched::Missing),
                Err(error) => {
                    // What a failed clone leaves behind.
                    let _ = rustix::fs::unlinkat(to.dir, to.name, AtFlags::empty());
                    self.refused(method, error)?;
                }
            }
        }
    }

    /// Adds a file that was just unpacked at `from`, digest matched, time and mode set. The store is a
    /// convenience: where it cannot be written, the run goes on without.
    pub(super) fn add(&self, wheel: &StoredWheel, entry: usize, from: &Spot<'_>) -> Result<()> {
        while self.fill.load(Ordering::Relaxed) {
            let method = self.method.load(Ordering::Relaxed);
            let name = entry_name(entry, from.executable);
            let done = match method {
                REFLINK | COPY => self.copy_in(wheel, &name, method, from),
                HARDLINK => rustix::fs::linkat(from.dir, from.name, &wheel.dir, &name, AtFlags::empty()),
                _ => return Ok(()),
            };
            match done {
                Ok(()) | Err(Errno::EXIST | Errno::MLINK) => return Ok(()),
                Err(Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::ACCESS | Errno::NOENT) => {
                    self.fill.store(false, Ordering::Relaxed);
                }
                Err(error) => self.refused(method, error)?,
            }
        }
        Ok(())
    }

    /// Moves on to the next method, unless the user asked for this one.
    fn refused(&self, method: u8, error: Errno) -> Result<()> {
        if self.exact {
            let (what, other) = match method {
                REFLINK => ("clone files", "--link=auto or --link=hardlink"),
                _ => ("make hard links", "--link=auto or --link=unpack"),
            };
            return Err(Error::new(
                Kind::Destination,
                format!("cannot {what} from the cache ({}) into the environment", self.shown.display()),
            )
            .because(io::Error::from(error))
            .help(format!("use {other}, or put the cache on the environment's file system")));
        }
        let next = if method == REFLINK { HARDLINK } else { OFF };
        let _ = self.method.compare_exchange(method, next, Ordering::Relaxed, Ordering::Relaxed);
        Ok(())
    }

    fn copy_out(&self, wheel: &StoredWheel, name: &str, method: u8, to: &Spot<'_>) -> rustix::io::Result<()> {
        let out = to.create()?;
        copy(method, open_to_read(wheel.dir.as_fd(), name)?, &out)?;
        to.finish(&out, self.mtime)
    }

    fn copy_in(
        &self,
        wheel: &StoredWheel,
        name: &str,
        method: u8,
        from: &Spot<'_>,
    ) -> rustix::io::Result<()> {
        let source = open_to_read(from.dir, from.name)?;
        let temporary = format!(".{name}.{}", std::process::id());
        let inner = Spot { dir: wheel.dir.as_fd(), name: &temporary, ..*from };
        let done = inner.create().and_then(|out| {
            copy(method, source, &out)?;
            inner.finish(&out, self.mtime)?;
            rustix::fs::renameat(&wheel.dir, &temporary, &wheel.dir, name)
        });
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&wheel.dir, &temporary, AtFlags::empty());
        }
        done
    }
}

fn copy(method: u8, source: OwnedFd, mut out: &File) -> rustix::io::Result<()> {
    if method == REFLINK {
        return rustix::fs::ioctl_ficlone(out, &source);
    }
    match io::copy(&mut File::from(source), &mut out) {
        Ok(_) => Ok(()),
        Err(error) => Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    }
}

/// Where files of this time are kept.
pub(super) fn place(store: &Path, mtime: i64) -> PathBuf {
    store.join("v1").join(mtime.to_string())
}

/// What an entry is called in its wheel's directory.
pub(super) fn entry_name(entry: usize, executable: bool) -> String {
    if executable { format!("{entry}x") } else { entry.to_string() }
}

fn open_to_read(dir: rustix::fd::BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
