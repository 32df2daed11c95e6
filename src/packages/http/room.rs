//! Room for large answers: one at a time, so that memory does not grow with the number of threads.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// Up to so many bytes an answer needs no permission: many threads have such an answer each.
pub(crate) const SMALL: usize = 4 << 20;

/// The permission to hold an answer larger than [`SMALL`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Room(Arc<(Mutex<bool>, Condvar)>);

/// The permission in use; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held(Room);

impl Room {
    /// Waits for the permission.
    pub(crate) fn take(&self) -> Held {
        let (taken, freed) = &*self.0;
        let mut taken = taken.lock();
        while *taken {
            freed.wait(&mut taken);
        }
        *taken = true;
        Held(self.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let (taken, freed) = &*self.0.0;
        *taken.lock() = false;
        freed.notify_one();
    }
}
