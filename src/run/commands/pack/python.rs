//! `--with-python`: the interpreter in a layer of its own, below all others.

use std::path::{Path, PathBuf};

use super::{
    super::extensions,
    layers::{Layered, Packing},
};
use crate::{
    artifact::{
        interpreter::{Extension, Interpreter, Linked},
        pack::{
            archive::FORMAT,
            copied::Copied,
            image::Layer,
            pieces::{Pieces, Wheels},
            spool::Spool,
            store::{self, Record},
        },
        sbom::{Component, Ecosystem, Licence},
    },
    packages::cache::Keyed,
    words::{
        error::{Error, Result},
        vocab::Sha256,
    },
};

/// What the cache calls interpreters' layers.
const INTERPRETERS: &str = "interpreters";

impl Packing<'_> {
    /// What the extension modules of an environment are linked with, if that was found out before; nothing where nobody
    /// asks.
    pub(super) fn kept_extensions(&self, plan: Sha256) -> Option<Vec<Extension>> {
        if !self.run.pack.with_python {
            return Some(Vec::new());
        }
        extensions::kept(&self.extensions_place(plan))
    }

    fn extensions_place(&self, plan: Sha256) -> Keyed<'_> {
        let key = Sha256::of(format!("extensions 1\n{plan}\n{}\n", self.run.place).as_bytes());
        extensions::place(self.run.cache, &key)
    }

    /// What its extension modules and libraries are linked with, kept for later runs.
    pub(super) fn extensions(&self, pieces: &Pieces<'_>, plan: Sha256) -> Result<Vec<Extension>> {
        if !self.run.pack.with_python {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for (file, piece) in pieces.plan.files.iter().zip(&pieces.files) {
            if !file.path.as_str().contains(".so") {
                continue;
            }
            let mut bytes = Vec::new();
            piece.inflate(pieces.wheels(), &mut |part| {
                bytes.extend_from_slice(part);
                Ok(())
            })?;
            if let Some(linked) = Linked::of(&bytes) {
                found.push((PathBuf::from(format!("/{}/{}", self.run.place, file.path)), linked));
            }
        }
        extensions::keep(&self.extensions_place(plan), &found);
        Ok(found)
    }

    /// Finds the interpreter and all that is loaded.
    pub(super) fn find_interpreter(&self, extensions: &[Extension]) -> Result<Interpreter> {
        extensions::interpreter(self.target, extensions, self.run.progress)
    }

    /// Adds the interpreter's layer, and what it took from the system to what is inside.
    pub(super) fn bring(&self, mut layered: Layered, extensions: &[Extension]) -> Result<Layered> {
        if !self.run.pack.with_python {
            return Ok(layered);
        }
        let found = self.find_interpreter(extensions)?;
        if let Some(layers) = &mut layered.layers {
            layers.insert(0, self.interpreter_layer(&found)?);
        }
        if !self.run.pack.sboms.is_empty() {
            for path in &found.system {
                layered.components.push(self.component(path)?);
            }
        }
        Ok(layered)
    }

    fn interpreter_layer(&self, found: &Interpreter) -> Result<Layer> {
        let (cache, members) = (self.run.cache, self.run.pack.members);
        let text = format!("interpreter {FORMAT}\n{}\n{:?}\n", found.key(), self.run.common);
        let place = cache.keyed(INTERPRETERS, &members.key(Sha256::of(text.as_bytes())));
        let kept = place.read_kept().and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        if let Some(layer) = kept.and_then(|record| record.layer(cache)) {
            return Ok(layer);
        }
        let temporary = cache.temporary()?;
        let copied = read_interpreter(found, temporary.path())?;
        let holds = format!("{} and what it loads", self.target.describe_shortly());
        let (layer, record) =
            store::layer(cache, &copied.items(), Wheels::default(), self.run.common, members, holds)?;
        if let Ok(text) = serde_json::to_vec(&record) {
            let _ = place.publish(&text);
        }
        Ok(layer)
    }

    fn component(&self, path: &Path) -> Result<Component> {
        let unreadable = |error| Error::io("cannot read", path, error);
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let (sha256, _) = Sha256::of_file(&file).map_err(unreadable)?;
        let is_python = path.file_name() == self.target.executable.file_name();
        Ok(Component {
            name: path.display().to_string(),
            version: is_python.then(|| self.target.version_text()),
            sha256: sha256.to_string(),
            file: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            licence: Licence::Unknown,
            requires: Vec::new(),
            distribution: false,
            ecosystem: Ecosystem::Pypi,
        })
    }
}

/// Reads an interpreter's files, with what cannot be held in a directory.
pub(super) fn read_interpreter(found: &Interpreter, dir: &Path) -> Result<Copied> {
    let spool = Spool::new(dir).map_err(|e| Error::io("cannot make a temporary file in", dir, e))?;
    Copied::interpreter(found, &spool, dir)
}
