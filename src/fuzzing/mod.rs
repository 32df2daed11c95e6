//! Every reader of bytes that somebody else wrote, by name: what fuzzers and `tests/suite/fuzz` throw bytes at. No
//! promise to anybody else.
//!
//! A reader says what it read, as JSON that other programs' readings can be compared with, or why it refused. It panics
//! where something does not hold that must hold for any bytes: that is what is looked for.

mod artifact;
mod cache;
mod environment;
mod packages;
mod project;
mod registry;

use std::{cell::RefCell, path::Path};

use serde_json::Value;

use crate::{
    project::python::{Description, Target},
    words::{env::Env, error::Result},
};

/// What was read, or why not.
pub type Read = std::result::Result<Value, String>;

/// A reader.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// What it reads, as a file name.
    pub name: &'static str,
    read: fn(&[u8]) -> Read,
}

impl Reader {
    /// Reads bytes twice: what comes of them depends on nothing else.
    pub fn read(&self, bytes: &[u8]) -> Read {
        let read = (self.read)(bytes);
        assert_eq!(read, (self.read)(bytes), "{} reads the same bytes in two ways", self.name);
        if let Err(refusal) = &read {
            assert!(!refusal.trim().is_empty(), "{} refuses without a reason", self.name);
            assert!(!shows_secret(refusal, bytes), "{} shows a secret: {refusal}", self.name);
        }
        read
    }
}

/// The readers, in the order of the rooms they are in.
pub const READERS: [Reader; 33] = [
    Reader { name: "marker", read: project::marker },
    Reader { name: "specifier", read: project::specifier },
    Reader { name: "wheel_name", read: project::wheel_name },
    Reader { name: "url", read: project::url },
    Reader { name: "lock", read: project::lock },
    Reader { name: "pipfile", read: project::pipfile },
    Reader { name: "pylock", read: project::pylock },
    Reader { name: "dotenv", read: project::dotenv },
    Reader { name: "netrc", read: project::netrc },
    Reader { name: "index_html", read: packages::index_html },
    Reader { name: "index_json", read: packages::index_json },
    Reader { name: "wheel", read: packages::wheel },
    Reader { name: "record", read: packages::record },
    Reader { name: "metadata", read: packages::metadata },
    Reader { name: "wheel_file", read: packages::wheel_file },
    Reader { name: "entry_points", read: packages::entry_points },
    Reader { name: "deflate", read: packages::deflate },
    Reader { name: "sdist_tar", read: packages::sdist_tar },
    Reader { name: "sdist_zip", read: packages::sdist_zip },
    Reader { name: "requirement", read: environment::requirement },
    Reader { name: "manifest", read: environment::manifest },
    Reader { name: "elf", read: environment::elf },
    Reader { name: "marshal", read: environment::marshal },
    Reader { name: "journal", read: artifact::journal },
    Reader { name: "oci", read: artifact::oci },
    Reader { name: "layout", read: artifact::layout },
    Reader { name: "challenge", read: registry::challenge },
    Reader { name: "registry_answer", read: registry::answer },
    Reader { name: "docker_config", read: registry::docker_config },
    Reader { name: "selection", read: cache::selection },
    Reader { name: "ledger", read: cache::ledger },
    Reader { name: "proof", read: cache::proof },
    Reader { name: "bundle", read: cache::bundle },
];

/// The value of a variable, which must not be shown.
const SECRET: &str = "hush-4711";

/// Whether a text shows the variable's value, which what was read does not have itself.
fn shows_secret(text: &str, bytes: &[u8]) -> bool {
    text.contains(SECRET) && memchr::memmem::find(bytes, SECRET.as_bytes()).is_none()
}

/// The variables there are.
fn variables() -> Env {
    Env::of([("TOKEN", SECRET), ("USER", "me"), ("EMPTY", "")])
}

/// A machine with a Python.
fn target() -> Target {
    thread_local!(static TARGET: RefCell<Option<Target>> = const { RefCell::new(None) });
    TARGET.with_borrow_mut(|known| {
        known
            .get_or_insert_with(|| {
                let description = Description {
                    python_version: "3.11.7",
                    platform: "linux/amd64",
                    python_home: Path::new("/usr/bin"),
                };
                description.target().unwrap_or_else(|error| panic!("{}", error.report()))
            })
            .clone()
    })
}

/// A refusal as it is told.
fn said<T>(result: Result<T>) -> std::result::Result<T, String> {
    result.map_err(|error| error.report())
}

fn text_of(bytes: &[u8]) -> std::result::Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {error}"))
}

/// A refusal without the directory of the file that was read, which is another each time.
fn without_place(path: &Path, read: Read) -> Read {
    let dir = path.parent().map(|dir| dir.display().to_string()).unwrap_or_default();
    read.map_err(|refusal| refusal.replace(&dir, ""))
}

/// A file with these bytes in a directory of this thread, and what comes of it.
fn with_file<T>(name: &str, bytes: &[u8], work: impl FnOnce(&Path) -> T) -> T {
    let dir = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary directory: {error}"));
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("no temporary file: {error}"));
    work(&path)
}
