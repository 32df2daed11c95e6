//! `verify`, `scripts`, `--where`, `--venv`, `--py`, by what pipenv's own tests (`test_cli`) say of them.

use serde_json::json;

use crate::support::{lock::Lock, package::Package, project::Project};

const PIPFILE: &str = "[packages]\nsix = '*'\n";
/// The hash that pipenv 2026.10.3 gives this Pipfile.
const HASH: &str = "83b3df86404322b5e9c6d1f3a782fd8510f976dafa4940f849d7e79258978aaa";

#[test]
fn verify_says_whether_the_lock_is_fresh() {
    let project = Project::of(&Lock::new().meta("hash", json!({"sha256": HASH})));
    project.write("project/Pipfile", PIPFILE);
    let run = project.run(&["verify"]);
    run.says(&[]);
    assert_eq!(run.stdout, "Pipfile.lock is up-to-date.\n");
    project.write("project/Pipfile", "[packages]\nsix = '*'\nrequests = '*'\n");
    let run = project.run(&["verify"]);
    run.ends(1, &["error: Pipfile.lock is out-of-date.", "  help: make it anew with `pipenv lock`"]);
    assert_eq!(run.stdout, "");
}

#[test]
fn verify_without_one_of_the_files_says_so() {
    let project = Project::new();
    project.run(&["verify"]).mentions(&["No Pipfile present at project home."]).ends_with(1);
    project.write("project/Pipfile", PIPFILE);
    project.run(&["verify"]).mentions(&["Pipfile.lock is out-of-date."]).ends_with(1);
    project.write("project/Pipfile.lock", "{");
    project.run(&["verify"]).mentions(&["Pipfile.lock is not JSON"]).ends_with(1);
    project.write("project/Pipfile", "[packages");
    project.run(&["verify"]).mentions(&["Pipfile cannot be read"]).ends_with(1);
}

#[test]
fn scripts_are_listed_as_pipenv_lists_them() {
    let project = Project::new();
    project.write(
        "project/Pipfile",
        "[scripts]\npyver = 'which python'\nx = {call = 'a:b'}\nlint = ['a', 'b']\n",
    );
    let run = project.run(&["scripts"]);
    run.says(&[]);
    assert_eq!(
        run.stdout,
        "Command  Script\n-------  ----------------\npyver    which python\nx        { call = \"a:b\" }\nlint     [\"a\", \"b\"]\n"
    );
    assert_eq!(project.run(&["scripts", "--json"]).json()["pyver"], "which python");
    std::fs::remove_file(project.dir().join("Pipfile")).expect("removed");
    project.run(&["scripts"]).mentions(&["No Pipfile present at project home"]).ends_with(3);
}

#[test]
fn places_are_printed_alone() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    project.run(&["--venv"]).mentions(&["there is no environment at {root}/project/.venv"]).ends_with(10);
    project.run(&["--py"]).mentions(&["there is no environment at {root}/project/.venv"]).ends_with(10);
    project.sync().succeeds();
    for (question, answer) in [
        ("--where", "{root}/project\n"),
        ("--venv", "{root}/project/.venv\n"),
        ("--py", "{root}/project/.venv/bin/python\n"),
    ] {
        let run = project.run(&[question]);
        run.says(&[]);
        assert_eq!(run.stdout, answer);
    }
    std::fs::remove_file(project.dir().join("Pipfile.lock")).expect("removed");
    project.run(&["--where"]).mentions(&["No Pipfile present at project home"]).ends_with(3);
}
