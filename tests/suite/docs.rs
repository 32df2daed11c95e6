//! The documentation names tests: each of them exists.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::files;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a directory.
fn sources(at: &Path) -> Vec<PathBuf> {
    let found = files::below(at).into_iter();
    found.filter(|path| path.extension().is_some_and(|end| end == "rs")).collect()
}

/// Whether a file of `src` is a room's: `src/FLOOR/room.rs`, or anything in `src/FLOOR/room`.
fn is_of_room(path: &Path, room: &str) -> bool {
    path.strip_prefix(root().join("src"))
        .is_ok_and(|inside| inside.with_extension("").components().any(|part| part.as_os_str() == room))
}

/// The tests of a room (`auth`) or of a module here (`net::auth`).
fn tests(place: &str) -> Vec<String> {
    let file = root().join("tests/suite").join(place.replace("::", "/")).with_extension("rs");
    let files = if file.is_file() { vec![file] } else { sources(&root().join("src")) };
    let files =
        files.into_iter().filter(|path| path.starts_with(root().join("tests")) || is_of_room(path, place));
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

/// The places and tests that a table's last column names: `` `net::auth`: `one_test`, `another_test` ``.
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

/// Every row of a page's tables, of which there are so many at least, names tests that exist in its last column.
fn rows_name_tests(page: &str, heading: &str, least: usize) {
    let text = fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && !line.ends_with(heading)).collect();
    assert!(rows.len() >= least, "{rows:#?}");
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
fn every_row_about_indexes_names_tests_that_exist() {
    rows_name_tests("docs/indexes.md", "| Test |", 31);
}

#[test]
fn every_promise_names_tests_that_exist() {
    rows_name_tests("SECURITY.md", "| test |", 8);
}

#[test]
fn a_test_that_does_not_exist_is_noticed() {
    assert_eq!(
        named("`auth`: `one`, `two`; `net::tls`: `three`"),
        [("auth", "one"), ("auth", "two"), ("net::tls", "three")].map(|(a, b)| (a.to_owned(), b.to_owned()))
    );
    let here = tests("docs");
    assert!(here.contains(&"a_test_that_does_not_exist_is_noticed".to_owned()));
    assert!(!here.contains(&"root".to_owned()));
    assert!(tests("auth").contains(&"credentials_stay_in_their_realm".to_owned()));
}
