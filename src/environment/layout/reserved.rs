//! Paths of the environment itself, which no distribution may bring: whoever controls `bin/python` or
//! an activator controls every later command.

use std::collections::HashSet;

use super::EnvFiles;
use crate::{project::python::Target, words::vocab::RelPath};

/// The manifest's name at the top of an environment: `write` lists there what it wrote.
pub(crate) const MANIFEST: &str = "venvoy.manifest";
/// The file that says how a change that is under way goes on.
pub(crate) const JOURNAL: &str = "venvoy.journal";

/// What the directory begins with in which `write` makes an environment in its place.
const STAGING: &str = ".venvoy-";

/// The paths that are the environment's own, compared without regard to letter case: it may be copied
/// to a file system that knows none.
pub(super) struct Reserved {
    /// In lower case.
    folded: HashSet<String>,
    /// Those in site-packages, as they are.
    exact: HashSet<String>,
    site_packages: String,
}

impl Reserved {
    pub(super) fn new(env: &EnvFiles, target: &Target) -> Self {
        let files = env.files.iter().map(|file| &file.path);
        let links = env.links.iter().map(|link| &link.path);
        let own: Vec<&str> = files.chain(links).map(RelPath::as_str).collect();
        let lib64 = target.lib64.then(|| "lib64".to_owned());
        let site_packages = format!("{}/", target.site_packages);
        Reserved {
            folded: own.iter().map(|path| path.to_lowercase()).chain(lib64).collect(),
            exact: own
                .iter()
                .filter(|path| path.starts_with(&site_packages))
                .map(|path| (*path).to_owned())
                .collect(),
            site_packages,
        }
    }

    /// Whether a distribution may not bring a file of this path, or one below such a path.
    pub(super) fn forbids(&self, path: &RelPath) -> bool {
        // Nearly every file is in site-packages, where only a path of exactly the same name is reserved.
        if let Some(inner) = path.as_str().strip_prefix(&self.site_packages) {
            // Where the packages of an interpreter are, venvoy's notes of them are, too.
            let is_ours = inner == MANIFEST || inner == JOURNAL || inner.starts_with(STAGING);
            return is_ours || self.exact.contains(path.as_str());
        }
        let path = path.as_str().to_lowercase();
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.into_iter().any(|end| self.folded.contains(&path[..end]) || is_always_reserved(&path[..end]))
    }
}

/// What every environment has, or another tool may put there. Only whole names: packages do bring
/// `bin/activate-global-python-argcomplete` and the like.
fn is_always_reserved(path: &str) -> bool {
    if path == "pyvenv.cfg" || path == MANIFEST || path == JOURNAL || path.starts_with(STAGING) {
        return true;
    }
    let Some(name) = path.strip_prefix("bin/").or_else(|| path.strip_prefix("scripts/")) else {
        return false;
    };
    let stem = name.strip_suffix(".exe").unwrap_or(name);
    // python, python3, python3.13t, pythonw
    let interpreter = stem.strip_prefix("python").is_some_and(|rest| {
        rest.trim_end_matches(['t', 'w', 'd']).bytes().all(|c| c.is_ascii_digit() || c == b'.')
    });
    let activator = ["activate", "deactivate"]
        .iter()
        .filter_map(|prefix| stem.strip_prefix(prefix))
        .any(|rest| rest.is_empty() || rest.starts_with('.') || rest == "_this.py");
    interpreter || activator
}
