//! The same bytes given to those who should know: `packaging`, Python's netrc and zipfile, python-dotenv, pip.

use std::{fmt::Write as _, fs, path::Path};

use proptest::{strategy::Strategy as _, strategy::ValueTree as _};
use venvoy::fuzzing::READERS;

use super::{edits, number, runner, seeds};
use crate::support::program::{clean, tool};

#[test]
fn what_is_read_is_what_others_read() {
    let mut lines = String::new();
    for name in [
        "marker",
        "specifier",
        "wheel_name",
        "requirement",
        "netrc",
        "dotenv",
        "wheel",
        "lock",
        "entry_points",
    ] {
        let reader = READERS.iter().find(|reader| reader.name == name).expect(name);
        let seeds = seeds::of(name);
        let strategy = edits::of(seeds.clone());
        let mut runner = runner(&format!("reference {name}"));
        let made = (0..number("VENVOY_FUZZ_CASES", 200))
            .map(|_| strategy.new_tree(&mut runner).expect("an input").current())
            .collect::<Vec<_>>();
        for input in seeds.into_iter().chain(super::crashes(name)).chain(made) {
            let read = reader.read(&input);
            let row = serde_json::json!([name, data_encoding::HEXLOWER.encode(&input), read.ok()]);
            writeln!(lines, "{row}").expect("text");
        }
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("read.jsonl");
    fs::write(&file, lines).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/compare.py");
    let done = clean(&tool("python")).arg(script).arg(&file).output().expect("python");
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
