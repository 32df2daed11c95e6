use proptest::prelude::*;

use super::*;

const PURE: &str = "demo-1.0-py3-none-any.whl";
const NATIVE: &str = "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl";
const ABI3: &str = "demo-1.0-cp38-abi3-manylinux_2_17_x86_64.whl";
const NEWER_GLIBC: &str = "demo-1.0-cp311-cp311-manylinux_2_39_x86_64.whl";
const WINDOWS: &str = "demo-1.0-cp311-cp311-win_amd64.whl";
const SDIST: &str = "demo-1.0.tar.gz";
const ALL: [&str; 6] = [PURE, NATIVE, ABI3, NEWER_GLIBC, WINDOWS, SDIST];

#[test]
fn the_best_tag_wins() {
    assert_eq!(Ask::version("1.0").locked(&ALL).chosen(&files(&ALL)), NATIVE);
    assert_eq!(Ask::version("1.0").locked(&ALL).chosen(&files(&[PURE, ABI3, SDIST])), ABI3);
    assert_eq!(Ask::version("1.0").locked(&ALL).chosen(&files(&[SDIST, WINDOWS, PURE])), PURE);
}

#[test]
fn only_files_whose_digest_the_lock_has_count() {
    assert_eq!(Ask::version("1.0").locked(&[PURE, SDIST]).chosen(&files(&ALL)), PURE);
    assert_eq!(Ask::version("1.0").locked(&[WINDOWS, SDIST]).chosen(&files(&ALL)), SDIST);
}

#[test]
fn the_highest_build_number_wins_among_equal_tags() {
    let names = ["demo-1.0-py3-none-any.whl", "demo-1.0-2-py3-none-any.whl", "demo-1.0-10a-py3-none-any.whl"];
    assert_eq!(Ask::version("1.0").locked(&names).chosen(&files(&names)), names[2]);
}

#[test]
fn a_pin_without_local_version_takes_one_with() {
    let names = ["demo-2.0+cpu-py3-none-any.whl"];
    assert_eq!(Ask::version("2.0").locked(&names).chosen(&files(&names)), names[0]);
    assert!(
        Ask::version("2.0+cu1").locked(&names).refused(&files(&names)).contains("its version is 2.0+cpu")
    );
}

#[test]
fn a_file_that_requires_another_python_is_passed_over() {
    let mut all = files(&[NATIVE, PURE]);
    all[0].requires_python = Some(">=3.12".into());
    assert_eq!(Ask::version("1.0").locked(&ALL).chosen(&all), PURE);
    // What cannot be read excludes nothing.
    all[0].requires_python = Some("three".into());
    assert_eq!(Ask::version("1.0").locked(&ALL).chosen(&all), NATIVE);
}

#[test]
fn a_yanked_file_is_taken_last_and_with_a_warning() {
    let mut all = files(&[NATIVE, PURE]);
    all[0].yanked = Some("broken\x1b[31m build".into());
    assert_eq!(Ask::version("1.0").locked(&ALL).chosen(&all), PURE);
    match Ask::version("1.0").locked(&[NATIVE]).choose(&all).expect("a choice") {
        Choice::Wheel { warnings, .. } => {
            assert_eq!(warnings.0.len(), 1, "{warnings:?}");
            assert!(
                warnings.0[0].contains("yanked") && warnings.0[0].contains("broken [31m build"),
                "{warnings:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn no_binary_and_only_binary_are_as_in_pip() {
    let ask = Ask { no_binary: true, ..Ask::version("1.0").locked(&ALL) };
    assert_eq!(ask.chosen(&files(&ALL)), SDIST);
    assert!(ask.refused(&files(&[PURE])).contains("a wheel, and only sdists may be used"));
    let ask = Ask { only_binary: true, ..Ask::version("1.0").locked(&ALL) };
    assert!(ask.refused(&files(&[SDIST])).contains("an sdist, and only wheels may be used"));
}

#[test]
fn arbitrary_equality_compares_text() {
    let ask =
        Ask { pin: Pin::Arbitrary("1.0-ODD".into()), ..Ask::version("1").locked(&["demo-1.0-odd.zip"]) };
    assert_eq!(ask.chosen(&files(&["demo-1.0-odd.zip"])), "demo-1.0-odd.zip");
}

#[test]
fn without_digests_the_files_to_fetch_are_named_best_first() {
    let mut all = files(&[PURE, SDIST, NATIVE, WINDOWS]);
    for file in &mut all {
        file.sha256 = None;
    }
    let ask = Ask::version("1.0").locked(&ALL);
    match ask.choose(&all).expect("a choice") {
        Choice::NeedDigests(wanted) => {
            let names: Vec<&str> = wanted.iter().map(|file| file.filename.as_str()).collect();
            assert_eq!(names, [NATIVE, PURE, SDIST]);
        }
        other => panic!("{other:?}"),
    }
    // A digest that is known to be wrong is as good as no file; one that is right ends the search.
    all[2].sha256 = Some(digest("other"));
    all[0].sha256 = Some(digest(PURE));
    assert_eq!(ask.chosen(&all), PURE);
}

#[test]
fn what_has_no_hashes_is_taken_only_when_that_was_allowed() {
    let ask = Ask { allow_unhashed: true, ..Ask::version("1.0") };
    assert_eq!(ask.chosen(&files(&ALL)), NATIVE);
    assert!(Ask::version("1.0").refused(&files(&ALL)).contains("--allow-unhashed"));
    let mut weak = Ask { allow_unhashed: true, ..Ask::version("1.0") };
    weak.hashes.other.push("md5:00".into());
    assert!(
        weak.refused(&files(&ALL)).starts_with("the lock has no sha256 hash for demo ==1.0, only md5:00")
    );
}

#[test]
fn an_entry_is_explained_once_every_digest_has_a_file() {
    let hashes = Ask::version("1.0").locked(&[PURE, SDIST]).hashes;
    assert!(explains(&files(&ALL), &hashes));
    assert!(!explains(&files(&[PURE]), &hashes));
    assert!(!explains(&files(&ALL), &Hashes::default()));
}

#[test]
fn sdist_names_of_every_age_are_read() {
    let read = |file_name: &str, name: &str| {
        SdistName::parse(file_name, &name.parse().expect("a name")).map(|found| (found.written, found.format))
    };
    assert_eq!(read("demo-1.0.tar.gz", "demo"), Some(("1.0".into(), SdistFormat::TarGz)));
    assert_eq!(read("My-Old.Name-1.0.zip", "my-old-name"), Some(("1.0".into(), SdistFormat::Zip)));
    assert_eq!(read("demo-2-1.0.tar.bz2", "demo-2"), Some(("1.0".into(), SdistFormat::TarBz2)));
    assert_eq!(read("demo-legacy1.tgz", "demo"), Some(("legacy1".into(), SdistFormat::TarGz)));
    assert_eq!(read("other-1.0.tar.gz", "demo"), None);
    assert_eq!(read("demo-1.0.egg", "demo"), None);
}

proptest! {
    #[test]
    fn the_order_of_a_listing_has_no_say(order in Just((0..ALL.len()).collect::<Vec<_>>()).prop_shuffle()) {
        let shuffled: Vec<IndexFile> = order.into_iter().map(|at| file(ALL[at])).collect();
        prop_assert_eq!(Ask::version("1.0").locked(&ALL).chosen(&shuffled), NATIVE);
    }
}
