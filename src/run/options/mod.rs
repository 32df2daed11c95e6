//! What was typed and the environment, checked: what the pipeline runs with.

mod build;
mod cache_from;
mod categories;
mod index;
mod output;
mod pack;
mod packages;
mod project;
mod warm;

use std::path::{Path, PathBuf};

pub(crate) use build::BuildOptions;
pub(crate) use cache_from::CacheFrom;
pub(crate) use categories::{Categories, Local, LockOptions, category_names};
pub(crate) use index::IndexOptions;
pub(crate) use output::{InstallPlace, MakeOptions, OutputOptions, PlaceOptions, SlimOptions, active};
pub(crate) use pack::{Archive, Form, Oci, PackOptions, SbomTo, To};
pub(crate) use packages::Packages;
pub(crate) use project::{LockFile, Project};
pub(crate) use warm::{Ask, Keep, asks};

use crate::{
    project::lock::dotenv,
    words::{
        args::{Global, LockArgs, PackagesArgs, TargetArgs},
        env::Env,
        error::{Error, Kind, Result, Warnings},
        files::{LARGEST_TEXT, read_regular},
    },
};

/// What a run is asked to do, checked.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The project, the environment and the cache.
    pub common: Common,
    /// Which part of the lock.
    pub lock: LockOptions,
    /// Which interpreter.
    pub target: TargetOptions,
    /// From where.
    pub index: IndexOptions,
    /// How source packages are treated.
    pub build: BuildOptions,
}

impl Options {
    /// Checks what was typed; `lock` says what a command's options for the lock mean.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what contradicts itself or cannot be read.
    pub(crate) fn new(
        args: &PackagesArgs,
        lock: fn(&LockArgs, &Env) -> LockOptions,
        common: Common,
    ) -> Result<Self> {
        Ok(Options {
            lock: lock(&args.lock, &common.env),
            target: TargetOptions::new(&args.target, &common.env),
            index: IndexOptions::new(&args.index, &common.env)?,
            build: BuildOptions::new(&args.build, &common.env)?,
            common,
        })
    }
}

/// What every command knows: the project, the environment and the cache.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    /// The project.
    pub project: Project,
    /// The environment, the project's `.env` on top.
    pub env: Env,
    /// The cache's directory.
    pub cache_dir: PathBuf,
    /// 0 quiet, 1 normal, 2 and more verbose.
    pub verbosity: u8,
    /// What the user should hear about the project's `.env`.
    pub warnings: Warnings,
}

/// Which interpreter was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct TargetOptions {
    /// `--python`, else PIPENV_PYTHON, with the name of whichever said so.
    pub python: Option<(String, &'static str)>,
    /// PIPENV_DEFAULT_PYTHON_VERSION: counts where the lock requires nothing.
    pub fallback: Option<String>,
    /// `--python-version` and `--platform`: an interpreter that is described rather than run.
    pub described: Option<(String, String)>,
    /// `--python-version`, whether or not there is a platform with it.
    pub version: Option<String>,
    /// Each `--platform`.
    pub platforms: Vec<String>,
    /// Where the base interpreter's directory will be at run time.
    pub home: Option<PathBuf>,
    /// The base interpreter's path at run time.
    pub executable: Option<PathBuf>,
}

impl Common {
    /// Finds the project, loads its `.env` and settles where the cache is.
    pub(crate) fn new(global: &Global, lock: Option<&Path>, mut env: Env) -> Result<Self> {
        let start = match &global.project {
            Some(dir) if !dir.is_dir() => {
                return Err(Error::new(
                    Kind::Usage,
                    format!("--project {} is not a directory", dir.display()),
                )
                .help("name the directory that holds the Pipfile.lock"));
            }
            Some(dir) => absolute(dir)?,
            None => current_dir()?,
        };
        if lock.is_some_and(|lock| lock.to_string_lossy().contains("://")) {
            // Not shown: it may hold a password.
            return Err(Error::new(Kind::Usage, "--lock names a URL: expected a file")
                .help("fetch the lock first: a lock is only read from disk, as it may name local paths"));
        }
        let lock = lock.map(absolute).transpose()?;
        let project = Project::find(&start, global.project.is_some(), lock.as_deref(), &env)?;
        let warnings = load_dotenv(&project.dir, &mut env)?;
        let cache_dir = cache_dir(global, &env)?;
        let verbosity = verbosity(global, &env);
        Ok(Common { project, env, cache_dir, verbosity, warnings })
    }
}

/// How much to print: 0 errors only, 1 normal, 2 and more details. PIPENV_QUIET counts where nothing was typed.
pub(crate) fn verbosity(global: &Global, env: &Env) -> u8 {
    let quiet = global.quiet || (global.verbose == 0 && env.flag("PIPENV_QUIET"));
    if quiet { 0 } else { 1 + global.verbose }
}

/// Where the cache is, for commands that need no project.
///
/// # Errors
/// [`Kind::Usage`] where nothing says so and the platform names no place.
pub(crate) fn cache_dir(global: &Global, env: &Env) -> Result<PathBuf> {
    let dir = global
        .cache_dir
        .clone()
        .or_else(|| env.path("VENVOY_CACHE_DIR"))
        .or_else(|| env.path("PIPENV_CACHE_DIR").map(|dir| dir.join("venvoy")))
        .or_else(|| dirs::cache_dir().map(|dir| dir.join("venvoy")))
        .ok_or_else(|| {
            Error::new(Kind::Usage, "no place for the cache: neither VENVOY_CACHE_DIR nor HOME is set")
                .help("set VENVOY_CACHE_DIR or pass --cache-dir DIR")
        })?;
    absolute(&dir)
}

/// The project's `.env`, loaded over the environment as pipenv does.
fn load_dotenv(dir: &Path, env: &mut Env) -> Result<Warnings> {
    if env.flag("PIPENV_DONT_LOAD_ENV") {
        return Ok(Warnings::default());
    }
    let named = env.path("PIPENV_DOTENV_LOCATION");
    let file = named.clone().unwrap_or_else(|| dir.join(".env"));
    let mut warnings = Warnings::default();
    let read = read_regular(&file, LARGEST_TEXT).and_then(|bytes| {
        String::from_utf8(bytes).map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    });
    let text = match read {
        Ok(text) => text,
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::IsADirectory) =>
        {
            if named.is_some() {
                let file = file.display();
                warnings.push(format!("PIPENV_DOTENV_LOCATION is passed over: {file} is not a file"));
            }
            return Ok(warnings);
        }
        Err(error) => {
            return Err(Error::io("cannot read", &file, error)
                .help("correct it, or set PIPENV_DONT_LOAD_ENV=1 to leave it unread"));
        }
    };
    let found = dotenv::parse(&text, env);
    for (name, value) in found.variables {
        env.set(name, value);
    }
    for line in found.unreadable {
        warnings.push(format!("{}: line {line} cannot be read and is passed over", file.display()));
    }
    Ok(warnings)
}

impl TargetOptions {
    /// The interpreter that is meant where nothing is typed.
    pub(crate) fn of_env(env: &Env) -> Self {
        TargetOptions {
            python: env.get("PIPENV_PYTHON").map(|text| (text.to_owned(), "PIPENV_PYTHON")),
            fallback: env.get("PIPENV_DEFAULT_PYTHON_VERSION").map(str::to_owned),
            ..TargetOptions::default()
        }
    }

    /// Checks the interpreter's part of the command line.
    pub(crate) fn new(args: &TargetArgs, env: &Env) -> Self {
        let typed = args.python.clone().map(|python| (python, "--python"));
        let of_env = Self::of_env(env);
        TargetOptions {
            python: typed.or(of_env.python),
            fallback: of_env.fallback,
            described: match args.platform.as_slice() {
                [platform] => args.python_version.clone().zip(Some(platform.clone())),
                _ => None,
            },
            version: args.python_version.clone(),
            platforms: args.platform.clone(),
            home: args.python_home.clone(),
            executable: args.python_exe.clone(),
        }
    }

    /// One target for each platform that was typed.
    pub(crate) fn each(&self) -> Vec<TargetOptions> {
        if self.platforms.is_empty() {
            return vec![self.clone()];
        }
        let of = |platform: &String| TargetOptions {
            described: self.version.clone().zip(Some(platform.clone())),
            platforms: vec![platform.clone()],
            ..self.clone()
        };
        self.platforms.iter().map(of).collect()
    }

    /// Whether what was typed describes one target, whole.
    ///
    /// # Errors
    /// [`Kind::Usage`], saying what is missing or too much.
    pub(crate) fn check(&self) -> Result<()> {
        let whole = "--python-version 3.9 --platform linux/amd64 --python-home /usr/local/bin";
        let needs = |what: &str, other: &str| {
            Err(Error::new(Kind::Usage, format!("{what} needs {other}"))
                .help(format!("an interpreter that is not here is described whole: {whole}")))
        };
        if self.platforms.len() > 1 {
            return Err(Error::new(
                Kind::Usage,
                format!("an environment is for one platform, and these are {}", self.platforms.join(", ")),
            )
            .help("run once for each; `venvoy pack --oci` and `--push` make one image of several"));
        }
        match &self.described {
            None if self.version.is_some() => needs("--python-version", "--platform"),
            None if !self.platforms.is_empty() => needs("--platform", "--python-version"),
            Some(_) if self.home.is_none() => needs("--python-version", "--python-home"),
            _ => Ok(()),
        }
    }
}

/// The environment a command is about: the one named, else `.venv` of the project.
pub(crate) fn venv_path(named: Option<&Path>, project: &Project) -> Result<PathBuf> {
    named.map_or_else(|| Ok(project.dir.join(".venv")), absolute)
}

/// A path made absolute without following links.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io("cannot find the absolute path of", path, e))
}

fn current_dir() -> Result<PathBuf> {
    std::env::current_dir().map_err(|e| Error::io("cannot find the current directory", Path::new("."), e))
}
