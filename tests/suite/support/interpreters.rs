//! The CPython interpreters of this machine.

use std::{env, fs, path::PathBuf, process::Command};

/// pyenv's interpreters of all versions, lowest first.
pub fn pyenv() -> Vec<((u32, u32), PathBuf)> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".pyenv"));
    let Some(root) = env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(home) else {
        return Vec::new();
    };
    let versions = fs::read_dir(root.join("versions")).into_iter().flatten().flatten();
    let mut found: Vec<((u32, u32), PathBuf)> = versions
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let mut numbers = name.split('.').map(|part| part.parse().ok());
            let version = (numbers.next()??, numbers.next()??);
            Some((version, entry.path().join("bin/python")))
        })
        .filter(|(_, python)| python.is_file())
        .collect();
    found.sort();
    found
}

/// The system's python3 and those of pyenv that venvoy makes environments for.
pub fn all() -> Vec<PathBuf> {
    let supported = |python: &PathBuf| {
        const CHECK: &str = "import sys; sys.exit(not (3, 7) <= sys.version_info < (3, 15))";
        Command::new(python).args(["-I", "-c", CHECK]).status().is_ok_and(|status| status.success())
    };
    let mut found = vec![PathBuf::from("/usr/bin/python3")];
    found.extend(pyenv().into_iter().map(|(_, python)| python).filter(supported));
    found
}
