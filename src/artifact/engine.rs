//! The container engine of this machine, docker or podman, through its own program: it knows where its daemon is, and who
//! may ask it.

use std::{
    fmt,
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use crate::words::{
    choices::EngineKind,
    env::Env,
    error::{Error, Kind, Result},
    interrupt, threads,
};

/// What is kept of an engine's complaints, in bytes.
const SAID: u64 = 16 << 10;

/// An engine.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    path: PathBuf,
    kind: EngineKind,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.name())
    }
}

impl Engine {
    /// The engine of that kind; of any, docker first.
    ///
    /// # Errors
    /// [`Kind::Usage`] where there is none on PATH.
    pub(crate) fn find(env: &Env, kind: Option<EngineKind>) -> Result<Engine> {
        let kinds = kind.map_or_else(|| vec![EngineKind::Docker, EngineKind::Podman], |kind| vec![kind]);
        let path = env.get("PATH").unwrap_or_default();
        for kind in &kinds {
            let places = std::env::split_paths(path).map(|dir| dir.join(kind.name()));
            if let Some(path) = places.filter(|place| place.is_absolute()).find(|place| place.is_file()) {
                return Ok(Engine { path, kind: *kind });
            }
        }
        let names: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
        Err(Error::new(Kind::Usage, format!("there is no {} on PATH", names.join(" and no ")))
            .help("install an engine, or write --oci FILE.tar and load that where there is one"))
    }

    /// Has the engine take an image, which `write` gives as a tar.
    pub(crate) fn load(&self, write: &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<()> {
        let mut running = self.start(&["load"], Stdio::piped())?;
        let written = match running.child.stdin.take() {
            None => Ok(()),
            Some(input) => {
                let mut input = io::BufWriter::with_capacity(256 << 10, input);
                write(&mut input).and_then(|()| input.flush().map_err(|error| self.gone(error)))
            }
        };
        // An engine that gave up says why; that its pipe broke is no news then.
        running.end().and(written)
    }

    /// What became of writing to an engine.
    pub(crate) fn gone(&self, error: io::Error) -> Error {
        Error::new(Kind::Destination, format!("{self} does not take the image")).because(error)
    }

    /// The digest by which the engine knows an image; `None` where it has none of that name.
    pub(crate) fn id(&self, image: &str) -> Result<Option<String>> {
        let mut command = self.command(&["image", "inspect", "--format", "{{.Id}}", image]);
        let output = command.output().map_err(|error| self.failed("cannot be started").because(error))?;
        let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
        if output.status.success() {
            return Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
        }
        if ["no such image", "image not known", "no such object", "not found"]
            .iter()
            .any(|no| said.contains(no))
        {
            return Ok(None);
        }
        Err(self.failed(said.trim()))
    }

    /// Writes an image into a file as `docker save` does.
    pub(crate) fn save(&self, image: &str, to: &Path) -> Result<()> {
        let to = to.to_string_lossy();
        let args: &[&str] = match self.kind {
            EngineKind::Docker => &["image", "save", "--output", &to, image],
            EngineKind::Podman => &["image", "save", "--format", "docker-archive", "--output", &to, image],
        };
        self.start(args, Stdio::null())?.end()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(args).stdin(Stdio::null());
        command
    }

    fn failed(&self, why: &str) -> Error {
        Error::new(Kind::Destination, format!("{self} failed: {why}"))
            .help(format!("see that `{self} images` works for this user"))
    }

    fn start(&self, args: &[&str], input: Stdio) -> Result<Running<'_>> {
        let mut command = self.command(args);
        command.stdin(input).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|error| self.failed("it cannot be started").because(error))?;
        let (sender, said) = mpsc::channel();
        if let Some(errors) = child.stderr.take() {
            threads::start("engine", move || {
                let mut text = Vec::new();
                let mut errors = errors;
                let _ = errors.by_ref().take(SAID).read_to_end(&mut text);
                let _ = sender.send(String::from_utf8_lossy(&text).trim().to_owned());
                let _ = io::copy(&mut errors, &mut io::sink());
            })
            .map_err(|error| self.failed("it cannot be listened to").because(error))?;
        }
        Ok(Running { engine: self, child, said })
    }
}

/// A program at work; it does not outlive what waits for it.
struct Running<'e> {
    engine: &'e Engine,
    child: Child,
    said: mpsc::Receiver<String>,
}

impl Running<'_> {
    fn end(mut self) -> Result<()> {
        loop {
            let ended =
                self.child.try_wait().map_err(|error| self.engine.failed("it was lost").because(error))?;
            if let Some(status) = ended {
                if status.success() {
                    return Ok(());
                }
                let said = self.said.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
                return Err(self.engine.failed(if said.is_empty() { "it does not say why" } else { &said }));
            }
            interrupt::check()?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
