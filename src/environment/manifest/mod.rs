//! What an environment holds, as a file of its own: rendered, parsed, compared with what is there.

mod check;
pub(crate) mod condition;
mod digest;
pub(crate) mod text;

pub use check::{Change, Changed, Check, is_current, verify};
pub use condition::Condition;
pub use digest::tree_digest;
pub use text::{JOURNAL, MANIFEST, render as render_manifest};
