//! The environment as a value: read once, so that inner rooms need not touch it.

use std::{collections::BTreeMap, path::PathBuf};

use crate::words::vocab::Concealed;

/// Environment variables. Names and values that are not Unicode are kept out: no setting of ours is one.
#[derive(Clone, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
    concealed: Concealed,
}

impl std::fmt::Debug for Env {
    // Values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Env {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Env { variables: std::env::vars_os().filter_map(unicode).collect(), ..Env::default() }
    }

    /// An environment of the given variables.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Env { variables: variables.into_iter().map(owned).collect(), ..Env::default() }
    }

    /// A variable's value, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A variable's value if it is set, even when it is empty (`${VAR}` expands to nothing then).
    pub fn get_raw(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A variable that holds a path; `~/` stands for the home directory, as pipenv expands it.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(|text| match (text.strip_prefix("~/"), self.get("HOME")) {
            (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
            _ => PathBuf::from(text),
        })
    }

    /// Whether a switch is on, by the words pipenv takes for it.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| {
            !matches!(value.to_ascii_lowercase().as_str(), "0" | "false" | "no" | "off" | "n" | "f")
        })
    }

    /// The environment's variables by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The values that came into a URL's visible part from here; clones share them.
    pub fn concealed(&self) -> &Concealed {
        &self.concealed
    }

    /// Sets a variable, as a `.env` file does.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.variables.insert(name.into(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_not_shown() {
        let env = Env::of([("CI_JOB_TOKEN", "canary")]);
        assert_eq!(format!("{env:?}"), "{\"CI_JOB_TOKEN\"}");
    }

    #[test]
    fn switches_take_the_words_pipenv_takes() {
        let env = Env::of([("A", "1"), ("B", "0"), ("C", "False"), ("D", "yes"), ("E", "")]);
        assert_eq!(
            ["A", "B", "C", "D", "E", "F"].map(|name| env.flag(name)),
            [true, false, false, true, false, false]
        );
    }
}
