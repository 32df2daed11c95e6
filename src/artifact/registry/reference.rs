//! The name of an image in a registry.

use std::{fmt, str::FromStr};

use url::Url;

use crate::words::error::{Error, Kind};

/// `HOST[:PORT]/PATH:TAG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The registry, with its port where one was given.
    pub host: String,
    /// The repository.
    pub path: String,
    /// The tag.
    pub tag: String,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::new(Kind::Usage, format!("{text:?} is no image in a registry: {why}"))
                .help("expected something like registry.example/team/shop:1.4")
        };
        let (host, rest) = text.split_once('/').ok_or_else(|| wrong("it names no registry"))?;
        if !(host.contains(['.', ':']) || host == "localhost") {
            return Err(wrong("it names no registry"));
        }
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
        Ok(Reference { host: host.to_owned(), path: path.to_owned(), tag: tag.to_owned() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.host, self.path, self.tag)
    }
}

impl Reference {
    /// A URL of the registry's interface. Only a registry on this very machine is spoken to without TLS, as with engines.
    pub fn url(&self, rest: &str) -> Result<Url, Error> {
        let name = self.host.split(':').next().unwrap_or_default();
        let here = name == "localhost" || name.starts_with("127.") || self.host.starts_with("[::1]");
        let scheme = if here { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{}/v2/{}/{rest}", self.host, self.path)).map_err(|error| {
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
        for wrong in [
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
