//! The commands that only read, and the one that runs others: what stands in for pipenv every day.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand};

use super::{Deferred, LockArgs};

/// What can be asked without a command, as of pipenv.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Questions {
    /// Print where the project's environment is.
    #[arg(long, help_heading = "Questions")]
    pub venv: bool,
    /// Print the environment's interpreter.
    #[arg(long, help_heading = "Questions")]
    pub py: bool,
    /// Print the project's directory.
    #[arg(long = "where", help_heading = "Questions")]
    pub place: bool,
    /// Print the environment variables that venvoy reads.
    #[arg(long, help_heading = "Questions")]
    pub envs: bool,
    /// The same as `venvoy doctor`.
    #[arg(long, help_heading = "Questions", hide = true)]
    pub support: bool,
    /// Before a command: its `--python`, as with pipenv.
    #[arg(long, value_name = "PATH|VERSION", hide = true)]
    pub python: Option<String>,
    /// Before a command: its `--pypi-mirror`, as with pipenv.
    #[arg(long, value_name = "URL", hide = true)]
    pub pypi_mirror: Option<String>,
}

/// The commands that only read, and `run`.
#[derive(Debug, Subcommand)]
pub enum Reading {
    /// Run a command or a script of the Pipfile in the environment.
    Run(Deferred<RunArgs>),
    /// List the Pipfile's scripts.
    Scripts(Deferred<ScriptsArgs>),
    /// Say whether the lock was made for this Pipfile.
    Verify,
    /// Print the lock as a requirements file for pip.
    Requirements(Deferred<RequirementsArgs>),
    /// Show which distribution of the environment requires which.
    Graph(Deferred<GraphArgs>),
    /// Say why a package is there: who requires it, and in which category it is locked.
    Why(Deferred<WhyArgs>),
    /// Show which packages two locks, projects or environments hold differently.
    Diff(Deferred<DiffArgs>),
    /// Print one page about this machine and project for a bug report, with no secret in it.
    Doctor(Deferred<DoctorArgs>),
    /// Write the manual pages into a directory.
    Man(Deferred<ManArgs>),
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The command and its arguments, or a script's name and further arguments. `NAME=value` before it sets a variable.
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    pub command: Vec<OsString>,
    /// Make the environment first where it is missing or is not what the lock says [which categories: those
    /// that are installed, unless told].
    #[arg(long)]
    pub sync: bool,
    /// What to take from the lock.
    #[command(flatten)]
    pub lock: LockArgs,
    /// The environment to run in [default: .venv of the project, else the active one].
    #[arg(long, value_name = "PATH", help_heading = "Environment")]
    pub venv: Option<PathBuf>,
    /// Run with .env and the Pipfile's scripts, but in no environment.
    #[arg(long, conflicts_with_all = ["sync", "venv"], help_heading = "Environment")]
    pub system: bool,
}

/// `scripts`.
#[derive(Debug, Args)]
pub struct ScriptsArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `requirements`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct RequirementsArgs {
    /// Also those of develop.
    #[arg(short, long)]
    pub dev: bool,
    /// Only those of develop.
    #[arg(long)]
    pub dev_only: bool,
    /// Exactly these categories, separated by commas or spaces.
    #[arg(long, value_name = "A,B")]
    pub categories: Option<String>,
    /// With hashes.
    #[arg(long)]
    pub hash: bool,
    /// Without markers.
    #[arg(long)]
    pub exclude_markers: bool,
    /// Without the indexes.
    #[arg(long)]
    pub exclude_index: bool,
    /// Only packages that the Pipfile itself names.
    #[arg(long)]
    pub from_pipfile: bool,
    /// The Pipfile's own specifiers instead of what is locked.
    #[arg(long)]
    pub no_lock: bool,
    /// Name this index instead of the public one [default: PIPENV_PYPI_MIRROR].
    #[arg(long, value_name = "URL")]
    pub pypi_mirror: Option<String>,
    /// The lock [default: beside the Pipfile].
    #[arg(long = "lock", value_name = "FILE")]
    pub lock_file: Option<PathBuf>,
}

/// `graph`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct GraphArgs {
    /// Print JSON: every distribution with what it requires.
    #[arg(long, conflicts_with = "json_tree")]
    pub json: bool,
    /// Print JSON: the tree.
    #[arg(long)]
    pub json_tree: bool,
    /// From what is required to who requires it.
    #[arg(long)]
    pub reverse: bool,
    /// Also pip, setuptools and wheel.
    #[arg(long)]
    pub bare: bool,
    /// The environment [default: .venv of the project].
    #[arg(value_name = "PATH")]
    pub venv: Option<PathBuf>,
}

/// `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// A lock (- for standard input), a project's directory, an environment, or an image: an OCI layout, its tar, or
    /// REGISTRY/NAME:TAG.
    #[arg(value_name = "A")]
    pub first: PathBuf,
    /// What it is compared with.
    #[arg(value_name = "B")]
    pub second: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print a table in Markdown, for the comment of a merge request.
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// End with 1 where something differs.
    #[arg(long)]
    pub exit_code: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The directory, such as share/man/man1; it is made where it is missing.
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

/// `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The package.
    #[arg(value_name = "PACKAGE")]
    pub package: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// The environment [default: .venv of the project].
    #[arg(long, value_name = "PATH")]
    pub venv: Option<PathBuf>,
}
