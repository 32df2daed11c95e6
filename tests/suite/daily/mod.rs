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

use crate::support::{package::Package, project::Project, run::Run};

/// A project with an environment that has `demo`, and no Pipfile.
fn with_demo() -> Project {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    project.sync().succeeds();
    project
}

#[track_caller]
fn prints(run: &Run, expected: &str) {
    run.says(&[]);
    assert_eq!(run.stdout, expected);
}

/// pipenv, of which `tests/tools.txt` names the version that all is compared with.
fn pipenv() -> std::path::PathBuf {
    crate::support::program::tool("pipenv")
}
