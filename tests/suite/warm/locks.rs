//! Which locks and targets are warmed, what is asked for it, and what is said.

use std::{fs, process::Command};

use serde_json::json;

use crate::support::{
    backend::{self, lib},
    index::index,
    lock::Lock,
    mount::without_network,
    package::{Package, greeter},
    project::Project,
    run::Run,
    server::Server,
};

/// Two Pythons on two platforms.
pub const FOUR: [&str; 4] = ["--python-version", "3.9,3.11", "--platform", "linux/amd64,linux/arm64"];

const DESCRIBED: [&str; 6] =
    ["--python-version", "3.11", "--platform", "linux/amd64", "--python-home", "/usr/local/bin"];

fn warm(project: &Project, args: &[&str]) -> Run {
    project.run(&[&["warm"], args].concat())
}

fn paths(server: &Server) -> Vec<String> {
    server.log().into_iter().map(|request| request.path).collect()
}

/// A wheel for one platform.
fn only(name: &str, tag: &str) -> Package {
    Package::new(&greeter(name, "1.0").tag(tag).platlib())
}

#[test]
fn afterwards_sync_and_pack_need_no_network() {
    let packages = [Package::simple("demo", "1.0"), Package::simple("other", "2.0")];
    let server = index(&packages);
    let project = Project::at(&server, &packages);
    warm(&project, &[]).succeeds();
    let asked = server.log().len();
    warm(&project, &[]).mentions(&["2 there", "everything was there"]);
    assert_eq!(server.log().len(), asked, "a second run asks nobody");
    let offline = |args: &[&str]| -> Option<Command> { without_network(&project.command(args)) };
    let Some(mut sync) = offline(&["sync", "--offline"]) else { return };
    project.finish(&mut sync).succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
    let args = [&["pack", "--offline", "-o", "out.tar"], &DESCRIBED[..]].concat();
    project.finish(&mut offline(&args).expect("it was possible")).succeeds();
    fs::remove_dir_all(project.venv()).expect("removed");
    // Nobody has to say so.
    project.finish(&mut offline(&["sync"]).expect("it was possible")).succeeds();
}

#[test]
fn many_locks_and_targets_ask_for_each_page_and_file_once() {
    let (amd, arm) =
        (only("fast", "cp39-cp39-manylinux_2_17_x86_64"), only("fast", "cp39-cp39-manylinux_2_17_aarch64"));
    let (old, new) = (Package::simple("demo", "1.0"), Package::simple("demo", "2.0"));
    let all = [amd.clone(), arm.clone(), old.clone(), new.clone()];
    let server = index(&all);
    let url = server.url("/simple");
    let fast = json!({"version": "==1.0", "hashes": [
        format!("sha256:{}", amd.sha256), format!("sha256:{}", arm.sha256)]});
    let project = Project::new();
    for (place, demo) in
        [("a", &old), ("b/deep", &new), ("c", &old), ("node_modules/not", &new), (".hidden", &new)]
    {
        let lock = Lock::at(&url).package(demo).entry("default", "fast", fast.clone());
        project.write(&format!("project/{place}/Pipfile.lock"), lock.0.to_string());
    }
    let run = warm(
        &project,
        &[
            "--recursive",
            "--json",
            "--python-version",
            "3.9",
            "--platform",
            "linux/amd64",
            "--platform",
            "linux/arm64",
        ],
    );
    run.succeeds();
    let result = run.json();
    assert_eq!(result["locks"], 3);
    assert_eq!(result["downloaded"], 4);
    let targets = result["targets"].as_array().expect("targets");
    let named: Vec<(&str, &str)> = targets
        .iter()
        .map(|one| (one["lock"].as_str().expect("a lock"), one["target"].as_str().expect("a target")))
        .collect();
    assert_eq!(
        named[..3],
        [("./a", "3.9 linux/amd64"), ("./a", "3.9 linux/arm64"), ("./b/deep", "3.9 linux/amd64")]
    );
    let mut asked = paths(&server);
    asked.sort();
    let mut once = asked.clone();
    once.dedup();
    assert_eq!(asked, once, "nothing twice");
    assert_eq!(asked.len(), 2 + 4, "two pages, four files: {asked:?}");
    let again = warm(
        &project,
        &["a", "b/deep/Pipfile.lock", "c", "--python-version", "3.9", "--platform", "linux/amd64"],
    );
    again.succeeds().mentions(&["a for 3.9 linux/amd64: 2 packages: 2 there"]);
    assert_eq!(server.log().len(), 6);
}

#[test]
fn what_has_no_wheel_for_a_target_is_named_and_its_source_is_kept() {
    let wheel = only("fast", "cp39-cp39-manylinux_2_17_x86_64");
    let source = Package::of("fast-1.0.tar.gz", backend::sdist("fast", lib("built")).bytes);
    let both = [wheel.clone(), source.clone()];
    let server = index(&both);
    let entry = json!({"version": "==1.0", "hashes": [
        format!("sha256:{}", wheel.sha256), format!("sha256:{}", source.sha256)]});
    let mut project = Project::of(&Lock::at(&server.url("/simple")).entry("default", "fast", entry));
    project.knows(&server);
    let run = warm(&project, &["--python-version", "3.9", "--platform", "linux/amd64,linux/arm64"]);
    run.succeeds().mentions(&[
        "Pipfile.lock for 3.9 linux/amd64: 1 package: 1 came\n",
        "Pipfile.lock for 3.9 linux/arm64: 1 package: 1 came, 1 without a wheel\n  no wheel: fast 1.0 [default]\n",
    ]);
    assert!(paths(&server).contains(&source.path()));
    // What is pinned and of no use at all is an error, after everything else was fetched.
    let only_wheel = json!({"version": "==1.0", "hashes": [format!("sha256:{}", wheel.sha256)]});
    let demo = Package::simple("demo", "1.0");
    let server = index(&[wheel.clone(), demo.clone()]);
    project.lock(&Lock::at(&server.url("/simple")).package(&demo).entry("default", "fast", only_wheel));
    let failed = warm(&project, &["--python-version", "3.9", "--platform", "linux/amd64,linux/arm64"]);
    failed.ends_with(5).mentions(&[
        "Pipfile.lock for 3.9 linux/arm64: 2 packages: 1 came, 1 not to be had",
        "cannot install fast 1.0 [default] of Pipfile.lock for 3.9 linux/arm64",
    ]);
    assert!(paths(&server).contains(&demo.path()));
}

#[test]
fn what_must_be_built_is_built_for_this_machine() {
    let source = backend::sdist("lib", lib("from an sdist"));
    let server = index(std::slice::from_ref(&source));
    let project = Project::at(&server, std::slice::from_ref(&source));
    warm(&project, &[]).succeeds().mentions(&["1 package: 1 built"]);
    warm(&project, &[]).succeeds().mentions(&["1 package: 1 there"]);
    project.run(&["sync", "--offline"]).says(&[".venv: 1 package, {size} in {time} s: 1 cached"]);
    assert_eq!(project.script("lib"), "from an sdist");
}

#[test]
fn one_lock_that_is_broken_does_not_keep_the_others_from_being_warmed() {
    let demo = Package::simple("demo", "1.0");
    let server = index(std::slice::from_ref(&demo));
    let project = Project::new();
    project.write("project/a/Pipfile.lock", "{");
    project.write(
        "project/b/Pipfile.lock",
        Lock::of(&server.url("/simple"), std::slice::from_ref(&demo)).0.to_string(),
    );
    let run = warm(&project, &["a", "b", "--python-version", "3.9", "--platform", "linux/amd64"]);
    run.ends_with(3).mentions(&["error: cannot warm a", "b for 3.9 linux/amd64: 1 package: 1 came"]);
    assert!(paths(&server).contains(&demo.path()));
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    for (args, says) in [
        (&["--recursive", "nowhere"][..], "nowhere is not a directory"),
        (&["--lock", "Pipfile.lock", "."], "--lock and PROJECT|LOCK both name locks"),
        (&["-o", "x.tar.gz"], "--output x.tar.gz is no FILE.tar"),
        (&["-o", "-", "--json"], "--json and --output - both want standard output"),
        (&["--platform", "linux/amd64"], "--python-version"),
        (&["--python-version", "2.7"], "--python-version 2.7 is not supported"),
        (&["--owner", "1"], "--layers"),
    ] {
        let run = warm(&project, args);
        run.ends_with(2).mentions(&[says]);
    }
    fs::create_dir(project.path("project/empty")).expect("a directory");
    warm(&project, &["--recursive", "empty"])
        .fails(3, &["error: there is no Pipfile.lock and no pylock.toml in empty or below"]);
}

#[test]
fn unpacked_wheels_and_layers_are_made_on_request() {
    let demo = Package::simple("demo", "1.0");
    let project = Project::with_wheels(std::slice::from_ref(&demo));
    let links = ["--find-links", "../wheels"];
    warm(&project, &links).succeeds();
    assert!(!project.path("cache/v1/unpacked").exists());
    warm(&project, &[&links[..], &["--unpacked", "--layers"], &FOUR].concat()).succeeds();
    assert!(project.path("cache/v1/unpacked").exists() && project.path("cache/v1/layers").exists());
    fs::remove_dir_all(project.path("wheels")).expect("removed");
    let args = [&["pack", "--offline", "--oci", "image"], &DESCRIBED[..]].concat();
    project.run(&args).succeeds();
}
