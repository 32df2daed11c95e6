//! URLs of indexes and files, their userinfo taken off.

use std::{fmt, str::FromStr};

use url::Url;

use super::{Credentials, Secret};
use crate::words::error::{Error, Kind};

/// A URL whose userinfo, if it had any, is kept apart as [`Credentials`], so that showing the URL
/// cannot show a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUrl {
    url: Url,
    credentials: Option<Credentials>,
}

impl SourceUrl {
    /// The URL without userinfo.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The credentials that stood in the URL.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

impl From<Url> for SourceUrl {
    /// Takes the userinfo off, percent-decoded. A lone user (`https://TOKEN@host`) may be a token, so
    /// it is kept as the secret half and sent as the user with an empty password (`Credentials::basic`).
    fn from(mut url: Url) -> Self {
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            (user, Some(password)) => Some(Credentials::new(decode(user), Secret::new(decode(password)))),
            (user, None) => Some(Credentials::lone(Secret::new(decode(user)))),
        };
        if credentials.is_some() {
            // Only fails for URLs that cannot have userinfo, which then had none.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        SourceUrl { url, credentials }
    }
}

impl FromStr for SourceUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // The text itself is not shown: it may hold a password that a parse error makes unfindable.
        let url = Url::parse(text).map_err(|error| {
            Error::new(Kind::Lock, "a URL cannot be parsed (not shown: it may hold a password)")
                .because(error)
                .help("expected something like https://index.example/simple")
        })?;
        Ok(url.into())
    }
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::shown_url(&self.url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userinfo_is_never_shown() {
        let source: SourceUrl = "https://ci:p%40ss@index.example/simple".parse().expect("a URL");
        assert_eq!(source.to_string(), "https://index.example/simple");
        assert!(!format!("{source:?}").contains("p@ss"));
        let credentials = source.credentials().expect("credentials");
        assert_eq!((credentials.username.as_str(), credentials.password.expose()), ("ci", "p@ss"));
    }

    #[test]
    fn an_empty_user_is_no_lone_token() {
        let basic = |text: &str| {
            let source: SourceUrl = text.parse().expect("a URL");
            let (user, password) = source.credentials().expect("credentials").basic();
            (user.to_owned(), password.to_owned())
        };
        assert_eq!(basic("https://:token@index.example/"), (String::new(), "token".to_owned()));
        assert_eq!(basic("https://token@index.example/"), ("token".to_owned(), String::new()));
        assert_eq!(basic("https://token:@index.example/"), ("token".to_owned(), String::new()));
    }

    #[test]
    fn a_query_is_not_shown() {
        let source: SourceUrl = "https://index.example/f.whl?token=canary".parse().expect("a URL");
        assert_eq!(source.to_string(), "https://index.example/f.whl");
        assert_eq!(source.url().query(), Some("token=canary"));
    }

    #[test]
    fn what_only_looks_like_a_url_is_not_shown() {
        for text in ["u:canary@index.example/simple", "canary:@index.example", "data:text/plain,canary"] {
            let source: SourceUrl = text.parse().expect(text);
            assert!(!source.to_string().to_lowercase().contains("canary"), "{source}");
        }
        let source: SourceUrl = "https://index.example/f.whl#canary".parse().expect("a URL");
        assert_eq!(source.to_string(), "https://index.example/f.whl");
    }

    #[test]
    fn an_unparsable_url_does_not_leak_into_its_error() {
        let error = "https://ci:canary@[bad/simple".parse::<SourceUrl>().expect_err("no URL");
        assert!(!error.report().contains("canary"), "{}", error.report());
    }
}
