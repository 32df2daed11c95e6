//! Files, streamed and resumed; large ones in parts where connections are idle.

use std::{
    fs::File,
    io::{self, Read},
    path::PathBuf,
    time::Instant,
};

use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use url::Url;

use super::parts::{self, Whole};
use crate::{
    packages::http::{Client, Failure, Outcome, Reply, Request, Tries},
    words::{
        error::{Error, Kind, Result},
        files::{is_full, open_regular},
        vocab::{ArchiveFormat, SourceUrl, place, shown_url},
    },
};

/// Large enough that system calls and thread changes do not count.
pub(super) const CHUNK: usize = 256 << 10;

/// So much new data shows that a broken download is worth continuing for as long as it takes.
pub(super) const PROGRESS: u64 = 1 << 20;

/// Where a download goes: its bytes in order.
pub trait Sink: io::Write {
    /// How many bytes have been written since the beginning or the last reset.
    fn received(&self) -> u64;

    /// Forgets everything written, to start anew.
    fn reset(&mut self) -> Result<()>;

    /// The server says that the whole file has so many bytes.
    fn announced(&mut self, _bytes: u64) {}

    /// The file that bytes of this sink go to, for parts that come out of order: they are written where they belong.
    /// `None` where only the next bytes can be taken.
    fn places(&mut self) -> Result<Option<File>> {
        Ok(None)
    }

    /// Takes the bytes up to `end`, which were put in their places, as if they had been written here.
    fn join(&mut self, _end: u64) -> io::Result<()> {
        Err(io::Error::other("this sink takes bytes in their order only"))
    }
}

/// What earlier tries taught about the file.
#[derive(Default)]
struct Known {
    size: Option<u64>,
    validator: Option<HeaderValue>,
    /// The parts of an earlier try did not fit together.
    in_one: bool,
}

impl Client<'_> {
    /// Streams a file into `sink`. A download that breaks is resumed where the server can do so, else begun
    /// again. `via` is the source that listed the file: its credentials are for files of its own realm.
    /// `progress` is told how many bytes the sink has, which may go back to zero.
    pub fn download(
        &self,
        url: &Url,
        via: Option<&SourceUrl>,
        sink: &mut dyn Sink,
        progress: &dyn Fn(u64),
    ) -> Result<()> {
        if sink.received() > 0 {
            sink.reset()?;
        }
        let mut buffer = vec![0; CHUNK];
        if url.scheme() == "file" {
            return copy_local(url, sink, progress, &mut buffer);
        }
        let _lane = self.lanes.take();
        let mut tries = Tries::new(&self.options);
        let mut known = Known::default();
        let mut best = 0;
        loop {
            match self.try_download(url, via, sink, progress, &mut known, &mut buffer) {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    if sink.received() >= best + PROGRESS {
                        best = sink.received();
                        tries.progressed();
                    }
                    tries.pause(failure, url)?;
                }
            }
        }
    }

    fn try_download(
        &self,
        url: &Url,
        via: Option<&SourceUrl>,
        sink: &mut dyn Sink,
        progress: &dyn Fn(u64),
        known: &mut Known,
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        let start = sink.received();
        let mut ask = request(url, via);
        if start > 0 {
            ask = ask.header(RANGE, range(start, None));
            if let Some(validator) = &known.validator {
                ask = ask.header(IF_RANGE, validator.clone());
            }
        }
        let (asked, before) = (Instant::now(), self.lanes.brought());
        let Outcome::Reply(mut reply) = self.send(&ask)? else {
            return Err(Failure::passing(format!("{} redirects to another server", shown_url(url))));
        };
        match reply.status() {
            200 => {
                if start > 0 {
                    sink.reset()?;
                }
                known.size = reply.length();
                if let Some(size) = known.size {
                    sink.announced(size);
                }
                // A weak validator does not promise the same bytes (RFC 9110, 8.8.1).
                let headers = reply.headers();
                let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
                known.validator = strong.or_else(|| headers.get(LAST_MODIFIED)).cloned();
            }
            206 => {
                let range = content_range(&reply);
                let (first, size) = match range {
                    Some((Some(first), size)) => (first, size),
                    _ => (u64::MAX, None),
                };
                if first != start || (known.size.is_some() && size.is_some() && size != known.size) {
                    sink.reset()?;
                    return Err(Failure::passing(format!(
                        "{} sent another part of the file than asked for (from byte {start})",
                        place(reply.url())
                    )));
                }
                known.size = known.size.or(size);
            }
            416 if start > 0 => {
                // Nothing after what we have: it may have been all.
                let size = content_range(&reply).and_then(|(_, size)| size);
                if size == Some(start) && known.size.is_none_or(|known| known == start) {
                    return Ok(());
                }
                sink.reset()?;
                return Err(Failure::passing(format!(
                    "{} has no byte {start} of the file, though it promised more",
                    place(reply.url())
                )));
            }
            _ => return Err(self.refusal(&reply, via).into()),
        }
        refuse_compression(&reply)?;
        let whole = whole(&reply, url, via, known, sink)?;
        loop {
            let received = sink.received();
            if let Some(whole) = &whole
                && self.lanes.has_spare()
                && parts::is_worth_parts(
                    whole.size.saturating_sub(received),
                    received - start,
                    self.lanes.brought() - before,
                    asked.elapsed(),
                )
            {
                let brought = (received - start, asked.elapsed());
                let outcome = parts::fetch(self, whole, reply, sink, progress, buffer, brought);
                if let Err(parts::Stopped::NotInParts(why)) = outcome {
                    known.in_one = true;
                    sink.reset()?;
                    return Err(Failure::passing(why));
                }
                return outcome.map_err(parts::Stopped::into_failure);
            }
            let count = match reply.read(buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(failure) => return Err(stopped(failure, sink.received(), known.size)),
            };
            self.lanes.bring(count as u64);
            sink.write_all(&buffer[..count]).map_err(|error| cannot_store(url, error))?;
            progress(sink.received());
        }
        match known.size {
            Some(size) if size != sink.received() => Err(Failure::passing(format!(
                "{} sent {} bytes of a file of {size}",
                place(reply.url()),
                sink.received()
            ))),
            _ => Ok(()),
        }
    }
}

/// A request for a file's bytes. Compression on the way would only cost time, and a resumed file must be the same bytes.
pub(super) fn request<'a>(url: &'a Url, via: Option<&'a SourceUrl>) -> Request<'a> {
    Request::get(url)
        .via(via)
        .header(ACCEPT, HeaderValue::from_static("*/*"))
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
}

/// A Range header's value: from a byte to the one before `end`.
pub(super) fn range(start: u64, end: Option<u64>) -> HeaderValue {
    let text = end.map_or_else(|| format!("bytes={start}-"), |end| format!("bytes={start}-{}", end - 1));
    // Digits and a dash always can stand in a header.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("bytes=0-"))
}

/// What is needed to fetch the rest of a file in parts: a server that says it takes ranges, its word for which bytes
/// these are, their number, and a sink that takes parts.
fn whole<'a>(
    reply: &Reply,
    url: &'a Url,
    via: Option<&'a SourceUrl>,
    known: &Known,
    sink: &mut dyn Sink,
) -> Result<Option<Whole<'a>>> {
    let takes_ranges =
        reply.status() == 206 || reply.header(&ACCEPT_RANGES).is_some_and(|units| units == "bytes");
    let (Some(size), Some(validator), true) = (known.size, &known.validator, takes_ranges && !known.in_one)
    else {
        return Ok(None);
    };
    if size < parts::SMALLEST {
        return Ok(None);
    }
    let Some(file) = sink.places()? else { return Ok(None) };
    Ok(Some(Whole { url, end_url: reply.url().clone(), via, size, validator: validator.clone(), file }))
}

fn stopped(failure: Failure, received: u64, size: Option<u64>) -> Failure {
    let of = size.map(|size| format!(" of {size}")).unwrap_or_default();
    match failure {
        Failure::Passing(error, wait) => {
            Failure::Passing(error.context(format!("the download stopped after {received}{of} bytes")), wait)
        }
        other => other,
    }
}

/// The first byte (none if the range is unsatisfied) and the whole size of a Content-Range header.
pub(super) fn content_range(reply: &Reply) -> Option<(Option<u64>, Option<u64>)> {
    parse_content_range(reply.header(&CONTENT_RANGE)?)
}

fn parse_content_range(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let first = match range.trim() {
        "*" => None,
        range => Some(range.split_once('-')?.0.trim().parse().ok()?),
    };
    Some((first, size.trim().parse().ok()))
}

/// A server that compresses on its own account would give other bytes than those the lock pins. Some label
/// `.tar.gz` files as gzip-encoded though: those are taken as they are, and their digest decides.
pub(super) fn refuse_compression(reply: &Reply) -> Result<()> {
    let Some(encoding) = reply.headers().get(CONTENT_ENCODING) else { return Ok(()) };
    let encoding = encoding.to_str().unwrap_or("?").to_ascii_lowercase();
    let path = reply.url().path();
    let gzip_file = matches!(ArchiveFormat::split(path), Some((_, ArchiveFormat::TarGz)));
    match encoding.as_str() {
        "" | "identity" => Ok(()),
        "gzip" | "x-gzip" if gzip_file => Ok(()),
        _ => Err(Error::new(
            Kind::Network,
            format!("{} was sent compressed ({encoding:?}), though asked not to", shown_url(reply.url())),
        )
        .help("turn off on-the-fly compression of packages on that server or proxy")),
    }
}

pub(super) fn cannot_store(url: &Url, error: io::Error) -> Error {
    let full = is_full(&error);
    let error =
        Error::new(Kind::Io, format!("cannot store what comes from {}", shown_url(url))).because(error);
    if full { error.help("free some space for the cache and run the same command again") } else { error }
}

/// The path of a `file:` URL on this machine.
pub(super) fn local_path(url: &Url) -> Result<PathBuf> {
    url.to_file_path().map_err(|()| {
        Error::new(Kind::Usage, format!("{} names no file of this machine", shown_url(url)))
            .help("expected a URL such as file:///path/to/index")
    })
}

fn copy_local(url: &Url, sink: &mut dyn Sink, progress: &dyn Fn(u64), buffer: &mut [u8]) -> Result<()> {
    let path = local_path(url)?;
    let mut file = open_regular(&path).map_err(|error| Error::io("cannot open", &path, error))?;
    loop {
        let count = match file.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("cannot read", &path, error)),
        };
        sink.write_all(&buffer[..count]).map_err(|error| cannot_store(url, error))?;
        progress(sink.received());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_and_nonsense_is_not() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((Some(5), Some(10))));
        assert_eq!(parse_content_range("bytes 5-9/*"), Some((Some(5), None)));
        assert_eq!(parse_content_range("bytes */10"), Some((None, Some(10))));
        for text in ["", "bytes", "bytes 5/10", "items 5-9/10", "bytes x-9/10"] {
            assert_eq!(parse_content_range(text), None, "{text}");
        }
    }
}
