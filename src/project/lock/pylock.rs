//! `pylock.toml` (PEP 751) to [`Lock`].

use std::{collections::HashSet, sync::Arc};

use toml::{Table, Value};

use super::{
    Entry, EntryOrigin, Hashes, Lock, Pin, PinnedFile, Requires, Source, Turn, Vcs, VcsKind,
    read_entry::{digests, path_of_file_url, pin, repository, subdirectory},
};
use crate::words::{
    env::Env,
    error::{Error, Kind, Result, Warnings},
    gather::gather_in,
    vocab::{Marker, PackageName, Sha256, SourceUrl},
};

/// The category that all packages of a `pylock.toml` stand in: its groups are a matter of markers.
const CATEGORY: &str = "default";

/// Reads a `pylock.toml`; `label` is what messages call it. Variables of index URLs are expanded from
/// `env`: pipenv copies them from its sources as they are.
///
/// # Errors
/// [`Kind::Lock`] for what is not TOML, a `lock-version` of another major version, and with every package
/// that is wrong.
pub(crate) fn parse_pylock(bytes: &[u8], label: &str, env: &Env) -> Result<(Lock, Warnings)> {
    let document = super::damage::text_of(bytes, label)?;
    let root: Table = document.parse().map_err(|error: toml::de::Error| {
        let line = error
            .span()
            .map_or(0, |span| 1 + document[..span.start.min(document.len())].matches('\n').count());
        Error::new(Kind::Lock, format!("{label} is not TOML: {} in line {line}", error.message()))
            .help("make it anew with the tool that wrote it")
    })?;
    let mut warnings = Warnings::default();
    check_version(&root, label, &mut warnings)?;
    let mut bad = Vec::new();
    let mut keep = |result: Result<Vec<String>>| result.unwrap_or_else(|error| note(&mut bad, error));
    let dependency_groups = keep(strings(&root, "dependency-groups"));
    let default_groups = keep(strings(&root, "default-groups"));
    let python_version =
        text(&root, "requires-python").unwrap_or_else(|error| note(&mut bad, error)).map(str::to_owned);
    let packages = list(&root, "packages").unwrap_or_else(|error| note(&mut bad, error));
    if packages.is_none() && bad.is_empty() {
        warnings.push(format!("{label} has no packages"));
    }
    // pipenv writes locks that the specification does not allow; see `Writer`.
    let writer = Writer {
        is_pipenv: inner(&root, "tool").ok().flatten().is_some_and(|tool| tool.contains_key("pipenv")),
    };
    let mut lock = Lock {
        sources: Vec::new(),
        categories: Vec::new(),
        requires: Requires { python_version, python_full_version: None },
        hash: None,
        dependency_groups,
        default_groups,
    };
    let mut entries = Vec::new();
    for (position, package) in packages.unwrap_or_default().iter().enumerate() {
        let read = package.as_table().ok_or_else(|| shape("it", "a table", package));
        match read.and_then(|package| read_package(package, &writer, env, &mut lock.sources)) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                let name = package.get("name").and_then(Value::as_str).unwrap_or("without a name");
                bad.push(error.context(format!("packages[{position}] ({name}) is wrong")));
            }
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    lock.categories.push((CATEGORY.to_owned(), entries));
    gather_in(&format!("{label} cannot be used"), bad, "packages are wrong")?;
    Ok((lock, warnings))
}

fn check_version(root: &Table, label: &str, warnings: &mut Warnings) -> Result<()> {
    let version = text(root, "lock-version").and_then(|version| {
        version.ok_or_else(|| {
            Error::new(Kind::Lock, format!("{label} has no lock-version; expected a lock of PEP 751"))
        })
    })?;
    match version.split_once('.').unwrap_or((version, "")) {
        ("1", "0") => {}
        ("1", _) => warnings.push(format!(
            "{label} is of lock-version {version}; 1.0 is known, what is newer is passed over"
        )),
        _ => {
            return Err(Error::new(
                Kind::Lock,
                format!("{label} is of lock-version {version}, expected 1.0"),
            )
            .help("use a newer venvoy, or make the lock with a tool that writes version 1.0"));
        }
    }
    Ok(())
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Lock, message)
}

/// Keeps an error for later and goes on without the value.
fn note<T: Default>(bad: &mut Vec<Error>, error: Error) -> T {
    bad.push(error);
    T::default()
}

fn shape(subject: &str, expected: &str, got: &Value) -> Error {
    wrong(format!("{subject} is of type {}, expected {expected}", got.type_str()))
}

fn text<'a>(table: &'a Table, key: &str) -> Result<Option<&'a str>> {
    let value = table.get(key);
    value.map(|value| value.as_str().ok_or_else(|| shape(key, "a string", value))).transpose()
}

fn list<'a>(table: &'a Table, key: &str) -> Result<Option<&'a [Value]>> {
    let value = table.get(key);
    value
        .map(|value| value.as_array().map(Vec::as_slice).ok_or_else(|| shape(key, "a list", value)))
        .transpose()
}

fn inner<'a>(table: &'a Table, key: &str) -> Result<Option<&'a Table>> {
    let value = table.get(key);
    value.map(|value| value.as_table().ok_or_else(|| shape(key, "a table", value))).transpose()
}

fn strings(table: &Table, key: &str) -> Result<Vec<String>> {
    let items = list(table, key)?.unwrap_or_default();
    let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(|| shape(key, "strings", item));
    items.iter().map(text).collect()
}

/// Who wrote a lock. pipenv leaves out what a `Pipfile.lock` does not tell it: the files of a package
/// (then `tool.pipenv.hashes` keeps the digests), the commit of a repository.
struct Writer {
    is_pipenv: bool,
}

fn read_package(package: &Table, writer: &Writer, env: &Env, sources: &mut Vec<Source>) -> Result<Entry> {
    let written = text(package, "name")?.ok_or_else(|| wrong("it has no name"))?;
    let name: PackageName = written.parse()?;
    let pin = match text(package, "version")? {
        None => Pin::Any,
        // pipenv takes a leading == off what may be any specifier: of ===1.0 it leaves =1.0.
        Some(version) if writer.is_pipenv => match version.trim().strip_prefix('=') {
            Some(rest) => pin(&format!("==={}", rest.trim_start_matches('=')))?,
            None => pin(version.trim())?,
        },
        Some(version) => Pin::Exact(
            version.parse().map_err(|_| wrong(format!("version {version:?} cannot be read (PEP 440)")))?,
        ),
    };
    let mut entry = Entry {
        name,
        written: written.into(),
        category: CATEGORY.into(),
        extras: Vec::new(),
        pin,
        hashes: Arc::default(),
        index: None,
        marker: text(package, "marker")?.map(Marker::parse).transpose()?.map(Arc::new),
        origin: EntryOrigin::Index,
        editable: false,
        no_binary: false,
        pip_args: Vec::new(),
        files: Vec::new(),
        turn: Turn::default(),
    };
    let mut hashes = Hashes::default();
    let kinds: Vec<&str> = ["vcs", "directory", "archive"]
        .into_iter()
        .filter(|kind| package.contains_key(*kind))
        .chain((package.contains_key("wheels") || package.contains_key("sdist")).then_some("wheels or sdist"))
        .collect();
    if let [first, second, ..] = kinds[..] {
        return Err(wrong(format!("it has both {first} and {second}, expected one of them")));
    }
    if let Some(vcs) = inner(package, "vcs")? {
        entry.origin = EntryOrigin::Vcs(Box::new(read_vcs(vcs, writer)?));
    } else if let Some(directory) = inner(package, "directory")? {
        let path = text(directory, "path")?.filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| wrong("its directory has no path"))?;
        let below = text(directory, "subdirectory")?.map(subdirectory).transpose()?.flatten();
        entry.origin =
            EntryOrigin::Path(below.map_or_else(|| path.to_owned(), |below| format!("{path}/{below}")));
        entry.editable = match directory.get("editable") {
            None => false,
            Some(value) => value.as_bool().ok_or_else(|| shape("editable", "true or false", value))?,
        };
    } else if let Some(archive) = inner(package, "archive")? {
        if text(archive, "subdirectory")?.map(subdirectory).transpose()?.flatten().is_some() {
            // Passed over, it would build another project than the one that was locked.
            return Err(wrong("its archive has a subdirectory, which venvoy cannot build from"));
        }
        let file = read_file(archive, &mut hashes).map_err(|error| error.context("its archive is wrong"))?;
        entry.origin = match (file.url, file.path) {
            (Some(url), _) => EntryOrigin::Url(Box::new(url)),
            (None, path) => EntryOrigin::Path(path.unwrap_or_default()),
        };
    } else {
        let wheels = list(package, "wheels")?.unwrap_or_default();
        for (position, wheel) in wheels.iter().enumerate() {
            let read = wheel.as_table().ok_or_else(|| shape("it", "a table", wheel));
            let file = read.and_then(|wheel| read_file(wheel, &mut hashes));
            entry.files.push(file.map_err(|error| error.context(format!("wheels[{position}] is wrong")))?);
        }
        if let Some(sdist) = inner(package, "sdist")? {
            let file = read_file(sdist, &mut hashes);
            entry.files.push(file.map_err(|error| error.context("its sdist is wrong"))?);
        }
        if let Some(tool) = inner(package, "tool")?
            && let Some(pipenv) = inner(tool, "pipenv")?
        {
            let texts = strings(pipenv, "hashes")?;
            let own = digests(texts.iter().map(String::as_str))?;
            let known: HashSet<Sha256> = hashes.sha256.iter().copied().collect();
            hashes.sha256.extend(own.sha256.into_iter().filter(|digest| !known.contains(digest)));
            hashes.other.extend(own.other);
        }
        if entry.files.is_empty() && !writer.is_pipenv {
            return Err(wrong("it has neither wheels nor sdist, archive, directory or vcs"));
        }
        if let Some(index) = text(package, "index")? {
            let name = without_userinfo(index);
            if !sources.iter().any(|source| source.name.as_ref() == Some(&name)) {
                sources.push(Source::new(Some(name.clone()), index, true, env));
            }
            entry.index = Some(name.into());
        }
    }
    entry.hashes = Arc::new(hashes);
    Ok(entry)
}

fn read_vcs(vcs: &Table, writer: &Writer) -> Result<Vcs> {
    let kind = match text(vcs, "type")? {
        Some("git") => VcsKind::Git,
        Some("hg") => VcsKind::Hg,
        Some("svn") => VcsKind::Svn,
        Some("bzr") => VcsKind::Bzr,
        Some(other) => {
            return Err(wrong(format!("its vcs is of type {other:?}, expected git, hg, svn or bzr")));
        }
        None => return Err(wrong("its vcs has no type, expected git, hg, svn or bzr")),
    };
    let url = match (text(vcs, "url")?, text(vcs, "path")?) {
        (Some(text), _) | (None, Some(text)) => repository(text)?,
        (None, None) => return Err(wrong("its vcs has neither url nor path")),
    };
    let commit = text(vcs, "commit-id")?.filter(|commit| !commit.is_empty());
    if commit.is_none() && !writer.is_pipenv {
        return Err(wrong("its vcs has no commit-id"));
    }
    let subdirectory = text(vcs, "subdirectory")?.map(subdirectory).transpose()?.flatten();
    Ok(Vcs { kind, url: url.into(), reference: commit.map(str::to_owned), subdirectory })
}

/// What an index is called: its URL, which may hold a password.
fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// Reads a wheel, an sdist or an archive; adds its digests to `all`.
fn read_file(file: &Table, all: &mut Hashes) -> Result<PinnedFile> {
    let hashes = hashes(file)?;
    let mut path = text(file, "path")?.filter(|path| !path.is_empty()).map(str::to_owned);
    // pipenv writes the path of a local archive as its URL.
    let written = text(file, "url")?;
    path = path.or_else(|| written.filter(|url| !url.contains(':')).map(str::to_owned));
    let written = written.filter(|url| url.contains(':'));
    let url: Option<SourceUrl> = written.map(str::parse).transpose()?;
    let url = match url.as_ref().map(|url| url.url().scheme()) {
        Some("file") => {
            path = path.or(written.map(path_of_file_url).transpose()?);
            None
        }
        None | Some("http" | "https") => url,
        Some(scheme) => {
            return Err(wrong(format!("its URL begins with {scheme}:, expected https:// or file:///")));
        }
    };
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let from_url = |url: &SourceUrl| {
        let last = url.url().path_segments()?.next_back()?;
        Some(percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned())
    };
    if url.is_none() && path.is_none() {
        return Err(wrong("it has neither url nor path"));
    }
    let name = text(file, "name")?.map(str::to_owned);
    let name = name.or_else(|| path.as_deref().map(last)).or_else(|| url.as_ref().and_then(from_url));
    let name = name.unwrap_or_default();
    if name.is_empty() || name.contains(['/', '\\', '\0']) {
        return Err(wrong(format!("{name:?} is not a file's name")));
    }
    let size = match file.get("size") {
        None => None,
        Some(value) => {
            let size = value.as_integer().and_then(|size| u64::try_from(size).ok());
            Some(size.ok_or_else(|| shape("size", "a number of bytes", value))?)
        }
    };
    let sha256 = hashes.sha256.first().copied();
    all.sha256.extend(sha256.filter(|digest| !all.sha256.contains(digest)));
    all.other.extend(hashes.other);
    Ok(PinnedFile { name, url, path, size, sha256 })
}

/// A file's digests. That there is none is told of the whole package, when it is to be installed.
fn hashes(file: &Table) -> Result<Hashes> {
    let mut hashes = Hashes::default();
    for (algorithm, digest) in inner(file, "hashes")?.into_iter().flatten() {
        let text = digest.as_str().ok_or_else(|| shape(&format!("hash {algorithm}"), "a string", digest))?;
        if algorithm.eq_ignore_ascii_case("sha256") {
            hashes.sha256.push(text.parse()?);
        } else {
            hashes.other.push(format!("{algorithm}:{text}"));
        }
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

    fn parse(text: &str) -> Result<(Lock, Warnings)> {
        let env = Env::of([("TOKEN", "ci:canary")]);
        parse_pylock(text.as_bytes(), "pylock.toml", &env)
    }

    #[test]
    fn every_kind_of_package_is_read() {
        let (lock, warnings) = parse(&format!(
            "lock-version = '1.0'\nrequires-python = '>=3.9'\ndependency-groups = ['dev']\ndefault-groups = []\n\
             [[packages]]\nname = 'A.b'\nversion = '1.0'\nindex = 'https://index.example/simple'\n\
             marker = \"'dev' in dependency_groups\"\n\
             wheels = [{{ url = 'https://files.example/A_b-1.0-py3-none-any.whl', size = 3, hashes = {{ sha256 = '{DIGEST}' }} }}]\n\
             [[packages]]\nname = 'c'\n[packages.vcs]\ntype = 'git'\nurl = 'https://git.example/c.git'\ncommit-id = 'abc'\n\
             [[packages]]\nname = 'd'\n[packages.directory]\npath = '.'\neditable = true\n\
             [[packages]]\nname = 'e'\n[packages.archive]\nurl = 'https://files.example/e.tar.gz'\nhashes = {{ sha256 = '{DIGEST}' }}\n"
        ))
        .expect("a lock");
        assert!(warnings.0.is_empty());
        assert_eq!((lock.dependency_groups.as_slice(), lock.sources.len()), (&["dev".to_owned()][..], 1));
        let entries = &lock.categories[0].1;
        assert_eq!(entries[0].files[0].name, "A_b-1.0-py3-none-any.whl");
        assert_eq!(entries[0].hashes.sha256.len(), 1);
        assert!(
            matches!(&entries[1].origin, EntryOrigin::Vcs(vcs) if vcs.reference.as_deref() == Some("abc"))
        );
        assert!(entries[2].editable && entries[2].origin == EntryOrigin::Path(".".into()));
        assert!(matches!(&entries[3].origin, EntryOrigin::Url(_)));
    }

    #[test]
    fn another_major_version_is_refused_and_a_minor_one_warns() {
        assert_eq!(
            parse("lock-version = '2.0'\n").expect_err("too new").report(),
            "pylock.toml is of lock-version 2.0, expected 1.0\n  \
             help: use a newer venvoy, or make the lock with a tool that writes version 1.0"
        );
        assert_eq!(parse("lock-version = '1.1'\npackages = []\n").expect("a lock").1.0.len(), 1);
    }

    /// What is wrong with a package of these fields.
    fn report(fields: &str) -> String {
        parse(&format!("lock-version = '1.0'\n[[packages]]\n{fields}\n")).expect_err(fields).report()
    }

    #[test]
    fn a_field_of_the_wrong_type_is_never_passed_over() {
        let file = format!("url = 'https://files.example/a-1.zip', hashes = {{ sha256 = '{DIGEST}' }}");
        for (fields, why) in [
            (format!("version = 1\nsdist = {{ {file} }}"), "version is of type integer, expected a string"),
            (format!("marker = 1\nsdist = {{ {file} }}"), "marker is of type integer, expected a string"),
            ("wheels = 'x'".into(), "wheels is of type string, expected a list"),
            (
                "wheels = ['x']".into(),
                "wheels[0] is wrong\n  because: it is of type string, expected a table",
            ),
            (
                format!("sdist = {{ size = -1, {file} }}"),
                "size is of type integer, expected a number of bytes",
            ),
            (format!("sdist = {{ name = '../x', {file} }}"), "\"../x\" is not a file's name"),
            (format!("sdist = {{ hashes = {{ sha256 = '{DIGEST}' }} }}"), "it has neither url nor path"),
            ("archive = { size = 1 }".into(), "its archive is wrong\n  because: it has neither url nor path"),
            (format!("archive = {{ subdirectory = 'x', {file} }}"), "its archive has a subdirectory"),
            ("directory = { path = '.', editable = 'yes' }".into(), "editable is of type string"),
            ("directory = { path = '.', subdirectory = '../x' }".into(), "its subdirectory is wrong"),
            (format!("directory = {{ path = '.' }}\narchive = {{ {file} }}"), "both directory and archive"),
            ("vcs = { type = 'git', url = 'https://git.example/a' }".into(), "its vcs has no commit-id"),
            ("vcs = { type = 'git', path = '../a', commit-id = 'b' }".into(), "nor an absolute path"),
        ] {
            let report = report(&format!("name = 'a'\n{fields}"));
            assert!(report.contains(why), "{why:?} is not in\n{report}");
        }
    }

    #[test]
    fn a_lock_without_a_list_of_packages_is_not_an_empty_one() {
        for (text, why) in [
            ("lock-version = '1.0'\npackages = 'x'", "packages is of type string, expected a list"),
            ("lock-version = 1.0", "lock-version is of type float, expected a string"),
            (
                "lock-version = '1.0'\npackages = []\ndefault-groups = [1]",
                "default-groups is of type integer",
            ),
        ] {
            let report = parse(text).expect_err(text).report();
            assert!(report.contains(why), "{why:?} is not in\n{report}");
        }
        assert_eq!(parse("lock-version = '1.0'\npackages = []").expect("a lock").1.0.len(), 0);
        assert_eq!(parse("lock-version = '1.0'").expect("a lock").1.0, ["pylock.toml has no packages"]);
    }

    #[test]
    fn files_and_repositories_on_disk_are_paths() {
        let (lock, _) = parse(&format!(
            "lock-version = '1.0'\n[[packages]]\nname = 'a'\n\
             wheels = [{{ url = 'file:///srv/a%20b-1-py3-none-any.whl', hashes = {{ sha256 = '{DIGEST}' }} }}]\n\
             [[packages]]\nname = 'b'\nvcs = {{ type = 'git', path = '/srv/b', commit-id = 'c' }}\n"
        ))
        .expect("a lock");
        let entries = &lock.categories[0].1;
        let file = &entries[0].files[0];
        assert_eq!((file.url.as_ref(), file.path.as_deref()), (None, Some("/srv/a b-1-py3-none-any.whl")));
        assert!(
            matches!(&entries[1].origin, EntryOrigin::Vcs(vcs) if vcs.url.to_string() == "file:///srv/b")
        );
    }

    #[test]
    fn what_pipenv_leaves_out_is_not_missed() {
        // As pipenv 2026.10.3 writes them where the index does not answer.
        let packages = format!(
            "[[packages]]\nname = 'a'\nversion = '1.0'\nindex = 'https://index.example/simple/'\n\n\
             [packages.tool.pipenv]\nhashes = ['sha256:{DIGEST}']\n\n\n\
             [[packages]]\nname = 'b'\n\n[packages.vcs]\ntype = 'git'\nurl = 'https://git.example/b'\n\n\n\
             [[packages]]\nname = 'c'\n\n[packages.archive]\nurl = './c.zip'\n\n\n\
             [[packages]]\nname = 'd'\nversion = '>=1'\nindex = 'https://index.example/simple/'\n\n\n\
             [[packages]]\nname = 'e'\nversion = '=1.0'\nindex = 'https://index.example/simple/'\n\n\n"
        );
        let (lock, _) = parse(&format!(
            "lock-version = '1.0'\ncreated-by = 'pipenv'\n{packages}[tool.pipenv]\ngenerated_from = 'Pipfile.lock'\n"
        ))
        .expect("a lock");
        let entries = &lock.categories[0].1;
        assert_eq!((entries[0].hashes.sha256.len(), entries[0].files.len()), (1, 0));
        assert!(matches!(&entries[1].origin, EntryOrigin::Vcs(vcs) if vcs.reference.is_none()));
        assert_eq!(entries[2].origin, EntryOrigin::Path("./c.zip".into()));
        assert!(matches!(entries[3].pin, Pin::Range(_)));
        assert_eq!(entries[4].pin, Pin::Arbitrary("1.0".into()));
        assert_eq!(lock.sources.len(), 1);
        let report =
            parse(&format!("lock-version = '1.0'\n{packages}")).expect_err("by another tool").report();
        assert!(report.contains("neither wheels nor sdist") && report.contains("no commit-id"), "{report}");
    }

    #[test]
    fn an_indexs_password_is_expanded_and_never_shown() {
        for url in ["https://${TOKEN}@index.example/simple", "https://ci:canary@index.example/simple"] {
            let (lock, _) = parse(&format!(
                "lock-version = '1.0'\n[[packages]]\nname = 'a'\nindex = '{url}'\n\
                 sdist = {{ url = 'https://files.example/a-1.zip', hashes = {{ sha256 = '{DIGEST}' }} }}\n"
            ))
            .expect("a lock");
            assert!(!format!("{lock:?}").contains("canary"), "{lock:?}");
            assert_eq!(lock.sources[0].name.as_deref(), Some("https://index.example/simple"));
            assert_eq!(lock.sources[0].name.as_deref(), lock.categories[0].1[0].index.as_deref());
            let source = lock.sources[0].url().expect("a URL");
            assert_eq!(source.credentials().expect("credentials").password.expose(), "canary");
        }
    }

    #[test]
    fn all_wrong_packages_are_reported_together() {
        let report = parse("lock-version = '1.0'\n[[packages]]\nname = 'a'\n[[packages]]\nversion = '1'\n")
            .expect_err("wrong")
            .report();
        assert!(
            report.contains("packages[0] (a) is wrong") && report.contains("packages[1] (without a name)"),
            "{report}"
        );
    }
}
