//! `pack`: what an environment becomes instead of a directory.

mod base;
mod image;
mod inside;
mod push;
mod python;
mod quirks;
pub mod registry;
