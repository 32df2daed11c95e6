//! What builds keep between runs: wheels, checkouts and what a branch was when it was last asked.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    packages::cache::VerifiedFile,
    words::{
        error::{Error, Kind, Result},
        vocab::Sha256,
    },
};

/// Where builds keep their results. Keys are lower-case hexadecimal digests; nothing kept holds a secret.
pub trait Store: Sync {
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
}

/// A [`Store`] below one directory. Everything appears by one rename, so a killed run leaves nothing half.
#[derive(Debug, Clone)]
pub struct DirStore {
    root: PathBuf,
}

const DIGEST: &str = "sha256";
const RECORD: &str = "record.json";

impl DirStore {
    /// The store below `root`, made when first needed.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        DirStore { root: root.into() }
    }

    fn at(&self, kind: &str, key: &str) -> PathBuf {
        self.root.join(kind).join(key)
    }

    /// Fills a temporary directory and gives it its name; who comes second leaves the first one's.
    fn publish(&self, kind: &str, key: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let parent = self.root.join(kind);
        fs::create_dir_all(&parent).map_err(|e| Error::io("cannot create", &parent, e))?;
        let temporary = tempfile::Builder::new()
            .prefix(".new-")
            .tempdir_in(&parent)
            .map_err(|e| Error::io("cannot create a directory in", &parent, e))?;
        fill(temporary.path())?;
        let place = self.at(kind, key);
        match fs::rename(temporary.path(), &place) {
            Ok(()) => {
                // The directory has its name; there is nothing temporary left to remove.
                let _ = temporary.keep();
                Ok(())
            }
            Err(_) if place.is_dir() => Ok(()),
            Err(e) => Err(Error::io("cannot create", &place, e)),
        }
    }
}

impl Store for DirStore {
    fn wheel(&self, key: &str) -> Result<Option<(VerifiedFile, BuildRecord)>> {
        let place = self.at("wheels", key);
        let Ok(entries) = fs::read_dir(&place) else { return Ok(None) };
        let expected =
            fs::read_to_string(place.join(DIGEST)).ok().and_then(|text| text.trim().parse::<Sha256>().ok());
        let wheel = entries
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|e| e == "whl"));
        let record = fs::read(place.join(RECORD)).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let (Some(expected), Some(wheel), Some(record)) = (expected, wheel, record) {
            let (sha256, size) = digest(&wheel)?;
            if sha256 == expected {
                return Ok(Some((VerifiedFile::vouch(wheel, sha256, size), record)));
            }
        }
        // A damaged entry is built again.
        fs::remove_dir_all(&place).map_err(|e| Error::io("cannot remove the damaged", &place, e))?;
        Ok(None)
    }

    fn keep_wheel(
        &self,
        key: &str,
        wheel: &Path,
        record: &BuildRecord,
    ) -> Result<(VerifiedFile, BuildRecord)> {
        self.publish("wheels", key, |place| {
            let name = wheel.file_name().unwrap_or_default();
            let to = place.join(name);
            fs::copy(wheel, &to).map_err(|e| Error::io("cannot copy", wheel, e))?;
            let (sha256, _) = digest(&to)?;
            let text = serde_json::to_vec(record)
                .map_err(|e| Error::new(Kind::Io, "cannot write the record of a build as JSON").because(e))?;
            let file = place.join(RECORD);
            fs::write(&file, text).map_err(|e| Error::io("cannot write", &file, e))?;
            let file = place.join(DIGEST);
            fs::write(&file, format!("{sha256}\n")).map_err(|e| Error::io("cannot write", &file, e))
        })?;
        self.wheel(key)?.ok_or_else(|| {
            Error::new(Kind::Io, format!("the wheel just kept in {} is gone or damaged", self.root.display()))
        })
    }

    fn tree(&self, key: &str) -> Result<Option<PathBuf>> {
        let place = self.at("trees", key);
        Ok(place.is_dir().then_some(place))
    }

    fn keep_tree(&self, key: &str, directory: &Path) -> Result<()> {
        self.publish("trees", key, |place| copy_all(directory, place))
    }

    fn note(&self, key: &str) -> Result<Option<String>> {
        Ok(fs::read_to_string(self.at("notes", key)).ok())
    }

    fn keep_note(&self, key: &str, text: &str) -> Result<()> {
        let parent = self.root.join("notes");
        fs::create_dir_all(&parent).map_err(|e| Error::io("cannot create", &parent, e))?;
        let place = self.at("notes", key);
        let mut file = tempfile::NamedTempFile::new_in(&parent)
            .map_err(|e| Error::io("cannot create a file in", &parent, e))?;
        file.write_all(text.as_bytes()).map_err(|e| Error::io("cannot write", &place, e))?;
        file.persist(&place).map_err(|e| Error::io("cannot write", &place, e.error))?;
        Ok(())
    }

    fn place(&self, key: &str) -> Result<PathBuf> {
        let place = self.at("places", key);
        fs::create_dir_all(&place).map_err(|e| Error::io("cannot create", &place, e))?;
        Ok(place)
    }
}

/// The digest and size of a file.
pub fn digest(path: &Path) -> Result<(Sha256, u64)> {
    let failed = |e| Error::io("cannot read", path, e);
    let file = fs::File::open(path).map_err(failed)?;
    Sha256::of_file(&file).map_err(failed)
}

/// Copies everything below `from` into the existing directory `to`: files, links as they are, directories.
pub fn copy_all(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).map_err(|e| Error::io("cannot read", from, e))? {
        let entry = entry.map_err(|e| Error::io("cannot read", from, e))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let failed = |e| Error::io("cannot copy", &source, e);
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            fs::create_dir(&target).map_err(failed)?;
            copy_all(&source, &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&source).map_err(failed)?;
            std::os::unix::fs::symlink(link, &target).map_err(failed)?;
        } else if kind.is_file() {
            fs::copy(&source, &target).map_err(failed)?;
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
