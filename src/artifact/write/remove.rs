//! Removing a whole environment, in parallel; a large one behind the end of the run that replaced it.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use rayon::prelude::*;

use super::destination::staged_for;
use crate::environment::manifest::MANIFEST;

/// Levels of an environment above its packages: `lib/python3.11/site-packages`.
const LEVELS: usize = 3;

/// The first of two arguments of a remover: venvoy is one when it is started with it.
const WORD: &str = "__remove";

/// The manifest's size in bytes above which an old tree is removed by a process that outlives this one: some five
/// thousand files, which take as long as that process takes to start several times over.
const LARGE: u64 = 512 << 10;

/// Removes a directory and all below it; links in it are removed, never followed.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    let mut level = vec![path.to_path_buf()];
    for _ in 0..LEVELS {
        level = level.iter().flat_map(|dir| subdirectories(dir)).collect();
    }
    let packages: Vec<PathBuf> = level.iter().flat_map(|dir| subdirectories(dir)).collect();
    packages.par_iter().try_for_each(fs::remove_dir_all)?;
    fs::remove_dir_all(path)
}

/// Removes an old tree that has a staging directory's name; a large one by `program` (see [`run`]), which is not waited
/// for. If that is killed, the next run sweeps what it left.
pub(super) fn discard(path: &Path, program: Option<&Path>) -> io::Result<()> {
    let is_large = || fs::symlink_metadata(path.join(MANIFEST)).is_ok_and(|meta| meta.len() > LARGE);
    match program {
        Some(program) if is_large() && start(program, path).is_ok() => Ok(()),
        _ => remove_tree(path),
    }
}

/// Starts a remover in a process group of its own, so that the end of this run's is not its own.
fn start(program: &Path, path: &Path) -> io::Result<()> {
    Command::new(program)
        .arg(WORD)
        .arg(path)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map(drop)
}

/// The tree to be removed, if these arguments (the program's own name first) make this process a remover.
pub(crate) fn asked(args: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    let mut args = args.skip(1);
    let (word, path) = (args.next()?, args.next()?);
    (word == WORD && args.next().is_none()).then(|| path.into())
}

/// Removes what [`asked`] gave, if it has the name that an old tree has.
pub(crate) fn run(path: &Path) -> ExitCode {
    // Ends with no terminal that is closed meanwhile.
    let _ = rustix::process::setsid();
    ExitCode::from(u8::from(!removed_old(path)))
}

/// Removes a tree that has the name of an old one; says whether it is gone.
fn removed_old(path: &Path) -> bool {
    path.file_name().and_then(staged_for).is_some() && remove_tree(path).is_ok()
}

/// Whether a process that this one starts may go on when it ends: not in a container, whose end it may be, nor in a CI
/// job, which clears up or keeps what it finds.
pub(crate) fn may_outlive(in_ci: bool) -> bool {
    // The number of the kernel's first PID namespace.
    const FIRST: &str = "pid:[4026531836]";
    !in_ci && fs::read_link("/proc/self/ns/pid").is_ok_and(|own| own.as_os_str() == FIRST)
}

/// Subdirectories right below `dir`; what cannot be listed is left to the caller's final removal to report.
fn subdirectories(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remover_takes_old_trees_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        for (name, goes) in [(".venv.venvoy-Abcd1234", true), (".venv", false), ("a.venvoy-short", false)] {
            let tree = dir.path().join(name);
            fs::create_dir_all(tree.join("lib/a")).expect("directories");
            let args = ["venvoy".into(), WORD.into(), tree.clone().into_os_string()];
            let path = asked(args.into_iter()).expect("asked");
            // Not `run`, which would leave this session.
            assert_eq!((removed_old(&path), tree.exists()), (goes, !goes), "{name}");
        }
        assert_eq!(asked(["venvoy".into(), "sync".into(), "/x".into()].into_iter()), None);
        assert_eq!(asked(["venvoy".into(), WORD.into()].into_iter()), None);
    }
}
