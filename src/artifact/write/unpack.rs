//! One entry of a wheel, as a file on disk.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::{AsFd as _, BorrowedFd},
    path::Path,
};

use rustix::{
    fs::{AtFlags, FallocateFlags, Mode, OFlags, Timespec, Timestamps},
    io::Errno,
};

use crate::{
    packages::wheel::{STREAM_LIMIT, Scratch, Wheel},
    words::{
        error::{Error, Kind, Result},
        vocab::Sha256,
    },
};

/// What all threads' inflate buffers may take together, in bytes; larger entries are streamed, which is as
/// fast: a small buffer stays in the processor's cache. (Three times as much was tried: twice the memory, no
/// less time.)
const BUFFERS: u64 = 32 << 20;

/// Entries larger than this (bytes) are streamed rather than held by each of the pool's threads.
pub(super) fn held_at_most() -> u64 {
    (BUFFERS / rayon::current_num_threads() as u64).clamp(1 << 20, STREAM_LIMIT)
}

/// The mode of every regular file.
pub(super) fn mode_of(executable: bool) -> Mode {
    Mode::from_raw_mode(if executable { 0o755 } else { 0o644 })
}

pub(super) fn timestamps(mtime: i64) -> Timestamps {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// A file's place below an open directory.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a> {
    pub(super) dir: BorrowedFd<'a>,
    /// Relative to that directory.
    pub(super) name: &'a str,
    /// Where this is, for messages.
    pub(super) shown: &'a Path,
    /// Relative to `shown`.
    pub(super) path: &'a str,
    pub(super) executable: bool,
    /// Whether created files must be given their mode (umask or a default ACL took bits away).
    pub(super) chmod: bool,
}

impl Spot<'_> {
    pub(super) fn create(&self) -> rustix::io::Result<File> {
        self.create_for(OFlags::WRONLY)
    }

    /// The same, to be read and changed before it is finished.
    pub(super) fn create_to_read(&self) -> rustix::io::Result<File> {
        self.create_for(OFlags::RDWR)
    }

    fn create_for(&self, access: OFlags) -> rustix::io::Result<File> {
        let flags = access | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(self.dir, self.name, flags, mode_of(self.executable)).map(File::from)
    }

    /// Sets mode and time, once the bytes are written.
    pub(super) fn finish(&self, file: &File, mtime: i64) -> rustix::io::Result<()> {
        if self.chmod {
            rustix::fs::fchmod(file, mode_of(self.executable))?;
        }
        rustix::fs::futimens(file, &timestamps(mtime))
    }

    pub(super) fn failed(&self, action: &str, error: impl Into<io::Error>) -> Error {
        failed(action, &self.shown.join(self.path), error)
    }

    /// Writes an entry's bytes here and says their digest. Entries larger than `held` are streamed.
    pub(super) fn unpack(
        &self,
        wheel: &Wheel,
        position: usize,
        scratch: &mut Scratch,
        held: u64,
        mtime: i64,
    ) -> Result<Sha256> {
        let entry = &wheel.entries[position];
        let unwritable = |e| self.failed("write", e);
        let mut out = self.create().map_err(|e| self.failed("create", e))?;
        let sha256 = if entry.size.max(entry.compressed_size) > held {
            // Blocks in one piece from the beginning cost a fifth less of the kernel's time. Where the file system cannot
            // do that, or has no room, writing goes on or says so.
            let _ = rustix::fs::fallocate(&out, FallocateFlags::empty(), 0, entry.size);
            match wheel.write_at_once(position, &out, &unwritable)? {
                Some(sha256) => sha256,
                None => wheel.stream(position, &mut |bytes| out.write_all(bytes).map_err(unwritable))?.sha256,
            }
        } else {
            let content = wheel.inflate(position, scratch)?;
            out.write_all(content.bytes).map_err(unwritable)?;
            content.sha256
        };
        self.finish(&out, mtime).map_err(|e| self.failed("set mode and time of", e))?;
        Ok(sha256)
    }
}

/// An error about what is being written.
pub(super) fn failed(action: &str, path: &Path, error: impl Into<io::Error>) -> Error {
    Error::io(&format!("cannot {action}"), path, error.into()).with_kind(Kind::Destination)
}

/// Whether the modes of what is created in `root` differ from those asked for: depends on the umask, default
/// ACLs and set-group-ID parents, so it is tried rather than computed. Makes the directory itself 0755.
pub(super) fn probe_modes(root: &Path, dir: &File) -> Result<bool> {
    let tried = (|| {
        rustix::fs::mkdirat(dir, "probe", Mode::from_raw_mode(0o755))?;
        let sub = rustix::fs::statat(dir, "probe", AtFlags::SYMLINK_NOFOLLOW)?.st_mode & 0o7777;
        rustix::fs::unlinkat(dir, "probe", AtFlags::REMOVEDIR)?;
        let name = "probe";
        let spot = Spot { dir: dir.as_fd(), name, shown: root, path: name, executable: true, chmod: false };
        let file = rustix::fs::fstat(&spot.create()?)?.st_mode & 0o7777;
        rustix::fs::unlinkat(dir, "probe", AtFlags::empty())?;
        rustix::fs::fchmod(dir, Mode::from_raw_mode(0o755))?;
        Ok::<bool, Errno>(sub != 0o755 || file != 0o755)
    })();
    tried.map_err(|e| failed("write into", root, e))
}
