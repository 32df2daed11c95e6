//! Where it goes.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub mod write;
pub mod registry;
pub mod engine;
pub mod sbom;
pub mod pack;
