//! What `warm` can be told.

use std::path::PathBuf;

use clap::Args;

use super::{BuildArgs, IndexArgs, LockArgs, MakeArgs, WatchArgs};

/// `warm`.
#[derive(Debug, Args)]
pub struct WarmArgs {
    /// Projects' directories, or locks [default: the project here].
    #[arg(value_name = "PROJECT|LOCK")]
    pub places: Vec<PathBuf>,
    /// Every project in these directories and below them.
    #[arg(long)]
    pub recursive: bool,
    /// What to take from the locks.
    #[command(flatten)]
    pub lock: LockArgs,
    /// For which interpreters.
    #[command(flatten)]
    pub target: WarmTargetArgs,
    /// From where.
    #[command(flatten)]
    pub index: IndexArgs,
    /// How to build.
    #[command(flatten)]
    pub build: BuildArgs,
    /// What to make beside wheels.
    #[command(flatten)]
    pub keep: WarmKeepArgs,
    /// What decides the bytes of layers.
    #[command(flatten)]
    pub make: MakeArgs,
    /// What is measured.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// For which interpreters.
#[derive(Debug, Args)]
#[command(next_help_heading = "Interpreters")]
pub struct WarmTargetArgs {
    /// An interpreter of this machine: a path, a name on PATH or a version [default: what each lock requires].
    #[arg(long, value_name = "PATH|VERSION", conflicts_with = "python_version")]
    pub python: Option<String>,
    /// For these Pythons, without running one (3.9, 3.13t): separated by commas, or repeated.
    #[arg(long, value_name = "VERSION", value_delimiter = ',', action = clap::ArgAction::Append)]
    pub python_version: Vec<String>,
    /// Each of them on these platforms, in Docker's words: linux/amd64, linux/arm64/musl [default: this machine's].
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',', action = clap::ArgAction::Append, requires = "python_version")]
    pub platform: Vec<String>,
    /// Also for the interpreter of this machine that each lock requires.
    #[arg(long, requires = "python_version")]
    pub native: bool,
    /// Where the interpreters will be at run time, for --layers.
    #[arg(long, value_name = "DIR", default_value = "/usr/local/bin")]
    pub python_home: PathBuf,
}

/// What is made beside wheels, and where all of it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "What is kept")]
pub struct WarmKeepArgs {
    /// Also unpack the wheels, for environments on the same file system to link from.
    #[arg(long)]
    pub unpacked: bool,
    /// Also make the layers that `pack` would make of each lock.
    #[arg(long)]
    pub layers: bool,
    /// Whom files in the layers belong to, as `pack --owner`.
    #[arg(long, value_name = "UID[:GID]", default_value = "0:0", requires = "layers")]
    pub owner: String,
    /// How many layers at most, as `pack --max-layers`.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=120), requires = "layers")]
    pub max_layers: u16,
    /// Also write the wheels and a requirements.txt into this directory, for pip's --no-index --find-links
    /// --require-hashes.
    #[arg(long, value_name = "DIR")]
    pub wheelhouse: Option<PathBuf>,
    /// Also write all that the locks need into one tar, for --cache-from; `-` is standard output.
    #[arg(short, long, value_name = "FILE.tar")]
    pub output: Option<PathBuf>,
    /// Also push the wheels to this repository of a registry, as far as they are not there.
    #[arg(long, value_name = "oci://REGISTRY/REPO", conflicts_with = "offline")]
    pub push: Option<String>,
    /// Push also in a job for an untrusted ref: GitLab's unprotected ones, pull requests from forks on GitHub.
    #[arg(long, requires = "push")]
    pub push_anyway: bool,
    /// Also write what this run added to the cache into this directory, for --cache-from beside the older cache.
    #[arg(long, value_name = "DIR")]
    pub delta: Option<PathBuf>,
}
