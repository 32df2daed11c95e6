//! A secret in every place that may hold one, every command, a failure at every stage: the secret is in
//! nothing that was printed or written, and in no child's arguments.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::support::{
    backend::{in_tree, sdist},
    ca::Ca,
    files,
    index::{answer, base64, basic, index},
    lock::Lock,
    nginx::Setup,
    package::Package,
    process::{Running, free_port},
    program::PATH,
    project::Project,
    server::{Request, Server, reply},
    wheel::WheelBuilder,
};
use serde_json::json;

/// The middle of every secret: it is the same in raw, percent-encoded and JSON text.
const CORE: &str = "CanaryCoreOfSecrets";

/// A secret with characters that encodings change on both sides of [`CORE`].
fn secret(place: &str) -> String {
    format!("{place}%/@+{CORE}:~ =?{place}")
}

fn encoded(text: &str) -> String {
    let parts: Vec<String> = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    parts.concat()
}

/// What to look for: the core as it is, every byte percent-encoded, and in base64 at any position.
fn needles() -> Vec<Vec<u8>> {
    let mut needles =
        vec![CORE.as_bytes().to_vec(), encoded(CORE).into_bytes(), encoded(CORE).to_lowercase().into_bytes()];
    for before in 0..3 {
        let text = base64(&[&vec![b'x'; before][..], CORE.as_bytes()].concat());
        // The first and last digits hold bits of the neighbours.
        let text = text.trim_end_matches('=');
        needles.push(text.as_bytes()[if before == 0 { 0 } else { before + 1 }..text.len() - 1].to_vec());
    }
    needles
}

fn holds(bytes: &[u8]) -> bool {
    needles().iter().any(|needle| memchr::memmem::find(bytes, needle).is_some())
}

#[test]
fn the_search_finds_every_form_and_nothing_else() {
    let text = secret("here");
    for form in [text.clone(), encoded(&text), base64(text.as_bytes())] {
        assert!(holds(form.as_bytes()), "{form}");
    }
    for user in ["c", "ci", "bot"] {
        assert!(holds(base64(format!("{user}:{text}").as_bytes()).as_bytes()), "{user}");
    }
    assert!(!holds(b"canary"));
}

/// Looks at the arguments of all processes below this test's while it lives, and at the environment of
/// interpreters: those that are asked, those that run pip, those that build. A proxy's password is theirs.
struct Watch {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<BTreeSet<String>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Watch {
    fn begin() -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeSet::new())));
        let (until, found) = (stop.clone(), seen.clone());
        let thread = thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                for process in below(std::process::id()) {
                    let arguments = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
                    // Read first: before it was started it was a copy of venvoy, with its environment.
                    let program = fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
                    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
                    let is_python =
                        program.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"python"));
                    let leaks = is_python
                        && environment
                            .split(|byte| *byte == 0)
                            .any(|v| !v.starts_with(b"http_proxy=") && holds(v));
                    if leaks || holds(&arguments) {
                        let shown = String::from_utf8_lossy(&arguments).replace('\0', " ");
                        found.lock().expect("a set").insert(if leaks {
                            format!("{shown} (environment)")
                        } else {
                            shown
                        });
                    }
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        Watch { stop, seen, thread: Some(thread) }
    }

    fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("a thread").join().expect("the watch lasted");
        let seen = self.seen.lock().expect("a set");
        assert!(seen.is_empty(), "in arguments or environments: {seen:?}");
    }
}

/// All processes that descend from one.
fn below(ancestor: u32) -> Vec<u32> {
    let mut parents = Vec::new();
    for item in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(process) = item.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(item.path().join("stat")) else { continue };
        // The name, in parentheses, may hold anything.
        let parent =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (process, parent)));
    }
    let mut found = vec![ancestor];
    let mut at = 0;
    while at < found.len() {
        let children = parents.iter().filter(|(_, parent)| *parent == found[at]).map(|(child, _)| *child);
        let children: Vec<u32> = children.collect();
        found.extend(children);
        at += 1;
    }
    found.remove(0);
    found
}

/// Runs every command as loudly as it can, and looks at all that came of it.
#[track_caller]
fn nothing_leaks(stage: &str, project: &Project, expected: Option<i32>) {
    fs::create_dir_all(project.path("tmp")).expect("a directory");
    let watch = Watch::begin();
    let mut printed = Vec::new();
    for args in [
        &["sync", "-vv"][..],
        &["install", "--deploy", "--ignore-pipfile", "-vv"],
        &["plan", "--json", "-vv"],
        &["plan", "-vv"],
        &["auth", "--json", "--check", "-vv"],
        &["auth", "--check", "-vv"],
        &["check", "-vv"],
        &["digest"],
        &["cache", "size"],
    ] {
        let mut command = project.command(args);
        let output = command.env("RUST_BACKTRACE", "full").output().expect("venvoy runs");
        if args[0] == "sync" {
            let shown = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), expected.or(Some(0)), "{stage}: {shown}");
        }
        for bytes in [&output.stdout, &output.stderr] {
            assert!(!holds(bytes), "{stage}: {args:?} printed {}", String::from_utf8_lossy(bytes));
            assert!(!String::from_utf8_lossy(bytes).contains("panicked"), "{stage}: {args:?} panicked");
            printed.extend_from_slice(bytes);
        }
    }
    assert!(!printed.is_empty(), "{stage}");
    watch.end();
    for place in ["cache", "project/.venv", "tmp"] {
        for (path, bytes) in files::contents(&project.path(place)) {
            assert!(!holds(&bytes), "{stage}: {} holds it", path.display());
            assert!(!holds(path.as_os_str().as_encoded_bytes()), "{stage}: {}", path.display());
        }
    }
}

/// The Authorization headers of the secrets' owners: user and place.
fn knows(request: &Request, user: &str, place: &str) -> bool {
    request.header("authorization") == Some(&basic(&format!("{user}:{}", secret(place))))
}

/// Everything an index does, with `fail` before it.
fn known_index(
    package: &Package,
    user: &'static str,
    place: &'static str,
    fail: fn(&Request) -> Option<Vec<u8>>,
) -> Server {
    let package = package.clone();
    Server::start(move |request| {
        if let Some(answer) = fail(request) {
            return answer;
        }
        if !knows(request, user, place) {
            return reply("401 Unauthorized", &["WWW-Authenticate: Basic realm=x"], b"");
        }
        answer(&[&package], request)
    })
}

/// A source distribution with a backend of its own that prints all it knows; with `fails` it then fails.
fn talkative(name: &str, fails: bool) -> Package {
    let body = format!(
        "secret = 'Canary' + 'CoreOf' + 'Secrets'\n\
         known = sorted(name for name in os.environ if secret in os.environ[name])\n\
         print('environment:', dict(os.environ))\n\
         print('arguments:', sys.argv, open('/proc/self/cmdline').read())\n\
         print('parent:', open(f'/proc/{{os.getppid()}}/cmdline').read(), flush=True)\n\
         if {}: sys.exit(3)\n\
         return wheel(out, {name:?}, **{{{name:?} + '.py': f'knows = {{known}}\\n'}})\n",
        if fails { "True" } else { "False" }
    );
    sdist(name, in_tree(&body))
}

fn tinyproxy(user: &str, password: &str) -> (u16, tempfile::TempDir, Running) {
    let directory = tempfile::TempDir::new().expect("a directory");
    let port = free_port();
    let config = directory.path().join("tinyproxy.conf");
    let log = directory.path().join("log").display().to_string();
    let text = format!("Port {port}\nListen 127.0.0.1\nLogFile \"{log}\"\nBasicAuth {user} {password}\n");
    fs::write(&config, text).expect("written");
    let mut command = Command::new("tinyproxy");
    command.arg("-d").arg("-c").arg(config);
    let running = Running::start(&mut command, port, "the Debian package tinyproxy");
    (port, directory, running)
}

/// Four private packages, each with a secret from another place, and a local repository for git.
struct World {
    url: Server,
    variable: Server,
    netrc: Server,
    sdist: Server,
    packages: [Package; 4],
    /// The failure is in the first index alone, so that it is the only error.
    proxy: (u16, tempfile::TempDir, Running),
}

/// tinyproxy cannot be told a password with all those characters.
fn proxy_password() -> String {
    format!("{CORE}-proxy")
}

impl World {
    fn new(fail: fn(&Request) -> Option<Vec<u8>>, build_fails: bool) -> Self {
        let packages = [
            Package::by("us", "one"),
            Package::by("us", "two"),
            Package::by("us", "three"),
            talkative("four", build_fails),
        ];
        World {
            url: known_index(&packages[0], "ci", "url", fail),
            variable: known_index(&packages[1], "bot", "variable", |_| None),
            netrc: known_index(&packages[2], "me", "netrc", |_| None),
            sdist: known_index(&packages[3], "", "token", |_| None),
            packages,
            proxy: tinyproxy("px", &proxy_password()),
        }
    }

    fn lock(&self) -> Lock {
        let userinfo =
            |server: &Server, user: &str| server.url("/simple").replace("//", &format!("//{user}@"));
        Lock::bare()
            .source("by-url", &userinfo(&self.url, "ci:${URL_SECRET}"))
            .source("by-variable", &self.variable.url("/simple"))
            .source("by-netrc", &self.netrc.url("/simple"))
            .source("by-token", &userinfo(&self.sdist, &format!(":{}", encoded(&secret("token")))))
            .package_from("by-url", &self.packages[0])
            .package_from("by-variable", &self.packages[1])
            .package_from("by-netrc", &self.packages[2])
            .package_from("by-token", &self.packages[3])
    }

    fn project(&self, lock: &Lock) -> Project {
        let quoted = secret("netrc").replace('"', "\\\"");
        Project::of(lock)
            .variable("URL_SECRET", secret("url"))
            .variable("VENVOY_INDEX_BY_VARIABLE_USERNAME", "bot")
            .variable("VENVOY_INDEX_BY_VARIABLE_PASSWORD", secret("variable"))
            .variable("http_proxy", format!("http://px:{}@127.0.0.1:{}", proxy_password(), self.proxy.0))
            .variable("CI_SERVER_HOST", "gitlab.example")
            .variable("CI_JOB_TOKEN", secret("job"))
            .variable("PIP_INDEX_URL", format!("https://u:{}@index.example/simple", encoded(&secret("pip"))))
            .file("project/.env", &format!("DOTENV_TOKEN='{}'\n", secret("dotenv")))
            .file(
                "home/.netrc",
                &format!("machine 127.0.0.1:{} login me password \"{quoted}\"\nmachine other.example login x password \"{quoted}\"\n", self.netrc.port),
            )
    }
}

#[test]
fn a_run_that_works_leaves_no_secret_anywhere() {
    let world = World::new(|_| None, false);
    let project = world.project(&world.lock());
    nothing_leaks("all goes well", &project, None);
    assert!(knows(&world.url.log()[0], "ci", "url"));
    assert!(knows(&world.variable.log()[0], "bot", "variable"));
    assert!(knows(&world.netrc.log()[0], "me", "netrc"));
    // What it fetches goes through the proxy; of all other secrets it knows none.
    assert_eq!(project.site_file("four.py"), "knows = ['http_proxy']\n");
}

#[test]
fn an_index_that_refuses_makes_no_secret_known() {
    for (stage, code, fail) in [
        ("401", 6, (|_| Some(reply("401 Unauthorized", &[], b""))) as fn(&Request) -> Option<Vec<u8>>),
        ("403", 6, |_| Some(reply("403 Forbidden", &[], b""))),
        ("404", 5, |_| Some(reply("404 Not Found", &[], b""))),
        ("418", 7, |_| Some(reply("418 I'm a teapot", &[], b""))),
        ("a page that is none", 7, |_| Some(reply("200 OK", &["Content-Type: text/html"], b"<html></html>"))),
        ("other bytes", 8, |request| {
            request.path.contains("/files/").then(|| reply("200 OK", &[], b"other"))
        }),
        ("a missing file", 5, |request| {
            request.path.contains("/files/").then(|| reply("404 Not Found", &[], b""))
        }),
        ("a redirect into nowhere", 7, |request| {
            let location =
                format!("Location: ftp://u:{CORE}@h.example{}?X-Amz-Signature={CORE}", request.path);
            Some(reply("302 Found", &[&location], b""))
        }),
        ("forwarding with a signature", 5, |_| {
            Some(reply("302 Found", &[&format!("Location: http://u:{CORE}@localhost:9/x?sig={CORE}")], b""))
        }),
        ("links with userinfo and signatures", 5, |request| {
            let link = format!(
                "<a href=\"http://u:{CORE}@127.0.0.1:9/one-1.0-py3-none-any.whl?sig={CORE}#sha256={}\">one</a>",
                "0".repeat(64)
            );
            request
                .path
                .ends_with("/one/")
                .then(|| reply("200 OK", &["Content-Type: text/html"], link.as_bytes()))
        }),
    ] {
        let world = World::new(fail, false);
        nothing_leaks(stage, &world.project(&world.lock()), Some(code));
    }
}

#[test]
fn tls_that_cannot_be_trusted_makes_no_secret_known() {
    let ca = Ca::new();
    let directory = ca.path("").display().to_string();
    let nginx = Setup::new().start(&format!(
        "ssl_certificate {directory}/server.pem; ssl_certificate_key {directory}/server.key;
         server {{ listen {{port}} ssl; }}"
    ));
    let world = World::new(|_| None, false);
    let url = format!("https://ci:${{URL_SECRET}}@localhost:{}/simple", nginx.port);
    let lock = world.lock().source("by-tls", &url).package_from("by-tls", &Package::by("us", "five"));
    nothing_leaks("TLS", &world.project(&lock), Some(7));
}

#[test]
fn a_proxy_that_refuses_makes_no_secret_known() {
    let world = World::new(|_| None, false);
    let wrong = format!("http://px:{CORE}-wrong@127.0.0.1:{}", world.proxy.0);
    let project = world.project(&world.lock()).variable("http_proxy", wrong);
    nothing_leaks("a proxy's refusal", &project, Some(6));
    let project = world.project(&world.lock()).variable("http_proxy", format!("http://px:{CORE}@[bad"));
    nothing_leaks("a proxy's URL", &project, Some(2));
}

#[test]
fn a_build_that_prints_its_environment_and_fails_makes_no_secret_known() {
    let world = World::new(|_| None, true);
    let project = world.project(&world.lock());
    nothing_leaks("a build", &project, Some(9));
    // What it printed was kept, struck out.
    let logs: Vec<(PathBuf, Vec<u8>)> = files::contents(&project.path("cache/v1/logs"));
    let log = String::from_utf8_lossy(&logs.first().expect("a log").1).into_owned();
    assert!(log.contains("environment:") && log.contains("****"), "{log}");
}

#[test]
fn pip_is_told_the_indexes_without_arguments_or_variables() {
    // A build requirement that no index has: pip asks all of them, and fails.
    let world = World::new(|_| None, false);
    let place = tempfile::TempDir::new().expect("a directory");
    fs::write(
        place.path().join("pyproject.toml"),
        "[build-system]\nrequires = ['nowhere-to-be-found']\nbuild-backend = 'nowhere'\n",
    )
    .expect("written");
    let lock = world.lock().entry("default", "five", json!({ "path": place.path().display().to_string() }));
    nothing_leaks("a build requirement", &world.project(&lock), Some(9));
    let asked = |server: &Server, user, place| {
        server.log().iter().any(|r| r.path.contains("nowhere-to-be-found") && knows(r, user, place))
    };
    assert!(asked(&world.url, "ci", "url") && asked(&world.variable, "bot", "variable"));
}

#[test]
fn git_that_is_refused_makes_no_secret_known() {
    let refusing = Server::start(|_| reply("401 Unauthorized", &["WWW-Authenticate: Basic realm=x"], b""));
    let git = which("git");
    for (stage, url) in [
        ("git, by URL", refusing.url("/five.git").replace("//", "//ci:${URL_SECRET}@")),
        ("git, a lone token", refusing.url("/five.git").replace("//", "//${URL_SECRET}@")),
    ] {
        let world = World::new(|_| None, false);
        let lock = world.lock().entry("default", "five", json!({ "git": url, "ref": "0".repeat(40) }));
        let project = world.project(&lock).variable("no_proxy", "127.0.0.1").program(
            "git",
            &format!("echo \"$@\" >> \"$HOME/git-arguments\"\nenv | grep ^VENVOY_INDEX >> \"$HOME/git-environment\"\nexec {} \"$@\"", git.display()),
        );
        nothing_leaks(stage, &project, Some(6));
        let arguments = project.read("home/git-arguments");
        assert!(arguments.contains("fetch") && !holds(arguments.as_bytes()), "{stage}: {arguments}");
        assert_eq!(project.read("home/git-environment"), "", "{stage}");
        assert!(refusing.log().iter().any(|request| request.header("authorization").is_some()));
    }
}

/// A lock with a secret in its text, on both sides of whatever is wrong with it.
fn written(damage: &str) -> String {
    let url = format!("https://ci:{}@index.example/simple", encoded(&secret("lock")));
    format!(
        r#"{{"_meta": {{"hash": {{"sha256": ""}}, "pipfile-spec": 6, "requires": {{}}, "sources": [
            {{"name": "main", "url": "{url}", "verify_ssl": true}}]}},
            "default": {{"one": {{"version": "==1.0", {damage} "hashes": ["sha256:{}"]}}}}, "develop": {{}}}}"#,
        "0".repeat(64)
    )
}

#[test]
fn a_lock_or_pipfile_that_cannot_be_read_makes_no_secret_known() {
    let url = format!("https://ci:{CORE}@index.example/simple");
    for (stage, damage) in [
        ("broken JSON", format!(r#""file": "{url},"#)),
        ("a merge conflict", format!("\n<<<<<<< HEAD\n\"file\": \"{url}\",\n=======\n>>>>>>> other\n")),
        ("an index named by its URL", format!(r#""index": "{url}","#)),
        ("no URL", format!(r#""git": "ht!tps://ci:{CORE}@/x", "ref": "a","#)),
        ("no URL of a file", format!(r#""file": "https://ci:{CORE}@[bad/one.whl","#)),
    ] {
        let project = Project::of(&Lock::bare()).file("project/Pipfile.lock", &written(&damage));
        nothing_leaks(stage, &project, Some(3));
    }
    let whole = written("");
    let cut = &whole[..whole.find("simple").expect("a URL")];
    nothing_leaks("a truncated lock", &Project::of(&Lock::bare()).file("project/Pipfile.lock", cut), Some(3));
    let pipfile = format!("[[source]]\nname = \"main\"\nurl = \"{url}\nverify_ssl = true\n");
    nothing_leaks("a Pipfile", &Project::of(&Lock::bare()).file("project/Pipfile", &pipfile), Some(3));
    // Another secret: what was typed is in arguments, and the other tests look at all of them.
    let typed = "https://ci:typed-canary@index.example/Pipfile.lock";
    Project::of(&Lock::bare()).run(&["sync", "--lock", typed]).ends_with(2).never_mentions("typed-canary");
}

#[test]
fn an_interpreter_that_prints_its_environment_and_fails_makes_no_secret_known() {
    let world = World::new(|_| None, false);
    let project = world.project(&world.lock()).program("python-of-ours", "env >&2; exit 3");
    let python = project.path("bin/python-of-ours").display().to_string();
    nothing_leaks("an interpreter", &project.variable("PIPENV_PYTHON", python), Some(4));
}

#[test]
fn the_interpreter_asked_for_its_own_pip_sees_no_secret() {
    let world = World::new(|_| None, false);
    let project = world.project(&world.lock());
    let watch = Watch::begin();
    let ran = project.run(&["sync", "--seed", "-vv"]);
    watch.end();
    ran.ends_with(0);
    assert!(!holds(ran.stderr.as_bytes()), "{}", ran.stderr);
}

#[test]
fn a_place_that_cannot_be_written_makes_no_secret_known() {
    let world = World::new(|_| None, false);
    let project = world.project(&world.lock()).file("project/.venv/mine", "not an environment\n");
    nothing_leaks("a destination", &project, Some(10));
    // Two wheels that want the same file: a warning.
    let mut world = World::new(|_| None, false);
    let wheel = WheelBuilder::new("two", "1.0").file("one.py", "publisher = 'two'\n");
    world.packages[1] = Package::new(&wheel);
    world.variable = known_index(&world.packages[1], "bot", "variable", |_| None);
    nothing_leaks("a conflict", &world.project(&world.lock()), Some(0));
}

#[test]
fn links_and_mirrors_of_the_environment_make_no_secret_known() {
    let refusing = Server::start(|_| reply("403 Forbidden", &[], b""));
    let with_login =
        |path: &str| refusing.url(path).replace("//", &format!("//ci:{}@", encoded(&secret("links"))));
    let world = World::new(|_| None, false);
    let project = world.project(&world.lock()).variable("no_proxy", "127.0.0.1");
    nothing_leaks("links", &project.variable("PIP_FIND_LINKS", with_login("/links/")), Some(6));
    let asked = refusing.log().len();
    assert!(asked > 0 && refusing.log().iter().all(|request| request.header("authorization").is_some()));
    let host = ["pypi", "org"].join(".");
    let package = Package::by("us", "one");
    let lock = Lock::bare().source("public", &format!("https://{host}/simple")).package(&package);
    let project = Project::of(&lock).variable("PIPENV_PYPI_MIRROR", with_login("/simple"));
    nothing_leaks("a mirror", &project, Some(6));
    assert!(refusing.log().len() > asked);
}

fn which(program: &str) -> PathBuf {
    PATH.split(':')
        .map(|place| Path::new(place).join(program))
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("install {program}"))
}

#[test]
fn a_url_with_a_token_in_its_query_is_recorded_without_it() {
    let package = Package::by("us", "one");
    let server = index(&[&package]);
    let url = server.url(&format!("/simple/files/{}?private_token={CORE}", package.file));
    let served = package.clone();
    let index = Server::start(move |_| reply("200 OK", &[], &served.bytes));
    let url = url.replace(&server.port.to_string(), &index.port.to_string());
    let mut entry = package.entry();
    entry["file"] = json!(url);
    let lock = Lock::bare().source("main", &index.url("/simple")).entry("default", "one", entry);
    nothing_leaks("a query", &Project::of(&lock), None);
}

#[test]
fn variables_that_make_no_url_are_not_shown() {
    let package = Package::by("us", "one");
    for url in
        ["https://ci:${T}@[bad/simple", "https://ci:pw@${T}/simple", "${T}", "ftp://ci:${T}@h.example/"]
    {
        let lock = Lock::bare().source("main", url).package(&package);
        let project = Project::of(&lock).variable("T", format!("/[{}", secret("url")));
        let ran = project.run(&["sync", "-vv"]);
        assert!(ran.code != Some(0) && !holds(ran.stderr.as_bytes()), "{url}: {}", ran.stderr);
        let ran = project.run(&["auth", "--json"]);
        assert!(ran.code != Some(0) && !holds(ran.stdout.as_bytes()), "{url}: {}", ran.stdout);
    }
}

/// Some registries have the token in the path of their URL, and it is in the URL of every file as well.
fn token_in_path(package: &Package, fail: fn(&Request) -> Option<Vec<u8>>) -> (Server, Lock) {
    let place = format!("/{CORE}-path");
    let served = package.clone();
    let server = Server::start(move |request| {
        let Some(path) = request.path.strip_prefix(&place) else { return reply("404 Not Found", &[], b"") };
        let inner = Request { path: path.to_owned(), ..request.clone() };
        fail(&inner).unwrap_or_else(|| answer(&[&served], &inner))
    });
    let lock =
        Lock::bare().source("by-path", &server.url("/${PATH_KEY}/simple")).package_from("by-path", package);
    (server, lock)
}

#[test]
fn a_token_in_the_path_of_a_url_is_nowhere_either() {
    for (stage, code, fail) in [
        ("a path", 0, (|_| None) as fn(&Request) -> Option<Vec<u8>>),
        ("a path, 403", 6, |_| Some(reply("403 Forbidden", &[], b""))),
        ("a path, 404", 5, |_| Some(reply("404 Not Found", &[], b""))),
        ("a path, 500", 7, |_| Some(reply("500 Internal Server Error", &["Retry-After: 0"], b""))),
        ("a path, no page", 7, |_| Some(reply("200 OK", &["Content-Type: text/html"], b"<html></html>"))),
        ("a path, other bytes", 8, |request| {
            request.path.contains("/files/").then(|| reply("200 OK", &[], b"other"))
        }),
    ] {
        let (_server, lock) = token_in_path(&talkative("one", false), fail);
        let project = Project::of(&lock).variable("PATH_KEY", format!("{CORE}-path"));
        nothing_leaks(stage, &project, Some(code));
    }
}

#[test]
fn a_token_in_the_path_of_a_files_url_is_not_written_into_the_environment() {
    let package = Package::by("us", "one");
    let (server, _) = token_in_path(&package, |_| None);
    let url = server.url(&format!("/${{PATH_KEY}}/simple/files/{}", package.file));
    let entry = json!({ "file": url, "hashes": [format!("sha256:{}", package.sha256)] });
    let project = Project::of(&Lock::bare().entry("default", "one", entry))
        .variable("PATH_KEY", format!("{CORE}-path"));
    nothing_leaks("a file's URL", &project, Some(0));
    assert!(project.site_file("one-1.0.dist-info/direct_url.json").contains("/${PATH_KEY}/simple/files/"));
}

#[test]
fn an_answer_recorded_for_a_token_in_the_path_serves_the_next_token_too() {
    let package = Package::by("us", "one");
    let (server, lock) = token_in_path(&package, |_| None);
    let project = Project::of(&lock).variable("PATH_KEY", format!("{CORE}-path"));
    project.run(&["sync"]).ends_with(0);
    let asked = server.log().len();
    fs::remove_dir_all(project.path("cache/v1/files")).expect("removed");
    fs::remove_dir_all(project.path("project/.venv")).expect("removed");
    project.run(&["sync"]).ends_with(0);
    let paths: Vec<String> = server.log()[asked..].iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, [format!("/{CORE}-path/simple/files/{}", package.file)]);
}

#[test]
fn pip_that_names_its_indexes_is_kept_without_a_token_in_their_path() {
    let place = tempfile::TempDir::new().expect("a directory");
    let wanted = "[build-system]\nrequires = ['nowhere-to-be-found']\nbuild-backend = 'nowhere'\n";
    fs::write(place.path().join("pyproject.toml"), wanted).expect("written");
    let (server, lock) = token_in_path(&Package::by("us", "one"), |_| None);
    let lock = lock.entry("default", "five", json!({ "path": place.path().display().to_string() }));
    let project = Project::of(&lock).variable("PATH_KEY", format!("{CORE}-path"));
    nothing_leaks("pip's indexes", &project, Some(9));
    assert!(server.log().iter().any(|request| request.path.contains("nowhere-to-be-found")));
}
