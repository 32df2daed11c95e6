//! `--with-python`: what an environment's extension modules are linked with, and the interpreter that loads them.

use crate::{
    artifact::interpreter::{Extension, Interpreter},
    packages::cache::{Cache, Keyed},
    project::python::Target,
    words::{error::Result, progress::Progress, vocab::Sha256},
};

/// A list of extension modules in the cache; `key` is of all that decides it.
pub(super) fn place<'c>(cache: &'c Cache, key: &Sha256) -> Keyed<'c> {
    cache.keyed("extensions", key)
}

/// The list that is kept there.
pub(super) fn kept(place: &Keyed<'_>) -> Option<Vec<Extension>> {
    serde_json::from_slice(&place.read_kept()?).ok()
}

/// Keeps a list there. A cache that cannot be written costs the next run the same again.
pub(super) fn keep(place: &Keyed<'_>, found: &[Extension]) {
    if let Ok(text) = serde_json::to_vec(found) {
        let _ = place.publish(&text);
    }
}

/// Finds the target's interpreter and all that it and these extension modules load; the user hears what is nowhere.
pub(super) fn interpreter(
    target: &Target,
    extensions: &[Extension],
    progress: &dyn Progress,
) -> Result<Interpreter> {
    let found = Interpreter::find(target, extensions)?;
    for (name, by) in &found.missing {
        progress.warn(&format!("{name} is nowhere on this machine, and {by} is linked with it"));
    }
    Ok(found)
}
