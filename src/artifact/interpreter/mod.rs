//! The interpreter as files of an image: its program, its standard library, and every shared library that it and the
//! environment's extension modules load. What is found is where the loader finds it here, by its own rules (ld.so(8)): nothing
//! is run for that.

mod linked;
mod loader;
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

pub(crate) use linked::Linked;

use self::loader::Loader;
use crate::{
    project::python::Target,
    words::{
        error::{Error, Kind, Result},
        vocab::Sha256,
    },
};

/// Directories of the standard library that no program imports, or that need more than is brought.
const LEFT_OUT: [&str; 9] = [
    "__pycache__",
    "site-packages",
    "dist-packages",
    "test",
    "tests",
    "idlelib",
    "turtledemo",
    "tkinter",
    "ensurepip",
];

/// What glibc loads by name once it is asked for users, hosts or the end of a thread.
const LOADED_LATER: [&str; 4] = ["libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2", "libgcc_s.so.1"];

/// Something of the interpreter, by its absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// This file's bytes.
    File(PathBuf),
    /// A link to this.
    Link(String),
}

/// An interpreter with all it loads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interpreter {
    /// Its parts by where they will be.
    pub parts: BTreeMap<PathBuf, Part>,
    /// Those that are of the system rather than the standard library.
    pub system: BTreeSet<PathBuf>,
    /// Libraries that are nowhere, each with who wants it.
    pub missing: BTreeMap<String, String>,
}

/// An extension module of the environment: where it will be, and what it is linked with.
pub(crate) type Extension = (PathBuf, Linked);

/// A file that is loaded: where it is, what it is linked with, and the RPATHs of what loads it.
type Object = (PathBuf, Linked, Vec<String>);

impl Interpreter {
    /// Finds all of `target`'s interpreter, and of what `extensions` load, which are all ELF files that the environment brings.
    ///
    /// # Errors
    /// [`Kind::Target`] for an interpreter whose standard library is not beside it.
    pub(crate) fn find(target: &Target, extensions: &[Extension]) -> Result<Interpreter> {
        let mut found = Interpreter::default();
        let program = found.program(&target.executable)?;
        let unusable = |what: String| {
            Error::new(Kind::Target, format!("--with-python: {what}"))
                .help("use a CPython of its own prefix, such as /usr/local's, pyenv's or uv's")
        };
        let bytes = read(&program)?;
        let linked = Linked::of(&bytes)
            .ok_or_else(|| unusable(format!("{} is no program of this machine", program.display())))?;
        let prefix = program.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
        let stdlib = target.site_packages.parent().map(|dir| prefix.join(dir.as_str()));
        let stdlib = stdlib.filter(|dir| dir.join("os.py").is_file()).ok_or_else(|| {
            unusable(format!("the standard library is not where {} would look for it", program.display()))
        })?;
        found.tree(&stdlib)?;
        let mut queue: VecDeque<Object> = VecDeque::new();
        let modules: Vec<PathBuf> = found.parts.keys().filter(|path| is_module(path)).cloned().collect();
        for path in modules {
            if let Some(linked) = Linked::of(&read(&path)?) {
                queue.push_back((path, linked, Vec::new()));
            }
        }
        let mut own: BTreeMap<PathBuf, Linked> = extensions.iter().cloned().collect();
        // A library that a wheel brings for its modules is looked at as they load it, since their RPATHs count for it; by
        // itself only if nothing here does.
        let wanted: BTreeSet<&str> =
            extensions.iter().flat_map(|(_, linked)| &linked.needed).map(String::as_str).collect();
        let is_module_of_its_own = |path: &Path| {
            !path.file_name().is_some_and(|name| wanted.contains(name.to_string_lossy().as_ref()))
        };
        let modules: Vec<PathBuf> = own.keys().filter(|path| is_module_of_its_own(path)).cloned().collect();
        queue.extend(modules.into_iter().filter_map(|path| {
            let linked = own.remove(&path)?;
            Some((path, linked, Vec::new()))
        }));
        let loader = Loader::of(&linked);
        if let Some(path) = &linked.interpreter {
            found.take(Path::new(path), Path::new(path));
        }
        queue.push_front((program.clone(), linked.clone(), Vec::new()));
        let mut seen = BTreeSet::new();
        let mut libc = None;
        let brought: BTreeSet<&Path> = extensions.iter().map(|(path, _)| path.as_path()).collect();
        let has = |path: &Path| brought.contains(path);
        while let Some((path, one, above)) =
            queue.pop_front().or_else(|| own.pop_first().map(|(path, linked)| (path, linked, Vec::new())))
        {
            for name in &one.needed {
                // A process has each name once.
                if seen.contains(name) {
                    continue;
                }
                let below = || -> Vec<String> {
                    let own: &[String] = if one.runpath.is_none() { &one.rpath } else { &[] };
                    own.iter().map(|dir| loader::expand(dir, &path)).chain(above.iter().cloned()).collect()
                };
                match loader.find(name, &path, &one, &above, &has) {
                    loader::Found::Own(path) => {
                        if let Some(linked) = own.remove(&path) {
                            queue.push_back((path, linked, below()));
                        }
                    }
                    loader::Found::At { from, to } => {
                        seen.insert(name.clone());
                        if name.starts_with("libc.") {
                            libc = to.parent().map(Path::to_owned);
                        }
                        if let Some(linked) = Linked::of(&read(&from)?) {
                            queue.push_back((from.clone(), linked, below()));
                        }
                        found.take(&to, &from);
                    }
                    loader::Found::Nowhere => {
                        found.missing.entry(name.clone()).or_insert_with(|| path.display().to_string());
                    }
                }
            }
        }
        if let Some(dir) = libc {
            for name in LOADED_LATER {
                let path = dir.join(name);
                if path.exists() {
                    found.take(&path, &path);
                }
            }
        }
        Ok(found)
    }

    /// Takes the program, through the links that lead to it; gives its own path.
    fn program(&mut self, executable: &Path) -> Result<PathBuf> {
        let mut path = executable.to_owned();
        for _ in 0..40 {
            let Ok(target) = fs::read_link(&path) else {
                self.parts.insert(path.clone(), Part::File(path.clone()));
                self.system.insert(path.clone());
                return Ok(path);
            };
            self.parts.insert(path.clone(), Part::Link(target.to_string_lossy().into_owned()));
            path = path_clean::clean(path.parent().unwrap_or(Path::new("/")).join(target));
        }
        Err(Error::new(Kind::Target, format!("{} is a link to itself", executable.display())))
    }

    /// Takes a library, whatever links lead to it, under the name that is looked for.
    fn take(&mut self, to: &Path, from: &Path) {
        if let Ok(from) = from.canonicalize() {
            self.parts.insert(to.to_owned(), Part::File(from));
            self.system.insert(to.to_owned());
        }
    }

    /// Takes the standard library.
    fn tree(&mut self, dir: &Path) -> Result<()> {
        let unreadable = |error| Error::io("cannot read", dir, error).with_kind(Kind::Target);
        for entry in fs::read_dir(dir).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let skipped = LEFT_OUT.contains(&name.as_str())
                || name.starts_with("config-")
                || name.starts_with("_tkinter.")
                || path.extension().is_some_and(|end| end == "a" || end == "pyc");
            if skipped {
                continue;
            }
            // Links within it, and what distributions put elsewhere.
            let meta = fs::metadata(&path).map_err(unreadable)?;
            if meta.is_dir() {
                self.tree(&path)?;
            } else if meta.is_file() {
                let real = path.canonicalize().map_err(unreadable)?;
                self.parts.insert(path, Part::File(real));
            }
        }
        Ok(())
    }

    /// A digest of what the files are, by size and time: read again only if that changes.
    pub(crate) fn key(&self) -> Sha256 {
        use std::os::unix::fs::MetadataExt as _;
        let mut text = String::from("interpreter 2\n");
        for (to, part) in &self.parts {
            let is = match part {
                Part::Link(target) => format!("link {target}"),
                Part::File(from) => fs::metadata(from).map_or_else(
                    |_| "gone".to_owned(),
                    |meta| {
                        format!(
                            "{} {} {} {}",
                            meta.dev(),
                            meta.ino(),
                            meta.size(),
                            meta.mtime_nsec() + meta.mtime() * 1_000_000_000
                        )
                    },
                ),
            };
            let _ = writeln!(text, "{} {is}", to.display());
        }
        Sha256::of(text.as_bytes())
    }
}

fn is_module(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| Error::io("cannot read", path, error).with_kind(Kind::Target))
}
