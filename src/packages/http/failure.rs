//! What can go wrong with a request: what passes and is tried again, what does not, and how to say it.

use std::{
    error::Error as StdError,
    time::{Duration, SystemTime},
};

use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use url::Url;

use super::{FetchOptions, names::NoAddress, options::Patience};
use crate::words::{
    error::{Error, Kind, Result},
    interrupt,
    vocab::{place, shown_url},
};

/// The longest pause a server's Retry-After can ask for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// Why one try failed.
#[derive(Debug)]
pub enum Failure {
    /// Trying again will not help.
    Final(Error),
    /// It may work a little later, or after the time the server asks for.
    Passing(Error, Option<Duration>),
    /// Nobody has reached this server yet, and it is worth another try: pauses and tries are counted for all who
    /// want it together.
    Unreached,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Final(error)
    }
}

impl Failure {
    /// A passing failure without a wish about when.
    pub fn passing(message: impl Into<String>) -> Self {
        Failure::Passing(Error::new(Kind::Network, message), None)
    }

    /// Whether trying again would not help.
    pub fn is_final(&self) -> bool {
        matches!(self, Failure::Final(_))
    }

    /// The error of a failure that ends the matter.
    pub fn into_error(self) -> Error {
        match self {
            Failure::Final(error) | Failure::Passing(error, _) => error,
            Failure::Unreached => Error::new(Kind::Network, "the server was not reached yet"),
        }
    }

    /// How many more tries a server is worth that nobody has reached yet and that failed in this way. Where the
    /// platform has waited long by itself, few.
    pub(super) fn worth(error: &reqwest::Error, options: &FetchOptions) -> u32 {
        let no_address = causes(error).any(<dyn StdError>::is::<NoAddress>);
        match (error.is_timeout(), error.is_connect()) {
            (true, true) => options.retries.min(1),
            (true, false) => options.retries.min(2),
            (false, _) if no_address => options.retries.min(2),
            (false, _) => options.retries,
        }
    }

    /// Whatever the HTTP library reports about a request to `url`. Its own text is not used as a whole: it
    /// shows URLs with their queries.
    pub(super) fn of_request(error: &reqwest::Error, url: &Url, patience: Patience) -> Self {
        let place = place(url);
        let cause = root_cause(error);
        if error.is_timeout() {
            let waited = if error.is_connect() { patience.connect } else { patience.read };
            return patience.exhausted(format!("{place} did not answer within {} s", waited.as_secs_f32()));
        }
        if error.is_connect() {
            if let Some(tls) = tls_error(error) {
                let error =
                    Error::new(Kind::Network, format!("cannot make a secure connection to {place}: {tls}"));
                return match tls {
                    rustls::Error::InvalidCertificate(_) => Failure::Final(error.help(
                        "if the server's certificate comes from a CA of your own, name it with --cert or \
                         SSL_CERT_FILE; check the clock and the host name too",
                    )),
                    rustls::Error::AlertReceived(_) => Failure::Final(error.help(
                        "the server ended the handshake: it may want a client certificate (--client-cert)",
                    )),
                    _ => Failure::Passing(error, None),
                };
            }
            if cause.contains("proxy auth") {
                return Failure::Final(
                    Error::new(
                        Kind::Auth,
                        format!("the proxy on the way to {place} wants other credentials"),
                    )
                    .help("give them in the proxy's URL: https_proxy=http://USER:PASSWORD@HOST:PORT"),
                );
            }
            let wrong = Error::new(Kind::Network, format!("cannot connect to {place}: {cause}"));
            return match causes(error).find_map(|cause| cause.downcast_ref::<NoAddress>()) {
                // The name servers were clear: asking again changes nothing.
                Some(NoAddress { certain: true, .. }) => Failure::Final(wrong),
                _ => Failure::Passing(wrong, None),
            };
        }
        if error.is_builder() {
            return Failure::Final(Error::new(Kind::Network, format!("cannot ask {place}: {cause}")));
        }
        if let Some(tls @ rustls::Error::AlertReceived(_)) = tls_error(error) {
            // TLS 1.3 servers refuse a client certificate only after the handshake.
            return Failure::Final(
                Error::new(Kind::Network, format!("{place} ended the connection: {tls}"))
                    .help("the server may want a client certificate (--client-cert)"),
            );
        }
        Failure::passing(format!("the connection to {place} broke: {cause}"))
    }

    /// A status that says "not now": 408, 429 and 5xx.
    pub(super) fn of_status(status: StatusCode, headers: &HeaderMap, url: &Url) -> Self {
        let error = Error::new(Kind::Network, format!("{} answered {status}", place(url)));
        Failure::Passing(error, retry_after(headers, SystemTime::now()))
    }
}

/// Whether a status may be different in a moment.
pub(super) fn passes(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429) || status.is_server_error()
}

/// The tries made so far of one request.
pub(crate) struct Tries<'a> {
    options: &'a FetchOptions,
    made: u32,
    since_progress: u32,
}

impl<'a> Tries<'a> {
    /// None yet.
    pub(crate) fn new(options: &'a FetchOptions) -> Self {
        Tries { options, made: 0, since_progress: 0 }
    }

    /// The latest try brought the matter forward: the patience starts anew.
    pub(crate) fn progressed(&mut self) {
        self.since_progress = 0;
    }

    /// Pauses before another try, or ends with the error when there is nothing more to try. The pauses are
    /// the same in every run: 1, 2, 4… times the first.
    pub(crate) fn pause(&mut self, failure: Failure, what: &Url) -> Result<()> {
        let (error, wanted) = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Passing(error, wanted) => (error, wanted),
            Failure::Unreached => return Ok(()),
        };
        self.made += 1;
        if self.since_progress >= self.options.retries {
            let tries = tries(self.made);
            return Err(error.context(format!("cannot get {} after {tries}", shown_url(what))).help(CHECK));
        }
        let backoff = backoff(self.options, self.since_progress);
        self.since_progress += 1;
        interrupt::pause(wanted.unwrap_or(backoff).min(LONGEST_WAIT))
    }
}

/// What to do about a network that does not work.
pub(super) const CHECK: &str =
    "check the network and proxy settings, then run the same command again: what was verified is kept";

/// `1 try`, `2 tries`.
pub(super) fn tries(made: u32) -> String {
    if made == 1 { "1 try".into() } else { format!("{made} tries") }
}

/// The pause after so many tries before this one: 1, 2, 4... times the first.
pub(super) fn backoff(options: &FetchOptions, before: u32) -> Duration {
    options.backoff.saturating_mul(1 << before.min(16)).min(LONGEST_BACKOFF)
}

/// Retry-After as seconds or as a date (RFC 9110, 10.2.3); a date in the past is now.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

fn root_cause(error: &reqwest::Error) -> String {
    match causes(error).last() {
        Some(cause) => cause.to_string(),
        // Nothing below it: its own text, which would show the URL, is replaced.
        None if error.is_builder() => "the request is malformed".into(),
        None => "the request failed".into(),
    }
}

fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// What is below an error, from the outside in. An I/O error names what it wraps as itself and not as its
/// source, so it is opened here.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| below(*cause))
}

fn below<'e>(cause: &'e (dyn StdError + 'static)) -> Option<&'e (dyn StdError + 'static)> {
    match cause.downcast_ref::<std::io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => cause.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().expect("a header"));
            retry_after(&headers, now).map(|d| d.as_secs())
        };
        assert_eq!(wait("17"), Some(17));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:57 GMT"), Some(20));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
    }
}
