//! A cache that is filled beforehand, and caches below the cache.

mod below;
mod crowd;
mod fleet;
mod kept;
mod locks;
mod pipelines;
