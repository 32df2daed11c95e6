//! Version specifiers (PEP 440) with the semantics of `packaging` 26, pre-releases always admitted: of markers, of a
//! lock's versions, of `Requires-Python`.
//!
//! `pep440_rs::VersionSpecifiers` decides some of them otherwise (`==3.11.*` against `3`, `<3.13a2` against `3.13a1`,
//! `>1.0.dev1` against `1.0.post1`), so only its versions are used.

use std::{fmt, str::FromStr};

use pep440_rs::Version;

use crate::words::error::{Error, Kind};

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Less,
    LessEqual,
    Equal,
    NotEqual,
    GreaterEqual,
    Greater,
    Compatible,
    Arbitrary,
}

/// The operators, those before others that begin with them.
pub(super) const OPERATORS: [(&str, Operator); 8] = [
    ("===", Operator::Arbitrary),
    ("==", Operator::Equal),
    ("~=", Operator::Compatible),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessEqual),
    (">=", Operator::GreaterEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Operator {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Operator::Less => "<",
            Operator::LessEqual => "<=",
            Operator::Equal => "==",
            Operator::NotEqual => "!=",
            Operator::GreaterEqual => ">=",
            Operator::Greater => ">",
            Operator::Compatible => "~=",
            Operator::Arbitrary => "===",
        }
    }
}

/// Clauses that all must hold, such as `>=3.8,<4`. Displays in the order in which they were written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Specifiers(Vec<Clause>);

impl Specifiers {
    /// Whether all clauses admit a version.
    pub fn contains(&self, version: &Version) -> bool {
        self.0.iter().all(|clause| clause.admits(version))
    }

    /// Whether there is no clause: every version is admitted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a clause asks for pre-releases: by naming one, other than to exclude it.
    pub fn ask_for_prereleases(&self) -> bool {
        self.0.iter().any(|clause| match clause {
            Clause::Plain(Operator::NotEqual, _) | Clause::Prefix(..) | Clause::Arbitrary(_) => false,
            Clause::Plain(_, version) => version.any_prerelease(),
        })
    }
}

impl FromStr for Specifiers {
    type Err = Error;

    /// Reads clauses with commas between them; empty ones, as in `>=3.6,`, count as absent.
    fn from_str(text: &str) -> Result<Self, Error> {
        let clauses = text.split(',').map(str::trim).filter(|clause| !clause.is_empty());
        let clauses: Vec<Clause> = clauses.map(clause).collect::<Result<_, _>>()?;
        if clauses.is_empty() {
            return Err(wrong(text));
        }
        Ok(Specifiers(clauses))
    }
}

fn clause(text: &str) -> Result<Clause, Error> {
    let (operator, bound) = OPERATORS
        .iter()
        .find_map(|(written, operator)| Some((*operator, text.strip_prefix(written)?)))
        .ok_or_else(|| wrong(text))?;
    Clause::parse(operator, bound).ok_or_else(|| wrong(text))
}

fn wrong(text: &str) -> Error {
    Error::new(Kind::Usage, format!("{text:?} is no version specifier"))
        .help("expected something like >=3.8,<4 (PEP 440)")
}

impl fmt::Display for Specifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, clause) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            match clause {
                Clause::Arbitrary(text) => write!(f, "{comma}==={text}"),
                Clause::Prefix(true, version) => write!(f, "{comma}=={version}.*"),
                Clause::Prefix(false, version) => write!(f, "{comma}!={version}.*"),
                Clause::Plain(operator, version) => write!(f, "{comma}{}{version}", operator.as_str()),
            }?;
        }
        Ok(())
    }
}

/// One clause, such as `>=3.8` or `==3.*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clause {
    /// `===`: compared as text, without regard to case.
    Arbitrary(String),
    /// `==V.*` or (`false`) `!=V.*`.
    Prefix(bool, Version),
    /// Any other operator, with its version.
    Plain(Operator, Version),
}

impl Clause {
    /// The clause that `operator` and `text` make; `None` where they make none, such as `>=3.*`.
    pub(super) fn parse(operator: Operator, text: &str) -> Option<Clause> {
        let text = text.trim();
        match operator {
            Operator::Arbitrary => {
                let plain = !text.contains(|c: char| c.is_whitespace() || matches!(c, ';' | ')'));
                plain.then(|| Clause::Arbitrary(text.to_lowercase()))
            }
            Operator::Equal | Operator::NotEqual => {
                if let Some(prefix) = text.strip_suffix(".*") {
                    let version: Version = prefix.parse().ok()?;
                    let bare = version.pre().is_none()
                        && version.post().is_none()
                        && version.dev().is_none()
                        && version.local().is_empty();
                    // `3..*` must not pass because a parser forgives the dot, nor `3 .*` the space.
                    let closed = prefix.ends_with(|c: char| c.is_ascii_digit());
                    return (bare && closed).then(|| Clause::Prefix(operator == Operator::Equal, version));
                }
                Some(Clause::Plain(operator, text.parse().ok()?))
            }
            Operator::Compatible => {
                let version: Version = text.parse().ok()?;
                (version.release().len() > 1 && version.local().is_empty())
                    .then_some(Clause::Plain(operator, version))
            }
            Operator::Less | Operator::LessEqual | Operator::GreaterEqual | Operator::Greater => {
                let version: Version = text.parse().ok()?;
                version.local().is_empty().then_some(Clause::Plain(operator, version))
            }
        }
    }

    /// Whether `text` is a version that the clause admits: what is no version never is, not even by `!=`.
    pub(super) fn contains(&self, text: &str) -> bool {
        if let Clause::Arbitrary(expected) = self {
            return text.to_lowercase() == *expected;
        }
        text.trim().parse().is_ok_and(|version| self.admits(&version))
    }

    fn admits(&self, version: &Version) -> bool {
        match self {
            Clause::Arbitrary(expected) => version.to_string() == *expected,
            Clause::Prefix(wanted, prefix) => same_prefix(prefix, prefix.release().len(), version) == *wanted,
            Clause::Plain(operator, bound) => compare(*operator, version, bound),
        }
    }
}

fn compare(operator: Operator, version: &Version, bound: &Version) -> bool {
    // A local part counts only where the clause has one itself.
    let public = || if bound.is_local() { version.clone() } else { version.clone().without_local() };
    match operator {
        Operator::Equal => public() == *bound,
        Operator::NotEqual => public() != *bound,
        Operator::LessEqual => public() <= *bound,
        Operator::GreaterEqual => *version >= *bound,
        Operator::Compatible => *version >= *bound && same_prefix(bound, bound.release().len() - 1, version),
        Operator::Less => {
            // `<3.13` leaves out the pre-releases of 3.13 itself, of which `.dev0` is the first.
            if bound.any_prerelease() {
                *version < *bound
            } else {
                *version < bound.clone().with_dev(Some(0))
            }
        }
        Operator::Greater => {
            if let Some(dev) = bound.dev() {
                *version >= bound.clone().with_dev(Some(dev.saturating_add(1)))
            } else if let Some(post) = bound.post() {
                *version >= bound.clone().with_post(Some(post.saturating_add(1))).with_dev(Some(0))
            } else {
                // `>3.12` leaves out the post-releases and local versions of 3.12 itself.
                *version > *bound && !(same_release(bound, version) && bound.pre() == version.pre())
            }
        }
        Operator::Arbitrary => false,
    }
}

/// Whether the releases are equal, trailing zeros aside.
fn same_release(a: &Version, b: &Version) -> bool {
    a.epoch() == b.epoch() && a.only_release() == b.only_release()
}

/// Whether the first `count` release numbers agree, missing ones being zero.
fn same_prefix(prefix: &Version, count: usize, version: &Version) -> bool {
    let numbers = version.release().iter().chain(std::iter::repeat(&0));
    prefix.epoch() == version.epoch() && prefix.release()[..count].iter().zip(numbers).all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Specifiers {
        text.parse().unwrap_or_else(|error: Error| panic!("{}", error.report()))
    }

    /// What `packaging` 26 admits and `pep440_rs` does not, or the other way round: found by fuzzing.
    #[test]
    fn a_range_admits_what_packaging_admits() {
        for (version, range, expected) in [
            ("1.0.post1", ">1.0.dev1", true),
            ("1.0a1", "<1.0rc1", true),
            ("1.0.dev3", "<1.0rc1", true),
            ("1.0a1", "<1.0", false),
            ("1.0.post1", ">1.0", false),
            ("1.0+l", "==1.0", true),
            ("3", "==3.0.*", true),
            ("2.0", ">=1,!=2.0", false),
            ("1.0RC1", "===1.0rc1", true),
        ] {
            assert_eq!(read(range).contains(&version.parse().expect(version)), expected, "{version} {range}");
        }
    }

    #[test]
    fn clauses_are_read_and_shown_in_their_order() {
        for (text, shown) in [
            (">=3.6,", ">=3.6"),
            (" >= 2 , <3,!=2.5.* ", ">=2, <3, !=2.5.*"),
            ("===Any.Thing", "===any.thing"),
            ("~=1.4.0a1", "~=1.4.0a1"),
        ] {
            assert_eq!(read(text).to_string(), shown);
            assert_eq!(read(shown), read(text), "{text}");
        }
        for text in ["", ",", "1.0", ">=3.*", "~=1", "> =1", "<1.0+l", "=1", "==", ">=a"] {
            assert!(text.parse::<Specifiers>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_clause_that_names_a_prerelease_asks_for_them() {
        assert!(read(">=1.0a1").ask_for_prereleases() && read("<2,>=1.dev1").ask_for_prereleases());
        assert!(!read("!=1.0a1,>=1").ask_for_prereleases() && !read("==1.*").ask_for_prereleases());
    }
}
