//! Where a plan goes: directories, tars, images, registries and container engines.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub(crate) mod write;
pub(crate) mod registry;
pub(crate) mod engine;
pub(crate) mod interpreter;
pub(crate) mod sbom;
pub(crate) mod pack;
