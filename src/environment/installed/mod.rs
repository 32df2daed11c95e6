//! What an environment that is there says of itself, whoever made it: its Python, its distributions, what each
//! of them requires. Nothing is run for that.

mod requirement;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

pub(crate) use requirement::Requirement;

use crate::{
    environment::manifest,
    project::python::Description,
    words::{
        error::{Error, Kind, Result},
        files::{LARGEST_TEXT, read_regular, read_text},
        vocab::{Extra, MarkerEnv, PackageName, Version},
    },
};

/// An environment that is there.
#[derive(Debug, Clone)]
pub(crate) struct Installed {
    /// What markers mean in it: on the platform that it was described for, else on this machine.
    pub markers: MarkerEnv,
    /// The version and the platform that it was described for (`--python-version`, `--platform`).
    pub described: Option<(String, String)>,
    /// Whether it is a free-threaded Python's.
    pub free_threaded: bool,
    /// The base interpreter, as far as `pyvenv.cfg` and the names in the environment tell.
    pub python: Option<PathBuf>,
    /// Its distributions, by name.
    pub distributions: BTreeMap<PackageName, Distribution>,
}

/// A distribution in an environment.
#[derive(Debug, Clone)]
pub(crate) struct Distribution {
    /// Its version.
    pub version: Version,
    /// The version as the directory spells it.
    pub written: String,
    /// Its `.dist-info` (or `.egg-info`) directory.
    info: PathBuf,
}

/// What a distribution's metadata says of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metadata {
    /// Its name as its makers write it.
    pub name: Option<String>,
    /// What it requires.
    pub requires: Vec<Requirement>,
    /// Its licence as an SPDX expression (PEP 639).
    pub license_expression: Option<String>,
    /// Its licence in words, or its whole text.
    pub license: Option<String>,
    /// Its classifiers that are about licences.
    pub license_classifiers: Vec<String>,
}

impl Metadata {
    /// Reads a METADATA file. The body, often a long description, is of no interest.
    pub(crate) fn parse(text: &str) -> Metadata {
        let mut metadata = Metadata::default();
        for line in text.lines().take_while(|line| !line.is_empty()) {
            let Some((key, value)) = line.split_once(':') else { continue };
            let value = || value.trim().to_owned();
            match key.to_ascii_lowercase().as_str() {
                "name" => metadata.name = Some(value()),
                "requires-dist" => metadata.requires.extend(value().parse().ok()),
                "license-expression" => metadata.license_expression = Some(value()),
                "license" => metadata.license = Some(value()),
                "classifier" if value().starts_with("License ::") => {
                    metadata.license_classifiers.push(value());
                }
                _ => {}
            }
        }
        metadata
    }
}

impl Installed {
    /// Whether there is an environment at a path.
    pub(crate) fn is_at(path: &Path) -> bool {
        path.join("pyvenv.cfg").is_file()
    }

    /// Reads an environment: `pyvenv.cfg` and the names in its site-packages.
    ///
    /// # Errors
    /// [`Kind::Destination`] for a path that is no environment, or one that cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let cannot = |path: &Path, e| Error::io("cannot read", path, e).with_kind(Kind::Destination);
        let file = path.join("pyvenv.cfg");
        let config = match read_text(&file, LARGEST_TEXT) {
            Ok(config) => config,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::new(
                    Kind::Destination,
                    format!("{} is not an environment: it has no pyvenv.cfg", path.display()),
                )
                .help("make one with `venvoy sync`"));
            }
            Err(e) => return Err(cannot(&file, e)),
        };
        let (site, pypy) = site_packages(path)?;
        let mut distributions = BTreeMap::new();
        for entry in fs::read_dir(&site).map_err(|e| cannot(&site, e))? {
            let entry = entry.map_err(|e| cannot(&site, e))?;
            if let Some((name, written)) = entry.file_name().to_str().and_then(name_and_version)
                && let Ok(version) = written.parse()
            {
                distributions
                    .insert(name, Distribution { version, written: written.to_owned(), info: entry.path() });
            }
        }
        let version = version(&config).or_else(|| version_of(&site)).ok_or_else(|| {
            Error::new(Kind::Destination, format!("{} does not say which Python it is for", file.display()))
                .help("make the environment anew with `venvoy sync`")
        })?;
        let directory =
            site.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
        let home = value(&config, "home").map(Path::new);
        let described = manifest::described(path);
        let foreign = described.as_ref().and_then(|(python_version, platform)| {
            let python_home = home.unwrap_or(Path::new("/usr/local/bin"));
            Description { python_version, platform, python_home }.target().ok()
        });
        Ok(Installed {
            markers: foreign.map_or_else(|| markers(&version, pypy), |target| target.markers),
            described,
            free_threaded: directory.ends_with('t'),
            python: home.map(|home| home.join(&directory)),
            distributions,
        })
    }
}

impl Distribution {
    /// Reads its METADATA.
    ///
    /// # Errors
    /// [`Kind::Destination`] for a file that cannot be read.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let files = ["METADATA", "PKG-INFO"].map(|name| self.info.join(name));
        let file = files.iter().find(|file| file.is_file()).unwrap_or(&files[0]);
        let bytes = read_regular(file, LARGEST_TEXT)
            .map_err(|e| Error::io("cannot read", file, e).with_kind(Kind::Destination))?;
        Ok(Metadata::parse(&String::from_utf8_lossy(&bytes)))
    }
}

/// `lib/python3.12/site-packages`, and whether it is `PyPy`'s.
fn site_packages(venv: &Path) -> Result<(PathBuf, bool)> {
    let lib = venv.join("lib");
    let mut found: Vec<PathBuf> = fs::read_dir(&lib)
        .map_err(|e| Error::io("cannot list", &lib, e).with_kind(Kind::Destination))?
        .flatten()
        .map(|entry| entry.path().join("site-packages"))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    let site = found.pop().ok_or_else(|| {
        Error::new(Kind::Destination, format!("{} has no lib/python3.*/site-packages", venv.display()))
            .help("make the environment anew with `venvoy sync`")
    })?;
    let pypy = site
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|name| name.to_string_lossy().starts_with("pypy"));
    Ok((site, pypy))
}

/// What the name of a `.dist-info` or `.egg-info` directory says, as `importlib.metadata` reads it.
pub(crate) fn name_and_version(file: &str) -> Option<(PackageName, &str)> {
    let stem = file.strip_suffix(".dist-info").or_else(|| file.strip_suffix(".egg-info"))?;
    // setuptools writes `NAME-VERSION-py3.9.egg-info`.
    let stem = stem.rsplit_once("-py").filter(|(_, end)| end.starts_with('3')).map_or(stem, |(stem, _)| stem);
    let (name, version) = stem.rsplit_once('-')?;
    Some((name.parse().ok()?, version))
}

/// A setting of `pyvenv.cfg`.
fn value<'c>(config: &'c str, wanted: &str) -> Option<&'c str> {
    let mut settings = config.lines().filter_map(|line| line.split_once('='));
    settings.find(|(key, _)| key.trim() == wanted).map(|(_, value)| value.trim())
}

/// The interpreter's version in `pyvenv.cfg`: `version` by venv and venvoy, `version_info` by virtualenv and uv.
fn version(config: &str) -> Option<String> {
    let text = value(config, "version").or_else(|| value(config, "version_info"))?;
    let numbers: Vec<&str> =
        text.trim().split('.').take(3).take_while(|part| part.bytes().all(|c| c.is_ascii_digit())).collect();
    (numbers.len() >= 2).then(|| numbers.join("."))
}

fn version_of(site_packages: &Path) -> Option<String> {
    let name = site_packages.parent()?.file_name()?.to_str()?;
    let version = name.trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim_end_matches('t');
    (!version.is_empty()).then(|| version.to_owned())
}

fn markers(version: &str, pypy: bool) -> MarkerEnv {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let parts: Vec<&str> = version.split('.').collect();
    let mac = cfg!(target_os = "macos");
    MarkerEnv {
        implementation_name: if pypy { "pypy" } else { "cpython" }.into(),
        implementation_version: version.to_owned(),
        os_name: "posix".into(),
        platform_machine: text(uname.machine()),
        platform_python_implementation: if pypy { "PyPy" } else { "CPython" }.into(),
        platform_release: text(uname.release()),
        platform_system: text(uname.sysname()),
        platform_version: text(uname.version()),
        python_full_version: version.to_owned(),
        python_version: parts[..parts.len().min(2)].join("."),
        sys_platform: if mac { "darwin" } else { "linux" }.into(),
    }
}

/// Who requires whom in an environment: for each distribution its metadata, and of its requirements those
/// whose marker holds there. What an extra asks for counts where someone there asks for that extra, or
/// `asked` has it: what a lock asks for.
///
/// # Errors
/// [`Kind::Destination`] for metadata that cannot be read.
pub(crate) fn requirements(
    installed: &Installed,
    asked: BTreeMap<PackageName, Vec<Extra>>,
) -> Result<BTreeMap<PackageName, (Metadata, Vec<Requirement>)>> {
    let mut all: BTreeMap<PackageName, Metadata> = BTreeMap::new();
    for (name, distribution) in &installed.distributions {
        all.insert(name.clone(), distribution.metadata()?);
    }
    Ok(holding(all, &installed.markers, asked))
}

/// Of the requirements of these distributions those that hold where markers mean this, as in [`requirements`].
pub(crate) fn holding(
    all: BTreeMap<PackageName, Metadata>,
    markers: &MarkerEnv,
    mut asked: BTreeMap<PackageName, Vec<Extra>>,
) -> BTreeMap<PackageName, (Metadata, Vec<Requirement>)> {
    loop {
        let before: usize = asked.values().map(Vec::len).sum();
        let mut more = Vec::new();
        for (name, metadata) in &all {
            let extras = asked.get(name).map_or(&[][..], Vec::as_slice);
            for requirement in metadata.requires.iter().filter(|one| one.holds(markers, extras)) {
                more.push((requirement.name.clone(), requirement.extras.clone()));
            }
        }
        for (name, extras) in more {
            let of = asked.entry(name).or_default();
            for extra in extras {
                if !of.contains(&extra) {
                    of.push(extra);
                }
            }
        }
        if asked.values().map(Vec::len).sum::<usize>() == before {
            break;
        }
    }
    all.into_iter()
        .map(|(name, metadata)| {
            let extras = asked.get(&name).map_or(&[][..], Vec::as_slice);
            let mut requires: Vec<Requirement> =
                metadata.requires.iter().filter(|one| one.holds(markers, extras)).cloned().collect();
            requires.sort_by(|a, b| a.name.cmp(&b.name));
            requires.dedup_by(|a, b| a.name == b.name);
            (name, (metadata, requires))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(config: &str, dists: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a directory");
        let site = dir.path().join("lib/python3.12/site-packages");
        fs::create_dir_all(&site).expect("made");
        fs::write(dir.path().join("pyvenv.cfg"), config).expect("written");
        for (name, metadata) in dists {
            fs::create_dir(site.join(name)).expect("made");
            fs::write(site.join(name).join("METADATA"), metadata).expect("written");
        }
        dir
    }

    #[test]
    fn every_makers_pyvenv_cfg_is_read() {
        for (config, expected) in [
            ("home = /usr/bin\nversion = 3.12.1\n", "3.12.1"),
            ("version_info = 3.11.7.final.0\n", "3.11.7"),
            ("version_info = 3.11\n", "3.11"),
            ("home = /usr/bin\n", "3.12"),
        ] {
            let dir = environment(config, &[]);
            let markers = Installed::read(dir.path()).expect(config).markers;
            assert_eq!(markers.python_full_version, expected, "{config}");
            assert_eq!(
                markers.python_version,
                expected.rsplitn(if expected.len() > 4 { 2 } else { 1 }, '.').last().expect("a part")
            );
        }
    }

    #[test]
    fn what_is_no_environment_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let report = Installed::read(dir.path()).expect_err("none").report();
        assert_eq!(
            report,
            format!(
                "{} is not an environment: it has no pyvenv.cfg\n  help: make one with `venvoy sync`",
                dir.path().display()
            )
        );
        fs::write(dir.path().join("pyvenv.cfg"), "version = 3.12.1\n").expect("written");
        assert!(Installed::read(dir.path()).expect_err("no lib").report().contains("cannot list"));
    }

    #[test]
    fn distributions_are_found_by_the_names_of_their_directories() {
        let dists =
            ["Zope_x-1.0.dist-info", "old-2.0-py3.9.egg-info", "x.egg-link", "six.py", "bad.dist-info"];
        let dir = environment("version = 3.12.1", &dists.map(|name| (name, "")));
        let found = Installed::read(dir.path()).expect("an environment").distributions;
        let found: Vec<String> = found.iter().map(|(name, one)| format!("{name} {}", one.version)).collect();
        assert_eq!(found, ["old 2.0", "zope-x 1.0"]);
    }

    #[test]
    fn extras_count_where_someone_asks_for_them() {
        let dir = environment(
            "version = 3.12.1",
            &[
                (
                    "a-1.dist-info",
                    "Name: A\nRequires-Dist: b[x] (>=1)\nRequires-Dist: w; sys_platform == 'win32'\n\nbody",
                ),
                (
                    "b-1.dist-info",
                    "Name: b\nRequires-Dist: c; extra == 'x'\nRequires-Dist: d; extra == 'y'\n",
                ),
                ("c-1.dist-info", "Name: c\n\nRequires-Dist: a\n"),
                ("d-1.dist-info", "Name: d\n"),
            ],
        );
        let found =
            requirements(&Installed::read(dir.path()).expect("read"), BTreeMap::new()).expect("metadata");
        let lines: Vec<String> = found
            .iter()
            .map(|(name, (_, requires))| {
                format!(
                    "{name}:{}",
                    requires
                        .iter()
                        .map(|one| [" ", one.name.as_str(), &one.specifier].concat())
                        .collect::<String>()
                )
            })
            .collect();
        assert_eq!(lines, ["a: b>=1", "b: c", "c:", "d:"]);
        let a = found.iter().next().expect("a").1;
        assert_eq!(a.0.name.as_deref(), Some("A"));
    }
}
