//! The index room: pages as servers write them, and the choice among what they list.

mod choice;
mod hostile;
mod html;
mod json;
mod page;
mod records;
mod refusal;
mod sdist_name;

use std::{fmt, path::Path};

use super::*;
use crate::{
    project::{
        lock::Pin,
        python::{Description, Target},
    },
    words::{error::Result, vocab::PackageName},
};

/// Where the pages of these tests come from.
const PAGE: &str = "https://index.example/simple/demo/";
const SHA: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

const WHEEL: &str = "demo-1.0-py3-none-any.whl";
const SDIST: &str = "demo-1.0.tar.gz";

fn url(text: &str) -> Url {
    text.parse().expect(text)
}

fn sha() -> Sha256 {
    SHA.parse().expect(SHA)
}

/// What a page lists, its answer being of the given type.
fn listed(content_type: &str, body: impl AsRef<[u8]>) -> Vec<IndexFile> {
    parse_page(Some(content_type), body.as_ref(), &url(PAGE)).unwrap_or_else(|e| panic!("{}", e.report()))
}

fn names(files: &[IndexFile]) -> Vec<&str> {
    files.iter().map(|file| file.filename.as_str()).collect()
}

/// A file with a digest that only its name decides.
fn file(name: &str) -> IndexFile {
    IndexFile {
        filename: name.to_owned(),
        url: url("https://files.example/").join(name).expect(name),
        sha256: Some(Sha256::of(name.as_bytes())),
        requires_python: None,
        yanked: None,
        size: None,
    }
}

fn files<const N: usize>(names: [&str; N]) -> Vec<IndexFile> {
    names.into_iter().map(file).collect()
}

impl IndexFile {
    /// As an index lists it that gives md5 or nothing.
    fn unhashed(self) -> Self {
        IndexFile { sha256: None, ..self }
    }

    /// The same name with other bytes.
    fn rebuilt(self) -> Self {
        IndexFile { sha256: Some(Sha256::of(b"rebuilt")), ..self }
    }

    fn requires(self, python: &str) -> Self {
        IndexFile { requires_python: Some(python.to_owned()), ..self }
    }

    fn yanked(self, reason: &str) -> Self {
        IndexFile { yanked: Some(reason.to_owned()), ..self }
    }
}

/// CPython 3.11.7 on x86-64 with glibc 2.28.
fn target() -> Target {
    described("3.11.7")
}

fn described(python_version: &str) -> Target {
    let home = Path::new("/usr/local/bin");
    let description = Description { python_version, platform: "linux/amd64", python_home: home };
    description.target().unwrap_or_else(|error| panic!("{}", error.report()))
}

/// What a lock asks for, of the package `demo` unless told otherwise.
#[derive(Clone)]
struct Ask {
    name: PackageName,
    pin: Pin,
    hashes: Hashes,
    no_binary: bool,
    only_binary: bool,
    allow_unhashed: bool,
    target: Target,
}

/// An entry of a lock with this version, without digests.
fn ask(version: &str) -> Ask {
    let pin = if version == "*" {
        Pin::Any
    } else if version.ends_with(".*") {
        Pin::Range(version.parse().expect(version))
    } else if let Some(text) = version.strip_prefix("===") {
        Pin::Arbitrary(text.to_owned())
    } else if let Some(text) = version.strip_prefix("==") {
        Pin::Exact(text.parse().expect(text))
    } else {
        Pin::Range(version.parse().expect(version))
    };
    Ask {
        name: "demo".parse().expect("a name"),
        pin,
        hashes: Hashes::default(),
        no_binary: false,
        only_binary: false,
        allow_unhashed: false,
        target: target(),
    }
}

/// Without the target, whose tags would fill pages.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.request())
    }
}

impl Ask {
    fn request(&self) -> Pinned<'_> {
        Pinned {
            name: &self.name,
            pin: &self.pin,
            hashes: &self.hashes,
            no_binary: self.no_binary,
            only_binary: self.only_binary,
            allow_unhashed: self.allow_unhashed,
        }
    }

    fn named(self, name: &str) -> Self {
        Ask { name: name.parse().expect(name), ..self }
    }

    /// With the digests that [`file`] gives to these names.
    fn pinning<const N: usize>(mut self, names: [&str; N]) -> Self {
        self.hashes.sha256.extend(names.map(|name| Sha256::of(name.as_bytes())));
        self
    }

    fn with_other_hashes<const N: usize>(mut self, hashes: [&str; N]) -> Self {
        self.hashes.other.extend(hashes.map(str::to_owned));
        self
    }

    fn no_binary(self) -> Self {
        Ask { no_binary: true, ..self }
    }

    fn only_binary(self) -> Self {
        Ask { only_binary: true, ..self }
    }

    fn allow_unhashed(self) -> Self {
        Ask { allow_unhashed: true, ..self }
    }

    fn on(self, target: Target) -> Self {
        Ask { target, ..self }
    }

    fn choose(&self, files: &[IndexFile]) -> Result<Choice> {
        choose(&self.request(), files, &self.target)
    }

    fn answer(&self, files: &[IndexFile]) -> Choice {
        self.choose(files).unwrap_or_else(|error| panic!("{}", error.report()))
    }

    /// The chosen file's name and what the user hears.
    fn chosen(&self, files: &[IndexFile]) -> (String, Vec<String>) {
        match self.answer(files) {
            Choice::Wheel { file, name, warnings } => {
                assert_eq!(name.file_name, file.filename);
                (file.filename, warnings.0)
            }
            Choice::Sdist { file, warnings, .. } => (file.filename, warnings.0),
            Choice::NeedDigests(wanted) => panic!("digests are wanted of {:?}", names(&wanted)),
        }
    }

    /// The chosen file's name, where there is nothing to hear.
    fn name(&self, files: &[IndexFile]) -> String {
        let (name, warnings) = self.chosen(files);
        assert_eq!(warnings, Vec::<String>::new());
        name
    }

    /// The names of the files whose digests are wanted.
    fn wanted(&self, files: &[IndexFile]) -> Vec<String> {
        match self.answer(files) {
            Choice::NeedDigests(wanted) => wanted.into_iter().map(|file| file.filename).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn report(&self, kind: crate::words::error::Kind, files: &[IndexFile]) -> String {
        let error = self.choose(files).expect_err("nothing can be chosen");
        assert_eq!(error.kind(), kind);
        error.report()
    }
}
