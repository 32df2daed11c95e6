//! Downloads from servers that die, lie, dawdle or send something else.

use std::{
    cell::Cell,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    client::{Memory, anonymous, client, download, no_credentials, quick, url},
    package::noise,
    process::free_port,
    server::{Server, cut, file, raw, reply},
};
use venvoy::inside::{
    packages::{fetch::Sink, http::FetchOptions},
    words::error::{Kind, Result},
};

const ETAG: &str = "\"one\"";

#[test]
fn a_server_that_dies_in_the_middle_of_a_file_is_resumed() {
    let bytes = noise(300_000);
    let served = bytes.clone();
    let server = Server::start(move |request| match request.number {
        0 => cut(file(request, &served, ETAG), 100_000),
        1 => Vec::new(),
        2 => cut(file(request, &served, ETAG), 50_000),
        _ => file(request, &served, ETAG),
    });
    let most = Cell::new(0);
    let mut sink = Memory::default();
    anonymous()
        .download(&url(&server.url("/demo.whl")), None, &mut sink, &|count| most.set(count))
        .expect("downloaded");
    assert!(sink.bytes == bytes && sink.resets == 0 && most.get() == 300_000);
    let log = server.log();
    let ranges: Vec<_> = log.iter().map(|r| (r.range_start(), r.header("if-range"))).collect();
    assert_eq!(
        ranges,
        [(None, None), (Some(200_000), Some(ETAG)), (Some(200_000), Some(ETAG)), (Some(250_000), Some(ETAG))]
    );
    assert!(log.iter().all(|r| r.header("accept-encoding") == Some("identity")));
}

#[test]
fn a_file_that_changed_between_two_tries_is_begun_again() {
    let server = Server::start(|request| match request.number {
        0 => cut(file(request, &[1; 9000], ETAG), 4000),
        _ => file(request, &[2; 9000], "\"two\""),
    });
    let sink = download(&anonymous(), &url(&server.url("/demo.whl"))).expect("downloaded");
    assert_eq!((sink.bytes, sink.resets), (vec![2; 9000], 1));
}

#[test]
fn a_server_that_ignores_ranges_is_read_from_the_beginning() {
    let bytes = noise(9000);
    let served = bytes.clone();
    let server = Server::start(move |request| {
        let answer = reply("200 OK", &[], &served);
        if request.number == 0 { cut(answer, 4000) } else { answer }
    });
    let sink = download(&anonymous(), &url(&server.url("/demo.whl"))).expect("downloaded");
    assert!(sink.bytes == bytes && sink.resets == 1);
}

#[test]
fn a_part_that_is_not_the_one_asked_for_is_thrown_away() {
    let bytes = noise(9000);
    let served = bytes.clone();
    let server = Server::start(move |request| match request.number {
        0 | 2 => cut(file(request, &served, ETAG), 4000),
        1 => reply("206 Partial Content", &["Content-Range: bytes 10-8999/9000"], &served[10..]),
        3 => reply("206 Partial Content", &["Content-Range: bytes 5000-9099/9100"], &served[4900..]),
        _ => file(request, &served, ETAG),
    });
    let client = client(FetchOptions { retries: 6, ..quick() }, no_credentials(), &[]);
    let sink = download(&client, &url(&server.url("/demo.whl"))).expect("downloaded");
    assert!(sink.bytes == bytes && sink.resets == 2);
}

#[test]
fn nothing_after_the_last_byte_means_that_the_file_is_whole() {
    let server = Server::start(|request| match request.number {
        // Chunked, and broken just before the end: the size is not known.
        0 => raw("200 OK", &["ETag: \"one\"", "Transfer-Encoding: chunked"], b"5\r\nhello\r\n"),
        _ => file(request, b"hello", ETAG),
    });
    let sink = download(&anonymous(), &url(&server.url("/demo.whl"))).expect("downloaded");
    assert_eq!((sink.bytes.as_slice(), sink.resets), (&b"hello"[..], 0));
    assert_eq!(server.log().len(), 2);
}

#[test]
fn a_server_that_promises_more_than_it_has_fails_with_both_numbers() {
    let server = Server::start(|request| match request.range_start() {
        None => raw("200 OK", &["Content-Length: 9000"], &[7; 5000]),
        Some(_) => reply("416 Range Not Satisfiable", &["Content-Range: bytes */5000"], b""),
    });
    let error = download(&anonymous(), &url(&server.url("/demo.whl?sig=canary"))).err().expect("an error");
    let report = error.report();
    assert_eq!(error.kind(), Kind::Network);
    assert!(report.contains("/demo.whl after 4 tries"), "{report}");
    assert!(report.contains("has no byte 5000") && !report.contains("canary"), "{report}");
}

#[test]
fn a_short_file_says_where_it_stopped() {
    let server = Server::start(|_| cut(reply("200 OK", &[], &[7; 9000]), 9000));
    let error = download(&anonymous(), &url(&server.url("/demo.whl"))).err().expect("an error");
    assert!(error.report().contains("the download stopped after 0 of 9000 bytes"), "{}", error.report());
    assert_eq!(server.log().len(), 4);
}

#[test]
fn passing_errors_are_tried_again_and_retry_after_is_kept() {
    let server = Server::start(|request| match request.number {
        0 => reply("503 Service Unavailable", &[], b""),
        1 => reply("429 Too Many Requests", &["Retry-After: 1"], b""),
        2 => reply("408 Request Timeout", &[], b""),
        _ => reply("200 OK", &[], b"fine"),
    });
    let begun = Instant::now();
    let sink = download(&anonymous(), &url(&server.url("/demo.whl"))).expect("downloaded");
    assert_eq!(sink.bytes, b"fine");
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn after_the_last_try_the_error_says_how_many_there_were_and_why() {
    let server = Server::start(|_| reply("502 Bad Gateway", &[], b""));
    let error = download(&anonymous(), &url(&server.url("/demo.whl"))).err().expect("an error");
    let report = error.report();
    assert!(
        report.starts_with(&format!("cannot get {} after 4 tries\n", server.url("/demo.whl"))),
        "{report}"
    );
    assert!(report.contains("answered 502 Bad Gateway"), "{report}");
    assert_eq!(server.log().len(), 4);
}

#[test]
fn what_does_not_pass_is_not_tried_again() {
    let server = Server::start(|_| reply("400 Bad Request", &[], b""));
    let error = download(&anonymous(), &url(&server.url("/demo.whl"))).err().expect("an error");
    assert!(error.report().contains("answered 400 Bad Request for /demo.whl"), "{}", error.report());
    assert_eq!(server.log().len(), 1);
}

#[test]
fn a_server_that_falls_silent_is_noticed_and_resumed() {
    let bytes = noise(9000);
    let served = bytes.clone();
    let server = Server::with_streams(move |request, stream| {
        let answer = file(request, &served, ETAG);
        if request.number == 0 {
            let _ = stream.write_all(&cut(answer, 1000));
            thread::sleep(Duration::from_secs(8));
        } else {
            let _ = stream.write_all(&answer);
        }
    });
    let sink = download(&anonymous(), &url(&server.url("/demo.whl"))).expect("downloaded");
    assert!(sink.bytes == bytes);
    assert_eq!(server.log()[1].range_start(), Some(8000));
}

#[test]
fn a_slow_server_is_waited_for_as_long_as_bytes_come() {
    let server = Server::with_streams(|_, stream| {
        for part in reply("200 OK", &[], &[7; 40]).chunks(16) {
            let _ = stream.write_all(part);
            thread::sleep(Duration::from_millis(200));
        }
    });
    // Longer altogether than the read timeout, which is for each silence.
    let sink = download(&anonymous(), &url(&server.url("/demo.whl"))).expect("downloaded");
    assert_eq!((sink.bytes, server.log().len()), (vec![7; 40], 1));
}

#[test]
fn a_server_that_never_answers_times_out() {
    let server = Server::with_streams(|_, _| thread::sleep(Duration::from_secs(5)));
    let options = FetchOptions { retries: 0, read_timeout: Duration::from_millis(200), ..quick() };
    let client = client(options, no_credentials(), &[]);
    let error = download(&client, &url(&server.url("/demo.whl"))).err().expect("an error");
    assert!(error.report().contains("did not answer within 0.2 s"), "{}", error.report());
}

#[test]
fn an_unreachable_server_is_named() {
    let port = free_port();
    let error =
        download(&anonymous(), &url(&format!("http://u:canary@127.0.0.1:{port}/x"))).err().expect("an error");
    let report = error.report();
    assert!(report.contains(&format!("cannot connect to 127.0.0.1:{port}: Connection refused")), "{report}");
    assert!(!report.contains("canary"), "{report}");
}

#[test]
fn long_downloads_over_a_bad_line_end_well() {
    // Breaks more often than there are retries, but each try brings more than a megabyte.
    const STEP: usize = 1_200_000;
    let bytes = noise(8 * STEP);
    let served = bytes.clone();
    let server = Server::start(move |request| {
        let answer = file(request, &served, ETAG);
        let left = served.len() - request.range_start().unwrap_or(0);
        cut(answer, left.saturating_sub(STEP))
    });
    let sink = download(&anonymous(), &url(&server.url("/demo.whl"))).expect("downloaded");
    assert!(sink.bytes == bytes);
    assert_eq!(server.log().len(), 8);
}

#[test]
fn compression_on_the_way_is_refused_except_for_files_that_are_gzip() {
    let server = Server::start(|_| reply("200 OK", &["Content-Encoding: gzip"], b"\x1f\x8bbytes"));
    let error = download(&anonymous(), &url(&server.url("/demo.whl"))).err().expect("an error");
    assert!(error.report().contains("sent compressed (\"gzip\")"), "{}", error.report());
    let sink = download(&anonymous(), &url(&server.url("/demo-1.0.tar.gz"))).expect("downloaded");
    assert_eq!(sink.bytes, b"\x1f\x8bbytes");
}

#[test]
fn other_bytes_of_the_right_length_reach_the_sink_whose_digest_decides() {
    let server = Server::start(|_| reply("200 OK", &[], b"other bytes"));
    let sink = download(&anonymous(), &url(&server.url("/demo.whl"))).expect("downloaded");
    assert_eq!(sink.bytes, b"other bytes");
}

#[test]
fn redirect_loops_end() {
    let server = Server::start(|_| reply("302 Found", &["Location: /again"], b""));
    let error = download(&anonymous(), &url(&server.url("/demo.whl"))).err().expect("an error");
    assert!(error.report().contains("redirects more than 10 times"), "{}", error.report());
    assert_eq!(server.log().len(), 11);
}

/// A disk that is full.
struct Full;

impl io::Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Full {
    fn received(&self) -> u64 {
        0
    }

    fn reset(&mut self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_not_the_servers_fault() {
    let server = Server::start(|_| reply("200 OK", &[], b"bytes"));
    let error = anonymous()
        .download(&url(&server.url("/demo.whl")), None, &mut Full, &|_| {})
        .expect_err("a full disk");
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.report().contains("free some space"), "{}", error.report());
    assert_eq!(server.log().len(), 1);
}

#[test]
fn files_of_this_machine_are_copied() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("a b.whl");
    std::fs::write(&path, b"local").expect("written");
    let file_url = url::Url::from_file_path(&path).expect("a URL");
    assert_eq!(download(&anonymous(), &file_url).expect("copied").bytes, b"local");
    let missing = file_url.join("missing.whl").expect("a URL");
    let error = download(&anonymous(), &missing).err().expect("an error");
    assert!(error.report().contains("missing.whl"), "{}", error.report());
}

#[test]
fn many_threads_share_one_client() {
    let served = AtomicUsize::new(0);
    let server = Server::start(move |request| {
        served.fetch_add(1, Ordering::Relaxed);
        reply("200 OK", &[], request.path.as_bytes())
    });
    let client = anonymous();
    thread::scope(|scope| {
        for number in 0..24 {
            let (client, server) = (&client, &server);
            scope.spawn(move || {
                let path = format!("/{number}.whl");
                let sink = download(client, &url(&server.url(&path))).expect("downloaded");
                assert_eq!(sink.bytes, path.as_bytes());
            });
        }
    });
    assert_eq!(server.log().len(), 24);
}

/// A download kept in a file, whose parts may come out of order.
struct InFile {
    file: std::fs::File,
    length: u64,
    resets: usize,
    /// There is no room for parts.
    full: bool,
}

impl InFile {
    fn new() -> Self {
        InFile { file: tempfile::tempfile().expect("a file"), length: 0, resets: 0, full: false }
    }

    fn bytes(&self) -> Vec<u8> {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = vec![0; usize::try_from(self.length).expect("a length")];
        self.file.read_exact_at(&mut bytes, 0).expect("the bytes");
        bytes
    }
}

impl io::Write for InFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        self.file.write_all_at(bytes, self.length)?;
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for InFile {
    fn received(&self) -> u64 {
        self.length
    }

    fn reset(&mut self) -> Result<()> {
        self.length = 0;
        self.resets += 1;
        Ok(())
    }

    fn places(&mut self) -> Result<Option<std::fs::File>> {
        let full = self.full.then(|| std::fs::File::options().write(true).open("/dev/full"));
        Ok(Some(full.unwrap_or_else(|| self.file.try_clone()).expect("a file")))
    }

    fn join(&mut self, end: u64) -> io::Result<()> {
        self.length = end;
        Ok(())
    }
}

/// How a server that sends 6 MB/s a connection treats ranges.
#[derive(Clone, Copy, PartialEq)]
enum Ranges {
    Kept,
    /// As it announces, and sends the whole file all the same.
    Ignored,
    /// The file changes after the first request.
    Changed,
    /// Each third part breaks off.
    Broken,
}

const LARGE: usize = 12 << 20;

/// `most` learns how many answers were under way at once.
fn slow(bytes: Vec<u8>, ranges: Ranges, most: Arc<AtomicUsize>) -> Server {
    let now = AtomicUsize::new(0);
    Server::with_streams(move |request, stream| {
        most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        let _ended = Ended(&now);
        let range = request.header("range").and_then(|range| {
            let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
            Some((start.parse::<usize>().ok()?, end.parse::<usize>().map_or(LARGE, |end| end + 1)))
        });
        let etag = match (ranges, request.number) {
            (Ranges::Changed, 1..) => "ETag: \"two\"",
            _ => "ETag: \"one\"",
        };
        let same = request.header("if-range").is_none_or(|tag| etag.ends_with(tag));
        let (start, end) = range.filter(|_| same && ranges != Ranges::Ignored).unwrap_or((0, LARGE));
        let content_range = format!("Content-Range: bytes {start}-{}/{LARGE}", end - 1);
        let mut headers = vec!["Accept-Ranges: bytes", etag];
        let part = end - start < LARGE;
        if part {
            headers.push(&content_range);
        }
        let body = &bytes[start..end];
        let head = reply(if part { "206 Partial Content" } else { "200 OK" }, &headers, body);
        let head = &head[..head.len() - body.len()];
        let cut = ranges == Ranges::Broken && part && request.number % 3 == 0;
        let body = if cut { &body[..body.len() / 2] } else { body };
        let _ = stream.write_all(head);
        for chunk in body.chunks(96 << 10) {
            if stream.write_all(chunk).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(16));
        }
    })
}

/// Counts an answer as ended when dropped.
struct Ended<'a>(&'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What came, over how many connections at once, and how many requests for parts there were.
fn in_parts(ranges: Ranges, connections: usize) -> (InFile, usize, usize) {
    in_parts_to(InFile::new(), ranges, connections)
}

fn in_parts_to(mut sink: InFile, ranges: Ranges, connections: usize) -> (InFile, usize, usize) {
    let bytes = noise(LARGE);
    let most = Arc::new(AtomicUsize::new(0));
    let server = slow(bytes.clone(), ranges, most.clone());
    let client = client(FetchOptions { connections, ..quick() }, no_credentials(), &[]);
    let furthest = Cell::new(0);
    client
        .download(&url(&server.url("/large.whl")), None, &mut sink, &|received| furthest.set(received))
        .unwrap_or_else(|error| panic!("{}", error.report()));
    assert!(sink.bytes() == bytes, "the bytes are in their places");
    assert_eq!(furthest.get(), LARGE as u64);
    let parts = server.log().iter().filter(|request| request.header("range").is_some()).count();
    (sink, most.load(Ordering::Relaxed), parts)
}

#[test]
fn a_large_file_comes_over_idle_connections_in_parts() {
    let (one, most, parts) = in_parts(Ranges::Kept, 1);
    assert_eq!((one.resets, most, parts), (0, 1, 0), "there is no other connection to use");
    let (many, most, parts) = in_parts(Ranges::Kept, 8);
    assert!(many.resets == 0 && parts >= 3, "{parts} parts");
    assert!((3..=8).contains(&most), "{most} of {parts} parts at once");
}

#[test]
fn a_server_that_ignores_ranges_is_read_in_one_stream() {
    let (sink, _, parts) = in_parts(Ranges::Ignored, 8);
    assert!(sink.resets == 1 && parts >= 1, "{parts} parts");
}

#[test]
fn parts_of_a_file_that_changes_meanwhile_are_thrown_away() {
    assert_eq!(in_parts(Ranges::Changed, 8).0.resets, 1);
}

#[test]
fn parts_that_break_off_are_fetched_again() {
    assert_eq!(in_parts(Ranges::Broken, 8).0.resets, 0);
}

/// A cache whose disk is full goes on in a private directory, and does so with what comes in order.
#[test]
fn parts_that_find_no_room_come_in_one_stream() {
    let full = InFile { full: true, ..InFile::new() };
    assert_eq!(in_parts_to(full, Ranges::Kept, 8).0.resets, 1);
}
