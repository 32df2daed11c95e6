//! What an environment holds, as a file of its own: rendered, parsed, compared with what is there.

mod check;
mod digest;
pub(crate) mod text;

pub use check::{Change, Changed, Check, is_current, verify};
pub use digest::tree_digest;
pub use text::{MANIFEST, render as render_manifest};
