//! Real locks: what they hold is what a table made by other programs says, and damage is explained.
//!
//! `tests/corpus` holds 14 of them. VENVOY_TEST_CORPUS names a directory with more, in the form that
//! `tests/corpus/README.md` describes; `tests/run` sets it where there is one.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use venvoy::inside::{
    project::lock::{Entry, EntryOrigin, Lock, Pipfile},
    words::env::Env,
};

/// One of a corpus's locks, and what its table says of it.
struct Row {
    dir: PathBuf,
    /// Entries of `default`, of `develop`, from repositories, from paths and files; editable ones; sources.
    counts: [usize; 6],
    /// Whether the lock is fresh; nothing where there is no Pipfile.
    fresh: Option<bool>,
    notes: String,
}

impl Row {
    fn id(&self) -> String {
        format!("{}: {}", self.dir.display(), self.notes)
    }

    fn lock(&self) -> Result<Lock, String> {
        let bytes = read(&self.dir.join("Pipfile.lock"));
        Lock::parse(&bytes, "Pipfile.lock", &Env::default())
            .map(|(lock, _)| lock)
            .map_err(|error| error.report())
    }

    /// Whether entries of the lock are no tables: one is, and it is refused.
    fn has_wrong_entries(&self) -> bool {
        self.notes.contains("not tables")
    }
}

/// The corpora: this repository's, and the larger one where there is one.
fn corpora() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let larger = std::env::var_os("VENVOY_TEST_CORPUS").map(PathBuf::from);
    std::iter::once(own).chain(larger).collect()
}

/// The rows of a corpus's table, whose columns have one of two names.
fn rows(corpus: &Path) -> Vec<Row> {
    let path = corpus.join("index.tsv");
    let table = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut lines = table.lines();
    let head: Vec<&str> = lines.next().expect("a head").split('\t').collect();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let field = |names: [&str; 2]| {
            fields[head.iter().position(|name| names.contains(name)).unwrap_or_else(|| panic!("{names:?}"))]
        };
        let count = |names| field(names).parse().unwrap_or_else(|_| panic!("{names:?} of {line}"));
        Row {
            dir: corpus.join(field(["id", "id"])),
            counts: [
                count(["default", "n_default"]),
                count(["develop", "n_develop"]),
                count(["vcs", "n_vcs"]),
                count(["path or file", "n_path_or_file"]),
                count(["editable", "n_editable"]),
                count(["sources", "n_sources"]),
            ],
            fresh: match field(["fresh", "pipfile_hash_match"]) {
                "-" | "no-pipfile" => None,
                "no" => Some(false),
                _ => Some(true),
            },
            notes: field(["what is unusual", "notes"]).to_owned(),
        }
    };
    let rows: Vec<Row> = lines.map(row).collect();
    let dirs = fs::read_dir(corpus).expect("the corpus").map(|entry| entry.expect("an entry").path());
    let locks = dirs.filter(|dir| dir.join("Pipfile.lock").is_file()).count();
    assert_eq!(rows.len(), locks, "each lock of {} has its row", corpus.display());
    rows
}

fn all_rows() -> Vec<Row> {
    let all: Vec<Row> = corpora().iter().flat_map(|corpus| rows(corpus)).collect();
    assert!(all.len() >= 14, "only {} locks", all.len());
    all
}

/// A file of the corpus with its host names put back.
fn read(path: &Path) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let host = |parts: &[&str]| parts.join(".");
    text.replace("@@PUBLIC_INDEX_OLD@@", &host(&["pypi", "python", "org"]))
        .replace("@@PUBLIC_INDEX@@", &host(&["pypi", "org"]))
        .replace("@@PUBLIC_FILES@@", &host(&["files", "pythonhosted", "org"]))
        .into_bytes()
}

#[test]
fn every_lock_holds_what_the_table_says() {
    for row in all_rows().iter().filter(|row| !row.has_wrong_entries()) {
        let lock = row.lock().unwrap_or_else(|report| panic!("{}\n{report}", row.id()));
        let entries = |category: &str| -> &[Entry] {
            let found = lock.categories.iter().find(|(name, _)| name == category);
            found.map_or(&[], |(_, entries)| entries.as_slice())
        };
        let all: Vec<&Entry> = lock.categories.iter().flat_map(|(_, entries)| entries).collect();
        let count = |wanted: &dyn Fn(&Entry) -> bool| all.iter().filter(|entry| wanted(entry)).count();
        let found = [
            entries("default").len(),
            entries("develop").len(),
            count(&|entry| matches!(entry.origin, EntryOrigin::Vcs(_))),
            count(&|entry| matches!(entry.origin, EntryOrigin::Path(_) | EntryOrigin::Url(_))),
            count(&|entry| entry.editable),
            lock.sources.len(),
        ];
        assert_eq!(found, row.counts, "{}", row.id());
    }
}

#[test]
fn every_lock_is_as_fresh_as_the_table_says() {
    for row in all_rows() {
        let Some(fresh) = row.fresh else { continue };
        let lock = row.lock().unwrap_or_else(|report| panic!("{}\n{report}", row.id()));
        let bytes = read(&row.dir.join("Pipfile"));
        let (pipfile, _) = Pipfile::parse(&bytes, "Pipfile", &Env::default()).expect("a Pipfile");
        assert_eq!(pipfile.is_fresh(&lock), fresh, "{}", row.id());
    }
}

#[test]
fn entries_that_are_no_tables_are_all_named() {
    for row in all_rows().iter().filter(|row| row.has_wrong_entries()) {
        assert_eq!(
            row.lock().expect_err("wrong entries"),
            "Pipfile.lock cannot be used: 2 entries are wrong\n  \
             - requests [default] is wrong\n      because: it is a list, expected an object\n  \
             - pytest [develop] is wrong\n      because: it is a list, expected an object\n  \
             help: lock again with `pipenv lock`"
        );
    }
}

#[test]
fn damage_is_explained() {
    for corpus in corpora() {
        let mut reports: Vec<String> = Vec::new();
        let mut open = vec![corpus.join("broken")];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(
                    fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("one").path()),
                );
            } else if path.extension().is_some_and(|end| end == "lock") {
                let bytes = fs::read(&path).expect("a file");
                let error = Lock::parse(&bytes, "Pipfile.lock", &Env::default()).expect_err("it is damaged");
                reports.push(error.report());
            }
        }
        reports.sort();
        let restore = "  help: restore it from version control, or make it anew with `pipenv lock`";
        assert_eq!(
            reports,
            [
                "Pipfile.lock has a merge conflict in line 4\n  \
                 help: resolve the conflict in the Pipfile, then make the lock anew with `pipenv lock`"
                    .to_owned(),
                format!("Pipfile.lock is empty\n{restore}"),
                format!(
                    "Pipfile.lock is not JSON: a string is broken off in line 532, after column 76\n{restore}"
                ),
            ]
        );
    }
}

/// `venvoy plan` of a lock alone, where no index can be asked.
fn plan(lock: &Path, args: &[&str]) -> Output {
    let project = tempfile::tempdir().expect("a directory");
    fs::write(project.path().join("Pipfile.lock"), read(lock)).expect("written");
    Command::new(env!("CARGO_BIN_EXE_venvoy"))
        .args(["plan", "--offline", "--dev", "--python", "python3"])
        .args(args)
        .env_remove("PIP_FIND_LINKS")
        .env("VENVOY_CACHE_DIR", project.path().join("cache"))
        .env("ENV_VAR", "simple")
        .current_dir(project.path())
        .output()
        .expect("venvoy runs")
}

/// `plan` names every entry of a lock, and what it is, also where no index can be asked.
#[test]
fn plan_names_every_entry() {
    for row in all_rows().iter().filter(|row| !row.has_wrong_entries()) {
        let output = plan(&row.dir.join("Pipfile.lock"), &["--json"]);
        assert!(output.status.success(), "{}: {}", row.id(), String::from_utf8_lossy(&output.stderr));
        let planned: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let planned = planned.as_array().expect("a list");
        let lock = row.lock().unwrap_or_else(|report| panic!("{}\n{report}", row.id()));
        let standard = |(name, _): &&(String, Vec<Entry>)| name == "default" || name == "develop";
        let entries: Vec<&Entry> = lock.categories.iter().filter(standard).flat_map(|(_, e)| e).collect();
        let names: BTreeSet<&str> = planned.iter().filter_map(|row| row["name"].as_str()).collect();
        let locked: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, locked, "{}", row.id());
        for one in planned {
            let kind = one["kind"].as_str().expect("a kind");
            let same = entries.iter().filter(|entry| entry.name.as_str() == one["name"]);
            let fits = |entry: &&&Entry| match &entry.origin {
                EntryOrigin::Index => kind == "index",
                EntryOrigin::Vcs(_) => ["git", "hg", "svn", "bzr"].contains(&kind),
                EntryOrigin::Url(_) => kind == "url",
                EntryOrigin::Path(_) => kind == "directory" || kind == "file",
            };
            assert!(kind == "skipped" || same.clone().any(|entry| fits(&entry)), "{}: {one}", row.id());
        }
    }
}

#[test]
fn plan_says_that_a_missing_archive_is_a_file() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/050/Pipfile.lock");
    let output = plan(&lock, &[]);
    let table = String::from_utf8_lossy(&output.stdout);
    let line = table.lines().find(|line| line.starts_with("7b96e2b ")).expect("a line");
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells, ["7b96e2b", "file", "-", "/app/vendor/django-registration.zip", "(missing)"]);
}
