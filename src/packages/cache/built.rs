//! Built wheels: a file like any other, and a record that says which one a build gave.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Cache, VerifiedFile};
use crate::words::{error::Result, vocab::Sha256};

pub(super) const KIND: &str = "built";

/// What a build gave.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// Of the wheel, which is among the files.
    pub(super) sha256: String,
    /// Under which it was built.
    file_name: String,
}

impl Record {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn digest(&self) -> Option<Sha256> {
        self.sha256.parse().ok()
    }
}

/// What stands for a commit among the digests that something is derived from.
pub fn of_commit(commit: &str) -> Sha256 {
    Sha256::of(format!("commit {commit}").as_bytes())
}

/// What stands for a project by its normalised name, which has neither digest nor commit.
pub fn of_project(name: &str) -> Sha256 {
    Sha256::of(format!("project {name}").as_bytes())
}

impl Cache {
    /// The wheel that a build with this key gave, and its file name. `from` stands for what was built: a source
    /// distribution's digest, or the digest of a commit's or a project's name.
    pub fn built(&self, from: &Sha256, key: &Sha256) -> Option<(VerifiedFile, String)> {
        let record = Record::parse(&self.derived(KIND, from, key).read_kept()?)?;
        let file = self.file(&record.digest()?)?;
        Some((file, record.file_name))
    }

    /// Keeps a wheel that was built.
    pub fn keep_built(&self, from: &Sha256, key: &Sha256, wheel: &Path) -> Result<VerifiedFile> {
        let file = self.adopt_unpinned(wheel)?;
        let file_name = wheel.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let record = Record { sha256: file.sha256().to_string(), file_name };
        // Serialising plain values cannot fail.
        let Ok(bytes) = serde_json::to_vec(&record) else { return Ok(file) };
        match self.derived(KIND, from, key).publish(&bytes) {
            // It is used all the same, and built again by the next run.
            Ok(()) => {}
            Err(error) => self.note(format!("a built wheel cannot be kept: {}", error.in_one_line())),
        }
        Ok(file)
    }
}
