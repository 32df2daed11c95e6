//! Real locks.

mod locks;
mod sources;
