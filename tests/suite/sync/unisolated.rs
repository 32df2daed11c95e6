//! `--no-build-isolation`: a build sees what pipenv would have installed before it, and the interpreter's own.

use serde_json::{Value, json};

use crate::support::{
    backend::{Files, in_tree},
    index::index,
    lock::Lock,
    package::Package,
    project::Project,
    wheel::WheelBuilder,
};

/// A wheel of one module that says its version.
fn tool(version: &str) -> Package {
    Package::new(&WheelBuilder::new("tool", version).file("tool.py", format!("version = {version:?}\n")))
}

/// A project that cannot be built without `tool`, whose version is in what it installs.
fn user() -> Files {
    let mut files =
        in_tree("import tool\nreturn wheel(out, 'lib', **{'lib.py': 'built_with = %r\\n' % tool.version})");
    let backend = files.iter_mut().find(|(name, _)| name == "backend/own.py").expect("a backend");
    backend.1.push_str("build_editable = build_wheel\n");
    files
}

const UNISOLATED: &str = "--extra-pip-args=--no-build-isolation";

/// A project with these entries, each with its category, and both versions of the tool.
fn project(entries: &[(&str, &str, Value)]) -> Project {
    let project = Project::of(
        &entries
            .iter()
            .fold(Lock::new(), |lock, (category, name, entry)| lock.entry(category, name, entry.clone())),
    );
    project.wheels(&[tool("1.0"), tool("2.0")]);
    project.plant("project/lib", &user());
    project
}

fn path() -> Value {
    json!({"path": "./lib"})
}

/// pipenv's own integration suite has this case.
#[test]
fn a_build_without_isolation_sees_the_categories_before_it() {
    let own = json!({"path": "./lib", "editable": true});
    for entry in [path(), own] {
        let project = project(&[("prereq", "tool", tool("1.0").entry()), ("default", "lib", entry.clone())]);
        project.sync_with(&["--categories=prereq packages", UNISOLATED]).succeeds();
        assert_eq!(project.site_file("lib.py"), "built_with = '1.0'\n", "{entry}");
        let again = ["--categories=prereq packages", UNISOLATED];
        project.sync_with(&again).says(&[".venv is up to date (2 packages)"]);
    }
}

/// pipenv runs pip for what has hashes first, so what has none finds that installed.
#[test]
fn a_build_without_isolation_sees_what_pip_installed_before_it_in_its_category() {
    let mut own = path();
    own["pip_args"] = json!(["--no-build-isolation"]);
    let project = project(&[("default", "tool", tool("1.0").entry()), ("default", "lib", own)]);
    project.sync().succeeds();
    assert_eq!(project.site_file("lib.py"), "built_with = '1.0'\n");
}

#[test]
fn what_a_build_without_isolation_saw_decides_whether_it_is_built_again() {
    let project = project(&[("default", "tool", tool("1.0").entry()), ("default", "lib", path())]);
    project.sync_with(&[UNISOLATED]).succeeds();
    assert_eq!(project.site_file("lib.py"), "built_with = '1.0'\n");
    let other = Lock::new().package(&tool("2.0")).entry("default", "lib", path());
    project.lock(&other);
    project.sync_with(&[UNISOLATED]).mentions(&["1 downloaded (816 B), 1 built"]);
    assert_eq!(project.site_file("lib.py"), "built_with = '2.0'\n");
    // What was built with the first is still there.
    project.lock(&Lock::new().package(&tool("1.0")).entry("default", "lib", path()));
    project.sync_with(&[UNISOLATED, "--fresh"]).mentions(&["2 cached"]);
    assert_eq!(project.site_file("lib.py"), "built_with = '1.0'\n");
}

/// As pip reads it, the variable says whether builds are isolated.
#[test]
fn the_variable_means_what_it_means_in_pip() {
    for (value, code) in [("0", 0), ("false", 0), ("1", 9)] {
        let project = project(&[("default", "tool", tool("1.0").entry()), ("default", "lib", path())])
            .variable("PIP_NO_BUILD_ISOLATION", value);
        project.sync().ends_with(code);
    }
}

/// pipenv installs these before everything else; what the lock has of them counts.
#[test]
fn what_the_pipfile_wants_installed_before_builds_is_there_without_isolation() {
    let other = Package::new(&WheelBuilder::new("other", "1.0").file("other.py", ""));
    for (locked, expected) in [(None, "2.0"), (Some(tool("1.0")), "1.0")] {
        let server = index(&[tool("1.0"), tool("2.0"), other.clone()]);
        let lock = Lock::at(&server.url("/simple")).entry("default", "lib", path());
        let project = Project::of(&locked.iter().fold(lock, Lock::package));
        project.plant("project/lib", &user());
        project.write("project/Pipfile", "[build-system]\nrequires = ['tool', 'other']\n");
        project.run(&["sync", UNISOLATED]).succeeds();
        assert_eq!(project.site_file("lib.py"), format!("built_with = '{expected}'\n"));
        assert_eq!(project.site_file("other.py"), "", "it is no part of the environment");
    }
}

/// Where only the project's own files changed, what it is built with is not in the change.
#[test]
fn a_project_that_changed_alone_is_built_with_what_stays() {
    let project = project(&[("default", "tool", tool("1.0").entry()), ("default", "lib", path())]);
    project.sync_with(&[UNISOLATED]).succeeds();
    project.write("project/lib/extra.txt", "new");
    project.sync_with(&[UNISOLATED]).succeeds();
    assert_eq!(project.site_file("lib.py"), "built_with = '1.0'\n");
}

/// A chain: what is built without isolation is itself what the next is built with.
#[test]
fn what_was_built_without_isolation_is_there_for_the_next_category() {
    let project = project(&[("default", "lib", path()), ("prereq", "tool", json!({"path": "./tool"}))]);
    project.plant("project/tool", &in_tree("return wheel(out, 'tool', **{'tool.py': 'version = 3\\n'})"));
    project.sync_with(&["--categories=prereq packages", UNISOLATED]).succeeds();
    assert_eq!(project.site_file("lib.py"), "built_with = 3\n");
}

#[test]
fn a_build_without_isolation_says_what_it_misses() {
    let project = project(&[("prereq", "tool", tool("1.0").entry()), ("default", "lib", path())]);
    project.write(
        "project/lib/pyproject.toml",
        "[build-system]\nrequires = ['tool >= 1', 'other']\nbuild-backend = 'own'\nbackend-path = ['backend']\n",
    );
    let refused = |categories: &str, absent: &str| {
        let run = project.sync_with(&[&format!("--categories={categories}"), UNISOLATED]);
        run.ends_with(9).mentions(&[
            "error: cannot install lib [default]",
            "build_wheel of own failed",
            &format!(
                "help: --no-build-isolation builds lib with what the lock installs before it and what the interpreter \
                 has; tool is not among it, and of its build requirements there is no {absent}: lock that in a category \
                 that is installed before (--categories=\"prereq packages\"), or leave --no-build-isolation out"
            ),
        ]);
        assert!(!project.venv().exists());
    };
    refused("packages", "tool >= 1, other");
    refused("packages prereq", "tool >= 1, other");
    project.sync_with(&["--categories=prereq packages", UNISOLATED]).succeeds();
}
