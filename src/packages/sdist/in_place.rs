//! Editable builds (PEP 660): of a project in its place, and of a checkout.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{
    Built, EditableInfo,
    backend::Backend,
    direct_url,
    normalise::Move,
    session::{Session, Strict},
    tree::Tree,
};
use crate::{
    packages::cache::VerifiedFile,
    words::error::{Error, Kind, Result},
};

impl Session<'_> {
    pub(super) fn editable_directory(&mut self, tree: &Tree, place: &Path) -> Result<Built> {
        let key = self.key(&format!("editable {} {}", place.display(), tree.digest()?));
        let found = self.kept(&key, Strict::Nothing)?;
        let mut built = if let Some(built) = found {
            built
        } else {
            let backend = Backend::of(place)?;
            // A hook of meson-python builds again on import, with the tools and the directory of this build.
            let lasting = backend.object.starts_with("mesonpy");
            let mut carried = false;
            let wheel = if lasting {
                let lasting = self.context.store.place(&key)?;
                fs::remove_dir_all(&lasting).map_err(|e| Error::io("cannot remove", &lasting, e))?;
                fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(&lasting)
                    .map_err(|e| Error::io("cannot create", &lasting, e))?;
                self.work = lasting.canonicalize().map_err(|e| Error::io("cannot resolve", &lasting, e))?;
                self.settings
                    .config
                    .entry("build-dir".into())
                    .or_insert_with(|| vec![self.work.join("build").display().to_string()]);
                self.hook_wheel(place, &backend, "build_editable")?
            } else {
                let copy = tree.copy(&self.work.join("source"))?;
                let wheel = self.editable_wheel(&copy, &backend)?;
                carried = self.carry(&copy, place, &tree.paths())?;
                wheel
            };
            let copy = self.work.join("source");
            let moved = (!lasting).then_some(Move { from: &copy, to: tree.root() });
            // What lies in the user's tree now is part of this installation: it is not found again by key.
            self.finish(&wheel, (!carried && !lasting).then_some(&key), Strict::Nothing, moved)?
        };
        built.direct_url = direct_url::editable(place);
        built.editable = Some(self.lead(&built.wheel)?);
        Ok(built)
    }

    fn lead(&mut self, wheel: &VerifiedFile) -> Result<EditableInfo> {
        let info = EditableInfo::of(wheel.path())?;
        if !info.relocatable {
            self.warnings.push(format!(
                "{} is editable through import hooks with absolute paths: it works in its place, but the environment cannot be moved with it (--no-editable installs a copy)",
                self.job.name
            ));
        }
        Ok(info)
    }

    /// Brings what an in-place build made for importing (extension modules, generated sources) to the
    /// project itself. Build directories and metadata stay behind.
    fn carry(&mut self, copy: &Path, place: &Path, before: &BTreeSet<PathBuf>) -> Result<bool> {
        let after = Tree::of_copy(copy)?;
        let mut carried = Vec::new();
        for path in after.paths() {
            let extension = path.extension().and_then(|extension| extension.to_str());
            if before.contains(&path) || !matches!(extension, Some("so" | "py" | "pyi")) {
                continue;
            }
            let to = place.join(&path);
            if extension != Some("so") && to.exists() {
                continue;
            }
            let temporary = to.with_extension("venvoy-new");
            fs::copy(copy.join(&path), &temporary)
                .and_then(|_| fs::rename(&temporary, &to))
                .map_err(|e| Error::io("cannot write", &to, e))?;
            carried.push(path.display().to_string());
        }
        if !carried.is_empty() {
            self.warnings.push(format!(
                "{} is editable, and its build made what importing it needs; written to {}: {}",
                self.job.name,
                place.display(),
                carried.join(", ")
            ));
        }
        Ok(!carried.is_empty())
    }

    /// Builds an editable wheel of a checkout that will live in `place`, and puts the checkout where the
    /// caller finds it.
    pub(super) fn editable_checkout(&mut self, top: &Path, project: &Path, place: &Path) -> Result<Built> {
        let backend = Backend::of(project)?;
        let wheel = self.editable_wheel(project, &backend)?;
        let mut built = self.finish(&wheel, None, Strict::Name, Some(Move { from: top, to: place }))?;
        let checkout = self.context.scratch.join(format!("checkout-{}", self.job.name));
        if checkout.exists() {
            fs::remove_dir_all(&checkout).map_err(|e| Error::io("cannot remove", &checkout, e))?;
        }
        fs::rename(top, &checkout).map_err(|e| Error::io("cannot move", top, e))?;
        built.editable = Some(self.lead(&built.wheel)?);
        built.checkout = Some(checkout);
        Ok(built)
    }

    /// An editable wheel, with a plain path in its `.pth` wherever that is enough to import the project:
    /// setuptools would use an import hook with absolute paths for all but the simplest layouts.
    fn editable_wheel(&mut self, project: &Path, backend: &Backend) -> Result<PathBuf> {
        if !backend.is_setuptools() || self.settings.config.contains_key("editable_mode") {
            return self.hook_wheel(project, backend, "build_editable");
        }
        self.settings.config.insert("editable_mode".into(), vec!["compat".into()]);
        let wheel = self.hook_wheel(project, backend, "build_editable");
        self.settings.config.remove("editable_mode");
        let wheel = wheel?;
        if importable(&wheel)? {
            return Ok(wheel);
        }
        self.hook_wheel(project, backend, "build_editable")
    }
}

/// Whether the top-level modules of an editable wheel lie where its `.pth` files lead.
fn importable(wheel: &Path) -> Result<bool> {
    use std::io::Read as _;
    let info = EditableInfo::of(wheel)?;
    let file = fs::File::open(wheel).map_err(|e| Error::io("cannot read", wheel, e))?;
    let broken = |e| Error::new(Kind::Integrity, "the built wheel is damaged").because(e);
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    let name = archive
        .file_names()
        .filter_map(|name| name.ok().map(std::borrow::Cow::into_owned))
        .find(|name| name.ends_with(".dist-info/top_level.txt"));
    let Some(name) = name else { return Ok(true) };
    let mut text = String::new();
    archive
        .by_name(&name)
        .map_err(broken)?
        .read_to_string(&mut text)
        .map_err(|e| Error::io("cannot read", wheel, e))?;
    let found = |module: &str| {
        info.paths.iter().any(|path| {
            path.join(module).is_dir()
                || path.join(format!("{module}.py")).is_file()
                || fs::read_dir(path).is_ok_and(|entries| {
                    let prefix = format!("{module}.");
                    entries.flatten().any(|entry| {
                        let name = entry.file_name();
                        let name = name.to_string_lossy();
                        name.starts_with(&prefix) && name.ends_with(".so")
                    })
                })
        })
    };
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).all(found))
}
