//! Names of packages and extras (PEP 503, PEP 685).

use std::{fmt, str::FromStr, sync::Arc};

use crate::words::error::{Error, Kind};

/// A package's name, normalised as in PEP 503: lower case, runs of `-`, `_` and `.` as one `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageName(Arc<str>);

/// An extra's name, normalised in the same way (PEP 685).
pub(crate) type Extra = PackageName;

impl PackageName {
    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The normalised name, to be shared.
    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The form file names use: `_` where the normalised name has `-`.
    pub fn for_file_name(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl FromStr for PackageName {
    type Err = Error;

    /// Reads a name as PEP 508 allows it: ASCII letters, digits, `-`, `_`, `.`; a letter or digit
    /// first and last.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bytes = text.as_bytes();
        let inner = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
        let ends = [bytes.first(), bytes.last()];
        if !bytes.iter().all(inner) || !ends.iter().all(|c| c.is_some_and(u8::is_ascii_alphanumeric)) {
            return Err(Error::new(
                Kind::Lock,
                format!(
                    "{text:?} is not a package name: expected letters, digits, '-', '_' and '.', \
                     with a letter or digit first and last (PEP 508)"
                ),
            ));
        }
        let mut name = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '-' | '_' | '.' if name.ends_with('-') => {}
                '-' | '_' | '.' => name.push('-'),
                _ => name.push(c.to_ascii_lowercase()),
            }
        }
        Ok(PackageName(name.into()))
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_equal() {
        for text in ["zope.interface", "Zope_Interface", "zope-.-interface"] {
            assert_eq!(text.parse::<PackageName>().expect(text).as_str(), "zope-interface");
        }
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        for text in ["", "-a", "a-", "a b", "../a", "é", "a/b", "a;b"] {
            assert!(text.parse::<PackageName>().is_err(), "{text}");
        }
    }
}
