//! Sources: the indexes a lock names.

use crate::words::{
    env::Env,
    error::{Error, Result},
    vocab::SourceUrl,
};

use super::expand::expand_url;

/// An index as the lock or the Pipfile names it.
#[derive(Debug, Clone)]
pub struct Source {
    /// What entries call it.
    pub name: Option<String>,
    /// Whether its certificate is verified.
    pub verify_ssl: bool,
    /// The URL, or why there is none: an unset variable matters only to those who use this source.
    url: std::result::Result<SourceUrl, Problem>,
}

/// An error that can be told more than once.
#[derive(Debug, Clone)]
struct Problem {
    report: String,
    help: String,
}

impl Source {
    /// A source with the variables in its URL expanded.
    pub(super) fn new(name: Option<String>, written: &str, verify_ssl: bool, env: &Env) -> Self {
        let url = expand_url(written, env).and_then(|text| text.trim().parse::<SourceUrl>());
        let url = url.map_err(|error| {
            let report = error.report();
            let (report, help) = report.split_once("\n  help: ").unwrap_or((&report, ""));
            Problem { report: report.to_owned(), help: help.to_owned() }
        });
        Source { name, verify_ssl, url }
    }

    /// Its URL, userinfo taken off.
    ///
    /// # Errors
    /// [`crate::words::error::Kind::Lock`] where a variable in it is not set or it is no URL.
    pub fn url(&self) -> Result<&SourceUrl> {
        self.url.as_ref().map_err(|problem| {
            let name = self.name.as_deref().unwrap_or("(unnamed)");
            let message = format!("source {name} cannot be used: {}", problem.report);
            Error::new(crate::words::error::Kind::Lock, message).help(&problem.help)
        })
    }
}

/// The public index's host. No registry stands ready-made in venvoy: the lock names its sources. It is
/// only needed to know which URLs PIPENV_PYPI_MIRROR replaces, and what pipenv takes a Pipfile without
/// sources to mean.
fn public_host() -> String {
    ["pypi", "org"].join(".")
}

/// The URL pipenv takes a Pipfile without sources to name.
pub(super) fn public_index() -> String {
    format!("https://{}/simple", public_host())
}

/// Whether a URL is the public index's own, under its present host name or the one it had before.
pub(crate) fn is_public_index(url: &SourceUrl) -> bool {
    let before = ["pypi", "python", "org"].join(".");
    url.url().host_str().is_some_and(|host| host == public_host() || host == before)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unset_variable_matters_only_when_the_url_is_wanted() {
        let source = Source::new(
            Some("private".into()),
            "https://u:${TOKEN}@index.example/simple",
            true,
            &Env::default(),
        );
        let report = source.url().expect_err("unset").report();
        assert_eq!(
            report,
            "source private cannot be used: the variable TOKEN is not set\n  \
             help: set TOKEN (in CI's settings, or in .env beside the Pipfile)"
        );
    }

    #[test]
    fn secrets_of_a_source_are_not_shown() {
        let env = Env::of([("TOKEN", "canary")]);
        let source = Source::new(None, "https://u:$TOKEN@index.example/simple", true, &env);
        assert_eq!(source.url().expect("a URL").to_string(), "https://index.example/simple");
        assert!(!format!("{source:?}").contains("canary"));
    }

    #[test]
    fn no_other_index_is_taken_for_the_public_one() {
        for url in ["https://index.example/simple", "http://127.0.0.1/simple", "https://pypi.example/simple"]
        {
            assert!(!is_public_index(&url.parse().expect("a URL")));
        }
    }
}
