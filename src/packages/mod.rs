//! How packages come here: requests, the cache, indexes, files, wheels, and builds of what has no wheel.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub(crate) mod http;
pub(crate) mod cache;
pub(crate) mod index;
pub(crate) mod fetch;
pub(crate) mod wheel;
pub(crate) mod sdist;
