//! Which entries of a lock are wanted and apply to a target.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Entry, EntryOrigin, Lock, Pin, Turn,
    install_order::{in_category, satisfies},
};
use crate::words::{
    error::{Error, Kind, Result, Warnings},
    vocab::{Marker, MarkerEnv, PackageName},
};

/// The answer of [`select`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// One entry per package, in the order in which pipenv would install them: of two that bring one path, the later
    /// counts.
    pub entries: Vec<Entry>,
    /// What the user should hear.
    pub warnings: Warnings,
    /// Entries that do not apply.
    pub skipped: Vec<Skipped>,
}

/// An entry whose marker is false.
#[derive(Debug, Clone)]
pub(crate) struct Skipped {
    /// The entry.
    pub entry: Entry,
    /// The marker and the values that decided.
    pub why: String,
}

/// How a lock's entries are taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choose<'a> {
    /// The categories, in the order in which they are installed.
    pub categories: &'a [String],
    /// Groups that decide `'...' in dependency_groups` of a `pylock.toml`. In a `Pipfile.lock`, pipenv writes such
    /// conditions beside the category that says the same, and takes them as true.
    pub groups: &'a [String],
    /// Whether entries are looked for on all sources (`install_search_all_sources` of the Pipfile).
    pub search_all_sources: bool,
}

/// Takes the entries of some categories whose markers hold. One environment holds one version of a package: as
/// pipenv installs category after category, of several the one that is installed last counts, with a warning. An
/// entry that an earlier one satisfies is not installed again, as with pipenv: the earlier one counts, with its
/// source and its hashes.
///
/// A marker on `extra` is false, whatever extras the entry has: pip, given the entry as a requirement of its
/// own, asks for none.
///
/// # Errors
/// [`Kind::Lock`] for a category that the lock does not have.
pub(crate) fn select(lock: &Lock, choose: Choose<'_>, markers: &MarkerEnv) -> Result<Selection> {
    let mut selection = Selection::default();
    let mut chosen: HashMap<PackageName, Chosen<'_>> = HashMap::new();
    let default_index = lock.sources.first().and_then(|source| source.name.as_deref());
    let mut order: Vec<(PackageName, usize)> = Vec::new();
    let mut runs = 0;
    for (number, category) in choose.categories.iter().enumerate() {
        let Some((_, entries)) = lock.categories.iter().find(|(name, _)| name == category) else {
            let known: Vec<&str> = lock.categories.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::new(Kind::Lock, format!("the lock has no category {category:?}"))
                .help(format!("its categories: {}", known.join(", "))));
        };
        let mut installed: Vec<PackageName> = Vec::new();
        for entry in entries {
            if let Some(why) = does_not_apply(entry, lock, choose.groups, markers) {
                selection.skipped.push(Skipped { entry: entry.clone(), why });
                continue;
            }
            match chosen.get_mut(&entry.name) {
                Some(earlier) if satisfies(earlier.entry, entry) => {
                    earlier.others.push((entry, Loses::IsSatisfied));
                    earlier.complete(entry);
                    continue;
                }
                Some(earlier) => {
                    let before = std::mem::replace(&mut earlier.entry, entry);
                    earlier.completed = None;
                    earlier.others.push((before, Loses::IsReplaced));
                    if std::mem::replace(&mut earlier.category, number) == number {
                        continue;
                    }
                }
                None => {
                    let first = Chosen { entry, completed: None, category: number, others: Vec::new() };
                    chosen.insert(entry.name.clone(), first);
                }
            }
            installed.push(entry.name.clone());
        }
        let here: Vec<&Entry> =
            installed.iter().filter_map(|name| Some(chosen.get(name)?.counts())).collect();
        let here = in_category(here, default_index, choose.search_all_sources);
        let next = here.last().map_or(runs, |(last, _)| runs + last + 1);
        order.extend(here.into_iter().map(|(run, entry)| (entry.name.clone(), runs + run)));
        runs = next;
    }
    let mut first: HashMap<&PackageName, usize> = HashMap::new();
    for (name, run) in &order {
        first.entry(name).or_insert(*run);
    }
    // A package that two categories install comes where the later one does; what is taken is not there twice.
    for (name, run) in order.iter().rev() {
        if let Some(one) = chosen.remove(name) {
            let turn = Turn { first: first.get(name).copied().unwrap_or(*run), last: *run };
            one.settle(turn, &mut selection);
        }
    }
    selection.entries.reverse();
    selection.warnings.0.sort();
    // Two categories may leave out the same entry for the same reason.
    let mut told = HashSet::new();
    let key =
        |skipped: &Skipped| (skipped.entry.name.clone(), skipped.entry.pin.to_string(), skipped.why.clone());
    selection.skipped.retain(|skipped| told.insert(key(skipped)));
    Ok(selection)
}

/// An entry, and others of the same package that do not count beside it.
struct Chosen<'a> {
    entry: &'a Entry,
    /// The same with what others that ask for it add.
    completed: Option<Box<Entry>>,
    /// The position of the category that installs it.
    category: usize,
    others: Vec<(&'a Entry, Loses)>,
}

/// Why an entry does not count beside another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loses {
    /// The other is installed later.
    IsReplaced,
    /// The other is installed before, and is what this one asks for.
    IsSatisfied,
}

impl Chosen<'_> {
    fn counts(&self) -> &Entry {
        self.completed.as_deref().unwrap_or(self.entry)
    }

    /// What a later entry that is satisfied adds: digests, where there are none to verify with, and extras.
    fn complete(&mut self, other: &Entry) {
        let counts = self.counts();
        let hashes = counts.origin == other.origin && counts.hashes.is_empty() && !other.hashes.is_empty();
        let extras = other.extras.iter().any(|extra| !counts.extras.contains(extra));
        if !hashes && !extras {
            return;
        }
        let completed = self.completed.get_or_insert_with(|| Box::new(self.entry.clone()));
        if hashes {
            completed.hashes = Arc::clone(&other.hashes);
        }
        for extra in &other.extras {
            if !completed.extras.contains(extra) {
                completed.extras.push(extra.clone());
            }
        }
    }

    /// Says which entries do not count; those that ask for the same in the same way are not worth a word.
    fn settle(self, turn: Turn, selection: &mut Selection) {
        let mut entry = self.counts().clone();
        entry.turn = turn;
        let others = self.others;
        let mut told: Vec<(Pin, EntryOrigin)> = Vec::new();
        for (other, loses) in others {
            let asks = (other.pin.clone(), other.origin.clone());
            if asks == (entry.pin.clone(), entry.origin.clone()) || told.contains(&asks) {
                continue;
            }
            told.push(asks);
            let why = match loses {
                Loses::IsReplaced => "what is installed last stays, as with pipenv",
                Loses::IsSatisfied => "that is what the other asks for, as with pipenv",
            };
            let (counts, not) = (describe(&entry), describe(other));
            selection
                .warnings
                .push(format!("the lock has {} twice: {counts} counts, not {not}: {why}", entry.name));
            selection.skipped.push(Skipped { entry: other.clone(), why: format!("{counts} counts: {why}") });
        }
        selection.entries.push(entry);
    }
}

/// Why an entry's marker is false; nothing where it has none or it is true.
fn does_not_apply(entry: &Entry, lock: &Lock, groups: &[String], markers: &MarkerEnv) -> Option<String> {
    let marker = entry.marker.as_ref()?;
    let text = marker.to_string();
    let named = if lock.dependency_groups.is_empty() { quoted(&text) } else { Vec::new() };
    let groups: Vec<&str> = groups.iter().map(String::as_str).chain(named).collect();
    (!marker.evaluate(markers, &[], &groups)).then(|| explain(marker, markers))
}

impl Entry {
    /// Whether an entry of a `Pipfile.lock` applies somewhere: its category is wanted, its marker decides.
    pub fn applies(&self, markers: &MarkerEnv) -> bool {
        self.marker.as_ref().is_none_or(|marker| marker.evaluate(markers, &[], &quoted(&marker.to_string())))
    }
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

fn describe(entry: &Entry) -> String {
    let what = match (&entry.origin, &entry.pin) {
        (EntryOrigin::Vcs(vcs), _) => format!("{}@{}", vcs.url, vcs.reference.as_deref().unwrap_or("HEAD")),
        (EntryOrigin::Url(url), _) => url.to_string(),
        (EntryOrigin::Path(path), _) => path.clone(),
        (EntryOrigin::Index, Pin::Any) => "any version".to_owned(),
        (EntryOrigin::Index, pin) => pin.bare(),
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
        let categories: Vec<String> = categories.iter().map(|name| (*name).to_owned()).collect();
        select(&lock, Choose { categories: &categories, ..Choose::default() }, &markers())
    }

    fn markers() -> MarkerEnv {
        let home = Path::new("/usr/bin");
        let target = Description { python_version: "3.11.7", platform: "linux/amd64", python_home: home };
        target.target().expect("a target").markers
    }

    fn names(selection: &Selection) -> Vec<String> {
        selection.entries.iter().map(describe).collect()
    }

    /// The names in the order of installation.
    fn order(selection: &Selection) -> Vec<&str> {
        selection.entries.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn the_category_installed_last_counts_with_a_warning() {
        let lock = r#"{"_meta":{},"default":{"a":{"version":"==1"}},"develop":{"A":{"version":"==2"},"b":{"version":"==3"}}}"#;
        let selection = selected(lock, &["default", "develop"]).expect("a selection");
        assert_eq!(names(&selection), ["3 (b in develop)", "2 (A in develop)"]);
        assert_eq!(
            selection.warnings.0,
            [
                "the lock has a twice: 2 (A in develop) counts, not 1 (a in default): what is installed last stays, \
              as with pipenv"
            ]
        );
        let skipped = &selection.skipped[0];
        assert_eq!((&*skipped.entry.category, selection.skipped.len()), ("default", 1));
        assert!(skipped.why.starts_with("2 (A in develop) counts: "), "{}", skipped.why);
    }

    #[test]
    fn the_order_of_the_categories_asked_for_decides() {
        let lock =
            r#"{"_meta":{},"default":{"a":{"version":"==1"}},"develop":{"a":{"version":"==2"}},"docs":{}}"#;
        let first = |categories: &[&str]| names(&selected(lock, categories).expect("a selection"));
        assert_eq!(first(&["develop", "default"]), ["1 (a in default)"]);
        assert_eq!(first(&["default", "develop", "docs"]), ["2 (a in develop)"]);
        assert_eq!(first(&["default", "develop", "docs", "default"]), ["1 (a in default)"]);
        assert_eq!(first(&["docs"]), [""; 0]);
    }

    /// What pipenv 2026.10.3 makes of two categories with one package (`tests/pipenv/rules` runs it).
    #[test]
    fn an_entry_that_is_satisfied_already_is_passed_over_as_by_pipenv() {
        const GIT: &str = r#"{"git":"https://git.example/a.git","ref":"v1"}"#;
        const PATH: &str = r#"{"path":"./a"}"#;
        const URL1: &str = r#"{"file":"https://files.example/a-1.0-py3-none-any.whl"}"#;
        const URL3: &str = r#"{"file":"https://files.example/a-3-py3-none-any.whl"}"#;
        const V1: &str = r#"{"version":"==1"}"#;
        const V2: &str = r#"{"version":"==2"}"#;
        for (default, develop, counts) in [
            (V1, V2, "develop"),
            (V1, r#"{"version":"==1.0","index":"other"}"#, "default"),
            (V1, r#"{"version":"*"}"#, "default"),
            (V1, r#"{"version":">=1"}"#, "default"),
            (V1, r#"{"version":">=2"}"#, "develop"),
            (r#"{"version":"==1+local"}"#, V1, "default"),
            (V1, r#"{"version":"==1+local"}"#, "develop"),
            (r#"{"version":"===1.0RC1"}"#, r#"{"version":"==1.0rc1"}"#, "default"),
            (r#"{"version":"*"}"#, V1, "develop"),
            (V1, GIT, "develop"),
            (GIT, V2, "develop"),
            (V1, PATH, "develop"),
            (PATH, V2, "develop"),
            (PATH, GIT, "develop"),
            (GIT, PATH, "develop"),
            (PATH, r#"{"path":"./a","editable":true}"#, "develop"),
            (V1, URL3, "develop"),
            (V1, URL1, "default"),
            (URL3, V1, "develop"),
            (URL1, V1, "default"),
        ] {
            let lock = format!(r#"{{"_meta":{{}},"default":{{"a":{default}}},"develop":{{"a":{develop}}}}}"#);
            let selection = selected(&lock, &["default", "develop"]).expect("a selection");
            assert_eq!(&*selection.entries[0].category, counts, "{default} then {develop}");
        }
    }

    #[test]
    fn the_earlier_of_two_that_are_satisfied_keeps_its_source_and_digests() {
        let [one, two] = ["1", "2"].map(|digit| digit.repeat(64));
        let lock = format!(
            r#"{{"_meta":{{}},"default":{{"a":{{"version":"==1.0","index":"x","hashes":["sha256:{one}"],"extras":["x"]}},
            "b":{{"version":"==1"}}}},
            "develop":{{"a":{{"version":"==1","index":"y","hashes":["sha256:{two}"],"extras":["y","x"]}},
            "b":{{"version":"==1","hashes":["sha256:{two}"]}}}}}}"#
        );
        let selection = selected(&lock, &["default", "develop"]).expect("a selection");
        let [entry, unhashed] = selection.entries.as_slice() else { panic!("{:?}", selection.entries) };
        let digests = |entry: &Entry| entry.hashes.sha256.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(digests(entry), std::slice::from_ref(&one));
        assert_eq!(entry.extras.iter().map(PackageName::as_str).collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((entry.index.as_deref(), &*entry.category), (Some("x"), "default"));
        assert_eq!(digests(unhashed), [two], "what the other has verifies it");
        assert!(selection.warnings.0.is_empty() && selection.skipped.is_empty());
    }

    /// As `tests/pipenv/rules` finds it with pipenv 2026.10.3: the last of the order is what stays.
    #[test]
    fn entries_are_installed_in_pipenvs_order() {
        const META: &str = r#""_meta":{"sources":[{"name":"a","url":"https://a.example/simple"},
            {"name":"b","url":"https://b.example/simple"}]}"#;
        let entry = |name: &str, rest: &str| {
            format!(r#""{name}":{{"version":"==1","hashes":["sha256:{}"]{rest}}}"#, "0".repeat(64))
        };
        let (a, b, args) = (r#","index":"a""#, r#","index":"b""#, r#","pip_args":["-v"]"#);
        let unhashed = |name: &str| format!(r#""{name}":{{"version":"==1"}}"#);
        let path =
            |name: &str, editable: bool| format!(r#""{name}":{{"path":"./{name}","editable":{editable}}}"#);
        for (default, develop, expected) in [
            (vec![entry("a", a), entry("m", ""), entry("z", "")], vec![], "z m a"),
            (vec![entry("z", ""), entry("a", "")], vec![], "z a"),
            (vec![entry("a", b), entry("z", a)], vec![], "a z"),
            (vec![entry("a", ""), entry("m", b), entry("z", a)], vec![], "z a m"),
            (vec![entry("m", b), entry("z", a), entry("a", b)], vec![], "m a z"),
            (vec![entry("a", "")], vec![entry("z", "")], "a z"),
            (vec![entry("m", ""), entry("z", "")], vec![entry("m", ""), entry("a", "")], "z m a"),
            (vec![unhashed("z"), entry("a", "")], vec![], "a z"),
            (vec![path("z", false), entry("a", ""), path("m", true)], vec![], "a z m"),
            (vec![path("z", true), entry("a", b)], vec![], "a z"),
            (vec![path("a", true), path("z", false), entry("m", "")], vec![], "m z a"),
            (vec![entry("a", args), entry("z", "")], vec![], "a z"),
            (vec![entry("a", ""), entry("m", args), entry("z", "")], vec![], "z a m"),
            (vec![path("a", false), entry("z", "")], vec![path("a", false)], "z a"),
        ] {
            let lock = format!(
                r#"{{{META},"default":{{{}}},"develop":{{{}}}}}"#,
                default.join(","),
                develop.join(",")
            );
            let selection = selected(&lock, &["default", "develop"]).expect("a selection");
            assert_eq!(order(&selection).join(" "), expected, "{lock}");
        }
    }

    #[test]
    fn an_index_does_not_decide_the_order_where_all_are_searched() {
        let lock =
            r#"{"_meta":{},"default":{"a":{"version":"==1","index":"b"},"z":{"version":"==1","index":"a"}}}"#;
        let (lock, _) = Lock::parse(lock.as_bytes(), "Pipfile.lock", &Env::default()).expect("a lock");
        let categories = ["default".to_owned()];
        let order_with = |search_all_sources| {
            let choose = Choose { categories: &categories, search_all_sources, ..Choose::default() };
            let selection = select(&lock, choose, &markers()).expect("a selection");
            order(&selection).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(order_with(false), ["a", "z"]);
        assert_eq!(order_with(true), ["z", "a"]);
    }

    #[test]
    fn what_two_categories_leave_out_for_one_reason_is_told_once() {
        let entry = r#"{"version":"==1","markers":"sys_platform == 'darwin'"}"#;
        let lock = format!(
            r#"{{"_meta":{{}},"default":{{"appnope":{entry}}},"develop":{{"appnope":{entry},"b":{entry}}}}}"#
        );
        let selection = selected(&lock, &["default", "develop"]).expect("a selection");
        let skipped: Vec<&str> =
            selection.skipped.iter().map(|skipped| skipped.entry.name.as_str()).collect();
        assert_eq!(skipped, ["appnope", "b"]);
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
                "the lock has a twice: 1 (a in develop) counts, not https://git.example/a.git@v1 (a in default): \
              what is installed last stays, as with pipenv"
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
