//! The README's command and what surrounds it, on `fixtures/hello`.

use crate::support::{
    files,
    lock::Lock,
    package::{Package, sha256},
    program::{clean, script},
    project::Project,
};
use std::fs;

/// README's command.
const SYNC: [&str; 3] = ["sync", "--find-links", "wheels"];

const WRITTEN: &str = ".venv: 2 packages, {size} in {time} s: 2 downloaded (3.2 kB)";

fn synced() -> Project {
    let project = Project::hello();
    project.run(&SYNC).says(&[WRITTEN]);
    project
}

#[test]
fn the_readmes_command_makes_an_environment_whose_scripts_run() {
    let project = synced();
    assert_eq!(project.script("hello"), "hello from venvoy");
    assert_eq!(project.script("hello-data"), "hello from data");
    assert_eq!(project.installed(), ["hello-data 1.0", "hello-greeting 1.0"]);
    assert_eq!(project.names(), [".venv", "Pipfile", "Pipfile.lock", "make.py", "wheels"]);
}

#[test]
fn it_works_from_any_directory_with_project() {
    let project = Project::hello();
    let mut command = project.command(&["sync", "--project", "project", "--find-links", "project/wheels"]);
    project.finish(command.current_dir(project.path("."))).says(&[WRITTEN]);
    assert_eq!(project.script("hello"), "hello from venvoy");
}

#[test]
fn an_entry_whose_marker_is_false_is_skipped_and_v_says_why() {
    let project = Project::hello();
    let run = project.run(&["sync", "-v", "--find-links", "wheels"]);
    run.fails(0, &["hello-windows: skipped, not sys_platform == \"win32\": sys_platform is \"linux\""]);
    assert_eq!(project.installed(), ["hello-data 1.0", "hello-greeting 1.0"]);
}

#[test]
fn a_second_run_says_up_to_date_and_changes_nothing() {
    let project = synced();
    let before = project.snapshot();
    project.run(&SYNC).says(&[".venv is up to date (2 packages)"]);
    assert_eq!(project.snapshot(), before);
}

#[test]
fn quiet_says_nothing() {
    let project = Project::hello();
    assert_eq!(project.run(&["sync", "-q", "-f", "wheels"]).says(&[]).stdout, "");
}

#[test]
fn offline_makes_a_new_environment_from_the_cache() {
    let project = synced();
    fs::remove_dir_all(project.dir().join("wheels")).expect("removed");
    let run = project.run(&["sync", "--offline", "--venv", "fresh", "--find-links", "wheels"]);
    run.says(&[
        "warning: --find-links wheels is ignored: cannot list {root}/project/wheels: No such file or directory (os error 2)",
        "fresh: 2 packages, {size} in {time} s: 2 cached",
    ]);
    assert_eq!(script(&project.dir().join("fresh/bin/hello")), "hello from venvoy");
}

#[test]
fn install_is_sync_under_pipenvs_name() {
    let project = Project::hello();
    project.run(&["install", "--deploy", "--find-links", "wheels"]).says(&[WRITTEN]);
    assert_eq!(project.script("hello"), "hello from venvoy");
    project.run(&SYNC).says(&[".venv is up to date (2 packages)"]);
}

#[test]
fn install_with_packages_is_refused() {
    let project = Project::hello();
    project.run(&["install", "requests", "--find-links", "wheels"]).ends(
        2,
        &[
            "error: venvoy installs what the lock holds; it does not add packages such as \"requests\"",
            "  help: add it with `pipenv install requests` or `pipenv lock`, then run `venvoy install`",
        ],
    );
    assert_eq!(project.names(), ["Pipfile", "Pipfile.lock", "make.py", "wheels"]);
}

#[test]
fn plan_prints_a_table_and_changes_nothing() {
    let project = Project::hello();
    let run = project.run(&["plan", "--find-links", "wheels"]);
    run.says(&[]);
    assert_eq!(
        run.stdout.lines().collect::<Vec<_>>(),
        [
            "package         version  kind     source      size    cache  file",
            "hello-data      1.0      wheel    find-links  1.6 kB         hello_data-1.0-py3-none-any.whl",
            "hello-greeting  1.0      wheel    find-links  1.6 kB         hello_greeting-1.0-py3-none-any.whl",
            "hello-windows   1.0      skipped  -                          (not sys_platform == \"win32\": sys_platform is \"linux\")",
            "3 packages, 3.2 kB, 3.2 kB to download",
        ]
    );
    assert_eq!(project.names(), ["Pipfile", "Pipfile.lock", "make.py", "wheels"]);
}

#[test]
fn plan_prints_json() {
    let project = synced();
    let before = project.snapshot();
    let run = project.run(&["plan", "--json", "--dev", "--find-links", "wheels"]);
    run.says(&[]);
    let rows: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let column = |key: &str| -> Vec<String> {
        rows.as_array().expect("rows").iter().map(|row| row[key].to_string().replace('"', "")).collect()
    };
    assert_eq!(column("name"), ["hello-check", "hello-data", "hello-greeting", "hello-windows"]);
    assert_eq!(column("version"), ["1.0"; 4]);
    assert_eq!(column("category"), ["develop", "default", "default", "default"]);
    assert_eq!(column("kind"), ["wheel", "wheel", "wheel", "skipped"]);
    assert_eq!(column("source"), ["find-links", "find-links", "find-links", "null"]);
    assert_eq!(column("cached"), ["false", "true", "true", "false"]);
    assert_eq!(column("file")[0], "hello_check-1.0-py3-none-any.whl");
    assert_eq!(column("note")[3], r"not sys_platform == \win32\: sys_platform is \linux\");
    let wheel = fs::read(project.dir().join("wheels/hello_check-1.0-py3-none-any.whl")).expect("a wheel");
    assert_eq!(column("sha256")[0], sha256(&wheel));
    assert_eq!(column("size")[0], wheel.len().to_string());
    assert_eq!(project.snapshot(), before);
}

#[test]
fn the_cache_commands_say_where_and_how_much_and_make_it_smaller() {
    let project = synced();
    assert_eq!(project.run(&["cache", "dir"]).says(&[]).stdout, "{root}/cache\n");
    let size = project.run(&["cache", "size"]).says(&[]).stdout.clone();
    assert!(size.lines().any(|line| line.starts_with("files ") && line.contains("2 files")), "{size}");
    let kept = project.run(&["cache", "prune", "--days", "1"]).says(&[]).stdout.clone();
    assert_eq!(kept, "removed 0 files, 0 B\n");
    let cleared = project.run(&["cache", "clear"]).says(&[]).stdout.clone();
    assert!(cleared.starts_with("removed ") && !cleared.contains("removed 0"), "{cleared}");
    let size = project.run(&["cache", "size"]).says(&[]).stdout.clone();
    assert_eq!(size.lines().next(), Some("{root}/cache"));
    assert!(size.lines().skip(1).all(|line| line.contains(" 0 files")), "{size}");
    assert_eq!(project.script("hello"), "hello from venvoy");
    project.run(&SYNC).says(&[".venv is up to date (2 packages)"]);
}

#[test]
fn check_and_digest_notice_a_change_and_a_new_environment_is_as_before() {
    let project = synced();
    let clean = project.run(&["check"]);
    assert_eq!(clean.says(&[]).stdout, "{root}/project/.venv is as it was written (26 files)\n");
    let digest = project.run(&["digest"]).says(&[]).stdout.clone();
    assert!(digest.starts_with("sha256:") && digest.len() == 72, "{digest}");

    let data = project.venv().join("share/hello/words.txt");
    fs::remove_file(&data).expect("removed");
    fs::write(&data, "goodbye").expect("written");
    fs::write(project.venv().join("bin/extra"), "").expect("written");
    fs::remove_file(project.venv().join("bin/hello")).expect("removed");
    let run = project.run(&["check"]);
    assert_eq!(
        run.ends(8, &[]).stdout.lines().collect::<Vec<_>>(),
        [
            "missing: bin/hello",
            "changed: share/hello/words.txt has other contents",
            "extra:   bin/extra",
            "{root}/project/.venv is not what it should be: 1 missing, 1 changed, 1 extra, 0 unlike the lock (--repair makes it anew)",
        ]
    );
    assert_ne!(project.run(&["digest"]).says(&[]).stdout, digest);

    project.run(&["check", "--repair", "--offline"]).succeeds();
    assert_eq!(project.run(&["digest"]).says(&[]).stdout, digest);
    assert_eq!(project.script("hello-data"), "hello from data");
    assert_eq!(project.run(&["check"]).code, Some(0));
}

#[test]
fn equal_inputs_give_equal_digests_whoever_writes_and_however() {
    let project = synced();
    let digest = project.run(&["digest"]).says(&[]).stdout.clone();
    let runs: [(&str, &[&str]); 5] = [
        ("002", &["--link", "unpack"]),
        ("077", &["--link", "hardlink"]),
        ("027", &["--link", "copy", "--threads", "1"]),
        ("022", &["--link", "unpack", "--concurrent-downloads", "1"]),
        ("000", &[]),
    ];
    for (umask, args) in runs {
        let other = Project::hello();
        let sync = other.command(&[&SYNC, args].concat());
        let mut shell = clean("/bin/sh".as_ref());
        shell.args(["-c", "umask $0 && exec \"$@\"", umask]).arg(sync.get_program()).args(sync.get_args());
        shell
            .current_dir(other.dir())
            .env("HOME", other.path("home"))
            .env("LC_ALL", "C")
            .env("TZ", "Asia/Tokyo");
        other.finish(&mut shell).succeeds();
        assert_eq!(other.run(&["digest"]).says(&[]).stdout, digest, "umask {umask} {args:?}");
    }
}

#[test]
fn a_file_edited_in_the_environment_does_not_reach_other_environments() {
    let project = synced();
    let edited = project.venv().join("share/hello/words.txt");
    // As an editor does that keeps the inode: where files are linked, this reaches the cache's copy.
    fs::write(&edited, "hello from evil\n").expect("written");
    project.run(&["sync", "--venv", "other", "--find-links", "wheels"]).succeeds();
    assert_eq!(script(&project.dir().join("other/bin/hello-data")), "hello from data");
}

#[test]
fn seed_brings_pip_along() {
    let project = Project::hello();
    project.run(&["sync", "--seed", "--find-links", "wheels"]).succeeds();
    assert!(project.installed().iter().any(|line| line.starts_with("pip ")), "{:?}", project.installed());
    let python = project.venv().join("bin/python");
    let output = clean(&python).args(["-I", "-m", "pip", "--version"]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("/.venv/lib/"), "{text}{output:?}");
    project.run(&["sync", "--find-links", "wheels"]).succeeds();
    assert_eq!(project.installed(), ["hello-data 1.0", "hello-greeting 1.0"]);
}

#[test]
fn venv_puts_the_environment_elsewhere() {
    let project = Project::hello();
    let place = project.path("elsewhere/deep/env");
    let run = project.run(&["sync", "-f", "wheels", "--venv", place.to_str().expect("UTF-8")]);
    run.says(&["{root}/elsewhere/deep/env: 2 packages, {size} in {time} s: 2 downloaded (3.2 kB)"]);
    assert_eq!(script(&place.join("bin/hello")), "hello from venvoy");
    assert!(!project.venv().exists());
    let before = files::snapshot(&place);
    let run = project.run(&["sync", "-f", "wheels", "--venv", "../elsewhere/deep/env"]);
    run.says(&["../elsewhere/deep/env is up to date (2 packages)"]);
    assert_eq!(files::snapshot(&place), before);
    assert_eq!(project.run(&["check", "--venv", "../elsewhere/deep/env"]).code, Some(0));
}

#[test]
fn dev_adds_the_develop_category_and_leaving_it_out_takes_it_away() {
    let project = Project::hello();
    project.run(&["sync", "--dev", "-f", "wheels"]).succeeds();
    assert_eq!(project.script("hello-check"), "checked hello_greeting");
    project.run(&SYNC).succeeds();
    assert_eq!(project.installed(), ["hello-data 1.0", "hello-greeting 1.0"]);
    assert!(!project.venv().join("bin/hello-check").exists());
}

#[test]
fn categories_are_exactly_those_named() {
    let project = Project::hello();
    project.run(&["sync", "--categories", "dev-packages", "-f", "wheels"]).succeeds();
    assert_eq!(project.installed(), ["hello-check 1.0"]);
    project.run(&["sync", "--categories", "packages develop", "-f", "wheels"]).succeeds();
    assert_eq!(project.installed(), ["hello-check 1.0", "hello-data 1.0", "hello-greeting 1.0"]);
}

#[test]
fn an_unknown_category_is_an_error_that_names_those_there_are() {
    let project = Project::hello();
    project
        .run(&["sync", "--categories", "default,tests", "-f", "wheels"])
        .ends(3, &["error: the lock has no category \"tests\"", "  help: its categories: default, develop"]);
    assert!(!project.venv().exists());
}

#[test]
fn a_package_that_left_the_lock_leaves_the_environment() {
    let (one, two) = (Package::simple("one", "1.0"), Package::simple("two", "1.0"));
    let project = Project::with_wheels(&[one.clone(), two]);
    project.sync().succeeds();
    assert_eq!(project.installed(), ["one 1.0", "two 1.0"]);
    project.lock(&Lock::new().package(&one));
    project.sync().succeeds();
    assert_eq!(project.installed(), ["one 1.0"]);
}
