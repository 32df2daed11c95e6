//! What builds keep between runs: wheels, checkouts and what a branch was when it was last asked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    packages::cache::{Cache, Keyed, Options, VerifiedFile},
    words::{
        error::{Error, Kind, Result},
        files,
        vocab::Sha256,
    },
};

/// Where builds keep their results. Keys are lower-case hexadecimal digests; nothing kept holds a secret.
pub trait BuildStore: Sync {
    /// A wheel kept under `key`, its bytes checked again, and what is known of its build.
    fn wheel(&self, key: &str) -> Result<Option<(VerifiedFile, BuildRecord)>>;
    /// Keeps a wheel with its file name and record. The first one kept under a key stays.
    fn keep_wheel(
        &self,
        key: &str,
        wheel: &Path,
        record: &BuildRecord,
    ) -> Result<(VerifiedFile, BuildRecord)>;
    /// A directory kept under `key`: to be copied, never to be built in.
    fn tree(&self, key: &str) -> Result<Option<PathBuf>>;
    /// Keeps a copy of a directory. The first one kept under a key stays.
    fn keep_tree(&self, key: &str, directory: &Path) -> Result<()>;
    /// A line kept under `key`.
    fn note(&self, key: &str) -> Result<Option<String>>;
    /// Keeps a line; a later one takes its place.
    fn keep_note(&self, key: &str, text: &str) -> Result<()>;
    /// A directory that stays between runs and belongs to `key`, made if it is not there.
    fn place(&self, key: &str) -> Result<PathBuf>;
}

/// What is kept beside a built wheel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildRecord {
    /// Its entries whose first line named the interpreter of the build: they are scripts wherever they go.
    pub scripts: Vec<String>,
    /// The distributions that it was built with, as `name==version`.
    pub requirements: Vec<String>,
    /// What was built, by the digest that stands for it in the cache.
    pub from: String,
}

/// A [`BuildStore`] in the cache.
#[derive(Debug, Clone)]
pub struct DirStore {
    cache: Cache,
}

impl DirStore {
    /// The store of a cache.
    pub fn of(cache: Cache) -> Self {
        DirStore { cache }
    }

    /// The store of the cache at `place`, made when first needed.
    pub fn new(place: impl AsRef<Path>) -> Self {
        DirStore { cache: Cache::open(place.as_ref(), Options::default()) }
    }

    fn at(&self, kind: &'static str, key: &str) -> Keyed<'_> {
        self.cache.keyed(kind, &digest_of_key(key))
    }
}

fn digest_of_key(key: &str) -> Sha256 {
    key.parse().unwrap_or_else(|_| Sha256::of(key.as_bytes()))
}

impl BuildStore for DirStore {
    fn wheel(&self, key: &str) -> Result<Option<(VerifiedFile, BuildRecord)>> {
        let kept = self.cache.built(&digest_of_key(key));
        Ok(kept.and_then(|(file, about)| Some((file, serde_json::from_value(about).ok()?))))
    }

    fn keep_wheel(
        &self,
        key: &str,
        wheel: &Path,
        record: &BuildRecord,
    ) -> Result<(VerifiedFile, BuildRecord)> {
        if let Some(kept) = self.wheel(key)? {
            return Ok(kept);
        }
        let about = serde_json::to_value(record)
            .map_err(|e| Error::new(Kind::Io, "cannot write the record of a build as JSON").because(e))?;
        let from = digest_of_key(&record.from);
        let file = self.cache.keep_built(&digest_of_key(key), &from, wheel, about)?;
        Ok((file, record.clone()))
    }

    fn tree(&self, key: &str) -> Result<Option<PathBuf>> {
        Ok(self.at("trees", key).kept_dir().map(|dir| dir.path().to_owned()))
    }

    fn keep_tree(&self, key: &str, directory: &Path) -> Result<()> {
        let place = self.at("trees", key);
        let new = place.begin_directory()?;
        copy_all(directory, new.dir().path())?;
        place.commit(new)
    }

    fn note(&self, key: &str) -> Result<Option<String>> {
        Ok(self.at("notes", key).read_kept().and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    fn keep_note(&self, key: &str, text: &str) -> Result<()> {
        self.at("notes", key).publish(text.as_bytes())
    }

    fn place(&self, key: &str) -> Result<PathBuf> {
        self.at("places", key).lasting_dir()
    }
}

/// The digest and size of a file.
pub(super) fn digest(path: &Path) -> Result<(Sha256, u64)> {
    let failed = |e| Error::io("cannot read", path, e);
    let file = fs::File::open(path).map_err(failed)?;
    Sha256::of_file(&file).map_err(failed)
}

/// Copies everything below `from` into the existing directory `to`: files, links as they are, directories.
pub(crate) fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in files::below(from) {
        let entry = entry.map_err(|(path, error)| Error::io("cannot read", &path, error))?;
        let source = entry.path();
        let target = to.join(source.strip_prefix(from).unwrap_or(source));
        let failed = |e| Error::io("cannot copy", source, e);
        let kind = entry.file_type();
        if kind.is_dir() {
            fs::create_dir(&target).map_err(failed)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(source).map_err(failed)?;
            std::os::unix::fs::symlink(link, &target).map_err(failed)?;
        } else if kind.is_file() {
            fs::copy(source, &target).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_wheel_is_checked_when_it_is_used_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let wheel = directory.path().join("demo-1.0-py3-none-any.whl");
        fs::write(&wheel, "bytes").expect("written");
        let store = DirStore::new(directory.path().join("store"));
        assert!(store.wheel("aa").expect("asked").is_none());
        let record = BuildRecord { scripts: vec!["demo/tool".into()], ..BuildRecord::default() };
        let keep = || store.keep_wheel("aa", &wheel, &record).expect("kept").0;
        let kept = keep();
        assert_eq!(kept.sha256(), Sha256::of(b"bytes"));
        fs::write(&wheel, "other").expect("written");
        let again = keep();
        assert_eq!(again.sha256(), Sha256::of(b"bytes"), "the first one stays");
        fs::write(kept.path(), "damaged").expect("written");
        assert!(store.wheel("aa").expect("asked").is_none());
        assert_eq!(keep().sha256(), Sha256::of(b"other"));
        assert_eq!(store.wheel("aa").expect("asked").expect("kept").1, record);
    }
}
