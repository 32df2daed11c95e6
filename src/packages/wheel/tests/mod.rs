//! Wheels of every shape, valid and hostile, opened and read.

mod access;
mod archive;
mod dist_info;
mod hostile;

use std::{io::Read as _, path::Path};

use proptest::prelude::*;

use super::{
    Method, Proof, STREAM_LIMIT, Strictness, Wheel,
    testing::{Member, WheelBuilder, record_digest},
    with_scratch,
};
use crate::{
    packages::cache::{self, Cache, Trust, VerifiedFile},
    words::{
        error::{Error, Kind, Result, Warnings},
        vocab::{RelPath, Sha256},
    },
};

fn open_bytes(dir: &Path, name: &str, bytes: &[u8], strictness: Strictness) -> Result<(Wheel, Warnings)> {
    let path = dir.join(name);
    std::fs::write(&path, bytes).expect("a writable directory");
    let file = VerifiedFile::vouch(path, Sha256::of(bytes), bytes.len() as u64);
    Wheel::open(file, name.parse().expect("a wheel's name"), strictness)
}

fn open(wheel: &WheelBuilder) -> Result<(Wheel, Warnings)> {
    let dir = tempfile::tempdir().expect("a directory");
    open_bytes(dir.path(), &wheel.file_name(), &wheel.build(), Strictness::Warn)
}

/// The one entry of that path, read whole, and streamed: both must agree.
fn read(wheel: &Wheel, path: &str) -> Result<Vec<u8>> {
    let at = wheel.entries.iter().position(|e| e.path.as_str() == path).expect(path);
    let whole = with_scratch(|s| wheel.inflate(at, s).map(|c| (c.bytes.to_vec(), c.sha256)));
    let mut pieces = Vec::new();
    let streamed = wheel.stream(at, &mut |bytes| {
        pieces.extend_from_slice(bytes);
        Ok(())
    });
    match (whole, streamed) {
        (Ok((bytes, sha256)), Ok(checked)) => {
            assert_eq!(bytes, pieces);
            assert_eq!((checked.sha256, checked.size), (sha256, bytes.len() as u64));
            Ok(bytes)
        }
        (Err(whole), Err(streamed)) => {
            assert_eq!(whole.report(), streamed.report());
            Err(whole)
        }
        (whole, streamed) => panic!("whole: {whole:?}, streamed: {streamed:?}"),
    }
}

fn demo() -> WheelBuilder {
    WheelBuilder::new("demo", "1.0").file("demo/__init__.py", "x = 1\n")
}

fn refusal(wheel: &WheelBuilder) -> Error {
    match open(wheel) {
        Err(error) => error,
        Ok((opened, _)) => {
            // What only the local header shows comes out when the entries are read.
            let errors: Vec<Error> =
                opened.entries.iter().filter_map(|entry| read(&opened, entry.path.as_str()).err()).collect();
            errors.into_iter().next().expect("the wheel should be refused")
        }
    }
}

/// A refusal names the wheel, then says why.
#[track_caller]
fn assert_refused(wheel: &WheelBuilder, why: &[&str]) {
    let report = refusal(wheel).report();
    assert!(report.contains(&wheel.file_name()), "{report}");
    for why in why {
        assert!(report.contains(why), "expected {why:?} in: {report}");
    }
}

#[test]
fn a_wheel_gives_its_entries_scripts_and_digests() {
    let wheel = demo()
        .tag("cp311-cp311-linux_x86_64")
        .platlib()
        .stored("demo/data.bin", [0_u8; 100])
        .executable("demo/tool", "#!/bin/sh\n")
        .data("scripts/run", "#!python\n")
        .file("demo/h\u{e9}.txt", "")
        .member(Member::directory("demo/empty/"))
        .console_script("demo = demo.cli : main [extra]");
    let (opened, warnings) = open(&wheel).expect("a good wheel");
    assert_eq!(warnings, Warnings::default());
    assert_eq!(opened.dist_info.as_str(), "demo-1.0.dist-info");
    assert_eq!(opened.data_dir.as_ref().map(RelPath::as_str), Some("demo-1.0.data"));
    let script = &opened.scripts[0];
    assert_eq!(
        (script.name.as_str(), &*script.module, &*script.function, script.gui),
        ("demo", "demo.cli", "main", false)
    );
    let paths: Vec<&str> = opened.entries.iter().map(|e| e.path.as_str()).collect();
    assert!(!paths.iter().any(|p| p.ends_with("/RECORD") || p.contains("empty")), "{paths:?}");
    for entry in &opened.entries {
        let bytes = read(&opened, entry.path.as_str()).expect("good entry");
        assert_eq!(entry.sha256, Some(Sha256::of(&bytes)));
        assert_eq!(entry.executable, entry.path.as_str() == "demo/tool");
        assert_eq!(entry.method == Method::Stored, entry.path.as_str() == "demo/data.bin");
    }
}

#[test]
fn a_large_entry_is_streamed_with_the_same_result() {
    let mut state = 1_u32;
    let bytes: Vec<u8> = (0..3_000_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 28) as u8
        })
        .collect();
    for member in [Member::deflated("demo/big", &bytes), Member::stored("demo/big", &bytes).streamed(true)] {
        let (opened, _) = open(&demo().member(member)).expect("a good wheel");
        assert!(read(&opened, "demo/big").expect("good") == bytes);
    }
    assert!((bytes.len() as u64) < STREAM_LIMIT);
}

#[test]
fn an_error_of_the_sink_comes_back_as_it_is() {
    let (opened, _) = open(&demo()).expect("a good wheel");
    let error = opened.stream(0, &mut |_| Err(Error::new(Kind::Destination, "disk full"))).expect_err("sink");
    assert_eq!(error.report(), "disk full");
}

#[test]
fn what_good_writers_differ_in_is_read() {
    let base = || Member::deflated("demo/a", b"hello hello hello");
    let mut zip64_descriptor = base().both(|h| h.flags |= 8);
    zip64_descriptor.after.extend(b"PK\x07\x08");
    zip64_descriptor.after.extend(zip64_descriptor.central.crc32.to_le_bytes());
    for size in [zip64_descriptor.central.compressed_size, zip64_descriptor.central.size] {
        zip64_descriptor.after.extend(u64::from(size).to_le_bytes());
    }
    for member in [
        base().streamed(true),
        base().streamed(false),
        zip64_descriptor,
        base().zip64(),
        base().local(|h| h.extra = vec![0xca, 0xfe, 0, 0]),
        base().local(|h| h.extra = vec![0, 0]),
        base().mode(0),
    ] {
        let (opened, _) = open(&demo().member(member.clone())).unwrap_or_else(|e| panic!("{}", e.report()));
        assert_eq!(read(&opened, "demo/a").expect("good"), b"hello hello hello", "{member:?}");
    }
    for change in [
        |z: &mut super::testing::Zip| z.zip64 = true,
        |z: &mut super::testing::Zip| z.comment = b"a comment".to_vec(),
        |z: &mut super::testing::Zip| z.comment = vec![b'x'; 60_000],
    ] {
        let (opened, _) = open(&demo().zip(change)).unwrap_or_else(|e| panic!("{}", e.report()));
        assert_eq!(read(&opened, "demo/__init__.py").expect("good"), b"x = 1\n");
    }
}

#[test]
fn a_directory_larger_than_the_first_read_is_read() {
    let wheel = (0..2000).fold(demo(), |w, i| w.stored(&format!("demo/some_module_{i}.py"), i.to_string()));
    let (opened, _) = open(&wheel).expect("a good wheel");
    assert_eq!(opened.entries.len(), 2003);
    assert_eq!(read(&opened, "demo/some_module_1999.py").expect("good"), b"1999");
}
