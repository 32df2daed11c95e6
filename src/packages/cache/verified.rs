//! A file whose bytes were digested and found right.

use std::path::{Path, PathBuf};

use crate::words::vocab::Sha256;

/// A file that matched its digest. Only `cache` makes one, at the end of a digest that matched; a file
/// name and this are what `wheel` opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedFile {
    path: PathBuf,
    sha256: Sha256,
    size: u64,
}

impl VerifiedFile {
    /// Vouches for a file. Crate-private: the caller has just digested these very bytes, or found them
    /// under their digest in the cache, where nothing unverified is ever published.
    pub(crate) fn vouch(path: PathBuf, sha256: Sha256, size: u64) -> Self {
        VerifiedFile { path, sha256, size }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The digest its bytes matched.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}
