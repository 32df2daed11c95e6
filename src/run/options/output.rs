//! What is written, and how: the environment's part of the command line.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use super::{Project, venv_path};
use crate::environment::layout::MANIFEST;
use crate::words::{
    args::{MakeArgs, OutputArgs},
    choices::{Invalidation, LinkMode, Slim, SlimKind},
    env::Env,
    error::{Error, Kind, Result},
    threads,
    vocab::PackageName,
};

/// What is written, and where it goes.
#[derive(Debug, Clone)]
pub(crate) struct OutputOptions {
    /// What is made: all of this decides bytes, and is the same for every artifact.
    pub make: MakeOptions,
    /// Where it goes: none of this decides bytes.
    pub place: PlaceOptions,
}

/// What is made.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct MakeOptions {
    /// Where it will live, where that is known.
    pub at: Option<PathBuf>,
    /// The interpreter that scripts name, where they are installed for one that is there (`--system`).
    pub(crate) python: Option<PathBuf>,
    /// Whether modules are compiled, and what their bytecode is compared with.
    pub compile: Option<Invalidation>,
    /// Whether the interpreter is copied rather than linked to.
    pub copies: bool,
    /// Whether a RECORD that does not hold is an error.
    pub strict: bool,
    /// Whether pip comes along.
    pub seed: bool,
    /// What is left out.
    pub slim: SlimOptions,
    /// The modification time of everything written: seconds since 1970.
    pub mtime: i64,
}

/// Where an environment goes, and how it gets there.
#[derive(Debug, Clone)]
pub(crate) struct PlaceOptions {
    /// The environment to make.
    pub venv: PathBuf,
    /// What it is installed into, where that is not an environment of venvoy's own.
    pub(crate) into: InstallPlace,
    /// Whether to install into an interpreter that the system manages (PEP 668).
    pub(crate) break_system_packages: bool,
    /// The directory that will be the root, where the interpreter comes along.
    pub(crate) tree: Option<PathBuf>,
    /// How files get there.
    pub link: LinkMode,
    /// Whether to make it anew although it is current, or could be changed.
    pub fresh: bool,
    /// Whether something is wrong with it, so that nothing which led to it is trusted.
    pub repair: bool,
    /// Threads for unpacking; 0 for one per core.
    pub threads: usize,
}

/// What packages are installed into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InstallPlace {
    /// An environment of venvoy's own.
    Environment,
    /// The interpreter that is there: `--system`.
    System,
    /// The virtual environment that is active.
    Active(PathBuf),
}

impl InstallPlace {
    /// As pipenv has it: `--system` before everything, then an environment that is named, then the active one.
    fn new(args: &OutputArgs, project: &Project, env: &Env) -> Result<Self> {
        if args.system || env.flag("PIPENV_SYSTEM") {
            if let Some(venv) = args.venv.as_deref().filter(|_| args.system) {
                return Err(Error::new(
                    Kind::Usage,
                    format!("--system and --venv {} exclude each other", venv.display()),
                )
                .help("--system installs for the interpreter that is there; leave one of them out"));
            }
            return Ok(if args.venv.is_some() { InstallPlace::Environment } else { InstallPlace::System });
        }
        let active = if args.venv.is_some() { None } else { active(project, env) };
        Ok(active.map_or(InstallPlace::Environment, InstallPlace::Active))
    }
}

/// The active virtual environment, which pipenv takes instead of making one: unless it was told not to, and unless that
/// is one which venvoy or pipenv made.
pub(crate) fn active(project: &Project, env: &Env) -> Option<PathBuf> {
    // The second is set in whatever `pipenv shell`, `pipenv run` and `venvoy run` start.
    if env.flag("PIPENV_IGNORE_VIRTUALENVS") || env.get("PIPENV_ACTIVE").is_some() {
        return None;
    }
    let active = env.path("VIRTUAL_ENV").filter(|active| active.is_absolute())?;
    (is_others(&active) && active != project.dir.join(".venv")).then_some(active)
}

/// Whether a virtual environment was made by neither venvoy nor pipenv, each of which makes and remakes its own.
fn is_others(venv: &Path) -> bool {
    let has = |name: &str| venv.join(name).is_file();
    has("pyvenv.cfg") && !has(MANIFEST) && !has(".project") && venv.join("bin/python").exists()
}

/// What is left out of the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SlimOptions {
    /// The kinds.
    pub kinds: Slim,
    /// Distributions that stay whole, sorted.
    pub except: Vec<PackageName>,
}

impl SlimOptions {
    fn new(kinds: &[SlimKind], except: &[String]) -> Result<Self> {
        let kinds = kinds.iter().copied();
        let mut except = except
            .iter()
            .map(|name| {
                name.parse().map_err(|e: Error| {
                    e.context(format!("--slim-except {name} is unusable")).with_kind(Kind::Usage)
                })
            })
            .collect::<Result<Vec<PackageName>>>()?;
        except.sort_unstable();
        except.dedup();
        Ok(SlimOptions { kinds: kinds.collect(), except })
    }
}

impl std::fmt::Display for SlimOptions {
    /// As in the manifest: `tests,pyc`, `tests except lxml,numpy`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.kinds.fmt(f)?;
        if !self.kinds.is_empty() && !self.except.is_empty() {
            let names: Vec<&str> = self.except.iter().map(PackageName::as_str).collect();
            write!(f, " except {}", names.join(","))?;
        }
        Ok(())
    }
}

/// 1980-01-01T00:00:00Z: the first day a zip archive can name, and the default time of everything written.
pub(crate) const DEFAULT_MTIME: i64 = 315_532_800;

/// How many threads to start where so many were asked for (0: one for each core). More than two for each core only wait
/// for each other (small numbers are taken as they are), and each has a few files and directories open.
fn threads(asked: usize) -> usize {
    let cores = threads::cores();
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let files = files.and_then(|files| usize::try_from(files / 16).ok()).unwrap_or(usize::MAX).max(1);
    let most = (2 * cores).max(64).min(files);
    if asked == 0 && cores <= most {
        0
    } else if asked == 0 {
        most
    } else {
        asked.min(most)
    }
}

/// The directory in which the environment has the place that `--at` says.
fn tree(venv: &Path, make: &mut MakeOptions) -> Result<PathBuf> {
    let at = make.at.get_or_insert_with(|| PathBuf::from("/.venv"));
    let inner = at.strip_prefix("/").unwrap_or(at);
    let deep = inner.components().count();
    let root = venv.ancestors().nth(deep).filter(|_| deep > 0 && venv.ends_with(inner));
    let wrong = |what: String| {
        Error::new(Kind::Usage, format!("--with-python: {what}"))
            .help("name the environment in a directory that will be the root, such as --venv runtime/.venv --at /.venv")
    };
    match root {
        Some(root) if root.parent().is_some() => Ok(root.to_owned()),
        Some(_) => Err(wrong("the tree would be the root of this machine".to_owned())),
        None => {
            Err(wrong(format!("{} does not end with {}, which is its place", venv.display(), at.display())))
        }
    }
}

impl OutputOptions {
    /// Checks the environment's part of the command line.
    pub(crate) fn new(args: &OutputArgs, project: &Project, env: &Env) -> Result<Self> {
        let mut make = MakeOptions::new(&args.make, env)?;
        let venv = venv_path(args.venv.as_deref(), project)?;
        let tree = args.with_python.then(|| tree(&venv, &mut make)).transpose()?;
        Ok(OutputOptions {
            make,
            place: PlaceOptions {
                venv,
                into: InstallPlace::new(args, project, env)?,
                tree,
                break_system_packages: args.break_system_packages || env.flag("PIP_BREAK_SYSTEM_PACKAGES"),
                link: link(args.link, env)?,
                fresh: args.fresh,
                repair: false,
                threads: threads(args.threads.into()),
            },
        })
    }
}

impl OutputOptions {
    /// For an artifact that needs no environment on disk: builds take `.venv` of the project as its place.
    pub(crate) fn for_artifact(args: &MakeArgs, project: &Project, env: &Env) -> Result<Self> {
        Ok(OutputOptions {
            make: MakeOptions::new(args, env)?,
            place: PlaceOptions {
                venv: venv_path(None, project)?,
                into: InstallPlace::Environment,
                tree: None,
                break_system_packages: false,
                link: LinkMode::Unpack,
                fresh: true,
                repair: false,
                threads: threads(0),
            },
        })
    }
}

impl MakeOptions {
    /// Checks what decides an environment's bytes.
    pub(crate) fn new(args: &MakeArgs, env: &Env) -> Result<Self> {
        let at = args.at.clone();
        if let Some(at) = at.as_deref().filter(|at| !at.is_absolute()) {
            return Err(Error::new(Kind::Usage, format!("--at {} is not absolute", at.display()))
                .help("name the place where the environment will live, such as --at /.venv"));
        }
        let mtime = match env.get("SOURCE_DATE_EPOCH") {
            None => DEFAULT_MTIME,
            Some(text) => text.parse().ok().filter(|&seconds: &i64| seconds >= 0).ok_or_else(|| {
                Error::new(
                    Kind::Usage,
                    format!("SOURCE_DATE_EPOCH is {text:?}: expected whole seconds since 1970"),
                )
            })?,
        };
        Ok(MakeOptions {
            at,
            python: None,
            compile: args.compile,
            copies: args.copies || env.flag("PIPENV_VIRTUALENV_COPIES"),
            strict: args.strict,
            seed: args.seed,
            slim: SlimOptions::new(&args.slim, &args.slim_except)?,
            mtime,
        })
    }
}

impl MakeOptions {
    /// The options with which the same is made again, as words of a shell. The time of what is written comes from a variable
    /// and is none of them; `--system` says where, and the interpreter there follows from it.
    pub(crate) fn words(&self) -> String {
        let MakeOptions { at, compile, copies, strict, seed, slim, mtime: _, python: _ } = self;
        let mut words: Vec<String> = Vec::new();
        words.extend(at.as_ref().map(|at| format!("--at={}", at.display())));
        let compile = compile.and_then(|compile| compile.to_possible_value());
        words.extend(compile.map(|compile| format!("--compile={}", compile.get_name())));
        let switches = [(copies, "--copies"), (strict, "--strict"), (seed, "--seed")];
        words.extend(switches.iter().filter(|(on, _)| **on).map(|(_, word)| (*word).to_owned()));
        if !slim.kinds.is_empty() {
            words.push(format!("--slim={}", slim.kinds));
            words.extend(slim.except.iter().map(|name| format!("--slim-except={name}")));
        }
        // Only a NUL cannot be a shell's word, and no path has one.
        shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default()
    }
}

/// `--link`, else VENVOY_LINK, else what is right for a CI job or for a machine that stays. An empty variable is none, as an image sets it to take one back.
fn link(typed: Option<LinkMode>, env: &Env) -> Result<LinkMode> {
    if let Some(link) = typed {
        return Ok(link);
    }
    let Some(text) = env.get("VENVOY_LINK") else {
        // A job throws away what it unpacks into the cache, or pays for carrying it.
        return Ok(if env.flag("CI") { LinkMode::Unpack } else { LinkMode::Auto });
    };
    LinkMode::from_str(text, true).map_err(|_| {
        let words: Vec<String> = LinkMode::value_variants()
            .iter()
            .filter_map(|link| link.to_possible_value().map(|value| value.get_name().to_owned()))
            .collect();
        Error::new(Kind::Usage, format!("VENVOY_LINK is {text:?}: expected one of {}", words.join(", ")))
    })
}
