//! `why`: what brought a package here.

use std::{collections::BTreeMap, path::Path};

use serde::Serialize;

use super::{
    graph::{Graph, Tree},
    run::pipfile,
};
use crate::{
    environment::installed::Installed,
    project::lock::{Lock, Pipfile},
    run::{
        inputs,
        options::{Common, LockFile},
    },
    words::{
        error::{Error, Kind, Result},
        vocab::{Extra, PackageName},
    },
};

/// What there is to say of a package.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Why {
    /// Its normalised name.
    pub name: String,
    /// The version in the environment.
    pub installed: Option<String>,
    /// The categories that lock it, with the version.
    pub locked: Vec<(String, String)>,
    /// The categories of the Pipfile that name it.
    pub listed: Vec<String>,
    /// Who requires it in the environment.
    pub required_by: Vec<Requirer>,
}

/// A distribution that requires another.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Requirer {
    /// Its name as its makers write it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The versions of the other that it takes.
    pub specifier: String,
    /// The categories of the Pipfile that name it.
    pub listed: Vec<String>,
    /// Who requires it in turn.
    pub required_by: Vec<Requirer>,
}

/// Says why a package is in the environment, or in the lock.
///
/// # Errors
/// [`Kind::Lock`] for a package that is in neither, and for a name that is none.
pub(crate) fn why(common: &Common, venv: &Path, package: &str) -> Result<Why> {
    let name: PackageName = package.parse().map_err(|e: Error| e.with_kind(Kind::Usage))?;
    let lock = lock(common)?;
    let listed = listed(common)?;
    let graph =
        if Installed::is_at(venv) { Graph::read(venv, extras(lock.as_ref()))? } else { Graph::default() };
    let locked: Vec<(String, String)> = lock
        .iter()
        .flat_map(|lock| &lock.categories)
        .flat_map(|(category, entries)| entries.iter().map(move |entry| (category, entry)))
        .filter(|(_, entry)| entry.name == name)
        .map(|(category, entry)| (category.clone(), entry.pin.to_string()))
        .collect();
    let installed = graph.version(&name).map(str::to_owned);
    if installed.is_none() && locked.is_empty() {
        return Err(Error::new(
            Kind::Lock,
            format!("{name} is neither in {} nor in the lock", venv.display()),
        )
        .help("`venvoy graph` shows what is there, `venvoy plan` what is locked"));
    }
    let of = |name: &str| listed.get(name).cloned().unwrap_or_default();
    Ok(Why {
        installed,
        locked,
        listed: of(name.as_str()),
        required_by: requirers(graph.above(&name).dependencies, &of),
        name: name.to_string(),
    })
}

fn requirers(trees: Vec<Tree>, of: &dyn Fn(&str) -> Vec<String>) -> Vec<Requirer> {
    let one = |tree: Tree| Requirer {
        listed: of(&tree.key),
        name: tree.package_name,
        version: tree.installed_version.unwrap_or_default(),
        specifier: if tree.required_version == "Any" { String::new() } else { tree.required_version },
        required_by: requirers(tree.dependencies, of),
    };
    trees.into_iter().map(one).collect()
}

/// The project's lock, where there is a `Pipfile.lock`.
fn lock(common: &Common) -> Result<Option<Lock>> {
    let Some(LockFile::Pipenv(path)) = &common.project.lock else { return Ok(None) };
    let bytes = inputs::read(path, "correct its permissions")?;
    Lock::glance(&bytes, &inputs::label(path), &common.env).map(Some)
}

/// The extras that the project's lock asks for.
///
/// # Errors
/// [`Kind::Lock`] for a lock that cannot be read.
pub(crate) fn asked_extras(common: &Common) -> Result<BTreeMap<PackageName, Vec<Extra>>> {
    Ok(extras(lock(common)?.as_ref()))
}

fn extras(lock: Option<&Lock>) -> BTreeMap<PackageName, Vec<Extra>> {
    let entries = lock.into_iter().flat_map(|lock| &lock.categories).flat_map(|(_, entries)| entries);
    let mut extras: BTreeMap<PackageName, Vec<Extra>> = BTreeMap::new();
    for entry in entries {
        extras.entry(entry.name.clone()).or_default().extend(entry.extras.iter().cloned());
    }
    extras
}

/// The packages that the Pipfile names, by normalised name, with its categories that do.
fn listed(common: &Common) -> Result<BTreeMap<String, Vec<String>>> {
    let mut listed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (category, package) in pipfile(common)?.iter().flat_map(Pipfile::listed) {
        let name =
            package.parse::<PackageName>().map_or_else(|_| package.to_owned(), |name| name.to_string());
        listed.entry(name).or_default().push(category.to_owned());
    }
    Ok(listed)
}

impl Why {
    /// The answer as lines.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut head = self.name.clone();
        match &self.installed {
            Some(version) => head.extend([" ", version.as_str()]),
            None => head.push_str(": not installed"),
        }
        for (category, pin) in &self.locked {
            head.extend([", locked in ", category.as_str(), " (", pin.as_str(), ")"]);
        }
        if self.locked.is_empty() {
            head.push_str(", not locked");
        }
        head.push_str(&named(&self.listed));
        let mut lines = vec![head];
        branches(&self.required_by, "", &mut lines);
        if self.installed.is_some() && self.required_by.is_empty() && self.listed.is_empty() {
            lines.push("nothing that is installed requires it, and the Pipfile does not name it".to_owned());
        }
        lines
    }
}

fn named(listed: &[String]) -> String {
    listed.iter().flat_map(|category| [", in the Pipfile's [", category.as_str(), "]"]).collect()
}

fn branches(requirers: &[Requirer], indent: &str, lines: &mut Vec<String>) {
    for (position, one) in requirers.iter().enumerate() {
        let last = position + 1 == requirers.len();
        let (branch, deeper) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let versions =
            if one.specifier.is_empty() { "any version".to_owned() } else { one.specifier.clone() };
        lines.push(format!(
            "{indent}{branch}{} {} requires it ({versions}){}",
            one.name,
            one.version,
            named(&one.listed)
        ));
        branches(&one.required_by, &format!("{indent}{deeper}"), lines);
    }
}
