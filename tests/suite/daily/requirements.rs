//! `requirements`, by what pipenv's own tests (`test_requirements`) say of it.

use serde_json::json;

use crate::support::{lock::Lock, project::Project, run::Run};

fn project() -> Project {
    let entry = |version: &str| json!({"version": version, "hashes": ["sha256:1", "sha256:2"], "markers": "python_version >= '3.7'"});
    let lock = Lock::new()
        .source("other", "https://${redacted_user}:$redacted_pwd@private.example/simple")
        .entry("default", "requests", entry("==2.14.0"))
        .entry("default", "sub-package", entry("==1.0"))
        .entry("develop", "flask", entry("==0.12.2"))
        .entry("test", "pytest", entry("==7.1.3"))
        .entry("doc", "docutils", entry("==0.19"));
    let project = Project::of(&lock);
    project.write(
        "project/Pipfile",
        "[packages]\nRequests = '==2.14.0'\n[dev-packages]\nflask = '>=0.12'\n[test]\npytest = '*'\n[doc]\ndocutils = '*'\n",
    );
    project
}

const INDEXES: &str = "-i https://index.example/simple\n\
                       --extra-index-url https://${redacted_user}:${redacted_pwd}@private.example/simple\n";

#[track_caller]
fn lines(run: &Run) -> Vec<&str> {
    run.says(&[]);
    run.stdout.strip_prefix(INDEXES).unwrap_or(&run.stdout).lines().collect()
}

#[test]
fn categories_are_a_choice() {
    let project = project();
    let get = |args: &[&str]| project.run(&[&["requirements"], args].concat());
    let marker = "; python_version >= '3.7'";
    let line = |text: &str| format!("{text}{marker}");
    let (requests, sub, flask) = (line("requests==2.14.0"), line("sub-package==1.0"), line("flask==0.12.2"));
    assert_eq!(lines(&get(&[])), [&*requests, &sub]);
    assert_eq!(lines(&get(&["--dev"])), [&*flask, &requests, &sub]);
    assert_eq!(lines(&get(&["--dev-only"])), [&*flask]);
    assert_eq!(lines(&get(&["--categories", "test, doc"])), [line("pytest==7.1.3"), line("docutils==0.19")]);
    assert_eq!(lines(&get(&["--categories=packages dev-packages"])), [&*requests, &sub, &flask]);
    get(&["--categories", "nope"]).ends(
        3,
        &[
            "error: Pipfile.lock has no category \"nope\"",
            "  help: its categories: default, develop, test, doc",
        ],
    );
}

#[test]
fn hashes_markers_and_indexes_are_a_choice() {
    let project = project();
    let get = |args: &[&str]| project.run(&[&["requirements", "--dev-only"], args].concat());
    assert_eq!(
        get(&["--hash"]).stdout,
        format!("{INDEXES}flask==0.12.2; python_version >= '3.7' --hash=sha256:1 --hash=sha256:2\n")
    );
    assert_eq!(get(&["--exclude-markers", "--exclude-index"]).stdout, "flask==0.12.2\n");
    let mirrored = get(&["--pypi-mirror", "https://m.example/simple"]).stdout;
    assert!(
        mirrored.starts_with("-i https://m.example/simple\n--extra-index-url https://index.example/simple\n"),
        "{mirrored}"
    );
}

/// As all variables of pipenv do, it may stand in `.env`.
#[test]
fn the_mirror_is_a_variable_of_the_project_as_well() {
    let project = project();
    project.write("project/.env", "PIPENV_PYPI_MIRROR=https://m.example/simple\n");
    let get = |args: &[&str]| project.run(&[&["requirements"], args].concat()).stdout.clone();
    assert!(get(&[]).starts_with("-i https://m.example/simple\n"), "{}", get(&[]));
    let typed = get(&["--pypi-mirror", "https://typed.example/simple"]);
    assert!(typed.starts_with("-i https://typed.example/simple\n"), "{typed}");
}

#[test]
fn variables_stay_variables_whatever_they_hold() {
    let project =
        project().variable("redacted_user", "example_user").variable("redacted_pwd", "canary-password");
    let run = project.run(&["requirements", "--exclude-markers"]);
    assert_eq!(run.stdout, format!("{INDEXES}requests==2.14.0\nsub-package==1.0\n"));
    run.never_mentions("canary");
}

#[test]
fn the_pipfile_limits_or_replaces_what_is_locked() {
    let project = project();
    let get = |args: &[&str]| {
        project.run(&[&["requirements", "--exclude-index", "--exclude-markers"], args].concat())
    };
    assert_eq!(get(&["--from-pipfile"]).stdout, "requests==2.14.0\n");
    assert_eq!(get(&["--from-pipfile", "--dev"]).stdout, "flask==0.12.2\nrequests==2.14.0\n");
    assert_eq!(
        get(&["--from-pipfile", "--categories=packages,dev-packages"]).stdout,
        "requests==2.14.0\nflask==0.12.2\n"
    );
    assert_eq!(get(&["--no-lock", "--dev"]).stdout, "flask>=0.12\nRequests==2.14.0\n");
}

#[test]
fn what_there_is_to_say_goes_to_standard_error() {
    let project = Project::of(&Lock::at("https://u:canary@index.example/simple"));
    let run = project.run(&["requirements"]);
    run.says(&["warning: source 1 has a password in its URL, and so have these lines; a variable (${NAME}) would keep it out"]);
    assert_eq!(run.stdout, "-i https://u:canary@index.example/simple\n");
    let project = Project::new();
    project.run(&["requirements"]).mentions(&["no lock in {root}/project"]).ends_with(3);
    project.write("project/pylock.toml", "lock-version = '1.0'\n");
    project.run(&["requirements"]).ends(
        3,
        &[
            "error: pylock.toml is for pip as it is, and no Pipfile.lock",
            "  help: install it with `pip install -r pylock.toml` (pip 25.1 and later)",
        ],
    );
}
