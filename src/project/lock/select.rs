//! Which entries of a lock are wanted and apply to a target.

use std::collections::BTreeMap;

use super::{Entry, Lock};
use crate::words::{
    error::{Error, Kind, Result, Warnings},
    vocab::{Marker, MarkerEnv, PackageName},
};

/// The answer of [`select`].
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// One entry per package, by name.
    pub entries: Vec<Entry>,
    /// What the user should hear.
    pub warnings: Warnings,
    /// Entries that do not apply.
    pub skipped: Vec<Skipped>,
}

/// An entry whose marker is false.
#[derive(Debug, Clone)]
pub struct Skipped {
    /// The entry.
    pub entry: Entry,
    /// The marker and the values that decided.
    pub why: String,
}

/// Takes the entries of `categories` whose markers hold. One environment holds one version of a package:
/// of several, that of the first category counts, with a warning.
///
/// A marker on `extra` is false, whatever extras the entry has: pip, given the entry as a requirement of its
/// own, asks for none.
///
/// `groups` decides `'...' in dependency_groups` of a `pylock.toml`. In a `Pipfile.lock`, pipenv writes such
/// conditions beside the category that says the same, and takes them as true.
///
/// # Errors
/// [`Kind::Lock`] for a category that the lock does not have.
pub fn select(
    lock: &Lock,
    categories: &[String],
    markers: &MarkerEnv,
    groups: &[String],
) -> Result<Selection> {
    let mut selection = Selection::default();
    let mut chosen: BTreeMap<PackageName, Entry> = BTreeMap::new();
    for category in categories {
        let Some((_, entries)) = lock.categories.iter().find(|(name, _)| name == category) else {
            let known: Vec<&str> = lock.categories.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::new(Kind::Lock, format!("the lock has no category {category:?}"))
                .help(format!("its categories: {}", known.join(", "))));
        };
        for entry in entries {
            if let Some(marker) = &entry.marker {
                let text = marker.to_string();
                let named = if lock.dependency_groups.is_empty() { quoted(&text) } else { Vec::new() };
                let groups: Vec<&str> = groups.iter().map(String::as_str).chain(named).collect();
                if !marker.evaluate(markers, &[], &groups) {
                    let why = explain(marker, markers);
                    selection.skipped.push(Skipped { entry: entry.clone(), why });
                    continue;
                }
            }
            match chosen.get_mut(&entry.name) {
                None => drop(chosen.insert(entry.name.clone(), entry.clone())),
                Some(first) => merge(first, entry, &mut selection.warnings),
            }
        }
    }
    selection.entries = chosen.into_values().collect();
    Ok(selection)
}

/// Every quoted text of a marker that asks for dependency groups.
fn quoted(marker: &str) -> Vec<&str> {
    if !marker.contains("dependency_groups") {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut rest = marker;
    while let Some(start) = rest.find(['\'', '"']) {
        let quote = &rest[start..=start];
        let Some(length) = rest[start + 1..].find(quote) else { break };
        found.push(&rest[start + 1..start + 1 + length]);
        rest = &rest[start + 2 + length..];
    }
    found
}

fn explain(marker: &Marker, env: &MarkerEnv) -> String {
    let text = marker.to_string();
    let values = [
        ("implementation_name", &env.implementation_name),
        ("implementation_version", &env.implementation_version),
        ("os_name", &env.os_name),
        ("platform_machine", &env.platform_machine),
        ("platform_python_implementation", &env.platform_python_implementation),
        ("platform_release", &env.platform_release),
        ("platform_system", &env.platform_system),
        ("platform_version", &env.platform_version),
        ("python_full_version", &env.python_full_version),
        ("python_version", &env.python_version),
        ("sys_platform", &env.sys_platform),
    ];
    let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let here: Vec<String> = values
        .into_iter()
        .filter(|(name, _)| words.contains(name))
        .map(|(name, value)| format!("{name} is {value:?}"))
        .collect();
    if here.is_empty() { format!("not {text}") } else { format!("not {text}: {}", here.join(", ")) }
}

/// What a second entry of the same package adds to the first: nothing, or digests of the same version.
fn merge(first: &mut Entry, second: &Entry, warnings: &mut Warnings) {
    if first.pin == second.pin && first.origin == second.origin {
        for digest in &second.hashes.sha256 {
            if !first.hashes.sha256.contains(digest) {
                first.hashes.sha256.push(*digest);
            }
        }
        for extra in &second.extras {
            if !first.extras.contains(extra) {
                first.extras.push(extra.clone());
            }
        }
        return;
    }
    warnings.push(format!(
        "the lock has {} twice: {} counts, not {}",
        first.name,
        describe(first),
        describe(second)
    ));
}

fn describe(entry: &Entry) -> String {
    use super::{Origin, Pin};
    let what = match (&entry.origin, &entry.pin) {
        (Origin::Vcs(vcs), _) => format!("{}@{}", vcs.url, vcs.reference.as_deref().unwrap_or("HEAD")),
        (Origin::Url(url), _) => url.to_string(),
        (Origin::Path(path), _) => path.clone(),
        (Origin::Index, Pin::Exact(version)) => version.to_string(),
        (Origin::Index, Pin::Arbitrary(text)) => text.clone(),
        (Origin::Index, Pin::Range(range)) => range.to_string(),
        (Origin::Index, Pin::Any) => "any version".to_owned(),
    };
    format!("{what} ({} in {})", entry.written, entry.category)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{project::python::Description, words::env::Env};

    fn selected(json: &str, categories: &[&str]) -> Result<Selection> {
        let (lock, _) = Lock::parse(json.as_bytes(), "Pipfile.lock", &Env::default()).expect("a lock");
        let home = Path::new("/usr/bin");
        let target = Description { python_version: "3.11.7", platform: "linux/amd64", python_home: home };
        let categories: Vec<String> = categories.iter().map(|name| (*name).to_owned()).collect();
        select(&lock, &categories, &target.target().expect("a target").markers, &[])
    }

    fn names(selection: &Selection) -> Vec<String> {
        selection.entries.iter().map(describe).collect()
    }

    #[test]
    fn the_first_category_counts_with_a_warning() {
        let lock = r#"{"_meta":{},"default":{"a":{"version":"==1"}},"develop":{"A":{"version":"==2"},"b":{"version":"==3"}}}"#;
        let selection = selected(lock, &["default", "develop"]).expect("a selection");
        assert_eq!(names(&selection), ["1 (a in default)", "3 (b in develop)"]);
        assert_eq!(
            selection.warnings.0,
            ["the lock has a twice: 1 (a in default) counts, not 2 (A in develop)"]
        );
    }

    #[test]
    fn the_order_of_the_categories_asked_for_decides() {
        let lock =
            r#"{"_meta":{},"default":{"a":{"version":"==1"}},"develop":{"a":{"version":"==2"}},"docs":{}}"#;
        let first = |categories: &[&str]| names(&selected(lock, categories).expect("a selection"));
        assert_eq!(first(&["develop", "default"]), ["2 (a in develop)"]);
        assert_eq!(first(&["default", "develop", "docs", "default"]), ["1 (a in default)"]);
        assert_eq!(first(&["docs"]), [""; 0]);
    }

    #[test]
    fn entries_of_one_version_give_their_digests_and_extras_together() {
        let [one, two] = ["1", "2"].map(|digit| digit.repeat(64));
        let lock = format!(
            r#"{{"_meta":{{}},"default":{{"a":{{"version":"==1.0","hashes":["sha256:{one}"],"extras":["x"]}}}},
            "develop":{{"a":{{"version":"==1","hashes":["sha256:{two}","sha256:{one}"],"extras":["y","x"]}}}}}}"#
        );
        let selection = selected(&lock, &["default", "develop"]).expect("a selection");
        let [entry] = selection.entries.as_slice() else { panic!("{:?}", selection.entries) };
        let digests: Vec<String> = entry.hashes.sha256.iter().map(ToString::to_string).collect();
        assert_eq!(digests, [one, two]);
        assert_eq!(entry.extras.iter().map(PackageName::as_str).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((entry.category.as_str(), selection.warnings.0.len()), ("default", 0));
    }

    #[test]
    fn an_entry_that_does_not_apply_stands_in_no_others_way() {
        let lock = r#"{"_meta":{},"default":{"a":{"version":"==1","markers":"os_name == 'nt'"}},"develop":{"a":{"version":"==2"}}}"#;
        let selection = selected(lock, &["default", "develop"]).expect("a selection");
        assert_eq!(names(&selection), ["2 (a in develop)"]);
        assert_eq!((selection.skipped.len(), selection.warnings.0.len()), (1, 0));
    }

    #[test]
    fn a_version_and_a_repository_of_one_package_are_told_apart() {
        let lock = r#"{"_meta":{},"default":{"a":{"git":"https://u:canary@git.example/a.git","ref":"v1"}},"develop":{"a":{"version":"==1"}}}"#;
        let selection = selected(lock, &["default", "develop"]).expect("a selection");
        assert_eq!(
            selection.warnings.0,
            [
                "the lock has a twice: https://git.example/a.git@v1 (a in default) counts, not 1 (a in develop)"
            ]
        );
    }

    #[test]
    fn two_spellings_of_one_entry_are_one_and_silent() {
        let lock = r#"{"_meta":{},"default":{"zope.interface":{"version":"==1"},"zope-interface":{"version":"==1"}}}"#;
        let selection = selected(lock, &["default"]).expect("a selection");
        assert_eq!(selection.entries.len(), 1);
        assert!(selection.warnings.0.is_empty());
    }

    #[test]
    fn a_false_marker_skips_and_says_what_decided() {
        let lock = r#"{"_meta":{},"default":{"w":{"version":"==1","markers":"sys_platform == 'win32'"}}}"#;
        let selection = selected(lock, &["default"]).expect("a selection");
        assert!(selection.entries.is_empty());
        let why = &selection.skipped[0].why;
        assert!(why.contains("sys_platform == ") && why.ends_with("sys_platform is \"linux\""), "{why}");
    }

    #[test]
    fn dependency_groups_of_a_pipfile_lock_are_true() {
        let lock = r#"{"_meta":{},"default":{},"develop":{
            "a":{"version":"==1","markers":"'dev' in dependency_groups"},
            "b":{"version":"==1","markers":"('dev' in dependency_groups) and (python_version < '3')"}}}"#;
        let selection = selected(lock, &["default", "develop"]).expect("a selection");
        assert_eq!(names(&selection), ["1 (a in develop)"]);
    }

    #[test]
    fn an_unknown_category_is_an_error_that_names_the_known_ones() {
        let lock = r#"{"_meta":{},"default":{},"docs":{}}"#;
        let report = selected(lock, &["doc"]).expect_err("unknown").report();
        assert_eq!(report, "the lock has no category \"doc\"\n  help: its categories: default, docs");
    }
}
