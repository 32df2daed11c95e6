//! Locks that cannot be used, or not here: exit codes and whole messages.

use std::process::Command;

use crate::support::{
    lock::Lock,
    package::{Package, greeter, sha256},
    process::started_by,
    program::script_of_python,
    project::Project,
};
use serde_json::{Value, json};

fn demo() -> Package {
    Package::simple("demo", "1.0")
}

/// A project with this text as its lock.
fn with_lock(text: impl AsRef<[u8]>) -> Project {
    let project = Project::new();
    project.write("project/Pipfile.lock", text);
    project
}

/// A project whose only package has this entry.
fn with_entry(entry: Value) -> Project {
    with_lock(Lock::new().entry("default", "demo", entry).0.to_string())
}

#[test]
fn no_lock() {
    let project = Project::new();
    project.sync().ends(3, &["error: no lock in {root}/project: there is no Pipfile.lock, no pylock.toml and no Pipfile", "  help: make one with `pipenv lock` and commit it; in a Dockerfile, COPY it before this step; or name one with --lock FILE"]);
    project.write("project/Pipfile", "[packages]\n");
    project.sync().ends(3, &["error: Pipfile.lock not found! There is a Pipfile but no lock in {root}/project", "  help: make one with `pipenv lock` and commit it; in a Dockerfile, COPY it before this step; or name one with --lock FILE"]);
    assert_eq!(project.names(), ["Pipfile"]);
}

#[test]
fn a_project_directory_that_is_not_there() {
    let project = Project::new();
    project.run(&["sync", "--project", "nowhere"]).ends(
        2,
        &[
            "error: --project nowhere is not a directory",
            "  help: name the directory that holds the Pipfile.lock",
        ],
    );
}

#[test]
fn an_empty_lock() {
    with_lock("").sync().ends(
        3,
        &[
            "error: Pipfile.lock is empty",
            "  help: restore it from version control, or make it anew with `pipenv lock`",
        ],
    );
}

#[test]
fn a_truncated_lock() {
    let text = Lock::new().package(&demo()).0.to_string();
    with_lock(&text[..text.len() / 2]).sync().ends(
        3,
        &[
            "error: Pipfile.lock is not JSON: it ends too early (the file seems to be cut short)",
            "  help: restore it from version control, or make it anew with `pipenv lock`",
        ],
    );
}

#[test]
fn a_lock_with_a_merge_conflict() {
    let text =
        "{\n<<<<<<< HEAD\n    \"_meta\": {}\n=======\n    \"_meta\": {\"hash\": {}}\n>>>>>>> branch\n}\n";
    with_lock(text).sync().ends(
        3,
        &[
            "error: Pipfile.lock has a merge conflict in line 2",
            "  help: resolve the conflict in the Pipfile, then make the lock anew with `pipenv lock`",
        ],
    );
}

#[test]
fn a_binary_lock() {
    with_lock(b"PK\x03\x04\x00\x00\xff\xfe").sync().ends(
        3,
        &[
            "error: Pipfile.lock is damaged: a zero byte in line 1; expected text in UTF-8",
            "  help: restore it from version control, or make it anew with `pipenv lock`",
        ],
    );
    with_lock(b"{\"_meta\": \"\xff\xfe\"}").sync().ends(
        3,
        &[
            "error: Pipfile.lock is damaged: line 1 is not UTF-8",
            "  help: restore it from version control, or make it anew with `pipenv lock`",
        ],
    );
}

#[test]
fn json_that_is_no_lock() {
    with_lock("[]").sync().ends(
        3,
        &[
            "error: Pipfile.lock is not a lock: it holds a list, expected an object",
            "  help: make it anew with `pipenv lock`, or restore it from version control",
        ],
    );
    with_lock("{}").sync().ends(
        3,
        &[
            "error: Pipfile.lock is not a lock: it has neither \"default\" nor any other category",
            "  help: make it anew with `pipenv lock`, or restore it from version control",
        ],
    );
}

#[test]
fn every_wrong_entry_is_named_with_its_category() {
    let digest = "0".repeat(64);
    let lock = Lock::new()
        .entry("default", "list", json!([1]))
        .entry("default", "bad-marker", json!({"version": "==1.0", "markers": "python_version >> '3'"}))
        .entry(
            "default",
            "bad-version",
            json!({"version": "==1.0.banana", "hashes": [format!("sha256:{digest}")]}),
        )
        .entry("develop", "bad-hash", json!({"version": "==1.0", "hashes": ["sha256:xyz"]}))
        .entry("develop", "bad-hashes", json!({"version": "==1.0", "hashes": {"sha256": 1}}))
        .entry("develop", "bad name!", json!({"version": "==1.0"}))
        .entry("docs", "number", json!({"version": 1}));
    with_lock(lock.0.to_string()).sync().ends(3, &["error: Pipfile.lock cannot be used: 7 entries are wrong", "  - list [default] is wrong", "      because: it is a list, expected an object", "  - bad-marker [default] is wrong", "      because: \"python_version >> '3'\" is not an environment marker: column 17: expected a marker variable or a quoted string, got \"> '3'\"", "  - bad-version [default] is wrong", "      because: version \"==1.0.banana\" cannot be read; expected something like ==1.0 (PEP 440)", "  - bad-hash [develop] is wrong", "      because: hash \"sha256:xyz\" is not sha256 and 64 hexadecimal digits", "      because: \"xyz\" is not a SHA-256 digest: expected 64 hexadecimal digits, got 3", "  - bad-hashes [develop] is wrong", "      because: hashes is an object, expected a list of strings", "  - bad name! [develop] is wrong", "      because: \"bad name!\" is not a package name: expected letters, digits, '-', '_' and '.', with a letter or digit first and last (PEP 508)", "  - number [docs] is wrong", "      because: version is a number, expected a string", "  help: lock again with `pipenv lock`", "  help: expected something like python_version >= '3.8' and sys_platform == 'linux' (PEP 508)"]);
}

#[test]
fn a_bad_marker() {
    with_entry(json!({"version": "==1.0", "markers": "python_version >= "})).sync().ends(3, &["error: Pipfile.lock cannot be used", "  because: demo [default] is wrong", "  because: \"python_version >= \" is not an environment marker: column 19: expected a marker variable or a quoted string, got the end", "  help: expected something like python_version >= '3.8' and sys_platform == 'linux' (PEP 508)"]);
}

#[test]
fn a_bad_version() {
    with_entry(json!({"version": "==not a version"})).sync().ends(
        3,
        &[
            "error: Pipfile.lock cannot be used",
            "  because: demo [default] is wrong",
            "  because: version \"==not a version\" cannot be read; expected something like ==1.0 (PEP 440)",
        ],
    );
}

#[test]
fn a_bad_hash() {
    with_entry(json!({"version": "==1.0", "hashes": ["sha256:abc"]})).sync().ends(
        3,
        &[
            "error: Pipfile.lock cannot be used",
            "  because: demo [default] is wrong",
            "  because: hash \"sha256:abc\" is not sha256 and 64 hexadecimal digits",
            "  because: \"abc\" is not a SHA-256 digest: expected 64 hexadecimal digits, got 3",
        ],
    );
}

#[test]
fn no_hashes() {
    with_entry(json!({"version": "==1.0"})).sync().ends(3, &["error: cannot install demo 1.0 [default]", "  because: the lock has no hashes for it; expected sha256 digests", "  help: lock again with a current pipenv, or pass --allow-unhashed demo to take whatever the index serves"]);
}

#[test]
fn only_hashes_that_verify_nothing() {
    with_entry(json!({"version": "==1.0", "hashes": ["md5:900150983cd24fb0d6963f7d28e17f72"]}))
        .sync()
        .ends(3, &["error: cannot install demo 1.0 [default]", "  because: the lock has only md5:900150983cd24fb0d6963f7d28e17f72 for it; expected sha256 digests", "  help: lock again with a current pipenv and an index that gives sha256 digests"]);
    with_entry(json!({"version": "==1.0", "hashes": ["md5:900150983cd24fb0d6963f7d28e17f72"]}))
        .sync_with(&["--allow-unhashed"])
        .ends(3, &["error: cannot install demo 1.0 [default]", "  because: the lock has only md5:900150983cd24fb0d6963f7d28e17f72 for it; expected sha256 digests", "  help: lock again with a current pipenv and an index that gives sha256 digests"]);
}

#[test]
fn an_unknown_index() {
    let mut entry = demo().entry();
    entry["index"] = json!("private");
    with_entry(entry).sync().ends(
        3,
        &[
            "error: the lock has no source called \"private\", which demo names as its index",
            "  help: sources of the lock: example",
        ],
    );
}

#[test]
fn every_unknown_index_is_named() {
    let with = |index: &str| {
        let mut entry = demo().entry();
        entry["index"] = json!(index);
        entry
    };
    let lock = Lock::new().entry("default", "one", with("first")).entry("default", "two", with("second"));
    with_lock(lock.0.to_string()).sync().ends(
        3,
        &[
            "error: the lock's sources cannot be used: 2 errors",
            "  - the lock has no source called \"first\", which one names as its index",
            "  - the lock has no source called \"second\", which two names as its index",
            "  help: sources of the lock: example",
        ],
    );
}

#[test]
fn a_lock_without_sources() {
    with_lock(Lock::new().meta("sources", json!([])).package(&demo()).0.to_string()).sync().ends(
        3,
        &[
            "error: the lock names no source",
            "  help: add a [[source]] to the Pipfile and lock again, or use --find-links with --no-index",
        ],
    );
}

#[test]
fn no_wheel_and_no_sdist_for_this_interpreter() {
    let wheels = ["cp27-cp27m-manylinux1_x86_64", "cp39-cp39-win_amd64", "cp39-abi3-macosx_11_0_arm64"]
        .map(|tag| Package::new(&greeter("demo", "1.0").tag(tag)));
    let project = Project::new();
    project.wheels(&wheels);
    let hashes: Vec<String> = wheels.iter().map(|wheel| format!("sha256:{}", wheel.sha256)).collect();
    project.lock(&Lock::new().entry("default", "demo", json!({"version": "==1.0", "hashes": hashes})));
    let run = project.sync();
    run.fails(
        5,
        &[
            "error: cannot install demo 1.0 [default]",
            "  - demo-1.0-cp39-abi3-macosx_11_0_arm64.whl: platform tag macosx_11_0_arm64 does not fit",
            "  - demo-1.0-cp27-cp27m-manylinux1_x86_64.whl: Python tag cp27 does not fit",
            "  - demo-1.0-cp39-cp39-win_amd64.whl: Python tag cp39 does not fit",
            "  help: use an interpreter and platform that the package has files for, or lock another version",
        ],
    );
    let tags = script_of_python("import sys; print('cp%d%d' % sys.version_info[:2])");
    assert!(run.stderr.contains(&format!("the target accepts the Python tags {tags}, ")), "{}", run.stderr);
    assert!(run.stderr.contains("the target accepts the platform tags linux_"), "{}", run.stderr);
    assert!(!project.venv().exists());
}

const PIPFILE: &str = "[[source]]\nname = \"example\"\nurl = \"https://index.example/simple\"\nverify_ssl = true\n\n\
                       [packages]\nDemo_Pkg = \"*\"\n\n[tools]\nOther_Tool = {version = \"*\"}\n";

/// The three texts whose hashes pipenv has written for [`PIPFILE`] over the years.
const HASHED: [&str; 3] = [
    // The first ones knew no categories of the user's own,
    r#"{"_meta":{"requires":{},"sources":[{"name":"example","url":"https://index.example/simple","verify_ssl":true}]},"default":{"Demo_Pkg":"*"},"develop":{}}"#,
    // later ones hash them too,
    r#"{"_meta":{"requires":{},"sources":[{"name":"example","url":"https://index.example/simple","verify_ssl":true}]},"default":{"Demo_Pkg":"*"},"develop":{},"tools":{"Other_Tool":{"version":"*"}}}"#,
    // and the latest normalise names.
    r#"{"_meta":{"requires":{},"sources":[{"name":"example","url":"https://index.example/simple","verify_ssl":true}]},"default":{"demo-pkg":"*"},"develop":{},"tools":{"other-tool":{"version":"*"}}}"#,
];

fn locked_for(hash: &str) -> Project {
    let project = Project::with_wheels(&[demo()]);
    project.lock(&Lock::new().package(&demo()).meta("hash", json!({"sha256": hash})));
    project.write("project/Pipfile", PIPFILE);
    project
}

#[test]
fn a_lock_is_fresh_by_any_of_the_three_hashes() {
    for text in HASHED {
        let project = locked_for(&sha256(text.as_bytes()));
        project
            .sync_with(&["--deploy"])
            .says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    }
}

#[test]
fn a_stale_lock_is_refused_with_deploy_and_warned_about_without() {
    let project = locked_for(&"a".repeat(64));
    project.sync_with(&["--deploy"]).ends(3, &["error: Pipfile.lock is out of date: it was made for a Pipfile with hash aaaaaaaaaaaa, the Pipfile here has 4a874af7316b", "  help: run `pipenv lock` and commit the result, or pass --ignore-pipfile to install what is locked"]);
    assert!(!project.venv().exists());
    project.sync().says(&["warning: Pipfile.lock is out of date: it was made for a Pipfile with hash aaaaaaaaaaaa, the Pipfile here has 4a874af7316b", ".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    std::fs::remove_dir_all(project.venv()).expect("removed");
    project
        .sync_with(&["--deploy", "--ignore-pipfile"])
        .says(&[".venv: 1 package, {size} in {time} s: 1 cached"]);
}

fn requiring(version: &str) -> Project {
    let project = Project::with_wheels(&[demo()]);
    project.lock(&Lock::new().package(&demo()).meta("requires", json!({"python_version": version})));
    project
}

#[test]
fn another_interpreter_than_required_is_refused_with_deploy_and_warned_about_without() {
    let here = script_of_python(
        "import os, sys\nprint('%s is CPython %d.%d.%d' % (os.path.realpath(sys.executable), *sys.version_info[:3]))",
    );
    let mismatch = format!("the project requires Python 3.4, and {here}");
    let project = requiring("3.4");
    project
        .sync_with(&["--deploy", "--python", "python3"])
        .ends(
            4,
            &[
                &format!("error: {mismatch}"),
                "  help: use an image or interpreter of that version (--python), or change [requires] and lock again",
            ],
        );
    assert!(!project.venv().exists());
    project.sync_with(&["--python", "python3"]).says(&[
        &format!("warning: {mismatch}"),
        ".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)",
    ]);
}

#[test]
fn an_interpreter_that_is_nowhere_is_an_error_that_says_where_it_was_looked_for() {
    let project = requiring("3.4");
    project.sync().fails(4, &["  help: install that version, or choose an interpreter with --python PATH"]);
    let text = project.sync().stderr;
    let start =
        "error: Python 3.4 was not found (the lock requires it); looked in /usr/local/bin, /usr/bin, /bin";
    assert!(text.starts_with(start) && text.contains("{root}/home/.pyenv/versions"), "{text}");
    project.sync_with(&["--python", "/nowhere/python"]).ends(
        4,
        &[
            "error: --python /nowhere/python is unusable",
            "  because: cannot run /nowhere/python as a Python interpreter",
            "  because: No such file or directory (os error 2)",
            "  help: check the path",
        ],
    );
}

/// Runs the command under Python, which says what the most memory was that it had, in kB.
const PEAK: &str = "import resource, subprocess, sys\n\
    subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n\
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";

/// The most memory that a command had on a lock of so many entries, in bytes.
fn peak(entries: usize, args: &[&str]) -> usize {
    let lines: Vec<String> = (0..entries)
        .map(|at| {
            format!(
                r#""package-{at}": {{"hashes": ["sha256:{at:064x}"], "index": "main",
                    "markers": "python_version >= '3.{}'", "version": "==1.{}"}}"#,
                at % 7,
                at % 50
            )
        })
        .collect();
    let meta =
        r#"{"hash": {"sha256": "0"}, "sources": [{"name": "main", "url": "http://127.0.0.1:9/simple"}]}"#;
    let project = with_lock(format!(r#"{{"_meta": {meta}, "default": {{{}}}}}"#, lines.join(",\n")));
    project.write("project/Pipfile", "[packages]\n");
    let mut python = Command::new("python3");
    python.args(["-c", PEAK]);
    let run = project.finish(&mut started_by(python, &project.command(args)));
    run.succeeds();
    run.stdout.trim().parse::<usize>().expect("a number") << 10
}

/// An entry once took 1.7 kB where a lock is only read, and 3.4 kB in a plan; in the lock here it has 190 bytes. The run that
/// ends in an error has one for each.
#[test]
fn what_an_entry_takes_in_memory_is_bounded() {
    for (args, most) in [
        (&["verify"][..], 900),
        (&["plan", "--offline", "--ignore-pipfile"], 1_800),
        (&["sync", "--offline", "--ignore-pipfile"], 2_400),
    ] {
        let (few, many) = (peak(2_000, args), peak(22_000, args));
        let each = many.saturating_sub(few) / 20_000;
        assert!(each > 150, "{args:?} did not read the lock: {each} bytes for each entry");
        assert!(each <= most, "{args:?} took {each} bytes for each entry, {most} at most");
    }
}
