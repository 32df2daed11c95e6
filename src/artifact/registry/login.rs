//! What `docker login` and `podman login` were told: their files, and the helper programs that these name.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use serde_json::Value;

use super::Reference;

use crate::words::{
    env::Env,
    error::{Error, Kind, Result},
    files::{LARGEST_TEXT, read_regular},
    interrupt, threads,
    vocab::{Credentials, Secret},
};

/// How long a helper may take: it may ask a person.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a helper calls the user whose password is an identity token.
const TOKEN_USER: &str = "<token>";

/// Where logins are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Logins {
    files: Vec<PathBuf>,
    /// GitLab CI's registry and the login of the job.
    ci: Option<(String, Credentials)>,
    patience: Duration,
}

/// How a registry is logged in to.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    /// By a user and password.
    Basic(Credentials),
    /// By a token that is exchanged for others (OAuth 2 refresh token).
    Identity(Secret),
}

impl Logins {
    /// The files of these variables, in the order in which podman looks at them: REGISTRY_AUTH_FILE alone where it is set,
    /// else podman's own and then docker's. `ci` says whether GitLab CI's (CI_REGISTRY and those beside it) count.
    pub(crate) fn of(env: &Env, ci: bool) -> Self {
        let job = || {
            let (user, password) = env.get("CI_REGISTRY_USER").zip(env.get("CI_REGISTRY_PASSWORD"))?;
            let host = env.get("CI_REGISTRY")?.to_owned();
            Some((host, Credentials::new(user, Secret::new(password))))
        };
        let ci = if ci { job() } else { None };
        if let Some(file) = env.path("REGISTRY_AUTH_FILE") {
            return Logins { files: vec![file], ci, patience: PATIENCE };
        }
        let home = env.path("HOME");
        let below_home = |rest: &str| home.as_ref().map(|home| home.join(rest));
        let files = [
            env.path("XDG_RUNTIME_DIR").map(|dir| dir.join("containers/auth.json")),
            env.path("XDG_CONFIG_HOME")
                .map(|dir| dir.join("containers/auth.json"))
                .or_else(|| below_home(".config/containers/auth.json")),
            env.path("DOCKER_CONFIG")
                .map(|dir| dir.join("config.json"))
                .or_else(|| below_home(".docker/config.json")),
        ];
        Logins { files: files.into_iter().flatten().collect(), ci, patience: PATIENCE }
    }

    /// The login for a repository, if there is one: podman's files may have rows for some paths of a registry, of which
    /// the longest counts.
    ///
    /// # Errors
    /// [`Kind::Auth`] for a file that cannot be read as such, and for a helper that fails; nothing secret is shown.
    pub(crate) fn find(&self, repository: &Reference) -> Result<Option<Login>> {
        let host = repository.login_name();
        for file in &self.files {
            let bytes = match read_regular(file, LARGEST_TEXT) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("cannot read", file, error).with_kind(Kind::Auth)),
            };
            let config = Config::parse(&bytes, file, repository)?;
            if let Some((helper, name)) = &config.helper
                && let Some(login) = ask(helper, name, self.patience)?
            {
                return Ok(Some(login));
            }
            if config.login.is_some() {
                return Ok(config.login);
            }
        }
        let ci = self.ci.as_ref().filter(|(registry, _)| registry == host);
        Ok(ci.map(|(_, login)| Login::Basic(login.clone())))
    }
}

/// What one of the files says of a repository.
#[derive(Debug)]
pub(crate) struct Config {
    /// The helper to be asked first, and the name to ask it for.
    pub(crate) helper: Option<(String, String)>,
    /// The login in the file itself.
    pub(crate) login: Option<Login>,
}

impl Config {
    /// # Errors
    /// [`Kind::Auth`] for what is not JSON, and for a helper that is no plain name; nothing of the file is shown.
    pub(crate) fn parse(bytes: &[u8], file: &Path, repository: &Reference) -> Result<Self> {
        let config: Value = serde_json::from_slice(bytes).map_err(|error| {
            // The parser's own words could quote what it found.
            Error::new(Kind::Auth, format!("{} is not JSON (line {})", file.display(), error.line()))
                .help("log in again with `docker login` or `podman login`")
        })?;
        let named = repository.login_names();
        let own = named.iter().find_map(|name| Some((config["credHelpers"][name].as_str()?, *name)));
        let all = config["credsStore"].as_str().zip(named.first().copied());
        let helper = own.or(all).filter(|(helper, _)| !helper.is_empty());
        if let Some((helper, _)) = helper.filter(|(helper, _)| helper.contains(['/', '\0'])) {
            return Err(Error::new(
                Kind::Auth,
                format!("the credential helper {helper:?} is a path; expected a name"),
            )
            .help("correct credHelpers or credsStore in docker's config.json"));
        }
        let helper = helper.map(|(helper, name)| (helper.to_owned(), name.to_owned()));
        Ok(Config { helper, login: read(&config["auths"], repository.login_name(), &repository.path) })
    }
}

/// The row of `auths` that is nearest to a repository. Docker writes some hosts as URLs, podman some with a path.
fn read(auths: &Value, host: &str, path: &str) -> Option<Login> {
    let place = |name: &str| {
        let bare = name.trim_start_matches("https://").trim_start_matches("http://").trim_end_matches('/');
        let (its, below) = bare.split_once('/').unwrap_or((bare, ""));
        // The interface's version is no repository.
        let below = if matches!(below, "v1" | "v2") { "" } else { below };
        let same = its == host || (host == "index.docker.io" && its == "docker.io");
        let above = below.is_empty()
            || path == below
            || path.strip_prefix(below).is_some_and(|rest| rest.starts_with('/'));
        (same && above).then_some(below.len())
    };
    let rows = auths.as_object()?.iter();
    let (_, row) =
        rows.filter_map(|(name, row)| Some((place(name)?, row))).max_by_key(|(length, _)| *length)?;
    if let Some(token) = row["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        return Some(Login::Identity(Secret::new(token)));
    }
    let both = BASE64.decode(row["auth"].as_str()?.as_bytes()).ok()?;
    let both = String::from_utf8(both).ok()?;
    let (user, password) = both.trim_end_matches('\0').split_once(':')?;
    Some(Login::Basic(Credentials::new(user, Secret::new(password))))
}

/// Asks `docker-credential-NAME`; `None` where it knows nothing of the host.
fn ask(helper: &str, host: &str, patience: Duration) -> Result<Option<Login>> {
    run(Path::new(&format!("docker-credential-{helper}")), host, patience)
}

fn run(program: &Path, host: &str, patience: Duration) -> Result<Option<Login>> {
    let shown = program.file_name().unwrap_or_default().to_string_lossy();
    let failed = |why: &str| {
        Error::new(Kind::Auth, format!("{shown} does not give the login for {host}: {why}"))
            .help("log in again, or take the helper out of docker's config.json")
    };
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed("it cannot be started").because(error))?;
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(host.as_bytes());
    }
    // Read beside the waiting: what it left running could keep its output open for ever.
    let (sender, answers) = mpsc::channel();
    if let Some(output) = child.stdout.take() {
        threads::start("login", move || {
            let mut answer = Vec::new();
            let _ = output.take(1 << 20).read_to_end(&mut answer);
            let _ = sender.send(answer);
        })
        .map_err(|error| failed("its answer cannot be read").because(error))?;
    }
    let begin = Instant::now();
    let mut answer = None;
    let status = loop {
        if answer.is_none() {
            answer = answers.try_recv().ok();
        }
        if let (Some(status), true) =
            (child.try_wait().map_err(|error| failed("it was lost").because(error))?, answer.is_some())
        {
            break status;
        }
        if begin.elapsed() > patience || interrupt::requested() {
            let _ = child.kill();
            let _ = child.wait();
            interrupt::check()?;
            return Err(failed(&format!("it took more than {} s", patience.as_secs_f32())));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let answer = answer.unwrap_or_default();
    if !status.success() {
        // What helpers print where there is no login.
        let unknown = String::from_utf8_lossy(&answer).contains("credentials not found");
        return if unknown { Ok(None) } else { Err(failed("it failed")) };
    }
    let value: Value = serde_json::from_slice(&answer).map_err(|_| failed("its answer is not JSON"))?;
    match (value["Username"].as_str(), value["Secret"].as_str()) {
        (Some(TOKEN_USER), Some(token)) => Ok(Some(Login::Identity(Secret::new(token)))),
        (Some(user), Some(password)) => Ok(Some(Login::Basic(Credentials::new(user, Secret::new(password))))),
        _ => Err(failed("its answer has no user and secret")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, repository: &str) -> Result<Option<Login>> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("auth.json"), config).expect("written");
        let file = dir.path().join("auth.json");
        Logins::of(&Env::of([("REGISTRY_AUTH_FILE", file.to_str().expect("UTF-8"))]), true)
            .find(&repository.parse()?)
    }

    #[test]
    fn logins_are_found_by_host_and_port() {
        // "me:pass:word"
        let config = r#"{"auths": {"https://reg.example/v2/": {"auth": "bWU6cGFzczp3b3Jk"}, "reg.example:5000": {"identitytoken": "tok"},
            "https://index.docker.io/v1/": {"identitytoken": "hub"}}}"#;
        assert!(
            matches!(found(config, "reg.example/v2"), Ok(Some(Login::Basic(login))) if login.basic() == ("me", "pass:word"))
        );
        assert!(
            matches!(found(config, "reg.example:5000/a"), Ok(Some(Login::Identity(token))) if token.expose() == "tok")
        );
        assert!(
            matches!(found(config, "docker.io/a"), Ok(Some(Login::Identity(token))) if token.expose() == "hub")
        );
        assert!(matches!(found(config, "reg.example.evil/a"), Ok(None)));
    }

    #[test]
    fn a_named_pipe_in_the_place_of_logins_is_refused_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let pipe = dir.path().join("auth.json");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("a pipe");
        let env = Env::of([("REGISTRY_AUTH_FILE", pipe.to_str().expect("UTF-8"))]);
        let error =
            Logins::of(&env, true).find(&"reg.example/a".parse().expect("a name")).expect_err("no file");
        let chain = error.report();
        assert!(chain.contains("cannot read") && chain.contains("not a regular file"), "{chain}");
    }

    #[test]
    fn rows_for_a_path_are_for_what_is_below_it() {
        let config = r#"{"auths": {"reg.example/team": {"identitytoken": "team"}, "reg.example/team/shop": {"identitytoken": "shop"}}}"#;
        let token = |repository: &str| match found(config, repository) {
            Ok(Some(Login::Identity(token))) => Some(token.expose().to_owned()),
            _ => None,
        };
        assert_eq!(token("reg.example/team/shop/web").as_deref(), Some("shop"));
        assert_eq!(token("reg.example/team/shopping").as_deref(), Some("team"));
        assert_eq!(token("reg.example/teams").as_deref(), None);
    }

    #[test]
    fn a_job_of_gitlab_has_a_login_for_its_own_registry_alone() {
        let env = Env::of([
            ("CI_REGISTRY", "reg.example:5050"),
            ("CI_REGISTRY_USER", "gitlab-ci-token"),
            ("CI_REGISTRY_PASSWORD", "canary"),
        ]);
        let found = |ci, name: &str| {
            let reference = name.parse().expect(name);
            Logins::of(&env, ci).find(&reference).expect("no file").is_some()
        };
        assert!(found(true, "reg.example:5050/team/shop") && !found(false, "reg.example:5050/team/shop"));
        assert!(!found(true, "reg.example/team/shop") && !found(true, "other.example/team/shop"));
    }

    #[test]
    fn a_helper_that_takes_too_long_is_ended() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("docker-credential-slow");
        std::fs::write(&program, "#!/bin/sh\nexec sleep 600\n").expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
        let begin = Instant::now();
        let error = run(&program, "reg.example", Duration::from_millis(200)).expect_err("too slow");
        assert!(begin.elapsed() < Duration::from_mins(1));
        assert_eq!(
            error.report().lines().next(),
            Some("docker-credential-slow does not give the login for reg.example: it took more than 0.2 s"),
        );
    }

    #[test]
    fn a_damaged_file_is_an_error_that_shows_nothing_of_it() {
        let error = found("{\"auths\": {\"x\": \"canary", "x.example/a").expect_err("damaged");
        assert!(
            error.report().contains("is not JSON (line 1)") && !error.report().contains("canary"),
            "{}",
            error.report()
        );
    }
}
