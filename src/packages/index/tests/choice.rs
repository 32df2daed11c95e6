use super::*;
use crate::words::error::Kind;

const LINUX: &str = "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl";
const NEWER_LINUX: &str = "demo-1.0-cp311-cp311-manylinux_2_28_x86_64.whl";
const ABI3: &str = "demo-1.0-cp38-abi3-manylinux_2_17_x86_64.whl";
const MUSL: &str = "demo-1.0-cp311-cp311-musllinux_1_2_x86_64.whl";
const WINDOWS: &str = "demo-1.0-cp311-cp311-win_amd64.whl";

#[test]
fn only_files_that_the_lock_pins_are_chosen() {
    let there = files([LINUX, WHEEL, SDIST]);
    assert_eq!(ask("==1.0").pinning([WHEEL, SDIST]).name(&there), WHEEL);
    assert_eq!(ask("==1.0").pinning([SDIST]).name(&there), SDIST);
    let rebuilt = [file(LINUX).rebuilt(), file(WHEEL)];
    assert_eq!(ask("==1.0").pinning([LINUX, WHEEL]).name(&rebuilt), WHEEL);
}

#[test]
fn the_best_tag_is_chosen_whatever_the_order() {
    let best_first = [NEWER_LINUX, LINUX, ABI3, WHEEL, SDIST];
    for start in 0..best_first.len() {
        let mut there: Vec<IndexFile> =
            best_first[start..].iter().copied().chain([MUSL, WINDOWS]).map(file).collect();
        let asked = ask("==1.0").pinning(best_first).pinning([MUSL, WINDOWS]);
        assert_eq!(asked.name(&there), best_first[start]);
        there.reverse();
        assert_eq!(asked.name(&there), best_first[start]);
    }
}

#[test]
fn of_equal_tags_the_highest_build_number_is_chosen_as_a_number() {
    let builds = [
        "demo-1.0-py3-none-any.whl",
        "demo-1.0-2-py3-none-any.whl",
        "demo-1.0-10-py3-none-any.whl",
        "demo-1.0-10b-py3-none-any.whl",
    ];
    for count in 1..=builds.len() {
        let there: Vec<IndexFile> = builds[..count].iter().copied().map(file).collect();
        assert_eq!(ask("==1.0").pinning(builds).name(&there), builds[count - 1]);
    }
}

#[test]
fn a_build_number_does_not_outweigh_a_better_tag() {
    let there = ["demo-1.0-9-py3-none-any.whl", LINUX];
    assert_eq!(ask("==1.0").pinning(there).name(&files(there)), LINUX);
}

#[test]
fn of_sdists_the_usual_format_is_chosen() {
    let there = ["demo-1.0.zip", "demo-1.0.tar.bz2", SDIST];
    assert_eq!(ask("==1.0").pinning(there).name(&files(there)), SDIST);
    assert_eq!(
        ask("==1.0").pinning(["demo-1.0.tar.bz2", "demo-1.0.zip"]).name(&files(there)),
        "demo-1.0.zip"
    );
}

#[test]
fn an_exact_pin_accepts_other_spellings_and_local_versions_of_its_version() {
    for (pin, name) in [
        ("==1.0", "demo-1.0+cpu-py3-none-any.whl"),
        ("==1.0", "demo-1-py3-none-any.whl"),
        ("==1", "demo-1.0.0.tar.gz"),
        ("==1.0+cpu", "demo-1.0+cpu-py3-none-any.whl"),
        ("==1.0+cpu", "demo-1.0_cpu-py3-none-any.whl"),
        ("==1.0.post1", "demo-1.0-1.tar.gz"),
        ("==1.0rc1", "demo-1.0.RC.1.tar.gz"),
        ("==2!1.0", "demo-2!1.0.tar.gz"),
    ] {
        assert_eq!(ask(pin).pinning([name]).name(&files([name])), name, "{pin}");
    }
}

#[test]
fn an_exact_pin_refuses_other_versions_though_their_digest_is_pinned() {
    for (pin, name) in [
        ("==1.0+cpu", "demo-1.0-py3-none-any.whl"),
        ("==1.0+cpu", "demo-1.0+cu118-py3-none-any.whl"),
        ("==1.0", "demo-1.0.post1.tar.gz"),
        ("==1.0", "demo-1.0rc1.tar.gz"),
        ("==1.0", "demo-1!1.0.tar.gz"),
    ] {
        ask(pin).pinning([name]).report(Kind::Selection, &files([name]));
    }
}

#[test]
fn a_local_version_is_preferred_where_both_are_pinned() {
    let there = ["demo-1.0-py3-none-any.whl", "demo-1.0+cpu-py3-none-any.whl"];
    assert_eq!(ask("==1.0").pinning(there).name(&files(there)), there[1]);
}

#[test]
fn an_arbitrary_pin_compares_text() {
    let asked = |pin: &str, name: &'static str| ask(pin).pinning([name]).choose(&files([name])).is_ok();
    assert!(asked("===1.0-custom-x", "demo-1.0-custom-x.tar.gz"));
    assert!(asked("===1.0RC1", "demo-1.0rc1.tar.gz"));
    assert!(asked("===1.0+cpu", "demo-1.0_cpu-py3-none-any.whl"));
    assert!(!asked("===1.0", "demo-1.0.0.tar.gz"));
    assert!(!asked("===1.0", "demo-1.0+cpu.tar.gz"));
}

#[test]
fn a_range_takes_the_highest_version_and_a_wheel_only_within_it() {
    let there =
        ["demo-1.0-py3-none-any.whl", "demo-1.5.tar.gz", "demo-1.5-py3-none-any.whl", "demo-2.0.tar.gz"];
    assert_eq!(ask(">=1,<2").pinning(there).name(&files(there)), there[2]);
    assert_eq!(ask(">=1").pinning(there).name(&files(there)), there[3]);
    assert_eq!(ask("*").pinning(there).name(&files(there)), there[3]);
}

#[test]
fn pre_releases_come_last_unless_the_pin_asks_for_them() {
    let there = ["demo-1.0.tar.gz", "demo-2.0rc1.tar.gz"];
    for (pin, expected) in [("*", there[0]), (">=1", there[0]), (">=1.0a1", there[1]), ("==2.0rc1", there[1])]
    {
        assert_eq!(ask(pin).pinning(there).name(&files(there)), expected, "{pin}");
    }
    assert_eq!(ask("*").pinning([there[1]]).name(&files(there)), there[1]);
}

#[test]
fn requires_python_excludes_files_and_what_cannot_be_read_excludes_nothing() {
    let admitted = |range: &str, target: &Target| {
        let there = [file(WHEEL).requires(range), file(SDIST)];
        ask("==1.0").pinning([WHEEL, SDIST]).on(target.clone()).name(&there) == WHEEL
    };
    let known = target();
    for range in
        [">=3.8", ">=3.8,<4", "==3.11.*", "==3.11.7", "!=3.0.*", "~=3.11", ">3.6", "", "no range", ">=three"]
    {
        assert!(admitted(range, &known), "{range}");
    }
    for range in [">=3.12", "<3.11", "<3", "!=3.11.7", "==3.10.*", "!=3.11.*", ">=3.11.8"] {
        assert!(!admitted(range, &known), "{range}");
    }
    // The micro version was assumed: it is given the benefit of the doubt.
    let assumed = described("3.11");
    for range in [">=3.11.4", "<3.11.4", "==3.11.2", "!=3.11.40"] {
        assert!(admitted(range, &assumed), "{range}");
    }
    assert!(!admitted("<3.11", &assumed));
}

#[test]
fn a_yanked_file_is_chosen_with_a_warning_when_it_is_pinned() {
    let reason = "breaks\n\x1b[31meverything";
    for (reason, shown) in
        [("", "no reason given"), (" ", "no reason given"), (reason, "breaks  [31meverything")]
    {
        let asked = ask("==1.0").pinning([WHEEL]);
        let warning = format!("{WHEEL} was yanked from the index ({shown}); the lock pins it");
        assert_eq!(asked.chosen(&[file(WHEEL).yanked(reason)]), (WHEEL.to_owned(), vec![warning]));
    }
}

#[test]
fn a_file_that_was_not_yanked_is_preferred_whatever_it_is() {
    let there = [file(WHEEL).yanked(""), file(SDIST)];
    assert_eq!(ask("==1.0").pinning([WHEEL, SDIST]).name(&there), SDIST);
    let there = [file("demo-2.0.tar.gz").yanked(""), file(SDIST)];
    assert_eq!(ask("*").pinning(["demo-2.0.tar.gz", SDIST]).name(&there), SDIST);
}

#[test]
fn no_binary_takes_the_sdist_and_only_binary_the_wheel() {
    let there = files([SDIST, WHEEL]);
    let asked = ask("==1.0").pinning([SDIST, WHEEL]);
    assert_eq!(asked.clone().no_binary().name(&there), SDIST);
    assert_eq!(asked.clone().only_binary().name(&there), WHEEL);
    asked.clone().no_binary().report(Kind::Selection, &files([WHEEL]));
    asked.only_binary().report(Kind::Selection, &files([SDIST]));
}

#[test]
fn digests_are_wanted_best_first_and_only_of_files_that_could_be_used() {
    let there = files([SDIST, WINDOWS, WHEEL, LINUX, "demo-2.0.tar.gz", "other-1.0.tar.gz"]);
    let there: Vec<IndexFile> = there.into_iter().map(IndexFile::unhashed).collect();
    let asked = ask("==1.0").pinning([SDIST]);
    assert_eq!(asked.wanted(&there), [LINUX, WHEEL, SDIST]);
    assert_eq!(asked.no_binary().wanted(&there), [SDIST]);
}

#[test]
fn digests_are_wanted_only_of_files_better_than_the_best_known_one() {
    let there = [file(LINUX).unhashed(), file(WHEEL), file(SDIST).unhashed()];
    assert_eq!(ask("==1.0").pinning([WHEEL, SDIST]).wanted(&there), [LINUX]);
    let there = [file(LINUX), file(WHEEL).unhashed(), file(SDIST).unhashed()];
    assert_eq!(ask("==1.0").pinning([LINUX, SDIST]).name(&there), LINUX);
}

#[test]
fn digests_that_were_found_out_decide() {
    let mut there = files([LINUX, WHEEL, SDIST]).into_iter().map(IndexFile::unhashed).collect::<Vec<_>>();
    let asked = ask("==1.0").pinning([WHEEL]);
    assert_eq!(asked.wanted(&there), [LINUX, WHEEL, SDIST]);
    fill_digests(&mut there, &files([LINUX, WHEEL]));
    assert_eq!(asked.name(&there), WHEEL);
}

#[test]
fn without_hashes_the_best_file_is_taken_when_that_is_allowed() {
    let there = [file(WHEEL).unhashed(), file(SDIST)];
    assert_eq!(ask("==1.0").allow_unhashed().name(&there), WHEEL);
    // What is allowed is to go without: hashes that are there count.
    assert_eq!(ask("==1.0").allow_unhashed().pinning([SDIST]).wanted(&there), [WHEEL]);
}

#[test]
fn empty_parts_of_requires_python_do_not_make_it_unreadable() {
    for range in [">=3.12,", ",>=3.12", ">=3.12, ,<4"] {
        let there = [file(WHEEL).requires(range), file(SDIST)];
        assert_eq!(ask("==1.0").pinning([WHEEL, SDIST]).name(&there), SDIST, "{range}");
    }
}

#[test]
fn excluding_a_pre_release_does_not_ask_for_pre_releases() {
    let there = ["demo-1.0.tar.gz", "demo-2.0rc2.tar.gz"];
    assert_eq!(ask(">=1,!=2.0rc1").pinning(there).name(&files(there)), there[0]);
}

#[test]
fn files_listed_twice_with_other_words_are_told_apart_in_any_order() {
    let plain = file(WHEEL).yanked("a");
    for other in [
        file(WHEEL).yanked("b"),
        file(WHEEL).yanked("a").requires(">=3"),
        IndexFile { size: Some(1), ..plain.clone() },
    ] {
        let asked = ask("==1.0").pinning([WHEEL]);
        let (one, two) = ([plain.clone(), other.clone()], [other, plain.clone()]);
        assert_eq!(asked.answer(&one), asked.answer(&two));
    }
}

#[test]
fn an_sdist_of_a_package_whose_name_begins_alike_is_not_any_version() {
    let there = ["demo-extra-1.0.tar.gz"];
    ask("*").pinning(there).report(Kind::Selection, &files(there));
    assert_eq!(ask("*").named("demo-extra").pinning(there).name(&files(there)), there[0]);
}

#[test]
fn a_yanked_file_that_nothing_pins_is_refused() {
    let yanked = file("demo-2.0.tar.gz").yanked("broken");
    for pin in ["*", ">=1", "==2.*"] {
        let asked = ask(pin).allow_unhashed();
        asked.report(Kind::Selection, std::slice::from_ref(&yanked));
        // A digest is a pin as well.
        assert_eq!(ask(pin).pinning(["demo-2.0.tar.gz"]).chosen(std::slice::from_ref(&yanked)).1.len(), 1);
    }
    for pin in ["==2.0", "===2.0"] {
        assert_eq!(ask(pin).allow_unhashed().chosen(std::slice::from_ref(&yanked)).1.len(), 1);
    }
}
