//! What stands in for pipenv every day: commands that only read, and `run`.

mod beside_pipenv;
mod commands;
mod diff;
mod distribution;
mod doctor;
mod graph;
mod questions;
mod requirements;
mod run;
mod timings;
mod upstream;

/// pipenv, of which `tests/tools.txt` names the version that all is compared with.
fn pipenv() -> std::path::PathBuf {
    crate::support::program::tool("pipenv")
}
