//! `venvoy auth`: where credentials come from, what is said about them, and what a run sends.

use crate::support::{
    index::{basic, index, private},
    lock::Lock,
    mount,
    package::Package,
    project::Project,
    server::{Server, reply},
};

const SECRET: &str = "canary-7Zq";

/// A project with one source at `url` and one package of it.
fn project(url: &str) -> (Project, Package) {
    let package = Package::by("us", "ours");
    (Project::of(&Lock::bare().source("our-index", url).package(&package)), package)
}

/// The row of `auth --json` for the only source.
fn row(project: &Project, options: &[&str]) -> serde_json::Value {
    let ran = project.run(&[&["auth", "--json"], options].concat());
    ran.ends_with(0).never_mentions(SECRET);
    ran.json()[0].clone()
}

fn login(package: &Package, user: &str) -> Server {
    private(&format!("{user}:{SECRET}"), &[package])
}

/// Whether `auth --check` and then `sync` are let in.
#[track_caller]
fn lets_in(project: &Project, options: &[&str]) {
    let ran = project.run(&[&["auth", "--check"], options].concat());
    ran.ends_with(0).mentions(&["ok: 1 file of ours"]).never_mentions(SECRET);
    project.forget().run(&[&["sync"], options].concat()).ends_with(0).never_mentions(SECRET);
    assert_eq!(project.site_file("ours.py"), "publisher = \"us\"\n");
}

#[test]
fn the_url_of_a_source_is_asked_first_with_its_variables() {
    let package = Package::by("us", "ours");
    let server = login(&package, "ci");
    let written = server.url("/simple").replace("//", "//${INDEX_USER:-ci}:$INDEX_TOKEN@");
    let (project, _) = project(&written);

    // Unset: named, with what to do; the run fails for the same reason.
    let ran = project.run(&["auth"]);
    ran.ends_with(6).mentions(&["our-index", "the variable INDEX_TOKEN is not set"]);
    project.run(&["sync"]).ends_with(3).mentions(&["the variable INDEX_TOKEN is not set", "set INDEX_TOKEN"]);

    let project = project
        .variable("INDEX_TOKEN", SECRET)
        .variable("VENVOY_INDEX_OUR_INDEX_PASSWORD", "another")
        .file("home/.netrc", "machine 127.0.0.1 login other password another");
    let found = row(&project, &[]);
    assert_eq!(found["source"], "our-index");
    assert_eq!(found["url"], server.url("/simple"));
    assert_eq!(found["user"], "ci");
    assert_eq!(found["origin"], "the source's URL");
    assert_eq!(found["ok"], true);
    lets_in(&project, &[]);
}

#[test]
fn variables_of_the_source_come_before_netrc() {
    let package = Package::by("us", "ours");
    let server = login(&package, "ci");
    let (project, _) = project(&server.url("/simple"));
    let project = project
        .variable("VENVOY_INDEX_OUR_INDEX_USERNAME", "ci")
        .variable("VENVOY_INDEX_OUR_INDEX_PASSWORD", SECRET)
        .file("home/.netrc", "machine 127.0.0.1 login other password another");
    let found = row(&project, &[]);
    assert_eq!((&found["user"], &found["origin"]), (&"ci".into(), &"VENVOY_INDEX_OUR_INDEX_PASSWORD".into()));
    lets_in(&project, &[]);
}

#[test]
fn a_netrc_file_is_named_by_the_option_by_netrc_or_found_at_home() {
    let package = Package::by("us", "ours");
    let server = login(&package, "ci");
    let (project, _) = project(&server.url("/simple"));
    let line = |password: &str| format!("# ours\nmachine 127.0.0.1\n  login ci\n  password {password}\n");
    let none = project.run(&["auth"]);
    none.ends_with(0).mentions(&[
        "no credentials (looked in the source's URL",
        "VENVOY_INDEX_OUR_INDEX_USERNAME",
        "~/.netrc",
    ]);
    // Without credentials the answer is 401, and that is unusable.
    project.run(&["auth", "--check"]).ends_with(6).mentions(&["no credentials for 127.0.0.1"]);

    let project = project.file("home/_netrc", &line(SECRET));
    assert!(row(&project, &[])["origin"].as_str().expect("text").ends_with("/_netrc, line 2"));
    lets_in(&project, &[]);

    let project = project.file("home/.netrc", &line("at-home")).file("named", &line(SECRET));
    let named = project.path("named").display().to_string();
    assert_eq!(row(&project, &["--netrc", &named])["origin"], "{root}/named, line 2");
    lets_in(&project, &["--netrc", &named]);

    let project = project.variable("NETRC", named.clone());
    assert_eq!(row(&project, &[])["origin"], "{root}/named, line 2");
    lets_in(&project, &[]);

    // The option beats the variable.
    let home = project.path("home/.netrc").display().to_string();
    let ran = project.run(&["auth", "--check", "--netrc", &home]);
    ran.ends_with(6).mentions(&["127.0.0.1", "refused user ci (from ", "wrong, expired or revoked"]);
    ran.never_mentions("at-home");
}

#[test]
fn a_build_secret_is_read_where_buildkit_mounts_it() {
    let package = Package::by("us", "ours");
    let server = login(&package, "ci");
    let (project, _) = project(&server.url("/simple"));
    let line = |password: &str| format!("machine 127.0.0.1 login ci password {password}\n");
    // It comes before the home directory's.
    let project = project.file("secret", &line(SECRET)).file("home/.netrc", &line("at-home"));
    let script = "mount -t tmpfs tmpfs /run && mkdir /run/secrets && cp -p \"$0\" /run/secrets/netrc";
    for args in [&["auth", "--check"][..], &["sync"]] {
        let command = mount::with_mounts(script, &project.path("secret"), &project.command(args));
        let Some(mut command) = command else { return };
        let output = command.output().expect("unshare runs");
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && !said.contains(SECRET), "{said}");
        assert!(args[0] == "sync" || said.contains("user ci, from /run/secrets/netrc, line 1"), "{said}");
    }
}

#[test]
fn a_damaged_missing_or_public_netrc_is_told_without_its_content() {
    let (project, _) = project("http://127.0.0.1:9/simple");
    let project = project.file("bad", &format!("machine a login b password {SECRET}\n{SECRET}\n"));
    let path = |name: &str| project.path(name).display().to_string();
    let ran = project.run(&["auth", "--netrc", &path("bad")]);
    ran.ends_with(6).mentions(&["bad, line 2"]).never_mentions(SECRET);
    project.run(&["auth", "--netrc", &path("none")]).ends_with(6).mentions(&["none does not exist"]);
    let project = project.file("open", &format!("machine 127.0.0.1 login b password {SECRET}\n"));
    let open = project.path("open");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .expect("permissions");
    let ran = project.run(&["auth", "--netrc", &open.display().to_string()]);
    ran.ends_with(0).mentions(&["can be read by other users", "chmod 600"]).never_mentions(SECRET);
}

#[test]
fn gitlab_ci_needs_no_setup() {
    let (project, _) = project("https://gitlab.example/api/v4/projects/1/packages/pypi/simple");
    let project = project.variable("CI_SERVER_HOST", "gitlab.example").variable("CI_JOB_TOKEN", SECRET);
    let found = row(&project, &[]);
    assert_eq!((&found["user"], &found["origin"]), (&"gitlab-ci-token".into(), &"CI_JOB_TOKEN".into()));
    let off = row(&project, &["--no-ci-credentials"]);
    assert_eq!(off["user"], serde_json::Value::Null);
    let origin = off["origin"].as_str().expect("text");
    assert!(origin.contains("not CI_JOB_TOKEN, because of --no-ci-credentials"), "{origin}");

    let project = project.variable("CI_DEPLOY_USER", "deployer").variable("CI_DEPLOY_PASSWORD", SECRET);
    let found = row(&project, &[]);
    assert_eq!((&found["user"], &found["origin"]), (&"deployer".into(), &"CI_DEPLOY_PASSWORD".into()));
    let project = project.file("home/.netrc", "machine gitlab.example login me password x");
    assert_eq!(row(&project, &[])["user"], "me");
}

#[test]
fn the_keyring_program_is_asked_for_known_users_only_when_wanted() {
    let package = Package::by("us", "ours");
    let server = login(&package, "ci");
    let (project, _) = project(&server.url("/simple"));
    let script = format!(
        "echo \"$@\" >> \"$HOME/asked\"; env >> \"$HOME/environment\"\n\
         test \"$*\" = '--mode=creds --output=json get {} ci' && echo '{{\"username\": \"ci\", \"password\": \"{SECRET}\"}}'",
        server.url("/simple/")
    );
    let project = project
        .program("keyring", &script)
        .variable("VENVOY_INDEX_OUR_INDEX_USERNAME", "ci")
        .variable("VENVOY_INDEX_OTHER_PASSWORD", "other-secret");
    let ran = project.run(&["auth"]);
    ran.ends_with(6)
        .mentions(&["VENVOY_INDEX_OUR_INDEX_USERNAME is set, but there is no password", "--keyring"]);
    assert_eq!(project.read("home/asked"), "");

    assert_eq!(row(&project, &["--keyring", "subprocess"])["origin"], "the keyring");
    lets_in(&project, &["--keyring", "subprocess"]);
    // Once for each run.
    assert_eq!(project.read("home/asked").lines().count(), 3, "{}", project.read("home/asked"));
    let environment = project.read("home/environment");
    assert!(environment.contains("PATH=") && !environment.contains("other-secret"), "{environment}");

    let project = project.variable("PIP_KEYRING_PROVIDER", "subprocess");
    assert_eq!(row(&project, &[])["origin"], "the keyring");
    assert_eq!(project.run(&["auth", "--keyring", "disabled"]).code, Some(6));
    std::fs::remove_file(project.path("bin/keyring")).expect("removed");
    project.run(&["auth"]).ends_with(6).mentions(&["cannot run keyring", "install the keyring command"]);
}

#[test]
fn the_keyring_program_does_not_see_what_other_sources_urls_hold() {
    let package = Package::by("us", "ours");
    let server = login(&package, "ci");
    let lock = Lock::bare()
        // Without a user, which the keyring knows.
        .source("ours", &server.url("/simple"))
        .source("other", "https://u:${OTHER}@index.example/simple")
        .package_from("ours", &package);
    let project = Project::of(&lock)
        .program(
            "keyring",
            &format!(
                "env >> \"$HOME/environment\"; echo '{{\"username\": \"ci\", \"password\": \"{SECRET}\"}}'"
            ),
        )
        .variable("OTHER", "other-secret");
    lets_in(&project, &["--keyring", "subprocess"]);
    let environment = project.read("home/environment");
    assert!(environment.contains("PATH=") && !environment.contains("other-secret"), "{environment}");
}

#[test]
fn the_user_in_a_url_gets_its_password_from_netrc() {
    let package = Package::by("us", "ours");
    let server = login(&package, "ci");
    let (project, _) = project(&server.url("/simple").replace("//", "//ci@"));
    let project = project.file("home/.netrc", &format!("machine 127.0.0.1 login ci password {SECRET}"));
    let found = row(&project, &[]);
    assert_eq!(found["user"], "ci");
    assert!(found["origin"].as_str().expect("text").ends_with("/.netrc, line 1"), "{found}");
    lets_in(&project, &[]);
}

#[test]
fn a_lone_token_is_never_shown_as_a_user() {
    let package = Package::by("us", "ours");
    let server = private(&format!("{SECRET}:"), &[&package]);
    let (project, _) = project(&server.url("/simple").replace("//", &format!("//{SECRET}@")));
    project.run(&["auth"]).ends_with(0).mentions(&["a token, from the source's URL"]).never_mentions(SECRET);
    assert_eq!(row(&project, &[])["user"], "");
    lets_in(&project, &[]);
}

#[test]
fn check_tells_401_403_and_404_apart_and_a_run_says_the_same() {
    let refusing = |status: &'static str| Server::start(move |_| reply(status, &[], b""));
    for (status, login, code, texts) in [
        ("401 Unauthorized", "", 6, &["no credentials for 127.0.0.1", "(looked in the source's URL"][..]),
        ("401 Unauthorized", "ci:canary-7Zq@", 6, &["refused user ci (from the source's URL)", "expired"]),
        ("403 Forbidden", "ci:canary-7Zq@", 6, &["user ci (from the source's URL) may not read /simple"]),
        ("403 Forbidden", "", 6, &["does not let anyone read /simple without credentials"]),
        (
            "404 Not Found",
            "ci:canary-7Zq@",
            5,
            &["user ci (from the source's URL) may not read /simple/ours/ on", "GitLab answers 404 for both"],
        ),
        ("404 Not Found", "", 5, &["has no /simple/ours/, or shows it only with credentials (looked in"]),
    ] {
        let server = refusing(status);
        let (project, _) = project(&server.url("/simple").replace("//", &format!("//{login}")));
        project.run(&["auth", "--check"]).ends_with(6).mentions(texts).never_mentions(SECRET);
        let rows = project.run(&["auth", "--check", "--json"]).json();
        assert_eq!(rows[0]["ok"], false);
        project.run(&["sync", "-vv"]).ends_with(code).mentions(texts).never_mentions(SECRET);
        // A refusal is final: GitLab bans those who ask again and again.
        assert_eq!(server.log().len(), 3);
    }
}

#[test]
fn an_unreachable_index_is_unusable_too() {
    let server = Server::start(|_| reply("200 OK", &["Content-Type: text/html"], b"<a href=x>"));
    let package = Package::by("us", "ours");
    let other = index(&[&package]);
    let lock = Lock::bare()
        .source("broken", "https://u:${UNSET_TOKEN}@index.example/simple")
        .source("unused", &server.url("/simple"))
        .source("used", &other.url("/simple"))
        .package_from("used", &package);
    let project = Project::of(&lock);
    let ran = project.run(&["auth", "--check"]);
    ran.ends_with(6).mentions(&[
        "broken",
        "UNSET_TOKEN",
        "not asked: no package of the lock belongs to it",
        "ok: 1 file of ours",
    ]);
    // A source that nothing belongs to is asked nothing, and its variables are nobody's business.
    assert!(server.log().is_empty());
    project.run(&["sync"]).ends_with(0);
    assert_eq!(other.log()[0].header("authorization"), None);
    assert_eq!(basic("a:b"), "Basic YTpi");
}

#[test]
fn what_only_looks_like_a_url_is_never_quoted() {
    for url in [
        format!("u:{SECRET}@index.example/simple"),
        format!("{SECRET}:@index.example/simple"),
        format!("https://u:{SECRET}@index.example:bad/simple"),
        format!("https://index.example/simple#{SECRET}"),
        format!("https://index.example/simple?token={SECRET}"),
        format!("data:text/html,{SECRET}"),
        format!("{SECRET}://index.example/simple"),
    ] {
        let (project, _) = project(&url);
        for args in [&["auth"][..], &["auth", "--json"], &["plan"], &["sync", "--offline"]] {
            let ran = project.run(args);
            for form in [SECRET.to_owned(), SECRET.to_lowercase()] {
                ran.never_mentions(&form);
            }
        }
    }
}

#[test]
fn find_links_are_named_without_their_password() {
    let (project, _) = project("https://index.example/simple");
    for place in [
        format!("https://u:{SECRET}@h:bad/x"),
        format!("https://u:{SECRET}@127.0.0.1:1/x?{SECRET}#{SECRET}"),
        format!("u:{SECRET}@host/x"),
    ] {
        let ran = project.run(&["sync", "--no-index", "--find-links", &place]);
        ran.mentions(&["--find-links"]).never_mentions(SECRET);
    }
    let project = project.variable("PIP_FIND_LINKS", format!("https://u:{SECRET}@h:bad/x"));
    project.run(&["sync", "--no-index"]).ends_with(2).mentions(&["--find-links"]).never_mentions(SECRET);
}

#[test]
fn a_url_with_a_password_in_a_wrong_place_of_the_lock_is_not_quoted() {
    let url = format!("https://u:{SECRET}@index.example/simple");
    for entry in [
        serde_json::json!({ "version": url }),
        serde_json::json!({ "version": "==1.0", "index": url }),
        serde_json::json!({ "version": "==1.0", "markers": url }),
        serde_json::json!({ "version": "==1.0", "hashes": [url] }),
        serde_json::json!({ "git": "https://git.example/x.git", "ref": 1, "subdirectory": url }),
        serde_json::json!({ "file": format!("ftp://u:{SECRET}@index.example/x.whl") }),
        serde_json::json!({ "path": url }),
        serde_json::json!(url),
    ] {
        let lock = Lock::bare().source("index", "https://index.example/simple").entry(
            "default",
            "ours",
            entry.clone(),
        );
        let ran = Project::of(&lock).run(&["sync", "--offline"]);
        assert_ne!(ran.code, Some(0), "{entry}");
        ran.never_mentions(SECRET);
    }
}
