//! Which kind of file a path names: code, bytecode, a library, a test, ...

use serde::Serialize;

use crate::environment::layout::{is_doc, is_header, is_shared_object};

/// What a file is, by its name and place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FileKind {
    /// Python source.
    Code,
    /// Shared objects and other machine code.
    Native,
    /// `.pyc`.
    Bytecode,
    /// Whatever lies in a directory of tests.
    Tests,
    /// `.pyi`.
    Stubs,
    /// What only compilers read.
    Headers,
    /// Manual pages, READMEs.
    Docs,
    /// What packages read.
    Data,
    /// `.dist-info`, `.egg-info`, and what makes an environment one.
    Metadata,
    /// What is in `bin`.
    Scripts,
}

impl FileKind {
    /// All of them.
    pub(crate) const ALL: [FileKind; 10] = [
        FileKind::Code,
        FileKind::Native,
        FileKind::Bytecode,
        FileKind::Tests,
        FileKind::Stubs,
        FileKind::Headers,
        FileKind::Docs,
        FileKind::Data,
        FileKind::Metadata,
        FileKind::Scripts,
    ];

    /// Its word, as in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            FileKind::Code => "code",
            FileKind::Native => "native",
            FileKind::Bytecode => "bytecode",
            FileKind::Tests => "tests",
            FileKind::Stubs => "stubs",
            FileKind::Headers => "headers",
            FileKind::Docs => "docs",
            FileKind::Data => "data",
            FileKind::Metadata => "metadata",
            FileKind::Scripts => "scripts",
        }
    }

    /// The kind of the file at `path`, which is relative to the environment as `site` is.
    pub(super) fn of(path: &str, site: &str, in_tests: bool) -> Self {
        let inner = path.strip_prefix(site).and_then(|rest| rest.strip_prefix('/'));
        let top = inner.and_then(|inner| inner.split_once('/')).map_or("", |(top, _)| top);
        let ends = |end: &str| path.ends_with(end);
        if in_tests {
            FileKind::Tests
        } else if top.ends_with(".dist-info")
            || ends(".egg-info")
            || top.ends_with(".egg-info")
            || !path.contains('/')
        {
            FileKind::Metadata
        } else if ends(".pyc") {
            FileKind::Bytecode
        } else if path.starts_with("bin/") {
            FileKind::Scripts
        } else if ends(".pyi") {
            FileKind::Stubs
        } else if ends(".py") {
            FileKind::Code
        } else if is_shared_object(path) || ends(".dylib") {
            FileKind::Native
        } else if is_header(path) {
            FileKind::Headers
        } else if is_doc(path, inner.is_some()) {
            FileKind::Docs
        } else {
            FileKind::Data
        }
    }
}
