//! Wheels of every shape, valid and hostile, opened and read.

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

/// The one entry of that path, read whole and streamed: both must agree.
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
fn raw_bytes_are_those_of_the_archive() {
    let member = Member::deflated("demo/a", &[b'a'; 1000]);
    let data = member.data.clone();
    let (opened, _) = open(&demo().member(member)).expect("a good wheel");
    with_scratch(|scratch| assert_eq!(opened.raw(1, scratch).expect("raw"), data));
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

#[test]
fn names_that_escape_or_are_not_plain_are_refused() {
    for name in ["../evil", "/etc/passwd", "demo/../../evil", "a\\b", "C:/evil", "a\0b", "./a", "a//b"] {
        let error = refusal(&demo().member(Member::stored(name, b"x")).record(""));
        assert!(error.report().contains("unsafe path"), "{name:?}: {}", error.report());
        assert!(error.report().contains("demo-1.0-py3-none-any.whl"), "{}", error.report());
    }
    let mut member = Member::stored("demo/x", b"");
    member.name = b"demo/\xff".to_vec();
    assert_refused(&demo().member(member).record(""), &["not UTF-8"]);
    let unmarked = Member::stored("demo/\u{e9}", b"").both(|h| h.flags = 0);
    assert_refused(&demo().member(unmarked), &["not marked as UTF-8"]);
    let mut extra = vec![0x75, 0x70, 10, 0, 1, 0, 0, 0, 0];
    extra.extend(b"other");
    let renamed = Member::stored("demo/x", b"").central(|h| h.extra = extra);
    assert_refused(&demo().member(renamed), &["demo/x", "second, different name"]);
}

#[test]
fn entries_of_the_wrong_kind_are_refused() {
    let base = || Member::deflated("demo/x", b"content content");
    for (member, why) in [
        (base().mode(0o020_644), "expected a regular file"),
        (base().mode(0o040_755), "expected a regular file"),
        (base().both(|h| h.flags |= 1), "encrypted"),
        (base().central(|h| h.flags |= 1 << 6), "encrypted"),
        (base().both(|h| h.method = 12), "zip method 12"),
        (base().central(|h| h.size = 1 << 30), "claims to inflate"),
        (Member::stored("demo/x", b"abc").both(|h| h.size = 2), "stored in 3 bytes"),
        (Member::stored("demo/x/", b"abc"), "directory with contents"),
    ] {
        assert_refused(&demo().member(member), &["demo/x", why]);
    }
}

/// Python's zipfile refuses it, and so pip would: found by fuzzing.
#[test]
fn a_version_of_the_format_that_nobody_knows_is_refused() {
    let wheel = demo();
    let mut bytes = wheel.build();
    let at = bytes.windows(4).position(|four| four == b"PK\x01\x02").expect("a central header");
    for (version, taken) in [(63, true), (64, false)] {
        bytes[at + 6] = version;
        let dir = tempfile::tempdir().expect("a directory");
        let opened = open_bytes(dir.path(), &wheel.file_name(), &bytes, Strictness::Warn);
        assert_eq!(opened.is_ok(), taken, "version {version}");
        assert!(opened.err().is_none_or(|error| error.report().contains("a version of the zip format")));
    }
}

#[test]
fn headers_that_differ_are_refused() {
    let base = || Member::deflated("demo/x", b"content content");
    for (member, why) in [
        (base().local(|h| h.name = Some(b"demo/y".to_vec())), "differ in the name"),
        (base().local(|h| h.name = Some(b"demo/xx".to_vec())), "differ in the name"),
        (base().local(|h| h.size += 1), "differ in the size"),
        (base().local(|h| h.compressed_size -= 1), "differ in the size"),
        (base().local(|h| h.crc32 ^= 1), "differ in the CRC-32"),
        (base().local(|h| h.method = 0), "differ in the method"),
        (base().local(|h| h.flags |= 1), "differ in the flags"),
        (base().local(|h| h.size = 0), "differ in the size"),
        (base().both(|h| h.crc32 ^= 1), "got CRC-32"),
        (base().both(|h| h.size += 1), "expected 16"),
        (base().both(|h| h.size -= 1), "more than the 14 bytes"),
        (base().both(|h| h.flags |= 8), "data descriptor"),
    ] {
        assert_refused(&demo().member(member), &["demo/x", why]);
    }
    let mut wrong = base().streamed(true);
    wrong.after[4] ^= 1;
    assert_refused(&demo().member(wrong), &["demo/x", "data descriptor and the zip directory differ"]);
}

#[test]
fn a_damaged_deflate_stream_is_refused() {
    let mut damaged = Member::deflated("demo/x", b"content content content content");
    damaged.data[0] = 0xff;
    assert_refused(&demo().member(damaged), &["demo/x", "deflate stream is damaged"]);
}

#[test]
fn bytes_after_a_deflate_stream_are_passed_over_as_by_pip() {
    let mut longer = Member::deflated("demo/x", b"content");
    let length = longer.data.len() as u64;
    longer.data.extend(b"more");
    let longer = longer.both(|h| h.compressed_size += 4);
    let (opened, _) = open(&demo().member(longer)).expect("only the stream shows it");
    let mut streamed = Vec::new();
    let mut take = |bytes: &[u8]| {
        streamed.extend_from_slice(bytes);
        Ok(())
    };
    let checked = opened.stream(1, &mut take).expect("streamed");
    let inflated = with_scratch(|s| opened.inflate(1, s).map(|c| (c.bytes.to_vec(), c.sha256)));
    assert_eq!((streamed, checked.sha256), inflated.expect("inflated"));
    let directory = tempfile::tempdir().expect("a directory");
    let cache = Cache::open(directory.path(), cache::Options::default());
    let end = |proof: Proof| proof.0[1].end.expect("deflated").bytes();
    // What is copied into an image ends where the stream does; the second answer is the one that was kept.
    assert_eq!(end(Proof::of(&opened, &cache).expect("proven")), length);
    assert_eq!(end(Proof::of(&opened, &cache).expect("known")), length);
}

#[test]
fn archives_that_two_readers_could_see_differently_are_refused() {
    type Change = fn(&mut super::testing::Zip);
    let cases: [(&str, Change); 8] = [
        ("before", |z| z.prefix = b"#!/bin/sh\n".to_vec()),
        ("bytes follow the end", |z| z.suffix = b"\0\0x".to_vec()),
        ("bytes follow the end", |z| z.comment = b"PK\x05\x06 another end".to_vec()),
        ("do not fit", |z| z.count_off_by = 1000),
        ("zip directory is cut off", |z| z.count_off_by = 1),
        ("holds more than", |z| z.count_off_by = -1),
        ("before or after", |z| z.offset_off_by = -1),
        ("before or after", |z| {
            z.zip64 = true;
            z.offset_off_by = 1;
        }),
    ];
    for (why, change) in cases {
        assert_refused(&demo().zip(change), &[why]);
    }
    let huge_gap = demo().zip(|z| z.middle = vec![0; 100_000]);
    assert_refused(&huge_gap, &["belong to no entry"]);
    let mut gap = Member::stored("demo/x", b"abc");
    gap.after = b"hidden".to_vec();
    assert_refused(&demo().member(gap), &["demo/x", "6 bytes that belong to no entry"]);
}

/// What pip and uv take, and what can be taken in one way only, is taken with a warning; `--strict` refuses it.
#[test]
fn what_is_odd_and_clear_is_taken_with_a_warning() {
    let link = demo().member(Member::symlink("demo/link", "../target"));
    let again =
        demo().file("demo/__init__.py", "x = 1\n").executable("demo/tool", "t").file("demo/tool", "t");
    let padded = demo().zip(|zip| zip.suffix = vec![0; 10]);
    let much = demo().zip(|zip| zip.suffix = vec![0; 40_000]);
    for (wheel, warnings) in [
        (&link, &["entry \"demo/link\" is a symbolic link, taken as a file with the link's text"][..]),
        (
            &again,
            &[
                "entry \"demo/__init__.py\" is there twice, with the same bytes",
                "entry \"demo/tool\" is there twice, with the same bytes",
            ],
        ),
        (&padded, &["10 NUL bytes follow the end of the zip archive"]),
        (&much, &["40000 NUL bytes follow the end of the zip archive"]),
    ] {
        let (opened, said) = open(wheel).unwrap_or_else(|e| panic!("{}", e.report()));
        let expected: Vec<String> =
            warnings.iter().map(|text| format!("demo-1.0-py3-none-any.whl: {text}")).collect();
        assert_eq!(said.0, expected);
        assert_eq!(read(&opened, "demo/__init__.py").expect("its bytes"), b"x = 1\n");
        let dir = tempfile::tempdir().expect("a directory");
        let strict = open_bytes(dir.path(), &wheel.file_name(), &wheel.build(), Strictness::Refuse);
        let report = strict.expect_err("strict").report();
        assert!(report.contains("its archive is not right") && report.contains(warnings[0]), "{report}");
    }
    let (opened, _) = open(&link).expect("taken");
    assert_eq!(read(&opened, "demo/link").expect("the link's text"), b"../target");
    let link = opened.entries.iter().find(|entry| entry.path.as_str() == "demo/link").expect("there");
    assert!(!link.executable, "pip gives it the modes of a plain file");
    // As Python's zipfile, the last of several counts.
    let (opened, _) = open(&again).expect("taken");
    let tools: Vec<bool> = opened
        .entries
        .iter()
        .filter(|entry| entry.path.as_str() == "demo/tool")
        .map(|entry| entry.executable)
        .collect();
    assert_eq!(tools, [false]);
}

#[test]
fn entries_that_overlap_or_repeat_are_refused() {
    let twice = demo().file("demo/__init__.py", "y = 2\n");
    assert_refused(&twice, &["demo/__init__.py", "twice, with different bytes"]);
    let same_size = demo().file("demo/__init__.py", "x = 2\n");
    assert_refused(&same_size, &["demo/__init__.py", "twice, with different bytes"]);
    let mut same_bytes = Member::deflated("demo/y", b"x = 1\n");
    same_bytes.offset = Some(0);
    assert_refused(&demo().member(same_bytes), &["overlaps"]);
    let mut far = Member::stored("demo/y", b"x");
    far.offset = Some(1_000_000);
    assert_refused(&demo().member(far), &["demo/y", "reaches past"]);
    let both = demo().member(Member::directory("demo/__init__.py/"));
    assert_refused(&both, &["both a file and a directory"]);
}

#[test]
fn a_file_that_is_no_wheel_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = demo().build();
    for bytes in [&b""[..], b"PK\x05\x06", b"not a zip", &good[..good.len() - 1], &good[..good.len() / 2]] {
        let error =
            open_bytes(dir.path(), &demo().file_name(), bytes, Strictness::Warn).expect_err("no wheel");
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(
            error.report().starts_with("cannot use wheel demo-1.0-py3-none-any.whl"),
            "{}",
            error.report()
        );
    }
    let path = dir.path().join("changed.whl");
    std::fs::write(&path, &good).expect("writable");
    let file = VerifiedFile::vouch(path, Sha256::of(&good), good.len() as u64 - 1);
    let name = demo().file_name().parse().expect("name");
    assert!(Wheel::open(file, name, Strictness::Warn).expect_err("size").report().contains("it was changed"));
}

#[test]
fn dist_info_must_be_one_and_the_wheels_own() {
    assert_refused(&demo().file("other-2.0.dist-info/RECORD", ""), &["2 .dist-info directories"]);
    assert_refused(
        &demo().file("other-2.0.data/scripts/x", ""),
        &["other-2.0.data", "expected demo-1.0.data"],
    );
    for name in ["METADATA", "WHEEL", "RECORD"] {
        assert_refused(&demo().without(name), &[name, "is missing"]);
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (name, why) in [
        ("other-1.0-py3-none-any.whl", "expected other-1.0.dist-info"),
        ("demo-1.1-py3-none-any.whl", "expected demo-1.1.dist-info"),
    ] {
        let error = open_bytes(dir.path(), name, &demo().build(), Strictness::Warn).expect_err(name);
        assert!(error.report().contains(why), "{}", error.report());
    }
    for (metadata, why) in [
        ("Name: other\nVersion: 1.0\n", "Name: other"),
        ("Name: demo\nVersion: 2.0\n", "Version: 2.0"),
        ("Version: 1.0\n", "no Name"),
        ("Name: demo\n\nVersion: 1.0\n", "no Version"),
    ] {
        assert_refused(&demo().dist_info("METADATA", metadata), &[why]);
    }
}

#[test]
fn spellings_of_one_name_and_version_agree() {
    let wheel = WheelBuilder::new("Demo.Pkg", "1.0.0+Local.1").file("x.py", "");
    let dir = tempfile::tempdir().expect("a directory");
    let name = "demo_pkg-1.0+local.1-py3-none-any.whl";
    let (opened, _) = open_bytes(dir.path(), name, &wheel.build(), Strictness::Refuse).expect("good");
    assert_eq!(opened.dist_info.as_str(), "Demo.Pkg-1.0.0+Local.1.dist-info");
}

#[test]
fn a_newer_wheel_version_warns_or_fails() {
    let wheel = |version: &str| {
        demo().dist_info("WHEEL", format!("Wheel-Version: {version}\nRoot-Is-Purelib: true\n"))
    };
    let (_, warnings) = open(&wheel("1.9")).expect("a newer minor works");
    assert!(warnings.0[0].contains("demo-1.0-py3-none-any.whl: its Wheel-Version is 1.9"), "{warnings:?}");
    assert_refused(&wheel("2.0"), &["Wheel-Version: 2.0", "expected 1.x"]);
    assert_refused(&wheel("one"), &["Wheel-Version: one"]);
    assert_refused(&demo().dist_info("WHEEL", "Tag: x\n"), &["no Wheel-Version"]);
}

#[test]
fn a_record_that_is_not_right_warns_or_is_refused_when_strict() {
    let digest = super::testing::record_digest(b"x = 1\n");
    for (wheel, says) in [
        (
            demo().record("demo-1.0.dist-info/METADATA,,\n"),
            "RECORD lacks files that the wheel holds: \"demo/__init__.py\"",
        ),
        (demo().record_row("demo/gone.py,,"), "does not hold: \"demo/gone.py\""),
        (demo().record_row("../../evil,sha256=x,1"), "which were ignored: \"../../evil\""),
        (demo().record_row("/etc/passwd,,"), "which were ignored: \"/etc/passwd\""),
        (demo().record_row("demo/__init__.py,,"), "two digests for: \"demo/__init__.py\""),
        (demo().record("demo/__init__.py,md5=abc,6\n"), "no SHA-256 digest for: \"demo/__init__.py\""),
        (demo().record(&format!("demo/__init__.py,{digest},7\n")), "another size than the wheel for"),
    ] {
        let (opened, warnings) = open(&wheel).expect("it is installed");
        assert!(warnings.0.iter().any(|w| w.contains(says)), "{says}: {warnings:?}");
        assert!(opened.entries.iter().all(|e| !e.path.as_str().contains("evil")));
        let dir = tempfile::tempdir().expect("a directory");
        let error = open_bytes(dir.path(), &wheel.file_name(), &wheel.build(), Strictness::Refuse)
            .expect_err("strict");
        assert!(error.report().contains(says), "{}", error.report());
        assert!(error.report().contains("--strict"), "{}", error.report());
    }
}

/// Fault 31: a file that is another than RECORD says was told by its size, and again by its digest.
#[test]
fn a_file_that_record_knows_otherwise_is_told_once() {
    let other = super::testing::record_digest(b"something else\n");
    let row =
        format!("demo/__init__.py,{other},15\ndemo-1.0.dist-info/METADATA,,\ndemo-1.0.dist-info/WHEEL,,\n");
    let (opened, warnings) = open(&demo().record(&row)).expect("it is installed");
    let told = |text: &str| warnings.0.iter().filter(|warning| warning.contains(text)).count();
    assert_eq!((told("demo/__init__.py"), told("another size")), (1, 1), "{warnings:?}");
    let actual = with_scratch(|s| opened.inflate(0, s).map(|c| c.sha256)).expect("good");
    assert!(opened.contradiction(0, actual).is_none());
}

#[test]
fn a_digest_that_record_contradicts_is_told_with_wheel_and_entry() {
    let other = super::testing::record_digest(b"y = 2\n");
    let row =
        format!("demo/__init__.py,{other},6\ndemo-1.0.dist-info/METADATA,,\ndemo-1.0.dist-info/WHEEL,,\n");
    let (opened, _) = open(&demo().record(&row)).expect("good");
    let actual = with_scratch(|s| opened.inflate(0, s).map(|c| c.sha256)).expect("good");
    let report = opened.contradiction(0, actual).expect("they differ").report();
    assert!(report.contains("demo-1.0-py3-none-any.whl: demo/__init__.py: got sha256:"), "{report}");
    let (opened, _) = open(&demo()).expect("good");
    assert!(opened.contradiction(0, actual).is_none());
}

#[test]
fn record_is_csv_and_its_signatures_are_skipped() {
    let wheel = demo()
        .file("demo/a, \"b\".txt", "x")
        .dist_info("RECORD.jws", "{}")
        .dist_info("RECORD.p7s", "")
        .zip(|_| ());
    let (opened, warnings) = open(&wheel).expect("good");
    assert_eq!(warnings, Warnings::default());
    assert!(opened.entries.iter().all(|e| e.sha256.is_some() && !e.path.as_str().contains("RECORD")));
}

#[test]
fn many_complaints_are_one_sentence() {
    let wheel = (0..100).fold(demo(), |w, i| w.file(&format!("demo/{i}.py"), "")).record("");
    let (_, warnings) = open(&wheel).expect("good");
    assert_eq!(warnings.0.len(), 1, "{warnings:?}");
    assert!(warnings.0[0].ends_with("and 100 more"), "{warnings:?}");
}

#[test]
fn entry_points_are_read_as_importlib_does() {
    let text = "\u{feff}stray = x:y\n[other]\nbroken line\nA = not : a script\n\n[console_scripts]\n# comment\n; too\n\
                Demo=demo.cli:main\nb = demo:app.run [extra, more]\nd\u{e9}j\u{e0} = mod\u{fc}le : f\n\
                Demo = demo.other:main\n\n[ gui_scripts ]\nno = a:b\n[other]x = y\u{b}[[gui_scripts]\r\ngui = demo.gui:main\r\n";
    let (opened, _) = open(&demo().entry_points(text)).unwrap_or_else(|e| panic!("{}", e.report()));
    let found: Vec<String> = opened
        .scripts
        .iter()
        .map(|s| format!("{}={}:{}{}", s.name, s.module, s.function, if s.gui { " gui" } else { "" }))
        .collect();
    assert_eq!(
        found,
        ["b=demo:app.run", "d\u{e9}j\u{e0}=mod\u{fc}le:f", "Demo=demo.other:main", "gui=demo.gui:main gui"]
    );
}

/// The table of `entry_points.rs`: what pip ignores is ignored, aloud.
#[test]
fn what_follows_an_entry_point_is_ignored_as_by_pip() {
    for (value, ignored) in [
        ("demo:main()", "()"),
        ("demo:main(1)", "(1)"),
        ("demo:main # comment", "# comment"),
        ("demo:main#comment", "#comment"),
        ("demo:main --opt", "--opt"),
        ("demo:main.", "."),
        ("demo:main; import os", "; import os"),
        ("demo:main [x] # comment", "# comment"),
    ] {
        let wheel = demo().entry_points(&format!("[console_scripts]\na = {value}\n"));
        let (opened, warnings) = open(&wheel).unwrap_or_else(|e| panic!("{}", e.report()));
        assert_eq!(
            (opened.scripts[0].module.as_str(), opened.scripts[0].function.as_str()),
            ("demo", "main")
        );
        assert_eq!(warnings.0.len(), 1, "{warnings:?}");
        assert!(warnings.0[0].ends_with(&format!("{ignored:?} is ignored, as by pip")), "{warnings:?}");
        let dir = tempfile::tempdir().expect("a directory");
        let strict = open_bytes(dir.path(), &wheel.file_name(), &wheel.build(), Strictness::Refuse);
        assert!(strict.expect_err("strict").report().contains("is ignored, as by pip"));
    }
    for value in ["demo: main", "demo :main", "demo:main [x.y]", "demo:main[]"] {
        let wheel = demo().entry_points(&format!("[console_scripts]\na = {value}\n"));
        let (opened, warnings) = open(&wheel).unwrap_or_else(|e| panic!("{}", e.report()));
        assert_eq!((opened.scripts[0].function.as_str(), warnings.0.len()), ("main", 0), "{value}");
    }
}

#[test]
fn entry_points_that_would_escape_or_inject_are_refused() {
    for (line, why) in [
        ("../../x = demo:main", "unsafe path"),
        ("/usr/bin/x = demo:main", "unsafe path"),
        ("a/b = demo:main", "one path component"),
        (" = demo:main", "empty"),
        (". = demo:main", "unsafe path"),
        ("a\tb = demo:main", "one path component"),
        ("a = demo", "names no function"),
        ("a", "no '='"),
        ("a = os, sys:x", "names no function"),
        ("a = .demo:main", "names no function"),
        ("a = demo-x:main", "names no function"),
        ("a = 1demo:main", "not a Python name"),
        ("a = demo:", "not a Python name"),
        ("a = demo:main:extra", "follows its function"),
        ("a = demo:main()[x]", "follows its function"),
        ("a = demo:main]", "follows its function"),
        ("a = demo:1main", "not a Python name"),
        ("a = demo:main [x", "extras"),
    ] {
        let wheel = demo().entry_points(&format!("[console_scripts]\nok = demo:main\n{line}\n"));
        assert_refused(&wheel, &["entry_points.txt", why]);
    }
}

#[test]
fn the_zip_crate_reads_the_same_entries() {
    let wheel = demo()
        .stored("demo/s", "stored")
        .executable("demo/t", vec![b'z'; 5000])
        .member(Member::deflated("demo/d", b"described").streamed(true))
        .member(Member::deflated("demo/w", b"wide").zip64());
    let bytes = wheel.build();
    let (opened, _) = open(&wheel).expect("good");
    let mut theirs = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).expect("a zip");
    assert_eq!(theirs.len(), opened.entries.len() + 1, "RECORD is the one more");
    for entry in &opened.entries {
        let mut file = theirs.by_name(entry.path.as_str()).expect("there");
        assert_eq!(
            (file.size(), file.compressed_size(), file.crc32(), file.header_start()),
            (entry.size, entry.compressed_size, entry.crc32, entry.header_offset)
        );
        let mut content = Vec::new();
        file.read_to_end(&mut content).expect("readable");
        assert_eq!(read(&opened, entry.path.as_str()).expect("good"), content);
    }
}

#[test]
fn what_the_zip_crate_writes_is_read() {
    use std::io::Write as _;
    use zip::write::SimpleFileOptions;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().unix_permissions(0o755);
    let good = demo();
    for (name, content, options) in [
        ("demo/a.py", "a = 1\n", options),
        ("demo/b.py", "b = 2\n", options.large_file(true)),
        ("demo/c", "c", options.compression_method(zip::CompressionMethod::Stored)),
        ("demo-1.0.dist-info/METADATA", "Name: demo\nVersion: 1.0\n", options),
        ("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n", options),
        ("demo-1.0.dist-info/RECORD", "", options),
    ] {
        writer.start_file(name, options).expect("start");
        writer.write_all(content.as_bytes()).expect("write");
    }
    let bytes = writer.finish().expect("finish").into_inner();
    let dir = tempfile::tempdir().expect("a directory");
    let (opened, _) = open_bytes(dir.path(), &good.file_name(), &bytes, Strictness::Warn).expect("good");
    assert_eq!(read(&opened, "demo/b.py").expect("good"), b"b = 2\n");
    assert!(opened.entries.iter().all(|e| e.executable));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// However a wheel is damaged, nothing panics, and what still opens holds safe paths and bytes of
    /// the declared size and CRC-32 only.
    #[test]
    fn damaged_wheels_never_panic_and_never_escape(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
        zip64 in any::<bool>(),
    ) {
        let wheel = demo()
            .member(Member::deflated("demo/d", b"described").streamed(true))
            .member(Member::stored("demo/w", b"wide").zip64())
            .console_script("demo = demo:main")
            .zip(|z| z.zip64 = zip64);
        let mut bytes = wheel.build();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let dir = tempfile::tempdir().expect("a directory");
        if let Ok((opened, _)) = open_bytes(dir.path(), &wheel.file_name(), &bytes, Strictness::Warn) {
            for (at, entry) in opened.entries.iter().enumerate() {
                prop_assert!(entry.path.as_str().split('/').all(|c| !matches!(c, "" | "." | "..")));
                prop_assert!(entry.header_offset + entry.span <= bytes.len() as u64);
                with_scratch(|scratch| {
                    if let Ok(content) = opened.inflate(at, scratch) {
                        assert_eq!(content.bytes.len() as u64, entry.size);
                        assert_eq!(libdeflater::crc32(content.bytes), entry.crc32);
                    }
                });
                let _ = opened.stream(at, &mut |_| Ok(()));
            }
        }
    }
}

proptest! {
    /// What is read of entry points becomes Python source: it is identifiers, whatever stands in the file.
    #[test]
    fn entry_points_are_identifiers_or_refused(
        value in r"([ab_.:\[\]()#;= \t]|demo|main|é|\PC){0,20}",
        name in r"([ab./ -]|é|\PC){1,8}",
    ) {
        let text = format!("[console_scripts]\n{name} = {value}\n");
        if let Ok((scripts, _)) = super::entry_points::parse(text.as_bytes()) {
            for script in scripts {
                for part in [&script.module, &script.function] {
                    let is_word = |word: &str| {
                        !word.is_empty() && word.chars().all(|c| c == '_' || c.is_alphanumeric())
                    };
                    prop_assert!(part.split('.').all(is_word), "{part:?} of {text:?}");
                }
                prop_assert!(!script.name.as_str().contains('/'), "{text:?}");
            }
        }
    }
}

#[test]
fn what_was_found_to_be_as_recorded_is_not_digested_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let large = vec![7; usize::try_from(STREAM_LIMIT).expect("a size") + 1];
    let name = "demo-1.0-py3-none-any.whl";
    let open_with = |cache: &Cache, wheel: &WheelBuilder| {
        let bytes = wheel.build();
        let file = cache
            .file_or(&Sha256::of(&bytes), name, |pending| {
                std::io::Write::write_all(pending, &bytes)
                    .map_err(|e| Error::io("cannot write", dir.path(), e))
            })
            .expect("a file");
        let mut wheel =
            Wheel::open(file, name.parse().expect("a name"), Strictness::Warn).expect("a wheel").0;
        wheel.rely_on(cache);
        wheel
    };
    let trusting = || Cache::open(&dir.path().join("cache"), cache::Options::default());
    // Reads all and says whether each digest is what the bytes have.
    let read_all = |wheel: &Wheel| {
        let digests = |at: usize| {
            let streamed = wheel.stream(at, &mut |_| Ok(())).expect("bytes").sha256;
            with_scratch(|scratch| {
                let content = wheel.inflate(at, scratch).expect("bytes");
                assert_eq!(content.sha256, streamed);
                (content.sha256, Sha256::of(content.bytes))
            })
        };
        (0..wheel.entries.len()).all(|at| {
            let (told, true_one) = digests(at);
            wheel.contradiction(at, told);
            told == true_one
        })
    };

    let right = demo().file("demo/large.bin", &large);
    let cache = trusting();
    let wheel = open_with(&cache, &right);
    wheel.settle(&cache);
    assert!(!open_with(&cache, &right).as_recorded.known(), "nothing was read yet");
    assert!(read_all(&wheel));
    wheel.settle(&cache);
    assert!(open_with(&trusting(), &right).as_recorded.known());
    for trust in [Trust::Unlinked, Trust::Nothing] {
        let strict = Cache::open(&dir.path().join("cache"), cache::Options { trust, ..Default::default() });
        assert!(!open_with(&strict, &right).as_recorded.known());
    }

    // One that contradicts its RECORD is never noted.
    let lying = demo().record(&format!("demo/__init__.py,{},6\n", record_digest(b"something else")));
    let wheel = open_with(&cache, &lying);
    assert!(read_all(&wheel));
    wheel.settle(&cache);
    assert!(!open_with(&trusting(), &lying).as_recorded.known());
    // Had it been, its digests would not be computed.
    cache.note_as_recorded(&wheel.file);
    assert!(!read_all(&open_with(&trusting(), &lying)));
}
