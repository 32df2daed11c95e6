//! Digesting again what a cache holds.

use std::{
    io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;

use super::{
    Cache, Dir, Identity, Item, built, dir::is_own, files, keyed::SELECTIONS, unpacked, unsharded,
    upkeep::built_digest,
};
use crate::words::{
    error::{Error, Result},
    vocab::Sha256,
};

/// Kinds that are derived from files in ways that cannot be compared without doing them again.
const UNPROVEN: [&str; 4] = ["bytecode", super::INTERPRETERS, "layers", "images"];

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Files whose digest is right.
    pub right: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was not what it should be, and is gone now; sorted.
    pub damaged: Vec<PathBuf>,
    /// What this user's venvoy did not make here and nothing can be compared with: gone, to be made again.
    pub unproven: u64,
}

impl Found {
    fn and(mut self, other: Found) -> Found {
        self.right += other.right;
        self.bytes += other.bytes;
        self.damaged.extend(other.damaged);
        self.unproven += other.unproven;
        self
    }
}

impl Cache {
    /// Digests these things again on all cores, and removes what is not as it should be. Unpacked wheels and proofs are left
    /// to those who can read wheels.
    ///
    /// # Errors
    /// Where something damaged cannot be removed.
    pub fn verify(&self, items: &[Item], stop: &(dyn Fn() -> Result<()> + Sync)) -> Result<Found> {
        let found = items.par_iter().map(|item| {
            stop()?;
            self.verify_one(item)
        });
        let mut all = found.try_reduce(Found::default, |a, b| Ok(a.and(b)))?;
        all.damaged.sort();
        Ok(all)
    }

    fn verify_one(&self, item: &Item) -> Result<Found> {
        let Some(root) = self.0.roots.first() else { return Ok(Found::default()) };
        let damaged = || {
            self.remove(item)?;
            Ok(Found { damaged: vec![root.path().join(&item.path)], ..Found::default() })
        };
        match item.kind.as_str() {
            files::KIND => self.verify_file(root, item),
            unpacked::KIND => Ok(Found::default()),
            // Whether that wheel is right, is seen at its own place.
            built::KIND => match built_digest(root, item) {
                Some(wheel) if self.has(&wheel).is_some() => Ok(Found::default()),
                _ => damaged(),
            },
            SELECTIONS => {
                let read = || {
                    let dir = root.below(item.path.parent().unwrap_or(Path::new("")))?;
                    dir.read(item.path.file_name().unwrap_or_default(), 1 << 30)
                };
                match read() {
                    Ok(bytes) if serde_json::from_slice::<Vec<serde_json::Value>>(&bytes).is_ok() => {
                        Ok(Found::default())
                    }
                    Err(error) if is_gone(&error) => Ok(Found::default()),
                    _ => damaged(),
                }
            }
            kind => match UNPROVEN.iter().find(|one| **one == kind) {
                Some(kind) if !self.is_own_work(root, kind, item) => {
                    self.remove(item)?;
                    Ok(Found { unproven: 1, ..Found::default() })
                }
                _ => Ok(Found::default()),
            },
        }
    }

    /// `files/ab/cdef...`: every file of every size there.
    fn verify_file(&self, root: &Dir, item: &Item) -> Result<Found> {
        let mut found = Found::default();
        let Ok(dir) = root.below(&item.path) else { return Ok(found) };
        for size in dir.names().unwrap_or_default() {
            let sub = dir.below(&size);
            let names = sub.as_ref().ok().and_then(|sub| sub.names().ok()).unwrap_or_default();
            for name in &names {
                let Ok(sub) = &sub else { continue };
                match self.digest_again(sub, name, item.from, size.to_str()) {
                    Ok(Some(bytes)) => {
                        found.right += 1;
                        found.bytes += bytes;
                    }
                    Err(error) if is_gone(&error) => {}
                    Ok(None) | Err(_) => {
                        let path = sub.path().join(name);
                        sub.remove(name).map_err(|error| Error::io("cannot remove", &path, error))?;
                        found.damaged.push(path);
                    }
                }
            }
            if sub.is_err_and(|error| !is_gone(&error)) {
                let path = dir.path().join(&size);
                dir.remove(&size).map_err(|error| Error::io("cannot remove", &path, error))?;
                found.damaged.push(path);
            }
        }
        Ok(found)
    }

    fn digest_again(
        &self,
        dir: &Dir,
        name: &std::ffi::OsStr,
        expected: Option<Sha256>,
        size: Option<&str>,
    ) -> io::Result<Option<u64>> {
        let file = dir.file(name)?;
        let metadata = file.metadata()?;
        let (sha256, bytes) = Sha256::of_file(&file)?;
        if Some(sha256) != expected || size.and_then(|size| size.parse().ok()) != Some(bytes) {
            // Where the right one took its place meanwhile, that one stays.
            return Ok(if dir.is(name, &file)? { None } else { Some(bytes) });
        }
        let identity = Identity::of(&file.metadata()?);
        if identity == Identity::of(&metadata) {
            self.ledger(files::KIND).record(&sha256.to_string(), identity, is_own(&metadata));
        }
        Ok(Some(bytes))
    }

    /// Where something is.
    pub(crate) fn place_of(&self, item: &Item) -> PathBuf {
        self.0.roots.first().map_or_else(|| item.path.clone(), |root| root.path().join(&item.path))
    }

    /// Whether something derived from a file is what this user's venvoy made here, to the very file.
    pub(crate) fn made(&self, kind: &'static str, item: &Item) -> bool {
        self.0.roots.first().is_some_and(|root| self.is_own_work(root, kind, item))
    }

    /// Takes what was derived from a file as if it had been made here, once it was found to be right.
    pub(crate) fn vouch(&self, kind: &'static str, item: &Item) {
        let look = || {
            let root = self.0.roots.first()?;
            let file = root.below(item.path.parent()?).ok()?.file(item.path.file_name()?).ok()?;
            let metadata = file.metadata().ok()?;
            Some((name_of(item)?, Identity::of(&metadata), is_own(&metadata)))
        };
        if let Some((name, identity, own)) = look() {
            self.ledger(kind).record(&name, identity, own);
        }
    }

    fn is_own_work(&self, root: &Dir, kind: &'static str, item: &Item) -> bool {
        let look = || {
            let dir = root.below(item.path.parent()?).ok()?;
            let file = dir.file(item.path.file_name()?).ok()?;
            let identity = Identity::of(&file.metadata().ok()?);
            Some(self.ledger(kind).knows(&name_of(item)?, &identity))
        };
        look().unwrap_or(false)
    }
}

/// Whether somebody removed it since it was listed, which is no damage.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// What the ledger calls it.
fn name_of(item: &Item) -> Option<String> {
    match item.from {
        Some(from) => Some(format!("{from}/{}", item.name)),
        None => Some(key_of(&item.path)?.to_string()),
    }
}

/// The key in `KIND/ab/cdef...`.
fn key_of(path: &Path) -> Option<Sha256> {
    unsharded(path.parent()?.file_name()?, path.file_name()?)
}
