//! What an environment holds, as a file of its own: rendered, parsed, compared with what is there.

mod check;
pub(crate) mod condition;
mod digest;
pub(crate) mod text;

pub(crate) use check::{Check, is_current, verify, verify_listed};
pub(crate) use condition::Condition;
pub(crate) use digest::tree_digest;
pub(crate) use text::{JOURNAL, MANIFEST, described, render as render_manifest};
