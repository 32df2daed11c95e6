//! Finds the interpreter that is asked for.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{Answers, Target, Wanted, answers, probe::Probe, run};
use crate::words::error::{Error, Kind, Result};

/// Which interpreter is asked for, and where one may be.
#[derive(Debug, Clone, Default)]
pub struct InterpreterRequest {
    /// `--python`: a path (interpreter, environment or prefix), a version, a range or a command's name.
    pub python: Option<String>,
    /// The same forms from a variable, with its name: PIPENV_PYTHON or PIPENV_DEFAULT_PYTHON_VERSION.
    pub env_python: Option<(String, &'static str)>,
    /// What the lock requires.
    pub wanted: Option<Wanted>,
    /// Where to look.
    pub search: SearchPaths,
    /// Where answers of interpreters are kept; nothing is kept without.
    pub answers: Option<Arc<dyn Answers>>,
}

/// Where interpreters may be.
#[derive(Debug, Clone, Default)]
pub struct SearchPaths {
    /// The directories of PATH. Relative ones are passed over.
    pub path: Vec<PathBuf>,
    /// PYENV_ROOT or `~/.pyenv`.
    pub pyenv_root: Option<PathBuf>,
    /// PYENV_VERSION, which decides what pyenv's shims run, before `.python-version` files do.
    pub pyenv_version: Option<String>,
    /// Where the search for `.python-version` begins.
    pub project: Option<PathBuf>,
    /// Further directories, such as /usr/local/bin and /usr/bin.
    pub extra: Vec<PathBuf>,
}

/// The interpreter that `request` asks for: `--python`, then the environment variable, then what the
/// lock requires, then `python3` or `python` on PATH.
pub fn find(request: &InterpreterRequest) -> Result<Target> {
    find_within(request, run::TIME_LIMIT)
}

pub(super) fn find_within(request: &InterpreterRequest, limit: Duration) -> Result<Target> {
    let search = Search { request, limit, seen: HashSet::new(), looked_at: Vec::new() };
    let (asked, source) = match (&request.python, &request.env_python) {
        (Some(text), _) => (text.trim(), "--python"),
        (None, Some((text, variable))) => (text.trim(), *variable),
        (None, None) => ("", ""),
    };
    if asked.is_empty() {
        return match &request.wanted {
            Some(wanted) => search.version(wanted, "the lock requires it"),
            None => search.named(&["python3", "python"], "any Python", "on PATH"),
        };
    }
    if asked.contains('/') {
        return search
            .at(Path::new(asked))
            .map_err(|error| error.context(format!("{source} {asked} is unusable")));
    }
    match asked.parse::<Wanted>() {
        Ok(wanted) => search.version(&wanted, &format!("{source} asks for it")),
        Err(_) if asked.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            search.named(&[asked], asked, &format!("{source} asks for it"))
        }
        Err(error) => Err(error.context(format!("{source} {asked} is unusable"))),
    }
}

struct Search<'a> {
    request: &'a InterpreterRequest,
    limit: Duration,
    /// Real paths already asked.
    seen: HashSet<PathBuf>,
    /// What was asked and why it was not taken.
    looked_at: Vec<Error>,
}

impl Search<'_> {
    fn query(&self, path: &Path) -> Result<Probe> {
        answers::query(path, self.request.answers.as_deref(), self.limit)
    }

    /// The interpreter at a path, or in the environment or prefix there.
    fn at(&self, path: &Path) -> Result<Target> {
        let path = std::path::absolute(path).map_err(|error| Error::io("cannot resolve", path, error))?;
        let inside =
            ["bin/python3", "bin/python"].iter().map(|name| path.join(name)).find(|path| path.exists());
        let path = match inside {
            Some(inside) => inside,
            None if path.is_dir() => {
                let message = format!("{} is a directory without bin/python3 or bin/python", path.display());
                return Err(Error::new(Kind::Target, message));
            }
            None => path,
        };
        // What a shim runs may change while the shim does not, so its answer must not be kept.
        let path = self.behind_shim(&path).unwrap_or(path);
        target(&path, self.query(&path)?)
    }

    /// The first interpreter under one of `names`.
    fn named(mut self, names: &[&str], what: &str, why: &str) -> Result<Target> {
        for dir in self.directories() {
            for name in names {
                if let Some(target) = self.candidate(&dir.join(name), None) {
                    return Ok(target);
                }
            }
        }
        Err(self.nothing(what, why))
    }

    /// The first interpreter of a version.
    fn version(mut self, wanted: &Wanted, why: &str) -> Result<Target> {
        let on_path = self.request.search.path.clone();
        for dir in on_path.iter().filter(|dir| dir.is_absolute()) {
            if let Some(target) = self.directory(dir, wanted) {
                return Ok(target);
            }
        }
        for dir in self.pyenv_versions() {
            let Some(name) = dir.file_name().and_then(|name| name.to_str()) else { continue };
            let (number, free_threaded) = match name.strip_suffix('t') {
                Some(number) => (number, true),
                None => (name, false),
            };
            // The directory's name is the version: no need to run them all.
            if wanted.matches(number, free_threaded)
                && let Some(target) = self.candidate(&dir.join("bin/python"), Some(wanted))
            {
                return Ok(target);
            }
        }
        for dir in self.request.search.extra.clone() {
            if let Some(target) = self.directory(&dir, wanted) {
                return Ok(target);
            }
        }
        Err(self.nothing(&format!("Python {wanted}"), why))
    }

    fn directories(&self) -> Vec<PathBuf> {
        let search = &self.request.search;
        search.path.iter().chain(&search.extra).filter(|dir| dir.is_absolute()).cloned().collect()
    }

    /// The first interpreter in a directory that fits.
    fn directory(&mut self, dir: &Path, wanted: &Wanted) -> Option<Target> {
        let mut names = vec!["python3".to_owned(), "python".to_owned()];
        if let Some((major, minor)) = wanted.minor() {
            let free_threaded = matches!(wanted, Wanted::Components { free_threaded: true, .. });
            names.insert(0, format!("python{major}.{minor}{}", if free_threaded { "t" } else { "" }));
        } else {
            names.extend((7..=30).rev().map(|minor| format!("python3.{minor}")));
        }
        names.iter().find_map(|name| self.candidate(&dir.join(name), Some(wanted)))
    }

    /// The interpreter at `path` if there is one, it works and fits.
    fn candidate(&mut self, path: &Path, wanted: Option<&Wanted>) -> Option<Target> {
        let path = if self.is_shim(path) { self.behind_shim(path)? } else { path.to_owned() };
        let real = path.canonicalize().ok()?;
        if !real.is_file() || !self.seen.insert(real.clone()) {
            return None;
        }
        if let (Some(named), Some(asked)) = (version_in_name(&real), wanted.and_then(Wanted::minor))
            && named != asked
        {
            self.pass(&path, &format!("Python {}.{}", named.0, named.1));
            return None;
        }
        let found = self.query(&path).and_then(|probe| target(&path, probe));
        match found {
            Ok(target) => {
                let fits = wanted.is_none_or(|wanted| {
                    wanted.matches(&target.markers.python_full_version, target.free_threaded)
                });
                if fits {
                    return Some(target);
                }
                self.pass(&path, &target.describe_shortly());
            }
            Err(error) => self.looked_at.push(error),
        }
        None
    }

    fn pass(&mut self, path: &Path, what: &str) {
        self.looked_at.push(Error::new(Kind::Target, format!("{} is {what}", path.display())));
    }

    fn nothing(self, what: &str, why: &str) -> Error {
        let search = &self.request.search;
        let pyenv = search.pyenv_root.iter().map(|root| root.join("versions"));
        let mut places: Vec<String> = Vec::new();
        for dir in self.directories().into_iter().chain(pyenv) {
            let place = dir.display().to_string();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let found = if self.looked_at.is_empty() { "; there is no Python in any of them" } else { "" };
        let message = format!("{what} was not found ({why}); looked in {}{found}", places.join(", "));
        Error::all(Kind::Target, message, self.looked_at)
            .help("install that version, or choose an interpreter with --python PATH")
    }

    /// pyenv's versions, highest first.
    fn pyenv_versions(&self) -> Vec<PathBuf> {
        let Some(root) = &self.request.search.pyenv_root else { return Vec::new() };
        let Ok(entries) = fs::read_dir(root.join("versions")) else { return Vec::new() };
        let mut versions: Vec<(Vec<u32>, bool, PathBuf)> = entries
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let name = path.file_name()?.to_str()?;
                let number = name.strip_suffix('t').unwrap_or(name);
                let release =
                    number.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>()?;
                Some((release, name == number, path))
            })
            .collect();
        versions.sort();
        versions.into_iter().rev().map(|(_, _, path)| path).collect()
    }

    fn is_shim(&self, path: &Path) -> bool {
        let shims = self.request.search.pyenv_root.as_ref().map(|root| root.join("shims"));
        shims.is_some_and(|shims| path.parent() == Some(&shims)) && path.exists()
    }

    /// What a pyenv shim runs, without running it: PYENV_VERSION, the nearest `.python-version`, then
    /// the global version.
    fn behind_shim(&self, path: &Path) -> Option<PathBuf> {
        if !self.is_shim(path) {
            return None;
        }
        let search = &self.request.search;
        let root = search.pyenv_root.as_ref()?;
        let near = search.project.iter().flat_map(|project| project.ancestors());
        let files = near.map(|dir| dir.join(".python-version")).chain([root.join("version")]);
        let chosen = match &search.pyenv_version {
            Some(version) => version.replace(':', " "),
            None => files.into_iter().find_map(|file| fs::read_to_string(file).ok())?,
        };
        let name = path.file_name()?;
        for version in chosen.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace) {
            // A name that could lead out of the versions' directory is none.
            if version == "system" || version.contains('/') || version.starts_with('.') {
                continue;
            }
            let exact = root.join("versions").join(version);
            let prefixed = self.pyenv_versions().into_iter().find(|dir| {
                let rest = dir
                    .file_name()
                    .and_then(|name| name.to_str())
                    .and_then(|name| name.strip_prefix(version));
                rest.is_some_and(|rest| rest.starts_with('.'))
            });
            let found = [Some(exact), prefixed].into_iter().flatten().map(|dir| dir.join("bin").join(name));
            if let Some(found) = found.into_iter().find(|path| path.exists()) {
                return Some(found);
            }
        }
        None
    }
}

/// `(3, 11)` for a file named `python3.11`.
fn version_in_name(path: &Path) -> Option<(u8, u8)> {
    let (major, minor) = path.file_name()?.to_str()?.strip_prefix("python")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The target of an interpreter that was found at `path`: its base interpreter if it is one of a
/// virtual environment, and under its most telling name either way, so that it does not matter how it
/// was found.
fn target(path: &Path, probe: Probe) -> Result<Target> {
    let executable = if probe.executable.is_absolute() { probe.executable.clone() } else { path.to_owned() };
    let dir = executable.parent().unwrap_or(Path::new("/"));
    let in_venv = [Some(dir), dir.parent()].into_iter().flatten().any(|dir| dir.join("pyvenv.cfg").is_file());
    let (major, minor, _) = probe.version;
    let mut names = Vec::new();
    if probe.markers.implementation_name == "pypy" {
        names.extend([format!("pypy{major}.{minor}"), format!("pypy{major}")]);
    }
    if probe.free_threaded {
        names.push(format!("python{major}.{minor}t"));
    }
    names.extend([format!("python{major}.{minor}"), format!("python{major}"), "python".to_owned()]);
    let real = executable.canonicalize().ok();
    let base_bin = probe.base_prefix.join("bin");
    let mut dirs = vec![base_bin.as_path()];
    if !in_venv {
        dirs.push(dir);
    }
    let candidates = || dirs.iter().flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    let same = candidates().find(|path| real.is_some() && path.canonicalize().ok() == real);
    let base = match same {
        Some(same) => same,
        None if !in_venv => executable,
        // An environment made with copies: its interpreter is no link to the base's.
        None => candidates().find(|path| path.is_file()).ok_or_else(|| {
            let message = format!(
                "{} belongs to a virtual environment whose base interpreter is not in {}",
                path.display(),
                base_bin.display()
            );
            Error::new(Kind::Target, message).help("name the base interpreter with --python PATH")
        })?,
    };
    probe.into_target(base)
}
