//! Built wheels: a file like any other, and a record that says which one a build gave.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cache, VerifiedFile};
use crate::words::{error::Result, vocab::Sha256};

pub(super) const KIND: &str = "built";

/// Kinds whose things are directories: checkouts of repositories, and places that builds keep.
pub(super) const DIRECTORIES: [&str; 2] = ["trees", "places"];

/// What a build gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the wheel, which is among the files.
    sha256: String,
    /// What was built: the digest of a source distribution, or what stands for a commit or a project.
    from: String,
    /// What is known of the build.
    about: Value,
}

impl Record {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn from(&self) -> Option<Sha256> {
        self.from.parse().ok()
    }

    pub(super) fn digest(&self) -> Option<Sha256> {
        self.sha256.parse().ok()
    }
}

/// What stands for a commit among the digests that something is derived from.
pub(crate) fn of_commit(commit: &str) -> Sha256 {
    Sha256::of(format!("commit {commit}").as_bytes())
}

/// What stands for a project by its normalised name, which has neither digest nor commit.
pub(crate) fn of_project(name: &str) -> Sha256 {
    Sha256::of(format!("project {name}").as_bytes())
}

impl Cache {
    /// The wheel that a build with this key gave, and what was kept about the build.
    pub fn built(&self, key: &Sha256) -> Option<(VerifiedFile, Value)> {
        let record = Record::parse(&self.keyed(KIND, key).read_kept()?)?;
        let file = self.file(&record.digest()?)?;
        Some((file, record.about))
    }

    /// Keeps a wheel that was built. `from` stands for what was built: a source distribution's digest, [`of_commit`] or
    /// [`of_project`].
    pub fn keep_built(
        &self,
        key: &Sha256,
        from: &Sha256,
        wheel: &Path,
        about: Value,
    ) -> Result<VerifiedFile> {
        let file = self.adopt_unpinned(wheel)?;
        let record = Record { sha256: file.sha256().to_string(), from: from.to_string(), about };
        // Serialising plain values cannot fail.
        let Ok(bytes) = serde_json::to_vec(&record) else { return Ok(file) };
        match self.keyed(KIND, key).publish(&bytes) {
            // It is used all the same, and built again by the next run.
            Ok(()) => {}
            Err(error) => self.note(format!("a built wheel cannot be kept: {}", error.in_one_line())),
        }
        Ok(file)
    }
}
