//! The tests that run venvoy as its users do, and those of its rooms that need servers, shells or interpreters: one
//! binary, so that they are linked once and the slow ones overlap. `CONTRIBUTING.md` says where a new one goes.

// Nothing is outside of a binary of tests.
#![allow(unreachable_pub)]

mod support;

mod builds;
mod corpus;
mod daily;
mod docs;
mod fuzz;
mod itself;
mod net;
mod pack;
mod private;
mod scripts;
mod sync;
mod warm;
