//! What wheels become: launchers, the plan, stripped libraries, bytecode, checked bytes, the manifest; and what an environment
//! that is there holds.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub(crate) mod script;
pub(crate) mod layout;
pub(crate) mod strip;
pub(crate) mod bytecode;
pub(crate) mod content;
pub(crate) mod manifest;
pub(crate) mod installed;
