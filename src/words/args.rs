//! What can be typed: clap's structs, nothing checked beyond syntax.

mod deferred;
pub(crate) mod pipenv;
mod packages;
mod reading;
pub(crate) mod variables;
mod warm;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use super::choices::{EngineKind, Invalidation, LinkMode, Slim, SlimKind};

pub(crate) use deferred::Deferred;
pub(crate) use packages::{BuildArgs, IndexArgs, Keyring, LockArgs, TargetArgs};
pub(crate) use reading::{DiffArgs, GraphArgs, Questions, Reading, RequirementsArgs, RunArgs, ScriptsArgs};
pub(crate) use warm::{WarmArgs, WarmTargetArgs};

/// Compiles a Pipfile.lock into a virtual environment that can be moved.
#[derive(Debug, Parser)]
#[command(name = "venvoy", version, about, max_term_width = 100)]
#[command(subcommand_required = false, arg_required_else_help = true)]
// As with pipenv's options, the last one counts where one is given twice.
#[command(args_override_self = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// What can be asked instead.
    #[command(flatten)]
    pub questions: Questions,
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Print more: what was chosen, cached and asked (twice: every request).
    #[arg(short, long, action = clap::ArgAction::Count, global = true, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Print errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// The project's directory [default: this one, or the first above it with a Pipfile or lock].
    #[arg(long, value_name = "DIR", global = true)]
    pub project: Option<PathBuf>,
    /// Where the cache is [default: VENVOY_CACHE_DIR, PIPENV_CACHE_DIR/venvoy, the platform's place].
    #[arg(long, value_name = "DIR", global = true)]
    pub cache_dir: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make .venv exactly what the lock says.
    Sync(Deferred<SyncArgs>),
    /// The same under pipenv's name: `pipenv install --deploy` becomes `venvoy install --deploy`.
    Install(Deferred<InstallArgs>),
    /// The commands that only read, and the one that runs others.
    #[command(flatten)]
    Reading(Reading),
    /// Show what would be installed, changing nothing.
    Plan(Deferred<PlanArgs>),
    /// Make a tar or an image instead of a directory, straight from wheels.
    Pack(Deferred<Box<PackArgs>>),
    /// Fill the cache with all that `sync` and `pack` of locks need, for one or many targets.
    Warm(Deferred<Box<WarmArgs>>),
    /// Show which credentials would be used for each source, never the secret.
    Auth(Deferred<AuthArgs>),
    /// Compare an environment with what was written and with the lock.
    Check(Deferred<CheckArgs>),
    /// Print one digest of an environment's tree: equal trees, equal digests.
    Digest(Deferred<DigestArgs>),
    /// Show what takes the space in an environment, and what --slim would save.
    Size(Deferred<SizeArgs>),
    /// Show or clean the cache.
    // Not deferred: `help` and completions are to know its commands.
    Cache(CacheArgs),
    /// Print a completion script.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Which packages, and how they are had.
#[derive(Debug, Args)]
pub struct PackagesArgs {
    /// What to take from the lock.
    #[command(flatten)]
    pub lock: LockArgs,
    /// For which interpreter.
    #[command(flatten)]
    pub target: TargetArgs,
    /// From where.
    #[command(flatten)]
    pub index: IndexArgs,
    /// How to build.
    #[command(flatten)]
    pub build: BuildArgs,
}

/// `sync`.
#[derive(Debug, Args)]
pub struct SyncArgs {
    /// Which packages, and how they are had.
    #[command(flatten)]
    pub packages: PackagesArgs,
    /// What to write.
    #[command(flatten)]
    pub output: OutputArgs,
    /// What is measured.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What is measured.
#[derive(Debug, Default, Args)]
pub struct WatchArgs {
    /// Write a page that shows where the time went; `json` prints it as JSON instead; given twice, both.
    #[arg(long, value_name = "FILE.html|json", num_args = 0..=1, require_equals = true, default_missing_value = "venvoy-timings.html")]
    pub timings: Vec<PathBuf>,
}

impl WatchArgs {
    /// Whether the timings go to standard output.
    pub fn prints_timings(&self) -> bool {
        self.timings.iter().any(|file| file == Path::new("json"))
    }
}

/// `install`: `sync`, and a clear word to those who would add packages.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Everything `sync` takes.
    #[command(flatten)]
    pub sync: SyncArgs,
    /// Not accepted: venvoy installs what the lock holds and never edits it.
    #[arg(value_name = "PACKAGES", hide = true)]
    pub packages: Vec<String>,
}

/// `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Which packages, and how they are had.
    #[command(flatten)]
    pub packages: PackagesArgs,
    /// What to write; with --diff.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Show what `sync` would change in the environment that is there.
    #[arg(long)]
    pub diff: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// `pack`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("artifact").required(true).multiple(true).args(["output", "oci", "push", "load"]))]
#[command(group = clap::ArgGroup::new("image").multiple(true).args(["oci", "push", "load"]))]
pub struct PackArgs {
    /// Which packages, and how they are had.
    #[command(flatten)]
    pub packages: PackagesArgs,
    /// What is made.
    #[command(flatten)]
    pub make: MakeArgs,
    /// What it becomes.
    #[command(flatten)]
    pub artifact: ArtifactArgs,
    /// What is measured.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// What an environment becomes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Artifact")]
pub struct ArtifactArgs {
    /// Write a tar: FILE.tar, FILE.tar.gz, FILE.tar.zst, or `-` for a plain one on standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write an OCI image layout: a directory, or FILE.tar, which `docker load` takes too.
    #[arg(long, value_name = "DIR|FILE.tar")]
    pub oci: Option<PathBuf>,
    /// Push the image to a registry: what is there already is not sent again.
    #[arg(long, value_name = "REGISTRY/NAME:TAG")]
    pub push: Option<String>,
    /// Load the image into the local engine: docker, else podman, or the one that is named.
    #[arg(long, value_name = "ENGINE", num_args = 0..=1, require_equals = true)]
    #[allow(clippy::option_option, reason = "an option that may have a value")]
    pub load: Option<Option<EngineKind>>,
    /// Put the layers on this image: of a registry, of the local engine, or of an OCI layout (DIR, FILE.tar, either with
    /// :TAG).
    #[arg(long, value_name = "IMAGE", requires = "image")]
    pub base: Option<String>,
    /// Bring the interpreter along, with its standard library and every library that it and the packages load: an image
    /// from nothing, without a shell.
    #[arg(long, conflicts_with_all = ["base", "python_version", "python_home", "python_exe"])]
    pub with_python: bool,
    /// What the image is called in the layout.
    #[arg(long, value_name = "NAME:TAG", default_value = "venvoy-pack:latest")]
    pub name: String,
    /// How many layers to make at most; those of the base are not counted, but with them there may be 120.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=120))]
    pub max_layers: u16,
    /// Make one layer.
    #[arg(long, conflicts_with = "max_layers")]
    pub single_layer: bool,
    /// Make layers that the stargz snapshotter of containerd mounts before it has them (eStargz): each file can be had alone.
    #[arg(long, requires = "image")]
    pub lazy: bool,
    /// Whom the files belong to, as numbers.
    #[arg(long, value_name = "UID[:GID]", default_value = "0:0")]
    pub owner: String,
    /// The image's command: a JSON array, or words as in a shell.
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, requires = "image")]
    pub cmd: Option<String>,
    /// The image's entry point, likewise.
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true, requires = "image")]
    pub entrypoint: Option<String>,
    /// A variable of the image; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", requires = "image")]
    pub env: Vec<String>,
    /// The image's user.
    #[arg(long, value_name = "USER", requires = "image")]
    pub user: Option<String>,
    /// The image's working directory.
    #[arg(long, value_name = "DIR", requires = "image")]
    pub workdir: Option<String>,
    /// A label of the image; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", requires = "image")]
    pub label: Vec<String>,
    /// Write what is inside as cyclonedx or spdx: to a file, or beside the image that is pushed; may be repeated.
    #[arg(long, num_args = 2, value_names = ["cyclonedx|spdx", "FILE|attach"])]
    pub sbom: Vec<String>,
    /// Files of the project that come along in a layer of their own: a directory's contents, or a file; may be repeated.
    #[arg(long, value_name = "SRC:DST", requires = "image")]
    pub copy: Vec<String>,
}

/// `auth`.
#[derive(Debug, Args)]
pub struct AuthArgs {
    /// Which lock.
    #[command(flatten)]
    pub lock: LockArgs,
    /// From where.
    #[command(flatten)]
    pub index: IndexArgs,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Ask each index and say what it answered.
    #[arg(long)]
    pub check: bool,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What `sync` was given.
    #[command(flatten)]
    pub sync: SyncArgs,
    /// Make the environment anew if anything is wrong with it; offline, if the cache has all of it.
    #[arg(long)]
    pub repair: bool,
}

/// `digest`.
#[derive(Debug, Args)]
pub struct DigestArgs {
    /// The environment [default: .venv of the project].
    #[arg(value_name = "PATH")]
    pub venv: Option<PathBuf>,
}

/// `size`.
#[derive(Debug, Args)]
pub struct SizeArgs {
    /// The environment, whoever made it [default: .venv of the project].
    #[arg(value_name = "PATH")]
    pub venv: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Also write one HTML page with a map of it, which needs no network.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// `cache`.
#[derive(Debug, Args)]
pub struct CacheArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub action: CacheAction,
}

/// What `cache` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum CacheAction {
    /// Print where the cache is.
    Dir,
    /// Print where it is, whether it can be written, and what it holds.
    #[command(alias = "size")]
    Info {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// List what it holds, files with what is derived from them.
    List {
        /// As JSON, every single thing.
        #[arg(long)]
        json: bool,
        /// Only files with this in their name.
        name: Option<String>,
    },
    /// Remove what is not needed; without options, what no run has used for 30 days.
    Prune(PruneArgs),
    /// Digest everything in it again, and remove what is damaged.
    Verify {
        /// Only what this project or lock needs (repeatable).
        #[arg(long, value_name = "PROJECT")]
        lock: Vec<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove everything.
    Clear,
    /// Print a key for a CI cache, and in the next line the prefix to restore an older one by.
    Key {
        /// The projects or locks that it is for; without, the one here.
        projects: Vec<PathBuf>,
        /// Something else that the cache depends on, such as a target's platform (repeatable).
        #[arg(long, value_name = "TEXT")]
        with: Vec<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `cache prune`.
#[derive(Debug, Clone, Args)]
pub struct PruneArgs {
    /// Keep only what these projects or locks need, with what is derived from it.
    #[arg(long, value_name = "PROJECT", num_args = 1..)]
    pub keep_locks: Vec<PathBuf>,
    /// Remove what no run has used for this long (30d, 12h, 2w).
    #[arg(long, value_name = "AGE", value_parser = crate::words::vocab::parse_age)]
    pub older_than: Option<std::time::Duration>,
    /// The same, in days.
    #[arg(long, value_name = "N", conflicts_with = "older_than", hide = true)]
    pub days: Option<u32>,
    /// Then remove what was not used for longest until the rest is no larger than this (2GB, 500MB).
    #[arg(long, value_name = "SIZE", value_parser = crate::words::vocab::parse_size)]
    pub max_size: Option<u64>,
    /// Remove what is cheaper to make than to carry between machines: unpacked wheels, bytecode, logs.
    #[arg(long)]
    pub ci: bool,
}

/// What to write.
#[derive(Debug, Args)]
#[command(next_help_heading = "Environment")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct OutputArgs {
    /// The environment to make [default: .venv of the project].
    #[arg(long, value_name = "PATH")]
    pub venv: Option<PathBuf>,
    /// What is made.
    #[command(flatten)]
    pub make: MakeArgs,
    /// How files get from the cache into the environment [default: VENVOY_LINK, unpack where CI is set, auto].
    #[arg(long, value_enum, value_name = "HOW")]
    pub link: Option<LinkMode>,
    /// Install for the interpreter that is there instead of making an environment: what others installed stays, unless
    /// the lock has it [or PIPENV_SYSTEM; PIP_USER=1 for the user's own packages].
    #[arg(long)]
    pub system: bool,
    /// Bring the interpreter along: its files and every library that it and the packages load go into the directory that
    /// will be the root, with the environment at the place that --at says [default: /.venv].
    #[arg(long, requires = "venv", conflicts_with_all = ["system", "python_version", "python_home", "python_exe"])]
    pub with_python: bool,
    /// With --system: also where the system's package manager looks after the interpreter (PEP 668) [or
    /// PIP_BREAK_SYSTEM_PACKAGES].
    #[arg(long)]
    pub break_system_packages: bool,
    /// Make the environment anew and put it in the old one's place at once, also where it could be changed.
    #[arg(long)]
    pub fresh: bool,
    /// Threads for unpacking [default: one per core].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub threads: u16,
}

/// What decides an environment's bytes, whatever it becomes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Environment")]
pub struct MakeArgs {
    /// Where the environment will live: scripts get plain absolute shebangs for that place.
    #[arg(long, value_name = "PATH")]
    pub at: Option<PathBuf>,
    /// Compile all modules to bytecode that the interpreter takes without a look at the source, or after
    /// comparing the source's hash or time.
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "unchecked")]
    pub compile: Option<Invalidation>,
    /// Copy the interpreter instead of linking to it; its standard library stays where it is [or
    /// PIPENV_VIRTUALENV_COPIES].
    #[arg(long)]
    pub copies: bool,
    /// Refuse wheels whose files are not what their RECORD says, instead of warning.
    #[arg(long)]
    pub strict: bool,
    /// Install pip (and setuptools where it is bundled) from those the interpreter ships.
    #[arg(long)]
    pub seed: bool,
    /// Leave out what nothing needs at run time [alone: all of these but headers].
    #[arg(long, value_enum, value_name = "KINDS", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = Slim::SAFE_WORDS)]
    pub slim: Vec<SlimKind>,
    /// Leave these distributions whole; may be repeated.
    #[arg(long, value_name = "NAMES", requires = "slim", value_delimiter = ',')]
    pub slim_except: Vec<String>,
}
