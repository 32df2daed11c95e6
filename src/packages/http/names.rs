//! Host names to addresses: one lookup per host, shared by all who want it.
//!
//! Dozens of connections are made at once, and as many lookups of one name lose some of their answers; whoever lost
//! one waits for the resolver's timeout of five seconds.

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
};

use parking_lot::Mutex;
use reqwest::dns::{Addrs, Resolve, Resolving};
use tokio::sync::OnceCell;

use super::servers::Servers;

/// Why a host has no address.
#[derive(Debug, Clone)]
pub(super) struct NoAddress {
    host: String,
    why: String,
    /// Whether the name servers said that there is none, rather than nothing.
    pub certain: bool,
}

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no address for {}: {}", self.host, self.why)
    }
}

impl std::error::Error for NoAddress {}

type Answer = Result<Vec<IpAddr>, NoAddress>;
type Shared = Arc<OnceCell<Answer>>;

/// What is known of hosts, shared by all HTTP clients of a run.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, Shared>>>);

impl Names {
    /// A resolver that shares what these names know and asks the platform, or where the binary is static the
    /// name servers themselves.
    pub(super) fn resolver(&self) -> Resolver {
        let is_static = cfg!(target_feature = "crt-static");
        self.through(if is_static { NameService::Servers(Servers::default()) } else { NameService::Platform })
    }

    /// A resolver that shares what these names know and asks this source.
    pub(super) fn through(&self, source: NameService) -> Resolver {
        Resolver { names: self.clone(), source }
    }

    /// Forgets a host, whose addresses may be others by now.
    pub(super) fn forget(&self, host: &str) {
        self.0.lock().remove(&host.to_ascii_lowercase());
    }

    async fn addresses(&self, host: &str, source: NameService) -> Answer {
        let host = host.to_ascii_lowercase();
        let shared = Arc::clone(self.0.lock().entry(host.clone()).or_default());
        let answer = shared.get_or_init(|| look_up(host.clone(), source)).await.clone();
        if answer.is_err() {
            // Those who waited have it; who tries again asks again.
            let mut known = self.0.lock();
            if known.get(&host).is_some_and(|now| Arc::ptr_eq(now, &shared)) {
                known.remove(&host);
            }
        }
        answer
    }
}

/// Whom to ask for addresses.
#[derive(Clone)]
pub(super) enum NameService {
    /// The C library.
    Platform,
    /// The name servers themselves.
    Servers(Servers),
    /// Counts the questions, and knows loopback only.
    #[cfg(test)]
    Counted(Arc<std::sync::atomic::AtomicUsize>),
}

async fn look_up(host: String, source: NameService) -> Answer {
    let found = match source {
        NameService::Servers(servers) => servers.addresses(&host).await,
        NameService::Platform => {
            let asked = host.clone();
            let found = tokio::task::spawn_blocking(move || of_platform(&asked)).await;
            found.unwrap_or_else(|_| Err(("the lookup was given up".into(), false)))
        }
        #[cfg(test)]
        NameService::Counted(count) => {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            // As long as it takes for all others to want the same.
            let wait = || std::thread::sleep(std::time::Duration::from_millis(50));
            let _ = tokio::task::spawn_blocking(wait).await;
            let loopback = IpAddr::from([127, 0, 0, 1]);
            if host == "lost.example" { Err(("lost".into(), false)) } else { Ok(vec![loopback]) }
        }
    };
    match found {
        Ok(addresses) if addresses.is_empty() => {
            Err(NoAddress { host, why: "the answer holds none".into(), certain: true })
        }
        Ok(addresses) => Ok(addresses),
        Err((why, certain)) => Err(NoAddress { host, why, certain }),
    }
}

/// Asks the C library. Its error codes are not handed through, but its texts are fixed: nothing here sets a locale.
fn of_platform(host: &str) -> Result<Vec<IpAddr>, (String, bool)> {
    match (host, 0).to_socket_addrs() {
        Ok(found) => {
            let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            addresses.dedup();
            Ok(addresses)
        }
        Err(error) => {
            let text = error.to_string();
            let why = text.strip_prefix("failed to lookup address information: ").unwrap_or(&text).to_owned();
            // glibc's EAI_NONAME and EAI_NODATA, musl's and Apple's EAI_NONAME.
            let certain = [
                "Name or service not known",
                "No address associated with hostname",
                "Name does not resolve",
                "nodename nor servname provided, or not known",
            ];
            let certain = certain.iter().any(|text| why.contains(text));
            Err((why, certain))
        }
    }
}

/// How one HTTP client asks for addresses.
pub(super) struct Resolver {
    names: Names,
    source: NameService,
}

impl Resolve for Resolver {
    fn resolve(&self, name: reqwest::dns::Name) -> Resolving {
        let (names, source) = (self.names.clone(), self.source.clone());
        Box::pin(async move {
            let found = names.addresses(name.as_str(), source).await?;
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
    }

    /// What threads get that ask at once, and how many questions that took.
    fn at_once(names: &Names, host: &'static str) -> (Vec<Answer>, usize) {
        let count = Arc::new(AtomicUsize::new(0));
        let asking: Vec<_> = (0..38)
            .map(|_| {
                let (names, source) = (names.clone(), NameService::Counted(count.clone()));
                std::thread::spawn(move || runtime().block_on(names.addresses(host, source)))
            })
            .collect();
        let answers = asking.into_iter().map(|thread| thread.join().expect("an answer")).collect();
        (answers, count.load(Ordering::SeqCst))
    }

    #[test]
    fn threads_that_want_one_host_share_one_lookup() {
        let names = Names::default();
        let (answers, count) = at_once(&names, "Index.example");
        assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|found| found.len() == 1)));
        assert_eq!(count, 1);
        assert_eq!(at_once(&names, "index.EXAMPLE").1, 0, "it is known by now");
        names.forget("index.example");
        assert_eq!(at_once(&names, "index.example").1, 1);
    }

    #[test]
    fn a_lost_answer_is_lost_for_all_who_waited_and_asked_for_again() {
        let names = Names::default();
        let (answers, count) = at_once(&names, "lost.example");
        assert!(answers.iter().all(Result::is_err));
        assert!(count < 10, "{count} questions for 38 who wanted the same");
        assert!(at_once(&names, "lost.example").1 >= 1);
    }

    #[test]
    fn the_platform_says_for_certain_that_a_name_does_not_exist() {
        // RFC 6761: never a name. A machine without name servers cannot be certain.
        if let Err((why, certain)) = of_platform("nowhere.invalid") {
            assert!(certain || why.contains("Temporary failure"), "{why}");
        }
        assert!(of_platform("localhost").is_ok_and(|found| !found.is_empty()));
    }
}
