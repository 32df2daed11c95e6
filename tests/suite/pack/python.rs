//! `--with-python`: an image from nothing.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use super::image::{blob, image, layers, pack, tar};
use crate::support::{
    interpreters,
    package::{Package, greeter},
    project::Project,
    run::Run,
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

/// Links C into a shared object and gives its bytes.
fn linked(dir: &Path, name: &str, text: &str, args: &[&str]) -> Vec<u8> {
    let source = dir.join("source.c");
    fs::write(&source, text).expect("written");
    let output = Command::new("gcc")
        .args(["-shared", "-fPIC", "-o", name])
        .arg(&source)
        .args(["-L.", "-Wl,--allow-shlib-undefined"])
        .args(args)
        .current_dir(dir)
        .output()
        .expect("gcc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read(dir.join(name)).expect("made")
}

#[test]
fn a_library_of_a_wheel_is_found_by_the_rpath_of_the_module_that_loads_it() {
    let project = Project::new();
    let dir = project.path("objects");
    fs::create_dir(&dir).expect("made");
    // As auditwheel has it: the module alone says where they are.
    let second = linked(&dir, "libsecond-1a2b.so.1", "int second(void) { return 2; }", &[]);
    let call = |name: &str| format!("int {name}(void); int calls_{name}(void) {{ return {name}(); }}");
    let first = linked(&dir, "libfirst-3c4d.so.1", &call("second"), &["-l:libsecond-1a2b.so.1"]);
    let absent = linked(&dir, "libabsent.so.1", "int absent(void) { return 1; }", &[]);
    assert!(!absent.is_empty());
    let rpath = "-Wl,--disable-new-dtags,-rpath,$ORIGIN/../demo.libs";
    let module = linked(&dir, "_demo.so", &call("calls_second"), &["-l:libfirst-3c4d.so.1", rpath]);
    let lonely = linked(&dir, "_lonely.so", &call("absent"), &["-l:libabsent.so.1", rpath]);
    let wheel = |more: &[(&str, &[u8])]| {
        let mut wheel = greeter("demo", "1.0")
            .file("demo/_demo.so", &module)
            .file("demo.libs/libfirst-3c4d.so.1", &first)
            .file("demo.libs/libsecond-1a2b.so.1", &second);
        for (path, bytes) in more {
            wheel = wheel.file(path, bytes);
        }
        Package::new(&wheel)
    };
    let python = own_prefix();
    let made = |package: Package| {
        let project = Project::with_wheels(&[package]);
        let run = pack(&project, &["--with-python", "--python", &python, "-o", "a.tar"]);
        run.succeeds();
        run.stderr
    };
    let said = made(wheel(&[]));
    assert!(!said.contains("nowhere"), "{said}");
    let said = made(wheel(&[("demo/_lonely.so", &lonely)]));
    let warning = "libabsent.so.1 is nowhere on this machine, and /.venv/lib/";
    assert!(said.matches("nowhere").count() == 1 && said.contains(warning), "{said}");
}

fn sync(project: &Project, python: &str, args: &[&str]) -> Run {
    project.run(&[&["sync", "--find-links", "../wheels", "--with-python", "--python", python], args].concat())
}

#[test]
fn a_tree_that_sync_makes_runs_by_itself() {
    let python = own_prefix();
    let project = Project::with_wheels(&[Package::new(&greeter("demo", "1.0"))]);
    sync(&project, &python, &["--venv", "tree/.venv"]).succeeds();
    let root = project.path("project/tree");
    works(&root);
    // A second run finds it as it is.
    let list = root.join(".venvoy-python");
    let made = || fs::metadata(&list).and_then(|found| found.modified()).expect("a list");
    let before = made();
    sync(&project, &python, &["--venv", "tree/.venv"]).succeeds();
    assert_eq!(made(), before);
    // What is missing comes back, what is no part any more goes, what others put there stays.
    let libc = fs::read_to_string(&list).expect("a list");
    let libc = libc.lines().find_map(|line| line.trim().strip_suffix("libc.so.6\",")).expect("glibc");
    let libc = root.join(libc.trim_start_matches('"')).join("libc.so.6");
    fs::remove_file(&libc).expect("removed");
    let text =
        fs::read_to_string(&list).expect("a list").replace("\"files\": [", "\"files\": [ \"old/one\",");
    fs::write(&list, text).expect("written");
    for file in ["old/one", "old/two"] {
        fs::create_dir_all(root.join("old")).expect("made");
        fs::write(root.join(file), "x").expect("written");
    }
    sync(&project, &python, &["--venv", "tree/.venv"]).succeeds();
    assert!(libc.is_file() && !root.join("old/one").exists() && root.join("old/two").exists());
    works(&root);
}

#[test]
fn an_interpreter_is_brought_only_where_nothing_else_is() {
    let ((major, minor), python) = interpreters::pyenv().pop().expect("an interpreter of pyenv's");
    let library = python.parent().and_then(Path::parent).expect("a prefix");
    let library = library.join(format!("lib/python{major}.{minor}/os.py"));
    let library = library.to_str().expect("UTF-8").trim_start_matches('/');
    let python = python.to_str().expect("UTF-8").to_owned();
    let project = Project::with_wheels(&[Package::new(&greeter("demo", "1.0"))]);
    let refused = |args: &[&str], code: i32, parts: &[&str]| {
        let run = sync(&project, &python, args);
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        for part in parts {
            assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
        }
    };
    refused(
        &["--venv", "tree/venv"],
        2,
        &["tree/venv does not end with /.venv, which is its place", "--at /.venv"],
    );
    refused(&["--venv", "tree/.venv", "--at", "/srv/.venv"], 2, &["does not end with /srv/.venv"]);
    refused(&["--venv", "/.venv"], 2, &["the tree would be the root of this machine"]);
    refused(&[], 2, &["--venv"]);
    // Another file of that name, and a link that leads out of the tree.
    let outside = project.path("outside");
    fs::create_dir(&outside).expect("made");
    let first = Path::new(&python).components().nth(1).expect("a path").as_os_str();
    for (tree, way) in [("one", library), ("two", first.to_str().expect("UTF-8"))] {
        let shown = format!("project/{tree}/{way} is ");
        let way = project.path("project").join(tree).join(way);
        fs::create_dir_all(way.parent().expect("a path")).expect("made");
        if tree == "one" {
            fs::write(&way, "another").expect("written");
        } else {
            std::os::unix::fs::symlink(&outside, &way).expect("linked");
        }
        refused(&["--venv", &format!("{tree}/.venv")], 10, &[&shown, "the interpreter was not brought"]);
    }
    assert_eq!(fs::read_to_string(project.path("project/one").join(library)).expect("there"), "another");
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 0);
}
