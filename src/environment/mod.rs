//! What it becomes: launchers, the plan, stripped libraries, bytecode, checked bytes, the manifest; and what is there already.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub(crate) mod script;
pub(crate) mod layout;
pub(crate) mod strip;
pub(crate) mod bytecode;
pub(crate) mod content;
pub(crate) mod manifest;
pub(crate) mod installed;
