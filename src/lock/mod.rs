//! `Pipfile` and `Pipfile.lock`: bytes in, [`Lock`] out. Pure: environment variables come in as values.

mod entry;

pub use entry::{Entry, Hashes, Origin, Pin, Vcs, VcsKind};
