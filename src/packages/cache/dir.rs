//! A directory that is held open. What lies below is reached from there, one name at a time and never through a
//! link: whoever else can write into a cache cannot make a run read, create or remove anything outside it.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Permissions},
    io::{self, ErrorKind},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Component, Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::Identity;
use crate::words::files::{self, regular};

/// How deep a tree may be that is walked or removed: far more than any wheel's, and far less than a stack holds.
const DEPTH: usize = 200;

/// How often one directory is emptied, where there is something in it again each time.
const TRIES: u32 = 100;

/// An open directory.
#[derive(Debug, Clone)]
pub struct Dir {
    file: Arc<File>,
    shown: PathBuf,
}

impl Dir {
    /// Opens a directory that the user named: links on the way to it are theirs.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Dir { file: Arc::new(fd.into()), shown: path.to_owned() })
    }

    /// Where it was found, for messages and for programs that take only paths.
    pub fn path(&self) -> &Path {
        &self.shown
    }

    /// The open directory itself.
    pub fn handle(&self) -> &File {
        &self.file
    }

    /// The same directory under the name it was given.
    pub(super) fn renamed(&self, shown: PathBuf) -> Self {
        Dir { file: self.file.clone(), shown }
    }

    pub(super) fn identity(&self) -> io::Result<Identity> {
        Ok(Identity::of(&self.file.metadata()?))
    }

    /// Whether nobody but this process's user (and root) can change what it holds.
    pub(super) fn is_own(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| is_own(&metadata))
    }

    /// The directory at a relative path below this one.
    pub(super) fn below(&self, path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let parts = parts(path)?;
        match if parts.len() > 1 { self.below_at_once(path) } else { None } {
            Some(opened) => opened,
            None => parts.into_iter().try_fold(self.clone(), |dir, name| dir.sub(name)),
        }
    }

    /// The same by one call of the kernel rather than one for each directory on the way. `None` where that cannot say it: an
    /// older kernel, a sandbox that does not know the call, something in the way.
    #[cfg(target_os = "linux")]
    fn below_at_once(&self, path: &Path) -> Option<io::Result<Self>> {
        use rustix::fs::ResolveFlags;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&*self.file, path, flags, Mode::empty(), resolve) {
            Ok(fd) => Some(Ok(Dir { file: Arc::new(fd.into()), shown: self.shown.join(path) })),
            Err(gone @ rustix::io::Errno::NOENT) => Some(Err(gone.into())),
            Err(_) => None,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn below_at_once(&self, _: &Path) -> Option<io::Result<Self>> {
        None
    }

    /// The same, made where it is not there. What else has its name is removed: only directories belong there.
    pub(super) fn make(&self, path: impl AsRef<Path>) -> io::Result<Self> {
        parts(path.as_ref())?.into_iter().try_fold(self.clone(), |dir, name| dir.make_one(name))
    }

    pub(super) fn sub(&self, name: &OsStr) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&*self.file, name, flags, Mode::empty())?;
        Ok(Dir { file: Arc::new(fd.into()), shown: self.shown.join(name) })
    }

    fn make_one(&self, name: &OsStr) -> io::Result<Self> {
        match self.sub(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if is_in_the_way(&error) => self.remove(name)?,
            opened => return opened,
        }
        match rustix::fs::mkdirat(&*self.file, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => self.sub(name),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a regular file to read it. Anything else is an error at once: a FIFO would wait for a writer.
    pub(super) fn file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        regular(rustix::fs::openat(&*self.file, name.as_ref(), flags, Mode::empty())?.into())
    }

    /// A regular file's contents, if they are no more than `limit` bytes.
    pub(super) fn read(&self, name: impl AsRef<OsStr>, limit: u64) -> io::Result<Vec<u8>> {
        let file = self.file(name)?;
        files::read(&file, limit)
    }

    /// Makes a file that is not there yet.
    pub(super) fn create(&self, name: impl AsRef<OsStr>, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&*self.file, name.as_ref(), flags, Mode::from_raw_mode(mode))?;
        Ok(fd.into())
    }

    /// Opens a regular file to write to, making it where it is not there.
    pub(super) fn open_or_create(
        &self,
        name: impl AsRef<OsStr>,
        mode: u32,
        append: bool,
    ) -> io::Result<File> {
        let mut flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        flags.set(OFlags::APPEND, append);
        let fd = rustix::fs::openat(&*self.file, name.as_ref(), flags, Mode::from_raw_mode(mode))?;
        regular(fd.into())
    }

    /// What is called `name`, itself: a link is not followed.
    pub(super) fn look(&self, name: impl AsRef<OsStr>) -> io::Result<Found> {
        let stat = rustix::fs::statat(&*self.file, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
        Ok(Found {
            kind,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            used: stat.st_atime.max(stat.st_mtime),
            modified: stat.st_mtime,
            changed: stat.st_ctime,
        })
    }

    /// Whether `name` stands for an open file; a link is not followed. Nothing is opened for it: with no descriptor left,
    /// a file that had to be opened would never be found to be the same.
    pub(super) fn is(&self, name: impl AsRef<OsStr>, file: &File) -> io::Result<bool> {
        let open = rustix::fs::fstat(file)?;
        match rustix::fs::statat(&*self.file, name.as_ref(), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(named) => Ok((named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The names in it, sorted: their own order differs between machines.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&*self.file)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Notes that what lies here was used: the times of files are a part of their identity, and a file system may not
    /// keep the time of access. Once a day is enough.
    pub(super) fn touch(&self) {
        let Ok(metadata) = self.file.metadata() else { return };
        if now() - metadata.mtime() >= 24 * 60 * 60 {
            let time = rustix::fs::Timespec { tv_sec: now(), tv_nsec: 0 };
            let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
            let _ = rustix::fs::futimens(&*self.file, &times);
        }
    }

    /// Gives something a new name, in the place of what may have it.
    pub(super) fn rename(
        &self,
        from: impl AsRef<OsStr>,
        to: &Dir,
        name: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        Ok(rustix::fs::renameat(&*self.file, from.as_ref(), &*to.file, name.as_ref())?)
    }

    /// Removes a file, a link or whatever else is no directory, and where it is one, all that it holds. It is fine
    /// if nothing is there.
    pub(super) fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        self.remove_within(name.as_ref(), DEPTH)
    }

    fn remove_within(&self, name: &OsStr, depth: usize) -> io::Result<()> {
        use rustix::io::Errno;
        match rustix::fs::unlinkat(&*self.file, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            // Linux says the first, POSIX the second.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
        let Some(depth) = depth.checked_sub(1) else { return Err(too_deep(&self.shown)) };
        let sub = match self.sub(name) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                rustix::fs::chmodat(&*self.file, name, Mode::RWXU, AtFlags::empty())?;
                self.sub(name)?
            }
            // Another run has just removed it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            opened => opened?,
        };
        let mut names = sub.names()?;
        if !names.is_empty()
            && rustix::fs::accessat(&*sub.file, ".", rustix::fs::Access::WRITE_OK, AtFlags::EACCESS).is_err()
        {
            let _ = sub.file.set_permissions(Permissions::from_mode(0o700));
        }
        let mut tries = 0;
        loop {
            names.iter().try_for_each(|name| sub.remove_within(name, depth))?;
            match rustix::fs::unlinkat(&*self.file, name, AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                // Another run may have added to it meanwhile. NFS itself puts another name there for a file that is open
                // somewhere, each time that one is removed.
                Err(Errno::NOTEMPTY | Errno::EXIST) if tries < TRIES => {
                    tries += 1;
                    names = sub.names()?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Calls `each` for everything below that is no directory, with the directory it lies in and its name. What
    /// cannot be looked at is passed over.
    pub(super) fn walk(&self, each: &mut dyn FnMut(&Dir, &OsStr, &Found)) {
        self.walk_within(each, DEPTH);
    }

    fn walk_within(&self, each: &mut dyn FnMut(&Dir, &OsStr, &Found), depth: usize) {
        for name in self.names().unwrap_or_default() {
            let Ok(found) = self.look(&name) else { continue };
            if found.kind.is_dir() {
                if let (Ok(sub), Some(depth)) = (self.sub(&name), depth.checked_sub(1)) {
                    sub.walk_within(each, depth);
                }
            } else {
                each(self, &name, &found);
            }
        }
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) kind: rustix::fs::FileType,
    /// In bytes.
    pub(super) size: u64,
    /// When it was last read or written, in seconds since 1970.
    pub(super) used: i64,
    /// When it was last written.
    pub(super) modified: i64,
    /// When it was last written, linked to, renamed or given another mode.
    pub(super) changed: i64,
}

/// The time, in seconds since 1970.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX)
}

/// The names of a path that leads down and nowhere else.
fn parts(path: &Path) -> io::Result<Vec<&OsStr>> {
    path.components()
        .map(|part| match part {
            Component::Normal(name) => Ok(name),
            _ => Err(ErrorKind::InvalidInput.into()),
        })
        .collect()
}

/// Whether opening a directory failed since something else has its name.
pub(super) fn is_in_the_way(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::NOTDIR | Errno::LOOP | Errno::MLINK))
}

fn too_deep(path: &Path) -> io::Error {
    io::Error::other(format!("{} is nested more than {DEPTH} levels deep", path.display()))
}

/// Whether only the user of this process (and root) can write to it.
pub(super) fn is_own(metadata: &std::fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o022 == 0
}
