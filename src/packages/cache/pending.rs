//! A file on its way into the cache, digested as it comes.

use std::{
    io::{self, Seek as _, Write},
    path::{Path, PathBuf},
};

use sha2::Digest as _;
use tempfile::NamedTempFile;

use super::{Cache, VerifiedFile, temporary};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::Sha256,
};

/// A file that is being written and digested. Nothing trusts it before [`Pending::commit`]; dropped
/// before that, it is gone.
pub struct Pending {
    temporary: NamedTempFile,
    digest: sha2::Sha256,
    length: u64,
    file_name: String,
    root: PathBuf,
}

impl Cache {
    /// Begins a file that will be known as `file_name`, one component of a path.
    pub fn begin(&self, file_name: &str) -> Result<Pending> {
        let safe =
            !file_name.is_empty() && !matches!(file_name, "." | "..") && !file_name.contains(['/', '\0']);
        if !safe {
            let message = format!("unsafe file name {file_name:?}: expected a single path component");
            return Err(Error::new(Kind::Integrity, message));
        }
        Ok(Pending {
            temporary: temporary::file(&self.temporary())?,
            digest: sha2::Sha256::new(),
            length: 0,
            file_name: file_name.to_owned(),
            root: self.root().to_owned(),
        })
    }
}

impl Pending {
    /// How many bytes have come so far: where a broken download goes on.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether nothing has come yet.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The digest of what has come so far.
    pub fn sha256(&self) -> Sha256 {
        Sha256(self.digest.clone().finalize().into())
    }

    /// Where the bytes are for now, for messages.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Starts over, for a server that sends everything again when asked for the rest.
    pub fn reset(&mut self) -> Result<()> {
        let file = self.temporary.as_file_mut();
        let emptied = file.set_len(0).and_then(|()| file.rewind());
        emptied.map_err(|error| Error::io("cannot empty", self.temporary.path(), error))?;
        self.digest = sha2::Sha256::new();
        self.length = 0;
        Ok(())
    }

    /// Makes all further writes go to another file: lets a test have a full disk.
    #[cfg(test)]
    pub(super) fn redirect(&mut self, file: std::fs::File) {
        *self.temporary.as_file_mut() = file;
    }

    /// Publishes the file if its digest is one of `expected`; otherwise it is removed, and the error
    /// (of kind [`Kind::Integrity`]) names both digests.
    pub fn commit(self, expected: &[Sha256]) -> Result<VerifiedFile> {
        let got = self.sha256();
        if expected.contains(&got) {
            return self.publish(got);
        }
        let expected = match expected {
            [] => "none: nothing pins this file".to_owned(),
            [one] => format!("sha256:{one}"),
            many => {
                let many: Vec<String> = many.iter().map(|digest| format!("sha256:{digest}")).collect();
                format!("one of {}", many.join(", "))
            }
        };
        let (name, length) = (&self.file_name, self.length);
        Err(Error::new(
            Kind::Integrity,
            format!("{name} is not the file that was locked\ngot sha256:{got} ({length} bytes)\nexpected {expected}"),
        )
        .help("nothing of it was kept; if the file was uploaded again on purpose, lock again, otherwise find out who changed it"))
    }

    /// Publishes the file under whatever digest it has: for what is built here, and for entries whose
    /// lock has no digests and whose user said that this is fine.
    pub fn commit_unpinned(self) -> Result<VerifiedFile> {
        let got = self.sha256();
        self.publish(got)
    }

    fn publish(self, digest: Sha256) -> Result<VerifiedFile> {
        let final_path = super::files::path(&self.root, &digest, self.length, &self.file_name);
        super::keyed::publish(self.temporary.path(), &final_path)?;
        Ok(VerifiedFile::vouch(final_path, digest, self.length))
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.temporary.as_file_mut().write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
