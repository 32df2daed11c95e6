//! What stands in `.dist-info`: RECORD and entry points.

use super::*;

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
    let digest = crate::packages::wheel::testing::record_digest(b"x = 1\n");
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
    let other = crate::packages::wheel::testing::record_digest(b"something else\n");
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
    let other = crate::packages::wheel::testing::record_digest(b"y = 2\n");
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
