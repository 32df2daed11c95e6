//! A server on the loopback that gives the files of a directory, to those who know the password.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// What was asked: the path, and whether the right password came along.
pub type Asked = Arc<Mutex<Vec<(String, bool)>>>;

pub struct Server {
    /// `http://127.0.0.1:PORT`.
    pub origin: String,
    pub asked: Asked,
}

/// Serves `root`; with `authorization` (an Authorization header's value), to nobody else.
pub fn serve(root: &Path, authorization: Option<&str>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Asked::default();
    let (root, authorization, log) = (root.to_path_buf(), authorization.map(str::to_owned), asked.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (root, authorization, log) = (root.clone(), authorization.clone(), log.clone());
            std::thread::spawn(move || answer(&stream, &root, authorization.as_deref(), &log));
        }
    });
    Server { origin, asked }
}

fn answer(stream: &TcpStream, root: &Path, authorization: Option<&str>, log: &Asked) -> Option<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next()?.ok()?;
    let mut known = authorization.is_none();
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            known = authorization == Some(value);
        }
    }
    let path = request.split(' ').nth(1)?.split(['?', '#']).next()?.trim_start_matches('/').to_owned();
    log.lock().ok()?.push((path.clone(), known));
    let mut file: PathBuf = root.join(&path);
    if file.is_dir() {
        file = file.join("index.html");
    }
    let (status, body) = match (known, fs::read(&file)) {
        (false, _) => ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"test\"", Vec::new()),
        (true, Ok(body)) => ("200 OK", body),
        (true, Err(_)) => ("404 Not Found", Vec::new()),
    };
    let kind =
        if file.extension().is_some_and(|e| e == "html") { "text/html" } else { "application/octet-stream" };
    let mut stream = stream;
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).ok()
}
