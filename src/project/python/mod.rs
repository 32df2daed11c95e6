//! What an environment is made for: an interpreter, or a description of one.
//!
//! An interpreter is run once (`probe.py`), and its answer kept in the cache; everything after is pure.

mod answers;
mod describe;
mod find;
mod interpreter;
mod platform;
mod probe;
mod run;
mod site;
mod tags;
#[cfg(test)]
mod tests;
mod wanted;

use std::path::PathBuf;

pub(crate) use answers::Answers;
pub use describe::Description;
pub(crate) use find::SearchPaths;
pub use find::{InterpreterRequest, find};
pub(crate) use interpreter::Interpreter;
pub(crate) use platform::{Libc, Platform};
pub(crate) use run::isolated_command;
pub(crate) use site::Site;
pub(crate) use tags::{Mismatch, TagPart, Tags};
pub(crate) use wanted::Wanted;

use crate::words::vocab::{MarkerEnv, RelPath};

/// The interpreter an environment is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The base interpreter that `bin/python` links to: absolute, never one inside a virtual environment.
    pub executable: PathBuf,
    /// The directory `pyvenv.cfg` gives as `home` (where `executable` is).
    pub home: PathBuf,
    /// Marker values (PEP 508).
    pub markers: MarkerEnv,
    /// Compatibility tags, best first, as `packaging.tags.sys_tags()` orders them.
    pub tags: Tags,
    /// `(major, minor, micro)`.
    pub version: (u8, u8, u8),
    /// Whether the micro version was not given but assumed (a description such as `3.9`).
    pub assumed_micro: bool,
    /// `cpython`, `pypy`.
    pub implementation: String,
    /// A free-threaded CPython (its `site-packages` lies under `lib/python3.13t`).
    pub free_threaded: bool,
    /// `sys.implementation.cache_tag`, such as `cpython-311`.
    pub cache_tag: String,
    /// Where purelib and platlib go, such as `lib/python3.11/site-packages`.
    pub site_packages: RelPath,
    /// Where a distribution's headers go (its name follows), such as `include/site/python3.11`.
    pub include: RelPath,
    /// Whether a `lib64 -> lib` link is made (64-bit Linux, as `venv` does).
    pub lib64: bool,
    /// The words that described it (`--python-version`, `--platform`), where it is no interpreter that was run.
    pub described: Option<(String, String)>,
}

impl Target {
    /// The version as `pyvenv.cfg` gives it: `3.11.7`, or `3.11` where the micro version is not known.
    pub fn version_text(&self) -> String {
        let (major, minor, micro) = self.version;
        if self.assumed_micro { format!("{major}.{minor}") } else { format!("{major}.{minor}.{micro}") }
    }

    /// The names the interpreter has in `bin`, as `venv` makes them: the first is the link to
    /// [`Target::executable`], the others link to the first.
    pub fn bin_names(&self) -> Vec<String> {
        let (major, minor, _) = self.version;
        let mut names = vec!["python".to_owned(), format!("python{major}"), format!("python{major}.{minor}")];
        if self.free_threaded {
            names.push(format!("python{major}.{minor}t"));
        }
        if self.implementation == "pypy" {
            names.extend(["pypy".to_owned(), format!("pypy{major}"), format!("pypy{major}.{minor}")]);
        }
        names
    }

    /// How a person calls it: `CPython 3.13.0 (free-threaded)`.
    pub fn describe_shortly(&self) -> String {
        let kind = if self.free_threaded { " (free-threaded)" } else { "" };
        let version = if self.assumed_micro {
            self.markers.python_version.clone()
        } else {
            self.markers.python_full_version.clone()
        };
        format!("{} {version}{kind}", self.markers.platform_python_implementation)
    }
}
