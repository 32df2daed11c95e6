use super::*;
use crate::words::error::Kind;

fn page(body: impl AsRef<[u8]>) -> Vec<IndexFile> {
    listed("text/html", body)
}

/// The one file that a page with this anchor lists.
fn anchor(attributes: &str) -> IndexFile {
    let mut files = page(format!("<!DOCTYPE html><html><body><a {attributes}>a file</a></body></html>"));
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}

fn href(href: &str) -> IndexFile {
    anchor(&format!("href=\"{href}\""))
}

fn report(body: &str) -> String {
    let error = parse_page(Some("text/html"), body.as_bytes(), &url(PAGE)).expect_err("no index page");
    assert_eq!(error.kind(), Kind::Network);
    error.report()
}

#[test]
fn an_anchor_gives_name_url_digest_and_python_range() {
    let file = anchor(&format!(
        "href=\"{WHEEL}#sha256={SHA}\" data-requires-python=\" &gt;=3.8, &lt;4 \" rel=internal"
    ));
    assert_eq!(
        file,
        IndexFile {
            filename: WHEEL.into(),
            url: url(&format!("{PAGE}{WHEEL}")),
            sha256: Some(sha()),
            requires_python: Some(">=3.8, <4".into()),
            yanked: None,
            size: None,
        }
    );
}

#[test]
fn tags_and_attributes_are_read_in_any_case_and_with_any_quotes() {
    let files = page(
        "<A HREF='demo-1.tar.gz'>x</A><a class=x href=demo-2.tar.gz>y</a><a\n\thref = \"demo-3.tar.gz\"\n>z</a>",
    );
    assert_eq!(names(&files), ["demo-1.tar.gz", "demo-2.tar.gz", "demo-3.tar.gz"]);
}

#[test]
fn pypiserver_links_start_at_the_root_and_hold_a_literal_plus() {
    let file = href("/packages/demo-1.0+local.1-py3-none-any.whl#md5=d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(file.filename, "demo-1.0+local.1-py3-none-any.whl");
    assert_eq!(file.url.as_str(), "https://index.example/packages/demo-1.0+local.1-py3-none-any.whl");
    assert_eq!(file.sha256, None);
}

#[test]
fn an_encoded_plus_is_decoded_in_the_name_and_kept_in_the_url() {
    let file = href("demo-1.0%2Blocal.1-py3-none-any.whl");
    assert_eq!(file.filename, "demo-1.0+local.1-py3-none-any.whl");
    assert_eq!(file.url.path(), "/simple/demo/demo-1.0%2Blocal.1-py3-none-any.whl");
}

#[test]
fn gitlab_links_are_absolute_and_may_name_another_host_and_an_empty_python_range() {
    let link = format!("https://gitlab.example:8443/api/v4/projects/7/packages/pypi/files/{SHA}/{WHEEL}");
    let file = anchor(&format!("href=\"{link}#sha256={SHA}\" data-requires-python=\"\""));
    assert_eq!(file.url.as_str(), link);
    assert_eq!((file.sha256, file.requires_python), (Some(sha()), None));
}

#[test]
fn devpi_links_climb_out_of_the_page() {
    let from = url("https://devpi.example/team/dev/+simple/demo/");
    let body = format!("<a href=\"../../+f/e3b/0c44298fc1c14/{WHEEL}#sha256={SHA}\">x</a>");
    let files = parse_page(Some("text/html ; charset=utf-8"), body.as_bytes(), &from).expect("a page");
    assert_eq!(files[0].url.as_str(), format!("https://devpi.example/team/dev/+f/e3b/0c44298fc1c14/{WHEEL}"));
    assert_eq!(files[0].sha256, Some(sha()));
}

#[test]
fn fragments_without_a_readable_sha256_give_none() {
    for fragment in
        ["", "#", "#md5=d41d8cd98f00b204e9800998ecf8427e", "#sha256=", "#sha256=abc", "#sha512=00", "#sha256"]
    {
        assert_eq!(href(&format!("{WHEEL}{fragment}")).sha256, None, "{fragment}");
    }
}

#[test]
fn a_sha256_among_other_fragments_is_found_in_any_case() {
    for fragment in [
        format!("md5=00&amp;sha256={SHA}"),
        format!("sha256={SHA}&subdirectory=x"),
        format!("sha256={}", SHA.to_uppercase()),
    ] {
        let file = href(&format!("{WHEEL}#{fragment}"));
        assert_eq!(file.sha256, Some(sha()), "{fragment}");
        assert_eq!(file.url.fragment(), None);
    }
}

#[test]
fn links_start_at_the_first_base_with_an_address_wherever_it_stands() {
    for (head, tail, expected) in [
        ("<base href=\"https://files.example/a/\">", "", "https://files.example/a/"),
        ("<base href=\"../../pkg/\">", "", "https://index.example/pkg/"),
        ("<base target=_blank><base href=\" /b/ \"><base href=/c/>", "", "https://index.example/b/"),
        ("", "<base href=/late/>", "https://index.example/late/"),
        ("<base href=\"\">", "", PAGE),
        ("<base href=\"https://[\">", "", PAGE),
        ("<base href=\"https://user:secret@files.example/\">", "", "https://files.example/"),
    ] {
        let files = page(format!("<head>{head}</head><a href=\"{WHEEL}\">x</a>{tail}"));
        assert_eq!(files[0].url.as_str(), format!("{expected}{WHEEL}"), "{head}{tail}");
    }
}

#[test]
fn names_are_decoded_exactly_once() {
    assert_eq!(href("demo-1%252e0.tar.gz").filename, "demo-1%2e0.tar.gz");
    assert_eq!(href("demo%2d1.0.tar.gz").filename, "demo-1.0.tar.gz");
    let twice = href("%252e%252e%252fdemo-1.0.tar.gz");
    assert_eq!(twice.filename, "%2e%2e%2fdemo-1.0.tar.gz");
    assert_eq!(twice.url.path(), "/simple/demo/%252e%252e%252fdemo-1.0.tar.gz");
}

#[test]
fn names_that_are_no_plain_component_are_left_out() {
    let long = format!("demo-{}.tar.gz", "1".repeat(250));
    for name in [
        "..%2fdemo-1.0.tar.gz",
        "a%2Fdemo-1.0.tar.gz",
        "a%5Cdemo-1.0.tar.gz",
        "demo-1.0%00.tar.gz",
        "demo-1.0%0a.tar.gz",
        "demo-1.0%1b[2J.tar.gz",
        "demo-1.0%7f.tar.gz",
        "demo-1.0%c2%9b.tar.gz",
        "demo-1..0.tar.gz",
        "demo-1.0%ff.tar.gz",
        &long,
    ] {
        let body = format!("<a href=\"{name}#sha256={SHA}\">x</a><a href=\"{WHEEL}\">y</a>");
        assert_eq!(names(&page(body)), [WHEEL], "{name}");
    }
}

#[test]
fn yanked_counts_with_and_without_a_reason() {
    for (attribute, expected) in [
        ("", None),
        ("data-yanked", Some("")),
        ("data-yanked=\"\"", Some("")),
        ("data-yanked=\"broken &amp; &quot;bad&quot;\"", Some("broken & \"bad\"")),
    ] {
        let file = anchor(&format!("href={WHEEL} {attribute}"));
        assert_eq!(file.yanked.as_deref(), expected, "{attribute}");
    }
}

#[test]
fn a_signed_query_stays_with_its_url_and_out_of_the_name() {
    let file = href(&format!("https://bucket.example/{WHEEL}?a=1&amp;Signature=x%2Fy.whl&copy=2"));
    assert_eq!(file.filename, WHEEL);
    assert_eq!(file.url.query(), Some("a=1&Signature=x%2Fy.whl&copy=2"));
}

#[test]
fn credentials_in_links_are_dropped() {
    let file = href(&format!("https://user:secret@files.example/{WHEEL}"));
    assert_eq!(file.url.as_str(), format!("https://files.example/{WHEEL}"));
}

#[test]
fn links_that_are_no_files_are_left_out() {
    let others = [
        "mailto:demo@index.example",
        "javascript:demo-1.0.tar.gz",
        "data:text/html,demo-1.0.tar.gz",
        "ftp://files.example/demo-1.0.tar.gz",
        "file:///srv/demo-1.0.tar.gz",
        "git+https://git.example/demo-1.0.zip",
        "https://git.example/demo/archive/main.zip#egg=demo-dev",
        "#demo-1.0.tar.gz",
        "",
        "../",
        "/",
        "?C=M;O=A",
        "https://[demo-1.0.tar.gz",
        "demo-1.0.tar.gz.asc",
        "demo-1.0-py3-none-any.whl.metadata",
        "README.html",
    ];
    let links = others.map(|link| format!("<a href=\"{link}\">{link}</a>")).concat();
    assert_eq!(names(&page(format!("{links}<a>no link</a><a href={WHEEL}>x</a>"))), [WHEEL]);
}

#[test]
fn files_of_any_ending_count_when_they_have_a_digest() {
    // A lock pins them, and each digest wants its explanation.
    assert_eq!(href(&format!("demo-1.0.pkg#sha256={SHA}")).filename, "demo-1.0.pkg");
}

#[test]
fn text_that_looks_like_links_is_text() {
    let hidden = "<a href=demo-9.tar.gz>x</a>";
    let files = page(format!(
        "<title>{hidden}</title><!-- {hidden} --><script>{hidden}</script><style>{hidden}</style>\
         <textarea>{hidden}</textarea><img alt=\"{hidden}\">&lt;a href=demo-9.tar.gz&gt;<a href={WHEEL}>x</a>"
    ));
    assert_eq!(names(&files), [WHEEL]);
}

#[test]
fn directory_listings_are_read() {
    let body = "<html><head><title>Index of /wheels</title></head><body><h1>Index of /wheels</h1><pre>\
                <a href=\"?C=N;O=D\">Name</a><hr><a href=\"/\">Parent Directory</a>\
                <a href=\"demo-1.0.tar.gz\">demo-1.0.tar.gz</a> 2024-01-01 00:00 1K</pre></body></html>";
    assert_eq!(names(&page(body)), [SDIST]);
}

#[test]
fn a_page_is_read_in_the_charset_it_has() {
    let body = |head: &str, reason: &[u8]| {
        let mut body = format!("{head}<a href={WHEEL} data-yanked=\"").into_bytes();
        body.extend_from_slice(reason);
        body.extend_from_slice(b"\">x</a>");
        body
    };
    let wide: Vec<u8> = "\u{feff}"
        .encode_utf16()
        .chain(
            String::from_utf8(body("", "né".as_bytes())).expect("UTF-8").encode_utf16().collect::<Vec<_>>(),
        )
        .flat_map(u16::to_le_bytes)
        .collect();
    let in_utf8 = "né".as_bytes();
    for (content_type, body) in [
        ("text/html", body("", in_utf8)),
        ("text/html", body("", b"n\xe9")),
        ("text/html; charset=ISO-8859-1", body("", b"n\xe9")),
        ("text/html; charset=\"UTF-8\"", body("<meta charset=latin1>", in_utf8)),
        ("text/html;charset=no-such-thing", body("", in_utf8)),
        ("text/html", body("<meta charset=\"iso-8859-2\">", b"n\xe9")),
        ("text/html", body("<META http-equiv=Content-Type content=\"text/html; Charset=KOI8-R\">", b"n\xe9")),
        ("text/html", body("<meta charset=utf-16>", in_utf8)),
        ("text/html; charset=latin1", body("\u{feff}", in_utf8)),
        ("text/html", wide),
    ] {
        let files = listed(content_type, &body);
        let shown = String::from_utf8_lossy(&body).into_owned();
        let expected = if shown.contains("KOI8-R") { "nИ" } else { "né" };
        assert_eq!(files[0].yanked.as_deref(), Some(expected), "{content_type} {shown}");
    }
}

#[test]
fn an_index_page_may_list_no_file() {
    for body in [
        "<!DOCTYPE html><html><head><title>Links for demo</title></head><body><h1>Links for demo</h1></body></html>",
        "<html><head><title> </title></head><h1>Links for <b>demo</b></h1></html>",
        "<title>Index of /wheels</title><h1>Index of /wheels</h1>",
        "<meta name=\"pypi:repository-version\" content=\"1.1\">",
        "<html><body><a href=\"../\">up</a></body></html>",
    ] {
        assert_eq!(page(body), [], "{body}");
    }
}

#[test]
fn a_login_page_is_called_one() {
    assert_eq!(
        report(
            "<html><head><title>Sign in\n\x1b[2J&amp; up</title></head><body><form action=/login method=post>\
             <input name=password type=password></form><a href=/help>Help</a></body></html>"
        ),
        "https://index.example/simple/demo/ is not an index page that venvoy can read\n  \
         because: got an HTML page with a form and no files: a login page? (its title: \"Sign in  [2J& up\")\n  \
         help: check the source's URL in the lock (it usually ends in /simple) and that the credentials for \
         it are known: some servers answer with a login page"
    );
}

#[test]
fn a_page_without_any_link_is_no_index_page() {
    for body in ["", "<html><body>It works!</body></html>"] {
        assert_eq!(
            report(body),
            "https://index.example/simple/demo/ is not an index page that venvoy can read\n  \
             because: got an HTML page without any link\n  \
             help: check the source's URL in the lock (it usually ends in /simple) and that the credentials \
             for it are known: some servers answer with a login page"
        );
    }
}

#[test]
fn minor_versions_of_the_api_are_read_and_major_ones_refused() {
    let body = |version: &str| {
        format!("<meta name=\"pypi:repository-version\" content=\"{version}\"><a href={WHEEL}>x</a>")
    };
    for version in ["1.0", "1.9", "1", " 1.3 "] {
        assert_eq!(page(body(version)).len(), 1, "{version}");
    }
    for version in ["2.0", "0.9", "10.1", "", "one"] {
        assert_eq!(
            report(&body(version)),
            format!(
                "https://index.example/simple/demo/ is not an index page that venvoy can read\n  \
                 because: got version \"{version}\" of the simple API, expected 1.x\n  \
                 help: a newer venvoy may know this version; otherwise ask for an index that speaks version 1"
            )
        );
    }
}

#[test]
fn a_base_does_not_turn_a_web_page_into_a_list_of_local_files() {
    let body = format!("<base href=\"file:///etc/\"><a href=\"{WHEEL}\">x</a><a href=\"/srv/{SDIST}\">y</a>");
    assert_eq!(page(&body), []);
    let local = url("file:///srv/links/index.html");
    let files = parse_page(None, body.as_bytes(), &local).expect("a page");
    assert_eq!(files[0].url.as_str(), format!("file:///etc/{WHEEL}"));
}

#[test]
fn an_empty_devpi_page_with_its_refresh_button_is_no_login_page() {
    let title = "team/dev: links for demo";
    assert_eq!(
        page(format!(
            "<!DOCTYPE html><html lang=\"en\"><head><title>{title}</title></head><body><h1>{title}</h1>\
             <form action=\"/team/dev/+simple/demo/refresh\" method=\"post\">\
             <input name=\"refresh\" type=\"submit\" value=\"Refresh\"/></form></body></html>"
        )),
        []
    );
}
