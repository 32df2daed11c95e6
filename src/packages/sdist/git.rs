//! The repository around a local project: which files it has, and its history, read only.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::environment::Environment;
use crate::words::error::{Error, Result};
use std::os::unix::ffi::OsStringExt as _;

/// A repository on disk.
#[derive(Debug)]
pub(super) struct Repository {
    /// The top of its working tree, resolved.
    pub top: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
}

/// The part of a repository that decides a version.
#[derive(Debug)]
pub(super) struct History {
    /// The commit and the nearest tag, as text for a key.
    pub key: String,
    git_dir: PathBuf,
    common_dir: PathBuf,
}

/// Runs a reading command; `None` when git is missing, refuses the repository, or fails.
fn read(directory: &Path, args: &[&str], user: &Environment) -> Option<Vec<u8>> {
    let output = Command::new("git")
        // Settings of the repository that would run programs are off.
        .args(["-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"])
        .args(args)
        .current_dir(directory)
        .env_clear()
        .envs(user.iter())
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}

fn path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes.to_vec()))
}

fn line(bytes: Vec<u8>) -> PathBuf {
    let mut bytes = bytes;
    while bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

impl Repository {
    /// The repository `directory` belongs to.
    pub(super) fn of(directory: &Path, user: &Environment) -> Option<Self> {
        let [top, git_dir, common_dir] = Self::paths(directory, user)?;
        let top = Some(top).filter(|top| top.is_absolute())?.canonicalize().ok()?;
        let git_dir = directory.join(git_dir).canonicalize().ok()?;
        let common_dir = directory.join(common_dir).canonicalize().ok()?;
        Some(Repository { top, git_dir, common_dir })
    }

    /// The repository's top, its `.git`, and what that shares with others, as git says them: in one run, but where a path
    /// has an end of line in it.
    fn paths(directory: &Path, user: &Environment) -> Option<[PathBuf; 3]> {
        const ASKED: [&str; 3] = ["--show-toplevel", "--git-dir", "--git-common-dir"];
        let all = read(directory, &[&["rev-parse"][..], &ASKED].concat(), user)?;
        let lines: Vec<&[u8]> = all.strip_suffix(b"\n")?.split(|byte| *byte == b'\n').collect();
        if let [top, git_dir, common_dir] = lines[..] {
            return Some([top, git_dir, common_dir].map(path));
        }
        let ask = |what: &str| read(directory, &["rev-parse", what], user).map(line);
        Some([ask(ASKED[0])?, ask(ASKED[1])?, ask(ASKED[2])?])
    }

    /// The tracked files below `directory` and the others that are not ignored, relative to it.
    pub(super) fn files(directory: &Path, user: &Environment) -> Option<(Vec<PathBuf>, Vec<PathBuf>)> {
        let args = ["ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard"];
        let bytes = read(directory, &args, user)?;
        let (mut tracked, mut others) = (Vec::new(), Vec::new());
        for tagged in bytes.split(|byte| *byte == 0).filter(|tagged| !tagged.is_empty()) {
            // One letter, which is a question mark for what is not tracked, and a space.
            let (tag, name) = tagged.split_at_checked(2)?;
            let list = if tag == b"? " { &mut others } else { &mut tracked };
            list.push(path(name));
        }
        Some((tracked, others))
    }

    /// What of the history decides a version; `None` before the first commit.
    pub(super) fn history(&self, user: &Environment) -> Option<History> {
        // Without `--dirty`, which writes to the index; what is changed is part of the files' digest.
        let commit = read(&self.top, &["rev-parse", "HEAD"], user)?;
        let tag = read(&self.top, &["describe", "--tags", "--long", "--always"], user)?;
        Some(History {
            key: format!("{} {}", line(commit).display(), line(tag).display()),
            git_dir: self.git_dir.clone(),
            common_dir: self.common_dir.clone(),
        })
    }
}

impl History {
    /// Gives a copied working tree this history, with an index of its own: what a backend asks git
    /// about the copy is answered from the repository, and nothing is written to it.
    pub(super) fn link(&self, top: &Path) -> Result<()> {
        let place = top.join(".git");
        fs::create_dir(&place).map_err(|e| Error::io("cannot create", &place, e))?;
        for name in ["HEAD", "index"] {
            let (from, to) = (self.git_dir.join(name), place.join(name));
            if from.exists() {
                fs::copy(&from, &to).map_err(|e| Error::io("cannot copy", &from, e))?;
            }
        }
        let file = place.join("commondir");
        fs::write(&file, format!("{}\n", self.common_dir.display()))
            .map_err(|e| Error::io("cannot write", &file, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_and_its_files_are_known_whatever_their_names() {
        let place = tempfile::tempdir().expect("a directory");
        let user: Vec<_> = std::env::vars_os().filter(|(name, _)| name == "PATH").collect();
        let user = Environment::for_build(&user, &[]);
        for name in ["plain", "end\nof line", "end of name\n"] {
            let top = place.path().join(name);
            let inner = top.join("inner");
            fs::create_dir_all(&inner).expect("made");
            assert!(Repository::of(&inner, &user).is_none(), "{name:?}: there is none yet");
            read(&top, &["init", "--quiet"], &user).expect("a repository");
            for file in ["tracked", "? odd", "other", "two\nlines", "ignored"] {
                fs::write(inner.join(file), "").expect("written");
            }
            fs::write(top.join(".gitignore"), "ignored\n").expect("written");
            read(&inner, &["add", "tracked", "? odd"], &user).expect("added");

            let found = Repository::of(&inner, &user);
            // git itself shows one that ends in an end of line without it.
            if !name.ends_with('\n') {
                let found = found.expect("a repository");
                let top = top.canonicalize().expect("resolved");
                assert_eq!((&found.top, &found.git_dir), (&top, &top.join(".git")), "{name:?}");
                assert_eq!(found.common_dir, found.git_dir);
            }
            let (tracked, mut others) = Repository::files(&inner, &user).expect("files");
            others.sort();
            assert_eq!(tracked, ["? odd", "tracked"].map(PathBuf::from), "{name:?}");
            assert_eq!(others, ["other", "two\nlines"].map(PathBuf::from), "{name:?}");
        }
    }
}
