//! A file on its way into the cache, digested as it comes.

use std::{
    io::{self, ErrorKind, Seek as _, SeekFrom, Write},
    os::unix::fs::FileExt as _,
    path::PathBuf,
};

use sha2::Digest as _;

use super::{Cache, Dir, VerifiedFile, files, temporary::TemporaryFile};
use crate::words::{
    error::{Error, Kind, Result},
    files::is_full,
    vocab::Sha256,
};

/// A file that is being written and digested. Nothing trusts it before [`Pending::commit`]; dropped
/// before that, it is gone.
pub struct Pending {
    temporary: TemporaryFile,
    digest: sha2::Sha256,
    length: u64,
    file_name: String,
    root: Dir,
    cache: Cache,
    /// Parts are written to this file by others: it stays the one they have.
    in_parts: bool,
    /// The cache below that it comes from.
    from: Option<String>,
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
        let (root, temporary) = self.temporary_file()?;
        Ok(Pending {
            temporary,
            digest: sha2::Sha256::new(),
            length: 0,
            file_name: file_name.to_owned(),
            root,
            cache: self.clone(),
            in_parts: false,
            from: None,
        })
    }

    /// A new temporary file and the root it belongs to; in the private directory if the cache is full.
    pub(super) fn temporary_file(&self) -> Result<(Dir, TemporaryFile)> {
        let new = |root: Dir| match root.make("tmp").and_then(|tmp| TemporaryFile::new(&tmp)) {
            Ok(made) => Ok((root, made)),
            Err(error) => Err((root.path().join("tmp"), error)),
        };
        let home = self.home()?;
        let made = match new(home.clone()) {
            Err((_, error)) if cannot_stay(&error) && self.can_spill_from(&home) => new(self.spill(&error)?),
            made => made,
        };
        made.map_err(|(path, error)| Error::io("cannot make a temporary file in", &path, error))
    }
}

/// Whether what is new cannot be kept, though it could when the run began: there is no room left, or somebody removed the
/// cache's directory.
pub(super) fn cannot_stay(error: &io::Error) -> bool {
    is_full(error) || error.kind() == ErrorKind::NotFound
}

impl Pending {
    /// Says which cache below it comes from.
    pub(super) fn from(mut self, layer: String) -> Self {
        self.from = Some(layer);
        self
    }

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
    pub fn path(&self) -> PathBuf {
        self.temporary.path()
    }

    /// Starts over, for a server that sends everything again when asked for the rest.
    pub fn reset(&mut self) -> Result<()> {
        let path = self.temporary.path();
        let file = self.temporary.file();
        let emptied = file.set_len(0).and_then(|()| file.rewind());
        emptied.map_err(|error| Error::io("cannot empty", &path, error))?;
        self.digest = sha2::Sha256::new();
        self.length = 0;
        self.in_parts = false;
        Ok(())
    }

    /// The file itself, for parts that come out of order; [`Pending::join`] digests them in order.
    pub fn places(&mut self) -> Result<std::fs::File> {
        let path = self.temporary.path();
        self.in_parts = true;
        self.temporary.file().try_clone().map_err(|error| Error::io("cannot open", &path, error))
    }

    /// Takes the bytes up to `end`, which were put in their places, as if they had been written here.
    pub fn join(&mut self, end: u64) -> io::Result<()> {
        let mut buffer = vec![0; 256 << 10];
        while self.length < end {
            let wanted = usize::try_from(end - self.length).unwrap_or(usize::MAX).min(buffer.len());
            self.temporary.file().read_exact_at(&mut buffer[..wanted], self.length)?;
            self.digest.update(&buffer[..wanted]);
            self.length += wanted as u64;
        }
        self.temporary.file().seek(SeekFrom::Start(self.length)).map(drop)
    }

    /// Makes all further writes go to another file: lets a test have a full disk.
    #[cfg(test)]
    pub(super) fn redirect(&mut self, file: std::fs::File) {
        *self.temporary.file() = file;
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

    fn publish(mut self, digest: Sha256) -> Result<VerifiedFile> {
        let path = files::path(&digest, self.length, &self.file_name);
        let published = loop {
            let place = self.root.path().join(&path);
            match self.temporary.publish(&self.root, &path) {
                Err((temporary, error)) if cannot_stay(&error) && self.cache.can_spill_from(&self.root) => {
                    self.temporary = temporary;
                    self.move_elsewhere(&error)
                        .map_err(|error| Error::io("cannot publish into the cache", &place, error))?;
                }
                Err((_, error)) => return Err(Error::io("cannot publish into the cache", &place, error)),
                Ok(published) => break published,
            }
        };
        self.cache.note_added(&path, self.length, self.from.take());
        self.cache.ledger(files::KIND).record(&digest.to_string(), published.identity, published.own);
        Ok(VerifiedFile::of(published.path, digest, self.length, published.identity))
    }

    /// Goes on in the private directory: in the cache it cannot be.
    fn move_elsewhere(&mut self, why: &io::Error) -> io::Result<()> {
        self.cache.spill(why).map_err(io::Error::other)?;
        let (root, mut temporary) = self.cache.temporary_file().map_err(io::Error::other)?;
        let from = self.temporary.file();
        from.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut io::Read::take(&mut *from, self.length), temporary.file())?;
        if copied != self.length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.temporary = temporary;
        self.root = root;
        Ok(())
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.temporary.file().write(bytes);
        if let Err(error) = &written
            && is_full(error)
            && !self.in_parts
            && self.cache.can_spill_from(&self.root)
        {
            let why = io::Error::from(error.kind());
            self.move_elsewhere(&why)?;
            written = self.temporary.file().write(bytes);
        }
        let written = written?;
        self.digest.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending")
            .field("path", &self.path())
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}
