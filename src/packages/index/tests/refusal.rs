use super::*;
use crate::words::error::Kind;

const WINDOWS: &str = "demo-1.0-cp311-cp311-win_amd64.whl";
const OLD_PYTHON: &str = "demo-1.0-cp310-cp310-manylinux_2_17_x86_64.whl";
const DEBUG: &str = "demo-1.0-cp311-cp311d-manylinux_2_17_x86_64.whl";

/// The message when nothing that is there can be chosen.
fn refused(ask: &Ask, files: &[IndexFile]) -> String {
    ask.report(Kind::Selection, files)
}

fn digest(name: &str) -> String {
    format!("sha256:{}", Sha256::of(name.as_bytes()))
}

#[test]
fn a_lock_without_hashes_is_refused() {
    assert_eq!(
        ask("==1.0").report(Kind::Lock, &files([WHEEL])),
        "the lock has no hashes for it; expected sha256 digests\n  \
         help: lock again with a current pipenv, or pass --allow-unhashed demo to take whatever the index serves"
    );
}

#[test]
fn a_lock_with_weak_hashes_only_is_refused_even_where_none_would_do() {
    let asked = ask(">=1.0").with_other_hashes(["md5:00", "sha1:11"]);
    for asked in [asked.clone(), asked.allow_unhashed()] {
        assert_eq!(
            asked.report(Kind::Lock, &files([WHEEL])),
            "the lock has only md5:00, sha1:11 for it; expected sha256 digests\n  \
             help: lock again with a current pipenv and an index that gives sha256 digests"
        );
    }
}

#[test]
fn hashes_that_match_nothing_are_shown_beside_what_the_index_has() {
    let there = [file(WHEEL), file(SDIST).rebuilt(), file("demo-2.0.tar.gz"), file("notes.txt")];
    assert_eq!(
        refused(&ask("==1.0").pinning(["one", "two"]), &there),
        format!(
            "no file that the index has of demo ==1.0 is one that the lock pins\n  \
             - the index has {WHEEL} with {}\n  - the index has {SDIST} with {}\n  \
             - the lock has {}\n  - the lock has {}\n  \
             help: if the files were built or uploaded again, lock again; otherwise the source is not the one \
             the lock was made with, or the files were tampered with",
            digest(WHEEL),
            digest("rebuilt"),
            digest("two"),
            digest("one"),
        )
    );
}

#[test]
fn long_lists_are_cut_and_counted() {
    let there: Vec<IndexFile> =
        (0..20).map(|build| file(&format!("demo-1.0-{build:02}-py3-none-any.whl"))).collect();
    let mut asked = ask("==1.0");
    asked.hashes.sha256 = (0..15).map(|number: u8| Sha256([number; 32])).collect();
    let report = refused(&asked, &there);
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), 1 + 13 + 13 + 1, "{report}");
    assert!(lines[1].starts_with("  - the index has demo-1.0-00-py3-none-any.whl with sha256:"), "{report}");
    assert_eq!(lines[13], "  - and 8 more files");
    assert_eq!(lines[14], format!("  - the lock has sha256:{}", "00".repeat(32)));
    assert_eq!(lines[26], "  - and 3 more hashes");
}

#[test]
fn a_wheel_for_another_platform_is_told_with_the_tags_there_are() {
    assert_eq!(
        refused(&ask("==1.0").pinning([WINDOWS]), &files([WINDOWS, SDIST])),
        "the only file that the lock pins for demo ==1.0 cannot be used with CPython 3.11.7\n  \
         - demo-1.0-cp311-cp311-win_amd64.whl: platform tag win_amd64 does not fit\n  \
         - the target accepts the platform tags linux_x86_64, manylinux_2_28_x86_64, manylinux_2_27_x86_64, \
         manylinux_2_26_x86_64, manylinux_2_25_x86_64, manylinux_2_24_x86_64, manylinux_2_23_x86_64, \
         manylinux_2_22_x86_64, manylinux_2_21_x86_64, manylinux_2_20_x86_64, manylinux_2_19_x86_64, \
         manylinux_2_18_x86_64 and 17 more\n  \
         help: use an interpreter and platform that the package has files for, or lock another version"
    );
}

#[test]
fn every_part_that_fails_is_told_the_nearest_miss_first() {
    let there = [OLD_PYTHON, DEBUG, WINDOWS];
    let musl = "demo-1.0-cp311-cp311-musllinux_1_1_x86_64.musllinux_1_2_x86_64.whl";
    let asked = ask("==1.0").pinning(there).pinning([musl, WHEEL]);
    let mut listed: Vec<IndexFile> = files(there).into_iter().chain([file(musl)]).collect();
    listed.push(file(WHEEL).requires(">=3.12\n"));
    let report = refused(&asked, &listed);
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(
        lines[..6],
        [
            "none of the 5 files that the lock pins for demo ==1.0 can be used with CPython 3.11.7",
            "  - demo-1.0-py3-none-any.whl: requires Python >=3.12",
            "  - demo-1.0-cp311-cp311-musllinux_1_1_x86_64.musllinux_1_2_x86_64.whl: platform tag \
             musllinux_1_1_x86_64.musllinux_1_2_x86_64 does not fit",
            "  - demo-1.0-cp311-cp311-win_amd64.whl: platform tag win_amd64 does not fit",
            "  - demo-1.0-cp311-cp311d-manylinux_2_17_x86_64.whl: ABI tag cp311d does not fit",
            "  - demo-1.0-cp310-cp310-manylinux_2_17_x86_64.whl: Python tag cp310 does not fit",
        ]
    );
    assert!(lines[6].starts_with("  - the target accepts the platform tags linux_x86_64, "), "{report}");
    assert_eq!(lines[7], "  - the target accepts the ABI tags cp311, abi3, none");
    assert!(lines[8].starts_with("  - the target accepts the Python tags cp311, "), "{report}");
    assert_eq!(
        lines[9..],
        ["  help: use an interpreter and platform that the package has files for, or lock another version"]
    );
    listed.reverse();
    assert_eq!(refused(&asked, &listed), report);
}

#[test]
fn an_sdist_that_may_not_be_built_is_told() {
    assert_eq!(
        refused(&ask("==1.0").pinning([SDIST]).only_binary(), &files([SDIST])),
        "the only file that the lock pins for demo ==1.0 cannot be used with CPython 3.11.7\n  \
         - demo-1.0.tar.gz: an sdist, and only wheels may be used\n  \
         help: allow this package to be built from its sdist, or use an interpreter that it has a wheel for"
    );
}

#[test]
fn a_wheel_where_none_is_wanted_is_told() {
    assert_eq!(
        refused(&ask("===1.0").pinning([WHEEL]).no_binary(), &files([WHEEL])),
        "the only file that the lock pins for demo ===1.0 cannot be used with CPython 3.11.7\n  \
         - demo-1.0-py3-none-any.whl: a wheel, and only sdists may be used\n  \
         help: allow wheels for this package, or lock a version that has an sdist"
    );
}

#[test]
fn without_hashes_the_files_of_the_version_are_told() {
    assert_eq!(
        refused(&ask("==1.0").allow_unhashed(), &[file(SDIST).requires(">=3.12"), file("demo-2.0.tar.gz")]),
        "the only file that the index has for demo ==1.0 cannot be used with CPython 3.11.7\n  \
         - demo-1.0.tar.gz: requires Python >=3.12\n  \
         help: use an interpreter and platform that the package has files for, or lock another version"
    );
}

#[test]
fn pinned_bytes_under_another_name_or_version_are_told() {
    let there = ["demo-2.0.tar.gz", "other-1.0-py3-none-any.whl", "demo-1.0.egg", "demo-x-py3-none-any.whl"];
    assert_eq!(
        refused(&ask("==1.0").pinning(there), &files(there)),
        "none of the 4 files that the lock pins for demo ==1.0 can be used with CPython 3.11.7\n  \
         - demo-2.0.tar.gz: its hash is the lock's, but its version is 2.0\n  \
         - demo-1.0.egg: neither a wheel nor an sdist of demo\n  \
         - demo-x-py3-none-any.whl: \"demo-x-py3-none-any.whl\" is not a wheel's file name: \"x\" is not a \
         version; expected NAME-VERSION[-BUILD]-PYTHON-ABI-PLATFORM.whl\n  \
         - other-1.0-py3-none-any.whl: it is a wheel of other\n  \
         help: use an interpreter and platform that the package has files for, or lock another version"
    );
}

#[test]
fn a_version_that_is_not_there_is_told_with_those_that_are() {
    let there = ["demo-0.9-py3-none-any.whl", "demo-0.10.tar.gz", "demo-0.9.tar.gz", "demo-2.0rc1.tar.gz"];
    assert_eq!(
        refused(&ask("==1.0").pinning(["x"]), &files(there)),
        "the index has no file of demo ==1.0; it has 2.0rc1, 0.10, 0.9\n  \
         help: check that the lock names the right source for this package, or lock again"
    );
}

#[test]
fn an_index_without_the_package_is_told() {
    for there in [vec![], files(["other-1.0.tar.gz", "demo-1.0.egg"])] {
        assert_eq!(
            refused(&ask("*").pinning(["x"]), &there),
            "the index lists no file of demo\n  \
             help: check that the lock names the right source for this package"
        );
    }
}

#[test]
fn a_yanked_file_that_nothing_pins_is_told_with_its_reason() {
    assert_eq!(
        refused(&ask(">=1.0").allow_unhashed(), &[file(SDIST).yanked("bro\x1bken")]),
        "the only file that the index has for demo >=1.0 cannot be used with CPython 3.11.7\n  \
         - demo-1.0.tar.gz: was yanked (bro ken), and neither a version nor a hash pins it\n  \
         help: lock again so that it gets hashes, or pin this version with =="
    );
}

#[test]
fn a_mismatch_is_told_though_files_for_other_platforms_have_no_digest() {
    let there = [file(WHEEL).rebuilt(), file(WINDOWS).unhashed()];
    assert_eq!(
        refused(&ask("==1.0").pinning([WHEEL]), &there),
        format!(
            "no file that the index has of demo ==1.0 is one that the lock pins\n  \
             - the index has {WINDOWS} with no sha256\n  - the index has {WHEEL} with {}\n  \
             - the lock has {}\n  \
             help: if the files were built or uploaded again, lock again; otherwise the source is not the one \
             the lock was made with, or the files were tampered with",
            digest("rebuilt"),
            digest(WHEEL),
        )
    );
}
