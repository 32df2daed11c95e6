//! Pages as servers write them, and the choice among their files.

mod choice;
mod page;
mod refusal;

use std::path::Path;

use url::Url;

use super::*;
use crate::{
    lock::{Hashes, Pin},
    target::{Description, Target},
    vocab::Sha256,
};

/// CPython 3.11 on x86-64 Linux with glibc 2.28.
fn target() -> Target {
    let python_home = Path::new("/usr/bin");
    let described = Description { python_version: "3.11.7", platform: "linux/amd64", python_home };
    described.target().expect("a target")
}

/// The digest that a file of this name has in these tests.
fn digest(name: &str) -> Sha256 {
    Sha256::of(name.as_bytes())
}

/// A file as an index lists it.
fn file(name: &str) -> IndexFile {
    IndexFile {
        filename: name.to_owned(),
        url: Url::parse("https://files.example/").and_then(|base| base.join(name)).expect("a URL"),
        sha256: Some(digest(name)),
        requires_python: None,
        yanked: None,
        size: None,
    }
}

fn files(names: &[&str]) -> Vec<IndexFile> {
    names.iter().map(|name| file(name)).collect()
}

/// What the lock asks of `demo`: a pin, and the files whose digests it has.
struct Ask {
    pin: Pin,
    hashes: Hashes,
    no_binary: bool,
    only_binary: bool,
    allow_unhashed: bool,
}

impl Ask {
    fn version(version: &str) -> Self {
        Ask {
            pin: Pin::Exact(version.parse().expect("a version")),
            hashes: Hashes::default(),
            no_binary: false,
            only_binary: false,
            allow_unhashed: false,
        }
    }

    fn locked(mut self, names: &[&str]) -> Self {
        self.hashes.sha256.extend(names.iter().map(|name| digest(name)));
        self
    }

    fn choose(&self, files: &[IndexFile]) -> crate::error::Result<Choice> {
        let name = "demo".parse().expect("a name");
        let request = Request {
            name: &name,
            pin: &self.pin,
            hashes: &self.hashes,
            no_binary: self.no_binary,
            only_binary: self.only_binary,
            allow_unhashed: self.allow_unhashed,
        };
        choose(&request, files, &target())
    }

    /// The name of the chosen file.
    fn chosen(&self, files: &[IndexFile]) -> String {
        match self.choose(files).map_err(|error| error.report()).expect("a choice") {
            Choice::Wheel { file, .. } | Choice::Sdist { file, .. } => file.filename,
            Choice::NeedDigests(files) => panic!("digests of {files:?}"),
        }
    }

    fn refused(&self, files: &[IndexFile]) -> String {
        self.choose(files).expect_err("refused").report()
    }
}
