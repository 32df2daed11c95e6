//! Caches of other users, as shared machines and CI have them. A child of each test is another user, so they want root.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
};

use serde_json::json;

use crate::support::{
    backend::{lib, sdist},
    lock::Lock,
    package::{Package, greeter},
    project::Project,
    run::Run,
};

const NOBODY: u32 = 65534;
const OTHER: u32 = 65533;

/// Everything below a directory, to one user, readable by all.
fn give(path: &Path, user: u32) {
    let metadata = fs::symlink_metadata(path).expect("there");
    chown(path, Some(user), Some(user))
        .expect("these tests change owners: run them as root (tests/run says how)");
    if metadata.is_symlink() {
        return;
    }
    let more = if metadata.is_dir() { 0o755 } else { 0o644 };
    fs::set_permissions(path, fs::Permissions::from_mode(metadata.mode() | more)).expect("permissions");
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            give(&entry.expect("an entry").path(), user);
        }
    }
}

/// `venvoy sync` as another user, whose the project is.
fn sync_as(project: &Project, user: u32, args: &[&str]) -> Run {
    fs::set_permissions(project.path("."), fs::Permissions::from_mode(0o755)).expect("permissions");
    for own in ["project", "home", "wheels"] {
        give(&project.path(own), user);
    }
    let mut command = project.command(&[&["sync", "--python", "/usr/bin/python3"], args].concat());
    project.finish(command.uid(user).gid(user))
}

/// A wheel and something that has to be built, whose cache root filled.
fn filled() -> Project {
    let (wheel, source) = (demo("right00"), sdist("lib", lib("built")));
    let project = Project::of(&Lock::new().package(&wheel).package(&source));
    project.wheels(&[wheel, source]);
    project.run(&["sync", "--python", "/usr/bin/python3", "--find-links", "../wheels"]).succeeds();
    fs::remove_dir_all(project.venv()).expect("removed");
    project
}

fn demo(text: &str) -> Package {
    Package::new(&greeter("demo", "1.0").stored("demo_data.txt", text))
}

fn below(path: &Path, end: &str) -> std::path::PathBuf {
    let files = crate::support::files::below(path);
    path.join(files.into_iter().find(|file| file.ends_with(end)).expect("a file of that name"))
}

const READ_ONLY: &str = "warning: the cache {root}/cache cannot be written: it is read, but what is downloaded now will not be kept; \
                         set VENVOY_CACHE_DIR to a directory that can be written";

/// Root cares for it, and nobody else can write to it: what was built is taken from there as well.
#[test]
fn a_cache_of_roots_serves_other_users_with_what_was_built() {
    let project = filled();
    give(&project.path("cache"), 0);
    let run = sync_as(&project, NOBODY, &["--offline"]);
    run.says(&[READ_ONLY, ".venv: 2 packages, {size} in {time} s: 2 cached"]);
    assert_eq!(project.script("lib"), "built");
    let data = below(&project.venv(), "demo_data.txt");
    assert_eq!(fs::metadata(&data).expect("a file").uid(), NOBODY, "files of other owners are never linked");
}

/// Who else it is may have put anything there: what the lock pins is digested, what it does not pin is built here.
#[test]
fn a_cache_of_another_user_serves_what_can_be_verified() {
    let project = filled();
    give(&project.path("cache"), OTHER);
    let run = sync_as(&project, NOBODY, &["--find-links", "../wheels"]);
    run.says(&[READ_ONLY, ".venv: 2 packages, {size} in {time} s: 1 cached, 1 built"]);
    assert_eq!(project.script("lib"), "built");
    let data = below(&project.venv(), "demo_data.txt");
    assert_eq!(fs::metadata(&data).expect("a file").uid(), NOBODY);

    // Exchanged by its owner for another of the same size.
    let evil = (0..1000).map(|n| demo(&format!("evil{n:03}")));
    let right = demo("right00");
    let evil = evil.into_iter().find(|evil| evil.bytes.len() == right.bytes.len()).expect("one of its size");
    fs::write(below(&project.path("cache"), "demo-1.0-py3-none-any.whl"), &evil.bytes).expect("exchanged");
    fs::remove_dir_all(project.venv()).expect("removed");
    let run = sync_as(&project, NOBODY, &["--find-links", "../wheels"]);
    run.succeeds().mentions(&["demo-1.0-py3-none-any.whl"]);
    assert_eq!(fs::read(below(&project.venv(), "demo_data.txt")).expect("a file"), b"right00");
}

/// A cache that a group shares: each of them finds what others brought, after a look at it.
#[test]
fn a_cache_that_a_group_writes_is_used_and_its_files_are_digested() {
    let project = filled();
    let cache = project.path("cache");
    give(&cache, OTHER);
    let mut directories = vec![cache.clone()];
    while let Some(directory) = directories.pop() {
        chown(&directory, Some(OTHER), Some(NOBODY)).expect("changed");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o2775)).expect("permissions");
        let entries =
            fs::read_dir(&directory).expect("a directory").map(|entry| entry.expect("an entry").path());
        directories.extend(entries.filter(|path| path.is_dir()));
    }
    let run = sync_as(&project, NOBODY, &["--find-links", "../wheels"]);
    run.says(&[".venv: 2 packages, {size} in {time} s: 1 cached, 1 built"]);
    let data = below(&project.venv(), "demo_data.txt");
    assert_eq!(fs::metadata(&data).expect("a file").uid(), NOBODY);
    // Root has more to lose, and says so once.
    let run = project.run(&[
        "sync",
        "--venv",
        "other",
        "--python",
        "/usr/bin/python3",
        "--find-links",
        "../wheels",
    ]);
    run.succeeds();
    let told = run.stderr.matches("can be written by others than root").count();
    assert_eq!(told, 1, "{}", run.stderr);
}

/// Without root the kernel keeps a build from looking into those above it: by Landlock, also where the build may write
/// everywhere, or by a namespace where there is no Landlock.
#[test]
fn a_build_of_a_user_cannot_read_the_variables_of_those_above_it() {
    // What `seccomp` answers to a program that asks for Landlock, as a kernel without it does.
    const WITHOUT_LANDLOCK: &str = "\
import ctypes, os, struct, sys\n\
libc = ctypes.CDLL(None, use_errno=True)\n\
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (6, 0, 0, 0x00050000 | 38), (6, 0, 0, 0x7fff0000)]\n\
program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *one) for one in code))\n\
filter = struct.pack('HxxxxxxP', len(code), ctypes.addressof(program))\n\
if sys.argv[1] == 'without':\n    \
    assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0, os.strerror(ctypes.get_errno())\n\
import subprocess\n\
sys.exit(subprocess.call(sys.argv[2:]))";
    let look = "pid, found = os.getpid(), []\n\
         while pid > 1:\n    \
             pid = int(open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()[1])\n    \
             try: found.append(b'canary-of-the-user' in open('/proc/%d/environ' % pid, 'rb').read())\n    \
             except OSError: found.append(None)\n\
         return wheel(out, 'lib', **{'found.py': 'found = %r' % found})";
    for (landlock, args) in [
        ("with", &["--fresh"][..]),
        ("with", &["--fresh", "--extra-pip-args=--no-build-isolation"]),
        ("without", &["--fresh"]),
        ("without", &["--fresh", "--extra-pip-args=--no-build-isolation"]),
    ] {
        let project = Project::of(&Lock::new().entry("default", "lib", json!({"path": "./lib"})));
        project.plant("project/lib", &crate::support::backend::in_tree(look));
        fs::set_permissions(project.path("."), fs::Permissions::from_mode(0o777)).expect("permissions");
        for own in ["project", "home"] {
            give(&project.path(own), NOBODY);
        }
        let venvoy = project.command(&[&["sync", "--python", "/usr/bin/python3"], args].concat());
        let mut command = std::process::Command::new("/usr/bin/python3");
        command
            .args(["-I", "-c", WITHOUT_LANDLOCK, landlock])
            .arg(venvoy.get_program())
            .args(venvoy.get_args());
        command.current_dir(project.dir()).env_clear();
        for (name, value) in venvoy.get_envs() {
            value.map(|value| command.env(name, value));
        }
        let run = project.finish(command.env("MY_PASSWORD", "canary-of-the-user").uid(NOBODY).gid(NOBODY));
        run.succeeds();
        let found = project.site_file("found.py");
        assert!(!found.contains("True"), "{landlock} {args:?}: {found}");
        // Its guard's, which is empty, at least: the test looks at something.
        assert!(found.contains("False"), "{landlock} {args:?}: {found}");
    }
}
