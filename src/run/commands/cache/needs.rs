//! What locks need of a cache.

use std::{
    collections::{BTreeSet, HashSet},
    path::{Path, PathBuf},
};

use crate::{
    packages::cache::{of_commit, of_project},
    project::lock::{EntryOrigin, Lock, parse_pylock},
    words::{
        env::Env,
        error::{Error, Kind, Result},
        files::read_regular,
        vocab::Sha256,
    },
};

/// More than any lock has, in bytes.
const LIMIT: u64 = 1 << 30;

/// The digests that stand for everything these locks can ever take from a cache, for every target: of files, of commits,
/// and of the names of projects. Whatever is derived from one of them is needed as well.
///
/// # Errors
/// [`Kind::Lock`] where a lock is missing or cannot be read: what it needs would go.
pub(super) fn needs(places: &[PathBuf], env: &Env) -> Result<HashSet<Sha256>> {
    let mut needs = HashSet::new();
    for place in places {
        let lock = read(place, env)?;
        for entry in lock.categories.iter().flat_map(|(_, entries)| entries) {
            needs.extend(&entry.hashes.sha256);
            needs.extend(entry.files.iter().filter_map(|file| file.sha256));
            match &entry.origin {
                EntryOrigin::Index => {}
                EntryOrigin::Vcs(vcs) => {
                    needs.extend(
                        vcs.reference.as_deref().map(|commit| of_commit(&commit.to_ascii_lowercase())),
                    );
                    needs.insert(of_project(entry.name.as_str()));
                }
                EntryOrigin::Url(_) | EntryOrigin::Path(_) => {
                    needs.insert(of_project(entry.name.as_str()));
                }
            }
        }
    }
    Ok(needs)
}

/// One digest of all that these locks need: the same for locks that differ in nothing else, such as the Pipfile's hash.
pub(super) fn digest(places: &[PathBuf], with: &[String], env: &Env) -> Result<Sha256> {
    let sorted: BTreeSet<Sha256> = needs(places, env)?.into_iter().collect();
    let mut text: Vec<String> = sorted.iter().map(ToString::to_string).collect();
    text.extend(with.iter().map(|with| format!("with {}:{with}", with.len())));
    Ok(Sha256::of(text.join("\n").as_bytes()))
}

/// The lock of a project's directory, or the one a path names.
fn read(place: &Path, env: &Env) -> Result<Lock> {
    let path = if place.is_dir() {
        let known = ["Pipfile.lock", "pylock.toml"].map(|name| place.join(name));
        known.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            Error::new(
                Kind::Lock,
                format!("{} has neither a Pipfile.lock nor a pylock.toml", place.display()),
            )
            .help("name a project's directory, or its lock")
        })?
    } else {
        place.to_owned()
    };
    let bytes = read_regular(&path, LIMIT).map_err(|error| {
        Error::io("cannot read", &path, error)
            .with_kind(Kind::Lock)
            .help("name a project's directory, or its lock")
    })?;
    let label = path.display().to_string();
    let is_pylock = path.extension().is_some_and(|end| end == "toml");
    let (lock, _) =
        if is_pylock { parse_pylock(&bytes, &label, env)? } else { Lock::parse(&bytes, &label, env)? };
    Ok(lock)
}
