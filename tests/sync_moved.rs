//! An environment that was moved works where it is.

#[path = "support/project.rs"]
mod project;
#[path = "support/server.rs"]
mod server;
#[path = "support/wheel.rs"]
mod wheel;

use std::{fs, path::Path};

use project::{Package, Project, script};
use wheel::WheelBuilder;

/// Scripts of every kind; each prints its own prefix.
fn scripts() -> Package {
    const PREFIX: &str = "import sys\nprint(sys.prefix)\n";
    Package::new(
        &WheelBuilder::new("kinds", "1.0")
            .file(
                "kinds/__init__.py",
                "import sys\n\nclass Place:\n    def show(self): print(sys.prefix)\n\nplace = Place()\n",
            )
            .entry_points(
                "[console_scripts]\nkinds = kinds:place.show\nkinds-extra = kinds:place.show [more]\n\
                 [gui_scripts]\nkinds-window = kinds:place.show\n",
            )
            .data("scripts/kinds-script", format!("#!python\n{PREFIX}"))
            .data("scripts/kinds-windowed", format!("#!pythonw\n{PREFIX}"))
            .data("scripts/kinds-shell", "#!/bin/sh\ncd \"$(dirname \"$0\")/..\" && pwd -P\n"),
    )
}

const NAMES: [&str; 6] =
    ["kinds", "kinds-extra", "kinds-script", "kinds-shell", "kinds-window", "kinds-windowed"];

#[track_caller]
fn all_run(venv: &Path) {
    let real = fs::canonicalize(venv).expect("a path");
    for name in NAMES {
        assert_eq!(script(&venv.join("bin").join(name)), real.to_str().expect("UTF-8"), "{name}");
    }
}

#[test]
fn every_script_runs_after_the_environment_was_moved() {
    let project = Project::with_wheels(&[scripts()]);
    project.sync().succeeds();
    let there = project::names(&project.venv().join("bin"));
    let ours: Vec<&str> = there.iter().map(String::as_str).filter(|name| name.starts_with("kinds")).collect();
    assert_eq!(ours, NAMES);
    all_run(&project.venv());
    for place in ["moved", "with space/it's \"quoted\" $HOME `x` \\ ü", "a/b/c/../venv"] {
        let to = project.path(place);
        fs::create_dir_all(to.parent().expect("a parent")).expect("made");
        fs::rename(project.venv(), &to).expect("moved");
        all_run(&to);
        fs::rename(&to, project.venv()).expect("moved back");
    }
    project.sync().says(&[".venv is up to date (1 package)"]);
}

#[test]
fn every_script_runs_when_called_through_a_link() {
    let project = Project::with_wheels(&[scripts()]);
    project.sync().succeeds();
    let links = project.path("links");
    fs::create_dir(&links).expect("made");
    for name in NAMES.into_iter().filter(|name| *name != "kinds-shell") {
        std::os::unix::fs::symlink(project.venv().join("bin").join(name), links.join(name)).expect("linked");
        assert_eq!(
            script(&links.join(name)),
            fs::canonicalize(project.venv()).expect("a path").to_str().expect("UTF-8")
        );
    }
}

#[test]
fn a_project_in_a_directory_with_a_difficult_name_can_be_synced() {
    let project = Project::with_wheels(&[scripts()]);
    let odd = project.path("it's \"odd\" #1 %20 ü");
    fs::rename(project.dir(), &odd).expect("moved");
    let mut command = project.command(&["sync", "--find-links", "../wheels"]);
    project.finish(command.current_dir(&odd)).succeeds();
    all_run(&odd.join(".venv"));
}

#[test]
fn at_writes_scripts_for_the_place_named() {
    let project = Project::with_wheels(&[scripts()]);
    project.sync_with(&["--at", "/opt/app/.venv"]).succeeds();
    let text = fs::read_to_string(project.venv().join("bin/kinds")).expect("a script");
    assert_eq!(text.lines().next(), Some("#!/opt/app/.venv/bin/python"));
}
