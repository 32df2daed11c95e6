//! The Python version that someone asks for.

use std::{fmt, str::FromStr};

use crate::words::{
    error::{Error, Kind, Result},
    vocab::{Specifiers, Version},
};

/// A wanted Python version: components (`3`, `3.9`, `3.9.1`, `3.13t`) or a range (`>=3.6`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The first components of the version.
    Components {
        /// One to three numbers.
        release: Vec<u8>,
        /// `3.13t`: a build without the GIL; otherwise either kind fits.
        free_threaded: bool,
    },
    /// PEP 440 clauses that the full version satisfies. `*` is the range of everything.
    Range(Specifiers),
}

impl FromStr for Wanted {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let wrong = || {
            Error::new(Kind::Target, format!("{text:?} is not a Python version"))
                .help("expected something like 3.11, 3.11.7, 3.13t or >=3.9,<3.13")
        };
        if text == "*" {
            return Ok(Wanted::Range(Specifiers::default()));
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            let (numbers, free_threaded) = match text.strip_suffix('t') {
                Some(numbers) => (numbers, true),
                None => (text.strip_suffix(".*").unwrap_or(text), false),
            };
            let release: Vec<u8> =
                numbers.split('.').map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
            if release.len() > 3 {
                return Err(wrong());
            }
            return Ok(Wanted::Components { release, free_threaded });
        }
        if text.is_empty() {
            return Err(wrong());
        }
        text.parse().map(Wanted::Range).map_err(|error| wrong().because(error))
    }
}

impl Wanted {
    /// This, if it names one minor version: `3.11`, `3.11.7`.
    pub(crate) fn single(&self) -> Option<&Self> {
        matches!(self, Wanted::Components { release, .. } if release.len() > 1).then_some(self)
    }

    /// Whether a Python of that full version (`3.13.0a1`) fits.
    pub fn matches(&self, python_full_version: &str, free_threaded: bool) -> bool {
        // `3.13.0+` is what a build from an untagged checkout calls itself.
        let Ok(version) = python_full_version.trim_end_matches('+').parse::<Version>() else { return false };
        match self {
            Wanted::Components { release, free_threaded: wanted } => {
                let same = release.iter().zip(version.release()).all(|(a, b)| u64::from(*a) == *b);
                same && release.len() <= version.release().len() && (!wanted || free_threaded)
            }
            Wanted::Range(range) => range.contains(&version),
        }
    }

    /// `(major, minor)` where both are asked for.
    pub(super) fn minor(&self) -> Option<(u8, u8)> {
        match self {
            Wanted::Components { release, .. } => Some((*release.first()?, *release.get(1)?)),
            Wanted::Range(_) => None,
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Components { release, free_threaded } => {
                let numbers: Vec<String> = release.iter().map(u8::to_string).collect();
                write!(f, "{}{}", numbers.join("."), if *free_threaded { "t" } else { "" })
            }
            Wanted::Range(range) if range.is_empty() => f.write_str("*"),
            Wanted::Range(range) => range.fmt(f),
        }
    }
}
