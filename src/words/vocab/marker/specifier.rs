//! Version comparisons of markers: one PEP 440 clause, pre-releases always admitted.
//!
//! `pep440_rs::VersionSpecifier` decides some of these otherwise than `packaging` (`==3.11.*` against
//! `3`, `<3.13a2` against `3.13a1`), so only its versions are used.

use pep440_rs::Version;

use super::Operator;

/// One clause, such as `>=3.8` or `==3.*`.
pub(super) enum Specifier {
    /// `===`: compared as text, without regard to case.
    Arbitrary(String),
    /// `==V.*` or (`false`) `!=V.*`.
    Prefix(bool, Version),
    /// Any other operator, with its version.
    Plain(Operator, Version),
}

impl Specifier {
    /// The clause that `operator` and `text` make; `None` where they make none, such as `>=3.*`.
    pub(super) fn parse(operator: Operator, text: &str) -> Option<Specifier> {
        let text = text.trim();
        match operator {
            Operator::In | Operator::NotIn => None,
            Operator::Arbitrary => {
                let plain = !text.contains(|c: char| c.is_whitespace() || matches!(c, ';' | ')'));
                plain.then(|| Specifier::Arbitrary(text.to_lowercase()))
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
                    return (bare && closed).then(|| Specifier::Prefix(operator == Operator::Equal, version));
                }
                Some(Specifier::Plain(operator, text.parse().ok()?))
            }
            Operator::Compatible => {
                let version: Version = text.parse().ok()?;
                (version.release().len() > 1 && version.local().is_empty())
                    .then_some(Specifier::Plain(operator, version))
            }
            Operator::Less | Operator::LessEqual | Operator::GreaterEqual | Operator::Greater => {
                let version: Version = text.parse().ok()?;
                version.local().is_empty().then_some(Specifier::Plain(operator, version))
            }
        }
    }

    /// Whether `text` is a version that the clause admits: what is no version never is, not even by `!=`.
    pub(super) fn contains(&self, text: &str) -> bool {
        if let Specifier::Arbitrary(expected) = self {
            return text.to_lowercase() == *expected;
        }
        let Ok(version) = text.trim().parse::<Version>() else { return false };
        match self {
            Specifier::Arbitrary(_) => false,
            Specifier::Prefix(wanted, prefix) => {
                same_prefix(prefix, prefix.release().len(), &version) == *wanted
            }
            Specifier::Plain(operator, bound) => compare(*operator, version, bound),
        }
    }
}

fn compare(operator: Operator, version: Version, bound: &Version) -> bool {
    // A local part counts only where the clause has one itself.
    let public = |version: Version| if bound.is_local() { version } else { version.without_local() };
    match operator {
        Operator::Equal => public(version) == *bound,
        Operator::NotEqual => public(version) != *bound,
        Operator::LessEqual => public(version) <= *bound,
        Operator::GreaterEqual => version >= *bound,
        Operator::Compatible => version >= *bound && same_prefix(bound, bound.release().len() - 1, &version),
        Operator::Less => {
            // `<3.13` leaves out the pre-releases of 3.13 itself, of which `.dev0` is the first.
            if bound.any_prerelease() { version < *bound } else { version < bound.clone().with_dev(Some(0)) }
        }
        Operator::Greater => {
            if let Some(dev) = bound.dev() {
                version >= bound.clone().with_dev(Some(dev.saturating_add(1)))
            } else if let Some(post) = bound.post() {
                version >= bound.clone().with_post(Some(post.saturating_add(1))).with_dev(Some(0))
            } else {
                // `>3.12` leaves out the post-releases and local versions of 3.12 itself.
                version > *bound && !(same_release(bound, &version) && bound.pre() == version.pre())
            }
        }
        Operator::Arbitrary | Operator::In | Operator::NotIn => false,
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
