//! Requests with their credentials and redirects.

use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::{
    Method, NoProxy, Proxy, StatusCode,
    blocking::Response,
    header::{AUTHORIZATION, HeaderValue},
    redirect::Policy,
};
use url::Url;

use super::{
    FetchOptions, Identity, Outcome, Redirects, Reply, Request,
    contact::{Contacts, Ticket},
    failure::{CHECK, Failure, Tries, backoff, passes, tries},
    hop::{Hop, is_presigned, leaves, redirect},
    lanes::Lanes,
    names::Names,
    pace::Pace,
    room::Room,
    tls,
};
use crate::{
    project::auth::{CredentialStore, Found},
    words::{
        error::{Error, Kind, Result},
        progress::Progress,
        vocab::{Realm, Secret, SourceUrl, place, shown_url},
    },
};

/// The most redirects followed for one request.
const MOST_HOPS: usize = 10;

/// The least rate, in bytes a second, that is given time to send a body with.
const SLOWEST_UPLOAD: u64 = 16 << 10;

/// A login at a server, for one source.
type Login = (Realm, Option<String>, String, String);

/// Asks servers, with the credentials that are theirs. Shared by all download threads; connections are
/// made on first use, and certificate files read no earlier.
pub struct Client<'w> {
    pub(crate) options: FetchOptions,
    pub(crate) lanes: Lanes,
    pub(crate) room: Room,
    store: CredentialStore,
    watch: Option<&'w dyn Progress>,
    names: Names,
    servers: Contacts<Realm>,
    logins: Contacts<Login>,
    /// One HTTP client (with its own connections and thread) per TLS setting: none, verifying, and not.
    http: [Mutex<Option<reqwest::blocking::Client>>; 3],
}

impl<'w> Client<'w> {
    /// A client with these settings. Fails on unusable proxy URLs.
    pub fn new(options: FetchOptions, store: CredentialStore) -> Result<Self> {
        let client = Client {
            lanes: Lanes::new(options.connections),
            room: Room::default(),
            options,
            store,
            watch: None,
            names: Names::default(),
            servers: Contacts::default(),
            logins: Contacts::default(),
            http: [const { Mutex::new(None) }; 3],
        };
        client.proxies()?;
        Ok(client)
    }

    /// Has somebody hear of what takes long: a server that does not answer and is asked again.
    #[must_use]
    pub fn watched_by(mut self, watch: &'w dyn Progress) -> Self {
        self.watch = Some(watch);
        self
    }

    /// The credentials this client uses.
    pub fn store(&self) -> &CredentialStore {
        &self.store
    }

    /// Sends a request, again after passing failures, and follows its redirects as it says. Any status is a reply
    /// but those that pass (408, 429, 5xx) and did not.
    pub fn ask(&self, request: &Request) -> Result<Outcome> {
        let mut tries = Tries::new(&self.options);
        loop {
            match self.send(request) {
                Ok(outcome) => return Ok(outcome),
                Err(failure) => tries.pause(failure, request.url)?,
            }
        }
    }

    fn http(&self, url: &Url) -> Result<reqwest::blocking::Client> {
        let plain = url.scheme() == "http";
        let verify = plain || !Realm::of(url).is_some_and(|realm| self.options.insecure.contains(&realm));
        let slot = if plain { 0 } else { 1 + usize::from(!verify) };
        let mut slot = self.http[slot].lock();
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
            .dns_resolver(Arc::new(self.names.resolver()))
            .tls_backend_preconfigured(tls::config(&self.options, verify, plain)?);
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

    /// Sends one request once and follows its redirects. Every hop is sent what belongs to its own realm and
    /// nothing else; a redirect from https to http is refused, as anyone on the way could read and
    /// change the rest. Statuses that pass are failures; others, errors among them, are replies.
    pub fn send(&self, request: &Request) -> Result<Outcome, Failure> {
        let mut hop = Hop { url: request.url.clone(), method: request.method.clone(), with_body: true };
        for _ in 0..=MOST_HOPS {
            let Reply { response, found, .. } = self.hop(request, &hop)?;
            let status = response.status();
            if passes(status) {
                return Err(Failure::of_status(status, response.headers(), &hop.url));
            }
            let next = match request.redirects {
                Redirects::Keep => None,
                Redirects::Follow | Redirects::Stay => redirect(status, response.headers(), &hop.url)?,
            };
            let Some(next) = next else {
                let patience = self.options.patience();
                let pace = Pace::new(patience);
                let reply = Reply { response, url: hop.url, found, pace, patience };
                return Ok(Outcome::Reply(Box::new(reply)));
            };
            if request.redirects == Redirects::Stay && leaves(request.url, &next) {
                return Ok(Outcome::Leaves(next));
            }
            hop.follow(next, status);
        }
        Err(Error::new(
            Kind::Network,
            format!("{} redirects more than {MOST_HOPS} times", shown_url(request.url)),
        )
        .into())
    }

    /// One hop, a second time with what the keyring knows where the server wants a login.
    fn hop(&self, request: &Request, hop: &Hop) -> Result<Reply, Failure> {
        let patience = self.options.patience();
        let reply = |response, found| {
            let (url, pace) = (hop.url.clone(), Pace::new(patience));
            Reply { response, url, found, pace, patience }
        };
        let known = matches!(request.identity, Identity::Known) && !is_presigned(&hop.url);
        let found = if known { self.store.lookup(&hop.url, request.via)? } else { None };
        let Some(found) = found else {
            let response = self.once(request, hop, None)?;
            let refused = response.status() == StatusCode::UNAUTHORIZED && known;
            return match refused
                .then(|| self.store.after_refusal(&hop.url, request.via))
                .transpose()?
                .flatten()
            {
                Some(found) => self.log_in(request, hop, found),
                None => Ok(reply(response, None)),
            };
        };
        self.log_in(request, hop, found)
    }

    /// One hop with credentials. Whether a server takes them is found out by one request before others follow:
    /// servers lock out who sends wrong ones too often.
    fn log_in(&self, request: &Request, hop: &Hop, found: Found) -> Result<Reply, Failure> {
        let Some(realm) = Realm::of(&hop.url) else {
            return Err(Error::new(Kind::Network, format!("{} has no host", shown_url(&hop.url))).into());
        };
        let (user, password) = found.credentials.basic();
        let source = request.via.map(|source| source.url().to_string());
        let login = self.logins.enter((realm, source, user.to_owned(), password.to_owned()))?;
        let response = match self.once(request, hop, Some(&found)) {
            Ok(response) => response,
            Err(failure) => {
                // Nothing was learnt about the login, and nobody shall wait for this connection.
                login.works();
                return Err(failure);
            }
        };
        let refused = response.status() == StatusCode::UNAUTHORIZED;
        let patience = self.options.patience();
        let pace = Pace::new(patience);
        let reply = Reply { response, url: hop.url.clone(), found: Some(found), pace, patience };
        if refused {
            let error = self.refusal(&reply, request.via);
            login.never(error.again());
            return Err(error.into());
        }
        login.works();
        Ok(reply)
    }

    /// Sends one request to one server. As long as nobody has got an answer from it, one request goes there at a
    /// time, and its failures count for all.
    fn once(&self, request: &Request, hop: &Hop, found: Option<&Found>) -> Result<Response, Failure> {
        let url = &hop.url;
        let Some(realm) = Realm::of(url) else {
            return Err(Error::new(Kind::Network, format!("{} has no host", shown_url(url))).into());
        };
        let built = self.build(request, hop, found)?;
        let ticket = self.servers.enter(realm)?;
        match built.send() {
            Ok(response) => {
                ticket.works();
                Ok(response)
            }
            Err(error) => {
                if error.is_connect() {
                    self.names.forget(url.host_str().unwrap_or_default());
                }
                let failure = Failure::of_request(&error, url, self.options.patience());
                Err(self.unreached(ticket, failure, Failure::worth(&error, &self.options), url))
            }
        }
    }

    /// What a failure means for all who want something of this server.
    fn unreached(&self, ticket: Ticket<'_, Realm>, failure: Failure, worth: u32, url: &Url) -> Failure {
        let Some(before) = ticket.tries_before() else { return failure };
        match failure {
            Failure::Passing(error, _) if before < worth => {
                if let (0, Some(watch)) = (before, self.watch) {
                    watch.warn(&format!("{}; trying again", error.in_one_line()));
                }
                ticket.later(backoff(&self.options, before));
                Failure::Unreached
            }
            Failure::Passing(error, _) => {
                let message = format!("cannot reach {} after {}", place(url), tries(before + 1));
                let error = error.context(message).help(CHECK);
                ticket.never(error.again());
                error.into()
            }
            Failure::Final(error) => {
                ticket.never(error.again());
                error.into()
            }
            Failure::Unreached => Failure::Unreached,
        }
    }

    fn build(
        &self,
        request: &Request,
        hop: &Hop,
        found: Option<&Found>,
    ) -> Result<reqwest::blocking::RequestBuilder> {
        let mut built = self.http(&hop.url)?.request(hop.method.clone(), hop.url.clone());
        built = built.headers(request.headers.clone());
        let at_home = Realm::of(&hop.url) == Realm::of(request.url);
        built = match (&request.identity, found) {
            (Identity::Known, Some(found)) => {
                let (user, password) = found.credentials.basic();
                built.basic_auth(user, Some(password))
            }
            (Identity::Basic(credentials), _) if at_home => {
                let (user, password) = credentials.basic();
                built.basic_auth(user, Some(password))
            }
            (Identity::Bearer(token), _) if at_home => built.header(AUTHORIZATION, bearer(token)?),
            _ => built,
        };
        if hop.with_body {
            if let Some(body) = request.body.open()? {
                // The time for an answer is in it too.
                let patience = self.options.read_timeout
                    + std::time::Duration::from_secs(request.body.length() / SLOWEST_UPLOAD);
                built = built.timeout(patience).body(body);
            } else if matches!(hop.method, Method::POST | Method::PUT | Method::PATCH) {
                // Some servers insist on a length.
                built = built.header(reqwest::header::CONTENT_LENGTH, 0);
            }
        }
        Ok(built)
    }

    /// Says why a server does not give what it was asked for.
    pub fn refusal(&self, reply: &Reply, via: Option<&SourceUrl>) -> Error {
        let (url, status) = (&reply.url, reply.response.status());
        let (host, path) = (place(url), url.path());
        let part = refused_part(url, via);
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
                format!("{host} does not let anyone read {part} without credentials (looked in {})", looked_in()),
            )
            .help("give credentials, or check that this machine may use the index (some are open to certain networks only)"),
            (403, Some(found)) => Error::new(Kind::Auth, format!("{found} may not read {part} on {host}"))
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

/// What a message says may not be read: the source as a whole where the URL belongs to one, so that many packages
/// that are refused for one reason are told it once.
fn refused_part<'u>(url: &'u Url, via: Option<&'u SourceUrl>) -> &'u str {
    let source = via.map(SourceUrl::url).filter(|source| Realm::of(source) == Realm::of(url));
    match source.map(Url::path) {
        Some(path)
            if url
                .path()
                .strip_prefix(path.trim_end_matches('/'))
                .is_some_and(|rest| rest.starts_with('/')) =>
        {
            path
        }
        _ => url.path(),
    }
}

fn bearer(token: &Secret) -> Result<HeaderValue> {
    let mut value = super::request::header_value(&format!("Bearer {}", token.expose()), "a token")?;
    value.set_sensitive(true);
    Ok(value)
}
