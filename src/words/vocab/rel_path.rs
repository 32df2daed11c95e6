//! Paths that cannot leave the directory they are relative to.

use std::{fmt, path::Path, str::FromStr};

use crate::words::error::{Error, Kind};

/// A relative path of one or more components, separated by `/`: never absolute, no `.`, `..` or
/// empty component, no NUL, no backslash, no drive. The only thing `write` and `pack` accept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelPath(String);

impl RelPath {
    /// The path with `/` between components.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path for the file system.
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// This path with `inner` below it.
    #[must_use]
    pub fn join(&self, inner: &RelPath) -> RelPath {
        RelPath([&self.0, "/", &inner.0].concat())
    }

    /// The path without its last component; `None` at the top.
    pub fn parent(&self) -> Option<RelPath> {
        self.0.rsplit_once('/').map(|(parent, _)| RelPath(parent.to_owned()))
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The components in order.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// What remains below `prefix`, compared component by component; `None` if it is not above.
    pub fn strip_prefix(&self, prefix: &RelPath) -> Option<RelPath> {
        let rest = self.0.strip_prefix(&prefix.0)?.strip_prefix('/')?;
        Some(RelPath(rest.to_owned()))
    }

    /// Whether this is `prefix` or lies below it, compared component by component.
    pub fn starts_with(&self, prefix: &RelPath) -> bool {
        self == prefix || self.strip_prefix(prefix).is_some()
    }
}

impl FromStr for RelPath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why: &str| {
            Error::new(
                Kind::Integrity,
                format!(
                    "unsafe path {text:?}: {why}; expected a relative path that stays inside its directory"
                ),
            )
        };
        if text.is_empty() {
            return Err(wrong("it is empty"));
        }
        if text.starts_with('/') {
            return Err(wrong("it is absolute"));
        }
        if text.contains(['\\', '\0']) {
            return Err(wrong("it contains a backslash or NUL"));
        }
        let bytes = text.as_bytes();
        if bytes.len() >= 2 && bytes[1] == b':' && bytes[0].is_ascii_alphabetic() {
            return Err(wrong("it names a drive"));
        }
        for component in text.split('/') {
            match component {
                "" => return Err(wrong("a component is empty")),
                "." | ".." => return Err(wrong("it has a '.' or '..' component")),
                _ if component.len() > 255 => return Err(wrong("a component is longer than 255 bytes")),
                _ => {}
            }
        }
        Ok(RelPath(text.to_owned()))
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_that_could_escape_are_refused() {
        for text in
            ["", "/", "/a", "..", "a/..", "a/../b", "./a", "a//b", "a/", "a\\..\\b", "C:/a", "c:a", "a\0b"]
        {
            assert!(text.parse::<RelPath>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn prefixes_are_compared_by_components() {
        let path = |text: &str| text.parse::<RelPath>().expect(text);
        assert!(path("bin/python").starts_with(&path("bin")));
        assert!(!path("binary/python").starts_with(&path("bin")));
        assert_eq!(path("a/b/c").strip_prefix(&path("a")), Some(path("b/c")));
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), None);
    }

    proptest! {
        #[test]
        fn any_accepted_path_stays_below_its_directory(text in "[a./\\\\:]{0,12}") {
            if let Ok(path) = text.parse::<RelPath>() {
                use std::path::Component;
                prop_assert!(path.as_path().components().all(|c| matches!(c, Component::Normal(_))));
                prop_assert_eq!(path.as_path().components().count(), path.components().count());
            }
        }
    }
}
