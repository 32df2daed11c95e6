//! Indexes that do not give what the lock pins: exit codes and whole messages.

use crate::support::{
    files,
    index::{answer, index},
    lock::Lock,
    package::{Package, greeter, noise, sha256},
    program::PATH,
    project::Project,
    run::Run,
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

#[test]
fn a_host_that_does_not_exist_is_given_up_once_for_all_packages() {
    let packages: Vec<Package> = (10..40).map(|n| Package::simple(&format!("p{n}"), "1.0")).collect();
    let project = Project::new();
    project.lock(&Lock::of("http://index.invalid/simple", &packages));
    let started = std::time::Instant::now();
    let run = project.sync();
    assert!(started.elapsed() < std::time::Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(run.code, Some(7), "{}", run.stderr);
    let told = run.stderr.matches("no address for index.invalid").count();
    assert!(told <= 2, "told {told} times:\n{}", run.stderr);
    let heading = "error: 30 of 30 packages cannot be installed: p10 1.0 [default], p11 1.0 [default], ";
    assert!(run.stderr.contains(heading) && run.stderr.contains(" and 18 more\n"), "{}", run.stderr);
}

#[test]
fn a_login_that_is_refused_is_sent_and_told_once() {
    let server = Server::start(|_| reply("401 Unauthorized", &[], b""));
    let packages: Vec<Package> = (10..30).map(|n| Package::simple(&format!("p{n}"), "1.0")).collect();
    let mut project = Project::new();
    project.knows(&server);
    let url = server.url("/simple").replace("//", "//ci:canary@");
    project.lock(&Lock::of(&url, &packages));
    let run = project.sync();
    assert_eq!(run.code, Some(6), "{}", run.stderr);
    assert_eq!(run.stderr.matches("refused user ci").count(), 1, "{}", run.stderr);
    assert_eq!(server.log().len(), 1, "a server may lock out who sends wrong passwords");
}

/// What would move a cursor, colour, retitle or reverse what is shown.
const ESCAPES: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}gnp\u{2066}\u{200b}";

fn shows_nothing_raw(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        let raw = |c: char| c.is_control() && c != '\n' || ESCAPES.contains(c) && !c.is_ascii();
        assert!(!text.chars().any(raw), "{text:?}");
    }
    assert!(run.stderr.contains("\\u{1b}") || run.stderr.contains("\\u{202e}"), "{}", run.stderr);
}

#[test]
fn nothing_that_an_index_or_a_lock_says_reaches_the_terminal_raw() {
    // A redirect to a host, a content type and a yanked reason; the lock's names and markers.
    let title = format!("<title>{ESCAPES}</title><form>");
    let server = Server::start(move |_| reply("200 OK", &["Content-Type: text/html"], title.as_bytes()));
    shows_nothing_raw(&Project::at(&server, &[demo()]).sync());
    let demo = demo();
    let project = Project::with_wheels(std::slice::from_ref(&demo));
    for (name, entry) in [
        (format!("de{ESCAPES}mo"), demo.entry()),
        ("demo".into(), serde_json::json!({ "version": format!("=={ESCAPES}") })),
        ("demo".into(), serde_json::json!({ "version": "==1.0", "index": format!("x{ESCAPES}") })),
        ("demo".into(), serde_json::json!({ "version": "==1.0", "markers": format!("x{ESCAPES} == 'y'") })),
    ] {
        project.lock(&Lock::at("http://127.0.0.1:9/simple").entry("default", &name, entry));
        let run = project.run(&["sync"]);
        assert_ne!(run.code, Some(0), "{name:?}");
        shows_nothing_raw(&run);
    }
}

#[test]
fn json_on_standard_output_escapes_what_a_terminal_would_act_on() {
    let project = Project::new();
    let file = "x\u{202e}y.whl";
    let entry = serde_json::json!({ "file": format!("./{file}") });
    project.lock(&Lock::at("http://127.0.0.1:9/simple").entry("default", "demo", entry));
    let run = project.run(&["plan", "--json"]);
    assert!(
        run.stdout.contains("\\u202e") && !run.stdout.contains('\u{202e}'),
        "{}{}",
        run.stdout,
        run.stderr
    );
    let rows: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(rows[0]["file"], format!("./{file}"));
}

#[test]
fn a_file_at_a_url_is_refused_with_the_digest_that_is_served_and_allowed_by_name() {
    let (one, other) = (demo(), Package::new(&greeter("demo", "1.0").file("more.py", "")));
    let changed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (served, now) = (one.clone(), changed.clone());
    let server = Server::start(move |_| {
        let bytes = if now.load(std::sync::atomic::Ordering::SeqCst) { &other.bytes } else { &served.bytes };
        reply("200 OK", &[], bytes)
    });
    let mut project = Project::new();
    project.knows(&server);
    let url = server.url("/demo-1.0-py3-none-any.whl");
    let lock = |entry| Lock::at("http://127.0.0.1:9/simple").entry("default", "demo", entry);
    project.lock(&lock(serde_json::json!({ "file": url })));
    let refused = format!(
        "  because: the lock has no hashes for it; expected sha256 digests; what is served now has sha256:{}",
        one.sha256
    );
    project.run(&["sync"]).fails(3, &["error: cannot install demo [default]", &refused]);
    let plan = project.run(&["plan"]);
    assert!(plan.stdout.contains(&one.sha256), "{}{}", plan.stdout, plan.stderr);
    project.run(&["sync", "--allow-unhashed", "other"]).fails(3, &[&refused]);
    project.run(&["sync", "--allow-unhashed", "demo"]).succeeds();
    project.run(&["sync", "--allow-unhashed"]).succeeds();
    // Another file at the same place is noticed once it has to come again.
    std::fs::remove_dir_all(project.path("cache/v1/files")).expect("removed");
    changed.store(true, std::sync::atomic::Ordering::SeqCst);
    let run = project.run(&["sync", "--allow-unhashed", "--fresh"]);
    assert_eq!(run.code, Some(8), "{}", run.stderr);
    assert!(run.stderr.contains("is not the file that came from there the first time"), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("expected sha256:{}", one.sha256)), "{}", run.stderr);
    // What was advised works: the digest behind the URL, or in the lock.
    changed.store(false, std::sync::atomic::Ordering::SeqCst);
    project.lock(&lock(serde_json::json!({ "file": format!("{url}#sha256={}", one.sha256) })));
    project.run(&["sync", "--fresh"]).succeeds();
    let hashes = [format!("sha256:{}", one.sha256)];
    project.lock(&lock(serde_json::json!({ "file": url, "hashes": hashes })));
    project.run(&["sync", "--fresh"]).succeeds();
}

#[test]
fn pipes_and_devices_in_place_of_files_are_refused_at_once() {
    let project = Project::with_wheels(&[demo()]);
    let pipe = |path: &std::path::Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
        assert!(made.success());
    };
    pipe(&project.path("project/.env"));
    let started = std::time::Instant::now();
    let run = project.sync();
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("  because: not a regular file\n"), "{}", run.stderr);
    std::fs::remove_file(project.path("project/.env")).expect("removed");
    std::os::unix::fs::symlink("/dev/zero", project.path("project/.env")).expect("a link");
    assert_eq!(project.sync().code, Some(1));
    std::fs::remove_file(project.path("project/.env")).expect("removed");
    let lock = project.path("project/Pipfile.lock");
    std::fs::remove_file(&lock).expect("removed");
    pipe(&lock);
    assert_eq!(project.sync().code, Some(3));
    assert!(started.elapsed() < std::time::Duration::from_secs(10));
}

#[test]
fn seven_hundred_wheels_are_installed_where_512_files_may_be_open() {
    let packages: Vec<Package> = (0..700).map(|n| Package::simple(&format!("p{n}"), "1.0")).collect();
    let project = Project::with_wheels(&packages);
    project.lock(&Lock::of("http://127.0.0.1:9/simple", &packages));
    let program = env!("CARGO_BIN_EXE_venvoy");
    let mut command = std::process::Command::new("/bin/sh");
    command
        .args([
            "-c",
            "ulimit -n 512 && exec \"$0\" sync --no-index --find-links ../wheels --threads 1500",
            program,
        ])
        .current_dir(project.dir())
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", project.path("home"))
        .env("VENVOY_CACHE_DIR", project.path("cache"));
    project.finish(&mut command).succeeds();
    assert_eq!(project.installed().len(), 700);
}
