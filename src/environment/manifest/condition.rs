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
pub(crate) struct Condition {
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

/// How much is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What is listed, and what else is there: all of it is the environment's.
    Whole,
    /// The same, but files only in directories whose time moved, as something was added or removed there.
    Directories,
    /// What is listed: the rest belongs to others.
    Listed,
}

/// Looks at every directory, file and link that `manifest` lists; `None` where the manifest is damaged, or
/// something has a name that is not UTF-8.
///
/// Whatever stays of an environment is looked at before something in it is changed, and of a large one that look is
/// most of what a small change costs: no directory is opened that still has the names it was made with, and paths are
/// resolved from the directory that most of them share.
pub(crate) fn examine(top: &File, manifest: &Manifest<'_>, extent: Extent) -> Option<Condition> {
    let near = Near::new(top, manifest);
    manifest
        .dirs
        .par_iter()
        .with_min_len(32)
        .map(|dir| examine_dir(&near, manifest, dir, extent))
        .try_reduce(Condition::default, |a, b| Some(a.join(b)))
}

/// The directory that holds most of an environment (`site-packages`), open, and the top.
pub(crate) struct Near<'a> {
    top: &'a File,
    prefix: String,
    open: Option<OwnedFd>,
}

impl<'a> Near<'a> {
    /// With the directory open that most of the manifest's files lie in.
    pub(crate) fn new(top: &'a File, manifest: &Manifest<'_>) -> Self {
        let mut near = Near { top, prefix: String::new(), open: None };
        let Some((site, _)) = manifest.dists.first().and_then(|(_, dist_info)| dist_info.rsplit_once('/'))
        else {
            return near;
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        near.open = rustix::fs::openat(top, site, flags, Mode::empty()).ok();
        near.prefix = format!("{site}/");
        near
    }

    /// What lies at a path.
    pub(super) fn stat(&self, path: &str) -> rustix::io::Result<Stat> {
        let (dir, path) = self.at(path);
        rustix::fs::statat(dir, path, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Whether a path is what it was written as, as far as `stat` can tell.
    pub(crate) fn is_as_written(&self, path: &str, content: &Content<'_>, mtime: i64) -> bool {
        let Ok(stat) = self.stat(path) else { return false };
        let kind = FileType::from_raw_mode(stat.st_mode);
        match content {
            Content::File { size, executable, .. } => {
                kind == FileType::RegularFile
                    && u64::try_from(stat.st_size).is_ok_and(|got| got == *size)
                    && stat.st_mode & 0o7777 == if *executable { 0o755 } else { 0o644 }
                    && has_time(&stat, mtime)
            }
            Content::Link(target) => {
                let (dir, path) = self.at(path);
                kind == FileType::Symlink
                    && rustix::fs::readlinkat(dir, path, Vec::new())
                        .is_ok_and(|got| got.as_bytes() == target.as_bytes())
            }
        }
    }

    /// From where a path is resolved, and what of it is left then.
    fn at<'p>(&self, path: &'p str) -> (BorrowedFd<'_>, &'p str) {
        match (&self.open, path.strip_prefix(&self.prefix)) {
            (Some(open), Some(rest)) => (open.as_fd(), rest),
            _ => (self.top.as_fd(), path),
        }
    }
}

fn examine_dir(near: &Near<'_>, manifest: &Manifest<'_>, dir: &Dir<'_>, extent: Extent) -> Option<Condition> {
    let mtime = manifest.mtime;
    let mut condition = Condition::default();
    let stat = near.stat(&dir.path).ok().filter(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
    let inside = || if dir.path == "." { String::new() } else { format!("{}/", dir.path) };
    let Some(stat) = stat else {
        let path = inside();
        condition.bad_dirs.push(dir.path.to_string());
        for item in dir.items() {
            condition.bad.push(format!("{path}{}", item?.name));
        }
        return Some(condition);
    };
    if stat.st_mode & 0o7777 != 0o755 {
        condition.bad_dirs.push(dir.path.to_string());
    }
    let is_old = has_time(&stat, mtime) || extent == Extent::Listed;
    if is_old && extent == Extent::Directories {
        return Some(condition);
    }
    let mut path = inside();
    let above = path.len();
    let mut names = HashSet::new();
    for item in dir.items() {
        let item = item?;
        path.truncate(above);
        path.push_str(&item.name);
        if !near.is_as_written(&path, &item.content, mtime) {
            condition.bad.push(path.clone());
        }
        if !is_old {
            names.insert(item.name);
        }
    }
    if !is_old {
        path.truncate(above);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (from, inner) = near.at(&dir.path);
        let list = rustix::fs::openat(from, inner, flags, Mode::empty()).ok()?;
        for entry in ReadDir::read_from(&list).ok()? {
            let entry = entry.ok()?;
            let name = entry.file_name().to_str().ok()?;
            let listed =
                names.contains(name) || name == "." || name == ".." || dir.path == "." && name == MANIFEST;
            if !listed && !is_known_dir(manifest, dir, OsStr::new(name)) && counts(dir, OsStr::new(name)) {
                condition.extra.push(format!("{path}{name}"));
            }
        }
    }
    Some(condition)
}

fn has_time(stat: &Stat, mtime: i64) -> bool {
    stat.st_mtime == mtime && stat.st_mtime_nsec == 0
}
