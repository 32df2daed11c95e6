//! A project in a directory of its own, and the venvoy command run on it.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};
use sha2::Digest as _;
use tempfile::TempDir;

use crate::{
    server::{Request, Server, file, reply},
    wheel::WheelBuilder,
};

/// Where the tests' interpreter and programs are: nothing of the user's own.
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A wheel with what a lock says about it.
#[derive(Clone)]
pub struct Package {
    pub name: String,
    pub version: String,
    pub file: String,
    pub bytes: Vec<u8>,
    pub sha256: String,
}

impl Package {
    pub fn new(wheel: &WheelBuilder) -> Self {
        Self::of(&wheel.file_name(), wheel.build())
    }

    /// A file whose name begins with name and version.
    pub fn of(file: &str, bytes: Vec<u8>) -> Self {
        let mut parts = file.split('-').map(str::to_owned);
        let name = parts.next().expect("a name").replace('_', "-");
        let version = parts.next().expect("a version");
        let sha256 = sha256(&bytes);
        Package { name, version, file: file.to_owned(), bytes, sha256 }
    }

    /// A package of one module whose console script of the same name prints name and version.
    pub fn simple(name: &str, version: &str) -> Self {
        Self::new(&greeter(name, version))
    }

    /// Its entry in a lock.
    pub fn entry(&self) -> Value {
        json!({"hashes": [format!("sha256:{}", self.sha256)], "version": format!("=={}", self.version)})
    }

    /// Where [`index`] serves it.
    pub fn path(&self) -> String {
        format!("/files/{}", self.file)
    }
}

/// See [`Package::simple`], before it is built.
pub fn greeter(name: &str, version: &str) -> WheelBuilder {
    let module = name.replace('-', "_");
    WheelBuilder::new(&module, version)
        .file(&format!("{module}.py"), format!("def main():\n    print('{name} {version}')\n"))
        .console_script(&format!("{name} = {module}:main"))
}

pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    sha2::Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Bytes that do not compress.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut step = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| step()).collect()
}

/// The HTML page of a package.
pub fn page(packages: &[Package], name: &str) -> Option<Vec<u8>> {
    let link = |package: &Package| {
        let (file, sha256) = (&package.file, &package.sha256);
        format!("<a href=\"/files/{file}#sha256={sha256}\">{file}</a>")
    };
    let found = packages.iter().filter(|package| package.name == name);
    let links = found.map(link).collect::<Vec<_>>().join("\n");
    (!links.is_empty()).then(|| reply("200 OK", &["Content-Type: text/html"], links.as_bytes()))
}

/// What a well-behaved index answers: pages below `/simple/`, files below `/files/`.
pub fn answer(packages: &[Package], request: &Request) -> Vec<u8> {
    let missing = || reply("404 Not Found", &[], b"");
    if let Some(name) = request.path.strip_prefix("/simple/") {
        return page(packages, name.trim_end_matches('/')).unwrap_or_else(missing);
    }
    let found = packages.iter().find(|package| package.path() == request.path);
    found.map_or_else(missing, |package| file(request, &package.bytes, "\"tag\""))
}

/// An index on loopback.
pub fn index(packages: &[Package]) -> Server {
    let packages = packages.to_vec();
    Server::start(move |request| answer(&packages, request))
}

/// A `Pipfile.lock` in the making.
#[derive(Clone)]
pub struct Lock(pub Value);

impl Lock {
    /// A lock without packages, whose index nobody can reach.
    pub fn new() -> Self {
        Self::at("https://index.example/simple")
    }

    /// A lock without packages, with one source called `example`.
    pub fn at(url: &str) -> Self {
        Lock(json!({
            "_meta": {
                "hash": {"sha256": "0"},
                "pipfile-spec": 6,
                "requires": {},
                "sources": [{"name": "example", "url": url, "verify_ssl": true}],
            },
            "default": {},
            "develop": {},
        }))
    }

    /// A lock of these packages.
    pub fn of(url: &str, packages: &[Package]) -> Self {
        packages.iter().fold(Self::at(url), Self::package)
    }

    pub fn package(self, package: &Package) -> Self {
        self.entry("default", &package.name, package.entry())
    }

    pub fn entry(mut self, category: &str, name: &str, entry: Value) -> Self {
        self.0[category][name] = entry;
        self
    }

    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.0["_meta"][key] = value;
        self
    }
}

/// A project directory with home, cache and wheels beside it.
pub struct Project {
    root: TempDir,
    port: Option<u16>,
}

impl Project {
    pub fn new() -> Self {
        let root = TempDir::new().expect("a directory");
        for dir in ["project", "home", "wheels"] {
            fs::create_dir(root.path().join(dir)).expect("a directory");
        }
        Project { root, port: None }
    }

    /// A project with a lock of these packages, whose wheels are in `wheels`.
    pub fn with_wheels(packages: &[Package]) -> Self {
        let project = Self::new();
        project.wheels(packages);
        project.lock(&packages.iter().fold(Lock::new(), Lock::package));
        project
    }

    /// A project with a lock of these packages, to be fetched from a server.
    pub fn at(server: &Server, packages: &[Package]) -> Self {
        let mut project = Self::new();
        project.port = Some(server.port);
        project.lock(&Lock::of(&server.url("/simple"), packages));
        project
    }

    /// A copy of `fixtures/hello`.
    pub fn hello() -> Self {
        let project = Self::new();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hello"), &project.dir());
        project
    }

    /// The port that messages are compared without.
    pub fn knows(&mut self, server: &Server) {
        self.port = Some(server.port);
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.path().join(relative)
    }

    pub fn dir(&self) -> PathBuf {
        self.path("project")
    }

    pub fn venv(&self) -> PathBuf {
        self.path("project/.venv")
    }

    pub fn wheels(&self, packages: &[Package]) {
        for package in packages {
            self.write(&format!("wheels/{}", package.file), &package.bytes);
        }
    }

    pub fn lock(&self, lock: &Lock) {
        self.write("project/Pipfile.lock", lock.0.to_string());
    }

    pub fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, bytes).expect("written");
    }

    /// The names in the project's directory.
    pub fn names(&self) -> Vec<String> {
        names(&self.dir())
    }

    /// The command, ready to run in the project with nothing of the user's environment.
    pub fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_venvoy"));
        command
            .args(args)
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", self.path("home"))
            .env("VENVOY_CACHE_DIR", self.path("cache"))
            .stdin(Stdio::null());
        command
    }

    pub fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Run {
        self.finish(&mut self.command(args))
    }

    /// `venvoy sync` with what is in `wheels`.
    pub fn sync(&self) -> Run {
        self.sync_with(&[])
    }

    /// The same with further arguments.
    pub fn sync_with(&self, args: &[&str]) -> Run {
        self.run(&[&["sync", "--find-links", "../wheels"], args].concat())
    }

    /// Runs a prepared command.
    pub fn finish(&self, command: &mut Command) -> Run {
        self.read(&command.output().expect("venvoy runs"))
    }

    /// Starts `venvoy sync`.
    pub fn start(&self, args: &[&str]) -> Child {
        let mut command = self.command(&[&["sync", "--find-links", "../wheels"], args].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("venvoy runs")
    }

    /// Waits for what [`Project::start`] began.
    pub fn wait(&self, child: Child) -> Run {
        self.read(&child.wait_with_output().expect("it ends"))
    }

    fn read(&self, output: &Output) -> Run {
        let root = self.root.path().to_str().expect("a path in UTF-8");
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).replace(root, "{root}");
            self.port.map_or(text.clone(), |port| text.replace(&format!(":{port}"), ":{port}"))
        };
        Run {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: without_times(&text(&output.stderr)),
        }
    }

    /// What a script of the environment prints.
    pub fn script(&self, name: &str) -> String {
        script(&self.venv().join("bin").join(name))
    }

    /// All of the environment: what must be the same where nothing was to change.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, (u64, i64, u64, String)> {
        snapshot(&self.venv())
    }

    /// The distributions that the environment's own interpreter sees.
    pub fn installed(&self) -> Vec<String> {
        const LIST: &str = "import importlib.metadata as m\n\
                            print(*sorted(f\"{d.metadata['Name']} {d.version}\" for d in m.distributions()), sep='\\n')";
        let output =
            clean(&self.venv().join("bin/python")).args(["-I", "-c", LIST]).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect()
    }
}

/// A program without the user's environment.
pub fn clean(program: &Path) -> Command {
    let mut command = Command::new(program);
    // Bytecode would change what the tests compare.
    command
        .env_clear()
        .env("PATH", PATH)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// What a program prints; it must succeed.
pub fn script(program: &Path) -> String {
    let output = clean(program).output().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(output.status.success(), "{}: {output:?}", program.display());
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Every file below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Inode, time and contents of every file below a directory.
pub fn snapshot(dir: &Path) -> BTreeMap<PathBuf, (u64, i64, u64, String)> {
    let look = |path: PathBuf| {
        let meta = fs::symlink_metadata(&path).expect("a file");
        let content = if meta.is_symlink() {
            fs::read_link(&path).expect("a link").into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).expect("a file")
        };
        (path, (meta.ino(), meta.mtime(), meta.len(), sha256(&content)))
    };
    files(dir).into_iter().map(look).collect()
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if name == ".venv" || name == "__pycache__" {
            continue;
        }
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).expect("copied");
        }
    }
}

/// `13.7 kB in 0.05 s` as `{size} in {time} s`: the size differs between interpreters.
fn without_times(text: &str) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    for at in 3..words.len().saturating_sub(1) {
        let is_time = words[at - 1] == "in" && words[at + 1].starts_with('s');
        if is_time && words[at].parse::<f64>().is_ok() {
            words[at] = "{time}".into();
            words[at - 3] = "{size}".into();
            words.remove(at - 2);
            break;
        }
    }
    words.join(" ")
}

/// A finished run. Its texts name the test's directory `{root}` and its server's port `{port}`.
#[derive(Debug)]
pub struct Run {
    /// The exit code; nothing where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// It succeeded and said exactly this on standard error.
    #[track_caller]
    pub fn says(&self, lines: &[&str]) -> &Self {
        self.ends(0, lines)
    }

    /// It failed with this exit code and said exactly this on standard error.
    #[track_caller]
    pub fn ends(&self, code: i32, lines: &[&str]) -> &Self {
        let said: Vec<&str> = self.stderr.lines().collect();
        assert!(
            self.code == Some(code) && said == lines,
            "expected exit code {code} and\n{}\n\ngot {:?} and\n{}\nstdout: {}",
            lines.join("\n"),
            self.code,
            self.stderr,
            self.stdout
        );
        self
    }

    /// It succeeded.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        assert!(self.code == Some(0), "{:?}\n{}{}", self.code, self.stdout, self.stderr);
        self
    }

    /// It failed with this exit code, and standard error has these lines in this order, perhaps among others.
    #[track_caller]
    pub fn fails(&self, code: i32, lines: &[&str]) -> &Self {
        assert!(self.code == Some(code), "expected {code}, got {:?}\n{}", self.code, self.stderr);
        let mut said = self.stderr.lines();
        for line in lines {
            assert!(said.any(|said| said == *line), "no line {line:?} (in this order) in\n{}", self.stderr);
        }
        self
    }
}

/// What the machine's python3 prints for a program.
pub fn script_of_python(program: &str) -> String {
    let output =
        Command::new("python3").env("PATH", PATH).args(["-I", "-c", program]).output().expect("python3");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}
