//! Whether a wheel's entries were found to be what its RECORD says, by this run or by an earlier one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::{Wheel, access::Access};
use crate::packages::cache::Cache;

/// What is known of a wheel's entries. Its clones share it.
#[derive(Debug, Clone)]
pub(super) struct AsRecorded {
    /// An earlier run read all of them, from the same file.
    known: bool,
    /// Those that this run read, by position.
    found: Arc<[AtomicBool]>,
}

impl AsRecorded {
    pub(super) fn nothing(entries: usize) -> Self {
        AsRecorded { known: false, found: (0..entries).map(|_| AtomicBool::new(false)).collect() }
    }

    pub(super) fn known(&self) -> bool {
        self.known
    }

    pub(super) fn found(&self, entry: usize) {
        self.found[entry].store(true, Ordering::Relaxed);
    }
}

impl Wheel {
    /// Takes what the cache knows: where an earlier run found every entry to have RECORD's digest, and the file is the one
    /// that it read, entries are inflated and compared with the archive's CRC-32 alone, and RECORD's digest is given for
    /// theirs. Digesting costs a fourth of unpacking.
    pub(crate) fn rely_on(&mut self, cache: &Cache) {
        self.as_recorded.known = cache.is_as_recorded(&self.file);
        self.access = Access::of(cache);
    }

    /// Lets the cache know, once this run has found every entry that has a digest in RECORD to have that digest. And where
    /// inflating can begin in its large entries, which spares a later run nothing unless it relies on that.
    pub(crate) fn settle(&self, cache: &Cache) {
        self.keep_points(cache);
        let AsRecorded { known, found } = &self.as_recorded;
        let all = || {
            let mut entries = self.entries.iter().zip(found.iter());
            entries.all(|(entry, found)| entry.sha256.is_none() || found.load(Ordering::Relaxed))
        };
        if !known && all() {
            cache.note_as_recorded(&self.file);
        }
    }
}
