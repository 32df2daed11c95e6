//! SPDX 2.3, in JSON.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Component, Licence, Subject, identity};
use crate::words::vocab::timestamp;

const NOTHING: &str = "NOASSERTION";

pub(super) fn document(subject: &Subject<'_>, components: &[Component]) -> Value {
    let id = |name: &str| {
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '-' };
        format!("SPDXRef-{}", name.chars().map(plain).collect::<String>())
    };
    let own = "SPDXRef-RootPackage";
    let mut image = json!({
        "SPDXID": own,
        "name": subject.name,
        "downloadLocation": NOTHING,
        "filesAnalyzed": false,
        "primaryPackagePurpose": if subject.digest.is_some() { "CONTAINER" } else { "APPLICATION" },
    });
    if let Some(digest) = &subject.digest {
        image["checksums"] = json!([checksum(digest.trim_start_matches("sha256:"))]);
    }
    let mut packages = vec![image];
    let relation = |a: &str, kind: &str, b: &str| json!({ "spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b });
    let mut relations = vec![relation("SPDXRef-DOCUMENT", "DESCRIBES", own)];
    for one in components {
        let this = id(&format!("Package-{}", one.key()));
        let mut package = json!({
            "SPDXID": this,
            "name": one.name,
            "packageFileName": one.file,
            "downloadLocation": NOTHING,
            "filesAnalyzed": false,
            "checksums": [checksum(&one.sha256)],
            "licenseConcluded": NOTHING,
            "licenseDeclared": match &one.licence {
                Licence::Expression(expression) => expression,
                Licence::Named(_) | Licence::Unknown => NOTHING,
            },
            "copyrightText": NOTHING,
        });
        if let Some(version) = &one.version {
            package["versionInfo"] = json!(version);
        }
        if let Licence::Named(name) = &one.licence {
            package["licenseComments"] = json!(format!("The package names its licence {name:?}."));
        }
        if let Some(purl) = one.purl() {
            package["externalRefs"] = json!([
                { "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl },
            ]);
        }
        packages.push(package);
        relations.push(relation(own, "CONTAINS", &this));
        for name in &one.requires {
            relations.push(relation(&this, "DEPENDS_ON", &id(&format!("Package-{name}"))));
        }
    }
    let mut document = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": subject.name,
        "documentNamespace": format!("https://venvoy.invalid/spdx/{}", identity(subject, components)),
        "creationInfo": {
            "created": timestamp(subject.created),
            "creators": [format!("Tool: venvoy-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relations,
    });
    // Licences that are on no list are to be explained.
    let own: BTreeSet<&str> = components.iter().flat_map(|one| own_licences(&one.licence)).collect();
    if !own.is_empty() {
        let rows = own
            .into_iter()
            .map(|id| json!({ "licenseId": id, "extractedText": "See the package's own files." }));
        document["hasExtractedLicensingInfos"] = rows.collect();
    }
    document
}

/// The licences of an expression that are the package's own.
fn own_licences(licence: &Licence) -> impl Iterator<Item = &str> {
    let expression = if let Licence::Expression(expression) = licence { expression } else { "" };
    let words = expression.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '+'));
    words.filter(|word| word.starts_with("LicenseRef-"))
}

fn checksum(sha256: &str) -> Value {
    json!({ "algorithm": "SHA256", "checksumValue": sha256 })
}
