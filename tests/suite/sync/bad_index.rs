//! Indexes that do not give what the lock pins: exit codes and whole messages.

use crate::support::{
    files,
    index::{answer, index},
    lock::Lock,
    package::{Package, greeter, noise, sha256},
    project::Project,
    server::{self, Server, cut, reply},
};

fn demo() -> Package {
    Package::simple("demo", "1.0")
}

/// An index that answers everything like this.
fn always(status: &'static str, headers: &'static [&'static str]) -> Project {
    let server = Server::start(move |_| reply(status, headers, b"no"));
    Project::at(&server, &[demo()])
}

#[test]
fn a_package_and_its_file_come_from_the_index() {
    let server = index(&[demo()]);
    let project = Project::at(&server, &[demo()]);
    project.sync().says(&[".venv: 1 package, {size} in {time} s: 1 downloaded (1.1 kB)"]);
    assert_eq!(project.script("demo"), "demo 1.0");
    let asked: Vec<String> = server.log().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/simple/demo/".to_owned(), demo().path()]);
    std::fs::remove_dir_all(project.venv()).expect("removed");
    project.sync().says(&[".venv: 1 package, {size} in {time} s: 1 cached"]);
    assert_eq!(server.log().len(), 2, "the second run asks nobody");
}

#[test]
fn hashes_that_match_nothing_on_the_index() {
    let there = Package::simple("demo", "1.0");
    let mut locked = there.clone();
    locked.sha256 = "a".repeat(64);
    let server = index(&[there]);
    let project = Project::at(&server, &[locked]);
    let has = format!("  - the index has demo-1.0-py3-none-any.whl with sha256:{}", demo().sha256);
    project.sync().ends(
        5,
        &[
            "error: cannot install demo 1.0 [default]",
            "  because: no file that the index has of demo ==1.0 is one that the lock pins",
            &has,
            &format!("  - the lock has sha256:{}", "a".repeat(64)),
            "  help: if the files were built or uploaded again, lock again; otherwise the source is not the one the lock was made with, or the files were tampered with",
        ],
    );
    assert!(!project.venv().exists());
}

#[test]
fn a_version_that_the_index_does_not_have() {
    let server = index(&[Package::simple("demo", "0.9"), Package::simple("demo", "2.0")]);
    let project = Project::at(&server, &[demo()]);
    project.sync().ends(
        5,
        &[
            "error: cannot install demo 1.0 [default]",
            "  because: the index has no file of demo ==1.0; it has 2.0, 0.9",
            "  help: check that the lock names the right source for this package, or lock again",
        ],
    );
}

#[test]
fn an_index_that_wants_credentials() {
    always("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"packages\""]).sync().ends(6, &["error: cannot install demo 1.0 [default]", "  because: no credentials for 127.0.0.1:{port} (looked in the source's URL, VENVOY_INDEX_EXAMPLE_USERNAME and _PASSWORD, /run/secrets/netrc (does not exist), ~/.netrc (does not exist))", "  help: give user and password in the source's URL (https://${USER}:${TOKEN}@127.0.0.1:{port}/…), or as \"machine 127.0.0.1:{port} login USER password TOKEN\" in ~/.netrc"]);
}

#[test]
fn an_index_that_refuses_the_credentials() {
    let server =
        Server::start(|_| reply("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"p\""], b"no"));
    let mut project = Project::new();
    project.knows(&server);
    let url = server.url("/simple").replace("http://", "http://ci:s3cret@");
    project.lock(&Lock::of(&url, &[demo()]));
    project.sync().ends(
        6,
        &[
            "error: cannot install demo 1.0 [default]",
            "  because: 127.0.0.1:{port} refused user ci (from the source's URL)",
            "  help: the password or token may be wrong, expired or revoked",
        ],
    );
}

#[test]
fn an_index_that_forbids() {
    always("403 Forbidden", &[]).sync().ends(6, &["error: cannot install demo 1.0 [default]", "  because: 127.0.0.1:{port} does not let anyone read /simple without credentials (looked in the source's URL, VENVOY_INDEX_EXAMPLE_USERNAME and _PASSWORD, /run/secrets/netrc (does not exist), ~/.netrc (does not exist))", "  help: give credentials, or check that this machine may use the index (some are open to certain networks only)"]);
}

#[test]
fn a_package_that_the_index_does_not_have() {
    always("404 Not Found", &[]).sync().ends(5, &["error: cannot install demo 1.0 [default]", "  because: 127.0.0.1:{port} has no /simple/demo/, or shows it only with credentials (looked in the source's URL, VENVOY_INDEX_EXAMPLE_USERNAME and _PASSWORD, /run/secrets/netrc (does not exist), ~/.netrc (does not exist))", "  help: check the source's URL in the lock (it usually ends in /simple), and that the lock names the right source for this package"]);
}

#[test]
fn a_file_that_is_gone_from_the_index() {
    let demo = demo();
    let packages = [demo.clone()];
    let server = Server::start(move |request| {
        if request.path.starts_with("/simple/files/") {
            reply("404 Not Found", &[], b"")
        } else {
            answer(&packages, request)
        }
    });
    Project::at(&server, &[demo]).sync().ends(5, &["error: cannot install demo 1.0 [default]", "  because: 127.0.0.1:{port} has no /simple/files/demo-1.0-py3-none-any.whl, or shows it only with credentials (looked in the source's URL, VENVOY_INDEX_EXAMPLE_USERNAME and _PASSWORD, /run/secrets/netrc (does not exist), ~/.netrc (does not exist))", "  help: check the source's URL in the lock (it usually ends in /simple), and that the lock names the right source for this package"]);
}

#[test]
fn an_index_that_nobody_listens_at() {
    // A port that was free a moment ago; nobody else on this machine is waiting for connections on it.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let project = Project::new();
    project.lock(&Lock::of(&format!("http://127.0.0.1:{port}/simple"), &[demo()]));
    project.sync().ends(
        7,
        &[
            &format!(
                "warning: cannot connect to 127.0.0.1:{port}: Connection refused (os error 111); trying again"
            ),
            "error: cannot install demo 1.0 [default]",
            &format!("  because: cannot reach 127.0.0.1:{port} after 6 tries"),
            &format!("  because: cannot connect to 127.0.0.1:{port}: Connection refused (os error 111)"),
            "  help: check the network and proxy settings, then run the same command again: what was verified is kept",
        ],
    );
}

#[test]
fn a_page_that_is_no_index_page() {
    let server = Server::start(|_| reply("200 OK", &["Content-Type: image/png"], b"\x89PNG"));
    Project::at(&server, &[demo()]).sync().ends(7, &["error: cannot install demo 1.0 [default]", "  because: http://127.0.0.1:{port}/simple/demo/ is not an index page that venvoy can read", "  because: got content of type \"image/png\", expected HTML or JSON", "  help: check the source's URL in the lock (it usually ends in /simple) and that the credentials for it are known: some servers answer with a login page"]);
}

#[test]
fn bytes_that_are_not_what_the_lock_pins_are_refused_and_not_kept() {
    let demo = demo();
    let packages = [Package { bytes: noise(1000), ..demo.clone() }];
    let server = Server::start(move |request| answer(&packages, request));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    project.sync().ends(
        8,
        &[
            "error: cannot install demo 1.0 [default]",
            "  because: demo-1.0-py3-none-any.whl is not the file that was locked",
            &format!("  got sha256:{} (1000 bytes)", sha256(&noise(1000))),
            &format!("  expected sha256:{}", demo.sha256),
            "  help: nothing of it was kept; if the file was uploaded again on purpose, lock again, otherwise find out who changed it",
        ],
    );
    let kept = files::below(&project.path("cache"));
    assert!(kept.iter().all(|path| !path.to_string_lossy().ends_with(".whl")), "{kept:?}");
    assert!(!project.venv().exists());
}

#[test]
fn every_package_that_cannot_be_had_is_named() {
    let there = Package::simple("there", "1.0");
    let server = index(std::slice::from_ref(&there));
    let project =
        Project::at(&server, &[Package::simple("one", "1.0"), there, Package::simple("two", "2.0")]);
    project.sync().ends(5, &["error: 2 of 3 packages cannot be installed", "  - cannot install one 1.0 [default]", "      because: 127.0.0.1:{port} has no /simple/one/, or shows it only with credentials (looked in the source's URL, VENVOY_INDEX_EXAMPLE_USERNAME and _PASSWORD, /run/secrets/netrc (does not exist), ~/.netrc (does not exist))", "  - cannot install two 2.0 [default]", "      because: 127.0.0.1:{port} has no /simple/two/, or shows it only with credentials (looked in the source's URL, VENVOY_INDEX_EXAMPLE_USERNAME and _PASSWORD, /run/secrets/netrc (does not exist), ~/.netrc (does not exist))", "  help: check the source's URL in the lock (it usually ends in /simple), and that the lock names the right source for this package"]);
}

#[test]
fn a_download_that_breaks_goes_on_where_it_broke() {
    let big = Package::new(&greeter("demo", "1.0").stored("demo.bin", noise(200_000)));
    let packages = [big.clone()];
    let server = Server::start(move |request| {
        let whole = answer(&packages, request);
        if request.path.starts_with("/simple/files/") && request.range_start().is_none() {
            cut(whole, 100_000)
        } else {
            whole
        }
    });
    let project = Project::at(&server, std::slice::from_ref(&big));
    project.sync().succeeds();
    assert_eq!(project.script("demo"), "demo 1.0");
    let starts: Vec<Option<usize>> =
        server.log().iter().filter(|r| r.path == big.path()).map(server::Request::range_start).collect();
    assert!(matches!(starts[..], [None, Some(start)] if start > 0), "{starts:?}");
}

#[test]
fn offline_without_a_cache_says_what_is_missing() {
    let server = index(&[demo()]);
    let project = Project::at(&server, &[demo()]);
    project.sync_with(&["--offline"]).ends(
        7,
        &[
            "error: cannot install demo 1.0 [default]",
            "  because: example was not asked for demo: --offline, and an earlier run kept no answer",
            "  help: run once without --offline, with the same lock and cache, or add --find-links",
        ],
    );
    assert_eq!(server.log().len(), 0);
}

#[test]
fn a_package_is_only_asked_for_on_its_own_index() {
    let (public, private) = (Package::simple("public", "1.0"), Package::simple("private", "1.0"));
    let (first, second) = (index(&[public.clone(), private.clone()]), index(std::slice::from_ref(&private)));
    let project = Project::new();
    let mut entry = private.entry();
    entry["index"] = "mine".into();
    let sources = serde_json::json!([
        {"name": "example", "url": first.url("/simple"), "verify_ssl": true},
        {"name": "mine", "url": second.url("/simple"), "verify_ssl": true},
    ]);
    project.lock(&Lock::new().meta("sources", sources).package(&public).entry("default", "private", entry));
    project.sync().succeeds();
    assert!(first.log().iter().all(|request| !request.path.contains("private")), "{:?}", first.log());
    assert!(second.log().iter().all(|request| !request.path.contains("public")), "{:?}", second.log());
}
