//! How a registry is told who asks: its challenges (`WWW-Authenticate`), and the tokens that answer them.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use reqwest::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use serde_json::Value;
use url::Url;

use super::{
    Reference,
    login::{Login, Logins},
};
use crate::{
    packages::http::{Body, Client, Identity, Method, Outcome, Reply, Request},
    words::{
        error::{Error, Kind, Result},
        vocab::{Credentials, Secret},
    },
};

/// What an answer may say besides blobs, in bytes.
pub(super) const LIMIT: u64 = 4 << 20;

/// A repository.
pub(crate) struct Registry<'c> {
    pub(super) client: Arc<Client<'c>>,
    pub(super) reference: Reference,
    login: Option<Login>,
    /// What the registry wants with requests of a scope, once it said so.
    passes: Mutex<HashMap<String, Pass>>,
    /// How much of a blob goes in one request, where the registry does not take it in one piece.
    pub(super) piece: Mutex<Option<u64>>,
}

#[derive(Clone)]
enum Pass {
    Bearer(Secret),
    Basic(Credentials),
}

impl PartialEq for Pass {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Pass::Bearer(a), Pass::Bearer(b)) => a.expose() == b.expose(),
            (Pass::Basic(a), Pass::Basic(b)) => a.basic() == b.basic(),
            _ => false,
        }
    }
}

/// What a request is for: tokens are given for that and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right<'a> {
    /// To read.
    Pull,
    /// To write.
    Push,
    /// To write what another repository of the same registry has.
    Mount(&'a str),
}

impl Right<'_> {
    fn scopes(self, path: &str) -> Vec<String> {
        let own = |what: &str| format!("repository:{path}:{what}");
        match self {
            Right::Pull => vec![own("pull")],
            Right::Push => vec![own("pull,push")],
            // One's own is the last: GitLab counted no other.
            Right::Mount(from) => vec![format!("repository:{from}:pull"), own("pull,push")],
        }
    }
}

impl<'c> Registry<'c> {
    /// A repository, with the login for it: of docker's and podman's files, of GitLab CI, else what `client` knows.
    ///
    /// # Errors
    /// [`Kind::Auth`] where a login cannot be read.
    pub(crate) fn new(client: Arc<Client<'c>>, reference: Reference, logins: &Logins) -> Result<Self> {
        let login = match logins.find(&reference)? {
            None => {
                let known = client.store().lookup(&reference.url("")?, None)?;
                known.map(|found| Login::Basic(found.credentials))
            }
            found => found,
        };
        let (passes, piece) = (Mutex::default(), Mutex::default());
        Ok(Registry { client, reference, login, passes, piece })
    }

    /// What it is called.
    pub(crate) fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Asks the registry itself, with what it wants to see; once more after a challenge.
    pub(super) fn ask(&self, request: &Request<'_>, right: Right<'_>) -> Result<Reply> {
        let scopes = right.scopes(&self.reference.path);
        let scope = scopes.join(" ");
        let pass = self.passes.lock().get(&scope).cloned();
        let reply = self.send(request, pass.as_ref())?;
        if reply.status() != 401 {
            return Ok(reply);
        }
        let challenge = reply.header(&WWW_AUTHENTICATE).map(str::to_owned).unwrap_or_default();
        // One asks for all: servers lock out who sends wrong logins too often.
        let mut passes = self.passes.lock();
        if passes.get(&scope) == pass.as_ref() {
            match self.answer(&challenge, reply.url(), &scopes)? {
                // The same again would be refused again.
                Some(new) if pass.as_ref() != Some(&new) => passes.insert(scope.clone(), new),
                _ => return Ok(reply),
            };
        }
        let pass = passes.get(&scope).cloned();
        drop(passes);
        self.send(request, pass.as_ref())
    }

    fn send(&self, request: &Request<'_>, pass: Option<&Pass>) -> Result<Reply> {
        let identity = match pass {
            Some(Pass::Bearer(token)) => Identity::Bearer(token),
            Some(Pass::Basic(login)) => Identity::Basic(login),
            None => Identity::Anonymous,
        };
        self.send_as(request, identity)
    }

    pub(super) fn send_as(&self, request: &Request<'_>, identity: Identity<'_>) -> Result<Reply> {
        match self.client.ask(&request.clone().identity(identity))? {
            Outcome::Reply(reply) => Ok(*reply),
            Outcome::Leaves(_) => Err(Error::new(Kind::Network, "the registry sends us to another server")),
        }
    }

    /// What a challenge asks for; `None` where there is nothing to answer it with.
    fn answer(&self, challenge: &str, from: &Url, scopes: &[String]) -> Result<Option<Pass>> {
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.token(rest, from, scopes).map(Some);
        }
        Ok(match &self.login {
            Some(Login::Basic(login)) if scheme.eq_ignore_ascii_case("basic") => {
                Some(Pass::Basic(login.clone()))
            }
            _ => None,
        })
    }

    /// A token for these scopes (distribution specification, token authentication).
    fn token(&self, challenge: &str, from: &Url, scopes: &[String]) -> Result<Pass> {
        let host = &self.reference.host;
        let strange = |what: &str| {
            Error::new(Kind::Auth, format!("{host} asks for a token in a way that is not known: {what}"))
        };
        let Challenge { realm: mut url, service } = Challenge::parse(challenge, from).map_err(strange)?;
        let mut reply = if let Some(Login::Identity(token)) = &self.login {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token")
                .append_pair("service", service.as_deref().unwrap_or_default())
                .append_pair("client_id", "venvoy")
                .append_pair("scope", &scopes.join(" "))
                .append_pair("refresh_token", token.expose());
            let form = form.finish();
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            let request = Request::new(Method::POST, &url)
                .header(CONTENT_TYPE, kind)
                .body(Body::Bytes(form.as_bytes()));
            self.send_as(&request, Identity::Anonymous)?
        } else {
            if let Some(service) = &service {
                url.query_pairs_mut().append_pair("service", service);
            }
            for scope in scopes {
                url.query_pairs_mut().append_pair("scope", scope);
            }
            let identity = match &self.login {
                Some(Login::Basic(login)) => Identity::Basic(login),
                _ => Identity::Anonymous,
            };
            self.send_as(&Request::get(&url), identity)?
        };
        if !matches!(reply.status(), 200..300) {
            return Err(self.refused(reply).with_kind(Kind::Auth));
        }
        let body = reply.bytes(LIMIT).map_err(|_| strange("its answer cannot be read"))?;
        token_of(&body).map(Pass::Bearer).map_err(strange)
    }

    /// What to say of an answer that is none of those expected.
    pub(super) fn refused(&self, mut reply: Reply) -> Error {
        let host = &self.reference.host;
        let status = reply.status();
        let said = reply.bytes(LIMIT).ok().and_then(|bytes| error_of(&bytes));
        let said = said.map_or(String::new(), |said| format!(" ({})", said.trim_end_matches([' ', ':'])));
        match status {
            401 | 403 => {
                let (who, help) = match self.login {
                    Some(_) => ("the login it was given", "log in again with one that may do that there"),
                    None => ("a request without a login", "log in with `docker login` or `podman login`"),
                };
                Error::new(Kind::Auth, format!("{host} refused {who}: {status}{said}"))
                    .help(format!("{help}; REGISTRY_AUTH_FILE and DOCKER_CONFIG say where logins are"))
            }
            _ => Error::new(Kind::Network, format!("{host} answered {status}{said}")),
        }
    }
}

/// Where a registry says that tokens are to be had.
#[derive(Debug)]
pub(crate) struct Challenge {
    /// The URL to ask.
    pub(crate) realm: Url,
    /// What the token is for.
    pub(crate) service: Option<String>,
}

impl Challenge {
    /// The parameters of a `Bearer` challenge that came with an answer of `from`.
    ///
    /// # Errors
    /// What is strange about it.
    pub(crate) fn parse(text: &str, from: &Url) -> Result<Self, &'static str> {
        let fields = parameters(text);
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let realm = field("realm")
            .and_then(|realm| Url::parse(realm).ok())
            .ok_or("it does not say where to get one")?;
        if realm.scheme() != "https" && !(realm.scheme() == "http" && from.scheme() == "http") {
            return Err("the place to get one has no TLS");
        }
        // Credentials that a server puts into a URL are not ours to send.
        if !realm.username().is_empty() || realm.password().is_some() {
            return Err("the place to get one has a login in it");
        }
        Ok(Challenge { realm, service: field("service").map(str::to_owned) })
    }
}

/// The token in an answer.
///
/// # Errors
/// Why there is none.
pub(crate) fn token_of(body: &[u8]) -> Result<Secret, &'static str> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "its token is not in JSON")?;
    let token = value["token"].as_str().or_else(|| value["access_token"].as_str());
    token.filter(|token| !token.is_empty()).map(Secret::new).ok_or("its answer has no token")
}

/// What a registry says of its refusal: `CODE: message`.
pub(crate) fn error_of(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    let first = &value["errors"][0];
    Some(format!("{}: {}", first["code"].as_str()?, first["message"].as_str().unwrap_or_default()))
}

/// The `name="value"` pairs of a challenge.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.push((name, value.trim().to_owned()));
        rest = after;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_pairs() {
        let text = "realm=\"https://auth.example/token\",service=\"reg\",scope=\"repository:a/b:pull,push\"";
        let pairs = parameters(text);
        assert_eq!(pairs[0], ("realm".to_owned(), "https://auth.example/token".to_owned()));
        assert_eq!(pairs[2], ("scope".to_owned(), "repository:a/b:pull,push".to_owned()));
        assert_eq!(parameters("a=b, C=\"d\""), [("a".into(), "b".into()), ("c".into(), "d".into())]);
        assert!(parameters("").is_empty());
    }
}
