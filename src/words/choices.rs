//! What is chosen by a word on the command line and decides something in a room below: one enum for both.

use clap::ValueEnum;

/// What the interpreter compares bytecode with before it takes it (PEP 552).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Invalidation {
    /// Nothing: the fastest import.
    Unchecked,
    /// The source's hash: an edited module counts.
    Checked,
    /// The source's size and time, as without venvoy.
    Timestamp,
}

impl Invalidation {
    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Invalidation::Unchecked => "unchecked",
            Invalidation::Checked => "checked",
            Invalidation::Timestamp => "timestamp",
        }
    }
}

/// Which container engine is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

impl EngineKind {
    /// Its word on the command line, which its program is called as well.
    pub(crate) fn name(self) -> &'static str {
        match self {
            EngineKind::Docker => "docker",
            EngineKind::Podman => "podman",
        }
    }
}

/// Which form a list of what is inside has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SbomFormat {
    /// CycloneDX 1.6, in JSON.
    Cyclonedx,
    /// SPDX 2.3, in JSON.
    Spdx,
}

/// How files get from the cache into the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LinkMode {
    /// Hard link where the cache is on the same file system, else reflink (macOS: the other way round), else unpack, but for
    /// entries of 64 MiB or more: from the second time on they are kept unpacked and copied.
    #[default]
    Auto,
    /// Share blocks with the cache's unpacked copy (btrfs, xfs).
    Reflink,
    /// Hard-link the cache's unpacked copy.
    Hardlink,
    /// Keep an unpacked copy in the cache and copy that: faster than inflating, where the cache has room.
    Copy,
    /// Inflate from the cached wheel.
    Unpack,
}

/// What `--slim` can leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum SlimKind {
    /// Directories `tests` and `test` inside packages, unless code imports them.
    Tests,
    /// Bytecode that wheels ship beside its source.
    Pyc,
    /// Type stubs: `.pyi` beside its module, and packages of nothing but stubs.
    Stubs,
    /// Manual pages, share/doc, share/info; README and CHANGES inside packages. Licences stay.
    Docs,
    /// C headers, `.pxd`, static libraries; needed where packages compile at run time (torch.compile, cffi).
    Headers,
    /// Symbol tables and debug sections of shared objects (ELF).
    Strip,
}

impl SlimKind {
    /// All of them, in the order in which a file that is of several kinds is counted.
    pub const ALL: [SlimKind; 6] =
        [SlimKind::Tests, SlimKind::Pyc, SlimKind::Stubs, SlimKind::Docs, SlimKind::Headers, SlimKind::Strip];

    /// Its word on the command line.
    pub fn word(self) -> &'static str {
        match self {
            SlimKind::Tests => "tests",
            SlimKind::Pyc => "pyc",
            SlimKind::Stubs => "stubs",
            SlimKind::Docs => "docs",
            SlimKind::Headers => "headers",
            SlimKind::Strip => "strip",
        }
    }
}

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Slim(u8);

impl Slim {
    /// What nothing can miss at run time: all but headers, which packages that compile while they run need
    /// (torch.compile, triton, cupy, cffi).
    pub(crate) const SAFE: Slim = Slim(0b10_1111);

    /// [`Slim::SAFE`] as it is typed: what `--slim` alone means.
    pub(crate) const SAFE_WORDS: &str = "tests,pyc,stubs,docs,strip";

    /// Every kind.
    pub(crate) const ALL: Slim = Slim(0b11_1111);

    /// Whether nothing is left out.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `kind` is left out.
    pub(crate) fn contains(self, kind: SlimKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// The kinds, in [`SlimKind::ALL`]'s order.
    pub(crate) fn kinds(self) -> impl Iterator<Item = SlimKind> {
        SlimKind::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }

    /// Whether deciding takes what the code says, not paths alone.
    pub(crate) fn reads_code(self) -> bool {
        [SlimKind::Tests, SlimKind::Stubs, SlimKind::Docs].into_iter().any(|kind| self.contains(kind))
    }
}

impl FromIterator<SlimKind> for Slim {
    fn from_iter<I: IntoIterator<Item = SlimKind>>(kinds: I) -> Self {
        Slim(kinds.into_iter().fold(0, |set, kind| set | 1 << kind as u8))
    }
}

impl std::fmt::Display for Slim {
    /// The words, separated by commas.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, kind) in self.kinds().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}", kind.word())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_safe_kinds_are_what_is_typed_for_them() {
        assert_eq!(Slim::SAFE.to_string(), Slim::SAFE_WORDS);
    }
}
