//! One entry of a `Pipfile.lock`: JSON to [`Entry`].

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{Entry, EntryOrigin, Hashes, Pin, Turn, Vcs, VcsKind, expand::expand_url, parse::kind_of};
use crate::words::{
    env::Env,
    error::{Error, Kind, Result},
    vocab::{Extra, Marker, PackageName, RelPath, Sha256, Specifiers},
};

/// Marker variables that early pipenvs wrote as keys beside an entry: `"sys_platform": "== 'win32'"`.
const MARKER_KEYS: [&str; 12] = [
    "os_name",
    "sys_platform",
    "platform_machine",
    "platform_python_implementation",
    "platform_release",
    "platform_system",
    "platform_version",
    "python_version",
    "python_full_version",
    "implementation_name",
    "implementation_version",
    "extra",
];

/// Reads the entries of one category. What they have in common is there once: the category's name, those of indexes, and
/// markers, which are read once, too.
pub(super) struct Entries<'a> {
    env: &'a Env,
    category: Arc<str>,
    indexes: HashSet<Arc<str>>,
    markers: HashMap<String, Arc<Marker>>,
}

impl<'a> Entries<'a> {
    pub(super) fn new(category: &str, env: &'a Env) -> Self {
        Entries { env, category: category.into(), indexes: HashSet::new(), markers: HashMap::new() }
    }

    /// Reads an entry; the error names it and its category.
    pub(super) fn read(&mut self, key: &str, value: &Value) -> Result<Entry> {
        self.try_read(key, value)
            .map_err(|error| error.context(format!("{key} [{}] is wrong", self.category)))
    }

    fn index(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.indexes.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.indexes.insert(Arc::clone(&name));
        name
    }

    /// All of an entry's markers as one.
    fn marker(&mut self, fields: &Fields<'_>) -> Result<Option<Arc<Marker>>> {
        let texts = marker_texts(fields)?;
        if texts.is_empty() {
            return Ok(None);
        }
        // No marker holds a zero byte.
        let text = texts.join("\0");
        if let Some(known) = self.markers.get(&text) {
            return Ok(Some(Arc::clone(known)));
        }
        let mut marker: Option<Marker> = None;
        for text in texts {
            let parsed = Marker::parse(&text)?;
            marker = Some(match marker.take() {
                Some(before) => before.and(parsed),
                None => parsed,
            });
        }
        let marker = marker.map(Arc::new);
        if let Some(marker) = &marker {
            self.markers.insert(text, Arc::clone(marker));
        }
        Ok(marker)
    }

    fn try_read(&mut self, key: &str, value: &Value) -> Result<Entry> {
        let name: PackageName = key.trim().parse()?;
        let bare;
        let fields = match value {
            Value::Object(fields) => Fields(fields),
            // Some tools write what a Pipfile would hold.
            Value::String(version) => {
                bare = Map::from_iter([("version".to_owned(), Value::String(version.clone()))]);
                Fields(&bare)
            }
            other => return Err(wrong(format!("it is {}, expected an object", kind_of(other)))),
        };
        let mut hashes = hashes(&fields)?;
        let origin = origin(&fields, self.env, &mut hashes)?;
        Ok(Entry {
            written: if key == name.as_str() { name.shared() } else { key.into() },
            name,
            category: Arc::clone(&self.category),
            extras: extras(&fields)?,
            pin: fields.text("version")?.map_or(Ok(Pin::Any), |text| pin(text.trim()))?,
            hashes: Arc::new(hashes),
            index: fields.text("index")?.filter(|name| !name.is_empty()).map(|name| self.index(name)),
            marker: self.marker(&fields)?,
            origin,
            editable: fields.flag("editable")?,
            no_binary: fields.flag("no_binary")?,
            pip_args: pip_args(&fields)?,
            files: Vec::new(),
            turn: Turn::default(),
        })
    }
}

/// An entry's fields; `null` counts as absent.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(format!("{key} is {}, expected a string", kind_of(other)))),
        }
    }

    /// A list of strings, or a single one.
    pub(super) fn list(&self, key: &str) -> Result<Vec<&'a str>> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_str()
                        .ok_or_else(|| wrong(format!("{key} holds {}, expected strings", kind_of(item))))
                })
                .collect(),
            Some(other) => Err(wrong(format!("{key} is {}, expected a list of strings", kind_of(other)))),
        }
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) => {
                Ok(!matches!(text.to_ascii_lowercase().as_str(), "" | "false" | "0"))
            }
            Some(other) => Err(wrong(format!("{key} is {}, expected true or false", kind_of(other)))),
        }
    }
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Lock, message)
}

fn hashes(fields: &Fields<'_>) -> Result<Hashes> {
    // Early pipenvs wrote one `hash`.
    digests(fields.list("hashes")?.into_iter().chain(fields.list("hash")?))
}

/// Digests such as `sha256:...`, each once.
pub(super) fn digests<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Hashes> {
    let mut hashes = Hashes::default();
    let mut seen = HashSet::new();
    for text in texts.map(str::trim) {
        match text.split_once(':') {
            Some((algorithm, digest)) if algorithm.eq_ignore_ascii_case("sha256") => {
                let digest: Sha256 = digest.parse().map_err(|error: Error| {
                    error.context(format!("hash {text:?} is not sha256 and 64 hexadecimal digits"))
                })?;
                if seen.insert(digest) {
                    hashes.sha256.push(digest);
                }
            }
            Some((algorithm, digest)) if !algorithm.is_empty() && !digest.is_empty() => {
                hashes.other.push(text.to_owned());
            }
            _ => {
                return Err(wrong(format!("hash {text:?} does not name its algorithm; expected sha256:...")));
            }
        }
    }
    hashes.sha256.shrink_to_fit();
    Ok(hashes)
}

/// What a version specifier pins.
pub(super) fn pin(text: &str) -> Result<Pin> {
    if matches!(text, "" | "*") {
        return Ok(Pin::Any);
    }
    let unusable =
        |expected: &str| wrong(format!("version {text:?} cannot be read; expected {expected} (PEP 440)"));
    if let Some(arbitrary) = text.strip_prefix("===") {
        return match arbitrary.trim() {
            "" => Err(unusable("a version after ===")),
            version => Ok(Pin::Arbitrary(version.to_owned())),
        };
    }
    if let Some(version) = text.strip_prefix("==")
        && !version.contains(['*', ','])
    {
        return match version.trim().parse() {
            Ok(version) => Ok(Pin::Exact(version)),
            Err(_) => Err(unusable("something like ==1.0")),
        };
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return text.parse().map(Pin::Exact).map_err(|_| unusable("a version"));
    }
    text.parse::<Specifiers>().map(Pin::Range).map_err(|_| unusable("a version specifier"))
}

/// Some locks hold all extras in one string.
fn extras(fields: &Fields<'_>) -> Result<Vec<Extra>> {
    let words = fields.list("extras")?.into_iter().flat_map(|extras| extras.split(','));
    words.map(str::trim).filter(|extra| !extra.is_empty()).map(str::parse).collect()
}

/// An entry's markers as it writes them; all must hold.
pub(super) fn marker_texts(fields: &Fields<'_>) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    for key in ["markers", "marker", "os_markers"] {
        texts.extend(fields.text(key)?.filter(|text| !text.trim().is_empty()).map(str::to_owned));
    }
    for key in MARKER_KEYS {
        if let Some(text) = fields.text(key)?.filter(|text| !text.trim().is_empty()) {
            texts.push(format!("{key} {text}"));
        }
    }
    Ok(texts)
}

fn pip_args(fields: &Fields<'_>) -> Result<Vec<String>> {
    let mut args = Vec::new();
    for key in ["pip_args", "extra_pip_args"] {
        match fields.get(key) {
            Some(Value::String(text)) => args.extend(
                shlex::split(text).ok_or_else(|| wrong(format!("{key} has a quote that is not closed")))?,
            ),
            _ => args.extend(fields.list(key)?.into_iter().map(str::to_owned)),
        }
    }
    Ok(args)
}

fn origin(fields: &Fields<'_>, env: &Env, hashes: &mut Hashes) -> Result<EntryOrigin> {
    for (key, kind) in
        [("git", VcsKind::Git), ("hg", VcsKind::Hg), ("svn", VcsKind::Svn), ("bzr", VcsKind::Bzr)]
    {
        if let Some(text) = fields.text(key)? {
            return vcs(fields, kind, text, env).map(|vcs| EntryOrigin::Vcs(vcs.into()));
        }
    }
    for key in ["file", "path"] {
        let Some(text) = fields.text(key)? else { continue };
        let schemes =
            [("git+", VcsKind::Git), ("hg+", VcsKind::Hg), ("svn+", VcsKind::Svn), ("bzr+", VcsKind::Bzr)];
        if let Some((_, kind)) = schemes.iter().find(|(prefix, _)| text.starts_with(prefix)) {
            return vcs(fields, *kind, text, env).map(|vcs| EntryOrigin::Vcs(vcs.into()));
        }
        return file_or_path(text, env, hashes);
    }
    Ok(EntryOrigin::Index)
}

fn file_or_path(text: &str, env: &Env, hashes: &mut Hashes) -> Result<EntryOrigin> {
    if text.is_empty() {
        return Err(wrong("its path is empty"));
    }
    // First, so that a variable may hold the scheme too.
    let text = expand_url(text, env)?;
    match scheme_of(&text).as_deref() {
        Some("http" | "https") => {
            let mut url = url_of(&text)?;
            digest_of_fragment(url.fragment().unwrap_or_default(), hashes)?;
            url.set_fragment(None);
            Ok(EntryOrigin::Url(Box::new(url.into())))
        }
        Some("file") => {
            let (path, fragment) = text.split_once('#').unwrap_or((&text, ""));
            digest_of_fragment(fragment, hashes)?;
            path_of_file_url(path).map(EntryOrigin::Path)
        }
        Some(scheme) if text[scheme.len()..].starts_with("://") => {
            Err(wrong(format!("its URL begins with {scheme}://; expected https://, file:/// or a path")))
        }
        _ => Ok(EntryOrigin::Path(text)),
    }
}

/// What stands before the first colon, in lower case, if it could be a URL's scheme (RFC 3986, 3.1).
fn scheme_of(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once(':')?;
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(inner))
        .then(|| scheme.to_ascii_lowercase())
}

/// Takes `#sha256=...` for an entry that has no digest of its own.
fn digest_of_fragment(fragment: &str, hashes: &mut Hashes) -> Result<()> {
    let digest = fragment.split('&').find_map(|part| part.strip_prefix("sha256="));
    if let Some(digest) = digest.filter(|_| hashes.sha256.is_empty()) {
        let digest: Result<Sha256> = digest.parse();
        hashes
            .sha256
            .push(digest.map_err(|error| error.context("the sha256 after the # of its URL is wrong"))?);
    }
    Ok(())
}

/// The path of a `file:` URL without fragment, percent-decoded. `file:./lib` is no URL, but pip takes it.
pub(super) fn path_of_file_url(text: &str) -> Result<String> {
    let rest = text.split_once(':').map_or(text, |(_, rest)| rest);
    let rest = rest.split_once('?').map_or(rest, |(path, _)| path);
    let path = match rest.strip_prefix("//") {
        None => rest,
        Some(rest) => {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
                return Err(wrong("its file: URL names a host, expected a file of this machine")
                    .help("write file:///absolute/path, or a path relative to the project"));
            }
            path
        }
    };
    match percent_encoding::percent_decode_str(path).decode_utf8() {
        Ok(path) if !path.is_empty() && !path.contains('\0') => Ok(path.into_owned()),
        _ => Err(wrong("its file: URL has no usable path; expected something like file:///srv/lib")),
    }
}

fn url_of(text: &str) -> Result<url::Url> {
    // The text itself is not shown: it may hold a password.
    url::Url::parse(text)
        .map_err(|error| wrong("its URL cannot be parsed (not shown: it may hold a password)").because(error))
}

fn vcs(fields: &Fields<'_>, kind: VcsKind, text: &str, env: &Env) -> Result<Vcs> {
    let prefixes = ["git+", "hg+", "svn+", "bzr+"];
    let text = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
    let mut url = repository(&expand_url(text, env)?)?;
    let mut inner = fields.text("subdirectory")?.map(str::to_owned);
    if inner.is_none() {
        let fragment = url.fragment().unwrap_or_default();
        inner = fragment.split('&').find_map(|part| part.strip_prefix("subdirectory=")).map(decoded);
    }
    url.set_fragment(None);
    let mut reference = fields.text("ref")?.map(str::to_owned).filter(|text| !text.is_empty());
    if let Some((path, inline)) = inline_reference(url.path()) {
        if inline.is_empty() {
            return Err(wrong("its URL ends in @ without a commit, branch or tag"));
        }
        reference = reference.or(Some(decoded(inline)));
        let path = path.to_owned();
        url.set_path(&path);
    }
    let subdirectory = inner.as_deref().map(subdirectory).transpose()?.flatten();
    Ok(Vcs { kind, url: url.into(), reference, subdirectory })
}

/// Splits `/group/project.git@feature/x`, as pip writes a reference. An `@` that begins a component
/// (`/@scope/project`) or stands before the project (`/a@b/project.git`) is part of the path.
pub(super) fn inline_reference(path: &str) -> Option<(&str, &str)> {
    let (before, inline) = path.rsplit_once('@')?;
    let is_project = inline.contains('/') && inline.strip_suffix(".git").is_some();
    let in_path = before.ends_with('/') || is_project;
    (!in_path).then_some((before, inline))
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// A directory inside a repository; `None` for its top.
pub(super) fn subdirectory(text: &str) -> Result<Option<RelPath>> {
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.is_empty() {
        return Ok(None);
    }
    let path = parts.join("/").parse::<RelPath>();
    path.map(Some).map_err(|error| error.with_kind(Kind::Lock).context("its subdirectory is wrong"))
}

/// The URL of a repository, without a prefix such as `git+`: as a URL, as ssh's `user@host:path`, or as an
/// absolute path.
pub(super) fn repository(text: &str) -> Result<url::Url> {
    const EXPECTED: &str = "expected something like https://host.example/group/project.git";
    let text = match scp_to_ssh(text) {
        Some(url) => url,
        None if text.starts_with('/') => format!("file://{text}"),
        None if text.contains("://") => text.to_owned(),
        // Not joined with anything here: clones are cached by URL, and this one means another
        // repository in each project.
        None => {
            return Err(wrong("its repository is neither a URL nor an absolute path")
                .help(format!("{EXPECTED} or file:///srv/project.git")));
        }
    };
    url_of(&text).map_err(|error| error.help(EXPECTED))
}

/// `git@host.example:group/project.git` as a URL.
pub(super) fn scp_to_ssh(text: &str) -> Option<String> {
    if text.contains("://") {
        return None;
    }
    let (host, path) = text.split_once(':')?;
    (host.contains('@') && !host.contains('/')).then(|| format!("ssh://{host}/{path}"))
}
