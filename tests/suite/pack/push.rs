//! `--push`: to Debian's registry, and to servers that answer as the specification lets them.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::json;

use crate::support::{
    package::{Package, greeter, noise, sha256},
    process::{Running, free_port},
    project::Project,
    run::Run,
};

const DESCRIBED: [&str; 6] =
    ["--python-version", "3.11", "--platform", "linux/amd64", "--python-home", "/usr/local/bin"];

fn push(project: &Project, to: &str, args: &[&str]) -> Run {
    project.run(&[&["pack", "--find-links", "../wheels", "--push", to], &DESCRIBED[..], args].concat())
}

fn project() -> Project {
    Project::with_wheels(&[
        Package::new(&greeter("demo", "1.0").file("demo_data.bin", noise(200_000))),
        Package::simple("other", "1.0"),
    ])
}

#[test]
fn debians_registry_takes_an_image_and_what_it_has_is_not_sent_again() {
    let project = project();
    let port = free_port();
    let config = json!({
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": project.path("registry")}},
        "http": {"addr": format!("127.0.0.1:{port}")},
        "log": {"level": "error"},
    });
    // JSON is YAML.
    project.write("registry.yml", config.to_string());
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(project.path("registry.yml"));
    let _registry = Running::start(&mut command, port, "docker-registry");
    let to = format!("127.0.0.1:{port}/team/shop:one");
    let first = push(&project, &to, &[]);
    first.succeeds();
    let link =
        project.path("registry/docker/registry/v2/repositories/team/shop/_manifests/tags/one/current/link");
    assert_eq!(fs::read_to_string(&link).expect("a tag"), first.stdout.trim_end());
    let again = push(&project, &to, &[]);
    again.succeeds();
    assert_eq!(again.stdout, first.stdout);
    assert!(again.stderr.contains("(0 B)"), "{}", again.stderr);
    // The settings are in the config alone: no layer goes again.
    let other = push(&project, &to.replace("one", "two"), &["--env", "A=B"]);
    other.succeeds();
    assert!(!other.stderr.contains("kB)") && !other.stderr.contains("(0 B)"), "{}", other.stderr);
}

/// What came in: method, path, Authorization, body's digest and length.
type Log = Arc<Mutex<Vec<(String, String, Option<String>, String, usize)>>>;

/// What a server answers to a request: its number, method, path and authorization.
type Answer = dyn Fn(usize, &str, &str, Option<&str>) -> Option<String>;

/// A server that reads bodies; `answer` gets the number of the request, method, path and authorization. Nothing as an
/// answer drops the connection.
fn server(
    answer: impl Fn(usize, &str, &str, Option<&str>) -> Option<String> + Send + Sync + 'static,
) -> (u16, Log) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let log = Log::default();
    let (kept, answer) = (Arc::clone(&log), Arc::new(answer));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (log, answer) = (Arc::clone(&kept), Arc::clone(&answer));
            thread::spawn(move || serve(&stream, &log, &*answer));
        }
    });
    (port, log)
}

fn serve(stream: &TcpStream, log: &Log, answer: &Answer) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let header = |name: &str| {
        let found = lines.iter().filter_map(|line| line.split_once(": "));
        found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let mut body = vec![0; header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let authorization = header("authorization");
    let number = {
        let mut log = log.lock().expect("a lock");
        log.push((method.clone(), path.clone(), authorization.clone(), sha256(&body), body.len()));
        log.len() - 1
    };
    let text = answer(number, &method, &path, authorization.as_deref())?;
    let mut stream = stream;
    stream.write_all(format!("HTTP/1.1 {text}").as_bytes()).ok()
}

const EMPTY: &str = "Content-Length: 0\r\nConnection: close\r\n\r\n";

/// As a registry without logins answers; uploads go to `/upload`.
fn plain(method: &str, path: &str) -> String {
    match method {
        "HEAD" => format!("404 Not Found\r\n{EMPTY}"),
        "POST" => format!("202 Accepted\r\nLocation: /upload?state=x\r\n{EMPTY}"),
        "PUT" => format!("201 Created\r\n{EMPTY}"),
        _ => panic!("{method} {path}"),
    }
}

#[test]
fn a_token_is_fetched_with_the_login_and_both_scopes_and_goes_to_the_registry_alone() {
    let project = project();
    let (storage, stored) = server(|_, _, _, _| Some(format!("201 Created\r\n{EMPTY}")));
    let (tokens, asked) = server(|_, _, _, authorization| {
        let body = "{\"token\": \"t0ken\"}";
        let right = authorization == Some("Basic bWU6cGFzczp3b3Jk");
        let status = if right { "200 OK" } else { "401 Unauthorized" };
        Some(format!("{status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
    });
    let (port, log) = server(move |_, method, path, authorization| {
        if authorization != Some("Bearer t0ken") {
            let challenge = format!("Bearer realm=\"http://127.0.0.1:{tokens}/token\",service=\"reg\"");
            return Some(format!("401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\n{EMPTY}"));
        }
        if method == "POST" {
            return Some(format!(
                "202 Accepted\r\nLocation: http://localhost:{storage}/put?sig=1\r\n{EMPTY}"
            ));
        }
        Some(plain(method, path))
    });
    let auths = json!({"auths": {format!("127.0.0.1:{port}"): {"auth": "bWU6cGFzczp3b3Jk"}}});
    project.write("home/.docker/config.json", auths.to_string());
    push(&project, &format!("127.0.0.1:{port}/team/shop:one"), &[]).succeeds();
    let asked = asked.lock().expect("a lock");
    assert!(asked.iter().all(|(_, path, ..)| path.contains("scope=repository%3Ateam%2Fshop%3Apull%2Cpush")
        && path.contains("service=reg")));
    let stored = stored.lock().expect("a lock");
    // Three layers and the config; no credentials, and each body is what its digest says.
    assert_eq!(stored.len(), 4);
    for (method, path, authorization, digest, length) in stored.iter() {
        assert_eq!((method.as_str(), authorization), ("PUT", &None), "{path}");
        assert!(
            path.starts_with("/put?sig=1&digest=sha256") && path.ends_with(digest) && *length > 0,
            "{path}"
        );
    }
    let log = log.lock().expect("a lock");
    let (method, path, ..) = log.last().expect("requests");
    assert_eq!((method.as_str(), path.as_str()), ("PUT", "/v2/team/shop/manifests/one"));
}

#[test]
fn an_upload_that_is_dropped_begins_again() {
    let project = project();
    let dropped = Mutex::new(2);
    let (port, log) = server(move |_, method, path, _| {
        if method == "PUT" && path.starts_with("/upload") {
            let mut left = dropped.lock().expect("a lock");
            if *left > 0 {
                *left -= 1;
                // Forgotten, as after a broken connection.
                return (*left == 0).then(|| format!("404 Not Found\r\n{EMPTY}"));
            }
        }
        Some(plain(method, path))
    });
    push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]).succeeds();
    let log = log.lock().expect("a lock");
    let posts = log.iter().filter(|(method, ..)| method == "POST").count();
    assert!(posts > 4, "{posts}");
}

#[test]
fn a_registry_that_refuses_or_lies_is_named_and_no_secret_is_shown() {
    let project = project();
    let auths =
        |port: u16| json!({"auths": {format!("127.0.0.1:{port}"): {"auth": "bWU6cGFzczp3b3Jk"}}}).to_string();
    let (port, _) = server(|_, _, _, _| {
        let body = "{\"errors\": [{\"code\": \"DENIED\", \"message\": \"not yours\"}]}";
        Some(format!("403 Forbidden\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
    });
    let refused = push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]);
    assert_eq!(refused.code, Some(6), "{}", refused.stderr);
    assert!(refused.stderr.contains("refused a request without a login: 403"), "{}", refused.stderr);
    project.write("home/.docker/config.json", auths(port));
    let refused = push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]);
    assert!(refused.stderr.contains("refused the login it was given: 403"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("pass:word") && !refused.stderr.contains("bWU6"), "{}", refused.stderr);
    let (port, _) = server(|_, method, path, _| {
        if path.contains("/manifests/") {
            return Some(format!("201 Created\r\nDocker-Content-Digest: sha256:00\r\n{EMPTY}"));
        }
        Some(plain(method, path))
    });
    let lied = push(&project, &format!("127.0.0.1:{port}/shop:one"), &[]);
    assert_eq!(lied.code, Some(8), "{}", lied.stderr);
    assert!(lied.stderr.contains("says that it stored sha256:00, expected sha256:"), "{}", lied.stderr);
    push(&project, "shop:one", &[])
        .fails(2, &["error: \"shop:one\" is no image in a registry: it names no registry"]);
    let down = push(&project, "127.0.0.1:1/shop:one", &[]);
    assert_eq!(down.code, Some(7), "{}", down.stderr);
    push(&project, "127.0.0.1:1/shop:one", &["--offline"])
        .fails(2, &["error: --push and --offline exclude each other"]);
}
