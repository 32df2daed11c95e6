//! Requests of every kind against a server on loopback that notes what it was sent.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use url::Url;

use super::{Body, Client, FetchOptions, Identity, Method, Outcome, Redirects, Reply, Request};
use crate::{
    project::auth::{AuthOptions, CredentialStore},
    words::{
        error::Error,
        vocab::{Secret, SourceUrl},
    },
};

/// What a request was: its first line, its headers in lower case, its body.
#[derive(Debug, Clone, Default)]
struct Seen {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Seen {
    fn has(&self, header: &str) -> bool {
        self.headers.iter().any(|found| found.eq_ignore_ascii_case(header))
    }

    fn names(&self, name: &str) -> bool {
        self.headers.iter().any(|found| found.to_lowercase().starts_with(&format!("{name}:")))
    }
}

struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    fn start(answer: impl Fn(&Seen, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (answer, log) = (Arc::new(answer), seen.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (answer.clone(), log.clone());
                std::thread::spawn(move || serve(stream, &*answer, &log));
            }
        });
        Server { port, seen }
    }

    /// Answers everything in the same way.
    fn saying(answer: &'static str) -> Self {
        Self::start(move |_, stream| drop(stream.write_all(answer.as_bytes())))
    }

    fn url(&self, path: &str) -> Url {
        format!("http://127.0.0.1:{}{path}", self.port).parse().expect("a URL")
    }
}

fn serve(mut stream: TcpStream, answer: &dyn Fn(&Seen, &mut TcpStream), log: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut seen = Seen::default();
    for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if seen.line.is_empty() {
            seen.line = line;
        } else {
            seen.headers.push(line);
        }
    }
    let length = seen.headers.iter().find_map(|header| {
        let (name, value) = header.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<u64>().ok())?
    });
    reader.take(length.unwrap_or(0)).read_to_end(&mut seen.body).expect("a body");
    log.lock().push(seen.clone());
    answer(&seen, &mut stream);
}

fn quick() -> FetchOptions {
    FetchOptions {
        backoff: Duration::from_millis(1),
        read_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(30),
        retries: 2,
        ..FetchOptions::default()
    }
}

fn client(sources: &[&SourceUrl]) -> Client<'static> {
    client_with(quick(), sources)
}

fn client_with(options: FetchOptions, sources: &[&SourceUrl]) -> Client<'static> {
    let mut store =
        CredentialStore::new(AuthOptions { secret_netrc: None, ..AuthOptions::default() }).expect("a store");
    for source in sources {
        store.register_source(None, source);
    }
    Client::new(options, store).expect("a client")
}

fn reply(client: &Client, request: &Request) -> Result<Reply, Error> {
    match client.ask(request)? {
        Outcome::Reply(reply) => Ok(*reply),
        Outcome::Leaves(url) => panic!("it left to {url}"),
    }
}

#[test]
fn uploads_are_sent_whole_with_their_token_and_their_location_is_the_callers() {
    let server = Server::saying(
        "HTTP/1.1 202 Accepted\r\nLocation: /upload/1?state=x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    );
    let (client, url, token) = (client(&[]), server.url("/v2/app/blobs/uploads/"), Secret::new("canary"));
    let open = || -> std::io::Result<Box<dyn std::io::Read + Send>> { Ok(Box::new(&b"stream"[..])) };
    let bodies: [(Body, &[u8]); 3] = [
        (Body::Empty, b""),
        (Body::Bytes(b"bytes"), b"bytes"),
        (Body::Stream { open: &open, length: 6 }, b"stream"),
    ];
    for (at, (body, expected)) in bodies.into_iter().enumerate() {
        let request = Request::new(Method::POST, &url)
            .identity(Identity::Bearer(&token))
            .redirects(Redirects::Keep)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
            .body(body);
        let mut reply = reply(&client, &request).expect("a reply");
        assert_eq!((reply.status(), reply.header(&LOCATION)), (202, Some("/upload/1?state=x")));
        assert_eq!(reply.bytes(10).expect("a body"), b"ok");
        let seen = server.seen.lock()[at].clone();
        assert_eq!(seen.line, "POST /v2/app/blobs/uploads/ HTTP/1.1");
        assert!(seen.has("authorization: Bearer canary"), "{seen:?}");
        assert!(seen.has(&format!("content-length: {}", expected.len())), "{seen:?}");
        assert_eq!(seen.body, expected);
    }
}

#[test]
fn a_redirected_upload_keeps_its_body_and_leaves_its_token_at_home() {
    let storage = Server::saying("HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let to = storage.url("/storage");
    let registry = Server::start(move |_, stream| {
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        drop(stream.write_all(answer.as_bytes()));
    });
    let (client, url, token) = (client(&[]), registry.url("/upload"), Secret::new("canary"));
    let request =
        Request::new(Method::PUT, &url).identity(Identity::Bearer(&token)).body(Body::Bytes(b"layer"));
    assert_eq!(reply(&client, &request).expect("a reply").status(), 201);
    assert!(registry.seen.lock()[0].names("authorization"));
    let seen = storage.seen.lock()[0].clone();
    assert_eq!((seen.line.as_str(), &*seen.body), ("PUT /storage HTTP/1.1", &b"layer"[..]));
    assert!(!seen.names("authorization"), "{seen:?}");
}

#[test]
fn a_login_that_is_refused_is_tried_once_by_however_many_threads() {
    let server =
        Server::saying("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    let source: SourceUrl =
        format!("http://ci:canary@127.0.0.1:{}/simple", server.port).parse().expect("a URL");
    let client = client(&[&source]);
    let reports: Vec<String> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..16)
            .map(|package| {
                let (client, source, url) = (&client, &source, server.url(&format!("/simple/{package}/")));
                scope.spawn(move || {
                    let refused = reply(client, &Request::get(&url).via(Some(source)));
                    refused.err().expect("refused").report()
                })
            })
            .collect();
        asking.into_iter().map(|thread| thread.join().expect("a report")).collect()
    });
    assert!(reports.iter().all(|report| *report == reports[0]), "{reports:?}");
    assert!(reports[0].contains("refused user ci (from the source's URL)"), "{}", reports[0]);
    assert_eq!(server.seen.lock().len(), 1);
}

#[test]
fn a_server_that_is_not_there_is_given_up_once_for_all() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url: Url =
        format!("http://{}/simple/x/", listener.local_addr().expect("an address")).parse().expect("a URL");
    drop(listener);
    // Two pauses, of one and two seconds; forty requests that each make them would take two minutes.
    let patient = FetchOptions { backoff: Duration::from_secs(1), ..quick() };
    let client = client_with(patient, &[]);
    let started = std::time::Instant::now();
    let reports: Vec<String> = (0..40)
        .map(|_| reply(&client, &Request::get(&url)).err().expect("nobody listens").report())
        .collect();
    assert!(reports.iter().all(|report| *report == reports[0]), "{reports:?}");
    let place = url.port().expect("a port");
    assert!(
        reports[0].starts_with(&format!(
            "cannot reach 127.0.0.1:{place} after 3 tries\n  because: cannot connect to 127.0.0.1:{place}: "
        )),
        "{}",
        reports[0]
    );
    assert!(started.elapsed() < Duration::from_mins(1), "{:?}", started.elapsed());
}

#[test]
fn a_name_that_does_not_exist_is_not_asked_for_again() {
    let url: Url = "http://index.invalid/simple/x/".parse().expect("a URL");
    let report = reply(&client(&[]), &Request::get(&url)).err().expect("no such host").report();
    assert!(report.contains("cannot connect to index.invalid: no address for index.invalid"), "{report}");
}

#[test]
fn a_body_that_trickles_is_not_waited_for() {
    let server = Server::start(|_, stream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"));
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let url = server.url("/file");
    let impatient = FetchOptions { read_timeout: Duration::from_secs(1), ..quick() };
    let mut reply = reply(&client_with(impatient, &[]), &Request::get(&url)).expect("a reply");
    let error = reply.bytes(1000).expect_err("too slow").into_error().report();
    assert!(error.contains(&format!("127.0.0.1:{} sends too slowly: ", server.port)), "{error}");
}

#[test]
fn an_answer_may_not_be_longer_than_it_was_allowed_to_be() {
    let server = Server::saying("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    let url = server.url("/");
    let mut reply = reply(&client(&[]), &Request::get(&url)).expect("a reply");
    let error = reply.bytes(4).expect_err("too long").into_error().report();
    assert_eq!(error, format!("the answer of 127.0.0.1:{} is longer than 4 bytes", server.port));
}
