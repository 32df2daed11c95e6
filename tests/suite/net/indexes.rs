//! Real index servers, and the documented answers of those that cannot be run here (docs/indexes.md).

use crate::support::{
    client::{Memory, anonymous, client, download, no_credentials, quick, source, url},
    index_servers::{devpi, pypiserver},
    server::{Server, raw, reply},
};
use venvoy::inside::{
    packages::{
        fetch::{Answer, Page},
        http::Client,
    },
    words::{
        error::{Error, Kind},
        vocab::SourceUrl,
    },
};

fn page(client: &Client, text: &str, source: &SourceUrl) -> Result<Page, Error> {
    match client.page(&url(text), source)? {
        Answer::Page(page) => Ok(page),
        Answer::NotFound(error) => Err(error),
    }
}

fn text(page: &Page) -> String {
    String::from_utf8_lossy(&page.body).into_owned()
}

const WHEEL: &str = "demo-1.0-py3-none-any.whl";

#[test]
fn pypiserver_gives_html_and_files_and_its_forwarding_is_not_found() {
    let public = Server::start(|_| reply("200 OK", &[], b"public"));
    let index = pypiserver(&[(WHEEL, b"wheel")], None, &format!("http://localhost:{}/simple", public.port));
    let source = source(&index.url("/simple"));
    let client = anonymous();
    let page = page(&client, &index.url("/simple/demo/"), &source).expect("a page");
    assert!(
        page.content_type.as_deref().is_some_and(|t| t.starts_with("text/html")),
        "{:?}",
        page.content_type
    );
    let html = text(&page);
    let link = html.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
    let file = page.url.join(link).expect("a URL");
    assert_eq!(download(&client, &file).expect("a file").bytes, b"wheel");

    let Answer::NotFound(error) =
        client.page(&url(&index.url("/simple/other/")), &source).expect("an answer")
    else {
        panic!("a page")
    };
    assert!(error.report().contains("it forwards the question to localhost"), "{}", error.report());
    assert!(public.log().is_empty());
}

#[test]
fn pypiserver_asks_for_a_password() {
    let index = pypiserver(&[(WHEEL, b"wheel")], Some(("me", "right-canary")), "http://127.0.0.1:1/simple");
    let with = |login: &str| source(&index.url("/simple").replace("//", &format!("//{login}")));
    let ask = |source: &SourceUrl| {
        let client = client(quick(), no_credentials(), &[source]);
        page(&client, &index.url("/simple/demo/"), source)
    };
    assert!(text(&ask(&with("me:right-canary@")).expect("a page")).contains(WHEEL));
    for (login, text) in
        [("", "no credentials for 127.0.0.1"), ("me:wrong-canary@", "pypiserver answers 403 to a wrong one")]
    {
        let error = ask(&with(login)).expect_err("refused");
        assert!(error.kind() == Kind::Auth && error.report().contains(text), "{}", error.report());
        assert!(!error.report().contains("canary"), "{}", error.report());
    }
}

#[test]
fn devpi_gives_json_for_a_url_without_slash_and_its_files() {
    let index = devpi(&[(WHEEL, b"wheel")]);
    let source = source(&index.url("/root/dev/+simple"));
    let client = anonymous();
    for path in ["/root/dev/+simple/demo/", "/root/dev/+simple/demo"] {
        let page = page(&client, &index.url(path), &source).expect("a page");
        assert_eq!(
            page.content_type.as_deref(),
            Some("application/vnd.pypi.simple.v1+json"),
            "{}",
            text(&page)
        );
        let json: serde_json::Value = serde_json::from_slice(&page.body).expect("JSON");
        let link = json["files"][0]["url"].as_str().expect("a URL");
        let file = page.url.join(link).expect("a URL");
        assert_eq!(download(&client, &file).expect("a file").bytes, b"wheel");
    }
    let missing = client.page(&url(&index.url("/root/dev/+simple/other/")), &source).expect("an answer");
    assert!(matches!(missing, Answer::NotFound(_)));
}

#[test]
fn devpis_answer_without_ranges_begins_a_broken_download_again() {
    // As devpi does: chunked, no Accept-Ranges, and 200 for a Range request.
    let server = Server::start(|request| {
        let chunked = b"5\r\nwheel\r\n0\r\n\r\n";
        let sent = if request.number == 0 { &chunked[..8] } else { chunked };
        raw("200 OK", &["Transfer-Encoding: chunked"], sent)
    });
    let sink = download(&anonymous(), &url(&server.url("/demo.whl"))).expect("a file");
    assert_eq!((sink.bytes, sink.resets), (b"wheel".to_vec(), 1));
}

#[test]
fn only_get_is_ever_used() {
    // Azure answers 405 to HEAD, and a URL that S3 signed for GET answers 403: a server that knows nothing but
    // GET is enough.
    let server =
        Server::start(|_| reply("200 OK", &["Content-Type: text/html; charset=iso-8859-1"], b"caf\xe9"));
    let source = source(&server.url("/"));
    let page = page(&anonymous(), &server.url("/demo/"), &source).expect("a page");
    assert_eq!(page.content_type.as_deref(), Some("text/html; charset=iso-8859-1"));
    assert_eq!(page.body, b"caf\xe9");
    download(&anonymous(), &url(&server.url("/demo.whl"))).expect("a file");
    assert!(server.log().iter().all(|request| request.method == "GET"));
}

#[test]
fn gitlabs_files_get_their_projects_token_and_their_storage_none() {
    let storage = Server::start(|_| reply("200 OK", &[], b"wheel"));
    let location = format!("Location: http://localhost:{}/bucket/abc?X-Amz-Signature=abc", storage.port);
    let gitlab = Server::start(move |request| match request.header("authorization") {
        // "t:5" and "t:50"
        Some("Basic dDo1") if request.path.contains("/projects/5/") => reply("302 Found", &[&location], b""),
        Some("Basic dDo1MA==") if request.path.contains("/projects/50/") => {
            reply("302 Found", &[&location], b"")
        }
        Some(_) => reply("404 Not Found", &[], b""),
        None => reply("401 Unauthorized", &[], b""),
    });
    let project = |id: &str| {
        let userinfo = format!("//t:{id}@");
        source(&gitlab.url(&format!("/api/v4/projects/{id}/packages/pypi/simple")).replace("//", &userinfo))
    };
    let (five, fifty) = (project("5"), project("50"));
    let client = client(quick(), no_credentials(), &[&five, &fifty]);
    for (id, source) in [("5", &five), ("50", &fifty)] {
        let file = url(&gitlab.url(&format!("/api/v4/projects/{id}/packages/pypi/files/abc/demo.whl")));
        let mut sink = Memory::default();
        client.download(&file, Some(source), &mut sink, &|_| {}).expect("a file");
        assert_eq!(sink.bytes, b"wheel");
    }
    assert_eq!(storage.log().len(), 2);
    assert!(storage.log().iter().all(|request| request.header("authorization").is_none()));
    // Another project's file, with this project's token.
    let other = url(&gitlab.url("/api/v4/projects/6/packages/pypi/files/abc/demo.whl"));
    let error = client.download(&other, Some(&five), &mut Memory::default(), &|_| {}).expect_err("not ours");
    assert!(error.report().contains("GitLab answers 404 for both"), "{}", error.report());
}

#[test]
fn an_index_that_hides_behind_404_says_where_credentials_were_looked_for() {
    // Artifactory, when it is not told who asks.
    let server = Server::start(|_| reply("404 Not Found", &[], b"{\"errors\": []}"));
    let source = source(&server.url("/api/pypi/local/simple"));
    let error = page(&anonymous(), &server.url("/api/pypi/local/simple/demo/"), &source).expect_err("hidden");
    assert!(error.report().contains("or shows it only with credentials (looked in "), "{}", error.report());
}

#[test]
fn passwords_with_any_character_arrive_as_they_are() {
    // Google's are JSON keys in base64, with "=" and "/".
    let server = Server::start(|request| {
        reply("200 OK", &[], request.header("authorization").unwrap_or_default().as_bytes())
    });
    let source = source(&server.url("/simple").replace("//", "//_json_key_base64:ab%2Fc==%3A%40%25@"));
    let client = client(quick(), no_credentials(), &[&source]);
    let page = page(&client, &server.url("/simple/demo/"), &source).expect("a page");
    // _json_key_base64:ab/c==:@%
    assert_eq!(text(&page), "Basic X2pzb25fa2V5X2Jhc2U2NDphYi9jPT06QCU=");
}
