//! What it becomes: launchers, the plan, stripped libraries, bytecode, the manifest; and what is there already.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub mod script;
pub mod layout;
pub mod strip;
pub mod bytecode;
pub mod manifest;
pub mod installed;
