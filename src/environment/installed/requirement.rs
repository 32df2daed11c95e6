//! One requirement of a distribution's metadata (PEP 508, and the older form with parentheses).

use std::str::FromStr;

use crate::words::{
    error::{Error, Kind, Result},
    vocab::{Extra, Marker, MarkerEnv, PackageName},
};

/// `name[extra] >=1,<2 ; marker`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// Whose.
    pub name: PackageName,
    /// Extras asked for.
    pub extras: Vec<Extra>,
    /// Which versions, as written but for white space; empty for any. `@ URL` for one at a URL.
    pub specifier: String,
    /// When.
    pub marker: Option<Marker>,
}

impl Requirement {
    /// Whether it holds in an environment, for a distribution of which these extras are wanted.
    pub(crate) fn holds(&self, env: &MarkerEnv, extras: &[Extra]) -> bool {
        self.marker.as_ref().is_none_or(|marker| marker.evaluate(env, extras, &[]))
    }
}

impl FromStr for Requirement {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::new(Kind::Destination, format!("{text:?} is not a requirement (PEP 508)"));
        let text = text.trim();
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let end = text.find(|c| !name(c)).unwrap_or(text.len());
        let (written, rest) = text.split_at(end);
        let mut rest = rest.trim_start();
        let mut extras = Vec::new();
        if let Some(inner) = rest.strip_prefix('[') {
            let (list, after) = inner.split_once(']').ok_or_else(wrong)?;
            for extra in list.split(',').map(str::trim).filter(|extra| !extra.is_empty()) {
                extras.push(extra.parse()?);
            }
            rest = after.trim_start();
        }
        // A URL may hold a semicolon; what ends it is one after white space.
        let (specifier, marker) = if let Some(url) = rest.strip_prefix('@') {
            let url = url.trim_start();
            let (url, after) = url.split_once(char::is_whitespace).unwrap_or((url, ""));
            (format!("@ {url}"), after.trim_start().strip_prefix(';'))
        } else {
            let (specifier, marker) = match rest.split_once(';') {
                Some((specifier, marker)) => (specifier, Some(marker)),
                None => (rest, None),
            };
            let inner = specifier.trim().trim_start_matches('(').trim_end_matches(')');
            (inner.chars().filter(|c| !c.is_whitespace()).collect(), marker)
        };
        let marker = marker.map(str::trim).filter(|text| !text.is_empty()).map(Marker::parse).transpose()?;
        Ok(Requirement { name: written.parse()?, extras, specifier, marker })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_requirement_is_read() {
        for (text, expected) in [
            ("six", "six [] "),
            ("Zope.Interface (>=1.0, <2)", "zope-interface [] >=1.0,<2"),
            ("a[x, Y]>=1", "a [x y] >=1"),
            ("a [x] ~= 1.0 ; extra == 'z'", "a [x] ~=1.0; extra == \"z\""),
            (
                "a @ https://h.example/a;b.zip ; os_name == 'nt'",
                "a [] @ https://h.example/a;b.zip; os_name == \"nt\"",
            ),
            ("a; python_version < '3'", "a [] ; python_version < \"3\""),
            ("a ;", "a [] "),
            ("\t a ", "a [] "),
        ] {
            let found: Requirement = text.parse().expect(text);
            let extras: Vec<&str> = found.extras.iter().map(PackageName::as_str).collect();
            let marker = found.marker.map_or_else(String::new, |marker| format!("; {marker}"));
            assert_eq!(
                format!("{} [{}] {}{marker}", found.name, extras.join(" "), found.specifier),
                expected,
                "{text}"
            );
        }
        for text in ["", "-x", "a[x", "a; nonsense ==", "a[-]"] {
            assert!(text.parse::<Requirement>().is_err(), "{text}");
        }
    }
}
