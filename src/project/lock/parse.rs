//! `Pipfile.lock` as bytes to [`Lock`].

use serde_json::{Map, Value};

use super::{
    Entry, Requires, Source,
    contents::{Category, Contents},
    damage,
};
use crate::words::{
    env::Env,
    error::{Error, Kind, Result, Warnings},
    gather::gather_in,
};

/// A lock, parsed.
#[derive(Debug, Clone)]
pub struct Lock {
    /// The indexes, in the lock's order.
    pub sources: Vec<Source>,
    /// The categories: `default`, `develop`, then others by name; the entries of each in the lock's order.
    pub categories: Vec<(String, Vec<Entry>)>,
    /// What the lock requires of the interpreter.
    pub requires: Requires,
    /// The hash of the Pipfile it was made for.
    pub hash: Option<String>,
    /// Groups a `pylock.toml` knows.
    pub dependency_groups: Vec<String>,
    /// Groups a `pylock.toml` installs unless told otherwise.
    pub default_groups: Vec<String>,
}

impl Lock {
    /// Reads a `Pipfile.lock`; `label` is what messages call it. Variables of source URLs are expanded
    /// from `env`.
    ///
    /// # Errors
    /// [`Kind::Lock`], with every entry that is wrong and its category, or with what damaged the file.
    pub fn parse(bytes: &[u8], label: &str, env: &Env) -> Result<(Lock, Warnings)> {
        let (lock, warnings, bad) = Self::read(bytes, label, env)?;
        let many = bad.len() > 1;
        gather_in(&format!("{label} cannot be used"), bad, "entries are wrong")
            .map_err(|error| if many { error.help("lock again with `pipenv lock`") } else { error })?;
        Ok((lock, warnings))
    }

    /// What can be read of a `Pipfile.lock`: for those who only look at it, an entry that is wrong, or a variable
    /// that is not set, stands in no other's way.
    ///
    /// # Errors
    /// [`Kind::Lock`] for what is no lock at all.
    pub fn glance(bytes: &[u8], label: &str, env: &Env) -> Result<Lock> {
        Self::read(bytes, label, env).map(|(lock, _, _)| lock)
    }

    fn read(bytes: &[u8], label: &str, env: &Env) -> Result<(Lock, Warnings, Vec<Error>)> {
        let text = damage::text_of(bytes, label)?;
        if !text.trim_start().starts_with('{') {
            let value: Value =
                serde_json::from_str(text).map_err(|error| damage::json(text, label, &error))?;
            return Err(not_a_lock(label, &format!("it holds {}, expected an object", kind_of(&value))));
        }
        let Contents { meta, mut categories } =
            Contents::read(text, env).map_err(|error| damage::json(text, label, &error))?;
        let mut warnings = Warnings::default();
        let mut bad = Vec::new();
        let meta = match meta {
            Some(Value::Object(meta)) => meta,
            Some(other) => {
                bad.push(shape("_meta", "an object", kind_of(&other)));
                Map::new()
            }
            None => {
                warnings.push(format!("{label} has no _meta: it names no sources and no Pipfile hash"));
                Map::new()
            }
        };
        let mut lock = Lock {
            sources: sources(&meta, env, &mut bad),
            categories: Vec::new(),
            requires: requires(&meta, &mut bad),
            hash: meta
                .get("hash")
                .and_then(|hash| hash.get("sha256"))
                .and_then(Value::as_str)
                .map(str::to_owned),
            dependency_groups: Vec::new(),
            default_groups: Vec::new(),
        };
        categories.sort_by(|(a, _), (b, _)| {
            let place = |name: &str| match name {
                "default" => 0,
                "develop" => 1,
                _ => 2,
            };
            (place(a), a).cmp(&(place(b), b))
        });
        for (name, category) in categories {
            match category {
                Category::Packages { entries, bad: wrong } => {
                    bad.extend(wrong);
                    lock.categories.push((name, entries));
                }
                Category::Other(kind) => bad.push(shape(&name, "an object of packages", kind)),
            }
        }
        if lock.categories.is_empty() && bad.is_empty() {
            return Err(not_a_lock(label, "it has neither \"default\" nor any other category"));
        }
        Ok((lock, warnings, bad))
    }
}

fn not_a_lock(label: &str, why: &str) -> Error {
    Error::new(Kind::Lock, format!("{label} is not a lock: {why}"))
        .help("make it anew with `pipenv lock`, or restore it from version control")
}

fn sources(meta: &Map<String, Value>, env: &Env, bad: &mut Vec<Error>) -> Vec<Source> {
    let list = match meta.get("sources") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(other) => {
            bad.push(shape("_meta.sources", "a list", kind_of(other)));
            return Vec::new();
        }
    };
    let mut sources = Vec::with_capacity(list.len());
    for (position, source) in list.iter().enumerate() {
        let Some(url) = source.get("url").and_then(Value::as_str) else {
            bad.push(Error::new(Kind::Lock, format!("_meta.sources[{position}] has no url")));
            continue;
        };
        let name = source.get("name").and_then(Value::as_str).map(str::to_owned);
        let verify_ssl = match source.get("verify_ssl") {
            Some(Value::Bool(verify)) => *verify,
            Some(Value::String(text)) => !text.eq_ignore_ascii_case("false"),
            _ => true,
        };
        sources.push(Source::new(name, url, verify_ssl, env));
    }
    sources
}

fn requires(meta: &Map<String, Value>, bad: &mut Vec<Error>) -> Requires {
    let Some(requires) = meta.get("requires").filter(|value| !value.is_null()) else {
        return Requires::default();
    };
    if !requires.is_object() {
        bad.push(shape("_meta.requires", "an object", kind_of(requires)));
    }
    let mut text = |key: &str| match requires.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => {
            bad.push(shape(&format!("_meta.requires.{key}"), "a string", kind_of(other)));
            None
        }
    };
    Requires { python_version: text("python_version"), python_full_version: text("python_full_version") }
}

fn shape(subject: &str, expected: &str, got: &str) -> Error {
    Error::new(Kind::Lock, format!("{subject} is {got}, expected {expected}"))
}

/// What a JSON value is, in words.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
