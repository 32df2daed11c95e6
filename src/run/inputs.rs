//! The lock, its Pipfile and the interpreter of a run: read, compared with each other, selected from.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::words::progress::Progress;
use crate::{
    packages::cache::{self, Cache},
    project::{
        lock::{Choose, Lock, Pipfile, Requires, Selection, Skipped, parse_pylock, select},
        python::{self, Target},
    },
    run::options::{Categories, Common, LockFile, LockOptions, TargetOptions},
    words::{
        error::{Error, Kind, Result},
        files::{LARGEST_TEXT, read_regular},
        vocab::MarkerEnv,
    },
};

/// The files of a project, parsed.
pub(crate) struct Inputs {
    /// What is locked.
    pub lock: Lock,
    /// What was asked for, where there is a Pipfile.
    pub pipfile: Option<Pipfile>,
    /// How messages call the lock.
    pub label: String,
    is_pylock: bool,
}

impl Inputs {
    /// Reads lock and Pipfile and compares them: with `--deploy` a lock that is out of date is an error of
    /// kind [`Kind::Lock`], otherwise a warning.
    pub(crate) fn read(common: &Common, options: &LockOptions, progress: &dyn Progress) -> Result<Self> {
        common.warnings.0.iter().for_each(|warning| progress.warn(warning));
        let file = common.project.lock()?;
        let label = label(file.path());
        let bytes = read(file.path(), "name the lock with --lock FILE, or make one with `pipenv lock`")?;
        let is_pylock = matches!(file, LockFile::Pylock(_));
        let (lock, warnings) = if is_pylock {
            parse_pylock(&bytes, &label, &common.env)?
        } else {
            Lock::parse(&bytes, &label, &common.env)?
        };
        warnings.0.iter().for_each(|warning| progress.warn(warning));
        let pipfile = match &common.project.pipfile {
            None => None,
            Some(path) => {
                let bytes = read(path, "correct its permissions")?;
                let (pipfile, warnings) = Pipfile::parse(&bytes, &self::label(path), &common.env)?;
                warnings.0.iter().for_each(|warning| progress.warn(warning));
                Some(pipfile)
            }
        };
        let inputs = Inputs { lock, pipfile, label, is_pylock };
        inputs.check_fresh(options, progress)?;
        Ok(inputs)
    }

    fn check_fresh(&self, options: &LockOptions, progress: &dyn Progress) -> Result<()> {
        let Some(pipfile) = &self.pipfile else {
            if options.deploy && !self.is_pylock {
                progress.detail(&format!("there is no Pipfile beside {}: not compared", self.label));
            }
            return Ok(());
        };
        if options.ignore_pipfile || self.is_pylock || pipfile.is_fresh(&self.lock) {
            return Ok(());
        }
        let short = |hash: &str| hash.chars().take(12).collect::<String>();
        let message = format!(
            "{} is out of date: it was made for a Pipfile with hash {}, the Pipfile here has {}",
            self.label,
            self.lock.hash.as_deref().map_or_else(|| "(none)".to_owned(), short),
            pipfile.hash().map_or_else(|| "(none)".to_owned(), short),
        );
        if options.deploy {
            return Err(Error::new(Kind::Lock, message).help(
                "run `pipenv lock` and commit the result, or pass --ignore-pipfile to install what is locked",
            ));
        }
        progress.warn(&message);
        Ok(())
    }

    /// What the project requires of the interpreter: the Pipfile says, else the lock.
    pub(crate) fn requires(&self) -> &Requires {
        self.pipfile.as_ref().map_or(&self.lock.requires, |pipfile| &pipfile.requires)
    }

    /// Finds the interpreter; with `--deploy` it must be what the project requires.
    pub(crate) fn target(
        &self,
        common: &Common,
        options: &TargetOptions,
        deploy: bool,
        progress: &dyn Progress,
    ) -> Result<Target> {
        options.check()?;
        let wanted = match self.requires().wanted() {
            Err(error) if deploy => return Err(error),
            Err(error) => {
                progress.warn(&format!("what the project requires is passed over: {}", error.in_one_line()));
                None
            }
            Ok(wanted) => wanted,
        };
        if let Some((python_version, platform)) = &options.described {
            let python_home = options.home.as_deref().unwrap_or(Path::new("/usr/local/bin"));
            let target = python::Description { python_version, platform, python_home }.target()?;
            return self.checked(target, deploy, progress);
        }
        let (typed, from_env) = match options.python.clone() {
            Some((python, "--python")) => (Some(python), None),
            from_env => (None, from_env),
        };
        let fallback = options.fallback.clone().filter(|_| wanted.is_none());
        let fallback = fallback.map(|version| (version, "PIPENV_DEFAULT_PYTHON_VERSION"));
        let request = python::InterpreterRequest {
            python: typed,
            env_python: from_env.or(fallback),
            wanted,
            search: search_paths(common),
            answers: Some(Arc::new(Cache::open(&common.cache_dir, cache::Options::default()))),
        };
        self.checked(python::find(&request)?, deploy, progress)
    }

    /// A target that was found or described, beside what the project requires.
    fn checked(&self, target: Target, deploy: bool, progress: &dyn Progress) -> Result<Target> {
        if let Err(mismatch) = self.requires().check(&target) {
            if deploy {
                return Err(Error::new(Kind::Target, mismatch).help(
                    "use an image or interpreter of that version (--python), or change [requires] and lock again",
                ));
            }
            progress.warn(&mismatch);
        }
        progress.detail(&format!("for {} at {}", target.describe_shortly(), target.executable.display()));
        Ok(target)
    }

    /// Whether the Python of an environment that is there is what the project requires.
    ///
    /// # Errors
    /// [`Kind::Target`] where it is not and `deploy` wants it.
    pub(crate) fn check_requires(
        &self,
        markers: &MarkerEnv,
        free_threaded: bool,
        deploy: bool,
        progress: &dyn Progress,
    ) -> Result<()> {
        let Ok(Some(wanted)) = self.requires().wanted() else { return Ok(()) };
        let there = &markers.python_full_version;
        if wanted.matches(there, free_threaded) {
            return Ok(());
        }
        let required = self.requires().describe().unwrap_or_default();
        let message = format!("the project requires Python {required}, and the environment is for {there}");
        if deploy {
            return Err(Error::new(Kind::Target, message).help("make it anew with `venvoy sync`"));
        }
        progress.warn(&message);
        Ok(())
    }

    /// The entries that are wanted and apply to the target.
    pub(crate) fn select(&self, options: &LockOptions, target: &Target) -> Result<Selection> {
        self.select_for(options, &target.markers)
    }

    /// The entries that are wanted and apply where markers mean this.
    pub(crate) fn select_for(&self, options: &LockOptions, markers: &MarkerEnv) -> Result<Selection> {
        let (categories, groups) = match (&options.categories, self.is_pylock) {
            (Categories::Standard { dev }, false) => {
                let has_develop = self.lock.categories.iter().any(|(name, _)| name == "develop");
                let develop = (*dev && has_develop).then(|| "develop".to_owned());
                (std::iter::once("default".to_owned()).chain(develop).collect(), Vec::new())
            }
            (Categories::Named(names), false) => (names.clone(), Vec::new()),
            (Categories::All, false) => (self.all_categories(), Vec::new()),
            (Categories::Standard { dev }, true) => {
                let mut groups = self.lock.default_groups.clone();
                groups.extend((*dev).then(|| "dev".to_owned()));
                (vec!["default".to_owned()], groups)
            }
            (Categories::All, true) => (vec!["default".to_owned()], self.lock.dependency_groups.clone()),
            (Categories::Named(names), true) => {
                let known = &self.lock.dependency_groups;
                if let Some(unknown) = names.iter().find(|name| *name != "default" && !known.contains(name)) {
                    return Err(Error::new(Kind::Lock, format!("{} has no group {unknown:?}", self.label))
                        .help(format!("its groups: default, {}", known.join(", "))));
                }
                (vec!["default".to_owned()], names.clone())
            }
        };
        let search_all_sources =
            self.pipfile.as_ref().is_some_and(|pipfile| pipfile.install_search_all_sources);
        let choose = Choose { categories: &categories, groups: &groups, search_all_sources };
        let mut selection = select(&self.lock, choose, markers)?;
        let mut kept = Vec::with_capacity(selection.entries.len());
        for entry in std::mem::take(&mut selection.entries) {
            match options.local.leaves_out(&entry) {
                Some(why) => selection.skipped.push(Skipped { entry, why: why.to_owned() }),
                None => kept.push(entry),
            }
        }
        selection.entries = kept;
        Ok(selection)
    }
}

impl Inputs {
    /// Every category: `default`, `develop`, then the others in the Pipfile's order, as pipenv's `--all` has it; in the
    /// lock's where there is no Pipfile.
    fn all_categories(&self) -> Vec<String> {
        let locked = self.lock.categories.iter().map(|(name, _)| name);
        let Some(pipfile) = &self.pipfile else { return locked.cloned().collect() };
        let own = ["default", "develop"].into_iter().chain(pipfile.categories());
        own.filter(|name| locked.clone().any(|locked| locked == name)).map(str::to_owned).collect()
    }
}

/// How messages call a file: its name.
pub(super) fn label(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// An input's bytes.
///
/// # Errors
/// [`Kind::Lock`] with this help for what cannot be read.
pub(super) fn read(path: &Path, help: &str) -> Result<Vec<u8>> {
    read_regular(path, LARGEST_TEXT)
        .map_err(|e| Error::io("cannot read", path, e).with_kind(Kind::Lock).help(help))
}

fn search_paths(common: &Common) -> python::SearchPaths {
    let env = &common.env;
    let home_pyenv = || env.path("HOME").map(|home| home.join(".pyenv"));
    python::SearchPaths {
        path: env.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default(),
        pyenv_root: env.path("PYENV_ROOT").or_else(home_pyenv),
        pyenv_version: env.get("PYENV_VERSION").map(str::to_owned),
        project: Some(common.project.dir.clone()),
        extra: ["/usr/local/bin", "/usr/bin"].map(PathBuf::from).to_vec(),
    }
}
