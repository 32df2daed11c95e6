//! What is had: requests, the cache, indexes, files, wheels, and builds of what has no wheel.
//!
//! A room uses only those above it in this list, and the floors before this one.

pub mod http;
pub mod cache;
pub mod index;
pub mod fetch;
pub mod wheel;
pub mod sdist;
