//! What `--slim` leaves out of an environment, decided from paths and from what the code mentions. Pure.
//!
//! Each kind is careful in its own way, so that what is left still imports:
//!
//! - a test package stays if code outside of it imports or names it (`django.test`, `astropy.tests`);
//! - bytecode goes only where its source stays;
//! - a stub goes only where the module that it describes is beside it (those of a type checker's own typeshed
//!   are its data), and unless that module reads it (`lazy_loader.attach_stub`);
//! - a README goes unless the distribution's code names it;
//! - `.dist-info` and licences always stay.

mod mentions;
mod names;
mod survey;
#[cfg(test)]
mod tests;

pub use mentions::Mentions;
pub use names::{is_doc, is_header, is_shared_object};
pub use survey::{Reading, Survey};

/// Something that an environment runs without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlimKind {
    /// Directories `tests` and `test` inside packages, with test modules in them that no code imports.
    Tests,
    /// Bytecode that wheels ship for sources that stay.
    Pyc,
    /// Type stubs: `.pyi` files beside their module, and packages of nothing but stubs (PEP 561).
    Stubs,
    /// Manual pages, `share/doc`, `share/info`, and README and CHANGES files inside packages.
    Docs,
    /// What only compilers read: C headers, Cython's `.pxd`, static libraries.
    Headers,
    /// Symbol tables and debug sections of shared objects.
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
pub struct Slim(u8);

impl Slim {
    /// What nothing can miss at run time: all but headers, which packages that compile while they run need
    /// (torch.compile, triton, cupy, cffi).
    pub const SAFE: Slim = Slim(0b10_1111);

    /// Every kind.
    pub const ALL: Slim = Slim(0b11_1111);

    /// Whether nothing is left out.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `kind` is left out.
    pub fn contains(self, kind: SlimKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }

    /// The kinds, in [`SlimKind::ALL`]'s order.
    pub fn kinds(self) -> impl Iterator<Item = SlimKind> {
        SlimKind::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }

    /// Whether deciding takes what the code says, not paths alone.
    pub fn reads_code(self) -> bool {
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

/// What is left out of one distribution. The default leaves out nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// By position in `Wheel::entries`; empty where nothing is dropped.
    pub dropped: Vec<Option<SlimKind>>,
    /// Whether its shared objects are stripped.
    pub strip: bool,
}

impl Cut {
    /// As what an entry is dropped, if it is.
    pub fn drops(&self, entry: usize) -> Option<SlimKind> {
        self.dropped.get(entry).copied().flatten()
    }
}
