//! `sync --with-python`: the interpreter beside an environment on disk.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{
    artifact::interpreter::{Extension, Interpreter, Linked},
    environment::layout::MANIFEST,
    packages::cache::{self, Cache},
    project::python::Target,
    run::options::{Options, OutputOptions},
    words::{
        error::{Error, Result},
        progress::Progress,
        vocab::Sha256,
    },
};

/// What the cache calls lists of extension modules.
const EXTENSIONS: &str = "extensions";

/// Brings the interpreter into the tree that the environment is in, with all that both load.
pub(super) fn interpreter(
    options: &Options,
    output: &OutputOptions,
    target: &Target,
    root: &Path,
    progress: &dyn Progress,
) -> Result<()> {
    let at = output.make.at.as_deref().unwrap_or(&output.place.venv);
    let extensions = extensions(options, &output.place.venv, at)?;
    let own: BTreeSet<&Path> = extensions.iter().map(|(path, _)| path.as_path()).collect();
    let found = Interpreter::find(target, &extensions, &|path| own.contains(path))?;
    for (name, by) in &found.missing {
        progress.warn(&format!("{name} is nowhere on this machine, and {by} is linked with it"));
    }
    if found.bring(root, output.make.mtime)? {
        progress.detail(&format!("brought {} into {}", target.describe_shortly(), root.display()));
    }
    Ok(())
}

/// What the environment's extension modules are linked with; read once for each environment.
fn extensions(options: &Options, venv: &Path, at: &Path) -> Result<Vec<Extension>> {
    let cache = Cache::open(&options.common.cache_dir, cache::Options::default());
    let manifest = venv.join(MANIFEST);
    let unreadable = |error| Error::io("cannot read", &manifest, error);
    let (written, _) = File::open(&manifest).and_then(|file| Sha256::of_file(&file)).map_err(unreadable)?;
    let key = Sha256::of(format!("extensions on disk 1\n{written}\n{}\n", at.display()).as_bytes());
    let place = cache.keyed(EXTENSIONS, &key);
    if let Some(kept) = place.read_kept().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return Ok(kept);
    }
    let mut found = Vec::new();
    look(venv, at, &mut found)?;
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    // A cache that cannot be written costs the next run the same again.
    if let Ok(text) = serde_json::to_vec(&found) {
        let _ = place.publish(&text);
    }
    Ok(found)
}

/// Reads what is linked below `dir`, which will be at `at`.
fn look(dir: &Path, at: &Path, found: &mut Vec<Extension>) -> Result<()> {
    let unreadable = |error| Error::io("cannot read", dir, error);
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, to): (PathBuf, PathBuf) = (entry.path(), at.join(entry.file_name()));
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            look(&path, &to, found)?;
        } else if kind.is_file() && entry.file_name().to_string_lossy().contains(".so") {
            let bytes = fs::read(&path).map_err(|error| Error::io("cannot read", &path, error))?;
            found.extend(Linked::of(&bytes).map(|linked| (to, linked)));
        }
    }
    Ok(())
}
