//! The name of an image in a registry.

use std::{fmt, str::FromStr};

use url::Url;

use crate::words::{
    error::{Error, Kind},
    vocab::Sha256,
};

/// Docker Hub, as it is written, and the host that answers for it.
const HUB: &str = "docker.io";
const HUB_HOST: &str = "registry-1.docker.io";

/// `HOST[:PORT]/PATH[:TAG][@sha256:DIGEST]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The registry, with its port where one was given.
    pub host: String,
    /// The repository.
    pub path: String,
    /// The tag.
    pub tag: String,
    /// The digest of the manifest, where it is named by that.
    pub digest: Option<Sha256>,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::new(Kind::Usage, format!("{text:?} is no image in a registry: {why}"))
                .help("expected something like registry.example/team/shop:1.4")
        };
        let (name, digest) = match text.split_once("@sha256:") {
            Some((name, hex)) => {
                (name, Some(hex.parse().map_err(|_| wrong("its digest is not one of SHA-256"))?))
            }
            None => (text, None),
        };
        let (host, rest) = name
            .split_once('/')
            .filter(|_| Self::names_registry(name))
            .ok_or_else(|| wrong("it names no registry"))?;
        if host.contains('@') || Url::parse(&format!("https://{host}/")).is_err() {
            return Err(wrong("its registry is no host with or without a port"));
        }
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (rest, "latest"),
        };
        let small = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c);
        let is_path = path.split('/').all(|part| {
            part.bytes().all(small) && part.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric())
        });
        let is_tag = tag.len() <= 128
            && tag.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c))
            && !tag.starts_with(['.', '-'])
            && !tag.is_empty();
        if !is_path {
            return Err(wrong("a repository has small letters, digits and . _ - between slashes"));
        }
        if !is_tag {
            return Err(wrong("its tag has other characters than letters, digits and . _ -"));
        }
        // Docker Hub's own images are written without their place.
        let host = if host == "index.docker.io" { HUB } else { host };
        let path =
            if host == HUB && !path.contains('/') { format!("library/{path}") } else { path.to_owned() };
        Ok(Reference { host: host.to_owned(), path, tag: tag.to_owned(), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.digest {
            Some(digest) => write!(f, "{}/{}@sha256:{digest}", self.host, self.path),
            None => write!(f, "{}/{}:{}", self.host, self.path, self.tag),
        }
    }
}

impl Reference {
    /// A repository of a registry: `oci://HOST[:PORT]/PATH`.
    ///
    /// # Errors
    /// [`Kind::Usage`] for anything else, an image's tag or digest included.
    pub(crate) fn repository(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::new(Kind::Usage, format!("{text:?} is no repository of a registry: {why}"))
                .help("expected something like oci://registry.example/team/wheels")
        };
        let name = text.strip_prefix("oci://").ok_or_else(|| wrong("it does not begin with oci://"))?;
        let path = name.split_once('/').map_or("", |(_, path)| path);
        if path.contains([':', '@']) {
            return Err(wrong("it has a tag or digest"));
        }
        name.trim_end_matches('/').parse()
    }

    /// Whether a name begins with a registry, as engines decide it.
    pub(crate) fn names_registry(text: &str) -> bool {
        text.split_once('/').is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost")
    }

    /// An image by a name that names no registry: Docker Hub's.
    ///
    /// # Errors
    /// [`Kind::Usage`] for what is no name.
    pub(crate) fn of_hub(text: &str) -> Result<Self, Error> {
        format!("{HUB}/{text}").parse()
    }

    /// The digest or else the tag: what a manifest is asked for by.
    pub(crate) fn manifest(&self) -> String {
        self.digest.map_or_else(|| self.tag.clone(), |digest| format!("sha256:{digest}"))
    }

    /// What logins of this registry stand under in docker's and podman's files.
    pub(crate) fn login_name(&self) -> &str {
        if self.host == HUB { "index.docker.io" } else { &self.host }
    }

    /// All names it may have in them, the one that helper programs are asked for first.
    pub(crate) fn login_names(&self) -> Vec<&str> {
        if self.host == HUB {
            vec!["https://index.docker.io/v1/", "index.docker.io", HUB]
        } else {
            vec![&self.host]
        }
    }

    /// A URL of the registry's interface. Only a registry on this very machine is spoken to without TLS, as with engines.
    pub(crate) fn url(&self, rest: &str) -> Result<Url, Error> {
        let name = self.host.split(':').next().unwrap_or_default();
        let here = name == "localhost" || name.starts_with("127.") || self.host.starts_with("[::1]");
        let scheme = if here { "http" } else { "https" };
        let host = if self.host == HUB { HUB_HOST } else { &self.host };
        Url::parse(&format!("{scheme}://{host}/v2/{}/{rest}", self.path)).map_err(|error| {
            Error::new(Kind::Usage, format!("{self} cannot be written as a URL")).because(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_registry_a_repository_and_a_tag() {
        let parse = |text: &str| text.parse::<Reference>().map(|one| (one.host, one.path, one.tag)).ok();
        let owned = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(parse("localhost:5000/a/b"), owned("localhost:5000", "a/b", "latest"));
        assert_eq!(parse("reg.example/a:V1.2"), owned("reg.example", "a", "V1.2"));
        let digest = format!("reg.example/a@sha256:{}", "0f".repeat(32));
        assert_eq!(digest.parse::<Reference>().expect("a digest").to_string(), digest);
        assert_eq!(digest.parse::<Reference>().expect("a digest").manifest(), digest[14..]);
        for wrong in [
            "reg.example/a@sha256:0f",
            "shop",
            "team/shop:1",
            "reg.example/Shop",
            "reg.example/a//b",
            "reg.example/a:",
            "u:p@reg.example/a",
            "reg.example/a:-x",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn docker_hub_has_three_names() {
        let hub = |text: &str| Reference::of_hub(text).expect(text);
        assert_eq!(hub("python:3.9-slim").to_string(), "docker.io/library/python:3.9-slim");
        assert_eq!(hub("team/shop").path, "team/shop");
        let url = hub("python").url("manifests/latest").expect("a URL");
        assert_eq!(url.as_str(), "https://registry-1.docker.io/v2/library/python/manifests/latest");
        assert_eq!(hub("python").login_name(), "index.docker.io");
        assert_eq!("index.docker.io/python".parse::<Reference>().expect("a name"), hub("python"));
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        let url = |text: &str| {
            text.parse::<Reference>().and_then(|one| one.url("tags/list")).expect(text).to_string()
        };
        assert_eq!(url("localhost:5000/a"), "http://localhost:5000/v2/a/tags/list");
        assert_eq!(url("127.0.0.1:5000/a"), "http://127.0.0.1:5000/v2/a/tags/list");
        assert_eq!(url("reg.example:5000/a"), "https://reg.example:5000/v2/a/tags/list");
        assert_eq!(url("localhost.example/a"), "https://localhost.example/v2/a/tags/list");
    }
}
