//! `--with-python`: an image from nothing.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::image::{blob, image, layers, pack, tar};
use crate::support::{
    interpreters,
    package::{Package, greeter},
    project::Project,
};

/// What uses most of what an interpreter is linked with.
const IMPORTS: &str = "import ctypes, decimal, hashlib, json, sqlite3, ssl, sys, zlib, encodings.idna, socket, tempfile, demo; \
    socket.getaddrinfo('127.0.0.1', 1); assert tempfile.gettempdir() == '/tmp'; print(demo.__name__, hashlib.sha256(b'').hexdigest()[:8], sys.prefix)";

/// Runs a command with a directory as its root, as root of a user namespace.
fn inside(root: &Path, command: &[&str]) -> (Option<i32>, String) {
    let mut outside = Command::new("unshare");
    outside.args(["--map-root-user", "--user", "chroot"]).arg(root).args(command).env_clear();
    let output = outside.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().expect("unshare");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

fn works(root: &Path) {
    let said = inside(root, &["/.venv/bin/python", "-c", IMPORTS]);
    assert_eq!(said, (Some(0), "demo e3b0c442 /.venv\n".to_owned()));
    assert_eq!(inside(root, &["/.venv/bin/demo"]), (Some(0), "demo 1.0\n".to_owned()));
    assert_ne!(inside(root, &["/bin/sh", "-c", "true"]).0, Some(0), "there is no shell");
}

/// An interpreter in a prefix of its own.
fn own_prefix() -> String {
    let (_, python) = interpreters::pyenv().pop().expect("an interpreter of pyenv's");
    python.to_str().expect("UTF-8").to_owned()
}

#[test]
fn an_image_from_nothing_runs_by_itself() {
    let python = own_prefix();
    let project = Project::with_wheels(&[Package::new(&greeter("demo", "1.0"))]);
    let args = ["--with-python", "--python", &python];
    pack(&project, &[&args[..], &["--oci", "out", "--sbom", "cyclonedx", "c.json"]].concat()).succeeds();
    let out = project.path("project/out");
    let root = project.path("root");
    fs::create_dir(&root).expect("made");
    let first = layers(&out);
    for digest in &first {
        fs::write(root.join("l.tgz"), blob(&out, &Value::from(digest.as_str()))).expect("written");
        tar(&["-xpzf", "l.tgz"], &root);
    }
    works(&root);
    // What is the system's is told.
    let list = fs::read_to_string(project.path("project/c.json")).expect("a list");
    assert!(list.contains("/libc.so.6\"") && list.contains("ld-linux"), "{list}");
    // Once more, of what is kept.
    let (_, config) = image(&out);
    assert_eq!(config["history"].as_array().map(Vec::len), Some(first.len()));
    pack(&project, &[&args[..], &["--oci", "again"]].concat()).succeeds();
    assert_eq!(layers(&project.path("project/again")), first);
    let refused = pack(&project, &[&args[..], &["--oci", "on", "--base", "out"]].concat());
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("cannot be used with"), "{}", refused.stderr);
}

#[test]
fn a_tar_with_the_systems_interpreter_runs_by_itself() {
    let project = Project::with_wheels(&[Package::new(&greeter("demo", "1.0"))]);
    pack(&project, &["--with-python", "--python", "/usr/bin/python3", "-o", "all.tar"]).succeeds();
    let root = project.path("root");
    fs::create_dir(&root).expect("made");
    tar(&["-xpf", project.path("project/all.tar").to_str().expect("UTF-8")], &root);
    works(&root);
}
