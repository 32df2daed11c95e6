//! An environment that was moved works where it is.

use std::{
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use crate::support::{
    backend::lib,
    files,
    lock::Lock,
    package::Package,
    program::{clean, script},
    project::Project,
    wheel::WheelBuilder,
};
use serde_json::{Value, json};

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
    let there = files::names(&project.venv().join("bin"));
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

/// Files and links of the environment that hold this path, relative to it.
fn naming(project: &Project, place: &Path) -> Vec<PathBuf> {
    let place = place.to_str().expect("UTF-8").trim_end_matches('/').as_bytes();
    let names = |path: &PathBuf| {
        let bytes = if path.is_symlink() {
            fs::read_link(path).expect("a link").as_os_str().as_bytes().to_vec()
        } else {
            fs::read(path).expect("a file")
        };
        bytes.windows(place.len()).any(|window| window == place)
    };
    let relative = |path: PathBuf| path.strip_prefix(project.venv()).expect("inside").to_owned();
    files::below(&project.venv()).into_iter().filter(names).map(relative).collect()
}

/// A project with scripts of every kind and `lib`, which is this entry of the lock.
fn with_lib(entry: Value) -> Project {
    let project = Project::with_wheels(&[scripts()]);
    project.lock(&Lock::new().package(&scripts()).entry("default", "lib", entry));
    project
}

#[test]
fn nothing_in_an_environment_names_the_place_where_it_was_made() {
    let ways: [&[&str]; 7] = [
        &[],
        &["--no-editable"],
        &["--compile"],
        &["--compile=timestamp", "--copies", "--no-editable"],
        &["--seed"],
        &["--no-editable", "--at", "/opt/app/.venv"],
        &["--no-editable", "--compile", "--copies", "--at", "/opt/app/.venv"],
    ];
    for args in ways {
        let project = with_lib(json!({"path": "./lib", "editable": true}));
        project.plant("project/lib", &lib("here"));
        project.sync_with(args).succeeds();
        let named = naming(&project, &project.path(""));
        assert!(named.is_empty(), "{args:?}: {named:?}");
    }
}

#[test]
fn an_editable_project_that_does_not_move_along_is_named_in_a_warning() {
    let warned_of = |project: &Project, place: &Path| {
        let named = naming(project, place);
        let names: Vec<&str> = named.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["_lib.pth", "direct_url.json"], "{named:?}");
    };
    let warning = "warning: lib is editable and lies in {root}/LIB: the environment works only while that \
                   stays there (--no-editable installs a copy)";
    let project = with_lib(json!({"path": "../lib", "editable": true}));
    project.plant("lib", &lib("outside"));
    project.sync_with(&["--compile"]).fails(0, &[&warning.replace("LIB", "lib")]);
    warned_of(&project, &project.path(""));
    fs::rename(project.venv(), project.path("moved")).expect("moved");
    assert_eq!(script(&project.path("moved/bin/lib")), "outside");

    // With --at the environment goes elsewhere alone.
    let project = with_lib(json!({"path": "./lib", "editable": true}));
    project.plant("project/lib", &lib("left behind"));
    let at = project.path("app/.venv");
    project
        .sync_with(&["--at", at.to_str().expect("UTF-8")])
        .fails(0, &[&warning.replace("LIB", "project/lib")]);
    warned_of(&project, &project.dir());
    fs::create_dir(project.path("app")).expect("made");
    fs::rename(project.venv(), &at).expect("moved");
    assert_eq!(script(&at.join("bin/lib")), "left behind");
}

#[test]
fn at_writes_everything_for_the_place_named() {
    let long = format!("long/{}/.venv", "directory".repeat(14));
    for (place, plain) in [("app/.venv", true), ("with space/it's $HOME/.venv", false), (&*long, false)] {
        for more in [&[][..], &["--compile", "--copies"]] {
            let project = with_lib(json!({"path": "./lib"}));
            project.plant("project/lib", &lib("lib"));
            let at = project.path(place);
            project.sync_with(&[&["--at", at.to_str().expect("UTF-8")], more].concat()).succeeds();
            let first = format!("#!{}/bin/python", at.display());
            for name in ["kinds", "kinds-extra", "kinds-script", "kinds-window", "kinds-windowed", "lib"] {
                let text = fs::read_to_string(project.venv().join("bin").join(name)).expect("a script");
                let expected = if plain { &first } else { "#!/bin/sh" };
                assert_eq!(text.lines().next(), Some(expected), "{name} {place}");
            }
            // Activators name it, wherever they lie.
            for (shell, word) in
                [("dash", "."), ("bash", "."), ("zsh", "."), ("fish", "source"), ("tcsh", "source")]
            {
                let end = match shell {
                    "fish" => ".fish",
                    "tcsh" => ".csh",
                    _ => "",
                };
                let line = format!("{word} ./activate{end}; printenv VIRTUAL_ENV");
                let mut command = clean(Path::new(shell));
                // What was not moved yet has no environment at the place named.
                fs::create_dir_all(at.join("bin")).expect("made");
                fs::write(at.join("pyvenv.cfg"), "").expect("written");
                command.current_dir(project.venv().join("bin")).env("HOME", project.path("home"));
                let output = command.args(["-c", &line]).output().expect("the shell is needed");
                let said = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
                assert_eq!(said, at.to_str().expect("UTF-8"), "{shell} {output:?}");
            }
            fs::remove_dir_all(&at).expect("removed");
            fs::rename(project.venv(), &at).expect("moved");
            all_run(&at);
            assert_eq!(script(&at.join("bin/lib")), "lib");
        }
    }
}

#[test]
fn at_must_be_absolute() {
    Project::with_wheels(&[scripts()]).sync_with(&["--at", ".venv"]).ends(
        2,
        &[
            "error: --at .venv is not absolute",
            "  help: name the place where the environment will live, such as --at /.venv",
        ],
    );
}

#[test]
fn the_interpreter_may_be_elsewhere_at_run_time() {
    for compile in [&[][..], &["--compile"]] {
        let project = Project::with_wheels(&[scripts()]);
        let home = project.path("runtime/bin");
        let exe = home.join("python3");
        let (home, exe) = (home.to_str().expect("UTF-8"), exe.to_str().expect("UTF-8"));
        let config = || fs::read_to_string(project.venv().join("pyvenv.cfg")).expect("a file");
        let link = || fs::read_link(project.venv().join("bin/python")).expect("a link");
        let arguments: [&[&str]; 2] = [&["--python-home", home], &["--python-exe", exe]];
        for args in arguments {
            project.sync_with(&[args, compile].concat()).succeeds();
            assert!(config().contains(&format!("home = {home}\n")), "{}", config());
            assert_eq!(link().parent(), Some(Path::new(home)), "{args:?}");
            assert!(!fs::exists(project.path("runtime")).expect("known"), "only named, not looked at");
            std::os::unix::fs::symlink("/usr", project.path("runtime")).expect("linked");
            all_run(&project.venv());
            fs::remove_file(project.path("runtime")).expect("removed");
        }
        project
            .sync_with(&[&["--python-home", "/opt/py/bin", "--python-exe", exe], compile].concat())
            .succeeds();
        assert!(config().contains("home = /opt/py/bin\n"), "{}", config());
        assert_eq!(link(), Path::new(exe));
        project
            .sync_with(&["--python-exe", "bin/python"])
            .fails(2, &["error: the interpreter's place at run time is bin/python, which is not absolute"]);
    }
}
