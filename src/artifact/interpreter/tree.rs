//! The interpreter's files in a directory that will be the root of an image or a chroot.
//!
//! What was brought is listed at its top, so that it can be told from what others put there, and goes when it is no longer
//! part of the interpreter. The list is there before the first file is.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{Timespec, Timestamps};
use serde::{Deserialize, Serialize};

use super::{Interpreter, Part};
use crate::words::{
    error::{Error, Kind, Result},
    files::{LARGEST_TEXT, read_regular},
    interrupt,
};

/// What the list is called.
const LIST: &str = ".venvoy-python";

/// Where files are made, beside it.
const MAKING: &str = ".venvoy-python.making";

/// What was brought into a tree.
#[derive(Debug, Default, Serialize, Deserialize)]
struct List {
    /// The digest of the interpreter that is there whole; nothing while it is being brought.
    interpreter: Option<String>,
    /// Its files and links, relative to the tree's top.
    files: BTreeSet<PathBuf>,
}

impl Interpreter {
    /// Brings the interpreter into the tree at `root`; whatever it has not brought itself stays as it is. Says whether there
    /// was something to do.
    ///
    /// # Errors
    /// [`Kind::Destination`] where something else stands in the way, or the tree cannot be written.
    pub(crate) fn bring(&self, root: &Path, mtime: i64) -> Result<bool> {
        let key = format!("{} {mtime}", self.key());
        let files: BTreeSet<PathBuf> = self.parts.keys().map(|path| inside(path)).collect();
        let old: List = read_regular(&root.join(LIST), LARGEST_TEXT)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let there = |path: &PathBuf| fs::symlink_metadata(root.join(path)).is_ok();
        if old.interpreter.as_ref() == Some(&key) && files.iter().all(there) {
            return Ok(false);
        }
        for (to, part) in &self.parts {
            let path = inside(to);
            let place = root.join(&path);
            refuse_links_above(root, &path)?;
            if !old.files.contains(&path) && there(&path) && !is(&place, part) {
                return Err(Error::new(
                    Kind::Destination,
                    format!("--with-python: {} is there, and it is not the interpreter's", place.display()),
                )
                .help("make the tree in a directory of its own; the interpreter was not brought"));
            }
        }
        let all = old.files.union(&files).cloned().collect();
        // A killed run's is there still.
        let making = root.join(MAKING);
        let _ = fs::remove_dir_all(&making);
        fs::create_dir_all(&making).map_err(|error| unwritable(&making, error))?;
        write_list(&making, root, &List { interpreter: None, files: all })?;
        for (to, part) in &self.parts {
            interrupt::check()?;
            put(&making, &root.join(inside(to)), part, mtime)?;
        }
        let shared = root.join("tmp");
        fs::create_dir_all(&shared)
            .and_then(|()| fs::set_permissions(&shared, Permissions::from_mode(0o1777)))
            .map_err(|error| unwritable(&shared, error))?;
        for gone in old.files.difference(&files) {
            refuse_links_above(root, gone)?;
            let _ = fs::remove_file(root.join(gone));
        }
        write_list(&making, root, &List { interpreter: Some(key), files })?;
        let _ = fs::remove_dir_all(&making);
        Ok(true)
    }
}

fn inside(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::io("cannot write", path, error).with_kind(Kind::Destination)
}

/// A link to a directory may lead out of the tree, and the interpreter of this machine is not to be written to.
fn refuse_links_above(root: &Path, path: &Path) -> Result<()> {
    for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
        let dir = root.join(above);
        if fs::symlink_metadata(&dir).is_ok_and(|found| !found.is_dir()) {
            return Err(Error::new(
                Kind::Destination,
                format!(
                    "--with-python: {} is no directory, expected one to put {} into",
                    dir.display(),
                    path.display()
                ),
            )
            .help("make the tree in a directory of its own; the interpreter was not brought"));
        }
    }
    Ok(())
}

/// Whether a part stands there already.
fn is(place: &Path, part: &Part) -> bool {
    match part {
        Part::Link(target) => fs::read_link(place).is_ok_and(|found| found == Path::new(target)),
        Part::File(from) => {
            let regular = fs::symlink_metadata(place).is_ok_and(|found| found.is_file());
            regular && matches!((fs::read(place), fs::read(from)), (Ok(here), Ok(there)) if here == there)
        }
    }
}

/// Puts a part in its place by a rename. Modes are 0755 for what is executable and 0644 for the rest.
fn put(making: &Path, place: &Path, part: &Part, mtime: i64) -> Result<()> {
    let failed = |error| unwritable(place, error);
    fs::create_dir_all(place.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
    let made = making.join("part");
    match part {
        Part::Link(target) => std::os::unix::fs::symlink(target, &made).map_err(failed)?,
        Part::File(from) => {
            let unreadable = |error| Error::io("cannot read", from, error);
            let mut source = File::open(from).map_err(unreadable)?;
            let mode = source.metadata().map_err(unreadable)?.permissions().mode();
            let copied = (|| {
                let mut target = File::create(&made)?;
                io::copy(&mut source, &mut target)?;
                target.set_permissions(Permissions::from_mode(if mode & 0o111 == 0 {
                    0o644
                } else {
                    0o755
                }))?;
                let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
                let times = Timestamps { last_access: time, last_modification: time };
                rustix::fs::futimens(&target, &times).map_err(io::Error::from)
            })();
            copied.map_err(failed)?;
        }
    }
    fs::rename(&made, place).map_err(failed)
}

fn write_list(making: &Path, root: &Path, list: &List) -> Result<()> {
    let (made, place) = (making.join("list"), root.join(LIST));
    let failed = |error| unwritable(&place, error);
    let text = serde_json::to_vec_pretty(list).map_err(|error| failed(error.into()))?;
    fs::write(&made, text).and_then(|()| fs::rename(&made, &place)).map_err(failed)
}
