//! Files, streamed and resumed.

use std::{
    io::{self, Read},
    path::PathBuf,
};

use reqwest::{
    blocking::Response,
    header::{CONTENT_ENCODING, CONTENT_RANGE, ETAG, HeaderValue, LAST_MODIFIED},
};
use url::Url;

use super::page::interrupted;
use crate::packages::http::{
    Client,
    client::{Ask, Outcome, Reply},
    failure::{Failure, Tries, place, shown},
};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::{ArchiveFormat, SourceUrl},
};

/// Large enough that system calls and thread changes do not count.
const CHUNK: usize = 256 << 10;

/// So much new data shows that a broken download is worth continuing for as long as it takes.
const PROGRESS: u64 = 1 << 20;

/// Where a download goes: its bytes in order.
pub trait Sink: io::Write {
    /// How many bytes have been written since the beginning or the last reset.
    fn received(&self) -> u64;

    /// Forgets everything written, to start anew.
    fn reset(&mut self) -> Result<()>;

    /// The server says that the whole file has so many bytes.
    fn announced(&mut self, _bytes: u64) {}
}

/// What earlier tries taught about the file.
#[derive(Default)]
struct Known {
    size: Option<u64>,
    validator: Option<HeaderValue>,
}

impl Client {
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
        let resume = (start > 0).then(|| (start, known.validator.clone()));
        // Compression on the way would only cost time, and a resumed file must be the same bytes.
        let ask = Ask { url, via, accept: "*/*", encoding: "identity", resume, stay: false };
        let Outcome::Reply(mut reply) = self.send(&ask)? else {
            return Err(Failure::passing(format!("{} redirects to another server", shown(url))));
        };
        match reply.response.status().as_u16() {
            200 => {
                if start > 0 {
                    sink.reset()?;
                }
                let headers = reply.response.headers();
                known.size = reply.response.content_length();
                if let Some(size) = known.size {
                    sink.announced(size);
                }
                // A weak validator does not promise the same bytes (RFC 9110, 8.8.1).
                let strong = headers.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/"));
                known.validator = strong.or_else(|| headers.get(LAST_MODIFIED)).cloned();
            }
            206 => {
                let range = content_range(&reply.response);
                let (first, size) = match range {
                    Some((Some(first), size)) => (first, size),
                    _ => (u64::MAX, None),
                };
                if first != start || (known.size.is_some() && size.is_some() && size != known.size) {
                    sink.reset()?;
                    return Err(Failure::passing(format!(
                        "{} sent another part of the file than asked for (from byte {start})",
                        place(&reply.url)
                    )));
                }
                known.size = known.size.or(size);
            }
            416 if start > 0 => {
                // Nothing after what we have: it may have been all.
                let size = content_range(&reply.response).and_then(|(_, size)| size);
                if size == Some(start) && known.size.is_none_or(|known| known == start) {
                    return Ok(());
                }
                sink.reset()?;
                return Err(Failure::passing(format!(
                    "{} has no byte {start} of the file, though it promised more",
                    place(&reply.url)
                )));
            }
            _ => return Err(self.refusal(&reply, via).into()),
        }
        refuse_compression(&reply)?;
        loop {
            let count = match reply.response.read(buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(&error, &reply.url, sink.received(), known.size, self)),
            };
            sink.write_all(&buffer[..count]).map_err(|error| cannot_store(url, error))?;
            progress(sink.received());
        }
        match known.size {
            Some(size) if size != sink.received() => Err(Failure::passing(format!(
                "{} sent {} bytes of a file of {size}",
                place(&reply.url),
                sink.received()
            ))),
            _ => Ok(()),
        }
    }
}

fn broken(error: &io::Error, url: &Url, received: u64, size: Option<u64>, client: &Client) -> Failure {
    let of = size.map(|size| format!(" of {size}")).unwrap_or_default();
    match interrupted(error, url, &client.options) {
        Failure::Passing(error, wait) => {
            Failure::Passing(error.context(format!("the download stopped after {received}{of} bytes")), wait)
        }
        last @ Failure::Final(_) => last,
    }
}

/// The first byte (none if the range is unsatisfied) and the whole size of a Content-Range header.
fn content_range(response: &Response) -> Option<(Option<u64>, Option<u64>)> {
    parse_content_range(response.headers().get(CONTENT_RANGE)?.to_str().ok()?)
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
fn refuse_compression(reply: &Reply) -> Result<()> {
    let Some(encoding) = reply.response.headers().get(CONTENT_ENCODING) else { return Ok(()) };
    let encoding = encoding.to_str().unwrap_or("?").to_ascii_lowercase();
    let path = reply.url.path();
    let gzip_file = matches!(ArchiveFormat::split(path), Some((_, ArchiveFormat::TarGz)));
    match encoding.as_str() {
        "" | "identity" => Ok(()),
        "gzip" | "x-gzip" if gzip_file => Ok(()),
        _ => Err(Error::new(
            Kind::Network,
            format!("{} was sent compressed ({encoding:?}), though asked not to", shown(&reply.url)),
        )
        .help("turn off on-the-fly compression of packages on that server or proxy")),
    }
}

fn cannot_store(url: &Url, error: io::Error) -> Error {
    let full = error.kind() == io::ErrorKind::StorageFull;
    let error = Error::new(Kind::Io, format!("cannot store what comes from {}", shown(url))).because(error);
    if full { error.help("free some space for the cache and run the same command again") } else { error }
}

/// The path of a `file:` URL on this machine.
pub(super) fn local_path(url: &Url) -> Result<PathBuf> {
    url.to_file_path().map_err(|()| {
        Error::new(Kind::Usage, format!("{} names no file of this machine", shown(url)))
            .help("expected a URL such as file:///path/to/index")
    })
}

fn copy_local(url: &Url, sink: &mut dyn Sink, progress: &dyn Fn(u64), buffer: &mut [u8]) -> Result<()> {
    let path = local_path(url)?;
    let mut file = std::fs::File::open(&path).map_err(|error| Error::io("cannot open", &path, error))?;
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
