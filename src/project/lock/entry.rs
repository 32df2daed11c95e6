//! One entry of a lock: a package, what pins it and where it comes from.

use std::{collections::HashSet, sync::Arc};

use crate::words::{
    gather::listed,
    vocab::{Extra, Marker, PackageName, Sha256, SourceUrl, Specifiers, Version},
};

/// A package as one category of the lock holds it. What entries have in common is there once, and a copy of one costs
/// little: a lock may hold very many.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The normalised name.
    pub name: PackageName,
    /// The key as the lock writes it, for messages.
    pub written: Arc<str>,
    /// The category it stands in (`default`, `develop`, ...).
    pub category: Arc<str>,
    /// Extras asked for (they are recorded; their requirements are entries of their own).
    pub extras: Vec<Extra>,
    /// Which version.
    pub pin: Pin,
    /// The accepted digests.
    pub hashes: Arc<Hashes>,
    /// The name of the source to ask, as written.
    pub index: Option<Arc<str>>,
    /// The environment marker, `markers` and marker keys (`sys_platform`, ...) joined with `and`.
    pub marker: Option<Arc<Marker>>,
    /// Where the files come from.
    pub origin: EntryOrigin,
    /// Whether the project is to be used in its place (PEP 660).
    pub editable: bool,
    /// Build from source even where a wheel fits.
    pub no_binary: bool,
    /// Extra arguments for pip, for builds from source.
    pub pip_args: Vec<String>,
    /// The files themselves, where the lock names them (`pylock.toml`); no index is asked then.
    pub files: Vec<PinnedFile>,
    /// When pipenv would install it; only of a selected entry.
    pub turn: Turn,
}

/// When pipenv would install an entry, in runs of pip, counted over all categories that are asked for. pip builds what one
/// run installs before it installs any of it, so a build without isolation sees what the runs before brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// The run that first installs the package, in whatever version.
    pub first: usize,
    /// The run that installs this entry.
    pub last: usize,
}

impl Turn {
    /// Whether the package is there when `other` is built.
    pub fn is_before(self, other: Turn) -> bool {
        self.first < other.last
    }
}

/// A file as `pylock.toml` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedFile {
    /// Its file name.
    pub name: String,
    /// Where it is, if that is a URL.
    pub url: Option<SourceUrl>,
    /// Where it is, relative to the lock.
    pub path: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Its digest.
    pub sha256: Option<Sha256>,
}

/// What a lock accepts as a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// `==1.0` (a file of version `1.0+local` matches too, PEP 440).
    Exact(Version),
    /// `===text`: compared as text.
    Arbitrary(String),
    /// Any other specifier.
    Range(Specifiers),
    /// `*`, or none at all.
    Any,
}

/// The digests of an entry. Only SHA-256 counts; others are kept as text for messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hashes {
    /// Accepted SHA-256 digests, in the lock's order, without repetition.
    pub sha256: Vec<Sha256>,
    /// Digests of other algorithms, as written (`md5:...`): never enough on their own.
    pub other: Vec<String>,
}

impl Hashes {
    /// Whether there is none of any kind.
    pub fn is_empty(&self) -> bool {
        self.sha256.is_empty() && self.other.is_empty()
    }

    /// The accepted digests, to look many files up in.
    pub(crate) fn pinned(&self) -> HashSet<Sha256> {
        self.sha256.iter().copied().collect()
    }

    /// Whether a file can be verified by them; with `allow_none`, whether it need not be as there are none of any kind.
    /// Digests of other kinds choose some of an index's files, but anyone can forge them.
    pub(crate) fn suffice(&self, allow_none: bool) -> bool {
        !self.sha256.is_empty() || allow_none && self.other.is_empty()
    }

    /// What is said where they do not suffice.
    pub(crate) fn shortfall(&self) -> String {
        let got = if self.other.is_empty() {
            "no hashes".to_owned()
        } else {
            format!("only {}", listed(&self.other))
        };
        format!("the lock has {got} for it; expected sha256 digests")
    }
}

/// Where an entry's files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryOrigin {
    /// An index: the entry's own, or the lock's first source.
    Index,
    /// A version control system.
    Vcs(Box<Vcs>),
    /// A single file at an http(s) URL.
    Url(Box<SourceUrl>),
    /// A file or directory on disk, as written: relative to the project, absolute, or from a
    /// `file:` URL (then percent-decoded and absolute).
    Path(String),
}

/// The systems pip knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "they are the programs' names")]
pub enum VcsKind {
    Git,
    Hg,
    Svn,
    Bzr,
}

/// A repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vcs {
    /// Which system.
    pub kind: VcsKind,
    /// The repository's URL without the `git+` prefix; `ssh://user@host/...` keeps its user here.
    /// Secrets are kept apart by [`SourceUrl`]; scp-like `git@host:path` is rewritten as ssh URL.
    pub url: SourceUrl,
    /// A commit, branch or tag; `None` for the default branch.
    pub reference: Option<String>,
    /// The project's directory inside the repository.
    pub subdirectory: Option<crate::words::vocab::RelPath>,
}

impl Pin {
    /// Whether the pin accepts a version; `written` is how a file name or a directory spells it. This is the one
    /// place that decides it: for files of an index, for what a build gave, and for what is installed.
    ///
    /// As in pip: `==1.0` accepts `1.0+local` too (PEP 440), and `===` compares text in any letter case, with the
    /// version as written or in its normal form.
    pub fn accepts(&self, version: &Version, written: &str) -> bool {
        match self {
            Pin::Any => true,
            Pin::Arbitrary(text) => {
                self.accepts_text(written) || version.to_string().eq_ignore_ascii_case(text.trim())
            }
            Pin::Exact(pinned) if pinned.is_local() => version == pinned,
            Pin::Exact(pinned) => version.clone().without_local() == *pinned,
            Pin::Range(range) => range.contains(version),
        }
    }

    /// Whether the pin accepts what is no version of PEP 440: only `===` can.
    pub fn accepts_text(&self, written: &str) -> bool {
        matches!(self, Pin::Arbitrary(text) if written.eq_ignore_ascii_case(text.trim()))
    }

    /// The version, or the range, without an operator that says no more than "this one"; nothing for any version.
    pub fn bare(&self) -> String {
        match self {
            Pin::Exact(version) => version.to_string(),
            Pin::Arbitrary(text) => text.clone(),
            Pin::Range(range) => range.to_string(),
            Pin::Any => String::new(),
        }
    }

    /// The version it pins, where that can be said without looking at a file.
    pub(super) fn version(&self) -> Option<Version> {
        match self {
            Pin::Exact(version) => Some(version.clone()),
            Pin::Arbitrary(text) => text.trim().parse().ok(),
            Pin::Range(_) | Pin::Any => None,
        }
    }
}

/// The pin as one text, for keys and messages.
impl std::fmt::Display for Pin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Pin::Exact(version) => write!(f, "=={version}"),
            Pin::Arbitrary(text) => write!(f, "==={text}"),
            Pin::Range(specifiers) => specifiers.fmt(f),
            Pin::Any => f.write_str("*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_other_kinds_never_suffice_whatever_is_allowed() {
        let none = Hashes::default();
        assert!(none.suffice(true) && !none.suffice(false));
        assert_eq!(none.shortfall(), "the lock has no hashes for it; expected sha256 digests");
        let weak = Hashes { other: vec!["md5:11".into(), "sha1:22".into()], ..none };
        assert!(!weak.suffice(true) && !weak.suffice(false));
        assert_eq!(weak.shortfall(), "the lock has only md5:11, sha1:22 for it; expected sha256 digests");
        let strong = Hashes { sha256: vec![Sha256::of(b"")], ..weak };
        assert!(strong.suffice(true) && strong.suffice(false));
    }
}
