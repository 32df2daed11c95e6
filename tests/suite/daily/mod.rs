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

/// pipenv, of which `tests/tools.txt` names the version that all is compared with.
fn pipenv() -> std::path::PathBuf {
    let tools = std::env::var_os("VENVOY_TEST_TOOLS")
        .expect("VENVOY_TEST_TOOLS: tests/run installs pipenv and names the place");
    std::path::Path::new(&tools).join("pipenv")
}
