//! `pack`: what an environment becomes instead of a directory.

mod base;
mod diff;
mod image;
mod inside;
mod lazy;
mod output;
mod push;
mod python;
mod quirks;
pub mod registry;
