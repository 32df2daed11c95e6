//! `oci://`: a registry of images as a fleet's cache of wheels.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    pack::registry::{EMPTY, debians, of_bytes, with_body},
    support::{
        backend::{self, lib},
        files,
        index::index,
        package::{Package, greeter},
        process::Running,
        project::Project,
        run::Run,
        server::Server,
    },
};

/// An index, a registry with all that it has, and a project that has nothing yet.
struct Fleet {
    server: Server,
    project: Project,
    port: u16,
    /// How many requests the index had.
    asked: usize,
    _registry: Running,
}

impl Fleet {
    fn new(packages: &[Package]) -> Self {
        let server = index(packages);
        let project = Project::at(&server, packages);
        let (registry, port) = debians(&project);
        let fleet = Fleet { server, project, port, asked: 0, _registry: registry };
        fleet.push(&[]).succeeds();
        fleet.project.forget();
        Fleet { asked: fleet.server.log().len(), ..fleet }
    }

    fn repository(&self) -> String {
        at(self.port)
    }

    fn push(&self, args: &[&str]) -> Run {
        self.project.run(&[&["warm", "--push", &self.repository()], args].concat())
    }

    fn sync(&self, port: u16) -> Run {
        self.project.forget();
        self.project.run(&["sync", "--cache-from", &at(port)])
    }

    /// How many requests the index had since.
    fn more(&self) -> usize {
        self.server.log().len() - self.asked
    }
}

fn at(port: u16) -> String {
    format!("oci://127.0.0.1:{port}/team/wheels")
}

fn demo() -> Package {
    Package::simple("demo", "1.0")
}

/// The registry on `port`, where some requests are answered otherwise.
fn fronted(
    port: u16,
    otherwise: impl Fn(usize, &str, &str, Option<&str>) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> u16 {
    let (front, _) = of_bytes(move |number, method, path, login| {
        otherwise(number, method, path, login).or_else(|| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
            let accept = "application/vnd.oci.image.manifest.v1+json";
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: registry\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok()?;
            Some(answer.strip_prefix(b"HTTP/1.1 ")?.to_vec())
        })
    });
    front
}

fn warnings(run: &Run) -> Vec<&str> {
    run.stderr.lines().filter(|line| line.starts_with("warning: ")).collect()
}

#[test]
fn a_runner_needs_no_index_for_what_is_in_the_registry() {
    let source = backend::sdist("lib", lib("from an sdist"));
    let fleet = Fleet::new(&[demo(), Package::simple("other", "2.0"), source]);
    let run = fleet.sync(fleet.port);
    run.says(&[".venv: 3 packages, {size} in {time} s: 2 cached, 1 built"]);
    assert_eq!(fleet.project.installed(), ["demo 1.0", "lib 1.0", "other 2.0"]);
    // It is here now, records included: nobody is asked any more.
    fs::remove_dir_all(fleet.project.venv()).expect("removed");
    fleet
        .project
        .run(&["sync", "--offline", "--cache-from", &fleet.repository()])
        .succeeds()
        .mentions(&["passed over: --offline asks nobody"]);
    fleet.project.forget();
    fleet
        .project
        .run(&["warm", "--cache-from", &fleet.repository()])
        .succeeds()
        .mentions(&["3 files from other caches"]);
    assert_eq!(fleet.more(), 0, "{:?}", fleet.server.log());
}

#[test]
fn only_what_is_missing_is_pushed_and_pushers_leave_each_others_wheels() {
    let fleet = Fleet::new(&[demo()]);
    fleet.push(&[]).succeeds().mentions(&["team/wheels (0 files, 0 B)"]);
    let kept = |fleet: &Fleet| {
        let tags = "registry/docker/registry/v2/repositories/team/wheels/_manifests/tags";
        files::names(&fleet.project.path(tags))
    };
    let before = kept(&fleet);
    assert!(
        before.len() == 2 && before[0].starts_with("selection-") && before[1].starts_with("wheel-"),
        "{before:?}"
    );
    let other = Package::simple("other", "1.0");
    let server = index(std::slice::from_ref(&other));
    let project = Project::at(&server, std::slice::from_ref(&other));
    project.run(&["warm", "--push", &fleet.repository()]).succeeds().mentions(&["team/wheels (1 file, "]);
    let after = kept(&fleet);
    assert!(after.len() == 4 && before.iter().all(|tag| after.contains(tag)), "{after:?}");
    // What the registry's own garbage collection leaves is enough.
    let collected = Command::new("docker-registry")
        .args(["garbage-collect", "--delete-untagged"])
        .arg(fleet.project.path("registry.yml"))
        .output();
    assert!(collected.as_ref().is_ok_and(|done| done.status.success()), "{collected:?}");
    let asked = fleet.server.log().len();
    fleet.sync(fleet.port).succeeds();
    assert_eq!(fleet.server.log().len(), asked);
}

#[test]
fn blobs_that_garbage_collection_took_come_from_the_index_and_are_pushed_again() {
    let fleet = Fleet::new(&[demo()]);
    let blob = demo().sha256;
    let data = format!("registry/docker/registry/v2/blobs/sha256/{}/{blob}", &blob[..2]);
    fs::remove_dir_all(fleet.project.path(&data)).expect("removed");
    let link = "registry/docker/registry/v2/repositories/team/wheels/_layers/sha256";
    fs::remove_dir_all(fleet.project.path(&format!("{link}/{blob}"))).expect("removed");
    let run = fleet.sync(fleet.port);
    assert_eq!((warnings(&run), run.code, fleet.more()), (vec![], Some(0), 1), "{}", run.stderr);
    fleet.push(&[]).succeeds().mentions(&["team/wheels (1 file, "]);
    let asked = fleet.server.log().len();
    fleet.sync(fleet.port).succeeds();
    assert_eq!(fleet.server.log().len(), asked);
}

#[test]
fn other_bytes_under_a_digest_are_named_and_the_index_has_the_right_ones() {
    let fleet = Fleet::new(&[demo()]);
    let front = fronted(fleet.port, |_, _, path, _| {
        path.contains("/blobs/").then(|| with_body("200 OK", "", b"something else"))
    });
    let run = fleet.sync(front);
    run.succeeds();
    let said = warnings(&run);
    assert!(
        said.len() == 1
            && said[0].contains(&format!(
                "demo-1.0-py3-none-any.whl of the cache {} is passed over: got sha256:",
                at(front)
            )),
        "{said:?}"
    );
    assert_eq!(fleet.project.script("demo"), "demo 1.0");
}

#[test]
fn manifests_that_say_something_else_or_were_moved_say_nothing() {
    let fleet = Fleet::new(&[demo()]);
    let evil = Package::by("mallory", "demo");
    let record = json!([{"filename": evil.file, "url": "http://127.0.0.1:1/x.whl", "sha256": evil.sha256}])
        .to_string();
    let bodies = [
        json!({"schemaVersion": 2, "layers": [{"digest": format!("sha256:{}", evil.sha256), "size": 5}]})
            .to_string(),
        json!({"annotations": {"dev.venvoy.selection": record}}).to_string(),
        json!({"annotations": {"dev.venvoy.selection": "no JSON"}}).to_string(),
        "no JSON".to_owned(),
    ];
    for body in bodies {
        let shown = body.clone();
        let before = fleet.server.log().len();
        let front = fronted(fleet.port, move |_, _, path, _| {
            path.contains("/manifests/").then(|| with_body("200 OK", "", body.as_bytes()))
        });
        let run = fleet.sync(front);
        assert_eq!((run.code, warnings(&run)), (Some(0), vec![]), "{shown}: {}", run.stderr);
        assert_eq!(fleet.project.script("demo"), "demo 1.0");
        // The page is asked for; the wheel is where its digest says.
        assert_eq!(fleet.server.log().len(), before + 1, "{shown}");
    }
    // Tags that were moved are put right by who pushes next.
    let tags = fleet.project.path("registry/docker/registry/v2/repositories/team/wheels/_manifests/tags");
    let names = files::names(&tags);
    let link = |name: &str| tags.join(name).join("current/link");
    let [selection, wheel] = [&names[0], &names[1]].map(|name| fs::read(link(name)).expect("a link"));
    fs::write(link(&names[1]), &selection).expect("moved");
    fleet.push(&[]).succeeds().mentions(&["team/wheels (1 file, "]);
    assert_eq!(fs::read(link(&names[1])).expect("a link"), wheel);
}

#[test]
fn a_token_that_expires_in_the_middle_is_asked_for_again() {
    let packages: Vec<Package> = (0..6).map(|n| Package::simple(&format!("demo{n}"), "1.0")).collect();
    let fleet = Fleet::new(&packages);
    let given = AtomicUsize::new(0);
    let (tokens, _) = of_bytes(move |_, _, _, _| {
        let token = format!("{{\"token\": \"t{}\"}}", given.fetch_add(1, Ordering::Relaxed));
        Some(with_body("200 OK", "", token.as_bytes()))
    });
    // Each token is good for four requests.
    let used = Mutex::new((String::new(), 0));
    let front = fronted(fleet.port, move |_, _, _, login| {
        let mut used = used.lock().expect("a lock");
        let login = login.unwrap_or_default().to_owned();
        if login.starts_with("Bearer ") {
            if used.0 != login && login > used.0 {
                *used = (login.clone(), 0);
            }
            if used.0 == login && used.1 < 4 {
                used.1 += 1;
                return None;
            }
        }
        let challenge = format!("WWW-Authenticate: Bearer realm=\"http://127.0.0.1:{tokens}/token\"\r\n");
        Some(format!("401 Unauthorized\r\n{challenge}{EMPTY}").into_bytes())
    });
    let run = fleet.sync(front);
    run.succeeds();
    assert_eq!(fleet.project.installed().len(), 6);
    assert!(warnings(&run).len() <= 1, "{}", run.stderr);
}

#[test]
fn a_registry_that_refuses_is_busy_or_is_not_there_is_named_once_and_passed_over() {
    let fleet = Fleet::new(&[demo(), Package::simple("other", "1.0")]);
    let refusing = fronted(fleet.port, |_, _, _, _| Some(format!("403 Forbidden\r\n{EMPTY}").into_bytes()));
    let busy = fronted(fleet.port, |_, _, _, _| {
        Some(format!("429 Too Many Requests\r\nRetry-After: 0\r\n{EMPTY}").into_bytes())
    });
    let broken = fronted(fleet.port, |_, _, path, _| {
        path.contains("/blobs/")
            .then(|| b"200 OK\r\nContent-Length: 9000\r\nConnection: close\r\n\r\nhalf".to_vec())
    });
    for (port, says) in [(refusing, "403"), (busy, "429"), (1, ""), (broken, "cannot be read")] {
        let run = fleet.sync(port);
        run.succeeds();
        assert_eq!(fleet.project.installed(), ["demo 1.0", "other 1.0"]);
        let said = warnings(&run);
        let about: Vec<&&str> = said.iter().filter(|line| line.contains("is passed over")).collect();
        assert!(about.len() == 1 && about[0].contains(&at(port)) && about[0].contains(says), "{said:?}");
    }
    // Busy for a moment only.
    let first = AtomicUsize::new(0);
    let moment = fronted(fleet.port, move |_, _, _, _| {
        (first.fetch_add(1, Ordering::Relaxed) == 0)
            .then(|| format!("429 Too Many Requests\r\nRetry-After: 0\r\n{EMPTY}").into_bytes())
    });
    let asked = fleet.server.log().len();
    fleet.sync(moment).succeeds();
    assert_eq!(fleet.server.log().len(), asked);
}

#[test]
fn logins_reach_the_registry_and_nobody_else() {
    let fleet = Fleet::new(&[demo()]);
    let front = fronted(fleet.port, |_, _, _, login| {
        (login != Some("Basic bWU6cGFzczp3b3Jk")).then(|| {
            format!("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n{EMPTY}").into_bytes()
        })
    });
    let auths = json!({"auths": {format!("127.0.0.1:{front}"): {"auth": "bWU6cGFzczp3b3Jk"}}});
    fleet.project.write("home/.docker/config.json", auths.to_string());
    let run = fleet.sync(front);
    run.succeeds().never_mentions("pass:word");
    assert_eq!((fleet.more(), warnings(&run)), (0, vec![]));
    // A job of GitLab's has the login in its variables.
    fleet.project.write("home/.docker/config.json", "{}");
    fleet.project.forget();
    let mut job = fleet.project.command(&["sync", "--cache-from", &at(front)]);
    job.envs([("CI_REGISTRY_USER", "me"), ("CI_REGISTRY_PASSWORD", "pass:word")]);
    job.env("CI_REGISTRY", format!("127.0.0.1:{front}"));
    fleet.project.finish(&mut job).succeeds().never_mentions("pass:word");
    assert_eq!(fleet.more(), 0);
    assert!(fleet.server.log().iter().all(|request| request.header("authorization").is_none()));
}

#[test]
fn a_job_for_an_untrusted_ref_pushes_only_when_told_to() {
    let fleet = Fleet::new(&[demo()]);
    let job = |args: &[&str]| {
        let mut command = fleet.project.command(&[&["warm", "--push", &fleet.repository()], args].concat());
        command.envs([
            ("GITLAB_CI", "true"),
            ("CI_COMMIT_REF_NAME", "patch"),
            ("CI_COMMIT_REF_PROTECTED", "false"),
        ]);
        fleet.project.finish(&mut command)
    };
    job(&[]).fails(
        2,
        &["error: --push in a job for an untrusted ref: patch is not protected (CI_COMMIT_REF_PROTECTED)"],
    );
    assert!(!fleet.project.path("cache").exists(), "nothing was done");
    job(&["--push-anyway"]).succeeds();
    for (to, says) in [
        ("registry.example/a", "it does not begin with oci://"),
        ("oci://registry.example/a:tag", "it has a tag or digest"),
        ("oci://wheels", "it names no registry"),
    ] {
        fleet.project.run(&["warm", "--push", to]).ends_with(2).mentions(&[says]);
    }
    fleet.project.run(&["warm", "--offline", "--push", &fleet.repository()]).ends_with(2);
}

#[test]
fn a_registry_that_cannot_be_pushed_to_is_an_error_after_all_else() {
    let demo = Package::new(&greeter("demo", "1.0"));
    let server = index(std::slice::from_ref(&demo));
    let project = Project::at(&server, std::slice::from_ref(&demo));
    let (port, _) = of_bytes(|_, _, _, _| Some(format!("403 Forbidden\r\n{EMPTY}").into_bytes()));
    let run = project.run(&["warm", "--push", &at(port)]);
    run.ends_with(6).mentions(&["refused a request without a login: 403", "1 package: 1 came"]);
    project.run(&["sync", "--offline"]).succeeds();
}

/// Accepts whatever comes and holds its tongue.
fn silence() -> Option<Vec<u8>> {
    thread::sleep(Duration::from_mins(5));
    None
}

/// A tenth of a second apart, a few bytes each, for as long as somebody listens.
fn trickle() -> Vec<u8> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
                while stream.write_all(&[7; 20]).is_ok() {
                    thread::sleep(Duration::from_millis(100));
                }
            });
        }
    });
    format!("307 Temporary Redirect\r\nLocation: http://127.0.0.1:{port}/\r\n{EMPTY}").into_bytes()
}

#[test]
fn a_registry_that_is_silent_or_slow_is_named_once_and_passed_over_after_a_bounded_time() {
    type Front = fn(&str) -> Option<Vec<u8>>;
    let fronts: [(Front, &str); 4] = [
        (|_| silence(), "did not answer within 10 s"),
        (|path| path.contains("/blobs/").then(silence)?, "did not answer within 10 s"),
        (|path| path.contains("/blobs/").then(trickle), "sends too slowly"),
        (
            |path| {
                let is_record = path.contains("/manifests/");
                is_record.then(|| thread::sleep(Duration::from_millis(3100)))?;
                Some(format!("404 Not Found\r\n{EMPTY}").into_bytes())
            },
            "4 answers took more than 3 s",
        ),
    ];
    let packages: Vec<Package> = (0..8).map(|n| Package::simple(&format!("demo{n}"), "1.0")).collect();
    let fleet = Fleet::new(&packages);
    thread::scope(|scope| {
        for (front, says) in fronts {
            let (fleet, packages) = (&fleet, &packages);
            scope.spawn(move || {
                let project = Project::at(&fleet.server, packages);
                let port = fronted(fleet.port, move |_, _, path, _| front(path));
                let begin = Instant::now();
                let run = project.run(&["sync", "--cache-from", &at(port)]);
                let took = begin.elapsed();
                run.succeeds();
                assert_eq!(project.installed().len(), 8);
                let said = warnings(&run);
                assert!(
                    said.len() == 1 && said[0].contains(&at(port)) && said[0].contains("is passed over"),
                    "{said:?}"
                );
                assert!(said[0].contains(says), "{said:?}");
                assert!(took < Duration::from_secs(40), "{says}: {took:?}");
            });
        }
    });
}
