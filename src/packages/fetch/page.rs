//! Pages of indexes.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use url::Url;

use crate::{
    packages::http::{Client, Failure, Held, Outcome, Redirects, Reply, Request, Room, SMALL, Tries},
    words::{
        error::{Error, Kind, Result},
        files::read_regular,
        vocab::{SourceUrl, place, shown_url},
    },
};

/// JSON (PEP 691) first, HTML where an index has nothing else.
const ACCEPT_PAGE: &str = "application/vnd.pypi.simple.v1+json, \
                           application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1, */*;q=0.01";

/// The largest page read, unpacked: the longest real ones are a third of this.
const LARGEST: usize = 100 << 20;

/// How much of a page is read at a time.
const CHUNK: usize = 64 << 10;

/// A page as the server sent it, transfer compression undone.
#[derive(Debug)]
pub struct Page {
    /// Where the page came from in the end: relative links are relative to this.
    pub url: Url,
    /// The Content-Type header.
    pub content_type: Option<String>,
    /// The page's bytes.
    pub body: Vec<u8>,
    /// Where the page is large: others wait for it to be done with.
    _held: Option<Held>,
}

/// What an index answered.
#[derive(Debug)]
pub enum Answer {
    /// The page.
    Page(Page),
    /// The index does not have it, or forwards the question to another server. The error says so in
    /// full, for callers that have no other index to ask.
    NotFound(Error),
}

impl Client<'_> {
    /// Gets a page of `source`, with that source's credentials.
    pub fn page(&self, url: &Url, source: &SourceUrl) -> Result<Answer> {
        self.get_page(url, source, !self.options.allow_forwarding)
    }

    /// The same for a package of which nothing is pinned: no other server answers for it, whatever
    /// [`crate::packages::http::FetchOptions::allow_forwarding`] says.
    pub fn page_of_unpinned(&self, url: &Url, source: &SourceUrl) -> Result<Answer> {
        self.get_page(url, source, true)
    }

    fn get_page(&self, url: &Url, source: &SourceUrl, stay: bool) -> Result<Answer> {
        if url.scheme() == "file" {
            return local(url);
        }
        let mut tries = Tries::new(&self.options);
        loop {
            match self.try_page(url, source, stay) {
                Ok(answer) => return Ok(answer),
                Err(failure) => tries.pause(failure, url)?,
            }
        }
    }

    fn try_page(&self, url: &Url, source: &SourceUrl, stay: bool) -> Result<Answer, Failure> {
        let ask = Request::get(url)
            .via(Some(source))
            .header(ACCEPT, HeaderValue::from_static(ACCEPT_PAGE))
            .header(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))
            .redirects(if stay { Redirects::Stay } else { Redirects::Follow });
        let reply = match self.send(&ask)? {
            Outcome::Reply(reply) => reply,
            Outcome::Leaves(to) => return Ok(Answer::NotFound(forwarding(url, &to))),
        };
        match reply.status() {
            200 => body(*reply, &self.room).map(Answer::Page),
            404 | 410 => Ok(Answer::NotFound(self.refusal(&reply, Some(source)))),
            _ => Err(self.refusal(&reply, Some(source)).into()),
        }
    }
}

fn body(mut reply: Reply, room: &Room) -> Result<Page, Failure> {
    let url = reply.url().clone();
    let content_type = reply.header(&CONTENT_TYPE).map(str::to_owned);
    let encoding = reply.header(&CONTENT_ENCODING).unwrap_or_default().to_ascii_lowercase();
    let mut held = None;
    let mut body = Vec::new();
    let read = match encoding.as_str() {
        "" | "identity" => read(reply.reader(), room, &mut held, &mut body),
        "gzip" | "x-gzip" => read(MultiGzDecoder::new(reply.reader()), room, &mut held, &mut body),
        other => {
            let message =
                format!("{} is compressed with {other:?}; expected gzip or nothing", shown_url(&url));
            return Err(Error::new(Kind::Network, message).into());
        }
    };
    read.map_err(|error| reply.broken(error))?;
    if body.len() > LARGEST {
        let message =
            format!("{} is larger than {} MB, too large for an index page", shown_url(&url), LARGEST >> 20);
        return Err(Error::new(Kind::Network, message).into());
    }
    Ok(Page { url, content_type, body, _held: held })
}

/// Reads until the end, or until it is clear that the page is too large. Beyond a size that is usual, only one page is
/// read on at a time.
fn read(
    mut from: impl Read,
    room: &Room,
    held: &mut Option<Held>,
    body: &mut Vec<u8>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        body.extend_from_slice(&buffer[..count]);
        if body.len() > SMALL && held.is_none() {
            *held = Some(room.take());
        }
        if body.len() > LARGEST {
            return Ok(());
        }
    }
}

fn forwarding(url: &Url, to: &Url) -> Error {
    Error::new(
        Kind::Selection,
        format!("{} does not have {}: it forwards the question to {}", place(url), url.path(), place(to)),
    )
    .help(
        "publish the package on the index the lock names or correct its \"index\"; a package that is not \
         found there must not be taken from elsewhere unasked. --allow-forwarding accepts what the lock's \
         hashes pin",
    )
}

/// An index in a directory: a page is the directory's `index.html`.
fn local(url: &Url) -> Result<Answer> {
    let path = super::file::local_path(url)?;
    let path = if path.is_dir() { path.join("index.html") } else { path };
    match read_regular(&path, LARGEST as u64) {
        Ok(body) => {
            let content_type = Some("text/html".to_owned());
            Ok(Answer::Page(Page { url: url.clone(), content_type, body, _held: None }))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Answer::NotFound(Error::new(Kind::Selection, format!("{} does not exist", path.display()))))
        }
        Err(error) => Err(Error::io("cannot read", &path, error)),
    }
}
