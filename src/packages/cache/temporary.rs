//! Things in the making: uniquely named, locked by who makes them, swept when nobody does.

use std::{
    ffi::OsString,
    fs::{File, TryLockError},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use rustix::fs::Mode;

use super::{
    Dir, Identity,
    dir::{is_in_the_way, is_own, now},
};

/// How long, in seconds, what nobody holds is left alone. On file systems without locks a slow download is all
/// that tells a run at work from a dead one.
const ORPHANED_AFTER: i64 = 24 * 60 * 60;

const PREFIX: &str = "part-";

/// How often something is published anew when someone who clears the cache takes the directory above away.
const TRIES: u32 = 20;

/// A new file, removed when dropped unless it was published.
#[derive(Debug)]
pub(super) struct TemporaryFile {
    dir: Dir,
    name: OsString,
    file: File,
    published: bool,
}

/// What has its own name now.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    /// Nobody else can write to it.
    pub(super) own: bool,
}

impl TemporaryFile {
    pub(super) fn new(dir: &Dir) -> io::Result<Self> {
        loop {
            let name = unique_name();
            // What is kept never changes, so nobody needs to write to it; who may read is the umask's to say, since
            // caches are shared.
            match dir.create(&name, 0o644) {
                Ok(file) => {
                    // Where there are no locks, age alone tells what was left behind.
                    let _ = file.try_lock();
                    return Ok(TemporaryFile { dir: dir.clone(), name, file, published: false });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it is for now, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.path().join(&self.name)
    }

    /// Publishes it at `path` below `root`, in the place of what may be there. After an error it is still there.
    pub(super) fn publish(mut self, root: &Dir, path: &Path) -> Result<Published, (Self, io::Error)> {
        match self.try_publish(root, path) {
            Ok(published) => Ok(published),
            Err(error) => Err((self, error)),
        }
    }

    fn try_publish(&mut self, root: &Dir, path: &Path) -> io::Result<Published> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let to = match root.make(parent) {
                Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => continue,
                made => made?,
            };
            match self.dir.rename(&self.name, &to, name) {
                Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => {}
                // A directory where only a file belongs.
                Err(error) if error.kind() == ErrorKind::IsADirectory && tries < TRIES => to.remove(name)?,
                Err(error) => return Err(error),
                Ok(()) => {
                    self.published = true;
                    let metadata = self.file.metadata()?;
                    let identity = Identity::of(&metadata);
                    return Ok(Published { path: to.path().join(name), identity, own: is_own(&metadata) });
                }
            }
        }
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.published {
            let _ = self.dir.remove(&self.name);
        }
    }
}

/// A new directory, removed when dropped unless it was published.
#[derive(Debug)]
pub(super) struct TemporaryDir {
    parent: Dir,
    name: OsString,
    made: Dir,
    published: bool,
}

impl TemporaryDir {
    pub(super) fn new(parent: &Dir) -> io::Result<Self> {
        loop {
            let name = unique_name();
            match rustix::fs::mkdirat(parent.handle(), &name, Mode::from_raw_mode(0o755)) {
                Ok(()) => {
                    let made = parent.below(&name)?;
                    let _ = made.handle().try_lock();
                    return Ok(TemporaryDir { parent: parent.clone(), name, made, published: false });
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> &Dir {
        &self.made
    }

    /// Publishes it at `path` below `root`. If someone else was faster, theirs stays, and the answer is `None`.
    pub(super) fn publish(mut self, root: &Dir, path: &Path) -> io::Result<Option<Dir>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let to = match root.make(parent) {
                Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => continue,
                made => made?,
            };
            match self.parent.rename(&self.name, &to, name) {
                Ok(()) => {
                    self.published = true;
                    return Ok(Some(self.made.renamed(to.path().join(name))));
                }
                Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => {}
                Err(error) => match to.below(name) {
                    Ok(_) => return Ok(None),
                    // A file where only a directory belongs.
                    Err(odd) if is_in_the_way(&odd) && tries < TRIES => to.remove(name)?,
                    Err(_) => return Err(error),
                },
            }
        }
    }
}

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        if !self.published {
            let _ = self.parent.remove(&self.name);
        }
    }
}

/// Removes what killed runs left in `dir`: old, and held by nobody. Trouble doing so is nobody's.
pub(super) fn sweep(dir: &Dir) {
    let now = now();
    for name in dir.names().unwrap_or_default() {
        let Ok(found) = dir.look(&name) else { continue };
        if now - found.modified < ORPHANED_AFTER {
            continue;
        }
        let held = |file: &File| matches!(file.try_lock(), Err(TryLockError::WouldBlock));
        let in_use = if found.kind.is_dir() {
            dir.below(&name).map(|dir| held(dir.handle()))
        } else if found.kind.is_file() {
            dir.file(&name).map(|file| held(&file))
        } else {
            Ok(false)
        };
        if in_use.is_ok_and(|in_use| !in_use) {
            let _ = dir.remove(&name);
        }
    }
}

/// A name that nobody has.
fn unique_name() -> OsString {
    let random = RandomState::new().build_hasher().finish();
    format!("{PREFIX}{random:016x}").into()
}
