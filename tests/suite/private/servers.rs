//! The command itself against devpi, beside pip, and on servers that are slow or lie.

use crate::support::{
    index::{answer, index, private},
    index_servers::{PLAINTEXT, devpi_above, keyring, pip},
    lock::Lock,
    package::Package,
    project::Project,
    server::{Server, raw, reply},
};
use std::{
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

const SECRET: &str = "canary-7Zq";

#[test]
fn a_devpi_stage_has_its_own_packages_and_its_mirrors() {
    let (ours, theirs) = (Package::by("us", "ours"), Package::by("them", "theirs"));
    // The mirrored index has a package of the stage's name, too.
    let upstream = index(&[&theirs, &Package::by("evil", "ours")]);
    let index = devpi_above(&[(&ours.file, &ours.bytes)], Some(&upstream.url("/simple/")));
    let lock = Lock::bare()
        .source("stage", &index.url("/root/dev/+simple/"))
        .source("mirror", &index.url("/root/mirror/+simple"))
        .package_from("stage", &ours)
        .package(&theirs);
    let project = Project::of(&lock);
    project.run(&["sync"]).ends_with(0);
    assert_eq!(project.site_file("ours.py"), "publisher = \"us\"\n");
    assert_eq!(project.site_file("theirs.py"), "publisher = \"them\"\n");
    project.run(&["auth", "--check"]).ends_with(0).mentions(&["ok: 1 file of ours"]);
    let lock = Lock::bare().source("mirror", &index.url("/root/mirror/+simple")).package(&theirs);
    let project = Project::of(&lock);
    project.run(&["sync"]).ends_with(0);
    assert_eq!(project.site_file("theirs.py"), "publisher = \"them\"\n");
}

#[test]
fn a_keyring_is_asked_what_pip_asks_it() {
    let ours = Package::by("us", "ours");
    for user in ["", "ci@"] {
        for known in ["http://127.0.0.1:PORT/simple/", "127.0.0.1:PORT", "nothing"] {
            let server = private(&format!("ci:{SECRET}"), &[&ours]);
            let url = server.url("/simple").replace("//", &format!("//{user}"));
            let known = known.replace("PORT", &server.port.to_string());
            let script = format!(
                "echo \"$@\" >> \"$HOME/asked\"\ntest \"$4\" = '{known}' || exit 1\n\
                 echo '{{\"username\": \"ci\", \"password\": \"{SECRET}\"}}'"
            );
            let project = Project::of(&Lock::bare().source("ours", &url).package(&ours))
                .program("keyring", &script)
                .variable("PIP_KEYRING_PROVIDER", "subprocess");
            let ran = project.run(&["sync"]);
            ran.never_mentions(SECRET).ends_with(if known == "nothing" { 6 } else { 0 });
            let asked = project.read("home/asked");

            let beside = Project::of(&Lock::bare()).program("keyring", &script);
            let environment = beside.command::<&str>(&[]);
            let mut command = pip();
            command
                .args([
                    "download",
                    "--no-input",
                    "--no-deps",
                    "--no-cache-dir",
                    "--disable-pip-version-check",
                ])
                .args(["--keyring-provider", "subprocess", "--index-url", &url, "ours"])
                .env_clear()
                .envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))))
                .current_dir(beside.path("wheels"));
            let output = command.output().expect("pip runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.success(), known != "nothing", "{said}");
            // pip asks again for each request.
            let theirs = beside.read("home/asked");
            let theirs: Vec<&str> = theirs.lines().take(asked.lines().count()).collect();
            assert!(!theirs.is_empty(), "{said}");
            assert_eq!(asked.lines().collect::<Vec<_>>(), theirs, "{user:?} {known}: {said}");
        }
    }
}

#[test]
fn the_keyring_command_itself_gives_the_password_of_a_urls_user() {
    let ours = Package::by("us", "ours");
    let server = private(&format!("ci:{SECRET}"), &[&ours]);
    let url = server.url("/simple").replace("//", "//ci@");
    let project = Project::of(&Lock::bare().source("ours", &url).package(&ours))
        .program("keyring", &format!("exec {} \"$@\"", keyring().display()))
        .variable("PYTHON_KEYRING_BACKEND", PLAINTEXT);
    let environment = project.command::<&str>(&[]);
    let mut set = Command::new(keyring());
    set.args(["set", &server.url("/simple/"), "ci"])
        .env_clear()
        .envs(environment.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::piped());
    let mut child = set.spawn().expect("keyring runs");
    child.stdin.take().expect("a pipe").write_all(SECRET.as_bytes()).expect("written");
    assert!(child.wait().expect("an end").success());
    project.run(&["sync"]).ends_with(6).mentions(&["refused"]);
    let ran = project.run(&["auth", "--keyring", "subprocess"]);
    ran.ends_with(0).mentions(&["ci, from the keyring"]).never_mentions(SECRET);
    project.run(&["sync", "--keyring", "subprocess"]).ends_with(0).never_mentions(SECRET);
    assert_eq!(project.site_file("ours.py"), "publisher = \"us\"\n");
}

#[test]
fn a_server_that_gives_a_few_bytes_at_a_time_is_waited_for() {
    let ours = Package::by("us", "ours");
    let served = ours.clone();
    let server = Server::with_streams(move |request, stream| {
        let bytes = answer(&[&served], request);
        for part in bytes.chunks(bytes.len().div_ceil(8)) {
            let _ = stream.write_all(part);
            thread::sleep(Duration::from_millis(100));
        }
    });
    let project = Project::of(&Lock::bare().source("slow", &server.url("/simple")).package(&ours));
    project.run(&["sync"]).ends_with(0);
    assert_eq!(project.site_file("ours.py"), "publisher = \"us\"\n");
    assert_eq!(server.log().len(), 2);
}

#[test]
fn a_server_that_gives_less_than_the_file_is_found_out() {
    let ours = Package::by("us", "ours");
    let served = ours.clone();
    // It says so itself, and keeps its word: the digest is another.
    let server = Server::start(move |request| {
        if request.path.contains("/files/") {
            let half = &served.bytes[..served.bytes.len() / 2];
            return raw("200 OK", &[&format!("Content-Length: {}", half.len())], half);
        }
        answer(&[&served], request)
    });
    let project = Project::of(&Lock::bare().source("short", &server.url("/simple")).package(&ours));
    project.run(&["sync"]).ends_with(8).mentions(&["ours", &ours.sha256]);
    assert_eq!(project.site_file("ours.py"), "");
    // Nothing of it is trusted later.
    project.run(&["sync", "--offline"]).ends_with(7);
}

#[test]
fn a_session_that_ends_in_a_login_page_is_no_index() {
    // Single sign-on in front of an index: 200 and a form, whatever was asked.
    let page = b"<html><form action=/login><input type=password name=p></form></html>";
    let server = Server::start(move |_| reply("200 OK", &["Content-Type: text/html"], page));
    let ours = Package::by("us", "ours");
    let project = Project::of(&Lock::bare().source("sso", &server.url("/simple")).package(&ours));
    let ran = project.run(&["sync"]);
    assert_ne!(ran.code, Some(0));
    ran.mentions(&["login"]);
}
