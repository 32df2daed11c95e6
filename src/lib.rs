//! venvoy compiles a `Pipfile.lock` into a virtual environment that can be moved.
//!
//! Data goes one way: lock, target, index, fetch, (build), wheel, layout, write. Each module is a room
//! that sees the types of the rooms before it; `sync` carries values from one to the next.

#[cfg(not(unix))]
compile_error!("venvoy runs on Linux and macOS; Windows hosts are not supported yet");

pub mod args;
pub mod assemble;
pub mod auth;
pub mod build;
pub mod bytecode;
pub mod cache;
pub mod cli;
pub mod commands;
pub mod env;
pub mod error;
#[cfg(test)]
#[path = "../tests/support/executable.rs"]
mod executable;
pub mod fetch;
pub mod http;
pub mod index;
pub mod inputs;
pub mod interrupt;
pub mod layout;
pub mod lock;
pub mod manifest;
pub mod options;
pub mod progress;
pub mod script;
pub mod size;
pub mod strip;
pub mod supply;
pub mod target;
pub mod vocab;
pub mod wheel;
pub mod write;
