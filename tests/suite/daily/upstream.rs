//! What pipenv's own integration tests assert, each named as there, where no other test here does: `test_run`, `test_requirements`,
//! `test_cli`, `test_sync` and `test_install_basic` of 2026.10.3.

use serde_json::{Value, json};

use super::{prints, with_demo};
use crate::support::{files, lock::Lock, package::Package, project::Project};

/// `test_env`: without a Pipfile.
#[test]
fn env_is_loaded_where_there_is_no_pipfile() {
    let project = with_demo();
    assert!(!project.dir().join("Pipfile").exists());
    project.write("project/.env", "HELLO=WORLD");
    prints(&project.run(&["run", "python", "-c", "import os; print(os.environ['HELLO'])"]), "WORLD\n");
}

/// `test_scripts`, `test_scripts_resolve_dot_env_vars`.
#[test]
fn a_scripts_variables_are_those_of_env_and_of_the_environment() {
    let project = with_demo();
    project.write(
        "project/Pipfile",
        "[scripts]\nscriptwithenv = \"echo $HELLO\"\nhello = \"echo $HELLO_VAR\"\n",
    );
    prints(&project.finish(project.command(&["run", "scriptwithenv"]).env("HELLO", "WORLD")), "WORLD\n");
    project.write("project/.env", "HELLO_VAR=WORLD");
    prints(&project.run(&["run", "hello"]), "WORLD\n");
    prints(&project.run(&["run", "--quiet", "hello"]), "WORLD\n");
}

/// `test_run_inline_env_vars`, with its quotes.
#[test]
fn variables_before_a_scripts_command_may_have_spaces_beside_quoted_code() {
    let project = with_demo();
    let code = r#"python -c \"import os; print(os.environ['GREET'])\""#;
    let pipfile =
        format!("[scripts]\nsimple_env = \"GREET=hi {code}\"\nspaces_env = \"GREET='hello world' {code}\"\n");
    project.write("project/Pipfile", pipfile);
    prints(&project.run(&["run", "simple_env"]), "hi\n");
    prints(&project.run(&["run", "spaces_env"]), "hello world\n");
    let code = "import os; print(os.environ['A'], os.environ['B'])";
    prints(&project.run(&["run", "A=foo", "B=bar", "python", "-c", code]), "foo bar\n");
}

/// `test_run_shell_builtins`.
#[test]
fn pwd_is_where_the_command_was_typed() {
    prints(&with_demo().run(&["run", "pwd"]), "{root}/project\n");
}

/// `test_pipenv_run_pip_freeze_has_expected_output`: with `--seed`, which puts pip into the environment.
#[test]
fn a_seeded_environments_pip_lists_what_is_locked() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    project.sync_with(&["--seed"]).succeeds();
    for args in [&["run", "pip", "freeze"][..], &["run", "--quiet", "pip", "freeze"]] {
        let run = project.run(args);
        assert!(run.succeeds().stdout.lines().any(|line| line.starts_with("demo==1.0")), "{}", run.stdout);
    }
}

/// `test_requirements_generates_requirements_from_pipfile`: those of its choices that `requirements.rs` does not make.
#[test]
fn requirements_from_the_pipfile_are_a_category_or_the_others() {
    let entry = |version: &str| json!({"version": version, "hashes": ["sha256:1"]});
    let lock = Lock::bare()
        .entry("default", "requests", entry("==2.31.0"))
        .entry("default", "urllib3", entry("==2.2.1"))
        .entry("develop", "flask", entry("==0.12.2"));
    let project = Project::of(&lock);
    project
        .write("project/Pipfile", "[packages]\nrequests = '==2.31.0'\n[dev-packages]\nflask = '==0.12.2'\n");
    for (args, expected) in [
        (&["--dev-only"][..], "flask==0.12.2\n"),
        (&["--categories=dev-packages"], "flask==0.12.2\n"),
        (&["--categories", "packages,dev-packages"], "requests==2.31.0\nflask==0.12.2\n"),
    ] {
        prints(&project.run(&[&["requirements", "--from-pipfile"], args].concat()), expected);
    }
}

/// `test_requirements_with_git_requirements`, `test_requirements_from_deps` and the locks without `_meta.hash`, sources or
/// `develop` that its others use.
#[test]
fn requirements_are_printed_of_locks_that_lack_what_is_not_asked_for() {
    let print = |lock: &Value| {
        let project = Project::new();
        project.write("project/Pipfile.lock", lock.to_string());
        let run = project.run(&["requirements"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        run.stdout
    };
    let reference = "3264a0046e1aa3c0a813335286ebdbc651f58b13";
    let of = |entry: Value| json!({"_meta": {"sources": []}, "default": entry, "develop": {}});
    for (entry, line) in [
        (
            json!({"dataclasses-json": {"editable": true, "git": "https://git.example/dataclasses-json.git", "ref": reference}}),
            format!("-e git+https://git.example/dataclasses-json.git@{reference}#egg=dataclasses-json\n"),
        ),
        (
            json!({"django-storages": {"version": "==1.12.3", "extras": ["azure"]}}),
            "django-storages[azure]==1.12.3\n".into(),
        ),
        (
            json!({"evotum-cripto": {"file": "https://files.example/Cripto-py-develop.zip"}}),
            "https://files.example/Cripto-py-develop.zip\n".into(),
        ),
        (
            json!({"pyjwt": {"git": "https://git.example/pyjwt.git", "ref": reference, "extras": ["crypto"]}}),
            format!("pyjwt[crypto] @ git+https://git.example/pyjwt.git@{reference}\n"),
        ),
        (
            json!({"werkzeug": {"hashes": ["sha256:1", "sha256:2"], "markers": "python_version >= '3.7'", "version": "==2.1.2"}}),
            "werkzeug==2.1.2; python_version >= '3.7'\n".into(),
        ),
    ] {
        assert_eq!(print(&of(entry)), line);
    }
    let url = "https://${redacted_user}:${redacted_pwd}@private_source.org";
    let sources = json!([{"name": "private_source", "url": url, "verify_ssl": true}]);
    assert_eq!(print(&json!({"_meta": {"sources": sources}, "default": {}})), format!("-i {url}\n"));
}

/// `test_bare_output`, `test_help`, `test_venv_envs`, `test_pipenv_support`: there is an answer, on standard output.
#[test]
fn help_and_what_is_asked_without_a_command_go_to_standard_output() {
    let project = Project::new();
    for (args, begins) in [
        (&[][..], "Compiles a Pipfile.lock"),
        (&["--help"], "Compiles a Pipfile.lock"),
        (&["--envs"], "Each may be set in the environment"),
        (&["--support"], "venvoy\n"),
    ] {
        let run = project.run(args);
        run.says(&[]);
        assert!(run.stdout.starts_with(begins), "{args:?}: {}", run.stdout);
    }
    assert_eq!(project.run::<&str>(&[]).stdout, project.run(&["-h"]).stdout);
}

/// `test_pipenv_version_envvar_does_not_interfere`.
#[test]
fn a_variable_named_for_pipenvs_version_is_no_option() {
    let project = Project::new();
    let run = project.finish(project.command(&["--version"]).env("PIPENV_VERSION", "2024.0.2"));
    prints(&run, concat!("venvoy ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// `test_sync_should_not_lock`, `test_install_without_dev`, `test_install_respects_lockfile_versions`.
#[test]
fn what_is_locked_is_installed_and_the_files_stay_as_they_are() {
    let packages = ["demo", "tool"].map(|name| Package::simple(name, "1.14.1"));
    let [demo, tool] = &packages;
    let project = Project::new().variable("PIP_FIND_LINKS", "../wheels");
    project.wheels(&packages);
    project.wheels(&[Package::simple("demo", "2.0")]);
    project.lock(&Lock::new().package(demo).entry("develop", "tool", tool.entry()));
    // Not what was locked: `sync` installs the lock, whatever the Pipfile says by now.
    let pipfile = "[packages]\ndemo = '*'\nsix = '*'\n[dev-packages]\ntool = '*'\n";
    project.write("project/Pipfile", pipfile);
    let lock = project.read("project/Pipfile.lock");
    for command in ["sync", "install"] {
        project.run(&[command]).succeeds();
        assert_eq!(project.installed(), ["demo 1.14.1"]);
        let graph = project.run(&["graph", "--json"]).json();
        assert_eq!(graph[0]["package"]["installed_version"], "1.14.1");
        let imported =
            |name: &str| project.run(&["run", "-q", "python", "-c", &format!("import {name}")]).code;
        assert_eq!((imported("demo"), imported("tool")), (Some(0), Some(1)));
        project.run(&[command, "--dev"]).succeeds();
        assert_eq!(project.installed(), ["demo 1.14.1", "tool 1.14.1"]);
        assert_eq!(
            (project.read("project/Pipfile.lock"), project.read("project/Pipfile")),
            (lock.clone(), pipfile.to_owned())
        );
        project.forget();
    }
}

/// `test_install_uses_default_categories_envvar`, `test_install_explicit_dev_overrides_default_categories_envvar`: with a lock that
/// has both.
#[test]
fn install_takes_the_default_categories_unless_dev_is_asked_for() {
    let packages = ["demo", "tool"].map(|name| Package::simple(name, "1.0"));
    let [demo, tool] = &packages;
    let project = Project::new().variable("PIP_FIND_LINKS", "../wheels");
    project.wheels(&packages);
    project.lock(&Lock::new().package(demo).entry("develop", "tool", tool.entry()));
    let with = |categories: &str, args: &[&str]| {
        let mut command = project.command(&[&["install"], args].concat());
        project.finish(command.env("PIPENV_DEFAULT_CATEGORIES", categories)).succeeds();
        project.installed()
    };
    assert_eq!(with("packages,dev-packages", &[]), ["demo 1.0", "tool 1.0"]);
    assert_eq!(with("packages", &[]), ["demo 1.0"]);
    assert_eq!(with("packages", &["--dev"]), ["demo 1.0", "tool 1.0"]);
}

/// `test_install_parse_error`, `test_bad_packages`, `test_editable_no_args`, `test_install_non_exist_dep`: an error, and the
/// Pipfile as it was.
#[test]
fn what_cannot_be_installed_does_not_wind_up_in_the_pipfile() {
    let project = with_demo();
    let pipfile = "[packages]\n\n[dev-packages]\n";
    project.write("project/Pipfile", pipfile);
    let before = files::snapshot(&project.dir());
    for args in [&["requests", "u/\\/p@r$34b13+pkg"][..], &["NotAPackage"], &["-e"], &["dateutil"]] {
        let run = project.run(&[&["install"], args].concat());
        assert_eq!((run.code, &*run.stdout), (Some(2), ""), "{args:?}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: "), "{args:?}: {}", run.stderr);
    }
    assert_eq!(project.read("project/Pipfile"), pipfile);
    files::assert_unchanged(&project.dir(), &before, "what cannot be installed");
}

/// `test_install_with_pipfile_including_unsatisfied_python_version_specifier`.
#[test]
fn a_python_that_cannot_be_is_an_error_and_nothing_is_made() {
    let demo = Package::simple("demo", "1.0");
    for version in [">=53.0", ">53.0", "<1.0", "<=1.0"] {
        let project = Project::with_wheels(std::slice::from_ref(&demo));
        project.lock(&Lock::new().package(&demo).meta("requires", json!({"python_version": version})));
        let run = project.run(&["install", "--find-links", "../wheels"]);
        assert!(
            run.code != Some(0) && run.stderr.contains(version),
            "{version}: {:?} {}",
            run.code,
            run.stderr
        );
        assert!(!project.venv().exists());
    }
}
