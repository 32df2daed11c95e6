//! Registries to push to and to read from: Debian's, and small ones that answer as others are documented to.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use crate::support::{
    package::sha256,
    process::{Running, free_port},
    project::Project,
    run::Run,
};

pub const DESCRIBED: [&str; 6] =
    ["--python-version", "3.11", "--platform", "linux/amd64", "--python-home", "/usr/local/bin"];

/// Packs for a described interpreter and pushes.
pub fn push(project: &Project, to: &str, args: &[&str]) -> Run {
    project.run(&[&["pack", "--find-links", "../wheels", "--push", to], &DESCRIBED[..], args].concat())
}

/// Debian's registry, keeping what it gets in `registry`.
pub fn debians(project: &Project) -> (Running, u16) {
    let port = free_port();
    let config = json!({
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": project.path("registry")}},
        "http": {"addr": format!("127.0.0.1:{port}")},
        "log": {"level": "error", "accesslog": {"disabled": true}},
    });
    // JSON is YAML.
    project.write("registry.yml", config.to_string());
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(project.path("registry.yml"));
    let registry = Running::start(&mut command, port, "docker-registry");
    (registry, port)
}

/// What came in: method, path, Authorization, body's digest and length.
pub type Log = Arc<Mutex<Vec<(String, String, Option<String>, String, usize)>>>;

/// What a server answers to a request: its number, method, path and authorization.
type Answer = dyn Fn(usize, &str, &str, Option<&str>) -> Option<Vec<u8>>;

/// A server that reads bodies; `answer` gets the number of the request, method, path and authorization. Nothing as an
/// answer drops the connection.
pub fn server(
    answer: impl Fn(usize, &str, &str, Option<&str>) -> Option<String> + Send + Sync + 'static,
) -> (u16, Log) {
    of_bytes(move |number, method, path, login| answer(number, method, path, login).map(String::into_bytes))
}

/// As [`server`], of bytes.
pub fn of_bytes(
    answer: impl Fn(usize, &str, &str, Option<&str>) -> Option<Vec<u8>> + Send + Sync + 'static,
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
    stream.write_all(b"HTTP/1.1 ").ok()?;
    stream.write_all(&text).ok()
}

pub const EMPTY: &str = "Content-Length: 0\r\nConnection: close\r\n\r\n";

/// As a registry without logins answers; uploads go to `/upload`.
pub fn plain(method: &str, path: &str) -> String {
    match method {
        "HEAD" => format!("404 Not Found\r\n{EMPTY}"),
        "POST" => format!("202 Accepted\r\nLocation: /upload?state=x\r\n{EMPTY}"),
        "PUT" => format!("201 Created\r\n{EMPTY}"),
        _ => panic!("{method} {path}"),
    }
}

/// A layout's only manifest: its bytes and type.
pub fn manifest(layout: &Path) -> (Vec<u8>, String) {
    let index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).expect("an index")).expect("JSON");
    let row = &index["manifests"][0];
    let digest = row["digest"].as_str().expect("a digest").replace(':', "/");
    let bytes = fs::read(layout.join("blobs").join(digest)).expect("a manifest");
    (bytes, row["mediaType"].as_str().expect("a type").to_owned())
}

/// An answer with a body.
pub fn with_body(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut text =
        format!("{status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())
            .into_bytes();
    text.extend_from_slice(body);
    text
}

/// What a registry that has a layout's image in the repository `base` answers; of other repositories it has nothing, and
/// takes whatever comes.
pub fn having(layout: &Path) -> impl Fn(&str, &str) -> Vec<u8> + Send + Sync + 'static {
    let layout: PathBuf = layout.to_owned();
    move |method, path| {
        if let Some(digest) = path.strip_prefix("/v2/base/blobs/sha256:").filter(|_| method == "GET") {
            let bytes = fs::read(layout.join("blobs/sha256").join(digest)).expect("a blob that is there");
            return with_body("200 OK", "", &bytes);
        }
        if path.starts_with("/v2/base/manifests/") {
            let (bytes, media_type) = manifest(&layout);
            return with_body("200 OK", &format!("Content-Type: {media_type}\r\n"), &bytes);
        }
        plain(method, path).into_bytes()
    }
}
