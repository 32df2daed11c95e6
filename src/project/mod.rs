//! What is asked, and for whom: interpreters, locks, credentials.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub mod python;
pub mod lock;
pub mod auth;
