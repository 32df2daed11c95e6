//! Credentials on their way: nginx's log shows what was sent where.

use std::fs;

use crate::support::{
    client::{Memory, anonymous, client, no_credentials, quick, source, url},
    nginx::{Nginx, Setup},
    server::{Server, reply},
};
use venvoy::inside::{
    packages::{
        fetch::{Answer, Page},
        http::{Client, FetchOptions},
    },
    project::auth::{AuthOptions, CredentialStore},
    words::{
        error::{Error, Kind},
        vocab::SourceUrl,
    },
};

/// `/private/` asks for user and password; `/moved/` redirects to the other port, which wants nothing.
fn private() -> Nginx {
    Setup::new()
        .file("private/simple/demo/index.html", b"<a href=\"demo.whl\">demo.whl</a>")
        .file("private/files/demo.whl", b"wheel")
        .file("storage/demo.whl", b"stored")
        .user("users", "ci", "right-canary")
        .start(
            "server {
                listen {port};
                location /private/ { auth_basic x; auth_basic_user_file {dir}/users; index index.html; }
                location /denied/ { deny all; }
                location /moved/ { return 302 http://localhost:{other}/storage/demo.whl; }
                location /port/ { return 302 http://127.0.0.1:{other}/storage/demo.whl; }
                location /signed/ { return 302 /storage/demo.whl?X-Amz-Signature=abc; }
                location /home/ { return 302 $scheme://$host:$server_port/private/files/demo.whl; }
            }
            server { listen {other}; }",
        )
}

fn with_user(nginx: &Nginx, userinfo: &str) -> SourceUrl {
    source(&format!("http://{userinfo}@127.0.0.1:{}/private/simple", nginx.port))
}

fn at(nginx: &Nginx, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", nginx.port)
}

fn get(client: &Client, text: &str) -> Result<Vec<u8>, Error> {
    let mut sink = Memory::default();
    client.download(&url(text), None, &mut sink, &|_| {}).map(|()| sink.bytes)
}

fn page(client: &Client, text: &str, source: &SourceUrl) -> Result<Page, Error> {
    match client.page(&url(text), source)? {
        Answer::Page(page) => Ok(page),
        Answer::NotFound(error) => Err(error),
    }
}

/// The lines about a port in a log of `requests` lines.
fn seen(nginx: &Nginx, port: u16, requests: usize) -> Vec<String> {
    let start = format!("{port} ");
    nginx.log(requests).lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
}

#[test]
fn known_credentials_go_with_the_first_request_for_pages_and_files() {
    let nginx = private();
    let source = with_user(&nginx, "ci:right-canary");
    let client = client(quick(), no_credentials(), &[&source]);
    let page = page(&client, &at(&nginx, "/private/simple/demo/"), &source).expect("a page");
    assert_eq!(page.content_type.as_deref(), Some("text/html"));
    assert_eq!(page.url.as_str(), at(&nginx, "/private/simple/demo/"));
    assert_eq!(get(&client, &at(&nginx, "/private/files/demo.whl")).expect("a file"), b"wheel");
    let log = nginx.log(2);
    assert_eq!(log.matches("auth=[Basic Y2k6cmlnaHQtY2FuYXJ5]").count(), 2, "{log}");
    assert!(!log.contains(" 401 "), "{log}");
}

#[test]
fn a_page_without_its_slash_is_redirected_on_the_same_server_with_credentials() {
    let nginx = private();
    let source = with_user(&nginx, "ci:right-canary");
    let client = client(quick(), no_credentials(), &[&source]);
    let page = page(&client, &at(&nginx, "/private/simple/demo"), &source).expect("a page");
    assert_eq!(page.url.as_str(), at(&nginx, "/private/simple/demo/"));
}

#[test]
fn missing_wrong_and_insufficient_credentials_are_told_apart() {
    let nginx = private();
    let netrc = tempfile::TempDir::new().expect("a directory");
    fs::write(netrc.path().join("netrc"), "machine 127.0.0.1 login ci password wrong-canary")
        .expect("written");
    let wrong = || AuthOptions { netrc_path: Some(netrc.path().join("netrc")), ..no_credentials() };
    let right = with_user(&nginx, "ci:right-canary");
    let anywhere = source(&at(&nginx, "/private/simple"));
    let host = format!("127.0.0.1:{}", nginx.port);
    let report = |auth: AuthOptions, source: &SourceUrl, path: &str| {
        let client = client(quick(), auth, &[source]);
        let error = page(&client, &at(&nginx, path), source).expect_err(path);
        let report = error.report();
        assert!(!report.contains("canary"), "{report}");
        (error.kind(), report)
    };
    for (auth, source, path, kind, text) in [
        (
            no_credentials(),
            &anywhere,
            "/private/simple/demo/",
            Kind::Auth,
            format!("no credentials for {host} (looked in the source's URL"),
        ),
        (wrong(), &anywhere, "/private/simple/demo/", Kind::Auth, format!("{host} refused user ci (from ")),
        (
            no_credentials(),
            &right,
            "/denied/",
            Kind::Auth,
            format!("user ci (from the source's URL) may not read /denied/ on {host}"),
        ),
        (
            no_credentials(),
            &anywhere,
            "/denied/",
            Kind::Auth,
            format!("{host} does not let anyone read /denied/ without credentials"),
        ),
        (
            no_credentials(),
            &right,
            "/missing/",
            Kind::Selection,
            format!(
                "user ci (from the source's URL) may not read /missing/ on {host}, or it does not exist (GitLab answers 404 for both)"
            ),
        ),
        (no_credentials(), &anywhere, "/missing/", Kind::Selection, format!("{host} has no /missing/")),
    ] {
        let (got, report) = report(auth, source, path);
        assert!(report.starts_with(&text) && got == kind, "{text}\n{report}");
    }
    // Refusals are final: repeated wrong logins get users banned.
    nginx.log(6);
}

#[test]
fn a_redirect_to_another_host_or_port_carries_no_credentials() {
    let nginx = private();
    let source = with_user(&nginx, "ci:right-canary");
    let client = client(quick(), no_credentials(), &[&source]);
    for path in ["/moved/x", "/port/x"] {
        assert_eq!(get(&client, &at(&nginx, path)).expect("a file"), b"stored");
    }
    assert_eq!(seen(&nginx, nginx.port, 4).iter().filter(|line| line.contains("auth=[Basic ")).count(), 2);
    assert_eq!(seen(&nginx, nginx.other, 4), ["/storage/demo.whl 200 HTTP/1.1 auth=[-]"; 2]);
}

#[test]
fn a_redirect_to_a_realm_with_credentials_of_its_own_gets_those() {
    let nginx = private();
    let first = with_user(&nginx, "ci:right-canary");
    let second = source(&format!("http://other:other@localhost:{}/storage", nginx.other));
    let client = client(quick(), no_credentials(), &[&first, &second]);
    get(&client, &at(&nginx, "/moved/x")).expect("a file");
    assert_eq!(
        seen(&nginx, nginx.other, 2),
        ["/storage/demo.whl 200 HTTP/1.1 auth=[Basic b3RoZXI6b3RoZXI=]"]
    );
}

#[test]
fn a_netrc_default_does_not_follow_a_redirect() {
    let nginx = private();
    let directory = tempfile::TempDir::new().expect("a directory");
    let netrc = directory.path().join("netrc");
    fs::write(&netrc, "default login ci password right-canary").expect("written");
    let source = source(&at(&nginx, "/private/simple"));
    let auth = AuthOptions { netrc_path: Some(netrc), ..no_credentials() };
    let client = client(quick(), auth, &[&source]);
    get(&client, &at(&nginx, "/moved/x")).expect("a file");
    assert!(seen(&nginx, nginx.port, 2)[0].contains("auth=[Basic "), "{}", nginx.log(2));
    assert_eq!(seen(&nginx, nginx.other, 2), ["/storage/demo.whl 200 HTTP/1.1 auth=[-]"]);
}

#[test]
fn a_host_of_netrc_does_not_follow_a_redirect_to_another_port() {
    let nginx = private();
    let directory = tempfile::TempDir::new().expect("a directory");
    let netrc = directory.path().join("netrc");
    let machine = |name: &str| format!("machine {name} login ci password right-canary\n");
    let source = source(&at(&nginx, "/private/simple"));
    let ask = |text: &str| {
        fs::write(&netrc, text).expect("written");
        let auth = AuthOptions { netrc_path: Some(netrc.clone()), ..no_credentials() };
        get(&client(quick(), auth, &[&source]), &at(&nginx, "/port/x")).expect("a file");
    };
    ask(&machine("127.0.0.1"));
    assert!(seen(&nginx, nginx.port, 2)[0].contains("auth=[Basic "), "{}", nginx.log(2));
    assert_eq!(seen(&nginx, nginx.other, 2), ["/storage/demo.whl 200 HTTP/1.1 auth=[-]"]);
    // Unless the file names the port too.
    ask(&(machine("127.0.0.1") + &machine(&format!("127.0.0.1:{}", nginx.other))));
    assert!(seen(&nginx, nginx.other, 4)[1].contains("auth=[Basic "), "{}", nginx.log(4));
}

#[test]
fn a_signed_url_gets_no_second_credential() {
    let nginx = private();
    let source = with_user(&nginx, "ci:right-canary");
    let client = client(quick(), no_credentials(), &[&source]);
    get(&client, &at(&nginx, "/signed/x")).expect("a file");
    let log = nginx.log(2);
    assert!(log.contains("X-Amz-Signature=abc 200 HTTP/1.1 auth=[-]"), "{log}");
}

#[test]
fn a_redirect_back_to_the_same_server_keeps_its_credentials() {
    let nginx = private();
    let source = with_user(&nginx, "ci:right-canary");
    let client = client(quick(), no_credentials(), &[&source]);
    assert_eq!(get(&client, &at(&nginx, "/home/x")).expect("a file"), b"wheel");
}

#[test]
fn an_index_that_forwards_to_another_server_does_not_have_the_package() {
    let public = Server::start(|_| reply("200 OK", &["Content-Type: text/html"], b"public"));
    let location = format!("Location: http://localhost:{}/simple/demo/", public.port);
    let private = Server::start(move |_| reply("302 Found", &[&location], b""));
    let source = source(&private.url("/simple"));
    let address = url(&private.url("/simple/demo/"));

    let strict = anonymous();
    let Answer::NotFound(error) = strict.page(&address, &source).expect("an answer") else {
        panic!("a page")
    };
    let report = error.report();
    assert_eq!(error.kind(), Kind::Selection);
    assert!(report.contains(&format!("it forwards the question to localhost:{}", public.port)), "{report}");
    assert!(report.contains("--allow-forwarding"), "{report}");
    // The other server never heard the private name.
    assert!(public.log().is_empty());

    let lax = client(FetchOptions { allow_forwarding: true, ..quick() }, no_credentials(), &[]);
    let Answer::Page(page) = lax.page(&address, &source).expect("an answer") else { panic!("no page") };
    assert_eq!((page.body.as_slice(), page.url.port()), (&b"public"[..], Some(public.port)));
}

#[test]
fn a_server_that_fails_at_first_still_gives_the_page() {
    let server = Server::start(|request| match request.number {
        0 => reply("500 Internal Server Error", &[], b""),
        1 => Vec::new(),
        _ => reply("200 OK", &["Content-Type: text/html"], b"page"),
    });
    let source = source(&server.url("/simple"));
    assert_eq!(page(&anonymous(), &server.url("/simple/demo/"), &source).expect("a page").body, b"page");
    assert!(
        server.log()[0].header("accept").expect("accept").starts_with("application/vnd.pypi.simple.v1+json,")
    );
}

#[test]
fn pages_are_unpacked_and_other_compressions_refused() {
    let gzip = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"<html>page").expect("written");
        encoder.finish().expect("finished")
    };
    let server = Server::start(move |request| match request.path.as_str() {
        "/gzip/" => reply("200 OK", &["Content-Encoding: gzip"], &gzip),
        _ => reply("200 OK", &["Content-Encoding: br"], b"x"),
    });
    let source = source(&server.url("/"));
    assert_eq!(page(&anonymous(), &server.url("/gzip/"), &source).expect("a page").body, b"<html>page");
    let error = page(&anonymous(), &server.url("/br/"), &source).expect_err("brotli");
    assert!(error.report().contains("compressed with \"br\""), "{}", error.report());
}

#[test]
fn a_page_that_unpacks_without_end_is_refused() {
    let bomb = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let zeros = vec![0; 1 << 20];
        (0..257).for_each(|_| encoder.write_all(&zeros).expect("written"));
        encoder.finish().expect("finished")
    };
    let server = Server::start(move |_| reply("200 OK", &["Content-Encoding: gzip"], &bomb));
    let source = source(&server.url("/"));
    let error = page(&anonymous(), &server.url("/"), &source).expect_err("a bomb");
    assert!(error.report().contains("too large for an index page"), "{}", error.report());
}

#[test]
fn an_index_may_be_a_directory() {
    let directory = tempfile::TempDir::new().expect("a directory");
    fs::create_dir(directory.path().join("demo")).expect("a directory");
    fs::write(directory.path().join("demo/index.html"), "page").expect("written");
    let root = url::Url::from_directory_path(directory.path()).expect("a URL");
    let source = SourceUrl::from(root.clone());
    let client =
        Client::new(quick(), CredentialStore::new(no_credentials()).expect("a store")).expect("a client");
    let at = |name: &str| root.join(name).expect("a URL");
    let Answer::Page(page) = client.page(&at("demo/"), &source).expect("an answer") else {
        panic!("no page")
    };
    assert_eq!(page.body, b"page");
    assert!(matches!(client.page(&at("missing/"), &source), Ok(Answer::NotFound(_))));
}
