//! Running a build's processes: output to a log, a time limit, nothing left running.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, OpenOptionsExt as _},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use rustix::process::{DumpableBehavior, Pid, Signal, kill_process_group};

use super::{
    confine::confine_thread,
    environment::Environment,
    guard::{self, UNCONFINED},
};
use crate::words::{
    error::{Error, Kind, Result},
    progress::Progress,
    threads,
    vocab::Secret,
};

/// How many of the output's last lines an error shows.
const TAIL: usize = 25;

/// How long a guard may take to kill what it started before it is killed itself.
const GRACE: Duration = Duration::from_secs(5);

/// What bounds and records the processes of one build.
pub(super) struct Runner<'a> {
    /// When the whole build has to be over.
    pub deadline: Instant,
    /// The limit the deadline came from, for the message.
    pub timeout: Duration,
    /// Told while a process runs.
    pub progress: Option<&'a dyn Progress>,
    /// Set by whoever takes the user's interrupt.
    pub interrupted: Option<&'a AtomicBool>,
    /// Where output is kept. Readable by the user alone.
    pub log: PathBuf,
    /// Never shown, should a child print one.
    pub secrets: Vec<Secret>,
    /// The program that guards each process: venvoy's own (see [`guard`]).
    pub guard: Option<&'a Path>,
}

/// One process to run.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// The program.
    pub program: &'a OsStr,
    /// Its arguments. No secret is among them.
    pub args: Vec<OsString>,
    /// Where it runs.
    pub directory: &'a Path,
    /// All of its environment.
    pub environment: &'a Environment,
    /// Texts that it finds in files named by variables. They are in memory alone, and gone with the run.
    pub private: Vec<(&'a str, Secret)>,
    /// The places it may write to, where the kernel can see to that; everywhere without.
    pub writable: Option<Vec<PathBuf>>,
}

/// How a process that ran to its end failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// The command as a user could type it.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its last lines.
    pub tail: String,
    /// All it printed.
    pub output: String,
}

impl Failure {
    /// The innermost link of a build error: command, exit code, last lines.
    pub(super) fn error(&self) -> Error {
        let tail = quoted(&self.tail);
        let tail = if tail.is_empty() {
            "; it printed nothing".to_owned()
        } else {
            format!("; its last lines:{tail}")
        };
        let error =
            |kind| Error::new(kind, format!("`{}` failed ({}){tail}", self.command, describe(self.status)));
        if self.disk_full() {
            return error(Kind::Io).help(format!(
                "the disk is full: free some space in {}, or set TMPDIR to a directory on another file system",
                std::env::temp_dir().display()
            ));
        }
        error(Kind::Build)
    }

    /// Whether it failed for want of space, which says nothing about what it was doing.
    pub(super) fn disk_full(&self) -> bool {
        const SIGNS: &[&str] =
            &["No space left on device", "Disk quota exceeded", "[Errno 28]", "[Errno 122]"];
        SIGNS.iter().any(|sign| self.tail.contains(sign))
    }
}

/// Output below a message, told apart from it.
fn quoted(tail: &str) -> String {
    tail.lines().fold(String::new(), |out, line| out + "\n  | " + line)
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(9)) => "killed by signal 9: the machine may be out of memory".to_owned(),
        (None, signal) => format!("killed by signal {}", signal.unwrap_or(0)),
    }
}

impl Runner<'_> {
    /// Runs a step to its end: `Ok(Ok(output))` when it exits with 0, `Ok(Err(failure))` when not.
    ///
    /// Fails when it cannot be started, does not end in time, or the user interrupts. Whatever it left
    /// running in its process group is killed in every case.
    pub(super) fn run(&self, step: &Step) -> Result<Result<String, Failure>> {
        let command_line = shown(step, &self.secrets);
        let opened = |e| Error::io("cannot write the log", &self.log, e);
        let mut log = self.open_log().map_err(opened)?;
        let kept = log.try_clone().map_err(opened)?;
        writeln!(log, "$ {command_line}").map_err(opened)?;
        let begin = log.metadata().map_err(opened)?.len();
        let duplicate = || log.try_clone().map(Stdio::from).map_err(opened);
        let (out, err) = (duplicate()?, duplicate()?);
        let request = step.request();
        // What a build can read about its ancestors must not be the user's passwords.
        let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let guard = self.guard.map(Path::to_path_buf);
        let (sender, receiver) = mpsc::channel();
        let waiter = threads::start("build", move || match guard {
            Some(guard) => guarded(&guard, &request, (out, err), &sender),
            None => unguarded(&request, (out, err), log, &sender),
        })
        .map_err(|e| Error::new(Kind::Io, format!("cannot run `{command_line}`")).because(e))?;
        let (group, held) = match receiver.recv() {
            Ok(Event::Started(group, held)) => (group, held),
            Ok(Event::Ended) | Err(mpsc::RecvError) => (None, None),
        };
        let stopped = self.wait(&receiver);
        if stopped.is_some() {
            // A guard kills what it started, and ends.
            let guarded = held.is_some();
            drop(held);
            if guarded {
                let _ = receiver.recv_timeout(GRACE);
            }
        }
        if let Some(group) = group {
            // Fails where nothing is left to kill, which is the rule.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let status = waiter
            .join()
            .unwrap_or_else(|_| Err(Ended::Lost(io::Error::other("the waiting thread panicked"))))
            .map_err(|ended| match ended {
                Ended::NotStarted(e) => {
                    Error::new(Kind::Build, format!("cannot start {}", step.program.to_string_lossy()))
                        .because(e)
                }
                Ended::Lost(e) => {
                    Error::new(Kind::Io, format!("cannot wait for `{command_line}`")).because(e)
                }
            })?;
        let output = self.collect(&kept, begin)?;
        if let Some(stopped) = stopped {
            let shown = quoted(&tail(&output));
            return Err(match stopped {
                Stopped::Interrupted => Error::new(Kind::Interrupted, "interrupted"),
                Stopped::TimedOut => Error::new(
                    Kind::Build,
                    format!("`{command_line}` did not end within {} seconds and was stopped; its last lines:{shown}", self.timeout.as_secs()),
                )
                .help("if it is only slow, allow it more time with --build-timeout"),
            });
        }
        if status.success() {
            return Ok(Ok(output));
        }
        Ok(Err(Failure { command: command_line, status, tail: tail(&output), output }))
    }

    fn wait(&self, ended: &mpsc::Receiver<Event>) -> Option<Stopped> {
        loop {
            if self.interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                return Some(Stopped::Interrupted);
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Some(Stopped::TimedOut);
            }
            let nap = if self.interrupted.is_some() { left.min(Duration::from_millis(100)) } else { left };
            match ended.recv_timeout(nap) {
                Ok(_) | Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.progress.inspect(|progress| progress.tick());
                }
            }
        }
    }

    /// Opens the log, in a directory that somebody who clears the cache may have removed since.
    fn open_log(&self) -> io::Result<File> {
        let open = || OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(&self.log);
        match (open(), self.log.parent()) {
            (Err(error), Some(dir)) if error.kind() == io::ErrorKind::NotFound => {
                fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
                open()
            }
            (opened, _) => opened,
        }
    }

    /// What was printed since `begin`, secrets struck out, there and in the log. It is read from the open file: the log's name
    /// may be gone, or another run's, where the file system has no locks.
    fn collect(&self, log: &File, begin: u64) -> Result<String> {
        let mut bytes = Vec::new();
        let mut whole = log;
        let read = whole.rewind().and_then(|()| whole.read_to_end(&mut bytes));
        read.map_err(|e| Error::io("cannot read the log", &self.log, e))?;
        let whole = String::from_utf8_lossy(&bytes);
        let clean = redact(&whole, &self.secrets);
        if clean != whole {
            let written = log.set_len(0).and_then(|()| { log }.write_all(clean.as_bytes()));
            written.map_err(|e| Error::io("cannot write the log", &self.log, e))?;
        }
        let begin = usize::try_from(begin).unwrap_or(0).min(bytes.len());
        Ok(redact(&String::from_utf8_lossy(&bytes[begin..]), &self.secrets))
    }
}

impl Step<'_> {
    fn request(&self) -> guard::GuardedCommand {
        let path = |path: &PathBuf| path.clone().into_os_string();
        guard::GuardedCommand {
            program: self.program.to_owned(),
            args: self.args.clone(),
            directory: self.directory.as_os_str().to_owned(),
            environment: self.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            private: self
                .private
                .iter()
                .map(|(name, text)| ((*name).to_owned(), text.expose().to_owned()))
                .collect(),
            writable: self.writable.as_ref().map(|places| places.iter().map(path).collect()),
        }
    }
}

/// Has a guard run it.
fn guarded(
    guard: &Path,
    request: &guard::GuardedCommand,
    (out, err): (Stdio, Stdio),
    sender: &mpsc::Sender<Event>,
) -> Result<ExitStatus, Ended> {
    let mut line = serde_json::to_vec(request).map_err(|e| Ended::NotStarted(e.into()))?;
    line.push(b'\n');
    let mut child = Command::new(guard)
        .arg(guard::WORD)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()
        .map_err(Ended::NotStarted)?;
    let mut input = child.stdin.take();
    // Where it is gone already, its status says so.
    let _ = input.as_mut().map(|input| input.write_all(&line));
    let _ = sender.send(Event::Started(pid(&child), input));
    // `Child::wait` would close the pipe, had it not been taken.
    let status = child.wait().map_err(Ended::Lost);
    let _ = sender.send(Event::Ended);
    status
}

/// Runs it as a child of this process, for whoever uses the library without the program.
fn unguarded(
    request: &guard::GuardedCommand,
    (out, err): (Stdio, Stdio),
    mut log: fs::File,
    sender: &mpsc::Sender<Event>,
) -> Result<ExitStatus, Ended> {
    let (mut command, _files) = request.command().map_err(Ended::NotStarted)?;
    // Being confined lasts as long as the thread, and is what a child inherits.
    if let Some(writable) = request.writable()
        && !confine_thread(&writable)
    {
        let _ = writeln!(log, "{UNCONFINED}");
    }
    let mut child = command.stdout(out).stderr(err).spawn().map_err(Ended::NotStarted)?;
    let _ = sender.send(Event::Started(pid(&child), None));
    let status = child.wait().map_err(Ended::Lost);
    let _ = sender.send(Event::Ended);
    status
}

fn pid(child: &std::process::Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

/// What the thread that waits for a child tells.
enum Event {
    /// Its process group, and what keeps its guard from killing it.
    Started(Option<Pid>, Option<ChildStdin>),
    Ended,
}

/// Why there is no exit status.
enum Ended {
    NotStarted(io::Error),
    Lost(io::Error),
}

enum Stopped {
    TimedOut,
    Interrupted,
}

fn redact(text: &str, secrets: &[Secret]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| secret.expose().len() >= 4) {
        text = text.replace(secret.expose(), "****");
    }
    text
}

fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

/// The command for people: quoted where a shell would need it.
fn shown(step: &Step, secrets: &[Secret]) -> String {
    let words = std::iter::once(step.program).chain(step.args.iter().map(OsString::as_os_str));
    let quoted: Vec<String> = words
        .map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+,@%".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', "'\\''"))
            }
        })
        .collect();
    redact(&quoted.join(" "), secrets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        script: &str,
        timeout: Duration,
        secrets: Vec<Secret>,
    ) -> (Result<Result<String, Failure>>, String) {
        let directory = tempfile::tempdir().expect("a directory");
        let runner = Runner {
            deadline: Instant::now() + timeout,
            timeout,
            interrupted: None,
            progress: None,
            log: directory.path().join("log"),
            secrets,
            guard: None,
        };
        let mut environment = Environment::default();
        environment.set("PATH", "/usr/bin:/bin");
        let step = Step {
            program: OsStr::new("/bin/sh"),
            args: vec!["-c".into(), script.into()],
            directory: directory.path(),
            environment: &environment,
            private: Vec::new(),
            writable: None,
        };
        let result = runner.run(&step);
        (result, fs::read_to_string(directory.path().join("log")).expect("a log"))
    }

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn a_failure_says_which_command_how_it_ended_and_what_it_said_last() {
        let (result, log) = run("echo one; echo two >&2; exit 3", LONG, vec![]);
        let error = result.expect("started").expect_err("fails").error();
        assert_eq!(
            error.report(),
            "`/bin/sh -c 'echo one; echo two >&2; exit 3'` failed (exit code 3); its last lines:\n    | one\n    | two"
        );
        assert!(log.ends_with("one\ntwo\n"), "{log}");
    }

    #[test]
    fn what_hangs_is_stopped_with_all_it_started() {
        let started = Instant::now();
        let (result, _) = run("sleep 50 & echo begun; sleep 50", Duration::from_millis(300), vec![]);
        let error = result.expect_err("stopped").report();
        assert!(started.elapsed() < Duration::from_secs(20));
        assert!(error.contains("did not end within 0 seconds and was stopped"), "{error}");
        assert!(error.contains("| begun") && error.contains("--build-timeout"), "{error}");
    }

    #[test]
    fn a_secret_that_a_child_prints_is_struck_out_everywhere() {
        let (result, log) = run("echo canary-$((1))-x; exit 1", LONG, vec![Secret::new("canary-1")]);
        let error = result.expect("started").expect_err("fails").error().report();
        assert!(error.contains("****-x") && !error.contains("canary-1-x"), "{error}");
        assert!(!log.contains("canary-1-x"), "{log}");
    }

    #[test]
    fn nothing_is_asked_at_the_terminal() {
        let (result, _) = run("read answer || echo eof", LONG, vec![]);
        assert_eq!(result.expect("started").expect("ends"), "eof\n");
    }
}
