//! Caches below the cache of a run, opened.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use crate::{
    artifact::registry::{Logins, Registry, Wheels, shown_repository},
    packages::{
        cache::{Bundle, Lower},
        http::{Client, FetchOptions},
    },
    project::auth::{AuthOptions, CredentialStore, Keyring},
    run::options::{CacheFrom, Common, IndexOptions},
    words::{error::Result, progress::Progress},
};

/// A cache saves time: where it takes long to answer, the index is asked instead.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);
const RETRIES: u32 = 1;
/// In bytes a second, of each connection.
const RATE: u64 = 4 << 10;

/// Opens one of them. One that cannot be used is passed over by the cache, which says so.
pub(super) fn lower(from: &CacheFrom, common: &Common, index: &IndexOptions) -> Lower {
    match from {
        CacheFrom::Directory(path) => Lower::Directory(path.clone()),
        CacheFrom::Bundle(path) => match Bundle::open(path) {
            Ok(bundle) => Lower::Other(Arc::new(bundle)),
            Err(error) => Lower::Unusable(path.display().to_string(), error.in_one_line()),
        },
        CacheFrom::Registry(reference) => {
            let name = shown_repository(reference);
            if index.offline {
                return Lower::Unusable(name, "--offline asks nobody".to_owned());
            }
            let registry = || {
                let client = Arc::new(client(common, index)?);
                Registry::new(client, reference.clone(), &Logins::of(&common.env, index.ci_credentials))
            };
            match registry() {
                Ok(registry) => Lower::Other(Arc::new(Wheels::new(registry))),
                Err(error) => Lower::Unusable(name, error.in_one_line()),
            }
        }
    }
}

/// The network for a cache, with little patience.
fn client(common: &Common, index: &IndexOptions) -> Result<Client<'static>> {
    let fetch = FetchOptions {
        ca: index.ca.clone(),
        client_cert: index.client_cert.clone(),
        proxies: index.proxies.clone(),
        connections: index.concurrent_downloads,
        connect_timeout: CONNECT,
        read_timeout: ANSWER,
        retries: RETRIES,
        least_rate: RATE,
        wait_again: false,
        ..FetchOptions::default()
    };
    Client::new(fetch, credentials(common, index, None)?)
}

/// The credentials that a run knows of before it knows its sources.
pub(super) fn credentials(
    common: &Common,
    index: &IndexOptions,
    told: Option<&dyn Progress>,
) -> Result<CredentialStore> {
    let env: BTreeMap<String, String> =
        common.env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let store = CredentialStore::new(AuthOptions {
        env,
        netrc_path: index.netrc.clone(),
        home: common.env.path("HOME"),
        ci: index.ci_credentials,
        keyring: index.keyring.then(|| Keyring::Subprocess(PathBuf::from("keyring"))),
        ..AuthOptions::default()
    })?;
    if let Some(told) = told {
        store.warnings().0.iter().for_each(|warning| told.warn(warning));
    }
    Ok(store)
}
