//! `pack`: the place an artifact goes to: what stands there, what stops halfway, what cannot be written.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    process::Stdio,
};

use serde_json::Value;

use super::{
    image::{blob, image, pack},
    registry::DESCRIBED,
};
use crate::support::{
    files::names,
    mount::Mount,
    package::{Package, greeter, noise},
    project::Project,
};

#[test]
fn what_stands_at_the_output_is_replaced_only_if_it_is_of_its_kind() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let dir = project.dir();
    fs::create_dir(dir.join("dir.tar")).expect("a directory");
    pack(&project, &["-o", "dir.tar"]).ends(
        10,
        &[
            "error: {root}/project/dir.tar is there and no regular file",
            "  help: name another file, or - for standard output; nothing was changed",
        ],
    );
    symlink("elsewhere", dir.join("link.tar")).expect("a link");
    pack(&project, &["-o", "link.tar"])
        .fails(10, &["error: {root}/project/link.tar is there and no regular file"]);
    pack(&project, &["-o", "missing/a.tar"]).fails(10, &["error: cannot write {root}/project/missing/a.tar"]);
    pack(&project, &["-o", "a.zip"]).ends(
        2,
        &[
            "error: --output a.zip: no kind of tar has such a name",
            "  help: expected FILE.tar, FILE.tar.gz, FILE.tar.zst or -",
        ],
    );
    project.write("project/full/file.txt", "mine");
    pack(&project, &["--oci", "full"]).ends(
        10,
        &[
            "error: {root}/project/full is not an OCI layout: it holds other files, and no oci-layout of version 1.0.0",
            "  help: name a directory that is not there yet; nothing was changed",
        ],
    );
    assert_eq!(names(&dir.join("full")), ["file.txt"]);
    project.write("project/a.tar", "old");
    pack(&project, &["-o", "a.tar"]).succeeds();
    assert!(fs::metadata(dir.join("a.tar")).expect("a file").len() > 1000);
    assert_eq!(fs::metadata(dir.join("a.tar")).expect("a file").permissions().mode() & 0o777, 0o644);
    let left: Vec<_> = names(&dir).into_iter().filter(|name| name.starts_with(".venvoy")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_layout_keeps_other_tags_and_drops_the_blobs_that_nothing_needs() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let out = project.path("project/out");
    pack(&project, &[&["--oci", "out", "--name", "shop:one"], &DESCRIBED[..]].concat()).succeeds();
    let first = names(&out.join("blobs/sha256"));
    pack(&project, &[&["--oci", "out", "--name", "shop:two", "--env", "A=B"], &DESCRIBED[..]].concat())
        .succeeds();
    let both = names(&out.join("blobs/sha256"));
    assert_eq!((first.len(), both.len()), (4, 6), "layers are shared");
    // As a run leaves it that was killed.
    fs::write(out.join(".venvoy-1-blobs-sha256-0123"), "half").expect("written");
    pack(&project, &[&["--oci", "out", "--name", "shop:two", "--env", "A=C"], &DESCRIBED[..]].concat())
        .succeeds();
    assert_eq!(names(&out), ["blobs", "index.json", "oci-layout"]);
    let index: Value =
        serde_json::from_slice(&fs::read(out.join("index.json")).expect("an index")).expect("JSON");
    let tags: Vec<_> = index["manifests"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["annotations"]["org.opencontainers.image.ref.name"].clone())
        .collect();
    assert_eq!(tags, ["one", "two"]);
    assert_eq!(names(&out.join("blobs/sha256")).len(), 6);
}

#[test]
fn a_reader_that_leaves_and_a_full_disk_are_errors_that_leave_nothing() {
    let big = Package::new(&greeter("demo", "1.0").file("demo_data.bin", noise(600_000)));
    let project = Project::with_wheels(&[big]);
    let mut child = project
        .command(&["pack", "--find-links", "../wheels", "-o", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(10), "{said}");
    assert!(said.starts_with("error: cannot write to standard output\n  because: Broken pipe"), "{said}");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
    let output = project
        .command(&["pack", "--find-links", "../wheels", "-o", "-"])
        .stdout(full)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(10), "{said}");
    assert!(said.contains("No space left on device"), "{said}");
    assert_eq!(names(&project.dir()), ["Pipfile.lock"]);
}

#[test]
fn nothing_is_made_without_an_artifact() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let run = pack(&project, &[]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("--output <FILE>|--oci"), "{}", run.stderr);
}

/// Killed at many moments, a run leaves at most what the next one takes away.
#[test]
fn what_a_killed_run_leaves_is_swept_by_the_next() {
    let big = |name: &str| Package::new(&greeter(name, "1.0").file(&format!("{name}.bin"), noise(3_000_000)));
    let project = Project::with_wheels(&[big("one"), big("two"), big("three")]);
    project.write("project/kept.txt", "mine");
    let outputs = ["-o", "a.tar.gz", "--oci", "out"];
    let args = [&["pack", "--find-links", "../wheels"], &outputs[..], &DESCRIBED[..]].concat();
    for pause in (0..12).map(|step| std::time::Duration::from_millis(step * 25)) {
        let _ = fs::remove_dir_all(project.path("cache"));
        let mut child = project.command(&args).stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(pause);
        let _ = child.kill();
        child.wait().expect("it ends");
    }
    // What is younger may belong to a run that has not got to holding it.
    for name in names(&project.dir()) {
        if name.starts_with(".venvoy-") {
            let old = std::time::SystemTime::now() - std::time::Duration::from_mins(1);
            let left = fs::File::open(project.dir().join(&name)).expect("it is there");
            left.set_modified(old).expect("its own");
        }
    }
    pack(&project, &[&outputs[..], &DESCRIBED[..]].concat()).succeeds();
    let there = ["Pipfile.lock", "a.tar.gz", "kept.txt", "out"];
    assert_eq!(names(&project.dir()), there);
    let mut out = names(&project.path("project/out"));
    out.sort();
    assert_eq!(out, ["blobs", "index.json", "oci-layout"]);
    let (manifest, _) = image(&project.path("project/out"));
    for row in manifest["layers"].as_array().expect("layers") {
        blob(&project.path("project/out"), &row["digest"]);
    }
}

#[test]
fn a_disk_that_is_full_leaves_no_artifact() {
    let big = |name: &str| Package::new(&greeter(name, "1.0").file(&format!("{name}.bin"), noise(900_000)));
    let project = Project::with_wheels(&[big("one"), big("two")]);
    let Some(_small) = Mount::tmpfs(&project.path("project/small"), "1m") else { return };
    project.write("project/small/kept.txt", "mine");
    for output in
        [["-o", "small/a.tar"], ["-o", "small/a.tar.gz"], ["--oci", "small/out"], ["--oci", "small/out.tar"]]
    {
        let run = pack(&project, &[&output[..], &DESCRIBED[..]].concat());
        assert_eq!(run.code, Some(10), "{output:?}: {}", run.stderr);
        assert!(run.stderr.contains("No space left on device"), "{output:?}: {}", run.stderr);
        assert_eq!(names(&project.path("project/small")), ["kept.txt"], "{output:?}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named_and_nothing_is_changed() {
    let project = Project::with_wheels(&[Package::simple("demo", "1.0")]);
    let Some(fixed) = Mount::tmpfs(&project.path("project/fixed"), "4m") else { return };
    project.write("project/fixed/old.tar", "old");
    pack(&project, &[&["--oci", "fixed/layout"], &DESCRIBED[..]].concat()).succeeds();
    let before = names(&project.path("project/fixed/layout/blobs/sha256"));
    fixed.change("ro");
    for output in [
        ["-o", "fixed/old.tar"],
        ["-o", "fixed/new.tar.gz"],
        ["--oci", "fixed/out"],
        ["--oci", "fixed/new.tar"],
        ["--oci", "fixed/layout"],
    ] {
        // Another image than the one that is there.
        let other: &[&str] = if output[0] == "--oci" { &["--env", "A=B"] } else { &[] };
        let run = pack(&project, &[&output[..], other, &DESCRIBED[..]].concat());
        assert_eq!(run.code, Some(10), "{output:?}: {}", run.stderr);
        let named = run.stderr.starts_with("error: cannot write {root}/project/fixed")
            && run.stderr.contains("Read-only file system");
        assert!(named, "{output:?}: {}", run.stderr);
    }
    assert_eq!(names(&project.path("project/fixed")), ["layout", "old.tar"]);
    assert_eq!(names(&project.path("project/fixed/layout/blobs/sha256")), before);
    assert_eq!(fs::read_to_string(project.path("project/fixed/old.tar")).expect("there"), "old");
}
