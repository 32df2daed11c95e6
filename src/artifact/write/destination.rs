//! Where an environment goes: what may be replaced, who else works on it, how it is published.
//!
//! *Beside* (the usual way): the tree is made in `NAME.venvoy-XXXXXXXX` next to the destination and put in
//! its place by one `renameat2(RENAME_EXCHANGE)`. Where the file system lacks that, the old tree is renamed
//! to `NAME.venvoy-previous` and the new one to `NAME`; a run killed between the two is healed by the next,
//! which renames the previous tree back before it does anything else.
//!
//! *Inside* (the destination is a mount point, or its parent cannot be written): the tree is made in
//! `.venvoy-XXXXXXXX` inside the destination. Then, in this order, so that a run killed at any point leaves
//! something that the next run knows as an environment and does not take for current: the old manifest
//! goes; `pyvenv.cfg` comes; every other new top-level entry is exchanged with (or moved to) its place; old
//! entries that are not in the new tree go; the manifest comes. Whatever
//! went lies in the staging directory, which is removed last. An error takes all steps back, see [`Replacement`].
//!
//! *In a lower layer*: a directory of an overlay's lower layer cannot be renamed. The tree is made beside it and then
//! put into it in the same order, directory by directory where that must be.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{AtFlags, CWD, FlockOperation, RenameFlags, StatxAttributes, StatxFlags, Timestamps},
    io::Errno,
};
use tempfile::TempDir;

use super::{
    WriteOptions,
    remove::{discard, remove_tree},
    replace::Replacement,
};
use crate::environment::manifest::{JOURNAL, MANIFEST, text::Manifest};
use crate::project::python::Site;
use crate::words::error::{Error, Kind, Result};

/// What every staging directory's name has in it, before [`RANDOM`] letters or digits.
const INFIX: &str = ".venvoy-";
const RANDOM: usize = 8;
/// The suffix of an old tree while it is replaced by two renames; as long as [`RANDOM`].
const PREVIOUS: &str = "previous";

/// How often a run that waits for another looks again.
const WAIT: Duration = Duration::from_millis(20);

/// A destination this run has to itself.
pub(super) struct Destination {
    path: PathBuf,
    parent: PathBuf,
    name: OsString,
    inside: bool,
    /// Where paths of a journal begin, where that is not `path`: packages of an interpreter that is there.
    root: Option<PathBuf>,
    /// Held while this lives; `None` where the file system has no locks.
    lock: Option<File>,
}

/// How publishing ended.
pub(super) enum Published {
    /// The tree is in its place; perhaps with a warning about what could not be removed.
    Done(Option<String>),
    /// The destination turned out to be a mount point: nothing was changed.
    Busy,
}

/// Finds out how to write to `dest` and waits until no other run does. `inside` forces the way for mount points.
pub(super) fn open(dest: &Path, options: &WriteOptions<'_>, inside: bool) -> Result<Destination> {
    let path = resolve(dest)?;
    let Some((parent, name)) = parted(&path) else {
        return Err(Error::new(
            Kind::Destination,
            format!("{}: not a place for an environment", path.display()),
        )
        .help("name a directory, such as .venv"));
    };
    fs::create_dir_all(&parent).map_err(|e| failed("make the directory", &parent, e))?;
    let inside = inside || (path.is_dir() && (is_mount_point(&path, &parent) || !can_write(&parent)));
    let lock = lock(if inside { &path } else { &parent }, options)?;
    Ok(Destination { path, parent, name, inside, root: None, lock })
}

/// The packages of an interpreter as the place to write to; made if need be. Waits until no other run is at work there.
pub(super) fn of_site(site: &Site, options: &WriteOptions<'_>) -> Result<Destination> {
    let path = site.packages_dir();
    fs::create_dir_all(&path).map_err(|e| failed("make the directory", &path, e))?;
    let Some((parent, name)) = parted(&path) else {
        return Err(Error::new(Kind::Destination, format!("{}: not a place for packages", path.display())));
    };
    let lock = lock(&path, options)?;
    Ok(Destination { path, parent, name, inside: true, root: Some(site.root.clone()), lock })
}

/// Finishes a change of `dest` that was cut short; waits while another run is at work there.
pub(super) fn recover(dest: &Path) -> Result<()> {
    let path = resolve(dest)?;
    if fs::symlink_metadata(path.join(JOURNAL)).is_err() {
        return Ok(());
    }
    super::publish::recover(&open(dest, &WriteOptions::default(), false)?)
}

/// Removes what killed runs left of `dest`, unless another run is at work there.
pub(super) fn tidy(dest: &Path) {
    let Ok(path) = resolve(dest) else { return };
    let Some((parent, name)) = parted(&path) else { return };
    let inside = is_mount_point(&path, &parent) || !can_write(&parent);
    sweep_if_free(Destination { path, parent, name, inside, root: None, lock: None });
}

/// Removes what killed runs left among the packages of an interpreter, unless another run is at work there.
pub(super) fn tidy_site(site: &Site) {
    let path = site.packages_dir();
    let Some((parent, name)) = parted(&path) else { return };
    sweep_if_free(Destination {
        path,
        parent,
        name,
        inside: true,
        root: Some(site.root.clone()),
        lock: None,
    });
}

/// Locks a destination and sweeps it, where there is something to sweep and nobody else is at work.
fn sweep_if_free(mut destination: Destination) {
    let (dir, of) = destination.staged_in();
    if !names_in(dir).is_ok_and(|names| names.iter().any(|name| is_staging(name, of))) {
        return;
    }
    let Ok(lock) = File::open(dir) else { return };
    if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
        destination.lock = Some(lock);
        destination.sweep(None);
    }
}

/// A directory on the file system of `dest` that the next run removes if this one cannot; `None` where the
/// environment is made in a mount point, or nothing can be made beside it yet.
pub(super) fn beside(dest: &Path) -> Option<TempDir> {
    let path = resolve(dest).ok()?;
    let (parent, mut prefix) = (path.parent()?, path.file_name()?.to_owned());
    if path.is_dir() && is_mount_point(&path, parent) {
        return None;
    }
    prefix.push(INFIX);
    tempfile::Builder::new().prefix(&prefix).rand_bytes(RANDOM).tempdir_in(parent).ok()
}

/// The directory that a path is in, and its name there.
fn parted(path: &Path) -> Option<(PathBuf, OsString)> {
    Some((path.parent()?.to_path_buf(), path.file_name()?.to_owned()))
}

/// The absolute path, a link to a directory followed.
fn resolve(dest: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(dest).map_err(|e| failed("find", dest, e))?;
    let absolute = path_clean::clean(absolute);
    match fs::symlink_metadata(&absolute) {
        Ok(meta) if meta.is_symlink() => match fs::canonicalize(&absolute) {
            Ok(real) if real.is_dir() => Ok(real),
            _ => Err(Error::new(
                Kind::Destination,
                format!(
                    "{} is a symbolic link to something that is not a directory ({})",
                    absolute.display(),
                    fs::read_link(&absolute).unwrap_or_default().display()
                ),
            )
            .help("remove the link, or make the directory it points to")),
        },
        Ok(meta) if !meta.is_dir() => {
            Err(Error::new(Kind::Destination, format!("{} is not a directory", absolute.display()))
                .help("move it away, or name another place for the environment"))
        }
        Ok(_) => Ok(absolute),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(absolute),
        Err(e) => Err(failed("look at", &absolute, e)),
    }
}

fn failed(action: &str, path: &Path, error: io::Error) -> Error {
    Error::io(&format!("cannot {action}"), path, error).with_kind(Kind::Destination)
}

fn is_mount_point(path: &Path, parent: &Path) -> bool {
    if let Ok(stat) = rustix::fs::statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS)
        && stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
    {
        return stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    }
    match (rustix::fs::stat(path), rustix::fs::stat(parent)) {
        (Ok(a), Ok(b)) => a.st_dev != b.st_dev,
        _ => false,
    }
}

fn can_write(dir: &Path) -> bool {
    rustix::fs::accessat(
        CWD,
        dir,
        rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
        AtFlags::EACCESS,
    )
    .is_ok()
}

/// Locks a directory itself, so that no lock file lies about in a project. The kernel lets go when the
/// process ends, however it ends.
fn lock(dir: &Path, options: &WriteOptions<'_>) -> Result<Option<File>> {
    let Ok(file) = File::open(dir) else { return Ok(None) };
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => {
                options.check_interrupted()?;
                std::thread::sleep(WAIT);
            }
            // Network file systems without locks on directories.
            Err(_) => return Ok(None),
        }
    }
}

impl Destination {
    /// The real path, absolute.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the paths of a journal begin.
    pub(super) fn root(&self) -> &Path {
        self.root.as_deref().unwrap_or(&self.path)
    }

    /// Whether it holds an interpreter's packages, among those of others.
    pub(super) fn is_site(&self) -> bool {
        self.root.is_some()
    }

    /// Whether the tree is made inside the destination.
    pub(super) fn is_inside(&self) -> bool {
        self.inside
    }

    /// Refuses everything but environments, empty directories and what a killed run of ours left.
    pub(super) fn check_replaceable(&self) -> Result<()> {
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed("list", &self.path, e)),
        };
        if self.path.join("pyvenv.cfg").is_file() {
            return Ok(());
        }
        for entry in entries {
            let name = entry.map_err(|e| failed("list", &self.path, e))?.file_name();
            if name == MANIFEST || is_staging(&name, OsStr::new("")) {
                return Ok(());
            }
        }
        let Some(lost) = worth_keeping(&self.path, &self.path)? else { return Ok(()) };
        Err(Error::new(
            Kind::Destination,
            format!(
                "{} is not a virtual environment: it has no pyvenv.cfg, but holds {}",
                self.path.display(),
                lost.strip_prefix(&self.path).unwrap_or(&lost).display()
            ),
        )
        .help("move it away, or name another place for the environment; nothing was changed"))
    }

    /// A staging directory of this destination by its name, if it is one.
    pub(super) fn staging_called(&self, name: &str) -> Option<PathBuf> {
        let name = OsStr::new(name);
        let places = [(&self.parent, &*self.name), (&self.path, OsStr::new(""))];
        let found = places.into_iter().filter(|(_, of)| is_staging(name, of)).map(|(dir, _)| dir.join(name));
        found.into_iter().find(|path| fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()))
    }

    /// Finishes a change that was cut short, or gives it up; removes what killed runs left, as far as that can be, but
    /// not `own`; heals a replacement cut short.
    pub(super) fn sweep(&self, own: Option<&Path>) {
        if self.lock.is_none() {
            return;
        }
        // What cannot be put right here is in the way of the next step, which says so.
        let _ = super::publish::recover(self);
        let (dir, name) = self.staged_in();
        if !self.inside && fs::symlink_metadata(&self.path).is_err() {
            let _ = fs::rename(self.previous(), &self.path);
        }
        let Ok(entries) = fs::read_dir(dir) else { return };
        let own = own.and_then(Path::file_name);
        for entry in entries.filter_map(Result::ok) {
            if is_staging(&entry.file_name(), name)
                && Some(&*entry.file_name()) != own
                && entry.file_type().is_ok_and(|kind| kind.is_dir())
            {
                let _ = remove_tree(&entry.path());
            }
        }
    }

    /// The directory that staging directories are made in, and what their names begin with.
    fn staged_in(&self) -> (&Path, &OsStr) {
        if self.inside { (&self.path, OsStr::new("")) } else { (&self.parent, &self.name) }
    }

    /// Makes an empty staging directory; it goes when dropped.
    pub(super) fn stage(&self) -> Result<TempDir> {
        let (dir, of) = self.staged_in();
        let mut prefix = of.to_owned();
        prefix.push(INFIX);
        tempfile::Builder::new().prefix(&prefix).rand_bytes(RANDOM).tempdir_in(dir).map_err(|e| {
            failed("make a directory in", dir, e)
                .help("make it writable, or name another place for the environment")
        })
    }

    /// Puts the staged tree in its place; a large old tree is left to `remover`.
    pub(super) fn publish(&self, staging: TempDir, remover: Option<&Path>) -> Result<Published> {
        if self.inside {
            return self.publish_inside(staging);
        }
        let new = staging.path();
        let done = match fs::symlink_metadata(&self.path) {
            Err(_) => rustix::fs::rename(new, &self.path),
            Ok(_) => match rustix::fs::renameat_with(CWD, new, CWD, &self.path, RenameFlags::EXCHANGE) {
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    let previous = self.previous();
                    rustix::fs::rename(&self.path, &previous).and_then(|()| {
                        rustix::fs::rename(new, &self.path).inspect_err(|_| {
                            let _ = rustix::fs::rename(&previous, &self.path);
                        })
                    })
                }
                exchanged => exchanged,
            },
        };
        match done {
            Ok(()) => {}
            Err(Errno::BUSY) if self.path.is_dir() => return Ok(Published::Busy),
            // It lies in a lower layer of an overlay, whose directories cannot be renamed.
            Err(Errno::XDEV) if self.path.is_dir() => return self.publish_inside(staging),
            Err(e) => return Err(failed("put the new environment in its place at", &self.path, e.into())),
        }
        // From here on the staging path holds the old tree, or nothing.
        let old = staging.keep();
        // The other has a name that the next run may need.
        let left = [(old, remover), (self.previous(), None)];
        Ok(Published::Done(left.iter().find_map(|(old, remover)| removed(old, *remover))))
    }

    fn previous(&self) -> PathBuf {
        let mut name = self.name.clone();
        name.push(INFIX);
        name.push(PREVIOUS);
        self.parent.join(name)
    }

    /// See the module's text for the order and its reasons.
    fn publish_inside(&self, staging: TempDir) -> Result<Published> {
        let new = staging.path();
        let went = tempfile::Builder::new()
            .prefix(INFIX)
            .rand_bytes(RANDOM)
            .tempdir_in(&self.path)
            .map_err(|e| failed("make a directory in", &self.path, e))?;
        let text =
            fs::read_to_string(new.join(MANIFEST)).map_err(|e| failed("read", &new.join(MANIFEST), e))?;
        let mtime = Manifest::parse(&text).map_or(0, |manifest| manifest.mtime);
        let mut replacement = Replacement::default();
        if let Err(error) = self.replace(&mut replacement, new, went.path()) {
            replacement.undo();
            return Err(error);
        }
        let went = went.keep();
        let left = [staging.keep(), went].iter().find_map(|old| removed(old, None));
        if let Ok(top) = File::open(&self.path) {
            let times: Timestamps = super::unpack::timestamps(mtime);
            let _ = rustix::fs::futimens(top.as_fd(), &times);
        }
        Ok(Published::Done(left))
    }

    /// Puts what is in `new` into the destination, and what was there into `went`.
    fn replace(&self, replacement: &mut Replacement, new: &Path, went: &Path) -> Result<()> {
        let away = |replacement: &mut Replacement, name: &OsStr| {
            let path = self.path.join(name);
            replacement.take_away(&path, &went.join(name)).map_err(|e| failed("move away", &path, e))
        };
        away(replacement, OsStr::new(MANIFEST))?;
        let mut names = names_in(new)?;
        // pyvenv.cfg first, the manifest last.
        names.sort_by_key(|name| (name == MANIFEST, name != "pyvenv.cfg"));
        let place = |replacement: &mut Replacement, name: &OsStr| {
            let to = self.path.join(name);
            replacement
                .put(&new.join(name), &to, &went.join(name))
                .map_err(|e| failed("put in its place", &to, e))
        };
        for name in names.iter().filter(|name| *name != MANIFEST) {
            place(replacement, name)?;
        }
        for name in names_in(&self.path)? {
            if !names.contains(&name) && name != "lost+found" && !is_staging(&name, OsStr::new("")) {
                away(replacement, &name)?;
            }
        }
        place(replacement, OsStr::new(MANIFEST))
    }
}

fn names_in(dir: &Path) -> Result<Vec<OsString>> {
    let list = || fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>();
    list().map_err(|e| failed("list", dir, e))
}

/// The first thing below `dir` that somebody could miss, by name. Directories alone are what a volume or a restored CI cache
/// begins with, and so is a file that keeps them out of version control.
fn worth_keeping(top: &Path, dir: &Path) -> Result<Option<PathBuf>> {
    const MADE_BY_TOOLS: [&str; 4] = [".gitignore", ".gitkeep", ".keep", "CACHEDIR.TAG"];
    let mut names = match names_in(dir) {
        // Made by the file system for itself, and root's.
        Err(_) if dir != top && dir == top.join("lost+found") => return Ok(None),
        names => names?,
    };
    names.sort();
    for name in names {
        let path = dir.join(&name);
        let kind = fs::symlink_metadata(&path).map_err(|e| failed("look at", &path, e))?.file_type();
        let lost = if kind.is_dir() {
            worth_keeping(top, &path)?
        } else {
            let made = kind.is_file() && MADE_BY_TOOLS.iter().any(|made| name == *made);
            (!made).then_some(path)
        };
        if lost.is_some() {
            return Ok(lost);
        }
    }
    Ok(None)
}

/// Removes an old tree, or has that done; a warning if that fails.
fn removed(old: &Path, remover: Option<&Path>) -> Option<String> {
    match discard(old, remover) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Some(format!("{}: the old environment could not be removed: {e}", old.display()))
        }
        _ => None,
    }
}

/// What a staging directory of this name is for; `None` for any other name.
pub(super) fn staged_for(name: &OsStr) -> Option<&[u8]> {
    let bytes = name.as_encoded_bytes();
    let (of, end) = bytes.split_at_checked(bytes.len().checked_sub(INFIX.len() + RANDOM)?)?;
    let random = end.strip_prefix(INFIX.as_bytes())?;
    random.iter().all(u8::is_ascii_alphanumeric).then_some(of)
}

/// Whether `name` is that of a staging directory for `of`.
fn is_staging(name: &OsStr, of: &OsStr) -> bool {
    staged_for(name) == Some(of.as_encoded_bytes())
}
