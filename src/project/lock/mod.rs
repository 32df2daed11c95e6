//! `Pipfile`, `Pipfile.lock` and `pylock.toml`: bytes in, [`Lock`] out. Pure: environment variables come in
//! as values.

mod contents;
mod damage;
pub mod dotenv;
mod entry;
mod expand;
mod freshness;
mod install_order;
mod parse;
mod pipfile;
mod pylock;
mod read_entry;
pub mod requirements;
mod requires;
mod scripts;
mod select;
mod source;
#[cfg(test)]
mod tests;

pub use entry::{Entry, EntryOrigin, Hashes, Pin, PinnedFile, Turn, Vcs, VcsKind};
pub use parse::Lock;
pub use pipfile::Pipfile;
pub use pylock::parse_pylock;
pub use requires::Requires;
pub use scripts::{Script, Scripts};
pub use select::{Choose, Selection, Skipped, select};
pub use source::{Source, is_public_index};
