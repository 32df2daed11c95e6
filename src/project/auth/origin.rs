//! Where credentials were found, for messages and `venvoy auth`.

use std::{fmt, path::PathBuf};

use crate::words::vocab::Credentials;

/// Where credentials came from. Displays without any secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialOrigin {
    /// The userinfo of a source's or file's URL.
    Url,
    /// An environment variable, `VENVOY_INDEX_<NAME>_PASSWORD`.
    Variable(String),
    /// An entry of a netrc file.
    Netrc {
        /// The file.
        path: PathBuf,
        /// The line of its `machine` or `default`, from 1.
        line: usize,
    },
    /// GitLab CI's job token, `CI_JOB_TOKEN`.
    CiJobToken,
    /// GitLab's deploy token, `CI_DEPLOY_USER` and `CI_DEPLOY_PASSWORD`.
    CiDeployToken,
    /// The user's keyring.
    Keyring,
}

impl fmt::Display for CredentialOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CredentialOrigin::Url => f.write_str("the source's URL"),
            CredentialOrigin::Variable(name) => f.write_str(name),
            CredentialOrigin::Netrc { path, line } => write!(f, "{}, line {line}", path.display()),
            CredentialOrigin::CiJobToken => f.write_str("CI_JOB_TOKEN"),
            CredentialOrigin::CiDeployToken => f.write_str("CI_DEPLOY_PASSWORD"),
            CredentialOrigin::Keyring => f.write_str("the keyring"),
        }
    }
}

/// Credentials and where they came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What to send.
    pub credentials: Credentials,
    /// Who said so.
    pub origin: CredentialOrigin,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.credentials.username.is_empty() {
            write!(f, "a token (from {})", self.origin)
        } else {
            write!(f, "user {} (from {})", self.credentials.username, self.origin)
        }
    }
}
