//! Hostile source distributions: nothing outside the directory is touched.

use std::{fs, io::Write as _, path::Path};

use proptest::prelude::*;
use tar::{EntryType, Header};
use venvoy::inside::{
    packages::sdist::{Limits, unpack},
    words::error::Kind,
};

/// One member of an archive, written without any of the checks a library makes.
struct Member<'a> {
    name: &'a str,
    kind: EntryType,
    link: &'a str,
    body: &'a [u8],
}

fn file<'a>(name: &'a str, body: &'a str) -> Member<'a> {
    Member { name, kind: EntryType::Regular, link: "", body: body.as_bytes() }
}

fn link<'a>(kind: EntryType, name: &'a str, link: &'a str) -> Member<'a> {
    Member { name, kind, link, body: b"" }
}

fn header(member: &Member) -> Header {
    let mut header = Header::new_ustar();
    let raw = header.as_old_mut();
    raw.name[..member.name.len()].copy_from_slice(member.name.as_bytes());
    raw.linkname[..member.link.len()].copy_from_slice(member.link.as_bytes());
    header.set_entry_type(member.kind);
    header.set_size(member.body.len() as u64);
    header.set_mode(0o4777);
    header.set_mtime(1_000_000_000);
    header.set_cksum();
    header
}

fn tar(members: &[Member]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for member in members {
        builder.append(&header(member), member.body).expect("appended");
    }
    builder.into_inner().expect("finished")
}

/// Unpacks below a directory that also holds a file to harm; gives the report of the failure.
fn unpacked(
    bytes: &[u8],
    name: &str,
    limits: Limits,
) -> (tempfile::TempDir, Result<std::path::PathBuf, String>) {
    let directory = tempfile::tempdir().expect("a directory");
    let archive = directory.path().join(name);
    fs::write(&archive, bytes).expect("written");
    fs::write(directory.path().join("victim"), "unharmed").expect("written");
    let result = unpack(&archive, name, &directory.path().join("out"), limits).map_err(|error| {
        assert_ne!(error.kind(), Kind::Io, "{}", error.report());
        error.report()
    });
    assert_eq!(fs::read_to_string(directory.path().join("victim")).expect("there"), "unharmed");
    let names: Vec<_> =
        fs::read_dir(directory.path()).expect("read").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    (directory, result)
}

fn refused(members: &[Member]) -> String {
    unpacked(&tar(members), "demo-1.0.tar", Limits::default()).1.expect_err("refused")
}

const SETUP: &str = "demo-1.0/setup.py";

#[test]
fn members_that_lead_outside_are_refused() {
    let (symlink, hard) = (EntryType::Symlink, EntryType::Link);
    for (members, why) in [
        (vec![file("../victim", "x")], "'.' or '..' component"),
        (vec![file("demo-1.0/../../victim", "x")], "'.' or '..' component"),
        (vec![file("/victim", "x")], "absolute"),
        (vec![file("demo-1.0\\..\\victim", "x")], "backslash"),
        (vec![link(symlink, "demo-1.0/up", "../../victim")], "leads outside"),
        (vec![link(symlink, "demo-1.0/up", "/etc/passwd")], "leads outside"),
        (vec![link(symlink, "demo-1.0", "..")], "leads outside"),
        (
            vec![link(symlink, "demo-1.0/d", "."), file("demo-1.0/d/victim", "x")],
            "both a link and something else",
        ),
        (vec![file("demo-1.0/d/x", "x"), link(symlink, "demo-1.0/d", "e")], "both a link and something else"),
        (vec![link(symlink, "demo-1.0/a", "."), link(symlink, "demo-1.0/a/b", "x")], "passes through a link"),
        (
            // Neither link leads outside alone: `a/b/s` is the top, and `..` of it is not `a/b`.
            vec![
                file("demo-1.0/a/b/x", ""),
                link(symlink, "demo-1.0/a/b/s", "../../.."),
                link(symlink, "demo-1.0/t", "a/b/s/../victim"),
            ],
            "leads outside",
        ),
        (vec![link(hard, "demo-1.0/h", "../victim")], "'.' or '..' component"),
        (vec![link(hard, "demo-1.0/h", "victim")], "no earlier file"),
        (vec![link(symlink, "demo-1.0/l", "x"), link(hard, "demo-1.0/h", "demo-1.0/l")], "no earlier file"),
        (vec![link(EntryType::Fifo, "demo-1.0/p", "")], "device, a pipe"),
        (vec![link(EntryType::Char, "demo-1.0/p", "")], "device, a pipe"),
        (vec![file("demo-1.0/x", ""), file("demo-1.0/x/y", "")], "passes through a file"),
    ] {
        let mut members = members;
        members.push(file(SETUP, ""));
        let report = refused(&members);
        assert!(report.contains(why), "{why}: {report}");
    }
}

#[test]
fn links_inside_are_kept_and_dangling_ones_are_not() {
    let (directory, result) = unpacked(
        &tar(&[
            file(SETUP, "text"),
            link(EntryType::Symlink, "demo-1.0/alias.py", "setup.py"),
            link(EntryType::Symlink, "demo-1.0/nowhere", "missing"),
            link(EntryType::Symlink, "demo-1.0/circle", "circle"),
            link(EntryType::Link, "demo-1.0/copy.py", SETUP),
            file(SETUP, "the later one counts"),
        ]),
        "demo-1.0.tar",
        Limits::default(),
    );
    let root = result.expect("unpacked");
    assert_eq!(root, directory.path().join("out/demo-1.0"));
    assert_eq!(fs::read_to_string(root.join("alias.py")).expect("read"), "the later one counts");
    assert_eq!(fs::read_to_string(root.join("copy.py")).expect("read"), "text");
    assert!(
        fs::symlink_metadata(root.join("nowhere")).is_err()
            && fs::symlink_metadata(root.join("circle")).is_err()
    );
    let meta = fs::metadata(root.join("setup.py")).expect("there");
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o7777,
        0o755,
        "no set-user bit"
    );
    let modified = meta.modified().expect("a time").duration_since(std::time::UNIX_EPOCH).expect("after");
    assert_eq!(modified.as_secs(), 1_000_000_000, "makefiles compare times");
}

#[test]
fn sizes_that_contradict_each_other_are_refused() {
    // A member whose PAX header says another size than its own: readers would see different members.
    let pax = Member { name: "pax", kind: EntryType::XHeader, link: "", body: b"13 size=1024\n" };
    let hidden = tar(&[file("demo-1.0/hidden.py", "hidden")]);
    let bytes = tar(&[pax, Member { name: SETUP, kind: EntryType::Regular, link: "", body: &hidden }]);
    let report = unpacked(&bytes, "demo-1.0.tar", Limits::default()).1.expect_err("refused");
    assert!(report.contains("two sizes that differ"), "{report}");
    let cut = tar(&[file(SETUP, "text")]);
    let report = unpacked(&cut[..520], "demo-1.0.tar", Limits::default()).1.expect_err("refused");
    assert!(report.contains("damaged") || report.contains("cut off"), "{report}");
}

/// Every ending that an index's files are chosen by can be unpacked.
#[test]
fn an_xz_archive_is_unpacked_within_bounds() {
    let packed = |dict_size: u32| {
        let mut options = lzma_rust2::XzOptions::with_preset(1);
        options.lzma_options.dict_size = dict_size;
        let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).expect("a writer");
        writer.write_all(&tar(&[file(SETUP, "text")])).expect("written");
        writer.finish().expect("finished")
    };
    for name in ["demo-1.0.tar.xz", "demo-1.0.txz"] {
        let (_directory, result) = unpacked(&packed(1 << 20), name, Limits::default());
        assert_eq!(fs::read_to_string(result.expect("unpacked").join("setup.py")).expect("read"), "text");
    }
    // The window is memory: an archive may not ask for any amount of it.
    let mut bytes = packed(1 << 20);
    assert!(unpacked(&bytes, "demo-1.0.tar.xz", Limits::default()).1.is_ok());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    let report = unpacked(&bytes, "demo-1.0.tar.xz", Limits::default()).1.expect_err("refused");
    assert!(report.contains("damaged") || report.contains("cut off"), "{report}");
}

/// Fault 25: a header that claims gigabytes was read into memory first and refused afterwards.
#[test]
fn a_header_that_claims_gigabytes_is_refused_before_it_is_read() {
    const CLAIM: u64 = 3 << 30;
    for kind in [EntryType::XHeader, EntryType::GNULongName, EntryType::GNULongLink] {
        let mut header = header(&Member { name: "x", kind, link: "", body: b"" });
        header.set_size(CLAIM);
        header.set_cksum();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(header.as_bytes()).expect("written");
        gz.write_all(&vec![b'a'; 8 << 20]).expect("written");
        let bytes = gz.finish().expect("finished");
        let report = unpacked(&bytes, "demo-1.0.tar.gz", Limits::default()).1.expect_err("refused");
        assert!(report.contains("a header of 3221225472 bytes"), "{report}");
    }
}

#[test]
fn long_names_and_links_are_read() {
    let long = format!("demo-1.0/{}/setup.py", "d".repeat(120));
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header(&file(SETUP, "text")), &b"text"[..]).expect("appended");
    let mut gnu = Header::new_gnu();
    gnu.set_size(4);
    gnu.set_mode(0o644);
    builder.append_data(&mut gnu, &long, &b"long"[..]).expect("appended");
    builder
        .append_pax_extensions([("path", "demo-1.0/pax.py".as_bytes()), ("size", &b"3"[..])])
        .expect("appended");
    builder.append(&header(&file("demo-1.0/other.py", "pax")), &b"pax"[..]).expect("appended");
    let bytes = builder.into_inner().expect("finished");
    let (_directory, result) = unpacked(&bytes, "demo-1.0.tar", Limits::default());
    let root = result.expect("unpacked");
    let read = |name: &str| fs::read_to_string(root.join(name)).expect("read");
    assert_eq!(read(long.strip_prefix("demo-1.0/").expect("below")), "long");
    assert_eq!(read("pax.py"), "pax");
    assert!(!root.join("other.py").exists());
}

#[test]
fn archives_that_grow_without_end_are_stopped() {
    let limits = Limits { total: 1000, members: 10 };
    let zeros = vec![0; 1 << 20];
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gz.write_all(&tar(&[Member { name: SETUP, kind: EntryType::Regular, link: "", body: &zeros }]))
        .expect("written");
    let report = unpacked(&gz.finish().expect("finished"), "demo-1.0.tar.gz", limits).1.expect_err("refused");
    assert!(report.contains("more than 1000 bytes"), "{report}");
    let names: Vec<String> = (0..20).map(|number| format!("demo-1.0/{number}")).collect();
    let members: Vec<Member> = names.iter().map(|name| file(name, "")).collect();
    let report = unpacked(&tar(&members), "demo-1.0.tar", limits).1.expect_err("refused");
    assert!(report.contains("more than 10 members"), "{report}");
}

#[test]
fn what_is_no_project_says_so() {
    for (members, why) in [
        (vec![file("demo-1.0/readme", "")], "neither a pyproject.toml nor a setup.py"),
        (vec![file("a/setup.py", ""), file("b/setup.py", "")], "2 projects"),
    ] {
        assert!(refused(&members).contains(why));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let archive = directory.path().join("demo-1.0.tar.lz");
    fs::write(&archive, "no archive").expect("written");
    let error = unpack(&archive, "demo-1.0.tar.lz", &directory.path().join("out"), Limits::default());
    let report = error.expect_err("refused").report();
    assert!(report.contains("expected .tar.gz, .tgz, .zip, .tar.bz2, .tbz, .tar.xz, .txz, .tar"), "{report}");
}

fn zip(entries: &[(&str, u32)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, mode) in entries {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        if mode & 0o170_000 == 0o120_000 {
            writer.add_symlink(*name, "/etc/passwd", options).expect("added");
        } else {
            writer.start_file(*name, options).expect("started");
        }
    }
    writer.finish().expect("finished").into_inner()
}

#[test]
fn a_zip_is_held_to_the_same() {
    for (entries, why) in [
        ([("../victim", 0o644), (SETUP, 0o644)], "unsafe path"),
        ([("/victim", 0o644), (SETUP, 0o644)], "unsafe path"),
        ([("demo-1.0/link", 0o120_777), (SETUP, 0o644)], "is a link"),
    ] {
        let report = unpacked(&zip(&entries), "demo-1.0.zip", Limits::default()).1.expect_err("refused");
        assert!(report.contains(why), "{report}");
    }
    let (_directory, result) = unpacked(&zip(&[(SETUP, 0o755)]), "demo-1.0.zip", Limits::default());
    result.expect("unpacked");
}

fn walk(root: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(root).expect("read").flatten() {
        found.push(entry.path());
        if entry.file_type().expect("a type").is_dir() {
            walk(&entry.path(), found);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// Whatever files and links an archive is made of: nothing outside is touched, and no link that stays leads out.
    #[test]
    fn no_mixture_of_members_escapes(
        members in prop::collection::vec(("[ab./]{1,5}", 0..4_u8, "[ab./]{1,7}"), 1..7)
    ) {
        let members: Vec<Member> = members.iter().map(|(name, kind, target)| match kind {
            0 => file(name, "x"),
            1 => link(EntryType::Directory, name, ""),
            2 => link(EntryType::Symlink, name, target),
            _ => link(EntryType::Link, name, target),
        }).chain([file("setup.py", "")]).collect();
        let (directory, result) = unpacked(&tar(&members), "demo-1.0.tar", Limits::default());
        if result.is_ok() {
            let out = directory.path().join("out").canonicalize().expect("resolved");
            let mut found = Vec::new();
            walk(&out, &mut found);
            for path in found {
                let end = path.canonicalize().expect("no link is dangling");
                prop_assert!(end.starts_with(&out), "{} leads to {}", path.display(), end.display());
            }
        }
    }
}
