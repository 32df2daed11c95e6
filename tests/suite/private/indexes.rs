//! Private and public packages in one lock, on servers as companies have them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::support::{
    ca::Ca,
    index::{answer, basic, index, private, site},
    index_servers::pypiserver,
    lock::Lock,
    nginx::{Nginx, Setup},
    package::Package,
    project::Project,
    server::{Server, reply},
    tinyproxy::Proxy,
};
use serde_json::json;

const SECRET: &str = "canary-7Zq";

/// nginx with TLS from `ca`: `/simple` on `{port}` wants a password, `{other}` wants a client certificate.
fn company(ca: &Ca, packages: &[&Package]) -> Nginx {
    let servers = "
        ssl_certificate CA/server.pem; ssl_certificate_key CA/server.key;
        server {
            listen {port} ssl http2;
            auth_basic packages; auth_basic_user_file {dir}/users;
        }
        server { listen {other} ssl; ssl_client_certificate CA/ca.pem; ssl_verify_client on; }";
    let directory = ca.path("");
    let setup = Setup::new().user("users", "ci", SECRET);
    site(packages)
        .iter()
        .fold(setup, |setup, (name, bytes)| setup.file(name, bytes))
        .start(&servers.replace("CA/", &format!("{}/", directory.display()).replace("//", "/")))
}

fn text(path: &std::path::Path) -> String {
    path.display().to_string()
}

#[test]
fn private_and_public_packages_of_one_lock_come_from_their_own_servers() {
    let ca = Ca::new();
    let (ours, theirs) = (Package::by("us", "ours"), Package::by("them", "theirs"));
    let company = company(&ca, &[&ours]);
    // The public one has a package of the private one's name, too.
    let evil = Package::by("evil", "ours");
    let open = pypiserver(
        &[(&theirs.file, &theirs.bytes), (&evil.file, &evil.bytes)],
        None,
        "http://127.0.0.1:1/simple",
    );
    let url = format!("https://ci:${{TOKEN}}@localhost:{}/simple", company.port);
    let lock = Lock::bare()
        .source("public", &open.url("/simple"))
        .source("company", &url)
        .package_from("company", &ours)
        .package(&theirs);
    let bundle = text(&ca.bundle());
    let project = Project::of(&lock).variable("TOKEN", SECRET).variable("PIP_CERT", bundle.clone());
    let ran = project.run(&["sync", "-vv"]);
    ran.ends_with(0).never_mentions(SECRET);
    assert_eq!(project.site_file("ours.py"), "publisher = \"us\"\n");
    assert_eq!(project.site_file("theirs.py"), "publisher = \"them\"\n");
    // A page and a file, each with the credentials at once; nothing about the other package.
    let log = company.log(2);
    assert_eq!(log.matches(&format!("auth=[{}]", basic(&format!("ci:{SECRET}")))).count(), 2, "{log}");
    assert!(!log.contains("theirs"), "{log}");

    let rows = project.run(&["plan", "--json"]).json();
    let source = |name: &str| {
        rows.as_array().expect("rows").iter().find(|row| row["name"] == name).expect(name)["source"].clone()
    };
    assert_eq!((source("ours"), source("theirs")), (json!("company"), json!("public")));

    // Wrong now: the token expired since.
    let project = project.variable("TOKEN", "expired-canary-7Zq");
    let ran = project.forget().run(&["sync"]);
    ran.ends_with(6).never_mentions(SECRET).mentions(&[
        "cannot install ours 1.0",
        &format!("localhost:{} refused user ci (from the source's URL)", company.port),
        "the password or token may be wrong, expired or revoked",
    ]);
    // Of two sources one is refused: both are told.
    let ran = project.run(&["auth", "--check"]);
    ran.ends_with(6).mentions(&["ok: 1 file of theirs", "refused user ci"]).never_mentions(SECRET);

    // Without the CA nothing is trusted.
    let project = project.variable("PIP_CERT", "").variable("TOKEN", SECRET);
    let ran = project.run(&["sync"]);
    ran.ends_with(7)
        .mentions(&["cannot make a secure connection to localhost", "--cert"])
        .never_mentions(SECRET);
    project.run(&["sync", "--cert", &bundle]).ends_with(0);
    // A setting that cannot be used fails closed, before anything is asked.
    project.forget().run(&["sync", "--cert", "none.pem"]).ends_with(2).mentions(&["none.pem (--cert)"]);
}

#[test]
fn an_unverified_server_is_a_warning_at_every_run() {
    let ca = Ca::new();
    let ours = Package::by("us", "ours");
    let company = company(&ca, &[&ours]);
    let source = json!({
        "name": "company", "url": format!("https://ci:{SECRET}@localhost:{}/simple", company.port),
        "verify_ssl": false,
    });
    let project = Project::of(&Lock::bare().any_source(source).package(&ours));
    for args in [&["sync"][..], &["plan"], &["auth", "--check"]] {
        let ran = project.run(args);
        ran.ends_with(0).never_mentions(SECRET).mentions(&[
            &format!("the certificate of https://localhost:{} is not verified", company.port),
            "source company",
        ]);
        assert_eq!(ran.stderr.matches("is not verified").count(), 1, "{}", ran.stderr);
        project.forget();
    }
}

#[test]
fn a_client_certificate_is_presented_where_the_option_or_pip_names_one() {
    let ca = Ca::new();
    let ours = Package::by("us", "ours");
    let company = company(&ca, &[&ours]);
    let url = format!("https://localhost:{}/simple", company.other);
    let project = Project::of(&Lock::bare().source("company", &url).package(&ours))
        .variable("SSL_CERT_FILE", text(&ca.bundle()));
    let certificate = text(&ca.client());
    let ran = project.run(&["sync"]);
    // nginx answers 400 to those who come without.
    ran.ends_with(7).mentions(&["400"]);
    project.run(&["sync", "--client-cert", &certificate]).ends_with(0);
    let project = project.variable("PIP_CLIENT_CERT", certificate);
    project.forget().run(&["auth", "--check"]).ends_with(0).mentions(&["ok: 1 file"]);
}

#[test]
fn a_redirect_to_storage_carries_no_header() {
    let ours = Package::by("us", "ours");
    let bytes = ours.bytes.clone();
    let storage = Server::start(move |_| reply("200 OK", &[], &bytes));
    let location =
        format!("Location: http://localhost:{}/bucket/abc?X-Amz-Signature=canary-7Zq", storage.port);
    let packages = ours.clone();
    let index = Server::start(move |request| match request.header("authorization") {
        None => reply("401 Unauthorized", &[], b""),
        Some(_) if request.path.contains("/files/") => reply("302 Found", &[&location], b""),
        Some(_) => answer(&[&packages], request),
    });
    let url = index.url("/simple").replace("//", &format!("//ci:{SECRET}@"));
    let project = Project::of(&Lock::bare().source("company", &url).package(&ours));
    // A default entry is for the index's own realm, not for wherever it sends us.
    let project = project.file("home/.netrc", "default login any password any-canary-7Zq");
    project.run(&["sync", "-vv"]).ends_with(0).never_mentions(SECRET);
    assert_eq!(storage.log().len(), 1);
    assert!(storage.log()[0].header("authorization").is_none(), "{:?}", storage.log());
    assert!(index.log().iter().all(|r| r.header("authorization") == Some(&basic(&format!("ci:{SECRET}")))));
}

#[test]
fn forwarded_requests_are_not_found_unless_allowed_and_then_only_what_is_pinned() {
    let ours = Package::by("us", "ours");
    let elsewhere = index(&[&ours]);
    let target = elsewhere.port;
    let gitlab = Server::start(move |request| {
        reply("302 Found", &[&format!("Location: http://localhost:{target}{}", request.path)], b"")
    });
    let url = gitlab.url("/simple").replace("//", &format!("//ci:{SECRET}@"));
    let project = Project::of(&Lock::bare().source("gitlab", &url).package(&ours));
    let ran = project.run(&["sync"]);
    ran.ends_with(5).mentions(&[
        "127.0.0.1",
        "does not have /simple/ours/: it forwards the question to localhost",
        "--allow-forwarding",
    ]);
    assert!(elsewhere.log().is_empty());
    project.run(&["auth", "--check"]).ends_with(6).mentions(&["forwards the question"]);
    project.run(&["sync", "--allow-forwarding"]).ends_with(0);
    assert!(elsewhere.log().iter().all(|request| request.header("authorization").is_none()));

    // Another file under the same name is not what the lock pins.
    let evil = index(&[&Package::by("evil", "ours")]);
    let target = evil.port;
    let gitlab = Server::start(move |request| {
        reply("302 Found", &[&format!("Location: http://localhost:{target}{}", request.path)], b"")
    });
    let lock = Lock::bare().source("gitlab", &gitlab.url("/simple")).package(&ours);
    let ran = Project::of(&lock).run(&["sync", "--allow-forwarding"]);
    ran.ends_with(5).mentions(&["ours"]);
    assert!(evil.log().iter().all(|request| !request.path.contains("/files/")), "{:?}", evil.log());

    // What nothing pins is not asked for elsewhere, whatever else is allowed.
    let asked = evil.log().len();
    let lock = Lock::bare().source("gitlab", &gitlab.url("/simple")).entry(
        "default",
        "ours",
        json!({ "version": "==1.0", "index": "gitlab" }),
    );
    let ran = Project::of(&lock).run(&["sync", "--allow-forwarding", "--allow-unhashed"]);
    ran.ends_with(5).mentions(&["forwards the question"]);
    assert_eq!(evil.log().len(), asked);
}

#[test]
fn a_package_is_asked_for_only_where_it_belongs() {
    let (ours, theirs) = (Package::by("us", "ours"), Package::by("them", "theirs"));
    let company = private::<Package>(&format!("ci:{SECRET}"), &[]);
    // It would have it, and gladly.
    let open = index(&[&ours, &theirs]);
    let url = company.url("/simple").replace("//", &format!("//ci:{SECRET}@"));
    let lock = Lock::bare()
        .source("public", &open.url("/simple"))
        .source("company", &url)
        .package_from("company", &ours)
        .package_from("public", &theirs);
    let project = Project::of(&lock);
    project.run(&["sync"]).ends_with(5).mentions(&["cannot install ours", "GitLab answers 404 for both"]);
    assert!(open.log().iter().all(|request| !request.path.contains("ours")), "{:?}", open.log());
    assert!(company.log().iter().all(|request| !request.path.contains("theirs")), "{:?}", company.log());
    // The environment adds no index.
    let project = project
        .variable("PIP_EXTRA_INDEX_URL", open.url("/simple"))
        .variable("PIP_INDEX_URL", open.url("/simple"));
    project.run(&["sync"]).ends_with(5);
    assert!(open.log().iter().all(|request| !request.path.contains("ours")), "{:?}", open.log());
}

#[test]
fn an_entry_without_hashes_is_refused_and_marked() {
    let ours = Package::by("us", "ours");
    let index = index(&[&ours]);
    let lock = Lock::bare().source("company", &index.url("/simple")).entry(
        "default",
        "ours",
        json!({ "version": "==1.0", "index": "company" }),
    );
    let project = Project::of(&lock);
    let ran = project.run(&["sync"]);
    ran.ends_with(3).mentions(&[
        "cannot install ours 1.0",
        "the lock has no hashes for it",
        "--allow-unhashed",
    ]);
    assert!(index.log().is_empty());
    let rows = project.run(&["plan", "--json"]).json();
    assert_eq!(rows[0]["unhashed"], true);
    project.run(&["plan"]).ends_with(0).mentions(&["refused without --allow-unhashed", "no hashes"]);
    project.run(&["sync", "--allow-unhashed"]).ends_with(0);
    assert_eq!(project.site_file("ours.py"), "publisher = \"us\"\n");
    let rows = project.run(&["plan", "--json", "--allow-unhashed"]).json();
    assert_eq!((&rows[0]["unhashed"], &rows[0]["kind"]), (&json!(true), &json!("wheel")));
}

#[test]
fn mirrors_replace_sources_for_a_run_with_credentials_of_their_own() {
    let ours = Package::by("us", "ours");
    let (locked, mirror) = (private("ci:locked", &[&ours]), private("ci:mirror", &[&ours]));
    let url =
        |server: &Server, password: &str| server.url("/simple").replace("//", &format!("//ci:{password}@"));
    let lock = Lock::bare().source("company", &url(&locked, "locked")).package_from("company", &ours);
    let project = Project::of(&lock);
    let option = format!("company={}", url(&mirror, "mirror"));
    project.run(&["sync", "--index-url", &option]).ends_with(0);
    assert!(locked.log().is_empty());
    assert!(mirror.log().iter().all(|r| r.header("authorization") == Some(&basic("ci:mirror"))));
    project
        .run(&["sync", "--index-url", "other=http://127.0.0.1:9/"])
        .ends_with(2)
        .mentions(&["--index-url other=...", "sources of the lock: company"]);
    let unusable = format!("http://u:{SECRET}@");
    project
        .run(&["sync", "--index-url", &unusable])
        .ends_with(2)
        .mentions(&["NAME=URL"])
        .never_mentions(SECRET);
    let unusable = format!("company=http://u:{SECRET}@[bad/");
    project.run(&["sync", "--index-url", &unusable]).ends_with(2).never_mentions(SECRET);
}

#[test]
fn pipenvs_mirror_replaces_the_public_index_only() {
    let (ours, theirs) = (Package::by("us", "ours"), Package::by("them", "theirs"));
    let (company, mirror) = (index(&[&ours]), private(&format!("ci:{SECRET}"), &[&theirs]));
    let host = ["pypi", "org"].join(".");
    let lock = Lock::bare()
        .source("public", &format!("https://{host}/simple"))
        .source("company", &company.url("/simple"))
        .package_from("company", &ours)
        .package(&theirs);
    let project = Project::of(&lock)
        .variable("PIPENV_PYPI_MIRROR", mirror.url("/simple").replace("//", &format!("//ci:{SECRET}@")));
    project.run(&["sync", "-vv"]).ends_with(0).never_mentions(SECRET);
    assert!(mirror.log().iter().all(|request| request.path.contains("theirs")));
    assert!(company.log().iter().all(|request| request.path.contains("ours")));
    let project = project.variable("PIPENV_PYPI_MIRROR", format!("http://u:{SECRET}@[bad"));
    project.run(&["sync"]).ends_with(2).mentions(&["PIPENV_PYPI_MIRROR is unusable"]).never_mentions(SECRET);
}

#[test]
fn a_proxy_with_a_password_is_used_for_what_no_proxy_does_not_name() {
    let ours = Package::by("us", "ours");
    let index = index(&[&ours]);
    let proxy = Proxy::start(SECRET);
    let requests = || proxy.said("Request (file descriptor");

    let project = Project::of(&Lock::bare().source("company", &index.url("/simple")).package(&ours));
    let project = project.variable("http_proxy", proxy.url(&format!("me:{SECRET}@")));
    project.run(&["sync", "-vv"]).ends_with(0).never_mentions(SECRET);
    assert_eq!(requests(), 2);
    let project = project.variable("no_proxy", "127.0.0.1");
    project.forget().run(&["sync"]).ends_with(0);
    assert_eq!(requests(), 2);
    let project = project.variable("no_proxy", "").variable("http_proxy", proxy.url(""));
    project.forget().run(&["sync"]).ends_with(6).mentions(&[
        "the proxy on the way to 127.0.0.1",
        "http_proxy",
        "USER:PASSWORD@HOST:PORT",
    ]);
    // The proxy's password is nobody else's.
    assert!(index.log().iter().all(|request| request.header("proxy-authorization").is_none()));
}

#[test]
fn two_projects_of_one_gitlab_get_their_own_tokens() {
    let (one, two) = (Package::by("us", "one"), Package::by("us", "two"));
    let (first, second) = (one.clone(), two.clone());
    let gitlab = Server::start(move |request| {
        let expected = BTreeMap::from([("5", ("t:five", &first)), ("50", ("t:fifty", &second))]);
        let id = request.path.split('/').nth(2).unwrap_or_default();
        let Some((login, package)) = expected.get(id) else { return reply("404 Not Found", &[], b"") };
        if request.header("authorization") != Some(&basic(login)) {
            return reply("404 Not Found", &[], b"");
        }
        let mut inner = request.clone();
        inner.path = request.path.replacen(&format!("/projects/{id}"), "", 1);
        answer(&[*package], &inner)
    });
    let url = |id: &str| gitlab.url(&format!("/projects/{id}/simple"));
    let lock = Lock::bare()
        .source("five", &url("5"))
        .source("fifty", &url("50"))
        .package_from("five", &one)
        .package_from("fifty", &two);
    let project = Project::of(&lock)
        .variable("VENVOY_INDEX_FIVE_USERNAME", "t")
        .variable("VENVOY_INDEX_FIVE_PASSWORD", "five")
        .variable("VENVOY_INDEX_FIFTY_USERNAME", "t")
        .variable("VENVOY_INDEX_FIFTY_PASSWORD", "fifty");
    project.run(&["sync"]).ends_with(0);
    project.run(&["auth", "--check"]).ends_with(0).mentions(&["ok: 1 file of one", "ok: 1 file of two"]);
}

#[test]
fn codeartifacts_relative_links_and_json_errors_are_understood() {
    // Its token is a password for the user aws; files lie below the package's page.
    let ours = Package::by("us", "ours");
    let served = ours.clone();
    let expected = basic(&format!("aws:{SECRET}"));
    let index = Server::start(move |request| {
        let page = format!(
            "<html><body><a href=\"1.0/{0}#sha256={1}\" data-gpg-sig=\"false\">{0}</a><br/></body></html>",
            served.file, served.sha256
        );
        let json = ["Content-Type: application/json"];
        if request.header("authorization") != Some(&expected) {
            return reply("401 Unauthorized", &json, br#"{"message":"Unauthenticated"}"#);
        }
        match request.path.strip_prefix("/pypi/store/simple/") {
            Some("ours/") => reply("200 OK", &["Content-Type: text/html"], page.as_bytes()),
            Some(path) if path == format!("ours/1.0/{}", served.file) => reply("200 OK", &[], &served.bytes),
            _ => reply("404 Not Found", &json, br#"{"message":"Package not found."}"#),
        }
    });
    let lock = Lock::bare().source("store", &index.url("/pypi/store/simple/")).package(&ours);
    let project = Project::of(&lock).variable("VENVOY_INDEX_STORE_USERNAME", "aws");
    let project = project.variable("VENVOY_INDEX_STORE_PASSWORD", SECRET);
    project.run(&["sync"]).ends_with(0);
    // Its tokens live for twelve hours.
    let project = project.variable("VENVOY_INDEX_STORE_PASSWORD", "yesterdays");
    project.forget().run(&["sync"]).ends_with(6).mentions(&["refused user aws", "expired"]);
    let lock = Lock::bare()
        .source("store", &index.url("/pypi/store/simple/").replace("//", &format!("//aws:{SECRET}@")))
        .package(&Package::by("us", "gone"));
    Project::of(&lock).run(&["sync"]).ends_with(5).mentions(&["may not read /pypi/store/simple/gone/"]);
}

#[test]
fn nexus_files_with_md5_only_are_fetched_and_judged_by_their_bytes() {
    // Until it reindexes, Nexus gives md5, and links to a directory beside the pages.
    let (ours, evil) = (Package::by("us", "ours"), Package::by("evil", "ours"));
    let nexus = |served: &Package| {
        let served = served.clone();
        Server::start(move |request| {
            let link = format!("../../packages/ours/1.0/{0}", served.file);
            let page = format!(
                "<a href=\"{link}#md5=0123456789abcdef0123456789abcdef\" rel=\"internal\" data-requires-python=\"\">{}</a>",
                served.file
            );
            match request.path.as_str() {
                "/repository/pypi/simple/ours/" => {
                    reply("200 OK", &["Content-Type: text/html"], page.as_bytes())
                }
                path if path.starts_with("/repository/pypi/packages/ours/1.0/") => {
                    reply("200 OK", &[], &served.bytes)
                }
                _ => reply("404 Not Found", &[], b""),
            }
        })
    };
    let project = |server: &Server| {
        Project::of(&Lock::bare().source("nexus", &server.url("/repository/pypi/simple")).package(&ours))
    };
    let honest = nexus(&ours);
    let good = project(&honest);
    good.run(&["sync"]).ends_with(0);
    assert_eq!(good.site_file("ours.py"), "publisher = \"us\"\n");
    let files = |server: &Server| server.log().iter().filter(|r| r.path.contains("packages")).count();
    assert_eq!(files(&honest), 1);
    let other = nexus(&evil);
    let bad = project(&other);
    assert_ne!(bad.run(&["sync"]).code, Some(0));
    assert_eq!(bad.site_file("ours.py"), "");
}

#[test]
fn a_file_that_is_longer_than_the_index_said_is_stopped_early() {
    // JSON pages give sizes; a server that sends without end must not fill the disk.
    let ours = Package::by("us", "ours");
    let (file, digest, size) = (ours.file.clone(), ours.sha256.clone(), ours.bytes.len());
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let endless = Server::with_streams(move |request, stream| {
        use std::io::Write as _;
        if request.path == "/simple/ours/" {
            let page = json!({
                "meta": { "api-version": "1.1" }, "name": "ours",
                "files": [{ "filename": file, "url": format!("/files/{file}"), "size": size, "hashes": { "sha256": digest } }],
            });
            let kind = "Content-Type: application/vnd.pypi.simple.v1+json";
            let _ = stream.write_all(&reply("200 OK", &[kind], page.to_string().as_bytes()));
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        // Many times the file, were it let; not a disk's fill, should venvoy not stop it.
        let chunks = (0..256).take_while(|_| stream.write_all(&vec![0; 1 << 16]).is_ok()).count();
        count.store(chunks, Ordering::SeqCst);
    });
    let project = Project::of(&Lock::bare().source("index", &endless.url("/simple")).package(&ours));
    let ran = project.run(&["sync"]);
    ran.ends_with(8).mentions(&["ours-1.0-py3-none-any.whl", &format!("{size} bytes")]);
    assert_eq!(endless.log().len(), 2, "{:?}", endless.log());
    assert!(sent.load(Ordering::SeqCst) < 256);
}
