//! What a project says about how it is built: `[build-system]` of its `pyproject.toml` (PEP 517, 518).

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::words::error::{Error, Kind, Result};

/// How a project is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backend {
    /// What must be installed to import the backend (PEP 508 requirements).
    pub requires: Vec<String>,
    /// The object with the hooks: `module` or `module:object`.
    pub object: String,
    /// Directories of the project the backend is imported from; absolute, inside the project.
    pub path: Vec<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Pyproject {
    build_system: Option<BuildSystem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BuildSystem {
    requires: Option<Vec<String>>,
    build_backend: Option<String>,
    #[serde(default)]
    backend_path: Vec<String>,
}

impl Backend {
    /// What a project without `[build-system]` is built with, as pip does.
    fn legacy() -> Self {
        Backend {
            requires: vec!["setuptools >= 40.8.0".into(), "wheel".into()],
            object: "setuptools.build_meta:__legacy__".into(),
            path: Vec::new(),
        }
    }

    /// Reads the build system of the project in `directory`.
    ///
    /// Fails with [`Kind::Build`] when there is no project, when `pyproject.toml` is damaged, lacks
    /// `requires`, or when `backend-path` leads out of the project.
    pub(super) fn of(directory: &Path) -> Result<Self> {
        let file = directory.join("pyproject.toml");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                if directory.join("setup.py").is_file() {
                    return Ok(Backend::legacy());
                }
                return Err(Error::new(
                    Kind::Build,
                    "the directory holds neither a pyproject.toml nor a setup.py",
                )
                .help("check the path in the lock, and that the project was copied to where venvoy runs"));
            }
            Err(e) => return Err(Error::io("cannot read", &file, e)),
        };
        let wrong = |why: &str| Error::new(Kind::Build, format!("pyproject.toml: {why}"));
        // A byte order mark is what some editors put before the text; it says nothing.
        let pyproject: Pyproject = toml::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|e| wrong("[build-system] cannot be read").because(e))?;
        let Some(system) = pyproject.build_system else { return Ok(Backend::legacy()) };
        let requires = system.requires.ok_or_else(|| {
            wrong("[build-system] lacks `requires`").help("PEP 518 demands it: add it to the project")
        })?;
        for requirement in &requires {
            check_requirement(requirement)?;
        }
        let root = directory.canonicalize().map_err(|e| Error::io("cannot resolve", directory, e))?;
        let mut path = Vec::new();
        for entry in &system.backend_path {
            let escapes = || {
                wrong(&format!("backend-path {entry:?} leads out of the project"))
                    .help("PEP 517 forbids it: the backend must lie inside the project")
            };
            let resolved = root
                .join(entry)
                .canonicalize()
                .map_err(|e| wrong(&format!("backend-path {entry:?} does not exist")).because(e))?;
            if !resolved.starts_with(&root) {
                return Err(escapes());
            }
            path.push(resolved);
        }
        let (object, requires) = if let Some(object) = system.build_backend {
            (object, requires)
        } else {
            // `requires` without a backend: setuptools, which may be missing from the list.
            let mut requires = requires;
            if !requires.iter().any(|requirement| requirement.trim_start().starts_with("setuptools")) {
                requires.push("setuptools >= 40.8.0".into());
            }
            (Backend::legacy().object, requires)
        };
        let identifier =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
        let (module, attribute) = object.split_once(':').unwrap_or((&object, "x"));
        if !module.split('.').chain(attribute.split('.')).all(identifier) {
            return Err(wrong(&format!("build-backend {object:?} is no `module` or `module:object`")));
        }
        Ok(Backend { requires, object, path })
    }
}

/// A requirement is a line of a file pip reads: it must be no option and no second line.
pub(super) fn check_requirement(text: &str) -> Result<()> {
    if text.trim_start().starts_with('-') || text.contains(['\n', '\r', '\0']) || text.trim().is_empty() {
        return Err(Error::new(Kind::Build, format!("{text:?} is not a build requirement"))
            .help("expected a PEP 508 requirement such as \"setuptools >= 61\""));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(pyproject: &str) -> Result<Backend> {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join("inside")).expect("a directory");
        fs::write(directory.path().join("pyproject.toml"), pyproject).expect("written");
        Backend::of(directory.path())
    }

    #[test]
    fn a_project_without_a_build_system_is_built_by_setuptools() {
        assert_eq!(backend("[tool.black]\nline-length = 99\n").expect("a backend"), Backend::legacy());
        let requires_only = backend("[build-system]\nrequires = ['cython']\n").expect("a backend");
        assert_eq!(requires_only.requires, ["cython", "setuptools >= 40.8.0"]);
        assert_eq!(requires_only.object, Backend::legacy().object);
    }

    #[test]
    fn an_unusable_build_system_says_what_is_wrong() {
        let system = |rest: &str| format!("[build-system]\nrequires = ['a']\nbuild-backend = 'a.b'\n{rest}");
        for (text, why) in [
            (system("backend-path = ['..']"), "backend-path \"..\" leads out of the project"),
            (system("backend-path = ['/']"), "leads out of the project"),
            (system("backend-path = ['missing']"), "does not exist"),
            ("[build-system]\nbuild-backend = 'a'\n".into(), "lacks `requires`"),
            (
                "[build-system]\nrequires = ['--index-url=https://evil.example']\n".into(),
                "not a build requirement",
            ),
            ("[build-system]\nrequires = [\"a\\n--pre\"]\n".into(), "not a build requirement"),
            ("[build-system]\nrequires = []\nbuild-backend = 'a;b'\n".into(), "is no `module`"),
            ("[build-system\n".into(), "cannot be read"),
        ] {
            let error = backend(&text).expect_err(&text).report();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert_eq!(backend(&system("backend-path = ['inside']")).expect("a backend").path.len(), 1);
    }
}
