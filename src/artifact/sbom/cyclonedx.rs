//! CycloneDX 1.6, in JSON.

use serde_json::{Map, Value, json};

use super::{Component, Licence, Subject, identity};

pub(super) fn document(subject: &Subject<'_>, components: &[Component]) -> Value {
    let own = subject.digest.clone().unwrap_or_else(|| subject.name.to_owned());
    let mut image = json!({
        "type": if subject.digest.is_some() { "container" } else { "application" },
        "bom-ref": own,
        "name": subject.name,
    });
    if let Some(digest) = &subject.digest {
        image["hashes"] = json!([hash(digest.trim_start_matches("sha256:"))]);
    }
    let rows: Vec<Value> = components.iter().map(component).collect();
    let reference_of = |name: &String| components.iter().find(|one| one.key() == *name).map(reference);
    let required: Vec<&String> = components.iter().flat_map(|one| &one.requires).collect();
    // What nobody inside requires was asked for.
    let top: Vec<String> =
        components.iter().filter(|one| !required.contains(&&one.key())).map(reference).collect();
    let mut dependencies = vec![json!({ "ref": own, "dependsOn": top })];
    dependencies.extend(components.iter().map(|one| {
        let on: Vec<String> = one.requires.iter().filter_map(reference_of).collect();
        json!({ "ref": reference(one), "dependsOn": on })
    }));
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": format!("urn:uuid:{}", uuid(&identity(subject, components).to_string())),
        "version": 1,
        "metadata": {
            "tools": { "components": [
                { "type": "application", "name": "venvoy", "version": env!("CARGO_PKG_VERSION") },
            ]},
            "component": image,
        },
        "components": rows,
        "dependencies": dependencies,
    })
}

fn component(one: &Component) -> Value {
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
    put("type", json!(if one.distribution { "library" } else { "file" }));
    put("bom-ref", json!(reference(one)));
    put("name", json!(one.name));
    if let Some(version) = &one.version {
        put("version", json!(version));
    }
    put("hashes", json!([hash(&one.sha256)]));
    match &one.licence {
        Licence::Unknown => {}
        Licence::Expression(expression) => put("licenses", json!([{ "expression": expression }])),
        Licence::Named(name) => put("licenses", json!([{ "license": { "name": name } }])),
    }
    if let Some(purl) = one.purl() {
        put("purl", json!(purl));
        put("properties", json!([{ "name": "venvoy:file", "value": one.file }]));
    }
    Value::Object(map)
}

fn reference(one: &Component) -> String {
    one.purl().unwrap_or_else(|| format!("file:{}", one.name))
}

fn hash(sha256: &str) -> Value {
    json!({ "alg": "SHA-256", "content": sha256 })
}

/// A UUID of a digest (RFC 9562, version 8: of one's own making).
fn uuid(hex: &str) -> String {
    format!("{}-{}-8{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
}
