//! Distributions built from source: archives, directories, repositories.

mod local;
mod runs;
mod sdist;
mod unpack;
mod vcs;
mod vcs_programs;
