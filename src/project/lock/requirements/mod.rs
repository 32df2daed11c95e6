//! A lock, or a Pipfile, as lines of a requirements file for pip, as `pipenv requirements` prints them.
//!
//! Variables stay as they are written, so that no secret is printed that does not stand in the file itself; pip
//! expands `${VAR}`. Where pipenv prints a line that pip refuses or takes for something else, the line is what pip
//! understands: see `docs/pipenv.md`, "requirements".

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use super::{
    Pipfile, damage,
    parse::kind_of,
    pipfile,
    read_entry::{Fields, inline_reference, marker_texts, scp_to_ssh},
};
use crate::words::{
    error::{Error, Kind, Result, Warnings},
    vocab::PackageName,
};

/// What of the file is wanted.
#[derive(Clone)]
pub(crate) struct Wanted<'a> {
    /// Categories by the lock's names. A package of several stands where it came first, as it came last.
    pub categories: Vec<String>,
    /// Whether hashes are printed.
    pub hashes: bool,
    /// Whether markers are printed.
    pub markers: bool,
    /// Whether the sources are printed.
    pub sources: bool,
    /// The URL that stands in for the public index.
    pub mirror: Option<&'a str>,
    /// Whether a path of the project is a directory: only such can be editable.
    pub is_directory: &'a dyn Fn(&str) -> bool,
}

/// The text of a requirements file, and what its reader should hear.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requirements {
    /// Its lines.
    pub lines: Vec<String>,
    /// What pip will do otherwise than the lock says.
    pub warnings: Warnings,
}

/// The lines of a `Pipfile.lock`; `label` is what messages call it. With `listed` only packages that this Pipfile
/// names itself.
///
/// # Errors
/// [`Kind::Lock`] for a lock that is damaged, an entry that is wrong, a category that is not there.
pub(crate) fn of_lock(
    bytes: &[u8],
    label: &str,
    listed: Option<&Pipfile>,
    wanted: &Wanted<'_>,
) -> Result<Requirements> {
    let text = damage::text_of(bytes, label)?;
    let root: Value = serde_json::from_str(text).map_err(|error| damage::json(text, label, &error))?;
    let sources = root.get("_meta").and_then(|meta| meta.get("sources"));
    let categories =
        |category: &str| root.get(category).and_then(Value::as_object).filter(|_| category != "_meta");
    let known = || {
        root.as_object()
            .into_iter()
            .flat_map(Map::keys)
            .filter(|key| *key != "_meta")
            .map(String::as_str)
            .collect()
    };
    let listed = |category: &str, key: &str| match listed {
        None => true,
        Some(pipfile) => pipfile
            .table
            .get(in_pipfile(category))
            .and_then(toml::Value::as_table)
            .is_some_and(|packages| packages.keys().any(|written| same_package(written, key))),
    };
    file(sources, &categories, &known, &listed, label, wanted)
}

/// The lines of a Pipfile, with its specifiers rather than the lock's pins (`--no-lock`).
///
/// # Errors
/// As [`of_lock`].
pub(crate) fn of_pipfile(pipfile: &Pipfile, label: &str, wanted: &Wanted<'_>) -> Result<Requirements> {
    let table = &pipfile.table;
    let root = serde_json::to_value(table)
        .map_err(|e| Error::new(Kind::Lock, format!("{label} cannot be read")).because(e))?;
    let categories = |category: &str| {
        let name = in_pipfile(category);
        root.get(name)
            .and_then(Value::as_object)
            .filter(|_| pipfile::categories(table).any(|one| one == name))
    };
    let known = || {
        pipfile::categories(table)
            .map(|category| match category {
                "packages" => "default",
                "dev-packages" => "develop",
                other => other,
            })
            .collect()
    };
    file(root.get("source"), &categories, &known, &|_, _| true, label, wanted)
}

/// A category of a lock as a Pipfile calls it.
fn in_pipfile(category: &str) -> &str {
    match category {
        "default" => "packages",
        "develop" => "dev-packages",
        other => other,
    }
}

fn same_package(one: &str, other: &str) -> bool {
    match (one.parse::<PackageName>(), other.parse::<PackageName>()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

type Category<'a> = dyn Fn(&str) -> Option<&'a Map<String, Value>> + 'a;

fn file<'a>(
    sources: Option<&Value>,
    category: &Category<'a>,
    known: &dyn Fn() -> Vec<&'a str>,
    listed: &dyn Fn(&str, &str) -> bool,
    label: &str,
    wanted: &Wanted<'_>,
) -> Result<Requirements> {
    let mut out = Requirements::default();
    if wanted.sources {
        source_lines(sources, wanted.mirror, &mut out);
    }
    for line in &out.lines {
        let url = line.split_once(' ').map_or("", |(_, url)| url);
        one_word(url).map_err(|error| error.context(format!("a source of {label} is wrong")))?;
    }
    let mut entries: Map<String, Value> = Map::new();
    for name in &wanted.categories {
        let Some(packages) = category(name) else {
            if matches!(name.as_str(), "default" | "develop") {
                // Every lock may be asked for these; one without packages of a kind may leave it out.
                continue;
            }
            return Err(Error::new(Kind::Lock, format!("{label} has no category {name:?}"))
                .help(format!("its categories: {}", known().join(", "))));
        };
        for (key, value) in packages.iter().filter(|(key, _)| listed(name, key)) {
            entries.insert(key.clone(), value.clone());
        }
    }
    for (name, value) in &entries {
        let line = no_options(name, value).and_then(|()| entry_line(name, value, wanted, &mut out.warnings));
        out.lines.push(line.map_err(|error| error.context(format!("{name} of {label} is wrong")))?);
    }
    Ok(out)
}

/// Options hidden in the strings of a lock do nothing (CVE-2022-21668): pip reads options in the lines of a
/// requirements file, so what would be one, or begin a line of its own, is refused.
fn no_options(name: &str, value: &Value) -> Result<()> {
    fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::String(text) => found.push(text),
            Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
            // These are options, and no part of a line.
            Value::Object(fields) => fields
                .iter()
                .filter(|(key, _)| !matches!(key.as_str(), "pip_args" | "extra_pip_args"))
                .for_each(|(_, field)| texts(field, found)),
            _ => {}
        }
    }
    let mut found = vec![name];
    texts(value, &mut found);
    for text in found {
        let option = text.starts_with('-')
            || text.split(char::is_whitespace).skip(1).any(|word| word.starts_with('-'));
        if option || text.contains(char::is_control) {
            // Not shown: it may hold a password.
            return Err(Error::new(
                Kind::Lock,
                "one of its texts would be an option or a line of its own for pip",
            )
            .help(
                "lock again with `pipenv lock`; where that stays, whoever changed the lock should be asked",
            ));
        }
    }
    Ok(())
}

/// A URL in a requirements file ends with its line.
fn one_word(url: &str) -> Result<()> {
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) || url.starts_with('-') {
        return Err(Error::new(Kind::Lock, "its URL has white space in it, or begins with -"));
    }
    Ok(())
}

fn source_lines(sources: Option<&Value>, mirror: Option<&str>, out: &mut Requirements) {
    let listed = match sources {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    };
    let urls = listed.iter().filter_map(|source| source.get("url")?.as_str());
    let urls: Vec<String> = match mirror {
        None => urls.map(braced).collect(),
        Some(mirror) => {
            let kept = urls.filter(|url| !url.parse().is_ok_and(|url| super::is_public_index(&url)));
            std::iter::once(mirror.to_owned()).chain(kept.map(braced)).collect()
        }
    };
    for (position, url) in urls.iter().enumerate() {
        let option = if position == 0 { "-i" } else { "--extra-index-url" };
        out.lines.push(format!("{option} {url}"));
        if has_password(url) {
            out.warnings.push(format!(
                "source {} has a password in its URL, and so have these lines; a variable (${{NAME}}) would keep it out",
                position + 1
            ));
        }
    }
}

/// Whether the userinfo of a URL holds a password that is no variable.
fn has_password(url: &str) -> bool {
    let authority =
        url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
    let password = authority.rsplit_once('@').and_then(|(userinfo, _)| userinfo.split_once(':'));
    password.is_some_and(|(_, password)| !password.is_empty() && !password.contains('$'))
}

/// `$NAME` as `${NAME}`: pip expands only the latter.
fn braced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let name = &from[1..];
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        out.push_str(before);
        if end > 0 && !name.starts_with(|c: char| c.is_ascii_digit()) {
            out.extend(["${", &name[..end], "}"]);
            rest = &name[end..];
        } else {
            out.push('$');
            rest = name;
        }
    }
    out.push_str(rest);
    out
}

fn entry_line(name: &str, value: &Value, wanted: &Wanted<'_>, warnings: &mut Warnings) -> Result<String> {
    let fields = match value {
        Value::Object(fields) => Fields(fields),
        Value::String(version) => return Ok(format!("{name}{}", specifier(version))),
        other => {
            return Err(Error::new(Kind::Lock, format!("it is {}, expected an object", kind_of(other))));
        }
    };
    let marker = if wanted.markers { joined(&marker_texts(&fields)?) } else { None };
    let extras = fields.list("extras")?;
    let extras = if extras.is_empty() { String::new() } else { format!("[{}]", extras.join(",")) };
    let editable = fields.flag("editable")?;
    let condition =
        |space: &str| marker.as_deref().map_or_else(String::new, |marker| format!("{space}; {marker}"));
    let unconditional = |warnings: &mut Warnings| {
        if marker.is_some() {
            warnings.push(format!("{name}: pip passes over the marker of an editable requirement"));
        }
    };
    let unhashed = |warnings: &mut Warnings| {
        if wanted.hashes {
            warnings.push(format!("{name} has no hashes: beside lines that have some, pip refuses it"));
        }
    };
    for vcs in ["git", "hg", "svn", "bzr"] {
        let Some(text) = fields.text(vcs)? else { continue };
        unhashed(warnings);
        let url = vcs_url(vcs, text, fields.text("ref")?);
        let inner = fields.text("subdirectory")?.filter(|inner| !inner.is_empty());
        if editable || text.contains("file://") {
            unconditional(warnings);
            let egg = if url.contains("#egg=") { String::new() } else { format!("#egg={name}") };
            let inner = inner.map_or_else(String::new, |inner| format!("&subdirectory={inner}"));
            return Ok(format!("-e {url}{egg}{inner}"));
        }
        let inner = inner.map_or_else(String::new, |inner| format!("#subdirectory={inner}"));
        return Ok(format!("{name}{extras} @ {url}{inner}{}", condition(" ")));
    }
    for key in ["file", "path"] {
        let Some(path) = fields.text(key)? else { continue };
        unhashed(warnings);
        if editable && (wanted.is_directory)(path) {
            unconditional(warnings);
            return Ok(format!("-e {path}{}", condition(" ")));
        }
        return Ok(format!("{path}{}", condition(" ")));
    }
    let version = fields.text("version")?.unwrap_or_default();
    let mut line = format!("{name}{extras}{}{}", specifier(version), condition(""));
    if wanted.hashes {
        let hashes: Vec<&str> = fields.list("hashes")?.into_iter().chain(fields.list("hash")?).collect();
        if hashes.is_empty() {
            unhashed(warnings);
        }
        for hash in hashes {
            line.extend([" --hash=", hash]);
        }
    }
    Ok(line)
}

/// What stands behind a package's name: `==1.0`, or nothing for any version.
fn specifier(version: &str) -> String {
    match version.trim() {
        "" | "*" => String::new(),
        version if version.starts_with(['=', '<', '>', '~', '!']) => version.to_owned(),
        version => format!("=={version}"),
    }
}

/// Markers that must all hold, as one.
fn joined(texts: &[String]) -> Option<String> {
    match texts {
        [] => None,
        [one] => Some(one.clone()),
        many => {
            let part = |text: &String| if text.contains(" or ") { format!("({text})") } else { text.clone() };
            Some(many.iter().map(part).collect::<Vec<_>>().join(" and "))
        }
    }
}

/// A repository at a revision as pip writes it, its variables unexpanded.
fn vcs_url(vcs: &str, text: &str, reference: Option<&str>) -> String {
    let text = text.strip_prefix(vcs).and_then(|rest| rest.strip_prefix('+')).unwrap_or(text);
    let text = braced(text);
    let url = scp_to_ssh(&text).unwrap_or(text);
    let path = url.find("://").and_then(|at| Some(at + 3 + url[at + 3..].find('/')?)).unwrap_or(url.len());
    let (url, inline) = match inline_reference(&url[path..]) {
        Some((before, inline)) => (&url[..path + before.len()], Some(inline)),
        None => (url.as_str(), None),
    };
    match reference.filter(|reference| !reference.is_empty()).or(inline) {
        Some(reference) => format!("{vcs}+{url}@{reference}"),
        None => format!("{vcs}+{url}"),
    }
}
