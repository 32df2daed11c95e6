//! What venvoy itself is built of: the crates of a release, by what cargo says of them.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use super::{Component, Ecosystem, Licence, Subject};
use crate::words::{
    choices::SbomFormat,
    error::{Error, Kind, Result},
};

/// A document about the crates in a binary. `metadata` is what `cargo metadata --format-version 1 --filter-platform TARGET`
/// prints, `lock` the Cargo.lock beside it, which has the digests.
///
/// # Errors
/// [`Kind::Usage`] where one of them is something else.
pub fn of_binary(format: &str, metadata: &str, lock: &str) -> Result<Vec<u8>> {
    let wrong = |what: &str| Error::new(Kind::Usage, format!("{what}; expected what cargo writes"));
    let format = match format {
        "cyclonedx" => SbomFormat::Cyclonedx,
        "spdx" => SbomFormat::Spdx,
        _ => return Err(wrong("there is no such format of a bill of materials")),
    };
    let metadata: Value =
        serde_json::from_str(metadata).map_err(|error| wrong("the metadata is not JSON").because(error))?;
    let lock: toml::Table =
        toml::from_str(lock).map_err(|error| wrong("the lock is not TOML").because(error))?;
    let root = metadata["resolve"]["root"].as_str().ok_or_else(|| wrong("the metadata has no root"))?;
    let (components, name) = inside(&metadata, &checksums(&lock), root);
    let name = name.ok_or_else(|| wrong("the metadata does not describe its root"))?;
    let subject = Subject { name: &name, digest: None, created: 315_532_800 };
    Ok(format.document(&subject, &components))
}

/// The digests of a lock's packages by `NAME@VERSION`.
fn checksums(lock: &toml::Table) -> BTreeMap<String, String> {
    let rows = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    rows.filter_map(|row| {
        let text = |key: &str| row.get(key)?.as_str();
        Some((format!("{}@{}", text("name")?, text("version")?), text("checksum")?.to_owned()))
    })
    .collect()
}

/// What is linked into the root package, by name and version, and what that is called.
fn inside(
    metadata: &Value,
    checksums: &BTreeMap<String, String>,
    root: &str,
) -> (Vec<Component>, Option<String>) {
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> = rows(&metadata["packages"])
        .into_iter()
        .filter_map(|package| Some((package["id"].as_str()?.to_owned(), package)))
        .collect();
    let key = |id: &str| {
        let package = packages.get(id)?;
        Some(format!("{}@{}", package["name"].as_str()?, package["version"].as_str()?))
    };
    // Macros run in the compiler, as build scripts run before it.
    let is_macro = |id: &Value| {
        let package = id.as_str().and_then(|id| packages.get(id));
        let targets = package.map(|package| rows(&package["targets"])).unwrap_or_default();
        targets.iter().any(|target| rows(&target["kind"]).iter().any(|kind| kind == "proc-macro"))
    };
    // What only tests and build scripts need is not in the binary.
    let is_linked = |edge: &Value| {
        rows(&edge["dep_kinds"]).iter().any(|kind| kind["kind"].is_null()) && !is_macro(&edge["pkg"])
    };
    let edges: BTreeMap<String, Vec<String>> = rows(&metadata["resolve"]["nodes"])
        .iter()
        .filter_map(|node| {
            let linked = rows(&node["deps"]).into_iter().filter(|edge| is_linked(edge));
            let ids = linked.filter_map(|edge| edge["pkg"].as_str().map(str::to_owned)).collect();
            Some((node["id"].as_str()?.to_owned(), ids))
        })
        .collect();
    let (mut todo, mut seen) = (vec![root.to_owned()], HashSet::from([root.to_owned()]));
    let mut components = Vec::new();
    while let Some(id) = todo.pop() {
        let on = edges.get(&id).map_or(&[][..], Vec::as_slice);
        todo.extend(on.iter().filter(|id| seen.insert((*id).clone())).cloned());
        let (Some(package), Some(this)) = (packages.get(&id), key(&id)) else { continue };
        let text = |name: &str| package[name].as_str().unwrap_or_default().to_owned();
        let mut requires: Vec<String> = on.iter().filter_map(|id| key(id)).collect();
        requires.sort();
        // Licences were separated by a slash before there were expressions.
        let licence = text("license").replace('/', " OR ");
        components.push(Component {
            name: text("name"),
            version: Some(text("version")),
            sha256: checksums.get(&this).cloned().unwrap_or_default(),
            file: format!("{}-{}.crate", text("name"), text("version")),
            licence: match spdx::Expression::parse(&licence) {
                Ok(_) => Licence::Expression(licence),
                Err(_) if licence.is_empty() => Licence::Unknown,
                Err(_) => Licence::Named(licence),
            },
            requires,
            distribution: true,
            ecosystem: Ecosystem::Cargo,
        });
    }
    let own = key(root);
    components.retain(|one| Some(one.key()) != own);
    components.sort_by_key(Component::key);
    (components, own.map(|own| own.replace('@', " ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn documents() -> [Value; 2] {
        let package = |id: &str, name: &str, version: &str, license: Value| json!({"id": id, "name": name, "version": version, "license": license});
        let edge = |to: &str, kind: Value| json!({"pkg": to, "dep_kinds": [{"kind": kind}]});
        let metadata = json!({
            "packages": [
                package("r", "venvoy", "1.2.3", json!("MIT")), package("a", "tool", "1.0.0", json!("MIT/Apache-2.0")),
                package("b", "tool", "2.0.0", json!(null)), package("c", "only-tests", "1.0.0", json!("MIT")),
                {"id": "d", "name": "derive", "version": "1.0.0", "targets": [{"kind": ["proc-macro"]}]},
            ],
            "resolve": {"root": "r", "nodes": [
                {"id": "r", "deps": [edge("a", json!(null)), edge("b", json!(null)), edge("c", json!("dev")), edge("d", json!(null))]},
                {"id": "a", "deps": [edge("b", json!(null)), edge("c", json!("build"))]},
                {"id": "b", "deps": []}, {"id": "c", "deps": []}, {"id": "d", "deps": []},
            ]},
        })
        .to_string();
        let lock = format!(
            "version = 4\n[[package]]\nname = \"tool\"\nversion = \"1.0.0\"\nchecksum = \"{}\"\n\
             [[package]]\nname = \"tool\"\nversion = \"2.0.0\"\nchecksum = \"{}\"\n",
            "1".repeat(64),
            "2".repeat(64)
        );
        ["cyclonedx", "spdx"].map(|format| {
            let document =
                of_binary(format, &metadata, &lock).unwrap_or_else(|error| panic!("{}", error.report()));
            serde_json::from_slice(&document).expect("JSON")
        })
    }

    /// What the rows of a list have under a key.
    fn texts<'d>(rows: &'d Value, key: &str) -> Vec<&'d str> {
        rows.as_array().expect("rows").iter().filter_map(|row| row[key].as_str()).collect()
    }

    #[test]
    fn crates_that_are_linked_are_inside_each_version_by_itself() {
        let [cyclonedx, spdx] = documents();
        assert_eq!(texts(&cyclonedx["components"], "purl"), ["pkg:cargo/tool@1.0.0", "pkg:cargo/tool@2.0.0"]);
        assert_eq!(cyclonedx["metadata"]["component"]["name"], "venvoy 1.2.3");
        assert_eq!(cyclonedx["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(cyclonedx["components"][1]["hashes"][0]["content"], "2".repeat(64));
        assert_eq!(cyclonedx["dependencies"][1]["dependsOn"], json!(["pkg:cargo/tool@2.0.0"]));
        let ids = ["SPDXRef-RootPackage", "SPDXRef-Package-tool-1.0.0", "SPDXRef-Package-tool-2.0.0"];
        assert_eq!(texts(&spdx["packages"], "SPDXID"), ids);
    }

    #[test]
    fn what_cargo_does_not_write_is_refused() {
        for (format, metadata, lock) in
            [("x", "{}", ""), ("spdx", "{", ""), ("spdx", "{}", ""), ("spdx", "{}", "=")]
        {
            assert_eq!(of_binary(format, metadata, lock).expect_err("refused").kind(), Kind::Usage);
        }
    }
}
