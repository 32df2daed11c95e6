//! What was typed and the environment, checked: what the pipeline runs with.

mod cache_from;
mod categories;
mod output;
mod pack;
mod project;
mod warm;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub(crate) use cache_from::CacheFrom;
pub(crate) use categories::{Categories, Local, LockOptions, category_names};
pub(crate) use output::{InstallPlace, MakeOptions, OutputOptions, PlaceOptions, SlimOptions, active};
pub(crate) use pack::{Archive, Form, Oci, PackOptions, SbomTo, To};
pub(crate) use project::{LockFile, Project};
pub(crate) use warm::{Ask, Keep, asks};

use crate::{
    packages::{
        http::{CaPaths, Proxies},
        sdist,
    },
    project::lock::{Entry, dotenv},
    words::{
        args::{BuildArgs, Global, IndexArgs, Keyring, LockArgs, PackagesArgs, TargetArgs},
        env::Env,
        error::{Error, Kind, Result, Warnings},
        files::{LARGEST_TEXT, read_regular},
        vocab::{PackageName, SourceUrl},
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

/// Where files may come from.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct IndexOptions {
    /// Directories and pages of links, as in pip.
    pub find_links: Vec<String>,
    /// Ask no index.
    pub no_index: bool,
    /// No network at all.
    pub offline: bool,
    /// Replacements for sources of the lock, by name.
    pub mirrors: Vec<(String, SourceUrl)>,
    /// `--pypi-mirror` or PIPENV_PYPI_MIRROR: replaces the public index.
    pub public_mirror: Option<SourceUrl>,
    /// Whether an index page may come from another host than the source's.
    pub allow_forwarding: bool,
    /// Which entries are installed without hashes.
    pub allow_unhashed: Packages,
    /// `--netrc`.
    pub netrc: Option<PathBuf>,
    /// Whether GitLab CI's tokens count.
    pub ci_credentials: bool,
    /// Whether the `keyring` program is asked.
    pub keyring: bool,
    /// The certificates to trust instead of the system's.
    pub ca: Option<CaPaths>,
    /// The proxies to go through.
    pub proxies: Proxies,
    /// A client certificate with its key.
    pub client_cert: Option<PathBuf>,
    /// How many downloads at once.
    pub concurrent_downloads: usize,
    /// Caches that are only read from, in the order in which they are asked.
    pub cache_from: Vec<CacheFrom>,
    /// Whether what was built is taken from them as well.
    pub trust_built: bool,
}

/// How source packages are treated.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuildOptions {
    /// Packages to build from source even where a wheel fits.
    pub no_binary: Packages,
    /// Packages never to build from source.
    pub only_binary: Packages,
    /// Arguments for pip.
    pub extra_pip_args: Vec<String>,
    /// Whether editable projects become ordinary copies.
    pub no_editable: bool,
    /// Whether build requirements are asked for again, though they are known.
    pub refresh: bool,
    /// The longest a build may take.
    pub timeout: std::time::Duration,
}

/// Packages by name, or all of them, as pip's format control has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Packages {
    /// None.
    #[default]
    None,
    /// These.
    Named(Vec<PackageName>),
    /// All.
    All,
}

impl BuildOptions {
    /// Whether a build of this entry is not isolated (`--no-build-isolation`, also the entry's own). A word that is wrong is
    /// told by the build.
    pub(crate) fn is_unisolated(&self, entry: &Entry) -> bool {
        let words: Vec<String> = self.extra_pip_args.iter().chain(&entry.pip_args).cloned().collect();
        sdist::Settings::parse(&words).is_ok_and(|settings| settings.no_isolation)
    }
}

impl Packages {
    /// Whether the package is named, by itself.
    fn names(&self, name: &PackageName) -> bool {
        matches!(self, Packages::Named(names) if names.contains(name))
    }

    /// These, less what the environment put there and `other`, typed for the opposite, has; `own` was typed.
    fn without(self, own: &Packages, other: &Packages) -> Self {
        match (self, other) {
            (_, Packages::All) => own.clone(),
            (Packages::Named(mut names), Packages::Named(_)) => {
                names.retain(|name| !other.names(name));
                Packages::Named(names)
            }
            (packages, _) => packages,
        }
    }

    /// Whether a package is meant.
    pub(crate) fn contains(&self, name: &PackageName) -> bool {
        match self {
            Packages::None => false,
            Packages::Named(names) => names.contains(name),
            Packages::All => true,
        }
    }

    fn parse<'a>(texts: impl Iterator<Item = &'a str>, option: &str) -> Result<Self> {
        let mut packages = Packages::None;
        for word in
            texts.flat_map(|text| text.split([',', ' '])).map(str::trim).filter(|word| !word.is_empty())
        {
            packages = match (word, packages) {
                (":none:", _) => Packages::None,
                (":all:", _) | (_, Packages::All) => Packages::All,
                (name, packages) => {
                    let name = name.parse().map_err(|e: Error| {
                        e.context(format!("{option} {word} is unusable")).with_kind(Kind::Usage)
                    })?;
                    let mut names = if let Packages::Named(names) = packages { names } else { Vec::new() };
                    names.push(name);
                    Packages::Named(names)
                }
            };
        }
        Ok(packages)
    }
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

impl IndexOptions {
    /// Checks the indexes' part of the command line.
    pub(crate) fn new(args: &IndexArgs, env: &Env) -> Result<Self> {
        let mut find_links = args.find_links.clone();
        find_links
            .extend(env.get("PIP_FIND_LINKS").into_iter().flat_map(str::split_whitespace).map(str::to_owned));
        let mirrors = args
            .index_url
            .iter()
            .map(|text| {
                let (name, url) = text.split_once('=').filter(|(name, _)| !name.contains("://")).ok_or_else(|| {
                    Error::new(Kind::Usage, "--index-url takes NAME=URL: the name of a source of the lock and the URL to use for it")
                })?;
                let url = url.parse().map_err(|e: Error| e.context(format!("--index-url {name}=... is unusable")).with_kind(Kind::Usage))?;
                Ok((name.to_owned(), url))
            })
            .collect::<Result<_>>()?;
        let (mirror, said) = match args.pypi_mirror.as_deref() {
            Some(typed) => (Some(typed), "--pypi-mirror"),
            None => (env.get("PIPENV_PYPI_MIRROR"), "PIPENV_PYPI_MIRROR"),
        };
        let public_mirror = mirror
            .map(str::parse)
            .transpose()
            .map_err(|e: Error| e.context(format!("{said} is unusable")).with_kind(Kind::Usage))?;
        let variables: BTreeMap<String, String> =
            env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let keyring = match args.keyring {
            Some(choice) => choice == Keyring::Subprocess,
            None => ["PIPENV_KEYRING_PROVIDER", "PIP_KEYRING_PROVIDER"]
                .iter()
                .find_map(|name| env.get(name))
                .is_some_and(|provider| provider == "subprocess"),
        };
        Ok(IndexOptions {
            find_links,
            no_index: args.no_index || env.flag("PIP_NO_INDEX"),
            offline: args.offline || env.flag("VENVOY_OFFLINE"),
            mirrors,
            public_mirror,
            allow_forwarding: args.allow_forwarding,
            allow_unhashed: Packages::parse(
                args.allow_unhashed.iter().map(String::as_str),
                "--allow-unhashed",
            )?,
            netrc: args.netrc.clone(),
            ci_credentials: !args.no_ci_credentials,
            keyring,
            ca: CaPaths::choose(args.cert.clone(), &variables),
            proxies: Proxies::from_env(&variables),
            client_cert: args.client_cert.clone().or_else(|| env.path("PIP_CLIENT_CERT")),
            concurrent_downloads: args.concurrent_downloads.into(),
            cache_from: CacheFrom::all(&args.cache_from, env)?,
            trust_built: args.trust_built,
        })
    }
}

impl BuildOptions {
    /// Whether wheels are out of the question for an entry, and whether source distributions are. A name
    /// outweighs `:all:`, as in pip: `--only-binary :all: --no-binary NAME` builds NAME alone.
    pub(crate) fn forms(&self, entry: &Entry) -> (bool, bool) {
        let (no, only) = (&self.no_binary, &self.only_binary);
        let named = (entry.no_binary || no.names(&entry.name), only.names(&entry.name));
        if named == (false, false) { (*no == Packages::All, *only == Packages::All) } else { named }
    }

    /// Checks the builds' part of the command line.
    pub(crate) fn new(args: &BuildArgs, env: &Env) -> Result<Self> {
        let given = |typed: &[String], option: &str, variable: &str| {
            let typed = || typed.iter().map(String::as_str);
            let all = Packages::parse(env.get(variable).into_iter().chain(typed()), option)?;
            Ok::<_, Error>((all, Packages::parse(typed(), option)?))
        };
        let (no_binary, typed_no) = given(&args.no_binary, "--no-binary", "PIP_NO_BINARY")?;
        let (only_binary, typed_only) = given(&args.only_binary, "--only-binary", "PIP_ONLY_BINARY")?;
        let both = |package: &str| {
            Error::new(Kind::Usage, format!("{package} is given to both --no-binary and --only-binary"))
                .help("wheels, source distributions or both: leave one of the two out")
        };
        if typed_no == Packages::All && typed_only == Packages::All {
            return Err(both(":all:"));
        }
        if let Packages::Named(names) = &typed_no
            && let Some(name) = names.iter().find(|name| typed_only.names(name))
        {
            return Err(both(name.as_str()));
        }
        let extra = args.extra_pip_args.as_deref().or_else(|| env.get("PIPENV_EXTRA_PIP_ARGS"));
        let mut extra_pip_args = shlex::split(extra.unwrap_or_default())
            .ok_or_else(|| Error::new(Kind::Usage, "--extra-pip-args has a quote that is not closed"))?;
        // As pip reads it: the variable is what the option sets, which is whether builds are isolated.
        if env.get("PIP_NO_BUILD_ISOLATION").is_some() && !env.flag("PIP_NO_BUILD_ISOLATION") {
            extra_pip_args.push("--no-build-isolation".to_owned());
        }
        Ok(BuildOptions {
            // What is typed outweighs what the environment says.
            no_binary: no_binary.without(&typed_no, &typed_only),
            only_binary: only_binary.without(&typed_only, &typed_no),
            extra_pip_args,
            no_editable: args.no_editable,
            refresh: args.refresh,
            timeout: std::time::Duration::from_secs(args.build_timeout),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Packages {
        Packages::parse(std::iter::once(text), "--no-binary").expect(text)
    }

    #[test]
    fn format_control_reads_words_in_order_as_pip_does() {
        let name: PackageName = "lxml".parse().expect("a name");
        assert!(names("lxml,pillow").contains(&name));
        assert!(names(":all:").contains(&name));
        assert!(!names(":all:,:none:").contains(&name));
        assert!(names(":none: lxml").contains(&name));
        assert!(Packages::parse(std::iter::once("../x"), "--no-binary").is_err());
    }

    #[test]
    fn what_is_typed_takes_packages_from_what_the_environment_says() {
        let (none, all) = (Packages::None, Packages::All);
        assert_eq!(names("lxml,pillow").without(&none, &names("pillow")), names("lxml"));
        assert_eq!(names("lxml").without(&none, &all), none);
        assert_eq!(names("lxml").without(&names("lxml"), &all), names("lxml"), "typed as well");
        assert_eq!(all.clone().without(&none, &names("lxml")), all, "a name outweighs it anyway");
    }
}
