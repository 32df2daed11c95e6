//! Blobs and manifests into a repository.

use std::{
    io::{self, Read},
    sync::Mutex,
};

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use serde_json::Value;
use url::Url;

use super::{
    Reference,
    login::{Login, Logins},
};
use crate::{
    packages::http::{Body, Client, Identity, Method, Outcome, Redirects, Reply, Request, header_value},
    words::{
        error::{Context as _, Error, Kind, Result},
        vocab::{Credentials, Realm, Secret, Sha256},
    },
};

/// What an answer may say besides blobs, in bytes.
const LIMIT: u64 = 4 << 20;

/// How often an upload that broke is begun anew.
const TRIES: u32 = 4;

/// Opens what is uploaded, at its beginning.
pub type Open<'a> = &'a (dyn Fn() -> io::Result<Box<dyn Read + Send>> + Sync);

/// How a blob got there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upload {
    /// It was there.
    Known,
    /// It was sent.
    Sent,
}

/// A repository.
pub struct Registry<'c> {
    client: &'c Client<'c>,
    reference: Reference,
    login: Option<Login>,
    /// What the registry wants with each request, once it said so.
    pass: Mutex<Option<Pass>>,
}

#[derive(Clone)]
enum Pass {
    Bearer(Secret),
    Basic(Credentials),
}

impl<'c> Registry<'c> {
    /// A repository to push to.
    pub fn new(client: &'c Client<'c>, reference: Reference, logins: &Logins) -> Result<Self> {
        let login = logins.find(&reference.host)?;
        Ok(Registry { client, reference, login, pass: Mutex::default() })
    }

    /// Sends a blob unless it is there.
    pub fn push_blob(&self, digest: &Sha256, size: u64, open: Open<'_>) -> Result<Upload> {
        let url = self.reference.url(&format!("blobs/sha256:{digest}"))?;
        let what = || format!("cannot push the blob sha256:{digest} to {}", self.reference);
        let reply = self.ask(&Request::new(Method::HEAD, &url)).context(what)?;
        match reply.status() {
            200..300 => return Ok(Upload::Known),
            404 => {}
            _ => return Err(self.refused(reply).context(what())),
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.upload(digest, size, open) {
                Ok(()) => return Ok(Upload::Sent),
                Err(error) if error.kind() == Kind::Network && tries < TRIES => {}
                Err(error) => return Err(error.context(what())),
            }
        }
    }

    /// One upload: a place is asked for, and all of the blob sent there in one piece.
    fn upload(&self, digest: &Sha256, size: u64, open: Open<'_>) -> Result<()> {
        let url = self.reference.url("blobs/uploads/")?;
        let reply = self.ask(&Request::new(Method::POST, &url))?;
        if reply.status() != 202 {
            return Err(self.refused(reply));
        }
        let location = reply.header(&LOCATION).and_then(|text| reply.url().join(text).ok());
        let mut to = location.ok_or_else(|| {
            Error::new(Kind::Network, format!("{} does not say where to send blobs", self.reference.host))
        })?;
        to.query_pairs_mut().append_pair("digest", &format!("sha256:{digest}"));
        let octets = HeaderValue::from_static("application/octet-stream");
        let request = Request::new(Method::PUT, &to)
            .header(CONTENT_TYPE, octets)
            .body(Body::Stream { open, length: size })
            .redirects(Redirects::Keep);
        // Storage on another host has its permission in the URL, and gets none of ours.
        let reply = if Realm::of(&to) == Realm::of(&url) {
            self.ask(&request)?
        } else {
            reply_of(self.client.ask(&request.identity(Identity::Anonymous))?)?
        };
        match reply.status() {
            201 | 204 => Ok(()),
            // The place was forgotten, as after an upload that broke.
            404 | 416 => Err(self.refused(reply).with_kind(Kind::Network)),
            _ => Err(self.refused(reply)),
        }
    }

    /// Sends a manifest under the reference's tag.
    pub fn push_manifest(&self, manifest: &[u8], media_type: &str) -> Result<()> {
        const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
        let what = || format!("cannot push the manifest of {}", self.reference);
        let url = self.reference.url(&format!("manifests/{}", self.reference.tag))?;
        let kind = header_value(media_type, "the manifest's type")?;
        let request = Request::new(Method::PUT, &url).header(CONTENT_TYPE, kind).body(Body::Bytes(manifest));
        let reply = self.ask(&request).context(what)?;
        if !matches!(reply.status(), 200..300) {
            return Err(self.refused(reply).context(what()));
        }
        let expected = format!("sha256:{}", Sha256::of(manifest));
        match reply.header(&DIGEST) {
            Some(got) if got != expected => Err(Error::new(
                Kind::Integrity,
                format!("{} says that it stored {got}, expected {expected}", self.reference.host),
            )
            .context(what())),
            _ => Ok(()),
        }
    }

    /// Asks the registry itself, with what it wants to see; once more after a challenge.
    fn ask(&self, request: &Request<'_>) -> Result<Reply> {
        let once = || {
            let pass = self.pass.lock().ok().and_then(|pass| pass.clone());
            let request = request.clone().redirects(Redirects::Keep);
            let identity = match &pass {
                Some(Pass::Bearer(token)) => Identity::Bearer(token),
                Some(Pass::Basic(login)) => Identity::Basic(login),
                None => Identity::Known,
            };
            reply_of(self.client.ask(&request.identity(identity))?)
        };
        let reply = once()?;
        if reply.status() != 401 {
            return Ok(reply);
        }
        let challenge = reply.header(&WWW_AUTHENTICATE).map(str::to_owned).unwrap_or_default();
        if !self.answer(&challenge, reply.url())? {
            return Ok(reply);
        }
        once()
    }

    /// Gets what a challenge asks for; false where there is nothing to answer it with.
    fn answer(&self, challenge: &str, from: &Url) -> Result<bool> {
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        let pass = if scheme.eq_ignore_ascii_case("bearer") {
            Pass::Bearer(self.token(rest, from)?)
        } else {
            match &self.login {
                Some(Login::Basic(login)) if scheme.eq_ignore_ascii_case("basic") => {
                    Pass::Basic(login.clone())
                }
                _ => return Ok(false),
            }
        };
        if let Ok(mut place) = self.pass.lock() {
            *place = Some(pass);
        }
        Ok(true)
    }

    /// A token for this repository, to pull and push (distribution specification, token authentication).
    fn token(&self, challenge: &str, from: &Url) -> Result<Secret> {
        let host = &self.reference.host;
        let strange = |what: &str| {
            Error::new(Kind::Auth, format!("{host} asks for a token in a way that is not known: {what}"))
        };
        let fields = parameters(challenge);
        let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let mut url = field("realm")
            .and_then(|realm| Url::parse(realm).ok())
            .ok_or_else(|| strange("it does not say where to get one"))?;
        if url.scheme() != "https" && !(url.scheme() == "http" && from.scheme() == "http") {
            return Err(strange("the place to get one has no TLS"));
        }
        let scope = format!("repository:{}:pull,push", self.reference.path);
        let reply = if let Some(Login::Identity(token)) = &self.login {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token")
                .append_pair("service", field("service").unwrap_or_default())
                .append_pair("client_id", "venvoy")
                .append_pair("scope", &scope)
                .append_pair("refresh_token", token.expose());
            let form = form.finish();
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            let request = Request::new(Method::POST, &url)
                .header(CONTENT_TYPE, kind)
                .body(Body::Bytes(form.as_bytes()))
                .redirects(Redirects::Keep)
                .identity(Identity::Anonymous);
            reply_of(self.client.ask(&request)?)
        } else {
            if let Some(service) = field("service") {
                url.query_pairs_mut().append_pair("service", service);
            }
            url.query_pairs_mut().append_pair("scope", &scope);
            let identity = match &self.login {
                Some(Login::Basic(login)) => Identity::Basic(login),
                _ => Identity::Known,
            };
            reply_of(self.client.ask(&Request::get(&url).redirects(Redirects::Keep).identity(identity))?)
        };
        let mut reply = reply?;
        if !matches!(reply.status(), 200..300) {
            return Err(self.refused(reply).with_kind(Kind::Auth));
        }
        let body = reply.bytes(LIMIT).map_err(|_| strange("its answer cannot be read"))?;
        let value: Value = serde_json::from_slice(&body).map_err(|_| strange("its token is not in JSON"))?;
        let token = value["token"].as_str().or_else(|| value["access_token"].as_str());
        token.map(Secret::new).ok_or_else(|| strange("its answer has no token"))
    }

    /// What to say of an answer that is none of those expected.
    fn refused(&self, mut reply: Reply) -> Error {
        let host = &self.reference.host;
        let status = reply.status();
        let said = reply.bytes(LIMIT).ok().and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let said = said.and_then(|value| {
            let first = &value["errors"][0];
            Some(format!("{}: {}", first["code"].as_str()?, first["message"].as_str().unwrap_or_default()))
        });
        let said = said.map_or(String::new(), |said| format!(" ({})", said.trim_end_matches([' ', ':'])));
        match status {
            401 | 403 => {
                let (who, help) = match self.login {
                    Some(_) => ("the login it was given", "log in again with one that may push there"),
                    None => ("a request without a login", "log in with `docker login` or `podman login`"),
                };
                Error::new(Kind::Auth, format!("{host} refused {who}: {status}{said}"))
                    .help(format!("{help}; REGISTRY_AUTH_FILE and DOCKER_CONFIG say where logins are"))
            }
            _ => Error::new(Kind::Network, format!("{host} answered {status}{said}")),
        }
    }
}

fn reply_of(outcome: Outcome) -> Result<Reply> {
    match outcome {
        Outcome::Reply(reply) => Ok(*reply),
        Outcome::Leaves(_) => Err(Error::new(Kind::Network, "the registry sends us to another server")),
    }
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
