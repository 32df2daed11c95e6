use super::*;
use crate::words::error::Kind;

const ANCHOR: &str = "<a href=\"demo-1.0-py3-none-any.whl\">x</a>";
const OBJECT: &str = "{\"files\":[{\"url\":\"demo-1.0-py3-none-any.whl\"}]}";

#[test]
fn the_format_is_what_the_server_says_or_else_how_the_body_begins() {
    for (content_type, body) in [
        (Some("application/vnd.pypi.simple.v1+json"), OBJECT),
        (Some("application/vnd.pypi.simple.v1+html"), ANCHOR),
        (Some("application/vnd.pypi.simple.latest+json"), OBJECT),
        (Some("Application/VND.pypi.simple.v1+JSON ; charset=utf-8"), OBJECT),
        (Some("application/json"), OBJECT),
        (Some("text/html; charset=utf-8"), ANCHOR),
        (Some("application/xhtml+xml"), ANCHOR),
        (Some("text/html"), OBJECT),
        (Some("text/plain"), ANCHOR),
        (Some("application/octet-stream"), OBJECT),
        (Some(""), ANCHOR),
        (None, ANCHOR),
        (None, OBJECT),
        (None, "\u{feff}\n <!DOCTYPE html><a href=\"demo-1.0-py3-none-any.whl\">x</a>"),
    ] {
        let files = parse_page(content_type, body.as_bytes(), &url(PAGE));
        let files = files.unwrap_or_else(|error| panic!("{content_type:?}: {}", error.report()));
        assert_eq!(names(&files), [WHEEL], "{content_type:?} {body}");
    }
}

#[test]
fn what_is_neither_html_nor_json_is_refused_without_the_secrets_of_its_url() {
    let from = url("https://user:secret@index.example/simple/demo/?token=secret#secret");
    let report = |content_type, body: &str| {
        let error = parse_page(content_type, body.as_bytes(), &from).expect_err("no index page");
        assert_eq!(error.kind(), Kind::Network);
        error.report()
    };
    let help = "help: check the source's URL in the lock (it usually ends in /simple) and that the credentials \
                for it are known: some servers answer with a login page";
    assert_eq!(
        report(Some("image/p\x1bng"), "\u{89}PNG"),
        format!(
            "https://index.example/simple/demo/ is not an index page that venvoy can read\n  \
             because: got content of type \"image/p ng\", expected HTML or JSON\n  {help}"
        )
    );
    assert_eq!(
        report(None, "not found"),
        format!(
            "https://index.example/simple/demo/ is not an index page that venvoy can read\n  \
             because: got neither HTML nor JSON, and no content type that says more\n  {help}"
        )
    );
}

#[test]
fn a_find_links_directory_gives_its_distributions_in_order() {
    let at = |name: &str| (name.to_owned(), 7, url("file:///srv/links/").join("x").expect("a URL"));
    let listing = [SDIST, "notes.txt", WHEEL, "demo-1.0.tar.gz.asc", "de\u{1b}mo-1.0.zip", ".whl"].map(at);
    let files = find_links(&listing);
    assert_eq!(names(&files), [SDIST, WHEEL]);
    assert_eq!(
        files[0],
        IndexFile {
            filename: SDIST.into(),
            url: url("file:///srv/links/x"),
            sha256: None,
            requires_python: None,
            yanked: None,
            size: Some(7),
        }
    );
}

#[test]
fn a_selection_explains_a_lock_when_every_digest_is_known() {
    let known = files([WHEEL, SDIST]);
    assert!(explains(&known, &ask("*").pinning([WHEEL]).hashes));
    assert!(explains(&known, &ask("*").pinning([SDIST, WHEEL]).hashes));
    assert!(!explains(&known, &ask("*").pinning([WHEEL, "other"]).hashes));
    assert!(!explains(&known, &ask("*").hashes));
    assert!(!explains(&[file(WHEEL).unhashed()], &ask("*").pinning([WHEEL]).hashes));
}

#[test]
fn digests_are_filled_in_by_name_and_url_and_never_replaced() {
    let elsewhere = IndexFile { url: url("https://other.example/x"), ..file(SDIST) };
    let mut page = vec![file(WHEEL).unhashed(), elsewhere.unhashed(), file("demo-2.0.tar.gz").rebuilt()];
    fill_digests(&mut page, &files([WHEEL, SDIST, "demo-2.0.tar.gz"]));
    let digests: Vec<Option<Sha256>> = page.iter().map(|file| file.sha256).collect();
    assert_eq!(digests, [file(WHEEL).sha256, None, file(SDIST).rebuilt().sha256]);
}

#[test]
fn a_file_known_without_its_digest_does_not_hide_the_one_known_with_it() {
    let mut page = vec![file(WHEEL).unhashed()];
    fill_digests(&mut page, &[file(WHEEL).unhashed(), file(WHEEL)]);
    assert_eq!(page, [file(WHEEL)]);
}

#[test]
fn of_what_the_lock_does_not_pin_little_is_kept() {
    use std::fmt::Write as _;
    let ask = ask("==1.0");
    let request = ask.request();
    let digest = |n: usize| format!("{n:064x}");
    let mut json = String::from("{\"meta\": {\"api-version\": \"1.0\"}, \"files\": [");
    let mut html = String::from("<title>Links for demo</title>");
    for n in 0..30_000 {
        let name = format!("demo-2.{n}-py3-none-any.whl");
        let hash = digest(n);
        let _ = write!(
            json,
            "{{\"filename\": \"{name}\", \"url\": \"{name}\", \"hashes\": {{\"sha256\": \"{hash}\"}}}},"
        );
        let _ = write!(html, "<a href=\"{name}#sha256={hash}\">{name}</a>");
    }
    let last = "demo-1.0-py3-none-any.whl";
    let _ = write!(json, "{{\"filename\": \"{last}\", \"url\": \"{last}\", \"hashes\": {{}}}}]}}");
    let _ = write!(html, "<a href=\"{last}\">{last}</a>");
    for (content_type, body) in [("application/json", json), ("text/html", html)] {
        let files =
            parse_page_for(&request, Some(content_type), body.as_bytes(), &url(PAGE)).expect("a page");
        assert_eq!(files.last().expect("files").filename, last, "{content_type}");
        assert!(files.len() < 1_100, "{content_type}: {} of 30,001 files", files.len());
        assert_eq!(
            parse_page(Some(content_type), body.as_bytes(), &url(PAGE)).expect("a page").len(),
            30_001
        );
    }
}
