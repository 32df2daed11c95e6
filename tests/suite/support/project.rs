//! A project in a directory of its own, and the venvoy command run on it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{
    backend::Files,
    executable::write_executable,
    files::{self, Snapshot},
    lock::Lock,
    package::Package,
    process::started_by,
    program::{PATH, script, script_in},
    run::Run,
    server::Server,
};

/// A project directory with a home and wheels beside it; venvoy's cache is there, too. Programs in `bin` come first on
/// PATH, and temporary files go to `tmp`, where a test makes these directories.
pub struct Project {
    root: TempDir,
    port: Option<u16>,
    variables: Vec<(String, String)>,
}

impl Project {
    pub fn new() -> Self {
        let root = TempDir::new().expect("a directory");
        for dir in ["project", "home", "wheels"] {
            fs::create_dir(root.path().join(dir)).expect("a directory");
        }
        Project { root, port: None, variables: Vec::new() }
    }

    /// A project with this lock.
    pub fn of(lock: &Lock) -> Self {
        let project = Self::new();
        project.lock(lock);
        project
    }

    /// A project with a lock of these packages, whose wheels are in `wheels`.
    pub fn with_wheels(packages: &[Package]) -> Self {
        let project = Self::of(&packages.iter().fold(Lock::new(), Lock::package));
        project.wheels(packages);
        project
    }

    /// A project with a lock of these packages, to be fetched from a server.
    pub fn at(server: &Server, packages: &[Package]) -> Self {
        let mut project = Self::of(&Lock::of(&server.url("/simple"), packages));
        project.knows(server);
        project
    }

    /// A copy of `fixtures/hello`.
    pub fn hello() -> Self {
        let project = Self::new();
        files::copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hello"), &project.dir());
        project
    }

    /// The port that messages are compared without.
    pub fn knows(&mut self, server: &Server) {
        self.port = Some(server.port);
    }

    /// A variable of every command's environment.
    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// A file that others cannot read, such as `home/.netrc`.
    pub fn file(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).expect("permissions");
        self
    }

    /// A shell script that comes first on PATH.
    pub fn program(self, name: &str, script: &str) -> Self {
        write_executable(&self.path("bin").join(name), format!("#!/bin/sh\n{script}\n").as_bytes());
        self
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

    /// Something in the environment's site-packages.
    pub fn site(&self, name: &str) -> PathBuf {
        let lib = fs::read_dir(self.venv().join("lib")).expect("lib").flatten().next().expect("a python");
        lib.path().join("site-packages").join(name)
    }

    /// How many distributions are in the environment.
    pub fn distributions(&self) -> usize {
        files::names(&self.site("")).iter().filter(|name| name.ends_with(".dist-info")).count()
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
        files::write(self.root.path(), relative, bytes);
    }

    /// Writes files below a directory.
    pub fn plant(&self, at: &str, files: &Files) {
        files::plant(&self.path(at), files);
    }

    /// A file's text; nothing where there is none.
    pub fn read(&self, relative: &str) -> String {
        fs::read_to_string(self.path(relative)).unwrap_or_default()
    }

    /// The names in the project's directory.
    pub fn names(&self) -> Vec<String> {
        files::names(&self.dir())
    }

    /// Forgets the environment and everything cached: a fresh image build.
    pub fn forget(&self) -> &Self {
        for name in ["project/.venv", "cache"] {
            let _ = fs::remove_dir_all(self.path(name));
        }
        self
    }

    /// The command, ready to run in the project with nothing of the user's environment.
    pub fn command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        let programs = self.path("bin");
        let path = if programs.is_dir() { format!("{}:{PATH}", programs.display()) } else { PATH.to_owned() };
        let mut command = Command::new(env!("CARGO_BIN_EXE_venvoy"));
        command
            .args(args)
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("VENVOY_CACHE_DIR", self.path("cache"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        let temporary = self.path("tmp");
        if temporary.is_dir() {
            command.env("TMPDIR", temporary);
        }
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

    /// Runs venvoy with strace watching it, which may let system calls fail. What that prints is in `trace`.
    pub fn traced(&self, options: &[&str], args: &[&str]) -> Run {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o"]).arg(self.path("trace")).args(options);
        self.finish(&mut started_by(strace, &self.command(args)))
    }

    /// Runs a prepared command.
    pub fn finish(&self, command: &mut Command) -> Run {
        Run::of(&command.output().expect("venvoy runs"), self.root.path(), self.port)
    }

    /// Starts `venvoy sync`, to be sent signals: where the tests run behind a script's `&`, SIGINT is ignored, and so it
    /// would be by what they start.
    pub fn start(&self, args: &[&str]) -> Child {
        let venvoy = self.command(&[&["sync", "--find-links", "../wheels"], args].concat());
        let mut env = Command::new("env");
        env.arg("--default-signal=INT");
        let mut command = started_by(env, &venvoy);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("venvoy runs")
    }

    /// Waits for what [`Project::start`] began.
    pub fn wait(&self, child: Child) -> Run {
        Run::of(&child.wait_with_output().expect("it ends"), self.root.path(), self.port)
    }

    /// What a script of the environment prints.
    pub fn script(&self, name: &str) -> String {
        script(&self.venv().join("bin").join(name))
    }

    /// All of the environment: what must be the same where nothing was to change.
    pub fn snapshot(&self) -> Snapshot {
        files::snapshot(&self.venv())
    }

    /// The distributions that the environment's own interpreter sees.
    pub fn installed(&self) -> Vec<String> {
        const LIST: &str = "import importlib.metadata as m\n\
                            print(*sorted(f\"{d.metadata['Name']} {d.version}\" for d in m.distributions()), sep='\\n')";
        script_in(&self.venv(), LIST).lines().map(str::to_owned).collect()
    }

    /// The text of a file of the environment's site-packages; nothing where there is none.
    pub fn site_file(&self, name: &str) -> String {
        let Ok(pythons) = fs::read_dir(self.venv().join("lib")) else { return String::new() };
        pythons
            .flatten()
            .find_map(|python| fs::read_to_string(python.path().join("site-packages").join(name)).ok())
            .unwrap_or_default()
    }
}
