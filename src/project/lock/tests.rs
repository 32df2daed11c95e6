//! Locks as they are found, as bytes.

use super::*;
use crate::words::{
    env::Env,
    error::{Kind, Result},
};

fn parse(text: &str) -> Result<Lock> {
    let env = Env::of([("TOKEN", "canary:s3cr@t"), ("GROUP", "team")]);
    Lock::parse(text.as_bytes(), "Pipfile.lock", &env).map(|(lock, _)| lock)
}

/// The entry that `fields` describe, in an otherwise empty lock.
fn entry(fields: &str) -> Entry {
    let lock = parse(&format!(r#"{{"_meta": {{}}, "default": {{"Some.Name": {fields}}}}}"#)).expect(fields);
    lock.categories[0].1[0].clone()
}

/// What is wrong with the entry that `fields` describe.
fn report(fields: &str) -> String {
    let text = format!(r#"{{"_meta": {{}}, "default": {{"some-name": {fields}}}}}"#);
    parse(&text).expect_err(fields).report()
}

const DIGEST: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

fn vcs(fields: &str) -> Vcs {
    match entry(fields).origin {
        EntryOrigin::Vcs(vcs) => *vcs,
        other => panic!("{fields}: {other:?}"),
    }
}

#[test]
fn a_plain_entry_is_read() {
    let entry = entry(&format!(
        r#"{{"hashes": ["sha256:{DIGEST}", "SHA256:{}", "md5:00"], "index": "main", "version": "==1.0+cpu",
            "extras": ["b,A_c"], "markers": "python_version >= '3.8'"}}"#,
        DIGEST.to_uppercase()
    ));
    assert_eq!((entry.name.as_str(), &*entry.written), ("some-name", "Some.Name"));
    assert_eq!(entry.pin, Pin::Exact("1.0+cpu".parse().expect("a version")));
    assert_eq!((entry.hashes.sha256.len(), entry.hashes.other.as_slice()), (1, &["md5:00".to_owned()][..]));
    assert_eq!(entry.index.as_deref(), Some("main"));
    let extras: Vec<&str> = entry.extras.iter().map(crate::words::vocab::PackageName::as_str).collect();
    assert_eq!(extras, ["b", "a-c"]);
    assert!(entry.marker.is_some() && entry.origin == EntryOrigin::Index && !entry.editable);
}

#[test]
fn early_spellings_of_hashes_and_markers_count() {
    let entry = entry(&format!(
        r#"{{"hash": "sha256:{DIGEST}", "marker": "os_name == 'posix'", "version": "==1", "markers": null}}"#
    ));
    assert_eq!(entry.hashes.sha256.len(), 1);
    assert_eq!(entry.marker.expect("a marker").to_string(), "os_name == \"posix\"");
}

#[test]
fn marker_keys_beside_an_entry_are_joined() {
    let entry =
        entry(r#"{"version": "==1", "markers": "python_version < '4'", "sys_platform": "== 'win32'"}"#);
    let text = entry.marker.expect("a marker").to_string();
    assert!(
        text.contains("python_version") && text.contains(" and ") && text.contains("sys_platform"),
        "{text}"
    );
}

#[test]
fn os_markers_and_empty_extras_are_read_as_pipenv_reads_them() {
    let entry = entry(r#"{"version": "==1", "os_markers": "sys_platform == 'win32'", "extras": ["a,", ""]}"#);
    assert_eq!(entry.marker.expect("a marker").to_string(), "sys_platform == \"win32\"");
    assert_eq!(entry.extras.len(), 1);
}

#[test]
fn versions_of_every_shape_are_read() {
    for (text, expected) in [
        ("\"==1.0\"", "Exact"),
        ("\"===1.0-odd\"", "Arbitrary"),
        ("\"*\"", "Any"),
        ("\"\"", "Any"),
        ("null", "Any"),
        ("\">=1,<2\"", "Range"),
        ("\"==1.*\"", "Range"),
        ("\"1.0\"", "Exact"),
    ] {
        let pin = format!("{:?}", entry(&format!(r#"{{"version": {text}}}"#)).pin);
        assert!(pin.starts_with(expected), "{text}: {pin}");
    }
    assert_eq!(entry("\"*\"").pin, Pin::Any);
    assert!(report(r#"{"version": "=== "}"#).contains("expected a version after ==="));
}

#[test]
fn repositories_of_every_spelling_are_read() {
    let found =
        vcs(r#"{"git": "git+https://git.example/a/b.git@v1#egg=b&subdirectory=x/y", "editable": true}"#);
    assert_eq!(found.url.to_string(), "https://git.example/a/b.git");
    assert_eq!(found.reference.as_deref(), Some("v1"));
    assert_eq!(found.subdirectory.expect("a directory").as_str(), "x/y");

    let found =
        vcs(r#"{"git": "git@git.example:a/b.git", "ref": "abc", "file": "https://x.example/ignored"}"#);
    assert_eq!(
        (found.url.to_string().as_str(), found.reference.as_deref()),
        ("ssh://git.example/a/b.git", Some("abc"))
    );
    assert_eq!(found.url.credentials().expect("a user").basic().0, "git");

    let found = vcs(r#"{"git": "ssh://git@git.example/a.git", "ref": null, "subdirectory": "."}"#);
    assert_eq!((found.reference, found.subdirectory), (None, None));

    assert_eq!(vcs(r#"{"hg": "https://hg.example/a"}"#).kind, VcsKind::Hg);
    assert_eq!(vcs(r#"{"path": "git+file:///repo"}"#).url.to_string(), "file:///repo");
}

#[test]
fn secrets_in_a_repositorys_url_are_kept_apart() {
    let entry = entry(r#"{"git": "https://${TOKEN}@git.example/${GROUP}/b.git", "ref": "abc"}"#);
    assert!(!format!("{entry:?}").contains("s3cr"), "{entry:?}");
    let EntryOrigin::Vcs(vcs) = entry.origin else { panic!("no repository") };
    assert_eq!(vcs.url.to_string(), "https://git.example/team/b.git");
    assert_eq!(vcs.url.credentials().expect("credentials").password.expose(), "s3cr@t");
}

#[test]
fn files_and_paths_are_read() {
    for (fields, expected) in [
        (r#"{"path": "."}"#, "."),
        (r#"{"path": "../sibling", "editable": true}"#, "../sibling"),
        (r#"{"file": "./a%20b.whl"}"#, "./a%20b.whl"),
        (r#"{"file": "file:///srv/a%20b.whl"}"#, "/srv/a b.whl"),
        (r#"{"file": "/srv/x"}"#, "/srv/x"),
        (r#"{"file": "file:./x"}"#, "./x"),
    ] {
        assert_eq!(entry(fields).origin, EntryOrigin::Path(expected.into()), "{fields}");
    }
    let entry =
        entry(&format!(r#"{{"file": "https://files.example/a-1-py3-none-any.whl#sha256={DIGEST}"}}"#));
    assert_eq!(entry.hashes.sha256.len(), 1);
    assert!(
        matches!(entry.origin, EntryOrigin::Url(url) if url.to_string() == "https://files.example/a-1-py3-none-any.whl")
    );
}

#[test]
fn a_reference_may_stand_in_the_url() {
    for (url, path, reference) in [
        ("https://git.example/a.git@feature/x", "/a.git", Some("feature/x")),
        ("https://git.example/a.git@v1%2B2", "/a.git", Some("v1+2")),
        ("https://git.example/@scope/a.git", "/@scope/a.git", None),
        ("https://git.example/@scope/a@v1", "/@scope/a", Some("v1")),
        ("https://git.example/a@b/c.git", "/a@b/c.git", None),
        ("git+git@git.example:a/b.git@v1", "/a/b.git", Some("v1")),
    ] {
        let found = vcs(&format!(r#"{{"git": "{url}"}}"#));
        assert_eq!((found.url.url().path(), found.reference.as_deref()), (path, reference), "{url}");
    }
    assert!(report(r#"{"git": "https://git.example/a.git@"}"#).contains("without a commit, branch or tag"));
}

#[test]
fn a_repository_on_disk_is_an_absolute_path() {
    assert_eq!(vcs(r#"{"git": "/srv/a b.git@v1"}"#).url.to_string(), "file:///srv/a%20b.git");
    for url in ["", "../repo", "./repo", "repo", "file:../repo", "C:/repo"] {
        let report = report(&format!(r#"{{"git": "{url}"}}"#));
        assert_eq!(
            report,
            "Pipfile.lock cannot be used\n  because: some-name [default] is wrong\n  \
             because: its repository is neither a URL nor an absolute path\n  \
             help: expected something like https://host.example/group/project.git or file:///srv/project.git",
            "{url}"
        );
    }
}

#[test]
fn a_subdirectory_stays_inside_its_repository() {
    for (text, expected) in [("./client", "client"), ("/a//b/", "a/b")] {
        let found = vcs(&format!(r#"{{"git": "https://git.example/a.git", "subdirectory": "{text}"}}"#));
        assert_eq!(found.subdirectory.expect(text).as_str(), expected);
    }
    let found = vcs(r#"{"git": "https://git.example/a.git#egg=a&subdirectory=b%20c"}"#);
    assert_eq!(found.subdirectory.expect("a directory").as_str(), "b c");
    let error = parse(
        r#"{"_meta": {}, "default": {"a": {"git": "https://git.example/a.git", "subdirectory": "x/../../y"}}}"#,
    )
    .expect_err("outside");
    assert_eq!(error.kind(), Kind::Lock);
    assert!(error.report().contains("its subdirectory is wrong"), "{}", error.report());
}

#[test]
fn file_urls_are_expanded_and_lose_their_fragment() {
    for (text, expected) in [
        ("file:///srv/${GROUP}/a%20b.whl#egg=a", "/srv/team/a b.whl"),
        ("file://localhost/srv/a", "/srv/a"),
        ("FILE:///srv/a?x=1", "/srv/a"),
        ("file:./a%20b#egg=a", "./a b"),
        ("./${GROUP}/a", "./team/a"),
    ] {
        assert_eq!(
            entry(&format!(r#"{{"file": "{text}"}}"#)).origin,
            EntryOrigin::Path(expected.into()),
            "{text}"
        );
    }
    assert_eq!(entry(&format!(r#"{{"file": "file:///a.whl#sha256={DIGEST}"}}"#)).hashes.sha256.len(), 1);
    assert!(report(r#"{"file": "file:///${NOT_SET}/a"}"#).contains("the variable NOT_SET is not set"));
    let remote = report(r#"{"file": "file://u:canary@files.example/a.whl"}"#);
    assert!(remote.contains("its file: URL names a host") && !remote.contains("canary"), "{remote}");
    for text in ["file:", "file://", "file:///a%00b", "file:///%ff"] {
        let report = report(&format!(r#"{{"file": "{text}"}}"#));
        assert!(report.contains("its file: URL has no usable path"), "{text}: {report}");
    }
}

#[test]
fn the_scheme_of_a_file_decides() {
    let env = Env::of([("WHEELS", "https://files.example/w")]);
    for text in ["HTTPS://files.example/w/a.whl", "${WHEELS}/a.whl"] {
        let lock = format!(r#"{{"_meta": {{}}, "default": {{"a": {{"file": "{text}"}}}}}}"#);
        let (lock, _) = Lock::parse(lock.as_bytes(), "Pipfile.lock", &env).expect(text);
        let EntryOrigin::Url(url) = &lock.categories[0].1[0].origin else { panic!("{text} is no URL") };
        assert_eq!(url.to_string(), "https://files.example/w/a.whl");
    }
    let other = report(r#"{"file": "s3://bucket/a.whl"}"#);
    assert!(other.contains("begins with s3://; expected https://, file:/// or a path"), "{other}");
}

#[test]
fn every_wrong_entry_is_named_with_its_category() {
    let error = parse(
        r#"{"_meta": {"sources": "x"}, "default": {"a": 1, "b": {"version": "==one"}, "c": {"version": "==1"}},
            "docs": {"d": {"hashes": [1]}, "-": {}, "e": {"markers": "python_version ~~ 3"}}, "tests": []}"#,
    )
    .expect_err("wrong");
    assert_eq!(error.kind(), Kind::Lock);
    let report = error.report();
    for part in [
        "_meta.sources is a string, expected a list",
        "a [default] is wrong\n",
        "it is a number, expected an object",
        "b [default] is wrong\n",
        "version \"==one\" cannot be read; expected something like ==1.0 (PEP 440)",
        "d [docs] is wrong\n",
        "hashes holds a number, expected strings",
        "- [docs] is wrong\n",
        "e [docs] is wrong\n",
        "tests is a list, expected an object of packages",
    ] {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
    assert!(!report.contains("c [default]"), "{report}");
}

#[test]
fn a_wrong_hash_is_named() {
    assert_eq!(
        report(r#"{"version": "==1", "hashes": ["sha256:12"]}"#).lines().take(3).collect::<Vec<_>>(),
        [
            "Pipfile.lock cannot be used",
            "  because: some-name [default] is wrong",
            "  because: hash \"sha256:12\" is not sha256 and 64 hexadecimal digits",
        ]
    );
    assert!(report(r#"{"hashes": ["abc"]}"#).contains("does not name its algorithm"));
}

#[test]
fn damage_is_told_apart() {
    let report =
        |text: &[u8]| Lock::parse(text, "Pipfile.lock", &Env::default()).expect_err("damaged").report();
    let restore = "\n  help: restore it from version control, or make it anew with `pipenv lock`";
    assert_eq!(report(b" \n"), format!("Pipfile.lock is empty{restore}"));
    assert_eq!(
        report(b"{\n\"_meta\": {},\n<<<<<<< HEAD\n}"),
        "Pipfile.lock has a merge conflict in line 3\n  \
         help: resolve the conflict in the Pipfile, then make the lock anew with `pipenv lock`"
    );
    assert_eq!(
        report(b"{\n\0}"),
        format!("Pipfile.lock is damaged: a zero byte in line 2; expected text in UTF-8{restore}")
    );
    assert_eq!(report(b"{\n\xff}"), format!("Pipfile.lock is damaged: line 2 is not UTF-8{restore}"));
    assert_eq!(
        report(b"{\"default\": {"),
        format!("Pipfile.lock is not JSON: it ends too early (the file seems to be cut short){restore}")
    );
    assert!(report(b"{\"a\": \"\x01\"}").contains("control character"), "{}", report(b"{\"a\": \"\x01\"}"));
    assert_eq!(
        report(b"{\n  \"a\": \"b\r\nc\"}"),
        format!(
            "Pipfile.lock is not JSON: control character (\\u0000-\\u001F) found while parsing a string in line 2, column 10{restore}"
        )
    );
    assert_eq!(
        report(b"{\n  \"a\": \"b\nc\"}"),
        format!("Pipfile.lock is not JSON: a string is broken off in line 2, after column 9{restore}")
    );
    assert!(report(b"[]").starts_with("Pipfile.lock is not a lock: it holds a list, expected an object"));
    assert!(report(b"{\"_meta\": {}}").contains("neither \"default\" nor any other category"));
}

#[test]
fn carriage_returns_and_a_byte_order_mark_do_no_harm() {
    let text = b"\xef\xbb\xbf{\r\n\"_meta\": {},\r\n\"default\": {}\r\n}\r\n";
    assert!(Lock::parse(text, "Pipfile.lock", &Env::default()).is_ok());
}

#[test]
fn meta_is_read() {
    let lock = parse(
        r#"{"_meta": {"hash": {"sha256": "abc"}, "requires": {"python_version": "3.9"}, "sources": [
            {"name": "a", "url": "https://${TOKEN}@index.example/simple", "verify_ssl": false},
            {"url": "https://${NOT_SET:-index.example}/b"}]}, "develop": {}, "zeta": {}, "default": {}}"#,
    )
    .expect("a lock");
    assert_eq!((lock.hash.as_deref(), lock.requires.describe()), (Some("abc"), Some("3.9")));
    assert!(!lock.sources[0].verify_ssl && lock.sources[1].verify_ssl);
    assert_eq!(lock.sources[1].url().expect("a URL").to_string(), "https://index.example/b");
    let names: Vec<&str> = lock.categories.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["default", "develop", "zeta"]);
}

#[test]
fn of_a_key_that_is_there_twice_the_later_counts_as_in_python() {
    let lock = parse(
        r#"{"_meta": {}, "default": {"x": {}}, "default": {"b": {"version": "==1"}, "a": 1, "b": {"version": "==2"},
            "a": {"version": "==3"}}}"#,
    )
    .expect("a lock");
    let entries: Vec<String> =
        lock.categories[0].1.iter().map(|entry| format!("{}{}", entry.written, entry.pin)).collect();
    assert_eq!((lock.categories.len(), entries), (1, vec!["b==2".to_owned(), "a==3".to_owned()]));
}

/// Once the time for each digest grew with their number: 80,000 took 5.5 s in a release build.
#[test]
fn an_entry_with_very_many_hashes_is_read_at_once() {
    let digests: Vec<String> = (0..200_000).map(|at| format!("\"sha256:{at:064x}\"")).collect();
    let start = std::time::Instant::now();
    let entry = entry(&format!(r#"{{"version": "==1", "hashes": [{0},{0}]}}"#, digests.join(",")));
    assert_eq!(entry.hashes.sha256.len(), digests.len());
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

mod hostile {
    use proptest::prelude::*;

    use super::*;
    use crate::project::{
        lock::{Choose, Pipfile, parse_pylock, select},
        python::Description,
    };

    /// Values that stand in locks, and others in their place.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            prop::sample::select(vec![
                "==1.0",
                "===1.0RC1",
                "*",
                ">=1,<2",
                "python_version < '3'",
                "((((os_name == 'nt'))))",
                "'dev' in dependency_groups",
                "git+https://u:p@h.example/a.git@v1#egg=a",
                "git@h.example:a/b.git",
                "./a",
                "file:///a%00b",
                "https://h.example/a-1-py3-none-any.whl#sha256=00",
                "${UNSET}",
                "sha256:00",
                "a,b",
                "\u{202e}\0",
            ])
            .prop_map(Into::into),
            "\\PC{0,12}".prop_map(Into::into),
        ];
        let key = prop::sample::select(vec![
            "version",
            "hashes",
            "hash",
            "markers",
            "sys_platform",
            "index",
            "git",
            "ref",
            "subdirectory",
            "file",
            "path",
            "editable",
            "extras",
            "pip_args",
            "sources",
            "requires",
            "name",
            "url",
            "python_version",
            "a",
            "A_b",
            "a.b",
        ]);
        leaf.prop_recursive(3, 24, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::vec((key.clone(), inner), 0..5).prop_map(|fields| {
                    fields
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), value))
                        .collect::<serde_json::Map<_, _>>()
                        .into()
                }),
            ]
        })
    }

    proptest! {
        /// Whatever stands in a lock, it is read or refused with a reason, and what is read can be selected from.
        #[test]
        fn any_lock_is_read_or_refused(meta in value(), default in value(), develop in value()) {
            let text = serde_json::json!({"_meta": meta, "default": default, "develop": develop}).to_string();
            let lock = match Lock::parse(text.as_bytes(), "Pipfile.lock", &Env::default()) {
                Ok((lock, _)) => lock,
                Err(error) => {
                    prop_assert!(!error.report().is_empty());
                    Lock::glance(text.as_bytes(), "Pipfile.lock", &Env::default()).expect("an object")
                }
            };
            let home = std::path::Path::new("/usr/bin");
            let target = Description { python_version: "3.11.7", platform: "linux/amd64", python_home: home };
            let categories: Vec<String> = lock.categories.iter().map(|(name, _)| name.clone()).collect();
            let choose = Choose { categories: &categories, ..Choose::default() };
            let selection = select(&lock, choose, &target.target().expect("a target").markers).expect("known");
            let mut names: Vec<_> = selection.entries.iter().map(|entry| &entry.name).collect();
            names.sort();
            prop_assert!(names.array_windows().all(|[a, b]| a != b), "one entry for each package");
        }

        /// Damage is told, never met with a panic: of a lock, of a Pipfile, of a `pylock.toml`.
        #[test]
        fn any_bytes_are_read_or_refused(
            text in r#"([\[\]{}="',:\\\n#.]|default|packages|_meta|source|hashes|wheels|'''|\PC){0,60}"#,
            cut in 0..200_usize,
        ) {
            let whole = r#"{"_meta": {"sources": []}, "default": {"a": {"version": "==1", "markers": "os_name == 'nt'"}}}"#;
            let end = whole.len().min(cut);
            for bytes in [text.as_bytes(), &[&whole.as_bytes()[..end], text.as_bytes()].concat()] {
                let _ = Lock::parse(bytes, "Pipfile.lock", &Env::default());
                let _ = Pipfile::parse(bytes, "Pipfile", &Env::default());
                let _ = parse_pylock(bytes, "pylock.toml", &Env::default());
            }
        }
    }
}
