//! The open file of a wheel. A run may have more wheels than it may have files open: the first ones stay open, the
//! others are opened again whenever something is read from them.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    packages::cache::VerifiedFile,
    words::{error::Result, files::share_of_descriptors},
};

/// How many wheels are open.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// A wheel's file, open or ready to be opened again.
#[derive(Debug, Clone)]
pub(super) struct Handle(Option<Arc<Kept>>);

#[derive(Debug)]
struct Kept(Arc<File>);

impl Handle {
    /// Keeps the file open where there is room.
    pub(super) fn of(file: &Arc<File>) -> Self {
        if OPEN.fetch_add(1, Ordering::Relaxed) < share_of_descriptors() {
            return Handle(Some(Arc::new(Kept(Arc::clone(file)))));
        }
        OPEN.fetch_sub(1, Ordering::Relaxed);
        Handle(None)
    }

    /// The open file, for as long as something is read from it.
    pub(super) fn file(&self, verified: &VerifiedFile) -> Result<Arc<File>> {
        match &self.0 {
            Some(kept) => Ok(Arc::clone(&kept.0)),
            None => verified.open().map(Arc::new),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}
