//! All credentials of a run, and which of them belong to a URL.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::OnceLock,
};

use parking_lot::Mutex;

use url::Url;

use super::{CredentialOrigin, Found, Keyring, ci::Ci, files::NetrcFiles};
use crate::words::{
    error::{Error, Kind, Result},
    secret_names::names_own_secret,
    vocab::{Credentials, Realm, Secret, SourceUrl},
};

/// Where to look for credentials. Holds secrets: it has no `Debug`.
pub struct AuthOptions {
    /// A snapshot of the environment: NETRC, `VENVOY_INDEX_*`, `CI_*`. Others are ignored.
    pub env: BTreeMap<String, String>,
    /// `--netrc`: the only netrc file, which must exist.
    pub netrc_path: Option<PathBuf>,
    /// Where a build secret's netrc is mounted; `/run/secrets/netrc`.
    pub secret_netrc: Option<PathBuf>,
    /// The user's home directory, for `.netrc` and `_netrc`.
    pub home: Option<PathBuf>,
    /// Whether GitLab CI's own tokens may be used (`--no-ci-credentials` says no).
    pub ci: bool,
    /// Whom to ask for passwords of known users at last.
    pub keyring: Option<Keyring>,
}

impl Default for AuthOptions {
    fn default() -> Self {
        AuthOptions {
            env: BTreeMap::new(),
            netrc_path: None,
            secret_netrc: Some(PathBuf::from("/run/secrets/netrc")),
            home: None,
            ci: true,
            keyring: None,
        }
    }
}

impl AuthOptions {
    /// A variable's value; empty counts as unset, as CI systems leave missing secrets empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// A source of the lock, or a single file's URL, with the credentials that are its own.
struct KnownUrl {
    url: Url,
    realm: Realm,
    own: Own,
    /// How its variables begin: `VENVOY_INDEX_<NAME>`.
    variables: Option<String>,
}

/// What a source says about its credentials itself.
enum Own {
    Nothing,
    Known(Found),
    /// Only a user: the password is looked up; `lone` is what to send if there is none.
    User {
        user: String,
        lone: Option<Found>,
    },
}

/// What a keyring was asked: for a service, and for which user of it.
type Question = (String, Option<String>);

/// Credentials per realm (scheme, host, port) and, within a realm, per URL prefix.
pub struct CredentialStore {
    options: AuthOptions,
    netrc: NetrcFiles,
    sources: Vec<KnownUrl>,
    /// Settled once all sources are known.
    ci: OnceLock<Ci>,
    keyring_answers: Mutex<HashMap<Question, Option<Credentials>>>,
}

impl CredentialStore {
    /// Reads the netrc files. Fails if one of them is damaged or, named explicitly, missing.
    pub fn new(options: AuthOptions) -> Result<Self> {
        let netrc = NetrcFiles::load(&options)?;
        Ok(CredentialStore {
            options,
            netrc,
            sources: Vec::new(),
            ci: OnceLock::new(),
            keyring_answers: Mutex::default(),
        })
    }

    /// What the user should hear about the netrc files.
    pub fn warnings(&self) -> &crate::words::error::Warnings {
        &self.netrc.warnings
    }

    /// Makes a source known: its URL is the prefix its own credentials (those in the URL, else those of
    /// `VENVOY_INDEX_<NAME>_USERNAME` and `_PASSWORD`) belong to. Sources without credentials are
    /// registered too: they keep a neighbour's credentials away from their own paths.
    pub fn register_source(&mut self, name: Option<&str>, url: &SourceUrl) {
        let Some(realm) = Realm::of(url.url()) else { return };
        let variables = name.map(|name| {
            let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            format!("VENVOY_INDEX_{}", name.chars().map(plain).collect::<String>())
        });
        let own = self.own(url, variables.as_deref());
        self.ci = OnceLock::new();
        self.sources.push(KnownUrl { url: url.url().clone(), realm, own, variables });
    }

    fn own(&self, url: &SourceUrl, variables: Option<&str>) -> Own {
        if let Some(credentials) = url.credentials() {
            let found = Found { credentials: credentials.clone(), origin: CredentialOrigin::Url };
            if credentials.is_lone() {
                // Only netrc (for this very user) or the keyring can tell a user from a token, as in pip.
                let user = credentials.password.expose().to_owned();
                return Own::User { user, lone: Some(found) };
            }
            return Own::Known(found);
        }
        let Some(prefix) = variables else { return Own::Nothing };
        let password_name = format!("{prefix}_PASSWORD");
        let user = self.options.variable(&format!("{prefix}_USERNAME"));
        match (user, self.options.variable(&password_name)) {
            (user, Some(password)) => Own::Known(Found {
                credentials: Credentials::new(user.unwrap_or(TOKEN_USER), Secret::new(password)),
                origin: CredentialOrigin::Variable(password_name),
            }),
            (Some(user), None) => Own::User { user: user.to_owned(), lone: None },
            (None, None) => Own::Nothing,
        }
    }

    /// The credentials to send to `url`, if any. `via` is the source whose page or redirect led there: on
    /// the same realm its credentials apply to its files, which may lie at another path.
    ///
    /// Looked up in order: the source's own (URL, then variables), netrc, GitLab CI, keyring. Within a
    /// realm the registered source with the longest prefix (by path segments) decides, then `via`, then the
    /// source that shares most leading segments. A netrc `default` is for registered sources' realms only,
    /// never for another host that a link or redirect names; nor is a `machine` without a port for another
    /// port or for http.
    pub fn lookup(&self, url: &Url, via: Option<&SourceUrl>) -> Result<Option<Found>> {
        let Some(realm) = Realm::of(url) else { return Ok(None) };
        if !matches!(url.scheme(), "http" | "https") {
            return Ok(None);
        }
        let source = self.source_of(url, &realm, via);
        let (user, lone) = match source.map(|s| &s.own) {
            Some(Own::Known(found)) => return Ok(Some(found.clone())),
            Some(Own::User { user, lone }) => (Some(user.as_str()), lone.clone()),
            _ => (None, None),
        };
        if let Some(entry) = self.in_netrc(&realm, user) {
            return Ok(entry);
        }
        if user.is_none() {
            let remembered = || source.and_then(|source| self.remembered(source));
            let found = self.ci().for_realm(&realm).or_else(remembered);
            return match self.ci().doubt(&realm).filter(|_| found.is_none()) {
                Some(doubt) => Err(doubt),
                None => Ok(found),
            };
        }
        let (Some(source), Some(user)) = (source, user) else { return Ok(lone) };
        if let Some(found) = self.in_keyring(source, Some(user))? {
            return Ok(Some(found));
        }
        if lone.is_none() {
            let prefix = source.variables.as_deref().unwrap_or_default();
            return Err(Error::new(
                Kind::Auth,
                format!("{prefix}_USERNAME is set, but there is no password for it at {}", realm.host),
            )
            .help(format!(
                "set {prefix}_PASSWORD, or give the password in netrc, or in the keyring with --keyring"
            )));
        }
        Ok(lone)
    }

    /// The credentials to try when `url` answered 401 to a request that had none: the keyring's, which may know
    /// the user as well. It is asked for sources of the lock only, never for where a redirect leads.
    pub fn after_refusal(&self, url: &Url, via: Option<&SourceUrl>) -> Result<Option<Found>> {
        let Some(realm) = Realm::of(url) else { return Ok(None) };
        let source = self.source_of(url, &realm, via);
        let nothing_else = |source: &&KnownUrl| {
            matches!(source.own, Own::Nothing)
                && self.in_netrc(&realm, None).is_none()
                && self.ci().for_realm(&realm).is_none()
        };
        source.filter(nothing_else).map_or(Ok(None), |source| self.in_keyring(source, None))
    }

    /// Where `lookup` looks for `url`, for a message: "the source's URL, …".
    pub fn looked_in(&self, url: &Url, via: Option<&SourceUrl>) -> String {
        let mut places = vec!["the source's URL".to_owned()];
        let realm = Realm::of(url);
        let source = realm.as_ref().and_then(|realm| self.source_of(url, realm, via));
        if let Some(prefix) = source.and_then(|s| s.variables.as_ref()) {
            places.push(format!("{prefix}_USERNAME and _PASSWORD"));
        }
        places.extend(self.netrc.looked_in.iter().cloned());
        places.extend(self.ci().looked_in(realm.as_ref()));
        if self.options.keyring.is_some() {
            places.push("the keyring".into());
        }
        places.join(", ")
    }

    /// The registered source that `url` belongs to.
    fn source_of(&self, url: &Url, realm: &Realm, via: Option<&SourceUrl>) -> Option<&KnownUrl> {
        let neighbours = || self.sources.iter().filter(|s| s.realm == *realm);
        let above = neighbours().filter(|s| is_prefix(&s.url, url)).max_by_key(|s| segments(&s.url).count());
        if above.is_some() {
            return above;
        }
        if let Some(via) = via
            && let Some(source) = neighbours().find(|s| s.url == *via.url())
        {
            return Some(source);
        }
        let shared = |s: &KnownUrl| segments(&s.url).zip(segments(url)).take_while(|(a, b)| a == b).count();
        let most = neighbours().map(shared).max()?;
        let mut nearest = neighbours().filter(|s| shared(s) == most);
        let first = nearest.next()?;
        // Between equally near sources with credentials of their own nothing can be guessed.
        nearest.all(|s| same_own(&s.own, &first.own)).then_some(first)
    }

    /// The outer `None`: netrc has nothing to say. An entry without login and password means "none here".
    #[allow(clippy::option_option, reason = "the outer says whether to look further")]
    fn in_netrc(&self, realm: &Realm, user: Option<&str>) -> Option<Option<Found>> {
        let fits = |login: &str| user.is_none_or(|user| user == login);
        let is_source = self.sources.iter().any(|s| s.realm == *realm);
        // A host's entry without a port is for the sources on it and for https: a link or redirect to
        // another port or to plain http does not get it.
        let whole_host = is_source || (realm.scheme == "https" && realm.port == 443);
        let machine = self.netrc.files.iter().find_map(|n| {
            let entry = n.machine_with_port(&realm.host, realm.port);
            let entry = entry.or_else(|| n.machine(&realm.host, realm.port).filter(|_| whole_host));
            entry.filter(|e| fits(&e.login)).map(|entry| (n, entry))
        });
        let or_default = || {
            let find = |n: &'_ super::Netrc| n.default_entry().is_some_and(|e| fits(&e.login));
            let file = self.netrc.files.iter().filter(|_| is_source).find(|n| find(n))?;
            Some((file, file.default_entry()?))
        };
        let (file, entry) = machine.or_else(or_default)?;
        let login = [&entry.login, &entry.account].into_iter().find(|name| !name.is_empty());
        if login.is_none() && entry.password.expose().is_empty() {
            return Some(None);
        }
        Some(Some(Found {
            credentials: Credentials::new(login.map_or(TOKEN_USER, String::as_str), entry.password.clone()),
            origin: CredentialOrigin::Netrc { path: file.path().to_owned(), line: entry.line },
        }))
    }

    /// GitLab CI's tokens, seen from the sources that are known by now.
    fn ci(&self) -> &Ci {
        self.ci.get_or_init(|| Ci::new(&self.options, self.sources.iter().map(|source| &source.url)))
    }

    /// Which of GitLab CI's tokens goes where, if that was found out from the sources.
    pub fn ci_notice(&self) -> Option<String> {
        self.ci().notice()
    }

    /// Asks the keyring for the source's URL, then for its host, once each; for any user where none is known.
    fn in_keyring(&self, source: &KnownUrl, user: Option<&str>) -> Result<Option<Found>> {
        let Some(keyring) = &self.options.keyring else { return Ok(None) };
        // Held while the program runs: it may ask the user, and should do so once.
        let mut answers = self.keyring_answers.lock();
        for service in services(source) {
            let key = (service, user.map(str::to_owned));
            if !answers.contains_key(&key) {
                let answer = keyring.get(&key.0, user, &self.not_for_children())?;
                answers.insert(key.clone(), answer);
            }
            if let Some(Some(credentials)) = answers.get(&key) {
                return Ok(Some(Found {
                    credentials: credentials.clone(),
                    origin: CredentialOrigin::Keyring,
                }));
            }
        }
        Ok(None)
    }

    /// What the keyring said after an earlier refusal.
    fn remembered(&self, source: &KnownUrl) -> Option<Found> {
        let answers = self.keyring_answers.lock();
        let known = services(source).into_iter().find_map(|service| answers.get(&(service, None))?.clone());
        known.map(|credentials| Found { credentials, origin: CredentialOrigin::Keyring })
    }

    /// The variables that a child asked for a password does not need: other passwords, by name or by value.
    fn not_for_children(&self) -> Vec<String> {
        let known: Vec<&str> = self
            .sources
            .iter()
            .filter_map(|source| match &source.own {
                Own::Known(found) => Some(found.credentials.password.expose()),
                _ => None,
            })
            .filter(|password| !password.is_empty())
            .collect();
        let holds = |value: &str| known.iter().any(|password| value.contains(password));
        let env = &self.options.env;
        let unneeded = env.iter().filter(|(name, value)| names_own_secret(name) || holds(value));
        unneeded.map(|(name, _)| name.clone()).collect()
    }
}

/// What a keyring calls a source: its URL with a slash, as pip writes it, or its host.
fn services(source: &KnownUrl) -> [String; 2] {
    let url = source.url.as_str().trim_end_matches('/');
    let host = &source.realm.host;
    let host = source.url.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
    [format!("{url}/"), host]
}

/// The user name sent with a token that came without one; indexes that take tokens ignore it.
const TOKEN_USER: &str = "__token__";

fn same_own(a: &Own, b: &Own) -> bool {
    match (a, b) {
        (Own::Nothing, Own::Nothing) => true,
        (Own::Known(a), Own::Known(b)) => a.credentials == b.credentials,
        (Own::User { user: a, .. }, Own::User { user: b, .. }) => a == b,
        _ => false,
    }
}

/// The non-empty path segments of a URL.
fn segments(url: &Url) -> impl Iterator<Item = &str> {
    url.path().split('/').filter(|s| !s.is_empty())
}

/// Whether `url` is at or below `prefix`, by whole path segments: `/a/simple` is no prefix of
/// `/a/simple-evil`.
fn is_prefix(prefix: &Url, url: &Url) -> bool {
    let mut inner = segments(url);
    segments(prefix).all(|segment| inner.next() == Some(segment))
}
