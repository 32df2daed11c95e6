use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Environment {
    #[serde(flatten)]
    values: MarkerEnv,
    extras: Vec<String>,
    dependency_groups: Vec<String>,
}

impl Environment {
    fn holds(&self, marker: &Marker) -> bool {
        let extras: Vec<Extra> = self.extras.iter().map(|extra| extra.parse().expect(extra)).collect();
        let groups: Vec<&str> = self.dependency_groups.iter().map(String::as_str).collect();
        marker.evaluate(&self.values, &extras, &groups)
    }
}

#[derive(Deserialize)]
struct Expected {
    environments: Vec<Environment>,
    markers: std::collections::BTreeMap<String, Vec<String>>,
}

/// What `packaging` answers (made by `tests/expected/markers.py`).
fn expected() -> Expected {
    serde_json::from_str(include_str!("expected.json")).expect("the expected answers")
}

fn parse(text: &str) -> Marker {
    Marker::parse(text).unwrap_or_else(|error| panic!("{}", error.report()))
}

#[test]
fn thousands_of_markers_mean_what_packaging_says() {
    let expected = expected();
    let mut wrong = Vec::new();
    let mut compared = 0;
    for (answers, markers) in &expected.markers {
        for text in markers {
            let parsed = Marker::parse(text);
            if answers == "invalid" {
                if let Ok(marker) = parsed {
                    wrong.push(format!("{text:?} is invalid, got {marker}"));
                }
                continue;
            }
            match parsed {
                // What never can be evaluated may be refused when it is read.
                Err(error) if answers.bytes().any(|answer| answer != b'E') => wrong.push(error.report()),
                Err(_) => {}
                Ok(marker) => {
                    let printed = marker.to_string();
                    assert_eq!(parse(&printed), marker, "{text:?} printed as {printed}");
                    for (env, answer) in expected.environments.iter().zip(answers.bytes()) {
                        compared += 1;
                        let got = env.holds(&marker);
                        if answer != b'E' && got != (answer == b'1') {
                            let version = &env.values.python_full_version;
                            wrong.push(format!("{text:?} on {version}: got {got}"));
                        }
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 10_000, "only {compared} comparisons were made");
}

#[test]
fn a_marker_prints_in_canonical_form() {
    for (text, printed) in [
        ("python_version>='3.8'and(os.name=='posix')", r#"python_version >= "3.8" and os_name == "posix""#),
        (
            "(extra=='A_B' or 'x' in extras) and '3'<=python_version",
            r#"(extra == "a-b" or "x" in extras) and "3" <= python_version"#,
        ),
        (r#"platform_version == 'a"b'"#, r#"platform_version == 'a"b'"#),
        (r"platform_version == '\x22\x27\\\t'", r#"platform_version == "\x22'\\\x09""#),
    ] {
        assert_eq!(parse(text).to_string(), printed);
        assert_eq!(parse(printed), parse(text));
    }
}

#[test]
fn joining_with_and_keeps_alternatives_together() {
    let joined = parse("os_name == 'a' or os_name == 'b'").and(parse("extra == 'c' and extra == 'd'"));
    assert_eq!(joined.to_string(), r#"(os_name == "a" or os_name == "b") and extra == "c" and extra == "d""#);
    assert_eq!(parse(&joined.to_string()), joined);
}

#[test]
fn a_refused_marker_shows_where_and_what_was_expected() {
    for (text, why) in [
        ("python_version >= 3.8", "column 19: expected a marker variable or a quoted string, got \"3.8\""),
        (
            "python_version",
            "column 15: expected one of <=, <, !=, ==, >=, >, ~=, ===, in, not in, got the end",
        ),
        ("(os_name == 'nt'", "column 17: expected ')' for the '(' in column 1, got the end"),
        ("os_name == 'é' x", "column 16: expected 'and', 'or' or the end, got \"x\""),
        ("'a' == 'b'", "column 1: two quoted strings are compared; one side must be a variable"),
        ("extras == 'a'", "column 1: extras holds a set: expected '\"NAME\" in extras'"),
        ("python_version ~= '3'", "column 1: '~=' compares versions of two or more numbers only"),
        ("os_name == 'nt", "column 12: the quoted string does not end"),
    ] {
        assert_eq!(
            Marker::parse(text).expect_err(text).report(),
            format!(
                "{text:?} is not an environment marker: {why}\n  help: expected something like \
                 python_version >= '3.8' and sys_platform == 'linux' (PEP 508)"
            )
        );
    }
}

#[test]
fn nesting_has_a_limit_and_length_has_none() {
    let nested = |depth| format!("{}os_name == 'nt'{}", "(".repeat(depth), ")".repeat(depth));
    parse(&nested(500));
    // Real nesting too: each level is another condition, which is printed, evaluated and dropped.
    let deep = (0..500).fold("os_name == 'posix'".to_owned(), |inner, _| {
        format!("({inner} or sys_platform == 'x') and os_name == 'posix'")
    });
    let marker = parse(&deep);
    assert!(expected().environments.iter().any(|environment| environment.holds(&marker)));
    assert!(marker.to_string().len() > 10_000);
    let error = Marker::parse(&nested(100_000)).expect_err("too deep").report();
    assert!(error.contains("parentheses nest deeper than 500"), "{}", &error[error.len() - 300..]);
    parse(&vec!["os_name == 'nt'"; 100_000].join(" or "));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(python_version|extra|extras|os\\.name|[<>=~!]=?=?|and|or|not in|'[^']{0,6}'|\"3\\.9\"|[() \\\\é'\"]){0,9}") {
        if let Ok(marker) = Marker::parse(&text) {
            prop_assert_eq!(parse(&marker.to_string()), marker.clone());
            for env in expected().environments.iter().take(2) {
                env.holds(&marker);
            }
        }
    }

    #[test]
    fn any_characters_are_read_or_refused(text in "\\PC*") {
        let _ = Marker::parse(&text);
    }

    #[test]
    fn any_literal_prints_and_reads_back(text in "[^'\\\\\r\n\0]*", version in "[0-9a-z.+!* -]{0,10}") {
        let marker = parse(&format!("platform_release >= '{version}' or platform_version != '{text}'"));
        prop_assert_eq!(parse(&marker.to_string()), marker.clone());
        expected().environments[0].holds(&marker);
    }
}
