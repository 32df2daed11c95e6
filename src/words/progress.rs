//! What a run tells while it is at work, to a terminal, a log or a table of timings.

use std::time::Instant;

use serde::Serialize;

/// A part of the work on one package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Its file is chosen, for which an index may be asked.
    Index,
    /// Its file is fetched, and digested as it comes.
    Download,
    /// Its file is in the cache and is opened.
    Open,
    /// It is built from source.
    Build,
    /// It is unpacked while others are still fetched.
    Unpack,
    /// It is put into a layer, which is digested, and compressed where it is not yet.
    Compress,
    /// A blob is sent to a registry.
    Push,
}

impl Part {
    /// What it is called.
    pub fn word(self) -> &'static str {
        match self {
            Part::Index => "index",
            Part::Download => "download",
            Part::Open => "open",
            Part::Build => "build",
            Part::Unpack => "unpack",
            Part::Compress => "compress",
            Part::Push => "push",
        }
    }
}

/// Whoever watches a run.
pub trait Progress: Sync {
    /// Something the user should hear that stops nothing. The same text is said once.
    fn warn(&self, warning: &str);
    /// A detail, for those who asked for them.
    fn detail(&self, message: &str);
    /// A server is about to be asked.
    fn request(&self, url: &url::Url);
    /// So many of the stage's packages are there.
    fn packages(&self, done: usize, of: usize);
    /// A new stage begins, with so many bytes to go through.
    fn stage(&self, name: &str, total_bytes: u64);
    /// The stage turns out to have more bytes to go through.
    fn expect(&self, bytes: u64);
    /// So many bytes of the stage are done.
    fn advance(&self, bytes: u64);
    /// A package is being built from now on: `what` names it.
    fn build_begins(&self, what: &str);
    /// It is no longer being built.
    fn build_ends(&self, what: &str);
    /// Time passes while a build runs: called several times a second.
    fn tick(&self);
    /// A part of the work on a package that began then is done, over so many bytes. Only who measures listens.
    fn part(&self, _package: &str, _part: Part, _began: Instant, _bytes: u64) {}
}
