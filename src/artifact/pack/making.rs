//! What is in the making beside the place where it will be: held while its run lives, so that what a killed run left can be
//! told from what another run is at, and removed.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::Path,
    time::{Duration, SystemTime},
};

/// Whatever is younger may belong to a run that did not get to holding it.
const YOUNG: Duration = Duration::from_secs(10);

/// What names of things in the making of `path` begin with; they lie beside it.
pub(crate) fn prefix(path: &Path) -> String {
    format!(".venvoy-{}.", path.file_name().unwrap_or(OsStr::new("")).to_string_lossy())
}

/// Holds a file or directory as long as the answer lives. Where a file system has no locks, nothing is held; there
/// what was left stays.
pub(crate) fn hold(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok().map(|()| file)
}

/// Removes what killed runs left that made `path`.
pub(crate) fn sweep(path: &Path) {
    let prefix = prefix(path);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let left = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(&prefix)
            || is_young(&left)
            || hold(&left).is_none()
        {
            continue;
        }
        let _ = if left.is_dir() { fs::remove_dir_all(&left) } else { fs::remove_file(&left) };
    }
}

fn is_young(path: &Path) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|found| found.modified());
    // What cannot be looked at, or is of the future, is left alone.
    modified.map_or(true, |time| SystemTime::now().duration_since(time).map_or(true, |age| age < YOUNG))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_removed_once_it_is_old() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("out.tar");
        let old = SystemTime::now() - Duration::from_mins(1);
        let make = |name: &str| {
            let path = dir.path().join(name);
            let file = File::create(&path).expect("made");
            file.set_modified(old).expect("set");
            path
        };
        let [left, held, other] = [".venvoy-out.tar.a", ".venvoy-out.tar.b", ".venvoy-else.tar.c"].map(make);
        let whole = dir.path().join(".venvoy-out.tar.d");
        fs::create_dir_all(whole.join("blobs")).expect("made");
        File::open(&whole).and_then(|dir| dir.set_modified(old)).expect("set");
        let young = dir.path().join(".venvoy-out.tar.e");
        fs::write(&young, "").expect("made");
        let hold = hold(&held);
        sweep(&path);
        assert!(hold.is_some() && !left.exists() && !whole.exists());
        assert!(held.exists() && other.exists() && young.exists());
    }
}
