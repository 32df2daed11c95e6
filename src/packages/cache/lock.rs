//! Locks by key, for threads and processes alike.

use std::{
    fs::{File, TryLockError},
    time::Duration,
};

use super::Dir;
use crate::words::interrupt;

/// How often who waits looks again: the system's own waiting would not hear the user asking to stop.
const WAIT: Duration = Duration::from_millis(20);

/// The sole right to make what belongs to a key. Held until dropped; the system takes it back from a
/// killed process.
#[derive(Debug)]
pub struct KeyLock {
    /// `None` where the file system cannot lock.
    held: Option<(File, Dir, String)>,
}

impl KeyLock {
    /// No right at all, where there can be none.
    pub(super) fn none() -> Self {
        KeyLock { held: None }
    }

    pub(super) fn acquire(dir: &Dir, name: &str) -> Self {
        loop {
            let Ok(file) = dir.open_or_create(name, 0o666, false) else { return Self::none() };
            match file.try_lock() {
                // The one before removed the file on leaving: what was locked then is nobody's any more.
                Ok(()) => match dir.is(name, &file) {
                    Ok(true) => return KeyLock { held: Some((file, dir.clone(), name.to_owned())) },
                    Ok(false) => {}
                    Err(_) => return Self::none(),
                },
                // Whoever comes without the lock does work twice, or stops right away.
                Err(TryLockError::WouldBlock) if interrupt::requested() => return Self::none(),
                Err(TryLockError::WouldBlock) => std::thread::sleep(WAIT),
                Err(TryLockError::Error(_)) => return Self::none(),
            }
        }
    }
}

impl Drop for KeyLock {
    fn drop(&mut self) {
        if let Some((file, dir, name)) = &self.held {
            // Removed while still held, so that whoever waits notices (see `acquire`).
            let _ = dir.remove(name);
            let _ = file.unlock();
        }
    }
}
