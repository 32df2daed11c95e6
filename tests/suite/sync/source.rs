//! Entries that name their own source, through the whole command: URLs, directories, sdists, repositories.

use std::{os::unix::fs::DirBuilderExt as _, path::Path, process::Command};

use crate::support::{
    backend::{self, lib},
    index::index,
    lock::Lock,
    package::Package,
    program::script,
    project::Project,
};
use serde_json::json;

fn locked(entry: serde_json::Value) -> Project {
    let project = Project::new();
    project.lock(&Lock::new().entry("default", "lib", entry));
    project
}

#[test]
fn a_wheel_at_a_url() {
    let package = Package::simple("lib", "1.0");
    let server = index(std::slice::from_ref(&package));
    let hashes = json!([format!("sha256:{}", package.sha256)]);
    let project = locked(json!({"file": server.url(&package.path()), "hashes": hashes}));
    project.sync().succeeds();
    assert_eq!(project.script("lib"), "lib 1.0");
    project.sync().says(&[".venv is up to date (1 package)"]);
    let asked: Vec<String> = server.log().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, [package.path()]);
}

#[test]
fn a_directory_is_built_and_built_again_when_it_changed() {
    let project = locked(json!({"path": "./lib"}));
    project.plant("project/lib", &lib("first"));
    project.sync().says(&[".venv: 1 package, {size} in {time} s: 1 built"]);
    assert_eq!(project.script("lib"), "first");
    project.sync().says(&[".venv is up to date (1 package)"]);
    project.plant("project/lib", &lib("second"));
    project.sync().succeeds();
    assert_eq!(project.script("lib"), "second");
}

#[test]
fn an_editable_directory_is_used_in_its_place_and_moves_with_the_project() {
    let project = locked(json!({"path": "./lib", "editable": true}));
    project.plant("project/lib", &lib("first"));
    project.sync().succeeds();
    assert_eq!(project.script("lib"), "first");
    project.plant("project/lib", &lib("second"));
    assert_eq!(project.script("lib"), "second");
    std::fs::rename(project.dir(), project.path("moved")).expect("moved");
    assert_eq!(script(&project.path("moved/.venv/bin/lib")), "second");
}

#[test]
fn no_editable_installs_a_copy() {
    let project = locked(json!({"path": "./lib", "editable": true}));
    project.plant("project/lib", &lib("first"));
    project.sync_with(&["--no-editable"]).succeeds();
    std::fs::remove_dir_all(project.path("project/lib")).expect("removed");
    assert_eq!(project.script("lib"), "first");
}

#[test]
fn an_sdist_of_the_index_is_built_once() {
    let package = sdist();
    let server = index(std::slice::from_ref(&package));
    let project = Project::at(&server, &[package]);
    project.sync().says(&[".venv: 1 package, {size} in {time} s: 1 built"]);
    assert_eq!(project.script("lib"), "from an sdist");
    std::fs::remove_dir_all(project.venv()).expect("removed");
    project.sync_with(&["--offline"]).says(&[".venv: 1 package, {size} in {time} s: 1 cached"]);
    assert_eq!(project.script("lib"), "from an sdist");
    std::fs::remove_dir_all(project.venv()).expect("removed");
    project
        .sync_with(&["--only-binary", ":all:"])
        .fails(5, &["  - lib-1.0.tar.gz: an sdist, and only wheels may be used"]);
}

/// Another run may prune the cache at any moment, also between a look at a file and its use.
#[test]
fn what_is_pruned_before_it_is_built_is_fetched_again() {
    // Nobody else builds this one.
    let package = backend::sdist("lib", lib("pruned"));
    let server = index(std::slice::from_ref(&package));
    let url = json!({"file": server.url(&package.path()), "hashes": [format!("sha256:{}", package.sha256)]});
    for project in [Project::at(&server, std::slice::from_ref(&package)), locked(url)] {
        project.sync().succeeds();
        let rebuild = ["sync", "--fresh", "--find-links", "../wheels"];
        let forget = || std::fs::remove_dir_all(project.path("cache/v1/built")).expect("what was built");
        forget();
        project.traced(&["--trace=mkdir,mkdirat"], &rebuild).succeeds();
        let trace = project.read("trace");
        let names = trace.split("\"/tmp/venvoy-build-").skip(1).map(|rest| rest.split(['/', '"']).next());
        let is_digest = |name: &&str| name.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
        let place = names.flatten().find(is_digest).expect("a place for the build");
        let place = format!("/tmp/venvoy-build-{place}");
        forget();
        // Another build has the place, so that this one has found its file and waits.
        std::fs::DirBuilder::new().mode(0o700).create(&place).expect("a directory");
        let lock = std::fs::File::open(&place).expect("opened");
        lock.lock().expect("locked");
        std::thread::scope(|scope| {
            let run = scope.spawn(|| project.traced(&["--trace=flock"], &rebuild));
            let waits =
                || std::fs::read_to_string(project.path("trace")).unwrap_or_default().contains("EAGAIN");
            while !waits() && !run.is_finished() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            std::fs::remove_dir_all(project.path("cache/v1/files")).expect("files");
            drop(lock);
            run.join().expect("no panic").succeeds();
        });
        assert_eq!(project.script("lib"), "pruned");
    }
}

/// The source distribution `lib` 1.0.
fn sdist() -> Package {
    backend::sdist("lib", lib("from an sdist"))
}

/// `pip install --only-binary :all: --no-binary lib` builds `lib` alone, and a typed word outweighs a variable.
#[test]
fn a_name_outweighs_all_in_format_control() {
    let (wheel, sdist) = (Package::simple("lib", "1.0"), sdist());
    let server = index(&[wheel.clone(), sdist.clone()]);
    let (from_wheel, from_sdist) = ("lib 1.0", "from an sdist");
    let nothing: &[(&str, &str)] = &[];
    for (entry, variables, options, expected) in [
        (false, nothing, &[][..], from_wheel),
        (true, nothing, &[], from_sdist),
        (false, nothing, &["--no-binary", "LIB"], from_sdist),
        (false, nothing, &["--no-binary", ":all:"], from_sdist),
        (false, nothing, &["--only-binary", ":all:", "--no-binary", "other,lib"], from_sdist),
        (false, nothing, &["--no-binary", ":all:", "--only-binary", "lib"], from_wheel),
        (true, &[("PIP_ONLY_BINARY", ":all:")], &[], from_sdist),
        (false, &[("PIP_ONLY_BINARY", ":all:"), ("PIP_NO_BINARY", "lib")], &[], from_sdist),
        (false, &[("PIP_NO_BINARY", "lib")], &["--only-binary", "lib"], from_wheel),
        (false, &[("PIP_NO_BINARY", ":all:")], &["--only-binary=:all:"], from_wheel),
        (false, &[("PIP_NO_BINARY", ":all:")], &["--no-binary=:none:"], from_wheel),
    ] {
        let project = Project::new();
        let hashes = [&wheel, &sdist].map(|package| format!("sha256:{}", package.sha256));
        let value = json!({"hashes": hashes, "version": "==1.0", "no_binary": entry});
        project.lock(&Lock::at(&server.url("/simple")).entry("default", "lib", value));
        let mut command = project.command(&[&["sync"], options].concat());
        command.envs(variables.iter().copied());
        project.finish(&mut command).succeeds();
        assert_eq!(project.script("lib"), expected, "{entry} {variables:?} {options:?}");
    }
    let project = Project::at(&server, &[wheel]);
    project.sync_with(&["--no-binary", "lib", "--only-binary", "lib"]).ends(
        2,
        &[
            "error: lib is given to both --no-binary and --only-binary",
            "  help: wheels, source distributions or both: leave one of the two out",
        ],
    );
}

#[test]
fn a_repository_at_a_commit() {
    let project = Project::new();
    project.plant("repository", &lib("from git"));
    let repository = project.path("repository");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(&repository).args(["-c", "user.name=a", "-c", "user.email=a@index.example"]);
        run(command.env("HOME", project.path("home")).args(args))
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    let commit = git(&["rev-parse", "HEAD"]);
    let url = format!("file://{}", repository.display());
    project.lock(&Lock::new().entry("default", "lib", json!({"git": url, "ref": commit.trim()})));
    project.sync().succeeds();
    assert_eq!(project.script("lib"), "from git");
    project.sync().says(&[".venv is up to date (1 package)"]);
}

#[test]
fn a_directory_that_is_missing_is_named() {
    locked(json!({"path": "./nowhere"})).sync().ends(
        9,
        &[
            "error: cannot install lib [default]",
            "  because: cannot build lib from {root}/project/nowhere",
            "  because: {root}/project/nowhere does not exist",
            "  help: check the path in the lock, and that the project was copied to where venvoy runs",
        ],
    );
}

#[test]
fn a_build_that_fails_shows_its_output() {
    let project = locked(json!({"path": "./lib"}));
    project.plant("project/lib", &lib("first"));
    project.write("project/lib/backend/own.py", "raise SystemExit('no compiler today')\n");
    let run = project.sync();
    assert_eq!(run.code, Some(9), "{}", run.stderr);
    assert!(run.stderr.contains("no compiler today"), "{}", run.stderr);
    assert!(!Path::new(&project.venv()).exists());
}

/// What a program prints; it must succeed.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program is there");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}
