//! `Pipfile`, `Pipfile.lock` and `pylock.toml`: bytes in, [`Lock`] out. Pure: environment variables come in
//! as values.

mod contents;
mod damage;
pub(crate) mod dotenv;
mod entry;
mod expand;
mod freshness;
mod install_order;
mod parse;
mod pipfile;
mod pylock;
mod read_entry;
pub(crate) mod requirements;
mod requires;
mod scripts;
mod select;
mod source;
#[cfg(test)]
mod tests;

pub use entry::{Entry, EntryOrigin, Hashes, Pin, Vcs, VcsKind};
pub(crate) use entry::{PinnedFile, Turn};
pub use parse::Lock;
pub use pipfile::Pipfile;
pub(crate) use pylock::parse_pylock;
pub(crate) use requires::Requires;
pub(crate) use scripts::{Script, Scripts};
pub(crate) use select::{Choose, Selection, Skipped, select};
pub(crate) use source::{Source, is_public_index};
