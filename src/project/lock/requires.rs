//! What a project requires of the interpreter.

use crate::{
    project::python::{Target, Wanted},
    words::error::{Context as _, Error, Kind, Result},
};

/// `[requires]` of a Pipfile, `_meta.requires` of a lock, or `requires-python` of a `pylock.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requires {
    /// `3.9`, `3.9.1`, `>=3.6`, `*`.
    pub python_version: Option<String>,
    /// `3.9.1`; counts before `python_version`.
    pub python_full_version: Option<String>,
}

impl Requires {
    /// What is required, as text; `None` where any interpreter will do.
    pub fn describe(&self) -> Option<&str> {
        let texts = [&self.python_full_version, &self.python_version];
        let text = texts.into_iter().flatten().map(|text| text.trim()).find(|text| !text.is_empty());
        text.filter(|text| *text != "*")
    }

    /// What is required, parsed.
    ///
    /// # Errors
    /// [`Kind::Lock`] for what is neither a version nor a range.
    pub fn wanted(&self) -> Result<Option<Wanted>> {
        let Some(text) = self.describe() else { return Ok(None) };
        let wanted = clauses(text).parse::<Wanted>().context(|| "[requires] of the project cannot be read");
        wanted.map(Some).map_err(|error: Error| error.with_kind(Kind::Lock))
    }

    /// Compares as pipenv does: the components that are given, or as a range (PEP 440). The error is a
    /// sentence for a person.
    pub fn check(&self, target: &Target) -> std::result::Result<(), String> {
        let (Some(text), Ok(Some(wanted))) = (self.describe(), self.wanted()) else { return Ok(()) };
        if wanted.matches(&target.markers.python_full_version, target.free_threaded) {
            return Ok(());
        }
        Err(format!(
            "the project requires Python {text}, and {} is {}",
            target.executable.display(),
            target.describe_shortly()
        ))
    }
}

/// The text without empty clauses (`>=3.6,`), which Python forgives.
fn clauses(text: &str) -> String {
    text.split(',').map(str::trim).filter(|clause| !clause.is_empty()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::project::python::Description;

    fn check(version: Option<&str>, full: Option<&str>) -> Result<(), String> {
        let home = Path::new("/usr/bin");
        let target = Description { python_version: "3.11.7", platform: "linux/amd64", python_home: home };
        let target = target.target().expect("a target");
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Requires { python_version: owned(version), python_full_version: owned(full) }.check(&target)
    }

    #[test]
    fn only_the_components_given_are_compared() {
        for fits in ["3", "3.11", "3.11.7", ">=3.6", ">=3.11,<4", "*", ""] {
            assert_eq!(check(Some(fits), None), Ok(()), "{fits}");
        }
        for other in ["2", "3.1", "3.12", "3.11.4", "<3.11"] {
            assert!(check(Some(other), None).is_err(), "{other}");
        }
    }

    #[test]
    fn stray_commas_are_forgiven_as_python_forgives_them() {
        assert_eq!(check(Some(">=3.6,"), None), Ok(()));
        assert_eq!(check(Some(" >= 3.6 , , < 4"), None), Ok(()));
        assert!(check(Some("<3.11,"), None).is_err());
    }

    #[test]
    fn an_empty_full_version_leaves_it_to_the_other_and_a_star_takes_anything() {
        assert!(check(Some("3.12"), Some("")).is_err());
        assert_eq!(check(Some("3.12"), Some("*")), Ok(()));
    }

    #[test]
    fn the_full_version_counts_first() {
        assert_eq!(
            check(Some("3.11"), Some("3.11.4")),
            Err("the project requires Python 3.11.4, and /usr/bin/python3.11 is CPython 3.11.7".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_read_is_an_error_of_the_lock() {
        let requires = Requires { python_version: Some("three".into()), python_full_version: None };
        assert_eq!(requires.wanted().expect_err("unreadable").kind(), Kind::Lock);
    }
}
