use proptest::prelude::*;

use super::*;
use crate::error::{Kind, Result};

fn url(text: &str) -> Url {
    Url::parse(text).expect(text)
}

fn html(body: &str) -> Result<Vec<IndexFile>> {
    parse_page(Some("text/html; charset=utf-8"), body.as_bytes(), &url("https://index.example/simple/demo/"))
}

fn json(body: &str) -> Result<Vec<IndexFile>> {
    let content_type = Some("application/vnd.pypi.simple.v1+json");
    parse_page(content_type, body.as_bytes(), &url("https://index.example/simple/demo/"))
}

/// Name and URL of each file.
fn listed(files: Result<Vec<IndexFile>>) -> Vec<(String, String)> {
    let files = files.map_err(|error| error.report()).expect("a page");
    files.into_iter().map(|file| (file.filename, file.url.to_string())).collect()
}

fn one(body: &str) -> IndexFile {
    let mut files = html(body).map_err(|error| error.report()).expect("a page");
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

const SHA: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

#[test]
fn a_page_of_pep_503_is_read() {
    let file = one(&format!(
        "<!DOCTYPE html><html><body><h1>Links for demo</h1>\n\
         <a href=\"../../packages/demo-1.0-py3-none-any.whl#sha256={SHA}\" data-requires-python=\"&gt;=3.8\" \
         data-yanked=\"why &amp; how\">demo</a></body></html>"
    ));
    assert_eq!(file.filename, "demo-1.0-py3-none-any.whl");
    assert_eq!(file.url.as_str(), "https://index.example/packages/demo-1.0-py3-none-any.whl");
    assert_eq!(file.sha256.expect("a digest").to_string(), SHA);
    assert_eq!(file.requires_python.as_deref(), Some(">=3.8"));
    assert_eq!(file.yanked.as_deref(), Some("why & how"));
}

#[test]
fn root_relative_links_with_a_plus_are_pypiservers() {
    let found = listed(html("<a href=\"/packages/demo-1.0+cpu-py3-none-any.whl#md5=00\">x</a>"));
    let expected =
        ("demo-1.0+cpu-py3-none-any.whl", "https://index.example/packages/demo-1.0+cpu-py3-none-any.whl");
    assert_eq!(found, [(expected.0.to_owned(), expected.1.to_owned())]);
}

#[test]
fn an_md5_fragment_is_no_digest() {
    assert_eq!(one("<a href=\"demo-1.0.zip#md5=d41d8cd98f00b204e9800998ecf8427e\">x</a>").sha256, None);
}

#[test]
fn gitlabs_empty_requires_python_is_none_and_its_absolute_urls_stay() {
    let href = format!(
        "https://gitlab.example/api/v4/projects/7/packages/pypi/files/{SHA}/demo-1.0.tar.gz#sha256={SHA}"
    );
    let file =
        one(&format!("<title>Links for demo</title><a href=\"{href}\" data-requires-python=\"\">x</a>"));
    assert_eq!(file.requires_python, None);
    assert_eq!(file.url.host_str(), Some("gitlab.example"));
}

#[test]
fn a_base_counts_for_every_link() {
    let found = listed(html("<base href=\"https://files.example/a/\"><a href=\"demo-1.0.zip\">x</a>"));
    assert_eq!(found[0].1, "https://files.example/a/demo-1.0.zip");
}

#[test]
fn names_are_decoded_once() {
    assert_eq!(
        one("<a href=\"demo-1.0%2Bcpu-py3-none-any.whl\">x</a>").filename,
        "demo-1.0+cpu-py3-none-any.whl"
    );
    // `%252e%252e%252f` decoded twice would be `../`.
    assert_eq!(one("<a href=\"%252e%252e%252fdemo-1.0.zip\">x</a>").filename, "%2e%2e%2fdemo-1.0.zip");
}

#[test]
fn links_that_lead_elsewhere_are_no_files() {
    let body = "<h1>Index of /</h1><a href=\"?C=N\">Name</a><a href=\"../\">up</a><a href=\"sub/\">sub</a>\
                <a href=\"a%2F..%2Fdemo-1.0.zip\">x</a><a href=\"file:///etc/demo-1.0.zip\">x</a>\
                <a href=\"javascript:x\">x</a><a href=\"https://git.example/d.zip#egg=demo\">x</a>\
                <a href=\"demo-1.0%00.zip\">x</a><a href=\"demo-1.0%0a.zip\">x</a><a href=\"#x\">x</a>";
    assert_eq!(listed(html(body)), []);
}

#[test]
fn userinfo_of_a_link_is_dropped() {
    let file = one("<a href=\"https://user:canary@files.example/demo-1.0.zip\">x</a>");
    assert_eq!(file.url.as_str(), "https://files.example/demo-1.0.zip");
}

#[test]
fn links_in_scripts_are_text() {
    assert_eq!(listed(html("<h1>Links for demo</h1><script>'<a href=\"demo-9.zip\">'</script>")), []);
}

#[test]
fn charsets_are_found_where_they_are_stated() {
    let latin = b"<meta charset=\"iso-8859-1\"><a href=\"demo-1.0.zip\" data-yanked=\"caf\xe9\">x</a>";
    let page = url("https://index.example/simple/demo/");
    let files = parse_page(Some("text/html"), latin, &page).expect("a page");
    assert_eq!(files[0].yanked.as_deref(), Some("caf\u{e9}"));
    let unstated = parse_page(None, &latin[27..], &page).expect("a page");
    assert_eq!(unstated[0].yanked.as_deref(), Some("caf\u{e9}"));
}

#[test]
fn json_of_pep_691_is_read() {
    let files = json(&format!(
        r#"{{"meta": {{"api-version": "1.1"}}, "name": "demo", "files": [
            {{"filename": "demo-1.0.zip", "url": "../../f/demo-1.0.zip", "hashes": {{"sha256": "{SHA}"}},
              "requires-python": "", "yanked": true, "size": 12}},
            {{"filename": "demo-2.0.zip", "url": "https://files.example/demo-2.0.zip", "hashes": {{}},
              "requires-python": null, "yanked": false}},
            {{"filename": "../../demo-3.0.zip", "url": "x", "hashes": {{}}}}]}}"#
    ))
    .expect("a page");
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(files[0].url.as_str(), "https://index.example/f/demo-1.0.zip");
    assert_eq!((files[0].size, files[0].requires_python.as_deref()), (Some(12), None));
    assert_eq!((files[0].yanked.as_deref(), files[1].yanked.as_deref()), (Some(""), None));
    assert!(files[0].sha256.is_some() && files[1].sha256.is_none());
}

#[test]
fn json_is_known_by_its_shape_where_the_server_calls_it_html() {
    let body = br#"{"files": [{"filename": "demo-1.0.zip", "url": "demo-1.0.zip", "hashes": {}}]}"#;
    let page = url("https://index.example/simple/demo/");
    assert_eq!(parse_page(Some("text/html"), body, &page).expect("a page").len(), 1);
}

#[test]
fn what_is_no_index_page_is_an_error() {
    let report = |result: Result<Vec<IndexFile>>| {
        let error = result.expect_err("no page");
        assert_eq!(error.kind(), Kind::Network);
        error.report()
    };
    let login = report(html("<title>Sign in</title><form><input name=p><a href=/help>help</a></form>"));
    assert_eq!(
        login.lines().take(2).collect::<Vec<_>>(),
        [
            "https://index.example/simple/demo/ is not an index page that venvoy can read",
            "  because: got an HTML page with a form and no files: a login page? (its title: \"Sign in\")",
        ]
    );
    assert!(
        report(json(r#"{"errors": [{"status": 404}]}"#))
            .contains("got JSON without \"files\", but with \"errors\"")
    );
    assert!(report(json("{\"files\": 1}")).contains("got JSON that is damaged or of another shape"));
    assert!(report(json(r#"{"meta": {"api-version": "2.0"}, "files": []}"#)).contains("expected 1.x"));
    let page = url("https://index.example/simple/demo/?token=canary");
    let other = report(parse_page(Some("image/png"), b"\x89PNG", &page));
    assert!(other.contains("image/png") && !other.contains("canary"), "{other}");
}

#[test]
fn a_page_without_files_is_still_a_page() {
    assert_eq!(listed(html("<h1>Links for demo</h1>")), []);
    assert_eq!(listed(json(r#"{"files": []}"#)), []);
}

#[test]
fn find_links_take_what_is_named_as_a_distribution() {
    let at = |name: &str| (name.to_owned(), 3, url("file:///wheels/").join(name).expect("a URL"));
    let listing = ["demo-1.0.zip", "README.md", "demo-1.0-py3-none-any.whl", ".whl"].map(at);
    let names: Vec<String> = find_links(&listing).into_iter().map(|file| file.filename).collect();
    assert_eq!(names, ["demo-1.0.zip", "demo-1.0-py3-none-any.whl"]);
}

proptest! {
    #[test]
    fn no_page_gives_a_name_that_leads_elsewhere(body in "(<a href=\"[^<>]{0,30}\">|[ -~]{0,20}|\\PC{0,10}){0,6}") {
        for content_type in [Some("text/html"), Some("application/json"), None] {
            let page = url("https://index.example/simple/demo/");
            for file in parse_page(content_type, body.as_bytes(), &page).unwrap_or_default() {
                let name = &file.filename;
                prop_assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']) && !name.contains(".."), "{name:?}");
                prop_assert!(!name.chars().any(char::is_control), "{name:?}");
                prop_assert!(matches!(file.url.scheme(), "http" | "https"));
                prop_assert!(file.url.fragment().is_none() && file.url.username().is_empty());
            }
        }
    }

    #[test]
    fn no_json_gives_a_name_that_leads_elsewhere(name in "\\PC{0,12}|(\\.\\./){1,3}[a-z]", href in "\\PC{0,20}") {
        let body = serde_json::json!({"files": [{"filename": name, "url": href, "hashes": {}}]}).to_string();
        for file in json(&body).expect("a page") {
            prop_assert!(!file.filename.contains(['/', '\\']) && !file.filename.contains(".."));
        }
    }
}
