//! Where files may come from.

use std::{collections::BTreeMap, path::PathBuf};

use super::{CacheFrom, Packages};
use crate::{
    packages::http::{CaPaths, Proxies},
    words::{
        args::{IndexArgs, Keyring},
        env::Env,
        error::{Error, Kind, Result},
        vocab::SourceUrl,
    },
};

/// Where files may come from.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct IndexOptions {
    /// Directories and pages of links, as in pip.
    pub find_links: Vec<String>,
    /// Ask no index.
    pub no_index: bool,
    /// No network at all.
    pub offline: bool,
    /// Replacements for sources of the lock, by name.
    pub mirrors: Vec<(String, SourceUrl)>,
    /// `--pypi-mirror` or PIPENV_PYPI_MIRROR: replaces the public index.
    pub public_mirror: Option<SourceUrl>,
    /// Whether an index page may come from another host than the source's.
    pub allow_forwarding: bool,
    /// Which entries are installed without hashes.
    pub allow_unhashed: Packages,
    /// `--netrc`.
    pub netrc: Option<PathBuf>,
    /// Whether GitLab CI's tokens count.
    pub ci_credentials: bool,
    /// Whether the `keyring` program is asked.
    pub keyring: bool,
    /// The certificates to trust instead of the system's.
    pub ca: Option<CaPaths>,
    /// The proxies to go through.
    pub proxies: Proxies,
    /// A client certificate with its key.
    pub client_cert: Option<PathBuf>,
    /// How many downloads at once.
    pub concurrent_downloads: usize,
    /// Caches that are only read from, in the order in which they are asked.
    pub cache_from: Vec<CacheFrom>,
    /// Whether what was built is taken from them as well.
    pub trust_built: bool,
}

impl IndexOptions {
    /// Checks the indexes' part of the command line.
    pub(crate) fn new(args: &IndexArgs, env: &Env) -> Result<Self> {
        let mut find_links = args.find_links.clone();
        find_links
            .extend(env.get("PIP_FIND_LINKS").into_iter().flat_map(str::split_whitespace).map(str::to_owned));
        let mirrors = args
            .index_url
            .iter()
            .map(|text| {
                let (name, url) = text.split_once('=').filter(|(name, _)| !name.contains("://")).ok_or_else(|| {
                    Error::new(Kind::Usage, "--index-url takes NAME=URL: the name of a source of the lock and the URL to use for it")
                })?;
                let url = url.parse().map_err(|e: Error| e.context(format!("--index-url {name}=... is unusable")).with_kind(Kind::Usage))?;
                Ok((name.to_owned(), url))
            })
            .collect::<Result<_>>()?;
        let (mirror, said) = match args.pypi_mirror.as_deref() {
            Some(typed) => (Some(typed), "--pypi-mirror"),
            None => (env.get("PIPENV_PYPI_MIRROR"), "PIPENV_PYPI_MIRROR"),
        };
        let public_mirror = mirror
            .map(str::parse)
            .transpose()
            .map_err(|e: Error| e.context(format!("{said} is unusable")).with_kind(Kind::Usage))?;
        let variables: BTreeMap<String, String> =
            env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let keyring = match args.keyring {
            Some(choice) => choice == Keyring::Subprocess,
            None => ["PIPENV_KEYRING_PROVIDER", "PIP_KEYRING_PROVIDER"]
                .iter()
                .find_map(|name| env.get(name))
                .is_some_and(|provider| provider == "subprocess"),
        };
        Ok(IndexOptions {
            find_links,
            no_index: args.no_index || env.flag("PIP_NO_INDEX"),
            offline: args.offline || env.flag("VENVOY_OFFLINE"),
            mirrors,
            public_mirror,
            allow_forwarding: args.allow_forwarding,
            allow_unhashed: Packages::parse(
                args.allow_unhashed.iter().map(String::as_str),
                "--allow-unhashed",
            )?,
            netrc: args.netrc.clone(),
            ci_credentials: !args.no_ci_credentials,
            keyring,
            ca: CaPaths::choose(args.cert.clone(), &variables),
            proxies: Proxies::from_env(&variables),
            client_cert: args.client_cert.clone().or_else(|| env.path("PIP_CLIENT_CERT")),
            concurrent_downloads: args.concurrent_downloads.into(),
            cache_from: CacheFrom::all(&args.cache_from, env)?,
            trust_built: args.trust_built,
        })
    }
}
