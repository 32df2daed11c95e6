//! Real locks: what they hold is what a table made by other programs says, and damage is explained.

use std::{fs, path::Path, process::Command};

use venvoy::{
    lock::{Entry, Lock, Origin, Pipfile},
    options::Env,
};

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus"))
}

/// A file of the corpus with its host names put back.
fn read(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).expect("a file");
    let host = |parts: &[&str]| parts.join(".");
    text.replace("@@PUBLIC_INDEX_OLD@@", &host(&["pypi", "python", "org"]))
        .replace("@@PUBLIC_INDEX@@", &host(&["pypi", "org"]))
        .replace("@@PUBLIC_FILES@@", &host(&["files", "pythonhosted", "org"]))
        .into_bytes()
}

/// The rows of `index.tsv`, without its head.
fn rows() -> Vec<Vec<String>> {
    let table = fs::read_to_string(corpus().join("index.tsv")).expect("the table");
    table.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn parse(id: &str) -> Result<Lock, String> {
    let bytes = read(&corpus().join(id).join("Pipfile.lock"));
    Lock::parse(&bytes, "Pipfile.lock", &Env::default()).map(|(lock, _)| lock).map_err(|error| error.report())
}

#[test]
fn every_lock_holds_what_the_table_says() {
    let mut compared = 0;
    for row in rows() {
        // One whose entries are no tables is an error, below.
        let Ok(lock) = parse(&row[0]) else { continue };
        let entries = |category: &str| -> &[Entry] {
            let found = lock.categories.iter().find(|(name, _)| name == category);
            found.map_or(&[], |(_, entries)| entries.as_slice())
        };
        let all: Vec<&Entry> = lock.categories.iter().flat_map(|(_, entries)| entries).collect();
        let count = |wanted: &dyn Fn(&Entry) -> bool| all.iter().filter(|entry| wanted(entry)).count();
        let found = [
            entries("default").len(),
            entries("develop").len(),
            count(&|entry| matches!(entry.origin, Origin::Vcs(_))),
            count(&|entry| matches!(entry.origin, Origin::Path(_) | Origin::Url(_))),
            count(&|entry| entry.editable),
            lock.sources.len(),
        ];
        let expected: Vec<usize> = row[2..8].iter().map(|field| field.parse().expect(field)).collect();
        assert_eq!(found.as_slice(), expected, "{}: {}", row[0], row[9]);
        compared += 1;
    }
    assert_eq!(compared, 13);
}

#[test]
fn every_lock_is_as_fresh_as_the_table_says() {
    let mut compared = 0;
    for row in rows().iter().filter(|row| row[8] != "-") {
        let lock = parse(&row[0]).expect("a lock");
        let bytes = read(&corpus().join(&row[0]).join("Pipfile"));
        let (pipfile, _) = Pipfile::parse(&bytes, "Pipfile", &Env::default()).expect("a Pipfile");
        assert_eq!(pipfile.is_fresh(&lock), row[8] == "yes", "{}: {}", row[0], row[9]);
        compared += 1;
    }
    assert_eq!(compared, 12);
}

#[test]
fn entries_that_are_no_tables_are_all_named() {
    let report = parse("066").expect_err("wrong entries");
    assert!(report.starts_with("Pipfile.lock cannot be used: 2 entries are wrong\n"), "{report}");
    for part in
        ["requests [default] is wrong", "pytest [develop] is wrong", "it is a list, expected an object"]
    {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn damage_is_explained() {
    let report = |name: &str| {
        let bytes = fs::read(corpus().join("broken").join(name)).expect("a file");
        let error = Lock::parse(&bytes, "Pipfile.lock", &Env::default()).expect_err(name);
        error.report()
    };
    let restore = "  help: restore it from version control, or make it anew with `pipenv lock`";
    assert_eq!(report("empty.lock"), format!("Pipfile.lock is empty\n{restore}"));
    assert_eq!(
        report("control-character.lock"),
        format!("Pipfile.lock is not JSON: a string is broken off in line 532, after column 76\n{restore}")
    );
    assert_eq!(
        report("conflict.lock"),
        "Pipfile.lock has a merge conflict in line 4\n  \
         help: resolve the conflict in the Pipfile, then make the lock anew with `pipenv lock`"
    );
}

/// `plan` names every entry of a lock, also where no index can be asked.
#[test]
fn plan_names_every_entry() {
    for row in rows().iter().filter(|row| row[0] != "066") {
        let project = tempfile::tempdir().expect("a directory");
        fs::write(project.path().join("Pipfile.lock"), read(&corpus().join(&row[0]).join("Pipfile.lock")))
            .expect("written");
        let output = Command::new(env!("CARGO_BIN_EXE_venvoy"))
            .args(["plan", "--offline", "--dev", "--json", "--python", "python3"])
            .env_remove("PIP_FIND_LINKS")
            .env("VENVOY_CACHE_DIR", project.path().join("cache"))
            .env("ENV_VAR", "simple")
            .current_dir(project.path())
            .output()
            .expect("venvoy runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", row[0]);
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let names: std::collections::BTreeSet<&str> =
            rows.as_array().expect("a list").iter().filter_map(|row| row["name"].as_str()).collect();
        let lock = parse(&row[0]).expect("a lock");
        let entries = lock.categories.iter().flat_map(|(_, entries)| entries);
        let locked: std::collections::BTreeSet<&str> = entries.map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, locked, "{}", row[0]);
    }
}
