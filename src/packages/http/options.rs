//! How to reach servers: certificates, proxies, patience.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use super::failure::Failure;
use crate::words::{
    error::{Error, Kind},
    vocab::{Realm, Secret},
};

/// Settings of a [`super::Client`].
#[derive(Debug, Clone)]
pub struct FetchOptions {
    /// Which certificate authorities to trust instead of the system's.
    pub ca: Option<CaPaths>,
    /// A PEM file with a client certificate, its chain and its key.
    pub client_cert: Option<PathBuf>,
    /// Which proxies to go through.
    pub proxies: Proxies,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a server may be silent before and within an answer.
    pub read_timeout: Duration,
    /// The least that a body may bring, in bytes a second, seen over the time that a server may be silent.
    pub least_rate: u64,
    /// Whether a server that was silent or too slow is asked again.
    pub wait_again: bool,
    /// How often a request that failed for a passing reason is repeated.
    pub retries: u32,
    /// The pause before the first repetition; it doubles each time, up to ten seconds.
    pub backoff: Duration,
    /// What to call ourselves.
    pub user_agent: String,
    /// How many idle connections to keep to one host: the number of threads that download.
    pub connections: usize,
    /// Servers whose certificates are not verified (`verify_ssl: false`).
    pub insecure: BTreeSet<Realm>,
    /// Whether an index may send us to another server for a page.
    pub allow_forwarding: bool,
}

/// How long a connection and an answer are waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub connect: Duration,
    pub read: Duration,
    /// See [`FetchOptions::least_rate`].
    pub least: u64,
    /// See [`FetchOptions::wait_again`].
    pub again: bool,
}

impl Patience {
    /// What it means that it is at its end.
    pub(super) fn exhausted(self, message: String) -> Failure {
        if self.again {
            Failure::passing(message)
        } else {
            Failure::Final(Error::new(Kind::Network, message))
        }
    }
}

impl FetchOptions {
    pub(super) fn patience(&self) -> Patience {
        let (connect, read) = (self.connect_timeout, self.read_timeout);
        Patience { connect, read, least: self.least_rate, again: self.wait_again }
    }
}

impl Default for FetchOptions {
    fn default() -> Self {
        FetchOptions {
            ca: None,
            client_cert: None,
            proxies: Proxies::default(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            // Far below what any line in use gives, even to one of many connections.
            least_rate: 100,
            wait_again: true,
            retries: 5,
            backoff: Duration::from_millis(400),
            user_agent: concat!("venvoy/", env!("CARGO_PKG_VERSION")).to_owned(),
            connections: 32,
            insecure: BTreeSet::new(),
            allow_forwarding: false,
        }
    }
}

/// Files and directories of PEM certificates that replace the system's store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaPaths {
    /// Bundles, or directories of certificates.
    pub paths: Vec<PathBuf>,
    /// The option or variable that named them, for messages.
    pub setting: String,
}

impl CaPaths {
    /// The setting in force: `--cert`, then PIP_CERT, REQUESTS_CA_BUNDLE, then SSL_CERT_FILE and
    /// SSL_CERT_DIR together. Empty variables count as unset.
    pub fn choose(cert: Option<PathBuf>, env: &BTreeMap<String, String>) -> Option<Self> {
        if let Some(path) = cert {
            return Some(CaPaths { paths: vec![path], setting: "--cert".into() });
        }
        let value = |name: &str| env.get(name).filter(|value| !value.is_empty());
        for name in ["PIP_CERT", "REQUESTS_CA_BUNDLE"] {
            if let Some(path) = value(name) {
                return Some(CaPaths { paths: vec![path.into()], setting: name.into() });
            }
        }
        let (mut paths, mut settings) = (Vec::new(), Vec::new());
        if let Some(file) = value("SSL_CERT_FILE") {
            paths.push(PathBuf::from(file));
            settings.push("SSL_CERT_FILE");
        }
        if let Some(dirs) = value("SSL_CERT_DIR") {
            paths.extend(std::env::split_paths(dirs).filter(|p| !p.as_os_str().is_empty()));
            settings.push("SSL_CERT_DIR");
        }
        (!paths.is_empty()).then(|| CaPaths { paths, setting: settings.join(" and ") })
    }
}

/// Proxies per scheme of the URL asked for. Their URLs may hold passwords, so they print as `****`.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For `http` URLs.
    pub http: Option<Secret>,
    /// For `https` URLs.
    pub https: Option<Secret>,
    /// For what has none of its own.
    pub all: Option<Secret>,
    /// Hosts, domains, addresses and networks to reach without a proxy, separated by commas.
    pub no_proxy: Option<String>,
}

impl Proxies {
    /// The proxies of an environment: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy`, the lower case
    /// before the upper. HTTP_PROXY is ignored under CGI, where a client could set it.
    pub fn from_env(env: &BTreeMap<String, String>) -> Self {
        let value = |name: &str| {
            let upper = name.to_ascii_uppercase();
            let cgi = upper == "HTTP_PROXY" && env.contains_key("REQUEST_METHOD");
            let value = env.get(name).or_else(|| env.get(&upper).filter(|_| !cgi))?;
            (!value.is_empty()).then(|| value.clone())
        };
        Proxies {
            http: value("http_proxy").map(Secret::new),
            https: value("https_proxy").map(Secret::new),
            all: value("all_proxy").map(Secret::new),
            no_proxy: value("no_proxy"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn the_option_comes_before_the_variables_and_empty_ones_count_as_unset() {
        let all = env([
            ("PIP_CERT", ""),
            ("REQUESTS_CA_BUNDLE", "/r.pem"),
            ("SSL_CERT_FILE", "/s.pem"),
            ("SSL_CERT_DIR", "/d:/e"),
        ]);
        let chosen = |cert: Option<&str>, env: &BTreeMap<String, String>| {
            CaPaths::choose(cert.map(PathBuf::from), env).map(|ca| (ca.setting, ca.paths.len()))
        };
        assert_eq!(chosen(Some("/c.pem"), &all), Some(("--cert".into(), 1)));
        assert_eq!(chosen(None, &all), Some(("REQUESTS_CA_BUNDLE".into(), 1)));
        let ssl = env([("SSL_CERT_FILE", "/s.pem"), ("SSL_CERT_DIR", "/d:/e")]);
        assert_eq!(chosen(None, &ssl), Some(("SSL_CERT_FILE and SSL_CERT_DIR".into(), 3)));
        assert_eq!(chosen(None, &env([("SSL_CERT_FILE", "")])), None);
    }

    #[test]
    fn proxies_hide_their_passwords_and_ignore_what_a_cgi_client_can_set() {
        let proxies = Proxies::from_env(&env([
            ("HTTPS_PROXY", "http://u:canary@proxy.example:3128"),
            ("HTTP_PROXY", "http://evil.example"),
            ("REQUEST_METHOD", "GET"),
        ]));
        assert!(proxies.https.is_some() && proxies.http.is_none());
        assert!(!format!("{proxies:?}").contains("canary"));
    }
}
