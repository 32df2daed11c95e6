//! venvoy compiles a `Pipfile.lock` into a virtual environment that can be moved.
//!
//! The six public-in-crate modules below are called floors, and the modules in each of them rooms. A room uses only rooms that
//! are listed before it: on its own floor (in the order of the floor's `mod.rs`), or on the floors before. A test in `rooms.rs`
//! reads the imports and fails where that is not so.

#[cfg(not(unix))]
compile_error!("venvoy runs on Linux and macOS; Windows hosts are not supported yet");

#[cfg(test)]
#[allow(unreachable_pub)]
#[path = "../tests/suite/support/executable.rs"]
mod executable;
#[cfg(test)]
mod rooms;

pub(crate) mod words;
pub(crate) mod project;
pub(crate) mod packages;
pub(crate) mod environment;
pub(crate) mod artifact;
pub(crate) mod run;

#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub mod inside;

pub use run::cli::run;
