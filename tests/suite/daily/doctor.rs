//! `doctor`: one page for a bug report, whatever is wrong, and never a secret in it.

use std::{fs, process::Command};

use serde_json::json;

use crate::support::{lock::Lock, package::Package, project::Project};

/// Secrets wherever one can stand: in URLs of sources, entries and the Pipfile, in variables, `.env`, netrc, option texts.
fn canaries() -> Project {
    let demo = Package::simple("demo", "1.0");
    let lock =
        Lock::at("https://canary-user:canary-password@index.example/canary-path/simple?token=canary-query")
            .source("variable", "https://ci:${TOKEN}@second.example/${TOKEN}/simple")
            .package(&demo)
            .entry("default", "repo", json!({"git": "https://u:canary-git@git.example/r.git", "ref": "v1"}))
            .entry("default", "file", json!({"file": "https://u:canary-file@files.example/f.whl"}));
    let project = Project::of(&lock)
        .file("home/.netrc", "machine index.example login canary-login password canary-netrc\n");
    project.write("project/Pipfile", "[[source]]\nname = 'x'\nurl = 'https://u:canary-pipfile@index.example/simple'\n[packages]\n[scripts]\ns = 'canary-script'\n");
    project.write("project/.env", "TOKEN=canary-token\nPIPENV_PYPI_MIRROR=https://u:canary-mirror@m.example/simple\nSECRET=canary-secret\n=bad canary-line\n");
    project
        .variable("PIPENV_EXTRA_PIP_ARGS", "--index-url https://u:canary-args@h.example")
        .variable("VENVOY_INDEX_EXAMPLE_PASSWORD", "canary-index")
        .variable("CI_JOB_TOKEN", "canary-job")
        .variable("HTTPS_PROXY", "http://u:canary-proxy@127.0.0.1:1")
        .variable("PIP_FIND_LINKS", "https://u:canary-links@h.example/")
        .variable("PIPENV_MYSTERY", "canary-mystery")
}

#[test]
fn no_secret_is_on_the_page() {
    let project = canaries();
    for args in [&["doctor"][..], &["doctor", "--json"], &["--support"], &["-vv", "doctor"]] {
        let run = project.run(args);
        run.succeeds();
        run.never_mentions("canary");
        assert!(run.stdout.contains("https://index.example"), "{}", run.stdout);
        assert!(run.stdout.contains("VENVOY_INDEX_EXAMPLE_PASSWORD"), "{}", run.stdout);
    }
}

#[test]
fn the_page_says_what_a_bug_report_needs() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")])
        .variable("PIPENV_DEV", "1")
        .variable("GITLAB_CI", "true");
    project.sync().succeeds();
    project.write("project/.env", "PIPENV_QUIET=0\n");
    let page = project.run(&["doctor"]).stdout;
    for line in [
        "  CI            GitLab CI",
        "  lock       ~/../project/Pipfile.lock",
        "  locked     default 1, develop 0",
        "  distributions    1",
        "  unlike the lock  0 packages",
        "  made by          venvoy",
        "  PIPENV_DEV        1",
        "  PIPENV_QUIET      0 (by .env)",
        "  VENVOY_CACHE_DIR  set",
    ] {
        let line = line.replace("~/..", "{root}");
        assert!(page.contains(&line), "no {line:?} in\n{page}");
    }
    let json = project.run(&["doctor", "--json"]).json();
    assert_eq!(json[0]["title"], "venvoy");
}

/// Those who report a bug have something broken: the page is printed all the same.
#[test]
fn the_page_is_printed_whatever_is_wrong() {
    let project = Project::new();
    project.write("project/Pipfile.lock", "{");
    project.write("project/Pipfile", "[");
    fs::create_dir_all(project.venv()).expect("made");
    project.write("project/.venv/pyvenv.cfg", "");
    let run = project.run(&["doctor"]);
    run.succeeds();
    assert!(
        run.stdout.contains("  problem        Pipfile.lock is not JSON: it ends too early"),
        "{}",
        run.stdout
    );
    let elsewhere = project.run(&["doctor", "--project", "nowhere"]);
    elsewhere.succeeds();
    assert!(
        elsewhere.stdout.contains("problem  --project nowhere is not a directory"),
        "{}",
        elsewhere.stdout
    );
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let project = Project::new();
    project.run(&["man", "share/man1"]).says(&[]);
    let names = crate::support::files::names(&project.path("project/share/man1"));
    for name in ["venvoy.1", "venvoy-sync.1", "venvoy-run.1", "venvoy-cache-prune.1"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    // What only pipenv has is in no manual.
    assert!(!names.iter().any(|name| name == "venvoy-lock.1"), "{names:?}");
    let page = project.read("project/share/man1/venvoy-sync.1");
    assert!(page.starts_with(".ie") && page.contains("deploy"), "{page}");
}

#[test]
fn help_takes_the_name_of_a_command() {
    let project = Project::new();
    for args in [&["help", "sync"][..], &["sync", "--help"]] {
        let run = project.run(args);
        assert!(run.succeeds().stdout.contains("Make .venv exactly what the lock says"), "{}", run.stdout);
    }
    let whole = project.run(&["help"]).stdout;
    assert!(whole.contains("run ") && !whole.contains("--rm"), "{whole}");
    let bash = project.run(&["completions", "bash"]).stdout;
    assert!(bash.contains("requirements") && !bash.contains("uninstall"), "{bash}");
    // Nothing is asked for: the same, with the exit code of pipenv.
    let nothing = Command::new(env!("CARGO_BIN_EXE_venvoy")).output().expect("it runs");
    assert_eq!((nothing.status.code(), nothing.stderr), (Some(0), Vec::new()));
}
