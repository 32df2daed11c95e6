//! pipenv and venvoy side by side: one project, one environment, the same command, the same answer.

use std::process::{Command, Output};

use serde_json::json;

use super::pipenv;
use crate::support::{lock::Lock, package::Package, project::Project, wheel::WheelBuilder};

const PIPFILE: &str = r#"
[[source]]
name = "example"
url = "https://${U}:$PW@index.example/simple"
verify_ssl = true

[packages]
demo = "*"
lib = {version = "==1.0", extras = ["x"]}

[dev-packages]

[docs]
tool = "*"

[scripts]
hello = "echo $HELLO_VAR"
words = "printf '%s|' 'a b' \"c  d\" #x"
call = {call = "json.tool:main"}
list = ["echo a", "sh -c 'exit 3'", "echo c"]
"#;

/// A project that both know, with an environment that venvoy made.
fn project() -> Project {
    let lib = WheelBuilder::new("lib", "1.0").file("lib.py", "").metadata_line("Requires-Dist: demo (>=0.5)");
    let (demo, lib) = (Package::simple("demo", "1.0"), Package::new(&lib));
    let project = Project::with_wheels(&[demo.clone(), lib.clone()]);
    project.sync().succeeds();
    let lock = Lock::bare()
        .source("example", "https://${U}:$PW@index.example/simple")
        .source("second", "https://second.example/simple")
        .meta("hash", json!({"sha256": "ec476cc05e850b7d38d4a3bab5058e90103a376e974528cb8a20dbbe6d519eba"}))
        .entry("default", "demo", demo.entry())
        .entry("default", "lib", json!({"version": "==1.0", "extras": ["x"], "markers": "python_version >= '3.7'", "hashes": ["sha256:1", "sha256:2"]}))
        .entry("default", "repo", json!({"git": "https://u:${PW}@git.example/g.git", "ref": "abc", "subdirectory": "s"}))
        .entry("default", "here", json!({"path": ".", "editable": true, "markers": "os_name == 'nt'"}))
        .entry("develop", "tool", json!({"version": "==2"}))
        .entry("develop", "demo", json!({"version": "==3"}))
        .entry("docs", "tool", json!({"version": "*"}));
    project.lock(&lock);
    project.write("project/Pipfile", PIPFILE);
    project.write("project/.env", "HELLO_VAR=WORLD\nB=${HELLO_VAR}2\n");
    project
}

/// What both answer: exit code and standard output, the test's own directory made one.
#[track_caller]
fn both(project: &Project, args: &[&str]) -> (Option<i32>, String) {
    let venvoy = project.command(args);
    let mut pipenv = Command::new(pipenv());
    pipenv.args(args).current_dir(project.dir()).env_clear();
    pipenv.envs(venvoy.get_envs().filter_map(|(name, value)| Some((name, value?))));
    pipenv.envs([("PIPENV_VENV_IN_PROJECT", "1"), ("PIPENV_IGNORE_VIRTUALENVS", "1"), ("LANG", "C.UTF-8")]);
    // pipenv breaks the lines of a narrow terminal.
    pipenv.env("COLUMNS", "2000");
    let answer = |mut command: Command| {
        let Output { status, stdout, stderr } = command.output().expect("it runs; tests/run installs pipenv");
        let text = String::from_utf8(stdout).expect("UTF-8");
        (status.code(), text, String::from_utf8_lossy(&stderr).into_owned())
    };
    let (mut ours, mut theirs) = (answer(venvoy), answer(pipenv));
    if args.iter().any(|arg| arg.starts_with("--json")) {
        // What it says counts, not how far it is indented.
        for text in [&mut ours.1, &mut theirs.1] {
            *text = serde_json::from_str::<serde_json::Value>(text).expect("JSON").to_string();
        }
    }
    assert_eq!(
        (ours.0, &ours.1),
        (theirs.0, &theirs.1),
        "{args:?}\nvenvoy: {}\npipenv: {}",
        ours.2,
        theirs.2
    );
    (ours.0, ours.1)
}

#[test]
fn run_does_what_pipenv_run_does() {
    let project = project();
    for (args, code) in [
        (&["run", "demo"][..], 0),
        (&["run", "hello", "x y", "$B", "${NOPE}"], 0),
        (&["run", "words", "e  f"], 0),
        (&["run", "list", "more"], 3),
        (&["run", "A=1", "B=a b", "printenv", "A", "B", "HELLO_VAR"], 0),
        (&["run", "printenv", "VIRTUAL_ENV", "PIPENV_ACTIVE", "PIPENV_PROJECT_DIR", "PATH"], 0),
        (&["run", "sh", "-c", "exit 42"], 42),
        (&["run", "cd", "/"], 0),
        (&["run", "randomthingtotally"], 127),
        (&["run", "echo", "-v", "--help", "-q"], 0),
    ] {
        assert_eq!(both(&project, args).0, Some(code), "{args:?}");
    }
}

#[test]
fn requirements_are_those_of_pipenv() {
    let project = project();
    for args in [
        &[][..],
        &["--dev"],
        &["--dev-only"],
        &["--hash"],
        &["--exclude-markers"],
        &["--exclude-index"],
        &["--categories", "docs,default"],
        &["--categories=packages dev-packages"],
        &["--from-pipfile"],
        &["--no-lock"],
        &["--no-lock", "--categories", "docs"],
        &["--pypi-mirror", "https://mirror.example/simple"],
    ] {
        let (code, text) = both(&project, &[&["requirements"], args].concat());
        assert!(code == Some(0) && !text.is_empty(), "{args:?}: {text}");
    }
}

#[test]
fn questions_have_pipenvs_answers() {
    let project = project();
    for args in [
        &["verify"][..],
        &["--where"],
        &["--venv"],
        &["--py"],
        &["graph"],
        &["graph", "--json"],
        &["graph", "--json-tree"],
        &["graph", "--reverse"],
    ] {
        let (code, text) = both(&project, args);
        assert!(code == Some(0) && !text.is_empty(), "{args:?}: {text}");
    }
    project.write("project/Pipfile", PIPFILE.replace("demo = \"*\"", "demo = \"==1\""));
    assert_eq!(both(&project, &["verify"]), (Some(1), String::new()));
}
