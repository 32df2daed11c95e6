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
    checkout::{into_place, move_all},
    decisive::{self, Watch},
    direct_url,
    isolated::HOME,
    outcome::Strict,
    session::BuildSession,
    traces::{BuildSite, Move},
    tree::Tree,
};
use crate::{
    packages::cache::VerifiedFile,
    words::error::{Error, Result},
};

impl BuildSession<'_> {
    pub(super) fn editable_directory(&mut self, tree: &Tree, place: &Path) -> Result<Built> {
        let how = format!("editable {}", place.display());
        let key = self.editable_key(&how, tree)?;
        let backend = Backend::of(place)?;
        // A hook of meson-python builds again on import, with the tools and the directory of this build.
        let lasting = backend.object.starts_with("mesonpy");
        let found = self.kept(&key, Strict::Nothing)?;
        let mut built = if let Some(built) = found {
            built
        } else if lasting {
            self.lasting_directory(&key, place, &backend)?
        } else {
            self.copied_directory(&how, &key, tree, place, &backend)?
        };
        built.direct_url = direct_url::editable(place);
        built.editable = Some(self.lead(&built.wheel, !lasting)?);
        Ok(built)
    }

    /// Builds in the project itself, in an environment and with a build directory that stay.
    fn lasting_directory(&mut self, key: &str, place: &Path, backend: &Backend) -> Result<Built> {
        let lasting = self.context.store.place(key)?;
        fs::remove_dir_all(&lasting).map_err(|e| Error::io("cannot remove", &lasting, e))?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&lasting)
            .map_err(|e| Error::io("cannot create", &lasting, e))?;
        let work = lasting.canonicalize().map_err(|e| Error::io("cannot resolve", &lasting, e))?;
        self.settings
            .config
            .entry("build-dir".into())
            .or_insert_with(|| vec![work.join("build").display().to_string()]);
        let wheel = self.hook_wheel(place, &work, backend, "build_editable")?;
        let origin = BuildSite::new(&work, true, work.join(HOME).join("bin/python"));
        self.finish(&wheel, None, Strict::Nothing, &origin)
    }

    /// Builds in a copy, and has the result lead to the project itself.
    fn copied_directory(
        &mut self,
        how: &str,
        key: &str,
        tree: &Tree,
        place: &Path,
        backend: &Backend,
    ) -> Result<Built> {
        let build = self.claim(key)?;
        let beside = self.link_beside(tree, &build)?;
        let copy = tree.copy(beside.copy())?;
        let watch = Watch::begin(&copy, tree);
        let wheel = self.hook_wheel(&copy, build.path(), backend, "build_editable")?;
        let shown = watch.end(&wheel, place)?;
        let carried = self.carry(&copy, place, &tree.paths())?;
        self.note_beside(tree, &beside)?;
        // What the build made in the project itself may depend on any of its files.
        decisive::note(place, shown.filter(|_| !carried).as_ref(), self.context.store)?;
        let key = self.editable_key(how, tree)?;
        let mut origin = BuildSite::of(&build, self.context.target);
        origin.moved = beside.moved();
        // What lies in the user's tree now is part of this installation: it is not found again by key.
        self.finish(&wheel, (!carried).then_some(&key), Strict::Nothing, &origin)
    }

    /// `movable`: whether what the build left is needed only where the wheel leads.
    fn lead(&mut self, wheel: &VerifiedFile, movable: bool) -> Result<EditableInfo> {
        let mut info = EditableInfo::of(wheel.path())?;
        info.relocatable &= movable;
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
    pub(super) fn editable_checkout(
        &mut self,
        top: &Path,
        project: &Path,
        key: &str,
        place: &Path,
    ) -> Result<Built> {
        let build = self.claim(key)?;
        let (source, project) = into_place(top, project, &build)?;
        let backend = Backend::of(&project)?;
        let wheel = self.hook_wheel(&project, build.path(), &backend, "build_editable")?;
        let mut origin = BuildSite::of(&build, self.context.target);
        origin.moved = vec![Move { from: source.clone(), to: place.to_path_buf() }];
        let mut built = self.finish(&wheel, None, Strict::Name, &origin)?;
        let checkout = self.context.scratch.join(format!("checkout-{}", self.job.name));
        if checkout.exists() {
            fs::remove_dir_all(&checkout).map_err(|e| Error::io("cannot remove", &checkout, e))?;
        }
        move_all(&source, &checkout)?;
        built.editable = Some(self.lead(&built.wheel, !backend.object.starts_with("mesonpy"))?);
        built.checkout = Some(checkout);
        Ok(built)
    }
}
