//! Entries in, opened wheels out: which file each entry is, and how it comes here.

pub(crate) mod builder;
mod download;
mod lower;
pub(crate) mod obtain;
pub(crate) mod pages;
pub(crate) mod resolve;
pub(crate) mod seed;
pub(crate) mod session;
pub(crate) mod sources;
pub(crate) mod work;
pub(crate) mod workshop;
