//! What nobody sane would serve: nothing panics, and no name leads elsewhere.

use proptest::{prelude::*, sample::select};

use super::*;

fn assert_safe(files: &[IndexFile]) {
    for file in files {
        let name = &file.filename;
        assert!(!name.is_empty() && name != "." && !name.contains(".."), "{name:?}");
        assert!(!name.contains(['/', '\\']) && !name.chars().any(char::is_control), "{name:?}");
        assert!(matches!(file.url.scheme(), "http" | "https"), "{}", file.url);
        assert!(file.url.username().is_empty() && file.url.password().is_none(), "{}", file.url);
        assert_eq!(file.url.fragment(), None);
    }
}

fn parse(content_type: Option<&str>, body: &[u8]) {
    match parse_page(content_type, body, &url(PAGE)) {
        Ok(files) => assert_safe(&files),
        Err(error) => {
            let report = error.report();
            assert!(!report.contains(|c: char| c.is_control() && c != '\n'), "{report:?}");
        }
    }
}

/// Pieces of which links and names are made, and what attackers put between them.
fn link() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(vec![
            "demo-1.0",
            ".tar.gz",
            ".whl",
            "-py3-none-any",
            "/",
            "\\",
            "..",
            "%2f",
            "%2F",
            "%5c",
            "%2e%2e",
            "%252f",
            "%00",
            "%0a",
            "%1b",
            "%c2%9b",
            "%ff",
            "%",
            "\0",
            "\n",
            "\t",
            "\x1b",
            "\u{9b}",
            "\u{202e}",
            "?",
            "#",
            "sha256=",
            SHA,
            "egg=",
            "&amp;",
            "&",
            "@",
            ":",
            "//",
            "file:///",
            "https://u:p@evil.example/",
            "javascript:",
            "data:",
            "\"",
            "'",
            "<",
            ">",
            "&#0;",
            "&#x2f;",
            "&NewLine;",
            "+",
            " ",
            "é",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,3}",
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn markup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        (link(), link())
            .prop_map(|(href, other)| format!("<a href=\"{href}\" data-yanked=\"{other}\">x</a>")),
        link().prop_map(|href| format!("<base href=\"{href}\">")),
        link().prop_map(|text| format!("<title>{text}</title>")),
        link().prop_map(|text| format!("<meta name=\"pypi:repository-version\" content=\"1{text}\">")),
        link().prop_map(|text| format!("<meta charset=\"{text}\">")),
        link(),
        select(vec!["<!--", "-->", "<script>", "</script>", "<form>", "<![CDATA[", "<a", "</"])
            .prop_map(str::to_owned),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn object() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof![
        link().prop_map(serde_json::Value::from),
        select(vec![
            serde_json::Value::Null,
            serde_json::json!(7),
            serde_json::json!({"sha256": SHA}),
            serde_json::json!(["x"]),
        ])
    ];
    let keys = select(vec!["filename", "url", "hashes", "requires-python", "yanked", "size", "x"]);
    proptest::collection::vec((keys, text), 0..6)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Files as they might be listed: every way in which two of them can differ.
fn any_file() -> impl Strategy<Value = IndexFile> {
    let name = select(vec![
        WHEEL,
        SDIST,
        "demo-1.0.zip",
        "demo-1.0-2-py3-none-any.whl",
        "demo-1.0+cpu-py3-none-any.whl",
        "demo-1.0-cp311-cp311-manylinux_2_17_x86_64.whl",
        "demo-1.0-cp311-cp311-win_amd64.whl",
        "demo-1.0-cp310-cp310-manylinux_2_17_x86_64.whl",
        "demo-2.0rc1.tar.gz",
        "demo-x-1.0.tar.gz",
        "other-1.0-py3-none-any.whl",
        "demo-1.0.egg",
    ]);
    let digest = select(vec![None, Some("pinned"), Some("other"), Some("pinned as well")]);
    let yanked = select(vec![None, Some(""), Some("bad")]);
    let requires = select(vec![None, Some(">=3"), Some(">=3.12")]);
    (name, digest, yanked, requires, select(vec!["https://a.example/", "https://b.example/"]), 0..2_u64)
        .prop_map(|(name, digest, yanked, requires, host, size)| IndexFile {
            filename: name.to_owned(),
            url: url(host),
            sha256: digest.map(|text| Sha256::of(text.as_bytes())),
            requires_python: requires.map(str::to_owned),
            yanked: yanked.map(str::to_owned),
            size: Some(size),
        })
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let pin = select(vec!["==1.0", "===1.0", ">=1", ">=1.0a1,!=1.5", "*", "==9"]);
    (pin, any::<[bool; 4]>()).prop_map(|(pin, [hashed, no_binary, only_binary, unhashed])| {
        let asked = if hashed { ask(pin).pinning(["pinned", "pinned as well"]) } else { ask(pin) };
        Ask { no_binary, only_binary, allow_unhashed: unhashed, ..asked }
    })
}

fn outcome(ask: &Ask, files: &[IndexFile]) -> Result<Choice, String> {
    ask.choose(files).map_err(|error| error.report())
}

proptest! {
    #[test]
    fn any_bytes_are_a_safe_list_or_an_error(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        content_type in prop_oneof![
            select(vec!["text/html", "application/json", "text/html; charset=utf-16le"]).prop_map(str::to_owned),
            "\\PC{0,20}",
        ],
    ) {
        parse(Some(&content_type), &body);
        parse(None, &body);
    }

    #[test]
    fn any_markup_is_a_safe_list_or_an_error(body in markup()) {
        parse(Some("text/html"), body.as_bytes());
        parse(None, body.as_bytes());
    }

    #[test]
    fn any_objects_are_a_safe_list_or_an_error(files in proptest::collection::vec(object(), 0..5)) {
        let body = serde_json::json!({"meta": {"api-version": "1.0"}, "files": files});
        parse(Some("application/json"), body.to_string().as_bytes());
    }

    #[test]
    fn any_file_name_is_read_or_refused_with_a_printable_reason(name in link(), names in any::<bool>()) {
        let name = if names { format!("demo-{name}.tar.gz") } else { name };
        let listing = [(name.clone(), 1, url("https://files.example/x"))];
        let listed = find_links(&listing);
        assert_safe(&listed);
        if let Some(sdist) = SdistName::parse(&name, &"demo".parse().expect("a name")) {
            prop_assert!(name.contains(&sdist.written));
        }
        for asked in [ask("*").allow_unhashed(), ask("==1.0").pinning(["x"])] {
            if let Err(report) = outcome(&asked, &listed) {
                prop_assert!(!report.contains(|c: char| c.is_control() && c != '\n'), "{:?}", report);
            }
        }
    }

    #[test]
    fn the_choice_does_not_depend_on_the_order(
        (files, shuffled) in proptest::collection::vec(any_file(), 0..6)
            .prop_flat_map(|files| (Just(files.clone()), Just(files).prop_shuffle())),
        asked in any_ask(),
    ) {
        prop_assert_eq!(outcome(&asked, &files), outcome(&asked, &shuffled));
    }

    #[test]
    fn what_is_chosen_was_listed_and_is_pinned(
        files in proptest::collection::vec(any_file(), 0..6),
        asked in any_ask(),
    ) {
        if let Ok(Choice::Wheel { file, .. } | Choice::Sdist { file, .. }) = asked.choose(&files) {
            prop_assert!(files.contains(&file));
            let pinned = file.sha256.is_some_and(|digest| asked.hashes.sha256.contains(&digest));
            prop_assert!(pinned || asked.hashes.sha256.is_empty() && asked.allow_unhashed);
            let is_wheel = !file.filename.contains(".tar") && !file.filename.contains(".zip");
            let excluded = if is_wheel { asked.no_binary } else { asked.only_binary };
            prop_assert!(!excluded);
        }
    }

    #[test]
    fn finding_digests_out_leads_to_the_choice_an_index_with_digests_gives(
        truth in proptest::collection::vec(any_file(), 0..6),
        hidden in any::<[bool; 6]>(),
        asked in any_ask(),
    ) {
        let truth: Vec<IndexFile> = truth
            .into_iter()
            .enumerate()
            .map(|(at, file)| IndexFile {
                sha256: file.sha256.or(Some(Sha256::of(b"other"))),
                url: url(&format!("https://files.example/{at}")),
                ..file
            })
            .collect();
        let hide = |(file, hidden): (&IndexFile, bool)| if hidden { file.clone().unhashed() } else { file.clone() };
        let mut files: Vec<IndexFile> = truth.iter().zip(hidden).map(hide).collect();
        for _ in 0..=files.len() {
            let Ok(Choice::NeedDigests(wanted)) = asked.choose(&files) else { break };
            let found: Vec<IndexFile> = truth
                .iter()
                .filter(|file| wanted.iter().any(|one| one.url == file.url))
                .cloned()
                .collect();
            fill_digests(&mut files, &found);
        }
        if !asked.hashes.sha256.is_empty() {
            // Of several that bear the chosen name, one whose digest is known saves a download.
            let name = |files: &[IndexFile]| match asked.choose(files) {
                Ok(Choice::Wheel { file, .. } | Choice::Sdist { file, .. }) => Some(file.filename),
                Ok(Choice::NeedDigests(wanted)) => panic!("{wanted:?}"),
                Err(_) => None,
            };
            prop_assert_eq!(name(&files), name(&truth));
        }
    }
}
