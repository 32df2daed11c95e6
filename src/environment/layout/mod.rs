//! What goes where: wheels and a target give a [`Plan`]. Conflicts are decided here. Pure.

mod bytecode;
mod placement;
mod plan;
mod record;
mod reserved;
mod slim;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use placement::places;
pub(crate) use plan::plan;
pub(crate) use record::{record_paths, render_record};
pub(crate) use reserved::{JOURNAL, MANIFEST};
pub(crate) use slim::{Cut, Mentions, Reading, Survey, is_doc, is_header, is_shared_object};

pub(crate) use crate::words::choices::{Slim, SlimKind};

use crate::{
    environment::script::LauncherStyle,
    packages::wheel::Wheel,
    words::vocab::{PackageName, RelPath, Sha256, Version},
};

/// Changes whenever the same wheels and target would be laid out (or slimmed) in another way: part of the key by which
/// an environment is known to be current.
pub(crate) const LAYOUT_VERSION: u32 = 3;

/// A distribution to be laid out.
#[derive(Debug, Clone)]
pub(crate) struct DistInput {
    /// Its wheel.
    pub wheel: Arc<Wheel>,
    /// Whether it was asked for by name: gives it a REQUESTED file (PEP 376, as pip).
    pub requested: bool,
    /// The contents of `direct_url.json` (PEP 610), for what came from a URL, a checkout or a directory.
    pub direct_url: Option<Vec<u8>>,
    /// Files it gets besides its wheel's or in their place, such as the `.pth` file of an editable project.
    pub extra: Vec<GivenFile>,
    /// What is left out of it (`--slim`).
    pub cut: Cut,
    /// The digest of what decides its files, see [`Plan::key`].
    pub key: Sha256,
}

impl DistInput {
    /// A wheel from an index that the lock names.
    pub(crate) fn new(wheel: Arc<Wheel>) -> Self {
        DistInput {
            wheel,
            requested: true,
            direct_url: None,
            extra: Vec::new(),
            cut: Cut::default(),
            key: Sha256::default(),
        }
    }
}

/// A file whose bytes are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GivenFile {
    /// Where it goes, relative to the environment.
    pub path: RelPath,
    /// Its contents.
    pub bytes: Arc<[u8]>,
    /// 0755 rather than 0644.
    pub executable: bool,
}

/// The environment's own: `pyvenv.cfg`, interpreter links, activators. No distribution may touch these.
#[derive(Debug, Clone, Default)]
pub(crate) struct EnvFiles {
    /// Its regular files.
    pub files: Vec<GivenFile>,
    /// Its symbolic links.
    pub links: Vec<PlanLink>,
}

/// The name of a plan: the digest of everything it was made from (selection, target, options).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct PlanKey(pub Sha256);

impl std::fmt::Display for PlanKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Every path of an environment: what `write` puts on disk and `pack` into an archive.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// Names the plan: the digest of everything it was made from.
    pub key: PlanKey,
    /// The digest of what all of its files depend on: interpreter, options.
    pub common: Sha256,
    /// The modification time of everything in it, in seconds since 1970 (UTC).
    pub mtime: i64,
    /// What was left out, in the words of [`Slim`]; nothing where nothing was.
    pub slim: String,
    /// The options that decide bytes, as words of a shell (for the manifest; not part of what is laid out).
    pub(crate) made: String,
    /// The version and the platform that describe the target, where no interpreter was asked.
    pub(crate) described: Option<(String, String)>,
    /// The distributions, in the order in which they are installed; other parts refer to them by position.
    pub dists: Vec<PlannedDist>,
    /// Every directory, parents before children, sorted. The root itself is not among them.
    pub dirs: Vec<RelPath>,
    /// Every regular file, sorted by path, each path once.
    pub files: Vec<PlanFile>,
    /// Every symbolic link, sorted by path.
    pub links: Vec<PlanLink>,
    /// Files that a distribution brings and another wrote: its RECORD lists them too, with the digest of
    /// what is on disk. Sorted; each a position in `dists` and one in `files`.
    pub shared: Vec<(usize, usize)>,
    /// What was left out, in the order of distributions and their entries.
    pub dropped: Vec<Dropped>,
}

/// A wheel's entry that is not in the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// The distribution, a position in [`Plan::dists`].
    pub dist: usize,
    /// As what it was dropped.
    pub kind: SlimKind,
    /// The size it would have had, in bytes.
    pub size: u64,
}

impl Plan {
    /// For each distribution the files its RECORD lists: positions in `files`, in their order, its RECORD
    /// among them.
    pub(crate) fn listed(&self) -> Vec<Vec<usize>> {
        let mut listed = vec![Vec::new(); self.dists.len()];
        for (at, file) in self.files.iter().enumerate() {
            if let Some(dist) = file.dist {
                listed[dist].push(at);
            }
        }
        for &(dist, at) in &self.shared {
            listed[dist].push(at);
        }
        for files in &mut listed {
            files.sort_unstable();
        }
        listed
    }
}

/// A distribution of a plan.
#[derive(Debug, Clone)]
pub(crate) struct PlannedDist {
    /// Its name.
    pub name: PackageName,
    /// Its version.
    pub version: Version,
    /// The wheel it is unpacked from.
    pub wheel: Arc<Wheel>,
    /// Its dist-info directory in the environment.
    pub dist_info: RelPath,
    /// The digest of what decides its files besides [`Plan::common`]: its entry in the lock, or its wheel.
    pub key: Sha256,
}

/// A regular file of a plan.
#[derive(Debug, Clone)]
pub(crate) struct PlanFile {
    /// Where it goes, relative to the environment.
    pub path: RelPath,
    /// The distribution whose RECORD lists it; `None` for the environment's own (activators, pyvenv.cfg).
    pub dist: Option<usize>,
    /// Where its bytes come from.
    pub origin: ContentOrigin,
    /// 0755 rather than 0644.
    pub executable: bool,
}

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub(crate) enum ContentOrigin {
    /// An entry of the wheel of a distribution: positions in [`Plan::dists`] and `Wheel::entries`.
    Entry {
        /// Position of the distribution whose wheel holds the bytes.
        dist: usize,
        /// Position in its `entries`.
        entry: usize,
    },
    /// An entry that is a shared object by its name, and is written without its symbol table and debug
    /// sections.
    Stripped {
        /// Position of the distribution whose wheel holds the bytes.
        dist: usize,
        /// Position in its `entries`.
        entry: usize,
    },
    /// An entry that [`crate::environment::script::rewrite_script`] changes if it begins with `#!python`. Never larger
    /// than [`crate::packages::wheel::STREAM_LIMIT`]: it can be held whole.
    Script {
        /// Position of the distribution whose wheel holds the bytes.
        dist: usize,
        /// Position in its `entries`.
        entry: usize,
        /// How it finds its interpreter.
        style: Arc<LauncherStyle>,
    },
    /// Bytes made by `script` or `layout`.
    Bytes(Arc<[u8]>),
    /// The bytecode of a module, made by the target's interpreter from what was written.
    Bytecode {
        /// Position of the module in [`Plan::files`].
        source: usize,
    },
    /// The RECORD of the distribution, made by [`render_record`] from what was written.
    Record {
        /// Position in [`Plan::dists`].
        dist: usize,
    },
}

/// A symbolic link of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlanLink {
    /// Where it goes.
    pub path: RelPath,
    /// What it points to, exactly as stored in the link.
    pub target: String,
}

/// A file's digest and size after it was written: a row of RECORD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// The digest of the bytes as written.
    pub sha256: Sha256,
    /// The size in bytes.
    pub size: u64,
}
