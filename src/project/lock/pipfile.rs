//! `Pipfile`: what of it decides how its lock is installed.

use toml::{Table, Value};

use super::{Lock, Requires, Scripts, Source, freshness, source::public_index};
use crate::words::{
    env::Env,
    error::{Error, Kind, Result, Warnings},
};

/// A Pipfile, parsed.
#[derive(Debug, Clone)]
pub struct Pipfile {
    /// Its sources; the public index where it names none, as pipenv has it.
    pub sources: Vec<Source>,
    /// What it requires of the interpreter.
    pub requires: Requires,
    /// Whether packages without `index` are looked for on all sources.
    pub install_search_all_sources: bool,
    /// `[build-system] requires`: what pipenv installs before it builds anything.
    pub build_requires: Vec<String>,
    /// `[scripts]`.
    pub scripts: Scripts,
    /// All of it, as it is written.
    pub(super) table: Table,
    hashes: Option<[String; 3]>,
}

impl Pipfile {
    /// Reads a Pipfile; `label` is what messages call it.
    ///
    /// # Errors
    /// [`Kind::Lock`] for what is not TOML, with the line.
    pub fn parse(bytes: &[u8], label: &str, env: &Env) -> Result<(Pipfile, Warnings)> {
        let broken = |why: String| {
            Error::new(Kind::Lock, format!("{label} cannot be read: {why}"))
                .help("correct it; `pipenv verify` shows whether pipenv can read it")
        };
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text =
            std::str::from_utf8(bytes).map_err(|error| broken(format!("it is not UTF-8 ({error})")))?;
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line =
                error.span().map_or(0, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            broken(format!("{} in line {line}", error.message()))
        })?;
        if !table.contains_key("source") {
            table.insert("source".into(), Value::Array(vec![Value::Table(default_source())]));
        }
        let hashes = freshness::hashes(&table);
        let requires = table.get("requires");
        let text = |key: &str| {
            requires.and_then(|requires| requires.get(key)).and_then(Value::as_str).map(str::to_owned)
        };
        let flag = |section: &str, key: &str| {
            table.get(section).and_then(|section| section.get(key)).and_then(Value::as_bool) == Some(true)
        };
        let build_requires = table
            .get("build-system")
            .and_then(|section| section.get("requires"))
            .and_then(Value::as_array)
            .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let pipfile = Pipfile {
            sources: sources(&table, env),
            requires: Requires {
                python_version: text("python_version"),
                python_full_version: text("python_full_version"),
            },
            install_search_all_sources: flag("pipenv", "install_search_all_sources"),
            build_requires,
            scripts: Scripts::new(table.get("scripts")),
            hashes,
            table,
        };
        Ok((pipfile, Warnings::default()))
    }

    /// The packages it names, each with its category.
    pub fn listed(&self) -> impl Iterator<Item = (&str, &str)> {
        categories(&self.table).flat_map(|category| {
            let packages = self.table.get(category).and_then(Value::as_table);
            packages.into_iter().flat_map(Table::keys).map(move |package| (category, package.as_str()))
        })
    }

    /// Its own categories, beside `packages` and `dev-packages`, in its order.
    pub fn categories(&self) -> impl Iterator<Item = &str> {
        categories(&self.table).filter(|name| !matches!(*name, "packages" | "dev-packages"))
    }

    /// The hash of this Pipfile as pipenv writes it today; `None` where it holds what JSON cannot say.
    pub fn hash(&self) -> Option<&str> {
        self.hashes.as_ref().map(|hashes| hashes[2].as_str())
    }

    /// Whether a lock was made for this Pipfile, by any of pipenv's three ways to compute the hash.
    pub fn is_fresh(&self, lock: &Lock) -> bool {
        match (&self.hashes, &lock.hash) {
            (Some(hashes), Some(hash)) => hashes.contains(hash),
            _ => false,
        }
    }
}

/// The tables of a Pipfile that are categories of packages, by its own names.
pub(super) fn categories(pipfile: &Table) -> impl Iterator<Item = &str> {
    pipfile
        .keys()
        .map(String::as_str)
        .filter(|name| matches!(*name, "packages" | "dev-packages") || !freshness::NO_CATEGORY.contains(name))
}

fn default_source() -> Table {
    Table::from_iter([
        ("name".to_owned(), Value::String("pypi".into())),
        ("url".to_owned(), Value::String(public_index())),
        ("verify_ssl".to_owned(), Value::Boolean(true)),
    ])
}

fn sources(table: &Table, env: &Env) -> Vec<Source> {
    let single;
    let list: &[Value] = match table.get("source") {
        Some(Value::Array(list)) => list,
        Some(one @ Value::Table(_)) => {
            single = [one.clone()];
            &single
        }
        _ => &[],
    };
    let source = |source: &Value| {
        let name = source.get("name").and_then(Value::as_str).map(str::to_owned);
        let verify_ssl = source.get("verify_ssl").and_then(Value::as_bool).unwrap_or(true);
        Some(Source::new(name, source.get("url")?.as_str()?, verify_ssl, env))
    };
    list.iter().filter_map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Pipfile> {
        Pipfile::parse(text.as_bytes(), "Pipfile", &Env::default()).map(|(pipfile, _)| pipfile)
    }

    #[test]
    fn what_matters_is_read() {
        let pipfile = parse(
            "[[source]]\nname = 'a'\nurl = 'https://index.example/simple'\nverify_ssl = false\n\
             [requires]\npython_version = '3.9'\n[pipenv]\ninstall_search_all_sources = true\n\
             [build-system]\nrequires = ['setuptools']\n",
        )
        .expect("a Pipfile");
        assert_eq!(pipfile.sources.len(), 1);
        assert!(!pipfile.sources[0].verify_ssl && pipfile.install_search_all_sources);
        assert_eq!(pipfile.requires.describe(), Some("3.9"));
        assert_eq!(pipfile.build_requires, ["setuptools"]);
    }

    /// What pipenv and plette compute (made by `tests/expected/pipfile_hashes.py`).
    #[test]
    fn the_hashes_are_those_of_pipenv() {
        type Case = (String, String, Option<String>, Option<String>);
        let cases: Vec<Case> = serde_json::from_str(include_str!("expected_hashes.json")).expect("JSON");
        assert!(cases.len() > 20);
        for (text, first, categories, normalised) in cases {
            let hashes = parse(&text).expect(&text).hashes.expect(&text);
            assert_eq!(hashes[0], first, "without categories: {text}");
            if let Some(categories) = categories {
                assert_eq!(hashes[1], categories, "with categories: {text}");
            }
            if let Some(normalised) = normalised {
                assert_eq!(hashes[2], normalised, "with normalised names: {text}");
            }
        }
    }

    #[test]
    fn a_lock_is_fresh_by_any_of_the_three_hashes_and_no_other() {
        let fresh = |pipfile: &Pipfile, meta: &str| {
            let text = format!(r#"{{"_meta": {meta}, "default": {{}}}}"#);
            let (lock, _) = Lock::parse(text.as_bytes(), "Pipfile.lock", &Env::default()).expect(meta);
            pipfile.is_fresh(&lock)
        };
        let pipfile = parse("[packages]\nA_B = '*'\n[docs]\nc = '*'\n").expect("a Pipfile");
        let hashes = pipfile.hashes.clone().expect("hashes");
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
        for hash in &hashes {
            assert!(fresh(&pipfile, &format!(r#"{{"hash": {{"sha256": "{hash}"}}}}"#)), "{hash}");
        }
        let other = parse("[packages]\nA_B = '==1'\n").expect("a Pipfile");
        for hash in &hashes {
            assert!(!fresh(&other, &format!(r#"{{"hash": {{"sha256": "{hash}"}}}}"#)), "{hash}");
        }
        assert!(!fresh(&pipfile, "{}"));
        // A date has no hash: pipenv cannot have locked this.
        let dated = parse("[packages]\na = 2020-01-01\n").expect("a Pipfile");
        assert!(!fresh(&dated, "{}") && dated.hash().is_none());
    }

    #[test]
    fn an_old_single_source_is_read() {
        let pipfile = parse("[source]\nurl = 'https://index.example/simple'\n").expect("a Pipfile");
        assert_eq!(pipfile.sources.len(), 1);
        assert_eq!(pipfile.sources[0].url().expect("a URL").to_string(), "https://index.example/simple");
        assert!(pipfile.sources[0].verify_ssl && pipfile.sources[0].name.is_none());
    }

    #[test]
    fn an_unset_variable_of_a_source_changes_no_hash() {
        let text = "[[source]]\nname='a'\nurl='https://${NOT_SET}@index.example/simple'\nverify_ssl=true\n";
        let set = Env::of([("NOT_SET", "canary")]);
        let (with, _) = Pipfile::parse(text.as_bytes(), "Pipfile", &set).expect("a Pipfile");
        assert_eq!(with.hashes, parse(text).expect("a Pipfile").hashes);
    }

    #[test]
    fn a_broken_pipfile_names_the_line() {
        let report = parse("[packages]\na = '*'\nb = =\n").expect_err("broken").report();
        assert!(report.starts_with("Pipfile cannot be read: ") && report.contains("in line 3"), "{report}");
    }

    #[test]
    fn a_pipfile_without_sources_means_the_public_index() {
        let pipfile = parse("[packages]\n").expect("a Pipfile");
        assert!(super::super::is_public_index(pipfile.sources[0].url().expect("a URL")));
    }
}
