//! The store: wheels unpacked in the cache, for environments on the same file system to link from.
//!
//! [`Unpacked`] says where. A file gets there only after it was written completely, matched the digest in
//! RECORD and had its time set: one link or rename (of the file, or of the directory when a wheel is unpacked
//! [ahead](super::Ahead)) makes it visible, so a killed run leaves no half file, and runs need no lock among
//! each other. A file whose size, mode, owner or time is not what it was stored with
//! was edited through some hard link, or cut short by a power failure: it is dropped and unpacked anew. A directory that
//! the cache does not vouch for (it was restored from elsewhere, or the run is `--strict`) is digested before anything is
//! taken from it.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    time::Duration,
};

use rayon::prelude::*;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags},
    io::Errno,
};

use super::{
    LinkMode,
    copy::{AT_ONCE, copy as copy_file},
    unpack::{Spot, mode_of},
};
use crate::{
    packages::{
        cache::{Unpacked, UnpackedWheel},
        wheel::Wheel,
    },
    words::{
        error::{Error, Kind, Result},
        files::share_of_descriptors,
        vocab::Sha256,
    },
};

/// How old a copy must be that nobody is at work on any more.
const LEFT: Duration = Duration::from_hours(1);

/// The most wheels that are examined at a time.
const EXAMINED: usize = 256;

/// Which part (one of so many) of the room that a disk has left one file may take that nobody asked for.
const SHARE: u64 = 4;

const REFLINK: u8 = 0;
const HARDLINK: u8 = 1;
const COPY: u8 = 2;
const MOVE: u8 = 3;
const OFF: u8 = 4;

/// What is tried first and second where nothing else is asked for. A hard link on Linux is one call and takes no block;
/// a clone is a file to be created, and what macOS does best.
const FIRST: u8 = if cfg!(target_os = "linux") { HARDLINK } else { REFLINK };
const SECOND: u8 = if cfg!(target_os = "linux") { REFLINK } else { HARDLINK };

/// The store of one run.
pub(super) struct Store {
    place: StoreRoot,
    shown: PathBuf,
    /// What is tried now; moves on when the file system refuses.
    method: AtomicU8,
    /// The user asked for exactly this method: a refusal is an error.
    exact: bool,
    /// Entries of fewer bytes are not kept here.
    smallest: u64,
    /// Whether unpacked files are added.
    fill: AtomicBool,
    /// How many wheels' directories are open: they stay so until the environment is written.
    open: AtomicU64,
    mtime: i64,
    /// The user of this process.
    user: u32,
}

enum StoreRoot {
    /// In the cache.
    Kept(Unpacked),
    /// Unpacked by this run, to be moved.
    Ahead(File),
}

/// One wheel's directory in the store.
pub(super) struct StoredWheel {
    from: From,
    /// This run put something into it.
    added: AtomicBool,
}

enum From {
    Kept(UnpackedWheel),
    Ahead(OwnedFd),
}

impl StoredWheel {
    fn dir(&self) -> BorrowedFd<'_> {
        match &self.from {
            From::Kept(kept) => kept.dir.handle().as_fd(),
            From::Ahead(dir) => dir.as_fd(),
        }
    }

    /// It was made just now, so it holds nothing that is worth looking for.
    fn is_new(&self) -> bool {
        matches!(&self.from, From::Kept(kept) if kept.new)
    }
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
    pub(super) fn open(unpacked: Option<&Unpacked>, link: LinkMode, staging: &File) -> Result<Option<Self>> {
        let (method, exact) = match link {
            LinkMode::Auto => (FIRST, false),
            LinkMode::Reflink => (REFLINK, true),
            LinkMode::Hardlink => (HARDLINK, true),
            LinkMode::Copy => (COPY, false),
            LinkMode::Unpack => return Ok(None),
        };
        let Some(unpacked) = unpacked else { return Ok(None) };
        let shown = unpacked.path();
        let dir = match unpacked.dir() {
            Ok(dir) => dir,
            // A cache that cannot be written still serves wheels.
            Err(_) if !exact => return Ok(None),
            Err(e) => return Err(Error::io("cannot open the store of unpacked wheels", &shown, e)),
        };
        let same = match (rustix::fs::fstat(dir.handle()), rustix::fs::fstat(staging)) {
            (Ok(a), Ok(b)) => a.st_dev == b.st_dev,
            _ => false,
        };
        // Too far away for links, and nobody asked for a copy of all: small entries are inflated as fast as they are copied.
        let (method, smallest) = match (link, same) {
            (LinkMode::Auto, false) => (COPY, AT_ONCE),
            _ => (method, 0),
        };
        let store = Store {
            place: StoreRoot::Kept(unpacked.clone()),
            shown,
            method: AtomicU8::new(method),
            exact,
            smallest,
            fill: AtomicBool::new(true),
            open: AtomicU64::new(0),
            mtime: unpacked.mtime(),
            user: rustix::process::geteuid().as_raw(),
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
            place: StoreRoot::Ahead(root),
            shown: path.to_owned(),
            method: AtomicU8::new(MOVE),
            exact: false,
            smallest: 0,
            fill: AtomicBool::new(false),
            open: AtomicU64::new(0),
            mtime,
            user: rustix::process::geteuid().as_raw(),
        })
    }

    /// Digests what is kept of these wheels where the cache does not vouch for it, on all cores: what is not what
    /// RECORD says goes, and the rest is vouched for from now on. `stop` is asked between files.
    pub(super) fn examine<'w>(
        &self,
        wheels: impl Iterator<Item = &'w Wheel>,
        stop: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<()> {
        let StoreRoot::Kept(unpacked) = &self.place else { return Ok(()) };
        let mut doubtful = wheels
            .filter_map(|wheel| Some((unpacked.wheel(wheel.file.sha256())?, wheel)))
            .filter(|(kept, _)| kept.is_own() && !kept.trusted);
        // Each is an open directory, and there may be more of them than may be open.
        let some = usize::try_from(share_of_descriptors()).unwrap_or(usize::MAX).clamp(1, EXAMINED);
        loop {
            let doubtful: Vec<(UnpackedWheel, &Wheel)> = doubtful.by_ref().take(some).collect();
            if doubtful.is_empty() {
                return Ok(());
            }
            self.examine_some(unpacked, &doubtful, stop)?;
        }
    }

    fn examine_some(
        &self,
        unpacked: &Unpacked,
        doubtful: &[(UnpackedWheel, &Wheel)],
        stop: &(dyn Fn() -> Result<()> + Sync),
    ) -> Result<()> {
        let files: Vec<_> = doubtful
            .iter()
            .flat_map(|(kept, wheel)| kept.names().into_iter().map(move |name| (kept, *wheel, name)))
            .collect();
        files.par_iter().with_min_len(8).try_for_each(|(kept, wheel, name)| {
            stop()?;
            if !is_right(kept, wheel, name) {
                kept.remove(name)
                    .map_err(|e| Error::io("cannot remove what is damaged in", &self.shown, e))?;
            }
            Ok(())
        })?;
        for (kept, _) in doubtful {
            unpacked.vouch(kept);
        }
        Ok(())
    }

    /// Whether an entry of so many bytes would be here.
    pub(super) fn keeps(&self, size: u64) -> bool {
        size >= self.smallest
    }

    /// Opens a wheel's directory, making it where files will be added. Others' directories are not used: they could
    /// change what is in them at any time.
    pub(super) fn wheel(&self, wheel: &Wheel) -> Option<StoredWheel> {
        // The others are unpacked from the wheel.
        if self.open.fetch_add(1, Ordering::Relaxed) >= share_of_descriptors() {
            return None;
        }
        let from = match &self.place {
            StoreRoot::Ahead(root) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let name = wheel.file.sha256().to_string();
                From::Ahead(rustix::fs::openat(root, name, flags, Mode::empty()).ok()?)
            }
            StoreRoot::Kept(unpacked) => {
                let sha256 = wheel.file.sha256();
                let found = unpacked.wheel(sha256);
                // Large entries are kept from the second time on: the first one may be the only one.
                let fill = self.fill.load(Ordering::Relaxed) && (self.smallest == 0 || wheel.has_points());
                let make = || if fill { unpacked.wheel_or_new(sha256) } else { None };
                From::Kept(found.or_else(make).filter(UnpackedWheel::is_own)?)
            }
        };
        Some(StoredWheel { from, added: AtomicBool::new(false) })
    }

    /// Vouches for what this run put into a wheel's directory.
    pub(super) fn settle(&self, wheel: &StoredWheel) {
        if let (StoreRoot::Kept(unpacked), From::Kept(kept), true) =
            (&self.place, &wheel.from, wheel.added.load(Ordering::Relaxed))
        {
            unpacked.vouch(kept);
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
            if wheel.is_new() {
                return Ok(Fetched::Missing);
            }
            let Ok(stat) = rustix::fs::statat(wheel.dir(), &name, AtFlags::SYMLINK_NOFOLLOW) else {
                return Ok(Fetched::Missing);
            };
            let intact = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
                && Mode::from_raw_mode(stat.st_mode) == mode_of(to.executable)
                && u64::try_from(stat.st_size).is_ok_and(|got| got == size)
                && stat.st_mtime == self.mtime
                && stat.st_mtime_nsec == 0
                // Whoever owns it could change it later.
                && stat.st_uid == self.user;
            if !intact {
                let _ = rustix::fs::unlinkat(wheel.dir(), &name, AtFlags::empty());
                return Ok(Fetched::Missing);
            }
            let done = match method {
                HARDLINK => rustix::fs::linkat(wheel.dir(), &name, to.dir, to.name, AtFlags::empty()),
                MOVE => rustix::fs::renameat(wheel.dir(), &name, to.dir, to.name),
                _ => self.copy_out(wheel, &name, method, size, to),
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
    pub(super) fn add(&self, wheel: &StoredWheel, entry: usize, size: u64, from: &Spot<'_>) -> Result<()> {
        while self.fill.load(Ordering::Relaxed) && self.has_room(wheel, size) {
            let method = self.method.load(Ordering::Relaxed);
            let name = entry_name(entry, from.executable);
            let done = match method {
                REFLINK | COPY => self.copy_in(wheel, &name, method, size, from),
                HARDLINK => rustix::fs::linkat(from.dir, from.name, wheel.dir(), &name, AtFlags::empty()),
                _ => return Ok(()),
            };
            match done {
                Ok(()) => {
                    wheel.added.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                Err(Errno::EXIST | Errno::MLINK) => return Ok(()),
                Err(Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::ACCESS | Errno::NOENT) => {
                    self.fill.store(false, Ordering::Relaxed);
                }
                Err(error) => self.refused(method, error)?,
            }
        }
        Ok(())
    }

    /// Whether a file of so many bytes may be added. What nobody asked for by name takes no disk's last room.
    fn has_room(&self, wheel: &StoredWheel, size: u64) -> bool {
        let is_free = |stat: rustix::fs::StatVfs| stat.f_bavail.saturating_mul(stat.f_frsize) / SHARE >= size;
        self.smallest == 0 || rustix::fs::fstatvfs(wheel.dir()).is_ok_and(is_free)
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
        let next = if method == FIRST { SECOND } else { OFF };
        let _ = self.method.compare_exchange(method, next, Ordering::Relaxed, Ordering::Relaxed);
        Ok(())
    }

    fn copy_out(
        &self,
        wheel: &StoredWheel,
        name: &str,
        method: u8,
        size: u64,
        to: &Spot<'_>,
    ) -> rustix::io::Result<()> {
        // First what may be gone: nothing is left behind then.
        let from = open_to_read(wheel.dir(), name)?;
        let out = to.create()?;
        copy(method, from, size, &out)?;
        to.finish(&out, self.mtime)
    }

    fn copy_in(
        &self,
        wheel: &StoredWheel,
        name: &str,
        method: u8,
        size: u64,
        from: &Spot<'_>,
    ) -> rustix::io::Result<()> {
        let source = open_to_read(from.dir, from.name)?;
        // Told apart by [`is_unfinished`].
        let temporary = format!(".{name}.{}", std::process::id());
        let inner = Spot { dir: wheel.dir(), name: &temporary, ..*from };
        let done = inner.create().and_then(|out| {
            copy(method, source, size, &out)?;
            inner.finish(&out, self.mtime)?;
            rustix::fs::renameat(wheel.dir(), &temporary, wheel.dir(), name)
        });
        if done.is_err() {
            let _ = rustix::fs::unlinkat(wheel.dir(), &temporary, AtFlags::empty());
        }
        done
    }
}

fn copy(method: u8, source: OwnedFd, size: u64, out: &File) -> rustix::io::Result<()> {
    if method == REFLINK {
        return rustix::fs::ioctl_ficlone(out, &source);
    }
    copy_file(&File::from(source), size, out)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

/// Digests all that is kept of a wheel, and removes what is not what RECORD says: that is the answer.
pub(crate) fn examine(unpacked: &Unpacked, wheel: &Wheel) -> Result<Vec<PathBuf>> {
    let Some(kept) = unpacked.wheel(wheel.file.sha256()) else { return Ok(Vec::new()) };
    let (unfinished, names): (Vec<OsString>, Vec<OsString>) =
        kept.names().into_iter().partition(|name| is_unfinished(name));
    for name in unfinished.iter().filter(|name| is_left(&kept, name)) {
        let _ = kept.remove(name);
    }
    let wrong: Vec<OsString> =
        names.into_par_iter().filter(|name| !is_right(&kept, wheel, name) && !is_gone(&kept, name)).collect();
    let wrong = wrong.into_iter().map(|name| {
        let path = kept.dir.path().join(&name);
        kept.remove(&name).map_err(|e| Error::io("cannot remove", &path, e))?;
        Ok(path)
    });
    let wrong = wrong.collect::<Result<Vec<_>>>()?;
    unpacked.vouch(&kept);
    Ok(wrong)
}

/// Whether a file is a copy that some run has not ended yet (see [`Store::add`]), which is no damage.
fn is_unfinished(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

/// Whether whoever began such a copy has left it: nobody copies one file for so long.
fn is_left(kept: &UnpackedWheel, name: &OsStr) -> bool {
    let begun = kept.file(name).and_then(|file| file.metadata()?.modified());
    begun.is_ok_and(|begun| begun.elapsed().is_ok_and(|age| age > LEFT))
}

/// Whether somebody removed a file since it was listed, which is no damage.
fn is_gone(kept: &UnpackedWheel, name: &OsStr) -> bool {
    kept.file(name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Whether a file in a wheel's directory has the digest that its RECORD gives.
fn is_right(kept: &UnpackedWheel, wheel: &Wheel, name: &OsStr) -> bool {
    let digests = || {
        let (entry, _) = name.to_str().and_then(entry_of)?;
        let expected = wheel.entries.get(entry)?.sha256?;
        Some((expected, Sha256::of_file(&kept.file(name).ok()?).ok()?.0))
    };
    digests().is_some_and(|(expected, got)| expected == got)
}

/// What an entry is called in its wheel's directory.
pub(super) fn entry_name(entry: usize, executable: bool) -> String {
    if executable { format!("{entry}x") } else { entry.to_string() }
}

/// The entry that a name in a wheel's directory stands for, and whether it is executable.
fn entry_of(name: &str) -> Option<(usize, bool)> {
    let digits = name.strip_suffix('x').unwrap_or(name);
    let entry = digits.parse().ok()?;
    let executable = digits != name;
    (entry_name(entry, executable) == name).then_some((entry, executable))
}

fn open_to_read(dir: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
