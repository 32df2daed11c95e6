use super::*;

const WINDOWS: &str = "demo-1.0-cp311-cp311-win_amd64.whl";
const OLD: &str = "demo-1.0-cp39-cp39-manylinux_2_17_x86_64.whl";

#[test]
fn hashes_that_match_nothing_show_both_sides() {
    let name = "demo-1.0-py3-none-any.whl";
    assert_eq!(
        Ask::version("1.0").locked(&["other"]).refused(&files(&[name, "demo-0.9.tar.gz"])),
        format!(
            "no file that the index has of demo ==1.0 is one that the lock pins\n  \
             - the index has {name} with sha256:{}\n  \
             - the lock has sha256:{}\n  \
             help: if the files were built or uploaded again, lock again; otherwise the source is not the one \
             the lock was made with, or the files were tampered with",
            digest(name),
            digest("other")
        )
    );
}

#[test]
fn a_target_without_wheel_is_told_which_tag_part_fails_and_what_it_accepts() {
    let report = Ask::version("1.0").locked(&[WINDOWS, OLD]).refused(&files(&[WINDOWS, OLD]));
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(
        lines[0],
        "none of the 2 files that the lock pins for demo ==1.0 can be used with CPython 3.11.7"
    );
    assert_eq!(lines[1], format!("  - {WINDOWS}: platform tag win_amd64 does not fit"));
    assert!(lines[2].starts_with(&format!("  - {OLD}: ")) && lines[2].contains("cp39"), "{report}");
    assert!(
        lines[3]
            .starts_with("  - the target accepts the platform tags linux_x86_64, manylinux_2_28_x86_64, "),
        "{report}"
    );
    assert!(report.ends_with(
        "help: use an interpreter and platform that the package has files for, or lock another version"
    ));
}

#[test]
fn another_python_is_said_to_be_required() {
    let mut all = files(&["demo-1.0-py3-none-any.whl"]);
    all[0].requires_python = Some(">=3.12".into());
    let report = Ask::version("1.0").locked(&["demo-1.0-py3-none-any.whl"]).refused(&all);
    assert!(report.contains("demo-1.0-py3-none-any.whl: requires Python >=3.12"), "{report}");
}

#[test]
fn an_index_without_the_version_shows_what_it_has() {
    let report = Ask::version("1.0").locked(&["x"]).refused(&files(&["demo-2.0.tar.gz", "demo-0.9.tar.gz"]));
    assert_eq!(report.lines().next(), Some("the index has no file of demo ==1.0; it has 2.0, 0.9"));
}

#[test]
fn an_index_without_the_package_says_so() {
    let report = Ask::version("1.0").locked(&["x"]).refused(&files(&["other-2.0.tar.gz"]));
    assert_eq!(report.lines().next(), Some("the index lists no file of demo"));
}

#[test]
fn a_long_list_is_cut() {
    let names: Vec<String> = (0..40).map(|minor| format!("demo-0.{minor}.tar.gz")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let report = Ask::version("1.0").locked(&["x"]).refused(&files(&names));
    assert!(report.contains("0.39, 0.38") && report.contains(" and 28 more"), "{report}");
}
