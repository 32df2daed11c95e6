//! Which files of an editable project decide what its build gives: those that the last build read. A module that the
//! environment finds in the project is the same module after an edit, and needs no build.
//!
//! Where the last build made more than a way to the sources (extension modules, generated files), where the
//! version comes from a repository's history, and where no times of access are kept, every file counts, as for a copy. What
//! `[tool.uv] cache-keys` of the project says outweighs all of this.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs,
    io::Read as _,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::{BuildStore, EditableInfo, beside::BUILD_FILES, environment::Environment, git, tree::Tree};
use crate::{
    packages::wheel::STREAM_LIMIT,
    words::{
        error::{Error, Kind, Result},
        vocab::Sha256,
    },
};

/// What the last build of an editable project showed, relative to the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decisive {
    /// Files that it read.
    read: BTreeSet<PathBuf>,
    /// Directories whose names decide what is found: a new package there is not found without a build.
    names: BTreeSet<PathBuf>,
}

/// A project's copy, watched while it is built.
pub(super) struct Watch {
    /// `None` where times of access are not kept.
    copy: Option<PathBuf>,
    paths: BTreeSet<PathBuf>,
}

impl Watch {
    /// Begins: whatever is read in the copy from now on shows.
    pub(super) fn begin(copy: &Path, tree: &Tree) -> Self {
        let paths = tree.paths();
        let watched = is_watched(copy) && paths.iter().all(|path| forget_access(&copy.join(path)).is_ok());
        Watch { copy: watched.then(|| copy.to_owned()), paths }
    }

    /// What was read since, and in which directories names count for the wheel at `built`; `None` where every file counts.
    pub(super) fn end(&self, built: &Path, project: &Path) -> Result<Option<Decisive>> {
        let Some(copy) = &self.copy else { return Ok(None) };
        let is_read = |path: &&PathBuf| {
            // What the build removed or replaced was of interest to it.
            fs::symlink_metadata(copy.join(path))
                .map_or(true, |meta| meta.atime() != 0 || meta.atime_nsec() != 0)
        };
        let mut read: BTreeSet<PathBuf> = self.paths.iter().filter(is_read).cloned().collect();
        // Those that say how it is built are read before the backend is there.
        read.extend(BUILD_FILES.iter().map(PathBuf::from).filter(|file| self.paths.contains(file)));
        if read.iter().any(|path| path.to_str().is_none()) || holds_binaries(built)? {
            return Ok(None);
        }
        let info = EditableInfo::of(built)?;
        let mut names = BTreeSet::from([PathBuf::new()]);
        if !info.hook_files.is_empty() || !info.relocatable {
            // Hooks know packages one by one, by the directories they lie in.
            names.insert(PathBuf::from("src"));
            let parents = info.paths.iter().filter_map(|path| path.parent());
            for base in [copy.as_path(), project] {
                names.extend(
                    parents.clone().filter_map(|path| path.strip_prefix(base).ok()).map(Path::to_path_buf),
                );
            }
        }
        Ok(Some(Decisive { read, names }))
    }
}

/// Whether a wheel holds machine code: sources decide it.
fn holds_binaries(wheel: &Path) -> Result<bool> {
    let broken = |e: zip::result::ZipError| {
        Error::new(Kind::Integrity, format!("cannot read {}", wheel.display())).because(e)
    };
    let file = fs::File::open(wheel).map_err(|e| Error::io("cannot read", wheel, e))?;
    let archive = zip::ZipArchive::new(file).map_err(broken)?;
    let names = archive.file_names().filter_map(Result::ok);
    Ok(names.into_iter().any(|name| {
        let name: String = name.into();
        [".so", ".pyd", ".dylib"].iter().any(|end| name.ends_with(end))
    }))
}

fn forget_access(path: &Path) -> rustix::io::Result<()> {
    let omit = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
    let times = Timestamps { last_access: Timespec { tv_sec: 0, tv_nsec: 0 }, last_modification: omit };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether reading a file shows in its time of access (mounts with `noatime` do not keep it).
fn is_watched(directory: &Path) -> bool {
    let probe = directory.join(".venvoy-access");
    let read = || {
        fs::write(&probe, "x").ok()?;
        forget_access(&probe).ok()?;
        fs::File::open(&probe).and_then(|mut file| file.read(&mut [0; 1])).ok()?;
        fs::metadata(&probe).ok()
    };
    let watched = read().is_some_and(|meta| meta.atime() != 0);
    let _ = fs::remove_file(&probe);
    watched
}

/// What names the note of what the last build of a project showed.
fn note_name(project: &Path) -> String {
    Sha256::of(format!("decisive {}", project.display()).as_bytes()).to_string()
}

/// Remembers what a build showed.
pub(super) fn note(project: &Path, decisive: Option<&Decisive>, store: &dyn BuildStore) -> Result<()> {
    // Plain values; a note that says nothing is none.
    let text = serde_json::to_string(&decisive).unwrap_or_default();
    store.keep_note(&note_name(project), &text)
}

/// The digest of what decides the build of an editable project, as it is now.
pub(super) fn digest(tree: &Tree, store: &dyn BuildStore, env: &[(OsString, OsString)]) -> Result<Sha256> {
    let project = tree.project_directory();
    if let Some(keys) = CacheKeys::of(&project) {
        return keys.digest(tree, env);
    }
    let known = if tree.has_history() { None } else { store.note(&note_name(&project))? };
    let known: Option<Decisive> = known.and_then(|text| serde_json::from_str(&text).ok()).flatten();
    let Some(Decisive { read, names }) = known else { return tree.digest() };
    let mut all = sha2::Sha256::new();
    let paths = tree.paths();
    for path in &read {
        add_file(&mut all, &project, path, paths.contains(path))?;
    }
    for path in &paths {
        let parent = path.parent().unwrap_or(Path::new(""));
        if names.contains(parent) {
            all.update(b"name\0");
            all.update(path.as_os_str().as_bytes());
            all.update(b"\0");
        }
    }
    // A directory is a name as well, once for all that is in it.
    let dirs: BTreeSet<&Path> = paths.iter().flat_map(|path| path.ancestors().skip(1)).collect();
    for dir in dirs.iter().filter(|dir| dir.parent().is_some_and(|parent| names.contains(parent))) {
        all.update(b"directory\0");
        all.update(dir.as_os_str().as_bytes());
        all.update(b"\0");
    }
    Ok(Sha256(all.finalize().into()))
}

fn add_file(all: &mut sha2::Sha256, project: &Path, path: &Path, is_there: bool) -> Result<()> {
    all.update(b"file\0");
    all.update(path.as_os_str().as_bytes());
    let full = project.join(path);
    // A directory that a link leads to is named, and what is in it is not.
    if is_there && full.is_file() {
        let failed = |e| Error::io("cannot read", &full, e);
        let (one, _) = Sha256::of_file(&fs::File::open(&full).map_err(failed)?).map_err(failed)?;
        all.update(one.0);
    }
    all.update(b"\0");
    Ok(())
}

/// `[tool.uv] cache-keys`: what decides, in the words of the project.
#[derive(Debug, Default, PartialEq, Eq)]
struct CacheKeys {
    files: Vec<String>,
    dirs: Vec<PathBuf>,
    variables: Vec<String>,
    history: bool,
}

impl CacheKeys {
    /// The keys of a project; `None` where it has none, or they cannot be read: that is for uv to say.
    fn of(project: &Path) -> Option<Self> {
        let file = crate::words::files::open_regular(&project.join("pyproject.toml")).ok()?;
        let text = String::from_utf8(crate::words::files::read(&file, STREAM_LIMIT).ok()?).ok()?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Option<Self> {
        let table: toml::Table = text.parse().ok()?;
        let keys = table.get("tool")?.get("uv")?.get("cache-keys")?.as_array()?;
        let mut found = CacheKeys { files: vec!["pyproject.toml".to_owned()], ..CacheKeys::default() };
        for key in keys {
            let word = |name: &str| key.get(name).and_then(toml::Value::as_str);
            if let Some(file) = key.as_str().or_else(|| word("file")) {
                found.files.push(file.to_owned());
            } else if let Some(dir) = word("dir") {
                found.dirs.push(dir.into());
            } else if let Some(variable) = word("env") {
                found.variables.push(variable.to_owned());
            } else {
                found.history |= key.get("git").is_some();
            }
        }
        Some(found)
    }

    fn digest(&self, tree: &Tree, env: &[(OsString, OsString)]) -> Result<Sha256> {
        let project = tree.project_directory();
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::default() };
        let patterns: Vec<glob::Pattern> =
            self.files.iter().filter_map(|file| glob::Pattern::new(file).ok()).collect();
        let mut all = sha2::Sha256::new();
        for path in &tree.paths() {
            if patterns.iter().any(|pattern| pattern.matches_path_with(path, options)) {
                add_file(&mut all, &project, path, true)?;
            }
        }
        // One that names a file elsewhere (`../VERSION`) is no pattern for the project's own.
        for file in
            self.files.iter().map(Path::new).filter(|file| file.starts_with("..") || file.is_absolute())
        {
            add_file(&mut all, &project, file, true)?;
        }
        for dir in &self.dirs {
            all.update(format!("{} {}\0", dir.display(), project.join(dir).is_dir()));
        }
        for variable in &self.variables {
            let value = env.iter().rfind(|(name, _)| *name == **variable);
            let value = value.map(|(_, value)| Sha256::of(value.as_encoded_bytes()));
            all.update(format!("{variable} {value:?}\0"));
        }
        if self.history {
            let user = Environment::for_git(env);
            let history =
                git::Repository::of(&project, &user).and_then(|repository| repository.history(&user));
            all.update(history.map(|history| history.key).unwrap_or_default());
        }
        Ok(Sha256(all.finalize().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_uv_are_read_in_all_their_forms() {
        let keys = CacheKeys::parse(
            "[tool.uv]\ncache-keys = ['a.txt', {file = 'src/**/*.rs'}, {dir = 'gen'}, {env = 'MODE'}, {git = {commit = true}}]\n",
        );
        let expected = CacheKeys {
            files: ["pyproject.toml", "a.txt", "src/**/*.rs"].map(str::to_owned).to_vec(),
            dirs: vec!["gen".into()],
            variables: vec!["MODE".into()],
            history: true,
        };
        assert_eq!(keys, Some(expected));
        assert_eq!(CacheKeys::parse("[tool.other]\n"), None);
        assert_eq!(CacheKeys::parse("[tool.uv\n"), None);
    }
}
