//! `pack`: what an environment becomes instead of a directory.

mod base;
mod image;
mod push;
mod registry;
