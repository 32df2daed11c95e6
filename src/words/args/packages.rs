//! Which packages, for which interpreter, from where, and how they are built.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What to take from the lock.
#[derive(Debug, Args)]
#[command(next_help_heading = "Lock")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct LockArgs {
    /// Also install the develop category [or PIPENV_DEV].
    #[arg(short, long)]
    pub dev: bool,
    /// Exactly these categories, separated by commas or spaces, in this order; `install --dev` is `default` and
    /// `develop` all the same, as in pipenv [or PIPENV_CATEGORIES, PIPENV_DEFAULT_CATEGORIES].
    #[arg(long, value_name = "A,B")]
    pub categories: Option<String>,
    /// All categories that the lock has.
    #[arg(long = "all", visible_alias = "all-categories", conflicts_with = "categories")]
    pub all_categories: bool,
    /// Refuse a lock that is out of date, and an interpreter other than the one the project requires [or
    /// PIPENV_DEPLOY].
    #[arg(long)]
    pub deploy: bool,
    /// Do not compare the lock with the Pipfile [or PIPENV_IGNORE_PIPFILE].
    #[arg(long)]
    pub ignore_pipfile: bool,
    /// Leave local projects and files out (paths and `.`): for a layer of an image that their sources do not change.
    #[arg(long, conflicts_with = "only_install_local")]
    pub no_install_local: bool,
    /// Only the local projects and files: `sync` adds them to the environment that is there, and leaves the rest alone.
    #[arg(long)]
    pub only_install_local: bool,
    /// The lock: a Pipfile.lock or a pylock.toml [default: beside the Pipfile].
    #[arg(long = "lock", value_name = "FILE")]
    pub lock_file: Option<PathBuf>,
}

/// For which interpreter.
#[derive(Debug, Args)]
#[command(next_help_heading = "Interpreter")]
pub struct TargetArgs {
    /// The interpreter: a path, a name on PATH or a version [default: what the lock requires].
    #[arg(long, value_name = "PATH|VERSION")]
    pub python: Option<String>,
    /// Make an environment for this Python without running one (3.9, 3.13t); needs --platform and --python-home.
    #[arg(long, value_name = "VERSION", conflicts_with = "python")]
    pub python_version: Option<String>,
    /// For this platform, in Docker's words: linux/amd64, linux/arm64, linux/amd64/musl. For an image several may be
    /// given.
    #[arg(long, value_name = "OS/ARCH", value_delimiter = ',')]
    pub platform: Vec<String>,
    /// Where the base interpreter's directory will be at run time, when that is not where it is now.
    #[arg(long, value_name = "DIR")]
    pub python_home: Option<PathBuf>,
    /// The base interpreter's path at run time [default: its name in --python-home].
    #[arg(long, value_name = "PATH")]
    pub python_exe: Option<PathBuf>,
}

/// From where.
#[derive(Debug, Args)]
#[command(next_help_heading = "Indexes")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct IndexArgs {
    /// Also take files from this directory (or file: URL, or page of links); may be repeated.
    #[arg(short = 'f', long, value_name = "DIR")]
    pub find_links: Vec<String>,
    /// Ask no index; use find-links only.
    #[arg(long)]
    pub no_index: bool,
    /// Use the cache and find-links only: no network [or VENVOY_OFFLINE].
    #[arg(long)]
    pub offline: bool,
    /// Use this URL for the public index, in this run [default: PIPENV_PYPI_MIRROR].
    #[arg(long, value_name = "URL")]
    pub pypi_mirror: Option<String>,
    /// Use another URL for a source of the lock, in this run (a mirror); may be repeated.
    #[arg(long, value_name = "NAME=URL")]
    pub index_url: Vec<String>,
    /// Follow an index page that is redirected to another host; only what the lock pins is taken.
    #[arg(long)]
    pub allow_forwarding: bool,
    /// Install entries for which the lock has no hashes: the named ones, or all of them. What came the first time must
    /// come ever after.
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = ":all:")]
    pub allow_unhashed: Vec<String>,
    /// Take credentials from this netrc file.
    #[arg(long, value_name = "FILE")]
    pub netrc: Option<PathBuf>,
    /// Do not use the job token and deploy token of GitLab CI.
    #[arg(long)]
    pub no_ci_credentials: bool,
    /// Also ask the `keyring` program for credentials, as pip does.
    #[arg(long, value_name = "PROVIDER")]
    pub keyring: Option<Keyring>,
    /// Trust the certificates in this PEM file instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub cert: Option<PathBuf>,
    /// Present this client certificate (PEM with certificate and key).
    #[arg(long, value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
    /// Also take files from this cache, which is only read from: a cache's directory, one in a tar, or wheels in a
    /// registry (see `warm`); may be repeated, and they are asked in this order before the indexes [or VENVOY_CACHE_FROM].
    #[arg(long, value_name = "DIR|FILE.tar|oci://REGISTRY/REPO")]
    pub cache_from: Vec<String>,
    /// Take from these caches also what was built there, which no lock pins.
    #[arg(long)]
    pub trust_built: bool,
    /// How many downloads may run at once.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrent_downloads: u16,
}

/// Keyring providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "the words are pip's")]
pub enum Keyring {
    Disabled,
    Subprocess,
}

/// How to build.
#[derive(Debug, Args)]
#[command(next_help_heading = "Builds")]
pub struct BuildArgs {
    /// Build these from source even where a wheel fits (`:all:`, `:none:`); may be repeated.
    #[arg(long, value_name = "NAME|:all:")]
    pub no_binary: Vec<String>,
    /// Never build these from source (`:all:`, `:none:`); may be repeated.
    #[arg(long, value_name = "NAME|:all:")]
    pub only_binary: Vec<String>,
    /// Arguments for pip, for builds from source [or PIPENV_EXTRA_PIP_ARGS].
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    pub extra_pip_args: Option<String>,
    /// Install editable projects as ordinary copies: what a container wants.
    #[arg(long)]
    pub no_editable: bool,
    /// Ask again which files build requirements mean, though they were found within a day.
    #[arg(long)]
    pub refresh: bool,
    /// The longest a build may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800, value_parser = clap::value_parser!(u64).range(1..))]
    pub build_timeout: u64,
}
