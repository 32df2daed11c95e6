//! Building a local project: a copy of its tree, with what lies beside it.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{
    Built,
    backend::Backend,
    beside::{self, Beside},
    decisive,
    environment::Environment,
    outcome::Strict,
    place::BuildDirectory,
    session::BuildSession,
    store::BuildStore,
    traces::BuildSite,
    tree::Tree,
};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::Sha256,
};

impl BuildSession<'_> {
    /// Builds a project's directory; an editable one's metadata and finder only.
    pub(super) fn directory(&mut self, path: &Path, editable: bool) -> Result<Built> {
        if !path.exists() {
            return Err(Error::new(Kind::Build, format!("{} does not exist", path.display()))
                .help("check the path in the lock, and that the project was copied to where venvoy runs"));
        }
        let tree = Tree::of(path, &Environment::for_git(self.context.env))?;
        let directory = tree.project_directory();
        if editable {
            return self.editable_directory(&tree, &directory);
        }
        let key = self.local_key("directory", &tree)?;
        if let Some(built) = self.kept(&key, Strict::Nothing)? {
            return Ok(built);
        }
        let place = self.claim(&key)?;
        if let Some(built) = self.kept(&key, Strict::Nothing)? {
            return Ok(built);
        }
        let beside = self.link_beside(&tree, &place)?;
        let project = tree.copy(beside.copy())?;
        let backend = Backend::of(&project)?;
        let wheel = self.hook_wheel(&project, place.path(), &backend, "build_wheel")?;
        self.note_beside(&tree, &beside)?;
        let key = self.local_key("directory", &tree)?;
        self.finish(&wheel, Some(&key), Strict::Nothing, &BuildSite::of(&place, self.context.target))
    }

    /// The key of what is built from a local project, with what the last build of it read beside it.
    pub(super) fn local_key(&self, how: &str, tree: &Tree) -> Result<String> {
        let used = used_beside(tree, self.context.store)?;
        let digest = local_digest(tree, tree.digest()?, &used, &Environment::for_git(self.context.env))?;
        Ok(self.key(&format!("{how} {digest}")))
    }

    /// The same for an editable project, of which not every file decides.
    pub(super) fn editable_key(&self, how: &str, tree: &Tree) -> Result<String> {
        let used = used_beside(tree, self.context.store)?;
        let own = decisive::digest(tree, self.context.store, self.context.env)?;
        let digest = local_digest(tree, own, &used, &Environment::for_git(self.context.env))?;
        Ok(self.key(&format!("{how} {digest}")))
    }

    /// Lays what is beside a local project beside its copy.
    pub(super) fn link_beside(&self, tree: &Tree, place: &BuildDirectory) -> Result<Beside> {
        let project_dir = self.context.project_dir.canonicalize().ok();
        let above: Vec<&Path> = tree.repository().into_iter().chain(project_dir.as_deref()).collect();
        Beside::link(tree.root(), &above, &place.path().join("tree"))
    }

    /// Remembers what the build read beside the project.
    pub(super) fn note_beside(&self, tree: &Tree, beside: &Beside) -> Result<()> {
        let used = beside.used();
        let paths: Vec<&str> = used.iter().filter_map(|path| path.to_str()).collect();
        if paths.len() < used.len() {
            return Err(Error::new(
                Kind::Build,
                format!("what the build reads beside {} has a name that is not UTF-8", tree.root().display()),
            ));
        }
        self.context.store.keep_note(&beside_note(tree), &json!(paths).to_string())
    }
}

/// What names the note of what builds of a project read beside it.
fn beside_note(tree: &Tree) -> String {
    Sha256::of(format!("beside {}", tree.project_directory().display()).as_bytes()).to_string()
}

/// What the last build of a project read beside it.
pub(super) fn used_beside(tree: &Tree, store: &dyn BuildStore) -> Result<Vec<PathBuf>> {
    // A damaged note is the same as none: the next build writes it anew.
    let note = store.note(&beside_note(tree))?;
    Ok(note.and_then(|note| serde_json::from_str(&note).ok()).unwrap_or_default())
}

/// The digest of a project's tree (`tree_digest`) and of what its build reads beside it.
pub(super) fn local_digest(
    tree: &Tree,
    tree_digest: Sha256,
    used: &[PathBuf],
    user: &Environment,
) -> Result<Sha256> {
    if used.is_empty() {
        return Ok(tree_digest);
    }
    let beside = beside::digest(tree.root(), used, user)?;
    Ok(Sha256::of(format!("{tree_digest} {beside}").as_bytes()))
}
