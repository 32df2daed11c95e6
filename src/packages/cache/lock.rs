//! Locks by key, for threads and processes alike.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// The sole right to make what belongs to a key. Held until dropped; the system takes it back from a
/// killed process.
#[derive(Debug)]
pub struct KeyLock {
    /// `None` where the file system cannot lock.
    held: Option<(File, PathBuf)>,
}

impl KeyLock {
    pub(super) fn acquire(path: &Path) -> Self {
        loop {
            let Ok(file) = OpenOptions::new().create(true).truncate(false).write(true).open(path) else {
                return KeyLock { held: None };
            };
            match file.lock() {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return KeyLock { held: None },
            }
            // The one before removed the file on leaving: what was locked then is nobody's any more.
            if is_still(&file, path) {
                return KeyLock { held: Some((file, path.to_owned())) };
            }
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        if let Some((file, path)) = &self.held {
            // Removed while still held, so that whoever waits notices (see `acquire`).
            let _ = fs::remove_file(path);
            let _ = file.unlock();
        }
    }
}

/// Whether `path` still names the open file.
fn is_still(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}
