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
        let ask = |what: &str| read(directory, &["rev-parse", what], user).map(line);
        let top = ask("--show-toplevel").filter(|top| top.is_absolute())?.canonicalize().ok()?;
        let git_dir = directory.join(ask("--git-dir")?).canonicalize().ok()?;
        let common_dir = directory.join(ask("--git-common-dir")?).canonicalize().ok()?;
        Some(Repository { top, git_dir, common_dir })
    }

    /// The tracked files below `directory` and the others that are not ignored, relative to it.
    pub(super) fn files(directory: &Path, user: &Environment) -> Option<(Vec<PathBuf>, Vec<PathBuf>)> {
        let list = |options: &[&str]| {
            let mut args = vec!["ls-files", "-z"];
            args.extend(options);
            let bytes = read(directory, &args, user)?;
            let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
            Some(names.map(|name| line(name.to_vec())).collect::<Vec<_>>())
        };
        Some((list(&["--cached"])?, list(&["--others", "--exclude-standard"])?))
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
