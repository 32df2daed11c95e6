//! A cache that is filled beforehand, and caches below the cache.

mod below;
mod kept;
mod locks;
