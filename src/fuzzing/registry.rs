//! What registries answer, and where logins for them are kept.

use std::path::Path;

use serde_json::json;
use url::Url;

use super::{Read, said, shows_secret, text_of};
use crate::artifact::registry::{Challenge, Config, Login, error_of, next_place, record_of, token_of};

/// Where the answers come from.
const FROM: &str = "https://registry.example/v2/team/shop/blobs/uploads/";

/// A challenge, a line end, and a `Location`: neither leads to a place without TLS, nor has a login that we would send.
pub(super) fn challenge(bytes: &[u8]) -> Read {
    let (challenge, location) = text_of(bytes)?.split_once('\n').ok_or("it has one line only")?;
    let from = Url::parse(FROM).map_err(|error| error.to_string())?;
    let next = next_place(&from, location);
    let asked = Challenge::parse(challenge, &from);
    for url in next.iter().chain(asked.iter().map(|asked| &asked.realm)) {
        assert!(url.scheme() == "https" && url.has_host(), "{url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    }
    let asked = asked.map_err(str::to_owned)?;
    Ok(json!([asked.realm.as_str(), asked.service, next.map(String::from)]))
}

/// The body of an answer, as each of those that read one.
pub(super) fn answer(bytes: &[u8]) -> Read {
    let (token, error, record) = (token_of(bytes), error_of(bytes), record_of(bytes));
    if let Ok(token) = &token {
        assert!(!token.expose().is_empty(), "an empty token");
        assert_eq!(format!("{token:?}"), "****");
    }
    let record = record.and_then(|bytes| String::from_utf8(bytes).ok());
    match (&token, &error, &record) {
        (Err(why), None, None) => Err((*why).to_owned()),
        _ => Ok(json!([token.ok().map(|token| token.expose().to_owned()), error, record])),
    }
}

/// Docker's or podman's file of logins: what goes to a server is for that server, and what is shown is no secret.
pub(super) fn docker_config(bytes: &[u8]) -> Read {
    let mut found = Vec::new();
    for name in ["registry.example/team/shop", "docker.io/library/python", "registry.example:5000/a"] {
        let reference = said(name.parse())?;
        let config = said(Config::parse(bytes, Path::new("config.json"), &reference))?;
        if let Some((helper, asked)) = &config.helper {
            assert!(!helper.is_empty() && !helper.contains('/'), "{helper:?}");
            assert!(name.starts_with(asked.as_str()) || asked.contains("docker.io"), "{asked:?} for {name}");
        }
        assert!(!shows_secret(&format!("{config:?}"), b""), "{config:?}");
        found.push(match config.login {
            Some(Login::Basic(login)) => json!([login.basic().0, login.basic().1, config.helper]),
            Some(Login::Identity(token)) => json!([token.expose(), config.helper]),
            None => json!(config.helper),
        });
    }
    Ok(json!(found))
}
