//! Runs an interpreter once and reads what it says about itself.

use std::{
    io::{self, Read},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde::{Deserialize, de::DeserializeOwned};

use super::probe::Probe;
use crate::words::{
    error::{Error, Kind, Result},
    threads,
};

/// An interpreter answers in some 30 ms; a cold disk or an emulator may need seconds.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(30);

/// More than any interpreter has to say.
const OUTPUT_LIMIT: u64 = 1 << 20;

/// What a child may see of the environment: what it needs to start, and nothing that may hold a secret.
const PASSED_ON: [&str; 7] =
    ["PATH", "HOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYENV_ROOT", "PYENV_VERSION", "SYSTEMROOT"];

#[derive(Deserialize)]
struct TooOld {
    too_old: String,
}

/// Asks the interpreter at `path` about itself.
pub(super) fn query(path: &Path, limit: Duration) -> Result<Probe> {
    let mut command = isolated_command(path);
    command.args(["-I", "-S", "-c", include_str!("probe.py")]);
    answer(command, path, limit)
}

/// What a command that runs the interpreter at `path` prints, read as JSON.
pub(super) fn answer<T: DeserializeOwned>(command: Command, path: &Path, limit: Duration) -> Result<T> {
    let name = path.display();
    let child = start(command).map_err(|error| {
        let error =
            Error::new(Kind::Target, format!("cannot run {name} as a Python interpreter")).because(error);
        if path.exists() { error } else { error.help("check the path") }
    })?;
    let output = finish(child, limit)
        .map_err(|error| Error::new(Kind::Target, format!("cannot run {name} to its end")).because(error))?;
    let Some(output) = output else {
        return Err(Error::new(
            Kind::Target,
            format!(
                "{name} did not answer within {} s and was stopped; expected a Python interpreter",
                limit.as_secs()
            ),
        ));
    };
    let line = output.stdout.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
    if let Ok(TooOld { too_old }) = serde_json::from_str(line) {
        return Err(too_old_error(path, &too_old));
    }
    // The option that keeps the user's modules out is itself younger than Python 2.
    if output.stderr.contains("Unknown option: -I") {
        return Err(too_old_error(path, "2"));
    }
    if !output.status.success() {
        let message = format!("{name} is not a working Python interpreter: it ended with {}", output.status);
        return Err(Error::new(Kind::Target, last_lines(&message, &output.stderr)));
    }
    serde_json::from_str(line).map_err(|error| {
        let message = format!("{name} is not a Python interpreter: it ran, but did not say what was asked");
        Error::new(Kind::Target, last_lines(&message, &output.stderr)).because(error)
    })
}

fn too_old_error(path: &Path, version: &str) -> Error {
    Error::new(Kind::Target, format!("{} is Python {version}; expected 3.7 or newer", path.display()))
        .help("choose another interpreter with --python")
}

/// `message` followed by the end of what the child wrote, which is where the reason stands.
fn last_lines(message: &str, stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut out = message.to_owned();
    for line in &lines[lines.len().saturating_sub(4)..] {
        out.push('\n');
        out.extend(line.chars().filter(|c| !c.is_control()).take(300));
    }
    out
}

/// A command that runs an interpreter and lets it see little of the environment, in a process group of its
/// own: a wrapper script's children can be stopped with it, and the terminal's signals do not reach it.
pub(crate) fn isolated_command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.env_clear();
    for name in PASSED_ON {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.process_group(0);
    command
}

fn start(mut command: Command) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A file that is still being written cannot be run yet: an interpreter just installed, or one whose
    // writer's descriptor lives on for a moment in another process being started.
    for _ in 0..50 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
    command.spawn()
}

struct Output {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

/// Waits for the child; `None` if it had to be stopped.
fn finish(mut child: Child, limit: Duration) -> io::Result<Option<Output>> {
    let deadline = Instant::now() + limit;
    let stdout = child.stdout.take().map(reader).transpose();
    let stderr = child.stderr.take().map(reader).transpose();
    let readers = stdout.and_then(|stdout| Ok([stdout, stderr?])).inspect_err(|_| {
        let _ = child.kill().and_then(|()| child.wait());
    });
    let mut texts = readers?
        .into_iter()
        .flatten()
        .map(|pipe| pipe.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok());
    if let (Some(Some(stdout)), Some(Some(stderr))) = (texts.next(), texts.next()) {
        // Both pipes are closed, so the end is near; there is no waiting with a limit to be had.
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                return Ok(Some(Output { status, stdout, stderr }));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
    if let Ok(id) = i32::try_from(child.id())
        && let Some(group) = rustix::process::Pid::from_raw(id)
    {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// Reads a pipe to its end on a thread of its own. Past the limit it is drained, not kept.
fn reader(mut pipe: impl Read + Send + 'static) -> io::Result<mpsc::Receiver<String>> {
    let (sender, receiver) = mpsc::channel();
    threads::start("pipe", move || {
        let mut bytes = Vec::new();
        let _ = (&mut pipe).take(OUTPUT_LIMIT).read_to_end(&mut bytes);
        let _ = io::copy(&mut pipe, &mut io::sink());
        // The receiver is gone if the child was stopped.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    })?;
    Ok(receiver)
}
