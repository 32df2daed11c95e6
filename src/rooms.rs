//! The order of the rooms, read from the code: a room uses only rooms above it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

/// The names after `pub(crate) mod` in a file, in their order.
fn modules(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines()
        .filter_map(|line| Some(line.strip_prefix("pub(crate) mod ")?.strip_suffix(';')?.to_owned()))
        .collect()
}

/// Every Rust file of a room, tests left out.
fn sources(place: &Path, found: &mut Vec<PathBuf>) {
    if place.is_file() {
        found.push(place.to_owned());
        return;
    }
    let is_test = |entry: &DirEntry| ["tests", "tests.rs"].iter().any(|name| entry.file_name() == *name);
    for entry in WalkDir::new(place).into_iter().filter_entry(|entry| !is_test(entry)) {
        let path = entry.expect("a room's file").into_path();
        if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// A file's code without comments and without the tests at its end.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source file");
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let uncommented = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    // Without white space, a grouped import reads like any other path.
    uncommented.flat_map(|line| line.split_whitespace()).collect::<Vec<_>>().join(" ")
}

/// The `floor::room` paths that follow `crate::`, whether named in full or in a group of imports.
fn used(code: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let tree = if rest.starts_with('{') { &rest[1..matching(rest)] } else { rest };
        let parts = if rest.starts_with('{') { split(tree) } else { vec![tree] };
        for part in parts {
            let Some((floor, inner)) = part.trim().split_once("::") else { continue };
            let rooms = if inner.starts_with('{') { split(&inner[1..matching(inner)]) } else { vec![inner] };
            for room in rooms {
                let name: String =
                    room.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                found.push((floor.to_owned(), name));
            }
        }
    }
    found
}

/// Where the brace that `text` begins with is closed.
fn matching(text: &str) -> usize {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The parts between commas that are in no inner braces.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    // After a trailing comma there is nothing.
    parts.retain(|part| !part.trim().is_empty());
    parts
}

#[test]
fn imports_are_read_however_they_are_grouped() {
    let pairs = |code: &str| {
        used(code).into_iter().map(|(floor, room)| format!("{floor}::{room}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(pairs("use crate::words::error::Error;"), "words::error");
    assert_eq!(
        pairs("use crate::{ packages::{cache::{self, Cache}, wheel}, words::vocab::Sha256, };"),
        "packages::cache packages::wheel words::vocab"
    );
    assert_eq!(pairs("fn f() { crate::run::cli::run() }"), "run::cli");
}

#[test]
fn a_room_uses_only_rooms_above_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut order = BTreeMap::new();
    let mut rooms = Vec::new();
    for floor in modules(&src.join("lib.rs")) {
        for room in modules(&src.join(&floor).join("mod.rs")) {
            order.insert((floor.clone(), room.clone()), rooms.len());
            rooms.push((floor.clone(), room));
        }
    }
    assert!(rooms.len() > 20, "{rooms:?}");
    let mut wrong = Vec::new();
    for (position, (floor, room)) in rooms.iter().enumerate() {
        let place = src.join(floor).join(room);
        let mut files = Vec::new();
        sources(&if place.is_dir() { place } else { place.with_extension("rs") }, &mut files);
        for file in files {
            for other in used(&code(&file)) {
                match order.get(&other) {
                    Some(at) if *at <= position => {}
                    Some(_) => wrong.push(format!(
                        "{floor}::{room} uses {}::{} ({})",
                        other.0,
                        other.1,
                        file.display()
                    )),
                    None => wrong.push(format!(
                        "{} names {}::{}, which is no room",
                        file.display(),
                        other.0,
                        other.1
                    )),
                }
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "a room may only use rooms above it (src/*/mod.rs):\n{}", wrong.join("\n"));
}

#[test]
fn the_documentation_has_every_room_in_its_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/architecture.md")).expect("docs/architecture.md");
    let mut documented = Vec::new();
    let mut floor = "";
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let (Some(first), Some(second), Some(_), Some(_)) =
            (cells.next(), cells.next(), cells.next(), cells.next())
        else {
            continue;
        };
        floor = if first.is_empty() { floor } else { first };
        documented.extend(second.split(", ").map(|room| format!("{floor} {room}").replace('`', "")));
    }
    let src = root.join("src");
    let rooms: Vec<String> = modules(&src.join("lib.rs"))
        .into_iter()
        .flat_map(|floor| {
            let rooms = modules(&src.join(&floor).join("mod.rs"));
            rooms.into_iter().map(move |room| format!("{floor} {room}")).collect::<Vec<_>>()
        })
        .collect();
    documented.retain(|row| !row.starts_with("floor "));
    assert_eq!(documented, rooms, "the table of docs/architecture.md, and src/*/mod.rs");
}
