//! How pip gets the logins of indexes: beside their URLs, as it hands URLs on to pips of its own, in arguments that all can
//! read.
//!
//! A build requirement that pip has to build itself may need an environment, which a second pip makes. The first one gives
//! that one the indexes with `--index-url`. A netrc file it inherits; but such a file knows one login for a host, and old
//! Pythons read few characters from it. Where it cannot hold the logins, they are in the URLs, and pip may build nothing.

use std::{collections::BTreeMap, ffi::OsString, fmt::Write as _, fs, path::Path};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use url::{Host, Url};

use super::IndexSource;
use crate::words::vocab::Credentials;

/// The first Python whose netrc reads quotes.
const QUOTES: (u8, u8) = (3, 11);

/// The first pip that surely looks at NETRC.
const KNOWS_NETRC: u32 = 21;

/// What pip is told of the indexes it may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logins {
    /// Its configuration: these indexes and no others, whatever the machine's own files say.
    pub config: String,
    /// The netrc file with their logins; none where nobody asks for one.
    pub netrc: Option<String>,
    /// Whether logins stand in the configuration, so that no second pip may be started.
    pub only_wheels: bool,
}

impl Logins {
    /// The logins of `sources`, and of the places in `links`. `version` is the Python's that runs `pip`.
    pub(super) fn new(
        sources: &[IndexSource],
        links: &[Url],
        credentials: &dyn Fn(&Url) -> Option<Credentials>,
        version: (u8, u8),
        pip: &Path,
    ) -> Self {
        let urls: Vec<&Url> = sources.iter().map(|source| &source.url).chain(links).collect();
        if urls.iter().all(|url| credentials(url).is_none()) {
            return Logins { config: config(sources, &|_| None), netrc: None, only_wheels: false };
        }
        let known = major(pip).is_some_and(|major| major >= KNOWS_NETRC);
        match netrc(&urls, credentials, version >= QUOTES).filter(|_| known) {
            Some(text) => {
                Logins { config: config(sources, &|_| None), netrc: Some(text), only_wheels: false }
            }
            None => Logins { config: config(sources, credentials), netrc: None, only_wheels: true },
        }
    }
}

/// The http URLs among the words of pip's `--find-links`.
pub(super) fn links(user: &[(OsString, OsString)]) -> Vec<Url> {
    let settings = user.iter().filter(|(name, _)| name == "PIP_FIND_LINKS");
    let words = settings.flat_map(|(_, value)| value.to_str().unwrap_or_default().split_whitespace());
    words.filter_map(|word| Url::parse(word).ok()).filter(|url| url.scheme().starts_with("http")).collect()
}

/// A netrc file with the logins of these URLs; nothing where a host has several, or one that would be read otherwise.
fn netrc(urls: &[&Url], credentials: &dyn Fn(&Url) -> Option<Credentials>, quotes: bool) -> Option<String> {
    let mut hosts: BTreeMap<String, Option<(String, String)>> = BTreeMap::new();
    for url in urls {
        let login = credentials(url).map(|credentials| {
            let (user, password) = credentials.basic();
            (user.to_owned(), password.to_owned())
        });
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            // pip cuts an address off at its first colon.
            Some(Host::Ipv6(_)) | None if login.is_some() => return None,
            Some(Host::Ipv6(_)) | None => continue,
        };
        if *hosts.entry(host).or_insert_with(|| login.clone()) != login {
            return None;
        }
    }
    let mut text = String::new();
    for (host, login) in hosts {
        if let Some((user, password)) = login {
            let (user, password) = (word(&user, quotes)?, word(&password, quotes)?);
            let _ = writeln!(text, "machine {host} login {user} password {password}");
        }
    }
    Some(text)
}

/// A word of a netrc file. Before 3.11 Python knew no quotes there, and read words of ASCII alone.
fn word(text: &str, quotes: bool) -> Option<String> {
    if quotes {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        return Some(format!("\"{escaped}\""));
    }
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| text.to_owned())
}

/// pip's configuration file.
fn config(sources: &[IndexSource], credentials: &dyn Fn(&Url) -> Option<Credentials>) -> String {
    let mut urls = Vec::new();
    let mut trusted = Vec::new();
    for source in sources {
        let mut url = source.url.clone();
        if let Some(credentials) = credentials(&url) {
            let (user, password) = credentials.basic();
            // A `%` of the password's own would stay one otherwise.
            let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
            // Fails only for URLs without a host, which have no realm and so no credentials.
            let _ = url.set_username(&encode(user));
            let password = encode(password);
            let _ = url.set_password((!password.is_empty()).then_some(&password));
        }
        urls.push(url.to_string());
        if !source.verify_ssl
            && let Some(host) = url.host_str()
        {
            trusted.push(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")));
        }
    }
    let mut lines = String::new();
    if let Some((first, rest)) = urls.split_first() {
        lines = format!("index-url = {first}\nextra-index-url = {}\n", rest.join("\n    "));
    }
    if !trusted.is_empty() {
        let _ = writeln!(lines, "trusted-host = {}", trusted.join("\n    "));
    }
    // A section of the command outweighs [global], also one of the machine's own file.
    format!("[global]\n{lines}[install]\n{lines}[wheel]\n{lines}")
}

/// The first number of the version of the pip that is this directory, or lies in a wheel of that name.
fn major(pip: &Path) -> Option<u32> {
    let text = fs::read_to_string(pip.join("__init__.py")).unwrap_or_default();
    let own = text.lines().find_map(|line| line.strip_prefix("__version__ = "));
    let wheel = || pip.parent()?.file_name()?.to_str()?.strip_prefix("pip-");
    let version = own.map(|text| text.trim_matches(['"', '\''])).or_else(wheel)?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::vocab::Secret;

    const NEW: &str = "/x/pip-24.0-py3-none-any.whl/pip";

    fn logins(sources: &[(&str, Option<(&str, &str)>)], version: (u8, u8), pip: &str) -> Logins {
        let url = |text: &str| Url::parse(text).expect("a URL");
        let found: Vec<IndexSource> =
            sources.iter().map(|(text, _)| IndexSource { url: url(text), verify_ssl: true }).collect();
        let credentials = |asked: &Url| {
            let (_, login) = sources.iter().find(|(text, _)| url(text) == *asked)?;
            login.map(|(user, password)| Credentials::new(user, Secret::new(password)))
        };
        Logins::new(&found, &[], &credentials, version, Path::new(pip))
    }

    #[test]
    fn logins_are_beside_the_urls() {
        let one = [("https://a.example/simple", Some(("ci", "canary"))), ("https://b.example/simple", None)];
        let got = logins(&one, (3, 9), NEW);
        assert!(!got.config.contains("canary") && !got.only_wheels, "{got:?}");
        assert_eq!(got.netrc.as_deref(), Some("machine a.example login ci password canary\n"));
        let odd = [("https://a.example/simple", Some(("c i", "ca\"na\\ry")))];
        let got = logins(&odd, (3, 11), NEW);
        assert_eq!(
            got.netrc.as_deref(),
            Some("machine a.example login \"c i\" password \"ca\\\"na\\\\ry\"\n")
        );
        assert_eq!(logins(&[("https://a.example/simple", None)], (3, 9), NEW).netrc, None);
    }

    #[test]
    fn what_a_netrc_file_cannot_hold_stands_in_urls_and_pip_builds_nothing() {
        let canary = Some(("ci", "canary"));
        let (a, b) = ("https://a.example/one/simple", "https://a.example/two/simple");
        for (sources, version, pip) in [
            (vec![(a, canary), (b, Some(("ci", "other")))], (3, 12), NEW),
            (vec![(a, canary), (b, None)], (3, 12), NEW),
            (vec![("https://[::1]/simple", canary)], (3, 12), NEW),
            (vec![(a, Some(("ci", "can ary")))], (3, 10), NEW),
            (vec![(a, Some(("token", "")))], (3, 10), NEW),
            (vec![(a, canary)], (3, 7), "/x/pip-18.1-py3-none-any.whl/pip"),
        ] {
            let got = logins(&sources, version, pip);
            assert!(got.only_wheels && got.netrc.is_none(), "{sources:?}: {got:?}");
            assert!(got.config.contains('@'), "{got:?}");
        }
        let got = logins(&[(a, canary), (b, canary)], (3, 12), NEW);
        assert!(!got.only_wheels, "one login for one host");
    }
}
