//! What `stat` shows of an environment beside its manifest: the look before something in it is changed.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::File,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
};

use rayon::prelude::*;
use rustix::fs::{AtFlags, Dir as ReadDir, FileType, Mode, OFlags, Stat};

use super::{
    check::{counts, is_known_dir},
    text::{Content, Dir, MANIFEST, Manifest},
};

/// How an environment differs from its manifest as far as `stat` can tell. Everything written got one fixed time,
/// so what was edited since shows, unless somebody set its time back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Listed files and links that are missing or not as they were written.
    pub bad: Vec<String>,
    /// What is there and not listed, bytecode and whatever lies at the very top left out. A directory stands for all
    /// that is in it.
    pub extra: Vec<String>,
    /// Directories that are missing, or have another mode than they were given.
    pub bad_dirs: Vec<String>,
}

impl Condition {
    fn join(mut self, other: Condition) -> Condition {
        self.bad.extend(other.bad);
        self.extra.extend(other.extra);
        self.bad_dirs.extend(other.bad_dirs);
        self
    }
}

/// Looks at every directory, file and link that `manifest` lists; `None` where the manifest is damaged, or
/// something has a name that is not UTF-8.
pub(crate) fn examine(top: &File, manifest: &Manifest<'_>) -> Option<Condition> {
    let known: HashSet<&str> = manifest.dirs.iter().map(|dir| &*dir.path).collect();
    manifest
        .dirs
        .par_iter()
        .with_min_len(32)
        .map(|dir| examine_dir(top, manifest.mtime, dir, &known))
        .try_reduce(Condition::default, |a, b| Some(a.join(b)))
}

fn examine_dir(top: &File, mtime: i64, dir: &Dir<'_>, known: &HashSet<&str>) -> Option<Condition> {
    let mut condition = Condition::default();
    let path = |name: &str| if dir.path == "." { name.to_owned() } else { format!("{}/{name}", dir.path) };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened: Option<OwnedFd> = rustix::fs::openat(top, &*dir.path, flags, Mode::empty()).ok();
    let stat = opened.as_ref().and_then(|opened| rustix::fs::fstat(opened).ok());
    let (Some(opened), Some(stat)) = (opened, stat) else {
        condition.bad_dirs.push(dir.path.to_string());
        for item in dir.items() {
            condition.bad.push(path(&item?.name));
        }
        return Some(condition);
    };
    if stat.st_mode & 0o7777 != 0o755 {
        condition.bad_dirs.push(dir.path.to_string());
    }
    let is_old = has_time(&stat, mtime);
    let mut names = HashSet::new();
    for item in dir.items() {
        let item = item?;
        if !is_as_written(opened.as_fd(), &item.name, &item.content, mtime) {
            condition.bad.push(path(&item.name));
        }
        if !is_old {
            names.insert(item.name);
        }
    }
    if !is_old {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let list = rustix::fs::openat(&opened, ".", flags, Mode::empty()).ok()?;
        for entry in ReadDir::read_from(&list).ok()? {
            let entry = entry.ok()?;
            let name = entry.file_name().to_str().ok()?;
            let listed =
                names.contains(name) || name == "." || name == ".." || dir.path == "." && name == MANIFEST;
            if !listed && !is_known_dir(dir, OsStr::new(name), known) && counts(dir, OsStr::new(name)) {
                condition.extra.push(path(name));
            }
        }
    }
    Some(condition)
}

fn has_time(stat: &Stat, mtime: i64) -> bool {
    stat.st_mtime == mtime && stat.st_mtime_nsec == 0
}

fn is_as_written(dir: BorrowedFd<'_>, name: &str, content: &Content<'_>, mtime: i64) -> bool {
    let Ok(stat) = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let kind = FileType::from_raw_mode(stat.st_mode);
    match content {
        Content::File { size, executable, .. } => {
            kind == FileType::RegularFile
                && u64::try_from(stat.st_size).is_ok_and(|got| got == *size)
                && stat.st_mode & 0o7777 == if *executable { 0o755 } else { 0o644 }
                && has_time(&stat, mtime)
        }
        Content::Link(target) => {
            kind == FileType::Symlink
                && rustix::fs::readlinkat(dir, name, Vec::new())
                    .is_ok_and(|got| got.as_bytes() == target.as_bytes())
        }
    }
}
