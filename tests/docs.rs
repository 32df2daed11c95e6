//! The documentation names tests: each of them exists.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files at or below a path.
fn sources(at: &Path) -> Vec<PathBuf> {
    if at.is_file() {
        return vec![at.to_owned()];
    }
    let Ok(items) = fs::read_dir(at) else { return Vec::new() };
    let mut found: Vec<PathBuf> = items.flatten().flat_map(|item| sources(&item.path())).collect();
    found.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    found
}

/// The tests of a room (`auth`) or of a file of `tests` (`net_auth`).
fn tests(place: &str) -> Vec<String> {
    let file = root().join("tests").join(format!("{place}.rs"));
    let files = if file.is_file() { vec![file] } else { sources(&root().join("src").join(place)) };
    let mut names = Vec::new();
    for path in files {
        let text = fs::read_to_string(path).expect("a source file");
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("fn ").filter(|_| marked) {
                names.extend(name.split('(').next().map(str::to_owned));
            }
            marked = line == "#[test]" || (marked && line.starts_with("#["));
        }
    }
    names
}

/// The places and tests that a table's last column names: `` `net_auth`: `one_test`, `another_test` ``.
fn named(cell: &str) -> Vec<(String, String)> {
    let mut place = None;
    let mut found = Vec::new();
    let parts: Vec<&str> = cell.split('`').collect();
    for (at, text) in parts.iter().enumerate().filter(|(at, _)| at % 2 == 1) {
        if parts.get(at + 1).is_some_and(|after| after.starts_with(':')) {
            place = Some((*text).to_owned());
        } else {
            let place = place.clone().unwrap_or_else(|| panic!("{text} stands in no place: {cell}"));
            found.push((place, (*text).to_owned()));
        }
    }
    found
}

#[test]
fn every_row_about_indexes_names_tests_that_exist() {
    let text = fs::read_to_string(root().join("docs/indexes.md")).expect("docs/indexes.md");
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| Test |")).collect();
    assert!(rows.len() > 30, "{rows:#?}");
    for row in rows {
        let cell = row.trim_end_matches('|').rsplit_once(" | ").expect("columns").1;
        let tests_named = named(cell);
        assert!(!tests_named.is_empty(), "no test: {row}");
        for (place, name) in tests_named {
            assert!(tests(&place).contains(&name), "there is no test {name} in {place}: {row}");
        }
    }
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    assert_eq!(
        named("`auth`: `one`, `two`; `net_tls`: `three`"),
        [("auth", "one"), ("auth", "two"), ("net_tls", "three")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    let here = tests("docs");
    assert!(here.contains(&"a_test_that_does_not_exist_is_noticed".to_owned()));
    assert!(!here.contains(&"root".to_owned()));
    assert!(tests("auth").contains(&"credentials_stay_in_their_realm".to_owned()));
}
