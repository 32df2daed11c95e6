//! The project: which directory, Pipfile and lock a run is about.

use std::path::{Path, PathBuf};

use crate::words::env::Env;
use crate::words::error::{Error, Kind, Result};

/// A project's directory and the files in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Project {
    /// The directory relative paths of the lock are relative to.
    pub dir: PathBuf,
    /// The Pipfile, where there is one.
    pub pipfile: Option<PathBuf>,
    /// The lock, where there is one: see [`Project::lock`].
    pub lock: Option<LockFile>,
    /// Where the Pipfile is, or would be.
    pipfile_place: PathBuf,
}

/// A lock's file and its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LockFile {
    /// pipenv's `Pipfile.lock`.
    Pipenv(PathBuf),
    /// `pylock.toml` or `pylock.NAME.toml` (PEP 751).
    Pylock(PathBuf),
}

impl LockFile {
    /// The file.
    pub(crate) fn path(&self) -> &Path {
        match self {
            LockFile::Pipenv(path) | LockFile::Pylock(path) => path,
        }
    }

    fn of(path: PathBuf) -> Self {
        if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("toml")) {
            LockFile::Pylock(path)
        } else {
            LockFile::Pipenv(path)
        }
    }
}

impl Project {
    /// Finds the project as pipenv does: PIPENV_PIPFILE, else the first directory from `start` upwards
    /// (PIPENV_MAX_DEPTH of them, 10 unless told, `start` alone with PIPENV_NO_INHERIT) with a Pipfile; and where there is none, with a lock,
    /// as an image build often copies only that.
    ///
    /// # Errors
    /// [`Kind::Lock`] where PIPENV_PIPFILE names nothing.
    pub(crate) fn find(start: &Path, explicit_dir: bool, lock: Option<&Path>, env: &Env) -> Result<Self> {
        if let Some(pipfile) = env.path("PIPENV_PIPFILE") {
            let pipfile = start.join(pipfile);
            let dir = pipfile.parent().unwrap_or(start).to_owned();
            if !pipfile.is_file() && lock.is_none() && beside(&dir, &pipfile).is_none() {
                return Err(Error::new(
                    Kind::Lock,
                    format!(
                        "PIPENV_PIPFILE names {}, and there is neither that file nor a lock beside it",
                        pipfile.display()
                    ),
                )
                .help("correct PIPENV_PIPFILE, or unset it to look for a Pipfile from here upwards"));
            }
            return Ok(Self::in_dir(dir, pipfile, lock.map(|lock| start.join(lock))));
        }
        if explicit_dir || lock.is_some() {
            let pipfile = start.join("Pipfile");
            return Ok(Self::in_dir(start.to_owned(), pipfile, lock.map(|lock| start.join(lock))));
        }
        let depth = env.get("PIPENV_MAX_DEPTH").and_then(|text| text.parse().ok()).unwrap_or(10_usize);
        let depth = if env.flag("PIPENV_NO_INHERIT") { 1 } else { depth };
        let dirs = || start.ancestors().take(depth.max(1));
        let dir = dirs()
            .find(|dir| dir.join("Pipfile").is_file())
            .or_else(|| dirs().find(|dir| beside(dir, &dir.join("Pipfile")).is_some()))
            .unwrap_or(start);
        Ok(Self::in_dir(dir.to_owned(), dir.join("Pipfile"), None))
    }

    fn in_dir(dir: PathBuf, pipfile: PathBuf, lock: Option<PathBuf>) -> Self {
        let lock = lock.map(LockFile::of).or_else(|| beside(&dir, &pipfile));
        Project { pipfile: pipfile.is_file().then(|| pipfile.clone()), dir, lock, pipfile_place: pipfile }
    }

    /// The lock.
    ///
    /// # Errors
    /// [`Kind::Lock`] where there is none, naming what was looked for.
    pub(crate) fn lock(&self) -> Result<&LockFile> {
        self.lock.as_ref().ok_or_else(|| missing_lock(&self.dir, &self.pipfile_place))
    }

    /// The Pipfile.
    ///
    /// # Errors
    /// [`Kind::Lock`] where there is none, in pipenv's words, which scripts look for.
    pub(crate) fn pipfile(&self) -> Result<&Path> {
        self.pipfile.as_deref().ok_or_else(|| {
            let place = self.pipfile_place.display();
            Error::new(Kind::Lock, format!("No Pipfile present at project home. There is no {place}"))
                .help("name the project's directory with --project DIR, or its Pipfile with PIPENV_PIPFILE")
        })
    }
}

/// The lock beside a Pipfile: `Pipfile.lock`, else `pylock.toml`.
fn beside(dir: &Path, pipfile: &Path) -> Option<LockFile> {
    let mut lock = pipfile.as_os_str().to_owned();
    lock.push(".lock");
    let lock = PathBuf::from(lock);
    if lock.is_file() {
        return Some(LockFile::Pipenv(lock));
    }
    let pylock = dir.join("pylock.toml");
    pylock.is_file().then_some(LockFile::Pylock(pylock))
}

fn missing_lock(dir: &Path, pipfile: &Path) -> Error {
    let name = pipfile.file_name().unwrap_or_default().to_string_lossy();
    let dir = dir.display();
    let subject = if pipfile.is_file() {
        // It begins with pipenv's words, which scripts look for.
        format!("{name}.lock not found! There is a {name} but no lock in {dir}")
    } else {
        format!("no lock in {dir}: there is no {name}.lock, no pylock.toml and no {name}")
    };
    Error::new(Kind::Lock, subject)
        .help("make one with `pipenv lock` and commit it; in a Dockerfile, COPY it before this step; or name one with --lock FILE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "").expect("written");
        }
        dir
    }

    #[test]
    fn a_lock_alone_is_enough() {
        let dir = project(&["Pipfile.lock"]);
        let found = Project::find(dir.path(), false, None, &Env::default()).expect("found");
        assert_eq!(found.pipfile, None);
        assert_eq!(found.lock, Some(LockFile::Pipenv(dir.path().join("Pipfile.lock"))));
    }

    #[test]
    fn a_pipfile_above_is_found_as_far_as_pipenv_looks() {
        let dir = project(&["Pipfile", "Pipfile.lock", "1/2/3/4/5/6/7/8/9/10/x"]);
        let from = |path: &str, env: &Env| Project::find(&dir.path().join(path), false, None, env);
        // As pipenv 2026.10.3, where the variable's documentation speaks of 3.
        assert_eq!(from("1/2/3/4/5/6/7/8/9", &Env::default()).expect("found").dir, dir.path());
        let deep =
            from("1/2/3/4/5/6/7/8/9/10", &Env::default()).expect("a place").lock().expect_err("too deep");
        assert!(deep.report().contains("no Pipfile.lock"));
        for (env, found) in [
            (Env::of([("PIPENV_MAX_DEPTH", "4")]), true),
            (Env::of([("PIPENV_MAX_DEPTH", "3")]), false),
            (Env::of([("PIPENV_NO_INHERIT", "1")]), false),
        ] {
            assert_eq!(from("1/2/3", &env).expect("a place").lock().is_ok(), found, "{env:?}");
        }
    }

    #[test]
    fn pylock_is_taken_only_where_there_is_no_pipfile_lock() {
        let dir = project(&["pylock.toml"]);
        let found = Project::find(dir.path(), true, None, &Env::default()).expect("found");
        assert!(matches!(found.lock, Some(LockFile::Pylock(_))));
        std::fs::write(dir.path().join("Pipfile.lock"), "").expect("written");
        let found = Project::find(dir.path(), true, None, &Env::default()).expect("found");
        assert!(matches!(found.lock, Some(LockFile::Pipenv(_))));
    }

    #[test]
    fn a_missing_lock_is_an_error_that_says_what_to_do() {
        let dir = project(&["Pipfile"]);
        let project = Project::find(dir.path(), false, None, &Env::default()).expect("a project");
        let report = project.lock().expect_err("no lock").report();
        assert!(report.contains("Pipfile.lock not found! There is a Pipfile but no lock in "), "{report}");
        assert!(report.contains("pipenv lock"), "{report}");
    }
}
