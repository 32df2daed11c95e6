//! TLS, client certificates, HTTP/2 and proxies against nginx and tinyproxy.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use crate::support::{
    ca::Ca,
    client::{client, download, no_credentials, quick, url},
    nginx::{Nginx, Setup},
    process::{Running, free_port},
};
use venvoy::inside::{
    packages::http::{CaPaths, FetchOptions, Proxies},
    words::{
        error::{Error, Kind},
        vocab::{Realm, Secret},
    },
};

/// https on `{port}`; `{other}` demands a client certificate.
fn https(ca: &Ca) -> Nginx {
    let servers = "
        ssl_certificate CA/server.pem; ssl_certificate_key CA/server.key;
        server {
            listen {port} ssl http2; listen [::1]:{port} ssl http2;
            location /plain { return 302 http://127.0.0.1:1/demo.whl; }
        }
        server { listen {other} ssl; ssl_client_certificate CA/ca.pem; ssl_verify_client on; }";
    let directory = ca.path("");
    Setup::new()
        .file("demo.whl", b"wheel")
        .start(&servers.replace("CA/", &format!("{}/", directory.display()).replace("//", "/")))
}

fn trusting(paths: &[PathBuf]) -> FetchOptions {
    FetchOptions { ca: Some(CaPaths { paths: paths.to_vec(), setting: "--cert".into() }), ..quick() }
}

fn get(options: FetchOptions, address: &str) -> Result<Vec<u8>, Error> {
    download(&client(options, no_credentials(), &[]), &url(address)).map(|sink| sink.bytes)
}

#[test]
fn a_ca_of_ones_own_is_trusted_by_name_address_and_ipv6_literal_over_http2() {
    let ca = Ca::new();
    let nginx = https(&ca);
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        let address = format!("https://{host}:{}/demo.whl", nginx.port);
        assert_eq!(get(trusting(&[ca.bundle()]), &address).expect(host), b"wheel");
    }
    assert_eq!(nginx.log(3).matches("HTTP/2.0").count(), 3);
}

#[test]
fn a_directory_of_certificates_serves_as_well_as_a_bundle() {
    let ca = Ca::new();
    let nginx = https(&ca);
    let directory = tempfile::TempDir::new().expect("a directory");
    fs::copy(ca.bundle(), directory.path().join("ours.pem")).expect("copied");
    let address = format!("https://localhost:{}/demo.whl", nginx.port);
    assert_eq!(get(trusting(&[directory.path().to_owned()]), &address).expect("a file"), b"wheel");
}

#[test]
fn an_unknown_certificate_is_refused_at_once_and_says_what_to_do() {
    let ca = Ca::new();
    let nginx = https(&ca);
    let other = Ca::new();
    let address = format!("https://localhost:{}/demo.whl", nginx.port);
    let error = get(trusting(&[other.bundle()]), &address).expect_err("another CA");
    let report = error.report();
    assert_eq!(error.kind(), Kind::Network);
    assert!(
        report.contains("cannot make a secure connection") && report.contains("SSL_CERT_FILE"),
        "{report}"
    );
    nginx.log(0);
}

#[test]
fn a_ca_setting_that_cannot_be_used_fails_closed() {
    let ca = Ca::new();
    let nginx = https(&ca);
    let directory = tempfile::TempDir::new().expect("a directory");
    let garbage = directory.path().join("garbage.pem");
    fs::write(&garbage, "no certificate").expect("written");
    let broken = directory.path().join("broken.pem");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").expect("written");
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).expect("a directory");
    let address = format!("https://localhost:{}/demo.whl", nginx.port);
    for path in [garbage, broken, empty, directory.path().join("missing.pem")] {
        let error = get(trusting(std::slice::from_ref(&path)), &address).expect_err("a broken setting");
        let report = error.report();
        assert!(report.starts_with(&format!("cannot use {} (--cert): ", path.display())), "{report}");
        assert_eq!(error.kind(), Kind::Usage);
    }
    nginx.log(0);
}

#[test]
fn verification_is_off_only_for_the_realms_that_say_so() {
    let ca = Ca::new();
    let nginx = https(&ca);
    let other = Ca::new();
    let address = |host: &str| format!("https://{host}:{}/demo.whl", nginx.port);
    let realm = Realm::of(&url(&address("localhost"))).expect("a realm");
    let options =
        || FetchOptions { insecure: BTreeSet::from([realm.clone()]), ..trusting(&[other.bundle()]) };
    assert_eq!(get(options(), &address("localhost")).expect("unverified"), b"wheel");
    assert!(get(options(), &address("127.0.0.1")).is_err());
}

#[test]
fn a_client_certificate_opens_a_server_that_asks_for_one() {
    let ca = Ca::new();
    let nginx = https(&ca);
    let address = format!("https://localhost:{}/demo.whl", nginx.other);
    let with = |path: PathBuf| FetchOptions { client_cert: Some(path), ..trusting(&[ca.bundle()]) };
    assert_eq!(get(with(ca.client()), &address).expect("a file"), b"wheel");
    let error = get(trusting(&[ca.bundle()]), &address).expect_err("no certificate");
    assert!(error.report().contains("400 Bad Request"), "{}", error.report());
    // The certificate without its key.
    let error = get(with(ca.path("client.pem")), &address).expect_err("no key");
    assert!(error.report().contains("cannot use the client certificate"), "{}", error.report());
}

#[test]
fn a_redirect_from_https_to_http_is_refused() {
    let ca = Ca::new();
    let nginx = https(&ca);
    let address = format!("https://localhost:{}/plain", nginx.port);
    let error = get(trusting(&[ca.bundle()]), &address).expect_err("a downgrade");
    assert!(error.report().contains("redirects from https to http"), "{}", error.report());
}

/// A forward proxy that wants user and password if told so.
fn tinyproxy(login: Option<&str>) -> (u16, tempfile::TempDir, Running) {
    let directory = tempfile::TempDir::new().expect("a directory");
    let port = free_port();
    let config = directory.path().join("tinyproxy.conf");
    let log = directory.path().join("log");
    let login = login.map(|login| format!("BasicAuth {login}\n")).unwrap_or_default();
    fs::write(
        &config,
        format!("Port {port}\nListen 127.0.0.1\nLogFile \"{}\"\nLogLevel Info\n{login}", log.display()),
    )
    .expect("written");
    let mut command = Command::new("tinyproxy");
    command.arg("-d").arg("-c").arg(config);
    let running = Running::start(&mut command, port, "the Debian package tinyproxy");
    (port, directory, running)
}

fn through(proxy: &str, no_proxy: Option<&str>, options: FetchOptions) -> FetchOptions {
    let proxies = Proxies {
        http: Some(Secret::new(proxy)),
        https: Some(Secret::new(proxy)),
        no_proxy: no_proxy.map(str::to_owned),
        ..Proxies::default()
    };
    FetchOptions { proxies, ..options }
}

#[test]
fn proxies_are_used_for_both_schemes_unless_no_proxy_says_otherwise() {
    let ca = Ca::new();
    let secure = https(&ca);
    let plain = Setup::new().file("demo.whl", b"wheel").start("server { listen {port}; }");
    let (port, directory, _running) = tinyproxy(None);
    let log = || fs::read_to_string(directory.path().join("log")).expect("a log");
    let addresses = [
        format!("http://127.0.0.1:{}/demo.whl", plain.port),
        format!("https://localhost:{}/demo.whl", secure.port),
    ];
    for address in &addresses {
        let options =
            through(&format!("127.0.0.1:{port}"), Some("localhost, 127.0.0.0/8"), trusting(&[ca.bundle()]));
        assert_eq!(get(options, address).expect("direct"), b"wheel");
    }
    assert_eq!(log().matches("Request (file descriptor").count(), 0, "{}", log());
    for address in &addresses {
        let options = through(&format!("127.0.0.1:{port}"), None, trusting(&[ca.bundle()]));
        assert_eq!(get(options, address).expect("through the proxy"), b"wheel");
    }
    assert!(log().contains("GET http://127.0.0.1") && log().contains("CONNECT localhost"), "{}", log());
}

#[test]
fn a_proxys_password_is_sent_and_a_wrong_one_explained_but_never_shown() {
    let ca = Ca::new();
    let secure = https(&ca);
    let plain = Setup::new().file("demo.whl", b"wheel").start("server { listen {port}; }");
    let (port, _directory, _running) = tinyproxy(Some("me canary"));
    for address in [
        format!("http://127.0.0.1:{}/demo.whl", plain.port),
        format!("https://localhost:{}/demo.whl", secure.port),
    ] {
        let with = |login: &str| {
            through(&format!("http://{login}@127.0.0.1:{port}"), None, trusting(&[ca.bundle()]))
        };
        assert_eq!(get(with("me:canary"), &address).expect("through the proxy"), b"wheel");
        // tinyproxy calls wrong passwords 401, as if the index had refused them, and missing ones 407.
        let without = through(&format!("127.0.0.1:{port}"), None, trusting(&[ca.bundle()]));
        let error = get(without, &address).expect_err("no password");
        let report = error.report();
        assert_eq!(error.kind(), Kind::Auth, "{report}");
        assert!(report.contains("the proxy on the way to") && report.contains("https_proxy="), "{report}");
        let error = get(with("me:wrong-canary"), &address).expect_err("a wrong password");
        assert!(!error.report().contains("canary"), "{}", error.report());
    }
    // The proxy's password is for the proxy.
    assert!(!plain.log(1).contains("auth=[Basic"));
}

#[test]
fn an_unusable_proxy_url_is_named_but_not_shown() {
    let store = venvoy::inside::project::auth::CredentialStore::new(no_credentials()).expect("a store");
    let options = through("http://me:canary@[bad", None, quick());
    let error = venvoy::inside::packages::http::Client::new(options, store).err().expect("an error");
    assert!(
        error.report().contains("http_proxy") && !error.report().contains("canary"),
        "{}",
        error.report()
    );
}
