//! Things in the making: uniquely named, locked by who makes them, swept when nobody does.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    time::{Duration, SystemTime},
};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::words::error::{Error, Result};

/// How long what nobody holds is left alone. On file systems without locks a slow download is all
/// that tells a run at work from a dead one.
const ORPHANED_AFTER: Duration = Duration::from_hours(24);

const PREFIX: &str = "part-";

/// A new file in `dir`, removed when dropped. Readable as the umask says, since caches are shared.
pub(super) fn file(dir: &Path) -> Result<NamedTempFile> {
    let file = Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
        .map_err(|error| Error::io("cannot make a temporary file in", dir, error))?;
    // Where there are no locks, age alone decides (see `sweep`).
    let _ = file.as_file().try_lock();
    Ok(file)
}

/// A new directory in `dir`, removed when dropped, and the lock on it.
pub(super) fn directory(dir: &Path) -> Result<(TempDir, Option<File>)> {
    let made = Builder::new()
        .prefix(PREFIX)
        .permissions(Permissions::from_mode(0o777))
        .tempdir_in(dir)
        .map_err(|error| Error::io("cannot make a temporary directory in", dir, error))?;
    let lock = File::open(made.path()).ok().filter(|file| file.try_lock().is_ok());
    Ok((made, lock))
}

/// Removes what killed runs left in `dir`: old, and held by nobody. Trouble doing so is nobody's.
pub(super) fn sweep(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let age = metadata.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok());
        if age.is_none_or(|age| age < ORPHANED_AFTER) {
            continue;
        }
        let Ok(file) = File::open(&path) else { continue };
        if matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            continue;
        }
        let _ = if metadata.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
    }
}
