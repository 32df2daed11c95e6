//! What goes where: wheels and a target give a [`Plan`]. Conflicts are decided here. Pure.

use std::sync::Arc;

use crate::{
    vocab::{PackageName, RelPath, Sha256, Version},
    wheel::Wheel,
};

/// Every path of an environment: what `write` puts on disk and `pack` into an archive.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// The distributions, sorted by name; other parts refer to them by position.
    pub dists: Vec<PlannedDist>,
    /// Every directory, parents before children, sorted. The root itself is not among them.
    pub dirs: Vec<RelPath>,
    /// Every regular file, sorted by path, each path once.
    pub files: Vec<PlanFile>,
    /// Every symbolic link, sorted by path.
    pub links: Vec<PlanLink>,
}

/// A distribution of a plan.
#[derive(Debug, Clone)]
pub struct PlannedDist {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// The wheel it is unpacked from.
    pub wheel: Arc<Wheel>,
    /// Its dist-info directory in the environment.
    pub dist_info: RelPath,
}

/// A regular file of a plan.
#[derive(Debug, Clone)]
pub struct PlanFile {
    /// Where it goes, relative to the environment.
    pub path: RelPath,
    /// The distribution whose RECORD lists it; `None` for the environment's own (activators, pyvenv.cfg).
    pub dist: Option<usize>,
    /// Where its bytes come from.
    pub origin: Origin,
    /// 0755 rather than 0644.
    pub executable: bool,
}

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub enum Origin {
    /// An entry of the wheel of a distribution: positions in [`Plan::dists`] and `Wheel::entries`.
    Entry {
        /// Position of the distribution whose wheel holds the bytes.
        dist: usize,
        /// Position in its `entries`.
        entry: usize,
    },
    /// An entry whose first line (`#!python...`) is replaced by `head`; the line's bytes up to its end
    /// are dropped, the rest follows as it is.
    Script {
        /// Position of the distribution whose wheel holds the bytes.
        dist: usize,
        /// Position in its `entries`.
        entry: usize,
        /// What stands in place of the first line for a `#!python` script.
        console: Arc<[u8]>,
        /// What stands in its place for a `#!pythonw` script.
        gui: Arc<[u8]>,
    },
    /// Bytes made by `script` or `layout`.
    Bytes(Arc<[u8]>),
    /// The RECORD of the distribution, made from what was written.
    Record {
        /// Position in [`Plan::dists`].
        dist: usize,
    },
}

/// A symbolic link of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanLink {
    /// Where it goes.
    pub path: RelPath,
    /// What it points to, exactly as stored in the link.
    pub target: String,
}

/// A file's digest and size after it was written: a row of RECORD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The digest of the bytes as written.
    pub sha256: Sha256,
    /// The size in bytes.
    pub size: u64,
}
