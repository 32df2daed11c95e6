//! The store's order and prefixes, and netrc against Python's module.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use proptest::{prelude::*, strategy::ValueTree as _, test_runner::TestRunner};
use tempfile::TempDir;
use url::Url;

use super::*;
use crate::{
    executable::write_executable,
    words::{error::Result, vocab::SourceUrl},
};

/// A store to be: variables, sources and a home directory with a `.netrc`.
struct World {
    options: AuthOptions,
    sources: Vec<(Option<String>, SourceUrl)>,
    home: TempDir,
}

impl World {
    fn new() -> Self {
        let home = TempDir::new().expect("a directory");
        let options = AuthOptions {
            home: Some(home.path().to_owned()),
            secret_netrc: Some(home.path().join("secret-netrc")),
            ..AuthOptions::default()
        };
        World { options, sources: Vec::new(), home }
    }

    fn var(mut self, name: &str, value: &str) -> Self {
        self.options.env.insert(name.into(), value.into());
        self
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.home.path().join(name);
        fs::write(&path, text).expect("written");
        mode(&path, 0o600);
        self
    }

    fn program(self, name: &str, text: &str) -> Self {
        write_executable(&self.home.path().join(name), text.as_bytes());
        self
    }

    fn netrc(self, text: &str) -> Self {
        self.file(".netrc", text)
    }

    fn source(mut self, name: &str, url: &str) -> Self {
        self.sources.push((Some(name.into()), url.parse().expect("a URL")));
        self
    }

    fn with(mut self, change: impl FnOnce(&mut AuthOptions, &Path)) -> Self {
        change(&mut self.options, self.home.path());
        self
    }

    fn build(self) -> Result<(CredentialStore, TempDir)> {
        let mut store = CredentialStore::new(self.options)?;
        for (name, url) in &self.sources {
            store.register_source(name.as_deref(), url);
        }
        Ok((store, self.home))
    }

    /// "user:password from origin" for a URL, or "nothing".
    fn answers<const N: usize>(self, urls: [&str; N]) -> [String; N] {
        let (store, _home) = self.build().expect("a store");
        urls.map(|url| show(&store, url, None))
    }
}

fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions");
}

fn show(store: &CredentialStore, url: &str, via: Option<&str>) -> String {
    let via = via.map(|v| v.parse().expect("a URL"));
    match store.lookup(&Url::parse(url).expect("a URL"), via.as_ref()).expect("an answer") {
        None => "nothing".into(),
        Some(found) => {
            let origin = match &found.origin {
                CredentialOrigin::Netrc { path, line } => {
                    format!("{}:{line}", path.file_name().unwrap_or_default().display())
                }
                other => other.to_string(),
            };
            let (user, password) = found.credentials.basic();
            format!("{user}:{password} from {origin}")
        }
    }
}

const PRIVATE: &str = "https://index.example/private/simple";

#[test]
fn the_places_are_asked_in_order() {
    let netrc = "machine index.example login n password nn";
    let ci = |w: World| w.var("CI_SERVER_HOST", "index.example").var("CI_JOB_TOKEN", "jj");
    let variables = |w: World| {
        w.var("VENVOY_INDEX_MY_INDEX_V2_USERNAME", "v").var("VENVOY_INDEX_MY_INDEX_V2_PASSWORD", "vv")
    };
    let all = || variables(ci(World::new().netrc(netrc)));
    let name = "my-index.v2";
    assert_eq!(
        all().source(name, "https://u:uu@index.example/private/simple").answers([PRIVATE]),
        ["u:uu from the source's URL"]
    );
    assert_eq!(
        all().source(name, PRIVATE).answers([PRIVATE]),
        ["v:vv from VENVOY_INDEX_MY_INDEX_V2_PASSWORD"]
    );
    assert_eq!(all().source("other", PRIVATE).answers([PRIVATE]), ["n:nn from .netrc:1"]);
    assert_eq!(
        ci(World::new()).source(name, PRIVATE).answers([PRIVATE]),
        ["gitlab-ci-token:jj from CI_JOB_TOKEN"]
    );
    assert_eq!(World::new().source(name, PRIVATE).answers([PRIVATE]), ["nothing"]);
}

#[test]
fn netrc_files_are_found_in_order() {
    let entry = |user: &str| format!("machine index.example login {user} password p");
    let home = || World::new().netrc(&entry("home")).source("x", PRIVATE);
    assert_eq!(home().answers([PRIVATE]), ["home:p from .netrc:1"]);
    let secret = || home().file("secret-netrc", &entry("secret"));
    assert_eq!(secret().answers([PRIVATE]), ["secret:p from secret-netrc:1"]);
    let variable = || {
        secret().file("variable", &entry("variable")).with(|options, home| {
            options.env.insert("NETRC".into(), home.join("variable").display().to_string());
        })
    };
    assert_eq!(variable().answers([PRIVATE]), ["variable:p from variable:1"]);
    let option = variable()
        .file("option", &entry("option"))
        .with(|options, home| options.netrc_path = Some(home.join("option")));
    assert_eq!(option.answers([PRIVATE]), ["option:p from option:1"]);
    let windows = World::new().file("_netrc", &entry("windows")).source("x", PRIVATE);
    assert_eq!(windows.answers([PRIVATE]), ["windows:p from _netrc:1"]);
    let missing = home().with(|options, home| options.netrc_path = Some(home.join("missing")));
    assert!(missing.build().err().expect("an error").report().contains("missing does not exist"));
}

#[test]
fn an_entry_of_the_home_file_is_found_though_the_secret_has_a_default() {
    let world = World::new()
        .file("secret-netrc", "default login d password d")
        .netrc("machine index.example login n password n")
        .source("x", PRIVATE);
    assert_eq!(world.answers([PRIVATE]), ["n:n from .netrc:1"]);
}

#[test]
fn a_netrc_that_others_can_read_warns_and_a_damaged_one_is_an_error() {
    let world = World::new().netrc("machine a login b password canary");
    mode(&world.home.path().join(".netrc"), 0o644);
    let (store, _home) = world.build().expect("a store");
    let [warning] = &store.warnings().0[..] else { panic!("{:?}", store.warnings()) };
    assert!(warning.contains("can be read by other users") && !warning.contains("canary"), "{warning}");

    let (store, _home) = World::new().netrc("machine a login b password c").build().expect("a store");
    assert!(store.warnings().0.is_empty());

    let error = World::new().netrc("machine a login b\npasswd canary\n").build().err().expect("an error");
    assert!(error.report().contains(".netrc, line 2: unexpected word"), "{}", error.report());
    assert!(!error.report().contains("canary"));
}

#[test]
fn credentials_stay_in_their_realm() {
    let world = World::new().source("x", "https://u:p@index.example/simple");
    assert_eq!(
        world.answers([
            "https://index.example:443/files/a.whl",
            "http://index.example/simple/a/",
            "https://index.example:8443/simple/a/",
            "https://index.example.evil/simple/a/",
            "https://evil.example/simple/a/",
        ]),
        ["u:p from the source's URL", "nothing", "nothing", "nothing", "nothing"]
    );
}

#[test]
fn userinfo_that_looks_like_a_host_selects_nothing() {
    // CVE-2024-47081: a host was taken from the text before the colon.
    let world = World::new().netrc("machine good.example login n password canary").source("x", PRIVATE);
    assert_eq!(
        world.answers(["https://good.example:x@evil.example/simple/", "https://good.example/"]),
        ["nothing", "n:canary from .netrc:1"]
    );
}

#[test]
fn the_longest_prefix_by_segments_decides_between_sources_of_one_host() {
    let gitlab =
        |id: u32, path: &str| format!("https://gitlab.example/api/v4/projects/{id}/packages/pypi/{path}");
    let with = |token: &str, id| gitlab(id, "simple").replace("//", &format!("//t:{token}@"));
    let world = World::new()
        .source("five", &with("5", 5))
        .source("fifty", &with("50", 50))
        .source("open", &gitlab(51, "simple"));
    assert_eq!(
        world.answers([
            &gitlab(5, "simple/demo/"),
            &gitlab(50, "simple/demo/"),
            &gitlab(5, "files/abc/demo.whl"),
            &gitlab(50, "files/abc/demo.whl"),
            &gitlab(51, "files/abc/demo.whl"),
            &gitlab(6, "files/abc/demo.whl"),
        ]),
        [
            "t:5 from the source's URL",
            "t:50 from the source's URL",
            "t:5 from the source's URL",
            "t:50 from the source's URL",
            "nothing",
            "nothing",
        ]
    );
    let world = World::new()
        .source("good", "https://u:p@index.example/a/simple")
        .source("evil", "https://index.example/a/simple-evil");
    assert_eq!(world.answers(["https://index.example/a/simple-evil/x"]), ["nothing"]);
}

#[test]
fn a_file_gets_the_credentials_of_the_source_that_listed_it() {
    let (store, _home) = World::new()
        .source("group", "https://g:g@gitlab.example/api/v4/groups/7/-/packages/pypi/simple")
        .source("five", "https://f:f@gitlab.example/api/v4/projects/5/packages/pypi/simple")
        .build()
        .expect("a store");
    let file = "https://gitlab.example/api/v4/projects/6/packages/pypi/files/abc/demo.whl";
    let group = "https://gitlab.example/api/v4/groups/7/-/packages/pypi/simple";
    assert_eq!(show(&store, file, Some(group)), "g:g from the source's URL");
    assert_eq!(show(&store, file, None), "f:f from the source's URL");
    // A source of another host lends nothing.
    assert_eq!(show(&store, "https://other.example/demo.whl", Some(group)), "nothing");
}

#[test]
fn a_netrc_default_is_for_sources_only() {
    let world = World::new().netrc("default login d password dd").source("x", PRIVATE);
    assert_eq!(
        world.answers([PRIVATE, "https://index.example/files/a", "https://storage.example/a"]),
        ["d:dd from .netrc:1", "d:dd from .netrc:1", "nothing"]
    );
}

#[test]
fn an_empty_netrc_entry_means_no_credentials_and_a_missing_login_a_token() {
    let world = World::new()
        .netrc("machine index.example\nmachine token.example password t\nmachine acc.example account a password p\ndefault login d password d")
        .source("x", PRIVATE);
    assert_eq!(
        world.answers([PRIVATE, "https://token.example/", "https://acc.example/"]),
        ["nothing", "__token__:t from .netrc:2", "a:p from .netrc:3"]
    );
}

#[test]
fn a_host_of_netrc_is_for_its_sources_and_https_and_its_other_ports_have_entries_of_their_own() {
    let urls = [
        "http://index.example:8080/files/a",
        "https://index.example/files/a",
        "http://index.example/files/a",
        "https://index.example:8443/files/a",
        "http://index.example:9090/files/a",
    ];
    let netrc = "machine index.example login n password nn";
    let world = |netrc: &str| World::new().netrc(netrc).source("x", "http://index.example:8080/simple");
    let found = "n:nn from .netrc:1";
    assert_eq!(world(netrc).answers(urls), [found, found, "nothing", "nothing", "nothing"]);
    let netrc = format!("{netrc}\nmachine index.example:8443 login port password pp");
    let port = "port:pp from .netrc:2";
    assert_eq!(world(&netrc).answers(urls), [found, found, "nothing", port, "nothing"]);
}

#[test]
fn the_user_of_a_url_gets_its_password_from_netrc_and_a_lone_token_stays_one() {
    let world = |login: &str| {
        World::new()
            .netrc(&format!("machine index.example login {login} password n\ndefault login d password dd"))
            .source("x", "https://me@index.example/private/simple")
    };
    assert_eq!(world("me").answers([PRIVATE]), ["me:n from .netrc:1"]);
    assert_eq!(world("you").answers([PRIVATE]), ["me: from the source's URL"]);
}

#[test]
fn gitlab_tokens_go_to_gitlab_over_https_only() {
    let ci = || World::new().var("CI_SERVER_HOST", "GitLab.example").var("CI_JOB_TOKEN", "jj");
    let urls = [
        "https://gitlab.example/api",
        "http://gitlab.example/api",
        "https://gitlab.example:8443/api",
        "https://x.example/",
    ];
    assert_eq!(ci().answers(urls), ["gitlab-ci-token:jj from CI_JOB_TOKEN", "nothing", "nothing", "nothing"]);
    let other_port = ci().var("CI_SERVER_PORT", "8443");
    assert_eq!(
        other_port.answers(urls),
        ["nothing", "nothing", "gitlab-ci-token:jj from CI_JOB_TOKEN", "nothing"]
    );
    let deploy = ci().var("CI_DEPLOY_USER", "d").var("CI_DEPLOY_PASSWORD", "dd");
    assert_eq!(deploy.answers([urls[0]]), ["d:dd from CI_DEPLOY_PASSWORD"]);
    assert_eq!(ci().with(|options, _| options.ci = false).answers([urls[0]]), ["nothing"]);
    assert_eq!(ci().var("CI_JOB_TOKEN", "").answers([urls[0]]), ["nothing"]);
}

#[test]
fn without_its_host_gitlabs_token_goes_to_the_one_source_with_gitlabs_path() {
    const PACKAGES: &str = "https://gitlab.example/api/v4/projects/7/packages/pypi/simple";
    const GROUP: &str = "https://gitlab.example/api/v4/groups/3/-/packages/pypi/simple";
    let ci = || World::new().var("CI_JOB_TOKEN", "jj").source("public", "https://index.example/simple");
    let one = || ci().source("own", PACKAGES).source("group", GROUP);
    let (store, _home) = one().build().expect("a store");
    assert_eq!(
        store.ci_notice().as_deref(),
        Some(
            "CI_JOB_TOKEN goes to gitlab.example, the one source with GitLab's package API (CI_SERVER_HOST, which \
             would name it, is not set)"
        )
    );
    let asked = "https://index.example/simple/x/";
    let why = store.looked_in(&asked.parse().expect("a URL"), None);
    assert!(why.contains("CI_JOB_TOKEN (it is for https://gitlab.example, the one source"), "{why}");
    assert_eq!(one().answers([PACKAGES, GROUP]), ["gitlab-ci-token:jj from CI_JOB_TOKEN"; 2]);
    assert_eq!(one().answers([asked, "https://gitlab.example:8443/x"]), ["nothing"; 2]);
    let deploy = ci().var("CI_DEPLOY_USER", "d").var("CI_DEPLOY_PASSWORD", "dd").source("own", PACKAGES);
    assert_eq!(deploy.answers([PACKAGES]), ["d:dd from CI_DEPLOY_PASSWORD"]);
    // Plain http, or a path that only resembles GitLab's.
    for other in
        [PACKAGES.replace("https", "http"), PACKAGES.replace("pypi", "npm"), PACKAGES.replace("v4", "v3")]
    {
        let world = || ci().source("own", &other);
        assert_eq!(world().answers([&*other]), ["nothing"], "{other}");
        let (store, _home) = world().build().expect("a store");
        let why = store.looked_in(&other.parse().expect("a URL"), None);
        assert!(why.contains("CI_JOB_TOKEN (neither CI_SERVER_HOST nor the path"), "{why}");
    }
}

#[test]
fn of_several_gitlabs_none_gets_a_token_that_names_no_host() {
    let url = |host: &str| format!("https://{host}.example/api/v4/projects/7/packages/pypi/simple");
    let world = || World::new().var("CI_JOB_TOKEN", "jj").source("a", &url("a")).source("b", &url("b"));
    let (store, _home) = world().build().expect("a store");
    let error = store.lookup(&url("b").parse().expect("a URL"), None).expect_err("unclear").report();
    assert!(
        error.starts_with(
            "CI_JOB_TOKEN is set, but not for which of a.example and b.example it is: it was sent to none of them\n  \
             help: pass CI_SERVER_HOST as well"
        ),
        "{error}"
    );
    assert_eq!(
        world().netrc("machine b.example login me password pp").answers([&*url("b")]),
        ["me:pp from .netrc:1"]
    );
    for (name, value) in [
        ("CI_SERVER_HOST", "b.example"),
        ("CI_SERVER_FQDN", "b.example"),
        ("CI_SERVER_URL", "https://b.example"),
        ("CI_API_V4_URL", "https://b.example/api/v4"),
    ] {
        let named = || world().var(name, value);
        let expected = ["nothing", "gitlab-ci-token:jj from CI_JOB_TOKEN"];
        assert_eq!(named().answers([&*url("a"), &*url("b")]), expected, "{name}");
        assert!(named().build().expect("a store").0.ci_notice().is_none());
    }
}

/// A `keyring` that knows one user of one host, in its own words or in those of before 25.2.
fn keyring(old: bool) -> String {
    let old = if old {
        "if [ \"$1\" = --mode=creds ]; then echo 'unrecognized arguments: --mode=creds' >&2; exit 2; fi\n"
    } else {
        ""
    };
    format!(
        "#!/bin/sh\nenv > \"$(dirname \"$0\")/env\"\necho \"$@\" >> \"$(dirname \"$0\")/calls\"\n{old}\
         case \"$*\" in\n\
         '--mode=creds --output=json get index.example'|'--mode=creds --output=json get index.example me')\n\
         echo '{{\"username\": \"me\", \"password\": \"kk\"}}' ;;\n\
         'get index.example me') echo kk ;;\n\
         *) exit 1 ;;\nesac\n"
    )
}

fn with_keyring(url: &str, old: bool) -> World {
    World::new()
        .program("keyring", &keyring(old))
        .var("CI_JOB_TOKEN", "canary")
        .with(|options, home| {
            options.keyring = Some(Keyring::Subprocess(home.join("keyring")));
        })
        .source("x", url)
}

#[test]
fn a_keyring_is_asked_for_known_users_at_last() {
    let world = |url: &str| with_keyring(url, false);
    let (store, home) = world("https://me@index.example/private/simple").build().expect("a store");
    assert_eq!(show(&store, PRIVATE, None), "me:kk from the keyring");
    assert_eq!(show(&store, PRIVATE, None), "me:kk from the keyring");
    let calls = fs::read_to_string(home.path().join("calls")).expect("calls");
    let ask = "--mode=creds --output=json get";
    assert_eq!(calls, format!("{ask} https://index.example/private/simple/ me\n{ask} index.example me\n"));
    // The keyring has none: the lone user is sent as it stands.
    assert_eq!(
        world("https://you@index.example/private/simple").answers([PRIVATE]),
        ["you: from the source's URL"]
    );
    assert_eq!(world(PRIVATE).answers([PRIVATE]), ["nothing"]);
    let netrc =
        world("https://me@index.example/private/simple").netrc("machine index.example login me password n");
    assert_eq!(netrc.answers([PRIVATE]), ["me:n from .netrc:1"]);
}

#[test]
fn an_old_keyring_is_asked_in_its_own_words() {
    let me = "https://me@index.example/private/simple";
    assert_eq!(with_keyring(me, true).answers([PRIVATE]), ["me:kk from the keyring"]);
}

#[test]
fn a_keyring_is_asked_for_any_user_of_a_source_after_a_refusal_and_then_known() {
    let (store, _home) = with_keyring(PRIVATE, false).build().expect("a store");
    let url = |text: &str| Url::parse(text).expect("a URL");
    let after = |text: &str| store.after_refusal(&url(text), None).expect("an answer").map(|f| f.to_string());
    assert_eq!(after("https://other.example/simple"), None);
    assert_eq!(after("http://index.example/simple"), None);
    assert_eq!(show(&store, PRIVATE, None), "nothing");
    assert_eq!(after(PRIVATE).as_deref(), Some("user me (from the keyring)"));
    assert_eq!(show(&store, PRIVATE, None), "me:kk from the keyring");
    let (store, _home) = with_keyring(PRIVATE, false)
        .netrc("machine index.example login n password nn")
        .build()
        .expect("a store");
    assert_eq!(store.after_refusal(&url(PRIVATE), None).expect("an answer"), None);
    let (store, _home) = with_keyring(PRIVATE, true).build().expect("a store");
    assert_eq!(store.after_refusal(&url(PRIVATE), None).expect("an answer"), None);
}

#[test]
fn an_answer_of_a_keyring_that_is_none_is_not_shown() {
    let world = World::new()
        .program("keyring", "#!/bin/sh\necho canary\n")
        .with(|options, home| {
            options.keyring = Some(Keyring::Subprocess(home.join("keyring")));
        })
        .source("x", "https://me@index.example/private/simple");
    let (store, _home) = world.build().expect("a store");
    let error = store.lookup(&Url::parse(PRIVATE).expect("a URL"), None).expect_err("no JSON").report();
    assert!(error.contains("cannot be read (not shown)") && !error.contains("canary"), "{error}");
}

#[test]
fn a_user_variable_without_a_password_says_what_to_set() {
    let world = World::new().var("VENVOY_INDEX_X_USERNAME", "me").source("x", PRIVATE);
    let (store, _home) = world.build().expect("a store");
    let error = store.lookup(&Url::parse(PRIVATE).expect("a URL"), None).expect_err("no password");
    assert!(error.report().contains("set VENVOY_INDEX_X_PASSWORD"), "{}", error.report());
}

#[test]
fn where_was_looked_names_every_place() {
    let (store, _home) =
        World::new().var("CI_SERVER_HOST", "gitlab.example").source("x", PRIVATE).build().expect("a store");
    let text = store.looked_in(&Url::parse(PRIVATE).expect("a URL"), None);
    for place in ["the source's URL", "VENVOY_INDEX_X_USERNAME", "~/.netrc (does not exist)", "CI_JOB_TOKEN"]
    {
        assert!(text.contains(place), "{text}");
    }
}

/// Words, quotes, escapes, comments and line ends as netrc files might have them, and worse.
fn netrc_text() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[a-z0-9.:@#%é]{1,8}",
        "\"[a-z #\\\\ é]{0,6}\"",
        "[a-z\\\\\"#]{1,5}",
        Just("\"\"".to_owned()),
        Just("default".to_owned()),
    ];
    let space = prop_oneof![
        6 => Just(" "), 4 => Just("\n"), 1 => Just("\t"), 1 => Just("\r\n"), 1 => Just("\n\n"), 1 => Just("\r"),
        1 => Just("\u{b}"), 1 => Just("")
    ];
    let pair = (prop_oneof!["login", "user", "account", "password"], space.clone(), value.clone())
        .prop_map(|(key, space, value)| format!("{key}{space}{value}"));
    let piece = prop_oneof![
        6 => (value.clone(), space.clone(), prop::collection::vec((pair.clone(), space.clone()), 0..4)).prop_map(
            |(name, space, pairs)| {
                let pairs: String = pairs.into_iter().flat_map(|(p, s)| [p, s.to_owned()]).collect();
                format!("machine {name}{space}{pairs}")
            }
        ),
        2 => (pair.clone(), pair.clone()).prop_map(|(a, b)| format!("default {a} {b}")),
        2 => "# ?[a-z ]{0,10}\n".prop_map(String::from),
        1 => "#[a-z ]{0,6}".prop_map(String::from),
        1 => "macdef [a-z]{1,4}\n([a-z ]{0,5}\n){0,2}\n?".prop_map(String::from),
        1 => pair,
        1 => value,
    ];
    prop::collection::vec((piece, space), 0..5)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, space)| [piece, space.to_owned()]).collect())
}

#[test]
fn a_thousand_netrc_files_read_as_in_python() {
    const FILES: usize = 1500;
    const SCRIPT: &str = r#"
import json, netrc, pathlib, sys
assert sys.version_info >= (3, 11), "needs Python 3.11 or later as python3"
for number in range(int(sys.argv[2])):
    try:
        hosts = netrc.netrc(pathlib.Path(sys.argv[1], str(number))).hosts
    except netrc.NetrcParseError:
        hosts = None
    print(json.dumps(hosts))
"#;
    let directory = TempDir::new().expect("a directory");
    let mut runner = TestRunner::deterministic();
    let texts: Vec<String> = (0..FILES)
        .map(|number| {
            let text = netrc_text().new_tree(&mut runner).expect("a value").current();
            fs::write(directory.path().join(number.to_string()), &text).expect("written");
            text
        })
        .collect();
    let python = Command::new("python3")
        .env("PYTHONUTF8", "1")
        .args(["-c", SCRIPT])
        .arg(directory.path())
        .arg(FILES.to_string())
        .output()
        .expect("python3 (Debian: python3) on PATH");
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let answers = String::from_utf8(python.stdout).expect("UTF-8");
    assert_eq!(answers.lines().count(), FILES);
    let (mut read, mut refused) = (0, 0);
    for (text, answer) in texts.iter().zip(answers.lines()) {
        let expected: Option<BTreeMap<String, (String, String, String)>> =
            serde_json::from_str(answer).expect("JSON");
        let got = Netrc::parse(text, Path::new("netrc")).ok().map(|netrc| {
            let fields = |e: &super::netrc::Entry| {
                (e.login.clone(), e.account.clone(), e.password.expose().to_owned())
            };
            netrc.entries.iter().map(|(name, entry)| (name.clone(), fields(entry))).collect()
        });
        assert_eq!(got, expected, "{text:?}");
        match got {
            Some(entries) if !BTreeMap::is_empty(&entries) => read += 1,
            None => refused += 1,
            Some(_) => {}
        }
    }
    // Neither side may be what nearly every file is.
    assert!(read > FILES / 5 && refused > FILES / 5, "{read} read, {refused} refused");
}
