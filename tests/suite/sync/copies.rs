//! `--copies`: the interpreter is a file of the environment.

use crate::support::{
    interpreters,
    package::Package,
    program::{script, script_in, script_of_python},
    project::Project,
};
use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
    process::Command,
};

/// Where the environment's interpreter believes to be, and what of `libpython` it has loaded.
const SHOW: &str = "
import json, sys, ssl
maps = {line.split()[-1] for line in open('/proc/self/maps') if 'libpython' in line}
print(sys.prefix, sys.base_prefix, *sorted(maps), sep='\\n')";

fn show(venv: &Path) -> Vec<String> {
    script_in(venv, SHOW).lines().map(str::to_owned).collect()
}

fn is_copy(venv: &Path) {
    let meta = fs::symlink_metadata(venv.join("bin/python")).expect("it is there");
    assert!(meta.is_file() && meta.len() > 1000, "{meta:?}");
    assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o755, 315_532_800));
    assert_eq!(fs::read_link(venv.join("bin/python3")).expect("a link"), Path::new("python"));
}

#[test]
fn every_interpreter_can_be_copied_and_the_environment_moved() {
    for interpreter in interpreters::all() {
        let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
        let args = ["--copies", "--python", interpreter.to_str().expect("UTF-8")];
        project.sync_with(&args).succeeds();
        is_copy(&project.venv());
        assert_eq!(project.script("demo"), "demo 1.0");
        let base =
            Command::new(&interpreter).args(["-I", "-c", "import sys; print(sys.base_prefix)"]).output();
        let base = String::from_utf8(base.expect("it runs").stdout).expect("UTF-8");
        let venv = fs::canonicalize(project.venv()).expect("a path");
        assert_eq!(show(&venv)[..2], [venv.to_str().expect("UTF-8"), base.trim_end()]);
        project.sync_with(&args).says(&[".venv is up to date (1 package)"]);
        project.run(&[&["check"], &args[1..]].concat()).says(&[]);
        let moved = fs::canonicalize(project.path("")).expect("a path").join("moved here");
        fs::rename(project.venv(), &moved).expect("moved");
        assert_eq!(script(&moved.join("bin/demo")), "demo 1.0");
        assert_eq!(show(&moved)[..2], [moved.to_str().expect("UTF-8"), base.trim_end()]);
    }
}

#[test]
fn pipenvs_variable_asks_for_it() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let sync = |value: &str| {
        let mut command = project.command(&["sync", "--find-links", "../wheels"]);
        project.finish(command.env("PIPENV_VIRTUALENV_COPIES", value)).succeeds();
    };
    sync("1");
    is_copy(&project.venv());
    sync("0");
    assert!(project.venv().join("bin/python").is_symlink());
    assert_eq!(project.script("demo"), "demo 1.0");
}

/// An interpreter that finds its library relative to itself, as those of container images do.
fn relocatable(project: &Project, library_dir: &str) -> String {
    let [library, dir, version] = &*script_of_python(
        "import sysconfig as s; print(s.get_config_var('INSTSONAME'), s.get_config_var('LIBDIR'), s.get_python_version())",
    )
    .split(' ')
    .map(str::to_owned)
    .collect::<Vec<_>>() else {
        panic!("three words")
    };
    project.write(
        "main.c",
        "int Py_BytesMain(int, char **);\nint main(int n, char **v) { return Py_BytesMain(n, v); }\n",
    );
    let bin = project.path("py/bin");
    fs::create_dir_all(&bin).expect("made");
    fs::create_dir_all(project.path(&format!("py/bin/{library_dir}"))).expect("made");
    fs::create_dir_all(project.path("py/lib")).expect("made");
    let place = project.path(&format!("py/bin/{library_dir}/{library}"));
    fs::copy(Path::new(dir).join(library), place).expect("libpython3-dev");
    symlink(format!("/usr/lib/python{version}"), project.path(&format!("py/lib/python{version}")))
        .expect("linked");
    let made = Command::new("gcc")
        .arg(project.path("main.c"))
        .arg("-o")
        .arg(bin.join(format!("python{version}")))
        .arg(format!("-L{dir}"))
        .arg(format!("-l:{library}"))
        .arg(format!("-Wl,-rpath,$ORIGIN/{library_dir}"))
        .status()
        .expect("gcc");
    assert!(made.success());
    bin.join(format!("python{version}")).to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_library_that_is_found_relative_to_the_interpreter_is_copied_too() {
    for (library_dir, place) in [("../lib", "lib"), (".", "bin")] {
        let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
        let python = relocatable(&project, library_dir);
        project.sync_with(&["--copies", "--compile", "--python", &python]).succeeds();
        is_copy(&project.venv());
        assert_eq!(project.script("demo"), "demo 1.0");
        project.run(&["check"]).says(&[]);
        let moved = fs::canonicalize(project.path("")).expect("a path").join("moved");
        fs::rename(project.venv(), &moved).expect("moved");
        let shown = show(&moved);
        let library = shown.get(2).expect("a library");
        assert!(library.starts_with(&format!("{}/{place}/libpython", moved.display())), "{shown:?}");
    }
}

#[test]
fn a_library_that_would_lie_outside_is_an_error() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let python = relocatable(&project, "../../elsewhere");
    let run = project.sync_with(&["--copies", "--python", &python]);
    let lines: Vec<&str> = run.stderr.lines().collect();
    assert_eq!(run.code, Some(4), "{}", run.stderr);
    assert!(lines[0].starts_with("error: --copies: {root}/py/bin/python3"), "{}", run.stderr);
    assert!(
        lines[0].ends_with("relative to itself, which an environment has no place for"),
        "{}",
        run.stderr
    );
    assert_eq!(lines[1..], ["  help: leave --copies out: the environment gets a link to the interpreter"]);
    project.sync_with(&["--python", &python]).succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
}

#[test]
fn a_target_without_an_interpreter_cannot_be_copied() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    project
        .sync_with(&[
            "--copies",
            "--python-version",
            "3.9",
            "--platform",
            "linux/arm64",
            "--python-home",
            "/usr/local/bin",
        ])
        .ends(
            2,
            &[
                "error: --copies (or PIPENV_VIRTUALENV_COPIES) and --python-version exclude each other: the target's own interpreter is copied, and it is not here",
                "  help: run venvoy on that platform with that interpreter (--python), or leave one of them out",
            ],
        );
}
