//! Certificates, proxies and addresses as users set them, against nginx and tinyproxy.

use crate::support::{
    backend::{module, sdist_built_by},
    ca::Ca,
    index::{base64, basic, site},
    lock::Lock,
    mount::with_mounts,
    nginx::{Nginx, Setup},
    package::Package,
    process::free_port,
    project::Project,
    tinyproxy::Proxy,
    wheel::WheelBuilder,
};
use std::{fs, path::Path};

const SECRET: &str = "canary-7Zq";

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// An index over TLS on both addresses of this machine; `{other}` wants a client certificate as well, and is where
/// `/moved/` redirects to under its second name.
fn https(ca: &Ca, packages: &[&Package]) -> Nginx {
    let servers = "
        ssl_certificate CA/server.pem; ssl_certificate_key CA/server.key;
        server {
            listen {port} ssl http2; listen [::1]:{port} ssl http2;
            location /moved/files/ { rewrite ^/moved/files/(.*)$ https://127.0.0.1:{storage}/simple/files/$1 redirect; }
            location /api/v4/projects/7/packages/pypi/simple/ { auth_basic x; auth_basic_user_file {dir}/gitlab; alias {dir}/root/simple/; index index.html; }
            location /gitlab/ { auth_basic x; auth_basic_user_file {dir}/gitlab; alias {dir}/root/simple/; index index.html; }
            location /moved/ { auth_basic x; auth_basic_user_file {dir}/users; alias {dir}/root/simple/; index index.html; }
        }
        server { listen {other} ssl; ssl_client_certificate CA/ca.pem; ssl_verify_client on; }
        server { listen {storage} ssl; }";
    let directory = ca.path("");
    let servers = servers
        .replace("CA/", &format!("{}/", directory.display()).replace("//", "/"))
        .replace("{storage}", &free_port().to_string());
    let setup = Setup::new().user("users", "ci", SECRET).user("gitlab", "gitlab-ci-token", SECRET);
    site(packages).iter().fold(setup, |setup, (name, bytes)| setup.file(name, bytes)).start(&servers)
}

#[test]
fn every_setting_of_authorities_is_heeded_and_fails_closed() {
    let (ca, other) = (Ca::new(), Ca::new());
    let ours = Package::by("us", "ours");
    let nginx = https(&ca, &[&ours]);
    let url = format!("https://localhost:{}/simple", nginx.port);
    let lock = || Lock::bare().source("company", &url).package(&ours);
    let directory = |ca: &Ca| {
        let directory = tempfile::TempDir::new().expect("a directory");
        fs::copy(ca.bundle(), directory.path().join("ours.pem")).expect("copied");
        directory
    };
    let (right, wrong) = (directory(&ca), directory(&other));
    for setting in ["--cert", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        let sync = |path: &Path| {
            if setting == "--cert" {
                return Project::of(&lock()).run(&["sync", "--cert", &text(path)]);
            }
            Project::of(&lock()).variable(setting, text(path)).run(&["sync"])
        };
        let (good, bad) = match setting {
            "SSL_CERT_DIR" => (right.path().to_owned(), wrong.path().to_owned()),
            _ => (ca.bundle(), other.bundle()),
        };
        assert_eq!(sync(&good).code, Some(0), "{setting}: {}", sync(&good).stderr);
        sync(&bad).ends_with(7).mentions(&["cannot make a secure connection to localhost", "--cert"]);
        sync(Path::new("/nowhere/ca.pem")).ends_with(2).mentions(&[&format!("/nowhere/ca.pem ({setting})")]);
    }
    // An empty variable, as CI systems leave it, is no setting: the system's authorities count, who know us not.
    Project::of(&lock()).variable("SSL_CERT_FILE", "").run(&["sync"]).ends_with(7);
}

#[test]
fn the_systems_authorities_are_trusted_by_default() {
    let ca = Ca::new();
    let ours = Package::by("us", "ours");
    let nginx = https(&ca, &[&ours]);
    let url = format!("https://localhost:{}/simple", nginx.port);
    let project = Project::of(&Lock::bare().source("company", &url).package(&ours));
    // The system's bundle, for one process, is another.
    let script = "mount --bind \"$0\" /etc/ssl/certs/ca-certificates.crt";
    let Some(mut command) = with_mounts(script, &ca.bundle(), &project.command(&["sync"])) else { return };
    let output = command.output().expect("unshare runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    project.forget().run(&["sync"]).ends_with(7);
}

/// A build backend that makes a wheel of one module.
fn backend(helper: &str, name: &str) -> Package {
    let module = module(&format!("return wheel(out, {name:?}, **{{'{name}.py': 'built = True\\n'}})"));
    Package::new(&WheelBuilder::new(helper, "1.0").file(&format!("{helper}.py"), module))
}

#[test]
fn build_requirements_come_with_the_certificates_of_the_run() {
    let ca = Ca::new();
    let (helper, ours) = (backend("helper", "ours"), sdist_built_by("helper", "ours"));
    let nginx = https(&ca, &[&helper, &ours]);
    let url = format!("https://localhost:{}/simple", nginx.other);
    let project = Project::of(&Lock::bare().source("company", &url).package(&ours))
        .file("project/ca.pem", &fs::read_to_string(ca.bundle()).expect("PEM"))
        .file("project/me.pem", &fs::read_to_string(ca.client()).expect("PEM"));
    project.run(&["sync", "--cert", "ca.pem", "--client-cert", "me.pem"]).ends_with(0);
    assert_eq!(project.site_file("ours.py"), "built = True\n");
}

#[test]
fn an_index_at_an_ipv6_address_gets_its_netrc_entry_over_http2() {
    let ca = Ca::new();
    let ours = Package::by("us", "ours");
    let nginx = https(&ca, &[&ours]);
    let url = format!("https://[::1]:{}/moved", nginx.port);
    let project = Project::of(&Lock::bare().source("company", &url).package(&ours))
        .variable("SSL_CERT_FILE", text(&ca.bundle()))
        .file("home/.netrc", &format!("machine ::1 login ci password {SECRET}\n"));
    let ran = project.run(&["auth", "--check"]);
    ran.ends_with(0).mentions(&[&url, "ci", "ok: 1 file of ours"]).never_mentions(SECRET);
    let log = nginx.log(1);
    let login = basic(&format!("ci:{SECRET}"));
    assert!(log.contains("200 HTTP/2.0") && log.contains(&format!("auth=[{login}]")), "{log}");
}

#[test]
fn gitlabs_job_token_opens_its_index_without_any_setup() {
    let ca = Ca::new();
    let ours = Package::by("us", "ours");
    let nginx = https(&ca, &[&ours]);
    let url = format!("https://localhost:{}/gitlab", nginx.port);
    let project = Project::of(&Lock::bare().source("gitlab", &url).package(&ours))
        .variable("SSL_CERT_FILE", text(&ca.bundle()))
        .variable("CI_SERVER_HOST", "localhost")
        .variable("CI_SERVER_PORT", nginx.port.to_string())
        .variable("CI_JOB_TOKEN", SECRET);
    project.run(&["sync", "-vv"]).ends_with(0).never_mentions(SECRET);
    let login = basic(&format!("gitlab-ci-token:{SECRET}"));
    assert_eq!(nginx.log(2).matches(&format!("auth=[{login}]")).count(), 2);
    let ran = project.forget().run(&["sync", "--no-ci-credentials"]);
    ran.ends_with(6).mentions(&["no credentials for localhost", "not CI_JOB_TOKEN"]);
}

/// The Dockerfile of docs/gitlab.md: what its `RUN` gets from the three build arguments, and nothing else.
#[test]
fn the_dockerfile_with_three_tokens_builds_as_it_is() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/gitlab.md")).expect("the page");
    let dockerfile = page.split("<!-- file: tokens.Dockerfile -->\n").nth(1).expect("the file");
    let dockerfile = dockerfile.split("```").nth(1).expect("a block");
    let arguments: Vec<&str> = dockerfile.lines().filter_map(|line| line.strip_prefix("ARG ")).collect();
    assert_eq!(arguments, ["CI_DEPLOY_USER", "CI_DEPLOY_PASSWORD", "CI_JOB_TOKEN"]);
    let command = dockerfile.lines().find_map(|line| line.split_once(" venvoy ")).expect("a RUN line").1;
    let ca = Ca::new();
    let ours = Package::by("us", "ours");
    let nginx = https(&ca, &[&ours]);
    let source = |host: &str| format!("https://{host}:{}/api/v4/projects/7/packages/pypi/simple", nginx.port);
    let build = |lock: &Lock, given: [&str; 3]| {
        // An argument that is not given is unset in Docker, and empty in some CI systems.
        let project = Project::of(lock).variable("SSL_CERT_FILE", text(&ca.bundle()));
        let project =
            arguments.iter().zip(given).fold(project, |project, (name, value)| project.variable(name, value));
        project.run(&command.split(' ').collect::<Vec<_>>())
    };
    let lock = Lock::bare().source("gitlab", &source("localhost")).package(&ours);
    let ran = build(&lock, ["", "", SECRET]);
    ran.ends_with(0).never_mentions(SECRET);
    ran.mentions(&[&format!(
        "CI_JOB_TOKEN goes to localhost:{}, the one source with GitLab's package API",
        nginx.port
    )]);
    let login = basic(&format!("gitlab-ci-token:{SECRET}"));
    assert_eq!(nginx.log(2).matches(&format!("auth=[{login}]")).count(), 2);
    build(&lock, ["gitlab-ci-token", SECRET, "another"])
        .ends_with(0)
        .mentions(&["CI_DEPLOY_PASSWORD goes to"]);
    let several = Lock::bare()
        .source("gitlab", &source("localhost"))
        .source("other", &source("127.0.0.1"))
        .package(&ours);
    let ran = build(&several, ["", "", SECRET]);
    ran.ends_with(6).never_mentions(SECRET);
    ran.mentions(&["CI_JOB_TOKEN is set, but not for which of localhost:", "pass CI_SERVER_HOST as well"]);
}

#[test]
fn a_redirect_to_a_second_host_name_carries_no_header() {
    let ca = Ca::new();
    let ours = Package::by("us", "ours");
    let nginx = https(&ca, &[&ours]);
    let url = format!("https://ci:{SECRET}@localhost:{}/moved", nginx.port);
    let project = Project::of(&Lock::bare().source("company", &url).package(&ours))
        .variable("SSL_CERT_FILE", text(&ca.bundle()))
        .file("home/.netrc", &format!("default login ci password {SECRET}\n"));
    project.run(&["sync", "-vv"]).ends_with(0).never_mentions(SECRET);
    let log = nginx.log(3);
    let lines: Vec<&str> = log.lines().collect();
    let login = basic(&format!("ci:{SECRET}"));
    assert!(lines[0].contains("/moved/ours/ 200") && lines[0].contains(&login), "{log}");
    assert!(lines[1].contains("/moved/files/") && lines[1].contains(" 302 "), "{log}");
    assert!(lines[2].contains("/simple/files/") && lines[2].ends_with("auth=[-]"), "{log}");
}

#[test]
fn an_https_index_is_reached_through_a_proxy_with_a_password() {
    let ca = Ca::new();
    let ours = Package::by("us", "ours");
    let nginx = https(&ca, &[&ours]);
    let proxy = Proxy::start(SECRET);
    let tunnels = || proxy.said("CONNECT localhost");

    let url = format!("https://localhost:{}/simple", nginx.port);
    let project = Project::of(&Lock::bare().source("company", &url).package(&ours))
        .variable("SSL_CERT_FILE", text(&ca.bundle()))
        .variable("HTTPS_PROXY", proxy.url(&format!("me:{SECRET}@")));
    project.run(&["sync", "-vv"]).ends_with(0).never_mentions(SECRET);
    let made = tunnels();
    assert!(made > 0);
    // The proxy's password is nobody else's.
    assert!(!nginx.log(2).contains(&base64(format!("me:{SECRET}").as_bytes())));
    let project = project.variable("NO_PROXY", "localhost,[::1]");
    project.forget().run(&["sync"]).ends_with(0);
    assert_eq!(tunnels(), made);
    let project = project.variable("NO_PROXY", "").variable("HTTPS_PROXY", proxy.url(""));
    project
        .forget()
        .run(&["sync"])
        .ends_with(6)
        .mentions(&["the proxy on the way to localhost", "https_proxy"]);
}
