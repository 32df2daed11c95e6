//! One request: what is asked, with what, as whom.

use std::io::{self, Read};

pub(crate) use reqwest::Method;
use reqwest::{
    blocking,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use url::Url;

use crate::words::{
    error::{Error, Kind, Result},
    vocab::{Credentials, Secret, SourceUrl},
};

/// What is asked of a server. Plain values: a request can be sent again after a passing failure.
#[derive(Clone)]
pub struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) via: Option<&'a SourceUrl>,
    pub(super) headers: HeaderMap,
    pub(super) body: Body<'a>,
    pub(super) identity: Identity<'a>,
    pub(super) redirects: Redirects,
}

/// As whom a request is made. Whatever is given is sent to the realm of the request's own URL, never to where a
/// redirect leads.
#[derive(Clone, Default)]
pub enum Identity<'a> {
    /// As whom `auth` knows for each URL on the way.
    #[default]
    Known,
    /// As nobody.
    Anonymous,
    /// As this user (RFC 7617).
    Basic(&'a Credentials),
    /// As the bearer of this token (RFC 6750).
    Bearer(&'a Secret),
}

/// What is done about redirects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Redirects {
    /// They are followed, to other servers too.
    #[default]
    Follow,
    /// They are followed on the same server; one that leaves it ends the request ([`super::Outcome::Leaves`]).
    Stay,
    /// They are replies: the caller wants the Location.
    Keep,
}

/// What is sent along.
#[derive(Clone, Default)]
pub enum Body<'a> {
    /// Nothing.
    #[default]
    Empty,
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many bytes of whatever this opens; it is opened again for each try.
    Stream {
        /// Opens it at its beginning.
        open: &'a (dyn Fn() -> io::Result<Box<dyn Read + Send>> + Sync),
        /// How many bytes.
        length: u64,
    },
}

impl<'a> Request<'a> {
    /// A request without body, as whom `auth` knows, following redirects.
    pub fn new(method: Method, url: &'a Url) -> Self {
        Request {
            method,
            url,
            via: None,
            headers: HeaderMap::new(),
            body: Body::Empty,
            identity: Identity::Known,
            redirects: Redirects::Follow,
        }
    }

    /// A GET request.
    pub fn get(url: &'a Url) -> Self {
        Request::new(Method::GET, url)
    }

    /// The source this belongs to: its credentials are for what lies on its realm.
    #[must_use]
    pub fn via(mut self, source: Option<&'a SourceUrl>) -> Self {
        self.via = source;
        self
    }

    /// A header with a value that was made here.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// What to send along.
    #[must_use]
    pub fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }

    /// As whom to ask.
    #[must_use]
    pub fn identity(mut self, identity: Identity<'a>) -> Self {
        self.identity = identity;
        self
    }

    /// What to do about redirects.
    #[must_use]
    pub fn redirects(mut self, redirects: Redirects) -> Self {
        self.redirects = redirects;
        self
    }
}

/// Makes a header's value of a text that came from elsewhere.
///
/// # Errors
/// [`Kind::Network`] where it cannot stand in a header. The text is not shown: it may be a secret.
pub(crate) fn header_value(text: &str, what: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        Error::new(Kind::Network, format!("{what} holds characters that cannot be sent (not shown)"))
            .help("expected printable ASCII")
    })
}

impl Body<'_> {
    /// How many bytes are sent.
    pub fn length(&self) -> u64 {
        match self {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Stream { length, .. } => *length,
        }
    }

    /// The body for one try; none where there is nothing to send.
    pub(super) fn open(&self) -> Result<Option<blocking::Body>> {
        Ok(match self {
            Body::Empty => None,
            Body::Bytes(bytes) => Some(bytes.to_vec().into()),
            Body::Stream { open, length } => {
                let reader = open()
                    .map_err(|error| Error::new(Kind::Io, "cannot read what is to be sent").because(error))?;
                Some(blocking::Body::sized(reader, *length))
            }
        })
    }
}
