//! What is inside (software bill of materials): CycloneDX 1.6 and SPDX 2.3. Neither the clock nor a
//! random number gets into a document, so that equal environments have equal ones.

mod crates;
mod cyclonedx;
mod licence;
mod spdx;

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

pub use crates::of_binary;
pub(crate) use licence::Licence;

use crate::{
    environment::{
        installed::{Metadata, holding},
        layout::DistInput,
    },
    packages::wheel::with_scratch,
    words::{
        choices::SbomFormat,
        error::{Context as _, Result},
        vocab::{Extra, MarkerEnv, PackageName, Sha256},
    },
};

/// What a version may hold in a package URL as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// Something that is inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Component {
    /// Its normalised name, or a file's path.
    pub name: String,
    /// Its version, where it has one.
    pub version: Option<String>,
    /// The digest of the file it came in, in hexadecimal.
    pub sha256: String,
    /// That file's name.
    pub file: String,
    /// Under which licence it may be used.
    pub licence: Licence,
    /// Those inside that it requires, sorted: names, of crates with their version (`NAME@VERSION`).
    pub requires: Vec<String>,
    /// Whether it is a distribution; else it is a file of the system.
    pub distribution: bool,
    /// Where a distribution is from.
    #[serde(default)]
    pub ecosystem: Ecosystem,
}

/// Whose packages they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ecosystem {
    /// Python's.
    #[default]
    Pypi,
    /// Rust's.
    Cargo,
}

impl Component {
    /// Its package URL; none for a file.
    pub(crate) fn purl(&self) -> Option<String> {
        let version = self.version.as_deref().filter(|_| self.distribution)?;
        let kind = match self.ecosystem {
            Ecosystem::Pypi => "pypi",
            Ecosystem::Cargo => "cargo",
        };
        Some(format!("pkg:{kind}/{}@{}", self.name, utf8_percent_encode(version, PLAIN)))
    }

    /// What others require it by: a binary may have several versions of a crate.
    fn key(&self) -> String {
        match (self.ecosystem, &self.version) {
            (Ecosystem::Cargo, Some(version)) => format!("{}@{version}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// What it is that these things are inside of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its digest (`sha256:...`), where it has one: an image's manifest.
    pub digest: Option<String>,
    /// When it was made, as it says itself, in seconds since 1970.
    pub created: i64,
}

/// The distributions of an environment, by name. `asked` are the extras that are asked for.
///
/// # Errors
/// Those of wheels whose METADATA cannot be read.
pub(crate) fn components(
    inputs: &[DistInput],
    markers: &MarkerEnv,
    asked: BTreeMap<PackageName, Vec<Extra>>,
) -> Result<Vec<Component>> {
    let mut files: BTreeMap<PackageName, (String, Sha256, String)> = BTreeMap::new();
    let mut all: BTreeMap<PackageName, Metadata> = BTreeMap::new();
    for input in inputs {
        let wheel = &input.wheel;
        let path = format!("{}/METADATA", wheel.dist_info);
        let entry = wheel.entries.iter().position(|entry| entry.path.as_str() == path);
        let text = entry
            .map(|entry| {
                with_scratch(|scratch| {
                    wheel
                        .inflate(entry, scratch)
                        .map(|content| String::from_utf8_lossy(content.bytes).into_owned())
                })
            })
            .transpose()
            .context(|| format!("cannot read the metadata of {}", wheel.name.file_name))?;
        let name = wheel.name.name.clone();
        files.insert(
            name.clone(),
            (wheel.name.version.to_string(), wheel.file.sha256(), wheel.name.file_name.clone()),
        );
        all.insert(name, Metadata::parse(&text.unwrap_or_default()));
    }
    let component = |(name, (metadata, requires)): (PackageName, (Metadata, Vec<_>))| {
        let (version, sha256, file) = files.get(&name).cloned().unwrap_or_default();
        let there = |one: &crate::environment::installed::Requirement| {
            files.contains_key(&one.name).then(|| one.name.to_string())
        };
        Component {
            name: name.to_string(),
            version: Some(version),
            sha256: sha256.to_string(),
            file,
            licence: Licence::of(&metadata),
            requires: requires.iter().filter_map(there).collect(),
            distribution: true,
            ecosystem: Ecosystem::Pypi,
        }
    };
    Ok(holding(all, markers, asked).into_iter().map(component).collect())
}

impl SbomFormat {
    /// The media type of a document.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            SbomFormat::Cyclonedx => "application/vnd.cyclonedx+json",
            SbomFormat::Spdx => "application/spdx+json",
        }
    }

    /// The document.
    pub(crate) fn document(self, subject: &Subject<'_>, components: &[Component]) -> Vec<u8> {
        let value = match self {
            SbomFormat::Cyclonedx => cyclonedx::document(subject, components),
            SbomFormat::Spdx => spdx::document(subject, components),
        };
        let mut text = format!("{value:#}").into_bytes();
        text.push(b'\n');
        text
    }
}

/// A digest of all that a document says, for identifiers in it.
fn identity(subject: &Subject<'_>, components: &[Component]) -> Sha256 {
    let components = serde_json::to_string(components).unwrap_or_default();
    Sha256::of(format!("{}\n{:?}\n{components}", subject.name, subject.digest).as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn both() -> [Component; 2] {
        let component = |name: &str, licence, requires: &[&str]| Component {
            name: name.to_owned(),
            version: Some("1.0+local".to_owned()),
            sha256: "0f".repeat(32),
            file: format!("{name}-1.0-py3-none-any.whl"),
            licence,
            requires: requires.iter().map(|&name| name.to_owned()).collect(),
            distribution: true,
            ecosystem: Ecosystem::Pypi,
        };
        [
            component("demo", Licence::Expression("MIT OR Apache-2.0".to_owned()), &["other"]),
            component("other", Licence::Named("a house licence".to_owned()), &[]),
        ]
    }

    fn document(format: SbomFormat) -> Value {
        let subject =
            Subject { name: "shop:1", digest: Some(format!("sha256:{}", "1".repeat(64))), created: 0 };
        let text = format.document(&subject, &both());
        assert_eq!(text, format.document(&subject, &both()));
        serde_json::from_slice(&text).expect("JSON")
    }

    #[test]
    fn cyclonedx_names_what_is_there_and_who_requires_it() {
        let value = document(SbomFormat::Cyclonedx);
        let first = &value["components"][0];
        assert_eq!(first["purl"], "pkg:pypi/demo@1.0%2Blocal");
        assert_eq!(first["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(value["components"][1]["licenses"][0]["license"]["name"], "a house licence");
        assert_eq!(first["hashes"][0]["content"], "0f".repeat(32));
        let rows = value["dependencies"].as_array().expect("rows");
        let of = |name: &str| rows.iter().find(|row| row["ref"] == name).expect(name)["dependsOn"].clone();
        assert_eq!(of("pkg:pypi/demo@1.0%2Blocal"), serde_json::json!(["pkg:pypi/other@1.0%2Blocal"]));
    }

    #[test]
    fn spdx_names_what_is_there_and_who_requires_it() {
        let value = document(SbomFormat::Spdx);
        let packages = value["packages"].as_array().expect("packages");
        assert_eq!(packages.len(), 3);
        assert_eq!(packages[1]["licenseDeclared"], "MIT OR Apache-2.0");
        assert_eq!(packages[2]["licenseDeclared"], "NOASSERTION");
        let relations = value["relationships"].as_array().expect("relations");
        let is = |kind: &str, a: &Value, b: &Value| {
            relations.iter().any(|row| {
                row["relationshipType"] == kind
                    && row["spdxElementId"] == *a
                    && row["relatedSpdxElement"] == *b
            })
        };
        let id = |at: usize| packages[at]["SPDXID"].clone();
        assert!(is("DESCRIBES", &"SPDXRef-DOCUMENT".into(), &id(0)));
        assert!(is("CONTAINS", &id(0), &id(2)) && is("DEPENDS_ON", &id(1), &id(2)));
    }
}
