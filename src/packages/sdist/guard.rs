//! A guard between venvoy and each process of a build.
//!
//! venvoy starts itself a second time as the guard, tells it what to run through a pipe, and keeps the pipe
//! open. The guard takes away what a build must not have, starts the program, and ends with it. When the pipe
//! closes, because venvoy stops the build or is gone (also by SIGKILL, which nobody can catch), it kills
//! everything that the program started, in whatever process group or session. What a build could read about its
//! ancestors through `/proc` is this process, whose environment is empty.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, BufRead as _, Read as _, Seek as _, Write as _},
    os::{fd::AsRawFd as _, unix::process::CommandExt as _},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group},
    thread::CapabilitySet,
};
use serde::{Deserialize, Serialize};

use super::confine::confine_thread;
use crate::words::threads;

/// The only argument of a guard: venvoy is one when it is started with it.
pub(super) const WORD: &str = "__guard";

/// The exit code of a guard whose program cannot be started, as a shell's.
pub(super) const NOT_STARTED: u8 = 127;

/// The log's line for a process that was to be confined and is not.
pub(super) const UNCONFINED: &str = "# this kernel cannot keep the build from writing elsewhere";

/// What a build has no use for, and root has: to look into other processes, and at what lies below files.
const CAPABILITIES: &[CapabilitySet] = &[
    CapabilitySet::SYS_PTRACE,
    // Linux reads for these, too, what ptrace would be refused.
    CapabilitySet::PERFMON,
    CapabilitySet::SYS_ADMIN,
    CapabilitySet::BPF,
    CapabilitySet::SYS_MODULE,
    CapabilitySet::SYS_RAWIO,
    CapabilitySet::SYS_BOOT,
    CapabilitySet::SYS_TIME,
    CapabilitySet::NET_RAW,
    CapabilitySet::AUDIT_WRITE,
    CapabilitySet::AUDIT_CONTROL,
];

/// What a guard is to run. Its standard output and error are the guard's own.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GuardedCommand {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Where it runs.
    pub directory: OsString,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
    /// Texts for variables that name a file: in memory alone, so that none outlives the run.
    pub private: Vec<(String, String)>,
    /// The places it may write to; everywhere without.
    pub writable: Option<Vec<OsString>>,
}

impl GuardedCommand {
    /// The command, its private texts in files that have no name. The files must live as long as it runs:
    /// their paths lead through this process.
    pub(super) fn command(&self) -> io::Result<(Command, Vec<File>)> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0);
        let mut files = Vec::new();
        for (variable, text) in &self.private {
            let mut file = File::from(rustix::fs::memfd_create("venvoy", rustix::fs::MemfdFlags::CLOEXEC)?);
            file.write_all(text.as_bytes())?;
            file.rewind()?;
            let path = format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd());
            command.env(variable, path);
            files.push(file);
        }
        Ok((command, files))
    }

    /// The places it may write to, as paths.
    pub(super) fn writable(&self) -> Option<Vec<PathBuf>> {
        Some(self.writable.as_ref()?.iter().map(PathBuf::from).collect())
    }
}

/// Whether these arguments (the program's own name first) make this process a guard.
pub(crate) fn is_asked(mut args: impl Iterator<Item = OsString>) -> bool {
    args.nth(1).is_some_and(|word| word == WORD) && args.next().is_none()
}

/// Set once the program's own end was seen, so that what remains is not killed twice.
static ENDED: AtomicBool = AtomicBool::new(false);

/// Runs a guard to its end: reads a [`GuardedCommand`] as one line of JSON on standard input, and gives the program's
/// exit code, or ends by the signal that the program ended by.
pub(crate) fn run() -> ExitCode {
    match guard() {
        Ok(status) => end_as(status),
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn guard() -> io::Result<WaitStatus> {
    let mut line = String::new();
    let mut input = io::BufReader::new(io::stdin());
    input.read_line(&mut line)?;
    let request: GuardedCommand = serde_json::from_str(&line)?;
    // Orphans of the build become children of the guard, so that it can find them.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    drop_capabilities();
    // What may write everywhere is still kept from looking into processes above it.
    let writable = request.writable();
    if !confine_thread(&writable.clone().unwrap_or_else(|| vec!["/".into()])) {
        if writable.is_some() {
            let _ = writeln!(io::stderr(), "{UNCONFINED}");
        }
        set_apart();
    }
    let (mut command, _files) = request.command()?;
    let child = command.spawn().map_err(|error| {
        io::Error::other(format!("cannot start {}: {error}", request.program.to_string_lossy()))
    })?;
    let child = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let watch = move || {
        // Nothing more is ever written: this waits until venvoy closes the pipe or is gone.
        let _ = io::copy(&mut input.by_ref(), &mut io::sink());
        if !ENDED.load(Ordering::Relaxed) {
            kill_all(child);
            std::process::exit(NOT_STARTED.into());
        }
    };
    threads::start("guard", watch).inspect_err(|_| kill_all(child))?;
    let status = loop {
        match rustix::process::wait(WaitOptions::empty())? {
            Some((pid, status)) if Some(pid) == child => break status,
            // An orphan of the build's, or nothing.
            _ => {}
        }
    };
    ENDED.store(true, Ordering::Relaxed);
    kill_all(child);
    Ok(status)
}

/// Takes capabilities from this process and from what it starts. The kernel lets a process look into another only
/// if it can do all that the other can, so the program cannot look into venvoy and those above it, and can into
/// the guard, whose files it reads.
fn drop_capabilities() {
    // Each is refused where there is none to take away.
    for capability in CAPABILITIES {
        let _ = rustix::thread::remove_capability_from_bounding_set(*capability);
    }
    let Ok(mut sets) = rustix::thread::capabilities(None) else { return };
    let gone = CAPABILITIES.iter().copied().collect::<CapabilitySet>();
    for set in [&mut sets.effective, &mut sets.permitted, &mut sets.inheritable] {
        set.remove(gone);
    }
    let _ = rustix::thread::set_capabilities(None, sets);
}

/// Puts this process into a user namespace of its own, for a user whose kernel confines nothing otherwise: whatever runs
/// in it may look into no process outside, of the same user's though it be. Root gave its capabilities away instead, and
/// keeps its files' owners. Where that is refused, a build is as free as with pip.
fn set_apart() {
    let (user, group) = (rustix::process::getuid(), rustix::process::getgid());
    if user.is_root() {
        return;
    }
    #[allow(
        deprecated,
        reason = "a user namespace shares no descriptors, which is what the other name warns of"
    )]
    if rustix::thread::unshare(rustix::thread::UnshareFlags::NEWUSER).is_err() {
        return;
    }
    let (user, group) = (user.as_raw(), group.as_raw());
    // Both stay what they are. A group may be mapped by whoever gave up choosing groups.
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{user} {user} 1")),
        ("gid_map", format!("{group} {group} 1")),
    ];
    for (name, map) in maps {
        let _ = std::fs::write(format!("/proc/self/{name}"), map);
    }
}

/// Kills the program's process group, and then whatever descends from it.
fn kill_all(group: Option<Pid>) {
    if let Some(group) = group {
        // Fails where nothing is left to kill, which is the rule.
        let _ = kill_process_group(group, Signal::KILL);
    }
    // What is killed leaves its own children behind, which become ours: until there are none.
    for _ in 0..1000 {
        // Whoever has no child at all need not look for them among all processes.
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Err(Errno::CHILD) => return,
                Ok(None) | Err(_) => break,
            }
        }
        let children = children();
        if children.is_empty() {
            return;
        }
        for pid in children {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processes whose parent this one is.
fn children() -> Vec<Pid> {
    let own = rustix::process::getpid().as_raw_nonzero().to_string();
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let mut found = Vec::new();
    for process in processes.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        // `pid (name) state parent ...`: the name may hold anything.
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        if parent == Some(&own) {
            found.extend(Pid::from_raw(pid));
        }
    }
    found
}

/// Ends as the program did.
fn end_as(status: WaitStatus) -> ExitCode {
    if let Some(signal) = status.terminating_signal().and_then(Signal::from_named_raw) {
        // The program's own core, where one is wanted, was written already.
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        let _ = rustix::process::setrlimit(Resource::Core, none);
        let _ = kill_process(rustix::process::getpid(), signal);
        // A signal whose default is to be ignored ended it: it does not end us.
    }
    let code = status.exit_status().and_then(|code| u8::try_from(code).ok());
    ExitCode::from(code.unwrap_or(1))
}
