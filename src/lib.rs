//! venvoy compiles a `Pipfile.lock` into a virtual environment that can be moved.
//!
//! The house has floors, and each floor has rooms: a room uses only rooms above it, on its own floor (in the
//! order of the floor's `mod.rs`) or on the floors listed before. `rooms.rs` holds it to that.

#[cfg(not(unix))]
compile_error!("venvoy runs on Linux and macOS; Windows hosts are not supported yet");

#[cfg(test)]
#[path = "../tests/suite/support/executable.rs"]
mod executable;
#[cfg(test)]
mod rooms;

pub mod words;
pub mod project;
pub mod packages;
pub mod environment;
pub mod artifact;
pub mod run;

#[doc(hidden)]
pub mod fuzzing;
