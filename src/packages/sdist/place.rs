//! Where a build takes place: the same path each time, so that a path that a compiler records is no difference.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use crate::words::{
    error::{Error, Result},
    interrupt, threads,
};

/// How the names of all such directories begin.
const PREFIX: &str = "venvoy-build-";

/// How much of a key a name holds.
const KEY_LENGTH: usize = 16;

/// A directory that one build has for itself. It is removed when this is dropped, and otherwise, should the
/// process be killed, by the next one that builds.
#[derive(Debug)]
pub(crate) struct BuildDirectory {
    path: PathBuf,
    /// Held as long as the build takes.
    _lock: File,
    /// Whether the path is what it is everywhere for this key.
    pub fixed: bool,
}

impl BuildDirectory {
    /// Takes the place that `key` (a digest in hexadecimal) stands for, below `root`. Waits while another run builds the same,
    /// no longer than until `deadline`.
    ///
    /// Where somebody else holds the name, the place is another one.
    pub(crate) fn claim(root: &Path, key: &str, deadline: Instant) -> Result<Self> {
        let path = root.join(format!("{PREFIX}{}", &key[..key.len().min(KEY_LENGTH)]));
        loop {
            interrupt::check()?;
            if let Some(lock) = take(&path, false)? {
                return Ok(BuildDirectory { path, _lock: lock, fixed: root == Path::new("/tmp") });
            }
            if !is_ours(&path) || Instant::now() > deadline {
                return Self::elsewhere(root);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// A place of a name that nobody else has.
    pub(crate) fn elsewhere(root: &Path) -> Result<Self> {
        loop {
            interrupt::check()?;
            let directory = tempfile::Builder::new()
                .prefix(PREFIX)
                .rand_bytes(KEY_LENGTH)
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir_in(root)
                .map_err(|e| Error::io("cannot create a directory in", root, e))?;
            let path = directory.keep();
            // Until it is locked, another run may take it for what a killed one left, and sweep it.
            if let Some(lock) = take(&path, true)? {
                return Ok(BuildDirectory { path, _lock: lock, fixed: false });
            }
        }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BuildDirectory {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next run.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Makes the directory and locks it, emptied of what a killed run left; `None` where it is in use or not ours. `made` says
/// that this run made it, under a name that nobody else has.
///
/// Where the file system has no locks, only what this run made is known not to be in use.
fn take(path: &Path, mut made: bool) -> Result<Option<File>> {
    let failed = |e| Error::io("cannot create", path, e);
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => made = true,
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            if !is_ours(path) {
                return Ok(None);
            }
        }
        Err(e) => return Err(failed(e)),
    }
    let lock = match File::open(path) {
        Ok(lock) => lock,
        // Its holder is just removing it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(e)),
    };
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(error) if made && error != Errno::WOULDBLOCK => {}
        Err(_) => return Ok(None),
    }
    // Whoever held it may have removed it meanwhile: the lock then is one of nothing.
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    match (fs::symlink_metadata(path), lock.metadata()) {
        (Ok(there), Ok(held)) if same(&there, &held) => {}
        _ => return Ok(None),
    }
    empty(path)?;
    Ok(Some(lock))
}

fn empty(path: &Path) -> Result<()> {
    let failed = |e| Error::io("cannot empty", path, e);
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let removed =
            if kind.is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        removed.map_err(failed)?;
    }
    Ok(())
}

/// Whether a directory is this user's alone: nobody else made it, and nobody else can change what is in it.
fn is_ours(path: &Path) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else { return true };
    meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o777 == 0o700
}

/// A sweep of what killed runs left of their builds, beside the builds of this run and done when this is dropped: a
/// directory of temporary files may have very many entries, and one that had them stays slow to read.
#[derive(Debug)]
pub(crate) struct Sweep(Option<JoinHandle<()>>);

impl Sweep {
    /// Begins to sweep below `root`. Where no thread can be had, the next run does.
    pub(crate) fn start(root: &Path) -> Self {
        let root = root.to_owned();
        Sweep(threads::start("sweep", move || sweep(&root)).ok())
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A sweep that failed is the next run's.
            let _ = thread.join();
        }
    }
}

/// Removes what killed runs left of their builds below `root`.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        if interrupt::check().is_err() {
            return;
        }
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
        let path = entry.path();
        if rest.len() != KEY_LENGTH
            || !fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir())
            || !is_ours(&path)
        {
            continue;
        }
        if let Ok(lock) = File::open(&path)
            && flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            // Whoever waits for it finds it gone, and makes it anew.
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const KEY: &str = "0123456789abcdef0123456789abcdef";

    fn claim(root: &Path) -> BuildDirectory {
        BuildDirectory::claim(root, KEY, Instant::now() + Duration::from_millis(200)).expect("a place")
    }

    #[test]
    fn a_place_is_the_same_each_time_and_gone_afterwards() {
        let root = tempfile::tempdir().expect("a directory");
        let path = {
            let place = claim(root.path());
            fs::write(place.path().join("left"), "").expect("written");
            place.path().to_owned()
        };
        assert_eq!(path.file_name().expect("a name"), "venvoy-build-0123456789abcdef");
        assert!(!path.exists());
        assert_eq!(claim(root.path()).path(), path);
    }

    #[test]
    fn what_a_killed_build_left_is_emptied_and_swept() {
        let root = tempfile::tempdir().expect("a directory");
        let left = |name: &str| {
            let path = root.path().join(name);
            fs::DirBuilder::new().mode(0o700).create(&path).expect("a directory");
            fs::write(path.join("left"), "").expect("written");
            path
        };
        left("venvoy-build-0123456789abcdef");
        let place = claim(root.path());
        assert!(!place.path().join("left").exists());
        let (old, other) = (left("venvoy-build-fedcba9876543210"), left("venvoy-build-other"));
        drop(Sweep::start(root.path()));
        assert!(place.path().exists(), "it is in use");
        assert!(!old.exists() && other.exists());
    }

    #[test]
    fn a_place_that_others_sweep_before_it_is_locked_is_another_one() {
        let root = tempfile::tempdir().expect("a directory");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    sweep(root.path());
                }
            });
            let made = || {
                BuildDirectory::elsewhere(root.path()).and_then(|place| {
                    let file = place.path().join("file");
                    fs::write(&file, "").map_err(|error| Error::io("cannot write", &file, error))
                })
            };
            let all = (0..2000).try_for_each(|_| made());
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            all.expect("2,000 places");
        });
    }

    #[test]
    fn who_builds_the_same_waits_and_then_goes_elsewhere() {
        let root = tempfile::tempdir().expect("a directory");
        let one = claim(root.path());
        let two = claim(root.path());
        assert_ne!(one.path(), two.path());
        assert!(!two.fixed);
    }

    #[test]
    fn a_place_that_others_can_change_is_not_taken() {
        let root = tempfile::tempdir().expect("a directory");
        let path = root.path().join("venvoy-build-0123456789abcdef");
        fs::create_dir(&path).expect("a directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).expect("set");
        assert_ne!(claim(root.path()).path(), path);
        fs::remove_dir(&path).expect("removed");
        symlink(root.path(), &path).expect("a link");
        assert_ne!(claim(root.path()).path(), path);
    }
}
