//! Files by their digest.

use std::{
    fs::{self, File},
    io::{Read, Write as _},
    path::{Path, PathBuf},
};

use sha2::Digest as _;

use super::{Cache, Pending, VerifiedFile, sharded};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::Sha256,
};

/// The place of a file. Its size is a part of it, so that one `stat` notices a truncated file.
pub(super) fn path(root: &Path, digest: &Sha256, size: u64, file_name: &str) -> PathBuf {
    root.join("files").join(sharded(digest)).join(size.to_string()).join(file_name)
}

impl Cache {
    /// The file with this digest, if it is here in full. The last component of its path is the name it
    /// first came under; which name counts is the caller's to know.
    pub fn file(&self, digest: &Sha256) -> Option<VerifiedFile> {
        self.roots.iter().find_map(|root| {
            let names = sorted_names(&root.join("files").join(sharded(digest)));
            names.into_iter().find_map(|sizes| {
                let size: u64 = sizes.file_name()?.to_str()?.parse().ok()?;
                let whole = |path: &PathBuf| {
                    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
                };
                let path = sorted_names(&sizes).into_iter().find(whole)?;
                Some(VerifiedFile::vouch(path, *digest, size))
            })
        })
    }

    /// The file with this digest, brought by `bring` if it is not here. Of several threads and processes
    /// that want the same file, one brings it and the others wait.
    pub fn file_or(
        &self,
        digest: &Sha256,
        file_name: &str,
        bring: impl FnOnce(&mut Pending) -> Result<()>,
    ) -> Result<VerifiedFile> {
        if let Some(file) = self.file(digest) {
            return Ok(file);
        }
        let _sole = self.lock(digest);
        if let Some(file) = self.file(digest) {
            return Ok(file);
        }
        let mut pending = self.begin(file_name)?;
        bring(&mut pending)?;
        pending.commit(&[*digest])
    }

    /// Copies a local file into the cache if its digest is one of `expected`. The original may change
    /// at any time, so it is the copy that is digested and vouched for.
    pub fn adopt(&self, path: &Path, expected: &[Sha256]) -> Result<VerifiedFile> {
        self.copy_in(path)?
            .commit(expected)
            .map_err(|error| error.context(format!("cannot use {}", path.display())))
    }

    /// Copies a local file into the cache under whatever digest it has: for wheels that were built here.
    pub fn adopt_unpinned(&self, path: &Path) -> Result<VerifiedFile> {
        self.copy_in(path)?.commit_unpinned()
    }

    fn copy_in(&self, path: &Path) -> Result<Pending> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
            Error::new(Kind::Integrity, format!("{} has no file name in UTF-8", path.display()))
        })?;
        let mut pending = self.begin(name)?;
        read_all(path, |bytes| {
            pending.write_all(bytes).map_err(|error| Error::io("cannot write", pending.path(), error))
        })?;
        Ok(pending)
    }

    /// Forgets a file, should its bytes turn out to be damaged after all.
    pub fn forget(&self, digest: &Sha256) -> Result<()> {
        let path = self.root().join("files").join(sharded(digest));
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("cannot remove", &path, error))
            }
            _ => Ok(()),
        }
    }
}

/// The SHA-256 of a local file, read as a stream.
pub fn digest_of(path: &Path) -> Result<Sha256> {
    let mut digest = sha2::Sha256::new();
    read_all(path, |bytes| {
        digest.update(bytes);
        Ok(())
    })?;
    Ok(Sha256(digest.finalize().into()))
}

fn read_all(path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let cannot = |error| Error::io("cannot read", path, error);
    let mut file = File::open(path).map_err(cannot)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => each(&buffer[..count])?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(cannot(error)),
        }
    }
}

/// What a directory holds, by name: its own order differs between machines.
fn sorted_names(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
