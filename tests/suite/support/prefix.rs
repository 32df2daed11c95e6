//! An interpreter with a prefix of its own, as one in `/usr/local` is, whose packages a test may change.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use super::{files, interpreters, program::clean};

/// A prefix with CPython, its standard library linked, and pip.
pub struct Prefix {
    pub root: PathBuf,
    /// Such as `lib/python3.11`.
    pub lib: String,
}

impl Prefix {
    /// Makes one at a directory, from a pyenv interpreter of this version.
    pub fn new(root: &Path, version: (u32, u32)) -> Self {
        let python = interpreters::pyenv().into_iter().rfind(|(found, _)| *found == version);
        let (_, python) = python.unwrap_or_else(|| panic!("install Python {version:?} with pyenv"));
        let from = python.canonicalize().expect("a file");
        let from = from.parent().and_then(Path::parent).expect("a prefix");
        let name = format!("python{}.{}", version.0, version.1);
        let lib = format!("lib/{name}");
        fs::create_dir_all(root.join("bin")).expect("made");
        fs::create_dir_all(root.join(&lib).join("site-packages")).expect("made");
        fs::copy(from.join("bin").join(&name), root.join("bin").join(&name)).expect("copied");
        for link in ["python3", "python"] {
            symlink(&name, root.join("bin").join(link)).expect("linked");
        }
        for entry in fs::read_dir(from.join(&lib)).expect("a standard library").flatten() {
            if entry.file_name() != "site-packages" {
                symlink(entry.path(), root.join(&lib).join(entry.file_name())).expect("linked");
            }
        }
        let packages = from.join(&lib).join("site-packages");
        for entry in fs::read_dir(&packages).expect("packages").flatten() {
            let file = entry.file_name().into_string().expect("a name");
            if file == "pip" || file.starts_with("pip-") {
                files::copy(&entry.path(), &root.join(&lib).join("site-packages").join(&file));
            }
        }
        Prefix { root: root.to_owned(), lib }
    }

    /// PATH with its programs first.
    pub fn path(&self) -> String {
        format!("{}:{}", self.root.join("bin").display(), super::program::PATH)
    }

    /// Something in its site-packages.
    pub fn site(&self, name: &str) -> PathBuf {
        self.root.join(&self.lib).join("site-packages").join(name)
    }

    /// What its pip prints; it must succeed. Packages come from a directory of wheels.
    #[track_caller]
    pub fn pip(&self, wheels: &Path, args: &[&str]) -> String {
        pip(&self.root.join("bin/python3"), wheels, args)
    }

    /// The paths of all files below it, with their contents where they are not bytecode, what everything has left out.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        list(&self.root, &self.root, &mut found);
        found.sort();
        found
    }
}

/// What the pip of an interpreter prints.
#[track_caller]
pub fn pip(python: &Path, wheels: &Path, args: &[&str]) -> String {
    let mut command: Command = clean(python);
    command.args(["-m", "pip", "--disable-pip-version-check"]).args(args);
    command.env("PIP_FIND_LINKS", wheels).env("PIP_NO_INDEX", "1").env("HOME", wheels);
    let output = command.output().expect("pip runs");
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn list(root: &Path, dir: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a type"));
        let name = path.strip_prefix(root).expect("inside").display().to_string();
        if kind.is_dir() && entry.file_name() != "__pycache__" {
            list(root, &path, found);
        } else if kind.is_file() && !name.starts_with("bin/python") {
            found.push((name, fs::read(&path).expect("read")));
        }
    }
}

/// The paths that two lists of files do not have in common, or with other contents.
pub fn differences(one: &[(String, Vec<u8>)], other: &[(String, Vec<u8>)]) -> Vec<String> {
    let only = |these: &[(String, Vec<u8>)], those: &[(String, Vec<u8>)], sign| -> Vec<String> {
        these
            .iter()
            .filter(|file| !those.contains(file))
            .map(|(path, bytes)| format!("{sign} {path}: {}", String::from_utf8_lossy(bytes)))
            .collect()
    };
    [only(one, other, '-'), only(other, one, '+')].concat()
}
