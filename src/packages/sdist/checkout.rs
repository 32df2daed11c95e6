//! Building what a repository holds at a revision.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{
    Built, Context, direct_url, outcome::Strict, place::BuildDirectory, process::Runner,
    session::BuildSession, store::copy_all, tree::needs_history, vcs::Remote,
};
use crate::{
    project::lock::Vcs,
    words::{
        error::{Error, Kind, Result, Warnings},
        vocab::Sha256,
    },
};

impl BuildSession<'_> {
    /// Checks a repository out and builds it; an editable one stays in the given directory.
    pub(super) fn repository(&mut self, vcs: &Vcs, editable: Option<&Path>) -> Result<Built> {
        let private = self.work.join("vcs");
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&private)
            .map_err(|e| Error::io("cannot create", &private, e))?;
        let context = self.context;
        let mut warnings = Warnings::default();
        let (mut built, commit, url) = {
            let deadline = Runner {
                deadline: self.runner.deadline,
                timeout: self.runner.timeout,
                interrupted: self.runner.interrupted,
                progress: self.runner.progress,
                log: self.runner.log.clone(),
                secrets: self.runner.secrets.clone(),
                guard: self.runner.guard,
            };
            let remote = Remote::new(vcs, context, &deadline, &private)?;
            let known = remote.commit(&mut warnings)?;
            let url = remote.shown();
            let inside = vcs.subdirectory.as_ref().map_or(String::new(), ToString::to_string);
            let source = |commit: &str| format!("{} {url} {commit} {inside}", direct_url::program(vcs.kind));
            let kept = match (&known, editable) {
                (Some(commit), None) => self.kept(&self.key(&source(commit)), Strict::Name)?,
                _ => None,
            };
            let (built, commit) = if let (Some(built), Some(commit)) = (kept, known.clone()) {
                (built, commit)
            } else {
                let top = self.work.join("source");
                let commit =
                    fetch(&remote, context, known.as_deref(), &url, inside.as_str(), &top, &mut warnings)?;
                let project = subdirectory(&top, vcs)?;
                // A revision that only the fetch could tell may have been built before.
                let key = self.key(&source(&commit));
                let built = if let Some(place) = editable {
                    self.editable_checkout(&top, &project, &key, place)?
                } else if let Some(built) = self.kept(&key, Strict::Name)? {
                    built
                } else {
                    let place = self.claim(&key)?;
                    let (_, project) = into_place(&top, &project, &place)?;
                    self.build_and_keep(&project, &place, &key, Strict::Name)?
                };
                (built, commit)
            };
            (built, commit, remote.recorded())
        };
        built.warnings.extend(warnings);
        built.direct_url = Some(self.without_secrets(&direct_url::vcs(vcs, &url, &commit)));
        built.commit = Some(commit);
        Ok(built)
    }
}

/// Brings a checkout and the project in it to where it is built; gives where they are then.
pub(super) fn into_place(top: &Path, project: &Path, place: &BuildDirectory) -> Result<(PathBuf, PathBuf)> {
    let source = place.path().join("source");
    move_all(top, &source)?;
    let inside = project.strip_prefix(top).unwrap_or(Path::new(""));
    // An empty component would leave a slash at the end.
    let project = inside.iter().fold(source.clone(), |path, part| path.join(part));
    Ok((source, project))
}

/// Moves a directory to where nothing is yet, also to another file system.
pub(super) fn move_all(from: &Path, to: &Path) -> Result<()> {
    match fs::rename(from, to) {
        Err(e) if e.kind() == std::io::ErrorKind::CrossesDevices => {
            fs::create_dir(to).map_err(|e| Error::io("cannot create", to, e))?;
            copy_all(from, to)
        }
        moved => moved.map_err(|e| Error::io("cannot move", from, e)),
    }
}

/// Puts a repository's tree into `top`, from the store when it was there before, and gives its commit.
fn fetch(
    remote: &Remote,
    context: &Context,
    known: Option<&str>,
    url: &str,
    inside: &str,
    top: &Path,
    warnings: &mut Warnings,
) -> Result<String> {
    let key = |commit: &str| Sha256::of(format!("tree {url} {commit}").as_bytes()).to_string();
    if let Some(commit) = known
        && let Some(kept) = context.store.tree(&key(commit))?
    {
        fs::create_dir(top).map_err(|e| Error::io("cannot create", top, e))?;
        copy_all(&kept, top)?;
        return Ok(commit.to_owned());
    }
    let mut commit = remote.check_out(known, top, false, warnings)?;
    if needs_history(&top.join(inside)) && top.join(".git").is_dir() {
        // Only now is it known that the version is made from the commits and tags.
        fs::remove_dir_all(top).map_err(|e| Error::io("cannot remove", top, e))?;
        commit = remote.check_out(Some(&commit), top, true, warnings)?;
    }
    context.store.keep_tree(&key(&commit), top)?;
    Ok(commit)
}

/// The project's directory in a checkout; a link may not lead out of it.
fn subdirectory(top: &Path, vcs: &Vcs) -> Result<PathBuf> {
    let Some(inside) = &vcs.subdirectory else { return Ok(top.to_path_buf()) };
    let project = top.join(inside.as_path());
    let resolved = project.canonicalize().ok().filter(|path| path.is_dir());
    match resolved {
        Some(resolved) if resolved.starts_with(top) => Ok(resolved),
        _ => Err(Error::new(Kind::Build, format!("{} has no directory {inside} at this commit", vcs.url))
            .help("check `subdirectory` in the lock")),
    }
}
