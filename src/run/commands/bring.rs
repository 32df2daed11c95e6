//! `sync --with-python`: the interpreter beside an environment on disk.

use std::{
    fs::{self, File},
    path::Path,
};

use super::extensions;
use crate::{
    artifact::interpreter::{Extension, Linked},
    environment::layout::MANIFEST,
    packages::cache::{self, Cache},
    project::python::Target,
    run::options::{Options, OutputOptions},
    words::{
        error::{Error, Result},
        files::below,
        progress::Progress,
        vocab::Sha256,
    },
};

/// Brings the interpreter into the tree that the environment is in, with all that both load.
pub(super) fn interpreter(
    options: &Options,
    output: &OutputOptions,
    target: &Target,
    root: &Path,
    progress: &dyn Progress,
) -> Result<()> {
    let at = output.make.at.as_deref().unwrap_or(&output.place.venv);
    let extensions = linked(options, &output.place.venv, at)?;
    let found = extensions::interpreter(target, &extensions, progress)?;
    if found.bring(root, output.make.mtime)? {
        progress.detail(&format!("brought {} into {}", target.describe_shortly(), root.display()));
    }
    Ok(())
}

/// What the environment's extension modules are linked with; read once for each environment.
fn linked(options: &Options, venv: &Path, at: &Path) -> Result<Vec<Extension>> {
    let cache = Cache::open(&options.common.cache_dir, cache::Options::default());
    let unreadable = |path: &Path, error| Error::io("cannot read", path, error);
    let manifest = venv.join(MANIFEST);
    let written = File::open(&manifest).and_then(|file| Sha256::of_file(&file));
    let (written, _) = written.map_err(|error| unreadable(&manifest, error))?;
    let key = Sha256::of(format!("extensions on disk 1\n{written}\n{}\n", at.display()).as_bytes());
    let place = extensions::place(&cache, &key);
    if let Some(kept) = extensions::kept(&place) {
        return Ok(kept);
    }
    let mut found = Vec::new();
    for entry in below(venv) {
        let entry = entry.map_err(|(path, error)| unreadable(&path, error))?;
        let path = entry.path();
        if entry.file_type().is_file() && entry.file_name().to_string_lossy().contains(".so") {
            let bytes = fs::read(path).map_err(|error| unreadable(path, error))?;
            let to = at.join(path.strip_prefix(venv).unwrap_or(path));
            found.extend(Linked::of(&bytes).map(|linked| (to, linked)));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    extensions::keep(&place, &found);
    Ok(found)
}
