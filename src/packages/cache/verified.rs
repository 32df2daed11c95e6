//! A file whose bytes were digested and found right.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::Identity;
use crate::words::{
    error::{Error, Kind, Result},
    files::open_regular,
    vocab::Sha256,
};

/// A file that matched its digest. Only `cache` makes one, at the end of a digest that matched or of one that matched
/// before in this very file; a file name and this are what `wheel` opens.
#[derive(Debug, Clone)]
pub struct VerifiedFile {
    path: PathBuf,
    sha256: Sha256,
    size: u64,
    /// Of the file that was digested.
    identity: Option<Identity>,
}

/// Equal files are in one place and have the same bytes, whichever of several that were published there it is.
impl PartialEq for VerifiedFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.sha256, self.size) == (&other.path, other.sha256, other.size)
    }
}

impl Eq for VerifiedFile {}

impl VerifiedFile {
    /// Vouches for a file whose bytes the caller has just digested.
    pub(crate) fn vouch(path: PathBuf, sha256: Sha256, size: u64) -> Self {
        let identity = fs::symlink_metadata(&path).ok().map(|metadata| Identity::of(&metadata));
        VerifiedFile { path, sha256, size, identity }
    }

    pub(super) fn of(path: PathBuf, sha256: Sha256, size: u64, identity: Identity) -> Self {
        VerifiedFile { path, sha256, size, identity: Some(identity) }
    }

    /// Of the file that was digested.
    pub(super) fn identity(&self) -> Option<Identity> {
        self.identity
    }

    /// Opens it. What is read from here on is what was digested, even if something else has taken its place.
    ///
    /// # Errors
    /// [`Kind::Integrity`] where it is another file now, with other bytes.
    pub fn open(&self) -> Result<File> {
        let cannot = |error| Error::io("cannot open", &self.path, error);
        let file = open_regular(&self.path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if self.identity == Some(Identity::of(&metadata)) {
            return Ok(file);
        }
        // Another run may have published the same bytes anew.
        let (sha256, _) =
            Sha256::of_file(&file).map_err(|error| Error::io("cannot read", &self.path, error))?;
        if sha256 == self.sha256 {
            return Ok(file);
        }
        Err(Error::new(
            Kind::Integrity,
            format!(
                "{} was changed while it was used\ngot sha256:{sha256} ({} bytes)\nexpected sha256:{} ({} bytes)",
                self.path.display(),
                metadata.len(),
                self.sha256,
                self.size
            ),
        )
        .help("find out who writes to the cache, and run the same command again"))
    }

    /// Where the file is, for messages.
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
