//! Records by key, and what is derived from files: selections, answers of interpreters, bytecode, built wheels.

use std::{
    fs::{File, Metadata},
    io::{Read as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::{
    Cache, Dir, Identity,
    dir::is_own,
    pending::cannot_stay,
    sharded,
    temporary::{TemporaryDir, TemporaryFile},
};
use crate::words::{
    error::{Error, Result},
    files,
    vocab::Sha256,
};

/// Records about pinned files, which say nothing that is not compared with the lock.
pub(super) const SELECTIONS: &str = "selections";

/// More than any record is, in bytes.
pub(super) const LIMIT: u64 = 1 << 30;

/// The place of a record.
#[derive(Debug)]
pub struct Keyed<'a> {
    cache: &'a Cache,
    kind: &'static str,
    path: PathBuf,
    /// What the ledger calls it.
    name: String,
}

impl Cache {
    /// The place for what `key` gives. `kind` names the sort of thing, such as `selections`; the key is a
    /// digest of everything the thing depends on, and of no secret.
    pub fn keyed(&self, kind: &'static str, key: &Sha256) -> Keyed<'_> {
        Keyed { cache: self, kind, path: Path::new(kind).join(sharded(key)), name: key.to_string() }
    }

    /// The place for what is derived from the file with the digest `from`, in the way that `key` says. It goes when the
    /// file does.
    pub fn derived(&self, kind: &'static str, from: &Sha256, key: &Sha256) -> Keyed<'_> {
        let path = Path::new(kind).join(sharded(from)).join(key.to_string());
        Keyed { cache: self, kind, path, name: format!("{from}/{key}") }
    }

    /// Begins a directory that belongs at `path`, a relative one, somewhere below the cache's root.
    pub(super) fn begin_directory(&self, path: PathBuf) -> Result<PendingDir> {
        let home = self.home()?;
        let made = home.make("tmp").and_then(|tmp| TemporaryDir::new(&tmp));
        let made = made.map_err(|error| {
            Error::io("cannot make a temporary directory in", &home.path().join("tmp"), error)
        })?;
        Ok(PendingDir { made, home, path })
    }
}

impl Keyed<'_> {
    /// The contents, whoever wrote them: for records that say nothing which is not compared with the lock.
    pub fn read(&self) -> Option<Vec<u8>> {
        self.readings().next().map(|reading| reading.bytes)
    }

    /// The contents that this cache and those below it have, in their order: one of them may say more than another.
    pub fn readings(&self) -> impl Iterator<Item = Reading> {
        let own = self.cache.roots().filter_map(|root| self.dir(root)?.read(self.file_name()?, LIMIT).ok());
        own.map(|bytes| Reading { bytes, is_here: true }).chain(self.cache.records_below(&self.path))
    }

    /// Its path below the layout's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The contents, if this user's venvoy wrote them, in this very file: for what nothing can be compared with.
    pub fn read_own(&self) -> Option<Vec<u8>> {
        self.cache.roots().find_map(|root| {
            let mut file = self.dir(root)?.file(self.file_name()?).ok()?;
            let identity = Identity::of(&file.metadata().ok()?);
            if !self.cache.ledger(self.kind).knows(&self.name, &identity) {
                return None;
            }
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).ok()?;
            // Who wrote to it meanwhile changed its identity.
            (Identity::of(&file.metadata().ok()?) == identity).then_some(bytes)
        })
    }

    /// The contents, if this user's venvoy wrote them or they came with the user's own cache: for what is costly to make
    /// and nothing pins. What stands where this user's venvoy wrote something else is not taken, and nothing of a cache
    /// that is only read from (`--cache-from`), unless the user trusts that.
    pub fn read_kept(&self) -> Option<Vec<u8>> {
        let own = self.cache.roots().find_map(|root| {
            let file = self.dir(root)?.file(self.file_name()?).ok()?;
            let metadata = file.metadata().ok()?;
            let (ledger, identity) = (self.cache.ledger(self.kind), Identity::of(&metadata));
            let taken = ledger.knows(&self.name, &identity)
                || !ledger.contradicts(&self.name, &identity)
                    && (is_own_or_roots(&metadata) || is_read_only(&file));
            if taken { files::read(&file, LIMIT).ok() } else { None }
        });
        let trusted = || self.cache.0.trust_built.then(|| self.cache.records_below(&self.path).next())?;
        own.or_else(|| trusted().map(|reading| reading.bytes))
    }

    /// Publishes a file with these contents, in place of one that may be there.
    pub fn publish(&self, contents: &[u8]) -> Result<()> {
        let (root, temporary) = self.cache.temporary_file()?;
        match self.publish_at(&root, temporary, contents) {
            Err((_, error)) if cannot_stay(&error) && self.cache.can_spill_from(&root) => {
                self.cache.spill(&error)?;
                let (root, temporary) = self.cache.temporary_file()?;
                self.publish_at(&root, temporary, contents)
            }
            result => result,
        }
        .map_err(|(path, error)| Error::io("cannot publish into the cache", &path, error))
    }

    pub(super) fn publish_at(
        &self,
        root: &Dir,
        mut temporary: TemporaryFile,
        contents: &[u8],
    ) -> Result<(), (PathBuf, std::io::Error)> {
        temporary.file().write_all(contents).map_err(|error| (temporary.path(), error))?;
        let published = temporary
            .publish(root, &self.path)
            .map_err(|(_, error)| (root.path().join(&self.path), error))?;
        self.cache.note_added(&self.path, contents.len() as u64, None);
        if self.kind != SELECTIONS {
            self.cache.ledger(self.kind).record(&self.name, published.identity, published.own);
        }
        Ok(())
    }

    /// A directory that was published here, under the conditions of [`Keyed::read_kept`]: to be copied, never to be
    /// changed.
    pub fn kept_dir(&self) -> Option<Dir> {
        let own = self.cache.roots().find_map(|root| {
            let dir = self.dir(root)?.below(self.file_name()?).ok()?;
            let (ledger, identity) = (self.cache.ledger(self.kind), dir.identity().ok()?);
            let metadata = dir.handle().metadata().ok()?;
            let taken = ledger.knows(&self.name, &identity)
                || !ledger.contradicts(&self.name, &identity)
                    && (is_own_or_roots(&metadata) || is_read_only(dir.handle()));
            taken.then_some(dir)
        });
        let below =
            |root: &Dir| self.cache.0.trust_built.then(|| self.dir(root)?.below(self.file_name()?).ok())?;
        own.or_else(|| self.cache.directories_below().find_map(below))
    }

    /// Begins a directory, to be published with [`Keyed::commit`].
    pub fn begin_directory(&self) -> Result<PendingDir> {
        self.cache.begin_directory(self.path.clone())
    }

    /// Publishes a directory. If someone else was faster, theirs stays.
    pub fn commit(&self, filled: PendingDir) -> Result<()> {
        if let Some(dir) = filled.commit()?
            && let Ok(identity) = dir.identity()
        {
            self.cache.ledger(self.kind).record(&self.name, identity, dir.is_own());
        }
        Ok(())
    }

    /// A directory that stays between runs and may be changed, made if it is not there.
    pub fn lasting_dir(&self) -> Result<PathBuf> {
        let home = self.cache.home()?;
        let made = home.make(&self.path);
        made.map(|dir| dir.path().to_owned())
            .map_err(|error| Error::io("cannot make the directory", &home.path().join(&self.path), error))
    }

    fn dir(&self, root: &Dir) -> Option<Dir> {
        root.below(self.path.parent()?).ok()
    }

    fn file_name(&self) -> Option<&std::ffi::OsStr> {
        self.path.file_name()
    }
}

/// What one of several caches has under a key.
#[derive(Debug)]
pub struct Reading {
    /// The contents.
    pub bytes: Vec<u8>,
    /// Whether the next run finds it without asking again: it is in this cache, or in a directory below it.
    pub is_here: bool,
}

/// Whether only this user or root can have written it.
fn is_own_or_roots(metadata: &Metadata) -> bool {
    is_own(metadata) || metadata.uid() == 0 && metadata.mode() & 0o022 == 0
}

/// Whether nobody writes to the file system that it is on.
fn is_read_only(file: &File) -> bool {
    rustix::fs::fstatvfs(file).is_ok_and(|about| about.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

/// A directory in the making; dropped before [`PendingDir::commit`], it is gone.
#[derive(Debug)]
pub struct PendingDir {
    made: TemporaryDir,
    home: Dir,
    path: PathBuf,
}

impl PendingDir {
    /// The directory itself.
    pub fn dir(&self) -> &Dir {
        self.made.dir()
    }

    /// Publishes it. If someone else was faster, theirs stays, and the answer is `None`.
    pub fn commit(self) -> Result<Option<Dir>> {
        let to = self.home.path().join(&self.path);
        self.made
            .publish(&self.home, &self.path)
            .map_err(|error| Error::io("cannot publish into the cache", &to, error))
    }
}
