//! `pack`: what an environment becomes instead of a directory.

mod image;
mod push;
