//! Projects whose packages lie on private indexes, and the venvoy command run on them with nothing of the
//! machine's own settings.

#![allow(dead_code, reason = "each test binary uses its own part")]

#[path = "wheel.rs"]
pub mod wheel;

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use sha2::Digest as _;
use tempfile::TempDir;

use self::wheel::WheelBuilder;
use crate::support::{
    executable::write_executable,
    server::{Request, Server, reply},
};

/// Where the tests' interpreter and programs are.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A file of an index.
#[derive(Clone)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub file: String,
    pub bytes: Vec<u8>,
}

impl Package {
    /// A wheel with one module that knows who published it.
    pub fn new(name: &str, publisher: &str) -> Self {
        let wheel = WheelBuilder::new(name, "1.0")
            .file(&format!("{name}.py"), format!("publisher = {publisher:?}\n"));
        Self::of(name, &wheel.file_name(), wheel.build())
    }

    /// Any file.
    pub fn of(name: &str, file: &str, bytes: Vec<u8>) -> Self {
        Package { name: name.into(), version: "1.0".into(), file: file.into(), bytes }
    }

    pub fn sha256(&self) -> String {
        sha2::Sha256::digest(&self.bytes).iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Its entry in a lock; with the name of its source, if it has one.
    pub fn entry(&self, index: Option<&str>) -> Value {
        let mut entry = json!({ "hashes": [format!("sha256:{}", self.sha256())], "version": "==1.0" });
        if let Some(index) = index {
            entry["index"] = json!(index);
        }
        entry
    }

    /// The link a page has to it.
    pub fn link(&self) -> String {
        format!("<a href=\"../files/{0}#sha256={1}\">{0}</a>", self.file, self.sha256())
    }
}

/// A lock in the making.
pub struct Lock(Value);

impl Lock {
    pub fn new() -> Self {
        Lock(json!({
            "_meta": { "hash": { "sha256": "" }, "pipfile-spec": 6, "requires": {}, "sources": [] },
            "default": {}, "develop": {},
        }))
    }

    pub fn source(self, name: &str, url: &str) -> Self {
        self.any_source(json!({ "name": name, "url": url, "verify_ssl": true }))
    }

    pub fn any_source(mut self, source: Value) -> Self {
        self.0["_meta"]["sources"].as_array_mut().expect("sources").push(source);
        self
    }

    pub fn package(self, package: &Package, index: Option<&str>) -> Self {
        self.entry(&package.name, package.entry(index))
    }

    pub fn entry(mut self, name: &str, entry: Value) -> Self {
        self.0["default"][name] = entry;
        self
    }
}

/// A project directory, a home, a cache and a directory of programs.
pub struct Project {
    directory: TempDir,
    variables: Vec<(String, String)>,
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Whether standard output or error holds all of these.
    #[track_caller]
    pub fn says(&self, texts: &[&str]) -> &Self {
        for text in texts {
            assert!(
                self.stdout.contains(text) || self.stderr.contains(text),
                "{text:?} is not in\n{}{}",
                self.stdout,
                self.stderr
            );
        }
        self
    }

    #[track_caller]
    pub fn never_says(&self, text: &str) -> &Self {
        assert!(
            !self.stdout.contains(text) && !self.stderr.contains(text),
            "{text:?} is in\n{}{}",
            self.stdout,
            self.stderr
        );
        self
    }

    #[track_caller]
    pub fn ends_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", self.stdout, self.stderr))
    }
}

impl Project {
    pub fn new(lock: &Lock) -> Self {
        let directory = TempDir::new().expect("a directory");
        for name in ["project", "home", "bin", "tmp"] {
            fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        Project { directory, variables: Vec::new() }
            .file("project/Pipfile.lock", &serde_json::to_string_pretty(&lock.0).expect("JSON"))
    }

    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// A file that others cannot read, such as `home/.netrc`.
    pub fn file(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
        self
    }

    /// A shell script that comes first on PATH.
    pub fn program(self, name: &str, script: &str) -> Self {
        write_executable(&self.path("bin").join(name), format!("#!/bin/sh\n{script}\n").as_bytes());
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A file of the environment's site-packages.
    pub fn installed(&self, name: &str) -> String {
        let lib = self.path("project/.venv/lib");
        let Ok(pythons) = fs::read_dir(lib) else { return String::new() };
        pythons
            .flatten()
            .find_map(|python| fs::read_to_string(python.path().join("site-packages").join(name)).ok())
            .unwrap_or_default()
    }

    /// Forgets the environment and everything cached: a fresh image build.
    pub fn forget(&self) -> &Self {
        for name in ["project/.venv", "cache"] {
            let _ = fs::remove_dir_all(self.path(name));
        }
        self
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_venvoy"));
        command
            .args(args)
            .current_dir(self.path("project"))
            .env_clear()
            .env("PATH", format!("{}:{PATH}", self.path("bin").display()))
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("VENVOY_CACHE_DIR", self.path("cache"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let output = self.command(args).output().expect("venvoy runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// The files of a static index: `simple/NAME/index.html` and `simple/files/FILE`.
pub fn site(packages: &[&Package]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for package in packages {
        let page = format!("<!DOCTYPE html><html><body>{}</body></html>", package.link());
        files.push((format!("simple/{}/index.html", package.name), page.into_bytes()));
        files.push((format!("simple/files/{}", package.file), package.bytes.clone()));
    }
    files
}

/// What an index with these packages answers below `/simple`.
pub fn answer(packages: &[&Package], request: &Request) -> Vec<u8> {
    let path = request.path.trim_start_matches('/');
    let page = format!("{path}index.html");
    match site(packages).into_iter().find(|(name, _)| name == path || *name == page) {
        Some((name, bytes)) if name == page => reply("200 OK", &["Content-Type: text/html"], &bytes),
        Some((_, bytes)) => reply("200 OK", &[], &bytes),
        None => reply("404 Not Found", &[], b""),
    }
}

/// An index for everyone.
pub fn public(packages: &[&Package]) -> Server {
    let packages: Vec<Package> = packages.iter().map(|package| (*package).clone()).collect();
    Server::start(move |request| answer(&packages.iter().collect::<Vec<_>>(), request))
}

/// An index for one user: 401 without credentials and for wrong ones, as GitLab answers.
pub fn private(login: &str, packages: &[&Package]) -> Server {
    let packages: Vec<Package> = packages.iter().map(|package| (*package).clone()).collect();
    let expected = basic(login);
    Server::start(move |request| match request.header("authorization") {
        Some(got) if got == expected => answer(&packages.iter().collect::<Vec<_>>(), request),
        _ => reply("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"packages\""], b""),
    })
}

/// The Authorization header of `user:password`.
pub fn basic(login: &str) -> String {
    format!("Basic {}", base64(login.as_bytes()))
}

pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0_u32, |n, byte| n << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = number >> (18 - 6 * digit) & 63;
            out.push(if digit > chunk.len() { '=' } else { DIGITS[value as usize].into() });
        }
    }
    out
}

/// Every file below `root`, with its bytes; links are not followed.
pub fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let Ok(items) = fs::read_dir(root) else { return found };
    for item in items.flatten() {
        let kind = item.file_type().expect("a type");
        if kind.is_dir() {
            found.extend(files(&item.path()));
        } else if kind.is_file() {
            found.push((item.path(), fs::read(item.path()).unwrap_or_default()));
        }
    }
    found
}
