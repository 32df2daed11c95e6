//! Whether an environment holds what a lock says, seen from its distributions alone: cheap enough for every
//! `run`, and true for environments that others made.

use std::fmt;

use crate::{
    environment::{
        installed::Installed,
        manifest::{MANIFEST, text::Manifest},
    },
    project::lock::{Entry, EntryOrigin, Lock},
    run::{
        inputs,
        options::{Common, LockFile},
    },
    words::{error::Result, vocab::count},
};

/// How an environment stands to a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Freshness {
    /// The lock's categories that are installed.
    pub categories: Vec<String>,
    /// Packages of theirs that are missing or of another version, in words.
    pub differences: Vec<String>,
}

impl Freshness {
    /// Whether the environment is what the lock says.
    pub(crate) fn is_fresh(&self) -> bool {
        self.differences.is_empty()
    }
}

impl fmt::Display for Freshness {
    /// `six is missing, idna is 3.0, locked is ==3.1, and 2 more`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 2;
        let shown = self.differences.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
        f.write_str(&shown)?;
        match self.differences.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {} more", count(more, "package")),
        }
    }
}

/// Compares an environment with the project's lock; `None` where there is no lock, or none that can be read: that
/// is for `sync` to say.
///
/// # Errors
/// [`crate::words::error::Kind::Destination`] for an environment that cannot be read.
pub(crate) fn freshness(common: &Common, venv: &std::path::Path) -> Result<Option<Freshness>> {
    let Some(file @ LockFile::Pipenv(path)) = &common.project.lock else { return Ok(None) };
    let Ok(bytes) = inputs::read(path, "") else { return Ok(None) };
    let Ok(lock) = Lock::glance(&bytes, &inputs::label(file.path()), &common.env) else { return Ok(None) };
    Ok(Some(compared(&Installed::read(venv)?, &lock)))
}

/// The options that an environment was made with, as its manifest has them; none where another program made it.
pub(crate) fn made_with(venv: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(venv.join(MANIFEST)).unwrap_or_default();
    let made = Manifest::parse(&text).and_then(|manifest| manifest.made);
    made.and_then(|made| shlex::split(&made)).unwrap_or_default()
}

/// A category counts as installed where most of what only it brings is there; `default` also where nothing is.
fn compared(installed: &Installed, lock: &Lock) -> Freshness {
    // A project of one's own may be called something else by its own metadata.
    let applies = |entry: &&Entry| entry.origin == EntryOrigin::Index && entry.applies(&installed.markers);
    let is_there = |entry: &&Entry| installed.distributions.contains_key(&entry.name);
    let category = |name: &str| lock.categories.iter().find(|(category, _)| category == name);
    let default: Vec<&Entry> =
        category("default").map(|(_, entries)| entries.iter().filter(applies).collect()).unwrap_or_default();
    let mut counted: Vec<(&str, Vec<&Entry>)> = Vec::new();
    for (name, entries) in lock.categories.iter().filter(|(name, _)| name != "default") {
        let entries: Vec<&Entry> = entries.iter().filter(applies).collect();
        let own = |entry: &&&Entry| !default.iter().any(|other| other.name == entry.name);
        let all = entries.iter().filter(own).count();
        let there = entries.iter().filter(own).filter(|entry| is_there(entry)).count();
        if there * 2 > all {
            counted.push((name, entries));
        }
    }
    if counted.is_empty() || default.iter().any(is_there) {
        counted.insert(0, ("default", default));
    }
    let mut differences = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for entry in counted.iter().flat_map(|(_, entries)| entries) {
        if !seen.insert(&entry.name) {
            continue;
        }
        // Categories may lock different versions: any of them is one that some order of installing gives.
        let mut locked =
            counted.iter().flat_map(|(_, entries)| entries).filter(|other| other.name == entry.name);
        match installed.distributions.get(&entry.name) {
            None => differences.push(format!("{} is missing", entry.name)),
            Some(there) if !locked.any(|other| other.pin.accepts(&there.version, &there.written)) => {
                let (name, pin) = (&entry.name, &entry.pin);
                differences.push(format!("{name} is {}, locked is {pin}", there.written));
            }
            Some(_) => {}
        }
    }
    let categories = counted.iter().map(|(name, _)| (*name).to_owned()).collect();
    Freshness { categories, differences }
}
