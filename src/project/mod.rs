//! What a project asks for, and what it is made for: interpreters, locks, credentials.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub(crate) mod python;
pub(crate) mod lock;
pub(crate) mod auth;
