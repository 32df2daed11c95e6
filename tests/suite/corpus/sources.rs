//! Real locks' repositories, paths and files: each works against a project made for the test in its place, and
//! without one is named as what cannot be had. `tests/corpus` has a part of them; `shared/corpus` beside the
//! checkout, or where VENVOY_TEST_CORPUS says, has all.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    archive,
    backend::{Files, of_module},
    git::{git, repository},
    index::index,
    lock::Lock,
    package::{Package, greeter, sha256},
    project::Project,
    run::Run,
};
use serde_json::{Value, json};
use venvoy::inside::{
    project::lock::{Entry, EntryOrigin},
    words::env::Env,
};

/// An entry that names its own source, as its lock has it.
struct Case {
    lock: String,
    value: Value,
    entry: Entry,
}

impl Case {
    fn name(&self) -> &str {
        self.entry.name.as_str()
    }

    fn version(&self) -> &str {
        self.value["version"].as_str().map_or("1.0", |text| text.trim_start_matches('='))
    }

    fn module(&self) -> String {
        format!("module_{}", self.name().replace(['-', '.'], "_"))
    }

    fn is_unhashed_url(&self) -> bool {
        matches!(self.entry.origin, EntryOrigin::Url(_)) && self.entry.hashes.sha256.is_empty()
    }

    /// The entry with other fields, for every platform.
    fn with(&self, fields: &[(&str, Value)]) -> Value {
        let mut value = self.value.clone();
        let map = value.as_object_mut().expect("an object");
        for marker in ["markers", "sys_platform"] {
            map.remove(marker);
        }
        for (key, field) in fields {
            map.insert((*key).into(), field.clone());
        }
        value
    }
}

fn locks() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    // The same lock is in both under one number.
    let whole = std::env::var_os("VENVOY_TEST_CORPUS").map_or(root.join("../shared/corpus"), PathBuf::from);
    for place in [whole, root.join("tests/corpus")] {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().expect("text");
            let lock = entry.path().join("Pipfile.lock");
            if lock.is_file() {
                found.insert(name[..3].to_owned(), lock);
            }
        }
    }
    found.into_iter().collect()
}

/// The entries of all locks that name their own source, by lock.
fn cases() -> BTreeMap<String, Vec<Case>> {
    let mut found: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    for (lock, path) in locks() {
        let value: Value = serde_json::from_slice(&fs::read(path).expect("a lock")).expect("JSON");
        for (category, entries) in
            value.as_object().expect("an object").iter().filter(|(key, _)| *key != "_meta")
        {
            for (name, value) in entries.as_object().into_iter().flatten() {
                if !["git", "hg", "svn", "bzr", "path", "file"].iter().any(|key| value.get(key).is_some()) {
                    continue;
                }
                let alone = Lock::new().entry(category, name, value.clone()).0.to_string();
                let (parsed, _) = venvoy::inside::project::lock::Lock::parse(
                    alone.as_bytes(),
                    "Pipfile.lock",
                    &Env::default(),
                )
                .unwrap_or_else(|error| panic!("{lock} {name}: {}", error.report()));
                let mut entries = parsed.categories.into_iter().flat_map(|(_, entries)| entries);
                let case = Case {
                    lock: lock.clone(),
                    value: value.clone(),
                    entry: entries.next().expect("an entry"),
                };
                let cases = found.entry(lock.clone()).or_default();
                // The same path in two categories is one project.
                if cases.iter().all(|other| other.entry.name != case.entry.name) {
                    cases.push(case);
                }
            }
        }
    }
    found
}

/// The files of a project that needs nothing to be built, below `at`.
fn files(case: &Case, at: &str) -> Files {
    let (name, module) = (case.name(), case.module());
    let text = format!("name = {name:?}\n");
    let files = of_module(name, case.version(), &module, &text, None);
    files.into_iter().map(|(file, text)| (format!("{at}{file}"), text)).collect()
}

/// git with a repository of the test in the place of each that a lock names.
fn sync(project: &Project, rewritten: &BTreeMap<String, PathBuf>, options: &[&str]) -> Run {
    let mut command = project.command(&[&["sync"], options].concat());
    command.env("GIT_CONFIG_COUNT", rewritten.len().to_string()).env("GIT_CONFIG_GLOBAL", "/dev/null");
    for (number, (url, place)) in rewritten.iter().enumerate() {
        command
            .env(format!("GIT_CONFIG_KEY_{number}"), format!("url.file://{}.insteadOf", place.display()))
            .env(format!("GIT_CONFIG_VALUE_{number}"), url);
    }
    project.finish(&mut command)
}

fn is_wheel(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|end| end == "whl")
}

#[test]
fn each_works_against_a_project_in_its_place() {
    let mut worked = 0;
    for (lock, cases) in cases() {
        let project = Project::new();
        let mut rewritten = BTreeMap::new();
        let mut packages = Vec::new();
        let absolute =
            |case: &&Case| matches!(&case.entry.origin, EntryOrigin::Path(path) if path.starts_with('/'));
        let cases: Vec<&Case> = cases.iter().filter(|case| !absolute(case)).collect();
        for case in &cases {
            match &case.entry.origin {
                EntryOrigin::Vcs(vcs) => {
                    let number = rewritten.len();
                    let place = rewritten
                        .entry(vcs.url.to_string())
                        .or_insert_with(|| project.path(&format!("repositories/{number}")));
                    let at = vcs.subdirectory.as_ref().map_or(String::new(), |inside| format!("{inside}/"));
                    repository(place, &files(case, &at));
                }
                EntryOrigin::Path(path) if is_wheel(path) => {
                    let wheel = greeter(case.name(), case.version());
                    let wheel = wheel.file(&format!("{}.py", case.module()), "");
                    project.write(&format!("project/{path}"), wheel.build());
                }
                EntryOrigin::Path(path) => {
                    project.plant(&format!("project/{path}"), &files(case, ""));
                }
                EntryOrigin::Url(url) => {
                    let last =
                        url.url().path_segments().and_then(|mut parts| parts.next_back()).expect("a name");
                    let (file, bytes) = if is_wheel(last) {
                        let wheel = greeter(case.name(), case.version());
                        let wheel = wheel.file(&format!("{}.py", case.module()), "");
                        (wheel.file_name(), wheel.build())
                    } else {
                        let files = files(case, "");
                        (last.to_owned(), archive::zip("top", &files))
                    };
                    let (name, version) = (case.name().to_owned(), case.version().to_owned());
                    packages.push(Package { sha256: sha256(&bytes), name, version, file, bytes });
                }
                EntryOrigin::Index => unreachable!("only entries with a source of their own are cases"),
            }
        }
        let server = index(&packages);
        let mut here = Lock::new();
        for case in &cases {
            let package = packages.iter().find(|package| package.name == case.name());
            let fields: Vec<(&str, Value)> = match (&case.entry.origin, package) {
                (EntryOrigin::Vcs(vcs), _) if vcs.reference.is_some() => {
                    let commit = git(&rewritten[&vcs.url.to_string()], &["rev-parse", "HEAD"]);
                    vec![("ref", json!(commit))]
                }
                (_, Some(package)) => {
                    let hashes = json!([format!("sha256:{}", package.sha256)]);
                    let mut fields = vec![("file", json!(server.url(&package.path())))];
                    // One without hashes stays one.
                    if case.value.get("hashes").is_some() {
                        fields.push(("hashes", hashes));
                    }
                    fields
                }
                (EntryOrigin::Path(path), _) if is_wheel(path) => {
                    let digest =
                        sha256(&fs::read(project.path(&format!("project/{path}"))).expect("a wheel"));
                    vec![("hashes", json!([format!("sha256:{digest}")]))]
                }
                _ => Vec::new(),
            };
            here = here.entry("default", &case.entry.written, case.with(&fields));
        }
        if cases.is_empty() {
            continue;
        }
        project.lock(&here);
        // What a URL without hashes serves is anybody's guess: that it is wanted has to be said.
        let options: &[&str] =
            if cases.iter().any(|case| case.is_unhashed_url()) { &["--allow-unhashed"] } else { &[] };
        let run = sync(&project, &rewritten, options);
        assert_eq!(run.code, Some(0), "{lock}: {}", run.stderr);
        for case in &cases {
            let code = format!("import {} as m; print(m.__file__)", case.module());
            let output =
                Command::new(project.venv().join("bin/python")).args(["-I", "-B", "-c", &code]).output();
            let output = output.expect("it runs");
            let place = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{lock} {}: {output:?}\n{}", case.name(), run.stderr);
            let in_place = !place.contains("/site-packages/");
            assert_eq!(in_place, case.entry.editable, "{lock} {}: {place}", case.name());
            worked += 1;
        }
        let again = sync(&project, &rewritten, options);
        assert!(again.code == Some(0) && again.stderr.contains("up to date"), "{lock}: {}", again.stderr);
    }
    assert!(worked >= 7, "{worked}");
}

#[test]
fn each_is_named_where_it_cannot_be_had() {
    let empty = tempfile::tempdir().expect("a directory");
    let nothing = empty.path().join("repository");
    repository(&nothing, &[("README", "another project")]);
    let mut named = 0;
    for case in cases().into_values().flatten() {
        let project = Project::new();
        project.lock(&Lock::new().entry("default", &case.entry.written, case.with(&[])));
        let subject = format!("cannot install {} ", case.name());
        let (run, expected) = match &case.entry.origin {
            // The commit of the lock is in no repository of a test: with one, that is what is said.
            EntryOrigin::Vcs(vcs) => {
                let rewritten = BTreeMap::from([(vcs.url.to_string(), nothing.clone())]);
                let expected = match &vcs.reference {
                    Some(commit) => format!("has no commit, branch or tag {commit}"),
                    None => format!("{} has no directory", vcs.url),
                };
                (sync(&project, &rewritten, &[]), expected)
            }
            EntryOrigin::Path(path) => {
                let at = if path.starts_with('/') { path.clone() } else { String::new() };
                // The project's own directory is there, but holds no project.
                let what = if path == "." { "holds neither" } else { "check the path in the lock" };
                let run = sync(&project, &BTreeMap::new(), &[]);
                assert!(run.stderr.contains(&at), "{}: {}", case.lock, run.stderr);
                (run, what.to_owned())
            }
            EntryOrigin::Url(_) if case.is_unhashed_url() => {
                (sync(&project, &BTreeMap::new(), &[]), "the lock has no hashes for it".to_owned())
            }
            EntryOrigin::Url(url) => {
                let file = url.url().path_segments().and_then(|mut parts| parts.next_back()).expect("a name");
                (sync(&project, &BTreeMap::new(), &["--offline"]), format!("{file} is not in the cache"))
            }
            EntryOrigin::Index => unreachable!("only entries with a source of their own are cases"),
        };
        assert!(matches!(run.code, Some(3 | 7 | 9)), "{} {}: {run:?}", case.lock, case.name());
        for part in [&subject, &expected] {
            assert!(run.stderr.contains(part.as_str()), "{} {part}: {}", case.lock, run.stderr);
        }
        named += 1;
    }
    assert!(named >= 8, "{named}");
}
