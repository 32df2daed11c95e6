//! Name servers asked without the C library.
//!
//! A static binary cannot use the platform's resolver: glibc would load its name service modules, which the
//! image it runs in has in another version or not at all, and musl's asks all name servers at once and
//! believes the fastest. This one reads the same two files, `/etc/hosts` and `/etc/resolv.conf`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::Path,
    sync::{Arc, OnceLock},
};

use hickory_resolver::{
    Hosts, TokioResolver,
    config::{LookupIpStrategy, ResolveHosts, ServerOrderingStrategy},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::Query,
        rr::{Name, RecordType},
    },
    system_conf::parse_resolv_conf,
};

/// Asks the hosts file, then the name servers of `resolv.conf` in the order they are listed.
#[derive(Clone)]
pub(super) struct Servers {
    hosts: &'static Path,
    resolv: &'static Path,
    /// Read on first use, as that has to happen in the HTTP client's own thread.
    known: Arc<OnceLock<Known>>,
}

/// What the two files say.
struct Known {
    hosts: Hosts,
    /// None where no server is named: no public server takes its place.
    servers: Option<TokioResolver>,
}

impl Default for Servers {
    fn default() -> Self {
        Servers::of(Path::new("/etc/hosts"), Path::new("/etc/resolv.conf"))
    }
}

impl Servers {
    fn of(hosts: &'static Path, servers: &'static Path) -> Self {
        Servers { hosts, resolv: servers, known: Arc::default() }
    }

    /// A host's addresses, or why there are none and whether that is certain.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, (String, bool)> {
        let known = if let Some(known) = self.known.get() {
            known
        } else {
            let known = Known::read(self.hosts, self.resolv).map_err(|e| (e.to_string(), true))?;
            self.known.get_or_init(|| known)
        };
        // Before any search domain is tried, as the C library does.
        let listed = known.listed(host);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let bare = host.trim_end_matches('.').to_ascii_lowercase();
        if bare == "localhost" || bare.ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let Some(servers) = &known.servers else {
            let (hosts, servers) = (self.hosts.display(), self.resolv.display());
            return Err((format!("{hosts} does not list it and {servers} names no server"), true));
        };
        let found = servers.lookup_ip(host).await.map_err(|e| (e.to_string(), e.is_no_records_found()))?;
        Ok(found.iter().collect())
    }
}

impl Known {
    /// Either file may be missing.
    fn read(hosts: &Path, servers: &Path) -> Result<Self, NetError> {
        let mut listed = Hosts::default();
        if let Ok(text) = std::fs::read(hosts) {
            listed.read_hosts_conf(text.as_slice())?;
        }
        let configured = std::fs::read(servers).ok().and_then(|text| parse_resolv_conf(text).ok());
        let servers = configured
            .map(|(config, mut options)| {
                // One at a time and in the file's order, as the C library does: where an inner server stands
                // before an outer one, the outer one must not win by being faster.
                options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
                options.num_concurrent_reqs = 1;
                options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
                options.use_hosts_file = ResolveHosts::Never;
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                    .with_options(options)
                    .build()
            })
            .transpose()?;
        Ok(Known { hosts: listed, servers })
    }

    fn listed(&self, host: &str) -> Vec<IpAddr> {
        let Ok(mut name) = Name::from_utf8(host) else { return Vec::new() };
        name.set_fqdn(true);
        [RecordType::AAAA, RecordType::A]
            .into_iter()
            .filter_map(|kind| self.hosts.lookup_static_host(&Query::query(name.clone(), kind)))
            .flat_map(|found| {
                found.answers().iter().filter_map(|record| record.data.ip_addr()).collect::<Vec<_>>()
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        error::Error,
        io::{Read, Write},
        net::TcpListener,
        path::PathBuf,
    };

    use super::{
        super::{
            FetchOptions,
            names::{NameService, Names},
            tls,
        },
        *,
    };

    /// The text of a file of its own, for as long as the test runs.
    fn file(directory: &tempfile::TempDir, name: &str, text: &str) -> &'static Path {
        let path: PathBuf = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        Box::leak(path.into_boxed_path())
    }

    /// The whole error, or the answer, of a request to `host`; a server on loopback answers one of them.
    fn ask(host: &str, servers: Servers) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{host}:{}/", listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let _ = connection.read(&mut [0; 1024]);
            connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
        });
        let tls = tls::config(&FetchOptions::default(), true, true).unwrap();
        let client = reqwest::blocking::Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Arc::new(Names::default().through(NameService::Servers(servers))))
            .build()
            .unwrap();
        match client.get(url).send().and_then(reqwest::blocking::Response::text) {
            Ok(text) => text,
            Err(error) => std::iter::successors(Some(&error as &dyn Error), |error| (*error).source())
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(": "),
        }
    }

    #[test]
    fn the_hosts_file_is_read_without_name_servers() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = file(&directory, "hosts", "# ours\n127.0.0.1 Index.Example index\n");
        let missing = Box::leak(directory.path().join("none").into_boxed_path());
        for host in ["index.example", "INDEX.example", "index", "localhost", "a.localhost"] {
            assert_eq!(ask(host, Servers::of(hosts, missing)), "hello", "{host}");
        }
    }

    #[test]
    fn the_hosts_file_comes_before_search_domains() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = file(&directory, "hosts", "127.0.0.1 index\n");
        // No server listens there: asking it would fail.
        let servers = file(&directory, "resolv.conf", "search example\nnameserver 127.0.0.254\n");
        assert_eq!(ask("index", Servers::of(hosts, servers)), "hello");
    }

    #[test]
    fn without_name_servers_no_public_one_is_asked() {
        let directory = tempfile::tempdir().unwrap();
        let hosts = file(&directory, "hosts", "127.0.0.1 index\n");
        let servers = file(&directory, "resolv.conf", "# none yet\n");
        let said = ask("other.example", Servers::of(hosts, servers));
        let expected = format!(
            "no address for other.example: {} does not list it and {} names no server",
            hosts.display(),
            servers.display()
        );
        assert!(said.ends_with(&expected), "{said}");
    }
}
