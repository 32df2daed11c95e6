//! Comparing an environment with its manifest: quickly (is it current?) and completely (is it intact?).

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use rustix::fs::AtFlags;

use super::condition::{Extent, Near};
use super::text::{Content, Dir, Item, JOURNAL, MANIFEST, Manifest};
use crate::environment::layout::PlanKey;
use crate::words::{
    error::{Error, Kind, Result},
    files::{open_regular, read, read_text},
    vocab::Sha256,
};

/// More than any manifest has, in bytes.
const LIMIT: u64 = 1 << 30;

/// Whether `dest` holds the plan named `key`, with nothing missing and nothing more.
///
/// Directories were given a fixed time, so one whose time is still that has the names it was made with; only
/// the others (Python added a `__pycache__`, someone added or removed a file) are listed and compared.
/// Contents are not read: that is [`verify`]. Bytecode, and anything more at the very top, where editors and
/// other tools leave their marks, does not count.
pub(crate) fn is_current(dest: &Path, key: &PlanKey) -> bool {
    let Ok(file) = open_regular(&dest.join(MANIFEST)) else { return false };
    // That it is another plan's is said at its beginning, and whoever changes the environment then reads the rest.
    let mut head = [0; Manifest::NAMED_WITHIN];
    let Ok(length) = file.read_at(&mut head, 0) else { return false };
    if !Manifest::is_of(&head[..length], key) {
        return false;
    }
    let Ok(Ok(text)) = read(&file, LIMIT).map(String::from_utf8) else { return false };
    let Some(manifest) = Manifest::parse(&text) else { return false };
    let Ok(top) = File::open(dest) else { return false };
    // With a journal, a change was cut short: the files are partly the old ones.
    let changing = rustix::fs::statat(&top, JOURNAL, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if manifest.key != key.to_string() || changing {
        return false;
    }
    let near = Near::new(&top, &manifest);
    // `None`: not as it was made. `Some(false)`: its time differs.
    let stat = |dir: &Dir<'_>| {
        let stat = near.stat(&dir.path).ok()?;
        let is_dir = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_dir();
        is_dir.then_some(stat.st_mtime == manifest.mtime && stat.st_mtime_nsec == 0)
    };
    let same = manifest.dirs.par_iter().with_min_len(256).map(stat).collect::<Option<Vec<bool>>>();
    let Some(same) = same else { return false };
    let changed: Vec<&Dir<'_>> =
        manifest.dirs.iter().zip(same).filter(|(_, same)| !same).map(|(dir, _)| dir).collect();
    if changed.is_empty() {
        return true;
    }
    changed.par_iter().with_min_len(16).all(|dir| names_match(dest, &manifest, dir))
}

/// Whether a directory holds every expected name and no other that counts.
fn names_match(dest: &Path, manifest: &Manifest<'_>, dir: &Dir<'_>) -> bool {
    let Some(items) = dir.items().collect::<Option<Vec<_>>>() else { return false };
    let mut expected: HashSet<&OsStr> = items.iter().map(|item| OsStr::new(&*item.name)).collect();
    let Ok(entries) = fs::read_dir(dest.join(&*dir.path)) else { return false };
    for entry in entries {
        let Ok(entry) = entry else { return false };
        let name = entry.file_name();
        if !expected.remove(name.as_os_str()) && !is_known_dir(manifest, dir, &name) && counts(dir, &name) {
            return false;
        }
    }
    expected.is_empty()
}

pub(super) fn is_known_dir(manifest: &Manifest<'_>, dir: &Dir<'_>, name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        if dir.path == "." {
            manifest.dir(name).is_some()
        } else {
            manifest.dir(&format!("{}/{name}", dir.path)).is_some()
        }
    })
}

/// Whether an unexpected name makes the environment another one.
pub(super) fn counts(dir: &Dir<'_>, name: &OsStr) -> bool {
    dir.path != "." && !is_bytecode(name)
}

fn is_bytecode(name: &OsStr) -> bool {
    name == "__pycache__" || name.as_encoded_bytes().ends_with(b".pyc")
}

/// How an environment differs from its manifest, each list sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Check {
    /// What the manifest lists and the environment lacks.
    pub missing: Vec<PathBuf>,
    /// What is there but not as it was written.
    pub changed: Vec<Changed>,
    /// What is there and not listed; bytecode does not count. A directory stands for all that is in it.
    pub extra: Vec<PathBuf>,
    /// Files whose digest was compared.
    pub files: u64,
    /// What was left out when it was made (`--slim`), in its words.
    pub slim: Option<String>,
}

impl Check {
    /// Whether everything is as it was written.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.changed.is_empty() && self.extra.is_empty()
    }
}

/// One thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Changed {
    /// Where it is, relative to the environment.
    pub path: PathBuf,
    /// In what it differs.
    pub change: Change,
}

/// In what something differs from the manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    /// Not a file, link or directory as it was.
    Type,
    /// Its content has another size or digest.
    Content,
    /// Executable or readable by other users than it was; holds the mode found.
    Mode(u32),
    /// The link's target; holds the one found.
    Target(PathBuf),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Type => f.write_str("is of another type"),
            Change::Content => f.write_str("has other contents"),
            Change::Mode(mode) => write!(f, "has mode {mode:04o}"),
            Change::Target(target) => write!(f, "points to {}", target.display()),
        }
    }
}

/// Compares every file of an environment with its manifest, contents included.
///
/// # Errors
/// [`Kind::Destination`] where there is no manifest or it is damaged, or something cannot be read.
pub(crate) fn verify(dest: &Path) -> Result<Check> {
    verify_from(dest, &dest.join(MANIFEST), Extent::Whole)
}

/// Compares what venvoy installed for an interpreter, below `root`, with its manifest; what else is there is others'.
///
/// # Errors
/// As [`verify`].
pub(crate) fn verify_listed(root: &Path, manifest: &Path) -> Result<Check> {
    verify_from(root, manifest, Extent::Listed)
}

fn verify_from(dest: &Path, path: &Path, extent: Extent) -> Result<Check> {
    let text = read_text(path, LIMIT).map_err(|e| {
        Error::io("cannot read", path, e)
            .with_kind(Kind::Destination)
            .help("only environments that venvoy made can be checked: run `venvoy sync` first")
    })?;
    let damaged = || {
        Error::new(Kind::Destination, format!("{} is damaged", path.display()))
            .help("run `venvoy sync` to write the environment anew")
    };
    let manifest = Manifest::parse(&text).ok_or_else(damaged)?;
    let parts: Vec<Check> = manifest
        .dirs
        .par_iter()
        .map(|dir| {
            let items = dir.items().collect::<Option<Vec<_>>>().ok_or_else(damaged)?;
            check_dir(dest, &manifest, dir, &items, extent)
        })
        .collect::<Result<_>>()?;
    let mut all =
        Check { slim: manifest.slim.as_ref().map(std::string::ToString::to_string), ..Check::default() };
    for part in parts {
        all.missing.extend(part.missing);
        all.changed.extend(part.changed);
        all.extra.extend(part.extra);
        all.files += part.files;
    }
    all.missing.sort();
    all.changed.sort();
    all.extra.sort();
    Ok(all)
}

fn check_dir(
    dest: &Path,
    manifest: &Manifest<'_>,
    dir: &Dir<'_>,
    items: &[Item<'_>],
    extent: Extent,
) -> Result<Check> {
    let here = if dir.path == "." { PathBuf::new() } else { PathBuf::from(&*dir.path) };
    let mut check = Check::default();
    let full = dest.join(&here);
    match fs::symlink_metadata(&full) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            check.missing.push(here.clone());
            check.missing.extend(items.iter().map(|item| here.join(&*item.name)));
            return Ok(check);
        }
        Err(e) if e.kind() != io::ErrorKind::NotADirectory => return Err(unreadable(&full, e)),
        Ok(meta) if meta.is_dir() => {}
        _ => {
            check.changed.push(Changed { path: here, change: Change::Type });
            return Ok(check);
        }
    }
    let entries = match extent {
        Extent::Whole | Extent::Directories => Some(fs::read_dir(&full).map_err(|e| unreadable(&full, e))?),
        Extent::Listed => None,
    };
    for entry in entries.into_iter().flatten() {
        let name: OsString = entry.map_err(|e| unreadable(&full, e))?.file_name();
        let listed = items.iter().any(|item| OsStr::new(&*item.name) == name);
        let own = dir.path == "." && (name == MANIFEST || name == JOURNAL);
        if !listed && !own && !is_bytecode(&name) && !is_known_dir(manifest, dir, &name) {
            check.extra.push(here.join(name));
        }
    }
    items
        .par_iter()
        .with_min_len(8)
        .map(|item| check_item(dest, &here.join(&*item.name), &item.content))
        .collect::<Result<Vec<Check>>>()?
        .into_iter()
        .for_each(|one| {
            check.missing.extend(one.missing);
            check.changed.extend(one.changed);
            check.files += one.files;
        });
    Ok(check)
}

fn check_item(dest: &Path, path: &Path, content: &Content<'_>) -> Result<Check> {
    let full = dest.join(path);
    let mut check = Check::default();
    let meta = match fs::symlink_metadata(&full) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            check.missing.push(path.to_owned());
            return Ok(check);
        }
        Err(e) => return Err(unreadable(&full, e)),
    };
    let change = match content {
        Content::Link(target) if meta.is_symlink() => {
            let found = fs::read_link(&full).map_err(|e| unreadable(&full, e))?;
            (found != Path::new(&**target)).then_some(Change::Target(found))
        }
        Content::File { size, digest, executable } if meta.is_file() => {
            check.files = 1;
            let mode = meta.permissions().mode() & 0o7777;
            if meta.size() != *size || digest_file(&full)?.to_record() != **digest {
                Some(Change::Content)
            } else {
                (mode != if *executable { 0o755 } else { 0o644 }).then_some(Change::Mode(mode))
            }
        }
        Content::Link(_) | Content::File { .. } => Some(Change::Type),
    };
    check.changed.extend(change.map(|change| Changed { path: path.to_owned(), change }));
    Ok(check)
}

/// The digest of a regular file's content.
pub(crate) fn digest_file(path: &Path) -> Result<Sha256> {
    let digest = open_regular(path).and_then(|file| Sha256::of_file(&file));
    digest.map(|(digest, _)| digest).map_err(|e| unreadable(path, e))
}

/// [`Kind::Destination`]: a path of an environment that cannot be read.
pub(crate) fn unreadable(path: &Path, error: io::Error) -> Error {
    Error::io("cannot read", path, error).with_kind(Kind::Destination)
}
