//! Pages of indexes.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use url::Url;

use crate::packages::http::{
    Client, FetchOptions,
    client::{Ask, Outcome, Reply},
    failure::{Failure, Tries, place, shown},
};
use crate::words::{
    error::{Error, Kind, Result},
    vocab::SourceUrl,
};

/// JSON (PEP 691) first, HTML where an index has nothing else.
const ACCEPT_PAGE: &str = "application/vnd.pypi.simple.v1+json, \
                           application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1, */*;q=0.01";

/// The largest page read, unpacked: the longest real ones are a tenth of this.
const LARGEST: u64 = 256 << 20;

/// A page as the server sent it, transfer compression undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where the page came from in the end: relative links are relative to this.
    pub url: Url,
    /// The Content-Type header.
    pub content_type: Option<String>,
    /// The page's bytes.
    pub body: Vec<u8>,
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

impl Client {
    /// Gets a page of `source`, with that source's credentials.
    pub fn page(&self, url: &Url, source: &SourceUrl) -> Result<Answer> {
        self.get_page(url, source, !self.options.allow_forwarding)
    }

    /// The same for a package of which nothing is pinned: no other server answers for it, whatever
    /// [`FetchOptions::allow_forwarding`] says.
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
        let ask = Ask { url, via: Some(source), accept: ACCEPT_PAGE, encoding: "gzip", resume: None, stay };
        let reply = match self.send(&ask)? {
            Outcome::Reply(reply) => reply,
            Outcome::Leaves(to) => return Ok(Answer::NotFound(forwarding(url, &to))),
        };
        match reply.response.status().as_u16() {
            200 => self.body(*reply).map(Answer::Page),
            404 | 410 => Ok(Answer::NotFound(self.refusal(&reply, Some(source)))),
            _ => Err(self.refusal(&reply, Some(source)).into()),
        }
    }

    fn body(&self, reply: Reply) -> Result<Page, Failure> {
        let Reply { response, url, .. } = reply;
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let content_type = header(CONTENT_TYPE);
        let encoding = header(CONTENT_ENCODING).unwrap_or_default().to_ascii_lowercase();
        let mut body = Vec::new();
        let read = match encoding.as_str() {
            "" | "identity" => response.take(LARGEST + 1).read_to_end(&mut body),
            "gzip" | "x-gzip" => MultiGzDecoder::new(response).take(LARGEST + 1).read_to_end(&mut body),
            other => {
                let message =
                    format!("{} is compressed with {other:?}; expected gzip or nothing", shown(&url));
                return Err(Error::new(Kind::Network, message).into());
            }
        };
        read.map_err(|error| interrupted(&error, &url, &self.options))?;
        if body.len() as u64 > LARGEST {
            let message =
                format!("{} is larger than {} MB, too large for an index page", shown(&url), LARGEST >> 20);
            return Err(Error::new(Kind::Network, message).into());
        }
        Ok(Page { url, content_type, body })
    }
}

/// A body that ended too early: the HTTP library's error is inside the I/O error.
pub(super) fn interrupted(error: &std::io::Error, url: &Url, options: &FetchOptions) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
        Some(inner) => Failure::of_request(inner, url, options),
        None => Failure::passing(format!("the answer of {} is damaged: {error}", place(url))),
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
    let path = super::download::local_path(url)?;
    let path = if path.is_dir() { path.join("index.html") } else { path };
    match std::fs::read(&path) {
        Ok(body) => {
            let content_type = Some("text/html".to_owned());
            Ok(Answer::Page(Page { url: url.clone(), content_type, body }))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(Answer::NotFound(Error::new(Kind::Selection, format!("{} does not exist", path.display()))))
        }
        Err(error) => Err(Error::io("cannot read", &path, error)),
    }
}
