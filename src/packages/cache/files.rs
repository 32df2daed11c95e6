//! Files by their digest.

use std::{
    ffi::OsStr,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use super::{Cache, Dir, Identity, Pending, VerifiedFile, dir::is_own, sharded};
use crate::words::{
    error::{Error, Kind, Result},
    files::open_regular,
    vocab::Sha256,
};

pub(super) const KIND: &str = "files";

/// The place of a file below a root. Its size is a part of it, so that one look notices a truncated file.
pub(crate) fn path(digest: &Sha256, size: u64, file_name: &str) -> PathBuf {
    Path::new(KIND).join(sharded(digest)).join(size.to_string()).join(file_name)
}

/// A file under a digest, not yet compared with it.
pub(super) struct Candidate {
    pub(super) dir: Dir,
    pub(super) name: std::ffi::OsString,
    pub(super) size: u64,
}

/// How often a file is digested that changed meanwhile.
const TRIES: u32 = 20;

/// What the ledger calls wheels whose entries are what their RECORDs say.
pub(super) const AS_RECORDED: &str = "records";

impl Cache {
    /// The size of the file with this digest, if there is one that could be it: nothing is read.
    pub fn has(&self, digest: &Sha256) -> Option<u64> {
        let own = self.roots().find_map(|root| candidates(root, digest).next()).map(|found| found.size);
        own.or_else(|| self.size_below(digest))
    }

    /// The file with this digest, if it is here and right. It is digested unless this user's venvoy did so before, in
    /// this very file; what is damaged is removed, and a note says so. The last component of its path is the name it
    /// first came under; which name counts is the caller's to know.
    pub fn file(&self, digest: &Sha256) -> Option<VerifiedFile> {
        self.own_file(digest).or_else(|| self.file_near(digest))
    }

    fn own_file(&self, digest: &Sha256) -> Option<VerifiedFile> {
        self.roots().find_map(|root| {
            candidates(root, digest).find_map(|candidate| {
                let Candidate { dir, name, size } = &candidate;
                let path = dir.path().join(name);
                match self.digested(dir, name, digest) {
                    Ok(Some(identity)) => {
                        dir.touch();
                        Some(VerifiedFile::of(path, *digest, *size, identity))
                    }
                    // A read-only cache keeps its damage; its owner is told all the same.
                    Ok(None) => {
                        let _ = dir.remove(name);
                        self.note(format!("{} is damaged: it is fetched again", path.display()));
                        None
                    }
                    Err(_) => None,
                }
            })
        })
    }

    /// Compares a file with its digest unless that was done before; `None` if it is another's.
    ///
    /// # Errors
    /// Also where it was never the same file for as long as it takes to read it: that is no damage.
    pub(super) fn digested(
        &self,
        dir: &Dir,
        name: &OsStr,
        digest: &Sha256,
    ) -> std::io::Result<Option<Identity>> {
        let (ledger, key) = (self.ledger(KIND), digest.to_string());
        for _ in 0..TRIES {
            let file = dir.file(name)?;
            let metadata = file.metadata()?;
            let identity = Identity::of(&metadata);
            if ledger.knows(&key, &identity) {
                return Ok(Some(identity));
            }
            let (got, _) = Sha256::of_file(&file)?;
            // Who writes to it meanwhile changes its identity. So does who links it, and who publishes the same bytes under
            // its name: what is there now is looked at anew, and removed by nobody.
            if Identity::of(&file.metadata()?) != identity || !dir.is(name, &file)? {
                continue;
            }
            if got != *digest {
                return Ok(None);
            }
            ledger.record(&key, identity, is_own(&metadata));
            return Ok(Some(identity));
        }
        Err(std::io::Error::other("it changes while it is read"))
    }

    /// Whether each entry of this wheel was found to be what its RECORD says, in this very file, by this user's venvoy.
    pub fn is_as_recorded(&self, wheel: &VerifiedFile) -> bool {
        let ledger = self.ledger(AS_RECORDED);
        wheel.identity().is_some_and(|identity| ledger.knows(&wheel.sha256().to_string(), &identity))
    }

    /// Notes that each entry of this wheel was found to be what its RECORD says.
    pub fn note_as_recorded(&self, wheel: &VerifiedFile) {
        if let Some(identity) = wheel.identity() {
            let own = std::fs::symlink_metadata(wheel.path()).is_ok_and(|metadata| is_own(&metadata));
            self.ledger(AS_RECORDED).record(&wheel.sha256().to_string(), identity, own);
        }
    }

    /// Links a file to another place on the same file system. What was verified stays so: a link moves the file's time of
    /// change and nothing else.
    pub fn link(&self, file: &VerifiedFile, to: &Path) -> std::io::Result<()> {
        let handle = file.open().map_err(std::io::Error::other)?;
        std::fs::hard_link(file.path(), to)?;
        let linked = std::fs::symlink_metadata(to)?;
        let metadata = handle.metadata()?;
        let after = Identity::of(&metadata);
        if Identity::of(&linked) != after || !file.identity().is_some_and(|before| before.is_linked(&after)) {
            std::fs::remove_file(to)?;
            return Err(std::io::Error::other("another file took its place"));
        }
        self.ledger(KIND).record(&file.sha256().to_string(), after, is_own(&metadata));
        Ok(())
    }

    /// The file with this digest, from a cache below or brought by `bring` if it is not here. Of several threads and processes
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
        if let Some(file) = self.file_far(digest, file_name)? {
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
        let unreadable = |error| Error::io("cannot read", path, error);
        let mut file = open_regular(path).map_err(unreadable)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return Ok(pending),
                Ok(count) => pending
                    .write_all(&buffer[..count])
                    .map_err(|error| Error::io("cannot write", &pending.path(), error))?,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
    }

    /// Whether the bytes of a file are still what they were, digested anew; if not, it is forgotten.
    pub fn forget_if_damaged(&self, file: &VerifiedFile) -> Result<bool> {
        let digest = open_regular(file.path()).and_then(|open| Sha256::of_file(&open));
        if digest.is_ok_and(|(digest, _)| digest == file.sha256()) {
            return Ok(false);
        }
        self.note(format!("{} is damaged: it is fetched again", file.path().display()));
        self.forget(&file.sha256())?;
        Ok(true)
    }

    /// Forgets a file, should its bytes turn out to be damaged after all.
    pub fn forget(&self, digest: &Sha256) -> Result<()> {
        let Ok(home) = self.home() else { return Ok(()) };
        let path = Path::new(KIND).join(sharded(digest));
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        let Ok(parent) = home.below(parent) else { return Ok(()) };
        parent.remove(name).map_err(|error| Error::io("cannot remove", &parent.path().join(name), error))
    }
}

/// What is there under a digest, whole files only.
pub(super) fn candidates(root: &Dir, digest: &Sha256) -> impl Iterator<Item = Candidate> + use<> {
    let dir = root.below(Path::new(KIND).join(sharded(digest))).ok();
    let sizes = dir.as_ref().and_then(|dir| dir.names().ok()).unwrap_or_default();
    sizes.into_iter().flat_map(move |size_name| {
        let size = size_name.to_str().and_then(|size| size.parse::<u64>().ok());
        let dir = dir.as_ref().and_then(|dir| dir.below(&size_name).ok());
        let names = dir.as_ref().and_then(|dir| dir.names().ok()).unwrap_or_default();
        names.into_iter().filter_map(move |name| {
            let (dir, size) = (dir.clone()?, size?);
            let found = dir.look(&name).ok()?;
            (found.kind.is_file() && found.size == size).then_some(Candidate { dir, name, size })
        })
    })
}
