//! Requests with their credentials and redirects.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{
    NoProxy, Proxy, StatusCode,
    blocking::Response,
    header::{ACCEPT, ACCEPT_ENCODING, HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE},
    redirect::Policy,
};
use url::Url;

use super::{
    FetchOptions,
    failure::{Failure, passes, place, shown},
    names::Names,
    tls,
};
use crate::{
    project::auth::{Found, Store},
    words::{
        error::{Error, Kind, Result},
        vocab::{Realm, Secret, SourceUrl},
    },
};

/// The most redirects followed for one request.
const MOST_HOPS: usize = 10;

/// Asks servers, with the credentials that are theirs. Shared by all download threads; connections are
/// made on first use, and certificate files read no earlier.
pub struct Client {
    pub(crate) options: FetchOptions,
    store: Store,
    /// One HTTP client (with its own connections and thread) per TLS setting: none, verifying, and not.
    http: [Mutex<Option<reqwest::blocking::Client>>; 3],
}

/// One request, before redirects.
pub(crate) struct Ask<'a> {
    pub url: &'a Url,
    /// The source this belongs to.
    pub via: Option<&'a SourceUrl>,
    pub accept: &'static str,
    pub encoding: &'static str,
    /// The first byte wanted, and what must not have changed since the earlier bytes.
    pub resume: Option<(u64, Option<HeaderValue>)>,
    /// Whether to stop at a redirect that leaves the server.
    pub stay: bool,
}

/// The answer at the end of all redirects.
pub(crate) struct Reply {
    pub response: Response,
    pub url: Url,
    pub found: Option<Found>,
}

/// How a request ended when it did not fail.
pub(crate) enum Outcome {
    Reply(Box<Reply>),
    /// The server sends us to another one, and `stay` was asked for.
    Leaves(Url),
}

impl Client {
    /// A client with these settings. Fails on unusable proxy URLs.
    pub fn new(options: FetchOptions, store: Store) -> Result<Self> {
        let client = Client { options, store, http: [const { Mutex::new(None) }; 3] };
        client.proxies()?;
        Ok(client)
    }

    /// The credentials this client uses.
    pub fn store(&self) -> &Store {
        &self.store
    }

    fn http(&self, url: &Url) -> Result<reqwest::blocking::Client> {
        let plain = url.scheme() == "http";
        let verify = plain || !Realm::of(url).is_some_and(|realm| self.options.insecure.contains(&realm));
        let slot = if plain { 0 } else { 1 + usize::from(!verify) };
        let mut slot = self.http[slot].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(http) = &*slot {
            return Ok(http.clone());
        }
        let mut builder = reqwest::blocking::Client::builder()
            .user_agent(&self.options.user_agent)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .no_gzip()
            .referer(false)
            .connect_timeout(self.options.connect_timeout)
            .timeout(self.options.read_timeout)
            .pool_max_idle_per_host(self.options.connections)
            .http2_initial_stream_window_size(4 << 20)
            .http2_initial_connection_window_size(16 << 20)
            .no_proxy()
            .tls_backend_preconfigured(tls::config(&self.options, verify, plain)?);
        if cfg!(target_feature = "crt-static") {
            builder = builder.dns_resolver(Arc::new(Names::default()));
        }
        for proxy in self.proxies()? {
            builder = builder.proxy(proxy);
        }
        let http = builder
            .build()
            .map_err(|e| Error::new(Kind::Network, "cannot set up HTTP").because(e.without_url()))?;
        *slot = Some(http.clone());
        Ok(http)
    }

    fn proxies(&self) -> Result<Vec<Proxy>> {
        let proxies = &self.options.proxies;
        let bypass = || proxies.no_proxy.as_deref().and_then(NoProxy::from_string);
        let mut made = Vec::new();
        let mut add = |name: &str, proxy: &Option<Secret>, make: fn(Url) -> reqwest::Result<Proxy>| {
            let Some(text) = proxy.as_ref().map(Secret::expose) else { return Ok(()) };
            // "host:port" is the usual short form.
            let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
            let wrong = || {
                Error::new(
                    Kind::Usage,
                    format!("the URL in {name} is unusable (not shown: it may hold a password)"),
                )
                .help("expected something like http://USER:PASSWORD@HOST:PORT")
            };
            let url = Url::parse(&text).map_err(|e| wrong().because(e))?;
            made.push(make(url).map_err(|_| wrong())?.no_proxy(bypass()));
            Ok(())
        };
        add("http_proxy", &proxies.http, Proxy::http)?;
        add("https_proxy", &proxies.https, Proxy::https)?;
        add("all_proxy", &proxies.all, Proxy::all)?;
        Ok(made)
    }

    /// Sends one request and follows its redirects. Every hop is sent what belongs to its own realm and
    /// nothing else; a redirect from https to http is refused, as anyone on the way could read and
    /// change the rest. Statuses that pass are failures; others, errors among them, are replies.
    pub(crate) fn send(&self, ask: &Ask) -> Result<Outcome, Failure> {
        let mut url = ask.url.clone();
        for _ in 0..=MOST_HOPS {
            let presigned = is_presigned(&url);
            let mut found = if presigned { None } else { self.store.lookup(&url, ask.via)? };
            let mut response = self.request(ask, &url, found.as_ref())?;
            if response.status() == StatusCode::UNAUTHORIZED
                && found.is_none()
                && !presigned
                && let Some(known) = self.store.after_refusal(&url, ask.via)?
            {
                response = self.request(ask, &url, Some(&known))?;
                found = Some(known);
            }
            let status = response.status();
            if passes(status) {
                return Err(Failure::of_status(status, response.headers(), &url));
            }
            let Some(next) = redirect(status, response.headers(), &url)? else {
                return Ok(Outcome::Reply(Box::new(Reply { response, url, found })));
            };
            if ask.stay && leaves(ask.url, &next) {
                return Ok(Outcome::Leaves(next));
            }
            url = next;
        }
        Err(Error::new(Kind::Network, format!("{} redirects more than {MOST_HOPS} times", shown(ask.url)))
            .into())
    }

    fn request(&self, ask: &Ask, url: &Url, found: Option<&Found>) -> Result<Response, Failure> {
        let mut request =
            self.http(url)?.get(url.clone()).header(ACCEPT, ask.accept).header(ACCEPT_ENCODING, ask.encoding);
        if let Some(found) = found {
            let (user, password) = found.credentials.basic();
            request = request.basic_auth(user, Some(password));
        }
        if let Some((start, validator)) = &ask.resume {
            request = request.header(RANGE, format!("bytes={start}-"));
            if let Some(validator) = validator {
                request = request.header(IF_RANGE, validator);
            }
        }
        request.send().map_err(|e| Failure::of_request(&e, url, &self.options))
    }

    /// Says why a server does not give what it was asked for.
    pub(crate) fn refusal(&self, reply: &Reply, via: Option<&SourceUrl>) -> Error {
        let (url, status) = (&reply.url, reply.response.status());
        let (host, path) = (place(url), url.path());
        let looked_in = || self.store.looked_in(url, via);
        match (status.as_u16(), &reply.found) {
            (401, None) => Error::new(Kind::Auth, format!("no credentials for {host} (looked in {})", looked_in()))
                .help(format!(
                    "give user and password in the source's URL (https://${{USER}}:${{TOKEN}}@{host}/…), or as \
                     \"machine {host} login USER password TOKEN\" in ~/.netrc"
                )),
            (401, Some(found)) => Error::new(Kind::Auth, format!("{host} refused {found}"))
                .help("the password or token may be wrong, expired or revoked"),
            (403, None) => Error::new(
                Kind::Auth,
                format!("{host} does not let anyone read {path} without credentials (looked in {})", looked_in()),
            )
            .help("give credentials, or check that this machine may use the index (some are open to certain networks only)"),
            (403, Some(found)) => Error::new(Kind::Auth, format!("{found} may not read {path} on {host}"))
                .help("check the password (pypiserver answers 403 to a wrong one), the token's scope (GitLab: \
                     read_package_registry or read_api) and the project's package settings",
                ),
            (404 | 410, None) => Error::new(
                Kind::Selection,
                format!("{host} has no {path}, or shows it only with credentials (looked in {})", looked_in()),
            )
            .help("check the source's URL in the lock (it usually ends in /simple), and that the lock names the right source for this package"),
            (404 | 410, Some(found)) => Error::new(
                Kind::Selection,
                format!("{found} may not read {path} on {host}, or it does not exist (GitLab answers 404 for both)"),
            )
            .help("check the URL, the package's name and what the token may read"),
            (407, _) => Error::new(Kind::Auth, format!("the proxy on the way to {host} wants other credentials"))
                .help("give them in the proxy's URL: http_proxy or https_proxy=http://USER:PASSWORD@HOST:PORT"),
            _ => Error::new(Kind::Network, format!("{host} answered {status} for {path}; expected 200")),
        }
    }
}

/// Where a redirect leads; `None` if the status is none.
fn redirect(status: StatusCode, headers: &HeaderMap, from: &Url) -> Result<Option<Url>> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let wrong = |what: &str| Error::new(Kind::Network, format!("{} redirects {what}", shown(from)));
    let location = headers.get(LOCATION).ok_or_else(|| wrong("without saying where"))?;
    let mut next = std::str::from_utf8(location.as_bytes())
        .ok()
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| wrong("to something that is not a URL"))?;
    // Credentials that a server puts into a URL are not ours to send.
    let _ = next.set_username("");
    let _ = next.set_password(None);
    match (from.scheme(), next.scheme()) {
        ("https", "http") => Err(wrong(&format!(
            "from https to http ({}); refused, because anyone on the way could read and change it",
            shown(&next)
        ))
        .help("the server may sit behind a TLS proxy without knowing: set its external URL to https")),
        (_, "http" | "https") if next.has_host() => Ok(Some(next)),
        (_, scheme) => Err(wrong(&format!("to a {scheme}: URL; expected https"))),
    }
}

/// Whether a page's redirect leads to another server. The same host over https instead of http is the same.
fn leaves(from: &Url, to: &Url) -> bool {
    let upgraded = from.scheme() == "http" && to.scheme() == "https" && from.host() == to.host();
    Realm::of(from) != Realm::of(to) && !upgraded
}

/// Whether the query carries a signature (S3, Google, Azure, CloudFront): such a URL is its own credential,
/// and servers refuse it with a second one.
fn is_presigned(url: &Url) -> bool {
    let signature = |key: &str| {
        ["X-Amz-Signature", "X-Goog-Signature", "Signature", "sig"]
            .iter()
            .any(|s| key.eq_ignore_ascii_case(s))
    };
    url.query_pairs().any(|(key, _)| signature(&key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    fn hop(from: &str, location: &str) -> Result<Option<Url>> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().expect("a header"));
        redirect(StatusCode::FOUND, &headers, &url(from))
    }

    #[test]
    fn redirects_are_relative_to_their_url_and_lose_userinfo() {
        let to = |from, location| hop(from, location).expect("fine").expect("a redirect").to_string();
        assert_eq!(to("https://a.example/simple/x", "/simple/x/"), "https://a.example/simple/x/");
        assert_eq!(to("https://a.example/x", "https://u:p@b.example/y"), "https://b.example/y");
        // Decoded once at most: the escaped escape stays what it is.
        assert_eq!(to("https://a.example/x/", "%252e%252e%252fy"), "https://a.example/x/%252e%252e%252fy");
    }

    #[test]
    fn redirects_to_plain_http_and_to_files_are_refused() {
        for location in ["http://a.example/", "file:///etc/passwd", "ftp://a.example/", "data:,x"] {
            let report = hop("https://a.example/x?sig=canary", location).expect_err(location).report();
            assert!(report.starts_with("https://a.example/x redirects"), "{report}");
        }
    }

    #[test]
    fn another_port_or_host_is_another_server_and_https_of_the_same_host_is_not() {
        assert!(leaves(&url("https://a.example/"), &url("https://b.example/")));
        assert!(leaves(&url("https://a.example/"), &url("https://a.example:8443/")));
        assert!(!leaves(&url("http://a.example/"), &url("https://a.example/")));
        assert!(!leaves(&url("https://a.example/x"), &url("https://a.example:443/y")));
    }

    #[test]
    fn signed_urls_are_recognised() {
        assert!(is_presigned(&url("https://s.example/f?X-Amz-Algorithm=A&X-Amz-Signature=1")));
        assert!(is_presigned(&url("https://s.example/f?sv=1&sig=abc")));
        assert!(!is_presigned(&url("https://s.example/f?name=signature")));
    }
}
