//! What lies beside a local project: a build reads it (`../VERSION`, `../common`), as it does where the project is
//! built in its place.
//!
//! The build's copy of the project lies among links to the neighbours of the real one, up to the top of its
//! repository or the Pipfile's directory, whichever is further up, and at least in the directory above it. A link's time of access tells whether
//! the build went through it: those neighbours count in the key of what was built.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, symlink},
    },
    path::{Component, Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use sha2::Digest as _;

use super::{
    environment::Environment,
    traces::Move,
    tree::{Tree, is_leftover},
};
use crate::words::{
    error::{Error, Result},
    vocab::Sha256,
};

/// The texts that say how a project is built. Where no times of access are kept, what they mention counts.
pub(super) const BUILD_FILES: &[&str] = &[
    "setup.py",
    "setup.cfg",
    "pyproject.toml",
    "MANIFEST.in",
    "Cargo.toml",
    "CMakeLists.txt",
    "meson.build",
    "build.py",
    "hatch_build.py",
];

/// The name of a project's copy where no directory above it but one matters: the user's own name for it would be
/// part of what is built.
const NEUTRAL: &str = "source";

/// Where a project's copy lies, and what beside it.
#[derive(Debug)]
pub(super) struct Beside {
    /// The directory whose contents are there, resolved.
    top: PathBuf,
    /// The project's tree in it.
    inside: PathBuf,
    /// The links made, to what they lead to.
    links: Vec<(PathBuf, PathBuf)>,
    /// Whether reading a link shows in its time of access.
    watched: bool,
    /// Where the copy goes.
    copy: PathBuf,
}

impl Beside {
    /// Makes the links in `into` (made here) for the project's tree at `root`, which is resolved. `above` are
    /// directories that may belong together with it: the repository's top, the Pipfile's.
    pub(super) fn link(root: &Path, above: &[&Path], into: &Path) -> Result<Self> {
        let failed = |e| Error::io("cannot create", into, e);
        fs::create_dir_all(into).map_err(failed)?;
        let top = top(root, above);
        let inside = root.strip_prefix(&top).unwrap_or(Path::new("")).to_path_buf();
        let mut beside =
            Beside { watched: is_watched(into), copy: into.to_path_buf(), links: Vec::new(), inside, top };
        let mut at = beside.top.clone();
        let steps: Vec<_> = beside.inside.components().collect();
        for step in &steps {
            let mut names = BTreeSet::new();
            for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let own = name == step.as_os_str() || entry.path() == *into;
                if !own && !is_leftover(&entry.path(), &name, false) && !into.starts_with(entry.path()) {
                    names.insert(name);
                }
            }
            for name in &names {
                let link = beside.copy.join(name);
                symlink(at.join(name), &link).map_err(|e| Error::io("cannot create", &link, e))?;
                forget_access(&link);
                beside.links.push((link, at.join(name)));
            }
            at.push(step);
            let neutral = steps.len() == 1 && !names.contains(std::ffi::OsStr::new(NEUTRAL));
            beside.copy.push(if neutral { std::ffi::OsStr::new(NEUTRAL) } else { step.as_os_str() });
            fs::create_dir(&beside.copy).map_err(|e| Error::io("cannot create", &beside.copy, e))?;
        }
        Ok(beside)
    }

    /// Where the copy of the tree goes: an empty directory.
    pub(super) fn copy(&self) -> &Path {
        &self.copy
    }

    /// The paths of the copy and of what is beside it, and what they stand for.
    pub(super) fn moved(&self) -> Vec<Move> {
        let mut moved = vec![Move { from: self.copy.clone(), to: self.top.join(&self.inside) }];
        moved.extend(self.links.iter().map(|(link, target)| Move { from: link.clone(), to: target.clone() }));
        // A name may be the beginning of another's.
        moved.sort_by_key(|one| std::cmp::Reverse(one.from.as_os_str().len()));
        moved
    }

    /// What is beside the tree that the build read, as paths relative to the tree's root.
    pub(super) fn used(&self) -> Vec<PathBuf> {
        let read = |link: &Path| {
            fs::symlink_metadata(link).is_ok_and(|meta| (meta.atime(), meta.atime_nsec()) != (0, 0))
        };
        let texts: Vec<Vec<u8>> = if self.watched {
            Vec::new()
        } else {
            BUILD_FILES.iter().filter_map(|name| fs::read(self.copy.join(name)).ok()).collect()
        };
        let mentioned = |target: &Path| {
            let name = target.file_name().unwrap_or_default().as_bytes();
            texts.iter().any(|text| {
                memchr::memmem::find(text, b"..").is_some() && memchr::memmem::find(text, name).is_some()
            })
        };
        let used = self.links.iter().filter(
            |(link, target)| {
                if self.watched { read(link) } else { mentioned(target) }
            },
        );
        used.map(|(_, target)| relative(target, &self.top, &self.inside)).collect()
    }
}

/// `target`, which lies beside a step of the way to the tree, as seen from the tree's root.
fn relative(target: &Path, top: &Path, inside: &Path) -> PathBuf {
    let target = target.strip_prefix(top).unwrap_or(target);
    let shared = target.components().zip(inside.components()).take_while(|(a, b)| a == b).count();
    let up = inside.components().skip(shared).map(|_| Path::new(".."));
    up.chain(target.components().skip(shared).map(|part| Path::new(part.as_os_str()))).collect()
}

/// The outermost directory of those that count. All are above `root`.
fn top(root: &Path, above: &[&Path]) -> PathBuf {
    let mut top = root.parent().unwrap_or(root).to_path_buf();
    for other in above {
        let shared: PathBuf = root
            .components()
            .zip(other.components())
            .take_while(|(a, b)| a == b)
            .map(|(part, _)| part)
            .collect();
        // A place that has nothing but the root in common is no neighbour.
        let near = shared.components().any(|part| matches!(part, Component::Normal(_)));
        if near && shared.components().count() < top.components().count() {
            top = shared;
        }
    }
    top
}

/// Sets a link's time of access before everything, so that a later access shows.
fn forget_access(link: &Path) {
    let begin = Timespec { tv_sec: 0, tv_nsec: 0 };
    let times = Timestamps { last_access: begin, last_modification: Timespec { tv_sec: 1, tv_nsec: 0 } };
    // Where it cannot be set, the neighbour counts as read.
    let _ = utimensat(CWD, link, &times, AtFlags::SYMLINK_NOFOLLOW);
}

/// Whether this file system keeps times of access (mounts with `noatime` do not).
fn is_watched(directory: &Path) -> bool {
    let probe = directory.join(".access");
    if symlink("nowhere", &probe).is_err() {
        return false;
    }
    forget_access(&probe);
    let _ = fs::read_link(&probe);
    let watched = fs::symlink_metadata(&probe).is_ok_and(|meta| meta.atime() != 0);
    let _ = fs::remove_file(&probe);
    watched
}

/// The digest of what a build read beside the tree at `root`, as it is now: the paths and their contents.
pub(super) fn digest(root: &Path, used: &[PathBuf], user: &Environment) -> Result<Sha256> {
    let mut all = sha2::Sha256::new();
    for path in used {
        let full = path_clean::clean(root.join(path));
        all.update(path.as_os_str().as_bytes());
        match fs::metadata(&full) {
            Ok(meta) if meta.is_dir() => {
                all.update(b"\0directory\0");
                all.update(Tree::of_neighbour(&full, user)?.digest()?.0);
            }
            Ok(meta) if meta.is_file() => {
                let failed = |e| Error::io("cannot read", &full, e);
                all.update(b"\0file\0");
                all.update(Sha256::of_file(&fs::File::open(&full).map_err(failed)?).map_err(failed)?.0.0);
            }
            _ => all.update(b"\0nothing\0"),
        }
    }
    Ok(Sha256(all.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_through_a_link_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().canonicalize().expect("resolved");
        for (name, text) in
            [("VERSION", "1"), ("other", "2"), ("libs/common/a.py", "3"), ("libs/part/setup.py", "")]
        {
            fs::create_dir_all(root.join(name).parent().expect("a parent")).expect("a directory");
            fs::write(root.join(name), text).expect("written");
        }
        let into = tempfile::tempdir().expect("a directory");
        let beside =
            Beside::link(&root.join("libs/part"), &[&root], &into.path().join("tree")).expect("linked");
        assert_eq!(beside.copy(), into.path().join("tree/libs/part"));
        assert_eq!(beside.used(), Vec::<PathBuf>::new());
        assert_eq!(fs::read_to_string(beside.copy().join("../../VERSION")).expect("read"), "1");
        assert_eq!(fs::read_to_string(beside.copy().join("../common/a.py")).expect("read"), "3");
        let used = beside.used();
        assert_eq!(used, [PathBuf::from("../../VERSION"), PathBuf::from("../common")]);
        let user = Environment::default();
        let before = digest(&root.join("libs/part"), &used, &user).expect("a digest");
        fs::write(root.join("other"), "changed").expect("written");
        assert_eq!(digest(&root.join("libs/part"), &used, &user).expect("a digest"), before);
        fs::write(root.join("libs/common/a.py"), "changed").expect("written");
        assert_ne!(digest(&root.join("libs/part"), &used, &user).expect("a digest"), before);
    }

    #[test]
    fn a_project_alone_has_the_directory_above_it_and_a_neutral_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path().canonicalize().expect("resolved");
        fs::create_dir(root.join("mine")).expect("a directory");
        fs::write(root.join("VERSION"), "1").expect("written");
        let into = tempfile::tempdir().expect("a directory");
        let project = root.join("mine");
        let beside = Beside::link(&project, &[&project, Path::new("/elsewhere")], &into.path().join("tree"))
            .expect("linked");
        assert_eq!(beside.copy(), into.path().join("tree/source"));
        assert_eq!(fs::read_to_string(beside.copy().join("../VERSION")).expect("read"), "1");
    }
}
