//! What is to be built, with what, and what came of it.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    sync::atomic::AtomicBool,
    time::Duration,
};

use url::Url;

use super::{BuildStore, EditableInfo, Requirement, Workshop, vcs::is_full_commit};
use crate::{
    packages::cache::{VerifiedFile, of_commit, of_project},
    project::{
        lock::{Hashes, Pin, Vcs},
        python::Target,
    },
    words::{
        error::{Result, Warnings},
        progress::Progress,
        vocab::{Concealed, Credentials, PackageName, RelPath, Sha256, SourceUrl, Version, WheelName},
    },
};

/// An index that build requirements may come from.
#[derive(Debug, Clone)]
pub struct IndexSource {
    /// Its simple API, without credentials.
    pub url: Url,
    /// Whether its certificate is checked.
    pub verify_ssl: bool,
}

/// What every build of a run shares.
pub struct Context<'a> {
    /// The interpreter to build with and for.
    pub target: &'a Target,
    /// Where the Pipfile is: relative settings of pip are relative to it.
    pub project_dir: &'a Path,
    /// A directory of this run, removed by the caller after it; best on a file system with space.
    pub scratch: &'a Path,
    /// Where builds take place, each in a directory named by what is built; usually the system's temporary directory.
    pub places: &'a Path,
    /// venvoy's own program, which guards what a build runs (see `guard`); without it nobody does.
    pub guard: Option<&'a Path>,
    /// Where the output of builds is kept; made if it is not there.
    pub log_dir: &'a Path,
    /// What is kept between runs.
    pub store: &'a dyn BuildStore,
    /// The lock's sources, the one the package itself belongs to first.
    pub sources: &'a [IndexSource],
    /// Whether one of them has a package.
    pub has: &'a (dyn Fn(&IndexSource, &PackageName) -> Result<bool> + Sync),
    /// Credentials for a URL of an index or repository.
    pub credentials: &'a (dyn Fn(&Url) -> Option<Credentials> + Sync),
    /// The user's environment, that of `.env` included.
    pub env: &'a [(OsString, OsString)],
    /// `--extra-pip-args`, one word each.
    pub pip_args: &'a [String],
    /// What the environments of builds are made with.
    pub workshop: &'a dyn Workshop,
    /// Build requirements are asked for again, though they are known from an earlier run.
    pub refresh: bool,
    /// What a build finds installed that is not isolated (`--no-build-isolation`).
    pub installed: &'a Installed,
    /// Neither indexes nor repositories are asked.
    pub offline: bool,
    /// How long one build may take.
    pub timeout: Duration,
    /// SOURCE_DATE_EPOCH, in seconds since 1970; 1980-01-01 without.
    pub source_date_epoch: Option<u64>,
    /// Fetches a pip wheel from the index, for interpreters that have none.
    pub pip_wheel: Option<&'a (dyn Fn() -> Result<PathBuf> + Sync)>,
    /// What must not be shown, written or handed to builds besides passwords: tokens in the paths of URLs.
    pub concealed: &'a Concealed,
    /// Whoever watches the run.
    pub progress: &'a dyn Progress,
    /// Set when the user interrupts.
    pub interrupted: Option<&'a AtomicBool>,
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The environment may hold secrets.
        f.debug_struct("Context")
            .field("project_dir", &self.project_dir)
            .field("scratch", &self.scratch)
            .finish_non_exhaustive()
    }
}

impl Context<'_> {
    /// The time everything built gets. A zip cannot say what was before 1980.
    pub fn epoch(&self) -> u64 {
        const ZIP_BEGINS: u64 = 315_532_800;
        self.source_date_epoch.unwrap_or(ZIP_BEGINS).max(ZIP_BEGINS)
    }
}

/// What a build without isolation finds installed.
#[derive(Debug, Clone, Default)]
pub struct Installed {
    /// The wheels of what is installed before it, in the order of installation.
    pub wheels: Vec<Requirement>,
    /// What the interpreter itself has, as `name-version`.
    pub interpreter: Vec<String>,
    /// Requirements that are installed before everything else (`[build-system] requires` of the Pipfile).
    pub requires: Vec<String>,
}

impl Installed {
    /// All of it as text for a key.
    pub(super) fn key(&self) -> String {
        let wheels = self.wheels.iter().map(|one| format!("{} {}", one.name.file_name, one.file.sha256()));
        let all = wheels.chain(self.interpreter.iter().chain(&self.requires).cloned());
        all.collect::<Vec<_>>().join("\n")
    }

    /// Whether a package is among it.
    pub(super) fn has(&self, name: &PackageName) -> bool {
        let named = |text: &String| {
            let (found, _) = text.split_once('-').unwrap_or((text, ""));
            found.parse::<PackageName>().is_ok_and(|found| found == *name)
        };
        self.wheels.iter().any(|one| one.name.name == *name) || self.interpreter.iter().any(named)
    }
}

/// One lock entry to build.
#[derive(Debug, Clone)]
pub struct Job {
    /// The entry's name.
    pub name: PackageName,
    /// What the lock accepts as its version.
    pub pin: Pin,
    /// What to build from.
    pub source: BuildSource,
    /// The entry's `pip_args`, one word each.
    pub pip_args: Vec<String>,
}

/// What a wheel is built from.
#[derive(Debug, Clone)]
pub enum BuildSource {
    /// A source distribution of an index.
    Sdist {
        /// Its verified bytes.
        file: VerifiedFile,
        /// Its name on the index, whose ending tells the format.
        file_name: String,
    },
    /// A repository.
    Vcs {
        /// Which, and at which revision.
        vcs: Vcs,
        /// Where its checkout will live, if it is to be used in its place.
        editable: Option<PathBuf>,
    },
    /// A project's directory.
    Directory {
        /// Absolute.
        path: PathBuf,
        /// Whether it is to be used in its place.
        editable: bool,
    },
    /// A wheel or source distribution on disk.
    LocalFile {
        /// Absolute.
        path: PathBuf,
        /// The lock's digests: enforced where there are any.
        hashes: Hashes,
    },
    /// A wheel or source distribution that was fetched from a URL.
    Url {
        /// The fetched file.
        file: VerifiedFile,
        /// Where it came from.
        url: SourceUrl,
        /// The last component of the URL's path.
        file_name: String,
    },
}

impl BuildSource {
    /// What stands for it in the cache, for whoever decides what a lock still needs: the lock names it by the same.
    pub(super) fn stands_for(&self, name: &PackageName) -> Sha256 {
        match self {
            BuildSource::Sdist { file, .. } => file.sha256(),
            BuildSource::Vcs { vcs, .. } => match vcs.reference.as_deref() {
                Some(commit) if is_full_commit(commit) => of_commit(&commit.to_ascii_lowercase()),
                _ => of_project(name.as_str()),
            },
            BuildSource::Directory { .. } | BuildSource::LocalFile { .. } | BuildSource::Url { .. } => {
                of_project(name.as_str())
            }
        }
    }
}

impl Job {
    /// The job in a few words: name, and version if it is exact.
    pub fn label(&self) -> String {
        let version = match &self.pin {
            Pin::Exact(_) | Pin::Arbitrary(_) => format!(" {}", self.pin.bare()),
            Pin::Range(_) | Pin::Any => String::new(),
        };
        format!("{}{version}", self.name)
    }

    /// The job in a message: name, version if it is exact, and what it is built from.
    pub fn subject(&self) -> String {
        let from = match &self.source {
            BuildSource::Sdist { file_name, .. } => file_name.clone(),
            BuildSource::Vcs { vcs, .. } => vcs.url.to_string(),
            BuildSource::Directory { path, .. } | BuildSource::LocalFile { path, .. } => {
                path.display().to_string()
            }
            BuildSource::Url { url, .. } => url.to_string(),
        };
        format!("{} from {from}", self.label())
    }
}

/// What a build gave.
#[derive(Debug, Clone)]
pub struct Built {
    /// The wheel; in the store where it can be used again.
    pub wheel: VerifiedFile,
    /// Its file name, parsed.
    pub file_name: WheelName,
    /// Its name. May differ from the entry's for local projects, whose key in a lock is the user's choice.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// `direct_url.json` to lay beside its metadata (PEP 610).
    pub direct_url: Option<Vec<u8>>,
    /// Where an editable wheel leads.
    pub editable: Option<EditableInfo>,
    /// An editable repository's working tree, in scratch, to be moved to where the job said it will live.
    pub checkout: Option<PathBuf>,
    /// The commit a repository was taken at.
    pub commit: Option<String>,
    /// Its entries that are scripts although they are not among the wheel's scripts: their first line is `#!python`, for
    /// the build wrote the path of its interpreter there.
    pub scripts: Vec<RelPath>,
    /// What it was built with, as `name==version`; empty where nothing was built.
    pub requirements: Vec<String>,
    /// Whether nothing had to be built.
    pub cached: bool,
    /// Where the build's output is.
    pub log: Option<PathBuf>,
    /// What the user should hear.
    pub warnings: Warnings,
}
