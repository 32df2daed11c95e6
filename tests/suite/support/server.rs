//! A small HTTP server that does exactly what a test tells it to, right or wrong.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// How many requests the server got before this one.
    pub number: usize,
    /// GET, one would hope.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The first byte a Range header asks for.
    pub fn range_start(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// A server on a loopback port; it serves until the test's process ends.
pub struct Server {
    pub port: u16,
    log: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers each request with the bytes `answer` gives, then closes the connection. Bytes are sent as
    /// they are: status line, headers and body.
    pub fn start(answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::with_streams(move |request, stream| {
            let _ = stream.write_all(&answer(request));
        })
    }

    /// The same for one user: 401 for those who send another Authorization header.
    pub fn private(
        authorization: &str,
        answer: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let expected = authorization.to_owned();
        Self::start(move |request| match request.header("authorization") {
            Some(got) if got == expected => answer(request),
            _ => reply("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"packages\""], b""),
        })
    }

    /// The files of a directory, for one user.
    pub fn of_directory(root: &Path, authorization: &str) -> Self {
        let root = root.to_owned();
        Self::private(authorization, move |request| {
            let path = request.path.split(['?', '#']).next().unwrap_or_default();
            let mut file = root.join(path.trim_start_matches('/'));
            let mut kind = "Content-Type: application/octet-stream";
            if file.is_dir() {
                file = file.join("index.html");
                kind = "Content-Type: text/html";
            }
            match fs::read(&file) {
                Ok(bytes) => reply("200 OK", &[kind], &bytes),
                Err(_) => reply("404 Not Found", &[], b""),
            }
        })
    }

    /// Leaves everything about the connection to `answer`.
    pub fn with_streams(answer: impl Fn(&Request, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (answer, requests) = (Arc::new(answer), log.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, requests) = (answer.clone(), requests.clone());
                thread::spawn(move || serve(stream, &*answer, &requests));
            }
        });
        Server { port, log }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// All requests so far.
    pub fn log(&self) -> Vec<Request> {
        self.log.lock().expect("a log").clone()
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Request, &mut TcpStream), log: &Mutex<Vec<Request>>) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(": ").map(|(n, v)| (n.to_ascii_lowercase(), v.to_owned())))
        .collect();
    let request = {
        let mut log = log.lock().expect("a log");
        let request = Request { number: log.len(), method, path, headers };
        log.push(request.clone());
        request
    };
    answer(&request, &mut stream);
    let _ = stream.shutdown(std::net::Shutdown::Write);
}

/// An answer with headers (lines without ends) and a body whose length is declared.
pub fn reply(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    raw(status, &[headers, &[&length]].concat(), body)
}

/// An answer with exactly these headers.
pub fn raw(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
    for header in headers {
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

/// What a well-behaved server answers to a (ranged) request for `file`.
pub fn file(request: &Request, file: &[u8], etag: &str) -> Vec<u8> {
    let etag_header = format!("ETag: {etag}");
    let same = request.header("if-range").is_none_or(|tag| tag == etag);
    match request.range_start() {
        Some(start) if same && start < file.len() => {
            let range = format!("Content-Range: bytes {start}-{}/{}", file.len() - 1, file.len());
            reply("206 Partial Content", &[&etag_header, &range], &file[start..])
        }
        Some(_) if same => {
            let range = format!("Content-Range: bytes */{}", file.len());
            reply("416 Range Not Satisfiable", &[&range], b"")
        }
        _ => reply("200 OK", &[&etag_header], file),
    }
}

/// The beginning of an answer: headers as declared, body cut short by `missing` bytes.
pub fn cut(mut answer: Vec<u8>, missing: usize) -> Vec<u8> {
    answer.truncate(answer.len() - missing);
    answer
}
