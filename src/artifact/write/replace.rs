//! Putting a new tree into the place of an old one, name by name, where no single rename can: in a mount point, and where the
//! old one lies in a lower layer of an overlay, whose directories cannot be renamed (EXDEV). What a step did is noted,
//! so that all of it can be taken back when a later one fails.

use std::{
    ffi::OsString,
    fs::{self, File, FileTimes, Permissions},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::SystemTime,
};

use rustix::{
    fs::{CWD, RenameFlags},
    io::Errno,
};

/// What was done so far.
#[derive(Default)]
pub(super) struct Replacement {
    done: Vec<Step>,
}

enum Step {
    /// These two have each other's name now.
    Exchanged(PathBuf, PathBuf),
    /// The first is called like the second now.
    Moved(PathBuf, PathBuf),
    /// What the first was is kept as the second.
    Overwritten(PathBuf, PathBuf),
    /// This directory was removed, empty.
    Removed(PathBuf, Permissions),
    /// This directory had this time.
    Changed(PathBuf, SystemTime),
}

impl Replacement {
    /// Puts `from` at `to`. What is there goes to `went`.
    pub(super) fn put(&mut self, from: &Path, to: &Path, went: &Path) -> io::Result<()> {
        let Ok(there) = fs::symlink_metadata(to) else { return self.rename(from, to) };
        let refused = match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE) {
            Ok(()) => {
                self.done.push(Step::Exchanged(from.to_owned(), to.to_owned()));
                return Ok(());
            }
            Err(error) => error,
        };
        let is_dir = fs::symlink_metadata(from)?.is_dir();
        if is_dir && there.is_dir() && refused == Errno::XDEV {
            return self.merge(from, to, went);
        }
        // Without exchange, a file still replaces a file at once.
        if !is_dir && !there.is_dir() && fs::hard_link(to, went).is_ok() {
            fs::rename(from, to)?;
            self.done.push(Step::Overwritten(to.to_owned(), went.to_owned()));
            return Ok(());
        }
        self.take_away(to, went)?;
        self.rename(from, to)
    }

    /// Puts all that is in one directory into another, which keeps its place and gets the time and mode of the first.
    fn merge(&mut self, from: &Path, to: &Path, went: &Path) -> io::Result<()> {
        let new = fs::symlink_metadata(from)?;
        self.done.push(Step::Changed(to.to_owned(), fs::symlink_metadata(to)?.modified()?));
        make_dir(went)?;
        let names = names_in(from)?;
        for name in &names {
            self.put(&from.join(name), &to.join(name), &went.join(name))?;
        }
        for name in names_in(to)?.iter().filter(|name| !names.contains(name)) {
            self.take_away(&to.join(name), &went.join(name))?;
        }
        let dir = File::open(to)?;
        dir.set_permissions(new.permissions())?;
        dir.set_times(FileTimes::new().set_accessed(new.modified()?).set_modified(new.modified()?))
    }

    /// Brings something to `went`. It is fine if it is not there.
    pub(super) fn take_away(&mut self, path: &Path, went: &Path) -> io::Result<()> {
        match self.rename(path, went) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::CrossesDevices && path.is_dir() => {}
            renamed => return renamed,
        }
        let old = fs::symlink_metadata(path)?;
        self.done.push(Step::Changed(path.to_owned(), old.modified()?));
        make_dir(went)?;
        for name in names_in(path)? {
            self.take_away(&path.join(&name), &went.join(&name))?;
        }
        fs::remove_dir(path)?;
        self.done.push(Step::Removed(path.to_owned(), old.permissions()));
        Ok(())
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)?;
        self.done.push(Step::Moved(from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Takes everything back, the last step first, as far as that can be done.
    pub(super) fn undo(self) {
        for step in self.done.into_iter().rev() {
            // What cannot be taken back now is put right by the next run, which finds no manifest.
            let _ = match step {
                Step::Exchanged(a, b) => rustix::fs::renameat_with(CWD, &a, CWD, &b, RenameFlags::EXCHANGE)
                    .map_err(io::Error::from),
                Step::Moved(from, to) => fs::rename(to, from),
                Step::Overwritten(to, kept) => fs::rename(kept, to),
                Step::Removed(dir, mode) => make_dir(&dir).and_then(|()| fs::set_permissions(&dir, mode)),
                Step::Changed(dir, time) => File::open(dir)
                    .and_then(|dir| dir.set_times(FileTimes::new().set_accessed(time).set_modified(time))),
            };
        }
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

fn names_in(dir: &Path) -> io::Result<Vec<OsString>> {
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
}
