//! The answer at the end of all redirects.

use std::{
    error::Error as StdError,
    io::{self, Read},
    time::Instant,
};

use reqwest::{
    blocking::Response,
    header::{HeaderMap, HeaderName},
};
use url::Url;

use super::{failure::Failure, options::Patience, pace::Pace};
use crate::{
    project::auth::Found,
    words::{
        error::{Error, Kind},
        interrupt,
        vocab::place,
    },
};

/// What a server answered: any status but those that pass ([`Failure`]).
pub struct Reply {
    pub(super) response: Response,
    pub(super) url: Url,
    pub(super) found: Option<Found>,
    pub(super) pace: Pace,
    pub(super) patience: Patience,
}

/// How a request ended when it did not fail.
pub enum Outcome {
    /// The answer.
    Reply(Box<Reply>),
    /// The server sends us to another one, and [`super::Redirects::Stay`] was asked for.
    Leaves(Url),
}

impl Reply {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// A header's value, if it is there and text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// Who answered in the end.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How long the body will be, where the server says so.
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// Reads some of the body, 0 at its end.
    ///
    /// # Errors
    /// Passing ones where the connection breaks, falls silent or trickles; a final one where the user interrupts.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        loop {
            interrupt::check()?;
            let from = Instant::now();
            match self.response.read(buffer) {
                Ok(0) => return Ok(0),
                Ok(count) => {
                    self.pace.came(count, from, &place(&self.url))?;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(interrupted(error, &self.url, self.patience)),
            }
        }
    }

    /// Reads the whole body, which may have at most `limit` bytes.
    pub fn bytes(&mut self, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = self.read(&mut buffer)?;
            if count == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&buffer[..count]);
            if body.len() as u64 > limit {
                let message = format!("the answer of {} is longer than {limit} bytes", place(&self.url));
                return Err(Error::new(Kind::Network, message).into());
            }
        }
    }

    /// The body as a reader; what [`Reply::read`] fails with is inside its errors ([`interrupted`]).
    pub fn reader(&mut self) -> impl Read {
        Body(self)
    }

    /// What a broken read means: the failure inside of an error that [`Reply::reader`] gave, or damage that a decoder
    /// found.
    pub fn broken(&self, error: io::Error) -> Failure {
        interrupted(error, &self.url, self.patience)
    }
}

struct Body<'a>(&'a mut Reply);

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|failure| io::Error::other(Broken(failure)))
    }
}

/// A failure on its way through a decoder.
#[derive(Debug)]
struct Broken(Failure);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection broke")
    }
}

impl std::error::Error for Broken {}

fn interrupted(error: io::Error, url: &Url, patience: Patience) -> Failure {
    let damaged = |error: &dyn std::fmt::Display| {
        Failure::passing(format!("the answer of {} is damaged: {error}", place(url)))
    };
    if error.get_ref().is_some_and(<dyn StdError + Send + Sync>::is::<Broken>) {
        return match error.into_inner().map(<dyn StdError + Send + Sync>::downcast::<Broken>) {
            Some(Ok(broken)) => broken.0,
            _ => damaged(&"the connection broke"),
        };
    }
    match error.get_ref().and_then(|inner| inner.downcast_ref::<reqwest::Error>()) {
        Some(inner) => Failure::of_request(inner, url, patience),
        None => damaged(&error),
    }
}
