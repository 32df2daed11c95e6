//! Files and directories: written, copied, compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// Writes a file below a directory, making the directories between.
pub fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = root.join(name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
    fs::write(&path, bytes).expect("written");
    path
}

/// Writes files below a directory.
pub fn plant<N: AsRef<str>, T: AsRef<[u8]>>(root: &Path, files: &[(N, T)]) {
    for (name, text) in files {
        write(root, name.as_ref(), text);
    }
}

/// The names in a directory.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Everything below a directory; links are not followed.
fn all(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if is_directory(&path) {
                open.push(path.clone());
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_directory(path: &Path) -> bool {
    path.is_dir() && !path.is_symlink()
}

/// Every file and link below a directory.
pub fn below(dir: &Path) -> Vec<PathBuf> {
    all(dir).into_iter().filter(|path| !is_directory(path)).collect()
}

/// Every regular file below a directory with its bytes; none where there is no such directory.
pub fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let found = if dir.is_dir() { below(dir) } else { Vec::new() };
    let regular = found.into_iter().filter(|path| !path.is_symlink() && path.is_file());
    regular.map(|path| (path.clone(), fs::read(path).unwrap_or_default())).collect()
}

/// What of a file must be the same where nothing was to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub inode: u64,
    /// Seconds and nanoseconds.
    pub modified: (i64, i64),
    /// A link's target, nothing for a directory.
    pub bytes: Vec<u8>,
}

/// See [`snapshot`].
pub type Snapshot = BTreeMap<PathBuf, State>;

/// All that is below a directory: what "left as it was" means.
pub fn snapshot(dir: &Path) -> Snapshot {
    let look = |path: PathBuf| {
        let meta = fs::symlink_metadata(&path).expect("a file");
        let bytes = if meta.is_symlink() {
            fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
        } else if meta.is_file() {
            fs::read(&path).expect("a file")
        } else {
            Vec::new()
        };
        (path, State { inode: meta.ino(), modified: (meta.mtime(), meta.mtime_nsec()), bytes })
    };
    all(dir).into_iter().map(look).collect()
}

/// Fails naming the paths below `root` that are not as they were `before`.
#[track_caller]
pub fn assert_unchanged(root: &Path, before: &Snapshot, what: &str) {
    let after = snapshot(root);
    let paths = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
    let changed: BTreeSet<&PathBuf> = paths.collect();
    assert!(changed.is_empty(), "{what}: changed are {changed:?}");
}

/// Copies a directory, but no environment and no bytecode.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if name == ".venv" || name == "__pycache__" {
            continue;
        }
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}
