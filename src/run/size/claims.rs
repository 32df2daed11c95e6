//! Which distribution a file of an environment belongs to.

use std::{
    collections::HashMap,
    path::{Component, Path},
};

use super::unreadable;
use crate::words::{error::Result, files::read_regular, vocab::PackageName};

/// More than any RECORD has, in bytes.
const LIMIT: u64 = 1 << 30;

/// Whose a file is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Owner {
    /// A distribution's.
    Distribution { name: String, version: String },
    /// The environment's own.
    Environment,
    /// No RECORD lists it.
    Nobody,
}

/// What RECORDs say.
pub(super) struct Claims {
    site: String,
    owners: Vec<Owner>,
    /// Positions in `owners` by path.
    by_path: HashMap<String, usize>,
    /// Positions in `owners` by `.dist-info` or `.egg-info` directory.
    by_dir: HashMap<String, usize>,
}

impl Claims {
    /// Reads the RECORD (recording installed projects) or `installed-files.txt` (setuptools) of each
    /// distribution; `paths` are all files, sorted.
    pub(super) fn read<'a>(venv: &Path, site: &str, paths: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut claims = Claims {
            site: format!("{site}/"),
            owners: Vec::new(),
            by_path: HashMap::new(),
            by_dir: HashMap::new(),
        };
        for path in paths {
            let Some(inner) = path.strip_prefix(&claims.site) else { continue };
            let (dir, file) = inner.split_once('/').unwrap_or((inner, ""));
            let Some((name, version)) = dist_name(dir) else { continue };
            let position = *claims.by_dir.entry(dir.to_owned()).or_insert_with(|| {
                claims.owners.push(Owner::Distribution { name, version });
                claims.owners.len() - 1
            });
            let base = match file {
                "RECORD" => site.to_owned(),
                "installed-files.txt" => format!("{site}/{dir}"),
                _ => continue,
            };
            let full = venv.join(path);
            let bytes = read_regular(&full, LIMIT).map_err(|e| unreadable(&full, e))?;
            claims.take(venv, &base, &bytes, position);
        }
        Ok(claims)
    }

    /// Takes the rows of a RECORD, or the lines of a list, whose paths are relative to `base`.
    fn take(&mut self, venv: &Path, base: &str, bytes: &[u8], position: usize) {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
        let mut row = csv::ByteRecord::new();
        while let Ok(true) = reader.read_byte_record(&mut row) {
            let path = String::from_utf8_lossy(row.get(0).unwrap_or_default());
            let path = path_clean::clean(venv.join(base).join(&*path));
            let Ok(inner) = path.strip_prefix(venv) else { continue };
            let is_inside = inner.components().all(|part| matches!(part, Component::Normal(_)));
            if let Some(inner) = inner.to_str().filter(|_| is_inside) {
                // `lib64` is a link to `lib`.
                let inner = inner
                    .strip_prefix("lib64/")
                    .map_or_else(|| inner.to_owned(), |rest| format!("lib/{rest}"));
                self.by_path.entry(inner).or_insert(position);
            }
        }
    }

    /// Whose the file at `path` is.
    pub(super) fn owner(&self, path: &str) -> Owner {
        let inner = path.strip_prefix(&self.site);
        let dir = inner.map(|inner| inner.split_once('/').map_or(inner, |(dir, _)| dir));
        let claimed = self.by_path.get(path);
        let claimed = claimed.or_else(|| dir.and_then(|dir| self.by_dir.get(dir)));
        let claimed = claimed.or_else(|| self.by_path.get(&source_of(path)?));
        match claimed {
            Some(&position) => self.owners[position].clone(),
            None if is_environments(path, inner) => Owner::Environment,
            None => Owner::Nobody,
        }
    }
}

/// Name and version of `NAME-VERSION.dist-info`, `NAME-VERSION-py3.9.egg-info`.
fn dist_name(dir: &str) -> Option<(String, String)> {
    let stem = dir.strip_suffix(".dist-info").or_else(|| dir.strip_suffix(".egg-info"))?;
    let mut parts = stem.split('-');
    let name = parts.next().filter(|name| !name.is_empty())?;
    let normalised = name.parse::<PackageName>().map_or_else(|_| name.to_owned(), |name| name.to_string());
    Some((normalised, parts.next().unwrap_or_default().to_owned()))
}

/// The source that Python compiled into this: `a/b.py` for `a/__pycache__/b.cpython-311.pyc`.
fn source_of(path: &str) -> Option<String> {
    let (dir, name) = path.strip_suffix(".pyc")?.rsplit_once('/')?;
    let stem = name.split('.').next()?;
    Some(format!("{}/{stem}.py", dir.strip_suffix("/__pycache__")?))
}

/// What `venv`, virtualenv and venvoy put into every environment.
fn is_environments(path: &str, inner: Option<&str>) -> bool {
    if let Some(inner) = inner {
        return matches!(inner, "_virtualenv.py" | "_virtualenv.pth" | "__pycache__");
    }
    let Some(name) = path.strip_prefix("bin/") else {
        return matches!(
            path,
            "pyvenv.cfg" | "venvoy.manifest" | "lib64" | ".gitignore" | "CACHEDIR.TAG" | ".lock" | ".project"
        );
    };
    let name = name.to_ascii_lowercase();
    let words = ["activate", "deactivate", "pydoc", "python", "pypy"];
    words.iter().any(|word| {
        name.strip_prefix(word).is_some_and(|rest| {
            rest.is_empty()
                || rest == "_this.py"
                || rest.starts_with(|c: char| c == '.' || c.is_ascii_digit())
        })
    })
}
