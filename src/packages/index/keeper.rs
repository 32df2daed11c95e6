//! Which files of a page are kept while it is read: what one entry of a lock may be installed from, and enough of the
//! rest to say what there is instead. A page may list more files than there is memory for.

use std::collections::HashSet;

use super::{IndexFile, Pinned, candidate::Form};
use crate::words::vocab::Sha256;

/// How many files are kept that the entry does not pin: they only serve messages.
const OTHERS: usize = 1_000;

/// Takes the files of a page one by one.
pub(super) struct Keeper<'a> {
    /// For whom the page is read; everything is kept where that is nobody in particular.
    request: Option<(&'a Pinned<'a>, HashSet<Sha256>)>,
    files: Vec<IndexFile>,
    others: usize,
}

impl<'a> Keeper<'a> {
    pub(super) fn new(request: Option<&'a Pinned<'a>>) -> Self {
        let request = request.map(|request| (request, request.hashes.pinned()));
        Keeper { request, files: Vec::new(), others: 0 }
    }

    /// Whether a file is one to keep.
    pub(super) fn wants(&mut self, file: &IndexFile) -> bool {
        let Some((request, hashes)) = &self.request else { return true };
        if file.sha256.is_some_and(|digest| hashes.contains(&digest)) {
            return true;
        }
        if self.others < OTHERS {
            self.others += 1;
            return true;
        }
        // Files of the version that is pinned, in other bytes or without a digest, can still be chosen or explain why
        // nothing can.
        Form::read(&file.filename, request).is_ok_and(|form| form.matches(request.pin))
    }

    /// Keeps a file, if it is one to keep.
    pub(super) fn offer(&mut self, file: IndexFile) {
        if self.wants(&file) {
            self.files.push(file);
        }
    }

    /// What was kept, in the page's order.
    pub(super) fn into_files(self) -> Vec<IndexFile> {
        self.files
    }
}
