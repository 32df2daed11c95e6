//! Which file of an index is installed: a pure function of lock, target and the index's answer.

use super::{
    IndexFile, SdistName,
    candidate::{Candidate, Form},
    refusal,
};
use crate::{
    project::{
        lock::{Hashes, Pin},
        python::Target,
    },
    words::{
        error::{Result, Warnings},
        vocab::{PackageName, WheelName},
    },
};

/// What the lock asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pinned<'a> {
    /// The package.
    pub name: &'a PackageName,
    /// Which version.
    pub pin: &'a Pin,
    /// The accepted digests.
    pub hashes: &'a Hashes,
    /// Take no wheel: build from source.
    pub no_binary: bool,
    /// Take no sdist.
    pub only_binary: bool,
    /// Take whatever the index serves where the lock has no digests.
    pub allow_unhashed: bool,
}

impl Pinned<'_> {
    /// Whether the lock names what it wants, by digest or by version: only then may a yanked file be
    /// taken (PEP 592).
    pub(super) fn is_pinned(&self) -> bool {
        !self.hashes.sha256.is_empty() || matches!(self.pin, Pin::Exact(_) | Pin::Arbitrary(_))
    }
}

/// The answer to a [`Pinned`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// A wheel that fits.
    Wheel {
        /// The file.
        file: IndexFile,
        /// Its name, parsed.
        name: Box<WheelName>,
        /// What the user should hear.
        warnings: Warnings,
    },
    /// A source distribution, as no wheel fits or none is wanted.
    Sdist {
        /// The file.
        file: IndexFile,
        /// Its name, parsed.
        name: SdistName,
        /// What the user should hear.
        warnings: Warnings,
    },
    /// The index gives no SHA-256 for files that would be preferred, best first. Fetch and digest them
    /// in this order until one is among the lock's, fill in [`IndexFile::sha256`] of all that were
    /// fetched, and choose again.
    NeedDigests(Vec<IndexFile>),
}

/// Chooses the file to install.
///
/// A file counts only if its digest is among the lock's. Of those that the pin, the target's tags and
/// `Requires-Python` admit, one that was not yanked comes first, then the highest version, a wheel
/// before an sdist, the best tag, the highest build number, and in the end the file name. A yanked
/// file that neither a digest nor an exact version pins is not taken at all (PEP 592).
///
/// Errors are of kind [`crate::words::error::Kind::Selection`] and say for each pinned file why it is no use;
/// a lock without SHA-256 digests is an error of kind [`crate::words::error::Kind::Lock`].
pub(crate) fn choose(request: &Pinned, files: &[IndexFile], target: &Target) -> Result<Choice> {
    let unhashed = request.hashes.sha256.is_empty();
    refusal::check_digests(request)?;
    let pinned = request.hashes.pinned();
    let mut candidates: Vec<Candidate> = files
        .iter()
        .filter(|file| unhashed || file.sha256.is_none_or(|digest| pinned.contains(&digest)))
        .filter_map(|file| Candidate::judge(file, request, target).ok())
        .collect();
    candidates.sort_by(Candidate::compare);
    let unknown = |candidate: &&Candidate| !unhashed && candidate.file.sha256.is_none();
    let wanted: Vec<IndexFile> = candidates.iter().take_while(unknown).map(|one| one.file.clone()).collect();
    if !wanted.is_empty() {
        return Ok(Choice::NeedDigests(wanted));
    }
    let Some(best) = candidates.into_iter().next() else {
        return Err(refusal::explain(request, files, target));
    };
    let file = best.file.clone();
    let mut warnings = Warnings::default();
    if let Some(reason) = &file.yanked {
        let reason = refusal::yanked_because(reason);
        warnings.push(format!("{} was yanked from the index ({reason}); the lock pins it", file.filename));
    }
    Ok(match best.form {
        Form::Wheel(name) => Choice::Wheel { file, name: Box::new(name), warnings },
        Form::Sdist(name) => Choice::Sdist { file, name, warnings },
    })
}
