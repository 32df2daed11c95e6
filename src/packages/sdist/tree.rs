//! A local project's files: which of them count, their digest, and a copy to build in.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    io,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Component, Path, PathBuf},
};

use sha2::Digest as _;

use super::{environment::Environment, git};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::Sha256,
};

/// Directories nobody builds from: other tools' states and earlier builds'.
const LEFTOVERS: &[&str] = &[
    ".git",
    ".hg",
    ".svn",
    ".bzr",
    ".venv",
    "__pycache__",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".eggs",
    ".idea",
    ".vscode",
    "node_modules",
];

/// One file of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    File,
    /// A link to another place of the same tree, as it is written.
    Link(PathBuf),
}

/// The files of a project, as git sees them where it does, as they lie there otherwise.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    /// Relative path to what it is; sorted, so that the digest does not depend on the directory's order.
    items: BTreeMap<PathBuf, Item>,
    /// The repository the tree is the top of, if its history decides the version.
    history: Option<git::History>,
    /// The project's place inside the tree.
    project: PathBuf,
    /// The top of the repository it is in.
    repository: Option<PathBuf>,
}

impl Tree {
    /// Looks at the project in `directory` without writing anything to it.
    ///
    /// Where the version comes from the repository's history (setuptools-scm and its like), the tree is
    /// the whole repository's, so that a project in a part of it is not taken for a changed one.
    pub(super) fn of(directory: &Path, user: &Environment) -> Result<Self> {
        if !directory.is_dir() {
            return Err(Error::new(Kind::Build, format!("{} is not a directory", directory.display()))
                .help("check the path in the lock, and that the project was copied to where venvoy runs"));
        }
        let directory = directory.canonicalize().map_err(|e| Error::io("cannot resolve", directory, e))?;
        let repository = git::Repository::of(&directory, user);
        if let Some(repository) = &repository
            && needs_history(&directory)
        {
            let project = directory.strip_prefix(&repository.top).unwrap_or(Path::new("")).to_path_buf();
            let mut tree = Tree {
                root: repository.top.clone(),
                items: BTreeMap::new(),
                history: repository.history(user),
                project,
                repository: Some(repository.top.clone()),
            };
            tree.add_git(user)?;
            if tree.holds_project() {
                return Ok(tree);
            }
        }
        let mut tree = Tree::empty(&directory);
        tree.repository = repository.map(|repository| repository.top);
        if tree.repository.is_some() {
            tree.add_git(user)?;
        }
        if !tree.holds_project() {
            // A project that git ignores, or none at all: what lies there counts.
            tree.items.clear();
            tree.walk(Path::new(""), true, &mut BTreeSet::new())?;
        }
        Ok(tree)
    }

    fn empty(root: &Path) -> Self {
        Tree {
            root: root.to_path_buf(),
            items: BTreeMap::new(),
            history: None,
            project: PathBuf::new(),
            repository: None,
        }
    }

    fn holds_project(&self) -> bool {
        ["pyproject.toml", "setup.py"].iter().any(|name| self.items.contains_key(&self.project.join(name)))
    }

    fn add_git(&mut self, user: &Environment) -> Result<()> {
        let Some((tracked, others)) = git::Repository::files(&self.root, user) else { return Ok(()) };
        for path in tracked {
            self.add(&path, &mut BTreeSet::new())?;
        }
        for path in others {
            let leftover = path.iter().enumerate().any(|(depth, name)| {
                let at: PathBuf = path.iter().take(depth + 1).collect();
                is_leftover(&self.root.join(&at), name, depth == 0)
            });
            if !leftover {
                self.add(&path, &mut BTreeSet::new())?;
            }
        }
        Ok(())
    }

    /// Adds what lies at `path`. `above` holds the directories links were followed through.
    fn add(&mut self, path: &Path, above: &mut BTreeSet<PathBuf>) -> Result<()> {
        let full = self.root.join(path);
        let failed = |e| Error::io("cannot read", &full, e);
        let meta = match fs::symlink_metadata(&full) {
            Ok(meta) => meta,
            // Tracked, but deleted in the working tree.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        if meta.is_dir() {
            return self.walk(path, false, above);
        }
        if meta.is_file() {
            self.items.insert(path.to_path_buf(), Item::File);
        } else if meta.is_symlink() {
            let target = fs::read_link(&full).map_err(failed)?;
            if stays_inside(path, &target) {
                self.items.insert(path.to_path_buf(), Item::Link(target));
            } else if let Ok(end) = full.canonicalize() {
                // A link out of the project (`LICENSE -> ../../LICENSE`) means what it leads to.
                if end.is_file() {
                    self.items.insert(path.to_path_buf(), Item::File);
                } else if end.is_dir() && !full.starts_with(&end) && above.insert(end.clone()) {
                    self.walk(path, false, above)?;
                    above.remove(&end);
                }
            }
        }
        Ok(())
    }

    fn walk(&mut self, at: &Path, top: bool, above: &mut BTreeSet<PathBuf>) -> Result<()> {
        let full = self.root.join(at);
        for entry in fs::read_dir(&full).map_err(|e| Error::io("cannot read", &full, e))? {
            let entry = entry.map_err(|e| Error::io("cannot read", &full, e))?;
            if !is_leftover(&entry.path(), &entry.file_name(), top) {
                self.add(&at.join(entry.file_name()), above)?;
            }
        }
        Ok(())
    }

    /// The digest of every path, content and execute bit, and of the history where it decides the version.
    pub(super) fn digest(&self) -> Result<Sha256> {
        let mut all = sha2::Sha256::new();
        for (path, item) in &self.items {
            all.update(path.as_os_str().as_bytes());
            match item {
                Item::Link(target) => {
                    all.update(b"\0link\0");
                    all.update(target.as_os_str().as_bytes());
                }
                Item::File => {
                    let full = self.root.join(path);
                    let failed = |e| Error::io("cannot read", &full, e);
                    let file = File::open(&full).map_err(failed)?;
                    let executable = file.metadata().map_err(failed)?.permissions().mode() & 0o100 != 0;
                    let (one, _) = Sha256::of_file(&file).map_err(failed)?;
                    all.update(if executable { b"\0exec\0" } else { b"\0file\0" });
                    all.update(one.0);
                }
            }
            all.update(b"\0");
        }
        if let Some(history) = &self.history {
            all.update(history.key.as_bytes());
        }
        all.update(self.project.as_os_str().as_bytes());
        Ok(Sha256(all.finalize().into()))
    }

    /// Copies the tree to `into` (made here) and gives the project's directory in the copy.
    pub(super) fn copy(&self, into: &Path) -> Result<PathBuf> {
        fs::create_dir_all(into).map_err(|e| Error::io("cannot create", into, e))?;
        for (path, item) in &self.items {
            let (from, to) = (self.root.join(path), into.join(path));
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).map_err(|e| Error::io("cannot create", parent, e))?;
            }
            match item {
                Item::Link(target) => {
                    std::os::unix::fs::symlink(target, &to)
                        .map_err(|e| Error::io("cannot create", &to, e))?;
                }
                Item::File => copy_file(&from, &to)?,
            }
        }
        if let Some(history) = &self.history {
            history.link(into)?;
        }
        Ok(into.join(&self.project))
    }

    /// A directory beside a project: what git sees of it where it does, what lies there otherwise.
    pub(super) fn of_neighbour(directory: &Path, user: &Environment) -> Result<Self> {
        let mut tree = Tree::empty(directory);
        tree.add_git(user)?;
        if tree.items.is_empty() {
            tree.walk(Path::new(""), true, &mut BTreeSet::new())?;
        }
        Ok(tree)
    }

    /// What lies in a copy, without asking git.
    pub(super) fn of_copy(directory: &Path) -> Result<Self> {
        let mut tree = Tree::empty(directory);
        tree.walk(Path::new(""), true, &mut BTreeSet::new())?;
        Ok(tree)
    }

    /// Whether a repository's history decides the project's version.
    pub(super) fn has_history(&self) -> bool {
        self.history.is_some()
    }

    /// The top of the repository the tree is in.
    pub(super) fn repository(&self) -> Option<&Path> {
        self.repository.as_deref()
    }

    /// Where the tree's root is: the project's directory, or the top of the repository it is a part of.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory the tree was looked at in, resolved.
    pub(super) fn project_directory(&self) -> PathBuf {
        // An empty component would leave a slash at the end.
        self.project.iter().fold(self.root.clone(), |path, part| path.join(part))
    }

    /// Every path of the tree, relative to the project.
    pub(super) fn paths(&self) -> BTreeSet<PathBuf> {
        self.items
            .keys()
            .filter_map(|path| path.strip_prefix(&self.project).ok())
            .map(Path::to_path_buf)
            .collect()
    }
}

/// Copies a file with its execute bit and its time (makefiles compare them); other bits do not follow.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let failed = |e| Error::io("cannot copy", from, e);
    fs::copy(from, to).map_err(failed)?;
    let meta = fs::metadata(from).map_err(failed)?;
    let mode = if meta.permissions().mode() & 0o100 != 0 { 0o755 } else { 0o644 };
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(failed)?;
    if let Ok(modified) = meta.modified() {
        File::options().write(true).open(to).and_then(|file| file.set_modified(modified)).map_err(failed)?;
    }
    Ok(())
}

fn stays_inside(link: &Path, target: &Path) -> bool {
    let mut depth = link.components().count().saturating_sub(1);
    target.components().all(|component| match component {
        Component::Normal(_) => {
            depth += 1;
            true
        }
        Component::CurDir => true,
        Component::ParentDir if depth > 0 => {
            depth -= 1;
            true
        }
        _ => false,
    })
}

pub(super) fn is_leftover(full: &Path, name: &OsStr, top: bool) -> bool {
    let Some(name) = name.to_str() else { return false };
    LEFTOVERS.contains(&name)
        || name.ends_with(".egg-info")
        || name.ends_with(".dist-info")
        || Path::new(name).extension() == Some(OsStr::new("pyc"))
        || full.join("pyvenv.cfg").is_file()
        || full.join("CACHEDIR.TAG").is_file()
        || top && matches!(name, "build" | "dist") && full.is_dir() && !full.join("__init__.py").is_file()
}

/// Whether the project's version comes from its repository.
pub(super) fn needs_history(directory: &Path) -> bool {
    const SIGNS: &[&str] = &[
        "setuptools_scm",
        "setuptools-scm",
        "use_scm_version",
        "hatch-vcs",
        "hatch_vcs",
        "versioneer",
        "pbr",
        "dunamai",
        "versioningit",
        "poetry-dynamic-versioning",
        "setuptools-git-versioning",
        "source = \"scm\"",
        "source = 'scm'",
        "git describe",
        "rev-parse",
        "flit_scm",
        "vcs_versioning",
    ];
    ["pyproject.toml", "setup.cfg", "setup.py"].iter().any(|name| {
        fs::read(directory.join(name)).is_ok_and(|bytes| {
            SIGNS.iter().any(|sign| memchr::memmem::find(&bytes, sign.as_bytes()).is_some())
        })
    })
}
