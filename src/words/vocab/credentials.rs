//! Secrets and where they may go.

use std::fmt;

use url::Url;

/// A password or token. Prints as `****` everywhere; only [`Secret::expose`] gives the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the secret in.
    pub fn new(text: impl Into<String>) -> Self {
        Secret(text.into())
    }

    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The secret as those write it who show a string with its quotation marks (Rust, JSON, Python), where that is
    /// something else.
    pub(crate) fn quoted(&self) -> Vec<Secret> {
        let inside = |text: &str| text[1..text.len() - 1].to_owned();
        let debug = inside(&format!("{:?}", self.0));
        let json = inside(&serde_json::Value::from(self.0.as_str()).to_string());
        // Python quotes with the mark that is not there, and with single ones where both are.
        let repr = debug.replace("\\\"", "\"");
        let repr = if repr.contains('"') { repr.replace('\'', "\\'") } else { repr };
        let mut forms = vec![debug, json, repr];
        forms.dedup();
        forms.into_iter().filter(|form| *form != self.0).map(Secret).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// A user and password for HTTP basic authentication (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name, which may be shown. Where a token stands in its place (`https://TOKEN@host`)
    /// the token is the password and this is empty. It is empty, too, for `https://:TOKEN@host`.
    pub username: String,
    /// The password or token.
    pub password: Secret,
    lone: bool,
}

impl Credentials {
    /// A user, who may be nameless, and a password.
    pub fn new(username: impl Into<String>, password: Secret) -> Self {
        Credentials { username: username.into(), password, lone: false }
    }

    /// A token that stands where users do.
    pub fn lone(token: Secret) -> Self {
        Credentials { username: String::new(), password: token, lone: true }
    }

    /// Whether this is a token that stands where users do.
    pub fn is_lone(&self) -> bool {
        self.lone
    }

    /// User and password as they are sent: a lone token goes in the user's place, as URLs write it.
    pub fn basic(&self) -> (&str, &str) {
        if self.lone { (self.password.expose(), "") } else { (&self.username, self.password.expose()) }
    }
}

/// Where credentials belong: they are sent to the same scheme, host and port, and nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Realm {
    /// `http` or `https`.
    pub scheme: String,
    /// The host in lower case, IPv6 in brackets.
    pub host: String,
    /// The port, the scheme's default filled in.
    pub port: u16,
}

impl Realm {
    /// The realm of an http(s) URL; `None` where a URL has no host or no known port.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Realm {
            scheme: url.scheme().to_owned(),
            host: url.host_str()?.to_ascii_lowercase(),
            port: url.port_or_known_default()?,
        })
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars() {
        let secret = Secret::new("canary");
        assert_eq!(format!("{secret} {secret:?}"), "**** ****");
        let credentials = Credentials::new("ci", secret);
        assert!(!format!("{credentials:?}").contains("canary"));
    }

    #[test]
    fn a_secret_has_the_forms_in_which_others_quote_it() {
        let forms = |text: &str| {
            let quoted = Secret::new(text).quoted();
            quoted.into_iter().map(|form| form.expose().to_owned()).collect::<Vec<_>>()
        };
        assert!(forms("plain-token_1").is_empty());
        assert_eq!(forms("a\\b\t"), ["a\\\\b\\t"]);
        assert_eq!(forms("a\"b"), ["a\\\"b"]);
        // What Python prints: 'a"\'b'.
        assert_eq!(forms("a\"'b"), ["a\\\"'b", "a\"\\'b"]);
    }

    #[test]
    fn realms_fill_in_the_port_and_tell_schemes_apart() {
        let realm = |text: &str| Realm::of(&Url::parse(text).expect("a URL")).expect("a realm");
        assert_eq!(realm("https://Host.example/a"), realm("https://host.example:443/b"));
        assert_ne!(realm("https://host.example/"), realm("http://host.example:443/"));
        assert_ne!(realm("https://host.example/"), realm("https://host.example:8443/"));
    }
}
