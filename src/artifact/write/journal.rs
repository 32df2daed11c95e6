//! The journal of a change: what is left to do, so that whoever finds it can finish.
//!
//! A text file, `venvoy.journal`, at the top of the environment. It appears by one rename once everything that is
//! new lies verified in a staging directory, and goes by one unlink once all of it is in its place. In between the
//! environment is neither the old nor the new one, and counts as neither. Every step can be repeated.
//!
//! ```text
//! venvoy journal 1
//! staging NAME          the staging directory, beside the environment or in it
//! mtime 315532800       of every directory that was changed
//! - PATH                remove a file or link
//! r PATH                remove something with all that is in it
//! e PATH                remove a directory if it is empty
//! m PATH                make a directory
//! > PATH                move a file, or a directory that is new, from the staging directory to its place
//! t PATH                give a directory its mode and time again
//! end 64-hex-digits     the digest of all lines above
//! ```
//!
//! Paths are written as in the manifest.

use std::{
    ffi::{CStr, CString},
    fmt::Write as _,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rayon::prelude::*;
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags},
    io::Errno,
};

use super::unpack::timestamps;
use crate::{
    environment::manifest::text::{escape, unescape},
    words::vocab::{RelPath, Sha256},
};

const HEAD: &str = "venvoy journal 1\n";

/// A step of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Remove a file or link.
    Remove(RelPath),
    /// Remove something with all that is in it; a directory that is empty, too.
    RemoveTree(RelPath),
    /// Remove a directory, unless there is something in it.
    RemoveEmpty(RelPath),
    /// Make a directory.
    MakeDir(RelPath),
    /// Move from the staging directory to the same path.
    Move(RelPath),
    /// Give a directory its mode and time.
    Settle(RelPath),
}

impl Step {
    fn path(&self) -> &RelPath {
        let (Step::Remove(path)
        | Step::RemoveTree(path)
        | Step::RemoveEmpty(path)
        | Step::MakeDir(path)
        | Step::Move(path)
        | Step::Settle(path)) = self;
        path
    }

    fn only_removes(&self) -> bool {
        matches!(self, Step::Remove(_) | Step::RemoveTree(_))
    }
}

/// What is left to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Journal {
    /// The staging directory's name.
    pub(crate) staging: String,
    /// Seconds since 1970.
    pub(crate) mtime: i64,
    /// In the order in which they are done.
    pub(crate) steps: Vec<Step>,
}

impl Journal {
    /// The text that a later run reads to finish or to take back what was begun.
    pub(crate) fn render(&self) -> String {
        let mut out = format!("{HEAD}staging {}\nmtime {}\n", escape(&self.staging), self.mtime);
        for step in &self.steps {
            let (letter, path) = match step {
                Step::Remove(path) => ('-', path),
                Step::RemoveTree(path) => ('r', path),
                Step::RemoveEmpty(path) => ('e', path),
                Step::MakeDir(path) => ('m', path),
                Step::Move(path) => ('>', path),
                Step::Settle(path) => ('t', path),
            };
            let _ = writeln!(out, "{letter} {}", escape(path.as_str()));
        }
        let end = Sha256::of(out.as_bytes());
        let _ = writeln!(out, "end {end}");
        out
    }

    /// Reads a journal; `None` if it is not whole, of another version, or names a path outside.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (lines, end) = text.strip_suffix('\n')?.rsplit_once('\n')?;
        let lines = &text[..=lines.len()];
        if end.strip_prefix("end ")? != Sha256::of(lines.as_bytes()).to_string() {
            return None;
        }
        let rest = lines.strip_prefix(HEAD)?;
        let (staging, rest) = rest.strip_prefix("staging ")?.split_once('\n')?;
        let (mtime, rest) = rest.strip_prefix("mtime ")?.split_once('\n')?;
        let step = |line: &str| {
            let (letter, path) = line.split_once(' ')?;
            let path: RelPath = unescape(path)?.parse().ok()?;
            Some(match letter {
                "-" => Step::Remove(path),
                "r" => Step::RemoveTree(path),
                "e" => Step::RemoveEmpty(path),
                "m" => Step::MakeDir(path),
                ">" => Step::Move(path),
                "t" => Step::Settle(path),
                _ => return None,
            })
        };
        Some(Journal {
            staging: unescape(staging)?.into_owned(),
            mtime: mtime.parse().ok()?,
            steps: rest.lines().map(step).collect::<Option<_>>()?,
        })
    }

    /// Does what is left to do. `Err` holds the path at which it failed.
    pub(super) fn carry_out(
        &self,
        top: BorrowedFd<'_>,
        staging: BorrowedFd<'_>,
    ) -> Result<(), (String, Errno)> {
        // What only goes comes first, and each of it can go whatever became of the others.
        let removals = self.steps.iter().take_while(|step| step.only_removes()).count();
        let (removals, steps) = self.steps.split_at(removals);
        removals.par_iter().try_for_each_init(
            || Cursor::new(top),
            |here, step| {
                let (path, done) = match step {
                    Step::RemoveTree(path) => (path, here.remove_tree(path)),
                    step => (step.path(), here.remove(step.path())),
                };
                done.map_err(|error| (path.to_string(), error))
            },
        )?;
        let (mut here, mut there) = (Cursor::new(top), Cursor::new(staging));
        for step in steps {
            let (path, done) = match step {
                Step::Remove(path) => (path, here.remove(path)),
                Step::RemoveTree(path) => (path, here.remove_tree(path)),
                Step::RemoveEmpty(path) => (path, here.remove_empty(path)),
                Step::MakeDir(path) => (path, here.make_dir(path)),
                Step::Move(path) => (path, here.move_from(&mut there, path)),
                Step::Settle(path) => (path, here.settle(path, self.mtime)),
            };
            done.map_err(|error| (path.to_string(), error))?;
        }
        Ok(())
    }
}

/// A directory tree in which links are never followed: the parent of the path that was looked at last stays open.
struct Cursor<'a> {
    top: BorrowedFd<'a>,
    dir: String,
    open: Option<OwnedFd>,
}

const LOOK: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl<'a> Cursor<'a> {
    fn new(top: BorrowedFd<'a>) -> Self {
        Cursor { top, dir: String::new(), open: None }
    }

    /// The open parent directory and the last component of a path.
    fn at<'s, 'p>(&'s mut self, path: &'p RelPath) -> rustix::io::Result<(BorrowedFd<'s>, &'p str)> {
        let (dir, name) = path.as_str().rsplit_once('/').unwrap_or(("", path.as_str()));
        if dir.is_empty() {
            return Ok((self.top, name));
        }
        if self.dir != dir || self.open.is_none() {
            self.open = None;
            let mut open: Option<OwnedFd> = None;
            for part in dir.split('/') {
                let above = open.as_ref().map_or(self.top, AsFd::as_fd);
                open = Some(rustix::fs::openat(above, part, LOOK, Mode::empty())?);
            }
            dir.clone_into(&mut self.dir);
            self.open = open;
        }
        let open = self.open.as_ref().map_or(self.top, AsFd::as_fd);
        Ok((open, name))
    }

    /// Does something in the parent of a path; where that may not be written, after making it so.
    fn allowed(
        &mut self,
        path: &RelPath,
        act: &mut dyn FnMut(BorrowedFd<'_>, &str) -> rustix::io::Result<()>,
    ) -> rustix::io::Result<()> {
        let (dir, name) = self.at(path)?;
        match act(dir, name) {
            Err(Errno::ACCESS | Errno::PERM) => {
                rustix::fs::fchmod(dir, Mode::from_raw_mode(0o755))?;
                act(dir, name)
            }
            done => done,
        }
    }

    fn remove(&mut self, path: &RelPath) -> rustix::io::Result<()> {
        let done = self.allowed(path, &mut |dir, name| rustix::fs::unlinkat(dir, name, AtFlags::empty()));
        match done {
            // Done before, or its directory is another thing by now: nothing of ours is there.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(Errno::ISDIR | Errno::PERM) => self.remove_tree(path),
            done => done,
        }
    }

    fn remove_tree(&mut self, path: &RelPath) -> rustix::io::Result<()> {
        let done = self.allowed(path, &mut remove_tree_at);
        // Directories may have gone that were open.
        self.open = None;
        match done {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            done => done,
        }
    }

    fn remove_empty(&mut self, path: &RelPath) -> rustix::io::Result<()> {
        let (dir, name) = match self.at(path) {
            Ok(found) => found,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error),
        };
        let done = rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR);
        self.open = None;
        match done {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
            done => done,
        }
    }

    fn make_dir(&mut self, path: &RelPath) -> rustix::io::Result<()> {
        let mode = Mode::from_raw_mode(0o755);
        self.allowed(path, &mut |dir, name| match rustix::fs::mkdirat(dir, name, mode) {
            Err(Errno::EXIST) => Ok(()),
            made => made,
        })
    }

    fn move_from(&mut self, staging: &mut Cursor<'_>, path: &RelPath) -> rustix::io::Result<()> {
        let (from, name) = match staging.at(path) {
            Ok(found) => found,
            // All of its directory is in its place already.
            Err(Errno::NOENT) => return self.must_exist(path),
            Err(error) => return Err(error),
        };
        let done = self.allowed(path, &mut |dir, to| rustix::fs::renameat(from, name, dir, to));
        match done {
            Err(Errno::NOENT) => self.must_exist(path),
            // Something else was put there meanwhile.
            Err(Errno::ISDIR | Errno::NOTDIR | Errno::NOTEMPTY | Errno::EXIST) => {
                self.remove_tree(path)?;
                self.allowed(path, &mut |dir, to| rustix::fs::renameat(from, name, dir, to))
            }
            done => done,
        }
    }

    /// What is not in the staging directory any more was moved before.
    fn must_exist(&mut self, path: &RelPath) -> rustix::io::Result<()> {
        let (dir, name) = self.at(path)?;
        rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map(drop)
    }

    fn settle(&mut self, path: &RelPath, mtime: i64) -> rustix::io::Result<()> {
        let (dir, name) = self.at(path)?;
        let open = rustix::fs::openat(dir, name, LOOK, Mode::empty())?;
        settle(&open, mtime)
    }
}

/// Gives an open directory its mode and time.
pub(super) fn settle(dir: impl AsFd, mtime: i64) -> rustix::io::Result<()> {
    let dir = dir.as_fd();
    if rustix::fs::fstat(dir)?.st_mode & 0o7777 != 0o755 {
        rustix::fs::fchmod(dir, Mode::from_raw_mode(0o755))?;
    }
    rustix::fs::futimens(dir, &timestamps(mtime))
}

/// Removes a file, link or directory with all that is in it, following no link. What goes meanwhile is fine.
fn remove_tree_at(dir: BorrowedFd<'_>, name: &str) -> rustix::io::Result<()> {
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    remove_entry(dir, &name)
}

fn remove_entry(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        // Linux says the first of a directory, others the second.
        Err(Errno::ISDIR | Errno::PERM) => remove_dir(dir, name),
        done => done,
    }
}

fn remove_dir(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
    let inner = rustix::fs::openat(dir, name, LOOK, Mode::empty())?;
    if rustix::fs::fstat(&inner)?.st_mode & 0o700 != 0o700 {
        rustix::fs::fchmod(&inner, Mode::from_raw_mode(0o755))?;
    }
    let mut below = Vec::new();
    for entry in Dir::read_from(&inner)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        if entry.file_type() == FileType::Directory {
            below.push(name.to_owned());
        } else {
            remove_entry(inner.as_fd(), name).or_else(gone)?;
        }
    }
    below.par_iter().try_for_each(|name| remove_dir(inner.as_fd(), name).or_else(gone))?;
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR)
}

fn gone(error: Errno) -> rustix::io::Result<()> {
    if error == Errno::NOENT { Ok(()) } else { Err(error) }
}
