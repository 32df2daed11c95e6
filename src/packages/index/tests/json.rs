use super::*;
use crate::words::error::Kind;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

fn page(body: &str) -> Vec<IndexFile> {
    listed(JSON, body)
}

/// The one file that a page with this object lists.
fn entry(object: &str) -> IndexFile {
    let mut files = page(&format!("{{\"meta\":{{\"api-version\":\"1.1\"}},\"files\":[{object}]}}"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

/// A file with these other keys.
fn with(keys: &str) -> IndexFile {
    entry(&format!("{{\"filename\":\"{WHEEL}\",\"url\":\"{WHEEL}\",{keys}}}"))
}

fn report(content_type: &str, body: &str) -> String {
    let error = parse_page(Some(content_type), body.as_bytes(), &url(PAGE)).expect_err("no index page");
    assert_eq!(error.kind(), Kind::Network);
    error.report()
}

#[test]
fn an_entry_gives_every_field() {
    let file = entry(&format!(
        "{{\"filename\":\"{WHEEL}\",\"url\":\"https://files.example/x/{WHEEL}\",\
         \"hashes\":{{\"md5\":\"00\",\"sha256\":\"{SHA}\"}},\"requires-python\":\">=3.8\",\"size\":1234,\
         \"yanked\":\"broken\",\"core-metadata\":{{\"sha256\":\"00\"}},\"upload-time\":\"2024-01-01T00:00:00Z\"}}"
    ));
    assert_eq!(
        file,
        IndexFile {
            filename: WHEEL.into(),
            url: url(&format!("https://files.example/x/{WHEEL}")),
            sha256: Some(sha()),
            requires_python: Some(">=3.8".into()),
            yanked: Some("broken".into()),
            size: Some(1234),
        }
    );
}

#[test]
fn devpi_links_are_relative_and_its_python_range_may_be_empty() {
    let from = url("https://devpi.example/team/dev/+simple/demo/");
    let body = format!(
        "{{\"meta\":{{\"api-version\":\"1.0\"}},\"name\":\"demo\",\"files\":[{{\"filename\":\"{WHEEL}\",\
         \"url\":\"../../+f/e3b/0c44298fc1c14/{WHEEL}\",\"hashes\":{{\"sha256\":\"{SHA}\"}},\
         \"requires-python\":\"\",\"yanked\":\"\"}}]}}"
    );
    let files = parse_page(Some(JSON), body.as_bytes(), &from).expect("a page");
    assert_eq!(files[0].url.as_str(), format!("https://devpi.example/team/dev/+f/e3b/0c44298fc1c14/{WHEEL}"));
    assert_eq!((files[0].requires_python.as_deref(), files[0].yanked.as_deref()), (None, None));
}

#[test]
fn yanked_is_a_boolean_or_a_reason() {
    for (value, expected) in
        [("false", None), ("null", None), ("\"\"", None), ("true", Some("")), ("\"bad\"", Some("bad"))]
    {
        assert_eq!(with(&format!("\"yanked\":{value}")).yanked.as_deref(), expected, "{value}");
    }
}

#[test]
fn a_digest_that_cannot_be_read_is_none_and_the_links_fragment_helps_out() {
    for hashes in ["{}", "null", "[]", "{\"md5\":\"00\"}", "{\"sha256\":\"xy\"}", "{\"sha256\":7}"] {
        assert_eq!(with(&format!("\"hashes\":{hashes}")).sha256, None, "{hashes}");
        let file = entry(&format!("{{\"url\":\"{WHEEL}#sha256={SHA}\",\"hashes\":{hashes}}}"));
        assert_eq!(file.sha256, Some(sha()), "{hashes}");
        assert_eq!(file.url.fragment(), None);
    }
}

#[test]
fn odd_values_of_optional_keys_are_none() {
    for keys in ["\"size\":-1", "\"size\":\"1\"", "\"size\":1.5", "\"size\":null", "\"requires-python\":null"]
    {
        let file = with(keys);
        assert_eq!((file.size, file.requires_python), (None, None), "{keys}");
    }
}

#[test]
fn a_name_is_taken_as_given_and_from_the_url_only_where_there_is_none() {
    let given = entry("{\"filename\":\"demo-1%2e0.tar.gz\",\"url\":\"https://files.example/blob/7\"}");
    assert_eq!(given.filename, "demo-1%2e0.tar.gz");
    assert_eq!(entry("{\"url\":\"x/demo-1%252e0.tar.gz\"}").filename, "demo-1%2e0.tar.gz");
}

#[test]
fn entries_that_cannot_be_files_are_left_out() {
    let bad = [
        "{}",
        "{\"filename\":\"demo-1.0.tar.gz\"}",
        "{\"filename\":\"../demo-1.0.tar.gz\",\"url\":\"x\"}",
        "{\"filename\":\"a/demo-1.0.tar.gz\",\"url\":\"x\"}",
        "{\"filename\":\"a\\\\demo-1.0.tar.gz\",\"url\":\"x\"}",
        "{\"filename\":\"demo\\u0000-1.0.tar.gz\",\"url\":\"x\"}",
        "{\"filename\":\"demo\\u001b[2J-1.0.tar.gz\",\"url\":\"x\"}",
        "{\"filename\":\"\",\"url\":\"demo-1.0.tar.gz\"}",
        "{\"filename\":\"demo-1.0.tar.gz\",\"url\":\"file:///srv/demo-1.0.tar.gz\"}",
        "{\"filename\":\"demo-1.0.tar.gz\",\"url\":\"javascript:x\"}",
        "{\"url\":\"a%2fdemo-1.0.tar.gz\"}",
    ];
    let body = format!("{{\"files\":[{},{{\"url\":\"{WHEEL}\"}}]}}", bad.join(","));
    assert_eq!(names(&page(&body)), [WHEEL]);
}

#[test]
fn a_page_may_list_no_file() {
    for body in ["{\"files\":[]}", "\u{feff} {\"files\":[],\"versions\":[\"1.0\"]}"] {
        assert_eq!(page(body), [], "{body}");
    }
}

#[test]
fn minor_versions_of_the_api_are_read_and_major_ones_refused() {
    for version in ["1.0", "1.4"] {
        assert_eq!(page(&format!("{{\"meta\":{{\"api-version\":\"{version}\"}},\"files\":[]}}")), []);
    }
    let refused = "https://index.example/simple/demo/ is not an index page that venvoy can read\n  \
                   because: got version \"2.0\" of the simple API, expected 1.x\n  \
                   help: a newer venvoy may know this version; otherwise ask for an index that speaks version 1";
    assert_eq!(report(JSON, "{\"meta\":{\"api-version\":\"2.0\"},\"files\":[]}"), refused);
    // The shape of another version need not be known to refuse it.
    assert_eq!(report("application/vnd.pypi.simple.v2.0+json", "{\"dateien\":[]}"), refused);
}

#[test]
fn an_error_object_is_told_by_its_keys_without_its_text() {
    for content_type in ["application/json", "application/problem+json", "text/html", ""] {
        assert_eq!(
            report(content_type, " {\"message\":\"token secret is expired\",\"sta\\u001btus\":401}"),
            "https://index.example/simple/demo/ is not an index page that venvoy can read\n  \
             because: got JSON without \"files\", but with \"message\", \"sta tus\"\n  \
             help: check the source's URL in the lock (it usually ends in /simple) and that the credentials \
             for it are known: some servers answer with a login page",
            "{content_type}"
        );
    }
    assert!(report(JSON, "{}").contains("got JSON without \"files\", an empty object\n"));
    assert!(report(JSON, "{\"files\":null}").contains("got JSON without \"files\", but with \"files\"\n"));
}

#[test]
fn damaged_json_is_told_with_the_place() {
    assert_eq!(
        report(JSON, "{\"files\":[{\"filename\":"),
        "https://index.example/simple/demo/ is not an index page that venvoy can read\n  \
         because: got JSON that is damaged or of another shape\n  \
         because: EOF while parsing a value at line 1 column 22\n  \
         help: check the source's URL in the lock (it usually ends in /simple) and that the credentials for \
         it are known: some servers answer with a login page"
    );
}

#[test]
fn json_of_another_shape_is_refused() {
    for body in ["", "[]", "null", "7", "\"x\"", "{\"files\":{}}", "{\"files\":[7]}", "<html></html>"] {
        assert!(report(JSON, body).contains("damaged or of another shape"), "{body}");
    }
}

#[test]
fn a_page_of_another_shape_does_not_flood_the_message_with_its_text() {
    let report = report(JSON, &format!("{{\"files\":\"{}\"}}", "secret ".repeat(100_000)));
    assert!(report.len() < 1000, "{} bytes", report.len());
}
