//! Things in the making: uniquely named, locked by who makes them, swept when nobody does.

use std::{
    ffi::{OsStr, OsString},
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
        // A directory where only a file belongs.
        let clear = |to: &Dir, name: &OsStr, error: io::Error| match error.kind() {
            ErrorKind::IsADirectory => to.remove(name).map(|()| true),
            _ => Err(error),
        };
        let path = put(&self.dir, &self.name, root, path, clear)?.ok_or(ErrorKind::AlreadyExists)?;
        self.published = true;
        let metadata = self.file.metadata()?;
        Ok(Published { path, identity: Identity::of(&metadata), own: is_own(&metadata) })
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
        let clear = |to: &Dir, name: &OsStr, error| match to.below(name) {
            Ok(_) => Ok(false),
            // A file where only a directory belongs.
            Err(odd) if is_in_the_way(&odd) => to.remove(name).map(|()| true),
            Err(_) => Err(error),
        };
        let path = put(&self.parent, &self.name, root, path, clear)?;
        self.published = path.is_some();
        Ok(path.map(|path| self.made.renamed(path)))
    }
}

/// Renames what is in the making to `path` below `root`, and gives the path it has then. Directories above it are made
/// again where someone who clears the cache takes them away meanwhile. `clear` is given what is in the way and removes it
/// (true), or leaves it in its place (false: nothing is renamed, and the answer is `None`).
fn put(
    from: &Dir,
    name: &OsStr,
    root: &Dir,
    path: &Path,
    clear: impl Fn(&Dir, &OsStr, io::Error) -> io::Result<bool>,
) -> io::Result<Option<PathBuf>> {
    let (Some(parent), Some(last)) = (path.parent(), path.file_name()) else {
        return Err(ErrorKind::InvalidInput.into());
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let to = match root.make(parent) {
            Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => continue,
            made => made?,
        };
        match from.rename(name, &to, last) {
            Ok(()) => return Ok(Some(to.path().join(last))),
            Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => {}
            Err(error) => {
                let kind = error.kind();
                if !clear(&to, last, error)? {
                    return Ok(None);
                }
                // Whoever puts it there does so again and again.
                if tries >= TRIES {
                    return Err(kind.into());
                }
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
