//! The CPython interpreters of this machine.

use std::{path::PathBuf, process::Command};

/// The system's python3 and those of pyenv that venvoy makes environments for, each version once.
pub fn all() -> Vec<PathBuf> {
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv")));
    let versions = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let mut found: Vec<PathBuf> = versions
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("bin/python3"))
        .filter(is_supported)
        .collect();
    found.sort();
    found.insert(0, PathBuf::from("/usr/bin/python3"));
    found
}

fn is_supported(python: &PathBuf) -> bool {
    const CHECK: &str = "import sys; sys.exit(not (3, 7) <= sys.version_info < (3, 15))";
    Command::new(python).args(["-I", "-c", CHECK]).status().is_ok_and(|status| status.success())
}
