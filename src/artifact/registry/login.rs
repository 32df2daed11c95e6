//! What `docker login` and `podman login` were told: their files, and the helper programs that these name.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use data_encoding::BASE64;
use serde_json::Value;

use crate::words::{
    env::Env,
    error::{Error, Kind, Result},
    interrupt,
    vocab::{Credentials, Secret},
};

/// How long a helper may take: it may ask a person.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a helper calls the user whose password is an identity token.
const TOKEN_USER: &str = "<token>";

/// Where logins are looked for.
#[derive(Debug, Clone)]
pub struct Logins {
    files: Vec<PathBuf>,
}

/// How a registry is logged in to.
#[derive(Debug, Clone)]
pub enum Login {
    /// By a user and password.
    Basic(Credentials),
    /// By a token that is exchanged for others (OAuth 2 refresh token).
    Identity(Secret),
}

impl Logins {
    /// The files of these variables, in the order in which podman looks at them: REGISTRY_AUTH_FILE alone where it is set,
    /// else podman's own and then docker's.
    pub fn of(env: &Env) -> Self {
        if let Some(file) = env.path("REGISTRY_AUTH_FILE") {
            return Logins { files: vec![file] };
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
        Logins { files: files.into_iter().flatten().collect() }
    }

    /// The login for a registry (`HOST[:PORT]`), if there is one.
    ///
    /// # Errors
    /// [`Kind::Auth`] for a file that cannot be read as such, and for a helper that fails; nothing secret is shown.
    pub fn find(&self, host: &str) -> Result<Option<Login>> {
        for file in &self.files {
            let bytes = match std::fs::read(file) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("cannot read", file, error).with_kind(Kind::Auth)),
            };
            let config: Value = serde_json::from_slice(&bytes).map_err(|error| {
                // The parser's own words could quote what it found.
                Error::new(Kind::Auth, format!("{} is not JSON (line {})", file.display(), error.line()))
                    .help("log in again with `docker login` or `podman login`")
            })?;
            let helper = config["credHelpers"][host].as_str();
            let helper = helper.or_else(|| config["credsStore"].as_str()).filter(|helper| !helper.is_empty());
            if let Some(helper) = helper
                && let Some(login) = ask(helper, host)?
            {
                return Ok(Some(login));
            }
            if let Some(login) = read(&config["auths"], host) {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

/// A row of `auths`. Docker writes some hosts as URLs.
fn read(auths: &Value, host: &str) -> Option<Login> {
    let row = auths.as_object()?.iter().find(|(name, _)| {
        let bare = name.trim_start_matches("https://").trim_start_matches("http://");
        bare.split('/').next() == Some(host)
    })?;
    if let Some(token) = row.1["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        return Some(Login::Identity(Secret::new(token)));
    }
    let both = BASE64.decode(row.1["auth"].as_str()?.as_bytes()).ok()?;
    let both = String::from_utf8(both).ok()?;
    let (user, password) = both.trim_end_matches('\0').split_once(':')?;
    Some(Login::Basic(Credentials::new(user, Secret::new(password))))
}

/// Asks `docker-credential-NAME`; `None` where it knows nothing of the host.
fn ask(helper: &str, host: &str) -> Result<Option<Login>> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: &str| {
        Error::new(Kind::Auth, format!("{program} does not give the login for {host}: {why}"))
            .help("log in again, or take the helper out of docker's config.json")
    };
    if helper.contains('/') {
        return Err(failed("its name is a path"));
    }
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed("it cannot be started").because(error))?;
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(host.as_bytes());
    }
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| failed("it was lost").because(error))? {
            break status;
        }
        if begin.elapsed() > PATIENCE || interrupt::requested() {
            let _ = child.kill();
            let _ = child.wait();
            interrupt::check()?;
            return Err(failed("it took more than 30 s"));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        let _ = output.take(1 << 20).read_to_end(&mut answer);
    }
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

    fn found(config: &str, host: &str) -> Result<Option<Login>> {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("auth.json"), config).expect("written");
        let file = dir.path().join("auth.json");
        Logins::of(&Env::of([("REGISTRY_AUTH_FILE", file.to_str().expect("UTF-8"))])).find(host)
    }

    #[test]
    fn logins_are_found_by_host_and_port() {
        // "me:pass:word"
        let config = r#"{"auths": {"https://reg.example/v2/": {"auth": "bWU6cGFzczp3b3Jk"}, "reg.example:5000": {"identitytoken": "tok"}}}"#;
        assert!(
            matches!(found(config, "reg.example"), Ok(Some(Login::Basic(login))) if login.basic() == ("me", "pass:word"))
        );
        assert!(
            matches!(found(config, "reg.example:5000"), Ok(Some(Login::Identity(token))) if token.expose() == "tok")
        );
        assert!(matches!(found(config, "reg.example.evil"), Ok(None)));
    }

    #[test]
    fn a_damaged_file_is_an_error_that_shows_nothing_of_it() {
        let error = found("{\"auths\": {\"x\": \"canary", "x").expect_err("damaged");
        assert!(
            error.report().contains("is not JSON (line 1)") && !error.report().contains("canary"),
            "{}",
            error.report()
        );
    }
}
