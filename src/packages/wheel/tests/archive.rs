//! Archives that two readers could see differently, or that would write elsewhere.

use super::*;

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
    // What is copied into an image ends where the stream does; the second answer is the one that was kept.
    let proof = Proof::kept(&opened, &cache);
    assert_eq!(proof.get(1), None);
    let proven = proof.prove(&opened, 1).expect("proven");
    assert_eq!(proven.end.expect("deflated").bytes(), length);
    assert_eq!(super::super::Proven::from(opened.stream(1, &mut |_| Ok(())).expect("streamed")), proven);
    proof.keep(&opened, &cache);
    let kept = Proof::kept(&opened, &cache);
    assert_eq!((kept.get(1), kept.get(0)), (Some(proven), None));
}

#[test]
fn archives_that_two_readers_could_see_differently_are_refused() {
    type Change = fn(&mut crate::packages::wheel::testing::Zip);
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
