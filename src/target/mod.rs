//! What an environment is made for: an interpreter, or a description of one.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::vocab::{MarkerEnv, RelPath};

/// The interpreter an environment is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The base interpreter that `bin/python` links to: absolute, never one inside a virtual environment.
    pub executable: PathBuf,
    /// The directory `pyvenv.cfg` gives as `home` (where `executable` is).
    pub home: PathBuf,
    /// Marker values (PEP 508).
    pub markers: MarkerEnv,
    /// Compatibility tags, best first, as `packaging.tags.sys_tags()` orders them.
    pub tags: Tags,
    /// `(major, minor, micro)`.
    pub version: (u8, u8, u8),
    /// `cpython`, `pypy`.
    pub implementation: String,
    /// A free-threaded CPython (its `site-packages` lies under `lib/python3.13t`).
    pub free_threaded: bool,
    /// `sys.implementation.cache_tag`, such as `cpython-311`.
    pub cache_tag: String,
    /// Where purelib and platlib go, such as `lib/python3.11/site-packages`.
    pub site_packages: RelPath,
    /// Where a distribution's headers go (its name follows), such as `include/site/python3.11`.
    pub include: RelPath,
    /// Whether a `lib64 -> lib` link is made (64-bit Linux CPython, as `venv` does).
    pub lib64: bool,
}

/// Compatibility tags (PEP 425), best first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags(pub Vec<Tag>);

/// One `python-abi-platform` triple.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub struct Tag {
    pub python: String,
    pub abi: String,
    pub platform: String,
}
