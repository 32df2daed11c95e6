//! `pylock.toml` (PEP 751) to [`Lock`].

use toml::{Table, Value};

use super::{Entry, Hashes, Lock, Origin, Pin, PinnedFile, Requires, Source, Vcs, VcsKind};
use crate::{
    error::{Error, Kind, Result, Warnings},
    options::Env,
    vocab::{Marker, PackageName, SourceUrl},
};

/// The category that all packages of a `pylock.toml` stand in: its groups are a matter of markers.
const CATEGORY: &str = "default";

/// Reads a `pylock.toml`; `label` is what messages call it.
///
/// # Errors
/// [`Kind::Lock`] for what is not TOML, a `lock-version` of another major version, and with every package
/// that is wrong.
pub fn parse_pylock(bytes: &[u8], label: &str) -> Result<(Lock, Warnings)> {
    let text = super::damage::text_of(bytes, label)?;
    let root: Table = text.parse().map_err(|error: toml::de::Error| {
        let line =
            error.span().map_or(0, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Error::new(Kind::Lock, format!("{label} is not TOML: {} in line {line}", error.message()))
            .help("make it anew with the tool that wrote it")
    })?;
    let mut warnings = Warnings::default();
    check_version(&root, label, &mut warnings)?;
    let strings = |key: &str| {
        let list = root.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut lock = Lock {
        sources: Vec::new(),
        categories: Vec::new(),
        requires: Requires {
            python_version: root.get("requires-python").and_then(Value::as_str).map(str::to_owned),
            python_full_version: None,
        },
        hash: None,
        dependency_groups: strings("dependency-groups"),
        default_groups: strings("default-groups"),
    };
    let mut entries = Vec::new();
    let mut bad = Vec::new();
    for (position, package) in
        root.get("packages").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        match read_package(package, &mut lock.sources) {
            Ok(entry) => entries.push(entry),
            Err(error) => {
                let name = package.get("name").and_then(Value::as_str).unwrap_or("without a name");
                bad.push(error.context(format!("packages[{position}] ({name}) is wrong")));
            }
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    lock.categories.push((CATEGORY.to_owned(), entries));
    match bad.len() {
        0 => Ok((lock, warnings)),
        1 => Err(bad.remove(0).context(format!("{label} cannot be used"))),
        many => {
            Err(Error::all(Kind::Lock, format!("{label} cannot be used: {many} packages are wrong"), bad))
        }
    }
}

fn check_version(root: &Table, label: &str, warnings: &mut Warnings) -> Result<()> {
    let version = root.get("lock-version").and_then(Value::as_str).ok_or_else(|| {
        Error::new(Kind::Lock, format!("{label} has no lock-version; expected a lock of PEP 751"))
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

fn text<'a>(table: &'a Value, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Value::as_str)
}

fn read_package(package: &Value, sources: &mut Vec<Source>) -> Result<Entry> {
    let written = text(package, "name").ok_or_else(|| wrong("it has no name"))?;
    let name: PackageName = written.parse()?;
    let pin = match text(package, "version") {
        None => Pin::Any,
        Some(version) => Pin::Exact(
            version.parse().map_err(|_| wrong(format!("version {version:?} cannot be read (PEP 440)")))?,
        ),
    };
    let mut entry = Entry {
        name,
        written: written.to_owned(),
        category: CATEGORY.to_owned(),
        extras: Vec::new(),
        pin,
        hashes: Hashes::default(),
        index: None,
        marker: text(package, "marker").map(Marker::parse).transpose()?,
        origin: Origin::Index,
        editable: false,
        no_binary: false,
        pip_args: Vec::new(),
        files: Vec::new(),
    };
    if let Some(vcs) = package.get("vcs") {
        entry.origin = Origin::Vcs(read_vcs(vcs)?);
    } else if let Some(directory) = package.get("directory") {
        let path = text(directory, "path").ok_or_else(|| wrong("its directory has no path"))?;
        let path = match text(directory, "subdirectory") {
            Some(inner) => format!("{path}/{inner}"),
            None => path.to_owned(),
        };
        entry.origin = Origin::Path(path);
        entry.editable = directory.get("editable").and_then(Value::as_bool) == Some(true);
    } else if let Some(archive) = package.get("archive") {
        entry.hashes = hashes(archive)?;
        entry.origin = match (text(archive, "url"), text(archive, "path")) {
            (Some(url), _) => Origin::Url(url.parse()?),
            (None, Some(path)) => Origin::Path(path.to_owned()),
            (None, None) => return Err(wrong("its archive has neither url nor path")),
        };
    } else {
        let wheels = package.get("wheels").and_then(Value::as_array).into_iter().flatten();
        for file in wheels.chain(package.get("sdist")) {
            entry.files.push(read_file(file, &mut entry.hashes)?);
        }
        if entry.files.is_empty() {
            return Err(wrong("it has neither wheels nor sdist, archive, directory or vcs"));
        }
        if let Some(index) = text(package, "index") {
            // A name is shown: it must not hold the userinfo that a URL may have.
            let name = index.parse::<SourceUrl>()?.to_string();
            if !sources.iter().any(|source| source.name.as_ref() == Some(&name)) {
                sources.push(Source::new(Some(name.clone()), index, true, &Env::default()));
            }
            entry.index = Some(name);
        }
    }
    Ok(entry)
}

fn read_vcs(vcs: &Value) -> Result<Vcs> {
    let kind = match text(vcs, "type") {
        Some("git") => VcsKind::Git,
        Some("hg") => VcsKind::Hg,
        Some("svn") => VcsKind::Svn,
        Some("bzr") => VcsKind::Bzr,
        other => return Err(wrong(format!("its vcs is of type {other:?}; expected git, hg, svn or bzr"))),
    };
    let url = text(vcs, "url").ok_or_else(|| wrong("its vcs has no url"))?;
    let commit = text(vcs, "commit-id").ok_or_else(|| wrong("its vcs has no commit-id"))?;
    Ok(Vcs {
        kind,
        url: url.parse()?,
        reference: Some(commit.to_owned()),
        subdirectory: text(vcs, "subdirectory").map(str::parse).transpose()?,
    })
}

fn read_file(file: &Value, all: &mut Hashes) -> Result<PinnedFile> {
    let hashes = hashes(file)?;
    let url = text(file, "url").map(str::parse).transpose()?;
    let path = text(file, "path").map(str::to_owned);
    let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let from_url = || {
        let url: &SourceUrl = url.as_ref()?;
        let last = url.url().path_segments()?.next_back()?;
        Some(percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned())
    };
    let name = text(file, "name").map(str::to_owned).or_else(|| path.as_deref().map(last)).or_else(from_url);
    let pinned = PinnedFile {
        name: name.ok_or_else(|| wrong("a file has neither name, path nor url"))?,
        url,
        path,
        size: file.get("size").and_then(Value::as_integer).and_then(|size| u64::try_from(size).ok()),
        sha256: hashes.sha256.first().copied(),
    };
    all.sha256.extend(hashes.sha256);
    all.other.extend(hashes.other);
    Ok(pinned)
}

fn hashes(file: &Value) -> Result<Hashes> {
    let mut hashes = Hashes::default();
    for (algorithm, digest) in file.get("hashes").and_then(Value::as_table).into_iter().flatten() {
        let digest = digest.as_str().ok_or_else(|| wrong(format!("hash {algorithm} is not a string")))?;
        if algorithm == "sha256" {
            hashes.sha256.push(digest.to_ascii_lowercase().parse()?);
        } else {
            hashes.other.push(format!("{algorithm}:{digest}"));
        }
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

    fn parse(text: &str) -> Result<(Lock, Warnings)> {
        parse_pylock(text.as_bytes(), "pylock.toml")
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
        assert!(matches!(&entries[1].origin, Origin::Vcs(vcs) if vcs.reference.as_deref() == Some("abc")));
        assert!(entries[2].editable && entries[2].origin == Origin::Path(".".into()));
        assert!(matches!(&entries[3].origin, Origin::Url(_)));
    }

    #[test]
    fn another_major_version_is_refused_and_a_minor_one_warns() {
        assert_eq!(
            parse("lock-version = '2.0'\n").expect_err("too new").report(),
            "pylock.toml is of lock-version 2.0, expected 1.0\n  \
             help: use a newer venvoy, or make the lock with a tool that writes version 1.0"
        );
        assert_eq!(parse("lock-version = '1.1'\n").expect("a lock").1.0.len(), 1);
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
